/* What the keys process signs, and what it does not. */
#include "tests/support/unit.h"

#include "base/io.h"
#include "base/text.h"
#include "proto/policy.h"
#include "proto/tuf_make.h"
#include "proto/uptane.h"
#include "server/ipc.h"
#include "server/sign.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOW INT64_C(1800000000)
#define DEVICE "0123456789abcdef0123456789abcdef"
#define NONCE "00112233445566778899aabbccddeeff"

struct fixture {
	struct online_keys keys;
	struct counters counters;
	int fd;
	struct signing s;
	struct buf msg, out;
};

static int setup(void **state)
{
	static struct fixture f;
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, 7);
	f = (struct fixture){ .fd = -1 };
	for (int i = 0; i < ONLINE_N; i++) {
		if (!sig_new(&f.keys.secret[i], f.keys.public.key[i], &rng.base, &e))
			return 1;
	}
	f.fd = memfd_create("counters", MFD_CLOEXEC);
	if (f.fd < 0 || !counters_open(&f.counters, f.fd, &e))
		return 1;
	f.s = (struct signing){ &f.keys, &f.counters, NOW, 43200, 7 * 86400, 86400 };
	buf_init(&f.msg, IPC_MAX);
	buf_init(&f.out, IPC_MAX);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	online_done(&f->keys);
	fd_closep(&f->fd);
	buf_done(&f->msg);
	buf_done(&f->out);
	return 0;
}

static struct sign_director request(void)
{
	struct sign_director r = { .device = DEVICE,
				   .has_release = true,
				   .security_floor = 1,
				   .rollout = 7,
				   .nonce = NONCE,
				   .policies_n = 1 };

	r.release = (struct sign_target){
		.name = "acme", .version = "1.0.0", .number = 2, .size = 10
	};
	r.policies[0] = (struct sign_target){ .name = "base", .number = 3, .size = 20 };
	return r;
}

/* Whether the text is signed by the role's key and by it alone. */
static struct tuf_meta *parsed(struct fixture *f, enum tuf_type type, enum online_role by,
			       const uint8_t *p, size_t n)
{
	struct tuf_meta *m;
	struct err e;

	assert_ok(tuf_parse(&m, type, p, n, &e), &e);
	for (int i = 0; i < ONLINE_N; i++) {
		struct tuf_key key = { .usable = true };
		const struct tuf_key *keys[] = { &key };
		struct tuf_role role = {
			.name = "x", .keys = keys, .n_keys = 1, .threshold = 1
		};
		char id[TUF_KEYID_SIZE];

		assert_ok(tuf_keyid_ed25519(id, f->keys.public.key[i], &e), &e);
		assert_ok(sig_key_ed25519(&key.key, f->keys.public.key[i], &e), &e);
		key.id = id;
		assert_int_equal(tuf_verify(m, &role, &e), i == (int)by);
		sig_key_done(&key.key);
	}
	return m;
}

static void make_director(struct fixture *f, const struct sign_director *r,
			  struct sign_answer *ret)
{
	struct sign_director got;
	struct err e;

	buf_reset(&f->msg);
	buf_reset(&f->out);
	assert_ok(sign_director_encode(&f->msg, r, &e), &e);
	assert_ok(sign_director_parse(&got, f->msg.p, f->msg.n, &e), &e);
	assert_ok(sign_director_make(&f->out, &got, &f->s, &e), &e);
	assert_ok(sign_answer_parse(ret, f->out.p, f->out.n, &e), &e);
}

static void a_device_gets_three_files_that_fit_together(void **state)
{
	struct fixture *f = *state;
	struct sign_director r = request();
	struct uptane_check check = { .device = DEVICE, .nonce = NONCE, .stored_floor = 1 };
	struct uptane_want want;
	struct sign_answer a;
	struct tuf_hashes h;
	uint64_t version;
	struct err e;

	make_director(f, &r, &a);
	CLEANUP(tuf_freep)
	struct tuf_meta *targets =
		parsed(f, TUF_TARGETS, ONLINE_DIRECTOR_TARGETS, a.targets, a.targets_n);
	CLEANUP(tuf_freep)
	struct tuf_meta *snapshot =
		parsed(f, TUF_SNAPSHOT, ONLINE_DIRECTOR_SNAPSHOT, a.snapshot, a.snapshot_n);
	CLEANUP(tuf_freep)
	struct tuf_meta *timestamp =
		parsed(f, TUF_TIMESTAMP, ONLINE_DIRECTOR_TIMESTAMP, a.timestamp, a.timestamp_n);
	assert_int_equal(targets->expires_s, NOW + 43200);
	assert_ok(tuf_meta_get(&version, &h, timestamp, "snapshot", &e), &e);
	assert_int_equal(version, snapshot->version);
	assert_ok(tuf_hashes_check(&h, a.snapshot, a.snapshot_n, &e), &e);
	assert_ok(tuf_meta_get(&version, &h, snapshot, "targets", &e), &e);
	assert_int_equal(version, targets->version);
	assert_ok(tuf_hashes_check(&h, a.targets, a.targets_n, &e), &e);
	/* And the handset's own reading of it. */
	assert_ok(uptane_director_parse(&want, targets, &check, &e), &e);
	assert_true(want.has_release);
	assert_string_equal(want.release.name, "acme");
	assert_string_equal(want.release.version, "1.0.0");
	assert_int_equal(want.release.number, 2);
	assert_int_equal(want.n_policies, 1);
	assert_int_equal(want.policies[0].number, 3);
	assert_int_equal(want.security_version_floor, 1);
	assert_string_equal(want.rollout, "r7");
	uptane_want_done(&want);
}

static void versions_rise_and_pass_what_is_stored(void **state)
{
	struct fixture *f = *state;
	struct sign_director r = request();
	struct sign_answer a;
	uint64_t last;

	make_director(f, &r, &a);
	last = a.version;
	make_director(f, &r, &a);
	assert_true(a.version > last);
	r.above = a.version + 100;
	make_director(f, &r, &a);
	assert_true(a.version > r.above);
}

static void refused(struct fixture *f, const struct sign_director *r)
{
	struct sign_director got = { .above = 77 };
	struct err e;

	buf_reset(&f->msg);
	assert_ok(sign_director_encode(&f->msg, r, &e), &e);
	assert_fails(sign_director_parse(&got, f->msg.p, f->msg.n, &e), &e, E_DENIED);
	assert_int_equal(got.above, 77);
}

static void what_is_no_director_request_is_not_signed(void **state)
{
	struct fixture *f = *state;
	struct sign_director r;

#define WITH(change)            \
	do {                    \
		r = request();  \
		change;         \
		refused(f, &r); \
	} while (0)
	WITH(r.device[0] = 'X');
	WITH(r.device[31] = 0);
	WITH(r.nonce[0] = 'X');
	WITH(r.nonce[0] = 0);
	WITH(r.rollout = -1);
	WITH(snprintf(r.release.name, sizeof(r.release.name), "../x"));
	WITH(snprintf(r.release.name, sizeof(r.release.name), "a\"b"));
	WITH(r.release.name[0] = 0);
	WITH(snprintf(r.release.version, sizeof(r.release.version), "1/2"));
	WITH(r.release.version[0] = 0);
	WITH(r.release.size = 0);
	WITH(r.release.number = 0);
	WITH(r.release.number = UINT64_MAX);
	WITH(r.release.size = UINT64_MAX);
	WITH(r.release.level = 1);
	WITH(r.security_floor = 3); /* a release below the floor */
	WITH((r.has_release = false, r.security_floor = UINT64_MAX));
	WITH(r.policies[0].number = 0);
	WITH(r.policies[0].level = POLICY_FOR_DEVICE + 1);
	WITH(snprintf(r.policies[0].version, sizeof(r.policies[0].version), "1"));
	WITH(r.policies[0].name[0] = '.');
#undef WITH
}

static void cut_and_altered_messages_are_refused_or_read_as_something_allowed(void **state)
{
	struct fixture *f = *state;
	struct sign_director r = request(), got;
	struct err e;

	assert_ok(sign_director_encode(&f->msg, &r, &e), &e);
	for (size_t n = 0; n < f->msg.n; n++)
		assert_false(sign_director_parse(&got, f->msg.p, n, &e));
	assert_ok(buf_add(&f->msg, "x", 1, &e), &e);
	assert_false(sign_director_parse(&got, f->msg.p, f->msg.n, &e));
	for (size_t bit = 0; bit < (f->msg.n - 1) * 8; bit++) {
		flip_bit(f->msg.p, bit);
		if (sign_director_parse(&got, f->msg.p, f->msg.n - 1, &e))
			assert_true(got.policies_n <= SIGN_POLICIES);
		flip_bit(f->msg.p, bit);
	}
}

/* ---- the image repository --------------------------------------------------------------------- */

static bool try_image(struct fixture *f, const struct sign_image *r, struct sign_answer *ret,
		      struct err *e)
{
	struct sign_image got;
	bool ok;

	buf_reset(&f->msg);
	assert_ok(sign_image_encode(&f->msg, r, e), e);
	if (!sign_image_parse(&got, f->msg.p, f->msg.n, e))
		return false;
	buf_reset(&f->out);
	ok = sign_image_make(&f->out, &got, &f->s, e) &&
	     sign_answer_parse(ret, f->out.p, f->out.n, e);
	sign_image_done(&got);
	return ok;
}

static void a_snapshot_lists_the_roles_and_none_may_fall_or_go(void **state)
{
	struct fixture *f = *state;
	struct sign_role roles[] = { { "targets", 1 },
				     { "releases.acme", 4 },
				     { "policies", 2 } };
	struct sign_image r = { .roles = roles, .roles_n = 3 };
	CLEANUP(buf_done) struct buf first = BUF_INIT(IPC_MAX);
	struct sign_answer a, b;
	struct tuf_hashes h;
	uint64_t version;
	struct err e;

	assert_ok(try_image(f, &r, &a, &e), &e);
	CLEANUP(tuf_freep)
	struct tuf_meta *snapshot =
		parsed(f, TUF_SNAPSHOT, ONLINE_IMAGE_SNAPSHOT, a.snapshot, a.snapshot_n);
	CLEANUP(tuf_freep)
	struct tuf_meta *timestamp =
		parsed(f, TUF_TIMESTAMP, ONLINE_IMAGE_TIMESTAMP, a.timestamp, a.timestamp_n);
	assert_ok(tuf_meta_get(&version, &h, snapshot, "releases.acme", &e), &e);
	assert_int_equal(version, 4);
	assert_int_equal(a.targets_n, 0);
	assert_int_equal(snapshot->expires_s, NOW + 7 * 86400);
	assert_int_equal(timestamp->expires_s, NOW + 86400);
	assert_ok(buf_add(&first, a.snapshot, a.snapshot_n, &e), &e);

	r.snapshot = first.p;
	r.snapshot_n = first.n;
	roles[1].version = 5;
	assert_ok(try_image(f, &r, &b, &e), &e);
	roles[1].version = 3;
	assert_fails(try_image(f, &r, &b, &e), &e, E_DENIED);
	roles[1].version = 4;
	r.roles_n = 2;
	assert_fails(try_image(f, &r, &b, &e), &e, E_DENIED);
	/* A previous snapshot that is not ours proves nothing. */
	r.roles_n = 3;
	flip_bit(first.p, strlen("{\"signatures\":[{\"keyid\":\"") * 8 + 1000);
	assert_false(try_image(f, &r, &b, &e));
}

static void a_timestamp_alone_keeps_the_snapshot(void **state)
{
	struct fixture *f = *state;
	struct sign_role roles[] = { { "targets", 1 } };
	struct sign_image r = { .roles = roles, .roles_n = 1 };
	CLEANUP(buf_done) struct buf first = BUF_INIT(IPC_MAX);
	struct sign_answer a, b;
	struct tuf_hashes h;
	uint64_t version;
	struct err e;

	assert_ok(try_image(f, &r, &a, &e), &e);
	assert_ok(buf_add(&first, a.snapshot, a.snapshot_n, &e), &e);
	r = (struct sign_image){ .timestamp_only = true,
				 .snapshot = first.p,
				 .snapshot_n = first.n };
	version = a.version;
	assert_ok(try_image(f, &r, &b, &e), &e);
	assert_int_equal(b.snapshot_n, 0);
	assert_true(b.version > version);
	CLEANUP(tuf_freep)
	struct tuf_meta *timestamp =
		parsed(f, TUF_TIMESTAMP, ONLINE_IMAGE_TIMESTAMP, b.timestamp, b.timestamp_n);
	assert_ok(tuf_meta_get(&version, &h, timestamp, "snapshot", &e), &e);
	assert_ok(tuf_hashes_check(&h, first.p, first.n, &e), &e);
	r.snapshot_n = 0;
	assert_fails(try_image(f, &r, &b, &e), &e, E_DENIED);
}

static void roles_that_are_no_roles_are_not_signed(void **state)
{
	static const char *const bad[] = {
		"root",     "snapshot",  "timestamp",     "",
		"releases", "releases.", "releases.../x", "releases.A",
		"other",    "targets.x", "released.acme"
	};
	struct fixture *f = *state;
	struct sign_role roles[2] = { { "targets", 1 } };
	struct sign_image r = { .roles = roles, .roles_n = 2 };
	struct sign_answer a;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(roles[1].role, sizeof(roles[1].role), "%s", bad[i]);
		roles[1].version = 1;
		if (try_image(f, &r, &a, &e))
			fail_msg("signed: %s", bad[i]);
	}
	snprintf(roles[1].role, sizeof(roles[1].role), "targets"); /* twice */
	assert_fails(try_image(f, &r, &a, &e), &e, E_DENIED);
	snprintf(roles[1].role, sizeof(roles[1].role), "policies");
	roles[1].version = 0;
	assert_fails(try_image(f, &r, &a, &e), &e, E_DENIED);
	r.roles_n = 0;
	assert_fails(try_image(f, &r, &a, &e), &e, E_DENIED);
}

static bool try_audit(struct fixture *f, const struct sign_audit *r, struct audit_signed *ret,
		      struct err *e)
{
	struct sign_audit got;

	buf_reset(&f->msg);
	buf_reset(&f->out);
	assert_ok(sign_audit_encode(&f->msg, r, e), e);
	return sign_audit_parse(&got, f->msg.p, f->msg.n, e) &&
	       sign_audit_make(&f->out, &got, &f->s, e) &&
	       sign_audit_answer_parse(ret, f->out.p, f->out.n, e);
}

static void an_audit_head_is_signed_with_our_time_and_the_timestamp_key(void **state)
{
	struct fixture *f = *state;
	struct sign_audit r = { .n = 12, .hash = { 1, 2, 3 } };
	struct audit_signed got = { .n = 12, .hash = { 1, 2, 3 } };
	char id[TUF_KEYID_SIZE];
	struct tuf_key key = { .id = id, .usable = true };
	struct err e;

	assert_ok(try_audit(f, &r, &got, &e), &e);
	assert_int_equal(got.at, NOW);
	assert_ok(tuf_keyid_ed25519(id, f->keys.public.key[ONLINE_IMAGE_TIMESTAMP], &e), &e);
	assert_string_equal(got.keyid, id);
	assert_ok(sig_key_ed25519(&key.key, f->keys.public.key[ONLINE_IMAGE_TIMESTAMP], &e),
		  &e);
	assert_true(audit_head_verify(&got, &key));
	got.hash[0] ^= 1;
	assert_false(audit_head_verify(&got, &key));
	sig_key_done(&key.key);
	r.next = UINT32_C(1) << ONLINE_IMAGE_TIMESTAMP; /* there is no key that follows */
	assert_fails(try_audit(f, &r, &got, &e), &e, E_DENIED);
}

static void what_is_no_audit_head_is_not_signed(void **state)
{
	struct fixture *f = *state;
	struct sign_audit r = { .n = 12, .hash = { 1, 2, 3 } }, got;
	struct audit_signed answer;
	struct err e;

	buf_reset(&f->msg);
	assert_ok(sign_audit_encode(&f->msg, &r, &e), &e);
	for (size_t n = 0; n < f->msg.n; n++)
		assert_fails(sign_audit_parse(&got, f->msg.p, n, &e), &e, E_FORMAT);
	assert_ok(buf_add(&f->msg, "", 1, &e), &e);
	assert_fails(sign_audit_parse(&got, f->msg.p, f->msg.n, &e), &e, E_FORMAT);
	r.n = 0;
	assert_fails(try_audit(f, &r, &answer, &e), &e, E_DENIED);
	r.n = UINT64_MAX;
	assert_fails(try_audit(f, &r, &answer, &e), &e, E_DENIED);
	assert_fails(sign_audit_answer_parse(&answer, "x", 1, &e), &e, E_FORMAT);
	r.n = 7;
	assert_ok(try_audit(f, &r, &answer, &e), &e);
	assert_ok(buf_add(&f->out, "", 1, &e), &e);
	assert_fails(sign_audit_answer_parse(&answer, f->out.p, f->out.n, &e), &e, E_FORMAT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_device_gets_three_files_that_fit_together),
		T(versions_rise_and_pass_what_is_stored),
		T(what_is_no_director_request_is_not_signed),
		T(cut_and_altered_messages_are_refused_or_read_as_something_allowed),
		T(a_snapshot_lists_the_roles_and_none_may_fall_or_go),
		T(a_timestamp_alone_keeps_the_snapshot),
		T(roles_that_are_no_roles_are_not_signed),
		T(an_audit_head_is_signed_with_our_time_and_the_timestamp_key),
		T(what_is_no_audit_head_is_not_signed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
