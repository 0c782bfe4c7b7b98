/* server/web_req.c - reading the parts of a request: query parameters, pages, numbers. */
#include "server/req.h"
#include "base/text.h"

#include <inttypes.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_value(char *out, size_t size, const char *s, size_t n, const char *key,
			 struct err *e)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)s[i];

		/* guard_target has seen to two hex digits behind every '%'. */
		if (c == '%') {
			c = hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2]);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (c < ' ' || c == 0x7f || at + 1 >= size)
			return err_set(e, E_FORMAT, "?%s: not a possible value", key);
		out[at++] = (char)c;
	}
	out[at] = 0;
	return true;
}

bool req_query(const struct req *r, const char *key, char *out, size_t size, struct err *e)
{
	size_t key_n = strlen(key);
	const char *s = r->query;
	bool found = false;

	out[0] = 0;
	while (s && *s) {
		size_t n = strcspn(s, "&");

		if (n > key_n && strncmp(s, key, key_n) == 0 && s[key_n] == '=') {
			if (found)
				return err_set(e, E_FORMAT, "?%s stands twice", key);
			found = true;
			if (!decode_value(out, size, s + key_n + 1, n - key_n - 1, key, e))
				return false;
		}
		s += n + (s[n] == '&');
	}
	return true;
}

static bool read_limit(const struct req *r, size_t *ret, struct err *e)
{
	char text[24];
	uint64_t n = 100;

	if (!req_query(r, "limit", text, sizeof(text), e))
		return false;
	if (text[0] && (!u64_parse(&n, text, strlen(text)) || n == 0 || n > STORE_PAGE_MAX))
		return err_set(e, E_FORMAT, "?limit: a number from 1 to %d", STORE_PAGE_MAX);
	*ret = (size_t)n;
	return true;
}

bool req_page(const struct req *r, char after[static 80], size_t *ret_limit, struct err *e)
{
	return req_query(r, "after", after, 80, e) && read_limit(r, ret_limit, e);
}

bool req_page_number(const struct req *r, char prefix, int64_t *ret_after, size_t *ret_limit,
		     struct err *e)
{
	char after[80];

	if (!req_page(r, after, ret_limit, e))
		return false;
	*ret_after = 0;
	if (after[0] && !req_number(after, prefix, ret_after, e))
		return err_set(e, E_FORMAT, "?after: what an answer gave as next");
	return true;
}

bool req_number(const char *text, char prefix, int64_t *ret, struct err *e)
{
	uint64_t n;

	if (text[0] != prefix || !u64_parse(&n, text + 1, strlen(text + 1)) || n == 0 ||
	    n > INT64_MAX)
		return err_set(e, E_NOT_FOUND, "%s: there is none with this id", text);
	*ret = (int64_t)n;
	return true;
}
