/* The real gate with real sockets, in a network namespace of the test's own. */
#include "tests/support/unit.h"

#include "base/io.h"
#include "hypervisor/net/frame.h"
#include "hypervisor/net/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	WORLD = 0xc6336407 /* 198.51.100.7, RFC 5737 */,
	ETH = 14,
	IP = 20,
	PATIENCE_MS = 10000
};

static int engine = -1, listener_allowed = -1, listener_denied = -1;
static uint16_t port_allowed, port_denied;
static pid_t gate;

/* ---- a world with one address ---- */

static bool set_address(const char *name, uint32_t addr)
{
	CLEANUP(fd_closep) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(addr) };
	struct ifreq r = { .ifr_flags = 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	memcpy(&r.ifr_addr, &in, sizeof(in));
	if (ioctl(s, SIOCSIFADDR, &r) != 0)
		return false;
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(s, SIOCSIFFLAGS, &r) == 0;
}

static int listen_on(uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(WORLD) };
	socklen_t n = sizeof(in);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(s, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(s, 4), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&in, &n), 0);
	*ret_port = ntohs(in.sin_port);
	return s;
}

static int open_gate(void **state UNUSED)
{
	static struct filter filter;
	char rule[64];
	int fds[2];
	struct err e;

	if (unshare(CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
	    !set_address("lo", 0x7f000001) || !set_address("lo:1", WORLD)) {
		print_message("skipped: no network namespace of our own: %s\n",
			      strerror(errno));
		return 0;
	}
	listener_allowed = listen_on(&port_allowed);
	listener_denied = listen_on(&port_denied);
	memset(&filter, 0, sizeof(filter));
	snprintf(rule, sizeof(rule), "198.51.100.7:%u", port_allowed);
	assert_ok(filter_add_rule(&filter, rule, &e), &e);
	assert_ok(filter_add_rule(&filter, "listed:80", &e), &e);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_ok(gate_start(&gate, fds[1], &filter, &e), &e);
	close(fds[1]);
	engine = fds[0];
	return 0;
}

static int close_gate(void **state UNUSED)
{
	int status = 0;

	if (engine < 0)
		return 0;
	fd_closep(&engine);
	fd_closep(&listener_allowed);
	fd_closep(&listener_denied);
	/* With the engine gone the gate ends by itself. */
	while (waitpid(gate, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* ---- frames ---- */

static void send_frame(const void *p, size_t n)
{
	uint32_t head = htonl((uint32_t)n);

	assert_int_equal(send(engine, &head, 4, 0), 4);
	assert_int_equal(send(engine, p, n, 0), n);
}

/* The next frame that comes; ends the test when none does. */
static size_t next_frame(uint8_t out[static 2048])
{
	struct pollfd p = { .fd = engine, .events = POLLIN };
	uint32_t head;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(engine, &head, 4, MSG_WAITALL), 4);
	size_t n = ntohl(head);
	assert_in_range(n, ETH, 2048);
	assert_int_equal(recv(engine, out, n, MSG_WAITALL), n);
	return n;
}

static uint16_t checksum(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_ip(uint8_t *f, uint8_t proto, uint32_t to, size_t body_n)
{
	static const uint8_t macs[] = {
		0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56
	};
	uint32_t from = htonl(NET_GUEST), dest = htonl(to);
	uint8_t *ip = f + ETH;

	memset(f, 0, ETH + IP);
	memcpy(f, macs, sizeof(macs));
	f[12] = 8;
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(IP + body_n));
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, &from, 4);
	memcpy(ip + 16, &dest, 4);
	put16(ip + 10, checksum(ip, IP, 0));
}

static void send_arp(void)
{
	static const uint8_t arp[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,
				       0x12, 0x34, 0x56, 8,    6,    0,    1,    8,    0,
				       6,    4,    0,    1,    0x52, 0x54, 0,    0x12, 0x34,
				       0x56, 10,   0,    2,    15,   0,    0,    0,    0,
				       0,    0,    10,   0,    2,    2 };

	send_frame(arp, sizeof(arp));
}

static void send_syn(uint16_t from, uint16_t to)
{
	uint8_t f[ETH + IP + 20], *tcp = f + ETH + IP;

	memset(f, 0, sizeof(f));
	put_ip(f, 6, WORLD, 20);
	put16(tcp, from);
	put16(tcp + 2, to);
	tcp[12] = 5 << 4;
	tcp[13] = 2; /* SYN */
	put16(tcp + 14, 65535);
	/* The pseudo-header: addresses, protocol, length. */
	put16(tcp + 16,
	      checksum(tcp, 20, (uint32_t)(uint16_t)~checksum(f + ETH + 12, 8, 0) + 6 + 20));
	send_frame(f, sizeof(f));
}

/* ---- the test ---- */

static void allowed_addresses_answer_and_others_are_never_even_asked(void **state UNUSED)
{
	struct pollfd p = { .fd = listener_allowed, .events = POLLIN };
	uint8_t f[2048];

	if (engine < 0)
		skip();
	send_arp();
	next_frame(f);
	assert_memory_equal(f + ETH + 6, "\0\2", 2); /* an ARP reply */

	send_syn(4001, port_denied);
	send_syn(4002, port_allowed);
	do /* the stack may ask for our card's address first */
		next_frame(f);
	while (f[12] != 8 || f[13] != 0);
	assert_int_equal(f[ETH + 9], 6);
	assert_memory_equal(f + ETH + IP + 2, "\x0f\xa2", 2); /* to port 4002 */
	assert_int_equal(f[ETH + IP + 13] & 0x12, 0x12);      /* SYN and ACK */
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	/* Frames are handled in order: had the other one gone through, its connection were here. */
	assert_int_equal(accept(listener_denied, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
}

static void a_name_that_is_not_listed_is_refused_without_asking_anyone(void **state UNUSED)
{
	static const uint8_t query[] = { 0,   1,   1,   0,   0,   1,   0,   0, 0,   0,
					 0,   0,   4,   'e', 'v', 'i', 'l', 7, 'e', 'x',
					 'a', 'm', 'p', 'l', 'e', 0,   0,   1, 0,   1 };
	uint8_t f[ETH + IP + 8 + sizeof(query)], got[2048], *udp = f + ETH + IP;

	if (engine < 0)
		skip();
	put_ip(f, 17, NET_DNS, 8 + sizeof(query));
	put16(udp, 5000);
	put16(udp + 2, 53);
	put16(udp + 4, (unsigned)(8 + sizeof(query)));
	put16(udp + 6, 0);
	memcpy(udp + 8, query, sizeof(query));
	send_frame(f, sizeof(f));
	next_frame(got);
	assert_int_equal(got[ETH + 9], 17);
	assert_int_equal(got[ETH + IP + 8 + 3] & 15, DNS_REFUSED);
}

/* It reads what the guest sends: whoever takes it over has next to nothing. */
static void the_gate_is_in_its_sandbox_before_it_reads_a_frame(void **state UNUSED)
{
	static const char *const lines[] = { "\nSeccomp:\t2\n", "\nNoNewPrivs:\t1\n",
					     "\nCapEff:\t0000000000000000\n",
					     "\nCapPrm:\t0000000000000000\n" };
	CLEANUP(buf_done) struct buf status = BUF_INIT(65536);
	uint8_t f[2048];
	char path[32];
	struct err e;

	if (engine < 0)
		skip();
	send_arp();
	next_frame(f);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)gate);
	assert_ok(read_file_at(AT_FDCWD, path, &status, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_non_null(strstr(buf_str(&status), lines[i]));
}

static void a_name_that_is_listed_has_only_ipv4(void **state UNUSED)
{
	static const uint8_t query[] = { 0, 1,   1,   0,   0,   1,   0,   0, 0, 0,  0, 0,
					 6, 'l', 'i', 's', 't', 'e', 'd', 0, 0, 28, 0, 1 };
	uint8_t f[ETH + IP + 8 + sizeof(query)], got[2048], *udp = f + ETH + IP;

	if (engine < 0)
		skip();
	put_ip(f, 17, NET_DNS, 8 + sizeof(query));
	put16(udp, 5000);
	put16(udp + 2, 53);
	put16(udp + 4, (unsigned)(8 + sizeof(query)));
	put16(udp + 6, 0);
	memcpy(udp + 8, query, sizeof(query));
	send_frame(f, sizeof(f));
	next_frame(got);
	/* No error, which would end the guest's search, and no address. */
	assert_int_equal(got[ETH + IP + 8 + 3] & 15, DNS_OK);
	assert_int_equal(got[ETH + IP + 8 + 7], 0);
}

static void a_frame_longer_than_any_ends_the_gate(void **state UNUSED)
{
	struct pollfd p = { .fd = engine, .events = POLLIN };
	uint32_t head = htonl(FRAME_MAX + 1);
	char byte;

	if (engine < 0)
		skip();
	assert_int_equal(send(engine, &head, 4, 0), 4);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_int_equal(recv(engine, &byte, 1, 0), 0);
}

#define GATE_TEST(f) cmocka_unit_test_setup_teardown(f, open_gate, close_gate)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GATE_TEST(allowed_addresses_answer_and_others_are_never_even_asked),
		GATE_TEST(a_name_that_is_not_listed_is_refused_without_asking_anyone),
		GATE_TEST(the_gate_is_in_its_sandbox_before_it_reads_a_frame),
		GATE_TEST(a_name_that_is_listed_has_only_ipv4),
		GATE_TEST(a_frame_longer_than_any_ends_the_gate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
