/* server/online.h - the online keys: five TUF roles, one file each below keys/.
 *
 *	image-snapshot.key  image-timestamp.key
 *	director-targets.key  director-snapshot.key  director-timestamp.key
 *
 * A key that shall follow lies beside it as `image-snapshot.next.key`: made by `valised keys
 * rotate`, used from the moment when the newest root names it in the place of the old one (people
 * sign that root, server/repo.h accepts it), and put in the old one's place by `valised keys retire`.
 * Until then the server can sign with both, so no handset has to be touched and nothing stands still.
 *
 * Files are as in proto/keyfile.h, without passphrase (protected by mode 0400 in a folder of mode 0700
 * that belongs to mgr's user).  `session` beside them is the secret from which device session keys
 * are derived, 32 bytes; it signs nothing that a device believes. */
#ifndef VALISE_SERVER_ONLINE_H
#define VALISE_SERVER_ONLINE_H

#include "base/rng.h"
#include "base/secret.h"
#include "proto/sig.h"

#define ONLINE_ROLES(XX) /* id, repository, role */   \
	XX(IMAGE_SNAPSHOT, "image", "snapshot")       \
	XX(IMAGE_TIMESTAMP, "image", "timestamp")     \
	XX(DIRECTOR_TARGETS, "director", "targets")   \
	XX(DIRECTOR_SNAPSHOT, "director", "snapshot") \
	XX(DIRECTOR_TIMESTAMP, "director", "timestamp")

enum online_role {
#define XX(id, repo, role) ONLINE_##id,
	ONLINE_ROLES(XX)
#undef XX
		ONLINE_N,
};

struct online_role_row {
	const char *repo, *role;
};
extern const struct online_role_row online_roles[ONLINE_N];

/* What is public of them; as it stands it is what the keys process tells web. */
struct online_public {
	uint8_t key[ONLINE_N][SIG_PUBLIC_SIZE];
	uint8_t has_next[ONLINE_N]; /* 0 or 1 */
	uint8_t next[ONLINE_N][SIG_PUBLIC_SIZE];
};

struct online_keys {
	struct secret *secret[ONLINE_N];
	struct secret *next[ONLINE_N]; /* NULL: no key follows */
	struct online_public public;
};

/* Makes all files that are missing; E_EXISTS if any is there and `all_new`. */
bool online_create(int key_dir, const struct rng *rng, bool all_new, struct err *e) MUST_USE;
bool online_load(struct online_keys *ret, int key_dir, struct err *e) MUST_USE;
/* Makes a key that shall follow; one that is there already stays. */
bool online_create_next(int key_dir, enum online_role r, const struct rng *rng, bool *ret_made,
			struct err *e) MUST_USE;
/* The key that follows takes the place of the old one, in one step; the old one is gone then. */
bool online_promote(int key_dir, enum online_role r, struct err *e) MUST_USE;
void online_done(struct online_keys *k); /* wipes */

enum { SESSION_SECRET_SIZE = 32 };
bool online_load_session(struct secret **ret, int key_dir, struct err *e) MUST_USE;

#endif
