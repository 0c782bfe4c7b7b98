#include "hypervisor/monitor.h"

#include "base/io.h"
#include "hypervisor/image.h"
#include "hypervisor/jail.h"
#include "hypervisor/kvm.h"
#include "hypervisor/lines.h"
#include "hypervisor/net/gate.h"
#include "hypervisor/qemu.h"
#include "hypervisor/qmp.h"
#include "hypervisor/serial_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QMP_LINE_MAX = 65536, LAST_WORDS_MAX = 400 };

struct vm {
	const struct launch_spec *spec;
	const struct clock *clock;
	char engine[16];
	char why[ERR_TEXT_MAX + 16], weak[ERR_TEXT_MAX];
	pid_t pid, gate; /* the engine, and the network's gate if there is one */
	int pidfd;
	int qmp, serial, health, control; /* our ends; non-blocking */
	int words;                        /* the engine's stderr: read when it has crashed */
	struct lines from_agent, from_qmp, from_health;
	struct serial_log log;
	int64_t started_ms;
	bool agent_gone, health_gone, console_gone;
	bool stopping, port_told, killed;
	int64_t port_at_ms, kill_at_ms; /* while stopping */
	enum qmp_said shutdown;
};

static void end_process(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void vm_done(struct vm *vm)
{
	end_process(vm->pid);
	end_process(vm->gate);
	int *fds[] = {
		&vm->pidfd, &vm->qmp, &vm->serial, &vm->health, &vm->control, &vm->words
	};
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_closep(fds[i]);
	lines_done(&vm->from_agent);
	lines_done(&vm->from_qmp);
	lines_done(&vm->from_health);
}

/* ---- talking ---- */

/* Best effort: a peer that does not read loses what it does not read. */
static void say(int fd, const void *p, size_t n)
{
	ssize_t ignored = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)ignored;
}

/* Events may not be lost: the agent's socket is waited for, but not for ever. */
static void send_event(struct vm *vm, const struct launch_event *ev)
{
	enum { PATIENCE_MS = 5000 };
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_CONTROL_LINE);
	struct err ignored;

	if (vm->agent_gone || !launch_event_encode(&b, ev, &ignored))
		return;
	for (size_t at = 0; at < b.n;) {
		struct pollfd p = { .fd = vm->spec->control_fd, .events = POLLOUT };

		if (poll(&p, 1, PATIENCE_MS) != 1)
			break;
		ssize_t n = send(p.fd, b.p + at, b.n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
}

static void send_started(struct vm *vm)
{
	struct launch_event ev = { .kind = LAUNCH_STARTED };

	snprintf(ev.engine, sizeof(ev.engine), "%s", vm->engine);
	snprintf(ev.why, sizeof(ev.why), "%s", vm->why);
	snprintf(ev.weak, sizeof(ev.weak), "%s", vm->weak);
	send_event(vm, &ev);
}

static void send_status(struct vm *vm)
{
	struct launch_event ev = { .kind = LAUNCH_STATE };

	snprintf(ev.engine, sizeof(ev.engine), "%s", vm->engine);
	ev.uptime_ms = (uint64_t)(clock_boot_ms(vm->clock) - vm->started_ms);
	send_event(vm, &ev);
}

static void send_exited(struct vm *vm, enum launch_exit reason, enum err_code code,
			const char *detail)
{
	struct launch_event ev = { .kind = LAUNCH_EXITED, .reason = reason, .code = code };

	snprintf(ev.detail, sizeof(ev.detail), "%s", detail);
	send_event(vm, &ev);
}

/* ---- stopping ---- */

static void kill_engine(struct vm *vm)
{
	vm->killed = true;
	kill(vm->pid, SIGKILL);
}

static void press_power_button(struct vm *vm, uint64_t grace_ms)
{
	int64_t now = clock_boot_ms(vm->clock);

	vm->stopping = true;
	vm->port_at_ms = now + (int64_t)grace_ms / 4;
	vm->kill_at_ms = now + (int64_t)grace_ms;
	say(vm->qmp, qmp_powerdown, strlen(qmp_powerdown));
}

static void use_control_port(struct vm *vm)
{
	static const char poweroff[] = "{\"cmd\":\"poweroff\"}\n";

	vm->port_told = true;
	say(vm->control, poweroff, strlen(poweroff));
}

/* What is due, and the milliseconds until something is again (-1: nothing). */
static int run_deadlines(struct vm *vm)
{
	if (!vm->stopping || vm->killed)
		return -1;
	int64_t now = clock_boot_ms(vm->clock);
	if (now >= vm->kill_at_ms) {
		kill_engine(vm);
		return -1;
	}
	if (now >= vm->port_at_ms && !vm->port_told)
		use_control_port(vm);
	return (int)((vm->port_told ? vm->kill_at_ms : vm->port_at_ms) - now);
}

/* ---- listening ---- */

static void obey(struct vm *vm, const char *line, size_t n)
{
	struct launch_command c;
	struct err e;

	if (!launch_command_parse(&c, line, n, &e))
		return; /* the agent is of another version: what it cannot say is not done */
	switch (c.verb) {
	case LAUNCH_STATUS:
		send_status(vm);
		break;
	case LAUNCH_STOP:
		if (!vm->stopping)
			press_power_button(vm, c.grace_ms);
		break;
	case LAUNCH_KILL:
		kill_engine(vm);
		break;
	}
}

static void hear_agent(struct vm *vm)
{
	const char *line;
	size_t n;

	if (lines_fill(&vm->from_agent, vm->spec->control_fd) == LINES_EOF) {
		vm->agent_gone = true; /* no phone outlives its agent */
		kill_engine(vm);
	}
	while (lines_next(&vm->from_agent, &line, &n))
		obey(vm, line, n);
}

static void hear_qmp(struct vm *vm)
{
	const char *line;
	size_t n;

	(void)lines_fill(&vm->from_qmp, vm->qmp); /* its end shows on the pidfd */
	while (lines_next(&vm->from_qmp, &line, &n)) {
		enum qmp_said said = qmp_parse(line, n);

		if (said != QMP_OTHER)
			vm->shutdown = said;
	}
}

static void hear_health(struct vm *vm)
{
	struct launch_event ev = { .kind = LAUNCH_HEALTH };
	const char *line;
	size_t n;

	if (lines_fill(&vm->from_health, vm->health) == LINES_EOF)
		vm->health_gone = true;
	while (lines_next(&vm->from_health, &line, &n)) {
		if (n >= sizeof(ev.line) || strlen(line) != n)
			continue;
		memcpy(ev.line, line, n + 1);
		send_event(vm, &ev);
	}
}

static void hear_serial(struct vm *vm)
{
	char bytes[4096];
	ssize_t n = read(vm->serial, bytes, sizeof(bytes));

	if (n <= 0)
		return; /* its end shows on the pidfd */
	serial_log_add(&vm->log, bytes, (size_t)n);
	if (vm->spec->console_fd >= 0 && !vm->console_gone)
		say(vm->spec->console_fd, bytes, (size_t)n);
}

static void hear_console(struct vm *vm)
{
	char bytes[256];
	ssize_t n = recv(vm->spec->console_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		say(vm->serial, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		vm->console_gone = true;
}

/* What the engine had left to say when it ended. */
static void drain(struct vm *vm)
{
	struct pollfd p = { .fd = vm->serial, .events = POLLIN };

	hear_qmp(vm);
	if (!vm->health_gone)
		hear_health(vm);
	for (int i = 0; i < 64 && poll(&p, 1, 0) == 1 && p.revents & POLLIN; i++)
		hear_serial(vm);
}

/* One round of the loop; false when the engine has ended. */
static bool listen_once(struct vm *vm)
{
	struct pollfd p[] = {
		{ .fd = vm->pidfd, .events = POLLIN },
		{ .fd = vm->agent_gone ? -1 : vm->spec->control_fd, .events = POLLIN },
		{ .fd = vm->qmp, .events = POLLIN },
		{ .fd = vm->health_gone ? -1 : vm->health, .events = POLLIN },
		{ .fd = vm->serial, .events = POLLIN },
		{ .fd = vm->console_gone ? -1 : vm->spec->console_fd, .events = POLLIN },
	};
	void (*const hear[])(struct vm *) = { NULL,        hear_agent,  hear_qmp,
					      hear_health, hear_serial, hear_console };

	if (poll(p, ARRAY_SIZE(p), run_deadlines(vm)) < 0)
		return true; /* EINTR */
	if (p[0].revents != 0)
		return false;
	for (size_t i = 1; i < ARRAY_SIZE(p); i++)
		if (p[i].revents != 0)
			hear[i](vm);
	return true;
}

/* ---- the end ---- */

/* The last line that the engine wrote to its stderr; "" for none. */
static void last_words(struct vm *vm, char out[static LAST_WORDS_MAX])
{
	size_t n = 0, start = 0;
	struct err ignored;
	off_t size = lseek(vm->words, 0, SEEK_END);

	if (size > LAST_WORDS_MAX - 1)
		start = (size_t)size - (LAST_WORDS_MAX - 1);
	n = size > 0 ? (size_t)size - start : 0;
	if (n > 0 && !pread_all(vm->words, out, n, start, &ignored))
		n = 0;
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)out[i] < ' ')
			out[i] = ' ';
}

static void report_end(struct vm *vm, int status)
{
	char words[LAST_WORDS_MAX], detail[LIMIT_TEXT + 1];

	last_words(vm, words);
	if (vm->killed)
		send_exited(vm, LAUNCH_EXIT_KILLED, E_NONE,
			    vm->stopping ? "did not stop in time" : "");
	else if (vm->stopping && vm->shutdown != QMP_OTHER)
		send_exited(vm, LAUNCH_EXIT_STOPPED, E_NONE, "");
	else if (vm->shutdown == QMP_SHUTDOWN_GUEST)
		send_exited(vm, LAUNCH_EXIT_POWEROFF, E_NONE, "");
	else if (vm->shutdown == QMP_SHUTDOWN_RESET)
		send_exited(vm, LAUNCH_EXIT_REBOOT, E_NONE, "the guest reset or panicked");
	else {
		snprintf(detail, sizeof(detail), "%s %d: %s", vm->engine,
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			 words[0] ? words : "no last words");
		send_exited(vm, LAUNCH_EXIT_CRASHED, E_NONE, detail);
	}
}

/* ---- the beginning ---- */

/* A stream socket pair: our end non-blocking, the engine's blocking as QEMU wants it. */
static bool make_port(int *ours, int *theirs, struct err *e)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return err_sys(e, errno, "socketpair");
	*ours = fds[0];
	*theirs = fds[1];
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0)
		return err_sys(e, errno, "non-blocking socket");
	return true;
}

static bool choose_engine(struct vm *vm, bool *ret_kvm, struct err *e)
{
	*ret_kvm = false;
	if (vm->spec->engine == LAUNCH_QEMU_TCG) {
		snprintf(vm->why, sizeof(vm->why), "asked for");
	} else if (kvm_probe(e)) {
		*ret_kvm = true;
		snprintf(vm->why, sizeof(vm->why), "KVM runs the test guest");
	} else if (vm->spec->engine == LAUNCH_QEMU_KVM) {
		return err_wrap(e, "KVM was asked for");
	} else {
		snprintf(vm->why, sizeof(vm->why), "no KVM: %s", e->text);
	}
	snprintf(vm->engine, sizeof(vm->engine), "%s", *ret_kvm ? "qemu-kvm" : "qemu-tcg");
	return true;
}

static void qemu_fds_done(struct qemu_fds *f)
{
	int *fds[] = { &f->kernel, &f->initrd,  &f->qmp, &f->serial,
		       &f->health, &f->control, &f->net };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_closep(fds[i]);
}

static bool start_engine(struct vm *vm, const struct qemu_fds *fds, struct err *e)
{
	CLEANUP(qemu_args_done) struct qemu_args args = { .n = 0 };
	bool kvm;

	if (!choose_engine(vm, &kvm, e))
		return false;
	if (!qemu_args_init(&args, vm->spec, fds, kvm, e))
		return false;
	struct jail_spec jail = {
		.mode = vm->spec->jail == LAUNCH_JAIL_REQUIRE ? JAIL_REQUIRE : JAIL_BEST_EFFORT,
		.argv = args.v,
		.keep_fds = args.keep_fds,
		.n_keep_fds = args.n_keep_fds,
		.want_kvm = kvm,
		.stderr_fd = vm->words,
	};
	if (!jail_start(&vm->pid, vm->weak, &jail, e))
		return err_wrap(e, "%s", vm->engine);
	vm->pidfd = (int)syscall(SYS_pidfd_open, vm->pid, 0);
	if (vm->pidfd < 0)
		return err_sys(e, errno, "pidfd");
	vm->started_ms = clock_boot_ms(vm->clock);
	return true;
}

/* The guest's network: a gate between the engine's card and the world. */
static bool start_net(struct vm *vm, int *ret_card, struct err *e)
{
	CLEANUP(fd_closep) int gate = -1;
	struct filter filter = { .n_rules = 0 };

	if (vm->spec->net == LAUNCH_NET_NONE)
		return true;
	for (size_t i = 0; i < vm->spec->n_allow; i++)
		if (!filter_add_rule(&filter, vm->spec->allow[i], e))
			return err_wrap(e, "net: allow");
	return make_port(&gate, ret_card, e) && gate_start(&vm->gate, gate, &filter, e);
}

static bool prepare_and_start(struct vm *vm, struct err *e)
{
	CLEANUP(qemu_fds_done) struct qemu_fds theirs = { -1, -1, -1, -1, -1, -1, -1 };

	vm->words = memfd_create("engine-stderr", MFD_CLOEXEC);
	if (vm->words < 0)
		return err_sys(e, errno, "memfd");
	if (!image_copy(&theirs.kernel, "kernel", &vm->spec->kernel, e) ||
	    (vm->spec->initrd.fd >= 0 &&
	     !image_copy(&theirs.initrd, "initrd", &vm->spec->initrd, e)) ||
	    !image_check_disks(vm->spec, e))
		return false;
	return make_port(&vm->qmp, &theirs.qmp, e) &&
	       make_port(&vm->serial, &theirs.serial, e) &&
	       make_port(&vm->health, &theirs.health, e) &&
	       make_port(&vm->control, &theirs.control, e) && start_net(vm, &theirs.net, e) &&
	       start_engine(vm, &theirs, e);
}

static void vm_init(struct vm *vm, const struct launch_spec *spec, const struct clock *clock)
{
	memset(vm, 0, sizeof(*vm));
	vm->spec = spec;
	vm->clock = clock;
	vm->pidfd = vm->qmp = vm->serial = vm->health = vm->control = vm->words = -1;
	lines_init(&vm->from_agent, LIMIT_CONTROL_LINE);
	lines_init(&vm->from_qmp, QMP_LINE_MAX);
	lines_init(&vm->from_health, LIMIT_HEALTH_LINE);
	serial_log_init(&vm->log, spec->serial_log_fd, LAUNCH_SERIAL_LOG_MAX);
}

bool monitor_run(const struct launch_spec *spec, const struct clock *clock, struct err *e)
{
	CLEANUP(vm_done) struct vm vm;
	int status = 0;

	vm_init(&vm, spec, clock);
	if (!prepare_and_start(&vm, e)) {
		send_exited(&vm, LAUNCH_EXIT_ERROR, e->code, e->text);
		return false;
	}
	send_started(&vm);
	say(vm.qmp, qmp_hello, strlen(qmp_hello));
	while (listen_once(&vm))
		;
	while (waitpid(vm.pid, &status, 0) < 0 && errno == EINTR)
		;
	vm.pid = 0;
	drain(&vm);
	report_end(&vm, status);
	return true;
}
