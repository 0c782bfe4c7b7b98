#include "tests/support/unit.h"

#include "server/settings.h"

static void the_defaults_are_good(void **state)
{
	struct settings s = { 0 };
	struct err e;

	(void)state;
	assert_ok(settings_load(&s, NULL, NULL, 0, &e), &e);
	assert_int_equal(s.listen_port, 8443);
	assert_true(s.listen_tls);
	settings_done(&s);
}

static void what_no_row_can_check_alone_is_checked(void **state)
{
	static const char *const bad[][2] = {
		{ "listen.tls=no", "listen.tls" },
		{ "state_dir=relative", "state_dir" },
		{ "listen.unix=relative", "listen.unix" },
		{ "listen.address=", "listen.address" },
		{ "poll.interval=7h", "poll.interval" },
		{ "no.such.key=1", "no.such.key" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct settings s = { 0 };

		assert_fails(settings_load(&s, NULL, &bad[i][0], 1, &e), &e, E_CONFIG);
		if (!strstr(e.text, bad[i][1]))
			fail_msg("wanted %s: %s", bad[i][1], e.text);
		settings_done(&s);
	}
}

static void a_reload_keeps_what_concerns_mgr_itself(void **state)
{
	static const char *const before[] = { "state_dir=/a", "listen.port=1",
					      "poll.interval=10s" };
	static const char *const after[] = { "state_dir=/b", "listen.port=2",
					     "poll.interval=20s" };
	struct settings a = { 0 }, b = { 0 };
	unsigned kept;
	struct err e;

	(void)state;
	assert_ok(settings_load(&a, NULL, before, 3, &e), &e);
	assert_ok(settings_load(&b, NULL, after, 3, &e), &e);
	assert_ok(settings_keep(&b, &a, &kept, &e), &e);
	assert_int_equal(kept, 2);
	assert_string_equal(b.state_dir, "/a");
	assert_true(b.state_dir != a.state_dir);
	assert_int_equal(b.listen_port, 1);
	assert_int_equal(b.poll_s, 20);
	settings_done(&a);
	settings_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_good),
		cmocka_unit_test(what_no_row_can_check_alone_is_checked),
		cmocka_unit_test(a_reload_keeps_what_concerns_mgr_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
