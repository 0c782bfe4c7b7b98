#include "tests/support/unit.h"
#include "base/buf.h"

static void appends_are_text_too(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	struct err e;

	assert_string_equal(buf_str(&b), "");
	assert_ok(buf_add(&b, NULL, 0, &e), &e);
	assert_ok(buf_add_str(&b, "key", &e), &e);
	assert_ok(buf_printf(&b, &e, "=%d", 42), &e);
	assert_string_equal(buf_str(&b), "key=42");
	assert_int_equal(b.n, 6);
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.n, 0);
}

static void the_limit_is_exact_and_refusal_changes_nothing(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(5);
	struct err e;

	assert_ok(buf_add(&b, "abc", 3, &e), &e);
	assert_fails(buf_add(&b, "def", 3, &e), &e, E_TOO_BIG);
	assert_string_equal(e.text, "more than 5 bytes");
	assert_fails(buf_printf(&b, &e, "%s", "def"), &e, E_TOO_BIG);
	assert_string_equal(buf_str(&b), "abc");
	assert_ok(buf_add(&b, "de", 2, &e), &e);
	assert_fails(buf_add(&b, "f", 1, &e), &e, E_TOO_BIG);
	assert_ok(buf_add(&b, "f", 0, &e), &e);
	assert_string_equal(buf_str(&b), "abcde");
}

static void huge_requests_do_not_wrap_around(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(SIZE_MAX);
	uint8_t *p;
	struct err e;

	assert_ok(buf_add(&b, "x", 1, &e), &e);
	assert_fails(buf_reserve(&b, SIZE_MAX, &p, &e), &e, E_TOO_BIG);
	assert_fails(buf_reserve(&b, SIZE_MAX - 1, &p, &e), &e, E_NOMEM);
	assert_string_equal(buf_str(&b), "x");
}

static void reserve_then_commit_keeps_the_nul(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100000);
	uint8_t *p;
	struct err e;

	for (unsigned i = 0; i < 1000; i++) {
		assert_ok(buf_reserve(&b, 64, &p, &e), &e);
		memset(p, 'a' + (int)(i % 26), 64);
		buf_commit(&b, 61);
		assert_int_equal(b.p[b.n], 0);
	}
	assert_int_equal(b.n, 61000);
	assert_int_equal(strlen(buf_str(&b)), 61000);
}

static void take_hands_over_and_leaves_an_empty_buf(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);
	char *s;
	size_t n;
	struct err e;

	assert_ok(buf_add_str(&b, "hello", &e), &e);
	assert_ok(buf_take(&b, &s, &n, &e), &e);
	assert_string_equal(s, "hello");
	assert_int_equal(n, 5);
	free(s);
	assert_int_equal(b.n, 0);
	assert_int_equal(b.max, 100);
	assert_ok(buf_take(&b, &s, NULL, &e), &e); /* of an empty one too */
	assert_string_equal(s, "");
	free(s);
}

static void no_memory_is_an_error_and_keeps_the_bytes(void **state)
{
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
		struct err e;

		for (unsigned i = 0; i < 20; i++) {
			size_t before = b.n;

			if (!buf_printf(&b, &e, "number %u, ", i)) {
				assert_int_equal(e.code, E_NOMEM);
				assert_int_equal(b.n, before);
				assert_int_equal(strlen(buf_str(&b)), before);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_are_text_too),
		cmocka_unit_test(the_limit_is_exact_and_refusal_changes_nothing),
		cmocka_unit_test(huge_requests_do_not_wrap_around),
		cmocka_unit_test(reserve_then_commit_keeps_the_nul),
		cmocka_unit_test(take_hands_over_and_leaves_an_empty_buf),
		cmocka_unit_test(no_memory_is_an_error_and_keeps_the_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
