#include "tests/unit/storage/fixture.h"

#include "storage/devices_priv.h"
#include "storage/store_priv.h"

#include <pthread.h>

static struct device_full full_of(struct store *s, const struct handset *h)
{
	struct device_full d;
	struct err e;

	assert_ok(devices_get(s, h->id, &d, &e), &e);
	return d;
}

static void assert_release(const struct device_plan *p, const char *version)
{
	assert_string_equal(p->product, *version ? "phone" : "");
	assert_string_equal(p->version, version);
}

static struct device_report idle_with(const char *version, uint64_t director_ts)
{
	struct device_report r = { .agent = "0.1.0",
				   .update = "idle",
				   .slot = 'a',
				   .product = "phone",
				   .version = version,
				   .director_ts = director_ts };

	r.sha256[0] = (uint8_t)director_ts + 1;
	r.sha256[1] = (uint8_t)version[0];
	return r;
}

/* ---- enrolment and tickets ---- */

static void a_ticket_lets_one_device_in(void **state)
{
	FIXTURE(f, state);
	CLEANUP(device_full_done) struct device_full d = { 0 };
	struct handset a, b;
	struct enrolled got;
	struct ticket_row t;
	struct err e;

	enrol(f.s, &a, 1, "sales");
	d = full_of(f.s, &a);
	assert_int_equal(d.row.state, DEVICE_ACTIVE);
	assert_string_equal(d.row.name, "Anna's phone");
	assert_int_equal(d.row.groups_n, 1);
	assert_string_equal(d.row.groups[0], "sales");
	assert_string_equal(d.attributes, "{}");
	handset_make(&b, 2);
	memcpy(b.token, a.token, sizeof(b.token));
	assert_fails(devices_enrol(f.s, &b.in, &got, &e), &e, E_GONE);
	assert_ok(tickets_get(f.s, 1, &t, &e), &e);
	assert_int_equal(t.state, TICKET_USED);
	assert_string_equal(t.device, a.id);
}

struct racer {
	struct store *s;
	struct handset h;
	bool ok;
	struct err e;
	pthread_t thread;
	pthread_barrier_t *start;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct enrolled got;

	pthread_barrier_wait(r->start);
	r->ok = devices_enrol(r->s, &r->h.in, &got, &r->e);
	return NULL;
}

static void of_devices_racing_for_a_ticket_one_wins(void **state)
{
	FIXTURE(f, state);
	enum { N = 4 };
	struct racer r[N];

	for (unsigned round = 0; round < 20; round++) {
		pthread_barrier_t start;
		uint8_t token[TICKET_TOKEN_SIZE];
		unsigned won = 0;

		ticket_make(f.s, NULL, false, token);
		pthread_barrier_init(&start, NULL, N);
		for (unsigned i = 0; i < N; i++) {
			r[i].s = f.s;
			r[i].start = &start;
			handset_make(&r[i].h, round * N + i);
			r[i].h.in.token = token;
			r[i].h.in.identity = r[i].h.identity;
			r[i].h.in.sealing = r[i].h.sealing;
			assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
		}
		for (unsigned i = 0; i < N; i++) {
			pthread_join(r[i].thread, NULL);
			won += r[i].ok;
			if (!r[i].ok)
				assert_int_equal(r[i].e.code, E_GONE);
		}
		assert_int_equal(won, 1);
		pthread_barrier_destroy(&start);
	}
}

static void the_same_key_again_gets_its_device_and_uses_nothing(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct handset a;
	uint64_t changes;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	changes = stats_of(f.s).row_changes;
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	assert_true(got.known);
	assert_string_equal(got.id, a.id);
	memset(a.token, 0xee, sizeof(a.token)); /* a token that never was */
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	assert_true(got.known);
	assert_int_equal(stats_of(f.s).row_changes, changes);
}

static void manual_approval_waits_for_an_administrator(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct device_plan p;
	struct handset a;
	struct err e;

	handset_make(&a, 1);
	ticket_make(f.s, "sales", true, a.token);
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	assert_int_equal(got.state, DEVICE_PENDING);
	assert_fails(devices_plan(f.s, a.id, &p, &e), &e, E_PENDING);
	assert_ok(devices_approve(f.s, a.id, "token:k1", &e), &e);
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	assert_int_equal(got.state, DEVICE_ACTIVE);
	assert_ok(devices_plan(f.s, a.id, &p, &e), &e);
	assert_fails(devices_approve(f.s, "nobody", "token:k1", &e), &e, E_NOT_FOUND);
}

static void a_ticket_for_one_serial_takes_five_tries_in_vain(void **state)
{
	FIXTURE(f, state);
	struct ticket_new n = { .ttl_s = 100, .serial = "SN-1" };
	CLEANUP(audit_page_done) struct audit_page page = { 0 };
	struct ticket_row row;
	struct enrolled got;
	struct handset a;
	unsigned refused = 0;
	struct err e;

	handset_make(&a, 1);
	assert_ok(tickets_create(f.s, &n, "token:k1", &row, a.token, &e), &e);
	a.in.serial = "SN-2";
	for (int i = 0; i < TICKETS_TRIES; i++)
		assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_DENIED);
	a.in.serial = "SN-1";
	for (int i = 0; i < 10; i++)
		assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_GONE);
	fixture_reopen(&f);
	assert_ok(tickets_get(f.s, row.number, &row, &e), &e);
	assert_int_equal(row.state, TICKET_BLOCKED);
	assert_int_equal(row.tries, TICKETS_TRIES);
	assert_ok(audit_list(f.s, 0, 0, &page, &e), &e);
	for (size_t i = 0; i < page.n; i++)
		refused += strcmp(page.items[i].verb, "ticket.refused") == 0;
	assert_int_equal(refused, TICKETS_TRIES); /* and no more, however often it is tried */
}

static void wrong_expired_and_revoked_tickets_are_told_apart(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct handset a;
	struct err e;

	handset_make(&a, 1);
	memset(a.token, 1, sizeof(a.token));
	assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_AUTH);
	ticket_make(f.s, NULL, false, a.token);
	assert_ok(tickets_revoke(f.s, 1, "token:k1", &e), &e);
	assert_ok(tickets_revoke(f.s, 1, "token:k1", &e), &e);
	assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_GONE);
	ticket_make(f.s, NULL, false, a.token);
	clock_fake_advance(&f.clock, 3600 * 1000);
	assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_EXPIRED);
	enrol(f.s, &a, 1, NULL);
	assert_fails(tickets_revoke(f.s, 3, "token:k1", &e), &e, E_CONFLICT);
	assert_fails(tickets_revoke(f.s, 9, "token:k1", &e), &e, E_NOT_FOUND);
}

static void a_revoked_key_stays_out_also_with_a_new_ticket(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct device_plan p;
	struct handset a;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	assert_ok(devices_revoke(f.s, a.id, "stolen", "token:k1", &e), &e);
	assert_ok(devices_revoke(f.s, a.id, "again", "token:k1", &e), &e);
	assert_int_equal(checkin_of(f.s, &a).state, DEVICE_REVOKED);
	assert_fails(devices_plan(f.s, a.id, &p, &e), &e, E_DENIED);
	assert_fails(devices_approve(f.s, a.id, "token:k1", &e), &e, E_CONFLICT);
	ticket_make(f.s, NULL, false, a.token);
	assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_DENIED);
}

static void re_enrolment_starts_the_plan_anew(void **state)
{
	FIXTURE(f, state);
	CLEANUP(device_full_done) struct device_full d = { 0 };
	struct enrolled got;
	struct handset a;
	uint64_t plan;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, "sales");
	roll_out(f.s, "phone", "1.0", TARGET_GROUP, "sales");
	plan = plan_of(f.s, &a).plan;
	direct(f.s, &a);
	ticket_make(f.s, "lab", false, a.token);
	memset(a.sealing, 9, sizeof(a.sealing));
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	assert_true(got.known);
	assert_true(checkin_of(f.s, &a).plan > plan);
	assert_true(checkin_of(f.s, &a).director_plan < checkin_of(f.s, &a).plan);
	assert_int_equal(checkin_of(f.s, &a).sealing[0], 9);
	d = full_of(f.s, &a);
	assert_string_equal(d.row.groups[0], "lab");
	{
		struct device_plan p = plan_of(f.s, &a);

		assert_release(&p, "");
	}
}

static void tickets_are_listed_and_forgotten(void **state)
{
	FIXTURE(f, state);
	CLEANUP(ticket_page_done) struct ticket_page page = { 0 };
	uint8_t token[TICKET_TOKEN_SIZE];
	uint64_t n;
	struct err e;

	ticket_make(f.s, "sales", false, token);
	ticket_make(f.s, "lab", true, token);
	assert_ok(tickets_list(f.s, 0, 1, &page, &e), &e);
	assert_true(page.more);
	assert_string_equal(page.items[0].groups[0], "sales");
	ticket_page_done(&page);
	clock_fake_advance(&f.clock, 7200 * 1000);
	assert_ok(tickets_list(f.s, 1, 0, &page, &e), &e);
	assert_int_equal(page.items[0].state, TICKET_EXPIRED);
	assert_ok(tickets_prune(f.s, 3700, &n, &e), &e);
	assert_int_equal(n, 0);
	assert_ok(tickets_prune(f.s, 3500, &n, &e), &e);
	assert_int_equal(n, 2);
}

/* ---- plans and grants ---- */

static void a_rollout_reaches_all_a_group_or_one_device(void **state)
{
	FIXTURE(f, state);
	struct handset a, b;
	struct device_plan p;
	int64_t all, group, one;

	publish(f.s, "phone", "1.0", 1);
	publish(f.s, "phone", "2.0", 1);
	publish(f.s, "phone", "3.0", 1);
	enrol(f.s, &a, 1, "sales");
	enrol(f.s, &b, 2, "lab");
	p = plan_of(f.s, &a);
	assert_release(&p, "");

	all = roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	p = plan_of(f.s, &a);
	assert_release(&p, "1.0");
	assert_int_equal(p.rollout, all);
	assert_true(p.changed);
	p = plan_of(f.s, &b);
	assert_release(&p, "1.0");

	group = roll_out(f.s, "phone", "2.0", TARGET_GROUP, "lab");
	p = plan_of(f.s, &b);
	assert_release(&p, "2.0");
	p = plan_of(f.s, &a);
	assert_release(&p, "1.0");

	one = roll_out(f.s, "phone", "3.0", TARGET_DEVICE, a.id);
	p = plan_of(f.s, &a);
	assert_release(&p, "3.0");
	assert_int_equal(rollout_of(f.s, all).reached, 2);
	assert_int_equal(rollout_of(f.s, all).superseded, 2);
	assert_int_equal(rollout_of(f.s, group).granted, 1);
	assert_int_equal(rollout_of(f.s, group).reached, 1);
	assert_int_equal(rollout_of(f.s, one).granted, 1);
}

static void only_devices_that_a_change_reaches_become_stale(void **state)
{
	FIXTURE(f, state);
	struct handset a, b;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, "sales");
	enrol(f.s, &b, 2, "lab");
	assert_true(checkin_of(f.s, &a).stale);
	plan_of(f.s, &a);
	plan_of(f.s, &b);
	assert_false(checkin_of(f.s, &a).stale);
	roll_out(f.s, "phone", "1.0", TARGET_GROUP, "sales");
	assert_true(checkin_of(f.s, &a).stale);
	assert_false(checkin_of(f.s, &b).stale);
	plan_of(f.s, &a);
	roll_out(f.s, "phone", "1.0", TARGET_DEVICE, b.id);
	assert_false(checkin_of(f.s, &a).stale);
	assert_true(checkin_of(f.s, &b).stale);
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	assert_true(checkin_of(f.s, &a).stale);
}

static void planning_again_changes_and_writes_nothing(void **state)
{
	FIXTURE(f, state);
	struct device_plan p, again;
	struct handset a;
	uint64_t changes;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, NULL);
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	p = plan_of(f.s, &a);
	changes = stats_of(f.s).row_changes;
	again = plan_of(f.s, &a);
	assert_false(again.changed);
	assert_int_equal(again.plan, p.plan);
	assert_release(&again, "1.0");
	assert_int_equal(stats_of(f.s).row_changes, changes);
}

static void a_release_for_other_models_is_not_granted(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct device_plan p;
	struct handset a;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	handset_make(&a, 1);
	a.in.model = "other";
	ticket_make(f.s, NULL, false, a.token);
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	p = plan_of(f.s, &a);
	assert_release(&p, "");
}

static void changed_groups_change_the_plan(void **state)
{
	FIXTURE(f, state);
	static const char *const lab[] = { "lab" };
	struct device_plan p;
	struct handset a;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, "sales");
	roll_out(f.s, "phone", "1.0", TARGET_GROUP, "lab");
	p = plan_of(f.s, &a);
	assert_release(&p, "");
	assert_ok(devices_set_groups(f.s, a.id, lab, 1, "token:k1", &e), &e);
	p = plan_of(f.s, &a);
	assert_release(&p, "1.0");
	assert_ok(devices_set_groups(f.s, a.id, NULL, 0, "token:k1", &e), &e);
	p = plan_of(f.s, &a);
	assert_release(&p, "");
}

/* Wanted, delivered, applied: each step of one update as the server sees it. */
static void a_grant_moves_from_granted_to_applied(void **state)
{
	FIXTURE(f, state);
	CLEANUP(device_full_done) struct device_full d = { 0 };
	struct device_report r;
	struct handset a;
	int64_t n;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, NULL);
	n = roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	plan_of(f.s, &a);
	direct(f.s, &a);
	r = idle_with("", 0);
	r.product = NULL;
	report(f.s, &a, &r);
	assert_int_equal(rollout_of(f.s, n).granted, 1); /* it has not seen the metadata yet */
	r = idle_with("", 1);
	r.product = NULL;
	r.update = "fetching";
	report(f.s, &a, &r);
	assert_int_equal(rollout_of(f.s, n).delivered, 1);
	d = full_of(f.s, &a);
	assert_string_equal(d.row.wanted, "phone/1.0");
	assert_string_equal(d.row.delivered, "phone/1.0");
	assert_string_equal(d.row.applied, "");
	device_full_done(&d);

	r = idle_with("1.0", 1);
	r.update = "trial";
	report(f.s, &a, &r);
	assert_int_equal(rollout_of(f.s, n).delivered, 1); /* a trial is not applied */
	r.update = "confirmed";
	report(f.s, &a, &r);
	assert_int_equal(rollout_of(f.s, n).applied, 1);
	d = full_of(f.s, &a);
	assert_string_equal(d.row.applied, "phone/1.0");
	assert_int_equal(d.row.slot, 'a');
	assert_string_equal(d.row.update, "confirmed");
}

static void an_event_of_failure_moves_the_grant_and_keeps_the_reason(void **state)
{
	FIXTURE(f, state);
	CLEANUP(event_page_done) struct event_page page = { 0 };
	struct event_new v = { .seq = 1,
			       .at = NOW,
			       .kind = "update",
			       .product = "phone",
			       .version = "2.0",
			       .state = "rolled_back",
			       .reason = "health: no report in 300 s",
			       .log = "panic" };
	struct device_report r = idle_with("1.0", 0);
	struct handset a;
	struct err e;
	int64_t n;

	publish(f.s, "phone", "1.0", 1);
	publish(f.s, "phone", "2.0", 1);
	enrol(f.s, &a, 1, NULL);
	n = roll_out(f.s, "phone", "2.0", TARGET_ALL, "");
	plan_of(f.s, &a);
	r.update = "rolled_back";
	r.events = &v;
	r.events_n = 1;
	assert_int_equal(report(f.s, &a, &r), 1);
	assert_int_equal(rollout_of(f.s, n).failed, 1);
	assert_ok(events_list(f.s, a.id, 0, 0, &page, &e), &e);
	assert_int_equal(page.n, 1);
	assert_string_equal(page.items[0].reason, v.reason);
	assert_string_equal(page.items[0].log, "panic");
	assert_string_equal(page.items[0].version, "2.0");
}

static void the_floor_rises_with_what_was_confirmed_and_bars_what_is_below(void **state)
{
	FIXTURE(f, state);
	struct device_report r = idle_with("2.0", 0);
	struct device_plan p;
	struct handset a;
	uint64_t plan;

	publish(f.s, "phone", "1.0", 1);
	publish(f.s, "phone", "2.0", 2);
	enrol(f.s, &a, 1, NULL);
	plan = plan_of(f.s, &a).plan;
	r.update = "trial";
	report(f.s, &a, &r);
	assert_int_equal(checkin_of(f.s, &a).security_floor, 0);
	r.update = "confirmed";
	report(f.s, &a, &r);
	assert_int_equal(checkin_of(f.s, &a).security_floor, 2);
	assert_true(checkin_of(f.s, &a).plan >
		    plan); /* the director's metadata has to say so */
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	p = plan_of(f.s, &a);
	assert_release(&p, "");
}

static void who_runs_a_withdrawn_release_keeps_it_others_fall_back(void **state)
{
	FIXTURE(f, state);
	struct device_report r = idle_with("2.0", 0);
	struct handset runs, waits;
	struct device_plan p;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	publish(f.s, "phone", "2.0", 1);
	enrol(f.s, &runs, 1, NULL);
	enrol(f.s, &waits, 2, NULL);
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	roll_out(f.s, "phone", "2.0", TARGET_ALL, "");
	plan_of(f.s, &runs);
	p = plan_of(f.s, &waits);
	assert_release(&p, "2.0");
	report(f.s, &runs, &r);
	assert_ok(releases_withdraw(f.s, "phone", "2.0", "bad", "token:k1", &e), &e);
	p = plan_of(f.s, &runs);
	assert_release(&p, "2.0");
	p = plan_of(f.s, &waits);
	assert_release(&p, "1.0");
}

/* ---- director metadata ---- */

static void director_metadata_of_an_old_plan_or_version_is_refused(void **state)
{
	FIXTURE(f, state);
	CLEANUP(director_done) struct director d = { 0 };
	struct handset a;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, NULL);
	plan_of(f.s, &a);
	assert_fails(tuf_director_get(f.s, a.id, &d, &e), &e, E_NOT_FOUND);
	assert_int_equal(checkin_of(f.s, &a).director_plan, 0);
	direct(f.s, &a);
	assert_int_equal(checkin_of(f.s, &a).director_plan, checkin_of(f.s, &a).plan);
	assert_ok(tuf_director_get(f.s, a.id, &d, &e), &e);
	assert_string_equal(d.targets, "{}");
	assert_fails(tuf_director_put(f.s, a.id, &d, &e), &e, E_CONFLICT);
	d.timestamp_version++;
	assert_fails(tuf_director_put(f.s, a.id, &d, &e), &e, E_CONFLICT);
	d.snapshot_version++;
	d.targets_version++;
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	plan_of(f.s, &a);
	assert_fails(tuf_director_put(f.s, a.id, &d, &e), &e, E_CONFLICT);
	d.plan = checkin_of(f.s, &a).plan;
	assert_ok(tuf_director_put(f.s, a.id, &d, &e), &e);
	assert_fails(tuf_director_put(f.s, "nobody", &d, &e), &e, E_NOT_FOUND);
}

/* ---- reports and events ---- */

static void events_are_stored_once_however_often_they_come(void **state)
{
	FIXTURE(f, state);
	CLEANUP(event_page_done) struct event_page page = { 0 };
	struct event_new v[2] = { { .seq = 1, .kind = "vm", .state = "running" },
				  { .seq = 2, .kind = "vm", .state = "stopped" } };
	struct device_report r = idle_with("1.0", 0);
	struct handset a;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	r.events = v;
	r.events_n = 2;
	assert_int_equal(report(f.s, &a, &r), 2);
	assert_int_equal(report(f.s, &a, &r), 2);
	v[0].seq = 2;
	v[1].seq = 3;
	assert_int_equal(report(f.s, &a, &r), 3);
	assert_int_equal(checkin_of(f.s, &a).ack, 3);
	assert_ok(events_list(f.s, a.id, 0, 0, &page, &e), &e);
	assert_int_equal(page.n, 3);
	assert_int_equal(page.items[0].seq, 3);
}

static void a_device_keeps_its_newest_events_and_fewer_logs(void **state)
{
	FIXTURE(f, state);
	CLEANUP(event_page_done) struct event_page page = { 0 };
	struct device_report r = idle_with("1.0", 0);
	struct handset a;
	unsigned logs = 0;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	for (uint64_t i = 1; i <= EVENTS_PER_DEVICE + 50; i++) {
		struct event_new v = {
			.seq = i, .kind = "vm", .state = "running", .log = "line"
		};

		r.events = &v;
		r.events_n = 1;
		assert_int_equal(report(f.s, &a, &r), i);
	}
	assert_ok(events_list(f.s, a.id, 0, 0, &page, &e), &e);
	assert_int_equal(page.n, EVENTS_PER_DEVICE);
	assert_int_equal(page.items[0].seq, EVENTS_PER_DEVICE + 50);
	for (size_t i = 0; i < page.n; i++) {
		logs += *page.items[i].log != 0;
		assert_true(i >= EVENTS_LOGS || *page.items[i].log);
	}
	assert_int_equal(logs, EVENTS_LOGS);
}

static void hostile_reports_are_refused_whole(void **state)
{
	FIXTURE(f, state);
	CLEANUP(buf_done) struct buf big = BUF_INIT(1 << 20);
	struct event_new v = { .seq = 1, .kind = "vm", .state = "running" };
	struct device_report r = idle_with("1.0", 0);
	struct handset a;
	uint64_t ack;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	while (big.n <= LIMIT_LOG_TAIL)
		assert_ok(buf_add_str(&big, "0123456789abcdef", &e), &e);
	r.events = &v;
	r.events_n = 1;
	v.log = buf_str(&big);
	assert_fails(devices_report(f.s, a.id, &r, &ack, &e), &e, E_TOO_BIG);
	v.log = NULL;
	v.seq = 0;
	assert_fails(devices_report(f.s, a.id, &r, &ack, &e), &e, E_FORMAT);
	v.seq = UINT64_MAX;
	assert_fails(devices_report(f.s, a.id, &r, &ack, &e), &e, E_FORMAT);
	v.seq = 1;
	v.kind = "../x";
	assert_fails(devices_report(f.s, a.id, &r, &ack, &e), &e, E_FORMAT);
	v.kind = "vm";
	r.slot = 'c';
	assert_fails(devices_report(f.s, a.id, &r, &ack, &e), &e, E_FORMAT);
	r.slot = 'a';
	r.version = "..";
	assert_fails(devices_report(f.s, a.id, &r, &ack, &e), &e, E_FORMAT);
	assert_int_equal(checkin_of(f.s, &a).ack, 0);
	assert_int_equal(checkin_of(f.s, &a).report_sha256[0], 0);
}

/* ---- policies ---- */

static void bundle(struct store *s, const char *name, uint64_t version)
{
	char text[64];
	struct policy_new p = { .name = name, .version = version, .text = text };
	enum policy_put put;
	struct err e;

	p.n = (size_t)snprintf(text, sizeof(text), "{\"%s\":%d}", name, (int)version);
	assert_ok(policies_publish(s, &p, "token:k1", &put, &e), &e);
	assert_int_equal(put, POLICY_CREATED);
}

static void assign(struct store *s, const char *name, enum target_kind kind, const char *target)
{
	struct target t = { .kind = kind };
	struct err e;

	snprintf(t.name, sizeof(t.name), "%s", target);
	assert_ok(policies_assign(s, name, &t, "token:k1", &e), &e);
}

static void bundles_reach_all_groups_and_devices_closest_first(void **state)
{
	FIXTURE(f, state);
	CLEANUP(policy_reaches_done) struct policy_reaches r = { 0 };
	struct device_plan p;
	struct handset a, b;
	struct err e;

	enrol(f.s, &a, 1, "sales");
	enrol(f.s, &b, 2, "lab");
	bundle(f.s, "base", 1);
	bundle(f.s, "base", 2);
	bundle(f.s, "vip", 1);
	bundle(f.s, "also-sales", 1);
	bundle(f.s, "for-sales", 1);
	bundle(f.s, "nobody", 1);
	assign(f.s, "base", TARGET_ALL, "");
	assign(f.s, "vip", TARGET_DEVICE, a.id);
	assign(f.s, "for-sales", TARGET_GROUP, "sales");
	assign(f.s, "also-sales", TARGET_GROUP, "sales");
	assert_ok(policies_reaching(f.s, a.id, &r, &e), &e);
	assert_int_equal(r.n, 4);
	assert_string_equal(r.items[0].name, "vip");
	assert_string_equal(r.items[1].name, "also-sales");
	assert_string_equal(r.items[2].name, "for-sales");
	assert_string_equal(r.items[3].name, "base");
	assert_int_equal(r.items[3].version, 2);
	assert_string_equal(r.items[3].text, "{\"base\":2}");
	p = plan_of(f.s, &a);
	assert_int_equal(p.policies_n, 4);
	p = plan_of(f.s, &b);
	assert_int_equal(p.policies_n, 1);
	assert_string_equal(p.policies[0].name, "base");
	assert_int_equal(p.policies[0].version, 2);
	assert_int_equal(p.policies[0].size, strlen("{\"base\":2}"));
}

static void policy_versions_only_rise(void **state)
{
	FIXTURE(f, state);
	struct policy_new p = { .name = "base", .version = 2, .text = "{\"base\":2}", .n = 10 };
	enum policy_put put;
	struct err e;

	bundle(f.s, "base", 2);
	assert_ok(policies_publish(f.s, &p, "token:k1", &put, &e), &e);
	assert_int_equal(put, POLICY_SAME);
	p.text = "{\"base\":0}";
	assert_fails(policies_publish(f.s, &p, "token:k1", &put, &e), &e, E_EXISTS);
	p.version = 1;
	assert_fails(policies_publish(f.s, &p, "token:k1", &put, &e), &e, E_ROLLBACK);
}

static void policies_show_wanted_delivered_applied(void **state)
{
	FIXTURE(f, state);
	CLEANUP(device_full_done) struct device_full d = { 0 };
	struct device_policy_applied applied = { .name = "base", .version = 1 };
	struct device_report r = idle_with("1.0", 0);
	struct policy_info p;
	struct handset a;
	uint64_t plan;
	struct err e;

	enrol(f.s, &a, 1, "sales");
	bundle(f.s, "base", 1);
	assign(f.s, "base", TARGET_GROUP, "sales");
	plan = plan_of(f.s, &a).plan;
	direct(f.s, &a);
	r.director_ts = 1;
	report(f.s, &a, &r);
	assert_ok(policies_get(f.s, "base", 0, &p, NULL, &e), &e);
	assert_int_equal(p.wanted, 1);
	assert_int_equal(p.delivered, 1);
	assert_int_equal(p.applied, 0);
	r.policies = &applied;
	r.policies_n = 1;
	report(f.s, &a, &r);
	bundle(f.s, "base", 2);
	assert_true(checkin_of(f.s, &a).stale); /* a new version counts at once */
	assert_true(plan_of(f.s, &a).plan > plan);
	d = full_of(f.s, &a);
	assert_int_equal(d.policies_n, 1);
	assert_int_equal(d.policies[0].wanted, 2);
	assert_int_equal(d.policies[0].delivered, 1);
	assert_int_equal(d.policies[0].applied, 1);
}

static void an_assignment_taken_away_is_planned_away(void **state)
{
	FIXTURE(f, state);
	struct handset a, b;
	struct target t = { .kind = TARGET_ALL };
	uint64_t changes;
	struct err e;

	enrol(f.s, &a, 1, "sales");
	enrol(f.s, &b, 2, "lab");
	bundle(f.s, "base", 1);
	assign(f.s, "base", TARGET_GROUP, "sales");
	assert_int_equal(plan_of(f.s, &a).policies_n, 1);
	plan_of(f.s, &b);
	assign(f.s, "base", TARGET_GROUP, "lab");
	assert_int_equal(plan_of(f.s, &a).policies_n, 0);
	assert_int_equal(plan_of(f.s, &b).policies_n, 1);
	changes = stats_of(f.s).row_changes;
	assign(f.s, "base", TARGET_GROUP, "lab");
	assert_int_equal(stats_of(f.s).row_changes, changes);
	assert_ok(policies_unassign(f.s, "base", "token:k1", &e), &e);
	assert_int_equal(plan_of(f.s, &b).policies_n, 0);
	assert_fails(policies_assign(f.s, "other", &t, "token:k1", &e), &e, E_NOT_FOUND);
	t.kind = TARGET_DEVICE;
	snprintf(t.name, sizeof(t.name), "nobody");
	assert_fails(policies_assign(f.s, "base", &t, "token:k1", &e), &e, E_NOT_FOUND);
	t.name[0] = '/';
	assert_fails(policies_assign(f.s, "base", &t, "token:k1", &e), &e, E_FORMAT);
}

/* Until it is planned anew it wants nothing of what was meant for it before. */
static void re_enrolment_forgets_the_policies_that_were_wanted(void **state)
{
	FIXTURE(f, state);
	struct policy_info info;
	struct enrolled got;
	struct handset a;
	struct err e;

	enrol(f.s, &a, 1, "sales");
	bundle(f.s, "base", 1);
	assign(f.s, "base", TARGET_GROUP, "sales");
	plan_of(f.s, &a);
	assert_ok(policies_get(f.s, "base", 0, &info, NULL, &e), &e);
	assert_int_equal(info.wanted, 1);
	ticket_make(f.s, "lab", false, a.token);
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	assert_true(got.known);
	assert_ok(policies_get(f.s, "base", 0, &info, NULL, &e), &e);
	assert_int_equal(info.wanted, 0);
	assert_int_equal(info.delivered, 0);
}

static void policies_are_listed_by_name_newest_version(void **state)
{
	FIXTURE(f, state);
	CLEANUP(policy_page_done) struct policy_page page = { 0 };
	char *text = NULL;
	struct policy_info p;
	struct err e;

	bundle(f.s, "b", 1);
	bundle(f.s, "b", 2);
	bundle(f.s, "a", 7);
	assert_ok(policies_list(f.s, NULL, 1, &page, &e), &e);
	assert_string_equal(page.items[0].name, "a");
	assert_true(page.more);
	policy_page_done(&page);
	assert_ok(policies_list(f.s, "a", 0, &page, &e), &e);
	assert_int_equal(page.n, 1);
	assert_int_equal(page.items[0].version, 2);
	assert_false(page.items[0].assigned);
	assert_ok(policies_get(f.s, "b", 1, &p, &text, &e), &e);
	assert_string_equal(text, "{\"b\":1}");
	free(text);
	assert_fails(policies_get(f.s, "b", 3, &p, NULL, &e), &e, E_NOT_FOUND);
}

/* ---- what an idle fleet costs ---- */

static void an_idle_checkin_writes_nothing(void **state)
{
	FIXTURE(f, state);
	struct store_stats before, after;
	struct device_checkin c;
	struct handset a;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, "sales");
	roll_out(f.s, "phone", "1.0", TARGET_ALL, "");
	plan_of(f.s, &a);
	direct(f.s, &a);
	{
		struct device_report r = idle_with("1.0", 1);

		report(f.s, &a, &r);
		/* The floor rose: one more round, then there is nothing more to say. */
		plan_of(f.s, &a);
		direct(f.s, &a);
		r.director_ts = 2;
		report(f.s, &a, &r);
	}
	before = stats_of(f.s);
	for (int i = 0; i < 1000; i++) {
		assert_ok(devices_checkin(f.s, a.id, &c, &e), &e);
		assert_false(c.stale);
		assert_int_equal(c.plan, c.director_plan);
		assert_int_equal(c.director_ts, 2);
		devices_seen(f.s, c.number);
	}
	after = stats_of(f.s);
	assert_int_equal(after.reads - before.reads, 1000);
	assert_int_equal(after.writes, before.writes);
	assert_int_equal(after.commits, before.commits);
	assert_int_equal(after.row_changes, before.row_changes);
	assert_int_equal(after.wal_frames, before.wal_frames);
}

struct kept {
	struct device_stamp stamp;
	struct device_checkin row;
};

static void keep(struct store *s, const struct handset *h, struct kept *k)
{
	struct err e;

	devices_stamp(s, h->id, &k->stamp);
	assert_ok(devices_checkin(s, h->id, &k->row, &e), &e);
}

/* A row that was kept under a stamp that is still the same is the row that a read would give.
 * Returns whether it is kept still. */
static bool kept_is_true(struct store *s, const struct handset *h, struct kept *k)
{
	struct device_stamp now;
	struct device_checkin row;
	struct err e;

	devices_stamp(s, h->id, &now);
	if (memcmp(&now, &k->stamp, sizeof(now)) != 0) {
		keep(s, h, k);
		return false;
	}
	assert_ok(devices_checkin(s, h->id, &row, &e), &e);
	assert_memory_equal(&row, &k->row, sizeof(row));
	return true;
}

static void a_row_kept_under_its_stamp_is_never_an_old_one(void **state)
{
	FIXTURE(f, state);
	static const char *const groups[] = { "other" };
	struct device_report r = idle_with("1.0", 1);
	struct kept ka, kb;
	struct handset a, b;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, "sales");
	enrol(f.s, &b, 2, NULL);
	keep(f.s, &a, &ka);
	keep(f.s, &b, &kb);
#define CHANGES_A(call)                                   \
	do {                                              \
		call;                                     \
		assert_false(kept_is_true(f.s, &a, &ka)); \
		kept_is_true(f.s, &b, &kb);               \
	} while (0)
	CHANGES_A(roll_out(f.s, "phone", "1.0", TARGET_ALL, ""));
	CHANGES_A(plan_of(f.s, &a));
	assert_true(kept_is_true(f.s, &b, &kb)); /* the one that it concerns, and no other */
	CHANGES_A(direct(f.s, &a));
	assert_true(kept_is_true(f.s, &b, &kb));
	CHANGES_A(report(f.s, &a, &r));
	assert_true(kept_is_true(f.s, &b, &kb));
	CHANGES_A(assert_ok(devices_set_groups(f.s, a.id, groups, 1, "token:k1", &e), &e));
	CHANGES_A(bundle(f.s, "base", 1));
	CHANGES_A(assign(f.s, "base", TARGET_GROUP, "other"));
	CHANGES_A(assert_ok(releases_withdraw(f.s, "phone", "1.0", "", "token:k1", &e), &e));
	CHANGES_A(assert_ok(devices_revoke(f.s, a.id, "lost", "token:k1", &e), &e));
#undef CHANGES_A
	/* What no row shows changes no stamp. */
	clock_fake_advance(&f.clock, 2 * DEVICES_SEEN_STEP_S * 1000);
	devices_seen(f.s, kb.row.number);
	assert_ok(devices_flush(f.s, false, &e), &e);
	assert_true(kept_is_true(f.s, &b, &kb));
	assert_ok(store_look_around(f.s, &e), &e);
	kept_is_true(f.s, &b, &kb); /* the first look has nothing to compare with */
	assert_ok(store_look_around(f.s, &e), &e);
	assert_true(kept_is_true(f.s, &b, &kb));
}

static void what_another_process_changed_is_seen_by_looking_around(void **state)
{
	FIXTURE(f, state);
	struct fixture other =
		f; /* a second store on the same files, as another process has it */
	struct kept k;
	struct handset a;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	assert_ok(store_look_around(f.s, &e), &e);
	keep(f.s, &a, &k);
	fixture_open(&other);
	assert_ok(store_look_around(f.s, &e), &e);
	kept_is_true(f.s, &a, &k);
	assert_ok(devices_revoke(other.s, a.id, "lost", "token:k1", &e), &e);
	assert_ok(store_look_around(f.s, &e), &e);
	assert_false(kept_is_true(f.s, &a, &k));
	assert_int_equal(k.row.state, DEVICE_REVOKED);
	store_free(other.s);
}

static void last_seen_is_flushed_together_and_survives(void **state)
{
	FIXTURE(f, state);
	CLEANUP(device_page_done) struct device_page page = { 0 };
	struct store_stats before;
	struct err e;

	for (unsigned i = 0; i < 10; i++) {
		struct handset a;

		enrol(f.s, &a, i, NULL);
		devices_seen(f.s, i + 1);
	}
	before = stats_of(f.s);
	assert_ok(devices_flush(f.s, false, &e), &e);
	assert_int_equal(stats_of(f.s).commits, before.commits + 1);
	assert_int_equal(stats_of(f.s).row_changes, before.row_changes + 10);
	clock_fake_advance(&f.clock, DEVICES_SEEN_STEP_S * 1000);
	devices_seen(f.s, 1);
	assert_ok(devices_flush(f.s, false, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, before.row_changes + 10);
	clock_fake_advance(&f.clock, 1000);
	devices_seen(f.s, 1);
	assert_ok(devices_flush(f.s, false, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, before.row_changes + 11);
	fixture_reopen(&f);
	assert_ok(devices_list(f.s, NULL, 0, 2, &page, &e), &e);
	assert_int_equal(page.items[0].last_seen_at, NOW + DEVICES_SEEN_STEP_S + 1);
	assert_int_equal(page.items[1].last_seen_at, NOW);
}

static void before_the_end_the_last_second_is_written_too(void **state)
{
	FIXTURE(f, state);
	CLEANUP(device_page_done) struct device_page page = { 0 };
	struct store_stats before;
	struct handset a;
	struct err e;

	enrol(f.s, &a, 0, NULL);
	devices_seen(f.s, 1);
	assert_ok(devices_flush(f.s, false, &e), &e);
	clock_fake_advance(&f.clock, 1000);
	devices_seen(f.s, 1);
	before = stats_of(f.s);
	assert_ok(devices_flush(f.s, true, &e), &e);
	assert_int_equal(stats_of(f.s).row_changes, before.row_changes + 1);
	assert_ok(devices_flush(f.s, true, &e), &e);
	assert_int_equal(stats_of(f.s).commits, before.commits + 1);
	fixture_reopen(&f);
	assert_ok(devices_list(f.s, NULL, 0, 1, &page, &e), &e);
	assert_int_equal(page.items[0].last_seen_at, NOW + 1);
}

static bool fill_fleet(struct db *db, void *ctx, struct err *e)
{
	return db_script(
		db,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
		" INSERT INTO devices (id, state, identity, sealing, model, name, serial, ticket,"
		"  enrolled_at, attributes) SELECT printf('%032x', i), 1, randomblob(32),"
		"  randomblob(32), 'compact', '', '', 1, 1, '{}' FROM n;"
		"INSERT INTO device_groups SELECT number, 'g' || (number % 100) FROM devices;"
		"INSERT INTO device_groups SELECT number, 'everyone' FROM devices;"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
		" INSERT INTO marks SELECT 1, 'g' || i, i FROM n;"
		"INSERT INTO director SELECT number, 1, 1, 1, 1, 1, 1, zeroblob(2000),"
		"  zeroblob(2000), zeroblob(2000) FROM devices;"
		"ANALYZE;",
		e);
}

static void the_statement_of_a_checkin_only_searches(void **state)
{
	FIXTURE(f, state);
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	unsigned searches = 0;
	struct err e;
	bool more;

	assert_ok(store_write(f.s, fill_fleet, NULL, &e), &e);
	assert_ok(reader_get(&rd, f.s, &e), &e);
	assert_ok(db_rows(rd.db, &r, &e, "EXPLAIN QUERY PLAN " SQL_CHECKIN, S("x")), &e);
	for (;;) {
		char detail[200];

		assert_ok(rows_next(&r, &more, &e), &e);
		if (!more)
			break;
		assert_ok(col_text(&r, 3, detail, sizeof(detail), &e), &e);
		if (strncmp(detail, "SCAN", 4) == 0)
			fail_msg("the check-in reads a whole table: %s", detail);
		searches += strncmp(detail, "SEARCH", 6) == 0;
	}
	assert_int_equal(searches, 7);
}

static void ten_thousand_devices_check_in_by_index(void **state)
{
	FIXTURE(f, state);
	struct device_checkin c;
	struct store_stats before;
	struct err e;
	char id[33];

	assert_ok(store_write(f.s, fill_fleet, NULL, &e), &e);
	before = stats_of(f.s);
	for (int i = 1; i <= 10000; i++) {
		snprintf(id, sizeof(id), "%032x", i);
		assert_ok(devices_checkin(f.s, id, &c, &e), &e);
		assert_string_equal(c.id, id);
	}
	assert_int_equal(stats_of(f.s).row_changes, before.row_changes);
	assert_fails(devices_checkin(f.s, "ffffffffffffffffffffffffffffffff", &c, &e), &e,
		     E_NOT_FOUND);
}

static void lists_filter_by_group_and_state_in_pages(void **state)
{
	FIXTURE(f, state);
	struct device_filter sales = { .group = "sales" };
	struct device_filter gone = { .by_state = true, .state = DEVICE_REVOKED };
	CLEANUP(device_page_done) struct device_page page = { 0 };
	struct device_counts n;
	struct handset h[4];
	struct err e;

	for (unsigned i = 0; i < 4; i++)
		enrol(f.s, &h[i], i, i % 2 ? "lab" : "sales");
	assert_ok(devices_list(f.s, &sales, 0, 1, &page, &e), &e);
	assert_int_equal(page.n, 1);
	assert_true(page.more);
	assert_string_equal(page.items[0].id, h[0].id);
	{
		int64_t after = page.items[0].number;

		device_page_done(&page);
		assert_ok(devices_list(f.s, &sales, after, 5, &page, &e), &e);
	}
	assert_int_equal(page.n, 1);
	assert_false(page.more);
	assert_string_equal(page.items[0].id, h[2].id);
	assert_ok(devices_revoke(f.s, h[3].id, NULL, "token:k1", &e), &e);
	device_page_done(&page);
	assert_ok(devices_list(f.s, &gone, 0, 0, &page, &e), &e);
	assert_int_equal(page.n, 1);
	assert_string_equal(page.items[0].id, h[3].id);
	assert_ok(devices_count(f.s, &n, &e), &e);
	assert_int_equal(n.active, 3);
	assert_int_equal(n.revoked, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_ticket_lets_one_device_in),
		TMPDIR_TEST(of_devices_racing_for_a_ticket_one_wins),
		TMPDIR_TEST(the_same_key_again_gets_its_device_and_uses_nothing),
		TMPDIR_TEST(manual_approval_waits_for_an_administrator),
		TMPDIR_TEST(a_ticket_for_one_serial_takes_five_tries_in_vain),
		TMPDIR_TEST(wrong_expired_and_revoked_tickets_are_told_apart),
		TMPDIR_TEST(a_revoked_key_stays_out_also_with_a_new_ticket),
		TMPDIR_TEST(re_enrolment_starts_the_plan_anew),
		TMPDIR_TEST(tickets_are_listed_and_forgotten),
		TMPDIR_TEST(a_rollout_reaches_all_a_group_or_one_device),
		TMPDIR_TEST(only_devices_that_a_change_reaches_become_stale),
		TMPDIR_TEST(planning_again_changes_and_writes_nothing),
		TMPDIR_TEST(a_release_for_other_models_is_not_granted),
		TMPDIR_TEST(changed_groups_change_the_plan),
		TMPDIR_TEST(a_grant_moves_from_granted_to_applied),
		TMPDIR_TEST(an_event_of_failure_moves_the_grant_and_keeps_the_reason),
		TMPDIR_TEST(the_floor_rises_with_what_was_confirmed_and_bars_what_is_below),
		TMPDIR_TEST(who_runs_a_withdrawn_release_keeps_it_others_fall_back),
		TMPDIR_TEST(director_metadata_of_an_old_plan_or_version_is_refused),
		TMPDIR_TEST(events_are_stored_once_however_often_they_come),
		TMPDIR_TEST(a_device_keeps_its_newest_events_and_fewer_logs),
		TMPDIR_TEST(hostile_reports_are_refused_whole),
		TMPDIR_TEST(bundles_reach_all_groups_and_devices_closest_first),
		TMPDIR_TEST(policy_versions_only_rise),
		TMPDIR_TEST(policies_show_wanted_delivered_applied),
		TMPDIR_TEST(an_assignment_taken_away_is_planned_away),
		TMPDIR_TEST(re_enrolment_forgets_the_policies_that_were_wanted),
		TMPDIR_TEST(policies_are_listed_by_name_newest_version),
		TMPDIR_TEST(an_idle_checkin_writes_nothing),
		TMPDIR_TEST(a_row_kept_under_its_stamp_is_never_an_old_one),
		TMPDIR_TEST(what_another_process_changed_is_seen_by_looking_around),
		TMPDIR_TEST(last_seen_is_flushed_together_and_survives),
		TMPDIR_TEST(before_the_end_the_last_second_is_written_too),
		TMPDIR_TEST(the_statement_of_a_checkin_only_searches),
		TMPDIR_TEST(ten_thousand_devices_check_in_by_index),
		TMPDIR_TEST(lists_filter_by_group_and_state_in_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
