/* Who made a deflate stream?  First the levels are tried on the beginning, then the likeliest ways
 * are followed to the end, and what came out best is proved by packing. */
#include "delta/deflate.h"

#include <stdlib.h>
#include <string.h>

enum {
	TRIAL_TOKENS = 4096,
	LEVELS = 9,
	FOLLOWED =
		3, /* levels that are followed to the end though their beginning is not right */
	FOLLOWED_SLOW = 4, /* how often it may take as long as packing may */
	WORTH = 3,         /* a recipe must be so many times smaller than what it replaces */
	FREE = 16,         /* bytes that any recipe may have */
};

struct explain {
	const uint8_t *packed, *plain;
	uint32_t plain_n;
	size_t packed_n, used; /* used: without what is behind the stream */
	struct packed_memory memory;
	struct inflate inflate;
	struct block_plan plan;
	enum wrap wrap;
	uint8_t padding;
	uint32_t blocks, first_tokens, max_dist, min_len;
	bool only_fixed, stored_is_explicit;
	struct buf blocks_buf, tokens_buf, best;
	uint64_t steps;           /* of all guesses so far */
	uint64_t work;            /* of packing */
	size_t limit, best_fixes; /* bytes of corrections: at most; of the best so far */
	bool gave_up;             /* it took too long: no more guesses */
	bool stopped;             /* it was not followed to the end: no good */
};

static void restart(struct explain *x)
{
	inflate_init(&x->inflate, packed_of(&x->memory, x->packed, x->packed_n));
}

/* Walks through the stream: what can be known without a guess. */
static bool survey(struct explain *x, struct err *e)
{
	struct inflate *z = &x->inflate;
	uint64_t at = 0;

	restart(x);
	x->min_len = MATCH_MAX;
	x->only_fixed = true;
	do {
		uint32_t tokens = 0;
		struct token t;
		uint8_t literal;
		bool end;

		if (!inflate_block(z, e))
			return false;
		if (z->kind == BLOCK_STORED) {
			if (!inflate_stored(z, NULL, e))
				return false;
			at += z->stored;
			x->blocks++;
			continue;
		}
		x->only_fixed &= z->kind == BLOCK_FIXED;
		for (;; tokens++) {
			if (!inflate_token(z, &t, &literal, &end, at, e))
				return false;
			if (end)
				break;
			at += t.len;
			if (t.dist > x->max_dist)
				x->max_dist = t.dist;
			if (t.dist && t.len < x->min_len)
				x->min_len = t.len;
		}
		if (x->blocks++ == 0)
			x->first_tokens = z->final ? 0 : tokens;
	} while (!z->final);
	x->used = (size_t)inflate_used(z);
	if (inflate_bit(z) & 7)
		x->padding = (uint8_t)(x->packed[x->used - 1] >> (inflate_bit(z) & 7));
	return at == x->plain_n || err_set(e, E_CORRUPT, "deflate: a stream has another size");
}

static bool wrap_find(struct explain *x)
{
	uint8_t want[WRAP_MAX];
	struct wrap_sum sum;
	size_t rest = x->packed_n - x->used;

	for (enum wrap w = WRAP_NONE; w <= WRAP_ZIP; w++) {
		if (wrap_size(w) != rest)
			continue;
		x->wrap = w;
		wrap_start(&sum, w);
		wrap_add(&sum, x->plain, x->plain_n);
		wrap_make(want, &sum, x->used);
		return memcmp(want, x->packed + x->used, rest) == 0;
	}
	return false;
}

/* Ends a guess, and the search when it took too long: for streams made to be slow. */
static void guess_end(struct explain *x, struct guess *g)
{
	x->steps += g->steps;
	if (x->steps >
	    FOLLOWED_SLOW * (GUESS_STEPS_FREE + (uint64_t)GUESS_STEPS_PER_BYTE * x->plain_n))
		x->gave_up = true;
	guess_done(g);
}

static bool same_token(const struct token *a, const struct token *b)
{
	return a->len == b->len && a->dist == b->dist;
}

/* How many of the first tokens are guessed wrong. */
static bool trial(struct explain *x, const struct guess_how *how, uint32_t give_up,
		  uint32_t *ret_wrong, struct err *e)
{
	struct inflate *z = &x->inflate;
	struct guess g;
	uint32_t wrong = 0, left = TRIAL_TOKENS;
	struct token t;
	uint8_t literal;
	bool end, ok = true;

	if (!guess_init(&g, how, x->plain, x->plain_n, e))
		return false;
	restart(x);
	do {
		ok = inflate_block(z, e);
		if (ok && z->kind == BLOCK_STORED) {
			ok = inflate_stored(z, NULL, e);
			guess_skip(&g, ok ? z->stored : 0);
			continue;
		}
		while (ok && left && wrong <= give_up) {
			struct token guessed;

			ok = inflate_token(z, &t, &literal, &end, g.at, e);
			if (!ok || end)
				break;
			guessed = guess_next(&g);
			wrong += !same_token(&guessed, &t);
			guess_commit(&g, &t);
			left--;
		}
	} while (ok && !z->final && left && wrong <= give_up && !guess_is_slow(&g));
	guess_end(x, &g);
	*ret_wrong = wrong;
	return ok;
}

struct follow {
	struct explain *x;
	struct guess g;
	struct block_count count;
	uint64_t blocks_right, tokens_right;
};

/* A stored block as zlib and gzip make it: tokens were chosen, then thrown away. */
static bool stored_guess(struct follow *f, uint32_t n, bool *ret_full)
{
	uint32_t start = f->g.at, end = start + n;

	*ret_full = false;
	while (!*ret_full && f->g.at < end && !guess_is_slow(&f->g)) {
		struct token t = guess_next(&f->g);

		count_token(&f->count, &t, f->x->plain[f->g.at]);
		guess_commit(&f->g, &t);
		*ret_full = guess_full(&f->g, &f->count, start, &t);
	}
	f->tokens_right += f->count.tokens;
	return f->g.at == end && (*ret_full || end == f->g.n);
}

static bool token_fix_write(struct follow *f, const struct token *guessed,
			    const struct token *is, struct err *e)
{
	struct token_fix fix = { .gap = f->tokens_right, .is = *is, .kind = FIX_MATCH };

	if (is->dist == 0)
		fix.kind = FIX_LITERAL;
	else if (is->dist == guessed->dist)
		fix.kind = FIX_SAME_DIST;
	else if (is->dist == guess_nearest(&f->g, is->len))
		fix.kind = FIX_NEAREST;
	f->tokens_right = 0;
	return token_fix_add(&f->x->tokens_buf, &fix, e);
}

/* A block's tokens beside the guesses; *ret_count is right if the guess would end there too. */
static bool follow_tokens(struct follow *f, bool *ret_full, bool *ret_count_right,
			  struct err *e)
{
	struct explain *x = f->x;
	uint32_t start = f->g.at;
	bool full = false, early = false, end;
	struct token t, guessed;
	uint8_t literal;

	for (;;) {
		if (!inflate_token(&x->inflate, &t, &literal, &end, f->g.at, e))
			return false;
		if (end)
			break;
		if (guess_is_slow(&f->g)) {
			x->stopped = true;
			return true;
		}
		early |= full;
		guessed = guess_next(&f->g);
		if (same_token(&guessed, &t)) {
			f->tokens_right++;
		} else {
			if (!token_fix_write(f, &guessed, &t, e))
				return false;
			if (x->tokens_buf.n + x->blocks_buf.n > x->limit) {
				x->stopped = true;
				return true;
			}
		}
		count_token(&f->count, &t, literal);
		guess_commit(&f->g, &t);
		full = guess_full(&f->g, &f->count, start, &t);
	}
	*ret_full = full;
	*ret_count_right = !early && (full || f->g.at == f->g.n);
	return true;
}

static bool same_header(const struct explain *x, const struct block_plan *p)
{
	const struct inflate *z = &x->inflate;

	if (z->header_bits != p->header_bits)
		return false;
	for (unsigned i = 0; i < p->header_bits; i++) {
		uint64_t at = z->header + i;

		if ((x->packed[at / 8] >> at % 8 & 1) != (p->header[i / 8] >> i % 8 & 1))
			return false;
	}
	return true;
}

static bool block_fix_write(struct follow *f, struct block_fix *fix, struct err *e)
{
	struct explain *x = f->x;
	uint8_t header[HEADER_MAX] = { 0 };

	for (uint64_t i = 0; fix->has_header && i < fix->header_bits; i++) {
		uint64_t at = x->inflate.header + i;

		header[i / 8] |= (uint8_t)((x->packed[at / 8] >> at % 8 & 1) << i % 8);
	}
	fix->header = header;
	fix->gap = f->blocks_right;
	f->blocks_right = 0;
	return block_fix_add(&x->blocks_buf, fix, e);
}

static bool follow_block(struct follow *f, const struct guess_how *how, struct err *e)
{
	struct explain *x = f->x;
	struct inflate *z = &x->inflate;
	uint32_t start = f->g.at;
	bool full = false, count_right = true;
	struct block_fix fix;

	if (!inflate_block(z, e))
		return false;
	count_start(&f->count);
	if (z->kind != BLOCK_STORED) {
		if (!follow_tokens(f, &full, &count_right, e))
			return false;
		if (x->stopped)
			return true;
	} else if (!inflate_stored(z, NULL, e)) {
		return false;
	} else if (x->stored_is_explicit || z->stored == 0) {
		guess_skip(&f->g, z->stored);
		count_right = false;
	} else if (!stored_guess(f, z->stored, &full)) {
		x->stored_is_explicit = x->stopped = true;
		return true;
	}
	fix = (struct block_fix){ .kind = z->kind, .is_final = z->final };
	block_plan(&x->plan, &f->count, f->g.at - start, how->strategy == GUESS_FIXED);
	fix.has_count = !count_right;
	fix.count = z->kind == BLOCK_STORED ? z->stored : f->count.tokens;
	if (z->kind == BLOCK_DYNAMIC) {
		fix.has_header = x->plan.kind != BLOCK_DYNAMIC || !same_header(x, &x->plan);
		fix.header_bits = z->header_bits;
	}
	if (!fix.has_count && !fix.has_header && x->plan.kind == (enum inflate_kind)z->kind &&
	    z->final == (!full && f->g.at == f->g.n)) {
		f->blocks_right++;
		return true;
	}
	/* Thrown away tokens cannot be told from others' when the kind has to be told. */
	if (z->kind == BLOCK_STORED && !fix.has_count) {
		x->stored_is_explicit = x->stopped = true;
		return true;
	}
	return block_fix_write(f, &fix, e);
}

static bool follow_once(struct explain *x, const struct guess_how *how, struct err *e)
{
	struct follow f = { .x = x };
	bool ok;

	if (!guess_init(&f.g, how, x->plain, x->plain_n, e))
		return false;
	buf_reset(&x->blocks_buf);
	buf_reset(&x->tokens_buf);
	x->stopped = false;
	restart(x);
	do {
		ok = follow_block(&f, how, e);
		if (x->blocks_buf.n + x->tokens_buf.n > x->limit)
			x->stopped = true;
	} while (ok && !x->stopped && !x->inflate.final);
	guess_end(x, &f.g);
	return ok;
}

/* Follows one way; a smaller recipe replaces the best one. */
static bool follow(struct explain *x, const struct guess_how *how, struct err *e)
{
	struct recipe r = { .wrap = x->wrap, .how = *how, .padding = x->padding };

	x->stored_is_explicit = false;
	if (!follow_once(x, how, e))
		return false;
	if (x->stopped && x->stored_is_explicit && !follow_once(x, how, e))
		return false;
	if (x->stopped)
		return true;
	if (x->blocks_buf.n) {
		r.blocks = x->blocks_buf.p;
		r.blocks_end = r.blocks + x->blocks_buf.n;
	}
	if (x->tokens_buf.n) {
		r.tokens = x->tokens_buf.p;
		r.tokens_end = r.tokens + x->tokens_buf.n;
	}
	buf_reset(&x->best);
	if (!recipe_encode(&x->best, &r, e))
		return false;
	x->best_fixes = x->blocks_buf.n + x->tokens_buf.n;
	x->limit = x->best_fixes ? x->best_fixes - 1 : 0;
	return true;
}

static bool has_best(const struct explain *x)
{
	return x->best.n > 0;
}

/* Nothing better can be found, or not in time. */
static bool is_done(const struct explain *x)
{
	return x->best_fixes == 0 || x->gave_up;
}

/* gzip's blocks end after a multiple of 4096 tokens or 32767; zlib's after 2^n - 1. */
static bool looks_like_gzip(const struct explain *x)
{
	return x->first_tokens == 32767 || (x->first_tokens && x->first_tokens % 4096 == 0);
}

/* One level; zlib and gzip choose the same tokens but for the end, so both are followed. */
static bool try_level(struct explain *x, struct guess_how how, bool may_be_gzip, struct err *e)
{
	bool gzip_first = may_be_gzip && looks_like_gzip(x);
	struct guess_how gzip = {
		.is_gzip = true, .level = how.level, .window_bits = 15, .memory = 8
	};

	if (gzip_first && !follow(x, &gzip, e))
		return false;
	if (!is_done(x) && !follow(x, &how, e))
		return false;
	return is_done(x) || gzip_first || !may_be_gzip || follow(x, &gzip, e);
}

/* Levels whose beginning is guessed right are followed at once; then the best of the others. */
static bool try_levels(struct explain *x, struct guess_how how, bool may_be_gzip, struct err *e)
{
	static const uint8_t usual[2][LEVELS] = { { 6, 9, 8, 7, 5, 4, 3, 2, 1 },
						  { 9, 6, 8, 7, 5, 4, 3, 2, 1 } };
	const uint8_t *levels = usual[x->wrap == WRAP_GZIP];
	uint32_t wrong[LEVELS], least = UINT32_MAX;
	bool is_tried[LEVELS] = { false };

	for (unsigned i = 0; i < LEVELS && !is_done(x); i++) {
		how.level = levels[i];
		if (!trial(x, &how, least < TRIAL_TOKENS / 2 ? 2 * least : TRIAL_TOKENS,
			   &wrong[i], e))
			return false;
		is_tried[i] = wrong[i] == 0;
		if (is_tried[i] && !try_level(x, how, may_be_gzip, e))
			return false;
		if (wrong[i] < least)
			least = wrong[i];
	}
	for (unsigned n = 0; n < FOLLOWED && !is_done(x); n++) {
		unsigned best = LEVELS;

		for (unsigned i = 0; i < LEVELS; i++)
			if (!is_tried[i] && (best == LEVELS || wrong[i] < wrong[best]))
				best = i;
		if (best == LEVELS || wrong[best] > 2 * least + LEVELS)
			break;
		how.level = levels[best];
		is_tried[best] = true;
		if (!try_level(x, how, may_be_gzip, e))
			return false;
	}
	return true;
}

/* The usual parameters first; others where what was seen of the stream allows them. */
static bool choose(struct explain *x, struct err *e)
{
	struct guess_how usual = { .window_bits = 15, .memory = 8 }, how;
	unsigned window = 9;

	for (unsigned m = 1; m <= 9; m++)
		if (x->first_tokens == (1u << (m + 6)) - 1)
			usual.memory = (uint8_t)m;
	while (window < 15 && x->max_dist > (1u << window) - MATCH_MAX - MATCH_MIN - 1)
		window++;
	how = usual;
	if (x->max_dist == 0)
		how.strategy = GUESS_HUFFMAN;
	else if (x->max_dist == 1)
		how.strategy = GUESS_RLE;
	if (how.strategy && !try_levels(x, how, false, e))
		return false;
	if (!is_done(x) && !try_levels(x, usual, true, e))
		return false;
	for (unsigned i = 0; i < 2 && !is_done(x); i++) {
		how = usual;
		how.memory = i ? 1 : 9;
		if (how.memory != usual.memory && x->blocks == 1 &&
		    !try_levels(x, how, false, e))
			return false;
	}
	for (; window < 15 && !is_done(x); window++) {
		how = usual;
		how.window_bits = (uint8_t)window;
		if (x->plain_n > 1u << window && !try_levels(x, how, false, e))
			return false;
	}
	how = usual;
	how.strategy = x->only_fixed ? GUESS_FIXED : GUESS_FILTERED;
	return is_done(x) || !(x->only_fixed || x->min_len >= 6) ||
	       try_levels(x, how, false, e);
}

struct prove {
	const uint8_t *p;
	size_t n, at;
};

static bool prove_put(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct prove *v = ctx;

	if (n > v->n - v->at || memcmp(p, v->p + v->at, n) != 0)
		return err_set(e, E_CORRUPT, "deflate: packed again it differs");
	v->at += n;
	return true;
}

static bool prove(struct explain *x)
{
	struct prove v = { .p = x->packed, .n = x->packed_n };
	uint64_t left = GUESS_STEPS_MAX;
	struct packer to = { .put = prove_put, .ctx = &v, .work = &left };
	struct plain_memory m;
	struct err e;

	if (!deflate_pack(&to, x->best.p, x->best.n, plain_of(&m, x->plain, x->plain_n), &e))
		return false;
	x->work = GUESS_STEPS_MAX - left;
	return v.at == v.n;
}

static bool explain(struct explain *x, struct buf *recipe, bool *ret_ok, struct err *e)
{
	struct err ignored;

	/* What cannot be taken apart is no error here: it has no recipe. */
	if (!survey(x, &ignored) || !x->inflate.coded || x->inflate.odd || !wrap_find(x))
		return true;
	x->limit = x->packed_n / WORTH + FREE;
	x->best_fixes = SIZE_MAX;
	if (!choose(x, e))
		return false;
	if (!has_best(x) || !prove(x))
		return true;
	*ret_ok = true;
	return buf_add(recipe, x->best.p, x->best.n, e);
}

bool deflate_explain(struct buf *recipe, bool *ret_ok, uint64_t *ret_work,
		     const uint8_t *packed, size_t packed_n, const uint8_t *plain,
		     size_t plain_n, struct err *e)
{
	struct explain *x = calloc(1, sizeof(*x));
	bool ok;

	*ret_ok = false;
	if (!x)
		return err_nomem(e);
	x->packed = packed;
	x->packed_n = packed_n;
	x->plain = plain;
	x->plain_n = (uint32_t)plain_n;
	buf_init(&x->blocks_buf, LIMIT_DELTA_RECIPE);
	buf_init(&x->tokens_buf, LIMIT_DELTA_RECIPE);
	buf_init(&x->best, LIMIT_DELTA_RECIPE);
	ok = explain(x, recipe, ret_ok, e);
	*ret_work = x->work;
	buf_done(&x->blocks_buf);
	buf_done(&x->tokens_buf);
	buf_done(&x->best);
	free(x);
	return ok;
}
