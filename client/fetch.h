/* client/fetch.h - download a part of an immutable object into a callback, whatever the network does.
 *
 * fetch_range() asks for [from, to) with Range requests and goes on after every cut from the last
 * byte that it delivered: no byte is asked for twice, and every byte is delivered once and in order.
 *
 *	struct fetch f = FETCH_INIT(https, "/objects/<sha256>", size, clock, rng);
 *	f.sink = take_bytes; f.arg = &slot;
 *	if (!fetch_range(&f, from, to, e)) ...    // f.next is where to go on another time
 *
 * What ends it at once: any 4xx but 408 and 429, a certificate that does not fit, an answer that is not
 * the part asked for (status 200 for a part, wrong Content-Range, length or total size, another
 * ETag: E_CORRUPT), an error of the sink, the cancel flag (E_CANCELLED).  What is tried again after
 * a back-off (client/backoff.h; Retry-After honoured): network errors, timeouts, low speed, 408,
 * 429 and 5xx.  After max_failures of them in a row the last one is returned; a delivered byte starts
 * the count anew, but max_attempts bounds the whole, so that a server that gives one byte
 * and hangs up cannot hold a handset forever.  Slow retrieval: below min_rate bytes a second over a
 * whole attempt that is longer than min_rate_after_ms it counts as a failed attempt, delivered bytes or
 * not.  What the bytes are is the sink's to verify. */
#ifndef VALISE_CLIENT_FETCH_H
#define VALISE_CLIENT_FETCH_H

#include "client/backoff.h"
#include "client/https.h"

struct fetch {
	struct https *https; /* borrowed, as all pointers here */
	const char *path;
	uint64_t size;    /* of the whole object: what Content-Range must say */
	const char *etag; /* with its quotes; what ETag must say where it is sent; NULL for any */
	const struct clock *clock;
	const struct rng *rng;

	/* Takes n bytes at offset; false stops the fetch with *e as set. */
	bool (*sink)(void *arg, uint64_t offset, const void *p, size_t n, struct err *e);
	/* Waits between attempts; NULL sleeps, waking up for the cancel flag.  False stops. */
	bool (*wait)(void *arg, uint64_t ms, struct err *e);
	void *arg;
	const atomic_bool *cancel; /* looked at between pieces; may be NULL */

	struct backoff backoff;
	unsigned max_failures, max_attempts;
	uint32_t min_rate, min_rate_after_ms; /* bytes a second; 0 for no limit */

	/* Results, also after a failure. */
	uint64_t next;      /* offset of the first byte not delivered */
	uint64_t requested; /* bytes received above all, for statistics; equals what was delivered
			     * unless a piece came in after the sink refused */
	unsigned attempts;
};

#define FETCH_INIT(h, object_path, object_size, clk, random)  \
	((struct fetch){ .https = (h),                        \
			 .path = (object_path),               \
			 .size = (object_size),               \
			 .clock = (clk),                      \
			 .rng = (random),                     \
			 .backoff = BACKOFF_INIT(500, 60000), \
			 .max_failures = 8,                   \
			 .max_attempts = 1000,                \
			 .min_rate = 64,                      \
			 .min_rate_after_ms = 60000 })

/* Delivers [from, to) of the object; from == to is fine and asks nothing.  E_USAGE unless
 * from <= to <= size. */
bool fetch_range(struct fetch *f, uint64_t from, uint64_t to, struct err *e) MUST_USE;

#endif
