/* proto/verity.h - dm-verity hash trees: build, check from the top, verify group by group.
 *
 * Format (Linux Documentation/admin-guide/device-mapper/verity.rst, hash type 1): SHA-256, data
 * and hash blocks of 4096 bytes, a salt of 32 bytes in front of what is hashed.  The hash area has the
 * top level first and the lowest level last, no superblock:
 *
 *	PART         BLOCKS
 *	top level    1
 *	...          each level has one digest (32 bytes) per block of the level below, 128 in a
 *	             block, the rest of the last block zero
 *	lowest level ceil(data blocks / 128)
 *
 * A file's last data block is padded with zeros; a file of 0 bytes counts as one zero block.  With a
 * single data block there is no hash area and the root is that block's digest.
 *
 * A *group* is the 128 data blocks (512 KiB) under one block of the lowest level; its *leaf* is
 * that hash block.  The *upper tree* is the hash area without the lowest level: it is the
 * beginning of the hash area, is empty up to one group, and 64 bytes per MiB of data.
 *
 *	publish:    verity_fd_root() → root, upper tree
 *	handset:    verity_tree_new(size, salt, root, upper)   all of the upper tree is checked here
 *	            verity_group_check() for each group that is complete: data right, leaf made
 *	run time:   verity_leaf_check() once per group read, verity_block_check() per block
 *
 * Failures of a check are E_CORRUPT and name the place.  Everything here is thread-safe for
 * reading: one tree may be used by many threads.  Blocks of zeros are hashed once only. */
#ifndef VALISE_PROTO_VERITY_H
#define VALISE_PROTO_VERITY_H

#include "base/buf.h"
#include "base/sha256.h"

enum {
	VERITY_BLOCK = 4096,
	VERITY_GROUP_BLOCKS = VERITY_BLOCK / SHA256_SIZE,  /* 128 */
	VERITY_GROUP = VERITY_BLOCK * VERITY_GROUP_BLOCKS, /* 512 KiB */
	VERITY_SALT = 32,
	VERITY_MAX_LEVELS = 8,
};

/* Salt and what follows from it alone. */
struct verity_hash {
	uint8_t salt[VERITY_SALT];
	uint8_t zero_digest[SHA256_SIZE]; /* of a block of zeros */
};

/* Where everything is, from the size of the data alone. */
struct verity_geo {
	uint64_t size;        /* of the plain data; at most LIMIT_COMPONENT_SIZE */
	uint64_t padded_size; /* what a slot file holds: whole blocks */
	uint64_t blocks;      /* data blocks, at least 1 */
	uint64_t groups;      /* = blocks of the lowest level, if there is one */
	unsigned levels;      /* 0 for a single data block */
	uint64_t level_start[VERITY_MAX_LEVELS]; /* in the hash area, in blocks; [0] is the lowest */
	uint64_t level_blocks[VERITY_MAX_LEVELS];
	uint64_t area_size;  /* bytes of the whole hash area */
	uint64_t upper_size; /* bytes of the upper tree */
};
bool verity_geo_init(struct verity_geo *ret, uint64_t size,
		     struct err *e) MUST_USE; /* E_TOO_BIG */

/* Plain bytes in a group: VERITY_GROUP, fewer for the last (0 only for the empty file). */
size_t verity_group_size(const struct verity_geo *g, uint64_t group);
/* Where a group's leaf lies in the hash area.  Only if g->levels > 0. */
uint64_t verity_leaf_offset(const struct verity_geo *g, uint64_t group);

/* ---- building ---------------------------------------------------------------------------- */

/* Streaming: bytes of any length in, root out.  Memory: 64 bytes per MiB of data; with
 * keep_leaves 8 KiB per MiB, and then the whole hash area can be had. */
struct verity_build;
bool verity_build_new(struct verity_build **ret, const uint8_t salt[static VERITY_SALT],
		      bool keep_leaves, struct err *e) MUST_USE;
void verity_build_free(struct verity_build *b);
DEFINE_CLEANUP(struct verity_build, verity_build_free);
bool verity_build_add(struct verity_build *b, const void *p, size_t n, struct err *e) MUST_USE;
/* Ends the data.  Once; after it the two below. */
bool verity_build_finish(struct verity_build *b, uint8_t ret_root[static SHA256_SIZE],
			 struct err *e) MUST_USE;
bool verity_build_upper(const struct verity_build *b, struct buf *out, struct err *e) MUST_USE;
bool verity_build_area(const struct verity_build *b, struct buf *out, struct err *e) MUST_USE;

/* How to go through a whole file. */
struct verity_run {
	unsigned threads; /* 0 and 1: none but the caller's */
	/* Called with the bytes done since the last call, from any of the threads, one at a time;
	 * false stops with E_CANCELLED.  NULL for none. */
	bool (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

/* Root and upper tree of fd's bytes 0 to size.  The file may be padded (a slot file): bytes up to the
 * padded size are read and hashed as they are, and count as zeros behind the end of the file.  A file shorter than
 * `size` is E_CORRUPT.  Holes are not read.  upper, area_fd: NULL, -1 if not wanted; area_fd gets the
 * whole hash area by pwrite from offset 0 (not synced).  fd's file offset may change. */
bool verity_fd_root(uint8_t ret_root[static SHA256_SIZE], struct buf *upper, int area_fd,
		    int fd, uint64_t size, const uint8_t salt[static VERITY_SALT],
		    const struct verity_run *run, struct err *e) MUST_USE;

/* ---- checking ---------------------------------------------------------------------------- */

struct verity_tree {
	struct verity_geo geo;
	struct verity_hash hash;
	uint8_t root[SHA256_SIZE];
	uint8_t *upper; /* geo.upper_size bytes, checked; NULL if 0 */
};

/* Checks the upper tree (exactly upper_size bytes, copied) against the root, level by level from
 * the top; zeros behind the last digest of a level are checked too. */
bool verity_tree_new(struct verity_tree **ret, uint64_t size,
		     const uint8_t salt[static VERITY_SALT],
		     const uint8_t root[static SHA256_SIZE], const void *upper, size_t upper_n,
		     struct err *e) MUST_USE;
void verity_tree_free(struct verity_tree *t);
DEFINE_CLEANUP(struct verity_tree, verity_tree_free);

/* Verifies one group's plain bytes (n = verity_group_size; padding is added in thought) and makes its leaf.
 * leaf changes on success only; all zeros and not to be stored if geo.levels is 0. */
bool verity_group_check(const struct verity_tree *t, uint64_t group, const void *p, size_t n,
			uint8_t leaf[static VERITY_BLOCK], struct err *e) MUST_USE;

/* Verifies a leaf that was read from a hash area.  Only if geo.levels > 0. */
bool verity_leaf_check(const struct verity_tree *t, uint64_t group,
		       const uint8_t leaf[static VERITY_BLOCK], struct err *e) MUST_USE;
/* Verifies one data block (0 to geo.blocks - 1) against its group's checked leaf (ignored if
 * geo.levels is 0).  p is a whole block. */
bool verity_block_check(const struct verity_tree *t, uint64_t block,
			const uint8_t leaf[static VERITY_BLOCK], const void *p,
			struct err *e) MUST_USE;

/* Goes through a slot file: every group against the tree.  The error names the first bad group
 * of the file.  Rules for padding and length as in verity_fd_root. */
bool verity_fd_check(const struct verity_tree *t, int fd, const struct verity_run *run,
		     struct err *e) MUST_USE;
/* The same when only the root is at hand. */
bool verity_fd_check_root(int fd, uint64_t size, const uint8_t salt[static VERITY_SALT],
			  const uint8_t root[static SHA256_SIZE], const struct verity_run *run,
			  struct err *e) MUST_USE;

#endif
