#include "hypervisor/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void lines_init(struct lines *l, size_t max_bytes)
{
	memset(l, 0, sizeof(*l));
	buf_init(&l->b, max_bytes);
}

void lines_done(struct lines *l)
{
	buf_done(&l->b);
}

static void drop_taken(struct lines *l)
{
	if (l->taken == 0)
		return;
	memmove(l->b.p, l->b.p + l->taken, l->b.n - l->taken);
	l->b.n -= l->taken;
	l->taken = 0;
}

enum lines_read lines_fill(struct lines *l, int fd)
{
	struct err ignored;
	uint8_t *to;

	drop_taken(l);
	if (l->b.n == l->b.max) { /* no newline within the limit */
		l->skipping = true;
		buf_reset(&l->b);
	}
	size_t room = l->b.max - l->b.n;
	if (!buf_reserve(&l->b, room, &to, &ignored))
		return LINES_EOF; /* out of memory: this peer is given up */
	ssize_t n = read(fd, to, room);
	if (n > 0)
		buf_commit(&l->b, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? LINES_MORE : LINES_EOF;
}

bool lines_next(struct lines *l, const char **ret, size_t *ret_n)
{
	while (l->taken < l->b.n) {
		char *line = (char *)l->b.p + l->taken;
		char *end = memchr(line, '\n', l->b.n - l->taken);

		if (!end)
			return false;
		*end = '\0';
		l->taken += (size_t)(end - line) + 1;
		if (!l->skipping) {
			*ret = line;
			*ret_n = (size_t)(end - line);
			return true;
		}
		l->skipping = false;
	}
	return false;
}
