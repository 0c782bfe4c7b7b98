#include "tests/support/unit.h"

#include "client/fetch.h"
#include "tests/support/httpd_stub.h"

enum { OBJECT = 100000 };
static uint8_t object[OBJECT];

static struct {
	stub_handler *twist; /* changes what a good server would answer */
	struct {
		unsigned long long from, to;
	} asked[64];
	unsigned n_asked;
} srv;

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	if (srv.n_asked < ARRAY_SIZE(srv.asked) &&
	    sscanf(stub_value(q, "Range"), "bytes=%llu-%llu", &srv.asked[srv.n_asked].from,
		   &srv.asked[srv.n_asked].to) == 2)
		srv.n_asked++;
	stub_serve(a, q, object, sizeof(object));
	stub_header(a, "ETag", "\"abc\"");
	if (srv.twist)
		srv.twist(arg, q, a);
}

static struct stub *server;
static struct https *https;
static struct clock_fake clk;
static struct rng_fake rng;
static struct fetch f;
static struct err e;
static uint8_t got[OBJECT];
static uint64_t got_n, waited_ms, sink_full_at;
static int64_t piece_takes_ms;

static bool sink(void *arg, uint64_t offset, const void *p, size_t n, struct err *err)
{
	clock_fake_advance(&clk, piece_takes_ms);
	if (offset + n > sink_full_at)
		return err_set(err, E_NO_SPACE, "disk full");
	assert_true(offset + n <= OBJECT);
	memcpy(got + offset, p, n);
	got_n += n;
	return true;
}

static bool wait_in_fake_time(void *arg, uint64_t ms, struct err *err)
{
	waited_ms += ms;
	clock_fake_advance(&clk, (int64_t)ms);
	return true;
}

static int setup(void **state)
{
	struct https_config c = HTTPS_CONFIG_INIT(NULL);

	for (size_t i = 0; i < OBJECT; i++)
		object[i] = (uint8_t)(i * 2654435761u >> 13);
	memset(&srv, 0, sizeof(srv));
	memset(got, 0, sizeof(got));
	got_n = waited_ms = 0;
	piece_takes_ms = 0;
	sink_full_at = UINT64_MAX;
	clock_fake_init(&clk, 1000000);
	rng_fake_init(&rng, 3);
	server = stub_start(serve, NULL);
	c.base_url = stub_url(server);
	c.allow_plain_loopback = true;
	if (!https_new(&https, &c, &e))
		return -1;
	f = FETCH_INIT(https, "/objects/x", OBJECT, &clk.base, &rng.base);
	f.etag = "\"abc\"";
	f.sink = sink;
	f.wait = wait_in_fake_time;
	return 0;
}

static int teardown(void **state)
{
	https_free(https);
	stub_stop(server);
	return 0;
}

static void the_whole_object_comes_in_one_request(void **state)
{
	assert_ok(fetch_range(&f, 0, OBJECT, &e), &e);
	assert_memory_equal(got, object, OBJECT);
	assert_int_equal(got_n, OBJECT);
	assert_int_equal(f.next, OBJECT);
	assert_int_equal(stub_count(server), 1);
}

static void a_part_in_the_middle_is_asked_for_as_such(void **state)
{
	assert_ok(fetch_range(&f, 1000, 1001, &e), &e);
	assert_int_equal(got_n, 1);
	assert_int_equal(got[1000], object[1000]);
	assert_int_equal(srv.asked[0].from, 1000);
	assert_int_equal(srv.asked[0].to, 1000);
}

static void an_empty_part_asks_nothing(void **state)
{
	assert_ok(fetch_range(&f, 77, 77, &e), &e);
	assert_int_equal(stub_count(server), 0);
}

static void a_part_outside_of_the_object_is_refused(void **state)
{
	assert_fails(fetch_range(&f, 0, OBJECT + 1, &e), &e, E_USAGE);
	assert_fails(fetch_range(&f, 2, 1, &e), &e, E_USAGE);
	assert_int_equal(stub_count(server), 0);
}

static void cut_each_time(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	if (q->nr < 9)
		a->cut_at = 1 + 1700 * (int64_t)q->nr;
}

static void goes_on_after_cuts_and_never_fetches_twice(void **state)
{
	srv.twist = cut_each_time;
	f.max_failures = 3; /* each brings something, so nine cuts are fine */
	assert_ok(fetch_range(&f, 100, OBJECT - 100, &e), &e);
	assert_memory_equal(got + 100, object + 100, OBJECT - 200);
	assert_int_equal(got_n, OBJECT - 200);
	assert_int_equal(stub_count(server), 10);
	for (unsigned i = 0, at = 100; i < srv.n_asked; i++) {
		assert_int_equal(srv.asked[i].from, at);
		at += 1 + 1700 * i;
	}
}

static void drop_all(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	a->drop = true;
}

static void gives_up_after_failures_without_a_byte(void **state)
{
	srv.twist = drop_all;
	f.max_failures = 5;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_NETWORK);
	assert_int_equal(f.attempts, 5);
	assert_true(waited_ms > 0);
	assert_non_null(strstr(e.text, "gave up after 5"));
}

static void one_byte_each(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	a->cut_at = 1;
}

static void a_server_that_gives_a_byte_and_hangs_up_is_left_in_the_end(void **state)
{
	srv.twist = one_byte_each;
	f.max_attempts = 20;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_NETWORK);
	assert_int_equal(f.attempts, 20);
	assert_int_equal(f.next, 20);
}

static void busy_twice(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	if (q->nr >= 2)
		return;
	memset(a, 0, sizeof(*a));
	a->cut_at = -1;
	stub_text(a, q->nr == 0 ? 429 : 503, "busy");
	stub_header(a, "Retry-After", "20");
}

static void retry_after_is_honoured(void **state)
{
	srv.twist = busy_twice;
	assert_ok(fetch_range(&f, 0, OBJECT, &e), &e);
	assert_int_equal(f.attempts, 3);
	assert_in_range(waited_ms, 40000, 45000);
}

static int status_now;

static void just_status(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	memset(a, 0, sizeof(*a));
	a->cut_at = -1;
	stub_text(a, status_now, "");
}

static void client_errors_are_final(void **state)
{
	static const int final[] = { 400, 401, 403, 404, 410, 416, 301, 304 };

	srv.twist = just_status;
	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		status_now = final[i];
		assert_false(fetch_range(&f, 0, OBJECT, &e));
		assert_int_equal(f.attempts, 1);
	}
	assert_int_equal(waited_ms, 0);
}

static void server_errors_are_tried_again(void **state)
{
	static const int again[] = { 408, 429, 500, 502, 503, 504 };

	srv.twist = just_status;
	f.max_failures = 3;
	for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
		status_now = again[i];
		assert_false(fetch_range(&f, 0, OBJECT, &e));
		assert_int_equal(f.attempts, 3);
	}
}

static const char *lie_name, *lie_value;
static int lie_status;
static int64_t lie_length;

static void lie(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	a->headers[0] = '\0';
	stub_header(a, lie_name, lie_value);
	a->status = lie_status;
	a->length = lie_length;
}

static void answers_that_are_not_the_part_asked_for_are_refused(void **state)
{
	static const struct {
		const char *name, *value;
		int status;
		int64_t length;
	} lies[] = {
		{ "Content-Range", "bytes 10-99/99999", 206, 90 },  /* another object */
		{ "Content-Range", "bytes 11-99/100000", 206, 90 }, /* another part */
		{ "Content-Range", "bytes 10-98/100000", 206, 90 },
		{ "Content-Range", "bytes 10-99/*", 206, 90 },
		{ "Content-Range", "bytes 10-99/100000 ", 206, 89 }, /* another length */
		{ "Content-Range", "bytes  10-99/100000", 206, 90 },
		{ "Content-Range", "items 10-99/100000", 206, 90 },
		{ "X-Nothing", "x", 206, 90 },
		{ "X-Nothing", "x", 200, 90 }, /* a whole for a part */
		{ "Content-Range", "bytes 10-99/100000", 203, 90 },
	};

	srv.twist = lie;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		lie_name = lies[i].name;
		lie_value = lies[i].value;
		lie_status = lies[i].status;
		lie_length = lies[i].length;
		if (fetch_range(&f, 10, 100, &e))
			fail_msg("case %zu accepted", i);
		assert_int_equal(e.code, E_CORRUPT);
		assert_int_equal(f.attempts, 1);
		assert_int_equal(got_n, 0);
	}
}

static void other_etag(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	char *tag = strstr(a->headers, "abc");

	memcpy(tag, "abd", 3);
}

static void another_etag_is_refused(void **state)
{
	srv.twist = other_etag;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_CORRUPT);
	f.etag = NULL;
	assert_ok(fetch_range(&f, 0, OBJECT, &e), &e);
}

static void ignore_range(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	memset(a, 0, sizeof(*a));
	a->cut_at = -1;
	a->status = 200;
	a->body = object;
	a->n = OBJECT;
	a->length = OBJECT;
}

static void a_server_without_ranges_will_do_for_the_whole_only(void **state)
{
	srv.twist = ignore_range;
	assert_ok(fetch_range(&f, 0, OBJECT, &e), &e);
	assert_memory_equal(got, object, OBJECT);
	assert_fails(fetch_range(&f, 1, OBJECT, &e), &e, E_CORRUPT);
}

static int whole_status;

static void whole_without_length(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	ignore_range(arg, q, a);
	a->status = whole_status;
	a->length = -1;
}

/* Nothing but the status says what it is then. */
static void a_whole_without_a_length_is_taken_for_no_part(void **state)
{
	srv.twist = whole_without_length;
	whole_status = 200;
	assert_fails(fetch_range(&f, 1, OBJECT, &e), &e, E_CORRUPT);
	assert_fails(fetch_range(&f, 0, OBJECT - 1, &e), &e, E_CORRUPT);
	assert_int_equal(got_n, 0);
	whole_status = 203;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_CORRUPT);
	assert_int_equal(got_n, 0);
	whole_status = 200;
	assert_ok(fetch_range(&f, 0, OBJECT, &e), &e);
}

static void never_end(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	a->length = -1;
	a->endless = true;
}

static void endless_data_is_cut_at_the_last_byte_asked_for(void **state)
{
	srv.twist = never_end;
	assert_fails(fetch_range(&f, 0, 5000, &e), &e, E_CORRUPT);
	assert_true(got_n <= 5000);
	assert_int_equal(f.attempts, 1);
}

static void no_length(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	a->length = -1;
	if (q->nr == 0)
		a->cut_at = 10;
}

static void a_cut_that_looks_like_an_end_is_noticed(void **state)
{
	srv.twist = no_length;
	assert_ok(fetch_range(&f, 0, 100, &e), &e);
	assert_int_equal(f.attempts, 2);
	assert_memory_equal(got, object, 100);
}

static void slow_retrieval_counts_as_failure_though_bytes_come(void **state)
{
	piece_takes_ms = 3600 * 1000;
	f.max_failures = 4;
	f.min_rate = 1000;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_TIMEOUT);
	assert_int_equal(f.attempts, 4);
	assert_memory_equal(got, object, f.next);
}

static void a_full_disk_stops_it_and_the_rest_comes_later(void **state)
{
	sink_full_at = OBJECT / 2;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_NO_SPACE);
	assert_int_equal(f.attempts, 1);
	assert_true(f.next <= OBJECT / 2);
	assert_int_equal(got_n, f.next);
	sink_full_at = UINT64_MAX;
	assert_ok(fetch_range(&f, f.next, OBJECT, &e), &e);
	assert_memory_equal(got, object, OBJECT);
	assert_int_equal(got_n, OBJECT);
}

static void the_cancel_flag_stops_it_before_and_while_waiting(void **state)
{
	atomic_bool cancel = true;

	f.cancel = &cancel;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_CANCELLED);
	assert_int_equal(stub_count(server), 0);
}

static atomic_bool cancel_later;

static void cut_and_cancel(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	a->drop = true;
	atomic_store(&cancel_later, true);
}

static void the_cancel_flag_stops_the_default_wait(void **state)
{
	cancel_later = false;
	srv.twist = cut_and_cancel;
	f.cancel = &cancel_later;
	f.wait = NULL;
	assert_false(fetch_range(&f, 0, OBJECT, &e));
	assert_int_equal(f.attempts, 1);
}

static bool cancelling_sink(void *arg, uint64_t offset, const void *p, size_t n,
			    struct err *err)
{
	atomic_store(&cancel_later, true);
	return sink(arg, offset, p, n, err);
}

static void the_cancel_flag_stops_it_between_two_pieces(void **state)
{
	cancel_later = false;
	f.cancel = &cancel_later;
	f.sink = cancelling_sink;
	assert_fails(fetch_range(&f, 0, OBJECT, &e), &e, E_CANCELLED);
	assert_true(got_n > 0 && got_n < OBJECT);
	assert_int_equal(f.attempts, 1);
}

static void a_slow_beginning_is_given_time(void **state)
{
	piece_takes_ms = 1000;
	f.min_rate = OBJECT;
	f.min_rate_after_ms = 3600 * 1000;
	assert_ok(fetch_range(&f, 0, OBJECT, &e), &e);
	assert_int_equal(f.attempts, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_whole_without_a_length_is_taken_for_no_part),
		CASE(the_cancel_flag_stops_it_between_two_pieces),
		CASE(a_slow_beginning_is_given_time),
		CASE(the_whole_object_comes_in_one_request),
		CASE(a_part_in_the_middle_is_asked_for_as_such),
		CASE(an_empty_part_asks_nothing),
		CASE(a_part_outside_of_the_object_is_refused),
		CASE(goes_on_after_cuts_and_never_fetches_twice),
		CASE(gives_up_after_failures_without_a_byte),
		CASE(a_server_that_gives_a_byte_and_hangs_up_is_left_in_the_end),
		CASE(retry_after_is_honoured),
		CASE(client_errors_are_final),
		CASE(server_errors_are_tried_again),
		CASE(answers_that_are_not_the_part_asked_for_are_refused),
		CASE(another_etag_is_refused),
		CASE(a_server_without_ranges_will_do_for_the_whole_only),
		CASE(endless_data_is_cut_at_the_last_byte_asked_for),
		CASE(a_cut_that_looks_like_an_end_is_noticed),
		CASE(slow_retrieval_counts_as_failure_though_bytes_come),
		CASE(a_full_disk_stops_it_and_the_rest_comes_later),
		CASE(the_cancel_flag_stops_it_before_and_while_waiting),
		CASE(the_cancel_flag_stops_the_default_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
