/* The arithmetic coder and its models: what goes in comes out, and nothing is read behind the end. */
#include "tests/support/unit.h"

#include "delta/coder.h"

/* ---- both directions with the same calls ---- */

struct both {
	struct coder c;
	struct buf coded;
	struct err e;
	size_t at, portion; /* of the decoder's input; 0: all at once */
	bool broken;
};

static bool more(void *ctx, const uint8_t **ret, size_t *ret_n, struct err *e)
{
	struct both *b = ctx;
	size_t left = b->coded.n - b->at;

	if (b->broken)
		return err_set(e, E_SYSTEM, "the disk is gone");
	*ret_n = b->portion && b->portion < left ? b->portion : left;
	*ret = b->coded.p + b->at;
	b->at += *ret_n;
	return true;
}

static void encode_start(struct both *b)
{
	*b = (struct both){ .coded = BUF_INIT(1 << 24) };
	coder_encode_start(&b->c, &b->coded, &b->e);
}

static void decode_start(struct both *b)
{
	struct err e;

	coder_encode_end(&b->c);
	assert_ok(coder_ok(&b->c, &e), &e);
	b->at = 0;
	coder_decode_start(&b->c, more, b, &b->e);
}

/* Runs `work` twice: it codes and checks what comes back. */
static void there_and_back(void (*work)(struct both *b))
{
	for (size_t portion = 0; portion < 3; portion++) {
		struct both b;
		struct err e;

		encode_start(&b);
		work(&b);
		b.portion = portion;
		decode_start(&b);
		work(&b);
		assert_ok(coder_ok(&b.c, &e), &e);
		buf_done(&b.coded);
	}
}

static uint64_t seed;

static uint32_t rnd(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33);
}

static void bits_of_any_probability(struct both *b)
{
	seed = 1;
	for (unsigned i = 0; i < 200000; i++) {
		unsigned p = 1 + rnd() % 65535, bit = rnd() & 1;

		assert_int_equal(coder_code(&b->c, p, b->c.decoding ? 0 : bit), bit);
	}
	for (unsigned byte = 0; byte < 256; byte++)
		assert_int_equal(coder_plain(&b->c, b->c.decoding ? 0 : (uint8_t)byte), byte);
}

static void bits_come_back(void **state UNUSED)
{
	there_and_back(bits_of_any_probability);
}

static void bits_that_hardly_change(struct both *b)
{
	bitmodel m = BITMODEL_INIT;

	mix_init();
	for (unsigned i = 0; i < 20000; i++) {
		unsigned bit = i >= 10000 ? i % 5000 != 4999 : i % 5000 == 4999;

		assert_int_equal(coder_bit(&b->c, &m, b->c.decoding ? 0 : bit), bit);
	}
}

static void a_bit_that_hardly_changes_costs_nearly_nothing(void **state UNUSED)
{
	struct both b;

	there_and_back(bits_that_hardly_change);
	encode_start(&b);
	bits_that_hardly_change(&b);
	coder_encode_end(&b.c);
	assert_in_range(b.coded.n, 1, 200); /* of 2500 */
	/* What was spent is told in 1/65536 bit. */
	assert_true(b.c.cost[0] / 65536 / 8 <= b.coded.n + 8);
	assert_true(b.c.cost[0] / 65536 / 8 + 8 >= b.coded.n);
	buf_done(&b.coded);
}

static void numbers_of_all_sizes(struct both *b)
{
	struct number m;

	number_init(&m);
	for (unsigned k = 0; k < 63; k++)
		for (int64_t d = -2; d <= 2; d++) {
			uint64_t v = (UINT64_C(1) << k) + (uint64_t)d;

			if (k < 2 && d < 0)
				continue;
			assert_int_equal(coder_number(&b->c, &m, b->c.decoding ? 0 : v), v);
		}
	assert_int_equal(coder_number(&b->c, &m, 0), 0);
}

static void numbers_up_to_2_to_the_62_come_back(void **state UNUSED)
{
	there_and_back(numbers_of_all_sizes);
}

/* ---- mixing ---- */

static void mixed_numbers_of_all_sizes(struct both *b)
{
	CLEANUP(nummix_done) struct nummix m = { 0 };
	struct err e;

	assert_ok(nummix_init(&m, 3, &e), &e);
	for (unsigned k = 0; k < 63; k++)
		for (unsigned kind = 0; kind < 3; kind++) {
			const uint32_t contexts[NUMBER_CONTEXTS] = { k, kind, 7, k / 8 };
			uint64_t v = (UINT64_C(1) << k) - 2 + kind;

			v = k ? v : kind;
			assert_int_equal(coder_mixed(&b->c, &m, kind, contexts,
						     b->c.decoding ? 0 : v),
					 v);
		}
}

static void mixed_numbers_up_to_2_to_the_62_come_back(void **state UNUSED)
{
	there_and_back(mixed_numbers_of_all_sizes);
}

/* The low 12 bits are always the same, the others by chance. */
static void numbers_of_whole_blocks(struct both *b)
{
	CLEANUP(nummix_done) struct nummix m = { 0 };
	const uint32_t contexts[NUMBER_CONTEXTS] = { 0 };
	struct err e;

	seed = 5;
	assert_ok(nummix_init(&m, 1, &e), &e);
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t v = 4095 + ((uint64_t)(rnd() % 2048) << 12);

		assert_int_equal(coder_mixed(&b->c, &m, 0, contexts, b->c.decoding ? 0 : v), v);
	}
}

static void numbers_of_whole_blocks_cost_only_the_number_of_the_block(void **state UNUSED)
{
	struct both b;

	there_and_back(numbers_of_whole_blocks);
	encode_start(&b);
	numbers_of_whole_blocks(&b);
	coder_encode_end(&b.c);
	assert_in_range(b.coded.n, 5500,
			6000); /* 4000 times 11 bits are 5500 bytes, 23 are 11500 */
	buf_done(&b.coded);
}

/* One model leans a little to what comes, one away from it: their weights grow up to their ends. */
static void flags_with_models_that_whisper(struct both *b)
{
	struct flagmix f;
	struct err e;

	assert_ok(flagmix_init(&f, 1, 3, &e), &e);
	seed = 5;
	for (unsigned i = 0; i < 100000; i++) {
		unsigned flag = rnd() & 1;
		bitmodel v[] = { flag ? 0x88000000 : 0x78000000, flag ? 0x78000000 : 0x88000000,
				 rnd() & ~UINT32_C(1023) };
		bitmodel *const models[] = { &v[0], &v[1], &v[2] };

		for (unsigned k = 0; k < 3; k++)
			v[k] |= i % 70; /* seen so often */
		if (i % 2000 == 7)      /* all agree: beyond what the sum can say */
			v[0] = v[1] = v[2] = UINT32_MAX - 900;
		if (i % 2000 == 8)
			v[0] = v[1] = v[2] = 60;
		assert_int_equal(coder_flag(&b->c, &f, 0, models, 3, b->c.decoding ? 0 : flag),
				 flag);
	}
	assert_true(f.sets[0].w[0] > INT16_MAX - 500);
	assert_true(f.sets[0].w[1] < INT16_MIN + 500);
	flagmix_done(&f);
}

static void flags_come_back_whatever_the_models_say(void **state UNUSED)
{
	there_and_back(flags_with_models_that_whisper);
}

static void flags_that_never_change(struct both *b)
{
	struct flagmix f;
	struct err e;

	assert_ok(flagmix_init(&f, 2, 1, &e), &e);
	for (unsigned set = 0; set < 2; set++) {
		bitmodel m = BITMODEL_INIT, *const models[] = { &m };

		for (unsigned i = 0; i < 5000; i++)
			assert_int_equal(coder_flag(&b->c, &f, set, models, 1,
						    b->c.decoding ? 0 : set),
					 set);
	}
	flagmix_done(&f);
}

static void flags_that_never_change_cost_nearly_nothing(void **state UNUSED)
{
	struct both b;

	there_and_back(flags_that_never_change);
	encode_start(&b);
	flags_that_never_change(&b);
	coder_encode_end(&b.c);
	assert_true(b.coded.n < 80);
	buf_done(&b.coded);
}

static void bytes_of_all_kinds(struct both *b)
{
	struct bytemix m;
	struct tables t = { 0 };
	uint8_t before = 0;
	struct err e;

	assert_ok(tables_init(&t, 6, &e), &e); /* few slots: they are taken away */
	assert_ok(bytemix_init(&m, &t, 2, 3, 9, &e), &e);
	seed = 9;
	for (unsigned i = 0; i < 30000; i++) {
		uint8_t byte = i < 10000 ? (uint8_t) "text of words "[i % 14] : 0;
		uint32_t contexts[] = { before, before & 15, i / 100 };
		unsigned strength = i % 16; /* right most of the time */

		if (i >= 20000)
			byte = (uint8_t)rnd();

		assert_int_equal(coder_byte(&b->c, &m, i & 1, before, contexts,
					    i % 3 ? byte : byte ^ 0x55u, strength,
					    b->c.decoding ? 0 : byte),
				 byte);
		before = byte;
	}
	bytemix_done(&m);
	tables_done(&t);
}

static void bytes_come_back_whatever_was_guessed(void **state UNUSED)
{
	there_and_back(bytes_of_all_kinds);
}

/* Noise, guessed right always, although the guess is called weak. */
static void bytes_guessed_right(struct both *b)
{
	CLEANUP(tables_done) struct tables t = { 0 };
	CLEANUP(bytemix_done) struct bytemix m = { 0 };
	uint8_t before = 0;
	struct err e;

	assert_ok(tables_init(&t, 8, &e), &e);
	assert_ok(bytemix_init(&m, &t, 1, 1, 9, &e), &e);
	seed = 11;
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t byte = (uint8_t)rnd();
		uint32_t context = before;

		assert_int_equal(coder_byte(&b->c, &m, 0, before, &context, byte, 1,
					    b->c.decoding ? 0 : byte),
				 byte);
		before = byte;
	}
}

static void what_a_guess_is_worth_is_learnt(void **state UNUSED)
{
	struct both b;

	there_and_back(bytes_guessed_right);
	encode_start(&b);
	bytes_guessed_right(&b);
	coder_encode_end(&b.c);
	assert_in_range(b.coded.n, 1, 1200); /* of 20000 */
	buf_done(&b.coded);
}

/* ---- the ends ---- */

static void a_decoder_sees_zeros_behind_the_end_and_tells(void **state UNUSED)
{
	struct both b;
	struct err e;

	encode_start(&b);
	decode_start(&b); /* nothing was coded: four zeros are not too many */
	assert_ok(coder_ok(&b.c, &e), &e);
	for (unsigned i = 0; i < 8; i++)
		coder_plain(&b.c, 0);
	assert_fails(coder_ok(&b.c, &e), &e, E_CORRUPT);
	buf_done(&b.coded);
}

static void a_source_that_fails_is_told_with_its_reason(void **state UNUSED)
{
	struct both b;
	struct err e = { 0 };

	encode_start(&b);
	coder_encode_end(&b.c);
	b.broken = true;
	coder_decode_start(&b.c, more, &b, &b.e);
	coder_plain(&b.c, 0);
	assert_fails(coder_ok(&b.c, &e), &e, E_SYSTEM);
	assert_false(coder_ok(&b.c, &b.e)); /* the same place: nothing to copy */
	assert_string_equal(b.e.text, "the disk is gone");
	buf_done(&b.coded);
}

static void an_encoder_whose_output_is_full_tells(void **state UNUSED)
{
	struct buf small = BUF_INIT(10);
	struct coder c;
	struct err e, other;

	coder_encode_start(&c, &small, &e);
	for (unsigned i = 0; i < 100; i++)
		coder_plain(&c, (uint8_t)(i * 77));
	coder_encode_end(&c);
	assert_fails(coder_ok(&c, &other), &other, E_TOO_BIG);
	assert_int_equal(small.n, 10);
	buf_done(&small);
}

/* The shortest end: also where the interval touches the top. */
static void every_end_decodes(void **state UNUSED)
{
	for (unsigned n = 0; n < 3000; n++) {
		struct both b;
		struct err e;

		encode_start(&b);
		seed = n;
		for (unsigned i = 0; i < n % 40; i++) {
			unsigned p = 1 + rnd() % 65535, bit = n % 3 == 0 ? 0 : rnd() & 1;

			coder_code(&b.c, p, bit);
		}
		decode_start(&b);
		seed = n;
		for (unsigned i = 0; i < n % 40; i++) {
			unsigned p = 1 + rnd() % 65535, bit = n % 3 == 0 ? 0 : rnd() & 1;

			assert_int_equal(coder_code(&b.c, p, 0), bit);
		}
		assert_ok(coder_ok(&b.c, &e), &e);
		buf_done(&b.coded);
	}
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	FAULT_EACH(n, FAULT_ALLOC) {
		struct flagmix f = { 0 };
		struct tables t = { 0 };
		struct bytemix b = { 0 };
		struct err e;

		if (!flagmix_init(&f, 4, 2, &e) || !tables_init(&t, 4, &e) ||
		    !bytemix_init(&b, &t, 1, 2, 0, &e))
			assert_int_equal(e.code, E_NOMEM);
		flagmix_done(&f);
		bytemix_done(&b);
		tables_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_come_back),
		cmocka_unit_test(a_bit_that_hardly_changes_costs_nearly_nothing),
		cmocka_unit_test(numbers_up_to_2_to_the_62_come_back),
		cmocka_unit_test(mixed_numbers_up_to_2_to_the_62_come_back),
		cmocka_unit_test(numbers_of_whole_blocks_cost_only_the_number_of_the_block),
		cmocka_unit_test(flags_come_back_whatever_the_models_say),
		cmocka_unit_test(flags_that_never_change_cost_nearly_nothing),
		cmocka_unit_test(bytes_come_back_whatever_was_guessed),
		cmocka_unit_test(what_a_guess_is_worth_is_learnt),
		cmocka_unit_test(a_decoder_sees_zeros_behind_the_end_and_tells),
		cmocka_unit_test(a_source_that_fails_is_told_with_its_reason),
		cmocka_unit_test(an_encoder_whose_output_is_full_tells),
		cmocka_unit_test(every_end_decodes),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
