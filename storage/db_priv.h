/* storage/db_priv.h - one SQLite connection with its prepared statements, for storage/ only.
 *
 * A struct db is used by one thread at a time.  Statements are kept by the address of their SQL,
 * so every `sql` here is a string literal.  Values are bound, never printed into SQL:
 *
 *	if (!db_run(db, e, "UPDATE devices SET state = ?1 WHERE number = ?2", I(st), I(number)))
 *
 *	CLEANUP(rows_done) struct rows r = { 0 };
 *	if (!db_rows(db, &r, e, "SELECT a, b FROM t WHERE c = ?1", S(c)))
 *		return false;
 *	while (rows_next(&r, &more, e) && more) ...      // false: error
 *
 * rows_done resets the statement; a row's columns are valid until the next rows_next. */
#ifndef VALISE_STORAGE_DB_PRIV_H
#define VALISE_STORAGE_DB_PRIV_H

#include "base/err.h"
#include "base/sha256.h"

#include <sqlite3.h>

enum { DB_STMTS = 512 }; /* slots; a program has about 150 different statements */

struct db {
	sqlite3 *h;
	struct {
		const char *sql;
		sqlite3_stmt *st;
	} stmts[DB_STMTS];
	struct db *next; /* in the pool of readers */
};

enum db_mode { DB_WRITER, DB_READER };

/* Opens the database file, which exists.  E_CORRUPT: not a database. */
bool db_open(struct db **ret, const char *path, enum db_mode mode, unsigned busy_ms,
	     struct err *e) MUST_USE;
void db_close(struct db *db);
DEFINE_CLEANUP(struct db, db_close);

/* The error of the last call on the connection, mapped to a code of ours. */
bool db_err(struct db *db, int rc, struct err *e);

/* Several statements without values, not cached: migrations, pragmas. */
bool db_script(struct db *db, const char *sql, struct err *e) MUST_USE;

/* A value to bind. */
struct val {
	enum { VAL_NULL, VAL_INT, VAL_TEXT, VAL_BLOB } kind;
	int64_t i;
	const void *p;
	size_t n;
};
#define NIL() ((struct val){ .kind = VAL_NULL })
#define I(x) ((struct val){ .kind = VAL_INT, .i = (int64_t)(x) })
#define B(ptr, len) ((struct val){ .kind = VAL_BLOB, .p = (ptr), .n = (len) })
#define H(hash) B((hash), SHA256_SIZE)
#define S(str) val_text(str) /* NULL is bound as NULL */
#define T(ptr, len) ((struct val){ .kind = VAL_TEXT, .p = (ptr), .n = (len) })
struct val val_text(const char *s);

/* A statement under way. */
struct rows {
	struct db *db;
	sqlite3_stmt *st;
};
void rows_done(struct rows *r);
bool rows_next(struct rows *r, bool *ret_more, struct err *e) MUST_USE;

#define DB_VALS(...)                                  \
	(const struct val[]){ NIL(), ##__VA_ARGS__ }, \
		sizeof((const struct val[]){ NIL(), ##__VA_ARGS__ }) / sizeof(struct val) - 1

/* Runs to the end; rows that come back are ignored. */
#define db_run(db, e, sql, ...) db_run_(db, sql, DB_VALS(__VA_ARGS__), e)
/* Binds; rows_next makes the first step. */
#define db_rows(db, r, e, sql, ...) db_rows_(db, r, sql, DB_VALS(__VA_ARGS__), e)
/* Binds and makes the first step; *found is false when there is no row. */
#define db_one(db, r, found, e, sql, ...) db_one_(db, r, found, sql, DB_VALS(__VA_ARGS__), e)
/* One integer of one row; NULL or no row leaves *ret alone. */
#define db_int(db, ret, e, sql, ...) db_int_(db, ret, sql, DB_VALS(__VA_ARGS__), e)

bool db_run_(struct db *db, const char *sql, const struct val *v, size_t n,
	     struct err *e) MUST_USE;
bool db_rows_(struct db *db, struct rows *r, const char *sql, const struct val *v, size_t n,
	      struct err *e) MUST_USE;
bool db_one_(struct db *db, struct rows *r, bool *found, const char *sql, const struct val *v,
	     size_t n, struct err *e) MUST_USE;
bool db_int_(struct db *db, int64_t *ret, const char *sql, const struct val *v, size_t n,
	     struct err *e) MUST_USE;

/* Rows that the last statement changed; the number of the row that it inserted. */
int64_t db_changes(struct db *db);
int64_t db_inserted(struct db *db);

/* Columns of the current row.  What does not fit was not written by us: E_CORRUPT. */
int64_t col_int(struct rows *r, int col); /* NULL is 0 */
bool col_text(struct rows *r, int col, char *out, size_t size, struct err *e) MUST_USE;
bool col_hash(struct rows *r, int col, uint8_t out[static SHA256_SIZE], struct err *e) MUST_USE;
/* Heap copy of text or blob with a NUL behind; ret_n may be NULL.  NULL is "". */
bool col_dup(struct rows *r, int col, char **ret, size_t *ret_n, struct err *e) MUST_USE;
bool col_is_null(struct rows *r, int col);

#endif
