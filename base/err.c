#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef err_set
#undef err_sys
#undef err_nomem
#undef err_wrap
#undef err_hint
#undef err_from_name

static const struct code {
	const char *name; /* as in the enum: upper case */
	int http, exit;
	const char *hint;
} codes[] = { [E_NONE] = { "NONE", 200, 0, "" },
#define XX(name, http, exit, hint) [E_##name] = { #name, http, exit, hint },
	      E_MAP(XX)
#undef XX
};

/* The names' lower-case forms are needed as strings; made once, as the list has one spelling. */
static char names[ARRAY_SIZE(codes)][16];

__attribute__((constructor)) static void lower_names(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		const char *s = codes[i].name;

		for (size_t j = 0; j < sizeof(names[i]) - 1 && s[j]; j++)
			names[i][j] =
				s[j] >= 'A' && s[j] <= 'Z' ? (char)(s[j] - 'A' + 'a') : s[j];
	}
}

static const struct code *code_row(enum err_code code)
{
	return (size_t)code < ARRAY_SIZE(codes) ? &codes[code] : &codes[E_INTERNAL];
}

/* A text goes to terminals and logs: what could move a cursor or forge a line does not. */
static void make_printable(char *s)
{
	text_clean(s, strlen(s), "");
}

static bool PRINTF(3, 0) set(struct err *e, enum err_code code, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_MAX]; /* apart from e, as an argument may be e->text itself */

	vsnprintf(text, sizeof(text), fmt, ap);
	make_printable(text);
	e->code = code;
	e->sys = 0;
	e->hint = code_row(code)->hint;
	memcpy(e->text, text, sizeof(text));
	return false;
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(e, code, fmt, ap);
	va_end(ap);
	return false;
}

static enum err_code code_of_errno(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return E_NO_SPACE;
	case ENOMEM:
		return E_NOMEM;
	case ENOENT:
		return E_NOT_FOUND;
	default:
		return E_SYSTEM;
	}
}

/* What to do about those that people cause; NULL: what the code says. */
static const char *hint_of_errno(int sys)
{
	switch (sys) {
	case EACCES:
	case EPERM:
		return "who runs this may not: look at owner and mode, or run it as who may";
	case EISDIR:
		return "name a file, not a folder";
	case ENOTDIR:
		return "a part of the path is no folder; check the name";
	case ENAMETOOLONG:
	case ELOOP:
		return "check the name";
	case EROFS:
		return "the file system is mounted read-only; name another place";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case EBADF:
		return "the descriptor is closed; start it with standard input and output";
	case EIO:
		return "the disk reports an error: look at the kernel's log (dmesg)";
	default:
		return NULL;
	}
}

bool err_sys(struct err *e, int sys, const char *fmt, ...)
{
	enum err_code code = code_of_errno(sys);
	const char *hint = hint_of_errno(sys);
	char words[80];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	set(e, code, fmt, ap);
	va_end(ap);
	if (code == E_SYSTEM || code == E_NO_SPACE)
		e->sys = sys;
	if (hint)
		e->hint = hint;
	n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s",
		 strerror_r(sys, words, sizeof(words)));
	return false;
}

bool err_nomem(struct err *e)
{
	return err_set(e, E_NOMEM, "out of memory");
}

bool err_wrap(struct err *e, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_printable(text);
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, ": %s", e->text);
	memcpy(e->text, text, sizeof(text));
	return false;
}

bool err_hint(struct err *e, const char *hint)
{
	e->hint = hint;
	return false;
}

bool err_from_name(struct err *e, const char *name, const char *fmt, ...)
{
	enum err_code code = E_INTERNAL; /* a code this version does not know */
	va_list ap;

	for (size_t i = E_NONE + 1; i < ARRAY_SIZE(codes); i++) {
		if (strcmp(name, names[i]) == 0)
			code = (enum err_code)i;
	}
	va_start(ap, fmt);
	set(e, code, fmt, ap);
	va_end(ap);
	return false;
}

const char *err_name(enum err_code code)
{
	return names[code_row(code) - codes];
}

int err_http(enum err_code code)
{
	return code_row(code)->http;
}

int err_exit(enum err_code code)
{
	return code_row(code)->exit;
}

bool err_is_temporary(enum err_code code)
{
	switch (code) {
	case E_BUSY:
	case E_CONFLICT:
	case E_NETWORK:
	case E_NOMEM:
	case E_NO_SPACE:
	case E_PENDING:
	case E_RATE:
	case E_TIMEOUT:
	case E_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}
