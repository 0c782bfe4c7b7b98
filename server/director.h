/* server/director.h - what one device shall run now, signed for it and stored. */
#ifndef VALISE_SERVER_DIRECTOR_H
#define VALISE_SERVER_DIRECTOR_H

#include "proto/checkin.h"
#include "server/web.h"
#include "storage/devices.h"
#include "storage/releases.h"
#include "storage/tuf.h"

/* Plans the device (if it is stale), has targets, snapshot and timestamp signed with the nonce of
 * its check-in, stores them, and hands them back with the release that they name (release.manifest
 * NULL: none).  Only when it returns may they be sent.
 * E_CONFLICT: two check-ins of one device at once, after tries. */
struct director_set {
	struct director stored;
	struct release_full release;
};
bool director_make(struct web *w, const char *device, const uint8_t nonce[static CHECKIN_NONCE],
		   struct director_set *ret, struct err *e) MUST_USE;
void director_set_done(struct director_set *d);

/* Offers of the release's components that the device's model uses: heap array for the answer. */
bool director_offers(struct offer **ret, size_t *ret_n, const struct release_full *r,
		     const char *model, struct err *e) MUST_USE;

#endif
