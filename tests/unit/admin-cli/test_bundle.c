#include "tests/support/unit.h"

#include "admin-cli/bundle.h"
#include "proto/tuf_make.h"

static struct err e;
static struct buf out;
static struct policy *policy;

static int setup(void **state)
{
	out = BUF_INIT(100000);
	policy = NULL;
	return 0;
}

static int teardown(void **state)
{
	buf_done(&out);
	policy_free(TAKE(policy));
	return 0;
}

static bool fill_in(const char *json)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	policy_free(TAKE(policy));
	buf_reset(&out);
	assert_ok(jdoc_parse(&d, json, strlen(json), &e), &e);
	return bundle_fill_in(&out, &policy, jdoc_root(d), 7, 1700000000, &e);
}

static void what_is_left_out_is_filled_in(void **state)
{
	assert_ok(fill_in("{\"settings\":{\"vm.vcpus_max\":2},\"name\":\"base\"}"), &e);
	assert_string_equal(buf_str(&out),
			    "{\"_type\":\"policy\",\"format\":1,\"issued_at\":"
			    "\"2023-11-14T22:13:20Z\",\"name\":\"base\",\"not_before\":"
			    "\"2023-11-14T22:13:20Z\",\"settings\":{\"vm.vcpus_max\":2},"
			    "\"version\":7}");
	assert_int_equal(policy->version, 7);
}

static void what_is_given_stays(void **state)
{
	static const char full[] = "{\"_type\":\"policy\",\"format\":1,\"issued_at\":"
				   "\"2026-01-01T00:00:00Z\",\"name\":\"base\",\"not_before\":"
				   "\"2026-02-01T00:00:00Z\",\"settings\":{},\"version\":3}";

	assert_ok(fill_in(full), &e);
	assert_string_equal(buf_str(&out), full);
	assert_ok(fill_in("{\"name\":\"a\",\"settings\":{},\"issued_at\":"
			  "\"2026-01-01T00:00:00Z\"}"),
		  &e);
	assert_int_equal(policy->not_before_s, policy->issued_at_s);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *json, *word;
	} bad[] = {
		{ "[]", "object" },
		{ "{\"settings\":{}}", "name" },
		{ "{\"name\":\"a\"}", "settings" },
		{ "{\"name\":\"A\",\"settings\":{}}", "name" },
		{ "{\"name\":\"a\",\"settings\":{},\"setting\":{}}", "setting" },
		{ "{\"name\":\"a\",\"settings\":{\"vm.vcpus_max\":0}}", "vm.vcpus_max" },
		{ "{\"name\":\"a\",\"settings\":{\"vm.vcpu_max\":1}}", "vm.vcpu_max" },
		{ "{\"name\":\"a\",\"settings\":{},\"version\":0}", "version" },
		{ "{\"name\":\"a\",\"settings\":{},\"format\":2}", "format" },
		{ "{\"name\":\"a\",\"settings\":{},\"issued_at\":\"today\"}", "issued_at" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (fill_in(bad[i].json))
			fail_msg("accepted %s", bad[i].json);
		if (!strstr(e.text, bad[i].word))
			fail_msg("%s: %s", bad[i].json, e.text);
	}
}

static void the_next_version_is_above_all_that_the_role_names(void **state)
{
	static const struct tuf_make_target targets[] = {
		{ .path = "policies/base/2.json" },      { .path = "policies/base/10.json" },
		{ .path = "policies/basement/99.json" }, { .path = "policies/base/x.json" },
		{ .path = "policies/base/050.json" },
	};
	struct tuf_make_targets in = { .version = 1,
				       .expires_s = 2000000000,
				       .add = targets,
				       .n_add = ARRAY_SIZE(targets) };
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	uint64_t v = 0;

	assert_ok(bundle_next_version(&v, NULL, "base", &e), &e);
	assert_int_equal(v, 1);
	assert_ok(tuf_make_targets(&out, &in, &e), &e);
	assert_ok(tuf_parse(&m, TUF_TARGETS, out.p, out.n, &e), &e);
	assert_ok(bundle_next_version(&v, m, "base", &e), &e);
	assert_int_equal(v, 11);
	assert_ok(bundle_next_version(&v, m, "other", &e), &e);
	assert_int_equal(v, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_left_out_is_filled_in),
		CASE(what_is_given_stays),
		CASE(mistakes_are_named),
		CASE(the_next_version_is_above_all_that_the_role_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
