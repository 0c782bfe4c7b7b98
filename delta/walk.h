/* delta/walk.h - what lies where in the file systems of an image, and what it is called.
 *
 *	struct walk w = { .name = take_name, .part = take_part, .ctx = me,
 *			  .entries = walk_entries(size) };
 *	bool ok = walk_erofs(&w, image, size, at, e) && walk_ext4(&w, image, size, at, e);
 *	walk_done(&w);
 *
 * Known are erofs (the kernel's fs/erofs/erofs_fs.h) with plain files, and ext4 (fs/ext4/ext4.h) with extents.  Of
 * files that are compressed, in chunks, or in blocks listed one by one only names and metadata are told.
 *
 * Nothing is mounted and nothing believed: any bytes are taken, and an image that lies gives parts that
 * are of no use, never an error.  Every part lies inside the image and is not empty; parts may
 * overlap each other.  Time is linear in the image's size and in WALK_ENTRIES. */
#ifndef VALISE_DELTA_WALK_H
#define VALISE_DELTA_WALK_H

#include "base/err.h"

enum {
	WALK_ENTRIES = 1 << 22, /* names, blocks of folders, extents */
	WALK_NO_FOLDER = UINT32_MAX,
};

enum walk_kind {
	WALK_SUPER,   /* superblocks, descriptors of groups, journals */
	WALK_BITMAPS, /* what is free */
	WALK_INODES,  /* with attributes, and where files lie */
	WALK_NAMES,   /* in folders, and of what symbolic links point at */
	WALK_FILE,    /* bytes of the file that was named last */
};

struct walk_name {
	const uint8_t *p; /* in the image; empty for the root of a file system */
	size_t n;
	uint32_t folder; /* that has it: folders are numbered from 0 as they are told; WALK_NO_FOLDER for a root */
	bool is_folder;
};

struct walk_part {
	enum walk_kind kind;
	uint64_t at, n;   /* in the image */
	uint64_t in_file; /* where in its file */
};

struct walk {
	/* A file or folder; a file's parts follow, in rising order of in_file. */
	bool (*name)(void *ctx, const struct walk_name *name, struct err *e);
	bool (*part)(void *ctx, const struct walk_part *part, struct err *e);
	void *ctx;
	uint32_t entries; /* that may still be read */
	/* internal */
	uint32_t folders; /* that were told */
	struct walk_folder {
		uint64_t inode;
		uint32_t number;
	} * v; /* that are to be read; heap */
	size_t n, cap;
};

/* As many as an image of this size may have: none takes less than 8 bytes of it. */
static inline uint32_t walk_entries(uint64_t size)
{
	return size / 8 < WALK_ENTRIES ? (uint32_t)(size / 8) : WALK_ENTRIES;
}

void walk_done(struct walk *w);

/* Tells of the file system that begins at `at`, if one of this kind does.  False only when there is no
 * memory, or when `name` or `part` say so. */
bool walk_erofs(struct walk *w, const uint8_t *image, uint64_t size, uint64_t at,
		struct err *e) MUST_USE;
bool walk_ext4(struct walk *w, const uint8_t *image, uint64_t size, uint64_t at,
	       struct err *e) MUST_USE;

/* For those two. */

/* A folder that was told of and shall be read; the next one of these, false when there is none
 * or enough was read. */
bool walk_later(struct walk *w, const struct walk_name *name, uint64_t inode,
		struct err *e) MUST_USE;
bool walk_next(struct walk *w, struct walk_folder *ret);
/* "." and "..", with zeros behind them in erofs. */
bool walk_is_dots(const uint8_t *name, size_t n);

#endif
