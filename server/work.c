/* server/work.c - a process that looks at one untrusted image and ends.
 *
 * It has: one channel to web and, with a job, one read-only descriptor.  It has not: network,
 * keys, database, files by name; memory and processor time are limited.  It ends after every job,
 * so a decoder that a hostile image took over never sees another one; mgr starts a fresh process. */
#include "server/duty.h"
#include "server/ipc.h"
#include "server/job.h"
#include "server/proc.h"
#include "base/io.h"
#include "base/sandbox.h"

#include <unistd.h>

static bool set_up(struct duty *d, struct err *e)
{
	const char *user =
		d->settings->user_work[0] ? d->settings->user_work : d->settings->user;
	struct identity id;
	bool chrooted;

	if (!identity_get(&id, user, e))
		return false;
	int keep[] = { d->work };
	const struct sandbox box = {
		.profile = SANDBOX_COMPUTE,
		.memory_bytes = d->settings->work_memory,
		.cpu_s = d->settings->work_cpu_s,
		.files = 16,
	};
	return proc_keep_fds(keep, ARRAY_SIZE(keep), e) &&
	       proc_drop(&id, d->empty_dir, d->parent, &chrooted, e) && sandbox_enter(&box, e);
}

static bool do_job(struct duty *d, struct ipc_msg *m, struct err *e)
{
	uint32_t pid = (uint32_t)getpid();
	struct err why;
	struct job j;

	if (!ipc_send(d->work, IPC_TAKEN, m->id, &pid, sizeof(pid), -1, e))
		return false;
	if (job_parse(&j, m->p, m->n, &why) && job_verify(&j, m->fd, &why))
		return ipc_send(d->work, IPC_VERIFIED, m->id, NULL, 0, -1, e);
	return ipc_send_err(d->work, IPC_FAILED_JOB, m->id, &why, e);
}

int work_main(struct duty *d)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	CLEANUP(ipc_msg_done) struct ipc_msg m = IPC_MSG_INIT;
	struct err e;

	if (!set_up(d, &e))
		return duty_fail(d, &e);
	if (!ipc_recv(&m, d->work, &buf, IPC_BIT(IPC_VERIFY), -1, &e))
		return e.code == E_UNAVAILABLE ? 0 : duty_fail(d, &e);
	return do_job(d, &m, &e) ? 0 : duty_fail(d, &e);
}
