#include "tests/support/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

struct tmpdir {
	int fd;
	char path[PATH_MAX];
};

int tmpdir_setup(void **state)
{
	const char *top = getenv("TMPDIR");
	struct tmpdir *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	snprintf(t->path, sizeof(t->path), "%s/unit-XXXXXX", top ? top : "/tmp");
	if (!mkdtemp(t->path))
		return -1;
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = t;
	return t->fd < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int tmpdir_teardown(void **state)
{
	struct tmpdir *t = *state;

	nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	close(t->fd);
	free(t);
	return 0;
}

int tmpdir_fd(void **state)
{
	return ((struct tmpdir *)*state)->fd;
}

const char *tmpdir_path(void **state)
{
	return ((struct tmpdir *)*state)->path;
}

void write_file_at(int dirfd, const char *name, const void *p, size_t n)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const uint8_t *)p + done, n - done);

		assert_true(r > 0);
		done += (size_t)r;
	}
	close(fd);
}

size_t read_back_at(int dirfd, const char *name, void *p, size_t max)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, p, max);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

bool file_exists_at(int dirfd, const char *name)
{
	return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

unsigned count_files_at(int dirfd)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;
	unsigned n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)))
		n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(d);
	return n;
}

/* Only there in the build of `make cover`. */
extern void __gcov_dump(void) __attribute__((weak));

void child_exit(int status)
{
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

void flip_bit(void *p, size_t bit)
{
	((uint8_t *)p)[bit / 8] ^= (uint8_t)(1u << bit % 8);
}
