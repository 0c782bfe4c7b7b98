/* base/secret.h - memory for keys: guarded, locked, wiped at free (sodium_malloc).
 *
 * A secret never appears in a core dump or swap, sits between guard pages and is zeroed when
 * released, also on error paths through CLEANUP(secret_freep).  Only the bytes' users read ->p. */
#ifndef VALISE_BASE_SECRET_H
#define VALISE_BASE_SECRET_H

#include "base/err.h"

struct secret {
	uint8_t *p;
	size_t n;
};

bool secret_new(struct secret **ret, size_t n, struct err *e) MUST_USE; /* zeroed */
bool secret_copy(struct secret **ret, const void *p, size_t n, struct err *e) MUST_USE;
void secret_free(struct secret *s);
DEFINE_CLEANUP(struct secret, secret_free);

/* Reads a file or a line from the terminal (no echo) into a secret; a final newline is dropped.
 * At most LIMIT_SECRET_FILE bytes. */
bool secret_read_fd(struct secret **ret, int fd, struct err *e) MUST_USE;
bool secret_ask(struct secret **ret, const char *prompt, struct err *e) MUST_USE;

/* Wipes memory that is not a struct secret (stack copies). */
void wipe(void *p, size_t n);

#endif
