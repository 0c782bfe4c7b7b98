#include "client/https_priv.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const char url_hint[] = "a server is written https://HOST[:PORT][/PREFIX]";

static bool bad_url(struct err *e, const char *s, const char *why)
{
	err_set(e, E_CONFIG, "server URL \"%.80s\": %s", s, why);
	return err_hint(e, url_hint);
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_host(const char *s, size_t n)
{
	if (n == 0 || n > 253)
		return false;
	if (s[0] == '[') {
		return n > 3 && s[n - 1] == ']' &&
		       strspn(s + 1, "0123456789abcdefABCDEF:.") == n - 2;
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '-')
			return false;
	}
	return is_alnum(s[0]);
}

static bool is_prefix(const char *s, size_t n)
{
	if (n == 0)
		return true;
	if (s[n - 1] == '/')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && !strchr("/-_~.", s[i]))
			return false;
		/* "//", "/.", "/..": what a server or proxy between would fold away */
		if (s[i] == '/' && (s[i + 1] == '/' || s[i + 1] == '.'))
			return false;
	}
	return true;
}

static void copy_lower(char *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] - 'A' + 'a') : s[i];
	out[n] = '\0';
}

/* Splits "host[:port]" and drops the scheme's own port, as RFC 9421 section 2.2.3 wants it. */
static bool take_authority(struct url *u, const char *s, size_t n)
{
	size_t host_n = n;
	uint64_t port = 0;
	const char *colon = memrchr(s, ':', n);

	if (colon && !memchr(colon, ']', n - (size_t)(colon - s))) {
		host_n = (size_t)(colon - s);
		if (!u64_parse(&port, colon + 1, n - host_n - 1) || port == 0 || port > 65535)
			return false;
	}
	if (!is_host(s, host_n))
		return false;
	copy_lower(u->authority, s, port == (u->plain ? 80 : 443) ? host_n : n);
	u->loopback = (host_n == 9 && strncmp(u->authority, "127.0.0.1", 9) == 0) ||
		      (host_n == 9 && strncmp(u->authority, "localhost", 9) == 0) ||
		      (host_n == 5 && strncmp(u->authority, "[::1]", 5) == 0);
	return true;
}

bool url_parse(struct url *ret, const char *s, bool allow_plain_loopback, struct err *e)
{
	struct url u = { 0 };
	const char *rest;
	size_t n;

	if (strlen(s) > LIMIT_URL)
		return bad_url(e, s, "longer than 512 bytes");
	if (strncmp(s, "https://", 8) == 0)
		rest = s + 8;
	else if (strncmp(s, "http://", 7) == 0)
		rest = s + 7, u.plain = true;
	else
		return bad_url(e, s, "does not begin with https://");
	n = strcspn(rest, "/");
	if (!take_authority(&u, rest, n))
		return bad_url(e, s, "no good host and port");
	if (!is_prefix(rest + n, strlen(rest + n)))
		return bad_url(e, s, "what stands behind the host is no plain path");
	if (u.plain && !(allow_plain_loopback && u.loopback))
		return bad_url(e, s, "plain http would send everything in clear");
	memcpy(u.prefix, rest + n, strlen(rest + n) + 1);
	snprintf(u.origin, sizeof(u.origin), "%s://%s", u.plain ? "http" : "https",
		 u.authority);
	*ret = u;
	return true;
}
