/* storage/proposals_priv.h - the end of the waiting, inside the transaction that publishes. */
#ifndef VALISE_STORAGE_PROPOSALS_PRIV_H
#define VALISE_STORAGE_PROPOSALS_PRIV_H

#include "storage/db_priv.h"
#include "storage/proposals.h"

bool proposal_end(struct db *db, enum proposal_kind kind, const char *name, const char *version,
		  struct err *e) MUST_USE;

#endif
