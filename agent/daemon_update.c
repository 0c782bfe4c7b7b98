#include "agent/daemon_priv.h"

#include "agent/crashpoint.h"
#include "agent/rekey.h"
#include "base/log.h"
#include "base/text.h"
#include "client/fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RETRY_MS = 1000 };

/* ---- events and the record --------------------------------------------------------------- */

static bool write_report(struct agent *a, struct state *next, const char *kind,
			 const char *state_name, const char *reason,
			 const struct release_id *release, const struct policy *policy,
			 bool with_log)
{
	CLEANUP(buf_done) struct buf log = BUF_INIT(LIMIT_LOG_TAIL);
	struct checkin_event ev = {
		.seq = next->next_event,
		.at_s = ttime_now_s(&a->time),
		.kind = kind,
		.state = state_name,
		.reason = reason && reason[0] ? reason : NULL,
	};
	struct err e;

	if (release && release_id_is_set(release)) {
		ev.has_release = true;
		memcpy(ev.release.product, release->product, sizeof(ev.release.product));
		memcpy(ev.release.version, release->version, sizeof(ev.release.version));
	}
	if (policy)
		ev.policy = (struct policy_version){ policy->name, policy->version };
	if (with_log && vm_log_tail(&log, a->state_dirfd, &e) && log.n > 0) {
		ev.log = (const char *)log.p;
		ev.log_n = log.n;
	}
	next->next_event++;
	if (events_write(a->events_dirfd, &ev, &e))
		return true;
	/* The number is used up all the same: it is made up again from the record when it is sent. */
	log_warn("event.lost", "seq=%" PRIu64 " %s", ev.seq, log_err(&e).s);
	return false;
}

static bool save(struct agent *a, struct state *next)
{
	struct err e;

	ttime_store(&a->time, next);
	if (!state_save(next, a->state_dirfd, &e)) {
		log_error("state.save", "%s next=\"trying again\"", log_err(&e).s);
		return false;
	}
	a->st = *next;
	return true;
}

void agent_report(struct agent *a, const char *kind, const char *state, const char *reason,
		  const struct policy *policy)
{
	struct state next = a->st;

	write_report(a, &next, kind, state, reason, NULL, policy, false);
	save(a, &next);
}

static void log_transition(const struct agent *a, enum update_state before)
{
	const char *reason = a->st.reason;

	log_info("update", "from=%s to=%s release=%s active=%s reason=%s",
		 update_state_names[before], update_state_names[a->st.update],
		 log_quote(release_id_text(&a->st.target).s).s, slot_name(a->st.active),
		 log_quote(reason).s);
}

static void crash_before(const struct state *next)
{
	char point[40];

	snprintf(point, sizeof(point), "before-%s", update_state_names[next->update]);
	crash_point(point);
}

static void act(struct agent *a, enum update_act what)
{
	switch (what) {
	case ACT_STOP_FETCH:
		worker_cancel(&a->stage_worker);
		return;
	case ACT_BOOT_TRIAL:
	case ACT_BOOT_ACTIVE:
		/* agent_vm_step sees that another slot is to run. */
		a->health_due_ms = 0;
		a->guest_restarts = 0;
		a->vm_detail[0] = '\0';
		backoff_ok(&a->vm_backoff);
		return;
	case ACT_NOTHING:
		return;
	}
}

static void keep_for_retry(struct agent *a, const struct update_event *ev)
{
	a->has_retry = true;
	a->retry = *ev;
	a->retry_due_ms = agent_now_ms(a) + RETRY_MS;
	/* Texts of events do not outlive their callers. */
	if (ev->text && ev->text != a->retry_text.text)
		snprintf(a->retry_text.text, sizeof(a->retry_text.text), "%s", ev->text);
	a->retry.text = ev->text ? a->retry_text.text : NULL;
	a->retry.rollout = NULL;
}

void agent_event(struct agent *a, const struct update_event *given)
{
	struct update_event ev = *given;
	struct state next = a->st;
	enum update_state before = a->st.update;

	ev.now_s = ttime_now_s(&a->time);
	ev.max_failures = (unsigned)a->set->max_failures;
	struct update_step step = update_apply(&next, &ev);
	if (!step.changed)
		return;
	if (step.report) {
		const struct release_id *about =
			release_id_is_set(&next.target) ? &next.target : &a->st.target;
		bool bad = next.update == UPDATE_ROLLED_BACK || ev.kind == EV_ACTIVE_BAD;

		next.report_event = next.next_event;
		write_report(a, &next, "update", update_state_names[next.update], next.reason,
			     about, NULL, bad);
	}
	if (next.update != before)
		crash_before(&next);
	if (!save(a, &next)) {
		/* What the network brings comes again by itself. */
		if (ev.kind != EV_WANTED && ev.kind != EV_UNWANTED && ev.kind != EV_TICK)
			keep_for_retry(a, &ev);
		return;
	}
	if (next.update != before) {
		log_transition(a, before);
		crash_point(update_state_names[next.update]);
	}
	if (step.report)
		a->once_reported = false;
	act(a, step.act);
	/* Tell the server soon of what it waits for. */
	if (step.report && a->mode == DAEMON_RUN &&
	    backoff_wait_ms(&a->poll_backoff, a->clock) == 0)
		a->poll_due_ms = agent_now_ms(a);
}

void agent_simple_event(struct agent *a, enum update_event_kind kind, const char *text)
{
	struct update_event ev = { .kind = kind, .text = text };

	agent_event(a, &ev);
}

/* ---- gates ------------------------------------------------------------------------------- */

static uint64_t policy_number(const struct agent *a, enum policy_key key, uint64_t dflt)
{
	const struct policy_value *v = a->policy ? &a->policy->merged->values[key] : NULL;

	return v && v->set ? v->num : dflt;
}

static bool may_fetch(const struct agent *a, const char **why)
{
	*why = "the network costs money and the policy wants an unmetered one";
	return a->policy &&
	       (policy_number(a, POLICY_IMAGE_NETWORK, NETWORK_UNMETERED) == NETWORK_ANY ||
		!settings_network_is_metered(a->set));
}

static unsigned minute_of_day(const struct agent *a)
{
	time_t now = (time_t)(clock_wall_s(a->clock) + (int64_t)a->set->test_window_shift_s);
	struct tm tm;

	return localtime_r(&now, &tm) ? (unsigned)(tm.tm_hour * 60 + tm.tm_min) : 0;
}

static const char outside_window[] = "outside of the policy's install window";

static bool may_install(const struct agent *a, const char **why)
{
	uint64_t mode = policy_number(a, POLICY_IMAGE_UPDATE_MODE, UPDATE_MODE_AUTO);

	*why = "the policies are not known";
	if (!a->policy)
		return false;
	/* Without any phone there is nothing to disturb. */
	if (a->st.active == SLOT_NONE || a->install_now || mode == UPDATE_MODE_FORCED)
		return true;
	*why = "the policy leaves it to the user: valise-agent install";
	if (mode == UPDATE_MODE_SUGGEST)
		return false;
	*why = outside_window;
	return policy_window_open(a->policy->merged, minute_of_day(a));
}

static void window_text(const struct agent *a, const char *why, char *out, size_t size)
{
	int min = policy_window_wait_min(a->policy->merged, minute_of_day(a));

	if (min < 0)
		snprintf(out, size, "%s, which never opens: the bundles' windows do not meet",
			 why);
	else
		snprintf(out, size, "%s, which opens in %d h %d min", why, min / 60, min % 60);
}

void agent_waits_for(const struct agent *a, char *out, size_t size)
{
	uint64_t again_ms = backoff_wait_ms(&a->stage_backoff, a->clock);
	const char *why = "";

	out[0] = '\0';
	if (a->st.update == UPDATE_OFFERED && !may_fetch(a, &why))
		snprintf(out, size, "%s", why);
	else if (a->st.update == UPDATE_FETCHING && again_ms > 0)
		snprintf(out, size, "another try in %" PRIu64 " s: %s", again_ms / 1000,
			 a->stage_err.text);
	else if (a->st.update == UPDATE_FETCHING && !a->wanted)
		snprintf(out, size, "a check-in: what the server wants is not at hand");
	else if (a->st.update == UPDATE_STAGED && !may_install(a, &why))
		why == outside_window ? window_text(a, why, out, size)
				      : (void)snprintf(out, size, "%s", why);
}

/* ---- staging ----------------------------------------------------------------------------- */

struct sink_link {
	stage_sink *sink;
	void *arg;
};

static bool pass_on(void *arg, uint64_t offset UNUSED, const void *p, size_t n, struct err *e)
{
	const struct sink_link *link = arg;

	return link->sink(link->arg, p, n, e);
}

static bool get_object(void *ctx, const uint8_t digest[static SHA256_SIZE],
		       uint64_t object_size, uint64_t from, uint64_t to, stage_sink *sink,
		       void *arg, struct err *e)
{
	struct stage_job *j = ctx;
	char hex[HEX_SIZE(SHA256_SIZE)], path[16 + sizeof(hex)], etag[2 + sizeof(hex)];
	struct sink_link link = { sink, arg };

	hex_encode(hex, digest, SHA256_SIZE);
	snprintf(path, sizeof(path), "/objects/%s", hex);
	snprintf(etag, sizeof(etag), "\"%s\"", hex);
	struct fetch f = FETCH_INIT(j->https, path, object_size, j->clock, j->rng);
	f.etag = etag;
	f.sink = pass_on;
	f.arg = &link;
	f.cancel = j->cancel;
	return fetch_range(&f, from, to, e);
}

void stage_job_free(struct stage_job *j)
{
	if (!j)
		return;
	fd_closep(&j->slot_dirfd);
	fd_closep(&j->seed_dirfd);
	release_free(j->release);
	release_free(j->seed);
	checkin_answer_done(&j->offers);
	free(j->manifest_text);
	free(j);
}

static void stage_job_freep(struct stage_job **j)
{
	stage_job_free(*j);
}

static void run_stage(void *arg)
{
	struct stage_job *j = arg;

	j->stage.model = release_model(j->release, j->model);
	if (!j->stage.model)
		j->ok = err_set(&j->err, E_UNSUPPORTED, "%s/%s has no model \"%s\"",
				j->release->product, j->release->version, j->model);
	else
		j->ok = stage_run(&j->stage, &j->err);
}

/* The running release saves downloads; without it all still works. */
static void add_seed(struct stage_job *j, const struct agent *a)
{
	struct err ignored;

	if (a->st.active == SLOT_NONE ||
	    !slot_open(&j->seed_dirfd, a->state_dirfd, a->st.active, &ignored))
		return;
	if (!slot_release(&j->seed, j->seed_dirfd, &a->st.slot[a->st.active], &ignored))
		fd_closep(&j->seed_dirfd);
}

/* What a delta did not give: fetched in full, now, or when the network costs nothing, or never? */
static enum err_code no_fallback(const struct agent *a)
{
	switch (policy_number(a, POLICY_IMAGE_DELTA_FALLBACK, FALLBACK_ALLOW)) {
	case FALLBACK_ALLOW:
		return E_NONE;
	case FALLBACK_UNMETERED:
		return settings_network_is_metered(a->set) ? E_BUSY : E_NONE;
	default:
		return E_DENIED;
	}
}

static bool make_stage_job(struct stage_job **ret, struct agent *a, struct err *e)
{
	const struct wanted *w = a->wanted;
	CLEANUP(stage_job_freep) struct stage_job *j = calloc(1, sizeof(*j));

	if (!j)
		return err_nomem(e);
	j->slot_dirfd = j->seed_dirfd = -1;
	j->target = a->st.target;
	j->https = a->stage_https;
	j->clock = a->clock;
	j->rng = a->rng;
	j->cancel = &a->stage_worker.cancel;
	memcpy(j->model, a->enrolment.model, sizeof(j->model));
	j->manifest_text = malloc(w->manifest_n);
	if (!j->manifest_text)
		return err_nomem(e);
	memcpy(j->manifest_text, w->manifest_text, w->manifest_n);
	if (!release_parse(&j->release, j->manifest_text, w->manifest_n, e) ||
	    !slot_open(&j->slot_dirfd, a->state_dirfd, a->st.target_slot, e))
		return false;
	add_seed(j, a);
	poll_offers_load(&j->offers, a->trust.want_dirfd);
	j->stage = (struct stage){
		.slot_dirfd = j->slot_dirfd,
		.release = j->release,
		.manifest = j->manifest_text,
		.manifest_n = w->manifest_n,
		.seed_dirfd = j->seed_dirfd,
		.seed = j->seed,
		.offers = j->offers.offers,
		.n_offers = j->offers.n_offers,
		.no_fallback = no_fallback(a),
		.delta_why = &j->delta_why,
		.source = { get_object, j },
		.reserve_bytes = a->set->reserve_bytes,
		.cancel = j->cancel,
		.progress = &a->progress,
	};
	*ret = TAKE(j);
	return true;
}

static void fetch_failed(struct agent *a, const struct err *why)
{
	struct update_event ev = { .kind = EV_FETCH_FAILED,
				   .code = why->code,
				   .text = why->text };

	if (why->code == E_CANCELLED)
		return;
	backoff_fail(&a->stage_backoff, a->clock, a->rng, -1);
	a->stage_err = *why;
	log_warn("stage", "%s again_in_s=%" PRIu64, log_err(why).s,
		 backoff_wait_ms(&a->stage_backoff, a->clock) / 1000);
	agent_event(a, &ev);
	if (a->st.update == UPDATE_FETCHING && !a->once_has_err) {
		a->once_has_err = true;
		a->once_err = *why;
	}
}

static void start_stage(struct agent *a)
{
	CLEANUP(stage_job_freep) struct stage_job *j = NULL;
	struct err e;

	if (a->stage_worker.busy || backoff_wait_ms(&a->stage_backoff, a->clock) > 0)
		return;
	/* After a restart without network what is wanted may not be known yet. */
	if (!a->wanted || !a->wanted->has_release ||
	    !release_id_same(&a->wanted->release, &a->st.target))
		return;
	if (!make_stage_job(&j, a, &e) || !worker_start(&a->stage_worker, run_stage, j, &e)) {
		fetch_failed(a, &e);
		return;
	}
	j = NULL; /* the worker's until agent_stage_ended */
}

void agent_stage_ended(struct agent *a)
{
	CLEANUP(stage_job_freep) struct stage_job *j = worker_take(&a->stage_worker);

	/* Of a release that is not wanted any more. */
	if (!j || a->st.update != UPDATE_FETCHING ||
	    !release_id_same(&j->target, &a->st.target))
		return;
	if (j->delta_why.code != E_NONE)
		log_warn("delta", "release=%s %s", release_id_text(&j->target).s,
			 log_err(&j->delta_why).s);
	if (!j->ok) {
		fetch_failed(a, &j->err);
		return;
	}
	backoff_ok(&a->stage_backoff);
	log_info("staged",
		 "release=%s fetched_bytes=%" PRIu64 " reused_bytes=%" PRIu64
		 " delta_bytes=%" PRIu64,
		 release_id_text(&j->target).s, atomic_load(&a->progress.fetched_bytes),
		 atomic_load(&a->progress.reused_bytes), atomic_load(&a->progress.delta_bytes));
	agent_simple_event(a, EV_FETCHED, NULL);
}

/* ---- check-ins --------------------------------------------------------------------------- */

static void fill_request(struct poll_job *j, struct agent *a)
{
	struct checkin_request *r = &j->request;
	uint64_t free_bytes;
	struct err ignored;

	r->state = a->st.update;
	if (a->st.active != SLOT_NONE) {
		const struct release_id *id = &a->st.slot[a->st.active];

		r->slot = slot_name(a->st.active)[0];
		r->has_release = true;
		memcpy(r->release.product, id->product, sizeof(r->release.product));
		memcpy(r->release.version, id->version, sizeof(r->release.version));
	}
	for (size_t i = 0; a->policy && i < a->policy->n; i++) {
		const struct policy *p = a->policy->bundles[i];

		memcpy(j->policy_names[i], p->name, sizeof(p->name));
		r->policies[r->n_policies++] =
			(struct policy_version){ j->policy_names[i], p->version };
	}
	r->has_status = fs_free_bytes(a->state_dirfd, &free_bytes, &ignored);
	if (r->has_status)
		r->free_bytes = a->said_free_bytes =
			poll_free_bytes(a->said_free_bytes, free_bytes);
	r->vm = vm_state_names[a->vm.state];
}

/* Due by their age, or by somebody's word; not more often than failures allow. */
static void want_keys(struct poll_job *j, const struct agent *a)
{
	bool may = backoff_wait_ms(&a->rekey_backoff, a->clock) == 0;

	j->finish_rekey = may && rekey_is_asked(&a->identity, a->enrolment.director_root);
	j->begin_rekey =
		may && (a->rekey_now || identity_is_due(&a->identity, a->set->key_max_age_s,
							ttime_now_s(&a->time)));
}

static bool make_poll_job(struct poll_job **ret, struct agent *a, struct err *e)
{
	CLEANUP(poll_job_freep) struct poll_job *j = calloc(1, sizeof(*j));

	if (!j)
		return err_nomem(e);
	j->state_dirfd = a->state_dirfd;
	j->policies_dirfd = a->policies_dirfd;
	j->enrolment = a->enrolment;
	j->identity = &a->identity;
	j->server = &a->server;
	j->trust = &a->trust;
	j->clock = a->clock;
	j->rng = a->rng;
	j->now_s = ttime_now_s(&a->time);
	memcpy(j->time_keys, a->time.keys, sizeof(j->time_keys));
	j->floor = a->st.floor;
	j->evaluate = a->evaluate;
	/* Zeros after a failed evaluation make the server send everything again. */
	if (a->wanted && !a->evaluate) {
		j->image_ts = a->wanted->image_ts;
		j->director_ts = a->wanted->director_ts;
	}
	if (a->wanted) {
		j->image_root = a->wanted->image_root;
		j->director_root = a->wanted->director_root;
	}
	want_keys(j, a);
	fill_request(j, a);
	if (!events_read(&j->events, a->events_dirfd, &a->st, e))
		return false;
	*ret = TAKE(j);
	return true;
}

static void poll_later(struct agent *a)
{
	uint64_t s = a->set->test_poll_s ? a->set->test_poll_s : a->poll_s;
	/* A fleet that was told the same interval at the same moment drifts apart. */
	uint64_t jitter_ms = rng_below(a->rng, s * 200 + 1);

	a->poll_due_ms = agent_now_ms(a) + (int64_t)(s * 900 + jitter_ms);
}

static void poll_failed(struct agent *a, const struct err *why, int64_t retry_after_s)
{
	a->poll_err = *why;
	if (why->code == E_PENDING) {
		log_info("enrolment.pending", "device=%s fingerprint=%s", a->enrolment.device,
			 a->identity.fingerprint);
		poll_later(a);
	} else {
		backoff_fail(&a->poll_backoff, a->clock, a->rng, retry_after_s);
		a->poll_due_ms =
			agent_now_ms(a) + (int64_t)backoff_wait_ms(&a->poll_backoff, a->clock);
		log_warn("checkin", "%s again_in_s=%" PRIu64, log_err(why).s,
			 backoff_wait_ms(&a->poll_backoff, a->clock) / 1000);
	}
	if (!a->once_has_err) {
		a->once_has_err = true;
		a->once_err = *why;
	}
}

static void start_poll(struct agent *a)
{
	CLEANUP(poll_job_freep) struct poll_job *j = NULL;
	struct err e;

	if (a->poll_worker.busy)
		return;
	if (!make_poll_job(&j, a, &e) || !worker_start(&a->poll_worker, poll_job_run, j, &e)) {
		poll_failed(a, &e, -1);
		return;
	}
	j = NULL; /* the worker's until agent_poll_ended */
}

/* What the server holds need not be kept; what it waited for may be over. */
static void take_ack(struct agent *a, uint64_t ack)
{
	struct state next = a->st;
	struct err e;

	if (ack >= next.next_event && ack - next.next_event < LIMIT_EVENTS_BEHIND) {
		/* Somebody put an older record back: events with its numbers were taken for known. */
		log_warn("events.behind",
			 "last=%" PRIu64 " server=%" PRIu64
			 " next=\"numbers go on behind the server's\"",
			 next.next_event - 1, ack);
		if (!events_renumber(&next, a->events_dirfd, ack, &e)) {
			log_warn("events.behind", "%s next=\"again at the next check-in\"",
				 log_err(&e).s);
			return;
		}
	} else if (ack >= next.next_event) {
		ack = next.next_event - 1; /* it cannot hold what was never sent */
	}
	if (ack <= a->st.acked_event)
		return;
	next.acked_event = ack;
	if (!save(a, &next))
		return;
	if (!events_trim(a->events_dirfd, &a->st, &e))
		log_warn("events.trim", "%s", log_err(&e).s);
	if (a->st.report_event != 0 && ack >= a->st.report_event)
		agent_simple_event(a, EV_ACKED, NULL);
}

/* Versions and times rise from try to try. */
static bool is_same_cause(const char *a, const char *b)
{
	static const char digits[] = "0123456789";

	for (;;) {
		a += strspn(a, digits);
		b += strspn(b, digits);
		if (*a != *b)
			return false;
		if (!*a)
			return true;
		a++;
		b++;
	}
}

/* Once per cause, not once per poll. */
static void report_refusal(struct agent *a, const struct err *why)
{
	log_warn("refused", "%s", log_err(why).s);
	if (err_is_temporary(why->code) || is_same_cause(a->last_refusal, why->text))
		return;
	snprintf(a->last_refusal, sizeof(a->last_refusal), "%s", why->text);
	agent_report(a, "agent", "refused", why->text, NULL);
}

static void take_policy(struct agent *a, struct poll_job *j)
{
	uint8_t before[SHA256_SIZE], after[SHA256_SIZE];
	bool had = a->policy != NULL;

	if (!j->policy)
		return;
	agent_vm_shape(a, before);
	applied_free(a->policy);
	a->policy = TAKE(j->policy);
	if (!j->policy_changed)
		return;
	for (size_t i = 0; i < a->policy->n; i++)
		log_info("policy.applied", "name=%s version=%" PRIu64 " level=%s",
			 a->policy->bundles[i]->name, a->policy->bundles[i]->version,
			 policy_level_names[a->policy->levels[i]]);
	for (size_t i = 0; i < a->policy->n; i++)
		agent_report(a, "policy", "applied", NULL, a->policy->bundles[i]);
	agent_vm_shape(a, after);
	/* A trial ends first; its boot had the old settings, the next one has the new. */
	if (had && memcmp(before, after, SHA256_SIZE) != 0 && a->vm.state != VM_STOPPED &&
	    a->st.update != UPDATE_TRIAL) {
		log_info("vm.restart", "reason=\"the policy changed\"");
		agent_vm_stop(a, a->set->vm_grace_s * 1000);
	}
}

void agent_want(struct agent *a)
{
	struct update_event ev = { .kind = EV_UNWANTED };

	/* Raised by the director: a release below it is not gone back to. */
	if (a->wanted->floor > a->st.floor && a->st.active != SLOT_NONE &&
	    a->st.slot[a->st.active].security_version >= a->wanted->floor) {
		struct state next = a->st;

		next.floor = a->wanted->floor;
		save(a, &next);
	}
	if (a->wanted->has_release) {
		ev.kind = EV_WANTED;
		ev.target = a->wanted->release;
		ev.rollout = a->wanted->rollout;
	}
	agent_event(a, &ev);
}

/* Time that was set back must not come again after a power cut, nor the keys that bound it. */
static void take_time(struct agent *a, const struct poll_job *j)
{
	const struct wanted *w = j->wanted;
	int64_t before_s = ttime_now_s(&a->time);
	bool anew = ttime_is_anew(a->time.keys, w->time_keys);
	bool same = memcmp(a->time.keys, w->time_keys, SHA256_SIZE) == 0;
	struct state next = a->st;

	ttime_step(&a->time, j->server_s, w->director_expires_s, w->time_keys);
	if (anew && next.deadline_s > 0) {
		/* What is left of it stays. */
		next.deadline_s -= before_s - ttime_now_s(&a->time);
		next.deadline_s = next.deadline_s > 0 ? next.deadline_s : 1;
	}
	if (anew)
		log_warn("time.anew",
			 "from_s=%" PRId64 " to_s=%" PRId64
			 " cause=\"the director has other keys\"",
			 before_s, ttime_now_s(&a->time));
	if (!same)
		save(a, &next);
}

static void take_wanted(struct agent *a, struct poll_job *j)
{
	wanted_free(a->wanted);
	a->wanted = TAKE(j->wanted);
	agent_want(a);
}

/* Somebody may keep the news from us: a server that is well renews what it signed for this device
 * long before it expires.  All is asked for again, and what runs goes on running. */
static void check_freeze(struct agent *a, const struct poll_job *j)
{
	int64_t now_s = ttime_now_s(&a->time);
	char at[TIME_TEXT_SIZE];
	struct err e;

	if (j->server_s > now_s)
		now_s = j->server_s;
	if (!a->wanted || now_s < a->wanted->director_expires_s)
		return;
	time_format(at, a->wanted->director_expires_s);
	err_set(&e, E_EXPIRED,
		"director: timestamp: version %" PRIu64
		" expired at %s and no newer one was sent: somebody may hold it back",
		a->wanted->director_ts, at);
	err_hint(&e, "compare the server's status with this; look at what is between");
	a->evaluate = true;
	report_refusal(a, &e);
	if (!a->once_has_err) {
		a->once_has_err = true;
		a->once_err = e;
	}
}

static void take_keys(struct agent *a, struct poll_job *j)
{
	if (!j->tried_rekey)
		return;
	if (!j->rekeyed) {
		backoff_fail(&a->rekey_backoff, a->clock, a->rng, -1);
		snprintf(a->rekey_error, sizeof(a->rekey_error), "%s", j->rekey_err.text);
		log_warn("keys.change", "%s next=\"keeping the keys, asking again\"",
			 log_err(&j->rekey_err).s);
		identity_take_change(&a->identity, &j->keys);
		return;
	}
	backoff_ok(&a->rekey_backoff);
	a->rekey_now = false;
	a->rekey_error[0] = '\0';
	identity_done(&a->identity);
	a->identity = j->keys;
	j->keys = (struct identity){ 0 };
	log_info("keys.change", "fingerprint=%s", a->identity.fingerprint);
}

void agent_poll_ended(struct agent *a)
{
	CLEANUP(poll_job_freep) struct poll_job *j = worker_take(&a->poll_worker);

	if (!j)
		return;
	a->enrolment = j->enrolment;
	take_keys(a, j);
	if (!j->ok) {
		poll_failed(a, &j->err, j->retry_after_s);
		return;
	}
	backoff_ok(&a->poll_backoff);
	a->poll_err.code = E_NONE;
	a->poll_s = j->poll_s;
	poll_later(a);
	log_debug("checkin", "up=%" PRIu64 " down=%" PRIu64 " ack=%" PRIu64, j->bytes_up,
		  j->bytes_down, j->ack);
	take_ack(a, j->ack);
	bool refused = j->evaluated && !j->wanted;
	if (j->evaluated) {
		a->evaluate = !j->wanted || j->policy_waits;
		if (j->wanted) {
			a->last_refusal[0] = '\0';
			/* Before anything is recorded: a new handset knows no better time. */
			if (j->fresh)
				take_time(a, j);
			/* First, as it may forbid what the release would start. */
			take_policy(a, j);
			take_wanted(a, j);
		} else {
			report_refusal(a, &j->why_not);
			if (!a->once_has_err) {
				a->once_has_err = true;
				a->once_err = j->why_not;
			}
		}
	}
	if (!refused)
		check_freeze(a, j);
	a->once_polled = true;
	a->once_reported = a->st.acked_event + 1 == a->st.next_event;
}

/* ---- what is due ------------------------------------------------------------------------- */

static void step_retry(struct agent *a)
{
	if (!a->has_retry || agent_now_ms(a) < a->retry_due_ms)
		return;
	struct update_event ev = a->retry;
	a->has_retry = false;
	agent_event(a, &ev);
}

void agent_update_step(struct agent *a)
{
	struct update_event tick = { .kind = EV_TICK };
	const char *why;

	step_retry(a);
	if (a->stopping)
		return;
	/* The server says what it wants once; what a trial or a damaged slot kept us from is wanted
	 * still. */
	if (a->wanted && !a->has_retry)
		agent_want(a);
	if (a->st.update == UPDATE_OFFERED && may_fetch(a, &why))
		agent_simple_event(a, EV_MAY_FETCH, NULL);
	if (a->st.update == UPDATE_FETCHING)
		start_stage(a);
	if (a->st.update == UPDATE_STAGED && may_install(a, &why)) {
		a->install_now = false;
		agent_simple_event(a, EV_MAY_INSTALL, NULL);
	}
	if (a->st.update == UPDATE_OFFERED && !may_fetch(a, &why))
		tick.text = why;
	if (a->st.update == UPDATE_STAGED && !may_install(a, &why))
		tick.text = why;
	agent_event(a, &tick);
	if (agent_now_ms(a) >= a->poll_due_ms)
		start_poll(a);
}
