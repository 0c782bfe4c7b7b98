/* server/jobs.h - web's table of jobs that work processes do.
 *
 *	(none) --jobs_verify--> waiting --TAKEN--> running --VERIFIED--> good
 *	                          ^                  |  \---FAILED_JOB--> bad (why)
 *	                          +-- worker lost ---+   twice lost: bad (it crashed)
 *
 * mgr is asked to end a worker that has had its job for time_s (again and again while it lives);
 * that is one way for a worker to be lost.
 *
 * A job is known by what is checked (server/job.h) and the hash of the object: asking again joins
 * the one under way.  What was found is kept for an hour, so a publish that was cut off and comes
 * again does not start from nothing; a bad result until it was told once, as the object may be
 * healed before the next question. */
#ifndef VALISE_SERVER_JOBS_H
#define VALISE_SERVER_JOBS_H

#include "base/clock.h"
#include "server/job.h"

enum { JOBS_MAX = 256 };

struct jobs;
/* fd and control, the channels to the work processes and to mgr, are borrowed.  Starts a thread that
 * hears the processes. */
bool jobs_new(struct jobs **ret, int fd, int control, uint64_t time_s,
	      const struct clock *clock, uint32_t first_id, struct err *e) MUST_USE;
/* Whoever waits in jobs_verify gets E_BUSY at once. */
void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j); /* nobody may be in jobs_verify; NULL is fine */

/* Checks one object and waits.  open is called when a descriptor is needed (again after a lost
 * worker).  E_BUSY: not done within wait_ms, or too many jobs; ask again.  Else job_verify's errors. */
bool jobs_verify(struct jobs *j, const struct job *job,
		 const uint8_t object[static SHA256_SIZE],
		 bool (*open)(void *arg, int *ret_fd, struct err *e), void *arg,
		 int64_t wait_ms, struct err *e) MUST_USE;

/* mgr says that a work process ended without an answer. */
void jobs_worker_lost(struct jobs *j, uint32_t pid);

struct jobs_stats {
	uint64_t started, good, bad, lost;
	unsigned waiting, running;
};
void jobs_stats(struct jobs *j, struct jobs_stats *ret);

#endif
