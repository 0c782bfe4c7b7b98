/* storage/tuf.h - TUF metadata as texts, byte-identical to what arrived.
 *
 * Image repository and the director's root: every version of every role by (repository, role,
 * version).  Director metadata of devices: the newest set of each device only.  Signatures and
 * contents were checked by the caller; what is kept true here is that versions rise one by one,
 * also with two callers at once, so that the loser of a race is told (E_CONFLICT) and signs again. */
#ifndef VALISE_STORAGE_TUF_H
#define VALISE_STORAGE_TUF_H

#include "storage/store.h"

/* The numbers are stored and never change. */
enum tuf_repo { TUF_IMAGE = 1, TUF_DIRECTOR = 2 };

enum { TUF_ROLE_MAX = LIMIT_NAME + 16 }; /* "releases.<product>" */

/* One file to be stored.  Borrowed. */
struct tuf_file {
	enum tuf_repo repo;
	const char *
		role; /* "root", "targets", "snapshot", "timestamp", "releases.<product>", "policies" */
	uint64_t version;
	uint64_t after;     /* newest version this one replaces; 0: version - 1 (see tuf_put) */
	int64_t expires_at; /* as the text says, for warnings and re-signing */
	const char *text;
	size_t n;
};

/* One file as stored; text is heap, NUL behind the last byte. */
struct tuf_text {
	uint64_t version;
	int64_t expires_at, stored_at;
	uint8_t sha256[SHA256_SIZE];
	char *text;
	size_t n;
};
void tuf_text_done(struct tuf_text *t);

/* Stores all files or none.  Each must be the next version of its role (a role's first may have
 * any version above 0), or be stored already with the same bytes.  E_CONFLICT: it is not, the text
 * names role and newest version.
 *
 * A file with `after` may skip versions, but only if `after` is the newest one stored: the keys
 * process never signs a number twice, so what it signed and a crash lost leaves a gap. */
bool tuf_put(struct store *s, const struct tuf_file *files, size_t n, const char *actor,
	     struct err *e) MUST_USE;

/* Version 0 asks for the newest.  E_NOT_FOUND. */
bool tuf_get(struct store *s, enum tuf_repo repo, const char *role, uint64_t version,
	     struct tuf_text *ret, struct err *e) MUST_USE;

/* Newest version of each role of a repository, without texts: what a snapshot lists. */
struct tuf_role_row {
	char role[TUF_ROLE_MAX + 1];
	uint64_t version, size;
	uint8_t sha256[SHA256_SIZE];
	int64_t expires_at;
};
struct tuf_roles {
	struct tuf_role_row *items;
	size_t n;
};
bool tuf_newest(struct store *s, enum tuf_repo repo, struct tuf_roles *ret,
		struct err *e) MUST_USE;
void tuf_roles_done(struct tuf_roles *r);

/* Forgets versions that were superseded more than age_s ago; roots are kept for ever (clients
 * follow the chain).  Clients in the middle of a refresh need the older ones for minutes. */
bool tuf_prune(struct store *s, int64_t age_s, uint64_t *ret, struct err *e) MUST_USE;

/* The object that a consistent target names ("releases/acme-phone/1.0.0", "system.zst" with this
 * hash), to serve /tuf/image/targets/...  E_NOT_FOUND when no release or bundle has it. */
bool tuf_target(struct store *s, const char *dir, const char *name,
		const uint8_t sha256[static SHA256_SIZE], uint64_t *ret_size,
		struct err *e) MUST_USE;

/* Director metadata of one device. */
struct director {
	uint64_t plan; /* devices' plan number it was made from (storage/devices.h) */
	uint64_t timestamp_version, snapshot_version, targets_version;
	int64_t refresh_at,
		expires_at; /* make it anew from then on; not accepted from then on */
	char *timestamp, *snapshot, *targets; /* heap texts */
};
void director_done(struct director *d);

/* E_NOT_FOUND: nothing was made for this device yet. */
bool tuf_director_get(struct store *s, const char *device, struct director *ret,
		      struct err *e) MUST_USE;

/* Replaces the device's set.  All three versions must rise (by any number).  E_CONFLICT: somebody was faster, or the plan has changed since;
 * read again.  E_NOT_FOUND: no such device.  Writes no audit row: devices_plan and the grant do. */
bool tuf_director_put(struct store *s, const char *device, const struct director *d,
		      struct err *e) MUST_USE;

/* After a new root of the director: every device's set is to be made anew at its next check-in. */
bool tuf_director_stale(struct store *s, struct err *e) MUST_USE;

#endif
