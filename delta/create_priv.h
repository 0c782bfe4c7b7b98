/* delta/create_priv.h - what a delta is made from: both images, and the streams seen through.
 *
 * Both images are mapped, and the plain bytes of streams lie in the scratch file, mapped too, so
 * memory is the kernel's to reclaim; sight_drop gives back pages that were used. */
#ifndef VALISE_DELTA_CREATE_PRIV_H
#define VALISE_DELTA_CREATE_PRIV_H

#include "delta/code.h"

struct sight {
	uint64_t old_size, new_size;
	const uint8_t *old; /* the whole old space, mapped: space.end bytes */
	const uint8_t *new; /* the new image, mapped */
	struct space space; /* with a map */
	uint64_t mapped_old;
	/* the new image in pieces; streams' plain bytes and recipes by piece */
	struct piece *pieces;
	size_t n_pieces, cap_pieces;
	uint64_t *starts;  /* where a stream's plain bytes are in scratch_new */
	uint64_t *guesses; /* where in the old space a stream may come from */
	struct buf *recipes;
	uint8_t *scratch;     /* mapped; plain bytes of the old streams, then of the new ones */
	uint8_t *scratch_new; /* where those begin */
	uint64_t scratch_bytes;
	int scratch_fd;
	bool scratch_ours;
};

/* What progress is told of: all there is to do. */
static inline uint64_t sight_work(uint64_t old_size, uint64_t new_size)
{
	return old_size + 3 * new_size / 2;
}

bool sight_init(struct sight *s, const struct delta_job *job, struct err *e) MUST_USE;
void sight_done(struct sight *s);

const uint8_t *sight_new(const struct sight *s, size_t piece);
/* The bytes and the recipe of a piece or a part of one, by its place in the image. */
const uint8_t *sight_bytes(const struct sight *s, const struct piece *p);
struct buf *sight_recipe(const struct sight *s, const struct piece *p);

/* Removes old streams that no command copies from, and moves the commands accordingly. */
bool sight_prune(struct sight *s, struct op *ops, size_t n_ops, struct err *e) MUST_USE;

/* These bytes of a mapped file, and others in the same pages, will not be read soon: the kernel may
 * drop them. */
void sight_drop(const void *p, size_t n);

#endif
