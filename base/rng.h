/* base/rng.h - randomness is handed in, so tests can repeat a run.
 *
 * rng_system() is libsodium's generator (getrandom); it does not fail once sodium is
 * initialised, which rng_system() does on first use and aborts if the kernel has none. */
#ifndef VALISE_BASE_RNG_H
#define VALISE_BASE_RNG_H

#include "base/attr.h"

struct rng {
	void (*fill)(const struct rng *r, void *p, size_t n);
};

const struct rng *rng_system(void);

/* The same bytes for the same seed; for tests only. */
struct rng_fake {
	struct rng base;
	uint64_t *state;
	uint64_t state_[2];
};
void rng_fake_init(struct rng_fake *r, uint64_t seed);

static inline void rng_fill(const struct rng *r, void *p, size_t n)
{
	r->fill(r, p, n);
}

/* Uniform in [0, bound); 0 for bound 0.  For jitter. */
uint64_t rng_below(const struct rng *r, uint64_t bound);

#endif
