#include "tests/support/unit.h"

#include "base/buf.h"
#include "base/io.h"
#include "base/limits.h"
#include "proto/jread.h"

#include <dirent.h>
#include <unistd.h>

static bool parse(struct jdoc **ret, const char *text, struct err *e)
{
	return jdoc_parse(ret, text, strlen(text), e);
}

static struct jdoc *parsed(const char *text)
{
	struct jdoc *d = NULL;
	struct err e;

	assert_ok(parse(&d, text, &e), &e);
	return d;
}

static void check_refused(const char *text, enum err_code code, const char *words)
{
	struct jdoc *d = NULL;
	struct err e;

	assert_fails(parse(&d, text, &e), &e, code);
	assert_null(d);
	if (!strstr(e.text, words))
		fail_msg("%s: \"%s\" lacks \"%s\"", text, e.text, words);
}

static void a_document_is_read_in_its_own_order(void **state)
{
	struct jdoc *d = parsed("{\"b\": [1, -2, true, null, \"x\"], \"a\": {\"c\": false}}");
	const struct jval *root = jdoc_root(d), *arr;
	struct jiter *sorted, it = jobj_first(root);
	struct err e;
	size_t n;

	assert_string_equal(it.key, "b");
	arr = it.val;
	it = jobj_next(root, it);
	assert_string_equal(it.key, "a");
	assert_null(jobj_next(root, it).val);
	assert_int_equal(jarr_n(arr), 5);
	assert_int_equal(jval_int(jarr_at(arr, 1)), -2);
	assert_true(jval_bool(jarr_at(arr, 2)));
	assert_int_equal(jval_type(jarr_at(arr, 3)), J_NULL);
	assert_string_equal(jval_str(jarr_at(arr, 4), NULL), "x");
	assert_ok(jobj_sorted(root, &sorted, &n, &e), &e);
	assert_int_equal(n, 2);
	assert_string_equal(sorted[0].key, "a");
	assert_string_equal(sorted[1].key, "b");
	free(sorted);
	jdoc_free(d);
}

static void what_two_readers_could_see_differently_is_refused(void **state)
{
	check_refused("{\"a\": 1, \"a\": 1}", E_FORMAT, "duplicate");
	check_refused("{\"a\": 1, \"\\u0061\": 2}", E_FORMAT, "duplicate");
	check_refused("[1.0]", E_FORMAT, "column 3: only integers");
	check_refused("[\n 1e2]", E_FORMAT, "line 2, column 3: only integers");
	check_refused("[9007199254740992]", E_FORMAT, "not within 2^53");
	check_refused("{\"deep\": [-9007199254740992]}", E_FORMAT, "deep: 0: ");
	check_refused("[18446744073709551616]", E_FORMAT, "integer");
	check_refused("\xef\xbb\xbf{}", E_FORMAT, "line 1");
	check_refused("{} {}", E_FORMAT, "end of file expected");
	check_refused("{}\x01", E_FORMAT, "end of file expected");
	check_refused("\"\\ud800\"", E_FORMAT, "Unicode");
	check_refused("\"\\udc00\"", E_FORMAT, "Unicode");
	check_refused("\"\xed\xa0\x80\"", E_FORMAT, "decode byte 0xed");
	check_refused("\"\xc0\xaf\"", E_FORMAT, "decode byte 0xc0");
	check_refused("\"a\nb\"", E_FORMAT, "unexpected newline");
	check_refused("{\"a\\u0000b\": 1}", E_FORMAT, "NUL");
	check_refused("", E_FORMAT, "line");
	check_refused("{'a': 1}", E_FORMAT, "string");
	check_refused("[1, // no\n 2]", E_FORMAT, "invalid token");
}

static void integers_go_to_both_ends_of_their_range(void **state)
{
	struct jdoc *d = parsed("[9007199254740991, -9007199254740991, -0]");
	const struct jval *a = jdoc_root(d);

	assert_true(jval_int(jarr_at(a, 0)) == J_INT_MAX);
	assert_true(jval_int(jarr_at(a, 1)) == -J_INT_MAX);
	assert_true(jval_int(jarr_at(a, 2)) == 0);
	jdoc_free(d);
}

static void nesting_ends_at_the_limit(void **state)
{
	char text[2 * LIMIT_JSON_DEPTH + 3];
	struct jdoc *d;

	memset(text, '[', LIMIT_JSON_DEPTH);
	memset(text + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
	text[2 * LIMIT_JSON_DEPTH] = 0;
	d = parsed(text);
	jdoc_free(d);

	memset(text, '[', LIMIT_JSON_DEPTH + 1);
	memset(text + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
	text[2 * LIMIT_JSON_DEPTH + 2] = 0;
	check_refused(text, E_TOO_BIG, "nested too deeply");
	check_refused("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", E_FORMAT, "");
	d = parsed("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"");
	jdoc_free(d);
}

static void values_end_at_the_limit(void **state)
{
	size_t n = 2 * (size_t)LIMIT_JSON_VALUES + 15;
	char *text = malloc(n);
	struct jdoc *d = NULL;
	struct err e;

	assert_non_null(text);
	text[0] = '[';
	for (size_t i = 1; i + 1 < n; i += 2)
		memcpy(text + i, "0,", 2);
	assert_fails(jdoc_parse(&d, text, n, &e), &e, E_TOO_BIG);
	free(text);
}

static void a_text_with_nul_keeps_its_length_but_is_no_line(void **state)
{
	struct jdoc *d = parsed("{\"a\": \"x\\u0000y\", \"b\": \"x\\ny\", \"c\": \"\\u0085\"}");
	const struct jval *o = jdoc_root(d);
	const char *s = "untouched";
	struct err e;
	size_t n;

	assert_memory_equal(jval_str(jobj_opt(o, "a"), &n), "x\0y", 3);
	assert_int_equal(n, 3);
	assert_fails(jobj_text(&s, &n, o, "a", 99, &e), &e, E_FORMAT);
	assert_fails(jobj_str(&s, o, "a", 99, &e), &e, E_FORMAT);
	assert_fails(jobj_str(&s, o, "b", 99, &e), &e, E_FORMAT);
	assert_fails(jobj_str(&s, o, "c", 99, &e), &e, E_FORMAT);
	assert_string_equal(s, "untouched");
	assert_ok(jobj_text(&s, &n, o, "b", 99, &e), &e);
	assert_string_equal(s, "x\ny");
	jdoc_free(d);
}

static void errors_name_the_member_and_what_is_allowed(void **state)
{
	static const char *const kinds[] = { "kernel", "initrd", NULL };
	static const char *const known[] = { "n", "s", NULL };
	struct jdoc *d = parsed("{\"n\": 0, \"s\": \"Abc\", \"t\": [1, 2]}");
	const struct jval *o = jdoc_root(d), *v;
	const char *s;
	char out[4];
	uint8_t hex[2];
	int64_t i;
	uint64_t u;
	unsigned c;
	bool b;
	struct err e;

	assert_fails(jobj_u64(&u, o, "n", 1, 64, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "n: 0 is not within 1 and 64");
	assert_fails(jobj_i64(&i, o, "n", -9, -1, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "n: 0 is not within -9 and -1");
	assert_fails(jobj_u64(&u, o, "s", 1, 64, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "s: a string, not an integer");
	assert_fails(jobj_str(&s, o, "n", 9, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "n: an integer, not a string");
	assert_fails(jobj_str(&s, o, "s", 2, &e), &e, E_TOO_BIG);
	assert_string_equal(e.text, "s: 3 bytes, at most 2");
	assert_fails(jobj_name(&s, o, "s", &e), &e, E_FORMAT);
	assert_fails(jobj_obj(&v, o, "x", &e), &e, E_FORMAT);
	assert_string_equal(e.text, "x: missing");
	assert_fails(jobj_arr(&v, o, "t", 1, &e), &e, E_TOO_BIG);
	assert_string_equal(e.text, "t: 2 entries, at most 1");
	assert_fails(jobj_bool(&b, o, "n", &e), &e, E_FORMAT);
	assert_string_equal(e.text, "n: an integer, not a boolean");
	assert_fails(jobj_hex(hex, 2, o, "s", &e), &e, E_FORMAT);
	assert_string_equal(e.text, "s: not 4 lower-case hexadecimal digits");
	assert_fails(jobj_time(&i, o, "s", &e), &e, E_FORMAT);
	assert_fails(jobj_choice(&c, o, "s", kinds, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "s: \"Abc\" is none of kernel, initrd");
	assert_fails(jobj_only(o, known, &e), &e, E_FORMAT);
	assert_string_equal(e.text, "unknown field \"t\"");
	assert_fails(jobj_version(o, "n", 1, &e), &e, E_UNSUPPORTED);
	assert_ok(jobj_copy(out, sizeof(out), o, "s", &e), &e);
	assert_fails(jobj_copy(out, 3, o, "s", &e), &e, E_TOO_BIG);
	assert_string_equal(out, "Abc");
	jdoc_free(d);
}

/* ---- vectors ---- */

struct listed {
	const char *name, *why;
};

/* Valid JSON that we refuse, each for a rule on the header. */
static const struct listed refused_on_purpose[] = {
	{ "y_number.json", "exponent" },
	{ "y_number_0e+1.json", "exponent" },
	{ "y_number_0e1.json", "exponent" },
	{ "y_number_int_with_exp.json", "exponent" },
	{ "y_number_double_close_to_zero.json", "fraction" },
	{ "y_number_real_capital_e.json", "exponent" },
	{ "y_number_real_capital_e_neg_exp.json", "exponent" },
	{ "y_number_real_capital_e_pos_exp.json", "exponent" },
	{ "y_number_real_exponent.json", "exponent" },
	{ "y_number_real_fraction_exponent.json", "exponent" },
	{ "y_number_real_neg_exp.json", "exponent" },
	{ "y_number_real_pos_exponent.json", "exponent" },
	{ "y_number_simple_real.json", "fraction" },
	{ "y_object_duplicated_key.json", "key twice" },
	{ "y_object_duplicated_key_and_value.json", "key twice" },
	{ "y_object_escaped_null_in_key.json", "NUL in a key" },
	{ "y_object_extreme_numbers.json", "fraction" },
	{ "y_structure_lonely_negative_real.json", "fraction" },
};

static bool must_be_refused(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused_on_purpose); i++)
		if (strcmp(name, refused_on_purpose[i].name) == 0)
			return true;
	return name[0] == 'n';
}

static bool file_parses(int dirfd, const char *name)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1048576);
	struct jdoc *d = NULL;
	struct err e;
	bool ok;

	assert_ok(read_file_at(dirfd, name, &b, &e), &e);
	ok = jdoc_parse(&d, b.p, b.n, &e);
	assert_true(ok == (d != NULL));
	jdoc_free(d);
	return ok;
}

/* y_ must parse but for the list above, n_ must not, i_ may do either but not crash. */
static unsigned check_vectors(const char *path)
{
	DIR *dir = opendir(path);
	unsigned seen = 0;

	if (!dir)
		return 0;
	for (const struct dirent *d; (d = readdir(dir));) {
		bool ok;

		if (!strchr("yni", d->d_name[0]) || d->d_name[1] != '_')
			continue;
		ok = file_parses(dirfd(dir), d->d_name);
		if (d->d_name[0] != 'i' && ok == must_be_refused(d->d_name))
			fail_msg("%s was %s", d->d_name, ok ? "accepted" : "refused");
		seen++;
	}
	closedir(dir);
	return seen;
}

static void our_own_vectors_are_read_as_named(void **state)
{
	assert_in_range(check_vectors("tests/hostile/json"), 20, 9999);
}

static void the_public_test_suite_is_read_as_named(void **state)
{
	static const char path[] = "../shared/vectors/json";

	if (access(path, R_OK) != 0) {
		print_message("no %s (JSONTestSuite's test_parsing folder)\n", path);
		skip();
	}
	assert_in_range(check_vectors(path), 300, 9999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_is_read_in_its_own_order),
		cmocka_unit_test(what_two_readers_could_see_differently_is_refused),
		cmocka_unit_test(integers_go_to_both_ends_of_their_range),
		cmocka_unit_test(nesting_ends_at_the_limit),
		cmocka_unit_test(values_end_at_the_limit),
		cmocka_unit_test(a_text_with_nul_keeps_its_length_but_is_no_line),
		cmocka_unit_test(errors_name_the_member_and_what_is_allowed),
		cmocka_unit_test(our_own_vectors_are_read_as_named),
		cmocka_unit_test(the_public_test_suite_is_read_as_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
