#include "proto/enrol.h"

#include "base/secret.h"
#include "base/text.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <stdio.h>
#include <string.h>

const char *const device_state_names[] = {
	[DEVICE_PENDING] = "pending",
	[DEVICE_ACTIVE] = "active",
	[DEVICE_LOCKED] = "locked",
	[DEVICE_REVOKED] = "revoked",
	NULL,
};

/* ---- ids ---- */

void device_id_of(char out[static DEVICE_ID_SIZE], const uint8_t identity[static IDENTITY_KEY])
{
	uint8_t digest[SHA256_SIZE];

	sha256(digest, identity, IDENTITY_KEY);
	hex_encode(out, digest, (DEVICE_ID_SIZE - 1) / 2);
}

bool device_id_is_valid(const char *s)
{
	uint8_t raw[(DEVICE_ID_SIZE - 1) / 2];

	return hex_decode(raw, sizeof(raw), s, strnlen(s, DEVICE_ID_SIZE));
}

void fingerprint_of(char out[static FINGERPRINT_SIZE],
		    const uint8_t identity[static IDENTITY_KEY],
		    const uint8_t sealing[static SEALING_KEY])
{
	uint8_t digest[SHA256_SIZE];
	char letters[BASE32_SIZE(10)]; /* 16 */

	sha256_two(digest, identity, IDENTITY_KEY, sealing, SEALING_KEY);
	base32_encode(letters, digest, 10);
	snprintf(out, FINGERPRINT_SIZE, "%.4s-%.4s-%.4s-%.4s", letters, letters + 4,
		 letters + 8, letters + 12);
}

static bool fingerprint_ok(const char *s)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

	for (size_t i = 0; i < FINGERPRINT_SIZE - 1; i++)
		if (i % 5 == 4 ? s[i] != '-' : !s[i] || !strchr(letters, s[i]))
			return false;
	return true;
}

/* ---- enrolment ---- */

static bool open_body(struct jdoc **ret, const void *p, size_t n, size_t max, struct err *e)
{
	if (n > max)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %zu", n, max);
	return jdoc_parse(ret, p, n, e) && jval_is_obj(jdoc_root(*ret), e);
}

static bool read_attributes(struct enrol_request *ret, const struct jval *o, struct err *e)
{
	if (jobj_n(o) > LIMIT_ATTRIBUTES)
		return err_set(e, E_TOO_BIG, "%zu entries, at most %d", jobj_n(o),
			       LIMIT_ATTRIBUTES);
	for (struct jiter it = jobj_first(o); it.val; it = jobj_next(o, it)) {
		struct attribute *a = &ret->attributes[ret->n_attributes++];
		const char *value;

		if (!name_is_valid(it.key, LIMIT_NAME))
			return err_set(e, E_FORMAT, "\"%.64s\" is no name (a-z 0-9 . _ -)",
				       it.key);
		if (!jval_get_str(&value, it.val, LIMIT_ATTRIBUTE, e))
			return err_wrap(e, "%s", it.key);
		memcpy(a->key, it.key, strlen(it.key) + 1);
		memcpy(a->value, value, strlen(value) + 1);
	}
	return true;
}

static bool read_request(struct enrol_request *r, const struct jval *o, struct err *e)
{
	const struct jval *attributes;

	if (!jobj_hex(r->token, sizeof(r->token), o, "token", e) ||
	    !jobj_hex(r->identity, sizeof(r->identity), o, "identity", e) ||
	    !jobj_hex(r->sealing, sizeof(r->sealing), o, "sealing", e) ||
	    !jobj_copy_name(r->model, o, "model", e))
		return false;
	if (jobj_has(o, "name") && !jobj_copy(r->name, sizeof(r->name), o, "name", e))
		return false;
	if (!jobj_has(o, "attributes"))
		return true;
	return jobj_obj(&attributes, o, "attributes", e) &&
	       (read_attributes(r, attributes, e) || err_wrap(e, "attributes"));
}

bool enrol_request_parse(struct enrol_request *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct enrol_request r = { .n_attributes = 0 };

	if (!open_body(&d, p, n, LIMIT_ENROL_BODY, e) || !read_request(&r, jdoc_root(d), e))
		return false;
	*ret = r;
	wipe(r.token, sizeof(r.token));
	return true;
}

bool enrol_request_encode(const struct enrol_request *r, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_hex(&w, "token", r->token, sizeof(r->token));
	jw_hex(&w, "identity", r->identity, sizeof(r->identity));
	jw_hex(&w, "sealing", r->sealing, sizeof(r->sealing));
	jw_str(&w, "model", r->model);
	jw_str(&w, "name", r->name);
	jw_obj(&w, "attributes");
	for (size_t i = 0; i < r->n_attributes; i++)
		jw_str(&w, r->attributes[i].key, r->attributes[i].value);
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool read_poll(uint32_t *ret, const struct jval *o, const char *key, struct err *e)
{
	uint64_t s;

	if (!jobj_u64(&s, o, key, 1, LIMIT_POLL_S, e))
		return false;
	*ret = (uint32_t)s;
	return true;
}

static bool read_answer(struct enrol_answer *a, const struct jval *o, struct err *e)
{
	unsigned state;

	if (!jobj_copy(a->device, sizeof(a->device), o, "device", e) ||
	    !jobj_choice(&state, o, "state", device_state_names, e) ||
	    !jobj_copy(a->fingerprint, sizeof(a->fingerprint), o, "fingerprint", e) ||
	    !read_poll(&a->poll_s, o, "poll_s", e) ||
	    !jobj_time(&a->server_time_s, o, "server_time", e))
		return false;
	if (!device_id_is_valid(a->device))
		return err_set(e, E_FORMAT, "device: not 32 hexadecimal digits");
	if (state != DEVICE_ACTIVE && state != DEVICE_PENDING)
		return err_set(e, E_FORMAT, "state: neither active nor pending");
	if (!fingerprint_ok(a->fingerprint))
		return err_set(e, E_FORMAT, "fingerprint: not like ABCD-EFGH-IJKL-MNOP");
	a->state = (enum device_state)state;
	return true;
}

bool enrol_answer_parse(struct enrol_answer *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct enrol_answer a = { .poll_s = 0 };

	if (!open_body(&d, p, n, LIMIT_ENROL_BODY, e) || !read_answer(&a, jdoc_root(d), e))
		return false;
	*ret = a;
	return true;
}

bool enrol_answer_encode(const struct enrol_answer *a, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "device", a->device);
	jw_str(&w, "state", device_state_names[a->state]);
	jw_str(&w, "fingerprint", a->fingerprint);
	jw_u64(&w, "poll_s", a->poll_s);
	jw_time(&w, "server_time", a->server_time_s);
	jw_end(&w);
	return jw_finish(&w, e);
}

/* ---- session ---- */

bool session_request_parse(const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	return open_body(&d, p, n, LIMIT_SESSION_BODY, e);
}

bool session_request_encode(struct buf *out, struct err *e)
{
	return buf_add(out, "{}", 2, e);
}

static bool session_id_ok(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("._-", *p)))
			return false;
	return *s;
}

static bool read_key(uint8_t ret[static SESSION_KEY], const struct jval *o, struct err *e)
{
	const char *text;
	size_t n;

	if (!jobj_str(&text, o, "key", LIMIT_SESSION_BODY, e))
		return false;
	if (!base64_decode(ret, SESSION_KEY, &n, text, strlen(text)) || n != SESSION_KEY)
		return err_set(e, E_FORMAT, "key: not the base64 of 32 bytes");
	return true;
}

bool session_answer_parse(struct session_answer *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct session_answer a = { .expires_s = 0 };
	const struct jval *o;

	if (!open_body(&d, p, n, LIMIT_ENROL_BODY, e))
		return false;
	o = jdoc_root(d);
	if (!jobj_copy(a.session, sizeof(a.session), o, "session", e) ||
	    !read_key(a.key, o, e) || !read_poll(&a.expires_s, o, "expires_s", e) ||
	    !jobj_time(&a.server_time_s, o, "server_time", e))
		return false;
	if (!session_id_ok(a.session))
		return err_set(e, E_FORMAT, "session: characters that are not allowed");
	*ret = a;
	wipe(a.key, sizeof(a.key));
	return true;
}

bool session_answer_encode(const struct session_answer *a, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "session", a->session);
	jw_base64(&w, "key", a->key, sizeof(a->key));
	jw_u64(&w, "expires_s", a->expires_s);
	jw_time(&w, "server_time", a->server_time_s);
	jw_end(&w);
	return jw_finish(&w, e);
}
