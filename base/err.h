/* base/err.h - the one error type: a code to branch on, a text for people, and what to do next.
 *
 * A function that can fail returns bool, is MUST_USE, and takes `struct err *e` as its last
 * parameter.  The caller owns the struct, on the stack; nothing here allocates, so running out
 * of memory can be reported too.  Callers need not initialise it: it is written on failure only.
 *
 *	if (!manifest_parse(&m, p, n, e))
 *		return err_wrap(e, "release %s", name);      // "release 1.2: components: ..."
 *	if (size > MAX)
 *		return err_set(e, E_TOO_BIG, "%" PRIu64 " bytes, at most %d", size, MAX);
 *
 * base, proto, storage, client and delta return errors and never log; loops, handlers and mains
 * log each failure once.  A text holds no secret and no unescaped input (err_set replaces control
 * characters with '?').
 */
#ifndef VALISE_BASE_ERR_H
#define VALISE_BASE_ERR_H

#include "base/attr.h"

/* The list from which codes, names, HTTP statuses, exit statuses and default hints are made.
 * Exit statuses follow sysexits(3) where it has one.  The names are part of the API: they are
 * `code` in JSON errors, in lower case, and never change. */
#define E_MAP(XX) /* code, HTTP status, exit status, default hint */                           \
	XX(USAGE, 400, 64, "see --help")                                                       \
	XX(FORMAT, 400, 65, "look whether it is the right file or text, and whole")            \
	XX(CORRUPT, 422, 65, "the data was damaged or altered; fetch or build it again")       \
	XX(UNTRUSTED, 403, 76, "nothing was changed; whoever signs must check keys and files") \
	XX(EXPIRED, 403, 76, "ask the publisher for fresh signatures, or check the clock")     \
	XX(ROLLBACK, 409, 76, "nothing was changed; look for replayed or restored old data")   \
	XX(NOT_FOUND, 404, 66, "check the name; list what there is")                           \
	XX(EXISTS, 409, 73, "choose another name or version")                                  \
	XX(CONFLICT, 409, 75, "it was changed meanwhile; look at it again and retry")          \
	XX(GONE, 410, 66, "start again from the beginning")                                    \
	XX(AUTH, 401, 77, "log in again, or ask an administrator for a token")                 \
	XX(DENIED, 403, 77, "ask an administrator; the text says what is not allowed")         \
	XX(PENDING, 202, 75, "wait for an administrator's approval")                           \
	XX(POLICY, 409, 78, "a policy forbids this now")                                       \
	XX(CONFIG, 500, 78, "correct the settings file")                                       \
	XX(TOO_BIG, 413, 65, "send less at once")                                              \
	XX(RATE, 429, 75, "wait a moment and try again")                                       \
	XX(BUSY, 503, 75, "try again in a moment")                                             \
	XX(NO_SPACE, 507, 74, "free disk space and try again; services go on by themselves")   \
	XX(NETWORK, 502, 69, "check the address and the network")                              \
	XX(TIMEOUT, 504, 75, "try again; if it stays so, look at the other side's log")        \
	XX(UNAVAILABLE, 503, 69, "the service is not running or still starting")               \
	XX(UNSUPPORTED, 501, 69, "update the side that is older")                              \
	XX(CANCELLED, 409, 75, "nothing was changed; start it again when wanted")              \
	XX(SYSTEM, 500, 71, "look at the system error in the text")                            \
	XX(NOMEM, 503, 71, "free memory or raise the limit")                                   \
	XX(INTERNAL, 500, 70, "this is a bug in Valise; please report it with this text")

enum err_code {
	E_NONE,
#define XX(name, http, exit, hint) E_##name,
	E_MAP(XX)
#undef XX
};

enum { ERR_TEXT_MAX = 320 };

struct err {
	enum err_code code;
	int sys;                 /* errno if code is E_SYSTEM or E_NO_SPACE, else 0 */
	const char *hint;        /* static text: what to do next; never NULL once set */
	char text[ERR_TEXT_MAX]; /* grows at the front: "slot.0: checksum differs" */
};

/* All return false, so that failing is one line.  err_sys maps ENOSPC and EDQUOT to E_NO_SPACE,
 * ENOMEM to E_NOMEM, ENOENT to E_NOT_FOUND and all others to E_SYSTEM, and appends the system's
 * words for the errno; what people can do something about has a hint of its own. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);
bool err_sys(struct err *e, int sys, const char *fmt, ...) PRINTF(3, 4);
bool err_nomem(struct err *e);

/* Puts "fmt: " in front of the text; the code stays. */
bool err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* Replaces the default hint by a better one (a string literal: it is not copied). */
bool err_hint(struct err *e, const char *hint);

/* Builds an error received from elsewhere (a JSON error of the server): code by name. */
bool err_from_name(struct err *e, const char *name, const char *fmt, ...) PRINTF(3, 4);

/* Tells the compiler that these are always false, so that it sees which code follows success only
 * (and does not warn of results used uninitialised). */
static inline bool err_is_false(bool ignored UNUSED)
{
	return false;
}
#define err_set(...) err_is_false(err_set(__VA_ARGS__))
#define err_sys(...) err_is_false(err_sys(__VA_ARGS__))
#define err_nomem(e) err_is_false(err_nomem(e))
#define err_wrap(...) err_is_false(err_wrap(__VA_ARGS__))
#define err_hint(e, hint) err_is_false(err_hint(e, hint))
#define err_from_name(...) err_is_false(err_from_name(__VA_ARGS__))

const char *err_name(enum err_code code); /* "not_found"; E_NONE is "none" */
int err_http(enum err_code code);
int err_exit(enum err_code code); /* E_NONE is 0 */

/* True for failures that may pass by themselves (network, busy, no space, ...). */
bool err_is_temporary(enum err_code code);

#endif
