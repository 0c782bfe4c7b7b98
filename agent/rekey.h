/* agent/rekey.h - the handset's own keys are changed, with its server (agent/identity.h, proto/rotation.h).
 *
 * One request does it all: POST /v1/device/key, signed by the next key, with the old key's word for it in
 * the body.  The server takes it once and answers the same ever after, so every failure, a lost answer and
 * a crash anywhere have one remedy: ask again. */
#ifndef VALISE_AGENT_REKEY_H
#define VALISE_AGENT_REKEY_H

#include "agent/identity.h"
#include "client/signed.h"

/* Finishes the change with this server (the hash of its first director root) that was asked for, or begins one.
 * Success: *id has the new keys, and server signs with them.  Failure: both sign as they did; what is asked
 * for, on the disk and in *id, stays asked for. */
bool rekey(struct identity *id, int state_dirfd, struct signed_https *server,
	   const uint8_t root[static SHA256_SIZE], int64_t now_s, struct err *e) MUST_USE;

/* A server that knows this handset by its former key (it was put back to before the change) is told of
 * the last change again. */
bool rekey_repeat(const struct identity *id, struct signed_https *server,
		  struct err *e) MUST_USE;

/* Whether the last change, asked for or done, was with this server. */
bool rekey_is_with(const struct identity *id, const uint8_t root[static SHA256_SIZE]);
/* Whether one is asked for with this server, and not known to be done. */
bool rekey_is_asked(const struct identity *id, const uint8_t root[static SHA256_SIZE]);

#endif
