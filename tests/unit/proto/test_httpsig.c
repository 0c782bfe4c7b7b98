#include "tests/support/unit.h"

#include "tests/support/wycheproof.h"

#include "base/sha256.h"
#include "base/text.h"
#include "proto/httpsig.h"

/* RFC 9421, appendix B.2: "test-request". */
static const struct httpsig_field rfc_fields[] = {
	{ "host", "example.com" },
	{ "date", "Tue, 20 Apr 2021 02:07:55 GMT" },
	{ "content-type", "application/json" },
	{ "content-digest",
	  "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJ"
	  "wew==:" },
	{ "content-length", "18" },
};
static const struct httpsig_msg rfc_request = {
	"POST",     "example.com",          "/foo", "?param=Value&Pet=dog",
	rfc_fields, ARRAY_SIZE(rfc_fields),
};
static const char rfc_body[] = "{\"hello\": \"world\"}";

static struct secret *secret_from_base64(const char *text)
{
	struct secret *s;
	uint8_t p[64];
	size_t n;
	struct err e;

	assert_true(base64_decode(p, sizeof(p), &n, text, strlen(text)));
	assert_ok(secret_copy(&s, p, n, &e), &e);
	return s;
}

static struct secret *rfc_hmac_key(void)
{
	return secret_from_base64(
		"uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmH"
		"hIDi6pcl8jsasjlTMtDQ==");
}

static void rfc_9421_b_2_5_hmac_sha256(void **state)
{
	CLEANUP(secret_freep) struct secret *key = rfc_hmac_key();
	struct httpsig_key k = { .alg = HTTPSIG_HMAC_SHA256, .secret = key };
	struct httpsig s;
	struct err e;

	assert_ok(
		httpsig_parse(
			&s,
			"sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;"
			"keyid=\"test-shared-secret\"",
			"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:", &e),
		&e);
	assert_ok(httpsig_verify(&s, &rfc_request, &k, &e), &e);
	assert_int_equal(s.created, 1618884473);
	assert_string_equal(s.keyid, "test-shared-secret");
}

static void rfc_9421_b_2_6_ed25519(void **state)
{
	CLEANUP(buf_done) struct buf base = BUF_INIT(4096);
	CLEANUP(secret_freep)
	struct secret *seed =
		secret_from_base64("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=");
	CLEANUP(secret_freep) struct secret *key = NULL;
	static const char input[] =
		"sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
		"\"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
	static const char signature[] =
		"sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5W"
		"PpBKRCw==:";
	char made_input[HTTPSIG_INPUT_SIZE + HTTPSIG_NAME_SIZE], made[HTTPSIG_SIGNATURE_SIZE];
	struct httpsig_key k = { .alg = HTTPSIG_ED25519 };
	struct httpsig s;
	uint8_t pub[32];
	struct err e;

	assert_ok(sig_from_seed(&key, pub, seed->p, &e), &e);
	k.public = pub;
	k.secret = key;
	assert_ok(httpsig_parse(&s, input, signature, &e), &e);
	assert_ok(httpsig_base(&base, &s, &rfc_request, &e), &e);
	assert_string_equal(buf_str(&base),
			    "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n"
			    "\"@method\": POST\n"
			    "\"@path\": /foo\n"
			    "\"@authority\": example.com\n"
			    "\"content-type\": application/json\n"
			    "\"content-length\": 18\n"
			    "\"@signature-params\": (\"date\" \"@method\" \"@path\" "
			    "\"@authority\" \"content-type\" \"content-length\")"
			    ";created=1618884473;keyid=\"test-key-ed25519\"");
	assert_ok(httpsig_verify(&s, &rfc_request, &k, &e), &e);
	s.sig_n = 0;
	s.params[0] = '\0';
	assert_ok(httpsig_sign_any(&s, &rfc_request, &k, made_input, made, &e), &e);
	assert_string_equal(made_input, input);
	assert_string_equal(made, signature);
	assert_ok(httpsig_sign_any(&s, &rfc_request, &k, NULL, NULL, &e), &e);
}

static void rfc_9530_digests(void **state)
{
	struct err e;
	char own[HTTPSIG_DIGEST_SIZE];

	httpsig_digest(own, rfc_body, sizeof(rfc_body) - 1);
	assert_string_equal(own, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
	assert_ok(httpsig_check_digest(own, rfc_body, sizeof(rfc_body) - 1, &e), &e);
	assert_fails(httpsig_check_digest(own, rfc_body, sizeof(rfc_body), &e), &e, E_AUTH);
}

/* ---- the profile -------------------------------------------------------------------------- */

static const uint8_t nonce[HTTPSIG_NONCE_BYTES] = "0123456789abcdef";
static const struct httpsig_msg post = {
	.method = "POST", .authority = "valise.example:8443", .path = "/v1/checkin", .query = ""
};

struct keys {
	struct secret *secret, *session;
	uint8_t public[32];
};

static void keys_init(struct keys *k)
{
	struct rng_fake rng;
	struct err e;

	rng_fake_init(&rng, 7);
	assert_ok(sig_new(&k->secret, k->public, &rng.base, &e), &e);
	assert_ok(secret_new(&k->session, 32, &e), &e);
	rng_fill(&rng.base, k->session->p, 32);
}

static void keys_done(struct keys *k)
{
	secret_free(k->secret);
	secret_free(k->session);
}

static struct httpsig_key key_of(const struct keys *k, enum httpsig_alg alg)
{
	return (struct httpsig_key){ .alg = alg,
				     .public = k->public,
				     .secret =
					     alg == HTTPSIG_ED25519 ? k->secret : k->session };
}

/* What a server does with a request. */
static bool server_takes(const struct httpsig_headers *h, const struct httpsig_msg *m,
			 const char *body, const struct httpsig_key *k, int64_t now_s,
			 struct err *e)
{
	struct httpsig_field digest = { "content-digest", h->digest };
	struct httpsig_msg msg = *m;
	struct httpsig s;

	msg.fields = &digest;
	msg.n_fields = 1;
	return httpsig_parse(&s, h->input, h->signature, e) && httpsig_check_profile(&s, e) &&
	       httpsig_check_time(&s, now_s, 1000, e) && httpsig_verify(&s, &msg, k, e) &&
	       httpsig_check_digest(h->digest, body, strlen(body), e);
}

static void a_signed_request_is_taken_and_each_change_of_it_refused(void **state)
{
	static const enum httpsig_alg algs[] = { HTTPSIG_ED25519, HTTPSIG_HMAC_SHA256 };

	for (size_t i = 0; i < ARRAY_SIZE(algs); i++) {
		CLEANUP(keys_done) struct keys keys;
		struct httpsig_headers h;
		struct httpsig_msg m = post;
		struct httpsig_key k, other;
		struct err e;

		keys_init(&keys);
		k = key_of(&keys, algs[i]);
		other = key_of(&keys, algs[1 - i]);
		assert_ok(httpsig_sign(&h, &post, "{}", 2, "device-1", 5000, nonce, &k, &e),
			  &e);
		assert_ok(server_takes(&h, &post, "{}", &k, 5010, &e), &e);
		assert_fails(server_takes(&h, &post, "{} ", &k, 5010, &e), &e, E_AUTH);
		assert_fails(server_takes(&h, &post, "{}", &other, 5010, &e), &e, E_AUTH);
		m.method = "PUT";
		assert_fails(server_takes(&h, &m, "{}", &k, 5010, &e), &e, E_AUTH);
		m = post;
		m.authority = "other.example";
		assert_fails(server_takes(&h, &m, "{}", &k, 5010, &e), &e, E_AUTH);
		m = post;
		m.path = "/v1/enrol";
		assert_fails(server_takes(&h, &m, "{}", &k, 5010, &e), &e, E_AUTH);
		m = post;
		m.query = "?x";
		assert_fails(server_takes(&h, &m, "{}", &k, 5010, &e), &e, E_AUTH);
		/* the digest is covered: another body needs another signature */
		httpsig_digest(h.digest, "[]", 2);
		assert_fails(server_takes(&h, &post, "[]", &k, 5010, &e), &e, E_AUTH);
	}
}

static void absent_path_and_query_are_signed_as_the_rfc_says(void **state)
{
	CLEANUP(buf_done) struct buf base = BUF_INIT(4096);
	struct httpsig s = { .n_components = 2, .components = { "@path", "@query" } };
	struct httpsig_msg m = { .method = "GET", .authority = "a" };
	struct err e;

	assert_ok(httpsig_base(&base, &s, &m, &e), &e);
	m.path = m.query = "";
	assert_ok(httpsig_base(&base, &s, &m, &e), &e);
	assert_string_equal(buf_str(&base),
			    "\"@path\": /\n\"@query\": ?\n\"@signature-params\": "
			    "\"@path\": /\n\"@query\": ?\n\"@signature-params\": ");
}

static void several_lines_of_a_field_are_joined(void **state)
{
	CLEANUP(buf_done) struct buf base = BUF_INIT(4096);
	static const struct httpsig_field fields[] = { { "a", "1" },
						       { "b", "x" },
						       { "a", "2" } };
	struct httpsig s = { .n_components = 1, .components = { "a" } };
	struct httpsig_msg m = { .fields = fields, .n_fields = 3 };
	struct err e;

	assert_ok(httpsig_base(&base, &s, &m, &e), &e);
	assert_string_equal(buf_str(&base), "\"a\": 1, 2\n\"@signature-params\": ");
}

static void a_base_for_which_there_is_no_room_is_an_error_and_never_cut(void **state)
{
	CLEANUP(buf_done) struct buf whole = BUF_INIT(4096);
	static const struct httpsig_field fields[] = { { "a", "1" }, { "a", "2" } };
	struct httpsig s = { .n_components = 3,
			     .components = { "@method", "@path", "a" },
			     .params = "()" };
	struct httpsig_msg m = { .method = "GET", .fields = fields, .n_fields = 2 };
	struct err e;

	assert_ok(httpsig_base(&whole, &s, &m, &e), &e);
	for (size_t room = 0; room < whole.n; room++) {
		CLEANUP(buf_done) struct buf base = BUF_INIT(room);

		assert_fails(httpsig_base(&base, &s, &m, &e), &e, E_TOO_BIG);
	}
}

/* With a line break in a value, one message could be given the base of another. */
static void line_breaks_in_signed_values_are_refused(void **state)
{
	static const char *const values[] = { "a\nb", "a\rb", "\x7f", "a\x01" };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CLEANUP(buf_done) struct buf base = BUF_INIT(4096);
		struct httpsig_field f = { "x", values[i] };
		struct httpsig s = { .n_components = 1, .components = { "x" } };
		struct httpsig_msg m = { .method = values[i], .fields = &f, .n_fields = 1 };
		struct err e;

		assert_fails(httpsig_base(&base, &s, &m, &e), &e, E_FORMAT);
		memcpy(s.components[0], "@method", 8);
		assert_fails(httpsig_base(&base, &s, &m, &e), &e, E_FORMAT);
		memcpy(s.components[0], "y", 2);
		assert_fails(httpsig_base(&base, &s, &m, &e), &e, E_FORMAT); /* not there */
	}
}

#define GOOD_INPUT                                                                            \
	"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;" \
	"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\""
#define GOOD_SIGNATURE "sig=:AAAA:"

static void fields_are_read_strictly(void **state)
{
	static const char *const inputs[] = {
		"",
		"sig",
		"sig=",
		"sig=(",
		"sig=()x",
		"=()",
		"Sig=()",
		"{sig=()",
		"s~g=()",
		"sig=(\"\x7f\")",
		"1sig=()",
		"sig =()",
		"sig= ()",
		"sig=( )",
		"sig=(\"a\" )",
		"sig=( \"a\")",
		"sig=(\"a\"  \"b\")",
		"sig=(\"a\"\"b\")",
		"sig=(\"a\",\"b\")",
		"sig=(a)",
		"sig=(\"\")",
		"sig=(\"a\\\"\")",
		"sig=(\"a\" \"a\")", /* RFC 9421 section 2.5 */
		"sig=(\"a\";sf)",
		"sig=(\"a\n\")",
		"sig=(\"a\"",
		"sig=(\"\xc3\xa9\")",
		"sig=();",
		"sig=();created",
		"sig=();created=",
		"sig=();created=x",
		"sig=();created=01",
		"sig=();created=-1",
		"sig=();created=1.0",
		"sig=();created=\"1\"",
		"sig=();created=1234567890123456",
		"sig=();created=1;created=1",
		"sig=();expires=1;expires=1",
		"sig=();created=1 ;keyid=\"x\"",
		"sig=(); created=1",
		"sig=();keyid=x",
		"sig=();keyid=\"\"",
		"sig=();keyid=\"a\";keyid=\"a\"",
		"sig=();nonce=\"a\";nonce=\"a\"",
		"sig=();tag=\"a\";tag=\"a\"",
		"sig=();alg=\"ed25519\";alg=\"ed25519\"",
		"sig=();alg=\"rsa-pss-sha512\"",
		"sig=();alg=\"\"",
		"sig=();alg=ed25519",
		"sig=();unknown=1",
		"sig=();Created=1",
		"sig=(),sig2=()",
		"sig=();keyid=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=()",
		"sig=(\"a\" \"b\" \"c\" \"d\" \"e\" \"f\" \"g\" \"h\" \"i\" \"j\" \"k\" \"l\" \"m\" \"n\" \"o\" "
		"\"p\" \"q\")",
	};
	struct httpsig s = { .created = 99 };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		const char *label = inputs[i][0] == 'a' ? inputs[i] : "sig";
		char signature[128];

		snprintf(signature, sizeof(signature), "%.*s=:AAAA:", (int)strcspn(label, "="),
			 label);
		if (httpsig_parse(&s, inputs[i], signature, &e))
			fail_msg("read: %s", inputs[i]);
		assert_int_equal(e.code, E_FORMAT);
		assert_int_equal(s.created, 99);
	}
	assert_ok(httpsig_parse(&s, GOOD_INPUT, GOOD_SIGNATURE, &e), &e);
	assert_ok(httpsig_parse(&s, "*a-b_c.*1=()", "*a-b_c.*1=::", &e), &e);
	assert_ok(httpsig_parse(&s, "s=(\"a\");expires=5", "s=:AAAA:", &e), &e);
	assert_true(s.has_expires && s.expires == 5 && !s.has_created);
}

static void signatures_are_read_strictly(void **state)
{
	static const char *const signatures[] = {
		"",
		"sig",
		"sig=",
		"sig=:",
		"sig=:AAAA",
		"sig=AAAA",
		"sig=:AAA:",
		"sig=:AAAB=:",
		"sig=:AA==AA:",
		"other=:AAAA:",
		"sig=:AAAA:;x",
		"sig=:AAAA: ",
		"sig=\"AAAA\"",
		"sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AA:",
	};
	struct httpsig s;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
		if (httpsig_parse(&s, GOOD_INPUT, signatures[i], &e))
			fail_msg("read: %s", signatures[i]);
}

static void too_long_parameters_are_refused(void **state)
{
	char input[2 * HTTPSIG_INPUT_SIZE], *at = input;
	struct httpsig s;
	struct err e;

	at += snprintf(at, 16, "sig=(");
	for (int i = 0; i < HTTPSIG_COMPONENTS; i++)
		at += snprintf(at, 80, "%s\"%c%063d\"", i ? " " : "", 'a' + i, 0);
	snprintf(at, 16, ")");
	assert_fails(httpsig_parse(&s, input, GOOD_SIGNATURE, &e), &e, E_FORMAT);
}

static void only_the_profile_counts_for_requests(void **state)
{
	static const char *const inputs[] = {
		/* another label, tag or none */
		"sag=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"other\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\"",
		/* less covered, other order, something else */
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@authority\" \"@method\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		/* no created; with expires; no keyid; no alg; no nonce; a short one; no base64 */
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;expires=2;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMzQ1Njc4OWFiY2RlZg==\";keyid=\"d\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"MDEyMw==\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
		"sig=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1;"
		"nonce=\"!!!!\";keyid=\"d\";alg=\"ed25519\";tag=\"valise\"",
	};
	struct httpsig s;
	struct err e;

	assert_ok(httpsig_parse(&s, GOOD_INPUT, GOOD_SIGNATURE, &e), &e);
	assert_ok(httpsig_check_profile(&s, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		const char *signature = inputs[i][1] == 'a' ? "sag=:AAAA:" : GOOD_SIGNATURE;

		assert_ok(httpsig_parse(&s, inputs[i], signature, &e), &e);
		if (httpsig_check_profile(&s, &e))
			fail_msg("taken: %s", inputs[i]);
		assert_int_equal(e.code, E_AUTH);
	}
}

static void a_request_is_good_for_300_s_and_not_from_before_the_start(void **state)
{
	struct httpsig s = { .created = 10000 };
	struct err e;

	assert_ok(httpsig_check_time(&s, 10000 + HTTPSIG_SKEW_S, 0, &e), &e);
	assert_ok(httpsig_check_time(&s, 10000 - HTTPSIG_SKEW_S, 0, &e), &e);
	assert_fails(httpsig_check_time(&s, 10001 + HTTPSIG_SKEW_S, 0, &e), &e, E_AUTH);
	assert_string_equal(e.text, "signed 301 s before the server's time");
	assert_fails(httpsig_check_time(&s, 9999 - HTTPSIG_SKEW_S, 0, &e), &e, E_AUTH);
	assert_string_equal(e.text, "signed 301 s after the server's time");
	assert_ok(httpsig_check_time(&s, 10000, 10000, &e), &e);
	assert_fails(httpsig_check_time(&s, 10000, 10001, &e), &e, E_AUTH);
}

static void the_key_decides_about_the_algorithm(void **state)
{
	CLEANUP(keys_done) struct keys keys;
	struct httpsig_headers h;
	struct httpsig_key k, none = { 0 };
	struct httpsig_field digest = { "content-digest", h.digest };
	struct httpsig_msg m = post;
	struct httpsig s;
	struct err e;

	keys_init(&keys);
	k = key_of(&keys, HTTPSIG_HMAC_SHA256);
	m.fields = &digest;
	m.n_fields = 1;
	/* The public key as HMAC secret: what "none" and "HS256" did to others. */
	CLEANUP(secret_freep) struct secret *public_as_secret = NULL;
	assert_ok(secret_copy(&public_as_secret, keys.public, 32, &e), &e);
	k.secret = public_as_secret;
	assert_ok(httpsig_sign(&h, &post, "", 0, "d", 1, nonce, &k, &e), &e);
	assert_ok(httpsig_parse(&s, h.input, h.signature, &e), &e);
	k = key_of(&keys, HTTPSIG_ED25519);
	assert_fails(httpsig_verify(&s, &m, &k, &e), &e, E_AUTH);
	assert_string_equal(e.text, "signed with hmac-sha256, the key is for ed25519");
	s.alg = HTTPSIG_NO_ALG;
	assert_fails(httpsig_verify(&s, &m, &k, &e), &e, E_AUTH);
	assert_fails(httpsig_verify(&s, &m, &none, &e), &e, E_AUTH);
	k.public = NULL;
	assert_fails(httpsig_verify(&s, &m, &k, &e), &e, E_AUTH);
	k = key_of(&keys, HTTPSIG_HMAC_SHA256);
	s.sig_n = 31; /* a cut tag */
	assert_fails(httpsig_verify(&s, &m, &k, &e), &e, E_AUTH);
	k.secret = NULL;
	assert_fails(httpsig_verify(&s, &m, &k, &e), &e, E_AUTH);
	m.n_fields = 0;
	assert_fails(httpsig_verify(&s, &m, &k, &e), &e, E_FORMAT);
}

static void nothing_is_signed_without_a_proper_key(void **state)
{
	CLEANUP(secret_freep) struct secret *shorter = NULL;
	struct httpsig_headers h;
	struct httpsig_key k = { 0 };
	struct err e;

	assert_ok(secret_new(&shorter, HTTPSIG_HMAC_KEY_MIN - 1, &e), &e);
	assert_fails(httpsig_sign(&h, &post, "", 0, "d", 1, nonce, &k, &e), &e, E_USAGE);
	k.alg = HTTPSIG_HMAC_SHA256;
	assert_fails(httpsig_sign(&h, &post, "", 0, "d", 1, nonce, &k, &e), &e, E_USAGE);
	k.secret = shorter;
	assert_fails(httpsig_sign(&h, &post, "", 0, "d", 1, nonce, &k, &e), &e, E_USAGE);
	k.alg = HTTPSIG_ED25519;
	assert_fails(httpsig_sign(&h, &post, "", 0, "d", 1, nonce, &k, &e), &e, E_FORMAT);
}

static void what_could_not_be_read_again_is_not_signed(void **state)
{
	CLEANUP(keys_done) struct keys keys;
	struct httpsig_headers h;
	struct httpsig_key k;
	char long_id[HTTPSIG_NAME_SIZE + 1] = { 0 };
	struct err e;

	keys_init(&keys);
	k = key_of(&keys, HTTPSIG_ED25519);
	memset(long_id, 'a', HTTPSIG_NAME_SIZE);
	assert_fails(httpsig_sign(&h, &post, "", 0, "a\"b", 1, nonce, &k, &e), &e, E_FORMAT);
	assert_fails(httpsig_sign(&h, &post, "", 0, long_id, 1, nonce, &k, &e), &e, E_FORMAT);
	assert_fails(httpsig_sign(&h, &post, "", 0, "d", -1, nonce, &k, &e), &e, E_FORMAT);
	long_id[HTTPSIG_NAME_SIZE - 1] = '\0';
	assert_ok(httpsig_sign(&h, &post, "", 0, long_id, 1, nonce, &k, &e), &e);

	struct httpsig s = { .label = "a", .has_created = true, .has_expires = true };
	for (; s.n_components < HTTPSIG_COMPONENTS; s.n_components++)
		memcpy(s.components[s.n_components], long_id, HTTPSIG_NAME_SIZE);
	assert_fails(httpsig_sign_any(&s, &post, &k, NULL, NULL, &e), &e, E_TOO_BIG);
}

/* Whatever it is that does not fit any more, nothing is written. */
static void a_signature_input_that_gets_too_long_is_not_made(void **state)
{
	CLEANUP(keys_done) struct keys keys;
	struct httpsig_field fields[HTTPSIG_COMPONENTS];
	struct httpsig_msg m = { .method = "GET", .fields = fields };
	struct httpsig_key k;
	unsigned made = 0;
	struct err e;

	keys_init(&keys);
	k = key_of(&keys, HTTPSIG_ED25519);
	for (size_t bytes = 600; bytes < 1100; bytes++) {
		struct httpsig s = { .label = "s",
				     .has_created = true,
				     .has_expires = true,
				     .created = 1,
				     .expires = 2,
				     .alg = HTTPSIG_ED25519,
				     .nonce = "n",
				     .keyid = "k",
				     .tag = "t" };
		char input[HTTPSIG_INPUT_SIZE + HTTPSIG_NAME_SIZE];
		size_t left = bytes;

		/* names of together that many bytes, each at most 64 */
		m.n_fields = HTTPSIG_COMPONENTS;
		for (size_t i = 0; i < HTTPSIG_COMPONENTS; i++) {
			size_t n = left > 64 ? 64 : left > 2 ? left : 2;

			memset(s.components[i], 'a' + (int)i, n);
			left -= left > n ? n : left;
			fields[i] = (struct httpsig_field){ s.components[i], "" };
		}
		s.n_components = HTTPSIG_COMPONENTS;
		input[0] = '\0';
		if (httpsig_sign_any(&s, &m, &k, input, NULL, &e)) {
			assert_true(strlen(s.params) < HTTPSIG_INPUT_SIZE);
			made++;
		} else {
			assert_int_equal(e.code, E_TOO_BIG);
			assert_string_equal(input, "");
		}
	}
	assert_in_range(made, 100, 400);
}

static void a_message_that_is_too_long_is_not_signed(void **state)
{
	CLEANUP(keys_done) struct keys keys;
	static char path[LIMIT_HTTP_HEADERS + 10];
	struct httpsig_field two[] = { { "a", path }, { "a", "x" } };
	struct httpsig_msg m = { .method = "GET", .path = path, .fields = two, .n_fields = 2 };
	struct httpsig_key k;
	struct err e;

	keys_init(&keys);
	k = key_of(&keys, HTTPSIG_ED25519);
	for (size_t n = LIMIT_HTTP_HEADERS - 100; n < LIMIT_HTTP_HEADERS + 5; n++) {
		struct httpsig s = { .label = "s",
				     .n_components = 1,
				     .components = { "@path" } };
		struct httpsig t = { .label = "s", .n_components = 1, .components = { "a" } };

		memset(path, 'p', n);
		if (!httpsig_sign_any(&s, &m, &k, NULL, NULL, &e))
			assert_int_equal(e.code, E_TOO_BIG);
		if (!httpsig_sign_any(&t, &m, &k, NULL, NULL, &e))
			assert_int_equal(e.code, E_TOO_BIG);
	}
	struct httpsig s = { .label = "s", .n_components = 1, .components = { "@path" } };
	assert_fails(httpsig_sign_any(&s, &m, &k, NULL, NULL, &e), &e, E_TOO_BIG);
}

static void digests_are_read_strictly(void **state)
{
	static const char sha256_empty[] =
		"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
	static const char sha512_empty[] =
		"sha-512=:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+Sf"
		"aPg==:";
	static const struct {
		const char *format; /* %1$s: sha-256, %2$s: sha-512 */
		enum err_code code;
	} cases[] = {
		{ "%1$s", E_NONE },
		{ "%1$s, %2$s", E_NONE },
		{ "%2$s, %1$s", E_NONE },
		{ "md5=:AAAA:, %1$s", E_NONE },
		{ "%2$s", E_AUTH },
		{ "md5=:AAAA:", E_AUTH },
		{ "%1$s, sha-512=:AAAA:", E_AUTH },
		{ "sha-256=:AAAA:", E_AUTH },
		{ "sha-256=::", E_AUTH },
		{ "%1$s, %1$s", E_FORMAT },
		{ "%1$s,%2$s", E_FORMAT },
		{ "%1$s, ", E_FORMAT },
		{ "%1$s,", E_FORMAT },
		{ "%1$s;x", E_FORMAT },
		{ " %1$s", E_FORMAT },
		{ "", E_FORMAT },
		{ "sha-256", E_FORMAT },
		{ "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", E_FORMAT },
		{ "SHA-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", E_FORMAT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char field[512];
		struct err e = { 0 };
		bool ok;

		const char *f = cases[i].format;
		char *at = field;
		for (; *f; f++) {
			if (*f != '%') {
				*at++ = *f;
				continue;
			}
			const char *text = f[1] == '1' ? sha256_empty : sha512_empty;
			memcpy(at, text, strlen(text));
			at += strlen(text);
			f += 3;
		}
		*at = '\0';
		ok = httpsig_check_digest(field, "", 0, &e);
		if (ok != (cases[i].code == E_NONE) || (!ok && e.code != cases[i].code))
			fail_msg("%s: %s", field, ok ? "taken" : e.text);
	}
}

static void running_out_of_memory_is_an_error_like_others(void **state)
{
	CLEANUP(keys_done) struct keys keys;
	struct httpsig_headers h;
	struct httpsig_key k;
	struct err e;

	keys_init(&keys);
	k = key_of(&keys, HTTPSIG_ED25519);
	FAULT_EACH(n, FAULT_ALLOC) {
		if (!httpsig_sign(&h, &post, "", 0, "d", 5000, nonce, &k, &e) ||
		    !server_takes(&h, &post, "", &k, 5000, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

static void check_hmac(const struct vector *v)
{
	size_t key_n, msg_n, tag_n;
	uint8_t *key = vector_hex(v, "key", &key_n), *msg = vector_hex(v, "msg", &msg_n);
	uint8_t *tag = vector_hex(v, "tag", &tag_n), mac[SHA256_SIZE];

	hmac_sha256(mac, key, key_n, msg, msg_n);
	if (bytes_equal_ct(mac, tag, tag_n) != v->valid)
		fail_msg("test %d", (int)v->id);
	free(key);
	free(msg);
	free(tag);
}

static void wycheproof_hmac_sha256(void **state)
{
	wycheproof_run("hmac_sha256_test.json", check_hmac);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_9421_b_2_5_hmac_sha256),
		cmocka_unit_test(rfc_9421_b_2_6_ed25519),
		cmocka_unit_test(rfc_9530_digests),
		cmocka_unit_test(a_signed_request_is_taken_and_each_change_of_it_refused),
		cmocka_unit_test(absent_path_and_query_are_signed_as_the_rfc_says),
		cmocka_unit_test(several_lines_of_a_field_are_joined),
		cmocka_unit_test(a_base_for_which_there_is_no_room_is_an_error_and_never_cut),
		cmocka_unit_test(line_breaks_in_signed_values_are_refused),
		cmocka_unit_test(fields_are_read_strictly),
		cmocka_unit_test(signatures_are_read_strictly),
		cmocka_unit_test(too_long_parameters_are_refused),
		cmocka_unit_test(only_the_profile_counts_for_requests),
		cmocka_unit_test(a_request_is_good_for_300_s_and_not_from_before_the_start),
		cmocka_unit_test(the_key_decides_about_the_algorithm),
		cmocka_unit_test(nothing_is_signed_without_a_proper_key),
		cmocka_unit_test(what_could_not_be_read_again_is_not_signed),
		cmocka_unit_test(a_signature_input_that_gets_too_long_is_not_made),
		cmocka_unit_test(a_message_that_is_too_long_is_not_signed),
		cmocka_unit_test(digests_are_read_strictly),
		cmocka_unit_test(running_out_of_memory_is_an_error_like_others),
		cmocka_unit_test(wycheproof_hmac_sha256),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
