#include "delta/layout.h"

#include <stdlib.h>

enum { ALIGNED = 4096 };

static bool cut_add(struct layout *l, const struct layout_cut *cut, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		struct layout_cut *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *cut;
	return true;
}

/* The file at hand. */
struct file {
	struct layout *layout;
	uint64_t at, n; /* its first part; n is 0 before there was one */
};

static bool file_begin(void *ctx, const struct walk_name *name UNUSED, struct err *e UNUSED)
{
	struct file *f = ctx;

	f->n = 0;
	return true;
}

static bool file_part(void *ctx, const struct walk_part *part, struct err *e)
{
	struct file *f = ctx;

	if (part->kind != WALK_FILE)
		return true;
	if (part->in_file == 0) {
		f->at = part->at;
		f->n = part->n;
		return true;
	}
	const struct layout_cut cut = {
		.from = f->at, .end = f->at + f->n, .to = part->at, .size = (uint32_t)part->n
	};
	return cut_add(f->layout, &cut, e);
}

bool layout_read(struct layout *l, const uint8_t *image, uint64_t size, uint64_t from,
		 uint64_t to, struct err *e)
{
	struct file file = { .layout = l };
	struct walk w = {
		.name = file_begin, .part = file_part, .ctx = &file, .entries = l->entries
	};
	bool ok = true;

	for (uint64_t at = (from + ALIGNED - 1) / ALIGNED * ALIGNED; ok && at < to;
	     at += ALIGNED)
		ok = walk_erofs(&w, image, size, at, e);
	l->entries = w.entries;
	walk_done(&w);
	return ok;
}

static int by_from(const void *a, const void *b)
{
	const struct layout_cut *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Hard links say the same twice, and lies may overlap: the first stays. */
void layout_sort(struct layout *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_from);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->v[i].from >= l->v[n - 1].end)
			l->v[n++] = l->v[i];
	l->n = n;
}

void layout_done(struct layout *l)
{
	free(l->v);
	*l = (struct layout){ .entries = 0 };
}

const struct layout_cut *layout_at(const struct layout *l, uint64_t at)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].from <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && at < l->v[lo - 1].end ? &l->v[lo - 1] : NULL;
}
