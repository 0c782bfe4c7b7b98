#include "tests/support/unit.h"

#include "base/io.h"
#include "proto/checkin.h"

#include <fcntl.h>

#define GOLDEN "tests/golden/checkin/v1/"

static void load(struct buf *ret, const char *name)
{
	char path[128];
	struct err e;

	snprintf(path, sizeof(path), GOLDEN "%s", name);
	assert_ok(read_file_at(AT_FDCWD, path, ret, &e), &e);
}

static void requests_come_back_byte_for_byte(void **state)
{
	static const char *const files[] = { "idle.json", "empty.json", "first.json",
					     "report.json" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
		CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
		CLEANUP(checkin_request_done) struct checkin_request r = { .n_events = 0 };
		struct err e;

		load(&in, files[i]);
		assert_ok(checkin_request_parse(&r, in.p, in.n, &e), &e);
		assert_ok(checkin_request_encode(&r, &out, &e), &e);
		assert_string_equal(buf_str(&out), buf_str(&in));
	}
}

static void answers_come_back_byte_for_byte(void **state)
{
	static const char *const files[] = { "answer_idle.json", "answer.json" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
		CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
		CLEANUP(checkin_answer_done) struct checkin_answer a = { .n_offers = 0 };
		struct err e;

		load(&in, files[i]);
		assert_ok(checkin_answer_parse(&a, in.p, in.n, &e), &e);
		assert_ok(checkin_answer_encode(&a, &out, &e), &e);
		assert_string_equal(buf_str(&out), buf_str(&in));
	}
}

static void a_report_says_what_happened(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	CLEANUP(checkin_request_done) struct checkin_request r = { .n_events = 0 };
	struct err e;

	load(&in, "report.json");
	assert_ok(checkin_request_parse(&r, in.p, in.n, &e), &e);
	assert_int_equal(r.state, UPDATE_ROLLED_BACK);
	assert_int_equal(r.slot, 'b');
	assert_string_equal(r.release.version, "1.0.0");
	assert_int_equal(r.director_root, 2);
	assert_int_equal(r.n_policies, 2);
	assert_int_equal(r.n_events, 2);
	assert_int_equal(r.events[0].seq, 41);
	assert_string_equal(r.events[0].release.version, "1.1.0");
	assert_string_equal(r.events[0].reason, "health: no report in 300 s");
	assert_int_equal(r.events[0].log_n, strlen("line 1\nline 2 \x1b[0m\n"));
	assert_false(r.events[1].has_release);
	assert_string_equal(r.events[1].policy.name, "base");
	assert_int_equal(r.events[1].policy.version, 3);
	assert_true(r.has_status);
	assert_int_equal(r.free_bytes, 123456789012);
}

static void only_who_says_so_gets_an_empty_answer(void **state)
{
	static const struct {
		const char *file;
		bool ok;
	} cases[] = { { "idle.json", false }, { "empty.json", true } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
		CLEANUP(checkin_request_done) struct checkin_request r = { .n_events = 0 };
		struct err e;

		load(&in, cases[i].file);
		assert_ok(checkin_request_parse(&r, in.p, in.n, &e), &e);
		assert_int_equal(r.empty_ok, cases[i].ok);
	}
}

static void an_answer_is_empty_when_it_only_says_when_to_poll(void **state)
{
	struct offer offer = { .component = "system" };
	struct checkin_answer a = { .poll_s = 60 };

	assert_true(checkin_answer_is_empty(&a));
	a.ack = 1;
	assert_false(checkin_answer_is_empty(&a));
	a = (struct checkin_answer){ .poll_s = 60, .image_ts = 1 };
	assert_false(checkin_answer_is_empty(&a));
	a = (struct checkin_answer){ .poll_s = 60, .timestamp = { "{}", 2 } };
	assert_false(checkin_answer_is_empty(&a));
	a = (struct checkin_answer){ .poll_s = 60, .offers = &offer, .n_offers = 1 };
	assert_false(checkin_answer_is_empty(&a));
}

static void an_empty_answer_needs_a_time_within_the_limits(void **state)
{
	static const int64_t bad[] = {
		INT64_MIN, -1, 0, LIMIT_POLL_S + 1, INT32_MAX, INT64_MAX
	};
	static const int64_t good[] = { 1, 60, LIMIT_POLL_S };
	struct checkin_answer a = { .poll_s = 7, .ack = 3 };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_fails(checkin_answer_empty(&a, bad[i], &e), &e, E_FORMAT);
		assert_int_equal(a.poll_s, 7);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_ok(checkin_answer_empty(&a, good[i], &e), &e);
		assert_int_equal(a.poll_s, good[i]);
		assert_true(checkin_answer_is_empty(&a));
	}
}

/* With the longest names that there may be, below what is left of 1 KiB by a request's headers. */
static void an_idle_check_in_is_small(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct checkin_request r = { .agent = "0.1.0-rc1", .slot = 'a', .has_release = true };
	struct err e;

	memset(r.release.product, 'p', LIMIT_NAME);
	memset(r.release.version, '1', LIMIT_VERSION);
	r.image_ts = r.director_ts = r.image_root = r.director_root = J_INT_MAX;
	r.empty_ok = true;
	assert_ok(checkin_request_encode(&r, &out, &e), &e);
	assert_in_range(out.n, 100, 400);
}

struct change {
	const char *from, *to, *words;
};

static char *changed(const char *text, const struct change *c)
{
	const char *at = strstr(text, c->from);
	size_t n = strlen(text) + strlen(c->to) + 1;
	char *out = malloc(n);

	if (!at)
		fail_msg("\"%s\" is not in the golden file", c->from);
	assert_non_null(out);
	snprintf(out, n, "%.*s%s%s", (int)(at - text), text, c->to, at + strlen(c->from));
	return out;
}

static void a_bad_request_is_refused_with_the_place(void **state)
{
	static const struct change changes[] = {
		{ "\"v\":1", "\"v\":2", "v: 2 is not known here, only 1" },
		{ "\"nonce\":\"00", "\"nonce\":\"", "nonce: not 32 lower-case" },
		{ "\"agent\":\"0.1.0\",", "", "agent: missing" },
		{ "\"state\":\"rolled_back\"", "\"state\":\"dancing\"",
		  "state: \"dancing\" is none of" },
		{ "\"root\":[1,2]", "\"root\":[1,2],\"empty_ok\":1", "empty_ok: " },
		{ "\"slot\":\"b\"", "\"slot\":\"c\"", "slot: \"c\" is none of a, b" },
		{ "acme-phone/1.0.0", "acme-phone",
		  "release: \"acme-phone\" is no product/version" },
		{ "acme-phone/1.0.0", "acme-phone/../x", "is no product/version" },
		{ "\"image_ts\":12", "\"image_ts\":-1", "image_ts: -1 is not within" },
		{ "\"root\":[1,2]", "\"root\":[1]", "root: not two versions" },
		{ "\"root\":[1,2]", "\"root\":[1,2,3]", "root: 3 entries, at most 2" },
		{ "\"sales\":1", "\"sales\":0", "policies: sales: 0 is not within" },
		{ "\"sales\":1", "\"Sales\":1", "policies: \"Sales\" is no name" },
		{ "\"seq\":41", "\"seq\":0", "events: 0: seq: 0 is not within" },
		{ "\"seq\":41", "\"seq\":43", "events: 1: numbers must rise" },
		{ "\"at\":\"2026-11-22T15:41:00Z\"", "\"at\":\"yesterday\"",
		  "is no time like" },
		{ "health: no report", "health:\\n", "events: 0: reason: control character" },
		{ "line 1", "\\u0000", "events: 0: log: NUL" },
		{ "\"policy\":{\"base\":3}", "\"policy\":{}",
		  "policy: not one name and version" },
		{ "\"free_bytes\":123456789012,", "", "status: free_bytes: missing" },
		{ "\"vm\":\"running\"", "\"vm\":\"\"", "status: vm: \"\" is no name" },
	};
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);

	load(&in, "report.json");
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		char *text = changed(buf_str(&in), &changes[i]);
		struct checkin_request r = { .slot = 'x' };
		struct err e;

		if (checkin_request_parse(&r, text, strlen(text), &e))
			fail_msg("accepted: %s", changes[i].to);
		assert_int_equal(r.slot, 'x');
		if (!strstr(e.text, changes[i].words))
			fail_msg("%s: \"%s\" lacks \"%s\"", changes[i].to, e.text,
				 changes[i].words);
		free(text);
	}
}

static void a_bad_answer_is_refused_with_the_place(void **state)
{
	static const struct change changes[] = {
		{ "\"poll_s\":60", "\"poll_s\":0", "poll_s: 0 is not within 1 and 604800" },
		{ "\"snapshot\":\"{}\",", "", "director: snapshot: missing" },
		{ "\"kernel\":{", "\"Kernel\":{", "offers: Kernel: \"Kernel\" is no name" },
		{ "\"full\":{", "\"fill\":{", "offers: system: full: missing" },
		{ "\"from\":\"", "\"from\":\"0", "offers: system: deltas: 0: from: not 64" },
		{ "\"size\":1400000", "\"size\":0", "deltas: 0: size: 0 is not within" },
		{ "\"size\":1400000", "\"size\":1,\"coding\":0",
		  "deltas: 0: coding: 0 is not within" },
		{ "\"size\":1400000", "\"size\":1,\"coding\":256",
		  "deltas: 0: coding: 256 is not within" },
	};
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);

	load(&in, "answer.json");
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		char *text = changed(buf_str(&in), &changes[i]);
		struct checkin_answer a = { .poll_s = 7 };
		struct err e;

		if (checkin_answer_parse(&a, text, strlen(text), &e))
			fail_msg("accepted: %s", changes[i].to);
		assert_int_equal(a.poll_s, 7);
		if (!strstr(e.text, changes[i].words))
			fail_msg("%s: \"%s\" lacks \"%s\"", changes[i].to, e.text,
				 changes[i].words);
		free(text);
	}
}

static void fields_of_a_newer_side_are_ignored(void **state)
{
	static const char text[] =
		"{\"v\":1,\"poll_s\":5,\"soon\":{\"x\":[]},\"offers\":{\"a\":{\"full\":"
		"{\"sha256\":\"000102030405060708090a0b0c0d0e0f000102030405060708090a"
		"0b0c0d0e0f\",\"size\":1,\"peer\":\"\"},\"patches\":[]}}}";
	CLEANUP(checkin_answer_done) struct checkin_answer a = { .n_offers = 0 };
	struct err e;

	assert_ok(checkin_answer_parse(&a, text, strlen(text), &e), &e);
	assert_int_equal(a.n_offers, 1);
	assert_int_equal(a.offers[0].n_deltas, 0);
}

static void the_coding_of_a_delta_goes_over_the_wire(void **state)
{
	CLEANUP(checkin_answer_done) struct checkin_answer got = { .n_offers = 0 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct offer offer = { .component = "system", .full.size = 9, .n_deltas = 2 };
	struct checkin_answer a = { .poll_s = 60, .offers = &offer, .n_offers = 1 };
	struct err e;

	offer.deltas[0].object.size = offer.deltas[1].object.size = 1;
	offer.deltas[0].coding = 255;
	assert_ok(checkin_answer_encode(&a, &out, &e), &e);
	assert_ok(checkin_answer_parse(&got, out.p, out.n, &e), &e);
	assert_int_equal(got.offers[0].deltas[0].coding, 255);
	assert_int_equal(got.offers[0].deltas[1].coding, 0);
}

static void a_full_log_of_any_bytes_goes_through(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_CHECKIN_BODY);
	CLEANUP(checkin_request_done) struct checkin_request back = { .n_events = 0 };
	char *log = malloc(LIMIT_LOG_TAIL);
	struct checkin_event ev = {
		.seq = 1, .at_s = 1795362060, .kind = "vm", .state = "crashed"
	};
	struct checkin_request r = { .agent = "1", .events = &ev, .n_events = 1 };
	struct err e;

	assert_non_null(log);
	memset(log, 0xff, LIMIT_LOG_TAIL);
	ev.log = log;
	ev.log_n = LIMIT_LOG_TAIL;
	assert_ok(checkin_request_encode(&r, &out, &e), &e);
	assert_ok(checkin_request_parse(&back, out.p, out.n, &e), &e);
	/* Three bytes stand for each now; the last whole ones count. */
	assert_int_equal(back.events[0].log_n, LIMIT_LOG_TAIL / 3 * 3);
	assert_memory_equal(back.events[0].log, "\xef\xbf\xbd", 3);
	assert_int_equal(strlen(back.events[0].log), back.events[0].log_n);
	free(log);
}

static void a_failing_allocation_is_reported(void **state)
{
	CLEANUP(buf_done) struct buf request = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf answer = BUF_INIT(65536);

	load(&request, "report.json");
	load(&answer, "answer.json");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(checkin_request_done) struct checkin_request r = { .n_events = 0 };
		CLEANUP(checkin_answer_done) struct checkin_answer a = { .n_offers = 0 };
		struct err e;

		assert_true((checkin_request_parse(&r, request.p, request.n, &e) &&
			     checkin_answer_parse(&a, answer.p, answer.n, &e)) ||
			    e.code == E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_back_byte_for_byte),
		cmocka_unit_test(answers_come_back_byte_for_byte),
		cmocka_unit_test(a_report_says_what_happened),
		cmocka_unit_test(only_who_says_so_gets_an_empty_answer),
		cmocka_unit_test(an_answer_is_empty_when_it_only_says_when_to_poll),
		cmocka_unit_test(an_empty_answer_needs_a_time_within_the_limits),
		cmocka_unit_test(an_idle_check_in_is_small),
		cmocka_unit_test(a_bad_request_is_refused_with_the_place),
		cmocka_unit_test(a_bad_answer_is_refused_with_the_place),
		cmocka_unit_test(fields_of_a_newer_side_are_ignored),
		cmocka_unit_test(the_coding_of_a_delta_goes_over_the_wire),
		cmocka_unit_test(a_full_log_of_any_bytes_goes_through),
		cmocka_unit_test(a_failing_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
