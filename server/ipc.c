#include "server/ipc.h"
#include "base/bytes.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	const char *name;
	uint32_t min, max;
	bool has_fd;
} types[IPC_TYPES] = {
#define XX(name, min, max, fds) [IPC_##name] = { #name, min, max, fds },
	IPC_MAP(XX)
#undef XX
};

_Static_assert(IPC_TYPES <= 32, "accept masks have 32 bits");

const char *ipc_name(enum ipc_type type)
{
	return type > IPC_NONE && type < IPC_TYPES ? types[type].name : "none";
}

void ipc_msg_done(struct ipc_msg *m)
{
	fd_closep(&m->fd);
}

bool ipc_pair(int ret[static 2], struct err *e)
{
	int pair[2];
	int room = 2 * (IPC_HEADER + IPC_MAX);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, errno, "socket pair");
	for (int i = 0; i < 2; i++) {
		/* Asking for less than the default is never harmful; failing is. */
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) < 0) {
			err_sys(e, errno, "socket buffer");
			close(pair[0]);
			close(pair[1]);
			return false;
		}
	}
	ret[0] = pair[0];
	ret[1] = pair[1];
	return true;
}

static bool wait_for(int fd, short events, int timeout_ms, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "poll");
	if (n == 0)
		return err_set(e, E_TIMEOUT, "nothing in %d ms", timeout_ms);
	return true;
}

union fd_control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int))];
};

/* More than one descriptor's room, so that extra ones show as such and not as a cut message. */
union fds_control {
	struct cmsghdr align;
	char room[CMSG_SPACE(8 * sizeof(int))];
};

static void attach_fd(struct msghdr *h, union fd_control *control, int fd)
{
	struct cmsghdr *c = &control->align;

	memset(control, 0, sizeof(*control));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	h->msg_control = control;
	h->msg_controllen = sizeof(*control);
}

bool ipc_send(int fd, enum ipc_type type, uint32_t id, const void *p, size_t n, int pass_fd,
	      struct err *e)
{
	uint8_t head[IPC_HEADER] = "VIPC";
	uint16_t t = (uint16_t)type;
	uint32_t len = (uint32_t)n;
	struct iovec iov[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)p, n } };
	struct msghdr h = { .msg_iov = iov, .msg_iovlen = n ? 2 : 1 };
	union fd_control control;
	ssize_t sent;

	if (n < types[type].min || n > types[type].max)
		return err_set(e, E_TOO_BIG, "%s of %zu bytes", ipc_name(type), n);
	if ((pass_fd >= 0) != types[type].has_fd)
		return err_set(e, E_INTERNAL, "%s and its descriptor", ipc_name(type));
	memcpy(head + 4, &t, 2);
	memcpy(head + 8, &id, 4);
	memcpy(head + 12, &len, 4);
	if (pass_fd >= 0)
		attach_fd(&h, &control, pass_fd);

	for (;;) {
		sent = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent >= 0)
			return true;
		if (errno == EINTR)
			continue;
		if (errno == EPIPE || errno == ECONNRESET)
			return err_set(e, E_UNAVAILABLE, "the other process is gone");
		if (errno != EAGAIN && errno != ENOBUFS)
			return err_sys(e, errno, "sending %s", ipc_name(type));
		if (!wait_for(fd, POLLOUT, 1000, e))
			return err_set(e, E_BUSY, "the channel stays full");
	}
}

/* Takes the first descriptor, closes the others; returns how many there were. */
static unsigned take_fds(struct msghdr *h, int *ret_fd)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n++ == 0)
				*ret_fd = fd;
			else
				close(fd);
		}
	}
	return n;
}

static bool check(struct ipc_msg *m, const uint8_t *p, size_t n, unsigned n_fds, bool cut,
		  uint32_t accept, struct err *e)
{
	uint16_t type, zero;
	uint32_t len;

	if (n < IPC_HEADER || memcmp(p, "VIPC", 4) != 0)
		return err_set(e, E_FORMAT, "no message in %zu bytes", n);
	memcpy(&type, p + 4, 2);
	memcpy(&zero, p + 6, 2);
	memcpy(&m->id, p + 8, 4);
	memcpy(&len, p + 12, 4);
	if (zero != 0 || type == IPC_NONE || type >= IPC_TYPES || !(accept & IPC_BIT(type)))
		return err_set(e, E_FORMAT, "type %u is not expected here", type);
	if (cut || len != n - IPC_HEADER || len < types[type].min || len > types[type].max)
		return err_set(e, E_FORMAT, "%s of %u bytes", ipc_name(type), len);
	if (n_fds != (types[type].has_fd ? 1 : 0))
		return err_set(e, E_FORMAT, "%s with %u descriptors", ipc_name(type), n_fds);
	m->type = type;
	m->p = p + IPC_HEADER;
	m->n = len;
	return true;
}

bool ipc_recv(struct ipc_msg *ret, int fd, struct buf *buf, uint32_t accept, int timeout_ms,
	      struct err *e)
{
	struct ipc_msg m = IPC_MSG_INIT;
	union fds_control control;
	struct iovec iov = { .iov_len = IPC_HEADER + IPC_MAX };
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	uint8_t *p;
	ssize_t n;
	unsigned n_fds;

	buf_reset(buf);
	if (!buf_reserve(buf, IPC_HEADER + IPC_MAX, &p, e))
		return false;
	iov.iov_base = p;
	do {
		/* Workers share one end: another may have taken what poll saw. */
		if (!wait_for(fd, POLLIN, timeout_ms, e))
			return false;
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0 && errno == ECONNRESET)
		n = 0;
	if (n < 0)
		return err_sys(e, errno, "receiving");
	n_fds = take_fds(&h, &m.fd);
	if (n == 0) {
		ipc_msg_done(&m);
		return err_set(e, E_UNAVAILABLE, "the other process is gone");
	}
	if (!check(&m, p, (size_t)n, n_fds, h.msg_flags & (MSG_TRUNC | MSG_CTRUNC), accept,
		   e)) {
		ipc_msg_done(&m);
		return false;
	}
	buf_commit(buf, (size_t)n);
	*ret = m;
	return true;
}

bool ipc_send_err(int fd, enum ipc_type type, uint32_t id, const struct err *why, struct err *e)
{
	uint8_t p[4 + ERR_TEXT_MAX];
	uint32_t code = why->code;
	size_t n = strnlen(why->text, ERR_TEXT_MAX);

	memcpy(p, &code, 4);
	memcpy(p + 4, why->text, n);
	return ipc_send(fd, type, id, p, 4 + n, -1, e);
}

bool ipc_get_err(const struct ipc_msg *m, struct err *e)
{
	uint32_t code = 0;

	if (m->n >= 4)
		memcpy(&code, m->p, 4);
	/* By name, so that a number from a hostile peer cannot become an unknown code. */
	return err_from_name(e, err_name((enum err_code)code), "%.*s",
			     m->n > 4 ? (int)(m->n - 4) : 0,
			     m->n > 4 ? (const char *)m->p + 4 : "");
}
