/* Commands that are cheaper to code make the same bytes. */
#include "tests/support/unit.h"
#include "delta/refine.h"

enum { N = 1 << 18 };

static uint8_t old[N], new[2 * N];
static uint32_t seed;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * below >> 32);
}

static void noise(uint8_t *p, size_t n, unsigned letters)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)chance(letters);
}

/* New bytes are all made, and copies come from old ones. */
static void check(const struct ops *o, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < o->n; at += o->v[i++].n) {
		const struct op *op = &o->v[i];

		assert_true(op->n > 0 && op->n <= n - at);
		if (op->kind == OP_COPY)
			assert_true(op->from <= N && op->n <= N - op->from);
		for (size_t k = 0; op->kind == OP_ZERO && k < op->n; k++)
			assert_int_equal(new[at + k], 0);
	}
	assert_int_equal(at, n);
}

static struct ops refined(const struct ops *found, size_t n)
{
	struct refiner *r = NULL;
	struct ops ret = { 0 };
	struct err e;

	assert_ok(refiner_new(&r, &e), &e);
	const struct refine_job job = { .old = old, .old_n = N, .p = new, .found = found };
	assert_ok(refine(r, &job, &ret, &e), &e);
	refiner_free(r);
	check(&ret, n);
	return ret;
}

/* A command, and what it makes. */
static size_t add(struct ops *o, size_t at, unsigned kind, uint64_t from, size_t n)
{
	const struct op op = { .from = from, .n = n, .kind = kind & 7 };
	struct err e;

	if (kind == OP_COPY)
		memcpy(new + at, old + from, n);
	else if (kind == OP_ZERO)
		memset(new + at, 0, n);
	else
		noise(new + at, n, 256);
	assert_ok(ops_append(o, &op, &e), &e);
	return at + n;
}

static size_t count(const struct ops *o, enum op_kind kind, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < o->n; i++)
		k += o->v[i].kind == kind && o->v[i].n == n;
	return k;
}

static void any_commands_become_others_for_the_same_bytes(void **state UNUSED)
{
	static const unsigned letters[] = { 1, 2, 4, 256 };
	static const unsigned kinds[] = { OP_INSERT, OP_COPY, OP_COPY, OP_ZERO };

	for (unsigned round = 0; round < 60; round++) {
		CLEANUP(ops_done) struct ops found = { 0 };
		size_t at = 0, most;

		seed = round;
		most = 1 + chance(N);
		noise(old, N, letters[round % 4]);
		while (at < most)
			at = add(&found, at, kinds[chance(4)], chance(N - 3000),
				 1 + chance(round % 3 ? 100 : 3000));
		for (unsigned i = 0; i < 100; i++) /* what is copied may differ */
			new[chance((uint32_t)at)] ^= 1;
		for (size_t i = 0, k = 0; i < found.n; k += found.v[i++].n)
			if (found.v[i].kind == OP_ZERO)
				memset(new + k, 0, found.v[i].n);
		CLEANUP(ops_done) struct ops o = refined(&found, at);
		CLEANUP(ops_done) struct ops again = refined(&found, at);
		assert_int_equal(o.n, again.n);
		assert_memory_equal(o.v, again.v, o.n * sizeof(*o.v));
	}
}

static void a_word_that_grew_everywhere_is_one_small_step_each_time(void **state UNUSED)
{
	CLEANUP(ops_done) struct ops found = { 0 };
	size_t at = 0, from = 0;

	noise(old, N, 'x');
	for (unsigned i = 0; i < 1000; i++) {
		size_t n = 20 + chance(20);

		memcpy(new + at, old + from, n);
		new[at + n] = new[at + n + 1] = 'x';
		/* Every tenth piece was found nowhere. */
		struct op copy = { .from = i % 10 != 5 ? from : 0,
				   .n = n,
				   .kind = i % 10 != 5 ? OP_COPY : OP_INSERT };
		struct op insert = { .n = 2, .kind = OP_INSERT };
		struct err e;

		assert_ok(ops_add(&found, &copy, &e), &e);
		assert_ok(ops_add(&found, &insert, &e), &e);
		from += n;
		at += n + 2;
	}
	CLEANUP(ops_done) struct ops o = refined(&found, at);
	assert_int_equal(o.n, 2000);
	assert_int_equal(count(&o, OP_INSERT, 2), 1000);
}

static void what_is_far_and_a_little_longer_is_not_worth_its_address(void **state UNUSED)
{
	CLEANUP(ops_done) struct ops found = { 0 };
	size_t at = 0;

	noise(old, N, 256);
	for (unsigned i = 0; i < 200; i++) {
		/* What the command behind it could begin with, found elsewhere with a byte more. */
		size_t from = i * 100, far = N / 2 + chance(N / 4);

		memcpy(old + far, old + from, 30);
		at = add(&found, at, OP_COPY, far, 30);
		at = add(&found, at, OP_COPY, from + 30, 70);
	}
	CLEANUP(ops_done) struct ops o = refined(&found, at);
	assert_true(o.n < 10);
}

static void nothing_is_copied_from_behind_the_old_bytes(void **state UNUSED)
{
	CLEANUP(ops_done) struct ops found = { 0 };
	size_t at = 0;

	noise(old, N, 256);
	for (unsigned i = 0; i < 100; i++) {
		at = add(&found, at, OP_COPY, N - 40 + i % 10, 20);
		at = add(&found, at, OP_INSERT, 0, 1 + i % 3);
		at = add(&found, at, OP_COPY, i, 10);
		at = add(&found, at, OP_ZERO, 0, 30);
	}
	CLEANUP(ops_done) struct ops o = refined(&found, at);
	assert_true(o.n <= found.n);
}

static void blocks_meet_at_their_borders_though_bytes_there_are_equal(void **state UNUSED)
{
	CLEANUP(ops_done) struct ops found = { 0 };
	enum { BLOCK = 2048, BLOCKS = N / BLOCK };
	size_t at = 0, begun = 0;

	noise(old, N, 256);
	for (size_t i = 0; i < BLOCKS; i++)
		memset(old + i * BLOCK, 7, 9);
	/* Each is followed by up to eight bytes of the one that follows it in the old image. */
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t block = i * 37 % (BLOCKS - 1), more = i + 1 < BLOCKS ? chance(9) : 0;

		at = add(&found, at, OP_COPY, block * BLOCK + begun, BLOCK - begun + more);
		begun = more;
	}
	CLEANUP(ops_done) struct ops o = refined(&found, at);
	assert_int_equal(count(&o, OP_COPY, BLOCK), BLOCKS);
}

static void what_is_inserted_again_and_again_is_seen_to_be_the_same(void **state UNUSED)
{
	CLEANUP(ops_done) struct ops found = { 0 };
	enum { PART = 1500, PARTS = 150 };
	size_t at = 0, early = 0, inserts = 0;
	struct err e;

	/* "it" came, every other time behind a "t", where "ti" before it makes the same. */
	noise(old, N, 256);
	for (size_t i = 0; i < PARTS; i++) {
		struct op copy = { .from = i * PART - early, .kind = OP_COPY };
		struct op insert = { .n = 2, .kind = OP_INSERT };

		early = i % 2;
		old[i * PART + PART - 1] = early ? 't' : 'a';
		copy.n = i * PART + PART - early - copy.from;
		memcpy(new + at, old + copy.from, copy.n);
		memcpy(new + at + copy.n, early ? "ti" : "it", 2);
		at += copy.n + 2;
		assert_ok(ops_append(&found, &copy, &e), &e);
		assert_ok(ops_append(&found, &insert, &e), &e);
	}
	CLEANUP(ops_done) struct ops o = refined(&found, at);
	for (size_t i = 0, k = 0; i + 1 < o.n; k += o.v[i++].n)
		if (o.v[i].kind == OP_INSERT) {
			assert_memory_equal(new + k, "it", 2);
			inserts++;
		}
	assert_int_equal(inserts, PARTS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_commands_become_others_for_the_same_bytes),
		cmocka_unit_test(a_word_that_grew_everywhere_is_one_small_step_each_time),
		cmocka_unit_test(what_is_far_and_a_little_longer_is_not_worth_its_address),
		cmocka_unit_test(nothing_is_copied_from_behind_the_old_bytes),
		cmocka_unit_test(blocks_meet_at_their_borders_though_bytes_there_are_equal),
		cmocka_unit_test(what_is_inserted_again_and_again_is_seen_to_be_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
