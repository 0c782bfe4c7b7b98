/* delta/account.h - sorts what a delta's coded bytes were spent on by what they made.
 *
 * Nothing is known about files: blocks of at most 1024 bytes are judged by their bytes alone, streams by the
 * recipes that pack them again. */
#ifndef VALISE_DELTA_ACCOUNT_H
#define VALISE_DELTA_ACCOUNT_H

#include "delta/delta.h"

enum delta_content content_of(const uint8_t *p, size_t n);

/* n new bytes at p cost `spent` bytes of the delta. */
void account_bytes(struct delta_account *a, const uint8_t *p, size_t n, uint64_t spent);

/* A stream was made by this recipe, which was parsed before, for `spent` bytes in all. */
void account_stream(struct delta_account *a, const uint8_t *recipe, size_t recipe_n,
		    uint64_t packed, uint64_t plain, uint64_t spent);

#endif
