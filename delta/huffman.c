#include "delta/huffman.h"

#include <string.h>

enum {
	LIT_END = 256,
	NODES = 2 * LIT_CODES + 1,
	REPEAT = 16,      /* the last length, 3 to 6 times */
	ZEROS_SHORT = 17, /* 3 to 10 */
	ZEROS_LONG = 18,  /* 11 to 138 */
};

static const uint8_t length_order[LENGTH_CODES] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
						    11, 4,  12, 3, 13, 2, 14, 1, 15 };

/* The number of extra bits grows by one every four (lengths) or two (distances) symbols. */
unsigned length_symbol(unsigned len)
{
	unsigned v = len - MATCH_MIN, log;

	if (len == MATCH_MAX)
		return 285;
	if (v < 8)
		return 257 + v;
	log = 31 - (unsigned)__builtin_clz(v);
	return 257 + (log - 1) * 4 + (v >> (log - 2) & 3);
}

unsigned length_rest(unsigned len, unsigned *ret_bits)
{
	unsigned v = len - MATCH_MIN, log;

	*ret_bits = 0;
	if (len == MATCH_MAX || v < 8)
		return 0;
	log = 31 - (unsigned)__builtin_clz(v);
	*ret_bits = log - 2;
	return v & ((1u << *ret_bits) - 1);
}

unsigned dist_symbol(unsigned dist)
{
	unsigned v = dist - 1, log;

	if (v < 4)
		return v;
	log = 31 - (unsigned)__builtin_clz(v);
	return log * 2 + (v >> (log - 1) & 1);
}

unsigned dist_rest(unsigned dist, unsigned *ret_bits)
{
	unsigned v = dist - 1, log;

	*ret_bits = 0;
	if (v < 4)
		return 0;
	log = 31 - (unsigned)__builtin_clz(v);
	*ret_bits = log - 1;
	return v & ((1u << *ret_bits) - 1);
}

void count_start(struct block_count *c)
{
	memset(c, 0, sizeof(*c));
	c->lit[LIT_END] = 1;
}

void count_token(struct block_count *c, const struct token *t, uint8_t literal)
{
	c->tokens++;
	if (t->dist == 0) {
		c->lit[literal]++;
		return;
	}
	c->matches++;
	c->lit[length_symbol(t->len)]++;
	c->dist[dist_symbol(t->dist)]++;
}

struct forest {
	uint32_t freq[NODES];
	uint16_t parent[NODES];
	uint8_t depth[NODES];
	uint16_t heap[NODES]; /* from 1 */
	unsigned n;
	uint16_t sorted[NODES]; /* by falling frequency, when complete: from `from` on */
	unsigned from;
};

static bool before(const struct forest *f, unsigned a, unsigned b)
{
	return f->freq[a] < f->freq[b] ||
	       (f->freq[a] == f->freq[b] && f->depth[a] <= f->depth[b]);
}

static void sink(struct forest *f, unsigned at)
{
	unsigned node = f->heap[at];

	for (unsigned child = 2 * at; child <= f->n; at = child, child *= 2) {
		if (child < f->n && before(f, f->heap[child + 1], f->heap[child]))
			child++;
		if (before(f, node, f->heap[child]))
			break;
		f->heap[at] = f->heap[child];
	}
	f->heap[at] = (uint16_t)node;
}

/* Joins the two rarest until one is left. */
static void forest_join(struct forest *f, unsigned next)
{
	for (unsigned i = f->n / 2; i >= 1; i--)
		sink(f, i);
	f->from = NODES;
	do {
		unsigned a = f->heap[1], b;

		f->heap[1] = f->heap[f->n--];
		sink(f, 1);
		b = f->heap[1];
		f->sorted[--f->from] = (uint16_t)a;
		f->sorted[--f->from] = (uint16_t)b;
		f->freq[next] = f->freq[a] + f->freq[b];
		f->depth[next] =
			(uint8_t)((f->depth[a] > f->depth[b] ? f->depth[a] : f->depth[b]) + 1);
		f->parent[a] = f->parent[b] = (uint16_t)next;
		f->heap[1] = (uint16_t)next++;
		sink(f, 1);
	} while (f->n >= 2);
	f->sorted[--f->from] = f->heap[1];
}

/* Lengths from the top down; those above max are cut, and shorter codes make room for them. */
static void forest_lengths(const struct forest *f, uint8_t *lengths, unsigned symbols,
			   unsigned max)
{
	uint16_t level[NODES], count[16] = { 0 };
	unsigned at;
	int over = 0;

	level[f->sorted[f->from]] = 0;
	for (unsigned i = f->from + 1; i < NODES; i++) {
		unsigned node = f->sorted[i], l = level[f->parent[node]] + 1u;

		if (l > max) {
			l = max;
			over++;
		}
		level[node] = (uint16_t)l;
		if (node < symbols) {
			lengths[node] = (uint8_t)l;
			count[l]++;
		}
	}
	if (over == 0)
		return;
	for (; over > 0; over -= 2) {
		unsigned l = max - 1;

		while (count[l] == 0)
			l--;
		count[l]--;
		count[l + 1] = (uint16_t)(count[l + 1] + 2);
		count[max]--;
	}
	at = NODES;
	for (unsigned l = max; l >= 1; l--)
		for (unsigned k = count[l]; k > 0;) {
			unsigned node = f->sorted[--at];

			if (node >= symbols)
				continue;
			lengths[node] = (uint8_t)l;
			k--;
		}
}

/* Returns the last symbol that has a code; there are always two. */
static unsigned lengths_make(uint8_t *lengths, const uint32_t *freq, unsigned symbols,
			     unsigned max)
{
	struct forest f = { .n = 0 };
	unsigned last = 0;

	memset(lengths, 0, symbols);
	for (unsigned i = 0; i < symbols; i++) {
		f.freq[i] = freq[i];
		if (freq[i]) {
			f.heap[++f.n] = (uint16_t)i;
			last = i;
		}
	}
	if (f.n == 0)
		last = UINT32_MAX;
	while (f.n < 2) {
		unsigned node = last == UINT32_MAX || last < 2 ? ++last : 0;

		f.freq[node] = 1;
		f.heap[++f.n] = (uint16_t)node;
	}
	forest_join(&f, symbols);
	forest_lengths(&f, lengths, symbols, max);
	return last;
}

struct run {
	uint8_t symbol, rest, bits;
};

/* Code lengths of one code as runs. */
static unsigned runs_make(struct run *runs, const uint8_t *lengths, unsigned n)
{
	unsigned k = 0, before_it = UINT32_MAX;

	for (unsigned i = 0; i < n;) {
		unsigned len = lengths[i], same = 1,
			 most = len == 0           ? 138
				: len == before_it ? 6
						   : 7;

		while (i + same < n && lengths[i + same] == len && same < most)
			same++;
		i += same;
		if (len == 0 && same >= 3) {
			runs[k++] =
				same <= 10
					? (struct run){ ZEROS_SHORT, (uint8_t)(same - 3), 3 }
					: (struct run){ ZEROS_LONG, (uint8_t)(same - 11), 7 };
			before_it = 0;
			continue;
		}
		if (len != 0 && same >= (len == before_it ? 3u : 4u)) {
			if (len != before_it) {
				runs[k++] = (struct run){ (uint8_t)len, 0, 0 };
				same--;
			}
			runs[k++] = (struct run){ REPEAT, (uint8_t)(same - 3), 2 };
			before_it = len;
			continue;
		}
		while (same--)
			runs[k++] = (struct run){ (uint8_t)len, 0, 0 };
		before_it = len;
	}
	return k;
}

void codes_assign(uint16_t *ret, const uint8_t *lengths, unsigned n)
{
	uint16_t count[16] = { 0 }, next[16];
	unsigned code = 0;

	for (unsigned i = 0; i < n; i++)
		count[lengths[i]]++;
	count[0] = 0;
	for (unsigned l = 1; l < 16; l++)
		next[l] = (uint16_t)(code = (code + count[l - 1]) << 1);
	for (unsigned i = 0; i < n; i++) {
		unsigned r = 0, c = lengths[i] ? next[lengths[i]]++ : 0;

		for (unsigned b = 0; b < lengths[i]; b++)
			r |= (c >> b & 1) << (lengths[i] - 1 - b);
		ret[i] = (uint16_t)r;
	}
}

static void header_put(struct block_plan *p, unsigned v, unsigned n)
{
	for (; n; n--, v >>= 1, p->header_bits++)
		p->header[p->header_bits / 8] |= (uint8_t)((v & 1) << p->header_bits % 8);
}

static void header_make(struct block_plan *p, unsigned n_lit, unsigned n_dist)
{
	struct run runs[LIT_CODES + DIST_CODES];
	uint32_t freq[LENGTH_CODES] = { 0 };
	uint8_t lengths[LENGTH_CODES];
	uint16_t code[LENGTH_CODES];
	unsigned n = runs_make(runs, p->codes.lit, n_lit), n_lengths = LENGTH_CODES;

	n += runs_make(runs + n, p->codes.dist, n_dist);
	for (unsigned i = 0; i < n; i++)
		freq[runs[i].symbol]++;
	lengths_make(lengths, freq, LENGTH_CODES, 7);
	/* A length other than 0 is always among them, so more than the first four remain. */
	while (lengths[length_order[n_lengths - 1]] == 0)
		n_lengths--;
	codes_assign(code, lengths, LENGTH_CODES);
	memset(p->header, 0, sizeof(p->header));
	p->header_bits = 0;
	header_put(p, n_lit - 257, 5);
	header_put(p, n_dist - 1, 5);
	header_put(p, n_lengths - 4, 4);
	for (unsigned i = 0; i < n_lengths; i++)
		header_put(p, lengths[length_order[i]], 3);
	for (unsigned i = 0; i < n; i++) {
		header_put(p, code[runs[i].symbol], lengths[runs[i].symbol]);
		header_put(p, runs[i].rest, runs[i].bits);
	}
}

void codes_fixed(struct codes *c)
{
	memset(c->lit, 8, 144);
	memset(c->lit + 144, 9, 112);
	memset(c->lit + 256, 7, 24);
	memset(c->lit + 280, 8, 8);
	memset(c->dist, 5, sizeof(c->dist));
}

static uint64_t tokens_bits(const struct block_count *c, const struct codes *codes)
{
	uint64_t n = 0;
	unsigned extra;

	for (unsigned i = 0; i < LIT_CODES; i++) {
		extra = i < 265 || i == 285 ? 0 : (i - 261) / 4;
		n += (uint64_t)c->lit[i] * (codes->lit[i] + extra);
	}
	for (unsigned i = 0; i < DIST_CODES; i++) {
		extra = i < 4 ? 0 : i / 2 - 1;
		n += (uint64_t)c->dist[i] * (codes->dist[i] + extra);
	}
	return n;
}

void block_plan(struct block_plan *ret, const struct block_count *c, uint64_t bytes,
		bool only_fixed)
{
	struct codes fixed = { .lit = { 0 } };
	unsigned n_lit, n_dist;
	uint64_t dynamic_bytes, fixed_bytes, least;

	memset(&ret->codes, 0, sizeof(ret->codes));
	n_lit = lengths_make(ret->codes.lit, c->lit, LIT_CODES, 15) + 1;
	n_dist = lengths_make(ret->codes.dist, c->dist, DIST_CODES, 15) + 1;
	header_make(ret, n_lit, n_dist);
	codes_fixed(&fixed);
	dynamic_bytes = (tokens_bits(c, &ret->codes) + ret->header_bits + 3 + 7) >> 3;
	fixed_bytes = (tokens_bits(c, &fixed) + 3 + 7) >> 3;
	least = fixed_bytes <= dynamic_bytes || only_fixed ? fixed_bytes : dynamic_bytes;
	ret->kind = BLOCK_DYNAMIC;
	if (bytes + 4 <= least)
		ret->kind = BLOCK_STORED;
	else if (fixed_bytes == least) {
		ret->kind = BLOCK_FIXED;
		ret->codes = fixed;
	}
}
