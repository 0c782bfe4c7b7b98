#include "agent/vmctl.h"

#include "agent/copy.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERIAL_LOG "serial.log"
enum { SCHEMAS_BACK = 100, REAP_MS = 3000 };

const char *const vm_state_names[] = { "stopped", "starting", "running", "stopping", NULL };

/* Everything that the monitor inherits; closed on our side when it has been started. */
struct inheritance {
	int fds[LAUNCH_DISKS_MAX + 8];
	size_t n;
};

static void inheritance_done(struct inheritance *h)
{
	for (size_t i = 0; i < h->n; i++)
		fd_closep(&h->fds[i]);
}

/* Takes the descriptor over and hands its number back. */
static int inherit(struct inheritance *h, int fd)
{
	h->fds[h->n++] = fd;
	return fd;
}

/* ---- the launch spec --------------------------------------------------------------------- */

static bool add_component(struct launch_file *out, struct inheritance *h, int slot_dirfd,
			  const struct component *c, struct err *e)
{
	int fd;

	if (!slot_component(&fd, slot_dirfd, c, e))
		return false;
	*out = (struct launch_file){ .fd = inherit(h, fd), .verified = true, .size = c->size };
	memcpy(out->salt, c->salt, sizeof(out->salt));
	memcpy(out->root, c->root, sizeof(out->root));
	return true;
}

static bool add_disk(struct launch_spec *s, const char *name, bool readonly, int fd,
		     struct inheritance *h)
{
	struct launch_disk *d = &s->disks[s->n_disks++];

	snprintf(d->name, sizeof(d->name), "%s", name);
	d->readonly = readonly;
	d->file = (struct launch_file){ .fd = inherit(h, fd) };
	return true;
}

/* A new layout starts from a copy of the newest older one, so that the older release
 * still finds its own when the new one is rolled back. */
static bool copy_older_data(int dirfd, int to, uint64_t schema, struct err *e)
{
	uint64_t oldest = schema > SCHEMAS_BACK ? schema - SCHEMAS_BACK : 0;

	while (schema-- > oldest) {
		char name[32];

		snprintf(name, sizeof(name), "%" PRIu64 ".img", schema);
		CLEANUP(fd_closep) int from = -1;
		if (!file_open_at(&from, dirfd, name, O_RDONLY | O_NOFOLLOW, 0, e)) {
			if (e->code == E_NOT_FOUND)
				continue;
			return false;
		}
		return copy_content(to, from, NULL, e) ? true : err_wrap(e, "%s", name);
	}
	return true;
}

static bool make_data(int dirfd, const char *name, uint64_t schema, uint64_t bytes,
		      struct err *e)
{
	CLEANUP(file_abort) struct file f = FILE_INIT;
	uint64_t size;

	if (!file_begin(&f, dirfd, name, 0600, e) || !copy_older_data(dirfd, f.fd, schema, e) ||
	    !fd_size(f.fd, &size, e))
		return false;
	/* Sparse: what the guest never writes costs nothing. */
	if (size < bytes && ftruncate(f.fd, (off_t)bytes) < 0)
		return err_sys(e, errno, "%s", name);
	return file_commit(&f, e);
}

static bool open_data(int *ret, const struct vm_plan *plan, struct err *e)
{
	uint64_t schema = plan->id->data_schema;
	CLEANUP(fd_closep) int dirfd = -1;
	char name[32];

	snprintf(name, sizeof(name), "%" PRIu64 ".img", schema);
	if (!dir_open_at(&dirfd, plan->state_dirfd, "data", 0700, e) || !file_sweep(dirfd, e))
		return err_wrap(e, "data");
	if (file_open_at(ret, dirfd, name, O_RDWR | O_NOFOLLOW, 0, e))
		return true;
	if (e->code != E_NOT_FOUND)
		return err_wrap(e, "data disk");
	return (make_data(dirfd, name, schema, plan->settings->data_bytes, e) &&
		file_open_at(ret, dirfd, name, O_RDWR | O_NOFOLLOW, 0, e)) ||
	       err_wrap(e, "data disk");
}

static bool open_config(int *ret, const struct vm *vm, const struct vm_plan *plan,
			const struct release *r, struct err *e)
{
	CLEANUP(buf_done) struct buf apps = BUF_INIT(CONFIGDRIVE_FILE_MAX);
	char boot[BOOT_NONCE_TEXT];

	hex_encode(boot, vm->boot, sizeof(vm->boot));
	struct configdrive c = {
		.instance = plan->device,
		.hostname = plan->hostname,
		.boot = boot,
		.product = r->product,
		.version = r->version,
		.made_s = plan->now_s,
	};
	if (!applied_apps_config(&apps, plan->policy, e))
		return false;
	c.apps_config = buf_str(&apps);
	return configdrive_make(ret, &c, e);
}

static bool add_disks(struct launch_spec *s, struct inheritance *h, const struct vm *vm,
		      const struct vm_plan *plan, int slot_dirfd, const struct release *r,
		      const struct model *m, struct err *e)
{
	int fd;

	for (size_t i = 0; i < m->n_disks; i++) {
		const struct component *c = &r->components[m->disks[i]];
		struct launch_disk *d = &s->disks[s->n_disks];

		if (!add_component(&d->file, h, slot_dirfd, c, e))
			return false;
		snprintf(d->name, sizeof(d->name), "%s", c->name);
		d->readonly = true;
		s->n_disks++;
	}
	if (!open_data(&fd, plan, e) || !add_disk(s, "data", false, fd, h))
		return false;
	return open_config(&fd, vm, plan, r, e) && add_disk(s, "config", true, fd, h);
}

static bool add_network(struct launch_spec *s, const struct applied *policy, struct err *e)
{
	const struct policy_value *mode = &policy->merged->values[POLICY_NET_MODE];
	const struct policy_value *hosts = &policy->merged->values[POLICY_NET_ALLOW_HOSTS];

	if (!mode->set || mode->num == NET_MODE_NONE || !hosts->set || hosts->n_hosts == 0)
		return true;
	s->net = LAUNCH_NET_ALLOW;
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		char text[ALLOW_TEXT_SIZE];

		allow_format(text, &hosts->hosts[i]);
		if (s->n_allow == LAUNCH_ALLOW_MAX || strlen(text) >= sizeof(s->allow[0]))
			return err_set(e, E_TOO_BIG, "net.allow_hosts: %s does not fit", text);
		memcpy(s->allow[s->n_allow++], text, strlen(text) + 1);
	}
	return true;
}

static bool fill_spec(struct launch_spec *s, struct inheritance *h, struct vm *vm,
		      const struct vm_plan *plan, struct err *e)
{
	CLEANUP(release_freep) struct release *r = NULL;
	CLEANUP(fd_closep) int slot_dirfd = -1;

	if (!slot_open(&slot_dirfd, plan->state_dirfd, plan->slot, e) ||
	    !slot_release(&r, slot_dirfd, plan->id, e))
		return false;
	const struct model *m = release_model(r, plan->model);
	if (!m)
		return err_set(e, E_UNSUPPORTED, "the release has no model \"%s\"",
			       plan->model);
	struct policy_limits limits = policy_narrow(plan->policy->merged, r, m);

	vm->health_deadline_s = limits.health_deadline_s;
	hex_encode(s->id, vm->boot, sizeof(vm->boot));
	snprintf(s->arch, sizeof(s->arch), "%s", arch_names[m->arch]);
	snprintf(s->cmdline, sizeof(s->cmdline), "%s", m->cmdline);
	s->memory_mib = limits.memory_mib;
	s->vcpus = limits.vcpus;
	s->engine = (enum launch_engine)plan->settings->engine;
	s->jail = (enum launch_jail)plan->settings->jail;
	if (!add_component(&s->kernel, h, slot_dirfd, &r->components[m->kernel], e) ||
	    (m->initrd >= 0 &&
	     !add_component(&s->initrd, h, slot_dirfd, &r->components[m->initrd], e)))
		return false;
	return add_disks(s, h, vm, plan, slot_dirfd, r, m, e) &&
	       add_network(s, plan->policy, e);
}

/* ---- starting ---------------------------------------------------------------------------- */

static bool add_sockets(struct launch_spec *s, struct inheritance *h, struct vm *vm,
			const struct vm_plan *plan, struct err *e)
{
	int control[2], console[2], log;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
		return err_sys(e, errno, "control socket");
	vm->control_fd = control[0];
	s->control_fd = inherit(h, control[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0)
		return err_sys(e, errno, "console socket");
	vm->console_fd = console[0];
	s->console_fd = inherit(h, console[1]);
	if (!file_open_at(&log, plan->state_dirfd, SERIAL_LOG,
			  O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, e))
		return false;
	s->serial_log_fd = inherit(h, log);
	return true;
}

static bool spec_to_memory(int *ret, const struct launch_spec *s, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LAUNCH_SPEC_MAX);
	CLEANUP(fd_closep) int fd = memfd_create("valise-spec", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "memory file");
	if (!launch_spec_encode(&text, s, e) || !write_all(fd, text.p, text.n, e))
		return err_wrap(e, "launch spec");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, errno, "launch spec");
	*ret = TAKE_FD(fd);
	return true;
}

/* A bare name is the program that was installed beside this one. */
static void find_monitor(char *out, size_t size, const char *name)
{
	char self[PATH_MAX];
	ssize_t n = strchr(name, '/') ? -1 : readlink("/proc/self/exe", self, sizeof(self) - 1);

	snprintf(out, size, "%s", name);
	if (n <= 0)
		return;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (!slash)
		return;
	*slash = '\0';
	char path[2 * PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", self, name);
	if (access(path, X_OK) == 0)
		snprintf(out, size, "%s", path);
}

/* Between fork and exec: only calls that are safe there, as other threads may hold locks. */
static NORETURN void become_monitor(char *const argv[], const struct inheritance *h,
				    int exec_fd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* A terminal's Ctrl-C is for the agent, which then stops the phone in order. */
	setpgid(0, 0);
	for (size_t i = 0; i < h->n; i++)
		fcntl(h->fds[i], F_SETFD, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	execvp(argv[0], argv);
	int why = errno;
	ssize_t ignored = write(exec_fd, &why, sizeof(why));
	(void)ignored;
	_exit(127);
}

/* The pipe closes at exec; what comes out of it is the errno of a failed one. */
static bool spawn(struct vm *vm, const char *path, const struct inheritance *h, int spec_fd,
		  struct err *e)
{
	char number[16], program[2 * PATH_MAX];
	char *argv[] = { program, (char[]){ "--spec-fd" }, number, NULL };
	int ends[2], why;
	size_t n = 0;

	find_monitor(program, sizeof(program), path);
	snprintf(number, sizeof(number), "%d", spec_fd);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid_t pid = fork();
	if (pid == 0)
		become_monitor(argv, h, ends[1]);
	int fork_errno = errno;
	close(ends[1]);
	bool ok = pid > 0 && read_up_to(ends[0], &why, sizeof(why), &n, e);
	close(ends[0]);
	if (pid < 0)
		return err_sys(e, fork_errno, "fork");
	vm->pid = pid;
	if (ok && n == sizeof(why))
		return err_sys(e, why, "%s", program);
	return ok;
}

bool vm_start(struct vm *vm, const struct vm_plan *plan, const struct rng *rng, struct err *e)
{
	CLEANUP(inheritance_done) struct inheritance h = { .n = 0 };
	struct launch_spec *s = malloc(sizeof(*s));
	int spec_fd;

	if (!s)
		return err_nomem(e);
	launch_spec_init(s);
	rng_fill(rng, vm->boot, sizeof(vm->boot));
	bool ok = fill_spec(s, &h, vm, plan, e) && add_sockets(s, &h, vm, plan, e) &&
		  spec_to_memory(&spec_fd, s, e) &&
		  spawn(vm, plan->settings->vmm, &h, inherit(&h, spec_fd), e);
	free(s);
	if (!ok) {
		vm_done(vm);
		return err_wrap(e, "slot %s", slot_name(plan->slot));
	}
	vm->state = VM_STARTING;
	vm->slot = plan->slot;
	vm->heard_exit = false;
	vm->engine[0] = '\0';
	return true;
}

/* ---- listening --------------------------------------------------------------------------- */

static bool take_line(struct vm *vm, struct launch_event *ret, bool *ret_have, struct err *e)
{
	uint8_t *end = vm->in.n ? memchr(vm->in.p, '\n', vm->in.n) : NULL;

	*ret_have = false;
	if (!end) {
		if (vm->in.n >= LIMIT_CONTROL_LINE)
			return err_set(e, E_TOO_BIG, "monitor: a line without an end");
		return true;
	}
	size_t n = (size_t)(end - vm->in.p);
	bool ok = launch_event_parse(ret, vm->in.p, n, e);
	size_t rest = vm->in.n - n - 1;
	memmove(vm->in.p, end + 1, rest);
	vm->in.n = rest;
	if (!ok)
		return err_wrap(e, "monitor");
	*ret_have = true;
	return true;
}

static void note(struct vm *vm, const struct launch_event *ev)
{
	if (ev->kind == LAUNCH_STARTED) {
		if (vm->state == VM_STARTING)
			vm->state = VM_RUNNING;
		memcpy(vm->engine, ev->engine, sizeof(vm->engine));
	}
	if (ev->kind == LAUNCH_EXITED)
		vm->heard_exit = true;
}

bool vm_next_event(struct vm *vm, struct launch_event *ret, bool *ret_have, struct err *e)
{
	uint8_t bytes[4096];
	size_t room = LIMIT_CONTROL_LINE - vm->in.n;

	if (!take_line(vm, ret, ret_have, e))
		return false;
	if (*ret_have) {
		note(vm, ret);
		return true;
	}
	ssize_t n = recv(vm->control_fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes),
			 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0 && !vm->heard_exit) {
		*ret = (struct launch_event){
			.kind = LAUNCH_EXITED,
			.reason = LAUNCH_EXIT_CRASHED,
			.detail = "the monitor ended without a word",
		};
		*ret_have = true;
		note(vm, ret);
		return true;
	}
	if (n <= 0)
		return true;
	if (!buf_add(&vm->in, bytes, (size_t)n, e) || !take_line(vm, ret, ret_have, e))
		return false;
	if (*ret_have)
		note(vm, ret);
	return true;
}

/* ---- stopping ---------------------------------------------------------------------------- */

bool vm_stop(struct vm *vm, uint64_t grace_ms, struct err *e)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(LIMIT_CONTROL_LINE);
	struct launch_command c = { .verb = grace_ms ? LAUNCH_STOP : LAUNCH_KILL,
				    .grace_ms = grace_ms };

	if (vm->state == VM_STOPPED)
		return true;
	vm->state = VM_STOPPING;
	if (!launch_command_encode(&line, &c, e))
		return false;
	/* A short line into an empty buffer: all of it goes or the monitor is gone. */
	if (send(vm->control_fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return err_sys(e, errno, "monitor");
	return true;
}

void vm_kill(struct vm *vm)
{
	if (vm->pid > 0)
		kill(vm->pid, SIGKILL);
}

/* Having said its last word or lost its control socket, it has little left to do. */
static bool ends_soon(pid_t pid)
{
	CLEANUP(fd_closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return fd < 0 || poll(&p, 1, REAP_MS) != 0;
}

void vm_reap(struct vm *vm, int *ret_status)
{
	int status = 0;

	fd_closep(&vm->control_fd);
	fd_closep(&vm->console_fd);
	if (vm->pid > 0 && !ends_soon(vm->pid))
		vm_kill(vm);
	if (vm->pid > 0)
		while (waitpid(vm->pid, &status, 0) < 0 && errno == EINTR)
			;
	vm->pid = 0;
	vm->state = VM_STOPPED;
	buf_reset(&vm->in);
	if (ret_status)
		*ret_status = status;
}

void vm_done(struct vm *vm)
{
	vm_kill(vm);
	vm_reap(vm, NULL);
	buf_done(&vm->in);
}

bool vm_log_tail(struct buf *out, int state_dirfd, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	uint8_t *p;
	uint64_t size;

	if (!file_open_at(&fd, state_dirfd, SERIAL_LOG, O_RDONLY | O_NOFOLLOW, 0, e))
		return e->code == E_NOT_FOUND;
	if (!fd_size(fd, &size, e))
		return false;
	size_t n = size > LIMIT_LOG_TAIL ? LIMIT_LOG_TAIL : (size_t)size;
	if (!buf_reserve(out, n, &p, e) || !pread_all(fd, p, n, size - n, e))
		return false;
	buf_commit(out, n);
	return true;
}
