#include "storage/tickets_priv.h"

#include "storage/audit_priv.h"
#include "storage/store_priv.h"

#include <inttypes.h>

const char *ticket_state_name(enum ticket_state st)
{
	static const char *const names[] = {
		[TICKET_OPEN] = "open",       [TICKET_USED] = "used",
		[TICKET_REVOKED] = "revoked", [TICKET_EXPIRED] = "expired",
		[TICKET_BLOCKED] = "blocked",
	};

	return (size_t)st < ARRAY_SIZE(names) && names[st] ? names[st] : "unknown";
}

static enum ticket_state state_of(const struct ticket_row *t, int64_t now_s)
{
	return t->revoked_at               ? TICKET_REVOKED
	       : t->used_at                ? TICKET_USED
	       : t->tries >= TICKETS_TRIES ? TICKET_BLOCKED
	       : t->expires_at <= now_s    ? TICKET_EXPIRED
					   : TICKET_OPEN;
}

#define COLUMNS                                                                                \
	"number, manual, serial, tries, created_at, created_by, expires_at, used_at, used_by," \
	" revoked_at"

static bool load_groups(struct db *db, struct ticket_row *t, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e,
		     "SELECT name FROM ticket_groups WHERE ticket = ?1 ORDER BY name",
		     I(t->number)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || t->groups_n == DEVICES_GROUPS_MAX)
			return true;
		if (!col_text(&r, 0, t->groups[t->groups_n++], sizeof(t->groups[0]), e))
			return false;
	}
}

static bool load_row(struct db *db, struct rows *r, int64_t now_s, struct ticket_row *t,
		     struct err *e)
{
	t->number = col_int(r, 0);
	t->manual = col_int(r, 1) != 0;
	t->tries = (unsigned)col_int(r, 3);
	t->created_at = col_int(r, 4);
	t->expires_at = col_int(r, 6);
	t->used_at = col_int(r, 7);
	t->revoked_at = col_int(r, 9);
	t->state = state_of(t, now_s);
	return col_text(r, 2, t->serial, sizeof(t->serial), e) &&
	       col_text(r, 5, t->created_by, sizeof(t->created_by), e) &&
	       col_text(r, 8, t->device, sizeof(t->device), e) && load_groups(db, t, e);
}

bool ticket_find(struct db *db, const uint8_t *token, int64_t now_s, struct ticket_row *ret,
		 bool *found, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	uint8_t hash[SHA256_SIZE];

	/* Looked up by hash: how long that takes tells nothing about the token. */
	sha256(hash, token, TICKET_TOKEN_SIZE);
	*ret = (struct ticket_row){ 0 };
	return db_one(db, &r, found, e,
		      "SELECT " COLUMNS " FROM tickets WHERE token_sha256 = ?1", H(hash)) &&
	       (!*found || load_row(db, &r, now_s, ret, e));
}

bool ticket_try(struct db *db, const struct ticket_row *t, const char *device, const char *why,
		int64_t now_s, struct err *e)
{
	char subject[24], actor[DEVICE_ID_SIZE + 8];

	/* Counted up to the limit for tickets in any state, so that repeating one fills no log. */
	if (!db_run(db, e,
		    "UPDATE tickets SET tries = tries + 1 WHERE number = ?1 AND tries < ?2",
		    I(t->number), I(TICKETS_TRIES)))
		return false;
	if (db_changes(db) == 0)
		return true;
	snprintf(subject, sizeof(subject), "t%" PRId64, t->number);
	snprintf(actor, sizeof(actor), "device:%s", device);
	return audit_row_add(db, now_s, actor, "ticket.refused", subject, why, e);
}

/* ---- making ---- */

struct create {
	const struct ticket_new *n;
	const char *actor;
	int64_t now_s;
	uint8_t token_sha256[SHA256_SIZE];
	struct ticket_row row;
};

static bool check_new(const struct ticket_new *n, struct err *e)
{
	if (n->groups_n > DEVICES_GROUPS_MAX)
		return err_set(e, E_FORMAT, "%zu groups, at most %d", n->groups_n,
			       DEVICES_GROUPS_MAX);
	for (size_t i = 0; i < n->groups_n; i++)
		if (!check_name("group", n->groups[i], e))
			return false;
	if (n->ttl_s < 1 || n->ttl_s > TICKETS_TTL_MAX_S)
		return err_set(e, E_FORMAT, "a ticket lives 1 to %d seconds",
			       TICKETS_TTL_MAX_S);
	return !n->serial || check_text("serial", n->serial, LIMIT_NAME, e);
}

static bool create(struct db *db, void *ctx, struct err *e)
{
	struct create *c = ctx;
	CLEANUP(rows_done) struct rows r = { 0 };
	char subject[24];
	int64_t number;
	bool found;

	if (!db_run(db, e,
		    "INSERT INTO tickets (token_sha256, manual, serial, created_at, created_by,"
		    " expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		    H(c->token_sha256), I(c->n->manual), S(c->n->serial ? c->n->serial : ""),
		    I(c->now_s), S(c->actor), I(c->now_s + c->n->ttl_s)))
		return false;
	number = db_inserted(db);
	for (size_t i = 0; i < c->n->groups_n; i++)
		if (!db_run(db, e, "INSERT OR IGNORE INTO ticket_groups VALUES (?1, ?2)",
			    I(number), S(c->n->groups[i])))
			return false;
	snprintf(subject, sizeof(subject), "t%" PRId64, number);
	c->row = (struct ticket_row){ 0 };
	return audit_row_add(db, c->now_s, c->actor, "ticket.create", subject, "", e) &&
	       db_one(db, &r, &found, e, "SELECT " COLUMNS " FROM tickets WHERE number = ?1",
		      I(number)) &&
	       load_row(db, &r, c->now_s, &c->row, e);
}

bool tickets_create(struct store *s, const struct ticket_new *n, const char *actor,
		    struct ticket_row *ret, uint8_t ret_token[static TICKET_TOKEN_SIZE],
		    struct err *e)
{
	struct create c = { .n = n, .actor = actor, .now_s = store_now_s(s) };
	uint8_t token[TICKET_TOKEN_SIZE];

	if (!check_actor(actor, e) || !check_new(n, e))
		return false;
	rng_fill(s->o.rng, token, sizeof(token));
	sha256(c.token_sha256, token, sizeof(token));
	if (!store_write(s, create, &c, e))
		return false;
	*ret = c.row;
	memcpy(ret_token, token, sizeof(token));
	return true;
}

/* ---- revoking, forgetting ---- */

struct revoke {
	int64_t number, now_s;
	const char *actor;
};

static bool revoke(struct db *db, void *ctx, struct err *e)
{
	const struct revoke *v = ctx;
	CLEANUP(rows_done) struct rows r = { 0 };
	char subject[24];
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT used_at, revoked_at FROM tickets WHERE number = ?1", I(v->number)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no ticket t%" PRId64, v->number);
	if (!col_is_null(&r, 0)) {
		err_set(e, E_CONFLICT, "ticket t%" PRId64 " was used", v->number);
		return err_hint(e, "revoke the device that used it");
	}
	if (!col_is_null(&r, 1))
		return true;
	snprintf(subject, sizeof(subject), "t%" PRId64, v->number);
	return db_run(db, e, "UPDATE tickets SET revoked_at = ?2 WHERE number = ?1",
		      I(v->number), I(v->now_s)) &&
	       audit_row_add(db, v->now_s, v->actor, "ticket.revoke", subject, "", e);
}

bool tickets_revoke(struct store *s, int64_t number, const char *actor, struct err *e)
{
	struct revoke v = { number, store_now_s(s), actor };

	return check_actor(actor, e) && store_write(s, revoke, &v, e);
}

struct prune {
	int64_t before;
	uint64_t n;
};

static bool prune(struct db *db, void *ctx, struct err *e)
{
	struct prune *p = ctx;

	if (!db_run(db, e,
		    "DELETE FROM tickets WHERE expires_at < ?1 OR used_at < ?1 OR revoked_at < ?1",
		    I(p->before)))
		return false;
	p->n = (uint64_t)db_changes(db);
	return true;
}

bool tickets_prune(struct store *s, int64_t age_s, uint64_t *ret, struct err *e)
{
	struct prune p = { .before = store_now_s(s) - age_s };

	if (!store_write(s, prune, &p, e))
		return false;
	if (ret)
		*ret = p.n;
	return true;
}

/* ---- reading ---- */

bool tickets_get(struct store *s, int64_t number, struct ticket_row *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct ticket_row t = { 0 };
	bool found;

	if (!reader_get(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e, "SELECT " COLUMNS " FROM tickets WHERE number = ?1",
		    I(number)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no ticket t%" PRId64, number);
	if (!load_row(rd.db, &r, store_now_s(s), &t, e))
		return false;
	*ret = t;
	return true;
}

bool tickets_list(struct store *s, int64_t after, size_t limit, struct ticket_page *ret,
		  struct err *e)
{
	CLEANUP(ticket_page_done) struct ticket_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT " COLUMNS
		     " FROM tickets WHERE number > ?1 ORDER BY number LIMIT ?2",
		     I(after), I(limit + 1)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e) ||
		    !load_row(rd.db, &r, store_now_s(s), &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct ticket_page){ 0 };
	return true;
}

void ticket_page_done(struct ticket_page *p)
{
	free(p->items);
	*p = (struct ticket_page){ 0 };
}
