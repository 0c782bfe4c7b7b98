#include "hypervisor/serial_log.h"

#include "base/io.h"

#include <stdlib.h>
#include <unistd.h>

void serial_log_init(struct serial_log *l, int fd, uint64_t max_bytes)
{
	*l = (struct serial_log){ .fd = fd, .max = max_bytes };
	if (fd >= 0 && ftruncate(fd, 0) != 0)
		l->fd = -1;
}

static void keep_second_half(struct serial_log *l)
{
	struct err ignored;
	uint64_t keep = l->max / 2;
	uint8_t *half = malloc(keep);

	if (half && pread_all(l->fd, half, keep, l->size - keep, &ignored) &&
	    pwrite_all(l->fd, half, keep, 0, &ignored) && ftruncate(l->fd, (off_t)keep) == 0)
		l->size = keep;
	free(half);
}

void serial_log_add(struct serial_log *l, const void *p, size_t n)
{
	struct err ignored;

	if (l->fd < 0 || n > l->max / 2)
		return;
	if (l->size + n > l->max)
		keep_second_half(l);
	if (l->size + n <= l->max && pwrite_all(l->fd, p, n, l->size, &ignored))
		l->size += n;
}
