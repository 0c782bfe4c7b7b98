#include "tests/support/delta_old.h"
#include "base/bytes.h"
#include "tests/support/forge.h"

#include <stdlib.h>
#include <string.h>

static uint32_t dice(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)*seed * n >> 32);
}

static uint32_t moved_to(const struct moved *m, uint32_t at)
{
	return at < m->from ? at : at + (uint32_t)m->by;
}

/* ---- contents ---- */

enum { FUNCTIONS = 24, FUNCTION_STEP = 336 }; /* that are called, and how far apart they are */

static uint32_t function(const struct moved *m, uint32_t *seed)
{
	return moved_to(m, m->base + dice(seed, FUNCTIONS) * FUNCTION_STEP);
}

/* Instructions, without the address that some of them have, and what comes behind it. */
static const struct {
	uint8_t n, relative,
		behind; /* bytes; whether there is a relative address; bytes behind it */
	uint8_t bytes[4];
} instructions[] = {
	{ 1, 1, 0, { 0xe8 } }, /* call */
	{ 1, 1, 0, { 0xe8 } },
	{ 3, 1, 0, { 0x48, 0x8d, 0x3d } }, /* lea rdi, [rip + ...] */
	{ 2, 1, 0, { 0x8b, 0x05 } },       /* mov eax, [rip + ...] */
	{ 2, 1, 0, { 0x0f, 0x84 } },       /* je */
	{ 2, 1, 1, { 0x80, 0x3d } },       /* cmp byte [rip + ...], 0 */
	{ 2, 1, 4, { 0xc7, 0x05 } },       /* mov dword [rip + ...], 0 */
	{ 3, 0, 0, { 0x48, 0x89, 0xe5 } }, /* mov rbp, rsp */
	{ 2, 0, 0, { 0x31, 0xc0 } },       /* xor eax, eax */
	{ 1, 0, 0, { 0x55 } },             /* push rbp */
	{ 1, 0, 0, { 0xc3 } },             /* ret */
};

void fill_x86(uint8_t *p, size_t n, const struct moved *m, uint32_t seed)
{
	enum { LONGEST = 10 };
	size_t at = 0;

	while (n - at >= LONGEST) {
		unsigned i = dice(&seed, ARRAY_SIZE(instructions));
		uint32_t here = moved_to(m, m->base + (uint32_t)at);

		memcpy(p + at, instructions[i].bytes, instructions[i].n);
		at += instructions[i].n;
		if (!instructions[i].relative)
			continue;
		put_le32(p + at, function(m, &seed) - here - instructions[i].n - 4 -
					 instructions[i].behind);
		memset(p + at + 4, 0, instructions[i].behind);
		at += 4 + instructions[i].behind;
	}
	memset(p + at, 0x90, n - at);
}

static uint32_t arm64_word(const struct moved *m, uint32_t here, uint32_t *seed)
{
	static const uint32_t plain[] = { 0xa9bf7bfd, 0x910003fd, 0xaa0003f3, 0xd65f03c0 };
	enum { KINDS = 8 };
	unsigned kind = dice(seed, KINDS);
	uint32_t to = function(m, seed), words = (to - here) / 4;

	switch (kind) {
	case 0:
		return 0x94000000 | (words & 0x3ffffff); /* bl */
	case 1:
		return 0xb4000000 | (words & 0x7ffff) << 5; /* cbz x0 */
	case 2:
		return 0x90000000 | ((to >> 12) - (here >> 12)) << 29 >> 1; /* adrp x0 */
	case 3:
		return 0x91000000 | (to & 0xfff) << 10; /* add x0, x0, ... */
	default:
		return plain[kind % ARRAY_SIZE(plain)];
	}
}

void fill_arm64(uint8_t *p, size_t n, const struct moved *m, uint32_t seed)
{
	for (size_t at = 0; at < n; at += 4)
		put_le32(p + at, arm64_word(m, moved_to(m, m->base + (uint32_t)at), &seed));
}

void fill_text(uint8_t *p, size_t n, uint32_t seed)
{
	static const char *const words[] = { "the ",   "phone ", "of ",   "image ",
					     "is ",    "signed", ", ",    "delta",
					     ".\n",    "slot ",  "a ",    "and ",
					     "server", " to ",   "4096 ", "old " };

	for (size_t at = 0; at < n;) {
		const char *w = words[dice(&seed, ARRAY_SIZE(words))];
		size_t part = strlen(w) < n - at ? strlen(w) : n - at;

		memcpy(p + at, w, part);
		at += part;
	}
}

void fill_noise(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)dice(&seed, 256);
}

void fill_records(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i % 16 < 2   ? i / 16 >> i % 16 * 8
				 : i % 16 < 8 ? seed + i % 16
				 : i % 16 < 9 ? dice(&seed, 5)
					      : 0);
}

static bool to_buf(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	return buf_add(ctx, p, n, e);
}

void add_packed(struct buf *out, const struct recipe *r, const uint8_t *plain, size_t n)
{
	CLEANUP(buf_done) struct buf recipe = BUF_INIT(LIMIT_DELTA_RECIPE);
	struct packer to = { .put = to_buf, .ctx = out };
	struct plain_memory m;
	struct err e;

	if (!recipe_encode(&recipe, r, &e) ||
	    !transform_deflate.pack(&to, recipe.p, recipe.n, plain_of(&m, plain, (uint32_t)n),
				    &e))
		abort();
}

/* ---- the image ---- */

enum { PART_AT = 47000, FIRST_PART_AT = 50000 }; /* of the stream in two */

static const struct {
	uint8_t head[10];
	size_t head_n, at;
	struct recipe recipe;
} packed[OLD_STREAMS] = {
	{ { 0x78, 0x9c },
	  2,
	  OLD_ZLIB,
	  { .wrap = WRAP_ZLIB, .how = { .level = 6, .window_bits = 15, .memory = 8 } } },
	{ { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 },
	  10,
	  40960,
	  { .wrap = WRAP_GZIP,
	    .how = { .is_gzip = true, .level = 9, .window_bits = 15, .memory = 8 } } },
	{ { 0 }, 0, FIRST_PART_AT, { .how = { .level = 1, .window_bits = 15, .memory = 8 } } },
	{ { 0 }, 0, 54000, { .how = { .level = 6, .window_bits = 15, .memory = 8 } } },
};

static void place(struct delta_old *o, unsigned i, size_t at, const uint8_t *p, size_t n)
{
	size_t end = i + 1 < OLD_STREAMS ? packed[i + 1].at : OLD_N;

	if (at + n > end)
		abort();
	memcpy(o->space + at, p, n);
}

static void blocks_of_all_kinds(struct buf *ret)
{
	static const struct block_fix fixes[] = {
		{ .kind = BLOCK_STORED, .has_count = true, .count = 600 },
		{ .kind = BLOCK_FIXED, .has_count = true, .count = 300 },
		{ .kind = BLOCK_STORED, .has_count = true, .count = 0 },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(fixes); i++)
		if (!block_fix_add(ret, &fixes[i], &e))
			abort();
}

static void make_stream(struct delta_old *o, unsigned i)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(1000);
	uint32_t plain_n = i == OLD_LONG ? OLD_LONG_N : OLD_PLAIN_N;
	size_t at = packed[i].at + packed[i].head_n, first;
	struct recipe r = packed[i].recipe;

	if (i == OLD_PARTS) {
		blocks_of_all_kinds(&blocks);
		r.blocks = blocks.p;
		r.blocks_end = blocks.p + blocks.n;
	}
	add_packed(&b, &r, o->space + old_plain(i), plain_n);
	o->streams[i] = (struct stream){ .offset = at,
					 .size = (uint32_t)b.n,
					 .plain_size = plain_n,
					 .transform = TRANSFORM_DEFLATE };
	first = b.n;
	if (i == OLD_PARTS) {
		first = b.n / 2;
		o->streams[i].n_more = 1;
		o->more[0] = (struct extent){ .offset = PART_AT, .at = (uint32_t)first };
		place(o, i - 1, PART_AT, b.p + first, b.n - first);
	}
	memcpy(o->space + packed[i].at, packed[i].head, packed[i].head_n);
	place(o, i, at, b.p, first);
}

static void make(struct delta_old *o)
{
	enum { LINE = 50 };
	const struct moved x86 = { .base = OLD_X86, .from = OLD_N };
	const struct moved arm64 = { .base = OLD_ARM64, .from = OLD_N };
	const struct moved none = { .from = UINT32_MAX };
	uint8_t *text = o->space + old_plain(OLD_LONG);

	fill_x86(o->space + OLD_X86, OLD_CODE_N, &x86, 1);
	fill_arm64(o->space + OLD_ARM64, OLD_CODE_N, &arm64, 2);
	fill_text(o->space + OLD_TEXT, OLD_NOISE - OLD_TEXT, 3);
	fill_noise(o->space + OLD_NOISE, OLD_RECORDS - OLD_NOISE, 4);
	fill_records(o->space + OLD_RECORDS, OLD_ZLIB - OLD_RECORDS, 5);
	fill_text(o->space + old_plain(0), OLD_PLAIN_N, 6);
	fill_x86(o->space + old_plain(1), OLD_PLAIN_N, &none, 7);
	fill_text(o->space + old_plain(OLD_PARTS), OLD_PLAIN_N, 8);
	for (size_t at = 0; at < OLD_LONG_N; at++)
		text[at] = "abcd"[at % 4];
	for (uint32_t at = 0; at + LINE <= OLD_LONG_N; at += 1 << 18)
		fill_text(text + at, LINE, at);
	for (unsigned i = 0; i < OLD_STREAMS; i++)
		make_stream(o, i);
}

const struct delta_old *delta_old(void)
{
	static struct delta_old old;

	if (!old.streams[0].size)
		make(&old);
	return &old;
}

int delta_old_file(uint64_t size)
{
	return forge_memfile(delta_old()->space, size < OLD_N ? (size_t)size : OLD_N);
}
