/* base/names.h - the names in a folder, one after the other.
 *
 * In no order, without "." and "..".  What is added or removed meanwhile may be seen or not; removing
 * the name just given is fine.  A folder that cannot be read to its end is an error, never a short
 * list. */
#ifndef VALISE_BASE_NAMES_H
#define VALISE_BASE_NAMES_H

#include "base/err.h"

#include <dirent.h>

struct names {
	DIR *dir;
	const char *what; /* for errors; borrowed */
};
#define NAMES_INIT         \
	{                  \
		NULL, NULL \
	}

/* The folder `name` below dirfd ("." is dirfd itself); a link is not followed.  E_NOT_FOUND. */
bool names_open(struct names *ret, int dirfd, const char *name, const char *what,
		struct err *e) MUST_USE;
/* *ret is good until the next call; NULL at the end. */
bool names_next(struct names *n, const char **ret, struct err *e) MUST_USE;
/* The folder's descriptor, for openat and unlinkat; borrowed. */
int names_fd(const struct names *n);
void names_done(struct names *n);

#endif
