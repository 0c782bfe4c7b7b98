#include "tests/support/unit.h"

#include "agent/identity.h"
#include "base/io.h"
#include "base/text.h"
#include "proto/sig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
	assert_int_equal(a.change, KEYS_FIRST);
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

/* ---- the change of keys ------------------------------------------------------------------ */

#define DEVICE "0123456789abcdef0123456789abcdef"
static const uint8_t server_a[SHA256_SIZE] = { 1 }, server_b[SHA256_SIZE] = { 2 };
enum { NOW_S = 1795000000, DAY_S = 86400 };

static struct identity made(int dirfd)
{
	struct identity id;
	struct err e;

	assert_ok(identity_make(&id, dirfd, rng_system(), &e), &e);
	return id;
}

static struct identity loaded(int dirfd)
{
	struct identity id;
	struct err e;

	assert_ok(identity_load(&id, dirfd, &e), &e);
	return id;
}

static void prepare(struct identity *id, int dirfd)
{
	struct err e;

	assert_ok(identity_prepare(id, dirfd, DEVICE, server_a, rng_system(), &e), &e);
}

static bool is_there(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, 0) == 0;
}

/* Whether any file of the folder holds these bytes as hex. */
static bool is_anywhere(int dirfd, const uint8_t *p, size_t n)
{
	static const char *const files[] = { "identity/signing.key", "identity/sealing.key",
					     "identity/signing.next.key",
					     "identity/sealing.next.key",
					     "identity/change.json" };
	char hex[2 * 64 + 1], text[4096];

	assert_true(n <= 64);
	hex_encode(hex, p, n);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (!is_there(dirfd, files[i]))
			continue;
		read_back_at(dirfd, files[i], text, sizeof(text));
		if (strstr(text, hex))
			return true;
	}
	return false;
}

static void what_is_asked_for_changes_nothing_yet(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	CLEANUP(secret_freep) struct secret *next = NULL;
	uint8_t pub[SIG_PUBLIC_SIZE];
	struct err e;

	prepare(&a, dirfd);
	CLEANUP(identity_done) struct identity b = loaded(dirfd);
	assert_int_equal(a.change, KEYS_ASKED);
	assert_int_equal(b.change, KEYS_ASKED);
	assert_memory_equal(a.signing_pub, b.signing_pub, IDENTITY_KEY);
	assert_memory_equal(a.sealing_pub, b.sealing_pub, SEALING_KEY);
	assert_memory_equal(&a.rotation, &b.rotation, sizeof(a.rotation));
	assert_memory_equal(b.server, server_a, SHA256_SIZE);
	assert_int_equal(a.since_s, b.since_s);
	/* Vouched for by the key that there is, shown with the one that shall be. */
	assert_string_equal(b.rotation.device, DEVICE);
	assert_memory_equal(b.rotation.now.old, a.signing_pub, IDENTITY_KEY);
	assert_ok(rotation_verify(&b.rotation, &e), &e);
	assert_ok(identity_next(&next, &b, dirfd, &e), &e);
	assert_ok(sig_public(pub, next, &e), &e);
	assert_memory_equal(b.rotation.now.identity, pub, sizeof(pub));
	assert_memory_not_equal(b.rotation.now.sealing, a.sealing_pub, SEALING_KEY);
}

static void what_the_server_has_is_the_pair_and_the_old_secrets_are_gone(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	uint8_t seed[SIG_SEED_SIZE], sealing[32];
	struct rotation r;
	uint8_t sig[SIG_SIZE];
	struct err e;

	memcpy(seed, a.signing->p, sizeof(seed));
	memcpy(sealing, a.sealing->p, sizeof(sealing));
	assert_true(is_anywhere(dirfd, seed, sizeof(seed)));
	prepare(&a, dirfd);
	r = a.rotation;
	assert_ok(identity_promote(&a, dirfd, NOW_S, &e), &e);
	CLEANUP(identity_done) struct identity b = loaded(dirfd);
	assert_int_equal(a.change, KEYS_DONE);
	assert_memory_equal(a.signing_pub, r.now.identity, IDENTITY_KEY);
	assert_memory_equal(a.sealing_pub, r.now.sealing, SEALING_KEY);
	assert_int_equal(a.since_s, NOW_S);
	assert_memory_equal(b.signing_pub, r.now.identity, IDENTITY_KEY);
	assert_memory_equal(&b.rotation, &r, sizeof(r)); /* to be shown again */
	assert_int_equal(b.since_s, NOW_S);
	assert_string_equal(a.fingerprint, b.fingerprint);
	assert_ok(sig_sign(sig, b.signing, "x", 1, &e), &e);
	assert_true(sig_verify_ed25519(r.now.identity, "x", 1, sig));
	assert_false(is_anywhere(dirfd, seed, sizeof(seed)));
	assert_false(is_anywhere(dirfd, sealing, sizeof(sealing)));
	assert_false(is_there(dirfd, "identity/signing.next.key"));
	assert_false(is_there(dirfd, "identity/sealing.next.key"));
}

static void a_change_follows_a_change(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	uint8_t second[IDENTITY_KEY];
	struct err e;

	prepare(&a, dirfd);
	assert_ok(identity_promote(&a, dirfd, NOW_S, &e), &e);
	memcpy(second, a.signing_pub, sizeof(second));
	prepare(&a, dirfd);
	assert_int_equal(a.since_s, NOW_S);
	assert_memory_equal(a.rotation.now.old, second, sizeof(second));
	assert_ok(rotation_verify(&a.rotation, &e), &e);
	assert_ok(identity_promote(&a, dirfd, NOW_S + 5, &e), &e);
	assert_memory_not_equal(a.signing_pub, second, sizeof(second));
	/* What came before is kept, for a server that is put back. */
	assert_int_equal(a.rotation.n_before, 1);
	assert_memory_equal(a.rotation.before[0].identity, second, sizeof(second));
	assert_ok(rotation_verify_before(&a.rotation, 0, &e), &e);
	/* With another server, before this one answered: the last one asked counts. */
	prepare(&a, dirfd);
	assert_ok(identity_prepare(&a, dirfd, DEVICE, server_b, rng_system(), &e), &e);
	CLEANUP(identity_done) struct identity b = loaded(dirfd);
	assert_memory_equal(b.server, server_b, SHA256_SIZE);
	assert_int_equal(b.rotation.n_before, 0); /* that one knows nothing of the others */
	assert_memory_equal(b.signing_pub, a.signing_pub, IDENTITY_KEY);
}

/* A next pair that nobody was asked for, left by a crash, never takes the place of the present one. */
static void a_pair_that_nobody_was_asked_for_is_not_taken(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	char signing[4096], sealing[4096], change[4096];
	struct err e;

	prepare(&a, dirfd);
	assert_ok(identity_promote(&a, dirfd, NOW_S, &e), &e);
	size_t n = read_back_at(dirfd, "identity/change.json", change, sizeof(change));
	prepare(&a, dirfd);
	size_t n_signing =
		read_back_at(dirfd, "identity/signing.next.key", signing, sizeof(signing));
	size_t n_sealing =
		read_back_at(dirfd, "identity/sealing.next.key", sealing, sizeof(sealing));
	write_file_at(dirfd, "identity/change.json", change, n);
	CLEANUP(identity_done) struct identity b = loaded(dirfd);
	assert_memory_equal(a.signing_pub, b.signing_pub, IDENTITY_KEY);
	assert_int_equal(b.change, KEYS_DONE);
	assert_true(n_signing > 0 && n_sealing > 0);
}

/* ---- cut off, or failing, anywhere ---- */

static void copy_file(int from, int to, const char *name)
{
	char bytes[4096];

	write_file_at(to, name, bytes, read_back_at(from, name, bytes, sizeof(bytes)));
}

/* A state folder of its own with the same first pair. */
static int copy_of(int from, const char *kind, unsigned n)
{
	CLEANUP(fd_closep) int inner = -1;
	char name[48];
	struct err e;
	int fd = -1;

	snprintf(name, sizeof(name), "%s%u", kind, n);
	assert_ok(dir_open_at(&fd, from, name, 0700, &e), &e);
	assert_ok(dir_open_at(&inner, fd, "identity", 0700, &e), &e);
	copy_file(from, fd, "identity/signing.key");
	copy_file(from, fd, "identity/sealing.key");
	return fd;
}

/* As the agent does it; the server is well. */
static bool change(int dirfd)
{
	CLEANUP(identity_done) struct identity id = { 0 };
	struct err e;

	return identity_load(&id, dirfd, &e) &&
	       (id.change != KEYS_FIRST ||
		identity_prepare(&id, dirfd, DEVICE, server_a, rng_system(), &e)) &&
	       (id.change != KEYS_ASKED || identity_promote(&id, dirfd, NOW_S, &e));
}

static void change_in_child(void *ctx)
{
	if (!change(*(int *)ctx))
		abort();
}

/* Whatever happened: the old pair, and then the next one is at hand if it was asked for, or the new pair;
 * and going on ends with the new one. */
static enum key_change assert_nothing_is_lost(int dirfd, const struct identity *first)
{
	CLEANUP(identity_done) struct identity id = loaded(dirfd);
	CLEANUP(secret_freep) struct secret *next = NULL;
	struct err e;

	if (id.change == KEYS_DONE) {
		assert_memory_equal(id.rotation.now.old, first->signing_pub, IDENTITY_KEY);
		assert_memory_equal(id.rotation.now.identity, id.signing_pub, IDENTITY_KEY);
		assert_memory_equal(id.rotation.now.sealing, id.sealing_pub, SEALING_KEY);
	} else {
		assert_memory_equal(id.signing_pub, first->signing_pub, IDENTITY_KEY);
		assert_memory_equal(id.sealing_pub, first->sealing_pub, SEALING_KEY);
	}
	if (id.change == KEYS_ASKED)
		assert_ok(identity_next(&next, &id, dirfd, &e), &e);
	assert_true(change(dirfd));
	CLEANUP(identity_done) struct identity last = loaded(dirfd);
	assert_int_equal(last.change, KEYS_DONE);
	if (id.change != KEYS_FIRST)
		assert_memory_equal(last.signing_pub, id.rotation.now.identity, IDENTITY_KEY);
	return id.change;
}

static void a_power_cut_anywhere_in_a_change_loses_nothing(void **state)
{
	CLEANUP(identity_done) struct identity first = made(tmpdir_fd(state));
	unsigned ended[3] = { 0 };
	bool cut = true;

	for (unsigned n = 1; cut; n++) {
		CLEANUP(fd_closep) int fd = copy_of(tmpdir_fd(state), "cut", n);

		cut = fault_power_cut(n, change_in_child, &fd);
		ended[assert_nothing_is_lost(fd, &first)]++;
	}
	/* Each stage was met, the last one at every step of wiping and moving two keys. */
	assert_true(ended[KEYS_FIRST] >= 6 && ended[KEYS_ASKED] >= 2 && ended[KEYS_DONE] >= 8);
}

static void a_failure_anywhere_in_a_change_loses_nothing(void **state)
{
	static const enum fault_kind kinds[] = { FAULT_ALLOC, FAULT_WRITE, FAULT_SYNC,
						 FAULT_RENAME };
	CLEANUP(identity_done) struct identity first = made(tmpdir_fd(state));

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool met = true;

		for (unsigned n = 1; met; n++) {
			CLEANUP(fd_closep)
			int fd = copy_of(tmpdir_fd(state), "fault", (unsigned)i * 1000 + n);

			fault_arm(kinds[i], n);
			bool ok = change(fd);
			met = fault_disarm();
			assert_true(ok || met);
			assert_nothing_is_lost(fd, &first);
		}
	}
}

/* ---- damage ---- */

static void keys_that_are_not_those_of_the_change_are_an_error(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	struct identity other = { 0 };
	char old[4096];
	struct err e;

	size_t n = read_back_at(dirfd, "identity/signing.key", old, sizeof(old));
	prepare(&a, dirfd);
	assert_ok(identity_promote(&a, dirfd, NOW_S, &e), &e);
	write_file_at(dirfd, "identity/signing.key", old, n);
	assert_fails(identity_load(&other, dirfd, &e), &e, E_CORRUPT);
	/* What is missing is lost, not new. */
	assert_int_equal(unlinkat(dirfd, "identity/signing.key", 0), 0);
	assert_fails(identity_make(&other, dirfd, rng_system(), &e), &e, E_NOT_FOUND);
}

static void a_damaged_change_is_an_error(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	char before[4096], after[4096];

	prepare(&a, dirfd);
	size_t n = read_back_at(dirfd, "identity/change.json", before, sizeof(before));
	for (size_t at = 0; at < n; at += 5) {
		struct identity other = { 0 };
		struct err e;

		memcpy(after, before, n);
		after[at] ^= 1;
		write_file_at(dirfd, "identity/change.json", after, n);
		if (identity_load(&other, dirfd, &e)) {
			/* Another date, server or signature: still the same keys. */
			assert_memory_equal(other.signing_pub, a.signing_pub, IDENTITY_KEY);
			identity_done(&other);
		} else {
			assert_true(e.code == E_CORRUPT || e.code == E_FORMAT ||
				    e.code == E_UNSUPPORTED);
		}
	}
}

static void a_next_key_that_was_exchanged_is_not_shown(void **state)
{
	int dirfd = tmpdir_fd(state);
	CLEANUP(identity_done) struct identity a = made(dirfd);
	struct secret *next = NULL;
	char bytes[4096];
	struct err e;

	prepare(&a, dirfd);
	write_file_at(dirfd, "identity/signing.next.key", bytes,
		      read_back_at(dirfd, "identity/signing.key", bytes, sizeof(bytes)));
	assert_fails(identity_next(&next, &a, dirfd, &e), &e, E_CORRUPT);
	assert_null(next);
}

/* ---- age ---- */

static void keys_are_due_at_their_age_and_not_all_at_once(void **state)
{
	struct identity id = { .since_s = NOW_S };
	const uint64_t year_s = 365 * DAY_S;
	unsigned early = 0;

	assert_false(identity_is_due(&id, 0, INT64_MAX)); /* never */
	assert_false(identity_is_due(&id, 1, NOW_S - 1)); /* a clock that went back */
	for (unsigned i = 0; i < 1000; i++) {
		rng_fill(rng_system(), id.signing_pub, sizeof(id.signing_pub));
		assert_false(identity_is_due(&id, year_s, NOW_S + 319 * (int64_t)DAY_S));
		assert_true(identity_is_due(&id, year_s, NOW_S + (int64_t)year_s));
		early += identity_is_due(&id, year_s, NOW_S + 342 * (int64_t)DAY_S);
	}
	/* Half of them in the first half of the last eighth. */
	assert_true(early > 350 && early < 650);
	assert_true(identity_is_due(&id, 1, NOW_S + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(keys_are_made_once_and_stay),
		TMPDIR_TEST(a_power_cut_while_making_them_ends_with_one_pair),
		TMPDIR_TEST(a_damaged_key_is_an_error_and_never_replaced),
		TMPDIR_TEST(what_is_asked_for_changes_nothing_yet),
		TMPDIR_TEST(what_the_server_has_is_the_pair_and_the_old_secrets_are_gone),
		TMPDIR_TEST(a_change_follows_a_change),
		TMPDIR_TEST(a_pair_that_nobody_was_asked_for_is_not_taken),
		TMPDIR_TEST(a_power_cut_anywhere_in_a_change_loses_nothing),
		TMPDIR_TEST(a_failure_anywhere_in_a_change_loses_nothing),
		TMPDIR_TEST(keys_that_are_not_those_of_the_change_are_an_error),
		TMPDIR_TEST(a_damaged_change_is_an_error),
		TMPDIR_TEST(a_next_key_that_was_exchanged_is_not_shown),
		cmocka_unit_test(keys_are_due_at_their_age_and_not_all_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
