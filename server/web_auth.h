/* server/web_auth.h - who is asking.
 *
 * Tokens are looked up when the header fields are in, so that nobody without one gets to send a
 * body.  Device signatures cover the body and are checked when it is in, before anything in it
 * is interpreted (enrolment and new keys: the key is in the body). */
#ifndef VALISE_SERVER_WEB_AUTH_H
#define VALISE_SERVER_WEB_AUTH_H

#include "server/req.h"

/* Fills token and actor.  E_AUTH, E_DENIED. */
bool web_auth_token(struct req *r, unsigned scopes, struct err *e) MUST_USE;

/* Checks the signature with the device's own key or its session key, and fills device and actor.
 * `session`: session keys are accepted.  A wrong clock is answered at once (r->reply filled,
 * *ret_answered).  E_AUTH, E_DENIED (revoked, not approved yet), E_RATE, E_FORMAT. */
bool web_auth_device(struct req *r, bool session, bool *ret_answered, struct err *e) MUST_USE;

/* The same with a key that came along in the body: proves that its owner sent it. */
bool web_auth_key(struct req *r, const uint8_t *identity, bool *ret_answered,
		  struct err *e) MUST_USE;

/* New keys of a device: signed by the new one, which is in the body, in the device's name, and vouched for by
 * the old one (proto/rotation.h).  One of the two is the device's present key.  Fills device and actor.
 * E_DENIED also for a key that was replaced. */
bool web_auth_rotation(struct req *r, const struct rotation *rot, bool *ret_answered,
		       struct err *e) MUST_USE;

#endif
