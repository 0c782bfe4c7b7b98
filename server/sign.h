/* server/sign.h - what web may ask the keys process to sign, and what is made of it.  Pure.
 *
 * web sends facts, never metadata: the documents are built here, inside the keys process, so
 * nothing of another type, role or shape can come out.  Version numbers come from server/counters.h
 * and times from the keys process's own clock.
 *
 * SIGN_DIRECTOR: what one device shall run.  The answer has targets, snapshot and timestamp, all
 * with the same version.
 * SIGN_IMAGE: the roles and versions of the image repository.  A role that the previous snapshot
 * (handed along, and checked to be our own) lists may not be missing now or have a lower version.
 * With `timestamp_only` the previous snapshot gets a new timestamp.
 * SIGN_AUDIT: that the audit log has this head now (proto/audit.h). */
#ifndef VALISE_SERVER_SIGN_H
#define VALISE_SERVER_SIGN_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "proto/audit.h"
#include "server/counters.h"
#include "server/online.h"

enum {
	SIGN_POLICIES = 64, /* of one device; as storage/devices.h has it */
	SIGN_ROLES = 2000,  /* in the image snapshot */
	SIGN_ROLE_NAME = LIMIT_NAME + 16,
};

struct sign_target {
	char name[LIMIT_NAME + 1];       /* product, or policy */
	char version[LIMIT_VERSION + 1]; /* of a release */
	uint64_t number;                 /* security version, or version of the bundle */
	uint64_t size;
	uint8_t sha256[SHA256_SIZE];
	uint32_t level; /* of a policy: enum policy_level */
};

struct sign_director {
	char device[33];
	uint32_t next; /* bit 1 << enum online_role: the newest root names the key that follows, so
			* it signs.  web says which; from a lie it gets signatures that nobody believes */
	uint64_t above; /* newest versions stored; the new ones are greater */
	bool has_release;
	struct sign_target release;
	struct sign_target policies[SIGN_POLICIES];
	uint32_t policies_n;
	uint64_t security_floor;
	int64_t rollout; /* 0: none */
	char nonce[33];  /* hex from the check-in */
};

struct sign_role {
	char role[SIGN_ROLE_NAME + 1];
	uint64_t version;
};

struct sign_image {
	uint64_t above;
	uint32_t next; /* as above */
	bool timestamp_only;
	const uint8_t *snapshot; /* previous one; NULL if there is none; borrowed */
	size_t snapshot_n;
	struct sign_role *roles; /* heap after parsing */
	uint32_t roles_n;
};
void sign_image_done(struct sign_image *r); /* frees roles */

/* The answer to both; texts are signed files.  targets is empty for SIGN_IMAGE, and so is snapshot
 * with timestamp_only. */
struct sign_answer {
	uint64_t version;
	int64_t snapshot_expires_s, timestamp_expires_s;
	const uint8_t *targets, *snapshot, *timestamp; /* borrowed from the message or `text` */
	size_t targets_n, snapshot_n, timestamp_n;
};

/* A head of the audit log; the answer has when, by which key and the signature. */
struct sign_audit {
	uint64_t n;
	uint8_t hash[SHA256_SIZE];
	uint32_t next; /* as above */
};
bool sign_audit_encode(struct buf *out, const struct sign_audit *r, struct err *e) MUST_USE;
bool sign_audit_parse(struct sign_audit *ret, const void *p, size_t n, struct err *e) MUST_USE;
/* *ret without n and hash. */
bool sign_audit_answer_parse(struct audit_signed *ret, const void *p, size_t n,
			     struct err *e) MUST_USE;

bool sign_director_encode(struct buf *out, const struct sign_director *r,
			  struct err *e) MUST_USE;
bool sign_director_parse(struct sign_director *ret, const void *p, size_t n,
			 struct err *e) MUST_USE;
bool sign_image_encode(struct buf *out, const struct sign_image *r, struct err *e) MUST_USE;
bool sign_image_parse(struct sign_image *ret, const void *p, size_t n, struct err *e) MUST_USE;
bool sign_answer_encode(struct buf *out, const struct sign_answer *a, struct err *e) MUST_USE;
bool sign_answer_parse(struct sign_answer *ret, const void *p, size_t n,
		       struct err *e) MUST_USE;

/* The keys process's half. */
struct signing {
	const struct online_keys *keys;
	struct counters *counters;
	int64_t now_s;
	uint64_t lease_s, image_snapshot_s, image_timestamp_s;
	uint32_t next; /* filled by sign_*_make from the request */
};
/* Appends the encoded answer to out.  E_DENIED: not a thing that is signed. */
bool sign_director_make(struct buf *out, const struct sign_director *r, struct signing *s,
			struct err *e) MUST_USE;
bool sign_audit_make(struct buf *out, const struct sign_audit *r, struct signing *s,
		     struct err *e) MUST_USE;
bool sign_image_make(struct buf *out, const struct sign_image *r, struct signing *s,
		     struct err *e) MUST_USE;

#endif
