/* tests/support/erofs.h - small erofs images, laid out as a test wants them.
 *
 *	struct erofs_maker m;
 *	erofs_begin(&m);
 *	erofs_add(&m, data, n, EROFS_END_FIRST);  // a file
 *	erofs_fill(&m, noise, n);                 // blocks that belong to no file
 *	struct buf image = erofs_end(&m);         // heap
 *
 * Every file is named by its number.  The root is a folder of one block per 100 files. */
#ifndef VALISE_TESTS_EROFS_H
#define VALISE_TESTS_EROFS_H

#include "base/buf.h"

enum erofs_order {
	EROFS_END_BEHIND, /* blocks, then inode and end: as mostly */
	EROFS_END_FIRST,  /* inode and end right before the blocks */
	EROFS_END_FAR,  /* inode and end behind the image's head, blocks where they are added */
	EROFS_END_LAST, /* inode and end behind all others */
	EROFS_END_NOWHERE, /* in a block of its own: nothing is cut */
	EROFS_ORDERS,
};

enum { EROFS_BLOCK = 4096, EROFS_FILES_MAX = 400, EROFS_FAR = 64 * EROFS_BLOCK };

struct erofs_maker {
	struct buf image;
	size_t far; /* where the next far end may go */
	uint64_t nids[EROFS_FILES_MAX];
	unsigned n;
	struct {
		uint64_t blocks;
		uint8_t end[EROFS_BLOCK];
		size_t size;
		unsigned file;
	} late[EROFS_FILES_MAX]; /* those that come last */
	unsigned n_late;
};

void erofs_begin(struct erofs_maker *m);
void erofs_add(struct erofs_maker *m, const void *p, size_t n, enum erofs_order order);
void erofs_fill(struct erofs_maker *m, const void *p, size_t n);
struct buf erofs_end(struct erofs_maker *m);

#endif
