/* proto/range.h - the Range header of RFC 9110 section 14.2, for one range of bytes. */
#ifndef VALISE_PROTO_RANGE_H
#define VALISE_PROTO_RANGE_H

#include "base/attr.h"

enum range_result {
	RANGE_WHOLE, /* no header, another unit, bad syntax or several ranges: answer 200 with all */
	RANGE_PART, /* 206 with *ret_start, *ret_n (at least 1, within size) */
	RANGE_NONE, /* valid but outside: 416 with "Content-Range: bytes * / size" */
};

/* value: the header's, NULL for none; n its length.  "bytes=0-99", "bytes=500-", "bytes=-500"; the
 * unit in any case, blanks around the range are allowed.  Numbers of any length are understood
 * (beyond 2^64 they are outside).  Several ranges are never satisfied one by one: a client that
 * wants that asks again, and nobody can make the server send more than the object. */
enum range_result range_parse(uint64_t *ret_start, uint64_t *ret_n, const char *value, size_t n,
			      uint64_t size);

/* "bytes 0-99/1234" for Content-Range of a 206; for a 416 n is 0: "bytes * / 1234" (no blanks). */
enum { CONTENT_RANGE_SIZE = 6 + 20 + 1 + 20 + 1 + 20 + 1 };
void content_range_format(char out[static CONTENT_RANGE_SIZE], uint64_t start, uint64_t n,
			  uint64_t size);
/* The other direction, for the client: exactly "bytes a-b/size" with a <= b < size. */
bool content_range_parse(uint64_t *ret_start, uint64_t *ret_n, uint64_t *ret_size,
			 const char *value, size_t len);

#endif
