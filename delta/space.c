#include "delta/space.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>

bool space_init(struct space *s, int fd, uint64_t size, struct streams *streams, struct err *e)
{
	uint64_t at = space_base_of(size);

	*s = (struct space){ .size = size, .base = at, .end = at, .fd = fd };
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
	}
	s->end = at;
	return true;
}

void space_done(struct space *s)
{
	for (unsigned i = 0; i < SPACE_CACHED; i++)
		free(s->cache[i].plain);
	streams_done(&s->streams);
	free(s->starts);
	*s = (struct space){ .fd = -1 };
}

struct packed_in {
	const struct space *space;
	const struct stream *stream;
};

static bool packed_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e)
{
	const struct packed_in *in = ctx;

	return pread_all(in->space->fd, p, n, in->stream->offset + offset, e);
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
	s->cached_bytes -= c->n;
	free(c->plain);
	*c = (struct space_cached){ 0 };
}

/* A free entry, after making room for n bytes. */
static struct space_cached *cache_room(struct space *s, uint32_t n)
{
	while (s->cached_bytes && s->cached_bytes + n > LIMIT_DELTA_CACHE)
		cache_drop(s, cache_oldest(s));
	for (unsigned i = 0; i < SPACE_CACHED; i++)
		if (!s->cache[i].plain)
			return &s->cache[i];
	struct space_cached *c = cache_oldest(s);
	cache_drop(s, c);
	return c;
}

static bool stream_plain(struct space *s, uint32_t index, const uint8_t **ret, struct err *e)
{
	const struct stream *stream = &s->streams.v[index];
	struct packed_in in = { .space = s, .stream = stream };
	struct packed from = { .read = packed_read, .ctx = &in, .size = stream->size };

	for (unsigned i = 0; i < SPACE_CACHED; i++)
		if (s->cache[i].plain && s->cache[i].stream == index) {
			s->cache[i].used = ++s->clock;
			*ret = s->cache[i].plain;
			return true;
		}
	struct space_cached *c = cache_room(s, stream->plain_size);
	uint8_t *plain = malloc(stream->plain_size);

	if (!plain)
		return err_nomem(e);
	if (!transforms[stream->transform]->unpack(plain, stream->plain_size, &from, e)) {
		free(plain);
		return err_wrap(e, "old stream %u", index);
	}
	*c = (struct space_cached){
		.plain = plain, .n = stream->plain_size, .stream = index, .used = ++s->clock
	};
	s->cached_bytes += c->n;
	*ret = plain;
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
		uint32_t i = stream_at(s, at);
		size_t skip = (size_t)(at - s->starts[i]);
		size_t part = s->streams.v[i].plain_size - skip;

		if (!stream_plain(s, i, &plain, e))
			return false;
		if (part > n)
			part = n;
		memcpy(p, plain + skip, part);
		at += part;
		p += part;
		n -= part;
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
