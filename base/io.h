/* base/io.h - whole reads and writes on descriptors, and opening below a directory.
 *
 * Nothing here retries on errors other than EINTR.  All opens are O_CLOEXEC; names given to
 * the *_at functions are single path components or relative paths of our own making, never
 * input.  64-bit offsets throughout. */
#ifndef VALISE_BASE_IO_H
#define VALISE_BASE_IO_H

#include "base/buf.h"

#include <sys/types.h>

void fd_closep(int *fd); /* for CLEANUP; -1 is fine */

/* Fills buf up to n bytes; a short count means end of file. */
bool read_up_to(int fd, void *buf, size_t n, size_t *ret_n, struct err *e) MUST_USE;
/* E_CORRUPT if the file ends early. */
bool pread_all(int fd, void *buf, size_t n, uint64_t offset, struct err *e) MUST_USE;
bool write_all(int fd, const void *buf, size_t n, struct err *e) MUST_USE;
bool pwrite_all(int fd, const void *buf, size_t n, uint64_t offset, struct err *e) MUST_USE;

/* Opens a file and waits for nobody.  A pipe or socket that lies in its place is E_CORRUPT, as opening or
 * reading it would wait for ever; pipes without a name, which /dev/stdin and <(...) of shells lead to, are
 * fine.  `flags` and `mode` are open's; O_CLOEXEC is added. */
bool file_open_at(int *ret, int dirfd, const char *name, int flags, unsigned mode,
		  struct err *e) MUST_USE;

/* The whole file into a buf, E_TOO_BIG above the buf's limit. */
bool read_fd(int fd, struct buf *ret, struct err *e) MUST_USE;
/* Opened by file_open_at. */
bool read_file_at(int dirfd, const char *name, struct buf *ret, struct err *e) MUST_USE;

bool fd_size(int fd, uint64_t *ret, struct err *e) MUST_USE;
bool fd_sync(int fd, struct err *e) MUST_USE; /* fsync */

/* Opens a directory, making it (and its parents) with the mode when it is missing. */
bool dir_open(int *ret, const char *path, unsigned mode, struct err *e) MUST_USE;
bool dir_open_at(int *ret, int dirfd, const char *name, unsigned mode, struct err *e) MUST_USE;

/* Whether nobody else could have put something into a directory, or taken it out: it is this user's or
 * root's, others may not write there, and a group only where it is sticky.  E_DENIED with a hint. */
bool dir_check(int fd, const char *what, struct err *e) MUST_USE;
/* The same, and that nobody else may look into it: for secrets. */
bool dir_check_secret(int fd, const char *what, struct err *e) MUST_USE;

/* Bytes an unprivileged process may still write on the file system of fd. */
bool fs_free_bytes(int fd, uint64_t *ret, struct err *e) MUST_USE;

#endif
