#include "storage/deltas.h"

#include "storage/deltas_priv.h"

#include <inttypes.h>

const char *const delta_state_names[] = {
	"waiting", "making", "made", "useless", "failed", NULL
};

/* Components of two releases, tc and fc, between which a delta makes sense. */
#define SQL_PAIR                                                                     \
	" JOIN release_components tc ON tc.release = t.number"                       \
	" JOIN release_components fc ON fc.release = f.number AND fc.name = tc.name" \
	" WHERE f.number <> t.number AND fc.sha256 <> tc.sha256"                     \
	" AND EXISTS (SELECT 1 FROM objects WHERE sha256 = fc.object_sha256)"        \
	" AND EXISTS (SELECT 1 FROM objects WHERE sha256 = tc.object_sha256)"        \
	" AND NOT EXISTS (SELECT 1 FROM deltas d WHERE d.to_release = t.number"      \
	"  AND d.component = tc.name AND d.from_release = f.number)"

#define SQL_PLAN                                                     \
	" FROM (SELECT max(number) AS number, product FROM releases" \
	"  WHERE withdrawn_at IS NULL GROUP BY product) t"           \
	" JOIN releases f ON f.product = t.product" SQL_PAIR         \
	" AND EXISTS (SELECT 1 FROM devices WHERE applied = f.number)"

#define SQL_WANTED                                                                       \
	" FROM releases t JOIN releases f ON f.product = ?1 AND f.version = ?2" SQL_PAIR \
	" AND t.product = ?1 AND t.version = ?3 AND t.withdrawn_at IS NULL"

#define SQL_IT " to_release = ?1 AND component = ?2 AND from_release = ?3"

/* What one may need: 9/10 of the object of c. */
#define SQL_SIZE_MAX " c.object_size / 10 * 9"

/* ?1 waiting, ?2 now, ?3 making, ?4 budget, ?5 made.  CROSS JOIN: the deltas are few, start with them. */
#define SQL_READY                                                               \
	" FROM deltas d CROSS JOIN release_components c"                        \
	"  ON c.release = d.to_release AND c.name = d.component"                \
	" WHERE d.state = ?1 AND d.retry_at <= ?2"                              \
	" AND EXISTS (SELECT 1 FROM devices WHERE applied = d.from_release)"    \
	" AND" SQL_SIZE_MAX " <= ?4 -"                                          \
	" (SELECT coalesce(sum(iif(d.state = ?3," SQL_SIZE_MAX ", d.size)), 0)" \
	"  FROM deltas d CROSS JOIN release_components c"                       \
	"   ON c.release = d.to_release AND c.name = d.component"               \
	"  WHERE d.state IN (?3, ?5))"

/* ---- what is to be made ------------------------------------------------------------------- */

struct plan {
	int64_t now_s;
	uint64_t added;
	const char *product, *from, *to;
};

static bool add_planned(struct db *db, void *ctx, struct err *e)
{
	struct plan *p = ctx;

	if (!db_run(db, e,
		    "INSERT INTO deltas (to_release, component, from_release, state, changed_at)"
		    " SELECT t.number, tc.name, f.number, ?2, ?1" SQL_PLAN,
		    I(p->now_s), I(DELTA_WAITING)))
		return false;
	p->added = (uint64_t)db_changes(db);
	return true;
}

bool deltas_plan(struct store *s, uint64_t *ret, struct err *e)
{
	struct plan p = { .now_s = store_now_s(s) };
	int64_t some = 0;

	*ret = 0;
	if (!store_int(s, &some, e, "SELECT EXISTS (SELECT 1" SQL_PLAN ")"))
		return false;
	if (!some)
		return true;
	if (!store_write(s, add_planned, &p, e))
		return err_wrap(e, "deltas");
	*ret = p.added;
	return true;
}

static bool add_wanted(struct db *db, void *ctx, struct err *e)
{
	const struct plan *p = ctx;

	return db_run(
		db, e,
		"INSERT INTO deltas (to_release, component, from_release, state, changed_at)"
		" SELECT t.number, tc.name, f.number, ?5, ?4" SQL_WANTED,
		S(p->product), S(p->from), S(p->to), I(p->now_s), I(DELTA_WAITING));
}

bool deltas_want(struct store *s, const char *product, const char *from_version,
		 const char *to_version, struct err *e)
{
	struct plan p = { .now_s = store_now_s(s),
			  .product = product,
			  .from = from_version,
			  .to = to_version };
	int64_t some = 0;

	if (!store_int(s, &some, e, "SELECT EXISTS (SELECT 1" SQL_WANTED ")", S(product),
		       S(from_version), S(to_version)))
		return false;
	return !some || store_write(s, add_wanted, &p, e);
}

/* ---- making ------------------------------------------------------------------------------- */

#define SQL_OUTDATED " state NOT IN (?1, ?2) AND coding <> ?3"

struct reset {
	int64_t now_s;
	unsigned coding;
};

static bool reset(struct db *db, void *ctx, struct err *e)
{
	const struct reset *r = ctx;

	if (!db_run(db, e, "DELETE FROM deltas WHERE" SQL_OUTDATED, I(DELTA_WAITING),
		    I(DELTA_MAKING), I(r->coding)))
		return false;
	return db_run(
		db, e,
		"UPDATE deltas SET state = iif(tries >= ?4, ?3, ?1), changed_at = ?5,"
		" reason = iif(tries >= ?4, 'the server ended each time it was made', reason)"
		" WHERE state = ?2",
		I(DELTA_WAITING), I(DELTA_MAKING), I(DELTA_FAILED), I(DELTAS_TRIES),
		I(r->now_s));
}

bool deltas_reset(struct store *s, unsigned coding, struct err *e)
{
	struct reset r = { .now_s = store_now_s(s), .coding = coding };
	int64_t some = 0;

	if (!store_int(s, &some, e,
		       "SELECT EXISTS (SELECT 1 FROM deltas WHERE state = ?2 OR" SQL_OUTDATED
		       ")",
		       I(DELTA_WAITING), I(DELTA_MAKING), I(coding)))
		return false;
	return !some || store_write(s, reset, &r, e);
}

struct take {
	struct delta_task out;
	bool found;
	int64_t now_s;
	uint64_t budget;
	unsigned coding;
};

static bool load_task(struct rows *r, struct delta_task *t, struct err *e)
{
	t->to = col_int(r, 0);
	t->from = col_int(r, 2);
	t->tries = (unsigned)col_int(r, 6) + 1;
	t->takes = (uint64_t)col_int(r, 7) + 1;
	t->size_max = (uint64_t)col_int(r, 8);
	return col_text(r, 1, t->component, sizeof(t->component), e) &&
	       col_text(r, 3, t->product, sizeof(t->product), e) &&
	       col_text(r, 4, t->to_version, sizeof(t->to_version), e) &&
	       col_text(r, 5, t->from_version, sizeof(t->from_version), e);
}

static bool pick(struct db *db, struct take *t, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };

	return db_one(db, &r, &t->found, e,
		      "SELECT w.to_release, w.component, w.from_release, t.product, t.version,"
		      " f.version, w.tries, w.takes, w.size_max FROM"
		      " (SELECT d.*," SQL_SIZE_MAX " AS size_max,"
		      "  (SELECT count(*) FROM devices WHERE applied = d.from_release) AS n" SQL_READY
		      ") w JOIN releases t ON t.number = w.to_release"
		      " JOIN releases f ON f.number = w.from_release"
		      " ORDER BY w.n DESC, w.to_release DESC, w.from_release DESC, w.component LIMIT 1",
		      I(DELTA_WAITING), I(t->now_s), I(DELTA_MAKING), I(t->budget),
		      I(DELTA_MADE)) &&
	       (!t->found || load_task(&r, &t->out, e));
}

static bool take(struct db *db, void *ctx, struct err *e)
{
	struct take *t = ctx;

	t->out = (struct delta_task){ 0 };
	if (!pick(db, t, e))
		return false;
	return !t->found ||
	       db_run(db, e,
		      "UPDATE deltas SET state = ?4, tries = tries + 1, takes = takes + 1,"
		      " changed_at = ?5, coding = ?6 WHERE" SQL_IT,
		      I(t->out.to), S(t->out.component), I(t->out.from), I(DELTA_MAKING),
		      I(t->now_s), I(t->coding));
}

bool deltas_take(struct store *s, uint64_t budget, unsigned coding, struct delta_task *ret,
		 bool *ret_found, struct err *e)
{
	struct take t = { .now_s = store_now_s(s),
			  .budget = budget < INT64_MAX ? budget : INT64_MAX,
			  .coding = coding };
	int64_t some = 0;

	*ret_found = false;
	if (!store_int(s, &some, e, "SELECT EXISTS (SELECT 1" SQL_READY ")", I(DELTA_WAITING),
		       I(t.now_s), I(DELTA_MAKING), I(t.budget), I(DELTA_MADE)))
		return false;
	if (!some)
		return true;
	if (!store_write(s, take, &t, e))
		return err_wrap(e, "deltas");
	*ret = t.out;
	*ret_found = t.found;
	return true;
}

bool deltas_is_wanted(struct store *s, const struct delta_task *t, bool *ret, struct err *e)
{
	int64_t some = 0;

	if (!store_int(
		    s, &some, e,
		    "SELECT EXISTS (SELECT 1 FROM deltas WHERE state = ?4 AND takes = ?5 AND" SQL_IT
		    ")",
		    I(t->to), S(t->component), I(t->from), I(DELTA_MAKING), I(t->takes)))
		return false;
	*ret = some != 0;
	return true;
}

struct end {
	const struct delta_task *task;
	enum delta_state state;
	const uint8_t *sha256;
	uint64_t size;
	const char *reason;
	int tries; /* added */
	int64_t now_s, wait_s;
};

/* Who was told to go that way was told of the full objects only. */
static bool offer_anew(struct db *db, const struct delta_task *t, struct err *e)
{
	return db_run(db, e,
		      "UPDATE devices SET planned = -1"
		      " WHERE wanted = ?1 AND applied = ?2",
		      I(t->to), I(t->from));
}

static bool end(struct db *db, void *ctx, struct err *e)
{
	const struct end *n = ctx;

	if (!db_run(db, e,
		    "UPDATE deltas SET state = ?4, sha256 = ?5, size = ?6, reason = ?7,"
		    " tries = tries + ?8, changed_at = ?9, retry_at = ?9 + ?12"
		    " WHERE state = ?10 AND takes = ?11 AND" SQL_IT,
		    I(n->task->to), S(n->task->component), I(n->task->from), I(n->state),
		    n->sha256 ? H(n->sha256) : NIL(), I(n->size), S(n->reason), I(n->tries),
		    I(n->now_s), I(DELTA_MAKING), I(n->task->takes), I(n->wait_s)))
		return false;
	return n->state != DELTA_MADE || db_changes(db) == 0 || offer_anew(db, n->task, e);
}

bool deltas_put_back(struct store *s, const struct delta_task *t, int64_t wait_s, struct err *e)
{
	struct end n = { .task = t,
			 .state = DELTA_WAITING,
			 .reason = "",
			 .tries = -1,
			 .now_s = store_now_s(s),
			 .wait_s = wait_s };

	return store_write(s, end, &n, e);
}

bool deltas_retry(struct store *s, const struct delta_task *t, const char *reason,
		  struct err *e)
{
	struct end n = { .task = t,
			 .state = t->tries >= DELTAS_TRIES ? DELTA_FAILED : DELTA_WAITING,
			 .reason = reason,
			 .now_s = store_now_s(s),
			 .wait_s = (int64_t)DELTAS_RETRY_S << (t->tries - 1) };

	return check_text("reason", reason, LIMIT_TEXT, e) && store_write(s, end, &n, e);
}

bool deltas_end(struct store *s, const struct delta_task *t, enum delta_state state,
		const uint8_t *sha256, uint64_t size, const char *reason, struct err *e)
{
	struct end n = { .task = t,
			 .state = state,
			 .sha256 = sha256,
			 .size = size,
			 .reason = reason,
			 .now_s = store_now_s(s) };

	if ((state == DELTA_MADE) != (sha256 != NULL) || size > LIMIT_COMPONENT_SIZE)
		return err_set(e, E_INTERNAL, "a delta that is %s", delta_state_names[state]);
	return check_text("reason", reason, LIMIT_TEXT, e) && store_write(s, end, &n, e);
}

/* ---- reading ------------------------------------------------------------------------------ */

bool deltas_find(struct store *s, const char *product, const char *from_version,
		 const char *to_version, const char *component, struct delta_offer *ret,
		 bool *ret_made, bool *ret_row, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };

	*ret_made = false;
	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, ret_row, e,
		    "SELECT d.state, c.verity_root, d.sha256, d.size FROM deltas d"
		    " JOIN releases t ON t.number = d.to_release"
		    " JOIN releases f ON f.number = d.from_release"
		    " JOIN release_components c ON c.release = f.number AND c.name = d.component"
		    " WHERE t.product = ?1 AND t.version = ?3 AND f.product = ?1"
		    " AND f.version = ?2 AND d.component = ?4",
		    S(product), S(from_version), S(to_version), S(component)))
		return false;
	if (!*ret_row || col_int(&r, 0) != DELTA_MADE)
		return true;
	ret->size = (uint64_t)col_int(&r, 3);
	*ret_made = true;
	return col_hash(&r, 1, ret->from_root, e) && col_hash(&r, 2, ret->sha256, e);
}

static bool load_row(struct rows *r, struct delta_row *o, struct err *e)
{
	int64_t state = col_int(r, 2);

	if (state < 0 || state >= DELTA_STATES)
		return err_set(e, E_CORRUPT, "a delta in state %" PRId64, state);
	o->state = (enum delta_state)state;
	o->size = (uint64_t)col_int(r, 3);
	o->full_size = (uint64_t)col_int(r, 4);
	o->devices = (uint64_t)col_int(r, 5);
	return col_text(r, 0, o->component, sizeof(o->component), e) &&
	       col_text(r, 1, o->from_version, sizeof(o->from_version), e) &&
	       col_text(r, 6, o->reason, sizeof(o->reason), e) &&
	       (col_is_null(r, 7) || col_hash(r, 7, o->sha256, e));
}

bool deltas_list(struct store *s, const char *product, const char *version,
		 struct delta_list *ret, struct err *e)
{
	CLEANUP(delta_list_done) struct delta_list list = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(
		    rd.db, &r, e,
		    "SELECT d.component, f.version, d.state, d.size, c.object_size,"
		    " (SELECT count(*) FROM devices WHERE applied = d.from_release) AS n,"
		    " d.reason, d.sha256 FROM deltas d JOIN releases t ON t.number = d.to_release"
		    " JOIN releases f ON f.number = d.from_release"
		    " JOIN release_components c ON c.release = t.number AND c.name = d.component"
		    " WHERE t.product = ?1 AND t.version = ?2"
		    " ORDER BY n DESC, f.number DESC, d.component LIMIT ?3",
		    S(product), S(version), I(STORE_PAGE_MAX)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		if (!grow(&list.items, list.n, sizeof(*list.items), e))
			return false;
		if (!load_row(&r, &list.items[list.n++], e))
			return false;
	}
	*ret = list;
	list = (struct delta_list){ 0 };
	return true;
}

void delta_list_done(struct delta_list *l)
{
	free(l->items);
	*l = (struct delta_list){ 0 };
}

bool deltas_totals(struct store *s, struct delta_totals *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct delta_totals t = { 0 };
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT state, count(*), sum(size) FROM deltas GROUP BY state"))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		int64_t state = col_int(&r, 0);
		if (state < 0 || state >= DELTA_STATES)
			return err_set(e, E_CORRUPT, "a delta in state %" PRId64, state);
		t.count[state] = (uint64_t)col_int(&r, 1);
		if (state == DELTA_MADE)
			t.bytes = (uint64_t)col_int(&r, 2);
	}
	*ret = t;
	return true;
}

/* ---- forgetting --------------------------------------------------------------------------- */

static bool prune(struct db *db, void *ctx, struct err *e)
{
	struct plan *p = ctx;

	if (!db_run(db, e,
		    "DELETE FROM deltas WHERE changed_at < ?1 AND state <> ?2 AND ("
		    " NOT EXISTS (SELECT 1 FROM devices WHERE applied = from_release)"
		    " OR (to_release NOT IN (SELECT max(number) FROM releases"
		    "   WHERE withdrawn_at IS NULL GROUP BY product)"
		    "  AND NOT EXISTS (SELECT 1 FROM devices"
		    "   WHERE applied = from_release AND wanted = to_release)))",
		    I(p->now_s - DELTAS_GUARD_S), I(DELTA_MAKING)))
		return false;
	p->added = (uint64_t)db_changes(db);
	return true;
}

bool deltas_object_came(struct db *db, const uint8_t sha256[static SHA256_SIZE], struct err *e)
{
	return db_run(db, e,
		      "DELETE FROM deltas WHERE state IN (?2, ?3) AND EXISTS"
		      " (SELECT 1 FROM release_components c WHERE c.name = component"
		      "  AND c.release IN (to_release, from_release) AND c.object_sha256 = ?1)",
		      H(sha256), I(DELTA_MAKING), I(DELTA_FAILED));
}

bool deltas_prune(struct store *s, uint64_t *ret, struct err *e)
{
	struct plan p = { .now_s = store_now_s(s) };

	if (!store_write(s, prune, &p, e))
		return err_wrap(e, "deltas");
	if (ret)
		*ret = p.added;
	return true;
}
