#include "tests/support/unit.h"
#include "tests/support/capture.h"
#include "base/progress.h"

#include <fcntl.h>
#include <unistd.h>

static void half_of_it(void *ctx)
{
	const bool *enabled = ctx;
	struct clock_fake c;
	struct progress p;

	clock_fake_init(&c, 0);
	progress_start(&p, &c.base, *enabled, "disk.img", 2000000);
	for (unsigned i = 0; i < 10; i++) {
		clock_fake_advance(&c, 100);
		progress_add(&p, 100000);
	}
	progress_end(&p, false);
	progress_end(&p, false);
}

static void without_a_terminal_there_is_one_line(void **state)
{
	struct capture c;
	bool enabled = true;

	capture(&c, half_of_it, &enabled);
	assert_string_equal(c.err, "disk.img: stopped after 1.0 MB, 1.0 MB/s\n");
	enabled = false;
	capture(&c, half_of_it, &enabled);
	assert_string_equal(c.err, "");
}

static void on_a_terminal(void *ctx)
{
	struct clock_fake c;
	struct progress p;

	clock_fake_init(&c, 0);
	dup2(*(int *)ctx, STDERR_FILENO);
	progress_start(&p, &c.base, true, "disk.img", 2000000);
	clock_fake_advance(&c, 99);
	progress_add(&p, 1); /* too early to draw */
	clock_fake_advance(&c, 901);
	progress_set(&p, 500000);
	progress_add(&p, 1); /* again too early */
	clock_fake_advance(&c, 1000);
	progress_set(&p, 3000000); /* more than announced: 100 % */
	progress_end(&p, true);
}

static void a_terminal_is_redrawn_ten_times_a_second_at_most(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char screen[2000] = "";
	unsigned draws = 0;
	ssize_t n;
	struct capture c;

	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		skip(); /* no /dev/pts, as in a bare chroot */
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	capture(&c, on_a_terminal, &slave);
	/* A terminal hands its text over in pieces. */
	for (size_t got = 0; !strchr(screen, '\n'); got += (size_t)n) {
		n = read(master, screen + got, sizeof(screen) - 1 - got);
		assert_true(n > 0);
	}
	assert_non_null(
		strstr(screen, "[####------------]  25%   500.0 kB   500.0 kB/s  0:03"));
	assert_non_null(strstr(screen, "[################] 100%"));
	assert_non_null(strstr(screen, "disk.img: done, 3.0 MB, 1.5 MB/s"));
	for (const char *p = screen; (p = strchr(p, '[')); p++)
		draws += p[1] == '#';
	assert_int_equal(draws, 2);
	close(slave);
	close(master);
}

static void an_empty_download_does_not_divide_by_zero(void **state)
{
	struct clock_fake c;
	struct progress p;

	clock_fake_init(&c, 0);
	progress_start(&p, &c.base, false, "", 0);
	progress_add(&p, 0);
	progress_end(&p, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_terminal_there_is_one_line),
		cmocka_unit_test(a_terminal_is_redrawn_ten_times_a_second_at_most),
		cmocka_unit_test(an_empty_download_does_not_divide_by_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
