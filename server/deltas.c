#include "server/deltas.h"
#include "server/delta_job.h"
#include "server/ipc.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "delta/format.h"
#include "storage/objects.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum {
	MAKERS_MAX = 16,
	LOOK_MS = 5000,   /* for something to make */
	HEAR_MS = 500,    /* between looks whether the server ends */
	WANTED_MS = 2000, /* between looks whether it is still wanted */
	LATER_S = 60,     /* after what will pass: a full disk, ... */
};

struct maker {
	struct deltas *all;
	pthread_t thread;
	bool started;
	/* Guarded by the lock, for deltas_progress. */
	bool busy;
	struct delta_task task;
	uint64_t done, total;
};

struct deltas {
	struct store *store;
	const struct settings *settings;
	const struct clock *clock;
	int fd, control;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool ending;
	uint64_t wakes; /* rises: there may be something new */
	uint32_t next_id;
	struct deltas_stats stats;
	struct maker makers[MAKERS_MAX];
};

static bool is_ending(struct deltas *d)
{
	pthread_mutex_lock(&d->lock);
	bool ending = d->ending;
	pthread_mutex_unlock(&d->lock);
	return ending;
}

/* True, so that it can follow what is counted. */
static bool count(struct deltas *d, uint64_t *n)
{
	pthread_mutex_lock(&d->lock);
	++*n;
	pthread_mutex_unlock(&d->lock);
	return true;
}

/* ---- one delta ---------------------------------------------------------------------------- */

/* Everything that one delta needs, held while it is made. */
struct making {
	struct deltas *d;
	struct maker *m;
	const struct delta_task *task;
	struct release *to, *from;
	struct delta_order order;
	int files[DELTA_FILES];
	int channel;
	uint32_t pid;              /* of the process that took the order; 0: none has */
	int64_t taken_ms, told_ms; /* when it did, and when it last told of progress */
	int64_t looked_ms;         /* whether it is still wanted */
};

static void making_done(struct making *k)
{
	release_free(k->to);
	release_free(k->from);
	for (int i = 0; i < DELTA_FILES; i++)
		fd_closep(&k->files[i]);
	fd_closep(&k->channel);
}

static bool load_release(struct release **ret, struct store *s, const char *product,
			 const char *version, struct err *e)
{
	CLEANUP(release_full_done) struct release_full full = { 0 };

	return releases_get(s, product, version, &full, e) &&
	       release_parse(ret, full.manifest, full.row.manifest_size, e);
}

static bool open_files(struct making *k, const struct component *to,
		       const struct component *from, struct err *e)
{
	struct store *s = k->d->store;
	uint64_t size;

	/* All of the room is asked for at once, so that two do not share what is enough for one. */
	return objects_open(s, from->object_sha256, &k->files[DELTA_FILE_OLD], &size, e) &&
	       objects_open(s, to->object_sha256, &k->files[DELTA_FILE_NEW], &size, e) &&
	       objects_scratch(s, from->size + to->size + k->order.output_max,
			       &k->files[DELTA_FILE_OLD_PLAIN], e) &&
	       objects_scratch(s, to->size, &k->files[DELTA_FILE_NEW_PLAIN], e) &&
	       objects_scratch(s, 0, &k->files[DELTA_FILE_SCRATCH], e) &&
	       objects_scratch(s, 0, &k->files[DELTA_FILE_OUT], e);
}

static bool prepare(struct making *k, struct err *e)
{
	const struct delta_task *t = k->task;
	const struct component *to, *from;

	if (!load_release(&k->to, k->d->store, t->product, t->to_version, e) ||
	    !load_release(&k->from, k->d->store, t->product, t->from_version, e))
		return false;
	to = release_component(k->to, t->component);
	from = release_component(k->from, t->component);
	if (!to || !from)
		return err_set(e, E_NOT_FOUND, "no such component in both releases");
	job_of(&k->order.to, to);
	job_of(&k->order.from, from);
	k->order.output_max = t->size_max;
	if (t->size_max == 0)
		return err_set(e, E_TOO_BIG, "the full object is small");
	return open_files(k, to, from, e);
}

static bool hand_over(struct making *k, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(4096);
	CLEANUP(fd_closep) int theirs = -1;
	int pair[2];
	uint32_t id;
	bool ok;

	if (!delta_order_encode(&text, &k->order, e) || !ipc_pair(pair, e))
		return false;
	k->channel = pair[0];
	theirs = pair[1];
	/* Before the order, so that who takes it finds them. */
	for (uint32_t i = 0; i < DELTA_FILES; i++) {
		if (!ipc_send(k->channel, IPC_FILE, i, NULL, 0, k->files[i], e))
			return false;
	}
	pthread_mutex_lock(&k->d->lock);
	id = k->d->next_id++;
	ok = ipc_send(k->d->fd, IPC_DELTA, id, text.p, text.n, theirs, e);
	pthread_mutex_unlock(&k->d->lock);
	return ok;
}

static void take_progress(struct making *k, const struct ipc_msg *m)
{
	uint64_t told[2];

	memcpy(told, m->p, sizeof(told));
	k->told_ms = clock_boot_ms(k->d->clock);
	pthread_mutex_lock(&k->d->lock);
	k->m->done = told[0];
	k->m->total = told[1];
	pthread_mutex_unlock(&k->d->lock);
}

static bool is_still_wanted(struct making *k, int64_t now_ms, struct err *e)
{
	bool wanted;

	if (now_ms - k->looked_ms < WANTED_MS)
		return true;
	k->looked_ms = now_ms;
	if (!deltas_is_wanted(k->d->store, k->task, &wanted, e))
		return false;
	return wanted ? true : err_set(e, E_CANCELLED, "not wanted any more");
}

/* Whoever reads hostile images may also just sit there.  mgr alone can end it. */
static bool end_stuck(struct making *k, const char *how, uint64_t limit_s, struct err *e)
{
	if (!ipc_send(k->d->control, IPC_STUCK, 0, &k->pid, sizeof(k->pid), -1, e))
		log_warn("deltas", "pid=%u %s", k->pid, log_err(e).s);
	return err_set(e, E_TIMEOUT, "its process %s %" PRIu64 " s", how, limit_s);
}

/* An order that no process has taken yet loses nothing by waiting on. */
static bool may_go_on(struct making *k, struct err *e)
{
	const struct settings *s = k->d->settings;
	int64_t now = clock_boot_ms(k->d->clock);

	if (is_ending(k->d))
		return err_set(e, E_BUSY, "the server is ending");
	if (k->pid && now - k->told_ms >= (int64_t)s->delta_silence_s * 1000)
		return end_stuck(k, "made no progress for", s->delta_silence_s, e);
	if (k->pid && now - k->taken_ms >= (int64_t)s->delta_time_s * 1000)
		return end_stuck(k, "took more than", s->delta_time_s, e);
	return is_still_wanted(k, now, e);
}

static bool note_taken(struct making *k, const struct ipc_msg *m, struct err *e)
{
	if (k->pid)
		return err_set(e, E_FORMAT, "taken twice");
	memcpy(&k->pid, m->p, sizeof(k->pid));
	k->taken_ms = k->told_ms = clock_boot_ms(k->d->clock);
	return true;
}

static bool wait_for_it(struct making *k, struct err *e)
{
	const uint32_t accept = IPC_BIT(IPC_TAKEN) | IPC_BIT(IPC_PROGRESS) | IPC_BIT(IPC_MADE) |
				IPC_BIT(IPC_FAILED_JOB);
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct ipc_msg m;

	while (may_go_on(k, e)) {
		if (!ipc_recv(&m, k->channel, &buf, accept, HEAR_MS, e)) {
			if (e->code == E_TIMEOUT)
				continue;
			return false; /* E_UNAVAILABLE: it crashed; E_FORMAT: it was taken over */
		}
		if (m.type == IPC_MADE)
			return true;
		if (m.type == IPC_FAILED_JOB)
			return ipc_get_err(&m, e);
		if (m.type == IPC_PROGRESS)
			take_progress(k, &m);
		else if (!note_taken(k, &m, e))
			return false;
	}
	return false;
}

static bool copy_out(struct object_writer *w, int fd, uint64_t size, struct err *e)
{
	uint8_t piece[65536];

	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < sizeof(piece) ? (size_t)(size - at) : sizeof(piece);

		if (!pread_all(fd, piece, n, at, e) || !objects_write(w, piece, n, e))
			return false;
		at += n;
	}
	return true;
}

/* The process may still have the file: what was hashed is compared with what is written. */
static bool store_it(struct making *k, uint8_t ret_sha256[static SHA256_SIZE],
		     uint64_t *ret_size, struct err *e)
{
	CLEANUP(objects_abortp) struct object_writer *w = NULL;
	int fd = k->files[DELTA_FILE_OUT];

	if (!sha256_fd(ret_sha256, ret_size, fd, e))
		return false;
	if (*ret_size == 0 || *ret_size > k->order.output_max)
		return err_set(e, E_TOO_BIG, "%" PRIu64 " bytes", *ret_size);
	return objects_begin(&w, k->d->store, ret_sha256, *ret_size, e) &&
	       copy_out(w, fd, *ret_size, e) && objects_commit(&w, e);
}

static bool make(struct making *k, uint8_t ret_sha256[static SHA256_SIZE], uint64_t *ret_size,
		 struct err *e)
{
	return prepare(k, e) && hand_over(k, e) && wait_for_it(k, e) &&
	       store_it(k, ret_sha256, ret_size, e);
}

/* The process says that something is wrong with an image: if it is the copy on our disk, the next
 * publish sends it anew and the delta is planned again.  Its word alone takes nothing away. */
static void drop_if_damaged(struct making *k, const struct release *r)
{
	const struct component *c = r ? release_component(r, k->task->component) : NULL;
	char hex[HEX_SIZE(SHA256_SIZE)];
	bool dropped;
	struct err e;

	if (!c)
		return;
	hex_encode(hex, c->object_sha256, SHA256_SIZE);
	if (!objects_drop_damaged(k->d->store, c->object_sha256, &dropped, &e))
		log_warn("deltas", "object=%s %s", hex, log_err(&e).s);
	else if (dropped)
		log_error("object.damaged",
			  "object=%s release=%s/%s dropped=true"
			  " next=\"publish that release again; look at the disk\"",
			  hex, r->product, r->version);
}

struct outcome {
	bool made;
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
	struct err why; /* not made */
};

/* The try counts. */
static bool note_try(struct deltas *d, const struct delta_task *t, const char *reason,
		     struct err *e)
{
	return deltas_retry(d->store, t, reason, e) &&
	       (t->tries < DELTAS_TRIES || count(d, &d->stats.failed));
}

static bool note_failure(struct deltas *d, const struct delta_task *t, const struct err *why,
			 struct err *e)
{
	char reason[LIMIT_TEXT + 1];

	snprintf(reason, sizeof(reason), "%s", why->text);
	switch (why->code) {
	case E_CANCELLED: /* the row is gone, and what is done to it nothing */
		return deltas_retry(d->store, t, reason, e) && count(d, &d->stats.cancelled);
	case E_TOO_BIG:
		return deltas_end(d->store, t, DELTA_USELESS, NULL, 0, "", e) &&
		       count(d, &d->stats.useless);
	case E_BUSY:
	case E_NO_SPACE:
		return deltas_put_back(d->store, t, is_ending(d) ? 0 : LATER_S, e);
	case E_UNAVAILABLE:
		if (is_ending(d))
			return deltas_put_back(d->store, t, 0, e);
		return note_try(d, t, "its process crashed", e) && count(d, &d->stats.lost);
	case E_TIMEOUT:
		return note_try(d, t, reason, e) && count(d, &d->stats.lost);
	case E_NOMEM:
		return note_try(d, t, reason, e);
	default:
		return deltas_end(d->store, t, DELTA_FAILED, NULL, 0, reason, e) &&
		       count(d, &d->stats.failed);
	}
}

static bool note(struct deltas *d, const struct delta_task *t, const struct outcome *o,
		 struct err *e)
{
	if (!o->made)
		return note_failure(d, t, &o->why, e);
	return deltas_end(d->store, t, DELTA_MADE, o->sha256, o->size, "", e) &&
	       count(d, &d->stats.made);
}

static void make_one(struct maker *m, const struct delta_task *t, struct outcome *ret)
{
	struct deltas *d = m->all;
	CLEANUP(making_done)
	struct making k = { .d = d, .m = m, .task = t, .channel = -1 };
	int64_t began = clock_boot_ms(d->clock);

	k.looked_ms = began;
	for (int i = 0; i < DELTA_FILES; i++)
		k.files[i] = -1;
	count(d, &d->stats.started);
	ret->made = make(&k, ret->sha256, &ret->size, &ret->why);
	if (!ret->made && ret->why.code == E_CORRUPT) {
		drop_if_damaged(&k, k.from);
		drop_if_damaged(&k, k.to);
	}
	if (ret->made)
		log_info("delta.made",
			 "release=%s/%s component=%s from=%s bytes=%" PRIu64 " full=%" PRIu64
			 " ms=%" PRId64,
			 t->product, t->to_version, t->component, t->from_version, ret->size,
			 k.order.to.object_size, clock_boot_ms(d->clock) - began);
	else
		log_info("delta.none", "release=%s/%s component=%s from=%s try=%u %s",
			 t->product, t->to_version, t->component, t->from_version, t->tries,
			 log_err(&ret->why).s);
}

/* ---- makers ------------------------------------------------------------------------------- */

static void set_busy(struct maker *m, const struct delta_task *t)
{
	pthread_mutex_lock(&m->all->lock);
	m->busy = t != NULL;
	m->done = m->total = 0;
	if (t)
		m->task = *t;
	pthread_mutex_unlock(&m->all->lock);
}

/* Returns false when it is time to end. */
static bool sleep_until(struct deltas *d, int64_t ms, uint64_t *wakes)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	pthread_mutex_lock(&d->lock);
	while (!d->ending && d->wakes == *wakes &&
	       pthread_cond_timedwait(&d->wake, &d->lock, &until) == 0)
		;
	*wakes = d->wakes;
	go_on = !d->ending;
	pthread_mutex_unlock(&d->lock);
	return go_on;
}

/* A task that was taken is not left without an end because the disk is full. */
static void note_for_sure(struct maker *m, const struct delta_task *t, const struct outcome *o,
			  uint64_t *wakes)
{
	struct err e;

	while (!note(m->all, t, o, &e)) {
		log_warn("deltas", "%s next=\"again in %d s\"", log_err(&e).s, LOOK_MS / 1000);
		if (!sleep_until(m->all, LOOK_MS, wakes))
			return;
	}
}

/* *ret_more: look again at once. */
static bool look(struct maker *m, uint64_t *wakes, bool *ret_more, struct err *e)
{
	struct deltas *d = m->all;
	struct outcome o = { .made = false };
	struct delta_task t;
	uint64_t added;

	if (!deltas_plan(d->store, &added, e) ||
	    !deltas_take(d->store, d->settings->delta_disk, FORMAT_VERSION, &t, ret_more, e))
		return false;
	if (!*ret_more)
		return true;
	set_busy(m, &t);
	make_one(m, &t, &o);
	note_for_sure(m, &t, &o, wakes);
	set_busy(m, NULL);
	return true;
}

static void *maker_main(void *arg)
{
	struct maker *m = arg;
	uint64_t wakes = 0;
	bool go_on = true;

	while (go_on) {
		bool more = false;
		struct err e;

		if (!look(m, &wakes, &more, &e)) {
			log_warn("deltas", "%s next=\"again in %d s\"", log_err(&e).s,
				 LOOK_MS / 1000);
			more = false;
		}
		go_on = more ? !is_ending(m->all) : sleep_until(m->all, LOOK_MS, &wakes);
	}
	return NULL;
}

static bool start_makers(struct deltas *d, struct err *e)
{
	for (uint64_t i = 0; i < d->settings->delta_processes && i < MAKERS_MAX; i++) {
		struct maker *m = &d->makers[i];

		m->all = d;
		m->started = pthread_create(&m->thread, NULL, maker_main, m) == 0;
		if (!m->started)
			return err_set(e, E_NOMEM, "no thread for deltas");
	}
	return true;
}

bool deltas_new(struct deltas **ret, struct store *store, const struct settings *s,
		const struct clock *clock, int fd, int control, uint32_t first_id,
		struct err *e)
{
	struct deltas *d;
	pthread_condattr_t attr;

	if (!deltas_reset(store, FORMAT_VERSION, e))
		return false;
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_nomem(e);
	d->store = store;
	d->settings = s;
	d->clock = clock;
	d->fd = fd;
	d->control = control;
	d->next_id = first_id;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&d->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (!start_makers(d, e)) {
		deltas_free(d);
		return false;
	}
	*ret = d;
	return true;
}

void deltas_stop(struct deltas *d)
{
	pthread_mutex_lock(&d->lock);
	d->ending = true;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

void deltas_free(struct deltas *d)
{
	if (!d)
		return;
	deltas_stop(d);
	for (int i = 0; i < MAKERS_MAX; i++) {
		if (d->makers[i].started)
			pthread_join(d->makers[i].thread, NULL);
	}
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void deltas_wake(struct deltas *d)
{
	pthread_mutex_lock(&d->lock);
	d->wakes++;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

/* ---- offers and numbers ------------------------------------------------------------------- */

static bool offer_one(struct deltas *d, struct offer *o, const struct release_ref *runs,
		      const char *version, bool *wants, struct err *e)
{
	struct delta_offer found;
	bool made, row;

	if (!deltas_find(d->store, runs->product, runs->version, version, o->component, &found,
			 &made, &row, e))
		return false;
	*wants |= !row;
	if (!made)
		return true;
	struct offer_delta *to = &o->deltas[o->n_deltas++];
	memcpy(to->from, found.from_root, SHA256_SIZE);
	memcpy(to->object.sha256, found.sha256, SHA256_SIZE);
	to->object.size = found.size;
	to->coding = FORMAT_VERSION; /* deltas_reset has forgotten all others */
	count(d, &d->stats.offered);
	return true;
}

void deltas_offer(struct deltas *d, struct offer *offers, size_t n,
		  const struct release_ref *runs, const char *product, const char *version)
{
	bool wants = false, ok = true;
	struct err e;

	if (strcmp(runs->product, product) != 0 || strcmp(runs->version, version) == 0)
		return;
	for (size_t i = 0; ok && i < n; i++)
		ok = offer_one(d, &offers[i], runs, version, &wants, &e);
	if (ok && wants && d->settings->delta_processes > 0)
		ok = deltas_want(d->store, product, runs->version, version, &e);
	if (!ok)
		log_warn("delta.offer", "%s", log_err(&e).s);
	else if (wants)
		deltas_wake(d);
}

bool deltas_progress(struct deltas *d, const char *product, const char *version,
		     const char *component, const char *from_version, uint64_t *ret_done,
		     uint64_t *ret_total)
{
	bool found = false;

	pthread_mutex_lock(&d->lock);
	for (int i = 0; i < MAKERS_MAX && !found; i++) {
		const struct maker *m = &d->makers[i];

		found = m->busy && strcmp(m->task.product, product) == 0 &&
			strcmp(m->task.to_version, version) == 0 &&
			strcmp(m->task.component, component) == 0 &&
			strcmp(m->task.from_version, from_version) == 0;
		if (found) {
			*ret_done = m->done;
			*ret_total = m->total;
		}
	}
	pthread_mutex_unlock(&d->lock);
	return found;
}

void deltas_stats(struct deltas *d, struct deltas_stats *ret)
{
	pthread_mutex_lock(&d->lock);
	*ret = d->stats;
	pthread_mutex_unlock(&d->lock);
}
