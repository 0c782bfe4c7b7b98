/* agent/policyd.h - the policy bundles that hold on this handset.
 *
 * `policies/=<name>@<version>.json` are bundles as signed.  `policies/index.json` lists every bundle that was
 * ever applied, with version, SHA-256, level and whether it holds now.  It is replaced after new files
 * are durable and before old ones go: a power cut leaves the old set or the new one.  A bundle that
 * no longer holds keeps its line, so that a lower version of it is refused if it comes back.
 *
 * What is applied can only narrow what a release's manifest allows (proto/policy.h). */
#ifndef VALISE_AGENT_POLICYD_H
#define VALISE_AGENT_POLICYD_H

#include "agent/trustdb.h"

struct applied {
	struct policy **bundles;
	enum policy_level *levels;
	uint8_t (*digests)[SHA256_SIZE];
	size_t n;
	struct policy_merged *merged; /* never NULL after a load: defaults, if n is 0 */
};
void applied_free(struct applied *a);
DEFINE_CLEANUP(struct applied, applied_free);

/* What holds now.  E_CORRUPT: a bundle's file is missing or damaged; then nothing may be run, as what
 * it forbade is not known, until it was fetched again. */
bool applied_load(struct applied **ret, int policies_dirfd, struct err *e) MUST_USE;

/* Brings the set that both repositories want: fetches what is new, checks hash, name and version against
 * the signed metadata, and makes it hold.  Nothing changes on failure.
 *
 * A bundle whose not_before is still to come stays as it was; *ret_waits then says that this has to be
 * called again later.  E_ROLLBACK: a version lower than the one stored.  *ret_changed: the set differs
 * from before.  https may be NULL if nothing should be fetched (E_NETWORK if something would have to be). */
bool policyd_apply(struct applied **ret, bool *ret_changed, bool *ret_waits, int policies_dirfd,
		   struct https *https, const struct wanted *w, int64_t now_s,
		   struct err *e) MUST_USE;

/* A JSON object with the settings for programs in the guest: the configuration drive's. */
bool applied_apps_config(struct buf *out, const struct applied *a, struct err *e) MUST_USE;

#endif
