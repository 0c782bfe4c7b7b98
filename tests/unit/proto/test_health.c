#include "tests/support/unit.h"

#include "proto/health.h"

#define BOOT "\"boot\":\"000102030405060708090a0b0c0d0e0f\""

static bool parse(struct health *ret, const char *text, struct err *e)
{
	return health_parse(ret, text, strlen(text), e);
}

static void a_report_comes_back(void **state)
{
	static const char text[] =
		"{\"v\":1," BOOT ",\"state\":\"failing\",\"checks\":{\"data\":"
		"\"mounted\",\"system\":\"failed: foo.service\"},\"detail\":\"why\"}";
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_HEALTH_LINE);
	struct health h;
	struct err e;

	assert_ok(parse(&h, text, &e), &e);
	assert_int_equal(h.state, HEALTH_FAILING);
	assert_int_equal(h.boot[15], 15);
	assert_int_equal(h.n_checks, 2);
	assert_string_equal(h.checks[1].found, "failed: foo.service");
	assert_string_equal(h.detail, "why");
	assert_ok(health_encode(&h, &out, &e), &e);
	assert_string_equal(buf_str(&out), text);
}

static void a_newer_guest_is_understood(void **state)
{
	struct health h;
	struct err e;

	assert_ok(parse(&h, "{\"v\":1," BOOT ",\"state\":\"healthy\",\"new\":[1,{}]}", &e), &e);
	assert_int_equal(h.state, HEALTH_HEALTHY);
	assert_int_equal(h.n_checks, 0);
	assert_string_equal(h.detail, "");
}

static void a_hostile_report_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"healthy",
		"[]",
		"{}",
		"{\"v\":1,\"state\":\"healthy\"}",
		"{\"v\":2," BOOT ",\"state\":\"healthy\"}",
		"{\"v\":1," BOOT ",\"state\":\"great\"}",
		"{\"v\":1," BOOT ",\"state\":1}",
		"{\"v\":1," BOOT ",\"state\":\"healthy\",\"checks\":[]}",
		"{\"v\":1," BOOT ",\"state\":\"healthy\",\"checks\":{\"a\":1}}",
		"{\"v\":1," BOOT ",\"state\":\"healthy\",\"checks\":{\"A b\":\"\"}}",
		"{\"v\":1," BOOT ",\"state\":\"healthy\",\"detail\":\"\\u001b[2J\"}",
		"{\"v\":1," BOOT ",\"state\":\"healthy\",\"detail\":7}",
		"{\"v\":1,\"boot\":\"00\",\"state\":\"healthy\"}",
		"{\"v\":1," BOOT ",\"state\":\"failing\",\"state\":\"healthy\"}",
	};
	struct health h = { .n_checks = 7 };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(&h, bad[i], &e))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(h.n_checks, 7);
}

static void long_texts_are_cut_between_characters(void **state)
{
	char text[LIMIT_HEALTH_LINE + 2], euros[2000] = "";
	struct health h;
	struct err e;

	for (size_t i = 0; i + 4 < sizeof(euros); i += 3)
		memcpy(euros + i, "\xe2\x82\xac", 4);
	snprintf(text, sizeof(text),
		 "{\"v\":1," BOOT
		 ",\"state\":\"healthy\",\"detail\":\"%s\",\"checks\":{\"a\":\"%.600s\"}}",
		 euros, euros);
	assert_ok(parse(&h, text, &e), &e);
	assert_int_equal(strlen(h.detail), 510);
	assert_int_equal(strlen(h.checks[0].found), 198);
	memset(text, ' ', sizeof(text));
	assert_fails(health_parse(&h, text, LIMIT_HEALTH_LINE + 1, &e), &e, E_TOO_BIG);
}

static void too_many_checks_are_refused(void **state)
{
	char text[LIMIT_HEALTH_LINE];
	int n = snprintf(text, sizeof(text),
			 "{\"v\":1," BOOT ",\"state\":\"healthy\",\"checks\":{");
	struct health h;
	struct err e;

	for (int i = 0; i <= HEALTH_CHECKS; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s\"c%d\":\"\"",
			      i ? "," : "", i);
	snprintf(text + n, sizeof(text) - (size_t)n, "}}");
	assert_fails(parse(&h, text, &e), &e, E_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_comes_back),
		cmocka_unit_test(a_newer_guest_is_understood),
		cmocka_unit_test(a_hostile_report_is_refused),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(too_many_checks_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
