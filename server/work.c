/* server/work.c - a process that looks at one untrusted image (server/worker.h).  With its order comes
 * one read-only descriptor. */
#include "server/job.h"
#include "server/worker.h"

static bool do_job(struct duty *d, const struct ipc_msg *m, struct err *e)
{
	struct err why;
	struct job j;

	if (!worker_took(d->work, m->id, e))
		return false;
	if (job_parse(&j, m->p, m->n, &why) && job_verify(&j, m->fd, &why))
		return ipc_send(d->work, IPC_VERIFIED, m->id, NULL, 0, -1, e);
	return ipc_send_err(d->work, IPC_FAILED_JOB, m->id, &why, e);
}

int work_main(struct duty *d)
{
	const struct worker w = {
		.channel = d->work,
		.order = IPC_VERIFY,
		.memory_bytes = d->settings->work_memory,
		.cpu_s = d->settings->work_cpu_s,
		.run = do_job,
	};

	return worker_main(d, &w);
}
