/* hypervisor/lines.h - one JSON object a line, read from sockets that a hostile peer may write.
 *
 * Bytes are collected until a newline; a line longer than the limit is E_TOO_BIG once and its
 * rest is skipped, so that a peer can neither make us allocate nor get out of step. */
#ifndef VALISE_HYPERVISOR_LINES_H
#define VALISE_HYPERVISOR_LINES_H

#include "base/buf.h"

#include <sys/types.h>

struct lines {
	struct buf b; /* at most max bytes: the line being collected, and what came behind it */
	size_t taken; /* bytes at the front that were handed out already */
	bool skipping; /* the current line was too long */
};

void lines_init(struct lines *l, size_t max_bytes);
void lines_done(struct lines *l);

enum lines_read { LINES_MORE, LINES_EOF };

/* Reads once from a non-blocking descriptor.  LINES_EOF also on a broken connection. */
enum lines_read lines_fill(struct lines *l, int fd);

/* The next whole line without its newline, NUL-terminated; valid until the next call of lines_fill.
 * False when there is none (yet). */
bool lines_next(struct lines *l, const char **ret, size_t *ret_n);

#endif
