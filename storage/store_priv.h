/* storage/store_priv.h - what the modules of storage/ share: reading, writing, list pages.
 *
 * Reading:	CLEANUP(reader_put) struct reader rd = { 0 };
 *		if (!reader_get(&rd, s, e)) return false;
 *		... rd.db ...
 * All statements between get and put see one state of the database.
 *
 * Writing: store_write runs fn in the writer's thread, inside a transaction that others share.  fn
 * may be called again when the shared transaction is lost (disk full, ...): it sets what it
 * hands back anew each time, touches nothing but the database and its context, and calls no
 * function that takes a struct store (the writer would wait for itself). */
#ifndef VALISE_STORAGE_STORE_PRIV_H
#define VALISE_STORAGE_STORE_PRIV_H

#include "storage/db_priv.h"
#include "storage/store.h"

#include <pthread.h>

struct seen; /* storage/seen_priv.h */
struct upload_hashes;

struct job;

enum { STORE_DEVICE_STAMPS = 4096 };

struct store {
	unsigned magic;
	struct store_options o;
	char *state_dir, *db_path;
	int dirfd, objects_fd, uploads_fd;
	unsigned schema;

	pthread_mutex_t pool_lock;
	pthread_cond_t pool_wake;
	struct db *idle; /* readers nobody uses */
	unsigned readers;
	uint64_t reads;

	pthread_t thread;
	bool thread_runs;
	struct db *writer; /* of the writer's thread, and of store_open before it runs */
	pthread_mutex_t jobs_lock;
	pthread_cond_t jobs_wake, jobs_done;
	struct job *jobs, **jobs_tail;
	bool stop;
	uint64_t writes, failed, commits, row_changes, wal_frames;
	int64_t data_version; /* of other processes' commits; writer's thread only */
	/* See devices_stamp; atomic. */
	uint64_t changes, device_changes[STORE_DEVICE_STAMPS];
	int wal_pages; /* in the log now; writer's thread only */

	struct seen *devices_seen, *tokens_seen;
	struct upload_hashes *upload_hashes;
};

enum { STORE_MAGIC = 0x53544f52 };

struct reader {
	struct store *s;
	struct db *db;
	bool in_transaction;
};
bool reader_get(struct reader *r, struct store *s, struct err *e) MUST_USE;
void reader_put(struct reader *r);
/* For a single statement, which is its own transaction. */
bool reader_get_one(struct reader *r, struct store *s, struct err *e) MUST_USE;

/* One number, in a reader of its own; *ret stays when there is no row. */
bool store_int_(struct store *s, int64_t *ret, const char *sql, const struct val *v, size_t n,
		struct err *e) MUST_USE;
#define store_int(s, ret, e, sql, ...) store_int_(s, ret, sql, DB_VALS(__VA_ARGS__), e)

bool store_write(struct store *s, bool (*fn)(struct db *db, void *ctx, struct err *e),
		 void *ctx, struct err *e) MUST_USE;

/* The same for a change that shows in the devices_checkin row of one device only (its id), or, with
 * NULL, in none; store_write is taken to change all. */
bool store_write_device(struct store *s, const char *device,
			bool (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
			struct err *e) MUST_USE;

/* Adds room for one more item to a list whose array is *items; zeroed.  Doubles. */
bool grow(void *items, size_t n, size_t item_size, struct err *e) MUST_USE;

/* limit 0 or beyond the maximum is STORE_PAGE_MAX. */
size_t page_limit(size_t limit);

bool check_name(const char *what, const char *name, struct err *e) MUST_USE; /* E_FORMAT */
bool check_text(const char *what, const char *text, size_t max,
		struct err *e) MUST_USE; /* E_TOO_BIG, E_FORMAT */

/* Fails with E_NO_SPACE when writing so many bytes would leave less than the reserve. */
bool store_room(struct store *s, uint64_t bytes, struct err *e) MUST_USE;

/* One lock for what looks at rows and files together: shared by those that add objects, exclusive
 * for garbage collection; between processes too.  Closing the descriptor unlocks. */
bool objects_lock(struct store *s, bool exclusive, int *ret_fd, struct err *e) MUST_USE;

#endif
