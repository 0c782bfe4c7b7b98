/* delta/weigh.h - copies of a frame that cost more than inserting what they make.
 *
 * match.c and refine.c choose commands by estimates.  Once a frame was coded it is known what each command and each
 * CODE_BLOCK of a copy with differences took.  encode.c codes those that were dear once more as inserts, into nothing
 * and by models that have seen all that is inserted, and the cheapest way through the frame is taken:
 *
 *	weigh_init    w->heads[i] = what coding command i took, without its bytes
 *	weigh_add     each command's bytes, all at once or in parts
 *	weigh_hopes   whether to go on
 *	              part->inserted of all that may be, or weigh_reckon
 *	weigh_choose  weigh_take
 *
 * Costs are in 1/65536 bit, as the coder's are. */
#ifndef VALISE_DELTA_WEIGH_H
#define VALISE_DELTA_WEIGH_H

#include "delta/match.h"

/* Bytes of a command that are copied or inserted together. */
struct part {
	uint64_t n;
	uint64_t copied;   /* what they took */
	uint64_t inserted; /* what they would take; 0 for those of an INSERT */
	uint32_t op;
	bool may;         /* be inserted, though they are not */
	bool is_inserted; /* chosen */
	bool came[2]; /* internal: whether the part before is inserted on the cheapest way */
};

struct weigh {
	struct part *v; /* heap; of all commands, one behind the other */
	size_t n, cap;
	uint64_t *heads; /* heap; one for each command */
	uint64_t each;   /* what an inserted byte took on the average */
};

bool weigh_init(struct weigh *w, size_t n_ops, struct err *e) MUST_USE;
void weigh_done(struct weigh *w);

/* The next n bytes of command v[op], and what they took. */
bool weigh_add(struct weigh *w, const struct op *v, uint32_t op, uint64_t n, uint64_t copied,
	       struct err *e) MUST_USE;

/* Whether it looks as if enough could be saved.  Only parts that cost some share of what inserted bytes do on the
 * average may be inserted from now on.  inserts, all: what the inserted bytes took, and the frame. */
bool weigh_hopes(struct weigh *w, const struct op *v, uint64_t inserts, uint64_t all);

/* In place of trying, where that would take too long: part->inserted is half of what as many bytes took elsewhere, as
 * those that the old image has alike are foreseen better. */
void weigh_reckon(struct weigh *w);

/* The cheapest way; the bytes that are inserted now and were not, 0 if there are none. */
uint64_t weigh_choose(struct weigh *w, const struct op *v, size_t n_ops);

/* The commands of a piece, to which those before `end` belong, are added to *ret.  *part: the first part. */
bool weigh_take(const struct weigh *w, const struct op *v, uint32_t end, size_t *part,
		struct ops *ret, struct err *e) MUST_USE;

#endif
