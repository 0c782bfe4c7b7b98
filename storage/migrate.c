#include "storage/migrate_priv.h"

#include <inttypes.h>
#include <pthread.h>

#include "migrations.inc"

enum { N_MIGRATIONS = ARRAY_SIZE(migrations_files) };

static struct migration builtin[N_MIGRATIONS];

/* The number is the name's first four digits and has to be the place in the list. */
static bool is_number(const char *name, unsigned number)
{
	char digits[5];

	snprintf(digits, sizeof(digits), "%04u", number);
	return strncmp(name, digits, 4) == 0 && name[4] == '_';
}

static void collect(void)
{
	for (size_t i = 0; i < N_MIGRATIONS; i++)
		builtin[i] = (struct migration){
			.name = migrations_files[i].name,
			.sql = (const char *)migrations_files[i].p,
			.n = migrations_files[i].n,
		};
}

const struct migration *migrate_list(unsigned *ret_n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, collect);
	*ret_n = N_MIGRATIONS;
	return builtin;
}

unsigned migrate_newest(void)
{
	return N_MIGRATIONS;
}

/* Has what is applied been edited since? */
static bool check_applied(struct db *db, const struct migration *list, unsigned schema,
			  struct err *e)
{
	for (unsigned i = 1; i <= schema; i++) {
		CLEANUP(rows_done) struct rows r = { 0 };
		uint8_t stored[SHA256_SIZE], ours[SHA256_SIZE];
		bool found;

		if (!db_one(db, &r, &found, e,
			    "SELECT sha256 FROM migrations WHERE number = ?1", I(i)))
			return false;
		if (!found)
			return err_set(e, E_CORRUPT, "database: migration %u has no row", i);
		if (!col_hash(&r, 0, stored, e))
			return false;
		sha256(ours, list[i - 1].sql, list[i - 1].n);
		if (memcmp(stored, ours, SHA256_SIZE) != 0)
			return err_set(
				e, E_CONFLICT,
				"database: was made with another %s than this program has",
				list[i - 1].name);
	}
	return true;
}

static bool apply(struct db *db, const struct migration *m, unsigned number, int64_t now_s,
		  struct err *e)
{
	uint8_t hash[SHA256_SIZE];
	char pragma[48];

	if (!is_number(m->name, number))
		return err_set(e, E_INTERNAL, "%s is not number %u", m->name, number);
	sha256(hash, m->sql, m->n);
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u", number);
	return db_script(db, m->sql, e) && db_script(db, pragma, e) &&
	       db_run(db, e, "INSERT INTO migrations VALUES (?1, ?2, ?3, ?4)", I(number),
		      S(m->name), H(hash), I(now_s));
}

static bool apply_pending(struct db *db, const struct migration *list, unsigned n, bool keep,
			  int64_t now_s, unsigned *ret_schema, struct err *e)
{
	static const char table[] =
		"CREATE TABLE IF NOT EXISTS migrations ("
		" number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
		" sha256 BLOB NOT NULL, applied_at INTEGER NOT NULL) STRICT";
	int64_t schema = 0;

	/* Asked inside the transaction: another process may have been faster. */
	if (!db_int(db, &schema, e, "PRAGMA user_version"))
		return false;
	if (schema > n) {
		err_set(e, E_UNSUPPORTED,
			"database: schema %" PRId64
			" is newer than %u, the newest this program knows",
			schema, n);
		return err_hint(
			e, "it was opened by a newer Valise: install that version again, or "
			   "restore a backup from before");
	}
	if (!db_script(db, table, e) || !check_applied(db, list, (unsigned)schema, e))
		return false;
	if (keep && schema > 0)
		n = (unsigned)schema;
	*ret_schema = n;
	for (unsigned i = (unsigned)schema + 1; i <= n; i++)
		if (!apply(db, &list[i - 1], i, now_s, e))
			return err_wrap(e, "migration %s", list[i - 1].name);
	return true;
}

bool migrate_run(struct db *db, const struct migration *list, unsigned n, bool keep,
		 int64_t now_s, unsigned *ret_schema, struct err *e)
{
	struct err ignored;
	unsigned schema;

	if (!db_script(db, "BEGIN IMMEDIATE", e))
		return false;
	if (!apply_pending(db, list, n, keep, now_s, &schema, e) ||
	    !db_script(db, "COMMIT", e)) {
		if (!sqlite3_get_autocommit(db->h) && !db_script(db, "ROLLBACK", &ignored))
			return false;
		return false;
	}
	*ret_schema = schema;
	return true;
}
