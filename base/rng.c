#include "base/rng.h"

#include <stdlib.h>

#include <sodium.h>

static void system_fill(const struct rng *r, void *p, size_t n)
{
	randombytes_buf(p, n);
}

const struct rng *rng_system(void)
{
	static const struct rng rng = { system_fill };

	if (sodium_init() < 0) /* cheap and thread-safe after the first time */
		abort();
	return &rng;
}

/* splitmix64: every seed gives a different and well-mixed sequence. */
static void fake_fill(const struct rng *r, void *p, size_t n)
{
	uint64_t *state = ((const struct rng_fake *)r)->state;
	uint8_t *out = p;

	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0) {
			uint64_t z = state[0] += UINT64_C(0x9e3779b97f4a7c15);

			z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
			z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
			state[1] = z ^ z >> 31;
		}
		out[i] = (uint8_t)(state[1] >> 8 * (i % 8));
	}
}

void rng_fake_init(struct rng_fake *r, uint64_t seed)
{
	r->base.fill = fake_fill;
	r->state_[0] = seed;
	r->state_[1] = 0;
	r->state = r->state_;
}

uint64_t rng_below(const struct rng *r, uint64_t bound)
{
	uint64_t v, unfair;

	if (bound == 0)
		return 0;
	/* 2^64 mod bound values at the bottom would come up once more than the others. */
	unfair = -bound % bound;
	do {
		rng_fill(r, &v, sizeof(v));
	} while (v < unfair);
	return v % bound;
}
