/* proto/httpsig.h - HTTP message signatures (RFC 9421) and content digests (RFC 9530), pure.
 *
 * General enough for the RFC's test vectors, and one profile on top for device requests
 * (docs/FORMATS.md section 5):
 *
 *	Content-Digest: sha-256=:<base64>:
 *	Signature-Input: sig=("@method" "@authority" "@path" "@query" "content-digest");created=<s>;
 *		nonce="<base64 of 16 bytes>";keyid="<id>";alg="ed25519";tag="valise"     (one line)
 *	Signature: sig=:<base64>:
 *
 * The structured fields (RFC 8941) are read strictly: one member, its inner list of plain strings
 * without parameters, the parameters created, expires (integers), nonce, keyid, alg and tag
 * (strings) once each, no optional blanks, no escapes.  A text that we would not have written
 * is refused, so the line that is signed is exactly the text that was received.
 *
 * Client:	httpsig_digest, httpsig_sign, then send the three fields.
 * Server:	httpsig_parse, httpsig_check_profile (who, when), look up the key by keyid,
 *		httpsig_verify, httpsig_check_digest over the body.  All failures are E_AUTH, but for
 *		malformed fields (E_FORMAT).  That a nonce counts once is the server's to see to. */
#ifndef VALISE_PROTO_HTTPSIG_H
#define VALISE_PROTO_HTTPSIG_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/secret.h"
#include "proto/sig.h"

enum {
	HTTPSIG_COMPONENTS = 16, /* in one signature */
	HTTPSIG_NAME_SIZE = 65,  /* component, label, keyid, nonce, alg, tag with NUL */
	HTTPSIG_INPUT_SIZE = 1024 /* longest Signature-Input */,
	HTTPSIG_SIGNATURE_SIZE = 256,
	HTTPSIG_DIGEST_SIZE = 64, /* "sha-256=:" + 44 + ":" and NUL */
	HTTPSIG_NONCE_BYTES = 16,
	HTTPSIG_HMAC_KEY_MIN = 32
};

enum httpsig_alg { HTTPSIG_NO_ALG, HTTPSIG_ED25519, HTTPSIG_HMAC_SHA256 };

struct httpsig_field {
	const char *name; /* lower case */
	const char *value;
};

/* What a signature can cover.  method in upper case; authority is the Host in lower case without
 * the scheme's default port; path as sent, "/" when empty; query with its "?", "?" when there
 * is none (RFC 9421 sections 2.2.1 to 2.2.7). */
struct httpsig_msg {
	const char *method, *authority, *path, *query;
	const struct httpsig_field *fields;
	size_t n_fields;
};

struct httpsig {
	char label[HTTPSIG_NAME_SIZE];
	char components[HTTPSIG_COMPONENTS][HTTPSIG_NAME_SIZE]; /* without quotes */
	size_t n_components;
	bool has_created, has_expires;
	int64_t created, expires;
	enum httpsig_alg alg;
	char nonce[HTTPSIG_NAME_SIZE], keyid[HTTPSIG_NAME_SIZE],
		tag[HTTPSIG_NAME_SIZE];  /* "" */
	char params[HTTPSIG_INPUT_SIZE]; /* from "(" on, as it is signed */
	uint8_t sig[SIG_SIZE];
	size_t sig_n;
};

/* The key to use; alg must be the signature's own (or the signature names none). */
struct httpsig_key {
	enum httpsig_alg alg;
	const uint8_t *public;       /* Ed25519, to verify: SIG_PUBLIC_SIZE bytes */
	const struct secret *secret; /* Ed25519, to sign; HMAC, both */
};

/* Reads the two fields. */
bool httpsig_parse(struct httpsig *ret, const char *input, const char *signature,
		   struct err *e) MUST_USE;
/* Appends the signature base (RFC 9421 section 2.5).  E_FORMAT: the message has no such component. */
bool httpsig_base(struct buf *out, const struct httpsig *s, const struct httpsig_msg *m,
		  struct err *e) MUST_USE;
bool httpsig_verify(const struct httpsig *s, const struct httpsig_msg *m,
		    const struct httpsig_key *key, struct err *e) MUST_USE;

/* Signs with any components and parameters: s has label, components, created, ...; params, sig
 * are filled in, and the field texts written (either may be NULL). */
bool httpsig_sign_any(struct httpsig *s, const struct httpsig_msg *m,
		      const struct httpsig_key *key, char *ret_input, char *ret_signature,
		      struct err *e) MUST_USE;

/* ---- the profile of device requests ----------------------------------------------------- */

#define HTTPSIG_SKEW_S 300
#define HTTPSIG_TAG "valise"
#define HTTPSIG_LABEL "sig"

struct httpsig_headers {
	char digest[HTTPSIG_DIGEST_SIZE]; /* Content-Digest */
	char input[HTTPSIG_INPUT_SIZE + HTTPSIG_NAME_SIZE];
	char signature[HTTPSIG_SIGNATURE_SIZE];
};
/* Makes the three header values for a request; m->fields is not looked at. */
bool httpsig_sign(struct httpsig_headers *ret, const struct httpsig_msg *m, const void *body,
		  size_t n, const char *keyid, int64_t created_s,
		  const uint8_t nonce[static HTTPSIG_NONCE_BYTES],
		  const struct httpsig_key *key, struct err *e) MUST_USE;

/* Whether s has the profile's label, components, parameters and tag.  E_AUTH. */
bool httpsig_check_profile(const struct httpsig *s, struct err *e) MUST_USE;
/* Whether it was made within HTTPSIG_SKEW_S of now_s and not before started_s.  E_AUTH. */
bool httpsig_check_time(const struct httpsig *s, int64_t now_s, int64_t started_s,
			struct err *e) MUST_USE;

/* Content-Digest of a body, and whether a received one is right (sha-256 must be there; sha-512
 * may be; others are ignored).  E_AUTH if it differs, E_FORMAT if it is malformed. */
void httpsig_digest(char out[static HTTPSIG_DIGEST_SIZE], const void *p, size_t n);
bool httpsig_check_digest(const char *field, const void *p, size_t n, struct err *e) MUST_USE;

#endif
