/* The checksums of gzip, zlib and zip are what zlib says they are. */
#include "tests/support/unit.h"
#include "delta/checksum.h"

#include <zlib.h>

enum { MOST = 20000 };

static uint8_t bytes[MOST];

static int setup(void **state UNUSED)
{
	for (unsigned i = 0; i < MOST; i++)
		bytes[i] = (uint8_t)(255 - (i * i >> 7) % 3);
	return 0;
}

/* Every length around the eight bytes of one step, from every alignment; and sums that overflow. */
static void checksums_of_any_length_are_zlibs(void **state UNUSED)
{
	for (unsigned from = 0; from < 8; from++)
		for (unsigned n = 0; n < 70; n++) {
			assert_int_equal(checksum_crc32(0, bytes + from, n),
					 crc32(0, bytes + from, n));
			assert_int_equal(checksum_adler32(1, bytes + from, n),
					 adler32(1, bytes + from, n));
		}
	assert_int_equal(checksum_crc32(0, bytes, MOST), crc32(0, bytes, MOST));
	assert_int_equal(checksum_adler32(1, bytes, MOST), adler32(1, bytes, MOST));
}

static void checksums_go_on_where_they_were(void **state UNUSED)
{
	for (unsigned cut = 0; cut < MOST; cut += 1 + cut / 3) {
		uint32_t crc = checksum_crc32(0, bytes, cut);
		uint32_t adler = checksum_adler32(1, bytes, cut);

		assert_int_equal(checksum_crc32(crc, bytes + cut, MOST - cut),
				 crc32(0, bytes, MOST));
		assert_int_equal(checksum_adler32(adler, bytes + cut, MOST - cut),
				 adler32(1, bytes, MOST));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_of_any_length_are_zlibs),
		cmocka_unit_test(checksums_go_on_where_they_were),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
