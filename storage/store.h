/* storage/store.h - one store: the database, the objects and the uploads of one server.
 *
 * No caller sees SQL, a database handle or a path.  Every function of storage/ that changes
 * something is one atomic, durable step: when it returned true the change survives a power cut,
 * when it returned false nothing changed (exceptions are named where they exist).  Changes by
 * administrators, CI and devices take `actor` ("token:k3", "device:<id>", "console") and write
 * their audit row in the same step (storage/audit.h).
 *
 *	struct store_options o = { .state_dir = "/var/lib/valised", .clock = clock_system(),
 *				   .rng = rng_system(), .reserve_bytes = STORE_RESERVE };
 *	CLEANUP(store_freep) struct store *s = NULL;
 *	if (!store_open(&s, &o, e)) ...
 *
 * Threads: every function may be called from any thread at any time between store_open and
 * store_free.  Reads use a pool of read-only connections and never wait for writers.  Writes go
 * to one writer thread, which runs all that wait in one transaction (group commit: one fsync
 * for all), each in a savepoint, so that the error of one does not touch the others; the caller
 * sleeps until its change is durable.
 *
 * Processes: open the store after the last fork (a child must not use its parent's).  Several
 * processes may have the same store open, as `valised backup` beside a running server.
 *
 * Errors common to all: E_NO_SPACE (disk full or above the reserve; works again when there is
 * room), E_BUSY (another process held the database for longer than busy_ms), E_CORRUPT,
 * E_NOMEM, E_SYSTEM.  Others are named at each function.
 *
 * Times are seconds since 1970 from the clock handed in; 0 means "never" or "not yet".
 *
 * What survives what is told in docs/STORAGE.md. */
#ifndef VALISE_STORAGE_STORE_H
#define VALISE_STORAGE_STORE_H

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/sha256.h"

#define STORE_RESERVE (UINT64_C(256) << 20) /* room kept for the database and the system */
#define STORE_PAGE_MAX 1000                 /* rows of one list page */

struct store;

struct store_options {
	const char *state_dir;     /* made with mode 0750 when missing; copied */
	const struct clock *clock; /* kept */
	const struct rng *rng;     /* kept; makes ids and tokens */
	uint64_t reserve_bytes;    /* uploads and objects leave at least this much free */
	unsigned busy_ms;          /* 0 is 5000 */
	bool check;                /* run the quick integrity check before use */
	bool keep_schema;          /* of a tool beside a server that may be older: see below */
};

/* Opens or makes the store and brings its schema up to date (storage/migrate.h).  With keep_schema an
 * older schema (store_stats tells it) stays, and only backup_make may be used with it.
 * E_UNSUPPORTED: the database was written by a newer Valise.  E_CONFLICT: the directory holds a
 * restore that was broken off (storage/backup.h).  Temporary files of crashes are removed. */
bool store_open(struct store **ret, const struct store_options *o, struct err *e) MUST_USE;

/* Waits for the writes under way, then closes.  No thread may be inside another function. */
void store_free(struct store *s);
DEFINE_CLEANUP(struct store, store_free);

/* Structure and foreign keys of the whole database; reads all of it.  E_CORRUPT names the first fault.
 * Objects' bytes: objects_check (storage/objects.h). */
bool store_check(struct store *s, struct err *e) MUST_USE;

/* Whether reading and writing work right now (for /readyz): reads one row and looks at free room. */
bool store_ready(struct store *s, struct err *e) MUST_USE;

/* Notices what other processes changed since the last call (devices_stamp); for a timer.  Writes nothing. */
bool store_look_around(struct store *s, struct err *e) MUST_USE;

/* Counters since store_open, for /metrics and for tests ("an idle check-in writes nothing"). */
struct store_stats {
	uint64_t reads;       /* read calls served */
	uint64_t writes;      /* changes submitted */
	uint64_t failed;      /* of these, refused or failed */
	uint64_t commits;     /* transactions committed: at most `writes` */
	uint64_t row_changes; /* sqlite3_total_changes of the writing connection */
	uint64_t wal_frames;  /* pages appended to the write-ahead log */
	uint64_t free_bytes;  /* on the file system of the store, now */
	unsigned schema;      /* number of the newest migration applied */
	unsigned readers;     /* connections in the read pool */
};
void store_stats(struct store *s, struct store_stats *ret);

/* Now by the store's clock. */
int64_t store_now_s(const struct store *s);

#endif
