/* delta/effort.h - what applying takes, and how that is bounded when a delta is made.
 *
 * Old streams are unpacked as they are read, in chunks of 1 MiB of which a few are kept (space.h), so commands
 * that copy a little from here and a little from there take a chunk each.  The finished commands are gone through
 * with the same cache and the same counting, without unpacking anything. */
#ifndef VALISE_DELTA_EFFORT_H
#define VALISE_DELTA_EFFORT_H

#include "delta/cut.h"

/* Bounds the steps to `most`: short copies that would have a chunk unpacked are made inserts, as many as it takes.
 * *ret_enough: whether that was enough; when not, the delta is better made without streams. */
bool effort_bound(struct cutter *k, uint64_t most, bool *ret_enough, struct err *e) MUST_USE;

#endif
