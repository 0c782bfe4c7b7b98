/* base/lzma2.h - LZMA2 without a container: the one door for lzma.h (liblzma).
 *
 * A stream is made from any number of portions and read in any number of others; its dictionary of LZMA2_DICT bytes
 * goes on over all of them.  In front of it a filter may make relative addresses in code absolute, so that calls of
 * one function look alike; which one is to be known to the reader.  What the bytes say changes nothing about the
 * memory that is needed: about LZMA2_DICT to read, twelve times that to write. */
#ifndef VALISE_BASE_LZMA2_H
#define VALISE_BASE_LZMA2_H

#include "base/buf.h"

enum { LZMA2_DICT = 6 << 20 };

enum lzma2_filter { LZMA2_PLAIN, LZMA2_X86, LZMA2_ARM64, LZMA2_FILTERS };

struct lzma2_enc;
/* level: 0, quick, to 9, as small as it can be. */
bool lzma2_enc_new(struct lzma2_enc **ret, enum lzma2_filter filter, unsigned level,
		   struct err *e) MUST_USE;
void lzma2_enc_free(struct lzma2_enc *z);
DEFINE_CLEANUP(struct lzma2_enc, lzma2_enc_free);
/* n more bytes; what comes of them is added to out, some of it later. */
bool lzma2_encode(struct lzma2_enc *z, struct buf *out, const uint8_t *p, size_t n,
		  struct err *e) MUST_USE;
/* The rest. */
bool lzma2_encode_end(struct lzma2_enc *z, struct buf *out, struct err *e) MUST_USE;

struct lzma2_dec;
bool lzma2_dec_new(struct lzma2_dec **ret, enum lzma2_filter filter, struct err *e) MUST_USE;
void lzma2_dec_free(struct lzma2_dec *z);
DEFINE_CLEANUP(struct lzma2_dec, lzma2_dec_free);
/* The next out_n bytes, for which *ret_used of the n at p are used; E_CORRUPT where they are not enough, or no
 * LZMA2. */
bool lzma2_decode(struct lzma2_dec *z, uint8_t *out, size_t out_n, const uint8_t *p, size_t n,
		  size_t *ret_used, struct err *e) MUST_USE;

#endif
