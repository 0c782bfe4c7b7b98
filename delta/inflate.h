/* delta/inflate.h - takes a deflate stream (RFC 1951) apart: into plain bytes, or into its blocks and
 * tokens, which is what an encoder decided.
 *
 *	struct inflate z;
 *	inflate_init(&z, &from);                  // 14 KiB, no heap; packed bytes are read as needed
 *	do {
 *		inflate_block(&z, e);             // z.kind, z.final, z.stored
 *		... inflate_token(&z, &t, e) until it tells the block's end   (not for stored blocks)
 *		... inflate_stored(&z, e)                                     (for stored ones)
 *	} while (!z.final);
 *	inflate_used(&z)                          // bytes that the stream has taken
 *
 * or, for the plain bytes alone, inflate_next in any portions until z.ended.
 *
 * Accepts what zlib's inflate accepts, no more.  Errors are E_CORRUPT: a code that does not exist,
 * a distance before the beginning, a cut stream; or what reading gave. */
#ifndef VALISE_DELTA_INFLATE_H
#define VALISE_DELTA_INFLATE_H

#include "delta/transform.h"

enum inflate_kind { BLOCK_STORED, BLOCK_FIXED, BLOCK_DYNAMIC };

enum {
	MATCH_MIN = 3,
	MATCH_MAX = 258,
	DEFLATE_WINDOW = 32768,
	INFLATE_LIT_BITS = 10,
	INFLATE_DIST_BITS = 8,
	INFLATE_LIT_CODES = 2048, /* more than any complete code of 288 symbols needs */
	INFLATE_DIST_CODES = 1024,
	INFLATE_LENGTHS = 320,
	INFLATE_CHUNK = 4096,
};

_Static_assert((int)DEFLATE_WINDOW <= (int)TRANSFORM_WINDOW,
	       "a transform may look back so far");

/* One decision of an encoder: a literal (dist 0, len 1), or a match. */
struct token {
	uint16_t len, dist;
};

struct inflate_code {
	uint16_t value;
	uint8_t bits, what;
};

struct inflate {
	const struct packed *from;
	uint64_t read;     /* bytes taken from `from` into the buffer */
	uint64_t made;     /* by inflate_next, also when it failed */
	struct token rest; /* what of a token did not fit any more; len 0: nothing */
	uint8_t literal;   /* if it is one */
	bool in_block, ended;
	const uint8_t *p, *end;
	uint64_t hold; /* bits not used yet, the next one lowest */
	unsigned held;
	bool final;
	bool coded; /* there was a block that is not stored */
	bool odd;   /* a match of 258 was written as 284 and 31, as no encoder of ours does */
	uint8_t kind;
	uint32_t stored; /* bytes of a stored block; inflate_next: those that are left */
	uint64_t header; /* bit where a dynamic block's description begins, behind its 3 bits */
	uint64_t header_bits;
	unsigned n_lit, n_dist;
	uint8_t lengths[INFLATE_LENGTHS]; /* of the dynamic block's codes */
	struct inflate_code lit[INFLATE_LIT_CODES], dist[INFLATE_DIST_CODES];
	uint8_t chunk[INFLATE_CHUNK];
};

void inflate_init(struct inflate *z, const struct packed *from);
/* The same state, to go on from the same bytes in another place of memory. */
void inflate_copy(struct inflate *to, const struct inflate *z, const struct packed *from);
uint64_t inflate_used(const struct inflate *z); /* bytes, the last one begun included */
uint64_t inflate_bit(const struct inflate *z);  /* where the next bit is */

bool inflate_block(struct inflate *z, struct err *e) MUST_USE;
/* Reads only the description of a dynamic block: n_lit, n_dist, lengths, tables. */
bool inflate_dynamic(struct inflate *z, struct err *e) MUST_USE;
/* *ret_end: that was the end of the block, and *ret is not set.  `done` bytes came before. */
bool inflate_token(struct inflate *z, struct token *ret, uint8_t *ret_literal, bool *ret_end,
		   uint64_t done, struct err *e) MUST_USE;
/* The bytes of a stored block, to p, or skipped when p is NULL. */
bool inflate_stored(struct inflate *z, uint8_t *p, struct err *e) MUST_USE;

/* The next n bytes, or fewer (*ret_n) at the end of the stream: z->ended tells, as soon as nothing
 * follows.  What it made before, as far as the window reaches, lies right before `to`. */
bool inflate_next(struct inflate *z, uint8_t *to, size_t n, size_t *ret_n,
		  struct err *e) MUST_USE;

/* A packed that is in memory: fill it in with packed_of(&m, p, n). */
struct packed_memory {
	const uint8_t *p;
	struct packed packed;
};

const struct packed *packed_of(struct packed_memory *m, const uint8_t *p, size_t n);

#endif
