#include "tests/support/unit.h"

#include "base/io.h"
#include "server/ipc.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	int pair[2];
	struct buf buf;
};

static int setup(void **state)
{
	static struct fixture f;
	struct err e;

	if (!ipc_pair(f.pair, &e))
		return 1;
	buf_init(&f.buf, IPC_HEADER + IPC_MAX);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fd_closep(&f->pair[0]);
	fd_closep(&f->pair[1]);
	buf_done(&f->buf);
	return 0;
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void messages_arrive_whole_with_their_id(void **state)
{
	struct fixture *f = *state;
	static uint8_t big[IPC_MAX];
	struct ipc_msg m;
	struct err e;

	memset(big, 7, sizeof(big));
	assert_ok(ipc_send(f->pair[0], IPC_SIGN_IMAGE, 42, big, sizeof(big), -1, &e), &e);
	assert_ok(ipc_send(f->pair[0], IPC_PING, 43, NULL, 0, -1, &e), &e);
	assert_ok(ipc_recv(&m, f->pair[1], &f->buf, IPC_BIT(IPC_SIGN_IMAGE), 1000, &e), &e);
	assert_int_equal(m.type, IPC_SIGN_IMAGE);
	assert_int_equal(m.id, 42);
	assert_int_equal(m.n, sizeof(big));
	assert_memory_equal(m.p, big, sizeof(big));
	assert_int_equal(m.fd, -1);
	assert_ok(ipc_recv(&m, f->pair[1], &f->buf, IPC_BIT(IPC_PING), 1000, &e), &e);
	assert_int_equal(m.id, 43);
}

static void descriptors_are_passed_and_closed_by_the_receiver(void **state)
{
	struct fixture *f = *state;
	int before = open_files();
	struct ipc_msg m;
	struct err e;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_ok(ipc_send(f->pair[0], IPC_VERIFY, 1, "x", 1, null, &e), &e);
	close(null);
	assert_ok(ipc_recv(&m, f->pair[1], &f->buf, IPC_BIT(IPC_VERIFY), 1000, &e), &e);
	assert_true(m.fd >= 0);
	assert_true(fcntl(m.fd, F_GETFD) & FD_CLOEXEC);
	ipc_msg_done(&m);
	ipc_msg_done(&m);
	assert_int_equal(open_files(), before);
}

static void sizes_and_descriptors_are_checked_before_sending(void **state)
{
	struct fixture *f = *state;
	static uint8_t big[IPC_MAX + 1];
	struct err e;

	assert_fails(ipc_send(f->pair[0], IPC_SIGN_IMAGE, 1, big, sizeof(big), -1, &e), &e,
		     E_TOO_BIG);
	assert_fails(ipc_send(f->pair[0], IPC_PING, 1, "x", 1, -1, &e), &e, E_TOO_BIG);
	assert_fails(ipc_send(f->pair[0], IPC_REFUSED, 1, "abc", 3, -1, &e), &e, E_TOO_BIG);
	assert_fails(ipc_send(f->pair[0], IPC_VERIFY, 1, "x", 1, -1, &e), &e, E_INTERNAL);
	assert_fails(ipc_send(f->pair[0], IPC_PING, 1, NULL, 0, 0, &e), &e, E_INTERNAL);
}

/* What a peer that was taken over may send. */
static void raw(int fd, uint16_t type, uint16_t zero, uint32_t len, size_t n, int n_fds)
{
	uint8_t p[IPC_HEADER + 64] = "VIPC";
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} c;
	struct iovec iov = { p, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint32_t id = 9;

	memcpy(p + 4, &type, 2);
	memcpy(p + 6, &zero, 2);
	memcpy(p + 8, &id, 4);
	memcpy(p + 12, &len, 4);
	if (n_fds > 0) {
		memset(&c, 0, sizeof(c));
		m.msg_control = &c;
		m.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
	}
	assert_true(sendmsg(fd, &m, 0) == (ssize_t)n);
}

static void refused(struct fixture *f, uint32_t accept)
{
	struct ipc_msg m = IPC_MSG_INIT;
	int before = open_files();
	struct err e;

	m.id = 77;
	assert_fails(ipc_recv(&m, f->pair[1], &f->buf, accept, 1000, &e), &e, E_FORMAT);
	assert_int_equal(m.id, 77); /* untouched */
	assert_int_equal(open_files(), before);
}

static void hostile_messages_are_refused(void **state)
{
	struct fixture *f = *state;
	int fd = f->pair[0];
	const uint32_t all = UINT32_MAX;

	raw(fd, IPC_PING, 0, 0, 3, 0); /* shorter than a header */
	refused(f, all);
	raw(fd, IPC_PING, 0, 0, IPC_HEADER - 1, 0);
	refused(f, all);
	raw(fd, IPC_NONE, 0, 0, IPC_HEADER, 0); /* types that are none */
	refused(f, all);
	raw(fd, IPC_TYPES, 0, 0, IPC_HEADER, 0);
	refused(f, all);
	raw(fd, 0xffff, 0, 0, IPC_HEADER, 0);
	refused(f, all);
	assert_int_equal(send(fd, "VIPD\x01\0\0\0\0\0\0\0\0\0\0\0", IPC_HEADER, 0), IPC_HEADER);
	refused(f, all);                        /* other magic */
	raw(fd, IPC_PING, 1, 0, IPC_HEADER, 0); /* not zero */
	refused(f, all);
	raw(fd, IPC_PING, 0, 0, IPC_HEADER, 0); /* not expected */
	refused(f, all & ~IPC_BIT(IPC_PING));
	raw(fd, IPC_REFUSED, 0, 5, IPC_HEADER + 6, 0); /* lengths that lie */
	refused(f, all);
	raw(fd, IPC_REFUSED, 0, UINT32_MAX, IPC_HEADER + 6, 0);
	refused(f, all);
	raw(fd, IPC_REFUSED, 0, 3, IPC_HEADER + 3, 0); /* below the type's least */
	refused(f, all);
	raw(fd, IPC_PING, 0, 1, IPC_HEADER + 1, 0); /* above its most */
	refused(f, all);
	raw(fd, IPC_VERIFY, 0, 1, IPC_HEADER + 1,
	    0); /* descriptors: none, too many, not wanted */
	refused(f, all);
	raw(fd, IPC_VERIFY, 0, 1, IPC_HEADER + 1, 2);
	refused(f, all);
	raw(fd, IPC_PING, 0, 0, IPC_HEADER, 1);
	refused(f, all);
}

static void a_message_beyond_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	static uint8_t p[IPC_HEADER + IPC_MAX + 1] = "VIPC";
	uint32_t n = IPC_MAX + 1;
	uint16_t type = IPC_SIGN_IMAGE;

	memcpy(p + 4, &type, 2);
	memcpy(p + 12, &n, 4);
	assert_true(send(f->pair[0], p, sizeof(p), 0) == (ssize_t)sizeof(p));
	refused(f, UINT32_MAX);
}

/* The part that arrives is as long as it says. */
static void the_beginning_of_a_longer_message_is_none(void **state)
{
	struct fixture *f = *state;
	static uint8_t p[IPC_HEADER + IPC_MAX + 1] = "VIPC";
	uint32_t n = IPC_MAX;
	uint16_t type = IPC_SIGN_IMAGE;

	memcpy(p + 4, &type, 2);
	memcpy(p + 12, &n, 4);
	assert_true(send(f->pair[0], p, sizeof(p), 0) == (ssize_t)sizeof(p));
	refused(f, UINT32_MAX);
	assert_true(send(f->pair[0], p, sizeof(p) - 1, 0) == (ssize_t)sizeof(p) - 1);
	struct ipc_msg m;
	struct err e;
	assert_ok(ipc_recv(&m, f->pair[1], &f->buf, UINT32_MAX, 1000, &e), &e);
	assert_int_equal(m.n, IPC_MAX);
}

static void silence_and_ends_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct ipc_msg m;
	struct err e;

	assert_fails(ipc_recv(&m, f->pair[1], &f->buf, UINT32_MAX, 0, &e), &e, E_TIMEOUT);
	fd_closep(&f->pair[0]);
	assert_fails(ipc_recv(&m, f->pair[1], &f->buf, UINT32_MAX, 1000, &e), &e,
		     E_UNAVAILABLE);
	assert_fails(ipc_send(f->pair[1], IPC_PING, 0, NULL, 0, -1, &e), &e, E_UNAVAILABLE);
}

static void errors_travel_by_name(void **state)
{
	struct fixture *f = *state;
	struct ipc_msg m;
	struct err why, e;
	uint32_t odd[2] = { 0xdeadbeef, 0 };

	err_set(&why, E_RATE, "too fast: %d", 7);
	assert_ok(ipc_send_err(f->pair[0], IPC_REFUSED, 3, &why, &e), &e);
	assert_ok(ipc_recv(&m, f->pair[1], &f->buf, IPC_BIT(IPC_REFUSED), 1000, &e), &e);
	assert_false(ipc_get_err(&m, &e));
	assert_int_equal(e.code, E_RATE);
	assert_string_equal(e.text, "too fast: 7");
	/* A code that is none becomes one that is. */
	assert_ok(ipc_send(f->pair[0], IPC_REFUSED, 4, odd, sizeof(odd), -1, &e), &e);
	assert_ok(ipc_recv(&m, f->pair[1], &f->buf, IPC_BIT(IPC_REFUSED), 1000, &e), &e);
	assert_false(ipc_get_err(&m, &e));
	assert_int_equal(e.code, E_INTERNAL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(messages_arrive_whole_with_their_id),
		T(descriptors_are_passed_and_closed_by_the_receiver),
		T(sizes_and_descriptors_are_checked_before_sending),
		T(hostile_messages_are_refused),
		T(a_message_beyond_the_limit_is_refused),
		T(the_beginning_of_a_longer_message_is_none),
		T(silence_and_ends_are_told_apart),
		T(errors_travel_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
