/* hypervisor/serial_log.h - the end of what the guest said on its console, in a bounded file.
 *
 * The file grows to twice the kept size and then loses its first half, so a guest that prints for
 * ever costs LAUNCH_SERIAL_LOG_MAX bytes.  Writing is best effort: a full disk never stops the
 * guest.  The file's bytes are the guest's: escape them before showing them to anyone. */
#ifndef VALISE_HYPERVISOR_SERIAL_LOG_H
#define VALISE_HYPERVISOR_SERIAL_LOG_H

#include "base/attr.h"

struct serial_log {
	int fd;        /* borrowed; -1: nothing is kept */
	uint64_t size; /* of the file now */
	uint64_t max;
};

void serial_log_init(struct serial_log *l, int fd, uint64_t max_bytes);
void serial_log_add(struct serial_log *l, const void *p, size_t n);

#endif
