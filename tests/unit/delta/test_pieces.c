/* A new image in pieces: they cover it in order, and a stream in parts comes out where its parts lie. */
#include "tests/support/unit.h"

#include "base/limits.h"
#include "delta/sight.h"

enum { IMAGE = 100000, MOST = 64 };

struct setup {
	struct streams all;
	bool open[MOST];
	uint64_t at[MOST];
	struct buf recipes[MOST];
	struct sight sight;
};

static void setup_start(struct setup *s, uint64_t size)
{
	memset(s, 0, sizeof(*s));
	s->sight.scratch_fd = -1;
	s->sight.new_size = size;
}

static void setup_done(struct setup *s)
{
	streams_done(&s->all);
	sight_done(&s->sight);
}

/* Parts: offset and size of each; the first one is where the stream's first byte is. */
static void add_stream(struct setup *s, const uint64_t (*parts)[2], unsigned n)
{
	struct stream v = { .offset = parts[0][0],
			    .plain_size = 1000 + (uint32_t)s->all.n,
			    .transform = TRANSFORM_DEFLATE,
			    .n_more = n - 1 };
	struct err e;

	for (unsigned i = 0; i < n; i++) {
		struct extent more = { .offset = parts[i][0], .at = v.size };

		if (i)
			assert_ok(streams_more(&s->all, &more, &e), &e);
		v.size += (uint32_t)parts[i][1];
	}
	s->open[s->all.n] = true;
	s->at[s->all.n] = 5000 * s->all.n;
	assert_ok(streams_add(&s->all, &v, &e), &e);
}

static void make(struct setup *s)
{
	const struct sight_streams in = {
		.all = &s->all, .open = s->open, .at = s->at, .recipes = s->recipes
	};
	uint64_t at = 0;
	struct err e;

	assert_ok(sight_pieces(&s->sight, &in, &e), &e);
	for (size_t i = 0; i < s->sight.n_pieces; i++) {
		const struct piece *p = &s->sight.pieces[i].piece;

		assert_int_equal(p->offset, at);
		assert_true(p->size > 0);
		at += p->size;
	}
	assert_int_equal(at, s->sight.new_size);
}

static void images_without_streams_are_one_piece_or_none(void **state UNUSED)
{
	struct setup s;

	for (unsigned n = 0; n < 2; n++) {
		setup_start(&s, n * IMAGE);
		make(&s);
		assert_int_equal(s.sight.n_pieces, n);
		setup_done(&s);
	}
}

static void streams_stand_between_what_is_raw(void **state UNUSED)
{
	static const uint64_t a[][2] = { { 0, 100 } }, b[][2] = { { 100, 50 } },
			      c[][2] = { { 60000, 40000 } };
	struct setup s;

	setup_start(&s, IMAGE);
	add_stream(&s, c, 1); /* the order in the list does not matter */
	add_stream(&s, a, 1);
	add_stream(&s, b, 1);
	make(&s);
	assert_int_equal(s.sight.n_pieces, 4);
	static const size_t streams[] = { 1, 2, SIZE_MAX, 0 };
	for (unsigned i = 0; i < 4; i++) {
		const struct sight_piece *q = &s.sight.pieces[i];

		assert_int_equal(q->piece.transform != 0, streams[i] != SIZE_MAX);
		assert_int_equal(q->piece.n_runs, 0);
		if (streams[i] == SIZE_MAX)
			continue;
		assert_int_equal(q->piece.plain_size, 1000 + streams[i]);
		assert_int_equal(q->start, 5000 * streams[i]);
	}
	setup_done(&s);
}

static void streams_that_are_not_open_stay_raw(void **state UNUSED)
{
	static const uint64_t a[][2] = { { 1000, 100 }, { 3000, 100 } },
			      b[][2] = { { 2000, 50 } };
	struct setup s;

	setup_start(&s, IMAGE);
	add_stream(&s, a, 2);
	add_stream(&s, b, 1);
	s.open[0] = false;
	make(&s);
	assert_int_equal(s.sight.n_pieces, 3);
	assert_int_equal(s.sight.pieces[1].piece.offset, 2000);
	assert_int_equal(s.sight.n_runs, 0);
	setup_done(&s);
}

/* The part that lies first in the image is where the stream is coded, also when it is not the first. */
static void parts_come_out_where_they_lie(void **state UNUSED)
{
	static const uint64_t a[][2] = { { 5000, 300 }, { 9000, 20 }, { 1000, 7 } },
			      b[][2] = { { 6000, 11 }, { 5900, 13 } };
	static const struct {
		uint64_t offset, size;
		int stream, part;
		bool is_kept;
	} want[] = {
		{ 1000, 7, 0, 2, false }, { 5000, 300, 0, 0, true }, { 5900, 13, 1, 1, false },
		{ 6000, 11, 1, 0, true }, { 9000, 20, 0, 1, true },
	};
	size_t k = 0, first[2] = { 0 };
	struct setup s;

	setup_start(&s, IMAGE);
	add_stream(&s, a, 3);
	add_stream(&s, b, 2);
	make(&s);
	assert_int_equal(s.sight.n_runs, 5);
	for (size_t i = 0; i < s.sight.n_pieces; i++) {
		const struct sight_piece *q = &s.sight.pieces[i];

		if (!q->piece.transform && !q->piece.is_kept)
			continue;
		assert_true(k < ARRAY_SIZE(want));
		assert_int_equal(q->piece.offset, want[k].offset);
		assert_int_equal(q->piece.size, want[k].size);
		assert_int_equal(q->piece.is_kept, want[k].is_kept);
		if (!q->piece.is_kept)
			first[want[k].stream] = i;
		else
			assert_int_equal(q->stream, first[want[k].stream]);
		assert_false(q->is_again);
		uint32_t run = s.sight.pieces[first[want[k].stream]].piece.run +
			       (uint32_t)want[k].part;
		assert_int_equal(s.sight.runs[run].piece, i);
		assert_int_equal(s.sight.runs[run].size, want[k].size);
		k++;
	}
	assert_int_equal(k, ARRAY_SIZE(want));
	setup_done(&s);
}

/* What would have to wait longest is coded again in its place. */
static void too_much_is_not_kept(void **state UNUSED)
{
	enum { PART = LIMIT_DELTA_KEPT / 2 + 1 };
	static const uint64_t a[][2] = { { 0, 10 }, { 3 * (uint64_t)PART, PART } },
			      b[][2] = { { 10, 10 }, { PART, PART } };
	unsigned again = 0;
	struct setup s;

	setup_start(&s, 5 * (uint64_t)PART);
	add_stream(&s, a, 2);
	add_stream(&s, b, 2);
	make(&s);
	for (size_t i = 0; i < s.sight.n_pieces; i++) {
		const struct sight_piece *q = &s.sight.pieces[i];

		if (!q->is_again)
			continue;
		again++;
		assert_true(q->piece.is_kept);
		assert_int_equal(q->piece.offset, 3 * (uint64_t)PART);
	}
	assert_int_equal(again, 1);
	setup_done(&s);
}

static void what_was_taken_makes_room_again(void **state UNUSED)
{
	enum { PART = LIMIT_DELTA_KEPT - 10 };
	static const uint64_t a[][2] = { { 0, 10 }, { 100, PART } },
			      b[][2] = { { PART + 200, 10 }, { PART + 300, PART } };
	struct setup s;

	setup_start(&s, 3 * (uint64_t)PART);
	add_stream(&s, a, 2);
	add_stream(&s, b, 2);
	make(&s);
	for (size_t i = 0; i < s.sight.n_pieces; i++)
		assert_false(s.sight.pieces[i].is_again);
	setup_done(&s);
}

static void places_are_all_parts_in_order(void **state UNUSED)
{
	static const uint64_t a[][2] = { { 500, 30 }, { 100, 20 } }, b[][2] = { { 300, 10 } };
	static const struct place want[] = {
		{ .offset = 100, .size = 20, .part = 1, .stream = 0 },
		{ .offset = 300, .size = 10, .part = 0, .stream = 1 },
		{ .offset = 500, .size = 30, .part = 0, .stream = 0 },
	};
	struct setup s;
	struct err e;

	setup_start(&s, IMAGE);
	add_stream(&s, a, 2);
	add_stream(&s, b, 1);
	for (unsigned chosen = 0; chosen < 2; chosen++) {
		struct place *v = NULL;
		size_t n = 0;

		s.open[0] = !chosen;
		assert_ok(places_of(&v, &n, &s.all, chosen ? s.open : NULL, &e), &e);
		assert_int_equal(n, chosen ? 1 : 3);
		for (size_t i = 0; i < n; i++) {
			const struct place *w = &want[chosen ? 1 : i];

			assert_int_equal(v[i].offset, w->offset);
			assert_int_equal(v[i].size, w->size);
			assert_int_equal(v[i].part, w->part);
			assert_int_equal(v[i].stream, w->stream);
		}
		free(v);
	}
	setup_done(&s);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	static const uint64_t a[][2] = { { 5000, 300 }, { 9000, 20 } };

	FAULT_EACH(n, FAULT_ALLOC) {
		struct setup s;
		struct err e = { 0 };

		fault_arm(FAULT_ALLOC, 0);
		setup_start(&s, IMAGE);
		add_stream(&s, a, 2);
		const struct sight_streams in = {
			.all = &s.all, .open = s.open, .at = s.at, .recipes = s.recipes
		};
		fault_arm(FAULT_ALLOC, n);
		if (!sight_pieces(&s.sight, &in, &e))
			assert_int_equal(e.code, E_NOMEM);
		setup_done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_without_streams_are_one_piece_or_none),
		cmocka_unit_test(streams_stand_between_what_is_raw),
		cmocka_unit_test(streams_that_are_not_open_stay_raw),
		cmocka_unit_test(parts_come_out_where_they_lie),
		cmocka_unit_test(too_much_is_not_kept),
		cmocka_unit_test(what_was_taken_makes_room_again),
		cmocka_unit_test(places_are_all_parts_in_order),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
