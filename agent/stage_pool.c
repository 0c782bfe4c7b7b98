#include "agent/stage_priv.h"

#include "agent/crashpoint.h"
#include "base/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MAX = 4, QUEUE_PER_THREAD = 2 };

/* ---- the file ---------------------------------------------------------------------------- */

bool stage_file_start(struct stage_file *f, uint32_t frame_size, struct err *e)
{
	f->unit_bytes = frame_size > VERITY_GROUP ? frame_size : VERITY_GROUP;
	f->good = calloc((f->tree->geo.groups + 7) / 8, 1);
	return f->good ? true : err_nomem(e);
}

void stage_file_done(struct stage_file *f)
{
	fd_closep(&f->fd);
	fd_closep(&f->hash_fd);
	verity_tree_free(f->tree);
	seekable_table_free(f->table);
	free(f->good);
	*f = STAGE_FILE_INIT;
}

bool stage_file_put_leaf(const struct stage_file *f, uint64_t group,
			 const uint8_t leaf[static VERITY_BLOCK], struct err *e)
{
	if (f->tree->geo.levels == 0)
		return true;
	return pwrite_all(f->hash_fd, leaf, VERITY_BLOCK,
			  verity_leaf_offset(&f->tree->geo, group), e);
}

void stage_file_set_good(struct stage_file *f, uint64_t group)
{
	f->good[group / 8] |= (uint8_t)(1u << group % 8);
}

bool stage_file_is_good(const struct stage_file *f, uint64_t group)
{
	return f->good[group / 8] >> group % 8 & 1;
}

bool stage_file_all_good(const struct stage_file *f)
{
	for (uint64_t g = 0; g < f->tree->geo.groups; g++)
		if (!stage_file_is_good(f, g))
			return false;
	return true;
}

uint64_t stage_units(const struct stage_file *f)
{
	return (f->tree->geo.padded_size + f->unit_bytes - 1) / f->unit_bytes;
}

static uint64_t unit_first_group(const struct stage_file *f, uint64_t unit)
{
	return unit * (f->unit_bytes / VERITY_GROUP);
}

static uint64_t unit_end_group(const struct stage_file *f, uint64_t unit)
{
	uint64_t end = unit_first_group(f, unit + 1);

	return end < f->tree->geo.groups ? end : f->tree->geo.groups;
}

bool stage_unit_is_good(const struct stage_file *f, uint64_t unit)
{
	for (uint64_t g = unit_first_group(f, unit); g < unit_end_group(f, unit); g++)
		if (!stage_file_is_good(f, g))
			return false;
	return true;
}

static uint32_t unit_first_frame(const struct stage_file *f, uint64_t unit)
{
	uint64_t frame = unit * (f->unit_bytes / f->table->frame_size);

	return frame < f->table->frames ? (uint32_t)frame : f->table->frames;
}

uint64_t stage_unit_object_start(const struct stage_file *f, uint64_t unit)
{
	return f->table->starts[unit_first_frame(f, unit)];
}

/* ---- units ------------------------------------------------------------------------------- */

void stage_unit_free(struct stage_unit *u)
{
	free(u);
}

size_t stage_unit_add(struct stage_unit *u, const void *p, size_t n)
{
	size_t take = n < u->want - u->n ? n : u->want - u->n;

	memcpy(u->bytes + u->n, p, take);
	u->n += take;
	return take;
}

bool stage_unit_is_full(const struct stage_unit *u)
{
	return u->n == u->want;
}

/* ---- the threads ------------------------------------------------------------------------- */

struct stage_pool {
	struct stage_file *f;
	struct stage_progress *progress;
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	/* Guarded by the lock. */
	struct stage_unit *head, **tail;
	unsigned queued, queue_max;
	bool ending, failed;
	struct err err;

	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
};

static bool decode_unit(const struct stage_file *f, const struct stage_unit *u,
			struct zst_dec *dec, uint8_t *plain, struct err *e)
{
	uint32_t end = unit_first_frame(f, u->unit + 1);
	const uint8_t *p = u->bytes;

	for (uint32_t i = unit_first_frame(f, u->unit); i < end; i++) {
		struct seekable_frame frame = seekable_frame_get(f->table, i);

		if (!seekable_frame_decode(dec, &frame, plain, p, frame.object_bytes, e))
			return err_wrap(e, "frame %" PRIu32, i);
		p += frame.object_bytes;
		plain += frame.plain_bytes;
	}
	return true;
}

/* Tests end the agent at each tenth of an update. */
static void count_done(struct stage_pool *p, size_t n)
{
	static const char *const points[] = { "",         "stage-10", "stage-20", "stage-30",
					      "stage-40", "stage-50", "stage-60", "stage-70",
					      "stage-80", "stage-90", "" };
	uint64_t total = atomic_load(&p->progress->total_bytes);
	uint64_t before = atomic_fetch_add(&p->progress->done_bytes, n);

	for (uint64_t tenth = before * 10 / total + 1; tenth <= (before + n) * 10 / total;
	     tenth++)
		crash_point(points[tenth]);
}

/* Verified first, written afterwards; a group that was good is left alone. */
static bool write_groups(struct stage_pool *p, uint64_t unit, const uint8_t *plain,
			 struct err *e)
{
	struct stage_file *f = p->f;

	for (uint64_t g = unit_first_group(f, unit); g < unit_end_group(f, unit); g++) {
		size_t n = verity_group_size(&f->tree->geo, g);
		uint8_t leaf[VERITY_BLOCK];

		pthread_mutex_lock(&p->lock);
		bool good = stage_file_is_good(f, g);
		pthread_mutex_unlock(&p->lock);
		if (!good) {
			if (!verity_group_check(f->tree, g, plain, n, leaf, e) ||
			    !pwrite_all(f->fd, plain, n, g * VERITY_GROUP, e) ||
			    !stage_file_put_leaf(f, g, leaf, e))
				return false;
			pthread_mutex_lock(&p->lock);
			stage_file_set_good(f, g);
			pthread_mutex_unlock(&p->lock);
			count_done(p, n);
		}
		plain += n;
	}
	return true;
}

static void fail_pool(struct stage_pool *p, const struct err *e)
{
	pthread_mutex_lock(&p->lock);
	if (!p->failed)
		p->err = *e;
	p->failed = true;
	pthread_cond_broadcast(&p->less);
	pthread_mutex_unlock(&p->lock);
}

static struct stage_unit *next_unit(struct stage_pool *p)
{
	struct stage_unit *u;

	pthread_mutex_lock(&p->lock);
	while (!p->head && !p->ending)
		pthread_cond_wait(&p->more, &p->lock);
	u = p->head;
	if (u) {
		p->head = u->next;
		if (!p->head)
			p->tail = &p->head;
		p->queued--;
		pthread_cond_signal(&p->less);
	}
	pthread_mutex_unlock(&p->lock);
	return u;
}

static void *work(void *arg)
{
	struct stage_pool *p = arg;
	CLEANUP(zst_dec_freep) struct zst_dec *dec = NULL;
	uint8_t *plain = malloc(p->f->unit_bytes);
	struct stage_unit *u;
	struct err e;

	bool ok = (plain || err_nomem(&e)) && zst_dec_new(&dec, &e);
	if (!ok)
		fail_pool(p, &e);
	while ((u = next_unit(p))) {
		/* After a failure the queue is only emptied. */
		ok = ok && decode_unit(p->f, u, dec, plain, &e) &&
		     write_groups(p, u->unit, plain, &e);
		if (!ok)
			fail_pool(p, &e);
		stage_unit_free(u);
	}
	free(plain);
	return NULL;
}

static unsigned choose_threads(unsigned wanted)
{
	long cpus = wanted ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (unsigned)cpus;
}

static void free_pool(struct stage_pool *p)
{
	pthread_cond_destroy(&p->more);
	pthread_cond_destroy(&p->less);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

bool stage_pool_new(struct stage_pool **ret, struct stage_file *f, unsigned threads,
		    struct stage_progress *progress, struct err *e)
{
	struct stage_pool *p = calloc(1, sizeof(*p));
	unsigned n = choose_threads(threads);
	int rc = 0;

	if (!p)
		return err_nomem(e);
	p->f = f;
	p->progress = progress;
	p->tail = &p->head;
	p->queue_max = n * QUEUE_PER_THREAD;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	pthread_cond_init(&p->less, NULL);
	while (p->n_threads < n && rc == 0) {
		rc = pthread_create(&p->threads[p->n_threads], NULL, work, p);
		p->n_threads += rc == 0;
	}
	if (p->n_threads == 0) {
		free_pool(p);
		return err_sys(e, rc, "threads");
	}
	*ret = p;
	return true;
}

static bool pool_error(struct stage_pool *p, struct err *e)
{
	bool failed;

	pthread_mutex_lock(&p->lock);
	failed = p->failed;
	if (failed)
		*e = p->err;
	pthread_mutex_unlock(&p->lock);
	return !failed;
}

bool stage_pool_unit(struct stage_pool *p, uint64_t unit, struct stage_unit **ret,
		     struct err *e)
{
	uint64_t want =
		stage_unit_object_start(p->f, unit + 1) - stage_unit_object_start(p->f, unit);
	struct stage_unit *u;

	if (!pool_error(p, e))
		return false;
	u = malloc(sizeof(*u) + want);
	if (!u)
		return err_nomem(e);
	*u = (struct stage_unit){ .unit = unit, .want = want };
	*ret = u;
	return true;
}

bool stage_pool_give(struct stage_pool *p, struct stage_unit *u, struct err *e)
{
	pthread_mutex_lock(&p->lock);
	while (p->queued >= p->queue_max && !p->failed)
		pthread_cond_wait(&p->less, &p->lock);
	u->next = NULL;
	*p->tail = u;
	p->tail = &u->next;
	p->queued++;
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
	return pool_error(p, e);
}

bool stage_pool_finish(struct stage_pool *p, struct err *e)
{
	bool ok;

	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	ok = pool_error(p, e);
	free_pool(p);
	return ok;
}
