#include "tests/support/unit.h"

#include "server/second.h"

static struct err e;
static struct second s;
static int64_t first;
static bool is_new;

static int setup(void **state)
{
	second_init(&s);
	first = 0;
	return 0;
}

static int teardown(void **state)
{
	second_done(&s);
	return 0;
}

static bool ask(const char *what, int64_t token, int64_t now_s)
{
	return second_ask(&s, what, token, 0, now_s, &first, &is_new, &e);
}

static void two_tokens_do_it_once(void **state)
{
	assert_fails(ask("x", 1, 1000), &e, E_PENDING);
	assert_true(is_new);
	assert_fails(ask("x", 1, 1001), &e, E_PENDING);
	assert_false(is_new);
	assert_ok(ask("x", 2, 1002), &e);
	assert_int_equal(first, 1);
	assert_fails(ask("x", 2, 1003), &e, E_PENDING);
	assert_true(is_new);
}

static void what_was_asked_for_is_what_counts(void **state)
{
	assert_fails(ask("x", 1, 1000), &e, E_PENDING);
	assert_fails(ask("xy", 2, 1000), &e, E_PENDING);
	assert_fails(ask("", 2, 1000), &e, E_FORMAT);
	assert_ok(ask("xy", 1, 1001), &e);
}

static void a_day_later_it_is_forgotten(void **state)
{
	assert_fails(ask("x", 1, 1000), &e, E_PENDING);
	assert_fails(ask("x", 2, 1000 + SECOND_TTL_S + 1), &e, E_PENDING);
	assert_true(is_new);
	assert_ok(ask("x", 1, 1000 + SECOND_TTL_S + 2), &e);
}

static void a_token_made_afterwards_is_no_second_person(void **state)
{
	assert_fails(ask("x", 1, 1000), &e, E_PENDING);
	assert_fails(second_ask(&s, "x", 2, 1000, 1005, &first, &is_new, &e), &e, E_DENIED);
	assert_fails(second_ask(&s, "x", 2, 1001, 1005, &first, &is_new, &e), &e, E_DENIED);
	assert_ok(second_ask(&s, "x", 3, 999, 1005, &first, &is_new, &e), &e);
}

static void when_all_places_are_taken_the_oldest_goes(void **state)
{
	char what[32];

	for (int i = 0; i <= SECOND_MAX; i++) {
		snprintf(what, sizeof(what), "x%d", i);
		assert_fails(ask(what, 1, 1000 + i), &e, E_PENDING);
	}
	assert_ok(ask("x1", 2, 2000), &e);
	assert_fails(ask("x0", 2, 2000), &e, E_PENDING);
	assert_true(is_new);
}

static void a_text_that_would_be_cut_is_refused(void **state)
{
	char what[SECOND_WHAT + 1];

	memset(what, 'x', SECOND_WHAT);
	what[SECOND_WHAT] = 0;
	assert_fails(ask(what, 1, 1000), &e, E_FORMAT);
}

int main(void)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(two_tokens_do_it_once),
		ROW(what_was_asked_for_is_what_counts),
		ROW(a_day_later_it_is_forgotten),
		ROW(a_token_made_afterwards_is_no_second_person),
		ROW(when_all_places_are_taken_the_oldest_goes),
		ROW(a_text_that_would_be_cut_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
