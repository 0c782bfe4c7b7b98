/* proto/jread.h - strict JSON reading: the only door to jansson, and the only JSON parser.
 *
 * What is read (RFC 8259, narrowed so that two readers can never disagree):
 *   - one value and nothing behind it; UTF-8 without byte order mark, no lone surrogates
 *   - no key twice in one object (jansson: JSON_REJECT_DUPLICATES), no NUL in keys
 *   - integers only, from -(2^53-1) to 2^53-1: no fraction, no exponent (RFC 7493 section 2.2)
 *   - at most LIMIT_JSON_DEPTH levels and LIMIT_JSON_VALUES values, checked before memory
 *     is spent on them
 * All else is E_FORMAT with the place ("line 3, column 7"), or E_TOO_BIG above a limit.
 *
 *	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
 *	static const char *const keys[] = { "name", "size", NULL };
 *	const char *name;
 *	uint64_t size;
 *
 *	if (!jdoc_parse(&d, p, n, e))
 *		return false;
 *	const struct jval *o = jdoc_root(d);
 *	if (!jval_is_obj(o, e) || !jobj_only(o, keys, e) ||
 *	    !jobj_name(&name, o, "name", e) || !jobj_u64(&size, o, "size", 1, MAX, e))
 *		return false;
 *
 * A document owns its values; every jval and every text handed out is borrowed from it and lives
 * as long as it does.  Results change on success only.  Errors name the key: "size: missing",
 * "size: 0 is not within 1 and 4096"; the caller puts the way down to the object in front
 * (err_wrap(e, "components: %s", name)). */
#ifndef VALISE_PROTO_JREAD_H
#define VALISE_PROTO_JREAD_H

#include "base/err.h"

struct jdoc;
struct jval;

enum jtype { J_NULL, J_BOOL, J_INT, J_STR, J_ARR, J_OBJ };

#define J_INT_MAX ((INT64_C(1) << 53) - 1)

bool jdoc_parse(struct jdoc **ret, const void *p, size_t n, struct err *e) MUST_USE;
void jdoc_free(struct jdoc *d);
DEFINE_CLEANUP(struct jdoc, jdoc_free);
const struct jval *jdoc_root(const struct jdoc *d);

/* ---- plain access, for walkers such as the canonical encoder -----------------------------
 * The caller knows the type (jval_type); the wrong one is a programming error (assert). */
enum jtype jval_type(const struct jval *v);
const char *jval_type_name(const struct jval *v); /* "a string", "an object", ... */
bool jval_bool(const struct jval *v);
int64_t jval_int(const struct jval *v);
/* NUL-terminated; ret_n may be NULL.  Strings may hold NUL ("\u0000"): n is the truth. */
const char *jval_str(const struct jval *v, size_t *ret_n);

size_t jarr_n(const struct jval *arr);
const struct jval *jarr_at(const struct jval *arr, size_t i);

/* Members in the order of the text:
 *	for (struct jiter it = jobj_first(o); it.val; it = jobj_next(o, it))
 *		... it.key, it.val ... */
struct jiter {
	const char *key; /* no NUL inside */
	const struct jval *val;
	void *pos;
};
size_t jobj_n(const struct jval *obj);
struct jiter jobj_first(const struct jval *obj);
struct jiter jobj_next(const struct jval *obj, struct jiter it);
/* Members sorted by the bytes of their keys, which is the order of code points: what OLPC
 * canonical JSON wants.  Heap array of *ret_n; free() it (the texts stay the document's). */
bool jobj_sorted(const struct jval *obj, struct jiter **ret, size_t *ret_n,
		 struct err *e) MUST_USE;

/* NULL if there is no such member (or obj is no object). */
const struct jval *jobj_opt(const struct jval *obj, const char *key);
static inline bool jobj_has(const struct jval *obj, const char *key)
{
	return jobj_opt(obj, key) != NULL;
}

/* ---- one value, checked (elements of arrays; members go through jobj_* below) ------------ */
bool jval_is_obj(const struct jval *v, struct err *e) MUST_USE;
bool jval_is_arr(const struct jval *v, size_t max_n, struct err *e) MUST_USE;
/* One line of text: at most max bytes, and nothing that text_char (base/text.h) does not want, so no NUL. */
bool jval_get_str(const char **ret, const struct jval *v, size_t max, struct err *e) MUST_USE;
/* Text of any kind without NUL: logs, metadata carried as text.  ret_n may be NULL. */
bool jval_get_text(const char **ret, size_t *ret_n, const struct jval *v, size_t max,
		   struct err *e) MUST_USE;
bool jval_get_name(const char **ret, const struct jval *v,
		   struct err *e) MUST_USE; /* base/text.h */
bool jval_get_u64(uint64_t *ret, const struct jval *v, uint64_t min, uint64_t max,
		  struct err *e) MUST_USE;
bool jval_get_hex(uint8_t *ret, size_t n, const struct jval *v, struct err *e) MUST_USE;

/* ---- members, checked; missing is E_FORMAT "KEY: missing" -------------------------------- */

/* Refuses an object with a member that is not in the NULL-terminated list: 'unknown field "x"'. */
bool jobj_only(const struct jval *obj, const char *const *keys, struct err *e) MUST_USE;

bool jobj_get(const struct jval **ret, const struct jval *obj, const char *key,
	      struct err *e) MUST_USE;
bool jobj_obj(const struct jval **ret, const struct jval *obj, const char *key,
	      struct err *e) MUST_USE;
bool jobj_arr(const struct jval **ret, const struct jval *obj, const char *key, size_t max_n,
	      struct err *e) MUST_USE;
bool jobj_str(const char **ret, const struct jval *obj, const char *key, size_t max,
	      struct err *e) MUST_USE;
bool jobj_text(const char **ret, size_t *ret_n, const struct jval *obj, const char *key,
	       size_t max, struct err *e) MUST_USE;
bool jobj_name(const char **ret, const struct jval *obj, const char *key,
	       struct err *e) MUST_USE;
bool jobj_u64(uint64_t *ret, const struct jval *obj, const char *key, uint64_t min,
	      uint64_t max, struct err *e) MUST_USE;
bool jobj_i64(int64_t *ret, const struct jval *obj, const char *key, int64_t min, int64_t max,
	      struct err *e) MUST_USE;
bool jobj_bool(bool *ret, const struct jval *obj, const char *key, struct err *e) MUST_USE;
/* Exactly n bytes as 2n lower-case hex digits. */
bool jobj_hex(uint8_t *ret, size_t n, const struct jval *obj, const char *key,
	      struct err *e) MUST_USE;
/* Seconds since 1970 from "2026-11-22T15:41:00Z". */
bool jobj_time(int64_t *ret_unix_s, const struct jval *obj, const char *key,
	       struct err *e) MUST_USE;
/* The index of the text in a NULL-terminated list; else "kind: "x" is none of kernel, initrd". */
bool jobj_choice(unsigned *ret, const struct jval *obj, const char *key,
		 const char *const *names, struct err *e) MUST_USE;
/* Copies a one-line text into an array of the given size (NUL included). */
bool jobj_copy(char *out, size_t out_size, const struct jval *obj, const char *key,
	       struct err *e) MUST_USE;
/* The same for a name (base/text.h); out has LIMIT_NAME + 1 bytes. */
bool jobj_copy_name(char *out, const struct jval *obj, const char *key, struct err *e) MUST_USE;
/* "format": only the given number is accepted, others are E_UNSUPPORTED. */
bool jobj_version(const struct jval *obj, const char *key, uint64_t want,
		  struct err *e) MUST_USE;

#endif
