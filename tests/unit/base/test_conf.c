#include "tests/support/unit.h"
#include "base/conf.h"
#include "base/limits.h"

struct settings {
	uint64_t port, size, interval_s, mode;
	bool tls;
	char *dir, *name;
};

static const char *const modes[] = { "fast", "safe", NULL };

static const struct conf_row rows[] = {
	{ "listen.port", CONF_UINT, offsetof(struct settings, port), "8443", "TCP port",
	  .max = 65535 },
	{ "cache.size", CONF_SIZE, offsetof(struct settings, size), "64M", "room",
	  .min = 1024 },
	{ "poll.interval", CONF_DURATION, offsetof(struct settings, interval_s), "15m", "time",
	  .min = 60, .max = 86400, .reload = true },
	{ "mode", CONF_CHOICE, offsetof(struct settings, mode), "safe", "how",
	  .choices = modes },
	{ "tls", CONF_BOOL, offsetof(struct settings, tls), "yes", "whether" },
	{ "dir", CONF_STRING, offsetof(struct settings, dir), "/var/lib/x", "where", .min = 1,
	  .max = 20 },
	{ "name", CONF_STRING, offsetof(struct settings, name), NULL, "what" },
};
#define N_ROWS ARRAY_SIZE(rows)

static int setup(void **state)
{
	struct settings *s = malloc(sizeof(*s));
	struct err e;

	memset(s, 0xa5, sizeof(*s)); /* defaults may not look at what was there */
	*state = s;
	return conf_defaults(s, rows, N_ROWS, &e) ? 0 : -1;
}

static int teardown(void **state)
{
	conf_done(*state, rows, N_ROWS);
	free(*state);
	return 0;
}

static bool parse(void **state, const char *text, struct err *e)
{
	return conf_parse(*state, rows, N_ROWS, "f.conf", text, strlen(text), e);
}

static void defaults_are_set(void **state)
{
	const struct settings *s = *state;

	assert_int_equal(s->port, 8443);
	assert_int_equal(s->size, 64 << 20);
	assert_int_equal(s->interval_s, 900);
	assert_int_equal(s->mode, 1);
	assert_true(s->tls);
	assert_string_equal(s->dir, "/var/lib/x");
	assert_null(s->name);
}

static void a_file_is_read(void **state)
{
	const struct settings *s = *state;
	struct err e;

	assert_ok(parse(state,
			"# comment\r\n\n  listen.port=0\nmode = fast # why\n\ttls = no\t\r\n"
			"dir = /a b#c\nname = x = y",
			&e),
		  &e);
	assert_int_equal(s->port, 0);
	assert_int_equal(s->mode, 0);
	assert_false(s->tls);
	assert_string_equal(s->dir, "/a b#c");
	assert_string_equal(s->name, "x = y");
	assert_int_equal(s->interval_s, 900);
}

static void mistakes_name_file_and_line_and_change_nothing(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "tls = no\nlisten.prot = 1\n",
		  "f.conf:2: unknown setting \"listen.prot\"; did you mean \"listen.port\"?" },
		{ "tls = no\nxyzzy = 1", "f.conf:2: unknown setting \"xyzzy\"" },
		{ "dir = /new\ndir = /newer", "f.conf:2: dir is already set in line 1" },
		{ "\n\nlisten.port = 65536",
		  "f.conf:3: listen.port = 65536: wants a whole number from 0 to 65535" },
		{ "listen.port =",
		  "f.conf:1: listen.port = : wants a whole number from 0 to 65535" },
		{ "poll.interval = 59s",
		  "f.conf:1: poll.interval = 59s: wants a duration (90s, 15m, "
		  "12h, 7d) from 60 to 86400" },
		{ "cache.size = 1",
		  "f.conf:1: cache.size = 1: wants a size in bytes (64M, 2GiB) "
		  "from 1024" },
		{ "mode = slow", "f.conf:1: mode = slow: wants one of fast safe" },
		{ "tls = true", "f.conf:1: tls = true: wants yes or no" },
		{ "dir =", "f.conf:1: dir = : wants a text, length from 1 to 20" },
		{ "dir = 123456789012345678901",
		  "f.conf:1: dir = 123456789012345678901: wants a text, length from 1 to 20" },
		{ "dir = /new\nnonsense", "f.conf:2: \"nonsense\" is not \"key = value\"" },
		{ "dir = /new\n= 5", "f.conf:2: \"= 5\" is not \"key = value\"" },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_fails(parse(state, bad[i].text, &e), &e, E_CONFIG);
		assert_string_equal(e.text, bad[i].error);
		defaults_are_set(state);
	}
}

static void binary_and_endless_files_are_refused(void **state)
{
	struct err e;
	char *big = calloc(1, LIMIT_SETTINGS_FILE + 1);

	assert_fails(conf_parse(*state, rows, N_ROWS, "f", "tls = no\0", 9, &e), &e, E_CONFIG);
	memset(big, '\n', LIMIT_SETTINGS_FILE + 1);
	assert_fails(conf_parse(*state, rows, N_ROWS, "f", big, LIMIT_SETTINGS_FILE + 1, &e),
		     &e, E_TOO_BIG);
	assert_ok(conf_parse(*state, rows, N_ROWS, "f", big, LIMIT_SETTINGS_FILE, &e), &e);
	defaults_are_set(state);
	free(big);
}

static void one_assignment_can_be_set(void **state)
{
	const struct settings *s = *state;
	struct err e;

	assert_ok(conf_set(*state, rows, N_ROWS, "listen.port=1", &e), &e);
	assert_int_equal(s->port, 1);
	assert_ok(conf_set(*state, rows, N_ROWS, "name=", &e), &e);
	assert_string_equal(s->name, "");
	assert_fails(conf_set(*state, rows, N_ROWS, "listen.port", &e), &e, E_CONFIG);
	assert_fails(conf_set(*state, rows, N_ROWS, "nope=1", &e), &e, E_CONFIG);
}

static void a_missing_file_is_named(void **state)
{
	struct err e;

	assert_fails(conf_load(*state, rows, N_ROWS, "/nonexistent/x.conf", &e), &e,
		     E_NOT_FOUND);
	assert_string_equal(e.text, "settings: /nonexistent/x.conf: No such file or directory");
}

static void the_sample_can_be_read_back(void **state)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	struct err e;

	conf_print_sample(out, rows, N_ROWS);
	fclose(out);
	assert_non_null(strstr(text, "# TCP port\n# a whole number from 0 to 65535.\n"
				     "#listen.port = 8443\n"));
	assert_non_null(strstr(text, "SIGHUP"));
	assert_ok(conf_parse(*state, rows, N_ROWS, "sample", text, n, &e), &e);
	/* Its settings uncommented: lines "#key = ...", but not the one without a default. */
	for (char *p = text; (p = strstr(p, "\n#")); p++) {
		if (p[2] != ' ' && strncmp(p + 2, "name", 4) != 0)
			p[1] = ' ';
	}
	assert_ok(conf_parse(*state, rows, N_ROWS, "sample", text, n, &e), &e);
	defaults_are_set(state);
	free(text);
}

static void no_memory_changes_nothing(void **state)
{
	FAULT_EACH(n, FAULT_ALLOC) {
		struct err e;
		bool ok = parse(state, "dir = /other\nname = n\ntls = no", &e);

		if (fault_disarm()) {
			assert_false(ok);
			assert_int_equal(e.code, E_NOMEM);
			defaults_are_set(state);
		} else {
			assert_true(ok);
			break;
		}
	}
}

#define CONF_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONF_TEST(defaults_are_set),
		CONF_TEST(a_file_is_read),
		CONF_TEST(mistakes_name_file_and_line_and_change_nothing),
		CONF_TEST(binary_and_endless_files_are_refused),
		CONF_TEST(one_assignment_can_be_set),
		CONF_TEST(a_missing_file_is_named),
		CONF_TEST(the_sample_can_be_read_back),
		CONF_TEST(no_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
