#include "delta/known.h"

#include <stdlib.h>
#include <string.h>

enum { BITS_PER_BLOCK = 32, LOG_MIN = 16, LOG_MAX = 29, SAMPLE_EVERY = 256 };

bool known_init(struct known *k, uint64_t size, struct err *e)
{
	k->log = LOG_MIN;
	while (k->log < LOG_MAX && UINT64_C(1) << k->log < size / KNOWN_BLOCK * BITS_PER_BLOCK)
		k->log++;
	k->bits = calloc((size_t)1 << (k->log - 6), sizeof(*k->bits));
	return k->bits || err_nomem(e);
}

void known_done(struct known *k)
{
	free(k->bits);
	k->bits = NULL;
}

static uint64_t block_hash(const uint8_t *block)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < KNOWN_BLOCK; i += SAMPLE_EVERY) {
		uint64_t v;

		memcpy(&v, block + i, sizeof(v));
		h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return h;
}

/* Two places from the two ends of the hash. */
static uint64_t place(const struct known *k, uint64_t hash, unsigned which)
{
	return which ? hash >> (64 - k->log) : hash & ((UINT64_C(1) << k->log) - 1);
}

void known_add(struct known *k, const uint8_t *p, uint64_t n)
{
	for (; n >= KNOWN_BLOCK; p += KNOWN_BLOCK, n -= KNOWN_BLOCK) {
		uint64_t hash = block_hash(p);

		for (unsigned i = 0; i < 2; i++) {
			uint64_t at = place(k, hash, i);

			__atomic_fetch_or(&k->bits[at / 64], UINT64_C(1) << at % 64,
					  __ATOMIC_RELAXED);
		}
	}
}

bool known_has(const struct known *k, const uint8_t *block)
{
	uint64_t hash = block_hash(block);

	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = place(k, hash, i);

		if (!(k->bits[at / 64] >> at % 64 & 1))
			return false;
	}
	return true;
}
