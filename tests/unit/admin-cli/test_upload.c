#include "tests/support/unit.h"

#include "admin-cli/upload.h"
#include "base/text.h"
#include "proto/tus.h"
#include "tests/support/httpd_stub.h"

#include <fcntl.h>
#include <unistd.h>

enum { SIZE = 100000, CHUNK = 10000 };
static uint8_t object[SIZE], hash[SHA256_SIZE];

/* A tus server with one upload at a time, and what it does wrong. */
static struct {
	unsigned created, patches, heads;
	char id[32];
	bool there;
	uint64_t offset;
	uint8_t got[SIZE];
	uint64_t received; /* bytes of all bodies */

	unsigned cut_patch;     /* this PATCH takes half of its bytes and hangs up */
	unsigned cut_all_after; /* from this PATCH on all do */
	unsigned busy_patch;    /* 503 with Retry-After */
	unsigned lose_answer;   /* takes the bytes, hangs up */
	unsigned damage;        /* 460 */
	unsigned expire_at;     /* the upload is gone at this PATCH */
	bool corrupt;           /* the whole does not have the hash */
	bool forget_complete;   /* a complete upload is gone */
	bool stored;            /* somebody else was faster */
	const char *location;   /* instead of the good one */
} srv;
static char offset_text[32];

static void tell_offset(struct stub_answer *a, int status)
{
	a->status = status;
	snprintf(offset_text, sizeof(offset_text), "%llu", (unsigned long long)srv.offset);
	stub_header(a, "Upload-Offset", offset_text);
	stub_header(a, "Upload-Length", "100000");
	stub_header(a, "Tus-Resumable", "1.0.0");
}

static void create(const struct stub_request *q, struct stub_answer *a)
{
	char path[80];
	uint8_t wanted[SHA256_SIZE];
	const char *metadata = stub_value(q, "Upload-Metadata");
	struct err e;

	assert_ok(tus_metadata_parse(wanted, metadata, strlen(metadata), &e), &e);
	assert_memory_equal(wanted, hash, SHA256_SIZE);
	assert_string_equal(stub_value(q, "Upload-Length"), "100000");
	assert_string_equal(stub_value(q, "Authorization"), "Bearer t");
	snprintf(srv.id, sizeof(srv.id), "u%u", ++srv.created);
	srv.there = true;
	srv.offset = 0;
	snprintf(path, sizeof(path), "/v1/uploads/%s", srv.id);
	a->status = 201;
	stub_header(a, "Location", srv.location ? srv.location : path);
}

static void patch(const struct stub_request *q, struct stub_answer *a)
{
	uint8_t want[SHA256_SIZE], is[SHA256_SIZE];
	const char *sum = stub_value(q, "Upload-Checksum");
	struct err e;
	size_t n = q->body_n;

	srv.received += n;
	assert_ok(tus_checksum_parse(want, sum, strlen(sum), &e), &e);
	sha256(is, q->body, n);
	assert_memory_equal(want, is, SHA256_SIZE);
	assert_string_equal(stub_value(q, "Content-Type"), TUS_CONTENT_TYPE);
	if (strtoull(stub_value(q, "Upload-Offset"), NULL, 10) != srv.offset) {
		a->status = 409;
		return;
	}
	if (srv.patches == srv.damage) {
		a->status = 460;
		return;
	}
	if (srv.patches == srv.busy_patch) {
		stub_text(a, 503, "");
		stub_header(a, "Retry-After", "3");
		return;
	}
	if (srv.patches == srv.cut_patch ||
	    (srv.cut_all_after && srv.patches >= srv.cut_all_after)) {
		n /= 2;
		a->drop = true;
	}
	memcpy(srv.got + srv.offset, q->body, n);
	srv.offset += n;
	if (srv.patches == srv.lose_answer)
		a->drop = true;
	if (srv.offset == SIZE && srv.forget_complete)
		srv.there = false;
	if (srv.offset == SIZE && srv.corrupt)
		stub_text(a, 422, "{\"code\":\"corrupt\",\"message\":\"hash differs\"}");
	else
		tell_offset(a, 204);
}

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	char path[80];

	assert_string_equal(stub_value(q, "Tus-Resumable"), "1.0.0");
	snprintf(path, sizeof(path), "/v1/uploads/%s", srv.id);
	if (strcmp(q->method, "POST") == 0) {
		assert_string_equal(q->path, "/v1/uploads");
		if (srv.stored)
			stub_text(a, 409, "{\"code\":\"exists\",\"message\":\"it is stored\"}");
		else
			create(q, a);
		return;
	}
	if (strcmp(q->method, "PATCH") == 0 && ++srv.patches == srv.expire_at)
		srv.there = false;
	if (!srv.there || strcmp(q->path, path) != 0) {
		stub_text(a, 404, "");
		return;
	}
	if (strcmp(q->method, "HEAD") == 0) {
		srv.heads++;
		tell_offset(a, 200);
	} else {
		patch(q, a);
	}
}

static struct stub *server;
static struct https *https;
static struct home home;
static struct upload u;
static struct clock_fake clk;
static struct rng_fake rng;
static struct err e;
static int fd;
static uint64_t waited_ms, last_progress;

static bool wait_in_fake_time(void *arg, uint64_t ms, struct err *err)
{
	waited_ms += ms;
	clock_fake_advance(&clk, (int64_t)ms);
	return true;
}

static void progress(void *arg, uint64_t bytes)
{
	assert_true(bytes <= SIZE);
	last_progress = bytes;
}

static int setup(void **state)
{
	struct https_config c = HTTPS_CONFIG_INIT(NULL);

	if (tmpdir_setup(state) != 0)
		return -1;
	memset(&srv, 0, sizeof(srv));
	for (size_t i = 0; i < SIZE; i++)
		object[i] = (uint8_t)(i * 2654435761u >> 11);
	sha256(hash, object, SIZE);
	write_file_at(tmpdir_fd(state), "object", object, SIZE);
	fd = openat(tmpdir_fd(state), "object", O_RDONLY | O_CLOEXEC);
	waited_ms = last_progress = 0;
	clock_fake_init(&clk, 1000000);
	rng_fake_init(&rng, 1);
	server = stub_start(serve, NULL);
	c.base_url = stub_url(server);
	c.allow_plain_loopback = true;
	if (!https_new(&https, &c, &e) || !home_open(&home, tmpdir_path(state), &e))
		return -1;
	u = UPLOAD_INIT(https, "Authorization: Bearer t", stub_url(server), &home, &clk.base,
			&rng.base);
	u.chunk_bytes = CHUNK;
	u.wait = wait_in_fake_time;
	u.progress = progress;
	return 0;
}

static int teardown(void **state)
{
	close(fd);
	home_done(&home);
	https_free(https);
	stub_stop(server);
	return tmpdir_teardown(state);
}

static bool upload(void)
{
	return upload_object(&u, fd, SIZE, hash, &e);
}

static bool remembered(void)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	char name[HEX_SIZE(SHA256_SIZE)];
	struct err ignored;

	hex_encode(name, hash, sizeof(hash));
	return home_read(&home, "uploads", name, &b, &ignored);
}

static void assert_whole(void)
{
	assert_int_equal(srv.offset, SIZE);
	assert_memory_equal(srv.got, object, SIZE);
	assert_false(remembered());
}

static void an_object_goes_over_in_chunks(void **state)
{
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.created, 1);
	assert_int_equal(srv.patches, SIZE / CHUNK);
	assert_int_equal(srv.heads, 0);
	assert_int_equal(u.sent, SIZE);
	assert_int_equal(last_progress, SIZE);
}

static void the_last_chunk_may_be_shorter(void **state)
{
	u.chunk_bytes = 33333;
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.patches, 4);
}

static void a_cut_chunk_goes_on_from_what_the_server_has(void **state)
{
	srv.cut_patch = 3;
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.created, 1);
	assert_int_equal(srv.heads, 1);
	/* Half of a chunk was thrown away by the cut; nothing else went over twice. */
	assert_int_equal(srv.received, SIZE + CHUNK / 2);
}

static void a_lost_answer_does_not_send_the_chunk_again(void **state)
{
	srv.lose_answer = 5;
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.received, SIZE);
}

static void a_busy_server_is_waited_for(void **state)
{
	srv.busy_patch = 2;
	assert_ok(upload(), &e);
	assert_whole();
	assert_true(waited_ms >= 3000);
}

static void a_damaged_chunk_is_sent_again(void **state)
{
	srv.damage = 4;
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.created, 1);
}

static void a_killed_upload_is_found_again_and_goes_on(void **state)
{
	uint64_t before;

	srv.cut_all_after = 4;
	u.max_failures = 1; /* the first cut is the kill */
	assert_fails(upload(), &e, E_NETWORK);
	assert_true(remembered());
	before = srv.offset;
	assert_true(before > 0);
	srv.cut_all_after = 0;
	srv.received = 0;
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.created, 1);
	assert_int_equal(srv.received, SIZE - before);
}

static void an_expired_upload_is_begun_again_once(void **state)
{
	srv.expire_at = 5;
	assert_ok(upload(), &e);
	assert_whole();
	assert_int_equal(srv.created, 2);
}

static void the_memory_of_another_server_or_of_junk_does_not_count(void **state)
{
	static const char *const lines[] = {
		"https://other.example /v1/uploads/u9\n",
		"junk",
		"",
		"%s /v1/uploads/../status\n",
		"%s /v1/tokens/x\n",
		"%s /v1/uploads/\n",
		"%s /v1/uploads/a?b\n",
	};
	char name[HEX_SIZE(SHA256_SIZE)], line[200];

	hex_encode(name, hash, sizeof(hash));
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *blank = strchr(lines[i], ' ');

		if (lines[i][0] == '%')
			snprintf(line, sizeof(line), "%s%s", stub_url(server), blank);
		else
			snprintf(line, sizeof(line), "%s", lines[i]);
		assert_ok(home_write(&home, "uploads", name, 0600, line, strlen(line), &e), &e);
		srv.created = 0;
		srv.heads = 0;
		assert_ok(upload(), &e);
		assert_int_equal(srv.created, 1);
		assert_int_equal(srv.heads, 0);
	}
}

static void a_location_that_leads_elsewhere_is_refused(void **state)
{
	static const char *const bad[] = { "",
					   "/",
					   "https://evil.example/x",
					   "/v1/tokens",
					   "/v1/uploads/../tokens/k1",
					   "/v1/uploads/a b" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		srv.location = bad[i];
		assert_fails(upload(), &e, E_FORMAT);
		assert_int_equal(srv.patches, 0);
	}
}

static void a_whole_that_does_not_have_its_hash_is_told_and_forgotten(void **state)
{
	srv.corrupt = true;
	assert_fails(upload(), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "hash differs"));
	assert_false(remembered());
}

static void a_lost_last_answer_of_a_finished_upload_is_success(void **state)
{
	srv.lose_answer = SIZE / CHUNK;
	srv.forget_complete = true;
	assert_ok(upload(), &e);
	assert_int_equal(srv.created, 1);
	assert_whole();
}

static void an_object_that_somebody_else_sent_meanwhile_is_success(void **state)
{
	srv.stored = true;
	assert_ok(upload(), &e);
	assert_int_equal(waited_ms, 0);
	assert_int_equal(srv.patches, 0);
	assert_false(remembered());
	assert_int_equal(last_progress, SIZE);
}

static void a_server_that_only_cuts_is_given_up(void **state)
{
	srv.cut_all_after = 1;
	u.max_failures = 6;
	u.chunk_bytes = 1; /* half of one byte is none: no progress ever */
	assert_fails(upload(), &e, E_NETWORK);
	assert_non_null(strstr(e.text, "gave up"));
}

static void a_file_that_shrank_is_an_error(void **state)
{
	write_file_at(tmpdir_fd(state), "object", object, SIZE / 2);
	close(fd);
	fd = openat(tmpdir_fd(state), "object", O_RDONLY | O_CLOEXEC);
	assert_fails(upload(), &e, E_CORRUPT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_object_goes_over_in_chunks),
		CASE(the_last_chunk_may_be_shorter),
		CASE(a_cut_chunk_goes_on_from_what_the_server_has),
		CASE(a_lost_answer_does_not_send_the_chunk_again),
		CASE(a_busy_server_is_waited_for),
		CASE(a_damaged_chunk_is_sent_again),
		CASE(a_killed_upload_is_found_again_and_goes_on),
		CASE(an_expired_upload_is_begun_again_once),
		CASE(the_memory_of_another_server_or_of_junk_does_not_count),
		CASE(a_location_that_leads_elsewhere_is_refused),
		CASE(a_whole_that_does_not_have_its_hash_is_told_and_forgotten),
		CASE(a_lost_last_answer_of_a_finished_upload_is_success),
		CASE(an_object_that_somebody_else_sent_meanwhile_is_success),
		CASE(a_server_that_only_cuts_is_given_up),
		CASE(a_file_that_shrank_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
