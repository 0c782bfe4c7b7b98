#include "tests/support/unit.h"

#include "hypervisor/lines.h"

#include <fcntl.h>
#include <unistd.h>

static int ours, theirs;

static int open_pipe(void **state UNUSED)
{
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
		return -1;
	ours = fds[0];
	theirs = fds[1];
	return 0;
}

static int close_pipe(void **state UNUSED)
{
	close(ours);
	if (theirs >= 0)
		close(theirs);
	return 0;
}

static void put(const char *s)
{
	assert_int_equal(write(theirs, s, strlen(s)), strlen(s));
}

static void expect(struct lines *l, const char *wanted)
{
	const char *line;
	size_t n;

	assert_true(lines_next(l, &line, &n));
	assert_string_equal(line, wanted);
	assert_int_equal(n, strlen(wanted));
}

static void expect_none(struct lines *l)
{
	const char *line;
	size_t n;

	assert_false(lines_next(l, &line, &n));
}

static void lines_come_whole_whatever_the_pieces(void **state UNUSED)
{
	CLEANUP(lines_done) struct lines l;

	lines_init(&l, 64);
	put("one\ntw");
	assert_int_equal(lines_fill(&l, ours), LINES_MORE);
	expect(&l, "one");
	expect_none(&l);
	put("o\n\nthree\n");
	assert_int_equal(lines_fill(&l, ours), LINES_MORE);
	expect(&l, "two");
	expect(&l, "");
	expect(&l, "three");
	expect_none(&l);
}

static void a_line_over_the_limit_is_skipped_and_the_next_one_read(void **state UNUSED)
{
	CLEANUP(lines_done) struct lines l;

	lines_init(&l, 8);
	put("0123456789012345678901234\nok\n");
	for (int i = 0; i < 8; i++)
		assert_int_equal(lines_fill(&l, ours), LINES_MORE);
	expect(&l, "ok");
	expect_none(&l);
}

static void a_line_of_just_the_limit_is_read(void **state UNUSED)
{
	CLEANUP(lines_done) struct lines l;

	lines_init(&l, 8);
	put("1234567\nx\n");
	assert_int_equal(lines_fill(&l, ours), LINES_MORE);
	expect(&l, "1234567");
	assert_int_equal(lines_fill(&l, ours), LINES_MORE);
	expect(&l, "x");
}

static void the_end_is_told_and_half_a_line_is_none(void **state UNUSED)
{
	CLEANUP(lines_done) struct lines l;

	lines_init(&l, 64);
	put("half");
	close(theirs);
	theirs = -1;
	assert_int_equal(lines_fill(&l, ours), LINES_MORE);
	assert_int_equal(lines_fill(&l, ours), LINES_EOF);
	expect_none(&l);
}

#define PIPE_TEST(f) cmocka_unit_test_setup_teardown(f, open_pipe, close_pipe)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PIPE_TEST(lines_come_whole_whatever_the_pieces),
		PIPE_TEST(a_line_over_the_limit_is_skipped_and_the_next_one_read),
		PIPE_TEST(a_line_of_just_the_limit_is_read),
		PIPE_TEST(the_end_is_told_and_half_a_line_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
