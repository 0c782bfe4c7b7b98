#include "proto/allow.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { LABEL_MAX = 63 };

static bool bad(const char *s, const char *why, struct err *e)
{
	return err_set(e, E_FORMAT, "\"%.80s\": %s", s, why);
}

/* RFC 1123 section 2.1, lower case; the last label may not be all digits (RFC 3696 section 2), so
 * that no broken IPv4 address passes for a name. */
static bool dns_name_ok(const char *s)
{
	size_t n;

	for (;; s += n + 1) {
		n = strcspn(s, ".");
		if (n == 0 || n > LABEL_MAX || s[0] == '-' || s[n - 1] == '-' ||
		    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") < n)
			return false;
		if (!s[n])
			return strspn(s, "0123456789") < n;
	}
}

/* In the one form that inet_ntop writes. */
static bool address_ok(int family, const char *s)
{
	uint8_t raw[16];
	char again[INET6_ADDRSTRLEN];

	return inet_pton(family, s, raw) == 1 && inet_ntop(family, raw, again, sizeof(again)) &&
	       strcmp(s, again) == 0;
}

/* Where host ends and ":port" begins; NULL if nowhere. */
static const char *find_colon(const char *s)
{
	const char *end;

	if (*s != '[')
		return strchr(s, ':');
	end = strchr(s, ']');
	return end && end[1] == ':' ? end + 1 : NULL;
}

bool allow_parse(struct allow *ret, const char *s, struct err *e)
{
	struct allow a = { .port = 0 };
	const char *colon = find_colon(s);
	bool v6 = s[0] == '[';
	size_t n = colon ? (size_t)(colon - s) - (v6 ? 2 : 0) : 0;
	uint64_t port;

	if (!colon)
		return bad(s, "not host:port", e);
	if (n == 0 || n > LIMIT_HOST)
		return bad(s, "the host is not valid", e);
	memcpy(a.host, s + v6, n);
	if (!(v6 ? address_ok(AF_INET6, a.host)
		 : address_ok(AF_INET, a.host) || dns_name_ok(a.host)))
		return bad(
			s,
			"the host is not a lower-case name or an address in its shortest form",
			e);
	if (!u64_parse(&port, colon + 1, strlen(colon + 1)) || port < 1 || port > 65535)
		return bad(s, "the port is not within 1 and 65535", e);
	a.port = (uint16_t)port;
	*ret = a;
	return true;
}

void allow_format(char out[static ALLOW_TEXT_SIZE], const struct allow *a)
{
	bool v6 = strchr(a->host, ':') != NULL;

	snprintf(out, ALLOW_TEXT_SIZE, "%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "",
		 a->port);
}
