#include "tests/support/unit.h"

#include <errno.h>

static void text_reads_from_the_outside_in(void **state)
{
	struct err e;

	err_set(&e, E_CORRUPT, "hash differs");
	err_wrap(&e, "chunk %d", 7);
	assert_false(err_wrap(&e, "release %s", "42"));
	assert_string_equal(e.text, "release 42: chunk 7: hash differs");
	assert_int_equal(e.code, E_CORRUPT);
}

static void control_characters_do_not_survive(void **state)
{
	struct err e;

	err_set(&e, E_FORMAT, "%s", "a\nb\033[2Jc\177");
	assert_string_equal(e.text, "a?b?[2Jc?");
	err_wrap(&e, "x\r%s", "\t");
	assert_string_equal(e.text, "x??: a?b?[2Jc?");
	err_set(&e, E_FORMAT, "%s",
		"\xc2\x9b"
		"2J \u202egpj \xff J\u00fcrgen");
	assert_string_equal(e.text, "??2J ???gpj ? J\u00fcrgen");
}

static void long_texts_are_cut_not_overrun(void **state)
{
	char big[2 * ERR_TEXT_MAX];
	struct err e;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&e, E_FORMAT, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	err_wrap(&e, "%s", "front");
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "front: xxx", 10);
	err_wrap(&e, "%s", big);
	err_sys(&e, EIO, "%s", big);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
}

static void its_own_text_may_be_an_argument(void **state)
{
	struct err e;

	err_set(&e, E_FORMAT, "inner");
	err_set(&e, E_CONFIG, "outer(%s)", e.text);
	assert_string_equal(e.text, "outer(inner)");
	err_wrap(&e, "<%s>", e.text);
	assert_string_equal(e.text, "<outer(inner)>: outer(inner)");
}

static void errnos_are_mapped(void **state)
{
	static const struct {
		int sys;
		enum err_code code;
		int kept;
	} rows[] = {
		{ ENOSPC, E_NO_SPACE, ENOSPC }, { EDQUOT, E_NO_SPACE, EDQUOT },
		{ ENOMEM, E_NOMEM, 0 },         { ENOENT, E_NOT_FOUND, 0 },
		{ EIO, E_SYSTEM, EIO },         { EACCES, E_SYSTEM, EACCES },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_false(err_sys(&e, rows[i].sys, "f"));
		assert_int_equal(e.code, rows[i].code);
		assert_int_equal(e.sys, rows[i].kept);
	}
	err_sys(&e, EISDIR, "f");
	assert_string_equal(e.hint, "name a file, not a folder");
	err_sys(&e, EACCES, "f");
	assert_non_null(strstr(e.hint, "owner and mode"));
	err_sys(&e, EIO, "slot.%d", 0);
	assert_string_equal(e.text, "slot.0: Input/output error");
}

static void names_are_lower_case_and_lead_back(void **state)
{
	struct err e;

	assert_string_equal(err_name(E_NONE), "none");
	assert_string_equal(err_name(E_NOT_FOUND), "not_found");
	assert_string_equal(err_name(E_UNSUPPORTED), "unsupported");
	assert_string_equal(err_name((enum err_code)1000), "internal");
	for (enum err_code c = E_NONE + 1; c <= E_INTERNAL; c++) {
		err_from_name(&e, err_name(c), "text");
		assert_int_equal(e.code, c);
		assert_non_null(e.hint);
	}
	err_from_name(&e, "of_the_future", "text");
	assert_int_equal(e.code, E_INTERNAL);
	err_from_name(&e, "none", "an error cannot be none");
	assert_int_equal(e.code, E_INTERNAL);
}

static void every_code_has_statuses_and_a_hint(void **state)
{
	struct err e;

	assert_int_equal(err_exit(E_NONE), 0);
	assert_int_equal(err_http(E_NONE), 200);
	for (enum err_code c = E_NONE + 1; c <= E_INTERNAL; c++) {
		assert_in_range(err_http(c), 202, 599);
		assert_in_range(err_exit(c), 64, 78);
		err_set(&e, c, "x");
		assert_true(strlen(e.hint) > 0);
	}
	err_hint(&e, "do that");
	assert_string_equal(e.hint, "do that");
}

static void what_may_pass_by_itself_is_temporary(void **state)
{
	assert_true(err_is_temporary(E_NETWORK));
	assert_true(err_is_temporary(E_NO_SPACE));
	assert_true(err_is_temporary(E_RATE));
	assert_false(err_is_temporary(E_UNTRUSTED));
	assert_false(err_is_temporary(E_NOT_FOUND));
	assert_false(err_is_temporary(E_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_reads_from_the_outside_in),
		cmocka_unit_test(control_characters_do_not_survive),
		cmocka_unit_test(long_texts_are_cut_not_overrun),
		cmocka_unit_test(its_own_text_may_be_an_argument),
		cmocka_unit_test(errnos_are_mapped),
		cmocka_unit_test(names_are_lower_case_and_lead_back),
		cmocka_unit_test(every_code_has_statuses_and_a_hint),
		cmocka_unit_test(what_may_pass_by_itself_is_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
