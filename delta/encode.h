/* delta/encode.h - codes one frame: what apply.c decodes, in the same order.
 *
 * Frames are independent of each other, so any number of threads may code one each.  A frame takes the models
 * (15 MiB), its commands (at most 2 MiB) and its coded bytes. */
#ifndef VALISE_DELTA_ENCODE_H
#define VALISE_DELTA_ENCODE_H

#include "delta/cut.h"

struct encoding {
	struct sight *sight;
	const struct cutter *cut; /* finished */
	bool bulk;                /* so much to insert that mixing would take too long */
	uint64_t touched;         /* internal: mapped bytes; atomic */
};

/* The coded bytes of a frame are added to *out, their cost by kind (coder.h) to cost.  The frame's runs are used
 * up. */
bool encode_frame(struct encoding *c, struct frame *f, struct buf *out,
		  uint64_t cost[static DELTA_KINDS], struct err *e) MUST_USE;

#endif
