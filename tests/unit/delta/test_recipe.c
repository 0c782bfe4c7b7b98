/* Recipes, what they pack to, and streams that are read again: each lie refused, each failure passed on. */
#include "tests/support/unit.h"

#include "base/bytes.h"
#include "delta/deflate.h"

enum { TEXT_N = 12000 };

static uint8_t text[TEXT_N];

static int setup(void **state UNUSED)
{
	uint32_t seed = 3;

	for (unsigned i = 0; i < TEXT_N; i++) {
		seed = seed * 1664525 + 1013904223;
		text[i] = seed >> 28 ? (uint8_t) "some words to pack "[i % 19]
				     : (uint8_t)(seed >> 20);
	}
	return 0;
}

static const struct guess_how usual = { .level = 6, .window_bits = 15, .memory = 8 };

/* ---- the text of a recipe ---- */

static bool parses(const char *p, size_t n)
{
	struct recipe r;
	struct err e;
	bool ok = recipe_parse(&r, (const uint8_t *)p, n, &e);

	if (!ok)
		assert_int_equal(e.code, E_CORRUPT);
	return ok;
}

static void recipes_that_make_no_sense_are_refused(void **state UNUSED)
{
	static const struct {
		const char *p;
		size_t n;
	} bad[] = {
		{ "", 0 },
		/* What stands behind the end would do. */
		{ "\x00\x06", 1 }, /* no level */
		{ "\x00\x00", 2 }, /* levels are 1 to 9 */
		{ "\x00\x0a", 2 },
		{ "\x80\x06", 2 },         /* an unknown flag */
		{ "\x0c\x06", 2 },         /* made by nobody */
		{ "\x08\x06\x8f\x04", 2 }, /* parameters are missing */
		{ "\x08\x06\x8f\x04", 3 },
		{ "\x08\x06\x88\x00", 4 },                              /* a window of 8 bits */
		{ "\x08\x06\x0f\x00", 4 },                              /* memory level 0 */
		{ "\x08\x06\xaf\x00", 4 },                              /* 10 */
		{ "\x08\x06\x8f\x05", 4 },                              /* strategy 5 */
		{ "\x40\x06\x01", 2 },                                  /* no padding */
		{ "\x10\x06\x00", 2 },                                  /* no size of blocks */
		{ "\x10\x06\x02\x00\x00", 4 },                          /* fewer than said */
		{ "\x10\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11 }, /* endless */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parses(bad[i].p, bad[i].n))
			fail_msg("row %zu is taken", i);
	assert_true(parses("\x00\x06", 2));
	assert_true(parses("\x04\x09", 2));
	assert_true(parses("\x78\x09\x8f\x04\x07\x01\x02\x03", 8));
}

static void recipes_read_as_they_were_written(void **state UNUSED)
{
	static const uint8_t blocks[] = { 1, 2, 3 }, tokens[] = { 4, 5, 6, 7 };
	struct recipe rows[] = {
		{ .how = usual },
		{ .how = { .is_gzip = true, .level = 9, .window_bits = 15, .memory = 8 } },
		{ .how = { .level = 1, .window_bits = 9, .memory = 8 } },
		{ .how = { .level = 1, .window_bits = 15, .memory = 9 } },
		{ .how = { .level = 1, .window_bits = 15, .memory = 8, .strategy = 3 } },
		{ .how = usual, .wrap = WRAP_ZIP, .padding = 0xc0 },
		{ .how = usual, .blocks = blocks, .blocks_end = blocks + 3 },
		{ .how = usual, .tokens = tokens, .tokens_end = tokens + 4 },
		{ .how = usual,
		  .blocks = blocks,
		  .blocks_end = blocks + 3,
		  .tokens = tokens,
		  .tokens_end = tokens + 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(64);
		struct recipe r;
		struct err e;

		assert_ok(recipe_encode(&b, &rows[i], &e), &e);
		assert_ok(recipe_parse(&r, b.p, b.n, &e), &e);
		assert_int_equal(r.wrap, rows[i].wrap);
		assert_int_equal(r.padding, rows[i].padding);
		assert_memory_equal(&r.how, &rows[i].how, sizeof(r.how));
		assert_int_equal(r.blocks_end - r.blocks, rows[i].blocks_end - rows[i].blocks);
		assert_int_equal(r.tokens_end - r.tokens, rows[i].tokens_end - rows[i].tokens);
		for (size_t max = 0; max < b.n; max++) {
			CLEANUP(buf_done) struct buf small = BUF_INIT(max);

			assert_fails(recipe_encode(&small, &rows[i], &e), &e, E_TOO_BIG);
		}
	}
}

static void fixes_of_blocks_are_checked(void **state UNUSED)
{
	static const struct {
		const char *p;
		size_t n;
	} bad[] = {
		{ "\x80", 1 },             /* the gap goes on */
		{ "\x00", 1 },             /* no kind */
		{ "\x00\x03", 2 },         /* kind 3 */
		{ "\x00\x20", 2 },         /* unknown flags */
		{ "\x00\x10\x01\x00", 4 }, /* a description of a stored block */
		{ "\x00\x11\x01\x00", 4 },
		{ "\x00\x08", 2 },             /* no count */
		{ "\x00\x12", 2 },             /* no size of the description */
		{ "\x00\x12\x00", 3 },         /* 0 bits */
		{ "\x00\x12\xff\x7f", 4 },     /* more than can be */
		{ "\x00\x12\x11\x00\x00", 5 }, /* 17 bits in two bytes */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const uint8_t *p = (const uint8_t *)bad[i].p;
		struct recipe r = { .blocks = p, .blocks_end = p + bad[i].n };
		struct block_fix f;
		struct err e;

		if (block_fix_next(&r, &f, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
	}
}

static void descriptions_of_blocks_have_a_largest_size(void **state UNUSED)
{
	for (unsigned over = 0; over < 2; over++) {
		uint8_t p[2 + VARINT_ROOM + HEADER_MAX + 1] = { 0, 0x12 };
		struct recipe r = { .blocks = p, .blocks_end = p + sizeof(p) };
		struct block_fix f;
		struct err e;

		put_varint(p + 2, HEADER_BITS_MAX + over);
		if (over)
			assert_fails(block_fix_next(&r, &f, &e), &e, E_CORRUPT);
		else
			assert_ok(block_fix_next(&r, &f, &e), &e);
	}
}

static void fixes_of_blocks_read_as_written(void **state UNUSED)
{
	static const uint8_t header[] = { 0xaa, 0x01 };
	static const struct block_fix rows[] = {
		{ .gap = 0, .kind = BLOCK_STORED, .has_count = true, .count = 77 },
		{ .gap = 300, .kind = BLOCK_FIXED, .is_final = true },
		{ .gap = 1, .kind = BLOCK_DYNAMIC },
		{ .gap = 1u << 30,
		  .kind = BLOCK_DYNAMIC,
		  .has_count = true,
		  .count = 1u << 20,
		  .has_header = true,
		  .header_bits = 9,
		  .header = header },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(64);
		struct block_fix f;
		struct err e;

		assert_ok(block_fix_add(&b, &rows[i], &e), &e);
		struct recipe r = { .blocks = b.p, .blocks_end = b.p + b.n };
		assert_ok(block_fix_next(&r, &f, &e), &e);
		assert_int_equal(f.gap, rows[i].gap);
		assert_int_equal(f.kind, rows[i].kind);
		assert_int_equal(f.count, rows[i].count);
		assert_int_equal(f.is_final, rows[i].is_final);
		assert_int_equal(f.header_bits, rows[i].header_bits);
		assert_ok(block_fix_next(&r, &f, &e), &e);
		assert_true(f.gap == UINT64_MAX);
		for (size_t max = 0; max < b.n; max++) {
			CLEANUP(buf_done) struct buf small = BUF_INIT(max);

			assert_fails(block_fix_add(&small, &rows[i], &e), &e, E_TOO_BIG);
		}
	}
}

static void fixes_of_tokens_are_checked(void **state UNUSED)
{
	static const struct token_fix rows[] = {
		{ .gap = 1000, .kind = FIX_LITERAL, .is = { .len = 1 } },
		{ .gap = 1000, .kind = FIX_NEAREST, .is = { .len = 3 } },
		{ .gap = 1000, .kind = FIX_SAME_DIST, .is = { .len = 9 } },
		{ .gap = 1000, .kind = FIX_MATCH, .is = { .len = 5, .dist = 32768 } },
		{ .gap = 1000, .kind = FIX_MATCH, .is = { .len = 258, .dist = 1 } },
	};
	struct token_fix f;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(64);

		assert_ok(token_fix_add(&b, &rows[i], &e), &e);
		struct recipe r = { .tokens = b.p, .tokens_end = b.p + b.n };
		assert_ok(token_fix_next(&r, &f, &e), &e);
		assert_int_equal(f.gap, 1000);
		assert_int_equal(f.kind, rows[i].kind);
		assert_int_equal(f.is.dist, rows[i].is.dist);
		assert_int_equal(f.is.len, rows[i].is.len);
		assert_ok(token_fix_next(&r, &f, &e), &e);
		assert_true(f.gap == UINT64_MAX);
		for (size_t cut = 1; cut < b.n; cut++) {
			r = (struct recipe){ .tokens = b.p, .tokens_end = b.p + cut };
			assert_fails(token_fix_next(&r, &f, &e), &e, E_CORRUPT);
		}
		for (size_t max = 0; max < b.n; max++) {
			CLEANUP(buf_done) struct buf small = BUF_INIT(max);

			assert_fails(token_fix_add(&small, &rows[i], &e), &e, E_TOO_BIG);
		}
	}
	static const uint8_t far[] = { 3, 0, 0x00, 0x80 }; /* a distance of 32769 */
	struct recipe r = { .tokens = far, .tokens_end = far + sizeof(far) };
	assert_fails(token_fix_next(&r, &f, &e), &e, E_CORRUPT);
}

/* ---- packing ---- */

struct out {
	struct buf b;
	uint64_t max; /* refuses what goes beyond */
};

static bool put(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct out *o = ctx;

	return o->b.n + n <= o->max ? buf_add(&o->b, p, n, e)
				    : err_set(e, E_CANCELLED, "nobody takes it");
}

static bool pack_parts(struct out *o, const struct recipe *r, const uint8_t *p, size_t n,
		       struct err *e)
{
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(1 << 20);
	struct packer to = { .put = put, .ctx = o };
	struct plain_memory m;

	assert_ok(recipe_encode(&recipe, r, e), e);
	return transform_deflate.pack(&to, recipe.p, recipe.n, plain_of(&m, p, (uint32_t)n), e);
}

static bool pack_with(const struct block_fix *fixes, size_t n_fixes, struct guess_how how,
		      struct out *o, struct err *e)
{
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(1 << 20);
	struct recipe r = { .how = how };

	for (size_t i = 0; i < n_fixes; i++)
		assert_ok(block_fix_add(&blocks, &fixes[i], e), e);
	r.blocks = blocks.p;
	r.blocks_end = blocks.p ? blocks.p + blocks.n : NULL;
	return pack_parts(o, &r, text, TEXT_N, e);
}

static void blocks_that_do_not_fit_the_stream_are_refused(void **state UNUSED)
{
	static const uint8_t zeros[16];
	/* One literal code for the end only; n_lit 257, n_dist 1. */
	static const struct block_fix rows[][2] = {
		{ { .kind = BLOCK_STORED, .has_count = true, .count = TEXT_N + 1 } },
		{ { .kind = BLOCK_STORED, .has_count = true, .count = 65536 } },
		{ { .kind = BLOCK_STORED, .has_count = true, .count = UINT32_MAX } },
		{ { .kind = BLOCK_STORED, .has_count = true, .count = 100, .is_final = true } },
		{ { .kind = BLOCK_FIXED, .has_count = true, .count = TEXT_N + 1 } },
		{ { .kind = BLOCK_FIXED, .has_count = true, .count = 3, .is_final = true } },
		{ { .kind = BLOCK_DYNAMIC, .has_count = true, .count = 1 } },
		{ { .kind = BLOCK_DYNAMIC,
		    .has_header = true,
		    .header_bits = 60,
		    .header = zeros } },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };

		if (pack_with(rows[i], 1, usual, &o, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		buf_done(&o.b);
	}
}

static void put_bits(uint8_t *to, unsigned *at, unsigned v, unsigned n)
{
	for (unsigned i = 0; i < n; i++, ++*at)
		to[*at / 8] |= (uint8_t)((v >> i & 1) << *at % 8);
}

/* The description of a dynamic block with these lengths: code lengths of 4 bits for 0 to 15. */
static unsigned describe(uint8_t *to, const uint8_t *lit, unsigned n_lit, const uint8_t *dist,
			 unsigned n_dist)
{
	static const uint8_t order[19] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					   11, 4,  12, 3, 13, 2, 14, 1, 15 };
	unsigned at = 0;

	put_bits(to, &at, n_lit - 257, 5);
	put_bits(to, &at, n_dist - 1, 5);
	put_bits(to, &at, 15, 4);
	for (unsigned i = 0; i < 19; i++)
		put_bits(to, &at, order[i] < 16 ? 4 : 0, 3);
	for (unsigned i = 0; i < n_lit + n_dist; i++) {
		unsigned v = i < n_lit ? lit[i] : dist[i - n_lit];

		for (unsigned b = 4; b-- > 0;)
			put_bits(to, &at, v >> b & 1, 1);
	}
	return at;
}

static void codes_that_a_description_lacks_are_refused(void **state UNUSED)
{
	for (unsigned lacking = 0; lacking < 4; lacking++) {
		uint8_t header[300] = { 0 }, lit[286], dist[30];
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
		struct err e;
		bool ok;

		memset(lit, 9, sizeof(lit));
		memset(lit, 8, 226); /* 226 of 8 bits, 60 of 9: all there is */
		memset(dist, 5, sizeof(dist));
		dist[0] = dist[1] = 4;
		if (lacking == 1) { /* no literal for a blank, but twice the room for another */
			lit[' '] = 0;
			lit['!'] = 7;
		} else if (lacking == 2) { /* no distances: one code of one bit */
			memset(dist, 0, sizeof(dist));
			dist[0] = 1;
		}
		struct block_fix fix = { .kind = BLOCK_DYNAMIC,
					 .has_header = true,
					 .header = header };
		fix.header_bits = describe(header, lit, 286, dist, 30);
		if (lacking == 3)
			fix.header_bits++;
		ok = pack_with(&fix, 1, usual, &o, &e);
		if (lacking == 0)
			assert_ok(ok, &e);
		else
			assert_int_equal(e.code, E_CORRUPT);
		assert_int_equal(ok, lacking == 0);
		buf_done(&o.b);
	}
}

static void tokens_that_do_not_fit_the_stream_are_refused(void **state UNUSED)
{
	static const struct token_fix rows[] = {
		/* before the beginning */
		{ .kind = FIX_MATCH, .is = { .len = 3, .dist = 1 } },
		{ .kind = FIX_NEAREST, .is = { .len = 3 } },
		/* a literal has no distance that could be the same */
		{ .kind = FIX_SAME_DIST, .is = { .len = 3 } },
		{ .gap = 5, .kind = FIX_MATCH, .is = { .len = 258, .dist = 32768 } },
		/* so much is not the same anywhere */
		{ .gap = 40, .kind = FIX_NEAREST, .is = { .len = 258 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows) + 3; i++) {
		CLEANUP(buf_done) struct buf tokens = BUF_INIT(64);
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
		struct recipe r = { .how = usual };
		struct err e;

		if (i < ARRAY_SIZE(rows))
			assert_ok(token_fix_add(&tokens, &rows[i], &e), &e);
		else if (i == ARRAY_SIZE(rows)) /* longer than what is left */
			assert_ok(buf_add(&tokens, "\x07\xff\x00\x00", 4, &e), &e);
		else if (i == ARRAY_SIZE(rows) + 1) /* the same, the nearest one */
			assert_ok(buf_add(&tokens, "\x05\xff", 2, &e), &e);
		else /* the second fix is cut */
			assert_ok(buf_add(&tokens, "\x04\x05", 2, &e), &e);
		r.tokens = tokens.p;
		r.tokens_end = tokens.p + tokens.n;
		bool is_short = i == ARRAY_SIZE(rows) || i == ARRAY_SIZE(rows) + 1;
		if (pack_parts(&o, &r, text, is_short ? 20 : TEXT_N, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		buf_done(&o.b);
	}
}

static void blocks_of_very_many_tokens_are_refused(void **state UNUSED)
{
	enum { N = (1 << 18) + 10 };
	static uint8_t plain[N];
	static const struct block_fix fix = { .kind = BLOCK_FIXED,
					      .has_count = true,
					      .count = N };
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(64);
	struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
	struct guess_how how = usual;
	struct err e;

	how.strategy = GUESS_HUFFMAN;
	assert_ok(block_fix_add(&blocks, &fix, &e), &e);
	struct recipe r = { .how = how, .blocks = blocks.p, .blocks_end = blocks.p + blocks.n };
	assert_fails(pack_parts(&o, &r, plain, N, &e), &e, E_CORRUPT);
	buf_done(&o.b);
}

static void tokens_of_more_than_a_stored_block_holds_are_refused(void **state UNUSED)
{
	enum { N = 70000 };
	static uint8_t plain[N];
	static const struct block_fix fix = { .kind = BLOCK_STORED };
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(64);
	struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
	struct err e;

	assert_ok(block_fix_add(&blocks, &fix, &e), &e);
	struct recipe r = { .how = usual,
			    .blocks = blocks.p,
			    .blocks_end = blocks.p + blocks.n };
	assert_fails(pack_parts(&o, &r, plain, N, &e), &e, E_CORRUPT);
	buf_done(&o.b);
}

/* Without chains of places there is no nearest one. */
static void the_nearest_place_of_nothing_is_refused(void **state UNUSED)
{
	static const struct token_fix fix = { .gap = 100,
					      .kind = FIX_NEAREST,
					      .is = { .len = 3 } };

	for (uint8_t strategy = GUESS_HUFFMAN; strategy <= GUESS_RLE; strategy++) {
		CLEANUP(buf_done) struct buf tokens = BUF_INIT(64);
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
		struct err e;

		assert_ok(token_fix_add(&tokens, &fix, &e), &e);
		struct recipe r = { .how = usual,
				    .tokens = tokens.p,
				    .tokens_end = tokens.p + tokens.n };
		r.how.strategy = strategy;
		assert_fails(pack_parts(&o, &r, text, TEXT_N, &e), &e, E_CORRUPT);
		buf_done(&o.b);
	}
}

static void stored_blocks_hold_65535_bytes_and_no_more(void **state UNUSED)
{
	enum { N = 70000 };
	static uint8_t plain[N];

	for (unsigned more = 0; more < 2; more++) {
		const struct block_fix fixes[] = {
			{ .kind = BLOCK_STORED, .has_count = true, .count = 65535 + more },
			{ .kind = BLOCK_STORED,
			  .has_count = true,
			  .count = N - 65535,
			  .is_final = true },
		};
		CLEANUP(buf_done) struct buf blocks = BUF_INIT(64);
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
		struct err e;

		for (unsigned i = 0; i < 2; i++)
			assert_ok(block_fix_add(&blocks, &fixes[i], &e), &e);
		struct recipe r = { .how = usual,
				    .blocks = blocks.p,
				    .blocks_end = blocks.p + blocks.n };
		bool ok = pack_parts(&o, &r, plain, N, &e);
		assert_int_equal(ok, !more);
		assert_int_equal(o.b.n, more ? 0 : N + 10);
		buf_done(&o.b);
	}
}

static void what_stands_behind_a_stream_is_made_again(void **state UNUSED)
{
	for (unsigned w = 0; w < 4; w++) {
		struct recipe r = { .how = usual, .wrap = w };
		struct out all = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX }, less;
		struct err e;

		assert_ok(pack_parts(&all, &r, text, TEXT_N, &e), &e);
		less = (struct out){ .b = BUF_INIT(1 << 20), .max = all.b.n - 1 };
		assert_fails(pack_parts(&less, &r, text, TEXT_N, &e), &e, E_CANCELLED);
		buf_done(&all.b);
		buf_done(&less.b);
	}
}

/* ---- output and input that fail, at every place ---- */

/* A stored block that moves all behind it, another one, one with a description, and guessed ones. */
static bool pack_moved(unsigned move, struct out *o, struct err *e)
{
	uint8_t header[300] = { 0 }, lit[286], dist[30];
	struct block_fix fixes[] = {
		{ .kind = BLOCK_STORED, .has_count = true, .count = move },
		{ .kind = BLOCK_STORED, .has_count = true, .count = 9 },
		{ .kind = BLOCK_FIXED, .has_count = true, .count = 12 },
		{ .kind = BLOCK_DYNAMIC,
		  .has_count = true,
		  .count = 40,
		  .has_header = true,
		  .header = header },
	};
	struct guess_how how = usual;

	memset(lit, 9, sizeof(lit));
	memset(lit, 8, 226);
	memset(dist, 5, sizeof(dist));
	dist[0] = dist[1] = 4;
	fixes[3].header_bits = describe(header, lit, 286, dist, 30);
	how.memory = 1; /* small blocks: many beginnings and ends */
	return pack_with(fixes, 4, how, o, e);
}

static void output_that_nobody_takes_ends_packing_anywhere(void **state UNUSED)
{
	for (unsigned move = 3300; move < 4200; move++) {
		struct out o = { .b = BUF_INIT(1 << 20), .max = 0 };
		struct err e;

		assert_fails(pack_moved(move, &o, &e), &e, E_CANCELLED);
		buf_done(&o.b);
	}
}

/* Output goes out in portions of 4 KiB: a stream that ends with one is complete, and it matters whether its
 * last byte is taken. */
static void streams_may_end_where_a_portion_does(void **state UNUSED)
{
	enum { PORTION = 4096, STORED = PORTION - 8, N = STORED + 1 };
	static const struct block_fix fixes[] = {
		{ .kind = BLOCK_STORED, .has_count = true, .count = STORED }, /* and 5 */
		{ .kind = BLOCK_FIXED, .has_count = true, .count = 1, .is_final = true }, /* 3 */
	};
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(64);
	struct recipe r = { .how = usual };
	struct err e;

	for (unsigned i = 0; i < 2; i++)
		assert_ok(block_fix_add(&blocks, &fixes[i], &e), &e);
	r.blocks = blocks.p;
	r.blocks_end = blocks.p + blocks.n;
	for (unsigned less = 0; less < 2; less++) {
		struct out o = { .b = BUF_INIT(1 << 20), .max = PORTION - less };
		bool ok = pack_parts(&o, &r, text, N, &e);

		assert_int_equal(ok, !less);
		assert_int_equal(o.b.n, less ? 0 : PORTION);
		if (less)
			assert_int_equal(e.code, E_CANCELLED);
		buf_done(&o.b);
	}
}

struct source {
	const uint8_t *p;
	unsigned reads; /* that succeed */
};

static bool packed_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e)
{
	struct source *s = ctx;

	if (s->reads-- == 0)
		return err_set(e, E_SYSTEM, "the disk is gone");
	memcpy(p, s->p + offset, n);
	return true;
}

static void streams_whose_reading_fails_anywhere_end(void **state UNUSED)
{
	static uint8_t plain[TEXT_N];

	for (unsigned move = 3300; move < 4200; move++) {
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
		struct source s = { .reads = 1 };
		struct packed from = { .read = packed_read, .ctx = &s };
		struct err e;

		assert_ok(pack_moved(move, &o, &e), &e);
		s.p = o.b.p;
		from.size = o.b.n;
		assert_fails(stream_unpack(&transform_deflate, plain, TEXT_N, &from, &e), &e,
			     E_SYSTEM);
		s.reads = 100;
		assert_ok(stream_unpack(&transform_deflate, plain, TEXT_N, &from, &e), &e);
		assert_memory_equal(plain, text, TEXT_N);
		buf_done(&o.b);
	}
}

static void streams_cut_anywhere_are_refused(void **state UNUSED)
{
	static uint8_t plain[TEXT_N];
	struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
	struct err e;

	assert_ok(pack_moved(50, &o, &e), &e);
	for (size_t cut = 0; cut < o.b.n; cut++) {
		struct source s = { .p = o.b.p, .reads = 100 };
		struct packed from = { .read = packed_read, .ctx = &s, .size = cut };

		assert_fails(stream_unpack(&transform_deflate, plain, TEXT_N, &from, &e), &e,
			     E_CORRUPT);
	}
	/* What is behind it must be one of the known endings. */
	for (size_t more = 0; more <= 20; more++) {
		uint8_t longer[TEXT_N * 2] = { 0 };
		struct source s = { .p = longer, .reads = 100 };
		struct packed from = { .read = packed_read, .ctx = &s, .size = o.b.n + more };
		bool ok;

		memcpy(longer, o.b.p, o.b.n);
		ok = stream_unpack(&transform_deflate, plain, TEXT_N, &from, &e);
		assert_int_equal(ok, more == 0 || more == 4 || more == 8 || more == 16);
	}
	buf_done(&o.b);
}

static bool plain_fails(void *ctx, uint8_t *p, size_t room UNUSED, size_t *ret_n, struct err *e)
{
	unsigned *left = ctx;

	if ((*left)-- == 0)
		return err_set(e, E_SYSTEM, "no more");
	memset(p, 'x', PLAIN_ROOM);
	*ret_n = PLAIN_ROOM;
	return true;
}

static void plain_bytes_that_do_not_come_end_packing(void **state UNUSED)
{
	static const uint8_t recipe[] = { 0, 6 }, stored[] = { 0x10, 6, 4, 0, 8, 0xff, 0x7f };

	for (unsigned i = 0; i < 2; i++) {
		struct out o = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
		struct packer to = { .put = put, .ctx = &o };
		unsigned left = 3;
		struct plain from = { .read = plain_fails, .ctx = &left, .size = 100000 };
		struct err e;

		assert_fails(transform_deflate.pack(&to, i ? stored : recipe, i ? 7 : 2, &from,
						    &e),
			     &e, E_SYSTEM);
		from.size = LIMIT_DELTA_STREAM + 1;
		assert_fails(transform_deflate.pack(&to, recipe, 2, &from, &e), &e, E_CORRUPT);
		buf_done(&o.b);
	}
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	static uint8_t plain[TEXT_N];
	struct out all = { .b = BUF_INIT(1 << 20), .max = UINT64_MAX };
	struct recipe r = { .how = usual };
	struct err e;

	assert_ok(pack_parts(&all, &r, text, TEXT_N, &e), &e);
	FAULT_EACH(n, FAULT_ALLOC) {
		struct packer to = { .put = put, .ctx = &all };
		struct plain_memory m;

		buf_reset(&all.b);
		if (!transform_deflate.pack(&to, (const uint8_t *)"\0\6", 2,
					    plain_of(&m, text, TEXT_N), &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	FAULT_EACH(n, FAULT_ALLOC) {
		struct packed_memory m;

		if (!stream_unpack(&transform_deflate, plain, TEXT_N,
				   packed_of(&m, all.b.p, all.b.n), &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	buf_done(&all.b);
}

/* ---- descriptions of codes ---- */

static bool unpacks(const void *p, size_t n, size_t plain_n, struct err *e)
{
	static uint8_t plain[70000];
	struct packed_memory m;

	return stream_unpack(&transform_deflate, plain, plain_n, packed_of(&m, p, n), e);
}

static void descriptions_that_lie_are_refused(void **state UNUSED)
{
	static const struct {
		const char *p;
		size_t n;
		const char *text;
	} rows[] = {
		{ "\x07", 1, "not a kind of block" },
		{ "\x01\x05\x00\x05\x00", 5, "sizes differ" },
		{ "\xfd\xff\xff", 3, "too many codes" }, /* 288 */
		{ "\x05\xf0\x01\x00\x00\x00\x00\x00\x00\x00\x00", 11, "not a prefix code" },
		{ "\x03\x02", 2, "before the beginning" }, /* fixed: 257, distance 1 */
		{ "\x05\x1f", 2, "too many codes" },       /* 32 distances */
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (unpacks(rows[i].p, rows[i].n, 10, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		if (!strstr(e.text, rows[i].text) && !strstr(e.text, "cut off"))
			fail_msg("row %zu: %s", i, e.text);
	}
}

/* The last block, dynamic, with these codes: what it says, and bits behind it that may be read. */
static bool block_is_taken(const uint8_t *lit, const uint8_t *dist, unsigned n_dist,
			   struct err *e)
{
	static struct inflate z;
	uint8_t p[400] = { 0 };
	struct packed_memory m;

	describe(p, lit, 286, dist, n_dist);
	inflate_init(&z, packed_of(&m, p, sizeof(p)));
	return inflate_dynamic(&z, e);
}

static void codes_of_distances_are_complete_or_a_single_one(void **state UNUSED)
{
	static const struct {
		uint8_t dist[4];
		bool is_good;
	} rows[] = {
		{ { 1, 1 }, true },     { { 1, 2, 2 }, true }, { { 0, 1 }, true },
		{ { 0 }, true },        { { 2 }, false },      { { 1, 1, 1 }, false },
		{ { 2, 2, 2 }, false },
	};
	uint8_t lit[286];
	struct err e;

	memset(lit, 9, sizeof(lit));
	memset(lit, 8, 226);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (block_is_taken(lit, rows[i].dist, 4, &e) != rows[i].is_good)
			fail_msg("row %zu", i);
}

/* 258 bytes have a symbol of their own, but 284 and 31 say the same, and inflate takes it. */
static void the_longest_match_may_be_written_the_odd_way(void **state UNUSED)
{
	enum { N = 1 + MATCH_MAX };
	static struct inflate z;

	for (unsigned odd = 0; odd < 2; odd++) {
		uint8_t p[16] = { 0 }, plain[N];
		struct packed_memory m;
		unsigned at = 0;
		size_t n = 0;
		struct err e;

		put_bits(p, &at, 1 | BLOCK_FIXED << 1, 3);
		put_bits(p, &at, 0x0c, 8); /* literal 0: 0x30, from its highest bit on */
		put_bits(p, &at, odd ? 0x23 : 0xa3, 8); /* 284: 0xc4, 285: 0xc5 */
		put_bits(p, &at, 31, odd ? 5 : 0);
		put_bits(p, &at, 0, 5); /* distance 1 */
		put_bits(p, &at, 0, 7); /* the end */
		inflate_init(&z, packed_of(&m, p, (at + 7) / 8));
		assert_ok(inflate_next(&z, plain, N, &n, &e), &e);
		assert_int_equal(n, N);
		assert_true(z.ended);
		assert_int_equal(z.odd, odd);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(plain[i], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recipes_that_make_no_sense_are_refused),
		cmocka_unit_test(recipes_read_as_they_were_written),
		cmocka_unit_test(fixes_of_blocks_are_checked),
		cmocka_unit_test(descriptions_of_blocks_have_a_largest_size),
		cmocka_unit_test(fixes_of_blocks_read_as_written),
		cmocka_unit_test(fixes_of_tokens_are_checked),
		cmocka_unit_test(blocks_that_do_not_fit_the_stream_are_refused),
		cmocka_unit_test(codes_that_a_description_lacks_are_refused),
		cmocka_unit_test(tokens_that_do_not_fit_the_stream_are_refused),
		cmocka_unit_test(blocks_of_very_many_tokens_are_refused),
		cmocka_unit_test(tokens_of_more_than_a_stored_block_holds_are_refused),
		cmocka_unit_test(the_nearest_place_of_nothing_is_refused),
		cmocka_unit_test(stored_blocks_hold_65535_bytes_and_no_more),
		cmocka_unit_test(what_stands_behind_a_stream_is_made_again),
		cmocka_unit_test(output_that_nobody_takes_ends_packing_anywhere),
		cmocka_unit_test(streams_may_end_where_a_portion_does),
		cmocka_unit_test(streams_whose_reading_fails_anywhere_end),
		cmocka_unit_test(streams_cut_anywhere_are_refused),
		cmocka_unit_test(plain_bytes_that_do_not_come_end_packing),
		cmocka_unit_test(memory_that_runs_out_is_told),
		cmocka_unit_test(descriptions_that_lie_are_refused),
		cmocka_unit_test(codes_of_distances_are_complete_or_a_single_one),
		cmocka_unit_test(the_longest_match_may_be_written_the_odd_way),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
