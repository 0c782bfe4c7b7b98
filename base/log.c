#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	char journal; /* sd-daemon(3): the syslog level as a digit */
} levels[] = {
	[LOG_ERROR] = { "error", '3' },
	[LOG_WARN] = { "warn", '4' },
	[LOG_INFO] = { "info", '6' },
	[LOG_DEBUG] = { "debug", '7' },
};

static const char *log_program = "valise";
static atomic_int log_level = LOG_INFO;
static bool to_journal;

/* systemd.exec(5): JOURNAL_STREAM holds device and inode of the journal's end of our stderr; it is
 * inherited by children whose stderr may be something else, so both are compared. */
static bool stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	const char *colon = s ? strchr(s, ':') : NULL;
	uint64_t dev, ino;
	struct stat st;

	return colon && u64_parse(&dev, s, (size_t)(colon - s)) &&
	       u64_parse(&ino, colon + 1, strlen(colon + 1)) &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	to_journal = stderr_is_journal();
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

bool log_level_parse(enum log_level *ret, const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(s, levels[i].name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[2048], when[TIME_TEXT_SIZE];
	int before_errno = errno;
	size_t n, end = sizeof(line) - 1; /* room for the newline */
	va_list ap;

	if ((int)level > atomic_load(&log_level))
		return;
	time_format(when, clock_wall_s(clock_system()));
	if (to_journal)
		snprintf(line, end, "<%c>%s", levels[level].journal, event);
	else
		snprintf(line, end, "%s %-5s %s %s", when, levels[level].name, log_program,
			 event);
	n = strlen(line);
	if (*fmt && n + 1 < end) {
		line[n++] = ' ';
		va_start(ap, fmt);
		vsnprintf(line + n, end - n, fmt, ap);
		va_end(ap);
	}
	/* The last guard against forged lines; log_quote is the first. */
	n = strlen(line);
	text_clean(line, n, "");
	line[n++] = '\n';
	/* One write, so that lines of threads and processes do not mix.  When it fails there is
	 * no one left to tell. */
	while (write(STDERR_FILENO, line, n) < 0 && errno == EINTR)
		continue;
	errno = before_errno;
}

/* Appends a quoted, escaped value that uses at most max bytes of t; "..." marks a cut. */
static void add_quoted(struct log_text *t, size_t *n, const char *s, size_t max)
{
	size_t end = *n + max < sizeof(t->s) ? *n + max : sizeof(t->s) - 1;
	char *p = t->s;
	char piece[5];

	p[(*n)++] = '"';
	for (size_t left = strlen(s), len; left > 0; s += len, left -= len) {
		size_t k;

		len = text_char(s, left);
		if (*s == '"' || *s == '\\')
			snprintf(piece, sizeof(piece), "\\%c", *s);
		else if (len > 0)
			snprintf(piece, sizeof(piece), "%.*s", (int)len, s);
		else
			snprintf(piece, sizeof(piece), "\\x%02x", (unsigned char)*s);
		len = len > 0 ? len : 1;
		k = strlen(piece);
		if (*n + k + 4 > end) { /* ..." */
			memcpy(p + *n, "...", 3);
			*n += 3;
			break;
		}
		memcpy(p + *n, piece, k);
		*n += k;
	}
	p[(*n)++] = '"';
	p[*n] = 0;
}

struct log_text log_quote(const char *s)
{
	struct log_text t;
	size_t n = 0;

	if (!s)
		return (struct log_text){ "-" };
	add_quoted(&t, &n, s, 200);
	return t;
}

struct log_text log_err(const struct err *e)
{
	struct log_text t;
	size_t n;

	snprintf(t.s, sizeof(t.s), "error=%s text=", err_name(e->code));
	n = strlen(t.s);
	add_quoted(&t, &n, e->text, 350);
	if (e->hint && *e->hint) {
		memcpy(t.s + n, " hint=", 6);
		n += 6;
		add_quoted(&t, &n, e->hint, 120);
	}
	return t;
}
