#include "tests/support/unit.h"

#include "client/https_priv.h"

static void parse_takes_a_url_apart(void **state)
{
	static const struct {
		const char *url, *origin, *authority, *prefix;
	} good[] = {
		{ "https://a.example", "https://a.example", "a.example", "" },
		{ "https://A.Example:8443", "https://a.example:8443", "a.example:8443", "" },
		{ "https://a.example:443", "https://a.example", "a.example", "" },
		{ "https://a.example/p/q", "https://a.example", "a.example", "/p/q" },
		{ "https://10.0.0.1:1/Valise_~-.x", "https://10.0.0.1:1", "10.0.0.1:1",
		  "/Valise_~-.x" },
		{ "https://[2001:DB8::1]:9", "https://[2001:db8::1]:9", "[2001:db8::1]:9", "" },
		{ "https://[::1]", "https://[::1]", "[::1]", "" },
		{ "http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1", "" },
		{ "http://[::1]:8080/x", "http://[::1]:8080", "[::1]:8080", "/x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct url u;
		struct err e;

		assert_ok(url_parse(&u, good[i].url, true, &e), &e);
		assert_string_equal(u.origin, good[i].origin);
		assert_string_equal(u.authority, good[i].authority);
		assert_string_equal(u.prefix, good[i].prefix);
	}
}

static void parse_refuses_what_another_reader_may_see_otherwise(void **state)
{
	static const char *const bad[] = {
		"",
		"a.example",
		"ftp://a.example",
		"HTTPS://a.example",
		"https://",
		"https:///x",
		"https://a.example/",
		"https://a.example//x",
		"https://a.example/x/",
		"https://a.example/x/../y",
		"https://a.example/./y",
		"https://a.example/%2e",
		"https://a.example?x",
		"https://a.example/x?y",
		"https://a.example/#f",
		"https://user@a.example",
		"https://user:pw@a.example",
		"https://a.example:",
		"https://a.example:0",
		"https://a.example:65536",
		"https://a.example:08",
		"https://a.example:-1",
		"https://a.example:44 3",
		"https://a b",
		"https://a.example\\x",
		"https://-a.example",
		"https://[::1",
		"https://[]",
		"https://[g::1]",
		"https://[::1]x",
		"https://a.example\n",
		"http://a.example",
		"http://127.0.0.1.evil.example",
		"http://127.0.0.2",
		"http://localhost.evil.example",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct url u = { .plain = true, .prefix = "untouched" };
		struct err e;

		if (url_parse(&u, bad[i], true, &e))
			fail_msg("accepted \"%s\"", bad[i]);
		assert_int_equal(e.code, E_CONFIG);
		assert_string_equal(u.prefix, "untouched");
	}
}

static void plain_http_needs_permission_even_on_loopback(void **state)
{
	struct url u;
	struct err e;

	assert_fails(url_parse(&u, "http://127.0.0.1:8080", false, &e), &e, E_CONFIG);
	assert_non_null(strstr(e.text, "in clear"));
}

static void parse_takes_512_bytes_and_not_one_more(void **state)
{
	char s[LIMIT_URL + 2];
	struct url u;
	struct err e;

	memset(s, 'a', sizeof(s));
	memcpy(s, "https://h/", 10);
	s[LIMIT_URL + 1] = '\0';
	assert_fails(url_parse(&u, s, false, &e), &e, E_CONFIG);
	s[LIMIT_URL] = '\0';
	assert_ok(url_parse(&u, s, false, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_takes_a_url_apart),
		cmocka_unit_test(parse_refuses_what_another_reader_may_see_otherwise),
		cmocka_unit_test(plain_http_needs_permission_even_on_loopback),
		cmocka_unit_test(parse_takes_512_bytes_and_not_one_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
