#include "agent/daemon_priv.h"

#include "agent/crashpoint.h"
#include "base/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	GUEST_RESTARTS_MAX =
		2,       /* of its own accord, before it was healthy for the first time */
	KILL_MS = 10000, /* for a monitor to end after its time was up */
};

static bool on_trial(const struct agent *a)
{
	return a->st.update == UPDATE_TRIAL && a->vm.slot == a->st.target_slot;
}

static void set_limit(struct agent *a, uint64_t ms)
{
	a->vm_limit_ms = ms ? agent_now_ms(a) + (int64_t)ms : 0;
}

void agent_vm_shape(const struct agent *a, uint8_t out[static SHA256_SIZE])
{
	static const enum policy_key keys[] = { POLICY_VM_MEMORY_MAX_MIB, POLICY_VM_VCPUS_MAX,
						POLICY_NET_MODE, POLICY_NET_ALLOW_HOSTS,
						POLICY_APPS_CONFIG };
	CLEANUP(buf_done) struct buf text = BUF_INIT(4 * LIMIT_POLICY_JSON);
	struct err ignored;
	struct jw w;

	jw_init(&w, &text);
	jw_obj(&w, NULL);
	for (size_t i = 0; a->policy && i < ARRAY_SIZE(keys); i++) {
		const struct policy_value *v = &a->policy->merged->values[keys[i]];

		if (v->set)
			policy_value_write(&w, policy_rows[keys[i]].key, keys[i], v);
	}
	jw_end(&w);
	if (!jw_finish(&w, &ignored))
		buf_reset(&text);
	sha256(out, buf_str(&text), text.n);
}

void agent_vm_stop(struct agent *a, uint64_t grace_ms)
{
	struct err e;

	if (a->vm.state == VM_STOPPED)
		return;
	a->vm_stop_planned = true;
	set_limit(a, grace_ms + KILL_MS);
	if (!vm_stop(&a->vm, grace_ms, &e))
		vm_kill(&a->vm);
}

/* ---- starting ---------------------------------------------------------------------------- */

static void start_failed(struct agent *a, uint8_t slot, const struct err *why)
{
	log_warn("vm.start", "slot=%s %s", slot_name(slot), log_err(why).s);
	snprintf(a->vm_error, sizeof(a->vm_error), "%s", why->text);
	if (a->st.update == UPDATE_TRIAL && slot == a->st.target_slot) {
		agent_simple_event(a, EV_UNHEALTHY, why->text);
		return;
	}
	if (why->code == E_CORRUPT)
		agent_simple_event(a, EV_ACTIVE_BAD, why->text);
	backoff_fail(&a->vm_backoff, a->clock, a->rng, -1);
}

static bool prepare_trial(struct agent *a)
{
	agent_simple_event(a, EV_TRIAL_BOOT, NULL);
	return a->st.update == UPDATE_TRIAL && !a->has_retry;
}

static void start_slot(struct agent *a, uint8_t slot)
{
	bool trial = a->st.update == UPDATE_TRIAL && slot == a->st.target_slot;
	struct err e;

	if (trial && !prepare_trial(a))
		return;
	struct vm_plan plan = {
		.state_dirfd = a->state_dirfd,
		.slot = slot,
		.id = &a->st.slot[slot],
		.model = a->enrolment.model,
		.device = a->enrolment.device,
		.hostname = "work-phone",
		.policy = a->policy,
		.settings = a->set,
		.now_s = ttime_now_s(&a->time),
	};
	if (!vm_start(&a->vm, &plan, a->rng, &e)) {
		start_failed(a, slot, &e);
		return;
	}
	a->vm_stop_planned = false;
	a->healthy = false;
	a->vm_error[0] = '\0';
	agent_vm_shape(a, a->vm_shape);
	set_limit(a, a->set->vm_start_s * 1000);
	log_info("vm.start", "slot=%s release=%s trial=%s", slot_name(slot),
		 release_id_text(plan.id).s, trial ? "yes" : "no");
	if (trial)
		crash_point("trial-booting");
}

/* ---- what the monitor says --------------------------------------------------------------- */

static void heard_started(struct agent *a, const struct launch_event *ev)
{
	log_info("vm.started", "engine=%s why=%s weak=%s", log_quote(ev->engine).s,
		 log_quote(ev->why).s, log_quote(ev->weak).s);
	set_limit(a, 0);
	if (!on_trial(a))
		return;
	uint64_t s = a->vm.health_deadline_s;
	if (a->set->test_deadline_s && a->set->test_deadline_s < s)
		s = a->set->test_deadline_s;
	/* A guest that restarts itself gets no more time than one that does not. */
	if (a->health_due_ms == 0)
		a->health_due_ms = agent_now_ms(a) + (int64_t)s * 1000;
}

static void heard_health(struct agent *a, const struct launch_event *ev)
{
	struct health h;
	struct err e;

	/* The guest is not trusted; what it cannot say properly it has not said. */
	if (!health_parse(&h, ev->line, strlen(ev->line), &e)) {
		log_debug("health.refused", "%s", log_err(&e).s);
		return;
	}
	if (memcmp(h.boot, a->vm.boot, sizeof(h.boot)) != 0) {
		log_debug("health.refused", "text=\"of another boot\"");
		return;
	}
	bool was = a->healthy;
	a->healthy = h.state == HEALTH_HEALTHY;
	snprintf(a->vm_detail, sizeof(a->vm_detail), "%s", h.detail);
	if (a->healthy != was)
		log_info("health", "state=%s detail=%s", health_state_names[h.state],
			 log_quote(h.detail).s);
	if (!a->healthy)
		return;
	backoff_ok(&a->vm_backoff);
	if (on_trial(a)) {
		a->health_due_ms = 0;
		agent_simple_event(a, EV_HEALTHY, NULL);
	}
}

/* Why a trial ended before its guest was healthy, or NULL if it may start once more. */
static const char *trial_verdict(struct agent *a, const struct launch_event *ev, char *out,
				 size_t size)
{
	if (ev->reason == LAUNCH_EXIT_REBOOT && a->guest_restarts < GUEST_RESTARTS_MAX) {
		a->guest_restarts++;
		return NULL;
	}
	if (ev->reason == LAUNCH_EXIT_REBOOT)
		snprintf(out, size, "the guest restarted %u times before it was healthy",
			 a->guest_restarts + 1);
	else
		snprintf(out, size, "the guest ended before it was healthy: %s%s%s",
			 launch_exit_name(ev->reason), ev->detail[0] ? ": " : "", ev->detail);
	return out;
}

static void trial_ended(struct agent *a, const struct launch_event *ev, bool planned)
{
	char text[STATE_REASON + 1];

	/* A stop that we wanted, or a restart that the guest wanted, has used up no try. */
	if (planned || !trial_verdict(a, ev, text, sizeof(text)))
		agent_simple_event(a, EV_TRIAL_STOPPED, NULL);
	else
		agent_simple_event(a, EV_UNHEALTHY, text);
}

static void active_ended(struct agent *a, const struct launch_event *ev)
{
	switch (ev->reason) {
	case LAUNCH_EXIT_POWEROFF:
		a->vm_wanted = false; /* until somebody starts it again */
		return;
	case LAUNCH_EXIT_REBOOT:
		if (!a->healthy)
			backoff_fail(&a->vm_backoff, a->clock, a->rng, -1);
		return;
	case LAUNCH_EXIT_ERROR:
		snprintf(a->vm_error, sizeof(a->vm_error), "%s", ev->detail);
		if (ev->code == E_CORRUPT) {
			agent_simple_event(a, EV_ACTIVE_BAD, ev->detail);
			return;
		}
		break;
	default:
		snprintf(a->vm_error, sizeof(a->vm_error), "%s: %s",
			 launch_exit_name(ev->reason), ev->detail);
	}
	backoff_fail(&a->vm_backoff, a->clock, a->rng, -1);
}

static void heard_exited(struct agent *a, const struct launch_event *ev)
{
	bool planned = a->vm_stop_planned, trial = on_trial(a);
	uint8_t slot = a->vm.slot;

	vm_reap(&a->vm, NULL);
	set_limit(a, 0);
	a->vm_stop_planned = false;
	log_info("vm.exited", "slot=%s reason=%s planned=%s detail=%s", slot_name(slot),
		 launch_exit_name(ev->reason), planned ? "yes" : "no", log_quote(ev->detail).s);
	if (trial)
		trial_ended(a, ev, planned);
	else if (!planned && slot == a->st.active)
		active_ended(a, ev);
	a->vm.slot = SLOT_NONE;
	a->healthy = false;
}

void agent_vm_hear(struct agent *a)
{
	while (a->vm.state != VM_STOPPED) {
		struct launch_event ev;
		struct err e;
		bool have;

		if (!vm_next_event(&a->vm, &ev, &have, &e)) {
			log_warn("vm.monitor", "%s next=\"killing it\"", log_err(&e).s);
			vm_kill(&a->vm);
			continue;
		}
		if (!have)
			return;
		switch (ev.kind) {
		case LAUNCH_STARTED:
			heard_started(a, &ev);
			break;
		case LAUNCH_HEALTH:
			heard_health(a, &ev);
			break;
		case LAUNCH_STATE:
			break;
		case LAUNCH_EXITED:
			heard_exited(a, &ev);
			return;
		}
	}
}

/* To whoever looks at the console now; nobody looking is fine, and so is somebody who is slow. */
void agent_vm_console(struct agent *a)
{
	char bytes[4096];
	ssize_t n = recv(a->vm.console_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0)
		fd_closep(&a->vm.console_fd);
	for (size_t i = 0; n > 0 && i < CONTROL_CLIENTS; i++) {
		struct control_client *c = &a->control.clients[i];

		if (c->fd >= 0 && c->console &&
		    send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			control_drop(c);
	}
}

/* ---- limits ------------------------------------------------------------------------------ */

static void unhealthy_in_time(struct agent *a)
{
	char text[STATE_REASON + 1];
	uint64_t s =
		a->set->test_deadline_s && a->set->test_deadline_s < a->vm.health_deadline_s
			? a->set->test_deadline_s
			: a->vm.health_deadline_s;

	snprintf(text, sizeof(text), "health: not healthy within %" PRIu64 " s%s%s", s,
		 a->vm_detail[0] ? ": " : ", no report", a->vm_detail);
	a->health_due_ms = 0;
	agent_simple_event(a, EV_UNHEALTHY, text);
}

static void limit_over(struct agent *a)
{
	enum vm_state was = a->vm.state;

	set_limit(a, 0);
	if (was == VM_STOPPING) {
		/* Its sockets close, and that is the event that is waited for. */
		vm_kill(&a->vm);
		return;
	}
	snprintf(a->vm_error, sizeof(a->vm_error),
		 "the guest was not started within %" PRIu64 " s", a->set->vm_start_s);
	log_warn("vm.start", "text=\"%s\"", a->vm_error);
	if (on_trial(a))
		agent_simple_event(a, EV_UNHEALTHY, a->vm_error);
	else
		backoff_fail(&a->vm_backoff, a->clock, a->rng, -1);
	agent_vm_stop(a, 0);
}

/* ---- what should run --------------------------------------------------------------------- */

static bool should_run(const struct agent *a, uint8_t slot)
{
	if (slot == SLOT_NONE || a->stopping || !a->policy)
		return false;
	return a->st.update == UPDATE_TRIAL || (a->vm_wanted && a->mode == DAEMON_RUN);
}

void agent_vm_step(struct agent *a)
{
	int64_t now_ms = agent_now_ms(a);
	uint8_t slot = update_boot_slot(&a->st);

	if (a->vm.state != VM_STOPPED && a->vm_limit_ms && now_ms >= a->vm_limit_ms)
		limit_over(a);
	if (a->st.update == UPDATE_TRIAL && a->health_due_ms && now_ms >= a->health_due_ms) {
		unhealthy_in_time(a);
		slot = update_boot_slot(&a->st);
	}
	if (a->vm.state == VM_STOPPED) {
		if (should_run(a, slot) && backoff_wait_ms(&a->vm_backoff, a->clock) == 0)
			start_slot(a, slot);
		return;
	}
	if (a->vm.state == VM_STOPPING || (a->vm.slot == slot && !a->closing))
		return;
	/* A release that did not get healthy has nothing to shut down in order. */
	agent_vm_stop(a, a->st.update == UPDATE_ROLLED_BACK ? 0 : a->set->vm_grace_s * 1000);
}
