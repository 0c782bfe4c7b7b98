/* agent/copy.h - copies a file's content inside one file system: by reference where it can, else
 * bytes without the holes. */
#ifndef VALISE_AGENT_COPY_H
#define VALISE_AGENT_COPY_H

#include "base/err.h"

#include <stdatomic.h>

/* Makes `to` what `from` is, and as long.  Not synced.  cancel may be NULL (E_CANCELLED). */
bool copy_content(int to, int from, const atomic_bool *cancel, struct err *e) MUST_USE;

#endif
