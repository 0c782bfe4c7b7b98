/* agent/vmctl.h - the virtual phone as a child process: start, listen, stop, and its last words.
 *
 * The monitor (valise-vmm) gets its launch spec and every file as descriptors (proto/launch.h) and
 * says what happens on a control socket.  It dies with the agent: end of file on that socket stops it.
 *
 *	stopped ── vm_start ──► starting ── started ──► running ── exited, end of file ──► stopped
 *
 * Nothing here blocks but vm_start's fork and vm_reap's wait for a process that is gone or was
 * killed.  Time limits are the caller's (agent/daemon.c). */
#ifndef VALISE_AGENT_VMCTL_H
#define VALISE_AGENT_VMCTL_H

#include "agent/configdrive.h"
#include "agent/policyd.h"
#include "agent/settings.h"
#include "agent/slots.h"
#include "base/rng.h"
#include "proto/health.h"
#include "proto/launch.h"

#include <sys/types.h>

enum vm_state { VM_STOPPED, VM_STARTING, VM_RUNNING, VM_STOPPING };
extern const char *const vm_state_names[];

struct vm {
	enum vm_state state;
	pid_t pid;
	int control_fd, console_fd; /* -1 while stopped */
	uint8_t boot[HEALTH_BOOT];  /* nonce of this boot */
	uint8_t slot;               /* that it was booted from */
	uint32_t health_deadline_s; /* of this boot, narrowed by policy */
	struct buf in;              /* bytes of a line not yet whole */
	char engine[LIMIT_NAME + 1];
	bool heard_exit;
};
#define VM_INIT                          \
	((struct vm){ .control_fd = -1,  \
		      .console_fd = -1,  \
		      .slot = SLOT_NONE, \
		      .in = { .max = LIMIT_CONTROL_LINE } })

/* What to boot. */
struct vm_plan {
	int state_dirfd; /* data disk and serial.log are below it */
	uint8_t slot;
	const struct release_id *id;
	const char *model, *device;
	const char *hostname;
	const struct applied *policy;
	const struct settings *settings;
	int64_t now_s;
};

/* Opens the slot's files, makes the configuration drive, starts the monitor.  E_CORRUPT: the slot
 * is damaged (as far as can be seen without reading it all: the monitor checks the rest and says
 * so in its last event). */
bool vm_start(struct vm *vm, const struct vm_plan *plan, const struct rng *rng,
	      struct err *e) MUST_USE;

/* The next event, if a whole one has arrived.  End of file without a last word is made into
 * "exited", crashed.  After LAUNCH_EXITED call vm_reap. */
bool vm_next_event(struct vm *vm, struct launch_event *ret, bool *ret_have,
		   struct err *e) MUST_USE;

/* Asks it to end; grace_ms 0 kills the guest at once. */
bool vm_stop(struct vm *vm, uint64_t grace_ms, struct err *e) MUST_USE;
/* SIGKILL for a monitor that does not answer. */
void vm_kill(struct vm *vm);
/* Waits for the process, which has ended or was killed, and closes everything.  *ret_status as waitpid's; may
 * be NULL. */
void vm_reap(struct vm *vm, int *ret_status);
void vm_done(struct vm *vm); /* kills what runs */

/* The end of serial.log, at most LIMIT_LOG_TAIL bytes; empty if there is none. */
bool vm_log_tail(struct buf *out, int state_dirfd, struct err *e) MUST_USE;

#endif
