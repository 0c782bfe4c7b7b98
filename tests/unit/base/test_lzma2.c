#include "tests/support/unit.h"
#include "base/lzma2.h"
#include "base/rng.h"
#include "tests/support/fault.h"

enum { N = 300000 };

static uint8_t plain[N], back[N];

/* Half noise, then calls of three functions from everywhere. */
static int setup(void **state UNUSED)
{
	struct rng_fake r;

	rng_fake_init(&r, 1);
	rng_fill(&r.base, plain, N / 2);
	for (uint32_t at = N / 2; at + 16 <= N; at += 16) {
		uint32_t to = 5000 * (at / 16 % 3) - (at + 5);

		plain[at] = 0xe8;
		for (unsigned i = 0; i < 4; i++)
			plain[at + 1 + i] = (uint8_t)(to >> 8 * i);
	}
	return 0;
}

static struct buf pack(enum lzma2_filter filter, size_t n, size_t portion)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	struct buf b = BUF_INIT(1 << 20);
	struct err e;

	assert_ok(lzma2_enc_new(&z, filter, 1, &e), &e);
	for (size_t at = 0; at < n; at += portion)
		assert_ok(lzma2_encode(z, &b, plain + at, n - at < portion ? n - at : portion,
				       &e),
			  &e);
	assert_ok(lzma2_encode_end(z, &b, &e), &e);
	return b;
}

static void streams_go_there_and_back_in_any_portions(void **state UNUSED)
{
	/* Of 140000 bytes of noise more come with the end than fit at once. */
	static const size_t sizes[] = { 1, 5, 4096, 140000, N };
	static const size_t portions[] = { 1000, 1 << 20 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(portions) * LZMA2_FILTERS;
	     i++) {
		enum lzma2_filter filter = i % LZMA2_FILTERS;
		size_t n = sizes[i / LZMA2_FILTERS % ARRAY_SIZE(sizes)], from = 0, used;
		size_t portion = portions[i / LZMA2_FILTERS / ARRAY_SIZE(sizes)];
		CLEANUP(buf_done) struct buf b = pack(filter, n, portion);
		CLEANUP(lzma2_dec_freep) struct lzma2_dec *z = NULL;
		struct err e;

		usage_start();
		assert_ok(lzma2_dec_new(&z, filter, &e), &e);
		memset(back, 0xee, N);
		for (size_t at = 0; at < n; at += 777, from += used)
			assert_ok(lzma2_decode(z, back + at, n - at < 777 ? n - at : 777,
					       b.p + from, b.n - from, &used, &e),
				  &e);
		assert_memory_equal(back, plain, n);
		assert_in_range(from, b.n - 1, b.n); /* all but the end */
		assert_in_range(usage_heap_peak(), LZMA2_DICT, LZMA2_DICT + (1 << 17));
	}
}

/* At once: what comes of it is more than waits in the stream. */
static void much_noise_comes_back(void **state UNUSED)
{
	enum { MUCH = 14 << 20 };
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *enc = NULL;
	CLEANUP(lzma2_dec_freep) struct lzma2_dec *dec = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(MUCH + (1 << 16));
	uint8_t *noise = malloc(MUCH), *got = malloc(MUCH);
	struct rng_fake r;
	size_t used;
	struct err e;

	assert_true(noise && got);
	rng_fake_init(&r, 2);
	rng_fill(&r.base, noise, MUCH);
	assert_ok(lzma2_enc_new(&enc, LZMA2_PLAIN, 0, &e), &e);
	assert_ok(lzma2_encode(enc, &b, noise, MUCH, &e), &e);
	assert_in_range(b.n, 1 << 20, MUCH);
	assert_ok(lzma2_encode_end(enc, &b, &e), &e);
	assert_ok(lzma2_dec_new(&dec, LZMA2_PLAIN, &e), &e);
	assert_ok(lzma2_decode(dec, got, MUCH, b.p, b.n, &used, &e), &e);
	assert_memory_equal(got, noise, MUCH);
	free(noise);
	free(got);
}

static void calls_of_one_function_look_alike_behind_the_filter(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = pack(LZMA2_PLAIN, N, N), x = pack(LZMA2_X86, N, N);

	assert_true(x.n + 5000 < b.n);
}

static void what_is_cut_or_damaged_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = pack(LZMA2_PLAIN, N, N);
	size_t used;
	struct err e;

	for (size_t cut = 0; cut + 1 < b.n; cut += 999) {
		CLEANUP(lzma2_dec_freep) struct lzma2_dec *z = NULL;

		assert_ok(lzma2_dec_new(&z, LZMA2_PLAIN, &e), &e);
		assert_fails(lzma2_decode(z, back, N, b.p, cut, &used, &e), &e, E_CORRUPT);
	}
	for (unsigned i = 0; i < 2;
	     i++) { /* no chunk begins so; the stream ends before the bytes do */
		CLEANUP(lzma2_dec_freep) struct lzma2_dec *z = NULL;

		assert_ok(lzma2_dec_new(&z, LZMA2_PLAIN, &e), &e);
		b.p[0] = i ? 0x00 : 0x7f;
		assert_fails(lzma2_decode(z, back, N, b.p, b.n, &used, &e), &e, E_CORRUPT);
		assert_fails(lzma2_decode(z, back, N, b.p, b.n, &used, &e), &e, E_CORRUPT);
	}
}

/* All bytes are there before the chunk turns out to be longer than they need. */
static void a_chunk_that_lies_about_its_length_is_refused(void **state UNUSED)
{
	enum { ZEROS = 1000, PACKED_SIZE_LOW = 4 };
	static const uint8_t zeros[ZEROS];
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *enc = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	size_t used;
	struct err e;

	assert_ok(lzma2_enc_new(&enc, LZMA2_PLAIN, 1, &e), &e);
	assert_ok(lzma2_encode(enc, &b, zeros, ZEROS, &e), &e);
	assert_ok(lzma2_encode_end(enc, &b, &e), &e);
	for (int more = -1; more <= 1; more++) {
		CLEANUP(lzma2_dec_freep) struct lzma2_dec *z = NULL;

		assert_ok(lzma2_dec_new(&z, LZMA2_PLAIN, &e), &e);
		b.p[PACKED_SIZE_LOW] = (uint8_t)(b.p[PACKED_SIZE_LOW] + more);
		bool ok = lzma2_decode(z, back, ZEROS, b.p, b.n, &used, &e);
		b.p[PACKED_SIZE_LOW] = (uint8_t)(b.p[PACKED_SIZE_LOW] - more);
		assert_int_equal(ok, more == 0);
		if (!ok)
			assert_int_equal(e.code, E_CORRUPT);
	}
}

static void no_bytes_change_nothing(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = pack(LZMA2_X86, N, N), again = BUF_INIT(1 << 20);
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	struct err e;

	assert_ok(lzma2_enc_new(&z, LZMA2_X86, 1, &e), &e);
	for (unsigned i = 0; i < 3; i++)
		assert_ok(lzma2_encode(z, &again, NULL, 0, &e), &e);
	assert_ok(lzma2_encode(z, &again, plain, N, &e), &e);
	for (unsigned i = 0; i < 3; i++)
		assert_ok(lzma2_encode(z, &again, NULL, 0, &e), &e);
	assert_ok(lzma2_encode_end(z, &again, &e), &e);
	assert_int_equal(again.n, b.n);
	assert_memory_equal(again.p, b.p, b.n);
}

/* And not thrown away. */
static void bytes_behind_the_end_are_refused(void **state UNUSED)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct err e;

	assert_ok(lzma2_enc_new(&z, LZMA2_PLAIN, 1, &e), &e);
	assert_ok(lzma2_encode(z, &b, plain, 100, &e), &e);
	assert_ok(lzma2_encode_end(z, &b, &e), &e);
	assert_fails(lzma2_encode(z, &b, plain + 100, 100, &e), &e, E_INTERNAL);
}

static void there_is_no_level_above_nine(void **state UNUSED)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	struct err e;

	assert_ok(lzma2_enc_new(&z, LZMA2_PLAIN, 9, &e), &e);
	lzma2_enc_free(TAKE(z));
	assert_fails(lzma2_enc_new(&z, LZMA2_PLAIN, 10, &e), &e, E_INTERNAL);
}

static void a_full_buffer_and_missing_memory_are_told(void **state UNUSED)
{
	struct err e;

	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
		CLEANUP(lzma2_dec_freep) struct lzma2_dec *d = NULL;
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);

		if (!lzma2_enc_new(&z, LZMA2_PLAIN, 0, &e) ||
		    !lzma2_encode(z, &b, plain, N, &e) || !lzma2_encode_end(z, &b, &e) ||
		    !lzma2_dec_new(&d, LZMA2_PLAIN, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	assert_ok(lzma2_enc_new(&z, LZMA2_PLAIN, 0, &e), &e);
	assert_fails(lzma2_encode(z, &b, plain, N, &e) && lzma2_encode_end(z, &b, &e), &e,
		     E_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_go_there_and_back_in_any_portions),
		cmocka_unit_test(much_noise_comes_back),
		cmocka_unit_test(calls_of_one_function_look_alike_behind_the_filter),
		cmocka_unit_test(what_is_cut_or_damaged_is_refused),
		cmocka_unit_test(a_chunk_that_lies_about_its_length_is_refused),
		cmocka_unit_test(no_bytes_change_nothing),
		cmocka_unit_test(bytes_behind_the_end_are_refused),
		cmocka_unit_test(there_is_no_level_above_nine),
		cmocka_unit_test(a_full_buffer_and_missing_memory_are_told),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
