/* hypervisor/jail.h - start the engine where it can reach nothing but the descriptors it was given.
 *
 * The engine (QEMU) parses what a hostile guest says; when it is taken over, this is what is left
 * to the attacker:
 *
 *	namespaces   user (when not root), mount, pid, net, ipc, uts: it sees no process, no
 *	             network interface but a downed loopback, no host name
 *	root         an empty tmpfs with /usr and the linker's cache read-only, nosuid, nodev;
 *	             /proc of its own pid namespace; /dev/null, /dev/urandom, /dev/kvm if wanted.
 *	             No home, no state directory, no socket of the host
 *	uid          one that owns nothing: the account "valise-vm", else a number of the range
 *	             that systemd keeps for dynamic users
 *	privileges   no capabilities, no_new_privs, no core dumps, few descriptors, no new processes
 *	system calls QEMU's own seccomp filter on top (-sandbox on,...)
 *
 * Some containers allow no namespaces.  JAIL_REQUIRE then fails; JAIL_BEST_EFFORT goes on with
 * the rest (uid, privileges, seccomp) and says in `ret_weak` what is missing. */
#ifndef VALISE_HYPERVISOR_JAIL_H
#define VALISE_HYPERVISOR_JAIL_H

#include "base/err.h"

#include <sys/types.h>

enum jail_mode { JAIL_REQUIRE, JAIL_BEST_EFFORT };

struct jail_spec {
	enum jail_mode mode;
	const char *const *argv; /* absolute path of the program first; NULL-terminated */
	const int *keep_fds;     /* inherited under the same numbers; all others are closed */
	size_t n_keep_fds;
	bool want_kvm; /* /dev/kvm appears in the jail */
	int stderr_fd; /* the program's stdout and stderr; stdin is /dev/null */
};

/* Starts the program and hands back its pid as seen from here (it is pid 1 inside).  The
 * program dies with the calling process (PR_SET_PDEATHSIG).  ret_weak is "" for a full jail,
 * else the reason why it is a lesser one.  Errors before exec arrive here as E_SYSTEM with the
 * step that failed. */
bool jail_start(pid_t *ret_pid, char ret_weak[static ERR_TEXT_MAX],
		const struct jail_spec *spec, struct err *e) MUST_USE;

#endif
