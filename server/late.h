/* server/late.h - connections that were answered and ended while their client still sends.
 *
 * A socket that is closed with bytes in it that nobody read makes the kernel send a reset, and what is still being
 * sent then fails before the client has read why (RFC 9112 section 9.6).  An early refusal (401, 413) ends in
 * that.  Such a socket comes here after its answer: its write side is shut, and what still comes is dropped until the
 * client ends it, for a limited time and number of bytes.  One thread, LATE_MAX at once; what is more is closed. */
#ifndef VALISE_SERVER_LATE_H
#define VALISE_SERVER_LATE_H

#include "base/clock.h"
#include "base/err.h"

enum { LATE_MAX = 64 };

struct late;
bool late_new(struct late **ret, const struct clock *clock, int64_t max_ms, uint64_t max_bytes,
	      struct err *e) MUST_USE;
void late_free(struct late *l); /* closes all; NULL is fine */
/* Takes over a stream socket, whatever happens.  From any thread; never waits. */
void late_take(struct late *l, int fd);

#endif
