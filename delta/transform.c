#include "delta/deflate.h"

#include <stdlib.h>
#include <string.h>

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

bool stream_unpack(const struct transform *t, uint8_t *plain, size_t plain_n,
		   const struct packed *from, struct err *e)
{
	void *state = malloc(t->state_bytes);
	bool ok;

	if (!state)
		return err_nomem(e);
	t->start(state, from);
	ok = t->next(state, plain, plain_n, true, e);
	free(state);
	return ok;
}

static bool memory_read(void *ctx, uint8_t *p, size_t room, size_t *ret_n, struct err *e UNUSED)
{
	struct plain_memory *m = ctx;
	const uint8_t *end = m->p + m->plain.size;

	*ret_n = (size_t)(end - m->at) < room ? (size_t)(end - m->at) : room;
	memcpy(p, m->at, *ret_n);
	m->at += *ret_n;
	return true;
}

const struct plain *plain_of(struct plain_memory *m, const uint8_t *p, uint32_t n)
{
	m->p = m->at = p;
	m->plain = (struct plain){ .read = memory_read, .ctx = m, .size = n };
	return &m->plain;
}
