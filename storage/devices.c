#include "storage/devices_priv.h"

#include "storage/audit_priv.h"
#include "storage/seen_priv.h"
#include "storage/store_priv.h"

#include <inttypes.h>

bool device_find(struct db *db, const char *id, int64_t *ret_number,
		 enum device_state *ret_state, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!db_one(db, &r, &found, e, "SELECT number, state FROM devices WHERE id = ?1",
		    S(id)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no device %.*s", DEVICE_ID_SIZE - 1, id);
	*ret_number = col_int(&r, 0);
	if (ret_state)
		*ret_state = (enum device_state)col_int(&r, 1);
	return true;
}

/* ---- state and groups ---- */

struct change {
	const char *id, *reason, *actor;
	const char *const *groups;
	size_t groups_n;
	int64_t now_s;
};

static bool approve(struct db *db, void *ctx, struct err *e)
{
	const struct change *c = ctx;
	enum device_state state;
	int64_t number;

	if (!device_find(db, c->id, &number, &state, e))
		return false;
	if (state == DEVICE_REVOKED)
		return err_set(e, E_CONFLICT, "device %s was revoked", c->id);
	if (state != DEVICE_PENDING)
		return true;
	return db_run(db, e, "UPDATE devices SET state = ?2, planned = -1 WHERE number = ?1",
		      I(number), I(DEVICE_ACTIVE)) &&
	       audit_row_add(db, c->now_s, c->actor, "device.approve", c->id, "", e);
}

bool devices_approve(struct store *s, const char *id, const char *actor, struct err *e)
{
	struct change c = { .id = id, .actor = actor, .now_s = store_now_s(s) };

	return check_actor(actor, e) && store_write(s, approve, &c, e);
}

static bool revoke(struct db *db, void *ctx, struct err *e)
{
	const struct change *c = ctx;
	enum device_state state;
	int64_t number;

	if (!device_find(db, c->id, &number, &state, e))
		return false;
	if (state == DEVICE_REVOKED)
		return true;
	return db_run(db, e,
		      "UPDATE devices SET state = ?2, revoked_at = ?3, wanted = NULL, rollout = NULL,"
		      " plan = plan + 1 WHERE number = ?1",
		      I(number), I(DEVICE_REVOKED), I(c->now_s)) &&
	       audit_row_add(db, c->now_s, c->actor, "device.revoke", c->id, c->reason, e);
}

bool devices_revoke(struct store *s, const char *id, const char *reason, const char *actor,
		    struct err *e)
{
	struct change c = { .id = id,
			    .reason = reason ? reason : "",
			    .actor = actor,
			    .now_s = store_now_s(s) };

	return check_actor(actor, e) && check_text("reason", c.reason, LIMIT_TEXT, e) &&
	       store_write(s, revoke, &c, e);
}

static bool set_groups(struct db *db, void *ctx, struct err *e)
{
	const struct change *c = ctx;
	char detail[LIMIT_TEXT + 1] = "";
	int64_t number;
	size_t at = 0;

	if (!device_find(db, c->id, &number, NULL, e) ||
	    !db_run(db, e, "DELETE FROM device_groups WHERE device = ?1", I(number)))
		return false;
	for (size_t i = 0; i < c->groups_n; i++) {
		if (!db_run(db, e, "INSERT OR IGNORE INTO device_groups VALUES (?1, ?2)",
			    I(number), S(c->groups[i])))
			return false;
		if (at < sizeof(detail))
			at += (size_t)snprintf(detail + at, sizeof(detail) - at, "%s%s",
					       i ? "," : "", c->groups[i]);
	}
	return db_run(db, e, "UPDATE devices SET planned = -1 WHERE number = ?1", I(number)) &&
	       audit_row_add(db, c->now_s, c->actor, "device.groups", c->id, detail, e);
}

bool devices_set_groups(struct store *s, const char *id, const char *const *groups, size_t n,
			const char *actor, struct err *e)
{
	struct change c = { .id = id,
			    .actor = actor,
			    .groups = groups,
			    .groups_n = n,
			    .now_s = store_now_s(s) };

	if (n > DEVICES_GROUPS_MAX)
		return err_set(e, E_FORMAT, "%zu groups, at most %d", n, DEVICES_GROUPS_MAX);
	for (size_t i = 0; i < n; i++)
		if (!check_name("group", groups[i], e))
			return false;
	return check_actor(actor, e) && store_write(s, set_groups, &c, e);
}

/* ---- the check-in ---- */

static bool load_checkin(struct rows *r, struct device_checkin *c, struct err *e)
{
	c->number = col_int(r, 0);
	c->state = (enum device_state)col_int(r, 1);
	c->ack = (uint64_t)col_int(r, 6);
	c->security_floor = (uint64_t)col_int(r, 7);
	c->stale = col_int(r, 8) != 0;
	c->plan = (uint64_t)col_int(r, 9);
	c->director_plan = (uint64_t)col_int(r, 10);
	c->director_ts = (uint64_t)col_int(r, 11);
	c->director_refresh_at = col_int(r, 12);
	c->image_ts = (uint64_t)col_int(r, 13);
	return col_hash(r, 2, c->identity, e) && col_hash(r, 3, c->sealing, e) &&
	       col_text(r, 4, c->model, sizeof(c->model), e) &&
	       col_hash(r, 5, c->report_sha256, e) && col_text(r, 14, c->id, sizeof(c->id), e);
}

bool devices_checkin(struct store *s, const char *id, struct device_checkin *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct device_checkin c = { 0 };
	bool found;

	if (!reader_get_one(&rd, s, e) || !db_one(rd.db, &r, &found, e, SQL_CHECKIN, S(id)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no device %.*s", DEVICE_ID_SIZE - 1, id);
	if (!load_checkin(&r, &c, e))
		return false;
	*ret = c;
	return true;
}

/* ---- last seen ---- */

void devices_seen(struct store *s, int64_t number)
{
	seen_note(s->devices_seen, number, store_now_s(s));
}

bool devices_flush(struct store *s, bool all, struct err *e)
{
	return seen_flush(s->devices_seen, s,
			  "UPDATE devices SET last_seen_at = ?2"
			  " WHERE number = ?1 AND last_seen_at < ?2 - ?3",
			  all ? 0 : DEVICES_SEEN_STEP_S, e);
}

/* ---- lists ---- */

#define ROW_COLUMNS                                                                     \
	"d.number, d.id, d.state, d.identity, d.sealing, d.name, d.model, d.serial,"    \
	" d.enrolled_at, d.last_seen_at, d.agent, d.update_state, d.slot,"              \
	" (SELECT product || '/' || version FROM releases WHERE number = d.wanted),"    \
	" (SELECT product || '/' || version FROM releases WHERE number = d.delivered)," \
	" d.applied_text, d.rollout, d.security_floor, d.key_since,"                    \
	" (SELECT count(*) FROM former_keys WHERE device = d.number)"

static bool load_groups(struct db *db, struct device_row *row, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e,
		     "SELECT name FROM device_groups WHERE device = ?1 ORDER BY name",
		     I(row->number)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || row->groups_n == DEVICES_GROUPS_MAX)
			return true;
		if (!col_text(&r, 0, row->groups[row->groups_n++], sizeof(row->groups[0]), e))
			return false;
	}
}

static bool load_row(struct store *s, struct db *db, struct rows *r, struct device_row *d,
		     struct err *e)
{
	char slot[2];

	d->number = col_int(r, 0);
	d->state = (enum device_state)col_int(r, 2);
	d->enrolled_at = col_int(r, 8);
	d->last_seen_at = seen_latest(s->devices_seen, d->number, col_int(r, 9));
	d->rollout = col_int(r, 16);
	d->security_floor = (uint64_t)col_int(r, 17);
	d->key_since = col_int(r, 18);
	d->key_changes = (uint64_t)col_int(r, 19);
	if (!col_text(r, 1, d->id, sizeof(d->id), e) || !col_hash(r, 3, d->identity, e) ||
	    !col_hash(r, 4, d->sealing, e) || !col_text(r, 5, d->name, sizeof(d->name), e) ||
	    !col_text(r, 6, d->model, sizeof(d->model), e) ||
	    !col_text(r, 7, d->serial, sizeof(d->serial), e) ||
	    !col_text(r, 10, d->agent, sizeof(d->agent), e) ||
	    !col_text(r, 11, d->update, sizeof(d->update), e) ||
	    !col_text(r, 12, slot, sizeof(slot), e) ||
	    !col_text(r, 13, d->wanted, sizeof(d->wanted), e) ||
	    !col_text(r, 14, d->delivered, sizeof(d->delivered), e) ||
	    !col_text(r, 15, d->applied, sizeof(d->applied), e))
		return false;
	d->slot = slot[0];
	return load_groups(db, d, e);
}

/* Two statements, so that a list of one group starts at the group. */
static bool list_rows(struct db *db, const struct device_filter *f, int64_t after, size_t limit,
		      struct rows *r, struct err *e)
{
	int64_t state = f && f->by_state ? (int64_t)f->state : -1;

	if (f && f->group)
		return db_rows(db, r, e,
			       "SELECT " ROW_COLUMNS
			       " FROM device_groups g CROSS JOIN devices d"
			       " ON d.number = g.device WHERE g.name = ?4 AND g.device > ?1"
			       " AND (?2 < 0 OR d.state = ?2) ORDER BY g.device LIMIT ?3",
			       I(after), I(state), I(limit), S(f->group));
	return db_rows(db, r, e,
		       "SELECT " ROW_COLUMNS " FROM devices d WHERE d.number > ?1"
		       " AND (?2 < 0 OR d.state = ?2) ORDER BY d.number LIMIT ?3",
		       I(after), I(state), I(limit));
}

bool devices_list(struct store *s, const struct device_filter *f, int64_t after, size_t limit,
		  struct device_page *ret, struct err *e)
{
	CLEANUP(device_page_done) struct device_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get(&rd, s, e) || !list_rows(rd.db, f, after, limit + 1, &r, e))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e) ||
		    !load_row(s, rd.db, &r, &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct device_page){ 0 };
	return true;
}

void device_page_done(struct device_page *p)
{
	free(p->items);
	*p = (struct device_page){ 0 };
}

static bool load_policies(struct db *db, struct device_full *d, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e,
		     "SELECT name, wanted, delivered, applied FROM device_policies"
		     " WHERE device = ?1 ORDER BY name",
		     I(d->row.number)))
		return false;
	for (;;) {
		struct device_policy *p;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return true;
		if (!grow(&d->policies, d->policies_n, sizeof(*p), e))
			return false;
		p = &d->policies[d->policies_n++];
		p->wanted = (uint64_t)col_int(&r, 1);
		p->delivered = (uint64_t)col_int(&r, 2);
		p->applied = (uint64_t)col_int(&r, 3);
		if (!col_text(&r, 0, p->name, sizeof(p->name), e))
			return false;
	}
}

bool devices_get(struct store *s, const char *id, struct device_full *ret, struct err *e)
{
	CLEANUP(device_full_done) struct device_full d = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!reader_get(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT " ROW_COLUMNS
		    ", d.attributes, d.status FROM devices d WHERE d.id = ?1",
		    S(id)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no device %.*s", DEVICE_ID_SIZE - 1, id);
	if (!load_row(s, rd.db, &r, &d.row, e) || !col_dup(&r, 20, &d.attributes, NULL, e) ||
	    !col_dup(&r, 21, &d.status, NULL, e) || !load_policies(rd.db, &d, e))
		return false;
	*ret = d;
	d = (struct device_full){ 0 };
	return true;
}

void device_full_done(struct device_full *d)
{
	free(d->attributes);
	free(d->status);
	free(d->policies);
	*d = (struct device_full){ 0 };
}

bool devices_count(struct store *s, struct device_counts *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct device_counts c = { 0 };
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e, "SELECT state, count(*) FROM devices GROUP BY state"))
		return false;
	for (;;) {
		uint64_t n;

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		n = (uint64_t)col_int(&r, 1);
		switch ((enum device_state)col_int(&r, 0)) {
		case DEVICE_PENDING:
			c.pending += n;
			break;
		case DEVICE_ACTIVE:
		case DEVICE_LOCKED:
			c.active += n;
			break;
		case DEVICE_REVOKED:
			c.revoked += n;
			break;
		}
	}
	*ret = c;
	return true;
}
