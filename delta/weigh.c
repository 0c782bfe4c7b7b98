#include "delta/weigh.h"

#include <stdlib.h>

enum {
	BIT = 1 << 16,
	DEAR = BIT / 8,       /* for each byte, that parts are told apart from others */
	SHARE = 4,            /* of what an inserted byte takes, that a byte may take */
	HOPE = 64,            /* part of a frame for which it is coded again */
	INSERT_HEAD = 8 * BIT /* where nothing was inserted yet */
};

#define NEVER (UINT64_C(1) << 60)

bool weigh_init(struct weigh *w, size_t n_ops, struct err *e)
{
	*w = (struct weigh){ .heads = calloc(n_ops + 1, sizeof(*w->heads)) };
	return w->heads || err_nomem(e);
}

void weigh_done(struct weigh *w)
{
	free(w->v);
	free(w->heads);
	*w = (struct weigh){ 0 };
}

static bool is_first(const struct weigh *w, size_t i)
{
	return i == 0 || w->v[i - 1].op != w->v[i].op;
}

static bool is_copy(const struct op *op)
{
	return op->kind == OP_COPY || op->kind == OP_ADD;
}

static bool part_append(struct weigh *w, const struct part *p, struct err *e)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 1024;
		struct part *v = reallocarray(w->v, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = *p;
	return true;
}

bool weigh_add(struct weigh *w, const struct op *v, uint32_t op, uint64_t n, uint64_t copied,
	       struct err *e)
{
	uint64_t head = v[op].n == n ? w->heads[op] : 0;
	struct part p = { .n = n, .copied = copied, .op = op };
	struct part *last = w->n ? &w->v[w->n - 1] : NULL;

	p.may = is_copy(&v[op]) && (copied + head) / DEAR >= n;
	if (!last || last->op != op || last->may || p.may)
		return part_append(w, &p, e);
	last->n += n;
	last->copied += copied;
	return true;
}

bool weigh_hopes(struct weigh *w, const struct op *v, uint64_t inserts, uint64_t all)
{
	uint64_t n = 0, gain = 0;

	for (size_t i = 0; i < w->n; i++)
		n += v[w->v[i].op].kind == OP_INSERT ? w->v[i].n : 0;
	w->each = n ? inserts / n : 8 * BIT;
	for (size_t i = 0; i < w->n; i++) {
		struct part *p = &w->v[i];
		uint64_t takes = p->copied + (is_first(w, i) ? w->heads[p->op] : 0);
		/* Bytes that the old image has alike are often those that are foreseen well. */
		uint64_t would = p->n * w->each / 4 * 3;

		p->may = p->may && takes >= p->n * w->each / SHARE;
		gain += p->may && takes > would ? takes - would : 0;
	}
	return gain > all / HOPE;
}

void weigh_reckon(struct weigh *w)
{
	for (size_t i = 0; i < w->n; i++)
		w->v[i].inserted = w->v[i].may ? w->v[i].n * w->each / 2 : 0;
}

/* What going to a copy and going to an insert take on the average. */
static void average(const struct weigh *w, const struct op *v, size_t n_ops,
		    uint64_t ret[static 2])
{
	uint64_t sum[2] = { 0 }, n[2] = { 0 };

	for (size_t i = 0; i < n_ops; i++) {
		unsigned inserts = v[i].kind == OP_INSERT;

		sum[inserts] += w->heads[i];
		n[inserts]++;
	}
	ret[0] = n[0] ? sum[0] / n[0] : 0;
	ret[1] = n[1] ? sum[1] / n[1] : INSERT_HEAD;
}

/* The cost of all up to a part when that is copied, and when it is inserted. */
static void pass_part(struct weigh *w, const struct op *v, size_t i, const uint64_t heads[2],
		      uint64_t cost[2])
{
	struct part *p = &w->v[i];
	bool insert = v[p->op].kind == OP_INSERT, first = is_first(w, i);
	uint64_t own = first ? w->heads[p->op] : 0;
	uint64_t back = cost[1] + (first ? 0 : heads[0]);
	uint64_t leave = cost[0] + (insert && first ? own : heads[1]);
	uint64_t copied, inserted;

	p->came[0] = back < cost[0];
	p->came[1] = cost[1] < leave;
	copied = (p->came[0] ? back : cost[0]) + own + p->copied;
	inserted = (p->came[1] ? cost[1] : leave) + p->inserted;
	cost[0] = insert ? NEVER : copied;
	cost[1] = insert || p->may ? inserted : NEVER;
}

uint64_t weigh_choose(struct weigh *w, const struct op *v, size_t n_ops)
{
	uint64_t cost[2] = { 0, NEVER }, heads[2], more = 0;

	average(w, v, n_ops, heads);
	for (size_t i = 0; i < w->n; i++)
		pass_part(w, v, i, heads, cost);
	bool inserted = cost[1] < cost[0];
	for (size_t i = w->n; i-- > 0;) {
		struct part *p = &w->v[i];

		p->is_inserted = inserted;
		more += inserted && v[p->op].kind != OP_INSERT ? p->n : 0;
		inserted = p->came[inserted];
	}
	return more;
}

bool weigh_take(const struct weigh *w, const struct op *v, uint32_t end, size_t *part,
		struct ops *ret, struct err *e)
{
	size_t begin = ret->n;
	uint64_t at = 0;

	for (; *part < w->n && w->v[*part].op < end; ++*part) {
		const struct part *p = &w->v[*part];
		struct op op = { .n = p->n,
				 .kind = p->is_inserted ? OP_INSERT : v[p->op].kind };

		at = is_first(w, *part) ? 0 : at;
		if (is_copy(&op))
			op.from = v[p->op].from + at;
		at += p->n;
		/* Nothing goes on from one piece to the next. */
		if (!(ret->n > begin ? ops_add : ops_append)(ret, &op, e))
			return false;
	}
	return true;
}
