#include "tests/support/delta_seeds.h"
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { N = 6000 };

static uint8_t bytes[N];

static const struct recipe zlib6 = { .how = { .level = 6, .window_bits = 15, .memory = 8 } };

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Something of most kinds, and honest. */
static void usual(struct draft *d)
{
	draft_copy(d, OLD_TEXT, 3000);
	draft_add(d, OLD_X86, 2500, 90);
	draft_insert(d, "something new", 13);
	draft_zero(d, 500);
}

/* ---- heads ---- */

enum { HEAD_MAGIC, HEAD_VERSION, HEAD_SUM, HEAD_LOG, HEAD_CUT, HEAD_INDEX_CUT };

static struct buf head_changed(struct draft *d, unsigned which)
{
	usual(d);
	struct buf b = draft_finish(d);

	if (which == HEAD_MAGIC)
		b.p[2] ^= 1;
	else if (which == HEAD_VERSION)
		b.p[3] = 255;
	else if (which == HEAD_SUM)
		b.p[4] |= 128;
	else if (which == HEAD_LOG)
		b.p[4] = 11;
	else
		b.n = which == HEAD_CUT ? 4 : 15;
	return b;
}

/* Only the numbers of a head, and zeros where the rest should be. */
static struct buf head_of(unsigned flags, const uint64_t *numbers, size_t n)
{
	const uint8_t fixed[] = { 'V', 'D', 'L', FORMAT_VERSION, (uint8_t)flags };
	static const uint8_t rest[64];
	struct buf b = BUF_INIT(1000);
	struct err e;

	must(buf_add(&b, fixed, sizeof(fixed), &e));
	for (size_t i = 0; i < n; i++) {
		uint8_t number[VARINT_ROOM];

		must(buf_add(&b, number, put_varint(number, numbers[i]), &e));
	}
	must(buf_add(&b, rest, sizeof(rest), &e));
	return b;
}

enum {
	NUMBERS_HUGE,
	NUMBERS_INDEX,
	NUMBERS_SHORT,
	NUMBERS_FRAMES,
	NUMBERS_ONE_FRAME,
	NUMBERS_FRAMES_64,
	NUMBERS_STREAMS,
	NUMBERS_NO_STREAMS,
	NUMBERS_ROWS,
};

static struct buf head_numbers(struct draft *d UNUSED, unsigned which)
{
	static const struct {
		unsigned flags;
		size_t n;
		uint64_t v[6];
	} heads[] = {
		[NUMBERS_HUGE] = { 10, 2, { OLD_N, LIMIT_DELTA_IMAGE + 1 } },
		[NUMBERS_INDEX] = { 0, 2, { OLD_N, LIMIT_DELTA_IMAGE } },
		[NUMBERS_SHORT] = { 0, 2, { OLD_N, 1 << 20 } },
		[NUMBERS_FRAMES] = { 64 | 10, 4, { OLD_N, 1 << 21, LIMIT_DELTA_FRAMES + 1, 3 } },
		[NUMBERS_ONE_FRAME] = { 64, 4, { OLD_N, 5000, 1, 1 } },
		[NUMBERS_FRAMES_64] = { 64, 4, { OLD_N, 5000, UINT64_C(1) << 40, 1 } },
		[NUMBERS_STREAMS] = { 16, 5, { OLD_N, 5000, LIMIT_DELTA_STREAMS + 1, 9, 0 } },
		[NUMBERS_NO_STREAMS] = { 16, 5, { OLD_N, 5000, 0, 9, 0 } },
		[NUMBERS_ROWS] = { 64 | 10, 4, { OLD_N, 5000, 2, 30 } },
	};
	struct buf b = head_of(heads[which].flags, heads[which].v, heads[which].n);

	/* Two frames, and bytes behind their rows. */
	if (which == NUMBERS_ROWS) {
		static const uint8_t rows[] = { 1, 100, 5, 1 };

		memcpy(b.p + b.n - 64, rows, sizeof(rows));
		forge_rehash(&b);
	}
	return b;
}

static struct buf head_endless_number(struct draft *d UNUSED, unsigned which UNUSED)
{
	struct buf b = head_of(0, NULL, 0);

	memset(b.p + 5, 0xff, b.n - 5);
	return b;
}

enum {
	ROW_EMPTY,
	ROW_BEYOND_IMAGE,
	ROW_BEYOND_DELTA,
	ROW_NO_OPS,
	ROW_MANY_OPS,
	ROW_MORE,
	ROW_FEWER
};

static struct buf row(struct draft *d, unsigned which)
{
	struct forge f;

	usual(d);
	draft_frame(d);
	usual(d);
	draft_forge(d, &f);
	struct format_frame *frame = &f.format.frames[0];
	if (which == ROW_EMPTY)
		frame->bytes = 0;
	else if (which == ROW_BEYOND_IMAGE)
		frame->bytes = 1 << 20;
	else if (which == ROW_BEYOND_DELTA)
		frame->coded = 1 << 20;
	else if (which == ROW_NO_OPS)
		frame->ops = 0;
	else if (which == ROW_MANY_OPS)
		frame->ops = LIMIT_DELTA_OPS + 1;
	else
		frame->ops += which == ROW_MORE ? 1u : -1u;
	return forge_finish(&f);
}

/* ---- commands ---- */

/* The second of three. */
static struct buf command(struct draft *d, enum op_kind kind, uint64_t from, uint64_t n)
{
	draft_copy(d, OLD_TEXT, 3000);
	draft_copy(d, OLD_TEXT, 1000);
	draft_zero(d, 500);
	d->ops[1] = (struct op){ .kind = kind, .from = from, .n = n };
	d->pieces[0].is.head_only = true;
	return draft_finish(d);
}

enum { BEHIND, ACROSS, BACKWARDS, OVERFLOWING, ADD_BEHIND, LONGER, ZEROS, MOST };

static struct buf command_outside(struct draft *d, unsigned which)
{
	static const struct op ops[] = {
		[BEHIND] = { .kind = OP_COPY, .n = 1000, .from = OLD_BASE + 1 },
		[ACROSS] = { .kind = OP_COPY, .n = 1000, .from = OLD_BASE - 999 },
		[BACKWARDS] = { .kind = OP_COPY, .n = 1000, .from = (uint64_t)-5 },
		[OVERFLOWING] = { .kind = OP_COPY, .n = 1000, .from = (uint64_t)-1000 },
		[ADD_BEHIND] = { .kind = OP_ADD, .n = 1000, .from = UINT64_C(1) << 61 },
		[LONGER] = { .kind = OP_INSERT, .n = 1501 },
		[ZEROS] = { .kind = OP_ZERO, .n = 1501 },
		[MOST] = { .kind = OP_ZERO, .n = (UINT64_C(1) << 61) - 1 },
	};

	return command(d, ops[which].kind, ops[which].from, ops[which].n);
}

static struct buf piece_longer_than_frame(struct draft *d, unsigned which UNUSED)
{
	struct forge f;

	usual(d);
	draft_piece(d);
	usual(d);
	draft_forge(d, &f);
	f.format.new_size = f.format.frames[0].bytes = d->pieces[0].is.piece.size - 1;
	return forge_finish(&f);
}

static struct buf other_bytes(struct draft *d, unsigned which UNUSED)
{
	usual(d);
	d->ops[0].from++;
	d->pieces[0].is.bytes = NULL;
	return draft_finish(d);
}

/* Coded bytes: some are missing, or too many. */
static struct buf coded(struct draft *d, unsigned more)
{
	struct err e;

	usual(d);
	struct buf b = draft_finish(d);
	if (more)
		must(buf_add(&b, "\0\0\0\0", 4, &e));
	else
		b.n -= 30;
	return b;
}

/* ---- new streams ---- */

static void stream(struct draft *d, const struct recipe *r)
{
	draft_stream(d);
	draft_copy(d, OLD_TEXT, 2000);
	draft_insert(d, delta_old()->space + OLD_RECORDS, 1000);
	draft_stream_end(d, r, NULL, 1);
}

static struct buf packs_to_other_size(struct draft *d, unsigned less)
{
	struct err e;

	stream(d, &zlib6);
	if (less) {
		must(buf_add(&d->image, "", 1, &e));
		d->pieces[0].is.piece.size++;
	} else {
		d->image.n--;
		d->pieces[0].is.piece.size--;
	}
	return draft_finish(d);
}

enum { PLAIN_NONE, PLAIN_HUGE, PACKED_NONE, PACKED_BEYOND, TRANSFORM_UNKNOWN };

static struct buf stream_sizes(struct draft *d, unsigned which)
{
	struct forge f;

	stream(d, &zlib6);
	struct piece *p = &d->pieces[0].is.piece;
	size_t n = d->image.n;
	if (which == PLAIN_NONE)
		p->plain_size = 0;
	else if (which == PLAIN_HUGE)
		p->plain_size = LIMIT_DELTA_STREAM + 1;
	else if (which == PACKED_NONE)
		p->size = 0;
	else if (which == PACKED_BEYOND)
		p->size = n + 1;
	else
		p->transform = 9;
	d->pieces[0].is.head_only = true;
	draft_forge(d, &f);
	f.format.frames[0].bytes = f.format.new_size = n;
	return forge_finish(&f);
}

static const uint8_t recipes[][4] = {
	{ 0, 10 },         /* level 10 */
	{ 128, 6 },        /* a flag that nobody knows */
	{ 8, 6, 0x88, 0 }, /* a window of 8 bits */
	{ 16, 6, 200 },    /* more blocks than there are bytes */
	{ 32, 6, 2 },      /* a match without its length */
};

static struct buf recipe_of(struct draft *d, const void *p, size_t n)
{
	stream(d, &zlib6);
	d->pieces[0].is.recipe = p;
	d->pieces[0].is.recipe_n = n;
	return draft_finish(d);
}

static struct buf recipe_bytes(struct draft *d, unsigned which)
{
	static const size_t sizes[] = { 2, 2, 4, 3, 3 };

	return recipe_of(d, recipes[which], sizes[which]);
}

static struct buf recipe_size(struct draft *d, unsigned n)
{
	static const uint8_t none[1];

	return recipe_of(d, none, n);
}

static struct buf recipe_token(struct draft *d, unsigned which)
{
	static const struct token_fix fixes[] = {
		{ .kind = FIX_MATCH, .is = { .len = 3, .dist = 30000 } },
		{ .kind = FIX_NEAREST, .is = { .len = 258 } },
		{ .kind = FIX_SAME_DIST, .is = { .len = 4 } },
	};
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	struct err e;

	must(buf_add(&b, "\x20\x06", 2, &e) && token_fix_add(&b, &fixes[which], &e));
	return recipe_of(d, b.p, b.n);
}

/* A stored block of more than a block may have, or than there is; one more than the stream has; blocks of nothing
 * without end; a description of more codes than there are. */
enum { STORED_LONG, STORED_BEYOND, ONE_MORE, OF_NOTHING, CODES };

static struct buf recipe_block(struct draft *d, unsigned which)
{
	static const uint8_t header[] = { 0xff, 0xff, 0xff };
	static const struct block_fix fixes[] = {
		[STORED_LONG] = { .kind = BLOCK_STORED, .has_count = true, .count = 70000 },
		[STORED_BEYOND] = { .kind = BLOCK_STORED, .has_count = true, .count = 3001 },
		[ONE_MORE] = { .kind = BLOCK_FIXED },
		[OF_NOTHING] = { .kind = BLOCK_FIXED, .has_count = true },
		[CODES] = { .kind = BLOCK_DYNAMIC,
			    .is_final = true,
			    .has_header = true,
			    .header_bits = 24,
			    .header = header },
	};
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(LIMIT_DELTA_RECIPE);
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_DELTA_RECIPE);
	struct recipe r = { .how = zlib6.how };
	struct err e;

	for (unsigned i = 0; i < (which == OF_NOTHING ? 50000 : 1); i++)
		must(block_fix_add(&blocks, &fixes[which], &e));
	r.blocks = blocks.p;
	r.blocks_end = blocks.p + blocks.n;
	must(recipe_encode(&b, &r, &e));
	return recipe_of(d, b.p, b.n);
}

/* ---- streams in parts ---- */

enum { RUN_TWICE, RUN_OF_NOBODY, RUN_EMPTY, RUN_LONGER, RUN_NOT_THERE, RUNS_TOO_MANY };

static struct buf parts(struct draft *d, unsigned which)
{
	static uint32_t many[LIMIT_DELTA_PARTS + 2];

	fill_text(bytes, N, 1);
	draft_stream(d);
	draft_insert(d, bytes, N);
	draft_stream_end(d, &zlib6, NULL, 3);
	struct draft_piece *p = &d->pieces[0], *last = &d->pieces[d->n_pieces - 1];
	if (which == RUN_TWICE) {
		last->is.piece.run = 1;
	} else if (which == RUN_OF_NOBODY) {
		last->is.piece.run = 7;
	} else if (which == RUN_EMPTY) {
		d->runs[1] = 0;
	} else if (which == RUN_LONGER) {
		d->runs[1] = UINT32_MAX;
	} else if (which == RUN_NOT_THERE) {
		p->is.out = 3;
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(many); i++)
			many[i] = 1;
		p->is.runs = many;
		p->is.piece.n_runs = ARRAY_SIZE(many);
	}
	return draft_finish(d);
}

/* Zeros in stored blocks, two thirds of which wait for their place. */
static struct buf kept(struct draft *d, unsigned which UNUSED)
{
	enum { BLOCKS = 54, BLOCK = 65535 };
	CLEANUP(buf_done) struct buf blocks = BUF_INIT(1000);
	struct recipe r = { .how = zlib6.how };
	struct err e;

	for (unsigned i = 0; i < BLOCKS; i++) {
		const struct block_fix fix = { .kind = BLOCK_STORED,
					       .is_final = i + 1 == BLOCKS,
					       .has_count = true,
					       .count = BLOCK };

		must(block_fix_add(&blocks, &fix, &e));
	}
	r.blocks = blocks.p;
	r.blocks_end = blocks.p + blocks.n;
	draft_stream(d);
	draft_zero(d, BLOCKS * BLOCK);
	draft_stream_end(d, &r, (const uint32_t[]){ 2, 0, 1 }, 3);
	return draft_finish(d);
}

/* ---- old streams ---- */

enum {
	OLD_BEYOND,
	OLD_NO_PACKED,
	OLD_NO_PLAIN,
	OLD_HUGE_PLAIN,
	OLD_TRANSFORM,
	OLD_PART_EMPTY,
	OLD_PART_LONG,
	OLD_PART_BEYOND,
	OLD_PARTS_MANY,
};

static struct buf old_table(struct draft *d, unsigned which)
{
	struct stream *s = &d->streams[which >= OLD_PART_EMPTY ? OLD_PARTS : 0];

	d->n_streams = OLD_STREAMS;
	if (which == OLD_BEYOND)
		s->offset = OLD_N + 1;
	else if (which == OLD_NO_PACKED)
		s->size = 0;
	else if (which == OLD_NO_PLAIN)
		s->plain_size = 0;
	else if (which == OLD_HUGE_PLAIN)
		s->plain_size = LIMIT_DELTA_STREAM + 1;
	else if (which == OLD_TRANSFORM)
		s->transform = 2;
	else if (which == OLD_PART_EMPTY)
		d->more[0].at = 0;
	else if (which == OLD_PART_LONG)
		d->more[0].at = s->size;
	else if (which == OLD_PART_BEYOND)
		d->more[0].offset = OLD_N + 1;
	else
		s->n_more = LIMIT_DELTA_PARTS + 1;
	usual(d);
	return draft_finish(d);
}

enum { OLD_NOT_PACKED, OLD_MAKES_MORE, OLD_MAKES_LESS, OLD_BOMB, OLD_CUT, OLD_PARTS_SWAPPED };

static struct buf old_stream(struct draft *d, unsigned which)
{
	struct stream *s = &d->streams[0];

	d->n_streams = which == OLD_PARTS_SWAPPED ? OLD_STREAMS : 1;
	if (which == OLD_NOT_PACKED)
		s->offset = OLD_NOISE;
	else if (which == OLD_MAKES_MORE)
		s->plain_size--;
	else if (which == OLD_MAKES_LESS)
		s->plain_size++;
	else if (which == OLD_BOMB)
		s->plain_size = LIMIT_DELTA_STREAM;
	else if (which == OLD_CUT)
		s->size -= 500;
	else
		d->more[0].at /= 2;
	draft_copy(d, old_plain(which == OLD_PARTS_SWAPPED ? OLD_PARTS : 0) + 100, 1000);
	return draft_finish(d);
}

/* ---- in bulk ---- */

enum { CUT, SHORT, SAID_MORE, NO_LZMA2, NO_DICTIONARY, PROPERTIES, FILTER };

static struct buf bulk(struct draft *d, unsigned which)
{
	enum { CONTROL = 0, PROPS = 5, DICTIONARY_KEPT = 0xa0 };
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(1 << 20);
	struct err e;

	fill_text(bytes, N, 2);
	must(lzma2_enc_new(&z, LZMA2_PLAIN, 6, &e) &&
	     lzma2_encode(z, &packed, bytes, which == SHORT ? N - 1 : N, &e) &&
	     lzma2_encode_end(z, &packed, &e));
	if (which == CUT)
		packed.n /= 2;
	else if (which == NO_LZMA2)
		fill_noise(packed.p, packed.n, 3);
	else if (which == NO_DICTIONARY)
		packed.p[CONTROL] = DICTIONARY_KEPT | (packed.p[CONTROL] & 31);
	else if (which == PROPERTIES)
		packed.p[PROPS] = 255;
	draft_insert(d, bytes, N);
	struct forge_piece *p = &d->pieces[0].is;
	p->packed = packed.p;
	p->packed_n = packed.n;
	p->packed_said = which == SAID_MORE ? 2 * CODE_BULK_MAX : packed.n;
	d->filter = which == FILTER ? LZMA2_FILTERS : LZMA2_PLAIN;
	return draft_finish(d);
}

/* All segments are right, but not their sum. */
static struct buf sum_of_others(struct draft *d, unsigned which UNUSED)
{
	uint64_t head = 0;
	struct err e;

	d->is_summed = true;
	d->segment_log = FORMAT_SEGMENT_LOG_MIN;
	usual(d);
	draft_zero(d, 9000);
	struct buf b = draft_finish(d);

	must(format_peek(&head, b.p, b.n, b.n, &e));
	b.p[head - FORMAT_CHECK - 1] ^= 1;
	forge_rehash(&b);
	return b;
}

const struct delta_seed delta_seeds_hostile[] = {
	{ "head-no-delta", head_changed, HEAD_MAGIC, E_FORMAT, "not a delta" },
	{ "head-of-a-later-version", head_changed, HEAD_VERSION, E_UNSUPPORTED, "of version" },
	{ "head-sum-of-one-segment", head_changed, HEAD_SUM, E_FORMAT, "a sum of the hashes" },
	{ "head-segments-too-large", head_changed, HEAD_LOG, E_FORMAT, "segment size" },
	{ "head-cut", head_changed, HEAD_CUT, E_FORMAT, "not a delta" },
	{ "head-index-cut", head_changed, HEAD_INDEX_CUT, E_CORRUPT, "ends early" },
	{ "head-image-too-large", head_numbers, NUMBERS_HUGE, E_TOO_BIG, "larger than 2^40" },
	{ "head-index-too-large", head_numbers, NUMBERS_INDEX, E_TOO_BIG, "an index of" },
	{ "head-without-its-hashes", head_numbers, NUMBERS_SHORT, E_CORRUPT, "ends early" },
	{ "head-too-many-frames", head_numbers, NUMBERS_FRAMES, E_TOO_BIG, "262145 frames" },
	{ "head-a-list-of-one-frame", head_numbers, NUMBERS_ONE_FRAME, E_FORMAT,
	  "1 frames for" },
	{ "head-frames-beyond-32-bits", head_numbers, NUMBERS_FRAMES_64, E_CORRUPT, "damaged" },
	{ "head-too-many-streams", head_numbers, NUMBERS_STREAMS, E_FORMAT, "a table of" },
	{ "head-table-of-no-streams", head_numbers, NUMBERS_NO_STREAMS, E_FORMAT,
	  "a table of" },
	{ "head-rows-too-long", head_numbers, NUMBERS_ROWS, E_FORMAT,
	  "do not fill their rows" },
	{ "head-endless-number", head_endless_number, 0, E_CORRUPT, "damaged" },
	{ "frame-of-nothing", row, ROW_EMPTY, E_FORMAT, "out of place" },
	{ "frame-beyond-the-image", row, ROW_BEYOND_IMAGE, E_FORMAT, "out of place" },
	{ "frame-beyond-the-delta", row, ROW_BEYOND_DELTA, E_FORMAT, "outside the delta" },
	{ "frame-of-no-commands", row, ROW_NO_OPS, E_FORMAT, "of 0 commands" },
	{ "frame-of-too-many-commands", row, ROW_MANY_OPS, E_FORMAT, "of 131073 commands" },
	{ "frame-has-fewer-commands", row, ROW_MORE, E_CORRUPT,
	  "fewer commands than announced" },
	{ "frame-has-more-commands", row, ROW_FEWER, E_CORRUPT,
	  "more commands than announced" },
	{ "copy-from-behind", command_outside, BEHIND, E_CORRUPT, "copies from outside" },
	{ "copy-across-the-end", command_outside, ACROSS, E_CORRUPT, "copies from outside" },
	{ "copy-from-below-zero", command_outside, BACKWARDS, E_CORRUPT,
	  "copies from outside" },
	{ "copy-up-to-2-to-the-64", command_outside, OVERFLOWING, E_CORRUPT,
	  "copies from outside" },
	{ "add-from-far-behind", command_outside, ADD_BEHIND, E_CORRUPT,
	  "copies from outside" },
	{ "insert-longer-than-its-piece", command_outside, LONGER, E_CORRUPT,
	  "longer than its piece" },
	{ "zeros-longer-than-their-piece", command_outside, ZEROS, E_CORRUPT,
	  "longer than its piece" },
	{ "zeros-without-end", command_outside, MOST, E_CORRUPT, "longer than its piece" },
	{ "piece-longer-than-its-frame", piece_longer_than_frame, 0, E_CORRUPT,
	  "longer than its frame" },
	{ "sum-of-another-image", sum_of_others, 0, E_CORRUPT, "the image comes out wrong" },
	{ "bytes-of-another-image", other_bytes, 0, E_CORRUPT, "comes out wrong" },
	{ "coded-bytes-missing", coded, 0, E_CORRUPT, "coded bytes end early" },
	{ "coded-bytes-left-over", coded, 1, E_CORRUPT, "left over" },
	{ "stream-packs-to-more", packs_to_other_size, 0, E_CORRUPT, "packs to more" },
	{ "stream-packs-to-less", packs_to_other_size, 1, E_CORRUPT, "packs to less" },
	{ "stream-of-no-plain-bytes", stream_sizes, PLAIN_NONE, E_CORRUPT, "impossible" },
	{ "stream-of-too-many-plain-bytes", stream_sizes, PLAIN_HUGE, E_CORRUPT, "impossible" },
	{ "stream-of-no-packed-bytes", stream_sizes, PACKED_NONE, E_CORRUPT, "impossible" },
	{ "stream-longer-than-its-frame", stream_sizes, PACKED_BEYOND, E_CORRUPT,
	  "impossible" },
	{ "stream-of-an-unknown-kind", stream_sizes, TRANSFORM_UNKNOWN, E_CORRUPT,
	  "impossible" },
	{ "recipe-of-nothing", recipe_size, 0, E_CORRUPT, "recipe is damaged" },
	{ "recipe-too-long", recipe_size, LIMIT_DELTA_RECIPE + 1, E_CORRUPT, "a recipe of" },
	{ "recipe-unknown-level", recipe_bytes, 0, E_CORRUPT, "recipe is damaged" },
	{ "recipe-unknown-flag", recipe_bytes, 1, E_CORRUPT, "recipe is damaged" },
	{ "recipe-window-too-small", recipe_bytes, 2, E_CORRUPT, "recipe is damaged" },
	{ "recipe-blocks-beyond-it", recipe_bytes, 3, E_CORRUPT, "recipe is damaged" },
	{ "recipe-token-cut", recipe_bytes, 4, E_CORRUPT, "recipe is damaged" },
	{ "recipe-match-before-the-stream", recipe_token, 0, E_CORRUPT, "does not fit" },
	{ "recipe-match-nowhere-near", recipe_token, 1, E_CORRUPT, "does not fit" },
	{ "recipe-match-that-was-none", recipe_token, 2, E_CORRUPT, "does not fit" },
	{ "recipe-stored-block-too-long", recipe_block, STORED_LONG, E_CORRUPT,
	  "does not fit" },
	{ "recipe-stored-block-beyond", recipe_block, STORED_BEYOND, E_CORRUPT,
	  "does not fit" },
	{ "recipe-of-a-block-more", recipe_block, ONE_MORE, E_CORRUPT, "comes out wrong" },
	{ "recipe-of-blocks-of-nothing", recipe_block, OF_NOTHING, E_CORRUPT, "does not fit" },
	{ "recipe-of-too-many-codes", recipe_block, CODES, E_CORRUPT, "too many codes" },
	{ "part-taken-twice", parts, RUN_TWICE, E_CORRUPT, "none left" },
	{ "part-of-nobody", parts, RUN_OF_NOBODY, E_CORRUPT, "none left" },
	{ "part-of-nothing", parts, RUN_EMPTY, E_CORRUPT, "impossible" },
	{ "part-longer-than-its-stream", parts, RUN_LONGER, E_CORRUPT, "impossible" },
	{ "part-that-is-not-there", parts, RUN_NOT_THERE, E_CORRUPT, "impossible" },
	{ "parts-too-many", parts, RUNS_TOO_MANY, E_CORRUPT, "too many parts" },
	{ "parts-too-much-is-kept", kept, 0, E_CORRUPT, "too much is kept" },
	{ "old-stream-beyond-the-image", old_table, OLD_BEYOND, E_CORRUPT,
	  "outside the image" },
	{ "old-stream-of-no-packed-bytes", old_table, OLD_NO_PACKED, E_CORRUPT, "impossible" },
	{ "old-stream-of-no-plain-bytes", old_table, OLD_NO_PLAIN, E_CORRUPT, "impossible" },
	{ "old-stream-of-too-many-plain-bytes", old_table, OLD_HUGE_PLAIN, E_CORRUPT,
	  "impossible" },
	{ "old-stream-of-an-unknown-kind", old_table, OLD_TRANSFORM, E_CORRUPT, "impossible" },
	{ "old-part-of-nothing", old_table, OLD_PART_EMPTY, E_CORRUPT,
	  "part of an old stream" },
	{ "old-part-longer-than-its-stream", old_table, OLD_PART_LONG, E_CORRUPT,
	  "part of an old stream" },
	{ "old-part-beyond-the-image", old_table, OLD_PART_BEYOND, E_CORRUPT,
	  "outside the image" },
	{ "old-parts-too-many", old_table, OLD_PARTS_MANY, E_CORRUPT, "too many parts" },
	{ "old-stream-of-noise", old_stream, OLD_NOT_PACKED, E_CORRUPT, "not a prefix code" },
	{ "old-stream-makes-more", old_stream, OLD_MAKES_MORE, E_CORRUPT, "another size" },
	{ "old-stream-makes-less", old_stream, OLD_MAKES_LESS, E_CORRUPT, "another size" },
	{ "old-stream-makes-64-mib", old_stream, OLD_BOMB, E_CORRUPT, "another size" },
	{ "old-stream-cut", old_stream, OLD_CUT, E_CORRUPT, "cut off" },
	{ "old-parts-cut-elsewhere", old_stream, OLD_PARTS_SWAPPED, E_CORRUPT,
	  "match before the beginning" },
	{ "bulk-cut", bulk, CUT, E_CORRUPT, "are missing" },
	{ "bulk-makes-too-little", bulk, SHORT, E_CORRUPT, "1 bytes are missing" },
	{ "bulk-packs-to-more", bulk, SAID_MORE, E_CORRUPT, "packs to more" },
	{ "bulk-of-noise", bulk, NO_LZMA2, E_CORRUPT, "lzma: error" },
	{ "bulk-without-a-dictionary", bulk, NO_DICTIONARY, E_CORRUPT, "lzma: error" },
	{ "bulk-impossible-properties", bulk, PROPERTIES, E_CORRUPT, "lzma: error" },
	{ "bulk-unknown-filter", bulk, FILTER, E_CORRUPT, "unknown filter" },
};
const size_t n_delta_seeds_hostile = ARRAY_SIZE(delta_seeds_hostile);
