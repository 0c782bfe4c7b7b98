/* server/delta_work.c - a process that makes one delta (server/worker.h), nicer than those who answer
 * handsets.  With its order come a channel of the job's own and six descriptors (server/delta_job.h). */
#include "server/delta_job.h"
#include "server/worker.h"

#include <sys/resource.h>

enum { NICE = 5, FILE_WAIT_MS = 30000 };

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

static bool do_order(struct duty *d UNUSED, const struct ipc_msg *m, struct err *e)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	int channel = m->fd, fds[DELTA_FILES];
	struct delta_order o;
	struct err why;

	if (!delta_order_parse(&o, m->p, m->n, e) || !worker_took(channel, 0, e) ||
	    !get_files(fds, channel, &buf, e) || !delta_order_watch(channel, e))
		return false;
	if (delta_order_run(&o, fds, tell, &channel, &why))
		return ipc_send(channel, IPC_MADE, 0, NULL, 0, -1, e);
	return ipc_send_err(channel, IPC_FAILED_JOB, 0, &why, e);
}

int delta_main(struct duty *d)
{
	static const struct sandbox_rule timer[] = { { .call = "setitimer" },
						     { .call = NULL } };
	const struct worker w = {
		.channel = d->deltas,
		.order = IPC_DELTA,
		.memory_bytes = d->settings->delta_memory,
		.cpu_s = d->settings->delta_cpu_s,
		.rules = timer, /* delta_order_watch */
		.run = do_order,
	};

	/* Without it all works, less politely. */
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	return worker_main(d, &w);
}
