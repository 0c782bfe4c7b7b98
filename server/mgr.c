#include "server/mgr.h"
#include "server/duty.h"
#include "server/ipc.h"
#include "server/listen.h"
#include "server/notify.h"
#include "server/setup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	MAX_WORKERS = 64,
	MAX_DELTAS = 16,
	MAX_CHILDREN = MAX_WORKERS + MAX_DELTAS + 2,
	GENERATIONS = 3, /* serving, coming, going */
	START_LIMIT_MS = 30000,
	PING_MS = 10000,
	SILENCE_MS = 60000,
	END_MS = 10000, /* beyond web's deadline: it writes down what it has in memory */
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 30000,
	LIVED_WELL_MS = 60000, /* a life of this length ends a series of restarts */
};

enum duty_kind { DUTY_KEYS, DUTY_WORK, DUTY_DELTA, DUTY_WEB };

static const struct {
	const char *name;
	int (*run)(struct duty *);
} duties[] = {
	[DUTY_KEYS] = { "keys", keys_main },
	[DUTY_WORK] = { "work", work_main },
	[DUTY_DELTA] = { "delta", delta_main },
	[DUTY_WEB] = { "web", web_main },
};

struct child {
	enum duty_kind kind;
	pid_t pid; /* 0: not running */
	int64_t started_ms, start_at_ms;
	uint64_t backoff_ms;
};

/* new -> ready -> stopping; see mgr.h */
struct generation {
	bool used, ready, stopping;
	unsigned number;
	struct settings settings;
	int keys[2], work[2], deltas[2]; /* [0] is web's end */
	int control;                     /* our end of the channel to web */
	struct child children[MAX_CHILDREN];
	size_t children_n;
	int64_t begun_ms, pinged_ms, heard_ms, stop_by_ms;
};

struct mgr {
	const struct mgr_options *options;
	const struct clock *clock;
	int64_t started_ms;
	int signals, state_dir, key_dir, lock, listen_tcp, listen_unix;
	uint16_t port;
	char empty_dir[1100];
	sigset_t old_mask;
	struct generation gens[GENERATIONS];
	struct generation *serving; /* NULL until the first is ready */
	unsigned numbers;
	bool stopping, failed;
	struct err why;
	uint64_t watchdog_ms;
	int64_t watchdog_at_ms;
};

static int64_t now_ms(const struct mgr *m)
{
	return clock_boot_ms(m->clock);
}

static void tell_systemd(const char *text)
{
	struct err e;

	if (!notify_send(text, &e))
		log_warn("mgr.notify", "%s next=\"going on without\"", log_err(&e).s);
}

int duty_fail(const struct duty *d, const struct err *e)
{
	log_error("duty.failed", "duty=%s %s", d->name, log_err(e).s);
	return err_exit(e->code);
}

/* ---- children ----------------------------------------------------------------------------- */

/* In the child; never returns. */
static NORETURN void be_child(struct mgr *m, struct generation *g, enum duty_kind kind,
			      int control, pid_t parent)
{
	struct duty d = {
		.name = duties[kind].name,
		.settings = &g->settings,
		.empty_dir = m->empty_dir,
		.parent = parent,
		.server_started_ms = m->started_ms,
		.control = control,
		.keys = -1,
		.work = -1,
		.deltas = -1,
		.listen_tcp = -1,
		.listen_unix = -1,
		.key_dir = -1,
		.state_dir = -1,
	};
	char program[32];

	sigprocmask(SIG_SETMASK, &m->old_mask, NULL);
	signal(SIGINT, SIG_IGN); /* Ctrl-C reaches all of us; mgr decides */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	snprintf(program, sizeof(program), "valised-%s", d.name);
	prctl(PR_SET_NAME, program, 0, 0, 0);

	switch (kind) {
	case DUTY_KEYS:
		d.keys = g->keys[1];
		d.key_dir = m->key_dir;
		break;
	case DUTY_WORK:
		d.work = g->work[1];
		break;
	case DUTY_DELTA:
		d.deltas = g->deltas[1];
		break;
	case DUTY_WEB:
		d.keys = g->keys[0];
		d.work = g->work[0];
		d.deltas = g->deltas[0];
		d.listen_tcp = m->listen_tcp;
		d.listen_unix = m->listen_unix;
		d.key_dir = m->key_dir;
		d.state_dir = m->state_dir;
		break;
	}
	fflush(NULL);
	_exit(duties[kind].run(&d));
}

static bool child_start(struct mgr *m, struct generation *g, struct child *c, struct err *e)
{
	int control[2] = { -1, -1 };
	pid_t parent = getpid(), pid;

	if (c->kind == DUTY_WEB) {
		fd_closep(&g->control);
		if (!ipc_pair(control, e))
			return false;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		be_child(m, g, c->kind, control[1], parent);
	if (pid < 0)
		err_sys(e, errno, "fork");
	fd_closep(&control[1]);
	if (pid < 0) {
		fd_closep(&control[0]);
		return false;
	}
	c->pid = pid;
	c->started_ms = now_ms(m);
	if (c->kind == DUTY_WEB) {
		g->control = control[0];
		g->heard_ms = g->pinged_ms = c->started_ms;
	}
	log_debug("child.started", "duty=%s pid=%d generation=%u", duties[c->kind].name,
		  (int)pid, g->number);
	return true;
}

static void child_start_or_later(struct mgr *m, struct generation *g, struct child *c)
{
	struct err e;

	if (child_start(m, g, c, &e))
		return;
	log_error("child.start", "duty=%s %s next=\"again in %d ms\"", duties[c->kind].name,
		  log_err(&e).s, BACKOFF_MAX_MS);
	c->start_at_ms = now_ms(m) + BACKOFF_MAX_MS;
}

/* ---- generations -------------------------------------------------------------------------- */

static void generation_close(struct generation *g)
{
	for (int i = 0; i < 2; i++) {
		fd_closep(&g->keys[i]);
		fd_closep(&g->work[i]);
		fd_closep(&g->deltas[i]);
	}
	fd_closep(&g->control);
}

static void generation_kill(struct generation *g, int sig)
{
	for (size_t i = 0; i < g->children_n; i++) {
		if (g->children[i].pid > 0)
			kill(g->children[i].pid, sig);
	}
}

/* Nothing of it runs any more. */
static bool generation_is_empty(const struct generation *g)
{
	for (size_t i = 0; i < g->children_n; i++) {
		if (g->children[i].pid > 0)
			return false;
	}
	return true;
}

static void generation_end(struct mgr *m, struct generation *g)
{
	log_debug("generation.ended", "generation=%u", g->number);
	generation_close(g);
	settings_done(&g->settings);
	if (m->serving == g)
		m->serving = NULL;
	g->used = false;
}

/* Takes the settings (moved) and starts all its children. */
static bool generation_begin(struct mgr *m, struct settings *s, struct err *e)
{
	struct generation *g = NULL;

	for (int i = 0; i < GENERATIONS; i++) {
		if (!m->gens[i].used)
			g = &m->gens[i];
	}
	if (!g)
		return err_set(e, E_BUSY, "earlier reloads are still under way");
	*g = (struct generation){
		.number = ++m->numbers,
		.keys = { -1, -1 },
		.work = { -1, -1 },
		.deltas = { -1, -1 },
		.control = -1,
		.begun_ms = now_ms(m),
	};
	if (!ipc_pair(g->keys, e) || !ipc_pair(g->work, e) || !ipc_pair(g->deltas, e)) {
		generation_close(g);
		return false;
	}
	g->used = true;
	g->settings = *s;
	memset(s, 0, sizeof(*s));

	g->children[g->children_n++].kind = DUTY_KEYS;
	for (uint64_t i = 0; i < g->settings.work_processes && i < MAX_WORKERS; i++)
		g->children[g->children_n++].kind = DUTY_WORK;
	for (uint64_t i = 0; i < g->settings.delta_processes && i < MAX_DELTAS; i++)
		g->children[g->children_n++].kind = DUTY_DELTA;
	g->children[g->children_n++].kind = DUTY_WEB;
	for (size_t i = 0; i < g->children_n; i++)
		child_start_or_later(m, g, &g->children[i]);
	return true;
}

/* Tells web to finish; when it is gone the rest follows (child_ended). */
static void generation_stop(struct mgr *m, struct generation *g)
{
	struct err e;

	if (g->stopping)
		return;
	g->stopping = true;
	/* More than web's own deadline, which it keeps itself. */
	g->stop_by_ms = now_ms(m) + (int64_t)g->settings.stop_deadline_s * 1000 + END_MS;
	if (g->control < 0 || !ipc_send(g->control, IPC_STOP, 0, NULL, 0, -1, &e))
		generation_kill(g, SIGKILL);
}

/* The first generation, or a new one during a reload, did not come up. */
static void generation_failed(struct mgr *m, struct generation *g)
{
	generation_kill(g, SIGKILL);
	g->stopping = true;
	g->stop_by_ms = now_ms(m);
	if (m->serving) {
		log_error("mgr.reload", "generation=%u next=\"keeping the running one\"",
			  g->number);
		tell_systemd("READY=1\nSTATUS=the new settings could not be used");
		return;
	}
	if (!m->failed && !m->stopping)
		err_set(&m->why, E_UNAVAILABLE,
			"a process could not start; see the lines above");
	m->failed = m->stopping = true;
}

static void became_ready(struct mgr *m, struct generation *g)
{
	g->ready = true;
	if (m->serving == g || g->stopping)
		return; /* web was started again */
	for (int i = 0; i < GENERATIONS; i++) {
		if (m->gens[i].used && &m->gens[i] != g)
			generation_stop(m, &m->gens[i]);
	}
	log_set_level((enum log_level)g->settings.log_level);
	log_info(m->serving ? "mgr.reloaded" : "mgr.ready", "port=%u generation=%u", m->port,
		 g->number);
	m->serving = g;
	tell_systemd("READY=1\nSTATUS=serving");
}

/* ---- what happens to children ------------------------------------------------------------- */

/* They end after every job. */
static bool is_worker(const struct child *c)
{
	return c->kind == DUTY_WORK || c->kind == DUTY_DELTA;
}

static void plan_restart(struct mgr *m, struct child *c, bool clean)
{
	int64_t now = now_ms(m);

	if (now - c->started_ms > LIVED_WELL_MS || (clean && is_worker(c)))
		c->backoff_ms = 0;
	c->start_at_ms = now + (int64_t)c->backoff_ms;
	if (!(clean && is_worker(c))) {
		c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_FIRST_MS;
		if (c->backoff_ms > BACKOFF_MAX_MS)
			c->backoff_ms = BACKOFF_MAX_MS;
	}
}

static void tell_web_worker_lost(struct generation *g, pid_t pid)
{
	uint32_t n = (uint32_t)pid;
	struct err e;

	/* If web cannot be told, its job ends by its own deadline. */
	if (g->control >= 0 && !ipc_send(g->control, IPC_WORKER_LOST, 0, &n, sizeof(n), -1, &e))
		log_debug("mgr.worker_lost", "%s", log_err(&e).s);
}

static void child_ended(struct mgr *m, struct generation *g, struct child *c, int status)
{
	bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	pid_t pid = c->pid;

	c->pid = 0;
	if (c->kind == DUTY_WORK && !clean)
		tell_web_worker_lost(g, pid);
	if (g->stopping) {
		if (c->kind == DUTY_WEB)
			generation_kill(g, SIGTERM);
		return;
	}
	if (!(clean && is_worker(c)))
		log_warn("child.ended",
			 "duty=%s pid=%d %s=%d next=\"start it again in %" PRIu64 " ms\"",
			 duties[c->kind].name, (int)pid,
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			 c->backoff_ms);
	if (!g->ready && !is_worker(c)) {
		generation_failed(m, g);
		return;
	}
	if (c->kind == DUTY_WEB)
		fd_closep(&g->control);
	plan_restart(m, c, clean);
}

static void reap(struct mgr *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < GENERATIONS; i++) {
			struct generation *g = &m->gens[i];

			for (size_t k = 0; g->used && k < g->children_n; k++) {
				if (g->children[k].pid == pid)
					child_ended(m, g, &g->children[k], status);
			}
		}
	}
}

/* Only a worker of the same generation, whatever web says; it is started again as after a crash. */
static void end_stuck_worker(struct generation *g, const struct ipc_msg *m)
{
	uint32_t pid;

	memcpy(&pid, m->p, sizeof(pid));
	for (size_t i = 0; i < g->children_n; i++) {
		struct child *c = &g->children[i];

		if (c->pid > 0 && (uint32_t)c->pid == pid && is_worker(c)) {
			log_warn("child.stuck", "duty=%s pid=%d next=\"ending it\"",
				 duties[c->kind].name, (int)c->pid);
			kill(c->pid, SIGKILL);
		}
	}
}

/* web's messages; the only input that mgr reads from a child. */
static void hear_web(struct mgr *m, struct generation *g)
{
	const uint32_t accept = IPC_BIT(IPC_READY) | IPC_BIT(IPC_ALIVE) | IPC_BIT(IPC_STUCK);
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg msg;
	struct err e;

	if (!ipc_recv(&msg, g->control, &buf, accept, 0, &e)) {
		if (e.code == E_TIMEOUT)
			return;
		fd_closep(&g->control);
		if (e.code == E_UNAVAILABLE)
			return; /* it is ending; SIGCHLD follows */
		log_error("mgr.web", "%s next=\"ending that process\"", log_err(&e).s);
		for (size_t i = 0; i < g->children_n; i++) {
			if (g->children[i].kind == DUTY_WEB && g->children[i].pid > 0)
				kill(g->children[i].pid, SIGKILL);
		}
		return;
	}
	g->heard_ms = now_ms(m);
	if (msg.type == IPC_READY)
		became_ready(m, g);
	if (msg.type == IPC_STUCK)
		end_stuck_worker(g, &msg);
}

/* ---- signals and time --------------------------------------------------------------------- */

static void stop_all(struct mgr *m)
{
	if (m->stopping) {
		for (int i = 0; i < GENERATIONS; i++)
			generation_kill(&m->gens[i], SIGKILL);
		return;
	}
	m->stopping = true;
	log_info("mgr.stopping", "deadline_s=%" PRIu64,
		 m->serving ? m->serving->settings.stop_deadline_s : 0);
	tell_systemd("STOPPING=1\nSTATUS=finishing what is under way");
	for (int i = 0; i < GENERATIONS; i++) {
		if (m->gens[i].used)
			generation_stop(m, &m->gens[i]);
	}
}

static bool reload_settings(struct mgr *m, struct err *e)
{
	struct settings next = { 0 };
	unsigned kept = 0;
	bool ok;

	if (!m->serving)
		return err_set(e, E_BUSY, "not serving yet");
	ok = settings_load(&next, m->options->settings_file, m->options->assignments,
			   m->options->assignments_n, e) &&
	     settings_keep(&next, &m->serving->settings, &kept, e) &&
	     generation_begin(m, &next, e);
	if (kept > 0)
		log_warn("mgr.reload",
			 "settings=%u next=\"they take effect at the next start\"", kept);
	settings_done(&next);
	return ok;
}

static void reload(struct mgr *m)
{
	char text[64];
	struct err e;

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_ms(m) * 1000);
	tell_systemd(text);
	if (reload_settings(m, &e))
		return; /* became_ready() tells the rest */
	log_error("mgr.reload", "%s next=\"keeping the running settings\"", log_err(&e).s);
	tell_systemd("READY=1\nSTATUS=the new settings could not be used");
}

static void handle_signals(struct mgr *m)
{
	struct signalfd_siginfo si;

	while (read(m->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			reap(m);
			break;
		case SIGHUP:
			if (!m->stopping)
				reload(m);
			break;
		default:
			stop_all(m);
		}
	}
}

static void watch_web(struct mgr *m, struct generation *g)
{
	int64_t now = now_ms(m);
	struct err e;

	if (g->control < 0 || !g->ready)
		return;
	if (now - g->heard_ms > SILENCE_MS) {
		log_error("mgr.web", "silent_ms=%" PRId64 " next=\"start it again\"",
			  now - g->heard_ms);
		for (size_t i = 0; i < g->children_n; i++) {
			if (g->children[i].kind == DUTY_WEB && g->children[i].pid > 0)
				kill(g->children[i].pid, SIGKILL);
		}
		g->heard_ms = now;
		return;
	}
	if (now - g->pinged_ms >= PING_MS) {
		g->pinged_ms = now;
		if (!ipc_send(g->control, IPC_PING, 0, NULL, 0, -1, &e))
			log_debug("mgr.ping", "%s", log_err(&e).s);
	}
}

static void generation_tick(struct mgr *m, struct generation *g)
{
	int64_t now = now_ms(m);

	if (g->stopping) {
		if (now >= g->stop_by_ms)
			generation_kill(g, SIGKILL);
		if (generation_is_empty(g))
			generation_end(m, g);
		return;
	}
	if (!g->ready && now - g->begun_ms > START_LIMIT_MS) {
		log_error("mgr.start", "generation=%u waited_ms=%d", g->number, START_LIMIT_MS);
		generation_failed(m, g);
		return;
	}
	for (size_t i = 0; i < g->children_n; i++) {
		struct child *c = &g->children[i];

		if (c->pid == 0 && now >= c->start_at_ms)
			child_start_or_later(m, g, c);
	}
	watch_web(m, g);
}

static void tick(struct mgr *m)
{
	int64_t now = now_ms(m);

	for (int i = 0; i < GENERATIONS; i++) {
		if (m->gens[i].used)
			generation_tick(m, &m->gens[i]);
	}
	if (m->watchdog_ms && now >= m->watchdog_at_ms && m->serving) {
		tell_systemd("WATCHDOG=1");
		m->watchdog_at_ms = now + (int64_t)m->watchdog_ms;
	}
}

/* Milliseconds until something is due; children to start are looked for exactly. */
static int time_to_wait(const struct mgr *m)
{
	int64_t now = now_ms(m), wait = 1000;

	for (int i = 0; i < GENERATIONS; i++) {
		const struct generation *g = &m->gens[i];

		for (size_t k = 0; g->used && k < g->children_n; k++) {
			const struct child *c = &g->children[k];

			if (c->pid == 0 && !g->stopping && c->start_at_ms - now < wait)
				wait = c->start_at_ms - now;
		}
		if (g->used && g->stopping && generation_is_empty(g))
			wait = 0;
	}
	return wait < 0 ? 0 : (int)wait;
}

static bool all_ended(const struct mgr *m)
{
	for (int i = 0; i < GENERATIONS; i++) {
		if (m->gens[i].used)
			return false;
	}
	return true;
}

static void loop(struct mgr *m)
{
	while (!(m->stopping && all_ended(m))) {
		struct pollfd p[1 + GENERATIONS] = { { .fd = m->signals, .events = POLLIN } };

		for (int i = 0; i < GENERATIONS; i++)
			p[1 + i] = (struct pollfd){ .fd = m->gens[i].used ? m->gens[i].control
									  : -1,
						    .events = POLLIN };
		if (poll(p, ARRAY_SIZE(p), time_to_wait(m)) < 0 && errno != EINTR)
			log_error("mgr.poll", "errno=%d", errno);
		for (int i = 0; i < GENERATIONS; i++) {
			if (p[1 + i].revents && m->gens[i].used && m->gens[i].control >= 0)
				hear_web(m, &m->gens[i]);
		}
		if (p[0].revents)
			handle_signals(m);
		tick(m);
	}
}

/* ---- set-up ------------------------------------------------------------------------------- */

static bool catch_signals(struct mgr *m, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, &m->old_mask) < 0)
		return err_sys(e, errno, "signals");
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals < 0)
		return err_sys(e, errno, "signals");
	signal(SIGPIPE, SIG_IGN);
	return true;
}

static bool open_state(struct mgr *m, const struct settings *s, struct err *e)
{
	m->state_dir = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->state_dir < 0)
		return setup_no_state(s, errno, e);
	m->key_dir =
		openat(m->state_dir, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (m->key_dir < 0) {
		err_sys(e, errno, "%s/keys", s->state_dir);
		return err_hint(e, "make it with: valised init");
	}
	if (!dir_check(m->state_dir, s->state_dir, e) ||
	    !dir_check_secret(m->key_dir, "keys", e))
		return false;

	CLEANUP(fd_closep) int run = -1;
	CLEANUP(fd_closep) int empty = -1;
	snprintf(m->empty_dir, sizeof(m->empty_dir), "%s/empty", s->state_dir);
	if (!dir_open_at(&run, m->state_dir, "run", 0755, e) ||
	    !dir_open_at(&empty, m->state_dir, "empty", 0555, e))
		return false;
	m->lock = openat(run, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock < 0)
		return err_sys(e, errno, "%s/run/lock", s->state_dir);
	if (flock(m->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, E_BUSY, "%s: another valised runs on it", s->state_dir);
	return true;
}

static bool write_port(const struct mgr *m, struct err *e)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u\n", m->port);

	CLEANUP(fd_closep) int run = -1;
	return dir_open_at(&run, m->state_dir, "run", 0755, e) &&
	       file_replace(run, "port", 0644, text, (size_t)n, e);
}

static bool open_all(struct mgr *m, const struct settings *s, struct err *e)
{
	if (!open_state(m, s, e) || !catch_signals(m, e))
		return false;
	if (s->listen_address[0] && !listen_tcp(&m->listen_tcp, &m->port, s->listen_address,
						(uint16_t)s->listen_port, e))
		return false;
	if (s->listen_unix[0] &&
	    !listen_unix(&m->listen_unix, s->listen_unix, s->listen_unix_group, e))
		return false;
	return write_port(m, e);
}

static void mgr_done(struct mgr *m)
{
	fd_closep(&m->signals);
	fd_closep(&m->state_dir);
	fd_closep(&m->key_dir);
	fd_closep(&m->lock);
	fd_closep(&m->listen_tcp);
	fd_closep(&m->listen_unix);
}

bool mgr_run(const struct mgr_options *o, struct err *e)
{
	CLEANUP(mgr_done)
	struct mgr m = {
		.options = o,
		.clock = clock_system(),
		.started_ms = clock_boot_ms(clock_system()),
		.signals = -1,
		.state_dir = -1,
		.key_dir = -1,
		.lock = -1,
		.listen_tcp = -1,
		.listen_unix = -1,
		.watchdog_ms = notify_watchdog_ms(),
	};
	struct settings s = { 0 };
	bool ok;

	ok = settings_load(&s, o->settings_file, o->assignments, o->assignments_n, e) &&
	     open_all(&m, &s, e);
	if (ok)
		log_set_level((enum log_level)s.log_level);
	ok = ok && generation_begin(&m, &s, e);
	settings_done(&s);
	if (!ok)
		return false;

	loop(&m);
	if (m.failed) {
		*e = m.why;
		return false;
	}
	log_info("mgr.stopped", "port=%u", m.port);
	return true;
}
