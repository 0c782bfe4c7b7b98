/* Where new bytes come from: commands that make exactly them, and few. */
#include "tests/support/unit.h"
#include "delta/match.h"

enum { N = 1 << 20 };

static uint8_t *old, *new;
static uint32_t seed = 11;

static uint8_t noise(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint8_t)(seed >> 24);
}

static int setup(void **state UNUSED)
{
	old = malloc(N);
	new = malloc(N);
	assert_true(old && new);
	for (size_t i = 0; i < N; i++)
		old[i] = noise();
	return 0;
}

static int teardown(void **state UNUSED)
{
	free(old);
	free(new);
	return 0;
}

/* Commands for n new bytes, each checked to make what it should. */
static struct ops match(size_t n, unsigned threads)
{
	CLEANUP(matcher_freep) struct matcher *m = NULL;
	struct match_local *local = NULL;
	struct ops ops = { 0 };
	size_t at = 0;
	struct err e;

	assert_ok(matcher_new(&m, old, N, false, threads, &e), &e);
	assert_ok(match_local_new(&local, &e), &e);
	assert_ok(match_range(m, local, new, n, 0, &ops, &e), &e);
	match_local_free(local);
	for (size_t i = 0; i < ops.n; at += ops.v[i++].n) {
		const struct op *op = &ops.v[i];

		assert_true(op->n > 0 && op->n <= n - at);
		if (op->kind == OP_COPY || op->kind == OP_ADD)
			assert_true(op->from <= N && op->n <= N - op->from);
		if (op->kind == OP_COPY)
			assert_memory_equal(old + op->from, new + at, op->n);
		for (size_t k = 0; op->kind == OP_ZERO && k < op->n; k++)
			assert_int_equal(new[at + k], 0);
	}
	assert_int_equal(at, n);
	return ops;
}

static uint64_t bytes_of(const struct ops *o, enum op_kind kind)
{
	uint64_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += o->v[i].kind == kind ? o->v[i].n : 0;
	return n;
}

static void what_did_not_change_is_one_copy(void **state UNUSED)
{
	memcpy(new, old, N);
	struct ops o = match(N, 1);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.v[0].kind, OP_COPY);
	assert_int_equal(o.v[0].from, 0);
	ops_done(&o);
}

static void what_moved_is_found_anywhere_and_more_than_once(void **state UNUSED)
{
	static const size_t places[] = { 700001, 300, 500000, 300, 1000 };
	enum { PART = 50000 };

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		memcpy(new + i *PART, old + places[i], PART);
	struct ops o = match(ARRAY_SIZE(places) * PART, 1);
	assert_int_equal(bytes_of(&o, OP_INSERT), 0);
	assert_true(o.n <= 2 * ARRAY_SIZE(places));
	ops_done(&o);
}

static void scattered_differences_stay_in_one_command(void **state UNUSED)
{
	memcpy(new, old, N);
	for (size_t i = 1000; i < N; i += 1000)
		new[i] ^= 0x55;
	struct ops o = match(N, 1);
	assert_int_equal(bytes_of(&o, OP_INSERT), 0);
	assert_true(o.n < 20);
	assert_int_equal(o.differing, (N - 1) / 1000);
	ops_done(&o);
}

static void what_is_new_is_inserted_and_zeros_are_told(void **state UNUSED)
{
	memcpy(new, old, 100000);
	for (size_t i = 100000; i < 200000; i++)
		new[i] = noise();
	memset(new + 200000, 0, 100000);
	memcpy(new + 300000, old + 100000, 100000);
	struct ops o = match(400000, 1);
	assert_true(bytes_of(&o, OP_INSERT) > 99000 && bytes_of(&o, OP_INSERT) < 101000);
	assert_true(bytes_of(&o, OP_ZERO) > 99000 && bytes_of(&o, OP_ZERO) < 101000);
	ops_done(&o);
}

static void what_stayed_among_what_is_new_is_found(void **state UNUSED)
{
	enum { LOST = 16384, STAYED = 4096, PARTS = 50, SIZE = PARTS * (LOST + STAYED) };

	for (size_t i = 0; i < SIZE; i++)
		new[i] = i % (LOST + STAYED) < LOST || i % 100 == 0 ? noise() : old[i];
	struct ops o = match(SIZE, 1);
	assert_true(bytes_of(&o, OP_INSERT) < PARTS * (LOST + 200));
	ops_done(&o);
	for (size_t i = 0; i < SIZE; i++)
		new[i] = i % (LOST + STAYED) < LOST ? noise() : 0;
	o = match(SIZE, 1);
	assert_true(bytes_of(&o, OP_ZERO) > PARTS * (STAYED - 200));
	ops_done(&o);
}

static void any_number_of_threads_finds_the_same(void **state UNUSED)
{
	for (size_t i = 0; i < N; i++)
		new[i] = old[(i / 3000 * 7777 + i) % N];
	struct ops a = match(N, 1), b = match(N, 3);
	assert_int_equal(a.n, b.n);
	for (size_t i = 0; i < a.n; i++) {
		assert_int_equal(a.v[i].from, b.v[i].from);
		assert_int_equal(a.v[i].n, b.v[i].n);
		assert_int_equal(a.v[i].kind, b.v[i].kind);
	}
	ops_done(&a);
	ops_done(&b);
}

static void commands_that_go_on_become_one(void **state UNUSED)
{
	const struct op parts[] = { { .kind = OP_COPY, .n = 10, .from = 100 },
				    { .kind = OP_COPY, .n = 10, .from = 110 },
				    { .kind = OP_COPY, .n = 10, .from = 121 },
				    { .kind = OP_INSERT, .n = 5 },
				    { .kind = OP_INSERT, .n = 6 },
				    { .kind = OP_ZERO, .n = 7 } };
	struct ops o = { 0 };
	struct err e;

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		assert_ok(ops_add(&o, &parts[i], &e), &e);
	assert_int_equal(o.n, 4);
	assert_int_equal(o.v[0].n, 20);
	assert_int_equal(o.v[2].n, 11);
	ops_done(&o);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	memcpy(new, old, N);
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(matcher_freep) struct matcher *m = NULL;
		struct match_local *local = NULL;
		struct ops ops = { 0 };
		struct err e = { 0 };

		if (!matcher_new(&m, old, N, false, 1, &e) || !match_local_new(&local, &e) ||
		    !match_range(m, local, new, N, 0, &ops, &e))
			assert_int_equal(e.code, E_NOMEM);
		match_local_free(local);
		ops_done(&ops);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_did_not_change_is_one_copy),
		cmocka_unit_test(what_moved_is_found_anywhere_and_more_than_once),
		cmocka_unit_test(scattered_differences_stay_in_one_command),
		cmocka_unit_test(what_is_new_is_inserted_and_zeros_are_told),
		cmocka_unit_test(what_stayed_among_what_is_new_is_found),
		cmocka_unit_test(any_number_of_threads_finds_the_same),
		cmocka_unit_test(commands_that_go_on_become_one),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
