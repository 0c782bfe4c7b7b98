#include "tests/support/unit.h"
#include "base/rng.h"
#include "base/text.h"

/* A cursor that moves, a line that ends, words that change places: none of these. */
static void characters_that_people_see_are_told_from_the_others(void **state)
{
	static const struct {
		const char *s;
		size_t n, utf8, seen;
	} rows[] = {
		{ "a", 1, 1, 1 },
		{ " ", 1, 1, 1 },
		{ "~", 1, 1, 1 },
		{ "\x1f", 1, 1, 0 },
		{ "\x7f", 1, 1, 0 },
		{ "\0", 1, 1, 0 },
		{ "\xc2\x80", 2, 2, 0 }, /* C1 */
		{ "\xc2\x9b", 2, 2, 0 }, /* CSI */
		{ "\xc2\x9f", 2, 2, 0 },
		{ "\xc2\xa0", 2, 2, 2 },
		{ "\xc3\xa9", 2, 2, 2 },
		{ "\xc3\x9b", 2, 2, 2 },
		{ "\xe2\x80\xa7", 3, 3, 3 },
		{ "\xe2\x80\xa8", 3, 3, 0 }, /* line separator */
		{ "\xe2\x80\xae", 3, 3, 0 }, /* right-to-left override */
		{ "\xe2\x80\xaf", 3, 3, 3 },
		{ "\xe2\x81\xa5", 3, 3, 3 },
		{ "\xe2\x81\xa6", 3, 3, 0 }, /* left-to-right isolate */
		{ "\xe2\x81\xa9", 3, 3, 0 },
		{ "\xe2\x81\xaa", 3, 3, 3 },
		{ "\xe2\x82\xa8", 3, 3, 3 },
		{ "\xe3\x80\xae", 3, 3, 3 },
		{ "\xf0\x9f\x93\xb1", 4, 4, 4 },
		{ "\xf4\x8f\xbf\xbf", 4, 4, 4 },
		/* not UTF-8: cut, overlong, surrogates, too high, a tail alone */
		{ "\xc3", 1, 0, 0 },
		{ "\xe2\x82", 2, 0, 0 },
		{ "\xc1\xbf", 2, 0, 0 },
		{ "\xe0\x9f\xbf", 3, 0, 0 },
		{ "\xed\xa0\x80", 3, 0, 0 },
		{ "\xf0\x8f\xbf\xbf", 4, 0, 0 },
		{ "\xf4\x90\x80\x80", 4, 0, 0 },
		{ "\xf5\x80\x80\x80", 4, 0, 0 },
		{ "\xe2\x28\xa1", 3, 0, 0 },
		{ "\xe2\x82\x28", 3, 0, 0 },
		{ "\xf0\x9f\x93\xc0", 4, 0, 0 },
		{ "\x9b", 1, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(utf8_char(rows[i].s, rows[i].n), rows[i].utf8);
		assert_int_equal(text_char(rows[i].s, rows[i].n), rows[i].seen);
	}
}

static void cleaned_text_has_a_question_mark_for_each_byte_of_the_others(void **state)
{
	char text[] = "\xc3\xa9\xc2\x9b"
		      "2J\n\x1b[m\t\xe2\x80\xae\xff\xe2\x82";
	char nul[] = "a\0b\n";

	text_clean(text, strlen(text), "\n");
	assert_string_equal(text, "\xc3\xa9??2J\n?[m??????\?");
	text_clean(nul, 4, "");
	assert_memory_equal(nul, "a?b?", 4);
}

static void a_tail_begins_with_a_character(void **state)
{
	static const char text[] =
		"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xb1"; /* 1, 2, 3 and 4 bytes */
	static const size_t from[] = { 10, 10, 10, 10, 6, 6, 6, 3, 3, 1, 0, 0 };

	for (size_t max = 0; max < ARRAY_SIZE(from); max++)
		assert_int_equal(text_tail(text, 10, max), from[max]);
	assert_int_equal(text_tail("\x80\x80", 2, 1), 2);
	assert_int_equal(text_tail("", 0, 1), 0);
}

static void hex_goes_there_and_back(void **state)
{
	static const uint8_t raw[] = { 0x00, 0x9f, 0xff, 0x10 };
	char text[HEX_SIZE(sizeof(raw))];
	uint8_t back[4];

	hex_encode(text, raw, sizeof(raw));
	assert_string_equal(text, "009fff10");
	assert_true(hex_decode(back, 4, text, 8));
	assert_memory_equal(back, raw, 4);
	hex_encode(text, raw, 0);
	assert_string_equal(text, "");
	assert_true(hex_decode(back, 0, "", 0));
}

static void hex_refuses_what_it_would_not_write(void **state)
{
	static const char *const bad[] = { "009FFF10", "009fff1", "009fff1g", "009fff100",
					   "009fff1 " };
	uint8_t out[4] = { 1, 2, 3, 4 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(hex_decode(out, 4, bad[i], strlen(bad[i])));
	assert_false(hex_decode(out, 4, "009fff\0a", 8));
	assert_false(hex_decode(out, SIZE_MAX / 2 + 5, "009fff10", 8));
	assert_memory_equal(out, ((uint8_t[]){ 1, 2, 3, 4 }), 4);
}

/* RFC 4648 section 10. */
static const struct {
	const char *plain, *base64, *base32;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "MY" },
	{ "fo", "Zm8=", "MZXQ" },
	{ "foo", "Zm9v", "MZXW6" },
	{ "foob", "Zm9vYg==", "MZXW6YQ" },
	{ "fooba", "Zm9vYmE=", "MZXW6YTB" },
	{ "foobar", "Zm9vYmFy", "MZXW6YTBOI" },
};

static void bases_match_the_rfc(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const uint8_t *p = (const uint8_t *)vectors[i].plain;
		size_t n = strlen(vectors[i].plain), back_n;
		char text[32];
		uint8_t back[8];

		base64_encode(text, p, n);
		assert_string_equal(text, vectors[i].base64);
		assert_int_equal(strlen(text) + 1, BASE64_SIZE(n));
		assert_true(base64_decode(back, n, &back_n, text, strlen(text)));
		assert_int_equal(back_n, n);
		assert_memory_equal(back, p, n);
		if (n > 0)
			assert_false(base64_decode(back, n - 1, &back_n, text, strlen(text)));

		base32_encode(text, p, n);
		assert_string_equal(text, vectors[i].base32);
		assert_int_equal(strlen(text) + 1, BASE32_SIZE(n));
		assert_true(base32_decode(back, n, &back_n, text, strlen(text)));
		assert_int_equal(back_n, n);
		assert_memory_equal(back, p, n);
	}
}

static void no_two_texts_mean_the_same_bytes(void **state)
{
	static const char *const bad64[] = {
		"Zg=",  "Zg",       "Zh==",  "Zm9=", "Zg==\n", "=Zg=",      "====",
		"Z===", "Zg==Zg==", "Zm 9v", "Zm-_", "Z=g=",   "Zm9vYg===",
	};
	static const char *const bad32[] = { "MZ",         "M",   "my", "MY======",
					     "MZXW6YTBOJ", "MY1", "MZX" };
	uint8_t out[16] = { 77 };
	size_t n = 99;

	for (size_t i = 0; i < ARRAY_SIZE(bad64); i++)
		assert_false(base64_decode(out, sizeof(out), &n, bad64[i], strlen(bad64[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad32); i++)
		assert_false(base32_decode(out, sizeof(out), &n, bad32[i], strlen(bad32[i])));
	assert_int_equal(out[0], 77);
	assert_int_equal(n, 99);
}

/* Every text of four characters that base64 accepts is the one that its bytes encode to. */
static void accepted_base64_is_canonical(void **state)
{
	struct rng_fake r;
	unsigned accepted = 0;

	rng_fake_init(&r, 1);
	for (unsigned i = 0; i < 200000; i++) {
		static const char chars[] = "ABwxyz059+/=-_ ";
		char text[5] = { 0 }, again[8];
		uint8_t out[3];
		size_t n;

		for (unsigned c = 0; c < 4; c++)
			text[c] = chars[rng_below(&r.base, sizeof(chars) - 1)];
		if (!base64_decode(out, sizeof(out), &n, text, 4))
			continue;
		base64_encode(again, out, n);
		assert_string_equal(again, text);
		accepted++;
	}
	assert_true(accepted > 1000);
}

static void numbers_are_whole_and_canonical(void **state)
{
	static const char *const bad[] = { "",
					   "00",
					   "01",
					   "+1",
					   "-1",
					   " 1",
					   "1 ",
					   "1a",
					   "0x1",
					   "18446744073709551616",
					   "99999999999999999999999" };
	uint64_t v = 5;

	assert_true(u64_parse(&v, "0", 1) && v == 0);
	assert_true(u64_parse(&v, "18446744073709551615", 20) && v == UINT64_MAX);
	assert_true(u64_parse(&v, "123abc", 3) && v == 123);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(u64_parse(&v, bad[i], strlen(bad[i])));
	assert_int_equal(v, 123);
}

static void sizes_have_units_of_1024(void **state)
{
	static const struct {
		const char *s;
		uint64_t bytes;
	} good[] = {
		{ "900", 900 },
		{ "64M", UINT64_C(64) << 20 },
		{ "2GiB", UINT64_C(2) << 30 },
		{ "1.5G", UINT64_C(3) << 29 },
		{ "0.5KiB", 512 },
		{ "0", 0 },
		{ "16777215T", UINT64_C(16777215) << 40 },
	};
	static const char *const bad[] = { "",    "M",   "1.5",        "1.G",
					   ".5G", "64m", "1GB",        "1Gi",
					   "-1",  "1 G", "1.2345678G", "1GiBx",
					   "01M", "1e3", "16777216T",  "99999999999999999999" };
	uint64_t v = 5;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(size_parse(&v, good[i].s));
		assert_true(v == good[i].bytes);
	}
	v = 5;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(size_parse(&v, bad[i]));
	assert_int_equal(v, 5);
}

static void durations_have_units(void **state)
{
	static const char *const bad[] = {
		"", "s", "1w", "1ms", "-1", "1.5h", "99999999999999999d"
	};
	uint64_t v;

	assert_true(duration_parse(&v, "90") && v == 90);
	assert_true(duration_parse(&v, "90s") && v == 90);
	assert_true(duration_parse(&v, "15m") && v == 900);
	assert_true(duration_parse(&v, "12h") && v == 43200);
	assert_true(duration_parse(&v, "7d") && v == 604800);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(duration_parse(&v, bad[i]));
}

static void sizes_are_shown_in_powers_of_1000(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *s;
	} rows[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1000, "1.0 kB" },
		{ 12345678, "12.3 MB" },
		{ 999949, "999.9 kB" },
		{ 999950, "1.0 MB" },
		{ UINT64_C(1100000000), "1.1 GB" },
		{ UINT64_MAX, "18.4 EB" },
	};
	char out[TEXT_SIZE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_format(out, rows[i].bytes);
		assert_string_equal(out, rows[i].s);
	}
}

static void times_go_there_and_back(void **state)
{
	static const struct {
		int64_t t;
		const char *s;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ 951782400, "2000-02-29T00:00:00Z" },
		{ 1795362060, "2026-11-22T15:41:00Z" },
		{ INT64_C(4107542399), "2100-02-28T23:59:59Z" },
		{ INT64_C(4107542400), "2100-03-01T00:00:00Z" },
		{ INT64_C(253402300799), "9999-12-31T23:59:59Z" },
		{ INT64_C(-62162035200), "0000-03-01T00:00:00Z" },
	};
	char out[TIME_TEXT_SIZE];
	struct rng_fake r;
	int64_t back;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		time_format(out, rows[i].t);
		assert_string_equal(out, rows[i].s);
		assert_true(time_parse(&back, out, 20));
		assert_true(back == rows[i].t);
	}
	rng_fake_init(&r, 2);
	for (unsigned i = 0; i < 100000; i++) {
		int64_t t = (int64_t)rng_below(&r.base, UINT64_C(315564336000)) -
			    INT64_C(62162035200);

		time_format(out, t);
		assert_true(time_parse(&back, out, 20) && back == t);
	}
	time_format(out, INT64_MAX);
	assert_string_equal(out, "9999-12-31T23:59:59Z");
	time_format(out, INT64_MIN);
	assert_string_equal(out, "0000-03-01T00:00:00Z");
}

static void times_that_do_not_exist_are_refused(void **state)
{
	static const char *const bad[] = {
		"2026-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z",
		"2026-01-01t00:00:00Z",
		"2026-01-01T00:00:00z",
		"2026-01-01T00:00:00+",
		"2026-01-01 00:00:00Z",
		"2026-01-01T00:00:0aZ",
		"+026-01-01T00:00:00Z",
		"0000-02-29T23:59:59Z",
		"2026-01-01T00:00:00.5Z",
		"2026-01-01T00:00:00",
		"",
	};
	int64_t t = 5;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(time_parse(&t, bad[i], strlen(bad[i])));
	assert_int_equal(t, 5);
	assert_true(time_parse(&t, "2000-02-29T00:00:00Z", 20));
}

static void names_are_safe_in_paths(void **state)
{
	static const char *const bad[] = {
		"",  ".",   "..",   "-a",  "_a",       ".a", "a/b",
		"A", "a b", "a..b", "a\n", "\xc3\xa4", "a%", "12345"
	};

	assert_true(name_is_valid("a", 4));
	assert_true(name_is_valid("a.b-c_9", 7));
	assert_true(name_is_valid("1.", 2));
	assert_false(name_is_valid("abcde", 4));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(name_is_valid(bad[i], 4));
}

static void a_name_that_is_none_is_told_with_the_rule(void **state)
{
	struct err e;

	assert_true(name_check("sales", 5, "group", &e));
	assert_false(name_check("s\xc3\xbc"
				"d",
				5, "group", &e));
	assert_int_equal(e.code, E_USAGE);
	assert_non_null(strstr(e.text, "is no name for a group"));
	assert_non_null(strstr(e.hint, "a-z, 0-9"));
	assert_false(name_check("saless", 5, "group", &e));
}

static void every_flipped_bit_shows_in_the_comparison(void **state)
{
	uint8_t a[33], b[33];

	memset(a, 0x5a, sizeof(a));
	memcpy(b, a, sizeof(b));
	assert_true(bytes_equal_ct(a, b, sizeof(a)));
	assert_true(bytes_equal_ct(NULL, NULL, 0));
	for (size_t bit = 0; bit < sizeof(a) * 8; bit++) {
		flip_bit(b, bit);
		assert_false(bytes_equal_ct(a, b, sizeof(a)));
		flip_bit(b, bit);
	}
}

static void distance_counts_edits(void **state)
{
	char big[100];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("publish", "publsh"), 1);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance(big, ""), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_that_people_see_are_told_from_the_others),
		cmocka_unit_test(cleaned_text_has_a_question_mark_for_each_byte_of_the_others),
		cmocka_unit_test(a_tail_begins_with_a_character),
		cmocka_unit_test(hex_goes_there_and_back),
		cmocka_unit_test(hex_refuses_what_it_would_not_write),
		cmocka_unit_test(bases_match_the_rfc),
		cmocka_unit_test(no_two_texts_mean_the_same_bytes),
		cmocka_unit_test(accepted_base64_is_canonical),
		cmocka_unit_test(numbers_are_whole_and_canonical),
		cmocka_unit_test(sizes_have_units_of_1024),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(sizes_are_shown_in_powers_of_1000),
		cmocka_unit_test(times_go_there_and_back),
		cmocka_unit_test(times_that_do_not_exist_are_refused),
		cmocka_unit_test(names_are_safe_in_paths),
		cmocka_unit_test(a_name_that_is_none_is_told_with_the_rule),
		cmocka_unit_test(every_flipped_bit_shows_in_the_comparison),
		cmocka_unit_test(distance_counts_edits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
