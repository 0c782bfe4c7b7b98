#include "server/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool identity_get(struct identity *ret, const char *user, struct err *e)
{
	struct passwd pw, *found = NULL;
	char room[4096];
	int rc;

	*ret = (struct identity){ .change = false };
	if (geteuid() != 0 || !user[0])
		return true;
	rc = getpwnam_r(user, &pw, room, sizeof(room), &found);
	if (!found) {
		err_set(e, E_CONFIG, "user: there is no \"%s\"%s", user,
			rc ? " (look-up failed)" : "");
		return err_hint(
			e, "run systemd-sysusers, set `user`, or start it as an ordinary user");
	}
	if (pw.pw_uid != 0)
		*ret = (struct identity){ true, pw.pw_uid, pw.pw_gid };
	return true;
}

bool identity_own(const struct identity *id, int dirfd, const char *name, struct err *e)
{
	if (id->change && fchownat(dirfd, name, id->uid, id->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, errno, "%s: change owner", name);
	return true;
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return (x > y) - (x < y);
}

bool proc_keep_fds(const int *fds, size_t n, struct err *e)
{
	int keep[16];
	unsigned next = 3;

	if (n > ARRAY_SIZE(keep))
		return err_set(e, E_INTERNAL, "too many descriptors to keep");
	memcpy(keep, fds, n * sizeof(*keep));
	qsort(keep, n, sizeof(*keep), compare_ints);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < (int)next)
			continue; /* -1, or standard error and the like */
		if (keep[i] > (int)next && close_range(next, (unsigned)keep[i] - 1, 0) < 0)
			return err_sys(e, errno, "close_range");
		next = (unsigned)keep[i] + 1;
	}
	if (close_range(next, ~0u, 0) < 0)
		return err_sys(e, errno, "close_range");
	return true;
}

static bool become(const struct identity *id, struct err *e)
{
	if (setgroups(0, NULL) < 0 || setresgid(id->gid, id->gid, id->gid) < 0 ||
	    setresuid(id->uid, id->uid, id->uid) < 0)
		return err_sys(e, errno, "giving up root");
	/* Believed only when tried. */
	if (setuid(0) == 0 || geteuid() != id->uid || getegid() != id->gid)
		return err_set(e, E_INTERNAL, "root could be taken back");
	return true;
}

bool proc_drop(const struct identity *id, const char *root_dir, pid_t parent,
	       bool *ret_chrooted, struct err *e)
{
	bool chrooted = false;

	if (root_dir && geteuid() == 0) {
		if (chdir(root_dir) < 0 || chroot(".") < 0)
			return err_sys(e, errno, "chroot to %s", root_dir);
		chrooted = true;
	}
	if (id->change && !become(id, e))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, errno, "prctl");
	if (getppid() != parent)
		return err_set(e, E_CANCELLED, "the parent is gone");
	*ret_chrooted = chrooted;
	return true;
}
