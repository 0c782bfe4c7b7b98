#include "tests/support/unit.h"

#include "server/notify.h"
#include "base/io.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* name: a path, or "@..." for an abstract one. */
static int listen_on(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(n < sizeof(a.sun_path));
	memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
			 0);
	return fd;
}

static void a_message_is_one_datagram(void **state)
{
	char dir[] = "/tmp/valise-notify.XXXXXX", names[2][64], text[64];
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(names[0], sizeof(names[0]), "%s/s", dir);
	snprintf(names[1], sizeof(names[1]), "@%s", dir);
	for (int i = 0; i < 2; i++) {
		CLEANUP(fd_closep) int fd = listen_on(names[i]);

		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		assert_ok(notify_send("READY=1\nSTATUS=fine", &e), &e);
		assert_ok(notify_send("STOPPING=1", &e), &e);
		assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 19);
		assert_memory_equal(text, "READY=1\nSTATUS=fine", 19);
		assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 10);
	}
	/* Nobody is there any more. */
	assert_int_equal(setenv("NOTIFY_SOCKET", names[0], 1), 0);
	assert_false(notify_send("READY=1", &e));
	assert_int_equal(unlink(names[0]), 0);
	assert_false(notify_send("READY=1", &e));
	assert_int_equal(rmdir(dir), 0);
}

static void without_a_socket_nothing_happens_and_bad_names_are_told(void **state)
{
	char lengthy[300];
	struct err e;

	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_ok(notify_send("READY=1", &e), &e);
	memset(lengthy, 'x', sizeof(lengthy));
	lengthy[0] = '/';
	lengthy[sizeof(lengthy) - 1] = 0;
	const char *const bad[] = { "relative", "vsock:2:1", lengthy };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", bad[i], 1), 0);
		assert_false(notify_send("READY=1", &e));
	}
}

static void the_watchdog_is_fed_twice_in_its_time(void **state)
{
	char pid[24];

	(void)state;
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "120000000", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 60000);
	snprintf(pid, sizeof(pid), "%d", getpid());
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	assert_int_equal(notify_watchdog_ms(), 60000);
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0); /* meant for another */
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "soon", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_one_datagram),
		cmocka_unit_test(without_a_socket_nothing_happens_and_bad_names_are_told),
		cmocka_unit_test(the_watchdog_is_fed_twice_in_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
