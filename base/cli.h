/* base/cli.h - the command line of every program: commands, options, --help, --version, exit status.
 *
 * One table makes the parser, the help texts, the shell completion and the command part of the
 * manual pages.  GNU style: long options with `=` or a following word, short options, `--` ends
 * them; options may stand before or behind the words.
 *
 *	static const struct cli_opt publish_opts[] = {
 *		{ "server", 's', "URL", "server to publish to", CLI_STRING, &opt_server },
 *		{ 0 },
 *	};
 *	static const struct cli_command commands[] = {
 *		{ "publish", "DIR", "sign and upload a release", publish_opts, 1, 1, cmd_publish,
 *		  .long_help = "..." },
 *		{ "release list", "", "list releases", list_opts, 0, 0, cmd_release_list },
 *		{ 0 },
 *	};
 *
 * A command's run gets the words behind its name: argv[0] is the first of them, argv[argc] NULL.
 * A program without sub-commands has one row with an empty name.  Errors go to standard error as
 * "PROGRAM: TEXT" and a second line "  hint: HINT"; the exit status comes from err.h.
 *
 * Of the standard descriptors those that the caller closed are held (and fail when used), so that
 * no file or connection gets their number and with it what is printed. */
#ifndef VALISE_BASE_CLI_H
#define VALISE_BASE_CLI_H

#include "base/err.h"

enum cli_type {
	CLI_FLAG,   /* bool */
	CLI_STRING, /* const char *, borrowed from argv */
	CLI_UINT,   /* uint64_t */
	CLI_LIST,   /* struct cli_list: may be given several times */
};

struct cli_list {
	const char **v; /* heap; lives as long as the program */
	size_t n;
};

struct cli_opt {
	const char *name;
	char letter;     /* 0 for none */
	const char *arg; /* placeholder in the help; NULL for flags */
	const char *help;
	enum cli_type type;
	void *value;
};

struct cli_command {
	const char *name; /* words separated by one blank: "release list" */
	const char *args; /* synopsis of the words: "DIR", "[DEVICE]" */
	const char *help; /* one line */
	const struct cli_opt *opts;
	int min_args, max_args; /* -1 for any number */
	bool (*run)(int argc, char **argv, struct err *e);
	const char *
		long_help; /* paragraphs below the synopsis, or NULL; indented lines stay as they are */
	bool hidden; /* for tests and conformance drivers */
};

struct cli_program {
	const char *name, *summary;
	const struct cli_opt *opts; /* accepted by every command */
	const struct cli_command *commands;
	const char *footer; /* files, environment; or NULL.  Exit statuses come from err.h */
	int man_section;    /* 0 is 1; daemons have 8 */
	/* Whether an error shall be for programs: one line {"code": ..., "message": ..., "hint": ...} on
	 * standard error, the shape of the server's errors.  Or NULL. */
	bool (*wants_json)(void);
};

/* Parses and runs; returns the exit status.  Handles --help, --version, `help COMMAND`,
 * `completion bash|zsh` and `--man` (a troff page for `make man`) itself. */
int cli_main(const struct cli_program *p, int argc, char **argv);

/* Prints an error as above; for mains that go on after it. */
void cli_print_error(const char *program, const struct err *e);

#define VALISE_VERSION "0.1.0"
#define VALISE_VERSION_DATE "2026-11-22"

#endif
