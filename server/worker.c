#include "server/worker.h"
#include "server/proc.h"
#include "base/io.h"

#include <unistd.h>

static bool set_up(struct duty *d, const struct worker *w, struct err *e)
{
	const char *user =
		d->settings->user_work[0] ? d->settings->user_work : d->settings->user;
	const struct sandbox box = {
		.profile = SANDBOX_COMPUTE,
		.rules = w->rules,
		.memory_bytes = w->memory_bytes,
		.cpu_s = w->cpu_s,
		.files = 16,
	};
	struct identity id;
	bool chrooted;

	return identity_get(&id, user, e) && proc_keep_fds(&w->channel, 1, e) &&
	       proc_drop(&id, d->empty_dir, d->parent, &chrooted, e) && sandbox_enter(&box, e);
}

int worker_main(struct duty *d, const struct worker *w)
{
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	CLEANUP(ipc_msg_done) struct ipc_msg order = IPC_MSG_INIT;
	struct err e;

	if (!set_up(d, w, &e))
		return duty_fail(d, &e);
	if (ipc_recv(&order, w->channel, &buf, IPC_BIT(w->order), -1, &e) &&
	    w->run(d, &order, &e))
		return 0;
	return e.code == E_UNAVAILABLE ? 0 : duty_fail(d, &e);
}

bool worker_took(int channel, uint32_t id, struct err *e)
{
	uint32_t pid = (uint32_t)getpid();

	return ipc_send(channel, IPC_TAKEN, id, &pid, sizeof(pid), -1, e);
}
