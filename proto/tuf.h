/* proto/tuf.h - TUF 1.0.34 metadata: the four roles parsed and checked, and who signed them.
 *
 *	{"signatures": [{"keyid": "...", "sig": "<hex>"}, ...], "signed": {"_type": "root", ...}}
 *
 * Order of use: tuf_parse (shape and limits only: nothing in it is to be believed), tuf_verify
 * against the delegator (a root, or a targets role with delegations), then the checks of the
 * client workflow (tuf_client.h).  This file knows no network, no disk, no clock.
 *
 * Signatures are over the OLPC canonical form of "signed" (cjson.h).  Unknown fields are kept and
 * signed over.  A threshold counts *different keys*: a signature list that names a key id twice is
 * refused whole (specification, section 4.2.1), and two key ids that stand for the same public key
 * count once (python-tuf CVE-2020-15163, tough CVE-2020-15093).  A key whose id is not the SHA-256
 * of its canonical form, or of a type that sig.h does not know, is kept but never counts.
 *
 * Names: role names are 1 to LIMIT_TUF_ROLE_NAME bytes of UTF-8; a delegated role may not be named
 * root, timestamp, snapshot or targets.  Names never become paths: tuf_file_name encodes them. */
#ifndef VALISE_PROTO_TUF_H
#define VALISE_PROTO_TUF_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "proto/jread.h"
#include "proto/sig.h"

enum tuf_type { TUF_ROOT, TUF_TIMESTAMP, TUF_SNAPSHOT, TUF_TARGETS };
enum { TUF_TYPES = 4, TUF_KEYID_SIZE = 65 /* hex and NUL */, TUF_FILE_NAME_SIZE = 256 };

const char *tuf_type_name(enum tuf_type t); /* "root", ... */
size_t tuf_max_bytes(enum tuf_type t);      /* LIMIT_TUF_* */

/* Length and hashes of a file; what is absent was not in the metadata. */
struct tuf_hashes {
	bool has_length, has_sha256, has_sha512;
	uint64_t length;
	uint8_t sha256[SHA256_SIZE], sha512[SHA512_SIZE];
};
/* E_CORRUPT with what differs.  Algorithms that the metadata does not name are not checked. */
bool tuf_hashes_check(const struct tuf_hashes *h, const void *p, size_t n,
		      struct err *e) MUST_USE;

struct tuf_key {
	const char *id;      /* borrowed from the document */
	struct sig_key key;  /* valid if usable */
	bool usable;         /* may count towards a threshold */
	const char *why_not; /* static text if not */
	const struct jval *json;
};

struct tuf_role {
	const char *name;
	const struct tuf_key **keys; /* distinct ids; those not in the key list are left out */
	size_t n_keys;
	uint64_t threshold; /* at least 1 */
	/* delegations only: */
	bool terminating;
	const struct jval *paths,
		*path_hash_prefixes; /* arrays of texts; one of them is NULL */
};

struct tuf_meta {
	enum tuf_type type;
	uint64_t version;
	int64_t expires_s;
	const struct jval *signed_part; /* everything that was signed, unknown fields too */
	struct buf canon;               /* its canonical form: what signatures are over */

	struct tuf_key *keys; /* root, and targets with delegations */
	size_t n_keys;
	struct tuf_role *roles; /* root: indexed by enum tuf_type; targets: in order of trust */
	size_t n_roles;

	bool consistent_snapshot;  /* root */
	const struct jval *meta;   /* timestamp, snapshot: object of file names */
	uint64_t snapshot_version; /* timestamp: what it says of "snapshot.json" */
	struct tuf_hashes snapshot_hashes;
	const struct jval *targets; /* targets: object of paths */

	/* targets whose delegations are "succinct" (TAP 15): 2^bits roles PREFIX-xx with the same
	 * keys; roles then has one entry without a name */
	unsigned succinct_bits;
	const char *succinct_prefix;

	const struct jval *signatures;
	struct jdoc *doc;
};

/* Parses one role.  E_FORMAT (the error names the field), E_TOO_BIG above tuf_max_bytes(type),
 * E_UNSUPPORTED for another major spec_version.  *ret changes on success only. */
bool tuf_parse(struct tuf_meta **ret, enum tuf_type type, const void *p, size_t n,
	       struct err *e) MUST_USE;
void tuf_free(struct tuf_meta *m);
DEFINE_CLEANUP(struct tuf_meta, tuf_free);

/* The delegator's entry for a role: of a root, the four by name; of targets, a delegation.
 * NULL if there is none.  For succinct delegations any of their role names gives their entry. */
const struct tuf_role *tuf_role_get(const struct tuf_meta *delegator, const char *name);

/* For what the server's online keys sign. */
#define TUF_HINT_ONLINE \
	"the server signs it anew by itself: see that it runs and its clock is right, and what is between"

/* Whether m is signed by the threshold of the role's keys.  E_UNTRUSTED; the text says how many
 * of how many signatures were good and by which keys more are wanted. */
bool tuf_verify(const struct tuf_meta *m, const struct tuf_role *role, struct err *e) MUST_USE;
/* Counts without judging: which keys of the role have a good signature (for ceremonies).
 * ret_good has role->n_keys entries and may be NULL. */
bool tuf_count(const struct tuf_meta *m, const struct tuf_role *role, uint64_t *ret_n,
	       bool *ret_good, struct err *e) MUST_USE;

/* E_EXPIRED when expires_s <= now_s.  The text begins with the version (callers name the role); `role` decides
 * what the hint says of who signs it anew. */
bool tuf_check_expiry(const struct tuf_meta *m, const char *role, int64_t now_s,
		      struct err *e) MUST_USE;

/* What a timestamp says of "snapshot", or a snapshot of a targets role.  E_NOT_FOUND. */
bool tuf_meta_get(uint64_t *ret_version, struct tuf_hashes *ret, const struct tuf_meta *m,
		  const char *role, struct err *e) MUST_USE;

struct tuf_target {
	const char *path;          /* borrowed from the metadata */
	struct tuf_hashes hashes;  /* has_length always */
	const struct jval *custom; /* object or NULL */
};
/* A target that this role itself lists.  E_NOT_FOUND. */
bool tuf_target_get(struct tuf_target *ret, const struct tuf_meta *targets, const char *path,
		    struct err *e) MUST_USE;
/* All of them:  for (struct jiter it = jobj_first(m->targets); it.val; ...)  with */
bool tuf_target_parse(struct tuf_target *ret, const char *path, const struct jval *v,
		      struct err *e) MUST_USE;

/* Shell pattern with '*' and '?', neither of which matches '/' (section 4.5, PATHPATTERN). */
bool tuf_pattern_matches(const char *pattern, const char *path);
/* Whether a delegation covers a target path. */
bool tuf_role_covers(const struct tuf_role *role, const char *path);
/* The name of the succinct role for a path; out has room for any role name. */
void tuf_succinct_name(char *out, size_t out_size, const struct tuf_meta *m, const char *path);

/* "releases.acme-phone.json" or, with a version, "3.releases.acme-phone.json".  Bytes outside of
 * [A-Za-z0-9._~-] become %XX, as python-tuf and tuf-js do.  E_FORMAT if that gets too long. */
bool tuf_file_name(char out[static TUF_FILE_NAME_SIZE], const char *role, uint64_t version,
		   struct err *e) MUST_USE;
/* Target paths are relative, in UTF-8, at most LIMIT_TUF_PATH bytes, without empty, "." and ".."
 * parts, backslashes and control characters. */
bool tuf_path_is_valid(const char *path);
/* "dir/<sha256>.name" (sha512 if that is the only one): where consistent snapshots have it. */
bool tuf_consistent_path(struct buf *out, const struct tuf_target *t, struct err *e) MUST_USE;

#endif
