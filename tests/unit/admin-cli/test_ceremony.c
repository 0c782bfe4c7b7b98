#include "tests/support/unit.h"

#include "admin-cli/ceremony.h"
#include "base/io.h"
#include "base/rng.h"
#include "proto/release.h"
#include "proto/sig.h"

#include <fcntl.h>

static struct err e;

enum { PEOPLE = 4, YEAR = 1900000000 };

/* Three keys hold version 1, two of which must sign; the fourth is to replace the third. */
struct org {
	struct key keys[PEOPLE];
	struct tuf_pubkey pubs[PEOPLE];
	struct tuf_pubkey online;
	struct home home;
	char path[4200];
};

static void make_root(struct buf *out, const struct org *o, uint64_t version, size_t first,
		      uint64_t threshold)
{
	struct tuf_make_role roles[TUF_TYPES];

	for (int t = 0; t < TUF_TYPES; t++)
		roles[t] = (struct tuf_make_role){ .keys = &o->online,
						   .n_keys = 1,
						   .threshold = 1 };
	roles[TUF_ROOT] = (struct tuf_make_role){ .keys = &o->pubs[first],
						  .n_keys = 3,
						  .threshold = threshold };
	buf_reset(out);
	assert_ok(tuf_make_root(out, version, YEAR, roles, &e), &e);
}

static void sign(struct buf *text, const struct key *k)
{
	CLEANUP(buf_done) struct buf next = BUF_INIT(text->max);

	assert_ok(tuf_sign_with(&next, text->p, text->n, k->secret, &e), &e);
	buf_reset(text);
	assert_ok(buf_add(text, next.p, next.n, &e), &e);
}

static struct org *org_new(void **state)
{
	struct org *o = calloc(1, sizeof(*o));
	uint8_t pub[SIG_PUBLIC_SIZE];
	struct secret *s;

	assert_non_null(o);
	for (int i = 0; i < PEOPLE; i++) {
		assert_ok(sig_new(&o->keys[i].secret, o->keys[i].public, rng_system(), &e), &e);
		assert_ok(tuf_pubkey_ed25519(&o->pubs[i], o->keys[i].public, &e), &e);
	}
	assert_ok(sig_new(&s, pub, rng_system(), &e), &e);
	secret_free(s);
	assert_ok(tuf_pubkey_ed25519(&o->online, pub, &e), &e);
	snprintf(o->path, sizeof(o->path), "%s/home", tmpdir_path(state));
	assert_ok(home_open(&o->home, o->path, &e), &e);
	return o;
}

static void org_free(struct org *o)
{
	for (int i = 0; i < PEOPLE; i++) {
		key_done(&o->keys[i]);
		tuf_pubkey_done(&o->pubs[i]);
	}
	tuf_pubkey_done(&o->online);
	home_done(&o->home);
	free(o);
}

/* Root 1 as published, and an unsigned version 2 by keys 1 to 3. */
static void begin(struct ceremony *c, const struct org *o)
{
	CLEANUP(buf_done) struct buf root = BUF_INIT(LIMIT_TUF_ROOT);

	make_root(&root, o, 1, 0, 2);
	sign(&root, &o->keys[0]);
	sign(&root, &o->keys[1]);
	ceremony_init(c, CEREMONY_DIRECTOR, "root");
	c->roots = calloc(1, sizeof(*c->roots));
	assert_non_null(c->roots);
	buf_init(&c->roots[0], LIMIT_TUF_ROOT);
	c->n_roots = 1;
	assert_ok(buf_add(&c->roots[0], root.p, root.n, &e), &e);
	make_root(&c->file, o, 2, 1, 2);
}

static void travel(struct ceremony *c)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CEREMONY_FILE_MAX);
	struct ceremony back;

	assert_ok(ceremony_encode(&text, c, &e), &e);
	assert_ok(ceremony_parse(&back, text.p, text.n, &e), &e);
	ceremony_done(c);
	*c = back;
}

static void both_roots_have_their_say(void **state)
{
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;

	begin(&c, o);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_true(c.first_sight);
	assert_int_equal(ceremony_missing(&c), 2);
	/* Keys 2 and 3 hold the new root only. */
	assert_ok(ceremony_sign(&c, &o->keys[3], &o->home, &e), &e);
	travel(&c);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_false(c.first_sight); /* it was signed here */
	assert_int_equal(ceremony_missing(&c), 2);
	assert_ok(ceremony_sign(&c, &o->keys[1], &o->home, &e), &e); /* holds both */
	assert_int_equal(ceremony_missing(&c), 1);
	assert_ok(ceremony_sign(&c, &o->keys[0], &o->home, &e), &e); /* the old one */
	assert_int_equal(ceremony_missing(&c), 0);
	assert_fails(ceremony_sign(&c, &o->keys[0], &o->home, &e), &e, E_EXISTS);
	org_free(o);
}

static void a_stranger_cannot_sign_and_spoils_the_file(void **state)
{
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	struct key stranger = { .secret = NULL };

	assert_ok(sig_new(&stranger.secret, stranger.public, rng_system(), &e), &e);
	begin(&c, o);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_fails(ceremony_sign(&c, &stranger, &o->home, &e), &e, E_UNTRUSTED);
	sign(&c.file, &stranger);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	key_done(&stranger);
	org_free(o);
}

/* Every byte of the file: damaged it is refused, or says the same as before. */
static void a_flipped_bit_never_gets_a_signature_counted(void **state)
{
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	CLEANUP(buf_done) struct buf text = BUF_INIT(CEREMONY_FILE_MAX);
	unsigned refused = 0;

	begin(&c, o);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_ok(ceremony_sign(&c, &o->keys[1], &o->home, &e), &e);
	assert_ok(ceremony_encode(&text, &c, &e), &e);
	for (size_t i = 0; i < text.n; i += 7) {
		CLEANUP(ceremony_done) struct ceremony bad = { .n_roots = 0 };

		text.p[i] ^= 1;
		if (!ceremony_parse(&bad, text.p, text.n, &e) ||
		    !ceremony_check(&bad, &o->home, &e))
			refused++;
		else
			assert_int_equal(ceremony_missing(&bad), 1);
		text.p[i] ^= 1;
	}
	assert_true(refused > text.n / 7 * 9 / 10);
	org_free(o);
}

static void an_older_chain_and_another_organisation_are_refused(void **state)
{
	struct org *o = org_new(state), *other = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	CLEANUP(ceremony_done) struct ceremony theirs;
	CLEANUP(ceremony_done) struct ceremony old;

	begin(&c, o);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_ok(ceremony_trust(&c, &o->home, &e), &e);
	begin(&theirs, other);
	assert_fails(ceremony_check(&theirs, &o->home, &e), &e, E_UNTRUSTED);

	/* Version 2 comes into force; a file that only knows version 1 is old then. */
	begin(&old, o);
	assert_ok(buf_add(&old.roots[0], "", 0, &e), &e);
	buf_reset(&old.roots[0]);
	assert_ok(buf_add(&old.roots[0], c.roots[0].p, c.roots[0].n, &e), &e);
	sign(&c.file, &o->keys[0]);
	sign(&c.file, &o->keys[1]);
	sign(&c.file, &o->keys[3]);
	c.roots = reallocarray(c.roots, 2, sizeof(*c.roots));
	assert_non_null(c.roots);
	buf_init(&c.roots[1], LIMIT_TUF_ROOT);
	c.n_roots = 2;
	assert_ok(buf_add(&c.roots[1], c.file.p, c.file.n, &e), &e);
	make_root(&c.file, o, 3, 1, 2);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_fails(ceremony_check(&old, &o->home, &e), &e, E_ROLLBACK);
	org_free(o);
	org_free(other);
}

static void a_version_that_does_not_follow_is_refused(void **state)
{
	static const uint64_t versions[] = { 1, 3, 4000 };
	struct org *o = org_new(state);

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		CLEANUP(ceremony_done) struct ceremony c;

		begin(&c, o);
		make_root(&c.file, o, versions[i], 1, 2);
		assert_fails(ceremony_check(&c, &o->home, &e), &e,
			     versions[i] == 1 ? E_ROLLBACK : E_UNTRUSTED);
	}
	org_free(o);
}

static void a_chain_that_is_not_signed_is_refused(void **state)
{
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;

	begin(&c, o);
	make_root(&c.roots[0], o, 1, 0, 2);
	sign(&c.roots[0], &o->keys[0]);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "root 1 of the chain"));
	org_free(o);
}

/* Root 2 has to be signed by who could make root 1, and not only by those whom it names. */
static void a_root_that_its_predecessor_did_not_sign_is_refused(void **state)
{
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	CLEANUP(buf_done) struct buf next = BUF_INIT(LIMIT_TUF_ROOT);

	begin(&c, o);
	make_root(&next, o, 2, 1, 2);
	sign(&next, &o->keys[2]);
	sign(&next, &o->keys[3]); /* of the old root only one of the two */
	c.roots = reallocarray(c.roots, 2, sizeof(*c.roots));
	assert_non_null(c.roots);
	buf_init(&c.roots[1], LIMIT_TUF_ROOT);
	c.n_roots = 2;
	assert_ok(buf_add(&c.roots[1], next.p, next.n, &e), &e);
	make_root(&c.file, o, 3, 1, 2);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "root 2 of the chain"));
	org_free(o);
}

/* ---- policies ---- */

static const char bundle_1[] =
	"{\"_type\":\"policy\",\"format\":1,\"issued_at\":\"2026-11-22T00:00:00Z\",\"name\":\"base\","
	"\"not_before\":\"2026-11-22T00:00:00Z\",\"settings\":{\"vm.vcpus_max\":2},\"version\":1}";
static const char bundle_2[] =
	"{\"_type\":\"policy\",\"format\":1,\"issued_at\":\"2026-11-22T00:00:00Z\",\"name\":\"base\","
	"\"not_before\":\"2026-11-22T00:00:00Z\",\"settings\":{\"vm.vcpus_max\":4},\"version\":2}";

static struct tuf_make_target target(const char *path, const char *text)
{
	struct tuf_make_target t = { .path = path, .length = strlen(text) };

	sha256(t.sha256, text, strlen(text));
	return t;
}

static void list(struct buf *out, uint64_t version, const struct tuf_make_target *t, size_t n)
{
	struct tuf_make_targets in = {
		.version = version, .expires_s = YEAR, .add = t, .n_add = n
	};

	buf_reset(out);
	assert_ok(tuf_make_targets(out, &in, &e), &e);
}

/* The image repository: all online and the targets role by keys 0 to 2, two of which must sign; the delegated
 * role by keys 0 and 1, both.  Its version 1 lists bundle_1, whatever the role is. */
static void begin_role(struct ceremony *c, const struct org *o, const char *name,
		       const char *path)
{
	const struct tuf_make_target one = target("policies/base/1.json", bundle_1);
	const char *const paths[] = { path };
	const struct tuf_make_role role = { .name = name,
					    .keys = o->pubs,
					    .n_keys = 2,
					    .threshold = 2,
					    .paths = paths,
					    .n_paths = 1,
					    .terminating = true };
	struct tuf_make_targets in = {
		.version = 1, .expires_s = YEAR, .roles = &role, .n_roles = 1
	};
	struct tuf_make_role roles[TUF_TYPES];

	for (int t = 0; t < TUF_TYPES; t++)
		roles[t] =
			(struct tuf_make_role){ .keys = o->pubs, .n_keys = 3, .threshold = 2 };
	ceremony_init(c, CEREMONY_IMAGE, name);
	c->roots = calloc(1, sizeof(*c->roots));
	assert_non_null(c->roots);
	buf_init(&c->roots[0], LIMIT_TUF_ROOT);
	c->n_roots = 1;
	assert_ok(tuf_make_root(&c->roots[0], 1, YEAR, roles, &e), &e);
	assert_ok(tuf_make_targets(&c->targets, &in, &e), &e);
	list(&c->previous, 1, &one, 1);
	for (int i = 0; i < 2; i++) {
		sign(&c->roots[0], &o->keys[i]);
		sign(&c->targets, &o->keys[i]);
		sign(&c->previous, &o->keys[i]);
	}
}

static void set_text(struct buf *b, const char *text)
{
	buf_reset(b);
	assert_ok(buf_add_str(b, text, &e), &e);
}

static void who_signs_a_bundle_is_shown_its_settings(void **state)
{
	const struct tuf_make_target both[] = { target("policies/base/1.json", bundle_1),
						target("policies/base/2.json", bundle_2) };
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	CLEANUP(buf_done) struct buf text = BUF_INIT(4096);

	begin_role(&c, o, "policies", "policies/*/*");
	list(&c.file, 2, both, 2);
	set_text(&c.payload, bundle_2);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	assert_ok(ceremony_changes(&c, &text, &e), &e);
	assert_non_null(strstr(buf_str(&text), "+ policies/base/2.json"));
	assert_non_null(strstr(buf_str(&text), "bytes\n  vm.vcpus_max = 4\n"));
	assert_null(strstr(buf_str(&text), "base/1.json"));
	assert_ok(ceremony_sign(&c, &o->keys[1], &o->home, &e), &e);
	assert_int_equal(ceremony_missing(&c), 1);
	assert_fails(ceremony_sign(&c, &o->keys[2], &o->home, &e), &e, E_UNTRUSTED);
	org_free(o);
}

static void no_name_in_a_file_moves_the_cursor_of_who_signs(void **state)
{
	const struct tuf_make_target both[] = { target("policies/base/1.json", bundle_1),
						target("policies/\u202enosj.1\xc2\x9b"
						       "2J/x",
						       bundle_2) };
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	CLEANUP(buf_done) struct buf text = BUF_INIT(4096);

	begin_role(&c, o, "policies", "policies/*/*");
	list(&c.file, 2, both, 2);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_string_equal(
		e.text,
		"image policies: payload: missing, and policies/???nosj.1??2J/x is new: "
		"this is no renewal");
	assert_ok(ceremony_changes(&c, &text, &e), &e);
	assert_non_null(strstr(buf_str(&text), "\n+ policies/???nosj.1??2J/x, "));
	org_free(o);
}

static void a_list_with_more_than_what_is_shown_is_not_signed(void **state)
{
	const struct tuf_make_target all[] = { target("policies/base/1.json", bundle_1),
					       target("policies/base/2.json", bundle_2),
					       target("policies/base/3.json", bundle_2) };
	const struct tuf_make_target changed[] = { target("policies/base/1.json", bundle_2),
						   target("policies/base/2.json", bundle_2) };
	const struct tuf_make_target like[] = { target("policies/base/1.json", bundle_1),
						target("policies/base/2.json", bundle_2),
						target("policies/base/2.jsonx", bundle_2) };
	const struct tuf_make_target moved[] = { target("policies/base/1.json", bundle_1),
						 target("policies/mail/2.json", bundle_2) };
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;

	begin_role(&c, o, "policies", "policies/*/*");
	set_text(&c.payload, bundle_2);
	list(&c.file, 2, all, 3);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "policies/base/3.json is new as well"));
	list(&c.file, 2, changed, 2);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	list(&c.file, 2, like, 3);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	list(&c.file, 2, moved, 2);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "does not have it as policies/base/2.json"));
	/* What is shown is an old bundle that the list has, and another one is new. */
	list(&c.file, 2, all, 2);
	set_text(&c.payload, bundle_1);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "policies/base/2.json is new as well"));
	/* Nothing is shown: then nothing may be new. */
	buf_reset(&c.payload);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "payload: missing"));
	list(&c.file, 2, all, 1);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	set_text(&c.payload, "{\"name\":\"base\"}");
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_FORMAT);
	org_free(o);
}

/* A release of one product on the list of another's publishers: nobody would install it. */
static void a_release_of_another_product_is_not_signed(void **state)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_RELEASE_JSON);
	struct tuf_make_target both[] = { target("policies/base/1.json", bundle_1),
					  { .path = "" } };
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	CLEANUP(release_freep) struct release *r = NULL;
	char path[RELEASE_PATH_SIZE], role[80], file[600];
	const char *top = getenv("TOP");

	snprintf(file, sizeof(file), "%s/tests/golden/release/v1/release.json",
		 top ? top : ".");
	assert_ok(read_file_at(AT_FDCWD, file, &text, &e), &e);
	assert_ok(release_parse(&r, text.p, text.n, &e), &e);
	release_path(path, r->product, r->version, "release.json");
	both[1] = (struct tuf_make_target){ .path = path, .length = text.n };
	sha256(both[1].sha256, text.p, text.n);
	begin_role(&c, o, "releases.mail", "releases/*/*/*");
	list(&c.file, 2, both, 2);
	assert_ok(buf_add(&c.payload, text.p, text.n, &e), &e);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "it is a release of"));

	ceremony_done(&c);
	snprintf(role, sizeof(role), "releases.%s", r->product);
	begin_role(&c, o, role, "releases/*/*/*");
	list(&c.file, 2, both, 2);
	assert_ok(buf_add(&c.payload, text.p, text.n, &e), &e);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	org_free(o);
}

static void a_delegation_that_its_people_did_not_sign_is_refused(void **state)
{
	const struct tuf_make_target one = target("policies/base/1.json", bundle_1);
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;
	struct tuf_make_targets in = { .version = 2, .expires_s = YEAR };

	begin_role(&c, o, "policies", "policies/*/*");
	list(&c.file, 2, &one, 1);
	assert_ok(ceremony_check(&c, &o->home, &e), &e);
	/* The same roles, made again and signed by one of the two who have to. */
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_TUF_TARGETS);
	in.old = c.targets.p;
	in.old_n = c.targets.n;
	assert_ok(tuf_make_targets(&again, &in, &e), &e);
	sign(&again, &o->keys[0]);
	buf_reset(&c.targets);
	assert_ok(buf_add(&c.targets, again.p, again.n, &e), &e);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "targets: "));
	org_free(o);
}

static void a_payload_is_for_roles_of_publishers_only(void **state)
{
	struct org *o = org_new(state);
	CLEANUP(ceremony_done) struct ceremony c;

	begin(&c, o);
	set_text(&c.payload, bundle_1);
	assert_fails(ceremony_check(&c, &o->home, &e), &e, E_FORMAT);
	org_free(o);
}

static void files_of_another_shape_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"_type\":\"valise-ceremony\",\"format\":2}",
		"{\"_type\":\"x\",\"format\":1,\"repository\":\"image\",\"role\":\"root\",\"roots\":[],"
		"\"file\":\"{}\"}",
		"{\"_type\":\"valise-ceremony\",\"format\":1,\"repository\":\"image\",\"role\":"
		"\"timestamp\",\"roots\":[],\"file\":\"{}\"}",
		"{\"_type\":\"valise-ceremony\",\"format\":1,\"repository\":\"director\",\"role\":"
		"\"targets\",\"roots\":[],\"file\":\"{}\"}",
		"{\"_type\":\"valise-ceremony\",\"format\":1,\"repository\":\"image\",\"role\":"
		"\"releases.../x\",\"roots\":[],\"file\":\"{}\"}",
		"{\"_type\":\"valise-ceremony\",\"format\":1,\"repository\":\"image\",\"role\":\"root\","
		"\"roots\":[]}",
		"{\"_type\":\"valise-ceremony\",\"format\":1,\"repository\":\"image\",\"role\":\"root\","
		"\"roots\":[7],\"file\":\"{}\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ceremony c;

		assert_fails(ceremony_parse(&c, bad[i], strlen(bad[i]), &e), &e,
			     i == 3 ? E_UNSUPPORTED : E_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(both_roots_have_their_say),
		TMPDIR_TEST(a_stranger_cannot_sign_and_spoils_the_file),
		TMPDIR_TEST(a_flipped_bit_never_gets_a_signature_counted),
		TMPDIR_TEST(an_older_chain_and_another_organisation_are_refused),
		TMPDIR_TEST(a_version_that_does_not_follow_is_refused),
		TMPDIR_TEST(a_chain_that_is_not_signed_is_refused),
		TMPDIR_TEST(a_root_that_its_predecessor_did_not_sign_is_refused),
		TMPDIR_TEST(who_signs_a_bundle_is_shown_its_settings),
		TMPDIR_TEST(no_name_in_a_file_moves_the_cursor_of_who_signs),
		TMPDIR_TEST(a_list_with_more_than_what_is_shown_is_not_signed),
		TMPDIR_TEST(a_release_of_another_product_is_not_signed),
		TMPDIR_TEST(a_delegation_that_its_people_did_not_sign_is_refused),
		TMPDIR_TEST(a_payload_is_for_roles_of_publishers_only),
		cmocka_unit_test(files_of_another_shape_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
