#include "base/cli.h"
#include "base/cli_priv.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct parse {
	const struct cli_program *p;
	const struct cli_command *cmd; /* NULL until the words name one */
	char **words;                  /* heap; the strings are argv's; NULL behind the last */
	int n_words;
	bool help, version, man;
};

static void parse_done(struct parse *s)
{
	free(s->words);
	s->words = NULL;
}

/* Whether name is the first words of w; the number of its words, or 0. */
static int count_if_prefix(const char *name, char *const *w, int n)
{
	int k = 0;

	while (*name && k < n) {
		size_t len = strcspn(name, " ");

		if (strlen(w[k]) != len || strncmp(name, w[k], len) != 0)
			return 0;
		name += len + (name[len] == ' ');
		k++;
	}
	return *name ? 0 : k;
}

/* The command with the longest name that the words begin with; *ret_k is its number of words. */
static const struct cli_command *find_command(const struct cli_program *p, char *const *w,
					      int n, int *ret_k)
{
	const struct cli_command *best = NULL;

	*ret_k = 0;
	for (const struct cli_command *c = p->commands; c->name; c++) {
		int k = count_if_prefix(c->name, w, n);

		if (!*c->name || k > *ret_k) {
			best = c;
			*ret_k = k;
		}
	}
	return best;
}

static const struct cli_opt *find_in(const struct cli_opt *opts, const char *name, size_t len,
				     char letter)
{
	for (const struct cli_opt *o = opts; o && o->name; o++) {
		if (letter ? o->letter == letter
			   : strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

/* Before the command is known an option may be any command's. */
static const struct cli_opt *find_opt(const struct parse *s, const char *name, size_t len,
				      char letter)
{
	const struct cli_opt *o = find_in(s->p->opts, name, len, letter);

	if (!o && s->cmd)
		return find_in(s->cmd->opts, name, len, letter);
	for (const struct cli_command *c = s->p->commands; !o && c->name; c++)
		o = find_in(c->opts, name, len, letter);
	return o;
}

static bool list_add(struct cli_list *list, const char *value, struct err *e)
{
	const char **v = reallocarray(list->v, list->n + 1, sizeof(*v));

	if (!v)
		return err_nomem(e);
	v[list->n++] = value;
	list->v = v;
	return true;
}

static bool set_value(const struct cli_opt *o, const char *value, struct err *e)
{
	switch (o->type) {
	case CLI_FLAG:
		if (value)
			return err_set(e, E_USAGE, "--%s takes no value", o->name);
		*(bool *)o->value = true;
		return true;
	case CLI_STRING:
		*(const char **)o->value = value;
		return true;
	case CLI_UINT:
		if (!u64_parse(o->value, value, strlen(value)))
			return err_set(e, E_USAGE, "--%s=%s: wants a whole number", o->name,
				       value);
		return true;
	case CLI_LIST:
		return list_add(o->value, value, e);
	}
	return err_set(e, E_INTERNAL, "option --%s has no type", o->name);
}

static bool unknown_option(const struct parse *s, const char *name, size_t len, struct err *e)
{
	const struct cli_opt *tables[] = { s->p->opts, s->cmd ? s->cmd->opts : NULL,
					   cli_builtin_opts };
	const char *meant = NULL;
	unsigned best = 3; /* further away is no slip of the fingers */
	char given[64];

	snprintf(given, sizeof(given), "%.*s", (int)len, name);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct cli_opt *o = tables[t]; o && o->name; o++) {
			unsigned d = text_distance(given, o->name);

			if (d < best) {
				best = d;
				meant = o->name;
			}
		}
	}
	if (meant)
		return err_set(e, E_USAGE, "unknown option --%s; did you mean --%s?", given,
			       meant);
	return err_set(e, E_USAGE, "unknown option --%s", given);
}

static bool is_builtin(struct parse *s, const char *name)
{
	bool *flag = strcmp(name, "help") == 0      ? &s->help
		     : strcmp(name, "version") == 0 ? &s->version
		     : strcmp(name, "man") == 0     ? &s->man
						    : NULL;

	if (flag)
		*flag = true;
	return flag;
}

/* One "--name", "--name=value" or "--name value"; *i moves over a value's word.  Without `set` it
 * is only stepped over. */
static bool scan_long(struct parse *s, char **argv, int *i, bool set, struct err *e)
{
	const char *name = argv[*i] + 2, *value = NULL;
	size_t len = strcspn(name, "=");
	const struct cli_opt *o = find_opt(s, name, len, 0);

	if (!o && is_builtin(s, name))
		return true;
	if (!o && find_in(cli_builtin_opts, name, len, 0))
		return !set || err_set(e, E_USAGE, "--%.*s takes no value", (int)len, name);
	if (!o)
		return set ? unknown_option(s, name, len, e) : true;
	if (name[len])
		value = name + len + 1;
	else if (o->type != CLI_FLAG && argv[*i + 1])
		value = argv[++*i];
	if (!set)
		return true;
	if (o->type != CLI_FLAG && !value)
		return err_set(e, E_USAGE, "--%s wants a value: %s", o->name, o->arg);
	return set_value(o, value, e);
}

/* "-v", "-vq", "-sVALUE" or "-s VALUE". */
static bool scan_short(struct parse *s, char **argv, int *i, bool set, struct err *e)
{
	for (const char *c = argv[*i] + 1; *c; c++) {
		const struct cli_opt *o = find_opt(s, NULL, 0, *c);
		const char *value = NULL;

		if (!o && *c == 'h') {
			s->help = true;
			continue;
		}
		if (!o)
			return set ? err_set(e, E_USAGE, "unknown option -%c", *c) : true;
		if (o->type == CLI_FLAG) {
			if (set && !set_value(o, NULL, e))
				return false;
			continue;
		}
		if (c[1])
			value = c + 1;
		else if (argv[*i + 1])
			value = argv[++*i];
		if (!set)
			return true;
		if (!value)
			return err_set(e, E_USAGE, "-%c wants a value: %s", *c, o->arg);
		return set_value(o, value, e);
	}
	return true;
}

/* Goes over all arguments: the first time to find the command, the second to set its options. */
static bool scan(struct parse *s, int argc, char **argv, bool set, struct err *e)
{
	bool only_words = false;
	int k;

	s->n_words = 0;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		bool ok = true;

		if (only_words || a[0] != '-' || !a[1]) {
			s->words[s->n_words++] = argv[i];
			if (!set)
				s->cmd = find_command(s->p, s->words, s->n_words, &k);
		} else if (strcmp(a, "--") == 0) {
			only_words = true;
		} else if (a[1] == '-') {
			ok = scan_long(s, argv, &i, set, e);
		} else {
			ok = scan_short(s, argv, &i, set, e);
		}
		if (!ok)
			return false;
	}
	s->words[s->n_words] = NULL;
	return true;
}

/* Says what there is instead of a command that there is not. */
static bool no_command(const struct parse *s, struct err *e)
{
	const char *meant = NULL;
	char list[200] = "", given[80];
	unsigned best = 4;
	size_t n;

	if (s->n_words == 0)
		return err_set(e, E_USAGE, "no command given");
	snprintf(given, sizeof(given), "%s%s%s", s->words[0], s->n_words > 1 ? " " : "",
		 s->n_words > 1 ? s->words[1] : "");
	n = strlen(s->words[0]);
	/* By a word of which more than half is different nothing was meant. */
	if (s->n_words == 1 && n / 2 + 1 < best)
		best = (unsigned)n / 2 + 1;
	for (const struct cli_command *c = s->p->commands; c->name; c++) {
		unsigned whole = text_distance(given, c->name);
		unsigned first = text_distance(s->words[0], c->name);
		unsigned d = whole < first ? whole : first;
		size_t used = strlen(list);

		if (c->hidden)
			continue;
		if (strncmp(c->name, s->words[0], n) == 0 && c->name[n] == ' ')
			snprintf(list + used, sizeof(list) - used, "%s %s", used ? "," : "",
				 c->name + n + 1);
		if (d < best) {
			best = d;
			meant = c->name;
		}
	}
	if (meant && s->n_words > 1)
		return err_set(e, E_USAGE, "unknown command \"%s\"; did you mean \"%s\"?",
			       given, meant);
	if (list[0])
		return err_set(e, E_USAGE, "%s: which of%s?", s->words[0], list);
	if (meant)
		return err_set(e, E_USAGE, "unknown command \"%s\"; did you mean \"%s\"?",
			       given, meant);
	return err_set(e, E_USAGE, "unknown command \"%s\"", given);
}

static bool is_builtin_command(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "completion") == 0;
}

/* Of the command that the words behind the first `skip` name, of their group, or of the program. */
static bool run_help(struct parse *s, int skip, struct err *e)
{
	int n = s->n_words - skip, k = 0;
	const struct cli_command *c = find_command(s->p, s->words + skip, n, &k);

	if (!c && n == 1 && cli_is_group(s->p, s->words[skip])) {
		cli_print_group_help(stdout, s->p, s->words[skip]);
		return true;
	}
	if (n > 0 && !c && !is_builtin_command(s->words[skip])) {
		s->n_words = n;
		memmove(s->words, s->words + skip, ((size_t)n + 1) * sizeof(*s->words));
		return no_command(s, e);
	}
	cli_print_help(stdout, s->p, c);
	return true;
}

static bool has_subcommands(const struct cli_program *p)
{
	return p->commands->name && *p->commands->name;
}

static bool run(struct parse *s, int argc, char **argv, struct err *e)
{
	int k = 0, n;
	bool is_help;

	if (!scan(s, argc, argv, false, e))
		return false;
	s->cmd = find_command(s->p, s->words, s->n_words, &k);

	if (s->version) {
		printf("%s %s\n", s->p->name, VALISE_VERSION);
		return true;
	}
	if (s->man) {
		cli_print_man(stdout, s->p);
		return true;
	}
	is_help = s->n_words > 0 && strcmp(s->words[0], "help") == 0 && k == 0 &&
		  has_subcommands(s->p);
	if (s->help || is_help)
		return run_help(s, is_help, e);
	if (s->n_words > 0 && strcmp(s->words[0], "completion") == 0 && k == 0) {
		if (s->n_words == 2 && cli_print_completion(stdout, s->p, s->words[1]))
			return true;
		if (has_subcommands(s->p))
			return err_set(e, E_USAGE, "completion for bash or zsh%s%s",
				       s->n_words > 1 ? ", not for " : "",
				       s->n_words > 1 ? s->words[1] : "");
	}
	if (!scan(s, argc, argv, true, e))
		return false;
	if (!s->cmd)
		return no_command(s, e);
	n = s->n_words - k;
	if (n < s->cmd->min_args)
		return err_set(e, E_USAGE, "%s%sneeds %s", s->cmd->name,
			       *s->cmd->name ? " " : "", s->cmd->args);
	if (s->cmd->max_args >= 0 && n > s->cmd->max_args)
		return err_set(e, E_USAGE, "one argument too many: \"%s\"",
			       s->words[k + s->cmd->max_args]);
	return s->cmd->run(n, s->words + k, e);
}

void cli_print_error(const char *program, const struct err *e)
{
	fprintf(stderr, "%s: %s\n", program, e->text);
	if (e->hint && *e->hint)
		fprintf(stderr, "  hint: %s\n", e->hint);
}

/* What errors say is printable already (base/err.h). */
static void add_json_string(char *out, size_t size, const char *s)
{
	size_t n = strlen(out);

	for (; *s && n + 2 < size; s++) {
		if (*s == '"' || *s == '\\')
			out[n++] = '\\';
		out[n++] = *s;
	}
	out[n] = 0;
}

static void print_json_error(const struct err *e)
{
	char message[2 * ERR_TEXT_MAX] = "", hint[2 * ERR_TEXT_MAX] = "";

	add_json_string(message, sizeof(message), e->text);
	add_json_string(hint, sizeof(hint), e->hint ? e->hint : "");
	fprintf(stderr, "{\"code\":\"%s\",\"message\":\"%s\",\"hint\":\"%s\"}\n",
		err_name(e->code), message, hint);
}

/* Opened the wrong way round: what reads or writes gets EBADF, as from a closed descriptor. */
static bool hold_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	}
	return true;
}

int cli_main(const struct cli_program *p, int argc, char **argv)
{
	CLEANUP(parse_done) struct parse s = { .p = p };
	struct err e;
	bool ok;

	if (!hold_standard_fds())
		return err_exit(E_SYSTEM);
	s.words = calloc((size_t)argc + 1, sizeof(*s.words));
	ok = s.words ? run(&s, argc, argv, &e) : err_nomem(&e);
	/* What was printed may not have arrived: a full disk behind ">" is a failure too. */
	if (fflush(stdout) != 0 && ok)
		ok = err_sys(&e, errno, "standard output");
	if (ok)
		return 0;
	if (p->wants_json && p->wants_json())
		print_json_error(&e);
	else
		cli_print_error(p->name, &e);
	return err_exit(e.code);
}
