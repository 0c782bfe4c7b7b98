#include "agent/rekey.h"

#include "agent/crashpoint.h"

#include <string.h>

/* An answer that does not name the new pair is nobody's word that the server has it. */
static bool check_answer(const struct rotation *r, const struct https_answer *a, struct err *e)
{
	char want[FINGERPRINT_SIZE], got[FINGERPRINT_SIZE];

	if (!rotation_answer_parse(got, a->body.p, a->body.n, e))
		return false;
	fingerprint_of(want, r->now.identity, r->now.sealing);
	return strcmp(want, got) == 0 ||
	       err_set(e, E_UNTRUSTED, "the server has the keys %s, the handset's are %s", got,
		       want);
}

static bool tell(const struct rotation *r, const struct secret *new,
		 struct signed_https *server, struct err *e)
{
	CLEANUP(signed_done) struct signed_https s = { 0 };
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_ROTATION_BODY);

	signed_init(&s, server->https, r->device, new, server->clock, server->rng);
	s.clock_offset_s = server->clock_offset_s;
	bool ok = rotation_encode(r, &body, e) &&
		  signed_post(&s, "/v1/device/key", body.p, body.n, SIGNED_BY_IDENTITY,
			      LIMIT_ROTATION_BODY, &a, e) &&
		  check_answer(r, &a, e);
	server->clock_offset_s = s.clock_offset_s;
	return ok ? true : err_wrap(e, "change of keys");
}

bool rekey_is_with(const struct identity *id, const uint8_t root[static SHA256_SIZE])
{
	return id->change != KEYS_FIRST && memcmp(id->server, root, SHA256_SIZE) == 0;
}

bool rekey_is_asked(const struct identity *id, const uint8_t root[static SHA256_SIZE])
{
	return id->change == KEYS_ASKED && rekey_is_with(id, root);
}

static bool ask(struct identity *id, int state_dirfd, struct signed_https *server,
		int64_t now_s, struct err *e)
{
	CLEANUP(secret_freep) struct secret *next = NULL;

	crash_point("keys-asked");
	if (!identity_next(&next, id, state_dirfd, e) || !tell(&id->rotation, next, server, e))
		return false;
	crash_point("keys-answered");
	return identity_promote(id, state_dirfd, now_s, e);
}

bool rekey(struct identity *id, int state_dirfd, struct signed_https *server,
	   const uint8_t root[static SHA256_SIZE], int64_t now_s, struct err *e)
{
	CLEANUP(identity_done) struct identity fresh = { 0 };

	/* As it is on the disk: the last try may have got further than it could say. */
	if (!identity_load(&fresh, state_dirfd, e))
		return false;
	bool known = memcmp(fresh.signing_pub, id->signing_pub, IDENTITY_KEY) == 0;
	if (known && !rekey_is_asked(&fresh, root) &&
	    !identity_prepare(&fresh, state_dirfd, server->device, root, server->rng, e))
		return false;
	if (known)
		identity_take_change(id, &fresh);
	if (known && !ask(&fresh, state_dirfd, server, now_s, e))
		return false;
	identity_done(id);
	*id = fresh;
	fresh = (struct identity){ 0 };
	signed_rekey(server, id->signing);
	return true;
}

bool rekey_repeat(const struct identity *id, struct signed_https *server, struct err *e)
{
	return tell(&id->rotation, id->signing, server, e);
}
