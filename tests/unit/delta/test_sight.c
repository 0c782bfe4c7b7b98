/* Which streams of two images are opened, and what becomes of the old ones. */
#include "tests/support/unit.h"

#include "base/io.h"
#include "delta/sight.h"
#include "delta/delta.h"
#include "delta/prune.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

enum { TEXT_N = 30000, BEFORE = 5000, IMAGE_MAX = 1 << 20 };

static uint8_t text[TEXT_N], changed[TEXT_N], other[TEXT_N];

static int setup(void **state UNUSED)
{
	uint32_t seed = 9;

	for (unsigned i = 0; i < TEXT_N; i++) {
		seed = seed * 1664525 + 1013904223;
		text[i] = changed[i] = (uint8_t)('a' + (seed >> 24) % 9);
		other[i] = (uint8_t)('a' + (seed >> 16) % 9);
	}
	memcpy(changed + 7000, "CHANGED", 7);
	return 0;
}

struct images {
	struct buf old, new;
	int old_fd, new_fd;
	struct sight sight;
};

static void images_start(struct images *i)
{
	*i = (struct images){ .old = BUF_INIT(IMAGE_MAX),
			      .new = BUF_INIT(IMAGE_MAX),
			      .old_fd = -1,
			      .new_fd = -1,
			      .sight = { .scratch_fd = -1 } };
}

static void images_done(struct images *i)
{
	sight_done(&i->sight);
	buf_done(&i->old);
	buf_done(&i->new);
	fd_closep(&i->old_fd);
	fd_closep(&i->new_fd);
}

/* A .gz of the text (bits 31), or a stream without a header (-15), behind bytes that are no stream. */
static void add(struct buf *image, const uint8_t *p, int bits)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)p, .avail_in = TEXT_N };
	struct err e;
	uint8_t *to;

	assert_ok(buf_reserve(image, BEFORE + 2 * TEXT_N, &to, &e), &e);
	for (unsigned i = 0; i < BEFORE; i++)
		to[i] = (uint8_t)(i * i >> 5 | 1);
	z.next_out = to + BEFORE;
	z.avail_out = 2 * TEXT_N;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_commit(image, BEFORE + z.total_out);
	deflateEnd(&z);
}

static int memfile(const struct buf *b)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct err e;

	assert_true(fd >= 0);
	assert_ok(pwrite_all(fd, b->p, b->n, 0, &e), &e);
	return fd;
}

static struct delta_job job_of(struct images *i)
{
	if (i->old_fd < 0) {
		i->old_fd = memfile(&i->old);
		i->new_fd = memfile(&i->new);
	}
	return (struct delta_job){ .old_fd = i->old_fd,
				   .new_fd = i->new_fd,
				   .out_fd = -1,
				   .scratch_fd = -1,
				   .threads = 2 };
}

static void look(struct images *i)
{
	struct delta_job job = job_of(i);
	struct err e;

	assert_ok(sight_init(&i->sight, &job, true, &e), &e);
}

static bool prune(struct sight *s, struct op *ops, size_t n, struct err *e)
{
	CLEANUP(prune_done) struct prune p = { 0 };

	if (!prune_init(&p, s, e))
		return false;
	prune_use(&p, ops, n);
	prune_streams(&p);
	prune_move(&p, ops, n);
	return true;
}

static unsigned streams_new(const struct sight *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_pieces; i++)
		n += s->pieces[i].piece.transform != 0;
	return n;
}

static void a_new_stream_is_opened_beside_the_old_one(void **state UNUSED)
{
	struct images i;

	images_start(&i);
	add(&i.old, text, 31);
	add(&i.new, changed, 31);
	look(&i);
	const struct sight *s = &i.sight;
	assert_int_equal(s->n_pieces, 2); /* its checksum is part of it */
	assert_int_equal(s->pieces[0].piece.size, BEFORE + 10);
	assert_memory_equal(sight_new(s, 0), i.new.p, BEFORE + 10);
	assert_int_equal(s->pieces[1].piece.plain_size, TEXT_N);
	assert_memory_equal(sight_new(s, 1), changed, TEXT_N);
	assert_int_equal(s->pieces[1].recipe.n, 2);
	assert_int_equal(s->space.streams.n, 1);
	assert_int_equal(s->pieces[1].guess, s->space.starts[0]);
	assert_memory_equal(s->old, i.old.p, i.old.n);
	assert_memory_equal(s->old + s->space.starts[0], text, TEXT_N);
	images_done(&i);
}

static void no_stream_is_opened_when_none_is_asked_for(void **state UNUSED)
{
	struct images i;
	struct err e;

	images_start(&i);
	add(&i.old, text, 31);
	add(&i.new, changed, 31);
	struct delta_job job = job_of(&i);
	assert_ok(sight_init(&i.sight, &job, false, &e), &e);
	assert_int_equal(i.sight.n_pieces, 1);
	assert_int_equal(streams_new(&i.sight), 0);
	assert_int_equal(i.sight.space.streams.n, 0);
	images_done(&i);
}

static void what_the_old_image_has_packed_like_this_stays_raw(void **state UNUSED)
{
	struct images i;

	images_start(&i);
	add(&i.old, text, 31);
	add(&i.old, other, 31);
	add(&i.new, other, 31);
	look(&i);
	assert_int_equal(streams_new(&i.sight), 0);
	assert_int_equal(i.sight.space.streams.n, 0); /* so nothing is opened there either */
	images_done(&i);
}

static void streams_that_stayed_help_those_that_changed(void **state UNUSED)
{
	struct images i;

	images_start(&i);
	add(&i.old, text, 31);
	add(&i.new, text, 31);
	add(&i.new, changed, 31);
	look(&i);
	assert_int_equal(streams_new(&i.sight), 1);
	assert_int_equal(i.sight.space.streams.n, 1);
	images_done(&i);
}

/* A stream without a header is of use only beside one that differs from it. */
static void faint_streams_are_opened_for_faint_ones(void **state UNUSED)
{
	for (unsigned is_faint = 0; is_faint < 2; is_faint++) {
		struct images i;

		images_start(&i);
		add(&i.old, text, 31);
		add(&i.old, other, -15);
		add(&i.new, changed, is_faint ? -15 : 31);
		look(&i);
		assert_int_equal(streams_new(&i.sight), 1);
		assert_int_equal(i.sight.space.streams.n, 1 + is_faint);
		images_done(&i);
	}
}

static void images_without_anything_are_looked_at(void **state UNUSED)
{
	for (unsigned k = 0; k < 4; k++) {
		struct images i;

		images_start(&i);
		if (k & 1)
			add(&i.old, text, 31);
		if (k & 2)
			add(&i.new, text, 31);
		look(&i);
		assert_int_equal(i.sight.old_size, i.old.n);
		assert_int_equal(i.sight.new_size, i.new.n);
		assert_int_equal(i.sight.n_pieces, k & 2 ? k == 2 ? 2 : 1 : 0);
		images_done(&i);
	}
}

static bool after(void *ctx, uint64_t done UNUSED, uint64_t total UNUSED)
{
	unsigned *left = ctx;

	return (*left)-- > 0;
}

static void looking_can_be_cancelled_anywhere(void **state UNUSED)
{
	unsigned n = 0;
	bool ok = false;
	struct err e;

	for (; !ok; n++) {
		struct images i;
		unsigned left = n;

		images_start(&i);
		add(&i.old, text, 31);
		add(&i.new, changed, 31);
		struct delta_job job = job_of(&i);
		job.threads = 1;
		job.progress = after;
		job.ctx = &left;
		ok = sight_init(&i.sight, &job, true, &e);
		if (!ok)
			assert_int_equal(e.code, E_CANCELLED);
		images_done(&i);
	}
	assert_true(n > 4);
}

static void old_streams_that_no_command_uses_are_removed(void **state UNUSED)
{
	struct images i;
	struct err e;

	images_start(&i);
	add(&i.old, other, 31);
	add(&i.old, text, 31);
	add(&i.new, changed, 31);
	look(&i);
	struct sight *s = &i.sight;
	assert_int_equal(s->space.streams.n, 2);
	uint64_t base = s->space.base, second = s->space.starts[1];
	struct op ops[] = {
		{ .kind = OP_COPY, .from = 100, .n = 50 },
		{ .kind = OP_ADD, .from = second + 7, .n = 1000 },
		{ .kind = OP_INSERT, .n = 5 },
		{ .kind = OP_COPY, .from = second, .n = TEXT_N },
	};
	assert_ok(prune(s, ops, ARRAY_SIZE(ops), &e), &e);
	assert_int_equal(s->space.streams.n, 1);
	assert_int_equal(s->space.starts[0], base);
	assert_int_equal(s->space.end, base + TEXT_N);
	assert_int_equal(ops[0].from, 100);
	assert_int_equal(ops[1].from, base + 7);
	assert_int_equal(ops[2].from, 0);
	assert_int_equal(ops[3].from, base);
	assert_memory_equal(s->old + base, text, TEXT_N);
	assert_ok(prune(s, ops, 1, &e), &e);
	assert_int_equal(s->space.streams.n, 0);
	assert_int_equal(s->space.end, base);
	images_done(&i);
}

static void commands_across_streams_keep_them_together(void **state UNUSED)
{
	struct images i;
	struct err e;

	images_start(&i);
	add(&i.old, other, 31);
	add(&i.old, text, 31);
	add(&i.new, changed, 31);
	look(&i);
	struct sight *s = &i.sight;
	struct op ops[] = {
		{ .kind = OP_ADD, .from = s->space.base - 4096, .n = 4096 + TEXT_N + 10 },
	};
	uint64_t from = ops[0].from;
	assert_ok(prune(s, ops, 1, &e), &e);
	assert_int_equal(s->space.streams.n, 2);
	assert_int_equal(ops[0].from, from);
	images_done(&i);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	struct images i;

	images_start(&i);
	add(&i.old, text, 31);
	add(&i.new, changed, 31);
	struct delta_job job = job_of(&i);
	job.threads = 1;
	FAULT_EACH(n, FAULT_ALLOC) {
		struct sight s;
		struct err e = { 0 };

		if (!sight_init(&s, &job, true, &e))
			assert_int_equal(e.code, E_NOMEM);
		sight_done(&s);
	}
	images_done(&i);
}

/* MiB of mapped files that are in memory. */
static unsigned mapped_mib(void)
{
	char text_of[128] = "";
	unsigned long all = 0, there = 0, shared = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_non_null(fgets(text_of, sizeof(text_of), f));
	fclose(f);
	assert_int_equal(sscanf(text_of, "%lu %lu %lu", &all, &there, &shared), 3);
	return (unsigned)(shared * (unsigned long)sysconf(_SC_PAGESIZE) >> 20);
}

/* A file of streams far from each other, as they lie in a file system. */
static int scattered(uint8_t mark)
{
	enum { STREAMS = 600, EVERY = 128 << 10 };
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct err e;

	assert_true(fd >= 0 && ftruncate(fd, STREAMS * EVERY) == 0);
	for (unsigned i = 0; i < STREAMS; i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(IMAGE_MAX);

		text[100] = (uint8_t)('a' + i % 26);
		text[101] = (uint8_t)('a' + i / 26);
		text[102] = mark;
		add(&b, text, 31);
		assert_ok(pwrite_all(fd, b.p, b.n, (uint64_t)i * EVERY + EVERY / 2, &e), &e);
	}
	return fd;
}

/* The kernel maps 64 KiB around each page that is read. */
static void what_lies_around_scattered_streams_is_given_back(void **state UNUSED)
{
	struct images i;

	images_start(&i);
	i.old_fd = scattered('o');
	i.new_fd = scattered('n');
	unsigned before = mapped_mib();
	look(&i);
	assert_int_equal(streams_new(&i.sight), 600);
	assert_true(mapped_mib() < before + 10);
	/* All but the first move down: 17 MiB. */
	struct op all = { .kind = OP_COPY,
			  .from = i.sight.space.starts[1],
			  .n = (uint32_t)(i.sight.space.end - i.sight.space.starts[1]) };
	struct err e;
	assert_ok(prune(&i.sight, &all, 1, &e), &e);
	assert_int_equal(i.sight.space.streams.n, 599);
	assert_true(mapped_mib() < before + 10);
	images_done(&i);
	setup(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_stream_is_opened_beside_the_old_one),
		cmocka_unit_test(no_stream_is_opened_when_none_is_asked_for),
		cmocka_unit_test(what_the_old_image_has_packed_like_this_stays_raw),
		cmocka_unit_test(streams_that_stayed_help_those_that_changed),
		cmocka_unit_test(faint_streams_are_opened_for_faint_ones),
		cmocka_unit_test(images_without_anything_are_looked_at),
		cmocka_unit_test(looking_can_be_cancelled_anywhere),
		cmocka_unit_test(old_streams_that_no_command_uses_are_removed),
		cmocka_unit_test(commands_across_streams_keep_them_together),
		cmocka_unit_test(memory_that_runs_out_is_told),
		cmocka_unit_test(what_lies_around_scattered_streams_is_given_back),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
