/* base/conf.h - table-driven settings: one row makes the parser, the help, the check, the sample
 * file and the manual page.
 *
 * File format: `key = value` lines; '#' at the start of a line or behind a blank starts a comment;
 * no sections, no includes, no quotes.
 * Unknown keys, doubled keys and values out of range stop the start with file and line.
 *
 *	struct settings { uint64_t port; char *state_dir; uint64_t poll_interval_s; bool tls; };
 *	static const struct conf_row rows[] = {
 *		{ "listen.port", CONF_UINT, offsetof(struct settings, port), "8443",
 *		  .min = 0, .max = 65535, .help = "TCP port; 0 lets the system choose" },
 *		...
 *	};
 *
 * Strings are heap-allocated and belong to the settings struct; conf_done frees them. */
#ifndef VALISE_BASE_CONF_H
#define VALISE_BASE_CONF_H

#include "base/buf.h"

#include <stdio.h>

enum conf_type {
	CONF_BOOL,     /* bool: yes, no */
	CONF_UINT,     /* uint64_t */
	CONF_SIZE,     /* uint64_t bytes: size_parse() */
	CONF_DURATION, /* uint64_t seconds: duration_parse() */
	CONF_STRING,   /* char *; min and max are its length */
	CONF_CHOICE,   /* uint64_t: index into `choices` */
};

struct conf_row {
	const char *key;
	enum conf_type type;
	size_t offset;              /* of the field in the settings struct */
	const char *dflt;           /* as in the file; NULL is a NULL string */
	const char *help;           /* one line */
	uint64_t min, max;          /* both included; max = 0 means no upper end */
	const char *const *choices; /* NULL-terminated, for CONF_CHOICE */
	bool reload;                /* takes effect at SIGHUP; others only at start */
};

/* Sets every field to its default; call once before the others. */
bool conf_defaults(void *settings, const struct conf_row *rows, size_t n,
		   struct err *e) MUST_USE;
/* Reads the whole text; on failure the settings are as before.  E_CONFIG: "name:line: ...". */
bool conf_parse(void *settings, const struct conf_row *rows, size_t n, const char *name,
		const char *text, size_t len, struct err *e) MUST_USE;
bool conf_load(void *settings, const struct conf_row *rows, size_t n, const char *path,
	       struct err *e) MUST_USE;
/* One "key=value" from the command line (-o key=value). */
bool conf_set(void *settings, const struct conf_row *rows, size_t n, const char *assignment,
	      struct err *e) MUST_USE;
void conf_done(void *settings, const struct conf_row *rows, size_t n);

/* A commented sample file with every setting at its default. */
void conf_print_sample(FILE *out, const struct conf_row *rows, size_t n);

#endif
