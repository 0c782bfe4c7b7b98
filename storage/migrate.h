/* storage/migrate.h - the numbered schema changes of migrations/, applied in order at start.
 *
 * Forward only.  migrations/NNNN_what.sql are built into the program; number N brings a database
 * from user_version N-1 to N.  All pending ones run in one transaction: a crash, a full disk or a
 * fault in the SQL leaves the old schema whole.  A migration that has been released is never
 * edited: its SHA-256 is stored when it is applied and compared at every start (E_CONFLICT).
 * A database with a greater number was written by a newer Valise and is refused untouched
 * (E_UNSUPPORTED).  Runs inside store_open; nobody else needs this header but for messages. */
#ifndef VALISE_STORAGE_MIGRATE_H
#define VALISE_STORAGE_MIGRATE_H

#include "base/err.h"

/* The newest schema this program knows. */
unsigned migrate_newest(void);

#endif
