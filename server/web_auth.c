#include "server/web_auth.h"
#include "server/session.h"
#include "base/text.h"
#include "proto/httpsig.h"

#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

/* ---- tokens ------------------------------------------------------------------------------- */

/* "publish or policy" */
static bool refuse_scopes(int64_t token, unsigned wanted, struct err *e)
{
	char text[128];
	size_t n = 0;

	text[0] = 0;
	for (unsigned i = 0; i < API_N_SCOPES; i++) {
		const char *name = wanted & 1u << i ? api_scope_name(wanted & 1u << i) : NULL;

		if (name && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
					      n > 0 ? " or " : "", name);
	}
	err_set(e, E_DENIED, "token k%" PRId64 " lacks the scope for this: %s", token, text);
	return err_hint(e, "use another token, or ask an administrator for one that may");
}

bool web_auth_token(struct req *r, unsigned scopes, struct err *e)
{
	const char *value = req_header(r, "Authorization");
	const char *text = value && strncasecmp(value, "Bearer ", 7) == 0 ? value + 7 : NULL;

	if (!text)
		return err_set(e, E_AUTH, "a token is needed: Authorization: Bearer vt_...");
	if (!tokens_check(r->web->store, text, strlen(text), &r->token, e)) {
		if (e->code == E_AUTH)
			metric_add(&r->web->metrics.refused_auth, 1);
		return false;
	}
	snprintf(r->actor, sizeof(r->actor), "token:k%" PRId64, r->token.number);
	if (!scope_allows(r->token.scopes, scopes == SCOPE_ANY ? 0 : scopes))
		return refuse_scopes(r->token.number, scopes, e);
	return true;
}

/* ---- device signatures -------------------------------------------------------------------- */

struct signed_req {
	struct httpsig sig;
	struct httpsig_field digest;
	struct httpsig_msg msg;
	char authority[LIMIT_URL + 1];
	char query[LIMIT_URL + 2];
};

/* Host in lower case, without the scheme's default port.  Behind a proxy the scheme is the one
 * that the client used: https always, but for plain listeners of tests and measurements. */
static bool authority_of(char *out, size_t size, const char *host)
{
	size_t n = host ? strlen(host) : 0;

	if (n == 0 || n >= size)
		return false;
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)tolower((unsigned char)host[i]);
	if (n > 4 && strcmp(out + n - 4, ":443") == 0)
		out[n - 4] = 0;
	return true;
}

static bool query_of(char *out, size_t size, const char *query)
{
	size_t n = query ? strlen(query) : 0;

	if (n + 2 > size)
		return false;
	out[0] = '?';
	memcpy(out + 1, query ? query : "", n);
	out[n + 1] = 0;
	return true;
}

static void set_actor(struct req *r, const char id[static DEVICE_ID_SIZE])
{
	_Static_assert(7 + DEVICE_ID_SIZE <= REQ_ACTOR, "an id does not fit");
	memcpy(r->actor, "device:", 7);
	memcpy(r->actor + 7, id, DEVICE_ID_SIZE);
}

static bool read_signature(struct req *r, struct signed_req *s, struct err *e)
{
	const struct req_signature *h = &r->signature;

	if (!h->input || !h->signature || !h->digest)
		return err_set(e, E_AUTH, "the request is not signed");
	if (!authority_of(s->authority, sizeof(s->authority), r->host))
		return err_set(e, E_FORMAT, "Host: missing or too long");
	if (!query_of(s->query, sizeof(s->query), r->query))
		return err_set(e, E_FORMAT, "the query is too long");
	s->digest = (struct httpsig_field){ "content-digest", h->digest };
	s->msg = (struct httpsig_msg){
		.method = api_method_names[r->method],
		.authority = s->authority,
		.path = r->path,
		.query = s->query,
		.fields = &s->digest,
		.n_fields = 1,
	};
	return httpsig_parse(&s->sig, h->input, h->signature, e) &&
	       httpsig_check_profile(&s->sig, e);
}

/* Everything but the key: digest of the body, clock. */
static bool check_frame(struct req *r, struct signed_req *s, bool *ret_answered, struct err *e)
{
	if (!httpsig_check_digest(s->digest.value, r->body.p, r->body.n, e))
		return false;
	if (httpsig_check_time(&s->sig, r->now_s, r->web->accept_from_s, e))
		return true;
	if (e->code == E_AUTH) {
		metric_add(&r->web->metrics.refused_clock, 1);
		reply_clock_error(r, e);
		*ret_answered = true;
	}
	return false;
}

/* After the signature was found right. */
static bool check_once(struct req *r, const struct signed_req *s, struct err *e)
{
	const struct settings *set = r->web->settings;
	uint32_t wait_s;

	if (!nonces_add(r->web->nonces, s->sig.keyid, s->sig.nonce, r->now_ms, e)) {
		if (e->code == E_AUTH)
			metric_add(&r->web->metrics.refused_replay, 1);
		return false;
	}
	if (rates_take(r->web->devices, r->device.id, DEVICE_ID_SIZE, set->device_rate,
		       set->device_burst, r->now_ms, &wait_s))
		return true;
	metric_add(&r->web->metrics.refused_rate, 1);
	r->reply.wait_s = wait_s;
	return err_set(e, E_RATE, "this device asks too often");
}

static bool is_served(const struct req *r, struct err *e)
{
	switch (r->device.state) {
	case DEVICE_ACTIVE:
	case DEVICE_LOCKED:
		return true;
	case DEVICE_PENDING:
		err_set(e, E_DENIED, "this device waits for approval");
		return err_hint(e, "ask an administrator, who sees it as pending");
	default:
		err_set(e, E_DENIED, "this device was revoked");
		return err_hint(e, "enrol it again with a new ticket");
	}
}

/* Said only to who has the secret of that key. */
static bool replaced(const struct req *r, struct err *e)
{
	log_warn("device.old_key", "id=%s device=%s peer=%s", r->id, r->device.id,
		 r->peer.text);
	err_set(e, E_DENIED, "this key was replaced by a newer one of its device");
	return err_hint(e, "make new keys: valise-agent enrol --again --new-keys TICKET");
}

static bool verify_own(struct req *r, const struct signed_req *s, const uint8_t *identity,
		       struct err *e)
{
	struct httpsig_key key = { .alg = HTTPSIG_ED25519, .public = identity };

	return httpsig_verify(&s->sig, &s->msg, &key, e);
}

static bool verify_session(struct req *r, const struct signed_req *s, struct err *e)
{
	uint8_t bytes[SESSION_KEY];
	/* Not struct secret's guarded memory: this is made for every poll and wiped at once. */
	struct secret secret = { bytes, sizeof(bytes) };
	struct httpsig_key key = { .alg = HTTPSIG_HMAC_SHA256, .secret = &secret };
	bool ok;

	session_key(bytes, r->web->session_secret, r->device.identity, s->sig.keyid);
	ok = httpsig_verify(&s->sig, &s->msg, &key, e);
	wipe(bytes, sizeof(bytes));
	return ok;
}

/* In the words of httpsig_verify: whether an id exists is nobody's business. */
static bool not_by(const char *id, struct err *e)
{
	return err_set(e, E_AUTH, "the signature is not by key %s", id);
}

static bool find_device(struct req *r, const char *id, struct err *e)
{
	if (!device_id_is_valid(id))
		return err_set(e, E_AUTH, "keyid: not a device");
	if (idle_row(r->web->idle, r->web->store, id, &r->device, &r->stamp, e))
		return true;
	return e->code == E_NOT_FOUND ? not_by(id, e) : false;
}

/* A signature that is not the present key's is refused; with the true reason if it is the former
 * key's: a handset of which an older copy was put back, or somebody who took the key from it. */
static bool look_at_former(struct req *r, const struct signed_req *s, struct err *e)
{
	uint8_t former[DEVICE_KEY_SIZE];
	struct err ignored;
	bool found;

	if (devices_former_key(r->web->store, r->device.number, former, &found, &ignored) &&
	    found && verify_own(r, s, former, &ignored))
		return replaced(r, e);
	return false;
}

/* Whether the device has the new key already, or one from which the statements lead to it. */
static bool continues(struct req *r, const struct rotation *rot, struct err *e)
{
	uint8_t former[DEVICE_KEY_SIZE];
	size_t from;
	bool found;

	if (memcmp(r->device.identity, rot->now.identity, IDENTITY_KEY) == 0)
		return true;
	if (rotation_find(&from, rot, r->device.identity))
		return rotation_verify_before(rot, from, e);
	if (!devices_former_key(r->web->store, r->device.number, former, &found, e))
		return false;
	if (found && memcmp(former, rot->now.old, sizeof(former)) == 0)
		return replaced(r, e);
	return not_by(rot->device, e);
}

static bool refused(struct req *r, const struct err *e)
{
	if (e->code == E_AUTH)
		metric_add(&r->web->metrics.refused_auth, 1);
	return false;
}

bool web_auth_device(struct req *r, bool session, bool *ret_answered, struct err *e)
{
	struct signed_req s;
	char id[DEVICE_ID_SIZE];
	bool by_session, ok;

	*ret_answered = false;
	if (!read_signature(r, &s, e) || !check_frame(r, &s, ret_answered, e))
		return *ret_answered ? false : refused(r, e);
	by_session = s.sig.alg == HTTPSIG_HMAC_SHA256;
	if (by_session && !session)
		return err_set(e, E_AUTH, "this has to be signed with the device's own key");
	if (by_session) {
		ok = session_parse(id, s.sig.keyid, r->now_s, e) && find_device(r, id, e) &&
		     verify_session(r, &s, e);
	} else {
		ok = find_device(r, s.sig.keyid, e) &&
		     (verify_own(r, &s, r->device.identity, e) || look_at_former(r, &s, e));
	}
	if (!ok)
		return refused(r, e);
	set_actor(r, r->device.id);
	r->by_own_key = !by_session;
	return check_once(r, &s, e) && is_served(r, e);
}

bool web_auth_key(struct req *r, const uint8_t *identity, bool *ret_answered, struct err *e)
{
	struct signed_req s;
	char id[DEVICE_ID_SIZE];

	*ret_answered = false;
	if (!read_signature(r, &s, e) || !check_frame(r, &s, ret_answered, e))
		return *ret_answered ? false : refused(r, e);
	device_id_of(id, identity);
	if (s.sig.alg != HTTPSIG_ED25519 || strcmp(s.sig.keyid, id) != 0)
		return err_set(e, E_AUTH, "keyid: not the id of the key in the body");
	if (!verify_own(r, &s, identity, e))
		return refused(r, e);
	memcpy(r->device.id, id, sizeof(id));
	set_actor(r, id);
	return check_once(r, &s, e);
}

bool web_auth_rotation(struct req *r, const struct rotation *rot, bool *ret_answered,
		       struct err *e)
{
	struct signed_req s;

	*ret_answered = false;
	if (!read_signature(r, &s, e) || !check_frame(r, &s, ret_answered, e))
		return *ret_answered ? false : refused(r, e);
	if (s.sig.alg != HTTPSIG_ED25519 || strcmp(s.sig.keyid, rot->device) != 0)
		return err_set(e, E_AUTH, "keyid: not the device in the body");
	/* All of it before the device's share of requests is touched: nobody else uses that up. */
	if (!verify_own(r, &s, rot->now.identity, e) || !rotation_verify(rot, e) ||
	    !find_device(r, rot->device, e) || !continues(r, rot, e))
		return refused(r, e);
	set_actor(r, r->device.id);
	return check_once(r, &s, e) && is_served(r, e);
}
