#include "storage/uploads_priv.h"

#include "storage/objects_priv.h"

#include "base/io.h"
#include "base/names.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- running hashes between two PATCHes ---- */

enum { HASHES = 64 }; /* uploads in flight that need no reading back; the others do */

struct upload_hashes {
	pthread_mutex_t lock;
	uint64_t tick;
	struct {
		char id[UPLOAD_ID_SIZE];
		uint64_t offset, used;
		struct sha256 hash; /* ctx NULL: free */
	} slots[HASHES];
};

bool upload_hashes_new(struct upload_hashes **ret)
{
	struct upload_hashes *h = calloc(1, sizeof(*h));

	if (!h)
		return false;
	pthread_mutex_init(&h->lock, NULL);
	*ret = h;
	return true;
}

void upload_hashes_free(struct upload_hashes *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < HASHES; i++)
		sha256_done(&h->slots[i].hash);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* Takes out what is there for the upload; whether it was at this offset. */
static bool hashes_take(struct upload_hashes *h, const char *id, uint64_t offset,
			struct sha256 *ret)
{
	bool found = false;

	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < HASHES; i++) {
		if (!h->slots[i].hash.ctx || strcmp(h->slots[i].id, id) != 0)
			continue;
		if (h->slots[i].offset == offset) {
			*ret = h->slots[i].hash;
			h->slots[i].hash.ctx = NULL;
			found = true;
		} else {
			sha256_done(&h->slots[i].hash);
		}
	}
	pthread_mutex_unlock(&h->lock);
	return found;
}

/* Keeps a hash, in place of the one that was used longest ago. */
static void hashes_put(struct upload_hashes *h, const char *id, uint64_t offset,
		       struct sha256 *hash)
{
	size_t at = 0;

	pthread_mutex_lock(&h->lock);
	for (size_t i = 1; i < HASHES && h->slots[at].hash.ctx; i++)
		if (!h->slots[i].hash.ctx || h->slots[i].used < h->slots[at].used)
			at = i;
	sha256_done(&h->slots[at].hash);
	memcpy(h->slots[at].id, id, UPLOAD_ID_SIZE);
	h->slots[at].offset = offset;
	h->slots[at].used = ++h->tick;
	h->slots[at].hash = *hash;
	hash->ctx = NULL;
	pthread_mutex_unlock(&h->lock);
}

/* ---- rows and files ---- */

static bool id_is_valid(const char *id)
{
	uint8_t bytes[16];

	return id && hex_decode(bytes, sizeof(bytes), id, strlen(id));
}

static bool file_offset(struct store *s, const char *id, uint64_t *ret, struct err *e)
{
	struct stat st;

	if (fstatat(s->uploads_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*ret = (uint64_t)st.st_size;
	else if (errno == ENOENT)
		*ret = 0; /* made by the first byte */
	else
		return err_sys(e, errno, "uploads/%s", id);
	return true;
}

static bool load_row(struct db *db, const char *id, int64_t owner, int64_t now_s,
		     struct upload *ret, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	struct upload u = { 0 };
	bool found;

	if (!id_is_valid(id))
		return err_set(e, E_NOT_FOUND, "no such upload");
	if (!db_one(db, &r, &found, e,
		    "SELECT id, sha256, size, owner, created_at, expires_at, done"
		    " FROM uploads WHERE id = ?1",
		    S(id)))
		return false;
	if (!found || col_int(&r, 3) != owner)
		return err_set(e, E_NOT_FOUND, "no upload %s", id);
	if (!col_text(&r, 0, u.id, sizeof(u.id), e) || !col_hash(&r, 1, u.sha256, e))
		return false;
	u.size = (uint64_t)col_int(&r, 2);
	u.owner = col_int(&r, 3);
	u.created_at = col_int(&r, 4);
	u.expires_at = col_int(&r, 5);
	u.done = col_int(&r, 6) != 0;
	if (u.expires_at <= now_s)
		return err_set(e, E_GONE, "upload %s has expired", id);
	*ret = u;
	return true;
}

static bool load(struct store *s, const char *id, int64_t owner, struct upload *ret,
		 struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	struct upload u;

	if (!reader_get_one(&rd, s, e) || !load_row(rd.db, id, owner, store_now_s(s), &u, e))
		return false;
	u.offset = u.size;
	if (!u.done && !file_offset(s, u.id, &u.offset, e))
		return false;
	*ret = u;
	return true;
}

/* Opens the upload's file for this writer alone; the lock ends with the descriptor.  A missing
 * one is made. */
static bool open_locked(struct store *s, const char *id, int *ret, struct err *e)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW;
	CLEANUP(fd_closep) int fd = -1;
	bool ok = file_open_at(&fd, s->uploads_fd, id, flags, 0600, e);

	/* A crash at the end left it read-only (store_finished): complete, to be finished again. */
	if (!ok && e->sys == EACCES && fchmodat(s->uploads_fd, id, 0600, 0) == 0)
		ok = file_open_at(&fd, s->uploads_fd, id, flags, 0600, e);
	if (!ok)
		return err_wrap(e, "uploads");
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, E_BUSY,
					 "upload %s is being written by another request", id)
			       : err_sys(e, errno, "uploads/%s", id);
	*ret = TAKE_FD(fd);
	return true;
}

static bool remove_upload_file(struct store *s, const char *id, struct err *e)
{
	if (unlinkat(s->uploads_fd, id, 0) != 0 && errno != ENOENT)
		return err_sys(e, errno, "uploads/%s", id);
	return true;
}

/* ---- the end: an upload becomes an object ---- */

struct end {
	struct upload *u;
	int64_t now_s;
};

static bool finish_rows(struct db *db, void *ctx, struct err *e)
{
	const struct end *end = ctx;

	return object_row_put(db, end->u->sha256, end->u->size, end->now_s, e) &&
	       db_run(db, e, "UPDATE uploads SET done = 1 WHERE id = ?1", S(end->u->id));
}

static bool forget_row(struct db *db, void *ctx, struct err *e)
{
	const char *id = ctx;

	return db_run(db, e, "DELETE FROM uploads WHERE id = ?1", S(id));
}

/* A second name for the file, to be moved among the objects: the upload keeps its own until its
 * row says done, so that a crash in between loses no byte. */
static bool link_temp(struct store *s, const char *id, char name[static TEMP_NAME_SIZE],
		      struct err *e)
{
	uint8_t random[16];

	rng_fill(s->o.rng, random, sizeof(random));
	memcpy(name, "tmp-", 4);
	hex_encode(name + 4, random, sizeof(random));
	if (linkat(s->uploads_fd, id, s->uploads_fd, name, 0) != 0)
		return err_sys(e, errno, "uploads/%s", id);
	return true;
}

static bool store_finished(struct store *s, int fd, struct upload *u, struct err *e)
{
	struct end end = { u, store_now_s(s) };
	char temp[TEMP_NAME_SIZE];
	CLEANUP(fd_closep) int lock = -1;

	if (fchmod(fd, 0444) != 0)
		return err_sys(e, errno, "uploads/%s", u->id);
	if (!fd_sync(fd, e) || !objects_lock(s, false, &lock, e) ||
	    !link_temp(s, u->id, temp, e) || !object_place(s, temp, u->sha256, e) ||
	    !store_write(s, finish_rows, &end, e))
		return false;
	u->done = true;
	return remove_upload_file(s, u->id, e);
}

/* fd is locked and holds all bytes; hash is over them. */
static bool finish(struct store *s, int fd, struct upload *u, struct sha256 *hash,
		   struct err *e)
{
	uint8_t got[SHA256_SIZE];
	struct err e2;

	sha256_final(hash, got);
	if (memcmp(got, u->sha256, SHA256_SIZE) == 0)
		return store_finished(s, fd, u, e);
	if (!store_write(s, forget_row, u->id, &e2) || !remove_upload_file(s, u->id, &e2)) {
		*e = e2;
		return false;
	}
	err_set(e, E_CORRUPT, "upload %s: the bytes are not those announced (SHA-256 differs)",
		u->id);
	return err_hint(e, "the upload was removed; send the file again");
}

/* Feeds the first n bytes of the file to the hash. */
static bool hash_file(int fd, uint64_t n, struct sha256 *hash, struct err *e)
{
	enum { CHUNK = 262144 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(CHUNK);
	uint8_t *p;

	if (!buf_reserve(&b, CHUNK, &p, e))
		return false;
	for (uint64_t at = 0; at < n;) {
		size_t part = n - at < CHUNK ? (size_t)(n - at) : CHUNK;

		if (!pread_all(fd, p, part, at, e))
			return false;
		sha256_update(hash, p, part);
		at += part;
	}
	return true;
}

static void hash_done(struct sha256 *h)
{
	sha256_done(h);
}

/* All bytes were there and a crash, or a full disk, came before the last step. */
static bool finish_late(struct store *s, struct upload *u, struct err *e)
{
	CLEANUP(hash_done) struct sha256 hash = { NULL };
	CLEANUP(fd_closep) int fd = -1;

	if (!open_locked(s, u->id, &fd, e) || !load(s, u->id, u->owner, u, e))
		return false;
	if (u->done || u->offset != u->size)
		return true;
	return sha256_init(&hash, e) && hash_file(fd, u->size, &hash, e) &&
	       finish(s, fd, u, &hash, e);
}

/* ---- creating, asking, forgetting ---- */

struct create {
	struct store *s;
	struct upload *u;
	uint64_t expected; /* bytes that other open uploads were promised */
};

static bool check_owner(struct db *db, const struct upload *u, struct err *e)
{
	int64_t open = 0;

	if (!db_int(db, &open, e, "SELECT count(*) FROM uploads WHERE owner = ?1 AND done = 0",
		    I(u->owner)))
		return false;
	if (open >= UPLOADS_PER_OWNER)
		return err_set(e, E_RATE, "%d uploads are open; finish or delete some",
			       UPLOADS_PER_OWNER);
	return true;
}

static bool create_row(struct db *db, void *ctx, struct err *e)
{
	struct create *c = ctx;
	bool stored;

	if (!object_is_stored(c->s, db, c->u->sha256, &stored, e))
		return false;
	if (stored)
		return err_set(e, E_EXISTS, "the object is stored already");
	return check_owner(db, c->u, e) &&
	       db_run(db, e,
		      "INSERT INTO uploads (id, sha256, size, owner, created_at, expires_at)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		      S(c->u->id), H(c->u->sha256), I(c->u->size), I(c->u->owner),
		      I(c->u->created_at), I(c->u->expires_at));
}

/* What open uploads still want: their sizes less what has arrived. */
static bool sum_expected(struct store *s, uint64_t *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	uint64_t sum = 0;
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT id, size FROM uploads WHERE done = 0 AND expires_at > ?1",
		     I(store_now_s(s))))
		return false;
	for (;;) {
		char id[UPLOAD_ID_SIZE];
		uint64_t have, size;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		if (!col_text(&r, 0, id, sizeof(id), e) || !file_offset(s, id, &have, e))
			return false;
		size = (uint64_t)col_int(&r, 1);
		sum += size > have ? size - have : 0;
	}
	*ret = sum;
	return true;
}

bool uploads_create(struct store *s, const uint8_t sha256[static SHA256_SIZE], uint64_t size,
		    int64_t owner, struct upload *ret, struct err *e)
{
	struct upload u = { .size = size, .owner = owner, .created_at = store_now_s(s) };
	struct create c = { .s = s, .u = &u };
	uint8_t random[16];

	if (size > LIMIT_COMPONENT_SIZE)
		return err_set(e, E_TOO_BIG, "upload of %" PRIu64 " bytes", size);
	if (!sum_expected(s, &c.expected, e) || !store_room(s, size + c.expected, e))
		return err_wrap(e, "upload");
	memcpy(u.sha256, sha256, SHA256_SIZE);
	u.expires_at = u.created_at + UPLOADS_TTL_S;
	rng_fill(s->o.rng, random, sizeof(random));
	hex_encode(u.id, random, sizeof(random));
	if (!store_write(s, create_row, &c, e))
		return false;
	if (size == 0 && !finish_late(s, &u, e))
		return false;
	*ret = u;
	return true;
}

bool uploads_get(struct store *s, const char *id, int64_t owner, struct upload *ret,
		 struct err *e)
{
	struct upload u;

	if (!load(s, id, owner, &u, e))
		return false;
	/* A client that sees all its bytes here sends nothing more: so bring it to its end now.
	 * Busy means that another request is just doing that. */
	if (!u.done && u.offset == u.size && !finish_late(s, &u, e) && e->code != E_BUSY)
		return false;
	*ret = u;
	return true;
}

static bool remove_locked(struct store *s, const char *id, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	char copy[UPLOAD_ID_SIZE];

	memcpy(copy, id, UPLOAD_ID_SIZE);
	if (!open_locked(s, copy, &fd, e))
		return false;
	return store_write(s, forget_row, copy, e) && remove_upload_file(s, copy, e);
}

bool uploads_delete(struct store *s, const char *id, int64_t owner, struct err *e)
{
	struct upload u;

	return load(s, id, owner, &u, e) && remove_locked(s, u.id, e);
}

/* ---- one PATCH ---- */

struct upload_append {
	struct store *s;
	struct upload u; /* offset moves with what is written */
	uint64_t start;
	struct sha256 all, chunk; /* of the whole upload so far, and of this PATCH */
	bool hashed;              /* `all` covers every byte of the file */
	int fd;
};

static void append_free(struct upload_append *a)
{
	if (!a)
		return;
	sha256_done(&a->all);
	sha256_done(&a->chunk);
	fd_closep(&a->fd);
	free(a);
}
DEFINE_CLEANUP(struct upload_append, append_free);

/* The row is read again under the lock: the upload may have ended, or been deleted, meanwhile.
 * Then the file that was made here has no row and is swept. */
static bool begin_locked(struct upload_append *a, const char *id, int64_t owner,
			 uint64_t offset, struct err *e)
{
	if (!load(a->s, id, owner, &a->u, e))
		return false;
	if (!a->u.done &&
	    (!open_locked(a->s, a->u.id, &a->fd, e) || !load(a->s, id, owner, &a->u, e)))
		return false;
	if (a->u.done)
		return err_set(e, E_CONFLICT, "upload %s is complete", a->u.id);
	if (!fd_size(a->fd, &a->u.offset, e))
		return false;
	if (a->u.offset != offset)
		return err_set(e, E_CONFLICT,
			       "upload %s stands at %" PRIu64 ", not at %" PRIu64, a->u.id,
			       a->u.offset, offset);
	if (lseek(a->fd, (off_t)offset, SEEK_SET) < 0)
		return err_sys(e, errno, "uploads/%s", a->u.id);
	a->start = offset;
	return store_room(a->s, a->u.size - offset, e);
}

/* Everything in the folder that is durable: the first bytes need the name to survive as well. */
static bool sync_name(struct upload_append *a, struct err *e)
{
	return a->start != 0 || fd_sync(a->s->uploads_fd, e);
}

bool upload_begin(struct upload_append **ret, struct store *s, const char *id, int64_t owner,
		  uint64_t offset, struct err *e)
{
	CLEANUP(append_freep) struct upload_append *a = calloc(1, sizeof(*a));

	if (!a)
		return err_nomem(e);
	*a = (struct upload_append){ .s = s, .fd = -1, .hashed = true };
	if (!begin_locked(a, id, owner, offset, e) || !sync_name(a, e) ||
	    !sha256_init(&a->chunk, e))
		return false;
	if (!hashes_take(s->upload_hashes, a->u.id, offset, &a->all) &&
	    (!sha256_init(&a->all, e) || !hash_file(a->fd, offset, &a->all, e)))
		return false;
	*ret = TAKE(a);
	return true;
}

bool upload_write(struct upload_append *a, const void *p, size_t n, struct err *e)
{
	if (n > a->u.size - a->u.offset)
		return err_set(e, E_TOO_BIG, "more than the %" PRIu64 " bytes announced",
			       a->u.size);
	if (!write_all(a->fd, p, n, e)) {
		a->hashed = false; /* part of p may be in the file */
		return err_wrap(e, "upload %s", a->u.id);
	}
	sha256_update(&a->all, p, n);
	sha256_update(&a->chunk, p, n);
	a->u.offset += n;
	return true;
}

static bool truncate_to_start(struct upload_append *a, struct err *e)
{
	if (ftruncate(a->fd, (off_t)a->start) != 0)
		return err_sys(e, errno, "uploads/%s", a->u.id);
	return fd_sync(a->fd, e);
}

static bool check_chunk(struct upload_append *a, const uint8_t *chunk_sha256, struct err *e)
{
	uint8_t got[SHA256_SIZE];

	sha256_final(&a->chunk, got);
	if (!chunk_sha256 || memcmp(got, chunk_sha256, SHA256_SIZE) == 0)
		return true;
	if (!truncate_to_start(a, e))
		return false;
	return err_set(e, E_CORRUPT, "upload %s: this part's checksum differs", a->u.id);
}

static bool extend_row(struct db *db, void *ctx, struct err *e)
{
	const struct upload *u = ctx;

	return db_run(db, e, "UPDATE uploads SET expires_at = ?2 WHERE id = ?1", S(u->id),
		      I(u->expires_at));
}

/* Moves the expiry in steps, so that many small PATCHes do not write a row each. */
static bool extend(struct upload_append *a, struct err *e)
{
	int64_t expires_at = store_now_s(a->s) + UPLOADS_TTL_S;

	if (a->u.offset == a->start || expires_at < a->u.expires_at + UPLOADS_TTL_S / 4)
		return true;
	a->u.expires_at = expires_at;
	return store_write_device(a->s, NULL, extend_row, &a->u, e);
}

static bool end_complete(struct upload_append *a, struct err *e)
{
	return a->hashed ? finish(a->s, a->fd, &a->u, &a->all, e)
			 : sha256_init(&a->chunk, e) &&
				   hash_file(a->fd, a->u.size, &a->chunk, e) &&
				   finish(a->s, a->fd, &a->u, &a->chunk, e);
}

bool upload_end(struct upload_append **ap, const uint8_t *chunk_sha256, struct upload *ret,
		struct err *e)
{
	CLEANUP(append_freep) struct upload_append *a = TAKE(*ap);

	if (!check_chunk(a, chunk_sha256, e))
		return false;
	if (!fd_size(a->fd, &a->u.offset, e) || !fd_sync(a->fd, e) || !extend(a, e))
		return err_wrap(e, "upload %s", a->u.id);
	if (a->u.offset == a->u.size && !end_complete(a, e))
		return false;
	if (!a->u.done && a->hashed)
		hashes_put(a->s->upload_hashes, a->u.id, a->u.offset, &a->all);
	*ret = a->u;
	return true;
}

void upload_drop(struct upload_append *a)
{
	struct err ignored;

	/* Failing leaves bytes that the final hash will judge. */
	if (a && !truncate_to_start(a, &ignored))
		errno = 0;
	append_free(a);
}

/* ---- clearing up ---- */

static bool list_expired(struct store *s, char (**ret)[UPLOAD_ID_SIZE], size_t *ret_n,
			 struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	char(*ids)[UPLOAD_ID_SIZE] = NULL;
	size_t n = 0;
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e, "SELECT id FROM uploads WHERE expires_at <= ?1",
		     I(store_now_s(s))))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e) ||
		    (more && (!grow(&ids, n, sizeof(*ids), e) ||
			      !col_text(&r, 0, ids[n], sizeof(*ids), e)))) {
			free(ids);
			return false;
		}
		if (!more)
			break;
		n++;
	}
	*ret = ids;
	*ret_n = n;
	return true;
}

static bool row_exists(struct db *db, const char *id, bool *ret, struct err *e)
{
	int64_t one = 0;

	if (!db_int(db, &one, e, "SELECT 1 FROM uploads WHERE id = ?1 AND done = 0", S(id)))
		return false;
	*ret = one == 1;
	return true;
}

/* Whether a file in uploads/ is nobody's: a temporary whose writer is gone, or an upload without
 * a row (rows come before their files, and ids do not come again). */
static bool is_garbage(struct store *s, struct db *db, const char *name, bool *ret,
		       struct err *e)
{
	bool exists = false;

	*ret = false;
	if (strncmp(name, "tmp-", 4) != 0 && !id_is_valid(name))
		return true; /* not ours */
	if (name[0] != 't' && !row_exists(db, name, &exists, e))
		return false;
	if (exists)
		return true;
	/* O_NONBLOCK: a pipe would wait for who writes into it. */
	CLEANUP(fd_closep)
	int fd = openat(s->uploads_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	*ret = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	return true;
}

static bool sweep_with(struct store *s, struct db *db, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!names_open(&n, s->uploads_fd, ".", "uploads", e))
		return false;
	for (;;) {
		bool garbage;

		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return true;
		if (!is_garbage(s, db, name, &garbage, e) ||
		    (garbage && !remove_upload_file(s, name, e)))
			return false;
	}
}

/* At start: the writer's connection is free, and its thread does not run yet. */
bool uploads_sweep(struct store *s, struct err *e)
{
	return sweep_with(s, s->writer, e);
}

bool uploads_expire(struct store *s, uint64_t *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	char(*ids)[UPLOAD_ID_SIZE] = NULL;
	uint64_t removed = 0;
	bool ok = true;
	size_t n;

	if (!list_expired(s, &ids, &n, e))
		return false;
	for (size_t i = 0; i < n && ok; i++) {
		ok = remove_locked(s, ids[i], e);
		removed += ok;
		ok |= !ok && e->code == E_BUSY; /* still being written: next time */
	}
	free(ids);
	if (!ok || !reader_get_one(&rd, s, e) || !sweep_with(s, rd.db, e))
		return false;
	if (ret)
		*ret = removed;
	return true;
}
