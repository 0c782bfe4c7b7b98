/* storage/policies_priv.h - what published bundles and proposed ones have in common. */
#ifndef VALISE_STORAGE_POLICIES_PRIV_H
#define VALISE_STORAGE_POLICIES_PRIV_H

#include "storage/db_priv.h"
#include "storage/policies.h"

/* Name, version and size.  E_FORMAT. */
bool policy_new_check(const struct policy_new *p, struct err *e) MUST_USE;
/* Whether the version is taken: *ret if by the same.  E_EXISTS, E_ROLLBACK. */
bool policy_is_there(struct db *db, const struct policy_new *p,
		     const uint8_t sha256[static SHA256_SIZE], bool *ret,
		     struct err *e) MUST_USE;

#endif
