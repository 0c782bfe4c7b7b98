/* admin-cli/private.h - a file with a secret is its owner's alone, as ssh has it.
 *
 * Looked at are regular files that belong to who runs this: what somebody else laid out for a group, and
 * pipes, are theirs to see to.  Sealed key files need none of this. */
#ifndef VALISE_ADMIN_CLI_PRIVATE_H
#define VALISE_ADMIN_CLI_PRIVATE_H

#include "base/err.h"

/* name "": what dirfd itself is.  E_DENIED with a hint. */
bool private_check(int dirfd, const char *name, struct err *e) MUST_USE;

/* What says whom to trust: E_DENIED if anybody but who runs this and root could have written it. */
bool private_check_config(int dirfd, const char *name, struct err *e) MUST_USE;

#endif
