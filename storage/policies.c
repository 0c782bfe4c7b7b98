#include "storage/policies.h"

#include "storage/audit_priv.h"
#include "storage/devices_priv.h"
#include "storage/objects_priv.h"
#include "storage/policies_priv.h"
#include "storage/proposals_priv.h"
#include "storage/store_priv.h"
#include "storage/target_priv.h"
#include "storage/tuf_priv.h"

#include <inttypes.h>

/* ---- publishing ---- */

struct publish {
	const struct policy_new *p;
	const char *actor;
	int64_t now_s;
	uint8_t sha256[SHA256_SIZE];
	enum policy_put put;
};

bool policy_is_there(struct db *db, const struct policy_new *p,
		     const uint8_t sha256[static SHA256_SIZE], bool *ret, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	uint8_t stored[SHA256_SIZE];
	int64_t newest = 0;
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT sha256 FROM policies WHERE name = ?1 AND version = ?2", S(p->name),
		    I(p->version)))
		return false;
	*ret = found;
	if (found && !col_hash(&r, 0, stored, e))
		return false;
	if (found && memcmp(stored, sha256, SHA256_SIZE) != 0)
		return err_set(e, E_EXISTS,
			       "policy %s version %" PRIu64
			       " is published with another content",
			       p->name, p->version);
	if (found)
		return true;
	if (!db_int(db, &newest, e, "SELECT max(version) FROM policies WHERE name = ?1",
		    S(p->name)))
		return false;
	if (p->version < (uint64_t)newest)
		return err_set(e, E_ROLLBACK,
			       "policy %s version %" PRIu64 " is below %" PRId64 ", the newest",
			       p->name, p->version, newest);
	return true;
}

static bool load_assignment(struct db *db, const char *name, struct target *ret, bool *found,
			    struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };

	return db_one(db, &r, found, e,
		      "SELECT kind, name FROM policy_assignments WHERE policy = ?1", S(name)) &&
	       (!*found || target_load(&r, 0, ret, e));
}

/* A new version counts at once for those whom the bundle reaches already. */
static bool mark_assigned(struct db *db, const char *name, struct err *e)
{
	struct target t;
	bool found;

	return load_assignment(db, name, &t, &found, e) && (!found || mark_target(db, &t, e));
}

static bool put_bundle(struct db *db, const struct publish *p, struct err *e)
{
	char dir[LIMIT_NAME + 16], file[32];

	snprintf(dir, sizeof(dir), "policies/%s", p->p->name);
	snprintf(file, sizeof(file), "%" PRIu64 ".json", p->p->version);
	return db_run(db, e,
		      "INSERT INTO policies (name, version, sha256, text, published_at, published_by)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		      S(p->p->name), I(p->p->version), H(p->sha256), B(p->p->text, p->p->n),
		      I(p->now_s), S(p->actor)) &&
	       db_run(db, e,
		      "INSERT INTO targets (dir, name, sha256, size) VALUES (?1, ?2, ?3, ?4)",
		      S(dir), S(file), H(p->sha256), I(p->p->n));
}

static bool publish(struct db *db, void *ctx, struct err *e)
{
	struct publish *p = ctx;
	char subject[LIMIT_NAME + 24], version[24];
	bool same, stored;
	size_t added;

	if (!policy_is_there(db, p->p, p->sha256, &same, e))
		return false;
	p->put = same ? POLICY_SAME : POLICY_CREATED;
	if (same)
		return true;
	if (!object_row_exists(db, p->sha256, &stored, e))
		return false;
	if (!stored)
		return err_set(e, E_CONFLICT, "the bundle's object was removed meanwhile");
	snprintf(subject, sizeof(subject), "%s/%" PRIu64, p->p->name, p->p->version);
	snprintf(version, sizeof(version), "%" PRIu64, p->p->version);
	return put_bundle(db, p, e) && mark_assigned(db, p->p->name, e) &&
	       proposal_end(db, PROPOSAL_POLICY, p->p->name, version, e) &&
	       tuf_files_put(db, p->p->tuf, p->p->tuf_n, p->now_s, &added, e) &&
	       audit_row_add(db, p->now_s, p->actor, "policy.publish", subject, "", e);
}

bool policy_new_check(const struct policy_new *p, struct err *e)
{
	if (!check_name("policy", p->name, e))
		return false;
	if (p->version == 0 || p->version > INT64_MAX)
		return err_set(e, E_FORMAT, "policy version %" PRIu64, p->version);
	if (!p->text || p->n == 0 || p->n > LIMIT_POLICY_JSON)
		return err_set(e, E_FORMAT, "bundle of %zu bytes, 1 to %d are allowed", p->n,
			       LIMIT_POLICY_JSON);
	return tuf_files_check(p->tuf, p->tuf_n, e);
}

bool policies_publish(struct store *s, const struct policy_new *pn, const char *actor,
		      enum policy_put *ret, struct err *e)
{
	struct publish p = { .p = pn, .actor = actor, .now_s = store_now_s(s) };
	CLEANUP(reader_put) struct reader rd = { 0 };
	bool same;

	if (!check_actor(actor, e) || !policy_new_check(pn, e))
		return false;
	sha256(p.sha256, pn->text, pn->n);
	if (!reader_get(&rd, s, e) || !policy_is_there(rd.db, pn, p.sha256, &same, e))
		return false;
	reader_put(&rd);
	if (!same &&
	    (!objects_put(s, pn->text, pn->n, NULL, e) || !store_write(s, publish, &p, e)))
		return err_wrap(e, "policy %s", pn->name);
	*ret = same ? POLICY_SAME : p.put;
	return true;
}

/* ---- assigning ---- */

struct assign {
	const char *name, *actor;
	const struct target *t; /* NULL: to nobody */
	int64_t now_s;
};

static bool policy_exists(struct db *db, const char *name, struct err *e)
{
	int64_t one = 0;

	if (!db_int(db, &one, e, "SELECT 1 FROM policies WHERE name = ?1 LIMIT 1", S(name)))
		return false;
	return one == 1 || err_set(e, E_NOT_FOUND, "no policy %s", name);
}

static bool is_same_target(const struct target *a, const struct target *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

static bool assign(struct db *db, void *ctx, struct err *e)
{
	const struct assign *a = ctx;
	char text[TARGET_TEXT_SIZE];
	struct target old;
	bool had;

	if (!policy_exists(db, a->name, e) || !target_exists(db, a->t, e) ||
	    !load_assignment(db, a->name, &old, &had, e))
		return false;
	if (had && is_same_target(&old, a->t))
		return true;
	target_format(text, a->t);
	return db_run(db, e,
		      "INSERT INTO policy_assignments (policy, kind, name, assigned_at)"
		      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (policy) DO UPDATE SET"
		      " kind = excluded.kind, name = excluded.name, assigned_at = excluded.assigned_at",
		      S(a->name), I(a->t->kind), S(a->t->name), I(a->now_s)) &&
	       (!had || mark_target(db, &old, e)) && mark_target(db, a->t, e) &&
	       audit_row_add(db, a->now_s, a->actor, "policy.assign", a->name, text, e);
}

bool policies_assign(struct store *s, const char *name, const struct target *t,
		     const char *actor, struct err *e)
{
	struct assign a = { name, actor, t, store_now_s(s) };

	return check_actor(actor, e) && check_name("policy", name, e) && target_check(t, e) &&
	       store_write(s, assign, &a, e);
}

static bool unassign(struct db *db, void *ctx, struct err *e)
{
	const struct assign *a = ctx;
	struct target old;
	bool had;

	if (!policy_exists(db, a->name, e) || !load_assignment(db, a->name, &old, &had, e))
		return false;
	return !had ||
	       (db_run(db, e, "DELETE FROM policy_assignments WHERE policy = ?1", S(a->name)) &&
		mark_target(db, &old, e) &&
		audit_row_add(db, a->now_s, a->actor, "policy.assign", a->name, "nobody", e));
}

bool policies_unassign(struct store *s, const char *name, const char *actor, struct err *e)
{
	struct assign a = { name, actor, NULL, store_now_s(s) };

	return check_actor(actor, e) && check_name("policy", name, e) &&
	       store_write(s, unassign, &a, e);
}

/* ---- reading ---- */

#define COLUMNS                                                                        \
	"p.name, p.version, p.published_at, p.published_by, p.sha256, length(p.text)," \
	" a.policy IS NOT NULL, a.kind, a.name, a.assigned_at"

static bool count_devices(struct db *db, struct policy_info *p, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT coalesce(sum(wanted = ?2), 0), coalesce(sum(delivered = ?2), 0),"
		    " coalesce(sum(applied = ?2), 0) FROM device_policies WHERE name = ?1",
		    S(p->name), I(p->version)))
		return false;
	p->wanted = (uint64_t)col_int(&r, 0);
	p->delivered = (uint64_t)col_int(&r, 1);
	p->applied = (uint64_t)col_int(&r, 2);
	return true;
}

static bool load_row(struct db *db, struct rows *r, struct policy_info *p, struct err *e)
{
	p->version = (uint64_t)col_int(r, 1);
	p->published_at = col_int(r, 2);
	p->size = (uint64_t)col_int(r, 5);
	p->assigned = col_int(r, 6) != 0;
	p->assigned_at = col_int(r, 9);
	return col_text(r, 0, p->name, sizeof(p->name), e) &&
	       col_text(r, 3, p->published_by, sizeof(p->published_by), e) &&
	       col_hash(r, 4, p->sha256, e) && target_load(r, 7, &p->target, e) &&
	       count_devices(db, p, e);
}

bool policies_get(struct store *s, const char *name, uint64_t version, struct policy_info *ret,
		  char **ret_text, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct policy_info p = { 0 };
	bool found;

	if (!reader_get(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT " COLUMNS ", p.text FROM policies p LEFT JOIN policy_assignments a"
		    " ON a.policy = p.name WHERE p.name = ?1 AND (?2 = 0 OR p.version = ?2)"
		    " ORDER BY p.version DESC LIMIT 1",
		    S(name), I(version)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no such policy, or not in that version");
	if (!load_row(rd.db, &r, &p, e) || (ret_text && !col_dup(&r, 10, ret_text, NULL, e)))
		return false;
	*ret = p;
	return true;
}

bool policies_list(struct store *s, const char *after, size_t limit, struct policy_page *ret,
		   struct err *e)
{
	CLEANUP(policy_page_done) struct policy_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT " COLUMNS " FROM policies p LEFT JOIN policy_assignments a"
		     " ON a.policy = p.name WHERE p.name > ?1 AND p.version ="
		     " (SELECT max(q.version) FROM policies q WHERE q.name = p.name)"
		     " ORDER BY p.name LIMIT ?2",
		     S(after ? after : ""), I(limit + 1)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e) ||
		    !load_row(rd.db, &r, &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct policy_page){ 0 };
	return true;
}

void policy_page_done(struct policy_page *p)
{
	free(p->items);
	*p = (struct policy_page){ 0 };
}

bool policies_reaching(struct store *s, const char *device, struct policy_reaches *ret,
		       struct err *e)
{
	CLEANUP(policy_reaches_done) struct policy_reaches list = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	int64_t number;
	bool more;

	if (!reader_get(&rd, s, e) || !device_find(rd.db, device, &number, NULL, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT p.name, p.version, p.sha256, a.kind, a.name, p.text FROM devices d"
		     " CROSS JOIN policy_assignments a JOIN policies p ON p.name = a.policy"
		     " AND p.version = (SELECT max(q.version) FROM policies q WHERE q.name = p.name)"
		     " WHERE d.number = ?1 AND " SQL_REACHES " ORDER BY a.kind DESC, p.name",
		     I(number)))
		return false;
	for (;;) {
		struct policy_reach *p;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		if (!grow(&list.items, list.n, sizeof(*p), e))
			return false;
		p = &list.items[list.n++];
		p->version = (uint64_t)col_int(&r, 1);
		if (!col_text(&r, 0, p->name, sizeof(p->name), e) ||
		    !col_hash(&r, 2, p->sha256, e) || !target_load(&r, 3, &p->target, e) ||
		    !col_dup(&r, 5, &p->text, &p->n, e))
			return false;
	}
	*ret = list;
	list = (struct policy_reaches){ 0 };
	return true;
}

void policy_reaches_done(struct policy_reaches *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].text);
	free(r->items);
	*r = (struct policy_reaches){ 0 };
}
