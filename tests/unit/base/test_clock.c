#include "tests/support/unit.h"
#include "base/clock.h"

static void a_fake_clock_moves_only_when_told(void **state)
{
	struct clock_fake c;
	int64_t start_ms;

	clock_fake_init(&c, 1000000);
	start_ms = clock_boot_ms(&c.base);
	assert_int_equal(clock_wall_s(&c.base), 1000000);
	clock_fake_advance(&c, 500);
	assert_int_equal(clock_wall_s(&c.base), 1000000);
	clock_fake_advance(&c, 500);
	assert_int_equal(clock_wall_s(&c.base), 1000001);
	clock_fake_advance(&c, 86400000);
	assert_int_equal(clock_wall_s(&c.base), 1086401);
	assert_int_equal(clock_boot_ms(&c.base) - start_ms, 86401000);
}

static void the_system_clock_does_not_go_back(void **state)
{
	const struct clock *c = clock_system();
	int64_t before_ms = clock_boot_ms(c);

	for (unsigned i = 0; i < 1000; i++) {
		int64_t now_ms = clock_boot_ms(c);

		assert_true(now_ms >= before_ms);
		before_ms = now_ms;
	}
	assert_true(clock_wall_s(c) > 1700000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fake_clock_moves_only_when_told),
		cmocka_unit_test(the_system_clock_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
