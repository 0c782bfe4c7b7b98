/* tests/support/delta_seeds.h - how the named files of tests/corpus/delta are made, and what is to become of each.
 *
 * An honest one makes its image from the old image of delta_old.h.  A hostile one is named for its lie, and refused for
 * that.  `make seeds` writes them all; tests/unit/delta/test_seeds.c holds the files against this table, so that a
 * coding that changed does not leave seeds behind that are refused for being old. */
#ifndef VALISE_TESTS_DELTA_SEEDS_H
#define VALISE_TESTS_DELTA_SEEDS_H

#include "tests/support/delta_draft.h"

#include <string.h>

struct delta_seed {
	const char *name;
	/* The delta; the image in d->image.  which: of several that are alike. */
	struct buf (*make)(struct draft *d, unsigned which);
	unsigned which;
	enum err_code code; /* of a hostile one; E_NONE: it is honest */
	const char *words;  /* in its error's text */
};

/* Whether a file of the corpus is what fuzzing found: it has libFuzzer's name. */
static inline bool delta_seed_is_find(const char *name)
{
	return strlen(name) == 40 && strspn(name, "0123456789abcdef") == 40;
}

extern const struct delta_seed delta_seeds_honest[], delta_seeds_hostile[];
extern const size_t n_delta_seeds_honest, n_delta_seeds_hostile;

#endif
