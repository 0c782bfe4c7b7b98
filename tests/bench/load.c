/* tests/bench/load.c - asks a server over TLS, as fast as it answers.
 *
 *	load PORT THREADS CONNECTIONS SECONDS FILE LENGTH
 *
 * FILE holds requests of LENGTH bytes each.  If there is one, it is sent again and again; if there are more, each is
 * sent once, and the run fails when they are used up: a signed request is good once.  Connections go to
 * 127.0.0.1 and are kept, with one request under way on each.  An answer is a head that says HTTP/1.1 2xx and as
 * many bytes as its Content-Length says (none with 204).  Prints "N requests in S s"; whatever else happens ends
 * it with status 1.
 *
 * It shares the processors with the server that it measures, so it does no more than it has to, one system call to
 * send and one to receive, and the same for every server and every request. */
#include "base/attr.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum { HEAD_MAX = 4096, PIECE = 16384, EVENTS = 64, THREADS_MAX = 16 };

struct load {
	uint64_t port, threads, connections, seconds, length;
	const uint8_t *requests;
	uint64_t n; /* of them */
	SSL_CTX *tls;
	struct timespec end;
};

/* A connection, and how much of its answer is here. */
struct link {
	SSL *ssl;
	int fd;
	bool in_body;
	uint64_t left; /* of the body */
	size_t head_n;
	char head[HEAD_MAX + PIECE + 1]; /* NUL behind it; of the body what came with it */
};

struct thread {
	pthread_t id;
	struct load *load;
	uint64_t next, upto; /* its share of the requests */
	uint64_t answers;
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}

/* ---- one connection ------------------------------------------------------------------------ */

static void link_open(struct link *l, const struct load *o)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)o->port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int on = 1;

	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		fail(strerror(errno));
	l->ssl = SSL_new(o->tls);
	if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1 || SSL_connect(l->ssl) != 1)
		fail("no TLS connection");
	if (fcntl(l->fd, F_SETFL, O_NONBLOCK) < 0)
		fail(strerror(errno));
}

static void link_close(struct link *l)
{
	SSL_free(l->ssl);
	close(l->fd);
}

/* A request is far shorter than a socket's buffer, which is empty: the last one was answered. */
static void link_ask(struct link *l, struct thread *t)
{
	const struct load *o = t->load;

	if (t->next == t->upto && o->n > 1)
		fail("the requests are used up");
	if (SSL_write(l->ssl, o->requests + t->next * o->length, (int)o->length) !=
	    (int)o->length)
		fail("a request could not be sent");
	if (o->n > 1)
		t->next++;
	l->head_n = 0;
	l->in_body = false;
}

static uint64_t length_of(const char *head, const char *end)
{
	static const char field[] = "Content-Length: ";
	const char *value = strcasestr(head, field);
	uint64_t n;

	if (!value || value > end) {
		if (strncmp(head, "HTTP/1.1 204", 12) != 0)
			fail(head);
		return 0;
	}
	value += strlen(field);
	if (!u64_parse(&n, value, strspn(value, "0123456789")))
		fail(head);
	return n;
}

/* Takes n more bytes, of the head first. */
static void link_take(struct link *l, size_t n)
{
	const char *end;

	if (!l->in_body) {
		l->head_n += n;
		l->head[l->head_n] = 0;
		end = strstr(l->head, "\r\n\r\n");
		if (!end && l->head_n <= HEAD_MAX)
			return;
		if (!end || strncmp(l->head, "HTTP/1.1 2", 10) != 0)
			fail(l->head);
		l->in_body = true;
		l->left = length_of(l->head, end);
		n = l->head_n - (size_t)(end + 4 - l->head);
	}
	if (n > l->left)
		fail("more came than was asked for");
	l->left -= n;
}

/* False: half a record, or nothing for us (a session ticket). */
static bool link_read(struct link *l)
{
	int n = SSL_read(l->ssl, l->head + (l->in_body ? 0 : l->head_n), PIECE);

	if (n <= 0 && SSL_get_error(l->ssl, n) != SSL_ERROR_WANT_READ)
		fail("a connection ended");
	if (n > 0)
		link_take(l, (size_t)n);
	return n > 0;
}

/* ---- a thread ------------------------------------------------------------------------------ */

static bool is_over(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec ||
	       (now.tv_sec == end->tv_sec && now.tv_nsec >= end->tv_nsec);
}

/* What the TLS library has read ahead wakes nobody: all of it is taken. */
static void serve(struct link *l, struct thread *t)
{
	while (link_read(l)) {
		if (l->in_body && l->left == 0) {
			t->answers++;
			link_ask(l, t);
		}
		if (!SSL_has_pending(l->ssl))
			return;
	}
}

static void *run(void *arg)
{
	struct thread *t = arg;
	const struct load *o = t->load;
	uint64_t n = o->connections / o->threads;
	struct link *links = calloc(n, sizeof(*links));
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];

	if (!links || epoll < 0)
		fail("no memory or descriptors");
	for (uint64_t i = 0; i < n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &links[i] };

		link_open(&links[i], o);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, links[i].fd, &e) < 0)
			fail(strerror(errno));
		link_ask(&links[i], t);
	}
	while (!is_over(&o->end)) {
		int ready = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < ready; i++)
			serve(events[i].data.ptr, t);
	}
	for (uint64_t i = 0; i < n; i++)
		link_close(&links[i]);
	close(epoll);
	free(links);
	return NULL;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void map_requests(struct load *o, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail(strerror(errno));
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		fail(strerror(errno));
	close(fd);
	o->requests = p;
	o->n = (uint64_t)st.st_size / o->length;
	if (o->n == 0)
		fail("no request in the file");
}

static void start_tls(struct load *o)
{
	o->tls = SSL_CTX_new(TLS_client_method());
	if (!o->tls)
		fail("no TLS");
	SSL_CTX_set_verify(o->tls, SSL_VERIFY_NONE, NULL); /* the server is ours */
	SSL_CTX_set_read_ahead(o->tls, 1);                 /* one call for a record, not two */
}

int main(int argc, char **argv)
{
	struct load o = { .n = 0 };
	uint64_t *numbers[] = { &o.port, &o.threads, &o.connections, &o.seconds };
	struct thread threads[THREADS_MAX] = { { .answers = 0 } };
	uint64_t answers = 0;

	if (argc != 7 || !u64_parse(&o.length, argv[6], strlen(argv[6])) || o.length == 0)
		fail("usage: load PORT THREADS CONNECTIONS SECONDS FILE LENGTH");
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!u64_parse(numbers[i], argv[i + 1], strlen(argv[i + 1])))
			fail("not a number");
	}
	if (o.threads == 0 || o.threads > ARRAY_SIZE(threads) || o.connections < o.threads)
		fail("1 to 16 threads, and a connection for each");
	map_requests(&o, argv[5]);
	start_tls(&o);
	clock_gettime(CLOCK_MONOTONIC, &o.end);
	o.end.tv_sec += (time_t)o.seconds;
	for (uint64_t i = 0; i < o.threads; i++) {
		threads[i].load = &o;
		threads[i].next = o.n > 1 ? o.n * i / o.threads : 0;
		threads[i].upto = o.n * (i + 1) / o.threads;
		if (pthread_create(&threads[i].id, NULL, run, &threads[i]) != 0)
			fail("no thread");
	}
	for (uint64_t i = 0; i < o.threads; i++) {
		pthread_join(threads[i].id, NULL);
		answers += threads[i].answers;
	}
	SSL_CTX_free(o.tls);
	printf("%" PRIu64 " requests in %" PRIu64 " s\n", answers, o.seconds);
	return 0;
}
