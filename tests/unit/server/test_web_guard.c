#include "tests/support/unit.h"

#include "server/web_guard.h"

/* Cuts a head in place as the library does: at blanks, line ends (LF, with or without CR), the
 * first colon; texts end at the first NUL. */
static char *cut_line(char **at, char *end)
{
	char *line = *at, *lf = memchr(line, '\n', (size_t)(end - line));

	assert_non_null(lf);
	*at = lf + 1;
	*lf = 0;
	if (lf > line && lf[-1] == '\r')
		lf[-1] = 0;
	return line;
}

static bool head_passes(const char *raw, size_t n)
{
	char head[2048], *at = head, *method, *target, *version, *line;
	struct guard g = { .length = 0 };
	struct err e;

	assert_in_range(n, 1, sizeof(head) - 1);
	memcpy(head, raw, n);
	head[n] = 0;
	method = cut_line(&at, head + n);
	target = strchr(method, ' ');
	version = memrchr(method, ' ', (size_t)(at - method));
	assert_true(target && version && target < version);
	*target++ = *version++ = 0;
	target += strspn(target, " ");
	guard_line(&g, method, target, strlen(target), version);
	while ((line = cut_line(&at, head + n))[0]) {
		char *value = strchr(line, ':');

		if (!value)
			return false; /* the library refuses it */
		*value++ = 0;
		value += strspn(value, " \t");
		guard_field(&g, line, value, strlen(value));
	}
	guard_end(&g, (size_t)(at - head));
	if (guard_check(&g, strcmp(version, "HTTP/1.1") == 0, &e))
		return true;
	assert_int_equal(e.code, E_FORMAT);
	return false;
}

#define HEAD_PASSES(text) head_passes(text, sizeof(text) - 1)

struct field {
	const char *name, *value;
};

static bool passes(const struct field *f, size_t n, bool http_1_1)
{
	char head[1024];
	size_t at = (size_t)snprintf(head, sizeof(head), "GET / HTTP/1.%d\r\n", http_1_1);

	for (size_t i = 0; i < n; i++)
		at += (size_t)snprintf(head + at, sizeof(head) - at, "%s: %s\r\n", f[i].name,
				       f[i].value);
	at += (size_t)snprintf(head + at, sizeof(head) - at, "\r\n");
	return head_passes(head, at);
}

#define PASSES(http_1_1, ...)                                                   \
	passes((const struct field[]){ { "Host", "a" }, __VA_ARGS__ },          \
	       sizeof((const struct field[]){ { "Host", "a" }, __VA_ARGS__ }) / \
		       sizeof(struct field),                                    \
	       http_1_1)

static void lines_end_with_cr_lf_and_hide_nothing(void **state)
{
	(void)state;
	assert_true(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY:z\r\nZ: \t z\r\n\r\n"));
	assert_true(HEAD_PASSES("GET / HTTP/1.0\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\nHost: a\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\r\n\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\r\r\nX: y\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\0b\r\nX: y\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nX: y\r\nHost: a\0\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n"));
	assert_false(HEAD_PASSES("GET / HTTP/1.1\r\nHost: a\r\n\0X: y\r\n"));
	assert_false(HEAD_PASSES("GET /\0x HTTP/1.1\r\nHost: a\r\n\r\n"));
	assert_false(HEAD_PASSES("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

/* The library puts a line that goes on behind the name, somewhere else in memory. */
static void a_folded_line_is_refused(void **state)
{
	static const char head[] = "GET\0/\0HTTP/1.1\0\0Host\0 a\0\0X\0 y\0\0 z\0\0\0\0";
	static const char *const host = head + 16, *const moved = "Xz", *const value = host + 12;
	struct guard g = { .length = 0 };
	struct err e;

	(void)state;
	assert_string_equal(host, "Host");
	assert_string_equal(value, "y");
	guard_line(&g, head, head + 4, 1, head + 6);
	guard_field(&g, host, host + 6, 1);
	assert_ok(guard_check(&g, true, &e), &e);
	guard_field(&g, moved, value, 1);
	assert_fails(guard_check(&g, true, &e), &e, E_FORMAT);
}

static void a_host_is_a_name_and_a_port(void **state)
{
	static const char *const good[] = { "a", "phones.example:8443", "127.0.0.1",
					    "[::1]:443" };
	static const char *const bad[] = { "",    "a, b", "a b",  "a/b",
					   "a@b", "a\"",  "a%00", "\x80" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(passes(&(struct field){ "Host", good[i] }, 1, true));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(passes(&(struct field){ "Host", bad[i] }, 1, true));
}

static void a_body_has_one_length_or_one_coding(void **state)
{
	static const char *const bad_lengths[] = { "",
						   "+1",
						   "-1",
						   "1 ",
						   "1,1",
						   "1, 1",
						   "0x1",
						   "1e3",
						   "1;",
						   "01",
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
						   "xchunked" };

	(void)state;
	assert_true(PASSES(true, { "Content-Length", "0" }));
	assert_true(PASSES(true, { "content-length", "18446744073709551615" }));
	assert_true(PASSES(true, { "Accept", "*/*" }, { "Accept", "text/html" }));
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
	static const char *const bad[] = { "",      "X ",    " X",
					   "X\t",   "X(",    "X\x80",
					   "X\x01", "\x0bX", "Content-Length " };

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
	assert_false(guard_target("/", 0, &e));
	/* Both digits of what is encoded, and where the target ends. */
	for (unsigned c = 1; c < 256; c++) {
		char first[] = { '/', '%', (char)c, '0' },
		     second[] = { '/', '%', '0', (char)c };
		bool hex = strchr("0123456789abcdefABCDEF", (int)c) != NULL;

		assert_int_equal(guard_target(first, 4, &e), hex);
		assert_int_equal(guard_target(second, 4, &e), hex);
		assert_false(guard_target(second, 3, &e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_with_cr_lf_and_hide_nothing),
		cmocka_unit_test(a_folded_line_is_refused),
		cmocka_unit_test(a_host_is_a_name_and_a_port),
		cmocka_unit_test(a_body_has_one_length_or_one_coding),
		cmocka_unit_test(what_says_who_asks_stands_once),
		cmocka_unit_test(names_are_tokens),
		cmocka_unit_test(targets_are_what_we_would_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
