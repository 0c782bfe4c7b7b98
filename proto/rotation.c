#include "proto/rotation.h"

#include <string.h>

static const char tag[] = "valise-device-key-1"; /* with its NUL */

enum {
	ID_AT = sizeof(tag),
	ID_SIZE = DEVICE_ID_SIZE - 1,
	OLD_AT = ID_AT + ID_SIZE,
	IDENTITY_AT = OLD_AT + IDENTITY_KEY,
	SEALING_AT = IDENTITY_AT + IDENTITY_KEY,
	STATEMENT_SIZE = SEALING_AT + SEALING_KEY
};

static void make_statement(uint8_t out[static STATEMENT_SIZE], const struct rotation *r)
{
	memcpy(out, tag, sizeof(tag));
	memcpy(out + ID_AT, r->device, ID_SIZE);
	memcpy(out + OLD_AT, r->old, IDENTITY_KEY);
	memcpy(out + IDENTITY_AT, r->identity, IDENTITY_KEY);
	memcpy(out + SEALING_AT, r->sealing, SEALING_KEY);
}

bool rotation_sign(struct rotation *r, const struct secret *old, struct err *e)
{
	uint8_t statement[STATEMENT_SIZE];

	if (!sig_public(r->old, old, e))
		return false;
	make_statement(statement, r);
	return sig_sign(r->signature, old, statement, sizeof(statement), e);
}

bool rotation_verify(const struct rotation *r, struct err *e)
{
	uint8_t statement[STATEMENT_SIZE];

	make_statement(statement, r);
	if (!sig_verify_ed25519(r->old, statement, sizeof(statement), r->signature))
		return err_set(e, E_AUTH, "the old key's signature is not right");
	return true;
}

bool rotation_read(struct rotation *ret, const struct jval *o, struct err *e)
{
	struct rotation r;

	if (!jobj_copy(r.device, sizeof(r.device), o, "device", e) ||
	    !jobj_hex(r.old, sizeof(r.old), o, "old", e) ||
	    !jobj_hex(r.identity, sizeof(r.identity), o, "identity", e) ||
	    !jobj_hex(r.sealing, sizeof(r.sealing), o, "sealing", e) ||
	    !jobj_hex(r.signature, sizeof(r.signature), o, "signature", e))
		return false;
	if (!device_id_is_valid(r.device))
		return err_set(e, E_FORMAT, "device: not 32 hexadecimal digits");
	if (memcmp(r.old, r.identity, IDENTITY_KEY) == 0)
		return err_set(e, E_FORMAT, "identity: the old key once more");
	*ret = r;
	return true;
}

void rotation_write(struct jw *w, const struct rotation *r)
{
	jw_str(w, "device", r->device);
	jw_hex(w, "old", r->old, sizeof(r->old));
	jw_hex(w, "identity", r->identity, sizeof(r->identity));
	jw_hex(w, "sealing", r->sealing, sizeof(r->sealing));
	jw_hex(w, "signature", r->signature, sizeof(r->signature));
}

static bool open_body(struct jdoc **ret, const void *p, size_t n, struct err *e)
{
	if (n > LIMIT_ROTATION_BODY)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %d", n, LIMIT_ROTATION_BODY);
	return jdoc_parse(ret, p, n, e) && jval_is_obj(jdoc_root(*ret), e);
}

bool rotation_parse(struct rotation *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	return open_body(&d, p, n, e) && rotation_read(ret, jdoc_root(d), e);
}

bool rotation_encode(const struct rotation *r, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	rotation_write(&w, r);
	jw_end(&w);
	return jw_finish(&w, e);
}

bool rotation_answer_parse(char ret_fingerprint[static FINGERPRINT_SIZE], const void *p,
			   size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	return open_body(&d, p, n, e) &&
	       jobj_copy(ret_fingerprint, FINGERPRINT_SIZE, jdoc_root(d), "fingerprint", e);
}

bool rotation_answer_encode(const char *fingerprint, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "fingerprint", fingerprint);
	jw_end(&w);
	return jw_finish(&w, e);
}
