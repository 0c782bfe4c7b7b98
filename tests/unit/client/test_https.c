#include "tests/support/unit.h"

#include "client/https.h"
#include "tests/support/httpd_stub.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

/* What the handlers answer and saw; one test at a time. */
static struct {
	const char *raw, *text;
	int status;
	const char *name, *value; /* a header of the answer */
	bool hang, endless, drop;
	int64_t cut_at;
	struct stub_request seen;
	char seen_body[65536];
} plan;

static void by_plan(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	plan.seen = *q;
	memcpy(plan.seen_body, q->body,
	       q->body_n < sizeof(plan.seen_body) ? q->body_n : sizeof(plan.seen_body));
	stub_text(a, plan.status, plan.text ? plan.text : "");
	if (plan.name)
		stub_header(a, plan.name, plan.value);
	a->raw = plan.raw;
	a->hang = plan.hang;
	a->drop = plan.drop;
	a->cut_at = plan.cut_at;
	a->endless = plan.endless;
	if (plan.endless)
		a->length = -1;
}

static struct stub *server;
static struct https *https;
static struct https_answer answer;
static struct err e;

static int setup(void **state)
{
	struct https_config c = HTTPS_CONFIG_INIT(NULL);

	memset(&plan, 0, sizeof(plan));
	plan.status = 200;
	plan.cut_at = -1;
	answer = HTTPS_ANSWER_INIT;
	server = stub_start(by_plan, NULL);
	c.base_url = stub_url(server);
	c.allow_plain_loopback = true;
	return https_new(&https, &c, &e) ? 0 : -1;
}

static int teardown(void **state)
{
	https_free(https);
	https_answer_done(&answer);
	stub_stop(server);
	return 0;
}

static bool get(const char *path)
{
	struct https_request r = { .method = "GET", .path = path, .max_bytes = 1000 };

	return https_do(https, &r, &answer, &e);
}

static void an_answer_is_handed_over(void **state)
{
	char value[32];

	plan.text = "hello";
	plan.name = "X-Thing";
	plan.value = "  a b ";
	assert_ok(get("/v1/x?y=z"), &e);
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.body.n, 5);
	assert_memory_equal(answer.body.p, "hello", 5);
	assert_true(answer.has_length);
	assert_int_equal(answer.length, 5);
	assert_int_equal(answer.retry_after_s, -1);
	assert_string_equal(https_answer_header(&answer, "x-thing", value, sizeof(value)),
			    "a b");
	assert_null(https_answer_header(&answer, "x-thing", value, 3));
	assert_null(https_answer_header(&answer, "x-other", value, sizeof(value)));
	assert_string_equal(plan.seen.method, "GET");
	assert_string_equal(plan.seen.path, "/v1/x?y=z");
	assert_string_equal(stub_value(&plan.seen, "Host"), stub_url(server) + 7);
	assert_string_equal(stub_value(&plan.seen, "Accept-Encoding"), "");
}

static void connections_are_kept(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		assert_ok(get("/a"), &e);
	assert_int_equal(stub_count(server), 4);
	assert_int_equal(stub_connections(server), 1);
}

static void a_body_is_sent_from_memory_and_from_a_file(void **state)
{
	const char *const headers[] = { "Content-Type: application/json" };
	struct https_request r = { .method = "POST",
				   .path = "/p",
				   .headers = headers,
				   .n_headers = 1,
				   .body = "{\"a\":1}",
				   .body_n = 7 };
	static char big[50000];
	int fd;

	assert_ok(https_do(https, &r, &answer, &e), &e);
	assert_string_equal(plan.seen.method, "POST");
	assert_int_equal(plan.seen.body_n, 7);
	assert_memory_equal(plan.seen_body, "{\"a\":1}", 7);
	assert_string_equal(stub_value(&plan.seen, "Content-Type"), "application/json");
	assert_string_equal(stub_value(&plan.seen, "Expect"), "");

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 >> 3);
	write_file_at(tmpdir_fd(state), "big", big, sizeof(big));
	fd = openat(tmpdir_fd(state), "big", O_RDONLY | O_CLOEXEC);
	r = (struct https_request){ .method = "PATCH",
				    .path = "/q",
				    .body_from_fd = true,
				    .body_fd = fd,
				    .body_offset = 1234,
				    .body_fd_n = 40000 };
	assert_ok(https_do(https, &r, &answer, &e), &e);
	assert_string_equal(plan.seen.method, "PATCH");
	assert_int_equal(plan.seen.body_n, 40000);
	assert_memory_equal(plan.seen_body, big + 1234, 40000);
	assert_string_equal(stub_value(&plan.seen, "Content-Type"), "");
	close(fd);
}

static void a_file_that_shrank_is_an_error_and_no_short_body(void **state)
{
	struct https_request r = { .method = "PATCH",
				   .path = "/q",
				   .body_from_fd = true,
				   .body_offset = 0,
				   .body_fd_n = 100 };

	write_file_at(tmpdir_fd(state), "f", "0123456789", 10);
	r.body_fd = openat(tmpdir_fd(state), "f", O_RDONLY | O_CLOEXEC);
	assert_fails(https_do(https, &r, &answer, &e), &e, E_CORRUPT);
	assert_int_equal(stub_count(server), 0);
	close(r.body_fd);
}

static void post_without_a_body_says_so_and_head_reads_none(void **state)
{
	struct https_request r = { .method = "POST", .path = "/p" };

	assert_ok(https_do(https, &r, &answer, &e), &e);
	assert_string_equal(stub_value(&plan.seen, "Content-Length"), "0");
	plan.text = "0123456789";
	r.method = "HEAD";
	assert_ok(https_do(https, &r, &answer, &e), &e);
	assert_string_equal(plan.seen.method, "HEAD");
	assert_int_equal(answer.length, 10);
	assert_int_equal(answer.body.n, 0);
	r.method = "DELETE";
	assert_ok(https_do(https, &r, &answer, &e), &e);
	assert_string_equal(plan.seen.method, "DELETE");
}

static void errors_of_the_server_keep_code_text_and_hint(void **state)
{
	plan.status = 404;
	plan.text = "{\"code\":\"not_found\",\"message\":\"no release \\\"x\\\"\","
		    "\"hint\":\"publish it\"}";
	assert_fails(get("/x"), &e, E_NOT_FOUND);
	assert_string_equal(e.text, "no release \"x\"");
	assert_string_equal(e.hint, "publish it");
	assert_int_equal(answer.status, 404);

	plan.status = 409; /* the code counts, not the status */
	plan.text = "{\"code\":\"rollback\",\"message\":\"older\"}";
	assert_fails(get("/x"), &e, E_ROLLBACK);
}

static struct err of_a_thread;

static void *get_in_thread(void *arg)
{
	struct https_answer a = HTTPS_ANSWER_INIT;
	struct https_request r = { .method = "GET", .path = "/x", .max_bytes = 1000 };

	(void)!https_do(https, &r, &a, &of_a_thread);
	https_answer_done(&a);
	return arg;
}

/* A worker's error is told by the loop, when the worker has ended and others have asked. */
static void a_hint_outlives_its_thread_and_the_hints_of_others(void **state)
{
	char text[128];
	pthread_t thread;
	struct err first;

	plan.status = 403;
	plan.text = "{\"code\":\"denied\",\"message\":\"no\",\"hint\":\"of the thread\"}";
	assert_int_equal(pthread_create(&thread, NULL, get_in_thread, NULL), 0);
	pthread_join(thread, NULL);
	plan.text = text;
	for (unsigned i = 0; i < 100; i++) { /* a server that says something new each time */
		snprintf(text, sizeof(text),
			 "{\"code\":\"denied\",\"message\":\"no\",\"hint\":\"hint %u\"}", i);
		assert_fails(get("/x"), &e, E_DENIED);
		assert_true(e.hint[0]);
		if (i == 0)
			first = e;
	}
	assert_string_equal(first.hint, "hint 0");
	assert_string_equal(of_a_thread.hint, "of the thread");
}

static void errors_of_others_are_mapped_by_status(void **state)
{
	static const struct {
		int status;
		enum err_code code;
	} map[] = { { 400, E_FORMAT },    { 401, E_AUTH },        { 403, E_DENIED },
		    { 404, E_NOT_FOUND }, { 410, E_GONE },        { 418, E_FORMAT },
		    { 429, E_RATE },      { 500, E_UNAVAILABLE }, { 502, E_UNAVAILABLE },
		    { 507, E_NO_SPACE } };

	plan.text = "<html>proxy says no</html>";
	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		plan.status = map[i].status;
		assert_fails(get("/x"), &e, map[i].code);
		assert_non_null(strstr(e.text, "answered HTTP"));
	}
	plan.text = "{\"code\":7}";
	plan.status = 404;
	assert_fails(get("/x"), &e, E_NOT_FOUND);
}

static void redirects_are_refused(void **state)
{
	plan.status = 302;
	plan.name = "Location";
	plan.value = "/elsewhere";
	assert_fails(get("/x"), &e, E_UNSUPPORTED);
	assert_int_equal(stub_count(server), 1);
}

static void retry_after_is_handed_over(void **state)
{
	plan.status = 429;
	plan.name = "Retry-After";
	plan.value = "17";
	assert_fails(get("/x"), &e, E_RATE);
	assert_int_equal(answer.retry_after_s, 17);
	plan.value = "Fri, 31 Dec 1999 23:59:59 GMT";
	assert_fails(get("/x"), &e, E_RATE);
	assert_int_equal(answer.retry_after_s, -1);
	plan.value = "99999999999999999";
	assert_fails(get("/x"), &e, E_RATE);
	assert_int_equal(answer.retry_after_s, INT32_MAX);
}

static void an_answer_longer_than_the_limit_is_cut_off(void **state)
{
	static char big[1001];

	memset(big, 'x', sizeof(big) - 1);
	plan.text = big;
	assert_ok(get("/x"), &e); /* exactly the limit */
	assert_int_equal(answer.body.n, 1000);

	plan.endless = true; /* no length, and it never ends */
	assert_fails(get("/x"), &e, E_TOO_BIG);
	plan.endless = false;
	plan.raw = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n";
	assert_fails(get("/x"), &e, E_TOO_BIG);
	plan.raw = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n";
	assert_false(get("/x"));
}

static void an_endless_error_is_cut_off_too(void **state)
{
	plan.endless = true;
	plan.status = 500;
	assert_fails(get("/x"), &e, E_TOO_BIG);
}

static void what_is_no_http_is_a_network_error(void **state)
{
	static const char *const junk[] = {
		"",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
	};

	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		plan.raw = junk[i];
		assert_fails(get("/x"), &e, E_NETWORK);
	}
}

static void answers_that_two_readers_may_see_differently_are_refused(void **state)
{
	plan.raw = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde";
	assert_fails(get("/x"), &e, E_FORMAT);
	plan.raw = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab";
	assert_fails(get("/x"), &e, E_FORMAT);
}

static void endless_headers_are_cut_off(void **state)
{
	static char head[LIMIT_HTTP_HEADERS + 4096];
	size_t n = (size_t)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n");

	while (n < LIMIT_HTTP_HEADERS + 1024)
		n += (size_t)snprintf(head + n, sizeof(head) - n, "X-%zu: %0100d\r\n", n, 0);
	snprintf(head + n, sizeof(head) - n, "\r\n");
	plan.raw = head;
	assert_fails(get("/x"), &e, E_TOO_BIG);
}

static void an_endless_header_line_is_told_as_what_it_is(void **state)
{
	static char head[300000];
	size_t n = (size_t)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nX: ");

	memset(head + n, 'a', sizeof(head) - n - 1);
	plan.raw = head;
	assert_fails(get("/x"), &e, E_TOO_BIG);
	assert_non_null(strstr(e.text, ": a header line of more than 102400 bytes"));
	/* The status line too. */
	memset(head, 'a', sizeof(head) - 1);
	memcpy(head, "HTTP/1.1 200 ", 13);
	assert_fails(get("/x"), &e, E_TOO_BIG);
}

static void a_server_that_says_nothing_times_out(void **state)
{
	struct https_request r = { .method = "GET", .path = "/x", .total_timeout_ms = 50 };

	plan.hang = true;
	assert_fails(https_do(https, &r, &answer, &e), &e, E_TIMEOUT);
	assert_int_equal(answer.status, 0);
}

static void nobody_listening_is_a_network_error(void **state)
{
	CLEANUP(https_freep) struct https *h = NULL;
	struct stub *gone = stub_start(by_plan, NULL);
	char url[64];
	struct https_config c = HTTPS_CONFIG_INIT(url);
	struct https_request r = { .method = "GET", .path = "/x" };

	snprintf(url, sizeof(url), "%s", stub_url(gone));
	stub_stop(gone);
	c.allow_plain_loopback = true;
	assert_ok(https_new(&h, &c, &e), &e);
	assert_fails(https_do(h, &r, &answer, &e), &e, E_NETWORK);
}

static bool refuse_piece(void *arg, const void *p, size_t n, struct err *err)
{
	return err_set(err, E_NO_SPACE, "disk full");
}

static bool refuse_head(void *arg, const struct https_answer *a, struct err *err)
{
	return err_set(err, E_CORRUPT, "not what I want");
}

static void the_errors_of_callbacks_come_out(void **state)
{
	struct https_request r = { .method = "GET", .path = "/x", .on_data = refuse_piece };

	plan.text = "bytes";
	assert_fails(https_do(https, &r, &answer, &e), &e, E_NO_SPACE);
	r.on_head = refuse_head;
	assert_fails(https_do(https, &r, &answer, &e), &e, E_CORRUPT);
}

static void the_cancel_flag_ends_a_request(void **state)
{
	CLEANUP(https_freep) struct https *h = NULL;
	atomic_bool cancel = true;
	struct https_config c = HTTPS_CONFIG_INIT(stub_url(server));
	struct https_request r = { .method = "GET", .path = "/x" };

	plan.hang = true;
	c.allow_plain_loopback = true;
	c.cancel = &cancel;
	assert_ok(https_new(&h, &c, &e), &e);
	assert_fails(https_do(h, &r, &answer, &e), &e, E_CANCELLED);
}

static void requests_that_would_smuggle_are_not_sent(void **state)
{
	static const char *const paths[] = { "x", "", "/a b", "/a\r\nX: y", "/a#b", "@evil/" };
	const char *header = "X: y\r\nAuthorization: z";
	struct https_request r = {
		.method = "GET", .path = "/x", .headers = &header, .n_headers = 1
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_fails(get(paths[i]), &e, E_USAGE);
	assert_fails(https_do(https, &r, &answer, &e), &e, E_USAGE);
	header = "no colon";
	assert_fails(https_do(https, &r, &answer, &e), &e, E_USAGE);
	assert_int_equal(stub_count(server), 0);
}

static void a_ca_file_that_is_not_there_is_told_at_once(void **state)
{
	CLEANUP(https_freep) struct https *h = NULL;
	struct https_config c = HTTPS_CONFIG_INIT("https://a.example");

	c.ca_file = "/nonexistent/ca.pem";
	assert_fails(https_new(&h, &c, &e), &e, E_CONFIG);
	assert_non_null(strstr(e.text, "/nonexistent/ca.pem"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int setup_dir(void **state)
{
	return tmpdir_setup(state) == 0 ? setup(state) : -1;
}

static int teardown_dir(void **state)
{
	teardown(state);
	return tmpdir_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_answer_is_handed_over),
		CASE(connections_are_kept),
		cmocka_unit_test_setup_teardown(a_body_is_sent_from_memory_and_from_a_file,
						setup_dir, teardown_dir),
		cmocka_unit_test_setup_teardown(a_file_that_shrank_is_an_error_and_no_short_body,
						setup_dir, teardown_dir),
		CASE(post_without_a_body_says_so_and_head_reads_none),
		CASE(errors_of_the_server_keep_code_text_and_hint),
		CASE(a_hint_outlives_its_thread_and_the_hints_of_others),
		CASE(errors_of_others_are_mapped_by_status),
		CASE(redirects_are_refused),
		CASE(retry_after_is_handed_over),
		CASE(an_answer_longer_than_the_limit_is_cut_off),
		CASE(an_endless_error_is_cut_off_too),
		CASE(what_is_no_http_is_a_network_error),
		CASE(answers_that_two_readers_may_see_differently_are_refused),
		CASE(endless_headers_are_cut_off),
		CASE(an_endless_header_line_is_told_as_what_it_is),
		CASE(a_server_that_says_nothing_times_out),
		CASE(nobody_listening_is_a_network_error),
		CASE(the_errors_of_callbacks_come_out),
		CASE(the_cancel_flag_ends_a_request),
		CASE(requests_that_would_smuggle_are_not_sent),
		CASE(a_ca_file_that_is_not_there_is_told_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
