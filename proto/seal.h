/* proto/seal.h - the door for encryption: boxes that only one device can open, and the cipher of
 * key files.  libsodium: X25519 and XChaCha20-Poly1305.
 *
 * A sealed box (for secrets in policies) has an ephemeral key, so the sender cannot open it again
 * and is not authenticated: the metadata around it is signed.  The context (for example device
 * id and setting) is bound into it: moved to another place, it does not open. */
#ifndef VALISE_PROTO_SEAL_H
#define VALISE_PROTO_SEAL_H

#include "base/buf.h"
#include "base/rng.h"
#include "base/secret.h"

enum {
	SEAL_KEY_SIZE = 32, /* X25519, public or secret; also the cipher's key */
	SEAL_NONCE_SIZE = 24,
	SEAL_TAG_SIZE = 16,
	SEAL_OVERHEAD = 32 + 16 + 32 /* a box is this much longer than what is in it */
};

/* An X25519 key pair. */
bool seal_new(struct secret **ret, uint8_t ret_pub[static SEAL_KEY_SIZE], const struct rng *rng,
	      struct err *e) MUST_USE;
bool seal_public(uint8_t ret_pub[static SEAL_KEY_SIZE], const struct secret *key,
		 struct err *e) MUST_USE;

/* Appends the box.  E_FORMAT: a public key of small order. */
bool seal_box(struct buf *out, const uint8_t pub[static SEAL_KEY_SIZE], const char *context,
	      const void *p, size_t n, struct err *e) MUST_USE;
/* E_CORRUPT: not for this key, not for this context, or altered. */
bool seal_open(struct secret **ret, const struct secret *key, const char *context,
	       const uint8_t *box, size_t n, struct err *e) MUST_USE;

/* X25519 (RFC 7748).  E_FORMAT if the result is zero (a public key of small order). */
bool seal_x25519(uint8_t ret[static SEAL_KEY_SIZE], const uint8_t secret[static SEAL_KEY_SIZE],
		 const uint8_t pub[static SEAL_KEY_SIZE], struct err *e) MUST_USE;
/* XChaCha20-Poly1305: out has n + SEAL_TAG_SIZE bytes, or n - SEAL_TAG_SIZE when opening. */
void seal_encrypt(uint8_t *out, const uint8_t key[static SEAL_KEY_SIZE],
		  const uint8_t nonce[static SEAL_NONCE_SIZE], const void *aad, size_t aad_n,
		  const void *p, size_t n);
bool seal_decrypt(uint8_t *out, const uint8_t key[static SEAL_KEY_SIZE],
		  const uint8_t nonce[static SEAL_NONCE_SIZE], const void *aad, size_t aad_n,
		  const uint8_t *p, size_t n) MUST_USE;

#endif
