#include "agent/ttime.h"

#include "base/io.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>

static bool is_known(const uint8_t *id, size_t n)
{
	static const uint8_t zeros[SHA256_SIZE];

	return memcmp(id, zeros, n) != 0;
}

void ttime_init(struct ttime *t, const struct clock *clock, const struct state *s,
		const uint8_t boot_id[static 16])
{
	int64_t now_ms = clock_boot_ms(clock);
	int64_t since_ms = now_ms - s->boot_ms;
	bool same_boot = is_known(boot_id, 16) && memcmp(boot_id, s->boot_id, 16) == 0;

	*t = (struct ttime){ .clock = clock, .base_s = s->trusted_s, .base_ms = now_ms };
	memcpy(t->boot_id, boot_id, sizeof(t->boot_id));
	memcpy(t->keys, s->time_keys, sizeof(t->keys));
	if (same_boot && since_ms > 0)
		t->base_s += since_ms / 1000;
	if (t->base_s < TTIME_BUILT_S)
		t->base_s = TTIME_BUILT_S;
}

int64_t ttime_now_s(const struct ttime *t)
{
	return t->base_s + (clock_boot_ms(t->clock) - t->base_ms) / 1000;
}

static bool is_fresh(int64_t said_s, int64_t expires_s)
{
	return said_s < expires_s && said_s >= expires_s - TTIME_FRESH_MAX_S;
}

bool ttime_is_anew(const uint8_t known[static SHA256_SIZE],
		   const uint8_t keys[static SHA256_SIZE])
{
	return is_known(known, SHA256_SIZE) && memcmp(known, keys, SHA256_SIZE) != 0;
}

int64_t ttime_anew_s(int64_t said_s, int64_t expires_s)
{
	int64_t s = is_fresh(said_s, expires_s) ? said_s : expires_s - TTIME_FRESH_MAX_S;

	return s < TTIME_BUILT_S ? TTIME_BUILT_S : s;
}

void ttime_step(struct ttime *t, int64_t said_s, int64_t expires_s,
		const uint8_t keys[static SHA256_SIZE])
{
	int64_t to_s = ttime_now_s(t);

	if (ttime_is_anew(t->keys, keys))
		to_s = ttime_anew_s(said_s, expires_s);
	else if (said_s > to_s && is_fresh(said_s, expires_s))
		to_s = said_s;
	t->base_s = to_s;
	t->base_ms = clock_boot_ms(t->clock);
	memcpy(t->keys, keys, sizeof(t->keys));
}

void ttime_store(const struct ttime *t, struct state *s)
{
	s->trusted_s = ttime_now_s(t);
	s->boot_ms = clock_boot_ms(t->clock);
	memcpy(s->boot_id, t->boot_id, sizeof(s->boot_id));
	memcpy(s->time_keys, t->keys, sizeof(s->time_keys));
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
