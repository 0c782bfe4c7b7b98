/* server/delta_work.c - a process that makes one delta and ends.
 *
 * It has: one channel to web and, with a job, another and six descriptors (server/delta_job.h).
 * It has not: network, keys, database, files by name, threads; memory and processor time are
 * limited, and it is nicer than those who answer handsets.  Like work.c it ends after every job. */
#include "server/delta_job.h"
#include "server/duty.h"
#include "server/ipc.h"
#include "server/proc.h"
#include "base/io.h"
#include "base/sandbox.h"

#include <sys/resource.h>
#include <unistd.h>

enum { NICE = 5, FILE_WAIT_MS = 30000 };

static bool set_up(struct duty *d, struct err *e)
{
	const char *user =
		d->settings->user_work[0] ? d->settings->user_work : d->settings->user;
	struct identity id;
	bool chrooted;

	if (!identity_get(&id, user, e))
		return false;
	const struct sandbox_rule timer[] = { { .call = "setitimer" }, { .call = NULL } };
	int keep[] = { d->deltas };
	const struct sandbox box = {
		.profile = SANDBOX_COMPUTE,
		.rules = timer, /* delta_order_watch */
		.memory_bytes = d->settings->delta_memory,
		.cpu_s = d->settings->delta_cpu_s,
		.files = 16,
	};
	/* Without it all works, less politely. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	return proc_keep_fds(keep, ARRAY_SIZE(keep), e) &&
	       proc_drop(&id, d->empty_dir, d->parent, &chrooted, e) && sandbox_enter(&box, e);
}

static bool get_files(int fds[static DELTA_FILES], int channel, struct buf *buf, struct err *e)
{
	for (uint32_t i = 0; i < DELTA_FILES; i++) {
		struct ipc_msg m = IPC_MSG_INIT;

		if (!ipc_recv(&m, channel, buf, IPC_BIT(IPC_FILE), FILE_WAIT_MS, e))
			return false;
		if (m.id != i) {
			ipc_msg_done(&m);
			return err_set(e, E_FORMAT, "file %u instead of %u", m.id, i);
		}
		fds[i] = m.fd;
	}
	return true;
}

/* Full channels are web's problem; whether it is still wanted is watched elsewhere. */
static bool tell(void *ctx, uint64_t done, uint64_t total)
{
	const int *channel = ctx;
	uint64_t told[2] = { done, total };
	struct err ignored;

	(void)!ipc_send(*channel, IPC_PROGRESS, 0, told, sizeof(told), -1, &ignored);
	return true;
}

static bool do_order(struct ipc_msg *m, struct err *e)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	int fds[DELTA_FILES];
	struct delta_order o;
	struct err why;

	if (!delta_order_parse(&o, m->p, m->n, e) || !get_files(fds, m->fd, &buf, e) ||
	    !delta_order_watch(m->fd, e))
		return false;
	if (delta_order_run(&o, fds, tell, &m->fd, &why))
		return ipc_send(m->fd, IPC_MADE, 0, NULL, 0, -1, e);
	return ipc_send_err(m->fd, IPC_FAILED_JOB, 0, &why, e);
}

int delta_main(struct duty *d)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	CLEANUP(ipc_msg_done) struct ipc_msg m = IPC_MSG_INIT;
	struct err e;

	if (!set_up(d, &e))
		return duty_fail(d, &e);
	if (!ipc_recv(&m, d->deltas, &buf, IPC_BIT(IPC_DELTA), -1, &e))
		return e.code == E_UNAVAILABLE ? 0 : duty_fail(d, &e);
	/* Not wanted any more, or web has gone: nobody is there to be told. */
	return do_order(&m, &e) || e.code == E_UNAVAILABLE ? 0 : duty_fail(d, &e);
}
