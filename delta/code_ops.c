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

static void kind_remember(struct way *w, unsigned kind)
{
	w->kinds = w->kinds << 2 | kind;
}

static unsigned code_kind(struct coder *c, struct models *m, struct way *w, unsigned kind)
{
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		w->kinds & 0x3f,
		w->kinds & 0xffff,
		length_hash(w->n, w->kinds & 15),
		context_hash(w->jumps & 0xfff, w->kinds & 0x3f),
	};

	return (unsigned)code_number(c, m, w, NUM_KIND, contexts, kind) & 3;
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

static void jump_remember(struct way *w, unsigned jump)
{
	w->jumps = w->jumps << 3 | jump;
}

/* n: the command's whole length. */
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

	return (unsigned)code_number(c, m, w, NUM_JUMP, contexts, jump) & 7;
}

/* How far the command's bytes lie from the end of those that were copied before. */
static void code_near(struct coder *c, struct models *m, struct way *w, uint64_t n,
		      struct step *s)
{
	const uint32_t kinds = w->kinds & 15, logs = length_log(n) << 6 | length_log(w->n);
	const uint32_t sign[NUMBER_CONTEXTS] = { kinds, logs, w->jumps & 0xfff,
						 length_hash(w->n, kinds) };

	s->back = code_number(c, m, w, NUM_BACK, sign, s->back) & 1;
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		length_hash(w->jumped[s->back], kinds),
		length_hash(n, length_hash(w->n, kinds)),
		length_hash(w->n, kinds),
		context_hash(logs, kinds),
	};
	s->far = code_number(c, m, w, NUM_DISTANCE + s->back, contexts, s->far);
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

static bool copies(unsigned kind)
{
	return kind == OP_COPY || kind == OP_ADD;
}

/* ---- commands that are as habit has it ---- */

static struct habit *habit_of(struct way *w)
{
	return &w->habits[context_hash(w->steps[0], w->steps[1]) >> (32 - HABIT_LOG)];
}

static uint32_t step_what(const struct step *s)
{
	return (uint32_t)s->kind << 8 | (uint32_t)s->jump << 1 | s->back;
}

static bool step_equal(const struct step *a, const struct step *b)
{
	return a->n == b->n && a->far == b->far && step_what(a) == step_what(b);
}

static void habit_learn(struct way *w, struct habit *h, const struct step *s)
{
	if (step_equal(&h->step, s)) {
		h->right += h->right < HABIT_RIGHT;
		w->run += w->run < HABIT_RIGHT;
	} else {
		*h = (struct habit){ .step = *s };
		w->run = 0;
	}
	w->steps[1] = w->steps[0];
	w->steps[0] = length_hash(s->n, length_hash(s->far, step_what(s)));
}

/* Whether the command is as its habit says.  Not asked where that was not right before. */
static bool code_habit(struct coder *c, struct models *m, struct way *w, const struct habit *h,
		       const struct step *s)
{
	bool is = !c->decoding && step_equal(&h->step, s);
	size_t set = (w == &m->ways[1] ? HABIT_RIGHT + 1 : 0) + h->right;
	bitmodel *models[HABIT_INPUTS] = {
		&w->is_habit[0][h->right * (HABIT_RIGHT + 1) + w->run],
		&w->is_habit[1][(size_t)(h - w->habits)],
		&w->is_habit[2][w->kinds & 0xff],
		&w->is_habit[3][(w->jumps & 63) << 4 | (h->right > 15 ? 15 : h->right)],
	};

	return h->right && coder_flag(c, &m->habits, set, models, HABIT_INPUTS, is);
}

/* ---- a command ---- */

static struct step step_of(const struct way *w, const struct op *op, uint64_t left,
			   uint64_t pos)
{
	struct step s = { .kind = op->kind, .n = op->n == left ? 0 : op->n };

	if (!copies(op->kind))
		return s;
	s.jump = (uint8_t)jump_of(w, op->from, pos);
	if (s.jump == JUMP_NEAR) {
		s.back = op->from < w->old_end;
		s.far = s.back ? w->old_end - op->from : op->from - w->old_end;
	}
	return s;
}

static void code_step(struct coder *c, struct models *m, struct way *w, struct step *s,
		      uint64_t left)
{
	uint64_t n;

	s->kind = (uint8_t)code_kind(c, m, w, s->kind);
	kind_remember(w, s->kind);
	s->n = code_length(c, m, w, s->kind, s->n);
	n = s->n ? s->n : left;
	if (!copies(s->kind))
		return;
	s->jump = (uint8_t)code_jump(c, m, w, n, s->jump);
	jump_remember(w, s->jump);
	if (s->jump == JUMP_NEAR)
		code_near(c, m, w, n, s);
}

static uint64_t step_from(const struct way *w, const struct step *s, uint64_t pos)
{
	if (s->jump == JUMP_SAME)
		return pos + w->distance;
	if (s->jump == JUMP_END)
		return w->old_end;
	if (s->jump >= JUMP_RECENT)
		return pos + w->recent[s->jump - JUMP_RECENT];
	return s->back ? w->old_end - s->far : w->old_end + s->far;
}

bool code_op(struct coder *c, struct models *m, struct op *op, bool in_stream, uint64_t at,
	     uint64_t total, uint64_t piece_start, uint64_t space_end, struct err *e)
{
	struct way *w = &m->ways[in_stream];
	struct habit *h = habit_of(w);
	uint64_t left = total - at, pos = piece_start + at;
	struct step s = { 0 };

	c->kind = DELTA_OPS;
	if (!c->decoding)
		s = step_of(w, op, left, pos);
	if (code_habit(c, m, w, h, &s)) {
		s = h->step;
		kind_remember(w, s.kind);
		if (copies(s.kind))
			jump_remember(w, s.jump);
	} else {
		code_step(c, m, w, &s, left);
	}
	if (s.n > left)
		return err_set(e, E_CORRUPT, "a command is longer than its piece");
	op->kind = s.kind & 7;
	op->n = s.n ? s.n : left;
	op->from = 0;
	if (copies(s.kind)) {
		op->from = step_from(w, &s, pos);
		if (op->from > space_end || op->n > space_end - op->from)
			return err_set(e, E_CORRUPT, "a command copies from outside");
		if (s.jump == JUMP_NEAR)
			w->jumped[s.back] = s.far;
		w->old_end = op->from + op->n;
		way_remember(w, op->from - pos);
	}
	length_remember(w, s.kind, op->n);
	habit_learn(w, h, &s);
	return coder_ok(c, e);
}

bool code_body_start(struct models *m, const struct piece *pieces, size_t n_pieces,
		     const struct op *ops, size_t n_ops, struct err *e)
{
	return fields_map(&m->fields, pieces, n_pieces, ops, n_ops, e);
}
