/* proto/jwrite.h - streaming JSON writer into a struct buf: compact, one pass, no tree.
 *
 * Errors stick: after the first one every call does nothing, and jw_finish reports it, so the
 * code that writes a message reads like the message:
 *
 *	struct jw w;
 *	jw_init(&w, &out);
 *	jw_obj(&w, NULL);
 *	jw_u64(&w, "v", 1);
 *	jw_arr(&w, "items");
 *	jw_str(&w, NULL, "first");
 *	jw_end(&w);
 *	jw_end(&w);
 *	return jw_finish(&w, e);
 *
 * `key` is the member's name inside an object and NULL inside an array and at the top; mixing that
 * up, ending too often or too seldom is a programming error (assert).  No blanks are written;
 * only '"', '\\' and control characters below 0x20 are escaped.  Members stand in the order in
 * which they were written: a caller that sorts its keys and keeps control characters out of its
 * texts writes OLPC canonical JSON. */
#ifndef VALISE_PROTO_JWRITE_H
#define VALISE_PROTO_JWRITE_H

#include "base/buf.h"

struct jw {
	struct buf *out; /* borrowed until jw_finish; appended to */
	size_t start;    /* length of out at jw_init */
	struct err err;
	bool bad, comma;
	unsigned depth;
	uint64_t in_obj; /* bit d: level d is an object */
};

void jw_init(struct jw *w, struct buf *out);
/* False after any failure (E_TOO_BIG, E_NOMEM, E_FORMAT); out is then as long as at jw_init. */
bool jw_finish(struct jw *w, struct err *e) MUST_USE;

void jw_obj(struct jw *w, const char *key);
void jw_arr(struct jw *w, const char *key);
void jw_end(struct jw *w);

void jw_null(struct jw *w, const char *key);
void jw_bool(struct jw *w, const char *key, bool v);
/* Numbers that jread.h would refuse (beyond 2^53-1) are E_FORMAT. */
void jw_u64(struct jw *w, const char *key, uint64_t v);
void jw_i64(struct jw *w, const char *key, int64_t v);
/* Must be UTF-8, else E_FORMAT. */
void jw_str(struct jw *w, const char *key, const char *s);
void jw_strn(struct jw *w, const char *key, const char *s, size_t n);
/* Bytes of unknown make (logs): what is not UTF-8 becomes U+FFFD, NUL too. */
void jw_lossy(struct jw *w, const char *key, const void *p, size_t n);
void jw_hex(struct jw *w, const char *key, const uint8_t *p, size_t n);
void jw_base64(struct jw *w, const char *key, const uint8_t *p, size_t n);
void jw_time(struct jw *w, const char *key, int64_t unix_s);
/* A complete JSON value, taken as it is. */
void jw_raw(struct jw *w, const char *key, const char *json, size_t n);

#endif
