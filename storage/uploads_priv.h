/* storage/uploads_priv.h - what store.c needs of uploads, and what uploads need of objects. */
#ifndef VALISE_STORAGE_UPLOADS_PRIV_H
#define VALISE_STORAGE_UPLOADS_PRIV_H

#include "storage/store_priv.h"
#include "storage/uploads.h"

/* Running hashes of uploads between two PATCHes; lost at a restart and computed anew. */
bool upload_hashes_new(struct upload_hashes **ret) MUST_USE;
void upload_hashes_free(struct upload_hashes *h);

/* Temporary files of objects that crashes left. */
bool uploads_sweep(struct store *s, struct err *e) MUST_USE;

#endif
