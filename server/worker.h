/* server/worker.h - a process that does one job for web and ends: what work.c and delta_work.c share.
 *
 * It gives its rights up, waits for one order, does it and ends, so code that a hostile image took
 * over never sees another one; mgr starts a fresh process.  It has: the channel, and what comes with the
 * order.  It has not: network, keys, database, files by name, threads; memory and processor time
 * are limited.  How long an order may take is for web to say (IPC_STUCK). */
#ifndef VALISE_SERVER_WORKER_H
#define VALISE_SERVER_WORKER_H

#include "server/duty.h"
#include "server/ipc.h"
#include "base/sandbox.h"

struct worker {
	int channel;
	enum ipc_type order;
	uint64_t memory_bytes, cpu_s;
	const struct sandbox_rule *rules; /* more calls than computing needs, or NULL */
	/* E_UNAVAILABLE: nobody is there any more to be told, which is no failure. */
	bool (*run)(struct duty *d, const struct ipc_msg *order, struct err *e);
};

/* The exit status of the process. */
int worker_main(struct duty *d, const struct worker *w);

/* Before anything is looked at: who has the order, so that web knows whom it waits for. */
bool worker_took(int channel, uint32_t id, struct err *e) MUST_USE;

#endif
