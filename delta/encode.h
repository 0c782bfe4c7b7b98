/* delta/encode.h - codes one frame: what apply.c decodes, in the same order.
 *
 * Frames are independent of each other, so any number of threads may code one each.  A frame takes the models
 * (at most 23 MiB), its commands (at most 2 MiB, twice), what they cost (at most 25 MiB) and its coded bytes, twice;
 * with inserts in bulk also these once more, packed, and 80 MiB for LZMA. */
#ifndef VALISE_DELTA_ENCODE_H
#define VALISE_DELTA_ENCODE_H

#include "delta/cut.h"

struct encoding {
	struct sight *sight;
	const struct cutter *cut; /* finished */
	bool bulk; /* so much to insert that mixing would take too long: as the cutter's */
	uint64_t touched; /* internal: mapped bytes; atomic */
	uint64_t given_up; /* bytes that are inserted, though the cutter's commands copy them; atomic */
};

/* The coded bytes of a frame become *out, their cost by kind (coder.h) is added to cost.  Where copies cost more
 * than inserting what they make, the frame is coded a second time without them (weigh.h), and its commands and
 * those of its pieces are fewer, if that is smaller.  The frame's runs are used up. */
bool encode_frame(struct encoding *c, struct frame *f, struct buf *out,
		  uint64_t cost[static DELTA_KINDS], struct err *e) MUST_USE;

#endif
