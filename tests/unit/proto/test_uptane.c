/* Image repository and director: only what both say alike counts. */
#include "tests/support/unit.h"

#include "tests/support/repo.h"

#include "proto/uptane.h"

#define DEVICE "0123456789abcdef0123456789abcdef"
#define NONCE "00112233445566778899aabbccddeeff"
#define VALISE                                                           \
	"{\"device\":\"" DEVICE                                          \
	"\",\"lease_s\":43200,\"security_version_floor\":2,\"rollout\":" \
	"\"r7\",\"commands\":[{\"kind\":\"lock\"}],\"nonce\":\"" NONCE "\"}"
#define RELEASE "releases/acme/1.2.0/release.json"
#define RELEASE_CUSTOM                                                                  \
	"{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"version\":\"1.2.0\"," \
	"\"security_version\":2}}"
#define POLICY_CUSTOM(name, version) \
	"{\"valise\":{\"kind\":\"policy\",\"name\":\"" name "\",\"version\":" version "}}"

static const struct uptane_check check = { .device = DEVICE,
					   .nonce = NONCE,
					   .stored_floor = 1 };

struct both {
	struct repo image, director;
	struct uptane_want want;
};

/* A release and two bundles, on both sides. */
static void both_init(struct both *b)
{
	b->want = (struct uptane_want){ 0 };
	repo_init(&b->image);
	repo_init(&b->director);
	repo_delegate(&b->image, "targets", "releases.acme", 6, "releases/acme/*/*")
		->terminating = true;
	repo_delegate(&b->image, "targets", "policies", 7, "policies/*/*")->terminating = true;
	repo_target(&b->image, "releases.acme", RELEASE, "the release", RELEASE_CUSTOM);
	repo_target(&b->image, "policies", "policies/wifi/2.json", "wifi",
		    POLICY_CUSTOM("wifi", "2"));
	repo_target(&b->image, "policies", "policies/base/3.json", "base",
		    POLICY_CUSTOM("base", "3"));
	for (size_t i = 0; i < b->image.n_targets; i++) {
		struct repo_target *t = &b->director.targets[b->director.n_targets++];

		*t = b->image.targets[i];
		t->role = "targets";
	}
	repo_role(&b->director, "targets")->valise = VALISE;
}

static void both_done(struct both *b)
{
	uptane_want_done(&b->want);
	repo_done(&b->image);
	repo_done(&b->director);
}

static bool verify(struct both *b, const struct uptane_check *c, struct err *e)
{
	uptane_want_done(&b->want);
	repo_publish_all(&b->image);
	repo_publish_all(&b->director);
	assert_ok(repo_refresh(&b->image, e), e);
	assert_ok(repo_refresh(&b->director, e), e);
	return uptane_verify(&b->want, b->director.client, b->image.client, c, e);
}

static void check_words(const struct err *e, const char *words)
{
	if (!strstr(e->text, words))
		fail_msg("\"%s\" lacks \"%s\"", e->text, words);
}

static void what_both_name_is_what_the_device_shall_run(void **state)
{
	CLEANUP(both_done) struct both b;
	struct uptane_check any = check;
	struct err e;

	both_init(&b);
	assert_ok(verify(&b, &check, &e), &e);
	assert_true(b.want.has_release);
	assert_string_equal(b.want.release.path, RELEASE);
	assert_string_equal(b.want.release.name, "acme");
	assert_string_equal(b.want.release.version, "1.2.0");
	assert_int_equal(b.want.release.number, 2);
	assert_int_equal(b.want.release.hashes.length, 11);
	assert_int_equal(b.want.n_policies, 2);
	assert_string_equal(b.want.policies[0].path, "policies/base/3.json");
	assert_string_equal(b.want.policies[1].name, "wifi");
	assert_string_equal(b.want.policies[1].version, "2");
	assert_int_equal(b.want.lease_s, 43200);
	assert_int_equal(b.want.security_version_floor, 2);
	assert_string_equal(b.want.rollout, "r7");
	assert_int_equal(jarr_n(b.want.commands), 1);
	any.nonce = NULL;
	assert_ok(verify(&b, &any, &e), &e);
	uptane_want_done(NULL);
}

static void nothing_wanted_is_fine(void **state)
{
	CLEANUP(both_done) struct both b;
	struct err e;

	both_init(&b);
	b.director.n_targets = 0;
	repo_role(&b.director, "targets")->valise =
		"{\"device\":\"" DEVICE
		"\",\"lease_s\":1,\"security_version_floor\":0,\"commands\":[],"
		"\"nonce\":\"" NONCE "\"}";
	assert_ok(verify(&b, &check, &e), &e);
	assert_false(b.want.has_release);
	assert_int_equal(b.want.n_policies, 0);
	assert_string_equal(b.want.rollout, "");
}

/* The director alone cannot make anything run ... */
static void what_only_the_director_names_is_refused(void **state)
{
	CLEANUP(both_done) struct both b;
	struct err e;

	both_init(&b);
	b.image.n_targets = 2; /* without the last */
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "policies/base/3.json: the image repository does not have it");
	assert_null(b.want.policies);
}

/* ... and what the image repository has is not run unasked. */
static void every_difference_between_the_two_is_refused(void **state)
{
	static const struct {
		const char *p, *custom, *words;
	} cases[] = {
		{ "the Release", RELEASE_CUSTOM, "length or hashes differ" },
		{ "the release ", RELEASE_CUSTOM, "length or hashes differ" },
		{ "the release",
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"version\":\"1.2.0\","
		  "\"security_version\":3}}",
		  "custom fields differ" },
		{ "the release",
		  "{\"x\":1,\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"version\":\"1.2.0\","
		  "\"security_version\":2}}",
		  "custom fields differ" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(both_done) struct both b;
		struct err e;

		both_init(&b);
		b.director.targets[0].p = cases[i].p;
		b.director.targets[0].n = strlen(cases[i].p);
		b.director.targets[0].custom = cases[i].custom;
		assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
		check_words(&e, cases[i].words);
		check_words(&e, RELEASE);
	}
	CLEANUP(both_done) struct both b;
	struct err e;

	both_init(&b);
	b.image.targets[0].custom = NULL;
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "no custom fields");
}

/* Hashes beyond SHA-256 count where both have them; without SHA-256 nothing counts. */
static void the_hashes_that_both_have_must_agree(void **state)
{
	static const struct {
		const char *image, *director;
		bool good;
	} cases[] = {
		{ "\"sha256\":\"%1\",\"sha512\":\"%2\"", "\"sha256\":\"%1\",\"sha512\":\"%2\"",
		  true },
		{ "\"sha256\":\"%1\"", "\"sha256\":\"%1\",\"sha512\":\"%2\"", true },
		{ "\"sha256\":\"%1\",\"sha512\":\"%2\"", "\"sha256\":\"%1\"", true },
		{ "\"sha256\":\"%1\",\"sha512\":\"%2\"", "\"sha256\":\"%1\",\"sha512\":\"%3\"",
		  false },
		{ "\"sha512\":\"%2\"", "\"sha256\":\"%1\",\"sha512\":\"%2\"", false },
		{ "\"sha256\":\"%1\",\"sha512\":\"%2\"", "\"sha512\":\"%2\"", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(both_done) struct both b;
		struct err e;

		both_init(&b);
		repo_publish_all(&b.image);
		repo_publish_all(&b.director);
		for (int side = 0; side < 2; side++) {
			const char *f = side ? cases[i].director : cases[i].image;
			CLEANUP(buf_done) struct buf s = BUF_INIT(10000);

			assert_ok(
				buf_printf(
					&s, &e,
					"{\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":2,"
					"\"expires\":\"2030-01-01T00:00:00Z\",\"valise\":%s,\"targets\":{\"%s\":"
					"{\"length\":1,\"custom\":%s,\"hashes\":{",
					VALISE, RELEASE, RELEASE_CUSTOM),
				&e);
			for (; *f; f++) {
				int digits = f[1] == '1' ? 64 : 128;

				if (*f != '%') {
					assert_ok(buf_add(&s, f, 1, &e), &e);
					continue;
				}
				for (int k = 0; k < digits; k++)
					assert_ok(buf_add(&s, &f[1], 1, &e), &e);
				f++;
			}
			assert_ok(buf_add_str(&s, "}}}}", &e), &e);
			repo_serve(side ? &b.director : &b.image, "2.targets.json", buf_str(&s),
				   KEY(3));
		}
		assert_ok(repo_refresh(&b.image, &e), &e);
		assert_ok(repo_refresh(&b.director, &e), &e);
		bool ok = uptane_verify(&b.want, b.director.client, b.image.client, &check, &e);
		if (ok != cases[i].good)
			fail_msg("case %zu: %s", i, ok ? "taken" : e.text);
	}
}

static void custom_fields_and_path_must_tell_the_same(void **state)
{
	static const struct {
		const char *path, *custom;
		enum err_code code;
		const char *words;
	} cases[] = {
		{ "releases/acme/1.3.0/release.json", RELEASE_CUSTOM, E_UNTRUSTED,
		  "belong to " RELEASE },
		{ "releases/other/1.2.0/release.json", RELEASE_CUSTOM, E_UNTRUSTED,
		  "belong to" },
		{ "policies/base/1.json", POLICY_CUSTOM("base", "3"), E_UNTRUSTED,
		  "belong to" },
		{ RELEASE, NULL, E_UNTRUSTED, "no custom field" },
		{ RELEASE, "{}", E_UNTRUSTED, "no custom field" },
		{ RELEASE, "{\"valise\":1}", E_UNTRUSTED, "no custom field" },
		{ RELEASE, "{\"valise\":{}}", E_FORMAT, "custom: valise: kind" },
		{ RELEASE, "{\"valise\":{\"kind\":1}}", E_FORMAT, "kind" },
		{ RELEASE, "{\"valise\":{\"kind\":\"delta\"}}", E_FORMAT, "kind" },
		{ RELEASE, "{\"valise\":{\"kind\":\"release\"}}", E_FORMAT,
		  "product: missing" },
		{ RELEASE, "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\"}}", E_FORMAT,
		  "version: missing" },
		{ RELEASE,
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"version\":\"1.2.0\"}}",
		  E_FORMAT, "security_version: missing" },
		{ RELEASE,
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"../x\",\"version\":\"1\"}}",
		  E_FORMAT, "product" },
		{ RELEASE,
		  "{\"valise\":{\"kind\":\"release\",\"product\":\"acme\",\"version\":\"1.2.0\","
		  "\"security_version\":2,\"more\":1}}",
		  E_FORMAT, "more" },
		{ "policies/base/3.json", "{\"valise\":{\"kind\":\"policy\"}}", E_FORMAT,
		  "name: missing" },
		{ "policies/base/3.json",
		  "{\"valise\":{\"kind\":\"policy\",\"name\":\"base\"}}", E_FORMAT,
		  "version: missing" },
		{ "policies/base/3.json", "{\"valise\":{\"kind\":\"policy\",\"x\":1}}",
		  E_FORMAT, "x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(both_done) struct both b;
		struct err e;

		both_init(&b);
		b.director.n_targets = 0;
		repo_target(&b.director, "targets", cases[i].path, "x", cases[i].custom);
		assert_fails(verify(&b, &check, &e), &e, cases[i].code);
		check_words(&e, cases[i].words);
		check_words(&e, cases[i].path);
	}
}

static void only_one_release_and_one_version_of_a_policy(void **state)
{
	CLEANUP(both_done) struct both b;
	static const char other[] =
		"{\"valise\":{\"kind\":\"release\",\"product\":\"other\",\"version\":"
		"\"1.0\",\"security_version\":9}}";
	struct err e;

	both_init(&b);
	repo_target(&b.director, "targets", "releases/other/1.0/release.json", "x", other);
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "a second release");
	b.director.n_targets--;
	repo_target(&b.director, "targets", "policies/base/4.json", "x",
		    POLICY_CUSTOM("base", "4"));
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "a second version");
}

static void metadata_for_another_device_or_check_in_is_refused(void **state)
{
	CLEANUP(both_done) struct both b;
	struct uptane_check c = check;
	struct err e;

	both_init(&b);
	c.device = "ffffffffffffffffffffffffffffffff";
	assert_fails(verify(&b, &c, &e), &e, E_UNTRUSTED);
	check_words(&e, "it is for device " DEVICE);
	c = check;
	c.nonce = "ffffffffffffffffffffffffffffffff";
	assert_fails(verify(&b, &c, &e), &e, E_UNTRUSTED);
	check_words(&e, "another check-in");
}

static void the_floor_is_the_higher_of_both(void **state)
{
	CLEANUP(both_done) struct both b;
	struct uptane_check c = check;
	struct err e;

	both_init(&b);
	c.stored_floor = 3;
	assert_fails(verify(&b, &c, &e), &e, E_ROLLBACK);
	check_words(&e, "security version 2 is below 3");
	c.stored_floor = 2;
	assert_ok(verify(&b, &c, &e), &e);
	repo_role(&b.director, "targets")->valise =
		"{\"device\":\"" DEVICE
		"\",\"lease_s\":1,\"security_version_floor\":3,\"commands\":[],"
		"\"nonce\":\"" NONCE "\"}";
	assert_fails(verify(&b, &c, &e), &e, E_ROLLBACK);
}

static void a_director_that_delegates_is_refused(void **state)
{
	CLEANUP(both_done) struct both b;
	struct err e;

	both_init(&b);
	repo_delegate(&b.director, "targets", "d", 6, "*");
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "targets delegate");
}

static void the_directors_own_field_is_checked(void **state)
{
	static const struct {
		const char *valise, *words;
	} cases[] = {
		{ NULL, "valise: missing" },
		{ "{}", "device: missing" },
		{ "{\"device\":\"d\"}", "lease_s: missing" },
		{ "{\"device\":\"d\",\"lease_s\":0}", "lease_s" },
		{ "{\"device\":\"d\",\"lease_s\":31622401}",
		  "lease_s" }, /* a year and a second */
		{ "{\"device\":\"d\",\"lease_s\":1}", "security_version_floor: missing" },
		{ "{\"device\":\"d\",\"lease_s\":1,\"security_version_floor\":0}",
		  "commands: missing" },
		{ "{\"device\":\"d\",\"lease_s\":1,\"security_version_floor\":0,\"commands\":[]}",
		  "nonce: missing" },
		{ "{\"device\":\"d\",\"lease_s\":1,\"security_version_floor\":0,\"commands\":[],\"nonce\":\"\","
		  "\"rollout\":1}",
		  "rollout" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(both_done) struct both b;
		struct err e;

		both_init(&b);
		repo_role(&b.director, "targets")->valise = cases[i].valise;
		assert_fails(verify(&b, &check, &e), &e, E_FORMAT);
		check_words(&e, cases[i].words);
		check_words(&e, "director");
	}
}

static void more_commands_than_a_handset_reads_are_refused(void **state)
{
	for (int n = 64; n <= 65; n++) {
		CLEANUP(buf_done) struct buf s = BUF_INIT(4096);
		CLEANUP(both_done) struct both b;
		struct err e;

		both_init(&b);
		assert_ok(buf_add_str(&s,
				      "{\"device\":\"" DEVICE
				      "\",\"lease_s\":1,\"security_version_floor\":0,"
				      "\"nonce\":\"" NONCE "\",\"commands\":[0",
				      &e),
			  &e);
		for (int i = 1; i < n; i++)
			assert_ok(buf_add_str(&s, ",0", &e), &e);
		assert_ok(buf_add_str(&s, "]}", &e), &e);
		repo_role(&b.director, "targets")->valise = buf_str(&s);
		if (n == 64) {
			assert_ok(verify(&b, &check, &e), &e);
			continue;
		}
		assert_fails(verify(&b, &check, &e), &e, E_TOO_BIG);
		check_words(&e, "commands");
	}
}

/* tuf_parse lets no such entry through; this does not rely on it. */
static void a_malformed_entry_is_refused_again(void **state)
{
	static const char text[] = "{\"valise\":" VALISE ",\"targets\":{\"a\":{}}}";
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct uptane_want want = { 0 };
	struct tuf_meta m = { .type = TUF_TARGETS };
	struct err e;

	assert_ok(jdoc_parse(&d, text, sizeof(text) - 1, &e), &e);
	m.signed_part = jdoc_root(d);
	m.targets = jobj_opt(m.signed_part, "targets");
	assert_fails(uptane_director_parse(&want, &m, &check, &e), &e, E_FORMAT);
}

static void too_many_policies_are_refused(void **state)
{
	CLEANUP(buf_done) struct buf s = BUF_INIT(100000);
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct uptane_want want = { 0 };
	struct err e;

	assert_ok(
		buf_printf(
			&s, &e,
			"{\"signatures\":[],\"signed\":{\"_type\":\"targets\",\"spec_version\":\"1.0\","
			"\"version\":2,\"expires\":\"2030-01-01T00:00:00Z\",\"valise\":%s,\"targets\":{",
			VALISE),
		&e);
	for (int i = 0; i <= LIMIT_UPTANE_POLICIES; i++)
		assert_ok(
			buf_printf(
				&s, &e,
				"%s\"policies/p%d/1.json\":{\"length\":1,\"hashes\":{\"sha256\":\"%064d\"},"
				"\"custom\":{\"valise\":{\"kind\":\"policy\",\"name\":\"p%d\",\"version\":1}}}",
				i ? "," : "", i, 0, i),
			&e);
	assert_ok(buf_add_str(&s, "}}}", &e), &e);
	assert_ok(tuf_parse(&m, TUF_TARGETS, s.p, s.n, &e), &e);
	assert_fails(uptane_director_parse(&want, m, &check, &e), &e, E_TOO_BIG);
	assert_null(want.policies);
}

/* An image repository that is not whole is no reason to take the director's word. */
static void a_broken_image_repository_is_an_error(void **state)
{
	CLEANUP(both_done) struct both b;
	struct err e;

	both_init(&b);
	repo_role(&b.image, "releases.acme")->sign = KEY(9);
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "image repository: releases.acme: version 1 is signed by 0 of the 1");
}

/* Stolen online keys of the director cannot reach what publishers signed for another path. */
static void the_publishers_of_one_product_do_not_speak_for_another(void **state)
{
	CLEANUP(both_done) struct both b;
	static const char other[] =
		"{\"valise\":{\"kind\":\"release\",\"product\":\"other\",\"version\":"
		"\"1.0\",\"security_version\":9}}";
	struct err e;

	both_init(&b);
	b.director.n_targets = b.image.n_targets = 0;
	repo_target(&b.director, "targets", "releases/other/1.0/release.json", "x", other);
	repo_target(&b.image, "releases.acme", "releases/other/1.0/release.json", "x", other);
	assert_fails(verify(&b, &check, &e), &e, E_UNTRUSTED);
	check_words(&e, "the image repository does not have it");
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	CLEANUP(both_done) struct both b;
	struct err e;
	bool ok = false;

	both_init(&b);
	assert_ok(verify(&b, &check, &e), &e);
	FAULT_EACH(n, FAULT_ALLOC) {
		uptane_want_done(&b.want);
		ok = repo_open_stored(&b.image, &e) &&
		     uptane_verify(&b.want, b.director.client, b.image.client, &check, &e);
		if (!ok && e.code != E_NOMEM)
			fail_msg("%s: %s", err_name(e.code), e.text);
	}
	assert_true(ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_both_name_is_what_the_device_shall_run),
		cmocka_unit_test(nothing_wanted_is_fine),
		cmocka_unit_test(what_only_the_director_names_is_refused),
		cmocka_unit_test(every_difference_between_the_two_is_refused),
		cmocka_unit_test(the_hashes_that_both_have_must_agree),
		cmocka_unit_test(custom_fields_and_path_must_tell_the_same),
		cmocka_unit_test(only_one_release_and_one_version_of_a_policy),
		cmocka_unit_test(metadata_for_another_device_or_check_in_is_refused),
		cmocka_unit_test(the_floor_is_the_higher_of_both),
		cmocka_unit_test(a_director_that_delegates_is_refused),
		cmocka_unit_test(the_directors_own_field_is_checked),
		cmocka_unit_test(more_commands_than_a_handset_reads_are_refused),
		cmocka_unit_test(a_malformed_entry_is_refused_again),
		cmocka_unit_test(too_many_policies_are_refused),
		cmocka_unit_test(a_broken_image_repository_is_an_error),
		cmocka_unit_test(the_publishers_of_one_product_do_not_speak_for_another),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
