/* proto/tuf_make.h - making TUF metadata: build the unsigned file, then add signatures one by one.
 *
 * Every tuf_make_* appends a whole metadata file with an empty signature list to `out`, in
 * canonical form.  Signatures are added by tuf_sign (a callback that owns the secret: the keys
 * process, the CLI's key store) or tuf_add_signature (made elsewhere), each of which takes the
 * file as it is and gives a new one: a partially signed file can travel from person to person.
 * Both refuse a signature that does not verify, so a ceremony notices the wrong key at once.
 *
 * The made file is parsed by tuf_parse before it is handed out: what is made can be read. */
#ifndef VALISE_PROTO_TUF_MAKE_H
#define VALISE_PROTO_TUF_MAKE_H

#include "proto/tuf.h"

/* A public key as it stands in metadata. */
struct tuf_pubkey {
	char id[TUF_KEYID_SIZE]; /* SHA-256 of its canonical form */
	char *json;              /* key object as JSON text, sorted; heap */
};
bool tuf_pubkey_ed25519(struct tuf_pubkey *ret, const uint8_t pub[static SIG_PUBLIC_SIZE],
			struct err *e) MUST_USE;
/* Any key object as JSON text (for example from an exported key); E_FORMAT, E_UNSUPPORTED. */
bool tuf_pubkey_parse(struct tuf_pubkey *ret, const void *p, size_t n, struct err *e) MUST_USE;
void tuf_pubkey_done(struct tuf_pubkey *k);
/* The keys of a role in existing metadata: heap array of *ret_n; tuf_pubkeys_free. */
bool tuf_pubkeys_of(struct tuf_pubkey **ret, size_t *ret_n, const struct tuf_role *role,
		    struct err *e) MUST_USE;
void tuf_pubkeys_free(struct tuf_pubkey *keys, size_t n);
/* Only the id, of an Ed25519 key. */
bool tuf_keyid_ed25519(char ret[static TUF_KEYID_SIZE],
		       const uint8_t pub[static SIG_PUBLIC_SIZE], struct err *e) MUST_USE;

struct tuf_make_role {
	const char *name; /* for roots it is given by the position */
	const struct tuf_pubkey *keys;
	size_t n_keys;
	uint64_t threshold; /* 1 to n_keys */
	/* delegations only: */
	const char *const *paths; /* patterns */
	size_t n_paths;
	bool terminating;
};

/* roles in the order of enum tuf_type.  consistent_snapshot is always true. */
bool tuf_make_root(struct buf *out, uint64_t version, int64_t expires_s,
		   const struct tuf_make_role roles[static TUF_TYPES], struct err *e) MUST_USE;

struct tuf_make_target {
	const char *path;
	uint64_t length;
	uint8_t sha256[SHA256_SIZE];
	const char *custom; /* JSON object text, or NULL */
};

/* A targets role: new, or an older file (signatures are dropped) with changes.  Unknown fields of
 * the older file are kept. */
struct tuf_make_targets {
	const void *old; /* NULL: start empty */
	size_t old_n;
	uint64_t version;
	int64_t expires_s;
	const struct tuf_make_target *add; /* replaces targets of the same path */
	size_t n_add;
	const char *const *remove; /* paths that must be there */
	size_t n_remove;
	const struct tuf_make_role *roles; /* delegations; replace those of the same name */
	size_t n_roles;
	const char *const *remove_roles; /* names that must be there */
	size_t n_remove_roles;
	const char *valise; /* JSON object text for the director's "valise" field, or NULL */
};
bool tuf_make_targets(struct buf *out, const struct tuf_make_targets *in,
		      struct err *e) MUST_USE;

struct tuf_make_file {
	const char *role; /* "targets", "releases.acme-phone" */
	uint64_t version;
	const void *p; /* the signed file: adds length and sha256; NULL for neither */
	size_t n;
};
bool tuf_make_snapshot(struct buf *out, uint64_t version, int64_t expires_s,
		       const struct tuf_make_file *files, size_t n, struct err *e) MUST_USE;
/* file->role is "snapshot". */
bool tuf_make_timestamp(struct buf *out, uint64_t version, int64_t expires_s,
			const struct tuf_make_file *file, struct err *e) MUST_USE;

/* Appends to out the file (any type) with one signature more; one by the same key is replaced.
 * E_UNTRUSTED if the signature is not by this key over this file. */
bool tuf_add_signature(struct buf *out, const void *file, size_t n,
		       const struct tuf_pubkey *key, const uint8_t *sig, size_t sig_n,
		       struct err *e) MUST_USE;

struct tuf_signer {
	void *ctx;
	/* Signs the n bytes with the key of that id: SIG_MAX bytes are enough for ret. */
	bool (*sign)(void *ctx, const char *keyid, const uint8_t *p, size_t n, uint8_t *ret,
		     size_t *ret_n, struct err *e);
};
bool tuf_sign(struct buf *out, const void *file, size_t n, const struct tuf_pubkey *key,
	      const struct tuf_signer *signer, struct err *e) MUST_USE;
/* With an Ed25519 secret at hand. */
bool tuf_sign_with(struct buf *out, const void *file, size_t n, const struct secret *key,
		   struct err *e) MUST_USE;

/* The bytes that a signature is over: the canonical form of the file's "signed". */
bool tuf_signed_bytes(struct buf *out, const void *file, size_t n, struct err *e) MUST_USE;

#endif
