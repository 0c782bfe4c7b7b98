/* The container: what it says is believed only where it fits. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"

#include "base/bytes.h"
#include "base/sha256.h"

enum { OFF_VERSION = 3, OFF_FLAGS = 4, NUMBERS_AT = 5, BOTH = 10000, EACH = BOTH / 2 };

/* Two frames of 5000 zeros each, three segments of 4 KiB. */
static struct buf sample_with(bool is_summed)
{
	static const uint8_t zeros[BOTH];
	static const struct op op = { .kind = OP_ZERO, .n = EACH };
	const struct forge_piece piece = { .piece = { .size = EACH }, .ops = &op, .n_ops = 1 };
	struct forge f;

	forge_init(&f, "old", 3, 3, zeros, sizeof(zeros), 12);
	f.format.is_summed = is_summed;
	forge_frame(&f, &piece, 1);
	forge_frame(&f, &piece, 1);
	return forge_finish(&f);
}

static struct buf sample(void)
{
	return sample_with(false);
}

/* The least: one frame, one segment. */
static struct buf least(void)
{
	static const uint8_t zeros[EACH];
	static const struct op op = { .kind = OP_ZERO, .n = EACH };
	const struct forge_piece piece = { .piece = { .size = EACH }, .ops = &op, .n_ops = 1 };
	struct forge f;

	forge_init(&f, "old", 3, 3, zeros, sizeof(zeros), 20);
	forge_frame(&f, &piece, 1);
	return forge_finish(&f);
}

static bool parse(struct format *ret, const struct buf *b, struct err *e)
{
	uint64_t n = 0;

	return format_peek(&n, b->p, b->n, b->n, e) && n <= b->n &&
	       format_parse(ret, b->p, (size_t)n, b->n, e);
}

static void assert_same_again(const struct buf *b, struct format *f)
{
	CLEANUP(buf_done) struct buf again = BUF_INIT(1 << 16);
	uint64_t head = f->table_offset;
	struct err e;

	for (unsigned i = 0; i < f->n_frames; i++)
		f->frames[i].coded_offset -= head + f->table_coded;
	assert_true(format_head_max(f) >= head);
	assert_ok(format_encode(&again, f, &e), &e);
	assert_int_equal(again.n, head);
	assert_int_equal(f->table_offset, head);
	assert_memory_equal(again.p, b->p, again.n);
}

static void what_was_written_reads_the_same(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	CLEANUP(format_done) struct format f = { 0 };
	struct err e;

	assert_ok(parse(&f, &b, &e), &e);
	/* old size, new size; two frames; rows of 1 + 2 + 1 and 1 */
	assert_int_equal(f.table_offset, 5 + 1 + 2 + 1 + 1 + 5 + 3 * 16 + 4);
	assert_int_equal(f.old_size, 3);
	assert_int_equal(f.new_size, BOTH);
	assert_int_equal(format_segments(&f), 3);
	assert_int_equal(f.frames[1].first, EACH);
	assert_int_equal(f.frames[1].bytes, EACH);
	assert_int_equal(f.frames[0].coded_offset, f.table_offset);
	assert_int_equal(f.frames[1].coded_offset + f.frames[1].coded, b.n);
	assert_same_again(&b, &f);
}

static void the_hashes_of_segments_may_come_as_one(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample_with(true), whole = sample();
	CLEANUP(format_done) struct format f = { 0 }, all = { 0 };
	static const uint8_t none[3 * DELTA_HASH_SIZE];
	uint8_t sum[DELTA_HASH_SIZE];
	struct err e;

	assert_ok(parse(&f, &b, &e) && parse(&all, &whole, &e), &e);
	assert_true(f.is_summed && !all.is_summed);
	assert_int_equal(f.table_offset, all.table_offset - 2 * DELTA_HASH_SIZE);
	assert_int_equal(f.frames[1].coded_offset, b.n - f.frames[1].coded);
	format_sum(sum, &all);
	assert_memory_equal(f.sum, sum, sizeof(sum));
	assert_memory_equal(f.hashes, none, sizeof(none)); /* not known yet */
	memcpy(f.hashes, all.hashes, sizeof(none));
	assert_same_again(&b, &f);
}

static void a_delta_of_one_frame_needs_little(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = least();
	CLEANUP(format_done) struct format f = { 0 };
	struct err e;

	assert_ok(parse(&f, &b, &e), &e);
	assert_int_equal(f.table_offset, 5 + 1 + 2 + 1 + 16 + 4);
	assert_int_equal(f.n_frames, 1);
	assert_int_equal(f.frames[0].bytes, EACH);
	assert_int_equal(f.frames[0].coded, b.n - f.table_offset);
	assert_same_again(&b, &f);
}

/* Nothing of the new image: no frame, no segment. */
static void an_empty_image_has_neither_frames_nor_segments(void **state UNUSED)
{
	CLEANUP(format_done) struct format f = { .segment_log = 20, .old_size = 300 };
	CLEANUP(format_done) struct format read = { 0 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	struct err e;

	assert_ok(format_encode(&b, &f, &e), &e);
	assert_int_equal(b.n, 5 + 2 + 1 + 4);
	assert_ok(parse(&read, &b, &e), &e);
	assert_int_equal(read.n_frames, 0);
	assert_int_equal(read.old_size, 300);
	/* Coded bytes that no frame has. */
	assert_fails(format_parse(&f, b.p, b.n, b.n + 1, &e), &e, E_FORMAT);
}

/* The longest numbers of all: even then FORMAT_PEEK bytes say how long the head is. */
static void all_that_may_be_told_reads_the_same(void **state UNUSED)
{
	struct format_frame frames[2] = {
		{ .bytes = LIMIT_DELTA_IMAGE - 1, .coded = LIMIT_DELTA_FRAME, .ops = 131072 },
		{ .bytes = 1, .coded_offset = LIMIT_DELTA_FRAME, .coded = 7, .ops = 131072 }
	};
	struct format f = { .old_size = LIMIT_DELTA_IMAGE,
			    .new_size = LIMIT_DELTA_IMAGE,
			    .segment_log = 22,
			    .n_frames = 2,
			    .n_old_streams = LIMIT_DELTA_STREAMS,
			    .n_new_streams = UINT32_MAX,
			    .table_coded = UINT32_MAX,
			    .frames = frames };
	CLEANUP(format_done) struct format read = { 0 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_DELTA_HEAD);
	uint64_t n = 0, size;
	struct err e;

	for (unsigned i = 0; i < DELTA_KINDS; i++)
		f.spent[i] = UINT32_MAX - i;
	f.hashes = calloc((size_t)format_segments(&f), DELTA_HASH_SIZE);
	assert_non_null(f.hashes);
	assert_ok(format_encode(&b, &f, &e), &e);
	size = f.table_offset + UINT32_MAX + LIMIT_DELTA_FRAME + 7;
	assert_ok(format_peek(&n, b.p, FORMAT_PEEK, size, &e), &e);
	assert_int_equal(n, b.n);
	assert_true(format_head_max(&f) >= n);
	assert_ok(format_parse(&read, b.p, b.n, size, &e), &e);
	assert_memory_equal(read.spent, f.spent, sizeof(f.spent));
	assert_int_equal(read.n_old_streams, LIMIT_DELTA_STREAMS);
	assert_int_equal(read.n_new_streams, UINT32_MAX);
	assert_int_equal(read.table_coded, UINT32_MAX);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(read.frames[i].bytes, frames[i].bytes);
		assert_int_equal(read.frames[i].coded, frames[i].coded);
		assert_int_equal(read.frames[i].coded_offset, frames[i].coded_offset);
		assert_int_equal(read.frames[i].ops, frames[i].ops);
	}
	free(f.hashes);
}

static void streams_are_told_of_either_side(void **state UNUSED)
{
	for (unsigned i = 0; i < 4; i++) {
		CLEANUP(format_done)
		struct format f = { .segment_log = 12,
				    .n_old_streams = i & 1 ? 7 : 0,
				    .table_coded = i & 1 ? 500 : 0,
				    .n_new_streams = i & 2 ? 9 : 0 };
		CLEANUP(format_done) struct format read = { 0 };
		CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
		struct err e;

		assert_ok(format_encode(&b, &f, &e), &e);
		assert_int_equal(b.n, 11 + (i ? 3 + (i & 1) : 0));
		assert_ok(format_parse(&read, b.p, b.n, b.n + f.table_coded, &e), &e);
		assert_int_equal(read.n_old_streams, f.n_old_streams);
		assert_int_equal(read.table_coded, f.table_coded);
		assert_int_equal(read.n_new_streams, f.n_new_streams);
	}
}

/* A head of these flags and numbers, room for hashes, and a check that is right wherever it is looked for. */
struct lie {
	unsigned flags;
	uint64_t numbers[13];
	unsigned n;
	enum err_code code;
};

static void put_lie(struct buf *b, const struct lie *lie)
{
	uint8_t fixed[] = { 'V', 'D', 'L', FORMAT_VERSION, (uint8_t)lie->flags };
	static const uint8_t hashes[400];
	struct err e;

	assert_ok(buf_add(b, fixed, sizeof(fixed), &e), &e);
	for (unsigned i = 0; i < lie->n; i++) {
		uint8_t number[VARINT_ROOM];

		assert_ok(buf_add(b, number, put_varint(number, lie->numbers[i]), &e), &e);
	}
	assert_ok(buf_add(b, hashes, sizeof(hashes), &e), &e);
}

enum { STREAMS = 16, SPENT = 32, FRAMES = 64, SUMMED = 128 };

static void a_head_that_lies_is_refused(void **state UNUSED)
{
	static const struct lie rows[] = {
		{ 11, { 1, 1, 1 }, 3, E_FORMAT }, /* segments of 2^23 */
		{ 15, { 1, 1, 1 }, 3, E_FORMAT },
		{ SUMMED, { 1, 0 }, 2, E_FORMAT }, /* of no hash, of one */
		{ SUMMED, { 1, 4096, 1 }, 3, E_FORMAT },
		{ SUMMED, { 1, LIMIT_DELTA_IMAGE, 1 }, 3, E_TOO_BIG }, /* 4 GiB in memory */
		{ 0, { LIMIT_DELTA_IMAGE + 1, 1, 1 }, 3, E_TOO_BIG },
		{ 0, { (UINT64_C(1) << 56) - 1, 1, 1 }, 3, E_TOO_BIG },
		{ 0, { UINT64_MAX, 1, 1 }, 3, E_CORRUPT }, /* of more than eight bytes */
		{ 0, { 1, LIMIT_DELTA_IMAGE + 1, 1 }, 3, E_TOO_BIG },
		{ 10, { 1, LIMIT_DELTA_IMAGE + 1, 1 }, 3, E_TOO_BIG }, /* of few segments */
		{ 0, { 1, LIMIT_DELTA_IMAGE, 1 }, 3, E_TOO_BIG },      /* 4 GiB of hashes */
		{ 0, { 1, 1 << 20, 1 }, 3, E_CORRUPT },                /* 4 KiB */
		{ FRAMES, { 1, 9000, 0, 5 }, 4, E_FORMAT },
		{ FRAMES, { 1, 9000, 1, 5 }, 4, E_FORMAT },
		{ FRAMES, { 1, 0, 2, 5 }, 4, E_FORMAT }, /* frames without an image */
		{ FRAMES, { 1, 9000, 9001, 5 }, 4, E_FORMAT },
		{ FRAMES, { 1, 1 << 30, LIMIT_DELTA_FRAMES + 1, 5 }, 4, E_TOO_BIG },
		{ FRAMES, { 1, 9000, UINT64_C(1) << 32 | 2, 5 }, 4, E_CORRUPT },
		{ FRAMES, { 1, 9000, 2, LIMIT_DELTA_HEAD }, 4, E_TOO_BIG },
		{ FRAMES, { 1, 9000, 2, UINT32_MAX }, 4, E_TOO_BIG },
		{ FRAMES, { 1, 9000, 2, 1000 }, 4, E_CORRUPT },
		{ STREAMS, { 1, 1, 1, 0, 0, 1 }, 6, E_FORMAT }, /* of no bytes */
		{ STREAMS, { 1, 1, 0, 1, 0, 1 }, 6, E_FORMAT }, /* bytes of none */
		{ STREAMS, { 1, 1, LIMIT_DELTA_STREAMS + 1, 1, 0, 1 }, 6, E_FORMAT },
		{ STREAMS, { 1, 1, 1, UINT32_MAX, 0, 1 }, 6, E_CORRUPT }, /* behind the end */
		{ STREAMS, { 1, 1, 0, 0, UINT64_C(1) << 32, 1 }, 6, E_CORRUPT },
		{ SPENT, { 1, 1, 0, 0, 0, 0, 0, UINT64_C(1) << 32, 1 }, 9, E_CORRUPT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
		uint64_t n = 77;
		struct err e;

		put_lie(&b, &rows[i]);
		if (format_peek(&n, b.p, b.n, b.n, &e))
			fail_msg("row %zu is taken", i);
		if (e.code != rows[i].code)
			fail_msg("row %zu: %s", i, e.text);
		assert_int_equal(n, 77);
	}
}

static void what_is_no_delta_or_of_another_version_is_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	uint64_t n;
	struct err e;

	for (size_t at = 0; at < 3; at++) {
		b.p[at] ^= 1;
		assert_fails(format_peek(&n, b.p, b.n, b.n, &e), &e, E_FORMAT);
		b.p[at] ^= 1;
	}
	for (unsigned version = 0; version < 256; version++) {
		b.p[OFF_VERSION] = (uint8_t)version;
		if (version != FORMAT_VERSION)
			assert_fails(format_peek(&n, b.p, b.n, b.n, &e), &e, E_UNSUPPORTED);
	}
	b.p[OFF_VERSION] = FORMAT_VERSION;
	for (size_t have = 0; have < NUMBERS_AT; have++)
		assert_fails(format_peek(&n, b.p, have, b.n, &e), &e, E_FORMAT);
	/* In the middle of the numbers, of the hashes, of the check. */
	for (size_t have = NUMBERS_AT; have < 5 + 1 + 2 + 1 + 1; have++)
		assert_fails(format_peek(&n, b.p, have, have, &e), &e, E_CORRUPT);
	for (size_t have = 5 + 1 + 2 + 1 + 1; have < 5 + 1 + 2 + 1 + 1 + 5 + 3 * 16 + 4; have++)
		assert_fails(format_peek(&n, b.p, have, have, &e), &e, E_CORRUPT);
}

/* With the right check: it was made so.  The rows are five numbers: commands, bytes and coded bytes of the first
 * frame, commands of the second. */
static void frames_out_of_place_are_refused(void **state UNUSED)
{
	enum { CODED = 40, ALL_CODED = 2 * CODED };
	static const struct {
		uint64_t numbers[6];
		unsigned n;
		uint64_t coded; /* bytes behind the head */
		bool ok;
	} rows[] = {
		{ { 1, 5000, CODED, 1 }, 4, ALL_CODED, true },
		{ { 1, 5000, 0, 1 }, 4, 0, true }, /* commands may need no bytes */
		{ { 1, 5000, CODED }, 3, ALL_CODED, false },
		{ { 1, 5000 }, 2, ALL_CODED, false },
		{ { 1, 5000, CODED, 1, 0 }, 5, ALL_CODED, false },
		{ { 1, 0, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, BOTH, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, BOTH + 1, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, (UINT64_C(1) << 56) - 1, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, UINT64_MAX, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, 5000, ALL_CODED + 1, 1 }, 4, ALL_CODED, false },
		{ { 1, 5000, LIMIT_DELTA_FRAME + 1, 1 }, 4, UINT32_MAX, false },
		{ { 1, 5000, CODED, 1 }, 4, CODED + LIMIT_DELTA_FRAME, true },
		{ { 1, 5000, CODED, 1 }, 4, CODED + LIMIT_DELTA_FRAME + 1, false },
		{ { 0, 5000, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, 5000, CODED, 0 }, 4, ALL_CODED, false },
		{ { LIMIT_DELTA_OPS, 5000, CODED, LIMIT_DELTA_OPS }, 4, ALL_CODED, true },
		{ { LIMIT_DELTA_OPS + 1, 5000, CODED, 1 }, 4, ALL_CODED, false },
		{ { 1, 5000, CODED, LIMIT_DELTA_OPS + 1 }, 4, ALL_CODED, false },
		{ { 1, 5000, CODED, UINT64_C(1) << 32 | 1 }, 4, ALL_CODED, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
		struct lie head = { FRAMES, { 3, BOTH, 2 }, 4, 0 };
		CLEANUP(format_done) struct format f = { 0 };
		uint8_t number[VARINT_ROOM];
		uint64_t n = 0;
		struct err e;

		for (unsigned k = 0; k < rows[i].n; k++) {
			head.numbers[3] += put_varint(number, rows[i].numbers[k]);
			head.numbers[4 + k] = rows[i].numbers[k];
		}
		head.n += rows[i].n;
		put_lie(&b, &head);
		assert_ok(format_peek(&n, b.p, b.n, UINT32_MAX, &e), &e);
		forge_rehash(&b);
		if (format_parse(&f, b.p, (size_t)n, n + rows[i].coded, &e) != rows[i].ok)
			fail_msg("row %zu", i);
		if (!rows[i].ok)
			assert_int_equal(e.code, E_FORMAT);
	}
}

/* And not the next one, which would begin behind the end. */
static void a_frame_longer_than_the_delta_is_told_of_itself(void **state UNUSED)
{
	enum { ALL_CODED = 80 };
	const struct lie head = { FRAMES, { 3, BOTH, 2, 5, 1, EACH, ALL_CODED + 1, 1 }, 8, 0 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	CLEANUP(format_done) struct format f = { 0 };
	uint64_t n = 0;
	struct err e;

	put_lie(&b, &head);
	assert_ok(format_peek(&n, b.p, b.n, UINT32_MAX, &e), &e);
	forge_rehash(&b);
	assert_fails(format_parse(&f, b.p, (size_t)n, n + ALL_CODED, &e), &e, E_FORMAT);
	assert_non_null(strstr(e.text, "frame 0 lies outside"));
}

/* With a check that is right for what is there. */
static void a_head_shorter_than_it_says_is_never_read_beyond(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	CLEANUP(format_done) struct format f = { 0 };
	uint64_t head = 0;
	struct err e;

	assert_ok(format_peek(&head, b.p, b.n, b.n, &e), &e);
	for (size_t n = (size_t)head - 1; n >= NUMBERS_AT + 5; n--) {
		uint8_t *part = malloc(n), hash[SHA256_SIZE];

		assert_non_null(part);
		memcpy(part, b.p, n - FORMAT_CHECK);
		sha256(hash, part, n - FORMAT_CHECK);
		memcpy(part + n - FORMAT_CHECK, hash, FORMAT_CHECK);
		assert_false(format_parse(&f, part, n, b.n, &e));
		free(part);
	}
}

static void the_only_frame_has_its_number_of_commands(void **state UNUSED)
{
	static const uint64_t rows[] = { 0, LIMIT_DELTA_OPS + 1, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct lie head = { 0, { 3, EACH, rows[i] }, 3, 0 };
		CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
		CLEANUP(format_done) struct format f = { 0 };
		uint64_t n = 0;
		struct err e;

		put_lie(&b, &head);
		assert_ok(format_peek(&n, b.p, b.n, b.n, &e), &e);
		forge_rehash(&b);
		assert_fails(format_parse(&f, b.p, (size_t)n, b.n, &e), &e, E_FORMAT);
	}
}

/* Each bit of the head, of a delta with one frame and of those with two. */
static void a_damaged_or_cut_index_is_told(void **state UNUSED)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		CLEANUP(buf_done) struct buf b = kind == 2 ? least() : sample_with(kind);
		CLEANUP(format_done) struct format f = { 0 };
		uint64_t n = 0;
		struct err e;

		assert_ok(format_peek(&n, b.p, b.n, b.n, &e), &e);
		assert_fails(format_parse(&f, b.p, 4, b.n, &e), &e, E_FORMAT);
		assert_fails(format_parse(&f, b.p, (size_t)n - 1, b.n, &e), &e, E_CORRUPT);
		assert_fails(format_parse(&f, b.p, (size_t)n + 1, b.n, &e), &e, E_CORRUPT);
		for (size_t bit = 0; bit < n * 8; bit++) {
			flip_bit(b.p, bit);
			assert_false(parse(&f, &b, &e));
			flip_bit(b.p, bit);
		}
		assert_null(f.frames);
	}
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = sample();
	CLEANUP(format_done) struct format f = { 0 };
	struct err e;

	FAULT_EACH(k, FAULT_ALLOC) {
		CLEANUP(format_done) struct format read = { 0 };

		if (!parse(&read, &b, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	assert_ok(parse(&f, &b, &e), &e);
	FAULT_EACH(k, FAULT_ALLOC) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(1000);

		if (!format_encode(&out, &f, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	for (size_t max = 0; max < f.table_offset; max++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(max);

		assert_fails(format_encode(&out, &f, &e), &e, E_TOO_BIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_reads_the_same),
		cmocka_unit_test(the_hashes_of_segments_may_come_as_one),
		cmocka_unit_test(a_delta_of_one_frame_needs_little),
		cmocka_unit_test(an_empty_image_has_neither_frames_nor_segments),
		cmocka_unit_test(all_that_may_be_told_reads_the_same),
		cmocka_unit_test(streams_are_told_of_either_side),
		cmocka_unit_test(a_head_that_lies_is_refused),
		cmocka_unit_test(what_is_no_delta_or_of_another_version_is_told),
		cmocka_unit_test(a_frame_longer_than_the_delta_is_told_of_itself),
		cmocka_unit_test(a_head_shorter_than_it_says_is_never_read_beyond),
		cmocka_unit_test(the_only_frame_has_its_number_of_commands),
		cmocka_unit_test(frames_out_of_place_are_refused),
		cmocka_unit_test(a_damaged_or_cut_index_is_told),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
