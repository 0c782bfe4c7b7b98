/* What is taken for the beginning of a stream: every kind of header, with all that it may carry. */
#include "tests/support/unit.h"

#include "base/bytes.h"
#include "delta/checksum.h"
#include "delta/deflate.h"

#include <time.h>
#include <zlib.h>

enum { TEXT_N = 8000, BEFORE = 600, FIND_MAX = 1 << 22 };

static uint8_t text[TEXT_N], noise[FIND_MAX];

static int setup(void **state UNUSED)
{
	uint32_t seed = 21;

	for (unsigned i = 0; i < FIND_MAX; i++) {
		seed = seed * 1664525 + 1013904223;
		noise[i] = (uint8_t)(seed >> 24);
	}
	for (unsigned i = 0; i < TEXT_N; i++)
		text[i] = (uint8_t)('a' + noise[i] % 11);
	return 0;
}

static void add(struct buf *to, const void *p, size_t n)
{
	struct err e;

	assert_ok(buf_add(to, p, n, &e), &e);
}

/* Packs n bytes at a level; bits as deflateInit2 takes them. */
static struct buf packed(const uint8_t *p, size_t n, int level, int bits)
{
	struct buf out = BUF_INIT(1 << 24);
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)p, .avail_in = (uInt)n };
	struct err e;
	uint8_t *to;

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, bits, 8, 0), Z_OK);
	assert_ok(buf_reserve(&out, deflateBound(&z, n), &to, &e), &e);
	z.next_out = to;
	z.avail_out = (uInt)deflateBound(&z, n);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_commit(&out, z.total_out);
	deflateEnd(&z);
	return out;
}

/* Streams in these bytes, in the middle of others that are none. */
static struct streams find(const struct buf *b)
{
	CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
	struct streams s = { 0 };
	struct err e;

	add(&image, noise, BEFORE);
	add(&image, b->p, b->n);
	add(&image, noise, BEFORE);
	const struct image in = { .p = image.p, .size = image.n };
	assert_ok(deflate_find(&s, &in, 0, image.n, &e), &e);
	return s;
}

static size_t count(const struct buf *b)
{
	struct streams s = find(b);
	size_t n = s.n;

	streams_done(&s);
	return n;
}

/* A gzip file with these flags (RFC 1952, 2.3.1) and everything that they announce. */
static struct buf gzip_file(uint8_t flags, size_t name_n)
{
	enum { HCRC = 2, EXTRA = 4, NAME = 8, COMMENT = 16 };
	CLEANUP(buf_done) struct buf z = packed(text, TEXT_N, 6, 31);
	struct buf out = BUF_INIT(1 << 24);
	uint8_t head[10];

	memcpy(head, z.p, 10);
	head[3] = flags;
	add(&out, head, 10);
	if (flags & EXTRA)
		add(&out,
		    "\x05\x00"
		    "extra",
		    7);
	for (unsigned f = NAME; f <= COMMENT; f <<= 1)
		for (size_t i = 0; flags & f && i <= name_n; i++)
			add(&out, i < name_n ? "n" : "", 1);
	if (flags & HCRC)
		add(&out, "\x12\x34", 2);
	add(&out, z.p + 10, z.n - 10);
	return out;
}

static void gzip_headers_may_carry_anything(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf plain = gzip_file(0, 0);

	for (unsigned flags = 0; flags < 32; flags++) {
		CLEANUP(buf_done) struct buf gz = gzip_file((uint8_t)flags, 20);
		struct streams s = find(&gz);

		if (s.n != 1)
			fail_msg("flags %u: %zu", flags, s.n);
		assert_int_equal(s.v[0].offset, BEFORE + gz.n - (plain.n - 10));
		assert_int_equal(s.v[0].size, plain.n - 10);
		assert_int_equal(s.v[0].plain_size, TEXT_N);
		assert_false(s.v[0].is_faint);
		streams_done(&s);
	}
}

/* Taken without their header where the checksum does not help: not at all. */
static void gzip_headers_that_lie_are_no_streams(void **state UNUSED)
{
	static const struct {
		size_t at;
		uint8_t value;
	} rows[] = {
		{ 1, 0x8c },           /* no magic */
		{ 2, 7 },              /* another method */
		{ 3, 0x20 },           /* flags that nobody knows */
		{ 3, 0x80 }, { 3, 4 }, /* an extra field that is not there */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf gz = gzip_file(0, 0);
		struct streams s;

		gz.p[rows[i].at] = rows[i].value;
		s = find(&gz);
		for (size_t k = 0; k < s.n; k++)
			if (!s.v[k].is_faint) /* it may be found without its header */
				fail_msg("row %zu", i);
		streams_done(&s);
	}
	CLEANUP(buf_done) struct buf fits = gzip_file(8, 1023);
	CLEANUP(buf_done) struct buf too_long = gzip_file(8, 1024);
	struct streams a = find(&fits), b = find(&too_long);
	assert_int_equal(a.n, 1);
	assert_false(a.v[0].is_faint);
	assert_true(b.n == 0 || b.v[0].is_faint);
	streams_done(&a);
	streams_done(&b);
}

static void zlib_headers_are_checked(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf z = packed(text, TEXT_N, 6, 15);
	uint8_t was = z.p[1];

	assert_int_equal(count(&z), 1);
	for (unsigned v = 0; v < 256; v++) {
		bool is_header = (0x7800 | v) % 31 == 0 && !(v & 0x20);

		z.p[1] = (uint8_t)v;
		struct streams s = find(&z);
		bool found = s.n && !s.v[0].is_faint;
		if (found != is_header)
			fail_msg("%02x, at first %02x", v, was);
		streams_done(&s);
	}
}

static struct buf zip_member(unsigned flags, unsigned method, bool crc_before, unsigned behind)
{
	CLEANUP(buf_done) struct buf z = packed(text, TEXT_N, 6, -15);
	struct buf out = BUF_INIT(1 << 24);
	uint32_t crc = checksum_crc32(0, text, TEXT_N);
	uint8_t head[30] = { 'P', 'K', 3, 4, 20, 0 }, tail[16];

	head[6] = (uint8_t)flags;
	head[8] = (uint8_t)method;
	put_le32(head + 14, crc_before ? crc : 0);
	head[26] = 5;
	head[28] = 9;
	add(&out, head, sizeof(head));
	add(&out,
	    "a.txt"
	    "an extra:",
	    14);
	add(&out, z.p, z.n);
	put_le32(tail, 0x08074b50);
	put_le32(tail + 4, crc);
	put_le32(tail + 8, (uint32_t)z.n);
	put_le32(tail + 12, TEXT_N);
	add(&out, tail + 16 - behind, behind);
	return out;
}

static void zip_members_have_their_checksum_somewhere(void **state UNUSED)
{
	static const struct {
		unsigned flags, method, behind;
		bool before, found;
	} rows[] = {
		{ 0, 8, 0, true, true },   { 8, 8, 16, false, true }, /* a data descriptor */
		{ 8, 8, 12, false, true },                            /* without a signature */
		{ 0, 8, 0, false, false }, { 1, 8, 16, true, false }, /* encrypted */
		{ 0, 0, 0, true, false },  { 0, 12, 0, true, false }, /* stored, bzip2 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done)
		struct buf zip = zip_member(rows[i].flags, rows[i].method, rows[i].before,
					    rows[i].behind);
		struct streams s = find(&zip);
		bool found = s.n == 1 && !s.v[0].is_faint;

		if (found != rows[i].found)
			fail_msg("row %zu", i);
		/* Only with a signature is what is behind a part of it. */
		if (found)
			assert_int_equal(s.v[0].size, zip.n - 44 - rows[i].behind +
							      (rows[i].behind == 16 ? 16 : 0));
		streams_done(&s);
	}
}

static void small_streams_are_left_alone(void **state UNUSED)
{
	unsigned least = 0;

	for (size_t n = 1; n < 100; n++) {
		CLEANUP(buf_done) struct buf gz = packed(text, n, 6, 31);
		size_t body = gz.n - 10 - 8;

		assert_int_equal(count(&gz), body >= 32);
		least = body == 32 ? 1 : least;
	}
	assert_int_equal(least, 1);
}

/* What is only stored is found by matching as it is. */
static void stored_blocks_alone_are_no_stream(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf gz = packed(text, TEXT_N, 0, 31);

	assert_int_equal(count(&gz), 0);
}

static void streams_without_a_header_must_be_long_and_save_something(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf good = packed(text, TEXT_N, 6, -15);
	CLEANUP(buf_done) struct buf small = packed(text, 1500, 6, -15);
	static uint8_t dense[TEXT_N];
	struct streams s = find(&good);

	assert_int_equal(s.n, 1);
	assert_true(s.v[0].is_faint);
	streams_done(&s);
	assert_true(small.n < 1024);
	assert_int_equal(count(&small), 0);
	for (unsigned i = 0; i < TEXT_N; i++) /* 250 letters: seven eighths are not saved */
		dense[i] = (uint8_t)(noise[i] % 250 < 200 ? noise[i] % 250 : noise[i] % 128);
	CLEANUP(buf_done) struct buf tight = packed(dense, TEXT_N, 6, -15);
	assert_true(tight.n > TEXT_N - TEXT_N / 9 && tight.n < TEXT_N);
	assert_int_equal(count(&tight), 0);
}

static void streams_in_streams_are_part_of_the_outer_one(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf inner = packed(text, TEXT_N, 6, 31);
	CLEANUP(buf_done) struct buf both = BUF_INIT(1 << 20);

	add(&both, text, TEXT_N);
	add(&both, inner.p, inner.n);
	CLEANUP(buf_done) struct buf outer = packed(both.p, both.n, 6, 31);
	struct streams s = find(&outer);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0].plain_size, both.n);
	streams_done(&s);
}

/* Each stream belongs to the part in which it begins, wherever it ends. */
static void parts_of_an_image_give_what_the_whole_does(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 20);
	CLEANUP(buf_done) struct buf gz = packed(text, TEXT_N, 6, 31);
	struct streams whole = { 0 };
	struct err e;

	for (unsigned i = 0; i < 6; i++) {
		add(&image, noise, 100 + 37 * i);
		add(&image, gz.p, gz.n);
	}
	const struct image in = { .p = image.p, .size = image.n };
	assert_ok(deflate_find(&whole, &in, 0, image.n, &e), &e);
	assert_int_equal(whole.n, 6);
	for (uint64_t cut = 90; cut < 3 * gz.n; cut += 97) {
		struct streams s = { 0 };

		assert_ok(deflate_find(&s, &in, 0, cut, &e), &e);
		size_t first = s.n;
		assert_ok(deflate_find(&s, &in, cut, image.n, &e), &e);
		for (size_t i = 0, k = 0; i < s.n; i++) {
			/* One that begins within another, without a header, is dropped later. */
			if (i == first && k && s.v[i].is_faint)
				continue;
			assert_int_equal(s.v[i].offset, whole.v[k].offset);
			assert_int_equal(s.v[i].size, whole.v[k].size);
			k++;
		}
		streams_done(&s);
	}
	streams_done(&whole);
}

/* Headers everywhere, behind each a stream of megabytes: what is unpacked for a part is bounded. */
static void images_made_to_be_slow_end(void **state UNUSED)
{
	enum { PLAIN = 8 << 20, HEADERS = 20000 };
	uint8_t *zeros = calloc(1, PLAIN);
	CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
	CLEANUP(buf_done) struct buf z = packed(zeros, PLAIN, 9, 31);
	struct streams s = { 0 };
	clock_t began = clock();
	struct err e;

	z.p[z.n - 8] ^= 1; /* the checksum is wrong, so the next header is tried */
	for (unsigned i = 0; i < HEADERS; i++) /* an extra field up to the stream */
		if ((HEADERS - 1 - i) * 12 <= UINT16_MAX) {
			uint8_t head[12] = { 0x1f, 0x8b, 8, 4 };

			put_le16(head + 10, (uint16_t)((HEADERS - 1 - i) * 12));
			add(&image, head, sizeof(head));
		}
	add(&image, z.p + 10, z.n - 10);
	const struct image in = { .p = image.p, .size = image.n };
	assert_ok(deflate_find(&s, &in, 0, image.n, &e), &e);
	assert_int_equal(s.n, 0);
	assert_true(clock() - began < 20 * CLOCKS_PER_SEC); /* 45 GB would be unpacked */
	streams_done(&s);
	free(zeros);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf gz = packed(text, TEXT_N, 6, 31);
	const struct image in = { .p = gz.p, .size = gz.n };

	FAULT_EACH(n, FAULT_ALLOC) {
		struct streams s = { 0 };
		struct err e = { 0 };

		if (!deflate_find(&s, &in, 0, gz.n, &e))
			assert_int_equal(e.code, E_NOMEM);
		streams_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gzip_headers_may_carry_anything),
		cmocka_unit_test(gzip_headers_that_lie_are_no_streams),
		cmocka_unit_test(zlib_headers_are_checked),
		cmocka_unit_test(zip_members_have_their_checksum_somewhere),
		cmocka_unit_test(small_streams_are_left_alone),
		cmocka_unit_test(stored_blocks_alone_are_no_stream),
		cmocka_unit_test(streams_without_a_header_must_be_long_and_save_something),
		cmocka_unit_test(streams_in_streams_are_part_of_the_outer_one),
		cmocka_unit_test(parts_of_an_image_give_what_the_whole_does),
		cmocka_unit_test(images_made_to_be_slow_end),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
