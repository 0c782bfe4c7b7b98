/* The container: what it says is believed only where it fits. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"

#include "base/bytes.h"
#include "base/sha256.h"

enum {
	OFF_VERSION = 4,
	OFF_LOG = 5,
	OFF_ZERO = 6,
	OFF_OLD = 8,
	OFF_NEW = 16,
	OFF_FRAMES = 24,
	OFF_STREAMS = 28,
	OFF_TABLE = 36
};
/* of a frame's row */
enum { ROW_FIRST = 0, ROW_BYTES = 8, ROW_OFFSET = 16, ROW_CODED = 24, ROW_OPS = 28 };

/* Two frames of 5000 and 5000 zeros, three segments of 4 KiB. */
static struct buf sample(void)
{
	static const uint8_t zeros[10000];
	static const struct op op = { .kind = OP_ZERO, .n = 5000 };
	const struct forge_piece piece = { .piece = { .size = 5000 }, .ops = &op, .n_ops = 1 };
	struct forge f;

	forge_init(&f, "old", 3, 3, zeros, sizeof(zeros), 12);
	forge_frame(&f, &piece, 1);
	forge_frame(&f, &piece, 1);
	return forge_finish(&f);
}

static bool parse(const struct buf *b, struct err *e)
{
	CLEANUP(format_done) struct format f = { 0 };
	uint64_t n = 0;

	return format_peek(&n, b->p, b->n, e) && n <= b->n &&
	       format_parse(&f, b->p, (size_t)n, b->n, e);
}

static void what_was_written_reads_the_same(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	CLEANUP(buf_done) struct buf again = BUF_INIT(1 << 16);
	CLEANUP(format_done) struct format f = { 0 };
	uint64_t n = 0;
	struct err e;

	assert_ok(format_peek(&n, b.p, b.n, &e), &e);
	assert_int_equal(n, 64 + 2 * 32 + 3 * 16 + 16);
	assert_ok(format_parse(&f, b.p, (size_t)n, b.n, &e), &e);
	assert_int_equal(f.new_size, 10000);
	assert_int_equal(format_segments(&f), 3);
	assert_int_equal(f.frames[1].first, 5000);
	assert_int_equal(f.frames[0].coded_offset, n);
	for (unsigned i = 0; i < 2; i++)
		f.frames[i].coded_offset -= n;
	assert_ok(format_encode(&again, &f, &e), &e);
	assert_int_equal(again.n, n);
	assert_memory_equal(again.p, b.p, again.n);
}

static void put(uint8_t *p, size_t size, uint64_t v)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static void a_head_that_lies_is_refused(void **state UNUSED)
{
	static const struct {
		size_t at, size;
		uint64_t value;
		enum err_code code;
	} rows[] = {
		{ 0, 1, 'W', E_FORMAT },
		{ OFF_VERSION, 1, 0, E_UNSUPPORTED },
		{ OFF_VERSION, 1, 1, E_UNSUPPORTED },
		{ OFF_VERSION, 1, 255, E_UNSUPPORTED },
		{ OFF_LOG, 1, 11, E_FORMAT },
		{ OFF_LOG, 1, 23, E_FORMAT },
		{ OFF_LOG, 1, 255, E_FORMAT },
		{ OFF_ZERO, 1, 1, E_FORMAT },
		{ OFF_ZERO + 1, 1, 1, E_FORMAT },
		{ OFF_OLD, 8, LIMIT_DELTA_IMAGE + 1, E_TOO_BIG },
		{ OFF_OLD, 8, UINT64_MAX, E_TOO_BIG },
		{ OFF_NEW, 8, LIMIT_DELTA_IMAGE + 1, E_TOO_BIG },
		{ OFF_NEW, 8, UINT64_MAX, E_TOO_BIG },
		{ OFF_NEW, 8, 0, E_FORMAT },                  /* frames without an image */
		{ OFF_NEW, 8, LIMIT_DELTA_IMAGE, E_TOO_BIG }, /* 4 GiB of hashes */
		{ OFF_NEW, 8, 1 << 20, E_CORRUPT },
		{ OFF_FRAMES, 4, 0, E_FORMAT }, /* an image without frames */
		{ OFF_FRAMES, 4, UINT32_MAX, E_TOO_BIG },
		{ OFF_FRAMES, 4, 1000, E_CORRUPT },
		{ OFF_STREAMS, 4, 1, E_FORMAT }, /* of no bytes */
		{ OFF_STREAMS, 4, LIMIT_DELTA_STREAMS + 1, E_FORMAT },
		{ OFF_TABLE, 4, 1, E_FORMAT }, /* of no streams */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = sample();
		uint64_t n = 77;
		struct err e;

		put(b.p + rows[i].at, rows[i].size, rows[i].value);
		assert_fails(format_peek(&n, b.p, b.n, &e), &e, rows[i].code);
		assert_int_equal(n, 77);
	}
}

static void a_table_longer_than_the_delta_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	uint64_t n;
	struct err e;

	put(b.p + OFF_STREAMS, 4, 1);
	put(b.p + OFF_TABLE, 4, UINT32_MAX);
	assert_fails(format_peek(&n, b.p, b.n, &e), &e, E_CORRUPT);
}

/* With the right hash: it was made so. */
static void frames_out_of_place_are_refused(void **state UNUSED)
{
	static const struct {
		unsigned frame, at, size;
		uint64_t value;
	} rows[] = {
		{ 0, ROW_FIRST, 8, 1 },
		{ 1, ROW_FIRST, 8, 4999 },
		{ 1, ROW_FIRST, 8, UINT64_MAX },
		{ 0, ROW_BYTES, 8, 0 },
		{ 0, ROW_BYTES, 8, 4000 },
		{ 0, ROW_BYTES, 8, 10001 },
		{ 1, ROW_BYTES, 8, 4999 },
		{ 1, ROW_BYTES, 8, UINT64_MAX },
		{ 0, ROW_OFFSET, 8, 0 },
		{ 1, ROW_OFFSET, 8, UINT64_MAX },
		{ 0, ROW_CODED, 4, UINT32_MAX },
		{ 0, ROW_CODED, 4, LIMIT_DELTA_FRAME },
		{ 1, ROW_CODED, 4, 0 },
		{ 0, ROW_OPS, 4, 0 },
		{ 1, ROW_OPS, 4, LIMIT_DELTA_OPS + 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = sample();
		struct err e;

		put(b.p + FORMAT_HEAD + rows[i].frame * FORMAT_FRAME + rows[i].at, rows[i].size,
		    rows[i].value);
		forge_rehash(&b);
		if (parse(&b, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_FORMAT);
	}
}

static void a_damaged_or_cut_index_is_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	CLEANUP(format_done) struct format f = { 0 };
	uint64_t n = 0;
	struct err e;

	assert_ok(format_peek(&n, b.p, b.n, &e), &e);
	assert_fails(format_parse(&f, b.p, 63, b.n, &e), &e, E_FORMAT);
	assert_fails(format_parse(&f, b.p, (size_t)n - 1, b.n, &e), &e, E_CORRUPT);
	b.p[0] ^= 1;
	assert_fails(format_parse(&f, b.p, (size_t)n, b.n, &e), &e, E_FORMAT);
	b.p[0] ^= 1;
	for (size_t bit = 64 * 8; bit < n * 8; bit += 5) {
		flip_bit(b.p, bit);
		assert_fails(format_parse(&f, b.p, (size_t)n, b.n, &e), &e, E_CORRUPT);
		flip_bit(b.p, bit);
	}
	assert_null(f.frames);
	/* Bytes behind the last frame are no part of a delta. */
	assert_fails(format_parse(&f, b.p, (size_t)n, b.n + 1, &e), &e, E_FORMAT);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	uint64_t n = 0;
	struct err e;

	assert_ok(format_peek(&n, b.p, b.n, &e), &e);
	FAULT_EACH(k, FAULT_ALLOC) {
		CLEANUP(format_done) struct format f = { 0 };

		if (!format_parse(&f, b.p, (size_t)n, b.n, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	CLEANUP(format_done) struct format f = { 0 };
	assert_ok(format_parse(&f, b.p, (size_t)n, b.n, &e), &e);
	for (size_t max = 0; max < n; max += 8) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(max);

		assert_fails(format_encode(&out, &f, &e), &e, E_TOO_BIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_reads_the_same),
		cmocka_unit_test(a_head_that_lies_is_refused),
		cmocka_unit_test(a_table_longer_than_the_delta_is_refused),
		cmocka_unit_test(frames_out_of_place_are_refused),
		cmocka_unit_test(a_damaged_or_cut_index_is_told),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
