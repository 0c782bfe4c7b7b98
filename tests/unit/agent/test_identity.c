#include "tests/support/unit.h"

#include "agent/identity.h"
#include "base/io.h"
#include "proto/sig.h"

#include <fcntl.h>
#include <sys/stat.h>

static void keys_are_made_once_and_stay(void **state)
{
	CLEANUP(identity_done) struct identity a = { 0 };
	CLEANUP(identity_done) struct identity b = { 0 };
	uint8_t sig[SIG_SIZE];
	struct stat st;
	struct err e;

	assert_fails(identity_load(&a, tmpdir_fd(state), &e), &e, E_NOT_FOUND);
	assert_ok(identity_make(&a, tmpdir_fd(state), rng_system(), &e), &e);
	assert_ok(identity_make(&b, tmpdir_fd(state), rng_system(), &e), &e);
	assert_memory_equal(a.signing_pub, b.signing_pub, IDENTITY_KEY);
	assert_memory_equal(a.sealing_pub, b.sealing_pub, SEALING_KEY);
	assert_string_equal(a.device, b.device);
	assert_true(device_id_is_valid(a.device));
	assert_int_equal(strlen(a.fingerprint), FINGERPRINT_SIZE - 1);
	assert_ok(sig_sign(sig, b.signing, "x", 1, &e), &e);
	assert_true(sig_verify_ed25519(a.signing_pub, "x", 1, sig));
	assert_int_equal(fstatat(tmpdir_fd(state), "identity/signing.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(tmpdir_fd(state), "identity", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

struct maker {
	int dirfd;
};

static void make(void *ctx)
{
	struct maker *m = ctx;
	struct identity id = { 0 };
	struct err e;

	if (!identity_make(&id, m->dirfd, rng_system(), &e))
		abort();
	identity_done(&id);
}

static void a_power_cut_while_making_them_ends_with_one_pair(void **state)
{
	struct maker m = { tmpdir_fd(state) };
	uint8_t first[IDENTITY_KEY];
	bool have_first = false;

	for (unsigned n = 1; fault_power_cut(n, make, &m); n++) {
		CLEANUP(fd_closep)
		int fd = openat(m.dirfd, "identity/signing.key", O_RDONLY | O_CLOEXEC);
		struct identity id = { 0 };
		struct err e;

		if (fd < 0)
			continue;
		/* Once the first key is there it never changes again. */
		if (identity_load(&id, m.dirfd, &e)) {
			if (have_first)
				assert_memory_equal(first, id.signing_pub, IDENTITY_KEY);
			memcpy(first, id.signing_pub, IDENTITY_KEY);
			have_first = true;
		} else {
			assert_int_equal(e.code, E_NOT_FOUND);
		}
		identity_done(&id);
	}
}

static void a_damaged_key_is_an_error_and_never_replaced(void **state)
{
	CLEANUP(identity_done) struct identity id = { 0 };
	char before[4096], after[4096];
	struct err e;

	assert_ok(identity_make(&id, tmpdir_fd(state), rng_system(), &e), &e);
	size_t n =
		read_back_at(tmpdir_fd(state), "identity/signing.key", before, sizeof(before));
	for (size_t at = 0; at < n; at += 7) {
		struct identity other = { 0 };

		memcpy(after, before, n);
		after[at] ^= 1;
		write_file_at(tmpdir_fd(state), "identity/signing.key", after, n);
		if (identity_make(&other, tmpdir_fd(state), rng_system(), &e)) {
			/* A comment or blank that means nothing. */
			assert_memory_equal(other.signing_pub, id.signing_pub, IDENTITY_KEY);
			identity_done(&other);
		} else {
			assert_true(e.code == E_CORRUPT || e.code == E_FORMAT ||
				    e.code == E_UNSUPPORTED || e.code == E_AUTH);
		}
		char now[4096];
		assert_int_equal(read_back_at(tmpdir_fd(state), "identity/signing.key", now,
					      sizeof(now)),
				 n);
		assert_memory_equal(now, after, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(keys_are_made_once_and_stay),
		TMPDIR_TEST(a_power_cut_while_making_them_ends_with_one_pair),
		TMPDIR_TEST(a_damaged_key_is_an_error_and_never_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
