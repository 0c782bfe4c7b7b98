#include "tests/support/delta_draft.h"
#include "base/io.h"

#include <stdlib.h>
#include <string.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

struct draft *draft_new(void)
{
	const struct delta_old *old = delta_old();
	struct draft *d = calloc(1, sizeof(*d));

	must(d != NULL);
	d->image = BUF_INIT(DRAFT_IMAGE);
	d->plain = BUF_INIT(DRAFT_IMAGE);
	d->recipes = BUF_INIT(2 * LIMIT_DELTA_RECIPE);
	d->segment_log = DRAFT_WHOLE;
	memcpy(d->streams, old->streams, sizeof(d->streams));
	memcpy(d->more, old->more, sizeof(d->more));
	return d;
}

void draft_free(struct draft *d)
{
	buf_done(&d->image);
	buf_done(&d->plain);
	buf_done(&d->recipes);
	free(d);
}

/* ---- pieces and commands ---- */

static struct draft_piece *piece_new(struct draft *d)
{
	struct draft_piece *p = &d->pieces[d->n_pieces];

	must(d->n_pieces++ < DRAFT_PIECES);
	*p = (struct draft_piece){ .first_op = d->n_ops,
				   .bytes_at = d->image.n,
				   .begins_frame = d->new_frame || d->n_pieces == 1 };
	d->new_piece = d->new_frame = false;
	return p;
}

/* The one that a command belongs to. */
static struct draft_piece *piece_now(struct draft *d)
{
	struct draft_piece *last = d->n_pieces ? &d->pieces[d->n_pieces - 1] : NULL;
	bool goes_on = last && (d->in_stream || (!last->is.piece.transform &&
						 !last->is.piece.is_kept && !d->new_piece));

	return goes_on ? last : piece_new(d);
}

/* Where the command's bytes go. */
static uint8_t *op_new(struct draft *d, enum op_kind kind, uint64_t from, size_t n)
{
	struct draft_piece *p = piece_now(d);
	struct buf *b = d->in_stream ? &d->plain : &d->image;
	struct err e;
	uint8_t *to = NULL;

	must(d->n_ops < DRAFT_OPS && buf_reserve(b, n, &to, &e));
	buf_commit(b, n);
	d->ops[d->n_ops++] = (struct op){ .kind = kind, .n = n, .from = from };
	p->is.n_ops++;
	if (!d->in_stream)
		p->is.piece.size += n;
	return to;
}

void draft_copy(struct draft *d, uint64_t from, size_t n)
{
	must(from + n <= OLD_SPACE_N);
	memcpy(op_new(d, OP_COPY, from, n), delta_old()->space + from, n);
}

void draft_add_bytes(struct draft *d, uint64_t from, const uint8_t *now, size_t n)
{
	must(from + n <= OLD_SPACE_N);
	memcpy(op_new(d, OP_ADD, from, n), now, n);
}

void draft_add(struct draft *d, uint64_t from, size_t n, size_t every)
{
	uint8_t *p;

	must(from + n <= OLD_SPACE_N);
	p = op_new(d, OP_ADD, from, n);
	memcpy(p, delta_old()->space + from, n);
	for (size_t i = every - 1; i < n; i += every)
		p[i] = (uint8_t)(p[i] + 1 + i % 3);
}

void draft_insert(struct draft *d, const void *p, size_t n)
{
	memcpy(op_new(d, OP_INSERT, 0, n), p, n);
}

void draft_zero(struct draft *d, size_t n)
{
	memset(op_new(d, OP_ZERO, 0, n), 0, n);
}

void draft_piece(struct draft *d)
{
	d->new_piece = true;
}

void draft_frame(struct draft *d)
{
	d->new_frame = d->new_piece = true;
}

/* ---- streams ---- */

void draft_stream(struct draft *d)
{
	struct draft_piece *p = piece_new(d);

	p->is.piece.transform = TRANSFORM_DEFLATE;
	p->bytes_at = d->plain.n;
	d->in_stream = true;
}

static void image_add(struct draft *d, const uint8_t *p, size_t n)
{
	struct err e;

	must(buf_add(&d->image, p, n, &e));
}

/* Cuts the stream in n runs; the last one has what is left. */
static void cut(struct draft *d, struct draft_piece *p, const struct buf *packed,
		const uint32_t *order, uint32_t n)
{
	size_t size = packed->n / n;

	must(n <= DRAFT_RUNS);
	for (uint32_t i = 0; i < n; i++)
		d->runs[i] = (uint32_t)(i + 1 < n ? size : packed->n - i * size);
	p->is.runs = d->runs;
	p->is.piece.n_runs = n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t run = order ? order[i] : i;

		if (i == 0) {
			p->is.out = run;
			p->is.piece.size = d->runs[run];
		} else {
			piece_new(d)->is.piece = (struct piece){ .size = d->runs[run],
								 .is_kept = true,
								 .run = run };
		}
		image_add(d, packed->p + run * size, d->runs[run]);
		if (i + 1 < n)
			draft_insert(d, "between", 7);
	}
}

void draft_stream_end(struct draft *d, const struct recipe *r, const uint32_t *order,
		      uint32_t n)
{
	CLEANUP(buf_done) struct buf packed = BUF_INIT(DRAFT_IMAGE);
	struct draft_piece *p = &d->pieces[d->n_pieces - 1];
	size_t plain_n = d->plain.n - p->bytes_at;
	struct err e;

	d->in_stream = false;
	add_packed(&packed, r, d->plain.p + p->bytes_at, plain_n);
	p->is.piece.plain_size = (uint32_t)plain_n;
	p->recipe_at = d->recipes.n;
	must(recipe_encode(&d->recipes, r, &e));
	p->is.recipe_n = d->recipes.n - p->recipe_at;
	if (n > 1) {
		cut(d, p, &packed, order, n);
		return;
	}
	p->is.piece.size = packed.n;
	image_add(d, packed.p, packed.n);
}

/* ---- the end ---- */

static struct forge_piece *forge_pieces(struct draft *d)
{
	static struct forge_piece pieces[DRAFT_PIECES];

	for (size_t i = 0; i < d->n_pieces; i++) {
		struct draft_piece *p = &d->pieces[i];

		pieces[i] = p->is;
		pieces[i].ops = d->ops + p->first_op;
		pieces[i].bytes =
			(p->is.piece.transform ? d->plain.p : d->image.p) + p->bytes_at;
		if (!p->is.recipe)
			pieces[i].recipe = d->recipes.p + p->recipe_at;
		pieces[i].bulk = !p->is.piece.transform && (d->bulk || p->is.packed);
		pieces[i].filter = d->filter;
	}
	return pieces;
}

void draft_forge(struct draft *d, struct forge *ret)
{
	const struct forge_piece *v = forge_pieces(d);

	forge_init(ret, delta_old()->space, OLD_SPACE_N, OLD_N, d->image.p, d->image.n,
		   d->segment_log);
	ret->format.is_summed = d->is_summed;
	if (!d->n_streams)
		ret->space_n = OLD_BASE;
	else
		forge_table(ret, d->streams, d->n_streams, d->more, ARRAY_SIZE(d->more));
	for (size_t i = 0, n; i < d->n_pieces; i += n) {
		for (n = 1; i + n < d->n_pieces && !d->pieces[i + n].begins_frame;)
			n++;
		forge_frame(ret, v + i, n);
	}
}

struct buf draft_finish(struct draft *d)
{
	struct forge f;

	draft_forge(d, &f);
	return forge_finish(&f);
}

struct buf draft_encode(struct draft *d, uint64_t old_size, uint64_t mixed_max)
{
	CLEANUP(fd_closep) int old = delta_old_file(old_size);
	CLEANUP(fd_closep) int new = forge_memfile(d->image.p, d->image.n);
	CLEANUP(fd_closep) int out = forge_memfile("", 0);
	const struct delta_job job = { .old_fd = old,
				       .new_fd = new,
				       .out_fd = out,
				       .scratch_fd = -1,
				       .mixed_max = mixed_max };
	struct buf delta = BUF_INIT(LIMIT_DELTA_FRAME);
	struct delta_info info;
	struct err e;
	uint8_t *to = NULL;

	must(delta_create(&job, &info, &e) &&
	     buf_reserve(&delta, (size_t)info.delta_size, &to, &e) &&
	     pread_all(out, to, (size_t)info.delta_size, 0, &e));
	buf_commit(&delta, (size_t)info.delta_size);
	return delta;
}
