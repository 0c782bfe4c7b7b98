/* storage/migrate_priv.h - running migrations, for store_open and the tests of upgrades. */
#ifndef VALISE_STORAGE_MIGRATE_PRIV_H
#define VALISE_STORAGE_MIGRATE_PRIV_H

#include "storage/db_priv.h"
#include "storage/migrate.h"

struct migration {
	const char *name; /* "0001_base.sql" */
	const char *sql;
	size_t n;
};

/* Those built in, in order. */
const struct migration *migrate_list(unsigned *ret_n);

/* Brings the database to the newest of the n migrations given; with `keep` only one that has no
 * schema yet. */
bool migrate_run(struct db *db, const struct migration *list, unsigned n, bool keep,
		 int64_t now_s, unsigned *ret_schema, struct err *e) MUST_USE;

#endif
