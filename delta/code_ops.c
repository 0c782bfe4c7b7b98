/* Commands: which bytes come from where. */
#include "delta/models.h"

static inline uint32_t length_hash(uint64_t n, uint32_t with)
{
	return context_hash(context_hash((uint32_t)n, (uint32_t)(n >> 32)), with);
}

static inline unsigned length_log(uint64_t n)
{
	return 63 - (unsigned)__builtin_clzll(n | 1);
}

static uint64_t code_number(struct coder *c, struct models *m, const struct way *w,
			    unsigned num, const uint32_t contexts[NUMBER_CONTEXTS], uint64_t v)
{
	return coder_mixed(c, &m->commands, (w == &m->ways[1] ? NUMS : 0) + num, contexts, v);
}

static unsigned code_kind(struct coder *c, struct models *m, struct way *w, unsigned kind)
{
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		w->kinds & 0x3f,
		w->kinds & 0xffff,
		length_hash(w->n, w->kinds & 15),
		context_hash(w->jumps & 0xfff, w->kinds & 0x3f),
	};

	kind = (unsigned)code_number(c, m, w, NUM_KIND, contexts, kind) & 3;
	w->kinds = w->kinds << 2 | kind;
	return kind;
}

static uint64_t code_length(struct coder *c, struct models *m, struct way *w, unsigned kind,
			    uint64_t n)
{
	uint64_t *last = w->lengths[kind];
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		length_hash(last[0], w->kinds & 15),
		length_hash(last[0], length_hash(last[1], w->kinds & 0xff)),
		length_hash(w->n, w->kinds & 0xff),
		context_hash(length_log(w->n), w->kinds & 0xff),
	};

	return code_number(c, m, w, NUM_LENGTH + kind, contexts, n);
}

static void length_remember(struct way *w, unsigned kind, uint64_t n)
{
	w->lengths[kind][1] = w->lengths[kind][0];
	w->lengths[kind][0] = w->n = n;
}

enum jump { JUMP_SAME, JUMP_END, JUMP_NEAR, JUMP_RECENT, JUMPS = JUMP_RECENT + RECENT };

static unsigned jump_of(const struct way *w, uint64_t from, uint64_t pos)
{
	if (from == pos + w->distance)
		return JUMP_SAME;
	if (from == w->old_end)
		return JUMP_END;
	for (unsigned i = 1; i < RECENT; i++)
		if (from == pos + w->recent[i])
			return JUMP_RECENT + i;
	return JUMP_NEAR;
}

static unsigned code_jump(struct coder *c, struct models *m, struct way *w, uint64_t n,
			  unsigned jump)
{
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		w->kinds & 0xff,
		context_hash(w->jumps & 0xfff, w->kinds & 3),
		length_hash(n, length_hash(w->n, w->kinds & 15)),
		context_hash(length_log(n) << 6 | length_log(w->n),
			     (w->jumps & 63) << 4 | (w->kinds & 15)),
	};

	jump = (unsigned)code_number(c, m, w, NUM_JUMP, contexts, jump) & 7;
	w->jumps = w->jumps << 3 | jump;
	return jump;
}

/* How far the command's bytes lie from the end of those that were copied before. */
static uint64_t code_near(struct coder *c, struct models *m, struct way *w, uint64_t n,
			  uint64_t from)
{
	const uint32_t kinds = w->kinds & 15, logs = length_log(n) << 6 | length_log(w->n);
	const uint32_t sign[NUMBER_CONTEXTS] = { kinds, logs, w->jumps & 0xfff,
						 length_hash(w->n, kinds) };
	bool back = code_number(c, m, w, NUM_BACK, sign, from < w->old_end) & 1;
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		length_hash(w->jumped[back], kinds),
		length_hash(n, length_hash(w->n, kinds)),
		length_hash(w->n, kinds),
		context_hash(logs, kinds),
	};
	uint64_t d = back ? w->old_end - from : from - w->old_end;

	d = code_number(c, m, w, NUM_DISTANCE + back, contexts, d);
	w->jumped[back] = d;
	return back ? w->old_end - d : w->old_end + d;
}

static void way_remember(struct way *w, uint64_t distance)
{
	unsigned i = 0;

	w->distance = distance;
	while (i < RECENT - 1 && w->recent[i] != distance)
		i++;
	for (; i > 0; i--)
		w->recent[i] = w->recent[i - 1];
	w->recent[0] = distance;
}

static uint64_t code_from(struct coder *c, struct models *m, struct way *w, uint64_t n,
			  uint64_t from, uint64_t pos)
{
	unsigned jump = code_jump(c, m, w, n, c->decoding ? 0 : jump_of(w, from, pos));

	if (jump == JUMP_SAME)
		return pos + w->distance;
	if (jump == JUMP_END)
		return w->old_end;
	if (jump >= JUMP_RECENT)
		return pos + w->recent[jump - JUMP_RECENT];
	return code_near(c, m, w, n, from);
}

bool code_op(struct coder *c, struct models *m, struct op *op, bool in_stream, uint64_t at,
	     uint64_t total, uint64_t piece_start, uint64_t space_end, struct err *e)
{
	struct way *w = &m->ways[in_stream];
	uint64_t left = total - at, pos = piece_start + at;

	c->kind = DELTA_OPS;
	unsigned kind = code_kind(c, m, w, op->kind);
	/* 0: all that is left of the piece. */
	uint64_t n = code_length(c, m, w, kind, op->n == left ? 0 : op->n);
	if (n > left)
		return err_set(e, E_CORRUPT, "a command is longer than its piece");
	op->kind = kind & 7;
	op->n = n ? n : left;
	if (kind == OP_COPY || kind == OP_ADD) {
		op->from = code_from(c, m, w, op->n, op->from, pos);
		if (op->from > space_end || op->n > space_end - op->from)
			return err_set(e, E_CORRUPT, "a command copies from outside");
		w->old_end = op->from + op->n;
		way_remember(w, op->from - pos);
	} else {
		op->from = 0;
	}
	length_remember(w, kind, op->n);
	return coder_ok(c, e);
}

bool code_body_start(struct models *m, const struct piece *pieces, size_t n_pieces,
		     const struct op *ops, size_t n_ops, struct err *e)
{
	return fields_map(&m->fields, pieces, n_pieces, ops, n_ops, e);
}
