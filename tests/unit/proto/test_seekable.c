#include "tests/support/unit.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/seekable.h"

enum { FRAME = 65536 };

/* Half of it compresses. */
static uint8_t *sample(size_t n)
{
	uint8_t *p = malloc(n + 1);
	uint32_t x = 1;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = i / 1000 % 2 ? (uint8_t)(x >> 24) : (uint8_t)(i / 100);
	}
	return p;
}

static bool to_buf(void *arg, const void *p, size_t n, struct err *e)
{
	return buf_add(arg, p, n, e);
}

static struct buf encoded(const uint8_t *data, size_t n, unsigned threads, size_t step)
{
	CLEANUP(seekable_enc_freep) struct seekable_enc *z = NULL;
	struct buf out = BUF_INIT(1 << 26);
	uint64_t size = 0;
	struct err e;

	assert_ok(seekable_enc_new(&z, FRAME, 3, threads, to_buf, &out, &e), &e);
	for (size_t i = 0; i < n; i += step)
		assert_ok(seekable_enc_add(z, data + i, n - i < step ? n - i : step, &e), &e);
	assert_ok(seekable_enc_finish(z, &size, &e), &e);
	assert_int_equal(size, out.n);
	return out;
}

static struct seekable_table *table_of(const struct buf *object, uint64_t plain_size)
{
	size_t n = (size_t)seekable_table_size(plain_size, FRAME);
	struct seekable_table *t = NULL;
	struct err e;

	assert_ok(seekable_table_parse(&t, object->p + object->n - n, n, object->n, plain_size,
				       FRAME, &e),
		  &e);
	return t;
}

static const size_t sizes[] = {
	0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 20 * FRAME + 4711
};

static void the_same_bytes_come_out_whatever_the_threads_and_steps(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t *data = sample(sizes[i]);
		struct buf want = encoded(data, sizes[i], 0, 1 << 20);

		for (unsigned threads = 1; threads < 5; threads++) {
			struct buf got = encoded(data, sizes[i], threads, 10007 * threads);

			assert_int_equal(got.n, want.n);
			assert_memory_equal(got.p, want.p, want.n);
			buf_done(&got);
		}
		buf_done(&want);
		free(data);
	}
}

static void every_frame_is_found_and_decoded_by_itself(void **state)
{
	CLEANUP(zst_dec_freep) struct zst_dec *z = NULL;
	uint8_t *out = malloc(FRAME);
	struct err e;

	assert_non_null(out);
	assert_ok(zst_dec_new(&z, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];
		uint8_t *data = sample(n);
		struct buf object = encoded(data, n, 2, 5000);
		struct seekable_table *t = table_of(&object, n);

		for (size_t at = 0; at < n; at += 30001) {
			struct seekable_frame f =
				seekable_frame_get(t, seekable_frame_at(t, at));

			assert_in_range(at, f.plain_offset, f.plain_offset + f.plain_bytes - 1);
			assert_ok(seekable_frame_decode(z, &f, out, object.p + f.object_offset,
							f.object_bytes, &e),
				  &e);
			assert_memory_equal(out, data + f.plain_offset, f.plain_bytes);
			assert_fails(seekable_frame_decode(z, &f, out,
							   object.p + f.object_offset,
							   f.object_bytes - 1, &e),
				     &e, E_CORRUPT);
		}
		seekable_table_free(t);
		buf_done(&object);
		free(data);
	}
	free(out);
}

static void every_flipped_bit_of_the_table_is_refused(void **state)
{
	const size_t n = 5 * FRAME + 100;
	uint8_t *data = sample(n);
	struct buf object = encoded(data, n, 0, 1 << 20);
	size_t table_n = (size_t)seekable_table_size(n, FRAME);
	uint8_t *tail = object.p + object.n - table_n;
	struct err e;

	/* Sizes must add up, so that a single bit is always seen. */
	for (size_t bit = 0; bit < table_n * 8; bit++) {
		struct seekable_table *t = NULL;

		flip_bit(tail, bit);
		if (seekable_table_parse(&t, tail, table_n, object.n, n, FRAME, &e))
			fail_msg("bit %zu", bit);
		assert_null(t);
		flip_bit(tail, bit);
	}
	buf_done(&object);
	free(data);
}

static void a_table_that_does_not_fit_its_object_is_refused(void **state)
{
	const size_t n = 5 * FRAME;
	uint8_t *data = sample(n);
	struct buf object = encoded(data, n, 0, 1 << 20);
	size_t table_n = (size_t)seekable_table_size(n, FRAME);
	uint8_t *tail = object.p + object.n - table_n;
	struct seekable_table *t = NULL;
	struct err e;

	assert_fails(seekable_table_parse(&t, tail, table_n, object.n + 1, n, FRAME, &e), &e,
		     E_CORRUPT);
	assert_fails(seekable_table_parse(&t, tail, table_n, table_n - 1, n, FRAME, &e), &e,
		     E_CORRUPT);
	assert_fails(seekable_table_parse(&t, tail, table_n, object.n, n + 1, FRAME, &e), &e,
		     E_CORRUPT);
	assert_fails(seekable_table_parse(&t, tail, table_n, object.n, n - 1, FRAME, &e), &e,
		     E_CORRUPT);
	assert_fails(seekable_table_parse(&t, tail, table_n - 1, object.n, n, FRAME, &e), &e,
		     E_CORRUPT);
	assert_fails(seekable_table_parse(&t, tail, table_n, object.n, n, FRAME + 1, &e), &e,
		     E_TOO_BIG);
	assert_fails(seekable_table_parse(&t, tail, table_n, object.n, UINT64_MAX, FRAME, &e),
		     &e, E_TOO_BIG);
	/* Two frames traded against each other: sums agree, a frame is larger than it may be. */
	put_le32(tail + 8, get_le32(tail + 8) + get_le32(tail + 16));
	put_le32(tail + 16, 0);
	assert_fails(seekable_table_parse(&t, tail, table_n, object.n, n, FRAME, &e), &e,
		     E_CORRUPT);
	buf_done(&object);
	free(data);
}

static bool full_sink(void *arg, const void *p, size_t n, struct err *e)
{
	return (*(int *)arg)-- > 0 || err_set(e, E_NO_SPACE, "disk full");
}

static void a_full_disk_stops_the_writer_at_any_frame(void **state)
{
	const size_t n = 9 * FRAME + 5;
	uint8_t *data = sample(n);

	for (unsigned threads = 0; threads < 4; threads++)
		for (int writes = 0; writes <= 11; writes++) {
			CLEANUP(seekable_enc_freep) struct seekable_enc *z = NULL;
			int left = writes;
			uint64_t size = 0;
			struct err e;
			bool ok;

			assert_ok(seekable_enc_new(&z, FRAME, 3, threads, full_sink, &left, &e),
				  &e);
			ok = seekable_enc_add(z, data, n, &e) &&
			     seekable_enc_finish(z, &size, &e);
			assert_true(ok == (writes == 11));
			assert_true(ok || e.code == E_NO_SPACE);
		}
	free(data);
}

static void a_failing_allocation_is_reported(void **state)
{
	const size_t n = 3 * FRAME;
	uint8_t *data = sample(n);

	FAULT_EACH(i, FAULT_ALLOC) {
		CLEANUP(seekable_enc_freep) struct seekable_enc *z = NULL;
		CLEANUP(seekable_table_freep) struct seekable_table *t = NULL;
		CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
		size_t table_n = (size_t)seekable_table_size(n, FRAME);
		uint64_t size;
		struct err e;

		assert_true((seekable_enc_new(&z, FRAME, 3, 0, to_buf, &out, &e) &&
			     seekable_enc_add(z, data, n, &e) &&
			     seekable_enc_finish(z, &size, &e) &&
			     seekable_table_parse(&t, out.p + out.n - table_n, table_n, out.n,
						  n, FRAME, &e)) ||
			    e.code == E_NOMEM);
	}
	free(data);
}

static void frame_sizes_are_powers_of_two(void **state)
{
	assert_true(seekable_frame_size_ok(4096));
	assert_true(seekable_frame_size_ok(1048576));
	assert_false(seekable_frame_size_ok(0));
	assert_false(seekable_frame_size_ok(2048));
	assert_false(seekable_frame_size_ok(5000));
	assert_false(seekable_frame_size_ok(2097152));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_bytes_come_out_whatever_the_threads_and_steps),
		cmocka_unit_test(every_frame_is_found_and_decoded_by_itself),
		cmocka_unit_test(every_flipped_bit_of_the_table_is_refused),
		cmocka_unit_test(a_table_that_does_not_fit_its_object_is_refused),
		cmocka_unit_test(a_full_disk_stops_the_writer_at_any_frame),
		cmocka_unit_test(a_failing_allocation_is_reported),
		cmocka_unit_test(frame_sizes_are_powers_of_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
