#include "delta/prune.h"

#include <stdlib.h>
#include <string.h>

bool prune_init(struct prune *p, struct sight *s, struct err *e)
{
	size_t n = s->space.streams.n;

	*p = (struct prune){ .sight = s, .n = n };
	p->starts = reallocarray(NULL, n + 1, sizeof(*p->starts));
	p->moved = reallocarray(NULL, n + 1, sizeof(*p->moved));
	p->used = calloc(n + 1, sizeof(*p->used));
	if (!p->starts || !p->moved || !p->used) {
		prune_done(p);
		return err_nomem(e);
	}
	for (size_t i = 0; i < n; i++)
		p->starts[i] = s->space.starts[i];
	return true;
}

void prune_done(struct prune *p)
{
	free(p->starts);
	free(p->moved);
	free(p->used);
	*p = (struct prune){ 0 };
}

static size_t stream_of(const struct prune *p, uint64_t at)
{
	size_t lo = 0, hi = p->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->starts[mid] <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static bool copies(const struct op *op)
{
	return op->kind == OP_COPY || op->kind == OP_ADD;
}

void prune_use(struct prune *p, const struct op *ops, size_t n)
{
	uint64_t base = p->sight->space.base;

	for (size_t k = 0; p->n && k < n; k++) {
		const struct op *op = &ops[k];

		if (!copies(op) || op->from + op->n <= base)
			continue;
		size_t last = stream_of(p, op->from + op->n - 1);
		for (size_t i = op->from < base ? 0 : stream_of(p, op->from); i <= last; i++)
			p->used[i] = true;
	}
}

/* The plain bytes of old stream number i move down to `at` in the space. */
static void move_down(struct sight *s, size_t i, uint64_t at)
{
	const struct space *space = &s->space;
	uint8_t *from = s->scratch + (space->starts[i] - space->base);
	uint8_t *to = s->scratch + (at - space->base);
	uint32_t n = space->streams.v[i].plain_size;

	if (to != from)
		memmove(to, from, n);
	sight_drop(from, n);
	sight_drop(to, n);
}

/* The streams that stay move together; the map follows by being copied in place in the scratch
 * file, which holds the streams' plain bytes in the table's order. */
void prune_streams(struct prune *p)
{
	struct space *space = &p->sight->space;
	struct streams *t = &space->streams;
	uint64_t at = space->base;
	size_t n = 0;

	if (!p->n)
		return;
	for (size_t i = 0; i < p->n; i++) {
		p->moved[i] = at;
		if (!p->used[i])
			continue;
		move_down(p->sight, i, at);
		at += t->v[i].plain_size;
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->used[i]) {
			t->v[n] = t->v[i];
			space->starts[n++] = p->moved[i];
		}
	t->n = n;
	space->end = at;
}

void prune_move(const struct prune *p, struct op *ops, size_t n)
{
	for (size_t k = 0; p->n && k < n; k++) {
		struct op *op = &ops[k];

		if (!copies(op) || op->from < p->sight->space.base)
			continue;
		size_t i = stream_of(p, op->from);
		op->from = p->moved[i] + (op->from - p->starts[i]);
	}
}
