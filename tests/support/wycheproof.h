/* tests/support/wycheproof.h - runs the vectors of Project Wycheproof, where they are at hand
 * (../shared/vectors/wycheproof; they are not part of this repository).
 *
 *	static void check(const struct vector *v) { ... assert_int_equal(ok, v->valid); }
 *	wycheproof_run("ed25519_test.json", check);      // skips the test when the file is missing
 */
#ifndef VALISE_TESTS_WYCHEPROOF_H
#define VALISE_TESTS_WYCHEPROOF_H

#include "proto/jread.h"

struct vector {
	const struct jval *group, *test;
	int64_t id;
	bool valid;      /* must succeed */
	bool acceptable; /* may succeed or not */
};
void wycheproof_run(const char *file, void (*check)(const struct vector *v));

/* A member of the test as bytes: heap, freed by the caller; never NULL. */
uint8_t *vector_hex(const struct vector *v, const char *key, size_t *ret_n);
const char *vector_text(const struct jval *obj, const char *key);

#endif
