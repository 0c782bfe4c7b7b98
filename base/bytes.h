/* base/bytes.h - fixed-width integers in byte strings, and a bounded reader for binary formats.
 *
 * get_/put_ do not check bounds; struct rd does, once, in one place: every parser of a binary
 * format reads through it, and reading past the end sets `bad` and yields zeros from then on,
 * so a parser checks rd_ok() once at its end. */
#ifndef VALISE_BASE_BYTES_H
#define VALISE_BASE_BYTES_H

#include "base/attr.h"

#include <string.h>

static inline uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static inline uint64_t get_le64(const uint8_t *p)
{
	return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

static inline void put_le16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	put_le16(p, (uint16_t)v);
	put_le16(p + 2, (uint16_t)(v >> 16));
}

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	put_le32(p, (uint32_t)v);
	put_le32(p + 4, (uint32_t)(v >> 32));
}

struct rd {
	const uint8_t *p, *end; /* borrowed */
	bool bad;
};

static inline struct rd rd_init(const void *p, size_t n)
{
	return (struct rd){ .p = p, .end = (const uint8_t *)p + n, .bad = false };
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* n bytes, or NULL (and bad) when fewer are left. */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || rd_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);
	return p ? *p : 0;
}

static inline uint16_t rd_le16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);
	return p ? get_le16(p) : 0;
}

static inline uint32_t rd_le32(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 4);
	return p ? get_le32(p) : 0;
}

static inline uint64_t rd_le64(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 8);
	return p ? get_le64(p) : 0;
}

/* A number of 7 bits to a byte, lowest first, the top bit set in all but the last; longer ones than
 * VARINT_MAX bytes, 56 bits, are bad. */
enum { VARINT_MAX = 8, VARINT_ROOM = 10 };

static inline uint64_t rd_varint(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MAX; i++) {
		uint8_t byte = rd_u8(r);

		v |= (uint64_t)(byte & 127) << 7 * i;
		if (byte < 128)
			return r->bad ? 0 : v;
	}
	r->bad = true;
	return 0;
}

/* How many bytes it has; below 2^56 it can be read again. */
static inline size_t put_varint(uint8_t p[static VARINT_ROOM], uint64_t v)
{
	size_t n = 0;

	for (; v >= 128; v >>= 7)
		p[n++] = (uint8_t)(v | 128);
	p[n++] = (uint8_t)v;
	return n;
}

/* Whether everything was there and nothing is left over. */
static inline bool rd_ok_at_end(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}

#endif
