/* delta/match.h - finds which old bytes new bytes come from.
 *
 * The old space is sampled at every step-th byte into one table of bounded size (at most 512 MiB):
 * the hash of `gram` bytes there.  A new range is scanned from its beginning.  Where the current
 * distance between old and new still fits, even with scattered differences, nothing is looked up,
 * which is what makes images that hardly changed fast.  Elsewhere the sample table gives candidates from
 * anywhere in the old space, and a small table of all old bytes around the current place gives
 * short ones.  A candidate wins when it explains clearly more bytes than the current distance does;
 * both are then extended over differences towards each other (as bsdiff does).
 *
 * Old bytes stay reusable: any number of new ranges may come from the same place. */
#ifndef VALISE_DELTA_MATCH_H
#define VALISE_DELTA_MATCH_H

#include "delta/code.h"

struct ops {
	struct op *v; /* heap */
	size_t n, cap;
	uint64_t differing; /* bytes that ADDs must correct */
};
void ops_done(struct ops *o);
/* Appends. */
bool ops_append(struct ops *o, const struct op *add, struct err *e) MUST_USE;
/* The same, or lengthens the last one where it goes on; nothing for an empty one. */
bool ops_add(struct ops *o, const struct op *add, struct err *e) MUST_USE;
/* At most `most` commands for the same bytes, the shortest ones made INSERTs; at least one per MiB. */
void ops_coarsen(struct ops *o, size_t most);

struct matcher; /* read only once made: any number of threads */

/* old: `n` bytes, borrowed.  mapped: they are mapped from files, and pages used are given back now
 * and then, so that what is resident stays bounded.  The same for any number of threads. */
bool matcher_new(struct matcher **ret, const uint8_t *old, uint64_t n, bool mapped,
		 unsigned threads, struct err *e) MUST_USE;
void matcher_free(struct matcher *m);
DEFINE_CLEANUP(struct matcher, matcher_free);

/* What is local to one thread. */
struct match_local;
bool match_local_new(struct match_local **ret, struct err *e) MUST_USE;
void match_local_free(struct match_local *l);

/* Commands for n bytes at p.  guess: where in the old space they might come from. */
bool match_range(struct matcher *m, struct match_local *l, const uint8_t *p, size_t n,
		 uint64_t guess, struct ops *ret, struct err *e) MUST_USE;

#endif
