/* proto/tuf_client.h - the TUF client workflow (TUF 1.0.34, section 5), without doing any I/O.
 *
 * Files, network and time are handed in, so the same code serves the image repository over HTTPS,
 * the director out of a check-in answer, the conformance tool and the tests.
 *
 *	CLEANUP(tuf_client_freep) struct tuf_client *c = NULL;
 *	if (!tuf_client_new(&c, &io, now_s, e) ||  // local root.json: the trust anchor
 *	    !tuf_client_refresh(c, e) ||           // root chain, timestamp, snapshot, targets
 *	    !tuf_client_find(&found, c, "releases/acme/1.0/release.json", e))
 *
 * What is requested, and nothing else: (N+1).root.json until one is not there, timestamp.json, and
 * if the stored ones are not what the timestamp and snapshot name, N.snapshot.json, N.targets.json;
 * delegated roles when a search reaches them.  No request is made twice.
 *
 * Each file is stored as received, as soon as it is accepted: a failure later on leaves what
 * was accepted before (the specification wants that).  Rollback, freeze and mix-and-match are
 * refused at each layer; expiry is checked when metadata is accepted, not afterwards.
 * Fast-forward recovery: stored timestamp and snapshot that the current root's keys did not
 * sign do not count, and both are removed when a new root takes away a key of either role.
 *
 * Errors: E_UNTRUSTED (signatures), E_ROLLBACK (older than what was accepted), E_EXPIRED,
 * E_CORRUPT (hash, length or version is not the announced one), E_FORMAT, E_NOT_FOUND (a file
 * that must be there), and whatever io gives.  The text begins with the role. */
#ifndef VALISE_PROTO_TUF_CLIENT_H
#define VALISE_PROTO_TUF_CLIENT_H

#include "proto/tuf.h"

struct tuf_client_io {
	void *ctx;
	/* The file below the metadata URL, at most max_bytes (E_TOO_BIG, best before reading more
	 * of it).  E_NOT_FOUND only if the server says that there is no such file (404, 403). */
	bool (*fetch)(void *ctx, struct buf *ret, const char *name, size_t max_bytes,
		      struct err *e);
	/* Local metadata, by unversioned name.  load: E_NOT_FOUND if there is none.  store replaces
	 * durably.  remove: a missing file is fine. */
	bool (*load)(void *ctx, struct buf *ret, const char *name, size_t max_bytes,
		     struct err *e);
	bool (*store)(void *ctx, const char *name, const void *p, size_t n, struct err *e);
	bool (*remove)(void *ctx, const char *name, struct err *e);
};

struct tuf_client;

/* Starts trust: checks that the bytes are a root signed by itself and stores them as root.json.
 * want_sha256 (or NULL) is the hash that the enrolment ticket names. */
bool tuf_client_init(const struct tuf_client_io *io, const void *root, size_t n,
		     const uint8_t *want_sha256, struct err *e) MUST_USE;

/* Loads the local root; no request is made.  io is borrowed as long as the client lives. */
bool tuf_client_new(struct tuf_client **ret, const struct tuf_client_io *io, int64_t now_s,
		    struct err *e) MUST_USE;
void tuf_client_free(struct tuf_client *c);
DEFINE_CLEANUP(struct tuf_client, tuf_client_free);

/* Sections 5.3 to 5.6 for the top-level roles.  Once per client. */
bool tuf_client_refresh(struct tuf_client *c, struct err *e) MUST_USE;

/* The first part of it by itself: the chain of roots up to the newest, whose expiry is checked by the
 * refresh that follows.  For who judges the time by what the newest root says, and then sets it. */
bool tuf_client_follow_roots(struct tuf_client *c, struct err *e) MUST_USE;
void tuf_client_set_time(struct tuf_client *c, int64_t now_s);

/* Instead of refresh: takes what is stored, with all checks but expiry, and never fetches, also not
 * in tuf_client_find.  For restarts between two refreshes. */
bool tuf_client_open_stored(struct tuf_client *c, struct err *e) MUST_USE;

/* Section 5.6.7: searches targets and its delegations in order of trust.  E_NOT_FOUND: no role that
 * may name this path does; a role's file that is not there is E_CORRUPT.  What is found is borrowed from the client. */
struct tuf_found {
	struct tuf_target target;
	const char *role;
};
bool tuf_client_find(struct tuf_found *ret, struct tuf_client *c, const char *path,
		     struct err *e) MUST_USE;

/* What is trusted now; NULL before it is.  Borrowed from the client. */
const struct tuf_meta *tuf_client_meta(const struct tuf_client *c, enum tuf_type type);

/* Where the target is, below the targets URL: with the hash in its name if the root says so. */
bool tuf_client_target_path(struct buf *out, const struct tuf_client *c,
			    const struct tuf_target *t, struct err *e) MUST_USE;

#endif
