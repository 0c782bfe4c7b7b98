#include "tests/support/unit.h"

#include "agent/poll.h"

#define MIB (UINT64_C(1) << 20)

static void free_space_is_said_anew_when_it_moved_by_an_eighth(void **state)
{
	static const struct {
		uint64_t said, now, want;
	} cases[] = {
		{ 0, 0, 0 },
		{ 0, 1, 1 },
		{ 0, 100 * MIB, 100 * MIB },
		{ 800 * MIB, 800 * MIB, 800 * MIB },
		{ 800 * MIB, 700 * MIB + 1, 800 * MIB },
		{ 800 * MIB, 700 * MIB, 700 * MIB },
		{ 800 * MIB, 900 * MIB - 1, 800 * MIB },
		{ 800 * MIB, 900 * MIB, 900 * MIB },
		{ 800 * MIB, 0, 0 },
		{ 8 * MIB, 4 * MIB + 1, 8 * MIB },
		{ 8 * MIB, 4 * MIB, 4 * MIB },
		{ 1, UINT64_MAX, UINT64_MAX },
		{ UINT64_MAX, 1, 1 },
		{ UINT64_MAX, UINT64_MAX - 1, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(poll_free_bytes(cases[i].said, cases[i].now), cases[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(free_space_is_said_anew_when_it_moved_by_an_eighth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
