/* delta/known.h - which blocks of an image the other image has as well, anywhere on a block's boundary.
 *
 * Where all blocks are known there is nothing to gain, so nobody need look closely.  A block is told by some
 * of its bytes and remembered by two bits among many, so a few pass for known that are not;
 * it must never matter but for what is looked at.  At most 64 MiB. */
#ifndef VALISE_DELTA_KNOWN_H
#define VALISE_DELTA_KNOWN_H

#include "base/err.h"

enum { KNOWN_BLOCK = 4096 };

struct known {
	uint64_t *bits; /* heap */
	unsigned log;   /* of their number */
};

/* For an image of that size; nothing is known yet. */
bool known_init(struct known *k, uint64_t size, struct err *e) MUST_USE;
void known_done(struct known *k);

/* The whole blocks in p: n bytes from a block's boundary on.  From several threads at once; the order makes no
 * difference. */
void known_add(struct known *k, const uint8_t *p, uint64_t n);

/* KNOWN_BLOCK bytes. */
bool known_has(const struct known *k, const uint8_t *block);

#endif
