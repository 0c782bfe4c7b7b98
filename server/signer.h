/* server/signer.h - web's side of the channel to the keys process.
 *
 * One request at a time, in order; callers wait (they run in the pool).  When the keys process does
 * not answer within 5 s (it crashed and is being started again) the caller gets E_BUSY and tries
 * later; an answer that comes too late is recognised by its id and dropped. */
#ifndef VALISE_SERVER_SIGNER_H
#define VALISE_SERVER_SIGNER_H

#include "server/sign.h"

struct signer;
/* fd is borrowed.  Asks for the public keys, so that a wrong set-up shows at the start. */
bool signer_new(struct signer **ret, int fd, uint32_t first_id, struct err *e) MUST_USE;
void signer_free(struct signer *s);

/* Public keys by role; never change while the processes live. */
const struct online_public *signer_keys(const struct signer *s);

/* *ret borrows from text (limit at least IPC_MAX).  E_DENIED, E_RATE, ...: refused (server/sign.h). */
bool signer_director(struct signer *s, const struct sign_director *r, struct buf *text,
		     struct sign_answer *ret, struct err *e) MUST_USE;
bool signer_image(struct signer *s, const struct sign_image *r, struct buf *text,
		  struct sign_answer *ret, struct err *e) MUST_USE;
bool signer_audit(struct signer *s, const struct sign_audit *r, struct audit_signed *ret,
		  struct err *e) MUST_USE;

#endif
