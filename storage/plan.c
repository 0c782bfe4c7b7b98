/* What a device shall run: the grant of a release and the bundles that reach it. */
#include "storage/devices_priv.h"

#include "storage/rollouts.h"
#include "storage/store_priv.h"

/* The newest rollout that reaches the device, whose release is published (or is what the device
 * runs anyway), has its model and is not below its floor.  One conditional statement: with two at
 * once, or again after an answer was lost, the second changes nothing. */
#define SQL_GRANT                                                                       \
	"WITH pick AS (SELECT a.number AS rollout, a.release AS release FROM devices d" \
	"  CROSS JOIN rollouts a JOIN releases l ON l.number = a.release"               \
	"  WHERE d.number = ?1 AND " SQL_REACHES                                        \
	"  AND (l.withdrawn_at IS NULL OR l.number = d.applied)"                        \
	"  AND l.security_version >= d.security_floor"                                  \
	"  AND EXISTS (SELECT 1 FROM release_models m WHERE m.release = l.number"       \
	"   AND m.model = d.model) ORDER BY a.number DESC LIMIT 1)"                     \
	" UPDATE devices SET rollout = (SELECT pick.rollout FROM pick),"                \
	"  wanted = (SELECT pick.release FROM pick) WHERE number = ?1"                  \
	"  AND rollout IS NOT (SELECT pick.rollout FROM pick)"

/* Bundles that reach the device, in their newest version. */
#define SQL_BUNDLES                                                                            \
	"SELECT a.policy AS name, (SELECT max(p.version) FROM policies p"                      \
	"  WHERE p.name = a.policy) AS version FROM devices d CROSS JOIN policy_assignments a" \
	"  WHERE d.number = ?1 AND " SQL_REACHES

static bool grant_release(struct db *db, int64_t device, int64_t now_s, bool *changed,
			  struct err *e)
{
	int64_t old = 0;

	if (!db_int(db, &old, e, "SELECT rollout FROM devices WHERE number = ?1", I(device)) ||
	    !db_run(db, e, SQL_GRANT, I(device)))
		return false;
	if (db_changes(db) == 0)
		return true;
	*changed = true;
	return db_run(db, e,
		      "UPDATE grants SET state = ?3, changed_at = ?4"
		      " WHERE rollout = ?1 AND device = ?2 AND state IN (?5, ?6)",
		      I(old), I(device), I(GRANT_SUPERSEDED), I(now_s), I(GRANT_GRANTED),
		      I(GRANT_DELIVERED)) &&
	       db_run(db, e,
		      "INSERT INTO grants (rollout, device, state, granted_at, changed_at)"
		      " SELECT rollout, number, iif(wanted IS applied, ?3, ?4), ?2, ?2 FROM devices"
		      " WHERE number = ?1 AND rollout IS NOT NULL"
		      " ON CONFLICT (rollout, device) DO UPDATE SET state = excluded.state,"
		      " changed_at = excluded.changed_at WHERE grants.state = ?5",
		      I(device), I(now_s), I(GRANT_APPLIED), I(GRANT_GRANTED),
		      I(GRANT_SUPERSEDED));
}

static bool want_bundles(struct db *db, int64_t device, bool *changed, struct err *e)
{
	int64_t n = 0;

	if (!db_int(db, &n, e, "SELECT count(*) FROM (" SQL_BUNDLES ")", I(device)))
		return false;
	if (n > DEVICES_POLICIES_MAX)
		return err_set(e, E_TOO_BIG, "%d policy bundles reach the device, at most %d",
			       (int)n, DEVICES_POLICIES_MAX);
	if (!db_run(db, e,
		    "UPDATE device_policies SET wanted = 0 WHERE device = ?1 AND wanted <> 0"
		    " AND name NOT IN (SELECT name FROM (" SQL_BUNDLES "))",
		    I(device)))
		return false;
	*changed |= db_changes(db) > 0;
	if (!db_run(db, e,
		    "INSERT INTO device_policies (device, name, wanted)"
		    " SELECT ?1, name, version FROM (" SQL_BUNDLES ") WHERE true"
		    " ON CONFLICT (device, name) DO UPDATE SET wanted = excluded.wanted"
		    " WHERE device_policies.wanted <> excluded.wanted",
		    I(device)))
		return false;
	*changed |= db_changes(db) > 0;
	return db_run(db, e,
		      "DELETE FROM device_policies WHERE device = ?1"
		      " AND wanted = 0 AND delivered = 0 AND applied = 0",
		      I(device));
}

/* ---- reading a plan ---- */

static bool load_bundles(struct db *db, int64_t device, struct device_plan *p, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	if (!db_rows(db, &r, e,
		     "SELECT w.name, w.wanted, p.sha256, length(p.text), a.kind"
		     " FROM device_policies w"
		     " JOIN policies p ON p.name = w.name AND p.version = w.wanted"
		     " JOIN policy_assignments a ON a.policy = w.name"
		     " WHERE w.device = ?1 ORDER BY w.name",
		     I(device)))
		return false;
	for (;;) {
		struct device_plan_policy *b = &p->policies[p->policies_n];

		if (!rows_next(&r, &more, e))
			return false;
		if (!more || p->policies_n == DEVICES_POLICIES_MAX)
			return true;
		b->version = (uint64_t)col_int(&r, 1);
		b->size = (uint64_t)col_int(&r, 3);
		b->level = (enum target_kind)col_int(&r, 4);
		if (!col_text(&r, 0, b->name, sizeof(b->name), e) ||
		    !col_hash(&r, 2, b->sha256, e))
			return false;
		p->policies_n++;
	}
}

/* *ret_stale: it has to be made anew. */
static bool load_plan(struct db *db, const char *id, struct device_plan *p, int64_t *ret_number,
		      bool *ret_stale, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	enum device_state state;
	bool found;

	*p = (struct device_plan){ 0 };
	if (!db_one(db, &r, &found, e,
		    "SELECT d.number, d.state, d.plan, d.rollout, d.security_floor, l.product,"
		    " l.version, d.planned < " SQL_MARK " FROM devices d"
		    " LEFT JOIN releases l ON l.number = d.wanted WHERE d.id = ?1",
		    S(id)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no device %.*s", DEVICE_ID_SIZE - 1, id);
	state = (enum device_state)col_int(&r, 1);
	if (state == DEVICE_PENDING)
		return err_set(e, E_PENDING, "device %s waits for approval", id);
	if (state == DEVICE_REVOKED)
		return err_set(e, E_DENIED, "device %s was revoked", id);
	*ret_number = col_int(&r, 0);
	p->plan = (uint64_t)col_int(&r, 2);
	p->rollout = col_int(&r, 3);
	p->security_floor = (uint64_t)col_int(&r, 4);
	*ret_stale = col_int(&r, 7) != 0;
	return col_text(&r, 5, p->product, sizeof(p->product), e) &&
	       col_text(&r, 6, p->version, sizeof(p->version), e) &&
	       load_bundles(db, *ret_number, p, e);
}

struct plan {
	const char *id;
	int64_t now_s;
	struct device_plan out;
};

static bool make_plan(struct db *db, void *ctx, struct err *e)
{
	struct plan *p = ctx;
	bool stale, changed = false;
	int64_t number;

	if (!load_plan(db, p->id, &p->out, &number, &stale, e))
		return false;
	if (!stale)
		return true;
	if (!grant_release(db, number, p->now_s, &changed, e) ||
	    !want_bundles(db, number, &changed, e) ||
	    !db_run(db, e,
		    "UPDATE devices SET plan = plan + ?2, planned ="
		    " (SELECT value FROM counters WHERE name = 'marks') WHERE number = ?1",
		    I(number), I(changed)) ||
	    !load_plan(db, p->id, &p->out, &number, &stale, e))
		return false;
	p->out.changed = changed;
	return true;
}

bool devices_plan(struct store *s, const char *id, struct device_plan *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	struct plan p = { .id = id, .now_s = store_now_s(s) };
	int64_t number;
	bool stale;

	if (!reader_get(&rd, s, e) || !load_plan(rd.db, id, &p.out, &number, &stale, e))
		return false;
	reader_put(&rd);
	if (stale && !store_write_device(s, id, make_plan, &p, e))
		return err_wrap(e, "plan of device %s", id);
	*ret = p.out;
	return true;
}
