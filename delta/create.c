/* Making a delta: streams, matches, frames, hashes, file. */
#include "delta/delta.h"
#include "base/io.h"
#include "base/sha256.h"
#include "delta/cut.h"
#include "delta/effort.h"
#include "delta/encode.h"
#include "delta/output.h"
#include "delta/prune.h"
#include "delta/tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CHUNK = 4 << 20,      /* new bytes matched at a time */
	DROP_AFTER = 8 << 20, /* bytes that were looked at */
	BULK_THREADS = 4,     /* a frame takes 160 MiB: LZMA's, and the bytes once more */
	SPENT_MIN = 4096,     /* coded bytes */
	MIXED_MAX = 32 << 20, /* inserted bytes up to which all are mixed: half a minute */
	SEGMENT_LOG = 21,
	SEGMENTS_MAX = 65536, /* 1 MiB of hashes; then they are larger */
};

/* A part of a piece, matched as a whole. */
struct chunk {
	size_t piece;
	uint64_t from; /* in the piece */
	size_t n;
	uint64_t ops_at, inserted; /* in the spool; bytes */
	size_t n_ops;
};

struct create {
	const struct delta_job *job;
	struct sight sight; /* both images, streams seen through */
	struct spool spool;
	struct matcher *matcher;
	uint64_t touched;            /* bytes mapped by matching; atomic */
	struct match_local **locals; /* per thread */
	struct chunk *chunks;
	size_t n_chunks;
	struct cutter cut;
	struct encoding encoding;
	struct buf table;
	struct format format;
	struct output output;
	uint64_t cost[DELTA_KINDS];             /* atomic, while frames are coded */
	uint64_t work_done, work_now, work_all; /* for progress */
};

/* ---- progress ---- */

static bool tell(struct create *c, uint64_t done)
{
	const struct delta_job *j = c->job;

	return !j->progress || j->progress(j->ctx, c->work_done + done, c->work_all);
}

static bool run_tasks(struct create *c, struct tasks *t, uint64_t work, struct err *e)
{
	c->work_now = t->n ? work / t->n : 0;
	if (!tasks_run(t, e))
		return false;
	c->work_done += work;
	return tell(c, 0) || err_set(e, E_CANCELLED, "cancelled");
}

static bool task_progress(void *ctx, size_t done)
{
	struct create *c = ctx;

	return tell(c, done * c->work_now);
}

/* ---- matching ---- */

static bool plan_chunks(struct create *c, struct err *e)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < c->sight.n_pieces; i++)
		n += (size_t)(piece_bytes(&c->sight.pieces[i].piece) / CHUNK + 1);
	c->chunks = calloc(n + 1, sizeof(*c->chunks));
	if (!c->chunks)
		return err_nomem(e);
	for (size_t i = 0; i < c->sight.n_pieces; i++) {
		uint64_t all = piece_bytes(&c->sight.pieces[i].piece);

		for (uint64_t at = 0; at < all; at += CHUNK)
			c->chunks[k++] =
				(struct chunk){ .piece = i,
						.from = at,
						.n = all - at < CHUNK ? (size_t)(all - at)
								      : CHUNK };
	}
	c->n_chunks = k;
	return true;
}

/* Pages that matching a chunk has mapped are given back after some chunks: it takes as long for one page as for
 * all, and there may be many small streams. */
static void chunk_touched(struct create *c, size_t chunk)
{
	uint64_t n = 2 * (uint64_t)chunk + SIGHT_WINDOW;
	uint64_t all = __atomic_add_fetch(&c->touched, n, __ATOMIC_RELAXED);

	if (all / DROP_AFTER != (all - n) / DROP_AFTER)
		sight_drop_all(&c->sight);
}

static bool match_chunk(void *ctx, size_t index, unsigned thread, struct err *e)
{
	CLEANUP(ops_done) struct ops ops = { 0 };
	struct create *c = ctx;
	struct chunk *k = &c->chunks[index];
	const uint8_t *bytes = sight_new(&c->sight, k->piece) + k->from;
	uint64_t guess = c->sight.pieces[k->piece].guess;

	if (!c->locals[thread] && !match_local_new(&c->locals[thread], e))
		return false;
	if (guess != UINT64_MAX)
		guess += k->from;
	if (!match_range(c->matcher, c->locals[thread], bytes, k->n, guess, &ops, e))
		return false;
	chunk_touched(c, k->n);
	for (size_t i = 0; i < ops.n; i++)
		k->inserted += ops.v[i].kind == OP_INSERT ? ops.v[i].n : 0;
	k->n_ops = ops.n;
	return spool_put(&c->spool, ops.v, ops.n * sizeof(*ops.v), &k->ops_at, e);
}

static bool match_all(struct create *c, struct err *e)
{
	struct tasks t = { .threads = c->job->threads,
			   .run = match_chunk,
			   .progress = task_progress,
			   .ctx = c };
	unsigned threads = c->job->threads ? c->job->threads : 1;

	if (!plan_chunks(c, e) || !matcher_new(&c->matcher, c->sight.old, c->sight.space.end,
					       true, c->job->threads, e))
		return false;
	c->work_done += c->sight.old_size;
	c->locals = calloc(threads, sizeof(struct match_local *));
	if (!c->locals)
		return err_nomem(e);
	t.n = c->n_chunks;
	if (!run_tasks(c, &t, c->sight.new_size, e))
		return false;
	for (unsigned i = 0; i < threads; i++)
		match_local_free(c->locals[i]);
	free(TAKE(c->locals));
	matcher_freep(&c->matcher);
	return true;
}

/* ---- from chunks to frames ---- */

/* Adds a chunk's commands. */
static bool join_chunk(struct create *c, const struct chunk *k, struct ops *joined,
		       struct err *e)
{
	struct op *v = reallocarray(NULL, k->n_ops + 1, sizeof(*v));

	if (!v)
		return err_nomem(e);
	bool ok = spool_get(&c->spool, k->ops_at, v, k->n_ops * sizeof(*v), e);
	for (size_t i = 0; ok && i < k->n_ops; i++)
		ok = ops_add(joined, &v[i], e);
	free(v);
	return ok;
}

/* One piece's commands, from all its chunks.  The last one of a chunk may go on in the next. */
static bool cut_piece(struct create *c, size_t piece, size_t *chunk, struct err *e)
{
	CLEANUP(ops_done) struct ops joined = { 0 };
	bool is_stream = c->sight.pieces[piece].piece.transform != 0;

	for (; *chunk < c->n_chunks && c->chunks[*chunk].piece == piece; ++*chunk) {
		if (!join_chunk(c, &c->chunks[*chunk], &joined, e))
			return false;
		if (!is_stream && joined.n > 1) {
			if (!cutter_add(&c->cut, piece, joined.v, joined.n - 1, e))
				return false;
			joined.v[0] = joined.v[joined.n - 1];
			joined.n = 1;
		}
	}
	if (is_stream)
		ops_coarsen(&joined, CUT_OPS_MAX);
	return cutter_add(&c->cut, piece, joined.v, joined.n, e);
}

static bool cut_frames(struct create *c, struct err *e)
{
	uint64_t inserted = 0;
	size_t chunk = 0;

	for (size_t i = 0; i < c->n_chunks; i++)
		inserted += c->chunks[i].inserted;
	c->encoding = (struct encoding){
		.sight = &c->sight,
		.cut = &c->cut,
		.bulk = inserted > (c->job->mixed_max ? c->job->mixed_max : MIXED_MAX),
	};
	if (!cutter_init(&c->cut, &c->sight, &c->spool, e))
		return false;
	c->cut.bulk = c->encoding.bulk;
	for (size_t i = 0; i < c->sight.n_pieces; i++)
		if (!cut_piece(c, i, &chunk, e))
			return false;
	free(TAKE(c->chunks));
	c->n_chunks = 0;
	return cutter_end(&c->cut, e);
}

/* ---- commands that are cut ---- */

static bool see_used(void *ctx, const struct frame *f, struct op *v, struct err *e UNUSED)
{
	prune_use(ctx, v, f->n_ops);
	return true;
}

struct moving {
	const struct prune *prune;
	const struct spool *spool;
};

static bool see_moved(void *ctx, const struct frame *f, struct op *v, struct err *e)
{
	const struct moving *m = ctx;

	prune_move(m->prune, v, f->n_ops);
	return spool_set(m->spool, f->ops_at, v, f->n_ops * sizeof(*v), e);
}

/* Old streams that nothing is copied from are left out. */
static bool prune(struct create *c, struct err *e)
{
	CLEANUP(prune_done) struct prune p = { 0 };
	struct moving m = { &p, &c->spool };

	if (!c->sight.space.streams.n)
		return true;
	if (!prune_init(&p, &c->sight, e) || !cutter_for_ops(&c->cut, see_used, &p, e))
		return false;
	prune_streams(&p);
	return cutter_for_ops(&c->cut, see_moved, &m, e);
}

/* Half of the bound is kept free: where a frame keeps parts of streams, and how dense packed bytes
 * lie in a stream, is not known exactly. */
static bool bound_effort(struct create *c, bool *ret_enough, struct err *e)
{
	uint64_t most =
		c->job->unpack_max ? c->job->unpack_max : space_steps(c->sight.new_size) / 2;

	return effort_bound(&c->cut, most, ret_enough, e);
}

/* ---- head and hashes ---- */

static bool hash_segment(struct create *c, size_t index)
{
	uint64_t size = UINT64_C(1) << c->format.segment_log, at = index * size;
	size_t n = (size_t)(c->sight.new_size - at < size ? c->sight.new_size - at : size);
	uint8_t hash[SHA256_SIZE];

	sha256(hash, c->sight.new + at, n);
	memcpy(c->format.hashes[index], hash, DELTA_HASH_SIZE);
	sight_drop(c->sight.new + at, n);
	return true;
}

static bool plan_hashes(struct create *c, struct err *e)
{
	struct format *f = &c->format;

	f->new_size = c->sight.new_size;
	f->old_size = c->sight.old_size;
	f->segment_log = SEGMENT_LOG;
	if (f->new_size >> SEGMENT_LOG > SEGMENTS_MAX)
		f->segment_log = FORMAT_SEGMENT_LOG_MAX;
	f->hashes = calloc((size_t)format_segments(f) + 1, sizeof(*f->hashes));
	return f->hashes || err_nomem(e);
}

static bool plan_frames(struct create *c, struct err *e)
{
	struct format *f = &c->format;

	f->n_frames = (uint32_t)c->cut.n_frames;
	f->n_old_streams = (uint32_t)c->sight.space.streams.n;
	for (size_t i = 0; i < c->cut.n_pieces; i++)
		f->n_new_streams += c->cut.pieces[i].transform != 0;
	f->frames = calloc(c->cut.n_frames + 1, sizeof(*f->frames));
	if (!f->frames)
		return err_nomem(e);
	for (size_t i = 0; i < c->cut.n_frames; i++) {
		const struct frame *k = &c->cut.frames[i];

		f->frames[i] = (struct format_frame){ .first = k->first,
						      .bytes = k->bytes,
						      .ops = k->n_ops };
	}
	return true;
}

static bool code_old_table(struct create *c, struct err *e)
{
	CLEANUP(models_freep) struct models *m = NULL;
	struct streams *t = &c->sight.space.streams;
	struct coder coder;

	if (!t->n)
		return true;
	if (!models_new(&m, e))
		return false;
	coder_encode_start(&coder, &c->table, e);
	if (!code_table(&coder, m, t, (uint32_t)t->n, c->sight.old_size, e))
		return false;
	coder_encode_end(&coder);
	c->cost[DELTA_TABLES] += coder.cost[DELTA_TABLES];
	c->format.table_coded = (uint32_t)c->table.n;
	return coder_ok(&coder, e);
}

/* ---- frames ---- */

static bool code_frame(struct create *c, size_t index, struct err *e)
{
	CLEANUP(buf_done) struct buf coded = BUF_INIT(LIMIT_DELTA_FRAME);
	uint64_t cost[DELTA_KINDS] = { 0 };

	if (!encode_frame(&c->encoding, &c->cut.frames[index], &coded, cost, e))
		return false;
	for (unsigned i = 0; i < DELTA_KINDS; i++)
		__atomic_fetch_add(&c->cost[i], cost[i], __ATOMIC_RELAXED);
	c->format.frames[index].ops = c->cut.frames[index].n_ops;
	return output_frame(&c->output, index, coded.p, coded.n, e);
}

/* Frames first: most deltas have one, which keeps one thread busy while others hash. */
static bool code_or_hash(void *ctx, size_t index, unsigned thread UNUSED, struct err *e)
{
	struct create *c = ctx;

	return index < c->cut.n_frames ? code_frame(c, index, e)
				       : hash_segment(c, index - c->cut.n_frames);
}

static bool code_all(struct create *c, struct err *e)
{
	unsigned most = c->encoding.bulk ? BULK_THREADS : TASKS_THREADS_MAX;
	struct tasks t = { .threads = c->job->threads < most ? c->job->threads : most,
			   .run = code_or_hash,
			   .progress = task_progress,
			   .ctx = c };

	if (!plan_hashes(c, e) || !plan_frames(c, e) || !code_old_table(c, e))
		return false;
	c->output = (struct output){ .fd = c->job->out_fd,
				     .spool = &c->spool,
				     .frames = c->format.frames,
				     .n_frames = c->cut.n_frames,
				     .start = format_head_max(&c->format) + c->table.n,
				     .max = c->job->output_max };
	if (!output_init(&c->output, e))
		return false;
	t.n = c->cut.n_frames + (size_t)format_segments(&c->format);
	return run_tasks(c, &t, c->sight.new_size / 2, e);
}

/* ---- the file ---- */

/* What many bytes were spent on; of few it would take some of them to tell. */
static void tell_spent(struct format *f, const uint64_t cost[static DELTA_KINDS])
{
	uint64_t bytes[DELTA_KINDS], all = 0;

	for (unsigned i = 0; i < DELTA_KINDS; i++)
		all += bytes[i] = cost[i] / 524288;
	for (unsigned i = 0; all >= SPENT_MIN && i < DELTA_KINDS; i++)
		f->spent[i] =
			(uint32_t)((bytes[i] + FORMAT_SPENT_UNIT / 2) / FORMAT_SPENT_UNIT);
}

/* Hashes that are more than an eighth of the rest. */
static void sum_hashes(struct create *c)
{
	uint64_t n = format_segments(&c->format);

	c->format.is_summed = n > 1 && n * DELTA_HASH_SIZE > (c->output.end + c->table.n) / 8;
}

/* What comes before the frames is known last, and its size. */
static bool write_head(struct create *c, struct err *e)
{
	struct format *f = &c->format;
	CLEANUP(buf_done) struct buf head = BUF_INIT((size_t)2 * LIMIT_DELTA_HEAD);

	tell_spent(f, c->cost);
	sum_hashes(c);
	if (!format_encode(&head, f, e) || !buf_add(&head, c->table.p, c->table.n, e) ||
	    !output_move(&c->output, head.n, e))
		return false;
	if (!pwrite_all(c->job->out_fd, head.p, head.n, 0, e))
		return err_wrap(e, "delta");
	if (ftruncate(c->job->out_fd, (off_t)(c->output.start + c->output.end)) != 0)
		return err_sys(e, errno, "delta");
	return true;
}

static bool tell_info(struct create *c, struct delta_info *ret, struct err *e)
{
	struct delta_info info;

	if (!delta_look(&info, c->job->out_fd, e))
		return false;
	info.copied_bytes = c->cut.copied_bytes - c->encoding.given_up;
	info.inserted_bytes = c->cut.inserted_bytes + c->encoding.given_up;
	info.zero_bytes = c->cut.zero_bytes;
	*ret = info;
	return true;
}

static void create_done(struct create *c)
{
	for (unsigned i = 0; c->locals && i < (c->job->threads ? c->job->threads : 1); i++)
		match_local_free(c->locals[i]);
	free(c->locals);
	matcher_free(c->matcher);
	free(c->chunks);
	output_done(&c->output);
	cutter_done(&c->cut);
	buf_done(&c->table);
	format_done(&c->format);
	sight_done(&c->sight);
}

/* *ret_slow: it would take too long to apply, and is not written. */
static bool make(const struct delta_job *job, bool with_streams, bool *ret_slow,
		 struct delta_info *ret, struct err *e)
{
	CLEANUP(create_done)
	struct create c = { .job = job, .table = BUF_INIT(LIMIT_DELTA_HEAD) };
	bool quick = true;

	if (!sight_init(&c.sight, job, with_streams, e))
		return false;
	c.spool = (struct spool){ .fd = c.sight.scratch_fd, .end = c.sight.scratch_bytes };
	c.work_all = sight_work(c.sight.old_size, c.sight.new_size);
	if (!match_all(&c, e) || !cut_frames(&c, e) || !prune(&c, e) ||
	    !bound_effort(&c, &quick, e))
		return false;
	*ret_slow = !quick;
	return !quick || (code_all(&c, e) && write_head(&c, e) && tell_info(&c, ret, e));
}

bool delta_create(const struct delta_job *job, struct delta_info *ret, struct err *e)
{
	bool slow = false;

	return make(job, true, &slow, ret, e) && (!slow || make(job, false, &slow, ret, e));
}
