#include "delta/encode.h"
#include "delta/bulk.h"
#include "delta/fields.h"
#include "delta/weigh.h"

#include <stdlib.h>
#include <string.h>

enum {
	DROP_AFTER = 64 << 20, /* bytes that all threads have touched */
	TELL_AFTER = 1 << 20,  /* a thread tells the others of so many at a time */
};

static const uint8_t *old_around(struct encoding *c, uint64_t from, size_t n, uint8_t *room,
				 struct err *e)
{
	size_t before = from < CODE_BEFORE ? (size_t)from : CODE_BEFORE;

	memset(room, 0, CODE_BEFORE - before);
	if (!space_read(&c->sight->space, from - before, room + CODE_BEFORE - before,
			before + n + CODE_AFTER, e))
		return NULL;
	return room + CODE_BEFORE;
}

/* A frame while it is coded. */
struct coding {
	struct encoding *c;
	struct frame *f;
	struct op *ops;
	struct models *m;
	struct coder coder;
	struct weigh *weigh; /* NULL: what commands take is not noted */
};

/* Its i-th piece. */
static struct piece *piece_of(const struct coding *k, size_t i)
{
	return &k->c->cut->pieces[k->f->first_piece + i];
}

/* What that piece's commands make. */
static const uint8_t *new_bytes(const struct coding *k, size_t i)
{
	const struct piece *p = piece_of(k, i);

	return p->transform ? sight_new(k->c->sight, k->c->cut->sources[k->f->first_piece + i])
			    : k->c->sight->new + p->offset;
}

static uint64_t spent(const struct coder *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DELTA_KINDS; i++)
		sum += c->cost[i];
	return sum;
}

/* Command `op` made the next n bytes. */
static bool weigh(struct coding *k, uint32_t op, uint64_t n, uint64_t before, struct err *e)
{
	return !k->weigh || weigh_add(k->weigh, k->ops, op, n, spent(&k->coder) - before, e);
}

static bool code_adds(struct coding *k, uint32_t index, const uint8_t *p, uint64_t address,
		      struct err *e)
{
	const struct op *op = &k->ops[index];

	code_add_start(k->m, op, address);
	for (uint64_t at = 0; at < op->n; at += CODE_BLOCK) {
		uint8_t room[CODE_BEFORE + CODE_BLOCK + CODE_AFTER], block[CODE_BLOCK];
		size_t n = op->n - at < CODE_BLOCK ? (size_t)(op->n - at) : CODE_BLOCK;
		const uint8_t *old = old_around(k->c, op->from + at, n, room, e);
		uint64_t before = spent(&k->coder);

		if (!old)
			return false;
		memcpy(block, p + at, n);
		code_add(&k->coder, k->m, old, op->from + at, block, address + at, n);
		if (!weigh(k, index, n, before, e))
			return false;
	}
	return true;
}

static bool code_bulks(struct coding *k, uint32_t index, const uint8_t *p, struct err *e)
{
	const struct op *op = &k->ops[index];

	for (uint64_t at = 0; at < op->n; at += CODE_BULK_MAX) {
		size_t n = op->n - at < CODE_BULK_MAX ? (size_t)(op->n - at) : CODE_BULK_MAX;

		if (!code_bulk(&k->coder, k->m, (uint8_t *)(uintptr_t)(p + at), n, e))
			return false;
	}
	return true;
}

static void code_inserts(struct coder *coder, struct models *m, const uint8_t *p,
			 uint64_t address, uint64_t n)
{
	for (uint64_t at = 0; at < n; at += CODE_BLOCK) {
		uint8_t block[CODE_BLOCK];
		size_t part = n - at < CODE_BLOCK ? (size_t)(n - at) : CODE_BLOCK;

		memcpy(block, p + at, part);
		code_insert(coder, m, block, address + at, part);
	}
}

static void pass(struct models *m, const uint8_t *p, uint64_t n)
{
	code_passed(m, p + (n > 8 ? n - 8 : 0), n > 8 ? 8 : (size_t)n);
}

static bool code_op_body(struct coding *k, uint32_t index, bool in_stream, const uint8_t *p,
			 uint64_t address, struct err *e)
{
	const struct op *op = &k->ops[index];
	uint64_t before = spent(&k->coder);

	if (op->kind == OP_ADD)
		return code_adds(k, index, p, address, e);
	if (!in_stream && code_is_bulk(&k->coder, k->m, op, k->c->bulk)) {
		if (!code_bulks(k, index, p, e))
			return false;
	} else if (op->kind == OP_INSERT) {
		code_inserts(&k->coder, k->m, p, address, op->n);
	} else {
		pass(k->m, p, op->n);
	}
	return weigh(k, index, op->n, before, e);
}

static bool code_heads(struct coding *k, struct err *e)
{
	uint64_t streams = 0, left = k->f->bytes;

	for (size_t i = 0; i < k->f->n_pieces; i++) {
		struct piece *p = piece_of(k, i);
		uint64_t address = fields_address(p, streams), at = 0;

		if (!code_piece(&k->coder, k->m, p, (uint32_t)i, &k->f->runs, left, e))
			return false;
		for (uint32_t o = p->first_op; o < p->first_op + p->ops; o++) {
			uint64_t before = spent(&k->coder);

			if (!code_op(&k->coder, k->m, &k->ops[o], p->transform != 0, at,
				     piece_bytes(p), address, k->c->sight->space.end, e))
				return false;
			if (k->weigh)
				k->weigh->heads[o] = spent(&k->coder) - before;
			at += k->ops[o].n;
		}
		left -= p->size;
		streams += p->plain_size;
	}
	return true;
}

/* Bytes of the images that coding a command maps into memory.  Each place comes with the SIGHT_WINDOW around it. */
static uint64_t touched_by(const struct op *op, uint64_t *old_at)
{
	bool near = op->from / SIGHT_WINDOW == *old_at / SIGHT_WINDOW;

	if (op->kind == OP_INSERT)
		return op->n;
	if (op->kind != OP_ADD)
		return SIGHT_WINDOW;
	*old_at = op->from + op->n;
	return 2 * (uint64_t)op->n + (near ? 0 : SIGHT_WINDOW);
}

/* Pages are given back before those of all threads are too many. */
static void tell_touched(struct encoding *c, uint64_t *touched)
{
	uint64_t n = *touched, all;

	if (n < TELL_AFTER)
		return;
	*touched = 0;
	all = __atomic_add_fetch(&c->touched, n, __ATOMIC_RELAXED);
	if (all / DROP_AFTER != (all - n) / DROP_AFTER)
		sight_drop_all(c->sight);
}

static bool code_bodies(struct coding *k, struct err *e)
{
	uint64_t streams = 0, touched = 0, old_at = 0;
	const struct cutter *cut = k->c->cut;

	for (size_t i = 0; i < k->f->n_pieces; i++) {
		const struct piece *p = piece_of(k, i);
		uint64_t address = fields_address(p, streams);
		size_t source = cut->sources[k->f->first_piece + i];
		const uint8_t *bytes = new_bytes(k, i);

		if (p->transform &&
		    !code_recipe(&k->coder, k->m, &k->c->sight->pieces[source].recipe, NULL, e))
			return false;
		for (uint32_t o = p->first_op; o < p->first_op + p->ops; o++) {
			const struct op *op = &k->ops[o];

			if (!code_op_body(k, o, p->transform != 0, bytes, address, e))
				return false;
			touched += touched_by(op, &old_at);
			tell_touched(k->c, &touched);
			bytes += op->n;
			address += op->n;
		}
		streams += p->plain_size;
	}
	return true;
}

static void see_touched(void *ctx, uint64_t n)
{
	tell_touched(ctx, &n);
}

static bool pack_bulk(struct coding *k, struct err *e)
{
	const struct bulk_frame f = { .pieces = piece_of(k, 0),
				      .n_pieces = k->f->n_pieces,
				      .ops = k->ops,
				      .image = k->c->sight->new,
				      .touched = see_touched,
				      .ctx = k->c };

	return !k->c->bulk || bulk_pack(k->m, &f, e);
}

/* The frame as its commands are. */
static bool encode(struct coding *k, struct buf *out, struct err *e)
{
	struct frame *f = k->f;

	if (!models_new(&k->m, e))
		return false;
	runs_reset(&f->runs);
	coder_encode_start(&k->coder, out, e);
	bool ok = code_heads(k, e) &&
		  code_remember(k->m, k->c->sight->space.streams.n, f->n_ops, e) &&
		  code_body_start(k->m, k->c->cut->pieces + f->first_piece, f->n_pieces, k->ops,
				  f->n_ops, e) &&
		  pack_bulk(k, e) && code_bodies(k, e);
	models_free(TAKE(k->m));
	if (!ok)
		return false;
	coder_encode_end(&k->coder);
	return coder_ok(&k->coder, e);
}

/* ---- commands that cost more than inserting ---- */

/* What parts that may be inserted would take, with all that is. */
static bool try_inserts(struct coding *k, struct weigh *w, struct err *e)
{
	CLEANUP(models_freep) struct models *m = NULL;
	CLEANUP(buf_done) struct buf sink = BUF_INIT(LIMIT_DELTA_FRAME);
	uint64_t touched = 0, streams = 0;
	size_t part = 0;
	struct coder coder;

	if (!models_new(&m, e) ||
	    !code_remember(m, k->c->sight->space.streams.n, k->f->n_ops, e))
		return false;
	coder_encode_start(&coder, &sink, e);
	for (size_t i = 0; i < k->f->n_pieces; i++) {
		const struct piece *p = piece_of(k, i);
		const uint8_t *bytes = new_bytes(k, i);
		uint64_t address = fields_address(p, streams);

		for (; part < w->n && w->v[part].op < p->first_op + p->ops; part++) {
			struct part *t = &w->v[part];
			bool insert = t->may || k->ops[t->op].kind == OP_INSERT;
			uint64_t before = spent(&coder);

			if (insert)
				code_inserts(&coder, m, bytes, address, t->n);
			else
				pass(m, bytes, t->n);
			t->inserted = t->may ? spent(&coder) - before : 0;
			buf_reset(&sink);
			touched += insert ? t->n : SIGHT_WINDOW;
			tell_touched(k->c, &touched);
			bytes += t->n;
			address += t->n;
		}
		streams += p->plain_size;
	}
	return coder_ok(&coder, e);
}

/* The commands chosen; *n_ops: how many each piece has. */
static bool chosen(const struct coding *k, const struct weigh *w, struct ops *ret,
		   uint32_t **n_ops, struct err *e)
{
	size_t part = 0, before = 0;

	*n_ops = calloc(k->f->n_pieces + 1, sizeof(**n_ops));
	if (!*n_ops)
		return err_nomem(e);
	for (size_t i = 0; i < k->f->n_pieces; i++) {
		const struct piece *p = piece_of(k, i);

		if (!weigh_take(w, k->ops, p->first_op + p->ops, &part, ret, e))
			return false;
		(*n_ops)[i] = (uint32_t)(ret->n - before);
		before = ret->n;
	}
	return true;
}

/* The frame has these commands, and *o and *n_ops those that it had. */
static void swap_ops(struct coding *k, struct ops *o, uint32_t *n_ops)
{
	struct op *v = k->ops;
	uint32_t n = k->f->n_ops, first = 0;

	k->ops = o->v;
	k->f->n_ops = (uint32_t)o->n;
	o->v = v;
	o->n = n;
	for (size_t i = 0; i < k->f->n_pieces; i++) {
		struct piece *p = piece_of(k, i);

		n = p->ops;
		p->ops = n_ops[i];
		p->first_op = first;
		first += p->ops;
		n_ops[i] = n;
	}
}

/* Codes the frame with other commands; those that made it smaller stay. */
static bool encode_others(struct coding *k, struct ops *o, uint32_t *n_ops, struct buf *out,
			  bool *ret_better, struct err *e)
{
	struct buf other = BUF_INIT(LIMIT_DELTA_FRAME);
	const struct coder was = k->coder;

	swap_ops(k, o, n_ops);
	k->weigh = NULL;
	bool ok = encode(k, &other, e);
	*ret_better = ok && other.n < out->n;
	if (*ret_better) {
		struct buf t = *out;

		*out = other;
		other = t;
	} else {
		swap_ops(k, o, n_ops);
		k->coder = was;
	}
	buf_done(&other);
	return ok;
}

static bool encode_cheaper(struct coding *k, struct weigh *w, struct buf *out, struct err *e)
{
	CLEANUP(ops_done) struct ops o = { 0 };
	uint32_t *n_ops = NULL;
	bool better = false;

	if (!weigh_hopes(w, k->ops, k->coder.cost[DELTA_INSERTS], spent(&k->coder)))
		return true;
	if (k->c->bulk)
		weigh_reckon(w);
	else if (!try_inserts(k, w, e))
		return false;
	uint64_t more = weigh_choose(w, k->ops, k->f->n_ops);
	bool ok = !more || chosen(k, w, &o, &n_ops, e);
	if (ok && o.n && o.n <= CUT_OPS_MAX)
		ok = encode_others(k, &o, n_ops, out, &better, e);
	if (better)
		__atomic_fetch_add(&k->c->given_up, more, __ATOMIC_RELAXED);
	free(n_ops);
	return ok;
}

bool encode_frame(struct encoding *c, struct frame *f, struct buf *out,
		  uint64_t cost[static DELTA_KINDS], struct err *e)
{
	CLEANUP(weigh_done) struct weigh w = { 0 };
	struct coding k = { .c = c, .f = f, .weigh = &w };

	if (!frame_ops(&k.ops, f, c->cut->spool, e))
		return false;
	bool ok = weigh_init(&w, f->n_ops, e) && encode(&k, out, e) &&
		  encode_cheaper(&k, &w, out, e);
	free(k.ops);
	runs_done(&f->runs);
	for (unsigned i = 0; i < DELTA_KINDS; i++)
		cost[i] += k.coder.cost[i];
	return ok;
}
