#include "proto/seekable.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/seekable_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 8, ENTRY = 8, FOOTER = 9 };
static const uint32_t skippable_magic = 0x184D2A5E, seekable_magic = 0x8F92EAB1;

bool seekable_frame_size_ok(uint64_t frame_size)
{
	return frame_size >= SEEKABLE_FRAME_MIN && frame_size <= LIMIT_FRAME_SIZE &&
	       (frame_size & (frame_size - 1)) == 0;
}

static uint64_t frames_of(uint64_t plain_size, uint32_t frame_size)
{
	return plain_size / frame_size + (plain_size % frame_size != 0);
}

uint64_t seekable_table_size(uint64_t plain_size, uint32_t frame_size)
{
	assert(seekable_frame_size_ok(frame_size));
	return HEADER + ENTRY * frames_of(plain_size, frame_size) + FOOTER;
}

bool seekable_table_encode(struct buf *out, const uint8_t *entries, uint32_t frames,
			   struct err *e)
{
	uint8_t head[HEADER], foot[FOOTER] = { 0 };

	put_le32(head, skippable_magic);
	put_le32(head + 4, frames * ENTRY + FOOTER);
	put_le32(foot, frames);
	put_le32(foot + 5, seekable_magic);
	return buf_add(out, head, sizeof(head), e) &&
	       buf_add(out, entries, (size_t)frames * ENTRY, e) &&
	       buf_add(out, foot, sizeof(foot), e);
}

/* ---- reading ---- */

void seekable_table_free(struct seekable_table *t)
{
	if (!t)
		return;
	free(t->starts);
	free(t);
}

static uint32_t plain_bytes(const struct seekable_table *t, uint32_t i)
{
	uint64_t left = t->plain_size - (uint64_t)i * t->frame_size;

	return left < t->frame_size ? (uint32_t)left : t->frame_size;
}

/* Sizes add up to where the table begins; each frame is as large as its place says. */
static bool read_entries(struct seekable_table *t, struct rd *r, uint64_t end, struct err *e)
{
	uint64_t at = 0, most = zst_bound(t->frame_size);

	for (uint32_t i = 0; i < t->frames; i++) {
		uint32_t packed = rd_le32(r), plain = rd_le32(r);

		if (plain != plain_bytes(t, i) || packed == 0 || packed > most)
			return err_set(e, E_CORRUPT,
				       "seek table: frame %" PRIu32 ": %" PRIu32
				       " bytes for %" PRIu32,
				       i, packed, plain);
		t->starts[i] = at;
		at += packed;
	}
	t->starts[t->frames] = at;
	if (at != end)
		return err_set(e, E_CORRUPT,
			       "seek table: frames end at %" PRIu64 ", not at %" PRIu64, at,
			       end);
	return true;
}

static bool check_frame(const struct seekable_table *t, const uint8_t *tail, size_t n,
			struct err *e)
{
	const uint8_t *foot = tail + n - FOOTER;

	if (get_le32(tail) != skippable_magic || get_le32(tail + 4) != n - HEADER ||
	    get_le32(foot + 5) != seekable_magic)
		return err_set(e, E_CORRUPT, "seek table: there is none");
	if (foot[4] != 0)
		return err_set(e, E_UNSUPPORTED,
			       "seek table: of a kind that is not known here");
	if (get_le32(foot) != t->frames)
		return err_set(e, E_CORRUPT, "seek table: %" PRIu32 " frames, not %" PRIu32,
			       get_le32(foot), t->frames);
	return true;
}

bool seekable_table_parse(struct seekable_table **ret, const void *tail, size_t n,
			  uint64_t object_size, uint64_t plain_size, uint32_t frame_size,
			  struct err *e)
{
	CLEANUP(seekable_table_freep) struct seekable_table *t = NULL;
	struct rd r;

	if (!seekable_frame_size_ok(frame_size) ||
	    frames_of(plain_size, frame_size) > LIMIT_SEEK_FRAMES)
		return err_set(e, E_TOO_BIG,
			       "seek table: %" PRIu64 " bytes in frames of %" PRIu32,
			       plain_size, frame_size);
	if (n != seekable_table_size(plain_size, frame_size) || object_size < n)
		return err_set(e, E_CORRUPT, "seek table: %zu bytes do not fit", n);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_nomem(e);
	t->plain_size = plain_size;
	t->object_size = object_size;
	t->frame_size = frame_size;
	t->frames = (uint32_t)frames_of(plain_size, frame_size);
	t->starts = calloc((size_t)t->frames + 1, sizeof(*t->starts));
	if (!t->starts)
		return err_nomem(e);
	r = rd_init((const uint8_t *)tail + HEADER, n - HEADER);
	if (!check_frame(t, tail, n, e) || !read_entries(t, &r, object_size - n, e))
		return false;
	*ret = TAKE(t);
	return true;
}

struct seekable_frame seekable_frame_get(const struct seekable_table *t, uint32_t i)
{
	assert(i < t->frames);
	return (struct seekable_frame){
		.object_offset = t->starts[i],
		.plain_offset = (uint64_t)i * t->frame_size,
		.object_bytes = (uint32_t)(t->starts[i + 1] - t->starts[i]),
		.plain_bytes = plain_bytes(t, i),
	};
}

uint32_t seekable_frame_at(const struct seekable_table *t, uint64_t plain_offset)
{
	assert(plain_offset < t->plain_size);
	return (uint32_t)(plain_offset / t->frame_size);
}

bool seekable_frame_decode(struct zst_dec *z, const struct seekable_frame *f, void *out,
			   const void *p, size_t n, struct err *e)
{
	if (n != f->object_bytes)
		return err_set(e, E_CORRUPT, "frame at %" PRIu64 ": %zu bytes, not %" PRIu32,
			       f->plain_offset, n, f->object_bytes);
	return zst_frame_decode(z, out, f->plain_bytes, p, n, e) ||
	       err_wrap(e, "frame at %" PRIu64, f->plain_offset);
}
