/* proto/seekable.h - seekable zstd objects: independent frames of equal plain size and a table.
 *
 * Zstandard seekable format 0.1.0 (facebook/zstd, contrib/seekable_format).  An object is
 *
 *	frame 0, frame 1, ...     one zstd frame (RFC 8878) per frame_size plain bytes; the last is
 *	                          shorter; an empty file has none
 *	OFFSET  SIZE  table: a skippable frame
 *	     0     4  magic 0x184D2A5E
 *	     4     4  bytes that follow: 8 * frames + 9
 *	     8   8*n  per frame: compressed size (4), decompressed size (4)
 *	   end     9  number of frames (4), descriptor 0 (1: no checksums), magic 0x8F92EAB1 (4)
 *
 * so `zstd -d` reads it as it is.  The same input, frame size, level and libzstd give the same bytes,
 * whatever the number of threads.
 *
 * A reader that knows the plain size (from the manifest) knows the size of the table, fetches it
 * by one range at the end, and then any run of frames.  The table is not trusted: what it leads
 * to is verified (proto/verity.h); here it is only kept within bounds, E_CORRUPT otherwise. */
#ifndef VALISE_PROTO_SEEKABLE_H
#define VALISE_PROTO_SEEKABLE_H

#include "base/zst.h"

enum { SEEKABLE_LEVEL = 12, SEEKABLE_FRAME_MIN = 4096 };

/* A frame size is a power of two from SEEKABLE_FRAME_MIN to LIMIT_FRAME_SIZE. */
bool seekable_frame_size_ok(uint64_t frame_size);

/* ---- writing ----------------------------------------------------------------------------- */

/* Gets the object's bytes in order; false (with e set) stops the writer. */
typedef bool seekable_sink(void *arg, const void *p, size_t n, struct err *e);

struct seekable_enc;
/* threads: 0 and 1 compress in the caller's thread; more use that many besides it.
 * Memory: about 2 * threads * (2 * frame_size + the encoder's window). */
bool seekable_enc_new(struct seekable_enc **ret, uint32_t frame_size, int level,
		      unsigned threads, seekable_sink *sink, void *arg, struct err *e) MUST_USE;
void seekable_enc_free(struct seekable_enc *z); /* stops and joins its threads */
DEFINE_CLEANUP(struct seekable_enc, seekable_enc_free);
/* The sink is called from within these two only, in the caller's thread. */
bool seekable_enc_add(struct seekable_enc *z, const void *p, size_t n, struct err *e) MUST_USE;
bool seekable_enc_finish(struct seekable_enc *z, uint64_t *ret_object_size,
			 struct err *e) MUST_USE;

/* ---- reading ----------------------------------------------------------------------------- */

struct seekable_table {
	uint64_t plain_size, object_size;
	uint32_t frame_size, frames;
	uint64_t *starts; /* frames + 1 offsets into the object; the last is where the table begins */
};

struct seekable_frame {
	uint64_t object_offset, plain_offset;
	uint32_t object_bytes, plain_bytes;
};

/* Bytes of the table at the end of the object: what to ask for by range. */
uint64_t seekable_table_size(uint64_t plain_size, uint32_t frame_size);

/* tail is exactly the table.  Refused: any size or count that does not fit plain_size, frame_size and
 * object_size exactly, frames larger than zst_bound or empty. */
bool seekable_table_parse(struct seekable_table **ret, const void *tail, size_t n,
			  uint64_t object_size, uint64_t plain_size, uint32_t frame_size,
			  struct err *e) MUST_USE;
void seekable_table_free(struct seekable_table *t);
DEFINE_CLEANUP(struct seekable_table, seekable_table_free);

struct seekable_frame seekable_frame_get(const struct seekable_table *t, uint32_t i);
/* The frame that holds a plain offset; plain_offset < plain_size. */
uint32_t seekable_frame_at(const struct seekable_table *t, uint64_t plain_offset);

/* p, n: the frame's object_bytes bytes; out: its plain_bytes. */
bool seekable_frame_decode(struct zst_dec *z, const struct seekable_frame *f, void *out,
			   const void *p, size_t n, struct err *e) MUST_USE;

#endif
