/* proto/sig.h - the door for signatures: Ed25519 through libsodium, ECDSA P-256 with SHA-256 and
 * RSASSA-PSS with SHA-256 through OpenSSL (those two verify only).
 *
 * What is refused, beyond wrong signatures:
 *   - Ed25519 (RFC 8032): S not below the group order (malleability), public keys that are not
 *     canonical or of small order, R of small order
 *   - ECDSA: curves other than the named P-256, signatures that are not minimal DER
 *   - RSA: moduli below 2048 or above 8192 bits, exponents below 65537, salts that are not 32 bytes
 *   - PEM: anything but one "PUBLIC KEY" block
 *
 * Secrets are 64 bytes in a struct secret, as libsodium has them (seed and public key). */
#ifndef VALISE_PROTO_SIG_H
#define VALISE_PROTO_SIG_H

#include "base/rng.h"
#include "base/secret.h"

enum {
	SIG_PUBLIC_SIZE = 32, /* Ed25519 public key */
	SIG_SECRET_SIZE = 64, /* Ed25519 secret: seed, then public key */
	SIG_SEED_SIZE = 32,
	SIG_SIZE = 64,         /* Ed25519 signature */
	SIG_MAX = 1024,        /* any signature that is verified (RSA with 8192 bits) */
	SIG_PEM_MAX = 4096,    /* a public key as text */
	SIG_MATERIAL_SIZE = 32 /* hash of kind and key: equal exactly when keys are */
};

enum sig_scheme { SIG_ED25519, SIG_ECDSA_P256, SIG_RSA_PSS };

/* A public key, ready to verify with. */
struct sig_key {
	enum sig_scheme scheme;
	uint8_t ed25519[SIG_PUBLIC_SIZE];
	uint8_t material[SIG_MATERIAL_SIZE];
	void *pkey; /* EVP_PKEY of the other two; NULL for none */
};

/* A key as TUF metadata names it: keytype "ed25519" (public: 64 hex digits), "ecdsa" or
 * "ecdsa-sha2-nistp256" with scheme "ecdsa-sha2-nistp256", "rsa" with scheme "rsassa-pss-sha256"
 * (public: PEM).  E_UNSUPPORTED: another type or scheme.  E_FORMAT: a key that is refused. */
bool sig_key_parse(struct sig_key *ret, const char *keytype, const char *scheme,
		   const char *text, struct err *e) MUST_USE;
bool sig_key_ed25519(struct sig_key *ret, const uint8_t pub[static SIG_PUBLIC_SIZE],
		     struct err *e) MUST_USE;
void sig_key_done(struct sig_key *k); /* NULL and zeroed are fine */

/* Whether sig is the key owner's signature over the n bytes.  There is one reason for false. */
bool sig_verify(const struct sig_key *k, const void *p, size_t n, const uint8_t *sig,
		size_t sig_n) MUST_USE;
/* The same for a bare Ed25519 key, without a struct sig_key. */
bool sig_verify_ed25519(const uint8_t pub[static SIG_PUBLIC_SIZE], const void *p, size_t n,
			const uint8_t sig[static SIG_SIZE]) MUST_USE;

/* Makes an Ed25519 key. */
bool sig_new(struct secret **ret, uint8_t ret_pub[static SIG_PUBLIC_SIZE],
	     const struct rng *rng, struct err *e) MUST_USE;
bool sig_from_seed(struct secret **ret, uint8_t ret_pub[static SIG_PUBLIC_SIZE],
		   const uint8_t seed[static SIG_SEED_SIZE], struct err *e) MUST_USE;
/* The public half of a secret. */
bool sig_public(uint8_t ret_pub[static SIG_PUBLIC_SIZE], const struct secret *key,
		struct err *e) MUST_USE;
/* E_FORMAT if the secret is not SIG_SECRET_SIZE bytes. */
bool sig_sign(uint8_t ret_sig[static SIG_SIZE], const struct secret *key, const void *p,
	      size_t n, struct err *e) MUST_USE;

#endif
