/* proto/uptane.h - Uptane full verification: the director says what this device shall run, the
 * image repository says what exists, and only what both say alike counts.
 *
 * (Uptane Standard 2.1.0, section 5.4.4.3; docs/FORMATS.md section 3.)  Both clients were
 * refreshed (or opened from the store) before.  Checked here:
 *   - the director's targets have no delegations and carry `valise` for this very device
 *   - the nonce, if one was sent, is the one in the answer
 *   - every target of the director exists in the image repository, found by its delegations,
 *     with equal path, length, hashes (sha256 at least) and custom fields
 *   - path and custom fields name the same product and version (or policy and version)
 *   - at most one release; its security version is at least the floor, that is the highest of the
 *     director's and of the one stored on the device */
#ifndef VALISE_PROTO_UPTANE_H
#define VALISE_PROTO_UPTANE_H

#include "proto/tuf_client.h"

struct uptane_item {
	char path[2 * LIMIT_NAME + LIMIT_VERSION + 32];
	char name[LIMIT_NAME + 1];       /* product, or policy */
	char version[LIMIT_VERSION + 1]; /* release: version text; policy: decimal number */
	uint64_t number;                 /* release: security version; policy: version */
	struct tuf_hashes hashes;        /* length and sha256 always */
	const struct jval *custom;       /* borrowed from the director's metadata */
};

struct uptane_want {
	bool has_release;
	struct uptane_item release;
	struct uptane_item *policies; /* heap, sorted by name; at most LIMIT_UPTANE_POLICIES */
	size_t n_policies;
	uint64_t lease_s;
	uint64_t security_version_floor; /* as the director says; the caller raises its own */
	char rollout[LIMIT_NAME + 1];    /* "" for none */
	const struct jval *commands;     /* array; borrowed from the director's client */
};

struct uptane_check {
	const char *device; /* own id */
	const char *nonce;  /* hex as sent in the check-in; NULL: any (stored metadata) */
	uint64_t stored_floor;
};

/* E_UNTRUSTED: the two do not agree, or it is for another device.  E_ROLLBACK: below the floor. */
bool uptane_verify(struct uptane_want *ret, struct tuf_client *director,
		   struct tuf_client *image, const struct uptane_check *check,
		   struct err *e) MUST_USE;
void uptane_want_done(struct uptane_want *w);

/* The server's half: whether a device's director targets, as they are about to be signed, have the
 * right shape (the keys process asks before it signs). */
bool uptane_director_parse(struct uptane_want *ret, const struct tuf_meta *targets,
			   const struct uptane_check *check, struct err *e) MUST_USE;

#endif
