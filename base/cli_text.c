#include "base/cli_priv.h"

#include <string.h>

const struct cli_opt cli_builtin_opts[] = {
	{ "help", 'h', NULL, "show this help", CLI_FLAG, NULL },
	{ "version", 0, NULL, "show the version", CLI_FLAG, NULL },
	{ 0 },
};

/* -- help ------------------------------------------------------------------------------- */

enum { HELP_COLUMN = 28 };

/* "  left       right", or on two lines where left is long. */
static void print_row(FILE *out, const char *left, const char *right)
{
	if (strlen(left) + 4 > HELP_COLUMN)
		fprintf(out, "  %s\n  %*s%s\n", left, HELP_COLUMN - 2, "", right);
	else
		fprintf(out, "  %-*s%s\n", HELP_COLUMN - 2, left, right);
}

static void print_opts(FILE *out, const struct cli_opt *opts)
{
	for (const struct cli_opt *o = opts; o && o->name; o++) {
		char left[80], letter[5] = "    ";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->arg ? "=" : "",
			 o->arg ? o->arg : "");
		print_row(out, left, o->help);
	}
}

static bool is_whole_program(const struct cli_command *c)
{
	return !c || !*c->name;
}

/* Whether c is "WORD something". */
static bool is_in_group(const struct cli_command *c, const char *word)
{
	size_t n = strlen(word);

	return !c->hidden && strncmp(c->name, word, n) == 0 && c->name[n] == ' ';
}

/* All, or those of one group. */
static void print_commands(FILE *out, const struct cli_program *p, const char *group)
{
	fprintf(out, "\ncommands:\n");
	for (const struct cli_command *c = p->commands; c->name; c++) {
		char left[120];

		if (c->hidden || (group && !is_in_group(c, group)))
			continue;
		snprintf(left, sizeof(left), "%s%s%s", c->name, *c->args ? " " : "", c->args);
		print_row(out, left, c->help);
	}
}

/* Statuses in ascending order, each with the names of the errors that lead to it. */
static void print_exits(FILE *out, const char *before, const char *behind)
{
	for (int status = 1; status < 128; status++) {
		const char *sep = NULL;

		for (enum err_code c = E_NONE + 1; c <= E_INTERNAL; c++) {
			if (err_exit(c) != status)
				continue;
			if (!sep)
				fprintf(out, "%s%d%s", before, status, behind);
			fprintf(out, "%s%s", sep ? sep : "", err_name(c));
			sep = ", ";
		}
		if (sep)
			fputc('\n', out);
	}
}

void cli_print_help(FILE *out, const struct cli_program *p, const struct cli_command *cmd)
{
	if (cmd)
		fprintf(out, "usage: %s%s%s [OPTIONS]%s%s\n\n%s\n", p->name,
			*cmd->name ? " " : "", cmd->name, *cmd->args ? " " : "", cmd->args,
			*cmd->name ? cmd->help : p->summary);
	else
		fprintf(out, "usage: %s COMMAND [OPTIONS] [ARGUMENTS]\n\n%s\n", p->name,
			p->summary);
	if (cmd && cmd->long_help)
		fprintf(out, "\n%s\n", cmd->long_help);
	if (!cmd)
		print_commands(out, p, NULL);
	if (is_whole_program(cmd) || (cmd->opts && cmd->opts->name))
		fprintf(out, "\noptions:\n");
	if (cmd)
		print_opts(out, cmd->opts);
	if (!is_whole_program(cmd))
		fprintf(out, "\ngeneral options:\n");
	print_opts(out, p->opts);
	print_opts(out, cli_builtin_opts);
	if (!cmd)
		fprintf(out,
			"\n\"%s help COMMAND\" tells more about one; \"%s completion bash|zsh\"\n"
			"prints what completes them in that shell.\n",
			p->name, p->name);
	if (is_whole_program(cmd) && p->footer)
		fprintf(out, "\n%s\n", p->footer);
	if (is_whole_program(cmd)) {
		fputs("\nexit status:\n  0   success\n", out);
		print_exits(out, "  ", "  ");
	}
}

bool cli_is_group(const struct cli_program *p, const char *word)
{
	bool any = false;

	for (const struct cli_command *c = p->commands; c->name; c++) {
		if (strcmp(c->name, word) == 0)
			return false;
		any |= is_in_group(c, word);
	}
	return any;
}

void cli_print_group_help(FILE *out, const struct cli_program *p, const char *group)
{
	fprintf(out, "usage: %s %s COMMAND [OPTIONS] [ARGUMENTS]\n", p->name, group);
	print_commands(out, p, group);
	fprintf(out, "\n\"%s help %s COMMAND\" tells more about one.\n", p->name, group);
}

/* -- manual page ------------------------------------------------------------------------ */

/* Text for troff: what it would read as requests or as typographic hyphens is escaped. */
static void print_troff(FILE *out, const char *s, size_t n)
{
	if (n > 0 && (s[0] == '.' || s[0] == '\''))
		fputs("\\&", out);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\')
			fputs("\\e", out);
		else if (s[i] == '-')
			fputs("\\-", out);
		else
			fputc(s[i], out);
	}
}

static void print_troff_str(FILE *out, const char *s)
{
	print_troff(out, s, strlen(s));
}

/* Empty lines part paragraphs; indented lines are shown as they are. */
static void print_paragraphs(FILE *out, const char *s)
{
	bool as_is = false;

	while (s && *s) {
		size_t n = strcspn(s, "\n");
		bool indented = s[0] == ' ' || s[0] == '\t';

		if (indented != as_is && n > 0) {
			fputs(indented ? ".nf\n" : ".fi\n", out);
			as_is = indented;
		}
		if (n == 0)
			fputs(".PP\n", out);
		print_troff(out, s, n);
		if (n > 0)
			fputc('\n', out);
		s += n + (s[n] == '\n');
	}
	if (as_is)
		fputs(".fi\n", out);
}

static void print_man_opts(FILE *out, const struct cli_opt *opts)
{
	for (const struct cli_opt *o = opts; o && o->name; o++) {
		fputs(".TP\n", out);
		if (o->letter)
			fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB\\-\\-", out);
		print_troff_str(out, o->name);
		fputs("\\fR", out);
		if (o->arg) {
			fputs("=\\fI", out);
			print_troff_str(out, o->arg);
			fputs("\\fR", out);
		}
		fputc('\n', out);
		print_troff_str(out, o->help);
		fputc('\n', out);
	}
}

static void print_man_command(FILE *out, const struct cli_command *c)
{
	if (*c->name) {
		fputs(".SS \"", out);
		print_troff_str(out, c->name);
		fprintf(out, " %s\"\n", c->args);
		print_troff_str(out, c->help);
		fputs(".\n", out);
	}
	if (c->long_help) {
		if (*c->name)
			fputs(".PP\n", out);
		print_paragraphs(out, c->long_help);
	}
	print_man_opts(out, c->opts);
}

void cli_print_man(FILE *out, const struct cli_program *p)
{
	fputs(".TH \"", out);
	for (const char *c = p->name; *c; c++)
		fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, out);
	fprintf(out, "\" %d \"%s\" \"Valise %s\" \"Valise\"\n.SH NAME\n%s \\- ",
		p->man_section ? p->man_section : 1, VALISE_VERSION_DATE, VALISE_VERSION,
		p->name);
	print_troff_str(out, p->summary);
	fprintf(out, "\n.SH SYNOPSIS\n.B %s\n%s\n", p->name,
		*p->commands->name ? "\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]"
				   : "[\\fIOPTIONS\\fR]");
	if (!*p->commands->name)
		fprintf(out, "%s\n", p->commands->args);
	fputs(*p->commands->name ? ".SH COMMANDS\n" : ".SH DESCRIPTION\n", out);
	for (const struct cli_command *c = p->commands; c->name; c++) {
		if (!c->hidden)
			print_man_command(out, c);
	}
	fputs(".SH OPTIONS\n", out);
	print_man_opts(out, p->opts);
	print_man_opts(out, cli_builtin_opts);
	if (p->footer) {
		fputs(".SH \"FILES AND ENVIRONMENT\"\n", out);
		print_paragraphs(out, p->footer);
	}
	fputs(".SH \"EXIT STATUS\"\n.TP\n0\nsuccess\n", out);
	print_exits(out, ".TP\n", "\n");
}

/* -- completion ------------------------------------------------------------------------- */

enum shell { BASH, ZSH };

/* The first k words of a name, as a length; SIZE_MAX when it has fewer. */
static size_t prefix_len(const char *name, unsigned k)
{
	size_t n = 0;

	for (unsigned i = 0; i < k; i++) {
		if (!name[n])
			return SIZE_MAX;
		n += strcspn(name + n, " ");
		if (name[n] == ' ' && i + 1 < k)
			n++;
	}
	return n;
}

static bool has_prefix(const struct cli_command *c, const char *prefix, size_t n, unsigned k)
{
	return !c->hidden && prefix_len(c->name, k) == n && strncmp(c->name, prefix, n) == 0;
}

/* 'name:help' for zsh's _describe, a bare word for bash. */
static void print_item(FILE *out, enum shell shell, const char *dashes, const char *name,
		       size_t n, const char *help)
{
	if (shell == BASH) {
		fprintf(out, " %s%.*s", dashes, (int)n, name);
		return;
	}
	fprintf(out, " '%s%.*s:", dashes, (int)n, name);
	for (; *help; help++) {
		if (*help == '\'')
			fputs("'\\''", out);
		else if (*help == ':')
			fputs("\\:", out);
		else
			fputc(*help, out);
	}
	fputc('\'', out);
}

static void print_opt_items(FILE *out, enum shell shell, const struct cli_opt *opts)
{
	for (const struct cli_opt *o = opts; o && o->name; o++)
		print_item(out, shell, "--", o->name, strlen(o->name), o->help);
}

/* The words that may follow the first k words of c's name. */
static void print_next_words(FILE *out, enum shell shell, const struct cli_program *p,
			     const char *prefix, size_t n, unsigned k)
{
	for (const struct cli_command *c = p->commands; c->name; c++) {
		const char *next = c->name + n + (k > 0);
		bool seen = false;

		if (!has_prefix(c, prefix, n, k) || !c->name[n])
			continue;
		for (const struct cli_command *d = p->commands; d < c; d++)
			seen |= has_prefix(d, c->name, prefix_len(c->name, k + 1), k + 1);
		if (!seen)
			print_item(out, shell, "", next, strcspn(next, " "),
				   next[strcspn(next, " ")] ? "..." : c->help);
	}
}

static void print_case(FILE *out, enum shell shell, const struct cli_program *p,
		       const struct cli_command *c, unsigned k)
{
	size_t n = prefix_len(c->name, k);
	const char *open = shell == BASH ? "\"" : "(", *close = shell == BASH ? "\"" : ")";

	fprintf(out, "\t'%.*s%s'*)\n\t\twords_next=%s", (int)n, c->name, k > 0 ? " " : "",
		open);
	print_next_words(out, shell, p, c->name, n, k);
	if (k == 0 && *p->commands->name) {
		print_item(out, shell, "", "help", 4, "about a command");
		print_item(out, shell, "", "completion", 10, "for bash or zsh");
	}
	fprintf(out, "%s\n\t\topts=%s", close, open);
	for (const struct cli_command *d = p->commands; d->name; d++) {
		if (has_prefix(d, c->name, n, k) && !d->name[n])
			print_opt_items(out, shell, d->opts);
	}
	print_opt_items(out, shell, p->opts);
	print_opt_items(out, shell, cli_builtin_opts);
	fprintf(out, "%s ;;\n", close);
}

/* One case for each beginning of a command's name, the longest first. */
static void print_cases(FILE *out, enum shell shell, const struct cli_program *p)
{
	for (unsigned k = 4; k-- > 0;) {
		for (const struct cli_command *c = p->commands; c->name; c++) {
			size_t n = prefix_len(c->name, k);
			bool seen = false;

			if (c->hidden || n == SIZE_MAX)
				continue;
			for (const struct cli_command *d = p->commands; d < c; d++)
				seen |= has_prefix(d, c->name, n, k);
			if (!seen)
				print_case(out, shell, p, c, k);
		}
	}
}

static void print_valued(FILE *out, const struct cli_opt *opts)
{
	for (const struct cli_opt *o = opts; o && o->name; o++) {
		if (!o->arg)
			continue;
		fprintf(out, "|--%s", o->name);
		if (o->letter)
			fprintf(out, "|-%c", o->letter);
	}
}

/* The words said so far, without options and their values: shell code that both shells read. */
static void print_said(FILE *out, const struct cli_program *p, const char *words)
{
	fprintf(out, "\tlocal said='' skip='' w\n\tfor w in %s; do\n", words);
	fputs("\t\tif [ -n \"$skip\" ]; then skip=''; continue; fi\n\t\tcase \"$w\" in\n\t\t''",
	      out);
	print_valued(out, p->opts);
	for (const struct cli_command *c = p->commands; c->name; c++)
		print_valued(out, c->opts);
	fputs(") skip=1 ;;\n\t\t-*) ;;\n\t\t*) said=\"$said$w \" ;;\n\t\tesac\n\tdone\n", out);
	fputs("\tcase \"$said\" in\n", out);
}

bool cli_print_completion(FILE *out, const struct cli_program *p, const char *shell)
{
	char fn[64];

	snprintf(fn, sizeof(fn), "_%s", p->name);
	for (char *c = fn; *c; c++) {
		if (*c == '-')
			*c = '_';
	}
	if (strcmp(shell, "bash") == 0) {
		fprintf(out, "%s()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} opts words_next\n",
			fn);
		print_said(out, p, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"");
		print_cases(out, BASH, p);
		fprintf(out,
			"\tesac\n\tcase \"$cur\" in -*) words_next=$opts ;; esac\n"
			"\tCOMPREPLY=($(compgen -W \"$words_next\" -- \"$cur\"))\n}\n"
			"complete -o default -F %s %s\n",
			fn, p->name);
		return true;
	}
	if (strcmp(shell, "zsh") == 0) {
		fprintf(out, "#compdef %s\n%s()\n{\n", p->name, fn);
		fputs("\tlocal -a opts words_next\n", out);
		print_said(out, p, "\"${(@)words[2,CURRENT-1]}\"");
		print_cases(out, ZSH, p);
		fprintf(out,
			"\tesac\n\tcase \"$PREFIX\" in\n\t-*) _describe option opts ;;\n"
			"\t*) _describe command words_next || _files ;;\n\tesac\n}\n%s \"$@\"\n",
			fn);
		return true;
	}
	return false;
}
