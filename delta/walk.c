#include "delta/walk.h"

#include <stdlib.h>

bool walk_later(struct walk *w, const struct walk_name *name, uint64_t inode, struct err *e)
{
	if (!w->name(w->ctx, name, e))
		return false;
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 256;
		struct walk_folder *v = reallocarray(w->v, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = (struct walk_folder){ .inode = inode, .number = w->folders++ };
	return true;
}

/* A folder that leads to itself ends with the entries that may be read. */
bool walk_next(struct walk *w, struct walk_folder *ret)
{
	if (w->n == 0 || w->entries == 0) {
		w->n = 0;
		return false;
	}
	*ret = w->v[--w->n];
	return true;
}

void walk_done(struct walk *w)
{
	free(w->v);
	w->v = NULL;
	w->n = w->cap = 0;
}

bool walk_is_dots(const uint8_t *name, size_t n)
{
	size_t dots = 0;

	while (dots < n && dots < 3 && name[dots] == '.')
		dots++;
	return (dots == 1 || dots == 2) && (dots == n || name[dots] == 0);
}
