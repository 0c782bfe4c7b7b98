/* base/file.h - replace a file durably and atomically.
 *
 * Calling sequence:
 *
 *	CLEANUP(file_abort) struct file f = FILE_INIT;
 *	if (!file_begin(&f, dirfd, "root.json", 0644, e) ||
 *	    !write_all(f.fd, p, n, e) || !file_commit(&f, e))
 *		return false;
 *
 * file_begin creates a temporary file beside the target; file_commit does fsync(file), rename,
 * fsync(directory).  A crash or power cut at any instruction leaves the old file or the new one,
 * whole; at worst a ".tmp-*" file is left over, which file_sweep removes at start.  After a
 * failure of the directory's fsync the error is returned, but the new name may already be
 * visible: treat it as "perhaps done" and do it again.  dirfd is borrowed until commit or abort. */
#ifndef VALISE_BASE_FILE_H
#define VALISE_BASE_FILE_H

#include "base/io.h"

struct file {
	int fd;    /* write here */
	int dirfd; /* borrowed */
	char name[256], temp[280];
};

#define FILE_INIT ((struct file){ .fd = -1, .dirfd = -1 })

bool file_begin(struct file *f, int dirfd, const char *name, unsigned mode,
		struct err *e) MUST_USE;
bool file_commit(struct file *f, struct err *e) MUST_USE;
void file_abort(struct file *f); /* removes the temporary file; nothing after a commit */

/* The three steps for bytes at hand. */
bool file_replace(int dirfd, const char *name, unsigned mode, const void *p, size_t n,
		  struct err *e) MUST_USE;

/* For a path that somebody gives: a new or ordinary file is replaced as above; what lies behind a link, and a
 * device or pipe (/dev/stdout), is written into, so that the thing itself never goes.  The folder must be
 * there. */
bool file_put(const char *path, unsigned mode, const void *p, size_t n, struct err *e) MUST_USE;

/* Removes temporaries that crashes left in the directory. */
bool file_sweep(int dirfd, struct err *e) MUST_USE;

/* Removes a file and makes that durable; a missing file is fine. */
bool file_remove(int dirfd, const char *name, struct err *e) MUST_USE;

#endif
