/* server/session.h - session keys of devices, derived and never stored.
 *
 *	id  = <device id> "." <end of life, seconds since 1970, 10 hex digits> "." <8 random bytes, hex>
 *	key = HMAC-SHA-256(session secret, "valise-session-2" NUL identity key id)
 *
 * Whoever cannot compute the key cannot use the id, so an id needs no protection of its own.  The
 * identity key is the one that the device has now: when it changes, its sessions are over. */
#ifndef VALISE_SERVER_SESSION_H
#define VALISE_SERVER_SESSION_H

#include "base/rng.h"
#include "base/secret.h"
#include "proto/enrol.h"

enum { SESSION_ID_SIZE = 32 + 1 + 10 + 1 + 16 + 1 /* fits a keyid, proto/httpsig.h */ };

void session_make(char id[static SESSION_ID_SIZE], const char *device, int64_t expires_s,
		  const struct rng *rng);
void session_key(uint8_t out[static SESSION_KEY], const struct secret *secret,
		 const uint8_t identity[static IDENTITY_KEY], const char *id);
/* Takes an id apart.  E_AUTH: malformed, or over. */
bool session_parse(char ret_device[static DEVICE_ID_SIZE], const char *id, int64_t now_s,
		   struct err *e) MUST_USE;

#endif
