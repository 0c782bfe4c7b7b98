/* delta/space.h - the old address space: the old image, and behind it its unpacked streams.
 *
 *	[0, size)                 the image
 *	[size, base)              zeros; base is size rounded up to 4096
 *	[base, end)               plain bytes of the streams in the table, in its order
 *
 * One interface, two stores: when making a delta all of it is in memory; when applying, the image
 * is read by pread and streams are unpacked when they are read, in chunks of SPACE_CHUNK bytes, the
 * last few of them kept (at most LIMIT_DELTA_CACHE bytes).  In streams of several chunks, unpacking
 * goes on from where it was last, or from the nearest of SPACE_POINTS places that it has passed: these
 * are spread over all such streams, so at most a 64th of them all, or 1 MiB, is unpacked in vain.
 *
 * Who wants to waste the reader's time reads old streams again and again from places that are kept no
 * longer.  So unpacking counts its steps, each of 0.1 to 13 ns: one for a plain byte, 8 for a packed one
 * (a description of a code is ten of these and makes tables), 128 for each read of the image, 1024
 * to begin.  Beyond steps_left it is refused.
 *
 * Not for several threads when applying. */
#ifndef VALISE_DELTA_SPACE_H
#define VALISE_DELTA_SPACE_H

#include "delta/transform.h"

enum { SPACE_CACHED = 64, SPACE_CHUNK = 1 << 20, SPACE_POINTS = 64 };

enum { SPACE_STEPS_PACKED = 8, SPACE_STEPS_READ = 128, SPACE_STEPS_BEGIN = 1024 };

/* What a delta may take that makes an image of new_size bytes.  An upgrade to the next Debian takes 27
 * steps to a byte. */
static inline uint64_t space_steps(uint64_t new_size)
{
	return LIMIT_DELTA_UNPACK + LIMIT_DELTA_UNPACK_BYTE * new_size;
}

struct space_cached {
	uint8_t *plain; /* heap, a window before the chunk if it has one; NULL: free */
	uint32_t size, stream, chunk;
	uint64_t used; /* when; for eviction */
};

/* Where unpacking can go on: before a chunk, with the window before it. */
struct space_point {
	void *state; /* the transform's, heap; NULL: none yet */
	uint32_t stream, chunk;
	uint8_t window[TRANSFORM_WINDOW];
};

struct space {
	uint64_t size, base, end;
	const uint8_t *map; /* all of it, or NULL */
	int fd;             /* of the image, when there is no map */
	struct streams streams;
	uint64_t *starts; /* of each stream's plain bytes; streams.n of them, heap */
	struct space_cached cache[SPACE_CACHED];
	uint64_t clock, cached_bytes, lent;
	struct space_point *points[SPACE_POINTS + 1]; /* heap; [0] is where it was last */
	uint32_t point_step;                          /* chunks between those that are kept */
	uint64_t steps_left;                          /* space_steps() at first */
	bool is_estimate;                             /* nothing is unpacked: space_visit */
};

static inline uint64_t space_base_of(uint64_t size)
{
	return (size + 4095) & ~UINT64_C(4095);
}

/* Takes over the table in *streams.  The streams must be known to lie within the image. */
bool space_init(struct space *s, int fd, uint64_t size, struct streams *streams,
		struct err *e) MUST_USE;
void space_done(struct space *s);

/* The cache does without this much memory from now on, as its owner needs it; one chunk is kept in any case. */
void space_lend(struct space *s, uint64_t bytes);

/* n bytes at `at`; what lies outside the space reads as zeros (models look a little around). */
bool space_read(struct space *s, uint64_t at, uint8_t *p, size_t n, struct err *e) MUST_USE;

/* Making: takes from steps_left what space_read of these bytes would, without reading any, in a space
 * with is_estimate set.  Packed bytes are reckoned as lying twice as dense as they do on average. */
bool space_visit(struct space *s, uint64_t at, uint64_t n, struct err *e) MUST_USE;

#endif
