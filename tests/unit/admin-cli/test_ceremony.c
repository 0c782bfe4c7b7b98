#include "tests/support/unit.h"

#include "admin-cli/ceremony.h"
#include "base/rng.h"
#include "proto/sig.h"

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
		cmocka_unit_test(files_of_another_shape_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
