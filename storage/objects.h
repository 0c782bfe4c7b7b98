/* storage/objects.h - immutable byte strings by their SHA-256: images, hash trees, manifests.
 *
 * An object is visible whole and verified or not at all: bytes are hashed while they are
 * written to a temporary file, which is made durable and only then gets its name
 * (objects/ab/cdef..., mode 0444); a row in the database follows.  Power may fail anywhere: a
 * file without a row is garbage and collected; a row is without its file only when that was found
 * damaged (objects_drop_damaged), and such an object counts as missing.
 *
 * An object is kept while a release, a policy bundle, a delta or an upload needs it, and in any case
 * OBJECTS_GUARD_S after it was stored or last asked for by objects_missing: what a publisher was
 * told is there stays until the publish arrives. */
#ifndef VALISE_STORAGE_OBJECTS_H
#define VALISE_STORAGE_OBJECTS_H

#include "storage/store.h"

#define OBJECTS_GUARD_S 86400 /* unreferenced objects live at least this long */
#define OBJECTS_WITHDRAWN_S \
	(30 * 86400) /* a withdrawn release no device wants keeps its objects this long */

/* Writes one object of known hash and size.
 *	objects_begin: E_NO_SPACE when it would not fit above the reserve.  An object that is there
 *		already is written again and compared: cheap to reason about, rare.
 *	objects_commit: E_CORRUPT when hash or size differ; the writer is freed in any case. */
struct object_writer;
bool objects_begin(struct object_writer **ret, struct store *s,
		   const uint8_t sha256[static SHA256_SIZE], uint64_t size,
		   struct err *e) MUST_USE;
bool objects_write(struct object_writer *w, const void *p, size_t n, struct err *e) MUST_USE;
bool objects_commit(struct object_writer **w, struct err *e) MUST_USE;
void objects_abort(struct object_writer *w);
DEFINE_CLEANUP(struct object_writer, objects_abort);

/* Bytes at hand, in one step; ret_sha256 may be NULL.  The same bytes again are fine. */
bool objects_put(struct store *s, const void *p, size_t n, uint8_t *ret_sha256,
		 struct err *e) MUST_USE;

/* A descriptor to read from (offset 0, seekable, sendfile works) and the size; the caller closes
 * it.  Reads no database.  Garbage collection does not disturb an open descriptor.  E_NOT_FOUND. */
bool objects_open(struct store *s, const uint8_t sha256[static SHA256_SIZE], int *ret_fd,
		  uint64_t *ret_size, struct err *e) MUST_USE;

/* Reads an object again after something found its bytes wanting.  When they no longer are what
 * its name says (a bad disk, a hand in the folder) the file goes and *ret_dropped is set: a
 * damaged object is worse than a missing one, which the next publish uploads anew.  Its row
 * stays, and with it whatever needs it.  Nothing happens to an object that is whole or gone. */
bool objects_drop_damaged(struct store *s, const uint8_t sha256[static SHA256_SIZE],
			  bool *ret_dropped, struct err *e) MUST_USE;

/* An empty file without a name, for work on objects: gone with its last descriptor, a crash
 * included.  E_NO_SPACE when so many bytes would not fit above the reserve. */
bool objects_scratch(struct store *s, uint64_t bytes, int *ret_fd, struct err *e) MUST_USE;

/* For n hashes at once, which are not stored; guards those that are (see above).  n is at most
 * STORE_PAGE_MAX (E_TOO_BIG). */
bool objects_missing(struct store *s, const uint8_t (*sha256)[SHA256_SIZE], size_t n,
		     bool *ret_missing, struct err *e) MUST_USE;

struct object {
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
	int64_t stored_at, kept_until;
};
struct object_page {
	struct object *items;
	size_t n;
	bool more;
};
/* In the order of their hashes; after may be NULL; limit at most STORE_PAGE_MAX. */
bool objects_list(struct store *s, const uint8_t *after, size_t limit, struct object_page *ret,
		  struct err *e) MUST_USE;
void object_page_done(struct object_page *p);

struct object_totals {
	uint64_t count, bytes;
};
bool objects_totals(struct store *s, struct object_totals *ret, struct err *e) MUST_USE;

/* Removes what nothing needs any more, and files that crashes left without a row.  Safe beside
 * everything else, publishing included.  Broken off anywhere, the next call finishes. */
struct objects_gc {
	uint64_t objects, bytes; /* removed */
	uint64_t orphans;        /* files without a row, removed */
};
bool objects_gc(struct store *s, struct objects_gc *ret, struct err *e) MUST_USE;

/* Reads and hashes every object.  E_CORRUPT names the first bad or missing one; ret counts what
 * was looked at. */
bool objects_check(struct store *s, struct object_totals *ret, struct err *e) MUST_USE;

#endif
