/* TLS records over server/web_tls_io.h: whatever the network makes of them, and which wait. */
#include "tests/support/unit.h"

#include "server/web_tls_io.h"
#include "base/io.h"
#include "base/rng.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <sys/socket.h>
#include <time.h>

enum { ROOM = 1 << 20, LONGEST = 16384 };

/* A client and our end of a connection; what the client sends goes through the test's hands. */
struct pair {
	gnutls_certificate_credentials_t server_cred, client_cred;
	gnutls_session_t server, client;
	int fds[2]; /* the server's, the client's */
	struct web_tls_io *io;
	struct buf sent; /* by the client, not delivered yet */
	size_t delivered;
};

static ssize_t client_push(gnutls_transport_ptr_t ptr, const void *p, size_t n)
{
	struct pair *t = ptr;
	struct err e;

	assert_ok(buf_add(&t->sent, p, n, &e), &e);
	return (ssize_t)n;
}

static ssize_t client_pull(gnutls_transport_ptr_t ptr, void *p, size_t n)
{
	struct pair *t = ptr;
	ssize_t got = recv(t->fds[1], p, n, MSG_DONTWAIT);

	if (got < 0)
		gnutls_transport_set_errno(t->client, errno);
	return got;
}

/* At most n bytes more reach the server's socket. */
static void deliver(struct pair *t, size_t n)
{
	size_t left = t->sent.n - t->delivered;
	ssize_t did;

	if (n > left)
		n = left;
	if (n == 0)
		return;
	did = send(t->fds[1], t->sent.p + t->delivered, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (did < 0)
		assert_int_equal(errno, EAGAIN);
	else
		t->delivered += (size_t)did;
}

static bool shake(gnutls_session_t s)
{
	int rc = gnutls_handshake(s);

	if (rc != GNUTLS_E_AGAIN)
		assert_int_equal(rc, GNUTLS_E_SUCCESS);
	return rc == GNUTLS_E_SUCCESS;
}

static void make_credentials(struct pair *t)
{
	CLEANUP(buf_done) struct buf cert = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf key = BUF_INIT(65536);
	static const char *const names[] = { "localhost" };
	gnutls_datum_t c, k;
	struct err e;

	assert_ok(web_tls_make(&cert, &key, names, 1, time(NULL), &e), &e);
	c = (gnutls_datum_t){ cert.p, (unsigned)cert.n };
	k = (gnutls_datum_t){ key.p, (unsigned)key.n };
	assert_int_equal(gnutls_certificate_allocate_credentials(&t->server_cred), 0);
	assert_int_equal(gnutls_certificate_allocate_credentials(&t->client_cred), 0);
	assert_int_equal(gnutls_certificate_set_x509_key_mem(t->server_cred, &c, &k,
							     GNUTLS_X509_FMT_PEM),
			 0);
}

static gnutls_session_t make_session(unsigned flags, gnutls_certificate_credentials_t cred)
{
	gnutls_session_t s;

	assert_int_equal(gnutls_init(&s, flags | GNUTLS_NONBLOCK), 0);
	assert_int_equal(gnutls_priority_set_direct(s, WEB_TLS_PRIORITIES, NULL), 0);
	assert_int_equal(gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred), 0);
	return s;
}

static void pair_start(struct pair *t)
{
	struct web_tls tls = { .cert = NULL };
	bool ours = false, theirs = false;

	*t = (struct pair){ .sent = BUF_INIT(64 << 20) };
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, t->fds), 0);
	make_credentials(t);
	t->server = make_session(GNUTLS_SERVER, t->server_cred);
	t->client = make_session(GNUTLS_CLIENT, t->client_cred);
	gnutls_transport_set_ptr(t->client, t);
	gnutls_transport_set_push_function(t->client, client_push);
	gnutls_transport_set_pull_function(t->client, client_pull);
	t->io = web_tls_io_new(&tls, t->server, t->fds[0]);
	assert_non_null(t->io);
	for (int i = 0; i < 100000 && !(ours && theirs); i++) {
		theirs = theirs || shake(t->client);
		deliver(t, 7);
		ours = ours || shake(t->server);
	}
	assert_true(ours && theirs);
	deliver(t, SIZE_MAX);
}

static void pair_done(struct pair *t)
{
	gnutls_deinit(t->server);
	gnutls_deinit(t->client);
	gnutls_certificate_free_credentials(t->server_cred);
	gnutls_certificate_free_credentials(t->client_cred);
	web_tls_io_free(t->io);
	buf_done(&t->sent);
	fd_closep(&t->fds[0]);
	fd_closep(&t->fds[1]);
}

/* Until there is nothing, which is how libmicrohttpd reads. */
static void receive_all(struct pair *t, struct buf *to)
{
	static uint8_t piece[LONGEST];
	struct err e;
	ssize_t n;

	while ((n = gnutls_record_recv(t->server, piece, sizeof(piece))) > 0)
		assert_ok(buf_add(to, piece, (size_t)n, &e), &e);
	assert_int_equal(n, GNUTLS_E_AGAIN);
}

static void records_of_any_length_arrive_however_they_are_cut(void **state)
{
	CLEANUP(buf_done) struct buf wanted = BUF_INIT(64 << 20);
	CLEANUP(buf_done) struct buf got = BUF_INIT(64 << 20);
	static uint8_t record[LONGEST];
	struct rng_fake rng;
	struct pair t;
	struct err e;

	(void)state;
	rng_fake_init(&rng, 3);
	pair_start(&t);
	while (wanted.n < ROOM) {
		uint32_t n;

		rng_fill(&rng.base, &n, sizeof(n));
		n = n % 3 == 0 ? n / 3 % LONGEST + 1 : n / 3 % 700 + 1;
		rng_fill(&rng.base, record, n);
		assert_int_equal(gnutls_record_send(t.client, record, n), n);
		assert_ok(buf_add(&wanted, record, n, &e), &e);
	}
	while (t.delivered < t.sent.n) {
		uint32_t n;

		rng_fill(&rng.base, &n, sizeof(n));
		deliver(&t, n % 4 == 0 ? n / 4 % 40000 + 1 : n / 4 % 1000 + 1);
		receive_all(&t, &got);
	}
	assert_int_equal(got.n, wanted.n);
	assert_memory_equal(got.p, wanted.p, wanted.n);
	pair_done(&t);
}

static void an_end_is_seen_after_what_came_before_it(void **state)
{
	char text[16];
	struct pair t;

	(void)state;
	pair_start(&t);
	assert_int_equal(gnutls_record_send(t.client, "one", 3), 3);
	assert_int_equal(gnutls_record_send(t.client, "two", 3), 3);
	deliver(&t, SIZE_MAX);
	assert_int_equal(shutdown(t.fds[1], SHUT_WR), 0);
	assert_int_equal(gnutls_record_recv(t.server, text, sizeof(text)), 3);
	assert_int_equal(gnutls_record_recv(t.server, text, sizeof(text)), 3);
	assert_memory_equal(text, "two", 3);
	assert_int_equal(gnutls_record_recv(t.server, text, sizeof(text)),
			 GNUTLS_E_PREMATURE_TERMINATION);
	pair_done(&t);
}

static void a_broken_socket_is_an_error_and_no_end(void **state)
{
	char text[16];
	struct pair t;

	(void)state;
	pair_start(&t);
	/* Another socket in its place: one that was never connected. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, t.fds[0]), t.fds[0]);
	fd_closep(&fd);
	assert_int_equal(gnutls_record_recv(t.server, text, sizeof(text)), GNUTLS_E_PULL_ERROR);
	pair_done(&t);
}

/* Bytes that wait at the client's end. */
static size_t waiting(const struct pair *t)
{
	static uint8_t all[4 * LONGEST];
	ssize_t n = recv(t->fds[1], all, sizeof(all), MSG_PEEK | MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static void drain(struct pair *t)
{
	uint8_t b[1024];

	while (recv(t->fds[1], b, sizeof(b), MSG_DONTWAIT) > 0)
		;
}

static void a_held_record_leaves_with_the_next(void **state)
{
	char text[16];
	struct pair t;

	(void)state;
	pair_start(&t);
	assert_int_equal(gnutls_record_recv(t.client, text, sizeof(text)), GNUTLS_E_AGAIN);
	web_tls_io_hold(t.io);
	assert_int_equal(gnutls_record_send(t.server, "head", 4), 4);
	assert_int_equal(waiting(&t), 0);
	assert_int_equal(gnutls_record_send(t.server, "body", 4), 4);
	assert_int_equal(gnutls_record_recv(t.client, text, sizeof(text)), 4);
	assert_memory_equal(text, "head", 4);
	assert_int_equal(gnutls_record_recv(t.client, text, sizeof(text)), 4);
	assert_memory_equal(text, "body", 4);
	/* Only one was held. */
	assert_int_equal(gnutls_record_send(t.server, "more", 4), 4);
	assert_true(waiting(&t) > 4);
	pair_done(&t);
}

static void a_long_head_does_not_wait(void **state)
{
	static uint8_t head[LONGEST];
	struct pair t;

	(void)state;
	pair_start(&t);
	drain(&t);
	web_tls_io_hold(t.io);
	assert_int_equal(gnutls_record_send(t.server, head, 5000), 5000);
	assert_true(waiting(&t) > 5000);
	pair_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_any_length_arrive_however_they_are_cut),
		cmocka_unit_test(an_end_is_seen_after_what_came_before_it),
		cmocka_unit_test(a_broken_socket_is_an_error_and_no_end),
		cmocka_unit_test(a_held_record_leaves_with_the_next),
		cmocka_unit_test(a_long_head_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
