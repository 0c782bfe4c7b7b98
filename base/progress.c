#include "base/progress.h"
#include "base/text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { REDRAW_MS = 100 };

/* One lock for all bars: they share standard error. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned terminal_width(void)
{
	struct winsize w;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 40 ? w.ws_col : 80;
}

static unsigned percent(const struct progress *p)
{
	if (p->total == 0)
		return 100;
	return p->done >= p->total ? 100 : (unsigned)((double)p->done * 100 / (double)p->total);
}

static double bytes_per_s(const struct progress *p)
{
	int64_t ms = clock_boot_ms(p->clock) - p->started_ms;

	return ms > 0 ? (double)p->done * 1000 / (double)ms : 0;
}

/* "1:05", "2:00:00"; nothing while there is nothing to tell from. */
static void format_left(char out[static 16], const struct progress *p)
{
	double rate = bytes_per_s(p);
	uint64_t s;

	out[0] = 0;
	if (rate < 1 || p->done >= p->total)
		return;
	s = (uint64_t)((double)(p->total - p->done) / rate);
	if (s < 3600)
		snprintf(out, 16, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
	else if (s < 100 * 3600)
		snprintf(out, 16, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60,
			 s % 60);
}

/* name [#####-----]  42%  12.3 MB  4.5 MB/s  0:07 */
static void draw(struct progress *p)
{
	char done[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX], left[16], bar[41], line[256];
	unsigned width = terminal_width(), bar_n = width < 100 ? width / 5 : 40;
	unsigned full = bar_n * percent(p) / 100;

	size_format(done, p->done);
	size_format(rate, (uint64_t)bytes_per_s(p));
	format_left(left, p);
	memset(bar, '-', bar_n);
	memset(bar, '#', full);
	bar[bar_n] = 0;
	snprintf(line, sizeof(line), "%-*.*s [%s] %3u%%  %9s  %9s/s  %s", (int)(width / 5),
		 (int)(width / 5), p->name, bar, percent(p), done, rate, left);
	fprintf(stderr, "\r%.*s\033[K", (int)width - 1, line);
	fflush(stderr);
	p->drawn = true;
	p->drawn_ms = clock_boot_ms(p->clock);
}

void progress_start(struct progress *p, const struct clock *clock, bool enabled,
		    const char *name, uint64_t total_bytes)
{
	*p = (struct progress){
		.clock = clock,
		.total = total_bytes,
		.started_ms = clock_boot_ms(clock),
		.enabled = enabled,
		.tty = isatty(STDERR_FILENO) == 1,
	};
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->drawn_ms = p->started_ms; /* what is quick shows no bar at all */
}

static void move(struct progress *p, uint64_t done)
{
	p->done = done;
	if (p->enabled && p->tty && clock_boot_ms(p->clock) - p->drawn_ms >= REDRAW_MS)
		draw(p);
}

void progress_add(struct progress *p, uint64_t bytes)
{
	pthread_mutex_lock(&lock);
	move(p, p->done + bytes);
	pthread_mutex_unlock(&lock);
}

void progress_set(struct progress *p, uint64_t bytes)
{
	pthread_mutex_lock(&lock);
	move(p, bytes);
	pthread_mutex_unlock(&lock);
}

void progress_end(struct progress *p, bool ok)
{
	char done[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX];

	if (!p->enabled)
		return;
	pthread_mutex_lock(&lock);
	size_format(done, p->done);
	size_format(rate, (uint64_t)bytes_per_s(p));
	fprintf(stderr, "%s%s: %s %s, %s/s\n", p->drawn ? "\r\033[K" : "", p->name,
		ok ? "done," : "stopped after", done, rate);
	p->enabled = false;
	pthread_mutex_unlock(&lock);
}
