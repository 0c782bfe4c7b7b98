/* delta/format.h - the delta container, byte by byte.
 *
 * Little endian, 64-bit sizes.  Everything up to the frames is read when a delta is opened:
 *
 *   OFFSET  SIZE  FIELD
 *        0     4  magic "VDL1"
 *        4     1  version of the coding, 4
 *        5     1  log2 of the segment size, 12 to 22
 *        6     2  zero
 *        8     8  size of the old image
 *       16     8  size of the new image
 *       24     4  number of frames f; 0 only for an empty new image
 *       28     4  number of old streams in the table
 *       32     4  number of new streams in all frames (for `info`)
 *       36     4  coded bytes of the old stream table; 0 without old streams
 *       40    24  coded bytes by kind (delta_kind), 6 x 4, in units of 16 bytes (for `info`)
 *       64  32 f  frames: each { 8 first byte of the new image that it makes; 8 bytes that it
 *                 makes; 8 offset of its coded bytes in the delta; 4 their number;
 *                 4 commands }; they follow each other without gaps on both sides
 *           16 s  the first 16 bytes of the SHA-256 of each segment of the new image
 *             16  the first 16 bytes of the SHA-256 of all before
 *                 the old stream table, coded (code.h)
 *                 the frames' coded bytes, up to the end of the file
 *
 * A frame is independent of all others: its coder starts afresh.  A frame ends when it has used up
 * about 4 MiB of coded bytes or its share of commands, so most deltas have one. */
#ifndef VALISE_DELTA_FORMAT_H
#define VALISE_DELTA_FORMAT_H

#include "base/buf.h"
#include "base/limits.h"
#include "delta/delta.h"

enum {
	FORMAT_VERSION = 4, /* of the coding */
	FORMAT_HEAD = 64,
	FORMAT_FRAME = 32,
	FORMAT_SEGMENT_LOG_MIN = 12,
	FORMAT_SEGMENT_LOG_MAX = 22,
	FORMAT_SPENT_UNIT = 16,
};

struct format_frame {
	uint64_t first, bytes; /* of the new image */
	uint64_t coded_offset; /* in the delta */
	uint32_t coded, ops;
};

struct format {
	uint64_t old_size, new_size;
	unsigned segment_log;
	uint32_t n_frames, n_old_streams, n_new_streams, table_coded;
	uint32_t spent[DELTA_KINDS];
	uint64_t table_offset;              /* in the delta; computed */
	struct format_frame *frames;        /* n_frames, heap */
	uint8_t (*hashes)[DELTA_HASH_SIZE]; /* format_segments(), heap */
};

uint64_t format_segments(const struct format *f);
uint64_t format_head_size(const struct format *f); /* all before the table */

/* Frames' coded_offset must be relative to the first frame's; they are made absolute. */
bool format_encode(struct buf *out, struct format *f, struct err *e) MUST_USE;

/* Parses a delta's first bytes.  The sizes in the fixed head are checked before anything is
 * allocated, and the whole against delta_size.  head has FORMAT_HEAD bytes and says with
 * format_peek how many to bring for format_parse. */
bool format_peek(uint64_t *ret_n, const uint8_t head[static FORMAT_HEAD], uint64_t delta_size,
		 struct err *e) MUST_USE;
bool format_parse(struct format *ret, const uint8_t *p, size_t n, uint64_t delta_size,
		  struct err *e) MUST_USE;
void format_done(struct format *f);

#endif
