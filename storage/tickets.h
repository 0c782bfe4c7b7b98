/* storage/tickets.h - enrolment tickets: one-time tokens, stored as SHA-256 only.
 *
 * A ticket is open until it is used by a device (devices_enrol), revoked, expired or tried TICKETS_TRIES times
 * in vain.  A try in vain is the right token with something else wrong (the serial); guessing
 * 128 bits of token is left to the caller's rate limit. */
#ifndef VALISE_STORAGE_TICKETS_H
#define VALISE_STORAGE_TICKETS_H

#include "storage/devices.h"

enum { TICKET_TOKEN_SIZE = 16, TICKETS_TRIES = 5 };
#define TICKETS_TTL_MAX_S (30 * 86400)

struct ticket_new {
	const char *const *groups;
	size_t groups_n;
	bool manual;        /* approval by an administrator */
	int64_t ttl_s;      /* 1 to TICKETS_TTL_MAX_S */
	const char *serial; /* "" or NULL: any handset */
};

enum ticket_state {
	TICKET_OPEN = 1,
	TICKET_USED,
	TICKET_REVOKED,
	TICKET_EXPIRED,
	TICKET_BLOCKED
};
const char *ticket_state_name(enum ticket_state st);

struct ticket_row {
	int64_t number; /* shown as t<number> */
	enum ticket_state state;
	char groups[DEVICES_GROUPS_MAX][LIMIT_NAME + 1];
	size_t groups_n;
	bool manual;
	char serial[LIMIT_NAME + 1];
	unsigned tries;
	int64_t created_at, expires_at, used_at, revoked_at;
	char device[DEVICE_ID_SIZE]; /* that used it */
	char created_by[LIMIT_TEXT + 1];
};

/* Makes the token, which is told this once.  E_FORMAT. */
bool tickets_create(struct store *s, const struct ticket_new *n, const char *actor,
		    struct ticket_row *ret, uint8_t ret_token[static TICKET_TOKEN_SIZE],
		    struct err *e) MUST_USE;
/* E_NOT_FOUND; E_CONFLICT: used already (revoke the device).  Again: quietly the same. */
bool tickets_revoke(struct store *s, int64_t number, const char *actor, struct err *e) MUST_USE;
bool tickets_get(struct store *s, int64_t number, struct ticket_row *ret,
		 struct err *e) MUST_USE; /* E_NOT_FOUND */

struct ticket_page {
	struct ticket_row *items;
	size_t n;
	bool more;
};
bool tickets_list(struct store *s, int64_t after, size_t limit, struct ticket_page *ret,
		  struct err *e) MUST_USE;
void ticket_page_done(struct ticket_page *p);

/* Forgets tickets that ended more than age_s ago; for a timer. */
bool tickets_prune(struct store *s, int64_t age_s, uint64_t *ret, struct err *e) MUST_USE;

#endif
