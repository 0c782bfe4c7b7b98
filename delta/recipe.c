#include "delta/recipe.h"

#include "base/bytes.h"
#include "delta/checksum.h"

#include <string.h>

enum {
	BY_ZLIB = 0,
	BY_GZIP = 1,
	BY_PARAMETERS = 2,
	HAS_BLOCKS = 16,
	HAS_TOKENS = 32,
	HAS_PADDING = 64,
	BLOCK_FINAL = 4,
	BLOCK_COUNT = 8,
	BLOCK_HEADER = 16,
	BLOCK_ALL = 31,
};

unsigned wrap_size(enum wrap w)
{
	static const uint8_t sizes[4] = { 0, 8, 4, 16 };

	return sizes[w];
}

void wrap_start(struct wrap_sum *s, enum wrap w)
{
	*s = (struct wrap_sum){ .wrap = w, .sum = w == WRAP_ZLIB };
}

void wrap_add(struct wrap_sum *s, const uint8_t *plain, size_t n)
{
	s->n += n;
	if (s->wrap == WRAP_ZLIB)
		s->sum = checksum_adler32(s->sum, plain, n);
	else if (s->wrap != WRAP_NONE)
		s->sum = checksum_crc32(s->sum, plain, n);
}

void wrap_make(uint8_t ret[static WRAP_MAX], const struct wrap_sum *s, uint64_t packed_n)
{
	if (s->wrap == WRAP_GZIP) {
		put_le32(ret, s->sum);
		put_le32(ret + 4, (uint32_t)s->n);
	} else if (s->wrap == WRAP_ZLIB) {
		for (unsigned i = 0; i < 4; i++)
			ret[i] = (uint8_t)(s->sum >> (24 - 8 * i));
	} else if (s->wrap == WRAP_ZIP) {
		put_le32(ret, 0x08074b50);
		put_le32(ret + 4, s->sum);
		put_le32(ret + 8, (uint32_t)packed_n);
		put_le32(ret + 12, (uint32_t)s->n);
	}
}

static bool bad(struct err *e)
{
	return err_set(e, E_CORRUPT, "deflate: the recipe is damaged");
}

static bool number(const uint8_t **p, const uint8_t *end, uint64_t *ret, struct err *e)
{
	struct rd r = rd_init(*p, (size_t)(end - *p));
	uint64_t v = rd_varint(&r);

	if (r.bad)
		return bad(e);
	*p = r.p;
	*ret = v;
	return true;
}

static bool number_add(struct buf *b, uint64_t v, struct err *e)
{
	uint8_t text[VARINT_ROOM];

	return buf_add(b, text, put_varint(text, v), e);
}

static bool how_parse(struct guess_how *h, unsigned by, const uint8_t **p, const uint8_t *end,
		      struct err *e)
{
	if (*p == end)
		return bad(e);
	*h = (struct guess_how){
		.is_gzip = by == BY_GZIP, .level = *(*p)++, .window_bits = 15, .memory = 8
	};
	if (by == BY_PARAMETERS) {
		if (end - *p < 2)
			return bad(e);
		h->window_bits = **p & 15;
		h->memory = *(*p)++ >> 4;
		h->strategy = *(*p)++;
	}
	if (by > BY_PARAMETERS || h->level < 1 || h->level > 9 || h->window_bits < 9 ||
	    h->memory < 1 || h->memory > 9 || h->strategy > GUESS_FIXED)
		return bad(e);
	return true;
}

bool recipe_parse(struct recipe *r, const uint8_t *p, size_t n, struct err *e)
{
	const uint8_t *end;
	uint64_t size = 0;
	unsigned flags;

	if (n == 0)
		return bad(e);
	end = p + n;
	*r = (struct recipe){
		.blocks = end, .blocks_end = end, .tokens = end, .tokens_end = end
	};
	flags = *p++;
	r->wrap = flags & 3;
	if (flags & 128 || !how_parse(&r->how, flags >> 2 & 3, &p, end, e))
		return bad(e);
	if (flags & HAS_PADDING) {
		if (p == end)
			return bad(e);
		r->padding = *p++;
	}
	if (flags & HAS_BLOCKS) {
		if (!number(&p, end, &size, e) || size > (uint64_t)(end - p))
			return bad(e);
		r->blocks = p;
		r->blocks_end = p += size;
	}
	if (flags & HAS_TOKENS)
		r->tokens = p;
	return true;
}

bool recipe_encode(struct buf *ret, const struct recipe *r, struct err *e)
{
	const struct guess_how *h = &r->how;
	size_t n_blocks = (size_t)(r->blocks_end - r->blocks);
	size_t n_tokens = (size_t)(r->tokens_end - r->tokens);
	bool is_usual = h->window_bits == 15 && h->memory == 8 && h->strategy == GUESS_DEFAULT;
	unsigned by = h->is_gzip ? BY_GZIP : is_usual ? BY_ZLIB : BY_PARAMETERS;
	uint8_t head[5] = { (uint8_t)(r->wrap | by << 2 | (n_blocks ? HAS_BLOCKS : 0) |
				      (n_tokens ? HAS_TOKENS : 0) |
				      (r->padding ? HAS_PADDING : 0)),
			    h->level };
	size_t n = 2;

	if (by == BY_PARAMETERS) {
		head[n++] = (uint8_t)(h->window_bits | h->memory << 4);
		head[n++] = h->strategy;
	}
	if (r->padding)
		head[n++] = r->padding;
	if (!buf_add(ret, head, n, e))
		return false;
	if (n_blocks &&
	    (!number_add(ret, n_blocks, e) || !buf_add(ret, r->blocks, n_blocks, e)))
		return false;
	return n_tokens == 0 || buf_add(ret, r->tokens, n_tokens, e);
}

bool block_fix_next(struct recipe *r, struct block_fix *ret, struct err *e)
{
	const uint8_t *end = r->blocks_end;
	unsigned flags;

	*ret = (struct block_fix){ .gap = UINT64_MAX };
	if (r->blocks == end)
		return true;
	if (!number(&r->blocks, end, &ret->gap, e))
		return false;
	if (r->blocks == end)
		return bad(e);
	flags = *r->blocks++;
	ret->kind = flags & 3;
	ret->is_final = flags & BLOCK_FINAL;
	ret->has_count = flags & BLOCK_COUNT;
	ret->has_header = flags & BLOCK_HEADER;
	if (ret->kind == 3 || flags > BLOCK_ALL ||
	    (ret->has_header && ret->kind != BLOCK_DYNAMIC))
		return bad(e);
	if (ret->has_count && !number(&r->blocks, end, &ret->count, e))
		return false;
	if (!ret->has_header)
		return true;
	if (!number(&r->blocks, end, &ret->header_bits, e) || ret->header_bits == 0 ||
	    ret->header_bits > HEADER_BITS_MAX ||
	    (ret->header_bits + 7) / 8 > (uint64_t)(end - r->blocks))
		return bad(e);
	ret->header = r->blocks;
	r->blocks += (ret->header_bits + 7) / 8;
	return true;
}

bool block_fix_add(struct buf *b, const struct block_fix *f, struct err *e)
{
	uint8_t flags = (uint8_t)(f->kind | (f->is_final ? BLOCK_FINAL : 0) |
				  (f->has_count ? BLOCK_COUNT : 0) |
				  (f->has_header ? BLOCK_HEADER : 0));

	if (!number_add(b, f->gap, e) || !buf_add(b, &flags, 1, e) ||
	    (f->has_count && !number_add(b, f->count, e)))
		return false;
	return !f->has_header || (number_add(b, f->header_bits, e) &&
				  buf_add(b, f->header, (f->header_bits + 7) / 8, e));
}

bool token_fix_next(struct recipe *r, struct token_fix *ret, struct err *e)
{
	const uint8_t *end = r->tokens_end, *p = r->tokens;
	static const uint8_t sizes[4] = { 0, 1, 1, 3 };

	*ret = (struct token_fix){ .gap = UINT64_MAX };
	if (p == end)
		return true;
	if (!number(&p, end, &ret->gap, e))
		return false;
	ret->kind = ret->gap & 3;
	ret->gap >>= 2;
	if (end - p < sizes[ret->kind])
		return bad(e);
	ret->is.len = ret->kind == FIX_LITERAL ? 1 : (uint16_t)(*p++ + MATCH_MIN);
	if (ret->kind == FIX_MATCH) {
		unsigned dist = get_le16(p) + 1u;

		p += 2;
		if (dist > DEFLATE_WINDOW)
			return bad(e);
		ret->is.dist = (uint16_t)dist;
	}
	r->tokens = p;
	return true;
}

bool token_fix_add(struct buf *b, const struct token_fix *f, struct err *e)
{
	uint8_t text[3];
	size_t n = 0;

	if (f->kind != FIX_LITERAL)
		text[n++] = (uint8_t)(f->is.len - MATCH_MIN);
	if (f->kind == FIX_MATCH) {
		put_le16(text + n, (uint16_t)(f->is.dist - 1));
		n += 2;
	}
	return number_add(b, f->gap << 2 | f->kind, e) && (n == 0 || buf_add(b, text, n, e));
}
