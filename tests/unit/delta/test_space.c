/* The old space: an image, zeros, and plain bytes of streams, read from any place in any order. */
#include "tests/support/unit.h"
#include "tests/support/forge.h"
#include "base/io.h"

#include <unistd.h>
#include <zlib.h>

enum {
	PLAIN = 5 * SPACE_CHUNK + 4321, /* of one stream */
	STREAMS = 2,
	GAP = 100, /* image bytes around the streams */
	IMAGE_MAX = 4 << 20,
};

static uint8_t image[IMAGE_MAX], *plain[STREAMS];
static size_t image_n;
static struct stream stream[STREAMS];

/* Lines that tell where they are. */
static void write_lines(uint8_t *p, size_t n, unsigned step)
{
	char line[32];
	size_t k = 0;

	for (size_t i = 0; i < n; k = (k + 1) % 16, i++) {
		if (k == 0)
			snprintf(line, sizeof(line), "%14zx\n ", i * step);
		p[i] = (uint8_t)line[k];
	}
}

static int setup(void **state UNUSED)
{
	memset(image, 'x', sizeof(image));
	image_n = GAP;
	for (unsigned i = 0; i < STREAMS; i++) {
		z_stream z = { .avail_in = PLAIN,
			       .next_out = image + image_n,
			       .avail_out = (uInt)(IMAGE_MAX - image_n - GAP) };

		plain[i] = malloc(PLAIN);
		assert_non_null(plain[i]);
		write_lines(plain[i], PLAIN, 3 + i);
		z.next_in = plain[i];
		assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, -15, 8, 0), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		stream[i] = (struct stream){ .offset = image_n,
					     .size = (uint32_t)z.total_out,
					     .plain_size = PLAIN,
					     .transform = TRANSFORM_DEFLATE };
		image_n += z.total_out + GAP;
		deflateEnd(&z);
	}
	return 0;
}

static int teardown(void **state UNUSED)
{
	for (unsigned i = 0; i < STREAMS; i++)
		free(plain[i]);
	return 0;
}

/* The two streams, again and again. */
static bool open_space(struct space *s, int fd, unsigned streams, struct err *e)
{
	CLEANUP(streams_done) struct streams t = { 0 };

	for (unsigned i = 0; i < streams; i++)
		if (!streams_add(&t, &stream[i % STREAMS], e))
			return false;
	return space_init(s, fd, image_n, &t, e);
}

static bool check(struct space *s, unsigned i, uint32_t at, uint32_t n, struct err *e)
{
	uint8_t p[6000];
	assert_true(n <= sizeof(p));

	if (!space_read(s, s->starts[i] + at, p, n, e))
		return false;
	assert_memory_equal(p, plain[i % STREAMS] + at, n);
	assert_true(s->cached_bytes <= LIMIT_DELTA_CACHE);
	return true;
}

static void bytes_come_from_image_zeros_and_streams(void **state UNUSED)
{
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);
	uint8_t *p = malloc(2 * SPACE_CHUNK);
	struct space s = { 0 };
	struct err e;

	assert_ok(open_space(&s, fd, STREAMS, &e), &e);
	assert_int_equal(s.base % 4096, 0);
	assert_int_equal(s.end, s.base + (uint64_t)STREAMS * PLAIN);
	uint64_t from = image_n - 50, zeros = s.base - image_n;
	size_t n = (size_t)(s.base - from) + 1000;
	assert_ok(space_read(&s, from, p, n, &e), &e);
	assert_memory_equal(p, image + from, 50);
	for (uint64_t i = 0; i < zeros; i++)
		assert_int_equal(p[50 + i], 0);
	assert_memory_equal(p + 50 + zeros, plain[0], 1000);
	/* From one stream to the next, and behind all. */
	assert_ok(space_read(&s, s.starts[1] - 1000, p, SPACE_CHUNK + 2000, &e), &e);
	assert_memory_equal(p, plain[0] + PLAIN - 1000, 1000);
	assert_memory_equal(p + 1000, plain[1], SPACE_CHUNK + 1000);
	assert_ok(space_read(&s, s.end - 100, p, 300, &e), &e);
	assert_memory_equal(p, plain[1] + PLAIN - 100, 100);
	for (unsigned i = 100; i < 300; i++)
		assert_int_equal(p[i], 0);
	assert_ok(space_read(&s, UINT64_MAX - 100, p, 100, &e), &e);
	space_done(&s);
	free(p);
}

static void a_space_in_memory_reads_alike(void **state UNUSED)
{
	static uint8_t map[8192], p[3 * 8192];
	struct space s = { .size = 5000, .base = 8192, .end = 8192, .map = map, .fd = -1 };
	struct err e;

	memset(map, 7, 5000);
	memset(p, 1, sizeof(p));
	assert_ok(space_read(&s, 0, p, sizeof(p), &e), &e);
	assert_memory_equal(p, map, sizeof(map));
	for (size_t i = sizeof(map); i < sizeof(p); i++)
		assert_int_equal(p[i], 0);
	s.map = NULL;
	space_done(&s);
}

/* Where unpacking can go on is remembered for two streams, and only now and then for thirty. */
static void streams_are_read_in_any_order(void **state UNUSED)
{
	static const uint32_t chunks[] = { 3, 1, 4, 0, 5, 2, 2, 0, 3 };
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);

	for (unsigned streams = STREAMS; streams <= 30; streams += 28) {
		struct space s = { 0 };
		struct err e;

		assert_ok(open_space(&s, fd, streams, &e), &e);
		assert_int_equal(s.point_step, streams * 5 / SPACE_POINTS + 1);
		for (unsigned i = 0; i < ARRAY_SIZE(chunks) * 2; i++)
			assert_ok(check(&s, i * 7 % streams,
					chunks[i % ARRAY_SIZE(chunks)] * SPACE_CHUNK + i * 11,
					3000, &e),
				  &e);
		for (unsigned i = 0; i < streams; i++)
			assert_ok(check(&s, i, 2 * SPACE_CHUNK - 100, 200, &e), &e);
		space_done(&s);
	}
}

/* Memory lent to others is taken from what is kept, and reading goes on with the rest. */
static void memory_that_is_lent_is_not_kept(void **state UNUSED)
{
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);
	struct space s = { 0 };
	struct err e;

	assert_ok(open_space(&s, fd, STREAMS, &e), &e);
	space_lend(&s, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_ok(check(&s, 0, i * SPACE_CHUNK, 100, &e), &e);
	assert_true(s.cached_bytes > 3 * SPACE_CHUNK);
	space_lend(&s, LIMIT_DELTA_KEPT);
	assert_true(s.cached_bytes > SPACE_CHUNK &&
		    s.cached_bytes <= LIMIT_DELTA_CACHE - LIMIT_DELTA_KEPT);
	for (unsigned i = 0; i < 6; i++) {
		assert_ok(check(&s, i & 1, i / 2 * SPACE_CHUNK, 100, &e), &e);
		assert_true(s.cached_bytes <= LIMIT_DELTA_CACHE - LIMIT_DELTA_KEPT);
	}
	space_done(&s);
}

/* What was begun when memory ran out neither leaks nor misleads the next read. */
static void memory_that_runs_out_is_told_and_reading_goes_on(void **state UNUSED)
{
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);

	FAULT_EACH(n, FAULT_ALLOC) {
		struct space s = { 0 };
		struct err e = { 0 };
		bool opened = open_space(&s, fd, STREAMS, &e);

		if (!opened || !check(&s, 0, 2 * SPACE_CHUNK, 100, &e) ||
		    !check(&s, 0, 0, 100, &e) || !check(&s, 1, SPACE_CHUNK, 100, &e))
			assert_int_equal(e.code, E_NOMEM);
		fault_disarm();
		if (opened) {
			assert_ok(check(&s, 0, 3 * SPACE_CHUNK, 100, &e), &e);
			assert_ok(check(&s, 0, SPACE_CHUNK, 100, &e), &e);
			assert_ok(check(&s, 1, 4 * SPACE_CHUNK, 100, &e), &e);
		}
		space_done(&s);
	}
}

static void reads_that_fail_are_told_and_reading_goes_on(void **state UNUSED)
{
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);

	FAULT_EACH(n, FAULT_READ) {
		struct space s = { 0 };
		uint8_t p[100];
		struct err e = { 0 };

		assert_ok(open_space(&s, fd, STREAMS, &e), &e);
		if (!space_read(&s, 0, p, sizeof(p), &e) || !check(&s, 1, 10, 100, &e))
			assert_int_equal(e.code, E_SYSTEM);
		fault_disarm();
		assert_ok(check(&s, 1, 10, 100, &e), &e);
		space_done(&s);
	}
}

/* Sizes that lie in either direction, and bits that changed: told wherever one reads behind them. */
static void lying_and_damaged_streams_are_refused(void **state UNUSED)
{
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);
	uint8_t b;
	struct err e;

	for (int more = -1; more <= 1; more += 2) {
		for (unsigned which = 0; which < 2; which++) {
			struct space s = { 0 };

			assert_ok(open_space(&s, fd, STREAMS, &e), &e);
			if (which)
				s.streams.v[1].size += (uint32_t)more;
			else
				s.streams.v[1].plain_size += (uint32_t)more;
			assert_fails(space_read(&s, s.starts[1] + PLAIN - 2, &b, 1, &e), &e,
				     E_CORRUPT);
			assert_non_null(strstr(e.text, "old stream 1"));
			space_done(&s);
		}
	}
	struct space s = { 0 };
	uint8_t cut[1000];
	memset(cut, 0xff, sizeof(cut));
	assert_ok(pwrite_all(fd, cut, sizeof(cut), stream[0].offset + stream[0].size / 3, &e),
		  &e);
	assert_ok(open_space(&s, fd, STREAMS, &e), &e);
	assert_ok(check(&s, 0, 10, 100, &e), &e);
	assert_fails(space_read(&s, s.starts[0] + PLAIN - 2, &b, 1, &e), &e, E_CORRUPT);
	assert_ok(check(&s, 1, PLAIN - 200, 100, &e), &e);
	space_done(&s);
}

static void unpacking_takes_no_more_than_its_steps(void **state UNUSED)
{
	static const uint64_t too_few[] = { 0, SPACE_STEPS_BEGIN - 1, SPACE_STEPS_BEGIN,
					    SPACE_STEPS_BEGIN + SPACE_CHUNK,
					    SPACE_STEPS_BEGIN + SPACE_CHUNK + 40000 };
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);
	struct space s = { 0 };
	uint8_t b;
	struct err e;

	for (unsigned estimate = 0; estimate < 2; estimate++) {
		assert_ok(open_space(&s, fd, STREAMS, &e), &e);
		assert_int_equal(s.steps_left, space_steps(0));
		s.is_estimate = estimate;
		for (unsigned i = 0; i < ARRAY_SIZE(too_few); i++) {
			s.steps_left = too_few[i];
			assert_fails(estimate ? space_visit(&s, s.starts[0], 1, &e)
					      : space_read(&s, s.starts[0], &b, 1, &e),
				     &e, E_TOO_BIG);
			assert_true(s.steps_left <= too_few[i]);
		}
		space_done(&s);
	}
	/* What is kept costs nothing. */
	assert_ok(open_space(&s, fd, STREAMS, &e), &e);
	assert_ok(check(&s, 0, 10, 100, &e), &e);
	assert_true(s.steps_left < space_steps(0) - SPACE_CHUNK);
	s.steps_left = 0;
	assert_ok(check(&s, 0, 20, 100, &e), &e);
	assert_fails(space_read(&s, s.starts[1], &b, 1, &e), &e, E_TOO_BIG);
	space_done(&s);
}

/* Both alike, in any order, with restarts. */
static void an_estimate_is_what_reading_takes_and_a_little(void **state UNUSED)
{
	static const uint32_t chunks[] = { 3, 1, 4, 0, 5, 2, 2, 0, 3, 5, 1, 4 };
	CLEANUP(fd_closep) int fd = forge_memfile(image, image_n);
	struct space real = { 0 }, estimate = { 0 };
	struct err e;

	assert_ok(open_space(&real, fd, STREAMS, &e), &e);
	assert_ok(open_space(&estimate, -1, STREAMS, &e), &e);
	estimate.is_estimate = true;
	for (unsigned i = 0; i < 3 * ARRAY_SIZE(chunks); i++) {
		uint32_t at = chunks[i % ARRAY_SIZE(chunks)] * SPACE_CHUNK + 4000;

		assert_ok(check(&real, i % STREAMS, at, 300, &e), &e);
		assert_ok(space_visit(&estimate, real.starts[i % STREAMS] + at, 300, &e), &e);
		uint64_t took = space_steps(0) - real.steps_left;
		uint64_t reckoned = space_steps(0) - estimate.steps_left;
		assert_true(took <= reckoned && reckoned < 2 * took);
	}
	/* The image itself costs nothing, and behind the end there is nothing. */
	uint64_t left = estimate.steps_left;
	assert_ok(space_visit(&estimate, 0, image_n, &e), &e);
	assert_ok(space_visit(&estimate, estimate.end, 1000, &e), &e);
	assert_int_equal(estimate.steps_left, left);
	assert_ok(space_visit(&estimate, 0, estimate.end + 1000, &e), &e);
	assert_true(estimate.steps_left < left - PLAIN);
	space_done(&real);
	space_done(&estimate);
}

/* Its packed bytes, which are fewer than are read at a time, are reckoned once. */
static void a_short_stream_is_estimated_by_all_of_its_bytes(void **state UNUSED)
{
	enum { N = 5000 };
	CLEANUP(streams_done) struct streams t = { 0 };
	struct space s = { 0 };
	uint8_t packed[1000];
	z_stream z = { .next_in = plain[0],
		       .avail_in = N,
		       .next_out = packed,
		       .avail_out = sizeof(packed) };
	struct err e;

	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, -15, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	const struct stream v = { .size = (uint32_t)z.total_out,
				  .plain_size = N,
				  .transform = TRANSFORM_DEFLATE };
	deflateEnd(&z);
	assert_ok(streams_add(&t, &v, &e), &e);
	assert_ok(space_init(&s, -1, v.size, &t, &e), &e);
	s.is_estimate = true;
	assert_ok(space_visit(&s, s.starts[0], N, &e), &e);
	assert_int_equal(space_steps(0) - s.steps_left, SPACE_STEPS_BEGIN + N +
								SPACE_STEPS_READ +
								v.size * SPACE_STEPS_PACKED);
	space_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_from_image_zeros_and_streams),
		cmocka_unit_test(a_space_in_memory_reads_alike),
		cmocka_unit_test(streams_are_read_in_any_order),
		cmocka_unit_test(memory_that_is_lent_is_not_kept),
		cmocka_unit_test(memory_that_runs_out_is_told_and_reading_goes_on),
		cmocka_unit_test(reads_that_fail_are_told_and_reading_goes_on),
		cmocka_unit_test(lying_and_damaged_streams_are_refused),
		cmocka_unit_test(unpacking_takes_no_more_than_its_steps),
		cmocka_unit_test(an_estimate_is_what_reading_takes_and_a_little),
		cmocka_unit_test(a_short_stream_is_estimated_by_all_of_its_bytes),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
