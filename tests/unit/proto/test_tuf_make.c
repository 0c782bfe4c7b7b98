#include "tests/support/unit.h"

#include "tests/support/repo.h"
#include "tests/support/sig_samples.h"

#include "base/text.h"

static struct tuf_meta *parsed(enum tuf_type type, const struct buf *file)
{
	struct tuf_meta *m = NULL;
	struct err e;

	assert_ok(tuf_parse(&m, type, file->p, file->n, &e), &e);
	return m;
}

/* ---- keys --------------------------------------------------------------------------------- */

static void a_key_id_is_the_hash_of_the_canonical_key(void **state)
{
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey k = { 0 };
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey same = { 0 };
	static const char text[] =
		" { \"scheme\": \"ed25519\", \"keyval\": {\"public\": "
		"\"edcd0a32a07dce33f7c7873aaffbff36d20ea30787574ead335eefd337e4dacd\"},\n"
		"\"keytype\": \"ed25519\" } ";
	char id[TUF_KEYID_SIZE];
	uint8_t pub[32];
	struct err e;

	/* The key of the specification's example; its id as securesystemslib 1.4 computes it. */
	assert_true(hex_decode(
		pub, 32, "edcd0a32a07dce33f7c7873aaffbff36d20ea30787574ead335eefd337e4dacd",
		64));
	assert_ok(tuf_pubkey_ed25519(&k, pub, &e), &e);
	assert_string_equal(k.id,
			    "2345a90ad8d76f3677f9ad6695b0ba0b5c7b7fbf27fb0ed35fbdf7b71264a679");
	assert_ok(tuf_keyid_ed25519(id, pub, &e), &e);
	assert_string_equal(id, k.id);
	assert_ok(tuf_pubkey_parse(&same, text, sizeof(text) - 1, &e), &e);
	assert_string_equal(same.id, k.id);
	assert_string_equal(same.json, k.json);
}

static void only_usable_keys_are_taken(void **state)
{
	static const struct {
		const char *text;
		enum err_code code;
	} cases[] = {
		{ "", E_FORMAT },
		{ "[]", E_FORMAT },
		{ "{}", E_FORMAT },
		{ "{\"keytype\":\"ed25519\"}", E_FORMAT },
		{ "{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\"}", E_FORMAT },
		{ "{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{}}", E_FORMAT },
		{ "{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":\"00\"}}",
		  E_FORMAT },
		{ "{\"keytype\":\"x\",\"scheme\":\"y\",\"keyval\":{\"public\":\"00\"}}",
		  E_UNSUPPORTED },
	};
	static const char big[2 * SIG_PEM_MAX + 1];
	struct tuf_pubkey k = { 0 };
	struct err e;

	assert_fails(tuf_pubkey_parse(&k, big, sizeof(big), &e), &e, E_TOO_BIG);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_fails(tuf_pubkey_parse(&k, cases[i].text, strlen(cases[i].text), &e), &e,
			     cases[i].code);
	assert_null(k.json);
	tuf_pubkey_done(NULL);
	tuf_pubkeys_free(NULL, 0);
}

static void the_keys_of_a_role_can_be_taken_over(void **state)
{
	CLEANUP(repo_done) struct repo r;
	const struct repo_file *f;
	struct tuf_pubkey *keys;
	struct tuf_meta *m = NULL;
	struct err e;
	size_t n;

	repo_init(&r);
	repo_role(&r, "root")->keys |= KEY(7);
	repo_publish(&r, "root");
	f = repo_get(r.served, "2.root.json");
	assert_ok(tuf_parse(&m, TUF_ROOT, f->p, f->n, &e), &e);
	assert_ok(tuf_pubkeys_of(&keys, &n, &m->roles[TUF_ROOT], &e), &e);
	assert_int_equal(n, 2);
	assert_string_equal(keys[0].json, r.pubs[0].json);
	assert_string_equal(keys[1].id, r.pubs[7].id);
	tuf_pubkeys_free(keys, n);
	tuf_free(m);
}

/* ---- roles -------------------------------------------------------------------------------- */

static void a_threshold_must_be_reachable(void **state)
{
	CLEANUP(repo_done) struct repo r;
	CLEANUP(buf_done) struct buf out = BUF_INIT(10000);
	struct tuf_make_role roles[TUF_TYPES];
	struct err e;

	repo_init(&r);
	for (unsigned i = 0; i < TUF_TYPES; i++)
		roles[i] = (struct tuf_make_role){ .keys = &r.pubs[i],
						   .n_keys = 1,
						   .threshold = 1 };
	for (unsigned i = 0; i < TUF_TYPES; i++) {
		roles[i].threshold = 2;
		assert_fails(tuf_make_root(&out, 1, REPO_NOW, roles, &e), &e, E_USAGE);
		roles[i].threshold = 0;
		assert_fails(tuf_make_root(&out, 1, REPO_NOW, roles, &e), &e, E_USAGE);
		roles[i].threshold = 1;
	}
	struct tuf_make_role d = { .name = "d", .keys = r.pubs, .n_keys = 1, .threshold = 2 };
	struct tuf_make_targets in = {
		.version = 1, .expires_s = REPO_NOW, .roles = &d, .n_roles = 1
	};
	assert_fails(tuf_make_targets(&out, &in, &e), &e, E_USAGE);
	/* the same key listed twice is no second key */
	struct tuf_pubkey twice[2] = { r.pubs[0], r.pubs[0] };
	roles[0] = (struct tuf_make_role){ .keys = twice, .n_keys = 2, .threshold = 2 };
	assert_fails(tuf_make_root(&out, 1, REPO_NOW, roles, &e), &e, E_FORMAT);
	assert_fails(tuf_make_root(&out, 0, REPO_NOW,
				   (roles[0].n_keys = 1, roles[0].threshold = 1, roles), &e),
		     &e, E_FORMAT);
	assert_int_equal(out.n, 0);
}

static void a_key_of_several_roles_stands_there_once(void **state)
{
	CLEANUP(repo_done) struct repo r;
	CLEANUP(buf_done) struct buf out = BUF_INIT(10000);
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct tuf_make_role roles[TUF_TYPES];
	struct err e;

	repo_init(&r);
	for (unsigned i = 0; i < TUF_TYPES; i++)
		roles[i] =
			(struct tuf_make_role){ .keys = r.pubs, .n_keys = 2, .threshold = 2 };
	assert_ok(tuf_make_root(&out, 1, REPO_NOW, roles, &e), &e);
	m = parsed(TUF_ROOT, &out);
	assert_int_equal(m->n_keys, 2);
	assert_int_equal(m->roles[TUF_TARGETS].n_keys, 2);
	assert_true(m->consistent_snapshot);
}

/* What travels from publish to publish: the older file with changes. */
static void an_older_targets_file_is_extended(void **state)
{
	static const char old_text[] =
		"{\"signatures\":[{\"keyid\":\"a\",\"sig\":\"00\"}],\"signed\":{\"_type\":\"targets\","
		"\"expires\":\"2030-01-01T00:00:00Z\",\"spec_version\":\"1.0\",\"version\":3,"
		"\"x-note\":{\"kept\":\"\\n\"},\"valise\":{\"old\":1},\"targets\":{"
		"\"a/1\":{\"length\":1,\"hashes\":{\"md5\":\"x\"},\"x\":[]},"
		"\"a/2\":{\"length\":2,\"hashes\":{\"md5\":\"x\"}},"
		"\"a/3\":{\"length\":3,\"hashes\":{\"md5\":\"x\"}}}}}";
	static const char *const gone[] = { "a/3" };
	static const struct tuf_make_target add[] = {
		{ .path = "a/2", .length = 22, .custom = "{\"k\": true}" },
		{ .path = "a/4", .length = 4 },
	};
	struct tuf_make_targets in = { .old = old_text,
				       .old_n = sizeof(old_text) - 1,
				       .version = 4,
				       .expires_s = REPO_NOW,
				       .add = add,
				       .n_add = 2,
				       .remove = gone,
				       .n_remove = 1 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(10000);
	struct err e;

	assert_ok(tuf_make_targets(&out, &in, &e), &e);
	assert_string_equal(
		buf_str(&out),
		"{\"signatures\":[],\"signed\":{\"_type\":\"targets\",\"expires\":\"2027-01-15T08:00:00Z\","
		"\"spec_version\":\"1.0.34\",\"targets\":{"
		"\"a/1\":{\"hashes\":{\"md5\":\"x\"},\"length\":1,\"x\":[]},"
		"\"a/2\":{\"custom\":{\"k\":true},\"hashes\":{\"sha256\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"},\"length\":22},"
		"\"a/4\":{\"hashes\":{\"sha256\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"},\"length\":4}},"
		"\"valise\":{\"old\":1},\"version\":4,\"x-note\":{\"kept\":\"\\u000a\"}}}");
	buf_reset(&out);
	in.valise = "{\"new\": 1}";
	assert_ok(tuf_make_targets(&out, &in, &e), &e);
	assert_non_null(strstr(buf_str(&out), "\"valise\":{\"new\":1}"));
}

static void changes_that_make_no_sense_are_refused(void **state)
{
	static const struct tuf_make_target twice[] = { { .path = "a" }, { .path = "a" } };
	static const struct tuf_make_target escape[] = { { .path = "../a" } };
	static const struct tuf_make_target custom[] = { { .path = "a", .custom = "no json" } };
	static const char *const names[] = { "a" };
	static const char succinct[] =
		"{\"signatures\":[],\"signed\":{\"_type\":\"targets\",\"expires\":\"2030-01-01T00:00:00Z\","
		"\"spec_version\":\"1.0\",\"version\":3,\"targets\":{},\"delegations\":{\"keys\":{},"
		"\"succinct_roles\":{\"keyids\":[],\"threshold\":1,\"bit_length\":1,\"name_prefix\":\"x\"}}}}";
	static const char plain[] =
		"{\"signatures\":[],\"signed\":{\"_type\":\"targets\",\"expires\":\"2030-01-01T00:00:00Z\","
		"\"spec_version\":\"1.0\",\"version\":3,\"targets\":{}}}";
	static const struct {
		struct tuf_make_targets in;
		enum err_code code;
	} cases[] = {
		{ { .version = 1, .add = twice, .n_add = 2 }, E_EXISTS },
		{ { .version = 1, .add = escape, .n_add = 1 }, E_FORMAT },
		{ { .version = 1, .add = custom, .n_add = 1 }, E_FORMAT },
		{ { .version = 1, .remove = names, .n_remove = 1 }, E_NOT_FOUND },
		{ { .version = 1, .remove_roles = names, .n_remove_roles = 1 }, E_NOT_FOUND },
		{ { .version = 1,
		    .old = plain,
		    .old_n = sizeof(plain) - 1,
		    .remove = names,
		    .n_remove = 1 },
		  E_NOT_FOUND },
		{ { .version = 1,
		    .old = plain,
		    .old_n = sizeof(plain) - 1,
		    .remove_roles = names,
		    .n_remove_roles = 1 },
		  E_NOT_FOUND },
		{ { .version = 1, .old = "{}", .old_n = 2 }, E_FORMAT },
		{ { .version = 1, .old = succinct, .old_n = sizeof(succinct) - 1 },
		  E_UNSUPPORTED },
		{ { .version = 1, .valise = "x" }, E_FORMAT },
		{ { .version = 0 }, E_FORMAT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(10000);
		struct err e;

		assert_fails(tuf_make_targets(&out, &cases[i].in, &e), &e, cases[i].code);
		assert_int_equal(out.n, 0);
	}
}

static void delegations_are_added_replaced_and_removed_in_place(void **state)
{
	CLEANUP(repo_done) struct repo r;
	CLEANUP(buf_done) struct buf first = BUF_INIT(20000);
	CLEANUP(buf_done) struct buf second = BUF_INIT(20000);
	CLEANUP(buf_done) struct buf third = BUF_INIT(20000);
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	static const char *const paths_a[] = { "a/*", "a/*/*" }, *const paths_b[] = { "b/*" };
	static const char *const remove[] = { "a", "b" };
	struct err e;

	repo_init(&r);
	struct tuf_make_role roles[] = {
		{ "a", &r.pubs[0], 2, 2, paths_a, 2, true },
		{ "b", &r.pubs[1], 1, 1, paths_b, 1, false },
		{ "c", &r.pubs[2], 1, 1, paths_b, 1, false },
	};
	struct tuf_make_targets in = {
		.version = 1, .expires_s = REPO_NOW, .roles = roles, .n_roles = 3
	};
	assert_ok(tuf_make_targets(&first, &in, &e), &e);

	struct tuf_make_role b2 = { "b", &r.pubs[5], 2, 1, paths_a, 1, true };
	struct tuf_make_role d = { "d", &r.pubs[0], 1, 1, paths_b, 1, false };
	struct tuf_make_role more[] = { d, b2 };
	in = (struct tuf_make_targets){ .old = first.p,
					.old_n = first.n,
					.version = 2,
					.expires_s = REPO_NOW,
					.roles = more,
					.n_roles = 2 };
	assert_ok(tuf_make_targets(&second, &in, &e), &e);
	m = parsed(TUF_TARGETS, &second);
	assert_int_equal(m->n_roles, 4);
	static const char *const order[] = { "a", "b", "c", "d" };
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(m->roles[i].name, order[i]);
	assert_true(m->roles[0].terminating && m->roles[0].threshold == 2 &&
		    m->roles[0].n_keys == 2);
	assert_int_equal(jarr_n(m->roles[0].paths), 2);
	assert_true(m->roles[1].terminating && m->roles[1].n_keys == 2);
	assert_string_equal(m->roles[1].keys[0]->id, r.pubs[5].id);
	assert_int_equal(m->n_keys, 5); /* 0 1 of a, 5 6 of b, 2 of c; d's is a's */

	in = (struct tuf_make_targets){ .old = second.p,
					.old_n = second.n,
					.version = 3,
					.expires_s = REPO_NOW,
					.remove_roles = remove,
					.n_remove_roles = 2 };
	assert_ok(tuf_make_targets(&third, &in, &e), &e);
	tuf_free(TAKE(m));
	m = parsed(TUF_TARGETS, &third);
	assert_int_equal(m->n_roles, 2);
	assert_string_equal(m->roles[0].name, "c");
	assert_int_equal(m->n_keys, 2);
}

static void delegations_by_hash_prefix_stay_as_they_are(void **state)
{
	static const char old_text[] =
		"{\"signatures\":[],\"signed\":{\"_type\":\"targets\",\"expires\":\"2030-01-01T00:00:00Z\","
		"\"spec_version\":\"1.0\",\"version\":3,\"targets\":{},\"delegations\":{\"keys\":{},"
		"\"roles\":[{\"name\":\"h\",\"keyids\":[],\"threshold\":1,\"terminating\":true,"
		"\"path_hash_prefixes\":[\"00\",\"f\"]}]}}}";
	CLEANUP(buf_done) struct buf out = BUF_INIT(10000);
	struct tuf_make_targets in = { .old = old_text,
				       .old_n = sizeof(old_text) - 1,
				       .version = 4,
				       .expires_s = REPO_NOW };
	struct err e;

	assert_ok(tuf_make_targets(&out, &in, &e), &e);
	assert_non_null(strstr(buf_str(&out), "\"path_hash_prefixes\":[\"00\",\"f\"]"));
	assert_non_null(strstr(buf_str(&out), "\"terminating\":true"));
}

static void snapshot_and_timestamp_list_versions_and_hashes(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(10000);
	CLEANUP(buf_done) struct buf ts = BUF_INIT(10000);
	struct tuf_make_file files[] = { { "targets", 4, NULL, 0 },
					 { "releases.acme", 2, "abc", 3 } };
	struct tuf_make_file snapshot = { "snapshot", 9, NULL, 0 };
	char long_name[LIMIT_TUF_ROLE_NAME + 2] = { 0 };
	struct err e;

	assert_ok(tuf_make_snapshot(&out, 9, REPO_NOW, files, 2, &e), &e);
	assert_non_null(
		strstr(buf_str(&out),
		       "\"meta\":{\"releases.acme.json\":{\"hashes\":{\"sha256\":"
		       "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"},"
		       "\"length\":3,\"version\":2},\"targets.json\":{\"version\":4}}"));
	assert_ok(tuf_make_timestamp(&ts, 11, REPO_NOW, &snapshot, &e), &e);
	assert_non_null(strstr(buf_str(&ts), "\"meta\":{\"snapshot.json\":{\"version\":9}}"));
	memset(long_name, 'x', sizeof(long_name) - 1);
	files[0].role = long_name;
	assert_fails(tuf_make_snapshot(&out, 9, REPO_NOW, files, 2, &e), &e, E_FORMAT);
	files[0].role = files[1].role; /* twice */
	assert_fails(tuf_make_snapshot(&out, 9, REPO_NOW, files, 2, &e), &e, E_FORMAT);
	assert_fails(tuf_make_timestamp(&ts, 1, REPO_NOW, files, &e), &e, E_FORMAT);
}

/* ---- signing ------------------------------------------------------------------------------ */

struct travelling {
	struct repo r;
	struct buf file;
};

static void travelling_done(struct travelling *t)
{
	repo_done(&t->r);
	buf_done(&t->file);
}

static void travelling_init(struct travelling *t)
{
	struct tuf_make_targets in = { .version = 1, .expires_s = REPO_NOW };
	struct err e;

	repo_init(&t->r);
	buf_init(&t->file, 100000);
	assert_ok(tuf_make_targets(&t->file, &in, &e), &e);
}

static void a_file_collects_signatures_as_it_travels(void **state)
{
	CLEANUP(travelling_done) struct travelling t;
	CLEANUP(buf_done) struct buf again = BUF_INIT(100000);
	CLEANUP(buf_done) struct buf canon = BUF_INIT(100000);
	CLEANUP(buf_done) struct buf canon2 = BUF_INIT(100000);
	struct err e;

	travelling_init(&t);
	assert_ok(tuf_signed_bytes(&canon, t.file.p, t.file.n, &e), &e);
	for (unsigned k = 0; k < 3; k++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		struct buf next = BUF_INIT(100000);

		assert_ok(tuf_sign_with(&next, t.file.p, t.file.n, t.r.secrets[k], &e), &e);
		buf_done(&t.file);
		t.file = next;
		m = parsed(TUF_TARGETS, &t.file);
		assert_int_equal(jarr_n(m->signatures), k + 1);
	}
	assert_ok(tuf_signed_bytes(&canon2, t.file.p, t.file.n, &e), &e);
	assert_string_equal(buf_str(&canon), buf_str(&canon2));
	/* signing again replaces */
	assert_ok(tuf_sign_with(&again, t.file.p, t.file.n, t.r.secrets[0], &e), &e);
	assert_int_equal(again.n, t.file.n);
}

static void a_signature_that_does_not_verify_is_not_added(void **state)
{
	CLEANUP(travelling_done) struct travelling t;
	CLEANUP(buf_done) struct buf out = BUF_INIT(100000);
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey p256 = { 0 };
	CLEANUP(buf_done) struct buf pem = BUF_INIT(10000);
	uint8_t sig[SIG_SIZE] = { 0 };
	struct err e;

	travelling_init(&t);
	assert_fails(tuf_add_signature(&out, t.file.p, t.file.n, &t.r.pubs[0], sig, sizeof(sig),
				       &e),
		     &e, E_UNTRUSTED);
	CLEANUP(buf_done) struct buf canon = BUF_INIT(100000);
	assert_ok(tuf_signed_bytes(&canon, t.file.p, t.file.n, &e), &e);
	assert_ok(sig_sign(sig, t.r.secrets[0], canon.p, canon.n, &e), &e);
	assert_fails(tuf_add_signature(&out, t.file.p, t.file.n, &t.r.pubs[1], sig, sizeof(sig),
				       &e),
		     &e, E_UNTRUSTED);
	assert_ok(tuf_add_signature(&out, t.file.p, t.file.n, &t.r.pubs[0], sig, sizeof(sig),
				    &e),
		  &e);
	/* a key of another kind: its PEM text has line ends */
	assert_ok(
		buf_add_str(
			&pem,
			"{\"keytype\":\"ecdsa\",\"scheme\":\"ecdsa-sha2-nistp256\",\"keyval\":{\"public\":\"",
			&e),
		&e);
	for (const char *c = PEM_P256; *c; c++)
		assert_ok(*c == '\n' ? buf_add_str(&pem, "\\n", &e) : buf_add(&pem, c, 1, &e),
			  &e);
	assert_ok(buf_add_str(&pem, "\"}}", &e), &e);
	buf_reset(&out);
	assert_ok(tuf_pubkey_parse(&p256, pem.p, pem.n, &e), &e);
	assert_fails(tuf_add_signature(&out, t.file.p, t.file.n, &p256, sig, sizeof(sig), &e),
		     &e, E_UNTRUSTED);
}

static void a_broken_key_adds_no_signature(void **state)
{
	static char broken[] = "{", empty[] = "{}";
	CLEANUP(travelling_done) struct travelling t;
	CLEANUP(buf_done) struct buf out = BUF_INIT(100000);
	struct tuf_pubkey k = { .id = "x", .json = broken };
	uint8_t sig[SIG_SIZE] = { 0 };
	struct err e;

	travelling_init(&t);
	assert_fails(tuf_add_signature(&out, t.file.p, t.file.n, &k, sig, sizeof(sig), &e), &e,
		     E_FORMAT);
	k.json = empty;
	assert_fails(tuf_add_signature(&out, t.file.p, t.file.n, &k, sig, sizeof(sig), &e), &e,
		     E_FORMAT);
	assert_fails(tuf_add_signature(&out, "{", 1, &t.r.pubs[0], sig, sizeof(sig), &e), &e,
		     E_FORMAT);
	assert_int_equal(out.n, 0);
}

static bool refuse_to_sign(void *ctx, const char *keyid, const uint8_t *p, size_t n,
			   uint8_t *ret, size_t *ret_n, struct err *e)
{
	return err_set(e, E_RATE, "not now: %s", keyid);
}

static void whoever_signs_may_refuse(void **state)
{
	CLEANUP(travelling_done) struct travelling t;
	CLEANUP(buf_done) struct buf out = BUF_INIT(100000);
	struct tuf_signer signer = { NULL, refuse_to_sign };
	struct secret bad = { .p = (uint8_t[]){ 1 }, .n = 1 };
	struct err e;

	travelling_init(&t);
	assert_fails(tuf_sign(&out, t.file.p, t.file.n, &t.r.pubs[0], &signer, &e), &e, E_RATE);
	assert_fails(tuf_sign_with(&out, t.file.p, t.file.n, &bad, &e), &e, E_FORMAT);
}

static void what_is_no_metadata_is_not_signed(void **state)
{
	static char big[LIMIT_TUF_TARGETS + 1];
	static const char *const texts[] = { "",
					     "[]",
					     "{}",
					     "{\"signed\":1}",
					     "{\"signed\":{},\"signatures\":1}",
					     "{\"signed\":{},\"signatures\":[1]}",
					     "{\"signed\":{},\"signatures\":[{}]}",
					     "{\"signed\":{}}" };
	CLEANUP(repo_done) struct repo r;
	CLEANUP(buf_done) struct buf out = BUF_INIT(100000);
	struct err e;

	repo_init(&r);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_fails(tuf_sign_with(&out, texts[i], strlen(texts[i]), r.secrets[0], &e),
			     &e, E_FORMAT);
	assert_fails(tuf_signed_bytes(&out, big, sizeof(big), &e), &e, E_TOO_BIG);
	/* no more signatures than a reader takes */
	assert_ok(buf_add_str(&out, "{\"signed\":{},\"signatures\":[", &e), &e);
	for (int i = 0; i < LIMIT_TUF_SIGNATURES; i++)
		assert_ok(buf_printf(&out, &e, "%s{\"keyid\":\"%d\",\"sig\":\"\"}",
				     i ? "," : "", i),
			  &e);
	assert_ok(buf_add_str(&out, "]}", &e), &e);
	CLEANUP(buf_done) struct buf more = BUF_INIT(100000);
	assert_fails(tuf_sign_with(&more, out.p, out.n, r.secrets[0], &e), &e, E_TOO_BIG);
}

static bool make_everything(const struct repo *r, struct err *e)
{
	static const char *const paths[] = { "a/*" };
	static const char *const remove[] = { "x" };
	CLEANUP(buf_done) struct buf first = BUF_INIT(100000);
	CLEANUP(buf_done) struct buf second = BUF_INIT(100000);
	CLEANUP(buf_done) struct buf third = BUF_INIT(100000);
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey key = { 0 };
	struct tuf_make_role role = { "x", r->pubs, 1, 1, paths, 1, true };
	struct tuf_make_role role2 = { "y", r->pubs, 1, 1, paths, 1, true };
	struct tuf_make_target target = { .path = "p", .custom = "{}" };
	struct tuf_make_targets in = { .version = 1,
				       .expires_s = REPO_NOW,
				       .roles = &role,
				       .n_roles = 1,
				       .add = &target,
				       .n_add = 1 };
	struct tuf_make_role roles[TUF_TYPES];

	for (unsigned i = 0; i < TUF_TYPES; i++)
		roles[i] =
			(struct tuf_make_role){ .keys = r->pubs, .n_keys = 1, .threshold = 1 };
	if (!tuf_make_root(&third, 1, REPO_NOW, roles, e) || !tuf_make_targets(&first, &in, e))
		return false;
	in = (struct tuf_make_targets){ .old = first.p,
					.old_n = first.n,
					.version = 2,
					.expires_s = REPO_NOW,
					.roles = &role2,
					.n_roles = 1 };
	buf_reset(&third);
	if (!tuf_make_targets(&second, &in, e) ||
	    !tuf_sign_with(&third, second.p, second.n, r->secrets[0], e) ||
	    !tuf_pubkey_parse(&key, r->pubs[1].json, strlen(r->pubs[1].json), e))
		return false;
	in.remove_roles = remove;
	in.n_remove_roles = 1;
	buf_reset(&second);
	return tuf_make_targets(&second, &in, e) &&
	       tuf_sign_with(&second, third.p, third.n, r->secrets[1], e);
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	CLEANUP(repo_done) struct repo r;
	bool ok = false;
	struct err e;

	repo_init(&r);
	FAULT_EACH(n, FAULT_ALLOC) {
		ok = make_everything(&r, &e);
		if (!ok && e.code != E_NOMEM)
			fail_msg("%s: %s", err_name(e.code), e.text);
	}
	assert_true(ok);
}

/* Keys, and an older file with all that it may have: unknown fields, both kinds of paths. */
static bool make_from_old(const struct buf *old, const uint8_t *pub, struct err *e)
{
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey made = { 0 };
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey k = { 0 };
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_TUF_TARGETS);
	const char *const paths[] = { "new/*" };
	char id[TUF_KEYID_SIZE];

	if (!tuf_pubkey_ed25519(&made, pub, e) || !tuf_keyid_ed25519(id, pub, e) ||
	    !tuf_pubkey_parse(&k, made.json, strlen(made.json), e))
		return false;
	struct tuf_make_role role = { .name = "one.more",
				      .keys = &k,
				      .n_keys = 1,
				      .threshold = 1,
				      .paths = paths,
				      .n_paths = 1 };
	struct tuf_make_targets in = { .old = old->p,
				       .old_n = old->n,
				       .version = 9,
				       .expires_s = REPO_NOW,
				       .roles = &role,
				       .n_roles = 1,
				       .valise = "{\"a\":1}" };
	return tuf_make_targets(&out, &in, e);
}

static void an_old_file_with_everything_survives_want_of_memory(void **state)
{
	static const char keyid[] =
		"2345a90ad8d76f3677f9ad6695b0ba0b5c7b7fbf27fb0ed35fbdf7b71264a679";
	static const char public[] =
		"edcd0a32a07dce33f7c7873aaffbff36d20ea30787574ead335eefd337e4dacd";
	CLEANUP(buf_done) struct buf old = BUF_INIT(LIMIT_TUF_TARGETS);
	uint8_t pub[SIG_PUBLIC_SIZE];
	struct err e;
	bool ok = false;

	assert_true(hex_decode(pub, 32, public, 64));
	/* Lists of growing size, so that each needs more room than there was. */
	assert_ok(
		buf_printf(
			&old, &e,
			"{\"signatures\":[],\"signed\":{\"_type\":\"targets\",\"delegations\":"
			"{\"keys\":{\"%s\":{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"%s\"},"
			"\"scheme\":\"ed25519\"}},\"roles\":[{\"keyids\":[\"%s\"],\"name\":\"a\","
			"\"path_hash_prefixes\":[\"0a\"",
			keyid, public, keyid),
		&e);
	for (int i = 0; i < 20; i++)
		assert_ok(buf_printf(&old, &e, ",\"%04x\"", i), &e);
	assert_ok(buf_printf(&old, &e,
			     "],\"terminating\":false,\"threshold\":1},{\"keyids\":[\"%s\"],"
			     "\"name\":\"b\",\"paths\":[\"x/*\"",
			     keyid),
		  &e);
	for (int i = 0; i < 80; i++)
		assert_ok(buf_printf(&old, &e, ",\"x/%d\"", i), &e);
	assert_ok(buf_printf(&old, &e,
			     "],\"terminating\":true,\"threshold\":1}]},\"expires\":"
			     "\"2030-01-01T00:00:00Z\",\"other\":[0"),
		  &e);
	for (int i = 0; i < 400; i++)
		assert_ok(buf_printf(&old, &e, ",%d", i), &e);
	assert_ok(buf_printf(&old, &e,
			     "],\"spec_version\":\"1.0.31\",\"targets\":{},\"version\":8}}"),
		  &e);
	FAULT_EACH(n, FAULT_ALLOC) {
		ok = make_from_old(&old, pub, &e);
		if (!ok && e.code != E_NOMEM)
			fail_msg("%s: %s", err_name(e.code), e.text);
	}
	assert_true(ok);
}

static void keys_and_timestamps_survive_want_of_memory(void **state)
{
	uint8_t pub[SIG_PUBLIC_SIZE] = { 9 };
	struct tuf_make_file file = { "snapshot", 1, "x", 1 };
	bool ok = false;
	struct err e;

	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(tuf_pubkey_done) struct tuf_pubkey k = { 0 };
		CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_TUF_TIMESTAMP);

		ok = tuf_pubkey_ed25519(&k, pub, &e) &&
		     tuf_make_timestamp(&out, 1, REPO_NOW, &file, &e);
		if (!ok && e.code != E_NOMEM)
			fail_msg("%s: %s", err_name(e.code), e.text);
	}
	assert_true(ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_id_is_the_hash_of_the_canonical_key),
		cmocka_unit_test(only_usable_keys_are_taken),
		cmocka_unit_test(the_keys_of_a_role_can_be_taken_over),
		cmocka_unit_test(a_threshold_must_be_reachable),
		cmocka_unit_test(a_key_of_several_roles_stands_there_once),
		cmocka_unit_test(an_older_targets_file_is_extended),
		cmocka_unit_test(changes_that_make_no_sense_are_refused),
		cmocka_unit_test(delegations_are_added_replaced_and_removed_in_place),
		cmocka_unit_test(delegations_by_hash_prefix_stay_as_they_are),
		cmocka_unit_test(snapshot_and_timestamp_list_versions_and_hashes),
		cmocka_unit_test(a_file_collects_signatures_as_it_travels),
		cmocka_unit_test(a_signature_that_does_not_verify_is_not_added),
		cmocka_unit_test(a_broken_key_adds_no_signature),
		cmocka_unit_test(whoever_signs_may_refuse),
		cmocka_unit_test(what_is_no_metadata_is_not_signed),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
		cmocka_unit_test(an_old_file_with_everything_survives_want_of_memory),
		cmocka_unit_test(keys_and_timestamps_survive_want_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
