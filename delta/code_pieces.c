/* Streams and pieces: the table of old streams, a frame's pieces, recipes. */
#include "delta/models.h"

#include <stdlib.h>
#include <string.h>

static bool transform_known(uint64_t t)
{
	return t > 0 && t < n_transforms;
}

static bool bad_stream(struct err *e)
{
	return err_set(e, E_CORRUPT, "a stream's sizes are impossible");
}

/* The sizes and the kind of one stream of either side. */
static bool code_stream(struct coder *c, struct models *m, uint64_t *size, uint32_t *plain_size,
			uint8_t *transform, struct err *e)
{
	uint64_t packed = coder_number(c, &m->packed_size, *size);
	uint64_t plain = coder_number(c, &m->plain_gain, *plain_size);
	uint64_t t = coder_number(c, &m->transform, *transform);

	if (packed < 1 || packed > UINT32_MAX || plain < 1 || plain > LIMIT_DELTA_STREAM ||
	    !transform_known(t))
		return bad_stream(e);
	*size = packed;
	*plain_size = (uint32_t)plain;
	*transform = (uint8_t)t;
	return coder_ok(c, e);
}

/* Where a further part begins: before or behind the end of the one before it. */
static bool code_place(struct coder *c, struct models *m, uint64_t *offset, uint64_t from,
		       uint64_t image_size)
{
	bool back = coder_bit(c, &m->part_back, *offset < from);
	uint64_t d = coder_number(c, back ? &m->part_near : &m->part_far,
				  back ? from - *offset : *offset - from);

	if (d > (back ? from : image_size - from))
		return false;
	*offset = back ? from - d : from + d;
	return true;
}

/* The parts of an old stream: each inside the image, at least a byte; they may overlap, as they are
 * only read.  *ret_first: the first one's size. */
static bool code_parts(struct coder *c, struct models *m, struct streams *t, struct stream *s,
		       uint32_t most, uint64_t image_size, uint32_t *ret_first, struct err *e)
{
	uint64_t more = coder_number(c, &m->parts, s->n_more), offset = s->offset;
	uint32_t at = 0;

	*ret_first = s->size;
	if (more > most)
		return err_set(e, E_CORRUPT, "too many parts of old streams");
	s->n_more = (uint32_t)more;
	for (uint32_t i = 0; i < s->n_more; i++) {
		struct extent x = { 0 };

		if (!c->decoding)
			x = t->more[s->more + i];
		uint64_t n = coder_number(c, &m->part_size, x.at - at);
		if (n < 1 || n >= s->size - at || n > image_size - offset)
			return err_set(e, E_CORRUPT, "a part of an old stream is impossible");
		x.at = at + (uint32_t)n;
		if (!code_place(c, m, &x.offset, offset + n, image_size))
			return err_set(e, E_CORRUPT, "a part lies outside the image");
		if (c->decoding && !streams_more(t, &x, e))
			return false;
		if (at == 0)
			*ret_first = x.at;
		at = x.at;
		offset = x.offset;
	}
	if (s->size - at > image_size - offset)
		return bad_stream(e);
	return true;
}

bool code_table(struct coder *c, struct models *m, struct streams *t, uint32_t want,
		uint64_t image_size, struct err *e)
{
	uint64_t at = 0;
	uint32_t parts = LIMIT_DELTA_PARTS, first;

	c->kind = DELTA_TABLES;
	for (uint32_t i = 0; i < want; i++) {
		struct stream s = { .more = (uint32_t)t->n_more };
		uint64_t gap, size;

		if (!c->decoding)
			s = t->v[i];
		size = s.size;
		gap = coder_number(c, &m->gap, s.offset - at);
		if (gap > image_size - at)
			return err_set(e, E_CORRUPT, "old stream %u lies outside the image", i);
		s.offset = at + gap;
		if (!code_stream(c, m, &size, &s.plain_size, &s.transform, e))
			return false;
		s.size = (uint32_t)size;
		if (!code_parts(c, m, t, &s, parts, image_size, &first, e))
			return false;
		parts -= s.n_more;
		if (c->decoding && !streams_add(t, &s, e))
			return false;
		at = s.offset + first;
	}
	return coder_ok(c, e);
}

/* ---- runs ---- */

bool runs_room(struct runs *r, size_t n, struct err *e)
{
	size_t cap = 2 * r->cap + n;

	if (n <= r->cap - r->n)
		return true;
	struct run *v = reallocarray(r->v, cap, sizeof(*v));
	r->v = v ? v : r->v;
	uint32_t *open = reallocarray(r->open, cap, sizeof(*open));
	r->open = open ? open : r->open;
	if (!v || !open)
		return err_nomem(e);
	r->cap = cap;
	return true;
}

void runs_reset(struct runs *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].bytes);
	r->n = r->n_open = 0;
}

void runs_done(struct runs *r)
{
	runs_reset(r);
	free(r->v);
	free(r->open);
	*r = (struct runs){ 0 };
}

static uint64_t runs_size(const struct runs *r, const struct piece *p)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->n_runs; i++)
		n += r->v[p->run + i].size;
	return n;
}

/* The sizes of a stream's runs; the last one has what is left of its packed bytes. */
static bool code_run_sizes(struct coder *c, struct models *m, struct run *v, uint32_t n,
			   uint32_t packed, struct err *e)
{
	for (uint32_t i = 0; i + 1 < n; i++) {
		uint64_t size = coder_number(c, &m->run_size, c->decoding ? 0 : v[i].size);

		if (size < 1 || size >= packed)
			return bad_stream(e);
		v[i].size = (uint32_t)size;
		packed -= v[i].size;
	}
	v[n - 1].size = packed;
	return true;
}

/* Which one comes out at once. */
static bool code_run_out(struct coder *c, struct models *m, struct piece *p, uint32_t index,
			 struct runs *r, struct err *e)
{
	struct run *v = r->v + p->run;
	uint32_t out = 0;

	while (!c->decoding && v[out].piece != index)
		out++;
	uint64_t got = coder_number(c, &m->run_out, out);
	if (got >= p->n_runs)
		return bad_stream(e);
	out = (uint32_t)got;
	p->size = v[out].size;
	for (uint32_t i = p->n_runs; i-- > 0;) {
		if (i != out)
			r->open[r->n_open++] = p->run + i;
		if (c->decoding)
			v[i].piece = i == out ? index : RUN_DROPPED;
	}
	return true;
}

static bool code_runs(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		      struct runs *r, uint32_t packed, struct err *e)
{
	uint64_t more = coder_number(c, &m->runs, p->n_runs ? p->n_runs - 1 : 0);

	p->size = packed;
	p->n_runs = 0;
	if (more == 0)
		return true;
	if (more >= LIMIT_DELTA_PARTS - r->n)
		return err_set(e, E_CORRUPT, "too many parts of new streams");
	p->n_runs = (uint32_t)more + 1;
	if (c->decoding && !runs_room(r, p->n_runs, e))
		return false;
	if (c->decoding)
		memset(r->v + p->run, 0, p->n_runs * sizeof(*r->v));
	r->n += p->n_runs;
	return code_run_sizes(c, m, r->v + p->run, p->n_runs, packed, e) &&
	       code_run_out(c, m, p, index, r, e);
}

static bool code_packed(struct coder *c, struct models *m, struct piece *p, uint32_t index,
			struct runs *r, struct err *e)
{
	p->run = (uint32_t)r->n;
	uint64_t packed = p->n_runs ? runs_size(r, p) : p->size;

	return code_stream(c, m, &packed, &p->plain_size, &p->transform, e) &&
	       code_runs(c, m, p, index, r, (uint32_t)packed, e);
}

/* Takes a run from the pile. */
static bool code_kept(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		      struct runs *r, struct err *e)
{
	uint64_t depth = 0;

	while (!c->decoding && depth < r->n_open && r->open[r->n_open - 1 - depth] != p->run)
		depth++;
	depth = coder_number(c, &m->run_depth, depth);
	if (depth >= r->n_open)
		return err_set(e, E_CORRUPT, "a piece of a stream that has none left");
	uint32_t *at = r->open + r->n_open - 1 - depth;
	p->run = *at;
	p->size = r->v[p->run].size;
	r->v[p->run].piece = index;
	memmove(at, at + 1, depth * sizeof(*at));
	r->n_open--;
	return true;
}

bool code_piece(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		struct runs *runs, uint64_t left, struct err *e)
{
	c->kind = DELTA_TABLES;
	bool is = coder_bit(c, &m->is_stream[m->last_pieces & 3], p->transform != 0);

	m->last_pieces = m->last_pieces << 1 | is;
	if (!is) {
		p->transform = 0;
		p->plain_size = 0;
		p->is_kept = runs->n_open && coder_bit(c, &m->is_kept, p->is_kept);
	}
	if (is || p->is_kept) {
		if (!(is ? code_packed(c, m, p, index, runs, e)
			 : code_kept(c, m, p, index, runs, e)))
			return false;
		return p->size <= left ? coder_ok(c, e) : bad_stream(e);
	}
	/* The last piece says 0: all that is left. */
	uint64_t n = coder_number(c, &m->raw_size, p->size == left ? 0 : p->size);
	if (n > left)
		return err_set(e, E_CORRUPT, "a piece is longer than its frame");
	p->size = n ? n : left;
	return coder_ok(c, e);
}

/* ---- recipes ---- */

static bool take_work(uint64_t *work, uint64_t steps, struct err *e)
{
	if (steps > *work)
		return err_set(e, E_TOO_BIG, "recipes take too long to read");
	*work -= steps;
	return true;
}

bool code_recipe(struct coder *c, struct models *m, struct buf *recipe, uint64_t *work,
		 struct err *e)
{
	uint64_t n;
	uint32_t before = 0;

	c->kind = DELTA_TABLES;
	n = coder_number(c, &m->recipe_size, recipe->n);
	if (n > LIMIT_DELTA_RECIPE)
		return err_set(e, E_CORRUPT, "a recipe of %llu bytes", (unsigned long long)n);
	if (c->decoding && !take_work(work, n * CODE_RECIPE_STEPS, e))
		return false;
	for (uint64_t i = 0; i < n; i++) {
		uint32_t place = i < 64 ? (uint32_t)i : 64;
		uint32_t contexts[4] = { place, context_hash(before & 255, place),
					 before & 0xffff, before & 0xffffff };
		uint8_t b = (uint8_t)coder_byte(c, &m->recipes, 0, (uint8_t)before, contexts, 0,
						0, c->decoding ? 0 : recipe->p[i]);

		before = before << 8 | b;
		if (c->decoding && !buf_add(recipe, &b, 1, e))
			return false;
		if (i % 4096 == 0 && !coder_ok(c, e))
			return false;
	}
	return coder_ok(c, e);
}
