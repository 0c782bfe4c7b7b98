#include "tests/support/unit.h"

#include "base/names.h"
#include "base/text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void every_name_is_given_once_and_removing_it_is_fine(void **state)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	int dir = tmpdir_fd(state);
	unsigned seen = 0;
	const char *name;
	char text[8];
	struct err e;

	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "f%d", i);
		close(openat(dir, text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	assert_ok(names_open(&n, dir, ".", "here", &e), &e);
	for (;;) {
		assert_ok(names_next(&n, &name, &e), &e);
		if (!name)
			break;
		uint64_t i;

		assert_int_equal(name[0], 'f');
		assert_true(u64_parse(&i, name + 1, strlen(name + 1)));
		assert_in_range(i, 0, 19);
		assert_false(seen & 1u << i);
		seen |= 1u << i;
		assert_int_equal(unlinkat(names_fd(&n), name, 0), 0);
	}
	assert_int_equal(seen, (1u << 20) - 1);
	/* The folder's own descriptor was not moved. */
	names_done(&n);
	assert_ok(names_open(&n, dir, ".", "here", &e), &e);
	assert_ok(names_next(&n, &name, &e), &e);
	assert_null(name);
}

static void what_is_no_folder_is_told(void **state)
{
	struct names n = NAMES_INIT;
	int dir = tmpdir_fd(state);
	struct err e;

	assert_fails(names_open(&n, dir, "none", "keys", &e), &e, E_NOT_FOUND);
	assert_non_null(strstr(e.text, "keys"));
	close(openat(dir, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_false(names_open(&n, dir, "file", "keys", &e));
	assert_int_equal(mkdirat(dir, "real", 0700), 0);
	assert_int_equal(symlinkat("real", dir, "link"), 0);
	assert_false(names_open(&n, dir, "link", "keys", &e));
	names_done(&n);
}

/* A descriptor that stops being one: a backup without some keys must not look whole. */
static void a_folder_that_cannot_be_read_to_its_end_is_an_error(void **state)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;
	struct err e;
	int pair[2];

	assert_ok(names_open(&n, tmpdir_fd(state), ".", "keys", &e), &e);
	assert_int_equal(pipe(pair), 0);
	assert_true(dup2(pair[0], names_fd(&n)) >= 0);
	close(pair[0]);
	close(pair[1]);
	assert_false(names_next(&n, &name, &e));
	assert_non_null(strstr(e.text, "keys"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(every_name_is_given_once_and_removing_it_is_fine),
		TMPDIR_TEST(what_is_no_folder_is_told),
		TMPDIR_TEST(a_folder_that_cannot_be_read_to_its_end_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
