#include "tests/support/unit.h"

#include "agent/policyd.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/support/httpd_stub.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW = 1795362060 };

struct world {
	struct stub *stub;
	struct https *https;
	int dirfd;
	const char *bodies[8];           /* what is served ... */
	uint8_t digests[8][SHA256_SIZE]; /* ... under which hash */
	size_t n_bodies;
	struct wanted wanted;
	struct wanted_policy policies[4];
};

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	const struct world *w = arg;

	for (size_t i = 0; i < w->n_bodies; i++) {
		char path[80] = "/objects/";

		hex_encode(path + 9, w->digests[i], SHA256_SIZE);
		if (strcmp(q->path, path) == 0) {
			stub_text(a, 200, w->bodies[i]);
			return;
		}
	}
	stub_text(a, 404, "");
}

static void world_start(struct world *w, void **state)
{
	struct err e;

	*w = (struct world){ .dirfd = -1 };
	w->stub = stub_start(serve, w);
	struct https_config c = HTTPS_CONFIG_INIT(stub_url(w->stub));
	c.allow_plain_loopback = true;
	c.proxy = "";
	assert_ok(https_new(&w->https, &c, &e), &e);
	assert_ok(dir_open_at(&w->dirfd, tmpdir_fd(state), "policies", 0700, &e), &e);
	w->wanted.policies = w->policies;
}

static void world_end(struct world *w)
{
	https_free(w->https);
	stub_stop(w->stub);
	fd_closep(&w->dirfd);
}

static void want(struct world *w, const char *name, uint64_t version, enum policy_level level,
		 const char *body)
{
	struct wanted_policy *p = &w->policies[w->wanted.n_policies++];

	*p = (struct wanted_policy){ .level = level };
	memcpy(p->item.name, name, strlen(name) + 1);
	p->item.number = version;
	p->item.hashes = (struct tuf_hashes){ .has_length = true,
					      .has_sha256 = true,
					      .length = strlen(body) };
	sha256(p->item.hashes.sha256, body, strlen(body));
	memcpy(w->digests[w->n_bodies], p->item.hashes.sha256, SHA256_SIZE);
	w->bodies[w->n_bodies++] = body;
}

static void want_nothing(struct world *w)
{
	w->wanted.n_policies = 0;
}

static bool apply(struct world *w, struct applied **ret, bool *changed, bool *waits,
		  struct err *e)
{
	return policyd_apply(ret, changed, waits, w->dirfd, w->https, &w->wanted, NOW, e);
}

#define BUNDLE(name, version, settings)                                                              \
	"{\"_type\":\"policy\",\"format\":1,\"issued_at\":\"2026-01-01T00:00:00Z\",\"name\":\"" name \
	"\",\"not_before\":\"2026-01-01T00:00:00Z\",\"settings\":{" settings                         \
	"},\"version\":" version "}"

static const char base_1[] = BUNDLE("base", "1", "\"vm.memory_max_mib\":1024");
static const char base_2[] = BUNDLE("base", "2", "\"vm.memory_max_mib\":768");
static const char sales_1[] = BUNDLE(
	"sales", "1", "\"apps.config\":{\"mail.server\":\"a\"},\"vm.memory_max_mib\":256");

static uint64_t memory_of(const struct applied *a)
{
	return a->merged->values[POLICY_VM_MEMORY_MAX_MIB].num;
}

static void bundles_are_fetched_once_merged_and_remembered(void **state)
{
	CLEANUP(applied_freep) struct applied *a = NULL;
	CLEANUP(applied_freep) struct applied *b = NULL;
	CLEANUP(applied_freep) struct applied *c = NULL;
	CLEANUP(buf_done) struct buf apps = BUF_INIT(4096);
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	want(&w, "sales", 1, POLICY_FOR_GROUP, sales_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_true(changed);
	assert_false(waits);
	assert_int_equal(memory_of(a), 256);
	assert_ok(applied_apps_config(&apps, a, &e), &e);
	assert_string_equal(buf_str(&apps), "{\"mail.server\":\"a\"}");
	assert_int_equal(stub_count(w.stub), 2);

	assert_ok(apply(&w, &b, &changed, &waits, &e), &e);
	assert_false(changed);
	assert_int_equal(stub_count(w.stub), 2);
	assert_ok(applied_load(&c, w.dirfd, &e), &e);
	assert_int_equal(c->n, 2);
	assert_int_equal(memory_of(c), 256);
	assert_int_equal(c->levels[1], POLICY_FOR_GROUP);
	world_end(&w);
}

static void without_bundles_the_defaults_hold(void **state)
{
	CLEANUP(applied_freep) struct applied *a = NULL;
	CLEANUP(buf_done) struct buf apps = BUF_INIT(64);
	struct world w;
	struct err e;

	world_start(&w, state);
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(a->n, 0);
	assert_int_equal(a->merged->values[POLICY_NET_MODE].num, NET_MODE_NONE);
	assert_ok(applied_apps_config(&apps, a, &e), &e);
	assert_string_equal(buf_str(&apps), "{}");
	world_end(&w);
}

static void a_lower_version_is_refused_also_after_it_was_taken_away(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 2, POLICY_FOR_ALL, base_2);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want_nothing(&w);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_fails(apply(&w, &a, &changed, &waits, &e), &e, E_ROLLBACK);
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(memory_of(a), 768); /* as before */
	applied_free(TAKE(a));

	want_nothing(&w);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_true(changed);
	assert_int_equal(a->n, 0);
	applied_free(TAKE(a));
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_fails(apply(&w, &a, &changed, &waits, &e), &e, E_ROLLBACK);
	world_end(&w);
}

static void what_was_not_signed_is_refused(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	static char altered[sizeof(base_1)];
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	w.bodies[0] = altered;
	for (size_t bit = 0; bit < (sizeof(base_1) - 1) * 8; bit += 37) {
		memcpy(altered, base_1, sizeof(base_1));
		flip_bit(altered, bit);
		assert_fails(apply(&w, &a, &changed, &waits, &e), &e, E_CORRUPT);
	}
	w.bodies[0] = base_1;
	/* Signed as one bundle and calling itself another. */
	want_nothing(&w);
	want(&w, "base", 1, POLICY_FOR_ALL, sales_1);
	assert_fails(apply(&w, &a, &changed, &waits, &e), &e, E_UNTRUSTED);
	want_nothing(&w);
	want(&w, "base", 2, POLICY_FOR_ALL, base_1);
	assert_fails(apply(&w, &a, &changed, &waits, &e), &e, E_UNTRUSTED);
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(a->n, 0);
	applied_free(a);
	world_end(&w);
}

static void a_bundle_for_later_leaves_the_present_one(void **state)
{
	static const char later[] =
		"{\"_type\":\"policy\",\"format\":1,\"issued_at\":\"2026-01-01T00:00:00Z\","
		"\"name\":\"base\",\"not_before\":\"2027-01-01T00:00:00Z\","
		"\"settings\":{\"vm.memory_max_mib\":128},\"version\":2}";
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want_nothing(&w);
	want(&w, "base", 2, POLICY_FOR_ALL, later);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_true(waits);
	assert_false(changed);
	assert_int_equal(memory_of(a), 1024);
	applied_free(TAKE(a));
	assert_ok(policyd_apply(&a, &changed, &waits, w.dirfd, w.https, &w.wanted,
				NOW + INT64_C(2) * 366 * 86400, &e),
		  &e);
	assert_false(waits);
	assert_true(changed);
	assert_int_equal(memory_of(a), 128);
	applied_free(a);
	world_end(&w);
}

static void a_changed_file_stops_the_phone_and_is_fetched_again(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	/* Somebody would like more memory. */
	static const char forged[] = BUNDLE("base", "1", "\"vm.memory_max_mib\":9024");
	write_file_at(w.dirfd, "=base@1.json", forged, sizeof(forged) - 1);
	assert_fails(applied_load(&a, w.dirfd, &e), &e, E_CORRUPT);
	assert_int_equal(unlinkat(w.dirfd, "=base@1.json", 0), 0);
	assert_fails(applied_load(&a, w.dirfd, &e), &e, E_CORRUPT);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(memory_of(a), 1024);
	applied_free(TAKE(a));
	/* The index as well. */
	write_file_at(w.dirfd, "index.json", "{", 1);
	assert_false(applied_load(&a, w.dirfd, &e));
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_int_equal(memory_of(a), 1024);
	applied_free(a);
	world_end(&w);
}

static void the_files_are_those_of_the_bundles_that_hold(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want(&w, "sales", 1, POLICY_FOR_GROUP, sales_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(a->n, 2);
	applied_free(TAKE(a));

	/* A newer one takes the place of the older, and one taken away holds no more, also after a restart. */
	want_nothing(&w);
	want(&w, "base", 2, POLICY_FOR_ALL, base_2);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(a->n, 1);
	assert_int_equal(memory_of(a), 768);
	applied_free(TAKE(a));
	assert_true(file_exists_at(w.dirfd, "=base@2.json"));
	assert_false(file_exists_at(w.dirfd, "=base@1.json"));
	assert_false(file_exists_at(w.dirfd, "=sales@1.json"));
	world_end(&w);
}

static void another_level_of_the_same_bundle_is_remembered(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	w.policies[0].level = POLICY_FOR_DEVICE;
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_true(changed);
	applied_free(TAKE(a));
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(a->levels[0], POLICY_FOR_DEVICE);
	applied_free(a);
	world_end(&w);
}

static void other_bytes_of_the_same_version_are_remembered(void **state)
{
	static const char again[] = BUNDLE("base", "1", "\"vm.memory_max_mib\":512");
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want_nothing(&w);
	want(&w, "base", 1, POLICY_FOR_ALL, again);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_true(changed);
	applied_free(TAKE(a));
	assert_ok(applied_load(&a, w.dirfd, &e), &e);
	assert_int_equal(memory_of(a), 512);
	applied_free(a);
	world_end(&w);
}

static void a_bundle_for_later_brings_back_none_that_was_taken_away(void **state)
{
	static const char later[] =
		"{\"_type\":\"policy\",\"format\":1,\"issued_at\":\"2026-01-01T00:00:00Z\","
		"\"name\":\"base\",\"not_before\":\"2027-01-01T00:00:00Z\","
		"\"settings\":{\"vm.memory_max_mib\":128},\"version\":2}";
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want_nothing(&w);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want(&w, "base", 2, POLICY_FOR_ALL, later);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	assert_true(waits);
	assert_int_equal(a->n, 0);
	applied_free(a);
	world_end(&w);
}

static void more_bundles_than_the_limit_are_refused(void **state)
{
	static struct wanted_policy many[LIMIT_POLICIES + 1];
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	w.wanted.policies = many;
	w.wanted.n_policies = ARRAY_SIZE(many);
	assert_fails(apply(&w, &a, &changed, &waits, &e), &e, E_TOO_BIG);
	assert_int_equal(stub_count(w.stub), 0);
	world_end(&w);
}

/* It says which versions were applied: only its own damage is a reason to begin without it. */
static void an_index_that_cannot_be_read_is_not_taken_for_a_damaged_one(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_int_equal(mkdirat(w.dirfd, "index.json", 0700), 0);
	assert_false(apply(&w, &a, &changed, &waits, &e));
	assert_int_equal(stub_count(w.stub), 0);
	world_end(&w);
}

struct applier {
	const char *url;
	int dirfd;
	const struct wanted *wanted;
};

static void apply_in_child(void *ctx)
{
	struct applier *x = ctx;
	struct https_config c = HTTPS_CONFIG_INIT(x->url);
	struct https *https = NULL;
	struct applied *a = NULL;
	bool changed, waits;
	struct err e;

	c.allow_plain_loopback = true;
	c.proxy = "";
	if (!https_new(&https, &c, &e) ||
	    !policyd_apply(&a, &changed, &waits, x->dirfd, https, x->wanted, NOW, &e))
		abort();
	applied_free(a);
	https_free(https);
}

static void a_power_cut_leaves_the_old_set_or_the_new_one(void **state)
{
	struct applied *a = NULL;
	bool changed, waits;
	struct world w;
	struct err e;

	world_start(&w, state);
	want(&w, "base", 1, POLICY_FOR_ALL, base_1);
	assert_ok(apply(&w, &a, &changed, &waits, &e), &e);
	applied_free(TAKE(a));
	want_nothing(&w);
	want(&w, "base", 2, POLICY_FOR_ALL, base_2);
	want(&w, "sales", 1, POLICY_FOR_GROUP, sales_1);
	struct applier x = { stub_url(w.stub), w.dirfd, &w.wanted };
	unsigned n = 1;
	/* Two operations are the request's; the rest are the files'. */
	for (; fault_power_cut(n, apply_in_child, &x); n++) {
		assert_ok(applied_load(&a, w.dirfd, &e), &e);
		assert_true((a->n == 1 && memory_of(a) == 1024) ||
			    (a->n == 2 && memory_of(a) == 256));
		applied_free(TAKE(a));
	}
	assert_true(n > 8);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(bundles_are_fetched_once_merged_and_remembered),
		TMPDIR_TEST(without_bundles_the_defaults_hold),
		TMPDIR_TEST(a_lower_version_is_refused_also_after_it_was_taken_away),
		TMPDIR_TEST(what_was_not_signed_is_refused),
		TMPDIR_TEST(a_bundle_for_later_leaves_the_present_one),
		TMPDIR_TEST(a_changed_file_stops_the_phone_and_is_fetched_again),
		TMPDIR_TEST(the_files_are_those_of_the_bundles_that_hold),
		TMPDIR_TEST(another_level_of_the_same_bundle_is_remembered),
		TMPDIR_TEST(other_bytes_of_the_same_version_are_remembered),
		TMPDIR_TEST(a_bundle_for_later_brings_back_none_that_was_taken_away),
		TMPDIR_TEST(more_bundles_than_the_limit_are_refused),
		TMPDIR_TEST(an_index_that_cannot_be_read_is_not_taken_for_a_damaged_one),
		TMPDIR_TEST(a_power_cut_leaves_the_old_set_or_the_new_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
