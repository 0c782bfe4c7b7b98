#include "delta/bulk.h"

enum {
	SAMPLE = 1 << 20, /* bytes that filters are tried on */
	SAMPLE_BLOCK = 1 << 14,
	LEVEL = 9,
};

/* Calls see with every insert of the frame that is coded in bulk. */
static bool for_bulk(const struct bulk_frame *f,
		     bool (*see)(void *ctx, const uint8_t *p, uint64_t n, struct err *e),
		     void *ctx, struct err *e)
{
	for (size_t i = 0; i < f->n_pieces; i++) {
		const struct piece *p = &f->pieces[i];
		const uint8_t *bytes = f->image + p->offset;

		for (uint32_t k = 0; !p->transform && k < p->ops; k++) {
			const struct op *op = &f->ops[p->first_op + k];

			if (op->kind == OP_INSERT && op->n >= CODE_BULK_MIN &&
			    !see(ctx, bytes, op->n, e))
				return false;
			bytes += op->n;
		}
	}
	return true;
}

struct bulk_sample {
	uint64_t bytes; /* of all inserts in bulk; then blocks seen */
	uint64_t step;  /* of which one in so many is taken */
	struct buf some;
};

static bool see_size(void *ctx, const uint8_t *p UNUSED, uint64_t n, struct err *e UNUSED)
{
	struct bulk_sample *s = ctx;

	s->bytes += n;
	return true;
}

static bool see_sample(void *ctx, const uint8_t *p, uint64_t n, struct err *e)
{
	struct bulk_sample *s = ctx;

	for (uint64_t at = 0; at + SAMPLE_BLOCK <= n; at += SAMPLE_BLOCK)
		if (s->bytes++ % s->step == 0 && !buf_add(&s->some, p + at, SAMPLE_BLOCK, e))
			return false;
	return true;
}

/* Blocks from everywhere, at most SAMPLE bytes; *ret_any: whether there is any insert in bulk. */
static bool take_sample(const struct bulk_frame *f, struct buf *ret, bool *ret_any,
			struct err *e)
{
	struct bulk_sample s = { .some = BUF_INIT(SAMPLE) };

	if (!for_bulk(f, see_size, &s, e))
		return false;
	*ret_any = s.bytes > 0;
	s.step = s.bytes / SAMPLE + 1;
	s.bytes = 0;
	bool ok = for_bulk(f, see_sample, &s, e);
	*ret = s.some;
	return ok;
}

static bool filtered_size(size_t *ret, const struct buf *b, enum lzma2_filter filter,
			  struct err *e)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(2 * b->max);

	if (!lzma2_enc_new(&z, filter, 0, e) || !lzma2_encode(z, &out, b->p, b->n, e) ||
	    !lzma2_encode_end(z, &out, e))
		return false;
	*ret = out.n;
	return true;
}

/* The one that makes the sample smallest. */
static bool choose_filter(enum lzma2_filter *ret, const struct buf *b, struct err *e)
{
	size_t least = SIZE_MAX;

	for (unsigned i = 0; i < LZMA2_FILTERS; i++) {
		size_t n;

		if (!filtered_size(&n, b, (enum lzma2_filter)i, e))
			return false;
		if (n < least) {
			least = n;
			*ret = (enum lzma2_filter)i;
		}
	}
	return true;
}

struct bulk_stream {
	const struct bulk_frame *f;
	struct lzma2_enc *enc;
	struct buf out;
};

static bool see_bulk(void *ctx, const uint8_t *p, uint64_t n, struct err *e)
{
	struct bulk_stream *s = ctx;

	for (uint64_t at = 0; at < n; at += CODE_BULK_MAX) {
		size_t part = n - at < CODE_BULK_MAX ? (size_t)(n - at) : CODE_BULK_MAX;

		if (!lzma2_encode(s->enc, &s->out, p + at, part, e))
			return false;
		s->f->touched(s->f->ctx, part);
	}
	return true;
}

bool bulk_pack(struct models *m, const struct bulk_frame *f, struct err *e)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *enc = NULL;
	CLEANUP(buf_done) struct buf sample = BUF_INIT(0);
	struct bulk_stream s = { .f = f, .out = BUF_INIT(LIMIT_DELTA_FRAME) };
	enum lzma2_filter filter = LZMA2_PLAIN;
	bool any;

	if (!take_sample(f, &sample, &any, e))
		return false;
	if (!any)
		return true;
	if (!choose_filter(&filter, &sample, e) || !lzma2_enc_new(&enc, filter, LEVEL, e))
		return false;
	s.enc = enc;
	bool ok = for_bulk(f, see_bulk, &s, e) && lzma2_encode_end(enc, &s.out, e);
	if (ok)
		code_bulk_stream(m, filter, &s.out);
	buf_done(&s.out);
	return ok;
}
