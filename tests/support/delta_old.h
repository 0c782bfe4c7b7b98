/* tests/support/delta_old.h - the old image of tests/fuzz/fuzz_delta.c and of the seeds that it begins with: a little of
 * all that the coding knows, in 65,000 bytes.
 *
 *	    0   x86-64 code        its addresses are those of the image
 *	 8192   arm64 code
 *	16384   text
 *	24576   noise
 *	28672   records
 *	32768   four deflate streams: zlib's level 6 with its header; gzip's level 9 with its; one in two parts, the second of
 *	        which lies first, and with blocks of all kinds; 4.5 MiB of four bytes again and again, with a
 *	        line of text in every 256 KiB
 *	        zeros to the end
 *
 * It depends on nothing but delta/pack.c, which gives the same bytes for ever. */
#ifndef VALISE_TESTS_DELTA_OLD_H
#define VALISE_TESTS_DELTA_OLD_H

#include "delta/deflate.h"

enum {
	OLD_X86 = 0,
	OLD_ARM64 = 8192,
	OLD_TEXT = 16384,
	OLD_NOISE = 24576,
	OLD_RECORDS = 28672,
	OLD_ZLIB = 32768,
	OLD_CODE_N = 8192,
	OLD_N = 65000,
	OLD_BASE = 65536, /* where plain bytes begin in the old space (delta/space.h) */
	OLD_STREAMS = 4,
	OLD_PARTS = 2,      /* the stream in two */
	OLD_LONG = 3,       /* the long one, of more chunks (delta/space.h) than are kept */
	OLD_PLAIN_N = 9000, /* of the others */
	OLD_LONG_N = (9 << 19) + 1000,
	OLD_SPACE_N = OLD_BASE + OLD_LONG * OLD_PLAIN_N + OLD_LONG_N,
};

/* Where a stream's plain bytes are in the old space. */
static inline uint64_t old_plain(unsigned stream)
{
	return OLD_BASE + (uint64_t)stream * OLD_PLAIN_N;
}

struct delta_old {
	uint8_t space[OLD_SPACE_N]; /* the image, zeros, the streams' plain bytes */
	struct stream streams[OLD_STREAMS];
	struct extent more[1];
};

/* Made once; not for several threads. */
const struct delta_old *delta_old(void);

/* Its first bytes in an unnamed file: OLD_N, or fewer. */
int delta_old_file(uint64_t size);

/* Where code lies: what was at `from` or behind it in an old image has moved by so many bytes. */
struct moved {
	uint32_t base; /* of the bytes that are made */
	uint32_t from;
	int32_t by;
};

/* n bytes of each, always the same for a seed. */
void fill_x86(uint8_t *p, size_t n, const struct moved *m, uint32_t seed);
void fill_arm64(uint8_t *p, size_t n, const struct moved *m, uint32_t seed); /* n % 4 == 0 */
void fill_text(uint8_t *p, size_t n, uint32_t seed);
void fill_noise(uint8_t *p, size_t n, uint32_t seed);
void fill_records(uint8_t *p, size_t n, uint32_t seed); /* of 16 bytes each */

/* The deflate stream of these bytes, as the recipe says, added to out. */
void add_packed(struct buf *out, const struct recipe *r, const uint8_t *plain, size_t n);

#endif
