/* agent/state.h - the commit record: which slot boots, how far the update is, what may never fall.
 *
 * It is the only thing that swaps releases: one write of one record.  There are two copies,
 * commit.0 and commit.1, of a fixed size; saving overwrites the older one in place and syncs it.  So a
 * power cut while writing leaves the other copy, and a full disk cannot stop a rollback.  Little
 * endian:
 *
 *   OFFSET  SIZE  FIELD
 *        0     4  magic "VAS1"
 *        4     4  zero
 *        8     8  generation; of two good copies the later one counts
 *       16     1  slot that boots: 0 is A, 1 is B, 255 none
 *       17     1  slot being filled or on trial: 0, 1, or 255
 *       18     1  state of the update (enum update_state)
 *       19     1  trial boots left
 *       20     1  failures of this update so far
 *       21     1  slot A: bit 0 whole (every byte verified and durable), bit 1 bad (did not get
 *                 healthy, or was found damaged)
 *       22     1  slot B: the same
 *       23     1  zero
 *       24     8  security version floor
 *       32     8  when the present state ends, trusted seconds since 1970; 0 is never
 *       40     8  number of the next event (the first is 1)
 *       48     8  number of the event that reports the present state; 0 for none
 *       56     8  highest event number that the server holds
 *       64     8  trusted time when this was saved, seconds since 1970
 *       72     8  boot clock at that moment, milliseconds
 *       80    16  boot id at that moment (of the host's boot)
 *       96    32  digest of the director's keys by whose word that time is (ttime.h); zeros: unknown
 *      128   192  release in slot A
 *      320   192  release in slot B
 *      512   192  target: the release that the update is about
 *      704    64  the rollout that wants the target
 *      768   192  reason of the last rollback or failure, text
 *      960    32  zero
 *      992    32  SHA-256 of bytes 0 to 991
 *
 * A release: product (64), version (64), SHA-256 of release.json (32), security version (8),
 * data schema (8), zero (16).  Texts are padded with zeros; a release without product is none. */
#ifndef VALISE_AGENT_STATE_H
#define VALISE_AGENT_STATE_H

#include "base/err.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "proto/checkin.h"

enum { STATE_SIZE = 1024, STATE_REASON = 192, STATE_TRIES_MAX = 9 };

enum { SLOT_A, SLOT_B, SLOTS, SLOT_NONE = 255 };
enum { SLOT_WHOLE = 1, SLOT_BAD = 2 };

#define UPDATE_STATES (UPDATE_FAILED + 1) /* names: update_state_names, proto/checkin.h */

struct release_id {
	char product[LIMIT_NAME + 1]; /* "" for none */
	char version[LIMIT_VERSION + 1];
	uint8_t manifest[SHA256_SIZE]; /* of release.json; decides what is the same release */
	uint64_t security_version, data_schema;
};

struct state {
	uint64_t generation;
	uint8_t active, target_slot; /* enum SLOT_* */
	enum update_state update;
	uint8_t tries_left, failures;
	uint8_t slot_flags[SLOTS];
	uint64_t floor;
	int64_t deadline_s;
	uint64_t next_event, report_event, acked_event;
	int64_t trusted_s;
	int64_t boot_ms;
	uint8_t boot_id[16];
	uint8_t time_keys[SHA256_SIZE];
	struct release_id slot[SLOTS], target;
	char rollout[LIMIT_NAME + 1];
	char reason[STATE_REASON + 1];
};

/* What a handset starts with: nothing in the slots, first event 1. */
void state_init(struct state *s);

/* Reads one copy.  *ret changes on success only.
 * E_FORMAT: never was a record.  E_CORRUPT: was one and is damaged. */
bool state_parse(struct state *ret, const uint8_t *p, size_t n, struct err *e) MUST_USE;
void state_encode(uint8_t out[static STATE_SIZE], const struct state *s);

/* Reads both copies below dirfd (borrowed) and hands back the later good one.  One bad copy is
 * what a power cut leaves and is fine; two are an error.  E_NOT_FOUND: there is none yet. */
bool state_load(struct state *ret, int dirfd, struct err *e) MUST_USE;

/* Makes s durable: when this returns true the record is what the next start will load; when it
 * returns false or never returns, the next start loads this one or the one before.  Counts the
 * generation up on success only. */
bool state_save(struct state *s, int dirfd, struct err *e) MUST_USE;

const char *slot_name(uint8_t slot); /* "a", "b", "none" */
bool release_id_is_set(const struct release_id *r);
bool release_id_same(const struct release_id *a, const struct release_id *b);
uint8_t slot_other(uint8_t slot); /* of A and B */

/* "acme-phone/1.0.0", or "" for none. */
struct release_text {
	char s[LIMIT_NAME + LIMIT_VERSION + 2];
};
struct release_text release_id_text(const struct release_id *r);

#endif
