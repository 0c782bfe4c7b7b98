#include "storage/objects_priv.h"

#include "storage/deltas_priv.h"

#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void object_path(struct object_path *ret, const uint8_t sha256[static SHA256_SIZE])
{
	char hex[HEX_SIZE(SHA256_SIZE)];

	hex_encode(hex, sha256, SHA256_SIZE);
	memcpy(ret->dir, hex, 2);
	ret->dir[2] = 0;
	memcpy(ret->name, hex + 2, sizeof(ret->name));
}

void object_name(char ret[static OBJECT_NAME_SIZE], const uint8_t sha256[static SHA256_SIZE])
{
	struct object_path path;

	object_path(&path, sha256);
	snprintf(ret, OBJECT_NAME_SIZE, "%s/%s", path.dir, path.name);
}

/* ---- files ---- */

/* *ret is -1 when a sweep came between making the file and locking it. */
static bool make_locked(struct store *s, const char *name, int *ret, struct err *e)
{
	CLEANUP(fd_closep)
	int fd = openat(s->uploads_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			0600);
	struct stat st;

	bool locked;

	if (fd < 0)
		return err_sys(e, errno, "uploads/%s", name);
	locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if ((!locked && errno != EWOULDBLOCK) || fstat(fd, &st) != 0)
		return err_sys(e, errno, "uploads/%s", name);
	*ret = locked && st.st_nlink == 1 ? TAKE_FD(fd) : -1;
	return true;
}

bool temp_make(struct store *s, char name[static TEMP_NAME_SIZE], int *ret_fd, struct err *e)
{
	uint8_t id[16];
	int fd = -1;

	for (int tries = 0; fd < 0 && tries < 10; tries++) {
		rng_fill(s->o.rng, id, sizeof(id));
		memcpy(name, "tmp-", 4);
		hex_encode(name + 4, id, sizeof(id));
		if (!make_locked(s, name, &fd, e))
			return false;
	}
	if (fd < 0)
		return err_set(e, E_BUSY, "uploads: temporary files are swept away");
	*ret_fd = fd;
	return true;
}

bool objects_scratch(struct store *s, uint64_t bytes, int *ret_fd, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	char name[TEMP_NAME_SIZE];

	if (!store_room(s, bytes, e) || !temp_make(s, name, &fd, e))
		return false;
	if (unlinkat(s->uploads_fd, name, 0) != 0)
		return err_sys(e, errno, "uploads/%s", name);
	*ret_fd = TAKE_FD(fd);
	return true;
}

bool object_place(struct store *s, const char *name, const uint8_t sha256[static SHA256_SIZE],
		  struct err *e)
{
	struct object_path path;
	CLEANUP(fd_closep) int dir = -1;

	object_path(&path, sha256);
	/* A rename over an object that is there already replaces the same bytes, or heals it. */
	if (!dir_open_at(&dir, s->objects_fd, path.dir, 0750, e))
		return false;
	if (renameat(s->uploads_fd, name, dir, path.name) != 0)
		return err_sys(e, errno, "objects/%s/%s", path.dir, path.name);
	/* Two names of one file: rename then leaves both. */
	if (unlinkat(s->uploads_fd, name, 0) != 0 && errno != ENOENT)
		return err_sys(e, errno, "uploads/%s", name);
	/* The folder itself too: another thread may just have made it. */
	return fd_sync(dir, e) && fd_sync(s->objects_fd, e);
}

bool objects_open(struct store *s, const uint8_t sha256[static SHA256_SIZE], int *ret_fd,
		  uint64_t *ret_size, struct err *e)
{
	char name[OBJECT_NAME_SIZE];
	CLEANUP(fd_closep) int fd = -1;

	object_name(name, sha256);
	if (!file_open_at(&fd, s->objects_fd, name, O_RDONLY | O_NOFOLLOW, 0, e)) {
		if (e->code == E_NOT_FOUND)
			return err_set(e, E_NOT_FOUND, "no object %.2s%s", name, name + 3);
		return err_wrap(e, "objects");
	}
	if (!fd_size(fd, ret_size, e))
		return err_wrap(e, "objects/%s", name);
	*ret_fd = TAKE_FD(fd);
	return true;
}

bool object_file_remove(struct store *s, const uint8_t sha256[static SHA256_SIZE],
			struct err *e)
{
	char name[OBJECT_NAME_SIZE];

	object_name(name, sha256);
	if (unlinkat(s->objects_fd, name, 0) != 0 && errno != ENOENT)
		return err_sys(e, errno, "objects/%s", name);
	return true;
}

/* ---- rows ---- */

bool object_row_put(struct db *db, const uint8_t sha256[static SHA256_SIZE], uint64_t size,
		    int64_t now_s, struct err *e)
{
	return db_run(db, e,
		      "INSERT INTO objects (sha256, size, stored_at, kept_until)"
		      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (sha256)"
		      " DO UPDATE SET kept_until = max(kept_until, excluded.kept_until)",
		      H(sha256), I(size), I(now_s), I(now_s + OBJECTS_GUARD_S)) &&
	       deltas_object_came(db, sha256, e);
}

bool object_row_exists(struct db *db, const uint8_t sha256[static SHA256_SIZE], bool *ret,
		       struct err *e)
{
	int64_t one = 0;

	if (!db_int(db, &one, e, "SELECT 1 FROM objects WHERE sha256 = ?1", H(sha256)))
		return false;
	*ret = one == 1;
	return true;
}

static bool file_missing(struct store *s, const uint8_t sha256[static SHA256_SIZE], bool *ret,
			 struct err *e)
{
	char name[OBJECT_NAME_SIZE];
	struct stat st;

	object_name(name, sha256);
	*ret = fstatat(s->objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0;
	return !*ret || errno == ENOENT ? true : err_sys(e, errno, "objects/%s", name);
}

bool object_is_stored(struct store *s, struct db *db, const uint8_t sha256[static SHA256_SIZE],
		      bool *ret, struct err *e)
{
	bool row, missing;

	if (!object_row_exists(db, sha256, &row, e) || !file_missing(s, sha256, &missing, e))
		return false;
	*ret = row && !missing;
	return true;
}

/* ---- one object written ---- */

struct object_writer {
	struct store *s;
	uint8_t sha256[SHA256_SIZE];
	uint64_t size, written;
	struct sha256 hash;
	char temp[TEMP_NAME_SIZE];
	int fd;
};

bool objects_begin(struct object_writer **ret, struct store *s,
		   const uint8_t sha256[static SHA256_SIZE], uint64_t size, struct err *e)
{
	CLEANUP(objects_abortp) struct object_writer *w = NULL;

	if (size > LIMIT_COMPONENT_SIZE)
		return err_set(e, E_TOO_BIG, "object of %" PRIu64 " bytes", size);
	if (!store_room(s, size, e))
		return false;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_nomem(e);
	*w = (struct object_writer){ .s = s, .size = size, .fd = -1 };
	memcpy(w->sha256, sha256, SHA256_SIZE);
	if (!sha256_init(&w->hash, e) || !temp_make(s, w->temp, &w->fd, e))
		return false;
	*ret = TAKE(w);
	return true;
}

bool objects_write(struct object_writer *w, const void *p, size_t n, struct err *e)
{
	if (n > w->size - w->written)
		return err_set(e, E_CORRUPT, "object has more than %" PRIu64 " bytes", w->size);
	if (!write_all(w->fd, p, n, e))
		return err_wrap(e, "object");
	sha256_update(&w->hash, p, n);
	w->written += n;
	return true;
}

static bool verify(struct object_writer *w, struct err *e)
{
	uint8_t got[SHA256_SIZE];

	sha256_final(&w->hash, got);
	if (w->written != w->size)
		return err_set(e, E_CORRUPT,
			       "object has %" PRIu64 " bytes, %" PRIu64 " were announced",
			       w->written, w->size);
	if (memcmp(got, w->sha256, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "object's hash differs from the one announced");
	return true;
}

struct row_put {
	const uint8_t *sha256;
	uint64_t size;
	int64_t now_s;
};

static bool put_row(struct db *db, void *ctx, struct err *e)
{
	const struct row_put *p = ctx;

	return object_row_put(db, p->sha256, p->size, p->now_s, e);
}

bool objects_commit(struct object_writer **wp, struct err *e)
{
	CLEANUP(objects_abortp) struct object_writer *w = TAKE(*wp);
	struct row_put row = { w->sha256, w->size, store_now_s(w->s) };
	CLEANUP(fd_closep) int lock = -1;

	if (!verify(w, e))
		return false;
	if (fchmod(w->fd, 0444) != 0)
		return err_sys(e, errno, "object");
	return fd_sync(w->fd, e) && objects_lock(w->s, false, &lock, e) &&
	       object_place(w->s, w->temp, w->sha256, e) && store_write(w->s, put_row, &row, e);
}

void objects_abort(struct object_writer *w)
{
	if (!w)
		return;
	/* What cannot be removed now is swept at the next start. */
	if (w->fd >= 0 && unlinkat(w->s->uploads_fd, w->temp, 0) != 0)
		errno = 0;
	fd_closep(&w->fd);
	sha256_done(&w->hash);
	free(w);
}

bool objects_put(struct store *s, const void *p, size_t n, uint8_t *ret_sha256, struct err *e)
{
	CLEANUP(objects_abortp) struct object_writer *w = NULL;
	uint8_t hash[SHA256_SIZE];

	sha256(hash, p, n);
	if (!objects_begin(&w, s, hash, n, e) || !objects_write(w, p, n, e) ||
	    !objects_commit(&w, e))
		return false;
	if (ret_sha256)
		memcpy(ret_sha256, hash, SHA256_SIZE);
	return true;
}

/* ---- what is there ---- */

struct missing {
	struct store *s;
	const uint8_t (*sha256)[SHA256_SIZE];
	size_t n;
	bool *missing;
	int64_t now_s;
	bool touch; /* some guards are about to end */
};

static bool look(struct db *db, struct missing *m, struct err *e)
{
	for (size_t i = 0; i < m->n; i++) {
		int64_t kept = INT64_MIN;

		if (!db_int(db, &kept, e, "SELECT kept_until FROM objects WHERE sha256 = ?1",
			    H(m->sha256[i])))
			return false;
		m->missing[i] = kept == INT64_MIN;
		if (!m->missing[i] && !file_missing(m->s, m->sha256[i], &m->missing[i], e))
			return false;
		m->touch |= !m->missing[i] && kept < m->now_s + OBJECTS_GUARD_S / 2;
	}
	return true;
}

static bool look_and_touch(struct db *db, void *ctx, struct err *e)
{
	struct missing *m = ctx;

	for (size_t i = 0; i < m->n; i++) {
		if (!db_run(db, e, "UPDATE objects SET kept_until = ?2 WHERE sha256 = ?1",
			    H(m->sha256[i]), I(m->now_s + OBJECTS_GUARD_S)))
			return false;
		m->missing[i] |= db_changes(db) == 0;
	}
	return true;
}

bool objects_missing(struct store *s, const uint8_t (*sha256)[SHA256_SIZE], size_t n,
		     bool *ret_missing, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	struct missing m = { s, sha256, n, ret_missing, store_now_s(s), false };

	if (n > STORE_PAGE_MAX)
		return err_set(e, E_TOO_BIG, "%zu hashes, at most %d", n, STORE_PAGE_MAX);
	if (!reader_get(&rd, s, e) || !look(rd.db, &m, e))
		return false;
	reader_put(&rd);
	return !m.touch || store_write(s, look_and_touch, &m, e);
}

bool objects_list(struct store *s, const uint8_t *after, size_t limit, struct object_page *ret,
		  struct err *e)
{
	CLEANUP(object_page_done) struct object_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT sha256, size, stored_at, kept_until FROM objects"
		     " WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2",
		     B(after, after ? SHA256_SIZE : 0), I(limit + 1)))
		return false;
	for (;;) {
		struct object *o;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*o), e))
			return false;
		o = &page.items[page.n++];
		if (!col_hash(&r, 0, o->sha256, e))
			return false;
		o->size = (uint64_t)col_int(&r, 1);
		o->stored_at = col_int(&r, 2);
		o->kept_until = col_int(&r, 3);
	}
	page.more = more;
	*ret = page;
	page = (struct object_page){ 0 };
	return true;
}

void object_page_done(struct object_page *p)
{
	free(p->items);
	*p = (struct object_page){ 0 };
}

bool objects_totals(struct store *s, struct object_totals *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT count(*), coalesce(sum(size), 0) FROM objects"))
		return false;
	ret->count = (uint64_t)col_int(&r, 0);
	ret->bytes = (uint64_t)col_int(&r, 1);
	return true;
}
