#include "proto/seal.h"

#include <string.h>

#include <sodium.h>

enum { CONTEXT_SIZE = 32 };

_Static_assert(SEAL_KEY_SIZE == crypto_box_curve25519xchacha20poly1305_PUBLICKEYBYTES, "keys");
_Static_assert(SEAL_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "cipher keys");
_Static_assert(SEAL_NONCE_SIZE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonces");
_Static_assert(SEAL_TAG_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tags");
_Static_assert(SEAL_OVERHEAD == crypto_box_curve25519xchacha20poly1305_SEALBYTES + CONTEXT_SIZE,
	       "boxes");

static bool is_secret_key(const struct secret *key, struct err *e)
{
	if (key->n == SEAL_KEY_SIZE)
		return true;
	return err_set(e, E_FORMAT, "a secret of %zu bytes is no sealing key", key->n);
}

bool seal_public(uint8_t ret_pub[static SEAL_KEY_SIZE], const struct secret *key, struct err *e)
{
	if (!is_secret_key(key, e))
		return false;
	crypto_scalarmult_curve25519_base(ret_pub, key->p);
	return true;
}

bool seal_new(struct secret **ret, uint8_t ret_pub[static SEAL_KEY_SIZE], const struct rng *rng,
	      struct err *e)
{
	CLEANUP(secret_freep) struct secret *key = NULL;

	if (!secret_new(&key, SEAL_KEY_SIZE, e))
		return false;
	rng_fill(rng, key->p, key->n);
	crypto_scalarmult_curve25519_base(ret_pub, key->p);
	*ret = TAKE(key);
	return true;
}

/* The context stands inside the box, hashed: it is authenticated with the rest. */
static void hash_context(uint8_t out[static CONTEXT_SIZE], const char *context)
{
	crypto_generichash(out, CONTEXT_SIZE, (const uint8_t *)context, strlen(context), NULL,
			   0);
}

bool seal_box(struct buf *out, const uint8_t pub[static SEAL_KEY_SIZE], const char *context,
	      const void *p, size_t n, struct err *e)
{
	CLEANUP(secret_freep) struct secret *plain = NULL;
	uint8_t *to;

	if (!secret_new(&plain, CONTEXT_SIZE + n, e) ||
	    !buf_reserve(out, SEAL_OVERHEAD + n, &to, e))
		return false;
	hash_context(plain->p, context);
	if (n > 0)
		memcpy(plain->p + CONTEXT_SIZE, p, n);
	if (crypto_box_curve25519xchacha20poly1305_seal(to, plain->p, plain->n, pub) != 0)
		return err_set(e, E_FORMAT, "not a sealing key");
	buf_commit(out, SEAL_OVERHEAD + n);
	return true;
}

bool seal_open(struct secret **ret, const struct secret *key, const char *context,
	       const uint8_t *box, size_t n, struct err *e)
{
	CLEANUP(secret_freep) struct secret *plain = NULL;
	uint8_t pub[SEAL_KEY_SIZE], want[CONTEXT_SIZE];

	if (!seal_public(pub, key, e))
		return false;
	if (n < SEAL_OVERHEAD)
		return err_set(e, E_CORRUPT, "a sealed box of %zu bytes", n);
	if (!secret_new(&plain, n - SEAL_OVERHEAD + CONTEXT_SIZE, e))
		return false;
	if (crypto_box_curve25519xchacha20poly1305_seal_open(plain->p, box, n, pub, key->p) !=
	    0)
		return err_set(e, E_CORRUPT, "not sealed to this key, or altered");
	hash_context(want, context);
	if (sodium_memcmp(plain->p, want, CONTEXT_SIZE) != 0)
		return err_set(e, E_CORRUPT, "sealed for another place than %.100s", context);
	return secret_copy(ret, plain->p + CONTEXT_SIZE, plain->n - CONTEXT_SIZE, e);
}

bool seal_x25519(uint8_t ret[static SEAL_KEY_SIZE], const uint8_t secret[static SEAL_KEY_SIZE],
		 const uint8_t pub[static SEAL_KEY_SIZE], struct err *e)
{
	if (crypto_scalarmult_curve25519(ret, secret, pub) == 0)
		return true;
	return err_set(e, E_FORMAT, "an X25519 key of small order");
}

void seal_encrypt(uint8_t *out, const uint8_t key[static SEAL_KEY_SIZE],
		  const uint8_t nonce[static SEAL_NONCE_SIZE], const void *aad, size_t aad_n,
		  const void *p, size_t n)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, p, n, aad, aad_n, NULL, nonce,
						   key);
}

bool seal_decrypt(uint8_t *out, const uint8_t key[static SEAL_KEY_SIZE],
		  const uint8_t nonce[static SEAL_NONCE_SIZE], const void *aad, size_t aad_n,
		  const uint8_t *p, size_t n)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, p, n, aad, aad_n,
							  nonce, key) == 0;
}
