#include "tests/support/unit.h"

#include "agent/events.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static struct checkin_event sample(uint64_t seq)
{
	return (struct checkin_event){
		.seq = seq,
		.at_s = 1795362060,
		.kind = "update",
		.state = "rolled_back",
		.has_release = true,
		.release = { "acme-phone", "1.1.0" },
		.reason = "health: no report",
		.log = "line 1\nline 2\n",
		.log_n = 14,
	};
}

static struct state record(uint64_t acked, uint64_t next)
{
	struct state s;

	state_init(&s);
	s.acked_event = acked;
	s.next_event = next;
	s.trusted_s = 1795362060;
	return s;
}

static void events_come_back_in_order_with_all_they_said(void **state)
{
	CLEANUP(events_batch_freep) struct events_batch *b = NULL;
	struct state s = record(3, 6);
	struct err e;

	for (uint64_t seq = 4; seq < 6; seq++) {
		struct checkin_event ev = sample(seq);

		assert_ok(events_write(tmpdir_fd(state), &ev, &e), &e);
	}
	assert_ok(events_read(&b, tmpdir_fd(state), &s, &e), &e);
	assert_int_equal(b->n, 2);
	assert_int_equal(b->v[0].seq, 4);
	assert_int_equal(b->v[1].seq, 5);
	assert_int_equal(b->v[1].at_s, 1795362060);
	assert_string_equal(b->v[1].kind, "update");
	assert_string_equal(b->v[1].state, "rolled_back");
	assert_string_equal(b->v[1].release.version, "1.1.0");
	assert_string_equal(b->v[1].reason, "health: no report");
	assert_int_equal(b->v[1].log_n, 14);
	assert_memory_equal(b->v[1].log, "line 1\nline 2\n", 14);
}

static void a_policy_event_carries_bundle_and_version(void **state)
{
	CLEANUP(events_batch_freep) struct events_batch *b = NULL;
	struct state s = record(0, 2);
	struct checkin_event ev = { .seq = 1,
				    .at_s = 1,
				    .kind = "policy",
				    .state = "applied",
				    .policy = { "base", 3 } };
	struct err e;

	assert_ok(events_write(tmpdir_fd(state), &ev, &e), &e);
	assert_ok(events_read(&b, tmpdir_fd(state), &s, &e), &e);
	assert_string_equal(b->v[0].policy.name, "base");
	assert_int_equal(b->v[0].policy.version, 3);
	assert_null(b->v[0].reason);
	assert_null(b->v[0].log);
}

static void a_lost_report_is_made_up_from_the_record(void **state)
{
	CLEANUP(events_batch_freep) struct events_batch *b = NULL;
	struct state s = record(0, 3);
	struct err e;

	s.update = UPDATE_ROLLED_BACK;
	s.report_event = 2;
	s.target = (struct release_id){ "acme-phone", "1.1.0", { 1 }, 1, 1 };
	memcpy(s.reason, "the reason", 11);
	/* 1 is damaged, 2 was never written. */
	write_file_at(tmpdir_fd(state), "00000000000000000001.json", "{\"seq\":", 7);
	assert_ok(events_read(&b, tmpdir_fd(state), &s, &e), &e);
	assert_int_equal(b->n, 2);
	assert_string_equal(b->v[0].kind, "agent");
	assert_string_equal(b->v[0].state, "lost");
	assert_string_equal(b->v[1].kind, "update");
	assert_string_equal(b->v[1].state, "rolled_back");
	assert_string_equal(b->v[1].reason, "the reason");
	assert_string_equal(b->v[1].release.version, "1.1.0");
}

static void what_the_record_does_not_know_is_dropped_and_so_is_what_the_server_holds(
	void **state)
{
	struct state s = record(2, 4);
	struct err e;

	for (uint64_t seq = 1; seq < 6; seq++) {
		struct checkin_event ev = sample(seq);

		assert_ok(events_write(tmpdir_fd(state), &ev, &e), &e);
	}
	write_file_at(tmpdir_fd(state), "README", "x", 1);
	assert_ok(events_trim(tmpdir_fd(state), &s, &e), &e);
	assert_int_equal(count_files_at(tmpdir_fd(state)), 2);
	assert_true(file_exists_at(tmpdir_fd(state), "00000000000000000003.json"));
	assert_true(file_exists_at(tmpdir_fd(state), "README"));
}

/* ---- a record that was put back ---- */

static void write_waiting(int dirfd)
{
	for (uint64_t seq = 3; seq < 6; seq++) {
		struct checkin_event ev = sample(seq);
		char reason[32];
		struct err e;

		if (seq == 4)
			continue; /* one is lost */
		snprintf(reason, sizeof(reason), "reason %" PRIu64, seq);
		ev.reason = reason;
		assert_ok(events_write(dirfd, &ev, &e), &e);
	}
}

static void what_waits_gets_the_numbers_behind_the_servers(void **state)
{
	CLEANUP(events_batch_freep) struct events_batch *b = NULL;
	struct state s = record(2, 6);
	struct err e;

	s.report_event = 5;
	write_waiting(tmpdir_fd(state));
	assert_ok(events_renumber(&s, tmpdir_fd(state), 20, &e), &e);
	assert_int_equal(s.acked_event, 20);
	assert_int_equal(s.next_event, 24);
	assert_int_equal(s.report_event, 23);
	assert_ok(events_trim(tmpdir_fd(state), &s, &e), &e);
	assert_int_equal(count_files_at(tmpdir_fd(state)), 2);
	assert_ok(events_read(&b, tmpdir_fd(state), &s, &e), &e);
	assert_int_equal(b->n, 3);
	for (size_t i = 0; i < b->n; i++)
		assert_int_equal(b->v[i].seq, 21 + i);
	assert_string_equal(b->v[0].reason, "reason 3");
	assert_string_equal(b->v[1].state, "lost");
	assert_string_equal(b->v[2].reason, "reason 5");
	assert_int_equal(b->v[2].log_n, 14);
	/* A report that the server had told of stays one. */
	s = record(7, 8);
	s.report_event = 6;
	assert_ok(events_renumber(&s, tmpdir_fd(state), 30, &e), &e);
	assert_int_equal(s.report_event, 6);
	assert_int_equal(s.next_event, 31);
}

static void renumber(void *ctx)
{
	struct state s = record(2, 6);
	struct err e;

	if (!events_renumber(&s, *(int *)ctx, 20, &e))
		abort();
}

static void a_power_cut_before_the_record_knows_leaves_what_waits(void **state)
{
	int dirfd = tmpdir_fd(state);
	struct state s = record(2, 6);
	struct err e;

	write_waiting(dirfd);
	for (unsigned n = 1; fault_power_cut(n, renumber, &dirfd); n++) {
		assert_ok(events_trim(dirfd, &s, &e), &e);
		assert_true(file_exists_at(dirfd, "00000000000000000003.json"));
		assert_true(file_exists_at(dirfd, "00000000000000000005.json"));
		assert_false(file_exists_at(dirfd, "00000000000000000021.json"));
	}
	FAULT_EACH(n, FAULT_SYNC) {
		struct state after = record(2, 6);

		if (!events_renumber(&after, dirfd, 20, &e))
			assert_int_equal(after.next_event, 6);
	}
}

static void assert_log_bytes(const struct events_batch *b, const struct buf *body)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *events;
	struct err e;

	assert_ok(jdoc_parse(&d, body->p, body->n, &e), &e);
	assert_ok(jobj_arr(&events, jdoc_root(d), "events", LIMIT_EVENTS, &e), &e);
	for (size_t i = 0; i < b->n; i++) {
		const char *log;
		size_t n;

		assert_ok(jobj_text(&log, &n, jarr_at(events, i), "log", SIZE_MAX, &e), &e);
		assert_int_equal(n, b->v[i].log_n);
	}
}

/* The worst that a guest can print: all of it has to fit a check-in with the others. */
static void hostile_logs_fit_a_checkin_and_the_queue_moves(void **state)
{
	static const char worst[] = { '"', '\\', '\n', '\x1b', '\xff', '\0', '\x7f', '\r' };
	static char log[3 * LIMIT_LOG_TAIL];
	struct state s = record(0, 8);
	struct err e;

	for (uint64_t seq = 1; seq < 8; seq++) {
		struct checkin_event ev = sample(seq);

		memset(log, worst[seq % sizeof(worst)], sizeof(log));
		ev.log = log;
		ev.log_n = sizeof(log);
		assert_ok(events_write(tmpdir_fd(state), &ev, &e), &e);
	}
	unsigned rounds = 0;
	while (s.acked_event + 1 < s.next_event) {
		CLEANUP(events_batch_freep) struct events_batch *b = NULL;
		CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHECKIN_BODY);
		struct checkin_request r = { .agent = "0.1.0" };

		assert_ok(events_read(&b, tmpdir_fd(state), &s, &e), &e);
		assert_true(b->n > 0);
		for (size_t i = 0; i < b->n; i++)
			assert_true(b->v[i].log_n <= LIMIT_LOG_TAIL);
		r.events = b->v;
		r.n_events = b->n;
		assert_ok(checkin_request_encode(&r, &body, &e), &e);
		/* A log that began within a character would be longer again when it is sent. */
		assert_log_bytes(b, &body);
		s.acked_event = b->v[b->n - 1].seq;
		assert_true(++rounds < 8);
	}
}

static void a_full_disk_loses_no_number(void **state)
{
	struct checkin_event ev = sample(1);
	struct err e;

	FAULT_EACH(n, FAULT_WRITE) {
		bool ok = events_write(tmpdir_fd(state), &ev, &e);

		assert_true(ok || e.code == E_NO_SPACE);
	}
	CLEANUP(events_batch_freep) struct events_batch *b = NULL;
	struct state s = record(0, 3);
	assert_ok(events_read(&b, tmpdir_fd(state), &s, &e), &e);
	assert_int_equal(b->n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(what_waits_gets_the_numbers_behind_the_servers),
		TMPDIR_TEST(a_power_cut_before_the_record_knows_leaves_what_waits),
		TMPDIR_TEST(events_come_back_in_order_with_all_they_said),
		TMPDIR_TEST(a_policy_event_carries_bundle_and_version),
		TMPDIR_TEST(a_lost_report_is_made_up_from_the_record),
		TMPDIR_TEST(
			what_the_record_does_not_know_is_dropped_and_so_is_what_the_server_holds),
		TMPDIR_TEST(hostile_logs_fit_a_checkin_and_the_queue_moves),
		TMPDIR_TEST(a_full_disk_loses_no_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
