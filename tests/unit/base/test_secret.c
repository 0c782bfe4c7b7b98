#include "tests/support/unit.h"
#include "base/limits.h"
#include "base/secret.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_new_secret_is_zeroed_and_a_copy_is_equal(void **state)
{
	CLEANUP(secret_freep) struct secret *s = NULL;
	CLEANUP(secret_freep) struct secret *copy = NULL;
	static const uint8_t zero[32];
	struct err e;

	assert_ok(secret_new(&s, 32, &e), &e);
	assert_memory_equal(s->p, zero, 32);
	assert_ok(secret_copy(&copy, "key", 3, &e), &e);
	assert_int_equal(copy->n, 3);
	assert_memory_equal(copy->p, "key", 3);
	secret_free(NULL);
}

static void reading_past_a_secret_ends_the_process(void **state)
{
	pid_t pid;
	int status;

	if (ADDRESS_SANITIZED)
		skip(); /* would report it in its own way */
	pid = fork();
	if (pid == 0) {
		struct secret *s;
		struct err e;

		signal(SIGSEGV, SIG_DFL);
		if (!secret_new(&s, 32, &e))
			child_exit(1);
		child_exit(*(volatile uint8_t *)(s->p + s->n));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void read_text(void **state, const char *text, size_t n, size_t wanted_n)
{
	CLEANUP(secret_freep) struct secret *s = NULL;
	struct err e;
	int fd;

	write_file_at(tmpdir_fd(state), "key", text, n);
	fd = openat(tmpdir_fd(state), "key", O_RDONLY | O_CLOEXEC);
	assert_ok(secret_read_fd(&s, fd, &e), &e);
	assert_int_equal(s->n, wanted_n);
	assert_memory_equal(s->p, text, wanted_n);
	close(fd);
}

static void one_final_newline_is_dropped(void **state)
{
	read_text(state, "pass", 4, 4);
	read_text(state, "pass\n", 5, 4);
	read_text(state, "pass\n\n", 6, 5);
	read_text(state, "\n", 1, 0);
	read_text(state, "", 0, 0);
	read_text(state, "a\0b\n", 4, 3);
}

static void the_limit_is_exact(void **state)
{
	char big[LIMIT_SECRET_FILE + 2];
	struct secret *s = NULL;
	struct err e;
	int fd;

	memset(big, 'k', sizeof(big));
	read_text(state, big, LIMIT_SECRET_FILE, LIMIT_SECRET_FILE);
	big[LIMIT_SECRET_FILE] = '\n';
	read_text(state, big, LIMIT_SECRET_FILE + 1, LIMIT_SECRET_FILE);

	write_file_at(tmpdir_fd(state), "key", big, LIMIT_SECRET_FILE + 2);
	fd = openat(tmpdir_fd(state), "key", O_RDONLY | O_CLOEXEC);
	assert_fails(secret_read_fd(&s, fd, &e), &e, E_TOO_BIG);
	assert_null(s);
	close(fd);
}

static void asking_without_a_terminal_is_an_error(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct secret *s;
		struct err e;

		setsid(); /* no controlling terminal any more */
		child_exit(!secret_ask(&s, "? ", &e) && e.code == E_UNAVAILABLE ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_secret_is_asked_without_echo(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
	char screen[64] = "";
	ssize_t n;
	pid_t pid;

	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		skip(); /* no /dev/pts, as in a bare chroot */
	pid = fork();
	if (pid == 0) {
		struct secret *s;
		struct err e;

		setsid();
		if (open(ptsname(master), O_RDWR) < 0 || !secret_ask(&s, "key: ", &e))
			child_exit(1);
		child_exit(s->n == 4 && memcmp(s->p, "good", 4) == 0 ? 0 : 2);
	}
	/* The prompt comes after echo was switched off. */
	for (size_t got = 0; got < 5; got += (size_t)n) {
		n = read(master, screen + got, sizeof(screen) - 1 - got);
		assert_true(n > 0);
	}
	assert_int_equal(write(master, "bad\025goox\177d\r", 11), 11);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(screen, "key: ");
	close(master);
}

static void no_memory_is_an_error(void **state)
{
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(secret_freep) struct secret *s = NULL;
		struct err e;

		assert_true(secret_copy(&s, "key", 3, &e) || e.code == E_NOMEM);
	}
}

static void wipe_clears(void **state)
{
	uint8_t p[4] = { 1, 2, 3, 4 };

	wipe(p + 1, 2);
	assert_memory_equal(p, ((uint8_t[]){ 1, 0, 0, 4 }), 4);
	wipe(p, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_secret_is_zeroed_and_a_copy_is_equal),
		cmocka_unit_test(reading_past_a_secret_ends_the_process),
		TMPDIR_TEST(one_final_newline_is_dropped),
		TMPDIR_TEST(the_limit_is_exact),
		cmocka_unit_test(asking_without_a_terminal_is_an_error),
		cmocka_unit_test(a_secret_is_asked_without_echo),
		cmocka_unit_test(no_memory_is_an_error),
		cmocka_unit_test(wipe_clears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
