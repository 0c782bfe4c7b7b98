/* Applying: frame by frame, piece by piece, command by command, all through one segment's buffer. */
#include "delta/delta.h"
#include "base/io.h"
#include "base/sha256.h"
#include "delta/account.h"
#include "delta/code.h"
#include "delta/fields.h"
#include "delta/format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT = 65536, COPY_PART = 65536 };

struct source { /* a run of the delta's coded bytes */
	int fd;
	uint64_t at, end;
	uint8_t bytes[INPUT];
};

struct delta {
	int fd, old_fd;
	uint64_t size;
	struct format format;
	struct space space;
	struct source source;
	struct models *models;
	/* one frame */
	struct coder coder;
	struct piece *pieces;
	size_t n_pieces, cap_pieces;
	struct op *ops;
	size_t n_ops;
	struct runs runs;
	struct buf recipe;
	uint8_t part[COPY_PART];
	/* output */
	uint8_t *segment;
	size_t segment_size;
	uint64_t at;    /* in the new image */
	uint64_t first; /* nothing before it goes out */
	uint64_t work_left;
	uint64_t kept_bytes;
	bool in_bulk;    /* of this frame's inserts, some came so */
	bool is_summing; /* the image is made for its hashes */
	bool is_blind;   /* they are not known (yet) */
	delta_emit *emit;
	void *ctx;
	void (*told)(void *ctx, uint64_t done, uint64_t total); /* NULL: nobody is */
	void *told_ctx;
	const struct piece *stream; /* whose plain bytes are made, or NULL */
	struct account *account;    /* NULL: nobody asks */
};

static bool source_more(void *ctx, const uint8_t **ret, size_t *ret_n, struct err *e)
{
	struct source *s = ctx;
	uint64_t left = s->end - s->at;
	size_t n = left < INPUT ? (size_t)left : INPUT;

	if (!pread_all(s->fd, s->bytes, n, s->at, e))
		return err_wrap(e, "delta");
	s->at += n;
	*ret = s->bytes;
	*ret_n = n;
	return true;
}

static bool start_coder(struct delta *d, uint64_t offset, uint64_t n, struct err *e)
{
	models_freep(&d->models);
	d->source.fd = d->fd;
	d->source.at = offset;
	d->source.end = offset + n;
	if (!models_new(&d->models, e))
		return false;
	coder_decode_start(&d->coder, source_more, &d->source, e);
	return coder_ok(&d->coder, e);
}

/* ---- opening ---- */

static bool read_format(struct format *ret, int fd, uint64_t *ret_size, struct err *e)
{
	uint8_t first[FORMAT_PEEK];
	uint64_t size, n;

	if (!fd_size(fd, &size, e))
		return err_wrap(e, "delta");
	n = size < FORMAT_PEEK ? size : FORMAT_PEEK;
	if (!pread_all(fd, first, (size_t)n, 0, e) ||
	    !format_peek(&n, first, (size_t)n, size, e))
		return false;
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_DELTA_HEAD);
	uint8_t *p;
	if (!buf_reserve(&b, (size_t)n, &p, e) || !pread_all(fd, p, (size_t)n, 0, e))
		return false;
	*ret_size = size;
	return format_parse(ret, p, (size_t)n, size, e);
}

static bool read_table(struct delta *d, struct err *e)
{
	const struct format *f = &d->format;
	CLEANUP(streams_done) struct streams streams = { 0 };

	if (f->n_old_streams &&
	    (!start_coder(d, f->table_offset, f->table_coded, e) ||
	     !code_table(&d->coder, d->models, &streams, f->n_old_streams, f->old_size, e)))
		return err_wrap(e, "table");
	return space_init(&d->space, d->old_fd, f->old_size, &streams, e);
}

static bool open_all(struct delta *d, struct err *e)
{
	uint64_t old_size;

	if (!read_format(&d->format, d->fd, &d->size, e))
		return false;
	if (!fd_size(d->old_fd, &old_size, e))
		return err_wrap(e, "old image");
	if (old_size != d->format.old_size)
		return err_set(e, E_CORRUPT,
			       "the old image has %" PRIu64 " bytes, the delta is for %" PRIu64,
			       old_size, d->format.old_size);
	d->segment_size = (size_t)1 << d->format.segment_log;
	d->segment = malloc(d->segment_size);
	d->ops = reallocarray(NULL, LIMIT_DELTA_OPS, sizeof(*d->ops));
	if (!d->segment || !d->ops)
		return err_nomem(e);
	return read_table(d, e);
}

static bool make(struct delta *d, struct err *e);

/* What the delta has only the sum of. */
static bool bring_hashes(struct delta *d, struct err *e)
{
	uint8_t sum[DELTA_HASH_SIZE];

	d->is_summing = true;
	if (!make(d, e))
		return false;
	d->is_summing = false;
	format_sum(sum, &d->format);
	d->is_blind = memcmp(sum, d->format.sum, sizeof(sum)) != 0;
	if (d->is_blind)
		return err_set(e, E_CORRUPT,
			       "the image comes out wrong: another old image, or damage");
	return true;
}

bool delta_open_unverified(struct delta **ret, int delta_fd, int old_fd, struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem(e);
	d->fd = delta_fd;
	d->old_fd = old_fd;
	buf_init(&d->recipe, LIMIT_DELTA_RECIPE);
	if (!open_all(d, e))
		return false;
	d->is_blind = d->format.is_summed;
	*ret = TAKE(d);
	return true;
}

bool delta_open_told(struct delta **ret, int delta_fd, int old_fd,
		     void (*told)(void *ctx, uint64_t done, uint64_t total), void *ctx,
		     struct err *e)
{
	CLEANUP(delta_freep) struct delta *d = NULL;

	if (!delta_open_unverified(&d, delta_fd, old_fd, e))
		return false;
	d->told = told;
	d->told_ctx = ctx;
	if (d->is_blind && !bring_hashes(d, e))
		return false;
	*ret = TAKE(d);
	return true;
}

bool delta_open(struct delta **ret, int delta_fd, int old_fd, struct err *e)
{
	return delta_open_told(ret, delta_fd, old_fd, NULL, NULL, e);
}

void delta_free(struct delta *d)
{
	if (!d)
		return;
	format_done(&d->format);
	space_done(&d->space);
	models_free(d->models);
	buf_done(&d->recipe);
	runs_done(&d->runs);
	free(d->pieces);
	free(d->ops);
	free(d->segment);
	free(d);
}

static void describe(struct delta_info *ret, const struct format *f, uint64_t size)
{
	*ret = (struct delta_info){
		.old_size = f->old_size,
		.new_size = f->new_size,
		.delta_size = size,
		.segment_bytes = UINT32_C(1) << f->segment_log,
		.frames = f->n_frames,
		.segments = (uint32_t)format_segments(f),
		.streams_old = f->n_old_streams,
		.streams_new = f->n_new_streams,
	};
	for (uint32_t i = 0; i < f->n_frames; i++)
		ret->ops += f->frames[i].ops;
	for (unsigned i = 0; i < DELTA_KINDS; i++)
		ret->spent_bytes[i] = (uint64_t)f->spent[i] * FORMAT_SPENT_UNIT;
}

void delta_describe(const struct delta *d, struct delta_info *ret)
{
	describe(ret, &d->format, d->size);
}

bool delta_look(struct delta_info *ret, int delta_fd, struct err *e)
{
	CLEANUP(format_done) struct format f = { 0 };
	uint64_t size = 0;

	if (!read_format(&f, delta_fd, &size, e))
		return false;
	describe(ret, &f, size);
	return true;
}

/* ---- output ---- */

/* As the delta has it, or will have. */
static uint8_t *hash_of(const struct delta *d, uint64_t offset)
{
	return d->format.hashes[offset >> d->format.segment_log];
}

bool delta_has(const struct delta *d, uint64_t offset, const uint8_t *p, size_t n)
{
	uint8_t hash[SHA256_SIZE];

	sha256(hash, p, n);
	return memcmp(hash, hash_of(d, offset), DELTA_HASH_SIZE) == 0;
}

static void tell(const struct delta *d, uint64_t done)
{
	if (d->told)
		d->told(d->told_ctx, done, d->format.new_size);
}

static void segment_sum(struct delta *d, uint64_t offset, const uint8_t *p, size_t n)
{
	uint8_t hash[SHA256_SIZE];

	sha256(hash, p, n);
	memcpy(hash_of(d, offset), hash, DELTA_HASH_SIZE);
	tell(d, offset + n);
}

static bool segment_out(struct delta *d, size_t n, struct err *e)
{
	uint64_t begin = d->at - n;

	if (begin < d->first)
		return true;
	if (d->is_summing) {
		segment_sum(d, begin, d->segment, n);
		return true;
	}
	if (!d->is_blind && !delta_has(d, begin, d->segment, n))
		return err_set(e, E_CORRUPT,
			       "segment %" PRIu64
			       " comes out wrong: another old image, or damage",
			       begin >> d->format.segment_log);
	return d->emit(d->ctx, begin, d->segment, n, e);
}

/* Where the next output goes, and how much fits there. */
static uint8_t *output_room(struct delta *d, size_t *ret_n)
{
	size_t filled = (size_t)(d->at & (d->segment_size - 1));

	*ret_n = d->segment_size - filled;
	return d->segment + filled;
}

static bool output_filled(struct delta *d, size_t n, struct err *e)
{
	size_t filled;

	d->at += n;
	filled = (size_t)(d->at & (d->segment_size - 1));
	if (filled == 0 || d->at == d->format.new_size)
		return segment_out(d, filled ? filled : d->segment_size, e);
	return true;
}

static bool output(struct delta *d, const uint8_t *p, size_t n, struct err *e)
{
	while (n) {
		size_t room, part;
		uint8_t *to = output_room(d, &room);

		part = n < room ? n : room;
		memcpy(to, p, part);
		if (!output_filled(d, part, e))
			return false;
		p += part;
		n -= part;
	}
	return true;
}

/* What else needs memory; the cache of old streams has as much less: bytes of new ones that wait for their place, and
 * the dictionary of inserts in bulk. */
static void keep(struct delta *d, uint64_t bytes, bool in_bulk)
{
	d->kept_bytes = bytes;
	d->in_bulk = in_bulk;
	space_lend(&d->space, bytes + (in_bulk ? LIMIT_DELTA_LENT : 0));
}

/* ---- what it costs ---- */

/* How far in the delta the coder is. */
static uint64_t coded_at(const struct delta *d)
{
	return d->source.at - (uint64_t)(d->coder.in_end - d->coder.in);
}

/* Where a stream's first byte lies, if this frame knows. */
static uint64_t stream_begin(const struct delta *d, const struct piece *p)
{
	uint32_t first = p->n_runs ? d->runs.v[p->run].piece : RUN_DROPPED;

	return first == RUN_DROPPED ? p->offset : d->pieces[first].offset;
}

/* n bytes were decoded, which go `ahead` bytes behind the next one, or into the stream that is made. */
static void account(struct delta *d, size_t ahead, size_t n)
{
	if (d->account && d->stream)
		account_add(d->account, SPENT_PLAIN, stream_begin(d, d->stream), n,
			    coded_at(d));
	else if (d->account)
		account_add(d->account, SPENT_RAW, d->at + ahead, n, coded_at(d));
}

/* ---- one frame's head ---- */

static bool pieces_add(struct delta *d, const struct piece *p, struct err *e)
{
	if (d->n_pieces == d->cap_pieces) {
		size_t cap = d->cap_pieces ? 2 * d->cap_pieces : 64;
		struct piece *v = reallocarray(d->pieces, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		d->pieces = v;
		d->cap_pieces = cap;
	}
	d->pieces[d->n_pieces++] = *p;
	return true;
}

static bool read_ops(struct delta *d, struct piece *p, uint64_t address, uint32_t most,
		     struct err *e)
{
	uint64_t total = piece_bytes(p), at = 0;

	p->first_op = (uint32_t)d->n_ops;
	while (at < total) {
		struct op op = { 0 };

		if (d->n_ops == most)
			return err_set(e, E_CORRUPT, "more commands than announced");
		if (!code_op(&d->coder, d->models, &op, p->transform != 0, at, total, address,
			     d->space.end, e))
			return false;
		d->ops[d->n_ops++] = op;
		at += op.n;
	}
	p->ops = (uint32_t)(d->n_ops - p->first_op);
	return true;
}

static bool read_frame_head(struct delta *d, const struct format_frame *f, struct err *e)
{
	uint64_t at = f->first, end = f->first + f->bytes, streams = 0;

	d->n_pieces = d->n_ops = 0;
	runs_reset(&d->runs);
	keep(d, 0, false);
	while (at < end) {
		struct piece p = { .offset = at };

		if (!code_piece(&d->coder, d->models, &p, (uint32_t)d->n_pieces, &d->runs,
				end - at, e) ||
		    !read_ops(d, &p, fields_address(&p, streams), f->ops, e) ||
		    !pieces_add(d, &p, e))
			return false;
		at += p.size;
		streams += p.plain_size;
	}
	if (d->n_ops != f->ops)
		return err_set(e, E_CORRUPT, "fewer commands than announced");
	return code_remember(d->models, d->space.streams.n, d->n_ops, e) &&
	       code_body_start(d->models, d->pieces, d->n_pieces, d->ops, d->n_ops, e);
}

/* ---- one frame's body ---- */

static bool do_insert(struct delta *d, uint64_t address, uint8_t *to, size_t n, struct err *e)
{
	for (size_t at = 0; at < n; at += CODE_BLOCK) {
		size_t part = n - at < CODE_BLOCK ? n - at : CODE_BLOCK;

		code_insert(&d->coder, d->models, to + at, address + at, part);
		account(d, at, part);
	}
	return coder_ok(&d->coder, e);
}

static bool do_copy(struct delta *d, uint64_t from, uint8_t *to, size_t n, struct err *e)
{
	if (!space_read(&d->space, from, to, n, e))
		return false;
	code_passed(d->models, to, n);
	return true;
}

static bool do_zero(struct delta *d, uint8_t *to, size_t n)
{
	memset(to, 0, n);
	code_passed(d->models, to, n);
	return true;
}

/* n <= COPY_PART - CODE_BEFORE - CODE_AFTER, and only the last part of a command is no multiple of
 * CODE_BLOCK. */
static bool do_add(struct delta *d, uint64_t from, uint64_t address, uint8_t *to, size_t n,
		   struct err *e)
{
	size_t before = from < CODE_BEFORE ? (size_t)from : CODE_BEFORE;

	memset(d->part, 0, CODE_BEFORE - before);
	if (!space_read(&d->space, from - before, d->part + CODE_BEFORE - before,
			before + n + CODE_AFTER, e))
		return false;
	for (size_t at = 0; at < n; at += CODE_BLOCK) {
		size_t part = n - at < CODE_BLOCK ? n - at : CODE_BLOCK;

		code_add(&d->coder, d->models, d->part + CODE_BEFORE + at, from + at, to + at,
			 address + at, part);
		account(d, at, part);
	}
	return coder_ok(&d->coder, e);
}

static bool do_part(struct delta *d, const struct op *op, uint64_t done, uint64_t address,
		    uint8_t *to, size_t n, struct err *e)
{
	if (op->kind == OP_INSERT)
		return do_insert(d, address + done, to, n, e);
	if (op->kind == OP_COPY)
		return do_copy(d, op->from + done, to, n, e);
	if (op->kind == OP_ADD)
		return do_add(d, op->from + done, address + done, to, n, e);
	return do_zero(d, to, n);
}

/* A copy that only leads up to the first segment wanted needs not be read. */
static bool skip_copy(struct delta *d, const struct op *op, uint64_t *done, struct err *e)
{
	enum { CONTEXT = 8 };
	uint64_t n = op->n - *done;

	if ((op->kind != OP_COPY && op->kind != OP_ZERO) || d->at >= d->first)
		return true;
	if (n > d->first - d->at)
		n = d->first - d->at;
	n &= ~(uint64_t)(CODE_BLOCK - 1);
	if (op->kind == OP_COPY && n >= CONTEXT) {
		uint8_t last[CONTEXT];

		if (!space_read(&d->space, op->from + *done + n - CONTEXT, last, CONTEXT, e))
			return false;
		code_passed(d->models, last, CONTEXT);
	} else if (n >= CONTEXT) {
		static const uint8_t zeros[CONTEXT];

		code_passed(d->models, zeros, CONTEXT);
	}
	d->at += n;
	*done += n;
	return true;
}

enum { PART = COPY_PART - 4096 }; /* a multiple of CODE_BLOCK */

/* Commands of a raw piece write into the segment, in parts that need not end where a block does:
 * what straddles two segments goes through a block of its own. */
static bool do_raw_op(struct delta *d, const struct op *op, uint64_t address, struct err *e)
{
	uint64_t done = 0;

	if (!skip_copy(d, op, &done, e))
		return false;
	while (done < op->n) {
		uint8_t block[CODE_BLOCK];
		size_t room, n = op->n - done < PART ? (size_t)(op->n - done) : PART;
		uint8_t *to = output_room(d, &room);
		bool straddles = room < CODE_BLOCK && n > room;

		if (straddles)
			to = block, n = n < CODE_BLOCK ? n : CODE_BLOCK;
		else if (n > room)
			n = room & ~(size_t)(CODE_BLOCK - 1);
		if (!do_part(d, op, done, address, to, n, e))
			return false;
		if (!(straddles ? output(d, block, n, e) : output_filled(d, n, e)))
			return false;
		done += n;
	}
	return true;
}

static bool bulk_parts(struct delta *d, const struct op *op, uint8_t *bytes, struct err *e)
{
	for (uint64_t done = 0; done < op->n; done += CODE_BULK_MAX) {
		size_t n =
			op->n - done < CODE_BULK_MAX ? (size_t)(op->n - done) : CODE_BULK_MAX;

		if (!code_bulk(&d->coder, d->models, bytes, n, e))
			return false;
		account(d, 0, n);
		if (!output(d, bytes, n, e))
			return false;
	}
	return true;
}

static bool do_bulk(struct delta *d, const struct op *op, struct err *e)
{
	uint8_t *bytes = malloc(op->n < CODE_BULK_MAX ? op->n : CODE_BULK_MAX);

	if (!d->in_bulk)
		keep(d, d->kept_bytes, true);
	bool ok = bytes ? bulk_parts(d, op, bytes, e) : err_nomem(e);

	free(bytes);
	return ok;
}

static bool do_raw(struct delta *d, const struct piece *p, uint64_t address, struct err *e)
{
	for (uint32_t i = 0; i < p->ops; i++) {
		const struct op *op = &d->ops[p->first_op + i];

		if (op->kind == OP_ADD)
			code_add_start(d->models, op, address);
		if (!(code_is_bulk(&d->coder, d->models, op, false)
			      ? do_bulk(d, op, e)
			      : do_raw_op(d, op, address, e)))
			return false;
		address += op->n;
	}
	return true;
}

/* A stream's packed bytes on their way out. */
struct packed_in {
	struct delta *d;
	const struct piece *piece;
	struct run *run;    /* NULL: the stream is in one part */
	uint64_t left;      /* bytes of it that did not come yet */
	uint64_t done;      /* of all */
	uint32_t runs_left; /* behind it */
};

static bool run_keep(struct delta *d, struct run *r, size_t at, const uint8_t *p, size_t n,
		     struct err *e)
{
	if (!r->bytes) {
		if (d->kept_bytes + r->size > LIMIT_DELTA_KEPT)
			return err_set(e, E_CORRUPT, "too much is kept for later");
		r->bytes = malloc(r->size);
		if (!r->bytes)
			return err_nomem(e);
		keep(d, d->kept_bytes + r->size, d->in_bulk);
	}
	memcpy(r->bytes + at, p, n);
	return true;
}

/* Bytes of one run: out, kept, or dropped. */
static bool run_put(const struct packed_in *in, const uint8_t *p, size_t n, struct err *e)
{
	struct delta *d = in->d;
	struct run *r = in->run;

	if (!r || d->pieces + r->piece == in->piece)
		return output(d, p, n, e);
	return r->piece == RUN_DROPPED || run_keep(d, r, r->size - (size_t)in->left, p, n, e);
}

static bool packed_put(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct packed_in *in = ctx;

	while (n) {
		size_t part = n < in->left ? n : (size_t)in->left;

		if (part == 0)
			return err_set(e, E_CORRUPT, "a stream packs to more than announced");
		if (!run_put(in, p, part, e))
			return false;
		p += part;
		n -= part;
		in->left -= part;
		in->done += part;
		if (in->left == 0 && in->runs_left) {
			in->runs_left--;
			in->left = (++in->run)->size;
		}
	}
	return true;
}

/* The plain bytes of a stream, command by command. */
struct stream_in {
	struct delta *d;
	const struct op *op;
	uint64_t done, address; /* of the command; of the next byte */
};

static bool stream_read(void *ctx, uint8_t *p, size_t room, size_t *ret_n, struct err *e)
{
	struct stream_in *in = ctx;
	const struct op *op = in->op;
	uint64_t n = op->n - in->done;

	if (room > PART)
		room = PART;
	if (n > room)
		n = room & ~(size_t)(CODE_BLOCK - 1);
	if (op->kind == OP_ADD && in->done == 0)
		code_add_start(in->d->models, op, in->address);
	if (!do_part(in->d, op, in->done, in->address - in->done, p, (size_t)n, e))
		return false;
	in->address += n;
	in->done += n;
	if (in->done == op->n) {
		in->op++;
		in->done = 0;
	}
	*ret_n = (size_t)n;
	return true;
}

/* A stream before what is wanted is decoded only. */
static bool skip_stream(struct delta *d, const struct piece *p, const struct plain *from,
			struct err *e)
{
	uint8_t block[CODE_BLOCK];
	size_t n;

	for (uint32_t done = 0; done < p->plain_size; done += (uint32_t)n)
		if (!from->read(from->ctx, block, sizeof(block), &n, e))
			return false;
	d->at += p->size;
	return true;
}

/* Behind the last byte of the image that comes from it. */
static uint64_t stream_end(const struct delta *d, const struct piece *p)
{
	uint64_t end = p->offset + p->size;

	for (uint32_t i = 0; i < p->n_runs; i++) {
		const struct run *r = &d->runs.v[p->run + i];

		if (r->piece != RUN_DROPPED &&
		    d->pieces[r->piece].offset + d->pieces[r->piece].size > end)
			end = d->pieces[r->piece].offset + d->pieces[r->piece].size;
	}
	return end;
}

static bool do_stream(struct delta *d, const struct piece *p, uint64_t address, struct err *e)
{
	struct packed_in out = { .d = d, .piece = p, .left = p->size };
	struct packer to = { .put = packed_put, .ctx = &out, .work = &d->work_left };
	struct stream_in in = { .d = d, .op = d->ops + p->first_op, .address = address };
	struct plain from = { .read = stream_read, .ctx = &in, .size = p->plain_size };

	uint64_t begin = coded_at(d);

	buf_reset(&d->recipe);
	if (!code_recipe(&d->coder, d->models, &d->recipe, &d->work_left, e))
		return false;
	if (d->account)
		account_add(d->account, SPENT_RECIPE, stream_begin(d, p), 0, coded_at(d));
	if (stream_end(d, p) <= d->first)
		return skip_stream(d, p, &from, e);
	if (p->n_runs) {
		out.run = &d->runs.v[p->run];
		out.left = out.run->size;
		out.runs_left = p->n_runs - 1;
	}
	if (!transforms[p->transform]->pack(&to, d->recipe.p, d->recipe.n, &from, e))
		return false;
	if (out.left)
		return err_set(e, E_CORRUPT, "a stream packs to less than announced");
	if (d->account)
		account_stream(d->account, d->recipe.p, d->recipe.n, out.done, p->plain_size,
			       coded_at(d) - begin);
	return true;
}

/* A run of a stream before. */
static bool do_kept(struct delta *d, const struct piece *p, struct err *e)
{
	struct run *r = &d->runs.v[p->run];

	if (!r->bytes) { /* the stream was skipped, and so is this */
		d->at += p->size;
		return true;
	}
	if (!output(d, r->bytes, r->size, e))
		return false;
	free(r->bytes);
	r->bytes = NULL;
	keep(d, d->kept_bytes - r->size, d->in_bulk);
	return true;
}

static bool do_piece(struct delta *d, const struct piece *p, uint64_t address, struct err *e)
{
	d->stream = p->transform ? p : NULL;
	if (p->is_kept)
		return do_kept(d, p, e);
	return p->transform ? do_stream(d, p, address, e) : do_raw(d, p, address, e);
}

static bool do_frame(struct delta *d, const struct format_frame *f, struct err *e)
{
	uint64_t streams = 0;

	if (!start_coder(d, f->coded_offset, f->coded, e) || !read_frame_head(d, f, e))
		return false;
	if (d->account)
		account_commands(d->account, coded_at(d));
	d->at = f->first;
	for (size_t i = 0; i < d->n_pieces; i++) {
		const struct piece *p = &d->pieces[i];

		if (!do_piece(d, p, fields_address(p, streams), e))
			return false;
		streams += p->plain_size;
	}
	if (!coder_ended(&d->coder))
		return err_set(e, E_CORRUPT, "coded bytes are left over");
	if (d->account)
		account_commands(d->account, f->coded_offset + f->coded);
	return true;
}

/* The segment in which wanted output begins may begin in an earlier frame; `first` is a
 * segment's beginning, so the frame that holds it is the first that counts. */
static bool make(struct delta *d, struct err *e)
{
	const struct format *f = &d->format;

	d->work_left = LIMIT_DELTA_WORK;
	d->space.steps_left = space_steps(f->new_size);
	for (uint32_t i = 0; i < f->n_frames; i++) {
		const struct format_frame *frame = &f->frames[i];

		if (frame->first + frame->bytes <= d->first)
			continue;
		if (!do_frame(d, frame, e))
			return err_wrap(e, "frame %" PRIu32, i);
	}
	return true;
}

bool delta_apply(struct delta *d, uint64_t first_offset, delta_emit *emit, void *ctx,
		 struct err *e)
{
	if (first_offset % d->segment_size || first_offset > d->format.new_size)
		return err_set(e, E_USAGE, "segments begin at multiples of %zu",
			       d->segment_size);
	d->first = first_offset;
	d->emit = emit;
	d->ctx = ctx;
	return make(d, e);
}

struct accounting {
	const struct delta *d;
	int image_fd;
};

static bool emit_to_file(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	const struct accounting *a = ctx;

	tell(a->d, offset + n);
	return pwrite_all(a->image_fd, p, n, offset, e);
}

bool delta_account(struct delta *d, int image_fd, struct delta_account *ret, struct err *e)
{
	const struct format *f = &d->format;
	struct accounting to = { .d = d, .image_fd = image_fd };
	CLEANUP(account_done)
	struct account a = account_begin(f->n_frames ? f->frames[0].coded_offset : d->size);

	d->account = &a;
	bool ok = delta_apply(d, 0, emit_to_file, &to, e);
	d->account = NULL;
	return ok && account_end(&a, image_fd, f->new_size, ret, e);
}
