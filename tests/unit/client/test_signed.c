#include "tests/support/unit.h"

#include "base/text.h"
#include "client/signed.h"
#include "proto/api.h"
#include "proto/httpsig.h"
#include "tests/support/httpd_stub.h"

/* A server that checks signatures as the real one has to. */
static struct {
	int64_t now_s;       /* its clock */
	bool refuse_clock;   /* whatever the request says */
	bool refuse_session; /* does not know the session in use */
	bool revoked;        /* 401 without a time */
	unsigned sessions;   /* started so far */
	unsigned good[2];    /* requests that verified, by enum signed_by */
	char keyid[HTTPSIG_NAME_SIZE], nonce[HTTPSIG_NAME_SIZE];
	int64_t created;
} srv;

static uint8_t public[SIG_PUBLIC_SIZE];
static struct secret *identity, *session_secret;
static char error_body[512], session_body[512];
static const uint8_t given_nonce[HTTPSIG_NONCE_BYTES] = { 1, 2, 3 };

static void refuse(struct stub_answer *a, bool tell_time)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(sizeof(error_body) - 1);
	char nonce[BASE64_SIZE(HTTPSIG_NONCE_BYTES)];
	struct err what, e;

	base64_encode(nonce, given_nonce, sizeof(given_nonce));
	err_set(&what, E_AUTH, "refused");
	assert_ok(api_error_encode(&b, &what, tell_time ? srv.now_s : -1,
				   tell_time ? nonce : NULL, &e),
		  &e);
	snprintf(error_body, sizeof(error_body), "%s", buf_str(&b));
	stub_text(a, 401, error_body);
}

static bool verifies(const struct stub_request *q, enum signed_by *ret_by)
{
	struct httpsig s;
	struct err e;
	char input[HTTPSIG_INPUT_SIZE], signature[256], authority[64], digest[128], path[128];
	struct httpsig_field fields[] = { { "content-digest", digest } };
	struct httpsig_msg m = { .method = q->method,
				 .authority = authority,
				 .path = path,
				 .query = "?",
				 .fields = fields,
				 .n_fields = 1 };
	struct httpsig_key key;

	snprintf(input, sizeof(input), "%s", stub_value(q, "Signature-Input"));
	snprintf(signature, sizeof(signature), "%s", stub_value(q, "Signature"));
	snprintf(authority, sizeof(authority), "%s", stub_value(q, "Host"));
	snprintf(digest, sizeof(digest), "%s", stub_value(q, "Content-Digest"));
	snprintf(path, sizeof(path), "%s", q->path);
	if (!httpsig_parse(&s, input, signature, &e) || !httpsig_check_profile(&s, &e) ||
	    !httpsig_check_digest(digest, q->body, q->body_n, &e))
		fail_msg("%s", e.text);
	*ret_by = s.alg == HTTPSIG_ED25519 ? SIGNED_BY_IDENTITY : SIGNED_BY_SESSION;
	key = (struct httpsig_key){ .alg = s.alg, .public = public, .secret = session_secret };
	assert_ok(httpsig_verify(&s, &m, &key, &e), &e);
	snprintf(srv.keyid, sizeof(srv.keyid), "%s", s.keyid);
	snprintf(srv.nonce, sizeof(srv.nonce), "%s", s.nonce);
	srv.created = s.created;
	return httpsig_check_time(&s, srv.now_s, 0, &e) && !srv.refuse_clock;
}

static void start_session(struct stub_answer *a)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(sizeof(session_body) - 1);
	struct session_answer s = { .expires_s = 1000, .server_time_s = srv.now_s };
	struct err e;

	snprintf(s.session, sizeof(s.session), "s%u", ++srv.sessions);
	memcpy(s.key, session_secret->p, sizeof(s.key));
	assert_ok(session_answer_encode(&s, &b, &e), &e);
	snprintf(session_body, sizeof(session_body), "%s", buf_str(&b));
	stub_text(a, 200, session_body);
}

static void serve(void *arg, const struct stub_request *q, struct stub_answer *a)
{
	enum signed_by by;

	if (!verifies(q, &by)) {
		refuse(a, true);
		return;
	}
	if (srv.revoked || (by == SIGNED_BY_SESSION && srv.refuse_session)) {
		srv.refuse_session = false;
		refuse(a, false);
		return;
	}
	srv.good[by]++;
	if (strcmp(q->path, "/v1/session") == 0)
		start_session(a);
	else
		stub_text(a, 200, "{\"v\":1}");
}

static struct stub *server;
static struct https *https;
static struct signed_https s;
static struct clock_fake clk;
static struct rng_fake rng;
static struct https_answer answer;
static struct err e;

static int setup(void **state)
{
	char id[DEVICE_ID_SIZE];
	struct https_config c = HTTPS_CONFIG_INIT(NULL);

	memset(&srv, 0, sizeof(srv));
	srv.now_s = 1700000000;
	clock_fake_init(&clk, srv.now_s);
	rng_fake_init(&rng, 5);
	answer = HTTPS_ANSWER_INIT;
	server = stub_start(serve, NULL);
	c.base_url = stub_url(server);
	c.allow_plain_loopback = true;
	if (!sig_new(&identity, public, &rng.base, &e) ||
	    !secret_copy(&session_secret, "0123456789abcdef0123456789abcdef", 32, &e) ||
	    !https_new(&https, &c, &e))
		return -1;
	device_id_of(id, public);
	signed_init(&s, https, id, identity, &clk.base, &rng.base);
	return 0;
}

static int teardown(void **state)
{
	signed_done(&s);
	https_free(https);
	https_answer_done(&answer);
	stub_stop(server);
	secret_free(TAKE(identity));
	secret_free(TAKE(session_secret));
	return 0;
}

static bool post(enum signed_by by)
{
	return signed_post(&s, "/v1/checkin", "{\"v\":1}", 7, by, 1000, &answer, &e);
}

static void the_identity_signs_under_the_device_id(void **state)
{
	char id[DEVICE_ID_SIZE];

	assert_ok(post(SIGNED_BY_IDENTITY), &e);
	device_id_of(id, public);
	assert_string_equal(srv.keyid, id);
	assert_int_equal(stub_count(server), 1);
	assert_int_equal(srv.sessions, 0);
}

static void a_session_is_started_once_and_then_used(void **state)
{
	for (unsigned i = 0; i < 5; i++)
		assert_ok(post(SIGNED_BY_SESSION), &e);
	assert_int_equal(srv.sessions, 1);
	assert_int_equal(srv.good[SIGNED_BY_SESSION], 5);
	assert_int_equal(srv.good[SIGNED_BY_IDENTITY], 1);
	assert_string_equal(srv.keyid, "s1");
}

static void a_session_is_renewed_before_it_ends(void **state)
{
	assert_ok(post(SIGNED_BY_SESSION), &e);
	clock_fake_advance(&clk, 799 * 1000);
	srv.now_s += 799;
	assert_ok(post(SIGNED_BY_SESSION), &e);
	assert_int_equal(srv.sessions, 1);
	clock_fake_advance(&clk, 1000);
	assert_ok(post(SIGNED_BY_SESSION), &e);
	assert_int_equal(srv.sessions, 2);
}

static void no_nonce_is_used_twice(void **state)
{
	char first[HTTPSIG_NAME_SIZE];

	assert_ok(post(SIGNED_BY_IDENTITY), &e);
	memcpy(first, srv.nonce, sizeof(first));
	assert_ok(post(SIGNED_BY_IDENTITY), &e);
	assert_string_not_equal(first, srv.nonce);
}

static void a_wrong_clock_costs_one_more_request_and_only_once(void **state)
{
	char nonce[BASE64_SIZE(HTTPSIG_NONCE_BYTES)];

	srv.now_s += 10 * 365 * 86400;
	assert_ok(post(SIGNED_BY_IDENTITY), &e);
	assert_int_equal(stub_count(server), 2);
	assert_int_equal(srv.created, srv.now_s);
	base64_encode(nonce, given_nonce, sizeof(given_nonce));
	assert_string_equal(srv.nonce, nonce);
	assert_int_equal(signed_server_time_s(&s), srv.now_s);

	assert_ok(post(SIGNED_BY_IDENTITY), &e);
	assert_int_equal(stub_count(server), 3);
	assert_string_not_equal(srv.nonce, nonce);
}

static void a_clock_that_is_refused_again_is_an_error(void **state)
{
	srv.refuse_clock = true;
	assert_fails(post(SIGNED_BY_IDENTITY), &e, E_AUTH);
	assert_int_equal(stub_count(server), 2);
}

static void an_unknown_session_is_replaced_once(void **state)
{
	assert_ok(post(SIGNED_BY_SESSION), &e);
	srv.refuse_session = true;
	assert_ok(post(SIGNED_BY_SESSION), &e);
	assert_int_equal(srv.sessions, 2);
	assert_string_equal(srv.keyid, "s2");
}

static void a_revoked_device_is_told_so_without_a_storm(void **state)
{
	assert_ok(post(SIGNED_BY_SESSION), &e);
	srv.revoked = true;
	assert_fails(post(SIGNED_BY_SESSION), &e, E_AUTH);
	assert_true(stub_count(server) <= 5);
	assert_fails(post(SIGNED_BY_IDENTITY), &e, E_AUTH);
	assert_true(stub_count(server) <= 6);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_identity_signs_under_the_device_id),
		CASE(a_session_is_started_once_and_then_used),
		CASE(a_session_is_renewed_before_it_ends),
		CASE(no_nonce_is_used_twice),
		CASE(a_wrong_clock_costs_one_more_request_and_only_once),
		CASE(a_clock_that_is_refused_again_is_an_error),
		CASE(an_unknown_session_is_replaced_once),
		CASE(a_revoked_device_is_told_so_without_a_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
