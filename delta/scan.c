/* Where deflate streams begin: behind the headers of gzip (RFC 1952), zlib (RFC 1950), zip members
 * (APPNOTE 4.3.7) and PNG's data (its specification, 11.2.4), wherever in the image they stand, and
 * without any header where a dynamic block is described (RFC 1951, 3.2.7).
 *
 * One byte in a thousand looks like such a description at first sight.  What follows must be complete codes,
 * blocks up to a last one and fewer packed bytes than plain ones; and it is looked for only in blocks of the
 * image that the other image lacks, and a little before them. */
#include "delta/deflate.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

enum {
	PACKED_MIN = 32, /* smaller ones are not worth their place in the tables */
	BARE_PACKED_MIN = 1024,
	BARE_GAIN = 8, /* without a header, an eighth of the packed bytes is saved at least */
	BARE_AHEAD = 65536, /* so far before a block that the other image lacks */
	GZIP_HEAD = 10,
	GZIP_NAME_MAX = 1024,
	ZIP_HEAD = 30,
	PNG_HEAD = 8,    /* a chunk's length and type */
	PNG_BETWEEN = 4, /* its CRC, before the next one */
	BUDGET_FREE = 1 << 26,
	BUDGET_PER_BYTE = 16,
	ROOM = 1 << 18,
};

struct scan {
	const uint8_t *p;
	uint64_t n;
	const struct layout *layout;
	const struct known *other; /* or NULL */
	struct inflate *inflate;
	uint8_t *plain;     /* a window and ROOM */
	uint64_t budget;    /* bytes that may still be unpacked: for images made to be slow */
	struct streams one; /* what is looked at: where its bytes would lie */
	uint64_t refused;   /* where something with a header began that is no stream */
	uint64_t taken;     /* up to there the last stream found has further parts */
	uint64_t checked,
		lacking;     /* blocks were looked up to there; behind the last one it lacks */
	uint8_t starts[256]; /* what a byte may be the first of */
	uint8_t sums[4096];  /* of four code lengths, what they take of a code, in 128ths */
};

enum { STARTS_HEADER = 1, STARTS_BARE = 2 };

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
	bool is_png;  /* it goes on in further chunks */
	bool is_bare; /* there is no header: only what follows can tell */
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

/* Smaller windows than 32 KiB are met here. */
static void png_header(const struct scan *s, uint64_t at, struct header *ret)
{
	const uint8_t *p = s->p + at;

	if (at >= 4 && s->n - at >= 6 && memcmp(p, "IDAT", 4) == 0 && (p[4] & 15) == 8 &&
	    p[4] >> 4 <= 7 && !(p[5] & 0x20) && (p[4] << 8 | p[5]) % 31 == 0)
		*ret = (struct header){ .start = at + 6, .wrap = WRAP_ZLIB, .is_png = true };
}

/* Where the bytes behind a header may lie: the image's next ones, or the next ones of the file that holds
 * them, or those in the next chunks of a PNG. */

static bool goes_on(struct scan *s, uint64_t offset, uint64_t n, struct err *e)
{
	struct stream *v = s->one.v;
	struct extent more = { .offset = offset, .at = v->size };

	/* Packed bytes are never more than plain ones by a twentieth, so more need not be read. */
	if (n > 2 * LIMIT_DELTA_STREAM - v->size)
		n = 2 * LIMIT_DELTA_STREAM - v->size;
	if (n == 0)
		return true;
	if (v->size == 0) {
		v->offset = offset;
	} else {
		if (!streams_more(&s->one, &more, e))
			return false;
		v->n_more++;
	}
	v->size += (uint32_t)n;
	return true;
}

static bool follow_png(struct scan *s, uint64_t at, struct err *e)
{
	uint64_t head = at - 2 - PNG_HEAD, n = get_be32(s->p + head);

	at = head + PNG_HEAD;
	for (uint64_t skip = 2; n >= skip && n <= s->n - at; skip = 0) {
		if (s->one.n_more == LIMIT_DELTA_PARTS || !goes_on(s, at + skip, n - skip, e))
			return s->one.n_more == LIMIT_DELTA_PARTS;
		at += n + PNG_BETWEEN;
		if (at > s->n || s->n - at < PNG_HEAD || memcmp(s->p + at + 4, "IDAT", 4) != 0)
			break;
		n = get_be32(s->p + at);
		at += PNG_HEAD;
	}
	return true;
}

static bool follow(struct scan *s, const struct header *h, struct err *e)
{
	const struct layout_cut *cut = s->layout ? layout_at(s->layout, h->start) : NULL;

	s->one.n = s->one.n_more = 0;
	if (!streams_add(&s->one, &(struct stream){ .transform = TRANSFORM_DEFLATE }, e))
		return false;
	if (h->is_png)
		return follow_png(s, h->start, e);
	if (!cut)
		return goes_on(s, h->start, s->n - h->start, e);
	return goes_on(s, h->start, cut->end - h->start, e) &&
	       goes_on(s, cut->to, cut->size, e);
}

static bool image_copy(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e UNUSED)
{
	const struct scan *s = ctx;

	memcpy(p, s->p + offset, n);
	return true;
}

static bool one_read(void *ctx, uint64_t at, uint8_t *p, size_t n, struct err *e)
{
	struct scan *s = ctx;

	return stream_gather(&s->one, s->one.v, at, p, n, image_copy, s, e);
}

/* Whether the header's promise is kept: the checksum is right.  Where data is cut, as the last
 * part of a file is in many file systems, what follows often looks like the end of a stream. */
static bool is_whole(struct scan *s, const struct header *h, const struct wrap_sum *sum,
		     uint64_t packed_n, unsigned *ret_size)
{
	uint8_t want[WRAP_MAX], have[WRAP_MAX];
	uint64_t left = s->one.v->size - packed_n;
	size_t n = left < WRAP_MAX ? (size_t)left : WRAP_MAX;
	struct err ignored;

	*ret_size = wrap_size(sum->wrap);
	if (h->is_bare)
		return packed_n >= BARE_PACKED_MIN && sum->n >= packed_n + packed_n / BARE_GAIN;
	wrap_make(want, sum, packed_n);
	if (!one_read(s, packed_n, have, n, &ignored))
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

/* Unpacks what may begin behind a header; *ret: there is a stream, s->one. */
static bool stream_try(struct scan *s, const struct header *h, bool *ret, struct err *e)
{
	struct packed packed = { .read = one_read, .ctx = s };
	struct wrap_sum sum;
	struct err ignored;
	struct inflate *z = s->inflate;
	struct stream *v;
	unsigned behind;

	if (h->start == 0 || h->start >= s->n || s->budget == 0)
		return true;
	if (!follow(s, h, e))
		return false;
	v = s->one.v;
	packed.size = v->size;
	inflate_init(z, &packed);
	wrap_start(&sum, h->wrap);
	bool ok = unpack_all(s, &sum, &ignored);
	uint64_t used = inflate_used(z), spent = used + z->made;

	s->budget -= spent < s->budget ? spent : s->budget;
	if (!ok || used < PACKED_MIN || z->made == 0 || !z->coded ||
	    !is_whole(s, h, &sum, used, &behind))
		return true;
	v->size = (uint32_t)(used + behind);
	v->plain_size = (uint32_t)z->made;
	v->is_faint = h->is_bare || h->is_png;
	while (v->n_more && s->one.more[v->n_more - 1].at >= v->size)
		s->one.n_more = --v->n_more;
	*ret = true;
	return true;
}

static void headers_read(const struct scan *s, uint64_t at, struct header *ret)
{
	switch (s->p[at]) {
	case 0x1f:
		gzip_header(s, at, ret);
		break;
	case 0x78:
		zlib_header(s, at, ret);
		break;
	case 'P':
		zip_header(s, at, ret);
		break;
	case 'I':
		png_header(s, at, ret);
		break;
	}
}

/* Whether the first bytes can be a dynamic block: the numbers of codes, and a complete code of code lengths. */
static bool is_description(const struct scan *s, uint64_t at)
{
	const uint8_t *p = s->p + at;
	unsigned n, sum = 0;
	uint64_t lengths;

	if (s->n - at < BARE_PACKED_MIN || (p[1] & 31) > DIST_CODES - 1)
		return false;
	n = 4 + (p[1] >> 5 | (p[2] & 1) << 3);
	lengths = get_le64(p + 2) >> 1 & ((UINT64_C(1) << 3 * n) - 1);
	for (unsigned i = 0; i < 60; i += 12)
		sum += s->sums[lengths >> i & 4095];
	return sum == 128;
}

/* Whether the other image lacks this block or one soon behind it. */
static bool is_new(struct scan *s, uint64_t at)
{
	if (!s->other)
		return true;
	for (; s->checked < at + BARE_AHEAD && s->n - s->checked >= KNOWN_BLOCK;
	     s->checked += KNOWN_BLOCK)
		if (!known_has(s->other, s->p + s->checked))
			s->lacking = s->checked + KNOWN_BLOCK;
	return at < s->lacking || s->n - at < BARE_AHEAD;
}

/* Where a stream may begin, from a place of the image on. */
static uint64_t next_start(struct scan *s, uint64_t at, uint64_t to, unsigned *ret_starts)
{
	while (at < to) {
		uint64_t end =
			(at | (KNOWN_BLOCK - 1)) + 1 < to ? (at | (KNOWN_BLOCK - 1)) + 1 : to;
		unsigned wanted = STARTS_HEADER | (is_new(s, at) ? STARTS_BARE : 0);

		while (at < end && !(s->starts[s->p[at]] & wanted))
			at++;
		*ret_starts = wanted;
		if (at < end)
			break;
	}
	return at;
}

static bool stream_at(struct scan *s, uint64_t at, unsigned starts, bool *ret, struct err *e)
{
	struct header h = { .start = 0 };

	starts &= s->starts[s->p[at]];
	if (starts & STARTS_HEADER) {
		headers_read(s, at, &h);
		if (!stream_try(s, &h, ret, e))
			return false;
		/* Its checksum is wrong, so it is no stream without a header either. */
		if (h.start)
			s->refused = h.start;
	}
	if (*ret || !(starts & STARTS_BARE) || at < s->taken || at == s->refused ||
	    !is_description(s, at))
		return true;
	h = (struct header){ .start = at, .is_bare = true };
	return stream_try(s, &h, ret, e);
}

static bool scan(struct scan *s, struct streams *ret, uint64_t from, uint64_t to, struct err *e)
{
	unsigned starts = 0;

	for (uint64_t at = next_start(s, from, to, &starts); at < to;
	     at = next_start(s, at, to, &starts)) {
		bool found = false;

		if (!stream_at(s, at, starts, &found, e))
			return false;
		if (!found) {
			at++;
			continue;
		}
		const struct stream *v = s->one.v;
		if (!streams_copy(ret, &s->one, 0, e))
			return false;
		at = v->offset + (v->n_more ? s->one.more[0].at : v->size);
		if (v->n_more) {
			const struct extent *last = &s->one.more[v->n_more - 1];

			s->taken = last->offset + (v->size - last->at);
		}
	}
	return true;
}

static void scan_init(struct scan *s, uint64_t from)
{
	s->checked = from & ~(uint64_t)(KNOWN_BLOCK - 1);
	s->starts[0x1f] = s->starts[0x78] = s->starts['P'] = s->starts['I'] = STARTS_HEADER;
	/* The last block or not, dynamic, and at most 286 codes. */
	for (unsigned i = 0; i < 256; i++)
		if ((i & 6) == BLOCK_DYNAMIC << 1 && i >> 3 <= LIT_CODES - 257)
			s->starts[i] |= STARTS_BARE;
	for (unsigned i = 0; i < 4096; i++) {
		unsigned sum = 0;

		for (unsigned k = 0; k < 12; k += 3)
			sum += i >> k & 7 ? 128u >> (i >> k & 7) : 0;
		s->sums[i] = (uint8_t)(sum < 255 ? sum : 255);
	}
}

bool deflate_find(struct streams *ret, const struct image *in, uint64_t from, uint64_t to,
		  struct err *e)
{
	struct scan *s = calloc(1, sizeof(*s));
	bool ok;

	if (!s)
		return err_nomem(e);
	s->p = in->p;
	s->n = in->size;
	s->layout = in->layout;
	s->other = in->other;
	s->budget = BUDGET_FREE + BUDGET_PER_BYTE * (to - from);
	s->inflate = malloc(sizeof(*s->inflate));
	s->plain = malloc(TRANSFORM_WINDOW + ROOM);
	scan_init(s, from);
	ok = s->inflate && s->plain ? scan(s, ret, from, to, e) : err_nomem(e);
	streams_done(&s->one);
	free(s->inflate);
	free(s->plain);
	free(s);
	return ok;
}
