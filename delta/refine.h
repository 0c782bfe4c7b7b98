/* delta/refine.h - the same new bytes by commands that are cheaper to code.
 *
 * What match.c finds is the longest at each place, whatever it costs to name it.  Where commands are short, the
 * cheapest way through them is looked for again: at each byte it may be at the distance of any command near by, at
 * one that is a usual step away from these, among zeros, or inserting; the cost of going from one to the other is
 * taken from how often the found commands did the same.  Then, where two commands meet among bytes that both
 * would make, the place is chosen that continues the rhythm of those before: lengths that come again, old places
 * at multiples of a block's size. */
#ifndef VALISE_DELTA_REFINE_H
#define VALISE_DELTA_REFINE_H

#include "delta/match.h"

/* Scratch of one thread, 3 MiB. */
struct refiner;
bool refiner_new(struct refiner **ret, struct err *e) MUST_USE;
void refiner_free(struct refiner *r);

struct refine_job {
	const uint8_t *old, *p; /* the old bytes; the new ones */
	uint64_t old_n;
	const struct ops
		*found; /* commands that make all new bytes one behind the other; no ADD */
	void (*look)(void *ctx,
		     uint64_t from); /* told before old bytes are read there; or NULL */
	void *ctx;
};

/* COPY stands for ADD as well: what is copied may differ from the new bytes, in *ret where that is cheaper than
 * anything else.  The same for the same job. */
bool refine(struct refiner *r, const struct refine_job *job, struct ops *ret,
	    struct err *e) MUST_USE;

#endif
