#include "delta/refine.h"

#include <stdlib.h>
#include <string.h>

/* Costs are in sixteenths of a bit. */
enum {
	BIT = 16,
	SLOTS = 12,        /* places where the way may be at a time */
	AHEAD = 4,         /* commands whose distances are tried before they begin */
	LONG = 1024,       /* from this length on a command stays as it is */
	MARGIN = 128,      /* but for its bytes next to shorter ones */
	START = 4,         /* equal bytes to go to another distance */
	ZERO_START = 16,   /* zeros to begin zeros */
	MISS = 10 * BIT,   /* a byte that differs from what is copied */
	MISS_ON = 8 * BIT, /* behind another */
	TO_ZERO = 6 * BIT,
	TO_INSERT = BIT,
	NODES = 1 << 16,
	COUNT_LOG = 12,
	STEP_MAX = 64, /* a usual step between two distances */
	SLIDE_MAX = 4096,
	BLOCK_LOG_MIN = 4,
	BLOCK_LOG_MAX = 12,
	FIT_LENGTH = 8,
	FIT_INSERT = 24,
	NEVER = 1 << 30,
};

/* Where a way turned to something else. */
struct node {
	size_t at;
	uint64_t distance; /* of a copy */
	uint64_t old_end;  /* of the last copy before, and its distance */
	uint64_t last;
	uint32_t prev;
	uint32_t kind; /* op_kind: INSERT, COPY, ZERO */
};

struct slot {
	uint64_t distance;
	bool zero;
	bool missed; /* the byte before differs */
	uint32_t stamp;
	int cost;
	uint32_t node;
	/* leaving it to insert: what it cost there less what all bytes before would cost inserted */
	int leave;
	size_t left;
	uint32_t left_node;
};

/* How often the found commands were like that. */
struct counts {
	uint16_t jumps[1 << COUNT_LOG], lengths[1 << COUNT_LOG];
	uint32_t copies, same, end, inserts;
	uint64_t step;      /* the usual difference of two distances; 0 for none */
	int length, insert; /* cost of a length */
	int byte[256];
};

struct refiner {
	struct counts counts;
	struct node nodes[NODES];
	uint32_t n_nodes;
	struct slot slots[SLOTS];
	unsigned n_slots;
	uint32_t stamp;
	int inserted; /* what all bytes so far of this stretch would cost inserted */
	const struct refine_job *job;
	const uint8_t *old, *p; /* the job's */
	uint64_t old_n;
	struct ops *ret;
	struct ops way; /* of a stretch, last first */
};

bool refiner_new(struct refiner **ret, struct err *e)
{
	struct refiner *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem(e);
	*ret = r;
	return true;
}

void refiner_free(struct refiner *r)
{
	if (!r)
		return;
	ops_done(&r->way);
	free(r);
}

/* ---- costs ---- */

/* log2(v), v > 0 */
static int log_cost(uint64_t v)
{
	unsigned log = 63 - (unsigned)__builtin_clzll(v);
	uint64_t rest = log >= 4 ? v >> (log - 4) & 15 : v << (4 - log) & 15;

	return (int)(log * BIT + rest);
}

static unsigned jump_slot(uint64_t step, uint64_t jump)
{
	return context_hash(context_hash((uint32_t)step, (uint32_t)(step >> 32)),
			    context_hash((uint32_t)jump, (uint32_t)(jump >> 32))) >>
	       (32 - COUNT_LOG);
}

static unsigned length_slot(uint64_t n, unsigned kind)
{
	return context_hash((uint32_t)n, kind) >> (32 - COUNT_LOG);
}

static void count_up(uint16_t *v)
{
	*v = (uint16_t)(*v + (*v < UINT16_MAX));
}

/* Commands that copy, as jumps from the one before. */
static void count_jumps(struct counts *c, const struct ops *found)
{
	uint64_t at = 0, end = 0, last = 0, votes = 0;

	for (size_t i = 0; i < found->n; at += found->v[i++].n) {
		const struct op *op = &found->v[i];
		uint64_t distance = op->from - at, step = distance - last;

		count_up(&c->lengths[length_slot(op->n, op->kind)]);
		c->inserts += op->kind == OP_INSERT;
		if (op->kind != OP_COPY)
			continue;
		c->copies++;
		c->same += step == 0;
		c->end += step != 0 && op->from == end;
		count_up(&c->jumps[jump_slot(step, op->from - end)]);
		if (step + STEP_MAX <= 2 * STEP_MAX && step != 0) {
			/* The one that more than half of them are, if there is one. */
			if (!votes)
				c->step = step;
			votes += c->step == step ? 1 : UINT64_MAX;
		}
		end = op->from + op->n;
		last = distance;
	}
}

static void count_lengths(struct counts *c, const struct ops *found)
{
	uint64_t sum[4] = { 0 }, n[4] = { 0 };

	for (size_t i = 0; i < found->n; i++) {
		const struct op *op = &found->v[i];

		sum[op->kind] += (uint64_t)log_cost(op->kind == OP_INSERT ? c->inserts + 1
									  : c->copies + 1) -
				 (uint64_t)log_cost(c->lengths[length_slot(op->n, op->kind)]);
		n[op->kind]++;
	}
	c->length = n[OP_COPY] ? (int)(sum[OP_COPY] / n[OP_COPY]) : 8 * BIT;
	c->insert = n[OP_INSERT] ? (int)(sum[OP_INSERT] / n[OP_INSERT]) : 4 * BIT;
	if (c->length < BIT / 2 || c->length > 12 * BIT)
		c->length = c->length < BIT / 2 ? BIT / 2 : 12 * BIT;
	if (c->insert < BIT / 2 || c->insert > 12 * BIT)
		c->insert = c->insert < BIT / 2 ? BIT / 2 : 12 * BIT;
}

static void count_bytes(struct counts *c, const uint8_t *p, const struct ops *found)
{
	uint32_t n[256] = { 0 }, all = 0;
	size_t at = 0;

	for (size_t i = 0; i < found->n; at += found->v[i++].n)
		if (found->v[i].kind == OP_INSERT && found->v[i].n < LONG) {
			for (size_t k = 0; k < found->v[i].n; k++)
				n[p[at + k]]++;
			all += (uint32_t)found->v[i].n;
		}
	for (unsigned b = 0; b < 256; b++) {
		int cost = log_cost(all + 1024) - log_cost(n[b] + 4);

		c->byte[b] = cost * 3 / 4 + 1;
	}
}

/* What it costs to copy at `distance` from `at` on, where a copy at `last` ended at `end` of the old space. */
static int copy_cost(const struct counts *c, uint64_t distance, size_t at, uint64_t last,
		     uint64_t end)
{
	uint64_t jump = at + distance - end, step = distance - last;
	uint32_t n = c->jumps[jump_slot(step, jump)];
	int all = log_cost(c->copies + 8), cost;

	if (step == 0)
		cost = all - log_cost(c->same + 1);
	else if (jump == 0)
		cost = all - log_cost(c->end + 1);
	else
		cost = all - log_cost(c->copies - c->same - c->end + 1) + 2 * BIT +
		       log_cost(((int64_t)jump < 0 ? 0 - jump : jump) + 1);
	if (n > 2 && all - log_cost(n) < cost)
		cost = all - log_cost(n);
	return cost + c->length;
}

/* ---- ways ---- */

static bool hits(const struct refiner *r, const struct slot *s, size_t at)
{
	if (s->zero)
		return r->p[at] == 0;
	uint64_t from = at + s->distance;
	return from < r->old_n && r->old[from] == r->p[at];
}

static bool hits_for(const struct refiner *r, const struct slot *s, size_t at, size_t n,
		     size_t to)
{
	if (n > to - at)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!hits(r, s, at + i))
			return false;
	return true;
}

static uint32_t node_new(struct refiner *r, const struct node *n)
{
	r->nodes[r->n_nodes] = *n;
	return r->n_nodes++;
}

/* Turning from a slot, or from inserting behind it. */
struct turn {
	const struct slot *from;
	bool inserting;
	int cost;               /* of all up to there */
	uint64_t old_end, last; /* of the copy before */
};

enum { GOAL_ANY = OP_ZERO + 1 };

struct goal {
	unsigned kind; /* op_kind, or GOAL_ANY */
	uint64_t distance;
};

static void turn_from(const struct refiner *r, struct turn *t, size_t at)
{
	const struct node *n = &r->nodes[t->inserting ? t->from->left_node : t->from->node];
	bool copied = n->kind == OP_COPY;

	t->old_end = copied ? (t->inserting ? t->from->left : at) + n->distance : n->old_end;
	t->last = copied ? n->distance : n->last;
}

static int turn_cost(const struct refiner *r, const struct turn *t, const struct goal *g,
		     size_t at)
{
	const struct counts *c = &r->counts;
	bool stays = !t->inserting && t->from->zero == (g->kind == OP_ZERO);

	if (g->kind == OP_COPY)
		return stays && t->from->distance == g->distance
			       ? 0
			       : copy_cost(c, g->distance, at, t->last, t->old_end);
	if (g->kind == OP_ZERO)
		return stays ? 0 : c->length + TO_ZERO;
	return g->kind == OP_INSERT && !t->inserting ? c->insert + TO_INSERT : 0;
}

static void turn_consider(const struct refiner *r, struct turn *best, struct turn t,
			  const struct goal *g, size_t at)
{
	if (t.cost >= best->cost)
		return;
	turn_from(r, &t, at);
	t.cost += turn_cost(r, &t, g, at);
	if (t.cost < best->cost)
		*best = t;
}

/* The cheapest way to be at the goal at `at`; *best stays where none is cheaper. */
static void turn_find(const struct refiner *r, struct turn *best, const struct goal *g,
		      size_t at)
{
	for (unsigned k = 0; k < r->n_slots; k++) {
		const struct slot *s = &r->slots[k];
		const struct turn on = { .from = s, .cost = s->cost };
		const struct turn behind = { .from = s,
					     .inserting = true,
					     .cost = s->leave + r->inserted };

		turn_consider(r, best, on, g, at);
		if (s->leave < NEVER && s->left < at)
			turn_consider(r, best, behind, g, at);
	}
}

static uint32_t node_inserting(struct refiner *r, const struct turn *t)
{
	if (!t->inserting)
		return t->from->node;
	return node_new(r, &(struct node){ .at = t->from->left,
					   .old_end = t->old_end,
					   .last = t->last,
					   .prev = t->from->left_node,
					   .kind = OP_INSERT });
}

static void try_go(struct refiner *r, struct slot *to, size_t at)
{
	const struct goal g = { .kind = to->zero ? OP_ZERO : OP_COPY,
				.distance = to->distance };
	struct turn t = { .cost = to->cost };

	turn_find(r, &t, &g, at);
	if (!t.from)
		return;
	uint32_t prev = node_inserting(r, &t);
	to->node = node_new(r, &(struct node){ .at = at,
					       .distance = to->distance,
					       .old_end = t.old_end,
					       .last = t.last,
					       .prev = prev,
					       .kind = g.kind });
	to->cost = t.cost;
}

/* Leaving slot s to insert from `at` on. */
static void try_leave(struct refiner *r, struct slot *s, size_t at)
{
	int leave = s->cost - r->inserted + r->counts.insert + TO_INSERT;

	if (s->cost < NEVER && leave < s->leave) {
		s->leave = leave;
		s->left = at;
		s->left_node = s->node;
	}
}

static void miss(const struct refiner *r, struct slot *s, size_t at)
{
	if (s->zero || at + s->distance >= r->old_n)
		s->cost = NEVER;
	else if (s->cost < NEVER)
		s->cost += s->missed ? MISS_ON : MISS;
}

/* A way turns to a slot where that begins to fit, and from it where it does not: elsewhere it is no cheaper. */
static void pass_byte(struct refiner *r, size_t at, size_t to)
{
	bool hit[SLOTS] = { 0 };

	for (unsigned k = 0; k < r->n_slots; k++)
		hit[k] = hits(r, &r->slots[k], at);
	for (unsigned k = 0; k < r->n_slots; k++) {
		struct slot *s = &r->slots[k];

		if (!hit[k])
			try_leave(r, s, at);
		else if (s->missed && hits_for(r, s, at, s->zero ? ZERO_START : START, to))
			try_go(r, s, at);
	}
	for (unsigned k = 0; k < r->n_slots; k++) {
		if (!hit[k])
			miss(r, &r->slots[k], at);
		r->slots[k].missed = !hit[k];
	}
	r->inserted += r->counts.byte[r->p[at]];
}

static struct slot *slot_oldest(struct refiner *r)
{
	struct slot *best = &r->slots[0], *oldest = NULL;

	if (r->n_slots < SLOTS)
		return &r->slots[r->n_slots++];
	for (unsigned k = 1; k < SLOTS; k++)
		if (r->slots[k].cost < best->cost)
			best = &r->slots[k];
	for (unsigned k = 0; k < SLOTS; k++)
		if (&r->slots[k] != best && (!oldest || r->slots[k].stamp < oldest->stamp))
			oldest = &r->slots[k];
	return oldest;
}

static void look(const struct refiner *r, uint64_t from)
{
	if (r->job->look)
		r->job->look(r->job->ctx, from);
}

/* The slot of a distance or of zeros, in place of the one that was wanted longest ago. */
static struct slot *slot_want(struct refiner *r, uint64_t distance, bool zero)
{
	struct slot *s;

	for (unsigned k = 0; k < r->n_slots; k++) {
		s = &r->slots[k];
		if (s->zero == zero && (zero || s->distance == distance)) {
			s->stamp = ++r->stamp;
			return s;
		}
	}
	s = slot_oldest(r);
	*s = (struct slot){ .distance = distance,
			    .zero = zero,
			    .missed = true,
			    .stamp = ++r->stamp,
			    .cost = NEVER,
			    .leave = NEVER };
	return s;
}

/* The distance of a command, and the one that is a usual step from there. */
static void slot_add(struct refiner *r, const struct op *op, size_t at)
{
	if (op->kind == OP_INSERT)
		return;
	if (op->kind == OP_COPY)
		look(r, op->from);
	slot_want(r, op->from - at, op->kind == OP_ZERO);
	if (op->kind == OP_COPY && r->counts.step)
		slot_want(r, op->from - at + r->counts.step, false);
}

/* ---- a stretch of short commands ---- */

/* What one was made of up to `to`, by the way that ends at the node. */
static bool take_way(struct refiner *r, uint32_t node, size_t to, struct err *e)
{
	r->way.n = 0;
	for (;;) {
		const struct node *n = &r->nodes[node];
		const struct op op = { .from = n->kind == OP_COPY ? n->at + n->distance : 0,
				       .n = to - n->at,
				       .kind = n->kind & 7 };

		if (!ops_append(&r->way, &op, e))
			return false;
		to = n->at;
		if (node == 0)
			break;
		node = n->prev;
	}
	for (size_t i = r->way.n; i-- > 0;)
		if (!ops_add(r->ret, &r->way.v[i], e))
			return false;
	return true;
}

/* The last copy that was made. */
static void find_last(const struct ops *o, size_t at, struct node *ret)
{
	for (size_t i = o->n; i-- > 0;) {
		at -= o->v[i].n;
		if (o->v[i].kind == OP_COPY) {
			ret->old_end = o->v[i].from + o->v[i].n;
			ret->last = o->v[i].from - at;
			return;
		}
	}
}

struct stretch {
	const struct op *v; /* commands; the last one may go on behind it, */
	size_t n;
	size_t begin; /* as the first one may begin here, before it */
	size_t from, to;
};

/* Begins at `at` as command `op` goes on there. */
static void stretch_start(struct refiner *r, const struct op *op, size_t op_at, size_t at)
{
	struct node root = { .at = at, .distance = op->from - op_at, .kind = op->kind };
	struct slot *s;

	r->n_slots = r->n_nodes = 0;
	r->inserted = 0;
	find_last(r->ret, at, &root);
	node_new(r, &root);
	s = slot_want(r, root.distance, op->kind != OP_COPY);
	s->missed = false;
	s->left = at;
	if (op->kind == OP_INSERT)
		s->leave = 0; /* a slot that is only left */
	else
		s->cost = 0;
}

/* Ends at `at`, as op goes on there (NULL: nothing does). */
static bool stretch_end(struct refiner *r, const struct op *op, size_t op_at, size_t at,
			struct err *e)
{
	const struct goal g = { .kind = op ? op->kind : GOAL_ANY,
				.distance = op ? op->from - op_at : 0 };
	struct turn t = { .cost = INT32_MAX };

	turn_find(r, &t, &g, at);
	return take_way(r, node_inserting(r, &t), at, e);
}

static void slots_ahead(struct refiner *r, const struct stretch *s, size_t op, size_t op_at)
{
	for (size_t i = op; i < s->n && i < op + AHEAD; op_at += s->v[i++].n)
		slot_add(r, &s->v[i], op_at);
}

static bool refine_stretch(struct refiner *r, const struct stretch *s, struct err *e)
{
	size_t op_at = s->begin, at = s->from;

	stretch_start(r, s->v, op_at, at);
	for (size_t i = 0; i < s->n; op_at += s->v[i++].n) {
		size_t op_end = op_at + s->v[i].n, until = op_end < s->to ? op_end : s->to;

		slots_ahead(r, s, i, op_at);
		for (; at < until; at++) {
			if (r->n_nodes + 2 * SLOTS + 1 > NODES) {
				if (!stretch_end(r, &s->v[i], op_at, at, e))
					return false;
				stretch_start(r, &s->v[i], op_at, at);
				slots_ahead(r, s, i, op_at);
			}
			pass_byte(r, at, s->to);
		}
	}
	const struct op *last = &s->v[s->n - 1];
	op_at -= last->n;
	return stretch_end(r, op_at + last->n > s->to ? last : NULL, op_at, s->to, e);
}

static bool add_part(struct refiner *r, const struct op *op, size_t skip, size_t n,
		     struct err *e)
{
	const struct op part = { .from = op->kind == OP_COPY ? op->from + skip : 0,
				 .n = n,
				 .kind = op->kind };

	return ops_add(r->ret, &part, e);
}

/* Long commands stay, but for their ends next to short ones. */
static bool refine_ways(struct refiner *r, const struct ops *found, struct err *e)
{
	size_t at = 0, done = 0; /* where command i begins; made so far */

	for (size_t i = 0, end; i < found->n; i = end) {
		const struct op *op = &found->v[i];
		struct stretch s = { .v = op, .begin = at };

		s.to = at + op->n;
		for (end = i + 1; end < found->n && found->v[end].n < LONG; end++)
			s.to += found->v[end].n;
		if (op->n >= LONG) {
			size_t keep = op->n - (end > i + 1 ? MARGIN : 0);

			if (!add_part(r, op, done - at, at + keep - done, e))
				return false;
			done = at + keep;
		}
		at = s.to;
		if (done == s.to)
			continue;
		s.n = end - i + (end < found->n);
		s.to += end < found->n ? MARGIN : 0;
		s.from = done;
		if (!refine_stretch(r, &s, e))
			return false;
		done = s.to;
	}
	return true;
}

/* ---- where two commands meet ---- */

/* The copies before. */
struct rhythm {
	size_t lengths[2];
	const uint8_t *insert; /* the last inserted bytes */
	size_t inserted;
};

/* How well n bytes before a copy from `from`, with the insert between them, go on as before. */
static unsigned rhythm_of(const struct rhythm *y, size_t n, uint64_t from,
			  const uint8_t *insert, size_t inserted)
{
	unsigned block = from ? (unsigned)__builtin_ctzll(from) : BLOCK_LOG_MAX;
	unsigned fits = block < BLOCK_LOG_MIN   ? 0
			: block < BLOCK_LOG_MAX ? block
						: BLOCK_LOG_MAX;

	if (n == y->lengths[0] || n == y->lengths[1])
		fits += FIT_LENGTH;
	if (inserted && inserted == y->inserted && memcmp(insert, y->insert, inserted) == 0)
		fits += FIT_INSERT;
	return fits;
}

/* How far the end of v[0], and all up to the copy v[i], may move to and fro without any byte made otherwise. */
static void slide_range(const struct refiner *r, const struct op *v, size_t i, size_t at,
			size_t *ret_back, size_t *ret_on)
{
	const uint64_t from = v[0].from + v[0].n, to = v[i].from;
	size_t gap = i == 2 ? v[1].n : 0, back = 0, on = 0;
	const uint8_t *old = r->old, *p = r->p;

	while (back < SLIDE_MAX && back + 1 < v[0].n && back < to &&
	       p[at + gap - back - 1] == old[to - back - 1] &&
	       (gap || p[at - back - 1] == old[from - back - 1]))
		back++;
	while (on < SLIDE_MAX && on + 1 < v[i].n && on < r->old_n - from &&
	       p[at + on] == old[from + on] && (gap || p[at + on] == old[to + on]))
		on++;
	*ret_back = back;
	*ret_on = on;
}

/* The best place for v[0] to end, where v[i] is the copy behind it; at: where it ends now. */
static void settle_end(const struct refiner *r, const struct rhythm *y, struct op *v, size_t i,
		       size_t at)
{
	size_t gap = i == 2 ? v[1].n : 0, back, on, best = 0;
	unsigned best_fits;

	look(r, v[0].from + v[0].n);
	look(r, v[i].from);
	slide_range(r, v, i, at, &back, &on);
	best_fits = rhythm_of(y, v[0].n, v[i].from, r->p + at, gap);
	best = back;
	for (size_t k = 0; k <= back + on; k++) {
		unsigned fits = rhythm_of(y, v[0].n - back + k, v[i].from - back + k,
					  r->p + at - back + k, gap);

		if (fits > best_fits) {
			best_fits = fits;
			best = k;
		}
	}
	v[0].n = v[0].n - back + best;
	v[i].from = v[i].from - back + best;
	v[i].n = v[i].n + back - best;
}

static void settle(const struct refiner *r, struct ops *o)
{
	struct rhythm y = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < o->n; at += o->v[i++].n) {
		struct op *v = &o->v[i];
		size_t next = i + 1 < o->n && v[1].kind == OP_INSERT ? 2 : 1;

		if (v->kind == OP_INSERT) {
			y.insert = r->p + at;
			y.inserted = v->n;
		}
		if (v->kind != OP_COPY)
			continue;
		if (i + next < o->n && v[next].kind == OP_COPY)
			settle_end(r, &y, v, next, at + v->n);
		y.lengths[1] = y.lengths[0];
		y.lengths[0] = v->n;
	}
}

bool refine(struct refiner *r, const struct refine_job *job, struct ops *ret, struct err *e)
{
	memset(&r->counts, 0, sizeof(r->counts));
	count_jumps(&r->counts, job->found);
	count_lengths(&r->counts, job->found);
	count_bytes(&r->counts, job->p, job->found);
	r->job = job;
	r->old = job->old;
	r->old_n = job->old_n;
	r->p = job->p;
	r->stamp = 0;
	r->ret = ret;
	if (!refine_ways(r, job->found, e))
		return false;
	settle(r, ret);
	return true;
}
