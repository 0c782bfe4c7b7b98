#include "server/web.h"
#include "server/duty.h"
#include "server/ipc.h"
#include "server/notary.h"
#include "server/online.h"
#include "server/proc.h"
#include "server/repo.h"
#include "server/web_http.h"
#include "base/io.h"
#include "base/sandbox.h"
#include "proto/httpsig.h"
#include "storage/devices.h"
#include "storage/objects.h"
#include "storage/proposals.h"
#include "storage/tickets.h"
#include "storage/tokens.h"
#include "storage/uploads.h"

#include <inttypes.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENT_ROWS = 8192, /* of 8 buckets: 64 k addresses, 1.5 MB */
	DEVICE_ROWS = 32768,
	IDLE_PLACES = 65536,  /* devices whose row is kept; 30 MB when all are used */
	NONCES_MAX = 4 << 20, /* within the window: 100 MB at most */
	TICK_MS = 1000,
	LATE_MS = 5000,
	LATE_BYTES = 64 << 20,
	GRACE_MS = 1000,
	REPO_EVERY_S = 30,
	AUDIT_EVERY_S = 5, /* whether it is due: one indexed read */
	PRUNE_EVERY_S = 3600,
	TUF_KEEP_S = 86400, /* superseded metadata */
	TICKETS_KEEP_S = 90 * 86400,
};

/* ---- services ------------------------------------------------------------------------------ */

static uint64_t random_u64(const struct rng *rng)
{
	uint64_t v;

	rng_fill(rng, &v, sizeof(v));
	return v;
}

static bool open_store(struct web *w, const char *state_dir, struct err *e)
{
	struct store_options o = {
		.state_dir = state_dir,
		.clock = w->clock,
		.rng = w->rng,
		.reserve_bytes = w->settings->disk_reserve,
	};

	return store_open(&w->store, &o, e);
}

bool web_services_start(struct web *w, const struct duty *d, struct secret **session_secret,
			const char *state_dir, struct err *e)
{
	const struct settings *s = d->settings;
	const struct rng *rng = rng_system();

	*w = (struct web){ .settings = s, .clock = clock_system(), .rng = rng };
	pthread_mutex_init(&w->repo_lock, NULL);
	second_init(&w->second);
	w->session_secret = TAKE(*session_secret);
	w->started_s = clock_wall_s(w->clock);
	w->accept_from_s = w->started_s + 1;
	w->server_started_ms = d->server_started_ms;
	w->next_request = random_u64(rng) >> 8;
	return open_store(w, state_dir, e) &&
	       nonces_new(&w->nonces, 2 * HTTPSIG_SKEW_S, NONCES_MAX, random_u64(rng), e) &&
	       rates_new(&w->clients, CLIENT_ROWS, random_u64(rng), e) &&
	       rates_new(&w->devices, DEVICE_ROWS, random_u64(rng), e) &&
	       idle_new(&w->idle, IDLE_PLACES, random_u64(rng), e) &&
	       slow_new(&w->slow, s->web_min_rate, (int64_t)s->web_idle_s * 1000, e) &&
	       late_new(&w->late, w->clock, LATE_MS, LATE_BYTES, e) &&
	       pool_new(&w->pool, (unsigned)s->web_pool, e) &&
	       jobs_new(&w->jobs, d->work, d->control, s->work_time_s, w->clock,
			(uint32_t)random_u64(rng), e) &&
	       signer_new(&w->signer, d->keys, (uint32_t)random_u64(rng), e) &&
	       deltas_new(&w->deltas, w->store, s, w->clock, d->deltas, d->control,
			  (uint32_t)random_u64(rng), e);
}

void web_services_stop(struct web *w)
{
	pool_free(w->pool);
	deltas_free(w->deltas);
	jobs_free(w->jobs);
	signer_free(w->signer);
	late_free(w->late);
	slow_free(w->slow);
	idle_free(w->idle);
	rates_free(w->devices);
	rates_free(w->clients);
	nonces_free(w->nonces);
	secret_free(w->session_secret);
	store_free(w->store);
	second_done(&w->second);
	pthread_mutex_destroy(&w->repo_lock);
}

/* ---- timers -------------------------------------------------------------------------------- */

struct keeper {
	struct web *web;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool ending;
};

static void report(const char *what, bool ok, const struct err *e)
{
	if (!ok)
		log_warn("timer.failed", "timer=%s %s next=\"again at its next time\"", what,
			 log_err(e).s);
}

static void keep_watch(struct web *w)
{
	struct err e;

	report("look", store_look_around(w->store, &e), &e);
}

static void keep_slow(struct web *w)
{
	metric_add(&w->metrics.refused_slow, slow_look(w->slow, clock_boot_ms(w->clock)));
}

static void keep_repo(struct web *w)
{
	struct err e;

	report("repo", repo_refresh(w, &e), &e);
}

static void keep_audit(struct web *w)
{
	struct err e;

	report("audit.sign", notary_run(w, &e), &e);
}

static void write_seen(struct web *w, bool all)
{
	struct err e;

	report("devices", devices_flush(w->store, all, &e), &e);
	report("tokens", tokens_flush(w->store, all, &e), &e);
}

static void keep_seen(struct web *w)
{
	write_seen(w, false);
}

static void keep_garbage(struct web *w)
{
	struct objects_gc gone = { 0 };
	uint64_t uploads = 0;
	struct err e;
	bool ok;

	ok = uploads_expire(w->store, &uploads, &e);
	report("uploads", ok, &e);
	report("deltas", deltas_prune(w->store, NULL, &e), &e);
	ok = objects_gc(w->store, &gone, &e);
	report("gc", ok, &e);
	if (uploads || gone.objects || gone.orphans)
		log_info("gc.done",
			 "objects=%" PRIu64 " bytes=%" PRIu64 " orphans=%" PRIu64
			 " uploads=%" PRIu64,
			 gone.objects, gone.bytes, gone.orphans, uploads);
}

static void keep_short(struct web *w)
{
	struct err e;

	report("tuf.prune", tuf_prune(w->store, TUF_KEEP_S, NULL, &e), &e);
	report("proposals.prune", proposals_prune(w->store, &e), &e);
	report("tickets.prune", tickets_prune(w->store, TICKETS_KEEP_S, NULL, &e), &e);
}

static bool sleep_a_tick(struct keeper *k)
{
	struct timespec until;
	bool ending;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TICK_MS / 1000;
	pthread_mutex_lock(&k->lock);
	if (!k->ending)
		pthread_cond_timedwait(&k->wake, &k->lock, &until);
	ending = k->ending;
	pthread_mutex_unlock(&k->lock);
	return !ending;
}

static void *keep(void *arg)
{
	struct keeper *k = arg;
	struct web *w = k->web;
	const struct {
		void (*run)(struct web *);
		uint64_t every_s;
	} timers[] = {
		{ keep_watch, 1 },
		{ keep_slow, 1 },
		{ keep_repo, REPO_EVERY_S },
		{ keep_audit, AUDIT_EVERY_S },
		{ keep_seen, w->settings->seen_s },
		{ keep_garbage, w->settings->gc_interval_s },
		{ keep_short, PRUNE_EVERY_S },
	};
	int64_t last_ms[ARRAY_SIZE(timers)];

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
		last_ms[i] = clock_boot_ms(w->clock);
	/* Metadata may have run out while the server was off. */
	keep_repo(w);
	while (sleep_a_tick(k)) {
		for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
			int64_t now = clock_boot_ms(w->clock);

			if (now - last_ms[i] < (int64_t)timers[i].every_s * 1000)
				continue;
			last_ms[i] = now;
			timers[i].run(w);
		}
	}
	return NULL;
}

static bool keeper_start(struct keeper *k, struct web *w, struct err *e)
{
	pthread_condattr_t attr;

	k->web = w;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	return pthread_create(&k->thread, NULL, keep, k) == 0
		       ? true
		       : err_set(e, E_NOMEM, "no thread for timers");
}

static void keeper_stop(struct keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->ending = true;
	pthread_cond_broadcast(&k->wake);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
}

/* ---- set-up and end of the process --------------------------------------------------------- */

struct process {
	struct duty *duty;
	struct web web;
	struct web_tls tls;
	struct web_http *tcp, *local;
	struct keeper keeper;
};

static void raise_file_limit(void)
{
	struct rlimit l;

	/* Every connection is a descriptor; failing leaves the smaller number. */
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static bool set_up(struct process *p, struct err *e)
{
	struct duty *d = p->duty;
	const struct settings *s = d->settings;
	CLEANUP(secret_freep) struct secret *session = NULL;
	const struct sandbox box = { .profile = SANDBOX_SERVICE, .threads = true };
	struct identity id;
	bool chrooted;

	if (!identity_get(&id, s->user, e) || !online_load_session(&session, d->key_dir, e))
		return false;
	if (s->listen_tls && !web_tls_load(&p->tls, d->state_dir, s->tls_certificate,
					   s->tls_key, clock_wall_s(clock_system()), e))
		return false;
	raise_file_limit();

	int keep_fds[] = { d->control, d->keys,       d->work,
			   d->deltas,  d->listen_tcp, d->listen_unix };
	if (!proc_keep_fds(keep_fds, ARRAY_SIZE(keep_fds), e) ||
	    !proc_drop(&id, s->state_dir, d->parent, &chrooted, e) || !sandbox_enter(&box, e))
		return false;
	d->key_dir = d->state_dir = -1;
	if (!web_services_start(&p->web, d, &session, chrooted ? "/" : s->state_dir, e))
		return false;
	p->web.has_pin = s->listen_tls;
	memcpy(p->web.pin, p->tls.pin, SHA256_SIZE);
	return keeper_start(&p->keeper, &p->web, e);
}

static bool start_listening(struct process *p, struct err *e)
{
	struct duty *d = p->duty;

	if (d->listen_tcp >= 0 &&
	    !web_http_start(&p->tcp, &p->web, d->listen_tcp,
			    d->settings->listen_tls ? &p->tls : NULL, false, e))
		return false;
	if (d->listen_unix >= 0 &&
	    !web_http_start(&p->local, &p->web, d->listen_unix, NULL, true, e))
		return false;
	return ipc_send(d->control, IPC_READY, 0, NULL, 0, -1, e);
}

static void wait_until_zero(struct web *w, const uint64_t *metric, int64_t ms)
{
	int64_t until = clock_boot_ms(w->clock) + ms;

	while (metric_get(metric) > 0 && clock_boot_ms(w->clock) < until)
		(void)poll(NULL, 0, 20);
}

/* Answers what is under way, within the deadline, and ends. */
static void drain(struct process *p)
{
	struct web *w = &p->web;

	__atomic_store_n(&w->draining, true, __ATOMIC_RELAXED);
	web_http_quiesce(p->tcp);
	web_http_quiesce(p->local);
	/* Who takes over after a reload has only what is written; the rest follows at the end. */
	write_seen(w, true);
	/* Those that were accepted may be in the handshake still: they get their one answer.  What
	 * is open after that is idle, and its client knows that idle connections end. */
	wait_until_zero(w, &w->metrics.connections_open, GRACE_MS);
	wait_until_zero(w, &w->metrics.active,
			(int64_t)p->duty->settings->stop_deadline_s * 1000);
	jobs_stop(w->jobs);
	deltas_stop(w->deltas);
	pool_stop(w->pool);
	wait_until_zero(w, &w->metrics.active,
			GRACE_MS); /* answers that the pool has just finished */
	log_info("web.stopped", "cut=%" PRIu64, metric_get(&w->metrics.active));
	web_http_stop(p->tcp);
	web_http_stop(p->local);
	keeper_stop(&p->keeper);
	write_seen(w, true);
}

static int listen_to_mgr(struct process *p)
{
	const uint32_t accept =
		IPC_BIT(IPC_PING) | IPC_BIT(IPC_STOP) | IPC_BIT(IPC_WORKER_LOST);
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg m;
	struct err e;
	uint32_t pid;

	while (ipc_recv(&m, p->duty->control, &buf, accept, -1, &e)) {
		switch (m.type) {
		case IPC_PING:
			if (!ipc_send(p->duty->control, IPC_ALIVE, m.id, NULL, 0, -1, &e))
				return duty_fail(p->duty, &e);
			break;
		case IPC_WORKER_LOST:
			memcpy(&pid, m.p, sizeof(pid));
			jobs_worker_lost(p->web.jobs, pid);
			break;
		default:
			drain(p);
			return 0;
		}
	}
	/* Without mgr nobody watches us; it took the sockets with it anyway. */
	log_error("web.control", "%s next=\"ending\"", log_err(&e).s);
	drain(p);
	return 1;
}

int web_main(struct duty *d)
{
	static struct process p; /* large; one per process */
	struct err e;
	int rc;

	p.duty = d;
	if (!set_up(&p, &e) || !start_listening(&p, &e))
		return duty_fail(d, &e); /* the process ends: nothing to take down in order */
	rc = listen_to_mgr(&p);
	web_services_stop(&p.web);
	web_tls_done(&p.tls);
	return rc;
}
