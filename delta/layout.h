/* delta/layout.h - where a file's bytes go on when they do not go on where they are.
 *
 * File systems put the end of a file where there is room for it, and a compressed file is then in two parts
 * that nobody can unpack without knowing of both.  Known is erofs (walk.h): mkfs.erofs puts what does not
 * fill a block between the inodes, before or behind the file's blocks, mostly near, sometimes far away.  Only who makes a delta asks; what is found goes into it as places of
 * bytes, so whoever applies one knows no file system.
 *
 * Any bytes are taken: an image that lies gives a layout that is of no use, never an error.  Every place
 * lies inside the image; time is linear in its size. */
#ifndef VALISE_DELTA_LAYOUT_H
#define VALISE_DELTA_LAYOUT_H

#include "delta/walk.h"

/* A file: its bytes in [from, end) of the image go on at `to`, for `size` more until it ends. */
struct layout_cut {
	uint64_t from, end, to;
	uint32_t size;
};

struct layout {
	/* Heap; once sorted: rising by from, [from, end) without overlaps. */
	struct layout_cut *v;
	size_t n, cap;
	uint32_t entries; /* that may still be read */
};

/* Of an image of that size; nothing is read yet. */
static inline struct layout layout_start(uint64_t size)
{
	return (struct layout){ .entries = walk_entries(size) };
}

/* Adds the files of all file systems that begin in [from, to) of an image, at a multiple of 4096. */
bool layout_read(struct layout *l, const uint8_t *image, uint64_t size, uint64_t from,
		 uint64_t to, struct err *e) MUST_USE;
void layout_sort(struct layout *l); /* once all are there */
void layout_done(struct layout *l);

/* The file that has byte `at` in its first part, or NULL. */
const struct layout_cut *layout_at(const struct layout *l, uint64_t at);

#endif
