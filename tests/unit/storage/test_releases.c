#include "tests/unit/storage/fixture.h"

#include <pthread.h>

static void a_published_release_reads_back(void **state)
{
	FIXTURE(f, state);
	CLEANUP(release_full_done) struct release_full r = { 0 };
	CLEANUP(release_objects_done) struct release_objects o = { 0 };
	struct sample p;
	uint64_t size;
	struct err e;

	sample_make(&p, "phone", "1.0", 3);
	publish(f.s, "phone", "1.0", 3);
	assert_ok(releases_get(f.s, "phone", "1.0", &r, &e), &e);
	assert_string_equal(r.manifest, p.manifest);
	assert_int_equal(r.row.security_version, 3);
	assert_int_equal(r.row.published_at, NOW);
	assert_int_equal(r.row.download_size, strlen(p.object) + strlen(p.tree));
	assert_int_equal(r.components_n, 1);
	assert_memory_equal(&r.components[0], &p.component, sizeof(p.component));
	assert_int_equal(r.models_n, 2);
	assert_string_equal(r.models[1], "large");
	assert_ok(releases_objects(f.s, "phone", "1.0", &o, &e), &e);
	assert_int_equal(o.n, 3);
	assert_string_equal(o.items[0].name, "release.json");
	assert_string_equal(o.items[1].name, "system.tree");
	assert_string_equal(o.items[2].name, "system.zst");
	assert_ok(tuf_target(f.s, "releases/phone/1.0", "system.zst", o.items[2].sha256, &size,
			     &e),
		  &e);
	assert_int_equal(size, strlen(p.object));
	assert_fails(tuf_target(f.s, "releases/phone/1.0", "system.zst", o.items[1].sha256,
				&size, &e),
		     &e, E_NOT_FOUND);
	assert_true(has_object(f.s, p.manifest));
}

static void the_same_again_succeeds_and_writes_nothing(void **state)
{
	FIXTURE(f, state);
	enum release_put put;
	uint64_t changes;
	struct sample p;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	changes = stats_of(f.s).row_changes;
	sample_make(&p, "phone", "1.0", 1);
	assert_ok(releases_publish(f.s, &p.r, "token:k2", &put, &e), &e);
	assert_int_equal(put, RELEASE_SAME);
	assert_int_equal(stats_of(f.s).row_changes, changes);
}

static void other_content_under_a_version_is_explained(void **state)
{
	FIXTURE(f, state);
	enum release_put put;
	struct sample p;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	sample_make(&p, "phone", "1.0", 1);
	p.manifest[0] = ' ';
	assert_fails(releases_publish(f.s, &p.r, "token:k2", &put, &e), &e, E_EXISTS);
	assert_non_null(strstr(e.text, "2026-11-18T"));
}

static void missing_objects_are_listed_and_nothing_is_shown(void **state)
{
	FIXTURE(f, state);
	CLEANUP(release_full_done) struct release_full r = { 0 };
	enum release_put put;
	struct sample p;
	struct err e;

	sample_make(&p, "phone", "1.0", 1);
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_CONFLICT);
	assert_non_null(strstr(e.text, "2 objects are not stored"));
	assert_fails(releases_get(f.s, "phone", "1.0", &r, &e), &e, E_NOT_FOUND);
	sample_upload(f.s, &p);
	p.component.object_size++; /* stored, but not that long */
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_CONFLICT);
	assert_non_null(strstr(e.text, "1 objects are not stored"));
}

static void metadata_goes_live_with_the_release_or_not_at_all(void **state)
{
	FIXTURE(f, state);
	CLEANUP(release_full_done) struct release_full r = { 0 };
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct tuf_file files[] = {
		{ .repo = TUF_IMAGE,
		  .role = "releases.phone",
		  .version = 1,
		  .text = "r",
		  .n = 1 },
		{ .repo = TUF_IMAGE, .role = "timestamp", .version = 9, .text = "t", .n = 1 },
	};
	struct tuf_file first = {
		.repo = TUF_IMAGE, .role = "timestamp", .version = 1, .text = "o", .n = 1
	};
	enum release_put put;
	struct sample p;
	struct err e;

	assert_ok(tuf_put(f.s, &first, 1, "console", &e), &e);
	sample_make(&p, "phone", "1.0", 1);
	sample_upload(f.s, &p);
	p.r.tuf = files;
	p.r.tuf_n = 2;
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_CONFLICT);
	assert_fails(releases_get(f.s, "phone", "1.0", &r, &e), &e, E_NOT_FOUND);
	assert_fails(tuf_get(f.s, TUF_IMAGE, "releases.phone", 0, &t, &e), &e, E_NOT_FOUND);
	files[1].version = 2;
	assert_ok(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e);
	assert_ok(tuf_get(f.s, TUF_IMAGE, "releases.phone", 0, &t, &e), &e);
}

static void hostile_names_and_sizes_are_refused(void **state)
{
	FIXTURE(f, state);
	enum release_put put;
	struct sample p;
	struct err e;

	sample_make(&p, "../etc", "1.0", 1);
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_FORMAT);
	sample_make(&p, "phone", "..", 1);
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_FORMAT);
	sample_make(&p, "phone", "1.0", UINT64_MAX);
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_FORMAT);
	sample_make(&p, "phone", "1.0", 1);
	memcpy(p.component.name, "a/b", 4);
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_FORMAT);
	sample_make(&p, "phone", "1.0", 1);
	p.component.object_size = UINT64_MAX;
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_FORMAT);
	sample_make(&p, "phone", "1.0", 1);
	p.r.components_n = 0;
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_FORMAT);
}

static void a_withdrawn_version_is_gone_for_publishers_and_rollouts(void **state)
{
	FIXTURE(f, state);
	CLEANUP(release_full_done) struct release_full r = { 0 };
	struct target all = { .kind = TARGET_ALL };
	enum release_put put;
	int64_t number;
	struct sample p;
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	assert_ok(releases_withdraw(f.s, "phone", "1.0", "bad modem", "token:k1", &e), &e);
	assert_ok(releases_withdraw(f.s, "phone", "1.0", "again", "token:k1", &e), &e);
	assert_fails(releases_withdraw(f.s, "phone", "2.0", "", "token:k1", &e), &e,
		     E_NOT_FOUND);
	assert_ok(releases_get(f.s, "phone", "1.0", &r, &e), &e);
	assert_int_equal(r.row.withdrawn_at, NOW);
	sample_make(&p, "phone", "1.0", 1);
	assert_fails(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e, E_GONE);
	assert_fails(rollouts_create(f.s, "phone", "1.0", &all, "token:k1", &number, &e), &e,
		     E_GONE);
}

static void lists_come_in_pages(void **state)
{
	FIXTURE(f, state);
	CLEANUP(release_page_done) struct release_page a = { 0 };
	CLEANUP(release_page_done) struct release_page b = { 0 };
	CLEANUP(release_page_done) struct release_page tablets = { 0 };
	struct err e;

	publish(f.s, "phone", "1.0", 1);
	publish(f.s, "tablet", "2.0", 1);
	publish(f.s, "phone", "3.0", 1);
	assert_ok(releases_list(f.s, NULL, 0, 2, &a, &e), &e);
	assert_int_equal(a.n, 2);
	assert_true(a.more);
	assert_ok(releases_list(f.s, NULL, a.items[1].number, 2, &b, &e), &e);
	assert_int_equal(b.n, 1);
	assert_false(b.more);
	assert_string_equal(b.items[0].version, "3.0");
	assert_ok(releases_list(f.s, "tablet", 0, 0, &tablets, &e), &e);
	assert_int_equal(tablets.n, 1);
}

/* ---- two publishers of one version ---- */

struct racer {
	struct store *s;
	const struct release_new *r;
	enum release_put put;
	bool ok;
	struct err e;
	pthread_t thread;
	pthread_barrier_t *start;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->start);
	r->ok = releases_publish(r->s, r->r, "token:k1", &r->put, &r->e);
	return NULL;
}

static void run_race(struct racer r[2])
{
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		r[i].start = &start;
		assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(r[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

static void of_two_publishers_one_wins_and_the_other_is_told_why(void **state)
{
	FIXTURE(f, state);

	for (int round = 0; round < 20; round++) {
		struct sample a, b;
		char version[16];
		struct racer r[2] = { { .s = f.s, .r = &a.r }, { .s = f.s, .r = &b.r } };

		snprintf(version, sizeof(version), "%d", round);
		sample_make(&a, "phone", version, 1);
		sample_make(&b, "phone", version, 1);
		b.manifest[0] = ' ';
		sample_upload(f.s, &a);
		run_race(r);
		assert_true(r[0].ok != r[1].ok);
		assert_int_equal(r[r[0].ok].e.code, E_EXISTS);
	}
}

static void two_publishers_of_the_same_both_succeed(void **state)
{
	FIXTURE(f, state);

	for (int round = 0; round < 20; round++) {
		struct sample a;
		char version[16];
		struct racer r[2] = { { .s = f.s, .r = &a.r }, { .s = f.s, .r = &a.r } };

		snprintf(version, sizeof(version), "%d", round);
		sample_make(&a, "phone", version, 1);
		sample_upload(f.s, &a);
		run_race(r);
		assert_true(r[0].ok && r[1].ok);
		assert_int_equal((r[0].put == RELEASE_CREATED) + (r[1].put == RELEASE_CREATED),
				 1);
	}
}

static void *collect(void *arg)
{
	struct store *s = arg;
	struct objects_gc gc;
	struct err e;

	for (int i = 0; i < 30; i++)
		if (!objects_gc(s, &gc, &e))
			return arg;
	return NULL;
}

static void collection_beside_publishing_takes_nothing_needed(void **state)
{
	FIXTURE(f, state);
	struct object_totals t;
	pthread_t thread;
	struct err e;
	void *bad;

	assert_int_equal(pthread_create(&thread, NULL, collect, f.s), 0);
	for (int i = 0; i < 30; i++) {
		char version[16];

		snprintf(version, sizeof(version), "%d", i);
		publish(f.s, "phone", version, 1);
	}
	pthread_join(thread, &bad);
	assert_null(bad);
	assert_ok(objects_check(f.s, &t, &e), &e);
	assert_int_equal(t.count, 90);
	assert_ok(store_check(f.s, &e), &e);
}

static void each_failing_step_leaves_the_release_whole_or_absent(void **state)
{
	FIXTURE(f, state);
	static const enum fault_kind kinds[] = { FAULT_ALLOC, FAULT_WRITE, FAULT_SYNC,
						 FAULT_RENAME };
	struct object_totals t;
	unsigned rounds = 0;
	struct err e;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		FAULT_EACH(n, kinds[k]) {
			CLEANUP(release_full_done) struct release_full r = { 0 };
			enum release_put put;
			char version[32];
			struct sample p;
			bool ok;

			fault_disarm();
			snprintf(version, sizeof(version), "%zu.%u", k, n);
			sample_make(&p, "phone", version, 1);
			sample_upload(f.s, &p);
			fault_arm(kinds[k], n);
			ok = releases_publish(f.s, &p.r, "token:k1", &put, &e);
			rounds += fault_disarm();
			assert_true(ok == releases_get(f.s, "phone", version, &r, &e));
			assert_ok(releases_publish(f.s, &p.r, "token:k1", &put, &e), &e);
			assert_int_equal(put, ok ? RELEASE_SAME : RELEASE_CREATED);
		}
	}
	assert_in_range(rounds, 8, 1000);
	assert_ok(objects_check(f.s, &t, &e), &e);
	assert_ok(store_check(f.s, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_published_release_reads_back),
		TMPDIR_TEST(the_same_again_succeeds_and_writes_nothing),
		TMPDIR_TEST(other_content_under_a_version_is_explained),
		TMPDIR_TEST(missing_objects_are_listed_and_nothing_is_shown),
		TMPDIR_TEST(metadata_goes_live_with_the_release_or_not_at_all),
		TMPDIR_TEST(hostile_names_and_sizes_are_refused),
		TMPDIR_TEST(a_withdrawn_version_is_gone_for_publishers_and_rollouts),
		TMPDIR_TEST(lists_come_in_pages),
		TMPDIR_TEST(of_two_publishers_one_wins_and_the_other_is_told_why),
		TMPDIR_TEST(two_publishers_of_the_same_both_succeed),
		TMPDIR_TEST(collection_beside_publishing_takes_nothing_needed),
		TMPDIR_TEST(each_failing_step_leaves_the_release_whole_or_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
