/* tests/fuzz/fuzz.h - what the fuzzers of messages share: what is read can be written, and what
 * was written reads and writes the same again. */
#ifndef VALISE_TESTS_FUZZ_H
#define VALISE_TESTS_FUZZ_H

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { FUZZ_MAX = 1 << 22 };

static inline void fuzz_must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz: %s\n", what);
		abort();
	}
}

static inline void fuzz_same(const struct buf *a, const struct buf *b)
{
	fuzz_must(a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0),
		  "written again it differs");
}

#endif
