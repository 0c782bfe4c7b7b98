/* server/second.h - the two-person rule: some actions count only when two tokens asked for them.
 *
 * The first request is kept in memory and answered E_PENDING (202); the same request with another
 * token within SECOND_TTL_S does it.  Both stand in the audit log ("second.ask", "second.confirm").
 * A token that was made after the first request does not count, so nobody makes themselves a second
 * person when one is wanted.  A restart forgets what was asked: it has to be asked again, which is the
 * safe side.
 *
 * Settings: two_person.rollout (a rollout to everyone), two_person.enrolment (approving a handset;
 * tickets without approval cannot be made then). */
#ifndef VALISE_SERVER_SECOND_H
#define VALISE_SERVER_SECOND_H

#include "base/err.h"
#include "base/limits.h"

#include <pthread.h>

enum { SECOND_MAX = 64, SECOND_TTL_S = 86400, SECOND_WHAT = 2 * LIMIT_NAME + LIMIT_VERSION };

struct second_asked {
	char what[SECOND_WHAT]; /* "" where nothing is kept */
	int64_t token;          /* number of who asked */
	int64_t at;
};

struct second {
	pthread_mutex_t lock;
	struct second_asked asked[SECOND_MAX]; /* when full the oldest is forgotten */
};
void second_init(struct second *s);
void second_done(struct second *s);

/* True: two have asked, and it is forgotten; *ret_first is the other token.  E_PENDING: it is the
 * first, or the same one again (*ret_new tells which).  E_DENIED: the token is younger than the
 * request. */
bool second_ask(struct second *s, const char *what, int64_t token, int64_t token_created_at,
		int64_t now_s, int64_t *ret_first, bool *ret_new, struct err *e) MUST_USE;

struct req;
/* The same for a request, with its audit rows.  `what` is "VERB SUBJECT". */
bool second_person(struct req *r, const char *verb, const char *subject,
		   struct err *e) MUST_USE;

#endif
