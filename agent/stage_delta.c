#include "agent/stage_delta.h"

#include "agent/crashpoint.h"
#include "base/file.h"
#include "base/names.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "delta/delta.h"
#include "delta/format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	NAME_SIZE = 1 + HEX_SIZE(SHA256_SIZE),
	TRIES = 16,              /* places in one component that do not come out right */
	STALL_MS = 600000,       /* without a byte from a child */
	LOOK_MS = 200,           /* between looks at the cancel flag */
	CHILD_MEMORY = 96 << 20, /* beside what the agent itself has mapped */
	CHILD_CPU_S = 60,        /* and a second for each MiB of output */
	PIECE = 65536,
};

/* ---- 1. choose ----------------------------------------------------------------------------- */

static double missing_share(const struct stage_file *f)
{
	uint64_t missing = 0;

	for (uint64_t g = 0; g < f->tree->geo.groups; g++)
		missing += !stage_file_is_good(f, g);
	return (double)missing / (double)f->tree->geo.groups;
}

static const struct offer_object *choose(const struct stage_file *f, const struct stage *s,
					 const struct component *c,
					 const struct component **ret_old)
{
	const struct component *old = s->seed ? release_component(s->seed, c->name) : NULL;
	double worth = missing_share(f) * (double)c->object_size;

	for (size_t i = 0; old && i < s->n_offers; i++) {
		const struct offer *o = &s->offers[i];

		/* Offers are kept for a while: is this one about this release at all? */
		if (strcmp(o->component, c->name) != 0 ||
		    memcmp(o->full.sha256, c->object_sha256, SHA256_SIZE) != 0)
			continue;
		for (size_t k = 0; k < o->n_deltas; k++) {
			const struct offer_delta *d = &o->deltas[k];

			/* One in another coding would be downloaded only to be refused. */
			if (d->coding == FORMAT_VERSION &&
			    memcmp(d->from, old->root, SHA256_SIZE) == 0 &&
			    d->object.size > 0 && (double)d->object.size < worth) {
				*ret_old = old;
				return &d->object;
			}
		}
	}
	return NULL;
}

/* ---- 2. download --------------------------------------------------------------------------- */

static void delta_name(char out[static NAME_SIZE], const uint8_t sha256[static SHA256_SIZE])
{
	out[0] = '=';
	hex_encode(out + 1, sha256, SHA256_SIZE);
}

bool stage_delta_is_name(const char *name)
{
	return name[0] == '=' && strlen(name) == NAME_SIZE - 1;
}

static bool is_offered(const struct stage *s, const char *name)
{
	for (size_t i = 0; i < s->n_offers; i++) {
		for (size_t k = 0; k < s->offers[i].n_deltas; k++) {
			char offered[NAME_SIZE];

			delta_name(offered, s->offers[i].deltas[k].object.sha256);
			if (strcmp(offered, name) == 0)
				return true;
		}
	}
	return false;
}

bool stage_delta_sweep(const struct stage *s, bool all, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!names_open(&n, s->slot_dirfd, ".", "slot", e))
		return false;
	for (;;) {
		if (!names_next(&n, &name, e))
			return false;
		if (!name)
			return true;
		if (!stage_delta_is_name(name) || (!all && is_offered(s, name)))
			continue;
		if (unlinkat(s->slot_dirfd, name, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "%s", name);
	}
}

struct download {
	int fd;
	uint64_t at;
	struct stage_progress *progress;
};

static bool take_bytes(void *arg, const void *p, size_t n, struct err *e)
{
	struct download *d = arg;

	atomic_fetch_add(&d->progress->fetched_bytes, n);
	atomic_fetch_add(&d->progress->delta_bytes, n);
	if (!pwrite_all(d->fd, p, n, d->at, e))
		return false;
	d->at += n;
	crash_point("delta-download");
	return true;
}

static bool has_room(const struct stage *s, uint64_t bytes)
{
	uint64_t missing, free_bytes;
	struct err ignored;

	return slot_bytes_missing(&missing, s->slot_dirfd, s->release, s->model, &ignored) &&
	       fs_free_bytes(s->slot_dirfd, &free_bytes, &ignored) &&
	       free_bytes >= s->reserve_bytes + bytes &&
	       free_bytes - s->reserve_bytes - bytes >= missing;
}

/* *ret is whole and right. */
static bool download(int *ret, const struct stage *s, const struct offer_object *o,
		     struct err *e)
{
	char name[NAME_SIZE];
	uint8_t sum[SHA256_SIZE];
	uint64_t size;

	delta_name(name, o->sha256);
	CLEANUP(fd_closep) int fd = -1;
	if (!file_open_at(&fd, s->slot_dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e))
		return false;
	struct download d = { .fd = fd, .progress = s->progress };
	if (!fd_size(fd, &d.at, e))
		return false;
	if (d.at > o->size) {
		d.at = 0;
		if (ftruncate(fd, 0) < 0)
			return err_sys(e, errno, "%s", name);
	}
	bool resumed = d.at > 0 && d.at < o->size;
	if (d.at < o->size &&
	    !s->source.get(s->source.ctx, o->sha256, o->size, d.at, o->size, take_bytes, &d, e))
		return false;
	if (!sha256_fd(sum, &size, fd, e))
		return false;
	if (size != o->size || memcmp(sum, o->sha256, SHA256_SIZE) != 0) {
		/* Put together from several answers it is worth another try from its beginning.  What came
		 * in one piece came like that from the server: it is kept, so as not to be paid for again
		 * as long as it is what is offered. */
		if (resumed)
			(void)unlinkat(s->slot_dirfd, name, 0);
		return err_set(e, E_CORRUPT, "not the bytes that were offered");
	}
	*ret = TAKE_FD(fd);
	return true;
}

/* ---- 3. apply: the child ------------------------------------------------------------------- */

struct piece_head {
	uint64_t offset, n;
};

struct child {
	int delta_fd, old_fd, pipe_fd;
	uint64_t first, size; /* of the new image: what is wanted, and all */
	uint64_t next;        /* nothing before it is wanted any more */
	bool pipe_failed;
};

static bool send_piece(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct child *k = ctx;
	struct piece_head h = { offset, n };

	k->pipe_failed =
		!write_all(k->pipe_fd, &h, sizeof(h), e) || !write_all(k->pipe_fd, p, n, e);
	k->next = offset + n;
	return !k->pipe_failed;
}

/* A segment that does not come out right is left out.  A delta that takes too long is not tried again. */
static bool make_in_child(void *ctx, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct child *k = ctx;
	struct delta_info info;
	struct err why = { .code = E_NONE };

	if (!delta_look(&info, k->delta_fd, e))
		return false;
	if (info.new_size != k->size || info.segment_bytes == 0)
		return err_set(e, E_CORRUPT, "it makes %" PRIu64 " bytes instead of %" PRIu64,
			       info.new_size, k->size);
	/* The parent holds all of it against the hash tree. */
	if (!delta_open_unverified(&d, k->delta_fd, k->old_fd, e))
		return false;
	k->next = k->first / info.segment_bytes * info.segment_bytes;
	for (int tries = 0; k->next < k->size; tries++) {
		if (delta_apply(d, k->next, send_piece, k, e))
			break;
		if (k->pipe_failed || tries == TRIES || e->code == E_TOO_BIG)
			return false;
		why = *e;
		k->next += info.segment_bytes;
	}
	if (why.code != E_NONE)
		*e = why;
	return why.code == E_NONE;
}

/* The limit counts what the agent has mapped when it forks. */
static uint64_t mapped_bytes(void)
{
	char text[64];
	struct err ignored;
	size_t n = 0;

	CLEANUP(fd_closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !read_up_to(fd, text, sizeof(text) - 1, &n, &ignored))
		return 0;
	text[n] = 0;
	return strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool start_child(struct sandbox_child *ret, struct child *k, struct err *e)
{
	uint64_t mapped = mapped_bytes();
	const struct sandbox box = {
		.profile = SANDBOX_COMPUTE,
		.memory_bytes = mapped ? mapped + CHILD_MEMORY : 0,
		.cpu_s = CHILD_CPU_S + (k->size >> 20),
		.files = 16,
	};
	const int keep[] = { k->delta_fd, k->old_fd, k->pipe_fd };

	return sandbox_start(ret, &box, make_in_child, k, keep, ARRAY_SIZE(keep), e);
}

/* ---- 3. apply: what comes out -------------------------------------------------------------- */

struct taker {
	struct stage_file *f;
	const struct stage *s;
	int fd;
	uint8_t *group; /* being put together */
	size_t n;
	uint64_t next; /* offset of the next byte */
	uint8_t piece[PIECE];
};

static bool put_group(struct taker *t, uint64_t g, size_t n, struct err *e)
{
	struct stage_progress *p = t->s->progress;
	uint8_t leaf[VERITY_BLOCK];
	struct err differs;

	if (stage_file_is_good(t->f, g) ||
	    !verity_group_check(t->f->tree, g, t->group, n, leaf, &differs))
		return true;
	if (!pwrite_all(t->f->fd, t->group, n, g * VERITY_GROUP, e) ||
	    !stage_file_put_leaf(t->f, g, leaf, e))
		return false;
	stage_file_set_good(t->f, g);
	atomic_fetch_add(&p->reused_bytes, n);
	if (atomic_fetch_add(&p->done_bytes, n) + n >= atomic_load(&p->total_bytes) / 2)
		crash_point("delta-half");
	return true;
}

static bool take_piece(struct taker *t, uint64_t offset, const uint8_t *p, size_t n,
		       struct err *e)
{
	while (n > 0) {
		uint64_t g = offset / VERITY_GROUP;
		size_t at = offset % VERITY_GROUP,
		       size = verity_group_size(&t->f->tree->geo, g);
		size_t take = size - at < n ? size - at : n;

		/* After a gap the rest of that group is of no use. */
		if (at == 0 || (at == t->n && offset == t->next)) {
			memcpy(t->group + at, p, take);
			t->n = at + take;
			if (t->n == size && !put_group(t, g, size, e))
				return false;
		} else {
			t->n = 0;
		}
		offset += take;
		t->next = offset;
		p += take;
		n -= take;
	}
	return true;
}

static bool is_cancelled(const struct stage *s)
{
	return s->cancel && atomic_load(s->cancel);
}

/* Time that it computes is limited by the sandbox; this is for one that was taken over and sleeps. */
static unsigned stall_ms(const struct stage *s)
{
	return s->stall_ms ? s->stall_ms : STALL_MS;
}

/* E_CANCELLED, E_TIMEOUT; *ret_n 0 at the end. */
static bool read_some(struct taker *t, void *p, size_t n, size_t *ret_n, struct err *e)
{
	struct pollfd poll_fd = { .fd = t->fd, .events = POLLIN };
	unsigned limit = stall_ms(t->s), step = limit < LOOK_MS ? limit : LOOK_MS;
	int got = 0;

	for (unsigned waited = 0; got <= 0; waited += step) {
		if (is_cancelled(t->s))
			return err_set(e, E_CANCELLED, "stopped");
		if (waited >= limit)
			return err_set(e, E_TIMEOUT, "nothing was made for %u s", limit / 1000);
		got = poll(&poll_fd, 1, (int)step);
	}
	if (is_cancelled(t->s))
		return err_set(e, E_CANCELLED, "stopped");
	return read_up_to(t->fd, p, n, ret_n, e);
}

static bool take_all(struct taker *t, struct err *e)
{
	uint64_t size = t->f->tree->geo.size;
	struct piece_head h;
	size_t n;

	for (;;) {
		if (!read_some(t, &h, sizeof(h), &n, e))
			return false;
		/* A child that says nonsense is one that failed: its own end tells. */
		if (n != sizeof(h) || h.offset > size || h.n > size - h.offset)
			return true;
		for (; h.n > 0; h.offset += n, h.n -= n) {
			if (!read_some(t, t->piece, h.n < PIECE ? (size_t)h.n : PIECE, &n, e))
				return false;
			if (n == 0)
				return true;
			if (!take_piece(t, h.offset, t->piece, n, e))
				return false;
		}
	}
}

static void taker_free(struct taker *t)
{
	if (t)
		free(t->group);
	free(t);
}
DEFINE_CLEANUP(struct taker, taker_free);

static bool open_taker(struct taker **ret, struct stage_file *f, const struct stage *s, int fd,
		       struct err *e)
{
	struct taker *t = calloc(1, sizeof(*t));

	if (t)
		t->group = malloc(VERITY_GROUP);
	if (!t || !t->group) {
		taker_free(t);
		return err_nomem(e);
	}
	t->f = f;
	t->s = s;
	t->fd = fd;
	*ret = t;
	return true;
}

static uint64_t first_missing(const struct stage_file *f)
{
	uint64_t g = 0;

	while (g < f->tree->geo.groups && stage_file_is_good(f, g))
		g++;
	return g * VERITY_GROUP;
}

/* Nobody listens any more: a child that still writes ends, and one that does not is ended. */
static void end_child(struct sandbox_child *c, const struct stage *s, struct err *why)
{
	unsigned limit = stall_ms(s);

	for (unsigned waited = 0; waited < limit && !is_cancelled(s); waited += LOOK_MS) {
		if (sandbox_finish(c, LOOK_MS, why) || why->code != E_TIMEOUT)
			return;
	}
	sandbox_kill(c);
}

/* *why: what the child says, or is said of it. */
static bool apply(struct stage_file *f, const struct stage *s, const struct component *c,
		  int delta_fd, int old_fd, struct err *why, struct err *e)
{
	struct child k = { .delta_fd = delta_fd,
			   .old_fd = old_fd,
			   .first = first_missing(f),
			   .size = c->size };
	CLEANUP(sandbox_kill) struct sandbox_child child = { .pid = 0 };
	CLEANUP(taker_freep) struct taker *t = NULL;
	CLEANUP(fd_closep) int read_fd = -1;
	int ends[2];
	bool ok;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	read_fd = ends[0];
	k.pipe_fd = ends[1];
	ok = open_taker(&t, f, s, read_fd, e) && start_child(&child, &k, e);
	close(ends[1]);
	if (!ok)
		return false;
	if (!take_all(t, e)) {
		*why = *e;
		return e->code == E_TIMEOUT; /* the child's fault, not the disk's */
	}
	fd_closep(&read_fd);
	end_child(&child, s, why);
	return is_cancelled(s) ? err_set(e, E_CANCELLED, "stopped") : true;
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* What ends the staging, and what only ends the delta. */
static bool is_ours(enum err_code code)
{
	return code == E_CANCELLED || code == E_SYSTEM || err_is_temporary(code);
}

bool stage_by_delta(struct stage_file *f, const struct stage *s, const struct component *c,
		    struct err *why, struct err *e)
{
	const struct component *old = NULL;
	const struct offer_object *o = choose(f, s, c, &old);
	CLEANUP(fd_closep) int old_fd = -1;
	CLEANUP(fd_closep) int delta_fd = -1;

	*why = (struct err){ .code = E_NONE };
	if (!o)
		return true;
	if (!has_room(s, o->size)) {
		err_set(why, E_NO_SPACE, "no room for its %" PRIu64 " bytes", o->size);
		return true;
	}
	if (!slot_component(&old_fd, s->seed_dirfd, old, why))
		return true;
	if (!download(&delta_fd, s, o, why)) {
		if (!is_ours(why->code))
			return true;
		*e = *why;
		return err_wrap(e, "delta");
	}
	if (!apply(f, s, c, delta_fd, old_fd, why, e))
		return err_wrap(e, "delta");
	if (stage_file_all_good(f))
		why->code = E_NONE;
	else if (why->code == E_NONE)
		err_set(why, E_CORRUPT, "the delta does not make this image");
	return true;
}
