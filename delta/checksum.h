/* delta/checksum.h - the checksums that stand behind packed streams: recomputed, so that a changed
 * stream does not cost them.  CRC-32 as in RFC 1952, Adler-32 as in RFC 1950. */
#ifndef VALISE_DELTA_CHECKSUM_H
#define VALISE_DELTA_CHECKSUM_H

#include "base/attr.h"

uint32_t checksum_crc32(uint32_t before, const uint8_t *p, size_t n);   /* before: 0 at first */
uint32_t checksum_adler32(uint32_t before, const uint8_t *p, size_t n); /* before: 1 at first */

#endif
