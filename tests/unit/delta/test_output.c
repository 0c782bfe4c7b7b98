/* A delta's frames come out in order, whichever is coded first. */
#include "tests/support/unit.h"

#include "base/io.h"
#include "delta/output.h"
#include "delta/tasks.h"

#include <sys/mman.h>
#include <unistd.h>

enum { START = 100, MANY = 40, LONG_N = 70000 };

struct fixture {
	struct output output;
	struct spool spool;
	struct format_frame frames[MANY];
};

static void start(struct fixture *f, size_t n, uint64_t max)
{
	struct err e;

	*f = (struct fixture){ .spool = { .fd = memfd_create("spool", MFD_CLOEXEC),
					  .end = 7 } };
	f->output = (struct output){ .fd = memfd_create("delta", MFD_CLOEXEC),
				     .spool = &f->spool,
				     .frames = f->frames,
				     .n_frames = n,
				     .start = START,
				     .max = max };
	assert_true(f->spool.fd >= 0 && f->output.fd >= 0);
	assert_ok(output_init(&f->output, &e), &e);
}

static void done(struct fixture *f)
{
	output_done(&f->output);
	fd_closep(&f->spool.fd);
	fd_closep(&f->output.fd);
}

static bool bring(struct fixture *f, size_t frame, const char *text, struct err *e)
{
	return output_frame(&f->output, frame, (const uint8_t *)text, strlen(text), e);
}

static void assert_written(const struct fixture *f, const char *text)
{
	char got[64] = { 0 };
	uint64_t size;
	struct err e;

	assert_ok(fd_size(f->output.fd, &size, &e), &e);
	assert_int_equal(size, START + strlen(text));
	assert_ok(pread_all(f->output.fd, got, strlen(text), START, &e), &e);
	assert_string_equal(got, text);
}

static void frames_out_of_order_wait_for_their_turn(void **state UNUSED)
{
	struct fixture f;
	struct err e;

	start(&f, 4, 0);
	assert_ok(bring(&f, 2, "third,", &e), &e);
	assert_ok(bring(&f, 0, "first,", &e), &e);
	assert_written(&f, "first,");
	assert_ok(bring(&f, 3, "last", &e), &e);
	assert_written(&f, "first,");
	assert_ok(bring(&f, 1, "second,", &e), &e);
	assert_written(&f, "first,second,third,last");
	assert_int_equal(f.frames[0].coded_offset, 0);
	assert_int_equal(f.frames[1].coded_offset, 6);
	assert_int_equal(f.frames[2].coded_offset, 13);
	assert_int_equal(f.frames[3].coded_offset, 19);
	assert_int_equal(f.frames[3].coded, 4);
	assert_int_equal(f.output.end, 23);
	assert_int_equal(f.spool.end, 7 + 6 + 4);
	done(&f);
}

static void in_order_nothing_waits(void **state UNUSED)
{
	struct fixture f;
	struct err e;

	start(&f, 3, 0);
	for (size_t i = 0; i < 3; i++)
		assert_ok(bring(&f, i, "frame", &e), &e);
	assert_written(&f, "frameframeframe");
	assert_int_equal(f.spool.end, 7);
	done(&f);
}

static void what_is_too_big_is_told_before_its_turn(void **state UNUSED)
{
	struct fixture f;
	struct err e;

	start(&f, 3, START + 10);
	assert_ok(bring(&f, 2, "12345", &e), &e);
	assert_ok(bring(&f, 0, "12345", &e), &e);
	assert_fails(bring(&f, 1, "6", &e), &e, E_TOO_BIG);
	assert_non_null(strstr(e.text, "more than 110 bytes"));
	done(&f);
}

struct brought {
	struct fixture *fixture;
	const uint8_t *bytes;
};

static bool bring_task(void *ctx, size_t index, unsigned thread UNUSED, struct err *e)
{
	struct brought *b = ctx;

	/* The last first; each of its own length. */
	index = MANY - 1 - index;
	return output_frame(&b->fixture->output, index, b->bytes + index, LONG_N - index, e);
}

static void threads_bring_them_as_they_like(void **state UNUSED)
{
	static uint8_t bytes[LONG_N], got[LONG_N];
	struct fixture f;
	struct brought b = { &f, bytes };
	struct tasks t = { .n = MANY, .threads = 8, .run = bring_task, .ctx = &b };
	uint64_t at = 0;
	struct err e;

	for (unsigned i = 0; i < LONG_N; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	start(&f, MANY, 0);
	assert_ok(tasks_run(&t, &e), &e);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(f.frames[i].coded_offset, at);
		assert_ok(pread_all(f.output.fd, got, LONG_N - i, START + at, &e), &e);
		assert_memory_equal(got, bytes + i, LONG_N - i);
		at += LONG_N - i;
	}
	assert_int_equal(f.output.end, at);
	done(&f);
}

static void frames_move_to_where_the_head_ends(void **state UNUSED)
{
	static uint8_t bytes[LONG_N], got[LONG_N];
	struct fixture f;
	struct err e;

	for (unsigned i = 0; i < LONG_N; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	start(&f, 1, 0);
	assert_ok(output_frame(&f.output, 0, bytes, LONG_N, &e), &e);
	for (unsigned by = 0; by < START; by += START / 2) {
		assert_ok(output_move(&f.output, START - by, &e), &e);
		assert_int_equal(f.output.start, START - by);
		assert_ok(pread_all(f.output.fd, got, LONG_N, START - by, &e), &e);
		assert_memory_equal(got, bytes, LONG_N);
	}
	assert_int_equal(f.frames[0].coded_offset, 0);
	fd_closep(&f.output.fd);
	assert_fails(output_move(&f.output, 1, &e), &e, E_SYSTEM);
	assert_non_null(strstr(e.text, "delta"));
	done(&f);
}

static void what_cannot_be_kept_or_written_is_an_error(void **state UNUSED)
{
	struct fixture f;
	struct err e;

	start(&f, 2, 0);
	fd_closep(&f.spool.fd);
	assert_fails(bring(&f, 1, "second", &e), &e, E_SYSTEM);
	assert_non_null(strstr(e.text, "scratch file"));
	done(&f);
	start(&f, 2, 0);
	fd_closep(&f.output.fd);
	assert_fails(bring(&f, 0, "first", &e), &e, E_SYSTEM);
	assert_non_null(strstr(e.text, "delta"));
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_out_of_order_wait_for_their_turn),
		cmocka_unit_test(in_order_nothing_waits),
		cmocka_unit_test(what_is_too_big_is_told_before_its_turn),
		cmocka_unit_test(threads_bring_them_as_they_like),
		cmocka_unit_test(frames_move_to_where_the_head_ends),
		cmocka_unit_test(what_cannot_be_kept_or_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
