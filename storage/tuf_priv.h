/* storage/tuf_priv.h - metadata that goes live in the transaction of a release or a bundle. */
#ifndef VALISE_STORAGE_TUF_PRIV_H
#define VALISE_STORAGE_TUF_PRIV_H

#include "storage/db_priv.h"
#include "storage/tuf.h"

/* Names and sizes; before a write is submitted. */
bool tuf_files_check(const struct tuf_file *files, size_t n, struct err *e) MUST_USE;

/* *ret_new: how many were not stored before. */
bool tuf_files_put(struct db *db, const struct tuf_file *files, size_t n, int64_t now_s,
		   size_t *ret_new, struct err *e) MUST_USE;

#endif
