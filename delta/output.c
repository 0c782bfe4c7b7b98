#include "delta/output.h"
#include "base/io.h"

#include <stdlib.h>

struct waiting {
	bool is_here;
	uint64_t at; /* in the spool */
};

bool output_init(struct output *o, struct err *e)
{
	o->end = o->brought = 0;
	o->next = 0;
	o->waiting = calloc(o->n_frames + 1, sizeof(*o->waiting));
	if (!o->waiting)
		return err_nomem(e);
	pthread_mutex_init(&o->lock, NULL);
	return true;
}

void output_done(struct output *o)
{
	if (!o->waiting)
		return;
	pthread_mutex_destroy(&o->lock);
	free(TAKE(o->waiting));
}

static bool put(struct output *o, const uint8_t *p, size_t n, struct err *e)
{
	if (!pwrite_all(o->fd, p, n, o->start + o->end, e))
		return err_wrap(e, "delta");
	o->end += n;
	return true;
}

enum { PART = 32768 };

static bool put_spooled(struct output *o, uint64_t at, uint64_t n, struct err *e)
{
	uint8_t block[PART];

	while (n > 0) {
		size_t part = n < sizeof(block) ? (size_t)n : sizeof(block);

		if (!spool_get(o->spool, at, block, part, e) || !put(o, block, part, e))
			return false;
		at += part;
		n -= part;
	}
	return true;
}

/* The frame whose turn it is: from p, or from the spool when p is NULL. */
static bool put_next(struct output *o, const uint8_t *p, struct err *e)
{
	struct format_frame *f = &o->frames[o->next];

	f->coded_offset = o->end;
	if (!(p ? put(o, p, f->coded, e) : put_spooled(o, o->waiting[o->next].at, f->coded, e)))
		return false;
	o->next++;
	return true;
}

static bool bring(struct output *o, size_t frame, const uint8_t *p, size_t n, struct err *e)
{
	struct waiting *w = &o->waiting[frame];

	o->frames[frame].coded = (uint32_t)n;
	o->brought += n;
	if (o->max && o->start + o->brought > o->max)
		return err_set(e, E_TOO_BIG, "the delta would have more than %llu bytes",
			       (unsigned long long)o->max);
	if (frame != o->next) {
		w->is_here = spool_put(o->spool, p, n, &w->at, e);
		return w->is_here;
	}
	if (!put_next(o, p, e))
		return false;
	while (o->next < o->n_frames && o->waiting[o->next].is_here)
		if (!put_next(o, NULL, e))
			return false;
	return true;
}

bool output_frame(struct output *o, size_t frame, const uint8_t *p, size_t n, struct err *e)
{
	pthread_mutex_lock(&o->lock);
	bool ok = bring(o, frame, p, n, e);
	pthread_mutex_unlock(&o->lock);
	return ok;
}

bool output_move(struct output *o, uint64_t start, struct err *e)
{
	uint8_t block[PART];

	for (uint64_t at = 0; at < o->end && start != o->start; at += PART) {
		size_t n = o->end - at < PART ? (size_t)(o->end - at) : PART;

		if (!pread_all(o->fd, block, n, o->start + at, e) ||
		    !pwrite_all(o->fd, block, n, start + at, e))
			return err_wrap(e, "delta");
	}
	o->start = start;
	return true;
}
