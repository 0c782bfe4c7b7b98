/* server/hash.h - a keyed 64-bit hash for tables in memory (SipHash-1-3: Aumasson and Bernstein 2012,
 * with the rounds that Python, Ruby and Rust take for theirs).  With a random seed, nobody outside can
 * choose keys that collide. */
#ifndef VALISE_SERVER_HASH_H
#define VALISE_SERVER_HASH_H

#include "base/bytes.h"

static inline uint64_t hash_rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static inline void hash_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = hash_rotl(v[1], 13) ^ v[0];
	v[0] = hash_rotl(v[0], 32);
	v[2] += v[3];
	v[3] = hash_rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = hash_rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = hash_rotl(v[1], 17) ^ v[2];
	v[2] = hash_rotl(v[2], 32);
}

/* The 128-bit key of SipHash is made from one 64-bit seed: enough against flooding. */
static inline uint64_t hash64(const void *key, size_t n, uint64_t seed)
{
	const uint8_t *p = key;
	uint64_t k0 = seed, k1 = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	uint64_t v[4] = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
			  k0 ^ UINT64_C(0x6c7967656e657261),
			  k1 ^ UINT64_C(0x7465646279746573) };
	uint64_t last = (uint64_t)n << 56;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t m = get_le64(p + i);

		v[3] ^= m;
		hash_round(v);
		v[0] ^= m;
	}
	for (unsigned shift = 0; i < n; i++, shift += 8)
		last |= (uint64_t)p[i] << shift;
	v[3] ^= last;
	hash_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int k = 0; k < 3; k++)
		hash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
