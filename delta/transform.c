#include "delta/deflate.h"

#include <stdlib.h>

const struct transform *const transforms[] = {
	NULL, /* 0: no transform, raw bytes */
	&transform_deflate,
};
const size_t n_transforms = ARRAY_SIZE(transforms);

void streams_done(struct streams *s)
{
	free(s->v);
	*s = (struct streams){ 0 };
}

bool streams_add(struct streams *s, const struct stream *add, struct err *e)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct stream *v = reallocarray(s->v, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = *add;
	return true;
}
