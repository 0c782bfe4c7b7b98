/* Deltas made to harm: what they say is refused where it is said, and nothing wrong ever comes out. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"

#include "base/bytes.h"
#include "base/io.h"
#include "delta/deflate.h"
#include "delta/space.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

enum { OLD_N = 10000, SPACE_N = 12288, NEW_N = 20000, APPLY_MEMORY = 28 << 20 };

/* The old space: OLD_N bytes and zeros; the new image is made from it by the honest pieces. */
static uint8_t space[SPACE_N], new[NEW_N];

static int setup(void **state UNUSED)
{
	uint32_t seed = 7;

	for (unsigned i = 0; i < OLD_N; i++)
		space[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	for (unsigned i = 0; i < NEW_N; i++)
		new[i] = space[i % OLD_N];
	return 0;
}

struct sink {
	uint64_t next;
	const uint8_t *want; /* NULL: new */
	uint64_t stop;       /* refuses what begins here; 0: nothing */
};

static bool sink_emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct sink *s = ctx;

	if (s->stop && offset >= s->stop)
		return err_set(e, E_CANCELLED, "full");
	assert_int_equal(offset, s->next);
	assert_memory_equal(p, (s->want ? s->want : new) + offset, n);
	s->next += n;
	return true;
}

/* Whatever a delta of this file says, little memory is used for it. */
static bool apply_fds(int delta, int old, uint64_t first, struct sink *s, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;

	s->next = first;
	usage_start();
	bool ok = delta_open(&d, delta, old, e) && delta_apply(d, first, sink_emit, s, e);
	assert_true(usage_heap_peak() < APPLY_MEMORY);
	return ok;
}

static bool apply_from(struct buf *delta, uint64_t first, struct sink *s, struct err *e)
{
	CLEANUP(fd_closep) int fd = forge_memfile(delta->p, delta->n);
	CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);

	return apply_fds(fd, old, first, s, e);
}

static bool apply(struct buf *delta, struct err *e)
{
	struct sink s = { .next = 0 };

	return apply_from(delta, 0, &s, e);
}

/* One raw piece of these commands. */
static struct buf of_ops_with(const struct op *ops, size_t n_ops, uint64_t size, bool is_summed)
{
	const struct forge_piece p = { .piece = { .size = size }, .ops = ops, .n_ops = n_ops };
	struct forge f;

	forge_init(&f, space, SPACE_N, OLD_N, new, NEW_N, 12);
	f.format.is_summed = is_summed;
	forge_frame(&f, &p, 1);
	return forge_finish(&f);
}

static struct buf of_ops(const struct op *ops, size_t n_ops, uint64_t size)
{
	return of_ops_with(ops, n_ops, size, false);
}

/* ---- commands ---- */

static const struct op honest_ops[] = {
	{ .kind = OP_COPY, .n = 4000, .from = 0 },
	{ .kind = OP_ADD, .n = 2000, .from = 3996 },
	{ .kind = OP_ADD, .n = 4000, .from = 6000 },
	{ .kind = OP_INSERT, .n = 100 },
	{ .kind = OP_COPY, .n = 5, .from = 100 },
	{ .kind = OP_ADD, .n = 9895, .from = 105 },
};

static void honest_commands_of_each_kind_come_out(void **state UNUSED)
{
	for (unsigned is_summed = 0; is_summed < 2; is_summed++) {
		CLEANUP(buf_done)
		struct buf b =
			of_ops_with(honest_ops, ARRAY_SIZE(honest_ops), NEW_N, is_summed);
		struct err e;

		assert_ok(apply(&b, &e), &e);
		for (uint64_t first = 0; first <= NEW_N; first += 4096) {
			struct sink s = { .next = 0 };

			assert_ok(apply_from(&b, first, &s, &e), &e);
			assert_int_equal(s.next, NEW_N);
		}
	}
}

/* ---- the hashes as one ---- */

/* The last segment may be wrong, or the sum: the first one, which is right, does not leave. */
static void nothing_leaves_before_the_sum_of_all_was_right(void **state UNUSED)
{
	CLEANUP(buf_done)
	struct buf b = of_ops_with(honest_ops, ARRAY_SIZE(honest_ops), NEW_N, true);
	struct sink s = { .next = 0 };
	uint64_t head = 0;
	struct err e;

	space[OLD_N - 1] ^= 1;
	assert_fails(apply_from(&b, 0, &s, &e), &e, E_CORRUPT);
	assert_int_equal(s.next, 0);
	space[OLD_N - 1] ^= 1;
	assert_ok(format_peek(&head, b.p, b.n, b.n, &e), &e);
	for (size_t at = head - FORMAT_CHECK - DELTA_HASH_SIZE; at < b.n;
	     at += at < head ? 1 : 17) { /* every one of the sum */
		b.p[at] ^= 16;
		forge_rehash(&b);
		bool ok = apply_from(&b, 0, &s, &e);
		assert_int_equal(s.next, ok ? NEW_N : 0);
		assert_false(ok && at < head - FORMAT_CHECK);
		b.p[at] ^= 16;
	}
	forge_rehash(&b);
	assert_ok(apply_from(&b, 0, &s, &e), &e);
}

static bool count_wrong(void *ctx, uint64_t offset, const uint8_t *p, size_t n,
			struct err *e UNUSED)
{
	unsigned *wrong = ctx;

	for (size_t i = 0; i < n; i++)
		*wrong += p[i] != new[offset + i];
	return true;
}

/* A byte that is only copied is wrong: who verifies by himself gets it, and all the others. */
static void who_verifies_by_himself_gets_all_that_is_right(void **state UNUSED)
{
	for (unsigned is_summed = 0; is_summed < 2; is_summed++) {
		CLEANUP(buf_done)
		struct buf b =
			of_ops_with(honest_ops, ARRAY_SIZE(honest_ops), NEW_N, is_summed);
		CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
		space[50] ^= 1;
		CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
		space[50] ^= 1;
		CLEANUP(delta_freep) struct delta *d = NULL;
		unsigned wrong = 0;
		struct err e;

		assert_ok(delta_open_unverified(&d, fd, old, &e), &e);
		if (is_summed) {
			assert_ok(delta_apply(d, 0, count_wrong, &wrong, &e), &e);
			assert_int_equal(wrong, 1);
		} else {
			assert_fails(delta_apply(d, 0, count_wrong, &wrong, &e), &e, E_CORRUPT);
			assert_int_equal(wrong, 0);
		}
	}
}

struct heard {
	unsigned times;
	uint64_t done;
};

static void hear(void *ctx, uint64_t done, uint64_t total)
{
	struct heard *h = ctx;

	assert_int_equal(total, NEW_N);
	assert_true(done > h->done && done <= total);
	h->done = done;
	h->times++;
}

static void how_far_making_an_image_for_its_hashes_is_gets_told(void **state UNUSED)
{
	for (unsigned is_summed = 0; is_summed < 2; is_summed++) {
		CLEANUP(buf_done)
		struct buf b =
			of_ops_with(honest_ops, ARRAY_SIZE(honest_ops), NEW_N, is_summed);
		CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
		CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
		CLEANUP(fd_closep) int image = forge_memfile(NULL, 0);
		CLEANUP(delta_account_done) struct delta_account a = { .n_paths = 0 };
		CLEANUP(delta_freep) struct delta *d = NULL;
		struct heard h = { .times = 0 };
		struct err e;

		assert_ok(delta_open_told(&d, fd, old, hear, &h, &e), &e);
		assert_int_equal(h.times, is_summed ? (NEW_N + 4095) / 4096 : 0);
		assert_int_equal(h.done, is_summed ? NEW_N : 0);
		h = (struct heard){ .times = 0 };
		assert_ok(delta_account(d, image, &a, &e), &e);
		assert_int_equal(h.times, (NEW_N + 4095) / 4096);
		assert_int_equal(h.done, NEW_N);
	}
}

/* An old image that changes while it is read: what was right the first time is looked at again. */
static void segments_are_held_against_what_the_sum_was_made_of(void **state UNUSED)
{
	CLEANUP(buf_done)
	struct buf b = of_ops_with(honest_ops, ARRAY_SIZE(honest_ops), NEW_N, true);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct sink s = { .next = 0 };
	uint8_t other = (uint8_t)~space[OLD_N - 1];
	struct err e;

	assert_ok(delta_open(&d, fd, old, &e), &e);
	for (uint64_t at = 0; at < NEW_N; at += 4096) {
		size_t part = NEW_N - at < 4096 ? (size_t)(NEW_N - at) : 4096;

		assert_true(delta_has(d, at, new + at, part));
		assert_false(delta_has(d, at, space + 1, part));
	}
	assert_ok(pwrite_all(old, &other, 1, OLD_N - 1, &e), &e);
	assert_fails(delta_apply(d, 0, sink_emit, &s, &e), &e, E_CORRUPT);
	assert_int_equal(s.next, 8192); /* the third segment has it */
}

/* Copies of 64 bytes from two places in turn, or of zeros every other time; where it is broken, another place or
 * another kind. */
static uint64_t bytes_of_rhythm(bool zeros, unsigned broken_every)
{
	enum { N = 64, OPS = 150 };
	static uint8_t image[N * OPS];
	struct op ops[OPS];
	const struct forge_piece p = { .piece = { .size = N * OPS }, .ops = ops, .n_ops = OPS };
	struct sink s = { .want = image };
	struct forge f;
	struct err e;

	for (unsigned i = 0; i < OPS; i++) {
		bool broken = broken_every && i % broken_every == 0;

		ops[i] = (struct op){ .kind = broken && i & 1 ? OP_ADD : OP_COPY,
				      .n = N,
				      .from = (i & 1) * (OLD_N / 2) + i / 2 * N +
					      (broken && !(i & 1) ? 16 : 0) };
		memcpy(image + i * N, space + ops[i].from, N);
		if (zeros && i & 1) {
			ops[i] = (struct op){ .kind = OP_ZERO, .n = N };
			memset(image + i * N, 0, N);
		}
	}
	forge_init(&f, space, SPACE_N, OLD_N, image, sizeof(image), 12);
	forge_frame(&f, &p, 1);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	assert_ok(apply_from(&b, 0, &s, &e), &e);
	assert_int_equal(s.next, sizeof(image));
	return b.n;
}

static void commands_that_go_on_as_before_cost_hardly_anything(void **state UNUSED)
{
	enum { AROUND = 12 + 3 * 16 };
	uint64_t whole = bytes_of_rhythm(false, 0);

	assert_in_range(whole, AROUND, AROUND + 30);
	assert_in_range(bytes_of_rhythm(true, 0), AROUND, AROUND + 30);
	for (unsigned every = 7; every < 100; every += 9)
		assert_in_range(bytes_of_rhythm(false, every), whole + 1,
				whole + 10 + 150 / every * 6);
}

/* What going on costs: the index and the frame that holds the place are read again, and of the old image what ADDs
 * before the place compare with; of copies before it the last bytes.  Output begins at the place (sink_emit). */
static void going_on_reads_the_frame_and_what_its_adds_compare_with(void **state UNUSED)
{
	enum { COPIES = 12000, ADDS = NEW_N - COPIES - 100, AROUND = 2 * 32, LAST = 3 * 8 };
	static const struct op ops[] = {
		{ .kind = OP_COPY, .n = 6000, .from = 0 },
		{ .kind = OP_ADD, .n = 4000, .from = 6000 },
		{ .kind = OP_INSERT, .n = 100 },
		{ .kind = OP_COPY, .n = 6000, .from = 100 },
		{ .kind = OP_ADD, .n = ADDS - 4000, .from = 6100 },
	};
	CLEANUP(buf_done) struct buf b = of_ops(ops, ARRAY_SIZE(ops), NEW_N);
	uint64_t head = FORMAT_PEEK, all = 0;
	struct err e;

	for (uint64_t first = 0; first <= NEW_N; first += 4096) {
		struct sink s = { .next = 0 };
		uint64_t copied = first < 6000    ? COPIES - first
				  : first < 10100 ? 6000
				  : first < 16100 ? 16100 - first
						  : 0;

		assert_ok(apply_from(&b, first, &s, &e), &e);
		assert_true(usage_bytes_read() <=
			    head + b.n + copied + 2 * 1024 + ADDS + AROUND + LAST);
		all = first ? all : usage_bytes_read();
		assert_true(usage_bytes_read() <= all);
	}
	assert_true(all >= b.n + COPIES + ADDS);
}

/* bspatch's CVE-2014-9862: lengths and places below zero, or beyond all. */
static void cve_2014_9862_commands_that_read_or_write_outside_are_refused(void **state UNUSED)
{
	static const struct op rows[][2] = {
		{ { .kind = OP_COPY, .n = NEW_N, .from = SPACE_N + 1 } },
		{ { .kind = OP_COPY, .n = NEW_N, .from = SPACE_N } },
		{ { .kind = OP_COPY, .n = NEW_N, .from = UINT64_MAX } },
		{ { .kind = OP_COPY, .n = NEW_N, .from = UINT64_MAX - NEW_N + 1 } },
		{ { .kind = OP_ADD, .n = NEW_N, .from = 0 } },
		{ { .kind = OP_ADD, .n = NEW_N, .from = UINT64_C(1) << 61 } },
		{ { .kind = OP_COPY, .n = 100, .from = 1000 },
		  { .kind = OP_COPY, .n = 100, .from = (uint64_t)-5 } }, /* backwards */
		{ { .kind = OP_COPY, .n = 100, .from = SPACE_N - 100 },
		  { .kind = OP_ADD, .n = 100, .from = SPACE_N - 99 } },
		{ { .kind = OP_INSERT, .n = NEW_N + 1 } },
		{ { .kind = OP_ZERO, .n = NEW_N + 1 } },
		{ { .kind = OP_ZERO, .n = (UINT64_C(1) << 61) - 1 } },
		{ { .kind = OP_ZERO, .n = 100 }, { .kind = OP_ZERO, .n = NEW_N - 99 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = of_ops(rows[i], 1 + (rows[i][1].n > 0), NEW_N);
		struct err e;

		if (apply(&b, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		assert_true(strstr(e.text, "copies from outside") ||
			    strstr(e.text, "longer than its piece"));
	}
}

static void another_number_of_commands_than_announced_is_refused(void **state UNUSED)
{
	static const struct op ops[] = { { .kind = OP_COPY, .n = OLD_N, .from = 0 },
					 { .kind = OP_COPY, .n = OLD_N, .from = 0 } };
	const struct forge_piece p = { .piece = { .size = NEW_N }, .ops = ops, .n_ops = 2 };

	for (uint32_t said = 1; said <= 3; said++) {
		struct forge f;
		struct err e;

		forge_init(&f, space, SPACE_N, OLD_N, new, NEW_N, 12);
		forge_frame(&f, &p, 1);
		f.format.frames[0].ops = said;
		CLEANUP(buf_done) struct buf b = forge_finish(&f);
		if (said == 2) {
			assert_ok(apply(&b, &e), &e);
			continue;
		}
		assert_fails(apply(&b, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, said < 2 ? "more commands than announced"
							: "fewer commands than announced"));
	}
}

static void a_piece_longer_than_its_frame_is_refused(void **state UNUSED)
{
	static const struct op op = { .kind = OP_ZERO, .n = 5000 };
	const struct forge_piece p[] = {
		{ .piece = { .size = 5000 }, .ops = &op, .n_ops = 1 },
		{ .piece = { .size = NEW_N - 5000 }, .ops = &op, .n_ops = 1 },
	};
	struct forge f;
	struct err e;

	forge_init(&f, space, SPACE_N, OLD_N, new, NEW_N, 12);
	forge_frame(&f, p, 2);
	f.format.frames[0].bytes = 4999;
	f.format.new_size = 4999;
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	assert_fails(apply(&b, &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "longer than its frame"));
}

/* What a frame decodes to is judged by the hashes, whatever the commands were. */
static void wrong_bytes_are_never_emitted(void **state UNUSED)
{
	static const struct op ops[] = { { .kind = OP_COPY, .n = 5000, .from = 0 },
					 { .kind = OP_COPY, .n = 5000, .from = 1 },
					 { .kind = OP_ZERO, .n = 10000 } };
	CLEANUP(buf_done) struct buf b = of_ops(ops, 3, NEW_N);
	struct sink s = { .next = 0 };
	struct err e;

	assert_fails(apply_from(&b, 0, &s, &e), &e, E_CORRUPT);
	assert_int_equal(s.next, 4096);
	assert_non_null(strstr(e.text, "segment 1 comes out wrong"));
}

static void output_that_nobody_takes_ends_the_work(void **state UNUSED)
{
	static const struct op ops[] = { { .kind = OP_COPY, .n = OLD_N, .from = 0 },
					 { .kind = OP_COPY, .n = OLD_N, .from = 0 } };
	CLEANUP(buf_done) struct buf b = of_ops(ops, 2, NEW_N);
	struct sink s = { .stop = 8192 };
	struct err e;

	assert_fails(apply_from(&b, 0, &s, &e), &e, E_CANCELLED);
	assert_int_equal(s.next, 8192);
}

/* ---- streams ---- */

enum { PLAIN_N = 9000, IMAGE_MAX = 40000 };

struct stream_pair {
	uint8_t plain[PLAIN_N], packed[PLAIN_N], image[IMAGE_MAX];
	size_t packed_n;
	uint8_t recipe[8];
	size_t recipe_n;
};

static void make_stream(struct stream_pair *s)
{
	struct buf recipe = BUF_INIT(64);
	struct recipe r = { .how = { .level = 6, .window_bits = 15, .memory = 8 } };
	z_stream z = { .next_in = s->plain,
		       .avail_in = PLAIN_N,
		       .next_out = s->packed,
		       .avail_out = sizeof(s->packed) };
	struct err e;

	for (unsigned i = 0; i < PLAIN_N; i++)
		s->plain[i] = (uint8_t)("stream of bytes "[i % 16] + i / 1000);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	s->packed_n = z.total_out;
	deflateEnd(&z);
	memcpy(s->image, s->packed, s->packed_n);
	assert_ok(recipe_encode(&recipe, &r, &e), &e);
	memcpy(s->recipe, recipe.p, recipe.n);
	s->recipe_n = recipe.n;
	buf_done(&recipe);
}

static const struct op insert_plain = { .kind = OP_INSERT, .n = PLAIN_N };

static struct forge_piece piece_of(const struct stream_pair *s)
{
	return (struct forge_piece){ .piece = { .size = s->packed_n,
						.plain_size = PLAIN_N,
						.transform = TRANSFORM_DEFLATE },
				     .ops = &insert_plain,
				     .n_ops = 1,
				     .bytes = s->plain,
				     .recipe = s->recipe,
				     .recipe_n = s->recipe_n };
}

static struct buf of_piece(const struct stream_pair *s, const struct forge_piece *p)
{
	struct forge f;

	forge_init(&f, space, SPACE_N, OLD_N, s->image, p->piece.size, 12);
	forge_frame(&f, p, 1);
	return forge_finish(&f);
}

static void a_stream_is_packed_again(void **state UNUSED)
{
	static struct stream_pair s;
	struct sink sink = { .want = s.image };
	struct err e;

	make_stream(&s);
	struct forge_piece p = piece_of(&s);
	CLEANUP(buf_done) struct buf b = of_piece(&s, &p);
	assert_ok(apply_from(&b, 0, &sink, &e), &e);
	assert_int_equal(sink.next, s.packed_n);
}

static void a_stream_that_packs_to_another_size_is_refused(void **state UNUSED)
{
	static struct stream_pair s;
	struct sink sink = { .want = s.image };
	struct err e;

	make_stream(&s);
	for (int wrong = -1; wrong <= 1; wrong += 2) {
		struct forge_piece p = piece_of(&s);

		p.piece.size = s.packed_n + (uint64_t)wrong;
		CLEANUP(buf_done) struct buf b = of_piece(&s, &p);
		assert_fails(apply_from(&b, 0, &sink, &e), &e, E_CORRUPT);
		assert_non_null(
			strstr(e.text, wrong < 0 ? "more than announced" : "less than"));
	}
}

static void impossible_streams_are_refused(void **state UNUSED)
{
	static struct stream_pair s;
	static const struct {
		uint64_t size;
		uint32_t plain;
		uint8_t transform;
	} rows[] = {
		{ 100, 0, TRANSFORM_DEFLATE },
		{ 100, LIMIT_DELTA_STREAM + 1, TRANSFORM_DEFLATE },
		{ 100, UINT32_MAX, TRANSFORM_DEFLATE },
		{ UINT64_C(1) << 33, 100, TRANSFORM_DEFLATE },
		{ 100, 100, 2 },
		{ 100, 100, 255 },
	};

	make_stream(&s);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct forge_piece p = piece_of(&s);
		struct sink sink = { .want = s.image };
		struct forge f;
		struct err e;

		p.piece.size = rows[i].size;
		p.piece.plain_size = rows[i].plain;
		p.piece.transform = rows[i].transform;
		forge_init(&f, space, SPACE_N, OLD_N, s.image, IMAGE_MAX, 22);
		forge_frame(&f, &p, 1);
		f.format.new_size = f.format.frames[0].bytes;
		CLEANUP(buf_done) struct buf b = forge_finish(&f);
		if (apply_from(&b, 0, &sink, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		assert_non_null(strstr(e.text, "sizes are impossible"));
	}
}

static void a_stream_of_no_packed_bytes_or_too_many_is_refused(void **state UNUSED)
{
	static const struct op zeros = { .kind = OP_ZERO, .n = 1000 };
	static struct stream_pair s;
	struct err e;

	make_stream(&s);
	for (unsigned i = 0; i < 2; i++) {
		struct forge_piece p[] = {
			piece_of(&s),
			{ .piece = { .size = 1000 }, .ops = &zeros, .n_ops = 1 },
		};
		struct sink sink = { .want = s.image };
		struct forge f;

		p[0].piece.size = i ? 2000 : 0;
		forge_init(&f, space, SPACE_N, OLD_N, s.image, IMAGE_MAX, 22);
		forge_frame(&f, p, 2);
		f.format.new_size = f.format.frames[0].bytes = 1000;
		CLEANUP(buf_done) struct buf b = forge_finish(&f);
		assert_fails(apply_from(&b, 0, &sink, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "sizes are impossible"));
	}
}

static void recipes_that_are_too_long_or_nonsense_are_refused(void **state UNUSED)
{
	static uint8_t zeros[LIMIT_DELTA_RECIPE + 1];
	static const size_t sizes[] = { 0, 1, 5000, LIMIT_DELTA_RECIPE + 1 };
	static struct stream_pair s;

	make_stream(&s);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct forge_piece p = piece_of(&s);
		struct sink sink = { .want = s.image };
		struct err e;

		p.recipe = zeros;
		p.recipe_n = sizes[i];
		CLEANUP(buf_done) struct buf b = of_piece(&s, &p);
		assert_fails(apply_from(&b, 0, &sink, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "recipe"));
	}
}

/* ---- old streams ---- */

/* An old image that is one packed stream, and a new one that is its plain bytes. */
static struct buf with_old_stream(struct stream_pair *s, const struct stream *table, size_t n,
				  uint8_t *room)
{
	static const struct op ops[] = {
		{ .kind = OP_COPY, .n = 5000, .from = 12288 },
		{ .kind = OP_ADD, .n = PLAIN_N - 5000, .from = 12288 + 5000 },
	};
	const struct forge_piece p = { .piece = { .size = PLAIN_N }, .ops = ops, .n_ops = 2 };
	struct forge f;

	make_stream(s);
	memset(room, 0, 12288);
	memcpy(room, s->packed, s->packed_n);
	memcpy(room + 12288, s->plain, PLAIN_N);
	forge_init(&f, room, 12288 + PLAIN_N, OLD_N, s->plain, PLAIN_N, 12);
	forge_table(&f, table, n, NULL, 0);
	forge_frame(&f, &p, 1);
	return forge_finish(&f);
}

static bool apply_to(const uint8_t *old, struct buf *delta, const uint8_t *want, struct err *e)
{
	CLEANUP(fd_closep) int fd = forge_memfile(delta->p, delta->n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old, OLD_N);
	struct sink s = { .want = want };

	return apply_fds(fd, old_fd, 0, &s, e);
}

static void old_streams_are_read_as_their_plain_bytes(void **state UNUSED)
{
	static struct stream_pair s;
	static uint8_t room[12288 + PLAIN_N];
	struct err e;

	make_stream(&s);
	const struct stream t = { .size = (uint32_t)s.packed_n,
				  .plain_size = PLAIN_N,
				  .transform = TRANSFORM_DEFLATE };
	CLEANUP(buf_done) struct buf b = with_old_stream(&s, &t, 1, room);
	assert_ok(apply_to(room, &b, s.plain, &e), &e);
	flip_bit(room, 4);
	assert_fails(apply_to(room, &b, s.plain, &e), &e, E_CORRUPT);
}

static void old_streams_outside_the_image_are_refused(void **state UNUSED)
{
	static struct stream_pair s;
	static uint8_t room[12288 + PLAIN_N];

	make_stream(&s);
	const struct stream rows[] = {
		{ OLD_N + 1, 1, PLAIN_N, TRANSFORM_DEFLATE },
		{ UINT64_MAX - 1, 1, PLAIN_N, TRANSFORM_DEFLATE },
		{ OLD_N, 1, PLAIN_N, TRANSFORM_DEFLATE },
		{ OLD_N - 1, 2, PLAIN_N, TRANSFORM_DEFLATE },
		{ 0, 0, PLAIN_N, TRANSFORM_DEFLATE },
		{ 0, 100, 0, TRANSFORM_DEFLATE },
		{ 0, 100, PLAIN_N, TRANSFORM_NONE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(buf_done) struct buf b = with_old_stream(&s, &rows[i], 1, room);
		struct err e;

		if (apply_to(room, &b, s.plain, &e))
			fail_msg("row %zu is taken", i);
		assert_int_equal(e.code, E_CORRUPT);
		assert_non_null(strstr(e.text, "table"));
	}
}

/* ---- inserts in bulk ---- */

static void inserts_in_bulk_that_do_not_unpack_are_refused(void **state UNUSED)
{
	enum { N = 65536 };
	static const struct op op = { .kind = OP_INSERT, .n = N };
	static uint8_t text[N];
	const struct forge_piece p = {
		.piece = { .size = N }, .ops = &op, .n_ops = 1, .bulk = true
	};
	unsigned refused = 0;
	struct forge f;
	struct err e;

	for (unsigned i = 0; i < N; i++)
		text[i] = (uint8_t)(i * i >> 3);
	forge_init(&f, space, SPACE_N, OLD_N, text, N, 16);
	forge_frame(&f, &p, 1);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	assert_ok(apply_to(space, &b, text, &e), &e);
	for (size_t at = b.n - 1; at > b.n - 100; at--) {
		flip_bit(b.p, at * 8);
		refused += !apply_to(space, &b, text, &e);
		flip_bit(b.p, at * 8);
	}
	assert_true(refused > 90);
}

/* Long inserts of both kinds, in one frame. */
static void long_inserts_come_out_in_bulk_and_one_by_one(void **state UNUSED)
{
	enum { N = CODE_BULK_MAX + 70000 };
	static const struct op ops[] = { { .kind = OP_INSERT, .n = N },
					 { .kind = OP_COPY, .n = 100, .from = 0 },
					 { .kind = OP_INSERT, .n = CODE_BULK_MIN } };
	static uint8_t image[N + 100 + CODE_BULK_MIN];
	struct forge_piece p = { .piece = { .size = sizeof(image) }, .ops = ops, .n_ops = 3 };

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(i / 50);
	memcpy(image + N, space, 100);
	for (unsigned bulk = 0; bulk < 2; bulk++) {
		struct forge f;
		struct err e;

		p.bulk = bulk;
		forge_init(&f, space, SPACE_N, OLD_N, image, sizeof(image), 16);
		forge_frame(&f, &p, 1);
		CLEANUP(buf_done) struct buf b = forge_finish(&f);
		assert_ok(apply_to(space, &b, image, &e), &e);
		FAULT_EACH(n, FAULT_ALLOC) {
			if (!apply_to(space, &b, image, &e))
				assert_int_equal(e.code, E_NOMEM);
		}
	}
}

static void bulk_that_comes_out_wrong_or_that_nobody_takes_ends_the_work(void **state UNUSED)
{
	enum { N = 65536 };
	static const struct op op = { .kind = OP_INSERT, .n = N };
	static uint8_t image[N], other[N];

	memcpy(other, image, N);
	other[30000] = 1;
	for (unsigned wrong = 0; wrong < 2; wrong++) {
		const struct forge_piece p = { .piece = { .size = N },
					       .ops = &op,
					       .n_ops = 1,
					       .bytes = wrong ? other : image,
					       .bulk = true };
		struct sink s = { .want = image, .stop = wrong ? 0 : 8192 };
		struct forge f;
		struct err e;

		forge_init(&f, space, SPACE_N, OLD_N, image, N, 12);
		forge_frame(&f, &p, 1);
		CLEANUP(buf_done) struct buf b = forge_finish(&f);
		assert_fails(apply_from(&b, 0, &s, &e), &e, wrong ? E_CORRUPT : E_CANCELLED);
		assert_int_equal(s.next, wrong ? 30000 / 4096 * 4096 : 8192);
	}
}

/* Not as damage: what is missing unpacks to nothing. */
static void reads_that_fail_in_bulk_are_told(void **state UNUSED)
{
	enum { N = 150000 };
	static const struct op op = { .kind = OP_INSERT, .n = N };
	static uint8_t image[N];
	const struct forge_piece p = {
		.piece = { .size = N }, .ops = &op, .n_ops = 1, .bulk = true
	};
	struct forge f;

	for (uint32_t i = 0, seed = 11; i < N; i++)
		image[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	forge_init(&f, space, SPACE_N, OLD_N, image, N, 16);
	forge_frame(&f, &p, 1);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	FAULT_EACH(k, FAULT_READ) {
		struct err e = { 0 };

		if (!apply_to(space, &b, image, &e))
			assert_int_equal(e.code, E_SYSTEM);
	}
}

/* ---- the world around ---- */

static struct buf usual(void)
{
	static const struct op ops[] = { { .kind = OP_COPY, .n = OLD_N, .from = 0 },
					 { .kind = OP_INSERT, .n = 1000 },
					 { .kind = OP_ADD, .n = 9000, .from = 1000 } };

	return of_ops(ops, 3, NEW_N);
}

static void files_that_are_not_there_are_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = usual();
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	struct sink s = { .next = 0 };
	struct delta_info info;
	struct err e;

	assert_fails(apply_fds(-1, -1, 0, &s, &e), &e, E_SYSTEM);
	assert_fails(apply_fds(fd, -1, 0, &s, &e), &e, E_SYSTEM);
	assert_fails(delta_look(&info, -1, &e), &e, E_SYSTEM);
	delta_free(NULL);
}

static void what_is_no_delta_or_for_another_image_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = usual();
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int longer = forge_memfile(space, OLD_N + 1);
	CLEANUP(fd_closep) int none = forge_memfile("", 0);
	struct buf part = { .p = b.p, .n = 4 };
	struct sink s = { .next = 0 };
	struct err e;

	assert_fails(apply(&part, &e), &e, E_FORMAT);
	assert_fails(apply_fds(none, longer, 0, &s, &e), &e, E_FORMAT);
	assert_fails(apply_fds(fd, longer, 0, &s, &e), &e, E_CORRUPT);
	assert_fails(apply_fds(fd, none, 0, &s, &e), &e, E_CORRUPT);
	b.p[0] ^= 1;
	assert_fails(apply(&b, &e), &e, E_FORMAT);
}

/* A file may shrink after it was opened. */
static void files_that_shrink_meanwhile_are_told(void **state UNUSED)
{
	static const uint64_t left[] = { 0, 9000 };
	CLEANUP(buf_done) struct buf b = usual();

	for (unsigned i = 0; i < 3; i++) {
		CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
		CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
		CLEANUP(delta_freep) struct delta *d = NULL;
		struct sink s = { .next = 0 };
		struct err e;

		assert_ok(delta_open(&d, fd, old, &e), &e);
		assert_int_equal(ftruncate(i == 2 ? fd : old, i == 2 ? 300 : (off_t)left[i]),
				 0);
		assert_false(delta_apply(d, 0, sink_emit, &s, &e));
	}
}

static void coded_bytes_that_end_early_are_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = usual();
	uint64_t head = 0;
	struct err e;

	assert_ok(format_peek(&head, b.p, b.n, b.n, &e), &e);
	for (size_t cut = (size_t)head; cut < b.n - 8; cut += 13) {
		struct buf part = { .p = b.p, .n = cut };

		assert_fails(apply(&part, &e), &e, E_CORRUPT);
	}
}

static void bytes_behind_the_last_coded_one_are_told(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = usual();
	struct err e;

	for (unsigned i = 0; i < 3; i++) {
		assert_ok(buf_add(&b, i ? "x" : "\0", 1, &e), &e);
		assert_fails(apply(&b, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "left over"));
	}
}

static void memory_that_runs_out_anywhere_is_told(void **state UNUSED)
{
	static struct stream_pair s;
	static uint8_t room[12288 + PLAIN_N];

	make_stream(&s);
	const struct stream t = { .size = (uint32_t)s.packed_n,
				  .plain_size = PLAIN_N,
				  .transform = TRANSFORM_DEFLATE };
	struct forge_piece p = piece_of(&s);
	CLEANUP(buf_done) struct buf from_old = with_old_stream(&s, &t, 1, room);
	CLEANUP(buf_done) struct buf to_new = of_piece(&s, &p);
	FAULT_EACH(n, FAULT_ALLOC) {
		struct err e = { 0 };

		if (!apply_to(room, &from_old, s.plain, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
	FAULT_EACH(n, FAULT_ALLOC) {
		struct err e = { 0 };

		if (!apply_to(space, &to_new, s.image, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

/* ---- resuming ---- */

/* Two frames; in each copies and zeros of many sizes, and streams. */
static struct buf of_two_frames(struct stream_pair *s, uint8_t *image, size_t *ret_n)
{
	static const struct op head[] = {
		{ .kind = OP_COPY, .n = 9000, .from = 0 },
		{ .kind = OP_ZERO, .n = 9000 },
		{ .kind = OP_COPY, .n = 700, .from = 50 },
		{ .kind = OP_ZERO, .n = 300 },
		{ .kind = OP_ADD, .n = 9000, .from = 1000 },
		{ .kind = OP_INSERT, .n = 500 },
		{ .kind = OP_ZERO, .n = 20000 },
	};
	static const struct op add_plain = { .kind = OP_ADD, .n = PLAIN_N, .from = 100 };
	struct forge_piece p[] = {
		{ .piece = { .size = 48500 }, .ops = head, .n_ops = ARRAY_SIZE(head) },
		piece_of(s),
	};
	size_t at = 0;
	struct forge f;

	for (unsigned i = 0; i < 2; i++) {
		memcpy(image + at, space, 9000);
		memcpy(image + at + 18000, space + 50, 700);
		memcpy(image + at + 19000, space + 1000, 9000);
		image[at + 25000] ^= 3;
		memset(image + at + 28000, 'i', 500);
		memcpy(image + at + 48500, s->packed, s->packed_n);
		at += 48500 + s->packed_n;
	}
	*ret_n = at;
	p[1].ops = &add_plain;
	forge_init(&f, space, SPACE_N, OLD_N, image, at, 12);
	forge_frame(&f, p, 2);
	forge_frame(&f, p, 2);
	return forge_finish(&f);
}

static void work_goes_on_at_any_segment(void **state UNUSED)
{
	static struct stream_pair s;
	static uint8_t image[140000];
	size_t n = 0;
	struct err e;

	make_stream(&s);
	CLEANUP(buf_done) struct buf b = of_two_frames(&s, image, &n);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
	for (uint64_t first = 0; first < n; first += 4096) {
		CLEANUP(delta_freep) struct delta *d = NULL;
		struct sink sink = { .next = first, .want = image };
		struct delta_info info;

		assert_ok(delta_open(&d, fd, old, &e), &e);
		assert_ok(delta_apply(d, first, sink_emit, &sink, &e), &e);
		assert_int_equal(sink.next, n);
		delta_describe(d, &info);
		assert_int_equal(info.frames, 2);
		assert_int_equal(info.ops, 16);
		assert_fails(delta_apply(d, first + 1, sink_emit, &sink, &e), &e, E_USAGE);
		assert_fails(delta_apply(d, UINT64_C(1) << 40, sink_emit, &sink, &e), &e,
			     E_USAGE);
	}
}

/* A stream of several commands, longer than is decoded at a time, and bytes behind it: to begin there
 * it is decoded, and not packed. */
static void a_stream_before_what_is_wanted_is_only_decoded(void **state UNUSED)
{
	enum { N = 200000, BEHIND = 5000 };
	static const struct op ops[] = { { .kind = OP_ADD, .n = 150000, .from = 0 },
					 { .kind = OP_INSERT, .n = 1000 },
					 { .kind = OP_ZERO, .n = N - 151000 } };
	static const struct op copy = { .kind = OP_COPY, .n = BEHIND, .from = 0 };
	static uint8_t old[N], plain[N], image[N];
	z_stream z = {
		.next_in = plain, .avail_in = N, .next_out = image, .avail_out = N - BEHIND
	};
	struct stream_pair s;
	struct forge f;
	struct err e;

	make_stream(&s); /* for its recipe */
	for (unsigned i = 0; i < N; i++)
		old[i] = (uint8_t)(i * i / 1000);
	memcpy(plain, old, 150000);
	plain[100000] ^= 1;
	memset(plain + 150000, 'p', 1000);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t packed = z.total_out, n = packed + BEHIND;
	deflateEnd(&z);
	memcpy(image + packed, old, BEHIND);
	const struct forge_piece p[] = {
		{ .piece = { .size = packed, .plain_size = N, .transform = TRANSFORM_DEFLATE },
		  .ops = ops,
		  .n_ops = 3,
		  .bytes = plain,
		  .recipe = s.recipe,
		  .recipe_n = s.recipe_n },
		{ .piece = { .size = BEHIND }, .ops = &copy, .n_ops = 1 }
	};
	assert_true(packed > 8192);
	forge_init(&f, old, N, N, image, n, 12);
	forge_frame(&f, p, 2);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old, N);
	for (uint64_t first = 0; first < n; first += 4096) {
		struct sink sink = { .want = image };

		assert_ok(apply_fds(fd, old_fd, first, &sink, &e), &e);
		assert_int_equal(sink.next, n);
	}
	FAULT_EACH(k, FAULT_READ) {
		struct sink sink = { .want = image };

		if (!apply_fds(fd, old_fd, n / 4096 * 4096, &sink, &e))
			assert_int_equal(e.code, E_SYSTEM);
	}
}

/* What a handset does: goes on behind what is there and right, segment by segment. */
struct resuming {
	int delta, old, dir;
	size_t n;
	uint64_t emitted;
};

static bool write_segment(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct resuming *r = ctx;
	CLEANUP(fd_closep) int fd = openat(r->dir, "out", O_WRONLY | O_CLOEXEC);

	r->emitted += n;
	return pwrite_all(fd, p, n, offset, e) && fd_sync(fd, e);
}

static uint64_t find_first(const struct delta *d, int out, size_t image_n)
{
	uint8_t p[4096];
	uint64_t at = 0;
	struct err e;

	while (at < image_n) {
		size_t n = image_n - at < sizeof(p) ? (size_t)(image_n - at) : sizeof(p);

		if (!pread_all(out, p, n, at, &e) || !delta_has(d, at, p, n))
			break;
		at += n;
	}
	return at;
}

static bool go_on(struct resuming *r, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	CLEANUP(fd_closep) int out = openat(r->dir, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	r->emitted = 0;
	if (!delta_open(&d, r->delta, r->old, e))
		return false;
	uint64_t first = find_first(d, out, r->n);
	if (first < r->n && !delta_apply(d, first, write_segment, r, e))
		return false;
	return r->emitted == r->n - first || err_set(e, E_INTERNAL, "not all came");
}

static void go_on_until_cut(void *ctx)
{
	struct err e;

	if (!go_on(ctx, &e))
		abort();
}

/* A stop at every single write and fsync, each leaving half of what was to be written, then one more
 * at every write of the rest: no more than one segment is written again, and what comes out is exact. */
static void a_stop_at_every_write_is_gone_on_from(void **state)
{
	static struct stream_pair s;
	static uint8_t image[140000], out[140001];
	struct resuming r = { .dir = tmpdir_fd(state) };
	unsigned cuts = 0;
	struct err e;

	make_stream(&s);
	CLEANUP(buf_done) struct buf b = of_two_frames(&s, image, &r.n);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
	r.delta = fd;
	r.old = old;
	unsigned segments = (unsigned)((r.n + 4095) / 4096);
	while (fault_power_cut(cuts + 1, go_on_until_cut, &r)) {
		size_t there = read_back_at(r.dir, "out", out, sizeof(out));

		cuts++;
		/* Two operations for each segment; the one cut is torn, or written and not synced. */
		assert_true(there + 4096 > (cuts - 1) / 2 * 4096 &&
			    there <= (cuts + 1) / 2 * 4096);
		assert_memory_equal(out, image, there);
		if (cuts % 9 == 0)
			fault_power_cut(1 + cuts % 5, go_on_until_cut, &r);
		assert_ok(go_on(&r, &e), &e);
		/* What was written before the one that was cut is not made again. */
		assert_true(r.emitted <= r.n - (cuts - 1) / 2 * 4096);
		assert_int_equal(read_back_at(r.dir, "out", out, sizeof(out)), r.n);
		assert_memory_equal(out, image, r.n);
		assert_int_equal(unlinkat(r.dir, "out", 0), 0);
	}
	assert_int_equal(cuts, 2 * segments);
}

/* After a cut nothing before the segment wanted is written, and of the old image and the delta no more is
 * read than what is left to make needs, one frame's coded bytes, and the window that the format
 * promises. */
static void going_on_reads_what_is_left_and_little_more(void **state UNUSED)
{
	enum { WINDOW = 16 << 20, PARTS_N = 40, PART_N = 1 << 20, ALL = PARTS_N * PART_N };
	static struct op ops[2 * PARTS_N];
	struct forge_piece p[2] = { { .piece = { .size = ALL / 2 }, .n_ops = PARTS_N },
				    { .piece = { .size = ALL / 2 }, .n_ops = PARTS_N } };
	uint8_t *old = malloc(ALL), *image = malloc(ALL);
	struct forge f;
	struct err e;

	assert_true(old && image);
	for (size_t i = 0; i < ALL; i++)
		old[i] = (uint8_t)(i >> 8 ^ i >> 3);
	for (unsigned i = 0; i < PARTS_N; i++) {
		uint64_t from = (uint64_t)(i * 7 % PARTS_N) * PART_N;

		ops[2 * i] = (struct op){ .kind = OP_COPY, .n = PART_N - 5000, .from = from };
		ops[2 * i + 1] = (struct op){ .kind = OP_ADD, .n = 5000, .from = from };
		memcpy(image + (size_t)i * PART_N, old + from, PART_N - 5000);
		memcpy(image + (size_t)(i + 1) * PART_N - 5000, old + from, 5000);
	}
	p[0].ops = ops;
	p[1].ops = ops + PARTS_N;
	forge_init(&f, old, ALL, ALL, image, ALL, 20);
	forge_frame(&f, &p[0], 1);
	forge_frame(&f, &p[1], 1);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old_fd = forge_memfile(old, ALL);
	for (uint64_t first = 0; first < ALL; first += 5 * PART_N) {
		struct sink sink = { .want = image };

		assert_ok(apply_fds(fd, old_fd, first, &sink, &e), &e);
		assert_int_equal(sink.next, ALL);
		assert_true(usage_bytes_read() <= b.n + FORMAT_PEEK + (ALL - first) + WINDOW);
		/* Here, far less: what was copied is not read again. */
		assert_true(usage_bytes_read() <= b.n + ALL - first + PARTS_N * 6000);
	}
	free(old);
	free(image);
}

static void segments_that_are_there_are_known(void **state UNUSED)
{
	static struct stream_pair s;
	static uint8_t image[140000];
	CLEANUP(delta_freep) struct delta *d = NULL;
	size_t n = 0;
	struct err e;

	make_stream(&s);
	CLEANUP(buf_done) struct buf b = of_two_frames(&s, image, &n);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
	assert_ok(delta_open(&d, fd, old, &e), &e);
	for (uint64_t at = 0; at < n; at += 4096) {
		size_t part = n - at < 4096 ? (size_t)(n - at) : 4096;

		assert_true(delta_has(d, at, image + at, part));
		image[at + part - 1] ^= 1;
		assert_false(delta_has(d, at, image + at, part));
	}
}

/* A disk that fails at any read, of the delta or of the old image. */
static void reads_that_fail_anywhere_are_told(void **state UNUSED)
{
	static struct stream_pair s;
	static uint8_t image[140000], room[12288 + PLAIN_N];
	size_t n = 0;

	make_stream(&s);
	const struct stream t = { .size = (uint32_t)s.packed_n,
				  .plain_size = PLAIN_N,
				  .transform = TRANSFORM_DEFLATE };
	CLEANUP(buf_done) struct buf from_old = with_old_stream(&s, &t, 1, room);
	CLEANUP(buf_done) struct buf two = of_two_frames(&s, image, &n);
	CLEANUP(fd_closep) int fd = forge_memfile(two.p, two.n);
	CLEANUP(fd_closep) int old = forge_memfile(space, OLD_N);
	for (uint64_t first = 0; first < n; first += 8 * 4096)
		FAULT_EACH(k, FAULT_READ) {
			struct sink sink = { .want = image };
			struct err e = { 0 };

			if (!apply_fds(fd, old, first, &sink, &e))
				assert_int_equal(e.code, E_SYSTEM);
		}
	FAULT_EACH(k, FAULT_READ) {
		struct err e = { 0 };

		if (!apply_to(room, &from_old, s.plain, &e))
			assert_int_equal(e.code, E_SYSTEM);
	}
	FAULT_EACH(k, FAULT_READ) {
		struct delta_info info;
		struct err e = { 0 };

		if (!delta_look(&info, fd, &e))
			assert_int_equal(e.code, E_SYSTEM);
	}
}

static void very_many_pieces_come_out(void **state UNUSED)
{
	static const struct op op = { .kind = OP_COPY, .n = 100, .from = 0 };
	static struct forge_piece p[150];
	static uint8_t image[15000];
	struct forge f;
	struct err e;

	for (unsigned i = 0; i < 150; i++) {
		p[i] = (struct forge_piece){ .piece = { .size = 100 }, .ops = &op, .n_ops = 1 };
		memcpy(image + i * 100, space, 100);
	}
	forge_init(&f, space, SPACE_N, OLD_N, image, sizeof(image), 12);
	forge_frame(&f, p, 150);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	assert_ok(apply_to(space, &b, image, &e), &e);
	FAULT_EACH(n, FAULT_ALLOC) {
		if (!apply_to(space, &b, image, &e))
			assert_int_equal(e.code, E_NOMEM);
	}
}

/* More small streams than are kept unpacked, read again and again. */
static void more_old_streams_than_are_kept_are_read(void **state UNUSED)
{
	enum { STREAMS = 70 };
	static struct stream_pair s;
	static struct stream table[STREAMS];
	static struct op ops[2 * STREAMS];
	static uint8_t room[200 * 1024 + STREAMS * PLAIN_N], image[2 * STREAMS * 100];
	size_t at = 0, base;
	struct forge f;
	struct err e;

	make_stream(&s);
	for (unsigned i = 0; i < STREAMS; i++, at += s.packed_n) {
		memcpy(room + at, s.packed, s.packed_n);
		table[i] = (struct stream){ .offset = at,
					    .size = (uint32_t)s.packed_n,
					    .plain_size = PLAIN_N,
					    .transform = TRANSFORM_DEFLATE };
	}
	assert_true(at < 190 * 1024);
	base = (at + 4095) / 4096 * 4096;
	for (unsigned i = 0; i < 2 * STREAMS; i++) {
		memcpy(room + base + i % STREAMS * PLAIN_N, s.plain, PLAIN_N);
		ops[i] = (struct op){ .kind = OP_COPY,
				      .n = 100,
				      .from = base + i % STREAMS * PLAIN_N + 7 };
		memcpy(image + i * 100, s.plain + 7, 100);
	}
	const struct forge_piece p = { .piece = { .size = sizeof(image) },
				       .ops = ops,
				       .n_ops = ARRAY_SIZE(ops) };
	forge_init(&f, room, base + STREAMS * PLAIN_N, at, image, sizeof(image), 12);
	forge_table(&f, table, STREAMS, NULL, 0);
	forge_frame(&f, &p, 1);
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(room, at);
	struct sink sink = { .want = image };
	assert_ok(apply_fds(fd, old, 0, &sink, &e), &e);
	assert_int_equal(sink.next, sizeof(image));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_commands_of_each_kind_come_out),
		cmocka_unit_test(nothing_leaves_before_the_sum_of_all_was_right),
		cmocka_unit_test(who_verifies_by_himself_gets_all_that_is_right),
		cmocka_unit_test(how_far_making_an_image_for_its_hashes_is_gets_told),
		cmocka_unit_test(segments_are_held_against_what_the_sum_was_made_of),
		cmocka_unit_test(commands_that_go_on_as_before_cost_hardly_anything),
		cmocka_unit_test(going_on_reads_the_frame_and_what_its_adds_compare_with),
		cmocka_unit_test(cve_2014_9862_commands_that_read_or_write_outside_are_refused),
		cmocka_unit_test(another_number_of_commands_than_announced_is_refused),
		cmocka_unit_test(a_piece_longer_than_its_frame_is_refused),
		cmocka_unit_test(wrong_bytes_are_never_emitted),
		cmocka_unit_test(output_that_nobody_takes_ends_the_work),
		cmocka_unit_test(a_stream_is_packed_again),
		cmocka_unit_test(a_stream_that_packs_to_another_size_is_refused),
		cmocka_unit_test(impossible_streams_are_refused),
		cmocka_unit_test(a_stream_of_no_packed_bytes_or_too_many_is_refused),
		cmocka_unit_test(recipes_that_are_too_long_or_nonsense_are_refused),
		cmocka_unit_test(old_streams_are_read_as_their_plain_bytes),
		cmocka_unit_test(old_streams_outside_the_image_are_refused),
		cmocka_unit_test(inserts_in_bulk_that_do_not_unpack_are_refused),
		cmocka_unit_test(long_inserts_come_out_in_bulk_and_one_by_one),
		cmocka_unit_test(bulk_that_comes_out_wrong_or_that_nobody_takes_ends_the_work),
		cmocka_unit_test(reads_that_fail_in_bulk_are_told),
		cmocka_unit_test(files_that_are_not_there_are_told),
		cmocka_unit_test(what_is_no_delta_or_for_another_image_is_refused),
		cmocka_unit_test(files_that_shrink_meanwhile_are_told),
		cmocka_unit_test(coded_bytes_that_end_early_are_told),
		cmocka_unit_test(bytes_behind_the_last_coded_one_are_told),
		cmocka_unit_test(memory_that_runs_out_anywhere_is_told),
		cmocka_unit_test(work_goes_on_at_any_segment),
		cmocka_unit_test(a_stream_before_what_is_wanted_is_only_decoded),
		TMPDIR_TEST(a_stop_at_every_write_is_gone_on_from),
		cmocka_unit_test(going_on_reads_what_is_left_and_little_more),
		cmocka_unit_test(segments_that_are_there_are_known),
		cmocka_unit_test(reads_that_fail_anywhere_are_told),
		cmocka_unit_test(very_many_pieces_come_out),
		cmocka_unit_test(more_old_streams_than_are_kept_are_read),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
