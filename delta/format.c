#include "delta/format.h"
#include "base/bytes.h"
#include "base/sha256.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint8_t magic[3] = { 'V', 'D', 'L' };

enum {
	FIXED = 5,
	LOG_MASK = 15,
	HAS_STREAMS = 16,
	HAS_SPENT = 32,
	HAS_FRAMES = 64,
	IS_SUMMED = 128
};

/* Commands, bytes, coded bytes: less than 2^21, 2^42, 2^28. */
enum { ROW_MAX = 3 + 6 + 4 };

uint64_t format_segments(const struct format *f)
{
	uint64_t size = UINT64_C(1) << f->segment_log;

	return f->new_size / size + (f->new_size % size != 0);
}

/* In the file. */
static uint64_t hash_bytes(const struct format *f)
{
	return (f->is_summed ? 1 : format_segments(f)) * DELTA_HASH_SIZE;
}

void format_sum(uint8_t ret[static DELTA_HASH_SIZE], const struct format *f)
{
	uint8_t hash[SHA256_SIZE];

	sha256(hash, f->hashes, (size_t)format_segments(f) * DELTA_HASH_SIZE);
	memcpy(ret, hash, DELTA_HASH_SIZE);
}

uint64_t format_head_max(const struct format *f)
{
	return FORMAT_PEEK + (uint64_t)f->n_frames * ROW_MAX +
	       format_segments(f) * DELTA_HASH_SIZE + FORMAT_CHECK;
}

/* ---- encoding ---- */

static bool number_add(struct buf *out, uint64_t v, struct err *e)
{
	uint8_t bytes[VARINT_ROOM];

	return buf_add(out, bytes, put_varint(bytes, v), e);
}

static uint8_t flags_of(const struct format *f)
{
	unsigned flags = f->segment_log - FORMAT_SEGMENT_LOG_MIN;

	if (f->is_summed)
		flags |= IS_SUMMED;
	if (f->n_frames > 1)
		flags |= HAS_FRAMES;
	if (f->n_old_streams || f->n_new_streams)
		flags |= HAS_STREAMS;
	for (unsigned i = 0; i < DELTA_KINDS; i++)
		if (f->spent[i])
			flags |= HAS_SPENT;
	return (uint8_t)flags;
}

static bool encode_rows(struct buf *out, const struct format *f, struct err *e)
{
	for (uint32_t i = 0; i < f->n_frames; i++) {
		const struct format_frame *frame = &f->frames[i];
		uint8_t row[3 * VARINT_ROOM];
		size_t n = put_varint(row, frame->ops);

		if (i + 1 < f->n_frames) {
			n += put_varint(row + n, frame->bytes);
			n += put_varint(row + n, frame->coded);
		}
		if (!buf_add(out, row, n, e))
			return false;
	}
	return true;
}

static bool encode_counts(struct buf *out, const struct format *f, uint64_t rows_n,
			  struct err *e)
{
	uint8_t flags = flags_of(f);
	const uint8_t fixed[FIXED] = { magic[0], magic[1], magic[2], FORMAT_VERSION, flags };
	uint64_t numbers[2 + 2 + 3 + DELTA_KINDS];
	unsigned n = 0;

	if (!buf_add(out, fixed, sizeof(fixed), e))
		return false;
	numbers[n++] = f->old_size;
	numbers[n++] = f->new_size;
	if (flags & HAS_FRAMES) {
		numbers[n++] = f->n_frames;
		numbers[n++] = rows_n;
	}
	if (flags & HAS_STREAMS) {
		numbers[n++] = f->n_old_streams;
		numbers[n++] = f->table_coded;
		numbers[n++] = f->n_new_streams;
	}
	for (unsigned i = 0; flags & HAS_SPENT && i < DELTA_KINDS; i++)
		numbers[n++] = f->spent[i];
	for (unsigned i = 0; i < n; i++)
		if (!number_add(out, numbers[i], e))
			return false;
	return true;
}

bool format_encode(struct buf *out, struct format *f, struct err *e)
{
	CLEANUP(buf_done) struct buf rows = BUF_INIT(LIMIT_DELTA_HEAD);
	uint8_t hash[SHA256_SIZE];
	size_t start = out->n;

	if (f->is_summed)
		format_sum(f->sum, f);
	if (!encode_rows(&rows, f, e) || !encode_counts(out, f, rows.n, e) ||
	    !buf_add(out, rows.p, rows.n, e) ||
	    !buf_add(out, f->is_summed ? f->sum : (const uint8_t *)f->hashes,
		     (size_t)hash_bytes(f), e))
		return false;
	sha256(hash, out->p + start, out->n - start);
	if (!buf_add(out, hash, FORMAT_CHECK, e))
		return false;
	f->table_offset = out->n - start;
	for (uint32_t i = 0; i < f->n_frames; i++)
		f->frames[i].coded_offset += f->table_offset + f->table_coded;
	return true;
}

/* ---- parsing ---- */

/* What comes before the rows, and how long these are. */
struct counts {
	struct format format;
	size_t rows_at, rows_n;
};

static uint32_t number32(struct rd *r)
{
	uint64_t v = rd_varint(r);

	if (v > UINT32_MAX)
		r->bad = true;
	return (uint32_t)v;
}

/* The only row of a delta of one frame, a number, has no size of its own. */
static size_t number_size(struct rd r)
{
	const uint8_t *p = r.p;

	(void)rd_varint(&r);
	return (size_t)(r.p - p);
}

static void read_counts(struct counts *c, struct rd *r, unsigned flags, const uint8_t *p)
{
	struct format *f = &c->format;
	uint64_t rows_n = 0;

	f->segment_log = (flags & LOG_MASK) + FORMAT_SEGMENT_LOG_MIN;
	f->is_summed = flags & IS_SUMMED;
	f->old_size = rd_varint(r);
	f->new_size = rd_varint(r);
	f->n_frames = f->new_size != 0;
	if (flags & HAS_FRAMES) {
		f->n_frames = number32(r);
		rows_n = number32(r);
	}
	if (flags & HAS_STREAMS) {
		f->n_old_streams = number32(r);
		f->table_coded = number32(r);
		f->n_new_streams = number32(r);
	}
	for (unsigned i = 0; flags & HAS_SPENT && i < DELTA_KINDS; i++)
		f->spent[i] = number32(r);
	c->rows_at = (size_t)(r->p - p);
	c->rows_n = flags & HAS_FRAMES ? rows_n : f->n_frames ? number_size(*r) : 0;
}

static bool check_counts(const struct format *f, unsigned flags, struct err *e)
{
	if (f->segment_log > FORMAT_SEGMENT_LOG_MAX)
		return err_set(e, E_FORMAT, "a segment size of 2^%u", f->segment_log);
	if (f->old_size > LIMIT_DELTA_IMAGE || f->new_size > LIMIT_DELTA_IMAGE)
		return err_set(e, E_TOO_BIG, "images larger than 2^40 bytes");
	if (f->n_old_streams > LIMIT_DELTA_STREAMS ||
	    (f->n_old_streams == 0) != (f->table_coded == 0))
		return err_set(e, E_FORMAT,
			       "a table of %" PRIu32 " streams in %" PRIu32 " bytes",
			       f->n_old_streams, f->table_coded);
	if (flags & HAS_FRAMES && (f->n_frames < 2 || f->n_frames > f->new_size))
		return err_set(e, E_FORMAT, "%" PRIu32 " frames for %" PRIu64 " bytes",
			       f->n_frames, f->new_size);
	if (f->n_frames > LIMIT_DELTA_FRAMES)
		return err_set(e, E_TOO_BIG, "%" PRIu32 " frames", f->n_frames);
	if (f->is_summed && format_segments(f) < 2)
		return err_set(e, E_FORMAT, "a sum of the hashes of %" PRIu64 " segments",
			       format_segments(f));
	if (format_segments(f) * DELTA_HASH_SIZE > LIMIT_DELTA_HEAD)
		return err_set(e, E_TOO_BIG, "an index of %" PRIu64 " hashes",
			       format_segments(f));
	return true;
}

static bool parse_counts(struct counts *ret, const uint8_t *p, size_t n, uint64_t delta_size,
			 struct err *e)
{
	struct counts c = { 0 };
	struct rd r = rd_init(p, n);
	const uint8_t *fixed = rd_bytes(&r, FIXED);
	uint64_t size;

	if (!fixed || memcmp(fixed, magic, sizeof(magic)) != 0)
		return err_set(e, E_FORMAT, "not a delta");
	if (fixed[3] != FORMAT_VERSION)
		return err_set(e, E_UNSUPPORTED, "a delta of version %u", fixed[3]);
	read_counts(&c, &r, fixed[4], p);
	if (r.bad)
		return err_set(e, E_CORRUPT, "the index of the delta is damaged");
	if (!check_counts(&c.format, fixed[4], e))
		return false;
	size = c.rows_at + (uint64_t)c.rows_n + hash_bytes(&c.format) + FORMAT_CHECK;
	if (size > LIMIT_DELTA_HEAD)
		return err_set(e, E_TOO_BIG, "an index of %" PRIu64 " bytes", size);
	if (size + c.format.table_coded > delta_size)
		return err_set(e, E_CORRUPT, "the delta ends early");
	c.format.table_offset = size;
	*ret = c;
	return true;
}

bool format_peek(uint64_t *ret_n, const uint8_t *p, size_t n, uint64_t delta_size,
		 struct err *e)
{
	struct counts c;

	if (!parse_counts(&c, p, n, delta_size, e))
		return false;
	*ret_n = c.format.table_offset;
	return true;
}

/* Frames follow each other without gaps in the new image and in the delta, and the last one takes what is left. */
static bool parse_rows(struct format *f, struct rd r, uint64_t delta_size, struct err *e)
{
	uint64_t at = 0, coded_at = f->table_offset + f->table_coded;

	for (uint32_t i = 0; i < f->n_frames; i++) {
		bool last = i + 1 == f->n_frames;
		uint64_t ops = rd_varint(&r);
		uint64_t bytes = last ? f->new_size - at : rd_varint(&r);
		uint64_t coded = last ? delta_size - coded_at : rd_varint(&r);

		if (bytes == 0 || bytes > f->new_size - at)
			return err_set(e, E_FORMAT, "frame %" PRIu32 " is out of place", i);
		if (coded > LIMIT_DELTA_FRAME || coded > delta_size - coded_at)
			return err_set(e, E_FORMAT, "frame %" PRIu32 " lies outside the delta",
				       i);
		if (ops == 0 || ops > LIMIT_DELTA_OPS)
			return err_set(e, E_FORMAT, "frame %" PRIu32 " of %" PRIu64 " commands",
				       i, ops);
		f->frames[i] = (struct format_frame){ .first = at,
						      .bytes = bytes,
						      .coded_offset = coded_at,
						      .coded = (uint32_t)coded,
						      .ops = (uint32_t)ops };
		at += bytes;
		coded_at += coded;
	}
	if (!rd_ok_at_end(&r) || coded_at != delta_size)
		return err_set(e, E_FORMAT, "the frames do not fill their rows or the delta");
	return true;
}

bool format_parse(struct format *ret, const uint8_t *p, size_t n, uint64_t delta_size,
		  struct err *e)
{
	CLEANUP(format_done) struct format f = { 0 };
	uint8_t hash[SHA256_SIZE];
	struct counts c;
	size_t hashes_at, segments;

	if (!parse_counts(&c, p, n, delta_size, e))
		return false;
	if (n != c.format.table_offset)
		return err_set(e, E_CORRUPT, "the delta ends early");
	sha256(hash, p, n - FORMAT_CHECK);
	if (memcmp(hash, p + n - FORMAT_CHECK, FORMAT_CHECK) != 0)
		return err_set(e, E_CORRUPT, "the index of the delta is damaged");
	f = c.format;
	segments = (size_t)format_segments(&f);
	f.frames = calloc((size_t)f.n_frames + 1, sizeof(*f.frames));
	f.hashes = calloc(segments + 1, sizeof(*f.hashes));
	if (!f.frames || !f.hashes)
		return err_nomem(e);
	if (!parse_rows(&f, rd_init(p + c.rows_at, c.rows_n), delta_size, e))
		return false;
	hashes_at = c.rows_at + c.rows_n;
	memcpy(f.is_summed ? f.sum : f.hashes[0], p + hashes_at, (size_t)hash_bytes(&f));
	*ret = f;
	f = (struct format){ 0 };
	return true;
}

void format_done(struct format *f)
{
	free(f->frames);
	free(f->hashes);
	*f = (struct format){ 0 };
}
