/* server/slow.h - connections that move next to nothing are ended.
 *
 * The HTTP library ends connections that are silent (web.idle).  One byte now and then is not silence: a
 * head, a body or the reading of an answer that takes for ever holds a connection and what hangs on
 * it.  So every connection has to move `rate` bytes a second on average, both directions
 * together, over each `window_ms` since it was opened or last brought a request to its end; time in
 * which it waits for us does not count.  What the kernel counts is counted (TCP_INFO:
 * received, and sent and acknowledged), so TLS does not matter.
 *
 * A link lies in the owner's structure, from slow_add to slow_remove; slow_ended and slow_waits
 * may be called meanwhile from its thread, slow_look from any one. */
#ifndef VALISE_SERVER_SLOW_H
#define VALISE_SERVER_SLOW_H

#include "base/err.h"

struct slow_link {
	struct slow_link *prev, *next;
	int fd; /* a TCP socket; borrowed */
	int64_t since_ms;
	uint64_t moved_bytes; /* at since_ms */
	bool is_new, is_ours; /* atomic: to be counted from now on; waits for us */
};

struct slow;
/* rate 0: nothing is ended. */
bool slow_new(struct slow **ret, uint64_t rate, int64_t window_ms, struct err *e) MUST_USE;
void slow_free(struct slow *s); /* NULL is fine */

void slow_add(struct slow *s, struct slow_link *l, int fd, int64_t now_ms);
void slow_remove(struct slow *s, struct slow_link *l);
void slow_ended(struct slow_link *l);            /* a request was answered */
void slow_waits(struct slow_link *l, bool ours); /* begins, ends to wait for us */

/* For a timer.  Shuts down (shutdown(2)) those that were too slow; returns how many. */
unsigned slow_look(struct slow *s, int64_t now_ms);

#endif
