#include "client/backoff.h"

static uint64_t ceiling_ms(const struct backoff *b)
{
	unsigned doublings = b->failures > 0 ? b->failures - 1 : 0;

	if (doublings >= 63 || b->base_ms > b->max_ms >> doublings)
		return b->max_ms;
	return b->base_ms << doublings;
}

void backoff_fail(struct backoff *b, const struct clock *clock, const struct rng *rng,
		  int64_t retry_after_s)
{
	uint64_t wait_ms;

	if (b->failures < UINT16_MAX)
		b->failures++;
	wait_ms = rng_below(rng, ceiling_ms(b) + 1);
	if (retry_after_s > BACKOFF_RETRY_AFTER_MAX_S)
		retry_after_s = BACKOFF_RETRY_AFTER_MAX_S;
	if (retry_after_s > 0 && wait_ms < (uint64_t)retry_after_s * 1000) {
		uint64_t asked_ms = (uint64_t)retry_after_s * 1000;
		uint64_t spread_ms = asked_ms / 10 > b->base_ms ? asked_ms / 10 : b->base_ms;

		wait_ms = asked_ms + rng_below(rng, spread_ms + 1);
	}
	b->due_ms = clock_boot_ms(clock) + (int64_t)wait_ms;
}

void backoff_ok(struct backoff *b)
{
	b->failures = 0;
	b->due_ms = 0;
}

uint64_t backoff_wait_ms(const struct backoff *b, const struct clock *clock)
{
	int64_t now_ms = clock_boot_ms(clock);

	if (b->failures == 0 || b->due_ms <= now_ms)
		return 0;
	return (uint64_t)(b->due_ms - now_ms);
}
