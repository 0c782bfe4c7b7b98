/* proto/keyfile.h - a secret key in a file, sealed with a passphrase: Argon2id, then
 * XChaCha20-Poly1305 (seal.h), with all else in the file authenticated with it.
 *
 *	{ "_type": "valise-key", "cipher": "xchacha20-poly1305", "comment": "...", "format": 1,
 *	  "kdf": {"memory_kib": 262144, "name": "argon2id", "passes": 3, "salt": "<32 hex>"},
 *	  "keytype": "ed25519", "nonce": "<48 hex>", "public": "<64 hex>", "role": "image-root",
 *	  "sealed": "<hex>", "sum": "<64 hex>" }
 *
 * One line of canonical JSON and a newline.  "sum" is SHA-256 over the rest, so that a damaged file
 * (E_CORRUPT) is told from a wrong passphrase (E_AUTH).  Key files without a passphrase (the
 * daemon's online keys, the device's own: protected by file modes) have "cipher": "none" and no kdf
 * and nonce; their "sealed" is the secret.
 *
 * keytype "ed25519": 32-byte seed (the secret handed out is SIG_SECRET_SIZE bytes).  keytype "x25519":
 * 32-byte secret. */
#ifndef VALISE_PROTO_KEYFILE_H
#define VALISE_PROTO_KEYFILE_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/rng.h"
#include "base/secret.h"

enum keyfile_type { KEYFILE_ED25519, KEYFILE_X25519 };

enum { KEYFILE_ROLE_MAX = 64, KEYFILE_COMMENT_MAX = 256, KEYFILE_PUBLIC_SIZE = 32 };

/* What can be read without the passphrase.  Not to be believed before keyfile_open. */
struct keyfile_info {
	enum keyfile_type type;
	bool sealed; /* has a passphrase */
	uint8_t public[KEYFILE_PUBLIC_SIZE];
	char role[KEYFILE_ROLE_MAX + 1];       /* what it was made for: a hint for people */
	char comment[KEYFILE_COMMENT_MAX + 1]; /* one line */
};

/* How much work a guess costs. */
struct keyfile_cost {
	uint64_t memory_kib, passes;
};
#define KEYFILE_COST_DEFAULT ((struct keyfile_cost){ .memory_kib = 262144, .passes = 3 })
#define KEYFILE_COST_LEAST ((struct keyfile_cost){ .memory_kib = 8, .passes = 1 }) /* tests */

/* Appends the file's text.  passphrase NULL: not sealed.  E_NOMEM also when the memory for
 * Argon2id cannot be had. */
bool keyfile_encode(struct buf *out, const struct keyfile_info *info, const struct secret *key,
		    const struct secret *passphrase, const struct keyfile_cost *cost,
		    const struct rng *rng, struct err *e) MUST_USE;

bool keyfile_inspect(struct keyfile_info *ret, const void *p, size_t n, struct err *e) MUST_USE;

/* E_FORMAT: no key file.  E_CORRUPT: a damaged one.  E_AUTH: wrong passphrase (or none was given).
 * ret_info may be NULL.  The public key is checked against the secret. */
bool keyfile_open(struct secret **ret, struct keyfile_info *ret_info, const void *p, size_t n,
		  const struct secret *passphrase, struct err *e) MUST_USE;

#endif
