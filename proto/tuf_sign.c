/* Adding signatures to metadata files: the second half of tuf_make.h. */
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/jwrite.h"
#include "proto/tuf_make_priv.h"

#include <string.h>

static bool parse_file(struct jdoc **ret, const struct jval **ret_signed, const void *p,
		       size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	if (n > LIMIT_TUF_TARGETS)
		return err_set(e, E_TOO_BIG, "metadata of %zu bytes", n);
	if (!jdoc_parse(&d, p, n, e) || !jval_is_obj(jdoc_root(d), e) ||
	    !jobj_obj(ret_signed, jdoc_root(d), "signed", e))
		return err_wrap(e, "metadata");
	*ret = TAKE(d);
	return true;
}

bool tuf_signed_bytes(struct buf *out, const void *file, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *signed_part;

	return parse_file(&d, &signed_part, file, n, e) && cjson_encode(out, signed_part, e);
}

static bool verify_one(const struct jval *signed_part, const struct tuf_pubkey *key,
		       const uint8_t *sig, size_t sig_n, struct err *e)
{
	CLEANUP(buf_done) struct buf canon = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(sig_key_done) struct sig_key k = { 0 };

	if (!jdoc_parse(&d, key->json, strlen(key->json), e) ||
	    !tuf_key_open(&k, jdoc_root(d), e) || !cjson_encode(&canon, signed_part, e))
		return err_wrap(e, "key %.8s", key->id);
	if (!sig_verify(&k, canon.p, canon.n, sig, sig_n))
		return err_set(e, E_UNTRUSTED, "key %.8s did not make this signature", key->id);
	return true;
}

static bool copy_signature(struct jw *w, const struct jval *s, const char *but, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT);
	const char *id;

	if (!jval_is_obj(s, e) || !jobj_str(&id, s, "keyid", SIG_PEM_MAX, e))
		return err_wrap(e, "signatures");
	if (strcmp(id, but) == 0)
		return true;
	if (!cjson_encode_json(&text, s, e))
		return false;
	jw_raw(w, NULL, buf_str(&text), text.n);
	return true;
}

static bool write_signatures(struct jw *w, const struct jval *old, const char *keyid,
			     const uint8_t *sig, size_t sig_n, struct err *e)
{
	jw_arr(w, "signatures");
	for (size_t i = 0; i < jarr_n(old); i++)
		if (!copy_signature(w, jarr_at(old, i), keyid, e))
			return false;
	jw_obj(w, NULL);
	jw_str(w, "keyid", keyid);
	jw_hex(w, "sig", sig, sig_n);
	jw_end(w);
	jw_end(w);
	return true;
}

bool tuf_add_signature(struct buf *out, const void *file, size_t n,
		       const struct tuf_pubkey *key, const uint8_t *sig, size_t sig_n,
		       struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(buf_done) struct buf signed_text = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *signed_part, *old;
	struct jw w;

	if (!parse_file(&d, &signed_part, file, n, e) ||
	    !verify_one(signed_part, key, sig, sig_n, e) ||
	    !jobj_arr(&old, jdoc_root(d), "signatures", LIMIT_TUF_SIGNATURES - 1, e) ||
	    !cjson_encode_json(&signed_text, signed_part, e))
		return false;
	jw_init(&w, &text);
	jw_obj(&w, NULL);
	if (!write_signatures(&w, old, key->id, sig, sig_n, e))
		return false;
	jw_raw(&w, "signed", buf_str(&signed_text), signed_text.n);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add(out, text.p, text.n, e);
}

bool tuf_sign(struct buf *out, const void *file, size_t n, const struct tuf_pubkey *key,
	      const struct tuf_signer *signer, struct err *e)
{
	CLEANUP(buf_done) struct buf canon = BUF_INIT(LIMIT_TUF_TARGETS);
	uint8_t sig[SIG_MAX];
	size_t sig_n;

	return tuf_signed_bytes(&canon, file, n, e) &&
	       signer->sign(signer->ctx, key->id, canon.p, canon.n, sig, &sig_n, e) &&
	       tuf_add_signature(out, file, n, key, sig, sig_n, e);
}

static bool sign_with_secret(void *ctx, const char *keyid, const uint8_t *p, size_t n,
			     uint8_t *ret, size_t *ret_n, struct err *e)
{
	const struct secret *key = ctx;

	*ret_n = SIG_SIZE;
	return sig_sign(ret, key, p, n, e);
}

bool tuf_sign_with(struct buf *out, const void *file, size_t n, const struct secret *key,
		   struct err *e)
{
	struct secret borrowed = *key;
	struct tuf_signer signer = { .ctx = &borrowed, .sign = sign_with_secret };
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey pub = { 0 };
	uint8_t raw[SIG_PUBLIC_SIZE];

	return sig_public(raw, key, e) && tuf_pubkey_ed25519(&pub, raw, e) &&
	       tuf_sign(out, file, n, &pub, &signer, e);
}
