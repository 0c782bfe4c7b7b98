#include "storage/backup.h"

#include "storage/migrate.h"
#include "storage/objects_priv.h"
#include "storage/store_priv.h"

#include "base/file.h"
#include "base/io.h"
#include "base/names.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers in the file `backup`. */
enum { BACKUP_FORMAT = 1, BACKUP_TEXT_MAX = 4096, KEY_FILE_MAX = 65536 };

struct copying {
	struct store *s;
	int dir, objects; /* of the backup, or of the new state */
	struct backup_report *report;
};

/* Opens or makes a directory that has to be empty. */
static bool open_empty(const char *path, unsigned mode, int *ret, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!dir_open(&fd, path, mode, e) || !names_open(&n, fd, ".", path, e) ||
	    !names_next(&n, &name, e))
		return false;
	if (name) {
		err_set(e, E_EXISTS, "%s is not empty", path);
		return err_hint(e, "name a folder that is empty, or not there yet");
	}
	*ret = TAKE_FD(fd);
	return true;
}

/* Copies the rest of in to out and hashes it on the way. */
static bool copy_hashed(int in, int out, uint8_t ret[static SHA256_SIZE], uint64_t *ret_n,
			struct err *e)
{
	enum { CHUNK = 262144 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(CHUNK);
	struct sha256 hash = { NULL };
	uint64_t total = 0;
	bool ok = true;
	uint8_t *p;
	size_t n;

	if (!buf_reserve(&b, CHUNK, &p, e) || !sha256_init(&hash, e))
		return false;
	do {
		ok = read_up_to(in, p, CHUNK, &n, e) && write_all(out, p, n, e);
		if (ok)
			sha256_update(&hash, p, n);
		total += n;
	} while (ok && n == CHUNK);
	if (ok)
		sha256_final(&hash, ret);
	sha256_done(&hash);
	*ret_n = total;
	return ok;
}

/* Copies one object into objects/ of the target, verified. */
static bool copy_object(const struct copying *c, int in, const struct object *o, struct err *e)
{
	CLEANUP(file_abort) struct file f = FILE_INIT;
	CLEANUP(fd_closep) int dir = -1;
	uint8_t hash[SHA256_SIZE];
	struct object_path path;
	uint64_t n;

	object_path(&path, o->sha256);
	if (!dir_open_at(&dir, c->objects, path.dir, 0750, e) ||
	    !file_begin(&f, dir, path.name, 0444, e) || !copy_hashed(in, f.fd, hash, &n, e))
		return err_wrap(e, "object %s%s", path.dir, path.name);
	if (n != o->size || memcmp(hash, o->sha256, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "object %s%s is damaged", path.dir, path.name);
	return file_commit(&f, e);
}

/* ---- making a backup ---- */

static bool copy_database(struct store *s, const char *path, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(db_closep) struct db *to = NULL;
	sqlite3_backup *b;
	int rc;

	if (!reader_get_one(&rd, s, e) || !db_open(&to, path, DB_WRITER, s->o.busy_ms, e))
		return false;
	/* All pages in one step: one read transaction, which blocks no writer. */
	b = sqlite3_backup_init(to->h, "main", rd.db->h, "main");
	if (!b)
		return db_err(to, sqlite3_errcode(to->h), e);
	sqlite3_backup_step(b, -1);
	rc = sqlite3_backup_finish(b);
	if (rc != SQLITE_OK)
		return db_err(to, rc, e);
	/* No log beside it: a backup is one file, and its hash is that file's. */
	return db_script(to, "DELETE FROM uploads; PRAGMA journal_mode = DELETE;", e);
}

static bool hash_database(int dir, char hex[static HEX_SIZE(SHA256_SIZE)], struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	uint8_t hash[SHA256_SIZE];
	uint64_t size;

	if (!file_open_at(&fd, dir, "valise.db", O_RDONLY | O_NOFOLLOW, 0, e))
		return false;
	if (!sha256_fd(hash, &size, fd, e) || !fd_sync(fd, e))
		return err_wrap(e, "valise.db");
	hex_encode(hex, hash, SHA256_SIZE);
	return true;
}

/* Without reading it, which would take hours: what was cut short or is no file is found.  In the backup, where
 * nobody replaces it any more. */
static bool check_link(int dir, const struct object_path *path, const struct object *o,
		       struct err *e)
{
	struct stat st;

	if (fstatat(dir, path->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(e, errno, "object %s%s", path->dir, path->name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, E_CORRUPT, "object %s%s is no file", path->dir, path->name);
	if ((uint64_t)st.st_size != o->size)
		return err_set(e, E_CORRUPT, "object %s%s has %lld bytes, not %" PRIu64,
			       path->dir, path->name, (long long)st.st_size, o->size);
	return fd_sync(dir, e);
}

/* A hard link where that is possible; it is the same immutable file. */
static bool link_object(const struct copying *c, const struct object *o, bool *ret_linked,
			struct err *e)
{
	CLEANUP(fd_closep) int dir = -1;
	struct object_path path;
	char from[sizeof(path.dir) + sizeof(path.name)];

	object_path(&path, o->sha256);
	snprintf(from, sizeof(from), "%s/%s", path.dir, path.name);
	if (!dir_open_at(&dir, c->objects, path.dir, 0750, e))
		return false;
	*ret_linked = linkat(c->s->objects_fd, from, dir, path.name, 0) == 0;
	if (*ret_linked)
		return check_link(dir, &path, o, e);
	if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
		return err_sys(e, errno, "object %s%s", path.dir, path.name);
	return true;
}

static bool back_up_object(const struct copying *c, const struct object *o, struct err *e)
{
	CLEANUP(fd_closep) int in = -1;
	uint64_t size;
	bool linked;

	if (!link_object(c, o, &linked, e))
		return false;
	if (!linked &&
	    (!objects_open(c->s, o->sha256, &in, &size, e) || !copy_object(c, in, o, e)))
		return false;
	c->report->linked += linked;
	c->report->objects++;
	c->report->bytes += o->size;
	return true;
}

/* Every object that a database knows. */
static bool each_object(struct db *db, const struct copying *c,
			bool (*fn)(const struct copying *c, const struct object *o,
				   struct err *e),
			struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e, "SELECT sha256, size FROM objects ORDER BY sha256"))
		return false;
	for (;;) {
		struct object o = { 0 };

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return fd_sync(c->objects, e);
		o.size = (uint64_t)col_int(&r, 1);
		if (!col_hash(&r, 0, o.sha256, e) || !fn(c, &o, e))
			return false;
	}
}

static bool copy_key(int from, int to, const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(KEY_FILE_MAX);
	bool ok = read_file_at(from, name, &b, e) && file_replace(to, name, 0600, b.p, b.n, e);

	if (b.p)
		explicit_bzero(b.p, b.cap);
	return ok || err_wrap(e, "keys/%s", name);
}

/* Flat folder of small files; a missing one has no keys. */
static bool copy_keys(int from, int to, uint64_t *count, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	CLEANUP(fd_closep) int dst = -1;
	const char *name;

	if (!names_open(&n, from, "keys", "keys", e))
		return e->code == E_NOT_FOUND;
	if (!dir_open_at(&dst, to, "keys", 0700, e))
		return false;
	for (;;) {
		struct stat st;

		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return true;
		if (fstatat(names_fd(&n), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return err_sys(e, errno, "keys/%s", name);
		if (!S_ISREG(st.st_mode))
			continue;
		if (!copy_key(names_fd(&n), dst, name, e))
			return false;
		(*count)++;
	}
}

static bool write_summary(int dir, const struct backup_report *r, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(BACKUP_TEXT_MAX);
	char hex[HEX_SIZE(SHA256_SIZE)], when[TIME_TEXT_SIZE];

	time_format(when, r->created_at);
	return hash_database(dir, hex, e) &&
	       buf_printf(&b, e,
			  "format %d\nschema %u\ncreated %s\ndatabase %s\nobjects %" PRIu64
			  "\nbytes %" PRIu64 "\nkeys %" PRIu64 "\n",
			  BACKUP_FORMAT, r->schema, when, hex, r->objects, r->bytes, r->keys) &&
	       file_replace(dir, "backup", 0644, b.p, b.n, e);
}

/* The copy of the database is open only for the list of objects; the log is gone before the hash. */
static bool back_up_objects(struct store *s, const char *path, struct copying *c, struct err *e)
{
	CLEANUP(db_closep) struct db *copy = NULL;

	return db_open(&copy, path, DB_READER, s->o.busy_ms, e) &&
	       each_object(copy, c, back_up_object, e);
}

bool backup_make(struct store *s, const char *dir, bool with_keys, struct backup_report *ret,
		 struct err *e)
{
	struct backup_report report = { .schema = s->schema, .created_at = store_now_s(s) };
	struct copying c = { .s = s, .dir = -1, .objects = -1, .report = &report };
	CLEANUP(fd_closep) int dirfd = -1;
	CLEANUP(fd_closep) int objects = -1;
	CLEANUP(fd_closep) int lock = -1;
	CLEANUP(fd_closep) int db = -1;
	char path[PATH_MAX];
	bool ok;

	if (snprintf(path, sizeof(path), "%s/valise.db", dir) >= (int)sizeof(path))
		return err_set(e, E_TOO_BIG, "the path is too long");
	if (!open_empty(dir, 0700, &dirfd, e) ||
	    !dir_open_at(&objects, dirfd, "objects", 0750, e))
		return err_wrap(e, "backup");
	db = openat(dirfd, "valise.db", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (db < 0)
		return err_sys(e, errno, "backup: valise.db");
	c.dir = dirfd;
	c.objects = objects;
	/* Shared: nothing that this database knows is collected before it is copied. */
	ok = objects_lock(s, false, &lock, e) && copy_database(s, path, e) &&
	     back_up_objects(s, path, &c, e) &&
	     (!with_keys || copy_keys(s->dirfd, dirfd, &report.keys, e)) && fd_sync(dirfd, e) &&
	     write_summary(dirfd, &report, e);
	if (!ok)
		return err_wrap(e, "backup %s", dir);
	*ret = report;
	return true;
}

/* ---- restoring ---- */

struct summary {
	uint64_t format, schema, objects, bytes, keys;
	char created[TIME_TEXT_SIZE], database[HEX_SIZE(SHA256_SIZE)];
};

static bool summary_line(struct summary *s, const char *key, const char *value)
{
	const struct {
		const char *key;
		uint64_t *number;
		char *text;
		size_t size;
	} fields[] = {
		{ "format", &s->format, NULL, 0 },
		{ "schema", &s->schema, NULL, 0 },
		{ "objects", &s->objects, NULL, 0 },
		{ "bytes", &s->bytes, NULL, 0 },
		{ "keys", &s->keys, NULL, 0 },
		{ "created", NULL, s->created, sizeof(s->created) },
		{ "database", NULL, s->database, sizeof(s->database) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strcmp(fields[i].key, key) != 0)
			continue;
		if (fields[i].number)
			return u64_parse(fields[i].number, value, strlen(value));
		if (strlen(value) >= fields[i].size)
			return false;
		memcpy(fields[i].text, value, strlen(value) + 1);
		return true;
	}
	return true; /* of a later format's, which the number tells */
}

static bool load_summary(int dir, struct summary *ret, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(BACKUP_TEXT_MAX);
	struct summary s = { 0 };
	char *line, *next, *value;

	if (!read_file_at(dir, "backup", &b, e))
		return e->code == E_NOT_FOUND
			       ? err_set(e, E_FORMAT,
					 "no complete backup (its summary is missing)")
			       : false;
	for (line = (char *)b.p; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		value = strchr(line, ' ');
		if (!value)
			return err_set(e, E_FORMAT, "summary: a line without value");
		*value++ = 0;
		if (!summary_line(&s, line, value))
			return err_set(e, E_FORMAT, "summary: %s", line);
	}
	if (s.format != BACKUP_FORMAT)
		return err_set(e, E_UNSUPPORTED, "backup format %" PRIu64, s.format);
	if (s.schema > migrate_newest())
		return err_set(e, E_UNSUPPORTED,
			       "the backup has schema %" PRIu64
			       ", newer than %u, the newest this program knows",
			       s.schema, migrate_newest());
	*ret = s;
	return true;
}

struct restore {
	struct copying c;
	int from, from_objects;
};

static bool restore_object(const struct copying *c, const struct object *o, struct err *e)
{
	const struct restore *r = (const struct restore *)(const void *)c;
	CLEANUP(fd_closep) int in = -1;
	struct object_path path;
	char name[sizeof(path.dir) + sizeof(path.name)];

	object_path(&path, o->sha256);
	snprintf(name, sizeof(name), "%s/%s", path.dir, path.name);
	if (!file_open_at(&in, r->from_objects, name, O_RDONLY | O_NOFOLLOW, 0, e)) {
		if (e->code == E_NOT_FOUND)
			return err_set(e, E_CORRUPT, "object %s%s is missing", path.dir,
				       path.name);
		return err_wrap(e, "objects");
	}
	if (!copy_object(c, in, o, e))
		return false;
	c->report->objects++;
	c->report->bytes += o->size;
	return true;
}

static bool restore_database(int from, int to, const struct summary *s, struct err *e)
{
	CLEANUP(fd_closep) int in = -1;
	CLEANUP(file_abort) struct file f = FILE_INIT;
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	uint64_t n;

	if (!file_open_at(&in, from, "valise.db", O_RDONLY | O_NOFOLLOW, 0, e))
		return false;
	if (!file_begin(&f, to, "valise.db", 0600, e) || !copy_hashed(in, f.fd, hash, &n, e))
		return false;
	hex_encode(hex, hash, sizeof(hash));
	if (strcmp(hex, s->database) != 0)
		return err_set(e, E_CORRUPT, "valise.db is damaged");
	return file_commit(&f, e);
}

static bool check_database(struct db *db, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	char first[200];
	bool found;

	if (!db_one(db, &r, &found, e, "PRAGMA integrity_check(1)"))
		return false;
	if (!found || !col_text(&r, 0, first, sizeof(first), e) || strcmp(first, "ok") != 0)
		return err_set(e, E_CORRUPT, "valise.db: %s", found ? first : "no answer");
	return true;
}

static bool restore_objects(struct restore *r, const char *path, struct err *e)
{
	CLEANUP(db_closep) struct db *db = NULL;

	return db_open(&db, path, DB_READER, 0, e) && check_database(db, e) &&
	       each_object(db, &r->c, restore_object, e);
}

static bool restore_into(struct restore *r, const char *path, struct summary *s, struct err *e)
{
	static const char mark[] = "A restore was broken off here.\n";

	if (!file_replace(r->c.dir, "restore-incomplete", 0644, mark, sizeof(mark) - 1, e) ||
	    !restore_database(r->from, r->c.dir, s, e) || !restore_objects(r, path, e) ||
	    !copy_keys(r->from, r->c.dir, &r->c.report->keys, e))
		return false;
	if (r->c.report->objects != s->objects || r->c.report->bytes != s->bytes ||
	    r->c.report->keys != s->keys)
		return err_set(e, E_CORRUPT, "the backup's summary tells of other contents");
	return fd_sync(r->c.dir, e) && file_remove(r->c.dir, "restore-incomplete", e);
}

bool backup_restore(const char *dir, const char *state_dir, struct backup_report *ret,
		    struct err *e)
{
	struct backup_report report = { 0 };
	CLEANUP(fd_closep) int from = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(fd_closep) int from_objects = -1;
	CLEANUP(fd_closep) int to = -1;
	CLEANUP(fd_closep) int to_objects = -1;
	struct restore r;
	struct summary s;
	char path[PATH_MAX];

	if (from < 0)
		return err_sys(e, errno, "%s", dir);
	if (!load_summary(from, &s, e))
		return err_wrap(e, "backup %s", dir);
	from_objects = openat(from, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from_objects < 0)
		return err_sys(e, errno, "%s/objects", dir);
	if (snprintf(path, sizeof(path), "%s/valise.db", state_dir) >= (int)sizeof(path))
		return err_set(e, E_TOO_BIG, "the path is too long");
	if (!open_empty(state_dir, 0750, &to, e) ||
	    !dir_open_at(&to_objects, to, "objects", 0750, e))
		return false;
	r = (struct restore){ { NULL, to, to_objects, &report }, from, from_objects };
	report.schema = (unsigned)s.schema;
	if (!time_parse(&report.created_at, s.created, strlen(s.created)))
		return err_set(e, E_FORMAT, "backup %s: summary: created", dir);
	if (!restore_into(&r, path, &s, e))
		return err_wrap(e, "restore of %s", dir);
	*ret = report;
	return true;
}
