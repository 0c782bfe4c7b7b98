#include "tests/support/unit.h"

#include "proto/allow.h"

static void rules_come_back_as_they_were(void **state)
{
	static const char *const good[] = {
		"imap.acme.example:993", "a:1",        "10.0.0.1:65535",
		"[2001:db8::1]:443",     "[::1]:1",    "xn--bcher-kva.example:80",
		"1and1.example:25",      "a-b.c-d:22",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[ALLOW_TEXT_SIZE];
		struct allow a;
		struct err e;

		assert_ok(allow_parse(&a, good[i], &e), &e);
		allow_format(text, &a);
		assert_string_equal(text, good[i]);
	}
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		"a",
		"a:",
		":1",
		"a:0",
		"a:65536",
		"a:01",
		"a:1 ",
		" a:1",
		"a :1",
		"A:1",
		"a.:1",
		".a:1",
		"a..b:1",
		"-a:1",
		"a-:1",
		"a_b:1",
		"*.a:1",
		"a/b:1",
		"a:1:2",
		"10.0.0.256:1",
		"10.0.0:1",
		"010.0.0.1:1",
		"1:1",
		"::1:1",
		"[::1]",
		"[::1]:",
		"[::1]1",
		"[0:0::1]:1",
		"[2001:DB8::1]:1",
		"[::1%eth0]:1",
		"[10.0.0.1]:1",
		"[]:1",
		"[a]:1",
		"[::1:1",
		"a]:1",
		"a\n:1",
	};
	struct allow a = { .port = 7 };
	struct err e;
	char label[80];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (allow_parse(&a, bad[i], &e))
			fail_msg("accepted: %s", bad[i]);
	memset(label, 'a', 64);
	memcpy(label + 64, ":1", 3);
	assert_fails(allow_parse(&a, label, &e), &e, E_FORMAT);
	assert_int_equal(a.port, 7);
	assert_ok(allow_parse(&a, label + 1, &e), &e);
}

static void a_name_of_254_bytes_is_too_long(void **state)
{
	char text[300];
	struct allow a;
	struct err e;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 50 == 49 ? '.' : 'a';
	memcpy(text + 253, ":1", 3);
	assert_ok(allow_parse(&a, text, &e), &e);
	memcpy(text + 253, "a:1", 4);
	assert_fails(allow_parse(&a, text, &e), &e, E_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_come_back_as_they_were),
		cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
		cmocka_unit_test(a_name_of_254_bytes_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
