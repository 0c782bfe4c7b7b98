#include "tests/support/unit.h"

#include "base/io.h"
#include "proto/jread.h"
#include "proto/policy.h"

#include <fcntl.h>

#define GOLDEN "tests/golden/policy/v1/"

static void load(struct buf *ret, const char *name)
{
	struct err e;

	assert_ok(read_file_at(AT_FDCWD, name, ret, &e), &e);
}

static struct policy *golden(const char *name)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	struct policy *p = NULL;
	struct err e;

	load(&in, name);
	assert_ok(policy_parse(&p, in.p, in.n, &e), &e);
	return p;
}

/* A bundle of the given name with the given members of "settings". */
static bool parse_settings(struct policy **ret, const char *name, const char *settings,
			   struct err *e)
{
	char text[4096];
	int n = snprintf(text, sizeof(text),
			 "{\"_type\":\"policy\",\"format\":1,\"name\":\"%s\",\"version\":1,"
			 "\"issued_at\":\"2026-11-22T15:41:00Z\",\"not_before\":"
			 "\"2026-11-22T15:41:00Z\",\"settings\":{%s}}",
			 name, settings);

	return policy_parse(ret, text, (size_t)n, e);
}

static struct policy *with(const char *name, const char *settings)
{
	struct policy *p = NULL;
	struct err e;

	assert_ok(parse_settings(&p, name, settings, &e), &e);
	return p;
}

static struct policy_merged *merged(const struct policy_source *s, size_t n)
{
	struct policy_merged *m = NULL;
	struct err e;

	assert_ok(policy_merge(&m, s, n, &e), &e);
	return m;
}

/* ---- one bundle ---- */

static void a_canonical_bundle_comes_back_byte_for_byte(void **state)
{
	static const char *const files[] = { GOLDEN "base.json", GOLDEN "one.json" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
		CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
		CLEANUP(policy_freep) struct policy *p = golden(files[i]);
		struct err e;

		load(&in, files[i]);
		assert_ok(policy_encode(p, &out, &e), &e);
		assert_string_equal(buf_str(&out), buf_str(&in));
	}
}

static void a_bundle_says_what_is_in_it(void **state)
{
	CLEANUP(policy_freep) struct policy *p = golden(GOLDEN "base.json");
	char path[POLICY_PATH_SIZE];

	assert_string_equal(p->name, "base");
	assert_int_equal(p->version, 3);
	assert_int_equal(p->issued_at_s, 1795362060);
	assert_int_equal(p->not_before_s, 1795363200);
	assert_int_equal(p->values[POLICY_VM_MEMORY_MAX_MIB].num, 1024);
	assert_int_equal(p->values[POLICY_IMAGE_UPDATE_MODE].num, UPDATE_MODE_AUTO);
	assert_int_equal(p->values[POLICY_NET_MODE].num, NET_MODE_ALLOW);
	assert_int_equal(p->values[POLICY_NET_ALLOW_HOSTS].n_hosts, 3);
	assert_string_equal(p->values[POLICY_NET_ALLOW_HOSTS].hosts[1].host, "2001:db8::1");
	assert_string_equal(p->values[POLICY_APPS_CONFIG].map[0].key, "Greeting");
	policy_path(path, p->name, p->version);
	assert_string_equal(path, "policies/base/3.json");
}

static void a_bad_setting_is_refused_with_key_and_range(void **state)
{
	static const struct {
		const char *settings, *words;
	} bad[] = {
		{ "\"vm.vcpus_max\": 0", "settings: vm.vcpus_max: 0 is not within 1 and 64" },
		{ "\"vm.vcpus_max\": 65", "vm.vcpus_max: 65 is not within 1 and 64" },
		{ "\"vm.vcpus_max\": \"2\"", "vm.vcpus_max: a string, not an integer" },
		{ "\"vm.memory_max_mib\": 63", "63 is not within 64 and 65536" },
		{ "\"lease.duration_s\": 299", "lease.duration_s: 299 is not within 300 and" },
		{ "\"lease.grace_s\": -1", "lease.grace_s: -1 is not within 0 and 604800" },
		{ "\"health.deadline_s\": 9", "9 is not within 10 and 86400" },
		{ "\"image.update_mode\": \"never\"",
		  "image.update_mode: \"never\" is none of suggest, auto, forced" },
		{ "\"image.network\": \"wifi\"", "\"wifi\" is none of any, unmetered" },
		{ "\"net.mode\": \"bridge\"", "\"bridge\" is none of allow, none" },
		{ "\"image.install_window\": []", "0 entries are not within 1 and 16" },
		{ "\"image.install_window\": [\"22:00\"]", "0: \"22:00\" is no window" },
		{ "\"image.install_window\": [\"22:00-22:00\"]",
		  "the whole day is 00:00-24:00" },
		{ "\"image.install_window\": [\"24:00-01:00\"]", "is no window" },
		{ "\"image.install_window\": [\"01:60-02:00\"]", "is no window" },
		{ "\"image.install_window\": [\"01:00-24:01\"]", "is no window" },
		{ "\"image.install_window\": [\"1:00-02:000\"]", "is no window" },
		{ "\"net.allow_hosts\": [\"acme.example\"]",
		  "net.allow_hosts: 0: \"acme.example\": not" },
		{ "\"net.allow_hosts\": [\"a:1\", \"a:1\"]", "a:1 is there twice" },
		{ "\"net.allow_hosts\": [\"*.a:1\"]", "lower-case name" },
		{ "\"apps.config\": {\"../x\": \"\"}", "\"../x\" is no name" },
		{ "\"apps.config\": {\"x\": 1}", "apps.config: x: an integer, not a string" },
		{ "\"apps.config\": {\"x\": \"a\\nb\"}", "control character" },
		{ "\"apps.config\": []", "apps.config: an array, not an object" },
		{ "\"vm.memory_max\": 64",
		  "unknown key \"vm.memory_max\"; the nearest is vm.memory_max_mib" },
		{ "\"zzz\": 64", "unknown key \"zzz\"" },
		{ "\"vm.vcpus_max\": 1, \"vm.vcpus_max\": 2", "duplicate" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct policy *p = NULL;
		struct err e;

		assert_fails(parse_settings(&p, "base", bad[i].settings, &e), &e, E_FORMAT);
		assert_null(p);
		if (!strstr(e.text, bad[i].words))
			fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].settings, e.text,
				 bad[i].words);
	}
}

static void a_bundle_of_a_later_format_is_named_as_such(void **state)
{
	static const char text[] = "{\"_type\":\"policy\",\"format\":2,\"new\":true}";
	struct policy *p = NULL;
	struct err e;

	assert_fails(policy_parse(&p, text, strlen(text), &e), &e, E_UNSUPPORTED);
	assert_string_equal(e.text, "format: 2 is not known here, only 1");
}

static void windows_have_one_normal_form(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "\"22:00-05:00\"", "[\"22:00-05:00\"]" },
		{ "\"00:00-24:00\"", "[\"00:00-24:00\"]" },
		{ "\"00:00-12:00\",\"12:00-24:00\"", "[\"00:00-24:00\"]" },
		{ "\"22:00-24:00\",\"00:00-05:00\"", "[\"22:00-05:00\"]" },
		{ "\"22:00-24:00\"", "[\"22:00-24:00\"]" },
		{ "\"22:00-00:00\"", "[\"22:00-24:00\"]" },
		{ "\"00:00-00:01\"", "[\"00:00-00:01\"]" },
		{ "\"23:59-00:01\"", "[\"23:59-00:01\"]" },
		{ "\"13:00-14:00\",\"01:00-02:00\",\"13:30-15:00\"",
		  "[\"01:00-02:00\",\"13:00-15:00\"]" },
		{ "\"12:00-11:59\"", "[\"12:00-11:59\"]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(4096);
		char settings[256];
		struct policy *p;
		struct jw w;
		struct err e;

		snprintf(settings, sizeof(settings), "\"image.install_window\":[%s]",
			 cases[i].in);
		p = with("base", settings);
		jw_init(&w, &out);
		policy_value_write(&w, NULL, POLICY_IMAGE_INSTALL_WINDOW,
				   &p->values[POLICY_IMAGE_INSTALL_WINDOW]);
		assert_ok(jw_finish(&w, &e), &e);
		assert_string_equal(buf_str(&out), cases[i].out);
		policy_free(p);
	}
}

/* ---- several ---- */

static void without_any_bundle_the_defaults_count(void **state)
{
	CLEANUP(policy_merged_freep) struct policy_merged *m = merged(NULL, 0);
	struct release r = { .health_deadline_s = 300 };
	struct model model = { .memory_mib = 512, .vcpus = 4 };
	struct policy_limits l = policy_narrow(m, &r, &model);

	assert_int_equal(m->values[POLICY_IMAGE_UPDATE_MODE].num, UPDATE_MODE_AUTO);
	assert_int_equal(m->values[POLICY_IMAGE_NETWORK].num, NETWORK_UNMETERED);
	assert_int_equal(m->values[POLICY_NET_MODE].num, NET_MODE_NONE);
	assert_int_equal(m->values[POLICY_LEASE_DURATION_S].num, 43200);
	assert_int_equal(m->values[POLICY_LEASE_GRACE_S].num, 3600);
	assert_false(m->values[POLICY_VM_VCPUS_MAX].set);
	assert_int_equal(l.memory_mib, 512);
	assert_int_equal(l.vcpus, 4);
	assert_int_equal(l.health_deadline_s, 300);
	assert_true(policy_window_open(m, 0));
	assert_int_equal(policy_window_wait_min(m, 1439), 0);
}

static void the_most_restrictive_value_wins_in_any_order(void **state)
{
	CLEANUP(buf_done) struct buf want = BUF_INIT(65536);
	struct policy *p[3] = { golden(GOLDEN "base.json"), golden(GOLDEN "sales.json"),
				golden(GOLDEN "one.json") };
	const struct policy_source all[3] = { { p[0], POLICY_FOR_ALL },
					      { p[1], POLICY_FOR_GROUP },
					      { p[2], POLICY_FOR_DEVICE } };
	static const unsigned orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					       { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	load(&want, GOLDEN "explained.json");
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
		struct policy_source s[3] = { all[orders[i][0]], all[orders[i][1]],
					      all[orders[i][2]] };
		struct policy_merged *m = merged(s, 3);
		struct jw w;
		struct err e;

		jw_init(&w, &out);
		policy_explain_write(&w, NULL, m);
		assert_ok(jw_finish(&w, &e), &e);
		assert_string_equal(buf_str(&out), buf_str(&want));
		policy_merged_free(m);
	}
	for (size_t i = 0; i < 3; i++)
		policy_free(p[i]);
}

static void an_explanation_names_the_group(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct policy *p = with("base", "\"vm.vcpus_max\":2");
	struct policy_source s = { .bundle = p, .level = POLICY_FOR_GROUP, .group = "sales" };
	struct policy_merged *m = merged(&s, 1);
	struct err e;
	struct jw w;

	jw_init(&w, &out);
	policy_explain_write(&w, NULL, m);
	assert_ok(jw_finish(&w, &e), &e);
	assert_non_null(strstr(buf_str(&out), "\"from\":{\"name\":\"base\",\"version\":1,"
					      "\"level\":\"group\",\"group\":\"sales\"}"));
	policy_merged_free(m);
	policy_free(p);
}

static void a_policy_only_narrows_what_the_manifest_allows(void **state)
{
	struct policy *p = with("base", "\"vm.memory_max_mib\":1024,\"vm.vcpus_max\":2,"
					"\"health.deadline_s\":100");
	struct policy_source s = { p, POLICY_FOR_ALL };
	struct policy_merged *m = merged(&s, 1);
	struct release r = { .health_deadline_s = 300 };
	struct model large = { .memory_mib = 4096, .vcpus = 8 };
	struct model small = { .memory_mib = 256, .vcpus = 1 };

	assert_int_equal(policy_narrow(m, &r, &large).memory_mib, 1024);
	assert_int_equal(policy_narrow(m, &r, &large).vcpus, 2);
	assert_int_equal(policy_narrow(m, &r, &large).health_deadline_s, 100);
	assert_int_equal(policy_narrow(m, &r, &small).memory_mib, 256);
	assert_int_equal(policy_narrow(m, &r, &small).vcpus, 1);
	r.health_deadline_s = 50;
	assert_int_equal(policy_narrow(m, &r, &small).health_deadline_s, 50);
	policy_merged_free(m);
	policy_free(p);
}

static void windows_that_never_meet_never_open(void **state)
{
	struct policy *a = with("a", "\"image.install_window\":[\"22:00-02:00\"]");
	struct policy *b = with("b", "\"image.install_window\":[\"02:00-04:00\"]");
	struct policy *c = with("c", "\"image.install_window\":[\"01:30-03:00\"]");
	struct policy_source s[2] = { { a, POLICY_FOR_ALL }, { b, POLICY_FOR_ALL } };
	struct policy_merged *m = merged(s, 2);

	assert_int_equal(policy_window_wait_min(m, 0), -1);
	assert_null(m->winners[POLICY_IMAGE_INSTALL_WINDOW]);
	policy_merged_free(m);
	s[1].bundle = c;
	m = merged(s, 2);
	assert_true(policy_window_open(m, 90));
	assert_true(policy_window_open(m, 119));
	assert_false(policy_window_open(m, 120));
	assert_int_equal(policy_window_wait_min(m, 60), 30);
	assert_int_equal(policy_window_wait_min(m, 120), 1440 - 30);
	policy_merged_free(m);
	policy_free(a);
	policy_free(b);
	policy_free(c);
}

static void among_equals_the_closest_then_the_first_name_wins(void **state)
{
	struct policy *a = with("a", "\"vm.vcpus_max\":2"),
		      *b = with("b", "\"vm.vcpus_max\":2");
	struct policy_source s[2] = { { b, POLICY_FOR_GROUP }, { a, POLICY_FOR_GROUP } };
	struct policy_merged *m = merged(s, 2);

	assert_string_equal(m->winners[POLICY_VM_VCPUS_MAX]->bundle->name, "a");
	policy_merged_free(m);
	s[0].level = POLICY_FOR_DEVICE;
	m = merged(s, 2);
	assert_string_equal(m->winners[POLICY_VM_VCPUS_MAX]->bundle->name, "b");
	policy_merged_free(m);
	policy_free(a);
	policy_free(b);
}

static void a_bundle_at_two_levels_counts_once_and_at_one_version(void **state)
{
	struct policy *a = with("a", "\"vm.vcpus_max\":2"), *other = with("a", "");
	struct policy_source s[3] = { { a, POLICY_FOR_ALL },
				      { a, POLICY_FOR_DEVICE },
				      { a, POLICY_FOR_GROUP } };
	struct policy_merged *m = merged(s, 3);
	struct err e;

	assert_int_equal(m->n_sources, 1);
	assert_int_equal(m->sources[0].level, POLICY_FOR_DEVICE);
	policy_merged_free(m);
	m = NULL;
	other->version = 2;
	s[1].bundle = other;
	assert_fails(policy_merge(&m, s, 3, &e), &e, E_CONFLICT);
	assert_null(m);
	policy_free(a);
	policy_free(other);
}

static void a_failing_allocation_is_reported(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);

	load(&in, GOLDEN "base.json");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(policy_freep) struct policy *p = NULL;
		CLEANUP(policy_merged_freep) struct policy_merged *m = NULL;
		CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
		struct policy_source s = { .level = POLICY_FOR_ALL };
		struct err e;
		bool ok = policy_parse(&p, in.p, in.n, &e);

		s.bundle = p;
		ok = ok && policy_merge(&m, &s, 1, &e) && policy_encode(p, &out, &e);
		assert_true(ok || e.code == E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_canonical_bundle_comes_back_byte_for_byte),
		cmocka_unit_test(a_bundle_says_what_is_in_it),
		cmocka_unit_test(a_bad_setting_is_refused_with_key_and_range),
		cmocka_unit_test(a_bundle_of_a_later_format_is_named_as_such),
		cmocka_unit_test(windows_have_one_normal_form),
		cmocka_unit_test(without_any_bundle_the_defaults_count),
		cmocka_unit_test(the_most_restrictive_value_wins_in_any_order),
		cmocka_unit_test(an_explanation_names_the_group),
		cmocka_unit_test(a_policy_only_narrows_what_the_manifest_allows),
		cmocka_unit_test(windows_that_never_meet_never_open),
		cmocka_unit_test(among_equals_the_closest_then_the_first_name_wins),
		cmocka_unit_test(a_bundle_at_two_levels_counts_once_and_at_one_version),
		cmocka_unit_test(a_failing_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
