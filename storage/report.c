/* What a device reports at a check-in, stored in one step. */
#include "storage/devices_priv.h"

#include "storage/rollouts.h"
#include "storage/store_priv.h"

struct report {
	const char *id;
	const struct device_report *r;
	int64_t now_s;
	int64_t device, release, rollout, wanted; /* numbers; 0: none or unknown */
	bool settled;                             /* what runs is to stay: not a trial */
	uint64_t ack;
};

static bool is_one_of(const char *s, const char *a, const char *b)
{
	return strcmp(s, a) == 0 || strcmp(s, b) == 0;
}

static bool look_up(struct db *db, struct report *p, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	p->release = 0;
	if (!db_one(db, &r, &found, e,
		    "SELECT number, state, rollout, wanted FROM devices WHERE id = ?1",
		    S(p->id)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no device %.*s", DEVICE_ID_SIZE - 1, p->id);
	if (col_int(&r, 1) == DEVICE_REVOKED)
		return err_set(e, E_DENIED, "device %s was revoked", p->id);
	p->device = col_int(&r, 0);
	p->rollout = col_int(&r, 2);
	p->wanted = col_int(&r, 3);
	p->settled = is_one_of(p->r->update, "idle", "confirmed");
	return db_int(db, &p->release, e,
		      "SELECT number FROM releases WHERE product = ?1 AND version = ?2",
		      S(p->r->product), S(p->r->version));
}

/* It accepted the newest director metadata: what that was made for is delivered.  Comes before
 * anything here makes a new plan. */
static bool mark_delivered(struct db *db, const struct report *p, struct err *e)
{
	if (!db_run(db, e,
		    "UPDATE devices SET delivered = wanted WHERE number = ?1 AND plan ="
		    " (SELECT plan FROM director WHERE device = ?1 AND timestamp_version = ?2)",
		    I(p->device), I(p->r->director_ts)))
		return false;
	if (db_changes(db) == 0)
		return true;
	return db_run(db, e,
		      "UPDATE device_policies SET delivered = wanted"
		      " WHERE device = ?1 AND delivered <> wanted",
		      I(p->device)) &&
	       db_run(db, e,
		      "UPDATE grants SET state = ?3, changed_at = ?4"
		      " WHERE rollout = ?1 AND device = ?2 AND state = ?5",
		      I(p->rollout), I(p->device), I(GRANT_DELIVERED), I(p->now_s),
		      I(GRANT_GRANTED));
}

static bool put_running(struct db *db, const struct report *p, struct err *e)
{
	const struct device_report *r = p->r;
	char slot[2] = { r->slot, 0 }, running[DEVICE_RELEASE_SIZE] = "";

	if (r->product && *r->product)
		snprintf(running, sizeof(running), "%s/%s", r->product, r->version);
	if (!db_run(db, e,
		    "UPDATE devices SET report_sha256 = ?2, agent = ?3, update_state = ?4, slot = ?5,"
		    " status = coalesce(?6, status) WHERE number = ?1",
		    I(p->device), H(r->sha256), S(r->agent), S(r->update), S(slot),
		    S(r->status)))
		return false;
	if (!p->settled)
		return true;
	return db_run(
		db, e,
		"UPDATE devices SET applied = nullif(?2, 0), applied_text = ?3 WHERE number = ?1",
		I(p->device), I(p->release), S(running));
}

/* Android Verified Boot's rule: only what was confirmed raises the floor.  The floor is part of
 * the director's metadata, so that has to be made anew. */
static bool raise_floor(struct db *db, const struct report *p, struct err *e)
{
	if (!p->settled || p->release == 0)
		return true;
	return db_run(
		db, e,
		"UPDATE devices SET plan = plan + 1, security_floor ="
		" (SELECT security_version FROM releases WHERE number = ?2) WHERE number = ?1"
		" AND security_floor < (SELECT security_version FROM releases WHERE number = ?2)",
		I(p->device), I(p->release));
}

static bool put_policies(struct db *db, const struct report *p, struct err *e)
{
	const struct device_report *r = p->r;

	if (!r->policies)
		return true;
	if (!db_run(db, e,
		    "UPDATE device_policies SET applied = 0 WHERE device = ?1 AND applied <> 0",
		    I(p->device)))
		return false;
	for (size_t i = 0; i < r->policies_n; i++)
		if (!db_run(db, e,
			    "INSERT INTO device_policies (device, name, applied) VALUES (?1, ?2, ?3)"
			    " ON CONFLICT (device, name) DO UPDATE SET applied = excluded.applied",
			    I(p->device), S(r->policies[i].name), I(r->policies[i].version)))
			return false;
	return db_run(db, e,
		      "DELETE FROM device_policies WHERE device = ?1"
		      " AND wanted = 0 AND delivered = 0 AND applied = 0",
		      I(p->device));
}

/* Did one of the events say that the wanted release failed? */
static bool wanted_failed(struct db *db, const struct report *p, bool *ret, struct err *e)
{
	*ret = false;
	for (size_t i = 0; i < p->r->events_n && !*ret; i++) {
		const struct event_new *v = &p->r->events[i];
		int64_t release = 0;

		if (strcmp(v->kind, "update") != 0 ||
		    !is_one_of(v->state, "rolled_back", "failed"))
			continue;
		if (!db_int(db, &release, e,
			    "SELECT number FROM releases WHERE product = ?1 AND version = ?2",
			    S(v->product), S(v->version)))
			return false;
		*ret = release != 0 && release == p->wanted;
	}
	return true;
}

static bool move_grant(struct db *db, const struct report *p, struct err *e)
{
	bool applied = p->settled && p->release != 0 && p->release == p->wanted, failed;

	if (p->rollout == 0)
		return true;
	if (applied)
		return db_run(db, e,
			      "UPDATE grants SET state = ?3, changed_at = ?4"
			      " WHERE rollout = ?1 AND device = ?2 AND state <> ?3",
			      I(p->rollout), I(p->device), I(GRANT_APPLIED), I(p->now_s));
	if (!wanted_failed(db, p, &failed, e))
		return false;
	return !failed || db_run(db, e,
				 "UPDATE grants SET state = ?3, changed_at = ?4"
				 " WHERE rollout = ?1 AND device = ?2 AND state IN (?5, ?6)",
				 I(p->rollout), I(p->device), I(GRANT_FAILED), I(p->now_s),
				 I(GRANT_GRANTED), I(GRANT_DELIVERED));
}

static bool store_report(struct db *db, void *ctx, struct err *e)
{
	struct report *p = ctx;

	return look_up(db, p, e) && mark_delivered(db, p, e) && put_running(db, p, e) &&
	       put_policies(db, p, e) && move_grant(db, p, e) && raise_floor(db, p, e) &&
	       events_add(db, p->device, p->r->events, p->r->events_n, p->now_s, &p->ack, e);
}

static bool check_report(const struct device_report *r, struct err *e)
{
	bool has_release = r->product && *r->product;

	if (!check_text("agent version", r->agent, LIMIT_NAME, e) ||
	    !check_text("update state", r->update, DEVICE_UPDATE_SIZE - 1, e) ||
	    (has_release && (!check_name("product", r->product, e) ||
			     !check_name("version", r->version, e))) ||
	    (r->status && !check_text("status", r->status, DEVICES_STATUS_MAX, e)))
		return false;
	if (r->slot != 0 && r->slot != 'a' && r->slot != 'b')
		return err_set(e, E_FORMAT, "slot is neither a nor b");
	if (r->policies_n > DEVICES_POLICIES_MAX || r->director_ts > INT64_MAX)
		return err_set(e, E_FORMAT, "%zu policies", r->policies_n);
	for (size_t i = 0; i < r->policies_n; i++)
		if (!check_name("policy", r->policies[i].name, e) ||
		    r->policies[i].version > INT64_MAX)
			return err_set(e, E_FORMAT, "policy %zu of the report", i);
	return events_check(r->events, r->events_n, e);
}

bool devices_report(struct store *s, const char *id, const struct device_report *r,
		    uint64_t *ret_ack, struct err *e)
{
	struct report p = { .id = id, .r = r, .now_s = store_now_s(s) };

	if (!check_report(r, e) || !store_write_device(s, id, store_report, &p, e))
		return err_wrap(e, "report of device %.*s", DEVICE_ID_SIZE - 1, id);
	*ret_ack = p.ack;
	return true;
}
