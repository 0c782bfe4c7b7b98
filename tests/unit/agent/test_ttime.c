#include "tests/support/unit.h"

#include "agent/ttime.h"

enum { T0 = 1800000000 };

static const uint8_t old_keys[SHA256_SIZE] = { 7 }, new_keys[SHA256_SIZE] = { 8 };
static const uint8_t boot[16] = { 1, 2, 3 }, other_boot[16] = { 9 };

static struct state saved(const struct clock_fake *c, int64_t trusted_s)
{
	struct state s;

	state_init(&s);
	s.trusted_s = trusted_s;
	s.boot_ms = c->now_ms;
	memcpy(s.boot_id, boot, sizeof(boot));
	return s;
}

static void a_wall_clock_that_jumps_changes_nothing(void **state)
{
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, T0);
	struct state s = saved(&c, T0);
	ttime_init(&t, &c.base, &s, boot);
	c.now_s = 0;
	assert_int_equal(ttime_now_s(&t), T0);
	c.now_s = INT64_C(2) * T0;
	assert_int_equal(ttime_now_s(&t), T0);
	clock_fake_advance(&c, 90000);
	assert_int_equal(ttime_now_s(&t), T0 + 90);
}

static void the_boot_clock_carries_it_over_a_restart_of_the_agent(void **state)
{
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, T0);
	struct state s = saved(&c, T0);
	clock_fake_advance(&c, 3600000);
	ttime_init(&t, &c.base, &s, boot);
	assert_int_equal(ttime_now_s(&t), T0 + 3600);
	/* After a reboot of the host nobody knows how long it was off. */
	ttime_init(&t, &c.base, &s, other_boot);
	assert_int_equal(ttime_now_s(&t), T0);
	static const uint8_t unknown[16];
	memset(s.boot_id, 0, sizeof(s.boot_id));
	ttime_init(&t, &c.base, &s, unknown);
	assert_int_equal(ttime_now_s(&t), T0);
}

static void it_never_lies_before_the_program_was_made(void **state)
{
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, 0);
	struct state s = saved(&c, 0);
	ttime_init(&t, &c.base, &s, boot);
	assert_int_equal(ttime_now_s(&t), TTIME_BUILT_S);
}

static void the_server_moves_it_forward_within_what_it_signed(void **state)
{
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, T0);
	struct state s = saved(&c, T0);
	ttime_init(&t, &c.base, &s, boot);
	ttime_step(&t, T0 + 1000, T0 + 86400, old_keys);
	assert_int_equal(ttime_now_s(&t), T0 + 1000);
	ttime_step(&t, T0 + 10, T0 + 86400, old_keys); /* back */
	assert_int_equal(ttime_now_s(&t), T0 + 1000);
	ttime_step(&t, T0 + 90000, T0 + 86400, old_keys); /* when its own metadata is expired */
	assert_int_equal(ttime_now_s(&t), T0 + 1000);
	ttime_step(&t, T0 + 2000, T0 + 2000 + TTIME_FRESH_MAX_S + 1,
		   old_keys); /* signed for too long */
	assert_int_equal(ttime_now_s(&t), T0 + 1000);

	ttime_store(&t, &s);
	assert_int_equal(s.trusted_s, T0 + 1000);
	assert_int_equal(s.boot_ms, c.now_ms);
	assert_memory_equal(s.boot_id, boot, sizeof(boot));
	assert_memory_equal(s.time_keys, old_keys, sizeof(old_keys));
}

/* By whose word it is survives a restart; another's word begins anew. */
static void other_keys_forget_what_the_earlier_ones_said(void **state)
{
	static const int64_t far = T0 + INT64_C(80) * 86400;
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, T0);
	struct state s = saved(&c, T0);
	ttime_init(&t, &c.base, &s, boot);
	ttime_step(&t, far, far + 3600, old_keys);
	assert_int_equal(ttime_now_s(&t), far);
	ttime_store(&t, &s);
	ttime_init(&t, &c.base, &s, boot);
	ttime_step(&t, T0 + 100, T0 + 3600, old_keys); /* not by their own word */
	assert_int_equal(ttime_now_s(&t), far);
	ttime_step(&t, T0 + 100, T0 + 3600, new_keys);
	assert_int_equal(ttime_now_s(&t), T0 + 100);
	assert_memory_equal(t.keys, new_keys, sizeof(new_keys));
	ttime_step(&t, T0 + 50, T0 + 3600, new_keys); /* and from then on only forward */
	assert_int_equal(ttime_now_s(&t), T0 + 100);
}

/* Who sits between handset and server may lie about the time, not about what was signed. */
static void time_that_begins_anew_is_bound_by_what_was_signed(void **state)
{
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, T0);
	struct state s = saved(&c, T0);
	memcpy(s.time_keys, old_keys, sizeof(old_keys));
	ttime_init(&t, &c.base, &s, boot);
	ttime_step(&t, T0 - 90 * 86400, T0 + 3600, new_keys);
	assert_int_equal(ttime_now_s(&t), T0 + 3600 - TTIME_FRESH_MAX_S);
	assert_int_equal(ttime_anew_s(T0 + 3600, T0 + 3600), T0 + 3600 - TTIME_FRESH_MAX_S);
	assert_int_equal(ttime_anew_s(T0 + 3599, T0 + 3600), T0 + 3599);
	assert_int_equal(ttime_anew_s(10, 3600), TTIME_BUILT_S);
}

/* A record of before this was known, or a first check-in: nothing is forgotten. */
static void time_of_unknown_origin_stays(void **state)
{
	static const uint8_t unknown[SHA256_SIZE];
	struct clock_fake c;
	struct ttime t;

	clock_fake_init(&c, T0);
	struct state s = saved(&c, T0);
	ttime_init(&t, &c.base, &s, boot);
	ttime_step(&t, T0 - 100, T0 + 3600, new_keys);
	assert_int_equal(ttime_now_s(&t), T0);
	assert_memory_equal(t.keys, new_keys, sizeof(new_keys));
	assert_false(ttime_is_anew(unknown, new_keys));
	assert_false(ttime_is_anew(new_keys, new_keys));
	assert_true(ttime_is_anew(old_keys, new_keys));
}

static void this_host_has_a_boot_id(void **state)
{
	uint8_t a[16], b[16];

	ttime_boot_id(a);
	ttime_boot_id(b);
	assert_memory_equal(a, b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wall_clock_that_jumps_changes_nothing),
		cmocka_unit_test(the_boot_clock_carries_it_over_a_restart_of_the_agent),
		cmocka_unit_test(it_never_lies_before_the_program_was_made),
		cmocka_unit_test(the_server_moves_it_forward_within_what_it_signed),
		cmocka_unit_test(other_keys_forget_what_the_earlier_ones_said),
		cmocka_unit_test(time_that_begins_anew_is_bound_by_what_was_signed),
		cmocka_unit_test(time_of_unknown_origin_stays),
		cmocka_unit_test(this_host_has_a_boot_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
