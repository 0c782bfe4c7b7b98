/* admin-cli/init.h - the first metadata of a new server: keys, both roots, the delegating targets role.
 *
 * Each step is kept in the home (keys/, roots/) before it is sent, and looked up there first, so that `init` can be
 * broken off anywhere and repeated: the same keys, the same bytes. */
#ifndef VALISE_ADMIN_CLI_INIT_H
#define VALISE_ADMIN_CLI_INIT_H

#include "admin-cli/keys.h"
#include "admin-cli/remote.h"
#include "base/clock.h"
#include "proto/tuf_make.h"

enum { INIT_ROOTS_MAX = 9 };

struct init {
	struct remote *remote;
	const char *const *products; /* names, each with a publisher role */
	size_t n_products;
	unsigned root_m, root_n;         /* for both roots */
	const struct secret *passphrase; /* NULL: key files are not sealed */
	const struct clock *clock;
	const struct rng *rng;
	/* Told each step that was done ("key image-root-1"); made is false if it was there. */
	void (*step)(void *arg, const char *what, bool made);
	void *arg;
};

/* "2of3", "1": thresholds from 1 to INIT_ROOTS_MAX. */
bool init_parse_threshold(const char *s, unsigned *ret_m, unsigned *ret_n,
			  struct err *e) MUST_USE;

bool init_run(struct init *i, struct err *e) MUST_USE;

#endif
