#include "server/delta_job.h"
#include "server/pack.h"
#include "base/io.h"
#include "delta/delta.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- the order ---------------------------------------------------------------------------- */

static bool encode_half(struct pack *p, const struct job *j, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(JOB_SIZE_MAX);

	if (!job_encode(&text, j, e))
		return false;
	pack_u32(p, (uint32_t)text.n);
	pack_bytes(p, text.p, text.n);
	return true;
}

bool delta_order_encode(struct buf *out, const struct delta_order *o, struct err *e)
{
	struct pack p = pack_init(out);

	if (!encode_half(&p, &o->from, e) || !encode_half(&p, &o->to, e))
		return false;
	pack_u64(&p, o->output_max);
	return pack_ok(&p, e);
}

static bool parse_half(struct job *ret, struct rd *r, struct err *e)
{
	uint32_t n = rd_le32(r);
	const uint8_t *p = n <= JOB_SIZE_MAX ? rd_bytes(r, n) : NULL;

	return p ? job_parse(ret, p, n, e) : err_set(e, E_FORMAT, "half a delta order");
}

bool delta_order_parse(struct delta_order *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	struct delta_order o = { .output_max = 0 };

	if (!parse_half(&o.from, &r, e) || !parse_half(&o.to, &r, e))
		return false;
	o.output_max = rd_le64(&r);
	if (!rd_ok_at_end(&r) || o.output_max == 0)
		return err_set(e, E_FORMAT, "a delta order of %zu bytes", n);
	*ret = o;
	return true;
}

/* ---- whether it is wanted ------------------------------------------------------------------- */

enum { WATCH_S = 2 };
static int watched;

/* Nobody would get to know of the result, so there is nothing to tidy up. */
static void look_at_channel(int signal_number)
{
	struct pollfd p = { .fd = watched };
	int saved = errno;

	(void)signal_number;
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
		_exit(0);
	errno = saved;
}

bool delta_order_watch(int channel, struct err *e)
{
	const struct sigaction act = { .sa_handler = look_at_channel, .sa_flags = SA_RESTART };
	const struct itimerval every = { { .tv_sec = WATCH_S }, { .tv_sec = WATCH_S } };

	watched = channel;
	if (sigaction(SIGALRM, &act, NULL) < 0 || setitimer(ITIMER_REAL, &every, NULL) < 0)
		return err_sys(e, errno, "watching the channel");
	return true;
}

/* ---- making it ---------------------------------------------------------------------------- */

/* Both images look like a slot's file: padded. */
static bool unpack_old(const struct job *j, int fd, int plain_fd, struct err *e)
{
	uint64_t padded = (j->size + VERITY_BLOCK - 1) / VERITY_BLOCK * VERITY_BLOCK;

	if (!job_unpack(j, fd, plain_fd, e))
		return err_wrap(e, "old image");
	if (ftruncate(plain_fd, (off_t)padded) < 0)
		return err_sys(e, errno, "old image");
	return true;
}

struct check {
	struct sha256 sha;
	uint64_t bytes;
};

static bool add_to_sum(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct check *c = ctx;

	if (offset != c->bytes)
		return err_set(e, E_INTERNAL, "the delta gives bytes out of order");
	sha256_update(&c->sha, p, n);
	c->bytes += n;
	return true;
}

static void check_done(struct check *c)
{
	sha256_done(&c->sha);
}

/* Whatever is wrong with the codec, no handset is told to download a delta that does not work. */
static bool try_it(const struct job *to, int delta_fd, int old_fd, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	CLEANUP(check_done) struct check c = { .bytes = 0 };
	uint8_t sum[SHA256_SIZE];

	if (!sha256_init(&c.sha, e) || !delta_open(&d, delta_fd, old_fd, e) ||
	    !delta_apply(d, 0, add_to_sum, &c, e))
		return false;
	sha256_final(&c.sha, sum);
	if (c.bytes != to->size || memcmp(sum, to->sha256, SHA256_SIZE) != 0)
		return err_set(e, E_INTERNAL, "the delta does not give the new image");
	return true;
}

bool delta_order_run(const struct delta_order *o, const int fds[static DELTA_FILES],
		     bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
		     struct err *e)
{
	const struct delta_job job = {
		.old_fd = fds[DELTA_FILE_OLD_PLAIN],
		.new_fd = fds[DELTA_FILE_NEW_PLAIN],
		.out_fd = fds[DELTA_FILE_OUT],
		.scratch_fd = fds[DELTA_FILE_SCRATCH],
		.threads =
			1, /* the sandbox starts none; several deltas at once use more cores */
		.output_max = o->output_max,
		.progress = progress,
		.ctx = ctx,
	};
	struct delta_info made;

	if (!unpack_old(&o->from, fds[DELTA_FILE_OLD], fds[DELTA_FILE_OLD_PLAIN], e))
		return false;
	if (!job_unpack(&o->to, fds[DELTA_FILE_NEW], fds[DELTA_FILE_NEW_PLAIN], e))
		return err_wrap(e, "new image");
	if (!delta_create(&job, &made, e))
		return false;
	return try_it(&o->to, fds[DELTA_FILE_OUT], fds[DELTA_FILE_OLD_PLAIN], e)
		       ? true
		       : err_wrap(e, "check");
}
