#include "delta/inflate.h"

#include <string.h>

enum { /* inflate_code.what: 0 to 13 are extra bits */
       IS_LITERAL = 16,
       IS_END = 17,
       IS_SUB = 18, /* value: where the second table begins; bits: how many it takes */
       IS_BAD = 19,
       EXTRA = 15,
};

static const uint16_t length_base[29] = { 3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
					  15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
					  67, 83, 99, 115, 131, 163, 195, 227, 258 };
static const uint8_t length_extra[29] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
					  2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
static const uint16_t dist_base[30] = { 1,    2,    3,    4,     5,     7,    9,    13,
					17,   25,   33,   49,    65,    97,   129,  193,
					257,  385,  513,  769,   1025,  1537, 2049, 3073,
					4097, 6145, 8193, 12289, 16385, 24577 };
static const uint8_t length_order[19] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					  11, 4,  12, 3, 13, 2, 14, 1, 15 };

static bool memory_read(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e)
{
	const struct packed_memory *m = ctx;

	memcpy(p, m->p + offset, n);
	return true;
}

const struct packed *packed_of(struct packed_memory *m, const uint8_t *p, size_t n)
{
	m->p = p;
	m->packed = (struct packed){ .read = memory_read, .ctx = m, .size = n };
	return &m->packed;
}

void inflate_init(struct inflate *z, const struct packed *from)
{
	z->from = from;
	z->read = z->made = 0;
	z->rest.len = 0;
	z->in_block = z->ended = false;
	z->p = z->end = z->chunk;
	z->hold = 0;
	z->held = 0;
	z->final = z->odd = z->coded = false;
	z->kind = BLOCK_STORED;
	z->stored = 0;
}

void inflate_copy(struct inflate *to, const struct inflate *z, const struct packed *from)
{
	*to = *z;
	to->from = from;
	to->p = to->chunk + (z->p - z->chunk);
	to->end = to->chunk + (z->end - z->chunk);
}

uint64_t inflate_bit(const struct inflate *z)
{
	return (z->read - (uint64_t)(z->end - z->p)) * 8 - z->held;
}

uint64_t inflate_used(const struct inflate *z)
{
	return (inflate_bit(z) + 7) / 8;
}

static bool chunk_fill(struct inflate *z, struct err *e)
{
	uint64_t n = z->from->size - z->read;

	if (n > INFLATE_CHUNK)
		n = INFLATE_CHUNK;
	if (n && !z->from->read(z->from->ctx, z->read, z->chunk, (size_t)n, e))
		return false;
	z->read += n;
	z->p = z->chunk;
	z->end = z->chunk + n;
	return true;
}

/* Holds 56 bits or all that are left. */
static inline bool refill(struct inflate *z, struct err *e)
{
	if (z->end - z->p >= 8) {
		uint64_t more;

		memcpy(&more, z->p, 8);
		if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
			more = __builtin_bswap64(more);
		z->hold |= more << z->held;
		z->p += (63 - z->held) >> 3;
		z->held |= 56;
		return true;
	}
	/* What the quick way has read ahead without counting it must not be added twice. */
	z->hold &= (UINT64_C(1) << z->held) - 1;
	while (z->held <= 55) {
		if (z->p == z->end && !chunk_fill(z, e))
			return false;
		if (z->p == z->end)
			break;
		z->hold |= (uint64_t)*z->p++ << z->held;
		z->held += 8;
	}
	return true;
}

static inline unsigned take(struct inflate *z, unsigned n)
{
	unsigned v = (unsigned)(z->hold & ((UINT64_C(1) << n) - 1));

	z->hold >>= n;
	z->held -= n;
	return v;
}

static bool cut(struct err *e)
{
	return err_set(e, E_CORRUPT, "deflate: the stream is cut off");
}

static bool bits(struct inflate *z, unsigned n, unsigned *ret, struct err *e)
{
	if (z->held < n && !refill(z, e))
		return false;
	if (z->held < n)
		return cut(e);
	*ret = take(z, n);
	return true;
}

static unsigned reversed(unsigned code, unsigned n)
{
	unsigned r = 0;

	for (unsigned i = 0; i < n; i++)
		r |= (code >> i & 1) << (n - 1 - i);
	return r;
}

static struct inflate_code code_of(bool is_lit, bool is_plain, unsigned symbol)
{
	struct inflate_code c = { .value = (uint16_t)symbol, .what = IS_LITERAL };

	if (is_plain)
		return c;
	if (!is_lit) {
		c.what = symbol < 30 ? (uint8_t)(symbol < 4 ? 0 : symbol / 2 - 1) : IS_BAD;
		c.value = symbol < 30 ? dist_base[symbol] : 0;
	} else if (symbol == 256) {
		c.what = IS_END;
	} else if (symbol > 256) {
		c.what = symbol < 286 ? length_extra[symbol - 257] : IS_BAD;
		c.value = symbol < 286 ? length_base[symbol - 257] : 0;
	}
	return c;
}

/* zlib takes an incomplete code only when it is one code of one bit. */
static bool code_is_good(const uint16_t count[16], bool may_be_incomplete)
{
	int left = 1;
	unsigned longest = 0;

	for (unsigned i = 1; i < 16; i++) {
		left = 2 * left - count[i];
		if (left < 0)
			return false;
		if (count[i])
			longest = i;
	}
	return left == 0 || (may_be_incomplete && longest <= 1);
}

/* The table of a canonical code: root bits at once, longer ones by a second table.  How large tables
 * of complete codes get at most is known: zlib's examples/enough.c computes it. */
_Static_assert(INFLATE_LIT_CODES >= 1334, "enough 288 10 15");
_Static_assert(INFLATE_DIST_CODES >= 402, "enough 32 8 15");

static bool table_make(struct inflate_code *t, unsigned root, const uint8_t *lengths,
		       unsigned n, bool is_lit, bool is_plain)
{
	uint16_t count[16] = { 0 }, next[16], start[17];
	uint16_t sorted[288];
	unsigned used = 1u << root, code = 0, prefix = UINT32_MAX, at = 0, sub_bits = 0;

	for (unsigned i = 0; i < n; i++)
		count[lengths[i]]++;
	count[0] = 0;
	if (!code_is_good(count, !is_plain))
		return false;
	start[1] = 0;
	for (unsigned i = 1; i < 16; i++) {
		start[i + 1] = (uint16_t)(start[i] + count[i]);
		next[i] = start[i];
	}
	for (unsigned i = 0; i < n; i++)
		if (lengths[i])
			sorted[next[lengths[i]]++] = (uint16_t)i;
	for (unsigned i = 0; i < used; i++)
		t[i] = (struct inflate_code){ .bits = 1, .what = IS_BAD };
	for (unsigned len = 1, i = 0; len < 16; len++, code <<= 1) {
		for (; i < start[len + 1]; i++, code++) {
			struct inflate_code c = code_of(is_lit, is_plain, sorted[i]);
			unsigned r = reversed(code, len);

			if (len <= root) {
				c.bits = (uint8_t)len;
				for (unsigned k = r; k < 1u << root; k += 1u << len)
					t[k] = c;
				continue;
			}
			if ((r & ((1u << root) - 1)) != prefix) {
				/* As long as the longest code with this beginning can be: a
				 * complete code fills every beginning at its longest length. */
				int left = 1 << (len - root);
				unsigned l = len;

				for (left -= start[len + 1] - i; left > 0;) {
					l++;
					left = 2 * left - count[l];
				}
				prefix = r & ((1u << root) - 1);
				sub_bits = l - root;
				at = used;
				used += 1u << sub_bits;
				t[prefix] = (struct inflate_code){ .value = (uint16_t)at,
								   .bits = (uint8_t)sub_bits,
								   .what = IS_SUB };
			}
			c.bits = (uint8_t)(len - root);
			for (unsigned k = r >> root; k < 1u << sub_bits; k += 1u << c.bits)
				t[at + k] = c;
		}
	}
	return true;
}

static bool tables_make(struct inflate *z, const uint8_t *lit, unsigned n_lit,
			const uint8_t *dist, unsigned n_dist, struct err *e)
{
	if (!table_make(z->lit, INFLATE_LIT_BITS, lit, n_lit, true, false) ||
	    !table_make(z->dist, INFLATE_DIST_BITS, dist, n_dist, false, false))
		return err_set(e, E_CORRUPT, "deflate: not a prefix code");
	return true;
}

static bool fixed_make(struct inflate *z, struct err *e)
{
	uint8_t lit[288], dist[32];

	memset(lit, 8, 144);
	memset(lit + 144, 9, 112);
	memset(lit + 256, 7, 24);
	memset(lit + 280, 8, 8);
	memset(dist, 5, sizeof(dist));
	return tables_make(z, lit, 288, dist, 32, e);
}

/* Bits of a code length symbol, and what it says, into *i lengths. */
static bool lengths_take(struct inflate *z, const struct inflate_code *t, unsigned *i,
			 unsigned total, struct err *e)
{
	static const uint8_t extra[3] = { 2, 3, 7 }, least[3] = { 3, 3, 11 };
	struct inflate_code c;
	unsigned n;

	if (!refill(z, e))
		return false;
	c = t[z->hold & 127]; /* a complete code: all bits say something */
	if (z->held < c.bits + 7u &&
	    z->held < c.bits + (c.value < 16 ? 0u : extra[c.value - 16]))
		return cut(e);
	take(z, c.bits);
	if (c.value < 16) {
		z->lengths[(*i)++] = (uint8_t)c.value;
		return true;
	}
	n = least[c.value - 16] + take(z, extra[c.value - 16]);
	if ((c.value == 16 && *i == 0) || n > total - *i)
		return err_set(e, E_CORRUPT, "deflate: repeats too many code lengths");
	memset(z->lengths + *i, c.value == 16 ? z->lengths[*i - 1] : 0, n);
	*i += n;
	return true;
}

bool inflate_dynamic(struct inflate *z, struct err *e)
{
	struct inflate_code t[128];
	uint8_t first[19] = { 0 };
	unsigned v, n, total;

	z->header = inflate_bit(z);
	if (!bits(z, 14, &v, e))
		return false;
	z->n_lit = 257 + (v & 31);
	z->n_dist = 1 + (v >> 5 & 31);
	n = 4 + (v >> 10);
	if (z->n_lit > 286 || z->n_dist > 30)
		return err_set(e, E_CORRUPT, "deflate: too many codes");
	for (unsigned i = 0; i < n; i++) {
		if (!bits(z, 3, &v, e))
			return false;
		first[length_order[i]] = (uint8_t)v;
	}
	if (!table_make(t, 7, first, 19, true, true))
		return err_set(e, E_CORRUPT, "deflate: not a prefix code");
	total = z->n_lit + z->n_dist;
	for (unsigned i = 0; i < total;)
		if (!lengths_take(z, t, &i, total, e))
			return false;
	if (z->lengths[256] == 0)
		return err_set(e, E_CORRUPT, "deflate: no code for the end");
	z->header_bits = inflate_bit(z) - z->header;
	return tables_make(z, z->lengths, z->n_lit, z->lengths + z->n_lit, z->n_dist, e);
}

static bool stored_start(struct inflate *z, struct err *e)
{
	unsigned n, not_n;

	take(z, z->held & 7);
	if (!bits(z, 16, &n, e) || !bits(z, 16, &not_n, e))
		return false;
	if ((n ^ not_n) != 0xffff)
		return err_set(e, E_CORRUPT, "deflate: a stored block's sizes differ");
	z->stored = n;
	return true;
}

bool inflate_block(struct inflate *z, struct err *e)
{
	unsigned v;

	if (!bits(z, 3, &v, e))
		return false;
	z->final = v & 1;
	z->kind = (uint8_t)(v >> 1);
	z->coded |= z->kind != BLOCK_STORED;
	switch (z->kind) {
	case BLOCK_STORED:
		return stored_start(z, e);
	case BLOCK_FIXED:
		return fixed_make(z, e);
	case BLOCK_DYNAMIC:
		return inflate_dynamic(z, e);
	}
	return err_set(e, E_CORRUPT, "deflate: not a kind of block");
}

bool inflate_stored(struct inflate *z, uint8_t *p, struct err *e)
{
	for (uint32_t i = 0; i < z->stored; i++) {
		unsigned v;

		if (!bits(z, 8, &v, e))
			return false;
		if (p)
			p[i] = (uint8_t)v;
	}
	return true;
}

static inline bool find_code(struct inflate *z, const struct inflate_code *t, unsigned root,
			     struct inflate_code *ret, struct err *e)
{
	struct inflate_code c = t[z->hold & ((1u << root) - 1)];

	if (__builtin_expect(c.what == IS_SUB, 0)) {
		c = t[c.value + (z->hold >> root & ((1u << c.bits) - 1))];
		c.bits = (uint8_t)(c.bits + root);
	}
	if (__builtin_expect(z->held < c.bits, 0))
		return cut(e);
	if (__builtin_expect(c.what == IS_BAD, 0))
		return err_set(e, E_CORRUPT, "deflate: not a code");
	take(z, c.bits);
	*ret = c;
	return true;
}

static inline bool token_take(struct inflate *z, struct token *ret, uint8_t *ret_literal,
			      bool *ret_end, uint64_t done, struct err *e)
{
	struct inflate_code c;
	unsigned len, dist;

	/* 48 bits are the longest token: 15 + 5 + 15 + 13. */
	if (z->held < 48 && !refill(z, e))
		return false;
	if (!find_code(z, z->lit, INFLATE_LIT_BITS, &c, e))
		return false;
	*ret_end = c.what == IS_END;
	if (c.what >= IS_LITERAL) {
		*ret_literal = (uint8_t)c.value;
		*ret = (struct token){ .len = 1 };
		return true;
	}
	if (z->held < c.what)
		return cut(e);
	len = c.value + take(z, c.what);
	if (len == MATCH_MAX && c.what)
		z->odd = true;
	if (!find_code(z, z->dist, INFLATE_DIST_BITS, &c, e))
		return false;
	if (z->held < c.what)
		return cut(e);
	dist = c.value + take(z, c.what);
	if (dist > done)
		return err_set(e, E_CORRUPT, "deflate: a match before the beginning");
	*ret = (struct token){ .len = (uint16_t)len, .dist = (uint16_t)dist };
	return true;
}

bool inflate_token(struct inflate *z, struct token *ret, uint8_t *ret_literal, bool *ret_end,
		   uint64_t done, struct err *e)
{
	return token_take(z, ret, ret_literal, ret_end, done, e);
}

static void match_copy(uint8_t *to, unsigned len, unsigned dist)
{
	if (dist >= len) {
		memcpy(to, to - dist, len);
		return;
	}
	for (unsigned i = 0; i < len; i++)
		to[i] = to[(int)i - (int)dist];
}

/* As much of the kept token as fits. */
static size_t rest_next(struct inflate *z, uint8_t *to, size_t n)
{
	unsigned len = z->rest.len < n ? z->rest.len : (unsigned)n;

	if (len == 0)
		return 0;
	if (z->rest.dist == 0)
		*to = z->literal;
	else
		match_copy(to, len, z->rest.dist);
	z->rest.len = (uint16_t)(z->rest.len - len);
	return len;
}

/* Tokens up to the end of the block, or until one does not fit: it is kept. */
static bool tokens_next(struct inflate *z, uint8_t *to, size_t n, size_t *ret_n, struct err *e)
{
	size_t at = *ret_n;
	uint64_t before = z->made - at;
	bool ok, end = false;

	for (;;) {
		struct token t;
		uint8_t literal = 0;

		ok = token_take(z, &t, &literal, &end, before + at, e);
		if (!ok || end)
			break;
		if (t.len > n - at) {
			z->rest = t;
			z->literal = literal;
			at += rest_next(z, to + at, n - at);
			break;
		}
		if (t.dist == 0)
			to[at] = literal;
		else
			match_copy(to + at, t.len, t.dist);
		at += t.len;
	}
	z->in_block = !end;
	z->made = before + at;
	*ret_n = at;
	return ok;
}

static bool stored_next(struct inflate *z, uint8_t *to, size_t n, size_t *ret_n, struct err *e)
{
	uint32_t left = z->stored;

	if (z->stored > n - *ret_n)
		z->stored = (uint32_t)(n - *ret_n);
	left -= z->stored;
	if (!inflate_stored(z, to + *ret_n, e))
		return false;
	*ret_n += z->stored;
	z->made += z->stored;
	z->stored = left;
	z->in_block = left > 0;
	return true;
}

bool inflate_next(struct inflate *z, uint8_t *to, size_t n, size_t *ret_n, struct err *e)
{
	*ret_n = rest_next(z, to, n);
	z->made += *ret_n;
	if (z->rest.len)
		return true;
	for (;;) {
		if (!z->in_block && z->final) {
			z->ended = true;
			return true;
		}
		if (!z->in_block && !inflate_block(z, e))
			return false;
		if (!(z->kind == BLOCK_STORED ? stored_next(z, to, n, ret_n, e)
					      : tokens_next(z, to, n, ret_n, e)))
			return false;
		if (z->in_block) /* so n bytes are made */
			return true;
	}
}
