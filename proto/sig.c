#include "proto/sig.h"
#include "base/text.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/params.h>
#include <sodium.h>

_Static_assert(SIG_PUBLIC_SIZE == crypto_sign_PUBLICKEYBYTES, "libsodium's public keys");
_Static_assert(SIG_SECRET_SIZE == crypto_sign_SECRETKEYBYTES, "libsodium's secret keys");
_Static_assert(SIG_SEED_SIZE == crypto_sign_SEEDBYTES, "libsodium's seeds");
_Static_assert(SIG_SIZE == crypto_sign_BYTES, "libsodium's signatures");

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

static void pkey_freep(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

static void bio_freep(BIO **p)
{
	BIO_free(*p);
}

static void bn_freep(BIGNUM **p)
{
	BN_free(*p);
}

static void md_ctx_freep(EVP_MD_CTX **p)
{
	EVP_MD_CTX_free(*p);
}

void sig_key_done(struct sig_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	*k = (struct sig_key){ 0 };
}

/* BLAKE2b, as it needs no memory: nothing may fail between a key and what it is known by. */
static void hash_material(uint8_t out[static SIG_MATERIAL_SIZE], const uint8_t *p, size_t n)
{
	crypto_generichash(out, SIG_MATERIAL_SIZE, p, n, NULL, 0);
}

/* ---- Ed25519 ------------------------------------------------------------------------------ */

bool sig_key_ed25519(struct sig_key *ret, const uint8_t pub[static SIG_PUBLIC_SIZE],
		     struct err *e)
{
	uint8_t tagged[1 + SIG_PUBLIC_SIZE] = { SIG_ED25519 };

	/* On the curve, canonical, and in the main subgroup: stricter than verification, which
	 * refuses only points of small order, and true for every key that was made honestly. */
	if (!crypto_core_ed25519_is_valid_point(pub))
		return err_set(e, E_FORMAT, "not an Ed25519 public key");
	memcpy(tagged + 1, pub, SIG_PUBLIC_SIZE);
	*ret = (struct sig_key){ .scheme = SIG_ED25519 };
	memcpy(ret->ed25519, pub, SIG_PUBLIC_SIZE);
	hash_material(ret->material, tagged, sizeof(tagged));
	return true;
}

bool sig_verify_ed25519(const uint8_t pub[static SIG_PUBLIC_SIZE], const void *p, size_t n,
			const uint8_t sig[static SIG_SIZE])
{
	return crypto_sign_verify_detached(sig, p, n, pub) == 0;
}

bool sig_from_seed(struct secret **ret, uint8_t ret_pub[static SIG_PUBLIC_SIZE],
		   const uint8_t seed[static SIG_SEED_SIZE], struct err *e)
{
	CLEANUP(secret_freep) struct secret *key = NULL;

	if (!secret_new(&key, SIG_SECRET_SIZE, e))
		return false;
	crypto_sign_seed_keypair(ret_pub, key->p, seed);
	*ret = TAKE(key);
	return true;
}

bool sig_new(struct secret **ret, uint8_t ret_pub[static SIG_PUBLIC_SIZE],
	     const struct rng *rng, struct err *e)
{
	CLEANUP(secret_freep) struct secret *seed = NULL;

	if (!secret_new(&seed, SIG_SEED_SIZE, e))
		return false;
	rng_fill(rng, seed->p, seed->n);
	return sig_from_seed(ret, ret_pub, seed->p, e);
}

static bool is_secret_key(const struct secret *key, struct err *e)
{
	if (key->n == SIG_SECRET_SIZE)
		return true;
	return err_set(e, E_FORMAT, "a secret of %zu bytes is no signing key", key->n);
}

bool sig_public(uint8_t ret_pub[static SIG_PUBLIC_SIZE], const struct secret *key,
		struct err *e)
{
	if (!is_secret_key(key, e))
		return false;
	memcpy(ret_pub, key->p + SIG_SEED_SIZE, SIG_PUBLIC_SIZE);
	return true;
}

bool sig_sign(uint8_t ret_sig[static SIG_SIZE], const struct secret *key, const void *p,
	      size_t n, struct err *e)
{
	if (!is_secret_key(key, e))
		return false;
	crypto_sign_detached(ret_sig, NULL, p, n, key->p);
	return true;
}

/* ---- keys as PEM -------------------------------------------------------------------------- */

/* OpenSSL would ask on the terminal for the passphrase of an encrypted block. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	return -1;
}

/* PEM readers skip what they do not know; two of them could find different keys in one text. */
static bool is_one_block(const char *text)
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----\n";
	static const char end[] = "\n-----END PUBLIC KEY-----";
	const char *tail = strstr(text, end);

	if (strncmp(text, begin, sizeof(begin) - 1) != 0 || !tail)
		return false;
	tail += sizeof(end) - 1;
	return strcmp(tail, "") == 0 || strcmp(tail, "\n") == 0;
}

static bool pem_parse(EVP_PKEY **ret, const char *text, struct err *e)
{
	size_t n = strnlen(text, SIG_PEM_MAX + 1);

	if (n > SIG_PEM_MAX || !is_one_block(text))
		return err_set(e, E_FORMAT, "not one PEM block \"PUBLIC KEY\"");
	CLEANUP(bio_freep) BIO *bio = BIO_new_mem_buf(text, (int)n);
	*ret = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
	ERR_clear_error();
	if (!*ret)
		return err_set(e, E_FORMAT, "no public key in the PEM block");
	return true;
}

/* Numbers of the key behind each other, each as long as given: the same for every encoding. */
static bool material(uint8_t out[static SIG_MATERIAL_SIZE], enum sig_scheme scheme,
		     const EVP_PKEY *pkey, const char *const names[2], int number_size)
{
	uint8_t all[1 + 2 * RSA_BITS_MAX / 8] = { (uint8_t)scheme };

	for (int i = 0; i < 2; i++) {
		CLEANUP(bn_freep) BIGNUM *bn = NULL;

		/* Numbers are bounded before; one that did not fit would leave zeros, and two
		 * such keys would count as one: on the safe side. */
		if (!EVP_PKEY_get_bn_param(pkey, names[i], &bn))
			return false;
		(void)BN_bn2binpad(bn, all + 1 + i * number_size, number_size);
	}
	hash_material(out, all, 1 + 2 * (size_t)number_size);
	return true;
}

static bool is_named_p256(const EVP_PKEY *pkey)
{
	char curve[32];
	int is_explicit = 0;

	return EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, curve,
					      sizeof(curve), NULL) &&
	       strcmp(curve, "prime256v1") == 0 &&
	       EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				      &is_explicit) &&
	       !is_explicit;
}

static bool ecdsa_parse(struct sig_key *ret, const char *text, struct err *e)
{
	static const char *const numbers[2] = { OSSL_PKEY_PARAM_EC_PUB_X,
						OSSL_PKEY_PARAM_EC_PUB_Y };
	CLEANUP(pkey_freep) EVP_PKEY *pkey = NULL;
	struct sig_key k = { .scheme = SIG_ECDSA_P256 };

	if (!pem_parse(&pkey, text, e))
		return false;
	if (!EVP_PKEY_is_a(pkey, "EC") || !is_named_p256(pkey) ||
	    !material(k.material, k.scheme, pkey, numbers, 32))
		return err_set(e, E_FORMAT, "not a key of the curve P-256");
	k.pkey = TAKE(pkey);
	*ret = k;
	return true;
}

static bool is_good_exponent(const EVP_PKEY *pkey)
{
	CLEANUP(bn_freep) BIGNUM *exponent = NULL;

	return EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &exponent) &&
	       BN_num_bits(exponent) >= 17 && BN_num_bits(exponent) <= 64 &&
	       BN_is_odd(exponent);
}

static bool rsa_parse(struct sig_key *ret, const char *text, struct err *e)
{
	static const char *const numbers[2] = { OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E };
	CLEANUP(pkey_freep) EVP_PKEY *pkey = NULL;
	struct sig_key k = { .scheme = SIG_RSA_PSS };

	if (!pem_parse(&pkey, text, e))
		return false;
	if (!EVP_PKEY_is_a(pkey, "RSA") || EVP_PKEY_get_bits(pkey) < RSA_BITS_MIN ||
	    EVP_PKEY_get_bits(pkey) > RSA_BITS_MAX || !is_good_exponent(pkey) ||
	    !material(k.material, k.scheme, pkey, numbers, RSA_BITS_MAX / 8))
		return err_set(e, E_FORMAT, "not an RSA key of %d to %d bits", RSA_BITS_MIN,
			       RSA_BITS_MAX);
	k.pkey = TAKE(pkey);
	*ret = k;
	return true;
}

static bool ed25519_parse(struct sig_key *ret, const char *text, struct err *e)
{
	uint8_t pub[SIG_PUBLIC_SIZE];

	if (!hex_decode(pub, sizeof(pub), text, strlen(text)))
		return err_set(e, E_FORMAT, "an Ed25519 key is %d hex digits",
			       2 * SIG_PUBLIC_SIZE);
	return sig_key_ed25519(ret, pub, e);
}

bool sig_key_parse(struct sig_key *ret, const char *keytype, const char *scheme,
		   const char *text, struct err *e)
{
	/* The keytype with the long name is what python-tuf wrote before 2022. */
	static const struct {
		const char *keytype, *scheme;
		bool (*parse)(struct sig_key *ret, const char *text, struct err *e);
	} kinds[] = {
		{ "ed25519", "ed25519", ed25519_parse },
		{ "ecdsa", "ecdsa-sha2-nistp256", ecdsa_parse },
		{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", ecdsa_parse },
		{ "rsa", "rsassa-pss-sha256", rsa_parse },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(keytype, kinds[i].keytype) == 0 &&
		    strcmp(scheme, kinds[i].scheme) == 0)
			return kinds[i].parse(ret, text, e);
	return err_set(e, E_UNSUPPORTED, "key type %.40s with scheme %.40s", keytype, scheme);
}

/* ---- verifying ---------------------------------------------------------------------------- */

/* The digest is SHA-256 for both; for RSA also of the mask generation, with a salt as long. */
static bool verify_openssl(const struct sig_key *k, const void *p, size_t n, const uint8_t *sig,
			   size_t sig_n)
{
	CLEANUP(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char pss[] = OSSL_PKEY_RSA_PAD_MODE_PSS, digest[] = OSSL_DIGEST_NAME_SHA2_256;
	int salt_size = 32;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_PAD_MODE, pss, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_MGF1_DIGEST, digest, 0),
		OSSL_PARAM_construct_int(OSSL_PKEY_PARAM_RSA_PSS_SALTLEN, &salt_size),
		OSSL_PARAM_construct_end(),
	};

	bool ok = ctx &&
		  EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, k->pkey,
					  k->scheme == SIG_RSA_PSS ? params : NULL) == 1 &&
		  EVP_DigestVerify(ctx, sig, sig_n, p, n) == 1;
	ERR_clear_error();
	return ok;
}

bool sig_verify(const struct sig_key *k, const void *p, size_t n, const uint8_t *sig,
		size_t sig_n)
{
	if (k->scheme == SIG_ED25519)
		return sig_n == SIG_SIZE &&
		       crypto_sign_verify_detached(sig, p, n, k->ed25519) == 0;
	return verify_openssl(k, p, n, sig, sig_n);
}
