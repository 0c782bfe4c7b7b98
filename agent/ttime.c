#include "agent/ttime.h"

#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>

static bool is_known(const uint8_t id[static 16])
{
	static const uint8_t zeros[16];

	return memcmp(id, zeros, sizeof(zeros)) != 0;
}

void ttime_init(struct ttime *t, const struct clock *clock, const struct state *s,
		const uint8_t boot_id[static 16])
{
	int64_t now_ms = clock_boot_ms(clock);
	int64_t since_ms = now_ms - s->boot_ms;
	bool same_boot = is_known(boot_id) && memcmp(boot_id, s->boot_id, 16) == 0;

	*t = (struct ttime){ .clock = clock, .base_s = s->trusted_s, .base_ms = now_ms };
	memcpy(t->boot_id, boot_id, sizeof(t->boot_id));
	if (same_boot && since_ms > 0)
		t->base_s += since_ms / 1000;
	if (t->base_s < TTIME_BUILT_S)
		t->base_s = TTIME_BUILT_S;
}

int64_t ttime_now_s(const struct ttime *t)
{
	return t->base_s + (clock_boot_ms(t->clock) - t->base_ms) / 1000;
}

void ttime_step(struct ttime *t, int64_t said_s, int64_t expires_s)
{
	if (said_s <= ttime_now_s(t) || said_s >= expires_s ||
	    said_s < expires_s - TTIME_FRESH_MAX_S)
		return;
	t->base_s = said_s;
	t->base_ms = clock_boot_ms(t->clock);
}

void ttime_store(const struct ttime *t, struct state *s)
{
	s->trusted_s = ttime_now_s(t);
	s->boot_ms = clock_boot_ms(t->clock);
	memcpy(s->boot_id, t->boot_id, sizeof(s->boot_id));
}

/* "3c2fbc0f-5f4d-4f0c-9d0e-0123456789ab" */
void ttime_boot_id(uint8_t out[static 16])
{
	char text[64], hex[33];
	struct err ignored;
	size_t n = 0, h = 0;
	CLEANUP(fd_closep)
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(out, 0, 16);
	if (fd < 0 || !read_up_to(fd, text, sizeof(text), &n, &ignored))
		return;
	for (size_t i = 0; i < n && h < 32; i++)
		if (text[i] != '-')
			hex[h++] = text[i];
	if (h == 32 && !hex_decode(out, 16, hex, h))
		memset(out, 0, 16);
}
