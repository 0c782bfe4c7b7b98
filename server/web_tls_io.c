#include "server/web_tls_io.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	HELD_MAX = 4096,  /* a head is at most a few hundred bytes; larger ones do not wait */
	AHEAD_MAX = 2048, /* a check-in fits; longer records are read to where they belong */
};

struct web_tls_io {
	gnutls_session_t session;
	int fd;
	bool hold;          /* the next record is to wait */
	size_t n, sent;     /* what waits, and how much of it went out already */
	size_t at, ahead_n; /* what was read ahead, and how much of it was asked for since */
	uint8_t held[HELD_MAX], ahead[AHEAD_MAX];
};

/* ---- in ------------------------------------------------------------------------------------ */

static ssize_t read_some(struct web_tls_io *o, void *to, size_t n)
{
	ssize_t got = recv(o->fd, to, n, 0);

	if (got < 0)
		gnutls_transport_set_errno(o->session, errno);
	return got;
}

/* EAGAIN only when the socket says so and nothing waits here: libmicrohttpd reads on until then. */
static ssize_t pull(gnutls_transport_ptr_t ptr, void *to, size_t n)
{
	struct web_tls_io *o = ptr;
	size_t waiting = o->ahead_n - o->at;

	if (waiting == 0) {
		ssize_t got;

		if (n >= AHEAD_MAX)
			return read_some(o, to, n);
		got = read_some(o, o->ahead, AHEAD_MAX);
		if (got <= 0)
			return got;
		o->at = 0;
		o->ahead_n = waiting = (size_t)got;
	}
	if (n > waiting)
		n = waiting;
	memcpy(to, o->ahead + o->at, n);
	o->at += n;
	return (ssize_t)n;
}

/* ---- out ----------------------------------------------------------------------------------- */

static ssize_t send_all_of(struct web_tls_io *o, const giovec_t *iov, int iov_n)
{
	struct iovec v[17];
	struct msghdr m = { .msg_iov = v };
	ssize_t n;

	if (o->n > o->sent)
		v[m.msg_iovlen++] = (struct iovec){ o->held + o->sent, o->n - o->sent };
	for (int i = 0; i < iov_n && m.msg_iovlen < ARRAY_SIZE(v); i++)
		v[m.msg_iovlen++] = (struct iovec){ iov[i].iov_base, iov[i].iov_len };
	n = m.msg_iovlen == 1 ? send(o->fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL)
			      : sendmsg(o->fd, &m, MSG_NOSIGNAL);
	if (n < 0) {
		gnutls_transport_set_errno(o->session, errno);
		return -1;
	}
	/* First what waited; of the rest the caller is told. */
	size_t waited = o->n - o->sent;
	if ((size_t)n < waited) {
		o->sent += (size_t)n;
		gnutls_transport_set_errno(o->session, EAGAIN);
		return -1;
	}
	o->n = o->sent = 0;
	if ((size_t)n == waited && iov_n > 0) {
		gnutls_transport_set_errno(o->session, EAGAIN);
		return -1;
	}
	return n - (ssize_t)waited;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int iov_n)
{
	struct web_tls_io *o = ptr;
	size_t n = 0;

	for (int i = 0; i < iov_n; i++)
		n += iov[i].iov_len;
	if (!o->hold || o->n > 0 || n > HELD_MAX)
		return send_all_of(o, iov, iov_n);
	o->hold = false;
	for (int i = 0; i < iov_n; i++) {
		memcpy(o->held + o->n, iov[i].iov_base, iov[i].iov_len);
		o->n += iov[i].iov_len;
	}
	return (ssize_t)n;
}

void web_tls_io_hold(struct web_tls_io *o)
{
	o->hold = true;
}

void web_tls_io_free(struct web_tls_io *o)
{
	free(o);
}

struct web_tls_io *web_tls_io_new(const struct web_tls *t, void *gnutls_session, int fd)
{
	struct web_tls_io *o;

	/* Without tickets every connection pays for a whole handshake; nothing else is lost. */
	if (t->ticket_key)
		(void)gnutls_session_ticket_enable_server(gnutls_session, t->ticket_key);
	o = malloc(sizeof(*o));
	if (!o)
		return NULL;
	o->session = gnutls_session;
	o->fd = fd;
	o->hold = false;
	o->n = o->sent = o->at = o->ahead_n = 0;
	gnutls_transport_set_ptr2(gnutls_session, o, o);
	gnutls_transport_set_pull_function(gnutls_session, pull);
	gnutls_transport_set_vec_push_function(gnutls_session, push);
	return o;
}
