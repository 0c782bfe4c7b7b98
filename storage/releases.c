#include "storage/releases.h"

#include "storage/audit_priv.h"
#include "storage/objects_priv.h"
#include "storage/proposals_priv.h"
#include "storage/releases_priv.h"
#include "storage/store_priv.h"
#include "storage/target_priv.h"
#include "storage/tuf_priv.h"

#include "base/text.h"

#include <inttypes.h>

enum { MISSING_TOLD = 3 }; /* hashes in the error text; objects_missing tells all */

/* ---- publishing ---- */

struct publish {
	const struct release_new *r;
	const char *actor;
	int64_t now_s;
	uint8_t manifest_sha256[SHA256_SIZE];
	uint64_t download_size;
	char dir[LIMIT_NAME + LIMIT_VERSION + 16]; /* of its targets */
	enum release_put put;
};

static bool check_component(const struct release_component *c, struct err *e)
{
	if (!check_name("component", c->name, e))
		return false;
	if (!check_name("kind", c->kind, e))
		return false;
	if (c->size > LIMIT_COMPONENT_SIZE || c->object_size > LIMIT_COMPONENT_SIZE ||
	    c->tree_size > LIMIT_COMPONENT_SIZE)
		return err_set(e, E_FORMAT, "component %s is larger than any may be", c->name);
	return true;
}

bool release_new_check(const struct release_new *r, struct err *e)
{
	if (!check_name("product", r->product, e) || !check_name("version", r->version, e))
		return false;
	if (!r->manifest || r->manifest_n == 0 || r->manifest_n > LIMIT_RELEASE_JSON)
		return err_set(e, E_FORMAT, "manifest of %zu bytes, 1 to %d are allowed",
			       r->manifest_n, LIMIT_RELEASE_JSON);
	if (r->components_n == 0 || r->components_n > LIMIT_COMPONENTS || r->models_n == 0 ||
	    r->models_n > LIMIT_MODELS)
		return err_set(e, E_FORMAT, "%zu components and %zu models", r->components_n,
			       r->models_n);
	if (r->security_version > INT64_MAX || r->data_schema > INT64_MAX)
		return err_set(e, E_FORMAT,
			       "security version or data schema is beyond 63 bits");
	for (size_t i = 0; i < r->components_n; i++)
		if (!check_component(&r->components[i], e))
			return false;
	for (size_t i = 0; i < r->models_n; i++)
		if (!check_name("model", r->models[i], e))
			return false;
	return tuf_files_check(r->tuf, r->tuf_n, e);
}

bool release_is_there(struct db *db, const struct release_new *r_new,
		      const uint8_t manifest_sha256[static SHA256_SIZE], bool *ret,
		      struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	uint8_t stored[SHA256_SIZE];
	char theirs[HEX_SIZE(8)], ours[HEX_SIZE(8)], when[TIME_TEXT_SIZE];
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT manifest_sha256, published_at, withdrawn_at FROM releases"
		    " WHERE product = ?1 AND version = ?2",
		    S(r_new->product), S(r_new->version)))
		return false;
	*ret = found;
	if (!found)
		return true;
	if (!col_hash(&r, 0, stored, e))
		return false;
	if (!col_is_null(&r, 2)) {
		err_set(e, E_GONE, "%s %s was withdrawn", r_new->product, r_new->version);
		return err_hint(e, "publish it under a new version");
	}
	if (memcmp(stored, manifest_sha256, SHA256_SIZE) == 0)
		return true;
	hex_encode(theirs, stored, 8);
	hex_encode(ours, manifest_sha256, 8);
	time_format(when, col_int(&r, 1));
	return err_set(
		e, E_EXISTS,
		"%s %s was published at %s with another content (manifest %s..., this is %s...)",
		r_new->product, r_new->version, when, theirs, ours);
}

/* Counts objects that are not stored, or have another size, and writes down the first hashes. */
static bool note_missing(struct db *db, const uint8_t sha256[static SHA256_SIZE], uint64_t size,
			 size_t *count, struct buf *text, struct err *e)
{
	int64_t stored = -1;
	char hex[HEX_SIZE(SHA256_SIZE)];

	if (!db_int(db, &stored, e, "SELECT size FROM objects WHERE sha256 = ?1", H(sha256)))
		return false;
	if (stored >= 0 && (uint64_t)stored == size)
		return true;
	hex_encode(hex, sha256, SHA256_SIZE);
	if (++*count > MISSING_TOLD)
		return true;
	return buf_printf(text, e, " %s", hex);
}

bool release_has_objects(struct db *db, const struct release_new *r, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(1024);
	size_t count = 0;

	for (size_t i = 0; i < r->components_n; i++) {
		const struct release_component *c = &r->components[i];

		if (!note_missing(db, c->object_sha256, c->object_size, &count, &text, e))
			return false;
		if (c->tree_size != 0 &&
		    !note_missing(db, c->tree_sha256, c->tree_size, &count, &text, e))
			return false;
	}
	if (count == 0)
		return true;
	err_set(e, E_CONFLICT, "%zu objects are not stored:%s%s", count, buf_str(&text),
		count > MISSING_TOLD ? " ..." : "");
	return err_hint(e, "upload them and publish again");
}

static bool put_target(struct db *db, const char *dir, const char *name, const char *suffix,
		       const uint8_t *sha256, uint64_t size, struct err *e)
{
	char full[LIMIT_NAME + 8];

	snprintf(full, sizeof(full), "%s%s", name, suffix);
	return db_run(db, e,
		      "INSERT INTO targets (dir, name, sha256, size) VALUES (?1, ?2, ?3, ?4)",
		      S(dir), S(full), H(sha256), I(size));
}

static bool put_component(struct db *db, const struct publish *p, int64_t release,
			  const struct release_component *c, struct err *e)
{
	if (!db_run(db, e,
		    "INSERT INTO release_components (release, name, kind, size, sha256, verity_root,"
		    " object_sha256, object_size, tree_sha256, tree_size)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
		    I(release), S(c->name), S(c->kind), I(c->size), H(c->sha256),
		    H(c->verity_root), H(c->object_sha256), I(c->object_size),
		    c->tree_size ? H(c->tree_sha256) : NIL(), I(c->tree_size)))
		return false;
	if (c->tree_size &&
	    !put_target(db, p->dir, c->name, ".tree", c->tree_sha256, c->tree_size, e))
		return false;
	return put_target(db, p->dir, c->name, ".zst", c->object_sha256, c->object_size, e);
}

static bool put_release(struct db *db, const struct publish *p, struct err *e)
{
	const struct release_new *r = p->r;
	int64_t number;

	if (!db_run(db, e,
		    "INSERT INTO releases (product, version, security_version, data_schema, manifest,"
		    " manifest_sha256, download_size, published_at, published_by)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
		    S(r->product), S(r->version), I(r->security_version), I(r->data_schema),
		    B(r->manifest, r->manifest_n), H(p->manifest_sha256), I(p->download_size),
		    I(p->now_s), S(p->actor)))
		return false;
	number = db_inserted(db);
	if (!put_target(db, p->dir, "release.json", "", p->manifest_sha256, r->manifest_n, e))
		return false;
	for (size_t i = 0; i < r->components_n; i++)
		if (!put_component(db, p, number, &r->components[i], e))
			return false;
	for (size_t i = 0; i < r->models_n; i++)
		if (!db_run(db, e,
			    "INSERT INTO release_models (release, model) VALUES (?1, ?2)",
			    I(number), S(r->models[i])))
			return false;
	return true;
}

static bool publish(struct db *db, void *ctx, struct err *e)
{
	struct publish *p = ctx;
	char subject[LIMIT_NAME + LIMIT_VERSION + 2], hex[HEX_SIZE(SHA256_SIZE)];
	bool same;
	size_t added;

	if (!release_is_there(db, p->r, p->manifest_sha256, &same, e))
		return false;
	p->put = same ? RELEASE_SAME : RELEASE_CREATED;
	if (same)
		return true;
	snprintf(subject, sizeof(subject), "%s/%s", p->r->product, p->r->version);
	hex_encode(hex, p->manifest_sha256, SHA256_SIZE);
	return release_has_objects(db, p->r, e) && put_release(db, p, e) &&
	       proposal_end(db, PROPOSAL_RELEASE, p->r->product, p->r->version, e) &&
	       tuf_files_put(db, p->r->tuf, p->r->tuf_n, p->now_s, &added, e) &&
	       audit_row_add(db, p->now_s, p->actor, "release.publish", subject, hex, e);
}

bool releases_publish(struct store *s, const struct release_new *r, const char *actor,
		      enum release_put *ret, struct err *e)
{
	struct publish p = { .r = r, .actor = actor, .now_s = store_now_s(s) };
	CLEANUP(reader_put) struct reader rd = { 0 };
	bool same;

	if (!check_actor(actor, e) || !release_new_check(r, e))
		return false;
	sha256(p.manifest_sha256, r->manifest, r->manifest_n);
	snprintf(p.dir, sizeof(p.dir), "releases/%s/%s", r->product, r->version);
	for (size_t i = 0; i < r->components_n; i++)
		p.download_size += r->components[i].object_size + r->components[i].tree_size;
	/* Asked before anything is written, and again where it counts. */
	if (!reader_get_one(&rd, s, e) ||
	    !release_is_there(rd.db, r, p.manifest_sha256, &same, e))
		return false;
	reader_put(&rd);
	if (!same && (!objects_put(s, r->manifest, r->manifest_n, NULL, e) ||
		      !store_write(s, publish, &p, e)))
		return err_wrap(e, "release %s %s", r->product, r->version);
	*ret = same ? RELEASE_SAME : p.put;
	return true;
}

/* ---- withdrawing ---- */

struct withdraw {
	const char *product, *version, *reason, *actor;
	int64_t now_s;
};

/* Devices that shall run it have to be planned anew. */
static bool mark_rollouts(struct db *db, int64_t release, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e, "SELECT DISTINCT kind, name FROM rollouts WHERE release = ?1",
		     I(release)))
		return false;
	for (;;) {
		struct target t;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return true;
		if (!target_load(&r, 0, &t, e) || !mark_target(db, &t, e))
			return false;
	}
}

static bool find_release(struct db *db, const char *product, const char *version, int64_t *ret,
			 struct err *e)
{
	*ret = 0;
	if (!db_int(db, ret, e,
		    "SELECT number FROM releases WHERE product = ?1 AND version = ?2",
		    S(product), S(version)))
		return false;
	return *ret != 0 || err_set(e, E_NOT_FOUND, "no release %s %s", product, version);
}

static bool withdraw(struct db *db, void *ctx, struct err *e)
{
	const struct withdraw *w = ctx;
	char subject[LIMIT_NAME + LIMIT_VERSION + 2];
	int64_t number;

	if (!find_release(db, w->product, w->version, &number, e))
		return false;
	if (!db_run(db, e,
		    "UPDATE releases SET withdrawn_at = ?2, withdrawn_reason = ?3"
		    " WHERE number = ?1 AND withdrawn_at IS NULL",
		    I(number), I(w->now_s), S(w->reason)))
		return false;
	if (db_changes(db) == 0)
		return true;
	snprintf(subject, sizeof(subject), "%s/%s", w->product, w->version);
	/* What is being made towards it finds itself not wanted and stops. */
	return mark_rollouts(db, number, e) &&
	       db_run(db, e, "DELETE FROM deltas WHERE to_release = ?1", I(number)) &&
	       audit_row_add(db, w->now_s, w->actor, "release.withdraw", subject, w->reason, e);
}

bool releases_withdraw(struct store *s, const char *product, const char *version,
		       const char *reason, const char *actor, struct err *e)
{
	struct withdraw w = { product, version, reason ? reason : "", actor, store_now_s(s) };

	return check_actor(actor, e) && check_name("product", product, e) &&
	       check_name("version", version, e) &&
	       check_text("reason", w.reason, LIMIT_TEXT, e) && store_write(s, withdraw, &w, e);
}

/* ---- reading ---- */

#define ROW_COLUMNS                                                                            \
	"product, version, security_version, data_schema, manifest_sha256, length(manifest), " \
	"download_size, number, published_at, withdrawn_at, published_by"

static bool load_row(struct rows *r, struct release_row *ret, struct err *e)
{
	ret->security_version = (uint64_t)col_int(r, 2);
	ret->data_schema = (uint64_t)col_int(r, 3);
	ret->manifest_size = (uint64_t)col_int(r, 5);
	ret->download_size = (uint64_t)col_int(r, 6);
	ret->number = col_int(r, 7);
	ret->published_at = col_int(r, 8);
	ret->withdrawn_at = col_int(r, 9);
	return col_text(r, 0, ret->product, sizeof(ret->product), e) &&
	       col_text(r, 1, ret->version, sizeof(ret->version), e) &&
	       col_hash(r, 4, ret->manifest_sha256, e) &&
	       col_text(r, 10, ret->published_by, sizeof(ret->published_by), e);
}

bool releases_list(struct store *s, const char *product, int64_t after, size_t limit,
		   struct release_page *ret, struct err *e)
{
	CLEANUP(release_page_done) struct release_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT " ROW_COLUMNS " FROM releases WHERE number > ?1"
		     " AND (?2 = '' OR product = ?2) ORDER BY number LIMIT ?3",
		     I(after), S(product ? product : ""), I(limit + 1)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e) ||
		    !load_row(&r, &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct release_page){ 0 };
	return true;
}

void release_page_done(struct release_page *p)
{
	free(p->items);
	*p = (struct release_page){ 0 };
}

static bool load_component(struct rows *r, struct release_component *c, struct err *e)
{
	c->size = (uint64_t)col_int(r, 2);
	c->object_size = (uint64_t)col_int(r, 6);
	c->tree_size = (uint64_t)col_int(r, 8);
	return col_text(r, 0, c->name, sizeof(c->name), e) &&
	       col_text(r, 1, c->kind, sizeof(c->kind), e) && col_hash(r, 3, c->sha256, e) &&
	       col_hash(r, 4, c->verity_root, e) && col_hash(r, 5, c->object_sha256, e) &&
	       col_hash(r, 7, c->tree_sha256, e);
}

static bool load_components(struct db *db, struct release_full *f, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(
		    db, &r, e,
		    "SELECT name, kind, size, sha256, verity_root, object_sha256, object_size,"
		    " tree_sha256, tree_size FROM release_components WHERE release = ?1 ORDER BY name",
		    I(f->row.number)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return true;
		if (!grow(&f->components, f->components_n, sizeof(*f->components), e) ||
		    !load_component(&r, &f->components[f->components_n++], e))
			return false;
	}
}

static bool load_models(struct db *db, struct release_full *f, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e,
		     "SELECT model FROM release_models WHERE release = ?1 ORDER BY model",
		     I(f->row.number)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return true;
		if (!grow(&f->models, f->models_n, sizeof(*f->models), e) ||
		    !col_text(&r, 0, f->models[f->models_n++], sizeof(*f->models), e))
			return false;
	}
}

bool releases_get(struct store *s, const char *product, const char *version,
		  struct release_full *ret, struct err *e)
{
	CLEANUP(release_full_done) struct release_full f = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!reader_get(&rd, s, e) || !db_one(rd.db, &r, &found, e,
					      "SELECT " ROW_COLUMNS ", manifest FROM releases"
					      " WHERE product = ?1 AND version = ?2",
					      S(product), S(version)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no release %s %s", product, version);
	if (!load_row(&r, &f.row, e) || !col_dup(&r, 11, &f.manifest, NULL, e) ||
	    !load_components(rd.db, &f, e) || !load_models(rd.db, &f, e))
		return false;
	*ret = f;
	f = (struct release_full){ 0 };
	return true;
}

void release_full_done(struct release_full *f)
{
	free(f->manifest);
	free(f->components);
	free(f->models);
	*f = (struct release_full){ 0 };
}

bool releases_objects(struct store *s, const char *product, const char *version,
		      struct release_objects *ret, struct err *e)
{
	CLEANUP(release_objects_done) struct release_objects list = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	int64_t number;
	bool more;

	if (!reader_get(&rd, s, e) || !find_release(rd.db, product, version, &number, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT name, sha256, size FROM targets"
		     " WHERE dir = 'releases/' || ?1 || '/' || ?2 ORDER BY name",
		     S(product), S(version)))
		return false;
	for (;;) {
		struct release_object *o;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		if (!grow(&list.items, list.n, sizeof(*o), e))
			return false;
		o = &list.items[list.n++];
		o->size = (uint64_t)col_int(&r, 2);
		if (!col_text(&r, 0, o->name, sizeof(o->name), e) ||
		    !col_hash(&r, 1, o->sha256, e))
			return false;
	}
	*ret = list;
	list = (struct release_objects){ 0 };
	return true;
}

void release_objects_done(struct release_objects *r)
{
	free(r->items);
	*r = (struct release_objects){ 0 };
}
