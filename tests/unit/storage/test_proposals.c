#include "tests/unit/storage/fixture.h"

#include "storage/proposals.h"

static const char role_text[] = "{\"signatures\":[1],\"signed\":{}}";

/* A release of acme with its objects stored, and its role. */
struct waiting {
	struct sample s;
	struct tuf_file role;
	struct proposal_new p;
};

static void waiting_make(struct waiting *w, const char *product, const char *version)
{
	sample_make(&w->s, product, version, 1);
	w->role = (struct tuf_file){ .repo = TUF_IMAGE,
				     .role = "releases.phone",
				     .version = 2,
				     .expires_at = NOW + 1000,
				     .text = role_text,
				     .n = strlen(role_text) };
	w->s.r.tuf = &w->role;
	w->s.r.tuf_n = 1;
	w->p = (struct proposal_new){ .release = &w->s.r, .detail = "1 of 2: ab12" };
}

static void store_objects(struct store *s, const struct waiting *w)
{
	uint8_t sha[SHA256_SIZE];

	put_object(s, w->s.object, sha);
	put_object(s, w->s.tree, sha);
}

static void what_was_proposed_reads_back_and_nothing_of_it_is_published(void **state)
{
	FIXTURE(f, state);
	CLEANUP(proposal_done) struct proposal got = { .number = 0 };
	CLEANUP(release_full_done) struct release_full full = { 0 };
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct waiting w;
	uint64_t size;
	struct err e;

	waiting_make(&w, "phone", "1.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	assert_ok(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "1.0", &got, &e), &e);
	assert_string_equal(got.text, w.s.manifest);
	assert_string_equal(got.role, role_text);
	assert_int_equal(got.role_n, strlen(role_text));
	assert_int_equal(got.proposed_at, NOW);
	assert_int_equal(got.expires_at, NOW + PROPOSALS_LIFE_S);
	assert_string_equal(got.proposed_by, "token:k1");

	assert_fails(releases_get(f.s, "phone", "1.0", &full, &e), &e, E_NOT_FOUND);
	assert_fails(tuf_get(f.s, TUF_IMAGE, "releases.phone", 0, &t, &e), &e, E_NOT_FOUND);
	assert_fails(tuf_target(f.s, "releases/phone/1.0", "system.zst",
				w.s.component.object_sha256, &size, &e),
		     &e, E_NOT_FOUND);
}

static void publishing_ends_the_waiting(void **state)
{
	FIXTURE(f, state);
	struct proposal got;
	struct waiting w;
	struct err e;

	waiting_make(&w, "phone", "1.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	publish(f.s, "phone", "1.0", 1);
	assert_fails(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "1.0", &got, &e), &e,
		     E_NOT_FOUND);
	assert_fails(proposals_put(f.s, &w.p, "token:k1", &e), &e, E_EXISTS);
	waiting_make(&w, "phone", "1.0");
	w.s.r.manifest = "{\"other\":1}";
	w.s.r.manifest_n = 11;
	assert_fails(proposals_put(f.s, &w.p, "token:k1", &e), &e, E_EXISTS);
	assert_ok(releases_withdraw(f.s, "phone", "1.0", "bad", "token:k1", &e), &e);
	assert_fails(proposals_put(f.s, &w.p, "token:k1", &e), &e, E_GONE);
}

static void objects_must_be_there_and_stay_as_long_as_it_waits(void **state)
{
	FIXTURE(f, state);
	struct objects_gc gone;
	struct waiting w;
	uint8_t sha[SHA256_SIZE];
	struct err e;

	waiting_make(&w, "phone", "1.0");
	put_object(f.s, w.s.object, sha);
	assert_fails(proposals_put(f.s, &w.p, "token:k1", &e), &e, E_CONFLICT);
	put_object(f.s, w.s.tree, sha);
	put_object(f.s, "nobody needs this", sha);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);

	f.clock.now_s += PROPOSALS_LIFE_S - 1;
	assert_ok(objects_gc(f.s, &gone, &e), &e);
	assert_true(has_object(f.s, w.s.object));
	assert_true(has_object(f.s, w.s.tree));
	assert_false(has_object(f.s, "nobody needs this"));
	f.clock.now_s += 2;
	assert_ok(objects_gc(f.s, &gone, &e), &e);
	assert_false(has_object(f.s, w.s.object));
	assert_false(has_object(f.s, w.s.tree));
}

static void it_expires_and_is_pruned(void **state)
{
	FIXTURE(f, state);
	struct proposal_page page;
	struct proposal got;
	struct waiting w;
	struct err e;

	waiting_make(&w, "phone", "1.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	f.clock.now_s += PROPOSALS_LIFE_S;
	assert_fails(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "1.0", &got, &e), &e,
		     E_NOT_FOUND);
	assert_ok(proposals_list(f.s, PROPOSAL_RELEASE, NULL, 0, 10, &page, &e), &e);
	assert_int_equal(page.n, 0);
	proposal_page_done(&page);
	assert_ok(proposals_prune(f.s, &e), &e);
	f.clock.now_s -= PROPOSALS_LIFE_S; /* gone, and not only too old */
	assert_fails(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "1.0", &got, &e), &e,
		     E_NOT_FOUND);
}

static void a_later_one_takes_the_place_of_the_earlier(void **state)
{
	FIXTURE(f, state);
	CLEANUP(proposal_done) struct proposal got = { .number = 0 };
	struct waiting w;
	struct err e;

	waiting_make(&w, "phone", "1.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	w.s.r.manifest = "{\"other\":1}";
	w.s.r.manifest_n = 11;
	f.clock.now_s += 100;
	assert_ok(proposals_put(f.s, &w.p, "token:k2", &e), &e);
	assert_ok(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "1.0", &got, &e), &e);
	assert_string_equal(got.text, "{\"other\":1}");
	assert_string_equal(got.proposed_by, "token:k2");
	assert_int_equal(got.expires_at, NOW + 100 + PROPOSALS_LIFE_S);
}

static void a_product_has_so_many_and_others_have_theirs(void **state)
{
	FIXTURE(f, state);
	struct proposal_page page;
	char version[16];
	struct waiting w;
	struct err e;

	for (int i = 0; i < PROPOSALS_MAX; i++) {
		snprintf(version, sizeof(version), "1.%d", i);
		waiting_make(&w, "phone", version);
		store_objects(f.s, &w);
		assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	}
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e); /* one of them again */
	waiting_make(&w, "phone", "2.0");
	store_objects(f.s, &w);
	assert_fails(proposals_put(f.s, &w.p, "token:k1", &e), &e, E_BUSY);
	waiting_make(&w, "tablet", "2.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);

	assert_ok(proposals_list(f.s, PROPOSAL_RELEASE, "phone", 0, 10, &page, &e), &e);
	assert_int_equal(page.n, 10);
	assert_true(page.more);
	int64_t after = page.items[9].number;
	assert_string_equal(page.items[0].version, "1.0");
	proposal_page_done(&page);
	assert_ok(proposals_list(f.s, PROPOSAL_RELEASE, "phone", after, 10, &page, &e), &e);
	assert_int_equal(page.n, PROPOSALS_MAX - 10);
	assert_false(page.more);
	proposal_page_done(&page);
	assert_ok(proposals_list(f.s, PROPOSAL_RELEASE, NULL, 0, 100, &page, &e), &e);
	assert_int_equal(page.n, PROPOSALS_MAX + 1);
	proposal_page_done(&page);

	/* Room comes with time. */
	f.clock.now_s += PROPOSALS_LIFE_S;
	waiting_make(&w, "phone", "2.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
}

static void who_signed_is_in_the_audit_log(void **state)
{
	FIXTURE(f, state);
	struct audit_page page;
	struct waiting w;
	struct err e;

	waiting_make(&w, "phone", "1.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	assert_ok(audit_list(f.s, 0, 100, &page, &e), &e);
	const struct audit_row *last = &page.items[page.n - 1];
	assert_string_equal(last->verb, "release.propose");
	assert_string_equal(last->subject, "phone/1.0");
	assert_string_equal(last->actor, "token:k1");
	assert_string_equal(last->detail, "1 of 2: ab12");
	audit_page_done(&page);
	assert_fails(proposals_put(f.s, &w.p, "", &e), &e, E_FORMAT);
	w.s.r.version = "../1";
	assert_fails(proposals_put(f.s, &w.p, "token:k1", &e), &e, E_FORMAT);
}

/* ---- bundles ---- */

struct bundle {
	char text[64];
	struct tuf_file role;
	struct policy_new b;
	struct proposal_new p;
};

static void bundle_make(struct bundle *w, const char *name, uint64_t version)
{
	size_t n =
		(size_t)snprintf(w->text, sizeof(w->text), "{\"%s\":%d}", name, (int)version);

	w->role = (struct tuf_file){ .repo = TUF_IMAGE,
				     .role = "policies",
				     .version = 2,
				     .expires_at = NOW + 1000,
				     .text = role_text,
				     .n = strlen(role_text) };
	w->b = (struct policy_new){ .name = name,
				    .version = version,
				    .text = w->text,
				    .n = n,
				    .tuf = &w->role,
				    .tuf_n = 1 };
	w->p = (struct proposal_new){ .policy = &w->b, .detail = "1 of 2: ab12" };
}

static void publish_bundle(struct store *s, const struct bundle *w)
{
	enum policy_put put;
	struct err e;

	assert_ok(policies_publish(s, &w->b, "token:k1", &put, &e), &e);
	assert_int_equal(put, POLICY_CREATED);
}

static void a_bundle_waits_beside_a_release_of_the_same_name_and_version(void **state)
{
	FIXTURE(f, state);
	CLEANUP(proposal_done) struct proposal got = { .number = 0 };
	struct policy_info info;
	struct proposal_page page;
	struct audit_page audit;
	struct tuf_text t;
	struct waiting w;
	struct bundle b;
	struct err e;

	waiting_make(&w, "phone", "3");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);
	bundle_make(&b, "phone", 3);
	assert_ok(proposals_put(f.s, &b.p, "token:k2", &e), &e);

	assert_ok(proposals_get(f.s, PROPOSAL_POLICY, "phone", "3", &got, &e), &e);
	assert_int_equal(got.kind, PROPOSAL_POLICY);
	assert_string_equal(got.text, "{\"phone\":3}");
	assert_string_equal(got.role, role_text);
	assert_string_equal(got.proposed_by, "token:k2");
	proposal_done(&got);
	assert_ok(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "3", &got, &e), &e);
	assert_int_equal(got.kind, PROPOSAL_RELEASE);
	assert_string_equal(got.text, w.s.manifest);
	assert_ok(proposals_list(f.s, PROPOSAL_POLICY, "", 0, 10, &page, &e), &e);
	assert_int_equal(page.n, 1);
	assert_string_equal(page.items[0].name, "phone");
	assert_string_equal(page.items[0].proposed_by, "token:k2");
	proposal_page_done(&page);

	assert_fails(policies_get(f.s, "phone", 0, &info, NULL, &e), &e, E_NOT_FOUND);
	assert_fails(tuf_get(f.s, TUF_IMAGE, "policies", 0, &t, &e), &e, E_NOT_FOUND);
	assert_ok(audit_list(f.s, 0, 100, &audit, &e), &e);
	assert_string_equal(audit.items[audit.n - 1].verb, "policy.propose");
	assert_string_equal(audit.items[audit.n - 1].subject, "phone/3");
	audit_page_done(&audit);

	/* And each has its own end. */
	publish_bundle(f.s, &b);
	proposal_done(&got);
	assert_fails(proposals_get(f.s, PROPOSAL_POLICY, "phone", "3", &got, &e), &e,
		     E_NOT_FOUND);
	assert_ok(proposals_get(f.s, PROPOSAL_RELEASE, "phone", "3", &got, &e), &e);
}

static void a_bundle_that_could_not_be_published_does_not_wait(void **state)
{
	FIXTURE(f, state);
	struct bundle b;
	struct err e;

	bundle_make(&b, "base", 2);
	publish_bundle(f.s, &b);
	assert_fails(proposals_put(f.s, &b.p, "token:k1", &e), &e, E_EXISTS);
	b.b.text = "{\"base\":9}";
	assert_fails(proposals_put(f.s, &b.p, "token:k1", &e), &e, E_EXISTS);
	bundle_make(&b, "base", 1);
	assert_fails(proposals_put(f.s, &b.p, "token:k1", &e), &e, E_ROLLBACK);
	bundle_make(&b, "../base", 3);
	assert_fails(proposals_put(f.s, &b.p, "token:k1", &e), &e, E_FORMAT);
	bundle_make(&b, "base", 0);
	assert_fails(proposals_put(f.s, &b.p, "token:k1", &e), &e, E_FORMAT);
}

static void bundles_share_their_room_and_leave_that_of_products_alone(void **state)
{
	FIXTURE(f, state);
	struct proposal got;
	struct waiting w;
	struct bundle b;
	char name[16];
	struct err e;

	for (int i = 0; i < PROPOSALS_MAX; i++) {
		snprintf(name, sizeof(name), "bundle-%d", i);
		bundle_make(&b, name, 1);
		assert_ok(proposals_put(f.s, &b.p, "token:k1", &e), &e);
	}
	assert_ok(proposals_put(f.s, &b.p, "token:k1", &e), &e); /* one of them again */
	bundle_make(&b, "one-more", 1);
	assert_fails(proposals_put(f.s, &b.p, "token:k1", &e), &e, E_BUSY);
	waiting_make(&w, "phone", "1.0");
	store_objects(f.s, &w);
	assert_ok(proposals_put(f.s, &w.p, "token:k1", &e), &e);

	f.clock.now_s += PROPOSALS_LIFE_S;
	assert_fails(proposals_get(f.s, PROPOSAL_POLICY, "bundle-0", "1", &got, &e), &e,
		     E_NOT_FOUND);
	assert_ok(proposals_put(f.s, &b.p, "token:k1", &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(what_was_proposed_reads_back_and_nothing_of_it_is_published),
		TMPDIR_TEST(publishing_ends_the_waiting),
		TMPDIR_TEST(objects_must_be_there_and_stay_as_long_as_it_waits),
		TMPDIR_TEST(it_expires_and_is_pruned),
		TMPDIR_TEST(a_later_one_takes_the_place_of_the_earlier),
		TMPDIR_TEST(a_product_has_so_many_and_others_have_theirs),
		TMPDIR_TEST(who_signed_is_in_the_audit_log),
		TMPDIR_TEST(a_bundle_waits_beside_a_release_of_the_same_name_and_version),
		TMPDIR_TEST(a_bundle_that_could_not_be_published_does_not_wait),
		TMPDIR_TEST(bundles_share_their_room_and_leave_that_of_products_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
