/* agent/stage_priv.h - the file being staged, and the threads that decode, verify and write.
 * For stage.c and stage_pool.c only.
 *
 * A *unit* is the smallest piece that is whole in both senses: max(frame size, group size) plain bytes,
 * so one or more frames and one or more groups.  Both sizes are powers of two. */
#ifndef VALISE_AGENT_STAGE_PRIV_H
#define VALISE_AGENT_STAGE_PRIV_H

#include "agent/stage.h"
#include "proto/seekable.h"

#include <pthread.h>

struct stage_file {
	struct verity_tree *tree;     /* owned */
	struct seekable_table *table; /* owned; NULL until something has to be fetched */
	int fd, hash_fd;              /* owned; hash_fd is -1 for a single block */
	uint32_t unit_bytes;
	uint8_t *good; /* one bit per group; the pool's lock guards it while a pool runs */
};

#define STAGE_FILE_INIT ((struct stage_file){ .fd = -1, .hash_fd = -1 })

/* Once f->tree is set. */
bool stage_file_start(struct stage_file *f, uint32_t frame_size, struct err *e) MUST_USE;
void stage_file_done(struct stage_file *f);
bool stage_file_put_leaf(const struct stage_file *f, uint64_t group,
			 const uint8_t leaf[static VERITY_BLOCK], struct err *e) MUST_USE;
void stage_file_set_good(struct stage_file *f, uint64_t group);
bool stage_file_is_good(const struct stage_file *f, uint64_t group);
bool stage_file_all_good(const struct stage_file *f);

uint64_t stage_units(const struct stage_file *f);
bool stage_unit_is_good(const struct stage_file *f, uint64_t unit); /* all of its groups */
/* Where a unit's first frame begins in the object; for the end of the units, where the last one
 * ends.  The table must be there. */
uint64_t stage_unit_object_start(const struct stage_file *f, uint64_t unit);

/* The compressed bytes of one unit. */
struct stage_unit {
	uint64_t unit;
	size_t n, want;
	struct stage_unit *next;
	uint8_t bytes[];
};
void stage_unit_free(struct stage_unit *u);
size_t stage_unit_add(struct stage_unit *u, const void *p, size_t n); /* how many it took */
bool stage_unit_is_full(const struct stage_unit *u);

struct stage_pool;
bool stage_pool_new(struct stage_pool **ret, struct stage_file *f, unsigned threads,
		    struct stage_progress *progress, struct err *e) MUST_USE;
/* An empty unit to fill.  Fails with the first error of any thread. */
bool stage_pool_unit(struct stage_pool *p, uint64_t unit, struct stage_unit **ret,
		     struct err *e) MUST_USE;
/* Hands a full unit over (also on failure); waits while all threads are busy. */
bool stage_pool_give(struct stage_pool *p, struct stage_unit *u, struct err *e) MUST_USE;
/* Waits for the threads and frees the pool; the first error of any, or true. */
bool stage_pool_finish(struct stage_pool *p, struct err *e) MUST_USE;

#endif
