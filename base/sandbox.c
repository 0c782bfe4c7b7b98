#include "base/sandbox.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <seccomp.h>

/* -- who may do what -------------------------------------------------------------------- */

/* Every profile: end, memory that is not executable (below), locks, time, random numbers, and the
 * ends of what is open already. */
static const char *const calls_common[] = {
	"brk",          "clock_getres",   "clock_gettime",   "clock_nanosleep",
	"close",        "exit",           "exit_group",      "futex",
	"getpid",       "getrandom",      "gettid",          "madvise",
	"mlock",        "mremap",         "munlock",         "munmap",
	"nanosleep",    "poll",           "ppoll",           "read",
	"readv",        "recvfrom",       "recvmsg",         "restart_syscall",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn",    "sched_yield",
	"sendmsg",      "sendto",         "set_robust_list", "shutdown",
	"sigaltstack",  "time",           "write",           "writev",
	"gettimeofday", "rseq",           "membarrier",      NULL
};

/* Files by descriptor. */
static const char *const calls_files[] = {
	"copy_file_range", "dup",       "fadvise64",       "fallocate", "fdatasync",
	"fsync",           "ftruncate", "lseek",           "pread64",   "preadv",
	"pwrite64",        "pwritev",   "sync_file_range", NULL,
};

/* A daemon: paths, sockets, event loops.  Not here, and that is the point: execve, ptrace, mount,
 * unshare, setns, keyctl, bpf, perf_event_open, userfaultfd, module and reboot calls, process_vm_*. */
static const char *const calls_service[] = { "accept",
					     "accept4",
					     "access",
					     "bind",
					     "chdir",
					     "chmod",
					     "connect",
					     "dup2",
					     "dup3",
					     "epoll_create1",
					     "epoll_ctl",
					     "epoll_pwait",
					     "epoll_wait",
					     "eventfd2",
					     "faccessat",
					     "faccessat2",
					     "fchmod",
					     "fchmodat",
					     "fchown",
					     "fcntl",
					     "flock",
					     "fstat",
					     "fstatfs",
					     "getcwd",
					     "getdents64",
					     "getegid",
					     "geteuid",
					     "getgid",
					     "getpeername",
					     "getppid",
					     "getrlimit",
					     "getrusage",
					     "getsockname",
					     "getsockopt",
					     "getuid",
					     "link",
					     "linkat",
					     "listen",
					     "lstat",
					     "mkdir",
					     "mkdirat",
					     "newfstatat",
					     "open",
					     "openat",
					     "pipe2",
					     "prlimit64",
					     "pselect6",
					     "readlink",
					     "readlinkat",
					     "rename",
					     "renameat",
					     "renameat2",
					     "rmdir",
					     "sched_getaffinity",
					     "select",
					     "sendfile",
					     "sendmmsg",
					     "recvmmsg",
					     "setsockopt",
					     "signalfd4",
					     "socket",
					     "socketpair",
					     "stat",
					     "statfs",
					     "statx",
					     "sysinfo",
					     "timerfd_create",
					     "timerfd_settime",
					     "truncate",
					     "umask",
					     "uname",
					     "unlink",
					     "unlinkat",
					     "utimensat",
					     "wait4",
					     "waitid",
					     "alarm",
					     "setitimer",
					     "getgroups",
					     "sched_getparam",
					     "sched_getscheduler",
					     "sched_setscheduler",
					     "setpriority",
					     "ioctl",
					     "prctl",
					     "getpriority",
					     "capget",
					     "symlinkat",
					     "msync",
					     "mincore",
					     NULL };

/* What libraries ask for on the side and can do without. */
static const char *const calls_refused[] = {
	"access",    "faccessat", "faccessat2", "getcwd",     "getrlimit",
	"ioctl",     "lstat",     "open",       "openat",     "prctl",
	"prlimit64", "readlink",  "socket",     "readlinkat", "sched_getaffinity",
	"stat",      "statx",     "sysinfo",    "uname",      NULL
};

/* -- the filter ------------------------------------------------------------------------- */

/* Calls go by name and not all architectures have all: "open" is missing on arm64. */
static int add_call(scmp_filter_ctx ctx, uint32_t action, const char *call,
		    const struct scmp_arg_cmp *cmp, unsigned n)
{
	int nr = seccomp_syscall_resolve_name(call);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(ctx, action, nr, n, cmp);
}

static int add_calls(scmp_filter_ctx ctx, uint32_t action, const char *const *calls)
{
	int r = 0;

	for (; *calls && r == 0; calls++)
		r = add_call(ctx, action, *calls, NULL, 0);
	return r;
}

/* Memory may be mapped and protected, but never made executable: injected bytes stay data. */
static int add_memory(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r = add_call(ctx, SCMP_ACT_ALLOW, "mmap", &no_exec, 1);

	return r ? r : add_call(ctx, SCMP_ACT_ALLOW, "mprotect", &no_exec, 1);
}

/* clone for threads only.  The flags of clone3 lie in memory, where a filter cannot see them: it
 * "does not exist", and the C library falls back to clone. */
static int add_threads(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp thread =
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
	int r = add_call(ctx, SCMP_ACT_ALLOW, "clone", &thread, 1);

	return r ? r : add_call(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL, 0);
}

/* Signals for ourselves only: raise() and abort(). */
static int add_signals(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp us = SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid());

	return add_call(ctx, SCMP_ACT_ALLOW, "tgkill", &us, 1);
}

/* glibc's fstat() is newfstatat(fd, "", AT_EMPTY_PATH).  A filter cannot see that the path is
 * empty; with another one a caller learns a file's size and dates, and can do no more. */
static int add_fstat(scmp_filter_ctx ctx, bool files)
{
	const struct scmp_arg_cmp by_fd =
		SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH);
	const struct scmp_arg_cmp by_path = SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0);
	uint32_t action = files ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES);
	int r = add_call(ctx, action, "newfstatat", &by_fd, 1);

	if (r == 0)
		r = add_call(ctx, SCMP_ACT_ERRNO(EACCES), "newfstatat", &by_path, 1);
	return r ? r : add_call(ctx, action, "fstat", NULL, 0);
}

static int add_rules(scmp_filter_ctx ctx, const struct sandbox_rule *rules)
{
	int r = 0;

	for (; rules && rules->call && r == 0; rules++) {
		struct scmp_arg_cmp cmp[ARRAY_SIZE(rules->arg)];
		unsigned n = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(rules->arg); i++) {
			if (rules->arg[i].mask)
				cmp[n++] = SCMP_CMP64(i, SCMP_CMP_MASKED_EQ, rules->arg[i].mask,
						      rules->arg[i].value);
		}
		r = add_call(ctx, SCMP_ACT_ALLOW, rules->call, cmp, n);
	}
	return r;
}

static int add_profile(scmp_filter_ctx ctx, const struct sandbox *s)
{
	int r = 0;

	if (s->profile == SANDBOX_RULES)
		return add_rules(ctx, s->rules);
	r = add_calls(ctx, SCMP_ACT_ALLOW, calls_common);
	if (r == 0)
		r = add_memory(ctx);
	if (r == 0)
		r = add_signals(ctx);
	if (r == 0 && s->profile != SANDBOX_SIGNER)
		r = add_calls(ctx, SCMP_ACT_ALLOW, calls_files);
	if (r == 0 && s->profile == SANDBOX_SERVICE)
		r = add_calls(ctx, SCMP_ACT_ALLOW, calls_service);
	if (r == 0 && (s->threads || s->profile == SANDBOX_SERVICE))
		r = add_threads(ctx);
	if (r == 0 && s->profile != SANDBOX_SERVICE)
		r = add_fstat(ctx, s->profile == SANDBOX_COMPUTE);
	if (r == 0 && s->profile != SANDBOX_SERVICE)
		r = add_calls(ctx, SCMP_ACT_ERRNO(EACCES), calls_refused);
	return r ? r : add_rules(ctx, s->rules);
}

static void releasep(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static bool load_filter(const struct sandbox *s, struct err *e)
{
	CLEANUP(releasep) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!ctx)
		return err_nomem(e);
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, !s->this_thread);
	if (r == 0)
		r = add_profile(ctx, s);
	if (r == 0)
		r = seccomp_load(ctx);
	if (r < 0)
		return err_sys(e, -r, "system-call filter");
	return true;
}

/* -- the other steps -------------------------------------------------------------------- */

bool sandbox_drop_user(const char *user, struct err *e)
{
	char space[4096];
	struct passwd pw, *found;

	if (geteuid() != 0)
		return true;
	if (getpwnam_r(user, &pw, space, sizeof(space), &found) != 0 || !found)
		return err_set(e, E_CONFIG, "there is no user \"%s\"", user);
	if (pw.pw_uid == 0)
		return err_set(e, E_CONFIG, "user \"%s\" is root", user);
	if (setgroups(0, NULL) < 0 || setresgid(pw.pw_gid, pw.pw_gid, pw.pw_gid) < 0 ||
	    setresuid(pw.pw_uid, pw.pw_uid, pw.pw_uid) < 0)
		return err_sys(e, errno, "becoming user \"%s\"", user);
	/* Believed when seen: a kept capability or a saved uid would make the rest worthless. */
	if (setuid(0) == 0 || seteuid(0) == 0)
		return err_set(e, E_INTERNAL, "user \"%s\" can become root again", user);
	return true;
}

static bool limit(int resource, const char *what, uint64_t value, struct err *e)
{
	/* One more for the hard limit: at the soft one the signal tells what was exceeded. */
	const struct rlimit l = { value, resource == RLIMIT_CPU ? value + 1 : value };

	if (setrlimit(resource, &l) < 0)
		return err_sys(e, errno, "limit of %s", what);
	return true;
}

/* No memory limit under the address sanitizer, which reserves terabytes of address space. */
static bool set_limits(const struct sandbox *s, struct err *e)
{
	if (!limit(RLIMIT_CORE, "core files", 0, e))
		return false;
	if (s->memory_bytes && !ADDRESS_SANITIZED &&
	    !limit(RLIMIT_AS, "memory", s->memory_bytes, e))
		return false;
	if (s->cpu_s && !limit(RLIMIT_CPU, "CPU time", s->cpu_s, e))
		return false;
	if (s->file_bytes && !limit(RLIMIT_FSIZE, "file size", s->file_bytes, e))
		return false;
	return !s->files || limit(RLIMIT_NOFILE, "descriptors", s->files, e);
}

/* A child does not outlive the parent that waits for it.  Giving up rights forgets this, so it comes
 * after that; a parent that died before it is somebody else's child now. */
static bool die_with(pid_t parent, struct err *e)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, errno, "sandbox");
	if (getppid() != parent)
		return err_set(e, E_CANCELLED, "sandbox: the parent is gone");
	return true;
}

static bool enter(const struct sandbox *s, pid_t parent, struct err *e)
{
	if (s->user && !sandbox_drop_user(s->user, e))
		return err_wrap(e, "sandbox");
	if (parent && !die_with(parent, e))
		return false;
	if (!set_limits(s, e))
		return err_wrap(e, "sandbox");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "sandbox");
	if (!load_filter(s, e))
		return err_wrap(e, "sandbox");
	return true;
}

/* -- a child for one job ---------------------------------------------------------------- */

/* What the child says at its end.  The child may have been taken over, so the parent believes no
 * pointer in it and checks the rest. */
struct verdict {
	uint32_t code; /* E_NONE: it worked */
	int32_t sys;
	char text[ERR_TEXT_MAX];
};

bool sandbox_enter(const struct sandbox *s, struct err *e)
{
	return enter(s, 0, e);
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Closes the gaps between the descriptors to keep. */
static bool close_others(const int *keep, size_t n, int also, struct err *e)
{
	int *all = calloc(n + 2, sizeof(*all)), next = 0;

	if (!all)
		return err_nomem(e);
	if (n > 0)
		memcpy(all, keep, n * sizeof(*all));
	all[n] = also;
	all[n + 1] = STDERR_FILENO;
	qsort(all, n + 2, sizeof(*all), compare_ints);
	for (size_t i = 0; i < n + 2; i++) {
		if (all[i] > next)
			close_range((unsigned)next, (unsigned)all[i] - 1, 0);
		if (all[i] >= next)
			next = all[i] + 1;
	}
	close_range((unsigned)next, ~0u, 0);
	free(all);
	return true;
}

/* Freed blocks of this size and more leave the process at once.  The C library would raise its limit to
 * what was freed last and keep blocks of that size for good: 5 MiB of the 32 that a delta may take. */
enum { GIVEN_BACK = 128 << 10 };

static NORETURN void be_the_child(const struct sandbox *s, bool (*fn)(void *ctx, struct err *e),
				  void *ctx, const int *keep, size_t n_keep, int to_parent,
				  pid_t parent)
{
	struct verdict v = { .code = E_NONE };
	struct err e;

	mallopt(M_MMAP_THRESHOLD, GIVEN_BACK);
	if (!close_others(keep, n_keep, to_parent, &e) || !enter(s, parent, &e) ||
	    !fn(ctx, &e)) {
		v.code = (uint32_t)e.code;
		v.sys = e.sys;
		memcpy(v.text, e.text, sizeof(v.text));
	}
	/* If the parent is gone, so is everyone who would want to know. */
	(void)!write(to_parent, &v, sizeof(v));
	_exit(0);
}

bool sandbox_explain(int wait_status, struct err *e)
{
	int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;

	if (sig == 0 && WEXITSTATUS(wait_status) == 0)
		return true;
	switch (sig) {
	case 0:
		return err_set(e, E_INTERNAL, "ended with status %d", WEXITSTATUS(wait_status));
	case SIGSYS:
		return err_set(e, E_CORRUPT, "stopped by the system-call filter");
	case SIGXCPU:
		return err_set(e, E_TOO_BIG, "took more than its CPU time");
	case SIGXFSZ:
		return err_set(e, E_TOO_BIG, "wrote more than its file size");
	case SIGKILL:
		return err_set(e, E_NOMEM, "killed, perhaps for want of memory");
	default:
		return err_set(e, E_CORRUPT, "crashed: %s", strsignal(sig));
	}
}

static bool read_verdict(const struct verdict *v, size_t n, struct err *e)
{
	if (n != sizeof(*v) || v->code > E_INTERNAL || !memchr(v->text, 0, sizeof(v->text)))
		return err_set(e, E_CORRUPT, "the sandboxed child gave no clear answer");
	if (v->code == E_NONE)
		return true;
	err_set(e, (enum err_code)v->code, "%s", v->text);
	e->sys = v->sys;
	return false;
}

bool sandbox_start(struct sandbox_child *ret, const struct sandbox *s,
		   bool (*fn)(void *ctx, struct err *e), void *ctx, const int *keep,
		   size_t n_keep, struct err *e)
{
	struct sandbox_child c = { .pidfd = -1 };
	pid_t self = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	c.pid = fork();
	if (c.pid == 0)
		be_the_child(s, fn, ctx, keep, n_keep, ends[1], self);
	close(ends[1]);
	c.verdict_fd = ends[0];
	if (c.pid < 0) {
		err_sys(e, errno, "fork");
		close(ends[0]);
		return false;
	}
	c.pidfd = pidfd_open(c.pid, 0);
	if (c.pidfd < 0) {
		err_sys(e, errno, "pidfd_open");
		sandbox_kill(&c);
		return false;
	}
	*ret = c;
	return true;
}

/* It has ended, or is about to. */
static bool reap(struct sandbox_child *c, int *ret_status, struct err *e)
{
	pid_t got;

	do
		got = waitpid(c->pid, ret_status, 0);
	while (got < 0 && errno == EINTR);
	c->pid = 0;
	fd_closep(&c->pidfd);
	return got > 0 ? true : err_sys(e, errno, "waitpid");
}

bool sandbox_finish(struct sandbox_child *c, int timeout_ms, struct err *e)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };
	CLEANUP(fd_closep) int from_child = -1;
	struct err e_read;
	struct verdict v;
	bool read_ok;
	int n, status;
	size_t got = 0;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return err_set(e, E_TIMEOUT, "the sandboxed child has not ended");
	from_child = TAKE_FD(c->verdict_fd);
	if (!reap(c, &status, e))
		return false;
	/* What it said fits into the pipe, and nobody is left to say more. */
	read_ok = read_up_to(from_child, &v, sizeof(v), &got, &e_read);
	/* How it ended speaks first: a crash after the answer is a crash. */
	return sandbox_explain(status, e) && read_verdict(&v, read_ok ? got : 0, e);
}

void sandbox_kill(struct sandbox_child *c)
{
	struct err ignored;
	int status;

	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL);
	(void)!reap(c, &status, &ignored);
	fd_closep(&c->verdict_fd);
}

bool sandbox_call(const struct sandbox *s, bool (*fn)(void *ctx, struct err *e), void *ctx,
		  const int *keep, size_t n_keep, struct err *e)
{
	struct sandbox_child c;

	return sandbox_start(&c, s, fn, ctx, keep, n_keep, e) && sandbox_finish(&c, -1, e);
}
