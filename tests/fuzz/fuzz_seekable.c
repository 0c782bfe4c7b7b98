/* Seek tables: 8 bytes object size, 8 bytes plain size, 1 byte frame size (power of two), then the table;
 * what is behind it stands for the object's beginning.  Frames lie within the object, in order. */
#include "base/bytes.h"
#include "base/limits.h"
#include "proto/seekable.h"
#include "tests/fuzz/fuzz.h"

static void decode_first(const struct seekable_table *t, const uint8_t *p, size_t n)
{
	CLEANUP(zst_dec_freep) struct zst_dec *z = NULL;
	struct seekable_frame f = seekable_frame_get(t, 0);
	uint8_t *out = malloc(f.plain_bytes);
	struct err e;

	fuzz_must(out && zst_dec_new(&z, &e), "memory");
	if (n >= f.object_bytes)
		(void)!seekable_frame_decode(z, &f, out, p, f.object_bytes, &e);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(seekable_table_freep) struct seekable_table *t = NULL;
	uint64_t object_size, plain_size, at = 0;
	uint32_t frame_size;
	struct err e;
	size_t tail_n;

	if (n < 17)
		return 0;
	object_size = get_le64(p);
	plain_size = get_le64(p + 8);
	frame_size = UINT32_C(1) << p[16] % 32;
	if (!seekable_frame_size_ok(frame_size))
		return 0;
	tail_n = n - 17;
	if (seekable_table_size(plain_size % LIMIT_COMPONENT_SIZE, frame_size) < tail_n)
		tail_n = (size_t)seekable_table_size(plain_size % LIMIT_COMPONENT_SIZE,
						     frame_size);
	if (!seekable_table_parse(&t, p + 17, tail_n, object_size, plain_size, frame_size, &e))
		return 0;
	for (uint32_t i = 0; i < t->frames; i++) {
		struct seekable_frame f = seekable_frame_get(t, i);

		fuzz_must(f.object_offset == at && f.object_bytes > 0 &&
				  f.plain_offset == (uint64_t)i * frame_size &&
				  seekable_frame_at(t, f.plain_offset) == i,
			  "frames out of order");
		at += f.object_bytes;
	}
	fuzz_must(at + tail_n == object_size, "frames do not end at the table");
	if (t->frames > 0)
		decode_first(t, p + 17 + tail_n, n - 17 - tail_n);
	return 0;
}
