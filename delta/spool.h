/* delta/spool.h - a file for what would be too much for memory: commands on their way, and frames that are
 * coded before those that precede them.
 *
 *	struct spool s = { .fd = scratch, .end = streams_bytes };
 *	if (!spool_put(&s, ops, n * sizeof(*ops), &at, e)) ...     // from any thread
 *	if (!spool_get(&s, at, ops, n * sizeof(*ops), e)) ...
 *
 * Bytes are in this machine's order and worth nothing after a crash: the file is unlinked.  It only grows, as
 * what is kept is small beside the images.  Written and read, not mapped: what lies there is the kernel's page
 * cache and no part of the process. */
#ifndef VALISE_DELTA_SPOOL_H
#define VALISE_DELTA_SPOOL_H

#include "base/err.h"

struct spool {
	int fd;       /* borrowed */
	uint64_t end; /* where the next bytes go; atomic */
};

/* Behind all others; *ret_at: where. */
bool spool_put(struct spool *s, const void *p, size_t n, uint64_t *ret_at,
	       struct err *e) MUST_USE;
bool spool_get(const struct spool *s, uint64_t at, void *p, size_t n, struct err *e) MUST_USE;
/* Instead of n bytes that are there. */
bool spool_set(const struct spool *s, uint64_t at, const void *p, size_t n,
	       struct err *e) MUST_USE;

#endif
