/* delta/huffman.h - the codes of a deflate block as zlib and GNU gzip make them, and how they choose
 * between a stored, a fixed and a dynamic block.
 *
 * The two share this part bit by bit, so there are no parameters: code lengths come from a heap
 * ordered by (frequency, depth), in which equal ones keep the places that the insertions gave
 * them; codes of more than 15 (7) bits are shortened level by level; lengths are run-length
 * coded for literals and distances apart.  RFC 1951, 3.2.2 and 3.2.7. */
#ifndef VALISE_DELTA_HUFFMAN_H
#define VALISE_DELTA_HUFFMAN_H

#include "delta/inflate.h"

enum {
	LIT_CODES = 286,
	DIST_CODES = 30,
	LENGTH_CODES = 19,
	HEADER_BITS_MAX = 14 + 19 * 3 + (LIT_CODES + DIST_CODES) * 14,
	HEADER_MAX = HEADER_BITS_MAX / 8 + 1,
};

unsigned length_symbol(unsigned len); /* 257 to 285 */
unsigned dist_symbol(unsigned dist);  /* 0 to 29 */
unsigned length_rest(unsigned len, unsigned *ret_bits);
unsigned dist_rest(unsigned dist, unsigned *ret_bits);

/* Frequencies of a block, counted while its tokens are. */
struct block_count {
	uint32_t lit[LIT_CODES], dist[DIST_CODES];
	uint32_t tokens, matches;
};

void count_start(struct block_count *c); /* the end of the block is counted already */
void count_token(struct block_count *c, const struct token *t, uint8_t literal);

struct codes {
	uint8_t lit[288], dist[32]; /* lengths */
};

/* How a block would be written: which kind, and the description of a dynamic one. */
struct block_plan {
	enum inflate_kind kind;
	struct codes codes; /* of the kind chosen; not for stored blocks */
	unsigned header_bits;
	uint8_t header[HEADER_MAX];
};

/* bytes: what the block stands for. */
void block_plan(struct block_plan *ret, const struct block_count *c, uint64_t bytes,
		bool only_fixed);
void codes_fixed(struct codes *c);

/* Canonical codes, with their bits in the order in which they are written. */
void codes_assign(uint16_t *ret, const uint8_t *lengths, unsigned n);

#endif
