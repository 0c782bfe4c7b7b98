#include "storage/proposals_priv.h"

#include "storage/audit_priv.h"
#include "storage/policies_priv.h"
#include "storage/releases_priv.h"
#include "storage/store_priv.h"

#include <inttypes.h>

/* Decimal digits of a bundle's version. */
enum { NUMBER_TEXT = 21 };

struct put {
	const struct proposal_new *p;
	const char *actor, *name, *version;
	const void *text;
	size_t n;
	const struct tuf_file *role;
	enum proposal_kind kind;
	int64_t now_s;
	uint8_t sha256[SHA256_SIZE];
	char number[NUMBER_TEXT];
};

static void fill(struct put *to, const struct proposal_new *p)
{
	if (p->release) {
		to->kind = PROPOSAL_RELEASE;
		to->name = p->release->product;
		to->version = p->release->version;
		to->text = p->release->manifest;
		to->n = p->release->manifest_n;
		to->role = p->release->tuf;
	} else {
		snprintf(to->number, sizeof(to->number), "%" PRIu64, p->policy->version);
		to->kind = PROPOSAL_POLICY;
		to->name = p->policy->name;
		to->version = to->number;
		to->text = p->policy->text;
		to->n = p->policy->n;
		to->role = p->policy->tuf;
	}
	sha256(to->sha256, to->text, to->n);
}

static bool guard(struct db *db, const uint8_t sha256[static SHA256_SIZE], int64_t until_s,
		  struct err *e)
{
	return db_run(db, e,
		      "UPDATE objects SET kept_until = max(kept_until, ?2) WHERE sha256 = ?1",
		      H(sha256), I(until_s));
}

static bool guard_all(struct db *db, const struct release_new *r, int64_t until_s,
		      struct err *e)
{
	for (size_t i = 0; i < r->components_n; i++) {
		const struct release_component *c = &r->components[i];

		if (!guard(db, c->object_sha256, until_s, e) ||
		    (c->tree_size != 0 && !guard(db, c->tree_sha256, until_s, e)))
			return false;
	}
	return true;
}

/* Each product has its own publishers, all bundles have the same. */
static bool has_room(struct db *db, const struct put *p, struct err *e)
{
	int64_t n = 0;

	if (!db_int(db, &n, e,
		    "SELECT count(*) FROM proposals WHERE kind = ?1 AND (kind = ?4 OR name = ?2)"
		    " AND NOT (name = ?2 AND version = ?3)",
		    I(p->kind), S(p->name), S(p->version), I(PROPOSAL_POLICY)))
		return false;
	if (n < PROPOSALS_MAX)
		return true;
	err_set(e, E_BUSY, "%" PRId64 " %s wait for signatures already", n,
		p->kind == PROPOSAL_RELEASE ? "releases of this product" : "bundles");
	return err_hint(e, "sign them, or wait until they expire");
}

/* Whether it is published, or could not be any more. */
static bool check_new(struct db *db, const struct put *p, struct err *e)
{
	bool same;

	if (p->kind == PROPOSAL_RELEASE
		    ? !release_is_there(db, p->p->release, p->sha256, &same, e)
		    : !policy_is_there(db, p->p->policy, p->sha256, &same, e))
		return false;
	if (same)
		return err_set(e, E_EXISTS, "it is published");
	return p->kind == PROPOSAL_POLICY || release_has_objects(db, p->p->release, e);
}

static bool put(struct db *db, void *ctx, struct err *e)
{
	const struct put *p = ctx;
	const bool release = p->kind == PROPOSAL_RELEASE;
	char subject[LIMIT_NAME + LIMIT_VERSION + 2];
	int64_t until_s = p->now_s + PROPOSALS_LIFE_S;

	snprintf(subject, sizeof(subject), "%s/%s", p->name, p->version);
	return check_new(db, p, e) &&
	       db_run(db, e, "DELETE FROM proposals WHERE expires_at <= ?1", I(p->now_s)) &&
	       has_room(db, p, e) && (!release || guard_all(db, p->p->release, until_s, e)) &&
	       db_run(db, e,
		      "INSERT INTO proposals (kind, name, version, text, role, proposed_at,"
		      " proposed_by, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
		      " ON CONFLICT (kind, name, version) DO UPDATE SET text = excluded.text,"
		      " role = excluded.role, proposed_at = excluded.proposed_at,"
		      " proposed_by = excluded.proposed_by, expires_at = excluded.expires_at",
		      I(p->kind), S(p->name), S(p->version), B(p->text, p->n),
		      B(p->role->text, p->role->n), I(p->now_s), S(p->actor), I(until_s)) &&
	       audit_row_add(db, p->now_s, p->actor,
			     release ? "release.propose" : "policy.propose", subject,
			     p->p->detail, e);
}

bool proposals_put(struct store *s, const struct proposal_new *pn, const char *actor,
		   struct err *e)
{
	struct put p = { .p = pn, .actor = actor, .now_s = store_now_s(s) };

	if (!check_actor(actor, e) || (pn->release ? !release_new_check(pn->release, e)
						   : !policy_new_check(pn->policy, e)))
		return false;
	fill(&p, pn);
	return store_write(s, put, &p, e) || err_wrap(e, "%s %s", p.name, p.version);
}

/* ---- reading ---- */

#define COLUMNS "name, version, number, proposed_at, expires_at, proposed_by, kind"

static bool load(struct rows *r, struct proposal *ret, struct err *e)
{
	ret->number = col_int(r, 2);
	ret->proposed_at = col_int(r, 3);
	ret->expires_at = col_int(r, 4);
	ret->kind = (enum proposal_kind)col_int(r, 6);
	return col_text(r, 0, ret->name, sizeof(ret->name), e) &&
	       col_text(r, 1, ret->version, sizeof(ret->version), e) &&
	       col_text(r, 5, ret->proposed_by, sizeof(ret->proposed_by), e);
}

bool proposals_get(struct store *s, enum proposal_kind kind, const char *name,
		   const char *version, struct proposal *ret, struct err *e)
{
	CLEANUP(proposal_done) struct proposal p = { .number = 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT " COLUMNS ", text, role FROM proposals"
		    " WHERE kind = ?1 AND name = ?2 AND version = ?3 AND expires_at > ?4",
		    I(kind), S(name), S(version), I(store_now_s(s))))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no %s %s %s waits for signatures",
			       kind == PROPOSAL_RELEASE ? "release" : "policy", name, version);
	if (!load(&r, &p, e) || !col_dup(&r, 7, &p.text, &p.text_n, e) ||
	    !col_dup(&r, 8, &p.role, &p.role_n, e))
		return false;
	*ret = p;
	p = (struct proposal){ .number = 0 };
	return true;
}

void proposal_done(struct proposal *p)
{
	free(p->text);
	free(p->role);
	*p = (struct proposal){ .number = 0 };
}

bool proposals_list(struct store *s, enum proposal_kind kind, const char *name, int64_t after,
		    size_t limit, struct proposal_page *ret, struct err *e)
{
	CLEANUP(proposal_page_done) struct proposal_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT " COLUMNS " FROM proposals WHERE number > ?1 AND kind = ?2"
		     " AND (?3 = '' OR name = ?3) AND expires_at > ?4 ORDER BY number LIMIT ?5",
		     I(after), I(kind), S(name ? name : ""), I(store_now_s(s)), I(limit + 1)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e))
			return false;
		page.items[page.n] = (struct proposal){ .number = 0 };
		if (!load(&r, &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct proposal_page){ 0 };
	return true;
}

void proposal_page_done(struct proposal_page *p)
{
	for (size_t i = 0; i < p->n; i++)
		proposal_done(&p->items[i]);
	free(p->items);
	*p = (struct proposal_page){ 0 };
}

/* ---- the end ---- */

bool proposal_end(struct db *db, enum proposal_kind kind, const char *name, const char *version,
		  struct err *e)
{
	return db_run(db, e,
		      "DELETE FROM proposals WHERE kind = ?1 AND name = ?2 AND version = ?3",
		      I(kind), S(name), S(version));
}

static bool prune(struct db *db, void *ctx, struct err *e)
{
	const int64_t *now_s = ctx;

	return db_run(db, e, "DELETE FROM proposals WHERE expires_at <= ?1", I(*now_s));
}

bool proposals_prune(struct store *s, struct err *e)
{
	int64_t now_s = store_now_s(s);

	return store_write(s, prune, &now_s, e);
}
