#include "tests/unit/storage/fixture.h"

enum { DAY_S = 86400 };

/* Of the handset, from its key now to the one of this number. */
static struct rotation rotation_of(const struct handset *h, const uint8_t *old, unsigned number)
{
	struct rotation r = { .n_before = 0 };
	struct handset next;

	handset_make(&next, number);
	memcpy(r.device, h->id, sizeof(r.device));
	memcpy(r.now.old, old, sizeof(r.now.old));
	memcpy(r.now.identity, next.identity, sizeof(r.now.identity));
	memset(r.now.sealing, (int)number, sizeof(r.now.sealing));
	return r;
}

static bool rotate(struct store *s, const struct rotation *r)
{
	bool changed;
	struct err e;

	assert_ok(devices_rotate_key(s, r, &changed, &e), &e);
	return changed;
}

static void refused(struct store *s, const struct rotation *r, enum err_code code)
{
	bool changed = true;
	struct err e;

	assert_fails(devices_rotate_key(s, r, &changed, &e), &e, code);
	assert_true(changed);
}

static struct device_row row_of(struct store *s, const struct handset *h)
{
	CLEANUP(device_full_done) struct device_full d = { 0 };
	struct err e;

	assert_ok(devices_get(s, h->id, &d, &e), &e);
	return d.row;
}

static size_t audited(struct store *s, const char *verb, struct audit_row *ret_last)
{
	CLEANUP(audit_page_done) struct audit_page page = { 0 };
	size_t n = 0;
	struct err e;

	assert_ok(audit_list(s, 0, 0, &page, &e), &e);
	for (size_t i = 0; i < page.n; i++) {
		if (strcmp(page.items[i].verb, verb) != 0)
			continue;
		*ret_last = page.items[i];
		n++;
	}
	return n;
}

static void new_keys_come_and_the_device_stays(void **state)
{
	FIXTURE(f, state);
	char was[FINGERPRINT_SIZE], is[FINGERPRINT_SIZE], detail[64];
	struct device_stamp before, after;
	struct audit_row audit;
	struct handset a;
	struct rotation r;
	uint8_t key[DEVICE_KEY_SIZE];
	bool found;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	enrol(f.s, &a, 1, "sales");
	roll_out(f.s, "phone", "1.0", TARGET_DEVICE, a.id);
	assert_int_equal(row_of(f.s, &a).key_since, NOW);
	assert_int_equal(row_of(f.s, &a).key_changes, 0);
	assert_ok(devices_former_key(f.s, checkin_of(f.s, &a).number, key, &found, &e), &e);
	assert_false(found);
	f.clock.now_s += 100;
	devices_stamp(f.s, a.id, &before);
	r = rotation_of(&a, a.identity, 2);
	assert_true(rotate(f.s, &r));
	/* Whoever kept its row reads it anew. */
	devices_stamp(f.s, a.id, &after);
	assert_int_not_equal(before.own, after.own);
	assert_memory_equal(checkin_of(f.s, &a).identity, r.now.identity, DEVICE_KEY_SIZE);
	assert_memory_equal(checkin_of(f.s, &a).sealing, r.now.sealing, DEVICE_KEY_SIZE);
	assert_int_equal(row_of(f.s, &a).key_since, NOW + 100);
	assert_int_equal(row_of(f.s, &a).key_changes, 1);
	assert_ok(devices_former_key(f.s, checkin_of(f.s, &a).number, key, &found, &e), &e);
	assert_true(found);
	assert_memory_equal(key, a.identity, sizeof(key));
	/* What names it by its id still does. */
	assert_string_equal(plan_of(f.s, &a).version, "1.0");
	assert_string_equal(row_of(f.s, &a).groups[0], "sales");
	assert_int_equal(audited(f.s, "device.rotate_key", &audit), 1);
	fingerprint_of(was, a.identity, a.sealing);
	fingerprint_of(is, r.now.identity, r.now.sealing);
	snprintf(detail, sizeof(detail), "%s after %s", is, was);
	assert_string_equal(audit.subject, a.id);
	assert_string_equal(audit.detail, detail);
	assert_true(strncmp(audit.actor, "device:", 7) == 0);
	assert_string_equal(audit.actor + 7, a.id);
}

static void the_same_change_again_is_quietly_done(void **state)
{
	FIXTURE(f, state);
	struct audit_row audit;
	struct handset a;
	struct rotation r, other;

	enrol(f.s, &a, 1, NULL);
	r = rotation_of(&a, a.identity, 2);
	assert_true(rotate(f.s, &r));
	f.clock.now_s += 100;
	assert_false(rotate(f.s, &r));
	fixture_reopen(&f);
	assert_false(rotate(f.s, &r));
	assert_int_equal(row_of(f.s, &a).key_since, NOW);
	assert_int_equal(row_of(f.s, &a).key_changes, 1);
	assert_int_equal(audited(f.s, "device.rotate_key", &audit), 1);
	/* The same key, but not the same change. */
	other = r;
	other.now.sealing[0] ^= 1;
	refused(f.s, &other, E_CONFLICT);
	other = r;
	other.now.old[0] ^= 1;
	refused(f.s, &other, E_CONFLICT);
}

static void a_first_key_is_no_change(void **state)
{
	FIXTURE(f, state);
	struct handset a;
	struct rotation r;

	enrol(f.s, &a, 1, NULL);
	r = rotation_of(&a, a.identity, 2);
	memcpy(r.now.identity, a.identity, sizeof(r.now.identity));
	memset(r.now.old, 1, sizeof(r.now.old));
	refused(f.s, &r, E_CONFLICT);
}

static void a_key_that_was_replaced_changes_nothing_any_more(void **state)
{
	FIXTURE(f, state);
	struct handset a;
	struct rotation first, second, late;

	enrol(f.s, &a, 1, NULL);
	first = rotation_of(&a, a.identity, 2);
	second = rotation_of(&a, first.now.identity, 3);
	assert_true(rotate(f.s, &first));
	late = rotation_of(&a, a.identity, 4);
	refused(f.s, &late, E_CONFLICT);
	assert_true(rotate(f.s, &second));
	/* Recorded, and played when it is long over. */
	refused(f.s, &first, E_CONFLICT);
	assert_memory_equal(checkin_of(f.s, &a).identity, second.now.identity, DEVICE_KEY_SIZE);
}

/* `later` with what came before it. */
static struct rotation after(const struct rotation *earlier, const struct rotation *later)
{
	struct rotation r = *earlier;

	rotation_keep(&r);
	r.now = later->now;
	return r;
}

static void a_device_is_told_of_several_changes_at_once(void **state)
{
	FIXTURE(f, state);
	struct rotation first, second, third;
	struct handset a, b;
	struct audit_row audit;

	enrol(f.s, &a, 1, NULL);
	enrol(f.s, &b, 9, NULL);
	first = rotation_of(&a, a.identity, 2);
	second = rotation_of(&a, first.now.identity, 3);
	second = after(&first, &second);
	third = rotation_of(&a, second.now.identity, 4);
	third = after(&second, &third);
	assert_true(rotate(f.s, &third));
	assert_memory_equal(checkin_of(f.s, &a).identity, third.now.identity, DEVICE_KEY_SIZE);
	assert_memory_equal(checkin_of(f.s, &a).sealing, third.now.sealing, DEVICE_KEY_SIZE);
	assert_int_equal(audited(f.s, "device.rotate_key", &audit), 3);
	assert_false(rotate(f.s, &third));
	/* Each key on the way is a former one. */
	refused(f.s, &second, E_CONFLICT);
	for (unsigned number = 1; number <= 4; number++) {
		struct rotation r = rotation_of(&b, b.identity, number);

		refused(f.s, &r, E_EXISTS);
	}
}

static void of_several_changes_only_the_missing_ones_are_done_or_none(void **state)
{
	FIXTURE(f, state);
	struct rotation first, second, third, bad;
	struct handset a, b;
	struct audit_row audit;

	enrol(f.s, &a, 1, NULL);
	enrol(f.s, &b, 9, NULL);
	first = rotation_of(&a, a.identity, 2);
	second = rotation_of(&a, first.now.identity, 3);
	second = after(&first, &second);
	assert_true(rotate(f.s, &first));
	bad = rotation_of(&a, second.now.identity, 9); /* another device's */
	bad = after(&second, &bad);
	refused(f.s, &bad, E_EXISTS);
	assert_memory_equal(checkin_of(f.s, &a).identity, first.now.identity, DEVICE_KEY_SIZE);
	third = rotation_of(&a, second.now.identity, 4);
	third = after(&second, &third);
	assert_true(rotate(f.s, &third));
	assert_int_equal(audited(f.s, "device.rotate_key", &audit), 3);
}

static void a_key_that_any_device_has_or_had_is_refused(void **state)
{
	FIXTURE(f, state);
	struct handset a, b, c;
	struct rotation r;

	enrol(f.s, &a, 1, NULL);
	enrol(f.s, &b, 2, NULL);
	enrol(f.s, &c, 5, NULL);
	r = rotation_of(&b, b.identity, 3);
	assert_true(rotate(f.s, &r));
	r = rotation_of(&a, a.identity, 3); /* b's present one */
	refused(f.s, &r, E_EXISTS);
	r = rotation_of(&a, a.identity, 2); /* b's former one */
	refused(f.s, &r, E_EXISTS);
	r = rotation_of(&a, a.identity, 5); /* one that never changed */
	refused(f.s, &r, E_EXISTS);
	r = rotation_of(&a, a.identity, 4);
	assert_true(rotate(f.s, &r));
	r = rotation_of(&a, r.now.identity, 1); /* its own former one */
	refused(f.s, &r, E_EXISTS);
}

static void only_devices_that_are_served_change_keys(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct handset a, b;
	struct rotation r;
	struct err e;

	handset_make(&a, 1);
	r = rotation_of(&a, a.identity, 3);
	refused(f.s, &r, E_NOT_FOUND);
	ticket_make(f.s, NULL, true, a.token);
	assert_ok(devices_enrol(f.s, &a.in, &got, &e), &e);
	refused(f.s, &r, E_DENIED);
	assert_ok(devices_approve(f.s, a.id, "token:k1", &e), &e);
	assert_true(rotate(f.s, &r));
	enrol(f.s, &b, 2, NULL);
	assert_ok(devices_revoke(f.s, b.id, NULL, "token:k1", &e), &e);
	r = rotation_of(&b, b.identity, 4);
	refused(f.s, &r, E_DENIED);
}

static void a_device_changes_keys_so_often_a_day_and_no_more(void **state)
{
	FIXTURE(f, state);
	struct handset a, b;
	struct rotation r;

	enrol(f.s, &a, 1, NULL);
	enrol(f.s, &b, 2, NULL);
	r = rotation_of(&a, a.identity, 100);
	assert_true(rotate(f.s, &r));
	for (unsigned i = 1; i < LIMIT_ROTATIONS_DAY; i++) {
		r = rotation_of(&a, r.now.identity, 100 + i);
		assert_true(rotate(f.s, &r));
	}
	struct rotation last = r;
	r = rotation_of(&a, r.now.identity, 200);
	refused(f.s, &r, E_RATE);
	assert_false(rotate(f.s, &last)); /* an answer that was lost is no change */
	struct rotation others = rotation_of(&b, b.identity, 201);
	assert_true(rotate(f.s, &others));
	f.clock.now_s += DAY_S;
	assert_true(rotate(f.s, &r));
}

static void enrolling_again_finds_the_device_by_its_present_key_only(void **state)
{
	FIXTURE(f, state);
	struct enrolled got;
	struct handset a, now;
	struct rotation r;
	struct err e;

	enrol(f.s, &a, 1, NULL);
	r = rotation_of(&a, a.identity, 2);
	assert_true(rotate(f.s, &r));
	handset_make(&now, 2);
	memcpy(now.sealing, r.now.sealing, sizeof(now.sealing));
	ticket_make(f.s, "lab", false, now.token);
	assert_ok(devices_enrol(f.s, &now.in, &got, &e), &e);
	assert_true(got.known);
	assert_string_equal(got.id, a.id);
	assert_string_equal(row_of(f.s, &a).groups[0], "lab");
	/* The keys are as old as they were. */
	assert_int_equal(row_of(f.s, &a).key_changes, 1);
	ticket_make(f.s, NULL, false, a.token);
	assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, "replaced"));
	memset(a.token, 0, sizeof(a.token)); /* also without any ticket */
	assert_fails(devices_enrol(f.s, &a.in, &got, &e), &e, E_DENIED);
}

/* ---- races ---- */

struct racer {
	struct store *s;
	struct rotation r;
	bool ok, changed;
	struct err e;
	pthread_t thread;
};

static void *run(void *arg)
{
	struct racer *x = arg;

	x->ok = devices_rotate_key(x->s, &x->r, &x->changed, &x->e);
	return NULL;
}

static void of_two_changes_in_a_race_one_wins(void **state)
{
	FIXTURE(f, state);
	struct racer x[4];
	struct handset a;
	unsigned won = 0;

	enrol(f.s, &a, 1, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(x); i++) {
		x[i] = (struct racer){ .s = f.s, .r = rotation_of(&a, a.identity, 10 + i) };
		assert_int_equal(pthread_create(&x[i].thread, NULL, run, &x[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(x); i++) {
		pthread_join(x[i].thread, NULL);
		if (!x[i].ok) {
			assert_int_equal(x[i].e.code, E_CONFLICT);
			continue;
		}
		won++;
		assert_memory_equal(checkin_of(f.s, &a).identity, x[i].r.now.identity,
				    DEVICE_KEY_SIZE);
	}
	assert_int_equal(won, 1);
	assert_int_equal(row_of(f.s, &a).key_changes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(new_keys_come_and_the_device_stays),
		TMPDIR_TEST(the_same_change_again_is_quietly_done),
		TMPDIR_TEST(a_first_key_is_no_change),
		TMPDIR_TEST(a_key_that_was_replaced_changes_nothing_any_more),
		TMPDIR_TEST(a_device_is_told_of_several_changes_at_once),
		TMPDIR_TEST(of_several_changes_only_the_missing_ones_are_done_or_none),
		TMPDIR_TEST(a_key_that_any_device_has_or_had_is_refused),
		TMPDIR_TEST(only_devices_that_are_served_change_keys),
		TMPDIR_TEST(a_device_changes_keys_so_often_a_day_and_no_more),
		TMPDIR_TEST(enrolling_again_finds_the_device_by_its_present_key_only),
		TMPDIR_TEST(of_two_changes_in_a_race_one_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
