/* server/idle.h - devices that had nothing new at their last check-in: their row, and what they said.
 *
 * A fleet says the same thing all day.  An entry holds the row of devices_checkin with the stamp under which
 * it was read (storage/devices.h), and a keyed hash of the check-in that was answered with nothing
 * to do.  While the stamp is the same the row need not be read again, and while the hash is
 * too, the body need not be read again either: both are what they were.  Every change of a
 * device, a rollout, a policy or the metadata changes the stamp before whoever made it is told.
 *
 * A table of fixed size; two devices in one place take turns, which costs a read. */
#ifndef VALISE_SERVER_IDLE_H
#define VALISE_SERVER_IDLE_H

#include "storage/devices.h"

struct idle;
/* places: a power of two. */
bool idle_new(struct idle **ret, size_t places, uint64_t seed, struct err *e) MUST_USE;
void idle_free(struct idle *c);

/* devices_checkin, from memory if it can be; *ret_stamp is for idle_put. */
bool idle_row(struct idle *c, struct store *s, const char *id, struct device_checkin *ret,
	      struct device_stamp *ret_stamp, struct err *e) MUST_USE;

/* Hash of a check-in's body without its nonce; 0 when it has none in the usual place. */
uint64_t idle_hash(const struct idle *c, const void *body, size_t n);
/* Whether this body was answered with nothing to do under this stamp, and what idle_put was told. */
bool idle_is_known(struct idle *c, const char *id, const struct device_stamp *stamp,
		   uint64_t hash, bool *ret_empty_ok);
/* Remembers that it was; empty_ok stands in the body (proto/checkin.h). */
void idle_put(struct idle *c, const struct device_checkin *row,
	      const struct device_stamp *stamp, uint64_t hash, bool empty_ok);

#endif
