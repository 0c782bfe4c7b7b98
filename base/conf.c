#include "base/conf.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One value read and checked, not yet in the settings. */
struct value {
	bool set;
	unsigned line;
	uint64_t number;
	char *text; /* owned; CONF_STRING */
};

/* The values of one source, one per row: taken over all at once or not at all. */
struct values {
	struct value *v;
	size_t n;
};

static void values_done(struct values *vs)
{
	for (size_t i = 0; vs->v && i < vs->n; i++)
		free(vs->v[i].text);
	free(vs->v);
	vs->v = NULL;
}

static bool values_init(struct values *vs, size_t n, struct err *e)
{
	vs->n = n;
	vs->v = calloc(n ? n : 1, sizeof(*vs->v));
	return vs->v ? true : err_nomem(e);
}

static void *field(void *settings, const struct conf_row *row)
{
	return (char *)settings + row->offset;
}

static void take_over(void *settings, const struct conf_row *rows, struct values *vs)
{
	for (size_t i = 0; i < vs->n; i++) {
		struct value *v = &vs->v[i];
		void *to = field(settings, &rows[i]);

		if (!v->set)
			continue;
		if (rows[i].type == CONF_STRING) {
			free(*(char **)to);
			*(char **)to = TAKE(v->text);
		} else if (rows[i].type == CONF_BOOL) {
			*(bool *)to = v->number != 0;
		} else {
			*(uint64_t *)to = v->number;
		}
	}
}

static bool is_in_range(const struct conf_row *row, uint64_t n)
{
	return n >= row->min && (row->max == 0 || n <= row->max);
}

static bool parse_choice(uint64_t *ret, const struct conf_row *row, const char *s)
{
	for (uint64_t i = 0; row->choices[i]; i++) {
		if (strcmp(s, row->choices[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* "yes or no", "bytes (1M, 2GiB) from 0 to 65535": what a row accepts. */
struct accepts {
	char s[256];
};

static struct accepts accepts(const struct conf_row *row)
{
	static const char *const what[] = {
		[CONF_BOOL] = "yes or no",
		[CONF_UINT] = "a whole number",
		[CONF_SIZE] = "a size in bytes (64M, 2GiB)",
		[CONF_DURATION] = "a duration (90s, 15m, 12h, 7d)",
		[CONF_STRING] = "a text",
		[CONF_CHOICE] = "one of",
	};
	struct accepts a;
	size_t n;

	snprintf(a.s, sizeof(a.s), "%s", what[row->type]);
	for (size_t i = 0; row->type == CONF_CHOICE && row->choices[i]; i++) {
		n = strlen(a.s);
		snprintf(a.s + n, sizeof(a.s) - n, " %s", row->choices[i]);
	}
	if (row->type == CONF_BOOL || row->type == CONF_CHOICE)
		return a;
	n = strlen(a.s);
	if (row->type == CONF_STRING && (row->min || row->max))
		n += (size_t)snprintf(a.s + n, sizeof(a.s) - n, ", length");
	if (row->min || row->max)
		n += (size_t)snprintf(a.s + n, sizeof(a.s) - n, " from %" PRIu64, row->min);
	if (row->max)
		snprintf(a.s + n, sizeof(a.s) - n, " to %" PRIu64, row->max);
	return a;
}

static bool value_parse(struct value *ret, const struct conf_row *row, const char *s,
			struct err *e)
{
	uint64_t number = 0;
	bool ok = false;

	switch (row->type) {
	case CONF_BOOL:
		number = strcmp(s, "yes") == 0;
		ok = number || strcmp(s, "no") == 0;
		break;
	case CONF_UINT:
		ok = u64_parse(&number, s, strlen(s)) && is_in_range(row, number);
		break;
	case CONF_SIZE:
		ok = size_parse(&number, s) && is_in_range(row, number);
		break;
	case CONF_DURATION:
		ok = duration_parse(&number, s) && is_in_range(row, number);
		break;
	case CONF_STRING:
		ok = is_in_range(row, strlen(s));
		break;
	case CONF_CHOICE:
		ok = parse_choice(&number, row, s);
		break;
	}
	if (!ok)
		return err_set(e, E_CONFIG, "%s = %s: wants %s", row->key, s, accepts(row).s);
	if (row->type == CONF_STRING) {
		char *text = strdup(s);

		if (!text)
			return err_nomem(e);
		free(ret->text);
		ret->text = text;
	}
	ret->number = number;
	ret->set = true;
	return true;
}

static bool find_row(size_t *ret, const struct conf_row *rows, size_t n, const char *key,
		     struct err *e)
{
	unsigned best = 4; /* further away is no slip of the fingers */
	const char *meant = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = text_distance(key, rows[i].key);

		if (strcmp(key, rows[i].key) == 0) {
			*ret = i;
			return true;
		}
		if (d < best) {
			best = d;
			meant = rows[i].key;
		}
	}
	if (meant)
		return err_set(e, E_CONFIG, "unknown setting \"%s\"; did you mean \"%s\"?", key,
			       meant);
	return err_set(e, E_CONFIG, "unknown setting \"%s\"", key);
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && strchr(" \t\r", s[n - 1]); n--)
		continue;
	s[n] = 0;
	return s;
}

/* Splits in place at the first '='. */
static bool split(char *line, char **ret_key, char **ret_value, struct err *e)
{
	char *eq = strchr(line, '=');

	if (!eq || eq == line)
		return err_set(e, E_CONFIG, "\"%s\" is not \"key = value\"", line);
	*eq = 0;
	*ret_key = trim(line);
	*ret_value = trim(eq + 1);
	return true;
}

static void cut_comment(char *line)
{
	for (char *p = line; *p; p++) {
		if (*p == '#' && (p == line || p[-1] == ' ' || p[-1] == '\t')) {
			*p = 0;
			return;
		}
	}
}

static bool parse_line(struct values *vs, const struct conf_row *rows, char *line,
		       unsigned number, struct err *e)
{
	char *key, *value;
	size_t i;

	cut_comment(line);
	line = trim(line);
	if (!*line)
		return true;
	if (!split(line, &key, &value, e) || !find_row(&i, rows, vs->n, key, e))
		return false;
	if (vs->v[i].set)
		return err_set(e, E_CONFIG, "%s is already set in line %u", key, vs->v[i].line);
	vs->v[i].line = number;
	return value_parse(&vs->v[i], &rows[i], value, e);
}

static void freep(char **p)
{
	free(*p);
}

bool conf_parse(void *settings, const struct conf_row *rows, size_t n, const char *name,
		const char *text, size_t len, struct err *e)
{
	CLEANUP(values_done) struct values vs = { .v = NULL };
	CLEANUP(freep) char *copy = NULL;
	unsigned number = 1;
	char *line, *rest;

	if (len > LIMIT_SETTINGS_FILE)
		return err_set(e, E_TOO_BIG, "%s: more than %d bytes", name,
			       LIMIT_SETTINGS_FILE);
	if (memchr(text, 0, len))
		return err_set(e, E_CONFIG, "%s: holds a NUL byte; not a text file", name);
	copy = strndup(text, len);
	if (!copy)
		return err_nomem(e);
	if (!values_init(&vs, n, e))
		return false;
	for (rest = copy; (line = strsep(&rest, "\n")); number++) {
		if (!parse_line(&vs, rows, line, number, e))
			return err_wrap(e, "%s:%u", name, number);
	}
	take_over(settings, rows, &vs);
	return true;
}

bool conf_load(void *settings, const struct conf_row *rows, size_t n, const char *path,
	       struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SETTINGS_FILE);

	if (!read_file_at(AT_FDCWD, path, &b, e))
		return err_wrap(e, "settings");
	return conf_parse(settings, rows, n, path, buf_str(&b), b.n, e);
}

bool conf_set(void *settings, const struct conf_row *rows, size_t n, const char *assignment,
	      struct err *e)
{
	CLEANUP(values_done) struct values vs = { .v = NULL };
	CLEANUP(freep) char *copy = strdup(assignment);
	char *key, *value;
	size_t i;

	if (!copy)
		return err_nomem(e);
	if (!values_init(&vs, n, e) || !split(copy, &key, &value, e) ||
	    !find_row(&i, rows, n, key, e) || !value_parse(&vs.v[i], &rows[i], value, e))
		return false;
	take_over(settings, rows, &vs);
	return true;
}

bool conf_defaults(void *settings, const struct conf_row *rows, size_t n, struct err *e)
{
	CLEANUP(values_done) struct values vs = { .v = NULL };

	/* What was in the fields is not ours to free. */
	for (size_t i = 0; i < n; i++) {
		if (rows[i].type == CONF_STRING)
			*(char **)field(settings, &rows[i]) = NULL;
	}
	if (!values_init(&vs, n, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!rows[i].dflt)
			continue;
		/* A default may lie outside the range ("" for none): no user wrote it. */
		if (rows[i].type == CONF_STRING) {
			vs.v[i].text = strdup(rows[i].dflt);
			vs.v[i].set = true;
			if (!vs.v[i].text)
				return err_nomem(e);
		} else if (!value_parse(&vs.v[i], &rows[i], rows[i].dflt, e)) {
			return err_set(e, E_INTERNAL, "default of %s", e->text);
		}
	}
	take_over(settings, rows, &vs);
	return true;
}

void conf_done(void *settings, const struct conf_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].type == CONF_STRING)
			free(TAKE(*(char **)field(settings, &rows[i])));
	}
}

void conf_print_sample(FILE *out, const struct conf_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s# %s\n# %s%s.\n", i > 0 ? "\n" : "", rows[i].help,
			accepts(&rows[i]).s, rows[i].reload ? "; SIGHUP reloads it" : "");
		fprintf(out, "#%s = %s\n", rows[i].key, rows[i].dflt ? rows[i].dflt : "");
	}
}
