#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = BUF_INIT(max_bytes);
}

void buf_done(struct buf *b)
{
	free(b->p);
	*b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	if (b->p)
		b->p[0] = 0;
}

/* Grows by doubling, so that n appends cost O(n); cap counts the NUL. */
static bool grow(struct buf *b, size_t need, struct err *e)
{
	size_t cap = b->cap < 64 ? 64 : b->cap;
	uint8_t *p;

	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	p = realloc(b->p, cap);
	if (!p)
		return err_nomem(e);
	b->p = p;
	b->cap = cap;
	b->p[b->n] = 0;
	return true;
}

bool buf_reserve(struct buf *b, size_t n, uint8_t **ret, struct err *e)
{
	if (n > b->max - b->n)
		return err_set(e, E_TOO_BIG, "more than %zu bytes", b->max);
	/* The NUL needs one byte more; a limit of SIZE_MAX leaves no room for it. */
	if (n >= SIZE_MAX - b->n)
		return err_nomem(e);
	if (b->n + n + 1 > b->cap && !grow(b, b->n + n + 1, e))
		return false;
	*ret = b->p + b->n;
	return true;
}

void buf_commit(struct buf *b, size_t n)
{
	b->n += n;
	if (b->p)
		b->p[b->n] = 0;
}

bool buf_add(struct buf *b, const void *p, size_t n, struct err *e)
{
	uint8_t *to;

	if (!buf_reserve(b, n, &to, e))
		return false;
	if (n > 0)
		memcpy(to, p, n);
	buf_commit(b, n);
	return true;
}

bool buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
	size_t room = b->cap - b->n;
	uint8_t *to;
	va_list ap;
	int n;

	/* Mostly there is room, and once is enough. */
	va_start(ap, fmt);
	n = vsnprintf(room > 0 ? (char *)b->p + b->n : NULL, room, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < room && (size_t)n <= b->max - b->n) {
		buf_commit(b, (size_t)n);
		return true;
	}
	if (room > 0)
		b->p[b->n] = 0;
	if (n < 0)
		return err_set(e, E_INTERNAL, "format \"%s\"", fmt);
	if (!buf_reserve(b, (size_t)n, &to, e))
		return false;
	va_start(ap, fmt);
	vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf_commit(b, (size_t)n);
	return true;
}

bool buf_take(struct buf *b, char **ret, size_t *ret_n, struct err *e)
{
	if (!b->p && !grow(b, 1, e))
		return false;
	*ret = (char *)b->p;
	if (ret_n)
		*ret_n = b->n;
	*b = BUF_INIT(b->max);
	return true;
}

const char *buf_str(const struct buf *b)
{
	return b->p ? (const char *)b->p : "";
}
