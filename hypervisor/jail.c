#include "hypervisor/jail.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the new root is mounted; any directory that exists on every Debian will do, since the
 * mount is seen in the jail's own mount namespace only. */
static const char JAIL_ROOT[] = "/mnt";

/* The dynamic-user range of systemd: no account of a distribution or person is in it. */
enum { DYNAMIC_UID_FIRST = 61184, DYNAMIC_UID_COUNT = 4336 };

enum { NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS };

struct outside {
	uid_t uid; /* of the caller, before any namespace */
	gid_t gid;
	uid_t jail_uid; /* what the program runs as when the caller is root */
	gid_t jail_gid;
};

static struct outside look_outside(void)
{
	struct outside o = { .uid = geteuid(), .gid = getegid() };
	const struct passwd *pw = getpwnam("valise-vm");

	o.jail_uid =
		pw ? pw->pw_uid : (uid_t)(DYNAMIC_UID_FIRST + getpid() % DYNAMIC_UID_COUNT);
	o.jail_gid = pw ? pw->pw_gid : o.jail_uid;
	return o;
}

static bool write_proc(const char *path, const char *text, struct err *e)
{
	CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	return write_all(fd, text, strlen(text), e) || err_wrap(e, "%s", path);
}

/* An ordinary user becomes the only user of a new user namespace, so that it may make the rest. */
static bool map_user(const struct outside *o, struct err *e)
{
	char map[64];

	if (!write_proc("/proc/self/setgroups", "deny", e))
		return false;
	snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)o->uid, (unsigned)o->uid);
	if (!write_proc("/proc/self/uid_map", map, e))
		return false;
	snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)o->gid, (unsigned)o->gid);
	return write_proc("/proc/self/gid_map", map, e);
}

static bool bind(const char *from, const char *to, unsigned long flags, struct err *e)
{
	if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) != 0)
		return err_sys(e, errno, "bind %s", from);
	if (flags != 0 && mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | flags, NULL) != 0)
		return err_sys(e, errno, "remount %s", to);
	return true;
}

static bool bind_device(const char *name, struct err *e)
{
	char from[64], to[64];

	snprintf(from, sizeof(from), "/dev/%s", name);
	snprintf(to, sizeof(to), "dev/%s", name);
	CLEANUP(fd_closep) int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "%s", to);
	return bind(from, to, MS_NOSUID | MS_NOEXEC, e);
}

/* Debian's /bin, /lib and /lib64 are links into /usr. */
static bool link_usr(struct err *e)
{
	static const char *const names[][2] = { { "usr/bin", "bin" },
						{ "usr/lib", "lib" },
						{ "usr/lib64", "lib64" } };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (symlink(names[i][0], names[i][1]) != 0)
			return err_sys(e, errno, "%s", names[i][1]);
	return true;
}

/* The new root's content; the working directory is the new root. */
static bool fill_root(const struct jail_spec *spec, struct err *e)
{
	static const char *const dirs[] = { "usr", "etc", "proc", "dev", "tmp" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (mkdir(dirs[i], 0755) != 0)
			return err_sys(e, errno, "mkdir %s", dirs[i]);
	if (!bind("/usr", "usr", MS_RDONLY | MS_NOSUID | MS_NODEV, e) || !link_usr(e))
		return false;

	CLEANUP(fd_closep)
	int cache = open("etc/ld.so.cache", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (cache < 0 || !bind("/etc/ld.so.cache", "etc/ld.so.cache", MS_RDONLY | MS_NOSUID, e))
		return cache < 0 ? err_sys(e, errno, "etc/ld.so.cache") : false;

	/* The kernel refuses a fresh proc in containers that mask parts of theirs. */
	if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
		return err_sys(e, errno, "mount proc");
	return bind_device("null", e) && bind_device("urandom", e) &&
	       (!spec->want_kvm || bind_device("kvm", e));
}

static bool change_root(const struct jail_spec *spec, struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return err_sys(e, errno, "make mounts private");
	if (mount("tmpfs", JAIL_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755") != 0)
		return err_sys(e, errno, "mount tmpfs");
	if (chdir(JAIL_ROOT) != 0)
		return err_sys(e, errno, "chdir");
	if (!fill_root(spec, e))
		return false;
	/* pivot_root(".", ".") stacks the old root on the new one; the lazy unmount then takes
	 * it away (pivot_root(2), "pivot_root(".", ".")"). */
	if (syscall(SYS_pivot_root, ".", ".") != 0)
		return err_sys(e, errno, "pivot_root");
	if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return err_sys(e, errno, "leave the old root");
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
		  NULL) != 0)
		return err_sys(e, errno, "make the root read-only");
	return true;
}

/* Nothing that is executed from here on can have a capability again.  In a user namespace of its
 * own an ordinary user holds all of them until then. */
static bool drop_capabilities(struct err *e)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0,
			    0); /* without the right to: none held */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, errno, "no_new_privs");
	return true;
}

static bool drop_user(const struct outside *o, struct err *e)
{
	if (o->uid != 0)
		return true;
	if (setgroups(0, NULL) != 0 || setresgid(o->jail_gid, o->jail_gid, o->jail_gid) != 0 ||
	    setresuid(o->jail_uid, o->jail_uid, o->jail_uid) != 0)
		return err_sys(e, errno, "become uid %u", (unsigned)o->jail_uid);
	return true;
}

static bool set_limits(struct err *e)
{
	static const struct {
		int what;
		rlim_t limit;
	} limits[] = { { RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 256 } };

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit r = { limits[i].limit, limits[i].limit };

		if (setrlimit((__rlimit_resource_t)limits[i].what, &r) != 0)
			return err_sys(e, errno, "setrlimit");
	}
	return true;
}

/* Standard descriptors, then everything above 2 closes at exec but what is kept. */
static bool arrange_fds(const struct jail_spec *spec, struct err *e)
{
	CLEANUP(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(spec->stderr_fd, 1) < 0 ||
	    dup2(spec->stderr_fd, 2) < 0)
		return err_sys(e, errno, "standard descriptors");
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
		return err_sys(e, errno, "close_range");
	for (size_t i = 0; i < spec->n_keep_fds; i++)
		if (fcntl(spec->keep_fds[i], F_SETFD, 0) != 0)
			return err_sys(e, errno, "descriptor %d", spec->keep_fds[i]);
	return true;
}

/* Runs in the child; returns only on failure. */
static bool enter(const struct jail_spec *spec, const struct outside *o, bool namespaces,
		  struct err *e)
{
	static const char *const env[] = { "PATH=/usr/bin", "LANG=C.UTF-8", "HOME=/", NULL };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return err_sys(e, errno, "PDEATHSIG");
	setsid();
	if (namespaces && o->uid != 0 && !map_user(o, e))
		return false;
	if (!arrange_fds(spec, e) || (namespaces && !change_root(spec, e)) || !set_limits(e) ||
	    !drop_capabilities(e) || !drop_user(o, e))
		return false;
	/* A change of uid clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return err_sys(e, errno, "PDEATHSIG");
	execve(spec->argv[0], (char *const *)spec->argv, (char *const *)env);
	return err_sys(e, errno, "%s", spec->argv[0]);
}

static bool try_start(pid_t *ret_pid, const struct jail_spec *spec, bool namespaces,
		      struct err *e)
{
	struct outside o = look_outside();
	unsigned long flags = SIGCHLD;
	struct err said;
	int pipe_fds[2];

	if (namespaces)
		flags |= NAMESPACES | (o.uid != 0 ? CLONE_NEWUSER : 0);
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return err_sys(e, errno, "pipe");
	CLEANUP(fd_closep) int from = pipe_fds[0];
	CLEANUP(fd_closep) int to = pipe_fds[1];

	/* As fork(2), into the namespaces at once: no stack of its own, no shared memory. */
	pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
	if (pid < 0)
		return err_sys(e, errno, "new namespaces");
	if (pid == 0) {
		(void)enter(spec, &o, namespaces, &said);
		said.hint = NULL; /* a pointer means nothing to the reader */
		ssize_t ignored = write(to, &said, sizeof(said));
		(void)ignored;
		_exit(127);
	}
	close(TAKE_FD(to));

	/* The pipe closes at exec; if something arrives, that is why exec was not reached. */
	size_t n;
	if (!read_up_to(from, &said, sizeof(said), &n, e))
		return false;
	if (n == 0) {
		*ret_pid = pid;
		return true;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (n != sizeof(said))
		return err_set(e, E_SYSTEM, "the engine's process died before it started");
	return err_set(e, said.code, "%s", said.text);
}

bool jail_start(pid_t *ret_pid, char ret_weak[static ERR_TEXT_MAX],
		const struct jail_spec *spec, struct err *e)
{
	ret_weak[0] = '\0';
	if (try_start(ret_pid, spec, true, e))
		return true;
	if (spec->mode == JAIL_REQUIRE)
		return err_wrap(e, "no full sandbox on this host");
	snprintf(ret_weak, ERR_TEXT_MAX, "%s", e->text);
	return try_start(ret_pid, spec, false, e);
}
