/* admin-cli/ceremony.h - metadata that several people sign, one after the other, on several machines.
 *
 * One file travels.  It carries what is to be signed and all that a signer needs to judge it without
 * a network: the chain of roots from version 1, and the older version of the same role.
 *
 *	{ "_type": "valise-ceremony", "format": 1, "repository": "image", "role": "root",
 *	  "roots": ["<1.root.json>", ...],   every root there is, as text
 *	  "targets": "<text>",               for a delegated role: the delegating one
 *	  "previous": "<text>",              the role's newest version; not for root, nor for a first one
 *	  "file": "<text>",                  what is signed, with the signatures up to now
 *	  "payload": "<text>" }              what goes up with it: release.json, or a policy bundle;
 *	                                     nothing for a role that is only signed anew
 *
 * Roles: "root" (of either repository), "targets", "releases.PRODUCT", "policies".
 *
 * Nothing in the file is believed because it is there.  ceremony_check walks the chain of roots,
 * holds it against the newest root that this home has seen (roots/REPOSITORY.root.json: the same
 * bytes at that version, never an older chain), verifies the previous version, and refuses the whole
 * file for one signature by a stranger or one that does not fit: somebody altered it.  So it does when the
 * list of a delegated role has anything new besides the payload: what is signed is what is shown. */
#ifndef VALISE_ADMIN_CLI_CEREMONY_H
#define VALISE_ADMIN_CLI_CEREMONY_H

#include "admin-cli/keys.h"
#include "admin-cli/remote.h"
#include "base/text.h"
#include "proto/tuf_make.h"

#define CEREMONY_FILE_MAX (16 * 1024 * 1024)

enum ceremony_repo { CEREMONY_IMAGE, CEREMONY_DIRECTOR };
extern const char *const ceremony_repos[]; /* NULL-terminated */

/* Whose signatures are wanted: both of them for a root, the first for all else. */
struct ceremony_need {
	const char *what;            /* "keys of root version 3" */
	const struct tuf_role *role; /* borrowed from the metadata that gives it */
	uint64_t have;
	bool *good; /* role->n_keys of them */
};

struct ceremony {
	enum ceremony_repo repo;
	char role[LIMIT_TUF_ROLE_NAME + 1];
	struct buf *roots; /* texts */
	size_t n_roots;
	struct buf targets, previous, file, payload; /* empty: there is none */

	/* filled by ceremony_check */
	struct tuf_meta *root;   /* newest of the chain */
	struct tuf_meta *giver;  /* parsed targets, for delegated roles */
	struct tuf_meta *before; /* parsed previous; NULL for a first version and for roots */
	bool before_signed;      /* by those who must sign now: what it has was seen by them */
	struct tuf_meta *meta;   /* parsed file */
	struct ceremony_need needs[2];
	size_t n_needs;
	bool first_sight; /* this home had seen no root of the repository */
	char root_sha256[HEX_SIZE(SHA256_SIZE)]; /* of version 1: what tickets carry */
};

/* Empty, to be filled by ceremony_roots and tuf_make_*. */
void ceremony_init(struct ceremony *c, enum ceremony_repo repo, const char *role);
void ceremony_done(struct ceremony *c);

/* The chain of roots as the server has it, and for other roles than root what belongs to them. */
bool ceremony_fetch(struct ceremony *c, struct remote *r, struct err *e) MUST_USE;

bool ceremony_parse(struct ceremony *ret, const void *p, size_t n, struct err *e) MUST_USE;
bool ceremony_encode(struct buf *out, const struct ceremony *c, struct err *e) MUST_USE;
bool ceremony_load(struct ceremony *ret, const char *path, struct err *e) MUST_USE;
bool ceremony_store(const struct ceremony *c, const char *path, struct err *e) MUST_USE;

/* Checks as above.  Without a file (nothing was made yet) all but it.  What was verified is
 * remembered in the home as its newest root, unless the home had seen none (first_sight).  E_UNTRUSTED, E_ROLLBACK, E_FORMAT. */
bool ceremony_check(struct ceremony *c, const struct home *h, struct err *e) MUST_USE;

/* Remembers the chain as the one this home trusts: when somebody has compared its hash and signs, or
 * when it came from the pinned server. */
bool ceremony_trust(const struct ceremony *c, const struct home *h, struct err *e) MUST_USE;

/* How many signatures are missing; 0: it can be published. */
uint64_t ceremony_missing(const struct ceremony *c);

/* Adds a signature.  E_UNTRUSTED if the key is none of those that are wanted. */
bool ceremony_sign(struct ceremony *c, const struct key *key, const struct home *h,
		   struct err *e) MUST_USE;
/* Whether a signature by the key would count and is not there yet. */
bool ceremony_wants(const struct ceremony *c, const uint8_t public[static KEYFILE_PUBLIC_SIZE],
		    bool *ret, struct err *e) MUST_USE;

/* What the file changes, a line each: who may sign what, what is published.  Changes against the
 * previous version only if that is signed by those who must sign now, else everything: a previous
 * version that somebody made up hides nothing. */
bool ceremony_changes(const struct ceremony *c, struct buf *out, struct err *e) MUST_USE;

/* Sends it where it belongs.  A release is asked for again while the server verifies it.  E_UNTRUSTED when
 * signatures are missing: ceremony_send sends that too, and E_PENDING is then the server's word that it
 * waits there (a release or a bundle). */
bool ceremony_send(const struct ceremony *c, struct remote *r, struct err *e) MUST_USE;
bool ceremony_publish(const struct ceremony *c, struct remote *r, struct err *e) MUST_USE;

#endif
