#include "tests/support/unit.h"

#include "tests/support/wycheproof.h"

#include "base/text.h"
#include "proto/seal.h"

static void key_new(struct secret **ret, uint8_t pub[static SEAL_KEY_SIZE], uint64_t seed)
{
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, seed);
	assert_ok(seal_new(ret, pub, &rng.base, &e), &e);
}

/* RFC 7748, section 6.1. */
static void x25519_is_as_the_rfc_has_it(void **state)
{
	uint8_t bob[32], alice_pub[32], bob_pub[32], pub[32], want[32], shared[32];
	struct secret s = { .p = bob, .n = 32 };
	struct err e;

	assert_true(hex_decode(
		bob, 32, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		64));
	assert_true(hex_decode(
		bob_pub, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		64));
	assert_true(hex_decode(
		alice_pub, 32,
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", 64));
	assert_true(hex_decode(
		want, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
		64));
	assert_ok(seal_public(pub, &s, &e), &e);
	assert_memory_equal(pub, bob_pub, 32);
	assert_ok(seal_x25519(shared, bob, alice_pub, &e), &e);
	assert_memory_equal(shared, want, 32);
}

static void what_was_sealed_opens_for_its_key_and_place_only(void **state)
{
	CLEANUP(secret_freep) struct secret *key = NULL;
	CLEANUP(secret_freep) struct secret *other = NULL;
	CLEANUP(secret_freep) struct secret *plain = NULL;
	CLEANUP(buf_done) struct buf box = BUF_INIT(1000);
	uint8_t pub[32], other_pub[32], shorter[31];
	struct secret bad = { .p = shorter, .n = sizeof(shorter) };
	struct err e;

	key_new(&key, pub, 1);
	key_new(&other, other_pub, 2);
	assert_ok(seal_box(&box, pub, "device-1/wifi.key", "secret", 6, &e), &e);
	assert_int_equal(box.n, SEAL_OVERHEAD + 6);
	assert_ok(seal_open(&plain, key, "device-1/wifi.key", box.p, box.n, &e), &e);
	assert_int_equal(plain->n, 6);
	assert_memory_equal(plain->p, "secret", 6);
	secret_free(TAKE(plain));
	assert_fails(seal_open(&plain, other, "device-1/wifi.key", box.p, box.n, &e), &e,
		     E_CORRUPT);
	assert_fails(seal_open(&plain, key, "device-1/mail.key", box.p, box.n, &e), &e,
		     E_CORRUPT);
	assert_fails(seal_open(&plain, &bad, "device-1/wifi.key", box.p, box.n, &e), &e,
		     E_FORMAT);
	for (size_t n = 0; n < box.n; n++)
		assert_fails(seal_open(&plain, key, "device-1/wifi.key", box.p, n, &e), &e,
			     E_CORRUPT);
	for (size_t bit = 0; bit < box.n * 8; bit++) {
		flip_bit(box.p, bit);
		/* the highest bit of an X25519 key means nothing (RFC 7748 section 5), but it
		 * is part of what the nonce is made of */
		assert_fails(seal_open(&plain, key, "device-1/wifi.key", box.p, box.n, &e), &e,
			     E_CORRUPT);
		flip_bit(box.p, bit);
	}
	assert_null(plain);
}

static void an_empty_secret_can_be_sealed(void **state)
{
	CLEANUP(secret_freep) struct secret *key = NULL;
	CLEANUP(secret_freep) struct secret *plain = NULL;
	CLEANUP(buf_done) struct buf box = BUF_INIT(1000);
	uint8_t pub[32];
	struct err e;

	key_new(&key, pub, 1);
	assert_ok(seal_box(&box, pub, "", NULL, 0, &e), &e);
	assert_ok(seal_open(&plain, key, "", box.p, box.n, &e), &e);
	assert_int_equal(plain->n, 0);
}

static void keys_of_small_order_are_refused(void **state)
{
	static const uint8_t zero[32], one[32] = { 1 };
	CLEANUP(buf_done) struct buf box = BUF_INIT(1000);
	CLEANUP(buf_done) struct buf small = BUF_INIT(10);
	uint8_t shared[32];
	struct err e;

	assert_fails(seal_box(&box, zero, "", "x", 1, &e), &e, E_FORMAT);
	assert_fails(seal_box(&box, one, "", "x", 1, &e), &e, E_FORMAT);
	assert_int_equal(box.n, 0);
	assert_fails(seal_x25519(shared, (const uint8_t[32]){ 8 }, zero, &e), &e, E_FORMAT);
	assert_fails(seal_box(&small, (const uint8_t[32]){ 9 }, "", "x", 1, &e), &e, E_TOO_BIG);
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, 1);
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(secret_freep) struct secret *key = NULL;
		CLEANUP(secret_freep) struct secret *plain = NULL;
		CLEANUP(buf_done) struct buf box = BUF_INIT(1000);
		uint8_t pub[32];

		if (!seal_new(&key, pub, &rng.base, &e) ||
		    !seal_box(&box, pub, "c", "x", 1, &e) ||
		    !seal_open(&plain, key, "c", box.p, box.n, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

static void check_x25519(const struct vector *v)
{
	size_t n;
	uint8_t *public = vector_hex(v, "public", &n), *private = vector_hex(v, "private", &n);
	uint8_t *want = vector_hex(v, "shared", &n), shared[32];
	static const uint8_t zero[32];
	struct err e;

	/* "acceptable" are keys on the twist and others that RFC 7748 lets through: they give
	 * their result, but a result of zero is an error (its section 6.1). */
	bool ok = seal_x25519(shared, private, public, &e);
	if (ok != (memcmp(want, zero, 32) != 0) || (ok && memcmp(shared, want, 32) != 0))
		fail_msg("test %d", (int)v->id);
	free(public);
	free(private);
	free(want);
}

static void check_xchacha(const struct vector *v)
{
	size_t key_n, iv_n, aad_n, msg_n, ct_n, tag_n;
	uint8_t *key = vector_hex(v, "key", &key_n), *iv = vector_hex(v, "iv", &iv_n);
	uint8_t *aad = vector_hex(v, "aad", &aad_n), *msg = vector_hex(v, "msg", &msg_n);
	uint8_t *ct = vector_hex(v, "ct", &ct_n), *tag = vector_hex(v, "tag", &tag_n);
	uint8_t sealed[2048], opened[2048];

	/* other sizes of nonce cannot be asked for with this API */
	if (iv_n == SEAL_NONCE_SIZE && tag_n == SEAL_TAG_SIZE) {
		assert_true(ct_n + tag_n <= sizeof(sealed));
		memcpy(sealed, ct, ct_n);
		memcpy(sealed + ct_n, tag, tag_n);
		bool ok = seal_decrypt(opened, key, iv, aad, aad_n, sealed, ct_n + tag_n);
		if (ok != v->valid || (ok && memcmp(opened, msg, msg_n) != 0))
			fail_msg("test %d", (int)v->id);
		if (v->valid) {
			seal_encrypt(opened, key, iv, aad, aad_n, msg, msg_n);
			assert_memory_equal(opened, sealed, ct_n + tag_n);
		}
	}
	free(key);
	free(iv);
	free(aad);
	free(msg);
	free(ct);
	free(tag);
}

static void wycheproof_x25519(void **state)
{
	wycheproof_run("x25519_test.json", check_x25519);
}

static void wycheproof_xchacha20_poly1305(void **state)
{
	wycheproof_run("xchacha20_poly1305_test.json", check_xchacha);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x25519_is_as_the_rfc_has_it),
		cmocka_unit_test(what_was_sealed_opens_for_its_key_and_place_only),
		cmocka_unit_test(an_empty_secret_can_be_sealed),
		cmocka_unit_test(keys_of_small_order_are_refused),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
		cmocka_unit_test(wycheproof_x25519),
		cmocka_unit_test(wycheproof_xchacha20_poly1305),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
