#include "delta/spool.h"
#include "base/io.h"

bool spool_put(struct spool *s, const void *p, size_t n, uint64_t *ret_at, struct err *e)
{
	uint64_t at = __atomic_fetch_add(&s->end, n, __ATOMIC_RELAXED);

	*ret_at = at;
	return spool_set(s, at, p, n, e);
}

bool spool_get(const struct spool *s, uint64_t at, void *p, size_t n, struct err *e)
{
	return pread_all(s->fd, p, n, at, e) || err_wrap(e, "scratch file");
}

bool spool_set(const struct spool *s, uint64_t at, const void *p, size_t n, struct err *e)
{
	return pwrite_all(s->fd, p, n, at, e) || err_wrap(e, "scratch file");
}
