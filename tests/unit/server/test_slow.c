#include "tests/support/unit.h"

#include "server/listen.h"
#include "server/slow.h"
#include "base/io.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RATE = 100, WINDOW_MS = 10000, ENOUGH = RATE * WINDOW_MS / 1000 };

struct pair {
	struct slow *s;
	struct slow_link link;
	int server, client;
};

static void pair_open(struct pair *p, uint64_t rate)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct err e;
	uint16_t port;
	int fd;

	assert_ok(listen_tcp(&fd, &port, "127.0.0.1", 0, &e), &e);
	a.sin_port = htons(port);
	p->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(p->client, (struct sockaddr *)&a, sizeof(a)), 0);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&ready, 1, 60000), 1);
	p->server = accept(fd, NULL, NULL);
	assert_true(p->server >= 0);
	close(fd);
	assert_ok(slow_new(&p->s, rate, WINDOW_MS, &e), &e);
	slow_add(p->s, &p->link, p->server, 0);
}

static void pair_done(struct pair *p)
{
	slow_remove(p->s, &p->link);
	slow_free(p->s);
	close(p->server);
	close(p->client);
}

/* n bytes from one end to the other, until they have arrived and that is known. */
static void move(int from, int to, size_t n)
{
	uint8_t b[8192] = { 0 };

	assert_true(n <= sizeof(b));
	assert_int_equal(write(from, b, n), (ssize_t)n);
	for (size_t got = 0; got < n;) {
		ssize_t r = read(to, b, n - got);

		assert_true(r > 0);
		got += (size_t)r;
	}
}

static bool is_cut(const struct pair *p, int wait_ms)
{
	struct pollfd c = { .fd = p->client, .events = POLLIN };
	uint8_t b;

	return poll(&c, 1, wait_ms) == 1 && read(p->client, &b, 1) == 0;
}

static void what_moves_too_little_for_a_window_is_cut(void **state)
{
	CLEANUP(pair_done) struct pair p;

	(void)state;
	pair_open(&p, RATE);
	move(p.client, p.server, 20);
	assert_int_equal(slow_look(p.s, WINDOW_MS - 1), 0);
	assert_false(is_cut(&p, 0));
	assert_int_equal(slow_look(p.s, WINDOW_MS), 1);
	assert_true(is_cut(&p, 60000));
	assert_int_equal(slow_look(p.s, 10 * WINDOW_MS), 0); /* once */
}

static void bytes_in_both_directions_count(void **state)
{
	CLEANUP(pair_done) struct pair p;

	(void)state;
	pair_open(&p, RATE);
	move(p.client, p.server, ENOUGH);
	assert_int_equal(slow_look(p.s, WINDOW_MS), 0);
	/* What is sent counts when it was acknowledged. */
	move(p.server, p.client, 4 * ENOUGH);
	move(p.client, p.server, 1); /* carries the acknowledgement at the latest */
	assert_int_equal(slow_look(p.s, 2 * WINDOW_MS), 0);
	assert_int_equal(slow_look(p.s, 3 * WINDOW_MS), 1);
	assert_true(is_cut(&p, 60000));
}

static void an_answer_begins_a_new_window(void **state)
{
	CLEANUP(pair_done) struct pair p;

	(void)state;
	pair_open(&p, RATE);
	for (int i = 1; i <= 5; i++) {
		slow_ended(&p.link);
		assert_int_equal(slow_look(p.s, i * WINDOW_MS), 0);
	}
	assert_int_equal(slow_look(p.s, 6 * WINDOW_MS - 1), 0);
	assert_int_equal(slow_look(p.s, 6 * WINDOW_MS), 1);
}

static void waiting_for_us_is_nobodys_fault(void **state)
{
	CLEANUP(pair_done) struct pair p;

	(void)state;
	pair_open(&p, RATE);
	slow_waits(&p.link, true);
	for (int i = 1; i <= 5; i++)
		assert_int_equal(slow_look(p.s, i * WINDOW_MS), 0);
	slow_waits(&p.link, false);
	assert_int_equal(slow_look(p.s, 6 * WINDOW_MS), 0);
	assert_int_equal(slow_look(p.s, 7 * WINDOW_MS), 1);
}

static void without_a_rate_nothing_is_cut(void **state)
{
	CLEANUP(pair_done) struct pair p;

	(void)state;
	pair_open(&p, 0);
	assert_int_equal(slow_look(p.s, 100 * WINDOW_MS), 0);
	assert_false(is_cut(&p, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_moves_too_little_for_a_window_is_cut),
		cmocka_unit_test(bytes_in_both_directions_count),
		cmocka_unit_test(an_answer_begins_a_new_window),
		cmocka_unit_test(waiting_for_us_is_nobodys_fault),
		cmocka_unit_test(without_a_rate_nothing_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
