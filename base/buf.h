/* base/buf.h - growing bytes with a limit fixed at initialisation.
 *
 * A buf belongs to whoever initialised it; buf_done wipes nothing (see secret.h for keys).
 * Appends either add everything or nothing and fail with E_TOO_BIG or E_NOMEM.  There is
 * always a NUL behind the last byte, not counted in n, so `b.p` may be read as text.
 *
 *	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_CHECKIN_BODY);
 *	if (!buf_printf(&b, e, "%s=%d", key, n)) ...
 */
#ifndef VALISE_BASE_BUF_H
#define VALISE_BASE_BUF_H

#include "base/err.h"

#include <string.h>

struct buf {
	uint8_t *p; /* NULL until the first append; use buf_str() where text is wanted */
	size_t n, cap;
	size_t max; /* never holds more than this many bytes */
};

#define BUF_INIT(max_bytes) ((struct buf){ .max = (max_bytes) })

void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b);  /* frees; b is empty and usable again with the same limit */
void buf_reset(struct buf *b); /* empties, keeps the memory */

bool buf_add(struct buf *b, const void *p, size_t n, struct err *e) MUST_USE;
static inline MUST_USE bool buf_add_str(struct buf *b, const char *s, struct err *e)
{
	return buf_add(b, s, strlen(s), e); /* inline: the length of a literal is known then */
}
bool buf_printf(struct buf *b, struct err *e, const char *fmt, ...) PRINTF(3, 4) MUST_USE;

/* Makes room for n more bytes and hands back where they go; buf_commit then counts them. */
bool buf_reserve(struct buf *b, size_t n, uint8_t **ret, struct err *e) MUST_USE;
void buf_commit(struct buf *b, size_t n);

/* Hands the memory over as a NUL-terminated heap block (free with free()); the buf is empty
 * afterwards.  *ret_n may be NULL. */
bool buf_take(struct buf *b, char **ret, size_t *ret_n, struct err *e) MUST_USE;

/* The bytes as text; "" when empty.  Valid until the next append. */
const char *buf_str(const struct buf *b);

#endif
