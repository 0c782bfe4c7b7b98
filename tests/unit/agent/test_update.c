#include "tests/support/unit.h"

#include "agent/update.h"
#include "base/text.h"

enum { NOW = 1800000000, K = 3 };

static const struct release_id old = { "acme-phone", "1.0.0", { 1 }, 1, 1 };
static const struct release_id new = { "acme-phone", "1.1.0", { 2 }, 2, 1 };
static const struct release_id third = { "acme-phone", "1.2.0", { 3 }, 2, 1 };

/* A handset that runs `old` from slot A and has got to the given state with `new`. */
static struct state at(enum update_state u)
{
	struct state s;

	state_init(&s);
	s.active = SLOT_A;
	s.slot[SLOT_A] = old;
	s.slot_flags[SLOT_A] = SLOT_WHOLE;
	s.floor = 1;
	s.update = u;
	if (u == UPDATE_IDLE)
		return s;
	s.target = new;
	memcpy(s.rollout, "r1", 3);
	if (u >= UPDATE_OFFERED && u <= UPDATE_TRIAL)
		s.deadline_s = NOW + 100;
	if (u >= UPDATE_FETCHING) {
		s.slot[SLOT_B] = new;
		if (u <= UPDATE_TRIAL)
			s.target_slot = SLOT_B;
	}
	if (u >= UPDATE_STAGED && u != UPDATE_FAILED)
		s.slot_flags[SLOT_B] = SLOT_WHOLE;
	if (u == UPDATE_TRIAL)
		s.tries_left = UPDATE_TRIES - 1;
	if (u == UPDATE_CONFIRMED) {
		s.active = SLOT_B;
		s.floor = 2;
	}
	if (u == UPDATE_ROLLED_BACK)
		s.slot_flags[SLOT_B] |= SLOT_BAD;
	return s;
}

static struct update_event event(enum update_event_kind kind)
{
	return (struct update_event){
		.kind = kind,
		.now_s = NOW,
		.target = new,
		.rollout = "r1",
		.code = E_CORRUPT,
		.text = "the reason",
		.max_failures = K,
	};
}

static struct update_step apply(struct state *s, enum update_event_kind kind)
{
	struct update_event ev = event(kind);

	return update_apply(s, &ev);
}

/* Every state times every event: where it leads, and what the caller is told to do. */
#define N UPDATE_STATES /* nothing changes */
static const int leads_to[UPDATE_STATES][EV_KINDS] = {
	/* WANTED, UNWANTED, MAY_FETCH, FETCHED, FETCH_FAILED, MAY_INSTALL, TRIAL_BOOT,
	 * TRIAL_STOPPED, HEALTHY, UNHEALTHY, ACTIVE_BAD, ACKED, TICK (in time) */
	[UPDATE_IDLE] = { UPDATE_OFFERED, N, N, N, N, N, N, N, N, N, UPDATE_IDLE, N, N },
	[UPDATE_OFFERED] = { N, UPDATE_IDLE, UPDATE_FETCHING, N, N, N, N, N, N, N,
			     UPDATE_OFFERED, N, N },
	[UPDATE_FETCHING] = { N, UPDATE_IDLE, N, UPDATE_STAGED, UPDATE_FETCHING, N, N, N, N, N,
			      UPDATE_FETCHING, N, N },
	[UPDATE_STAGED] = { N, UPDATE_IDLE, N, N, N, UPDATE_TRIAL, N, N, N, N, UPDATE_TRIAL, N,
			    N },
	[UPDATE_TRIAL] = { N, N, N, N, N, N, UPDATE_TRIAL, UPDATE_TRIAL, UPDATE_CONFIRMED,
			   UPDATE_ROLLED_BACK, N, N, N },
	[UPDATE_CONFIRMED] = { N, N, N, N, N, N, N, N, N, N, UPDATE_IDLE, UPDATE_IDLE, N },
	[UPDATE_ROLLED_BACK] = { N, N, N, N, N, N, N, N, N, N, UPDATE_IDLE, N, N },
	[UPDATE_FAILED] = { N, N, N, N, N, N, N, N, N, N, UPDATE_IDLE, N, N },
};

static void every_state_answers_every_event_as_the_table_says(void **state)
{
	for (enum update_state u = 0; u < UPDATE_STATES; u++) {
		for (enum update_event_kind k = 0; k < EV_KINDS; k++) {
			struct state s = at(u), before = s;
			struct update_step step = apply(&s, k);
			int wanted = leads_to[u][k];
			uint8_t raw[STATE_SIZE];
			struct state back;
			struct err e;

			if (step.changed != (wanted != N) ||
			    (int)s.update != (wanted == N ? (int)u : wanted))
				fail_msg("%s, event %d: %s", update_state_names[u], (int)k,
					 update_state_names[s.update]);
			if (!step.changed) {
				assert_memory_equal(&s, &before, sizeof(s));
				assert_false(step.report);
				assert_int_equal(step.act, ACT_NOTHING);
			}
			/* What comes out can be stored and loaded. */
			state_encode(raw, &s);
			assert_ok(state_parse(&back, raw, sizeof(raw), &e), &e);
		}
	}
}

static void every_state_in_flight_has_a_deadline_and_a_next_step(void **state)
{
	for (enum update_state u = UPDATE_OFFERED; u <= UPDATE_TRIAL; u++) {
		struct state s = at(u);
		struct update_event ev = event(EV_TICK);

		ev.now_s = s.deadline_s - 1;
		assert_false(update_apply(&s, &ev).changed);
		ev.now_s = s.deadline_s;
		struct update_step step = update_apply(&s, &ev);
		assert_true(step.changed && step.report);
		assert_int_equal(s.update,
				 u == UPDATE_TRIAL ? UPDATE_ROLLED_BACK : UPDATE_FAILED);
		assert_int_equal(s.deadline_s, 0);
		assert_true(s.reason[0] != '\0');
		assert_int_equal(step.act, u == UPDATE_FETCHING ? ACT_STOP_FETCH
					   : u == UPDATE_TRIAL  ? ACT_BOOT_ACTIVE
								: ACT_NOTHING);
		assert_int_equal(s.active, SLOT_A);
	}
}

static void a_good_update_swaps_raises_the_floor_and_keeps_the_old_slot(void **state)
{
	struct state s = at(UPDATE_IDLE);

	apply(&s, EV_WANTED);
	assert_int_equal(s.deadline_s, NOW + UPDATE_OFFERED_S);
	apply(&s, EV_MAY_FETCH);
	assert_int_equal(s.target_slot, SLOT_B);
	assert_int_equal(s.slot_flags[SLOT_B], 0);
	assert_int_equal(update_boot_slot(&s), SLOT_A);
	apply(&s, EV_FETCHED);
	assert_int_equal(update_boot_slot(&s), SLOT_A);
	assert_int_equal(apply(&s, EV_MAY_INSTALL).act, ACT_BOOT_TRIAL);
	assert_int_equal(update_boot_slot(&s), SLOT_B);
	assert_int_equal(s.floor, 1);
	apply(&s, EV_TRIAL_BOOT);
	struct update_step step = apply(&s, EV_HEALTHY);
	assert_true(step.report);
	assert_int_equal(step.act, ACT_NOTHING); /* it runs already */
	assert_int_equal(s.active, SLOT_B);
	assert_int_equal(s.floor, 2);
	assert_int_equal(s.slot_flags[SLOT_A], SLOT_WHOLE);
	apply(&s, EV_ACKED);
	assert_int_equal(s.update, UPDATE_IDLE);
	assert_false(apply(&s, EV_WANTED).changed); /* it runs */
}

static void an_unhealthy_trial_goes_back_and_is_not_tried_again(void **state)
{
	struct state s = at(UPDATE_TRIAL);
	struct update_event again = event(EV_WANTED);

	assert_int_equal(apply(&s, EV_UNHEALTHY).act, ACT_BOOT_ACTIVE);
	assert_int_equal(s.update, UPDATE_ROLLED_BACK);
	assert_string_equal(s.reason, "the reason");
	assert_int_equal(update_boot_slot(&s), SLOT_A);
	assert_int_equal(s.floor, 1);
	assert_false(update_apply(&s, &again).changed);
	again.rollout = "r2"; /* an administrator wants it once more */
	assert_true(update_apply(&s, &again).changed);
	assert_int_equal(s.update, UPDATE_OFFERED);
}

static void boots_cut_short_use_up_the_tries(void **state)
{
	struct state s = at(UPDATE_STAGED);

	apply(&s, EV_MAY_INSTALL);
	for (unsigned i = 0; i < UPDATE_TRIES; i++) {
		apply(&s, EV_TRIAL_BOOT);
		assert_int_equal(s.update, UPDATE_TRIAL);
	}
	assert_int_equal(apply(&s, EV_TRIAL_BOOT).act, ACT_BOOT_ACTIVE);
	assert_int_equal(s.update, UPDATE_ROLLED_BACK);
	assert_string_equal(s.reason, "the trial boot was cut short every time");
}

static void a_planned_stop_of_a_trial_is_not_a_failed_boot(void **state)
{
	struct state s = at(UPDATE_STAGED);

	apply(&s, EV_MAY_INSTALL);
	for (unsigned i = 0; i < 10 * UPDATE_TRIES; i++) {
		apply(&s, EV_TRIAL_BOOT);
		apply(&s, EV_TRIAL_STOPPED);
	}
	assert_int_equal(s.update, UPDATE_TRIAL);
	assert_int_equal(s.tries_left, UPDATE_TRIES);
	assert_false(apply(&s, EV_TRIAL_STOPPED).changed); /* never more than there were */
}

static void k_failures_stop_and_report(void **state)
{
	struct state s = at(UPDATE_FETCHING);

	for (unsigned i = 1; i < K; i++) {
		assert_false(apply(&s, EV_FETCH_FAILED).report);
		assert_int_equal(s.failures, i);
		assert_int_equal(s.update, UPDATE_FETCHING);
	}
	struct update_step step = apply(&s, EV_FETCH_FAILED);
	assert_true(step.report);
	assert_int_equal(s.update, UPDATE_FAILED);
	assert_string_equal(s.reason, "the reason");
	assert_false(apply(&s, EV_WANTED).changed);
}

static void a_final_error_stops_at_once_and_a_temporary_one_never(void **state)
{
	static const enum err_code final[] = { E_NOT_FOUND, E_DENIED, E_GONE, E_UNTRUSTED,
					       E_FORMAT };
	static const enum err_code temporary[] = { E_NETWORK, E_NO_SPACE, E_RATE, E_TIMEOUT };
	struct update_event ev = event(EV_FETCH_FAILED);

	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		struct state s = at(UPDATE_FETCHING);
		ev.code = final[i];
		update_apply(&s, &ev);
		assert_int_equal(s.update, UPDATE_FAILED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++) {
		struct state s = at(UPDATE_FETCHING);
		ev.code = temporary[i];
		for (unsigned n = 0; n < 10 * K; n++)
			assert_false(update_apply(&s, &ev).changed);
	}
	struct state s = at(UPDATE_FETCHING);
	ev.code = E_CANCELLED;
	assert_false(update_apply(&s, &ev).changed);
	ev.code = E_SYSTEM; /* counts */
	assert_true(update_apply(&s, &ev).changed);
	assert_int_equal(s.update, UPDATE_FETCHING);
}

static void another_release_replaces_the_one_under_way_but_not_a_trial(void **state)
{
	struct update_event ev = event(EV_WANTED);

	ev.target = third;
	for (enum update_state u = 0; u < UPDATE_STATES; u++) {
		struct state s = at(u);
		struct update_step step = update_apply(&s, &ev);

		assert_int_equal(step.changed, u != UPDATE_TRIAL);
		assert_int_equal(step.act, u == UPDATE_FETCHING ? ACT_STOP_FETCH : ACT_NOTHING);
		if (step.changed) {
			assert_int_equal(s.update, UPDATE_OFFERED);
			assert_true(release_id_same(&s.target, &third));
			assert_int_equal(s.failures, 0);
		}
	}
}

static void wanting_what_runs_withdraws_what_is_under_way(void **state)
{
	struct update_event ev = event(EV_WANTED);

	ev.target = old;
	for (enum update_state u = UPDATE_OFFERED; u <= UPDATE_STAGED; u++) {
		struct state s = at(u);
		struct update_step step = update_apply(&s, &ev);

		assert_true(step.report);
		assert_int_equal(s.update, UPDATE_IDLE);
		assert_int_equal(step.act, u == UPDATE_FETCHING ? ACT_STOP_FETCH : ACT_NOTHING);
	}
}

static void another_rollout_of_the_release_under_way_only_changes_its_name(void **state)
{
	struct update_event ev = event(EV_WANTED);

	ev.rollout = "r2";
	for (enum update_state u = UPDATE_OFFERED; u <= UPDATE_STAGED; u++) {
		struct state s = at(u);
		struct update_step step = update_apply(&s, &ev);

		assert_true(step.changed);
		assert_int_equal(step.act, ACT_NOTHING);
		assert_int_equal(s.update, u);
		assert_string_equal(s.rollout, "r2");
	}
}

static void a_first_installation_has_nothing_to_go_back_to(void **state)
{
	struct state s;

	state_init(&s);
	apply(&s, EV_WANTED);
	apply(&s, EV_MAY_FETCH);
	assert_int_equal(s.target_slot, SLOT_A);
	apply(&s, EV_FETCHED);
	apply(&s, EV_MAY_INSTALL);
	apply(&s, EV_TRIAL_BOOT);
	struct state good = s;
	apply(&good, EV_HEALTHY);
	assert_int_equal(good.active, SLOT_A);
	apply(&s, EV_UNHEALTHY);
	assert_int_equal(s.update, UPDATE_ROLLED_BACK);
	assert_int_equal(update_boot_slot(&s), SLOT_NONE);
}

static void a_damaged_slot_falls_back_to_the_other_and_is_repaired(void **state)
{
	struct state s = at(UPDATE_CONFIRMED);

	apply(&s, EV_ACKED);
	s.floor = 1;
	struct update_step step = apply(&s, EV_ACTIVE_BAD);
	assert_true(step.report);
	assert_int_equal(step.act, ACT_BOOT_ACTIVE);
	assert_int_equal(s.active, SLOT_A);
	assert_int_equal(s.slot_flags[SLOT_B], SLOT_BAD);
	/* The server still wants it, under the same rollout. */
	assert_true(apply(&s, EV_WANTED).changed);
	apply(&s, EV_MAY_FETCH);
	assert_int_equal(s.target_slot, SLOT_B);
}

static void a_damaged_slot_never_falls_back_below_the_floor_or_to_a_bad_one(void **state)
{
	struct state s = at(UPDATE_CONFIRMED); /* floor 2, slot A has 1 */

	assert_false(update_can_fall_back(&s));
	struct update_step step = apply(&s, EV_ACTIVE_BAD);
	assert_int_equal(step.act, ACT_NOTHING);
	assert_int_equal(s.active, SLOT_NONE);
	/* It is repaired in place, where most of it still is. */
	apply(&s, EV_WANTED);
	apply(&s, EV_MAY_FETCH);
	assert_int_equal(s.target_slot, SLOT_B);

	s = at(UPDATE_ROLLED_BACK);
	assert_false(update_can_fall_back(&s));
	apply(&s, EV_ACTIVE_BAD);
	assert_int_equal(s.active, SLOT_NONE);
}

static void a_damaged_slot_hands_over_to_a_staged_release(void **state)
{
	struct state s = at(UPDATE_STAGED);
	struct update_step step = apply(&s, EV_ACTIVE_BAD);

	assert_int_equal(step.act, ACT_BOOT_TRIAL);
	assert_int_equal(s.update, UPDATE_TRIAL);
	assert_int_equal(s.target_slot, SLOT_B);
}

/* The record after an event, every byte of it, and what the caller is told. */
static void writes(const struct state *from, const struct update_event *ev,
		   const struct state *want, bool report, enum update_act act)
{
	uint8_t raw[STATE_SIZE], raw_want[STATE_SIZE];
	struct state s = *from;
	struct update_step step = update_apply(&s, ev);

	assert_true(step.changed);
	assert_int_equal(step.report, report);
	assert_int_equal(step.act, act);
	state_encode(raw, &s);
	state_encode(raw_want, want);
	assert_memory_equal(raw, raw_want, sizeof(raw));
}

static struct state reason_is(struct state s, const char *text)
{
	snprintf(s.reason, sizeof(s.reason), "%s", text);
	return s;
}

static struct state no_target(struct state s, enum update_state u)
{
	s.update = u;
	s.deadline_s = 0;
	s.target = (struct release_id){ "" };
	s.target_slot = SLOT_NONE;
	memset(s.rollout, 0, sizeof(s.rollout));
	s.failures = s.tries_left = 0;
	return s;
}

static void an_offer_forgets_all_of_the_update_before_it(void **state)
{
	struct update_event ev = event(EV_WANTED);

	ev.target = third;
	for (enum update_state u = 0; u < UPDATE_STATES; u++) {
		if (u == UPDATE_TRIAL)
			continue;
		struct state s = reason_is(at(u), "of before");
		s.failures = K - 1;
		s.report_event = 7;
		struct state want = no_target(s, UPDATE_OFFERED);
		want.reason[0] = '\0';
		want.report_event = 0;
		want.deadline_s = NOW + UPDATE_OFFERED_S;
		want.target = third;
		memcpy(want.rollout, "r1", 3);
		writes(&s, &ev, &want, false,
		       u == UPDATE_FETCHING ? ACT_STOP_FETCH : ACT_NOTHING);
	}
}

static void a_withdrawn_update_leaves_its_slot_and_the_word_why(void **state)
{
	struct update_event ev = event(EV_UNWANTED);

	for (enum update_state u = UPDATE_OFFERED; u <= UPDATE_STAGED; u++) {
		struct state s = at(u);
		s.failures = K - 1;
		struct state want = reason_is(no_target(s, UPDATE_IDLE), "no longer wanted");
		writes(&s, &ev, &want, true,
		       u == UPDATE_FETCHING ? ACT_STOP_FETCH : ACT_NOTHING);
	}
}

/* Power may fail in the middle of the first write: nobody may then take the slot for what it was. */
static void a_download_takes_the_name_and_the_flags_from_its_slot_first(void **state)
{
	static const uint8_t flags[] = { SLOT_WHOLE, SLOT_WHOLE | SLOT_BAD, SLOT_BAD };
	struct update_event ev = event(EV_MAY_FETCH);

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct state s = at(UPDATE_OFFERED);
		s.slot[SLOT_B] = third;
		s.slot_flags[SLOT_B] = flags[i];
		struct state want = s;
		want.update = UPDATE_FETCHING;
		want.deadline_s = NOW + UPDATE_FETCHING_S;
		want.target_slot = SLOT_B;
		want.slot[SLOT_B] = new;
		want.slot_flags[SLOT_B] = 0;
		writes(&s, &ev, &want, false, ACT_NOTHING);
	}
}

static void what_is_staged_is_whole_and_its_failures_are_forgotten(void **state)
{
	struct update_event ev = event(EV_FETCHED);
	struct state s = at(UPDATE_FETCHING);
	s.failures = K - 1;
	struct state want = s;
	want.update = UPDATE_STAGED;
	want.deadline_s = NOW + UPDATE_STAGED_S;
	want.slot_flags[SLOT_B] = SLOT_WHOLE;
	want.failures = 0;
	writes(&s, &ev, &want, true, ACT_NOTHING);
}

static void a_trial_begins_with_all_its_tries_and_the_server_hears_of_it(void **state)
{
	struct update_event ev = event(EV_MAY_INSTALL);
	struct state s = at(UPDATE_STAGED);
	struct state want = s;
	want.update = UPDATE_TRIAL;
	want.deadline_s = NOW + UPDATE_TRIAL_S;
	want.tries_left = UPDATE_TRIES;
	writes(&s, &ev, &want, true, ACT_BOOT_TRIAL);

	/* The same when what runs is damaged, which then is nothing to go back to. */
	ev = event(EV_ACTIVE_BAD);
	want = reason_is(want, "the reason");
	want.active = SLOT_NONE;
	want.slot_flags[SLOT_A] = SLOT_BAD;
	writes(&s, &ev, &want, true, ACT_BOOT_TRIAL);
}

static void an_end_of_a_trial_keeps_what_was_wanted_until_the_server_knows(void **state)
{
	struct update_event ev = event(EV_HEALTHY);
	struct state s = reason_is(at(UPDATE_TRIAL), "of before");
	struct state want = reason_is(s, "");
	want.update = UPDATE_CONFIRMED;
	want.deadline_s = 0;
	want.tries_left = 0;
	want.target_slot = SLOT_NONE;
	want.active = SLOT_B;
	want.floor = 2;
	writes(&s, &ev, &want, true, ACT_NOTHING);

	struct state acked = no_target(want, UPDATE_IDLE);
	ev = event(EV_ACKED);
	writes(&want, &ev, &acked, false, ACT_NOTHING);

	want = reason_is(s, "the reason");
	want.update = UPDATE_ROLLED_BACK;
	want.deadline_s = 0;
	want.tries_left = 0;
	want.target_slot = SLOT_NONE;
	want.slot_flags[SLOT_B] = SLOT_WHOLE | SLOT_BAD;
	ev = event(EV_UNHEALTHY);
	writes(&s, &ev, &want, true, ACT_BOOT_ACTIVE);
}

static void a_damaged_slot_ends_no_update_that_is_under_way(void **state)
{
	struct update_event ev = event(EV_ACTIVE_BAD);

	for (enum update_state u = 0; u < UPDATE_STATES; u++) {
		if (u == UPDATE_STAGED || u == UPDATE_TRIAL)
			continue;
		bool under_way = u == UPDATE_OFFERED || u == UPDATE_FETCHING;
		struct state s = at(u);
		uint8_t damaged = s.active;
		bool whole = u == UPDATE_CONFIRMED;
		s.floor = 1;
		struct state want =
			reason_is(under_way ? s : no_target(s, UPDATE_IDLE), "the reason");
		want.slot_flags[damaged] = SLOT_BAD;
		want.active = whole ? slot_other(damaged) : SLOT_NONE;
		writes(&s, &ev, &want, true, whole ? ACT_BOOT_ACTIVE : ACT_NOTHING);
	}
}

static void only_a_whole_named_slot_that_is_not_being_replaced_is_fallen_back_to(void **state)
{
	struct state s = at(UPDATE_IDLE);

	s.slot[SLOT_B] = new;
	s.slot_flags[SLOT_B] = SLOT_WHOLE;
	assert_true(update_can_fall_back(&s));
	s.active = SLOT_NONE;
	assert_false(update_can_fall_back(&s));
	s.active = SLOT_A;
	s.slot[SLOT_B] = (struct release_id){ .product = "", .security_version = 2 };
	assert_false(update_can_fall_back(&s));
	s = at(UPDATE_STAGED); /* the other one is whole, but was never healthy */
	assert_false(update_can_fall_back(&s));
}

static void without_an_active_slot_none_is_found_damaged(void **state)
{
	struct state s;

	state_init(&s);
	struct state before = s;
	assert_false(apply(&s, EV_ACTIVE_BAD).changed);
	assert_memory_equal(&s, &before, sizeof(s));
}

/* It goes to the server and to `status`, as text. */
static void a_reason_that_is_cut_stays_text(void **state)
{
	char text[2 * STATE_REASON] = "x";
	struct state s = at(UPDATE_TRIAL);
	struct update_event ev = event(EV_UNHEALTHY);

	for (size_t i = 1; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	ev.text = text;
	assert_true(update_apply(&s, &ev).report);
	assert_int_equal(s.update, UPDATE_ROLLED_BACK);
	for (size_t i = 0, n = strlen(s.reason); i < n;) {
		size_t len = text_char(s.reason + i, n - i);

		assert_int_not_equal(len, 0);
		i += len;
	}
}

static void random_histories_never_leave_the_record_impossible(void **state)
{
	uint64_t x = 88172645463325252u;
	struct state s;
	struct err e;

	state_init(&s);
	for (unsigned i = 0; i < 200000; i++) {
		static const struct release_id *const targets[] = { &old, &new, &third };
		static const char *const rollouts[] = { "r1", "r2" };
		uint8_t raw[STATE_SIZE];
		struct state back;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		struct update_event ev = event((enum update_event_kind)(x % EV_KINDS));
		ev.target = *targets[x >> 8 & 1 ? 0 : (x >> 9) % 3];
		ev.rollout = rollouts[x >> 16 & 1];
		ev.now_s = NOW + i;
		ev.code = x >> 17 & 1 ? E_CORRUPT : E_NETWORK;
		uint64_t floor = s.floor;
		update_apply(&s, &ev);
		assert_true(s.floor >= floor);
		state_encode(raw, &s);
		assert_ok(state_parse(&back, raw, sizeof(raw), &e), &e);
		/* What would boot is whole, and nothing is written to what runs. */
		uint8_t slot = update_boot_slot(&s);
		if (slot != SLOT_NONE)
			assert_int_equal(s.slot_flags[slot], SLOT_WHOLE);
		if (s.update == UPDATE_FETCHING)
			assert_true(s.target_slot != s.active && s.target_slot < SLOTS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_answers_every_event_as_the_table_says),
		cmocka_unit_test(every_state_in_flight_has_a_deadline_and_a_next_step),
		cmocka_unit_test(a_good_update_swaps_raises_the_floor_and_keeps_the_old_slot),
		cmocka_unit_test(an_unhealthy_trial_goes_back_and_is_not_tried_again),
		cmocka_unit_test(boots_cut_short_use_up_the_tries),
		cmocka_unit_test(a_planned_stop_of_a_trial_is_not_a_failed_boot),
		cmocka_unit_test(k_failures_stop_and_report),
		cmocka_unit_test(a_final_error_stops_at_once_and_a_temporary_one_never),
		cmocka_unit_test(another_release_replaces_the_one_under_way_but_not_a_trial),
		cmocka_unit_test(wanting_what_runs_withdraws_what_is_under_way),
		cmocka_unit_test(
			another_rollout_of_the_release_under_way_only_changes_its_name),
		cmocka_unit_test(a_first_installation_has_nothing_to_go_back_to),
		cmocka_unit_test(a_damaged_slot_falls_back_to_the_other_and_is_repaired),
		cmocka_unit_test(
			a_damaged_slot_never_falls_back_below_the_floor_or_to_a_bad_one),
		cmocka_unit_test(a_damaged_slot_hands_over_to_a_staged_release),
		cmocka_unit_test(an_offer_forgets_all_of_the_update_before_it),
		cmocka_unit_test(a_withdrawn_update_leaves_its_slot_and_the_word_why),
		cmocka_unit_test(a_download_takes_the_name_and_the_flags_from_its_slot_first),
		cmocka_unit_test(what_is_staged_is_whole_and_its_failures_are_forgotten),
		cmocka_unit_test(a_trial_begins_with_all_its_tries_and_the_server_hears_of_it),
		cmocka_unit_test(
			an_end_of_a_trial_keeps_what_was_wanted_until_the_server_knows),
		cmocka_unit_test(a_damaged_slot_ends_no_update_that_is_under_way),
		cmocka_unit_test(
			only_a_whole_named_slot_that_is_not_being_replaced_is_fallen_back_to),
		cmocka_unit_test(without_an_active_slot_none_is_found_damaged),
		cmocka_unit_test(a_reason_that_is_cut_stays_text),
		cmocka_unit_test(random_histories_never_leave_the_record_impossible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
