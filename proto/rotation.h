/* proto/rotation.h - a handset's own keys change: the message, and the old key's word for it.
 *
 * The handset's name (device id) stays the hash of its first key.  The new pair is vouched for by both keys:
 *
 *	old	signs the statement below.  It is made once, before anybody is told, carries no time and may be
 *		shown again: to a server whose answer was lost, and to one that was put back to an older state.
 *	new	signs the request that carries it (proto/httpsig.h): method, path, body, time and nonce.
 *
 * So neither key alone changes anything, what was recorded on the way is worth nothing without the new
 * secret, and the handset can ask again with nothing but the statement after the old secret is gone.
 *
 * The statements of the changes before go with it, oldest first, each by the key that the one before it made:
 * a server that was put back to before several changes goes from the key that it knows to the newest.
 * Statements are numbered from 0, the oldest kept; the newest is number n_before.
 *
 * Statement: "valise-device-key-1" NUL, device id (32 hex digits), old identity key, new identity key,
 * new sealing key (32 bytes each).  No RFC 9421 signature base begins like this.  Format of the
 * message: docs/FORMATS.md section 5. */
#ifndef VALISE_PROTO_ROTATION_H
#define VALISE_PROTO_ROTATION_H

#include "base/limits.h"
#include "proto/enrol.h"
#include "proto/jread.h"
#include "proto/jwrite.h"
#include "proto/sig.h"

struct rotation_step {
	uint8_t old[IDENTITY_KEY];
	uint8_t identity[IDENTITY_KEY], sealing[SEALING_KEY]; /* the new pair */
	uint8_t signature[SIG_SIZE];                          /* by old */
};

struct rotation {
	char device[DEVICE_ID_SIZE];
	struct rotation_step now;
	uint8_t n_before;
	struct rotation_step before[LIMIT_ROTATIONS_KEPT];
};

/* Fills now's old and signature; the others are given.  E_FORMAT: no Ed25519 secret. */
bool rotation_sign(struct rotation *r, const struct secret *old, struct err *e) MUST_USE;
/* Whether the old key vouches for the newest pair.  E_AUTH. */
bool rotation_verify(const struct rotation *r, struct err *e) MUST_USE;
/* The same of each before it, from number `from` on.  E_AUTH. */
bool rotation_verify_before(const struct rotation *r, size_t from, struct err *e) MUST_USE;

/* n is at most n_before. */
const struct rotation_step *rotation_step(const struct rotation *r, size_t n);
/* The number of the statement by the key `present`; false: there is none. */
bool rotation_find(size_t *ret, const struct rotation *r,
		   const uint8_t present[static IDENTITY_KEY]);
/* now becomes one of those before, in the place of the oldest where no more are kept. */
void rotation_keep(struct rotation *r);

/* Unknown members are ignored.  E_FORMAT also when new and old key are the same, or a statement does not
 * follow from the one before it. */
bool rotation_read(struct rotation *ret, const struct jval *o, struct err *e) MUST_USE;
void rotation_write(struct jw *w, const struct rotation *r); /* members of an open object */

/* The request's body: at most LIMIT_ROTATION_BODY bytes. */
bool rotation_parse(struct rotation *ret, const void *p, size_t n, struct err *e) MUST_USE;
bool rotation_encode(const struct rotation *r, struct buf *out, struct err *e) MUST_USE;

/* The answer names the fingerprint of the pair that the server has now. */
bool rotation_answer_parse(char ret_fingerprint[static FINGERPRINT_SIZE], const void *p,
			   size_t n, struct err *e) MUST_USE;
bool rotation_answer_encode(const char *fingerprint, struct buf *out, struct err *e) MUST_USE;

#endif
