/* server/delta_job.h - one delta, as web asks a delta process for it, and how it is made.
 *
 * On the shared channel comes DELTA: what stands here, with a descriptor of a channel of the job's
 * own.  On that channel:
 *
 *	web → delta   FILE x DELTA_FILES, in the order of enum delta_file
 *	delta → web   PROGRESS now and then, at last MADE or FAILED_JOB
 *
 * The channel of its own makes both ends simple: its end of file is how web learns that the process
 * crashed, and how the process learns that the delta is not wanted any more or web is gone (delta_order_watch).
 *
 * The old image of a delta is what lies in a slot of a handset: the plain bytes padded with zeros to
 * whole blocks of 4 KiB.  The new image is the plain bytes. */
#ifndef VALISE_SERVER_DELTA_JOB_H
#define VALISE_SERVER_DELTA_JOB_H

#include "server/job.h"

enum delta_file {
	DELTA_FILE_OLD,       /* object, read-only */
	DELTA_FILE_NEW,       /* object, read-only */
	DELTA_FILE_OLD_PLAIN, /* empty files without names: room to work */
	DELTA_FILE_NEW_PLAIN,
	DELTA_FILE_SCRATCH,
	DELTA_FILE_OUT, /* the delta */
	DELTA_FILES,
};

struct delta_order {
	struct job from, to;
	uint64_t output_max; /* a larger delta is not worth it: E_TOO_BIG */
};

bool delta_order_encode(struct buf *out, const struct delta_order *o, struct err *e) MUST_USE;
bool delta_order_parse(struct delta_order *ret, const void *p, size_t n,
		       struct err *e) MUST_USE;

/* From now on this process ends, with status 0, within two seconds after the other end of the channel
 * was closed, wherever it is: unpacking, looking for matches, coding.  For a process that does
 * nothing else (it takes SIGALRM). */
bool delta_order_watch(int channel, struct err *e) MUST_USE;

/* Unpacks and verifies both objects, makes the delta, and applies it once to see that it gives the
 * new image.  progress returns false to cancel (E_CANCELLED), which only coding looks at. */
bool delta_order_run(const struct delta_order *o, const int fds[static DELTA_FILES],
		     bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
		     struct err *e) MUST_USE;

#endif
