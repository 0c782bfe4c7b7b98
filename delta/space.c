#include "delta/space.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>

enum { READ_MIN = 4096 }; /* packed bytes that a transform asks for at a time */

bool space_init(struct space *s, int fd, uint64_t size, struct streams *streams, struct err *e)
{
	uint64_t at = space_base_of(size), chunks = 0;

	*s = (struct space){
		.size = size, .base = at, .end = at, .fd = fd, .steps_left = space_steps(0)
	};
	if (streams->n) {
		s->starts = reallocarray(NULL, streams->n, sizeof(*s->starts));
		if (!s->starts)
			return err_nomem(e);
	}
	s->streams = *streams;
	*streams = (struct streams){ 0 };
	for (size_t i = 0; i < s->streams.n; i++) {
		s->starts[i] = at;
		at += s->streams.v[i].plain_size;
		chunks += (s->streams.v[i].plain_size - 1) / SPACE_CHUNK;
	}
	s->end = at;
	s->point_step = (uint32_t)(chunks / SPACE_POINTS + 1);
	return true;
}

void space_done(struct space *s)
{
	for (unsigned i = 0; i < SPACE_CACHED; i++)
		free(s->cache[i].plain);
	for (unsigned i = 0; i < ARRAY_SIZE(s->points); i++) {
		if (s->points[i])
			free(s->points[i]->state);
		free(s->points[i]);
	}
	streams_done(&s->streams);
	free(s->starts);
	*s = (struct space){ .fd = -1 };
}

static bool spend(struct space *s, uint64_t steps, struct err *e)
{
	if (steps > s->steps_left)
		return err_set(e, E_TOO_BIG, "old streams take too long to unpack");
	s->steps_left -= steps;
	return true;
}

struct packed_in {
	struct space *space;
	const struct stream *stream;
};

static bool image_pread(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e)
{
	struct space *s = ctx;

	return spend(s, SPACE_STEPS_READ + n * SPACE_STEPS_PACKED, e) &&
	       pread_all(s->fd, p, n, offset, e);
}

static bool packed_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e)
{
	const struct packed_in *in = ctx;

	return stream_gather(&in->space->streams, in->stream, offset, p, n, image_pread,
			     in->space, e);
}

static struct space_cached *cache_oldest(struct space *s)
{
	struct space_cached *oldest = NULL;

	for (unsigned i = 0; i < SPACE_CACHED; i++)
		if (s->cache[i].plain && (!oldest || s->cache[i].used < oldest->used))
			oldest = &s->cache[i];
	return oldest;
}

static void cache_drop(struct space *s, struct space_cached *c)
{
	s->cached_bytes -= c->size;
	free(c->plain);
	*c = (struct space_cached){ 0 };
}

/* A free entry, after making room for n bytes. */
static struct space_cached *cache_room(struct space *s, uint32_t n)
{
	while (s->cached_bytes && s->cached_bytes + n > LIMIT_DELTA_CACHE - s->lent)
		cache_drop(s, cache_oldest(s));
	for (unsigned i = 0; i < SPACE_CACHED; i++)
		if (!s->cache[i].plain)
			return &s->cache[i];
	struct space_cached *c = cache_oldest(s);
	cache_drop(s, c);
	return c;
}

void space_lend(struct space *s, uint64_t bytes)
{
	s->lent = bytes < LIMIT_DELTA_CACHE ? bytes : LIMIT_DELTA_CACHE;
	while (s->cached_bytes && s->cached_bytes > LIMIT_DELTA_CACHE - s->lent)
		cache_drop(s, cache_oldest(s));
}

/* ---- unpacking ---- */

static uint32_t chunk_bytes(const struct stream *v, uint32_t chunk)
{
	uint32_t left = v->plain_size - chunk * SPACE_CHUNK;

	return left < SPACE_CHUNK ? left : SPACE_CHUNK;
}

static uint32_t last_chunk(const struct stream *v)
{
	return (v->plain_size - 1) / SPACE_CHUNK;
}

/* The furthest point that is not behind the chunk; NULL: from the beginning. */
static const struct space_point *point_before(const struct space *s, uint32_t stream,
					      uint32_t chunk)
{
	const struct space_point *best = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(s->points); i++) {
		const struct space_point *p = s->points[i];

		if (p && p->state && p->stream == stream && p->chunk <= chunk &&
		    (!best || p->chunk > best->chunk))
			best = p;
	}
	return best;
}

/* A transform's state, and how far it is. */
struct unpacking {
	const struct transform *transform;
	struct packed_in in;
	struct packed from;
	void *state;
	uint32_t stream, chunk; /* what it makes next */
};

static bool point_set(struct space_point **p, const struct unpacking *u, const uint8_t *window,
		      struct err *e)
{
	if (!*p && !(*p = calloc(1, sizeof(**p))))
		return err_nomem(e);
	void *state = realloc((*p)->state, u->transform->state_bytes);
	if (!state)
		return err_nomem(e);
	(*p)->state = state;
	(*p)->stream = u->stream;
	(*p)->chunk = u->chunk;
	memcpy((*p)->window, window, TRANSFORM_WINDOW);
	u->transform->copy(state, u->state, &u->from);
	return true;
}

/* Remembers where unpacking is, if it is a place to keep and not kept yet. */
static bool point_keep(struct space *s, const struct unpacking *u, const uint8_t *window,
		       struct err *e)
{
	unsigned i = 1;

	if (u->chunk % s->point_step)
		return true;
	/* Of less than 64 * step chunks less than 64 are multiples of step. */
	for (; s->points[i]; i++)
		if (s->points[i]->stream == u->stream && s->points[i]->chunk == u->chunk)
			return true;
	return point_set(&s->points[i], u, window, e);
}

/* About what image_pread takes for the packed bytes of n plain ones. */
static uint64_t read_steps(const struct stream *v, uint32_t n)
{
	uint64_t bytes = (uint64_t)v->size * n / v->plain_size * 2 + READ_MIN;
	uint64_t reads;

	if (bytes > v->size)
		bytes = v->size;
	reads = bytes / READ_MIN + 1 + v->n_more;
	return reads * SPACE_STEPS_READ + bytes * SPACE_STEPS_PACKED;
}

static bool chunk_make(struct space *s, struct unpacking *u, uint8_t *to, uint32_t n,
		       bool is_last, struct err *e)
{
	if (!spend(s, n, e))
		return false;
	if (s->is_estimate)
		return spend(s, read_steps(u->in.stream, n), e);
	return u->transform->next(u->state, to, n, is_last, e);
}

/* The next chunk, behind a window's room at p. */
static bool chunk_next(struct space *s, struct unpacking *u, uint8_t *p, struct err *e)
{
	const struct stream *v = &s->streams.v[u->stream];
	uint32_t n = chunk_bytes(v, u->chunk);
	bool is_last = u->chunk == last_chunk(v);

	if (!chunk_make(s, u, p + TRANSFORM_WINDOW, n, is_last, e))
		return err_wrap(e, "old stream %u", u->stream);
	u->chunk++;
	return is_last || point_keep(s, u, p + n, e);
}

static bool unpack_chunk(struct space *s, struct unpacking *u, uint8_t *p, uint32_t chunk,
			 struct err *e)
{
	const struct space_point *from = point_before(s, u->stream, chunk);

	if (from) {
		u->transform->copy(u->state, from->state, &u->from);
		u->chunk = from->chunk;
		memcpy(p, from->window, TRANSFORM_WINDOW);
	} else {
		u->transform->start(u->state, &u->from);
	}
	while (u->chunk < chunk) {
		if (!chunk_next(s, u, p, e))
			return false;
		memcpy(p, p + SPACE_CHUNK, TRANSFORM_WINDOW);
	}
	if (!chunk_next(s, u, p, e))
		return false;
	return chunk == last_chunk(&s->streams.v[u->stream]) ||
	       point_set(&s->points[0], u, p + SPACE_CHUNK, e);
}

static bool chunk_unpack(struct space *s, uint8_t *p, uint32_t stream, uint32_t chunk,
			 struct err *e)
{
	const struct stream *v = &s->streams.v[stream];
	struct unpacking u = { .transform = transforms[v->transform],
			       .in = { .space = s, .stream = v },
			       .stream = stream };
	bool ok;

	u.from = (struct packed){ .read = packed_read, .ctx = &u.in, .size = v->size };
	u.state = malloc(u.transform->state_bytes);
	if (!u.state)
		return err_nomem(e);
	ok = spend(s, SPACE_STEPS_BEGIN, e) && unpack_chunk(s, &u, p, chunk, e);
	free(u.state);
	return ok;
}

static bool chunk_plain(struct space *s, uint32_t stream, uint32_t chunk, const uint8_t **ret,
			struct err *e)
{
	/* Chunks before it may have to be made too, and they are whole. */
	uint32_t size = TRANSFORM_WINDOW + chunk_bytes(&s->streams.v[stream], 0);

	for (unsigned i = 0; i < SPACE_CACHED; i++) {
		struct space_cached *c = &s->cache[i];

		if (c->plain && c->stream == stream && c->chunk == chunk) {
			c->used = ++s->clock;
			*ret = c->plain + TRANSFORM_WINDOW;
			return true;
		}
	}
	struct space_cached *c = cache_room(s, size);
	uint8_t *plain = malloc(size);

	if (!plain)
		return err_nomem(e);
	if (!chunk_unpack(s, plain, stream, chunk, e)) {
		free(plain);
		return false;
	}
	*c = (struct space_cached){ .plain = plain,
				    .size = size,
				    .stream = stream,
				    .chunk = chunk,
				    .used = ++s->clock };
	s->cached_bytes += size;
	*ret = plain + TRANSFORM_WINDOW;
	return true;
}

/* The stream that holds `at`, which is in [base, end). */
static uint32_t stream_at(const struct space *s, uint64_t at)
{
	size_t lo = 0, hi = s->streams.n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->starts[mid] <= at)
			lo = mid;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

static bool read_streams(struct space *s, uint64_t at, uint8_t *p, size_t n, struct err *e)
{
	while (n) {
		const uint8_t *plain = NULL;
		uint32_t i = stream_at(s, at), skip = (uint32_t)(at - s->starts[i]);
		uint32_t chunk = skip / SPACE_CHUNK;

		if (!chunk_plain(s, i, chunk, &plain, e))
			return false;
		skip -= chunk * SPACE_CHUNK;
		size_t part = chunk_bytes(&s->streams.v[i], chunk) - skip;
		if (part > n)
			part = n;
		memcpy(p, plain + skip, part);
		at += part;
		p += part;
		n -= part;
	}
	return true;
}

bool space_visit(struct space *s, uint64_t at, uint64_t n, struct err *e)
{
	uint64_t to = at + n < s->end ? at + n : s->end;

	for (at = at > s->base ? at : s->base; at < to;) {
		uint32_t i = stream_at(s, at);
		uint32_t chunk = (uint32_t)((at - s->starts[i]) / SPACE_CHUNK);
		const uint8_t *plain;

		if (!chunk_plain(s, i, chunk, &plain, e))
			return false;
		at = s->starts[i] + (uint64_t)chunk * SPACE_CHUNK +
		     chunk_bytes(&s->streams.v[i], chunk);
	}
	return true;
}

/* How much of [at, at + n) lies before `end`. */
static size_t before(uint64_t at, size_t n, uint64_t end)
{
	return at >= end ? 0 : end - at < n ? (size_t)(end - at) : n;
}

bool space_read(struct space *s, uint64_t at, uint8_t *p, size_t n, struct err *e)
{
	size_t part = before(at, n, s->map ? s->end : s->size);

	if (part) {
		if (s->map)
			memcpy(p, s->map + at, part);
		else if (!pread_all(s->fd, p, part, at, e))
			return err_wrap(e, "old image");
		at += part;
		p += part;
		n -= part;
	}
	part = before(at, n, s->map ? 0 : s->base);
	memset(p, 0, part);
	at += part;
	p += part;
	n -= part;
	part = before(at, n, s->map ? 0 : s->end);
	if (part && !read_streams(s, at, p, part, e))
		return false;
	memset(p + part, 0, n - part);
	return true;
}
