#include "proto/httpsig.h"
#include "base/sha256.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

enum { BASE_USUAL = 512 }; /* bytes of a signature base, mostly */

static const char *const alg_names[] = { "", "ed25519", "hmac-sha256" };
static const char *const profile[] = { "@method", "@authority", "@path", "@query",
				       "content-digest" };

/* ---- reading structured fields (RFC 8941), the part that we accept ------------------------ */

/* Where a reader stands; `bad` sticks. */
struct sf {
	const char *p;
	bool bad;
};

static bool sf_take(struct sf *s, char c)
{
	if (s->bad || *s->p != c) {
		s->bad = true;
		return false;
	}
	s->p++;
	return true;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_key_char(char c)
{
	return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}

/* Section 3.1.2: a key; out has HTTPSIG_NAME_SIZE bytes. */
static void sf_key(struct sf *s, char *out)
{
	size_t n = 0;

	while (!s->bad && n < HTTPSIG_NAME_SIZE && is_key_char(s->p[n]))
		n++;
	if (s->bad || n == HTTPSIG_NAME_SIZE || !(is_lower(*s->p) || *s->p == '*')) {
		s->bad = true;
		return;
	}
	memcpy(out, s->p, n);
	out[n] = '\0';
	s->p += n;
}

/* Section 3.3.3: a string, without escapes, at least one character. */
static void sf_string(struct sf *s, char *out)
{
	size_t n = 0;

	if (!sf_take(s, '"'))
		return;
	while (n < HTTPSIG_NAME_SIZE && s->p[n] >= 0x20 && s->p[n] < 0x7f && s->p[n] != '"' &&
	       s->p[n] != '\\')
		n++;
	if (n == 0 || n == HTTPSIG_NAME_SIZE) {
		s->bad = true;
		return;
	}
	memcpy(out, s->p, n);
	out[n] = '\0';
	s->p += n;
	sf_take(s, '"');
}

/* Section 3.3.1: an integer of at most 15 digits; ours are not negative. */
static int64_t sf_int(struct sf *s)
{
	size_t n = 0;
	uint64_t v;

	while (!s->bad && n < 16 && is_digit(s->p[n]))
		n++;
	if (n == 16 || s->bad || !u64_parse(&v, s->p, n)) {
		s->bad = true;
		return 0;
	}
	s->p += n;
	return (int64_t)v;
}

/* Section 3.3.5: a byte sequence between colons. */
static size_t sf_bytes(struct sf *s, uint8_t *out, size_t max)
{
	const char *end;
	size_t n;

	if (!sf_take(s, ':'))
		return 0;
	end = strchr(s->p, ':');
	if (!end || !base64_decode(out, max, &n, s->p, (size_t)(end - s->p))) {
		s->bad = true;
		return 0;
	}
	s->p = end + 1;
	return n;
}

/* ---- Signature-Input and Signature -------------------------------------------------------- */

static bool is_component(const struct httpsig *s, size_t upto, const char *name)
{
	for (size_t i = 0; i < upto; i++)
		if (strcmp(s->components[i], name) == 0)
			return true;
	return false;
}

/* RFC 9421 section 2.5: no component twice. */
static void read_components(struct sf *in, struct httpsig *s)
{
	sf_take(in, '(');
	while (!in->bad && *in->p != ')') {
		char *name;

		if (s->n_components == HTTPSIG_COMPONENTS ||
		    (s->n_components > 0 && !sf_take(in, ' '))) {
			in->bad = true;
			return;
		}
		name = s->components[s->n_components];
		sf_string(in, name);
		if (in->bad || is_component(s, s->n_components, name)) {
			in->bad = true;
			return;
		}
		s->n_components++;
	}
	sf_take(in, ')');
}

static enum httpsig_alg alg_of(const char *name)
{
	for (size_t i = 1; i < ARRAY_SIZE(alg_names); i++)
		if (strcmp(name, alg_names[i]) == 0)
			return (enum httpsig_alg)i;
	return HTTPSIG_NO_ALG;
}

static void read_text(struct sf *in, char *to)
{
	if (to[0] != '\0') /* a second time */
		in->bad = true;
	sf_string(in, to);
}

static void read_time(struct sf *in, bool *has, int64_t *to)
{
	if (*has)
		in->bad = true;
	*has = true;
	*to = sf_int(in);
}

static void read_alg(struct sf *in, struct httpsig *s)
{
	char name[HTTPSIG_NAME_SIZE];

	sf_string(in, name);
	if (in->bad || s->alg != HTTPSIG_NO_ALG)
		in->bad = true;
	else
		s->alg = alg_of(name);
	if (s->alg == HTTPSIG_NO_ALG)
		in->bad = true;
}

static void read_param(struct sf *in, struct httpsig *s)
{
	char key[HTTPSIG_NAME_SIZE] = "";

	sf_take(in, ';');
	sf_key(in, key);
	sf_take(in, '=');
	if (strcmp(key, "created") == 0)
		read_time(in, &s->has_created, &s->created);
	else if (strcmp(key, "expires") == 0)
		read_time(in, &s->has_expires, &s->expires);
	else if (strcmp(key, "nonce") == 0)
		read_text(in, s->nonce);
	else if (strcmp(key, "keyid") == 0)
		read_text(in, s->keyid);
	else if (strcmp(key, "tag") == 0)
		read_text(in, s->tag);
	else if (strcmp(key, "alg") == 0)
		read_alg(in, s);
	else
		in->bad = true;
}

static bool read_input(struct httpsig *s, const char *text)
{
	struct sf in = { .p = text };
	const char *params;
	size_t n;

	sf_key(&in, s->label);
	sf_take(&in, '=');
	params = in.p;
	read_components(&in, s);
	while (!in.bad && *in.p)
		read_param(&in, s);
	n = strlen(params);
	if (in.bad || n >= sizeof(s->params))
		return false;
	memcpy(s->params, params, n + 1);
	return true;
}

static bool read_signature(struct httpsig *s, const char *text)
{
	struct sf in = { .p = text };
	char label[HTTPSIG_NAME_SIZE] = "";

	sf_key(&in, label);
	sf_take(&in, '=');
	s->sig_n = sf_bytes(&in, s->sig, sizeof(s->sig));
	return !in.bad && *in.p == '\0' && strcmp(label, s->label) == 0;
}

bool httpsig_parse(struct httpsig *ret, const char *input, const char *signature, struct err *e)
{
	struct httpsig s = { 0 };

	if (!read_input(&s, input))
		return err_set(e, E_FORMAT, "Signature-Input is not one that we read");
	if (!read_signature(&s, signature))
		return err_set(e, E_FORMAT, "Signature does not belong to Signature-Input");
	*ret = s;
	return true;
}

/* ---- the signature base ------------------------------------------------------------------- */

/* A line break in a value would let one message's base look like another's. */
static bool is_one_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool add_value(struct buf *out, const char *value, struct err *e)
{
	if (!is_one_line(value))
		return err_set(e, E_FORMAT, "control characters in a signed value");
	return buf_add_str(out, value, e);
}

/* All lines of that name, joined as RFC 9421 section 2.1 says. */
static bool add_field(struct buf *out, const struct httpsig_msg *m, const char *name,
		      struct err *e)
{
	bool any = false;

	for (size_t i = 0; i < m->n_fields; i++) {
		if (strcmp(m->fields[i].name, name) != 0)
			continue;
		if ((any && !buf_add_str(out, ", ", e)) ||
		    !add_value(out, m->fields[i].value, e))
			return false;
		any = true;
	}
	if (!any)
		return err_set(e, E_FORMAT, "the message has no %s", name);
	return true;
}

static bool add_component(struct buf *out, const struct httpsig_msg *m, const char *name,
			  struct err *e)
{
	if (strcmp(name, "@method") == 0)
		return add_value(out, m->method, e);
	if (strcmp(name, "@authority") == 0)
		return add_value(out, m->authority, e);
	if (strcmp(name, "@path") == 0)
		return add_value(out, m->path && m->path[0] ? m->path : "/", e);
	if (strcmp(name, "@query") == 0)
		return add_value(out, m->query && m->query[0] ? m->query : "?", e);
	return add_field(out, m, name, e);
}

/* By pieces: each poll of each handset comes here, and formatting costs more than the HMAC. */
static bool add_line(struct buf *out, const struct httpsig_msg *m, const char *name,
		     struct err *e)
{
	return buf_add_str(out, "\"", e) && buf_add_str(out, name, e) &&
	       buf_add_str(out, "\": ", e) && add_component(out, m, name, e) &&
	       buf_add_str(out, "\n", e);
}

bool httpsig_base(struct buf *out, const struct httpsig *s, const struct httpsig_msg *m,
		  struct err *e)
{
	for (size_t i = 0; i < s->n_components; i++)
		if (!add_line(out, m, s->components[i], e))
			return err_wrap(e, "signature base");
	return buf_add_str(out, "\"@signature-params\": ", e) && buf_add_str(out, s->params, e);
}

/* ---- signing and verifying ---------------------------------------------------------------- */

static bool has_hmac_key(const struct httpsig_key *key)
{
	return key->secret && key->secret->n >= HTTPSIG_HMAC_KEY_MIN;
}

static bool verify_base(const struct httpsig *s, const struct buf *base,
			const struct httpsig_key *key)
{
	uint8_t mac[SHA256_SIZE];

	if (key->alg == HTTPSIG_ED25519)
		return key->public && s->sig_n == SIG_SIZE &&
		       sig_verify_ed25519(key->public, base->p, base->n, s->sig);
	if (key->alg != HTTPSIG_HMAC_SHA256 || !has_hmac_key(key) || s->sig_n != sizeof(mac))
		return false;
	hmac_sha256(mac, key->secret->p, key->secret->n, base->p, base->n);
	return bytes_equal_ct(mac, s->sig, sizeof(mac));
}

bool httpsig_verify(const struct httpsig *s, const struct httpsig_msg *m,
		    const struct httpsig_key *key, struct err *e)
{
	CLEANUP(buf_done) struct buf base = BUF_INIT(LIMIT_HTTP_HEADERS);
	uint8_t *room;

	/* The key decides about the algorithm, never the message. */
	if (s->alg != HTTPSIG_NO_ALG && s->alg != key->alg)
		return err_set(e, E_AUTH, "signed with %s, the key is for %s",
			       alg_names[s->alg], alg_names[key->alg]);
	if (!buf_reserve(&base, BASE_USUAL, &room, e) || !httpsig_base(&base, s, m, e))
		return false;
	if (!verify_base(s, &base, key))
		return err_set(e, E_AUTH, "the signature is not by key %s", s->keyid);
	return true;
}

static bool sign_base(struct httpsig *s, const struct buf *base, const struct httpsig_key *key,
		      struct err *e)
{
	if (key->alg == HTTPSIG_ED25519) {
		s->sig_n = SIG_SIZE;
		return sig_sign(s->sig, key->secret, base->p, base->n, e);
	}
	if (key->alg != HTTPSIG_HMAC_SHA256 || !has_hmac_key(key))
		return err_set(e, E_USAGE, "no key to sign with");
	s->sig_n = SHA256_SIZE;
	hmac_sha256(s->sig, key->secret->p, key->secret->n, base->p, base->n);
	return true;
}

static bool add_text_param(struct buf *b, const char *name, const char *value, struct err *e)
{
	if (value[0] == '\0')
		return true;
	return buf_printf(b, e, ";%s=\"%s\"", name, value);
}

static bool write_params(struct httpsig *s, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(sizeof(s->params) - 1);

	if (!buf_add_str(&b, "(", e))
		return false;
	for (size_t i = 0; i < s->n_components; i++)
		if (!buf_printf(&b, e, "%s\"%s\"", i > 0 ? " " : "", s->components[i]))
			return false;
	if (!buf_add_str(&b, ")", e) ||
	    (s->has_created && !buf_printf(&b, e, ";created=%" PRId64, s->created)) ||
	    (s->has_expires && !buf_printf(&b, e, ";expires=%" PRId64, s->expires)) ||
	    !add_text_param(&b, "nonce", s->nonce, e) ||
	    !add_text_param(&b, "keyid", s->keyid, e) ||
	    !add_text_param(&b, "alg", alg_names[s->alg], e) ||
	    !add_text_param(&b, "tag", s->tag, e))
		return false;
	snprintf(s->params, sizeof(s->params), "%s", buf_str(&b));
	return true;
}

bool httpsig_sign_any(struct httpsig *s, const struct httpsig_msg *m,
		      const struct httpsig_key *key, char *ret_input, char *ret_signature,
		      struct err *e)
{
	CLEANUP(buf_done) struct buf base = BUF_INIT(LIMIT_HTTP_HEADERS);
	char sig[BASE64_SIZE(SIG_SIZE)];
	struct httpsig check;
	char input[HTTPSIG_INPUT_SIZE + HTTPSIG_NAME_SIZE], signature[HTTPSIG_SIGNATURE_SIZE];

	if (!write_params(s, e) || !httpsig_base(&base, s, m, e) ||
	    !sign_base(s, &base, key, e))
		return err_wrap(e, "signing a request");
	base64_encode(sig, s->sig, s->sig_n);
	snprintf(input, sizeof(input), "%s=%s", s->label, s->params);
	snprintf(signature, sizeof(signature), "%s=:%s:", s->label, sig);
	/* What was handed in may hold a quote or a line break. */
	if (!httpsig_parse(&check, input, signature, e))
		return err_wrap(e, "signing a request");
	if (ret_input)
		memcpy(ret_input, input, strlen(input) + 1);
	if (ret_signature)
		memcpy(ret_signature, signature, strlen(signature) + 1);
	return true;
}

/* ---- the profile of device requests ------------------------------------------------------- */

static void set_name(char out[static HTTPSIG_NAME_SIZE], const char *name)
{
	snprintf(out, HTTPSIG_NAME_SIZE, "%s", name);
}

bool httpsig_sign(struct httpsig_headers *ret, const struct httpsig_msg *m, const void *body,
		  size_t n, const char *keyid, int64_t created_s,
		  const uint8_t nonce[static HTTPSIG_NONCE_BYTES],
		  const struct httpsig_key *key, struct err *e)
{
	struct httpsig s = { .has_created = true, .created = created_s, .alg = key->alg };
	struct httpsig_headers h;
	struct httpsig_field digest = { .name = "content-digest", .value = h.digest };
	struct httpsig_msg msg = *m;

	httpsig_digest(h.digest, body, n);
	msg.fields = &digest;
	msg.n_fields = 1;
	for (; s.n_components < ARRAY_SIZE(profile); s.n_components++)
		set_name(s.components[s.n_components], profile[s.n_components]);
	set_name(s.label, HTTPSIG_LABEL);
	set_name(s.tag, HTTPSIG_TAG);
	if (strlen(keyid) >= HTTPSIG_NAME_SIZE)
		return err_set(e, E_FORMAT, "key id of %zu bytes", strlen(keyid));
	set_name(s.keyid, keyid);
	base64_encode(s.nonce, nonce, HTTPSIG_NONCE_BYTES);
	if (!httpsig_sign_any(&s, &msg, key, h.input, h.signature, e))
		return false;
	*ret = h;
	return true;
}

static bool has_profile_components(const struct httpsig *s)
{
	if (s->n_components != ARRAY_SIZE(profile))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(profile); i++)
		if (strcmp(s->components[i], profile[i]) != 0)
			return false;
	return true;
}

bool httpsig_check_profile(const struct httpsig *s, struct err *e)
{
	uint8_t nonce[HTTPSIG_NONCE_BYTES];
	size_t n;

	if (strcmp(s->label, HTTPSIG_LABEL) != 0 || strcmp(s->tag, HTTPSIG_TAG) != 0)
		return err_set(e, E_AUTH, "the signature is for something else");
	if (!has_profile_components(s))
		return err_set(e, E_AUTH, "the signature does not cover what it has to");
	if (!s->has_created || s->has_expires || s->alg == HTTPSIG_NO_ALG ||
	    s->keyid[0] == '\0')
		return err_set(e, E_AUTH, "the signature lacks created, alg or keyid");
	if (!base64_decode(nonce, sizeof(nonce), &n, s->nonce, strlen(s->nonce)) ||
	    n != sizeof(nonce))
		return err_set(e, E_AUTH, "the nonce is not %d bytes", HTTPSIG_NONCE_BYTES);
	return true;
}

bool httpsig_check_time(const struct httpsig *s, int64_t now_s, int64_t started_s,
			struct err *e)
{
	int64_t late_s = now_s - s->created;

	if (late_s > HTTPSIG_SKEW_S || late_s < -HTTPSIG_SKEW_S)
		return err_set(e, E_AUTH, "signed %" PRId64 " s %s the server's time",
			       late_s < 0 ? -late_s : late_s, late_s < 0 ? "after" : "before");
	if (s->created < started_s)
		return err_set(e, E_AUTH, "signed before the server started");
	return true;
}

void httpsig_digest(char out[static HTTPSIG_DIGEST_SIZE], const void *p, size_t n)
{
	char text[BASE64_SIZE(SHA256_SIZE)];
	uint8_t sum[SHA256_SIZE];

	sha256(sum, p, n);
	base64_encode(text, sum, sizeof(sum));
	snprintf(out, HTTPSIG_DIGEST_SIZE, "sha-256=:%s:", text);
}

/* One member of the dictionary; *ret_ours tells that it was sha-256 and right. */
static bool check_member(struct sf *in, bool *ret_ours, const void *p, size_t n, struct err *e)
{
	uint8_t want[SHA512_SIZE], sum[SHA512_SIZE];
	char name[HTTPSIG_NAME_SIZE] = "";
	size_t want_n;

	sf_key(in, name);
	sf_take(in, '=');
	want_n = sf_bytes(in, want, sizeof(want));
	if (in->bad)
		return err_set(e, E_FORMAT, "Content-Digest is not one that we read");
	*ret_ours = strcmp(name, "sha-256") == 0;
	if (*ret_ours)
		sha256(sum, p, n);
	else if (strcmp(name, "sha-512") == 0)
		sha512(sum, p, n);
	else
		return true;
	if (want_n != (*ret_ours ? SHA256_SIZE : SHA512_SIZE) ||
	    !bytes_equal_ct(sum, want, want_n))
		return err_set(e, E_AUTH, "Content-Digest is not the body's");
	return true;
}

bool httpsig_check_digest(const char *field, const void *p, size_t n, struct err *e)
{
	struct sf in = { .p = field };
	unsigned n_ours = 0;
	bool ours;

	do {
		if (!check_member(&in, &ours, p, n, e))
			return false;
		n_ours += ours;
	} while (*in.p && sf_take(&in, ',') && sf_take(&in, ' '));
	if (in.bad || n_ours > 1)
		return err_set(e, E_FORMAT, "Content-Digest is not one that we read");
	if (n_ours == 0)
		return err_set(e, E_AUTH, "Content-Digest has no sha-256");
	return true;
}
