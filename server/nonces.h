/* server/nonces.h - each nonce of a signed request counts once within the clock window.
 *
 * Two tables by age: an entry is remembered for at least window_s and at most twice that, then
 * its whole table goes.  Requests that were signed before this process started are refused by
 * their time (httpsig_check_time), so nothing has to be written to disk.  Memory is bounded by
 * max entries a table; beyond that requests are told to wait (fail closed). */
#ifndef VALISE_SERVER_NONCES_H
#define VALISE_SERVER_NONCES_H

#include "base/err.h"

struct nonces;
bool nonces_new(struct nonces **ret, uint32_t window_s, size_t max, uint64_t seed,
		struct err *e) MUST_USE;
void nonces_free(struct nonces *n);

/* Remembers (key, nonce).  E_AUTH: seen before.  E_BUSY: full.  Only for requests whose signature
 * is right: others must not be able to fill the table. */
bool nonces_add(struct nonces *n, const char *keyid, const char *nonce, int64_t now_ms,
		struct err *e) MUST_USE;

#endif
