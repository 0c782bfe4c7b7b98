/* Every schema that ever was upgrades to the newest with its data kept.
 *
 * tests/golden/schema/ has one database per schema as SQL text, named like the migration that was
 * the newest then.  A new migration brings its own file there: a dump of a database of that
 * schema, with data in what it added. */
#include "tests/unit/storage/fixture.h"

#include "storage/backup.h"
#include "storage/migrate_priv.h"
#include "storage/store_priv.h"

#include "base/io.h"

#include <fcntl.h>
#include <unistd.h>

enum { DUMP_MAX = 1 << 20 };

/* Tests run in the folder of the repository, or are told where it is. */
static int golden_dir(void)
{
	const char *top = getenv("TOP");
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/tests/golden/schema", top ? top : ".");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct db *open_empty(const char *dir)
{
	char path[600];
	struct db *db;
	struct err e;
	int fd;

	snprintf(path, sizeof(path), "%s/valise.db", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_ok(db_open(&db, path, DB_WRITER, 1000, &e), &e);
	return db;
}

/* ---- what is in a database, as one text ---- */

static void add_text(struct buf *b, const char *s)
{
	struct err e;

	assert_ok(buf_add_str(b, s, &e), &e);
}

/* Statements made of names from the database itself, so not through the cache of literals. */
static void dump_query(struct db *db, const char *sql, struct buf *out)
{
	sqlite3_stmt *st;
	struct err e;

	if (sqlite3_prepare_v2(db->h, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db->h));
	while (sqlite3_step(st) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(st); i++)
			assert_ok(buf_printf(out, &e, "%s|",
					     (const char *)sqlite3_column_text(st, i)),
				  &e);
		add_text(out, "\n");
	}
	sqlite3_finalize(st);
}

/* Migration 0011 gave these columns other names and rows of another kind a place beside them. */
static const char proposals_now[] =
	"SELECT quote(number), quote(name), quote(version), quote(text), quote(role),"
	" quote(proposed_at), quote(proposed_by), quote(expires_at) FROM proposals"
	" WHERE kind = 0 ORDER BY 1, 2";

/* A query of all rows of the table with the columns that it has now. */
static void query_of(struct db *db, const char *table, struct buf *sql)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more, first = true;
	char column[80];
	struct err e;

	buf_reset(sql);
	add_text(sql, "SELECT ");
	assert_ok(db_rows(db, &r, &e, "SELECT name FROM pragma_table_info(?1)", S(table)), &e);
	for (;; first = false) {
		assert_ok(rows_next(&r, &more, &e), &e);
		if (!more)
			break;
		assert_ok(col_text(&r, 0, column, sizeof(column), &e), &e);
		assert_ok(buf_printf(sql, &e, "%squote(\"%s\")", first ? "" : ", ", column),
			  &e);
	}
	assert_ok(buf_printf(sql, &e, " FROM \"%s\" ORDER BY 1, 2", table), &e);
}

enum { TABLES = 40 };

struct dump {
	struct buf sql[TABLES], rows[TABLES];
	size_t n;
};

static void dump_make(struct db *db, struct dump *d, unsigned schema)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	char table[80];
	struct err e;
	bool more;

	*d = (struct dump){ 0 };
	assert_ok(db_rows(db, &r, &e,
			  "SELECT name FROM sqlite_schema WHERE type = 'table'"
			  " AND name NOT LIKE 'sqlite_%' AND name <> 'migrations'"),
		  &e);
	for (;; d->n++) {
		assert_ok(rows_next(&r, &more, &e), &e);
		if (!more)
			break;
		assert_true(d->n < TABLES);
		assert_ok(col_text(&r, 0, table, sizeof(table), &e), &e);
		buf_init(&d->sql[d->n], DUMP_MAX);
		buf_init(&d->rows[d->n], DUMP_MAX);
		query_of(db, table, &d->sql[d->n]);
		dump_query(db, buf_str(&d->sql[d->n]), &d->rows[d->n]);
		if (d->rows[d->n].n == 0)
			fail_msg("table %s is empty: nothing would show that its rows are kept",
				 table);
		if (schema < 11 && strcmp(table, "proposals") == 0) {
			buf_reset(&d->sql[d->n]);
			add_text(&d->sql[d->n], proposals_now);
		}
	}
}

static void dump_assert_same(struct db *db, struct dump *d)
{
	for (size_t i = 0; i < d->n; i++) {
		CLEANUP(buf_done) struct buf now = BUF_INIT(DUMP_MAX);

		dump_query(db, buf_str(&d->sql[i]), &now);
		assert_string_equal(buf_str(&now), buf_str(&d->rows[i]));
		buf_done(&d->sql[i]);
		buf_done(&d->rows[i]);
	}
}

static void schema_of(struct db *db, struct buf *out)
{
	dump_query(db, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2",
		   out);
}

/* ---- tests ---- */

static void upgrade_one(const char *dir, const char *name, unsigned schema)
{
	CLEANUP(buf_done) struct buf sql = BUF_INIT(DUMP_MAX);
	CLEANUP(buf_done) struct buf fresh = BUF_INIT(DUMP_MAX);
	CLEANUP(buf_done) struct buf upgraded = BUF_INIT(DUMP_MAX);
	CLEANUP(db_closep) struct db *db = open_empty(dir);
	CLEANUP(fd_closep) int golden = golden_dir();
	struct fixture f = { 0 };
	struct audit_head head;
	int64_t version = 0;
	struct dump before;
	struct err e;

	if (!read_file_at(golden, name, &sql, &e))
		fail_msg("tests/golden/schema has no %s: every migration brings its own", name);
	assert_ok(db_script(db, "PRAGMA foreign_keys = OFF", &e),
		  &e); /* a dump is in any order */
	assert_ok(db_script(db, buf_str(&sql), &e), &e);
	assert_ok(db_int(db, &version, &e, "PRAGMA user_version"), &e);
	assert_int_equal(version, schema);
	dump_make(db, &before, schema);
	db_close(TAKE(db));

	clock_fake_init(&f.clock, NOW);
	fixture_rng_init(&f.rng, 1);
	snprintf(f.path, sizeof(f.path), "%s", dir);
	fixture_open(&f);
	assert_int_equal(stats_of(f.s).schema, migrate_newest());
	assert_ok(store_check(f.s, &e), &e);
	assert_ok(audit_verify(f.s, &head, &e), &e);
	dump_assert_same(f.s->writer, &before);
	schema_of(f.s->writer, &upgraded);
	fixture_end(&f);

	snprintf(f.path, sizeof(f.path), "%s/fresh", dir);
	fixture_open(&f);
	schema_of(f.s->writer, &fresh);
	assert_string_equal(buf_str(&fresh), buf_str(&upgraded));
	fixture_end(&f);
}

static void every_schema_that_was_upgrades_with_its_data(void **state)
{
	const struct migration *list;
	unsigned n;

	list = migrate_list(&n);
	assert_true(n > 0);
	for (unsigned i = 1; i <= n; i++) {
		CLEANUP(fd_closep) int fd = -1;
		char dir[600];
		struct err e;

		snprintf(dir, sizeof(dir), "%s/%u", tmpdir_path(state), i);
		assert_ok(dir_open(&fd, dir, 0755, &e), &e);
		upgrade_one(dir, list[i - 1].name, i);
	}
}

static bool set_version(struct db *db, unsigned version, struct err *e)
{
	char sql[48];

	snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", version);
	return db_script(db, sql, e);
}

static void a_newer_schema_is_refused_untouched_with_a_clear_text(void **state)
{
	FIXTURE(f, state);
	struct store_options o = { .state_dir = f.path,
				   .clock = &f.clock.base,
				   .rng = &f.rng.base };
	CLEANUP(db_closep) struct db *db = NULL;
	char path[600];
	int64_t version = 0;
	struct store *s;
	struct err e;

	fixture_end(&f);
	f.s = NULL;
	snprintf(path, sizeof(path), "%s/valise.db", f.path);
	assert_ok(db_open(&db, path, DB_WRITER, 1000, &e), &e);
	assert_ok(set_version(db, migrate_newest() + 1, &e), &e);
	assert_fails(store_open(&s, &o, &e), &e, E_UNSUPPORTED);
	assert_non_null(strstr(e.text, "is newer than"));
	assert_non_null(strstr(e.hint, "newer Valise"));
	assert_ok(db_int(db, &version, &e, "PRAGMA user_version"), &e);
	assert_int_equal(version, migrate_newest() + 1);
}

static const struct migration two[] = {
	{ .name = "0001_a.sql", .sql = "CREATE TABLE a (x);", .n = 19 },
	{ .name = "0002_b.sql",
	  .sql = "CREATE TABLE b (x); INSERT INTO none VALUES (1);",
	  .n = 48 },
};

static void a_migration_that_fails_leaves_the_old_schema_whole(void **state)
{
	CLEANUP(db_closep) struct db *db = open_empty(tmpdir_path(state));
	int64_t version = -1, tables = -1;
	unsigned schema;
	struct err e;

	assert_ok(migrate_run(db, two, 1, false, NOW, &schema, &e), &e);
	assert_false(migrate_run(db, two, 2, false, NOW, &schema, &e));
	assert_non_null(strstr(e.text, "0002_b.sql"));
	assert_ok(db_int(db, &version, &e, "PRAGMA user_version"), &e);
	assert_int_equal(version, 1);
	assert_ok(db_int(db, &tables, &e,
			 "SELECT count(*) FROM sqlite_schema WHERE name = 'b'"),
		  &e);
	assert_int_equal(tables, 0);
	assert_ok(migrate_run(db, two, 1, false, NOW, &schema, &e), &e);
}

static void an_edited_migration_is_found(void **state)
{
	CLEANUP(db_closep) struct db *db = open_empty(tmpdir_path(state));
	static const struct migration edited[] = {
		{ .name = "0001_a.sql", .sql = "CREATE TABLE a (y);", .n = 19 },
	};
	unsigned schema;
	struct err e;

	assert_ok(migrate_run(db, two, 1, false, NOW, &schema, &e), &e);
	assert_fails(migrate_run(db, edited, 1, false, NOW, &schema, &e), &e, E_CONFLICT);
}

/* An older server may be running on it. */
static void a_tool_keeps_the_schema_that_is_there_and_can_back_it_up(void **state)
{
	FIXTURE(f, state);
	struct store_options o = { .state_dir = f.path,
				   .clock = &f.clock.base,
				   .rng = &f.rng.base,
				   .keep_schema = true };
	CLEANUP(db_closep) struct db *db = NULL;
	CLEANUP(store_freep) struct store *s = NULL;
	const struct migration *list;
	char path[600], copy[600];
	struct backup_report r;
	struct store_stats st;
	int64_t version = 0;
	unsigned n, schema;
	struct err e;

	fixture_end(&f);
	f.s = NULL;
	snprintf(path, sizeof(path), "%s/valise.db", f.path);
	snprintf(copy, sizeof(copy), "%s/copy", f.path);
	assert_int_equal(truncate(path, 0), 0);
	list = migrate_list(&n);
	assert_ok(db_open(&db, path, DB_WRITER, 1000, &e), &e);
	assert_ok(migrate_run(db, list, n - 1, true, NOW, &schema, &e), &e);
	assert_int_equal(schema, n - 1);
	assert_ok(store_open(&s, &o, &e), &e);
	store_stats(s, &st);
	assert_int_equal(st.schema, n - 1);
	assert_ok(backup_make(s, copy, false, &r, &e), &e);
	assert_int_equal(r.schema, n - 1);
	assert_ok(db_int(db, &version, &e, "PRAGMA user_version"), &e);
	assert_int_equal(version, n - 1);
	store_free(TAKE(s));
	o.keep_schema = false;
	assert_ok(store_open(&s, &o, &e), &e);
	store_stats(s, &st);
	assert_int_equal(st.schema, n);
}

static void numbers_have_no_gaps(void **state)
{
	CLEANUP(db_closep) struct db *db = open_empty(tmpdir_path(state));
	static const struct migration gap[] = {
		{ .name = "0002_a.sql", .sql = "CREATE TABLE a (x);", .n = 19 },
	};
	unsigned schema;
	struct err e;

	assert_fails(migrate_run(db, gap, 1, false, NOW, &schema, &e), &e, E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(every_schema_that_was_upgrades_with_its_data),
		TMPDIR_TEST(a_newer_schema_is_refused_untouched_with_a_clear_text),
		TMPDIR_TEST(a_migration_that_fails_leaves_the_old_schema_whole),
		TMPDIR_TEST(an_edited_migration_is_found),
		TMPDIR_TEST(a_tool_keeps_the_schema_that_is_there_and_can_back_it_up),
		TMPDIR_TEST(numbers_have_no_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
