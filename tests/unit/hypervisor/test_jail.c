#include "tests/support/unit.h"

#include "base/io.h"
#include "hypervisor/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char said[8192];

/* Runs a shell script in the jail; what it printed is in `said`.  Returns the exit status. */
static int run_jailed(const char *script, const int *keep_fds, size_t n_keep_fds)
{
	const char *argv[] = { "/usr/bin/sh", "-c", script, NULL };
	CLEANUP(fd_closep) int out = memfd_create("said", MFD_CLOEXEC);
	struct jail_spec spec = { .mode = JAIL_REQUIRE,
				  .argv = argv,
				  .keep_fds = keep_fds,
				  .n_keep_fds = n_keep_fds,
				  .stderr_fd = out };
	char weak[ERR_TEXT_MAX];
	struct err e;
	pid_t pid;
	int status;
	size_t n;

	if (!jail_start(&pid, weak, &spec, &e)) {
		print_message("skipped: this host allows no namespaces: %s\n", e.text);
		skip();
	}
	assert_string_equal(weak, "");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	lseek(out, 0, SEEK_SET);
	assert_ok(read_up_to(out, said, sizeof(said) - 1, &n, &e), &e);
	said[n] = '\0';
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void it_sees_an_empty_root_that_it_cannot_write(void **state UNUSED)
{
	assert_int_equal(run_jailed("ls / | tr '\\n' ' '; ls /dev | tr '\\n' ' '", NULL, 0), 0);
	assert_string_equal(said, "bin dev etc lib lib64 proc tmp usr null urandom ");
	assert_int_not_equal(run_jailed("echo x > /usr/x", NULL, 0), 0);
	assert_int_not_equal(run_jailed("echo x > /x", NULL, 0), 0);
	assert_int_not_equal(run_jailed("echo x > /tmp/x", NULL, 0), 0);
	assert_int_not_equal(run_jailed("cat /etc/passwd", NULL, 0), 0);
	assert_false(strstr(said, "root"));
}

static void it_sees_no_process_and_no_network_of_the_host(void **state UNUSED)
{
	assert_int_equal(run_jailed("echo $$; set -- /proc/[0-9]*; echo $#", NULL, 0), 0);
	assert_string_equal(said, "1\n1\n");
	assert_int_equal(run_jailed("tail -n +3 /proc/net/dev | cut -d: -f1", NULL, 0), 0);
	assert_string_equal(said, "    lo\n");
}

static void it_has_no_rights_and_can_get_none(void **state UNUSED)
{
	assert_int_equal(run_jailed("grep -E '^(CapEff|CapPrm|CapBnd|CapAmb|NoNewPrivs)' "
				    "/proc/self/status | cut -f2 | tr '\\n' ' '; id -u",
				    NULL, 0),
			 0);
	assert_non_null(strstr(said, "0000000000000000 0000000000000000 0000000000000000 "
				     "0000000000000000 1 "));
	if (geteuid() == 0)
		assert_null(strstr(said, " 1 0\n")); /* not root inside either */
	assert_int_not_equal(run_jailed("mount -t tmpfs x /tmp", NULL, 0), 0);
}

static void only_the_named_descriptors_are_there(void **state UNUSED)
{
	CLEANUP(fd_closep) int kept = memfd_create("kept", MFD_CLOEXEC);
	CLEANUP(fd_closep) int dropped = memfd_create("dropped", 0);
	char script[128];

	assert_true(kept >= 0 && dropped >= 0);
	assert_int_equal(write(kept, "hello", 5), 5);
	lseek(kept, 0, SEEK_SET);
	snprintf(script, sizeof(script), "cat /proc/self/fd/%d; test ! -e /proc/self/fd/%d",
		 kept, dropped);
	assert_int_equal(run_jailed(script, &kept, 1), 0);
	assert_string_equal(said, "hello");
}

static void a_program_that_is_not_there_is_named(void **state UNUSED)
{
	const char *argv[] = { "/usr/bin/no-such-engine", NULL };
	struct jail_spec spec = { .mode = JAIL_BEST_EFFORT, .argv = argv, .stderr_fd = 2 };
	char weak[ERR_TEXT_MAX];
	struct err e;
	pid_t pid;

	assert_fails(jail_start(&pid, weak, &spec, &e), &e, E_NOT_FOUND);
	assert_non_null(strstr(e.text, "/usr/bin/no-such-engine"));
}

static void best_effort_says_what_is_missing(void **state UNUSED)
{
	const char *argv[] = { "/usr/bin/true", NULL };
	int bad_fd = 900; /* makes the full jail fail, and the lesser one too */
	struct jail_spec spec = { .mode = JAIL_REQUIRE,
				  .argv = argv,
				  .keep_fds = &bad_fd,
				  .n_keep_fds = 1,
				  .stderr_fd = 2 };
	char weak[ERR_TEXT_MAX];
	struct err e;
	pid_t pid;

	assert_false(jail_start(&pid, weak, &spec, &e));
	assert_non_null(strstr(e.text, "no full sandbox on this host: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_sees_an_empty_root_that_it_cannot_write),
		cmocka_unit_test(it_sees_no_process_and_no_network_of_the_host),
		cmocka_unit_test(it_has_no_rights_and_can_get_none),
		cmocka_unit_test(only_the_named_descriptors_are_there),
		cmocka_unit_test(a_program_that_is_not_there_is_named),
		cmocka_unit_test(best_effort_says_what_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
