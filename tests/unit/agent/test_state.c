#include "tests/support/unit.h"

#include "agent/state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct state sample(void)
{
	struct state s;

	state_init(&s);
	s.active = SLOT_A;
	s.target_slot = SLOT_B;
	s.update = UPDATE_TRIAL;
	s.tries_left = 2;
	s.failures = 1;
	s.slot_flags[SLOT_A] = s.slot_flags[SLOT_B] = SLOT_WHOLE;
	s.floor = 7;
	s.deadline_s = 1800000000;
	s.next_event = 42;
	s.report_event = 41;
	s.acked_event = 40;
	s.trusted_s = 1799999999;
	s.boot_ms = 123456;
	memset(s.boot_id, 0xb0, sizeof(s.boot_id));
	memset(s.time_keys, 0x71, sizeof(s.time_keys));
	s.slot[SLOT_A] = (struct release_id){ "acme-phone", "1.0.0", { 1 }, 7, 1 };
	s.slot[SLOT_B] = (struct release_id){ "acme-phone", "1.1.0", { 2 }, 8, 1 };
	s.target = s.slot[SLOT_B];
	/* The longest texts that fit fill their fields. */
	memset(s.rollout, 'r', LIMIT_NAME);
	s.rollout[LIMIT_NAME] = '\0';
	memset(s.reason, 'x', STATE_REASON);
	s.reason[STATE_REASON] = '\0';
	return s;
}

static void parse_gives_back_what_was_encoded(void **state)
{
	uint8_t raw[STATE_SIZE], again[STATE_SIZE];
	struct state s = sample(), back;
	struct err e;

	state_encode(raw, &s);
	assert_ok(state_parse(&back, raw, sizeof(raw), &e), &e);
	state_encode(again, &back);
	assert_memory_equal(raw, again, sizeof(raw));
	assert_int_equal(back.update, UPDATE_TRIAL);
	assert_string_equal(back.reason, s.reason);
	assert_string_equal(back.rollout, s.rollout);
	assert_string_equal(back.slot[SLOT_B].version, "1.1.0");
	assert_int_equal(back.floor, 7);
	assert_memory_equal(back.time_keys, s.time_keys, sizeof(s.time_keys));
}

static void parse_refuses_every_flipped_bit(void **state)
{
	struct state s = sample();

	for (size_t bit = 0; bit < STATE_SIZE * 8; bit++) {
		uint8_t raw[STATE_SIZE];
		struct state back = { .floor = 99 };
		struct err e;

		state_encode(raw, &s);
		flip_bit(raw, bit);
		assert_false(state_parse(&back, raw, sizeof(raw), &e));
		assert_int_equal(back.floor, 99); /* untouched */
	}
}

static void parse_refuses_impossible_fields_with_a_right_checksum(void **state)
{
	struct state s[11], back;
	uint8_t raw[STATE_SIZE];
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		s[i] = sample();
	s[0].active = 2;
	s[1].target_slot = 3;
	s[2].update = UPDATE_STATES;
	s[3].target_slot = s[3].active;
	s[4].slot_flags[SLOT_B] = 4;
	s[5].slot[SLOT_A] = (struct release_id){ "" }; /* the active one */
	s[6].target = (struct release_id){ "" };       /* of a trial */
	s[7].next_event = 0;
	s[8].trusted_s = -1;
	s[9].target_slot = SLOT_NONE; /* of a trial */
	s[10].update = UPDATE_IDLE;   /* with a slot being filled */
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		state_encode(raw, &s[i]);
		assert_fails(state_parse(&back, raw, sizeof(raw), &e), &e, E_FORMAT);
	}
	s[0] = sample();
	memcpy(s[0].slot[SLOT_B].version, "../x", 5);
	state_encode(raw, &s[0]);
	assert_fails(state_parse(&back, raw, sizeof(raw), &e), &e, E_FORMAT);
}

/* As a later version may write them: the checksum is right. */
static void seal(uint8_t raw[static STATE_SIZE])
{
	sha256(raw + STATE_SIZE - SHA256_SIZE, raw, STATE_SIZE - SHA256_SIZE);
}

static void parse_refuses_other_magic_and_anything_where_zeros_belong(void **state)
{
	/* magic, reserved 4, reserved after the flags, behind a product, a release, a reason, the record */
	static const size_t at[] = { 0, 4, 23, 128 + 20, 128 + 176, 768 + 20, 990 };
	struct state s = sample(), back;
	uint8_t raw[STATE_SIZE];
	struct err e;

	s.reason[10] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		state_encode(raw, &s);
		raw[at[i]]++;
		seal(raw);
		assert_fails(state_parse(&back, raw, sizeof(raw), &e), &e, E_FORMAT);
	}
	state_encode(raw, &s);
	seal(raw);
	assert_ok(state_parse(&back, raw, sizeof(raw), &e), &e);
}

static void parse_takes_a_record_of_the_exact_size_only(void **state)
{
	struct state s = sample(), back;
	uint8_t raw[STATE_SIZE + 1] = { 0 };
	struct err e;

	state_encode(raw, &s);
	assert_fails(state_parse(&back, raw, STATE_SIZE - 1, &e), &e, E_FORMAT);
	assert_fails(state_parse(&back, raw, STATE_SIZE + 1, &e), &e, E_FORMAT);
}

static void parse_takes_fields_at_their_bounds_and_refuses_them_beyond(void **state)
{
	struct state s = sample(), back;
	uint8_t raw[STATE_SIZE];
	struct err e;

	s.tries_left = STATE_TRIES_MAX;
	state_encode(raw, &s);
	assert_ok(state_parse(&back, raw, sizeof(raw), &e), &e);
	s.tries_left++;
	state_encode(raw, &s);
	assert_fails(state_parse(&back, raw, sizeof(raw), &e), &e, E_FORMAT);

	s = sample();
	s.target_slot = SLOT_NONE;
	s.update = UPDATE_STATES;
	state_encode(raw, &s);
	assert_fails(state_parse(&back, raw, sizeof(raw), &e), &e, E_FORMAT);

	/* The first of the states that are about something. */
	s.update = UPDATE_OFFERED;
	state_encode(raw, &s);
	assert_ok(state_parse(&back, raw, sizeof(raw), &e), &e);
	s.target = (struct release_id){ "" };
	state_encode(raw, &s);
	assert_fails(state_parse(&back, raw, sizeof(raw), &e), &e, E_FORMAT);
}

static void nothing_installed_has_no_text(void **state)
{
	struct release_id none = { "" }, one = sample().target;

	assert_string_equal(release_id_text(&none).s, "");
	assert_string_equal(release_id_text(&one).s, "acme-phone/1.1.0");
}

static void load_tells_a_new_handset_from_a_damaged_one(void **state)
{
	int dirfd = tmpdir_fd(state);
	struct state s;
	struct err e;

	assert_fails(state_load(&s, dirfd, &e), &e, E_NOT_FOUND);
	write_file_at(dirfd, "commit.1", "junk", 4);
	assert_fails(state_load(&s, dirfd, &e), &e, E_FORMAT);
	write_file_at(dirfd, "commit.0", "junk", 4);
	assert_fails(state_load(&s, dirfd, &e), &e, E_FORMAT);
	assert_string_equal(e.text,
			    "no good state record: commit.0: no state record in 4 bytes");
}

static void load_survives_a_write_torn_anywhere(void **state)
{
	int dirfd = tmpdir_fd(state);
	uint8_t old[STATE_SIZE], new[STATE_SIZE];
	struct state s = sample();
	struct err e;

	s.generation = 5;
	s.active = SLOT_A;
	state_encode(old, &s);
	write_file_at(dirfd, "commit.0", old, sizeof(old));
	s.generation = 6;
	s.active = SLOT_B;
	s.target_slot = SLOT_NONE;
	s.update = UPDATE_CONFIRMED;
	state_encode(new, &s);
	/* Torn over an older copy: the beginning is new, the end still old. */
	for (size_t cut = 0; cut <= STATE_SIZE; cut++) {
		uint8_t torn[STATE_SIZE];

		memset(torn, 0xff, sizeof(torn));
		memcpy(torn, new, cut);
		write_file_at(dirfd, "commit.1", torn, sizeof(torn));
		assert_ok(state_load(&s, dirfd, &e), &e);
		assert_int_equal(s.active, cut == STATE_SIZE ? SLOT_B : SLOT_A);
	}
}

struct saver {
	int dirfd;
	struct state s;
};

static void save_once(void *ctx)
{
	struct saver *w = ctx;
	struct err e;

	w->s.floor++;
	if (!state_save(&w->s, w->dirfd, &e))
		abort();
}

static void a_power_cut_while_saving_leaves_the_old_or_the_new_record(void **state)
{
	struct saver w = { .dirfd = tmpdir_fd(state), .s = sample() };
	struct err e;

	assert_ok(state_save(&w.s, w.dirfd, &e), &e);
	assert_ok(state_save(&w.s, w.dirfd, &e), &e);
	unsigned n = 1;
	for (; fault_power_cut(n, save_once, &w); n++) {
		struct state got;

		assert_ok(state_load(&got, w.dirfd, &e), &e);
		assert_true(got.floor == w.s.floor || got.floor == w.s.floor + 1);
		w.s = got;
	}
	assert_true(n > 2); /* a write and an fsync at least */
}

static void the_first_save_can_be_cut_anywhere_too(void **state)
{
	struct saver w = { .dirfd = tmpdir_fd(state), .s = sample() };
	struct err e;

	for (unsigned n = 1; fault_power_cut(n, save_once, &w); n++) {
		struct state got;

		if (!state_load(&got, w.dirfd, &e))
			assert_int_equal(e.code, E_NOT_FOUND);
	}
}

static void saving_alternates_between_the_copies(void **state)
{
	int dirfd = tmpdir_fd(state);
	uint8_t raw[2][STATE_SIZE];
	struct state s = sample(), copy[2];
	struct err e;

	for (unsigned i = 0; i < 5; i++)
		assert_ok(state_save(&s, dirfd, &e), &e);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(read_back_at(dirfd, i ? "commit.1" : "commit.0", raw[i],
					      STATE_SIZE),
				 STATE_SIZE);
		assert_ok(state_parse(&copy[i], raw[i], STATE_SIZE, &e), &e);
	}
	assert_int_equal(s.generation, 5);
	assert_int_equal(copy[0].generation + copy[1].generation, 4 + 5);
}

static void a_full_disk_does_not_stop_a_save(void **state)
{
	int dirfd = tmpdir_fd(state);
	struct state s = sample();
	struct err e;
	uint8_t raw[2 * STATE_SIZE];

	assert_ok(state_save(&s, dirfd, &e), &e);
	assert_ok(state_save(&s, dirfd, &e), &e);
	size_t before = read_back_at(dirfd, "commit.0", raw, sizeof(raw));
	unsigned files = count_files_at(dirfd);
	for (unsigned i = 0; i < 4; i++)
		assert_ok(state_save(&s, dirfd, &e), &e);
	size_t after = read_back_at(dirfd, "commit.0", raw, sizeof(raw));
	/* Overwritten in place: no new file, no growth. */
	assert_int_equal(before, after);
	assert_int_equal(files, count_files_at(dirfd));
}

static void a_failed_save_leaves_a_record_to_load(void **state)
{
	int dirfd = tmpdir_fd(state);
	struct state s = sample(), got;
	struct err e;

	assert_ok(state_save(&s, dirfd, &e), &e);
	assert_ok(state_save(&s, dirfd, &e), &e);
	FAULT_EACH(n, FAULT_WRITE) {
		uint64_t before = s.generation;

		if (!state_save(&s, dirfd, &e)) {
			assert_int_equal(s.generation, before);
			assert_int_equal(e.code, E_NO_SPACE);
		}
		assert_ok(state_load(&got, dirfd, &e), &e);
		assert_int_equal(got.generation, s.generation);
	}
	FAULT_EACH(n, FAULT_SYNC) {
		bool ok = state_save(&s, dirfd, &e);
		struct err ignored;

		assert_ok(state_load(&got, dirfd, &ignored), &ignored);
		assert_true(ok ? got.generation == s.generation
			       : got.generation - s.generation <= 1);
	}
}

static void a_pipe_in_place_of_a_copy_is_replaced_by_one(void **state)
{
	int dirfd = tmpdir_fd(state);
	struct state s = sample(), got;
	struct stat st;
	struct err e;

	assert_ok(state_save(&s, dirfd, &e), &e);
	assert_int_equal(mkfifoat(dirfd, "commit.1", 0600), 0);
	assert_ok(state_load(&got, dirfd, &e), &e);
	assert_ok(state_save(&s, dirfd, &e), &e);
	assert_ok(state_load(&got, dirfd, &e), &e);
	assert_int_equal(got.generation, s.generation);
	assert_int_equal(fstatat(dirfd, "commit.1", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_gives_back_what_was_encoded),
		cmocka_unit_test(parse_refuses_every_flipped_bit),
		cmocka_unit_test(parse_refuses_impossible_fields_with_a_right_checksum),
		cmocka_unit_test(parse_refuses_other_magic_and_anything_where_zeros_belong),
		cmocka_unit_test(parse_takes_a_record_of_the_exact_size_only),
		cmocka_unit_test(parse_takes_fields_at_their_bounds_and_refuses_them_beyond),
		cmocka_unit_test(nothing_installed_has_no_text),
		TMPDIR_TEST(load_tells_a_new_handset_from_a_damaged_one),
		TMPDIR_TEST(load_survives_a_write_torn_anywhere),
		TMPDIR_TEST(a_power_cut_while_saving_leaves_the_old_or_the_new_record),
		TMPDIR_TEST(the_first_save_can_be_cut_anywhere_too),
		TMPDIR_TEST(saving_alternates_between_the_copies),
		TMPDIR_TEST(a_full_disk_does_not_stop_a_save),
		TMPDIR_TEST(a_failed_save_leaves_a_record_to_load),
		TMPDIR_TEST(a_pipe_in_place_of_a_copy_is_replaced_by_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
