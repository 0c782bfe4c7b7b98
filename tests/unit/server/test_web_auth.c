/* Who is asking, with real keys and a real store; the parsing of the fields is proto/httpsig.h's test. */
#include "tests/unit/storage/fixture.h"

#include "base/text.h"
#include "proto/httpsig.h"
#include "server/session.h"
#include "server/web_auth.h"

enum { KEY_NONE, KEY_FIRST, KEY_SECOND, KEY_THIRD, KEYS };

struct world {
	struct fixture f;
	struct settings set;
	struct web web;
	struct secret *keys[KEYS];
	uint8_t pubs[KEYS][SIG_PUBLIC_SIZE];
	struct handset h; /* enrolled with KEY_FIRST */
	uint8_t nonce[HTTPSIG_NONCE_BYTES];
};

static void world_start(struct world *w, void **state, bool manual)
{
	struct enrolled got;
	struct err e;

	*w = (struct world){ .set = { .device_rate = 1, .device_burst = 100 } };
	fixture_start(&w->f, tmpdir_path(state), 5);
	for (unsigned i = KEY_FIRST; i < KEYS; i++) {
		uint8_t seed[SIG_SEED_SIZE];

		memset(seed, (int)i, sizeof(seed));
		assert_ok(sig_from_seed(&w->keys[i], w->pubs[i], seed, &e), &e);
	}
	w->web = (struct web){
		.settings = &w->set,
		.clock = &w->f.clock.base,
		.rng = &w->f.rng.base,
		.store = w->f.s,
	};
	assert_ok(nonces_new(&w->web.nonces, 600, 1 << 12, 1, &e), &e);
	assert_ok(rates_new(&w->web.devices, 16, 1, &e), &e);
	assert_ok(idle_new(&w->web.idle, 16, 1, &e), &e);
	assert_ok(secret_copy(&w->web.session_secret, "0123456789abcdef0123456789abcdef", 32,
			      &e),
		  &e);
	handset_make(&w->h, 1);
	memcpy(w->h.identity, w->pubs[KEY_FIRST], sizeof(w->h.identity));
	device_id_of(w->h.id, w->h.identity);
	ticket_make(w->f.s, NULL, manual, w->h.token);
	assert_ok(devices_enrol(w->f.s, &w->h.in, &got, &e), &e);
}

static void world_end(struct world *w)
{
	for (unsigned i = KEY_FIRST; i < KEYS; i++)
		secret_free(w->keys[i]);
	secret_free(w->web.session_secret);
	idle_free(w->web.idle);
	rates_free(w->web.devices);
	nonces_free(w->web.nonces);
	fixture_end(&w->f);
}

#define WORLD(w, state, manual)            \
	CLEANUP(world_end) struct world w; \
	world_start(&w, state, manual)

/* A request as it came, and the texts that it points to. */
struct call {
	struct req r;
	struct httpsig_headers h;
	char path[64], host[64], query[64];
};

static void call_done(struct call *c)
{
	reply_done(&c->r.reply);
	buf_done(&c->r.body);
}

static void call_make(struct call *c, struct world *w, const char *keyid, enum httpsig_alg alg,
		      const struct secret *secret)
{
	static const char body[] = "{\"a\":1}";
	struct httpsig_msg m = { .method = "POST",
				 .authority = "valise.example",
				 .path = "/v1/checkin",
				 .query = "?" };
	struct httpsig_key key = { .alg = alg, .secret = secret };
	struct err e;

	*c = (struct call){ .path = "/v1/checkin", .host = "Valise.Example:443" };
	w->nonce[0]++;
	assert_ok(httpsig_sign(&c->h, &m, body, strlen(body), keyid, NOW, w->nonce, &key, &e),
		  &e);
	c->r = (struct req){
		.web = &w->web,
		.now_s = NOW,
		.now_ms = INT64_C(1000000),
		.method = API_POST,
		.path = c->path,
		.host = c->host,
		.signature = { c->h.input, c->h.signature, c->h.digest },
	};
	reply_init(&c->r.reply);
	c->r.body = BUF_INIT(1024);
	assert_ok(buf_add(&c->r.body, body, strlen(body), &e), &e);
}

#define CALL(c, w, key)                   \
	CLEANUP(call_done) struct call c; \
	call_make(&c, w, (w)->h.id, HTTPSIG_ED25519, (w)->keys[key])

static bool ask(struct call *c, struct err *e)
{
	bool answered, ok = web_auth_device(&c->r, true, &answered, e);

	assert_false(answered);
	return ok;
}

static void a_device_is_known_by_its_own_key(void **state)
{
	WORLD(w, state, false);
	CALL(c, &w, KEY_FIRST);
	struct err e;

	assert_ok(ask(&c, &e), &e);
	assert_string_equal(c.r.device.id, w.h.id);
	assert_memory_equal(c.r.actor, "device:", 7);
	assert_string_equal(c.r.actor + 7, w.h.id);
	assert_true(c.r.by_own_key);
	assert_int_equal(w.web.metrics.refused_auth, 0);
	/* Also where no session key will do. */
	CALL(own, &w, KEY_FIRST);
	bool answered;
	assert_ok(web_auth_device(&own.r, false, &answered, &e), &e);
}

static void what_was_not_signed_is_not_by_the_device(void **state)
{
	WORLD(w, state, false);
	unsigned counted = 0;
	struct err e;

	for (unsigned what = 0; what < 8; what++) {
		CALL(c, &w, what == 7 ? KEY_SECOND : KEY_FIRST);

		switch (what) {
		case 0:
			((char *)c.r.body.p)[5] = '2';
			break;
		case 1:
			c.path[4] = 'x';
			break;
		case 2:
			c.r.query = "a=b";
			break;
		case 3:
			c.r.host = "x";
			break;
		case 4:
			c.r.method = API_PUT;
			break;
		case 5:
			c.r.signature.signature = "sig=:AAAA:";
			break;
		case 6:
			memcpy(c.host, "valise.example:444", 19);
			break;
		}
		assert_false(ask(&c, &e));
		assert_true(e.code == E_AUTH || (what == 5 && e.code == E_FORMAT));
		assert_string_equal(c.r.actor, "");
		counted += e.code == E_AUTH;
		assert_int_equal(w.web.metrics.refused_auth, counted);
	}
}

static void a_request_lacking_a_field_is_refused(void **state)
{
	static char long_text[LIMIT_URL + 2];
	WORLD(w, state, false);
	struct err e;

	memset(long_text, 'a', LIMIT_URL + 1);
	for (unsigned what = 0; what < 7; what++) {
		CALL(c, &w, KEY_FIRST);

		if (what == 0)
			c.r.signature.input = NULL;
		else if (what == 1)
			c.r.signature.signature = NULL;
		else if (what == 2)
			c.r.signature.digest = NULL;
		else if (what == 3)
			c.r.host = NULL;
		else if (what == 4)
			c.r.host = "";
		else if (what == 5)
			c.r.host = long_text;
		else
			c.r.query = long_text;
		assert_fails(ask(&c, &e), &e, what < 3 ? E_AUTH : E_FORMAT);
	}
}

static void a_wrong_clock_is_answered_with_ours(void **state)
{
	WORLD(w, state, false);
	struct err e;
	bool answered;

	for (unsigned what = 0; what < 3; what++) {
		CALL(c, &w, KEY_FIRST);

		c.r.now_s += what == 0   ? HTTPSIG_SKEW_S + 1
			     : what == 1 ? -HTTPSIG_SKEW_S - 1
					 : 0;
		w.web.accept_from_s = what == 2 ? NOW + 1 : 0;
		assert_false(web_auth_device(&c.r, true, &answered, &e));
		assert_true(answered);
		assert_int_equal(c.r.reply.status, 401);
		assert_int_equal(w.web.metrics.refused_clock, what + 1);
	}
	assert_int_equal(w.web.metrics.refused_auth, 0);
}

static void a_request_counts_once(void **state)
{
	WORLD(w, state, false);
	CALL(c, &w, KEY_FIRST);
	struct err e;

	assert_ok(ask(&c, &e), &e);
	assert_fails(ask(&c, &e), &e, E_AUTH);
	assert_int_equal(w.web.metrics.refused_replay, 1);
}

static void only_a_devices_own_requests_use_up_its_share(void **state)
{
	WORLD(w, state, false);
	struct err e;

	w.set.device_burst = 2;
	for (unsigned i = 0; i < 5; i++) {
		CALL(c, &w, KEY_SECOND);
		assert_fails(ask(&c, &e), &e, E_AUTH);
	}
	for (unsigned i = 0; i < 3; i++) {
		CALL(c, &w, KEY_FIRST);
		if (i < 2) {
			assert_ok(ask(&c, &e), &e);
			continue;
		}
		assert_fails(ask(&c, &e), &e, E_RATE);
		assert_in_range(c.r.reply.wait_s, 1, 2);
		assert_int_equal(w.web.metrics.refused_rate, 1);
	}
}

static void who_is_unknown_waits_or_was_revoked_is_not_served(void **state)
{
	WORLD(w, state, true);
	struct err e;

	CALL(pending, &w, KEY_FIRST);
	assert_fails(ask(&pending, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, "waits for approval"));
	assert_ok(devices_approve(w.f.s, w.h.id, "token:k1", &e), &e);
	CALL(approved, &w, KEY_FIRST);
	assert_ok(ask(&approved, &e), &e);
	assert_ok(devices_revoke(w.f.s, w.h.id, "lost", "token:k1", &e), &e);
	CALL(revoked, &w, KEY_FIRST);
	assert_fails(ask(&revoked, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, "revoked"));

	/* Whether a device exists is not told by other words than that of a wrong key. */
	static const char *const ids[] = { "ffffffffffffffffffffffffffffffff", "nobody" };
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		CLEANUP(call_done) struct call c;

		call_make(&c, &w, ids[i], HTTPSIG_ED25519, w.keys[KEY_FIRST]);
		assert_fails(ask(&c, &e), &e, E_AUTH);
		assert_int_equal(strstr(e.text, "the signature is not by key") != NULL, i == 0);
	}
}

static void a_session_key_stands_for_the_device_where_it_may(void **state)
{
	WORLD(w, state, false);
	char id[SESSION_ID_SIZE], over[SESSION_ID_SIZE];
	uint8_t bytes[SESSION_KEY];
	struct secret key = { bytes, sizeof(bytes) };
	struct err e;
	bool answered;

	session_make(id, w.h.id, NOW + 100, w.web.rng);
	session_key(bytes, w.web.session_secret, w.pubs[KEY_FIRST], id);
	CLEANUP(call_done) struct call good;
	call_make(&good, &w, id, HTTPSIG_HMAC_SHA256, &key);
	assert_ok(ask(&good, &e), &e);
	assert_string_equal(good.r.device.id, w.h.id);
	assert_false(good.r.by_own_key);

	CLEANUP(call_done) struct call own_key_wanted;
	call_make(&own_key_wanted, &w, id, HTTPSIG_HMAC_SHA256, &key);
	assert_fails(web_auth_device(&own_key_wanted.r, false, &answered, &e), &e, E_AUTH);

	/* Of the same device with another key, and of a secret that is not ours. */
	session_key(bytes, w.web.session_secret, w.pubs[KEY_SECOND], id);
	CLEANUP(call_done) struct call other;
	call_make(&other, &w, id, HTTPSIG_HMAC_SHA256, &key);
	assert_fails(ask(&other, &e), &e, E_AUTH);

	session_make(over, w.h.id, NOW, w.web.rng);
	session_key(bytes, w.web.session_secret, w.pubs[KEY_FIRST], over);
	CLEANUP(call_done) struct call late;
	call_make(&late, &w, over, HTTPSIG_HMAC_SHA256, &key);
	assert_fails(ask(&late, &e), &e, E_AUTH);
	assert_non_null(strstr(e.text, "over"));

	session_make(over, "ffffffffffffffffffffffffffffffff", NOW + 100, w.web.rng);
	session_key(bytes, w.web.session_secret, w.pubs[KEY_FIRST], over);
	CLEANUP(call_done) struct call nobody;
	call_make(&nobody, &w, over, HTTPSIG_HMAC_SHA256, &key);
	assert_fails(ask(&nobody, &e), &e, E_AUTH);
}

/* ---- keys in bodies -------------------------------------------------------------------------- */

static void a_key_in_a_body_has_to_sign_in_its_own_name(void **state)
{
	WORLD(w, state, false);
	struct secret hmac = { w.pubs[KEY_SECOND], SIG_PUBLIC_SIZE };
	char id[DEVICE_ID_SIZE];
	struct err e;
	bool answered;

	device_id_of(id, w.pubs[KEY_SECOND]);
	CLEANUP(call_done) struct call good;
	call_make(&good, &w, id, HTTPSIG_ED25519, w.keys[KEY_SECOND]);
	assert_ok(web_auth_key(&good.r, w.pubs[KEY_SECOND], &answered, &e), &e);
	assert_string_equal(good.r.device.id, id);
	assert_string_equal(good.r.actor + 7, id);
	assert_fails(web_auth_key(&good.r, w.pubs[KEY_SECOND], &answered, &e), &e, E_AUTH);

	for (unsigned what = 0; what < 4; what++) {
		CLEANUP(call_done) struct call c;

		call_make(&c, &w, what == 0 ? w.h.id : id,
			  what == 1 ? HTTPSIG_HMAC_SHA256 : HTTPSIG_ED25519,
			  what == 1   ? &hmac
			  : what == 2 ? w.keys[KEY_FIRST]
				      : w.keys[KEY_SECOND]);
		if (what == 3)
			((char *)c.r.body.p)[5] = '2';
		assert_fails(web_auth_key(&c.r, w.pubs[KEY_SECOND], &answered, &e), &e, E_AUTH);
		assert_string_equal(c.r.actor, "");
	}
}

static struct rotation rotation_to(struct world *w, unsigned from, unsigned to)
{
	struct rotation r = { .now.sealing = { 3 } };
	struct err e;

	memcpy(r.device, w->h.id, sizeof(r.device));
	memcpy(r.now.identity, w->pubs[to], IDENTITY_KEY);
	assert_ok(rotation_sign(&r, w->keys[from], &e), &e);
	return r;
}

static void new_keys_are_vouched_for_by_the_present_ones(void **state)
{
	WORLD(w, state, false);
	struct rotation good = rotation_to(&w, KEY_FIRST, KEY_SECOND);
	struct rotation foreign = rotation_to(&w, KEY_SECOND, KEY_THIRD), bad = good;
	struct secret hmac = { w.pubs[KEY_SECOND], SIG_PUBLIC_SIZE };
	struct err e;
	bool answered;

	bad.now.signature[0] ^= 1;
	for (unsigned what = 0; what < 6; what++) {
		CLEANUP(call_done) struct call c;
		const struct rotation *r = what == 3 ? &bad : what == 4 ? &foreign : &good;

		call_make(&c, &w, what == 0 ? "ffffffffffffffffffffffffffffffff" : w.h.id,
			  what == 1 ? HTTPSIG_HMAC_SHA256 : HTTPSIG_ED25519,
			  what == 1   ? &hmac
			  : what == 2 ? w.keys[KEY_FIRST]
			  : what == 4 ? w.keys[KEY_THIRD]
				      : w.keys[KEY_SECOND]);
		if (what == 5)
			((char *)c.r.body.p)[5] = '2';
		assert_fails(web_auth_rotation(&c.r, r, &answered, &e), &e, E_AUTH);
		assert_string_equal(c.r.actor, "");
	}
	CALL(c, &w, KEY_SECOND);
	assert_ok(web_auth_rotation(&c.r, &good, &answered, &e), &e);
	assert_string_equal(c.r.actor + 7, w.h.id);
	assert_fails(web_auth_rotation(&c.r, &good, &answered, &e), &e, E_AUTH); /* once */
}

static void a_replaced_key_is_told_so_and_serves_no_more(void **state)
{
	WORLD(w, state, false);
	struct rotation r = rotation_to(&w, KEY_FIRST, KEY_SECOND);
	struct rotation by_former = rotation_to(&w, KEY_FIRST, KEY_THIRD);
	struct err e;
	bool answered, changed;

	assert_ok(devices_rotate_key(w.f.s, &r, &changed, &e), &e);
	assert_true(changed);
	CALL(former, &w, KEY_FIRST);
	assert_fails(ask(&former, &e), &e, E_DENIED);
	assert_non_null(strstr(e.text, "replaced"));
	CALL(present, &w, KEY_SECOND);
	assert_ok(ask(&present, &e), &e);
	/* Told again, as after a lost answer; and by the key that may no more. */
	CALL(again, &w, KEY_SECOND);
	assert_ok(web_auth_rotation(&again.r, &r, &answered, &e), &e);
	CALL(third, &w, KEY_THIRD);
	assert_fails(web_auth_rotation(&third.r, &by_former, &answered, &e), &e, E_DENIED);
	struct rotation by_nobody = rotation_to(&w, KEY_THIRD, KEY_FIRST);
	CALL(foreign, &w, KEY_FIRST);
	assert_fails(web_auth_rotation(&foreign.r, &by_nobody, &answered, &e), &e, E_AUTH);
	CALL(never, &w, KEY_THIRD);
	assert_fails(ask(&never, &e), &e, E_AUTH);

	assert_ok(devices_revoke(w.f.s, w.h.id, "lost", "token:k1", &e), &e);
	CALL(revoked, &w, KEY_SECOND);
	assert_fails(web_auth_rotation(&revoked.r, &r, &answered, &e), &e, E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_device_is_known_by_its_own_key),
		TMPDIR_TEST(what_was_not_signed_is_not_by_the_device),
		TMPDIR_TEST(a_request_lacking_a_field_is_refused),
		TMPDIR_TEST(a_wrong_clock_is_answered_with_ours),
		TMPDIR_TEST(a_request_counts_once),
		TMPDIR_TEST(only_a_devices_own_requests_use_up_its_share),
		TMPDIR_TEST(who_is_unknown_waits_or_was_revoked_is_not_served),
		TMPDIR_TEST(a_session_key_stands_for_the_device_where_it_may),
		TMPDIR_TEST(a_key_in_a_body_has_to_sign_in_its_own_name),
		TMPDIR_TEST(new_keys_are_vouched_for_by_the_present_ones),
		TMPDIR_TEST(a_replaced_key_is_told_so_and_serves_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
