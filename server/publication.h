/* server/publication.h - releases and bundles on their way into the image repository.
 *
 * A publication is a release.json or a bundle together with the next version of the role that lists it
 * (`releases.<product>`, `policies`).  Checked before anything is asked to be signed:
 *   - the role is signed by the threshold of the delegation in the newest targets, and not expired
 *   - it lists this release or bundle exactly, and nothing that others published is gone or changed
 * It goes live as server/repo.h has it.
 *
 * One whose role is signed by some of those who must sign, and by nobody else, waits for the others
 * (storage/proposals.h).  Nothing of it is in the repository until the last one has signed. */
#ifndef VALISE_SERVER_PUBLICATION_H
#define VALISE_SERVER_PUBLICATION_H

#include "proto/policy.h"
#include "proto/release.h"
#include "server/web.h"
#include "storage/proposals.h"

/* Borrowed, as all pointers here. */
struct publication {
	const struct release *release; /* one of the two, parsed */
	const struct policy *policy;
	const char *text; /* release.json, or the bundle */
	const char *role; /* metadata */
	size_t text_n, role_n;
};

/* *ret_missing: how many signatures the role wants; all that it has are good. */
bool publication_check(struct web *w, const struct publication *p, uint64_t *ret_missing,
		       struct err *e) MUST_USE;

/* Publishes what was checked (the objects of a release too).  Signatures of the same metadata that wait here are
 * put together with its own.  While some are missing it waits: E_PENDING; what waits under the version with
 * other metadata, but for the same release or bundle, stays as it is.  *ret_created: it was not there. */
bool publication_put(struct web *w, const struct publication *p, uint64_t missing,
		     const char *actor, bool *ret_created, struct err *e) MUST_USE;

/* The next version of a product's role or `policies` that publishes nothing: a new date, or other signers.
 * Needs the role to be there; the same bytes again succeed. */
bool publication_renew(struct web *w, const char *role, const void *p, size_t n,
		       const char *actor, uint64_t *ret_version, struct err *e) MUST_USE;

/* Writes {"threshold": 2, "signed": [key ids], "missing": [key ids]}: who signed this metadata of the role
 * (NULL: the newest) and who else may. */
bool publication_signatures(struct jw *jw, struct web *w, const char *role, const void *p,
			    size_t n, struct err *e) MUST_USE;

/* Whether handsets would install a release: its product is still delegated to somebody whose
 * signatures are on the newest role, and that lists it.  E_UNTRUSTED. */
bool publication_trusted(struct web *w, const char *product, const char *version,
			 struct err *e) MUST_USE;

#endif
