/* delta/transform.h - streams seen through: what a kind of compression must offer.
 *
 * ADDRESS SPACES.  Matching and coding know two spaces of bytes, an old and a new one:
 *
 *	old   [0, old_size)            the old image as it is: packed streams stay reachable too
 *	      [round4096(old_size), )  the plain bytes of every old stream in the delta's table, one
 *	                               behind the other, in the order of the table
 *	new   a list of pieces in the image's order: raw runs of the image, and streams, of which
 *	      the plain bytes are coded and the packed ones are not
 *
 * An old stream is unpacked when a command reads from it and kept in a small cache.  A new stream's
 * plain bytes are decoded as a whole, then packed again with its recipe, and what comes out takes
 * its place in the image.  That is why a stream has at most LIMIT_DELTA_STREAM plain bytes: larger
 * ones stay raw.  Streams are opened on the new side only when their packed bytes are not
 * in the old image anyway, and on the old side only when some new one is opened.
 *
 * A transform is one row of `transforms`; its position never changes, as it is in the format.
 * All functions take hostile input: lying, cut, nested and endless streams are no errors when a
 * delta is made (there is just no stream), and E_CORRUPT when one is applied.  They are
 * thread-safe, keep no state between calls and use at most 2 MiB of memory besides their results;
 * find needs LIMIT_DELTA_STREAM more. */
#ifndef VALISE_DELTA_TRANSFORM_H
#define VALISE_DELTA_TRANSFORM_H

#include "base/buf.h"
#include "base/limits.h"

struct stream {
	uint64_t offset; /* of the first packed byte in the image */
	uint32_t size; /* packed bytes, at least 1; whole bytes, so padding bits are part of it */
	uint32_t plain_size; /* 1 to LIMIT_DELTA_STREAM */
	uint8_t transform;   /* index in `transforms` */
};

struct streams {
	struct stream *v; /* heap */
	size_t n, cap;
};

void streams_done(struct streams *s);
bool streams_add(struct streams *s, const struct stream *add, struct err *e) MUST_USE;

/* Reads packed bytes: exactly n at offset from the stream's start, always inside the stream. */
struct packed {
	bool (*read)(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e);
	void *ctx;
	uint64_t size;
};

/* Takes packed bytes as they are made, in any portions. */
struct packer {
	bool (*put)(void *ctx, const uint8_t *p, size_t n, struct err *e);
	void *ctx;
};

struct transform {
	const char *name;

	/* MAKING: appends, in rising order and without overlap, the streams that are recognised
	 * in [from, to) of the image, by their header or their first byte (they may begin and end
	 * behind `to`, and overlap with those of other parts).  Called once per part of the image,
	 * from several threads.  Each was unpacked once to its end, so `unpack` works on it.  Time
	 * is linear in to - from plus what was unpacked. */
	bool (*find)(struct streams *ret, const uint8_t *image, uint64_t image_size,
		     uint64_t from, uint64_t to, struct err *e);

	/* MAKING: how plain becomes exactly these packed bytes, proved by doing it.  *ret_ok is
	 * false where there is no recipe worth it: then the stream stays raw.  A recipe is at
	 * most LIMIT_DELTA_RECIPE bytes; it is coded with order-2 contexts, so its
	 * most common form should be short and always the same bytes. */
	bool (*explain)(struct buf *recipe, bool *ret_ok, const uint8_t *packed,
			size_t packed_n, const uint8_t *plain, size_t plain_n, struct err *e);

	/* BOTH: exactly plain_n bytes out of the stream, which must end exactly at its size. */
	bool (*unpack)(uint8_t *plain, size_t plain_n, const struct packed *from,
		       struct err *e);

	/* APPLYING: plain and recipe to the packed bytes.  The caller counts what comes and refuses
	 * more than the size that the delta names. */
	bool (*pack)(const struct packer *to, const uint8_t *recipe, size_t recipe_n,
		     const uint8_t *plain, size_t plain_n, struct err *e);
};

/* Positions in `transforms`; they are part of the format. */
enum { TRANSFORM_NONE, TRANSFORM_DEFLATE };

extern const struct transform *const transforms[]; /* delta/transform.c */
extern const size_t n_transforms;

#endif
