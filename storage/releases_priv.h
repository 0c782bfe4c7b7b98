/* storage/releases_priv.h - what published releases and proposed ones have in common. */
#ifndef VALISE_STORAGE_RELEASES_PRIV_H
#define VALISE_STORAGE_RELEASES_PRIV_H

#include "storage/db_priv.h"
#include "storage/releases.h"

/* Names, counts and sizes.  E_FORMAT. */
bool release_new_check(const struct release_new *r, struct err *e) MUST_USE;
/* Whether the version is taken: *ret if by the same.  E_EXISTS, E_GONE. */
bool release_is_there(struct db *db, const struct release_new *r,
		      const uint8_t manifest_sha256[static SHA256_SIZE], bool *ret,
		      struct err *e) MUST_USE;
/* E_CONFLICT with the first hashes that are not stored. */
bool release_has_objects(struct db *db, const struct release_new *r, struct err *e) MUST_USE;

#endif
