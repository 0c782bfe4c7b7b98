/* proto/cjson.h - OLPC canonical JSON: the bytes over which TUF signatures and key ids are made.
 *
 * http://wiki.laptop.org/go/Canonical_JSON, as securesystemslib, go-tuf and tuf-js agree on it:
 *   - no blanks; object members sorted by the bytes of their keys (UTF-8, so by code point)
 *   - in strings only '"' and '\' are escaped; all other characters stand as they are, control
 *     characters too (here it differs from every JSON writer, and is no JSON then)
 *   - integers only (jread.h refuses others), as short as possible
 *
 * Depth and number of values are bounded by jread.h, the output by the buf's limit. */
#ifndef VALISE_PROTO_CJSON_H
#define VALISE_PROTO_CJSON_H

#include "base/buf.h"
#include "base/limits.h"
#include "proto/jread.h"

/* Appends the canonical form of a value.  On failure (E_TOO_BIG, E_NOMEM) out is as before. */
bool cjson_encode(struct buf *out, const struct jval *v, struct err *e) MUST_USE;

/* The same, with control characters escaped as \u00XX: sorted, compact, and always JSON.  For
 * files; equal to the canonical form unless a string holds a control character. */
bool cjson_encode_json(struct buf *out, const struct jval *v, struct err *e) MUST_USE;

/* JSON text in, canonical bytes out. */
bool cjson_from_text(struct buf *out, const void *p, size_t n, struct err *e) MUST_USE;

/* Whether a and b have the same canonical form (what "custom agrees" means). */
bool cjson_equal(bool *ret, const struct jval *a, const struct jval *b, struct err *e) MUST_USE;

#endif
