#include "delta/cut.h"

#include <stdlib.h>
#include <string.h>

enum {
	FRAME_COST = 8 << 20, /* estimated coded bytes of a frame */
	BULK_LESS =
		4, /* bulk takes a tenth of the time of what is mixed, but its frames are kept in memory */
};

/* A stream in parts, as it was coded last but for its kept parts: those behind it in the same frame
 * take their bytes from there. */
struct coded {
	size_t frame; /* and 1 */
	uint32_t run; /* its first one there */
	uint32_t first_op, n_ops;
};

bool cutter_init(struct cutter *k, const struct sight *s, struct spool *spool, struct err *e)
{
	*k = (struct cutter){ .sight = s, .spool = spool };
	k->coded = calloc(s->n_pieces + 1, sizeof(*k->coded));
	return k->coded || err_nomem(e);
}

void cutter_done(struct cutter *k)
{
	for (size_t i = 0; i < k->n_frames; i++)
		runs_done(&k->frames[i].runs);
	free(k->frames);
	free(k->pieces);
	free(k->sources);
	free(k->coded);
	ops_done(&k->open);
	*k = (struct cutter){ 0 };
}

/* ---- frames ---- */

static struct frame *last_frame(struct cutter *k)
{
	return &k->frames[k->n_frames - 1];
}

static bool frame_end(struct cutter *k, struct err *e)
{
	struct frame *f;

	if (!k->n_frames)
		return true;
	f = last_frame(k);
	f->runs.n = 0;
	for (size_t i = 0; i < f->n_pieces; i++)
		f->bytes += k->pieces[f->first_piece + i].size;
	if (!spool_put(k->spool, k->open.v, k->open.n * sizeof(*k->open.v), &f->ops_at, e))
		return false;
	k->open.n = 0;
	return true;
}

static bool frame_new(struct cutter *k, struct err *e)
{
	uint64_t first = 0;

	if (!frame_end(k, e))
		return false;
	if (k->n_frames == k->cap_frames) {
		size_t cap = k->cap_frames ? 2 * k->cap_frames : 8;
		struct frame *v = reallocarray(k->frames, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		k->frames = v;
		k->cap_frames = cap;
	}
	if (k->n_frames)
		first = last_frame(k)->first + last_frame(k)->bytes;
	k->frames[k->n_frames++] = (struct frame){ .first_piece = k->n_pieces, .first = first };
	k->cost = 0;
	return true;
}

static struct piece *piece_new(struct cutter *k, const struct piece *like, size_t source,
			       struct err *e)
{
	if (k->n_pieces == k->cap_pieces) {
		size_t cap = k->cap_pieces ? 2 * k->cap_pieces : 64;
		struct piece *v = reallocarray(k->pieces, cap, sizeof(*v));

		k->pieces = v ? v : k->pieces;
		size_t *sources = reallocarray(k->sources, cap, sizeof(*sources));
		k->sources = sources ? sources : k->sources;
		if (!v || !sources) {
			err_nomem(e);
			return NULL;
		}
		k->cap_pieces = cap;
	}
	struct piece *p = &k->pieces[k->n_pieces];
	k->sources[k->n_pieces++] = source;
	*p = *like;
	p->ops = 0;
	p->first_op = (uint32_t)k->open.n;
	last_frame(k)->n_pieces++;
	return p;
}

static uint64_t cost_of(const struct cutter *k, const struct piece *p, const struct op *op)
{
	bool bulk = k->bulk && !p->transform && op->n >= CODE_BULK_MIN;

	if (op->kind == OP_INSERT)
		return 3 + op->n / (bulk ? BULK_LESS : 2);
	return op->kind == OP_ADD ? 4 + op->n / 16 : 4;
}

static bool op_new(struct cutter *k, struct piece *p, const struct op *op, struct err *e)
{
	uint64_t *bytes = op->kind == OP_INSERT ? &k->inserted_bytes
			  : op->kind == OP_ZERO ? &k->zero_bytes
						: &k->copied_bytes;

	*bytes += op->n;
	p->ops++;
	last_frame(k)->n_ops++;
	k->cost += cost_of(k, p, op);
	return ops_append(&k->open, op, e);
}

/* ---- raw pieces ---- */

/* The one that the last portion was for, if it is this. */
static struct piece *raw_begun(struct cutter *k, size_t source)
{
	size_t n = k->n_pieces;

	return n && k->sources[n - 1] == source ? &k->pieces[n - 1] : NULL;
}

static bool cut_raw(struct cutter *k, size_t source, const struct op *v, size_t n,
		    struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct piece *p = raw_begun(k, source);
		struct piece next = { .offset = p ? p->offset + p->size
						  : k->sight->pieces[source].piece.offset };

		if (!k->n_frames || k->open.n >= CUT_OPS_MAX || k->cost > FRAME_COST) {
			if (!frame_new(k, e))
				return false;
			p = NULL;
		}
		if (!p && !(p = piece_new(k, &next, source, e)))
			return false;
		p->size += v[i].n;
		if (!op_new(k, p, &v[i], e))
			return false;
	}
	return true;
}

/* ---- streams ---- */

static bool is_full(struct cutter *k, const struct piece *like, size_t n_ops)
{
	const struct frame *f = k->n_frames ? last_frame(k) : NULL;

	return !f || k->open.n + n_ops > CUT_OPS_MAX || k->cost > FRAME_COST ||
	       f->n_pieces >= LIMIT_DELTA_STREAMS ||
	       f->runs.n + like->n_runs > LIMIT_DELTA_PARTS;
}

/* The runs of a stream in parts, of which number `out` comes out at once. */
static bool runs_new(struct cutter *k, const struct piece *like, uint32_t out, struct err *e)
{
	struct frame *f = last_frame(k);
	struct runs *r = &f->runs;

	if (!runs_room(r, like->n_runs, e))
		return false;
	for (uint32_t i = 0; i < like->n_runs; i++)
		r->v[r->n++] =
			(struct run){ .size = k->sight->runs[like->run + i].size,
				      .piece = i == out ? (uint32_t)f->n_pieces : RUN_DROPPED };
	return true;
}

/* A stream; one in parts stands where one of them lies. */
static bool cut_stream(struct cutter *k, size_t source, size_t where, const struct op *v,
		       size_t n, struct err *e)
{
	const struct piece *at = &k->sight->pieces[where].piece;
	struct piece like = k->sight->pieces[source].piece, *p;
	struct coded *was = &k->coded[source];

	like.offset = at->offset;
	like.size = at->size;
	if (is_full(k, &like, n) && !frame_new(k, e))
		return false;
	if (was->frame != k->n_frames)
		*was = (struct coded){ .frame = k->n_frames,
				       .run = (uint32_t)last_frame(k)->runs.n,
				       .first_op = (uint32_t)k->open.n,
				       .n_ops = (uint32_t)n };
	for (uint32_t i = 0; i < like.n_runs; i++)
		if (k->sight->runs[like.run + i].piece == where && !runs_new(k, &like, i, e))
			return false;
	p = piece_new(k, &like, source, e);
	if (!p)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!op_new(k, p, &v[i], e))
			return false;
	return true;
}

/* The commands that a stream was coded with, in this frame or one before. */
static bool coded_ops(struct cutter *k, const struct coded *was, struct ops *ret, struct err *e)
{
	uint64_t at = (uint64_t)was->first_op * sizeof(*ret->v);

	ret->v = reallocarray(NULL, was->n_ops + 1, sizeof(*ret->v));
	if (!ret->v)
		return err_nomem(e);
	ret->n = was->n_ops;
	if (was->frame != k->n_frames)
		return spool_get(k->spool, k->frames[was->frame - 1].ops_at + at, ret->v,
				 ret->n * sizeof(*ret->v), e);
	memcpy(ret->v, k->open.v + was->first_op, ret->n * sizeof(*ret->v));
	return true;
}

/* A part that was not kept: the stream again, or its bytes as they are when that is cheaper. */
static bool cut_again(struct cutter *k, size_t index, struct err *e)
{
	CLEANUP(ops_done) struct ops ops = { 0 };
	const struct sight_piece *q = &k->sight->pieces[index];
	const struct op insert = { .kind = OP_INSERT, .n = (uint32_t)q->piece.size };
	uint64_t cost = 0;

	if (!coded_ops(k, &k->coded[q->stream], &ops, e))
		return false;
	for (size_t i = 0; i < ops.n; i++)
		cost += cost_of(k, &k->sight->pieces[q->stream].piece, &ops.v[i]);
	return cost < q->piece.size ? cut_stream(k, q->stream, index, ops.v, ops.n, e)
				    : cut_raw(k, index, &insert, 1, e);
}

static bool cut_kept(struct cutter *k, size_t index, struct err *e)
{
	const struct sight_piece *q = &k->sight->pieces[index];
	const struct coded *was = &k->coded[q->stream];
	struct piece like = q->piece;

	if (q->is_again || was->frame != k->n_frames)
		return cut_again(k, index, e);
	like.run = was->run + (q->piece.run - k->sight->pieces[q->stream].piece.run);
	return piece_new(k, &like, index, e) != NULL;
}

bool cutter_add(struct cutter *k, size_t piece, const struct op *v, size_t n, struct err *e)
{
	const struct piece *p = &k->sight->pieces[piece].piece;

	if (p->is_kept)
		return cut_kept(k, piece, e);
	return p->transform ? cut_stream(k, piece, piece, v, n, e) : cut_raw(k, piece, v, n, e);
}

bool cutter_end(struct cutter *k, struct err *e)
{
	if (!frame_end(k, e))
		return false;
	ops_done(&k->open);
	free(TAKE(k->coded));
	return true;
}

bool frame_ops(struct op **ret, const struct frame *f, const struct spool *spool, struct err *e)
{
	struct op *v = reallocarray(NULL, (size_t)f->n_ops + 1, sizeof(*v));

	if (!v)
		return err_nomem(e);
	if (!spool_get(spool, f->ops_at, v, f->n_ops * sizeof(*v), e)) {
		free(v);
		return false;
	}
	*ret = v;
	return true;
}

bool cutter_for_ops(const struct cutter *k,
		    bool (*see)(void *ctx, const struct frame *f, struct op *v, struct err *e),
		    void *ctx, struct err *e)
{
	for (size_t i = 0; i < k->n_frames; i++) {
		const struct frame *f = &k->frames[i];
		struct op *v = NULL;

		if (!frame_ops(&v, f, k->spool, e))
			return false;
		bool ok = see(ctx, f, v, e);
		free(v);
		if (!ok)
			return false;
	}
	return true;
}
