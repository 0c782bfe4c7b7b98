/* storage/deltas.h - which deltas there are, are being made and are wanted.
 *
 *	(none) --deltas_plan, deltas_want--> waiting --deltas_take--> making --+--> made (its object)
 *	                                        ^                       |     +--> useless (saves too little)
 *	                                        +-- deltas_put_back ----+     +--> failed (reason)
 *	                                        +-- deltas_retry -------+ (tries used up: failed)
 *	                                        +-- deltas_reset -------+ (tries used up: failed)
 *
 * Any state goes back to (none) when the target release is withdrawn, and by deltas_prune when no
 * device runs the old release, or neither the newest release is the target nor a device on the
 * old one shall run it; one that failed or is being made also when an object of either release is stored
 * again (it was damaged or missing), and one that was ended in another coding (delta/format.h) at the
 * start, as today's handsets refuse it.  An object is kept as long as a made row names it.
 *
 * A delta goes from one component of a release to the component of the same name of another
 * release of the same product.  Components with the same bytes need none. */
#ifndef VALISE_STORAGE_DELTAS_H
#define VALISE_STORAGE_DELTAS_H

#include "storage/store.h"

/* Stored; numbers never change. */
enum delta_state { DELTA_WAITING, DELTA_MAKING, DELTA_MADE, DELTA_USELESS, DELTA_FAILED };
enum { DELTA_STATES = DELTA_FAILED + 1, DELTAS_TRIES = 3, DELTAS_RETRY_S = 5 };
extern const char *const delta_state_names[]; /* NULL-terminated */
#define DELTAS_GUARD_S 86400                  /* deltas_prune leaves younger rows alone */

/* One to be made.  The numbers name it; the rest is for people. */
struct delta_task {
	int64_t to, from; /* releases */
	char component[LIMIT_NAME + 1];
	char product[LIMIT_NAME + 1], to_version[LIMIT_VERSION + 1],
		from_version[LIMIT_VERSION + 1];
	unsigned tries;    /* this one included */
	uint64_t takes;    /* tells this taking from an earlier or a later one */
	uint64_t size_max; /* a larger delta is not worth it: 9/10 of the object that it spares */
};

/* What an earlier process was making is waiting again, or failed if that was its last try, and what was
 * ended in another coding is forgotten; for the start.  Should that process still be there, what it says of
 * its tasks is nothing from now on. */
bool deltas_reset(struct store *s, unsigned coding, struct err *e) MUST_USE;

/* Rows for the newest release of each product, from every release that a device runs and whose objects
 * are there.  Writes nothing when there is nothing new.  *ret: how many were added. */
bool deltas_plan(struct store *s, uint64_t *ret, struct err *e) MUST_USE;

/* On demand: all components between two releases, as a device was just told to go that way.
 * Unknown releases are fine: nothing is added. */
bool deltas_want(struct store *s, const char *product, const char *from_version,
		 const char *to_version, struct err *e) MUST_USE;

/* Of the waiting ones whose time has come, whose old release a device runs, and which fit into what
 * `budget` (bytes of all deltas) leaves when those being made get as large as they may: the one
 * whose old release the most devices run becomes `making`, in this coding.  The try is counted durably
 * before it is handed out. */
bool deltas_take(struct store *s, uint64_t budget, unsigned coding, struct delta_task *ret,
		 bool *ret_found, struct err *e) MUST_USE;
/* Whether it is still to be made: withdrawing the release cancels. */
bool deltas_is_wanted(struct store *s, const struct delta_task *t, bool *ret,
		      struct err *e) MUST_USE;
/* The try does not count: the server is ending, or the disk is full.  Taken again after wait_s. */
bool deltas_put_back(struct store *s, const struct delta_task *t, int64_t wait_s,
		     struct err *e) MUST_USE;
/* The try counts: failed if it was the last, else taken again after DELTAS_RETRY_S, and twice that the
 * next time. */
bool deltas_retry(struct store *s, const struct delta_task *t, const char *reason,
		  struct err *e) MUST_USE;
/* Ends it: made (sha256, size: the object is stored), useless (sha256 NULL; size tells how large it was, or 0) or failed.
 * One that is not wanted any more is quietly nothing.  Made: devices that were already told to go
 * that way and have not yet are planned anew (devices_plan), so that they are offered it. */
bool deltas_end(struct store *s, const struct delta_task *t, enum delta_state state,
		const uint8_t *sha256, uint64_t size, const char *reason,
		struct err *e) MUST_USE;

struct delta_offer {
	uint8_t from_root[SHA256_SIZE], sha256[SHA256_SIZE];
	uint64_t size;
};
/* For an offer: the one made between these releases.  *ret_row: there is a row, in any state. */
bool deltas_find(struct store *s, const char *product, const char *from_version,
		 const char *to_version, const char *component, struct delta_offer *ret,
		 bool *ret_made, bool *ret_row, struct err *e) MUST_USE;

struct delta_row {
	char component[LIMIT_NAME + 1], from_version[LIMIT_VERSION + 1];
	enum delta_state state;
	uint64_t size, full_size; /* of the delta; of the object that it spares */
	uint64_t devices;         /* that run the old release */
	uint8_t sha256[SHA256_SIZE];
	char reason[LIMIT_TEXT + 1];
};
struct delta_list {
	struct delta_row *items;
	size_t n;
};
/* To one release; most devices first, at most STORE_PAGE_MAX. */
bool deltas_list(struct store *s, const char *product, const char *version,
		 struct delta_list *ret, struct err *e) MUST_USE;
void delta_list_done(struct delta_list *l);

struct delta_totals {
	uint64_t count[DELTA_STATES], bytes;
};
bool deltas_totals(struct store *s, struct delta_totals *ret, struct err *e) MUST_USE;

/* Forgets rows that nobody can use; before objects_gc, which then removes their objects. */
bool deltas_prune(struct store *s, uint64_t *ret, struct err *e) MUST_USE;

#endif
