#include "hypervisor/net/gate.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/sandbox.h"
#include "hypervisor/net/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/close_range.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_SIZE = 4, IN_MAX = 4 * (FRAME_MAX + HEAD_SIZE), OUT_MAX = IN_MAX, POLLS_MAX = 512 };

struct gate {
	int frames;
	struct filter filter;
	Slirp *slirp;
	struct buf in, out; /* bytes from and to the engine, framed */
	struct pollfd polls[POLLS_MAX];
	size_t n_polls;
	bool gone;
};

/* ---- to the guest ---- */

static void flush(struct gate *g)
{
	while (g->out.n > 0) {
		ssize_t n = send(g->frames, g->out.p, g->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0) {
			g->gone = n < 0 && errno != EAGAIN && errno != EINTR;
			return;
		}
		memmove(g->out.p, g->out.p + n, g->out.n - (size_t)n);
		g->out.n -= (size_t)n;
	}
}

/* A frame that does not fit any more is lost, as on a cable. */
static void to_guest(struct gate *g, const void *p, size_t n)
{
	uint32_t head = htonl((uint32_t)n);
	struct err ignored;

	if (n > FRAME_MAX || g->out.max - g->out.n < HEAD_SIZE + n)
		return;
	if (buf_add(&g->out, &head, HEAD_SIZE, &ignored) && !buf_add(&g->out, p, n, &ignored))
		g->out.n -= HEAD_SIZE;
	flush(g);
}

static ssize_t send_packet(const void *p, size_t n, void *opaque)
{
	to_guest(opaque, p, n);
	return (ssize_t)n;
}

/* ---- names ---- */

static size_t resolve(const char *name, uint32_t addrs[static DNS_ADDRS_MAX])
{
	const struct addrinfo want = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	size_t n = 0;

	if (getaddrinfo(name, NULL, &want, &list) != 0)
		return 0;
	for (const struct addrinfo *a = list; a && n < DNS_ADDRS_MAX; a = a->ai_next)
		addrs[n++] = ntohl(((const struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr);
	freeaddrinfo(list);
	return n;
}

static bool answer(struct gate *g, struct buf *out, const struct dns_query *q,
		   const uint8_t *query, struct err *e)
{
	uint32_t addrs[DNS_ADDRS_MAX];
	size_t n = 0;

	if (!filter_knows_name(&g->filter, q->name))
		return dns_answer_encode(out, q, query, DNS_REFUSED, NULL, 0, e);
	if (q->wants_ipv4) {
		n = filter_open_name(&g->filter, q->name, addrs, resolve(q->name, addrs));
		if (n == 0)
			return dns_answer_encode(out, q, query, DNS_SERVFAIL, NULL, 0, e);
	}
	return dns_answer_encode(out, q, query, DNS_OK, addrs, n, e);
}

static void answer_query(struct gate *g, const uint8_t *frame, const struct frame *f)
{
	CLEANUP(buf_done) struct buf message = BUF_INIT(FRAME_MAX);
	CLEANUP(buf_done) struct buf reply = BUF_INIT(FRAME_MAX);
	struct dns_query q;
	struct err ignored;

	if (dns_query_parse(&q, f->payload, f->payload_n, &ignored) &&
	    answer(g, &message, &q, f->payload, &ignored) &&
	    frame_answer(&reply, frame, message.p, message.n, &ignored))
		to_guest(g, reply.p, reply.n);
}

/* ---- from the guest ---- */

static void judge(struct gate *g, const uint8_t *p, size_t n)
{
	struct frame f = frame_read(p, n);

	switch (f.kind) {
	case FRAME_DROP:
		return;
	case FRAME_DNS:
		answer_query(g, p, &f);
		return;
	case FRAME_TCP:
		if (!filter_allows(&g->filter, f.ip, f.port))
			return;
		break;
	case FRAME_ARP:
	case FRAME_DHCP:
		break;
	}
	slirp_input(g->slirp, p, (int)n);
}

static void hear_guest(struct gate *g)
{
	struct err ignored;
	uint8_t *to;
	size_t at = 0;

	if (!buf_reserve(&g->in, g->in.max - g->in.n, &to, &ignored)) {
		g->gone = true;
		return;
	}
	ssize_t got = recv(g->frames, to, g->in.max - g->in.n, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		g->gone = true;
	if (got > 0)
		buf_commit(&g->in, (size_t)got);
	while (g->in.n - at >= HEAD_SIZE) {
		uint32_t n;

		memcpy(&n, g->in.p + at, HEAD_SIZE);
		n = ntohl(n);
		if (n > FRAME_MAX) {
			g->gone = true; /* out of step: the engine is not what it was */
			return;
		}
		if (g->in.n - at - HEAD_SIZE < n)
			break;
		judge(g, g->in.p + at + HEAD_SIZE, n);
		at += HEAD_SIZE + n;
	}
	memmove(g->in.p, g->in.p + at, g->in.n - at);
	g->in.n -= at;
}

/* ---- libslirp's questions ---- */

static int64_t clock_ns(void *opaque UNUSED)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void guest_error(const char *msg UNUSED, void *opaque UNUSED)
{
	/* The guest's mistakes are the guest's. */
}

/* Timers serve IPv6 router advertisements only, and there is no IPv6 here. */
static void *timer_new(SlirpTimerCb cb UNUSED, void *cb_opaque UNUSED, void *opaque)
{
	return opaque;
}

static void timer_free(void *timer UNUSED, void *opaque UNUSED)
{
}

static void timer_mod(void *timer UNUSED, int64_t at_ms UNUSED, void *opaque UNUSED)
{
}

static void poll_fd(int fd UNUSED, void *opaque UNUSED)
{
}

static void notify(void *opaque UNUSED)
{
}

static int add_poll(int fd, int events, void *opaque)
{
	struct gate *g = opaque;
	short wanted = 0;

	if (g->n_polls == POLLS_MAX)
		return -1;
	wanted |= events & SLIRP_POLL_IN ? POLLIN : 0;
	wanted |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
	wanted |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
	g->polls[g->n_polls] = (struct pollfd){ .fd = fd, .events = wanted };
	return (int)g->n_polls++;
}

static int get_revents(int i, void *opaque)
{
	const struct gate *g = opaque;
	short r = i < 0 ? 0 : g->polls[i].revents;

	return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (r & POLLPRI ? SLIRP_POLL_PRI : 0) | (r & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static Slirp *make_slirp(struct gate *g)
{
	static const SlirpCb callbacks = {
		.send_packet = send_packet,
		.guest_error = guest_error,
		.clock_get_ns = clock_ns,
		.timer_new = timer_new,
		.timer_free = timer_free,
		.timer_mod = timer_mod,
		.register_poll_fd = poll_fd,
		.unregister_poll_fd = poll_fd,
		.notify = notify,
	};
	const SlirpConfig config = {
		.version = 3,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(NET_PREFIX),
		.vnetmask.s_addr = htonl(NET_MASK),
		.vhost.s_addr = htonl(NET_GATEWAY),
		.vdhcp_start.s_addr = htonl(NET_GUEST),
		.vnameserver.s_addr = htonl(NET_DNS),
		.disable_host_loopback = true,
		.disable_dns = true,
	};

	return slirp_new(&config, &callbacks, g);
}

/* ---- the process ---- */

static void run_once(struct gate *g)
{
	enum { IDLE_MS = 60000 };
	uint32_t timeout_ms = IDLE_MS;

	g->polls[0] =
		(struct pollfd){ .fd = g->frames,
				 .events = (short)(POLLIN | (g->out.n > 0 ? POLLOUT : 0)) };
	g->n_polls = 1;
	slirp_pollfds_fill(g->slirp, &timeout_ms, add_poll, g);
	int n = poll(g->polls, g->n_polls, (int)timeout_ms);
	slirp_pollfds_poll(g->slirp, n < 0, get_revents, g);
	if (n > 0 && g->polls[0].revents & POLLOUT)
		flush(g);
	if (n > 0 && g->polls[0].revents & ~POLLOUT)
		hear_guest(g);
}

static void gate_main(int frames, const struct filter *filter)
{
	static struct gate g; /* large; and this process does nothing else */
	const struct sandbox box = { .profile = SANDBOX_SERVICE, .user = "nobody" };
	struct err e;

	g.frames = 3;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || dup2(frames, g.frames) < 0 ||
	    close_range(4, ~0u, 0) != 0)
		_exit(1);
	g.filter = *filter;
	buf_init(&g.in, IN_MAX);
	buf_init(&g.out, OUT_MAX);
	g.slirp = make_slirp(&g);
	if (!g.slirp || !sandbox_enter(&box, &e))
		_exit(1);
	/* A change of uid clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		_exit(1);
	while (!g.gone)
		run_once(&g);
	_exit(0);
}

bool gate_start(pid_t *ret_pid, int frames, const struct filter *filter, struct err *e)
{
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(e, errno, "fork");
	if (pid == 0)
		gate_main(frames, filter);
	*ret_pid = pid;
	return true;
}
