#include "agent/daemon_priv.h"

#include "agent/crashpoint.h"
#include "agent/lock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LOOP_MAX_MS = 60000, /* deadlines in trusted time are looked at once a minute */
	POLL_BACKOFF_MS = 2000,
	POLL_BACKOFF_MAX_MS = 900000,
	FIRST_POLL_JITTER_MS = 2000,
	STAGE_BACKOFF_MS = 5000,
	STAGE_BACKOFF_MAX_MS = 3600000,
	VM_BACKOFF_MS = 1000,
	VM_BACKOFF_MAX_MS = 300000,
	REKEY_BACKOFF_MS = 2000,
	REKEY_BACKOFF_MAX_MS = 3600000,
	ONCE_REPORTS = 8, /* a server that acknowledges nothing ends the cycle too */
};

int64_t agent_now_ms(const struct agent *a)
{
	return clock_boot_ms(a->clock);
}

/* ---- start ------------------------------------------------------------------------------- */

static bool take_signals(struct agent *a, struct err *e)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGTERM);
	sigaddset(&s, SIGINT);
	sigaddset(&s, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &s, NULL) < 0)
		return err_sys(e, errno, "signals");
	a->signal_fd = signalfd(-1, &s, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signal_fd >= 0 ? true : err_sys(e, errno, "signals");
}

static bool load_state(struct agent *a, struct err *e)
{
	uint8_t boot_id[16];

	if (!state_load(&a->st, a->state_dirfd, e)) {
		if (e->code != E_NOT_FOUND)
			return false;
		state_init(&a->st);
		if (!state_save(&a->st, a->state_dirfd, e))
			return false;
	}
	ttime_boot_id(boot_id);
	ttime_init(&a->time, a->clock, &a->st, boot_id);
	a->time.base_s += (int64_t)a->set->test_later_s;
	return events_trim(a->events_dirfd, &a->st, e);
}

static bool open_dirs(struct agent *a, struct err *e)
{
	if (!dir_open_at(&a->events_dirfd, a->state_dirfd, "events", 0700, e) ||
	    !dir_open_at(&a->policies_dirfd, a->state_dirfd, "policies", 0700, e))
		return false;
	return file_sweep(a->state_dirfd, e) && file_sweep(a->events_dirfd, e) &&
	       file_sweep(a->policies_dirfd, e) && trustdb_open(&a->trust, a->state_dirfd, e);
}

static bool connect_server(struct agent *a, struct err *e)
{
	if (!enrolment_connect(&a->poll_https, &a->enrolment, a->set, &a->poll_worker.cancel,
			       e) ||
	    !enrolment_connect(&a->stage_https, &a->enrolment, a->set, &a->stage_worker.cancel,
			       e))
		return false;
	signed_init(&a->server, a->poll_https, a->enrolment.device, a->identity.signing,
		    a->clock, a->rng);
	return true;
}

/* What was known before the restart, without asking anybody: downloads go on and policies hold.  The
 * process may have died between learning something and doing it, and the server does not say it
 * twice; so what is not at hand makes the next check-in ask for everything. */
static void recall(struct agent *a)
{
	struct trustdb_input in = { .now_s = ttime_now_s(&a->time),
				    .device = a->enrolment.device,
				    .floor = a->st.floor };
	struct applied *policy = NULL;
	bool changed, waits = false;
	struct err e;

	if (!applied_load(&a->policy, a->policies_dirfd, &e)) {
		log_error("policy", "%s next=\"the phone waits for the server\"",
			  log_err(&e).s);
		a->policy = NULL;
		a->evaluate = true;
	}
	if (!trustdb_evaluate(&a->wanted, &a->trust, &in, &e)) {
		log_debug("recall", "%s", log_err(&e).s);
		a->wanted = NULL;
		return;
	}
	if (!policyd_apply(&policy, &changed, &waits, a->policies_dirfd, NULL, a->wanted,
			   in.now_s, &e) ||
	    waits)
		a->evaluate = true;
	if (policy) {
		applied_free(a->policy);
		a->policy = policy;
	}
	agent_want(a);
}

static bool start(struct agent *a, struct err *e)
{
	if (!dir_open(&a->state_dirfd, a->set->state_dir, 0700, e) ||
	    !lock_take(&a->lock_fd, a->state_dirfd, a->set->state_dir, e) ||
	    !enrolment_load(&a->enrolment, a->state_dirfd, e) ||
	    !identity_load(&a->identity, a->state_dirfd, e) || !open_dirs(a, e) ||
	    !load_state(a, e) || !take_signals(a, e) || !worker_init(&a->poll_worker, e) ||
	    !worker_init(&a->stage_worker, e) || !connect_server(a, e) ||
	    !control_init(&a->control, a->state_dirfd, e))
		return false;
	a->poll_s = a->enrolment.poll_s;
	a->poll_backoff = BACKOFF_INIT(POLL_BACKOFF_MS, POLL_BACKOFF_MAX_MS);
	a->stage_backoff = BACKOFF_INIT(STAGE_BACKOFF_MS, STAGE_BACKOFF_MAX_MS);
	a->vm_backoff = BACKOFF_INIT(VM_BACKOFF_MS, VM_BACKOFF_MAX_MS);
	a->rekey_backoff = BACKOFF_INIT(REKEY_BACKOFF_MS, REKEY_BACKOFF_MAX_MS);
	a->vm_wanted = a->set->vm_autostart;
	a->poll_due_ms = agent_now_ms(a);
	if (a->mode == DAEMON_RUN)
		a->poll_due_ms += (int64_t)rng_below(a->rng, FIRST_POLL_JITTER_MS);
	recall(a);
	return true;
}

static void finish(struct agent *a)
{
	worker_cancel(&a->poll_worker);
	worker_cancel(&a->stage_worker);
	vm_done(&a->vm);
	poll_job_free(worker_take(&a->poll_worker));
	stage_job_free(worker_take(&a->stage_worker));
	worker_done(&a->poll_worker);
	worker_done(&a->stage_worker);
	control_done(&a->control, a->state_dirfd);
	signed_done(&a->server);
	https_free(a->poll_https);
	https_free(a->stage_https);
	wanted_free(a->wanted);
	applied_free(a->policy);
	trustdb_done(&a->trust);
	identity_done(&a->identity);
	fd_closep(&a->signal_fd);
	fd_closep(&a->events_dirfd);
	fd_closep(&a->policies_dirfd);
	fd_closep(&a->lock_fd);
	fd_closep(&a->state_dirfd);
}

/* ---- the loop ---------------------------------------------------------------------------- */

static void reload(struct agent *a)
{
	struct settings fresh;
	struct err e;

	if (!a->config || !settings_load(&fresh, a->config, NULL, 0, &e)) {
		if (a->config)
			log_warn("reload", "%s next=\"keeping the settings\"", log_err(&e).s);
		return;
	}
	/* Only what the table calls reloadable. */
	char *file = a->set->network_file;
	a->set->network = fresh.network;
	a->set->network_file = fresh.network_file;
	a->set->key_max_age_s = fresh.key_max_age_s;
	a->set->log_level = fresh.log_level;
	fresh.network_file = file;
	log_set_level((enum log_level)a->set->log_level);
	settings_done(&fresh);
	log_info("reload", "file=%s", log_quote(a->config).s);
}

static void take_signal(struct agent *a)
{
	struct signalfd_siginfo info;

	if (read(a->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		reload(a);
		return;
	}
	log_info("stop", "signal=%u", info.ssi_signo);
	a->stopping = true;
}

static void until(int *ms, int64_t now_ms, int64_t due_ms)
{
	int64_t left = due_ms - now_ms;

	if (left < *ms)
		*ms = left < 0 ? 0 : (int)left;
}

int agent_timeout(const struct agent *a, int most)
{
	int64_t now_ms = agent_now_ms(a);
	int ms = most;

	if (!a->stopping && !a->poll_worker.busy)
		until(&ms, now_ms, a->poll_due_ms);
	if (a->vm_limit_ms)
		until(&ms, now_ms, a->vm_limit_ms);
	if (a->health_due_ms && a->st.update == UPDATE_TRIAL)
		until(&ms, now_ms, a->health_due_ms);
	if (a->has_retry)
		until(&ms, now_ms, a->retry_due_ms);
	if (a->st.update == UPDATE_FETCHING && !a->stage_worker.busy && !a->stopping &&
	    a->wanted)
		until(&ms, now_ms,
		      now_ms + (int64_t)backoff_wait_ms(&a->stage_backoff, a->clock) + 1);
	if (a->vm.state == VM_STOPPED)
		until(&ms, now_ms,
		      now_ms + (int64_t)backoff_wait_ms(&a->vm_backoff, a->clock) +
			      (a->vm_backoff.failures ? 1 : most));
	return ms;
}

enum { FIXED_FDS = 6 };

static void wait_and_dispatch(struct agent *a)
{
	struct pollfd p[FIXED_FDS + CONTROL_CLIENTS] = {
		{ .fd = a->signal_fd, .events = POLLIN },
		{ .fd = a->poll_worker.done_fd, .events = POLLIN },
		{ .fd = a->stage_worker.done_fd, .events = POLLIN },
		{ .fd = a->control.fd, .events = POLLIN },
		{ .fd = a->vm.control_fd, .events = POLLIN },
		{ .fd = a->vm.console_fd, .events = POLLIN },
	};

	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		p[FIXED_FDS + i] =
			(struct pollfd){ .fd = a->control.clients[i].fd, .events = POLLIN };
	if (poll(p, ARRAY_SIZE(p), agent_timeout(a, LOOP_MAX_MS)) <= 0)
		return;
	if (p[0].revents)
		take_signal(a);
	if (p[1].revents)
		agent_poll_ended(a);
	if (p[2].revents)
		agent_stage_ended(a);
	if (p[5].revents)
		agent_vm_console(a);
	if (p[4].revents)
		agent_vm_hear(a);
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		if (p[FIXED_FDS + i].revents)
			agent_control_step(a, &a->control.clients[i]);
	if (p[3].revents)
		control_accept(&a->control);
}

/* ---- one cycle in the foreground --------------------------------------------------------- */

static void once_end(struct agent *a)
{
	a->once_end = a->st.update == UPDATE_ROLLED_BACK ? DAEMON_ROLLED_BACK
		      : a->st.update == UPDATE_FAILED    ? DAEMON_FAILED
							 : DAEMON_NOTHING;
	a->stopping = true;
}

/* Whether the cycle can get no further now, and why. */
static bool is_stuck(struct agent *a)
{
	char why[LIMIT_TEXT];

	if (a->once_has_err)
		return true;
	/* The gates were tried just before: what is still here waits for one. */
	if (a->st.update != UPDATE_OFFERED && a->st.update != UPDATE_STAGED)
		return false;
	a->once_has_err = true;
	agent_waits_for(a, why, sizeof(why));
	err_set(&a->once_err, E_POLICY, "%s waits: %s", release_id_text(&a->st.target).s, why);
	return true;
}

/* Another check-in, while there is something that the server does not hold and the last one got through. */
static bool report_again(struct agent *a)
{
	if (!a->once_polled || a->once_reported || a->once_reports++ >= ONCE_REPORTS)
		return false;
	a->once_polled = false;
	a->poll_due_ms = agent_now_ms(a);
	return true;
}

static void step_once(struct agent *a)
{
	if (a->mode != DAEMON_ONCE || a->stopping)
		return;
	/* A trial goes on to its end, whether the server is there or not. */
	if (a->st.update == UPDATE_TRIAL || a->has_retry || a->vm.state == VM_STARTING)
		return;
	if (a->poll_worker.busy || a->stage_worker.busy)
		return;
	if (is_stuck(a)) {
		/* What was refused is told in this cycle: the next one may be a day away. */
		a->stopping = !report_again(a);
		return;
	}
	if (a->st.update == UPDATE_FETCHING || !a->once_polled)
		return;
	if (!report_again(a))
		once_end(a);
}

/* ---- the end ----------------------------------------------------------------------------- */

/* True when all is still. */
static bool step_closing(struct agent *a)
{
	if (!a->stopping)
		return false;
	if (!a->closing) {
		a->closing = true;
		worker_cancel(&a->poll_worker);
		worker_cancel(&a->stage_worker);
		agent_vm_stop(a, a->set->vm_grace_s * 1000);
	}
	return a->vm.state == VM_STOPPED && !a->poll_worker.busy && !a->stage_worker.busy;
}

/* A clean stop carries trusted time over to the next start. */
static void save_time(struct agent *a)
{
	struct err e;

	ttime_store(&a->time, &a->st);
	if (!state_save(&a->st, a->state_dirfd, &e))
		log_warn("state.save", "%s", log_err(&e).s);
}

static void run_loop(struct agent *a)
{
	log_info("start", "device=%s server=%s active=%s state=%s release=%s",
		 a->enrolment.device, log_quote(a->enrolment.url).s, slot_name(a->st.active),
		 update_state_names[a->st.update],
		 a->st.active == SLOT_NONE ? "none"
					   : release_id_text(&a->st.slot[a->st.active]).s);
	for (;;) {
		agent_update_step(a);
		agent_vm_step(a);
		step_once(a);
		if (step_closing(a))
			break;
		wait_and_dispatch(a);
	}
	save_time(a);
}

bool daemon_run(enum daemon_end *ret, enum daemon_mode mode, struct settings *set,
		const char *config, const struct clock *clock, const struct rng *rng,
		struct err *e)
{
	struct agent *a = calloc(1, sizeof(*a));

	if (!a)
		return err_nomem(e);
	*a = (struct agent){
		.mode = mode,
		.set = set,
		.config = config,
		.clock = clock,
		.rng = rng,
		.state_dirfd = -1,
		.events_dirfd = -1,
		.policies_dirfd = -1,
		.lock_fd = -1,
		.signal_fd = -1,
		.trust = TRUSTDB_INIT,
		.vm = VM_INIT,
		.poll_worker = { .done_fd = -1 },
		.stage_worker = { .done_fd = -1 },
		.control = { .fd = -1 },
	};
	crash_point_set(set->test_crash);
	bool ok = start(a, e);
	if (ok) {
		run_loop(a);
		*ret = a->once_end;
		if (mode == DAEMON_ONCE && a->once_has_err) {
			*e = a->once_err;
			ok = false;
		}
	}
	finish(a);
	free(a);
	return ok;
}
