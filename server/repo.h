/* server/repo.h - the image repository: what is published, with fresh snapshot and timestamp.
 *
 * Every change (targets, a product's role, policies) goes live together with a snapshot that
 * lists it and a timestamp, in one step of the store.  Changes happen one at a time in this
 * process (repo_lock); a change by another process makes ours E_CONFLICT, and it is built anew.
 *
 * What is checked here, before anything is asked to be signed:
 *   - a root: signed by the previous root's threshold and its own; version one higher; lists the
 *     online keys of this server for the online roles (those of now, or those that shall follow:
 *     from then on these sign, and what the old ones signed is made anew)
 *   - targets: signed by the root's threshold; delegates only; roles and patterns are those of
 *     docs/FORMATS.md section 3
 *   - a product's role or `policies`: signed by the threshold of the delegation in the newest
 *     targets; not expired; lists this release or bundle exactly, and nothing that others published
 *     is gone or changed
 *
 * A release whose role is signed by some of those who must sign, and by nobody else, may wait for the
 * others (storage/proposals.h).  Nothing of it is in the repository until the last one has signed. */
#ifndef VALISE_SERVER_REPO_H
#define VALISE_SERVER_REPO_H

#include "proto/policy.h"
#include "proto/release.h"
#include "server/web.h"
#include "storage/policies.h"
#include "storage/proposals.h"
#include "storage/releases.h"

/* Which online keys of a repository the newest root names: bits of struct sign_director's `next`.
 * For a role for which it names neither of ours the bit is clear. */
bool repo_keys_next(struct web *w, enum tuf_repo repo, uint32_t *ret, struct err *e) MUST_USE;

/* Makes snapshot and timestamp when there are none although root and targets are there, and
 * again at half of their life; for a timer.  Nothing to do is success. */
bool repo_refresh(struct web *w, struct err *e) MUST_USE;

/* A root or targets as signed offline; *ret_version is its version.  The same bytes again succeed. */
bool repo_put_root(struct web *w, enum tuf_repo repo, const void *p, size_t n,
		   const char *actor, uint64_t *ret_version, struct err *e) MUST_USE;
bool repo_put_targets(struct web *w, const void *p, size_t n, const char *actor,
		      uint64_t *ret_version, struct err *e) MUST_USE;

/* The next version of a product's role or `policies` that publishes nothing: a new date, or other signers.
 * Needs the role to be there; the same bytes again succeed. */
bool repo_put_role(struct web *w, const char *role, const void *p, size_t n, const char *actor,
		   uint64_t *ret_version, struct err *e) MUST_USE;

/* A release that was parsed.  `role` is the product's role; *ret_missing: how many signatures it wants. */
bool repo_check_release(struct web *w, const struct release *r, const void *manifest,
			size_t manifest_n, const void *role, size_t role_n,
			uint64_t *ret_missing, struct err *e) MUST_USE;
/* One whose role wants signatures and whose objects have been checked.  True when those that wait here
 * already make it complete: `whole` is then the role to publish.  Else it waits from now on, which
 * is E_PENDING; a version that waits with other metadata, but for the same release, stays as it is. */
bool repo_propose_release(struct web *w, const struct release *r, const void *manifest,
			  size_t manifest_n, const void *role, size_t role_n, const char *actor,
			  struct buf *whole, struct err *e) MUST_USE;
/* Its objects have been checked. */
bool repo_publish_release(struct web *w, const struct release *r, const void *manifest,
			  size_t manifest_n, const void *role, size_t role_n, const char *actor,
			  enum release_put *ret, struct err *e) MUST_USE;

bool repo_publish_policy(struct web *w, const struct policy *p, const void *bundle,
			 size_t bundle_n, const void *role, size_t role_n, const char *actor,
			 enum policy_put *ret, struct err *e) MUST_USE;

/* Writes {"threshold": 2, "signed": [key ids], "missing": [key ids]}: who signed the product's role (NULL:
 * the newest one) and who else may. */
bool repo_signatures(struct jw *jw, struct web *w, const char *product, const void *role,
		     size_t n, struct err *e) MUST_USE;

/* Whether handsets would install a release: its product is still delegated to somebody whose
 * signatures are on the newest role, and that lists it.  E_UNTRUSTED. */
bool repo_release_trusted(struct web *w, const char *product, const char *version,
			  struct err *e) MUST_USE;

/* Whether roots, targets and timestamp are not expired: what /readyz asks.  A server that has none
 * of them yet is ready too: to be set up. */
bool repo_ready(struct web *w, struct err *e) MUST_USE;

#endif
