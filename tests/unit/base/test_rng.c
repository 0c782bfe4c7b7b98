#include "tests/support/unit.h"
#include "base/rng.h"

static void a_seed_repeats_its_bytes(void **state)
{
	struct rng_fake a, b, c;
	uint8_t x[50], y[50], z[50];

	rng_fake_init(&a, 7);
	rng_fake_init(&b, 7);
	rng_fake_init(&c, 8);
	rng_fill(&a.base, x, sizeof(x));
	rng_fill(&b.base, y, sizeof(y));
	rng_fill(&c.base, z, sizeof(z));
	assert_memory_equal(x, y, sizeof(x));
	assert_memory_not_equal(x, z, sizeof(x));
	rng_fill(&b.base, y, sizeof(y));
	assert_memory_not_equal(x, y, sizeof(x));
}

static void below_stays_below_and_reaches_all(void **state)
{
	struct rng_fake r;
	unsigned seen[7] = { 0 };

	rng_fake_init(&r, 3);
	for (unsigned i = 0; i < 7000; i++)
		seen[rng_below(&r.base, 7)]++;
	for (unsigned i = 0; i < 7; i++)
		assert_in_range(seen[i], 850, 1150);
	assert_true(rng_below(&r.base, 0) == 0);
	assert_true(rng_below(&r.base, 1) == 0);
	for (unsigned i = 0; i < 100; i++)
		assert_true(rng_below(&r.base, UINT64_MAX) < UINT64_MAX);
}

static void the_system_has_randomness(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	rng_fill(rng_system(), a, sizeof(a));
	rng_fill(rng_system(), b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	rng_fill(rng_system(), a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_repeats_its_bytes),
		cmocka_unit_test(below_stays_below_and_reaches_all),
		cmocka_unit_test(the_system_has_randomness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
