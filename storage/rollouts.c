#include "storage/rollouts.h"

#include "storage/audit_priv.h"
#include "storage/store_priv.h"
#include "storage/target_priv.h"

#include <inttypes.h>

struct create {
	const char *product, *version, *actor;
	const struct target *t;
	int64_t now_s, number;
};

static bool find_release(struct db *db, const struct create *c, int64_t *ret, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT number, withdrawn_at FROM releases WHERE product = ?1 AND version = ?2",
		    S(c->product), S(c->version)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no release %s %s", c->product, c->version);
	if (!col_is_null(&r, 1)) {
		err_set(e, E_GONE, "release %s %s was withdrawn", c->product, c->version);
		return err_hint(e, "roll out another one; `valise release list` has them");
	}
	*ret = col_int(&r, 0);
	return true;
}

static bool create(struct db *db, void *ctx, struct err *e)
{
	struct create *c = ctx;
	char subject[24], detail[LIMIT_NAME + LIMIT_VERSION + TARGET_TEXT_SIZE + 8],
		target[TARGET_TEXT_SIZE];
	int64_t release;

	if (!find_release(db, c, &release, e) || !target_exists(db, c->t, e) ||
	    !db_run(db, e,
		    "INSERT INTO rollouts (release, kind, name, created_at, created_by)"
		    " VALUES (?1, ?2, ?3, ?4, ?5)",
		    I(release), I(c->t->kind), S(c->t->name), I(c->now_s), S(c->actor)))
		return false;
	c->number = db_inserted(db);
	target_format(target, c->t);
	snprintf(subject, sizeof(subject), "r%" PRId64, c->number);
	snprintf(detail, sizeof(detail), "%s/%s to %s", c->product, c->version, target);
	return mark_target(db, c->t, e) &&
	       audit_row_add(db, c->now_s, c->actor, "rollout.create", subject, detail, e);
}

bool rollouts_create(struct store *s, const char *product, const char *version,
		     const struct target *t, const char *actor, int64_t *ret_number,
		     struct err *e)
{
	struct create c = { product, version, actor, t, store_now_s(s), 0 };

	if (!check_actor(actor, e) || !check_name("product", product, e) ||
	    !check_name("version", version, e) || !target_check(t, e) ||
	    !store_write(s, create, &c, e))
		return false;
	*ret_number = c.number;
	return true;
}

/* ---- reading ---- */

#define COLUMNS                                                                         \
	"a.number, l.product, l.version, a.kind, a.name, l.withdrawn_at, a.created_at," \
	" a.created_by FROM rollouts a JOIN releases l ON l.number = a.release"

static bool count_reached(struct db *db, struct rollout *o, struct err *e)
{
	int64_t n = 0;
	bool ok = false;

	switch (o->target.kind) {
	case TARGET_ALL:
		ok = db_int(db, &n, e, "SELECT count(*) FROM devices WHERE state IN (1, 2)");
		break;
	case TARGET_GROUP:
		ok = db_int(db, &n, e,
			    "SELECT count(*) FROM device_groups g CROSS JOIN devices d"
			    " ON d.number = g.device WHERE g.name = ?1 AND d.state IN (1, 2)",
			    S(o->target.name));
		break;
	case TARGET_DEVICE:
		ok = db_int(db, &n, e,
			    "SELECT count(*) FROM devices WHERE id = ?1 AND state IN (1, 2)",
			    S(o->target.name));
		break;
	}
	o->reached = (uint64_t)n;
	return ok;
}

static bool count_grants(struct db *db, struct rollout *o, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	uint64_t *const counts[] = {
		[GRANT_GRANTED] = &o->granted,       [GRANT_DELIVERED] = &o->delivered,
		[GRANT_APPLIED] = &o->applied,       [GRANT_FAILED] = &o->failed,
		[GRANT_SUPERSEDED] = &o->superseded,
	};
	bool more;

	if (!db_rows(db, &r, e,
		     "SELECT state, count(*) FROM grants WHERE rollout = ?1 GROUP BY state",
		     I(o->number)))
		return false;
	for (;;) {
		size_t state;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return true;
		state = (size_t)col_int(&r, 0);
		if (state < ARRAY_SIZE(counts) && counts[state])
			*counts[state] = (uint64_t)col_int(&r, 1);
	}
}

static bool load_row(struct db *db, struct rows *r, struct rollout *o, struct err *e)
{
	o->number = col_int(r, 0);
	o->withdrawn = !col_is_null(r, 5);
	o->created_at = col_int(r, 6);
	return col_text(r, 1, o->product, sizeof(o->product), e) &&
	       col_text(r, 2, o->version, sizeof(o->version), e) &&
	       target_load(r, 3, &o->target, e) &&
	       col_text(r, 7, o->created_by, sizeof(o->created_by), e) &&
	       count_reached(db, o, e) && count_grants(db, o, e);
}

bool rollouts_get(struct store *s, int64_t number, struct rollout *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct rollout o = { 0 };
	bool found;

	if (!reader_get(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e, "SELECT " COLUMNS " WHERE a.number = ?1", I(number)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no rollout r%" PRId64, number);
	if (!load_row(rd.db, &r, &o, e))
		return false;
	*ret = o;
	return true;
}

bool rollouts_list(struct store *s, int64_t after, size_t limit, struct rollout_page *ret,
		   struct err *e)
{
	CLEANUP(rollout_page_done) struct rollout_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT " COLUMNS " WHERE a.number > ?1 ORDER BY a.number LIMIT ?2",
		     I(after), I(limit + 1)))
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
	page = (struct rollout_page){ 0 };
	return true;
}

void rollout_page_done(struct rollout_page *p)
{
	free(p->items);
	*p = (struct rollout_page){ 0 };
}
