/* admin-cli/keys.h - the key store: sealed key files (proto/keyfile.h) below the home, keys/NAME.key.
 *
 * Names say what a key is for, and the commands look for these:
 *	image-root-1 ... image-root-N, director-root-1 ...   offline; best kept elsewhere after `init`
 *	image-targets                                        offline; signs delegations
 *	publisher-PRODUCT                                    what CI has
 *	policy                                               what the security team has
 * A file from elsewhere can be given in place of a name (--key), recognised by its '/'. */
#ifndef VALISE_ADMIN_CLI_KEYS_H
#define VALISE_ADMIN_CLI_KEYS_H

#include "admin-cli/home.h"
#include "base/rng.h"
#include "proto/keyfile.h"

enum { KEYS_NAME_SIZE = LIMIT_NAME + 17 };

struct key_ref {
	char name[KEYS_NAME_SIZE];
	struct keyfile_info info;
};

/* An opened key. */
struct key {
	struct secret *secret;
	uint8_t public[KEYFILE_PUBLIC_SIZE];
};
void key_done(struct key *k);

/* Makes a key and its file.  passphrase NULL: not sealed.  E_EXISTS: there is one of that name. */
bool keys_new(const struct home *h, const char *name, const char *role, const char *comment,
	      const struct secret *passphrase, const struct rng *rng, struct key *ret,
	      struct err *e) MUST_USE;

/* Opens a key by name or path; the passphrase is asked for (ask.h) if it is sealed and none is given.
 * E_NOT_FOUND with a hint where keys come from; E_UNSUPPORTED for a key that does not sign; E_DENIED for
 * one that is not sealed and open to others (private.h). */
bool keys_open(const struct home *h, const char *name_or_path, const struct secret *passphrase,
	       struct key *ret, struct err *e) MUST_USE;

/* Without opening. */
bool keys_inspect(const struct home *h, const char *name_or_path, struct keyfile_info *ret,
		  struct err *e) MUST_USE;
/* Sorted by name; heap array. */
bool keys_list(const struct home *h, struct key_ref **ret, size_t *ret_n,
	       struct err *e) MUST_USE;

/* The file's text. */
bool keys_read(const struct home *h, const char *name_or_path, struct buf *ret,
	       struct err *e) MUST_USE;
/* Stores a key file that was made elsewhere, or with another passphrase.  E_EXISTS unless `replace`. */
bool keys_store(const struct home *h, const char *name, const void *p, size_t n, bool replace,
		struct err *e) MUST_USE;

#endif
