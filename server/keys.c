/* server/keys.c - the process that holds the online keys and does nothing else.
 *
 * It has: the keys in guarded memory, one descriptor to a file of version numbers, one channel to
 * web.  It has not: network, database, files, names of files.  Whoever took over web can ask for
 * signatures within the rate, about things of the right shape, with rising versions: it can
 * choose among releases that publishers signed, and nothing more (docs/THREATS.md). */
#include "server/duty.h"
#include "server/counters.h"
#include "server/ipc.h"
#include "server/proc.h"
#include "server/rate.h"
#include "server/sign.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct keys {
	struct duty *duty;
	const struct clock *clock;
	struct online_keys online;
	struct counters counters;
	int counters_fd;
	struct bucket rate;
	struct buf in, out;
};

static bool set_up(struct keys *k, struct err *e)
{
	struct duty *d = k->duty;
	const char *user =
		d->settings->user_keys[0] ? d->settings->user_keys : d->settings->user;
	/* Messages, and the one file of numbers. */
	static const struct sandbox_rule rules[] = {
		{ .call = "pread64" },   { .call = "pwrite64" }, { .call = "fsync" },
		{ .call = "fdatasync" }, { .call = "flock" },    { .call = NULL },
	};
	const struct sandbox box = { .profile = SANDBOX_SIGNER, .rules = rules };
	struct identity id;
	bool chrooted;

	if (!identity_get(&id, user, e) || !online_load(&k->online, d->key_dir, e))
		return false;
	if (!file_open_at(&k->counters_fd, d->key_dir, "counters",
			  O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e))
		return err_wrap(e, "keys");
	/* So that the file's name is durable before the first number is. */
	if (!fd_sync(d->key_dir, e) || !counters_open(&k->counters, k->counters_fd, e))
		return false;

	int keep[] = { d->keys, k->counters_fd };
	if (!proc_keep_fds(keep, ARRAY_SIZE(keep), e))
		return false;
	d->key_dir = -1;
	return proc_drop(&id, d->empty_dir, d->parent, &chrooted, e) && sandbox_enter(&box, e);
}

static bool make(struct keys *k, const struct ipc_msg *m, struct err *e)
{
	struct signing s = {
		.keys = &k->online,
		.counters = &k->counters,
		.now_s = clock_wall_s(k->clock),
		.lease_s = k->duty->settings->lease_s,
		.image_snapshot_s = k->duty->settings->image_snapshot_s,
		.image_timestamp_s = k->duty->settings->image_timestamp_s,
	};
	struct sign_director d;
	struct sign_image i;
	struct sign_audit a;
	bool ok;

	if (m->type == IPC_SIGN_DIRECTOR)
		return sign_director_parse(&d, m->p, m->n, e) &&
		       sign_director_make(&k->out, &d, &s, e);
	if (m->type == IPC_SIGN_AUDIT)
		return sign_audit_parse(&a, m->p, m->n, e) &&
		       sign_audit_make(&k->out, &a, &s, e);
	if (!sign_image_parse(&i, m->p, m->n, e))
		return false;
	ok = sign_image_make(&k->out, &i, &s, e);
	sign_image_done(&i);
	return ok;
}

static bool answer(struct keys *k, const struct ipc_msg *m, struct err *e)
{
	struct err why;
	uint32_t wait_s;

	buf_reset(&k->out);
	if (m->type == IPC_PUBLIC_KEYS)
		return buf_add(&k->out, &k->online.public, sizeof(k->online.public), e) &&
		       ipc_send(k->duty->keys, IPC_SIGNED, m->id, k->out.p, k->out.n, -1, e);
	if (!bucket_take(&k->rate, k->duty->settings->sign_rate,
			 2 * k->duty->settings->sign_rate, clock_boot_ms(k->clock), &wait_s))
		err_set(&why, E_RATE, "more signatures than sign.rate allows");
	else if (make(k, m, &why))
		return ipc_send(k->duty->keys, IPC_SIGNED, m->id, k->out.p, k->out.n, -1, e);
	/* What web should never have asked for is worth a line; a full disk or rate too. */
	if (why.code == E_DENIED || why.code == E_FORMAT || why.code == E_UNTRUSTED)
		err_hint(&why, "web asked for what is never signed: look for a break-in");
	log_warn("keys.refused", "type=%s %s", ipc_name(m->type), log_err(&why).s);
	return ipc_send_err(k->duty->keys, IPC_REFUSED, m->id, &why, e);
}

static int serve(struct keys *k)
{
	const uint32_t accept = IPC_BIT(IPC_SIGN_IMAGE) | IPC_BIT(IPC_SIGN_DIRECTOR) |
				IPC_BIT(IPC_SIGN_AUDIT) | IPC_BIT(IPC_PUBLIC_KEYS);
	struct ipc_msg m;
	struct err e;

	for (;;) {
		if (!ipc_recv(&m, k->duty->keys, &k->in, accept, -1, &e)) {
			if (e.code == E_UNAVAILABLE)
				return 0; /* the generation is gone */
			if (e.code == E_FORMAT) {
				log_error("keys.message", "%s next=\"message dropped\"",
					  log_err(&e).s);
				continue;
			}
			return duty_fail(k->duty, &e);
		}
		if (!answer(k, &m, &e))
			log_warn("keys.answer", "%s next=\"answer dropped\"", log_err(&e).s);
	}
}

int keys_main(struct duty *d)
{
	struct keys k = {
		.duty = d,
		.clock = clock_system(),
		.counters_fd = -1,
		.in = BUF_INIT(IPC_HEADER + IPC_MAX),
		.out = BUF_INIT(IPC_MAX),
	};
	struct err e;
	int rc;

	rc = set_up(&k, &e) ? serve(&k) : duty_fail(d, &e);
	online_done(&k.online);
	buf_done(&k.in);
	buf_done(&k.out);
	fd_closep(&k.counters_fd);
	return rc;
}
