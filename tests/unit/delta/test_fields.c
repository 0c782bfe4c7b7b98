/* Addresses in code and tables: found by opcode, and expected where the commands moved them. */
#include "tests/support/unit.h"
#include "base/bytes.h"
#include "delta/code.h"
#include "delta/fields.h"

enum { ROOM = CODE_BLOCK + CODE_BEFORE + CODE_AFTER };

static struct fields fields;
static uint8_t room[ROOM], *old, expected[CODE_BLOCK + FIELD_SPILL],
	kinds[CODE_BLOCK + FIELD_SPILL];

static void end_fields(void)
{
	fields_done(&fields);
}

/* Nothing is known yet but these commands of one raw piece, of which the one at hand moved by 0. */
static void begin(const struct op *ops, size_t n)
{
	struct piece p = { .ops = (uint32_t)n };
	struct err e;

	end_fields();
	assert_ok(fields_init(&fields, &e), &e);
	assert_ok(fields_map(&fields, &p, 1, ops, n, &e), &e);
	fields_start(&fields, 0);
	old = room + CODE_BEFORE;
	memset(room, 0xcc, sizeof(room));
}

/* Old bytes up to 4096 stay where they are; what follows moves by 500. */
static void begin_moved(void)
{
	static const struct op ops[] = { { .kind = OP_COPY, .n = 4096, .from = 0 },
					 { .kind = OP_INSERT, .n = 400 },
					 { .kind = OP_ZERO, .n = 100 },
					 { .kind = OP_ADD, .n = 90000, .from = 4096 } };

	begin(ops, ARRAY_SIZE(ops));
}

static void expect(uint64_t address, size_t n)
{
	fields_expect(&fields, expected, kinds, old, address, n);
}

/* A call at 100 to `target`, when the block is at address 0. */
static void put_call(uint64_t target)
{
	old[99] = 0xe8;
	put_le32(old + 100, (uint32_t)(target - 104));
}

static uint32_t field(size_t at)
{
	return get_le32(expected + at);
}

static void assert_field(size_t at, uint32_t value)
{
	assert_int_equal(kinds[at] & FIELD_START, FIELD_START);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(kinds[at + i] & FIELD_MASK, i + 1);
	assert_int_equal(field(at), value);
}

/* ---- what moves ---- */

static void a_call_of_something_that_moved_is_corrected(void **state UNUSED)
{
	begin_moved();
	put_call(5000);
	expect(0, CODE_BLOCK);
	assert_field(100, 5000 + 500 - 104);
	assert_int_equal(kinds[100] & FIELD_DOUBT, 0);
	put_call(2000);
	expect(0, CODE_BLOCK);
	assert_field(100, 2000 - 104);
	/* Beyond all that is known. */
	put_call(1 << 20);
	expect(0, CODE_BLOCK);
	assert_field(100, (1 << 20) - 104);
}

static void code_that_moved_calls_what_stayed(void **state UNUSED)
{
	begin_moved();
	fields_start(&fields, (uint64_t)-500); /* this code moved by 500 */
	old[99] = 0xe9;
	put_le32(old + 100, (uint32_t)(2000 - (5000 + 104)));
	expect(5000, CODE_BLOCK);
	assert_field(100, (uint32_t)(2000 - (5000 + 500 + 104)));
}

static void a_target_before_all_that_was_moved_stays(void **state UNUSED)
{
	static const struct op op = { .kind = OP_COPY, .n = 1000, .from = 5000 };

	begin(&op, 1);
	put_call(200);
	expect(0, CODE_BLOCK);
	assert_field(100, 200 - 104);
}

/* Old bytes that are used several times: the copy that moved most as the caller did is called. */
static void of_several_copies_the_nearest_is_called(void **state UNUSED)
{
	static const struct op ops[] = {
		{ .kind = OP_COPY, .n = 3000, .from = 2000 },
		{ .kind = OP_COPY, .n = 3000, .from = 2000 },
		{ .kind = OP_COPY, .n = 2000, .from = 2000 },
		{ .kind = OP_COPY, .n = 4000, .from = 2000 },
		{ .kind = OP_COPY, .n = 100, .from = 1000 },
		{ .kind = OP_COPY, .n = 3000, .from = 2000 },
	};
	static const struct {
		int64_t moved, shift;
	} rows[] = {
		{ 0, 1000 },      { -3000, -2000 }, { 4500, 4000 },
		{ 20000, 10100 }, { 9000, 10100 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(ops, ARRAY_SIZE(ops));
		fields_start(&fields, (uint64_t)-rows[i].moved);
		put_call(2500);
		expect(0, CODE_BLOCK);
		assert_field(100, (uint32_t)(2500 - 104 + rows[i].shift - rows[i].moved));
	}
}

static int by_any_order(unsigned i, unsigned n)
{
	return (int)(i * 7919 % n);
}

/* The same ranges, whatever the order of their commands: what is expected depends on them alone. */
static void very_many_ranges_are_searched(void **state UNUSED)
{
	enum { RANGES = 1000, BEHIND = 20 };
	static struct op ops[RANGES + BEHIND];

	for (unsigned i = 0; i < RANGES; i++)
		ops[i] = (struct op){ .kind = OP_ADD,
				      .n = 16,
				      .from = 3000000 +
					      16U * (unsigned)by_any_order(i, RANGES) };
	for (unsigned i = 0; i < BEHIND; i++)
		ops[RANGES + i] =
			(struct op){ .kind = OP_COPY, .n = 1 + i % 3, .from = 4000000 };
	begin(ops, ARRAY_SIZE(ops));
	for (unsigned i = 0; i < RANGES; i++) {
		uint32_t target = (uint32_t)ops[i].from + i % 16;

		begin(ops, ARRAY_SIZE(ops));
		put_call(target);
		expect(0, CODE_BLOCK);
		assert_field(100, i * 16 + i % 16 - 104);
	}
	/* Between the ranges, and far behind the last one: nobody knows. */
	begin(ops, ARRAY_SIZE(ops));
	put_call(3900000);
	expect(0, CODE_BLOCK);
	assert_field(100, 3900000 - 104);
	put_call(90000000);
	expect(0, CODE_BLOCK);
	assert_field(100, 90000000 - 104);
}

/* ---- what is a field ---- */

/* How many bytes of the instruction follow the field; -1: b, 0x05 is no instruction with one. */
static int immediate_of(unsigned b)
{
	static const uint8_t none[] = { 0x63, 0xff, 0xd0, 0xd1, 0xd2, 0xd3 };
	static const uint8_t one[] = { 0x80, 0x83, 0xc6, 0xc0, 0xc1, 0xf6 };
	static const uint8_t four[] = { 0x81, 0xc7, 0xf7 };

	if (b <= 0x3b && b % 8 < 4)
		return 0;
	if ((b >= 0x84 && b <= 0x8d) || memchr(none, (int)b, sizeof(none)))
		return 0;
	return memchr(one, (int)b, sizeof(one))     ? 1
	       : memchr(four, (int)b, sizeof(four)) ? 4
						    : -1;
}

static void operands_relative_to_rip_are_found_by_their_opcodes(void **state UNUSED)
{
	for (unsigned b = 0; b < 256; b++)
		for (unsigned reg = 0; reg < 8; reg++) {
			int behind = immediate_of(b);

			if (b == 0xe8 || b == 0xe9)
				continue; /* they are instructions themselves */
			begin_moved();
			/* From 102 on, which is no place of a table's entry. */
			old[100] = (uint8_t)b;
			old[101] = (uint8_t)(0x05 | reg << 3);
			put_le32(old + 102, 5000 - 106 - (behind > 0 ? (uint32_t)behind : 0));
			expect(0, 108);
			if (behind < 0)
				assert_int_equal(kinds[102] & FIELD_START, 0);
			else
				assert_field(102, field(102));
			if (behind >= 0)
				assert_int_equal(field(102), 5500 - 106 - behind);
		}
}

static void long_opcodes_and_branches_are_found(void **state UNUSED)
{
	static const uint8_t codes[][3] = {
		{ 0x0f, 0xb6, 0x05 }, { 0x90, 0x0f, 0x84 }, { 0x90, 0x0f, 0x8f },
		{ 0x90, 0x90, 0xe8 }, { 0x90, 0x90, 0xe9 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		begin_moved();
		memcpy(old + 99, codes[i], 3);
		put_le32(old + 102, 5000 - 106);
		expect(0, CODE_BLOCK);
		assert_field(102, 5500 - 106);
	}
}

static void addresses_of_nothing_or_far_away_are_no_fields(void **state UNUSED)
{
	static const uint32_t rels[] = { 0, 1U << 27, 0x80000000, (uint32_t) - (1 << 27) - 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(rels); i++) {
		begin_moved();
		old[99] = 0xe8;
		put_le32(old + 100, rels[i]);
		expect(0, 110);
		assert_int_equal(kinds[100], 0);
		assert_memory_equal(expected, old, 110);
	}
}

/* ---- what was learnt ---- */

static void learn_as(size_t at, uint32_t value, size_t n)
{
	uint8_t now[CODE_BLOCK];

	memcpy(now, expected, n);
	if (at + 4 <= n)
		put_le32(now + at, value);
	fields_learn(&fields, now, n);
}

static void a_target_seen_before_is_known_better_than_the_commands(void **state UNUSED)
{
	begin_moved();
	put_call(5000);
	expect(0, CODE_BLOCK);
	learn_as(100, 5700 - 104, CODE_BLOCK);
	/* The same target, and one near by: both are in doubt. */
	expect(0, CODE_BLOCK);
	assert_field(100, 5700 - 104);
	assert_int_equal(kinds[100] & FIELD_DOUBT, FIELD_DOUBT);
	put_call(5010);
	expect(0, CODE_BLOCK);
	assert_field(100, 5510 - 104);
	assert_int_equal(kinds[100] & FIELD_DOUBT, FIELD_DOUBT);
}

/* The commands are wrong again and again: what is near by is asked first then. */
static void who_is_wrong_often_is_not_believed(void **state UNUSED)
{
	unsigned right = 0;

	begin_moved();
	for (unsigned i = 0; i < 60; i++) {
		put_call(5000 + i);
		expect(0, CODE_BLOCK);
		right += field(100) == 5700 + i - 104;
		learn_as(100, 5700 + i - 104, CODE_BLOCK);
	}
	assert_true(right > 40);
	put_call(5100);
	expect(0, CODE_BLOCK);
	assert_field(100, 5800 - 104);
}

/* An entry at 200, relative to itself, that became what `becomes` is away from it. */
static void see_entry(uint32_t target, uint32_t becomes)
{
	memset(room, 0xcc, sizeof(room));
	put_le32(old + 200, target - 200);
	expect(0, CODE_BLOCK);
	learn_as(200, becomes - 200, CODE_BLOCK);
}

static bool entry_is_told(uint32_t target)
{
	memset(room, 0xcc, sizeof(room));
	put_le32(old + 200, target - 200);
	expect(0, CODE_BLOCK);
	return kinds[200] & FIELD_START;
}

/* Most of what looks like an entry of a table is none: who says that one changes has to have been right. */
static void entries_of_tables_are_corrected_where_that_was_right(void **state UNUSED)
{
	begin_moved();
	assert_false(entry_is_told(5000));
	assert_int_equal(field(200), 5000 - 200);
	for (uint32_t i = 0; i < 60; i++)
		see_entry(5000 + 4 * i, 5500 + 4 * i);
	assert_true(entry_is_told(9000));
	assert_field(200, 9500 - 200);
	assert_int_equal(kinds[200] & FIELD_DOUBT, 0);
	assert_false(entry_is_told(3000));
	assert_int_equal(field(200), 3000 - 200);
	for (uint32_t i = 0; i < 60; i++)
		see_entry(9000 + 4 * i, 9000 + 4 * i);
	assert_false(entry_is_told(9000));
	assert_int_equal(field(200), 9000 - 200);
}

/* Entries that stay say nothing about those who know where they would go. */
static void entries_of_what_stayed_are_no_proof(void **state UNUSED)
{
	begin_moved();
	for (uint32_t i = 0; i < 60; i++)
		see_entry(2000 + 4 * i, 2000 + 4 * i);
	assert_false(entry_is_told(5000));
}

static void a_field_goes_on_in_the_next_block(void **state UNUSED)
{
	for (unsigned inside = 1; inside <= 4; inside++) {
		uint8_t want[4];

		begin_moved();
		old[100] = 0xe8;
		put_le32(old + 101, 5000 - 105);
		put_le32(want, 5500 - 105);
		expect(0, 101 + inside);
		assert_memory_equal(expected + 101, want, inside);
		learn_as(101, 5500 - 105, 101 + inside);
		memmove(old, old + 101 + inside, 50);
		expect(101 + inside, 50);
		assert_memory_equal(expected, want + inside, 4 - inside);
		for (unsigned i = inside; i < 4; i++)
			assert_int_equal(kinds[i - inside] & FIELD_MASK, i + 1);
		assert_int_equal(kinds[4 - inside], 0);
	}
}

/* ---- arm64 ---- */

static uint32_t arm_b(uint32_t op, int64_t distance)
{
	return op | ((uint32_t)(distance / 4) & 0x03ffffff);
}

static uint32_t arm_19(uint32_t op, int64_t distance)
{
	return op | ((uint32_t)(distance / 4) & 0x7ffff) << 5;
}

static uint32_t arm_adrp(unsigned reg, int64_t pages)
{
	return 0x90000000 | reg | ((uint32_t)pages & 3) << 29 |
	       ((uint32_t)(pages >> 2) & 0x7ffff) << 5;
}

static uint32_t arm_add(unsigned to, unsigned base, unsigned low)
{
	return 0x91000000 | to | base << 5 | low << 10;
}

/* Old bytes up to 8192 stay; what follows moves by 0x2500.  All words are instructions. */
static void begin_arm(void)
{
	static const struct op ops[] = { { .kind = OP_COPY, .n = 8192, .from = 0 },
					 { .kind = OP_INSERT, .n = 0x2500 },
					 { .kind = OP_ADD, .n = 1 << 20, .from = 8192 } };

	begin(ops, ARRAY_SIZE(ops));
	for (size_t i = 0; i + 4 <= sizeof(room); i += 4)
		put_le32(room + i, 0xaa0003f3); /* mov x19, x0 */
	expect(0, CODE_BLOCK);
}

static void branches_of_arm64_follow_their_targets(void **state UNUSED)
{
	static const uint32_t long_ones[] = { 0x14000000, 0x94000000 };
	static const uint32_t short_ones[] = { 0x54000001, 0x34000003, 0xb5000007 };

	for (unsigned i = 0; i < ARRAY_SIZE(long_ones); i++) {
		begin_arm();
		put_le32(old + 100, arm_b(long_ones[i], 10000 - 100));
		put_le32(old + 104, arm_b(long_ones[i], 4 - 104));
		expect(0, CODE_BLOCK);
		assert_field(100, arm_b(long_ones[i], 10000 + 0x2500 - 100));
		assert_field(104, arm_b(long_ones[i], 4 - 104));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(short_ones); i++) {
		begin_arm();
		put_le32(old + 100, arm_19(short_ones[i], 10000 - 100));
		expect(0, CODE_BLOCK);
		assert_field(100, arm_19(short_ones[i], 10000 + 0x2500 - 100));
	}
	/* BC.cond is another instruction. */
	begin_arm();
	put_le32(old + 100, arm_19(0x54000011, 10000 - 100));
	expect(0, CODE_BLOCK);
	assert_int_equal(kinds[100], 0);
}

static void code_of_arm64_that_moved_calls_what_stayed(void **state UNUSED)
{
	begin_arm();
	fields_start(&fields, (uint64_t)-0x2500);
	put_le32(old + 100, arm_b(0x94000000, 1000 - (20480 + 100)));
	put_le32(old + 104, arm_adrp(2, 0 - 5));
	expect(20480, CODE_BLOCK);
	assert_field(100, arm_b(0x94000000, 1000 - (20480 + 100 + 0x2500)));
	assert_field(104, arm_adrp(2, 0 - 7));
}

/* A page and the low 12 bits, in one instruction each. */
static void pages_and_what_lies_in_them_are_corrected(void **state UNUSED)
{
	static const struct {
		uint32_t op;
		unsigned scale;
	} loads[] = {
		{ 0x91000000, 0 }, { 0x39400000, 0 }, { 0x79400000, 1 }, { 0xb9400000, 2 },
		{ 0xf9400000, 3 }, { 0xf9000000, 3 }, { 0x3dc00000, 4 }, { 0xfd400000, 3 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		uint32_t op = loads[i].op | 1 << 5 | 7;
		unsigned scale = loads[i].scale;

		begin_arm();
		put_le32(old + 100, arm_adrp(1, 5));
		put_le32(old + 104, arm_add(3, 2, 16)); /* of a register with no page */
		put_le32(old + 108, op | 0xf00U >> scale << 10);
		expect(0, CODE_BLOCK);
		/* 0x5f00 becomes 0x8400. */
		assert_field(100, arm_adrp(1, 8));
		assert_int_equal(kinds[104], 0);
		assert_field(108, op | 0x400U >> scale << 10);
	}
}

static void a_register_is_a_page_until_it_is_written_or_far_away(void **state UNUSED)
{
	begin_arm();
	put_le32(old + 100, arm_adrp(1, 5));
	put_le32(old + 116, arm_add(1, 1, 0xf00)); /* too far for the page to be sure */
	put_le32(old + 120, arm_add(2, 1, 8));
	put_le32(old + 200, arm_adrp(4, 5));
	put_le32(old + 460, arm_add(2, 4, 8));
	expect(0, CODE_BLOCK);
	assert_field(100, arm_adrp(1, 7)); /* as for 0x5000 */
	assert_field(116, arm_add(1, 1, 0x400));
	assert_int_equal(kinds[120], 0);
	assert_int_equal(kinds[460], 0);
}

static void what_instructions_of_arm64_became_is_learnt(void **state UNUSED)
{
	uint8_t now[CODE_BLOCK];

	begin_arm();
	put_le32(old + 100, arm_b(0x94000000, 10000 - 100));
	put_le32(old + 200, arm_adrp(1, 5));
	put_le32(old + 204, arm_add(2, 1, 0xf00));
	put_le32(old + 300, arm_b(0x94000000, 40000 - 300));
	for (unsigned i = 0; i < 2; i++) {
		expect(0, CODE_BLOCK);
		memcpy(now, expected, sizeof(now));
		put_le32(now + 100, arm_b(0x94000000, 16000 - 100));
		put_le32(now + 200, arm_adrp(1, 6));
		put_le32(now + 204, arm_add(2, 1, 0xffc));
		put_le32(now + 300, 0xd65f03c0); /* another instruction: says nothing */
		fields_learn(&fields, now, sizeof(now));
	}
	expect(0, CODE_BLOCK);
	assert_field(100, arm_b(0x94000000, 16000 - 100));
	assert_field(200, arm_adrp(1, 6));
	assert_field(204, arm_add(2, 1, 0xffc));
	assert_field(300, arm_b(0x94000000, 40000 + 0x2500 - 300));
}

/* Nobody says which processor it is for: the words of some blocks do. */
static void code_is_told_by_its_words(void **state UNUSED)
{
	/* Bytes of a call on x86-64, but among instructions of arm64. */
	begin_arm();
	put_call(5000);
	expect(0, CODE_BLOCK);
	assert_int_equal(kinds[100], 0);
	/* An instruction of arm64, but no word is where one could be. */
	begin_arm();
	put_le32(old + 99, arm_b(0x94000000, 5000 - 100));
	expect(0, CODE_BLOCK);
	assert_int_equal(kinds[99], 0);
	/* Code at an odd place: words count from where addresses are multiples of 4. */
	begin_arm();
	memmove(old + 1, old, CODE_BLOCK);
	put_le32(old + 101, arm_b(0x94000000, 10000 - 100));
	expect(4095, CODE_BLOCK);
	assert_field(101, arm_b(0x94000000, 10000 + 0x2500 - 100));
	/* Among other bytes an instruction of arm64 is none. */
	begin_moved();
	put_le32(old + 100, arm_b(0x94000000, 5000 - 100));
	expect(0, CODE_BLOCK);
	assert_int_equal(kinds[100], 0);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	static const struct op op = { .kind = OP_COPY, .n = 1000, .from = 5000 };
	const struct piece p = { .ops = 1 };

	FAULT_EACH(n, FAULT_ALLOC) {
		struct fields f;
		struct err e = { 0 };

		if (!fields_init(&f, &e) || !fields_map(&f, &p, 1, &op, 1, &e))
			assert_int_equal(e.code, E_NOMEM);
		fields_done(&f);
	}
}

static int teardown(void **state UNUSED)
{
	end_fields();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_of_something_that_moved_is_corrected),
		cmocka_unit_test(code_that_moved_calls_what_stayed),
		cmocka_unit_test(a_target_before_all_that_was_moved_stays),
		cmocka_unit_test(of_several_copies_the_nearest_is_called),
		cmocka_unit_test(very_many_ranges_are_searched),
		cmocka_unit_test(operands_relative_to_rip_are_found_by_their_opcodes),
		cmocka_unit_test(long_opcodes_and_branches_are_found),
		cmocka_unit_test(addresses_of_nothing_or_far_away_are_no_fields),
		cmocka_unit_test(a_target_seen_before_is_known_better_than_the_commands),
		cmocka_unit_test(who_is_wrong_often_is_not_believed),
		cmocka_unit_test(entries_of_tables_are_corrected_where_that_was_right),
		cmocka_unit_test(entries_of_what_stayed_are_no_proof),
		cmocka_unit_test(a_field_goes_on_in_the_next_block),
		cmocka_unit_test(branches_of_arm64_follow_their_targets),
		cmocka_unit_test(code_of_arm64_that_moved_calls_what_stayed),
		cmocka_unit_test(pages_and_what_lies_in_them_are_corrected),
		cmocka_unit_test(a_register_is_a_page_until_it_is_written_or_far_away),
		cmocka_unit_test(what_instructions_of_arm64_became_is_learnt),
		cmocka_unit_test(code_is_told_by_its_words),
		cmocka_unit_test(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, teardown);
}
