/* Two images of any bytes: the delta between them gives the second.  First the old one's size; the bit behind it says that
 * what is new comes in bulk. */
#include "base/bytes.h"
#include "base/io.h"
#include "delta/delta.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { SIZE = 0x7fff, BULK = 0x8000 };

static int memfile(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct err e;

	if (fd < 0 || !pwrite_all(fd, p, n, 0, &e))
		abort();
	return fd;
}

struct want {
	const uint8_t *p;
	uint64_t n;
};

static bool compare(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	const struct want *w = ctx;

	if (n > w->n - offset || memcmp(w->p + offset, p, n) != 0)
		abort();
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct delta_info info;
	struct err e;
	size_t old_n;

	if (n < 2)
		return 0;
	old_n = (get_le16(p) & SIZE) % (n - 1);
	struct want want = { p + 2 + old_n, n - 2 - old_n };
	CLEANUP(fd_closep) int old = memfile(p + 2, old_n);
	CLEANUP(fd_closep) int new = memfile(want.p, want.n);
	CLEANUP(fd_closep) int out = memfile("", 0);
	const struct delta_job job = { .old_fd = old,
				       .new_fd = new,
				       .out_fd = out,
				       .scratch_fd = -1,
				       .mixed_max = get_le16(p) & BULK ? 1 : 0 };
	if (!delta_create(&job, &info, &e) || !delta_open(&d, out, old, &e) ||
	    !delta_apply(d, 0, compare, &want, &e))
		abort();
	return 0;
}
