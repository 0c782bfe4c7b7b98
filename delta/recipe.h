/* delta/recipe.h - how a deflate stream is made again: who made it, and where that guess is wrong.
 *
 *   byte 0   bits 0-1  what stands behind the stream (enum wrap)
 *            bits 2-3  0 zlib with a window of 15 bits, memory level 8, default strategy;
 *                      1 GNU gzip; 2 zlib, parameters follow
 *            bit 4     blocks differ from the guess      bit 5  tokens do
 *            bit 6     the padding of the last byte is not zero
 *   byte 1   level, 1 to 9
 *   for 2:   window bits and memory level << 4; strategy
 *   padding  a byte, if bit 6
 *   blocks   their size, then for each that differs: number of blocks as guessed before it; a byte:
 *            kind, 4 if final, 8 if the count follows, 16 if the description of a dynamic block
 *            follows; the count: of tokens, or of bytes in a stored block; the description's bits,
 *            their number first
 *   tokens   up to the end, for each that differs: tokens as guessed before it << 2 with
 *            0 a literal
 *            1 a match at the nearest place; length - 3
 *            2 a match with the guessed distance; length - 3
 *            3 any match; length - 3 in a byte, distance - 1 in two
 *
 * Numbers are 7 bits to a byte, lowest first, the top bit set in all but the last. */
#ifndef VALISE_DELTA_RECIPE_H
#define VALISE_DELTA_RECIPE_H

#include "delta/guess.h"

enum wrap {
	WRAP_NONE,
	WRAP_GZIP, /* CRC-32 and size of the plain bytes, RFC 1952 */
	WRAP_ZLIB, /* Adler-32, RFC 1950 */
	WRAP_ZIP,  /* a data descriptor with signature, CRC-32 and both sizes: APPNOTE 4.3.9 */
};

enum { WRAP_MAX = 16 };

/* Bytes of each. */
unsigned wrap_size(enum wrap w);

/* What it says of the plain bytes, which come in any portions. */
struct wrap_sum {
	enum wrap wrap;
	uint32_t sum;
	uint64_t n;
};

void wrap_start(struct wrap_sum *s, enum wrap w);
void wrap_add(struct wrap_sum *s, const uint8_t *plain, size_t n);
void wrap_make(uint8_t ret[static WRAP_MAX], const struct wrap_sum *s, uint64_t packed_n);

struct recipe {
	enum wrap wrap;
	struct guess_how how;
	uint8_t padding;
	const uint8_t *blocks, *blocks_end, *tokens, *tokens_end; /* borrowed */
};

bool recipe_parse(struct recipe *r, const uint8_t *p, size_t n, struct err *e) MUST_USE;
bool recipe_encode(struct buf *ret, const struct recipe *r, struct err *e) MUST_USE;

struct block_fix {
	uint64_t gap; /* blocks before it; UINT64_MAX when there is none left */
	uint8_t kind;
	bool is_final, has_count, has_header;
	uint64_t count, header_bits;
	const uint8_t *header; /* borrowed */
};

bool block_fix_next(struct recipe *r, struct block_fix *ret, struct err *e) MUST_USE;
bool block_fix_add(struct buf *b, const struct block_fix *f, struct err *e) MUST_USE;

enum token_fix_kind { FIX_LITERAL, FIX_NEAREST, FIX_SAME_DIST, FIX_MATCH };

struct token_fix {
	uint64_t gap; /* tokens before it; UINT64_MAX when there is none left */
	enum token_fix_kind kind;
	struct token is; /* its dist is 0 but for FIX_MATCH: it is to be found */
};

bool token_fix_next(struct recipe *r, struct token_fix *ret, struct err *e) MUST_USE;
bool token_fix_add(struct buf *b, const struct token_fix *f, struct err *e) MUST_USE;

#endif
