#include "tests/support/unit.h"

#include "base/sha256.h"
#include "base/text.h"
#include "proto/keyfile.h"
#include "proto/seal.h"
#include "proto/sig.h"

#include <sys/resource.h>

struct made {
	struct secret *key, *passphrase;
	struct buf file;
	uint8_t public[32];
};

static void made_done(struct made *m)
{
	secret_free(m->key);
	secret_free(m->passphrase);
	buf_done(&m->file);
}

static void make(struct made *m, enum keyfile_type type, const char *passphrase)
{
	struct keyfile_info info = { .type = type,
				     .role = "image-root",
				     .comment = "Ada's \"key\"" };
	struct keyfile_cost cost = KEYFILE_COST_LEAST;
	struct rng_fake rng;
	struct err e;

	*m = (struct made){ .file = BUF_INIT(LIMIT_SECRET_FILE) };
	rng_fake_init(&rng, 3);
	assert_ok(type == KEYFILE_ED25519 ? sig_new(&m->key, m->public, &rng.base, &e)
					  : seal_new(&m->key, m->public, &rng.base, &e),
		  &e);
	if (passphrase)
		assert_ok(secret_copy(&m->passphrase, passphrase, strlen(passphrase), &e), &e);
	assert_ok(keyfile_encode(&m->file, &info, m->key, m->passphrase, &cost, &rng.base, &e),
		  &e);
}

static void a_key_comes_back_out_of_its_file(void **state)
{
	static const enum keyfile_type types[] = { KEYFILE_ED25519, KEYFILE_X25519 };
	static const char *const passphrases[] = { "correct horse", "", NULL };

	for (size_t t = 0; t < 2; t++)
		for (size_t p = 0; p < 3; p++) {
			CLEANUP(made_done) struct made m;
			CLEANUP(secret_freep) struct secret *key = NULL;
			struct keyfile_info info, look;
			struct err e;

			make(&m, types[t], passphrases[p]);
			assert_ok(keyfile_inspect(&look, m.file.p, m.file.n, &e), &e);
			assert_ok(keyfile_open(&key, &info, m.file.p, m.file.n, m.passphrase,
					       &e),
				  &e);
			assert_int_equal(key->n, m.key->n);
			assert_memory_equal(key->p, m.key->p, key->n);
			assert_memory_equal(&info, &look, sizeof(info));
			assert_int_equal(info.type, types[t]);
			assert_int_equal(info.sealed, passphrases[p] != NULL);
			assert_memory_equal(info.public, m.public, 32);
			assert_string_equal(info.role, "image-root");
			assert_string_equal(info.comment, "Ada's \"key\"");
			secret_free(TAKE(key));
			assert_ok(keyfile_open(&key, NULL, m.file.p, m.file.n, m.passphrase,
					       &e),
				  &e);
		}
}

static void a_sealed_file_does_not_hold_the_secret(void **state)
{
	CLEANUP(made_done) struct made m;
	char hex[HEX_SIZE(32)];

	make(&m, KEYFILE_ED25519, "x");
	hex_encode(hex, m.key->p, 32);
	assert_null(strstr(buf_str(&m.file), hex));
}

static void a_wrong_passphrase_is_told_from_damage(void **state)
{
	CLEANUP(made_done) struct made m;
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct secret wrong = { .p = (uint8_t *)(char[]){ "incorrect" }, .n = 9 };
	struct err e;

	make(&m, KEYFILE_ED25519, "correct");
	assert_fails(keyfile_open(&key, NULL, m.file.p, m.file.n, &wrong, &e), &e, E_AUTH);
	assert_string_equal(e.text, "key file: wrong passphrase");
	assert_fails(keyfile_open(&key, NULL, m.file.p, m.file.n, NULL, &e), &e, E_AUTH);
	for (size_t i = 30; i < m.file.n - 1; i++) {
		m.file.p[i] ^= 1;
		if (keyfile_open(&key, NULL, m.file.p, m.file.n, m.passphrase, &e))
			fail_msg("byte %zu", i);
		if (e.code != E_CORRUPT && e.code != E_UNSUPPORTED)
			fail_msg("byte %zu: %s: %s", i, err_name(e.code), e.text);
		m.file.p[i] ^= 1;
	}
	for (size_t n = 30; n < m.file.n - 1; n++)
		assert_fails(keyfile_open(&key, NULL, m.file.p, n, m.passphrase, &e), &e,
			     E_CORRUPT);
	assert_null(key);
}

static void what_is_no_key_file_is_said_to_be_none(void **state)
{
	static const char *const texts[] = {
		"", "{}", "[]", "hello", "{\"_type\":\"other\"}", "{\"_type\":\"valise-key\""
	};
	static char big[LIMIT_SECRET_FILE + 1];
	struct keyfile_info info;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_fails(keyfile_inspect(&info, texts[i], strlen(texts[i]), &e), &e,
			     E_FORMAT);
	memset(big, ' ', sizeof(big));
	assert_fails(keyfile_inspect(&info, big, sizeof(big), &e), &e, E_FORMAT);
}

/* A changed text with its sum put right, as somebody hostile would make it. */
static bool open_changed(const struct made *m, const char *from, const char *to, struct err *e)
{
	CLEANUP(secret_freep) struct secret *key = NULL;
	char text[LIMIT_SECRET_FILE], *sum;
	const char *old = buf_str(&m->file), *at = strstr(old, from);
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - old), old, to, at + strlen(from));
	sum = strstr(text, ",\"sum\":\"");
	sum[0] = '}';
	sum[1] = '\0';
	sha256(hash, text, strlen(text));
	hex_encode(hex, hash, sizeof(hash));
	snprintf(sum, sizeof(text) - (size_t)(sum - text), ",\"sum\":\"%s\"}\n", hex);
	return keyfile_open(&key, NULL, text, strlen(text), m->passphrase, e);
}

static void changes_with_a_right_sum_do_not_open_either(void **state)
{
	CLEANUP(made_done) struct made m;
	CLEANUP(made_done) struct made plain;
	struct err e;

	make(&m, KEYFILE_ED25519, "p");
	assert_ok(open_changed(&m, "image-root", "image-root", &e), &e);
	assert_fails(open_changed(&m, "image-root", "image-toor", &e), &e, E_AUTH);
	assert_fails(open_changed(&m, "Ada", "Eve", &e), &e, E_AUTH);
	assert_fails(open_changed(&m, "\"passes\":1", "\"passes\":2", &e), &e, E_AUTH);
	assert_fails(open_changed(&m, "\"keytype\":\"ed25519\"", "\"keytype\":\"x25519\"", &e),
		     &e, E_AUTH);
	/* what would cost a handset its memory is refused before */
	assert_fails(open_changed(&m, "\"memory_kib\":8", "\"memory_kib\":4194305", &e), &e,
		     E_CORRUPT);
	assert_fails(open_changed(&m, "\"memory_kib\":8", "\"memory_kib\":7", &e), &e,
		     E_CORRUPT);
	assert_fails(open_changed(&m, "\"passes\":1", "\"passes\":17", &e), &e, E_CORRUPT);
	assert_fails(open_changed(&m, "argon2id", "argon2i", &e), &e, E_CORRUPT);
	assert_fails(open_changed(&m, "\"format\":1", "\"format\":2", &e), &e, E_UNSUPPORTED);
	assert_fails(open_changed(&m, "\"role\"", "\"x\":0,\"role\"", &e), &e, E_CORRUPT);
	assert_fails(open_changed(&m, "\"kdf\"", "\"kdF\"", &e), &e, E_CORRUPT);
	assert_fails(open_changed(&m, "\"role\":\"image-root\"", "\"role\":1", &e), &e,
		     E_CORRUPT);
	assert_fails(open_changed(&m, "\"comment\":\"Ada", "\"comment\":\"\\n", &e), &e,
		     E_CORRUPT);
	make(&plain, KEYFILE_ED25519, NULL);
	assert_fails(open_changed(&plain, "\"keytype\":\"ed25519\"", "\"keytype\":\"x25519\"",
				  &e),
		     &e, E_CORRUPT);
	assert_string_equal(e.text, "key file: the public key is not the secret's");
}

static void a_cost_out_of_range_and_a_wrong_secret_are_refused(void **state)
{
	CLEANUP(made_done) struct made m;
	struct keyfile_info info = { .type = KEYFILE_X25519 };
	static const struct keyfile_cost costs[] = {
		{ 7, 1 }, { 4194305, 1 }, { 8, 0 }, { 8, 17 }
	};
	struct keyfile_cost least = KEYFILE_COST_LEAST;
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(buf_done) struct buf small = BUF_INIT(100);
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, 3);
	make(&m, KEYFILE_ED25519, "p");
	assert_fails(keyfile_encode(&out, &info, m.key, NULL, NULL, &rng.base, &e), &e,
		     E_FORMAT);
	info.type = KEYFILE_ED25519;
	for (size_t i = 0; i < ARRAY_SIZE(costs); i++)
		assert_fails(keyfile_encode(&out, &info, m.key, m.passphrase, &costs[i],
					    &rng.base, &e),
			     &e, E_USAGE);
	snprintf(info.comment, sizeof(info.comment), "\xff");
	assert_fails(keyfile_encode(&out, &info, m.key, m.passphrase, &least, &rng.base, &e),
		     &e, E_FORMAT);
	assert_fails(keyfile_encode(&out, &info, m.key, NULL, NULL, &rng.base, &e), &e,
		     E_FORMAT);
	info.comment[0] = '\0';
	assert_fails(keyfile_encode(&small, &info, m.key, NULL, NULL, &rng.base, &e), &e,
		     E_TOO_BIG);
	assert_int_equal(out.n, 0);
	assert_int_equal(small.n, 0);
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	CLEANUP(made_done) struct made m;
	struct keyfile_info info = { .type = KEYFILE_ED25519 };
	struct keyfile_cost cost = KEYFILE_COST_LEAST;
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, 3);
	make(&m, KEYFILE_ED25519, "p");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_SECRET_FILE);
		CLEANUP(secret_freep) struct secret *key = NULL;

		if (!keyfile_encode(&out, &info, m.key, m.passphrase, &cost, &rng.base, &e) ||
		    !keyfile_open(&key, NULL, out.p, out.n, m.passphrase, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	FAULT_EACH(n, FAULT_ALLOC) {
		if (!keyfile_inspect(&info, m.file.p, m.file.n, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

static void no_room_at_any_place_is_an_error_and_leaves_nothing(void **state)
{
	CLEANUP(made_done) struct made m;
	struct keyfile_info info = { .type = KEYFILE_ED25519, .role = "image-root" };
	struct rng_fake rng;
	bool ok = false;
	struct err e;

	rng_fake_init(&rng, 3);
	make(&m, KEYFILE_ED25519, NULL);
	for (size_t room = 1; !ok; room++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(room);

		assert_true(room < LIMIT_SECRET_FILE);
		ok = keyfile_encode(&out, &info, m.key, NULL, NULL, &rng.base, &e);
		if (!ok)
			assert_int_equal(e.code, E_TOO_BIG);
	}
}

static void a_kdf_that_is_no_object_is_damage(void **state)
{
	CLEANUP(made_done) struct made m;
	char from[200];
	const char *at, *end;
	struct err e;

	make(&m, KEYFILE_ED25519, "p");
	at = strstr(buf_str(&m.file), "\"kdf\":{");
	end = strchr(at, '}');
	snprintf(from, sizeof(from), "%.*s", (int)(end - at + 1), at);
	assert_fails(open_changed(&m, from, "\"kdf\":3", &e), &e, E_CORRUPT);
}

/* Not for the sanitizers, which need the address space themselves. */
static void a_passphrase_that_costs_more_memory_than_there_is_says_so(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
	skip();
#else
	CLEANUP(made_done) struct made m;
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_SECRET_FILE);
	struct keyfile_info info = { .type = KEYFILE_ED25519 };
	struct keyfile_cost cost = { .memory_kib = 4194304, .passes = 1 };
	struct rlimit before, small;
	struct rng_fake rng;
	struct err e;
	bool ok;

	rng_fake_init(&rng, 3);
	make(&m, KEYFILE_ED25519, "p");
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	small = before;
	small.rlim_cur = 1 << 30;
	assert_int_equal(setrlimit(RLIMIT_AS, &small), 0);
	ok = keyfile_encode(&out, &info, m.key, m.passphrase, &cost, &rng.base, &e);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_false(ok);
	assert_int_equal(e.code, E_NOMEM);
	assert_non_null(strstr(e.text, "4194304 KiB"));
	assert_int_equal(out.n, 0);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_comes_back_out_of_its_file),
		cmocka_unit_test(a_sealed_file_does_not_hold_the_secret),
		cmocka_unit_test(a_wrong_passphrase_is_told_from_damage),
		cmocka_unit_test(what_is_no_key_file_is_said_to_be_none),
		cmocka_unit_test(changes_with_a_right_sum_do_not_open_either),
		cmocka_unit_test(a_cost_out_of_range_and_a_wrong_secret_are_refused),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
		cmocka_unit_test(no_room_at_any_place_is_an_error_and_leaves_nothing),
		cmocka_unit_test(a_kdf_that_is_no_object_is_damage),
		cmocka_unit_test(a_passphrase_that_costs_more_memory_than_there_is_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
