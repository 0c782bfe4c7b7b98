#include "tests/support/forge.h"
#include "base/bytes.h"
#include "base/io.h"
#include "base/sha256.h"
#include "delta/fields.h"
#include "delta/models.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { TABLE_MAX = 1 << 24 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

int forge_memfile(const void *p, size_t n)
{
	int fd = memfd_create("forge", MFD_CLOEXEC);
	struct err e;

	must(fd >= 0 && pwrite_all(fd, p, n, 0, &e));
	return fd;
}

void forge_init(struct forge *f, const void *space, uint64_t space_n, uint64_t old_size,
		const void *new, uint64_t new_n, unsigned segment_log)
{
	*f = (struct forge){ .space = space,
			     .space_n = space_n,
			     .new = new,
			     .new_n = new_n,
			     .format = { .old_size = old_size,
					 .new_size = new_n,
					 .segment_log = segment_log },
			     .table = BUF_INIT(TABLE_MAX),
			     .coded = BUF_INIT(LIMIT_DELTA_FRAME) };
}

void forge_table(struct forge *f, const struct stream *v, size_t n, const struct extent *more,
		 size_t n_more)
{
	struct streams streams = {
		.v = (struct stream *)v, .n = n, .more = (struct extent *)more, .n_more = n_more
	};
	struct models *m = NULL;
	struct coder c;
	struct err e;

	must(models_new(&m, &e));
	coder_encode_start(&c, &f->table, &e);
	(void)!code_table(&c, m, &streams, (uint32_t)n, f->format.old_size, &e);
	coder_encode_end(&c);
	must(!c.failed);
	models_free(m);
	f->format.n_old_streams = (uint32_t)n;
	f->format.table_coded = (uint32_t)f->table.n;
}

/* False after a lie: no decoder comes to what stands behind it. */
static bool code_heads(struct forge *f, struct coder *c, struct models *m, struct piece *p,
		       uint32_t index, struct runs *runs, const struct forge_piece *like,
		       struct op *ops, uint64_t address, uint64_t left)
{
	uint64_t at = 0, total = piece_bytes(p);
	struct err e;

	if (!code_piece(c, m, p, index, runs, left, &e))
		return false;
	for (size_t i = 0; i < like->n_ops; i++) {
		ops[i] = like->ops[i];
		if (!code_op(c, m, &ops[i], p->transform != 0, at, total, address, f->space_n,
			     &e))
			return false;
		at += ops[i].n;
	}
	return true;
}

/* Old bytes with their neighbours; zeros outside. */
static void old_around(const struct forge *f, uint64_t from, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t at = from + i - CODE_BEFORE;

		to[i] = at < f->space_n ? f->space[at] : 0;
	}
}

static void code_bytes(struct forge *f, struct coder *c, struct models *m, const struct op *op,
		       const uint8_t *p, uint64_t address, bool bulk)
{
	size_t step = bulk ? CODE_BULK_MAX : CODE_BLOCK;
	uint8_t *block = malloc(step);
	struct err e;

	must(block != NULL);
	if (op->kind == OP_ADD)
		code_add_start(m, op, address);
	for (uint64_t at = 0; at < op->n; at += step) {
		uint8_t old[CODE_BEFORE + CODE_BLOCK + CODE_AFTER];
		size_t n = op->n - at < step ? (size_t)(op->n - at) : step;

		memcpy(block, p + at, n);
		if (op->kind == OP_ADD) {
			old_around(f, op->from + at, old, CODE_BEFORE + n + CODE_AFTER);
			code_add(c, m, old + CODE_BEFORE, op->from + at, block, address + at,
				 n);
		} else if (bulk) {
			must(code_bulk(c, m, block, n, &e));
		} else if (op->kind == OP_INSERT) {
			code_insert(c, m, block, address + at, n);
		} else {
			code_passed(m, block, n);
		}
	}
	free(block);
}

static void code_packed(struct coder *c, struct models *m, const struct forge_piece *like)
{
	const uint8_t *p = like->packed;

	coder_number(c, &m->bulk.filter, like->filter);
	coder_number(c, &m->bulk.size, like->packed_said);
	for (size_t i = 0; i < like->packed_n; i++)
		coder_plain(c, p[i]);
}

static void code_body(struct forge *f, struct coder *c, struct models *m, const struct piece *p,
		      const struct forge_piece *like, const struct op *ops, uint64_t address)
{
	const uint8_t *bytes = like->bytes ? like->bytes : f->new + p->offset;
	struct err e;

	if (like->head_only)
		return;
	if (p->transform) {
		struct buf recipe = { .p = (uint8_t *)(uintptr_t)like->recipe,
				      .n = like->recipe_n };

		(void)!code_recipe(c, m, &recipe, NULL, &e);
	}
	for (size_t i = 0; i < like->n_ops; i++) {
		bool bulk = !p->transform && code_is_bulk(c, m, &ops[i], like->bulk);

		if (bulk && like->packed) {
			code_packed(c, m, like);
			return;
		}
		code_bytes(f, c, m, &ops[i], bytes, address, bulk);
		bytes += ops[i].n;
		address += ops[i].n;
	}
}

/* What the inserts in bulk of all pieces become. */
static void pack_bulk(const struct forge *f, struct models *m, const struct piece *p,
		      const struct forge_piece *like, size_t n)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	struct buf out = BUF_INIT(LIMIT_DELTA_FRAME);
	struct err e;

	must(lzma2_enc_new(&z, like->filter, 6, &e));
	for (size_t i = 0; i < n; i++) {
		const uint8_t *bytes = like[i].bytes ? like[i].bytes : f->new + p[i].offset;

		for (size_t k = 0; like[i].bulk && k < like[i].n_ops; k++) {
			const struct op *op = &like[i].ops[k];

			if (op->kind == OP_INSERT && op->n >= CODE_BULK_MIN)
				must(lzma2_encode(z, &out, bytes, op->n, &e));
			bytes += op->n;
		}
	}
	must(lzma2_encode_end(z, &out, &e));
	code_bulk_stream(m, like->filter, &out);
}

static void add_frame(struct forge *f, const struct format_frame *frame)
{
	uint32_t n = f->format.n_frames++;

	f->format.frames = reallocarray(f->format.frames, n + 1, sizeof(*frame));
	must(f->format.frames != NULL);
	f->format.frames[n] = *frame;
}

/* The runs of all pieces, none coded yet. */
static struct runs forge_runs(const struct forge_piece *pieces, size_t n)
{
	struct runs r = { 0 };
	struct err e;

	for (size_t i = 0; i < n; i++) {
		uint32_t n_runs = pieces[i].piece.n_runs;

		/* What is to come out may be none of them. */
		if (n_runs && pieces[i].out >= n_runs)
			n_runs = pieces[i].out + 1;
		must(runs_room(&r, n_runs, &e));
		for (uint32_t k = 0; k < n_runs; k++)
			r.v[r.n++] = (struct run){
				.size = k < pieces[i].piece.n_runs ? pieces[i].runs[k] : 0,
				.piece = k == pieces[i].out ? (uint32_t)i : RUN_DROPPED
			};
	}
	r.n = 0;
	return r;
}

void forge_frame(struct forge *f, const struct forge_piece *pieces, size_t n)
{
	struct format_frame frame = { .coded_offset = f->coded.n }, *last;
	struct piece *p = calloc(n, sizeof(*p));
	struct op *ops = NULL;
	uint64_t left = 0, streams = 0;
	bool honest = true;
	struct runs runs = forge_runs(pieces, n);
	struct models *m = NULL;
	struct coder c;
	struct err e;

	must(p != NULL && models_new(&m, &e));
	if (f->format.n_frames) {
		last = &f->format.frames[f->format.n_frames - 1];
		frame.first = last->first + last->bytes;
	}
	for (size_t i = 0; i < n; i++) {
		left += pieces[i].piece.size;
		frame.ops += (uint32_t)pieces[i].n_ops;
	}
	frame.bytes = left;
	ops = calloc(frame.ops, sizeof(*ops));
	must(ops != NULL);
	coder_encode_start(&c, &f->coded, &e);
	for (size_t i = 0, at = 0; honest && i < n; i++) {
		p[i] = pieces[i].piece;
		p[i].offset = frame.first + frame.bytes - left;
		p[i].first_op = (uint32_t)at;
		p[i].ops = (uint32_t)pieces[i].n_ops;
		honest = code_heads(f, &c, m, &p[i], (uint32_t)i, &runs, &pieces[i], ops + at,
				    fields_address(&p[i], streams), left);
		at += pieces[i].n_ops;
		left -= p[i].size;
		streams += p[i].plain_size;
	}
	must(code_remember(m, f->format.n_old_streams, frame.ops, &e));
	must(code_body_start(m, p, n, ops, frame.ops, &e));
	if (honest && pieces[0].bulk && !pieces[0].packed)
		pack_bulk(f, m, p, pieces, n);
	streams = 0;
	for (size_t i = 0; honest && i < n; i++) {
		code_body(f, &c, m, &p[i], &pieces[i], ops + p[i].first_op,
			  fields_address(&p[i], streams));
		streams += p[i].plain_size;
	}
	coder_encode_end(&c);
	must(!c.failed);
	frame.coded = (uint32_t)(f->coded.n - frame.coded_offset);
	add_frame(f, &frame);
	models_free(m);
	runs_done(&runs);
	free(p);
	free(ops);
}

static void add_hashes(struct forge *f)
{
	uint64_t n = format_segments(&f->format), size = UINT64_C(1) << f->format.segment_log;

	f->format.hashes = calloc((size_t)n + 1, DELTA_HASH_SIZE);
	must(f->format.hashes != NULL);
	for (uint64_t i = 0; i < n && i * size < f->new_n; i++) {
		uint8_t hash[SHA256_SIZE];
		uint64_t left = f->new_n - i * size;

		sha256(hash, f->new + i *size, (size_t)(left < size ? left : size));
		memcpy(f->format.hashes[i], hash, DELTA_HASH_SIZE);
	}
}

struct buf forge_finish(struct forge *f)
{
	struct buf b = BUF_INIT(LIMIT_DELTA_HEAD + TABLE_MAX + LIMIT_DELTA_FRAME);
	struct err e;

	add_hashes(f);
	must(format_encode(&b, &f->format, &e) && buf_add(&b, f->table.p, f->table.n, &e) &&
	     buf_add(&b, f->coded.p, f->coded.n, &e));
	format_done(&f->format);
	buf_done(&f->table);
	buf_done(&f->coded);
	return b;
}

void forge_rehash(struct buf *delta)
{
	uint8_t hash[SHA256_SIZE];
	uint64_t head = 0;
	struct err e;

	must(format_peek(&head, delta->p, delta->n, UINT64_MAX, &e));
	sha256(hash, delta->p, (size_t)head - FORMAT_CHECK);
	memcpy(delta->p + head - FORMAT_CHECK, hash, FORMAT_CHECK);
}

/* A stream of zeros in stored blocks: nothing unpacks faster for the steps that it takes. */
static size_t stored_zeros(uint8_t *p)
{
	enum { BLOCK = 65535 };
	size_t n = 0;

	for (unsigned at = 0; at < SPACE_CHUNK; at += BLOCK) {
		unsigned part = SPACE_CHUNK - at < BLOCK ? SPACE_CHUNK - at : BLOCK;

		p[n] = part < BLOCK; /* the last one */
		put_le16(p + n + 1, (uint16_t)part);
		put_le16(p + n + 3, (uint16_t)~part);
		n += 5 + part;
	}
	return n;
}

struct buf forge_thrash(struct buf *ret_old, uint64_t old_n, const uint8_t *new, uint64_t new_n,
			unsigned segment_log)
{
	enum { STREAMS = 4, EACH = 16, OPS = FORGE_THRASH_BYTES / EACH };
	static struct op ops[OPS + 1];
	struct stream table[STREAMS];
	uint64_t base = space_base_of(old_n), at = 0;
	uint8_t *space;
	struct forge f;
	struct err e;

	*ret_old = BUF_INIT(1 << 30);
	must(buf_reserve(ret_old, base + STREAMS * SPACE_CHUNK, &space, &e));
	memset(space, 0, base + STREAMS * SPACE_CHUNK);
	buf_commit(ret_old, old_n);
	for (unsigned i = 0; i < STREAMS; i++, at += table[i - 1].size)
		table[i] = (struct stream){ .offset = at,
					    .size = (uint32_t)stored_zeros(space + at),
					    .plain_size = SPACE_CHUNK,
					    .transform = TRANSFORM_DEFLATE };
	must(at <= old_n && new_n >= FORGE_THRASH_BYTES);
	for (unsigned i = 0; i < OPS; i++)
		ops[i] = (struct op){ .kind = OP_COPY,
				      .n = EACH,
				      .from = base + i % STREAMS * SPACE_CHUNK + i };
	ops[OPS] = (struct op){ .kind = OP_ZERO, .n = new_n - FORGE_THRASH_BYTES };
	const struct forge_piece p = { .piece = { .size = new_n },
				       .ops = ops,
				       .n_ops = OPS + (ops[OPS].n > 0) };
	forge_init(&f, space, base + STREAMS * SPACE_CHUNK, old_n, new, new_n, segment_log);
	forge_table(&f, table, STREAMS, NULL, 0);
	forge_frame(&f, &p, 1);
	return forge_finish(&f);
}
