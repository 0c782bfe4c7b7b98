/* admin-cli/opts.h - the options that every command accepts, filled by base/cli.h.
 *
 * Looked at by main.c, the cmd_*.c files, and the two that turn them into things: remote.c and
 * ask.c.  All else gets what it needs as parameters. */
#ifndef VALISE_ADMIN_CLI_OPTS_H
#define VALISE_ADMIN_CLI_OPTS_H

#include "base/cli.h"

struct opts {
	const char *home, *server, *pin, *ca_file, *token_file, *output, *passphrase_file;
	bool yes, quiet;
};
extern struct opts opts;
extern const struct cli_opt opts_table[];

/* E_USAGE for an --output that is neither table nor json. */
bool opts_check(struct err *e) MUST_USE;
bool opts_json(void);
/* Progress bars: not with --quiet. */
bool opts_progress(void);

#endif
