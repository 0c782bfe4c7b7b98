/* admin-cli/cmd_ceremony.h - what the commands that sign together have in common. */
#ifndef VALISE_ADMIN_CLI_CMD_CEREMONY_H
#define VALISE_ADMIN_CLI_CMD_CEREMONY_H

#include "admin-cli/ceremony.h"
#include "admin-cli/cmd.h"

extern struct cli_list cmd_sign_keys; /* --key of sign_opts */

/* Shows what changes and who has signed, on standard output (or as JSON). */
bool cmd_ceremony_show(const struct ceremony *c, const struct home *h, struct err *e) MUST_USE;

/* Signs with the keys of --key, or with all keys of the home that are wanted; asks before.  When no
 * key is there that could sign: E_NOT_FOUND unless may_be_none. */
bool cmd_ceremony_sign(struct ceremony *c, const struct home *h, bool may_be_none,
		       struct err *e) MUST_USE;

/* With -o json: one line about what was signed, {"missing", "name", "result": "published" or "waits",
 * "version"}; version 0 is left out. */
bool cmd_ceremony_told(const char *name, uint64_t version, uint64_t missing,
		       struct err *e) MUST_USE;

/* After signing: publishes when nothing is missing, else keeps it at the path and says so. */
bool cmd_ceremony_finish(struct ceremony *c, struct remote *r, const char *path,
			 struct err *e) MUST_USE;

/* A public key as `valise key export` prints it: a file, "-", or the name of a key in the home. */
bool cmd_public_key(struct tuf_pubkey *ret, const struct home *h, const char *what,
		    struct err *e) MUST_USE;

#endif
