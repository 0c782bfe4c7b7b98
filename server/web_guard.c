#include "server/web_guard.h"
#include "base/text.h"

#include <strings.h>

/* What bytes are good for; a table, as this looks at every byte of every field. */
enum { IN_TOKEN = 1, IN_HOST = 2, IN_VALUE = 4, IN_TARGET = 8 };
static uint8_t bytes[256];

#define ALPHANUMERIC "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

__attribute__((constructor)) static void fill_bytes(void)
{
	for (const char *s = ALPHANUMERIC "!#$%&'*+-.^_`|~"; *s; s++)
		bytes[(unsigned char)*s] |= IN_TOKEN;
	for (const char *s = ALPHANUMERIC "-._:[]"; *s; s++)
		bytes[(unsigned char)*s] |= IN_HOST;
	for (unsigned c = ' '; c < 256; c++)
		bytes[c] |= c == 0x7f ? 0 : IN_VALUE;
	bytes['\t'] |= IN_VALUE;
	for (unsigned c = '!'; c < 0x7f; c++)
		bytes[c] |= strchr("%\"#<>\\^`{|}", (int)c) ? 0 : IN_TARGET;
}

static bool all_are(unsigned what, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!(bytes[(unsigned char)s[i]] & what))
			return false;
	}
	return true;
}

void guard_line(struct guard *g, const char *method, const char *target, size_t target_n,
		const char *version)
{
	g->begin = method;
	g->at = version + strlen(version);
	if (target != method + strlen(method) + 1 || version != target + target_n + 1)
		g->bad_line = true;
}

/* Name, colon, blanks, value: where the last line ended with CR LF. */
static bool is_in_place(struct guard *g, const char *name, size_t n, const char *value,
			size_t value_n)
{
	const char *expected = g->at + 2, *p = name + n + 1;

	g->at = value + value_n;
	if (name != expected)
		return false;
	while (*p == ' ' || *p == '\t')
		p++;
	return p == value;
}

void guard_end(struct guard *g, size_t head_n)
{
	if (g->at + 4 != g->begin + head_n)
		g->bad_line = true;
}

/* Where a field is counted; NULL: nobody asks how often it stands there. */
static struct guard_seen *counted(struct guard *g, const char *name, size_t n)
{
#define FIELD(text, field)                                            \
	{                                                             \
		text, sizeof(text) - 1, offsetof(struct guard, field) \
	}
	static const struct {
		const char *name;
		size_t n, at;
	} rows[] = {
		FIELD("Content-Length", content_length),
		FIELD("Transfer-Encoding", transfer_encoding),
		FIELD("Host", host),
		FIELD("Authorization", authorization),
		FIELD("Signature", signature),
		FIELD("Signature-Input", signature_input),
		FIELD("Content-Digest", content_digest),
		FIELD("X-Forwarded-For", proxied),
		FIELD("X-Real-IP", real_ip),
		FIELD("Forwarded", proxied),
	};
#undef FIELD

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].n == n && strcasecmp(name, rows[i].name) == 0)
			return (struct guard_seen *)((char *)g + rows[i].at);
	}
	return NULL;
}

void guard_field(struct guard *g, const char *name, const char *value, size_t value_n)
{
	size_t n = strlen(name);
	struct guard_seen *seen = counted(g, name, n);

	if (!is_in_place(g, name, n, value, value_n))
		g->bad_line = true;
	if (n == 0 || !all_are(IN_TOKEN, name, n)) /* RFC 9110 section 5.6.2 */
		g->bad_name = true;
	if (!all_are(IN_VALUE, value, value_n)) /* RFC 9110 section 5.5 */
		g->bad_value = true;
	if (!seen)
		return;
	seen->count++;
	seen->value = value;
	if (seen == &g->host && (value_n == 0 || !all_are(IN_HOST, value, value_n)))
		g->bad_host = true;
	if (seen == &g->content_length && !u64_parse(&g->length, value, value_n))
		g->bad_length = true;
	if (seen == &g->transfer_encoding &&
	    (value_n != 7 || strncasecmp(value, "chunked", 7) != 0))
		g->bad_encoding = true;
}

bool guard_check(const struct guard *g, bool http_1_1, struct err *e)
{
	if (g->bad_line)
		return err_set(e, E_FORMAT,
			       "a line does not end with CR LF, or goes on in the next");
	if (g->bad_name)
		return err_set(e, E_FORMAT, "a header field's name is not a token");
	if (g->bad_value)
		return err_set(e, E_FORMAT, "a header field's value has a control character");
	if (g->content_length.count > 1 || g->bad_length)
		return err_set(e, E_FORMAT, "Content-Length: doubled or not a number");
	if (g->transfer_encoding.count > 1 || g->bad_encoding)
		return err_set(e, E_FORMAT, "Transfer-Encoding: only one, and only chunked");
	if (g->content_length.count && g->transfer_encoding.count)
		return err_set(e, E_FORMAT, "Content-Length together with Transfer-Encoding");
	if (g->transfer_encoding.count && !http_1_1)
		return err_set(e, E_FORMAT, "Transfer-Encoding in HTTP/1.0");
	if (g->host.count > 1 || (g->host.count == 0 && http_1_1) || g->bad_host)
		return err_set(e, E_FORMAT, "Host: exactly one is needed, with name and port");
	if (g->authorization.count > 1 || g->signature.count > 1 ||
	    g->signature_input.count > 1 || g->content_digest.count > 1 || g->real_ip.count > 1)
		return err_set(e, E_FORMAT, "a field that says who is asking stands twice");
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool segments_ok(const char *path, size_t n)
{
	size_t start = 1;

	for (size_t i = 1; i <= n; i++) {
		if (i < n && path[i] != '/')
			continue;
		size_t len = i - start;
		const char *s = path + start;

		/* "/" alone has one empty segment and is fine. */
		if ((len == 0 && n > 1) || (len == 1 && s[0] == '.') ||
		    (len == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

bool guard_target(const char *uri, size_t n, struct err *e)
{
	const char *query = memchr(uri, '?', n);
	size_t path_n = query ? (size_t)(query - uri) : n;

	if (n == 0 || uri[0] != '/')
		return err_set(e, E_FORMAT, "the request target does not begin with a slash");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)uri[i];

		if (c == '%' && i + 2 < n && is_hex(uri[i + 1]) && is_hex(uri[i + 2]))
			continue;
		if (!(bytes[c] & IN_TARGET))
			return err_set(e, E_FORMAT,
				       "a character of the request target must be encoded");
	}
	if (!segments_ok(uri, path_n))
		return err_set(e, E_FORMAT, "the path has an empty, \".\" or \"..\" segment");
	return true;
}
