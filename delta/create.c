/* Making a delta: streams, matches, frames, hashes, file. */
#include "delta/delta.h"
#include "base/io.h"
#include "base/sha256.h"
#include "delta/create_priv.h"
#include "delta/fields.h"
#include "delta/format.h"
#include "delta/match.h"
#include "delta/tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CHUNK = 4 << 20,      /* new bytes matched at a time */
	FRAME_COST = 8 << 20, /* estimated coded bytes of a frame */
	FRAME_OPS = LIMIT_DELTA_OPS - 4096,
	DROP_AFTER = 64 << 20,
	WINDOW = 64 << 10,    /* what Linux maps when one byte is read: fault_around_bytes */
	MIXED_MAX = 32 << 20, /* inserted bytes up to which all are mixed: half a minute */
};

/* A part of a piece, matched as a whole. */
struct chunk {
	size_t piece;
	uint64_t from; /* in the piece */
	size_t n;
	struct ops ops;
};

/* One frame on its way. */
struct made {
	size_t first_piece, n_pieces;
	uint64_t first_op;
	uint32_t n_ops;
	struct runs runs; /* of its streams in parts */
	struct buf coded;
	uint64_t cost[DELTA_KINDS];
	struct delta_info info; /* counts */
};

struct create {
	const struct delta_job *job;
	struct sight sight; /* both images, streams seen through */
	struct matcher *matcher;
	struct match_local **locals; /* per thread */
	struct chunk *chunks;
	size_t n_chunks;
	struct piece *pieces; /* with their commands */
	size_t *sources;      /* which of the sight's pieces each is, or is a part of */
	size_t n_pieces, cap_pieces;
	struct op *ops;
	size_t n_ops, cap_ops;
	struct made *made;
	size_t n_made, cap_made;
	struct buf table;
	struct format format;
	bool bulk; /* so much to insert that mixing would take too long */
	uint64_t work_done, work_now, work_all; /* for progress */
};

/* ---- progress ---- */

static bool tell(struct create *c, uint64_t done)
{
	const struct delta_job *j = c->job;

	return !j->progress || j->progress(j->ctx, c->work_done + done, c->work_all);
}

static bool run_tasks(struct create *c, struct tasks *t, uint64_t work, struct err *e)
{
	c->work_now = t->n ? work / t->n : 0;
	if (!tasks_run(t, e))
		return false;
	c->work_done += work;
	return tell(c, 0) || err_set(e, E_CANCELLED, "cancelled");
}

static bool task_progress(void *ctx, size_t done)
{
	struct create *c = ctx;

	return tell(c, done * c->work_now);
}

/* ---- matching ---- */

static bool plan_chunks(struct create *c, struct err *e)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < c->sight.n_pieces; i++)
		n += (size_t)(piece_bytes(&c->sight.pieces[i].piece) / CHUNK + 1);
	c->chunks = calloc(n + 1, sizeof(*c->chunks));
	if (!c->chunks)
		return err_nomem(e);
	for (size_t i = 0; i < c->sight.n_pieces; i++) {
		uint64_t all = piece_bytes(&c->sight.pieces[i].piece);

		for (uint64_t at = 0; at < all; at += CHUNK)
			c->chunks[k++] =
				(struct chunk){ .piece = i,
						.from = at,
						.n = all - at < CHUNK ? (size_t)(all - at)
								      : CHUNK };
	}
	c->n_chunks = k;
	return true;
}

static bool match_chunk(void *ctx, size_t index, unsigned thread, struct err *e)
{
	struct create *c = ctx;
	struct chunk *k = &c->chunks[index];
	const uint8_t *bytes = sight_new(&c->sight, k->piece) + k->from;
	uint64_t guess = c->sight.pieces[k->piece].guess;

	if (!c->locals[thread] && !match_local_new(&c->locals[thread], e))
		return false;
	if (guess != UINT64_MAX)
		guess += k->from;
	if (!match_range(c->matcher, c->locals[thread], bytes, k->n, guess, &k->ops, e))
		return false;
	sight_drop(bytes, k->n);
	sight_drop(c->sight.old, (size_t)c->sight.mapped_old);
	return true;
}

static bool match_all(struct create *c, struct err *e)
{
	struct tasks t = { .threads = c->job->threads,
			   .run = match_chunk,
			   .progress = task_progress,
			   .ctx = c };
	unsigned threads = c->job->threads ? c->job->threads : 1;

	if (!plan_chunks(c, e) || !matcher_new(&c->matcher, c->sight.old, c->sight.space.end,
					       true, c->job->threads, e))
		return false;
	c->work_done += c->sight.old_size;
	c->locals = calloc(threads, sizeof(struct match_local *));
	if (!c->locals)
		return err_nomem(e);
	t.n = c->n_chunks;
	if (!run_tasks(c, &t, c->sight.new_size, e))
		return false;
	for (unsigned i = 0; i < threads; i++)
		match_local_free(c->locals[i]);
	free(TAKE(c->locals));
	matcher_freep(&c->matcher);
	return true;
}

/* ---- from chunks to frames ---- */

static struct made *frame_new(struct create *c, struct err *e)
{
	if (c->n_made == c->cap_made) {
		size_t cap = c->cap_made ? 2 * c->cap_made : 8;
		struct made *v = reallocarray(c->made, cap, sizeof(*v));

		if (!v) {
			err_nomem(e);
			return NULL;
		}
		c->made = v;
		c->cap_made = cap;
	}
	struct made *m = &c->made[c->n_made++];
	*m = (struct made){ .first_piece = c->n_pieces,
			    .first_op = c->n_ops,
			    .coded = BUF_INIT(LIMIT_DELTA_FRAME) };
	return m;
}

static struct piece *piece_new(struct create *c, const struct piece *like, size_t source,
			       struct err *e)
{
	if (c->n_pieces == c->cap_pieces) {
		size_t cap = c->cap_pieces ? 2 * c->cap_pieces : 64;
		struct piece *v = reallocarray(c->pieces, cap, sizeof(*v));

		c->pieces = v ? v : c->pieces;
		size_t *sources = reallocarray(c->sources, cap, sizeof(*sources));
		c->sources = sources ? sources : c->sources;
		if (!v || !sources) {
			err_nomem(e);
			return NULL;
		}
		c->cap_pieces = cap;
	}
	struct piece *p = &c->pieces[c->n_pieces];
	c->sources[c->n_pieces++] = source;
	*p = *like;
	p->ops = 0;
	return p;
}

static bool op_new(struct create *c, const struct op *op, struct err *e)
{
	if (c->n_ops == c->cap_ops) {
		size_t cap = c->cap_ops ? 2 * c->cap_ops : 65536;
		struct op *v = reallocarray(c->ops, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		c->ops = v;
		c->cap_ops = cap;
	}
	c->ops[c->n_ops++] = *op;
	return true;
}

static uint64_t cost_of(const struct op *op)
{
	return op->kind == OP_INSERT ? 3 + op->n / 2 : op->kind == OP_ADD ? 4 + op->n / 16 : 4;
}

/* A stream in parts, as it was coded last but for its kept parts: those behind it in the same frame
 * take their bytes from there. */
struct coded {
	size_t frame; /* and 1 */
	uint32_t run; /* its first one there */
	uint64_t first_op;
	size_t n_ops;
};

/* Pieces and commands are cut into frames; a raw piece between any two commands, a stream never. */
struct cutter {
	struct create *c;
	struct made *frame;
	uint64_t cost;
	struct coded *coded; /* per piece of the sight */
};

static bool cut_new_frame(struct cutter *k, struct err *e)
{
	k->cost = 0;
	k->frame = frame_new(k->c, e);
	return k->frame != NULL;
}

static bool op_add(struct cutter *k, struct piece *p, const struct op *op, struct err *e)
{
	p->ops++;
	k->frame->n_ops++;
	k->cost += cost_of(op);
	return op_new(k->c, op, e);
}

static bool cut_raw(struct cutter *k, const struct piece *like, size_t source,
		    const struct ops *ops, struct err *e)
{
	struct create *c = k->c;
	struct piece *p = NULL, next = { .offset = like->offset };

	for (size_t i = 0; i < ops->n; i++) {
		if (!k->frame || k->frame->n_ops >= FRAME_OPS || k->cost > FRAME_COST) {
			if (!cut_new_frame(k, e))
				return false;
			p = NULL;
		}
		if (!p) {
			next.first_op = k->frame->n_ops;
			p = piece_new(c, &next, source, e);
			if (!p)
				return false;
			k->frame->n_pieces++;
		}
		p->size += ops->v[i].n;
		next.offset += ops->v[i].n;
		if (!op_add(k, p, &ops->v[i], e))
			return false;
	}
	return true;
}

static bool is_full(const struct cutter *k, const struct piece *like, const struct ops *ops)
{
	const struct made *f = k->frame;

	return !f || f->n_ops + ops->n > FRAME_OPS || k->cost > FRAME_COST ||
	       k->c->n_pieces - f->first_piece >= LIMIT_DELTA_STREAMS ||
	       f->runs.n + like->n_runs > LIMIT_DELTA_PARTS;
}

/* The runs of a stream in parts, of which number `out` comes out at once. */
static bool runs_new(struct cutter *k, const struct piece *like, uint32_t out, struct err *e)
{
	struct runs *r = &k->frame->runs;

	if (!runs_room(r, like->n_runs, e))
		return false;
	for (uint32_t i = 0; i < like->n_runs; i++)
		r->v[r->n++] = (struct run){ .size = k->c->sight.runs[like->run + i].size,
					     .piece = i == out ? (uint32_t)k->frame->n_pieces
							       : RUN_DROPPED };
	return true;
}

/* A stream; one in parts stands where one of them lies. */
static bool cut_stream(struct cutter *k, size_t source, size_t where, const struct ops *ops,
		       struct err *e)
{
	struct create *c = k->c;
	const struct piece *at = &c->sight.pieces[where].piece;
	struct piece like = c->sight.pieces[source].piece, *p;
	struct coded *was = &k->coded[source];

	like.offset = at->offset;
	like.size = at->size;
	if (is_full(k, &like, ops) && !cut_new_frame(k, e))
		return false;
	like.first_op = k->frame->n_ops;
	if (was->frame != c->n_made)
		*was = (struct coded){ .frame = c->n_made,
				       .run = (uint32_t)k->frame->runs.n,
				       .first_op = c->n_ops,
				       .n_ops = ops->n };
	for (uint32_t i = 0; i < like.n_runs; i++)
		if (c->sight.runs[like.run + i].piece == where && !runs_new(k, &like, i, e))
			return false;
	p = piece_new(c, &like, source, e);
	if (!p)
		return false;
	k->frame->n_pieces++;
	for (size_t i = 0; i < ops->n; i++)
		if (!op_add(k, p, &ops->v[i], e))
			return false;
	return true;
}

/* A part that was not kept: the stream again, or its bytes as they are when that is cheaper. */
static bool cut_again(struct cutter *k, size_t index, struct err *e)
{
	CLEANUP(ops_done) struct ops ops = { 0 };
	const struct sight_piece *q = &k->c->sight.pieces[index];
	const struct coded *was = &k->coded[q->stream];
	const struct op insert = { .kind = OP_INSERT, .n = (uint32_t)q->piece.size };
	uint64_t cost = 0;

	for (size_t i = 0; i < was->n_ops; i++) {
		const struct op *op = &k->c->ops[was->first_op + i];

		cost += cost_of(op);
		if (!ops_add(&ops, op, e))
			return false;
	}
	if (cost < q->piece.size)
		return cut_stream(k, q->stream, index, &ops, e);
	ops.n = 0;
	return ops_add(&ops, &insert, e) && cut_raw(k, &q->piece, index, &ops, e);
}

static bool cut_kept(struct cutter *k, size_t index, struct err *e)
{
	const struct sight_piece *q = &k->c->sight.pieces[index];
	const struct coded *was = &k->coded[q->stream];
	struct piece like = q->piece;

	if (q->is_again || was->frame != k->c->n_made)
		return cut_again(k, index, e);
	like.run = was->run + (q->piece.run - k->c->sight.pieces[q->stream].piece.run);
	k->frame->n_pieces++;
	return piece_new(k->c, &like, index, e) != NULL;
}

static bool cut_piece(struct cutter *k, size_t index, const struct ops *ops, struct err *e)
{
	const struct piece *p = &k->c->sight.pieces[index].piece;

	if (p->is_kept)
		return cut_kept(k, index, e);
	return p->transform ? cut_stream(k, index, index, ops, e)
			    : cut_raw(k, p, index, ops, e);
}

/* One piece's commands, from all its chunks. */
static bool join_chunks(struct create *c, size_t piece, size_t *chunk, struct ops *ret,
			struct err *e)
{
	for (; *chunk < c->n_chunks && c->chunks[*chunk].piece == piece; ++*chunk) {
		struct ops *o = &c->chunks[*chunk].ops;

		for (size_t n = 0; n < o->n; n++)
			if (!ops_add(ret, &o->v[n], e))
				return false;
		ops_done(o);
	}
	if (c->sight.pieces[piece].piece.transform)
		ops_coarsen(ret, FRAME_OPS);
	return true;
}

static bool cut_pieces(struct cutter *k, struct err *e)
{
	size_t chunk = 0;

	for (size_t piece = 0; piece < k->c->sight.n_pieces; piece++) {
		CLEANUP(ops_done) struct ops joined = { 0 };

		if (!join_chunks(k->c, piece, &chunk, &joined, e) ||
		    !cut_piece(k, piece, &joined, e))
			return false;
	}
	for (size_t i = 0; i < k->c->n_made; i++)
		k->c->made[i].runs.n = 0; /* coded */
	return true;
}

static bool cut_frames(struct create *c, struct err *e)
{
	struct cutter k = { .c = c };
	uint64_t inserted = 0;

	for (size_t n = 0; n < c->n_chunks; n++) {
		const struct ops *o = &c->chunks[n].ops;

		for (size_t m = 0; m < o->n; m++)
			inserted += o->v[m].kind == OP_INSERT ? o->v[m].n : 0;
	}
	c->bulk = inserted > (c->job->mixed_max ? c->job->mixed_max : MIXED_MAX);
	k.coded = calloc(c->sight.n_pieces + 1, sizeof(*k.coded));
	if (!k.coded)
		return err_nomem(e);
	bool ok = cut_pieces(&k, e);
	free(k.coded);
	return ok;
}

/* ---- what applying takes ---- */

static bool visit_ops(struct create *c, struct space *s, struct err *e)
{
	for (size_t i = 0; i < c->n_made; i++) {
		const struct made *f = &c->made[i];

		space_lend(s, f->runs.cap ? LIMIT_DELTA_KEPT : 0);
		for (uint32_t k = 0; k < f->n_ops; k++) {
			const struct op *op = &c->ops[f->first_op + k];
			uint64_t before = op->from < CODE_BEFORE ? op->from : CODE_BEFORE;

			if ((op->kind == OP_COPY || op->kind == OP_ADD) &&
			    !space_visit(s, op->from - before, before + op->n + CODE_AFTER, e))
				return false;
		}
	}
	return true;
}

/* Half of the bound is kept free: where a frame keeps parts of streams, and how dense packed bytes
 * lie in a stream, is not known exactly. */
static bool is_unpacked_quickly(struct create *c, bool *ret, struct err *e)
{
	const struct streams *all = &c->sight.space.streams;
	CLEANUP(streams_done) struct streams t = { 0 };
	struct space s;

	for (size_t i = 0; i < all->n; i++)
		if (!streams_copy(&t, all, i, e))
			return false;
	if (!space_init(&s, -1, c->sight.old_size, &t, e))
		return false;
	s.is_estimate = true;
	s.steps_left =
		c->job->unpack_max ? c->job->unpack_max : space_steps(c->sight.new_size) / 2;
	*ret = visit_ops(c, &s, e);
	space_done(&s);
	return *ret || e->code == E_TOO_BIG;
}

/* ---- coding ---- */

static const uint8_t *old_around(struct create *c, uint64_t from, size_t n, uint8_t *room,
				 struct err *e)
{
	size_t before = from < CODE_BEFORE ? (size_t)from : CODE_BEFORE;

	memset(room, 0, CODE_BEFORE - before);
	if (!space_read(&c->sight.space, from - before, room + CODE_BEFORE - before,
			before + n + CODE_AFTER, e))
		return NULL;
	return room + CODE_BEFORE;
}

static bool code_adds(struct create *c, struct coder *coder, struct models *m,
		      const struct op *op, const uint8_t *p, uint64_t address, struct err *e)
{
	code_add_start(m, op, address);
	for (uint64_t at = 0; at < op->n; at += CODE_BLOCK) {
		uint8_t room[CODE_BEFORE + CODE_BLOCK + CODE_AFTER], block[CODE_BLOCK];
		size_t n = op->n - at < CODE_BLOCK ? (size_t)(op->n - at) : CODE_BLOCK;
		const uint8_t *old = old_around(c, op->from + at, n, room, e);

		if (!old)
			return false;
		memcpy(block, p + at, n);
		code_add(coder, m, old, op->from + at, block, address + at, n);
	}
	return true;
}

static bool code_bulks(struct coder *coder, struct models *m, const struct op *op,
		       const uint8_t *p, struct err *e)
{
	for (uint64_t at = 0; at < op->n; at += CODE_BULK_MAX) {
		size_t n = op->n - at < CODE_BULK_MAX ? (size_t)(op->n - at) : CODE_BULK_MAX;

		if (!code_bulk(coder, m, (uint8_t *)(uintptr_t)(p + at), n, e))
			return false;
	}
	return true;
}

static bool code_op_body(struct create *c, struct coder *coder, struct models *m,
			 const struct op *op, const uint8_t *p, uint64_t address, struct err *e)
{
	if (op->kind == OP_ADD)
		return code_adds(c, coder, m, op, p, address, e);
	if (op->kind == OP_INSERT) {
		for (uint64_t at = 0; at < op->n; at += CODE_BLOCK) {
			uint8_t block[CODE_BLOCK];
			size_t n = op->n - at < CODE_BLOCK ? (size_t)(op->n - at) : CODE_BLOCK;

			memcpy(block, p + at, n);
			code_insert(coder, m, block, n);
		}
		return true;
	}
	code_passed(m, p + (op->n > 8 ? op->n - 8 : 0), op->n > 8 ? 8 : (size_t)op->n);
	return true;
}

static bool code_heads(struct create *c, struct coder *coder, struct models *m, struct made *f,
		       uint64_t left, struct err *e)
{
	uint64_t streams = 0;

	for (size_t i = 0; i < f->n_pieces; i++) {
		struct piece *p = &c->pieces[f->first_piece + i];
		uint64_t address = fields_address(p, streams), at = 0;

		if (!code_piece(coder, m, p, (uint32_t)i, &f->runs, left, e))
			return false;
		for (uint32_t k = 0; k < p->ops; k++) {
			struct op *op = &c->ops[f->first_op + p->first_op + k];

			if (!code_op(coder, m, op, p->transform != 0, at, piece_bytes(p),
				     address, c->sight.space.end, e))
				return false;
			at += op->n;
		}
		left -= p->size;
		streams += p->plain_size;
	}
	return true;
}

/* Bytes of the images that coding a command maps into memory.  Each place comes with the WINDOW around it. */
static uint64_t touched_by(const struct op *op, uint64_t *old_at)
{
	bool near = op->from / WINDOW == *old_at / WINDOW;

	if (op->kind == OP_INSERT)
		return op->n;
	if (op->kind != OP_ADD)
		return WINDOW;
	*old_at = op->from + op->n;
	return 2 * (uint64_t)op->n + (near ? 0 : WINDOW);
}

static bool code_bodies(struct create *c, struct coder *coder, struct models *m, struct made *f,
			struct err *e)
{
	uint64_t streams = 0, touched = 0, old_at = 0;

	for (size_t i = 0; i < f->n_pieces; i++) {
		const struct piece *p = &c->pieces[f->first_piece + i];
		uint64_t address = fields_address(p, streams);
		size_t source = c->sources[f->first_piece + i];
		const uint8_t *bytes =
			p->transform ? sight_new(&c->sight, source) : c->sight.new + p->offset;

		if (p->transform && !code_recipe(coder, m, &c->sight.pieces[source].recipe, e))
			return false;
		for (uint32_t k = 0; k < p->ops; k++) {
			const struct op *op = &c->ops[f->first_op + p->first_op + k];

			if (!(!p->transform && code_is_bulk(coder, m, op, c->bulk)
				      ? code_bulks(coder, m, op, bytes, e)
				      : code_op_body(c, coder, m, op, bytes, address, e)))
				return false;
			touched += touched_by(op, &old_at);
			if (touched > DROP_AFTER) {
				sight_drop(c->sight.old, (size_t)c->sight.mapped_old);
				sight_drop(c->sight.new, (size_t)c->sight.new_size);
				touched = 0;
			}
			bytes += op->n;
			address += op->n;
		}
		streams += p->plain_size;
	}
	return true;
}

static uint64_t frame_bytes(const struct create *c, const struct made *f)
{
	uint64_t n = 0;

	for (size_t i = 0; i < f->n_pieces; i++)
		n += c->pieces[f->first_piece + i].size;
	return n;
}

static bool code_frame(void *ctx, size_t index, unsigned thread UNUSED, struct err *e)
{
	struct create *c = ctx;
	struct made *f = &c->made[index];
	CLEANUP(models_freep) struct models *m = NULL;
	struct coder coder;

	if (!models_new(&m, e))
		return false;
	coder_encode_start(&coder, &f->coded, e);
	if (!code_heads(c, &coder, m, f, frame_bytes(c, f), e) ||
	    !code_body_start(m, c->pieces + f->first_piece, f->n_pieces, c->ops + f->first_op,
			     f->n_ops, e) ||
	    !code_bodies(c, &coder, m, f, e))
		return false;
	coder_encode_end(&coder);
	memcpy(f->cost, coder.cost, sizeof(f->cost));
	return coder_ok(&coder, e);
}

static bool code_old_table(struct create *c, uint64_t cost[DELTA_KINDS], struct err *e)
{
	CLEANUP(models_freep) struct models *m = NULL;
	struct streams *t = &c->sight.space.streams;
	struct coder coder;

	if (!t->n)
		return true;
	if (!models_new(&m, e))
		return false;
	coder_encode_start(&coder, &c->table, e);
	if (!code_table(&coder, m, t, (uint32_t)t->n, c->sight.old_size, e))
		return false;
	coder_encode_end(&coder);
	cost[DELTA_TABLES] += coder.cost[DELTA_TABLES];
	return coder_ok(&coder, e);
}

/* ---- hashes ---- */

static bool hash_segment(void *ctx, size_t index, unsigned thread UNUSED, struct err *e UNUSED)
{
	struct create *c = ctx;
	uint64_t size = UINT64_C(1) << c->format.segment_log, at = index * size;
	size_t n = (size_t)(c->sight.new_size - at < size ? c->sight.new_size - at : size);
	uint8_t hash[SHA256_SIZE];

	sha256(hash, c->sight.new + at, n);
	memcpy(c->format.hashes[index], hash, DELTA_HASH_SIZE);
	sight_drop(c->sight.new + at, n);
	return true;
}

static bool plan_hashes(struct create *c, struct err *e)
{
	struct format *f = &c->format;

	f->new_size = c->sight.new_size;
	f->old_size = c->sight.old_size;
	f->segment_log = 20;
	while (f->segment_log < FORMAT_SEGMENT_LOG_MAX &&
	       f->new_size >> f->segment_log > (f->segment_log == 20 ? 256 : 65536))
		f->segment_log++;
	f->hashes = calloc((size_t)format_segments(f) + 1, sizeof(*f->hashes));
	return f->hashes || err_nomem(e);
}

/* Frames first: most deltas have one, which keeps one thread busy while others hash. */
static bool code_or_hash(void *ctx, size_t index, unsigned thread, struct err *e)
{
	const struct create *c = ctx;

	return index < c->n_made ? code_frame(ctx, index, thread, e)
				 : hash_segment(ctx, index - c->n_made, thread, e);
}

static bool code_all(struct create *c, struct err *e)
{
	struct tasks t = { .threads = c->job->threads,
			   .run = code_or_hash,
			   .progress = task_progress,
			   .ctx = c };

	if (!plan_hashes(c, e))
		return false;
	t.n = c->n_made + (size_t)format_segments(&c->format);
	return run_tasks(c, &t, c->sight.new_size / 2, e);
}

/* ---- the file ---- */

static void fill_info(struct create *c, const uint64_t cost[DELTA_KINDS],
		      struct delta_info *ret)
{
	struct format *f = &c->format;

	for (unsigned i = 0; i < DELTA_KINDS; i++)
		f->spent[i] = (uint32_t)((cost[i] / 524288 + FORMAT_SPENT_UNIT / 2) /
					 FORMAT_SPENT_UNIT);
	for (size_t i = 0; i < c->n_ops; i++) {
		const struct op *op = &c->ops[i];
		uint64_t *count = op->kind == OP_INSERT ? &ret->inserted_bytes
				  : op->kind == OP_ZERO ? &ret->zero_bytes
							: &ret->copied_bytes;
		*count += op->n;
	}
	for (size_t i = 0; i < c->n_pieces; i++)
		f->n_new_streams += c->pieces[i].transform != 0;
}

static bool write_delta(struct create *c, struct delta_info *ret, struct err *e)
{
	struct format *f = &c->format;
	CLEANUP(buf_done) struct buf head = BUF_INIT(LIMIT_DELTA_HEAD);
	uint64_t cost[DELTA_KINDS] = { 0 }, at = 0, first = 0;
	struct delta_info info = { 0 };

	if (!code_old_table(c, cost, e))
		return false;
	f->table_coded = (uint32_t)c->table.n;
	f->n_old_streams = (uint32_t)c->sight.space.streams.n;
	f->n_frames = (uint32_t)c->n_made;
	f->frames = calloc(c->n_made + 1, sizeof(*f->frames));
	if (!f->frames)
		return err_nomem(e);
	for (size_t i = 0; i < c->n_made; i++) {
		const struct made *m = &c->made[i];

		f->frames[i] = (struct format_frame){ .first = first,
						      .bytes = frame_bytes(c, m),
						      .coded_offset = at,
						      .coded = (uint32_t)m->coded.n,
						      .ops = m->n_ops };
		first += f->frames[i].bytes;
		at += m->coded.n;
		for (unsigned k = 0; k < DELTA_KINDS; k++)
			cost[k] += m->cost[k];
	}
	fill_info(c, cost, &info);
	if (!format_encode(&head, f, e))
		return false;
	if (c->job->output_max && head.n + c->table.n + at > c->job->output_max)
		return err_set(e, E_TOO_BIG, "the delta would have %zu bytes",
			       (size_t)(head.n + c->table.n + at));
	if (!pwrite_all(c->job->out_fd, head.p, head.n, 0, e) ||
	    !pwrite_all(c->job->out_fd, c->table.p, c->table.n, head.n, e))
		return err_wrap(e, "delta");
	for (size_t i = 0; i < c->n_made; i++)
		if (!pwrite_all(c->job->out_fd, c->made[i].coded.p, c->made[i].coded.n,
				f->frames[i].coded_offset, e))
			return err_wrap(e, "delta");
	if (ftruncate(c->job->out_fd, (off_t)(head.n + c->table.n + at)) != 0)
		return err_sys(e, errno, "delta");
	struct delta_info counts = info;
	if (!delta_look(&info, c->job->out_fd, e))
		return false;
	info.copied_bytes = counts.copied_bytes;
	info.inserted_bytes = counts.inserted_bytes;
	info.zero_bytes = counts.zero_bytes;
	*ret = info;
	return true;
}

static void made_done(struct made *m)
{
	runs_done(&m->runs);
	buf_done(&m->coded);
}

static void create_done(struct create *c)
{
	for (size_t i = 0; i < c->n_chunks; i++)
		ops_done(&c->chunks[i].ops);
	for (size_t i = 0; i < c->n_made; i++)
		made_done(&c->made[i]);
	for (unsigned i = 0; c->locals && i < (c->job->threads ? c->job->threads : 1); i++)
		match_local_free(c->locals[i]);
	free(c->locals);
	matcher_free(c->matcher);
	free(c->chunks);
	free(c->pieces);
	free(c->sources);
	free(c->ops);
	free(c->made);
	buf_done(&c->table);
	format_done(&c->format);
	sight_done(&c->sight);
}

/* *ret_slow: it would take too long to apply, and is not written. */
static bool make(const struct delta_job *job, bool with_streams, bool *ret_slow,
		 struct delta_info *ret, struct err *e)
{
	CLEANUP(create_done)
	struct create c = { .job = job, .table = BUF_INIT(LIMIT_DELTA_HEAD) };
	bool quick = true;

	if (!sight_init(&c.sight, job, with_streams, e))
		return false;
	c.work_all = sight_work(c.sight.old_size, c.sight.new_size);
	if (!match_all(&c, e) || !cut_frames(&c, e))
		return false;
	if (!sight_prune(&c.sight, c.ops, c.n_ops, e))
		return false;
	if (!is_unpacked_quickly(&c, &quick, e))
		return false;
	*ret_slow = !quick;
	return !quick || (code_all(&c, e) && write_delta(&c, ret, e));
}

bool delta_create(const struct delta_job *job, struct delta_info *ret, struct err *e)
{
	bool slow = false;

	return make(job, true, &slow, ret, e) && (!slow || make(job, false, &slow, ret, e));
}
