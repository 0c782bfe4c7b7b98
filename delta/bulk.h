/* delta/bulk.h - a frame's inserts in bulk, packed before the frame is coded (code.h, BULK).
 *
 * Of a frame's raw pieces, all inserts of CODE_BULK_MIN bytes and more.  Takes LZMA's 80 MiB while it runs, and leaves
 * the stream with the models. */
#ifndef VALISE_DELTA_BULK_H
#define VALISE_DELTA_BULK_H

#include "delta/code.h"

struct bulk_frame {
	const struct piece *pieces;
	size_t n_pieces;
	const struct op *ops;                   /* of the pieces, by first_op */
	const uint8_t *image;                   /* the new one */
	void (*touched)(void *ctx, uint64_t n); /* so many bytes of it were read */
	void *ctx;
};

bool bulk_pack(struct models *m, const struct bulk_frame *f, struct err *e) MUST_USE;

#endif
