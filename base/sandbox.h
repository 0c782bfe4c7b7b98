/* base/sandbox.h - gives up rights for good: the one door for seccomp.h.
 *
 * For code that reads what an enemy may have written (images, deltas, requests) or that holds
 * keys.  Everything it needs is opened first; then it goes in, and there is no way out:
 *
 *	const struct sandbox box = {
 *		.profile = SANDBOX_COMPUTE, .user = "valise", .memory_bytes = 64 << 20, .cpu_s = 60,
 *	};
 *	if (!sandbox_enter(&box, e)) ...         // a process of its own: the server's workers
 *
 *	int keep[] = { source, delta, target };
 *	if (!sandbox_call(&box, decode, &job, keep, ARRAY_SIZE(keep), e))
 *		return err_wrap(e, "delta");     // a child for one job: the agent's decoder
 *
 * What sandbox_enter does, in this order, each step only narrowing:
 *
 *	user        when running as root and `user` is set: its uid and gid, no other groups, no
 *	            capabilities; afterwards the way back to root must fail, or the entry does
 *	limits      rlimits for memory, CPU time, file size, descriptors; never a core file
 *	no_new_privs, not dumpable: set-uid programs give nothing, nobody attaches a debugger
 *	seccomp     the profile's allow-list.  Harmless questions that libraries ask (which locale,
 *	            how many CPUs) get EACCES; anything else ends the process with SIGSYS
 *
 * It all works without privileges; only `user` needs root and is ignored otherwise. */
#ifndef VALISE_BASE_SANDBOX_H
#define VALISE_BASE_SANDBOX_H

#include "base/err.h"

#include <sys/types.h>

enum sandbox_profile {
	/* Reads and writes descriptors that are open, also ones received over a socket that is
	 * open; memory; the clock.  No paths, no sockets, no programs, no other processes. */
	SANDBOX_COMPUTE,
	/* The same without files: messages on open sockets and pipes.  For the signing process. */
	SANDBOX_SIGNER,
	/* Network, files and threads, but no programs, no debugging, no mounts, modules, keys or
	 * namespaces.  For a daemon that parses requests. */
	SANDBOX_SERVICE,
	/* Only `rules`: for threads whose calls are known one by one, such as a virtual CPU. */
	SANDBOX_RULES,
};

/* One more allowed call; with masks set, only when (argument & mask) == value. */
struct sandbox_rule {
	const char *call; /* "ioctl"; a name this architecture lacks is skipped */
	struct {
		uint64_t mask, value; /* mask 0: any */
	} arg[6];
};

struct sandbox {
	enum sandbox_profile profile;
	const char *user;                 /* NULL stays who we are */
	const struct sandbox_rule *rules; /* more calls; ends with a NULL call; or NULL */
	uint64_t memory_bytes, cpu_s, file_bytes, files; /* 0: no limit of ours */
	bool threads;     /* COMPUTE and SIGNER may start threads */
	bool this_thread; /* the filter is for the calling thread only, not for all */
};

bool sandbox_enter(const struct sandbox *s, struct err *e) MUST_USE;

/* The first step alone, for processes that go on to set things up. */
bool sandbox_drop_user(const char *user, struct err *e) MUST_USE;

/* Runs fn in a child inside the sandbox.  Of the descriptors only keep[] and standard error are
 * left to it; what it changes in memory is its own (but in MAP_SHARED memory), and large blocks that it
 * frees leave it at once.  It is killed when the thread that started it ends, and so when its process does. */
struct sandbox_child {
	pid_t pid; /* 0: none */
	int pidfd, verdict_fd;
};
bool sandbox_start(struct sandbox_child *ret, const struct sandbox *s,
		   bool (*fn)(void *ctx, struct err *e), void *ctx, const int *keep,
		   size_t n_keep, struct err *e) MUST_USE;

/* Waits up to timeout_ms (-1: for ever) for its end and gives back fn's result and error.  A child
 * that breaks the rules, crashes or uses up a limit is an error here: E_CORRUPT, E_TOO_BIG, E_NOMEM.
 * E_TIMEOUT: it has not ended; only then the child is still there. */
bool sandbox_finish(struct sandbox_child *c, int timeout_ms, struct err *e) MUST_USE;

/* Ends it wherever it is, and what it would have said.  Fine after sandbox_finish. */
void sandbox_kill(struct sandbox_child *c);

/* Both: starts it and waits for its end. */
bool sandbox_call(const struct sandbox *s, bool (*fn)(void *ctx, struct err *e), void *ctx,
		  const int *keep, size_t n_keep, struct err *e) MUST_USE;

/* What a wait status says about a sandboxed process; true if it ended with status 0. */
bool sandbox_explain(int wait_status, struct err *e) MUST_USE;

#endif
