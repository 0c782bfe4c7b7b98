/* proto/verity_priv.h - what verity.c (the format) and verity_fd.c (whole files) share. */
#ifndef VALISE_PROTO_VERITY_PRIV_H
#define VALISE_PROTO_VERITY_PRIV_H

#include "proto/verity.h"

void verity_hash_init(struct verity_hash *h, const uint8_t salt[static VERITY_SALT]);
void verity_hash_block(uint8_t out[static SHA256_SIZE], const struct verity_hash *h,
		       const void *p);

/* The leaf over whole blocks; p NULL: all of them are zeros. */
void verity_leaf_make(uint8_t leaf[static VERITY_BLOCK], const struct verity_hash *h,
		      const uint8_t *p, size_t blocks);
/* What stands for a group one level up: the leaf's digest; with a single data block that block's. */
void verity_leaf_digest(uint8_t out[static SHA256_SIZE], const struct verity_geo *g,
			const struct verity_hash *h, const uint8_t leaf[static VERITY_BLOCK]);

/* All levels above the lowest and the root, from the groups' digests.  upper: g->upper_size bytes
 * of zeros. */
void verity_upper_make(uint8_t root[static SHA256_SIZE], uint8_t *upper,
		       const struct verity_geo *g, const struct verity_hash *h,
		       const uint8_t *group_digests);

/* Data blocks of a group. */
size_t verity_group_blocks(const struct verity_geo *g, uint64_t group);
/* Compares a leaf, made or read, with the tree. */
bool verity_leaf_matches(const struct verity_tree *t, uint64_t group,
			 const uint8_t leaf[static VERITY_BLOCK]);
bool verity_group_bad(uint64_t group, struct err *e); /* sets E_CORRUPT, false */

#endif
