/* server/deltas.h - web's makers of deltas: what to make next, the delta processes that do it, and what
 * check-ins are offered.
 *
 * One thread per delta process (delta.processes).  Each takes the waiting delta whose old release
 * the most devices run and for which delta.disk has room (storage/deltas.h), hands it to a delta process
 * (server/delta_job.h) and waits.  Which deltas there are to make is looked at every few seconds
 * and when a release was published; check-ins add what they missed.
 *
 *	its process crashed or lacked memory   another try after a while, DELTAS_TRIES in all, then failed
 *	it took delta.time, or made no progress for delta.silence   the same, and mgr is asked to end it
 *	the server ended       waiting again; a try is counted only if it was not ended in order
 *	withdrawn              the process ends at once, the result is dropped
 *	disk full              waiting; the next one is looked at meanwhile
 *	an image damaged on our disk   failed, the object is dropped; a publish that brings it again plans anew
 *	more than 9/10 of the full download    useless: never offered */
#ifndef VALISE_SERVER_DELTAS_H
#define VALISE_SERVER_DELTAS_H

#include "server/settings.h"
#include "base/clock.h"
#include "proto/checkin.h"
#include "storage/deltas.h"
#include "storage/releases.h"

struct deltas;
/* fd and control, the channels to the delta processes and to mgr, and the store are borrowed. */
bool deltas_new(struct deltas **ret, struct store *store, const struct settings *s,
		const struct clock *clock, int fd, int control, uint32_t first_id,
		struct err *e) MUST_USE;
/* Cancels what is under way; it waits for another time. */
void deltas_stop(struct deltas *d);
void deltas_free(struct deltas *d); /* NULL is fine */
/* There may be something new to make. */
void deltas_wake(struct deltas *d);

/* Adds to each offer what a device that runs this release can use; what is not there yet is wanted
 * from now on.  Failing to is logged, not an error: the full objects are offered anyway. */
void deltas_offer(struct deltas *d, struct offer *offers, size_t n,
		  const struct release_ref *runs, const char *product, const char *version);

/* Of one being made; false: it is not. */
bool deltas_progress(struct deltas *d, const char *product, const char *version,
		     const char *component, const char *from_version, uint64_t *ret_done,
		     uint64_t *ret_total);

struct deltas_stats {
	uint64_t started, made, useless, failed, lost, cancelled, offered;
};
void deltas_stats(struct deltas *d, struct deltas_stats *ret);

#endif
