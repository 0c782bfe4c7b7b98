#include "tests/support/unit.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/sha256.h"
#include "server/counters.h"

#include <fcntl.h>
#include <unistd.h>

static int open_file(void **state)
{
	int fd = openat(tmpdir_fd(state), "counters", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static uint64_t image(int fd, uint64_t above)
{
	struct counters c;
	struct err e;
	uint64_t n;

	assert_ok(counters_open(&c, fd, &e), &e);
	assert_ok(counters_image(&c, above, &n, &e), &e);
	return n;
}

static void numbers_never_repeat_also_over_restarts(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	uint64_t last = 0;

	for (int i = 0; i < 10; i++) {
		uint64_t n = image(fd, 0);

		assert_true(n > last);
		last = n;
	}
	assert_int_equal(last, 10); /* and none is left out without need */
}

static void director_numbers_rise_over_restarts_and_blocks(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	uint64_t last = 0, n;
	struct err e;

	for (int start = 0; start < 3; start++) {
		struct counters c;

		assert_ok(counters_open(&c, fd, &e), &e);
		for (int i = 0; i < COUNTERS_BLOCK + 5; i++) {
			assert_ok(counters_director(&c, 0, &n, &e), &e);
			assert_true(n > last);
			last = n;
		}
	}
}

static void two_processes_take_different_numbers(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	CLEANUP(fd_closep) int other = open_file(state);
	struct counters a, b;
	uint64_t from_a, from_b;
	struct err e;

	assert_ok(counters_open(&a, fd, &e), &e);
	assert_ok(counters_open(&b, other, &e), &e);
	for (int i = 0; i < 2000; i++) {
		assert_ok(counters_director(&a, 0, &from_a, &e), &e);
		assert_ok(counters_director(&b, 0, &from_b, &e), &e);
		assert_true(from_a != from_b);
	}
	assert_ok(counters_image(&a, 0, &from_a, &e), &e);
	assert_ok(counters_image(&b, 0, &from_b, &e), &e);
	assert_true(from_b > from_a);
}

static void numbers_pass_what_a_restored_database_has(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	struct counters c;
	uint64_t n;
	struct err e;

	assert_int_equal(image(fd, 5000), 5001);
	assert_int_equal(image(fd, 0), 5002);
	assert_ok(counters_open(&c, fd, &e), &e);
	assert_ok(counters_director(&c, 70000, &n, &e), &e);
	assert_int_equal(n, 70001);
	assert_ok(counters_director(&c, 70500, &n, &e), &e);
	assert_true(n > 70500);
}

static void a_new_file_follows_any_database(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	struct counters c;
	uint64_t n;
	struct err e;

	assert_int_equal(image(fd, COUNTERS_FIRST_MAX), COUNTERS_FIRST_MAX + 1);
	assert_ok(counters_open(&c, fd, &e), &e);
	assert_ok(counters_director(&c, COUNTERS_FIRST_MAX, &n, &e), &e);
	assert_int_equal(n, COUNTERS_FIRST_MAX + 1);
}

static void a_jump_that_would_use_numbers_up_is_refused(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	struct counters c;
	uint64_t n = 77;
	struct err e;

	assert_ok(counters_open(&c, fd, &e), &e);
	assert_fails(counters_image(&c, COUNTERS_FIRST_MAX + 1, &n, &e), &e, E_DENIED);
	assert_fails(counters_director(&c, UINT64_MAX, &n, &e), &e, E_DENIED);
	assert_int_equal(n, 77);
	assert_int_equal(image(fd, 0), 1); /* nothing was moved */
	assert_int_equal(image(fd, 1 + COUNTERS_JUMP_MAX), 2 + COUNTERS_JUMP_MAX);
	n = 77;
	assert_fails(counters_image(&c, 3 + 2 * COUNTERS_JUMP_MAX, &n, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, "remove it"));
	assert_int_equal(n, 77);
	assert_int_equal(image(fd, 0), 3 + COUNTERS_JUMP_MAX);
}

/* What a metadata version may be (2^53 - 1 in JSON) is never passed. */
static void the_last_numbers_are_not_given(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	uint8_t record[32] = "VCN1", sum[SHA256_SIZE];
	struct counters c;
	uint64_t n = 77;
	struct err e;

	put_le32(record + 4, 1);
	put_le64(record + 8, COUNTERS_MAX - 1);
	put_le64(record + 16, COUNTERS_MAX - COUNTERS_BLOCK + 1);
	sha256(sum, record, 24);
	memcpy(record + 24, sum, 8);
	assert_ok(pwrite_all(fd, record, sizeof(record), 0, &e), &e);
	assert_ok(counters_open(&c, fd, &e), &e);
	assert_fails(counters_director(&c, 0, &n, &e), &e, E_DENIED);
	assert_int_equal(image(fd, 0), COUNTERS_MAX);
	assert_fails(counters_image(&c, 0, &n, &e), &e, E_DENIED);
	assert_int_equal(n, 77);
}

static void a_write_torn_anywhere_leaves_the_old_number_or_the_new(void **state)
{
	uint8_t before[8192], after[8192], torn[8192];

	for (int round = 0; round < 4; round++) {
		CLEANUP(fd_closep) int fd = open_file(state);
		uint64_t old = image(fd, 0), next;
		size_t n = read_back_at(tmpdir_fd(state), "counters", before, sizeof(before)),
		       m;

		next = image(fd, 0);
		assert_int_equal(next, old + 1);
		m = read_back_at(tmpdir_fd(state), "counters", after, sizeof(after));
		for (size_t cut = 0; cut <= m;
		     cut += cut < 64 || (cut > 4090 && cut < 4140) ? 1 : 97) {
			/* Bytes up to the cut are new, the rest as before. */
			memset(torn, 0, sizeof(torn));
			memcpy(torn, before, n);
			memcpy(torn, after, cut);
			write_file_at(tmpdir_fd(state), "counters", torn, cut > n ? cut : n);
			CLEANUP(fd_closep) int again = open_file(state);
			/* The number after `old` may be given again: it was never durable.  Not `old`. */
			assert_true(image(again, 0) > old);
		}
		write_file_at(tmpdir_fd(state), "counters", after, m);
	}
}

static void two_damaged_copies_need_a_person(void **state)
{
	CLEANUP(fd_closep) int fd = open_file(state);
	uint8_t raw[8192];
	struct counters c;
	struct err e;
	size_t n;

	image(fd, 0);
	image(fd, 0);
	n = read_back_at(tmpdir_fd(state), "counters", raw, sizeof(raw));
	assert_true(n > 4096);
	flip_bit(raw, 64);
	write_file_at(tmpdir_fd(state), "counters", raw, n);
	CLEANUP(fd_closep) int one = open_file(state);
	assert_ok(counters_open(&c, one, &e),
		  &e); /* one damaged copy is what a power cut leaves */
	flip_bit(raw, (size_t)4096 * 8 + 64);
	write_file_at(tmpdir_fd(state), "counters", raw, n);
	CLEANUP(fd_closep) int two = open_file(state);
	assert_fails(counters_open(&c, two, &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.hint, "remove keys/counters"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(numbers_never_repeat_also_over_restarts),
		TMPDIR_TEST(director_numbers_rise_over_restarts_and_blocks),
		TMPDIR_TEST(two_processes_take_different_numbers),
		TMPDIR_TEST(numbers_pass_what_a_restored_database_has),
		TMPDIR_TEST(a_new_file_follows_any_database),
		TMPDIR_TEST(the_last_numbers_are_not_given),
		TMPDIR_TEST(a_jump_that_would_use_numbers_up_is_refused),
		TMPDIR_TEST(a_write_torn_anywhere_leaves_the_old_number_or_the_new),
		TMPDIR_TEST(two_damaged_copies_need_a_person),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
