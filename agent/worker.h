/* agent/worker.h - one piece of blocking work at a time in a thread beside the loop.
 *
 * The loop starts a job, goes on, and is told by a descriptor when it has ended.  While a job runs
 * it owns its struct; afterwards the loop does.  Nothing else is shared but `cancel`. */
#ifndef VALISE_AGENT_WORKER_H
#define VALISE_AGENT_WORKER_H

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker {
	int done_fd; /* readable when the job has ended */
	bool busy;
	atomic_bool cancel; /* set by worker_cancel, cleared by worker_start */
	pthread_t thread;
	void (*run)(void *job);
	void *job;
};

bool worker_init(struct worker *w, struct err *e) MUST_USE;
/* Not while busy. */
bool worker_start(struct worker *w, void (*run)(void *job), void *job, struct err *e) MUST_USE;
void worker_cancel(struct worker *w);
/* Joins the thread of a job that has ended (or waits for it) and gives the job back; NULL if there was none. */
void *worker_take(struct worker *w);
void worker_done(
	struct worker *w); /* cancels, waits; the job must have been taken or is leaked */

#endif
