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
 * PARTS.  A stream's packed bytes may lie in several places: where a file's end stands between inodes,
 * where a container cuts its data.  An old stream lists its places, in any order, and they are read one
 * behind the other (struct extent).  A new stream is cut into runs: one takes the stream's place in
 * the image, and the others are kept until pieces behind it take them (code.h), so output stays in order
 * and no piece says a place, only how many bytes it has.
 *
 * An old stream is unpacked when a command reads from it, in chunks of which some are kept
 * (space.h).  A new stream's plain bytes are packed again with its recipe while they are decoded, and
 * what comes out takes its place in the image, so neither is ever held as a whole.  Only a cut in
 * the middle of a stream makes all of it be decoded again, which is why it has at most
 * LIMIT_DELTA_STREAM plain bytes: larger ones stay raw.  Streams are opened on the new side only
 * when their packed bytes are not in the old image anyway, and on the old side only when some new
 * one is opened.
 *
 * A transform is one row of `transforms`; its position never changes, as it is in the format.
 * All functions take hostile input: lying, cut, nested and endless streams are no errors when a
 * delta is made (there is just no stream), and E_CORRUPT when one is applied.  They are
 * thread-safe, keep no state between calls but what is named and use at most 2 MiB of memory besides
 * their results. */
#ifndef VALISE_DELTA_TRANSFORM_H
#define VALISE_DELTA_TRANSFORM_H

#include "base/buf.h"
#include "base/limits.h"
#include "delta/known.h"
#include "delta/layout.h"

struct stream {
	uint64_t offset; /* of the first packed byte in the image */
	uint32_t size; /* packed bytes, at least 1; whole bytes, so padding bits are part of it */
	uint32_t plain_size; /* 1 to LIMIT_DELTA_STREAM */
	uint8_t transform;   /* index in `transforms` */
	bool is_faint; /* making: of use only beside one that differs from it, like a picture */
	uint32_t more, n_more; /* further parts: that many of streams.more, from this one on */
};

/* A further part of a stream: where the packed bytes go on. */
struct extent {
	uint64_t offset; /* in the image */
	uint32_t at;     /* packed bytes before it; rising, above 0 and below the size */
};

struct streams {
	struct stream *v; /* heap */
	size_t n, cap;
	struct extent *more; /* heap */
	size_t n_more, cap_more;
};

void streams_done(struct streams *s);
/* A stream; its add->n_more further parts are those given to streams_more just before. */
bool streams_add(struct streams *s, const struct stream *add, struct err *e) MUST_USE;
bool streams_more(struct streams *s, const struct extent *add, struct err *e) MUST_USE;
/* A stream of another list. */
bool streams_copy(struct streams *s, const struct streams *from, size_t index,
		  struct err *e) MUST_USE;

/* Where byte `at` of a stream lies in the image, and how many of it follow each other there. */
uint32_t stream_place(const struct streams *s, const struct stream *v, uint32_t at,
		      uint64_t *ret_offset);

/* Reads n bytes at an offset of an image. */
typedef bool image_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e);

/* n packed bytes from `at` on, wherever they lie; at + n is at most the stream's size. */
bool stream_gather(const struct streams *s, const struct stream *v, uint64_t at, uint8_t *p,
		   size_t n, image_read *read, void *ctx, struct err *e) MUST_USE;

/* Reads packed bytes: exactly n at offset from the stream's start, always inside the stream. */
struct packed {
	bool (*read)(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e);
	void *ctx;
	uint64_t size;
};

enum {
	TRANSFORM_WINDOW = 32768, /* plain bytes that unpacking looks back at most */
	PLAIN_ROOM = 1024,        /* the least that a reader of plain bytes has room for */
};

/* Gives plain bytes from the first to the last: some of the next, at most room of them, which is at
 * least PLAIN_ROOM.  Never asked for more than there are. */
struct plain {
	bool (*read)(void *ctx, uint8_t *p, size_t room, size_t *ret_n, struct err *e);
	void *ctx;
	uint32_t size;
};

/* Takes packed bytes as they are made, in any portions. */
struct packer {
	bool (*put)(void *ctx, const uint8_t *p, size_t n, struct err *e);
	void *ctx;
	/* Steps of work that may be taken; those that were are deducted.  NULL: what a stream may. */
	uint64_t *work;
};

/* An image in memory. */
struct image {
	const uint8_t *p;
	uint64_t size;
	const struct layout *layout; /* of its files; NULL: nothing is known of them */
	const struct known *other;   /* blocks of the other image; NULL: it has none of these */
};

struct transform {
	const char *name;

	/* MAKING: appends, in rising order and without overlap, the streams that are recognised
	 * in [from, to) of the image, by their header or their first byte (they may begin and end
	 * behind `to`, and overlap with those of other parts).  What cannot be told quickly need not be
	 * looked for where the other image has the same blocks.  Called once per part of the
	 * image, from several threads.  Each was unpacked once to its end, so it can be again.  Time is
	 * linear in to - from, whatever there is to unpack. */
	bool (*find)(struct streams *ret, const struct image *in, uint64_t from, uint64_t to,
		     struct err *e);

	/* MAKING: how plain becomes exactly these packed bytes, proved by doing it, and how many steps
	 * of work that was.  *ret_ok is false where there is no recipe worth it: then the stream
	 * stays raw.  A recipe is at
	 * most LIMIT_DELTA_RECIPE bytes; it is coded with order-2 contexts, so its
	 * most common form should be short and always the same bytes. */
	bool (*explain)(struct buf *recipe, bool *ret_ok, uint64_t *ret_work,
			const uint8_t *packed, size_t packed_n, const uint8_t *plain,
			size_t plain_n, struct err *e);

	/* BOTH: unpacking, in a state of state_bytes without anything to free.  next makes
	 * exactly n more bytes; up to TRANSFORM_WINDOW bytes that it made before lie right
	 * before `to`.  When is_last, the stream must end there and exactly at its size.  copy
	 * makes a second state that goes on alike, from the same packed bytes. */
	size_t state_bytes;
	void (*start)(void *state, const struct packed *from);
	bool (*next)(void *state, uint8_t *to, size_t n, bool is_last, struct err *e);
	void (*copy)(void *to, const void *state, const struct packed *from);

	/* APPLYING: plain and recipe to the packed bytes.  The caller counts what comes and refuses
	 * more than the size that the delta names. */
	bool (*pack)(const struct packer *to, const uint8_t *recipe, size_t recipe_n,
		     const struct plain *from, struct err *e);
};

/* All of a stream's plain bytes: exactly plain_n. */
bool stream_unpack(const struct transform *t, uint8_t *plain, size_t plain_n,
		   const struct packed *from, struct err *e) MUST_USE;

/* A plain that is in memory: fill it in with plain_of(&m, p, n). */
struct plain_memory {
	const uint8_t *p, *at;
	struct plain plain;
};

const struct plain *plain_of(struct plain_memory *m, const uint8_t *p, uint32_t n);

/* Positions in `transforms`; they are part of the format. */
enum { TRANSFORM_NONE, TRANSFORM_DEFLATE };

extern const struct transform *const transforms[]; /* delta/transform.c */
extern const size_t n_transforms;

#endif
