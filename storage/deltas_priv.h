/* storage/deltas_priv.h - what storing an object means for deltas. */
#ifndef VALISE_STORAGE_DELTAS_PRIV_H
#define VALISE_STORAGE_DELTAS_PRIV_H

#include "storage/store_priv.h"

/* An object was stored, perhaps anew: what failed between releases with it, or is about to (it may have
 * been damaged or missing), is forgotten, and so planned again. */
bool deltas_object_came(struct db *db, const uint8_t sha256[static SHA256_SIZE],
			struct err *e) MUST_USE;

#endif
