/* server/api_checkin.c - the poll.  An idle one is answered here and now from one row; all else
 * goes to the pool. */
#include "server/api.h"
#include "server/director.h"
#include "server/hash.h"
#include "server/plan.h"
#include "base/text.h"
#include "proto/checkin.h"

#include <inttypes.h>

struct answer {
	struct checkin_answer wire;
	struct director_set director;
	struct offer *offers;
};

static void answer_done(struct answer *a)
{
	director_set_done(&a->director);
	free(a->offers);
}

static bool fill_events(struct event_new *to, const struct checkin_request *req)
{
	for (size_t i = 0; i < req->n_events; i++) {
		const struct checkin_event *from = &req->events[i];

		to[i] = (struct event_new){
			.seq = from->seq,
			.at = from->at_s,
			.kind = from->kind,
			.product = from->has_release ? from->release.product : "",
			.version = from->has_release ? from->release.version : "",
			.state = from->state,
			.reason = from->reason,
			.log = from->log,
		};
	}
	return true;
}

static bool status_text(struct buf *out, const struct checkin_request *req, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_u64(&w, "free_bytes", req->free_bytes);
	if (req->vm)
		jw_str(&w, "vm", req->vm);
	jw_end(&w);
	return jw_finish(&w, e);
}

/* Between product and version; a release that there is not is "-". */
static const char *slash(const char *product)
{
	return *product ? "/" : "-";
}

/* Stores what the device says; *ret_ack is the highest event number that is durable now. */
static bool store_report(struct req *r, const struct checkin_request *req,
			 const uint8_t sha256[static SHA256_SIZE], uint64_t *ret_ack,
			 struct err *e)
{
	CLEANUP(buf_done) struct buf status = BUF_INIT(DEVICES_STATUS_MAX);
	struct device_policy_applied policies[LIMIT_POLICIES];
	struct event_new events[EVENTS_PER_REPORT];
	struct device_report report = {
		.agent = req->agent,
		.update = update_state_names[req->state],
		.slot = req->slot,
		.product = req->has_release ? req->release.product : "",
		.version = req->has_release ? req->release.version : "",
		.image_ts = req->image_ts,
		.director_ts = req->director_ts,
		.policies = policies,
		.policies_n = req->n_policies,
		.events = events,
		.events_n = req->n_events,
	};

	if (req->n_events > EVENTS_PER_REPORT)
		return err_set(e, E_TOO_BIG, "more than %d events", EVENTS_PER_REPORT);
	fill_events(events, req);
	for (size_t i = 0; i < req->n_policies; i++) {
		snprintf(policies[i].name, sizeof(policies[i].name), "%s",
			 req->policies[i].name);
		policies[i].version = req->policies[i].version;
	}
	if (req->has_status) {
		if (!status_text(&status, req, e))
			return false;
		report.status = buf_str(&status);
	}
	memcpy(report.sha256, sha256, SHA256_SIZE);
	if (!devices_report(r->web->store, r->device.id, &report, ret_ack, e))
		return false;
	metric_add(&r->web->metrics.checkins_report, 1);
	for (size_t i = 0; i < req->n_events; i++)
		log_info("device.event",
			 "id=%s device=%.32s seq=%" PRIu64
			 " kind=%s state=%s release=%s%s%s reason=%s",
			 r->id, r->device.id, events[i].seq, events[i].kind, events[i].state,
			 events[i].product, slash(events[i].product), events[i].version,
			 log_quote(events[i].reason).s);
	return true;
}

static bool make_director(struct req *r, const struct checkin_request *req, struct answer *a,
			  struct err *e)
{
	const struct director *d = &a->director.stored;

	if (!director_make(r->web, r->device.id, req->nonce, &a->director, e))
		return false;
	a->wire.timestamp = (struct text_span){ d->timestamp, strlen(d->timestamp) };
	a->wire.snapshot = (struct text_span){ d->snapshot, strlen(d->snapshot) };
	a->wire.targets = (struct text_span){ d->targets, strlen(d->targets) };
	metric_add(&r->web->metrics.checkins_director, 1);
	log_info("device.director", "id=%s device=%.32s version=%" PRIu64 " release=%s%s%s",
		 r->id, r->device.id, d->timestamp_version, a->director.release.row.product,
		 slash(a->director.release.row.product), a->director.release.row.version);
	if (!a->director.release.manifest)
		return true;
	if (!director_offers(&a->offers, &a->wire.n_offers, &a->director.release,
			     r->device.model, e))
		return false;
	a->wire.offers = a->offers;
	if (req->has_release)
		deltas_offer(r->web->deltas, a->offers, a->wire.n_offers, &req->release,
			     a->director.release.row.product, a->director.release.row.version);
	return true;
}

static bool send(struct req *r, const struct plan *p, struct answer *a, bool empty_ok,
		 struct err *e)
{
	struct web *w = r->web;

	/* Spread, not secret: a hash of device and time does without a system call. */
	a->wire.poll_s =
		plan_poll_s(w->settings->poll_s, hash64(r->device.id, 32, (uint64_t)r->now_ms));
	if (p->image)
		a->wire.image_ts = r->device.image_ts;
	devices_seen(w->store, r->device.number);
	if (empty_ok && checkin_answer_is_empty(&a->wire)) {
		r->reply.wait_s = a->wire.poll_s;
		return reply_empty(r, 204);
	}
	r->reply.status = 200;
	r->reply.type = "application/json";
	return checkin_answer_encode(&a->wire, &r->reply.body, e);
}

/* In the pool: write, sign, answer. */
static bool answer_fully(struct req *r, const struct checkin_request *req, const struct plan *p,
			 const uint8_t sha256[static SHA256_SIZE], struct err *e)
{
	CLEANUP(answer_done) struct answer a = { .offers = NULL };

	if (p->report && !store_report(r, req, sha256, &a.wire.ack, e))
		return false;
	if (p->director && !make_director(r, req, &a, e))
		return false;
	return send(r, p, &a, req->empty_ok, e);
}

/* All of it: what it says is read, and what follows from it decided. */
static bool read_and_answer(struct req *r, uint64_t hash, struct err *e)
{
	CLEANUP(checkin_request_done) struct checkin_request req = { .doc = NULL };
	CLEANUP(answer_done) struct answer idle = { .offers = NULL };
	uint8_t sha[SHA256_SIZE];
	struct plan p;

	if (!checkin_request_parse(&req, r->body.p, r->body.n, e) ||
	    !plan_report_hash(sha, &req, e))
		return err_wrap(e, "check-in");
	if (req.n_events > 0 && !r->by_own_key)
		return err_set(e, E_AUTH, "events have to be signed with the device's own key");
	p = plan_checkin(&r->device, &req, sha, r->now_s);
	if (p.report || p.director)
		return r->in_pool ? answer_fully(r, &req, &p, sha, e) : req_again_in_pool(r);
	if (!p.image)
		idle_put(r->web->idle, &r->device, &r->stamp, hash, req.empty_ok);
	metric_add(&r->web->metrics.checkins_idle, 1);
	return send(r, &p, &idle, req.empty_ok, e);
}

bool api_checkin(struct req *r, struct err *e)
{
	CLEANUP(answer_done) struct answer idle = { .offers = NULL };
	uint64_t hash = idle_hash(r->web->idle, r->body.p, r->body.n);
	struct plan nothing = { .report = false };
	bool empty_ok;

	/* Only the lease moves with time alone. */
	if (!idle_is_known(r->web->idle, r->device.id, &r->stamp, hash, &empty_ok) ||
	    r->now_s >= r->device.director_refresh_at)
		return read_and_answer(r, hash, e);
	metric_add(&r->web->metrics.checkins_idle, 1);
	return send(r, &nothing, &idle, empty_ok, e);
}
