#include "delta/guess.h"

#include <stdlib.h>
#include <string.h>

enum {
	TOO_FAR = 4096, /* a match of 3 is not worth a larger distance */
	LOOKAHEAD = MATCH_MAX + MATCH_MIN + 1,
	FILTERED_MIN = 6,
	GZIP_WINDOW = 2 * DEFLATE_WINDOW,
	GZIP_SLIDE = DEFLATE_WINDOW + DEFLATE_WINDOW - LOOKAHEAD,
	GZIP_TOKENS = 32768,
	GZIP_LOOK = 4096, /* tokens between two thoughts about ending the block */
};

/* Lazy: below it a longer match is looked for; greedy: up to it a match's bytes are inserted. */
static const struct {
	uint16_t good, lazy, nice, chain;
} levels[10] = {
	{ 0, 0, 0, 0 },         { 4, 4, 8, 4 },      { 4, 5, 16, 8 },
	{ 4, 6, 32, 32 },       { 4, 4, 16, 16 },    { 8, 16, 32, 32 },
	{ 8, 16, 128, 128 },    { 8, 32, 128, 256 }, { 32, 128, 258, 1024 },
	{ 32, 258, 258, 4096 },
};

bool guess_init(struct guess *g, const struct guess_how *how, const uint8_t *plain, uint32_t n,
		struct err *e)
{
	unsigned hash_bits = how->is_gzip ? 15 : how->memory + 7u;
	uint32_t window = 1u << how->window_bits;

	*g = (struct guess){ .how = *how, .p = plain, .n = n };
	g->is_lazy =
		how->level > 3 && how->strategy != GUESS_HUFFMAN && how->strategy != GUESS_RLE;
	g->good = levels[how->level].good;
	g->lazy = levels[how->level].lazy;
	g->nice = levels[how->level].nice;
	g->chain = levels[how->level].chain;
	g->max_dist = window - LOOKAHEAD;
	g->window_mask = window - 1;
	g->shift = (hash_bits + MATCH_MIN - 1) / MATCH_MIN;
	g->mask = (1u << hash_bits) - 1;
	g->head = calloc((size_t)g->mask + 1, sizeof(*g->head));
	g->prev = malloc(window * sizeof(*g->prev)); /* read where inserted only */
	if (!g->head || !g->prev) {
		guess_done(g);
		return err_nomem(e);
	}
	return true;
}

void guess_done(struct guess *g)
{
	free(g->head);
	free(g->prev);
	g->head = g->prev = NULL;
}

static inline const uint8_t *byte_at(const struct guess *g, uint32_t at)
{
	return g->p + (at - g->p_at);
}

/* gzip's window moves and reads when less than LOOKAHEAD bytes are left in it. */
static void gzip_fill(struct guess *g, uint32_t at)
{
	while (g->filled < at + LOOKAHEAD && !g->is_end) {
		uint32_t more;

		if (at - g->base >= GZIP_SLIDE)
			g->base += DEFLATE_WINDOW;
		more = g->base + GZIP_WINDOW - g->filled;
		if (more > g->n - g->filled)
			more = g->n - g->filled;
		g->filled += more;
		g->is_end = more == 0;
	}
}

/* A byte of gzip's window, also up to MATCH_MAX behind the input: two zeros, then what stood there
 * before. */
static uint8_t gzip_byte(const struct guess *g, uint32_t at)
{
	if (at < g->n)
		return *byte_at(g, at);
	if (at < g->n + MATCH_MIN - 1 || g->base == 0)
		return 0;
	return *byte_at(g, at - DEFLATE_WINDOW);
}

static void insert(struct guess *g, uint32_t at)
{
	uint32_t h;

	const uint8_t *p = byte_at(g, at);

	if (at + 2 < g->n)
		h = (uint32_t)p[0] << 2 * g->shift ^ (uint32_t)p[1] << g->shift ^ p[2];
	else if (g->how.is_gzip)
		h = (uint32_t)gzip_byte(g, at) << 2 * g->shift ^
		    (uint32_t)gzip_byte(g, at + 1) << g->shift ^ gzip_byte(g, at + 2);
	else
		return;
	h &= g->mask;
	g->prev[at & g->window_mask] = g->head[h];
	g->head[h] = at;
}

static void insert_to(struct guess *g, uint32_t end)
{
	for (; g->inserted < end; g->inserted++)
		insert(g, g->inserted);
}

/* How many bytes in memory are zero before the first that is not. */
static inline uint32_t zero_bytes(uint64_t v)
{
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		return (uint32_t)__builtin_clzll(v) >> 3;
	return (uint32_t)__builtin_ctzll(v) >> 3;
}

static uint32_t same_bytes(const uint8_t *a, const uint8_t *b, uint32_t max)
{
	uint32_t n = 0;

	while (n + 8 <= max) {
		uint64_t x, y;

		memcpy(&x, a + n, 8);
		memcpy(&y, b + n, 8);
		if (x != y)
			return n + zero_bytes(x ^ y);
		n += 8;
	}
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

/* The longest match at `at` that is longer than `best`, along the chain from candidate. */
static struct guess_match chain_search(struct guess *g, uint32_t at, uint32_t cand,
				       uint32_t best)
{
	uint32_t most = best >= g->good ? g->chain >> 2 : g->chain, chain = most;
	uint32_t limit = at > g->max_dist ? at - g->max_dist : 0;
	uint32_t left = g->n - at, max = left < MATCH_MAX ? left : MATCH_MAX;
	uint32_t nice = g->nice < left ? g->nice : left;
	struct guess_match m = { .len = best };
	const uint8_t *s = byte_at(g, at);

	if (best >= max)
		return m;
	do {
		const uint8_t *c = byte_at(g, cand);
		uint32_t len;

		if (c[best] != s[best] || c[best - 1] != s[best - 1] || c[0] != s[0] ||
		    c[1] != s[1])
			continue;
		len = same_bytes(s, c, max);
		if (len > best) {
			m = (struct guess_match){ .len = best = len, .start = cand };
			if (len >= nice)
				break;
		}
	} while ((cand = g->prev[cand & g->window_mask]) > limit && --chain != 0);
	g->steps += most - chain;
	return m;
}

/* The same for gzip near the end of the input, where it compares what is behind it too. */
static struct guess_match gzip_end_search(struct guess *g, uint32_t at, uint32_t cand,
					  uint32_t best)
{
	uint32_t most = best >= g->good ? g->chain >> 2 : g->chain, chain = most;
	uint32_t limit = at > g->max_dist ? at - g->max_dist : 0;
	struct guess_match m = { .len = best };

	do {
		uint32_t len = 0;

		while (len < MATCH_MAX && gzip_byte(g, at + len) == gzip_byte(g, cand + len))
			len++;
		if (len > best) {
			m = (struct guess_match){ .len = best = len, .start = cand };
			if (len >= g->nice)
				break;
		}
	} while ((cand = g->prev[cand & g->window_mask]) > limit && --chain != 0);
	g->steps += most - chain;
	if (m.len > g->n - at)
		m.len = g->n - at;
	return m;
}

static struct guess_match run_search(const struct guess *g, uint32_t at)
{
	struct guess_match m = { .len = 2 };
	const uint8_t *p = byte_at(g, at);
	uint32_t left = g->n - at, len;

	if (at == 0 || left < MATCH_MIN)
		return m;
	len = same_bytes(p, p - 1, left < MATCH_MAX ? left : MATCH_MAX);
	return len >= MATCH_MIN ? (struct guess_match){ .len = len, .start = at - 1 } : m;
}

/* What the encoder has found when it stands at `at`, knowing a match of `best` just before. */
static struct guess_match search(struct guess *g, uint32_t at, uint32_t best)
{
	struct guess_match none = { .len = 2 }, m;
	uint32_t cand;

	if (g->how.is_gzip)
		gzip_fill(g, at);
	insert_to(g, at + 1);
	if (!g->how.is_gzip && g->n - at < MATCH_MIN)
		return none;
	cand = g->prev[at & g->window_mask];
	if (cand == 0 || at - cand > g->max_dist)
		return none;
	if (!g->how.is_gzip)
		m = chain_search(g, at, cand, best);
	else if (at - g->base > GZIP_SLIDE)
		return none;
	else
		m = g->n - at < MATCH_MAX ? gzip_end_search(g, at, cand, best)
					  : chain_search(g, at, cand, best);
	if (!g->is_lazy)
		return m;
	if ((m.len == MATCH_MIN && at - m.start > TOO_FAR) ||
	    (g->how.strategy == GUESS_FILTERED && m.len < FILTERED_MIN))
		return none;
	return m;
}

static struct token token_of(const struct guess *g, const struct guess_match *m)
{
	if (m->len < MATCH_MIN)
		return (struct token){ .len = 1 };
	return (struct token){ .len = (uint16_t)m->len, .dist = (uint16_t)(g->at - m->start) };
}

struct token guess_next(struct guess *g)
{
	if (g->how.strategy == GUESS_HUFFMAN)
		return (struct token){ .len = 1 };
	if (g->how.strategy == GUESS_RLE)
		g->now = run_search(g, g->at);
	else if (!g->has_now)
		g->now = search(g, g->at, 2);
	g->has_now = true;
	g->next.len = 0;
	if (g->is_lazy && g->now.len >= MATCH_MIN) {
		if (g->now.len < g->lazy)
			g->next = search(g, g->at + 1, g->now.len);
		if (g->next.len > g->now.len)
			return (struct token){ .len = 1 };
	}
	return token_of(g, &g->now);
}

static bool has_chains(const struct guess *g)
{
	return g->how.strategy != GUESS_HUFFMAN && g->how.strategy != GUESS_RLE;
}

uint32_t guess_nearest(struct guess *g, uint32_t len)
{
	const uint8_t *p = byte_at(g, g->at);
	uint32_t limit = g->at > g->max_dist ? g->at - g->max_dist : 0, cand;

	if (!has_chains(g) || len > g->n - g->at)
		return 0;
	for (cand = g->prev[g->at & g->window_mask]; cand > limit;
	     cand = g->prev[cand & g->window_mask], g->steps++)
		if (same_bytes(p, byte_at(g, cand), len) == len)
			return g->at - cand;
	return 0;
}

void guess_commit(struct guess *g, const struct token *t)
{
	uint32_t end = g->at + t->len;

	if (t->dist == 0) {
		g->has_now = g->next.len > g->now.len;
		g->now = g->next;
	} else if (!has_chains(g)) {
		g->has_now = false;
	} else {
		insert_to(g, g->at + 1);
		g->has_now = false;
		if (g->is_lazy ||
		    (t->len <= g->lazy && (g->how.is_gzip || g->n - end >= MATCH_MIN)))
			insert_to(g, end);
		else
			g->inserted = end > g->inserted ? end : g->inserted;
	}
	g->at = end;
}

void guess_skip(struct guess *g, uint32_t n)
{
	g->at += n;
	g->has_now = false;
	g->next.len = g->now.len = 0;
	if (has_chains(g))
		insert_to(g, g->at);
}

bool guess_is_slow(const struct guess *g)
{
	return g->steps > GUESS_STEPS_MAX ||
	       g->steps > GUESS_STEPS_FREE + (uint64_t)GUESS_STEPS_PER_BYTE * g->n;
}

bool guess_full(const struct guess *g, const struct block_count *c, uint32_t block_start,
		const struct token *last)
{
	uint64_t in, out;

	/* The last byte was waiting for a match; nobody asks then. */
	if (g->is_lazy && g->at == g->n && last->dist == 0)
		return false;
	if (!g->how.is_gzip)
		return c->tokens == (1u << (g->how.memory + 6)) - 1;
	if (c->tokens == GZIP_TOKENS - 1)
		return true;
	if (g->how.level <= 2 || c->tokens % GZIP_LOOK)
		return false;
	/* What a rough sum says, taken when a lazy match has seen one byte more, a greedy one none. */
	in = g->at - last->len + g->is_lazy - block_start;
	out = (uint64_t)c->tokens * 8;
	for (unsigned i = 0; i < DIST_CODES; i++)
		out += (uint64_t)c->dist[i] * (5 + (i < 4 ? 0 : i / 2 - 1));
	return c->matches < c->tokens / 2 && out >> 3 < in / 2;
}
