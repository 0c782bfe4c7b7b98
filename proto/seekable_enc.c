/* Writing seekable objects.  Frame f lives in slot f % n_slots and goes
 *
 *	       end_frame            take_slot            thread_main           write_slot
 *	EMPTY ────────────> READY ────────────> TAKEN ─────────────> DONE ──────────────> EMPTY
 *
 * so frames leave in order, whatever thread was faster, and at most n_slots are in memory. */
#include "base/bytes.h"
#include "base/limits.h"
#include "proto/seekable.h"
#include "proto/seekable_priv.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64 };

enum slot_state { EMPTY, READY, TAKEN, DONE };

struct slot {
	enum slot_state state; /* under lock if there are threads */
	uint8_t *plain;
	size_t plain_n;
	struct buf out;
	bool failed;
	struct err err;
};

struct seekable_enc {
	uint32_t frame_size;
	int level;
	seekable_sink *sink;
	void *arg;
	struct buf entries; /* of the table */
	uint64_t object_size;
	bool broken; /* after a failure nothing more is written */

	struct slot *slots;
	unsigned n_slots;
	uint64_t filling, writing; /* frame numbers; the caller's */

	struct zst_enc *own; /* without threads */
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
	pthread_mutex_t lock;
	pthread_cond_t ready, done;
	uint64_t taking; /* under lock: next frame for a thread */
	bool ending;     /* under lock */
};

static void encode_slot(struct zst_enc *zst, struct slot *s)
{
	buf_reset(&s->out);
	s->failed = !zst_frame_encode(zst, &s->out, s->plain, s->plain_n, &s->err);
}

/* ---- threads ---- */

/* The next frame to encode; NULL at the end. */
static struct slot *take_slot(struct seekable_enc *z)
{
	struct slot *s = NULL;

	pthread_mutex_lock(&z->lock);
	while (!z->ending && z->slots[z->taking % z->n_slots].state != READY)
		pthread_cond_wait(&z->ready, &z->lock);
	if (!z->ending) {
		s = &z->slots[z->taking++ % z->n_slots];
		s->state = TAKEN;
	}
	pthread_mutex_unlock(&z->lock);
	return s;
}

static void *thread_main(void *arg)
{
	struct seekable_enc *z = arg;
	struct zst_enc *zst = NULL;
	struct err why;
	bool ok = zst_enc_new(&zst, z->level, &why);

	for (struct slot *s; (s = take_slot(z));) {
		if (ok) {
			encode_slot(zst, s);
		} else {
			s->failed = true;
			s->err = why;
		}
		pthread_mutex_lock(&z->lock);
		s->state = DONE;
		pthread_cond_signal(&z->done);
		pthread_mutex_unlock(&z->lock);
	}
	zst_enc_free(zst);
	return NULL;
}

static void set_state(struct seekable_enc *z, struct slot *s, enum slot_state state)
{
	pthread_mutex_lock(&z->lock);
	s->state = state;
	pthread_cond_signal(&z->ready);
	pthread_mutex_unlock(&z->lock);
}

static void wait_done(struct seekable_enc *z, struct slot *s)
{
	pthread_mutex_lock(&z->lock);
	while (s->state != DONE)
		pthread_cond_wait(&z->done, &z->lock);
	pthread_mutex_unlock(&z->lock);
}

/* ---- life ---- */

static bool alloc_slots(struct seekable_enc *z, struct err *e)
{
	z->slots = calloc(z->n_slots, sizeof(*z->slots));
	if (!z->slots)
		return err_nomem(e);
	for (unsigned i = 0; i < z->n_slots; i++) {
		buf_init(&z->slots[i].out, zst_bound(z->frame_size));
		z->slots[i].plain = malloc(z->frame_size);
		if (!z->slots[i].plain)
			return err_nomem(e);
	}
	return true;
}

/* If none can be started, the caller's thread does the work. */
static bool start_threads(struct seekable_enc *z, unsigned want, struct err *e)
{
	while (want > 1 && z->n_threads < want && z->n_threads < THREADS_MAX &&
	       pthread_create(&z->threads[z->n_threads], NULL, thread_main, z) == 0)
		z->n_threads++;
	return z->n_threads > 0 || zst_enc_new(&z->own, z->level, e);
}

bool seekable_enc_new(struct seekable_enc **ret, uint32_t frame_size, int level,
		      unsigned threads, seekable_sink *sink, void *arg, struct err *e)
{
	CLEANUP(seekable_enc_freep) struct seekable_enc *z = calloc(1, sizeof(*z));

	if (!z)
		return err_nomem(e);
	assert(seekable_frame_size_ok(frame_size));
	pthread_mutex_init(&z->lock, NULL);
	pthread_cond_init(&z->ready, NULL);
	pthread_cond_init(&z->done, NULL);
	z->frame_size = frame_size;
	z->level = level;
	z->sink = sink;
	z->arg = arg;
	z->n_slots = threads > 1 ? 2 * threads : 1;
	buf_init(&z->entries, (size_t)LIMIT_SEEK_FRAMES * 8);
	if (!alloc_slots(z, e) || !start_threads(z, threads, e))
		return false;
	*ret = TAKE(z);
	return true;
}

void seekable_enc_free(struct seekable_enc *z)
{
	if (!z)
		return;
	pthread_mutex_lock(&z->lock);
	z->ending = true;
	pthread_cond_broadcast(&z->ready);
	pthread_mutex_unlock(&z->lock);
	for (unsigned i = 0; i < z->n_threads; i++)
		pthread_join(z->threads[i], NULL);
	for (unsigned i = 0; z->slots && i < z->n_slots; i++) {
		free(z->slots[i].plain);
		buf_done(&z->slots[i].out);
	}
	free(z->slots);
	buf_done(&z->entries);
	zst_enc_free(z->own);
	pthread_cond_destroy(&z->done);
	pthread_cond_destroy(&z->ready);
	pthread_mutex_destroy(&z->lock);
	free(z);
}

/* ---- frames ---- */

static bool put_sink(struct seekable_enc *z, const void *p, size_t n, struct err *e)
{
	z->object_size += n;
	return z->sink(z->arg, p, n, e);
}

/* The oldest frame goes out, after its thread is done with it. */
static bool write_slot(struct seekable_enc *z, struct err *e)
{
	struct slot *s = &z->slots[z->writing % z->n_slots];
	uint8_t entry[8];

	if (z->n_threads > 0)
		wait_done(z, s);
	if (s->failed) {
		*e = s->err;
		return false;
	}
	put_le32(entry, (uint32_t)s->out.n);
	put_le32(entry + 4, (uint32_t)s->plain_n);
	if (!put_sink(z, s->out.p, s->out.n, e) ||
	    !buf_add(&z->entries, entry, sizeof(entry), e))
		return false;
	s->plain_n = 0;
	z->writing++;
	set_state(z, s, EMPTY);
	return true;
}

static bool end_frame(struct seekable_enc *z, struct err *e)
{
	struct slot *s = &z->slots[z->filling++ % z->n_slots];

	if (z->n_threads > 0) {
		set_state(z, s, READY);
	} else {
		encode_slot(z->own, s);
		s->state = DONE;
	}
	/* The slot of the next frame must be empty. */
	return z->filling - z->writing < z->n_slots || write_slot(z, e);
}

static bool add(struct seekable_enc *z, const uint8_t *p, size_t n, struct err *e)
{
	while (n > 0) {
		struct slot *s = &z->slots[z->filling % z->n_slots];
		size_t room = z->frame_size - s->plain_n, step = n < room ? n : room;

		if (z->filling >= LIMIT_SEEK_FRAMES)
			return err_set(e, E_TOO_BIG, "more than %d frames", LIMIT_SEEK_FRAMES);
		memcpy(s->plain + s->plain_n, p, step);
		s->plain_n += step;
		p += step;
		n -= step;
		if (s->plain_n == z->frame_size && !end_frame(z, e))
			return false;
	}
	return true;
}

bool seekable_enc_add(struct seekable_enc *z, const void *p, size_t n, struct err *e)
{
	assert(!z->broken);
	z->broken = !add(z, p, n, e);
	return !z->broken;
}

static bool write_table(struct seekable_enc *z, struct err *e)
{
	CLEANUP(buf_done) struct buf table = BUF_INIT(z->entries.n + 64);

	return seekable_table_encode(&table, z->entries.p, (uint32_t)z->writing, e) &&
	       put_sink(z, table.p, table.n, e);
}

bool seekable_enc_finish(struct seekable_enc *z, uint64_t *ret_object_size, struct err *e)
{
	assert(!z->broken);
	z->broken = true; /* once */
	if (z->slots[z->filling % z->n_slots].plain_n > 0 && !end_frame(z, e))
		return false;
	while (z->writing < z->filling)
		if (!write_slot(z, e))
			return false;
	if (!write_table(z, e))
		return false;
	*ret_object_size = z->object_size;
	return true;
}
