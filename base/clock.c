#include "base/clock.h"

#include <time.h>

static int64_t system_wall_s(const struct clock *c)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

static int64_t system_boot_ms(const struct clock *c)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const struct clock *clock_system(void)
{
	static const struct clock clock = { system_wall_s, system_boot_ms };

	return &clock;
}

static int64_t fake_wall_s(const struct clock *c)
{
	return ((const struct clock_fake *)c)->now_s;
}

static int64_t fake_boot_ms(const struct clock *c)
{
	return ((const struct clock_fake *)c)->now_ms;
}

void clock_fake_init(struct clock_fake *c, int64_t wall_s)
{
	*c = (struct clock_fake){
		.base = { fake_wall_s, fake_boot_ms },
		.now_s = wall_s,
		.now_ms = 1000,
	};
}

void clock_fake_advance(struct clock_fake *c, int64_t ms)
{
	int64_t before_ms = c->now_ms;

	c->now_ms += ms;
	/* Whole seconds only, carried over from call to call: 2 x 500 ms are a second. */
	c->now_s += c->now_ms / 1000 - before_ms / 1000;
}
