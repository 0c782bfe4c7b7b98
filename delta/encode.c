#include "delta/encode.h"
#include "delta/fields.h"

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

static bool code_adds(struct encoding *c, struct coder *coder, struct models *m,
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

static bool code_op_body(struct encoding *c, struct coder *coder, struct models *m,
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

static bool code_heads(struct encoding *c, struct coder *coder, struct models *m,
		       struct frame *f, struct op *ops, struct err *e)
{
	uint64_t streams = 0, left = f->bytes;

	for (size_t i = 0; i < f->n_pieces; i++) {
		struct piece *p = &c->cut->pieces[f->first_piece + i];
		uint64_t address = fields_address(p, streams), at = 0;

		if (!code_piece(coder, m, p, (uint32_t)i, &f->runs, left, e))
			return false;
		for (uint32_t k = 0; k < p->ops; k++) {
			struct op *op = &ops[p->first_op + k];

			if (!code_op(coder, m, op, p->transform != 0, at, piece_bytes(p),
				     address, c->sight->space.end, e))
				return false;
			at += op->n;
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

static bool code_bodies(struct encoding *c, struct coder *coder, struct models *m,
			const struct frame *f, const struct op *ops, struct err *e)
{
	uint64_t streams = 0, touched = 0, old_at = 0;

	for (size_t i = 0; i < f->n_pieces; i++) {
		const struct piece *p = &c->cut->pieces[f->first_piece + i];
		uint64_t address = fields_address(p, streams);
		size_t source = c->cut->sources[f->first_piece + i];
		const uint8_t *bytes =
			p->transform ? sight_new(c->sight, source) : c->sight->new + p->offset;

		if (p->transform && !code_recipe(coder, m, &c->sight->pieces[source].recipe, e))
			return false;
		for (uint32_t k = 0; k < p->ops; k++) {
			const struct op *op = &ops[p->first_op + k];

			if (!(!p->transform && code_is_bulk(coder, m, op, c->bulk)
				      ? code_bulks(coder, m, op, bytes, e)
				      : code_op_body(c, coder, m, op, bytes, address, e)))
				return false;
			touched += touched_by(op, &old_at);
			tell_touched(c, &touched);
			bytes += op->n;
			address += op->n;
		}
		streams += p->plain_size;
	}
	return true;
}

static bool encode(struct encoding *c, struct frame *f, struct op *ops, struct coder *coder,
		   struct models *m, struct err *e)
{
	if (!code_heads(c, coder, m, f, ops, e) ||
	    !code_body_start(m, c->cut->pieces + f->first_piece, f->n_pieces, ops, f->n_ops,
			     e) ||
	    !code_bodies(c, coder, m, f, ops, e))
		return false;
	coder_encode_end(coder);
	return coder_ok(coder, e);
}

bool encode_frame(struct encoding *c, struct frame *f, struct buf *out,
		  uint64_t cost[static DELTA_KINDS], struct err *e)
{
	CLEANUP(models_freep) struct models *m = NULL;
	struct op *ops = NULL;
	struct coder coder;

	if (!models_new(&m, e) || !frame_ops(&ops, f, c->cut->spool, e))
		return false;
	coder_encode_start(&coder, out, e);
	bool ok = encode(c, f, ops, &coder, m, e);
	free(ops);
	runs_done(&f->runs);
	for (unsigned i = 0; i < DELTA_KINDS; i++)
		cost[i] += coder.cost[i];
	return ok;
}
