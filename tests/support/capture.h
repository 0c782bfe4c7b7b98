/* tests/support/capture.h - what a piece of code writes to standard output and standard error. */
#ifndef VALISE_TESTS_CAPTURE_H
#define VALISE_TESTS_CAPTURE_H

#include <stddef.h>

struct capture {
	char out[16384], err[16384];
};

/* Runs fn with both descriptors pointing to files and hands back the texts. */
void capture(struct capture *ret, void (*fn)(void *ctx), void *ctx);

#endif
