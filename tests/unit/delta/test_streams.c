/* Compressed streams of several chunks: read from any place, packed again while they are decoded. */
#include "tests/support/erofs.h"
#include "tests/support/unit.h"
#include "base/io.h"
#include "delta/delta.h"
#include "delta/inflate.h"
#include "delta/match.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

enum { PLAIN = 5 * SPACE_CHUNK + 4321 };

static uint32_t seed = 7;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Text of which no part is like another for long. */
static uint8_t *text(size_t n)
{
	uint8_t *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n;) {
		uint32_t word = dice(3000) * 2654435761u;

		for (unsigned k = 2 + word % 7; k > 0 && i < n; k--, word >>= 4)
			p[i++] = (uint8_t)('a' + (word & 15));
		if (i < n)
			p[i++] = ' ';
	}
	return p;
}

/* Noise, a gzip member, noise. */
static struct buf image_of(const uint8_t *plain, size_t n, int level)
{
	struct buf out = BUF_INIT(1 << 26);
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)plain, .avail_in = (uInt)n };
	struct err e;
	uint8_t *to;

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_ok(buf_reserve(&out, deflateBound(&z, n) + 10000, &to, &e), &e);
	for (unsigned i = 0; i < 5000; i++)
		to[i] = (uint8_t)dice(256);
	z.next_out = to + 5000;
	z.avail_out = (uInt)deflateBound(&z, n);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	for (unsigned i = 0; i < 5000; i++)
		to[5000 + z.total_out + i] = (uint8_t)dice(256);
	buf_commit(&out, z.total_out + 10000);
	deflateEnd(&z);
	return out;
}

static int memfile(const struct buf *b)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct err e;

	assert_true(fd >= 0);
	assert_ok(pwrite_all(fd, b->p, b->n, 0, &e), &e);
	return fd;
}

/* Two images with the same text at other levels, some of it changed, and the delta. */
struct pair {
	uint8_t *plain;
	struct buf old, new;
	int old_fd, new_fd, delta;
	struct delta_info info;
};

/* From p->plain as edit leaves it. */
static struct pair pair_edited(void (*edit)(uint8_t *plain))
{
	struct pair p = { .plain = text(PLAIN) };
	struct err e;

	p.old = image_of(p.plain, PLAIN, 9);
	edit(p.plain);
	p.new = image_of(p.plain, PLAIN, 6);
	p.old_fd = memfile(&p.old);
	p.new_fd = memfile(&p.new);
	p.delta = memfd_create("delta", MFD_CLOEXEC);
	struct delta_job job = {
		.old_fd = p.old_fd, .new_fd = p.new_fd, .out_fd = p.delta, .scratch_fd = -1
	};
	assert_ok(delta_create(&job, &p.info, &e), &e);
	return p;
}

static void change_some(uint8_t *plain)
{
	for (unsigned i = 0; i < 40; i++)
		plain[dice(PLAIN)] ^= 1;
	memmove(plain + 1000, plain + 3 * SPACE_CHUNK, 5000);
}

static struct pair make_pair(void)
{
	return pair_edited(change_some);
}

static void pair_done(struct pair *p)
{
	close(p->old_fd);
	close(p->new_fd);
	close(p->delta);
	buf_done(&p->old);
	buf_done(&p->new);
	free(p->plain);
}

struct sink {
	const struct buf *want;
	uint64_t next;
};

static bool sink_emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n,
		      struct err *e UNUSED)
{
	struct sink *s = ctx;

	assert_int_equal(offset, s->next);
	assert_memory_equal(p, s->want->p + offset, n);
	s->next += n;
	return true;
}

static void assert_applies(const struct pair *p, uint64_t from)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct sink s = { .want = &p->new, .next = from };
	struct err e;

	assert_ok(delta_open(&d, p->delta, p->old_fd, &e), &e);
	assert_ok(delta_apply(d, from, sink_emit, &s, &e), &e);
	assert_int_equal(s.next, p->new.n);
}

static void a_stream_of_several_chunks_costs_what_changed_and_resumes(void **state UNUSED)
{
	struct pair p = make_pair();

	assert_int_equal(p.info.streams_new, 1);
	assert_int_equal(p.info.streams_old, 1);
	/* The noise, and a little. */
	assert_true(p.info.delta_size < 10000 + 2000);
	for (uint64_t at = 0; at < p.new.n; at += p.info.segment_bytes)
		assert_applies(&p, at);
	pair_done(&p);
}

static void streams_that_take_too_long_to_unpack_are_left_as_they_are(void **state UNUSED)
{
	struct pair p = make_pair();
	struct delta_job job = { .old_fd = p.old_fd,
				 .new_fd = p.new_fd,
				 .out_fd = p.delta,
				 .scratch_fd = -1,
				 .unpack_max = PLAIN };
	uint64_t size = p.info.delta_size;
	struct err e;

	assert_true(p.info.streams_old > 0);
	assert_ok(delta_create(&job, &p.info, &e), &e);
	assert_int_equal(p.info.streams_old, 0);
	assert_int_equal(p.info.streams_new, 0);
	assert_true(p.info.delta_size > size);
	assert_applies(&p, 0);
	pair_done(&p);
}

enum { SCATTERED = 600 };

/* Words from all over the stream, one in each 8 KiB. */
static void scatter(uint8_t *plain)
{
	uint8_t *before = malloc(PLAIN);

	assert_non_null(before);
	memcpy(before, plain, PLAIN);
	for (unsigned i = 0; i < SCATTERED; i++)
		memcpy(plain + i * 8192 + 4000, before + i * 2654435761u % (PLAIN - 48), 48);
	free(before);
}

static void short_copies_that_take_long_to_unpack_are_inserted_instead(void **state UNUSED)
{
	struct pair p = pair_edited(scatter);
	struct delta_info unbounded = p.info;
	struct delta_job job = { .old_fd = p.old_fd,
				 .new_fd = p.new_fd,
				 .out_fd = p.delta,
				 .scratch_fd = -1,
				 /* It takes 4 to read all once. */
				 .unpack_max = UINT64_C(40) * PLAIN };
	struct err e;

	assert_ok(delta_create(&job, &p.info, &e), &e);
	assert_int_equal(p.info.streams_new, 1);
	uint64_t more = p.info.inserted_bytes - unbounded.inserted_bytes;
	assert_true(more > SCATTERED * 48 / 4 && more <= SCATTERED * 64);
	assert_true(p.info.delta_size < unbounded.delta_size + more);
	assert_applies(&p, 0);
	pair_done(&p);
}

static void applying_such_a_stream_stays_within_32_mib(void **state UNUSED)
{
	int status;

	if (ADDRESS_SANITIZED)
		skip();
	struct pair p = make_pair();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rusage before, after;

		getrusage(RUSAGE_SELF, &before);
		assert_applies(&p, 0);
		getrusage(RUSAGE_SELF, &after);
		child_exit(after.ru_maxrss - before.ru_maxrss > 32 << 10);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pair_done(&p);
}

static void space_of(struct space *s, const struct pair *p, uint32_t copies)
{
	struct streams t = { 0 };
	struct stream one = { .offset = 5000 + 10,
			      .size = (uint32_t)p->old.n - 10000 - 10,
			      .plain_size = PLAIN,
			      .transform = TRANSFORM_DEFLATE };
	struct err e;

	for (uint32_t i = 0; i < copies; i++)
		assert_ok(streams_add(&t, &one, &e), &e);
	assert_ok(space_init(s, p->old_fd, p->old.n, &t, &e), &e);
}

static void check_read(struct space *s, const uint8_t *want, uint32_t stream, uint32_t at,
		       uint32_t n)
{
	uint8_t *p = malloc(n + 1);
	struct err e;

	assert_ok(space_read(s, s->starts[stream] + at, p, n, &e), &e);
	assert_memory_equal(p, want + at, n);
	free(p);
}

/* With one stream a point per chunk is kept; with sixty not, and they push each other out. */
static void a_stream_can_be_read_from_any_place_in_any_order(void **state UNUSED)
{
	struct pair p = make_pair();
	uint8_t *plain = malloc(PLAIN);
	struct packed_memory m;
	struct space s;
	struct err e;

	assert_ok(stream_unpack(transforms[TRANSFORM_DEFLATE], plain, PLAIN,
				packed_of(&m, p.old.p + 5010, p.old.n - 10010), &e),
		  &e);
	for (uint32_t copies = 1; copies <= 60; copies += 59) {
		space_of(&s, &p, copies);
		assert_int_equal(s.point_step, copies == 1 ? 1 : 300 / SPACE_POINTS + 1);
		check_read(&s, plain, 0, PLAIN - 10, 10);
		check_read(&s, plain, 0, 0, PLAIN);
		for (unsigned i = 0; i < 60; i++) {
			uint32_t at = dice(PLAIN), n = dice(PLAIN - at);

			check_read(&s, plain, dice(copies), at, n < 3000 ? n : 3000);
		}
		assert_true(s.cached_bytes <= LIMIT_DELTA_CACHE);
		space_done(&s);
	}
	free(plain);
	pair_done(&p);
}

static void lying_sizes_of_a_stream_are_refused(void **state UNUSED)
{
	struct pair p = make_pair();

	for (int more = -1; more <= 1; more += 2) {
		struct space s;
		uint8_t b;
		struct err e;

		space_of(&s, &p, 1);
		s.streams.v[0].plain_size = (uint32_t)(PLAIN + more);
		assert_fails(space_read(&s, s.starts[0] + PLAIN - 2, &b, 1, &e), &e, E_CORRUPT);
		space_done(&s);
		space_of(&s, &p, 1);
		s.streams.v[0].size += (uint32_t)more;
		assert_fails(space_read(&s, s.starts[0] + PLAIN - 2, &b, 1, &e), &e, E_CORRUPT);
		space_done(&s);
	}
	pair_done(&p);
}

static void too_many_commands_become_fewer_and_longer(void **state UNUSED)
{
	struct ops o = { 0 };
	uint64_t total = 0;
	struct err e;

	/* All together less than the longest INSERT. */
	for (unsigned i = 0; i < 5000; i++) {
		struct op op = { .n = 1 + dice(i % 4 ? 100 : 800),
				 .kind = OP_COPY,
				 .from = dice(1 << 20) };

		total += op.n;
		assert_ok(ops_add(&o, &op, &e), &e);
	}
	ops_coarsen(&o, 2000);
	assert_true(o.n <= 2000 && o.n > 100);
	for (size_t i = 0; i < o.n; i++)
		total -= o.v[i].n;
	assert_int_equal(total, 0);
	ops_coarsen(&o, 2);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.v[0].kind, OP_INSERT);
	ops_done(&o);
}

/* ---- pictures, streams without a header, streams in streams ---- */

static void add(struct buf *b, const void *p, size_t n)
{
	struct err e;

	assert_ok(buf_add(b, p, n, &e), &e);
}

static void add_noise(struct buf *b, size_t n)
{
	while (n--) {
		uint8_t v = (uint8_t)dice(256);

		add(b, &v, 1);
	}
}

static struct buf packed(const uint8_t *plain, size_t n, int bits)
{
	struct buf out = BUF_INIT(1 << 26);
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)plain, .avail_in = (uInt)n };
	struct err e;
	uint8_t *to;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_ok(buf_reserve(&out, deflateBound(&z, n) + 64, &to, &e), &e);
	z.next_out = to;
	z.avail_out = (uInt)deflateBound(&z, n) + 64;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_commit(&out, z.total_out);
	deflateEnd(&z);
	return out;
}

enum kind { PICTURE, WITHOUT_HEADER, NESTED };

static struct buf image_with(enum kind kind, const uint8_t *plain, size_t n)
{
	enum { CHUNK = 8192 };
	static const int bits[] = { 12, -15, 31 };
	struct buf out = BUF_INIT(1 << 26);
	CLEANUP(buf_done) struct buf z = packed(plain, n, bits[kind]);

	seed = 99;
	add_noise(&out, 5001);
	if (kind == NESTED) {
		CLEANUP(buf_done) struct buf outer = packed(z.p, z.n, 31);

		add(&out, outer.p, outer.n);
	} else if (kind == WITHOUT_HEADER) {
		add(&out, z.p, z.n);
	} else {
		for (size_t at = 0; at < z.n; at += CHUNK) {
			size_t part = z.n - at < CHUNK ? z.n - at : CHUNK;
			uint8_t head[8] = {
				0, 0, (uint8_t)(part >> 8), (uint8_t)part, 'I', 'D', 'A', 'T'
			};

			add(&out, head, 8);
			add(&out, z.p + at, part);
			add_noise(&out, 4); /* nobody asks for the CRC */
		}
	}
	add_noise(&out, 5000);
	return out;
}

static void streams_of_all_kinds_cost_what_changed(void **state UNUSED)
{
	static const struct {
		enum kind kind;
		uint32_t streams;
		uint64_t most;
	} rows[] = {
		{ PICTURE, 1, 1000 },
		{ WITHOUT_HEADER, 1, 1000 },
		{ NESTED, 0, UINT64_MAX }, /* stays raw: it must come back, no more */
	};
	enum { N = 300000 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pair p = { .plain = text(N) };
		struct err e;

		p.old = image_with(rows[i].kind, p.plain, N);
		for (unsigned k = 0; k < 10; k++)
			p.plain[30000 * k] ^= 1;
		p.new = image_with(rows[i].kind, p.plain, N);
		p.old_fd = memfile(&p.old);
		p.new_fd = memfile(&p.new);
		p.delta = memfd_create("delta", MFD_CLOEXEC);
		struct delta_job job = { .old_fd = p.old_fd,
					 .new_fd = p.new_fd,
					 .out_fd = p.delta,
					 .scratch_fd = -1 };
		assert_ok(delta_create(&job, &p.info, &e), &e);
		assert_applies(&p, 0);
		if (rows[i].streams != p.info.streams_new && rows[i].streams)
			fail_msg("row %zu: %u streams", i, p.info.streams_new);
		if (p.info.delta_size > rows[i].most)
			fail_msg("row %zu: %llu bytes", i,
				 (unsigned long long)p.info.delta_size);
		pair_done(&p);
	}
}

/* An erofs of compressed files whose ends lie elsewhere, with so much noise between them that a delta of it
 * has several frames.  change: what differs from the other image. */
static struct buf image_of_parts(uint8_t change)
{
	enum { FILES = 12, TEXT = 60000, NOISE = 24 << 20 };
	struct erofs_maker m;

	seed = 11;
	erofs_begin(&m);
	for (unsigned i = 0; i < FILES; i++) {
		uint8_t *plain = text(TEXT), *packed = malloc(2 * TEXT);
		z_stream z = { .next_in = plain,
			       .avail_in = TEXT,
			       .next_out = packed,
			       .avail_out = 2 * TEXT };

		assert_non_null(packed);
		plain[30000] = change;
		assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, 0), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		erofs_add(&m, packed, z.total_out, EROFS_END_BEHIND);
		deflateEnd(&z);
		free(plain);
		free(packed);
		if (i == FILES / 2) {
			uint8_t *noise = malloc(NOISE);
			uint32_t mine = change;

			assert_non_null(noise);
			for (size_t k = 0; k < NOISE; k++)
				noise[k] =
					(uint8_t)((mine = mine * 1664525 + 1013904223) >> 24);
			erofs_fill(&m, noise, NOISE);
			free(noise);
		}
	}
	return erofs_end(&m);
}

static void streams_in_parts_come_out_of_any_frame(void **state UNUSED)
{
	struct pair p = { .old = image_of_parts('o'), .new = image_of_parts('n') };
	struct err e;

	p.old_fd = memfile(&p.old);
	p.new_fd = memfile(&p.new);
	p.delta = memfd_create("delta", MFD_CLOEXEC);
	struct delta_job job = {
		.old_fd = p.old_fd, .new_fd = p.new_fd, .out_fd = p.delta, .scratch_fd = -1
	};
	assert_ok(delta_create(&job, &p.info, &e), &e);
	assert_true(p.info.frames > 1);
	assert_int_equal(p.info.streams_old, 12);
	assert_int_equal(p.info.streams_new, 12);
	assert_applies(&p, 0);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_of_all_kinds_cost_what_changed),
		cmocka_unit_test(a_stream_of_several_chunks_costs_what_changed_and_resumes),
		cmocka_unit_test(streams_that_take_too_long_to_unpack_are_left_as_they_are),
		cmocka_unit_test(short_copies_that_take_long_to_unpack_are_inserted_instead),
		cmocka_unit_test(applying_such_a_stream_stays_within_32_mib),
		cmocka_unit_test(a_stream_can_be_read_from_any_place_in_any_order),
		cmocka_unit_test(lying_sizes_of_a_stream_are_refused),
		cmocka_unit_test(too_many_commands_become_fewer_and_longer),
		cmocka_unit_test(streams_in_parts_come_out_of_any_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
