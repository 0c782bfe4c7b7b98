/* delta/atlas.h - what each byte of an image belongs to: which file, or which of its file systems' own tables.
 *
 *	CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
 *	if (!atlas_read(&a, image, size, e)) ...
 *	struct atlas_spot spot = atlas_at(&a, offset);
 *
 * Read from the metadata of all file systems in the image (walk.h), which begin at multiples of 4096.  An image without
 * any is one file without a name.  Where two claim the same bytes, who claims what begins before has
 * them, then who was told of first: of hard links, one name.  The image is borrowed.
 *
 * An image that lies gets a wrong atlas, never an error; memory and time are bounded by its size and WALK_ENTRIES. */
#ifndef VALISE_DELTA_ATLAS_H
#define VALISE_DELTA_ATLAS_H

#include "base/buf.h"
#include "delta/walk.h"

enum { ATLAS_NO_FILE = UINT32_MAX, ATLAS_PATH_MAX = 4096, ATLAS_PARTS_MAX = 4096 };

struct atlas_range {
	uint64_t from, end; /* in the image */
	uint64_t in_file;
	uint32_t file; /* ATLAS_NO_FILE: metadata of this kind */
	enum walk_kind kind;
};

struct atlas_name {
	const uint8_t *p; /* in the image */
	uint32_t folder;  /* position in `folders`, or WALK_NO_FOLDER */
	uint16_t n;
};

struct atlas {
	const uint8_t *image;
	uint64_t size;
	/* All heap. */
	struct atlas_name *folders;
	struct atlas_file {
		struct atlas_name name;
		uint32_t first, n; /* among these ranges are its own, rising by in_file */
	} * files;
	struct atlas_range *ranges;
	struct atlas_place {
		uint64_t from, end;
		uint32_t range;
	} * places; /* the ranges by where they are, without overlaps */
	size_t n_folders, n_files, n_ranges, n_places, cap_folders, cap_files, cap_ranges;
};

#define ATLAS_INIT ((struct atlas){ .image = NULL })

bool atlas_read(struct atlas *a, const uint8_t *image, uint64_t size, struct err *e) MUST_USE;
void atlas_done(struct atlas *a);

/* What byte `at` belongs to, and up to where this holds. */
struct atlas_spot {
	const struct atlas_range *range; /* NULL: nobody's */
	uint64_t end;
};
struct atlas_spot atlas_at(const struct atlas *a, uint64_t at);

/* Copies n bytes of a file; false where it has none, or not that many, or they lie behind its first
 * ATLAS_PARTS_MAX parts. */
bool atlas_copy(const struct atlas *a, uint32_t file, uint64_t in_file, uint8_t *p, size_t n);

/* Appends "/usr/bin/ls", as the image has it: any bytes but NUL.  What is longer than ATLAS_PATH_MAX, as in folders
 * that lead to themselves, begins with "...". */
bool atlas_path(const struct atlas *a, uint32_t file, struct buf *ret, struct err *e) MUST_USE;

#endif
