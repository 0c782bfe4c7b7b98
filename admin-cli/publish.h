/* admin-cli/publish.h - a prepared release to the server: objects first, then, in one step, its metadata.
 *
 * May be repeated at any time and continues where it was: the server is asked which objects it lacks, each
 * broken upload goes on where it stopped (upload.h), and a release that is there with the same contents
 * is success.  Of two that publish one version with different contents one wins; the other gets
 * E_EXISTS with both hashes. */
#ifndef VALISE_ADMIN_CLI_PUBLISH_H
#define VALISE_ADMIN_CLI_PUBLISH_H

#include "admin-cli/keys.h"
#include "admin-cli/prepare.h"
#include "admin-cli/remote.h"
#include "base/clock.h"

struct publish {
	struct remote *remote; /* borrowed, as all pointers here */
	const struct prepared *release;
	const struct key *key;
	const struct clock *clock;
	const struct rng *rng;
	/* For each object that has to go over the network; may be NULL. */
	void (*start)(void *arg, const char *path, uint64_t bytes);
	void (*progress)(void *arg, uint64_t bytes_there);
	void (*end)(void *arg, bool ok);
	bool (*wait)(void *arg, uint64_t ms,
		     struct err *e); /* before another try; NULL: sleeps */
	void *arg;

	/* Results. */
	bool was_there;
	uint64_t sent_bytes; /* objects' bytes that went over the network */
	size_t sent_objects;
};

bool publish_release(struct publish *p, struct err *e) MUST_USE;

/* The same in two steps, where more than one key has to sign: the objects go up (unless the role has
 * a release of this version: *ret_taken), then the next version of the role is made, unsigned. */
bool publish_objects(struct publish *p, bool *ret_taken, struct err *e) MUST_USE;
bool publish_role(const struct publish *p, const void *old, size_t old_n, uint64_t version,
		  struct buf *out, struct err *e) MUST_USE;

#endif
