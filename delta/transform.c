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
	free(s->more);
	*s = (struct streams){ 0 };
}

bool streams_more(struct streams *s, const struct extent *add, struct err *e)
{
	if (s->n_more == s->cap_more) {
		size_t cap = s->cap_more ? 2 * s->cap_more : 64;
		struct extent *v = reallocarray(s->more, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		s->more = v;
		s->cap_more = cap;
	}
	s->more[s->n_more++] = *add;
	return true;
}

bool streams_copy(struct streams *s, const struct streams *from, size_t index, struct err *e)
{
	const struct stream *v = &from->v[index];

	for (uint32_t i = 0; i < v->n_more; i++)
		if (!streams_more(s, &from->more[v->more + i], e))
			return false;
	return streams_add(s, v, e);
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
	s->v[s->n] = *add;
	s->v[s->n++].more = (uint32_t)s->n_more - add->n_more;
	return true;
}

uint32_t stream_place(const struct streams *s, const struct stream *v, uint32_t at,
		      uint64_t *ret_offset)
{
	const struct extent *more = v->n_more ? s->more + v->more : NULL;
	uint32_t lo = 0, hi = v->n_more; /* further parts that begin at or before `at` */

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (more[mid].at <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_offset = lo ? more[lo - 1].offset + (at - more[lo - 1].at) : v->offset + at;
	return (lo < v->n_more ? more[lo].at : v->size) - at;
}

bool stream_gather(const struct streams *s, const struct stream *v, uint64_t at, uint8_t *p,
		   size_t n, image_read *read, void *ctx, struct err *e)
{
	while (n) {
		uint64_t offset;
		uint32_t part = stream_place(s, v, (uint32_t)at, &offset);

		if (part > n)
			part = (uint32_t)n;
		if (!read(ctx, offset, p, part, e))
			return false;
		at += part;
		p += part;
		n -= part;
	}
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
