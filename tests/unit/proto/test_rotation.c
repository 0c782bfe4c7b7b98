#include "tests/support/unit.h"

#include "base/io.h"
#include "base/text.h"
#include "proto/rotation.h"

#include <fcntl.h>

#define GOLDEN "tests/golden/rotation/v1/request.json"

static struct secret *key_of(uint8_t fill, uint8_t pub[static SIG_PUBLIC_SIZE])
{
	uint8_t seed[SIG_SEED_SIZE];
	struct secret *key;
	struct err e;

	memset(seed, fill, sizeof(seed));
	assert_ok(sig_from_seed(&key, pub, seed, &e), &e);
	return key;
}

/* From the key of ones to the key of twos. */
static struct rotation sample(void)
{
	CLEANUP(secret_freep) struct secret *old = NULL;
	CLEANUP(secret_freep) struct secret *new = NULL;
	struct rotation r = { .sealing = { 3 } };
	uint8_t pub[SIG_PUBLIC_SIZE];
	struct err e;

	old = key_of(1, pub);
	device_id_of(r.device, pub);
	new = key_of(2, r.identity);
	assert_ok(rotation_sign(&r, old, &e), &e);
	assert_memory_equal(r.old, pub, sizeof(pub));
	return r;
}

static void the_old_key_vouches_for_the_new_pair(void **state)
{
	struct rotation r = sample();
	struct err e;

	assert_ok(rotation_verify(&r, &e), &e);
}

static void every_bit_of_the_statement_counts(void **state)
{
	const struct rotation r = sample();
	struct err e;

	for (size_t bit = 0; bit < sizeof(r) * 8; bit++) {
		struct rotation bad = r;

		if (bit / 8 == DEVICE_ID_SIZE - 1)
			continue; /* the NUL of the id */
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_fails(rotation_verify(&bad, &e), &e, E_AUTH);
	}
}

static void who_has_not_the_old_secret_cannot_vouch(void **state)
{
	CLEANUP(secret_freep) struct secret *new = NULL;
	struct rotation r = sample();
	const struct rotation right = r;
	struct err e;

	/* The new key signs, in the old one's name. */
	new = key_of(2, r.identity);
	assert_ok(rotation_sign(&r, new, &e), &e);
	memcpy(r.old, right.old, sizeof(r.old));
	assert_fails(rotation_verify(&r, &e), &e, E_AUTH);
}

static void a_secret_of_another_size_does_not_sign(void **state)
{
	CLEANUP(secret_freep) struct secret *bad = NULL;
	struct rotation r = sample();
	struct err e;

	assert_ok(secret_new(&bad, 16, &e), &e);
	assert_fails(rotation_sign(&r, bad, &e), &e, E_FORMAT);
}

/* What is signed is part of the format: another implementation makes the same bytes. */
static void the_message_is_the_golden_one(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	const struct rotation want = sample();
	struct rotation r;
	struct err e;

	assert_ok(read_file_at(AT_FDCWD, GOLDEN, &in, &e), &e);
	assert_ok(rotation_parse(&r, in.p, in.n, &e), &e);
	assert_ok(rotation_verify(&r, &e), &e);
	assert_memory_equal(&r, &want, sizeof(r));
	assert_ok(rotation_encode(&r, &out, &e), &e);
	assert_string_equal(buf_str(&out), buf_str(&in));
}

static void encode(const struct rotation *r, struct buf *out)
{
	struct err e;

	buf_reset(out);
	assert_ok(rotation_encode(r, out, &e), &e);
}

static void refused(const char *text, enum err_code code)
{
	struct rotation r = { .device = "untouched" };
	struct err e;

	assert_fails(rotation_parse(&r, text, strlen(text), &e), &e, code);
	assert_string_equal(r.device, "untouched");
}

static void a_message_with_anything_missing_or_malformed_is_refused(void **state)
{
	static const char *const members[] = { "device", "old", "identity", "sealing",
					       "signature" };
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct rotation r = sample();

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		char name[16];

		encode(&r, &out);
		snprintf(name, sizeof(name), "\"%s\"", members[i]);
		char *at = strstr(buf_str(&out), name);
		assert_non_null(at);
		at[1] = '_'; /* an unknown member is ignored, so this one is missing */
		refused(buf_str(&out), E_FORMAT);
		encode(&r, &out);
		at = strstr(buf_str(&out), name) + strlen(name) + 2;
		*at = 'x';
		refused(buf_str(&out), E_FORMAT);
	}
	r.device[31] = 0;
	encode(&r, &out);
	refused(buf_str(&out), E_FORMAT);
	r = sample();
	memcpy(r.identity, r.old, sizeof(r.old));
	encode(&r, &out);
	refused(buf_str(&out), E_FORMAT);
	refused("", E_FORMAT);
	refused("[]", E_FORMAT);
	refused("{}", E_FORMAT);
}

static void a_message_that_is_too_long_is_refused(void **state)
{
	char text[LIMIT_ROTATION_BODY + 2];
	struct rotation r;
	struct err e;

	memset(text, ' ', sizeof(text));
	assert_fails(rotation_parse(&r, text, LIMIT_ROTATION_BODY + 1, &e), &e, E_TOO_BIG);
	assert_fails(rotation_parse(&r, text, LIMIT_ROTATION_BODY, &e), &e, E_FORMAT);
}

static void no_room_is_an_error(void **state)
{
	const struct rotation r = sample();
	struct err e;

	for (size_t room = 0; room < 64; room++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(room);

		assert_fails(rotation_encode(&r, &out, &e), &e, E_TOO_BIG);
	}
}

static void the_answer_names_a_fingerprint(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(256);
	char print[FINGERPRINT_SIZE] = "";
	struct err e;

	assert_ok(rotation_answer_encode("ABCD-EFGH-IJKL-MNOP", &out, &e), &e);
	assert_ok(rotation_answer_parse(print, out.p, out.n, &e), &e);
	assert_string_equal(print, "ABCD-EFGH-IJKL-MNOP");
	assert_fails(rotation_answer_parse(print, "{}", 2, &e), &e, E_FORMAT);
	assert_fails(rotation_answer_parse(print, "7", 1, &e), &e, E_FORMAT);
	assert_fails(rotation_answer_parse(print, out.p, LIMIT_ROTATION_BODY + 1, &e), &e,
		     E_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_old_key_vouches_for_the_new_pair),
		cmocka_unit_test(every_bit_of_the_statement_counts),
		cmocka_unit_test(who_has_not_the_old_secret_cannot_vouch),
		cmocka_unit_test(a_secret_of_another_size_does_not_sign),
		cmocka_unit_test(the_message_is_the_golden_one),
		cmocka_unit_test(a_message_with_anything_missing_or_malformed_is_refused),
		cmocka_unit_test(a_message_that_is_too_long_is_refused),
		cmocka_unit_test(no_room_is_an_error),
		cmocka_unit_test(the_answer_names_a_fingerprint),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
