/* Copies are inserted where that costs less, part by part. */
#include "tests/support/unit.h"
#include "delta/weigh.h"

enum { BIT = 1 << 16 };

static const struct op ops[] = {
	{ .n = 100, .kind = OP_INSERT }, { .from = 5000, .n = 40, .kind = OP_COPY },
	{ .n = 60, .kind = OP_INSERT },  { .from = 0, .n = 4096, .kind = OP_ADD },
	{ .n = 500, .kind = OP_ZERO },
};

/* Each command's head takes 20 bits; the copy takes nothing more, of the four parts of the ADD the second and the third
 * `dear` bits for a byte and the others none. */
static void weighed(struct weigh *w, uint64_t dear)
{
	struct err e;

	assert_ok(weigh_init(w, ARRAY_SIZE(ops), &e), &e);
	for (uint32_t i = 0; i < ARRAY_SIZE(ops); i++) {
		w->heads[i] = 20 * BIT;
		if (ops[i].kind == OP_ADD)
			for (unsigned k = 0; k < 4; k++)
				assert_ok(weigh_add(w, ops, i, 1024,
						    k == 1 || k == 2 ? 1024 * dear * BIT : 0,
						    &e),
					  &e);
		else
			assert_ok(weigh_add(w, ops, i, ops[i].n,
					    ops[i].kind == OP_INSERT ? ops[i].n * BIT : 0, &e),
				  &e);
	}
}

static void chosen(struct weigh *w, struct ops *ret, uint64_t more)
{
	struct err e;
	size_t part = 0;

	assert_int_equal(weigh_choose(w, ops, ARRAY_SIZE(ops)), more);
	assert_ok(weigh_take(w, ops, ARRAY_SIZE(ops), &part, ret, &e), &e);
	assert_int_equal(part, w->n);
}

static void assert_op(const struct op *o, unsigned kind, uint64_t from, uint64_t n)
{
	assert_int_equal(o->kind, kind);
	assert_int_equal(o->from, from);
	assert_int_equal(o->n, n);
}

static void what_is_dear_is_inserted_and_the_rest_is_copied(void **state UNUSED)
{
	for (unsigned reckoned = 0; reckoned < 2; reckoned++) {
		CLEANUP(weigh_done) struct weigh w = { 0 };
		CLEANUP(ops_done) struct ops o = { 0 };

		weighed(&w, 4);
		assert_true(weigh_hopes(&w, ops, 160 * BIT, 8492 * (uint64_t)BIT));
		assert_int_equal(w.each, BIT);
		for (size_t i = 0; i < w.n; i++)
			w.v[i].inserted = w.v[i].may ? w.v[i].n * BIT / 3 : 0;
		if (reckoned)
			weigh_reckon(&w);
		assert_int_equal(w.v[1].inserted, 40 * BIT / (reckoned ? 2 : 3));
		chosen(&w, &o, 40 + 2048);
		assert_int_equal(o.n, 5);
		assert_op(&o.v[0], OP_INSERT, 0, 200);
		assert_op(&o.v[1], OP_ADD, 0, 1024);
		assert_op(&o.v[2], OP_INSERT, 0, 2048);
		assert_op(&o.v[3], OP_ADD, 3072, 1024);
		assert_op(&o.v[4], OP_ZERO, 0, 500);
	}
}

static void what_would_cost_more_inserted_stays_a_copy(void **state UNUSED)
{
	CLEANUP(weigh_done) struct weigh w = { 0 };
	CLEANUP(ops_done) struct ops o = { 0 };

	weighed(&w, 4);
	for (size_t i = 0; i < w.n; i++)
		w.v[i].inserted = w.v[i].may ? w.v[i].n * BIT * 5 : 0;
	chosen(&w, &o, 0);
	assert_int_equal(o.n, ARRAY_SIZE(ops));
	for (size_t i = 0; i < o.n; i++)
		assert_op(&o.v[i], ops[i].kind, ops[i].from, ops[i].n);
}

static void where_little_can_be_saved_nothing_is_tried(void **state UNUSED)
{
	CLEANUP(weigh_done) struct weigh w = { 0 };

	weighed(&w, 0);
	assert_false(weigh_hopes(&w, ops, 160 * BIT, 160 * BIT + 5 * 20 * BIT));
	weigh_done(&w);
	/* As much, of a frame that is a thousand times as large. */
	weighed(&w, 4);
	assert_false(weigh_hopes(&w, ops, 160 * BIT, 8492000 * (uint64_t)BIT));
}

static void pieces_keep_their_commands_apart(void **state UNUSED)
{
	CLEANUP(weigh_done) struct weigh w = { 0 };
	CLEANUP(ops_done) struct ops o = { 0 };
	size_t part = 0;
	struct err e;

	weighed(&w, 4);
	assert_int_equal(weigh_choose(&w, ops, ARRAY_SIZE(ops)), 40 + 2048);
	assert_ok(weigh_take(&w, ops, 1, &part, &o, &e), &e);
	assert_int_equal(o.n, 1);
	assert_ok(weigh_take(&w, ops, 3, &part, &o, &e), &e);
	assert_int_equal(o.n, 2);
	assert_op(&o.v[1], OP_INSERT, 0, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_dear_is_inserted_and_the_rest_is_copied),
		cmocka_unit_test(what_would_cost_more_inserted_stays_a_copy),
		cmocka_unit_test(where_little_can_be_saved_nothing_is_tried),
		cmocka_unit_test(pieces_keep_their_commands_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
