#include "tests/support/unit.h"

#include "admin-cli/ask.h"
#include "admin-cli/keys.h"
#include "admin-cli/private.h"
#include "base/io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void mode_of(int dirfd, const char *name, unsigned mode)
{
	assert_int_equal(fchmodat(dirfd, name, mode, 0), 0);
}

static void a_secret_is_its_owners_alone(void **state)
{
	static const unsigned fine[] = { 0600, 0400, 0700, 0200 };
	int dirfd = tmpdir_fd(state);
	struct err e;

	write_file_at(dirfd, "token", "vt_x\n", 5);
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		mode_of(dirfd, "token", fine[i]);
		assert_ok(private_check(dirfd, "token", &e), &e);
	}
	for (unsigned bit = 1; bit <= 040; bit <<= 1) {
		mode_of(dirfd, "token", 0600 | bit);
		assert_fails(private_check(dirfd, "token", &e), &e, E_DENIED);
		assert_non_null(strstr(e.hint, "chmod 600"));
		mode_of(dirfd, "token", 0600);
	}
	assert_fails(private_check(dirfd, "missing", &e), &e, E_NOT_FOUND);
}

static void a_pipe_or_what_is_another_ones_is_theirs_to_see_to(void **state)
{
	int dirfd = tmpdir_fd(state), fds[2];
	struct err e;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_ok(private_check(fds[0], "", &e), &e);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(mkfifoat(dirfd, "fifo", 0666), 0);
	mode_of(dirfd, "fifo", 0666);
	assert_ok(private_check(dirfd, "fifo", &e), &e);
	if (geteuid() != 0)
		return; /* only root gives files away */
	write_file_at(dirfd, "token", "vt_x\n", 5);
	mode_of(dirfd, "token", 0640);
	assert_int_equal(fchownat(dirfd, "token", 65534, (gid_t)-1, 0), 0);
	assert_ok(private_check(dirfd, "token", &e), &e);
}

/* ---- who asks ---- */

static void a_secret_in_a_file_that_others_read_is_not_taken(void **state)
{
	CLEANUP(secret_freep) struct secret *got = NULL;
	char path[600];
	struct err e;

	snprintf(path, sizeof(path), "%s/pass", tmpdir_path(state));
	write_file_at(tmpdir_fd(state), "pass", "word\n", 5);
	mode_of(tmpdir_fd(state), "pass", 0644);
	assert_fails(ask_secret_file(&got, path, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, path));
	assert_null(got);
	mode_of(tmpdir_fd(state), "pass", 0600);
	assert_ok(ask_secret_file(&got, path, &e), &e);
	assert_int_equal(got->n, 4);
}

static void keys_and_token_of_the_home_are_looked_at(void **state)
{
	CLEANUP(key_done) struct key made = { 0 };
	CLEANUP(key_done) struct key opened = { 0 };
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(secret_freep) struct secret *token = NULL;
	char path[700];
	struct err e;

	snprintf(path, sizeof(path), "%s/home", tmpdir_path(state));
	assert_ok(home_open(&h, path, &e), &e);
	assert_ok(keys_new(&h, "open", "publisher", "", NULL, rng_system(), &made, &e), &e);
	assert_ok(keys_open(&h, "open", NULL, &opened, &e), &e);
	key_done(&opened);
	mode_of(tmpdir_fd(state), "home/keys/open.key", 0640);
	assert_fails(keys_open(&h, "open", NULL, &opened, &e), &e, E_DENIED);
	snprintf(path, sizeof(path), "%s/home/keys/open.key", tmpdir_path(state));
	assert_fails(keys_open(&h, path, NULL, &opened, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, "open.key"));

	assert_ok(home_save_token(&h, "vt_x", &e), &e);
	assert_ok(home_load_token(&h, &token, &e), &e);
	secret_free(TAKE(token));
	mode_of(tmpdir_fd(state), "home/token", 0604);
	assert_fails(home_load_token(&h, &token, &e), &e, E_DENIED);
	assert_null(token);
}

/* Its passphrase protects it. */
static void a_sealed_key_may_lie_about(void **state)
{
	CLEANUP(key_done) struct key made = { 0 };
	CLEANUP(key_done) struct key opened = { 0 };
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(secret_freep) struct secret *pass = NULL;
	char path[600];
	struct err e;

	snprintf(path, sizeof(path), "%s/home", tmpdir_path(state));
	assert_ok(secret_copy(&pass, "word", 4, &e), &e);
	assert_ok(home_open(&h, path, &e), &e);
	assert_ok(keys_new(&h, "sealed", "publisher", "", pass, rng_system(), &made, &e), &e);
	mode_of(tmpdir_fd(state), "home/keys/sealed.key", 0644);
	assert_ok(keys_open(&h, "sealed", pass, &opened, &e), &e);
	assert_memory_equal(opened.public, made.public, sizeof(made.public));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_secret_is_its_owners_alone),
		TMPDIR_TEST(a_pipe_or_what_is_another_ones_is_theirs_to_see_to),
		TMPDIR_TEST(a_secret_in_a_file_that_others_read_is_not_taken),
		TMPDIR_TEST(keys_and_token_of_the_home_are_looked_at),
		TMPDIR_TEST(a_sealed_key_may_lie_about),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
