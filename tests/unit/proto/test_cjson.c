#include "tests/support/unit.h"

#include "proto/cjson.h"

static void check_canon(const char *text, const char *want, size_t want_n)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(10000);
	struct err e;

	assert_ok(cjson_from_text(&b, text, strlen(text), &e), &e);
	assert_int_equal(b.n, want_n);
	assert_memory_equal(buf_str(&b), want, want_n);
}

static void canonical_form_is_what_securesystemslib_makes(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "\"\"", "\"\"" },
		{ "[1, 2, 3]", "[1,2,3]" },
		{ " [ ] ", "[]" },
		{ "{}", "{}" },
		{ "{\"A\": [99]}", "{\"A\":[99]}" },
		{ "{\"y\": 2, \"x\": 3}", "{\"x\":3,\"y\":2}" },
		{ "{\"x\": {\"b\": null, \"a\": true}, \"w\": false}",
		  "{\"w\":false,\"x\":{\"a\":true,\"b\":null}}" },
		{ "-7", "-7" },
		{ "9007199254740991", "9007199254740991" },
		{ "\"a\\u0041\\/b\"", "\"aA/b\"" },
		{ "\"\\\"\\\\\"", "\"\\\"\\\\\"" },
		{ "\"\\n\\t\\r\\u0001\"", "\"\n\t\r\001\"" }, /* as they are */
		{ "\"\\u00e9\"", "\"\xc3\xa9\"" },
		{ "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
		{ "{\"\\\"\": 1, \"\\\\\": 2}", "{\"\\\"\":1,\"\\\\\":2}" },
		/* sorted by code point: U+FF5E before U+1F600, A before a, a prefix before it all */
		{ "{\"\\ud83d\\ude00\": 1, \"\\uff5e\": 2, \"a\": 3, \"A\": 4, \"\": 5, \"aa\": 6}",
		  "{\"\":5,\"A\":4,\"a\":3,\"aa\":6,\"\xef\xbd\x9e\":2,\"\xf0\x9f\x98\x80\":1}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_canon(cases[i].text, cases[i].want, strlen(cases[i].want));
	check_canon("\"a\\u0000b\"", "\"a\0b\"", 5);
}

static void the_canonical_form_of_the_canonical_form_is_itself(void **state)
{
	static const char text[] = "{\"b\":[{\"x\":\"\\\"\"},-1],\"c\":{}}";

	check_canon(text, text, sizeof(text) - 1);
}

static void what_has_no_canonical_form_is_refused(void **state)
{
	static const char *const texts[] = { "1.0", "1e2",         "{\"a\":1,\"a\":1}", "[1,]",
					     "",    "\"\\ud800\"", "9007199254740993" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
		struct err e;

		assert_ok(buf_add_str(&b, "before", &e), &e);
		assert_fails(cjson_from_text(&b, texts[i], strlen(texts[i]), &e), &e, E_FORMAT);
		assert_string_equal(buf_str(&b), "before");
	}
}

static void files_escape_control_characters(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	static const char text[] = "{\"b\": \"\\n\\u001f\\u007f\\\"\", \"a\\u0001\": 1}";
	struct err e;

	assert_ok(jdoc_parse(&d, text, sizeof(text) - 1, &e), &e);
	assert_ok(cjson_encode_json(&b, jdoc_root(d), &e), &e);
	assert_string_equal(buf_str(&b), "{\"a\\u0001\":1,\"b\":\"\\u000a\\u001f\x7f\\\"\"}");
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	static const char text[] =
		"{\"aa\":[1,\"b\\\"c\",null,true,false],\"d\":{\"e\":-5,\"f\\\\\":\"\\u0001\"}}";
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	size_t whole;
	struct err e;

	assert_ok(jdoc_parse(&d, text, sizeof(text) - 1, &e), &e);
	for (int json = 0; json < 2; json++) {
		bool (*encode)(struct buf *, const struct jval *, struct err *) =
			json ? cjson_encode_json : cjson_encode;
		CLEANUP(buf_done) struct buf all = BUF_INIT(1000);

		assert_ok(encode(&all, jdoc_root(d), &e), &e);
		whole = all.n;
		for (size_t max = 0; max < whole; max++) {
			CLEANUP(buf_done) struct buf b = BUF_INIT(1 + max);

			assert_ok(buf_add(&b, "=", 1, &e), &e);
			assert_fails(encode(&b, jdoc_root(d), &e), &e, E_TOO_BIG);
			assert_string_equal(buf_str(&b), "=");
		}
	}
	CLEANUP(buf_done) struct buf small = BUF_INIT(10);
	assert_fails(cjson_from_text(&small, text, sizeof(text) - 1, &e), &e, E_TOO_BIG);
	CLEANUP(buf_done) struct buf none = BUF_INIT(0);
	assert_fails(cjson_encode(&none, jdoc_root(d), &e), &e, E_TOO_BIG);
	assert_string_equal(buf_str(&none), "");
}

static void equality_is_of_the_canonical_forms(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = { { "{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }", true },
		      { "{\"a\":1}", "{\"a\":2}", false },
		      { "{\"a\":1}", "{\"a\":1,\"b\":1}", false },
		      { "[1,2]", "[2,1]", false },
		      { "\"A\"", "\"\\u0041\"", true } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(jdoc_freep) struct jdoc *a = NULL;
		CLEANUP(jdoc_freep) struct jdoc *b = NULL;
		struct err e;
		bool same;

		assert_ok(jdoc_parse(&a, cases[i].a, strlen(cases[i].a), &e), &e);
		assert_ok(jdoc_parse(&b, cases[i].b, strlen(cases[i].b), &e), &e);
		assert_ok(cjson_equal(&same, jdoc_root(a), jdoc_root(b), &e), &e);
		assert_int_equal(same, cases[i].same);
	}
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	static const char text[] = "{\"a\":[{\"b\":1}]}";
	struct err e;
	bool same;

	assert_ok(jdoc_parse(&d, text, sizeof(text) - 1, &e), &e);
	FAULT_EACH(n, FAULT_ALLOC) {
		if (!cjson_equal(&same, jdoc_root(d), jdoc_root(d), &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_form_is_what_securesystemslib_makes),
		cmocka_unit_test(the_canonical_form_of_the_canonical_form_is_itself),
		cmocka_unit_test(what_has_no_canonical_form_is_refused),
		cmocka_unit_test(files_escape_control_characters),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(equality_is_of_the_canonical_forms),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
