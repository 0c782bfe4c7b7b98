#include "proto/range.h"

#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct cursor {
	const char *p, *end;
};

/* OWS of RFC 9110 section 5.6.3. */
static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static bool skip_char(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

/* 1*DIGIT; what is beyond 64 bits counts as the largest number, which is outside everything. */
static bool read_number(struct cursor *c, uint64_t *ret)
{
	const char *start = c->p;
	bool beyond = false;
	uint64_t v = 0;

	for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
		beyond = beyond || __builtin_mul_overflow(v, 10u, &v) ||
			 __builtin_add_overflow(v, (unsigned)(*c->p - '0'), &v);
	*ret = beyond ? UINT64_MAX : v;
	return c->p > start;
}

static bool read_unit(struct cursor *c)
{
	static const char unit[] = "bytes";
	size_t n = sizeof(unit) - 1;

	if ((size_t)(c->end - c->p) < n || strncasecmp(c->p, unit, n) != 0)
		return false;
	c->p += n;
	return skip_char(c, '=');
}

static enum range_result suffix(uint64_t *ret_start, uint64_t *ret_n, uint64_t length,
				uint64_t size)
{
	if (length == 0 || size == 0)
		return RANGE_NONE;
	*ret_n = length < size ? length : size;
	*ret_start = size - *ret_n;
	return RANGE_PART;
}

static enum range_result part(uint64_t *ret_start, uint64_t *ret_n, uint64_t first,
			      uint64_t last, uint64_t size)
{
	if (first >= size)
		return RANGE_NONE;
	*ret_start = first;
	*ret_n = (last < size ? last : size - 1) - first + 1;
	return RANGE_PART;
}

enum range_result range_parse(uint64_t *ret_start, uint64_t *ret_n, const char *value, size_t n,
			      uint64_t size)
{
	struct cursor c;
	uint64_t first = 0, last = UINT64_MAX;
	bool has_first, has_last;

	if (!value)
		return RANGE_WHOLE;
	c = (struct cursor){ value, value + n };
	if (!read_unit(&c))
		return RANGE_WHOLE;
	skip_blanks(&c);
	has_first = read_number(&c, &first);
	if (!skip_char(&c, '-'))
		return RANGE_WHOLE;
	has_last = read_number(&c, &last);
	if (!has_last)
		last = UINT64_MAX;
	skip_blanks(&c);
	if (c.p != c.end || (!has_first && !has_last) || (has_first && last < first))
		return RANGE_WHOLE;
	return has_first ? part(ret_start, ret_n, first, last, size)
			 : suffix(ret_start, ret_n, last, size);
}

void content_range_format(char out[static CONTENT_RANGE_SIZE], uint64_t start, uint64_t n,
			  uint64_t size)
{
	if (n == 0)
		snprintf(out, CONTENT_RANGE_SIZE, "bytes */%" PRIu64, size);
	else
		snprintf(out, CONTENT_RANGE_SIZE, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
			 start, start + n - 1, size);
}

/* Digits up to a given end, strictly. */
static bool number_until(struct cursor *c, char end, uint64_t *ret)
{
	const char *at = end ? memchr(c->p, end, (size_t)(c->end - c->p)) : c->end;

	if (!at || !u64_parse(ret, c->p, (size_t)(at - c->p)))
		return false;
	c->p = at + (end != 0);
	return true;
}

bool content_range_parse(uint64_t *ret_start, uint64_t *ret_n, uint64_t *ret_size,
			 const char *value, size_t len)
{
	static const char unit[] = "bytes ";
	struct cursor c = { value, value + len };
	uint64_t first, last, size;

	if (len < sizeof(unit) - 1 || memcmp(value, unit, sizeof(unit) - 1) != 0)
		return false;
	c.p += sizeof(unit) - 1;
	if (!number_until(&c, '-', &first) || !number_until(&c, '/', &last) ||
	    !number_until(&c, 0, &size) || first > last || last >= size)
		return false;
	*ret_start = first;
	*ret_n = last - first + 1;
	*ret_size = size;
	return true;
}
