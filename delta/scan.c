/* Where deflate streams begin: behind the headers of gzip (RFC 1952), zlib (RFC 1950) and zip members
 * (APPNOTE 4.3.7), wherever in the image they stand. */
#include "delta/deflate.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

enum {
	PACKED_MIN = 32, /* smaller ones are not worth their place in the tables */
	GZIP_HEAD = 10,
	GZIP_NAME_MAX = 1024,
	ZIP_HEAD = 30,
	BUDGET_FREE = 1 << 26,
	BUDGET_PER_BYTE = 16,
	ROOM = 1 << 18,
};

struct scan {
	const uint8_t *p;
	uint64_t n;
	const struct layout *layout;
	struct inflate *inflate;
	uint8_t *plain;  /* a window and ROOM */
	uint64_t budget; /* bytes that may still be unpacked: for images made to be slow */
};

static uint64_t text_end(const struct scan *s, uint64_t at)
{
	uint64_t max = s->n - at < GZIP_NAME_MAX ? s->n - at : GZIP_NAME_MAX;
	const uint8_t *nul = memchr(s->p + at, 0, max);

	return nul ? (uint64_t)(nul - s->p) + 1 : 0;
}

/* Where deflate data may begin, and what its header says of it. */
struct header {
	uint64_t start; /* 0: there is none */
	enum wrap wrap;
	uint32_t crc; /* of a zip member; 0: it says none */
};

static void gzip_header(const struct scan *s, uint64_t at, struct header *ret)
{
	enum { HAS_CRC = 2, HAS_EXTRA = 4, HAS_NAME = 8, HAS_COMMENT = 16, RESERVED = 0xe0 };
	const uint8_t *p = s->p + at;
	uint64_t to = at + GZIP_HEAD;

	if (s->n - at < GZIP_HEAD + 2 || p[1] != 0x8b || p[2] != 8 || p[3] & RESERVED)
		return;
	if (p[3] & HAS_EXTRA)
		to += 2u + get_le16(p + GZIP_HEAD);
	for (unsigned flag = HAS_NAME; flag <= HAS_COMMENT; flag <<= 1)
		if (p[3] & flag && (to >= s->n || (to = text_end(s, to)) == 0))
			return;
	*ret = (struct header){ .start = to + (p[3] & HAS_CRC ? 2 : 0), .wrap = WRAP_GZIP };
}

static void zlib_header(const struct scan *s, uint64_t at, struct header *ret)
{
	const uint8_t *p = s->p + at;

	/* Method 8, a window of 32 KiB, no dictionary: all that is met outside of PNG. */
	if (s->n - at >= 2 && !(p[1] & 0x20) && (p[0] << 8 | p[1]) % 31 == 0)
		*ret = (struct header){ .start = at + 2, .wrap = WRAP_ZLIB };
}

static void zip_header(const struct scan *s, uint64_t at, struct header *ret)
{
	enum { ENCRYPTED = 1 };
	const uint8_t *p = s->p + at;

	if (s->n - at < ZIP_HEAD || p[1] != 'K' || p[2] != 3 || p[3] != 4 ||
	    get_le16(p + 8) != 8 || p[6] & ENCRYPTED)
		return;
	*ret = (struct header){ .start = at + ZIP_HEAD + get_le16(p + 26) + get_le16(p + 28),
				.wrap = WRAP_ZIP,
				.crc = get_le32(p + 14) };
}

/* What follows a place of the image: its next bytes, or those of the file that holds it. */
struct follows {
	const uint8_t *p, *rest; /* n bytes, then the rest's */
	uint64_t n, rest_n;
	struct packed packed;
};

static bool follows_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e UNUSED)
{
	const struct follows *f = ctx;
	size_t part = offset >= f->n ? 0 : f->n - offset < n ? (size_t)(f->n - offset) : n;

	memcpy(p, f->p + offset, part);
	if (n > part)
		memcpy(p + part, f->rest + (offset + part - f->n), n - part);
	return true;
}

/* Packed bytes are never more than plain ones by a twentieth, so more need not be read. */
static void follow(const struct scan *s, uint64_t at, struct follows *ret)
{
	const struct layout_cut *cut = s->layout ? layout_at(s->layout, at) : NULL;

	*ret = (struct follows){ .p = s->p + at, .n = s->n - at };
	if (cut)
		*ret = (struct follows){ .p = s->p + at,
					 .n = cut->end - at,
					 .rest = s->p + cut->to,
					 .rest_n = cut->size };
	ret->packed = (struct packed){ .read = follows_read,
				       .ctx = ret,
				       .size = ret->n + ret->rest_n };
	if (ret->packed.size > 2 * LIMIT_DELTA_STREAM)
		ret->packed.size = 2 * LIMIT_DELTA_STREAM;
}

/* Whether the header's promise is kept: the checksum is right.  Where data is cut, as the last
 * part of a file is in many file systems, what follows often looks like the end of a stream. */
static bool is_whole(struct follows *f, const struct header *h, const struct wrap_sum *sum,
		     uint64_t packed_n, unsigned *ret_size)
{
	uint8_t want[WRAP_MAX], have[WRAP_MAX];
	uint64_t left = f->packed.size - packed_n;
	size_t n = left < WRAP_MAX ? (size_t)left : WRAP_MAX;
	struct err ignored;

	wrap_make(want, sum, packed_n);
	*ret_size = wrap_size(sum->wrap);
	if (!follows_read(f, packed_n, have, n, &ignored))
		return false;
	if (n >= *ret_size && memcmp(want, have, *ret_size) == 0)
		return true;
	/* A zip member may have its checksum before it, or behind it without a signature. */
	*ret_size = 0;
	return sum->wrap == WRAP_ZIP &&
	       (h->crc == sum->sum || (n >= 4 && get_le32(have) == sum->sum));
}

/* Unpacks to the end and keeps nothing. */
static bool unpack_all(struct scan *s, struct wrap_sum *sum, struct err *e)
{
	struct inflate *z = s->inflate;
	uint8_t *to = s->plain + TRANSFORM_WINDOW;

	while (!z->ended && z->made < LIMIT_DELTA_STREAM && z->made < s->budget) {
		size_t n = 0;

		if (!inflate_next(z, to, ROOM, &n, e))
			return false;
		wrap_add(sum, to, n);
		if (n == ROOM)
			memcpy(s->plain, to + n - TRANSFORM_WINDOW, TRANSFORM_WINDOW);
	}
	return z->ended && z->made <= LIMIT_DELTA_STREAM;
}

/* A stream, and where the rest of it lies if it is in two parts. */
struct found {
	struct stream stream;
	struct extent rest;
};

/* Unpacks what may begin behind a header; its size is 0 when nothing does. */
static void stream_try(struct scan *s, const struct header *h, struct found *ret)
{
	struct follows f;
	struct wrap_sum sum;
	struct err ignored;
	struct inflate *z = s->inflate;
	uint64_t at = h->start;
	unsigned behind;

	*ret = (struct found){ .stream.offset = at };
	if (at == 0 || at >= s->n || s->budget == 0)
		return;
	follow(s, at, &f);
	inflate_init(z, &f.packed);
	wrap_start(&sum, h->wrap);
	bool ok = unpack_all(s, &sum, &ignored);
	uint64_t used = inflate_used(z), spent = used + z->made;

	s->budget -= spent < s->budget ? spent : s->budget;
	if (!ok || used < PACKED_MIN || z->made == 0 || !z->coded ||
	    !is_whole(&f, h, &sum, used, &behind))
		return;
	ret->stream.size = (uint32_t)(used + behind);
	ret->stream.plain_size = (uint32_t)z->made;
	ret->stream.transform = TRANSFORM_DEFLATE;
	if (used + behind <= f.n)
		return;
	ret->stream.n_more = 1;
	ret->rest = (struct extent){ .offset = (uint64_t)(f.rest - s->p), .at = (uint32_t)f.n };
}

static void stream_at(struct scan *s, uint64_t at, struct found *ret)
{
	struct header h = { .start = 0 };

	switch (s->p[at]) {
	case 0x1f:
		gzip_header(s, at, &h);
		break;
	case 0x78:
		zlib_header(s, at, &h);
		break;
	case 'P':
		zip_header(s, at, &h);
		break;
	}
	stream_try(s, &h, ret);
}

static bool scan(struct scan *s, struct streams *ret, uint64_t from, uint64_t to, struct err *e)
{
	for (uint64_t at = from; at < to;) {
		struct found found;
		const struct stream *v = &found.stream;

		stream_at(s, at, &found);
		if (v->size == 0) {
			at++;
			continue;
		}
		if ((v->n_more && !streams_more(ret, &found.rest, e)) ||
		    !streams_add(ret, v, e))
			return false;
		at = v->offset + (v->n_more ? found.rest.at : v->size);
	}
	return true;
}

bool deflate_find(struct streams *ret, const struct image *in, uint64_t from, uint64_t to,
		  struct err *e)
{
	struct scan s = { .p = in->p,
			  .n = in->size,
			  .layout = in->layout,
			  .budget = BUDGET_FREE + BUDGET_PER_BYTE * (to - from) };
	bool ok;

	s.inflate = malloc(sizeof(*s.inflate));
	s.plain = malloc(TRANSFORM_WINDOW + ROOM);
	ok = s.inflate && s.plain ? scan(&s, ret, from, to, e) : err_nomem(e);
	free(s.inflate);
	free(s.plain);
	return ok;
}
