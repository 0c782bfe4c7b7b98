/* server/api_status.c - health, readiness, metrics, status. */
#include "server/api.h"
#include "server/api_json.h"
#include "server/repo.h"
#include "base/cli.h"
#include "storage/devices.h"
#include "storage/objects.h"
#include "storage/policies.h"
#include "storage/rollouts.h"
#include "storage/tuf.h"

#include <inttypes.h>

bool api_healthz(struct req *r, struct err *e)
{
	return reply_text(r, "text/plain", "ok\n", 3, e);
}

bool api_readyz(struct req *r, struct err *e)
{
	if (__atomic_load_n(&r->web->draining, __ATOMIC_RELAXED))
		return err_set(e, E_UNAVAILABLE, "the server is stopping");
	if (!store_ready(r->web->store, e) || !repo_ready(r->web, e))
		return false;
	return reply_text(r, "text/plain", "ready\n", 6, e);
}

/* ---- metrics ------------------------------------------------------------------------------- */

static bool write_store(struct req *r, struct buf *out, struct err *e)
{
	struct store_stats s;
	struct object_totals o;
	struct device_counts d;

	store_stats(r->web->store, &s);
	if (!objects_totals(r->web->store, &o, e) || !devices_count(r->web->store, &d, e))
		return false;
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
		{ "store_reads_total", "counter", "Reads of the database.", s.reads },
		{ "store_writes_total", "counter", "Changes submitted.", s.writes },
		{ "store_failed_total", "counter", "Changes refused or failed.", s.failed },
		{ "store_commits_total", "counter", "Transactions committed.", s.commits },
		{ "store_row_changes_total", "counter", "Rows changed, as SQLite counts.",
		  s.row_changes },
		{ "store_wal_frames_total", "counter", "Pages written to the log.",
		  s.wal_frames },
		{ "store_free_bytes", "gauge", "Room on the file system of the store.",
		  s.free_bytes },
		{ "objects", "gauge", "Objects stored.", o.count },
		{ "object_bytes", "gauge", "Bytes of objects stored.", o.bytes },
		{ "devices_active", "gauge", "Devices that are served.", d.active },
		{ "devices_pending", "gauge", "Devices that wait for approval.", d.pending },
		{ "devices_revoked", "gauge", "Devices that were shut out.", d.revoked },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!metrics_line(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value,
				  e))
			return false;
	}
	return true;
}

static bool write_jobs(struct req *r, struct buf *out, struct err *e)
{
	struct jobs_stats j;

	jobs_stats(r->web->jobs, &j);
	return metrics_line(out, "jobs_started_total", "counter", "Checks of uploads begun.",
			    j.started, e) &&
	       metrics_line(out, "jobs_good_total", "counter", "Checks that passed.", j.good,
			    e) &&
	       metrics_line(out, "jobs_bad_total", "counter", "Checks that failed.", j.bad,
			    e) &&
	       metrics_line(out, "jobs_lost_total", "counter", "Workers lost in a job.", j.lost,
			    e) &&
	       metrics_line(out, "jobs_waiting", "gauge", "Checks that wait.", j.waiting, e) &&
	       metrics_line(out, "jobs_running", "gauge", "Checks under way.", j.running, e) &&
	       metrics_line(out, "pool_waiting", "gauge", "Requests that wait for a thread.",
			    pool_waiting(r->web->pool), e) &&
	       metrics_line(out, "start_time_seconds", "gauge", "When this process started.",
			    (uint64_t)r->web->started_s, e);
}

static bool write_delta_numbers(struct req *r, struct buf *out, struct err *e)
{
	struct deltas_stats s;
	struct delta_totals t;

	deltas_stats(r->web->deltas, &s);
	if (!deltas_totals(r->web->store, &t, e))
		return false;
	const struct {
		const char *name, *type, *help;
		uint64_t value;
	} rows[] = {
		{ "deltas", "gauge", "Deltas that are there.", t.count[DELTA_MADE] },
		{ "deltas_bytes", "gauge", "Bytes of all deltas.", t.bytes },
		{ "deltas_waiting", "gauge", "Deltas that wait to be made.",
		  t.count[DELTA_WAITING] },
		{ "deltas_making", "gauge", "Deltas under way.", t.count[DELTA_MAKING] },
		{ "deltas_started_total", "counter", "Deltas begun.", s.started },
		{ "deltas_made_total", "counter", "Deltas made.", s.made },
		{ "deltas_useless_total", "counter", "Deltas that saved too little.",
		  s.useless },
		{ "deltas_failed_total", "counter", "Deltas that could not be made.",
		  s.failed },
		{ "deltas_lost_total", "counter", "Delta processes lost in a job.", s.lost },
		{ "deltas_cancelled_total", "counter", "Deltas not wanted any more.",
		  s.cancelled },
		{ "deltas_offered_total", "counter", "Deltas offered to devices.", s.offered },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!metrics_line(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value,
				  e))
			return false;
	}
	return true;
}

bool api_metrics(struct req *r, struct err *e)
{
	r->reply.status = 200;
	r->reply.type = "text/plain; version=0.0.4";
	return metrics_write(&r->web->metrics, &r->reply.body, e) &&
	       write_store(r, &r->reply.body, e) && write_jobs(r, &r->reply.body, e) &&
	       write_delta_numbers(r, &r->reply.body, e);
}

/* ---- status ------------------------------------------------------------------------------- */

static bool write_roles(struct jw *w, const char *key, struct req *r, enum tuf_repo repo,
			struct err *e)
{
	CLEANUP(tuf_roles_done) struct tuf_roles roles = { 0 };

	if (!tuf_newest(r->web->store, repo, &roles, e))
		return false;
	jw_obj(w, key);
	for (size_t i = 0; i < roles.n; i++)
		jw_u64(w, roles.items[i].role, roles.items[i].version);
	jw_end(w);
	return true;
}

/* How many there are, by pages: these lists are short beside the devices. */
static bool count_releases(struct store *s, uint64_t *ret, struct err *e)
{
	int64_t after = 0;
	bool more = true;

	for (*ret = 0; more;) {
		struct release_page p = { 0 };

		if (!releases_list(s, NULL, after, STORE_PAGE_MAX, &p, e))
			return false;
		*ret += p.n;
		more = p.more && p.n > 0;
		after = p.n > 0 ? p.items[p.n - 1].number : 0;
		release_page_done(&p);
	}
	return true;
}

static bool count_rollouts(struct store *s, uint64_t *ret, struct err *e)
{
	int64_t after = 0;
	bool more = true;

	for (*ret = 0; more;) {
		struct rollout_page p = { 0 };

		if (!rollouts_list(s, after, STORE_PAGE_MAX, &p, e))
			return false;
		*ret += p.n;
		more = p.more && p.n > 0;
		after = p.n > 0 ? p.items[p.n - 1].number : 0;
		rollout_page_done(&p);
	}
	return true;
}

static bool count_policies(struct store *s, uint64_t *ret, struct err *e)
{
	char after[LIMIT_NAME + 1] = "";
	bool more = true;

	for (*ret = 0; more;) {
		struct policy_page p = { 0 };

		if (!policies_list(s, after, STORE_PAGE_MAX, &p, e))
			return false;
		*ret += p.n;
		more = p.more && p.n > 0;
		if (p.n > 0)
			snprintf(after, sizeof(after), "%s", p.items[p.n - 1].name);
		policy_page_done(&p);
	}
	return true;
}

static bool write_counts(struct jw *w, struct req *r, struct err *e)
{
	struct store *s = r->web->store;
	uint64_t releases, rollouts, policies;
	struct object_totals o;
	struct device_counts d;

	if (!count_releases(s, &releases, e) || !count_rollouts(s, &rollouts, e) ||
	    !count_policies(s, &policies, e) || !objects_totals(s, &o, e) ||
	    !devices_count(s, &d, e))
		return false;
	jw_obj(w, "devices");
	jw_u64(w, "active", d.active);
	jw_u64(w, "pending", d.pending);
	jw_u64(w, "revoked", d.revoked);
	jw_end(w);
	jw_u64(w, "releases", releases);
	jw_u64(w, "rollouts", rollouts);
	jw_u64(w, "policies", policies);
	jw_obj(w, "objects");
	jw_u64(w, "count", o.count);
	jw_u64(w, "bytes", o.bytes);
	jw_end(w);
	return true;
}

bool api_status(struct req *r, struct err *e)
{
	struct web *w = r->web;
	struct store_stats s;
	struct jw j;

	store_stats(w->store, &s);
	reply_json(r, 200, &j);
	jw_obj(&j, NULL);
	jw_str(&j, "version", VALISE_VERSION);
	jw_u64(&j, "schema", s.schema);
	jw_u64(&j, "uptime_s",
	       (uint64_t)((clock_boot_ms(w->clock) - w->server_started_ms) / 1000));
	jw_time(&j, "time", clock_wall_s(w->clock));
	if (w->has_pin)
		jw_hex(&j, "pin", w->pin, SHA256_SIZE);
	else
		jw_null(&j, "pin");
	jw_obj(&j, "token");
	api_number(&j, "id", 'k', r->token.number);
	jw_str(&j, "name", r->token.name);
	api_scopes(&j, "scopes", r->token.scopes);
	jw_end(&j);
	if (!write_counts(&j, r, e) || !write_roles(&j, "image", r, TUF_IMAGE, e) ||
	    !write_roles(&j, "director", r, TUF_DIRECTOR, e))
		return false;
	jw_end(&j);
	return reply_json_end(&j, e);
}
