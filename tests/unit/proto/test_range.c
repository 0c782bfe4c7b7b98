#include "tests/support/unit.h"

#include "proto/range.h"

#include <inttypes.h>

static enum range_result parse(uint64_t *start, uint64_t *n, const char *value, uint64_t size)
{
	return range_parse(start, n, value, value ? strlen(value) : 0, size);
}

static void ranges_mean_what_the_rfc_says(void **state)
{
	static const struct {
		const char *value;
		uint64_t size;
		enum range_result result;
		uint64_t start, n;
	} cases[] = {
		/* RFC 9110 section 14.1.2, of 10000 bytes */
		{ "bytes=0-499", 10000, RANGE_PART, 0, 500 },
		{ "bytes=500-999", 10000, RANGE_PART, 500, 500 },
		{ "bytes=-500", 10000, RANGE_PART, 9500, 500 },
		{ "bytes=9500-", 10000, RANGE_PART, 9500, 500 },
		{ "bytes=0-0", 10000, RANGE_PART, 0, 1 },
		/* Ends are cut, beginnings are not. */
		{ "bytes=0-", 1, RANGE_PART, 0, 1 },
		{ "bytes=5-99999", 10, RANGE_PART, 5, 5 },
		{ "bytes=-99999", 10, RANGE_PART, 0, 10 },
		{ "bytes=10-", 10, RANGE_NONE, 0, 0 },
		{ "bytes=10-10", 10, RANGE_NONE, 0, 0 },
		{ "bytes=-0", 10, RANGE_NONE, 0, 0 },
		{ "bytes=0-", 0, RANGE_NONE, 0, 0 },
		{ "bytes=-1", 0, RANGE_NONE, 0, 0 },
		/* 64 bits and more */
		{ "bytes=4294967296-4294967297", UINT64_C(1) << 40, RANGE_PART,
		  UINT64_C(1) << 32, 2 },
		{ "bytes=18446744073709551615-", UINT64_MAX, RANGE_NONE, 0, 0 },
		{ "bytes=18446744073709551614-", UINT64_MAX, RANGE_PART, UINT64_MAX - 1, 1 },
		{ "bytes=18446744073709551616-", 10, RANGE_NONE, 0, 0 },
		{ "bytes=0-99999999999999999999999", 10, RANGE_PART, 0, 10 },
		{ "bytes=-99999999999999999999999", 10, RANGE_PART, 0, 10 },
		/* Form */
		{ "BYTES=1-2", 10, RANGE_PART, 1, 2 },
		{ "bytes= 1-2 ", 10, RANGE_PART, 1, 2 },
		{ "bytes=\t1-2\t", 10, RANGE_PART, 1, 2 },
		{ "bytes=007-008", 10, RANGE_PART, 7, 2 },
		/* Ignored */
		{ NULL, 10, RANGE_WHOLE, 0, 0 },
		{ "", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=-", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=2-1", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=1", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=1-2,4-5", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=1-2,", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=,1-2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=1 -2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=1- 2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes =1-2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=0x1-2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=+1-2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=--2", 10, RANGE_WHOLE, 0, 0 },
		{ "items=0-1", 10, RANGE_WHOLE, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t start = 0, n = 0;
		enum range_result r = parse(&start, &n, cases[i].value, cases[i].size);

		if (r != cases[i].result || start != cases[i].start || n != cases[i].n)
			fail_msg("%s: %d %" PRIu64 " %" PRIu64, cases[i].value, r, start, n);
	}
}

static void content_ranges_come_back(void **state)
{
	char text[CONTENT_RANGE_SIZE];
	uint64_t start, n, size;

	content_range_format(text, 0, 500, 1234);
	assert_string_equal(text, "bytes 0-499/1234");
	assert_true(content_range_parse(&start, &n, &size, text, strlen(text)));
	assert_int_equal(start, 0);
	assert_int_equal(n, 500);
	assert_int_equal(size, 1234);
	content_range_format(text, UINT64_MAX - 2, 2, UINT64_MAX);
	assert_string_equal(
		text, "bytes 18446744073709551613-18446744073709551614/18446744073709551615");
	assert_true(content_range_parse(&start, &n, &size, text, strlen(text)));
	content_range_format(text, 0, 0, 1234);
	assert_string_equal(text, "bytes */1234");
	assert_false(content_range_parse(&start, &n, &size, text, strlen(text)));
}

static void other_content_ranges_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"bytes ",
		"bytes 0-1",
		"bytes 0-1/",
		"bytes 0-1/*",
		"bytes 2-1/9",
		"bytes 0-9/9",
		"bytes 0-1/2x",
		"bytes  0-1/2",
		"bytes 00-1/2",
		"bytes -1/2",
		"items 0-1/2",
		"bytes 0-1/18446744073709551616",
	};
	uint64_t start = 7, n = 7, size = 7;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (content_range_parse(&start, &n, &size, bad[i], strlen(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(start + n + size, 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_mean_what_the_rfc_says),
		cmocka_unit_test(content_ranges_come_back),
		cmocka_unit_test(other_content_ranges_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
