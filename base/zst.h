/* base/zst.h - Zstandard (RFC 8878): the one door for zstd.h.
 *
 * Frames are made and read whole, with bounds from the caller: a hostile frame can neither write
 * past out_n nor make the decoder allocate, as it decodes straight into the caller's memory and
 * needs no window.  An encoder or decoder serves one thread at a time. */
#ifndef VALISE_BASE_ZST_H
#define VALISE_BASE_ZST_H

#include "base/buf.h"

struct zst_enc;
struct zst_dec;

bool zst_enc_new(struct zst_enc **ret, int level, struct err *e) MUST_USE;
void zst_enc_free(struct zst_enc *z);
DEFINE_CLEANUP(struct zst_enc, zst_enc_free);
bool zst_dec_new(struct zst_dec **ret, struct err *e) MUST_USE;
void zst_dec_free(struct zst_dec *z);
DEFINE_CLEANUP(struct zst_dec, zst_dec_free);

size_t zst_bound(size_t n); /* the most that n bytes can become */

/* One complete frame, with content size, appended to out. */
bool zst_frame_encode(struct zst_enc *z, struct buf *out, const void *p, size_t n,
		      struct err *e) MUST_USE;
/* Decodes exactly one frame of n bytes into exactly out_n bytes; E_CORRUPT otherwise. */
bool zst_frame_decode(struct zst_dec *z, void *out, size_t out_n, const void *p, size_t n,
		      struct err *e) MUST_USE;

#endif
