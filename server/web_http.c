#include "server/web_http.h"
#include "server/web_guard.h"
#include "server/web_route.h"
#include "server/web_tls_io.h"
#include "base/bytes.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	/* Header lines and one piece of a body.  The library wipes all of it after each request: 32 KiB, its
	 * default, cost 4 % of a check-in, most of it by driving other things out of the cache. */
	CONNECTION_MEMORY = 16384,
	OBJECT_BLOCK = 131072, /* bytes of a file read at once for TLS */
	SWALLOW_MAX = 1 << 20, /* body of a request refused at its head that is still read */
};

/* What handsets of a fleet at rest are answered, again and again: 204 and when to poll next.  Made once
 * for each time and kept, without a request's id. */
enum { WAITS = 64 };
struct wait {
	pthread_mutex_t lock;
	uint32_t wait_s;
	struct MHD_Response *response; /* NULL: none yet */
};

struct web_http {
	struct MHD_Daemon *daemon;
	struct wait waits[WAITS]; /* each at its time modulo WAITS */
	struct web *web;
	const struct web_tls *tls;
	bool is_unix;
};

/* What a request is waiting for. */
enum phase {
	HEAD,  /* the header fields are in */
	BEGIN, /* parked: a streaming handler makes ready */
	READY, /* it is */
	BODY,
	DONE, /* the answer is known; what is left of the body is swallowed */
	RUN,  /* parked: the handler runs in the pool */
	ANSWER,
};

/* A connection, its socket_context, and the request that it brings now. */
struct conn {
	struct web_http *http;
	struct MHD_Connection *mhd;
	struct slow_link slow; /* not on the Unix socket: the proxy sees to slow clients */
	struct web_tls_io *io; /* NULL without TLS */
	int fd;
	bool is_ended;    /* by us, after an answer: its client may still send */
	struct peer peer; /* of the socket */

	struct req req;
	enum phase phase;
	const char *target; /* the library's own text of req.uri, later changed by it */
	size_t target_n;
	uint64_t received, swallowed;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

const char *req_header(const struct req *r, const char *name)
{
	const struct conn *c = r->conn;

	return MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
}

/* ---- the beginning of a request ------------------------------------------------------------ */

static void write_id(char out[static 17], uint64_t n)
{
	uint8_t bytes[8];

	for (int i = 7; i >= 0; i--, n >>= 8)
		bytes[i] = (uint8_t)n;
	hex_encode(out, bytes, sizeof(bytes));
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	struct web_http *h = cls;
	struct conn *c = conn_of(mhd);

	if (!c)
		return NULL; /* on_request answers that */
	memset(&c->req, 0, offsetof(struct req, reply));
	reply_init(&c->req.reply);
	c->req.web = h->web;
	c->req.peer = c->peer;
	c->req.conn = c;
	c->req.started_us = now_us();
	c->req.route_id = API_N_ROUTES;
	c->req.uri = strdup(uri);
	c->target = uri;
	c->target_n = strlen(uri);
	c->phase = HEAD;
	c->received = c->swallowed = 0;
	write_id(c->req.id, __atomic_add_fetch(&h->web->next_request, 1, __ATOMIC_RELAXED));
	metric_add(&h->web->metrics.active, 1);
	return c;
}

static enum MHD_Result feed_guard(void *cls, enum MHD_ValueKind kind, const char *key,
				  size_t key_n, const char *value, size_t value_n)
{
	struct guard *g = cls;

	(void)kind;
	if (!value || strlen(key) != key_n)
		g->bad_line = true;
	else
		guard_field(g, key, value, value_n);
	return MHD_YES;
}

static void peer_from(struct peer *p, const struct sockaddr *sa)
{
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, p->text, sizeof(p->text));
		p->key[0] = 4;
		memcpy(p->key + 1, v6->sin6_addr.s6_addr + 12, 4);
		p->local = v6->sin6_addr.s6_addr[12] == 127;
	} else if (sa->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, p->text, sizeof(p->text));
		p->key[0] = 6;
		memcpy(p->key + 1, v6->sin6_addr.s6_addr, 8); /* a /64 is one customer */
		p->local = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	} else if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, p->text, sizeof(p->text));
		p->key[0] = 4;
		memcpy(p->key + 1, &v4->sin_addr, 4);
		p->local = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
	}
}

/* Behind a proxy on the Unix socket its word for the address is taken: only it can connect.  It
 * says X-Real-IP once, in the place of what the client sent; X-Forwarded-For, to which proxies
 * append, is not read. */
static void peer_from_proxy(struct req *r)
{
	const char *ip = req_header(r, "X-Real-IP");
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .sa = { 0 } };

	if (ip && inet_pton(AF_INET, ip, &a.v4.sin_addr) == 1)
		a.sa.sa_family = AF_INET;
	else if (ip && inet_pton(AF_INET6, ip, &a.v6.sin6_addr) == 1)
		a.sa.sa_family = AF_INET6;
	if (a.sa.sa_family)
		peer_from(&r->peer, &a.sa);
	else
		snprintf(r->peer.text, sizeof(r->peer.text), "unix");
	r->peer.local = false;
}

static void find_peer(struct conn *c, const struct guard *g)
{
	if (c->http->is_unix)
		peer_from_proxy(&c->req);
	else if (g->proxied.count > 0 || g->real_ip.count > 0)
		c->req.peer.local = false;
}

static bool split_uri(struct req *r, struct err *e)
{
	char *query;

	if (!r->uri)
		return err_nomem(e);
	if (!guard_target(r->uri, strlen(r->uri), e))
		return false;
	query = strchr(r->uri, '?');
	if (query) {
		*query = 0;
		r->query = query + 1;
	}
	r->path = r->uri;
	return true;
}

static void refuse(struct conn *c, const struct err *e)
{
	reply_error(&c->req, e);
	c->req.reply.close = true;
}

/* ---- answers ------------------------------------------------------------------------------- */

static ssize_t read_file(void *cls, uint64_t pos, char *buf, size_t max)
{
	const struct reply *p = cls;
	ssize_t n;

	do
		n = pread(p->fd, buf, max, (off_t)(p->offset + pos));
	while (n < 0 && errno == EINTR);
	return n > 0 ? n : (ssize_t)MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(struct conn *c)
{
	struct reply *p = &c->req.reply;
	struct MHD_Response *m;

	if (p->fd < 0)
		return MHD_create_response_from_buffer(
			p->body.n, p->body.p ? (void *)p->body.p : (void *)"",
			MHD_RESPMEM_PERSISTENT);
	/* Without TLS the kernel sends the file itself; with TLS larger blocks save calls. */
	if (c->http->tls)
		return MHD_create_response_from_callback(p->n, OBJECT_BLOCK, read_file, p,
							 NULL);
	m = MHD_create_response_from_fd_at_offset64(p->n, p->fd, p->offset);
	if (m)
		p->fd = -1; /* it closes the descriptor */
	return m;
}

/* Over TLS the library writes head and body one by one: two records, two system calls, two
 * segments.  The record with the head waits for the one with the body. */
static void hold_head(struct conn *c)
{
	if (c->io)
		web_tls_io_hold(c->io);
}

static bool add_wait(struct MHD_Response *m, uint32_t wait_s)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", wait_s);
	return MHD_add_response_header(m, "Retry-After", text) == MHD_YES;
}

static bool is_draining(const struct conn *c)
{
	return __atomic_load_n(&c->http->web->draining, __ATOMIC_RELAXED);
}

static bool is_wait(const struct conn *c)
{
	const struct reply *p = &c->req.reply;

	return p->status == 204 && p->wait_s > 0 && p->headers_n == 0 && !p->close &&
	       !is_draining(c);
}

static void make_wait(struct wait *w, uint32_t wait_s)
{
	struct MHD_Response *m =
		MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);

	if (w->response)
		MHD_destroy_response(w->response); /* connections that send it hold it */
	if (m && !add_wait(m, wait_s)) {
		MHD_destroy_response(m);
		m = NULL;
	}
	w->wait_s = wait_s;
	w->response = m;
}

static enum MHD_Result answer_wait(struct conn *c)
{
	struct web_http *h = c->http;
	uint32_t wait_s = c->req.reply.wait_s;
	struct wait *w = &h->waits[wait_s % WAITS];
	enum MHD_Result rc = MHD_NO;

	c->phase = ANSWER;
	pthread_mutex_lock(&w->lock);
	if (!w->response || w->wait_s != wait_s)
		make_wait(w, wait_s);
	if (w->response)
		rc = MHD_queue_response(c->mhd, 204, w->response);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* What is sent of it: to HEAD, and with 304, only the head. */
static uint64_t body_bytes(const struct conn *c)
{
	const struct reply *p = &c->req.reply;

	if (c->req.is_head || p->status == 304)
		return 0;
	return p->fd >= 0 || p->n > 0 ? p->n : p->body.n;
}

static enum MHD_Result answer(struct conn *c)
{
	if (is_wait(c))
		return answer_wait(c);

	struct reply *p = &c->req.reply;
	struct MHD_Response *m = make_response(c);
	bool small = p->fd < 0 && p->n == 0 && p->body.n > 0 && p->body.n <= WEB_TLS_HELD_BODY;
	enum MHD_Result rc = MHD_NO;
	bool ok = m != NULL;

	c->phase = ANSWER;
	metric_add(&c->req.web->metrics.bytes_out, body_bytes(c));
	if (p->close || is_draining(c))
		ok = ok && MHD_add_response_header(m, "Connection", "close") == MHD_YES;
	if (p->type && (p->body.n > 0 || p->n > 0))
		ok = ok && MHD_add_response_header(m, "Content-Type", p->type) == MHD_YES;
	for (size_t i = 0; i < p->headers_n; i++)
		ok = ok && MHD_add_response_header(m, p->headers[i].name,
						   p->headers[i].value) == MHD_YES;
	if (p->wait_s > 0)
		ok = ok && add_wait(m, p->wait_s);
	ok = ok && MHD_add_response_header(m, "X-Request-Id", c->req.id) == MHD_YES;
	if (ok)
		rc = MHD_queue_response(c->mhd, p->status, m);
	if (rc == MHD_YES && small && !c->req.is_head)
		hold_head(c);
	if (m)
		MHD_destroy_response(m);
	return rc;
}

/* ---- parking ------------------------------------------------------------------------------- */

static void resume(struct conn *c)
{
	slow_waits(&c->slow, false);
	MHD_resume_connection(c->mhd);
}

static void in_pool(void *arg)
{
	struct conn *c = arg;

	c->req.in_pool = true;
	if (c->phase == BEGIN) {
		c->phase = web_route_begin(&c->req) ? READY : DONE;
	} else {
		(void)web_route_run(&c->req); /* in the pool it always ends with an answer */
		c->phase = DONE;
	}
	resume(c);
}

/* Hands the request to the pool; it goes on in on_request when the pool is done. */
static enum MHD_Result park(struct conn *c, enum phase phase)
{
	struct err e;

	c->phase = phase;
	slow_waits(&c->slow, true);
	MHD_suspend_connection(c->mhd);
	if (pool_run(c->req.web->pool, in_pool, c, &e))
		return MHD_YES;
	c->phase = DONE;
	reply_error(&c->req, &e);
	c->req.reply.close = phase == BEGIN;
	resume(c);
	return MHD_YES;
}

/* ---- the steps ------------------------------------------------------------------------------ */

/* An answer in the first call ends the connection (libmicrohttpd does not read on): small bodies are
 * swallowed first, as a new connection costs more. */
static enum MHD_Result answer_or_swallow(struct conn *c, const struct guard *g)
{
	bool unknown = g->transfer_encoding.count || g->length > SWALLOW_MAX;

	if (!unknown && !req_header(&c->req, "Expect")) {
		c->phase = DONE;
		return MHD_YES;
	}
	c->req.reply.close = true;
	return answer(c);
}

static void feed_all(struct guard *g, const struct conn *c, const char *method,
		     const char *version)
{
	const union MHD_ConnectionInfo *n;

	guard_line(g, method, c->target, c->target_n, version);
	MHD_get_connection_values_n(c->mhd, MHD_HEADER_KIND, feed_guard, g);
	n = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	guard_end(g, n ? n->header_size : 0);
}

static enum MHD_Result refuse_version(struct conn *c)
{
	struct err e;

	err_set(&e, E_UNSUPPORTED, "HTTP/1.1 and HTTP/1.0 are understood");
	refuse(c, &e);
	c->req.reply.status = 505;
	return answer(c);
}

static enum MHD_Result head(struct conn *c, const char *method, const char *version)
{
	struct req *r = &c->req;
	bool http_1_1 = strcmp(version, "HTTP/1.1") == 0;
	struct guard g = { .length = 0 };
	struct err e;

	if (!http_1_1 && strcmp(version, "HTTP/1.0") != 0)
		return refuse_version(c);
	feed_all(&g, c, method, version);
	find_peer(c, &g);
	r->host = g.host.value;
	r->signature = (struct req_signature){
		.input = g.signature_input.value,
		.signature = g.signature.value,
		.digest = g.content_digest.value,
	};
	r->known_method = api_method_parse(&r->method, method);
	r->is_head = strcmp(method, "HEAD") == 0;
	if (!guard_check(&g, http_1_1, &e) || !split_uri(r, &e)) {
		metric_add(&r->web->metrics.refused_smuggling, 1);
		refuse(c, &e);
		return answer(c);
	}
	/* The library ends lines of chunks with LF alone too, and does not show them: nothing that
	 * comes after chunks is taken for a request. */
	r->reply.close = g.transfer_encoding.count > 0;
	if (!r->known_method && strcmp(method, "OPTIONS") != 0) {
		err_set(&e, E_UNSUPPORTED, "method not known");
		refuse(c, &e);
		r->reply.status = 501;
		return answer(c);
	}
	switch (web_route_head(r, g.transfer_encoding.count ? UINT64_MAX : g.length)) {
	case ROUTE_REPLY:
		return answer_or_swallow(c, &g);
	case ROUTE_BEGIN:
		return park(c, BEGIN);
	default:
		c->phase = BODY;
		return MHD_YES;
	}
}

static enum MHD_Result body(struct conn *c, const char *data, size_t *n)
{
	c->received += *n;
	/* The library answers before a body or after it: who was refused within one hears why at its end,
	 * if that is no further away than what the largest request may send. */
	if (c->phase == DONE) {
		c->swallowed += *n;
		*n = 0;
		return c->swallowed > LIMIT_TUS_CHUNK ? MHD_NO : MHD_YES;
	}
	if (!web_route_data(&c->req, data, *n))
		c->phase = DONE;
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result run(struct conn *c)
{
	if (!web_route_is_fast(&c->req))
		return park(c, RUN);
	c->phase = RUN;
	if (!web_route_run(&c->req))
		return park(c, RUN);
	return answer(c);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *data_n, void **con_cls)
{
	struct conn *c = *con_cls;

	(void)cls;
	(void)mhd;
	(void)url;
	if (!c)
		return MHD_NO;
	switch (c->phase) {
	case HEAD:
		return head(c, method, version);
	case READY:
		/* The first call again, now that `begin` is through; the body comes next. */
		c->phase = BODY;
		return MHD_YES;
	case BODY:
		return *data_n > 0 ? body(c, data, data_n) : run(c);
	case DONE:
		return *data_n > 0 ? body(c, data, data_n) : answer(c);
	default:
		return MHD_NO;
	}
}

/* ---- ends ----------------------------------------------------------------------------------- */

static void log_request(const struct conn *c, unsigned status, uint64_t took_us)
{
	const struct req *r = &c->req;

	log_debug("http.request",
		  "id=%s peer=%s method=%s route=%s status=%u us=%" PRIu64 " in=%" PRIu64
		  " actor=%s",
		  r->id, r->peer.text, r->known_method ? api_method_names[r->method] : "other",
		  r->route ? r->route->id : "none", status, took_us, c->received,
		  r->actor[0] ? r->actor : "none");
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	struct conn *c = *con_cls;
	struct web *w;
	uint64_t took;

	(void)cls;
	(void)mhd;
	(void)why;
	if (!c)
		return;
	*con_cls = NULL;
	w = c->req.web;
	slow_ended(&c->slow);
	if (c->req.stream)
		web_route_cut(&c->req);
	took = now_us() - c->req.started_us;
	c->is_ended = c->phase == ANSWER && c->req.reply.close;
	if (c->phase == ANSWER)
		metrics_request(&w->metrics, c->req.route_id, c->req.reply.status, took);
	log_request(c, c->phase == ANSWER ? c->req.reply.status : 0, took);
	metric_sub(&w->metrics.active, 1);
	reply_done(&c->req.reply);
	buf_done(&c->req.body);
	free(c->req.uri);
}

static struct conn *conn_new(struct web_http *h, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *fd =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *session =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	const union MHD_ConnectionInfo *client =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct conn *c = fd ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->http = h;
	c->mhd = mhd;
	c->fd = fd->connect_fd;
	if (h->tls && session && session->tls_session)
		c->io = web_tls_io_new(h->tls, session->tls_session, fd->connect_fd);
	if (h->is_unix)
		return c;
	if (client && client->client_addr)
		peer_from(&c->peer, client->client_addr);
	slow_add(h->web->slow, &c->slow, fd->connect_fd, clock_boot_ms(h->web->clock));
	return c;
}

/* The library closes its descriptor now; with ours the connection outlives that. */
static void see_off(struct web_http *h, int fd)
{
	int ours = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (ours >= 0)
		late_take(h->web->late, ours);
}

static void conn_free(struct web_http *h, struct conn *c)
{
	if (!c)
		return;
	if (!h->is_unix)
		slow_remove(h->web->slow, &c->slow);
	if (c->is_ended)
		see_off(h, c->fd);
	web_tls_io_free(c->io);
	free(c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct web_http *h = cls;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		metric_sub(&h->web->metrics.connections_open, 1);
		conn_free(h, *socket_context);
		*socket_context = NULL;
		return;
	}
	metric_add(&h->web->metrics.connections, 1);
	metric_add(&h->web->metrics.connections_open, 1);
	*socket_context = conn_new(h, mhd);
}

/* libmicrohttpd's own complaints are about single connections: nothing an operator acts on. */
static PRINTF(2, 0) void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_debug("http.library", "text=%s", log_quote(text).s);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static unsigned threads_wanted(const struct settings *s)
{
	long n = (long)s->web_threads;

	if (n == 0)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 2 ? 2 : (unsigned)n; /* a pool of one is no pool for libmicrohttpd */
}

static void http_free(struct web_http *h)
{
	for (int i = 0; i < WAITS; i++) {
		if (h->waits[i].response)
			MHD_destroy_response(h->waits[i].response);
		pthread_mutex_destroy(&h->waits[i].lock);
	}
	free(h);
}

bool web_http_start(struct web_http **ret, struct web *w, int listen_fd,
		    const struct web_tls *tls, bool is_unix, struct err *e)
{
	const struct settings *s = w->settings;
	/* Not MHD_OPTION_STRICT_FOR_CLIENT: web_guard.c refuses more, and the library sends the head of
	 * its own refusals twice.  Not MHD_USE_TURBO: with 0.9.75 a TLS connection that says nothing then spins a thread and never
	 * times out (measured). */
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG | MHD_USE_ITC | (tls ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls_options[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->cert : NULL },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)WEB_TLS_PRIORITIES },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	struct web_http *h = calloc(1, sizeof(*h));

	if (!h)
		return err_nomem(e);
	h->web = w;
	h->tls = tls;
	h->is_unix = is_unix;
	for (int i = 0; i < WAITS; i++)
		pthread_mutex_init(&h->waits[i].lock, NULL);
	/* The error log has to be set first, or its own start is logged to standard error. */
	h->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_THREAD_POOL_SIZE,
		threads_wanted(s), MHD_OPTION_CONNECTION_LIMIT, (unsigned)s->web_connections,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)(is_unix ? 0 : s->web_connections_per_ip),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)s->web_idle_s,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
		tls ? tls_options : none, MHD_OPTION_END);
	if (!h->daemon) {
		http_free(h);
		return err_set(e, E_CONFIG, "the HTTP server could not start");
	}
	*ret = h;
	return true;
}

void web_http_quiesce(struct web_http *h)
{
	if (h)
		(void)MHD_quiesce_daemon(
			h->daemon); /* hands back mgr's socket, which stays open */
}

void web_http_stop(struct web_http *h)
{
	if (!h)
		return;
	MHD_stop_daemon(h->daemon);
	http_free(h);
}
