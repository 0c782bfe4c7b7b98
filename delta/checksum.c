#include "delta/checksum.h"

#include "base/bytes.h"

#include <pthread.h>

enum { ADLER_MOD = 65521, ADLER_RUN = 5552 /* sums of so many bytes fit into 32 bits */ };

static uint32_t tables[8][256];

static void tables_make(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t c = i;

		for (unsigned b = 0; b < 8; b++)
			c = c >> 1 ^ (0xedb88320 & -(c & 1));
		tables[0][i] = c;
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned i = 0; i < 256; i++)
			tables[k][i] =
				tables[k - 1][i] >> 8 ^ tables[0][tables[k - 1][i] & 255];
}

/* Eight bytes at once, each with the table of its distance from the end. */
uint32_t checksum_crc32(uint32_t before, const uint8_t *p, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint32_t c = ~before;

	pthread_once(&once, tables_make);
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t a = c ^ get_le32(p), b = get_le32(p + 4);

		c = tables[7][a & 255] ^ tables[6][a >> 8 & 255] ^ tables[5][a >> 16 & 255] ^
		    tables[4][a >> 24] ^ tables[3][b & 255] ^ tables[2][b >> 8 & 255] ^
		    tables[1][b >> 16 & 255] ^ tables[0][b >> 24];
	}
	for (; n; n--)
		c = c >> 8 ^ tables[0][(c ^ *p++) & 255];
	return ~c;
}

uint32_t checksum_adler32(uint32_t before, const uint8_t *p, size_t n)
{
	uint32_t a = before & 0xffff, b = before >> 16;

	while (n) {
		size_t run = n < ADLER_RUN ? n : ADLER_RUN;

		for (n -= run; run; run--) {
			a += *p++;
			b += a;
		}
		a %= ADLER_MOD;
		b %= ADLER_MOD;
	}
	return b << 16 | a;
}
