#include "tests/support/unit.h"

#include "base/bytes.h"
#include "delta/checksum.h"
#include "delta/deflate.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

enum { TEXT, CODE, NOISE, RUNS, FEW_LETTERS, ONE_LETTER, MIXED, SAMPLES };

static uint32_t seed = 1;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void sample_fill(uint8_t *p, size_t n, unsigned kind)
{
	static const char *words[] = { "the ",     "handset ", "of ",   "image ", "is ",
				       "verified", ", ",       "delta", ".\n",    "stream " };

	for (size_t i = 0; i < n;) {
		size_t k = 1;

		switch (kind) {
		case TEXT: {
			const char *w = words[dice(ARRAY_SIZE(words))];

			k = strlen(w) < n - i ? strlen(w) : n - i;
			memcpy(p + i, w, k);
			break;
		}
		case CODE:
			p[i] = (uint8_t)(i % 4 ? dice(3) * 17 : dice(250));
			break;
		case NOISE:
			p[i] = (uint8_t)dice(256);
			break;
		case RUNS:
			k = 1 + dice(400) < n - i ? 1 + dice(400) : 1;
			k = k < n - i ? k : n - i;
			memset(p + i, (int)dice(256), k);
			break;
		case FEW_LETTERS:
			p[i] = (uint8_t)('a' + dice(8));
			break;
		case ONE_LETTER:
			p[i] = 'a';
			break;
		case MIXED:
			k = 1 + dice(90000);
			k = k < n - i ? k : n - i;
			sample_fill(p + i, k, dice(MIXED));
			break;
		}
		i += k;
	}
}

static uint8_t *sample(size_t n, unsigned kind)
{
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	sample_fill(p, n, kind);
	return p;
}

static struct buf by_zlib(const uint8_t *p, size_t n, int level, int bits, int memory,
			  int strategy)
{
	struct buf out = BUF_INIT(1 << 27);
	z_stream z = { .next_in = (uint8_t *)p, .avail_in = (uInt)n };
	struct err e;
	uint8_t *to;

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, bits, memory, strategy), Z_OK);
	assert_ok(buf_reserve(&out, deflateBound(&z, n), &to, &e), &e);
	z.next_out = to;
	z.avail_out = (uInt)deflateBound(&z, n);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_commit(&out, z.total_out);
	deflateEnd(&z);
	return out;
}

static bool to_buf(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	return buf_add(ctx, p, n, e);
}

static bool pack_to(struct buf *out, const struct buf *recipe, const uint8_t *plain, size_t n,
		    struct err *e)
{
	struct packer to = { .put = to_buf, .ctx = out };
	struct plain_memory m;

	return transform_deflate.pack(&to, recipe->p, recipe->n,
				      plain_of(&m, plain, (uint32_t)n), e);
}

/* Explains the stream, packs it again, and returns the size of the recipe; 0: there is none. */
static size_t comes_back(const struct buf *packed, const uint8_t *plain, size_t n)
{
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(LIMIT_DELTA_RECIPE);
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	struct packed_memory m;
	uint8_t *back = malloc(n + 1);
	uint64_t work;
	bool ok = false;
	struct err e;

	assert_ok(stream_unpack(&transform_deflate, back, n,
				packed_of(&m, packed->p, packed->n), &e),
		  &e);
	assert_memory_equal(back, plain, n);
	free(back);
	assert_ok(transform_deflate.explain(&recipe, &ok, &work, packed->p, packed->n, plain, n,
					    &e),
		  &e);
	if (!ok)
		return 0;
	assert_ok(pack_to(&out, &recipe, plain, n, &e), &e);
	assert_int_equal(out.n, packed->n);
	assert_memory_equal(out.p, packed->p, packed->n);
	return recipe.n;
}

static void zlib_of_every_level_needs_two_bytes(void **state UNUSED)
{
	for (unsigned kind = 0; kind < SAMPLES; kind++) {
		uint8_t *p = sample(90000, kind);

		for (int level = 1; level <= 9; level++) {
			CLEANUP(buf_done)
			struct buf z = by_zlib(p, 90000, level, -15, 8, Z_DEFAULT_STRATEGY);
			size_t n = comes_back(&z, p, 90000);

			/* Noise is stored as it is: nothing to see through. */
			if (kind == NOISE)
				assert_int_equal(n, 0);
			else if (n != 2)
				fail_msg("sample %u, level %d: %zu", kind, level, n);
		}
		free(p);
	}
}

static void zlib_packs_what_it_is_told(const uint8_t *p, size_t n, struct guess_how how)
{
	static const int strategies[] = { Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE,
					  Z_FIXED };
	CLEANUP(buf_done)
	struct buf z = by_zlib(p, n, how.level, -how.window_bits, how.memory,
			       strategies[how.strategy]);
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(64);
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	struct recipe r = { .how = how };
	struct err e;

	assert_ok(recipe_encode(&recipe, &r, &e), &e);
	assert_ok(pack_to(&out, &recipe, p, n, &e), &e);
	for (size_t i = 0; i < out.n || i < z.n; i++)
		if (i >= out.n || i >= z.n || out.p[i] != z.p[i])
			fail_msg(
				"level %u, memory %u, strategy %u, %zu bytes: %zu instead of %zu, "
				"from byte %zu on",
				how.level, how.memory, how.strategy, n, out.n, z.n, i);
}

/* No choosing here: the emulation itself against libz, block by block. */
static void emulation_is_zlib_for_all_levels_and_strategies(void **state UNUSED)
{
	static const uint8_t memories[] = { 1, 4, 8, 9 };

	for (unsigned kind = 0; kind < SAMPLES; kind++) {
		size_t n = 20000 + dice(25000);
		uint8_t *p = sample(n, kind);

		for (uint8_t level = 1; level <= 9; level++)
			for (unsigned m = 0; m < ARRAY_SIZE(memories); m++)
				for (uint8_t s = 0; s <= GUESS_FIXED; s++)
					zlib_packs_what_it_is_told(
						p, n,
						(struct guess_how){ .level = level,
								    .window_bits = 15,
								    .memory = memories[m],
								    .strategy = s });
		free(p);
	}
}

static struct buf by_gzip(void **state, const uint8_t *p, size_t n, int level)
{
	struct buf out = BUF_INIT(1 << 24);
	char command[1200];
	uint8_t *to;
	struct err e;

	write_file_at(tmpdir_fd(state), "plain", p, n);
	snprintf(command, sizeof(command), "gzip -n%d <'%s/plain' >'%s/packed'", level,
		 tmpdir_path(state), tmpdir_path(state));
	assert_int_equal(system(command), 0);
	assert_ok(buf_reserve(&out, n + 4096, &to, &e), &e);
	buf_commit(&out, read_back_at(tmpdir_fd(state), "packed", to, n + 4096));
	return out;
}

/* gzip compares beyond its input with what its window has there, so inputs that end in zeros, as what was never
 * read is, show every byte of that. */
static void emulation_is_gzip_behind_the_end_too(void **state)
{
	static const size_t sizes[] = { 3, 300, 1000, 65400, 98250 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned zeros = 3; zeros <= sizes[i] && zeros < 1000;
		     zeros = zeros * 3 + 1)
			for (uint8_t level = 1; level <= 9; level += 4) {
				uint8_t *p = sample(sizes[i], TEXT);
				struct recipe r = { .wrap = WRAP_GZIP,
						    .how = { .is_gzip = true,
							     .level = level,
							     .window_bits = 15,
							     .memory = 8 } };
				CLEANUP(buf_done) struct buf recipe = BUF_INIT(64);
				CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
				struct err e;

				memset(p + sizes[i] - zeros, 0, zeros);
				CLEANUP(buf_done)
				struct buf gz = by_gzip(state, p, sizes[i], level);
				assert_ok(recipe_encode(&recipe, &r, &e), &e);
				assert_ok(pack_to(&out, &recipe, p, sizes[i], &e), &e);
				assert_int_equal(out.n, gz.n - 10);
				assert_memory_equal(out.p, gz.p + 10, out.n);
				free(p);
			}
}

/* Stored, fixed and dynamic blocks, in portions of any sizes. */
static void portions_of_any_size_give_the_same_bytes(void **state UNUSED)
{
	static const struct {
		unsigned kind;
		int strategy;
	} rows[] = { { NOISE, 0 }, { TEXT, 0 }, { RUNS, 0 }, { TEXT, Z_FIXED } };
	enum { N = 70000 };
	struct inflate *z = malloc(sizeof(*z));
	uint8_t *back = malloc(N);

	for (unsigned i = 0; i < 40; i++) {
		uint8_t *p = sample(N, rows[i % 4].kind);
		CLEANUP(buf_done)
		struct buf packed = by_zlib(p, N, 6, -15, 8, rows[i % 4].strategy);
		struct packed_memory m;

		inflate_init(z, packed_of(&m, packed.p, packed.n));
		for (size_t at = 0, n; at < N; at += n) {
			size_t want = 1 + dice(i < 8 ? 20 : 20000);
			struct err e;

			want = want < N - at ? want : N - at;
			assert_ok(inflate_next(z, back + at, want, &n, &e), &e);
			assert_int_equal(n, want);
			assert_int_equal(z->ended, at + n == N);
			assert_int_equal(z->made, at + n);
		}
		assert_int_equal(inflate_used(z), packed.n);
		assert_memory_equal(back, p, N);
		free(p);
	}
	free(back);
	free(z);
}

static void guessing_is_slow_by_the_byte_and_by_the_stream(void **state UNUSED)
{
	struct guess g = { .n = 1000 };

	g.steps = GUESS_STEPS_FREE + 1000 * GUESS_STEPS_PER_BYTE;
	assert_false(guess_is_slow(&g));
	g.steps++;
	assert_true(guess_is_slow(&g));
	g.n = LIMIT_DELTA_STREAM;
	assert_false(guess_is_slow(&g));
	g.steps = GUESS_STEPS_MAX;
	assert_false(guess_is_slow(&g));
	g.steps++;
	assert_true(guess_is_slow(&g));
}

static struct buf without(const struct buf *b, size_t head)
{
	return (struct buf){ .p = b->p + head, .n = b->n - head };
}

static void gzip_of_every_level_needs_two_bytes(void **state)
{
	/* Two of them end where gzip's window would slide, and in its very last bytes. */
	static const size_t sizes[] = { 1000, 65400, 98250, 150000 };

	for (unsigned kind = 0; kind < SAMPLES; kind++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint8_t *p = sample(sizes[i], kind);

			for (int level = 1; level <= 9; level++) {
				CLEANUP(buf_done)
				struct buf gz = by_gzip(state, p, sizes[i], level);
				struct buf body = without(&gz, 10);
				size_t n;

				/* Only stored: nothing to see through. */
				if (body.n > sizes[i] || kind == ONE_LETTER)
					continue;
				n = comes_back(&body, p, sizes[i]);
				if (n != 2)
					fail_msg("sample %u, %zu bytes, level %d: %zu", kind,
						 sizes[i], level, n);
			}
			free(p);
		}
}

/* An encoder that neither emulation is: zlib that flushes in the middle. */
static void other_encoders_are_corrected(void **state UNUSED)
{
	for (unsigned kind = 0; kind < SAMPLES; kind++) {
		uint8_t *p = sample(300000, kind), *to;
		CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
		z_stream z = { .next_in = p };
		struct err e;

		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
		assert_ok(buf_reserve(&out, 400000, &to, &e), &e);
		z.next_out = to;
		z.avail_out = 400000;
		z.avail_in = 100000;
		assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
		z.avail_in = 100000;
		assert_int_equal(deflate(&z, Z_FULL_FLUSH), Z_OK);
		z.avail_in = 100000;
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		buf_commit(&out, z.total_out);
		deflateEnd(&z);
		if (kind == TEXT || kind == CODE)
			assert_true(comes_back(&out, p, 300000) > 0);
		else
			comes_back(&out, p, 300000);
		free(p);
	}
}

static bool find_in(struct streams *ret, const struct buf *b, struct err *e)
{
	const struct image in = { .p = b->p, .size = b->n };

	return transform_deflate.find(ret, &in, 0, b->n, e);
}

/* What `program` makes of the plain bytes, as a gzip file; empty when it is not installed. */
static struct buf by_program(void **state, const char *program, const uint8_t *p, size_t n)
{
	struct buf out = BUF_INIT(1 << 24);
	char command[1200];
	uint8_t *to;
	struct err e;

	snprintf(command, sizeof(command), "command -v %.*s >'%s/where'",
		 (int)strcspn(program, " "), program, tmpdir_path(state));
	if (system(command) != 0)
		return out;
	write_file_at(tmpdir_fd(state), "plain", p, n);
	snprintf(command, sizeof(command), "cd '%s' && %s >packed", tmpdir_path(state),
		 program);
	assert_int_equal(system(command), 0);
	assert_ok(buf_reserve(&out, 2 * n + 4096, &to, &e), &e);
	buf_commit(&out, read_back_at(tmpdir_fd(state), "packed", to, 2 * n + 4096));
	return out;
}

/* From the linker. */
extern const uint8_t __executable_start[], etext[];

/* Encoders that search and cut quite differently, on this program's own code: what they decided is a
 * fifth of the stream at most. */
static void streams_of_other_programs_are_corrected(void **state)
{
	static const char *const programs[] = {
		"libdeflate-gzip -1 -c plain",          "libdeflate-gzip -6 -c plain",
		"libdeflate-gzip -12 -c plain",         "zopfli --i5 -c plain",
		"pigz -n -c -b 32 -i -6 plain",         "pigz -n -c -11 plain",
		"7z a -bd -tgzip -mx=9 -so a.gz plain",
	};
	enum { N = 40000 };
	uint8_t *p = malloc(N);
	unsigned n = 0;

	/* The end of the code: what stands before it, tables of symbols, is no code and differs more
	 * between builds. */
	assert_true((uintptr_t)etext - (uintptr_t)__executable_start > N);
	memcpy(p, (const uint8_t *)((uintptr_t)etext - N), N);
	for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
		CLEANUP(buf_done) struct buf gz = by_program(state, programs[i], p, N);
		struct streams s = { 0 };
		struct err e;

		if (!gz.n)
			continue;
		assert_ok(find_in(&s, &gz, &e), &e);
		assert_int_equal(s.n, 1);
		assert_int_equal(s.v[0].plain_size, N);
		struct buf body = { .p = gz.p + s.v[0].offset, .n = s.v[0].size };
		size_t recipe = comes_back(&body, p, N);
		if (recipe == 0 || recipe > body.n / 5)
			fail_msg("%s: a recipe of %zu for %zu", programs[i], recipe, body.n);
		streams_done(&s);
		n++;
	}
	free(p);
	if (n == 0)
		skip();
}

/* Every place and length against a search of all places before. */
static void the_nearest_place_is_the_nearest(void **state UNUSED)
{
	static const struct guess_how hows[] = {
		{ .level = 6, .window_bits = 15, .memory = 8 },
		{ .level = 9, .window_bits = 9, .memory = 1 },
		{ .is_gzip = true, .level = 4, .window_bits = 15, .memory = 8 },
	};
	enum { N = 3000 };
	uint8_t *p = sample(N, TEXT);
	struct err e;

	for (unsigned i = 0; i < ARRAY_SIZE(hows); i++) {
		uint32_t reach = (1u << hows[i].window_bits) - MATCH_MAX - MATCH_MIN - 1;
		struct guess g;

		assert_ok(guess_init(&g, &hows[i], p, N, &e), &e);
		while (g.at < N) {
			struct token t = guess_next(&g);
			uint32_t len = MATCH_MIN + dice(12), dist = 1;

			/* The first byte of all is no place: zlib's chains end there. */
			while (dist < g.at &&
			       (g.at + len > N || memcmp(p + g.at, p + g.at - dist, len) != 0))
				dist++;
			if (dist >= g.at || dist > reach)
				dist = 0;
			assert_int_equal(guess_nearest(&g, len), dist);
			guess_commit(&g, &t);
		}
		guess_done(&g);
	}
	free(p);
}

static void checksums_behind_a_stream_cost_nothing(void **state UNUSED)
{
	static const int bits[] = { 31, 15 };
	static const size_t heads[] = { 10, 2 };
	uint8_t *p = sample(50000, TEXT);

	for (unsigned i = 0; i < 2; i++) {
		CLEANUP(buf_done) struct buf z = by_zlib(p, 50000, 6, bits[i], 8, 0);
		struct buf body = without(&z, heads[i]);

		assert_int_equal(comes_back(&body, p, 50000), 2);
		z.p[z.n - 1] ^= 1; /* one that lies is no part of a stream */
		assert_int_equal(comes_back(&body, p, 50000), 0);
	}
	free(p);
}

static void padding_that_is_not_zero_comes_back(void **state UNUSED)
{
	uint8_t *p = sample(5001, TEXT), back[5001];
	struct inflate *in = malloc(sizeof(*in));
	unsigned padded = 0;

	for (size_t n = 4990; n <= 5001; n++) {
		CLEANUP(buf_done) struct buf z = by_zlib(p, n, 6, -15, 8, 0);
		struct packed_memory m;
		size_t got = 0;
		struct err e;

		inflate_init(in, packed_of(&m, z.p, z.n));
		assert_ok(inflate_next(in, back, sizeof(back), &got, &e), &e);
		assert_true(in->ended);
		if (inflate_bit(in) % 8 == 0)
			continue;
		z.p[z.n - 1] |= 0x80;
		padded += comes_back(&z, p, n) == 3;
	}
	assert_true(padded > 5);
	free(in);
	free(p);
}

static void image_add(struct buf *image, const void *p, size_t n)
{
	struct err e;

	assert_ok(buf_add(image, p, n, &e), &e);
}

static void image_zip(struct buf *image, const struct buf *z, const uint8_t *plain, size_t n)
{
	uint8_t head[30] = { 'P', 'K', 3, 4, 20, 0, 8, 0, 8 }, tail[16];

	head[26] = 3;
	image_add(image, head, sizeof(head));
	image_add(image, "a/b", 3);
	image_add(image, z->p, z->n);
	put_le32(tail, 0x08074b50);
	put_le32(tail + 4, checksum_crc32(0, plain, n));
	put_le32(tail + 8, (uint32_t)z->n);
	put_le32(tail + 12, (uint32_t)n);
	image_add(image, tail, sizeof(tail));
}

static void streams_are_found_by_their_headers(void **state UNUSED)
{
	uint8_t *p = sample(50000, TEXT), *noise = sample(50000, NOISE);
	CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
	CLEANUP(buf_done) struct buf gz = by_zlib(p, 50000, 9, 31, 8, 0);
	CLEANUP(buf_done) struct buf zl = by_zlib(p, 50000, 6, 15, 8, 0);
	CLEANUP(buf_done) struct buf raw = by_zlib(p, 50000, 6, -15, 8, 0);
	struct streams s = { 0 };
	struct err e;

	image_add(&image, noise, 50000);
	image_add(&image, gz.p, gz.n);
	image_add(&image, noise, 7);
	image_add(&image, zl.p, zl.n);
	image_zip(&image, &raw, p, 50000);
	image_zip(&image, &raw, p, 50000);
	image.p[image.n - 16]++; /* no signature, the checksum before the data */
	put_le32(image.p + image.n - 16 - raw.n - 3 - 30 + 14, checksum_crc32(0, p, 50000));
	image_zip(&image, &raw, p, 50000);
	image.p[image.n - 10]++;           /* the wrong checksum */
	image_add(&image, gz.p, gz.n - 1); /* cut: its checksum is not complete */
	assert_ok(find_in(&s, &image, &e), &e);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.v[0].offset, 50010);
	assert_int_equal(s.v[0].size, gz.n - 10);
	assert_int_equal(s.v[1].offset, 50000 + gz.n + 7 + 2);
	assert_int_equal(s.v[1].size, zl.n - 2);
	assert_int_equal(s.v[2].size, raw.n + 16);
	assert_int_equal(s.v[3].size, raw.n);
	for (size_t i = 0; i < s.n; i++)
		assert_int_equal(s.v[i].plain_size, 50000);
	streams_done(&s);
	free(p);
	free(noise);
}

/* The image's blocks are those of another one, but for those in [from, to). */
static struct known blocks_of(const struct buf *b, size_t from, size_t to)
{
	struct known k;
	struct err e;

	assert_ok(known_init(&k, b->n, &e), &e);
	known_add(&k, b->p, from);
	known_add(&k, b->p + to, b->n - to);
	return k;
}

static void image_align(struct buf *image)
{
	static const uint8_t zeros[KNOWN_BLOCK];

	image_add(image, zeros, (size_t)-image->n % KNOWN_BLOCK);
}

static void streams_without_a_header_are_found(void **state UNUSED)
{
	uint8_t *p = sample(50000, TEXT), *noise = sample(200001, NOISE);

	for (int level = 1; level <= 9; level++) {
		CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
		CLEANUP(buf_done) struct buf raw = by_zlib(p, 50000, level, -15, 8, 0);
		struct streams s = { 0 };
		struct err e;

		image_add(&image, noise, 100000 + (size_t)level);
		image_add(&image, raw.p, raw.n);
		image_add(&image, noise + 100000, 70000);
		assert_ok(find_in(&s, &image, &e), &e);
		assert_int_equal(s.n, 1);
		assert_int_equal(s.v[0].offset, 100000 + level);
		assert_int_equal(s.v[0].size, raw.n);
		assert_int_equal(s.v[0].plain_size, 50000);
		streams_done(&s);
	}
	free(p);
	free(noise);
}

static void streams_without_a_header_are_looked_for_where_images_differ(void **state UNUSED)
{
	uint8_t *p = sample(50000, TEXT), *noise = sample(200000, NOISE);
	CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
	CLEANUP(buf_done) struct buf raw = by_zlib(p, 50000, 6, -15, 8, 0);
	size_t at, end;

	image_add(&image, noise, 200000);
	image_align(&image);
	at = image.n;
	image_add(&image, raw.p, raw.n);
	image_align(&image);
	end = image.n;
	image_add(&image, noise, 200000);
	image_align(&image);
	const struct {
		size_t from, to;
		bool is_found;
	} rows[] = {
		{ 0, 0, false },
		{ at, end, true },
		{ end - KNOWN_BLOCK, end, true }, /* it differs in its end */
		{ 0, KNOWN_BLOCK, false },        /* what differs lies before it */
		{ end + 80 * KNOWN_BLOCK / 4, end + 21 * KNOWN_BLOCK,
		  false }, /* or far behind */
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct known other = blocks_of(&image, rows[i].from, rows[i].to);
		const struct image in = { .p = image.p, .size = image.n, .other = &other };
		struct streams s = { 0 };
		struct err e;

		assert_ok(transform_deflate.find(&s, &in, 0, image.n, &e), &e);
		if (s.n != rows[i].is_found)
			fail_msg("row %zu: %zu", i, s.n);
		streams_done(&s);
		known_done(&other);
	}
	free(p);
	free(noise);
}

/* Text, machine code, noise and their like without a stream: hardly anything is taken for one. */
static void what_is_no_stream_is_rarely_taken_for_one(void **state UNUSED)
{
	enum { N = 4 << 20 };

	for (unsigned kind = 0; kind < SAMPLES; kind++) {
		struct buf image = { .p = sample(N, kind), .n = N, .max = N };
		struct streams s = { 0 };
		struct err e;

		assert_ok(find_in(&s, &image, &e), &e);
		assert_int_equal(s.n, 0);
		streams_done(&s);
		free(image.p);
	}
}

static void chunk_add(struct buf *image, const char *type, const uint8_t *p, size_t n)
{
	uint8_t head[8], crc[4];
	uint32_t sum = checksum_crc32(checksum_crc32(0, (const uint8_t *)type, 4), p, n);

	for (unsigned i = 0; i < 4; i++) {
		head[i] = (uint8_t)(n >> (24 - 8 * i));
		crc[i] = (uint8_t)(sum >> (24 - 8 * i));
	}
	memcpy(head + 4, type, 4);
	image_add(image, head, 8);
	image_add(image, p, n);
	image_add(image, crc, 4);
}

static void image_png(struct buf *image, const struct buf *z, size_t chunk)
{
	chunk_add(image, "IHDR", (const uint8_t *)"thirteen byte", 13);
	chunk_add(image, "IDAT", z->p, z->n < chunk ? z->n : chunk);
	for (size_t at = chunk; at < z->n; at += chunk) {
		if (at == chunk)
			chunk_add(image, "IDAT", NULL, 0);
		chunk_add(image, "IDAT", z->p + at, z->n - at < chunk ? z->n - at : chunk);
	}
	chunk_add(image, "IEND", NULL, 0);
}

static bool copy_from(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e UNUSED)
{
	const struct buf *image = ctx;

	assert_true(offset <= image->n && n <= image->n - offset);
	memcpy(p, image->p + offset, n);
	return true;
}

/* Of every window and memory level, in one chunk, in several, and with a checksum cut in two. */
static void pictures_are_found_whatever_their_chunks_and_windows(void **state UNUSED)
{
	uint8_t *p = sample(60000, CODE);

	for (int bits = 9; bits <= 15; bits++)
		for (int memory = 1; memory <= 9; memory++) {
			CLEANUP(buf_done) struct buf z = by_zlib(p, 60000, 9, bits, memory, 1);
			const size_t chunks[] = { 100000, 8192, 100, (z.n + 1) / 2, z.n - 2 };

			for (unsigned i = 0; i < ARRAY_SIZE(chunks); i++) {
				CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
				CLEANUP(buf_done) struct buf back = BUF_INIT(1 << 24);
				struct streams s = { 0 };
				struct err e;
				uint8_t *to;

				image_add(&image, p, 77);
				image_png(&image, &z, chunks[i]);
				image_add(&image, p, 100);
				assert_ok(find_in(&s, &image, &e), &e);
				if (s.n != 1)
					fail_msg("window %d, memory %d, chunks of %zu: %zu",
						 bits, memory, chunks[i], s.n);
				assert_int_equal(s.v[0].plain_size, 60000);
				assert_int_equal(s.v[0].size, z.n - 2);
				assert_int_equal(s.v[0].n_more,
						 z.n > chunks[i] ? (z.n - 1) / chunks[i] : 0);
				assert_ok(buf_reserve(&back, z.n, &to, &e), &e);
				assert_ok(stream_gather(&s, s.v, 0, to, s.v->size, copy_from,
							&image, &e),
					  &e);
				assert_memory_equal(to, z.p + 2, z.n - 2);
				streams_done(&s);
			}
		}
	free(p);
}

static void pictures_that_lie_stay_raw(void **state UNUSED)
{
	uint8_t *p = sample(60000, TEXT);
	CLEANUP(buf_done) struct buf z = by_zlib(p, 60000, 9, 12, 8, 0);
	CLEANUP(buf_done) struct buf good = BUF_INIT(1 << 24);

	image_png(&good, &z, 3000);
	for (unsigned i = 0; i < 7; i++) {
		CLEANUP(buf_done) struct buf image = BUF_INIT(1 << 24);
		uint8_t *length, *second;
		struct streams s = { 0 };
		struct err e;

		image_add(&image, good.p, good.n);
		length = image.p + 25;
		second = length + 8 + 3000 + 4;
		switch (i) {
		case 0: /* as it is */
			break;
		case 1:
			memset(length, 0xff, 4);
			break;
		case 2: /* two bytes: there is no stream behind the header */
			put_le32(length, 0x02000000);
			break;
		case 3:
			put_le32(length, 0);
			break;
		case 4:
			second[4] = 'i';
			break;
		case 5: /* the second chunk of the data is as long as all there is, and longer */
			memset(second + 12, 0xff, 4);
			break;
		case 6:
			image.n = (size_t)(second - image.p) + 100;
			break;
		}
		assert_ok(find_in(&s, &image, &e), &e);
		assert_int_equal(s.n, i == 0);
		streams_done(&s);
	}
	free(p);
}

static void streams_above_the_limit_stay_raw(void **state UNUSED)
{
	size_t n = LIMIT_DELTA_STREAM + 1;
	uint8_t *p = calloc(1, n);
	CLEANUP(buf_done) struct buf bomb = by_zlib(p, n, 1, 31, 8, 0);
	CLEANUP(buf_done) struct buf fits = by_zlib(p, n - 1, 1, 31, 8, 0);
	struct streams s = { 0 };
	struct err e;

	assert_ok(find_in(&s, &bomb, &e), &e);
	assert_int_equal(s.n, 0);
	assert_ok(find_in(&s, &fits, &e), &e);
	assert_int_equal(s.n, 1);
	streams_done(&s);
	free(p);
}

/* Two letters at random, level 9: chains of 4096 places at every byte. */
static void streams_made_to_be_slow_stay_raw(void **state UNUSED)
{
	size_t n = 200000;
	uint8_t *p = malloc(n);

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)('a' + (dice(1 << 16) >> 15));
	CLEANUP(buf_done) struct buf slow = by_zlib(p, n, 9, -15, 8, 0);
	CLEANUP(buf_done) struct buf quick = by_zlib(p, n, 6, -15, 8, 0);
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(64);
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	struct recipe r = { .how = { .level = 9, .window_bits = 15, .memory = 8 } };
	struct err e;

	assert_int_equal(comes_back(&quick, p, n), 2);
	assert_int_equal(comes_back(&slow, p, n), 0);
	assert_ok(recipe_encode(&recipe, &r, &e), &e);
	assert_fails(pack_to(&out, &recipe, p, n, &e), &e, E_CORRUPT);
	free(p);
}

/* What packing may take is counted in steps, the same ones whoever does it: so many are enough, one less
 * is not, and what a stream has taken its successors lack. */
static void packing_is_bounded_by_steps(void **state UNUSED)
{
	size_t n = 100000;
	uint8_t *p = sample(n, CODE);
	CLEANUP(buf_done) struct buf z = by_zlib(p, n, 9, -15, 8, 0);
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(64);
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	uint64_t work = 0, left;
	struct packer to = { .put = to_buf, .ctx = &out, .work = &left };
	struct plain_memory m;
	struct err e;
	bool ok;

	assert_ok(transform_deflate.explain(&recipe, &ok, &work, z.p, z.n, p, n, &e), &e);
	assert_true(ok && work > n / 10 && work < GUESS_STEPS_MAX);
	left = 2 * work;
	for (unsigned i = 0; i < 2; i++) {
		assert_ok(transform_deflate.pack(&to, recipe.p, recipe.n,
						 plain_of(&m, p, (uint32_t)n), &e),
			  &e);
		assert_int_equal(left, (1 - i) * work);
	}
	left = work - 1;
	assert_fails(transform_deflate.pack(&to, recipe.p, recipe.n,
					    plain_of(&m, p, (uint32_t)n), &e),
		     &e, E_CORRUPT);
	free(p);
}

/* Each block costs thousands of steps, so very many of them are no way around that. */
static void streams_of_very_many_blocks_stay_raw(void **state UNUSED)
{
	enum { N = 4000 };
	static uint8_t p[N];
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(1 << 20);
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(1 << 20);
	CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 24);
	struct block_fix one = { .kind = BLOCK_FIXED, .has_count = true };
	struct recipe r = { .how = { .level = 6, .window_bits = 15, .memory = 8 } };
	struct err e;

	for (unsigned i = 0; i < 100000; i++)
		assert_ok(block_fix_add(&blocks, &one, &e), &e);
	r.blocks = blocks.p;
	r.blocks_end = blocks.p + blocks.n;
	assert_ok(recipe_encode(&recipe, &r, &e), &e);
	assert_fails(pack_to(&out, &recipe, p, N, &e), &e, E_CORRUPT);
	assert_true(out.n < 100000 / 8);
}

static bool libz_takes(const uint8_t *p, size_t n, uint8_t *to, size_t max, size_t *ret_n,
		       size_t *ret_used)
{
	z_stream z = { .next_in = (uint8_t *)p,
		       .avail_in = (uInt)n,
		       .next_out = to,
		       .avail_out = (uInt)max };
	bool ok;

	assert_int_equal(inflateInit2(&z, -15), Z_OK);
	ok = inflate(&z, Z_FINISH) == Z_STREAM_END;
	*ret_n = z.total_out;
	*ret_used = z.total_in;
	inflateEnd(&z);
	return ok;
}

/* A damaged stream is refused, or taken apart as libz does; explained, it comes back. */
static void damaged_streams_are_treated_as_libz_does(void **state UNUSED)
{
	enum { MAX = 1 << 20 };
	uint8_t *p = sample(20000, MIXED), *a = malloc(MAX), *b = malloc(MAX);
	struct inflate *z = malloc(sizeof(*z));
	unsigned taken = 0;

	for (unsigned i = 0; i < 1500; i++) {
		CLEANUP(buf_done)
		struct buf packed =
			by_zlib(p, 200 + dice(19800), 1 + (int)dice(9), -15, 8, (int)dice(5));
		struct packed_memory m;
		size_t n = 0, n_libz, used_libz, cut = packed.n;
		struct err e;
		bool ok;

		flip_bit(packed.p, dice((uint32_t)(i % 2 ? packed.n : 60) * 8));
		if (dice(4) == 0)
			cut = dice((uint32_t)packed.n);
		inflate_init(z, packed_of(&m, packed.p, cut));
		ok = inflate_next(z, a, MAX, &n, &e) && z->ended;
		if (ok != libz_takes(packed.p, cut, b, MAX, &n_libz, &used_libz))
			fail_msg("round %u: libz differs", i);
		if (!ok)
			continue;
		taken++;
		assert_int_equal(n, n_libz);
		assert_int_equal(inflate_used(z), used_libz);
		assert_memory_equal(a, b, n);
		packed.n = used_libz;
		if (n)
			comes_back(&packed, a, n);
	}
	assert_true(taken > 100);
	free(z);
	free(a);
	free(b);
	free(p);
}

/* Any bytes as a recipe: an error or a result, within bounds. */
static void damaged_recipes_do_no_harm(void **state UNUSED)
{
	uint8_t *p = sample(3000, MIXED);

	for (unsigned i = 0; i < 3000; i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(1 << 20);
		uint8_t r[64];
		struct buf recipe = { .p = r, .n = dice(sizeof(r)) };
		struct err e;

		for (unsigned k = 0; k < sizeof(r); k++)
			r[k] = (uint8_t)(dice(3) ? dice(40) : dice(256));
		if (i % 2 && recipe.n > 2) {
			r[0] = (uint8_t)(48 | dice(4) | dice(2) << 2);
			r[1] = (uint8_t)(1 + dice(9));
		}
		if (!pack_to(&out, &recipe, p, 3000, &e))
			assert_true(e.code == E_CORRUPT || e.code == E_TOO_BIG);
	}
	free(p);
}

static void checksums_are_zlibs(void **state UNUSED)
{
	uint8_t *p = sample(70000, NOISE);

	for (size_t n = 0; n < 70000; n = n * 2 + 1) {
		assert_int_equal(checksum_crc32(0, p, n), crc32(0, p, (uInt)n));
		assert_int_equal(checksum_adler32(1, p, n), adler32(1, p, (uInt)n));
	}
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_zlibs),
		cmocka_unit_test(zlib_of_every_level_needs_two_bytes),
		cmocka_unit_test(emulation_is_zlib_for_all_levels_and_strategies),
		TMPDIR_TEST(emulation_is_gzip_behind_the_end_too),
		cmocka_unit_test(portions_of_any_size_give_the_same_bytes),
		cmocka_unit_test(guessing_is_slow_by_the_byte_and_by_the_stream),
		TMPDIR_TEST(gzip_of_every_level_needs_two_bytes),
		cmocka_unit_test(other_encoders_are_corrected),
		cmocka_unit_test(the_nearest_place_is_the_nearest),
		TMPDIR_TEST(streams_of_other_programs_are_corrected),
		cmocka_unit_test(checksums_behind_a_stream_cost_nothing),
		cmocka_unit_test(padding_that_is_not_zero_comes_back),
		cmocka_unit_test(streams_are_found_by_their_headers),
		cmocka_unit_test(streams_without_a_header_are_found),
		cmocka_unit_test(streams_without_a_header_are_looked_for_where_images_differ),
		cmocka_unit_test(what_is_no_stream_is_rarely_taken_for_one),
		cmocka_unit_test(pictures_are_found_whatever_their_chunks_and_windows),
		cmocka_unit_test(pictures_that_lie_stay_raw),
		cmocka_unit_test(streams_above_the_limit_stay_raw),
		cmocka_unit_test(streams_made_to_be_slow_stay_raw),
		cmocka_unit_test(packing_is_bounded_by_steps),
		cmocka_unit_test(streams_of_very_many_blocks_stay_raw),
		cmocka_unit_test(damaged_streams_are_treated_as_libz_does),
		cmocka_unit_test(damaged_recipes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
