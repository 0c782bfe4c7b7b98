#include "tests/support/unit.h"

#include "server/web_guard.h"

struct field {
	const char *name, *value;
};

static bool passes(const struct field *f, size_t n, bool http_1_1)
{
	struct guard g = { .length = 0 };
	struct err e;

	for (size_t i = 0; i < n; i++)
		guard_field(&g, f[i].name, f[i].value, strlen(f[i].value));
	if (guard_check(&g, http_1_1, &e))
		return true;
	assert_int_equal(e.code, E_FORMAT);
	return false;
}

#define PASSES(http_1_1, ...)                                                   \
	passes((const struct field[]){ { "Host", "a" }, __VA_ARGS__ },          \
	       sizeof((const struct field[]){ { "Host", "a" }, __VA_ARGS__ }) / \
		       sizeof(struct field),                                    \
	       http_1_1)

static void a_body_has_one_length_or_one_coding(void **state)
{
	static const char *const bad_lengths[] = { "",
						   "+1",
						   "-1",
						   " 1",
						   "1 ",
						   "1,1",
						   "1, 1",
						   "0x1",
						   "1e3",
						   "1;",
						   "18446744073709551616",
						   "1\t" };
	static const char *const bad_codings[] = { "",
						   "gzip",
						   "gzip, chunked",
						   "chunked,",
						   "\x0b"
						   "chunked",
						   "chunked ",
						   "identity",
						   "chunked;q=1",
						   " chunked",
						   "xchunked" };

	(void)state;
	assert_true(PASSES(true, { "Content-Length", "0" }));
	assert_true(PASSES(true, { "content-length", "18446744073709551615" }));
	assert_true(PASSES(true, { "Transfer-Encoding", "Chunked" }));
	for (size_t i = 0; i < ARRAY_SIZE(bad_lengths); i++)
		assert_false(PASSES(true, { "Content-Length", bad_lengths[i] }));
	for (size_t i = 0; i < ARRAY_SIZE(bad_codings); i++)
		assert_false(PASSES(true, { "Transfer-Encoding", bad_codings[i] }));
	assert_false(PASSES(true, { "Content-Length", "1" }, { "Content-Length", "1" }));
	assert_false(PASSES(true, { "Transfer-Encoding", "chunked" },
			    { "TRANSFER-ENCODING", "chunked" }));
	assert_false(
		PASSES(true, { "Content-Length", "1" }, { "Transfer-Encoding", "chunked" }));
	assert_false(PASSES(false, { "Transfer-Encoding", "chunked" }));
}

static void what_says_who_asks_stands_once(void **state)
{
	static const char *const once[] = { "Host",           "Authorization",
					    "Signature",      "Signature-Input",
					    "Content-Digest", "X-Real-IP" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(once); i++) {
		const struct field two[] = { { "Host", "a" },
					     { once[i], "a" },
					     { once[i], "a" } };

		assert_true(passes(two + (i == 0), 2 - (i == 0), true));
		assert_false(passes(two, 3, true));
	}
	assert_false(passes(NULL, 0, true)); /* no Host */
	assert_true(passes(NULL, 0, false));
	assert_true(PASSES(true, { "X-Other", "a" }, { "X-Other", "b" }));
}

static void names_are_tokens(void **state)
{
	static const char *const bad[] = {
		"", "X ", " X", "X\t", "X(", "X\x80", "X:Y", "X\x01", "\x0bX", "Content-Length "
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(PASSES(true, { bad[i], "1" }));
	assert_true(PASSES(true, { "!#$%&'*+-.^_`|~09azAZ", "1" }));
}

static void targets_are_what_we_would_write(void **state)
{
	static const char *const good[] = { "/",     "/a/b", "/a%20b",    "/a?b=c&d=%2f",
					    "/a..b", "/...", "/a?x=../y", "/a?" };
	static const char *const bad[] = { "",      "*",      "a",     "http://a/", "//a",
					   "/a//b", "/a/",    "/.",    "/..",       "/a/../b",
					   "/a/.",  "/a%2",   "/a%zz", "/a b",      "/a#b",
					   "/a\\b", "/a\"",   "/a<",   "/a|b",      "/\x7f",
					   "/\x80", "/a\x01", "/%",    "/a?%" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!guard_target(good[i], strlen(good[i]), &e))
			fail_msg("%s: %s", good[i], e.text);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (guard_target(bad[i], strlen(bad[i]), &e))
			fail_msg("taken: %s", bad[i]);
	assert_false(guard_target("/a\0b", 4, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_has_one_length_or_one_coding),
		cmocka_unit_test(what_says_who_asks_stands_once),
		cmocka_unit_test(names_are_tokens),
		cmocka_unit_test(targets_are_what_we_would_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
