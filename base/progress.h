/* base/progress.h - a progress bar on a terminal, plain lines (or nothing) elsewhere.
 *
 * On a terminal one line is redrawn at most ten times a second: name, bar, percentage, bytes,
 * rate, time left.  When standard error is not a terminal, one line at the end.  Quiet if
 * `enabled` is false.  Thread-safe for progress_add. */
#ifndef VALISE_BASE_PROGRESS_H
#define VALISE_BASE_PROGRESS_H

#include "base/clock.h"

struct progress {
	const struct clock *clock;
	char name[64];
	uint64_t total, done;
	int64_t started_ms, drawn_ms;
	bool enabled, tty, drawn;
};

void progress_start(struct progress *p, const struct clock *clock, bool enabled,
		    const char *name, uint64_t total_bytes);
void progress_add(struct progress *p, uint64_t bytes);
void progress_set(struct progress *p, uint64_t bytes);
void progress_end(struct progress *p, bool ok);

#endif
