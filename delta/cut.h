/* delta/cut.h - from the commands of the sight's pieces to frames.
 *
 * Pieces come in the image's order.  A raw one is cut between any two commands where a frame is full, a stream
 * never.  Commands of frames that are finished lie in the spool, so what is kept in memory is those of one frame
 * (LIMIT_DELTA_OPS), and of each stream where its commands are. */
#ifndef VALISE_DELTA_CUT_H
#define VALISE_DELTA_CUT_H

#include "delta/sight.h"
#include "delta/match.h"
#include "delta/spool.h"

enum {
	CUT_OPS_MAX = LIMIT_DELTA_OPS - 4096
}; /* commands of a frame, so at most as many of a stream */

struct frame {
	size_t first_piece, n_pieces; /* in the cutter's */
	uint64_t first, bytes;        /* of the new image */
	uint64_t ops_at;              /* in the spool */
	uint32_t n_ops;
	struct runs
		runs; /* of its streams in parts: with all that coding it takes, none coded yet */
};

struct cutter {
	const struct sight *sight; /* borrowed, as the spool */
	struct spool *spool;
	struct frame *frames; /* heap */
	size_t n_frames, cap_frames;
	struct piece *pieces; /* heap; with their commands, counted from the frame's first one */
	size_t *sources;      /* heap; which of the sight's pieces each is, or is a part of */
	size_t n_pieces, cap_pieces;
	uint64_t copied_bytes, zero_bytes, inserted_bytes;
	bool bulk; /* the caller's, behind cutter_init: long inserts take little time */
	/* internal */
	struct ops open; /* of the last frame */
	uint64_t cost;   /* of the last frame's commands */
	struct coded *coded;
};

bool cutter_init(struct cutter *k, const struct sight *s, struct spool *spool,
		 struct err *e) MUST_USE;
void cutter_done(struct cutter *k);

/* The next commands of a piece: of a raw one in any number of portions, of a stream all at once, at most
 * CUT_OPS_MAX; of a kept one none. */
bool cutter_add(struct cutter *k, size_t piece, const struct op *v, size_t n,
		struct err *e) MUST_USE;
/* When all pieces were added. */
bool cutter_end(struct cutter *k, struct err *e) MUST_USE;

/* A finished frame's commands: frame->n_ops, heap, the caller's. */
bool frame_ops(struct op **ret, const struct frame *f, const struct spool *spool,
	       struct err *e) MUST_USE;

/* All finished frames' commands, frame after frame; who changes v puts it back into the spool. */
bool cutter_for_ops(const struct cutter *k,
		    bool (*see)(void *ctx, const struct frame *f, struct op *v, struct err *e),
		    void *ctx, struct err *e) MUST_USE;

#endif
