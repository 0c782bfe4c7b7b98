/* storage/proposals.h - releases and bundles that wait for more signatures: nobody but their publishers sees them.
 *
 *	nothing --- proposals_put ---> waits --- releases_publish, policies_publish ---> published
 *	                                 |
 *	                                 +--- PROPOSALS_LIFE_S, or another one in its place ---> nothing
 *
 * A letter-box and not a judge: who signed what is checked by the caller (server/repo.h), when it is put
 * here and when it is published.  The objects of a release are guarded as long as it waits. */
#ifndef VALISE_STORAGE_PROPOSALS_H
#define VALISE_STORAGE_PROPOSALS_H

#include "storage/policies.h"
#include "storage/releases.h"

enum {
	PROPOSALS_LIFE_S = 7 * 86400,
	PROPOSALS_MAX = 16, /* of one product, and of all bundles */
};

/* Stored: these numbers never change. */
enum proposal_kind { PROPOSAL_RELEASE = 0, PROPOSAL_POLICY = 1 };

/* One of the two as it would be published, but with its role alone in `tuf`. */
struct proposal_new {
	const struct release_new *release; /* NULL: a bundle */
	const struct policy_new *policy;
	const char *detail; /* for the audit log: who has signed */
};

/* In the place of what waits under this version, if something does.  E_CONFLICT: objects are not stored;
 * E_EXISTS, E_GONE, E_ROLLBACK: as releases_publish and policies_publish; E_BUSY: PROPOSALS_MAX wait already. */
bool proposals_put(struct store *s, const struct proposal_new *p, const char *actor,
		   struct err *e) MUST_USE;

struct proposal {
	enum proposal_kind kind;
	char name[LIMIT_NAME + 1]; /* of the product, or of the bundle */
	char version[LIMIT_VERSION + 1];
	int64_t number; /* for paging */
	int64_t proposed_at, expires_at;
	char proposed_by[LIMIT_TEXT + 1]; /* the last one who put it here */
	char *text, *role;                /* release.json or bundle; NULL in lists */
	size_t text_n, role_n;
};
/* E_NOT_FOUND, also when it has expired. */
bool proposals_get(struct store *s, enum proposal_kind kind, const char *name,
		   const char *version, struct proposal *ret, struct err *e) MUST_USE;
void proposal_done(struct proposal *p);

struct proposal_page {
	struct proposal *items;
	size_t n;
	bool more; /* continue after items[n - 1].number */
};
/* Oldest first.  name "" or NULL: of all. */
bool proposals_list(struct store *s, enum proposal_kind kind, const char *name, int64_t after,
		    size_t limit, struct proposal_page *ret, struct err *e) MUST_USE;
void proposal_page_done(struct proposal_page *p);

/* Removes what has expired. */
bool proposals_prune(struct store *s, struct err *e) MUST_USE;

#endif
