#include "delta/sight.h"
#include "base/io.h"
#include "base/sha256.h"
#include "delta/tasks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	FIND_PART = 32 << 20,
	FIND_MAX = 16384,      /* streams of one part */
	STREAMS_MAX = 1 << 18, /* of one side: the larger ones */
};
#define PLAIN_MAX (UINT64_C(1) << 30) /* unpacked bytes of one side; further streams stay raw */

/* One side's streams while it is decided which are opened. */
struct side {
	const uint8_t *image;
	uint64_t size;
	struct layout layout;
	struct known known;    /* its blocks */
	struct streams *parts; /* as found, per part of the image */
	struct streams all;
	uint8_t (*hashes)[SHA256_SIZE]; /* of the packed bytes */
	bool *lonely;                   /* the other side does not have it packed like this */
	bool *open;
	uint64_t *at; /* where its plain bytes are in the side's part of the scratch file */
	struct buf *recipes; /* new side, as the next */
	uint64_t *work;      /* of packing each, in steps */
};

struct finder {
	const struct delta_job *job;
	struct side sides[2]; /* old, new */
	size_t parts_old;
};

static void finder_done(struct finder *f)
{
	for (unsigned k = 0; k < 2; k++) {
		struct side *s = &f->sides[k];

		layout_done(&s->layout);
		known_done(&s->known);
		for (uint64_t i = 0; s->parts && i * FIND_PART < s->size; i++)
			streams_done(&s->parts[i]);
		for (size_t i = 0; s->recipes && i < s->all.n; i++)
			buf_done(&s->recipes[i]);
		free(s->parts);
		free(s->hashes);
		free(s->lonely);
		free(s->open);
		free(s->at);
		free(s->recipes);
		free(s->work);
		streams_done(&s->all);
	}
}

/* ---- finding ---- */

/* A part of one of the images, by its number among those of both. */
static struct side *part_of(struct finder *f, size_t index, size_t *ret_part,
			    uint64_t *ret_from, uint64_t *ret_to)
{
	struct side *s = &f->sides[index >= f->parts_old];

	*ret_part = index >= f->parts_old ? index - f->parts_old : index;
	*ret_from = (uint64_t)*ret_part * FIND_PART;
	*ret_to = s->size - *ret_from < FIND_PART ? s->size : *ret_from + FIND_PART;
	return s;
}

static bool know_part(void *ctx, size_t index, unsigned thread UNUSED, struct err *e UNUSED)
{
	uint64_t from, to;
	size_t part;
	struct side *s = part_of(ctx, index, &part, &from, &to);

	known_add(&s->known, s->image + from, to - from);
	sight_drop(s->image + from, to - from);
	return true;
}

static bool find_part(void *ctx, size_t index, unsigned thread UNUSED, struct err *e)
{
	struct finder *f = ctx;
	uint64_t from, to;
	size_t part;
	struct side *s = part_of(f, index, &part, &from, &to);
	const struct image in = { .p = s->image,
				  .size = s->size,
				  .layout = &s->layout,
				  .other = &f->sides[s == &f->sides[0]].known };

	for (size_t i = 1; i < n_transforms; i++) {
		struct streams found = { 0 };
		bool ok = transforms[i]->find(&found, &in, from, to, e);

		for (size_t k = 0; ok && k < found.n && s->parts[part].n < FIND_MAX; k++) {
			found.v[k].transform = (uint8_t)i;
			ok = streams_copy(&s->parts[part], &found, k, e);
		}
		streams_done(&found);
		if (!ok)
			return false;
	}
	sight_drop(s->image + from, to - from);
	return true;
}

/* There is nothing to tell yet, but it can be cancelled. */
static bool still_wanted(const struct finder *f)
{
	const struct delta_job *job = f->job;

	return !job->progress ||
	       job->progress(job->ctx, 0, sight_work(f->sides[0].size, f->sides[1].size));
}

static bool find_progress(void *ctx, size_t done UNUSED)
{
	return still_wanted(ctx);
}

static int by_offset(const void *a, const void *b)
{
	const struct stream *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* A stream that may be opened: its sizes are possible and its parts lie inside the image. */
static bool is_possible(const struct side *s, const struct streams *all, const struct stream *v)
{
	uint32_t at = 0;

	if (!v->size || !v->plain_size || v->plain_size > LIMIT_DELTA_STREAM ||
	    v->n_more >= LIMIT_DELTA_PARTS)
		return false;
	while (at < v->size) {
		uint64_t offset;
		uint32_t n = stream_place(all, v, at, &offset);

		if (offset >= s->size || n > s->size - offset)
			return false;
		at += n;
	}
	return true;
}

static int by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? 1 : *x > *y ? -1 : 0;
}

/* Which streams are few enough: those of more plain bytes than `least`, and `ties` with as many. */
struct enough {
	uint32_t least;
	size_t ties;
};

static bool find_enough(struct enough *ret, const struct side *s, struct err *e)
{
	size_t n = 0;

	*ret = (struct enough){ 0 };
	for (uint64_t i = 0; i * FIND_PART < s->size; i++)
		n += s->parts[i].n;
	if (n <= STREAMS_MAX)
		return true;
	uint32_t *sizes = reallocarray(NULL, n, sizeof(*sizes)), *at = sizes;
	if (!sizes)
		return err_nomem(e);
	for (uint64_t i = 0; i * FIND_PART < s->size; i++)
		for (size_t k = 0; k < s->parts[i].n; k++)
			*at++ = s->parts[i].v[k].plain_size;
	qsort(sizes, n, sizeof(*sizes), by_size);
	ret->least = sizes[STREAMS_MAX - 1];
	for (size_t i = STREAMS_MAX; i > 0 && sizes[i - 1] == ret->least; i--)
		ret->ties++;
	free(sizes);
	return true;
}

static bool is_enough(struct enough *m, const struct stream *v)
{
	if (v->plain_size != m->least)
		return v->plain_size > m->least;
	if (!m->ties)
		return false;
	m->ties--;
	return true;
}

/* All parts' streams, in order. */
static bool gather_parts(struct streams *ret, struct side *s, struct err *e)
{
	struct enough few;

	if (!find_enough(&few, s, e))
		return false;
	for (uint64_t i = 0; i * FIND_PART < s->size; i++) {
		struct streams *p = &s->parts[i];

		for (size_t k = 0; k < p->n; k++)
			if (is_enough(&few, &p->v[k]) && is_possible(s, p, &p->v[k]) &&
			    !streams_copy(ret, p, k, e))
				return false;
		streams_done(p);
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_offset);
	return true;
}

/* Of two streams with bytes in common the one that has them first. */
static bool find_apart(bool *apart, const struct streams *all, struct err *e)
{
	struct place *places = NULL;
	uint64_t end = 0;
	size_t n = 0;

	if (!places_of(&places, &n, all, NULL, e))
		return false;
	memset(apart, 1, all->n * sizeof(*apart));
	for (size_t i = 0; i < n; i++) {
		const struct place *p = &places[i];

		if (p->offset < end)
			apart[p->stream] = false;
		else if (apart[p->stream])
			end = p->offset + p->size;
	}
	free(places);
	return true;
}

static bool join_parts(struct side *s, struct err *e)
{
	CLEANUP(streams_done) struct streams all = { 0 };

	if (!gather_parts(&all, s, e))
		return false;
	bool *apart = calloc(all.n + 1, sizeof(*apart));
	bool ok = apart ? find_apart(apart, &all, e) : err_nomem(e);
	for (size_t i = 0; ok && i < all.n; i++)
		if (apart[i])
			ok = streams_copy(&s->all, &all, i, e);
	free(apart);
	if (!ok)
		return false;
	s->hashes = calloc(s->all.n + 1, sizeof(*s->hashes));
	s->lonely = calloc(s->all.n + 1, sizeof(*s->lonely));
	s->open = calloc(s->all.n + 1, sizeof(*s->open));
	s->at = calloc(s->all.n + 1, sizeof(*s->at));
	s->recipes = calloc(s->all.n + 1, sizeof(*s->recipes));
	s->work = calloc(s->all.n + 1, sizeof(*s->work));
	return (s->hashes && s->lonely && s->open && s->at && s->recipes && s->work) ||
	       err_nomem(e);
}

/* Some of a mapping of size bytes, with all that reading it has mapped: whole windows of SIGHT_WINDOW bytes. */
static void drop_around(const uint8_t *mapping, uint64_t size, uint64_t offset, uint64_t n)
{
	uintptr_t begin = (uintptr_t)mapping;
	uintptr_t from = (begin + offset) & ~(uintptr_t)(SIGHT_WINDOW - 1);
	uintptr_t to = (begin + offset + n + SIGHT_WINDOW - 1) & ~(uintptr_t)(SIGHT_WINDOW - 1);

	if (from < begin)
		from = begin;
	if (to > begin + size)
		to = begin + size;
	sight_drop((const void *)from, to - from);
}

/* The packed bytes of a stream will not be read soon. */
static void drop_packed(const struct side *s, const struct stream *v)
{
	for (uint32_t at = 0, n; at < v->size; at += n) {
		uint64_t offset;

		n = stream_place(&s->all, v, at, &offset);
		drop_around(s->image, s->size, offset, n);
	}
}

static bool hash_stream(void *ctx, size_t index, unsigned thread UNUSED, struct err *e)
{
	struct finder *f = ctx;
	size_t old = f->sides[0].all.n;
	struct side *s = &f->sides[index >= old];
	size_t i = index >= old ? index - old : index;

	CLEANUP(sha256_done) struct sha256 h = { 0 };
	const struct stream *v = &s->all.v[i];

	if (!sha256_init(&h, e))
		return false;
	for (uint32_t at = 0, n; at < v->size; at += n) {
		uint64_t offset;

		n = stream_place(&s->all, v, at, &offset);
		sha256_update(&h, s->image + offset, n);
	}
	sha256_final(&h, s->hashes[i]);
	drop_packed(s, v);
	return true;
}

/* ---- choosing ---- */

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_SIZE);
}

static uint8_t *sorted_hashes(const struct side *s)
{
	uint8_t *v = reallocarray(NULL, s->all.n + 1, SHA256_SIZE);

	if (v) {
		memcpy(v, s->hashes, s->all.n * SHA256_SIZE);
		qsort(v, s->all.n, SHA256_SIZE, compare_hashes);
	}
	return v;
}

static bool find_lonely(struct side *s, const struct side *other, struct err *e)
{
	uint8_t *v = sorted_hashes(other);

	if (!v)
		return err_nomem(e);
	for (size_t i = 0; i < s->all.n; i++)
		s->lonely[i] =
			!bsearch(s->hashes[i], v, other->all.n, SHA256_SIZE, compare_hashes);
	free(v);
	return true;
}

struct packed_in {
	const struct side *side;
	const struct stream *stream;
};

static bool image_copy(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e UNUSED)
{
	const struct side *s = ctx;

	memcpy(p, s->image + offset, n);
	return true;
}

static bool packed_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e)
{
	const struct packed_in *in = ctx;

	return stream_gather(&in->side->all, in->stream, offset, p, n, image_copy,
			     (void *)(uintptr_t)in->side, e);
}

static bool unpack(uint8_t *to, const struct side *s, size_t i, struct err *e)
{
	const struct stream *v = &s->all.v[i];
	struct packed_in in = { .side = s, .stream = v };
	struct packed from = { .read = packed_read, .ctx = &in, .size = v->size };

	return stream_unpack(transforms[v->transform], to, v->plain_size, &from, e);
}

/* What is opened of one side so far. */
struct opened {
	size_t n, parts;
	uint64_t bytes;
};

/* Opens streams of one sort within the bounds on number, further parts and size. */
static void open_some(struct side *s, bool lonely, size_t most, size_t most_parts,
		      struct opened *o)
{
	for (size_t i = 0; i < s->all.n && o->n < most; i++) {
		const struct stream *v = &s->all.v[i];

		if (s->lonely[i] != lonely || (!lonely && v->is_faint) ||
		    o->bytes + v->plain_size > PLAIN_MAX || o->parts + v->n_more > most_parts)
			continue;
		s->open[i] = true;
		o->bytes += v->plain_size;
		o->parts += v->n_more;
		o->n++;
	}
}

static void place_open(struct side *s)
{
	uint64_t at = 0;

	for (size_t i = 0; i < s->all.n; i++) {
		s->at[i] = at;
		at += s->open[i] ? s->all.v[i].plain_size : 0;
	}
}

/* New streams that the old image does not have packed like this.  What they were made from are
 * probably the old ones that the new image lacks, but not where stale copies stayed in freed
 * blocks, or where two versions are installed side by side. */
static bool open_streams(struct finder *f, uint64_t *bytes_old, uint64_t *bytes_new,
			 struct err *e)
{
	struct side *old = &f->sides[0], *new = &f->sides[1];
	struct opened of_old = { 0 }, of_new = { 0 };

	if (!find_lonely(old, new, e) || !find_lonely(new, old, e))
		return false;
	open_some(new, true, SIZE_MAX, SIZE_MAX, &of_new);
	place_open(new);
	*bytes_new = of_new.bytes;
	if (of_new.n == 0)
		return true;
	open_some(old, true, LIMIT_DELTA_STREAMS, LIMIT_DELTA_PARTS, &of_old);
	open_some(old, false, LIMIT_DELTA_STREAMS, LIMIT_DELTA_PARTS, &of_old);
	place_open(old);
	*bytes_old = of_old.bytes;
	return true;
}

/* ---- mapping ---- */

static bool map_image(const uint8_t **ret, int fd, uint64_t size, struct err *e)
{
	void *p = MAP_FAILED;

	if (size)
		p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
	if (size && p == MAP_FAILED)
		return err_sys(e, errno, "mapping an image");
	*ret = size ? p : NULL;
	return true;
}

/* The old space in one piece: the image, the rest of its last page as zeros, the streams. */
static bool map_old(struct sight *s, int fd, uint64_t stream_bytes, struct err *e)
{
	uint64_t all = space_base_of(s->old_size) + stream_bytes;
	uint8_t *p;

	s->mapped_old = all + 4096; /* never 0 */
	p = mmap(NULL, (size_t)s->mapped_old, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(e, errno, "mapping the old image");
	s->old = p;
	if (s->old_size && mmap(p, (size_t)s->old_size, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
				0) == MAP_FAILED)
		return err_sys(e, errno, "mapping the old image");
	if (stream_bytes &&
	    mmap(p + space_base_of(s->old_size), (size_t)stream_bytes, PROT_READ,
		 MAP_SHARED | MAP_FIXED, s->scratch_fd, 0) == MAP_FAILED)
		return err_sys(e, errno, "mapping unpacked streams");
	return true;
}

/* Empty, for plain bytes of streams here and for what follows them (spool.h). */
static bool scratch_open(struct sight *s, int fd, struct err *e)
{
	s->scratch_fd = fd;
	if (fd < 0) {
		s->scratch_fd = memfd_create("scratch", MFD_CLOEXEC);
		s->scratch_ours = true;
	}
	if (s->scratch_fd < 0 || ftruncate(s->scratch_fd, 0) != 0)
		return err_sys(e, errno, "scratch file");
	return true;
}

static bool scratch_map(struct sight *s, uint64_t bytes, struct err *e)
{
	if (ftruncate(s->scratch_fd, (off_t)bytes) != 0)
		return err_sys(e, errno, "room for unpacked streams");
	s->scratch =
		mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->scratch_fd, 0);
	if (s->scratch == MAP_FAILED) {
		s->scratch = NULL;
		return err_sys(e, errno, "mapping unpacked streams");
	}
	s->scratch_bytes = bytes;
	return true;
}

void sight_drop(const void *p, size_t n)
{
	uintptr_t from = (uintptr_t)p & ~(uintptr_t)4095;
	uintptr_t to = ((uintptr_t)p + n + 4095) & ~(uintptr_t)4095;

	if (n)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

void sight_drop_all(const struct sight *s)
{
	sight_drop(s->old, (size_t)s->mapped_old);
	sight_drop(s->new, (size_t)s->new_size);
	sight_drop(s->scratch, (size_t)s->scratch_bytes);
}

/* ---- unpacking ---- */

struct unpacking {
	const struct finder *finder;
	struct side *side;
	uint8_t *to;
	uint64_t to_bytes;
};

/* Neither side of a stream will be read soon. */
static void drop_stream(const struct unpacking *u, size_t index)
{
	const struct stream *v = &u->side->all.v[index];

	drop_around(u->to, u->to_bytes, u->side->at[index], v->plain_size);
	drop_packed(u->side, v);
}

static bool unpack_stream(void *ctx, size_t index, unsigned thread UNUSED, struct err *e)
{
	const struct unpacking *u = ctx;
	uint8_t *plain = u->to + u->side->at[index];

	if (!u->side->open[index])
		return true;
	if (!unpack(plain, u->side, index, e))
		return false;
	drop_stream(u, index);
	return true;
}

/* A transform that cannot explain what it found leaves the stream raw; other errors count. */
static bool explain(struct side *s, size_t i, const uint8_t *packed, const uint8_t *plain,
		    struct err *e)
{
	const struct stream *v = &s->all.v[i];
	bool ok = false;

	buf_init(&s->recipes[i], LIMIT_DELTA_RECIPE);
	if (!transforms[v->transform]->explain(&s->recipes[i], &ok, &s->work[i], packed,
					       v->size, plain, v->plain_size, e) &&
	    e->code != E_TOO_BIG)
		return false;
	s->work[i] += s->recipes[i].n * CODE_RECIPE_STEPS;
	s->open[i] = ok;
	return true;
}

/* The same for one in parts, which are put together first. */
static bool explain_parts(struct side *s, size_t i, const uint8_t *plain, struct err *e)
{
	const struct stream *v = &s->all.v[i];
	uint8_t *packed = malloc(v->size);
	bool ok;

	if (!packed)
		return err_nomem(e);
	ok = stream_gather(&s->all, v, 0, packed, v->size, image_copy, s, e) &&
	     explain(s, i, packed, plain, e);
	free(packed);
	return ok;
}

static bool explain_stream(void *ctx, size_t index, unsigned thread, struct err *e)
{
	const struct unpacking *u = ctx;
	struct side *s = u->side;
	const struct stream *v = &s->all.v[index];
	const uint8_t *plain = u->to + s->at[index];

	if (!s->open[index])
		return true;
	if (!unpack_stream(ctx, index, thread, e))
		return false;
	if (!(v->n_more ? explain_parts(s, index, plain, e)
			: explain(s, index, s->image + v->offset, plain, e)))
		return false;
	drop_stream(u, index);
	return true;
}

static bool unpack_progress(void *ctx, size_t done UNUSED)
{
	const struct unpacking *u = ctx;

	return still_wanted(u->finder);
}

static bool for_streams(const struct finder *f, struct side *s, uint8_t *to, uint64_t to_bytes,
			bool (*run)(void *, size_t, unsigned, struct err *), struct err *e)
{
	struct unpacking u = { .finder = f, .side = s, .to = to, .to_bytes = to_bytes };
	struct tasks t = { .n = s->all.n,
			   .threads = f->job->threads,
			   .run = run,
			   .progress = unpack_progress,
			   .ctx = &u };

	return tasks_run(&t, e);
}

/* Who applies the delta does so much work at most; half of it, as streams may be coded in two frames. */
static void close_beyond_work(struct side *s)
{
	uint64_t left = LIMIT_DELTA_WORK / 2;

	for (size_t i = 0; i < s->all.n; i++) {
		if (s->open[i] && s->work[i] > left)
			s->open[i] = false;
		else if (s->open[i])
			left -= s->work[i];
	}
}

/* Faint old streams help faint new ones; without these they only offer more places to choose from. */
static void close_faint(struct side *old, const struct side *new)
{
	for (size_t i = 0; i < new->all.n; i++)
		if (new->open[i] && new->all.v[i].is_faint)
			return;
	for (size_t i = 0; i < old->all.n; i++)
		old->open[i] &= !old->all.v[i].is_faint;
	place_open(old);
}

static bool is_any_open(const struct side *s)
{
	for (size_t i = 0; i < s->all.n; i++)
		if (s->open[i])
			return true;
	return false;
}

/* Plain bytes of both sides into the scratch file; new streams without a recipe are closed. */
static bool unpack_all(struct sight *s, struct finder *f, uint64_t bytes_old,
		       uint64_t bytes_new, struct err *e)
{
	struct side *old = &f->sides[0], *new = &f->sides[1];

	if (!scratch_map(s, bytes_old + bytes_new, e))
		return false;
	s->scratch_new = s->scratch + bytes_old;
	if (!for_streams(f, new, s->scratch_new, bytes_new, explain_stream, e))
		return false;
	close_beyond_work(new);
	close_faint(old, new);
	if (is_any_open(new))
		return for_streams(f, old, s->scratch, bytes_old, unpack_stream, e);
	memset(old->open, 0, old->all.n * sizeof(*old->open));
	return true;
}

static bool old_table(struct sight *s, const struct side *old, int fd, struct err *e)
{
	CLEANUP(streams_done) struct streams t = { 0 };

	for (size_t i = 0; i < old->all.n; i++)
		if (old->open[i] && !streams_copy(&t, &old->all, i, e))
			return false;
	return space_init(&s->space, fd, s->old_size, &t, e);
}

static bool read_layout(const struct finder *f, struct side *s, struct err *e)
{
	s->layout = layout_start(s->size);
	for (uint64_t from = 0, to; from < s->size; from = to) {
		to = s->size - from < FIND_PART ? s->size : from + FIND_PART;
		if (!layout_read(&s->layout, s->image, s->size, from, to, e))
			return false;
		sight_drop(s->image + from, to - from);
		if (!still_wanted(f))
			return err_set(e, E_CANCELLED, "cancelled");
	}
	layout_sort(&s->layout);
	return true;
}

static bool find_all(struct finder *f, unsigned threads, struct err *e)
{
	struct tasks know = {
		.threads = threads, .run = know_part, .progress = find_progress, .ctx = f
	};
	struct tasks find = {
		.threads = threads, .run = find_part, .progress = find_progress, .ctx = f
	};

	for (unsigned k = 0; k < 2; k++) {
		struct side *s = &f->sides[k];
		size_t parts = (size_t)((s->size + FIND_PART - 1) / FIND_PART);

		if (k == 0)
			f->parts_old = parts;
		know.n += parts;
		s->parts = calloc(parts + 1, sizeof(struct streams));
		if (!s->parts)
			return err_nomem(e);
		if (!read_layout(f, s, e) || !known_init(&s->known, s->size, e))
			return false;
	}
	find.n = know.n;
	return tasks_run(&know, e) && tasks_run(&find, e) && join_parts(&f->sides[0], e) &&
	       join_parts(&f->sides[1], e);
}

static bool see_through(struct sight *s, struct finder *f, const struct delta_job *job,
			struct err *e)
{
	struct tasks hash = { .threads = job->threads, .run = hash_stream, .ctx = f };
	uint64_t bytes_old = 0, bytes_new = 0;

	if (!find_all(f, job->threads, e))
		return false;
	hash.n = f->sides[0].all.n + f->sides[1].all.n;
	if (!tasks_run(&hash, e) || !open_streams(f, &bytes_old, &bytes_new, e))
		return false;
	return !bytes_new || unpack_all(s, f, bytes_old, bytes_new, e);
}

/* The old space and the pieces of the new image, with the streams that were opened. */
static bool lay_out(struct sight *s, const struct finder *f, const struct delta_job *job,
		    struct err *e)
{
	const struct side *side = &f->sides[1];
	const struct sight_streams new = {
		.all = &side->all, .open = side->open, .at = side->at, .recipes = side->recipes
	};
	return old_table(s, &f->sides[0], job->old_fd, e) &&
	       map_old(s, job->old_fd, s->space.end - s->space.base, e) &&
	       sight_pieces(s, &new, e);
}

bool sight_init(struct sight *s, const struct delta_job *job, bool with_streams, struct err *e)
{
	CLEANUP(finder_done) struct finder f = { .job = job };
	const uint8_t *old = NULL;

	*s = (struct sight){ .scratch_fd = -1 };
	if (!scratch_open(s, job->scratch_fd, e) || !fd_size(job->old_fd, &s->old_size, e) ||
	    !fd_size(job->new_fd, &s->new_size, e))
		return false;
	if (s->old_size > LIMIT_DELTA_IMAGE || s->new_size > LIMIT_DELTA_IMAGE)
		return err_set(e, E_TOO_BIG, "images larger than 2^40 bytes");
	if (!map_image(&s->new, job->new_fd, s->new_size, e) ||
	    !map_image(&old, job->old_fd, s->old_size, e))
		return false;
	f.sides[0] = (struct side){ .image = old, .size = s->old_size };
	f.sides[1] = (struct side){ .image = s->new, .size = s->new_size };
	bool ok = (!with_streams || see_through(s, &f, job, e)) && lay_out(s, &f, job, e);
	if (old)
		munmap((void *)old, (size_t)s->old_size);
	s->space.map = s->old;
	return ok;
}

void sight_done(struct sight *s)
{
	if (s->old)
		munmap((void *)s->old, (size_t)s->mapped_old);
	if (s->new)
		munmap((void *)s->new, (size_t)s->new_size);
	if (s->scratch)
		munmap(s->scratch, (size_t)s->scratch_bytes);
	if (s->scratch_ours)
		fd_closep(&s->scratch_fd);
	for (size_t i = 0; i < s->n_pieces; i++)
		buf_done(&s->pieces[i].recipe);
	free(s->pieces);
	free(s->runs);
	space_done(&s->space);
	*s = (struct sight){ .scratch_fd = -1 };
}

const uint8_t *sight_new(const struct sight *s, size_t piece)
{
	const struct sight_piece *q = &s->pieces[piece];

	return q->piece.transform ? s->scratch_new + q->start : s->new + q->piece.offset;
}
