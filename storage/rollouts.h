/* storage/rollouts.h - a release given to everybody, a group or one device.
 *
 * Of the rollouts that reach a device the newest whose release is published, fits the device's
 * model and is not below its security floor counts.  The grant is made when the device is
 * planned (devices_plan), by one conditional statement: idempotent, whatever answer was lost.
 *
 *	grant:  granted -> delivered -> applied
 *	           \___________\______> failed (rolled back or given up; the event has the reason)
 *	granted, delivered -> superseded, by a newer rollout */
#ifndef VALISE_STORAGE_ROLLOUTS_H
#define VALISE_STORAGE_ROLLOUTS_H

#include "storage/store.h"
#include "storage/target.h"

/* The numbers are stored and never change. */
enum grant_state {
	GRANT_GRANTED = 1,
	GRANT_DELIVERED = 2,
	GRANT_APPLIED = 3,
	GRANT_FAILED = 4,
	GRANT_SUPERSEDED = 5,
};

struct rollout {
	int64_t number; /* shown as r<number> */
	char product[LIMIT_NAME + 1], version[LIMIT_VERSION + 1];
	struct target target;
	bool withdrawn; /* its release was */
	int64_t created_at;
	char created_by[LIMIT_TEXT + 1];
	/* Devices by grant; reached counts those the target names now (active ones). */
	uint64_t reached, granted, delivered, applied, failed, superseded;
};

/* E_NOT_FOUND: no such release or device.  E_GONE: the release was withdrawn.  E_FORMAT. */
bool rollouts_create(struct store *s, const char *product, const char *version,
		     const struct target *t, const char *actor, int64_t *ret_number,
		     struct err *e) MUST_USE;
bool rollouts_get(struct store *s, int64_t number, struct rollout *ret,
		  struct err *e) MUST_USE; /* E_NOT_FOUND */

struct rollout_page {
	struct rollout *items;
	size_t n;
	bool more;
};
bool rollouts_list(struct store *s, int64_t after, size_t limit, struct rollout_page *ret,
		   struct err *e) MUST_USE;
void rollout_page_done(struct rollout_page *p);

#endif
