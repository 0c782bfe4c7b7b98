/* delta/output.h - the frames of a delta's file, written in their order whichever is coded first.
 *
 * A frame that is coded before its turn waits in the spool; those whose turn has come are written by the
 * thread that brings the one before them.  With one thread none waits. */
#ifndef VALISE_DELTA_OUTPUT_H
#define VALISE_DELTA_OUTPUT_H

#include "delta/format.h"
#include "delta/spool.h"

#include <pthread.h>

struct output {
	int fd; /* borrowed, as all but what is internal */
	struct spool *spool;
	struct format_frame *frames; /* their coded and coded_offset, from 0 on, are filled in */
	size_t n_frames;
	uint64_t start; /* where the first frame begins; room for the longest head */
	uint64_t max;   /* of the file; 0: any */
	/* internal */
	uint64_t end,
		brought; /* bytes that are written, from start on; and all that were coded */
	size_t next;     /* whose turn it is */
	struct waiting *waiting;
	pthread_mutex_t lock;
};

/* With everything up to max filled in. */
bool output_init(struct output *o, struct err *e) MUST_USE;
void output_done(struct output *o);

/* Any thread, each frame once.  E_TOO_BIG as soon as the file would be larger than max. */
bool output_frame(struct output *o, size_t frame, const uint8_t *p, size_t n,
		  struct err *e) MUST_USE;

/* When all frames are written: puts them to where the head ends, at or before start, which is moved. */
bool output_move(struct output *o, uint64_t start, struct err *e) MUST_USE;

#endif
