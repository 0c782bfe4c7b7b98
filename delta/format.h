/* delta/format.h - the delta container, byte by byte.
 *
 * Numbers whose SIZE is v are varints (base/bytes.h), others little endian.  Everything up to the table is read when
 * a delta is opened; what a small delta does not need is not there:
 *
 *   SIZE  FIELD
 *      3  magic "VDL"
 *      1  version of the coding, 5
 *      1  bits 0-3: log2 of the segment size, less 12, 0 to 10; bit 4: streams; bit 5: costs;
 *         bit 6: several frames; bit 7: the segments' hashes as one
 *      v  size of the old image
 *      v  size of the new image; 0: no frame, else one or several
 *    2 v  with bit 6: number of frames, at least 2; bytes of their rows
 *    3 v  with bit 4: number of old streams in the table; its coded bytes, 0 without old streams;
 *         number of new streams in all frames (for `info`)
 *    6 v  with bit 5: coded bytes by kind (delta_kind), in units of 16 bytes (for `info`)
 *         frames, a row each: { v commands; but for the last one: v bytes of the new image that it makes,
 *         v coded bytes }; they follow each other without gaps on both sides, the last one up to the end
 *   16 s  the first 16 bytes of the SHA-256 of each segment of the new image; with bit 7 (from two segments on)
 *         only the first 16 bytes of the SHA-256 of all of these
 *      4  the first 4 bytes of the SHA-256 of all before
 *         the old stream table, coded (code.h)
 *         the frames' coded bytes, up to the end of the file
 *
 * A frame is independent of all others: its coder starts afresh.  A frame ends when it has used up
 * about 4 MiB of coded bytes or its share of commands, so most deltas have one.
 *
 * A delta that is small for its image would be hashes mostly.  So these come as one where they were more than
 * an eighth of the rest, and who applies such a delta makes the image once for the hashes alone, before
 * anything leaves: small deltas are quickly applied.
 *
 * Four bytes tell damage early and cheaply; that nothing wrong comes out is what the segments' hashes see to.  Where the
 * last frame ends is not written: who applies it finds a delta too short or too long. */
#ifndef VALISE_DELTA_FORMAT_H
#define VALISE_DELTA_FORMAT_H

#include "base/buf.h"
#include "base/limits.h"
#include "delta/delta.h"

enum {
	FORMAT_VERSION = 5, /* of the coding */
	FORMAT_PEEK = 128,  /* all before the rows fits */
	FORMAT_CHECK = 4,
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
	uint32_t spent[DELTA_KINDS];        /* all 0: not told */
	uint64_t table_offset;              /* in the delta; computed */
	struct format_frame *frames;        /* n_frames, heap */
	bool is_summed;                     /* the delta has their sum instead of: */
	uint8_t (*hashes)[DELTA_HASH_SIZE]; /* format_segments(), heap */
	uint8_t sum[DELTA_HASH_SIZE];
};

uint64_t format_segments(const struct format *f);

/* Of what f->hashes has. */
void format_sum(uint8_t ret[static DELTA_HASH_SIZE], const struct format *f);

/* No head of as many frames and segments is longer. */
uint64_t format_head_max(const struct format *f);

/* Frames' coded_offset must be relative to the first frame's; they are made absolute, and table_offset is
 * where the head ends. */
bool format_encode(struct buf *out, struct format *f, struct err *e) MUST_USE;

/* Parses a delta's first bytes.  What sizes the head is checked, against limits and delta_size, before anything
 * is allocated.  format_peek: p has the first FORMAT_PEEK bytes, or all when there are fewer; says how many to
 * bring for format_parse. */
bool format_peek(uint64_t *ret_n, const uint8_t *p, size_t n, uint64_t delta_size,
		 struct err *e) MUST_USE;
bool format_parse(struct format *ret, const uint8_t *p, size_t n, uint64_t delta_size,
		  struct err *e) MUST_USE;
void format_done(struct format *f);

#endif
