/* admin-cli/ceremony_priv.h - what goes up with a signed list: release.json or a bundle. */
#ifndef VALISE_ADMIN_CLI_CEREMONY_PRIV_H
#define VALISE_ADMIN_CLI_CEREMONY_PRIV_H

#include "admin-cli/ceremony.h"
#include "proto/policy.h"
#include "proto/release.h"

struct ceremony_payload {
	char path[RELEASE_PATH_SIZE];  /* its own target */
	char below[RELEASE_PATH_SIZE]; /* its other targets begin so; a bundle has none: "" */
	struct release *release;       /* one of the two */
	struct policy *policy;
};

/* The payload, which there must be, has to be one of the role. */
bool ceremony_payload_parse(struct ceremony_payload *ret, const struct ceremony *c,
			    struct err *e) MUST_USE;
void ceremony_payload_done(struct ceremony_payload *p);

/* A signature is over the list of targets, and whoever gives it is shown the payload: the list must
 * have it under its own name, and besides what the previous version had nothing else.  Without a payload
 * (what is only signed anew) nothing at all. */
bool ceremony_payload_check(const struct ceremony *c, struct err *e) MUST_USE;

/* What is in it, a line each, for who signs. */
bool ceremony_payload_show(const struct ceremony_payload *p, const struct ceremony *c,
			   struct buf *out, struct err *e) MUST_USE;

#endif
