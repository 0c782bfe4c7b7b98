/* server/api_proposals.h - what releases and bundles that wait for signatures have in common. */
#ifndef VALISE_SERVER_API_PROPOSALS_H
#define VALISE_SERVER_API_PROPOSALS_H

#include "server/req.h"
#include "storage/proposals.h"

/* state, proposed_at, proposed_by, expires_at. */
void api_proposal_write(struct jw *w, const struct proposal *p);

/* One page of GET /v1/releases?state=pending or /v1/policies?state=pending; name "": of all. */
bool api_proposal_list(struct req *r, enum proposal_kind kind, const char *name,
		       struct err *e) MUST_USE;

/* The one that the path names, as it was posted, with the signatures that came since. */
bool api_proposal_send(struct req *r, enum proposal_kind kind, struct err *e) MUST_USE;

/* After a failure *e to find what is published: sends what waits under that name, by `send`.  Where nothing
 * waits either, *e stays as it is. */
bool api_proposal_instead(struct req *r, bool (*send)(struct req *r, struct err *e),
			  struct err *e) MUST_USE;

#endif
