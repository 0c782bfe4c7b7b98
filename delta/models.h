/* delta/models.h - what code.h's functions remember and predict from: one struct for all kinds of bytes, as they
 * are context for each other.  The parts of code.h: code_pieces.c (streams and pieces), code_ops.c (commands),
 * code_insert.c (inserted bytes), code_add.c (differences). */
#ifndef VALISE_DELTA_MODELS_H
#define VALISE_DELTA_MODELS_H

#include "base/lzma2.h"
#include "delta/code.h"
#include "delta/fields.h"

enum {
	FLAG_LOG = 16,
	FLAG_INPUTS = 8,
	LITERAL_INPUTS = 11,
	DIFF_INPUTS = 8,
	GRANULE_INPUTS = 4,
	HABIT_LOG = 12, /* habits of a way */
	HABIT_INPUTS = 4,
	HABIT_RIGHT = 31, /* counted up to */
	RECENT = 5,       /* older distances between new and old that a command may return to */
	GUESS_LOG = 18,
	FAR_STEP = 32, /* inserted bytes between places that a far guess may come from */
	TARGET_LOG = 12,
	LITERAL_SETS =
		7, /* nothing guessed, something, surely; the bytes of a target, lowest first */
};

/* A command as it is coded; what its kind does not need is 0. */
struct step {
	uint64_t n,
		far; /* its length, or 0 for all that is left; JUMP_NEAR: from the end of the last copy */
	uint8_t kind, jump;
	bool back;
};

/* What followed the same two commands the last time, and how often it did without a break. */
struct habit {
	struct step step;
	unsigned right;
};

struct way {               /* one per kind of piece: raw, stream */
	uint64_t old_end;  /* behind the last copy, in the old space */
	uint64_t distance; /* old minus new of the last copy, modulo 2^64 */
	uint64_t recent[RECENT];
	uint32_t kinds, jumps;  /* of the last commands, 2 bits and 3 each */
	uint64_t n;             /* the last one's length */
	uint64_t lengths[4][2]; /* the last two of each kind */
	uint64_t jumped[2];     /* the last distances, forwards and back */
	uint32_t steps[2];      /* hashes of the last commands */
	unsigned run; /* commands that were as their habits say, one after the other */
	struct habit habits[1 << HABIT_LOG];
	bitmodel is_habit[HABIT_INPUTS][1 << HABIT_LOG];
};

/* The numbers of a command; each way has its own. */
enum {
	NUM_KIND,
	NUM_JUMP,
	NUM_BACK,
	NUM_DISTANCE,                  /* forwards, then back */
	NUM_LENGTH = NUM_DISTANCE + 2, /* by kind */
	NUMS = NUM_LENGTH + 4,
};

/* Inserted bytes that a guess may come from, and every FAR_STEP-th place in them, by a hash of what is before. */
struct history {
	uint8_t *bytes; /* mask + 1, heap; touched as they come */
	uint32_t *far;  /* (mask + 1) / FAR_STEP, heap; 0: none */
	uint32_t mask, far_mask;
	uint32_t n, far_hash; /* all that were inserted; of the last ones */
	uint32_t far_at;      /* the place before this one with that hash */
};

/* The one LZMA2 stream of a frame's inserts in bulk. */
struct bulk {
	struct number filter, size;
	enum lzma2_filter chosen;
	struct lzma2_dec *dec; /* NULL: nothing of it was coded yet */
	struct buf stream;     /* making: all of it; applying: what is not used yet */
	size_t used, sent;     /* making: of it */
};

/* What addresses in inserted x86-64 code were, by the kind of instruction (enum field_class). */
struct targets {
	uint32_t last[CLASS_X86];
	uint16_t absolute_again[CLASS_X86], relative_again[CLASS_X86]; /* how often lately */
	uint32_t absolute[1 << TARGET_LOG], relative[1 << TARGET_LOG];
	bool is_behind; /* the last four bytes are one */
};

struct models {
	struct tables tables;
	struct bytemix literals, diffs, recipes;
	struct flagmix granules, flags, habits;
	bitmodel (*flag_bits)[1 << FLAG_LOG]; /* FLAG_INPUTS of them */
	bitmodel granule_bits[GRANULE_INPUTS][4096];
	bitmodel page_bits[64];
	struct way ways[2];
	struct nummix commands;
	/* tables and pieces */
	struct number gap, packed_size, plain_gain, raw_size, recipe_size;
	struct number transform, parts, part_size, part_far, part_near;
	struct number runs, run_size, run_out, run_depth;
	bitmodel is_stream[4], is_kept, part_back, is_bulk;
	struct bulk bulk;
	unsigned last_pieces;
	/* what went before */
	uint32_t last4, last8; /* bytes of the new image */
	uint32_t word;         /* hash of the letters inserted last */
	struct history history;
	uint32_t *guesses; /* 1 << GUESS_LOG */
	uint32_t guess_at, guess_length;
	struct targets targets;
	bitmodel is_plain[4], is_run[3];
	unsigned last_plain;
	/* inside an ADD */
	unsigned pages, granule_history, since_diff;
	uint64_t flag_history;
	uint32_t diffs_recent; /* the last four bytes' differences */
	uint32_t last_diffs;   /* the last four that were not 0 */
	struct fields fields;
};

static inline void models_passed(struct models *m, uint8_t b)
{
	m->last8 = m->last8 << 8 | m->last4 >> 24;
	m->last4 = m->last4 << 8 | b;
}

static inline uint8_t history_at(const struct history *h, uint32_t at)
{
	return h->bytes[at & h->mask];
}

/* Forgets what was inserted; from now on as much is remembered. */
bool models_remember(struct models *m, uint32_t bytes, struct err *e) MUST_USE;

#endif
