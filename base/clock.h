/* base/clock.h - time is handed in, so tests can set it.
 *
 * Code that needs the time takes `const struct clock *`.  Programs use clock_system(); tests use
 * struct clock_fake.  Wall time may jump; boot time never goes back and counts suspend too. */
#ifndef VALISE_BASE_CLOCK_H
#define VALISE_BASE_CLOCK_H

#include "base/attr.h"

struct clock {
	int64_t (*wall_s)(const struct clock *c);  /* seconds since 1970, UTC */
	int64_t (*boot_ms)(const struct clock *c); /* milliseconds, monotone; zero is anywhere */
};

const struct clock *clock_system(void);

/* A clock that stands still until moved.  In programs, only behind a test-only switch. */
struct clock_fake {
	struct clock base;
	int64_t now_s, now_ms;
};
void clock_fake_init(struct clock_fake *c, int64_t wall_s);
void clock_fake_advance(struct clock_fake *c, int64_t ms);

static inline int64_t clock_wall_s(const struct clock *c)
{
	return c->wall_s(c);
}

static inline int64_t clock_boot_ms(const struct clock *c)
{
	return c->boot_ms(c);
}

#endif
