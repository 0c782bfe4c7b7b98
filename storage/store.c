#include "storage/migrate_priv.h"
#include "storage/seen_priv.h"
#include "storage/devices.h"
#include "storage/store_priv.h"
#include "storage/uploads_priv.h"

#include "base/file.h"
#include "base/io.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	BUSY_MS = 5000,
	BATCH_MAX = 512,         /* changes in one transaction */
	CHECKPOINT_PAGES = 1000, /* as SQLite's own default */
	READERS_MAX = 64,        /* connections; more threads than that wait for one */
};

/* ---- readers ---- */

static struct db *pool_take(struct store *s, bool *ret_make)
{
	struct db *db;

	pthread_mutex_lock(&s->pool_lock);
	while (!s->idle && s->readers >= READERS_MAX)
		pthread_cond_wait(&s->pool_wake, &s->pool_lock);
	db = s->idle;
	if (db)
		s->idle = db->next;
	*ret_make = !db;
	s->readers += !db;
	s->reads++;
	pthread_mutex_unlock(&s->pool_lock);
	return db;
}

static void pool_give(struct store *s, struct db *db)
{
	pthread_mutex_lock(&s->pool_lock);
	if (db) {
		db->next = s->idle;
		s->idle = db;
	} else {
		s->readers--;
	}
	pthread_cond_signal(&s->pool_wake);
	pthread_mutex_unlock(&s->pool_lock);
}

bool reader_get_one(struct reader *r, struct store *s, struct err *e)
{
	bool make;

	assert(s->magic == STORE_MAGIC);
	r->db = pool_take(s, &make);
	r->s = s;
	r->in_transaction = false;
	if (make && !db_open(&r->db, s->db_path, DB_READER, s->o.busy_ms, e)) {
		pool_give(s, NULL);
		r->s = NULL;
		return false;
	}
	return true;
}

bool reader_get(struct reader *r, struct store *s, struct err *e)
{
	if (!reader_get_one(r, s, e))
		return false;
	if (!db_run(r->db, e, "BEGIN")) {
		reader_put(r);
		return false;
	}
	r->in_transaction = true;
	return true;
}

void reader_put(struct reader *r)
{
	struct err ignored;

	if (!r->s)
		return;
	/* Ending a read transaction cannot lose anything; one that does not end is not used again. */
	if (r->in_transaction && !db_run(r->db, &ignored, "COMMIT") &&
	    !sqlite3_get_autocommit(r->db->h)) {
		db_close(r->db);
		r->db = NULL;
	}
	pool_give(r->s, r->db);
	r->s = NULL;
	r->db = NULL;
}

bool store_int_(struct store *s, int64_t *ret, const char *sql, const struct val *v, size_t n,
		struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };

	return reader_get_one(&rd, s, e) && db_int_(rd.db, ret, sql, v, n, e);
}

/* ---- the writer ---- */

struct job {
	enum { TOUCHES_ALL, TOUCHES_DEVICE, TOUCHES_NONE } touches;
	const char *device;
	bool (*fn)(struct db *db, void *ctx, struct err *e);
	void *ctx;
	struct err *e; /* of the caller, who sleeps */
	bool ok, done;
	struct job *next;
};

/* Ids are hashes: their first digits are as good as any. */
static unsigned stamp_of(const char *device)
{
	unsigned n = 0;

	for (int i = 0; i < 3 && device[i]; i++)
		n = n << 4 |
		    (unsigned)(device[i] <= '9' ? device[i] - '0' : device[i] - 'a' + 10);
	return n % STORE_DEVICE_STAMPS;
}

/* After the commit, before anybody is told of it: who reads a row then finds another stamp. */
static void count_changes(struct store *s, const struct job *first, const struct job *end)
{
	for (const struct job *j = first; j != end; j = j->next) {
		if (!j->ok || j->touches == TOUCHES_NONE)
			continue;
		if (j->touches == TOUCHES_DEVICE)
			__atomic_add_fetch(&s->device_changes[stamp_of(j->device)], 1,
					   __ATOMIC_SEQ_CST);
		else
			__atomic_add_fetch(&s->changes, 1, __ATOMIC_SEQ_CST);
	}
}

void devices_stamp(struct store *s, const char *id, struct device_stamp *ret)
{
	ret->all = __atomic_load_n(&s->changes, __ATOMIC_SEQ_CST);
	ret->own = __atomic_load_n(&s->device_changes[stamp_of(id)], __ATOMIC_SEQ_CST);
}

static bool run_job(struct db *db, struct job *j)
{
	struct err ignored;

	if (!db_run(db, j->e, "SAVEPOINT job"))
		return false;
	if (!j->fn(db, j->ctx, j->e)) {
		/* A full disk may have rolled back everything already. */
		if (!sqlite3_get_autocommit(db->h) &&
		    (!db_run(db, &ignored, "ROLLBACK TO job") ||
		     !db_run(db, &ignored, "RELEASE job")))
			return false;
		return false;
	}
	return db_run(db, j->e, "RELEASE job");
}

static void roll_back(struct db *db)
{
	struct err ignored;

	if (!sqlite3_get_autocommit(db->h) && !db_run(db, &ignored, "ROLLBACK"))
		return;
}

/* One transaction for the jobs from first up to end.  False when the transaction was lost and
 * there was more than one job: then nothing is decided yet and each has to run alone. */
static bool run_batch(struct store *s, struct job *first, struct job *end)
{
	struct db *db = s->writer;
	int64_t before = sqlite3_total_changes64(db->h);
	bool alone = first->next == end, any = false, lost = false;
	struct err e;

	if (!db_run(db, &e, "BEGIN IMMEDIATE")) {
		for (struct job *j = first; j != end; j = j->next)
			*j->e = e;
		return true;
	}
	for (struct job *j = first; j != end && !lost; j = j->next) {
		j->ok = run_job(db, j);
		any |= j->ok;
		lost = sqlite3_get_autocommit(db->h);
	}
	if (!lost && any && !db_run(db, &e, "COMMIT")) {
		lost = true;
		if (alone)
			*first->e = e;
	}
	if (lost || !any)
		roll_back(db);
	if (lost) {
		first->ok = false;
	} else if (any && sqlite3_total_changes64(db->h) != before) {
		__atomic_add_fetch(&s->commits, 1, __ATOMIC_RELAXED);
		count_changes(s, first, end);
	}
	return !lost || alone;
}

static void run_jobs(struct store *s, struct job *first)
{
	if (run_batch(s, first, NULL))
		return;
	for (struct job *j = first; j; j = j->next) {
		j->ok = false;
		run_batch(s, j, j->next);
	}
}

static int count_wal(void *arg, sqlite3 *h, const char *name, int pages)
{
	struct store *s = arg;
	int more = pages - s->wal_pages;

	/* The log starts anew after a checkpoint: then it holds just this commit. */
	__atomic_add_fetch(&s->wal_frames, (uint64_t)(more > 0 ? more : pages),
			   __ATOMIC_RELAXED);
	s->wal_pages = pages;
	return SQLITE_OK;
}

/* After the callers were told: a checkpoint is not theirs to wait for, and its failure loses
 * nothing (the log keeps what it could not move). */
static void checkpoint(struct store *s)
{
	if (s->wal_pages >= CHECKPOINT_PAGES)
		sqlite3_wal_checkpoint_v2(s->writer->h, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL,
					  NULL);
}

/* Cuts off up to BATCH_MAX jobs from the queue; NULL when the store is being closed. */
static struct job *take_jobs(struct store *s)
{
	struct job *first, **cut;
	unsigned n = 0;

	pthread_mutex_lock(&s->jobs_lock);
	while (!s->jobs && !s->stop)
		pthread_cond_wait(&s->jobs_wake, &s->jobs_lock);
	first = s->jobs;
	for (cut = &s->jobs; *cut && n < BATCH_MAX; cut = &(*cut)->next)
		n++;
	s->jobs = *cut;
	if (!s->jobs)
		s->jobs_tail = &s->jobs;
	if (first)
		*cut = NULL;
	pthread_mutex_unlock(&s->jobs_lock);
	return first;
}

static void tell_done(struct store *s, struct job *first)
{
	pthread_mutex_lock(&s->jobs_lock);
	for (struct job *j = first, *next; j; j = next) {
		next = j->next; /* the job is on its caller's stack */
		s->failed += !j->ok;
		j->done = true;
	}
	pthread_cond_broadcast(&s->jobs_done);
	pthread_mutex_unlock(&s->jobs_lock);
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	struct job *jobs;

	while ((jobs = take_jobs(s))) {
		run_jobs(s, jobs);
		__atomic_store_n(&s->row_changes,
				 (uint64_t)sqlite3_total_changes64(s->writer->h),
				 __ATOMIC_RELAXED);
		tell_done(s, jobs);
		checkpoint(s);
	}
	return NULL;
}

static bool submit(struct store *s, struct job *job)
{
	struct job j = *job;

	assert(s->magic == STORE_MAGIC && !pthread_equal(pthread_self(), s->thread));
	pthread_mutex_lock(&s->jobs_lock);
	s->writes++;
	*s->jobs_tail = &j;
	/* The queue is done with the job before this returns. */
	// cppcheck-suppress autoVariables
	s->jobs_tail = &j.next;
	pthread_cond_signal(&s->jobs_wake);
	while (!j.done)
		pthread_cond_wait(&s->jobs_done, &s->jobs_lock);
	pthread_mutex_unlock(&s->jobs_lock);
	return j.ok;
}

bool store_write(struct store *s, bool (*fn)(struct db *db, void *ctx, struct err *e),
		 void *ctx, struct err *e)
{
	return submit(s, &(struct job){ .touches = TOUCHES_ALL, .fn = fn, .ctx = ctx, .e = e });
}

bool store_write_device(struct store *s, const char *device,
			bool (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
			struct err *e)
{
	return submit(s, &(struct job){ .touches = device ? TOUCHES_DEVICE : TOUCHES_NONE,
					.device = device,
					.fn = fn,
					.ctx = ctx,
					.e = e });
}

/* On the writing connection this number moves with commits of other connections only, and all
 * others that write are in other processes. */
static bool compare_version(struct db *db, void *ctx, struct err *e)
{
	struct store *s = ctx;
	int64_t version = 0;

	if (!db_int(db, &version, e, "PRAGMA data_version"))
		return false;
	if (version != s->data_version)
		__atomic_add_fetch(&s->changes, 1, __ATOMIC_SEQ_CST);
	s->data_version = version;
	return true;
}

bool store_look_around(struct store *s, struct err *e)
{
	return store_write_device(s, NULL, compare_version, s, e);
}

/* ---- opening and closing ---- */

static bool open_folders(struct store *s, struct err *e)
{
	struct stat st;

	if (!dir_open(&s->dirfd, s->state_dir, 0750, e))
		return false;
	if (fstatat(s->dirfd, "restore-incomplete", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		err_set(e, E_CONFLICT, "a restore into this directory was broken off");
		return err_hint(e, "remove the directory and run the restore again");
	}
	return dir_open_at(&s->objects_fd, s->dirfd, "objects", 0750, e) &&
	       dir_open_at(&s->uploads_fd, s->dirfd, "uploads", 0700, e);
}

/* Made before SQLite does, so that it and its log are nobody else's to read. */
static bool make_database_file(struct store *s, struct err *e)
{
	CLEANUP(fd_closep)
	int fd = openat(s->dirfd, "valise.db", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) /* the same reason as in db.c */
		return file_open_at(&fd, s->dirfd, "valise.db", O_RDWR | O_NOFOLLOW, 0, e);
	return fd >= 0 || err_sys(e, errno, "valise.db");
}

static bool quick_check(struct db *db, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	char first[200];
	bool found;

	if (!db_one(db, &r, &found, e, "PRAGMA quick_check(1)"))
		return false;
	if (!found || !col_text(&r, 0, first, sizeof(first), e) || strcmp(first, "ok") != 0)
		return err_set(e, E_CORRUPT, "database: %s", found ? first : "no answer");
	return true;
}

static bool open_database(struct store *s, struct err *e)
{
	const struct migration *list;
	unsigned n;

	if (!make_database_file(s, e) ||
	    !db_open(&s->writer, s->db_path, DB_WRITER, s->o.busy_ms, e))
		return false;
	if (s->o.check && !quick_check(s->writer, e))
		return false;
	list = migrate_list(&n);
	if (!migrate_run(s->writer, list, n, s->o.keep_schema, store_now_s(s), &s->schema, e))
		return false;
	/* The folder's entry for the new file has to survive as well. */
	if (!fd_sync(s->dirfd, e))
		return false;
	sqlite3_wal_hook(s->writer->h, count_wal, s);
	return true;
}

static bool start_writer(struct store *s, struct err *e)
{
	int rc = pthread_create(&s->thread, NULL, writer_main, s);

	if (rc != 0)
		return err_sys(e, rc, "writer thread");
	s->thread_runs = true;
	return true;
}

static struct store *store_alloc(const struct store_options *o)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct store){
		.magic = STORE_MAGIC,
		.o = *o,
		.dirfd = -1,
		.objects_fd = -1,
		.uploads_fd = -1,
	};
	if (s->o.busy_ms == 0)
		s->o.busy_ms = BUSY_MS;
	s->jobs_tail = &s->jobs;
	pthread_mutex_init(&s->pool_lock, NULL);
	pthread_cond_init(&s->pool_wake, NULL);
	pthread_mutex_init(&s->jobs_lock, NULL);
	pthread_cond_init(&s->jobs_wake, NULL);
	pthread_cond_init(&s->jobs_done, NULL);
	s->state_dir = strdup(o->state_dir);
	if (asprintf(&s->db_path, "%s/valise.db", o->state_dir) < 0)
		s->db_path = NULL;
	s->o.state_dir = s->state_dir;
	return s;
}

bool store_open(struct store **ret, const struct store_options *o, struct err *e)
{
	CLEANUP(store_freep) struct store *s = store_alloc(o);

	if (!s || !s->state_dir || !s->db_path || !seen_new(&s->devices_seen) ||
	    !seen_new(&s->tokens_seen) || !upload_hashes_new(&s->upload_hashes))
		return err_nomem(e);
	if (!open_folders(s, e) || !open_database(s, e) || !uploads_sweep(s, e) ||
	    !start_writer(s, e))
		return err_wrap(e, "store %s", o->state_dir);
	*ret = TAKE(s);
	return true;
}

static void stop_writer(struct store *s)
{
	if (!s->thread_runs)
		return;
	pthread_mutex_lock(&s->jobs_lock);
	s->stop = true;
	pthread_cond_signal(&s->jobs_wake);
	pthread_mutex_unlock(&s->jobs_lock);
	pthread_join(s->thread, NULL);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	stop_writer(s);
	while (s->idle) {
		struct db *db = s->idle;

		s->idle = db->next;
		db_close(db);
	}
	/* Last, so that SQLite moves the log into the database and removes it. */
	db_close(s->writer);
	seen_free(s->devices_seen);
	seen_free(s->tokens_seen);
	upload_hashes_free(s->upload_hashes);
	fd_closep(&s->objects_fd);
	fd_closep(&s->uploads_fd);
	fd_closep(&s->dirfd);
	pthread_mutex_destroy(&s->pool_lock);
	pthread_cond_destroy(&s->pool_wake);
	pthread_mutex_destroy(&s->jobs_lock);
	pthread_cond_destroy(&s->jobs_wake);
	pthread_cond_destroy(&s->jobs_done);
	s->magic = 0;
	free(s->state_dir);
	free(s->db_path);
	free(s);
}

/* ---- health ---- */

int64_t store_now_s(const struct store *s)
{
	return clock_wall_s(s->o.clock);
}

bool store_check(struct store *s, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	char text[200];
	bool found;

	if (!reader_get(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e, "PRAGMA integrity_check(1)"))
		return false;
	if (!found || !col_text(&r, 0, text, sizeof(text), e) || strcmp(text, "ok") != 0)
		return err_set(e, E_CORRUPT, "database: %s", found ? text : "no answer");
	if (!db_one(rd.db, &r, &found, e, "PRAGMA foreign_key_check"))
		return false;
	if (found && col_text(&r, 0, text, sizeof(text), e))
		return err_set(e, E_CORRUPT,
			       "database: a row of %s refers to one that is not there", text);
	return !found;
}

bool store_ready(struct store *s, struct err *e)
{
	int64_t n = 0;

	return store_int(s, &n, e, "SELECT value FROM counters WHERE name = 'marks'") &&
	       store_room(s, 0, e);
}

void store_stats(struct store *s, struct store_stats *ret)
{
	struct err ignored;

	*ret = (struct store_stats){ .schema = s->schema };
	pthread_mutex_lock(&s->pool_lock);
	ret->reads = s->reads;
	ret->readers = s->readers;
	pthread_mutex_unlock(&s->pool_lock);
	pthread_mutex_lock(&s->jobs_lock);
	ret->writes = s->writes;
	ret->failed = s->failed;
	pthread_mutex_unlock(&s->jobs_lock);
	ret->commits = __atomic_load_n(&s->commits, __ATOMIC_RELAXED);
	ret->row_changes = __atomic_load_n(&s->row_changes, __ATOMIC_RELAXED);
	ret->wal_frames = __atomic_load_n(&s->wal_frames, __ATOMIC_RELAXED);
	if (!fs_free_bytes(s->dirfd, &ret->free_bytes, &ignored))
		ret->free_bytes = 0;
}

/* ---- small things that the modules share ---- */

bool grow(void *items, size_t n, size_t item_size, struct err *e)
{
	void *p;

	/* Room is doubled at 0, 8, 16, 32, ... */
	if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) {
		size_t cap = n < 8 ? 8 : n * 2;

		memcpy(&p, items, sizeof(p));
		p = reallocarray(p, cap, item_size);
		if (!p)
			return err_nomem(e);
		memcpy(items, &p, sizeof(p));
	}
	memcpy(&p, items, sizeof(p));
	memset((uint8_t *)p + n * item_size, 0, item_size);
	return true;
}

size_t page_limit(size_t limit)
{
	return limit == 0 || limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : limit;
}

bool check_name(const char *what, const char *name, struct err *e)
{
	if (!name || !name_is_valid(name, LIMIT_NAME))
		return err_set(e, E_FORMAT, "%s \"%.*s\" is not a name", what, LIMIT_NAME,
			       name ? name : "");
	return true;
}

bool check_text(const char *what, const char *text, size_t max, struct err *e)
{
	if (!text)
		return err_set(e, E_FORMAT, "%s is missing", what);
	if (strlen(text) > max)
		return err_set(e, E_TOO_BIG, "%s has %zu bytes, at most %zu", what,
			       strlen(text), max);
	return true;
}

bool store_room(struct store *s, uint64_t bytes, struct err *e)
{
	uint64_t room;
	char have[TEXT_SIZE_MAX], want[TEXT_SIZE_MAX], keep[TEXT_SIZE_MAX];

	if (!fs_free_bytes(s->dirfd, &room, e))
		return false;
	if (room >= s->o.reserve_bytes && room - s->o.reserve_bytes >= bytes)
		return true;
	size_format(have, room);
	size_format(want, bytes);
	size_format(keep, s->o.reserve_bytes);
	return err_set(e, E_NO_SPACE, "%s are free, %s are wanted and %s are kept in reserve",
		       have, want, keep);
}

bool objects_lock(struct store *s, bool exclusive, int *ret_fd, struct err *e)
{
	CLEANUP(fd_closep)
	int fd =
		openat(s->objects_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_sys(e, errno, "objects/.lock");
	while (flock(fd, exclusive ? LOCK_EX : LOCK_SH) != 0)
		if (errno != EINTR)
			return err_sys(e, errno, "objects/.lock");
	*ret_fd = TAKE_FD(fd);
	return true;
}
