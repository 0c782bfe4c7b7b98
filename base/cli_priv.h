/* base/cli_priv.h - the texts made from a program's command table (cli_text.c), for cli.c. */
#ifndef VALISE_BASE_CLI_PRIV_H
#define VALISE_BASE_CLI_PRIV_H

#include "base/cli.h"

#include <stdio.h>

/* --help and --version, which every program has. */
extern const struct cli_opt cli_builtin_opts[];

/* Of the whole program where cmd is NULL or the only, nameless one. */
void cli_print_help(FILE *out, const struct cli_program *p, const struct cli_command *cmd);
/* Of the commands whose names begin with this word. */
void cli_print_group_help(FILE *out, const struct cli_program *p, const char *group);
/* Whether there are such commands, and the word alone is none. */
bool cli_is_group(const struct cli_program *p, const char *word);
void cli_print_man(FILE *out, const struct cli_program *p);
/* False for a shell other than bash and zsh. */
bool cli_print_completion(FILE *out, const struct cli_program *p, const char *shell);

#endif
