#include "agent/copy.h"

#include "base/io.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIECE = 16 << 20 };

static bool copy_range(int to, int from, off_t at, off_t end, const atomic_bool *cancel,
		       struct err *e)
{
	off_t in = at, out = at;

	while (in < end) {
		size_t left = (size_t)(end - in);

		if (cancel && atomic_load(cancel))
			return err_set(e, E_CANCELLED, "stopped");
		ssize_t n =
			copy_file_range(from, &in, to, &out, left < PIECE ? left : PIECE, 0);
		if (n < 0)
			return err_sys(e, errno, "copy");
		if (n == 0)
			return err_set(e, E_CORRUPT, "copy: the file became shorter");
	}
	return true;
}

bool copy_content(int to, int from, const atomic_bool *cancel, struct err *e)
{
	uint64_t size;

	if (!fd_size(from, &size, e))
		return false;
	if (ioctl(to, FICLONE, from) == 0)
		return true;
	if (ftruncate(to, 0) < 0 || ftruncate(to, (off_t)size) < 0)
		return err_sys(e, errno, "copy");
	for (off_t at = 0;;) {
		off_t data = lseek(from, at, SEEK_DATA);

		if (data < 0)
			return errno == ENXIO ? true : err_sys(e, errno, "copy");
		off_t hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return err_sys(e, errno, "copy");
		if (!copy_range(to, from, data, hole, cancel, e))
			return false;
		at = hole;
	}
}
