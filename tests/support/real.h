/* tests/support/real.h - read before every unit test and its support (mk/tests.mk): what tests call
 * for themselves takes no part in faults, only what the code under test calls does. */
#ifndef VALISE_TESTS_REAL_H
#define VALISE_TESTS_REAL_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The library's functions, by the names that the linker's --wrap gives them. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t k, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t k, size_t n);
void __real_free(void *p);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
int __real_fsync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dirfd, const char *name, int flags);

#undef strdup
#undef strndup
#define malloc(n) __real_malloc(n)
#define calloc(k, n) __real_calloc(k, n)
#define realloc(p, n) __real_realloc(p, n)
#define reallocarray(p, k, n) __real_reallocarray(p, k, n)
#define free(p) __real_free(p)
#define strdup(s) __real_strdup(s)
#define strndup(s, n) __real_strndup(s, n)
#define write(fd, p, n) __real_write(fd, p, n)
#define fsync(fd) __real_fsync(fd)
#define renameat(from_dir, from, to_dir, to) __real_renameat(from_dir, from, to_dir, to)
#define unlinkat(dirfd, name, flags) __real_unlinkat(dirfd, name, flags)

#endif
