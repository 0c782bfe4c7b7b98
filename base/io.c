#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/syscall.h>
#include <unistd.h>

void fd_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool read_up_to(int fd, void *buf, size_t n, size_t *ret_n, struct err *e)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = read(fd, (uint8_t *)buf + done, n - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, errno, "read");
		if (r == 0)
			break;
		done += (size_t)r;
	}
	*ret_n = done;
	return true;
}

bool pread_all(int fd, void *buf, size_t n, uint64_t offset, struct err *e)
{
	size_t done = 0;

	if (offset > INT64_MAX || n > INT64_MAX - offset)
		return err_set(e, E_CORRUPT, "offset beyond the end of any file");
	while (done < n) {
		ssize_t r = pread(fd, (uint8_t *)buf + done, n - done, (off_t)(offset + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, errno, "read");
		if (r == 0)
			return err_set(e, E_CORRUPT, "file ends early");
		done += (size_t)r;
	}
	return true;
}

bool write_all(int fd, const void *buf, size_t n, struct err *e)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const uint8_t *)buf + done, n - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, errno, "write");
		done += (size_t)r;
	}
	return true;
}

bool pwrite_all(int fd, const void *buf, size_t n, uint64_t offset, struct err *e)
{
	if (offset > INT64_MAX || n > INT64_MAX - offset)
		return err_sys(e, EFBIG, "write");
	for (size_t done = 0; done < n;) {
		ssize_t r = pwrite(fd, (const uint8_t *)buf + done, n - done,
				   (off_t)(offset + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, errno, "write");
		done += (size_t)r;
	}
	return true;
}

bool read_fd(int fd, struct buf *ret, struct err *e)
{
	size_t before = ret->n, n;
	uint8_t *to;

	for (;;) {
		/* At the limit one byte more is tried: whether there is one decides. */
		size_t room = ret->max - ret->n < 65536 ? ret->max - ret->n : 65536;
		uint8_t extra;

		if (room == 0) {
			if (!read_up_to(fd, &extra, 1, &n, e))
				goto fail;
			if (n == 0)
				return true;
			err_set(e, E_TOO_BIG, "more than %zu bytes", ret->max);
			goto fail;
		}
		if (!buf_reserve(ret, room, &to, e) || !read_up_to(fd, to, room, &n, e))
			goto fail;
		buf_commit(ret, n);
		if (n < room)
			return true;
	}
fail:
	ret->n = before;
	buf_commit(ret, 0);
	return false;
}

/* The C library's fstat is newfstatat with an empty path.  A call that can take paths is
 * refused in sandboxes (base/sandbox.c), so this is the call that takes a descriptor only.
 * Where the library is 64 bits wide, its struct stat is the kernel's. */
static int fd_stat(int fd, struct stat *ret)
{
	_Static_assert(sizeof(void *) == 8, "struct stat is the kernel's on 64-bit machines");
	return (int)syscall(SYS_fstat, fd, ret);
}

static bool is_named_pipe(int fd, const struct stat *st)
{
	struct statfs fs;

	return S_ISFIFO(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type != PIPEFS_MAGIC;
}

bool file_open_at(int *ret, int dirfd, const char *name, int flags, unsigned mode,
		  struct err *e)
{
	CLEANUP(fd_closep)
	int fd = openat(dirfd, name, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode);
	struct stat st;

	/* ENXIO: a socket, or a pipe for writing that nobody reads. */
	if (fd < 0 && errno != ENXIO)
		return err_sys(e, errno, "%s", name);
	if (fd >= 0 && fd_stat(fd, &st) < 0)
		return err_sys(e, errno, "%s", name);
	if (fd < 0 || is_named_pipe(fd, &st)) {
		err_set(e, E_CORRUPT, "%s is a pipe or socket, not a file", name);
		return err_hint(e, "remove it, and put the file in its place");
	}
	/* Only for opening: what is read from a terminal or a shell's pipe may take its time. */
	if (fcntl(fd, F_SETFL, flags & (O_ACCMODE | O_APPEND)) < 0)
		return err_sys(e, errno, "%s", name);
	*ret = TAKE_FD(fd);
	return true;
}

bool read_file_at(int dirfd, const char *name, struct buf *ret, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	if (!file_open_at(&fd, dirfd, name, O_RDONLY, 0, e))
		return false;
	if (!read_fd(fd, ret, e))
		return err_wrap(e, "%s", name);
	return true;
}

bool fd_size(int fd, uint64_t *ret, struct err *e)
{
	struct stat st;

	if (fd_stat(fd, &st) < 0)
		return err_sys(e, errno, "fstat");
	*ret = (uint64_t)st.st_size;
	return true;
}

bool fd_sync(int fd, struct err *e)
{
	/* Not again after an error: the kernel reports a failed write-back once and then calls
	 * the pages clean, so a second fsync would succeed without the data being there. */
	if (fsync(fd) < 0)
		return err_sys(e, errno, "fsync");
	return true;
}

/* Makes a directory and makes its entry durable; one that is there already is fine. */
static bool make_dir(int parent, const char *name, unsigned mode, struct err *e)
{
	if (mkdirat(parent, name, mode) < 0)
		return errno == EEXIST ? true : err_sys(e, errno, "%s", name);

	CLEANUP(fd_closep) int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s", name);
	if (!fd_sync(fd, e))
		return err_wrap(e, "%s", name);
	return true;
}

bool dir_open_at(int *ret, int dirfd, const char *name, unsigned mode, struct err *e)
{
	CLEANUP(fd_closep)
	int at = openat(dirfd, *name == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *p = name;

	if (at < 0)
		return err_sys(e, errno, "%s", name);
	for (;;) {
		char part[256];
		size_t n;
		int next;

		p += strspn(p, "/");
		n = strcspn(p, "/");
		if (n == 0)
			break;
		if (n >= sizeof(part))
			return err_sys(e, ENAMETOOLONG, "%s", name);
		memcpy(part, p, n);
		part[n] = 0;
		p += n;

		/* Opened first: a parent that is there need not be writable for us. */
		next = openat(at, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0 && errno == ENOENT) {
			if (!make_dir(at, part, mode, e))
				return err_wrap(e, "%s", name);
			next = openat(at, part, O_PATH | O_DIRECTORY | O_CLOEXEC);
		}
		if (next < 0)
			return err_sys(e, errno, "%s", name);
		close(at);
		at = next;
	}
	*ret = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret < 0)
		return err_sys(e, errno, "%s", name);
	return true;
}

bool dir_open(int *ret, const char *path, unsigned mode, struct err *e)
{
	return dir_open_at(ret, AT_FDCWD, path, mode, e);
}

static bool open_to_others(const char *what, mode_t mode, const char *hint, struct err *e)
{
	err_set(e, E_DENIED, "%s: open to others (mode %04o)", what, (unsigned)mode & 07777);
	return err_hint(e, hint);
}

static bool check_dir(int fd, const char *what, mode_t *ret_mode, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "%s", what);
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		err_set(e, E_DENIED, "%s: belongs to another user (%u)", what,
			(unsigned)st.st_uid);
		return err_hint(e, "run it as that user, or name another folder");
	}
	*ret_mode = st.st_mode;
	if ((st.st_mode & S_IWOTH) || ((st.st_mode & S_IWGRP) && !(st.st_mode & S_ISVTX)))
		return open_to_others(
			what, st.st_mode,
			"chmod go-w the folder, after a look at who has written there", e);
	return true;
}

bool dir_check(int fd, const char *what, struct err *e)
{
	mode_t mode;

	return check_dir(fd, what, &mode, e);
}

bool dir_check_secret(int fd, const char *what, struct err *e)
{
	mode_t mode;

	if (!check_dir(fd, what, &mode, e))
		return false;
	return (mode & 077) == 0 ||
	       open_to_others(what, mode,
			      "chmod 700 the folder; if others could read it for long, replace "
			      "the secrets",
			      e);
}

bool fs_free_bytes(int fd, uint64_t *ret, struct err *e)
{
	struct statvfs s;

	if (fstatvfs(fd, &s) < 0)
		return err_sys(e, errno, "fstatvfs");
	*ret = (uint64_t)s.f_bavail * s.f_frsize;
	return true;
}
