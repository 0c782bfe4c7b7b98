/* What is metadata and what is not; names, patterns and paths. */
#include "tests/support/unit.h"

#include "tests/support/repo.h"
#include "tests/support/sig_samples.h"

#include "base/text.h"
#include "proto/cjson.h"

/* ---- shape -------------------------------------------------------------------------------- */

/* A good file of each type, as members of "signed". */
#define COMMON(type)        \
	"\"_type\":\"" type \
	"\",\"expires\":\"2030-01-01T00:00:00Z\",\"spec_version\":\"1.0.34\",\"version\":7"
#define ROLE "{\"keyids\":[],\"threshold\":1}"
#define ROOT_ROLES \
	"\"root\":" ROLE ",\"timestamp\":" ROLE ",\"snapshot\":" ROLE ",\"targets\":" ROLE
#define ROOT COMMON("root") ",\"keys\":{},\"roles\":{" ROOT_ROLES "}"
#define TIMESTAMP COMMON("timestamp") ",\"meta\":{\"snapshot.json\":{\"version\":1}}"
#define SNAPSHOT COMMON("snapshot") ",\"meta\":{\"targets.json\":{\"version\":1}}"
#define TARGETS COMMON("targets") ",\"targets\":{}"
#define DELEGATIONS(roles) TARGETS ",\"delegations\":{\"keys\":{},\"roles\":[" roles "]}"
#define DELEGATION(name, more) \
	"{\"name\":\"" name "\",\"keyids\":[],\"threshold\":1,\"terminating\":false," more "}"

static bool parse_signed(struct tuf_meta **ret, enum tuf_type type, const char *members,
			 struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);

	assert_ok(buf_printf(&b, e, "{\"signatures\":[],\"signed\":{%s}}", members), e);
	return tuf_parse(ret, type, b.p, b.n, e);
}

static void good_files_of_each_type_are_read(void **state)
{
	static const char *const good[TUF_TYPES] = { ROOT, TIMESTAMP, SNAPSHOT, TARGETS };

	for (unsigned t = 0; t < TUF_TYPES; t++)
		for (unsigned u = 0; u < TUF_TYPES; u++) {
			CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
			struct err e;
			bool ok = parse_signed(&m, (enum tuf_type)t, good[u], &e);

			assert_int_equal(ok, t == u);
			if (ok) {
				assert_int_equal(m->version, 7);
				assert_int_equal(m->expires_s, 1893456000);
			} else {
				assert_int_equal(e.code, E_FORMAT);
				assert_null(m);
			}
		}
}

static const struct {
	enum tuf_type type;
	const char *members, *words;
} bad_files[] = {
	/* what all have in common */
	{ TUF_TARGETS, "", "_type: missing" },
	{ TUF_TARGETS, "\"_type\":1", "_type" },
	{ TUF_TARGETS, "\"_type\":\"targets\"", "spec_version: missing" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"2.0\"", "is not 1.x" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1\"", "is not 1.x" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"10.0\"", "is not 1.x" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1.x\"", "is not 1.x" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1.0\"", "version: missing" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":0",
	  "version" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":-1",
	  "version" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":\"1\"",
	  "version" },
	{ TUF_TARGETS, "\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":1",
	  "expires: missing" },
	{ TUF_TARGETS,
	  "\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":1,\"expires\":\"2030-01-01\"",
	  "expires" },
	{ TUF_TARGETS,
	  "\"_type\":\"targets\",\"spec_version\":\"1.0\",\"version\":1,\"expires\":"
	  "\"2030-01-01T00:00:00+00:00\"",
	  "expires" },
	/* root */
	{ TUF_ROOT, COMMON("root"), "keys: missing" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":[]", "keys" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":{\"a\":1}", "key a" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":{}", "roles: missing" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":{},\"roles\":{}", "roles: root: root: missing" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":{},\"roles\":{\"root\":{}}",
	  "threshold: missing" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":{},\"roles\":{\"root\":{\"threshold\":0}}",
	  "threshold" },
	{ TUF_ROOT, COMMON("root") ",\"keys\":{},\"roles\":{\"root\":{\"threshold\":1}}",
	  "keyids: missing" },
	{ TUF_ROOT,
	  COMMON("root") ",\"keys\":{},\"roles\":{\"root\":{\"threshold\":1,\"keyids\":[1]}}",
	  "keyids" },
	{ TUF_ROOT,
	  COMMON("root") ",\"keys\":{},\"roles\":{\"root\":{\"threshold\":1,\"keyids\":[\"a\",\"b\",\"a\"]}}",
	  "stands there twice" },
	{ TUF_ROOT,
	  COMMON("root") ",\"keys\":{},\"roles\":{\"root\":" ROLE ",\"timestamp\":" ROLE
			 ",\"snapshot\":" ROLE "}",
	  "roles: targets" },
	{ TUF_ROOT, ROOT ",\"consistent_snapshot\":1", "consistent_snapshot" },
	/* timestamp and snapshot */
	{ TUF_TIMESTAMP, COMMON("timestamp"), "meta: missing" },
	{ TUF_TIMESTAMP, COMMON("timestamp") ",\"meta\":{}", "snapshot.json: missing" },
	{ TUF_TIMESTAMP, COMMON("timestamp") ",\"meta\":{\"snapshot.json\":{}}",
	  "version: missing" },
	{ TUF_SNAPSHOT, COMMON("snapshot") ",\"meta\":{\"a.json\":1}", "meta: a.json" },
	{ TUF_SNAPSHOT, COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":0}}",
	  "version" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"length\":0}}", "length" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"length\":-1}}", "length" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"length\":5000001}}",
	  "length" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"hashes\":1}}", "hashes" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"hashes\":{}}}",
	  "hashes: empty" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"hashes\":{\"sha256\":\"00\"}}}",
	  "sha256" },
	{ TUF_SNAPSHOT,
	  COMMON("snapshot") ",\"meta\":{\"a.json\":{\"version\":1,\"hashes\":{\"sha512\":\"00\"}}}",
	  "sha512" },
	/* targets */
	{ TUF_TARGETS, COMMON("targets"), "targets: missing" },
	{ TUF_TARGETS, COMMON("targets") ",\"targets\":{\"a\":1}", "target a" },
	{ TUF_TARGETS, COMMON("targets") ",\"targets\":{\"a\":{\"hashes\":{\"x\":\"\"}}}",
	  "length: missing" },
	{ TUF_TARGETS, COMMON("targets") ",\"targets\":{\"a\":{\"length\":1}}",
	  "hashes: missing" },
	{ TUF_TARGETS, COMMON("targets") ",\"targets\":{\"a\":{\"length\":1,\"hashes\":{}}}",
	  "hashes: empty" },
	{ TUF_TARGETS,
	  COMMON("targets") ",\"targets\":{\"a\":{\"length\":1,\"hashes\":{\"x\":\"\"},\"custom\":1}}",
	  "custom" },
	/* delegations */
	{ TUF_TARGETS, TARGETS ",\"delegations\":1", "delegations" },
	{ TUF_TARGETS, TARGETS ",\"delegations\":{\"keys\":{}}",
	  "either roles or succinct_roles" },
	{ TUF_TARGETS,
	  TARGETS ",\"delegations\":{\"keys\":{},\"roles\":[],\"succinct_roles\":{}}",
	  "either roles or succinct_roles" },
	{ TUF_TARGETS, TARGETS ",\"delegations\":{\"roles\":[]}", "keys: missing" },
	{ TUF_TARGETS, TARGETS ",\"delegations\":{\"keys\":{},\"roles\":{}}", "roles" },
	{ TUF_TARGETS, DELEGATIONS("1"), "delegation 1" },
	{ TUF_TARGETS, DELEGATIONS("{}"), "name: missing" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("", "\"paths\":[]")), "cannot be delegated to" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("root", "\"paths\":[]")),
	  "cannot be delegated to" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("timestamp", "\"paths\":[]")),
	  "cannot be delegated to" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("snapshot", "\"paths\":[]")),
	  "cannot be delegated to" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("targets", "\"paths\":[]")),
	  "cannot be delegated to" },
	{ TUF_TARGETS,
	  DELEGATIONS(DELEGATION("a", "\"paths\":[]") "," DELEGATION("a", "\"paths\":[]")),
	  "delegation 2: name: \"a\" stands there twice" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("a", "\"x\":1")),
	  "either paths or path_hash_prefixes" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("a", "\"paths\":[],\"path_hash_prefixes\":[]")),
	  "either paths or path_hash_prefixes" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("a", "\"paths\":[1]")), "paths" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("a", "\"paths\":1")), "paths" },
	{ TUF_TARGETS, DELEGATIONS(DELEGATION("a", "\"path_hash_prefixes\":[1]")),
	  "path_hash_prefixes" },
	{ TUF_TARGETS,
	  DELEGATIONS("{\"name\":\"a\",\"keyids\":[],\"threshold\":1,\"paths\":[]}"),
	  "terminating: missing" },
	{ TUF_TARGETS,
	  DELEGATIONS("{\"name\":\"a\",\"keyids\":[],\"terminating\":true,\"paths\":[]}"),
	  "threshold: missing" },
	{ TUF_TARGETS, TARGETS ",\"delegations\":{\"keys\":{},\"succinct_roles\":1}",
	  "succinct_roles" },
	{ TUF_TARGETS,
	  TARGETS ",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"bit_length\":0}}",
	  "bit_length" },
	{ TUF_TARGETS,
	  TARGETS ",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"bit_length\":33}}",
	  "bit_length" },
	{ TUF_TARGETS,
	  TARGETS ",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"bit_length\":4}}",
	  "name_prefix" },
	{ TUF_TARGETS,
	  TARGETS
	  ",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"bit_length\":4,\"name_prefix\":\"x\"}}",
	  "threshold" },
};

static void files_of_the_wrong_shape_are_refused_with_the_place(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_files); i++) {
		struct tuf_meta *m = NULL;
		struct err e;

		if (parse_signed(&m, bad_files[i].type, bad_files[i].members, &e))
			fail_msg("read: %s", bad_files[i].members);
		if ((e.code != E_FORMAT && e.code != E_UNSUPPORTED && e.code != E_TOO_BIG) ||
		    !strstr(e.text, bad_files[i].words))
			fail_msg("%s\n%s: %s", bad_files[i].members, err_name(e.code), e.text);
		assert_null(m);
	}
}

static void the_envelope_is_checked(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "", "" },
		{ "[]", "object" },
		{ "{}", "signatures: missing" },
		{ "{\"signatures\":{}}", "signatures" },
		{ "{\"signatures\":[1]}", "signature 1" },
		{ "{\"signatures\":[{}]}", "keyid: missing" },
		{ "{\"signatures\":[{\"keyid\":\"a\"}]}", "sig: missing" },
		{ "{\"signatures\":[{\"keyid\":\"a\",\"sig\":1}]}", "sig" },
		{ "{\"signatures\":[{\"keyid\":\"a\",\"sig\":\"\"},{\"keyid\":\"a\",\"sig\":\"\"}]}",
		  "two signatures by key a" },
		{ "{\"signatures\":[]}", "signed: missing" },
		{ "{\"signatures\":[],\"signed\":[]}", "signed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tuf_meta *m = NULL;
		struct err e;

		assert_fails(tuf_parse(&m, TUF_ROOT, cases[i].text, strlen(cases[i].text), &e),
			     &e, E_FORMAT);
		assert_non_null(strstr(e.text, cases[i].words));
	}
}

static void more_than_the_limits_is_refused(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(8 << 20);
	struct tuf_meta *m = NULL;
	struct err e;

	for (int i = 0; i <= LIMIT_TUF_SIGNATURES; i++)
		assert_ok(buf_printf(&b, &e, "%s{\"keyid\":\"%d\",\"sig\":\"\"}",
				     i ? "," : "{\"signatures\":[", i),
			  &e);
	assert_ok(buf_add_str(&b, "],\"signed\":{" TARGETS "}}", &e), &e);
	assert_fails(tuf_parse(&m, TUF_TARGETS, b.p, b.n, &e), &e, E_TOO_BIG);

	buf_reset(&b);
	assert_ok(buf_add_str(&b, COMMON("root") ",\"roles\":{" ROOT_ROLES "},\"keys\":{", &e),
		  &e);
	for (int i = 0; i <= LIMIT_TUF_KEYS; i++)
		assert_ok(buf_printf(&b, &e, "%s\"%d\":{}", i ? "," : "", i), &e);
	assert_ok(buf_add_str(&b, "}", &e), &e);
	assert_fails(parse_signed(&m, TUF_ROOT, buf_str(&b), &e), &e, E_TOO_BIG);

	buf_reset(&b);
	for (int i = 0; i <= LIMIT_TUF_TIMESTAMP; i++)
		assert_ok(buf_add_str(&b, " ", &e), &e);
	assert_fails(tuf_parse(&m, TUF_TIMESTAMP, b.p, b.n, &e), &e, E_TOO_BIG);

	char name[LIMIT_TUF_ROLE_NAME + 2] = { 0 };
	memset(name, 'r', LIMIT_TUF_ROLE_NAME + 1);
	buf_reset(&b);
	assert_ok(buf_printf(&b, &e,
			     TARGETS
			     ",\"delegations\":{\"keys\":{},\"roles\":[{\"name\":\"%s\"}]}",
			     name),
		  &e);
	assert_false(parse_signed(&m, TUF_TARGETS, buf_str(&b), &e));
	assert_null(m);
}

/* ---- keys --------------------------------------------------------------------------------- */

/* The key of that JSON, in a root in which it is listed under its id (or another one). */
static const char *why_not(const char *key_json, bool right_id)
{
	static char why[100];
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(10000);
	CLEANUP(buf_done) struct buf canon = BUF_INIT(10000);
	char id[HEX_SIZE(SHA256_SIZE)];
	uint8_t hash[SHA256_SIZE];
	struct err e;

	assert_ok(cjson_from_text(&canon, key_json, strlen(key_json), &e), &e);
	sha256(hash, canon.p, canon.n);
	hex_encode(id, hash, sizeof(hash));
	if (!right_id)
		id[0] = id[0] == '0' ? '1' : '0';
	assert_ok(buf_printf(&b, &e,
			     COMMON("root") ",\"roles\":{" ROOT_ROLES "},\"keys\":{\"%s\":%s}",
			     id, key_json),
		  &e);
	assert_ok(parse_signed(&m, TUF_ROOT, buf_str(&b), &e), &e);
	assert_int_equal(m->n_keys, 1);
	assert_int_equal(m->keys[0].usable, m->keys[0].why_not == NULL);
	snprintf(why, sizeof(why), "%s", m->keys[0].why_not ? m->keys[0].why_not : "");
	return why;
}

#define ED_PUBLIC "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static void keys_that_cannot_be_used_are_kept_and_never_count(void **state)
{
	static const char good[] =
		"{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{"
		"\"public\":\"" ED_PUBLIC "\"}}";

	assert_string_equal(why_not(good, true), "");
	assert_string_equal(why_not(good, false), "its id is not its hash");
	assert_string_equal(why_not("{}", true), "it lacks keytype, scheme or public value");
	assert_string_equal(why_not("{\"keytype\":\"a\"}", true),
			    "it lacks keytype, scheme or public value");
	assert_string_equal(why_not("{\"keytype\":\"a\",\"scheme\":\"b\"}", true),
			    "it lacks keytype, scheme or public value");
	assert_string_equal(
		why_not("{\"keytype\":\"a\",\"scheme\":\"b\",\"keyval\":{\"public\":{}}}",
			true),
		"it lacks keytype, scheme or public value");
	assert_string_equal(
		why_not("{\"keytype\":\"sigstore-oidc\",\"scheme\":\"Fulcio\",\"keyval\":{"
			"\"public\":\"\"}}",
			true),
		"its type is not supported");
	assert_string_equal(
		why_not("{\"keytype\":\"ed25519\",\"scheme\":\"ed25519\",\"keyval\":{\"public\":"
			"\"0000000000000000000000000000000000000000000000000000000000000000\"}}",
			true),
		"its public value is refused");
}

static void a_role_keeps_to_the_keys_that_are_listed(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct err e;

	assert_ok(
		parse_signed(
			&m, TUF_ROOT,
			COMMON("root") ",\"keys\":{\"a\":{},\"b\":{}},\"roles\":{\"root\":{\"keyids\":"
				       "[\"x\",\"b\"],\"threshold\":2},\"timestamp\":" ROLE
				       ",\"snapshot\":" ROLE ",\"targets\":" ROLE "}",
			&e),
		&e);
	assert_int_equal(m->roles[TUF_ROOT].n_keys, 1);
	assert_string_equal(m->roles[TUF_ROOT].keys[0]->id, "b");
	assert_int_equal(m->roles[TUF_ROOT].threshold, 2);
	assert_fails(tuf_verify(m, &m->roles[TUF_ROOT], &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "missing is one of: b"));
	assert_fails(tuf_verify(m, &m->roles[TUF_TARGETS], &e), &e, E_UNTRUSTED);
	assert_non_null(strstr(e.text, "no key is known"));
}

static void a_ceremony_sees_who_has_signed(void **state)
{
	CLEANUP(repo_done) struct repo r;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	const struct repo_file *f;
	bool good[3];
	uint64_t n;
	struct err e;

	repo_init(&r);
	repo_role(&r, "root")->keys = KEY(0) | KEY(6) | KEY(7);
	repo_role(&r, "root")->sign = KEY(0) | KEY(7);
	repo_publish(&r, "root");
	f = repo_get(r.served, "2.root.json");
	assert_ok(tuf_parse(&m, TUF_ROOT, f->p, f->n, &e), &e);
	assert_ok(tuf_count(m, &m->roles[TUF_ROOT], &n, good, &e), &e);
	assert_int_equal(n, 2);
	assert_true(good[0] && !good[1] && good[2]);
	assert_ok(tuf_count(m, &m->roles[TUF_ROOT], &n, NULL, &e), &e);
	assert_int_equal(n, 2);
}

static void the_text_of_a_refusal_fits(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100000);
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct err e;

	assert_ok(buf_add_str(&b, COMMON("root") ",\"keys\":{", &e), &e);
	for (int i = 0; i < 40; i++)
		assert_ok(buf_printf(&b, &e, "%s\"%010d\":{}", i ? "," : "", i), &e);
	assert_ok(buf_add_str(&b, "},\"roles\":{\"root\":{\"threshold\":1,\"keyids\":[", &e),
		  &e);
	for (int i = 0; i < 40; i++)
		assert_ok(buf_printf(&b, &e, "%s\"%010d\"", i ? "," : "", i), &e);
	assert_ok(buf_add_str(&b,
			      "]},\"timestamp\":" ROLE ",\"snapshot\":" ROLE
			      ",\"targets\":" ROLE "}",
			      &e),
		  &e);
	assert_ok(parse_signed(&m, TUF_ROOT, buf_str(&b), &e), &e);
	assert_fails(tuf_verify(m, &m->roles[TUF_ROOT], &e), &e, E_UNTRUSTED);
}

static void an_ecdsa_signature_counts_for_its_role(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct sig_key key = { 0 };
	struct err e;

	assert_ok(sig_key_parse(&key, "ecdsa", "ecdsa-sha2-nistp256", PEM_P256, &e), &e);
	struct tuf_key k = { .id = "p256", .key = key, .usable = true };
	const struct tuf_key *keys[] = { &k };
	struct tuf_role role = { .name = "x", .keys = keys, .n_keys = 1, .threshold = 1 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(10000);
	assert_ok(
		buf_printf(
			&b, &e,
			"{\"signatures\":[{\"keyid\":\"p256\",\"sig\":\"%s\"}],\"signed\":{%s}}",
			SIG_P256, TARGETS),
		&e);
	assert_ok(tuf_parse(&m, TUF_TARGETS, b.p, b.n, &e), &e);
	assert_fails(tuf_verify(m, &role, &e), &e, E_UNTRUSTED);
	buf_reset(&m->canon); /* what SIG_P256 is over */
	assert_ok(buf_add_str(&m->canon, "a message", &e), &e);
	assert_ok(tuf_verify(m, &role, &e), &e);
	k.usable = false;
	assert_fails(tuf_verify(m, &role, &e), &e, E_UNTRUSTED);
	sig_key_done(&key);
}

/* ---- hashes ------------------------------------------------------------------------------- */

static void length_and_both_hashes_are_checked(void **state)
{
	struct tuf_hashes h = { 0 };
	struct err e;

	assert_ok(tuf_hashes_check(&h, "abc", 3, &e), &e);
	h.has_length = h.has_sha256 = h.has_sha512 = true;
	h.length = 3;
	sha256(h.sha256, "abc", 3);
	sha512(h.sha512, "abc", 3);
	assert_ok(tuf_hashes_check(&h, "abc", 3, &e), &e);
	h.length = 4;
	assert_fails(tuf_hashes_check(&h, "abc", 3, &e), &e, E_CORRUPT);
	h.length = 3;
	h.sha256[0] ^= 1;
	assert_fails(tuf_hashes_check(&h, "abc", 3, &e), &e, E_CORRUPT);
	h.sha256[0] ^= 1;
	h.sha512[63] ^= 1;
	assert_fails(tuf_hashes_check(&h, "abc", 3, &e), &e, E_CORRUPT);
}

static void a_target_is_found_with_all_that_is_said_of_it(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(buf_done) struct buf path = BUF_INIT(1000);
	char members[2000], hex[HEX_SIZE(SHA512_SIZE)];
	uint8_t sum[SHA512_SIZE];
	struct tuf_target t;
	struct err e;

	sha512(sum, "abc", 3);
	hex_encode(hex, sum, sizeof(sum));
	snprintf(
		members, sizeof(members),
		COMMON("targets") ",\"targets\":{\"a/b\":{\"length\":3,\"hashes\":{\"sha512\":\"%s\","
				  "\"md5\":\"?\"},\"custom\":{\"x\":1}},\"c\":{\"length\":0,\"hashes\":{\"md5\":"
				  "\"\"}}}",
		hex);
	assert_ok(parse_signed(&m, TUF_TARGETS, members, &e), &e);
	assert_fails(tuf_target_get(&t, m, "a", &e), &e, E_NOT_FOUND);
	assert_ok(tuf_target_get(&t, m, "a/b", &e), &e);
	assert_true(t.hashes.has_sha512 && !t.hashes.has_sha256 && t.hashes.length == 3);
	assert_non_null(t.custom);
	assert_ok(tuf_hashes_check(&t.hashes, "abc", 3, &e), &e);
	assert_ok(tuf_consistent_path(&path, &t, &e), &e);
	snprintf(members, sizeof(members), "a/%s.b", hex);
	assert_string_equal(buf_str(&path), members);
	assert_ok(tuf_target_get(&t, m, "c", &e), &e);
	assert_null(t.custom);
	assert_fails(tuf_consistent_path(&path, &t, &e), &e, E_UNSUPPORTED);
}

/* ---- patterns, names, paths --------------------------------------------------------------- */

static void patterns_match_within_one_part(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
		{ "a", "a", true },
		{ "a", "b", false },
		{ "a", "ab", false },
		{ "ab", "a", false },
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "*", "abc", true },
		{ "*", "a/b", false },
		{ "*/*", "a/b", true },
		{ "*/*", "a/b/c", false },
		{ "*.tgz", "foo.tgz", true },
		{ "*.tgz", "foo.txt", false },
		{ "*.tgz", "dir/foo.tgz", false },
		{ "foo-?.tgz", "foo-1.tgz", true },
		{ "foo-?.tgz", "foo-12.tgz", false },
		{ "foo-?.tgz", "foo-.tgz", false },
		{ "a?b", "a/b", false },
		{ "?", "\xc3\xa9", true }, /* one character, two bytes */
		{ "??", "\xc3\xa9", false },
		{ "releases/*/*", "releases/x/y", true },
		{ "releases/*/*", "releases/x/y/z", false },
		{ "releases/*/*", "releases/x/", true },
		{ "*a*b*", "xxaxxbxx", true },
		{ "*a*b*", "xxbxxaxx", false },
		{ "a*b*c", "abbbcbc", true },
		{ "**", "abc", true },
		{ "**", "a/b", false },
		{ "*a/b", "aa/b", true },
		{ "*a/*b", "xa/xb", true },
		{ "*/b", "a/a/b", false },
		{ "[ab]", "a", false }, /* sets are no part of the specification */
		{ "[ab]", "[ab]", true },
		{ "a\\*", "a\\b", true },
		{ "A", "a", false },
		{ "a*", "a", true },
		{ "?", "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (tuf_pattern_matches(cases[i].pattern, cases[i].path) != cases[i].match)
			fail_msg("%s and %s", cases[i].pattern, cases[i].path);
}

/* A pattern that makes a naive matcher try 2^n ways. */
static void a_hostile_pattern_takes_no_time(void **state)
{
	char pattern[401], path[1001] = { 0 };

	for (int i = 0; i < 400; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[400] = '\0';
	memset(path, 'a', 199);
	assert_false(tuf_pattern_matches(pattern, path));
	memset(path, 'a', 1000);
	assert_true(tuf_pattern_matches(pattern, path));
}

static void delegations_cover_by_pattern_or_by_hash(void **state)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct tuf_role nothing = { 0 };
	struct err e;

	/* SHA-256("file") begins with 3b9c. */
	assert_ok(
		parse_signed(
			&m, TUF_TARGETS,
			DELEGATIONS(DELEGATION("a", "\"paths\":[\"x/*\",\"file\"]") "," DELEGATION("b", "\"path_hash_prefixes\":[\"00\",\"3b9\"]") "," DELEGATION(
				"c",
				"\"path_hash_prefixes\":[\"3B9\"]") "," DELEGATION("d",
										   "\"paths\":[]")),
			&e),
		&e);
	assert_true(tuf_role_covers(tuf_role_get(m, "a"), "file"));
	assert_true(tuf_role_covers(tuf_role_get(m, "a"), "x/y"));
	assert_false(tuf_role_covers(tuf_role_get(m, "a"), "y"));
	assert_true(tuf_role_covers(tuf_role_get(m, "b"), "file"));
	assert_false(tuf_role_covers(tuf_role_get(m, "b"), "y"));
	assert_false(tuf_role_covers(tuf_role_get(m, "c"), "file"));
	assert_false(tuf_role_covers(tuf_role_get(m, "d"), "file"));
	assert_false(tuf_role_covers(&nothing, "file"));
	assert_null(tuf_role_get(m, "e"));
}

static void succinct_names_are_those_of_tap_15(void **state)
{
	static const struct {
		unsigned bits;
		const char *name; /* for "file": 3b9c358f... */
		const char *known[3], *unknown[5];
	} cases[] = {
		{ 1,
		  "bin-0",
		  { "bin-0", "bin-1" },
		  { "bin-2", "bin-", "bin", "bin-00", "x-0" } },
		{ 4, "bin-3", { "bin-0", "bin-f", "bin-a" }, { "bin-10", "bin-g", "bin-F" } },
		{ 5, "bin-07", { "bin-00", "bin-1f" }, { "bin-20", "bin-7", "bin-ff" } },
		{ 32, "bin-3b9c358f", { "bin-ffffffff" }, { "bin-fffffff", "bin-100000000" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		char members[500], name[100];
		struct err e;

		snprintf(members, sizeof(members),
			 TARGETS
			 ",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"bit_length\":%u,"
			 "\"name_prefix\":\"bin\",\"keyids\":[],\"threshold\":1}}",
			 cases[i].bits);
		assert_ok(parse_signed(&m, TUF_TARGETS, members, &e), &e);
		tuf_succinct_name(name, sizeof(name), m, "file");
		assert_string_equal(name, cases[i].name);
		assert_ptr_equal(tuf_role_get(m, name), &m->roles[0]);
		for (size_t k = 0; k < 3 && cases[i].known[k]; k++)
			assert_non_null(tuf_role_get(m, cases[i].known[k]));
		for (size_t k = 0; k < 5 && cases[i].unknown[k]; k++)
			assert_null(tuf_role_get(m, cases[i].unknown[k]));
	}
}

static void names_of_files_are_safe(void **state)
{
	static const struct {
		const char *role, *plain;
	} cases[] = {
		{ "root", "root.json" },
		{ "releases.acme-phone", "releases.acme-phone.json" },
		{ "../../etc/passwd", "..%2F..%2Fetc%2Fpasswd.json" },
		{ "a%b", "a%25b.json" },
		{ "\xc3\xa9 ~_A9", "%C3%A9%20~_A9.json" },
		{ "", ".json" },
		{ "`{@[/:az", "%60%7B%40%5B%2F%3Aaz.json" },
	};
	char name[TUF_FILE_NAME_SIZE], want[TUF_FILE_NAME_SIZE + 8], long_role[300] = { 0 };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_ok(tuf_file_name(name, cases[i].role, 0, &e), &e);
		assert_string_equal(name, cases[i].plain);
		snprintf(want, sizeof(want), "12.%s", cases[i].plain);
		assert_ok(tuf_file_name(name, cases[i].role, 12, &e), &e);
		assert_string_equal(name, want);
	}
	for (size_t n = 80; n < 299; n++) {
		memset(long_role, n % 2 ? '/' : 'a', n);
		bool fits = (n % 2 ? 3 * n : n) + 5 < TUF_FILE_NAME_SIZE;

		assert_int_equal(tuf_file_name(name, long_role, 0, &e), fits);
	}
	assert_int_equal(tuf_max_bytes(TUF_TIMESTAMP), LIMIT_TUF_TIMESTAMP);
	assert_string_equal(tuf_type_name(TUF_SNAPSHOT), "snapshot");
}

static void target_paths_stay_below_their_folder(void **state)
{
	static const char *const good[] = { "a",   "a/b/c", "a b", "..a",      "a..",
					    "...", ".a",    "a.",  "\xc3\xa9", "%2e%2e/a" };
	static const char *const bad[] = { "",      "/",    "/a",   "a/",   "a//b",
					   ".",     "..",   "./a",  "../a", "a/..",
					   "a/./b", "a\\b", "a\nb", "a\x7f" };
	char path[LIMIT_TUF_PATH + 2] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!tuf_path_is_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (tuf_path_is_valid(bad[i]))
			fail_msg("taken: %s", bad[i]);
	memset(path, 'a', LIMIT_TUF_PATH);
	assert_true(tuf_path_is_valid(path));
	path[LIMIT_TUF_PATH] = 'a';
	assert_false(tuf_path_is_valid(path));
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	CLEANUP(repo_done) struct repo r;
	const struct repo_file *f;
	char succinct[500];
	struct err e;

	repo_init(&r);
	repo_delegate(&r, "targets", "a", 6, "a/*");
	repo_publish_all(&r);
	f = repo_get(r.served, "2.targets.json");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

		if (!tuf_parse(&m, TUF_TARGETS, f->p, f->n, &e) ||
		    !tuf_verify(m, &m->roles[0], &e))
			assert_true(e.code == E_NOMEM || e.code == E_UNTRUSTED);
	}
	f = repo_get(r.served, "1.root.json");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

		if (!tuf_parse(&m, TUF_ROOT, f->p, f->n, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	snprintf(succinct, sizeof(succinct), "{\"signatures\":[],\"signed\":{%s}}",
		 TARGETS ",\"delegations\":{\"keys\":{},\"succinct_roles\":{\"bit_length\":4,"
			 "\"name_prefix\":\"bin\",\"keyids\":[],\"threshold\":1}}");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

		if (!tuf_parse(&m, TUF_TARGETS, succinct, strlen(succinct), &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_files_of_each_type_are_read),
		cmocka_unit_test(files_of_the_wrong_shape_are_refused_with_the_place),
		cmocka_unit_test(the_envelope_is_checked),
		cmocka_unit_test(more_than_the_limits_is_refused),
		cmocka_unit_test(keys_that_cannot_be_used_are_kept_and_never_count),
		cmocka_unit_test(a_role_keeps_to_the_keys_that_are_listed),
		cmocka_unit_test(a_ceremony_sees_who_has_signed),
		cmocka_unit_test(the_text_of_a_refusal_fits),
		cmocka_unit_test(an_ecdsa_signature_counts_for_its_role),
		cmocka_unit_test(length_and_both_hashes_are_checked),
		cmocka_unit_test(a_target_is_found_with_all_that_is_said_of_it),
		cmocka_unit_test(patterns_match_within_one_part),
		cmocka_unit_test(a_hostile_pattern_takes_no_time),
		cmocka_unit_test(delegations_cover_by_pattern_or_by_hash),
		cmocka_unit_test(succinct_names_are_those_of_tap_15),
		cmocka_unit_test(names_of_files_are_safe),
		cmocka_unit_test(target_paths_stay_below_their_folder),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
