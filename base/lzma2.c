#include "base/lzma2.h"

#include <stdlib.h>

#include <lzma.h>

struct lzma2_enc {
	lzma_stream stream;
};

struct lzma2_dec {
	lzma_stream stream;
};

struct chain {
	lzma_options_lzma options;
	lzma_filter filters[3];
};

static void chain_init(struct chain *c, enum lzma2_filter filter)
{
	static const lzma_vli ids[LZMA2_FILTERS] = {
		[LZMA2_X86] = LZMA_FILTER_X86,
		[LZMA2_ARM64] = LZMA_FILTER_ARM64,
	};
	lzma_filter *next = c->filters;

	c->options.dict_size = LZMA2_DICT;
	if (filter != LZMA2_PLAIN)
		*next++ = (lzma_filter){ .id = ids[filter] };
	*next++ = (lzma_filter){ .id = LZMA_FILTER_LZMA2, .options = &c->options };
	*next = (lzma_filter){ .id = LZMA_VLI_UNKNOWN };
}

static bool failed(lzma_ret r, enum err_code code, struct err *e)
{
	return r == LZMA_MEM_ERROR ? err_nomem(e) : err_set(e, code, "lzma: error %d", (int)r);
}

/* Its memory is counted, and fails, as all of ours. */
static void *take(void *opaque UNUSED, size_t k, size_t n)
{
	return reallocarray(NULL, k, n);
}

static void give(void *opaque UNUSED, void *p)
{
	free(p);
}

static bool start(lzma_stream *s, lzma_ret (*start_coder)(lzma_stream *, const lzma_filter *),
		  const struct chain *c, struct err *e)
{
	static const lzma_allocator ours = { .alloc = take, .free = give };
	lzma_ret r;

	s->allocator = &ours;
	r = start_coder(s, c->filters);
	if (r != LZMA_OK)
		return failed(r, E_INTERNAL, e);
	return true;
}

/* ---- writing ---- */

bool lzma2_enc_new(struct lzma2_enc **ret, enum lzma2_filter filter, unsigned level,
		   struct err *e)
{
	CLEANUP(lzma2_enc_freep) struct lzma2_enc *z = calloc(1, sizeof(*z));
	struct chain c = { 0 };

	if (!z)
		return err_nomem(e);
	if (lzma_lzma_preset(&c.options, level == 9 ? level | LZMA_PRESET_EXTREME : level))
		return err_set(e, E_INTERNAL, "lzma: no level %u", level);
	chain_init(&c, filter);
	if (!start(&z->stream, lzma_raw_encoder, &c, e))
		return false;
	*ret = TAKE(z);
	return true;
}

void lzma2_enc_free(struct lzma2_enc *z)
{
	if (z)
		lzma_end(&z->stream);
	free(z);
}

static bool encode(struct lzma2_enc *z, struct buf *out, lzma_action action, struct err *e)
{
	enum { ROOM = 65536 };
	lzma_ret r;

	do {
		uint8_t *to;

		if (!buf_reserve(out, ROOM, &to, e))
			return false;
		z->stream.next_out = to;
		z->stream.avail_out = ROOM;
		r = lzma_code(&z->stream, action);
		buf_commit(out, ROOM - z->stream.avail_out);
	} while (r == LZMA_OK && (action == LZMA_FINISH || z->stream.avail_in));
	if (r != (action == LZMA_RUN ? LZMA_OK : LZMA_STREAM_END))
		return failed(r, E_INTERNAL, e);
	return true;
}

bool lzma2_encode(struct lzma2_enc *z, struct buf *out, const uint8_t *p, size_t n,
		  struct err *e)
{
	z->stream.next_in = p;
	z->stream.avail_in = n;
	return n == 0 || encode(z, out, LZMA_RUN, e);
}

bool lzma2_encode_end(struct lzma2_enc *z, struct buf *out, struct err *e)
{
	z->stream.avail_in = 0;
	return encode(z, out, LZMA_FINISH, e);
}

/* ---- reading ---- */

bool lzma2_dec_new(struct lzma2_dec **ret, enum lzma2_filter filter, struct err *e)
{
	CLEANUP(lzma2_dec_freep) struct lzma2_dec *z = calloc(1, sizeof(*z));
	struct chain c = { 0 };

	if (!z)
		return err_nomem(e);
	chain_init(&c, filter);
	if (!start(&z->stream, lzma_raw_decoder, &c, e))
		return false;
	*ret = TAKE(z);
	return true;
}

void lzma2_dec_free(struct lzma2_dec *z)
{
	if (z)
		lzma_end(&z->stream);
	free(z);
}

bool lzma2_decode(struct lzma2_dec *z, uint8_t *out, size_t out_n, const uint8_t *p, size_t n,
		  size_t *ret_used, struct err *e)
{
	lzma_ret r = LZMA_OK;

	z->stream.next_in = p;
	z->stream.avail_in = n;
	z->stream.next_out = out;
	z->stream.avail_out = out_n;
	while (r == LZMA_OK && z->stream.avail_out)
		r = lzma_code(&z->stream, LZMA_RUN);
	*ret_used = n - z->stream.avail_in;
	if (r != LZMA_OK && r != LZMA_STREAM_END && r != LZMA_BUF_ERROR)
		return failed(r, E_CORRUPT, e);
	if (z->stream.avail_out)
		return err_set(e, E_CORRUPT, "lzma: %zu bytes are missing",
			       z->stream.avail_out);
	return true;
}
