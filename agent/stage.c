#include "agent/stage.h"

#include "agent/copy.h"
#include "agent/crashpoint.h"
#include "agent/stage_delta.h"
#include "agent/stage_priv.h"
#include "base/file.h"
#include "base/text.h"
#include "proto/seekable.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static bool check_cancel(const struct stage *s, struct err *e)
{
	return s->cancel && atomic_load(s->cancel) ? err_set(e, E_CANCELLED, "stopped") : true;
}

/* ---- small objects, whole into memory ---------------------------------------------------- */

struct collect {
	struct buf *out;
	struct stage_progress *progress;
};

static bool collect_bytes(void *arg, const void *p, size_t n, struct err *e)
{
	struct collect *c = arg;

	atomic_fetch_add(&c->progress->fetched_bytes, n);
	return buf_add(c->out, p, n, e);
}

static bool get_part(const struct stage *s, const uint8_t sha256_want[static SHA256_SIZE],
		     uint64_t object_size, uint64_t from, uint64_t to, struct buf *out,
		     struct err *e)
{
	struct collect c = { out, s->progress };

	if (!s->source.get(s->source.ctx, sha256_want, object_size, from, to, collect_bytes, &c,
			   e))
		return false;
	if (out->n != to - from)
		return err_set(e, E_CORRUPT, "%zu bytes instead of %" PRIu64, out->n,
			       to - from);
	return true;
}

/* ---- step 1: the upper tree -------------------------------------------------------------- */

static bool tree_from_slot(struct verity_tree **ret, const struct stage *s,
			   const struct component *c, const struct verity_geo *geo)
{
	CLEANUP(buf_done) struct buf upper = BUF_INIT(geo->upper_size);
	char name[SLOT_FILE_SIZE];
	struct err ignored;
	uint8_t *p;

	slot_hash_name(name, c->name);
	CLEANUP(fd_closep) int fd = -1;
	if (!file_open_at(&fd, s->slot_dirfd, name, O_RDONLY | O_NOFOLLOW, 0, &ignored) ||
	    !buf_reserve(&upper, geo->upper_size, &p, &ignored) ||
	    !pread_all(fd, p, geo->upper_size, 0, &ignored))
		return false;
	return verity_tree_new(ret, c->size, c->salt, c->root, p, geo->upper_size, &ignored);
}

static bool tree_from_source(struct verity_tree **ret, const struct stage *s,
			     const struct component *c, struct err *e)
{
	CLEANUP(buf_done) struct buf upper = BUF_INIT(c->tree_size);
	uint8_t digest[SHA256_SIZE];

	if (!get_part(s, c->tree_sha256, c->tree_size, 0, c->tree_size, &upper, e))
		return err_wrap(e, "tree");
	sha256(digest, upper.p, upper.n);
	if (memcmp(digest, c->tree_sha256, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "tree: SHA-256 differs from the manifest's");
	return verity_tree_new(ret, c->size, c->salt, c->root, upper.p, upper.n, e);
}

static bool load_tree(struct verity_tree **ret, const struct stage *s,
		      const struct component *c, const struct verity_geo *geo, struct err *e)
{
	if (geo->upper_size != c->tree_size)
		return err_set(e, E_FORMAT, "tree: wrong size in the manifest");
	if (geo->upper_size == 0)
		return verity_tree_new(ret, c->size, c->salt, c->root, NULL, 0, e);
	if (tree_from_slot(ret, s, c, geo))
		return true;
	return check_cancel(s, e) && tree_from_source(ret, s, c, e);
}

/* ---- step 2: what is there --------------------------------------------------------------- */

/* The same content as in the active slot, under another salt: a copy saves the download.  It may fail
 * or be wrong without harm, as every group of it is verified afterwards.  False: nothing to copy. */
static bool copy_seed(const struct stage *s, const struct component *c, int fd)
{
	const struct component *have = s->seed ? release_component(s->seed, c->name) : NULL;
	struct verity_geo geo;
	struct err ignored;
	uint64_t size;

	if (!have || have->size != c->size ||
	    memcmp(have->sha256, c->sha256, SHA256_SIZE) != 0 ||
	    !verity_geo_init(&geo, c->size, &ignored))
		return false;
	CLEANUP(fd_closep) int from = -1;
	/* Of another length it is damaged, and would change ours. */
	if (!file_open_at(&from, s->seed_dirfd, c->name, O_RDONLY | O_NOFOLLOW, 0, &ignored) ||
	    !fd_size(from, &size, &ignored) || size != geo.padded_size)
		return false;
	/* What a failed copy left is looked at like all else. */
	return copy_content(fd, from, s->cancel, &ignored) || ignored.code != E_CANCELLED;
}

/* Reads a group; holes, which most of a fresh file is, without asking the disk for zeros. */
static bool read_group(const struct stage_file *f, off_t *next_data, uint8_t *p, size_t n,
		       uint64_t at, struct err *e)
{
	if (*next_data < (off_t)at) {
		*next_data = lseek(f->fd, (off_t)at, SEEK_DATA);
		if (*next_data < 0)
			*next_data =
				errno == ENXIO ? (off_t)f->tree->geo.padded_size : (off_t)at;
	}
	if (*next_data >= (off_t)(at + n)) {
		memset(p, 0, n);
		return true;
	}
	return pread_all(f->fd, p, n, at, e);
}

/* Group by group, so that a flipped bit costs one frame and not the file. */
static bool scan(struct stage_file *f, const struct stage *s, struct err *e)
{
	uint8_t *p = malloc(VERITY_GROUP);
	bool ok = p || err_nomem(e);
	off_t next_data = -1;

	for (uint64_t g = 0; ok && g < f->tree->geo.groups; g++) {
		size_t n = verity_group_size(&f->tree->geo, g);
		uint8_t leaf[VERITY_BLOCK];
		struct err differs;

		if (stage_file_is_good(f, g))
			continue;
		ok = check_cancel(s, e) && read_group(f, &next_data, p, n, g * VERITY_GROUP, e);
		if (!ok || !verity_group_check(f->tree, g, p, n, leaf, &differs))
			continue;
		ok = stage_file_put_leaf(f, g, leaf, e);
		if (ok) {
			stage_file_set_good(f, g);
			atomic_fetch_add(&s->progress->done_bytes, n);
			atomic_fetch_add(&s->progress->reused_bytes, n);
		}
	}
	free(p);
	return ok;
}

static bool open_sized(int *ret, int dirfd, const char *name, uint64_t size, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	uint64_t now;

	if (!file_open_at(&fd, dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e))
		return false;
	if (!fd_size(fd, &now, e))
		return err_wrap(e, "%s", name);
	if (now != size && ftruncate(fd, (off_t)size) < 0)
		return err_sys(e, errno, "%s", name);
	*ret = TAKE_FD(fd);
	return true;
}

/* Whatever lay behind the plain bytes: the last block of a slot file is padded with zeros. */
static bool write_padding(const struct stage_file *f, struct err *e)
{
	static const uint8_t zeros[VERITY_BLOCK];
	const struct verity_geo *geo = &f->tree->geo;

	return pwrite_all(f->fd, zeros, geo->padded_size - geo->size, geo->size, e);
}

static bool open_files(struct stage_file *f, const struct stage *s, const struct component *c,
		       struct err *e)
{
	const struct verity_geo *geo = &f->tree->geo;
	char hash[SLOT_FILE_SIZE];

	if (!open_sized(&f->fd, s->slot_dirfd, c->name, geo->padded_size, e))
		return false;
	if (geo->levels == 0)
		return true;
	slot_hash_name(hash, c->name);
	if (!open_sized(&f->hash_fd, s->slot_dirfd, hash, geo->area_size, e))
		return false;
	return pwrite_all(f->hash_fd, f->tree->upper, geo->upper_size, 0, e);
}

/* ---- step 3: what is not ----------------------------------------------------------------- */

/* Cuts the stream of a run into frames and these into units for the threads. */
struct run {
	struct stage_pool *pool;
	const struct stage *s;
	uint64_t unit, end;      /* units to come: [unit, end) */
	struct stage_unit *open; /* being filled; NULL between units */
};

static bool take_stream(void *arg, const void *p, size_t n, struct err *e)
{
	struct run *r = arg;
	const uint8_t *bytes = p;

	atomic_fetch_add(&r->s->progress->fetched_bytes, n);
	while (n > 0) {
		if (!r->open) {
			if (r->unit == r->end)
				return err_set(e, E_CORRUPT, "more bytes than asked for");
			if (!stage_pool_unit(r->pool, r->unit++, &r->open, e))
				return false;
		}
		size_t take = stage_unit_add(r->open, bytes, n);
		bytes += take;
		n -= take;
		if (stage_unit_is_full(r->open) && !stage_pool_give(r->pool, TAKE(r->open), e))
			return false;
	}
	return true;
}

static bool fetch_run(struct stage_file *f, const struct stage *s, const struct component *c,
		      uint64_t first, uint64_t end, struct err *e)
{
	struct run r = { .s = s, .unit = first, .end = end };
	uint64_t from = stage_unit_object_start(f, first);
	uint64_t to = stage_unit_object_start(f, end);

	if (!stage_pool_new(&r.pool, f, s->threads, s->progress, e))
		return false;
	bool ok = s->source.get(s->source.ctx, c->object_sha256, c->object_size, from, to,
				take_stream, &r, e);
	stage_unit_free(r.open);
	/* An error of a thread is the cause of what the source was told. */
	struct err inner;
	if (!stage_pool_finish(r.pool, &inner)) {
		*e = inner;
		ok = false;
	}
	if (ok && r.unit != r.end)
		ok = err_set(e, E_CORRUPT, "the object ended early");
	return ok;
}

static bool fetch_missing(struct stage_file *f, const struct stage *s,
			  const struct component *c, struct err *e)
{
	uint64_t units = stage_units(f);

	for (uint64_t first = 0; first < units;) {
		uint64_t end = first;

		while (end < units && !stage_unit_is_good(f, end))
			end++;
		if (end > first && (!check_cancel(s, e) || !fetch_run(f, s, c, first, end, e)))
			return false;
		first = end + 1;
	}
	return true;
}

static bool load_table(struct stage_file *f, const struct stage *s, const struct component *c,
		       struct err *e)
{
	uint64_t size = seekable_table_size(c->size, c->frame_size);

	if (size > c->object_size)
		return err_set(e, E_CORRUPT, "object: too short for its table");
	CLEANUP(buf_done) struct buf tail = BUF_INIT(size);
	if (!get_part(s, c->object_sha256, c->object_size, c->object_size - size,
		      c->object_size, &tail, e) ||
	    !seekable_table_parse(&f->table, tail.p, tail.n, c->object_size, c->size,
				  c->frame_size, e))
		return err_wrap(e, "object: table");
	return true;
}

/* ---- one component ----------------------------------------------------------------------- */

static bool use_delta(struct stage_file *f, const struct stage *s, const struct component *c,
		      struct err *e)
{
	struct err why;

	if (!stage_by_delta(f, s, c, &why, e))
		return false;
	if (why.code == E_NONE)
		return true;
	err_wrap(&why, "%s: delta", c->name);
	if (s->delta_why)
		*s->delta_why = why;
	if (s->no_fallback == E_NONE)
		return true;
	return err_set(e, s->no_fallback, "the policy keeps it from the full download; %s",
		       why.text);
}

static bool stage_component(const struct stage *s, const struct component *c, struct err *e)
{
	CLEANUP(stage_file_done) struct stage_file f = STAGE_FILE_INIT;
	struct verity_geo geo;

	if (!verity_geo_init(&geo, c->size, e) || !load_tree(&f.tree, s, c, &geo, e) ||
	    !stage_file_start(&f, c->frame_size, e) || !open_files(&f, s, c, e) ||
	    !scan(&f, s, e))
		return false;
	if (!stage_file_all_good(&f) && copy_seed(s, c, f.fd) && !scan(&f, s, e))
		return false;
	if (!stage_file_all_good(&f) && !use_delta(&f, s, c, e))
		return false;
	if (!stage_file_all_good(&f) &&
	    (!load_table(&f, s, c, e) || !fetch_missing(&f, s, c, e)))
		return false;
	if (!stage_file_all_good(&f))
		return err_set(e, E_INTERNAL, "groups are missing at the end");
	return write_padding(&f, e) && fd_sync(f.fd, e) &&
	       (f.hash_fd < 0 || fd_sync(f.hash_fd, e));
}

static bool check_room(const struct stage *s, struct err *e)
{
	char need[TEXT_SIZE_MAX], reserve[TEXT_SIZE_MAX], have[TEXT_SIZE_MAX];
	uint64_t missing, free_bytes;

	if (!slot_bytes_missing(&missing, s->slot_dirfd, s->release, s->model, e) ||
	    !fs_free_bytes(s->slot_dirfd, &free_bytes, e))
		return false;
	if (free_bytes >= s->reserve_bytes && free_bytes - s->reserve_bytes >= missing)
		return true;
	size_format(need, missing);
	size_format(reserve, s->reserve_bytes);
	size_format(have, free_bytes);
	return err_set(e, E_NO_SPACE, "needs %s beside a reserve of %s, %s are free", need,
		       reserve, have);
}

static void start_progress(const struct stage *s)
{
	uint64_t total = 0;

	for (size_t i = 0; i < s->release->n_components; i++)
		if (model_uses(s->model, (int)i))
			total += s->release->components[i].size;
	atomic_store(&s->progress->total_bytes, total);
	atomic_store(&s->progress->done_bytes, 0);
	atomic_store(&s->progress->fetched_bytes, 0);
	atomic_store(&s->progress->delta_bytes, 0);
	atomic_store(&s->progress->reused_bytes, 0);
}

bool stage_run(const struct stage *s, struct err *e)
{
	const struct release *r = s->release;

	start_progress(s);
	if (!slot_names_fit(r, s->model, e) || !slot_clear_for(s->slot_dirfd, r, s->model, e) ||
	    !stage_delta_sweep(s, false, e) || !check_room(s, e))
		return err_wrap(e, "%s/%s", r->product, r->version);
	for (size_t i = 0; i < r->n_components; i++) {
		const struct component *c = &r->components[i];

		if (model_uses(s->model, (int)i) && !stage_component(s, c, e))
			return err_wrap(e, "%s/%s: %s", r->product, r->version, c->name);
	}
	if (!stage_delta_sweep(s, true, e) ||
	    !file_replace(s->slot_dirfd, "release.json", 0600, s->manifest, s->manifest_n, e))
		return err_wrap(e, "%s/%s", r->product, r->version);
	crash_point("stage-done");
	return true;
}
