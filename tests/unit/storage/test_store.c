#include "tests/unit/storage/fixture.h"

#include "storage/migrate.h"
#include "storage/store_priv.h"

#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 8, EACH = 50 };

static void open_makes_a_store_and_opens_it_again(void **state)
{
	FIXTURE(f, state);
	struct err e;

	assert_int_equal(stats_of(f.s).schema, migrate_newest());
	assert_ok(audit_add(f.s, "console", "test.add", "one", "", &e), &e);
	fixture_reopen(&f);
	assert_ok(store_check(f.s, &e), &e);
	assert_ok(store_ready(f.s, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, 0);
}

static void the_database_is_nobody_elses_to_read(void **state)
{
	FIXTURE(f, state);
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/valise.db", f.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/valise.db-wal", f.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_file_that_is_no_database_is_refused_and_kept(void **state)
{
	struct fixture f = { 0 };
	struct store_options o = { .state_dir = f.path,
				   .clock = &f.clock.base,
				   .rng = &f.rng.base };
	char junk[4096], back[4096];
	struct err e;
	int fd;

	memset(junk, 'x', sizeof(junk));
	clock_fake_init(&f.clock, NOW);
	fixture_rng_init(&f.rng, 1);
	snprintf(f.path, sizeof(f.path), "%s", tmpdir_path(state));
	write_file_at(tmpdir_fd(state), "valise.db", junk, sizeof(junk));
	assert_fails(store_open(&f.s, &o, &e), &e, E_CORRUPT);
	fd = tmpdir_fd(state);
	assert_int_equal(read_back_at(fd, "valise.db", back, sizeof(back)), sizeof(back));
	assert_memory_equal(junk, back, sizeof(back));
}

static void *add_many(void *arg)
{
	struct store *s = arg;
	struct err e;

	for (int i = 0; i < EACH; i++)
		if (!audit_add(s, "console", "test.add", "many", "", &e))
			return arg;
	return NULL;
}

static void many_writers_share_commits_and_lose_nothing(void **state)
{
	FIXTURE(f, state);
	uint64_t before = stats_of(f.s).commits;
	pthread_t t[THREADS];
	struct audit_head head;
	struct err e;
	void *bad;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, add_many, f.s), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_ok(audit_verify(f.s, &head, &e), &e);
	assert_int_equal(head.n, THREADS * EACH);
	assert_in_range(stats_of(f.s).commits - before, 1, THREADS * EACH);
}

/* ---- one transaction for many, the error of one ---- */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool entered, open;
};

/* Holds the writer until the test has queued what it wants to share a transaction. */
static bool wait_at_gate(struct db *db, void *ctx, struct err *e)
{
	struct gate *g = ctx;

	pthread_mutex_lock(&g->lock);
	g->entered = true;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return true;
}

struct caller {
	struct store *s;
	bool (*fn)(struct db *db, void *ctx, struct err *e);
	void *ctx;
	bool ok;
	struct err e;
	pthread_t thread;
};

static void *call(void *arg)
{
	struct caller *c = arg;

	c->ok = store_write(c->s, c->fn, c->ctx, &c->e);
	return NULL;
}

static bool insert_then_maybe_fail(struct db *db, void *ctx, struct err *e)
{
	const int *number = ctx;

	if (!db_run(db, e, "INSERT INTO counters VALUES (?1, ?2)",
		    S(*number < 0 ? "bad" : "good"), I(*number)))
		return false;
	return *number >= 0 || err_set(e, E_CONFLICT, "this one fails");
}

static bool roll_everything_back(struct db *db, void *ctx, struct err *e)
{
	int *calls = ctx;

	/* What SQLite does by itself when the disk is full. */
	++*calls;
	return db_script(db, "ROLLBACK", e) &&
	       err_set(e, E_NO_SPACE, "as if the disk were full");
}

static void run_behind_gate(struct store *s, struct caller *c, size_t n)
{
	struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false };
	struct caller first = { .s = s, .fn = wait_at_gate, .ctx = &g };
	uint64_t submitted;

	assert_int_equal(pthread_create(&first.thread, NULL, call, &first), 0);
	pthread_mutex_lock(&g.lock);
	while (!g.entered)
		pthread_cond_wait(&g.cond, &g.lock);
	pthread_mutex_unlock(&g.lock);
	submitted = stats_of(s).writes;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(pthread_create(&c[i].thread, NULL, call, &c[i]), 0);
		while (stats_of(s).writes != submitted + i + 1)
			sched_yield();
	}
	pthread_mutex_lock(&g.lock);
	g.open = true;
	pthread_cond_broadcast(&g.cond);
	pthread_mutex_unlock(&g.lock);
	pthread_join(first.thread, NULL);
	for (size_t i = 0; i < n; i++)
		pthread_join(c[i].thread, NULL);
}

static int64_t count_counters(struct store *s, const char *name)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	int64_t n = 0;
	struct err e;

	assert_ok(reader_get(&rd, s, &e), &e);
	assert_ok(db_int(rd.db, &n, &e, "SELECT count(*) FROM counters WHERE name = ?1",
			 S(name)),
		  &e);
	return n;
}

static void the_error_of_one_does_not_sink_the_others(void **state)
{
	FIXTURE(f, state);
	int good = 1, bad = -1;
	struct caller c[] = {
		{ .s = f.s, .fn = insert_then_maybe_fail, .ctx = &bad },
		{ .s = f.s, .fn = insert_then_maybe_fail, .ctx = &good },
	};
	uint64_t commits = stats_of(f.s).commits;

	run_behind_gate(f.s, c, 2);
	assert_false(c[0].ok);
	assert_int_equal(c[0].e.code, E_CONFLICT);
	assert_true(c[1].ok);
	assert_int_equal(count_counters(f.s, "good"), 1);
	assert_int_equal(count_counters(f.s, "bad"), 0);
	assert_int_equal(stats_of(f.s).commits, commits + 1);
}

static void a_lost_transaction_is_run_again_one_by_one(void **state)
{
	FIXTURE(f, state);
	int good = 1, calls = 0;
	struct caller c[] = {
		{ .s = f.s, .fn = insert_then_maybe_fail, .ctx = &good },
		{ .s = f.s, .fn = roll_everything_back, .ctx = &calls },
	};

	run_behind_gate(f.s, c, 2);
	assert_true(c[0].ok);
	assert_int_equal(count_counters(f.s, "good"), 1);
	assert_false(c[1].ok);
	assert_int_equal(c[1].e.code, E_NO_SPACE);
	assert_int_equal(calls, 2);
}

/* ---- disk full ---- */

static bool limit_pages(struct db *db, void *ctx, struct err *e)
{
	const int *extra = ctx;
	int64_t pages = 0;
	char sql[64];

	if (!db_int(db, &pages, e, "PRAGMA page_count"))
		return false;
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d",
		 *extra ? (int)pages + *extra : 1 << 30);
	return db_script(db, sql, e);
}

static void a_full_disk_is_told_and_work_goes_on_with_room(void **state)
{
	FIXTURE(f, state);
	char detail[LIMIT_TEXT + 1];
	int extra = 1;
	struct audit_head head;
	struct err e;
	unsigned n = 0;

	memset(detail, 'd', sizeof(detail) - 1);
	detail[sizeof(detail) - 1] = 0;
	assert_ok(store_write(f.s, limit_pages, &extra, &e), &e);
	while (audit_add(f.s, "console", "test.fill", "x", detail, &e))
		assert_in_range(++n, 1, 1000);
	assert_int_equal(e.code, E_NO_SPACE);
	assert_ok(audit_verify(f.s, &head, &e), &e);
	assert_int_equal(head.n, n);

	extra = 0;
	assert_ok(store_write(f.s, limit_pages, &extra, &e), &e);
	assert_ok(audit_add(f.s, "console", "test.fill", "x", detail, &e), &e);
	assert_ok(audit_verify(f.s, &head, &e), &e);
	assert_int_equal(head.n, n + 1);
}

static void more_than_the_reserve_leaves_is_refused_before_the_first_byte(void **state)
{
	FIXTURE(f, state);
	uint8_t sha[SHA256_SIZE] = { 0 };
	struct object_writer *w;
	struct upload u;
	struct err e;

	f.s->o.reserve_bytes = UINT64_MAX / 2;
	assert_fails(objects_begin(&w, f.s, sha, 1, &e), &e, E_NO_SPACE);
	assert_fails(uploads_create(f.s, sha, 1, 1, &u, &e), &e, E_NO_SPACE);
	assert_fails(store_ready(f.s, &e), &e, E_NO_SPACE);
	f.s->o.reserve_bytes = 0;
	assert_ok(store_ready(f.s, &e), &e);
}

/* ---- another process ---- */

static void a_lock_held_by_another_process_is_busy_and_passes(void **state)
{
	FIXTURE(f, state);
	CLEANUP(db_closep) struct db *other = NULL;
	struct err e;

	fixture_end(&f);
	f.s = NULL;
	struct store_options o = {
		.state_dir = f.path, .clock = &f.clock.base, .rng = &f.rng.base, .busy_ms = 1
	};
	assert_ok(store_open(&f.s, &o, &e), &e);
	assert_ok(db_open(&other, f.s->db_path, DB_WRITER, 0, &e), &e);
	assert_ok(db_script(other, "BEGIN IMMEDIATE", &e), &e);
	assert_fails(audit_add(f.s, "console", "test.add", "x", "", &e), &e, E_BUSY);
	assert_ok(db_script(other, "ROLLBACK", &e), &e);
	assert_ok(audit_add(f.s, "console", "test.add", "x", "", &e), &e);
}

static void a_folder_of_a_broken_restore_is_refused(void **state)
{
	struct fixture f = { 0 };
	struct store_options o = { .state_dir = f.path,
				   .clock = &f.clock.base,
				   .rng = &f.rng.base };
	struct err e;

	clock_fake_init(&f.clock, NOW);
	fixture_rng_init(&f.rng, 1);
	snprintf(f.path, sizeof(f.path), "%s", tmpdir_path(state));
	write_file_at(tmpdir_fd(state), "restore-incomplete", "", 0);
	assert_fails(store_open(&f.s, &o, &e), &e, E_CONFLICT);
	assert_false(file_exists_at(tmpdir_fd(state), "valise.db"));
}

/* The web process can make links there, and root opens the store as well. */
static void no_file_of_the_store_is_opened_through_a_link(void **state)
{
	static const char *const names[] = { "valise.db", "valise.db-wal", "valise.db-shm" };
	FIXTURE(f, state);
	struct store_options o = { .state_dir = f.path,
				   .clock = &f.clock.base,
				   .rng = &f.rng.base };
	char path[600], elsewhere[600];
	struct store *s = NULL;
	struct err e;

	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", tmpdir_path(state));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bool was_there;

		fixture_end(&f);
		snprintf(path, sizeof(path), "%s/%s", f.path, names[i]);
		was_there = rename(path, elsewhere) == 0;
		assert_int_equal(was_there, i == 0);
		assert_int_equal(symlink(elsewhere, path), 0);
		assert_fails(store_open(&s, &o, &e), &e, E_SYSTEM);
		assert_int_equal(access(elsewhere, F_OK) == 0, was_there);
		assert_int_equal(unlink(path), 0);
		assert_true(!was_there || rename(elsewhere, path) == 0);
		fixture_open(&f);
	}
}

/* As a server's folder is: root's and sticky, the files in it another user's. */
static void root_opens_what_another_user_has_made(void **state)
{
	static const char *const names[] = { "valise.db", "valise.db-wal", "valise.db-shm" };
	enum { SOMEBODY = 65534 };
	FIXTURE(f, state);
	struct store_options o = { .state_dir = f.path,
				   .clock = &f.clock.base,
				   .rng = &f.rng.base };
	struct store *second = NULL;
	char path[600];
	struct err e;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(f.path, 0, SOMEBODY), 0);
	assert_int_equal(chmod(f.path, 01770), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f.path, names[i]);
		assert_int_equal(chown(path, SOMEBODY, SOMEBODY), 0);
	}
	assert_ok(store_open(&second, &o, &e), &e);
	assert_ok(audit_add(second, "console", "test.add", "one", "", &e), &e);
	store_free(second);
}

static void open_survives_the_nth_allocation_failing(void **state)
{
	struct fixture f = { 0 };
	struct err e;

	clock_fake_init(&f.clock, NOW);
	fixture_rng_init(&f.rng, 1);
	snprintf(f.path, sizeof(f.path), "%s/state", tmpdir_path(state));
	FAULT_EACH(n, FAULT_ALLOC) {
		struct store_options o = { .state_dir = f.path,
					   .clock = &f.clock.base,
					   .rng = &f.rng.base };
		struct store *s = NULL;
		bool ok = store_open(&s, &o, &e);

		assert_true(ok || e.code == E_NOMEM);
		store_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(open_makes_a_store_and_opens_it_again),
		TMPDIR_TEST(the_database_is_nobody_elses_to_read),
		TMPDIR_TEST(a_file_that_is_no_database_is_refused_and_kept),
		TMPDIR_TEST(many_writers_share_commits_and_lose_nothing),
		TMPDIR_TEST(the_error_of_one_does_not_sink_the_others),
		TMPDIR_TEST(a_lost_transaction_is_run_again_one_by_one),
		TMPDIR_TEST(a_full_disk_is_told_and_work_goes_on_with_room),
		TMPDIR_TEST(more_than_the_reserve_leaves_is_refused_before_the_first_byte),
		TMPDIR_TEST(a_lock_held_by_another_process_is_busy_and_passes),
		TMPDIR_TEST(a_folder_of_a_broken_restore_is_refused),
		TMPDIR_TEST(no_file_of_the_store_is_opened_through_a_link),
		TMPDIR_TEST(root_opens_what_another_user_has_made),
		TMPDIR_TEST(open_survives_the_nth_allocation_failing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
