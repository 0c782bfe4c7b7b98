/* agent/slots.h - the two system slots on disk: `slots/a` and `slots/b` below the state folder.
 *
 *	<component>        plain bytes padded with zeros to whole blocks: a block device's content
 *	<component>.hash   its whole dm-verity hash area (none for a single block)
 *	=<sha256>          a delta on its way (agent/stage_delta.h); gone when the slot is whole
 *	release.json       the manifest as signed; written last, when all else is whole and durable
 *
 * Only the components that the handset's model boots are there.  Which release a slot holds, and
 * whether it may be booted, is in the commit record (agent/state.h): nothing here is believed, only
 * compared with it. */
#ifndef VALISE_AGENT_SLOTS_H
#define VALISE_AGENT_SLOTS_H

#include "agent/state.h"
#include "proto/release.h"

enum { SLOT_FILE_SIZE = LIMIT_NAME + 6 };

/* Opens (and makes) slots/a or slots/b below the state folder. */
bool slot_open(int *ret_dirfd, int state_dirfd, uint8_t slot, struct err *e) MUST_USE;

/* "<component>.hash" */
void slot_hash_name(char out[static SLOT_FILE_SIZE], const char *component);

/* Whether the names of the model's components fit beside each other in a slot.  E_FORMAT. */
bool slot_names_fit(const struct release *r, const struct model *m, struct err *e) MUST_USE;

/* The manifest of a slot; its bytes must hash to what the record says.  E_CORRUPT otherwise. */
bool slot_release(struct release **ret, int slot_dirfd, const struct release_id *id,
		  struct err *e) MUST_USE;

/* Opens a component for reading; its length must be the padded size (E_CORRUPT).  The bytes are
 * the monitor's to verify. */
bool slot_component(int *ret_fd, int slot_dirfd, const struct component *c,
		    struct err *e) MUST_USE;

/* Removes everything that does not belong to the release as the model boots it (deltas are
 * looked after elsewhere), release.json first: from here on the slot holds no release. */
bool slot_clear_for(int slot_dirfd, const struct release *r, const struct model *m,
		    struct err *e) MUST_USE;

/* Bytes that staging the release will still allocate: all of its files less what the slot's files of the
 * same names already hold. */
bool slot_bytes_missing(uint64_t *ret, int slot_dirfd, const struct release *r,
			const struct model *m, struct err *e) MUST_USE;

#endif
