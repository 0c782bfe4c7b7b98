#include "tests/support/unit.h"
#include "base/sha256.h"
#include "base/text.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

/* FIPS 180-4 examples, and "" */
static const struct {
	const char *text, *hex;
} vectors[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static void assert_hash(const uint8_t hash[SHA256_SIZE], const char *hex)
{
	char got[HEX_SIZE(SHA256_SIZE)];

	hex_encode(got, hash, SHA256_SIZE);
	assert_string_equal(got, hex);
}

static void vectors_match_in_all_ways(void **state)
{
	struct sha256 h;
	uint8_t out[SHA256_SIZE];
	struct err e;

	assert_ok(sha256_init(&h, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const char *s = vectors[i].text;
		size_t n = strlen(s);

		sha256(out, s, n);
		assert_hash(out, vectors[i].hex);
		for (size_t cut = 0; cut <= n; cut++) {
			sha256_two(out, s, cut, s + cut, n - cut);
			assert_hash(out, vectors[i].hex);
			sha256_update(&h, s, cut);
			sha256_update(&h, s + cut, n - cut);
			sha256_final(&h, out);
			assert_hash(out, vectors[i].hex);
		}
	}
	sha256_done(&h);
	sha256_done(&h);
}

static void sha512_matches_its_vector(void **state)
{
	uint8_t out[SHA512_SIZE];
	char hex[HEX_SIZE(SHA512_SIZE)];

	sha512(out, "abc", 3);
	hex_encode(hex, out, sizeof(out));
	assert_string_equal(hex,
			    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

/* RFC 4231 test case 2, and an empty key. */
static void hmac_matches_its_vector(void **state)
{
	uint8_t out[SHA256_SIZE];

	hmac_sha256(out, "Jefe", 4, "what do ya want for nothing?", 28);
	assert_hash(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_sha256(out, NULL, 0, "", 0);
	assert_hash(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void a_descriptor_is_hashed_from_its_start(void **state)
{
	uint8_t out[SHA256_SIZE];
	uint64_t size;
	struct err e;
	int fd;

	write_file_at(tmpdir_fd(state), "a", "abc", 3);
	fd = openat(tmpdir_fd(state), "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_ok(sha256_fd(out, &size, fd, &e), &e);
	assert_hash(out, vectors[1].hex);
	assert_int_equal(size, 3);
	close(fd);
	assert_fails(sha256_fd(out, NULL, -1, &e), &e, E_SYSTEM);
}

static void *hash_often(void *ok)
{
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t out[SHA256_SIZE];
		char hex[HEX_SIZE(SHA256_SIZE)];

		sha256(out, "abc", 3);
		hex_encode(hex, out, sizeof(out));
		if (strcmp(hex, vectors[1].hex) != 0)
			return NULL;
	}
	return ok;
}

static void threads_do_not_disturb_each_other(void **state)
{
	pthread_t t[4];
	void *ok;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, hash_often, &ok), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		pthread_join(t[i], &ok);
		assert_non_null(ok);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_match_in_all_ways),
		cmocka_unit_test(sha512_matches_its_vector),
		cmocka_unit_test(hmac_matches_its_vector),
		TMPDIR_TEST(a_descriptor_is_hashed_from_its_start),
		cmocka_unit_test(threads_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
