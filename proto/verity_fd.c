/* Whole files through the hash tree: groups are independent, so threads take them in runs. */
#include "base/io.h"
#include "base/limits.h"
#include "proto/verity_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A thread takes this many groups at a time: 8 MiB, so that reading ahead pays. */
enum { RUN_GROUPS = 16, THREADS_MAX = 64 };

struct walk {
	int fd;
	uint64_t file_size;
	struct verity_geo geo;
	struct verity_hash hash;
	const struct verity_run *run;
	/* What is done with a group's leaf; false fails. */
	bool (*leaf)(struct walk *w, uint64_t group, const uint8_t *leaf, struct err *e);
	const struct verity_tree *tree; /* check_leaf */
	uint8_t *group_digests;         /* keep_leaf: geo.groups digests */
	int area_fd;                    /* keep_leaf */

	_Atomic uint64_t next; /* first group that nobody has taken */
	pthread_mutex_t lock;  /* the rest, and calls of progress */
	bool failed;
	uint64_t failed_group;
	struct err err;
};

/* Keeps the error of the lowest group.  Runs are taken in ascending order, so when the one that
 * fails is known all lower ones are taken too, and their threads end them. */
static void walk_failed(struct walk *w, uint64_t group, const struct err *e)
{
	pthread_mutex_lock(&w->lock);
	if (!w->failed || group < w->failed_group) {
		w->failed = true;
		w->failed_group = group;
		w->err = *e;
	}
	pthread_mutex_unlock(&w->lock);
}

static bool walk_is_over(struct walk *w, uint64_t group)
{
	bool over;

	pthread_mutex_lock(&w->lock);
	over = w->failed && w->failed_group < group;
	pthread_mutex_unlock(&w->lock);
	return over;
}

static bool walk_progress(struct walk *w, uint64_t bytes, struct err *e)
{
	bool go_on;

	if (!w->run || !w->run->progress)
		return true;
	pthread_mutex_lock(&w->lock);
	go_on = w->run->progress(w->run->arg, bytes);
	pthread_mutex_unlock(&w->lock);
	return go_on || err_set(e, E_CANCELLED, "stopped");
}

/* Whether the file has no data in this range.  Where the question is not understood: no. */
static bool is_hole(const struct walk *w, uint64_t offset, size_t n)
{
	off_t data;

	if (offset >= w->file_size)
		return true;
	data = lseek(w->fd, (off_t)offset, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO;
	return (uint64_t)data >= offset + n;
}

/* n bytes of whole blocks; what is behind the end of the file is zeros. */
static bool read_blocks(const struct walk *w, uint8_t *buf, uint64_t offset, size_t n,
			struct err *e)
{
	uint64_t left = w->file_size - offset;
	size_t there = left < n ? (size_t)left : n;

	if (!pread_all(w->fd, buf, there, offset, e))
		return false;
	memset(buf + there, 0, n - there);
	return true;
}

static bool do_group(struct walk *w, uint64_t group, uint8_t *buf, struct err *e)
{
	uint64_t offset = group * VERITY_GROUP;
	size_t blocks = verity_group_blocks(&w->geo, group), n = blocks * VERITY_BLOCK;
	bool hole = is_hole(w, offset, n);
	uint8_t leaf[VERITY_BLOCK];

	if (!hole && !read_blocks(w, buf, offset, n, e))
		return false;
	verity_leaf_make(leaf, &w->hash, hole ? NULL : buf, blocks);
	return w->leaf(w, group, leaf, e) &&
	       walk_progress(w, verity_group_size(&w->geo, group), e);
}

static void do_runs(struct walk *w, uint8_t *buf)
{
	struct err e;
	uint64_t first;

	while ((first = atomic_fetch_add(&w->next, RUN_GROUPS)) < w->geo.groups)
		for (uint64_t g = first; g < first + RUN_GROUPS && g < w->geo.groups; g++) {
			if (walk_is_over(w, g))
				return;
			if (!do_group(w, g, buf, &e)) {
				walk_failed(w, g, &e);
				return;
			}
		}
}

static void *thread_main(void *arg)
{
	struct walk *w = arg;
	uint8_t *buf = malloc(VERITY_GROUP);
	struct err e;

	if (buf) {
		do_runs(w, buf);
	} else {
		(void)err_nomem(&e);
		walk_failed(w, atomic_load(&w->next), &e);
	}
	free(buf);
	return NULL;
}

/* Threads that cannot be started are done without: the caller's goes through everything. */
static bool walk_groups(struct walk *w, struct err *e)
{
	unsigned want = w->run ? w->run->threads : 0, n = 0;
	pthread_t threads[THREADS_MAX];

	pthread_mutex_init(&w->lock, NULL);
	while (n + 1 < want && n < THREADS_MAX &&
	       pthread_create(&threads[n], NULL, thread_main, w) == 0)
		n++;
	thread_main(w);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&w->lock);
	if (w->failed)
		*e = w->err;
	return !w->failed;
}

static bool walk_init(struct walk *w, int fd, uint64_t size,
		      const uint8_t salt[static VERITY_SALT], const struct verity_run *run,
		      struct err *e)
{
	*w = (struct walk){ .fd = fd, .run = run, .area_fd = -1 };
	if (!verity_geo_init(&w->geo, size, e) || !fd_size(fd, &w->file_size, e))
		return false;
	if (w->file_size < size)
		return err_set(e, E_CORRUPT, "the file has %" PRIu64 " of %" PRIu64 " bytes",
			       w->file_size, size);
	verity_hash_init(&w->hash, salt);
	return true;
}

/* ---- building ---- */

static bool keep_leaf(struct walk *w, uint64_t group, const uint8_t *leaf, struct err *e)
{
	verity_leaf_digest(w->group_digests + group * SHA256_SIZE, &w->geo, &w->hash, leaf);
	if (w->area_fd < 0 || w->geo.levels == 0)
		return true;
	return pwrite_all(w->area_fd, leaf, VERITY_BLOCK, verity_leaf_offset(&w->geo, group),
			  e);
}

static bool end_root(struct walk *w, uint8_t *root, struct buf *upper, struct err *e)
{
	CLEANUP(buf_done) struct buf all = BUF_INIT(w->geo.upper_size);
	uint8_t *p = NULL;

	if (w->geo.upper_size > 0) {
		if (!buf_reserve(&all, w->geo.upper_size, &p, e))
			return false;
		memset(p, 0, w->geo.upper_size);
		buf_commit(&all, w->geo.upper_size);
	}
	verity_upper_make(root, p, &w->geo, &w->hash, w->group_digests);
	return (!upper || buf_add(upper, all.p, all.n, e)) &&
	       (w->area_fd < 0 || pwrite_all(w->area_fd, all.p, all.n, 0, e));
}

bool verity_fd_root(uint8_t ret_root[static SHA256_SIZE], struct buf *upper, int area_fd,
		    int fd, uint64_t size, const uint8_t salt[static VERITY_SALT],
		    const struct verity_run *run, struct err *e)
{
	uint8_t root[SHA256_SIZE];
	struct walk w;
	bool ok;

	if (!walk_init(&w, fd, size, salt, run, e))
		return false;
	w.leaf = keep_leaf;
	w.area_fd = area_fd;
	w.group_digests = calloc(w.geo.groups, SHA256_SIZE);
	if (!w.group_digests)
		return err_nomem(e);
	ok = walk_groups(&w, e) && end_root(&w, root, upper, e);
	free(w.group_digests);
	if (ok)
		memcpy(ret_root, root, sizeof(root));
	return ok;
}

/* ---- checking ---- */

static bool check_leaf(struct walk *w, uint64_t group, const uint8_t *leaf, struct err *e)
{
	return verity_leaf_matches(w->tree, group, leaf) || verity_group_bad(group, e);
}

bool verity_fd_check(const struct verity_tree *t, int fd, const struct verity_run *run,
		     struct err *e)
{
	struct walk w;

	if (!walk_init(&w, fd, t->geo.size, t->hash.salt, run, e))
		return false;
	w.leaf = check_leaf;
	w.tree = t;
	return walk_groups(&w, e);
}

bool verity_fd_check_root(int fd, uint64_t size, const uint8_t salt[static VERITY_SALT],
			  const uint8_t root[static SHA256_SIZE], const struct verity_run *run,
			  struct err *e)
{
	uint8_t got[SHA256_SIZE];

	if (!verity_fd_root(got, NULL, -1, fd, size, salt, run, e))
		return false;
	if (memcmp(got, root, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "the file differs from the signed root");
	return true;
}
