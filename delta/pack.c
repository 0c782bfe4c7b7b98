/* Plain bytes and a recipe become a deflate stream again. */
#include "delta/deflate.h"

#include <stdlib.h>
#include <string.h>

enum {
	OUT_SIZE = 4096,
	TOKENS_MAX = 1 << 18, /* of one block: 1 MiB */
	STORED_MAX = UINT16_MAX,
	/* Plain bytes at hand: behind the place of packing what a stored block may need, before it
	 * what a guess looks at, and room to read much at a time. */
	BEHIND = STORED_MAX > GUESS_BEFORE ? STORED_MAX : GUESS_BEFORE,
	PLAIN_SIZE = 1 << 18,
};

_Static_assert(PLAIN_SIZE >= BEHIND + STORED_MAX + GUESS_AHEAD + PLAIN_ROOM, "room to read");

struct pack {
	const struct packer *to;
	const struct plain *from;
	uint8_t *plain; /* PLAIN_SIZE; the guess's p and p_at say which bytes */
	uint32_t have;  /* bytes of the stream that came */
	struct wrap_sum sum;
	struct recipe recipe;
	struct block_fix block_fix;
	struct token_fix token_fix;
	struct guess guess;
	struct token *tokens; /* of the block; heap */
	size_t n_tokens, cap;
	struct block_count count;
	struct block_plan plan;
	uint64_t work;          /* at most, steps of the guess */
	struct inflate inflate; /* reads descriptions that the recipe brings */
	uint64_t out_total, hold;
	unsigned held;
	size_t out_n;
	uint8_t out[OUT_SIZE];
};

static bool out_flush(struct pack *k, struct err *e)
{
	size_t n = k->out_n;

	k->out_n = 0;
	k->out_total += n;
	return n == 0 || k->to->put(k->to->ctx, k->out, n, e);
}

static bool out_byte(struct pack *k, uint8_t v, struct err *e)
{
	k->out[k->out_n++] = v;
	return k->out_n < OUT_SIZE || out_flush(k, e);
}

static inline bool out_bits(struct pack *k, uint32_t v, unsigned n, struct err *e)
{
	k->hold |= (uint64_t)v << k->held;
	for (k->held += n; k->held >= 8; k->held -= 8, k->hold >>= 8)
		if (!out_byte(k, (uint8_t)k->hold, e))
			return false;
	return true;
}

static bool wrong(struct err *e)
{
	return err_set(e, E_CORRUPT, "deflate: the recipe does not fit its stream");
}

/* Brings the bytes up to `end`, or all. */
static bool plain_bring(struct pack *k, uint64_t end, struct err *e)
{
	struct guess *g = &k->guess;

	while (k->have < end && k->have < g->n) {
		size_t n = 0;

		if (PLAIN_SIZE - (k->have - g->p_at) < PLAIN_ROOM) {
			uint32_t from = g->at > BEHIND ? g->at - BEHIND : 0;

			memmove(k->plain, k->plain + (from - g->p_at), k->have - from);
			g->p_at = from;
		}
		uint8_t *p = k->plain + (k->have - g->p_at);

		if (!k->from->read(k->from->ctx, p, PLAIN_SIZE - (k->have - g->p_at), &n, e))
			return false;
		wrap_add(&k->sum, p, n);
		k->have += (uint32_t)n;
	}
	return true;
}

/* Literals keep their byte in the place of their length. */
static bool token_keep(struct pack *k, const struct token *t, struct err *e)
{
	if (k->n_tokens == TOKENS_MAX)
		return wrong(e);
	if (k->n_tokens == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 4096;
		struct token *v = reallocarray(k->tokens, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		k->tokens = v;
		k->cap = cap;
	}
	k->tokens[k->n_tokens] = *t;
	if (t->dist == 0)
		k->tokens[k->n_tokens].len = k->plain[k->guess.at - k->guess.p_at];
	k->n_tokens++;
	return true;
}

/* The next token: as guessed, or as the recipe says. */
static bool token_choose(struct pack *k, struct token *ret, struct err *e)
{
	struct token t = guess_next(&k->guess), is;

	*ret = t;
	if (k->token_fix.gap == UINT64_MAX)
		return true;
	if (k->token_fix.gap-- > 0)
		return true;
	is = k->token_fix.is;
	if (k->token_fix.kind == FIX_SAME_DIST)
		is.dist = t.dist;
	else if (k->token_fix.kind == FIX_NEAREST)
		is.dist = (uint16_t)guess_nearest(&k->guess, is.len);
	if (is.len > k->guess.n - k->guess.at || is.dist > k->guess.at ||
	    (is.dist == 0) != (k->token_fix.kind == FIX_LITERAL))
		return wrong(e);
	*ret = is;
	return token_fix_next(&k->recipe, &k->token_fix, e);
}

static bool is_too_slow(const struct pack *k)
{
	return k->guess.steps > k->work || guess_is_slow(&k->guess);
}

/* Tokens up to the end of the block; *ret_full: the encoder ended it by itself, not the input's end. */
static bool block_tokens(struct pack *k, const struct block_fix *fix, bool *ret_full,
			 struct err *e)
{
	uint32_t start = k->guess.at;

	*ret_full = false;
	while (fix && fix->has_count ? k->n_tokens < fix->count
				     : !*ret_full && k->guess.at < k->guess.n) {
		struct token t;

		if (k->guess.at == k->guess.n || is_too_slow(k))
			return wrong(e);
		if (!plain_bring(k, (uint64_t)k->guess.at + GUESS_AHEAD, e) ||
		    !token_choose(k, &t, e) || !token_keep(k, &t, e))
			return false;
		count_token(&k->count, &t, k->plain[k->guess.at - k->guess.p_at]);
		guess_commit(&k->guess, &t);
		*ret_full = guess_full(&k->guess, &k->count, start, &t);
	}
	return true;
}

/* The description of a dynamic block that the recipe brings. */
static bool header_take(struct pack *k, const struct block_fix *fix, struct err *e)
{
	struct packed_memory m;
	struct inflate *z = &k->inflate;

	inflate_init(z, packed_of(&m, fix->header, (fix->header_bits + 7) / 8));
	if (!inflate_dynamic(z, e))
		return false;
	if (z->header_bits != fix->header_bits)
		return wrong(e);
	memset(&k->plan.codes, 0, sizeof(k->plan.codes));
	memcpy(k->plan.codes.lit, z->lengths, z->n_lit);
	memcpy(k->plan.codes.dist, z->lengths + z->n_lit, z->n_dist);
	memcpy(k->plan.header, fix->header, (fix->header_bits + 7) / 8);
	k->plan.header_bits = (unsigned)fix->header_bits;
	return true;
}

static bool plan_block(struct pack *k, const struct block_fix *fix, uint64_t bytes,
		       struct err *e)
{
	k->guess.steps += GUESS_STEPS_PER_BLOCK;
	if (is_too_slow(k))
		return wrong(e);
	if (!fix || (fix->kind == BLOCK_DYNAMIC && !fix->has_header))
		block_plan(&k->plan, &k->count, bytes, k->recipe.how.strategy == GUESS_FIXED);
	if (!fix)
		return true;
	if (fix->kind == BLOCK_FIXED)
		codes_fixed(&k->plan.codes);
	else if (fix->kind == BLOCK_DYNAMIC && !fix->has_header &&
		 k->plan.kind != BLOCK_DYNAMIC)
		return wrong(e);
	k->plan.kind = fix->kind;
	return !fix->has_header || header_take(k, fix, e);
}

static bool write_stored(struct pack *k, uint32_t from, uint64_t n, struct err *e)
{
	if (n > STORED_MAX)
		return wrong(e);
	if (!out_bits(k, 0, (8 - k->held) & 7, e) || !out_bits(k, (uint32_t)n, 16, e) ||
	    !out_bits(k, (uint32_t)(n ^ UINT16_MAX), 16, e))
		return false;
	for (uint64_t i = 0; i < n; i++)
		if (!out_byte(k, k->plain[from - k->guess.p_at + i], e))
			return false;
	return true;
}

static bool write_tokens(struct pack *k, struct err *e)
{
	const struct codes *c = &k->plan.codes;
	uint16_t lit[288], dist[32];

	codes_assign(lit, c->lit, 288);
	codes_assign(dist, c->dist, 32);
	for (size_t i = 0; i < k->n_tokens; i++) {
		const struct token *t = &k->tokens[i];
		unsigned s = t->dist ? length_symbol(t->len) : t->len, more, bits;

		if (c->lit[s] == 0)
			return wrong(e);
		if (!out_bits(k, lit[s], c->lit[s], e))
			return false;
		if (t->dist == 0)
			continue;
		more = length_rest(t->len, &bits);
		if (!out_bits(k, more, bits, e))
			return false;
		s = dist_symbol(t->dist);
		if (c->dist[s] == 0)
			return wrong(e);
		more = dist_rest(t->dist, &bits);
		if (!out_bits(k, dist[s], c->dist[s], e) || !out_bits(k, more, bits, e))
			return false;
	}
	return out_bits(k, lit[256], c->lit[256], e);
}

static bool write_header(struct pack *k, struct err *e)
{
	unsigned n = k->plan.header_bits;

	for (unsigned i = 0; i < n; i += 8)
		if (!out_bits(k, k->plan.header[i / 8], n - i < 8 ? n - i : 8, e))
			return false;
	return true;
}

static bool write_block(struct pack *k, uint32_t from, bool is_final, struct err *e)
{
	if (!out_bits(k, (uint32_t)is_final | (uint32_t)k->plan.kind << 1, 3, e))
		return false;
	if (k->plan.kind == BLOCK_STORED)
		return write_stored(k, from, k->guess.at - from, e);
	if (k->plan.kind == BLOCK_DYNAMIC && !write_header(k, e))
		return false;
	return write_tokens(k, e);
}

static bool block_make(struct pack *k, bool *ret_final, struct err *e)
{
	struct block_fix now = k->block_fix, *fix = NULL;
	uint32_t from = k->guess.at;
	bool is_full = false;

	if (now.gap == 0) {
		fix = &now;
		if (!block_fix_next(&k->recipe, &k->block_fix, e))
			return false;
	} else if (now.gap != UINT64_MAX) {
		k->block_fix.gap--;
	}
	k->n_tokens = 0;
	count_start(&k->count);
	if (fix && fix->kind == BLOCK_STORED && fix->has_count) {
		if (fix->count > k->guess.n - from || fix->count > STORED_MAX)
			return wrong(e);
		if (!plain_bring(k, from + fix->count + GUESS_AHEAD, e))
			return false;
		guess_skip(&k->guess, (uint32_t)fix->count);
	} else if (!block_tokens(k, fix, &is_full, e)) {
		return false;
	}
	*ret_final = fix ? fix->is_final : !is_full;
	return plan_block(k, fix, k->guess.at - from, e) && write_block(k, from, *ret_final, e);
}

static bool stream_make(struct pack *k, struct err *e)
{
	uint8_t end[WRAP_MAX];
	bool is_final = false;

	while (!is_final)
		if (!block_make(k, &is_final, e))
			return false;
	if (k->guess.at != k->guess.n)
		return wrong(e);
	if (k->held && !out_byte(k, (uint8_t)(k->hold | k->recipe.padding << k->held), e))
		return false;
	if (!out_flush(k, e))
		return false;
	wrap_make(end, &k->sum, k->out_total);
	return wrap_size(k->recipe.wrap) == 0 ||
	       k->to->put(k->to->ctx, end, wrap_size(k->recipe.wrap), e);
}

bool deflate_pack(const struct packer *to, const uint8_t *recipe, size_t recipe_n,
		  const struct plain *from, struct err *e)
{
	struct pack *k;
	bool ok = false;

	if (from->size > LIMIT_DELTA_STREAM)
		return wrong(e);
	k = malloc(sizeof(*k));
	if (!k || !(k->plain = malloc(PLAIN_SIZE))) {
		free(k);
		return err_nomem(e);
	}
	k->to = to;
	k->from = from;
	k->have = 0;
	k->tokens = NULL;
	k->cap = k->out_n = 0;
	k->out_total = k->hold = 0;
	k->held = 0;
	if (recipe_parse(&k->recipe, recipe, recipe_n, e) &&
	    block_fix_next(&k->recipe, &k->block_fix, e) &&
	    token_fix_next(&k->recipe, &k->token_fix, e) &&
	    guess_init(&k->guess, &k->recipe.how, k->plain, from->size, e)) {
		wrap_start(&k->sum, k->recipe.wrap);
		k->work = to->work ? *to->work : GUESS_STEPS_MAX;
		ok = stream_make(k, e);
		if (ok && to->work)
			*to->work -= k->guess.steps;
		guess_done(&k->guess);
	}
	free(k->tokens);
	free(k->plain);
	free(k);
	return ok;
}
