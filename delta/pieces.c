/* The new image in pieces: raw ones, streams where their first part lies, and their other parts. */
#include "delta/sight.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = 4096 /* parts kept at a time */ };

/* ---- places ---- */

static int by_offset(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

bool places_of(struct place **ret, size_t *ret_n, const struct streams *all, const bool *which,
	       struct err *e)
{
	struct place *v = reallocarray(NULL, all->n + all->n_more + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return err_nomem(e);
	for (size_t i = 0; i < all->n; i++) {
		const struct stream *s = &all->v[i];
		uint32_t at = 0;

		if (which && !which[i])
			continue;
		for (uint32_t part = 0; part <= s->n_more; part++) {
			struct place *p = &v[n++];

			*p = (struct place){ .stream = i, .part = part };
			p->size = stream_place(all, s, at, &p->offset);
			at += p->size;
		}
	}
	qsort(v, n, sizeof(*v), by_offset);
	*ret = v;
	*ret_n = n;
	return true;
}

/* ---- pieces ---- */

static struct sight_piece *piece_add(struct sight *s, const struct piece *p, struct err *e)
{
	if (s->n_pieces == s->cap_pieces) {
		size_t cap = s->cap_pieces ? 2 * s->cap_pieces : 64;
		struct sight_piece *v = reallocarray(s->pieces, cap, sizeof(*v));

		if (!v) {
			err_nomem(e);
			return NULL;
		}
		s->pieces = v;
		s->cap_pieces = cap;
	}
	s->pieces[s->n_pieces] =
		(struct sight_piece){ .piece = *p, .guess = p->offset, .recipe = BUF_INIT(0) };
	return &s->pieces[s->n_pieces++];
}

static bool raw_add(struct sight *s, uint64_t from, uint64_t to, struct err *e)
{
	const struct piece raw = { .offset = from, .size = to - from };

	return from == to || piece_add(s, &raw, e);
}

/* Where the plain bytes of the old stream closest to `offset` in the image begin. */
static uint64_t guess_for(const struct space *space, uint64_t offset, size_t *hint)
{
	const struct streams *t = &space->streams;

	if (!t->n)
		return UINT64_MAX;
	while (*hint + 1 < t->n && t->v[*hint].offset < offset)
		++*hint;
	return space->starts[*hint];
}

/* The runs of a stream in parts, which come out nowhere yet. */
static bool runs_add(struct sight *s, const struct streams *all, const struct stream *v,
		     struct err *e)
{
	uint32_t at = 0;

	if (v->n_more + 1 > s->cap_runs - s->n_runs) {
		size_t cap = 2 * s->cap_runs + v->n_more + 1;
		struct run *r = reallocarray(s->runs, cap, sizeof(*r));

		if (!r)
			return err_nomem(e);
		s->runs = r;
		s->cap_runs = cap;
	}
	for (uint32_t part = 0; part <= v->n_more; part++) {
		uint64_t offset;
		uint32_t size = stream_place(all, v, at, &offset);

		s->runs[s->n_runs++] = (struct run){ .size = size, .piece = RUN_DROPPED };
		at += size;
	}
	return true;
}

static bool stream_add(struct sight *s, const struct sight_streams *in,
		       const struct place *place, size_t *hint, struct err *e)
{
	const struct stream *v = &in->all->v[place->stream];
	struct piece p = { .offset = place->offset,
			   .size = place->size,
			   .plain_size = v->plain_size,
			   .transform = v->transform,
			   .run = (uint32_t)s->n_runs,
			   .n_runs = v->n_more ? v->n_more + 1 : 0 };
	struct sight_piece *q;

	if (v->n_more) {
		if (!runs_add(s, in->all, v, e))
			return false;
		s->runs[p.run + place->part].piece = (uint32_t)s->n_pieces;
	}
	q = piece_add(s, &p, e);
	if (!q)
		return false;
	q->start = in->at[place->stream];
	q->guess = guess_for(&s->space, v->offset, hint);
	q->recipe = in->recipes[place->stream];
	in->recipes[place->stream] = BUF_INIT(0);
	return true;
}

static bool kept_add(struct sight *s, size_t stream, const struct place *place, struct err *e)
{
	const struct piece p = { .offset = place->offset,
				 .size = place->size,
				 .is_kept = true,
				 .run = s->pieces[stream].piece.run + place->part };
	struct sight_piece *q = piece_add(s, &p, e);

	if (!q)
		return false;
	q->stream = stream;
	s->runs[p.run].piece = (uint32_t)(s->n_pieces - 1);
	return true;
}

static bool make_pieces(struct sight *s, const struct sight_streams *in,
			const struct place *places, size_t n, size_t *begun, struct err *e)
{
	uint64_t at = 0;
	size_t hint = 0;

	for (size_t i = 0; i < n; i++) {
		const struct place *p = &places[i];
		size_t *stream = &begun[p->stream];

		if (!raw_add(s, at, p->offset, e))
			return false;
		at = p->offset + p->size;
		if (*stream) { /* a piece and 1; 0: it did not begin yet */
			if (!kept_add(s, *stream - 1, p, e))
				return false;
			continue;
		}
		if (!stream_add(s, in, p, &hint, e))
			return false;
		*stream = s->n_pieces;
	}
	return raw_add(s, at, s->new_size, e);
}

/* ---- what is kept ---- */

struct keeping {
	struct sight *sight;
	uint32_t runs[KEPT_MAX + 1];
	size_t n;
	uint64_t bytes;
};

static void keeping_remove(struct keeping *k, size_t i)
{
	k->bytes -= k->sight->runs[k->runs[i]].size;
	k->runs[i] = k->runs[--k->n];
}

/* When there is too much, what would have to wait longest is coded again in its place. */
static void keeping_add(struct keeping *k, uint32_t run)
{
	const struct run *r = k->sight->runs;

	k->runs[k->n++] = run;
	k->bytes += r[run].size;
	while (k->bytes > LIMIT_DELTA_KEPT || k->n > KEPT_MAX) {
		size_t last = 0;

		for (size_t i = 1; i < k->n; i++)
			if (r[k->runs[i]].piece > r[k->runs[last]].piece)
				last = i;
		k->sight->pieces[r[k->runs[last]].piece].is_again = true;
		keeping_remove(k, last);
	}
}

static void keeping_end(struct keeping *k, uint32_t run)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->runs[i] == run) {
			keeping_remove(k, i);
			return;
		}
}

static bool plan_keeping(struct sight *s, struct err *e)
{
	struct keeping *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem(e);
	k->sight = s;
	for (size_t i = 0; i < s->n_pieces; i++) {
		const struct piece *p = &s->pieces[i].piece;

		if (p->is_kept)
			keeping_end(k, p->run);
		for (uint32_t run = 0; run < p->n_runs; run++)
			if (s->runs[p->run + run].piece != i)
				keeping_add(k, p->run + run);
	}
	free(k);
	return true;
}

bool sight_pieces(struct sight *s, const struct sight_streams *in, struct err *e)
{
	size_t *begun = calloc(in->all->n + 1, sizeof(*begun)), n = 0;
	struct place *places = NULL;
	bool ok = begun ? places_of(&places, &n, in->all, in->open, e) : err_nomem(e);

	ok = ok && make_pieces(s, in, places, n, begun, e) && plan_keeping(s, e);
	free(places);
	free(begun);
	return ok;
}
