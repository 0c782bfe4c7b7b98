/* server/plan.h - what a check-in needs to be answered.  Pure: no clock, no database.
 *
 * An idle check-in needs nothing: it writes nothing, signs nothing and is answered from one row.
 * Who gets which release is decided in the store, in the grant's statement (storage/rollouts.h). */
#ifndef VALISE_SERVER_PLAN_H
#define VALISE_SERVER_PLAN_H

#include "proto/checkin.h"
#include "storage/devices.h"

struct plan {
	bool report; /* store what the device says: it differs from the last time, or has events */
	bool director; /* plan anew where stale, sign and send director metadata */
	bool image;    /* tell the newest image timestamp */
};

struct plan plan_checkin(const struct device_checkin *row, const struct checkin_request *req,
			 const uint8_t report_sha256[static SHA256_SIZE], int64_t now_s);

/* What makes a report new: all of the request but its nonce and events. */
bool plan_report_hash(uint8_t ret[static SHA256_SIZE], const struct checkin_request *req,
		      struct err *e) MUST_USE;

/* Seconds until the next poll: the interval and up to a tenth more (`random`: any number). */
uint32_t plan_poll_s(uint64_t interval_s, uint64_t random);

#endif
