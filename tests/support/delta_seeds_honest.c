#include "tests/support/delta_seeds.h"

#include <stdlib.h>
#include <string.h>

enum { N = 6000, LONG_N = 20000 };

static uint8_t bytes[1 << 20];

static const struct moved nowhere = { .from = UINT32_MAX };

static const struct recipe zlib6 = { .how = { .level = 6, .window_bits = 15, .memory = 8 } };

/* ---- what the encoder makes ---- */

static void add_old(struct draft *d, size_t from, size_t n)
{
	draft_insert(d, delta_old()->space + from, n);
}

static struct buf encode(struct draft *d)
{
	return draft_encode(d, OLD_N, 0);
}

static struct buf identical(struct draft *d, unsigned which UNUSED)
{
	add_old(d, 0, OLD_N);
	return encode(d);
}

/* Something new in the middle of x86-64 or arm64 code. */
static struct buf code_moved(struct draft *d, unsigned arm64)
{
	enum { BY = 96, HALF = OLD_CODE_N / 2 };
	uint32_t base = arm64 ? OLD_ARM64 : OLD_X86;
	const struct moved m = { .base = base, .from = base + HALF, .by = BY };

	add_old(d, 0, base);
	if (arm64)
		fill_arm64(bytes, OLD_CODE_N, &m, 2);
	else
		fill_x86(bytes, OLD_CODE_N, &m, 1);
	draft_insert(d, bytes, HALF);
	fill_noise(bytes + OLD_CODE_N, BY, 9);
	draft_insert(d, bytes + OLD_CODE_N, BY);
	draft_insert(d, bytes + HALF, HALF);
	add_old(d, base + OLD_CODE_N, OLD_N - base - OLD_CODE_N);
	return encode(d);
}

static struct buf edited(struct draft *d, unsigned which UNUSED)
{
	draft_add(d, OLD_TEXT, 8000, 777);
	draft_add(d, OLD_RECORDS, 4096, 48);
	draft_copy(d, OLD_NOISE, 2000);
	draft_zero(d, 5000);
	draft_add(d, OLD_X86, 4000, 130);
	return encode(d);
}

static struct buf to_nothing(struct draft *d, unsigned which UNUSED)
{
	return encode(d);
}

static struct buf from_nothing(struct draft *d, unsigned which UNUSED)
{
	add_old(d, OLD_TEXT, N);
	return draft_encode(d, 0, 0);
}

/* One of the old streams with other plain bytes. */
static struct buf streams_edited(struct draft *d, unsigned which)
{
	static const uint8_t heads[][10] = { { 0x78, 0x9c },
					     { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 } };
	static const struct recipe recipes[] = {
		{ .wrap = WRAP_ZLIB, .how = { .level = 6, .window_bits = 15, .memory = 8 } },
		{ .wrap = WRAP_GZIP,
		  .how = { .is_gzip = true, .level = 9, .window_bits = 15, .memory = 8 } },
	};
	CLEANUP(buf_done) struct buf packed = BUF_INIT(OLD_PLAIN_N);

	memcpy(bytes, delta_old()->space + old_plain(which), OLD_PLAIN_N);
	for (unsigned i = 500; i < OLD_PLAIN_N; i += 3000)
		bytes[i] ^= 1;
	add_packed(&packed, &recipes[which], bytes, OLD_PLAIN_N);
	add_old(d, 0, 1000);
	draft_insert(d, heads[which], which ? 10 : 2);
	draft_insert(d, packed.p, packed.n);
	add_old(d, 0, 1000);
	return encode(d);
}

/* A zlib stream in the chunks of a PNG, which are in several places. */
static struct buf in_png_chunks(struct draft *d, unsigned which UNUSED)
{
	enum { CHUNK = 700 };
	static const struct recipe r = {
		.wrap = WRAP_ZLIB, .how = { .level = 9, .window_bits = 15, .memory = 8 }
	};
	CLEANUP(buf_done) struct buf packed = BUF_INIT(2 * OLD_PLAIN_N);
	struct err e;

	if (!buf_add(&packed, "\x78\xda", 2, &e))
		abort();
	add_packed(&packed, &r, delta_old()->space + old_plain(0), OLD_PLAIN_N);
	for (size_t at = 0; at < packed.n; at += CHUNK) {
		size_t n = packed.n - at < CHUNK ? packed.n - at : CHUNK;
		const uint8_t head[8] = { 0,   0,  (uint8_t)(n >> 8), (uint8_t)n, 'I', 'D',
					  'A', 'T' };

		draft_insert(d, head, sizeof(head));
		draft_insert(d, packed.p + at, n);
		draft_insert(d, "CRC ", 4);
	}
	return encode(d);
}

/* Literals where every encoder has matches: there is no recipe worth it, and it stays raw. */
static struct buf not_explained(struct draft *d, unsigned which UNUSED)
{
	enum { PLAIN = 3000 };
	CLEANUP(buf_done) struct buf packed = BUF_INIT(4 * PLAIN);
	CLEANUP(buf_done) struct buf fixes = BUF_INIT(4 * PLAIN);
	struct recipe r = { .wrap = WRAP_ZLIB, .how = zlib6.how };
	struct err e;

	for (unsigned i = 0; i < 500; i++) {
		const struct token_fix fix = { .gap = i % 2, .kind = FIX_LITERAL };

		if (!token_fix_add(&fixes, &fix, &e))
			abort();
	}
	fill_text(bytes, PLAIN, 10);
	r.tokens = fixes.p;
	r.tokens_end = fixes.p + fixes.n;
	add_packed(&packed, &r, bytes, PLAIN);
	draft_insert(d, "\x78\x9c", 2);
	draft_insert(d, packed.p, packed.n);
	return encode(d);
}

static struct buf encoder_in_bulk(struct draft *d, unsigned which)
{
	if (which == LZMA2_X86)
		fill_x86(bytes, LONG_N, &nowhere, 11);
	else if (which == LZMA2_ARM64)
		fill_arm64(bytes, LONG_N, &nowhere, 11);
	else
		fill_text(bytes, LONG_N, 11);
	draft_insert(d, bytes, LONG_N);
	return draft_encode(d, 0, 1); /* of an old image it would copy what is short */
}

/* ---- commands ---- */

static struct buf commands_of_each_kind(struct draft *d, unsigned which UNUSED)
{
	draft_copy(d, OLD_TEXT, 3000);
	draft_insert(d, "something new", 13);
	draft_add(d, OLD_X86, 2500, 90);
	draft_zero(d, 700);
	draft_add(d, OLD_RECORDS, 1000, 16);
	draft_copy(d, OLD_NOISE, 1);
	draft_insert(d, "!", 1);
	return draft_finish(d);
}

/* The same two commands in turn, now and then another. */
static struct buf commands_by_habit(struct draft *d, unsigned which UNUSED)
{
	for (unsigned i = 0; i < 300; i++) {
		draft_copy(d, OLD_NOISE + i * 12, 24 + (i % 50 == 49));
		draft_add(d, OLD_RECORDS + i * 8, 16, 16);
	}
	return draft_finish(d);
}

/* Lengths and places of all sizes, forwards and back, and back to where it was before. */
static struct buf commands_from_everywhere(struct draft *d, unsigned which UNUSED)
{
	static const uint32_t distances[4] = { 30000, 5, 20000, 11111 };

	for (uint32_t i = 0, seed = 1; i < 250; i++) {
		uint32_t n = 1 + (seed >> 20) % (i % 9 ? 40 : 900);

		seed = seed * 1664525 + 1013904223;
		if (i % 4)
			draft_copy(d, d->image.n + distances[seed >> 29 & 3], n);
		else
			draft_copy(d, (seed >> 8) % (OLD_N - 1000), n);
	}
	return draft_finish(d);
}

static struct buf zero_runs(struct draft *d, unsigned which UNUSED)
{
	for (unsigned i = 1; i < 40; i++) {
		draft_zero(d, i * i * 7);
		draft_insert(d, delta_old()->space + OLD_TEXT + i, 3 + i % 5);
	}
	return draft_finish(d);
}

/* Up to the last byte that there is: of the image, of what is behind it, of the last stream. */
static struct buf to_the_end_of_the_space(struct draft *d, unsigned which UNUSED)
{
	d->n_streams = OLD_STREAMS;
	draft_copy(d, OLD_N - 100, 100);
	draft_add(d, OLD_BASE - 200, 200, 50);
	draft_copy(d, OLD_N - 50, OLD_BASE - OLD_N + 100);
	draft_add(d, OLD_SPACE_N - 2000, 2000, 300);
	draft_copy(d, OLD_SPACE_N - 1, 1);
	return draft_finish(d);
}

/* ---- inserted bytes ---- */

enum { TEXT, X86, ARM64, NOISE, RECORDS };

static void fill(unsigned kind, uint8_t *p, size_t n, uint32_t seed)
{
	if (kind == TEXT)
		fill_text(p, n, seed);
	else if (kind == X86)
		fill_x86(p, n, &nowhere, seed);
	else if (kind == ARM64)
		fill_arm64(p, n, &nowhere, seed);
	else if (kind == NOISE)
		fill_noise(p, n, seed);
	else
		fill_records(p, n, seed);
}

static struct buf insert(struct draft *d, unsigned kind)
{
	size_t n = kind == NOISE ? 2500 : N;

	fill(kind, bytes, n, 12);
	draft_insert(d, bytes, n);
	draft_copy(d, OLD_TEXT, 100);
	draft_insert(d, bytes + n / 2, 900);
	return draft_finish(d);
}

/* Code whose calls are those of old code, and which comes between it. */
static struct buf insert_beside_code(struct draft *d, unsigned arm64)
{
	uint32_t base = arm64 ? OLD_ARM64 : OLD_X86;
	const struct moved m = { .base = base, .from = OLD_N };

	fill(arm64 ? ARM64 : X86, bytes, 3000, 13);
	draft_add(d, base, 2000, 400);
	draft_insert(d, bytes, 3000);
	if (arm64)
		fill_arm64(bytes, OLD_CODE_N, &m, 2);
	else
		fill_x86(bytes, OLD_CODE_N, &m, 1);
	draft_add_bytes(d, base + 2000, bytes + 2000, OLD_CODE_N - 2000);
	return draft_finish(d);
}

/* Noise, much that costs little, and the noise again: found in all that is remembered, or, beside old streams, forgotten. */
static struct buf insert_twice(struct draft *d, unsigned forgotten)
{
	enum { FAR = CODE_HISTORY + 100000, LINE = 48 };

	d->n_streams = forgotten;
	fill_noise(bytes, 1500, 14);
	fill_text(bytes + 1500, LINE, 14);
	draft_insert(d, bytes, 1500);
	for (unsigned i = 0; i < 4; i++)
		draft_insert(d, bytes + 1500, LINE);
	for (size_t at = 0; at < FAR; at += sizeof(bytes) - LINE) {
		static uint8_t lines[sizeof(bytes)];
		size_t n = sizeof(lines) / LINE * LINE - LINE;

		for (size_t i = 0; i < n; i += LINE)
			memcpy(lines + i, bytes + 1500, LINE);
		draft_insert(d, lines, n);
	}
	draft_insert(d, bytes, 1500);
	return draft_finish(d);
}

/* ---- in bulk ---- */

static struct buf bulk(struct draft *d, unsigned filter)
{
	static const unsigned kinds[] = { TEXT, X86, ARM64 };

	d->bulk = true;
	d->filter = filter;
	fill(kinds[filter], bytes, LONG_N, 15);
	draft_insert(d, bytes, LONG_N / 2);
	draft_copy(d, OLD_NOISE, 300);
	draft_insert(d, bytes + LONG_N / 2, LONG_N / 2);
	return draft_finish(d);
}

/* More than a part, and a last one of a few bytes. */
static struct buf bulk_of_parts(struct draft *d, unsigned which UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(2 * sizeof(bytes));
	struct err e;

	memset(bytes, 'z', sizeof(bytes));
	fill_text(bytes, 5000, 16);
	if (!buf_add(&b, bytes, sizeof(bytes), &e) || !buf_add(&b, bytes, 77, &e))
		abort();
	d->bulk = true;
	draft_insert(d, b.p, b.n);
	return draft_finish(d);
}

/* All else beside it: short inserts, differences, a stream, which never are in bulk. */
static struct buf bulk_among_others(struct draft *d, unsigned which UNUSED)
{
	d->bulk = true;
	d->n_streams = 1;
	fill_text(bytes, LONG_N, 17);
	draft_insert(d, bytes, CODE_BULK_MIN - 1);
	draft_insert(d, bytes + 3000, CODE_BULK_MIN);
	draft_add(d, OLD_BASE, 3000, 200);
	draft_stream(d);
	draft_insert(d, bytes, 4000);
	draft_copy(d, OLD_BASE + 1000, 4000);
	draft_stream_end(d, &zlib6, NULL, 1);
	draft_insert(d, bytes + 6000, 4000);
	draft_insert(d, bytes, 100);
	return draft_finish(d);
}

/* Each frame has a stream of its own. */
static struct buf bulk_in_frames(struct draft *d, unsigned which UNUSED)
{
	d->bulk = true;
	d->segment_log = FORMAT_SEGMENT_LOG_MIN;
	fill_text(bytes, N, 18);
	for (unsigned i = 0; i < 3; i++) {
		draft_insert(d, bytes, N);
		draft_frame(d);
	}
	return draft_finish(d);
}

/* Half of what the stream makes is not asked for. */
static struct buf bulk_with_more(struct draft *d, unsigned which UNUSED)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(sizeof(bytes));
	struct err e;

	fill_text(bytes, N, 19);
	if (!lzma2_enc_new(&z, LZMA2_PLAIN, 6, &e) || !lzma2_encode(z, &packed, bytes, N, &e) ||
	    !lzma2_encode_end(z, &packed, &e))
		abort();
	draft_insert(d, bytes, N / 2);
	d->pieces[0].is.packed = packed.p;
	d->pieces[0].is.packed_n = d->pieces[0].is.packed_said = packed.n;
	return draft_finish(d);
}

/* ---- streams ---- */

static void stream_of(struct draft *d, const struct recipe *r, size_t n)
{
	draft_stream(d);
	draft_copy(d, OLD_TEXT + d->n_pieces * 100, n / 2);
	draft_insert(d, delta_old()->space + OLD_RECORDS, n - n / 2);
	draft_stream_end(d, r, NULL, 1);
}

static struct buf stream_of_each_level(struct draft *d, unsigned gzip)
{
	for (uint8_t level = 1; level <= 9; level++) {
		const struct recipe r = { .wrap = gzip ? WRAP_GZIP : WRAP_ZLIB,
					  .how = { .is_gzip = gzip,
						   .level = level,
						   .window_bits = 15,
						   .memory = 8 } };

		stream_of(d, &r, 2000);
	}
	return draft_finish(d);
}

static struct buf stream_of_each_strategy(struct draft *d, unsigned which UNUSED)
{
	for (uint8_t s = GUESS_DEFAULT; s <= GUESS_FIXED; s++) {
		const struct recipe r = { .wrap = (enum wrap)(s % 4),
					  .how = { .level = 4,
						   .window_bits = (uint8_t)(9 + s),
						   .memory = (uint8_t)(1 + 2 * s),
						   .strategy = s } };

		stream_of(d, &r, 3000);
		draft_insert(d, "raw", 3);
	}
	return draft_finish(d);
}

/* Tokens that are others than guessed, of each kind. */
static struct buf stream_of_other_tokens(struct draft *d, unsigned which UNUSED)
{
	static const struct token_fix fixes[] = {
		{ .gap = 2, .kind = FIX_LITERAL },
		{ .gap = 300, .kind = FIX_LITERAL },
		{ .gap = 5, .kind = FIX_MATCH, .is = { .len = 4, .dist = 16 } },
		{ .gap = 0, .kind = FIX_NEAREST, .is = { .len = 5 } },
		{ .gap = 0, .kind = FIX_SAME_DIST, .is = { .len = 6 } },
	};
	CLEANUP(buf_done) struct buf tokens = BUF_INIT(1000);
	struct recipe r = { .wrap = WRAP_ZIP, .how = zlib6.how };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(fixes); i++)
		if (!token_fix_add(&tokens, &fixes[i], &e))
			abort();
	r.tokens = tokens.p;
	r.tokens_end = tokens.p + tokens.n;
	draft_stream(d);
	draft_copy(d, OLD_TEXT, 1200);
	draft_zero(d, 3000);
	draft_stream_end(d, &r, NULL, 1);
	return draft_finish(d);
}

/* Blocks that are others than guessed: stored, fixed, dynamic, and bits behind the last one. */
static struct buf stream_of_other_blocks(struct draft *d, unsigned which UNUSED)
{
	static const struct block_fix fixes[] = {
		{ .kind = BLOCK_STORED, .has_count = true, .count = 900 },
		{ .kind = BLOCK_STORED, .has_count = true, .count = 0 },
		{ .kind = BLOCK_FIXED, .has_count = true, .count = 50 },
		{ .kind = BLOCK_DYNAMIC, .has_count = true, .count = 200 },
		{ .kind = BLOCK_FIXED, .is_final = true },
	};
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(1000);
	struct recipe r = { .padding = 1, .how = zlib6.how };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(fixes); i++)
		if (!block_fix_add(&blocks, &fixes[i], &e))
			abort();
	r.blocks = blocks.p;
	r.blocks_end = blocks.p + blocks.n;
	stream_of(d, &r, 5000);
	return draft_finish(d);
}

/* A block whose codes are described otherwise than the encoder would: those of other bytes do as well. */
static struct buf stream_of_other_codes(struct draft *d, unsigned which UNUSED)
{
	static struct inflate z;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(N), blocks = BUF_INIT(N);
	struct block_fix fix = { .kind = BLOCK_DYNAMIC, .is_final = true, .has_header = true };
	struct recipe r = { .how = zlib6.how };
	struct packed_memory m;
	uint8_t header[400];
	struct err e;

	add_packed(&packed, &zlib6, delta_old()->space + OLD_TEXT, 4000);
	inflate_init(&z, packed_of(&m, packed.p, packed.n));
	if (!inflate_block(&z, &e) || z.kind != BLOCK_DYNAMIC)
		abort();
	for (size_t i = 0; i < sizeof(header); i++)
		header[i] = (uint8_t)(packed.p[i] >> 3 | packed.p[i + 1] << 5);
	fix.header = header;
	fix.header_bits = z.header_bits;
	if (!block_fix_add(&blocks, &fix, &e))
		abort();
	r.blocks = blocks.p;
	r.blocks_end = blocks.p + blocks.n;
	draft_stream(d);
	draft_copy(d, OLD_TEXT, 3990);
	draft_insert(d, delta_old()->space + OLD_TEXT + 2000, 10);
	draft_stream_end(d, &r, NULL, 1);
	return draft_finish(d);
}

/* As rare as can be, so that codes would become too long: each byte comes as often as the two before it together. */
static struct buf stream_of_rare_bytes(struct draft *d, unsigned which UNUSED)
{
	static const struct recipe r = {
		.how = { .level = 6, .window_bits = 15, .memory = 8, .strategy = GUESS_HUFFMAN }
	};

	draft_stream(d);
	for (unsigned byte = 'a', n = 1, before = 1, sum; byte < 'a' + 19; byte++) {
		uint8_t *p = bytes + LONG_N;

		memset(p, (int)byte, n);
		draft_insert(d, p, n);
		sum = n + before;
		before = n;
		n = sum;
	}
	draft_stream_end(d, &r, NULL, 1);
	return draft_finish(d);
}

/* More than either window, in blocks that the encoder ends where they are full. */
static struct buf stream_of_many_blocks(struct draft *d, unsigned gzip)
{
	const struct recipe r = {
		.wrap = WRAP_GZIP,
		.how = { .is_gzip = gzip, .level = 5, .window_bits = 15, .memory = 8 }
	};

	draft_stream(d);
	for (unsigned i = 0; i < 3; i++)
		draft_add(d, i * 100, OLD_N - i * 100, 10000);
	draft_stream_end(d, &r, NULL, 1);
	return draft_finish(d);
}

/* Much out of a few bytes, as far as it is honest. */
static struct buf stream_of_zeros(struct draft *d, unsigned which UNUSED)
{
	draft_stream(d);
	draft_zero(d, 3 << 20);
	draft_stream_end(d, &zlib6, NULL, 1);
	return draft_finish(d);
}

static struct buf stream_from_old_streams(struct draft *d, unsigned which UNUSED)
{
	d->n_streams = OLD_STREAMS;
	draft_stream(d);
	draft_add(d, OLD_BASE, OLD_PLAIN_N, 1000);
	draft_add(d, old_plain(1), OLD_PLAIN_N, 2000);
	draft_copy(d, old_plain(2), OLD_PLAIN_N);
	draft_stream_end(d, &zlib6, NULL, 1);
	draft_copy(d, OLD_BASE + 5, 100);
	return draft_finish(d);
}

static struct buf stream_in_parts(struct draft *d, unsigned which)
{
	static const uint32_t orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 2, 0, 3, 1 } };

	draft_insert(d, "before", 6);
	draft_stream(d);
	fill_text(bytes, N, 20);
	draft_insert(d, bytes, N);
	draft_stream_end(d, &zlib6, orders[which], 4);
	draft_copy(d, OLD_TEXT, 50);
	return draft_finish(d);
}

/* A stream in each of two frames; of the first nobody takes the other parts. */
static struct buf stream_in_frames(struct draft *d, unsigned which UNUSED)
{
	fill_text(bytes, N, 21);
	draft_stream(d);
	draft_insert(d, bytes, N);
	draft_stream_end(d, &zlib6, (const uint32_t[]){ 1, 0 }, 2);
	/* The part that was kept goes, and what stood between: it is the second frame's. */
	d->image.n = d->runs[1];
	d->n_pieces = 1;
	d->n_ops = 1;
	draft_frame(d);
	stream_of(d, &zlib6, 3000);
	return draft_finish(d);
}

static struct buf old_streams(struct draft *d, unsigned n)
{
	d->n_streams = n;
	for (unsigned i = 0; i < n; i++) {
		draft_copy(d, old_plain(i) + 100, 2000);
		draft_add(d, old_plain(i) + 4000, 3000, 500);
	}
	draft_copy(d, old_plain(1) - 50, n > 1 ? 100 : 50); /* across two */
	return draft_finish(d);
}

/* Chunks that are there, that are behind one kept, and before, more than are kept at a time; across two of them. */
static struct buf old_stream_of_chunks(struct draft *d, unsigned bulk)
{
	static const uint32_t chunks[] = { 4, 0, 2, 3, 1, 2, 4, 0 };

	d->n_streams = OLD_STREAMS;
	d->bulk = bulk;
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		draft_copy(d, old_plain(OLD_LONG) + chunks[i] * SPACE_CHUNK + 500, 3000);
		draft_copy(d, old_plain(0) + i, 100);
	}
	if (bulk) { /* which takes most of the memory for chunks */
		fill_text(bytes, N, 23);
		draft_insert(d, bytes, N);
	}
	draft_add(d, old_plain(OLD_LONG) + SPACE_CHUNK - 2000, 4000, 700);
	draft_copy(d, OLD_SPACE_N - 10, 10);
	return draft_finish(d);
}

/* ---- frames and segments ---- */

static struct buf frames(struct draft *d, unsigned segment_log)
{
	d->segment_log = segment_log;
	d->n_streams = 2;
	for (unsigned i = 0; i < 3; i++) {
		draft_copy(d, OLD_TEXT + i * 1000, 5000);
		draft_add(d, OLD_BASE + i * 100, 4000, 300);
		draft_piece(d);
		draft_insert(d, "another piece", 13);
		draft_zero(d, 9000);
		draft_frame(d);
	}
	return draft_finish(d);
}

static struct buf frames_summed(struct draft *d, unsigned which UNUSED)
{
	d->is_summed = true;
	return frames(d, FORMAT_SEGMENT_LOG_MIN);
}

/* A segment begins in a command, in a stream, in one of its parts. */
static struct buf segments_of_4_kib(struct draft *d, unsigned which UNUSED)
{
	d->segment_log = FORMAT_SEGMENT_LOG_MIN;
	draft_copy(d, OLD_TEXT, 7000);
	fill_text(bytes, LONG_N, 22);
	draft_stream(d);
	draft_insert(d, bytes, LONG_N);
	draft_stream_end(d, &zlib6, (const uint32_t[]){ 1, 2, 0 }, 3);
	draft_add(d, OLD_X86, 8000, 90);
	draft_insert(d, bytes, 3000);
	draft_zero(d, 10000);
	return draft_finish(d);
}

/* The second segment begins behind a frame, zeros, a stream in parts and one that is not. */
static struct buf resumed_behind_much(struct draft *d, unsigned which UNUSED)
{
	d->segment_log = FORMAT_SEGMENT_LOG_MIN;
	draft_copy(d, OLD_TEXT, 1000);
	draft_frame(d);
	draft_zero(d, 1024);
	fill_text(bytes, 1500, 24);
	draft_stream(d);
	draft_insert(d, bytes, 1500);
	draft_stream_end(d, &zlib6, (const uint32_t[]){ 1, 0 }, 2);
	stream_of(d, &zlib6, 1200);
	draft_copy(d, OLD_NOISE, 4096);
	draft_insert(d, "the end", 7);
	return draft_finish(d);
}

const struct delta_seed delta_seeds_honest[] = {
	{ "identical", identical, 0, E_NONE, NULL },
	{ "code-moved-x86", code_moved, 0, E_NONE, NULL },
	{ "code-moved-arm64", code_moved, 1, E_NONE, NULL },
	{ "edited", edited, 0, E_NONE, NULL },
	{ "to-nothing", to_nothing, 0, E_NONE, NULL },
	{ "from-nothing", from_nothing, 0, E_NONE, NULL },
	{ "encoder-zlib-stream", streams_edited, 0, E_NONE, NULL },
	{ "encoder-gzip-stream", streams_edited, 1, E_NONE, NULL },
	{ "encoder-png-chunks", in_png_chunks, 0, E_NONE, NULL },
	{ "encoder-stream-not-explained", not_explained, 0, E_NONE, NULL },
	{ "encoder-bulk-plain", encoder_in_bulk, LZMA2_PLAIN, E_NONE, NULL },
	{ "encoder-bulk-x86", encoder_in_bulk, LZMA2_X86, E_NONE, NULL },
	{ "encoder-bulk-arm64", encoder_in_bulk, LZMA2_ARM64, E_NONE, NULL },
	{ "commands-of-each-kind", commands_of_each_kind, 0, E_NONE, NULL },
	{ "commands-by-habit", commands_by_habit, 0, E_NONE, NULL },
	{ "commands-from-everywhere", commands_from_everywhere, 0, E_NONE, NULL },
	{ "copies-to-the-end", to_the_end_of_the_space, 0, E_NONE, NULL },
	{ "zero-runs", zero_runs, 0, E_NONE, NULL },
	{ "insert-text", insert, TEXT, E_NONE, NULL },
	{ "insert-x86", insert, X86, E_NONE, NULL },
	{ "insert-arm64", insert, ARM64, E_NONE, NULL },
	{ "insert-noise", insert, NOISE, E_NONE, NULL },
	{ "insert-records", insert, RECORDS, E_NONE, NULL },
	{ "insert-beside-x86", insert_beside_code, 0, E_NONE, NULL },
	{ "insert-beside-arm64", insert_beside_code, 1, E_NONE, NULL },
	{ "insert-twice-far-apart", insert_twice, 0, E_NONE, NULL },
	{ "insert-twice-forgotten", insert_twice, 1, E_NONE, NULL },
	{ "bulk-plain", bulk, LZMA2_PLAIN, E_NONE, NULL },
	{ "bulk-x86", bulk, LZMA2_X86, E_NONE, NULL },
	{ "bulk-arm64", bulk, LZMA2_ARM64, E_NONE, NULL },
	{ "bulk-of-two-parts", bulk_of_parts, 0, E_NONE, NULL },
	{ "bulk-among-others", bulk_among_others, 0, E_NONE, NULL },
	{ "bulk-in-frames", bulk_in_frames, 0, E_NONE, NULL },
	{ "bulk-with-more-than-asked", bulk_with_more, 0, E_NONE, NULL },
	{ "stream-zlib-levels", stream_of_each_level, 0, E_NONE, NULL },
	{ "stream-gzip-levels", stream_of_each_level, 1, E_NONE, NULL },
	{ "stream-zlib-strategies", stream_of_each_strategy, 0, E_NONE, NULL },
	{ "stream-tokens-corrected", stream_of_other_tokens, 0, E_NONE, NULL },
	{ "stream-blocks-corrected", stream_of_other_blocks, 0, E_NONE, NULL },
	{ "stream-of-other-codes", stream_of_other_codes, 0, E_NONE, NULL },
	{ "stream-of-rare-bytes", stream_of_rare_bytes, 0, E_NONE, NULL },
	{ "stream-zlib-many-blocks", stream_of_many_blocks, 0, E_NONE, NULL },
	{ "stream-gzip-many-blocks", stream_of_many_blocks, 1, E_NONE, NULL },
	{ "stream-of-zeros", stream_of_zeros, 0, E_NONE, NULL },
	{ "stream-from-old-streams", stream_from_old_streams, 0, E_NONE, NULL },
	{ "stream-parts-in-order", stream_in_parts, 0, E_NONE, NULL },
	{ "stream-parts-reversed", stream_in_parts, 1, E_NONE, NULL },
	{ "stream-parts-mixed", stream_in_parts, 2, E_NONE, NULL },
	{ "stream-parts-dropped", stream_in_frames, 0, E_NONE, NULL },
	{ "old-stream", old_streams, 1, E_NONE, NULL },
	{ "old-streams-and-parts", old_streams, 3, E_NONE, NULL },
	{ "old-stream-of-chunks", old_stream_of_chunks, 0, E_NONE, NULL },
	{ "old-stream-of-chunks-and-bulk", old_stream_of_chunks, 1, E_NONE, NULL },
	{ "frames-three", frames, DRAFT_WHOLE, E_NONE, NULL },
	{ "frames-resumed", frames, FORMAT_SEGMENT_LOG_MIN, E_NONE, NULL },
	{ "frames-summed", frames_summed, 0, E_NONE, NULL },
	{ "resumed-behind-much", resumed_behind_much, 0, E_NONE, NULL },
	{ "segments-resumed", segments_of_4_kib, 0, E_NONE, NULL },
};
const size_t n_delta_seeds_honest = ARRAY_SIZE(delta_seeds_honest);
