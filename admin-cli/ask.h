/* admin-cli/ask.h - questions at the terminal, and what answers them without one. */
#ifndef VALISE_ADMIN_CLI_ASK_H
#define VALISE_ADMIN_CLI_ASK_H

#include "base/secret.h"

/* "QUESTION [y/N] ".  --yes answers it; without a terminal it is E_USAGE, a no is E_CANCELLED. */
bool ask_confirm(const char *question, struct err *e) MUST_USE;

/* The passphrase of key files: --passphrase-file, VALISE_PASSPHRASE_FILE, or asked for; `again` asks
 * twice, for a new one.  A file of "-" is standard input.  E_USAGE without any of them. */
bool ask_passphrase(struct secret **ret, const char *what, bool again, struct err *e) MUST_USE;

/* A secret out of a file; "-" is standard input. */
bool ask_secret_file(struct secret **ret, const char *path, struct err *e) MUST_USE;

#endif
