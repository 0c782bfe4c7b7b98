/* server/counters.h - version numbers that the keys process has used; they never go back.
 *
 * keys/counters holds two copies and the older one is overwritten, so a power cut while writing
 * leaves a good one.  Little endian:
 *
 *   OFFSET  SIZE  FIELD            (second copy at 4096)
 *        0     4  magic "VCN1"
 *        4     4  generation; of two good copies the later one counts
 *        8     8  image: last version given to an image snapshot or timestamp
 *       16     8  director: versions up to this one may have been given to devices
 *       24     8  first bytes of SHA-256 of bytes 0 to 23
 *
 * The file is opened before the process loses its rights and is all of the disk that it can reach.
 * Numbers are written durably before they are used.  Director versions are taken in blocks of
 * COUNTERS_BLOCK, so that signing for devices costs one write per block; a crash loses the rest
 * of a block, and gaps are fine.  Two keys processes (during a reload) share the file by flock and take
 * different numbers. */
#ifndef VALISE_SERVER_COUNTERS_H
#define VALISE_SERVER_COUNTERS_H

#include "base/err.h"

enum { COUNTERS_BLOCK = 1024 };
/* How far a number may be moved ahead to pass what is stored: a new file (the old one was lost, or removed by
 * hand) follows any database, a number in use only one that is a little ahead.  So a process that was
 * taken over cannot use numbers up: with 500 signatures a second it would take it four years. */
#define COUNTERS_FIRST_MAX (UINT64_C(1) << 48)
#define COUNTERS_JUMP_MAX (UINT64_C(1) << 16)
#define COUNTERS_MAX (UINT64_C(1) << 52)

struct counters {
	int fd; /* borrowed */
	uint64_t director_next, director_end;
};

/* Reads the file or begins it.  E_CORRUPT when both copies are bad: then numbers are unknown and a
 * person has to decide (the hint says how). */
bool counters_open(struct counters *ret, int fd, struct err *e) MUST_USE;

/* The next number above `above` and all used before.  E_DENIED: a jump that is too far. */
bool counters_image(struct counters *c, uint64_t above, uint64_t *ret, struct err *e) MUST_USE;
bool counters_director(struct counters *c, uint64_t above, uint64_t *ret,
		       struct err *e) MUST_USE;

#endif
