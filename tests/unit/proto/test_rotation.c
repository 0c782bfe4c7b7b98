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
	struct rotation r = { .now.sealing = { 3 } };
	uint8_t pub[SIG_PUBLIC_SIZE];
	struct err e;

	old = key_of(1, pub);
	device_id_of(r.device, pub);
	new = key_of(2, r.now.identity);
	assert_ok(rotation_sign(&r, old, &e), &e);
	assert_memory_equal(r.now.old, pub, sizeof(pub));
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

	for (size_t bit = 0; bit < offsetof(struct rotation, n_before) * 8; bit++) {
		struct rotation bad = r;

		if (bit / 8 == DEVICE_ID_SIZE - 1)
			continue; /* the NUL of the id */
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_fails(rotation_verify(&bad, &e), &e, E_AUTH);
	}
}

/* From the key of ones to that of n + 1, one after the other; what is kept of that. */
static struct rotation chain(unsigned n)
{
	struct rotation r = sample();
	struct err e;

	for (unsigned i = 2; i <= n; i++) {
		CLEANUP(secret_freep) struct secret *old = NULL;
		CLEANUP(secret_freep) struct secret *new = NULL;
		uint8_t pub[SIG_PUBLIC_SIZE];

		rotation_keep(&r);
		old = key_of((uint8_t)i, pub);
		new = key_of((uint8_t)(i + 1), r.now.identity);
		assert_ok(rotation_sign(&r, old, &e), &e);
	}
	return r;
}

static void what_came_before_is_kept_and_found_by_its_key(void **state)
{
	struct rotation r = chain(4);
	uint8_t pub[SIG_PUBLIC_SIZE];
	size_t n = 99;
	struct err e;

	assert_int_equal(r.n_before, 3);
	assert_ok(rotation_verify(&r, &e), &e);
	assert_ok(rotation_verify_before(&r, 0, &e), &e);
	for (unsigned i = 0; i < 4; i++) {
		secret_free(key_of((uint8_t)(i + 1), pub));
		assert_true(rotation_find(&n, &r, pub));
		assert_int_equal(n, i);
		assert_memory_equal(rotation_step(&r, n)->old, pub, sizeof(pub));
	}
	secret_free(key_of(5, pub)); /* the newest has signed nothing */
	n = 99;
	assert_false(rotation_find(&n, &r, pub));
	assert_int_equal(n, 99);
}

static void the_oldest_goes_when_no_more_are_kept(void **state)
{
	struct rotation full = chain(LIMIT_ROTATIONS_KEPT + 1);
	struct rotation over = chain(LIMIT_ROTATIONS_KEPT + 2);
	struct err e;

	assert_int_equal(full.n_before, LIMIT_ROTATIONS_KEPT);
	assert_int_equal(over.n_before, LIMIT_ROTATIONS_KEPT);
	assert_memory_equal(&over.before[0], &full.before[1], sizeof(over.before[0]));
	assert_memory_equal(&over.before[LIMIT_ROTATIONS_KEPT - 1], &full.now,
			    sizeof(full.now));
	assert_ok(rotation_verify_before(&over, 0, &e), &e);
}

static void each_of_those_before_is_verified_from_where_it_counts(void **state)
{
	const struct rotation r = chain(4);
	struct err e;

	for (size_t i = 0; i < r.n_before; i++) {
		struct rotation bad = r;

		bad.before[i].sealing[7] ^= 1;
		assert_ok(rotation_verify(&bad, &e), &e);
		for (size_t from = 0; from <= r.n_before; from++) {
			if (from <= i)
				assert_fails(rotation_verify_before(&bad, from, &e), &e,
					     E_AUTH);
			else
				assert_ok(rotation_verify_before(&bad, from, &e), &e);
		}
	}
}

static void who_has_not_the_old_secret_cannot_vouch(void **state)
{
	CLEANUP(secret_freep) struct secret *new = NULL;
	struct rotation r = sample();
	const struct rotation right = r;
	struct err e;

	/* The new key signs, in the old one's name. */
	new = key_of(2, r.now.identity);
	assert_ok(rotation_sign(&r, new, &e), &e);
	memcpy(r.now.old, right.now.old, sizeof(r.now.old));
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
	memcpy(r.now.identity, r.now.old, sizeof(r.now.old));
	encode(&r, &out);
	refused(buf_str(&out), E_FORMAT);
	refused("", E_FORMAT);
	refused("[]", E_FORMAT);
	refused("{}", E_FORMAT);
}

static void the_longest_history_fits(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_ROTATION_BODY);
	const struct rotation want = chain(LIMIT_ROTATIONS_KEPT + 1);
	struct rotation r;
	struct err e;

	encode(&want, &out);
	assert_ok(rotation_parse(&r, out.p, out.n, &e), &e);
	assert_memory_equal(&r, &want, sizeof(r));
}

static void a_history_that_does_not_lead_to_the_new_key_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	const struct rotation right = chain(4);
	struct rotation r = right;

	r.before[1].identity[0] ^= 1; /* not what the next began with */
	encode(&r, &out);
	refused(buf_str(&out), E_FORMAT);
	r = right;
	r.before[2] = r.before[1]; /* nor the newest */
	encode(&r, &out);
	refused(buf_str(&out), E_FORMAT);
	r = right;
	memcpy(r.before[0].old, r.before[0].identity, IDENTITY_KEY);
	encode(&r, &out);
	refused(buf_str(&out), E_FORMAT);
}

/* The message with this in the place of its history. */
static void refused_with(const char *history, enum err_code code)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct rotation r = sample();
	struct err e;

	encode(&r, &out);
	out.n--; /* the last brace */
	assert_ok(buf_printf(&out, &e, ",\"before\":%s}", history), &e);
	refused(buf_str(&out), code);
}

static void a_malformed_history_is_refused(void **state)
{
	refused_with("7", E_FORMAT);
	refused_with("[7]", E_FORMAT);
	refused_with("[{}]", E_FORMAT);
	refused_with("[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]", E_TOO_BIG);
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
		cmocka_unit_test(what_came_before_is_kept_and_found_by_its_key),
		cmocka_unit_test(the_oldest_goes_when_no_more_are_kept),
		cmocka_unit_test(each_of_those_before_is_verified_from_where_it_counts),
		cmocka_unit_test(who_has_not_the_old_secret_cannot_vouch),
		cmocka_unit_test(a_secret_of_another_size_does_not_sign),
		cmocka_unit_test(the_message_is_the_golden_one),
		cmocka_unit_test(a_message_with_anything_missing_or_malformed_is_refused),
		cmocka_unit_test(the_longest_history_fits),
		cmocka_unit_test(a_history_that_does_not_lead_to_the_new_key_is_refused),
		cmocka_unit_test(a_malformed_history_is_refused),
		cmocka_unit_test(a_message_that_is_too_long_is_refused),
		cmocka_unit_test(no_room_is_an_error),
		cmocka_unit_test(the_answer_names_a_fingerprint),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
