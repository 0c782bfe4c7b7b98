#include "delta/format.h"
#include "base/bytes.h"
#include "base/sha256.h"

#include <inttypes.h>
#include <stdlib.h>

static const char magic[4] = { 'V', 'D', 'L', '1' };

uint64_t format_segments(const struct format *f)
{
	uint64_t size = UINT64_C(1) << f->segment_log;

	return f->new_size / size + (f->new_size % size != 0);
}

uint64_t format_head_size(const struct format *f)
{
	return FORMAT_HEAD + (uint64_t)f->n_frames * FORMAT_FRAME +
	       format_segments(f) * DELTA_HASH_SIZE + DELTA_HASH_SIZE;
}

static void encode_fixed(uint8_t p[static FORMAT_HEAD], const struct format *f)
{
	memcpy(p, magic, sizeof(magic));
	p[4] = FORMAT_VERSION;
	p[5] = (uint8_t)f->segment_log;
	p[6] = p[7] = 0;
	put_le64(p + 8, f->old_size);
	put_le64(p + 16, f->new_size);
	put_le32(p + 24, f->n_frames);
	put_le32(p + 28, f->n_old_streams);
	put_le32(p + 32, f->n_new_streams);
	put_le32(p + 36, f->table_coded);
	for (unsigned i = 0; i < DELTA_KINDS; i++)
		put_le32(p + 40 + 4 * i, f->spent[i]);
}

bool format_encode(struct buf *out, struct format *f, struct err *e)
{
	uint8_t fixed[FORMAT_HEAD], hash[SHA256_SIZE];
	size_t start = out->n;

	f->table_offset = format_head_size(f);
	encode_fixed(fixed, f);
	if (!buf_add(out, fixed, sizeof(fixed), e))
		return false;
	for (uint32_t i = 0; i < f->n_frames; i++) {
		struct format_frame *frame = &f->frames[i];
		uint8_t p[FORMAT_FRAME];

		frame->coded_offset += f->table_offset + f->table_coded;
		put_le64(p, frame->first);
		put_le64(p + 8, frame->bytes);
		put_le64(p + 16, frame->coded_offset);
		put_le32(p + 24, frame->coded);
		put_le32(p + 28, frame->ops);
		if (!buf_add(out, p, sizeof(p), e))
			return false;
	}
	if (!buf_add(out, f->hashes, (size_t)format_segments(f) * DELTA_HASH_SIZE, e))
		return false;
	sha256(hash, out->p + start, out->n - start);
	return buf_add(out, hash, DELTA_HASH_SIZE, e);
}

static bool parse_fixed(struct format *ret, const uint8_t p[static FORMAT_HEAD],
			uint64_t delta_size, struct err *e)
{
	struct format f = { .segment_log = p[5],
			    .old_size = get_le64(p + 8),
			    .new_size = get_le64(p + 16),
			    .n_frames = get_le32(p + 24),
			    .n_old_streams = get_le32(p + 28),
			    .n_new_streams = get_le32(p + 32),
			    .table_coded = get_le32(p + 36) };

	for (unsigned i = 0; i < DELTA_KINDS; i++)
		f.spent[i] = get_le32(p + 40 + 4 * i);
	if (memcmp(p, magic, sizeof(magic)) != 0)
		return err_set(e, E_FORMAT, "not a delta");
	if (p[4] != FORMAT_VERSION)
		return err_set(e, E_UNSUPPORTED, "a delta of version %u", p[4]);
	if (f.segment_log < FORMAT_SEGMENT_LOG_MIN || f.segment_log > FORMAT_SEGMENT_LOG_MAX ||
	    p[6] || p[7])
		return err_set(e, E_FORMAT, "a segment size of 2^%u", f.segment_log);
	if (f.old_size > LIMIT_DELTA_IMAGE || f.new_size > LIMIT_DELTA_IMAGE)
		return err_set(e, E_TOO_BIG, "images larger than 2^40 bytes");
	if (f.n_old_streams > LIMIT_DELTA_STREAMS ||
	    (f.n_old_streams == 0) != (f.table_coded == 0))
		return err_set(e, E_FORMAT,
			       "a table of %" PRIu32 " streams in %" PRIu32 " bytes",
			       f.n_old_streams, f.table_coded);
	if ((f.n_frames == 0) != (f.new_size == 0))
		return err_set(e, E_FORMAT, "%" PRIu32 " frames for %" PRIu64 " bytes",
			       f.n_frames, f.new_size);
	if (format_head_size(&f) > LIMIT_DELTA_HEAD)
		return err_set(e, E_TOO_BIG, "an index of %" PRIu64 " bytes",
			       format_head_size(&f));
	if (format_head_size(&f) + f.table_coded > delta_size)
		return err_set(e, E_CORRUPT, "the delta ends early");
	f.table_offset = format_head_size(&f);
	*ret = f;
	return true;
}

bool format_peek(uint64_t *ret_n, const uint8_t head[static FORMAT_HEAD], uint64_t delta_size,
		 struct err *e)
{
	struct format f;

	if (!parse_fixed(&f, head, delta_size, e))
		return false;
	*ret_n = f.table_offset;
	return true;
}

/* Frames must follow each other without gaps in the new image and in the delta. */
static bool parse_frames(struct format *f, struct rd *r, uint64_t delta_size, struct err *e)
{
	uint64_t at = 0, coded_at = f->table_offset + f->table_coded;

	for (uint32_t i = 0; i < f->n_frames; i++) {
		struct format_frame *frame = &f->frames[i];

		*frame = (struct format_frame){ .first = rd_le64(r),
						.bytes = rd_le64(r),
						.coded_offset = rd_le64(r),
						.coded = rd_le32(r),
						.ops = rd_le32(r) };
		if (frame->first != at || frame->bytes == 0 || frame->bytes > f->new_size - at)
			return err_set(e, E_FORMAT, "frame %" PRIu32 " is out of place", i);
		if (frame->coded_offset != coded_at || frame->coded > LIMIT_DELTA_FRAME ||
		    frame->coded > delta_size - coded_at)
			return err_set(e, E_FORMAT, "frame %" PRIu32 " lies outside the delta",
				       i);
		if (frame->ops == 0 || frame->ops > LIMIT_DELTA_OPS)
			return err_set(e, E_FORMAT, "frame %" PRIu32 " of %" PRIu32 " commands",
				       i, frame->ops);
		at += frame->bytes;
		coded_at += frame->coded;
	}
	if (at != f->new_size || coded_at != delta_size)
		return err_set(e, E_FORMAT, "the frames do not fill the image or the delta");
	return true;
}

bool format_parse(struct format *ret, const uint8_t *p, size_t n, uint64_t delta_size,
		  struct err *e)
{
	CLEANUP(format_done) struct format f = { 0 };
	uint8_t hash[SHA256_SIZE];
	struct rd r = rd_init(p, n);
	size_t segments;

	if (n < FORMAT_HEAD)
		return err_set(e, E_FORMAT, "not a delta: %zu bytes", n);
	if (!parse_fixed(&f, rd_bytes(&r, FORMAT_HEAD), delta_size, e))
		return false;
	if (n != f.table_offset)
		return err_set(e, E_CORRUPT, "the delta ends early");
	sha256(hash, p, n - DELTA_HASH_SIZE);
	if (memcmp(hash, p + n - DELTA_HASH_SIZE, DELTA_HASH_SIZE) != 0)
		return err_set(e, E_CORRUPT, "the index of the delta is damaged");
	segments = (size_t)format_segments(&f);
	f.frames = calloc((size_t)f.n_frames + 1, sizeof(*f.frames));
	f.hashes = calloc(segments + 1, sizeof(*f.hashes));
	if (!f.frames || !f.hashes)
		return err_nomem(e);
	if (!parse_frames(&f, &r, delta_size, e))
		return false;
	memcpy(f.hashes, rd_bytes(&r, segments * DELTA_HASH_SIZE), segments * DELTA_HASH_SIZE);
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
