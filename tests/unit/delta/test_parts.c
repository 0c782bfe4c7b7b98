/* Streams in several parts: what comes out, in which order, and what lies about them. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"

#include "base/io.h"
#include "delta/deflate.h"

#include <unistd.h>
#include <zlib.h>

enum { PLAIN_N = 60000, GAP = 500, PARTS = 5, SPACE_N = 4096, IMAGE_MAX = PLAIN_N + 100000 };

/* A stream, its recipe, and an image that a test puts together. */
struct made {
	uint8_t plain[PLAIN_N], packed[PLAIN_N], image[IMAGE_MAX];
	uint32_t packed_n, image_n;
	uint8_t recipe[8];
	size_t recipe_n;
};

static struct made made;
static uint8_t space[SPACE_N];
static const struct op insert_plain = { .kind = OP_INSERT, .n = PLAIN_N };
static const struct op insert_gap = { .kind = OP_INSERT, .n = GAP };

static int setup(void **state UNUSED)
{
	struct buf recipe = BUF_INIT(64);
	struct recipe r = { .how = { .level = 6, .window_bits = 15, .memory = 8 } };
	z_stream z = { .next_in = made.plain,
		       .avail_in = PLAIN_N,
		       .next_out = made.packed,
		       .avail_out = sizeof(made.packed) };
	uint32_t seed = 5;
	struct err e;

	for (unsigned i = 0; i < PLAIN_N; i++)
		made.plain[i] = "abcdefghijklmnop"[(seed = seed * 1664525 + 1013904223) >> 28];
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	made.packed_n = (uint32_t)z.total_out;
	deflateEnd(&z);
	assert_ok(recipe_encode(&recipe, &r, &e), &e);
	memcpy(made.recipe, recipe.p, recipe.n);
	made.recipe_n = recipe.n;
	buf_done(&recipe);
	return 0;
}

static void image_add(const void *p, uint32_t n)
{
	memcpy(made.image + made.image_n, p, n);
	made.image_n += n;
}

static void image_gap(void)
{
	memset(made.image + made.image_n, (int)(made.image_n >> 3), GAP);
	made.image_n += GAP;
}

/* The stream in PARTS parts, one of which comes first in the image. */
static uint32_t run_sizes[PARTS];

static void cut_runs(void)
{
	for (unsigned i = 0; i < PARTS; i++)
		run_sizes[i] = made.packed_n / PARTS - 100 * i;
	run_sizes[PARTS - 1] = made.packed_n;
	for (unsigned i = 0; i + 1 < PARTS; i++)
		run_sizes[PARTS - 1] -= run_sizes[i];
	made.image_n = 0;
}

static void image_run(unsigned run)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < run; i++)
		at += run_sizes[i];
	image_add(made.packed + at, run_sizes[run]);
}

static struct forge_piece stream_piece(unsigned out)
{
	return (struct forge_piece){ .piece = { .size = run_sizes[out],
						.plain_size = PLAIN_N,
						.transform = TRANSFORM_DEFLATE,
						.n_runs = PARTS },
				     .ops = &insert_plain,
				     .n_ops = 1,
				     .bytes = made.plain,
				     .recipe = made.recipe,
				     .recipe_n = made.recipe_n,
				     .runs = run_sizes,
				     .out = out };
}

static struct forge_piece gap_piece(void)
{
	return (struct forge_piece){ .piece = { .size = GAP }, .ops = &insert_gap, .n_ops = 1 };
}

/* run: of all in the frame, in their order. */
static struct forge_piece kept_piece(uint32_t run)
{
	return (struct forge_piece){
		.piece = { .size = run_sizes[run % PARTS], .is_kept = true, .run = run }
	};
}

struct sink {
	uint64_t next;
	unsigned fails; /* refuse the n-th segment; 0: none */
};

static bool emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct sink *s = ctx;

	if (s->fails && --s->fails == 0)
		return err_set(e, E_CANCELLED, "full");
	assert_int_equal(offset, s->next);
	assert_memory_equal(p, made.image + offset, n);
	s->next += n;
	return true;
}

/* Every byte of the delta is told of once, wherever streams begin. */
static void is_accounted_for(struct delta *d, uint64_t size)
{
	CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
	CLEANUP(fd_closep) int image = forge_memfile("", 0);
	struct err e;

	assert_ok(delta_account(d, image, &a, &e), &e);
	size -= a.index_bytes + a.command_bytes + a.recipe_bytes;
	for (unsigned k = 0; k < DELTA_CONTENTS; k++)
		size -= a.content_bytes[k];
	assert_int_equal(size, 0);
}

static bool apply(struct buf *delta, uint64_t first, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	CLEANUP(fd_closep) int fd = forge_memfile(delta->p, delta->n);
	CLEANUP(fd_closep) int old = forge_memfile(space, SPACE_N);
	struct sink s = { .next = first };

	usage_start();
	bool ok = delta_open(&d, fd, old, e) && delta_apply(d, first, emit, &s, e);
	assert_true(usage_heap_peak() < 28 << 20); /* whatever it says */
	if (!ok)
		return false;
	assert_int_equal(s.next, made.image_n);
	is_accounted_for(d, delta->n);
	return true;
}

static struct buf of_pieces(const struct forge_piece *p, size_t n)
{
	struct forge f;

	forge_init(&f, space, SPACE_N, SPACE_N, made.image, made.image_n, 12);
	forge_frame(&f, p, n);
	return forge_finish(&f);
}

/* ---- new streams ---- */

static void parts_come_out_where_they_lie_in_any_order(void **state UNUSED)
{
	static const unsigned orders[][PARTS] = {
		{ 0, 1, 2, 3, 4 }, { 4, 3, 2, 1, 0 }, { 4, 0, 1, 2, 3 }, { 2, 4, 0, 3, 1 }
	};

	for (unsigned k = 0; k < ARRAY_SIZE(orders); k++) {
		struct forge_piece p[2 * PARTS];
		struct err e;

		cut_runs();
		for (unsigned i = 0; i < PARTS; i++) {
			image_run(orders[k][i]);
			p[2 * i] = i ? kept_piece(orders[k][i]) : stream_piece(orders[k][0]);
			image_gap();
			p[2 * i + 1] = gap_piece();
		}
		CLEANUP(buf_done) struct buf b = of_pieces(p, ARRAY_SIZE(p));
		for (uint64_t first = 0; first < made.image_n; first += 4096)
			assert_ok(apply(&b, first, &e), &e);
	}
}

static void work_that_stopped_between_parts_can_begin_again(void **state UNUSED)
{
	struct forge_piece p[] = { stream_piece(4), gap_piece(), kept_piece(0) };
	struct err e;

	cut_runs();
	image_run(4);
	image_gap();
	image_run(0);
	p[0] = stream_piece(4), p[2] = kept_piece(0);
	CLEANUP(buf_done) struct buf b = of_pieces(p, 3);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(space, SPACE_N);
	CLEANUP(delta_freep) struct delta *d = NULL;
	assert_ok(delta_open(&d, fd, old, &e), &e);
	for (unsigned n = 1; n < made.image_n / 4096; n++) {
		struct sink s = { .fails = n };

		assert_fails(delta_apply(d, 0, emit, &s, &e), &e, E_CANCELLED);
		assert_ok(delta_apply(d, s.next, emit, &s, &e), &e);
		assert_int_equal(s.next, made.image_n);
	}
}

/* Runs that no piece takes are dropped: another frame has the stream again. */
static void a_stream_can_come_in_two_frames(void **state UNUSED)
{
	struct forge f;
	struct err e;

	cut_runs();
	image_run(4);
	image_gap();
	image_run(0);
	image_run(1);
	const struct forge_piece first[] = { stream_piece(4), gap_piece() };
	const struct forge_piece second[] = { stream_piece(0), kept_piece(1) };
	forge_init(&f, space, SPACE_N, SPACE_N, made.image, made.image_n, 12);
	forge_frame(&f, first, 2);
	forge_frame(&f, second, 2);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	for (uint64_t at = 0; at < made.image_n; at += 4096)
		assert_ok(apply(&b, at, &e), &e);
}

static void parts_of_several_streams_do_not_mix(void **state UNUSED)
{
	struct err e;

	cut_runs();
	image_run(4);
	image_run(2);
	image_run(1);
	image_run(0);
	const struct forge_piece p[] = { stream_piece(4), stream_piece(2), kept_piece(1),
					 kept_piece(PARTS + 0) };
	CLEANUP(buf_done) struct buf b = of_pieces(p, ARRAY_SIZE(p));
	assert_ok(apply(&b, 0, &e), &e);
}

static void a_part_that_is_taken_twice_or_never_was_is_refused(void **state UNUSED)
{
	static const uint32_t lies[] = { 0, 4, PARTS + 1, 1000 * PARTS + 2 };

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct err e;

		cut_runs();
		image_run(4);
		image_run(0);
		image_run(lies[i] % PARTS);
		const struct forge_piece p[] = { stream_piece(4), kept_piece(0),
						 kept_piece(lies[i]) };
		CLEANUP(buf_done) struct buf b = of_pieces(p, 3);
		assert_fails(apply(&b, 0, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "none left"));
	}
}

static void parts_beyond_their_frame_are_refused(void **state UNUSED)
{
	struct err e;

	for (unsigned kept = 0; kept < 2; kept++) {
		struct forge f;

		cut_runs();
		image_run(4);
		image_run(0);
		const struct forge_piece p[] = { stream_piece(4), kept_piece(0) };
		forge_init(&f, space, SPACE_N, SPACE_N, made.image, made.image_n, 12);
		forge_frame(&f, p, 2);
		f.format.frames[0].bytes = kept ? made.image_n - 1 : run_sizes[4] - 1;
		f.format.new_size = f.format.frames[0].bytes;
		CLEANUP(buf_done) struct buf b = forge_finish(&f);
		assert_fails(apply(&b, 0, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "sizes are impossible"));
	}
}

static void impossible_runs_are_refused(void **state UNUSED)
{
	struct err e;

	for (unsigned i = 0; i < 4; i++) {
		cut_runs();
		image_run(0);
		struct forge_piece p = stream_piece(0);
		uint32_t sizes[PARTS];
		memcpy(sizes, run_sizes, sizeof(sizes));
		if (i == 3) /* all that is left before the last */
			sizes[PARTS - 1] = 0;
		else
			sizes[1] = i == 0 ? 0 : i == 1 ? UINT32_MAX : sizes[1] + 1;
		p.runs = sizes;
		CLEANUP(buf_done) struct buf b = of_pieces(&p, 1);
		assert_fails(apply(&b, 0, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, i == 2 ? "packs to less" : "impossible"));
	}
}

static void a_run_that_the_stream_has_not_cannot_come_out(void **state UNUSED)
{
	for (unsigned out = PARTS; out < PARTS + 70000; out += 30000) {
		struct err e;

		cut_runs();
		image_run(0);
		struct forge_piece p = stream_piece(0);
		p.out = out;
		CLEANUP(buf_done) struct buf b = of_pieces(&p, 1);
		assert_fails(apply(&b, 0, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "impossible"));
	}
}

static void more_runs_than_a_frame_may_have_are_refused(void **state UNUSED)
{
	uint32_t *sizes = calloc(LIMIT_DELTA_PARTS + 1, sizeof(*sizes));
	struct err e;

	assert_non_null(sizes);
	for (unsigned i = 0; i <= LIMIT_DELTA_PARTS; i++)
		sizes[i] = 1;
	cut_runs();
	image_run(0);
	struct forge_piece p = stream_piece(0);
	p.runs = sizes;
	p.piece.n_runs = LIMIT_DELTA_PARTS + 1;
	CLEANUP(buf_done) struct buf b = of_pieces(&p, 1);
	assert_fails(apply(&b, 0, &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "too many parts"));
	free(sizes);
}

/* A stream of stored blocks, so that what is kept is as large as it says. */
static struct buf with_kept(uint32_t kept, uint8_t *image)
{
	uint32_t plain_n = kept; /* packs to a little more */
	const struct op zeros = { .kind = OP_ZERO, .n = plain_n };
	struct buf recipe = BUF_INIT(1 << 16);
	uint32_t sizes[2] = { 0, 1 };
	struct err e;

	/* blocks of 65535 stored bytes, each told */
	struct buf blocks = BUF_INIT(1 << 16);
	uint32_t left = plain_n, at = 0;
	while (left) {
		uint32_t n = left < 65535 ? left : 65535;
		struct block_fix fix = { .kind = BLOCK_STORED,
					 .is_final = n == left,
					 .has_count = true,
					 .count = n };

		assert_ok(block_fix_add(&blocks, &fix, &e), &e);
		left -= n;
		image[at] = left == 0;
		image[at + 1] = (uint8_t)n, image[at + 2] = (uint8_t)(n >> 8);
		image[at + 3] = (uint8_t)~n, image[at + 4] = (uint8_t)(~n >> 8);
		memset(image + at + 5, 0, n);
		at += 5 + n;
	}
	struct recipe r = { .how = { .level = 6, .window_bits = 15, .memory = 8 },
			    .blocks = blocks.p,
			    .blocks_end = blocks.p + blocks.n };
	assert_ok(recipe_encode(&recipe, &r, &e), &e);
	sizes[0] = at - 1;
	const struct forge_piece p[] = {
		{ .piece = { .size = 1,
			     .plain_size = plain_n,
			     .transform = TRANSFORM_DEFLATE,
			     .n_runs = 2 },
		  .ops = &zeros,
		  .n_ops = 1,
		  .bytes = calloc(1, plain_n),
		  .recipe = recipe.p,
		  .recipe_n = recipe.n,
		  .runs = sizes,
		  .out = 1 },
		{ .piece = { .size = sizes[0], .is_kept = true, .run = 0 } },
	};
	uint8_t last = image[at - 1];
	memmove(image + 1, image, at - 1);
	image[0] = last;
	struct forge f;
	forge_init(&f, space, SPACE_N, SPACE_N, image, at, 12);
	forge_frame(&f, p, 2);
	free((void *)(uintptr_t)p[0].bytes);
	buf_done(&recipe);
	buf_done(&blocks);
	return forge_finish(&f);
}

static bool emit_of(void *ctx, uint64_t offset, const uint8_t *p, size_t n,
		    struct err *e UNUSED)
{
	assert_memory_equal(p, (const uint8_t *)ctx + offset, n);
	return true;
}

static void what_is_kept_is_bounded(void **state UNUSED)
{
	uint8_t *image = malloc(2 * LIMIT_DELTA_KEPT);
	uint32_t blocks = LIMIT_DELTA_KEPT / 65536;
	CLEANUP(fd_closep) int old = forge_memfile(space, SPACE_N);
	struct err e;

	assert_non_null(image);
	for (uint32_t more = 0; more < 2; more++) {
		CLEANUP(delta_freep) struct delta *d = NULL;
		CLEANUP(buf_done)
		struct buf b = with_kept(LIMIT_DELTA_KEPT - 5 * blocks + 1 + more, image);
		CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);

		assert_ok(delta_open(&d, fd, old, &e), &e);
		if (!more) {
			assert_ok(delta_apply(d, 0, emit_of, image, &e), &e);
			continue;
		}
		assert_fails(delta_apply(d, 0, emit_of, image, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "too much is kept"));
	}
	free(image);
}

/* ---- old streams ---- */

enum { OLD_N = 2 * PLAIN_N, BASE = (OLD_N + 4095) / 4096 * 4096 };

/* The parts of the stream all over an old image. */
struct old {
	uint8_t bytes[BASE + PLAIN_N]; /* the old space */
	struct stream stream;
	struct extent more[PARTS - 1];
};

static struct old old;

static void make_old(void)
{
	static const uint32_t places[PARTS] = { 30000, 90000, 200, 70000, 50000 };
	uint32_t at = 0;

	cut_runs();
	memset(&old, 0, sizeof(old));
	old.stream = (struct stream){ .offset = places[0],
				      .size = made.packed_n,
				      .plain_size = PLAIN_N,
				      .transform = TRANSFORM_DEFLATE,
				      .n_more = PARTS - 1 };
	for (unsigned i = 0; i < PARTS; i++) {
		memcpy(old.bytes + places[i], made.packed + at, run_sizes[i]);
		if (i)
			old.more[i - 1] = (struct extent){ .offset = places[i], .at = at };
		at += run_sizes[i];
	}
	memcpy(old.bytes + BASE, made.plain, PLAIN_N);
}

/* The plain bytes of the old stream as a new image. */
static struct buf delta_of_old(void)
{
	static const struct op ops[] = {
		{ .kind = OP_COPY, .n = 5000, .from = BASE + PLAIN_N - 5000 },
		{ .kind = OP_ADD, .n = PLAIN_N - 5000, .from = BASE },
	};
	const struct forge_piece p = { .piece = { .size = PLAIN_N }, .ops = ops, .n_ops = 2 };
	struct forge f;

	memcpy(made.image, made.plain + PLAIN_N - 5000, 5000);
	memcpy(made.image + 5000, made.plain, PLAIN_N - 5000);
	made.image_n = PLAIN_N;
	forge_init(&f, old.bytes, sizeof(old.bytes), OLD_N, made.image, PLAIN_N, 12);
	forge_table(&f, &old.stream, 1, old.more, PARTS - 1);
	forge_frame(&f, &p, 1);
	return forge_finish(&f);
}

static bool apply_old(struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	CLEANUP(buf_done) struct buf b = delta_of_old();
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old.bytes, OLD_N);
	struct sink s = { 0 };

	usage_start();
	bool ok = delta_open(&d, fd, old_fd, e) && delta_apply(d, 0, emit, &s, e);
	assert_true(usage_heap_peak() < 28 << 20);
	return ok;
}

static void old_streams_are_read_from_all_their_places(void **state UNUSED)
{
	struct err e;

	make_old();
	assert_ok(apply_old(&e), &e);
	/* Each of the parts counts. */
	for (unsigned i = 0; i < PARTS; i++) {
		uint64_t at = i ? old.more[i - 1].offset : old.stream.offset;

		flip_bit(old.bytes + at, 8 * 1000);
		assert_fails(apply_old(&e), &e, E_CORRUPT);
		flip_bit(old.bytes + at, 8 * 1000);
	}
}

static void impossible_places_of_old_parts_are_refused(void **state UNUSED)
{
	const struct {
		unsigned part;
		uint64_t offset;
		uint32_t at; /* 0: as it is */
	} rows[] = {
		{ 0, OLD_N + 1, 0 },
		{ 0, UINT64_MAX, 0 },
		{ 0, UINT64_C(1) << 62, 0 },
		{ 0, OLD_N, 0 },
		{ 1, OLD_N - 1, 0 },
		{ PARTS - 2, OLD_N, 0 },
		{ PARTS - 2, OLD_N - 1, 0 },
		{ 0, 90000, UINT32_MAX },
		{ 1, 200, 1 }, /* before the part before it */
		{ PARTS - 2, 50000, PLAIN_N },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e;

		make_old();
		struct extent *x = &old.more[rows[i].part];
		x->offset = rows[i].offset;
		x->at = rows[i].at ? rows[i].at : x->at;
		if (apply_old(&e))
			fail_msg("row %u is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		assert_non_null(strstr(e.text, "table"));
	}
}

static void an_old_part_of_no_bytes_is_refused(void **state UNUSED)
{
	struct err e;

	make_old();
	old.more[1].at = old.more[0].at;
	assert_fails(apply_old(&e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "a part of an old stream is impossible"));
}

/* They are only read, so they may overlap, and nothing ever goes around. */
static void parts_that_overlap_unpack_to_nothing(void **state UNUSED)
{
	struct err e;

	make_old();
	for (unsigned i = 0; i < PARTS - 1; i++)
		old.more[i].offset = old.stream.offset;
	assert_fails(apply_old(&e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "old stream 0"));
}

static void more_old_parts_than_fit_in_memory_are_refused(void **state UNUSED)
{
	enum { N = LIMIT_DELTA_PARTS + 1 };
	struct extent *more = calloc(N, sizeof(*more));
	struct stream v[2] = { { .offset = 0, .transform = TRANSFORM_DEFLATE } };
	struct forge f;
	struct err e;

	assert_non_null(more);
	for (uint32_t i = 0; i < N; i++)
		more[i] = (struct extent){ .offset = i % 100, .at = 1 + i % (N / 2) };
	v[0].size = N;
	v[0].plain_size = PLAIN_N;
	v[0].n_more = N / 2;
	v[1] = v[0];
	v[1].offset = 1;
	v[1].more = N / 2;
	v[1].n_more = N - N / 2;
	more[N - 1].at = more[N - 2].at + 1;
	forge_init(&f, old.bytes, sizeof(old.bytes), OLD_N, made.image, 0, 12);
	forge_table(&f, v, 2, more, N);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old.bytes, OLD_N);
	CLEANUP(delta_freep) struct delta *d = NULL;
	assert_fails(delta_open(&d, fd, old_fd, &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "too many parts"));
	free(more);
}

static void memory_that_runs_out_among_parts_is_told(void **state UNUSED)
{
	cut_runs();
	image_run(4);
	image_gap();
	image_run(0);
	const struct forge_piece p[] = { stream_piece(4), gap_piece(), kept_piece(0) };
	CLEANUP(buf_done) struct buf b = of_pieces(p, 3);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(space, SPACE_N);
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(delta_freep) struct delta *d = NULL;
		struct sink s = { 0 };
		struct err e = { 0 };

		if (!delta_open(&d, fd, old_fd, &e) || !delta_apply(d, 0, emit, &s, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

static void memory_that_runs_out_among_old_parts_is_told(void **state UNUSED)
{
	make_old();
	CLEANUP(buf_done) struct buf b = delta_of_old();
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old.bytes, OLD_N);
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(delta_freep) struct delta *d = NULL;
		struct sink s = { 0 };
		struct err e = { 0 };

		if (!delta_open(&d, fd, old_fd, &e) || !delta_apply(d, 0, emit, &s, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

static void a_stream_is_copied_with_its_parts(void **state UNUSED)
{
	CLEANUP(streams_done) struct streams from = { 0 };
	struct err e;

	make_old();
	for (unsigned k = 0; k < 3; k++) {
		old.stream.more = k * (PARTS - 1);
		for (unsigned i = 0; i < PARTS - 1; i++)
			assert_ok(streams_more(&from, &old.more[i], &e), &e);
		assert_ok(streams_add(&from, &old.stream, &e), &e);
	}
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(streams_done) struct streams to = { 0 };

		if (!streams_copy(&to, &from, 2, &e)) {
			assert_int_equal(e.code, E_NOMEM);
			assert_int_equal(to.n, 0);
			continue;
		}
		assert_int_equal(to.n, 1);
		assert_int_equal(to.n_more, PARTS - 1);
		assert_memory_equal(to.more, old.more, sizeof(old.more));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_come_out_where_they_lie_in_any_order),
		cmocka_unit_test(work_that_stopped_between_parts_can_begin_again),
		cmocka_unit_test(a_stream_can_come_in_two_frames),
		cmocka_unit_test(parts_of_several_streams_do_not_mix),
		cmocka_unit_test(a_part_that_is_taken_twice_or_never_was_is_refused),
		cmocka_unit_test(parts_beyond_their_frame_are_refused),
		cmocka_unit_test(impossible_runs_are_refused),
		cmocka_unit_test(a_run_that_the_stream_has_not_cannot_come_out),
		cmocka_unit_test(more_runs_than_a_frame_may_have_are_refused),
		cmocka_unit_test(what_is_kept_is_bounded),
		cmocka_unit_test(old_streams_are_read_from_all_their_places),
		cmocka_unit_test(impossible_places_of_old_parts_are_refused),
		cmocka_unit_test(an_old_part_of_no_bytes_is_refused),
		cmocka_unit_test(parts_that_overlap_unpack_to_nothing),
		cmocka_unit_test(more_old_parts_than_fit_in_memory_are_refused),
		cmocka_unit_test(memory_that_runs_out_among_parts_is_told),
		cmocka_unit_test(memory_that_runs_out_among_old_parts_is_told),
		cmocka_unit_test(a_stream_is_copied_with_its_parts),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
