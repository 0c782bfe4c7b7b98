#include "hypervisor/image.h"

#include "base/io.h"
#include "proto/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* Hashing is most of the time between launch and the guest's first instruction. */
static const struct verity_run run = { .threads = 2 };

static bool copy_bytes(int to, int from, uint64_t size, struct err *e)
{
	off_t at = 0;

	while ((uint64_t)at < size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(size - (uint64_t)at));

		if (n < 0 && errno != EINTR)
			return err_sys(e, errno, "copy");
		if (n == 0)
			return err_set(e, E_CORRUPT, "ends after %lld of %llu bytes",
				       (long long)at, (unsigned long long)size);
	}
	return true;
}

bool image_copy(int *ret, const char *name, const struct launch_file *file, struct err *e)
{
	enum { SEALS = F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK };
	CLEANUP(fd_closep) int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, errno, "%s: memfd", name);
	if (!copy_bytes(fd, file->fd, file->size, e))
		return err_wrap(e, "%s", name);
	if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		return err_sys(e, errno, "%s: seal", name);
	if (!verity_fd_check_root(fd, file->size, file->salt, file->root, &run, e))
		return err_wrap(e, "%s", name);
	*ret = TAKE_FD(fd);
	return true;
}

bool image_check_disks(const struct launch_spec *spec, struct err *e)
{
	for (size_t i = 0; i < spec->n_disks; i++) {
		const struct launch_file *f = &spec->disks[i].file;

		if (f->verified &&
		    !verity_fd_check_root(f->fd, f->size, f->salt, f->root, &run, e))
			return err_wrap(e, "disk %s", spec->disks[i].name);
	}
	return true;
}
