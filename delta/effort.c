#include "delta/effort.h"

#include <stdlib.h>

enum {
	SHORT_MIN = 64, /* bytes of copies that are given up first */
	SHORT_MAX = 4096,
	UNPACKED =
		16384, /* steps that tell that a chunk was unpacked, and not found in the cache */
};

struct effort {
	struct space space; /* an estimate's */
	struct cutter *cut;
	uint64_t shorter; /* copies of fewer bytes are given up; 0: none */
};

static bool visit(struct space *s, const struct op *op, struct err *e)
{
	uint64_t before = op->from < CODE_BEFORE ? op->from : CODE_BEFORE;

	return (op->kind != OP_COPY && op->kind != OP_ADD) ||
	       space_visit(s, op->from - before, before + op->n + CODE_AFTER, e);
}

static void give_up(struct cutter *k, struct op *op)
{
	k->copied_bytes -= op->n;
	k->inserted_bytes += op->n;
	*op = (struct op){ .n = op->n, .kind = OP_INSERT };
}

static bool see(void *ctx, const struct frame *f, struct op *v, struct err *e)
{
	struct effort *t = ctx;
	bool changed = false;

	space_lend(&t->space, (f->runs.cap ? LIMIT_DELTA_KEPT : 0) +
				      (t->cut->bulk ? LIMIT_DELTA_LENT : 0));
	for (uint32_t i = 0; i < f->n_ops; i++) {
		uint64_t left = t->space.steps_left;

		if (!visit(&t->space, &v[i], e))
			return false;
		if (v[i].n < t->shorter && left - t->space.steps_left >= UNPACKED) {
			give_up(t->cut, &v[i]);
			changed = true;
		}
	}
	return !changed || spool_set(t->cut->spool, f->ops_at, v, f->n_ops * sizeof(*v), e);
}

/* Goes through all commands with `steps` to spend; E_TOO_BIG when they are not enough. */
static bool go_through(struct cutter *k, uint64_t steps, uint64_t shorter, struct err *e)
{
	const struct streams *all = &k->sight->space.streams;
	CLEANUP(streams_done) struct streams copy = { 0 };
	struct effort t = { .cut = k, .shorter = shorter };

	for (size_t i = 0; i < all->n; i++)
		if (!streams_copy(&copy, all, i, e))
			return false;
	if (!space_init(&t.space, -1, k->sight->old_size, &copy, e))
		return false;
	t.space.is_estimate = true;
	t.space.steps_left = steps;
	bool ok = cutter_for_ops(k, see, &t, e);
	space_done(&t.space);
	return ok;
}

bool effort_bound(struct cutter *k, uint64_t most, bool *ret_enough, struct err *e)
{
	*ret_enough = true;
	if (!k->sight->space.streams.n)
		return true;
	for (uint64_t shorter = SHORT_MIN;; shorter *= 4) {
		*ret_enough = go_through(k, most, 0, e);
		if (*ret_enough || e->code != E_TOO_BIG)
			return *ret_enough;
		if (shorter > SHORT_MAX)
			return true;
		if (!go_through(k, UINT64_MAX, shorter, e))
			return false;
	}
}
