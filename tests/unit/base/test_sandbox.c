#include "tests/support/unit.h"
#include "base/io.h"
#include "base/sandbox.h"

#include <fcntl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Leak checkers and coverage end with the child's _exit, so nothing here runs at exit. */

static const struct sandbox compute = { .profile = SANDBOX_COMPUTE };

static bool copy_some(void *ctx, struct err *e)
{
	const int *fds = ctx;
	void *p = malloc(1 << 20); /* an mmap */
	char word[5];
	bool ok = p && pread_all(fds[0], word, sizeof(word), 0, e) &&
		  pwrite_all(fds[1], word, sizeof(word), 0, e) && fd_sync(fds[1], e);

	free(p);
	return ok;
}

static void compute_works_on_open_files(void **state)
{
	int dir = tmpdir_fd(state), fds[2];
	char got[8];
	struct err e;

	write_file_at(dir, "in", "hello", 5);
	fds[0] = openat(dir, "in", O_RDONLY | O_CLOEXEC);
	fds[1] = openat(dir, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_ok(sandbox_call(&compute, copy_some, fds, fds, 2, &e), &e);
	assert_int_equal(read_back_at(dir, "out", got, sizeof(got)), 5);
	assert_memory_equal(got, "hello", 5);
	close(fds[0]);
	close(fds[1]);
}

static void descriptors_that_are_not_kept_are_closed(void **state)
{
	int dir = tmpdir_fd(state), fds[2];
	struct err e;

	write_file_at(dir, "in", "hello", 5);
	fds[0] = openat(dir, "in", O_RDONLY | O_CLOEXEC);
	fds[1] = openat(dir, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_fails(sandbox_call(&compute, copy_some, fds, fds, 1, &e), &e, E_SYSTEM);
	assert_string_equal(e.text, "write: Bad file descriptor");
	assert_fails(sandbox_call(&compute, copy_some, fds, fds + 1, 1, &e), &e, E_SYSTEM);
	assert_string_equal(e.text, "read: Bad file descriptor");
	close(fds[0]);
	close(fds[1]);
}

static bool open_a_file(void *ctx, struct err *e)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	return fd >= 0 ? true : err_sys(e, errno, "open");
}

static bool open_a_socket(void *ctx, struct err *e)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 ? true : err_sys(e, errno, "socket");
}

static bool ask_the_size(void *ctx, struct err *e)
{
	uint64_t size;

	return fd_size(*(const int *)ctx, &size, e) &&
	       (size == 4 || err_set(e, E_CORRUPT, "size %d", (int)size));
}

static void the_size_of_an_open_file_can_be_asked_for(void **state)
{
	const struct sandbox box = { .profile = SANDBOX_COMPUTE };
	struct err e;

	write_file_at(tmpdir_fd(state), "four", "1234", 4);
	CLEANUP(fd_closep) int fd = openat(tmpdir_fd(state), "four", O_RDONLY | O_CLOEXEC);
	assert_ok(sandbox_call(&box, ask_the_size, &fd, &fd, 1, &e), &e);
}

static void paths_and_sockets_are_refused(void **state)
{
	static const struct sandbox signer = { .profile = SANDBOX_SIGNER };
	struct err e;

	assert_fails(sandbox_call(&compute, open_a_file, NULL, NULL, 0, &e), &e, E_SYSTEM);
	assert_string_equal(e.text, "open: Permission denied");
	assert_fails(sandbox_call(&compute, open_a_socket, NULL, NULL, 0, &e), &e, E_SYSTEM);
	assert_fails(sandbox_call(&signer, open_a_file, NULL, NULL, 0, &e), &e, E_SYSTEM);
}

static bool run_a_program(void *ctx, struct err *e)
{
	char *argv[] = { NULL };

	execve("/bin/true", argv, argv);
	return true;
}

static bool fork_a_child(void *ctx, struct err *e)
{
	return fork() >= 0;
}

static bool map_code(void *ctx, struct err *e)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED;
}

static bool be_traced(void *ctx, struct err *e)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static void programs_processes_code_and_debugging_end_the_child(void **state)
{
	static bool (*const crimes[])(void *ctx, struct err *e) = {
		run_a_program,
		fork_a_child,
		map_code,
		be_traced,
	};
	static const struct sandbox boxes[] = {
		{ .profile = SANDBOX_COMPUTE },
		{ .profile = SANDBOX_SIGNER, .threads = true },
		{ .profile = SANDBOX_SERVICE },
	};
	struct err e;

	for (size_t b = 0; b < ARRAY_SIZE(boxes); b++) {
		for (size_t c = 0; c < ARRAY_SIZE(crimes); c++) {
			assert_fails(sandbox_call(&boxes[b], crimes[c], NULL, NULL, 0, &e), &e,
				     E_CORRUPT);
			assert_string_equal(e.text, "stopped by the system-call filter");
		}
	}
}

static void *nothing(void *arg)
{
	return arg;
}

static bool start_a_thread(void *ctx, struct err *e)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, nothing, NULL);

	if (r != 0)
		return err_sys(e, r, "thread");
	pthread_join(t, NULL);
	return true;
}

static void threads_start_only_where_allowed(void **state)
{
	static const struct sandbox box = { .profile = SANDBOX_COMPUTE, .threads = true };
	struct err e;

	/* The address sanitizer reads /proc when a thread starts. */
	if (!ADDRESS_SANITIZED)
		assert_ok(sandbox_call(&box, start_a_thread, NULL, NULL, 0, &e), &e);
	assert_fails(sandbox_call(&compute, start_a_thread, NULL, NULL, 0, &e), &e, E_CORRUPT);
}

static bool serve(void *ctx, struct err *e)
{
	int ends[2];
	char got[3];
	size_t n;

	if (!open_a_socket(NULL, e) || !open_a_file(NULL, e))
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, errno, "socketpair");
	return write_all(ends[0], "abc", 3, e) && read_up_to(ends[1], got, 3, &n, e) &&
	       start_a_thread(NULL, e);
}

static void a_service_has_files_sockets_and_threads(void **state)
{
	static const struct sandbox box = { .profile = SANDBOX_SERVICE };
	struct err e;

	assert_ok(sandbox_call(&box, serve, NULL, NULL, 0, &e), &e);
}

static bool signal_the_parent(void *ctx, struct err *e)
{
	return kill(getppid(), 0) == 0;
}

static void a_service_may_not_signal_others(void **state)
{
	static const struct sandbox box = { .profile = SANDBOX_SERVICE };
	struct err e;

	assert_fails(sandbox_call(&box, signal_the_parent, NULL, NULL, 0, &e), &e, E_CORRUPT);
}

static bool write_to(void *ctx, struct err *e)
{
	return write_all(*(int *)ctx, "x", 1, e);
}

/* A rule's mask and value: writes to one descriptor only. */
static void rules_look_at_arguments(void **state)
{
	int dir = tmpdir_fd(state);
	int good = openat(dir, "good", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int other = openat(dir, "other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const int keep[] = { good, other };
	const struct sandbox_rule rules[] = {
		{ "write", { { .mask = UINT64_MAX, .value = (uint64_t)good } } },
		{ "exit_group" },
		{ NULL },
	};
	const struct sandbox box = { .profile = SANDBOX_RULES, .rules = rules };
	char got[2];
	struct err e;

	/* The answer's pipe is not allowed either, so success too ends in the filter; what was
	 * written before tells the two apart. */
	assert_fails(sandbox_call(&box, write_to, &good, keep, 2, &e), &e, E_CORRUPT);
	assert_fails(sandbox_call(&box, write_to, &other, keep, 2, &e), &e, E_CORRUPT);
	assert_int_equal(read_back_at(dir, "good", got, sizeof(got)), 1);
	assert_int_equal(read_back_at(dir, "other", got, sizeof(got)), 0);
	close(good);
	close(other);
}

static bool ask_for_pid(void *ctx, struct err *e)
{
	return getppid() > 0;
}

static void rules_allow_more_calls(void **state)
{
	static const struct sandbox_rule rules[] = { { "getppid" },
						     { "no_such_call" },
						     { NULL } };
	const struct sandbox box = { .profile = SANDBOX_COMPUTE, .rules = rules };
	struct err e;

	assert_fails(sandbox_call(&compute, ask_for_pid, NULL, NULL, 0, &e), &e, E_CORRUPT);
	assert_ok(sandbox_call(&box, ask_for_pid, NULL, NULL, 0, &e), &e);
}

static bool burn(void *ctx, struct err *e)
{
	for (volatile uint64_t i = 0;; i++)
		continue;
	return true;
}

static bool write_much(void *ctx, struct err *e)
{
	static const char block[4096];

	for (int i = 0; i < 100; i++) {
		if (!write_all(*(int *)ctx, block, sizeof(block), e))
			return false;
	}
	return true;
}

static void limits_end_the_child(void **state)
{
	static const struct sandbox cpu = { .profile = SANDBOX_COMPUTE, .cpu_s = 1 };
	static const struct sandbox size = { .profile = SANDBOX_COMPUTE, .file_bytes = 65536 };
	int fd = openat(tmpdir_fd(state), "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct err e;

	assert_fails(sandbox_call(&cpu, burn, NULL, NULL, 0, &e), &e, E_TOO_BIG);
	assert_fails(sandbox_call(&size, write_much, &fd, &fd, 1, &e), &e, E_TOO_BIG);
	close(fd);
}

static bool fail_politely(void *ctx, struct err *e)
{
	return err_set(e, E_EXPIRED, "block 7: %s", "stale");
}

static bool sleep_for_ever(void *ctx, struct err *e)
{
	for (;;)
		poll(NULL, 0, -1);
	return true;
}

static void a_child_can_be_waited_for_in_steps_and_ended_anywhere(void **state UNUSED)
{
	bool (*const what[])(void *, struct err *) = { burn, sleep_for_ever };
	struct sandbox_child c;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(what); i++) {
		assert_ok(sandbox_start(&c, &compute, what[i], NULL, NULL, 0, &e), &e);
		assert_fails(sandbox_finish(&c, 0, &e), &e, E_TIMEOUT);
		assert_fails(sandbox_finish(&c, 20, &e), &e, E_TIMEOUT);
		sandbox_kill(&c);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
		sandbox_kill(&c);
	}
	assert_ok(sandbox_start(&c, &compute, fail_politely, NULL, NULL, 0, &e), &e);
	assert_fails(sandbox_finish(&c, -1, &e), &e, E_EXPIRED);
	sandbox_kill(&c);
}

static bool crash(void *ctx, struct err *e)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	return true;
}

static void errors_and_crashes_come_back(void **state)
{
	struct err e;

	assert_fails(sandbox_call(&compute, fail_politely, NULL, NULL, 0, &e), &e, E_EXPIRED);
	assert_string_equal(e.text, "block 7: stale");
	assert_string_equal(e.hint,
			    "ask the publisher for fresh signatures, or check the clock");
	assert_fails(sandbox_call(&compute, crash, NULL, NULL, 0, &e), &e, E_CORRUPT);
	assert_string_equal(e.text, "crashed: Segmentation fault");
}

static bool say_hello_and_wait(void *ctx, struct err *e)
{
	const int *fds = ctx;
	char c;

	return write_all(fds[1], "x", 1, e) && read(fds[2], &c, 1) == 1;
}

/* The write end of `hello` is open as long as the child lives. */
static void a_child_does_not_outlive_who_waits_for_it(void **state UNUSED)
{
	static const struct sandbox boxes[] = {
		{ .profile = SANDBOX_COMPUTE },
		{ .profile = SANDBOX_COMPUTE, .user = "nobody" },
	};

	for (unsigned i = 0; i < (geteuid() == 0 ? 2 : 1); i++) {
		int hello[2], never[2], status;
		struct err e;
		char c;

		assert_int_equal(pipe(hello), 0);
		assert_int_equal(pipe(never), 0);
		pid_t waiting = fork();
		assert_true(waiting >= 0);
		if (waiting == 0) {
			int fds[] = { hello[0], hello[1], never[0] };

			close(never[1]);
			(void)!sandbox_call(&boxes[i], say_hello_and_wait, fds, fds + 1, 2, &e);
			child_exit(0);
		}
		close(hello[1]);
		assert_int_equal(read(hello[0], &c, 1), 1);
		assert_int_equal(kill(waiting, SIGKILL), 0);
		assert_int_equal(waitpid(waiting, &status, 0), waiting);
		assert_int_equal(read(hello[0], &c, 1), 0); /* only when both are gone */
		close(hello[0]);
		close(never[0]);
		close(never[1]);
	}
}

/* How much memory is there, in KiB. */
static long resident(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

/* Three large blocks one after another; behind the second is a small one that stays. */
static bool take_and_free(void *ctx, struct err *e)
{
	static const size_t sizes[] = { 8 << 20, 6 << 20, 7 << 20 };
	long before = resident();
	char *volatile small = NULL; /* or the compiler leaves it out */

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = malloc(sizes[i]);

		if (i == 1)
			small = malloc(100 << 10); /* what is free elsewhere is smaller */
		if (!p)
			return err_nomem(e);
		for (size_t at = 0; at < sizes[i]; at += 4096)
			((volatile char *)p)[at] = 1;
		free(p);
	}
	free(small);
	return resident() - before < 10 << 10 ||
	       err_set(e, E_TOO_BIG, "%ld KiB are kept", resident() - before);
}

static void what_a_child_frees_is_given_back(void **state)
{
	static const struct sandbox_rule usage[] = { { .call = "getrusage" }, { 0 } };
	const struct sandbox box = { .profile = SANDBOX_COMPUTE, .rules = usage };
	struct err e;

	if (ADDRESS_SANITIZED)
		skip();
	assert_ok(sandbox_call(&box, take_and_free, NULL, NULL, 0, &e), &e);
}

static void an_unknown_user_stops_the_entry(void **state)
{
	static const struct sandbox box = { .user = "no-such-user-here" };
	static const struct sandbox root = { .user = "root" };
	struct err e;

	if (geteuid() != 0)
		skip();
	assert_fails(sandbox_call(&box, fail_politely, NULL, NULL, 0, &e), &e, E_CONFIG);
	assert_fails(sandbox_call(&root, fail_politely, NULL, NULL, 0, &e), &e, E_CONFIG);
}

static bool is_nobody(void *ctx, struct err *e)
{
	return getuid() != 0 && geteuid() != 0 && getgid() != 0
		       ? true
		       : err_set(e, E_INTERNAL, "still root");
}

static void root_becomes_the_user(void **state)
{
	static const struct sandbox box = { .profile = SANDBOX_SERVICE, .user = "nobody" };
	struct err e;

	if (geteuid() != 0)
		skip();
	assert_ok(sandbox_call(&box, is_nobody, NULL, NULL, 0, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(compute_works_on_open_files),
		TMPDIR_TEST(descriptors_that_are_not_kept_are_closed),
		TMPDIR_TEST(the_size_of_an_open_file_can_be_asked_for),
		cmocka_unit_test(paths_and_sockets_are_refused),
		cmocka_unit_test(programs_processes_code_and_debugging_end_the_child),
		cmocka_unit_test(threads_start_only_where_allowed),
		cmocka_unit_test(a_service_has_files_sockets_and_threads),
		cmocka_unit_test(a_service_may_not_signal_others),
		cmocka_unit_test(rules_allow_more_calls),
		TMPDIR_TEST(rules_look_at_arguments),
		TMPDIR_TEST(limits_end_the_child),
		cmocka_unit_test(a_child_can_be_waited_for_in_steps_and_ended_anywhere),
		cmocka_unit_test(errors_and_crashes_come_back),
		cmocka_unit_test(a_child_does_not_outlive_who_waits_for_it),
		cmocka_unit_test(what_a_child_frees_is_given_back),
		cmocka_unit_test(an_unknown_user_stops_the_entry),
		cmocka_unit_test(root_becomes_the_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
