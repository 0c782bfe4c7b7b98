/* proto/seekable_priv.h - between seekable.c (the table) and seekable_enc.c (the writer). */
#ifndef VALISE_PROTO_SEEKABLE_PRIV_H
#define VALISE_PROTO_SEEKABLE_PRIV_H

#include "base/buf.h"

/* entries: frames times 8 bytes. */
bool seekable_table_encode(struct buf *out, const uint8_t *entries, uint32_t frames,
			   struct err *e) MUST_USE;

#endif
