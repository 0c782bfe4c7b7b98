/* The coding functions by themselves: what comes back, and how little it takes. */
#include "tests/support/unit.h"
#include "tests/support/fault.h"

#include "base/bytes.h"
#include "delta/models.h"

enum { NOISE_N = 10000 };

static uint8_t noise[NOISE_N];

static int setup(void **state UNUSED)
{
	uint32_t seed = 7;

	for (unsigned i = 0; i < NOISE_N; i++)
		noise[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	return 0;
}

static bool more_of(void *ctx, const uint8_t **ret, size_t *ret_n, struct err *e UNUSED)
{
	struct buf *b = ctx;

	*ret = b->p;
	*ret_n = b->n;
	b->n = 0;
	return true;
}

/* n bytes as code_bulk takes them: a stream with that filter. */
static void give_bulk(struct models *m, const uint8_t *p, size_t n, enum lzma2_filter filter)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	struct buf out = BUF_INIT(1 << 20);
	struct err e;

	assert_ok(lzma2_enc_new(&z, filter, 1, &e), &e);
	assert_ok(lzma2_encode(z, &out, p, n, &e), &e);
	assert_ok(lzma2_encode_end(z, &out, &e), &e);
	code_bulk_stream(m, filter, &out);
}

static void bulk_of_impossible_sizes_and_filters_is_refused(void **state UNUSED)
{
	static const uint64_t heads[][2] = { { LZMA2_PLAIN, 0 },
					     { LZMA2_X86, 20 },
					     { LZMA2_ARM64, CODE_BULK_MAX * 2 },
					     { LZMA2_PLAIN, UINT64_C(1) << 60 },
					     { LZMA2_FILTERS, 20 },
					     { UINT64_C(1) << 32, 20 } };
	static uint8_t to[CODE_BULK_MIN];

	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
		CLEANUP(models_freep) struct models *m = NULL;
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
		struct number filter, size;
		struct coder c;
		struct err e;

		number_init(&filter);
		number_init(&size);
		coder_encode_start(&c, &b, &e);
		coder_number(&c, &filter, heads[i][0]);
		coder_number(&c, &size, heads[i][1]);
		coder_encode_end(&c);
		struct buf in = b;
		assert_ok(models_new(&m, &e), &e);
		coder_decode_start(&c, more_of, &in, &e);
		assert_fails(code_bulk(&c, m, to, sizeof(to), &e), &e, E_CORRUPT);
	}
}

/* Each part is small enough by itself, but nothing uses up what came before. */
static void bulk_that_is_sent_far_ahead_is_refused(void **state UNUSED)
{
	enum { SENT = CODE_BULK_MAX * 2 / 3, ZEROS = 2 * CODE_BULK_MIN };
	static uint8_t zeros[ZEROS], to[CODE_BULK_MIN];
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	CLEANUP(models_freep) struct models *m = NULL;
	CLEANUP(buf_done) struct buf stream = BUF_INIT(1 << 20), b = BUF_INIT(1 << 22);
	struct number filter, size;
	struct coder c;
	struct err e;

	assert_ok(lzma2_enc_new(&z, LZMA2_PLAIN, 1, &e), &e);
	assert_ok(lzma2_encode(z, &stream, zeros, ZEROS, &e), &e);
	assert_ok(lzma2_encode_end(z, &stream, &e), &e);
	number_init(&filter);
	number_init(&size);
	coder_encode_start(&c, &b, &e);
	coder_number(&c, &filter, LZMA2_PLAIN);
	for (unsigned part = 0; part < 2; part++) {
		coder_number(&c, &size, SENT);
		for (size_t i = 0; i < SENT; i++)
			coder_plain(&c, part == 0 && i < stream.n ? stream.p[i] : 0);
	}
	coder_encode_end(&c);
	struct buf in = b;
	assert_ok(models_new(&m, &e), &e);
	coder_decode_start(&c, more_of, &in, &e);
	assert_ok(code_bulk(&c, m, to, sizeof(to), &e), &e);
	assert_memory_equal(to, zeros, sizeof(to));
	assert_fails(code_bulk(&c, m, to, sizeof(to), &e), &e, E_CORRUPT);
	assert_non_null(strstr(e.text, "packs to more"));
}

static void bulk_that_is_not_what_was_packed_is_never_coded(void **state UNUSED)
{
	static uint8_t p[CODE_BULK_MIN];
	CLEANUP(models_freep) struct models *m = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct coder c;
	struct err e;

	assert_ok(models_new(&m, &e), &e);
	give_bulk(m, p, sizeof(p), LZMA2_PLAIN);
	coder_encode_start(&c, &b, &e);
	p[sizeof(p) - 1] ^= 1;
	assert_fails(code_bulk(&c, m, p, sizeof(p), &e), &e, E_INTERNAL);
	p[sizeof(p) - 1] ^= 1;
	assert_fails(code_bulk(&c, m, p, sizeof(p), &e), &e, E_CORRUPT); /* it has no more */
	coder_encode_end(&c);
}

/* Noise in short parts: of the stream comes what the next part needs, and some more, but not all. */
static void bulk_comes_a_little_ahead_of_what_is_made(void **state UNUSED)
{
	enum { PARTS = 16, AHEAD = 4096, AROUND = 200 };
	static uint8_t p[PARTS * CODE_BULK_MIN], to[PARTS * CODE_BULK_MIN];
	CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	unsigned nothing = 0;
	struct coder c;
	struct err e;

	for (uint32_t i = 0, seed = 5; i < sizeof(p); i++)
		p[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	assert_ok(models_new(&m, &e) && models_new(&m2, &e), &e);
	give_bulk(m, p, sizeof(p), LZMA2_PLAIN);
	coder_encode_start(&c, &b, &e);
	for (unsigned i = 0; i < PARTS; i++) {
		size_t before = b.n, made = (i + 1) * CODE_BULK_MIN;

		assert_ok(code_bulk(&c, m, p + i * CODE_BULK_MIN, CODE_BULK_MIN, &e), &e);
		assert_in_range(b.n, made, made + AHEAD + AROUND);
		nothing += b.n - before < 8;
	}
	assert_in_range(nothing, PARTS / 2, PARTS - 1);
	coder_encode_end(&c);
	struct buf in = b;
	coder_decode_start(&c, more_of, &in, &e);
	for (unsigned i = 0; i < PARTS; i++)
		assert_ok(code_bulk(&c, m2, to + i * CODE_BULK_MIN, CODE_BULK_MIN, &e), &e);
	assert_memory_equal(to, p, sizeof(p));
}

static void bulk_without_memory_is_told(void **state UNUSED)
{
	static uint8_t p[2 * CODE_BULK_MIN], to[CODE_BULK_MIN];

	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
		struct coder c;
		struct err e = { 0 };

		fault_disarm();
		assert_ok(models_new(&m, &e) && code_remember(m, 0, 0, &e), &e);
		give_bulk(m, p, sizeof(p), LZMA2_X86);
		fault_arm(FAULT_ALLOC, n);
		coder_encode_start(&c, &b, &e);
		bool ok = code_bulk(&c, m, p, CODE_BULK_MIN, &e) &&
			  code_bulk(&c, m, p, CODE_BULK_MIN, &e);
		coder_encode_end(&c);
		struct buf in = b;
		coder_decode_start(&c, more_of, &in, &e);
		ok = ok && models_new(&m2, &e) && code_remember(m2, 0, 0, &e) &&
		     code_bulk(&c, m2, to, sizeof(to), &e) &&
		     code_bulk(&c, m2, to, sizeof(to), &e);
		if (!ok)
			assert_int_equal(e.code, E_NOMEM);
	}
}

/* What was inserted before is guessed to come again, and of two such places the one with more in common. */
static void inserts_that_repeat_cost_next_to_nothing(void **state UNUSED)
{
	enum { N = 200 };
	uint8_t text[5 * N], to[5 * N];
	size_t spent[2];

	for (unsigned i = 0; i < 3 * N; i++)
		text[i] = noise[1000 + i % N];
	text[N - 1] = text[3 * N - 1] = 'a'; /* as in the first and not the second */
	text[2 * N - 1] = 'b';
	memcpy(text + 3 * N, noise + 5000, N);
	memcpy(text + 4 * N, text, N);
	for (unsigned k = 0; k < 2; k++) {
		CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
		size_t n = k ? 5 * N : N;
		struct coder c;
		struct err e;

		assert_ok(models_new(&m, &e), &e);
		assert_ok(models_new(&m2, &e), &e);
		coder_encode_start(&c, &b, &e);
		memcpy(to, text, n);
		code_insert(&c, m, to, 0, n);
		coder_encode_end(&c);
		spent[k] = b.n;
		struct buf in = b;
		coder_decode_start(&c, more_of, &in, &e);
		memset(to, 0, n);
		code_insert(&c, m2, to, 0, n);
		assert_memory_equal(to, text, n);
	}
	assert_true(spent[1] < 3 * spent[0]); /* two of five parts are new */
}

/* Codes n inserted bytes in blocks, checks that they come back and tells how many bytes that took. */
static size_t inserted_bytes_take(const uint8_t *p, size_t n)
{
	CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
	struct coder c;
	struct err e;

	assert_ok(models_new(&m, &e), &e);
	assert_ok(models_new(&m2, &e), &e);
	for (unsigned decoding = 0; decoding < 2; decoding++) {
		struct buf in = b;

		if (decoding)
			coder_decode_start(&c, more_of, &in, &e);
		else
			coder_encode_start(&c, &b, &e);
		for (size_t at = 0; at < n; at += CODE_BLOCK) {
			size_t part = n - at < CODE_BLOCK ? n - at : CODE_BLOCK;
			uint8_t block[CODE_BLOCK] = { 0 };

			if (!decoding)
				memcpy(block, p + at, part);
			code_insert(&c, decoding ? m2 : m, block, at, part);
			assert_memory_equal(block, p + at, part);
		}
		if (!decoding)
			coder_encode_end(&c);
		assert_ok(coder_ok(&c, &e), &e);
	}
	return b.n;
}

static void inserts_that_nothing_packs_hardly_grow(void **state UNUSED)
{
	enum { N = 50000 };
	static uint8_t p[N + 6000];

	for (uint32_t i = 0, seed = 5; i < sizeof(p); i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
	assert_true(inserted_bytes_take(p, N) < N + N / 500);
	/* But what comes again is seen, also from within what is stored. */
	memcpy(p + N, p + 10000, 6000);
	assert_true(inserted_bytes_take(p, N + 6000) < N + N / 500 + 300);
}

/* Codes news, so many MiB of something else, and the news again, some of it in bulk; tells how many bytes the
 * repetition took. */
static size_t repetition_takes(unsigned mib, size_t n_old_streams, size_t n_ops, bool bulk)
{
	enum { NEWS = 65536, MIB_MAX = 3 };
	const size_t again = NEWS + ((size_t)mib << 20), n = again + NEWS;
	static uint8_t all[NEWS + (MIB_MAX << 20) + NEWS], zeros[CODE_BULK_MIN],
		block[CODE_BLOCK];
	CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(2 * sizeof(all));
	size_t first = 0;
	struct coder c;
	struct err e;

	for (uint32_t i = 0, seed = 77; i < again; i++)
		all[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	memcpy(all + again, all, NEWS);
	assert_ok(models_new(&m, &e) && models_new(&m2, &e), &e);
	if (bulk)
		give_bulk(m, zeros, sizeof(zeros), LZMA2_PLAIN);
	for (unsigned decoding = 0; decoding < 2; decoding++) {
		struct models *now = decoding ? m2 : m;
		struct buf in = b;

		assert_true(code_remember(now, n_old_streams, n_ops, &e));
		if (decoding)
			coder_decode_start(&c, more_of, &in, &e);
		else
			coder_encode_start(&c, &b, &e);
		for (size_t at = 0; at < n; at += CODE_BLOCK) {
			if (at == again && bulk)
				assert_ok(code_bulk(&c, now, zeros, sizeof(zeros), &e), &e);
			if (at == again && !decoding)
				first = b.n;
			memset(block, 0, CODE_BLOCK);
			if (!decoding)
				memcpy(block, all + at, CODE_BLOCK);
			code_insert(&c, now, block, at, CODE_BLOCK);
			assert_memory_equal(block, all + at, CODE_BLOCK);
		}
		if (!decoding)
			coder_encode_end(&c);
		assert_ok(coder_ok(&c, &e), &e);
	}
	return b.n - first;
}

static void what_repeats_from_afar_is_seen_where_much_is_remembered(void **state UNUSED)
{
	enum { HALF = LIMIT_DELTA_OPS / 2 };

	assert_true(repetition_takes(3, 0, HALF, false) < 1000);
	/* Old streams, commands and bulk take the memory. */
	assert_true(repetition_takes(3, 1, HALF, false) > 65000);
	assert_true(repetition_takes(3, 0, HALF + 1, false) > 65000);
	assert_true(repetition_takes(3, 0, HALF, true) > 65000);
	/* What is remembered anyway is not forgotten for bulk, but where its memory was larger. */
	assert_true(repetition_takes(1, 1, HALF, true) < 1000);
	assert_true(repetition_takes(1, 0, HALF, true) > 65000);
}

static void inserts_with_a_period_cost_next_to_nothing(void **state UNUSED)
{
	static uint8_t p[200000];

	for (unsigned period = 1; period < 5000;
	     period = 7 * period + 6) { /* 1, 13, 97, 685, 4801 */
		for (size_t i = 0; i < sizeof(p); i++)
			p[i] = noise[i % period];
		assert_true(inserted_bytes_take(p, sizeof(p)) < period + period / 4 + 200);
	}
	for (size_t i = 3000; i < sizeof(p); i += 3000) /* and where it is broken */
		p[i] ^= 1;
	assert_true(inserted_bytes_take(p, sizeof(p)) < 4801 + 8000);
}

/* Code that calls, jumps to and reads `targets` places below 2^bits from everywhere; every far_every-th time, if not
 * 0, 2^30 farther. */
static void code_that_refers_to(uint8_t *p, size_t n, uint32_t targets, unsigned bits,
				unsigned far_every)
{
	enum { IMMEDIATE = 5 }; /* a byte behind the address */
	static const uint8_t opcodes[][4] = {
		{ 1, 0xe8 },
		{ 1, 0xe9 },
		{ 2, 0x0f, 0x85 },
		{ 2, 0x8b, 0x05 },
		{ 3, 0x0f, 0x10, 0x05 },
		{ 2, 0x80, 0x3d },
	};
	uint32_t seed = 9;

	for (size_t i = 0; i + 32 <= n; i += 32) {
		seed = seed * 1664525 + 1013904223;
		unsigned k = (seed >> 24) % ARRAY_SIZE(opcodes);
		uint32_t to = context_hash(seed >> 8 & (targets - 1), 0) >> (32 - bits);

		if (far_every && i / 32 % far_every == 0)
			to += 1 << 30;
		memcpy(p + i, noise, 32 - 8);
		memcpy(p + i + 22, opcodes[k] + 1, opcodes[k][0]);
		put_le32(p + i + 22 + opcodes[k][0],
			 to - (uint32_t)(i + 22 + opcodes[k][0] + 4 + (k == IMMEDIATE)));
	}
}

static void calls_of_the_same_places_are_known_wherever_they_are_from(void **state UNUSED)
{
	static uint8_t p[1 << 17];
	enum { CALLS = sizeof(p) / 32 };

	code_that_refers_to(p, sizeof(p), 4, 24, 0);
	assert_true(inserted_bytes_take(p, sizeof(p)) <
		    5 * CALLS / 4); /* relative ones take two bytes */
	/* Code that comes again is known though its calls go elsewhere. */
	memcpy(p + sizeof(p) / 2, p, sizeof(p) / 2);
	assert_true(inserted_bytes_take(p, sizeof(p)) < 3 * CALLS / 4);
	code_that_refers_to(p, sizeof(p), 1 << 20, 31, 0);
	assert_true(inserted_bytes_take(p, sizeof(p)) < 5 * CALLS);
}

static void calls_from_noise_and_to_far_away_come_back(void **state UNUSED)
{
	static uint8_t p[1 << 17];
	enum { CALLS = sizeof(p) / 32, NOISE = 20 };
	uint32_t seed = 3;

	code_that_refers_to(p, sizeof(p), 4, 24, 8);
	assert_true(inserted_bytes_take(p, sizeof(p)) < 7 * CALLS / 4);
	for (size_t i = 0; i < sizeof(p); i += 32)
		for (unsigned k = 0; k < NOISE; k++)
			p[i + k] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
	assert_in_range(inserted_bytes_take(p, sizeof(p)), NOISE * CALLS, (NOISE + 3) * CALLS);
}

/* Runs and addresses that would go on are asked for only where all of one fits. */
static void nothing_is_written_behind_the_last_byte(void **state UNUSED)
{
	enum { BEFORE = 8 * CODE_BLOCK, GUARD = 64 };
	static const size_t sizes[] = { 1, 2, 3, 4, 20, 29, 30, 31, 32, 33 };
	static uint8_t from[BEFORE + GUARD], to[BEFORE + GUARD];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
		CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20);
		size_t n = sizes[i / 2];
		struct coder c;
		struct err e;

		memset(from, 0, sizeof(from));
		if (i & 1)
			code_that_refers_to(from, sizeof(from), 4, 24, 0);
		memset(to, 0xee, sizeof(to));
		assert_ok(models_new(&m, &e) && models_new(&m2, &e), &e);
		coder_encode_start(&c, &b, &e);
		for (size_t at = 0; at < BEFORE; at += CODE_BLOCK)
			code_insert(&c, m, from + at, at, CODE_BLOCK);
		code_insert(&c, m, from + BEFORE, BEFORE, n);
		coder_encode_end(&c);
		struct buf in = b;
		coder_decode_start(&c, more_of, &in, &e);
		for (size_t at = 0; at < BEFORE; at += CODE_BLOCK)
			code_insert(&c, m2, to + at, at, CODE_BLOCK);
		code_insert(&c, m2, to + BEFORE, BEFORE, n);
		assert_memory_equal(to, from, BEFORE + n);
		for (size_t at = BEFORE + n; at < sizeof(to); at++)
			assert_int_equal(to[at], 0xee);
	}
}

static void what_only_looks_like_calls_is_not_taken_for_them(void **state UNUSED)
{
	static uint8_t p[1 << 16];

	for (size_t i = 0; i + 16 <= sizeof(p); i += 16) {
		memcpy(p + i, noise, 16);
		p[i + 3] = 0xe8;
		put_le32(p + i + 4,
			 (uint32_t)(context_hash((uint32_t)(i >> 4), 0) >> 30) * 1000);
	}
	assert_true(inserted_bytes_take(p, sizeof(p)) <
		    sizeof(p) / 16); /* two bits are new in 16 bytes */
}

static void recipes_that_end_early_are_told(void **state UNUSED)
{
	static uint8_t text[50000];
	CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20), back = BUF_INIT(LIMIT_DELTA_RECIPE);
	struct buf recipe = { .p = text, .n = sizeof(text) };
	uint64_t work = LIMIT_DELTA_WORK;
	struct coder c;
	struct err e;

	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * i >> 5);
	assert_ok(models_new(&m, &e), &e);
	coder_encode_start(&c, &b, &e);
	assert_ok(code_recipe(&c, m, &recipe, NULL, &e), &e);
	coder_encode_end(&c);
	struct buf in = { .p = b.p, .n = 300 };
	assert_ok(models_new(&m2, &e), &e);
	coder_decode_start(&c, more_of, &in, &e);
	assert_fails(code_recipe(&c, m2, &back, &work, &e), &e, E_CORRUPT);
	assert_true(back.n < 20000); /* told before all of it was made up */
}

/* As long as can be, of so few coded bytes that a delta could have any number of them. */
static void long_recipes_take_from_the_work_that_a_delta_may_be(void **state UNUSED)
{
	static uint8_t zeros[LIMIT_DELTA_RECIPE];
	enum { TIMES = 3 };
	CLEANUP(models_freep) struct models *m = NULL, *m2 = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 << 20), back = BUF_INIT(sizeof(zeros));
	struct buf recipe = { .p = zeros, .n = sizeof(zeros) };
	uint64_t work = (TIMES - 1) * CODE_RECIPE_STEPS * (uint64_t)sizeof(zeros) + 7;
	struct coder c;
	struct err e;

	assert_ok(models_new(&m, &e) && models_new(&m2, &e), &e);
	coder_encode_start(&c, &b, &e);
	for (unsigned i = 0; i < TIMES; i++)
		assert_ok(code_recipe(&c, m, &recipe, NULL, &e), &e);
	coder_encode_end(&c);
	assert_true(b.n < 2000);
	struct buf in = b;
	coder_decode_start(&c, more_of, &in, &e);
	for (unsigned i = 1; i < TIMES; i++) {
		buf_reset(&back);
		assert_ok(code_recipe(&c, m2, &back, &work, &e), &e);
		assert_int_equal(back.n, sizeof(zeros));
	}
	assert_int_equal(work, 7);
	buf_reset(&back);
	assert_fails(code_recipe(&c, m2, &back, &work, &e), &e, E_TOO_BIG);
	assert_int_equal(back.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_of_impossible_sizes_and_filters_is_refused),
		cmocka_unit_test(bulk_that_is_sent_far_ahead_is_refused),
		cmocka_unit_test(bulk_that_is_not_what_was_packed_is_never_coded),
		cmocka_unit_test(bulk_comes_a_little_ahead_of_what_is_made),
		cmocka_unit_test(bulk_without_memory_is_told),
		cmocka_unit_test(inserts_that_repeat_cost_next_to_nothing),
		cmocka_unit_test(inserts_that_nothing_packs_hardly_grow),
		cmocka_unit_test(what_repeats_from_afar_is_seen_where_much_is_remembered),
		cmocka_unit_test(calls_of_the_same_places_are_known_wherever_they_are_from),
		cmocka_unit_test(calls_from_noise_and_to_far_away_come_back),
		cmocka_unit_test(nothing_is_written_behind_the_last_byte),
		cmocka_unit_test(what_only_looks_like_calls_is_not_taken_for_them),
		cmocka_unit_test(inserts_with_a_period_cost_next_to_nothing),
		cmocka_unit_test(recipes_that_end_early_are_told),
		cmocka_unit_test(long_recipes_take_from_the_work_that_a_delta_may_be),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
