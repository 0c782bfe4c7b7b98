#include "agent/lock.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

bool lock_take(int *ret, int state_dirfd, const char *state_dir, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	if (!file_open_at(&fd, state_dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e))
		return false;
	if (!dir_check(state_dirfd, state_dir, e))
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err_set(e, E_EXISTS, "an agent runs on %s", state_dir);
		return err_hint(
			e,
			"`valise-agent status` asks it; for what only a stopped one allows, stop it first");
	}
	*ret = TAKE_FD(fd);
	return true;
}
