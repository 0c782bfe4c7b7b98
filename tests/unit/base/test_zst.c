#include "tests/support/unit.h"
#include "base/rng.h"
#include "base/zst.h"

static struct zst_enc *enc;
static struct zst_dec *dec;

static int setup(void **state)
{
	struct err e;

	return zst_enc_new(&enc, 3, &e) && zst_dec_new(&dec, &e) ? 0 : -1;
}

static int teardown(void **state)
{
	zst_enc_free(enc);
	zst_dec_free(dec);
	return 0;
}

static void frames_go_there_and_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 65537, 300000 };
	uint8_t *plain = calloc(1, 300000), *back = malloc(300000);
	struct rng_fake r;
	struct err e;

	rng_fake_init(&r, 1);
	rng_fill(&r.base, plain, 150000); /* half noise, half zeros */
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);

		assert_ok(zst_frame_encode(enc, &b, plain, sizes[i], &e), &e);
		assert_true(b.n <= zst_bound(sizes[i]));
		assert_int_equal(b.p[b.n], 0);
		memset(back, 0xee, 300000);
		assert_ok(zst_frame_decode(dec, back, sizes[i], b.p, b.n, &e), &e);
		assert_memory_equal(back, plain, sizes[i]);
	}
	free(plain);
	free(back);
}

static void only_one_whole_frame_of_the_right_size_is_read(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	uint8_t back[64];
	size_t n;
	struct err e;

	assert_ok(zst_frame_encode(enc, &b, "hello hello hello hello", 23, &e), &e);
	n = b.n;
	assert_fails(zst_frame_decode(dec, back, 22, b.p, n, &e), &e, E_CORRUPT);
	assert_fails(zst_frame_decode(dec, back, 24, b.p, n, &e), &e, E_CORRUPT);
	for (size_t cut = 0; cut < n; cut++)
		assert_fails(zst_frame_decode(dec, back, 23, b.p, cut, &e), &e, E_CORRUPT);
	assert_ok(zst_frame_encode(enc, &b, "", 0, &e), &e); /* a second one behind it */
	assert_fails(zst_frame_decode(dec, back, 23, b.p, b.n, &e), &e, E_CORRUPT);
	assert_fails(zst_frame_decode(dec, back, 23, b.p, n + 1, &e), &e, E_CORRUPT);
}

static void skippable_frames_are_refused(void **state)
{
	static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'h', 'i' };
	uint8_t back[2];
	struct err e;

	assert_fails(zst_frame_decode(dec, back, 2, skippable, sizeof(skippable), &e), &e,
		     E_CORRUPT);
}

static void flipped_bits_never_write_outside(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(10000);
	uint8_t plain[600], *back = malloc(sizeof(plain)); /* exact, for the sanitizer */
	struct err e;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * i / 7);
	assert_ok(zst_frame_encode(enc, &b, plain, sizeof(plain), &e), &e);
	for (size_t bit = 0; bit < b.n * 8; bit++) {
		flip_bit(b.p, bit);
		assert_true(zst_frame_decode(dec, back, sizeof(plain), b.p, b.n, &e) ||
			    e.code == E_CORRUPT);
		flip_bit(b.p, bit);
	}
	assert_ok(zst_frame_decode(dec, back, sizeof(plain), b.p, b.n, &e), &e);
	assert_memory_equal(back, plain, sizeof(plain));
	free(back);
}

static void a_buf_that_is_too_small_stays_as_it_was(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(60);
	uint8_t noise[100];
	struct rng_fake r;
	struct err e;

	rng_fake_init(&r, 1);
	rng_fill(&r.base, noise, sizeof(noise));
	assert_ok(buf_add_str(&b, "kept", &e), &e);
	assert_fails(zst_frame_encode(enc, &b, noise, sizeof(noise), &e), &e, E_TOO_BIG);
	assert_string_equal(buf_str(&b), "kept");
	/* zeros fit, although the bound for 100 bytes would not */
	memset(noise, 0, sizeof(noise));
	assert_ok(zst_frame_encode(enc, &b, noise, sizeof(noise), &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_there_and_back),
		cmocka_unit_test(only_one_whole_frame_of_the_right_size_is_read),
		cmocka_unit_test(skippable_frames_are_refused),
		cmocka_unit_test(flipped_bits_never_write_outside),
		cmocka_unit_test(a_buf_that_is_too_small_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
