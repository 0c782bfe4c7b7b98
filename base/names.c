#include "base/names.h"

#include "base/attr.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

bool names_open(struct names *ret, int dirfd, const char *name, const char *what, struct err *e)
{
	/* A descriptor of its own, as fdopendir takes it over and moves its position. */
	CLEANUP(fd_closep)
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return err_sys(e, errno, "%s", what);
	fd = -1; /* dir has it now */
	*ret = (struct names){ dir, what };
	return true;
}

bool names_next(struct names *n, const char **ret, struct err *e)
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(n->dir);
	} while (entry &&
		 (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	if (!entry && errno != 0)
		return err_sys(e, errno, "%s", n->what);
	*ret = entry ? entry->d_name : NULL;
	return true;
}

int names_fd(const struct names *n)
{
	return dirfd(n->dir);
}

void names_done(struct names *n)
{
	if (n->dir)
		closedir(n->dir);
	*n = (struct names)NAMES_INIT;
}
