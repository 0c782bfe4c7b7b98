/* agent/trustdb.h - the handset's TUF metadata on disk, and what follows from it.
 *
 * `tuf/image/` and `tuf/director/` hold the metadata as received, byte for byte (proto/tuf_client.h says
 * when which file is stored); `want/release.json` the manifest of the release that both repositories
 * want here.  The director's metadata arrives in check-in answers, all else by HTTPS. */
#ifndef VALISE_AGENT_TRUSTDB_H
#define VALISE_AGENT_TRUSTDB_H

#include "agent/state.h"
#include "client/https.h"
#include "proto/policy.h"
#include "proto/uptane.h"

struct trustdb {
	int image_dirfd, director_dirfd, want_dirfd; /* owned */
};
#define TRUSTDB_INIT \
	((struct trustdb){ .image_dirfd = -1, .director_dirfd = -1, .want_dirfd = -1 })

bool trustdb_open(struct trustdb *ret, int state_dirfd, struct err *e) MUST_USE;
void trustdb_done(struct trustdb *t);

/* Trust begins: fetches 1.root.json of both, which must have the hashes of the ticket.  Metadata of
 * the same roots that is there already stays as it is. */
bool trustdb_anchor(struct trustdb *t, struct https *https,
		    const uint8_t image_root[static SHA256_SIZE],
		    const uint8_t director_root[static SHA256_SIZE], struct err *e) MUST_USE;

struct wanted_policy {
	struct uptane_item item;
	enum policy_level level;
};

/* What this handset shall run, as both repositories say. */
struct wanted {
	bool has_release;
	struct release_id release;
	struct release *manifest; /* parsed */
	char *manifest_text;      /* as signed */
	size_t manifest_n;
	char rollout[LIMIT_NAME + 1];
	uint64_t floor, lease_s;
	struct wanted_policy *policies;
	size_t n_policies;
	uint64_t image_ts, director_ts, image_root, director_root; /* versions accepted */
	int64_t director_expires_s;                                /* of its timestamp */
	uint8_t time_keys[SHA256_SIZE]; /* digest of the keys that sign it (agent/ttime.h) */
	int64_t now_s;                  /* the time that expiry was checked against */
};
void wanted_free(struct wanted *w);
DEFINE_CLEANUP(struct wanted, wanted_free);

/* What an evaluation is made from. */
struct trustdb_input {
	struct https *https; /* NULL: from what is stored only */
	int64_t now_s;       /* trusted time, by the word of the director's time_keys */
	int64_t server_s; /* what the server says, in an exchange that brought director's texts */
	const uint8_t *time_keys; /* SHA256_SIZE; NULL: not known */
	const char *device, *nonce;
	uint64_t floor;
	/* The director's texts of a check-in answer; p NULL: use the stored ones. */
	struct text_span timestamp, snapshot, targets;
	bool refresh_image; /* the answer named a newer one, or the director's is new */
};

/* E_UNTRUSTED, E_EXPIRED, E_ROLLBACK, ...: as proto/uptane.h.  What was accepted on the way stays
 * stored.  Expiry is checked against the later of now_s and server_s; now_s does not count when the
 * director's newest root gives the timestamp role other keys than time_keys. */
bool trustdb_evaluate(struct wanted **ret, struct trustdb *t, const struct trustdb_input *in,
		      struct err *e) MUST_USE;

/* One object by its SHA-256, whole: GET /objects/<sha256>, checked against h. */
bool object_get(struct buf *ret, struct https *https, const struct tuf_hashes *h,
		struct err *e) MUST_USE;

/* Removes all files of a folder; a missing folder is fine. */
bool dir_empty_at(int dirfd, const char *name, struct err *e) MUST_USE;

#endif
