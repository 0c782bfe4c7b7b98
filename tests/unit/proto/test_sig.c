#include "tests/support/unit.h"

#include "tests/support/sig_samples.h"
#include "tests/support/wycheproof.h"

#include "base/text.h"
#include "proto/sig.h"

static const char message[] = "a message";

static size_t from_hex(uint8_t *out, size_t max, const char *hex)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= max && hex_decode(out, n, hex, 2 * n));
	return n;
}

/* RFC 8032, section 7.1. */
static const struct {
	const char *seed, *public, *message, *sig;
} rfc8032[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf"
	  "9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f"
	  "11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984"
	  "dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

static void ed25519_is_as_the_rfc_has_it(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rfc8032); i++) {
		CLEANUP(secret_freep) struct secret *key = NULL;
		uint8_t seed[32], want_pub[32], pub[32], again[32], msg[2], want[64], sig[64];
		size_t n = from_hex(msg, sizeof(msg), rfc8032[i].message);
		struct sig_key k;
		struct err e;

		from_hex(seed, 32, rfc8032[i].seed);
		from_hex(want_pub, 32, rfc8032[i].public);
		from_hex(want, 64, rfc8032[i].sig);
		assert_ok(sig_from_seed(&key, pub, seed, &e), &e);
		assert_memory_equal(pub, want_pub, 32);
		assert_ok(sig_public(again, key, &e), &e);
		assert_memory_equal(again, pub, 32);
		assert_ok(sig_sign(sig, key, msg, n, &e), &e);
		assert_memory_equal(sig, want, 64);
		assert_ok(sig_key_ed25519(&k, pub, &e), &e);
		assert_true(sig_verify(&k, msg, n, sig, 64));
		assert_true(sig_verify_ed25519(pub, msg, n, sig));
		assert_false(sig_verify(&k, msg, n, sig, 63));
		sig_key_done(&k);
	}
}

static void every_flipped_bit_of_a_signature_is_noticed(void **state)
{
	CLEANUP(secret_freep) struct secret *key = NULL;
	uint8_t pub[32], sig[64];
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, 1);
	assert_ok(sig_new(&key, pub, &rng.base, &e), &e);
	assert_ok(sig_sign(sig, key, message, sizeof(message), &e), &e);
	for (size_t bit = 0; bit < 512; bit++) {
		flip_bit(sig, bit);
		assert_false(sig_verify_ed25519(pub, message, sizeof(message), sig));
		flip_bit(sig, bit);
	}
	assert_true(sig_verify_ed25519(pub, message, sizeof(message), sig));
}

/* S + L gives a second signature that a lax verifier takes for the same message. */
static void a_malleable_signature_is_refused(void **state)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a,       0x63,
					   0x12, 0x58, 0xd6, 0x9c, 0xf7,       0xa2,
					   0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
	uint8_t pub[32], sig[64], msg[2];
	unsigned carry = 0;

	from_hex(pub, 32, rfc8032[2].public);
	from_hex(sig, 64, rfc8032[2].sig);
	from_hex(msg, 2, rfc8032[2].message);
	assert_true(sig_verify_ed25519(pub, msg, 2, sig));
	for (int i = 0; i < 32; i++) {
		carry += sig[32 + i] + order[i];
		sig[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_int_equal(carry, 0);
	assert_false(sig_verify_ed25519(pub, msg, 2, sig));
}

/* With a key of small order, one signature fits (nearly) every message. */
static void keys_that_make_signatures_worthless_are_refused(void **state)
{
	static const char *const keys[] = {
		/* small order, canonical: 0, 1, -1 and the points of order 8 */
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		/* the same, not reduced: p, p + 1, 2^255 - 1 */
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		/* with the sign bit where x is zero */
		"0100000000000000000000000000000000000000000000000000000000000080",
		/* not on the curve */
		"0200000000000000000000000000000000000000000000000000000000000000",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint8_t pub[32], sig[64] = { 1 }; /* R neutral, S = 0: fits the neutral key */
		struct sig_key k = { 0 };
		struct err e;

		from_hex(pub, 32, keys[i]);
		assert_fails(sig_key_ed25519(&k, pub, &e), &e, E_FORMAT);
		assert_fails(sig_key_parse(&k, "ed25519", "ed25519", keys[i], &e), &e,
			     E_FORMAT);
		assert_false(sig_verify_ed25519(pub, message, sizeof(message), sig));
	}
}

static void a_key_outside_of_the_main_subgroup_is_refused(void **state)
{
	/* The first key of RFC 8032 plus a point of order 2: (-x, -y). */
	uint8_t pub[32], p[32] = { 0xed }, neg[32];
	struct sig_key k;
	struct err e;
	int borrow = 0;

	memset(p + 1, 0xff, 30);
	p[31] = 0x7f;
	from_hex(pub, 32, rfc8032[0].public);
	for (int i = 0; i < 32; i++) {
		int d = p[i] - (i == 31 ? pub[i] & 0x7f : pub[i]) - borrow;

		neg[i] = (uint8_t)d;
		borrow = d < 0;
	}
	neg[31] |= (uint8_t)(~pub[31] & 0x80);
	assert_fails(sig_key_ed25519(&k, neg, &e), &e, E_FORMAT);
}

static void ecdsa_and_rsa_signatures_of_openssl_verify(void **state)
{
	static const struct {
		const char *keytype, *scheme, *pem, *sig;
	} cases[] = {
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_P256, SIG_P256 },
		{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", PEM_P256, SIG_P256 },
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_P256_COMPRESSED, SIG_P256 },
		{ "rsa", "rsassa-pss-sha256", PEM_RSA, SIG_RSA },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(sig_key_done) struct sig_key k = { 0 };
		uint8_t sig[SIG_MAX];
		size_t n = from_hex(sig, sizeof(sig), cases[i].sig);
		struct err e;

		assert_ok(sig_key_parse(&k, cases[i].keytype, cases[i].scheme, cases[i].pem,
					&e),
			  &e);
		assert_true(sig_verify(&k, message, sizeof(message) - 1, sig, n));
		assert_false(sig_verify(&k, message, sizeof(message), sig, n));
		assert_false(sig_verify(&k, message, sizeof(message) - 1, sig, n - 1));
		assert_false(sig_verify(&k, message, sizeof(message) - 1, sig, 0));
		for (size_t bit = 0; bit < 8 * n; bit += 3) {
			flip_bit(sig, bit);
			assert_false(sig_verify(&k, message, sizeof(message) - 1, sig, n));
			flip_bit(sig, bit);
		}
	}
}

static void a_der_signature_has_one_form(void **state)
{
	CLEANUP(sig_key_done) struct sig_key k = { 0 };
	uint8_t sig[SIG_MAX], longer[SIG_MAX];
	size_t n = from_hex(sig, sizeof(sig), SIG_P256);
	struct err e;

	assert_ok(sig_key_parse(&k, "ecdsa", "ecdsa-sha2-nistp256", PEM_P256, &e), &e);
	memcpy(longer, sig, n);
	longer[n] = 0; /* a byte behind it */
	assert_false(sig_verify(&k, message, sizeof(message) - 1, longer, n + 1));
	longer[1]++; /* counted in */
	assert_false(sig_verify(&k, message, sizeof(message) - 1, longer, n + 1));
	longer[0] = 0x30; /* length in two bytes instead of one */
	longer[1] = 0x81;
	memcpy(longer + 2, sig + 1, n - 1);
	assert_false(sig_verify(&k, message, sizeof(message) - 1, longer, n + 1));
}

static void rsa_signatures_with_other_padding_are_refused(void **state)
{
	static const char *const sigs[] = { SIG_RSA_SALT_20, SIG_RSA_SALT_0, SIG_RSA_MGF_SHA1,
					    SIG_RSA_PKCS1 };
	CLEANUP(sig_key_done) struct sig_key k = { 0 };
	uint8_t sig[SIG_MAX];
	struct err e;

	assert_ok(sig_key_parse(&k, "rsa", "rsassa-pss-sha256", PEM_RSA, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++) {
		size_t n = from_hex(sig, sizeof(sig), sigs[i]);

		assert_false(sig_verify(&k, message, sizeof(message) - 1, sig, n));
	}
}

static void keys_of_the_wrong_kind_are_refused(void **state)
{
	static const struct {
		const char *keytype, *scheme, *text;
		enum err_code code;
	} cases[] = {
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_P256_EXPLICIT, E_FORMAT },
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_P384, E_FORMAT },
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_K256, E_FORMAT },
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_RSA, E_FORMAT },
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_ED25519, E_FORMAT },
		{ "ecdsa", "ecdsa-sha2-nistp256", "04cbc5cab2684160323c25cd06c3307178a6b1d1",
		  E_FORMAT },
		{ "rsa", "rsassa-pss-sha256", PEM_RSA_1024, E_FORMAT },
		{ "rsa", "rsassa-pss-sha256", PEM_RSA_E3, E_FORMAT },
		{ "rsa", "rsassa-pss-sha256", PEM_RSA_PSS, E_FORMAT },
		{ "rsa", "rsassa-pss-sha256", PEM_P256, E_FORMAT },
		{ "rsa", "rsassa-pss-sha256", "", E_FORMAT },
		{ "ed25519", "ed25519", PEM_ED25519, E_FORMAT },
		{ "ed25519", "ed25519", "d75a98", E_FORMAT },
		{ "rsa", "rsa-pkcs1v15-sha256", PEM_RSA, E_UNSUPPORTED },
		{ "ecdsa", "ecdsa-sha2-nistp384", PEM_P384, E_UNSUPPORTED },
		{ "ed25519", "rsassa-pss-sha256", "", E_UNSUPPORTED },
		{ "sphincs", "sphincs-shake-128s", "", E_UNSUPPORTED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sig_key k = { 0 };
		struct err e;

		if (sig_key_parse(&k, cases[i].keytype, cases[i].scheme, cases[i].text, &e) ||
		    e.code != cases[i].code)
			fail_msg("case %zu: %s", i, e.text);
		assert_null(k.pkey);
		sig_key_done(&k);
	}
	sig_key_done(NULL);
}

/* A DER length of three bytes, behind its tag. */
static size_t der_head(uint8_t *out, uint8_t tag, size_t n)
{
	const uint8_t head[] = { tag, 0x82, (uint8_t)(n >> 8), (uint8_t)n };

	memcpy(out, head, sizeof(head));
	return sizeof(head);
}

/* An RSA key with a modulus of 0xff bytes (n_size of them) and this exponent, as PEM. */
static void rsa_pem(char *out, size_t out_size, size_t n_size, const uint8_t *exponent,
		    size_t exponent_n)
{
	static const uint8_t algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
					     0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
	static uint8_t der[2048];
	static char base64[BASE64_SIZE(sizeof(der))];
	size_t numbers = 4 + 1 + n_size + 4 + 1 + exponent_n, at;

	at = der_head(der, 0x30, sizeof(algorithm) + 4 + 1 + 4 + numbers);
	memcpy(der + at, algorithm, sizeof(algorithm));
	at += sizeof(algorithm);
	at += der_head(der + at, 0x03, 1 + 4 + numbers);
	der[at++] = 0;
	at += der_head(der + at, 0x30, numbers);
	at += der_head(der + at, 0x02, 1 + n_size);
	der[at++] = 0;
	memset(der + at, 0xff, n_size);
	at += n_size;
	at += der_head(der + at, 0x02, 1 + exponent_n);
	der[at++] = 0;
	memcpy(der + at, exponent, exponent_n);
	base64_encode(base64, der, at + exponent_n);
	at = (size_t)snprintf(out, out_size, "-----BEGIN PUBLIC KEY-----\n");
	for (const char *line = base64; *line; line += strnlen(line, 64))
		at += (size_t)snprintf(out + at, out_size - at, "%.64s\n", line);
	snprintf(out + at, out_size - at, "-----END PUBLIC KEY-----\n");
}

static void rsa_numbers_out_of_bounds_are_refused(void **state)
{
	static const struct {
		size_t n_size, exponent_n;
		uint8_t exponent[9];
		bool good;
	} cases[] = {
		{ 256, 3, { 0x81, 0, 1 }, true },
		{ 1024, 8, { 0xff, 0, 0, 0, 0, 0, 0, 1 }, true },
		{ 1025, 3, { 0x81, 0, 1 }, false },                  /* 8200 bits */
		{ 255, 3, { 0x81, 0, 1 }, false },                   /* 2040 bits */
		{ 256, 2, { 0xff, 0xff }, false },                   /* 16 bits */
		{ 256, 9, { 0x80, 0, 0, 0, 0, 0, 0, 0, 1 }, false }, /* 72 bits */
		{ 256, 3, { 0x81, 0, 2 }, false },                   /* even */
	};
	static char pem[SIG_PEM_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(sig_key_done) struct sig_key k = { 0 };
		struct err e;

		rsa_pem(pem, sizeof(pem), cases[i].n_size, cases[i].exponent,
			cases[i].exponent_n);
		bool ok = sig_key_parse(&k, "rsa", "rsassa-pss-sha256", pem, &e);
		if (ok != cases[i].good)
			fail_msg("case %zu: %s", i, ok ? "taken" : e.text);
	}
}

/* Text around or between is where two PEM readers would read different keys. */
static void a_pem_text_is_one_block_and_nothing_else(void **state)
{
	static const char *const texts[] = {
		" " PEM_P256,
		"# comment\n" PEM_P256,
		PEM_P256 "\n\n",
		PEM_P256 PEM_P256,
		PEM_P256 "x",
		"-----BEGIN PUBLIC KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
		"-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
		"00112233445566778899AABBCCDDEEFF\n\nAAAAAAAAAAAAAAAAAAAAAA==\n"
		"-----END PUBLIC KEY-----\n",
		"-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
	};
	static char big[SIG_PEM_MAX + 2];
	struct sig_key k = { 0 };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_fails(sig_key_parse(&k, "ecdsa", "ecdsa-sha2-nistp256", texts[i], &e),
			     &e, E_FORMAT);
	memset(big, 'A', sizeof(big) - 1);
	assert_fails(sig_key_parse(&k, "ecdsa", "ecdsa-sha2-nistp256", big, &e), &e, E_FORMAT);
	/* without the last newline it is the same block */
	static const char pem[] = PEM_P256;
	char chopped[sizeof(pem)];
	memcpy(chopped, pem, sizeof(pem));
	chopped[sizeof(pem) - 2] = '\0';
	assert_ok(sig_key_parse(&k, "ecdsa", "ecdsa-sha2-nistp256", chopped, &e), &e);
	sig_key_done(&k);
}

static void material_tells_keys_apart_and_encodings_not(void **state)
{
	CLEANUP(sig_key_done) struct sig_key a = { 0 };
	CLEANUP(sig_key_done) struct sig_key b = { 0 };
	CLEANUP(sig_key_done) struct sig_key c = { 0 };
	CLEANUP(sig_key_done) struct sig_key d = { 0 };
	struct err e;

	assert_ok(sig_key_parse(&a, "ecdsa", "ecdsa-sha2-nistp256", PEM_P256, &e), &e);
	assert_ok(sig_key_parse(&b, "ecdsa", "ecdsa-sha2-nistp256", PEM_P256_COMPRESSED, &e),
		  &e);
	assert_ok(sig_key_parse(&c, "rsa", "rsassa-pss-sha256", PEM_RSA, &e), &e);
	assert_ok(sig_key_parse(&d, "ed25519", "ed25519", rfc8032[0].public, &e), &e);
	assert_memory_equal(a.material, b.material, SIG_MATERIAL_SIZE);
	assert_memory_not_equal(a.material, c.material, SIG_MATERIAL_SIZE);
	assert_memory_not_equal(a.material, d.material, SIG_MATERIAL_SIZE);
}

static void a_secret_of_another_size_does_not_sign(void **state)
{
	CLEANUP(secret_freep) struct secret *seed = NULL;
	uint8_t sig[64], pub[32];
	struct err e;

	assert_ok(secret_new(&seed, SIG_SEED_SIZE, &e), &e);
	assert_fails(sig_sign(sig, seed, message, 1, &e), &e, E_FORMAT);
	assert_fails(sig_public(pub, seed, &e), &e, E_FORMAT);
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	struct rng_fake rng;
	uint8_t pub[32];
	struct err e;

	rng_fake_init(&rng, 1);
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(secret_freep) struct secret *key = NULL;

		if (!sig_new(&key, pub, &rng.base, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

/* ---- OpenSSL without memory: verification fails closed ------------------------------------- */

/* OpenSSL's headers are for one file only (mk/include-rules); this is all that is needed of them. */
int CRYPTO_set_mem_functions(void *(*alloc)(size_t, const char *, int),
			     void *(*again)(void *, size_t, const char *, int),
			     void (*release)(void *, const char *, int));

static long allocations_left = -1; /* negative: no limit */

static bool is_spent(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

static void *counted_malloc(size_t n, const char *file, int line)
{
	if (is_spent()) {
		allocations_left = 0; /* and all that follow */
		return NULL;
	}
	return malloc(n);
}

static void *counted_realloc(void *p, size_t n, const char *file, int line)
{
	if (is_spent()) {
		allocations_left = 0;
		return NULL;
	}
	return realloc(p, n);
}

static void counted_free(void *p, const char *file, int line)
{
	free(p);
}

static void without_memory_no_signature_is_good_and_no_key_is_read(void **state)
{
	static const struct {
		const char *keytype, *scheme, *pem, *sig;
	} cases[] = {
		{ "ecdsa", "ecdsa-sha2-nistp256", PEM_P256, SIG_P256 },
		{ "rsa", "rsassa-pss-sha256", PEM_RSA, SIG_RSA },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(sig_key_done) struct sig_key k = { 0 };
		uint8_t sig[SIG_MAX], wrong[SIG_MAX];
		size_t n = from_hex(sig, sizeof(sig), cases[i].sig);
		bool ok = false;
		struct err e;

		memcpy(wrong, sig, n);
		wrong[n - 1] ^= 1;
		for (long limit = 0; !ok; limit++) {
			sig_key_done(&k);
			allocations_left = limit;
			ok = sig_key_parse(&k, cases[i].keytype, cases[i].scheme, cases[i].pem,
					   &e);
			allocations_left = -1;
			assert_true(limit < 10000);
		}
		ok = false;
		for (long limit = 0; !ok; limit++) {
			allocations_left = limit;
			bool bad = sig_verify(&k, message, sizeof(message) - 1, wrong, n);
			allocations_left = limit;
			ok = sig_verify(&k, message, sizeof(message) - 1, sig, n);
			allocations_left = -1;
			assert_false(bad);
			assert_true(limit < 10000);
		}
	}
}

/* ---- Project Wycheproof ------------------------------------------------------------------- */

static void check_verify(const struct vector *v, const struct sig_key *k)
{
	size_t msg_n, sig_n;
	uint8_t *msg = vector_hex(v, "msg", &msg_n), *sig = vector_hex(v, "sig", &sig_n);

	if (sig_verify(k, msg, msg_n, sig, sig_n) != v->valid)
		fail_msg("test %d: %s", (int)v->id, v->valid ? "refused" : "accepted");
	free(msg);
	free(sig);
}

static void check_ed25519(const struct vector *v)
{
	CLEANUP(sig_key_done) struct sig_key k = { 0 };
	struct err e;

	assert_ok(sig_key_parse(&k, "ed25519", "ed25519",
				vector_text(jobj_opt(v->group, "publicKey"), "pk"), &e),
		  &e);
	check_verify(v, &k);
}

static void check_ecdsa(const struct vector *v)
{
	CLEANUP(sig_key_done) struct sig_key k = { 0 };
	struct err e;

	assert_ok(sig_key_parse(&k, "ecdsa", "ecdsa-sha2-nistp256",
				vector_text(v->group, "publicKeyPem"), &e),
		  &e);
	check_verify(v, &k);
}

static void check_rsa(const struct vector *v)
{
	CLEANUP(sig_key_done) struct sig_key k = { 0 };
	struct err e;

	assert_ok(sig_key_parse(&k, "rsa", "rsassa-pss-sha256",
				vector_text(v->group, "publicKeyPem"), &e),
		  &e);
	check_verify(v, &k);
}

static void wycheproof_ed25519(void **state)
{
	wycheproof_run("ed25519_test.json", check_ed25519);
}

static void wycheproof_ecdsa_p256(void **state)
{
	wycheproof_run("ecdsa_secp256r1_sha256_test.json", check_ecdsa);
}

static void wycheproof_rsa_pss(void **state)
{
	wycheproof_run("rsa_pss_2048_sha256_mgf1_32_test.json", check_rsa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ed25519_is_as_the_rfc_has_it),
		cmocka_unit_test(every_flipped_bit_of_a_signature_is_noticed),
		cmocka_unit_test(a_malleable_signature_is_refused),
		cmocka_unit_test(keys_that_make_signatures_worthless_are_refused),
		cmocka_unit_test(a_key_outside_of_the_main_subgroup_is_refused),
		cmocka_unit_test(ecdsa_and_rsa_signatures_of_openssl_verify),
		cmocka_unit_test(a_der_signature_has_one_form),
		cmocka_unit_test(rsa_signatures_with_other_padding_are_refused),
		cmocka_unit_test(keys_of_the_wrong_kind_are_refused),
		cmocka_unit_test(rsa_numbers_out_of_bounds_are_refused),
		cmocka_unit_test(a_pem_text_is_one_block_and_nothing_else),
		cmocka_unit_test(material_tells_keys_apart_and_encodings_not),
		cmocka_unit_test(a_secret_of_another_size_does_not_sign),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
		cmocka_unit_test(without_memory_no_signature_is_good_and_no_key_is_read),
		cmocka_unit_test(wycheproof_ed25519),
		cmocka_unit_test(wycheproof_ecdsa_p256),
		cmocka_unit_test(wycheproof_rsa_pss),
	};
	/* before OpenSSL's first allocation */
	if (!CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
