#include "tests/support/unit.h"
#include "tests/support/capture.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static void log_some(void *ctx)
{
	log_init("valised/web", LOG_INFO);
	log_warn("rollout.paused", "rollout=%s failed=%u", "r7", 3u);
	log_info("server.started", "");
	log_debug("not.shown", "x=%d", 1);
	log_set_level(LOG_ERROR);
	log_warn("not.shown", "x=%d", 2);
}

static void lines_have_time_level_program_and_event(void **state)
{
	struct capture c;
	int64_t t;

	capture(&c, log_some, NULL);
	assert_true(time_parse(&t, c.err, 20));
	assert_memory_equal(c.err + 20,
			    " warn  valised/web rollout.paused rollout=r7 failed=3\n", 54);
	assert_non_null(strstr(c.err, " info  valised/web server.started\n"));
	assert_null(strstr(c.err, "not.shown"));
	assert_string_equal(c.out, "");
}

static void log_forged(void *ctx)
{
	char big[5000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	log_init("p", LOG_INFO);
	log_info("e", "x=%s", "1\n2026-11-22T15:41:00Z error p forged");
	log_info("e", "%s", big);
}

static void one_event_is_one_line(void **state)
{
	struct capture c;
	unsigned lines = 0;

	capture(&c, log_forged, NULL);
	for (const char *p = c.err; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 2);
	assert_true(strlen(c.err) < 2300);
	assert_int_equal(c.err[strlen(c.err) - 1], '\n');
}

static void log_to_journal(void *ctx)
{
	struct stat st;
	char id[64];

	fstat(STDERR_FILENO, &st);
	snprintf(id, sizeof(id), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", id, 1);
	log_init("p", LOG_DEBUG);
	log_error("a", "k=%d", 1);
	log_debug("b", "");
	setenv("JOURNAL_STREAM", "1:1", 1); /* inherited; stderr is something else */
	log_init("p", LOG_DEBUG);
	log_info("c", "");
	unsetenv("JOURNAL_STREAM");
	log_init("p", LOG_INFO);
}

static void the_journal_gets_levels_without_times(void **state)
{
	struct capture c;

	capture(&c, log_to_journal, NULL);
	assert_memory_equal(c.err, "<3>a k=1\n<7>b\n", 14);
	assert_non_null(strstr(c.err, "info  p c\n"));
}

static void values_are_quoted_and_cut(void **state)
{
	char big[1000];
	struct log_text t;

	assert_string_equal(log_quote("a\"b\\c\n\x7f").s, "\"a\\\"b\\\\c\\x0a\\x7f\"");
	assert_string_equal(log_quote("\xc2\x9b\u202e\xff\u00e9").s,
			    "\"\\xc2\\x9b\\xe2\\x80\\xae\\xff\u00e9\"");
	assert_string_equal(log_quote("").s, "\"\"");
	assert_string_equal(log_quote(NULL).s, "-");
	for (unsigned c = 1; c < 128; c++) {
		memset(big, (int)c, sizeof(big) - 1);
		big[sizeof(big) - 1] = 0;
		t = log_quote(big);
		assert_true(strlen(t.s) <= 200);
		assert_string_equal(t.s + strlen(t.s) - 4, "...\"");
	}
}

static void errors_become_pairs(void **state)
{
	char big[1000];
	struct log_text t;
	struct err e;

	err_sys(&e, EIO, "a \"b\"");
	assert_string_equal(
		log_err(&e).s,
		"error=system text=\"a \\\"b\\\": Input/output error\" "
		"hint=\"the disk reports an error: look at the kernel's log (dmesg)\"");
	memset(big, '"', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&e, E_FORMAT, "%s", big);
	err_hint(&e, big);
	t = log_err(&e);
	assert_true(strlen(t.s) < sizeof(t.s));
	assert_non_null(strstr(t.s, "...\" hint=\""));
}

static void levels_have_names(void **state)
{
	enum log_level l = LOG_WARN;

	assert_true(log_level_parse(&l, "debug"));
	assert_int_equal(l, LOG_DEBUG);
	assert_false(log_level_parse(&l, "loud"));
	assert_int_equal(l, LOG_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_time_level_program_and_event),
		cmocka_unit_test(one_event_is_one_line),
		cmocka_unit_test(the_journal_gets_levels_without_times),
		cmocka_unit_test(values_are_quoted_and_cut),
		cmocka_unit_test(errors_become_pairs),
		cmocka_unit_test(levels_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
