/* storage/tickets_priv.h - what enrolment needs of tickets, inside its transaction. */
#ifndef VALISE_STORAGE_TICKETS_PRIV_H
#define VALISE_STORAGE_TICKETS_PRIV_H

#include "storage/db_priv.h"
#include "storage/tickets.h"

bool ticket_find(struct db *db, const uint8_t *token, int64_t now_s, struct ticket_row *ret,
		 bool *found, struct err *e) MUST_USE;

/* Counts and audits a try in vain. */
bool ticket_try(struct db *db, const struct ticket_row *t, const char *device, const char *why,
		int64_t now_s, struct err *e) MUST_USE;

#endif
