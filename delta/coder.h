/* delta/coder.h - binary arithmetic coding with adaptive, mixed predictions.
 *
 * One code path serves both directions: every function takes the value to encode and returns the
 * value; a decoder ignores what it is given.  So encoder and decoder cannot disagree about models.
 *
 *	bit = coder_bit(c, &model, bit);
 *
 * The coder is the carry-less range coder of lpaq and its kin with 16-bit probabilities: the
 * interval [low, high] shrinks to the part of the coded bit, and equal leading bytes leave.  Integer
 * arithmetic only, so that every machine decodes the same.
 *
 * A decoder reads through a callback and never past its limit: beyond the coded bytes it sees zeros
 * and sets `overrun`, which callers check now and then (at least once per 64 KiB of output).
 *
 * `cost` counts what was spent, in units of 1/65536 bit, per delta_kind (encoder only). */
#ifndef VALISE_DELTA_CODER_H
#define VALISE_DELTA_CODER_H

#include "base/buf.h"
#include "delta/delta.h"

/* ---- the range coder ---- */

struct coder {
	bool decoding;
	bool overrun;
	bool failed; /* encoder: out is full or memory ran out; decoder: the source failed */
	uint32_t low, high, value;
	struct buf *out; /* encoder */
	const uint8_t *in, *in_end;
	bool (*more)(void *ctx, const uint8_t **ret, size_t *ret_n, struct err *e);
	void *ctx;
	unsigned past_end;    /* zeros handed out */
	struct err *e;        /* why `failed` */
	enum delta_kind kind; /* what is being coded */
	uint64_t cost[DELTA_KINDS];
};

void coder_encode_start(struct coder *c, struct buf *out, struct err *e);
void coder_encode_end(struct coder *c);
/* more: the next portion; *ret_n 0 at the end. */
void coder_decode_start(struct coder *c,
			bool (*more)(void *ctx, const uint8_t **ret, size_t *ret_n,
				     struct err *e),
			void *ctx, struct err *e);
/* False, with *e set, when the coder failed or read more than there was. */
bool coder_ok(const struct coder *c, struct err *e) MUST_USE;

/* Decoder, behind the last value: whether all coded bytes were needed.  Three or four zeros are read behind them. */
bool coder_ended(const struct coder *c);

/* One bit with probability p / 65536 of being 1; 0 < p < 65536. */
unsigned coder_code(struct coder *c, unsigned p, unsigned bit);

/* Eight bits that nothing is known about. */
uint8_t coder_plain(struct coder *c, uint8_t byte);

/* ---- a bit by itself: 22 bits of probability, 10 of how often it was seen ---- */

typedef uint32_t bitmodel;
#define BITMODEL_INIT (UINT32_C(1) << 31)
unsigned coder_bit(struct coder *c, bitmodel *m, unsigned bit);

/* ---- numbers: exponent and leading mantissa bits modelled ---- */

struct number {
	bitmodel exponent[64], mantissa[64][8];
};
void number_init(struct number *m);
uint64_t coder_number(struct coder *c, struct number *m, uint64_t v);

/* ---- mixing ---- */

enum { MIX_INPUTS = 16 };

/* The tables behind all models, once; whoever initialises a number, a mixer or tables has them. */
void mix_init(void);

/* A flag predicted from up to MIX_INPUTS bit models at once. */
struct mixer {
	int16_t w[MIX_INPUTS]; /* 16384 is 1 */
};
struct flagmix {
	struct mixer *sets; /* n_sets of them, heap */
	size_t n_sets;
	bitmodel (*sse)[33]; /* n_sets, heap: the last correction */
};
bool flagmix_init(struct flagmix *f, size_t n_sets, unsigned inputs, struct err *e) MUST_USE;
void flagmix_done(struct flagmix *f);
/* models: `inputs` pointers, as said at init; set: which weights. */
unsigned coder_flag(struct coder *c, struct flagmix *f, size_t set, bitmodel *const *models,
		    unsigned inputs, unsigned flag);

/* ---- numbers predicted from several contexts at once ---- */

/* Every bit is predicted: from the bits before it with each context, with none, and for the lower ones from
 * where in the number they are, as lengths and distances are often multiples of a block's size. */
struct nummix {
	bitmodel *bits; /* heap; of all contexts, found by hash */
	struct flagmix mix;
	unsigned n_kinds;
};
enum { NUMBER_CONTEXTS = 4 };
bool nummix_init(struct nummix *m, unsigned n_kinds, struct err *e) MUST_USE;
void nummix_done(struct nummix *m);
/* kind: what the number is, below n_kinds.  contexts: NUMBER_CONTEXTS hashes.  v: below 2^63 - 1. */
uint64_t coder_mixed(struct coder *c, struct nummix *m, unsigned kind, const uint32_t *contexts,
		     uint64_t v);

/* ---- bytes predicted from several contexts at once ---- */

/* Slots of all contexts of all byte models of one coder, replaced when full. */
struct tables {
	uint16_t (*slots)
		[16]; /* 32 bytes: check, then 15 nodes of a nibble's tree; two fill a cache line */
	void *memory; /* heap; where they are in */
	uint32_t mask;
};
bool tables_init(struct tables *t, unsigned log2_slots, struct err *e) MUST_USE;
void tables_done(struct tables *t);

enum {
	BYTE_INPUTS = MIX_INPUTS - 2, /* the others: always the same, and the guess */
	BYTE_NEAR = 256 * 8,          /* weights by another byte and the bit's place */
	GUESS_STRENGTHS = 16,
};

struct bytemix {
	struct tables *tables; /* borrowed */
	struct mixer *sets;    /* heap, n_sets * 256, then BYTE_NEAR */
	bitmodel (*sse)[33];   /* 256: by the bits of the byte so far */
	size_t n_sets;
	unsigned inputs;
	uint32_t salt;
	bitmodel guesses[GUESS_STRENGTHS]; /* whether one of that strength is right */
};
bool bytemix_init(struct bytemix *b, struct tables *t, size_t n_sets, unsigned inputs,
		  uint32_t salt, struct err *e) MUST_USE;
void bytemix_done(struct bytemix *b);
/* contexts: `inputs` hashes, at most BYTE_INPUTS.  Two sets of weights mix them, and their average counts:
 * one chosen by set and the bits of the byte so far, one by near, a byte that says something about this one.
 * guess: a byte that is likely with strength 0 to 15 (0: none); what a strength is worth is learnt. */
unsigned coder_byte(struct coder *c, struct bytemix *b, size_t set, uint8_t near,
		    const uint32_t *contexts, unsigned guess, unsigned strength, unsigned byte);

static inline uint32_t context_hash(uint32_t a, uint32_t b)
{
	uint32_t h = a * UINT32_C(0x2c1b3c6d) + b * UINT32_C(0x297a2d39) + UINT32_C(0x9e3779b9);

	h ^= h >> 15;
	return h * UINT32_C(0x85ebca6b);
}

#endif
