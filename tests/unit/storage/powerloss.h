/* tests/unit/storage/powerloss.h - a power cut that also loses what was not synced.
 *
 * tests/support/fault.h counts our own code's calls and keeps the page cache.  This stands one
 * level lower: its functions replace the C library's for the whole program, SQLite included, and
 * at the n-th operation it takes back what a disk may have lost by then:
 *
 *	bytes appended to a file and not followed by fsync or fdatasync of it;
 *	names made (open, mkdir, link, rename) and not followed by fsync of their directory.
 *
 * With `keep` nothing is taken back (the disk was quick) and the write that was cut leaves half.
 * Bytes written over older ones and removed names stay as they are: either may happen.
 *
 *	for (unsigned n = 1; power_cut(n, keep, fn, ctx); n++) ... open again and look ...
 *
 * Include in one test program only: it defines write, fsync, renameat and so on. */
#ifndef VALISE_TESTS_STORAGE_POWERLOSS_H
#define VALISE_TESTS_STORAGE_POWERLOSS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POWER_EXIT = 87, POWER_FILES = 256, POWER_NAMES = 1024 };

static struct {
	pthread_mutex_t lock;
	bool armed, keep;
	unsigned left;
	struct {
		dev_t dev;
		ino_t ino;
		off_t synced;
		int fd; /* a description of our own, to cut the file with */
	} files[POWER_FILES];
	unsigned n_files;
	struct {
		dev_t dev;
		ino_t ino;                          /* of the directory */
		char path[PATH_MAX], old[PATH_MAX]; /* old: where a renamed file came from */
		bool is_dir, pending;
	} names[POWER_NAMES];
	unsigned n_names;
} power = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void power_fail(const char *why)
{
	dprintf(STDERR_FILENO, "powerloss.h: %s: %s\n", why, strerror(errno));
	syscall(SYS_exit_group, 99);
}

static void power_off(int status)
{
	char lost[PATH_MAX + 8];

	for (unsigned i = power.n_names; i-- > 0 && !power.keep;) {
		if (!power.names[i].pending)
			continue;
		/* What is gone already cannot be lost; a folder takes with it what is in it. */
		if (power.names[i].is_dir) {
			snprintf(lost, sizeof(lost), "%s.lost", power.names[i].path);
			syscall(SYS_renameat, AT_FDCWD, power.names[i].path, AT_FDCWD, lost);
		} else if (*power.names[i].old)
			syscall(SYS_renameat, AT_FDCWD, power.names[i].path, AT_FDCWD,
				power.names[i].old);
		else
			syscall(SYS_unlinkat, AT_FDCWD, power.names[i].path, 0);
	}
	for (unsigned i = 0; i < power.n_files && !power.keep; i++) {
		struct stat st;

		if (fstat(power.files[i].fd, &st) == 0 && st.st_size > power.files[i].synced &&
		    syscall(SYS_ftruncate, power.files[i].fd, power.files[i].synced) != 0)
			power_fail("ftruncate");
	}
	syscall(SYS_exit_group, status);
}

/* Locks; whether the operation is to be left out as the power goes.  Every replacement starts
 * with it and ends with power_leave. */
static bool power_enter(void)
{
	pthread_mutex_lock(&power.lock);
	return power.armed && power.left-- == 1;
}

static void power_leave(void)
{
	int saved = errno;

	pthread_mutex_unlock(&power.lock);
	errno = saved;
}

static void path_of(char out[static PATH_MAX], int dirfd, const char *name)
{
	char link[64], dir[PATH_MAX / 2];
	ssize_t n;

	if (*name == '/' || dirfd == AT_FDCWD) {
		snprintf(out, PATH_MAX, "%s", name);
		return;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, dir, sizeof(dir) - 1);
	if (n < 0)
		power_fail(link);
	dir[n] = 0;
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		power_fail("path too long");
}

static void note_name(int dirfd, const char *name, const char *old, bool is_dir)
{
	char parent[PATH_MAX];
	struct stat st;
	unsigned i = power.n_names++;

	if (i == POWER_NAMES)
		power_fail("too many names");
	path_of(power.names[i].path, dirfd, name);
	snprintf(power.names[i].old, PATH_MAX, "%s", old);
	snprintf(parent, sizeof(parent), "%s", power.names[i].path);
	*strrchr(parent, '/') = 0;
	if (stat(parent, &st) != 0)
		power_fail(parent);
	power.names[i].dev = st.st_dev;
	power.names[i].ino = st.st_ino;
	power.names[i].is_dir = is_dir;
	power.names[i].pending = true;
}

static void note_write(int fd)
{
	char link[64];
	struct stat st;
	unsigned i;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	for (i = 0; i < power.n_files; i++)
		if (power.files[i].dev == st.st_dev && power.files[i].ino == st.st_ino)
			return;
	if (i == POWER_FILES)
		power_fail("too many files");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	power.files[i].dev = st.st_dev;
	power.files[i].ino = st.st_ino;
	power.files[i].synced = st.st_size;
	power.files[i].fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_WRONLY | O_CLOEXEC, 0);
	if (power.files[i].fd < 0)
		power_fail(link);
	power.n_files++;
}

static void note_sync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return;
	for (unsigned i = 0; i < power.n_files; i++)
		if (power.files[i].dev == st.st_dev && power.files[i].ino == st.st_ino)
			power.files[i].synced = st.st_size;
	for (unsigned i = 0; i < power.n_names; i++)
		if (power.names[i].dev == st.st_dev && power.names[i].ino == st.st_ino)
			power.names[i].pending = false;
}

/* ---- in place of the C library's ---- */

/* tests/support/real.h has macros of these names. */
#undef write
#undef fsync
#undef renameat
#undef unlinkat

static ssize_t power_write(int fd, const void *p, size_t n, off_t at, bool positioned)
{
	bool cut = power_enter();
	size_t part = cut ? n / 2 : n;
	ssize_t r;

	if (power.armed)
		note_write(fd);
	r = positioned ? syscall(SYS_pwrite64, fd, p, part, at)
		       : syscall(SYS_write, fd, p, part);
	if (cut)
		power_off(POWER_EXIT);
	power_leave();
	return r;
}

ssize_t write(int fd, const void *p, size_t n)
{
	return power_write(fd, p, n, 0, false);
}

ssize_t pwrite64(int fd, const void *p, size_t n, __off64_t at)
{
	return power_write(fd, p, n, at, true);
}

ssize_t power_pwrite(int fd, const void *p, size_t n, off_t at) __asm__("pwrite");
ssize_t power_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return power_write(fd, p, n, at, true);
}

static int power_sync(int fd, long number)
{
	int r;

	if (power_enter())
		power_off(POWER_EXIT);
	r = (int)syscall(number, fd);
	if (r == 0 && power.armed)
		note_sync(fd);
	power_leave();
	return r;
}

int fsync(int fd)
{
	return power_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return power_sync(fd, SYS_fdatasync);
}

int renameat(int from, const char *a, int to, const char *b)
{
	char old[PATH_MAX];
	int r;

	if (power_enter())
		power_off(POWER_EXIT);
	path_of(old, from, a);
	r = (int)syscall(SYS_renameat, from, a, to, b);
	if (r == 0 && power.armed)
		note_name(to, b, old, false);
	power_leave();
	return r;
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
	int r;

	if (power_enter())
		power_off(POWER_EXIT);
	r = (int)syscall(SYS_linkat, from, a, to, b, flags);
	if (r == 0 && power.armed)
		note_name(to, b, "", false);
	power_leave();
	return r;
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	int r;

	if (power_enter())
		power_off(POWER_EXIT);
	r = (int)syscall(SYS_mkdirat, dirfd, name, mode);
	if (r == 0 && power.armed)
		note_name(dirfd, name, "", true);
	power_leave();
	return r;
}

int unlinkat(int dirfd, const char *name, int flags)
{
	int r;

	if (power_enter())
		power_off(POWER_EXIT);
	r = (int)syscall(SYS_unlinkat, dirfd, name, flags);
	power_leave();
	return r;
}

static int do_open(int dirfd, const char *name, int flags, mode_t mode)
{
	bool makes = power.armed && (flags & O_CREAT) &&
		     syscall(SYS_faccessat, dirfd, name, F_OK) != 0;
	int fd;

	if (makes && power_enter())
		power_off(POWER_EXIT);
	fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
	if (makes) {
		if (fd >= 0)
			note_name(dirfd, name, "", false);
		power_leave();
	}
	return fd;
}

#define POWER_OPEN(function, ...)                                                  \
	int as_##function(__VA_ARGS__, int flags, mode_t mode) __asm__(#function); \
	int as_##function(__VA_ARGS__, int flags, mode_t mode)
POWER_OPEN(open, const char *name)
{
	return do_open(AT_FDCWD, name, flags, mode);
}
POWER_OPEN(open64, const char *name)
{
	return do_open(AT_FDCWD, name, flags, mode);
}
POWER_OPEN(openat, int dirfd, const char *name)
{
	return do_open(dirfd, name, flags, mode);
}
POWER_OPEN(openat64, int dirfd, const char *name)
{
	return do_open(dirfd, name, flags, mode);
}

/* Runs fn in a child whose power goes at its n-th operation, or when fn has ended: then false. */
static bool power_cut(unsigned n, bool keep, void (*fn)(void *ctx), void *ctx)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		power.keep = keep;
		power.left = n;
		power.armed = true;
		fn(ctx);
		power_off(0); /* right after the last acknowledgement */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != POWER_EXIT)) {
		fprintf(stderr, "the child crashed at operation %u: status %x\n", n, status);
		abort();
	}
	return WEXITSTATUS(status) == POWER_EXIT;
}

#endif
