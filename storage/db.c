#include "storage/db_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

/* How SQLite opens its files: O_CREAT is said only of what is not there.  They are the web process's, in
 * a sticky folder of root's, and there Linux refuses it to root, who works on them too (`valised backup`;
 * fs.protected_regular, proc(5), which Debian sets). */
static int open_file(const char *path, int flags, int mode)
{
	if (!(flags & O_CREAT) || (flags & O_EXCL))
		return open(path, flags, mode);
	for (;;) {
		int fd = open(path, flags & ~O_CREAT);

		if (fd >= 0 || errno != ENOENT)
			return fd;
		fd = open(path, flags | O_EXCL, mode);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
}

static void sqlite_setup(void)
{
	sqlite3_vfs *vfs;

	/* Connections are never shared between threads at once, and nobody reads the statistics
	 * that a lock in every allocation would pay for. */
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	vfs = sqlite3_vfs_find(NULL);
	if (vfs)
		vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)open_file);
}

bool db_err(struct db *db, int rc, struct err *e)
{
	const char *text = db && db->h ? sqlite3_errmsg(db->h) : sqlite3_errstr(rc);
	int sys = db && db->h ? sqlite3_system_errno(db->h) : 0;

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return err_sys(e, ENOSPC, "database");
	case SQLITE_NOMEM:
		return err_nomem(e);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(e, E_BUSY, "database: %s", text);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(e, E_CORRUPT, "database: %s", text);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return err_sys(e, sys ? sys : EIO, "database: %s", text);
	default:
		return err_set(e, E_INTERNAL, "database: %s (%d)", text, rc);
	}
}

static bool set_up(struct db *db, enum db_mode mode, unsigned busy_ms, struct err *e)
{
	static const char common[] = "PRAGMA foreign_keys = ON;"
				     "PRAGMA trusted_schema = OFF;"
				     "PRAGMA cell_size_check = ON;"
				     "PRAGMA temp_store = MEMORY;";

	sqlite3_busy_timeout(db->h, (int)busy_ms);
	sqlite3_extended_result_codes(db->h, 1);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	if (!db_script(db, common, e))
		return false;
	if (mode == DB_READER)
		return db_script(db, "PRAGMA query_only = ON", e);
	/* FULL: a commit is on the disk when it returns, also in WAL mode. */
	return db_script(db,
			 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			 "PRAGMA journal_size_limit = 67108864;",
			 e);
}

bool db_open(struct db **ret, const char *path, enum db_mode mode, unsigned busy_ms,
	     struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CLEANUP(db_closep) struct db *db = calloc(1, sizeof(*db));
	int rc;

	if (!db)
		return err_nomem(e);
	pthread_once(&once, sqlite_setup);
	rc = sqlite3_open_v2(path, &db->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return db_err(db, rc, e);
	if (!set_up(db, mode, busy_ms, e))
		return false;
	*ret = TAKE(db);
	return true;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < DB_STMTS; i++)
		sqlite3_finalize(db->stmts[i].st);
	sqlite3_close_v2(db->h);
	free(db);
}

bool db_script(struct db *db, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK || db_err(db, rc, e);
}

/* Finds or prepares.  The address of a literal is its identity: hashed, then probed. */
static bool prepare(struct db *db, const char *sql, sqlite3_stmt **ret, struct err *e)
{
	size_t at = ((uintptr_t)sql >> 3) * 0x9e3779b1u % DB_STMTS;
	int rc;

	for (size_t tries = 0; tries < DB_STMTS; tries++, at = (at + 1) % DB_STMTS) {
		if (db->stmts[at].sql == sql) {
			assert(!sqlite3_stmt_busy(db->stmts[at].st));
			*ret = db->stmts[at].st;
			return true;
		}
		if (db->stmts[at].sql)
			continue;
		rc = sqlite3_prepare_v3(db->h, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
		if (rc != SQLITE_OK)
			return db_err(db, rc, e);
		db->stmts[at].sql = sql;
		db->stmts[at].st = *ret;
		return true;
	}
	return err_set(e, E_INTERNAL, "more than %d statements", DB_STMTS);
}

struct val val_text(const char *s)
{
	return s ? T(s, strlen(s)) : NIL();
}

static int bind(sqlite3_stmt *st, int i, const struct val *v)
{
	switch (v->kind) {
	case VAL_INT:
		return sqlite3_bind_int64(st, i, v->i);
	case VAL_TEXT:
		return sqlite3_bind_text64(st, i, v->p, v->n, SQLITE_STATIC, SQLITE_UTF8);
	case VAL_BLOB:
		/* A NULL pointer would be bound as NULL. */
		return sqlite3_bind_blob64(st, i, v->n ? v->p : "", v->n, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(st, i);
	}
}

bool db_rows_(struct db *db, struct rows *r, const char *sql, const struct val *v, size_t n,
	      struct err *e)
{
	sqlite3_stmt *st;

	if (!prepare(db, sql, &st, e))
		return false;
	assert(sqlite3_bind_parameter_count(st) == (int)n);
	for (size_t i = 1; i <= n; i++) {
		int rc = bind(st, (int)i, &v[i]);

		if (rc != SQLITE_OK) {
			sqlite3_clear_bindings(st);
			return db_err(db, rc, e);
		}
	}
	*r = (struct rows){ .db = db, .st = st };
	return true;
}

bool rows_next(struct rows *r, bool *ret_more, struct err *e)
{
	int rc = sqlite3_step(r->st);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return db_err(r->db, rc, e);
	*ret_more = rc == SQLITE_ROW;
	return true;
}

/* The values belong to the caller and go out of scope: the bindings must not outlive them. */
void rows_done(struct rows *r)
{
	if (!r->st)
		return;
	sqlite3_reset(r->st);
	sqlite3_clear_bindings(r->st);
	r->st = NULL;
}

bool db_run_(struct db *db, const char *sql, const struct val *v, size_t n, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more = true;

	if (!db_rows_(db, &r, sql, v, n, e))
		return false;
	while (more)
		if (!rows_next(&r, &more, e))
			return false;
	return true;
}

bool db_one_(struct db *db, struct rows *r, bool *found, const char *sql, const struct val *v,
	     size_t n, struct err *e)
{
	rows_done(r);
	return db_rows_(db, r, sql, v, n, e) && rows_next(r, found, e);
}

bool db_int_(struct db *db, int64_t *ret, const char *sql, const struct val *v, size_t n,
	     struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found = false;

	if (!db_one_(db, &r, &found, sql, v, n, e))
		return false;
	if (found && !col_is_null(&r, 0))
		*ret = col_int(&r, 0);
	return true;
}

int64_t db_changes(struct db *db)
{
	return sqlite3_changes64(db->h);
}

int64_t db_inserted(struct db *db)
{
	return sqlite3_last_insert_rowid(db->h);
}

int64_t col_int(struct rows *r, int col)
{
	return sqlite3_column_int64(r->st, col);
}

bool col_is_null(struct rows *r, int col)
{
	return sqlite3_column_type(r->st, col) == SQLITE_NULL;
}

/* The bytes of a text or blob; NULL is empty.  Out of memory shows as NULL of a value that is not. */
static bool col_bytes(struct rows *r, int col, const void **ret, size_t *ret_n, struct err *e)
{
	const void *p = sqlite3_column_blob(r->st, col);

	*ret_n = (size_t)sqlite3_column_bytes(r->st, col);
	if (!p && *ret_n != 0)
		return err_nomem(e);
	*ret = p ? p : "";
	return true;
}

bool col_text(struct rows *r, int col, char *out, size_t size, struct err *e)
{
	const void *p;
	size_t n;

	if (!col_bytes(r, col, &p, &n, e))
		return false;
	if (n >= size || memchr(p, 0, n))
		return err_set(e, E_CORRUPT,
			       "database: column %s has a text of %zu bytes, at most %zu",
			       sqlite3_column_name(r->st, col), n, size - 1);
	memcpy(out, p, n);
	out[n] = 0;
	return true;
}

bool col_hash(struct rows *r, int col, uint8_t out[static SHA256_SIZE], struct err *e)
{
	const void *p;
	size_t n;

	if (!col_bytes(r, col, &p, &n, e))
		return false;
	if (n != SHA256_SIZE && n != 0)
		return err_set(e, E_CORRUPT, "database: column %s is no hash",
			       sqlite3_column_name(r->st, col));
	if (n == 0)
		memset(out, 0, SHA256_SIZE);
	else
		memcpy(out, p, n);
	return true;
}

bool col_dup(struct rows *r, int col, char **ret, size_t *ret_n, struct err *e)
{
	const void *p;
	size_t n;
	char *copy;

	if (!col_bytes(r, col, &p, &n, e))
		return false;
	copy = malloc(n + 1);
	if (!copy)
		return err_nomem(e);
	memcpy(copy, p, n);
	copy[n] = 0;
	*ret = copy;
	if (ret_n)
		*ret_n = n;
	return true;
}
