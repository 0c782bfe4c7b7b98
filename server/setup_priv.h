/* server/setup_priv.h - what the files of setup share. */
#ifndef VALISE_SERVER_SETUP_PRIV_H
#define VALISE_SERVER_SETUP_PRIV_H

#include "server/setup.h"
#include "storage/store.h"

/* Makes the store where there is none.  E_CONFLICT: its schema is older than this program's; that is
 * for the server's next start to change. */
bool setup_open_store(struct store **ret, const struct settings *s, struct err *e) MUST_USE;

/* After every use of the store by root, successful or not: what was made there is given to the user.
 * Returns ok, with the first error. */
bool setup_give_back(const struct settings *s, bool ok, struct err *e) MUST_USE;

#endif
