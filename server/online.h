/* server/online.h - the online keys: five TUF roles, one file each below keys/.
 *
 *	image-snapshot.key  image-timestamp.key
 *	director-targets.key  director-snapshot.key  director-timestamp.key
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

struct online_keys {
	struct secret *secret[ONLINE_N];
	uint8_t public[ONLINE_N][SIG_PUBLIC_SIZE];
};

/* Makes all files that are missing; E_EXISTS if any is there and `all_new`. */
bool online_create(int key_dir, const struct rng *rng, bool all_new, struct err *e) MUST_USE;
bool online_load(struct online_keys *ret, int key_dir, struct err *e) MUST_USE;
void online_done(struct online_keys *k); /* wipes */

enum { SESSION_SECRET_SIZE = 32 };
bool online_load_session(struct secret **ret, int key_dir, struct err *e) MUST_USE;

#endif
