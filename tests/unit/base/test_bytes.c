#include "tests/support/unit.h"
#include "base/bytes.h"

static void integers_are_little_endian(void **state)
{
	static const uint8_t raw[] = { 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x81 };
	uint8_t out[8];

	assert_int_equal(get_le16(raw), 0xcdef);
	assert_int_equal(get_le32(raw), 0x89abcdef);
	assert_true(get_le64(raw) == UINT64_C(0x8123456789abcdef));
	put_le64(out, UINT64_C(0x8123456789abcdef));
	assert_memory_equal(out, raw, 8);
}

static void a_reader_stops_at_the_end_and_stays_bad(void **state)
{
	static const uint8_t raw[] = { 1, 2, 0, 3, 0, 0, 0 };

	for (size_t n = 0; n <= sizeof(raw); n++) {
		struct rd r = rd_init(raw, n);
		uint8_t a = rd_u8(&r);
		uint16_t b = rd_le16(&r);
		uint32_t c = rd_le32(&r);

		assert_int_equal(rd_ok_at_end(&r), n == sizeof(raw));
		assert_int_equal(a, n >= 1 ? 1 : 0);
		assert_int_equal(b, n >= 3 ? 2 : 0);
		assert_int_equal(c, n >= 7 ? 3 : 0);
		assert_true(n >= 7 || rd_u8(&r) == 0);
	}
}

static void bytes_left_over_are_not_fine(void **state)
{
	static const uint8_t raw[9] = { 0 };
	struct rd r = rd_init(raw, sizeof(raw));

	assert_true(rd_le64(&r) == 0);
	assert_false(rd_ok_at_end(&r));
	assert_int_equal(rd_left(&r), 1);
	r = rd_init(raw, 7);
	assert_true(rd_le64(&r) == 0 && r.bad);
}

static void a_length_near_the_end_of_memory_does_not_wrap(void **state)
{
	static const uint8_t raw[4] = { 0 };
	struct rd r = rd_init(raw, sizeof(raw));

	assert_null(rd_bytes(&r, SIZE_MAX));
	assert_null(rd_bytes(&r, 0));
	assert_true(r.bad);
}

static void a_varint_reads_the_same_up_to_56_bits(void **state)
{
	uint8_t raw[VARINT_ROOM];

	for (unsigned bits = 0; bits <= 64; bits++) {
		uint64_t v = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
		size_t n = put_varint(raw, v);
		struct rd r = rd_init(raw, n);

		assert_int_equal(n, bits ? (bits + 6) / 7 : 1);
		assert_true(rd_varint(&r) == (bits <= 56 ? v : 0));
		assert_int_equal(rd_ok_at_end(&r), bits <= 56);
		r = rd_init(raw, n - 1); /* cut */
		assert_true(rd_varint(&r) == 0 && r.bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(a_reader_stops_at_the_end_and_stays_bad),
		cmocka_unit_test(bytes_left_over_are_not_fine),
		cmocka_unit_test(a_varint_reads_the_same_up_to_56_bits),
		cmocka_unit_test(a_length_near_the_end_of_memory_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
