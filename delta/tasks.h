/* delta/tasks.h - a number of like tasks over a few threads, with progress and cancelling.
 *
 *	struct tasks t = { .n = chunks, .threads = 2, .run = match_chunk, .ctx = me, ... };
 *	if (!tasks_run(&t, e)) ...     // the first failure; the others stop soon
 *
 * The calling thread works too and alone calls `progress`, after each of its tasks. */
#ifndef VALISE_DELTA_TASKS_H
#define VALISE_DELTA_TASKS_H

#include "base/err.h"

#include <pthread.h>

struct tasks {
	size_t n;
	unsigned threads; /* 0 is 1 */
	bool (*run)(void *ctx, size_t index, unsigned thread, struct err *e);
	bool (*progress)(void *ctx, size_t done); /* or NULL; false cancels */
	void *ctx;
	/* internal */
	size_t next, done;
	bool failed;
	struct err error;
	pthread_mutex_t lock;
};

/* Each may have 50 MiB of images mapped, or as much to code a frame of noise, and all of it is to stay below 1 GiB:
 * with sixteen, 4.6 GB of five systems took 1047 MiB. */
enum { TASKS_THREADS_MAX = 8 };

bool tasks_run(struct tasks *t, struct err *e) MUST_USE;

#endif
