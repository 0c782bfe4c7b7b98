/* server/rate.h - token buckets: `rate` a second on average, `burst` at once.
 *
 * struct bucket is one, for one thread.  struct rates is many by key (address, device), for all
 * threads: a table of fixed size, in which a new key takes the place of the one that was longest
 * idle in its row.  So memory is bounded, and whoever floods the table with keys can at worst
 * make another key's bucket full again, never empty. */
#ifndef VALISE_SERVER_RATE_H
#define VALISE_SERVER_RATE_H

#include "base/attr.h"
#include "base/err.h"

struct bucket {
	int64_t at_ms;
	uint64_t used; /* thousandths of a token taken and not yet given back */
};

/* Takes one token.  False when there is none: *ret_wait_s seconds later there will be (at least 1).
 * rate 0: no limit. */
bool bucket_take(struct bucket *b, uint64_t rate, uint64_t burst, int64_t now_ms,
		 uint32_t *ret_wait_s);

struct rates;
/* rows of 8 buckets; a power of two. */
bool rates_new(struct rates **ret, size_t rows, uint64_t seed, struct err *e) MUST_USE;
void rates_free(struct rates *r);
bool rates_take(struct rates *r, const void *key, size_t n, uint64_t rate, uint64_t burst,
		int64_t now_ms, uint32_t *ret_wait_s);

#endif
