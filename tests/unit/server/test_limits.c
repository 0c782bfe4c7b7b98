/* What bounds callers: buckets, nonces, sessions, plans. */
#include "tests/support/unit.h"

#include "base/rng.h"
#include "base/text.h"
#include "server/idle.h"
#include "server/nonces.h"
#include "server/plan.h"
#include "server/rate.h"
#include "server/session.h"

static void a_bucket_gives_its_burst_and_then_its_rate(void **state)
{
	struct bucket b = { 0 };
	uint32_t wait = 0;
	unsigned n = 0;

	(void)state;
	while (bucket_take(&b, 10, 5, 1000, &wait))
		n++;
	assert_int_equal(n, 5);
	assert_int_equal(wait, 1);
	assert_false(bucket_take(&b, 10, 5, 1099, &wait));
	assert_true(bucket_take(&b, 10, 5, 1100, &wait));
	assert_false(bucket_take(&b, 10, 5, 1100, &wait));
	/* After a long time it is full, not fuller. */
	for (n = 0; bucket_take(&b, 10, 5, INT64_C(1) << 50, &wait);)
		n++;
	assert_int_equal(n, 5);
	/* A clock that goes back gives nothing and breaks nothing. */
	assert_false(bucket_take(&b, 10, 5, 0, &wait));
}

static void a_slow_rate_tells_how_long_to_wait(void **state)
{
	struct bucket b = { 0 };
	uint32_t wait = 0;

	(void)state;
	assert_true(bucket_take(&b, 1, 1, 0, &wait));
	assert_false(bucket_take(&b, 1, 1, 0, &wait));
	assert_in_range(wait, 1, 2);
	assert_true(bucket_take(&b, 0, 1, 0, &wait)); /* no limit */
}

static void keys_do_not_pay_for_each_other(void **state)
{
	struct rates *r;
	struct err e;
	uint32_t wait;

	(void)state;
	assert_ok(rates_new(&r, 64, 12345, &e), &e);
	for (int i = 0; i < 3; i++)
		assert_true(rates_take(r, "a", 1, 1, 3, 1000, &wait));
	assert_false(rates_take(r, "a", 1, 1, 3, 1000, &wait));
	assert_true(rates_take(r, "b", 1, 1, 3, 1000, &wait));
	/* A flood of keys costs no memory and ends no one's service. */
	for (uint32_t i = 0; i < 100000; i++)
		assert_true(rates_take(r, &i, sizeof(i), 1, 3, 1000, &wait));
	rates_free(r);
	rates_free(NULL);
}

static void many_keys_have_a_bucket_each(void **state)
{
	struct rates *r;
	struct err e;
	uint32_t wait;

	(void)state;
	assert_ok(rates_new(&r, 64, 12345, &e), &e);
	for (uint32_t i = 0; i < 128; i++)
		assert_true(rates_take(r, &i, sizeof(i), 1, 1, 1000, &wait));
	for (uint32_t i = 0; i < 128; i++)
		assert_false(rates_take(r, &i, sizeof(i), 1, 1, 1000, &wait));
	rates_free(r);
}

static void a_new_key_takes_the_place_of_the_one_longest_idle(void **state)
{
	struct rates *r;
	struct err e;
	uint32_t wait;

	(void)state;
	assert_ok(rates_new(&r, 1, 12345, &e), &e); /* one row of eight */
	for (uint32_t i = 0; i < 8; i++)
		assert_true(rates_take(r, &i, sizeof(i), 1, 1, 1000 + i, &wait));
	uint32_t first = 0, second = 1, ninth = 9;
	assert_false(rates_take(r, &first, sizeof(first), 1, 1, 1010, &wait));
	assert_true(rates_take(r, &ninth, sizeof(ninth), 1, 1, 1011, &wait));
	assert_false(rates_take(r, &first, sizeof(first), 1, 1, 1012, &wait));
	assert_true(rates_take(r, &second, sizeof(second), 1, 1, 1013, &wait));
	rates_free(r);
}

static void nonces_are_forgotten_two_windows_later(void **state)
{
	struct nonces *n;
	struct err e;

	(void)state;
	assert_ok(nonces_new(&n, 600, 64, 1, &e), &e);
	assert_ok(nonces_add(n, "k", "a", 600 * 1000, &e), &e);
	assert_fails(nonces_add(n, "k", "a", 1799 * 1000, &e), &e, E_AUTH);
	assert_ok(nonces_add(n, "k", "a", 3000 * 1000, &e), &e);
	assert_ok(nonces_add(n, "k", "a", 4200 * 1000, &e), &e);
	nonces_free(n);
}

static void a_nonce_counts_once_within_the_window(void **state)
{
	struct nonces *n;
	char text[32];
	struct err e;

	(void)state;
	assert_ok(nonces_new(&n, 600, 1 << 20, 1, &e), &e);
	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		assert_ok(nonces_add(n, "k", text, 1000 + i, &e), &e);
		assert_fails(nonces_add(n, "k", text, 1000 + i, &e), &e, E_AUTH); /* at once */
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		assert_fails(nonces_add(n, "k", text, 600 * 1000, &e), &e, E_AUTH);
	}
	assert_ok(nonces_add(n, "other", "n1", 600 * 1000, &e), &e);
	/* Remembered for a whole window at least, whatever the tables' turn; then forgotten. */
	assert_ok(nonces_add(n, "k", "late", 700 * 1000, &e), &e);
	assert_fails(nonces_add(n, "k", "late", 1299 * 1000, &e), &e, E_AUTH);
	assert_ok(nonces_add(n, "k", "late", 5000 * 1000, &e), &e);
	nonces_free(n);
}

static void a_full_table_of_nonces_fails_closed(void **state)
{
	struct nonces *n;
	char text[32];
	struct err e;
	bool full = false;

	(void)state;
	assert_ok(nonces_new(&n, 600, 64, 1, &e), &e);
	for (int i = 0; i < 10000 && !full; i++) {
		snprintf(text, sizeof(text), "n%d", i);
		full = !nonces_add(n, "k", text, 1000, &e);
	}
	assert_true(full);
	assert_int_equal(e.code, E_BUSY);
	nonces_free(n);
	nonces_free(NULL);
}

static void nonces_without_memory_fail_closed(void **state)
{
	char text[32];
	struct err e;
	bool ok = false;

	(void)state;
	FAULT_EACH(round, FAULT_ALLOC) {
		struct nonces *n = NULL;

		ok = nonces_new(&n, 600, 1 << 16, 1, &e);
		for (int i = 0; ok && i < 6000; i++) {
			snprintf(text, sizeof(text), "n%d", i);
			ok = nonces_add(n, "k", text, 1000, &e);
		}
		if (!ok)
			assert_int_equal(e.code, E_NOMEM);
		nonces_free(n);
	}
	assert_true(ok);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void sessions_name_their_device_and_their_end(void **state)
{
	static const char device[] = "0123456789abcdef0123456789abcdef";
	char id[SESSION_ID_SIZE], got[DEVICE_ID_SIZE], bad[SESSION_ID_SIZE];
	struct rng_fake rng;
	struct err e;

	(void)state;
	rng_fake_init(&rng, 1);
	session_make(id, device, 2000000000, &rng.base);
	assert_int_equal(strlen(id), SESSION_ID_SIZE - 1);
	assert_true(strlen(id) <= LIMIT_SESSION_ID);
	assert_ok(session_parse(got, id, 1999999999, &e), &e);
	assert_string_equal(got, device);
	assert_fails(session_parse(got, id, 2000000000, &e), &e, E_AUTH);
	for (size_t i = 0; i < strlen(id); i++) {
		memcpy(bad, id, sizeof(bad));
		bad[i] = '!';
		assert_fails(session_parse(got, bad, 1, &e), &e, E_AUTH);
	}
	assert_fails(session_parse(got, "", 1, &e), &e, E_AUTH);
	bad[0] = 0;
}

static void session_keys_hang_on_every_byte_of_id_and_identity(void **state)
{
	uint8_t raw[32] = { 1 }, own[IDENTITY_KEY] = { 2 }, a[SESSION_KEY], b[SESSION_KEY];
	struct secret secret = { raw, sizeof(raw) };
	char id[SESSION_ID_SIZE];
	struct rng_fake rng;

	(void)state;
	rng_fake_init(&rng, 1);
	session_make(id, "0123456789abcdef0123456789abcdef", 5, &rng.base);
	session_key(a, &secret, own, id);
	session_key(b, &secret, own, id);
	assert_memory_equal(a, b, sizeof(a));
	for (size_t i = 0; i < strlen(id); i++) {
		id[i] ^= 1;
		session_key(b, &secret, own, id);
		assert_memory_not_equal(a, b, sizeof(a));
		id[i] ^= 1;
	}
	for (size_t i = 0; i < sizeof(own); i++) {
		own[i] ^= 1;
		session_key(b, &secret, own, id);
		assert_memory_not_equal(a, b, sizeof(a));
		own[i] ^= 1;
	}
	raw[31] ^= 1;
	session_key(b, &secret, own, id);
	assert_memory_not_equal(a, b, sizeof(a));
}

/* ---- bodies that were seen before --------------------------------------------------------------- */

static void the_hash_of_a_checkin_leaves_out_the_nonce_and_nothing_else(void **state)
{
	struct checkin_request req = { .agent = "0.1.0",
				       .image_ts = 1,
				       .director_ts = 1,
				       .image_root = 1,
				       .director_root = 1 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);
	struct idle *c;
	uint64_t h;
	struct err e;

	(void)state;
	assert_ok(idle_new(&c, 16, 5, &e), &e);
	assert_ok(checkin_request_encode(&req, &b, &e), &e);
	h = idle_hash(c, b.p, b.n);
	assert_true(h != 0); /* our own encoder's bodies are known */
	memset(req.nonce, 0xab, sizeof(req.nonce));
	buf_reset(&b);
	assert_ok(checkin_request_encode(&req, &b, &e), &e);
	assert_true(idle_hash(c, b.p, b.n) == h);
	for (size_t i = 0; i < b.n; i++) {
		bool in_nonce = i >= 16 && i < 48;

		b.p[i] ^= 1;
		if (!in_nonce)
			assert_true(idle_hash(c, b.p, b.n) != h);
		else if (idle_hash(c, b.p, b.n) != 0)
			assert_true(idle_hash(c, b.p, b.n) == h);
		b.p[i] ^= 1;
	}
	for (size_t n = 0; n < b.n; n++)
		assert_true(idle_hash(c, b.p, n) != h);
	idle_free(c);
	idle_free(NULL);
}

static void what_was_idle_is_forgotten_with_its_stamp(void **state)
{
	struct device_checkin a = { .id = "00000000000000000000000000000001" };
	struct device_stamp stamp = { 1, 2 }, other = { 1, 3 }, later = { 2, 2 };
	struct idle *c;
	bool empty_ok = true;
	struct err e;

	(void)state;
	assert_ok(idle_new(&c, 1, 5, &e), &e);
	assert_false(idle_is_known(c, a.id, &stamp, 7, &empty_ok));
	assert_true(empty_ok);
	idle_put(c, &a, &stamp, 7, false);
	assert_true(idle_is_known(c, a.id, &stamp, 7, &empty_ok));
	assert_false(empty_ok);
	idle_put(c, &a, &stamp, 7, true);
	assert_true(idle_is_known(c, a.id, &stamp, 7, &empty_ok));
	assert_true(empty_ok);
	assert_false(idle_is_known(c, a.id, &stamp, 8, &empty_ok));
	assert_false(idle_is_known(c, a.id, &stamp, 0, &empty_ok));
	assert_false(idle_is_known(c, a.id, &other, 7, &empty_ok));
	assert_false(idle_is_known(c, a.id, &later, 7, &empty_ok));
	assert_false(
		idle_is_known(c, "00000000000000000000000000000002", &stamp, 7, &empty_ok));
	idle_free(c);
}

/* ---- plans ------------------------------------------------------------------------------------ */

static void an_idle_checkin_needs_nothing_and_each_change_its_own(void **state)
{
	struct checkin_request req = { .agent = "1", .director_ts = 7, .image_ts = 3 };
	struct device_checkin row = { .plan = 2,
				      .director_plan = 2,
				      .director_ts = 7,
				      .director_refresh_at = 100,
				      .image_ts = 3 };
	uint8_t sha[SHA256_SIZE];
	struct checkin_event event = { .seq = 1 };
	struct device_checkin r;
	struct plan p;
	struct err e;

	(void)state;
	assert_ok(plan_report_hash(sha, &req, &e), &e);
	memcpy(row.report_sha256, sha, sizeof(sha));
	p = plan_checkin(&row, &req, sha, 99);
	assert_false(p.report || p.director || p.image);
	/* Nonce and the kind of answer make no report new; anything else does. */
	memset(req.nonce, 9, sizeof(req.nonce));
	req.empty_ok = true;
	assert_ok(plan_report_hash(sha, &req, &e), &e);
	assert_false(plan_checkin(&row, &req, sha, 99).report);
	req.state = UPDATE_FETCHING;
	assert_ok(plan_report_hash(sha, &req, &e), &e);
	assert_true(plan_checkin(&row, &req, sha, 99).report);
	memcpy(row.report_sha256, sha, sizeof(sha));
	req.events = &event;
	req.n_events = 1;
	assert_true(plan_checkin(&row, &req, sha, 99).report);
	req.n_events = 0;

	assert_true(plan_checkin(&row, &req, sha, 100).director); /* the lease is half over */
	r = row;
	r.stale = true;
	assert_true(plan_checkin(&r, &req, sha, 1).director);
	r = row;
	r.plan = 3;
	assert_true(plan_checkin(&r, &req, sha, 1).director);
	r = row;
	r.plan = r.director_plan = 0; /* nothing was made for it yet */
	assert_true(plan_checkin(&r, &req, sha, 1).director);
	r = row;
	r.director_ts = 8; /* an answer was lost */
	assert_true(plan_checkin(&r, &req, sha, 1).director);
	r = row;
	r.image_ts = 4;
	p = plan_checkin(&r, &req, sha, 1);
	assert_true(p.image && !p.director && !p.report);
}

static void polls_are_spread_by_a_tenth(void **state)
{
	uint32_t least = UINT32_MAX, most = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		uint32_t s = plan_poll_s(600, i * UINT64_C(0x9e3779b97f4a7c15));

		least = s < least ? s : least;
		most = s > most ? s : most;
	}
	assert_int_equal(least, 600);
	assert_int_equal(most, 660);
	assert_int_equal(plan_poll_s(1, UINT64_MAX), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_gives_its_burst_and_then_its_rate),
		cmocka_unit_test(a_slow_rate_tells_how_long_to_wait),
		cmocka_unit_test(keys_do_not_pay_for_each_other),
		cmocka_unit_test(many_keys_have_a_bucket_each),
		cmocka_unit_test(a_new_key_takes_the_place_of_the_one_longest_idle),
		cmocka_unit_test(nonces_are_forgotten_two_windows_later),
		cmocka_unit_test(a_nonce_counts_once_within_the_window),
		cmocka_unit_test(a_full_table_of_nonces_fails_closed),
		cmocka_unit_test(nonces_without_memory_fail_closed),
		cmocka_unit_test(sessions_name_their_device_and_their_end),
		cmocka_unit_test(session_keys_hang_on_every_byte_of_id_and_identity),
		cmocka_unit_test(the_hash_of_a_checkin_leaves_out_the_nonce_and_nothing_else),
		cmocka_unit_test(what_was_idle_is_forgotten_with_its_stamp),
		cmocka_unit_test(an_idle_checkin_needs_nothing_and_each_change_its_own),
		cmocka_unit_test(polls_are_spread_by_a_tenth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
