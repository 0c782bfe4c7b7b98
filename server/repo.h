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
 *
 * What publishers put in, releases and bundles, has its own header: server/publication.h. */
#ifndef VALISE_SERVER_REPO_H
#define VALISE_SERVER_REPO_H

#include "server/web.h"
#include "storage/tuf.h"

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

/* Whether roots, targets and timestamp are not expired: what /readyz asks.  A server that has none
 * of them yet is ready too: to be set up. */
bool repo_ready(struct web *w, struct err *e) MUST_USE;

#endif
