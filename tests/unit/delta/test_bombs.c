/* Deltas that would take too long or too much memory, and those that take as much as they may. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"

#include "base/io.h"
#include "base/sandbox.h"
#include "base/sha256.h"
#include "delta/space.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

struct sink {
	uint64_t next, stop; /* stop: refuses what goes on behind it; 0: nothing */
};

static bool take_zeros(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct sink *s = ctx;

	assert_int_equal(offset, s->next);
	assert_int_equal(p[0], 0);
	assert_memory_equal(p, p + 1, n - 1);
	s->next += n;
	if (s->stop && s->next >= s->stop)
		return err_set(e, E_CANCELLED, "enough");
	return true;
}

/* ---- work ---- */

static bool apply_thrash(uint64_t new_n, unsigned segment_log, struct sink *s, struct err *e)
{
	enum { MEMORY = 28 << 20 };
	uint8_t *zeros = calloc(1, new_n);
	CLEANUP(delta_freep) struct delta *d = NULL;
	CLEANUP(buf_done) struct buf image = { 0 };

	assert_non_null(zeros);
	CLEANUP(buf_done)
	struct buf b = forge_thrash(&image, FORGE_THRASH_OLD, zeros, new_n, segment_log);
	free(zeros);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile(image.p, image.n);
	usage_start();
	bool ok = delta_open(&d, fd, old, e) && delta_apply(d, 0, take_zeros, s, e);
	assert_true(usage_heap_peak() < MEMORY);
	return ok;
}

static void old_streams_that_are_thrown_away_and_wanted_again_end_the_work(void **state UNUSED)
{
	struct sink s = { 0 };
	struct err e;

	assert_fails(apply_thrash(FORGE_THRASH_BYTES, 12, &s, &e), &e, E_TOO_BIG);
	assert_true(s.next > FORGE_THRASH_BYTES / 2 && s.next < FORGE_THRASH_BYTES);
}

static void a_larger_image_may_take_more(void **state UNUSED)
{
	enum { LARGE = 128 << 20 };
	struct sink s = { 0 };
	struct err e;

	assert_ok(apply_thrash(LARGE, 21, &s, &e), &e);
	assert_int_equal(s.next, LARGE);
}

/* ---- memory ---- */

/* Raw deflate of n zeros. */
static size_t pack_zeros(uint8_t *to, size_t room, size_t n)
{
	static uint8_t zeros[SPACE_CHUNK];
	z_stream z = {
		.next_in = zeros, .avail_in = (uInt)n, .next_out = to, .avail_out = (uInt)room
	};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

/* What takes most memory, at the same time: unpacked old streams, as many commands as a frame may have,
 * bytes in bulk. */
enum {
	MOST_STREAMS = 4,
	MOST_OLD = 1 << 20,
	MOST_SPACE = MOST_OLD + MOST_STREAMS * SPACE_CHUNK,
	MOST_EACH = 16,
	MOST_COPIES = LIMIT_DELTA_OPS - MOST_STREAMS - 1,
	MOST_BULK = LZMA2_DICT + (1 << 20),
	MOST_FRAME = MOST_STREAMS * SPACE_CHUNK + MOST_COPIES * MOST_EACH + MOST_BULK,
	MOST_NEW = 2 * MOST_FRAME, /* the second begins with what the first has unpacked */
};

static uint8_t most_space[MOST_SPACE], most_new[MOST_NEW];

static struct buf make_most(void)
{
	static struct op ops[LIMIT_DELTA_OPS];
	struct stream table[MOST_STREAMS];
	size_t at = MOST_STREAMS * SPACE_CHUNK;
	struct forge f;

	for (unsigned i = 0; i < MOST_STREAMS; i++) {
		uint64_t offset = i * 65536;

		table[i] = (struct stream){
			.offset = offset,
			.size = (uint32_t)pack_zeros(most_space + offset, 65536, SPACE_CHUNK),
			.plain_size = SPACE_CHUNK,
			.transform = TRANSFORM_DEFLATE,
		};
		ops[i] = (struct op){ .kind = OP_COPY,
				      .n = SPACE_CHUNK,
				      .from = MOST_OLD + i * SPACE_CHUNK };
	}
	for (unsigned i = 0; i < MOST_COPIES; i++, at += MOST_EACH) {
		uint64_t from = i * UINT64_C(2654435761) % (MOST_OLD - MOST_EACH);

		ops[MOST_STREAMS + i] =
			(struct op){ .kind = OP_COPY, .n = MOST_EACH, .from = from };
		memcpy(most_new + at, most_space + from, MOST_EACH);
	}
	ops[LIMIT_DELTA_OPS - 1] = (struct op){ .kind = OP_INSERT, .n = MOST_BULK };
	for (uint32_t i = 0, seed = 1; i < MOST_BULK; i++)
		most_new[at + i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	memcpy(most_new + MOST_FRAME, most_new, MOST_FRAME);
	const struct forge_piece p = { .piece = { .size = MOST_FRAME },
				       .ops = ops,
				       .n_ops = LIMIT_DELTA_OPS,
				       .bulk = true };
	forge_init(&f, most_space, MOST_SPACE, MOST_OLD, most_new, MOST_NEW, 21);
	forge_table(&f, table, MOST_STREAMS, NULL, 0);
	forge_frame(&f, &p, 1);
	forge_frame(&f, &p, 1);
	return forge_finish(&f);
}

/* What takes most where there are no streams: more new bytes than are remembered, a part of which is no noise, and
 * as many commands as leave room for that. */
enum {
	NEWS_OPS = LIMIT_DELTA_OPS / 2,
	NEWS_COPIES = NEWS_OPS - 1,
	NEWS_TEXT = 1 << 20,
	NEWS_ALL = CODE_HISTORY_WIDE + NEWS_TEXT,
	NEWS_NEW = NEWS_COPIES * MOST_EACH + NEWS_ALL,
};

static struct buf make_news(void)
{
	static struct op ops[NEWS_OPS];
	size_t at = 0;
	struct forge f;

	for (unsigned i = 0; i < NEWS_COPIES; i++, at += MOST_EACH) {
		uint64_t from = i * UINT64_C(2654435761) % (MOST_OLD - MOST_EACH);

		ops[i] = (struct op){ .kind = OP_COPY, .n = MOST_EACH, .from = from };
		memcpy(most_new + at, most_space + from, MOST_EACH);
	}
	ops[NEWS_COPIES] = (struct op){ .kind = OP_INSERT, .n = NEWS_ALL };
	for (uint32_t i = 0, seed = 1; i < NEWS_ALL; i++) {
		seed = seed * 1664525 + 1013904223;
		most_new[at + i] = (uint8_t)(seed >> 24 & (i < NEWS_TEXT ? 63 : 255));
	}
	const struct forge_piece p = { .piece = { .size = NEWS_NEW },
				       .ops = ops,
				       .n_ops = NEWS_OPS };
	forge_init(&f, most_space, MOST_OLD, MOST_OLD, most_new, NEWS_NEW, 21);
	forge_frame(&f, &p, 1);
	return forge_finish(&f);
}

struct most {
	int delta, old;
	uint64_t next, size;
	long most_kib; /* that it may take */
};

static bool take_most(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct most *m = ctx;

	m->next = offset + n;
	return memcmp(most_new + offset, p, n) == 0 || err_set(e, E_CORRUPT, "wrong bytes");
}

static bool apply_most(void *ctx, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct rusage before, after;
	struct most *m = ctx;

	getrusage(RUSAGE_SELF, &before);
	if (!delta_open(&d, m->delta, m->old, e) || !delta_apply(d, 0, take_most, m, e))
		return false;
	getrusage(RUSAGE_SELF, &after);
	return (after.ru_maxrss - before.ru_maxrss < m->most_kib && m->next == m->size) ||
	       err_set(e, E_TOO_BIG, "%ld KiB", after.ru_maxrss - before.ru_maxrss);
}

static void check_most(struct buf *b, uint64_t size, long most_kib)
{
	static const struct sandbox_rule usage[] = { { .call = "getrusage" }, { 0 } };
	const struct sandbox box = { .profile = SANDBOX_COMPUTE, .rules = usage };
	struct err e;

	CLEANUP(fd_closep) int fd = forge_memfile(b->p, b->n);
	CLEANUP(fd_closep) int old = forge_memfile(most_space, MOST_OLD);
	struct most m = { .delta = fd, .old = old, .size = size, .most_kib = most_kib };
	const int keep[] = { fd, old };
	malloc_trim(0); /* what is free already would not be counted */
	assert_ok(sandbox_call(&box, apply_most, &m, keep, ARRAY_SIZE(keep), &e), &e);
}

static void the_most_that_a_frame_may_hold_stays_within_24_mib(void **state UNUSED)
{
	if (ADDRESS_SANITIZED)
		skip();
	CLEANUP(buf_done) struct buf b = make_most();
	check_most(&b, MOST_NEW, 24 << 10);
}

static void the_most_that_is_new_stays_within_29_mib(void **state UNUSED)
{
	if (ADDRESS_SANITIZED)
		skip();
	CLEANUP(buf_done) struct buf b = make_news();
	check_most(&b, NEWS_NEW, 29 << 10);
}

enum { BOMB_STOP = 64 << 20 };

/* A tebibyte out of a single command: what comes is bounded by who takes it, memory by the limits. */
static void a_bomb_of_a_tebibyte_needs_no_memory(void **state UNUSED)
{
	static const struct op op = { .kind = OP_ZERO, .n = LIMIT_DELTA_IMAGE };
	static uint8_t zeros[4 << 20];
	const struct forge_piece p = { .piece = { .size = LIMIT_DELTA_IMAGE },
				       .ops = &op,
				       .n_ops = 1,
				       .head_only = true };
	uint8_t hash[SHA256_SIZE];
	uint64_t head = 0;
	struct forge f;
	struct err e;
	int status;

	if (ADDRESS_SANITIZED)
		skip();
	forge_init(&f, "old", 3, 3, zeros, 0, 22);
	forge_frame(&f, &p, 1);
	f.format.new_size = LIMIT_DELTA_IMAGE;
	CLEANUP(buf_done) struct buf b = forge_finish(&f);
	sha256(hash, zeros, sizeof(zeros));
	assert_ok(format_peek(&head, b.p, b.n, b.n, &e), &e);
	uint8_t *hashes =
		b.p + head - FORMAT_CHECK - LIMIT_DELTA_IMAGE / sizeof(zeros) * DELTA_HASH_SIZE;
	for (size_t i = 0; i < LIMIT_DELTA_IMAGE / sizeof(zeros); i++)
		memcpy(hashes + i * DELTA_HASH_SIZE, hash, DELTA_HASH_SIZE);
	forge_rehash(&b);
	assert_true(b.n < 5 << 20);
	CLEANUP(fd_closep) int fd = forge_memfile(b.p, b.n);
	CLEANUP(fd_closep) int old = forge_memfile("old", 3);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) { /* in a child, as a peak never falls */
		CLEANUP(delta_freep) struct delta *d = NULL;
		struct rusage before, after;
		struct sink s = { .stop = BOMB_STOP };

		getrusage(RUSAGE_SELF, &before);
		bool ok = delta_open(&d, fd, old, &e) &&
			  !delta_apply(d, 0, take_zeros, &s, &e) && e.code == E_CANCELLED;
		getrusage(RUSAGE_SELF, &after);
		child_exit(!ok || s.next != BOMB_STOP ||
			   after.ru_maxrss - before.ru_maxrss > 36 << 10);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			old_streams_that_are_thrown_away_and_wanted_again_end_the_work),
		cmocka_unit_test(a_larger_image_may_take_more),
		cmocka_unit_test(the_most_that_a_frame_may_hold_stays_within_24_mib),
		cmocka_unit_test(the_most_that_is_new_stays_within_29_mib),
		cmocka_unit_test(a_bomb_of_a_tebibyte_needs_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
