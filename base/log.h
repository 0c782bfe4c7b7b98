/* base/log.h - one line per event: level, event name, checked key=value pairs.
 *
 *	log_warn("rollout.paused", "rollout=%s failed=%u", id, n);
 *	2026-11-22T15:41:00Z warn  valised rollout.paused rollout=r7 failed=3
 *
 * Lines go to standard error, or to the journal's level prefixes (<4>) when standard error is
 * the journal (JOURNAL_STREAM).  What came from outside is printed as log_quote(value).s:
 * control characters and quotes are escaped, long values cut.  Never log a secret.  Only
 * loops, handlers and mains log; libraries return errors.  Thread-safe: one write per line. */
#ifndef VALISE_BASE_LOG_H
#define VALISE_BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* program is borrowed for ever: a literal such as "valised/web". */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);
bool log_level_parse(enum log_level *ret, const char *s);

void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF(3, 4);

#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)

/* The pairs error=NAME text="..." hint="..." of an error, for the end of a line:
 *	log_error("store.open", "%s", log_err(&e).s); */
struct log_text {
	char s[512];
};
struct log_text log_err(const struct err *e);

/* A value from outside as one quoted, escaped, bounded word. */
struct log_text log_quote(const char *s);

#endif
