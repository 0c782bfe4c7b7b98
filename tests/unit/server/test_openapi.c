/* docs/openapi.yaml, proto/api.h and the handlers say the same. */
#include "tests/support/unit.h"

#include "base/io.h"
#include "proto/api.h"
#include "server/web_route.h"

#include <fcntl.h>
#include <inttypes.h>

static void every_route_has_a_handler(void **state)
{
	(void)state;
	for (unsigned i = 0; i < API_N_ROUTES; i++) {
		if (!web_handlers[i].run)
			fail_msg("%s has no handler", api_routes[i].id);
		/* What takes a body in pieces needs all of it. */
		assert_true(!web_handlers[i].begin == !web_handlers[i].data);
		assert_true(!web_handlers[i].begin == !web_handlers[i].cut);
		/* A fast handler never gets a body that takes long to read. */
		assert_true(!web_handlers[i].fast ||
			    api_routes[i].body_max <= LIMIT_CHECKIN_BODY);
	}
}

static void load(struct buf *b)
{
	const char *top = getenv("TOP");
	char path[1024];
	struct err e;

	snprintf(path, sizeof(path), "%s/docs/openapi.yaml", top ? top : ".");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_ok(read_fd(fd, b, &e), &e);
	close(fd);
}

/* The part of the text that describes one operation: from its method's line to the next one of the
 * same or a smaller depth. */
static bool find_operation(const char *yaml, const struct api_route *r, char *out, size_t size)
{
	char path[256], head[300];
	const char *p, *end;
	size_t n = 0;

	for (const char *s = r->pattern; *s; s++) {
		if (*s != '*')
			path[n++] = *s;
	}
	path[n] = 0;
	snprintf(head, sizeof(head), "\n  %s:\n", path);
	p = strstr(yaml, head);
	if (!p)
		return false;
	end = p + strlen(head);
	while (strncmp(end, "    ", 4) == 0)
		end = strchr(end, '\n') + 1;
	n = 0;
	for (const char *s = api_method_names[r->method]; *s; s++)
		path[n++] = (char)(*s | 32);
	path[n] = 0;
	snprintf(head, sizeof(head), "\n    %s:\n", path);
	p = strstr(p, head);
	if (!p || p >= end)
		return false;
	p += strlen(head);
	end = p;
	while (strncmp(end, "      ", 6) == 0)
		end = strchr(end, '\n') + 1;
	snprintf(out, size, "%.*s", (int)(end - p), p);
	return true;
}

static void scopes_text(char *out, size_t size, unsigned scopes)
{
	static const struct {
		unsigned bit;
		const char *name;
	} others[] = { { SCOPE_ANY, "any" },
		       { SCOPE_LOCAL, "local" },
		       { SCOPE_ENROL, "enrol" },
		       { SCOPE_DEVICE, "device" },
		       { SCOPE_SESSION, "session" } };
	size_t n = (size_t)snprintf(out, size, "x-scopes: [");

	for (unsigned i = 0; i < API_N_SCOPES; i++) {
		const char *name = api_scope_name((enum api_scope)(1u << i));

		if (scopes & 1u << i)
			n += (size_t)snprintf(out + n, size - n,
					      strchr(name, ':') ? "'%s', " : "%s, ", name);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		if (scopes & others[i].bit)
			n += (size_t)snprintf(out + n, size - n, "%s, ", others[i].name);
	}
	if (scopes == SCOPE_NONE)
		n += (size_t)snprintf(out + n, size - n, "none, ");
	snprintf(out + n - 2, size - n + 2, "]\n");
}

static void every_route_is_described_as_it_is(void **state)
{
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(1 << 20);
	char op[8192], want[256];

	(void)state;
	load(&yaml);
	for (unsigned i = 0; i < API_N_ROUTES; i++) {
		const struct api_route *r = &api_routes[i];

		if (!find_operation(buf_str(&yaml), r, op, sizeof(op)))
			fail_msg("%s %s is not described", api_method_names[r->method],
				 r->pattern);
		scopes_text(want, sizeof(want), r->scopes);
		if (!strstr(op, want))
			fail_msg("%s: wanted %s in\n%s", r->id, want, op);
		snprintf(want, sizeof(want), "x-body-limit: %" PRIu64 "\n", r->body_max);
		if (!strstr(op, want))
			fail_msg("%s: wanted %s in\n%s", r->id, want, op);
	}
}

static void nothing_else_is_described(void **state)
{
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(1 << 20);
	unsigned n = 0;

	(void)state;
	load(&yaml);
	for (const char *s = buf_str(&yaml); (s = strstr(s, "      operationId: ")); s++)
		n++;
	assert_int_equal(n, API_N_ROUTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_has_a_handler),
		cmocka_unit_test(every_route_is_described_as_it_is),
		cmocka_unit_test(nothing_else_is_described),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
