/* admin-cli/home.h - what the command line tool keeps between runs: one folder per server.
 *
 * $VALISE_HOME, or --home, or $XDG_CONFIG_HOME/valise, or ~/.config/valise; mode 0700:
 *
 *	config         server, pin, ca_file, proxy (base/conf.h)
 *	token          the API token, mode 0600
 *	keys/          key files, see keys.h
 *	roots/         the metadata that `valise init` made, kept so that it can be repeated
 *	uploads/<sha>  where a broken upload goes on: server and upload path
 *
 * The folder comes to be with the first thing that is stored; a CI job that has everything in its
 * environment (VALISE_SERVER, VALISE_PIN, VALISE_TOKEN, --key) needs none.  All writes replace
 * files atomically. */
#ifndef VALISE_ADMIN_CLI_HOME_H
#define VALISE_ADMIN_CLI_HOME_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/sha256.h"

struct home_settings {
	char *server, *pin, *ca_file, *proxy; /* "" where nothing is set */
};

struct home {
	char *path; /* "": there is no place for one; it is empty, and nothing can be stored */
	struct home_settings set;
};

/* path NULL: the default.  A folder that is not there is empty.  E_CONFIG names file and line. */
bool home_open(struct home *ret, const char *path, struct err *e) MUST_USE;
void home_done(struct home *h);
/* What is said where something of a home is needed and there is no place for one. */
bool home_none(struct err *e) MUST_USE;

/* Writes `config` with these values. */
bool home_save(struct home *h, const char *server, const char *pin_hex, const char *ca_file,
	       const char *proxy, struct err *e) MUST_USE;

/* E_NOT_FOUND if there is none. */
bool home_load_token(const struct home *h, struct secret **ret, struct err *e) MUST_USE;
bool home_save_token(const struct home *h, const char *token, struct err *e) MUST_USE;

/* The folder below the home, made when it is missing. */
bool home_folder(const struct home *h, const char *name, int *ret_fd, struct err *e) MUST_USE;
/* A file of one of the folders; E_NOT_FOUND if there is none. */
bool home_read(const struct home *h, const char *folder, const char *name, struct buf *ret,
	       struct err *e) MUST_USE;
bool home_write(const struct home *h, const char *folder, const char *name, unsigned mode,
		const void *p, size_t n, struct err *e) MUST_USE;
bool home_remove(const struct home *h, const char *folder, const char *name,
		 struct err *e) MUST_USE;

#endif
