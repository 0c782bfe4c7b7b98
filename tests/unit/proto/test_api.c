#include "tests/support/unit.h"

#include "base/io.h"
#include "proto/api.h"

#include <fcntl.h>

static bool match(struct api_match *m, unsigned *allowed, enum api_method method,
		  const char *path, struct err *e)
{
	return api_match(m, allowed, method, path, strlen(path), e);
}

static void check_route(enum api_method method, const char *path, enum api_route_id want,
			const char *first, const char *second)
{
	struct api_match m;
	unsigned allowed;
	struct err e;

	assert_ok(match(&m, &allowed, method, path, &e), &e);
	if (m.route != want)
		fail_msg("%s is %s", path, api_routes[m.route].id);
	assert_int_equal(m.params[0].n, strlen(first));
	assert_memory_equal(m.params[0].p ? m.params[0].p : "", first, strlen(first));
	assert_int_equal(m.params[1].n, strlen(second));
	assert_memory_equal(m.params[1].p ? m.params[1].p : "", second, strlen(second));
}

static void paths_find_their_routes_and_parameters(void **state)
{
	check_route(API_GET, "/healthz", ROUTE_HEALTHZ, "", "");
	check_route(API_HEAD, "/healthz", ROUTE_HEALTHZ, "", "");
	check_route(API_GET, "/objects/0123", ROUTE_OBJECT, "0123", "");
	check_route(API_GET, "/tuf/image/timestamp.json", ROUTE_TUF_IMAGE, "timestamp.json",
		    "");
	check_route(API_GET, "/tuf/image/targets/releases/p/1/x.release.json",
		    ROUTE_TUF_IMAGE_TARGET, "releases/p/1/x.release.json", "");
	check_route(API_GET, "/tuf/director/1.root.json", ROUTE_TUF_DIRECTOR, "1.root.json",
		    "");
	check_route(API_POST, "/v1/tuf/image/root", ROUTE_IMAGE_ROOT_PUT, "", "");
	check_route(API_GET, "/v1/tuf/image/root", ROUTE_IMAGE_ROLE_GET, "root", "");
	check_route(API_HEAD, "/v1/uploads/u1", ROUTE_UPLOAD_GET, "u1", "");
	check_route(API_PATCH, "/v1/uploads/u1", ROUTE_UPLOAD_PATCH, "u1", "");
	check_route(API_GET, "/v1/releases/p/1.0", ROUTE_RELEASE_GET, "p", "1.0");
	check_route(API_POST, "/v1/releases/p/1.0/withdraw", ROUTE_RELEASE_WITHDRAW, "p",
		    "1.0");
	check_route(API_PUT, "/v1/policies/base/assignment", ROUTE_POLICY_ASSIGN, "base", "");
	check_route(API_GET, "/v1/devices/ab/policy", ROUTE_DEVICE_POLICY, "ab", "");
}

static void other_paths_are_not_there(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"healthz",
		"/healthz/",
		"//healthz",
		"/Healthz",
		"/objects",
		"/objects/",
		"/objects/a/b",
		"/tuf/image/",
		"/tuf/image/targets/",
		"/tuf/image/targets/..",
		"/tuf/image/targets/a/../b",
		"/tuf/image/targets//a",
		"/tuf/image/targets/a/",
		"/tuf/image/targets/./a",
		"/v1/releases/p/",
		"/v1/releases//1",
		"/v1/releases/p/1/x",
		"/v1",
		"/v1/",
		"/v1/unknown",
	};
	struct api_match m;
	unsigned allowed;
	struct err e;
	char longest[LIMIT_PATH + 2];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (match(&m, &allowed, API_GET, bad[i], &e))
			fail_msg("%s is %s", bad[i], api_routes[m.route].id);
		assert_int_equal(e.code, E_NOT_FOUND);
		assert_int_equal(allowed, 0);
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "/objects/", 9);
	assert_fails(api_match(&m, &allowed, API_GET, longest, LIMIT_PATH + 1, &e), &e,
		     E_NOT_FOUND);
	assert_ok(api_match(&m, &allowed, API_GET, longest, LIMIT_PATH, &e), &e);
}

static void a_wrong_method_is_told_the_right_ones(void **state)
{
	struct api_match m;
	unsigned allowed;
	struct err e;

	assert_fails(match(&m, &allowed, API_DELETE, "/v1/releases", &e), &e, E_UNSUPPORTED);
	assert_int_equal(allowed, 1 << API_GET | 1 << API_HEAD | 1 << API_POST);
	assert_fails(match(&m, &allowed, API_GET, "/v1/uploads/u1", &e), &e, E_UNSUPPORTED);
	assert_int_equal(allowed, 1 << API_HEAD | 1 << API_PATCH | 1 << API_DELETE);
}

/* Fills every pattern with samples and finds it again. */
static void every_route_is_reached_by_its_own_path(void **state)
{
	static const char *const sample[] = { "one", "two", NULL };

	for (unsigned i = 0; i < API_N_ROUTES; i++) {
		CLEANUP(buf_done) struct buf path = BUF_INIT(LIMIT_PATH);
		const char *params[3] = { NULL };
		struct api_match m;
		unsigned allowed, n = 0;
		struct err e;

		for (const char *p = api_routes[i].pattern; (p = strchr(p, '{')); p++, n++)
			params[n] = sample[n];
		assert_ok(api_path(&path, (enum api_route_id)i, params, &e), &e);
		assert_ok(match(&m, &allowed, api_routes[i].method, buf_str(&path), &e), &e);
		if (m.route != i)
			fail_msg("%s: %s instead of %s", buf_str(&path), api_routes[m.route].id,
				 api_routes[i].id);
	}
}

static void parameters_are_percent_encoded(void **state)
{
	CLEANUP(buf_done) struct buf path = BUF_INIT(LIMIT_PATH);
	const char *const params[] = { "a/b c%\xc3\xa9?", "1.0", NULL };
	const char *const rest[] = { "releases/p/1/x y", NULL };
	struct err e;

	assert_ok(api_path(&path, ROUTE_RELEASE_GET, params, &e), &e);
	assert_string_equal(buf_str(&path), "/v1/releases/a%2Fb%20c%25%C3%A9%3F/1.0");
	buf_reset(&path);
	assert_ok(api_path(&path, ROUTE_TUF_IMAGE_TARGET, rest, &e), &e);
	assert_string_equal(buf_str(&path), "/tuf/image/targets/releases/p/1/x%20y");
}

static void every_route_has_a_scope_and_a_sane_limit(void **state)
{
	for (unsigned i = 0; i < API_N_ROUTES; i++) {
		const struct api_route *r = &api_routes[i];
		bool sends =
			r->method == API_POST || r->method == API_PUT || r->method == API_PATCH;

		/* A tus creation has no body; all other writes have one, however small. */
		assert_true((r->body_max > 0) == (sends && i != ROUTE_UPLOAD_NEW));
		assert_true(r->pattern[0] == '/' && strlen(r->help) > 5);
		if (strncmp(r->pattern, "/v1/", 4) == 0)
			assert_int_not_equal(r->scopes, SCOPE_NONE);
	}
}

static void scopes_and_methods_have_names(void **state)
{
	enum api_scope s;
	enum api_method m;

	assert_true(api_scope_parse(&s, "device:command"));
	assert_int_equal(s, SCOPE_DEVICE_COMMAND);
	assert_string_equal(api_scope_name(s), "device:command");
	assert_false(api_scope_parse(&s, "device"));
	assert_null(api_scope_name(SCOPE_SESSION));
	assert_null(api_scope_name((enum api_scope)(SCOPE_ADMIN | SCOPE_POLICY)));
	assert_true(api_method_parse(&m, "PATCH"));
	assert_int_equal(m, API_PATCH);
	assert_false(api_method_parse(&m, "patch"));
	assert_false(api_method_parse(&m, "OPTIONS"));
}

/* A line of FORMATS.md that speaks of each path: the table for people is complete. */
static void formats_page_knows_every_path(void **state)
{
	CLEANUP(buf_done) struct buf doc = BUF_INIT(1 << 20);
	struct err e;

	assert_ok(read_file_at(AT_FDCWD, "docs/FORMATS.md", &doc, &e), &e);
	for (unsigned i = 0; i < API_N_ROUTES; i++) {
		char word[64];
		const char *last = strrchr(api_routes[i].pattern, '/');
		size_t n = 0;

		/* The last word of the path, or the one before a parameter. */
		while (last[1] == '{')
			for (last--; *last != '/';)
				last--;
		for (last++; last[n] && last[n] != '/' && n < sizeof(word) - 1; n++)
			word[n] = last[n];
		word[n] = 0;
		if (!strstr(buf_str(&doc), word))
			fail_msg("%s is not in docs/FORMATS.md", api_routes[i].pattern);
	}
}

static void errors_come_back(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
	struct api_error a;
	struct err what, e;

	err_set(&what, E_AUTH, "clock differs by 900 s");
	assert_ok(api_error_encode(&out, &what, 1795362060, "abc", &e), &e);
	assert_ok(api_error_parse(&a, out.p, out.n, &e), &e);
	assert_string_equal(a.code, "auth");
	assert_string_equal(a.message, "clock differs by 900 s");
	assert_string_equal(a.hint, what.hint);
	assert_int_equal(a.server_time_s, 1795362060);
	assert_string_equal(a.nonce, "abc");
	buf_reset(&out);
	assert_ok(api_error_encode(&out, &what, -1, NULL, &e), &e);
	assert_ok(api_error_parse(&a, out.p, out.n, &e), &e);
	assert_int_equal(a.server_time_s, -1);
	assert_string_equal(a.nonce, "");
}

static void a_strange_servers_error_cannot_harm_a_terminal(void **state)
{
	static const char text[] =
		"{\"code\":\"not_found\",\"message\":\"\\u001b[2Jgone\\n\",\"x\":1}";
	struct api_error a = { .server_time_s = 7 };
	struct err e;

	assert_fails(api_error_parse(&a, "<html>", 6, &e), &e, E_FORMAT);
	assert_fails(api_error_parse(&a, "{\"message\":\"\"}", 14, &e), &e, E_FORMAT);
	assert_int_equal(a.server_time_s, 7);
	assert_ok(api_error_parse(&a, text, strlen(text), &e), &e);
	assert_string_equal(a.message, "?[2Jgone?");
	assert_string_equal(a.hint, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_their_routes_and_parameters),
		cmocka_unit_test(other_paths_are_not_there),
		cmocka_unit_test(a_wrong_method_is_told_the_right_ones),
		cmocka_unit_test(every_route_is_reached_by_its_own_path),
		cmocka_unit_test(parameters_are_percent_encoded),
		cmocka_unit_test(every_route_has_a_scope_and_a_sane_limit),
		cmocka_unit_test(scopes_and_methods_have_names),
		cmocka_unit_test(formats_page_knows_every_path),
		cmocka_unit_test(errors_come_back),
		cmocka_unit_test(a_strange_servers_error_cannot_harm_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
