/* tests/support/unit.h - what every unit test includes, first: cmocka, scratch folders, damage.
 *
 *	static void load_names_the_file(void **state)
 *	{
 *		struct err e;
 *
 *		write_file_at(tmpdir_fd(state), "slot.0", "junk", 4);
 *		assert_false(slotrec_load(&rec, tmpdir_fd(state), &e));
 *		assert_int_equal(e.code, E_FORMAT);
 *	}
 *	...
 *	const struct CMUnitTest tests[] = { TMPDIR_TEST(load_names_the_file) };
 *
 * Tests are sentences.  Clocks and randomness come from clock_fake and rng_fake; nothing sleeps. */
#ifndef VALISE_TESTS_UNIT_H
#define VALISE_TESTS_UNIT_H

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "tests/support/fault.h"

/* A test with a folder of its own below $TMPDIR, removed with all it holds afterwards. */
#define TMPDIR_TEST(f) cmocka_unit_test_setup_teardown(f, tmpdir_setup, tmpdir_teardown)
int tmpdir_setup(void **state);
int tmpdir_teardown(void **state);
int tmpdir_fd(void **state);           /* borrowed */
const char *tmpdir_path(void **state); /* borrowed */

/* These end the test when they fail. */
void write_file_at(int dirfd, const char *name, const void *p, size_t n);
size_t read_back_at(int dirfd, const char *name, void *p, size_t max); /* bytes read */
bool file_exists_at(int dirfd, const char *name);
unsigned count_files_at(int dirfd); /* entries but for "." and ".." */

void flip_bit(void *p, size_t bit);

/* How a forked child of a test ends: without cmocka's and the leak checker's work at exit, but
 * with its coverage saved. */
NORETURN void child_exit(int status);

/* A call that must succeed; shows the error's text when it does not. */
#define assert_ok(call, e)                                    \
	do {                                                  \
		if (!(call))                                  \
			fail_msg("%s: %s", #call, (e)->text); \
	} while (0)

/* A call that must fail with this code; shows what came instead. */
#define assert_fails(call, e, wanted)                                                  \
	do {                                                                           \
		if (call)                                                              \
			fail_msg("%s succeeded", #call);                               \
		if ((e)->code != (wanted))                                             \
			fail_msg("%s: %s: %s", #call, err_name((e)->code), (e)->text); \
	} while (0)

#endif
