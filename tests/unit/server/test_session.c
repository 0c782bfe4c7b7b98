#include "tests/support/unit.h"

#include "base/secret.h"
#include "base/sha256.h"
#include "server/session.h"

#define DEVICE "0123456789abcdef0123456789abcdef"

enum { OVER = 1795000000 };

static void make(char id[static SESSION_ID_SIZE])
{
	struct rng_fake rng;

	rng_fake_init(&rng, 1);
	session_make(id, DEVICE, OVER, &rng.base);
}

static void a_session_is_good_for_its_device_until_it_is_over(void **state)
{
	char id[SESSION_ID_SIZE], device[DEVICE_ID_SIZE] = "untouched";
	struct err e;

	make(id);
	assert_int_equal(strlen(id), SESSION_ID_SIZE - 1);
	assert_fails(session_parse(device, id, OVER, &e), &e, E_AUTH);
	assert_non_null(strstr(e.text, "over"));
	assert_non_null(strstr(e.hint, "new session"));
	assert_fails(session_parse(device, id, OVER + 1, &e), &e, E_AUTH);
	assert_string_equal(device, "untouched");
	assert_ok(session_parse(device, id, OVER - 1, &e), &e);
	assert_string_equal(device, DEVICE);
}

static void two_sessions_of_a_device_are_two(void **state)
{
	char a[SESSION_ID_SIZE], b[SESSION_ID_SIZE];
	struct rng_fake rng;

	rng_fake_init(&rng, 1);
	session_make(a, DEVICE, OVER, &rng.base);
	session_make(b, DEVICE, OVER, &rng.base);
	assert_memory_equal(a, b, 44); /* device and end */
	assert_string_not_equal(a, b);
}

/* The key is bound to the device's identity key and to every letter of the id: device, end and number. */
static void another_id_or_identity_has_another_key(void **state)
{
	CLEANUP(secret_freep) struct secret *s = NULL, *other = NULL;
	char id[SESSION_ID_SIZE], bad[SESSION_ID_SIZE];
	uint8_t key[SESSION_KEY], bad_key[SESSION_KEY], identity[IDENTITY_KEY] = { 1 };
	struct err e;

	assert_ok(secret_copy(&s, "0123456789abcdef0123456789abcdef", 32, &e), &e);
	assert_ok(secret_copy(&other, "1123456789abcdef0123456789abcdef", 32, &e), &e);
	make(id);
	session_key(key, s, identity, id);
	session_key(bad_key, s, identity, id);
	assert_memory_equal(key, bad_key, sizeof(key));
	session_key(bad_key, other, identity, id);
	assert_memory_not_equal(key, bad_key, sizeof(key));
	identity[31] ^= 1;
	session_key(bad_key, s, identity, id);
	assert_memory_not_equal(key, bad_key, sizeof(key));
	identity[31] ^= 1;
	for (size_t i = 0; i < SESSION_ID_SIZE - 1; i++) {
		memcpy(bad, id, sizeof(bad));
		bad[i] = bad[i] == '0' ? '1' : '0';
		session_key(bad_key, s, identity, bad);
		assert_memory_not_equal(key, bad_key, sizeof(key));
	}
}

static void what_is_no_session_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		DEVICE,
		DEVICE ".006afd6940.0000000000000000x",
		DEVICE ".006afd6940.000000000000000",
		DEVICE "-006afd6940.0000000000000000",
		DEVICE ".006afd6940-0000000000000000",
		DEVICE ".006afd694g.0000000000000000",
		DEVICE ".006afd6940.000000000000000g",
		"0123456789ABCDEF0123456789abcdef.ffffffffff.0000000000000000",
		"../.456789abcdef0123456789abcdef.ffffffffff.0000000000000000",
	};
	char device[DEVICE_ID_SIZE] = "untouched";
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_fails(session_parse(device, bad[i], 0, &e), &e, E_AUTH);
		assert_string_equal(device, "untouched");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_good_for_its_device_until_it_is_over),
		cmocka_unit_test(two_sessions_of_a_device_are_two),
		cmocka_unit_test(another_id_or_identity_has_another_key),
		cmocka_unit_test(what_is_no_session_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
