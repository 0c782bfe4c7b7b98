#include "storage/proposals.h"

#include "storage/audit_priv.h"
#include "storage/releases_priv.h"
#include "storage/store_priv.h"

#include <inttypes.h>

struct put {
	const struct proposal_new *p;
	const char *actor;
	int64_t now_s;
	uint8_t manifest_sha256[SHA256_SIZE];
};

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

static bool has_room(struct db *db, const struct release_new *r, struct err *e)
{
	int64_t n = 0;

	if (!db_int(db, &n, e,
		    "SELECT count(*) FROM proposals WHERE product = ?1 AND version <> ?2",
		    S(r->product), S(r->version)))
		return false;
	if (n < PROPOSALS_MAX)
		return true;
	err_set(e, E_BUSY, "%" PRId64 " releases of %s wait for signatures already", n,
		r->product);
	return err_hint(e, "sign them, or wait until they expire");
}

static bool put(struct db *db, void *ctx, struct err *e)
{
	const struct put *p = ctx;
	const struct release_new *r = p->p->r;
	char subject[LIMIT_NAME + LIMIT_VERSION + 2];
	int64_t until_s = p->now_s + PROPOSALS_LIFE_S;
	bool same;

	if (!release_is_there(db, r, p->manifest_sha256, &same, e))
		return false;
	if (same)
		return err_set(e, E_EXISTS, "%s %s is published", r->product, r->version);
	snprintf(subject, sizeof(subject), "%s/%s", r->product, r->version);
	return release_has_objects(db, r, e) &&
	       db_run(db, e, "DELETE FROM proposals WHERE expires_at <= ?1", I(p->now_s)) &&
	       has_room(db, r, e) && guard_all(db, r, until_s, e) &&
	       db_run(db, e,
		      "INSERT INTO proposals (product, version, manifest, role, proposed_at,"
		      " proposed_by, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
		      " ON CONFLICT (product, version) DO UPDATE SET manifest = excluded.manifest,"
		      " role = excluded.role, proposed_at = excluded.proposed_at,"
		      " proposed_by = excluded.proposed_by, expires_at = excluded.expires_at",
		      S(r->product), S(r->version), B(r->manifest, r->manifest_n),
		      B(r->tuf[0].text, r->tuf[0].n), I(p->now_s), S(p->actor), I(until_s)) &&
	       audit_row_add(db, p->now_s, p->actor, "release.propose", subject, p->p->detail,
			     e);
}

bool proposals_put(struct store *s, const struct proposal_new *pn, const char *actor,
		   struct err *e)
{
	struct put p = { .p = pn, .actor = actor, .now_s = store_now_s(s) };

	if (!check_actor(actor, e) || !release_new_check(pn->r, e))
		return false;
	sha256(p.manifest_sha256, pn->r->manifest, pn->r->manifest_n);
	return store_write(s, put, &p, e) ||
	       err_wrap(e, "release %s %s", pn->r->product, pn->r->version);
}

/* ---- reading ---- */

#define COLUMNS "product, version, number, proposed_at, expires_at, proposed_by"

static bool load(struct rows *r, struct proposal *ret, struct err *e)
{
	ret->number = col_int(r, 2);
	ret->proposed_at = col_int(r, 3);
	ret->expires_at = col_int(r, 4);
	return col_text(r, 0, ret->product, sizeof(ret->product), e) &&
	       col_text(r, 1, ret->version, sizeof(ret->version), e) &&
	       col_text(r, 5, ret->proposed_by, sizeof(ret->proposed_by), e);
}

bool proposals_get(struct store *s, const char *product, const char *version,
		   struct proposal *ret, struct err *e)
{
	CLEANUP(proposal_done) struct proposal p = { .number = 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT " COLUMNS ", manifest, role FROM proposals"
		    " WHERE product = ?1 AND version = ?2 AND expires_at > ?3",
		    S(product), S(version), I(store_now_s(s))))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no release %s %s waits for signatures", product,
			       version);
	if (!load(&r, &p, e) || !col_dup(&r, 6, &p.manifest, &p.manifest_n, e) ||
	    !col_dup(&r, 7, &p.role, &p.role_n, e))
		return false;
	*ret = p;
	p = (struct proposal){ .number = 0 };
	return true;
}

void proposal_done(struct proposal *p)
{
	free(p->manifest);
	free(p->role);
	*p = (struct proposal){ .number = 0 };
}

bool proposals_list(struct store *s, const char *product, int64_t after, size_t limit,
		    struct proposal_page *ret, struct err *e)
{
	CLEANUP(proposal_page_done) struct proposal_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(
		    rd.db, &r, e,
		    "SELECT " COLUMNS " FROM proposals WHERE number > ?1"
		    " AND (?2 = '' OR product = ?2) AND expires_at > ?3 ORDER BY number LIMIT ?4",
		    I(after), S(product ? product : ""), I(store_now_s(s)), I(limit + 1)))
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
