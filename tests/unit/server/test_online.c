#include "tests/support/unit.h"

#include "proto/keyfile.h"
#include "proto/seal.h"
#include "proto/tuf_make.h"
#include "server/online.h"
#include "server/sign.h"
#include "tests/support/fault.h"

#include <unistd.h>

static struct err e;

static const struct rng *rng(void)
{
	return rng_system();
}

static void nothing_follows_at_first(void **state)
{
	CLEANUP(online_done) struct online_keys k = { .secret = { NULL } };

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(online_load(&k, tmpdir_fd(state), &e), &e);
	for (int i = 0; i < ONLINE_N; i++) {
		assert_non_null(k.secret[i]);
		assert_null(k.next[i]);
		assert_false(k.public.has_next[i]);
	}
}

/* Whatever the keys sign is pinned in handsets: the one thing that must not happen to them is to be made anew. */
static void keys_that_are_there_are_never_made_anew(void **state)
{
	CLEANUP(online_done) struct online_keys before = { .secret = { NULL } };
	CLEANUP(online_done) struct online_keys after = { .secret = { NULL } };

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(online_load(&before, tmpdir_fd(state), &e), &e);
	assert_fails(online_create(tmpdir_fd(state), rng(), true, &e), &e, E_EXISTS);
	/* One that is missing is made beside the others, as after a cut. */
	assert_int_equal(unlinkat(tmpdir_fd(state), "director-targets.key", 0), 0);
	assert_ok(online_create(tmpdir_fd(state), rng(), false, &e), &e);
	assert_ok(online_load(&after, tmpdir_fd(state), &e), &e);
	for (int i = 0; i < ONLINE_N; i++)
		assert_int_equal(memcmp(before.public.key[i], after.public.key[i],
					SIG_PUBLIC_SIZE) != 0,
				 i == ONLINE_DIRECTOR_TARGETS);
}

static void a_promotion_is_told_only_when_it_is_durable(void **state)
{
	bool made;

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(online_create_next(tmpdir_fd(state), ONLINE_IMAGE_TIMESTAMP, rng(), &made,
				     &e),
		  &e);
	fault_arm(FAULT_SYNC, 1);
	bool ok = online_promote(tmpdir_fd(state), ONLINE_IMAGE_TIMESTAMP, &e);
	assert_true(fault_disarm());
	assert_fails(ok, &e, E_SYSTEM);
}

static void a_key_of_another_kind_is_none(void **state)
{
	CLEANUP(online_done) struct online_keys k = { .secret = { NULL } };
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *key = NULL;
	struct keyfile_info info = { .type = KEYFILE_X25519, .role = "director-targets" };

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(seal_new(&key, info.public, rng(), &e), &e);
	assert_ok(keyfile_encode(&text, &info, key, NULL, NULL, rng(), &e), &e);
	assert_int_equal(unlinkat(tmpdir_fd(state), "director-targets.key", 0), 0);
	write_file_at(tmpdir_fd(state), "director-targets.key", text.p, text.n);
	assert_fails(online_load(&k, tmpdir_fd(state), &e), &e, E_FORMAT);
}

static void a_key_that_follows_waits_beside_the_old_one_and_takes_its_place(void **state)
{
	CLEANUP(online_done) struct online_keys before = { .secret = { NULL } };
	CLEANUP(online_done) struct online_keys after = { .secret = { NULL } };
	bool made;

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(online_create_next(tmpdir_fd(state), ONLINE_IMAGE_TIMESTAMP, rng(), &made,
				     &e),
		  &e);
	assert_true(made);
	/* Made twice it is the same: a root may name it already. */
	assert_ok(online_create_next(tmpdir_fd(state), ONLINE_IMAGE_TIMESTAMP, rng(), &made,
				     &e),
		  &e);
	assert_false(made);
	assert_ok(online_load(&before, tmpdir_fd(state), &e), &e);
	assert_true(before.public.has_next[ONLINE_IMAGE_TIMESTAMP]);
	assert_false(before.public.has_next[ONLINE_IMAGE_SNAPSHOT]);

	assert_ok(online_promote(tmpdir_fd(state), ONLINE_IMAGE_TIMESTAMP, &e), &e);
	assert_ok(online_load(&after, tmpdir_fd(state), &e), &e);
	assert_false(after.public.has_next[ONLINE_IMAGE_TIMESTAMP]);
	assert_memory_equal(after.public.key[ONLINE_IMAGE_TIMESTAMP],
			    before.public.next[ONLINE_IMAGE_TIMESTAMP], SIG_PUBLIC_SIZE);
	assert_memory_equal(after.public.key[ONLINE_IMAGE_SNAPSHOT],
			    before.public.key[ONLINE_IMAGE_SNAPSHOT], SIG_PUBLIC_SIZE);
	assert_fails(online_promote(tmpdir_fd(state), ONLINE_IMAGE_TIMESTAMP, &e), &e,
		     E_NOT_FOUND);
}

static void a_damaged_key_that_follows_stops_the_start(void **state)
{
	CLEANUP(online_done) struct online_keys k = { .secret = { NULL } };

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	write_file_at(tmpdir_fd(state), "director-targets.next.key", "{}", 2);
	assert_false(online_load(&k, tmpdir_fd(state), &e));
	assert_non_null(strstr(e.text, "director-targets.next.key"));
}

/* Which key signs is the request's word; one that is not there is refused. */
static void the_request_says_which_key_signs(void **state)
{
	static const struct sign_role roles[] = { { "targets", 1 } };
	CLEANUP(online_done) struct online_keys k = { .secret = { NULL } };
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
	struct counters counters;
	struct signing s = { .keys = &k,
			     .counters = &counters,
			     .now_s = 1700000000,
			     .image_snapshot_s = 1000,
			     .image_timestamp_s = 1000 };
	struct sign_image r = { .roles = (struct sign_role *)roles, .roles_n = 1 };
	char path[4200];
	bool made;

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(online_create_next(tmpdir_fd(state), ONLINE_IMAGE_SNAPSHOT, rng(), &made, &e),
		  &e);
	assert_ok(online_load(&k, tmpdir_fd(state), &e), &e);
	snprintf(path, sizeof(path), "%s/counters", tmpdir_path(state));
	FILE *f = fopen(path, "w+");
	assert_non_null(f);
	assert_ok(counters_open(&counters, fileno(f), &e), &e);

	for (unsigned next = 0; next < 2; next++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		const uint8_t *pub = next ? k.public.next[ONLINE_IMAGE_SNAPSHOT]
					  : k.public.key[ONLINE_IMAGE_SNAPSHOT];
		char id[TUF_KEYID_SIZE];
		struct sign_answer a;
		const char *signer;

		r.next = next << ONLINE_IMAGE_SNAPSHOT;
		buf_reset(&out);
		assert_ok(sign_image_make(&out, &r, &s, &e), &e);
		assert_ok(sign_answer_parse(&a, out.p, out.n, &e), &e);
		assert_ok(tuf_parse(&m, TUF_SNAPSHOT, a.snapshot, a.snapshot_n, &e), &e);
		assert_ok(tuf_keyid_ed25519(id, pub, &e), &e);
		assert_ok(jobj_str(&signer, jarr_at(m->signatures, 0), "keyid", 64, &e), &e);
		assert_string_equal(signer, id);
	}
	r.next = UINT32_C(1) << ONLINE_IMAGE_TIMESTAMP;
	assert_fails(sign_image_make(&out, &r, &s, &e), &e, E_DENIED);
	fclose(f);
}

/* What the key before a rotation signed is still our own, so that nothing in it may fall. */
static void the_snapshot_before_a_rotation_is_our_own(void **state)
{
	static const struct sign_role two[] = { { "targets", 5 } },
				      less[] = { { "targets", 4 } };
	CLEANUP(online_done) struct online_keys k = { .secret = { NULL } };
	CLEANUP(buf_done) struct buf first = BUF_INIT(1 << 20);
	CLEANUP(buf_done) struct buf second = BUF_INIT(1 << 20);
	struct counters counters;
	struct signing s = { .keys = &k,
			     .counters = &counters,
			     .now_s = 1700000000,
			     .image_snapshot_s = 1000,
			     .image_timestamp_s = 1000 };
	struct sign_image r = { .roles = (struct sign_role *)two, .roles_n = 1 };
	struct sign_answer a;
	char path[4200];
	bool made;

	assert_ok(online_create(tmpdir_fd(state), rng(), true, &e), &e);
	assert_ok(online_create_next(tmpdir_fd(state), ONLINE_IMAGE_SNAPSHOT, rng(), &made, &e),
		  &e);
	assert_ok(online_load(&k, tmpdir_fd(state), &e), &e);
	snprintf(path, sizeof(path), "%s/counters", tmpdir_path(state));
	FILE *f = fopen(path, "w+");
	assert_non_null(f);
	assert_ok(counters_open(&counters, fileno(f), &e), &e);
	assert_ok(sign_image_make(&first, &r, &s, &e), &e);
	assert_ok(sign_answer_parse(&a, first.p, first.n, &e), &e);

	r.next = UINT32_C(1) << ONLINE_IMAGE_SNAPSHOT;
	r.snapshot = a.snapshot;
	r.snapshot_n = a.snapshot_n;
	assert_ok(sign_image_make(&second, &r, &s, &e), &e);
	r.roles = (struct sign_role *)less;
	assert_fails(sign_image_make(&second, &r, &s, &e), &e, E_DENIED);
	fclose(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(nothing_follows_at_first),
		TMPDIR_TEST(keys_that_are_there_are_never_made_anew),
		TMPDIR_TEST(a_promotion_is_told_only_when_it_is_durable),
		TMPDIR_TEST(a_key_of_another_kind_is_none),
		TMPDIR_TEST(a_key_that_follows_waits_beside_the_old_one_and_takes_its_place),
		TMPDIR_TEST(a_damaged_key_that_follows_stops_the_start),
		TMPDIR_TEST(the_request_says_which_key_signs),
		TMPDIR_TEST(the_snapshot_before_a_rotation_is_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
