#include "tests/support/httpd_stub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REQUEST_MAX = 4 * 1024 * 1024 };

struct stub {
	int listener;
	char url[64];
	stub_handler *handler;
	void *arg;
	pthread_mutex_t lock;
	unsigned requests;
	bool stopping;
	pthread_t acceptor;
	int connections[CONNECTIONS_MAX];
	size_t n_connections, n_taken; /* by a thread */
	/* They stay until stub_stop: a test may fork between two connections, and its child would wait for ever for a
	 * lock of the sanitizer's that a thread holds while it ends. */
	pthread_t threads[CONNECTIONS_MAX];
	size_t n_threads, n_idle;
	pthread_cond_t more; /* connections, or stopping */
};

static void die(const char *what)
{
	fprintf(stderr, "httpd_stub: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Not malloc: its faults are meant for what is tested. */
static void *get_memory(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static bool send_all(int fd, const void *p, size_t n)
{
	for (const char *s = p; n > 0;) {
		ssize_t did = send(fd, s, n, MSG_NOSIGNAL);

		if (did <= 0)
			return false;
		s += did;
		n -= (size_t)did;
	}
	return true;
}

const char *stub_value(const struct stub_request *q, const char *name)
{
	static _Thread_local char value[1024];
	size_t name_n = strlen(name);

	value[0] = '\0';
	for (const char *line = q->headers; *line; line = strchr(line, '\n') + 1) {
		size_t n = strcspn(line, "\r\n");

		if (n > name_n + 2 && strncasecmp(line, name, name_n) == 0 &&
		    line[name_n] == ':')
			snprintf(value, sizeof(value), "%.*s", (int)(n - name_n - 2),
				 line + name_n + 2);
		if (!strchr(line, '\n'))
			break;
	}
	return value;
}

void stub_header(struct stub_answer *a, const char *name, const char *value)
{
	size_t n = strlen(a->headers);

	snprintf(a->headers + n, sizeof(a->headers) - n, "%s: %s\r\n", name, value);
}

void stub_text(struct stub_answer *a, int status, const char *text)
{
	a->status = status;
	a->body = text;
	a->n = strlen(text);
	a->length = (int64_t)a->n;
}

void stub_serve(struct stub_answer *a, const struct stub_request *q, const void *p, size_t n)
{
	unsigned long long from = 0, to = n - 1;
	char range[96];
	int fields = sscanf(stub_value(q, "Range"), "bytes=%llu-%llu", &from, &to);

	a->status = fields >= 1 ? 206 : 200;
	if (fields >= 1) {
		snprintf(range, sizeof(range), "bytes %llu-%llu/%zu", from, to, n);
		stub_header(a, "Content-Range", range);
	}
	a->body = (const char *)p + from;
	a->n = (size_t)(to - from + 1);
	a->length = (int64_t)a->n;
}

/* Reads head and body into memory of its own; false at the end of the connection. */
static bool read_request(int fd, struct stub_request *q, uint8_t **memory)
{
	uint8_t *p = get_memory(REQUEST_MAX + 1);
	size_t n = 0, head_n, want = SIZE_MAX;

	*memory = p;
	while (n < want && n < REQUEST_MAX) {
		ssize_t got = recv(fd, p + n, REQUEST_MAX - n, 0);
		char *end;

		if (got <= 0)
			return false;
		n += (size_t)got;
		p[n] = '\0';
		end = want == SIZE_MAX ? strstr((char *)p, "\r\n\r\n") : NULL;
		if (!end)
			continue;
		head_n = (size_t)(end + 4 - (char *)p);
		end[2] = '\0';
		if (sscanf((char *)p, "%15s %511s", q->method, q->path) != 2)
			return false;
		snprintf(q->headers, sizeof(q->headers), "%s", strchr((char *)p, '\n') + 1);
		q->body = p + head_n;
		q->body_n = strtoull(stub_value(q, "Content-Length"), NULL, 10);
		want = head_n + q->body_n;
	}
	return n == want;
}

static bool send_endless(int fd)
{
	static const char zeros[65536];

	while (send_all(fd, zeros, sizeof(zeros)))
		;
	return false;
}

static void wait_for_hangup(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

/* True if the connection may be used again. */
static bool send_answer(int fd, const struct stub_answer *a, bool head_only)
{
	char head[2048], length[64] = "";
	size_t n = a->cut_at >= 0 && (size_t)a->cut_at < a->n ? (size_t)a->cut_at : a->n;

	if (a->raw)
		return send_all(fd, a->raw, strlen(a->raw)) && false;
	if (a->length >= 0)
		snprintf(length, sizeof(length), "Content-Length: %lld\r\n",
			 (long long)a->length);
	snprintf(head, sizeof(head), "HTTP/1.1 %d Stub\r\n%s%s\r\n", a->status, length,
		 a->headers);
	if (!send_all(fd, head, strlen(head)))
		return false;
	if (head_only)
		return true;
	if (!send_all(fd, a->body, n))
		return false;
	if (a->endless)
		return send_endless(fd);
	return a->cut_at < 0 && a->length == (int64_t)a->n;
}

static bool serve_one(struct stub *s, int fd)
{
	struct stub_request q = { 0 };
	struct stub_answer a = { .status = 200, .body = "", .length = 0, .cut_at = -1 };
	uint8_t *memory;
	bool again = read_request(fd, &q, &memory);

	if (again) {
		pthread_mutex_lock(&s->lock);
		q.nr = s->requests++;
		s->handler(s->arg, &q, &a);
		pthread_mutex_unlock(&s->lock);
		if (a.hang)
			wait_for_hangup(fd);
		again = !a.hang && !a.drop &&
			send_answer(fd, &a, strcmp(q.method, "HEAD") == 0);
	}
	munmap(memory, REQUEST_MAX + 1);
	return again;
}

/* The next connection; -1 when there will be none. */
static int take(struct stub *s)
{
	int fd = -1;

	pthread_mutex_lock(&s->lock);
	s->n_idle++;
	while (s->n_taken == s->n_connections && !s->stopping)
		pthread_cond_wait(&s->more, &s->lock);
	s->n_idle--;
	if (s->n_taken < s->n_connections)
		fd = s->connections[s->n_taken++];
	pthread_mutex_unlock(&s->lock);
	return fd;
}

static void *serve(void *arg)
{
	struct stub *s = arg;

	for (int fd; (fd = take(s)) >= 0;) {
		while (serve_one(s, fd))
			;
		shutdown(
			fd,
			SHUT_RDWR); /* closed by stub_stop, which may be shutting it down too */
	}
	return NULL;
}

static void *accept_all(void *arg)
{
	struct stub *s = arg;

	for (;;) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

		pthread_mutex_lock(&s->lock);
		if (fd < 0 || s->stopping || s->n_connections == CONNECTIONS_MAX) {
			pthread_mutex_unlock(&s->lock);
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		s->connections[s->n_connections++] = fd;
		if (s->n_idle < s->n_connections - s->n_taken &&
		    pthread_create(&s->threads[s->n_threads++], NULL, serve, s) != 0)
			die("pthread_create");
		pthread_cond_signal(&s->more);
		pthread_mutex_unlock(&s->lock);
	}
}

struct stub *stub_start(stub_handler *handler, void *arg)
{
	struct stub *s = get_memory(sizeof(*s));
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);

	s->handler = handler;
	s->arg = arg;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(s->listener, 64) != 0 ||
	    getsockname(s->listener, (struct sockaddr *)&a, &n) != 0)
		die("listen");
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
	if (pthread_create(&s->acceptor, NULL, accept_all, s) != 0)
		die("pthread_create");
	return s;
}

void stub_stop(struct stub *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->more);
	pthread_mutex_unlock(&s->lock);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->acceptor, NULL);
	for (size_t i = 0; i < s->n_connections; i++)
		shutdown(s->connections[i], SHUT_RDWR);
	for (size_t i = 0; i < s->n_threads; i++)
		pthread_join(s->threads[i], NULL);
	for (size_t i = 0; i < s->n_connections; i++)
		close(s->connections[i]);
	close(s->listener);
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	munmap(s, sizeof(*s));
}

const char *stub_url(const struct stub *s)
{
	return s->url;
}

unsigned stub_connections(struct stub *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = (unsigned)s->n_connections;
	pthread_mutex_unlock(&s->lock);
	return n;
}

unsigned stub_count(struct stub *s)
{
	unsigned n;

	pthread_mutex_lock(&s->lock);
	n = s->requests;
	pthread_mutex_unlock(&s->lock);
	return n;
}
