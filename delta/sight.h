/* delta/sight.h - what a delta is made from: both images, and the streams seen through.
 *
 * Both images are mapped, and the plain bytes of streams lie in the scratch file, mapped too, so
 * memory is the kernel's to reclaim; sight_drop gives back pages that were used. */
#ifndef VALISE_DELTA_SIGHT_H
#define VALISE_DELTA_SIGHT_H

#include "delta/code.h"

/* Bytes that Linux maps when one of them is read: fault_around_bytes. */
enum { SIGHT_WINDOW = 64 << 10 };

/* A piece of the new image.  Its `run` is one of the sight's. */
struct sight_piece {
	struct piece piece;
	uint64_t start;    /* of a stream: where its plain bytes are in scratch_new */
	uint64_t guess;    /* where in the old space it may come from */
	struct buf recipe; /* of a stream */
	size_t stream;     /* of a kept one: the piece that is its stream */
	bool is_again; /* of a kept one: too much would be kept, so the stream is coded again */
};

struct sight {
	uint64_t old_size, new_size;
	const uint8_t *old; /* the whole old space, mapped: space.end bytes */
	const uint8_t *new; /* the new image, mapped */
	struct space space; /* with a map */
	uint64_t mapped_old;
	struct sight_piece *pieces; /* the new image's */
	size_t n_pieces, cap_pieces;
	struct run *runs; /* of all streams in parts; where they come out says which piece */
	size_t n_runs, cap_runs;
	uint8_t *scratch;     /* mapped; plain bytes of the old streams, then of the new ones */
	uint8_t *scratch_new; /* where those begin */
	uint64_t scratch_bytes; /* of streams; the spool's come behind them */
	int scratch_fd;
	bool scratch_ours;
};

/* What progress is told of: all there is to do. */
static inline uint64_t sight_work(uint64_t old_size, uint64_t new_size)
{
	return old_size + 3 * new_size / 2;
}

/* with_streams: whether any are looked for. */
bool sight_init(struct sight *s, const struct delta_job *job, bool with_streams,
		struct err *e) MUST_USE;
void sight_done(struct sight *s);

/* What the commands of a piece make. */
const uint8_t *sight_new(const struct sight *s, size_t piece);

/* Some streams of the new image. */
struct sight_streams {
	const struct streams *all;
	const bool *open;    /* which of them */
	const uint64_t *at;  /* their plain bytes, in scratch_new */
	struct buf *recipes; /* handed over */
};

/* Makes the pieces, in pieces.c. */
bool sight_pieces(struct sight *s, const struct sight_streams *streams, struct err *e) MUST_USE;

/* A part of a stream, where it lies. */
struct place {
	uint64_t offset;
	uint32_t size, part; /* part: 0 is the first one */
	size_t stream;
};

/* All parts of the streams (of those that are chosen, if `which` is not NULL) in the image's order. */
bool places_of(struct place **ret, size_t *ret_n, const struct streams *all, const bool *which,
	       struct err *e) MUST_USE;

/* These bytes of a mapped file, and others in the same pages, will not be read soon: the kernel may
 * drop them. */
void sight_drop(const void *p, size_t n);
/* The same of both images and all plain bytes. */
void sight_drop_all(const struct sight *s);

#endif
