/* server/proc.h - becoming a process of one duty: user, root directory, descriptors.
 *
 * What each barrier is for:
 *	another user        keys/ (mode 0700) and other users' processes are out of reach
 *	chroot              no file outside state_dir has a name (only when started as root)
 *	no_new_privs        no set-uid program can give rights back
 *	not dumpable        no core file with keys; same-user processes cannot attach
 *	close_range         only the descriptors of the duty
 *	death signal        no orphan goes on when mgr was killed
 * System call filters come on top (base/sandbox.h), at the end of a duty's set-up. */
#ifndef VALISE_SERVER_PROC_H
#define VALISE_SERVER_PROC_H

#include "base/err.h"

#include <sys/types.h>

struct identity {
	bool change; /* false: not root, or the setting is empty or root: stay as we are */
	uid_t uid;
	gid_t gid;
};

/* E_CONFIG when this is root and the user does not exist. */
bool identity_get(struct identity *ret, const char *user, struct err *e) MUST_USE;

/* Gives a file or directory to the user, if there is one to change to. */
bool identity_own(const struct identity *id, int dirfd, const char *name,
		  struct err *e) MUST_USE;

/* Closes all descriptors from 3 on except these (-1 entries are skipped). */
bool proc_keep_fds(const int *fds, size_t n, struct err *e) MUST_USE;

/* Gives rights up, for good, and ends with `parent` (the process that forked this one).  root_dir
 * NULL: no chroot; it needs root, so for others *ret_chrooted says false.  Verifies that the
 * way back is closed. */
bool proc_drop(const struct identity *id, const char *root_dir, pid_t parent,
	       bool *ret_chrooted, struct err *e) MUST_USE;

#endif
