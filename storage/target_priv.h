/* storage/target_priv.h - targets in rows, and the marks that make devices plan anew. */
#ifndef VALISE_STORAGE_TARGET_PRIV_H
#define VALISE_STORAGE_TARGET_PRIV_H

#include "storage/db_priv.h"
#include "storage/target.h"

/* Takes the next number and sets it as the target's mark; all devices that it reaches are stale. */
bool mark_target(struct db *db, const struct target *t, struct err *e) MUST_USE;

/* E_NOT_FOUND: the target is a device and there is none such. */
bool target_exists(struct db *db, const struct target *t, struct err *e) MUST_USE;

/* From columns kind, name. */
bool target_load(struct rows *r, int col, struct target *ret, struct err *e) MUST_USE;

/* "all", "group sales", "device 0123..." */
enum { TARGET_TEXT_SIZE = LIMIT_NAME + 8 };
void target_format(char out[static TARGET_TEXT_SIZE], const struct target *t);

#endif
