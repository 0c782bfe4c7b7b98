/* delta/guess.h - which token zlib or GNU gzip would choose next, with given parameters.
 *
 * Both find matches through chains of positions with the same hash of three bytes, the chain's
 * length bounded by the level.  Levels 1 to 3 are greedy; from 4 on a match waits one byte for a
 * longer one.  What differs: gzip hashes with 15 bits always, keeps inserting up to the end of the
 * input, compares beyond it (with what is left in its window), and cuts blocks early when they
 * compress well enough (guess_full); zlib cuts them when its memory level's buffer is full.
 *
 * A stream of another encoder is followed as well: guess_next tells what would be chosen,
 * guess_commit what really was.  A stream of ours, the guesses are all right.  Pure: depends on the plain bytes
 * and the parameters only, so it is the same when making and when applying.
 * Memory: 128 KiB and 4 << hash bits (at most 256 KiB). */
#ifndef VALISE_DELTA_GUESS_H
#define VALISE_DELTA_GUESS_H

#include "delta/huffman.h"

enum guess_strategy { /* zlib's, with its numbers */
		      GUESS_DEFAULT,
		      GUESS_FILTERED,
		      GUESS_HUFFMAN,
		      GUESS_RLE,
		      GUESS_FIXED
};

enum { GUESS_BEFORE = DEFLATE_WINDOW, GUESS_AHEAD = 2 * MATCH_MAX + 16 };

struct guess_how { /* recipe_parse lets no other values pass */
	bool is_gzip;
	uint8_t level;       /* 1 to 9 */
	uint8_t window_bits; /* 9 to 15; gzip: 15 */
	uint8_t memory;      /* zlib's memLevel, 1 to 9; gzip: 8 */
	uint8_t strategy;    /* guess_strategy; gzip: default */
};

struct guess_match {
	uint32_t len, start;
};

struct guess {
	struct guess_how how;
	const uint8_t *p; /* the input's bytes from p_at on; moved by whoever has only some */
	uint32_t p_at, n;
	uint32_t at; /* where the next token begins */

	/* from the level */
	bool is_lazy;
	uint32_t good, lazy, nice, chain;
	uint32_t max_dist, shift, mask, window_mask;
	uint32_t *head, *prev; /* heap */
	uint32_t inserted;     /* positions before it are in the chains, or never will be */
	uint64_t steps;        /* along chains, all together: what guessing costs */
	struct guess_match now, next;
	bool has_now;

	/* gzip's window: [base, base + 64 KiB) of the input, filled up to `filled` */
	uint32_t base, filled;
	bool is_end;
};

/* All of the n bytes need not be there at once: guess_next and the commit of its token look at
 * GUESS_BEFORE bytes before g->at and GUESS_AHEAD behind it. */
bool guess_init(struct guess *g, const struct guess_how *how, const uint8_t *plain, uint32_t n,
		struct err *e) MUST_USE;
void guess_done(struct guess *g);

/* Must not be called at the end of the input. */
struct token guess_next(struct guess *g);
/* After it: the smallest distance at which `len` bytes, MATCH_MIN or more, are the same, as far as the chains remember; 0:
 * there is none.  Of matches that are as long, every encoder takes the nearest. */
uint32_t guess_nearest(struct guess *g, uint32_t len);
/* The token chosen at g->at: what guess_next returned, or another. */
void guess_commit(struct guess *g, const struct token *t);
/* Bytes without tokens (a stored block of another encoder). */
void guess_skip(struct guess *g, uint32_t n);

/* Whether guessing takes too long: level 9 can be made to do 200 KB a second and less.  Executables
 * need 22 steps per plain byte, each of 2 to 8 ns; what needs more than this is left alone. */
enum { GUESS_STEPS_FREE = 1 << 16, GUESS_STEPS_PER_BYTE = 512, GUESS_STEPS_PER_BLOCK = 2048 };
#define GUESS_STEPS_MAX (UINT64_C(1) << 32) /* of any stream */
bool guess_is_slow(const struct guess *g);

/* Whether the block ends before the input does, asked after the commit of each token. */
bool guess_full(const struct guess *g, const struct block_count *c, uint32_t block_start,
		const struct token *last);

#endif
