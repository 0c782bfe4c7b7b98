#include "storage/tuf_priv.h"

#include "storage/audit_priv.h"
#include "storage/store_priv.h"

#include "base/text.h"

#include <inttypes.h>

static const char *repo_name(enum tuf_repo repo)
{
	return repo == TUF_IMAGE ? "image" : "director";
}

static bool role_is_valid(const char *role)
{
	return role && name_is_valid(role, TUF_ROLE_MAX);
}

bool tuf_files_check(const struct tuf_file *files, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct tuf_file *f = &files[i];

		if (f->repo != TUF_IMAGE && f->repo != TUF_DIRECTOR)
			return err_set(e, E_FORMAT, "metadata repository %d", (int)f->repo);
		if (!role_is_valid(f->role))
			return err_set(e, E_FORMAT, "metadata role is not a name");
		if (f->version == 0 || f->version > INT64_MAX)
			return err_set(e, E_FORMAT, "metadata version %" PRIu64, f->version);
		if (!f->text || f->n == 0 || f->n > LIMIT_TUF_TARGETS)
			return err_set(e, E_TOO_BIG, "metadata of %zu bytes, at most %d", f->n,
				       LIMIT_TUF_TARGETS);
	}
	return true;
}

static bool newest_version(struct db *db, enum tuf_repo repo, const char *role, int64_t *ret,
			   struct err *e)
{
	*ret = 0;
	return db_int(db, ret, e,
		      "SELECT max(version) FROM tuf_files WHERE repo = ?1 AND role = ?2",
		      I(repo), S(role));
}

static bool is_same(struct db *db, const struct tuf_file *f, const uint8_t *sha256, bool *ret,
		    struct err *e)
{
	int64_t one = 0;

	if (!db_int(db, &one, e,
		    "SELECT 1 FROM tuf_files WHERE repo = ?1 AND role = ?2 AND version = ?3"
		    " AND sha256 = ?4",
		    I(f->repo), S(f->role), I(f->version), H(sha256)))
		return false;
	*ret = one == 1;
	return true;
}

static bool put_one(struct db *db, const struct tuf_file *f, int64_t now_s, size_t *added,
		    struct err *e)
{
	uint8_t hash[SHA256_SIZE];
	uint64_t expected = f->after ? f->after : f->version - 1;
	int64_t newest;
	bool same;

	sha256(hash, f->text, f->n);
	if (!is_same(db, f, hash, &same, e) ||
	    !newest_version(db, f->repo, f->role, &newest, e))
		return false;
	if (same)
		return true;
	/* The first may have any number; the others replace the newest, and nothing else. */
	if ((newest != 0 || f->after != 0) &&
	    (expected != (uint64_t)newest || f->version <= (uint64_t)newest))
		return err_set(e, E_CONFLICT,
			       "%s %s: version %" PRIu64 " does not follow %" PRId64
			       ", the newest",
			       repo_name(f->repo), f->role, f->version, newest);
	++*added;
	return db_run(
		db, e,
		"INSERT INTO tuf_files (repo, role, version, expires_at, stored_at, sha256, text)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		I(f->repo), S(f->role), I(f->version), I(f->expires_at), I(now_s), H(hash),
		B(f->text, f->n));
}

bool tuf_files_put(struct db *db, const struct tuf_file *files, size_t n, int64_t now_s,
		   size_t *ret_new, struct err *e)
{
	*ret_new = 0;
	for (size_t i = 0; i < n; i++)
		if (!put_one(db, &files[i], now_s, ret_new, e))
			return false;
	return true;
}

struct put {
	const struct tuf_file *files;
	size_t n;
	int64_t now_s;
	const char *actor;
};

static bool put(struct db *db, void *ctx, struct err *e)
{
	const struct put *p = ctx;
	char subject[LIMIT_TEXT + 1] = "";
	size_t added, at = 0;

	if (!tuf_files_put(db, p->files, p->n, p->now_s, &added, e))
		return false;
	for (size_t i = 0; i < p->n && at < sizeof(subject) - 1; i++)
		at += (size_t)snprintf(subject + at, sizeof(subject) - at, "%s%s/%s %" PRIu64,
				       i ? ", " : "", repo_name(p->files[i].repo),
				       p->files[i].role, p->files[i].version);
	return added == 0 || audit_row_add(db, p->now_s, p->actor, "tuf.put", subject, "", e);
}

bool tuf_put(struct store *s, const struct tuf_file *files, size_t n, const char *actor,
	     struct err *e)
{
	struct put p = { files, n, store_now_s(s), actor };

	return check_actor(actor, e) && tuf_files_check(files, n, e) &&
	       store_write(s, put, &p, e);
}

void tuf_text_done(struct tuf_text *t)
{
	free(t->text);
	*t = (struct tuf_text){ 0 };
}

bool tuf_get(struct store *s, enum tuf_repo repo, const char *role, uint64_t version,
	     struct tuf_text *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	bool found;

	if (!role_is_valid(role) || version > INT64_MAX)
		return err_set(e, E_NOT_FOUND, "no such metadata");
	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT version, expires_at, stored_at, sha256, text FROM tuf_files"
		    " WHERE repo = ?1 AND role = ?2 AND (?3 = 0 OR version = ?3)"
		    " ORDER BY version DESC LIMIT 1",
		    I(repo), S(role), I(version)))
		return false;
	if (!found && version == 0)
		return err_set(e, E_NOT_FOUND, "no %s in the %s repository yet", role,
			       repo_name(repo));
	if (!found)
		return err_set(e, E_NOT_FOUND, "no %" PRIu64 ".%s in the %s repository",
			       version, role, repo_name(repo));
	t.version = (uint64_t)col_int(&r, 0);
	t.expires_at = col_int(&r, 1);
	t.stored_at = col_int(&r, 2);
	if (!col_hash(&r, 3, t.sha256, e) || !col_dup(&r, 4, &t.text, &t.n, e))
		return false;
	*ret = t;
	t.text = NULL;
	return true;
}

bool tuf_newest(struct store *s, enum tuf_repo repo, struct tuf_roles *ret, struct err *e)
{
	CLEANUP(tuf_roles_done) struct tuf_roles roles = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT role, version, length(text), sha256, expires_at FROM tuf_files f"
		     " WHERE repo = ?1 AND version = (SELECT max(version) FROM tuf_files g"
		     "  WHERE g.repo = f.repo AND g.role = f.role) ORDER BY role",
		     I(repo)))
		return false;
	for (;;) {
		struct tuf_role_row *role;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		if (!grow(&roles.items, roles.n, sizeof(*role), e))
			return false;
		role = &roles.items[roles.n++];
		role->version = (uint64_t)col_int(&r, 1);
		role->size = (uint64_t)col_int(&r, 2);
		role->expires_at = col_int(&r, 4);
		if (!col_text(&r, 0, role->role, sizeof(role->role), e) ||
		    !col_hash(&r, 3, role->sha256, e))
			return false;
	}
	*ret = roles;
	roles = (struct tuf_roles){ 0 };
	return true;
}

void tuf_roles_done(struct tuf_roles *r)
{
	free(r->items);
	*r = (struct tuf_roles){ 0 };
}

struct prune {
	int64_t before;
	uint64_t n;
};

static bool prune(struct db *db, void *ctx, struct err *e)
{
	struct prune *p = ctx;

	/* Superseded: a later version was stored before then. */
	if (!db_run(db, e,
		    "DELETE FROM tuf_files AS f WHERE role <> 'root' AND EXISTS ("
		    " SELECT 1 FROM tuf_files g WHERE g.repo = f.repo AND g.role = f.role"
		    " AND g.version > f.version AND g.stored_at < ?1)",
		    I(p->before)))
		return false;
	p->n = (uint64_t)db_changes(db);
	return true;
}

bool tuf_prune(struct store *s, int64_t age_s, uint64_t *ret, struct err *e)
{
	struct prune p = { .before = store_now_s(s) - age_s };

	if (!store_write(s, prune, &p, e))
		return false;
	if (ret)
		*ret = p.n;
	return true;
}

bool tuf_target(struct store *s, const char *dir, const char *name,
		const uint8_t sha256[static SHA256_SIZE], uint64_t *ret_size, struct err *e)
{
	int64_t size = -1;

	if (!store_int(s, &size, e,
		       "SELECT size FROM targets WHERE dir = ?1 AND name = ?2 AND sha256 = ?3",
		       S(dir), S(name), H(sha256)))
		return false;
	if (size < 0)
		return err_set(e, E_NOT_FOUND, "no such target");
	*ret_size = (uint64_t)size;
	return true;
}

/* ---- director metadata of one device ---- */

void director_done(struct director *d)
{
	free(d->timestamp);
	free(d->snapshot);
	free(d->targets);
	*d = (struct director){ 0 };
}

bool tuf_director_get(struct store *s, const char *device, struct director *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	CLEANUP(director_done) struct director d = { 0 };
	bool found;

	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT plan, timestamp_version, snapshot_version, targets_version, refresh_at,"
		    " expires_at, timestamp, snapshot, targets FROM director"
		    " WHERE device = (SELECT number FROM devices WHERE id = ?1)",
		    S(device)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no director metadata of device %s", device);
	d.plan = (uint64_t)col_int(&r, 0);
	d.timestamp_version = (uint64_t)col_int(&r, 1);
	d.snapshot_version = (uint64_t)col_int(&r, 2);
	d.targets_version = (uint64_t)col_int(&r, 3);
	d.refresh_at = col_int(&r, 4);
	d.expires_at = col_int(&r, 5);
	if (!col_dup(&r, 6, &d.timestamp, NULL, e) || !col_dup(&r, 7, &d.snapshot, NULL, e) ||
	    !col_dup(&r, 8, &d.targets, NULL, e))
		return false;
	*ret = d;
	d = (struct director){ 0 };
	return true;
}

struct director_put {
	const char *device;
	const struct director *d;
};

/* One conditional statement: nothing changes when the plan or the versions moved on. */
static bool director_put(struct db *db, void *ctx, struct err *e)
{
	const struct director_put *p = ctx;
	const struct director *d = p->d;
	int64_t number = 0;

	if (!db_int(db, &number, e, "SELECT number FROM devices WHERE id = ?1", S(p->device)))
		return false;
	if (number == 0)
		return err_set(e, E_NOT_FOUND, "no device %s", p->device);
	if (!db_run(db, e,
		    "INSERT INTO director (device, plan, timestamp_version, snapshot_version,"
		    " targets_version, refresh_at, expires_at, timestamp, snapshot, targets)"
		    " SELECT number, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM devices"
		    " WHERE number = ?1 AND plan = ?2"
		    " ON CONFLICT (device) DO UPDATE SET plan = excluded.plan,"
		    " timestamp_version = excluded.timestamp_version,"
		    " snapshot_version = excluded.snapshot_version,"
		    " targets_version = excluded.targets_version, refresh_at = excluded.refresh_at,"
		    " expires_at = excluded.expires_at, timestamp = excluded.timestamp,"
		    " snapshot = excluded.snapshot, targets = excluded.targets"
		    " WHERE excluded.timestamp_version > director.timestamp_version"
		    " AND excluded.snapshot_version > director.snapshot_version"
		    " AND excluded.targets_version > director.targets_version",
		    I(number), I(d->plan), I(d->timestamp_version), I(d->snapshot_version),
		    I(d->targets_version), I(d->refresh_at), I(d->expires_at),
		    B(d->timestamp, strlen(d->timestamp)), B(d->snapshot, strlen(d->snapshot)),
		    B(d->targets, strlen(d->targets))))
		return false;
	if (db_changes(db) != 1)
		return err_set(e, E_CONFLICT,
			       "device %s: its plan or its director metadata changed meanwhile",
			       p->device);
	return true;
}

bool tuf_director_put(struct store *s, const char *device, const struct director *d,
		      struct err *e)
{
	struct director_put p = { device, d };

	return check_text("timestamp", d->timestamp, LIMIT_TUF_TIMESTAMP, e) &&
	       check_text("snapshot", d->snapshot, LIMIT_TUF_SNAPSHOT, e) &&
	       check_text("targets", d->targets, LIMIT_TUF_TARGETS, e) &&
	       store_write_device(s, device, director_put, &p, e);
}

static bool director_stale(struct db *db, void *ctx UNUSED, struct err *e)
{
	return db_run(db, e, "UPDATE director SET refresh_at = 0 WHERE refresh_at > 0");
}

bool tuf_director_stale(struct store *s, struct err *e)
{
	return store_write(s, director_stale, NULL, e);
}
