/* client/backoff.h - when to try again: exponential back-off with full jitter.
 *
 * Pure arithmetic: clock and randomness are handed in.  The n-th failure in a row waits a random
 * time between 0 and min(max, base * 2^(n-1)) ("full jitter": M. Brooker, Exponential Backoff And
 * Jitter, 2015), so that a fleet that lost its server together does not come back together.  A
 * Retry-After is a lower bound, with up to a tenth of it (at least `base`) on top for the same
 * reason; beyond RETRY_AFTER_MAX_S it is cut, so that no answer silences a handset for good.
 *
 *	backoff_fail(&b, clock, rng, answer.retry_after_s);
 *	wait(backoff_wait_ms(&b, clock));
 *	...
 *	backoff_ok(&b); */
#ifndef VALISE_CLIENT_BACKOFF_H
#define VALISE_CLIENT_BACKOFF_H

#include "base/clock.h"
#include "base/rng.h"

enum { BACKOFF_RETRY_AFTER_MAX_S = 86400 };

struct backoff {
	uint64_t base_ms, max_ms;
	unsigned failures; /* in a row */
	int64_t due_ms;    /* boot time of the next try */
};

#define BACKOFF_INIT(base, max) ((struct backoff){ .base_ms = (base), .max_ms = (max) })

/* Counts a failure and sets the time of the next try.  retry_after_s is -1 for none. */
void backoff_fail(struct backoff *b, const struct clock *clock, const struct rng *rng,
		  int64_t retry_after_s);
void backoff_ok(struct backoff *b);
/* How long until the next try; 0 when it is due. */
uint64_t backoff_wait_ms(const struct backoff *b, const struct clock *clock);

#endif
