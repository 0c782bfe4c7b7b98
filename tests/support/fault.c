#include "tests/support/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* The linker sends our code's call of f to __wrap_f, and __real_f to the library's. */
#define WRAPPED(type, f, ...)         \
	type __real_##f(__VA_ARGS__); \
	type __wrap_##f(__VA_ARGS__)

WRAPPED(void *, malloc, size_t n);
WRAPPED(void *, calloc, size_t k, size_t n);
WRAPPED(void *, realloc, void *p, size_t n);
WRAPPED(void *, reallocarray, void *p, size_t k, size_t n);
WRAPPED(void, free, void *p);
WRAPPED(char *, strdup, const char *s);
WRAPPED(char *, strndup, const char *s, size_t n);
WRAPPED(ssize_t, write, int fd, const void *p, size_t n);
WRAPPED(ssize_t, pwrite, int fd, const void *p, size_t n, off_t offset);
WRAPPED(ssize_t, pwrite64, int fd, const void *p, size_t n, off_t offset);
WRAPPED(ssize_t, pread, int fd, void *p, size_t n, off_t offset);
WRAPPED(ssize_t, pread64, int fd, void *p, size_t n, off_t offset);
WRAPPED(int, ftruncate, int fd, off_t size);
WRAPPED(int, ftruncate64, int fd, off_t size);
WRAPPED(int, fsync, int fd);
WRAPPED(int, fdatasync, int fd);
WRAPPED(int, renameat, int from_dir, const char *from, int to_dir, const char *to);
WRAPPED(int, unlinkat, int dirfd, const char *name, int flags);

enum { EXIT_CUT = 86 };

static atomic_bool armed, met, cutting, disk_full;
static atomic_uint left; /* calls until the fault, counting the one that fails */
static enum fault_kind armed_kind;
static bool from_environment; /* and not by the test itself */

void fault_arm(enum fault_kind kind, unsigned n)
{
	from_environment = false;
	armed_kind = kind;
	left = n;
	met = false;
	disk_full = false;
	armed = n > 0;
}

bool fault_disarm(void)
{
	armed = false;
	disk_full = false;
	return met;
}

bool fault_round(enum fault_kind kind, unsigned n)
{
	bool more = fault_disarm() || n == 1;

	fault_arm(kind, more ? n : 0);
	return more;
}

/* For `make torture`: FAULT=kind:n, and a file that tells it that the n-th call existed. */
__attribute__((constructor)) static void arm_from_environment(void)
{
	static const char *const kinds[] = { "alloc:", "write:", "sync:", "rename:", "read:" };
	const char *s = getenv("FAULT");

	for (unsigned k = 0; s && k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		size_t n = strlen(kinds[k]);

		if (strncmp(s, kinds[k], n) == 0) {
			fault_arm((enum fault_kind)k, (unsigned)strtoul(s + n, NULL, 10));
			from_environment = true;
		}
	}
}

static void report(void)
{
	const char *path = getenv("FAULT_REPORT");

	if (path && from_environment)
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

/* Whether this call is the one to fail.  cutting makes all that change something count. */
static bool hit(enum fault_kind kind)
{
	bool changes = kind != FAULT_ALLOC && kind != FAULT_READ;

	if (!armed || (cutting ? !changes : kind != armed_kind))
		return false;
	if (atomic_fetch_sub(&left, 1) != 1)
		return false;
	armed = false;
	met = true;
	report();
	return true;
}

static bool fails(enum fault_kind kind, int error)
{
	if (!hit(kind))
		return false;
	if (cutting)
		_exit(EXIT_CUT);
	errno = error;
	return true;
}

bool fault_power_cut(unsigned n, void (*fn)(void *ctx), void *ctx)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		cutting = true;
		fault_arm(FAULT_WRITE, n);
		fn(ctx);
		_exit(0); /* no leak check, no cmocka: this process is only for its files */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (!WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != EXIT_CUT)) {
		fprintf(stderr, "the child of a power cut crashed at operation %u\n", n);
		abort();
	}
	return WEXITSTATUS(status) == EXIT_CUT;
}

/* ---- counting ---- */

static atomic_bool counting;
static atomic_llong heap, heap_peak;
static atomic_ullong bytes_read;

void usage_start(void)
{
	heap = heap_peak = 0;
	bytes_read = 0;
	counting = true;
}

size_t usage_heap_peak(void)
{
	return (size_t)heap_peak;
}

uint64_t usage_bytes_read(void)
{
	return bytes_read;
}

/* p is new: its size as the allocator sees it. */
static void *counted(void *p)
{
	if (counting && p) {
		long long size = (long long)malloc_usable_size(p);
		long long now = atomic_fetch_add(&heap, size) + size, most = heap_peak;

		while (now > most && !atomic_compare_exchange_weak(&heap_peak, &most, now))
			;
	}
	return p;
}

static void uncounted(void *p)
{
	if (counting && p)
		atomic_fetch_sub(&heap, (long long)malloc_usable_size(p));
}

/* ---- calls ---- */

void *__wrap_malloc(size_t n)
{
	return fails(FAULT_ALLOC, ENOMEM) ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t k, size_t n)
{
	return fails(FAULT_ALLOC, ENOMEM) ? NULL : counted(__real_calloc(k, n));
}

void *__wrap_realloc(void *p, size_t n)
{
	return __wrap_reallocarray(p, 1, n);
}

/* Old and new are there at once while their bytes move, but the old one is not counted again when
 * there was no memory for the new. */
void *__wrap_reallocarray(void *p, size_t k, size_t n)
{
	if (fails(FAULT_ALLOC, ENOMEM))
		return NULL;
	long long before = counting && p ? (long long)malloc_usable_size(p) : 0;
	void *to = counted(__real_reallocarray(p, k, n));

	if (to)
		atomic_fetch_sub(&heap, before);
	return to;
}

void __wrap_free(void *p)
{
	uncounted(p);
	__real_free(p);
}

char *__wrap_strdup(const char *s)
{
	return fails(FAULT_ALLOC, ENOMEM) ? NULL : counted(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails(FAULT_ALLOC, ENOMEM) ? NULL : counted(__real_strndup(s, n));
}

/* How many bytes of a write get through: all, half at the fault, then none. */
static size_t bytes_through(int fd, size_t n)
{
	if (fd <= STDERR_FILENO) /* reports of the tests themselves */
		return n;
	if (disk_full)
		return 0;
	if (!hit(FAULT_WRITE))
		return n;
	disk_full = true;
	return n / 2;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
	size_t through = bytes_through(fd, n);
	ssize_t r;

	if (through == 0 && n > 0 && !cutting) {
		errno = ENOSPC;
		return -1;
	}
	r = __real_write(fd, p, through);
	if (disk_full && cutting)
		_exit(EXIT_CUT);
	return r;
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t offset)
{
	size_t through = bytes_through(fd, n);
	ssize_t r;

	if (through == 0 && n > 0 && !cutting) {
		errno = ENOSPC;
		return -1;
	}
	r = __real_pwrite(fd, p, through, offset);
	if (disk_full && cutting)
		_exit(EXIT_CUT);
	return r;
}

ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t offset)
{
	return __wrap_pwrite(fd, p, n, offset);
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t offset)
{
	ssize_t got = fails(FAULT_READ, EIO) ? -1 : __real_pread(fd, p, n, offset);

	if (counting && got > 0)
		atomic_fetch_add(&bytes_read, (unsigned long long)got);
	return got;
}

ssize_t __wrap_pread64(int fd, void *p, size_t n, off_t offset)
{
	return __wrap_pread(fd, p, n, offset);
}

int __wrap_ftruncate(int fd, off_t size)
{
	return fails(FAULT_WRITE, ENOSPC) ? -1 : __real_ftruncate(fd, size);
}

int __wrap_ftruncate64(int fd, off_t size)
{
	return __wrap_ftruncate(fd, size);
}

int __wrap_fsync(int fd)
{
	return fails(FAULT_SYNC, EIO) ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	return fails(FAULT_SYNC, EIO) ? -1 : __real_fdatasync(fd);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(FAULT_RENAME, EIO) ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
	return fails(FAULT_RENAME, EIO) ? -1 : __real_unlinkat(dirfd, name, flags);
}
