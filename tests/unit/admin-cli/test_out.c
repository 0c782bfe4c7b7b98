#include "tests/support/unit.h"

#include "admin-cli/out.h"

static struct err e;

static struct jdoc *parse(const char *json)
{
	struct jdoc *d = NULL;

	assert_ok(jdoc_parse(&d, json, strlen(json), &e), &e);
	return d;
}

static void assert_cell(const char *json, const char *path, enum out_kind kind,
			const char *want)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	CLEANUP(jdoc_freep) struct jdoc *d = parse(json);
	struct out_col col = { "T", path, kind };

	assert_ok(out_cell(&b, jdoc_root(d), &col, &e), &e);
	assert_string_equal(buf_str(&b), want);
}

static void cells_show_what_is_there(void **state)
{
	assert_cell("{\"a\":\"x\"}", "a", OUT_TEXT, "x");
	assert_cell("{\"a\":{\"b\":{\"c\":7}}}", "a.b.c", OUT_TEXT, "7");
	assert_cell("{\"a\":true}", "a", OUT_TEXT, "yes");
	assert_cell("{\"a\":1500000}", "a", OUT_BYTES, "1.5 MB");
	assert_cell("{\"a\":\"0123456789abcdef\"}", "a", OUT_ID, "0123456789ab");
	assert_cell("{\"a\":[\"x\",\"y\",3]}", "a", OUT_LIST, "x,y,3");
	assert_cell("{\"a\":{\"k\":1,\"l\":2}}", "a", OUT_LIST, "k,l");
	assert_cell("{\"a\":{\"k\":1,\"l\":\"v\"}}", "a", OUT_PAIRS, "k=1,l=v");
	assert_cell("{\"t\":{\"all\":true}}", "t", OUT_TARGET, "all");
	assert_cell("{\"t\":{\"group\":\"sales\"}}", "t", OUT_TARGET, "group sales");
}

static void cells_show_a_dash_for_what_is_not(void **state)
{
	assert_cell("{}", "a", OUT_TEXT, "-");
	assert_cell("{\"a\":null}", "a", OUT_TEXT, "-");
	assert_cell("{\"a\":\"\"}", "a", OUT_TEXT, "-");
	assert_cell("{\"a\":[]}", "a", OUT_LIST, "-");
	assert_cell("{\"a\":{}}", "a", OUT_PAIRS, "-");
	assert_cell("{\"a\":3}", "a.b.c", OUT_TEXT, "-");
	assert_cell("[1]", "a", OUT_TEXT, "-");
}

static void cells_of_another_type_than_expected_do_no_harm(void **state)
{
	static const char *const values[] = { "null",  "true",    "-5",
					      "\"x\"", "[1,[2]]", "{\"b\":[]}" };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		for (int kind = OUT_TEXT; kind <= OUT_PAIRS; kind++) {
			CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
			CLEANUP(jdoc_freep) struct jdoc *d = NULL;
			struct out_col col = { "T", "a", (enum out_kind)kind };
			char json[64];

			snprintf(json, sizeof(json), "{\"a\":%s}", values[i]);
			d = parse(json);
			assert_ok(out_cell(&b, jdoc_root(d), &col, &e), &e);
			assert_true(b.n > 0);
		}
	}
}

static void a_handset_cannot_move_the_cursor(void **state)
{
	assert_cell("{\"a\":\"x\\u001b[2J\\r\\n\\u007fy\"}", "a", OUT_TEXT, "x?[2J???y");
	assert_cell("{\"a\":\"\\u009b2J\\u202egpj\"}", "a", OUT_TEXT, "??2J???gpj");
	assert_cell("{\"a\":[\"\\u001b\"]}", "a", OUT_LIST, "?");
	assert_cell("{\"a\":[{\"\\u009b\":\"\\u202e\"}]}", "a", OUT_LIST, "{\"??\":\"???\"}");
	assert_cell("{\"a\":{\"\\u001b\":\"\\u001b\"}}", "a", OUT_PAIRS, "?=?");
}

static void tables_align_by_letters_and_not_by_bytes(void **state)
{
	static const struct out_col cols[] = { { "NAME", "n", OUT_TEXT },
					       { "V", "v", OUT_TEXT } };
	CLEANUP(jdoc_freep) struct jdoc *a = parse("{\"n\":\"J\u00fcrgen\",\"v\":1}");
	CLEANUP(jdoc_freep) struct jdoc *b = parse("{\"n\":\"Bo\",\"v\":22}");
	CLEANUP(out_table_freep) struct out_table *t = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1000);

	assert_ok(out_table_new(&t, cols, 2, &e), &e);
	assert_ok(out_table_add(t, jdoc_root(a), &e), &e);
	assert_ok(out_table_add(t, jdoc_root(b), &e), &e);
	assert_ok(out_table_draw(t, (struct out_style){ 0 }, &out, &e), &e);
	assert_string_equal(buf_str(&out), "NAME    V\nJ\u00fcrgen  1\nBo      22\n");
	buf_reset(&out);
	assert_ok(out_table_draw(t, (struct out_style){ .color = true }, &out, &e), &e);
	assert_non_null(strstr(buf_str(&out), "\033[1mNAME    V\033[0m\n"));
}

/* One row as a terminal of so many columns shows it. */
static void assert_row(unsigned columns, bool utf8, const char *wanted)
{
	static const struct out_col cols[] = { { "ID", "id", OUT_ID },
					       { "NAME", "n", OUT_TEXT },
					       { "RUNS", "r", OUT_TEXT },
					       { "SEEN", "t", OUT_WHOLE },
					       { "REASON", "why", OUT_PROSE } };
	CLEANUP(jdoc_freep)
	struct jdoc *d = parse("{\"id\":\"0123456789abcdef\",\"n\":\"J\u00fcrgens Telefon\","
			       "\"r\":\"acme-phone/1.0.0\",\"t\":\"2026-11-23T07:48:44Z\","
			       "\"why\":\"a rather long sentence\"}");
	CLEANUP(out_table_freep) struct out_table *t = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(1000);
	struct out_style style = { .columns = columns, .utf8 = utf8 };

	assert_ok(out_table_new(&t, cols, 5, &e), &e);
	assert_ok(out_table_add(t, jdoc_root(d), &e), &e);
	assert_ok(out_table_draw(t, style, &out, &e), &e);
	assert_string_equal(strchr(buf_str(&out), '\n') + 1, wanted);
}

static void names_give_way_on_a_terminal_and_nothing_else_does(void **state)
{
	assert_row(0, true,
		   "0123456789ab  J\u00fcrgens Telefon  acme-phone/1.0.0  2026-11-23T07:48:44Z"
		   "  a rather long sentence\n");
	assert_row(77, true,
		   "0123456789ab  J\u00fcrgens Telefon  acme-phone/1.0.0  2026-11-23T07:48:44Z"
		   "  a rather long sentence\n");
	assert_row(
		74, true,
		"0123456789ab  J\u00fcrgen\u2026Telefon  acme-p\u2026e/1.0.0  2026-11-23T07:48:44Z"
		"  a rather long sentence\n");
	assert_row(74, false,
		   "0123456789ab  J\u00fcrgen~Telefon  acme-p~e/1.0.0  2026-11-23T07:48:44Z"
		   "  a rather long sentence\n");
	/* There is a least width, and no terminal has none. */
	assert_row(1, true,
		   "0123456789ab  J\u00fcr\u2026efon  acm\u2026.0.0  2026-11-23T07:48:44Z"
		   "  a rather long sentence\n");
}

static void records_leave_out_what_is_not_there(void **state)
{
	static const struct out_col cols[] = { { "id", "id", OUT_TEXT },
					       { "last seen", "seen", OUT_TEXT },
					       { "name", "n", OUT_TEXT } };
	CLEANUP(jdoc_freep) struct jdoc *d = parse("{\"id\":\"x\",\"seen\":null,\"n\":\"y\"}");
	CLEANUP(buf_done) struct buf out = BUF_INIT(1000);

	assert_ok(out_record(&out, jdoc_root(d), cols, 3, &e), &e);
	assert_string_equal(buf_str(&out), "id:        x\nname:      y\n");
}

static void running_out_of_memory_is_an_error(void **state)
{
	static const struct out_col cols[] = { { "A", "a", OUT_TEXT }, { "B", "b", OUT_LIST } };
	CLEANUP(jdoc_freep) struct jdoc *d = parse("{\"a\":\"x\",\"b\":[1,2]}");

	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(out_table_freep) struct out_table *t = NULL;
		CLEANUP(buf_done) struct buf out = BUF_INIT(1000);
		bool ok = out_table_new(&t, cols, 2, &e) &&
			  out_table_add(t, jdoc_root(d), &e) &&
			  out_table_add(t, jdoc_root(d), &e) &&
			  out_table_draw(t, (struct out_style){ 0 }, &out, &e);

		assert_true(ok || e.code == E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_show_what_is_there),
		cmocka_unit_test(cells_show_a_dash_for_what_is_not),
		cmocka_unit_test(cells_of_another_type_than_expected_do_no_harm),
		cmocka_unit_test(a_handset_cannot_move_the_cursor),
		cmocka_unit_test(tables_align_by_letters_and_not_by_bytes),
		cmocka_unit_test(names_give_way_on_a_terminal_and_nothing_else_does),
		cmocka_unit_test(records_leave_out_what_is_not_there),
		cmocka_unit_test(running_out_of_memory_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
