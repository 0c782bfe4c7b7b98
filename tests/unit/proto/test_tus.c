#include "tests/support/unit.h"

#include "proto/tus.h"

/* SHA-256 of "abc", as hex in base64 and as bytes in base64. */
#define HEX64 \
	"YmE3ODE2YmY4ZjAxY2ZlYTQxNDE0MGRlNWRhZTIyMjNiMDAzNjFhMzk2MTc3YTljYjQxMGZmNjFmMjAwMTVhZA=="
#define RAW64 "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

static uint8_t abc[SHA256_SIZE];

static int make_digest(void **state)
{
	sha256(abc, "abc", 3);
	return 0;
}

static void lengths_and_offsets_are_plain_numbers(void **state)
{
	static const char *const bad[] = { "",    "-1",  "+1",  " 1", "1 ",
					   "1.0", "0x1", "1,1", "1\n" };
	uint64_t v = 7;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(tus_number_parse(&v, bad[i], strlen(bad[i]), 99, &e), &e,
			     E_FORMAT);
	assert_fails(tus_number_parse(&v, "100", 3, 99, &e), &e, E_TOO_BIG);
	assert_fails(tus_number_parse(&v, "99999999999999999999999", 23, UINT64_MAX, &e), &e,
		     E_TOO_BIG);
	assert_int_equal(v, 7);
	assert_ok(tus_number_parse(&v, "0", 1, 99, &e), &e);
	assert_int_equal(v, 0);
	assert_ok(tus_number_parse(&v, "0099", 4, 99, &e), &e);
	assert_int_equal(v, 99);
	assert_ok(tus_number_parse(&v, "18446744073709551615", 20, UINT64_MAX, &e), &e);
	assert_true(v == UINT64_MAX);
}

static void the_digest_is_found_among_other_metadata(void **state)
{
	static const char *const good[] = {
		"sha256 " HEX64,
		"filename d29ybGQ=,sha256 " HEX64,
		"is_confidential,sha256 " HEX64 ",filename d29ybGQ=",
		"a, sha256 " HEX64,
		"empty ,sha256 " HEX64,
	};
	char text[TUS_METADATA_SIZE];
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint8_t got[SHA256_SIZE] = { 0 };

		assert_ok(tus_metadata_parse(got, good[i], strlen(good[i]), &e), &e);
		assert_memory_equal(got, abc, sizeof(abc));
	}
	tus_metadata_format(text, abc);
	assert_string_equal(text, good[0]);
}

static void other_metadata_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		",",
		"sha256",
		"sha256 ",
		"sha256 !",
		"sha256 " RAW64,
		"SHA256 " HEX64,
		"sha256  " HEX64,
		"sha256 " HEX64 ",",
		"sha256 " HEX64 " x",
		",sha256 " HEX64,
		"sha256 " HEX64 ",sha256 " HEX64,
		"filename d29ybGQ=",
		"\tsha256 " HEX64,
		"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,sha256 " HEX64,
	};
	uint8_t got[SHA256_SIZE] = { 0 }, zero[SHA256_SIZE] = { 0 };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (tus_metadata_parse(got, bad[i], strlen(bad[i]), &e))
			fail_msg("accepted: %s", bad[i]);
	assert_memory_equal(got, zero, sizeof(zero));
}

static void checksums_are_sha256_only(void **state)
{
	static const char *const bad[] = { "sha256",           "sha256 ",
					   "sha256 " HEX64,    "sha256 YWJj",
					   "sha256  " RAW64,   " sha256 " RAW64,
					   "sha256 " RAW64 " " };
	uint8_t got[SHA256_SIZE] = { 0 };
	char text[TUS_CHECKSUM_SIZE];
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(tus_checksum_parse(got, bad[i], strlen(bad[i]), &e), &e, E_FORMAT);
	assert_fails(tus_checksum_parse(got, "sha1 qUqP5cyxm6YcTAhz05Hph5gvu9M=", 33, &e), &e,
		     E_UNSUPPORTED);
	assert_int_equal(got[0], 0);
	tus_checksum_format(text, abc);
	assert_string_equal(text, "sha256 " RAW64);
	assert_ok(tus_checksum_parse(got, text, strlen(text), &e), &e);
	assert_memory_equal(got, abc, sizeof(abc));
}

static void only_version_1_is_spoken(void **state)
{
	struct err e;

	assert_ok(tus_version_check("1.0.0", 5, &e), &e);
	assert_fails(tus_version_check("1.0.1", 5, &e), &e, E_UNSUPPORTED);
	assert_fails(tus_version_check("1.0.0 ", 6, &e), &e, E_UNSUPPORTED);
	assert_fails(tus_version_check("", 0, &e), &e, E_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_and_offsets_are_plain_numbers),
		cmocka_unit_test(the_digest_is_found_among_other_metadata),
		cmocka_unit_test(other_metadata_is_refused),
		cmocka_unit_test(checksums_are_sha256_only),
		cmocka_unit_test(only_version_1_is_spoken),
	};

	return cmocka_run_group_tests(tests, make_digest, NULL);
}
