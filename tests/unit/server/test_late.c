/* Real sockets and the real clock; what must happen is waited for, and only its absence would take long. */
#include "tests/support/unit.h"

#include "server/late.h"
#include "server/listen.h"
#include "base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1 << 20, LONG_MS = 600000 };

struct ends {
	int server, client;
};

static struct ends ends_open(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ends p;
	struct err e;
	uint16_t port;
	int fd;

	assert_ok(listen_tcp(&fd, &port, "127.0.0.1", 0, &e), &e);
	a.sin_port = htons(port);
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p.client, (struct sockaddr *)&a, sizeof(a)), 0);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&ready, 1, 60000), 1);
	p.server = accept(fd, NULL, NULL);
	assert_true(p.server >= 0);
	close(fd);
	return p;
}

/* Sends as a client that does not look for an answer meanwhile; the bytes that went, or -1. */
static ssize_t send_on(int fd, size_t n)
{
	static const uint8_t piece[65536];
	size_t sent = 0;

	while (sent < n) {
		ssize_t did = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);

		if (did < 0)
			return -1;
		sent += (size_t)did;
	}
	return (ssize_t)sent;
}

static void who_sends_to_the_end_reads_the_answer(void **state)
{
	struct ends p = ends_open();
	struct late *l;
	char text[16];
	struct err e;

	(void)state;
	assert_ok(late_new(&l, clock_system(), LONG_MS, 64 * MIB, &e), &e);
	assert_int_equal(send_on(p.client, 65536), 65536);
	assert_int_equal(send(p.server, "413", 3, 0), 3);
	late_take(l, p.server);
	assert_true(send_on(p.client, 24 * MIB) >= 24 * MIB);
	assert_int_equal(recv(p.client, text, sizeof(text), MSG_WAITALL), 3);
	assert_memory_equal(text, "413", 3);
	close(p.client);
	late_free(l);
}

/* Until sending fails, which is when the socket is closed. */
static void until_closed(int fd)
{
	while (send_on(fd, 1) >= 0)
		(void)poll(NULL, 0, 1);
	assert_true(errno == EPIPE || errno == ECONNRESET);
}

static void who_never_ends_is_closed_after_the_time(void **state)
{
	struct ends p = ends_open();
	struct late *l;
	struct err e;

	(void)state;
	assert_ok(late_new(&l, clock_system(), 20, UINT64_MAX, &e), &e);
	late_take(l, p.server);
	until_closed(p.client);
	close(p.client);
	late_free(l);
}

static void who_sends_too_much_is_closed(void **state)
{
	struct ends p = ends_open();
	struct late *l;
	struct err e;

	(void)state;
	assert_ok(late_new(&l, clock_system(), LONG_MS, 2 * MIB, &e), &e);
	late_take(l, p.server);
	until_closed(p.client);
	close(p.client);
	late_free(l);
}

static void more_than_there_is_room_for_are_closed_at_once(void **state)
{
	struct ends p[LATE_MAX + 1];
	struct late *l;
	struct err e;
	char c;

	(void)state;
	assert_ok(late_new(&l, clock_system(), LONG_MS, MIB, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = ends_open();
		late_take(l, p[i].server);
		assert_int_equal(recv(p[i].client, &c, 1, 0), 0);
	}
	until_closed(p[LATE_MAX].client);
	for (size_t i = 0; i < LATE_MAX; i++)
		assert_int_equal(send(p[i].client, "x", 1, MSG_NOSIGNAL), 1);
	/* What is left is closed with it all. */
	late_free(l);
	for (size_t i = 0; i < LATE_MAX; i++)
		until_closed(p[i].client);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		close(p[i].client);
}

static void running_out_of_memory_is_an_error(void **state)
{
	struct late *l;
	struct err e;

	(void)state;
	FAULT_EACH(n, FAULT_ALLOC) {
		if (late_new(&l, clock_system(), 1, 1, &e))
			late_free(l);
		else
			assert_int_equal(e.code, E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sends_to_the_end_reads_the_answer),
		cmocka_unit_test(who_never_ends_is_closed_after_the_time),
		cmocka_unit_test(who_sends_too_much_is_closed),
		cmocka_unit_test(more_than_there_is_room_for_are_closed_at_once),
		cmocka_unit_test(running_out_of_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
