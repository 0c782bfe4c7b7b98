/* agent/identity.h - the handset's two keys: Ed25519 to sign requests, X25519 to open sealed secrets; and
 * how they are changed for others.
 *
 * Made once, before anything is told to a server, and durable before they are used: a device that
 * forgot its key after enrolling would have to be enrolled again.  Files of `identity/` below the state
 * folder, mode 0600; keys in the format of proto/keyfile.h without a passphrase:
 *
 *	signing.key, sealing.key             the pair
 *	signing.next.key, sealing.next.key   the pair that shall follow
 *	change.json                          the last change of keys: what the old key signed (proto/rotation.h),
 *	                                     with which server, and how far it got: asked or done; and
 *	                                     the statements before it to the same server
 *
 *	         identity_prepare            the server has them             identity_promote
 *	the pair ----------------> asked ---------------------------> (same) -----------------> done
 *
 * Cut off anywhere: without `asked` the next pair is thrown away when another one is made; with it the
 * server is asked again, as often as it takes, by the next key and the signed statement.  `done` is
 * one write, and the next pair is the pair from then on, whatever the file names say: loading
 * overwrites the old secrets and moves the new ones into their place.  The statements stay, so that a
 * server that was put back to before some of the changes can be told again. */
#ifndef VALISE_AGENT_IDENTITY_H
#define VALISE_AGENT_IDENTITY_H

#include "base/rng.h"
#include "base/secret.h"
#include "proto/rotation.h"

enum key_change { KEYS_FIRST, KEYS_ASKED, KEYS_DONE };

struct identity {
	struct secret *signing, *sealing;
	uint8_t signing_pub[IDENTITY_KEY], sealing_pub[SEALING_KEY];
	char fingerprint[FINGERPRINT_SIZE]; /* for a human to compare */
	int64_t since_s; /* trusted time of the change; of the first pair: its file's */

	enum key_change change;
	struct rotation rotation;    /* unless KEYS_FIRST */
	uint8_t server[SHA256_SIZE]; /* hash of its first director root, as the ticket has it */
};

/* E_NOT_FOUND if there are no keys yet; E_CORRUPT for a damaged file, or keys that are not the ones
 * of change.json. */
bool identity_load(struct identity *ret, int state_dirfd, struct err *e) MUST_USE;

/* Loads what is there and makes what is not.  Cut off anywhere and called again it ends with one
 * pair; a damaged file is an error and never replaced. */
bool identity_make(struct identity *ret, int state_dirfd, const struct rng *rng,
		   struct err *e) MUST_USE;

/* Makes the next pair and the statement for it; all of it is durable when this returns.  Not while another
 * change with the same server is asked for. */
bool identity_prepare(struct identity *id, int state_dirfd, const char *device,
		      const uint8_t server[static SHA256_SIZE], const struct rng *rng,
		      struct err *e) MUST_USE;
/* The secret that the statement is shown with: the next signing key. */
bool identity_next(struct secret **ret, const struct identity *id, int state_dirfd,
		   struct err *e) MUST_USE;
/* The server has the next pair: it is the pair from now on.  When this fails it may be so already:
 * identity_load knows. */
bool identity_promote(struct identity *id, int state_dirfd, int64_t now_s,
		      struct err *e) MUST_USE;

/* What is asked for, as `from` has it; the keys stay. */
void identity_take_change(struct identity *id, const struct identity *from);

/* Whether the keys are older than max_age_s (0: they may be any age).  Handsets that were enrolled on the same
 * day come one after the other, within the last eighth of that time. */
bool identity_is_due(const struct identity *id, uint64_t max_age_s, int64_t now_s);

void identity_done(struct identity *id);

#endif
