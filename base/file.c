#include "base/file.h"
#include "base/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_PREFIX ".tmp-"

/* A name that no other writer has, not even one of another process. */
static int open_temp(struct file *f)
{
	for (;;) {
		uint64_t number;
		int fd;

		/* Small and early enough never to block or fail after boot; were it to, O_EXCL
		 * below still keeps two writers apart. */
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			number = (uint64_t)getpid();
		snprintf(f->temp, sizeof(f->temp), TEMP_PREFIX "%016llx",
			 (unsigned long long)number);
		fd = openat(f->dirfd, f->temp,
			    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
}

bool file_begin(struct file *f, int dirfd, const char *name, unsigned mode, struct err *e)
{
	size_t n = strlen(name);

	*f = FILE_INIT;
	if (n == 0 || n >= sizeof(f->name) || strchr(name, '/'))
		return err_set(e, E_INTERNAL, "\"%s\" is not the name of a file", name);
	memcpy(f->name, name, n + 1);
	f->dirfd = dirfd;
	f->fd = open_temp(f);
	if (f->fd < 0) {
		f->temp[0] = 0;
		return err_sys(e, errno, "%s", name);
	}
	/* Exactly the caller's mode, whatever the umask. */
	if (fchmod(f->fd, mode) < 0) {
		err_sys(e, errno, "%s", name);
		file_abort(f);
		return false;
	}
	return true;
}

bool file_commit(struct file *f, struct err *e)
{
	if (!fd_sync(f->fd, e))
		return err_wrap(e, "%s", f->name);
	if (renameat(f->dirfd, f->temp, f->dirfd, f->name) < 0)
		return err_sys(e, errno, "%s: rename", f->name);
	f->temp[0] = 0; /* there is nothing to remove any more */
	fd_closep(&f->fd);
	if (!fd_sync(f->dirfd, e))
		return err_wrap(e, "%s: directory", f->name);
	return true;
}

void file_abort(struct file *f)
{
	if (f->temp[0])
		unlinkat(f->dirfd, f->temp, 0);
	fd_closep(&f->fd);
	*f = FILE_INIT;
}

bool file_replace(int dirfd, const char *name, unsigned mode, const void *p, size_t n,
		  struct err *e)
{
	CLEANUP(file_abort) struct file f = FILE_INIT;

	if (!file_begin(&f, dirfd, name, mode, e))
		return false;
	if (!write_all(f.fd, p, n, e))
		return err_wrap(e, "%s", name);
	return file_commit(&f, e);
}

static bool write_through(const char *path, unsigned mode, const void *p, size_t n,
			  struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	struct stat st;

	if (!file_open_at(&fd, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode, e))
		return false;
	/* It may be a secret, and have been there before with another mode. */
	if (fstat(fd, &st) < 0 || (S_ISREG(st.st_mode) && fchmod(fd, mode) < 0))
		return err_sys(e, errno, "%s", path);
	return write_all(fd, p, n, e) || err_wrap(e, "%s", path);
}

bool file_put(const char *path, unsigned mode, const void *p, size_t n, struct err *e)
{
	const char *slash = strrchr(path, '/');
	CLEANUP(fd_closep) int dirfd = -1;
	char dir[4096] = ".";
	struct stat st;

	if (slash && !slash[1])
		return err_set(e, E_USAGE, "%s: name a file, not a folder", path);
	if (slash && (size_t)(slash - path) + 1 >= sizeof(dir))
		return err_set(e, E_USAGE, "%.80s...: too long", path);
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_through(path, mode, p, n, e);
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_sys(e, errno, "%s", dir);
	return file_replace(dirfd, slash ? slash + 1 : path, mode, p, n, e);
}

bool file_sweep(int dirfd, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!names_open(&n, dirfd, ".", "sweep", e))
		return false;
	for (;;) {
		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return true;
		if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0 &&
		    unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "%s", name);
	}
}

bool file_remove(int dirfd, const char *name, struct err *e)
{
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return err_sys(e, errno, "%s", name);
	/* Also when it was missing: an earlier removal may not have become durable. */
	if (!fd_sync(dirfd, e))
		return err_wrap(e, "%s: directory", name);
	return true;
}
