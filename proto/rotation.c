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

static void make_statement(uint8_t out[static STATEMENT_SIZE], const char *device,
			   const struct rotation_step *s)
{
	memcpy(out, tag, sizeof(tag));
	memcpy(out + ID_AT, device, ID_SIZE);
	memcpy(out + OLD_AT, s->old, IDENTITY_KEY);
	memcpy(out + IDENTITY_AT, s->identity, IDENTITY_KEY);
	memcpy(out + SEALING_AT, s->sealing, SEALING_KEY);
}

bool rotation_sign(struct rotation *r, const struct secret *old, struct err *e)
{
	uint8_t statement[STATEMENT_SIZE];

	if (!sig_public(r->now.old, old, e))
		return false;
	make_statement(statement, r->device, &r->now);
	return sig_sign(r->now.signature, old, statement, sizeof(statement), e);
}

static bool verify(const struct rotation *r, const struct rotation_step *s, struct err *e)
{
	uint8_t statement[STATEMENT_SIZE];

	make_statement(statement, r->device, s);
	if (!sig_verify_ed25519(s->old, statement, sizeof(statement), s->signature))
		return err_set(e, E_AUTH, "the old key's signature is not right");
	return true;
}

bool rotation_verify(const struct rotation *r, struct err *e)
{
	return verify(r, &r->now, e);
}

bool rotation_verify_before(const struct rotation *r, size_t from, struct err *e)
{
	for (size_t i = from; i < r->n_before; i++) {
		if (!verify(r, &r->before[i], e))
			return err_wrap(e, "before[%zu]", i);
	}
	return true;
}

const struct rotation_step *rotation_step(const struct rotation *r, size_t n)
{
	return n < r->n_before ? &r->before[n] : &r->now;
}

bool rotation_find(size_t *ret, const struct rotation *r,
		   const uint8_t present[static IDENTITY_KEY])
{
	for (size_t i = 0; i <= r->n_before; i++) {
		if (memcmp(rotation_step(r, i)->old, present, IDENTITY_KEY) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

void rotation_keep(struct rotation *r)
{
	if (r->n_before == LIMIT_ROTATIONS_KEPT)
		memmove(r->before, r->before + 1, --r->n_before * sizeof(r->before[0]));
	r->before[r->n_before++] = r->now;
}

static bool step_read(struct rotation_step *s, const struct jval *o, struct err *e)
{
	if (!jobj_hex(s->old, sizeof(s->old), o, "old", e) ||
	    !jobj_hex(s->identity, sizeof(s->identity), o, "identity", e) ||
	    !jobj_hex(s->sealing, sizeof(s->sealing), o, "sealing", e) ||
	    !jobj_hex(s->signature, sizeof(s->signature), o, "signature", e))
		return false;
	if (memcmp(s->old, s->identity, IDENTITY_KEY) == 0)
		return err_set(e, E_FORMAT, "identity: the old key once more");
	return true;
}

static bool follows(const struct rotation *r, size_t n, struct err *e)
{
	if (memcmp(r->before[n].identity, rotation_step(r, n + 1)->old, IDENTITY_KEY) != 0)
		return err_set(e, E_FORMAT, "before[%zu]: another key begins the next change",
			       n);
	return true;
}

static bool before_read(struct rotation *r, const struct jval *o, struct err *e)
{
	const struct jval *list;

	if (!jobj_has(o, "before"))
		return true;
	if (!jobj_arr(&list, o, "before", LIMIT_ROTATIONS_KEPT, e))
		return false;
	for (size_t n = jarr_n(list); r->n_before < n; r->n_before++) {
		const struct jval *step = jarr_at(list, r->n_before);

		if (!jval_is_obj(step, e) || !step_read(&r->before[r->n_before], step, e))
			return err_wrap(e, "before[%u]", r->n_before);
	}
	for (size_t i = 0; i < r->n_before; i++) {
		if (!follows(r, i, e))
			return false;
	}
	return true;
}

bool rotation_read(struct rotation *ret, const struct jval *o, struct err *e)
{
	struct rotation r = { .n_before = 0 };

	if (!jobj_copy(r.device, sizeof(r.device), o, "device", e) ||
	    !step_read(&r.now, o, e) || !before_read(&r, o, e))
		return false;
	if (!device_id_is_valid(r.device))
		return err_set(e, E_FORMAT, "device: not 32 hexadecimal digits");
	*ret = r;
	return true;
}

static void step_write(struct jw *w, const struct rotation_step *s)
{
	jw_hex(w, "old", s->old, sizeof(s->old));
	jw_hex(w, "identity", s->identity, sizeof(s->identity));
	jw_hex(w, "sealing", s->sealing, sizeof(s->sealing));
	jw_hex(w, "signature", s->signature, sizeof(s->signature));
}

void rotation_write(struct jw *w, const struct rotation *r)
{
	jw_str(w, "device", r->device);
	step_write(w, &r->now);
	if (r->n_before == 0)
		return;
	jw_arr(w, "before");
	for (size_t i = 0; i < r->n_before; i++) {
		jw_obj(w, NULL);
		step_write(w, &r->before[i]);
		jw_end(w);
	}
	jw_end(w);
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
