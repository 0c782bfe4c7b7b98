#include "tests/unit/storage/fixture.h"

#include "storage/deltas.h"

enum { CODING = 7 };

/* A release whose bytes and root are its own, unlike those of the plain samples. */
static void publish_own(struct fixture *f, const char *version, uint8_t mark)
{
	enum release_put put;
	struct sample p;
	struct err e;

	sample_make(&p, "acme", version, 1);
	memset(p.component.sha256, mark, SHA256_SIZE);
	memset(p.component.verity_root, mark + 100, SHA256_SIZE);
	sample_upload(f->s, &p);
	assert_ok(releases_publish(f->s, &p.r, "token:k1", &put, &e), &e);
}

/* A handset that says that it runs acme/version. */
static void device_runs(struct fixture *f, unsigned number, const char *version)
{
	struct device_report r = { .agent = "1",
				   .update = "idle",
				   .slot = 'a',
				   .status = "{}",
				   .product = "acme",
				   .version = version };
	struct handset h;

	enrol(f->s, &h, number, "sales");
	memset(r.sha256, (int)number + 1, SHA256_SIZE);
	report(f->s, &h, &r);
}

static uint64_t plan(struct fixture *f)
{
	uint64_t n;
	struct err e;

	assert_ok(deltas_plan(f->s, &n, &e), &e);
	return n;
}

static bool take(struct fixture *f, struct delta_task *t)
{
	bool found;
	struct err e;

	assert_ok(deltas_take(f->s, UINT64_MAX, CODING, t, &found, &e), &e);
	return found;
}

/* DELTA_STATES: there is no row. */
static int state_of(struct fixture *f, const char *to, const char *from)
{
	CLEANUP(delta_list_done) struct delta_list l = { 0 };
	struct err e;

	assert_ok(deltas_list(f->s, "acme", to, &l, &e), &e);
	for (size_t i = 0; i < l.n; i++)
		if (strcmp(l.items[i].from_version, from) == 0)
			return (int)l.items[i].state;
	return DELTA_STATES;
}

static void later(struct fixture *f, int s)
{
	clock_fake_advance(&f->clock, (int64_t)s * 1000);
}

static void the_most_used_version_comes_first_and_unused_ones_not_at_all(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "1.1", 2);
	publish_own(&f, "1.2", 3);
	publish_own(&f, "2.0", 4);
	assert_int_equal(plan(&f), 0);
	device_runs(&f, 1, "1.1");
	device_runs(&f, 2, "1.0");
	device_runs(&f, 3, "1.0");
	assert_int_equal(plan(&f), 2);
	assert_int_equal(plan(&f), 0);
	assert_true(take(&f, &t));
	assert_string_equal(t.from_version, "1.0");
	assert_string_equal(t.to_version, "2.0");
	assert_string_equal(t.component, "system");
	assert_int_equal(t.tries, 1);
	assert_true(take(&f, &t));
	assert_string_equal(t.from_version, "1.1");
	assert_false(take(&f, &t));
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_MAKING);
	assert_int_equal(state_of(&f, "2.0", "1.2"), DELTA_STATES);
}

static void looking_for_work_writes_nothing_when_there_is_none(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;
	uint64_t before;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	before = stats_of(f.s).writes;
	assert_int_equal(plan(&f), 0);
	assert_false(take(&f, &t));
	assert_int_equal(stats_of(f.s).writes, before);
}

static void a_demand_adds_what_no_plan_would(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "1.1", 2);
	publish_own(&f, "2.0", 3);
	assert_ok(deltas_want(f.s, "acme", "1.0", "1.1", &e), &e);
	uint64_t before = stats_of(f.s).writes;
	assert_ok(deltas_want(f.s, "acme", "1.0", "1.1", &e), &e);
	assert_ok(deltas_want(f.s, "acme", "0.1", "1.1", &e), &e);
	assert_ok(deltas_want(f.s, "other", "1.0", "1.1", &e), &e);
	assert_int_equal(stats_of(f.s).writes, before);
	/* Until nobody can use it. */
	assert_false(take(&f, &t));
	device_runs(&f, 1, "1.0");
	assert_true(take(&f, &t));
	assert_string_equal(t.to_version, "1.1");
	assert_false(take(&f, &t));
}

static void the_same_bytes_need_no_delta(void **state)
{
	FIXTURE(f, state);
	struct err e;

	publish_own(&f, "1.0", 7);
	publish(f.s, "acme", "1.1", 1); /* the samples' bytes are all the same */
	publish(f.s, "acme", "1.2", 1);
	device_runs(&f, 1, "1.1");
	assert_int_equal(plan(&f), 0);
	assert_ok(deltas_want(f.s, "acme", "1.1", "1.2", &e), &e);
	assert_int_equal(state_of(&f, "1.2", "1.1"), DELTA_STATES);
}

static void a_made_one_is_found_by_its_ends_and_its_object_stays(void **state)
{
	FIXTURE(f, state);
	struct objects_gc gone;
	struct delta_offer o;
	struct delta_totals totals;
	uint8_t sha[SHA256_SIZE], root[SHA256_SIZE];
	struct delta_task t;
	bool made, row;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	assert_int_equal(plan(&f), 1);
	assert_ok(deltas_find(f.s, "acme", "1.0", "2.0", "system", &o, &made, &row, &e), &e);
	assert_true(row && !made);
	assert_true(take(&f, &t));
	put_object(f.s, "the delta", sha);
	assert_ok(deltas_end(f.s, &t, DELTA_MADE, sha, 9, "", &e), &e);
	fixture_reopen(&f);
	assert_ok(deltas_reset(f.s, CODING, &e), &e);
	assert_ok(deltas_find(f.s, "acme", "1.0", "2.0", "system", &o, &made, &row, &e), &e);
	assert_true(row && made);
	memset(root, 101, sizeof(root));
	assert_memory_equal(o.from_root, root, SHA256_SIZE);
	assert_memory_equal(o.sha256, sha, SHA256_SIZE);
	assert_int_equal(o.size, 9);
	assert_ok(deltas_totals(f.s, &totals, &e), &e);
	assert_int_equal(totals.bytes, 9);
	assert_int_equal(totals.count[DELTA_MADE], 1);

	clock_fake_advance(&f.clock, (int64_t)10 * OBJECTS_GUARD_S * 1000);
	assert_ok(deltas_prune(f.s, NULL, &e), &e);
	assert_ok(objects_gc(f.s, &gone, &e), &e);
	assert_true(has_object(f.s, "the delta"));
	/* Withdrawn: forgotten at once, and its bytes with the next collection. */
	assert_ok(releases_withdraw(f.s, "acme", "2.0", "", "token:k1", &e), &e);
	assert_ok(deltas_find(f.s, "acme", "1.0", "2.0", "system", &o, &made, &row, &e), &e);
	assert_false(row);
	assert_ok(objects_gc(f.s, &gone, &e), &e);
	assert_false(has_object(f.s, "the delta"));
}

static void withdrawing_cancels_what_is_being_made(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct delta_totals totals;
	struct delta_task t;
	bool wanted;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	plan(&f);
	assert_true(take(&f, &t));
	assert_ok(deltas_is_wanted(f.s, &t, &wanted, &e), &e);
	assert_true(wanted);
	assert_ok(releases_withdraw(f.s, "acme", "2.0", "", "token:k1", &e), &e);
	assert_ok(deltas_is_wanted(f.s, &t, &wanted, &e), &e);
	assert_false(wanted);
	put_object(f.s, "late", sha);
	assert_ok(deltas_end(f.s, &t, DELTA_MADE, sha, 4, "", &e), &e);
	assert_ok(deltas_totals(f.s, &totals, &e), &e);
	assert_int_equal(totals.count[DELTA_MADE], 0);
}

static void crashes_count_and_orderly_ends_do_not(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	plan(&f);
	for (int i = 0; i < 10; i++) {
		assert_true(take(&f, &t));
		assert_int_equal(t.tries, 1);
		assert_ok(deltas_put_back(f.s, &t, 0, &e), &e);
	}
	/* Its process crashed. */
	assert_true(take(&f, &t));
	assert_ok(deltas_retry(f.s, &t, "its process crashed", &e), &e);
	later(&f, DELTAS_RETRY_S);
	/* The server was killed. */
	assert_true(take(&f, &t));
	assert_int_equal(t.tries, 2);
	fixture_reopen(&f);
	assert_false(take(&f, &t));
	assert_ok(deltas_reset(f.s, CODING, &e), &e);
	assert_true(take(&f, &t));
	assert_int_equal(t.tries, DELTAS_TRIES);
	assert_ok(deltas_retry(f.s, &t, "its process crashed", &e), &e);
	later(&f, 100 * DELTAS_RETRY_S);
	assert_false(take(&f, &t));
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_FAILED);
}

static void what_crashed_waits_longer_each_time_and_nobody_waits_behind_it(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "1.1", 2);
	publish_own(&f, "2.0", 3);
	device_runs(&f, 1, "1.0");
	device_runs(&f, 2, "1.0");
	device_runs(&f, 3, "1.1");
	plan(&f);
	for (int wait_s = DELTAS_RETRY_S, i = 1; i < DELTAS_TRIES; i++, wait_s *= 2) {
		assert_true(take(&f, &t));
		assert_string_equal(t.from_version, "1.0");
		assert_ok(deltas_retry(f.s, &t, "its process crashed", &e), &e);
		later(&f, wait_s - 1);
		assert_true(take(&f, &t));
		assert_string_equal(t.from_version, "1.1");
		assert_ok(deltas_put_back(f.s, &t, 0, &e), &e);
		later(&f, 1);
	}
	assert_true(take(&f, &t));
	assert_string_equal(t.from_version, "1.0");
	assert_ok(deltas_put_back(f.s, &t, 60, &e), &e);
	assert_true(take(&f, &t));
	assert_string_equal(t.from_version, "1.1");
	later(&f, 60);
	assert_true(take(&f, &t));
	assert_string_equal(t.from_version, "1.0");
}

static void what_failed_is_planned_again_when_an_object_of_either_release_comes_again(
	void **state)
{
	FIXTURE(f, state);
	static const char *const heals[] = { "1.0", "2.0" };
	uint8_t sha[SHA256_SIZE];
	struct delta_task t;
	struct sample p;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	for (size_t i = 0; i < ARRAY_SIZE(heals); i++) {
		plan(&f);
		assert_true(take(&f, &t));
		assert_int_equal(t.tries, 1);
		assert_ok(deltas_end(f.s, &t, DELTA_FAILED, NULL, 0, "old image", &e), &e);
		assert_int_equal(plan(&f), 0);
		put_object(f.s, "nobody's", sha);
		assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_FAILED);
		sample_make(&p, "acme", heals[i], 1);
		sample_upload(f.s, &p);
		assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_STATES);
	}
	/* While it is about to fail. */
	assert_int_equal(plan(&f), 1);
	assert_true(take(&f, &t));
	sample_upload(f.s, &p);
	assert_ok(deltas_end(f.s, &t, DELTA_FAILED, NULL, 0, "old image", &e), &e);
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_STATES);
	assert_int_equal(plan(&f), 1);
}

static void the_budget_counts_what_is_made_and_what_may_become(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE];
	struct delta_task t, second;
	uint64_t max;
	bool found;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "1.1", 2);
	publish_own(&f, "2.0", 3);
	device_runs(&f, 1, "1.0");
	device_runs(&f, 2, "1.1");
	plan(&f);
	assert_true(take(&f, &t));
	assert_ok(deltas_put_back(f.s, &t, 0, &e), &e);
	max = t.size_max;
	assert_int_equal(max, strlen("2.0 object") / 10 * 9);
	assert_ok(deltas_take(f.s, max - 1, CODING, &t, &found, &e), &e);
	assert_false(found);
	/* One is being made: room for two is needed. */
	assert_ok(deltas_take(f.s, max, CODING, &t, &found, &e), &e);
	assert_true(found);
	assert_ok(deltas_take(f.s, 2 * max - 1, CODING, &second, &found, &e), &e);
	assert_false(found);
	/* It became smaller than it might have. */
	put_object(f.s, "delta", sha);
	assert_ok(deltas_end(f.s, &t, DELTA_MADE, sha, 5, "", &e), &e);
	assert_ok(deltas_take(f.s, max + 4, CODING, &second, &found, &e), &e);
	assert_false(found);
	assert_ok(deltas_take(f.s, max + 5, CODING, &second, &found, &e), &e);
	assert_true(found);
}

static void a_task_of_an_earlier_server_ends_as_nothing(void **state)
{
	FIXTURE(f, state);
	struct delta_task old, t;
	uint8_t sha[SHA256_SIZE];
	bool wanted;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	plan(&f);
	/* A reload: the next one has begun before the last one is told to end. */
	assert_true(take(&f, &old));
	assert_ok(deltas_reset(f.s, CODING, &e), &e);
	assert_true(take(&f, &t));
	assert_ok(deltas_is_wanted(f.s, &old, &wanted, &e), &e);
	assert_false(wanted);
	assert_ok(deltas_put_back(f.s, &old, 0, &e), &e);
	assert_ok(deltas_retry(f.s, &old, "x", &e), &e);
	put_object(f.s, "old", sha);
	assert_ok(deltas_end(f.s, &old, DELTA_MADE, sha, 3, "", &e), &e);
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_MAKING);
	assert_ok(deltas_is_wanted(f.s, &t, &wanted, &e), &e);
	assert_true(wanted);
}

static void what_is_in_another_coding_is_forgotten_at_the_start(void **state)
{
	static const enum delta_state ends[] = { DELTA_MADE, DELTA_USELESS, DELTA_FAILED };
	FIXTURE(f, state);
	struct delta_offer offer;
	struct delta_task t;
	uint8_t sha[SHA256_SIZE];
	bool made, row;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	put_object(f.s, "delta", sha);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		assert_int_equal(plan(&f), 1);
		assert_true(take(&f, &t));
		assert_ok(deltas_end(f.s, &t, ends[i], ends[i] == DELTA_MADE ? sha : NULL, 5,
				     "", &e),
			  &e);
		assert_ok(deltas_reset(f.s, CODING, &e), &e);
		assert_int_equal(state_of(&f, "2.0", "1.0"), ends[i]);
		assert_ok(deltas_reset(f.s, CODING + 1, &e), &e);
		assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_STATES);
		assert_ok(deltas_find(f.s, "acme", "1.0", "2.0", "system", &offer, &made, &row,
				      &e),
			  &e);
		assert_false(made);
	}
	/* Of what waits or is being made nothing is lost. */
	assert_int_equal(plan(&f), 1);
	assert_ok(deltas_reset(f.s, CODING + 1, &e), &e);
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_WAITING);
	assert_true(take(&f, &t));
	assert_ok(deltas_reset(f.s, CODING + 1, &e), &e);
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_WAITING);
}

static void who_was_told_to_go_that_way_is_told_of_the_delta(void **state)
{
	FIXTURE(f, state);
	struct device_report r = { .agent = "1",
				   .update = "idle",
				   .slot = 'a',
				   .status = "{}",
				   .product = "acme",
				   .version = "1.0" };
	struct device_stamp before, after;
	struct handset going, staying;
	struct delta_task t;
	uint8_t sha[SHA256_SIZE];
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	enrol(f.s, &going, 1, "sales");
	enrol(f.s, &staying, 2, "others");
	roll_out(f.s, "acme", "2.0", TARGET_GROUP, "sales");
	report(f.s, &going, &r);
	report(f.s, &staying, &r);
	plan_of(f.s, &going);
	plan_of(f.s, &staying);
	direct(f.s, &going);
	direct(f.s, &staying);
	assert_false(checkin_of(f.s, &going).stale);
	plan(&f);
	assert_true(take(&f, &t));
	put_object(f.s, "delta", sha);

	devices_stamp(f.s, going.id, &before);
	assert_ok(deltas_end(f.s, &t, DELTA_MADE, sha, 5, "", &e), &e);
	devices_stamp(f.s, going.id, &after);
	assert_true(after.all != before.all);
	assert_true(checkin_of(f.s, &going).stale);
	assert_false(checkin_of(f.s, &staying).stale);
	/* Planned anew it shall run the same, and that was that. */
	assert_false(plan_of(f.s, &going).changed);
	assert_false(checkin_of(f.s, &going).stale);

	before = after;
	assert_ok(releases_withdraw(f.s, "acme", "2.0", "", "token:k1", &e), &e);
	devices_stamp(f.s, going.id, &after);
	assert_true(after.all != before.all);
	assert_true(checkin_of(f.s, &going).stale);
}

static void a_server_that_dies_at_it_every_time_gives_it_up(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	plan(&f);
	for (int i = 0; i < DELTAS_TRIES; i++) {
		assert_true(take(&f, &t));
		fixture_reopen(&f);
		assert_ok(deltas_reset(f.s, CODING, &e), &e);
	}
	assert_false(take(&f, &t));
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_FAILED);
}

static void what_nobody_can_use_is_forgotten_after_a_day(void **state)
{
	FIXTURE(f, state);
	struct delta_task t;
	uint64_t n;
	struct err e;

	publish_own(&f, "1.0", 1);
	publish_own(&f, "2.0", 2);
	device_runs(&f, 1, "1.0");
	plan(&f);
	assert_true(take(&f, &t));
	assert_ok(deltas_end(f.s, &t, DELTA_USELESS, NULL, 0, "", &e), &e);
	publish_own(&f, "3.0", 3);
	plan(&f);
	assert_ok(deltas_prune(f.s, &n, &e), &e);
	assert_int_equal(n, 0);
	clock_fake_advance(&f.clock, (int64_t)2 * DELTAS_GUARD_S * 1000);
	assert_ok(deltas_prune(f.s, &n, &e), &e);
	assert_int_equal(n, 1);
	assert_int_equal(state_of(&f, "2.0", "1.0"), DELTA_STATES);
	assert_int_equal(state_of(&f, "3.0", "1.0"), DELTA_WAITING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(the_most_used_version_comes_first_and_unused_ones_not_at_all),
		TMPDIR_TEST(looking_for_work_writes_nothing_when_there_is_none),
		TMPDIR_TEST(a_demand_adds_what_no_plan_would),
		TMPDIR_TEST(the_same_bytes_need_no_delta),
		TMPDIR_TEST(a_made_one_is_found_by_its_ends_and_its_object_stays),
		TMPDIR_TEST(withdrawing_cancels_what_is_being_made),
		TMPDIR_TEST(crashes_count_and_orderly_ends_do_not),
		TMPDIR_TEST(what_crashed_waits_longer_each_time_and_nobody_waits_behind_it),
		TMPDIR_TEST(
			what_failed_is_planned_again_when_an_object_of_either_release_comes_again),
		TMPDIR_TEST(the_budget_counts_what_is_made_and_what_may_become),
		TMPDIR_TEST(a_task_of_an_earlier_server_ends_as_nothing),
		TMPDIR_TEST(what_is_in_another_coding_is_forgotten_at_the_start),
		TMPDIR_TEST(who_was_told_to_go_that_way_is_told_of_the_delta),
		TMPDIR_TEST(a_server_that_dies_at_it_every_time_gives_it_up),
		TMPDIR_TEST(what_nobody_can_use_is_forgotten_after_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
