/* storage/audit_priv.h - audit rows inside the transaction of the change they tell of. */
#ifndef VALISE_STORAGE_AUDIT_PRIV_H
#define VALISE_STORAGE_AUDIT_PRIV_H

#include "storage/audit.h"
#include "storage/db_priv.h"

/* subject and detail are cut to LIMIT_TEXT. */
bool audit_row_add(struct db *db, int64_t now_s, const char *actor, const char *verb,
		   const char *subject, const char *detail, struct err *e) MUST_USE;

/* E_FORMAT, E_TOO_BIG; before a write is submitted. */
bool check_actor(const char *actor, struct err *e) MUST_USE;

#endif
