/* server/pool.h - threads for what may block: commits, signatures, verification.
 *
 * The threads of libmicrohttpd never wait for a disk or another process; they hand work over
 * here and park the connection.  The queue is bounded: when it is full the request is told to come
 * back (503) instead of piling up. */
#ifndef VALISE_SERVER_POOL_H
#define VALISE_SERVER_POOL_H

#include "base/err.h"

enum { POOL_QUEUE = 1024 };

struct pool;
bool pool_new(struct pool **ret, unsigned threads, struct err *e) MUST_USE;
/* Runs fn(arg) in some thread.  E_BUSY: the queue is full, or the pool is ending. */
bool pool_run(struct pool *p, void (*fn)(void *arg), void *arg, struct err *e) MUST_USE;
/* Takes nothing more, waits for everything that was handed over and ends the threads. */
void pool_stop(struct pool *p);
void pool_free(struct pool *p); /* stops first; NULL is fine */

size_t pool_waiting(struct pool *p); /* for metrics */

#endif
