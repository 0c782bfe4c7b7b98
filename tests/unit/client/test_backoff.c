#include "tests/support/unit.h"

#include "client/backoff.h"

static struct clock_fake clk;
static struct rng_fake rng;

static int setup(void **state)
{
	clock_fake_init(&clk, 1000000);
	rng_fake_init(&rng, 7);
	return 0;
}

static void waits_at_most_twice_as_long_after_each_failure(void **state)
{
	for (unsigned round = 0; round < 200; round++) {
		struct backoff b = BACKOFF_INIT(100, 3000);
		uint64_t most = 100;

		for (unsigned n = 1; n <= 80; n++) {
			backoff_fail(&b, &clk.base, &rng.base, -1);
			assert_true(backoff_wait_ms(&b, &clk.base) <= most);
			most = most * 2 > 3000 ? 3000 : most * 2;
		}
	}
}

static void jitter_covers_the_whole_range(void **state)
{
	unsigned low = 0, high = 0;

	for (unsigned round = 0; round < 1000; round++) {
		struct backoff b = BACKOFF_INIT(1000, 1000);

		backoff_fail(&b, &clk.base, &rng.base, -1);
		low += backoff_wait_ms(&b, &clk.base) < 250;
		high += backoff_wait_ms(&b, &clk.base) > 750;
	}
	assert_in_range(low, 150, 350);
	assert_in_range(high, 150, 350);
}

static void is_due_when_the_clock_has_come_there(void **state)
{
	struct backoff b = BACKOFF_INIT(60000, 60000);
	uint64_t wait_ms;

	assert_int_equal(backoff_wait_ms(&b, &clk.base), 0);
	do
		backoff_fail(&b, &clk.base, &rng.base, -1);
	while ((wait_ms = backoff_wait_ms(&b, &clk.base)) < 2);
	clock_fake_advance(&clk, (int64_t)wait_ms - 1);
	assert_int_equal(backoff_wait_ms(&b, &clk.base), 1);
	clock_fake_advance(&clk, 1);
	assert_int_equal(backoff_wait_ms(&b, &clk.base), 0);
}

static void retry_after_is_a_lower_bound_with_some_spread(void **state)
{
	bool spread = false;

	for (unsigned round = 0; round < 100; round++) {
		struct backoff b = BACKOFF_INIT(10, 100);

		backoff_fail(&b, &clk.base, &rng.base, 50);
		assert_in_range(backoff_wait_ms(&b, &clk.base), 50000, 55000);
		spread = spread || backoff_wait_ms(&b, &clk.base) > 51000;
	}
	assert_true(spread);
}

static void retry_after_of_a_century_is_cut_to_a_day(void **state)
{
	struct backoff b = BACKOFF_INIT(10, 100);

	backoff_fail(&b, &clk.base, &rng.base, INT64_MAX);
	assert_in_range(backoff_wait_ms(&b, &clk.base), 86400000, 95040000);
}

static void success_forgets_the_failures(void **state)
{
	struct backoff b = BACKOFF_INIT(10, 100000);

	for (unsigned n = 0; n < 20; n++)
		backoff_fail(&b, &clk.base, &rng.base, -1);
	backoff_ok(&b);
	assert_int_equal(backoff_wait_ms(&b, &clk.base), 0);
	backoff_fail(&b, &clk.base, &rng.base, -1);
	assert_true(backoff_wait_ms(&b, &clk.base) <= 10);
}

static void counting_failures_for_years_does_not_wrap_around(void **state)
{
	struct backoff b = BACKOFF_INIT(10, UINT64_MAX / 4);

	b.failures = UINT16_MAX - 1;
	for (unsigned n = 0; n < 5; n++)
		backoff_fail(&b, &clk.base, &rng.base, -1);
	assert_int_equal(b.failures, UINT16_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(waits_at_most_twice_as_long_after_each_failure, setup),
		cmocka_unit_test_setup(jitter_covers_the_whole_range, setup),
		cmocka_unit_test_setup(is_due_when_the_clock_has_come_there, setup),
		cmocka_unit_test_setup(retry_after_is_a_lower_bound_with_some_spread, setup),
		cmocka_unit_test_setup(retry_after_of_a_century_is_cut_to_a_day, setup),
		cmocka_unit_test_setup(success_forgets_the_failures, setup),
		cmocka_unit_test_setup(counting_failures_for_years_does_not_wrap_around, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
