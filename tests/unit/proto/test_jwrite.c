#include "tests/support/unit.h"

#include "proto/jread.h"
#include "proto/jwrite.h"

static void check_written(struct jw *w, const struct buf *b, const char *wanted)
{
	struct err e;

	assert_ok(jw_finish(w, &e), &e);
	assert_string_equal(buf_str(b), wanted);
}

static void a_message_reads_like_what_was_written(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_u64(&w, "u", 9007199254740991);
	jw_i64(&w, "i", -1);
	jw_arr(&w, "a");
	jw_obj(&w, NULL);
	jw_end(&w);
	jw_arr(&w, NULL);
	jw_end(&w);
	jw_bool(&w, NULL, true);
	jw_null(&w, NULL);
	jw_end(&w);
	jw_hex(&w, "h", (const uint8_t *)"\x01\xfe", 2);
	jw_base64(&w, "b", (const uint8_t *)"any", 3);
	jw_time(&w, "t", 1795362060);
	jw_raw(&w, "r", "{\"x\":1}", 7);
	jw_strn(&w, "s", "abcdef", 3);
	jw_end(&w);
	check_written(
		&w, &b,
		"{\"u\":9007199254740991,\"i\":-1,\"a\":[{},[],true,null],\"h\":\"01fe\","
		"\"b\":\"YW55\",\"t\":\"2026-11-22T15:41:00Z\",\"r\":{\"x\":1},\"s\":\"abc\"}");
}

static void long_bytes_are_written_whole(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	uint8_t bytes[200], back[200];
	struct jw w;
	struct err e;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	jw_init(&w, &b);
	jw_hex(&w, NULL, bytes, sizeof(bytes));
	assert_ok(jw_finish(&w, &e), &e);
	assert_ok(jdoc_parse(&d, b.p, b.n, &e), &e);
	assert_ok(jval_get_hex(back, sizeof(back), jdoc_root(d), &e), &e);
	assert_memory_equal(back, bytes, sizeof(bytes));
}

static void only_what_must_be_escaped_is(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	struct jw w;

	jw_init(&w, &b);
	jw_str(&w, NULL, "a\"b\\c/\n\t\x01\x7f\xc3\xa9\xf0\x9f\x93\xb1<");
	check_written(&w, &b, "\"a\\\"b\\\\c/\\n\\t\\u0001\x7f\xc3\xa9\xf0\x9f\x93\xb1<\"");
}

static void every_byte_comes_back_through_the_reader(void **state)
{
	for (unsigned c = 1; c < 0x80; c++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(64);
		CLEANUP(jdoc_freep) struct jdoc *d = NULL;
		const char text[2] = { (char)c, 0 };
		struct jw w;
		struct err e;

		jw_init(&w, &b);
		jw_str(&w, NULL, text);
		assert_ok(jw_finish(&w, &e), &e);
		assert_ok(jdoc_parse(&d, b.p, b.n, &e), &e);
		assert_string_equal(jval_str(jdoc_root(d), NULL), text);
	}
}

static void check_not_utf8(const char *text)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(64);
	struct jw w;
	struct err e;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_str(&w, "k", text);
	jw_str(&w, "later", "fine");
	jw_end(&w);
	assert_fails(jw_finish(&w, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "k: the text is not UTF-8");
	assert_int_equal(b.n, 0);
}

static void text_that_is_not_utf8_is_an_error_and_leaves_nothing(void **state)
{
	check_not_utf8("\x80");
	check_not_utf8("\xc0\x80");
	check_not_utf8("\xc1\xbf");
	check_not_utf8("\xc3");
	check_not_utf8("\xe0\x9f\xbf");
	check_not_utf8("\xed\xa0\x80");
	check_not_utf8("\xf0\x8f\xbf\xbf");
	check_not_utf8("\xf4\x90\x80\x80");
	check_not_utf8("\xf5\x80\x80\x80");
	check_not_utf8("\xe2\x82");
}

static void a_log_of_any_bytes_becomes_valid_json(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	uint8_t bytes[256];
	struct jw w;
	struct err e;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	jw_init(&w, &b);
	jw_lossy(&w, NULL, bytes, sizeof(bytes));
	assert_ok(jw_finish(&w, &e), &e);
	assert_ok(jdoc_parse(&d, b.p, b.n, &e), &e);
	/* 127 ASCII bytes, and U+FFFD (3 bytes) for NUL and each of the 128 others. */
	assert_int_equal(strlen(jval_str(jdoc_root(d), NULL)), 127 + 3 * 129);
}

static void the_first_error_sticks_and_earlier_bytes_stay(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(16);
	struct jw w;
	struct err e;

	assert_ok(buf_add_str(&b, "before", &e), &e);
	jw_init(&w, &b);
	jw_arr(&w, NULL);
	for (int i = 0; i < 100; i++)
		jw_u64(&w, NULL, 1234567);
	jw_end(&w);
	assert_fails(jw_finish(&w, &e), &e, E_TOO_BIG);
	assert_string_equal(buf_str(&b), "before");
}

static void numbers_that_no_reader_takes_are_refused(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(64);
	struct jw w;
	struct err e;

	jw_init(&w, &b);
	jw_u64(&w, NULL, UINT64_C(9007199254740992));
	assert_fails(jw_finish(&w, &e), &e, E_FORMAT);
	jw_init(&w, &b);
	jw_i64(&w, NULL, INT64_MIN);
	assert_fails(jw_finish(&w, &e), &e, E_FORMAT);
}

static void running_out_of_memory_is_reported(void **state)
{
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(65536);
		struct jw w;
		struct err e;

		jw_init(&w, &b);
		jw_arr(&w, NULL);
		for (int i = 0; i < 1000; i++)
			jw_u64(&w, NULL, 1234567);
		jw_end(&w);
		assert_true(jw_finish(&w, &e) || e.code == E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_reads_like_what_was_written),
		cmocka_unit_test(long_bytes_are_written_whole),
		cmocka_unit_test(only_what_must_be_escaped_is),
		cmocka_unit_test(every_byte_comes_back_through_the_reader),
		cmocka_unit_test(text_that_is_not_utf8_is_an_error_and_leaves_nothing),
		cmocka_unit_test(a_log_of_any_bytes_becomes_valid_json),
		cmocka_unit_test(the_first_error_sticks_and_earlier_bytes_stay),
		cmocka_unit_test(numbers_that_no_reader_takes_are_refused),
		cmocka_unit_test(running_out_of_memory_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
