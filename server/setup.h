/* server/setup.h - what operators do with a state directory: make it, copy it, look into it.
 *
 * Started as root, everything is given to the user of the web process but keys/ and tls/, which
 * stay root's; the directory itself is root's with the sticky bit, so that the web process can
 * make files in it but not move those two away. */
#ifndef VALISE_SERVER_SETUP_H
#define VALISE_SERVER_SETUP_H

#include "base/sha256.h"
#include "proto/tuf.h"
#include "server/online.h"
#include "server/settings.h"
#include "storage/backup.h"
#include "storage/tokens.h"

struct setup_made {
	uint8_t pin[SHA256_SIZE];
	struct token token;
	char token_text[TOKEN_TEXT_SIZE]; /* wipe() it */
};

/* Online keys, certificate (for the names), database, first admin token "bootstrap".  What is there
 * is kept, so an init that was broken off can be run again; E_EXISTS when there are tokens. */
bool setup_init(const struct settings *s, const char *const *names, size_t n,
		struct setup_made *ret, struct err *e) MUST_USE;

/* What is said when the state directory cannot be opened: errno's words, and what makes one. */
bool setup_no_state(const struct settings *s, int sys, struct err *e) MUST_USE;

/* Whether certificate and key, where they are there or named by the settings, are good and fit. */
bool setup_check_tls(const struct settings *s, struct err *e) MUST_USE;

/* SHA-256 of the certificate's SubjectPublicKeyInfo. */
bool setup_pin(const struct settings *s, uint8_t ret[static SHA256_SIZE],
	       struct err *e) MUST_USE;

/* A token without asking the API: for whoever lost the last one.  Beside a running server too. */
bool setup_token(const struct settings *s, const char *name, unsigned scopes, uint64_t ttl_s,
		 struct setup_made *ret, struct err *e) MUST_USE;

/* The online keys of a state directory and what the newest roots say of them. */
struct setup_key {
	enum online_role role;
	char id[TUF_KEYID_SIZE], next_id[TUF_KEYID_SIZE]; /* next_id "": no key follows */
	bool named, next_named; /* by the newest root of its repository */
};
bool setup_keys(const struct settings *s, struct setup_key ret[static ONLINE_N],
		struct err *e) MUST_USE;
/* Makes a key that shall follow for every role of which ret[i] is set on entry (all if none is);
 * ret[i] then tells which were made.  The running server takes them at its next reload. */
bool setup_keys_rotate(const struct settings *s, bool ret[static ONLINE_N],
		       struct err *e) MUST_USE;
/* Puts keys that follow and that the newest root names in the old ones' places; *ret_n of them.
 * E_CONFLICT when what is published is not signed by the new ones yet. */
bool setup_keys_retire(const struct settings *s, unsigned *ret_n, struct err *e) MUST_USE;

/* storage/backup.h, and with keys the TLS certificate and key as well. */
bool setup_backup(const struct settings *s, const char *dir, bool with_keys,
		  struct backup_report *ret, struct err *e) MUST_USE;
/* *ret_new_tls: the backup had no certificate, so a new one was made and pins changed. */
bool setup_restore(const struct settings *s, const char *dir, const char *const *names,
		   size_t n, struct backup_report *ret, bool *ret_new_tls,
		   struct err *e) MUST_USE;

/* Database structure, every object's hash, the audit chain. */
struct setup_checked {
	uint64_t objects, bytes, audit_rows;
};
bool setup_check(const struct settings *s, struct setup_checked *ret, struct err *e) MUST_USE;

#endif
