/* agent/identity.h - the handset's two keys: Ed25519 to sign requests, X25519 to open sealed secrets.
 *
 * Made once, before anything is told to a server, and durable before they are used: a device that
 * forgot its key after enrolling would have to be enrolled again.  Files `identity/signing.key` and
 * `identity/sealing.key` below the state folder, mode 0600, in the format of proto/keyfile.h without
 * a passphrase. */
#ifndef VALISE_AGENT_IDENTITY_H
#define VALISE_AGENT_IDENTITY_H

#include "base/rng.h"
#include "base/secret.h"
#include "proto/enrol.h"

struct identity {
	struct secret *signing, *sealing;
	uint8_t signing_pub[IDENTITY_KEY], sealing_pub[SEALING_KEY];
	char device[DEVICE_ID_SIZE];
	char fingerprint[FINGERPRINT_SIZE]; /* for a human to compare */
};

/* E_NOT_FOUND if there are no keys yet; E_CORRUPT for a damaged file. */
bool identity_load(struct identity *ret, int state_dirfd, struct err *e) MUST_USE;

/* Loads what is there and makes what is not.  Cut off anywhere and called again it ends with one
 * pair; a damaged file is an error and never replaced. */
bool identity_make(struct identity *ret, int state_dirfd, const struct rng *rng,
		   struct err *e) MUST_USE;

void identity_done(struct identity *id);

#endif
