#include "admin-cli/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

bool private_check(int dirfd, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_EMPTY_PATH) < 0)
		return err_sys(e, errno, "file mode");
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) == 0)
		return true;
	err_set(e, E_DENIED, "it holds a secret and is open to others (mode %04o)",
		(unsigned)st.st_mode & 07777);
	return err_hint(e, "chmod 600 the file; if others could read it for long, replace the "
			   "secret");
}

bool private_check_config(int dirfd, const char *name, struct err *e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, 0) < 0)
		return err_sys(e, errno, "%s", name);
	if ((st.st_uid == geteuid() || st.st_uid == 0) && (st.st_mode & 022) == 0)
		return true;
	err_set(e, E_DENIED, "%s: others could have written it (mode %04o, user %u)", name,
		(unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
	return err_hint(e, "chmod go-w the file, after a look at what it says");
}
