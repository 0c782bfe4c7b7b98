#include "delta/code.h"
#include "base/zst.h"
#include "delta/fields.h"

#include <stdlib.h>
#include <string.h>

enum {
	TABLE_LOG = 18, /* 8 MiB of slots for bytes */
	FLAG_LOG = 16,
	FLAG_INPUTS = 8,
	LITERAL_INPUTS = 11,
	DIFF_INPUTS = 8,
	GRANULE_INPUTS = 4,
	RECENT = 5, /* older distances between new and old that a command may return to */
	HISTORY = 1 << 21, /* inserted bytes that a guess may come from; touched as they come */
	GUESS_LOG = 17,
	RUN = 32,       /* inserted bytes that may all be as guessed */
	RUN_AFTER = 64, /* that were guessed right before it is asked */
	RUN_SURE = 400,
	PLAIN_MIN = 256, /* smaller parts are always mixed */
	SEEN = 4,        /* bytes that are no chance when they were inserted before */
};

struct way {               /* one per kind of piece: raw, stream */
	uint64_t old_end;  /* behind the last copy, in the old space */
	uint64_t distance; /* old minus new of the last copy, modulo 2^64 */
	uint64_t recent[RECENT];
	uint32_t kinds, jumps;  /* of the last commands, 2 bits and 3 each */
	uint64_t n;             /* the last one's length */
	uint64_t lengths[4][2]; /* the last two of each kind */
	uint64_t jumped[2];     /* the last distances, forwards and back */
};

/* The numbers of a command; each way has its own. */
enum {
	NUM_KIND,
	NUM_JUMP,
	NUM_BACK,
	NUM_DISTANCE,                  /* forwards, then back */
	NUM_LENGTH = NUM_DISTANCE + 2, /* by kind */
	NUMS = NUM_LENGTH + 4,
};

struct models {
	struct tables tables;
	struct bytemix literals, diffs, recipes;
	struct flagmix granules, flags;
	bitmodel (*flag_bits)[1 << FLAG_LOG]; /* FLAG_INPUTS of them */
	bitmodel granule_bits[GRANULE_INPUTS][4096];
	bitmodel page_bits[64];
	struct way ways[2];
	struct nummix commands;
	/* tables and pieces */
	struct number gap, packed_size, plain_gain, raw_size, recipe_size;
	struct number transform, parts, part_size, part_far, part_near;
	struct number runs, run_size, run_out, run_depth;
	bitmodel is_stream[4], is_kept, part_back, is_bulk;
	struct number bulk_size;
	struct zst_enc *bulk_enc;
	struct zst_dec *bulk_dec;
	struct buf bulk;
	unsigned last_pieces;
	/* what went before */
	uint32_t last4, last8; /* bytes of the new image */
	uint32_t word;         /* hash of the letters inserted last */
	uint8_t *history;      /* HISTORY */
	uint32_t *guesses;     /* 1 << GUESS_LOG */
	uint32_t history_n, guess_at, guess_length;
	bitmodel is_plain[4], is_run[3];
	unsigned last_plain;
	/* inside an ADD */
	unsigned pages, granule_history, since_diff;
	uint64_t flag_history;
	uint32_t diffs_recent; /* the last four bytes' differences */
	uint32_t last_diffs;   /* the last four that were not 0 */
	struct fields fields;
};

static void bits_init(bitmodel *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		m[i] = BITMODEL_INIT;
}

static bool models_init(struct models *m, struct err *e)
{
	m->flag_bits = malloc(FLAG_INPUTS * sizeof(*m->flag_bits));
	m->history = calloc(1, HISTORY);
	m->guesses = calloc(1 << GUESS_LOG, sizeof(*m->guesses));
	if (!m->flag_bits || !m->history || !m->guesses)
		return err_nomem(e);
	if (!tables_init(&m->tables, TABLE_LOG, e) ||
	    !bytemix_init(&m->literals, &m->tables, 3, LITERAL_INPUTS, 1, e) ||
	    !bytemix_init(&m->diffs, &m->tables, 16, DIFF_INPUTS, 2, e) ||
	    !bytemix_init(&m->recipes, &m->tables, 1, 4, 3, e) ||
	    !flagmix_init(&m->granules, 16, GRANULE_INPUTS, e) ||
	    !flagmix_init(&m->flags, 256, FLAG_INPUTS, e) ||
	    !nummix_init(&m->commands, 2 * NUMS, e) || !fields_init(&m->fields, e))
		return false;
	bits_init(&m->flag_bits[0][0], (size_t)FLAG_INPUTS << FLAG_LOG);
	bits_init(&m->granule_bits[0][0], sizeof(m->granule_bits) / sizeof(bitmodel));
	bits_init(m->page_bits, ARRAY_SIZE(m->page_bits));
	bits_init(m->is_stream, ARRAY_SIZE(m->is_stream));
	bits_init(&m->is_bulk, 1);
	bits_init(&m->is_kept, 1);
	bits_init(m->is_plain, ARRAY_SIZE(m->is_plain));
	bits_init(m->is_run, ARRAY_SIZE(m->is_run));
	bits_init(&m->part_back, 1);
	number_init(&m->bulk_size);
	buf_init(&m->bulk, CODE_BULK_MAX + CODE_BULK_MAX / 64);
	number_init(&m->gap);
	number_init(&m->packed_size);
	number_init(&m->plain_gain);
	number_init(&m->raw_size);
	number_init(&m->recipe_size);
	number_init(&m->transform);
	number_init(&m->parts);
	number_init(&m->part_size);
	number_init(&m->part_far);
	number_init(&m->part_near);
	number_init(&m->runs);
	number_init(&m->run_size);
	number_init(&m->run_out);
	number_init(&m->run_depth);
	return true;
}

bool models_new(struct models **ret, struct err *e)
{
	CLEANUP(models_freep) struct models *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(e);
	if (!models_init(m, e))
		return false;
	*ret = TAKE(m);
	return true;
}

void models_free(struct models *m)
{
	if (!m)
		return;
	bytemix_done(&m->literals);
	bytemix_done(&m->diffs);
	bytemix_done(&m->recipes);
	flagmix_done(&m->granules);
	flagmix_done(&m->flags);
	nummix_done(&m->commands);
	tables_done(&m->tables);
	fields_done(&m->fields);
	zst_enc_free(m->bulk_enc);
	zst_dec_free(m->bulk_dec);
	buf_done(&m->bulk);
	free(m->flag_bits);
	free(m->history);
	free(m->guesses);
	free(m);
}

/* ---- tables and pieces ---- */

static bool transform_known(uint64_t t)
{
	return t > 0 && t < n_transforms;
}

static bool bad_stream(struct err *e)
{
	return err_set(e, E_CORRUPT, "a stream's sizes are impossible");
}

/* The sizes and the kind of one stream of either side. */
static bool code_stream(struct coder *c, struct models *m, uint64_t *size, uint32_t *plain_size,
			uint8_t *transform, struct err *e)
{
	uint64_t packed = coder_number(c, &m->packed_size, *size);
	uint64_t plain = coder_number(c, &m->plain_gain, *plain_size);
	uint64_t t = coder_number(c, &m->transform, *transform);

	if (packed < 1 || packed > UINT32_MAX || plain < 1 || plain > LIMIT_DELTA_STREAM ||
	    !transform_known(t))
		return bad_stream(e);
	*size = packed;
	*plain_size = (uint32_t)plain;
	*transform = (uint8_t)t;
	return coder_ok(c, e);
}

/* Where a further part begins: before or behind the end of the one before it. */
static bool code_place(struct coder *c, struct models *m, uint64_t *offset, uint64_t from,
		       uint64_t image_size)
{
	bool back = coder_bit(c, &m->part_back, *offset < from);
	uint64_t d = coder_number(c, back ? &m->part_near : &m->part_far,
				  back ? from - *offset : *offset - from);

	if (d > (back ? from : image_size - from))
		return false;
	*offset = back ? from - d : from + d;
	return true;
}

/* The parts of an old stream: each inside the image, at least a byte; they may overlap, as they are
 * only read.  *ret_first: the first one's size. */
static bool code_parts(struct coder *c, struct models *m, struct streams *t, struct stream *s,
		       uint32_t most, uint64_t image_size, uint32_t *ret_first, struct err *e)
{
	uint64_t more = coder_number(c, &m->parts, s->n_more), offset = s->offset;
	uint32_t at = 0;

	*ret_first = s->size;
	if (more > most)
		return err_set(e, E_CORRUPT, "too many parts of old streams");
	s->n_more = (uint32_t)more;
	for (uint32_t i = 0; i < s->n_more; i++) {
		struct extent x = { 0 };

		if (!c->decoding)
			x = t->more[s->more + i];
		uint64_t n = coder_number(c, &m->part_size, x.at - at);
		if (n < 1 || n >= s->size - at || n > image_size - offset)
			return err_set(e, E_CORRUPT, "a part of an old stream is impossible");
		x.at = at + (uint32_t)n;
		if (!code_place(c, m, &x.offset, offset + n, image_size))
			return err_set(e, E_CORRUPT, "a part lies outside the image");
		if (c->decoding && !streams_more(t, &x, e))
			return false;
		if (at == 0)
			*ret_first = x.at;
		at = x.at;
		offset = x.offset;
	}
	if (s->size - at > image_size - offset)
		return bad_stream(e);
	return true;
}

bool code_table(struct coder *c, struct models *m, struct streams *t, uint32_t want,
		uint64_t image_size, struct err *e)
{
	uint64_t at = 0;
	uint32_t parts = LIMIT_DELTA_PARTS, first;

	c->kind = DELTA_TABLES;
	for (uint32_t i = 0; i < want; i++) {
		struct stream s = { .more = (uint32_t)t->n_more };
		uint64_t gap, size;

		if (!c->decoding)
			s = t->v[i];
		size = s.size;
		gap = coder_number(c, &m->gap, s.offset - at);
		if (gap > image_size - at)
			return err_set(e, E_CORRUPT, "old stream %u lies outside the image", i);
		s.offset = at + gap;
		if (!code_stream(c, m, &size, &s.plain_size, &s.transform, e))
			return false;
		s.size = (uint32_t)size;
		if (!code_parts(c, m, t, &s, parts, image_size, &first, e))
			return false;
		parts -= s.n_more;
		if (c->decoding && !streams_add(t, &s, e))
			return false;
		at = s.offset + first;
	}
	return coder_ok(c, e);
}

/* ---- runs ---- */

bool runs_room(struct runs *r, size_t n, struct err *e)
{
	size_t cap = 2 * r->cap + n;

	if (n <= r->cap - r->n)
		return true;
	struct run *v = reallocarray(r->v, cap, sizeof(*v));
	r->v = v ? v : r->v;
	uint32_t *open = reallocarray(r->open, cap, sizeof(*open));
	r->open = open ? open : r->open;
	if (!v || !open)
		return err_nomem(e);
	r->cap = cap;
	return true;
}

void runs_reset(struct runs *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].bytes);
	r->n = r->n_open = 0;
}

void runs_done(struct runs *r)
{
	runs_reset(r);
	free(r->v);
	free(r->open);
	*r = (struct runs){ 0 };
}

static uint64_t runs_size(const struct runs *r, const struct piece *p)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->n_runs; i++)
		n += r->v[p->run + i].size;
	return n;
}

/* The sizes of a stream's runs; the last one has what is left of its packed bytes. */
static bool code_run_sizes(struct coder *c, struct models *m, struct run *v, uint32_t n,
			   uint32_t packed, struct err *e)
{
	for (uint32_t i = 0; i + 1 < n; i++) {
		uint64_t size = coder_number(c, &m->run_size, c->decoding ? 0 : v[i].size);

		if (size < 1 || size >= packed)
			return bad_stream(e);
		v[i].size = (uint32_t)size;
		packed -= v[i].size;
	}
	v[n - 1].size = packed;
	return true;
}

/* Which one comes out at once. */
static bool code_run_out(struct coder *c, struct models *m, struct piece *p, uint32_t index,
			 struct runs *r, struct err *e)
{
	struct run *v = r->v + p->run;
	uint32_t out = 0;

	while (!c->decoding && v[out].piece != index)
		out++;
	uint64_t got = coder_number(c, &m->run_out, out);
	if (got >= p->n_runs)
		return bad_stream(e);
	out = (uint32_t)got;
	p->size = v[out].size;
	for (uint32_t i = p->n_runs; i-- > 0;) {
		if (i != out)
			r->open[r->n_open++] = p->run + i;
		if (c->decoding)
			v[i].piece = i == out ? index : RUN_DROPPED;
	}
	return true;
}

static bool code_runs(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		      struct runs *r, uint32_t packed, struct err *e)
{
	uint64_t more = coder_number(c, &m->runs, p->n_runs ? p->n_runs - 1 : 0);

	p->size = packed;
	p->n_runs = 0;
	if (more == 0)
		return true;
	if (more >= LIMIT_DELTA_PARTS - r->n)
		return err_set(e, E_CORRUPT, "too many parts of new streams");
	p->n_runs = (uint32_t)more + 1;
	if (c->decoding && !runs_room(r, p->n_runs, e))
		return false;
	if (c->decoding)
		memset(r->v + p->run, 0, p->n_runs * sizeof(*r->v));
	r->n += p->n_runs;
	return code_run_sizes(c, m, r->v + p->run, p->n_runs, packed, e) &&
	       code_run_out(c, m, p, index, r, e);
}

static bool code_packed(struct coder *c, struct models *m, struct piece *p, uint32_t index,
			struct runs *r, struct err *e)
{
	p->run = (uint32_t)r->n;
	uint64_t packed = p->n_runs ? runs_size(r, p) : p->size;

	return code_stream(c, m, &packed, &p->plain_size, &p->transform, e) &&
	       code_runs(c, m, p, index, r, (uint32_t)packed, e);
}

/* Takes a run from the pile. */
static bool code_kept(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		      struct runs *r, struct err *e)
{
	uint64_t depth = 0;

	while (!c->decoding && depth < r->n_open && r->open[r->n_open - 1 - depth] != p->run)
		depth++;
	depth = coder_number(c, &m->run_depth, depth);
	if (depth >= r->n_open)
		return err_set(e, E_CORRUPT, "a piece of a stream that has none left");
	uint32_t *at = r->open + r->n_open - 1 - depth;
	p->run = *at;
	p->size = r->v[p->run].size;
	r->v[p->run].piece = index;
	memmove(at, at + 1, depth * sizeof(*at));
	r->n_open--;
	return true;
}

bool code_piece(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		struct runs *runs, uint64_t left, struct err *e)
{
	c->kind = DELTA_TABLES;
	bool is = coder_bit(c, &m->is_stream[m->last_pieces & 3], p->transform != 0);

	m->last_pieces = m->last_pieces << 1 | is;
	if (!is) {
		p->transform = 0;
		p->plain_size = 0;
		p->is_kept = runs->n_open && coder_bit(c, &m->is_kept, p->is_kept);
	}
	if (is || p->is_kept) {
		if (!(is ? code_packed(c, m, p, index, runs, e)
			 : code_kept(c, m, p, index, runs, e)))
			return false;
		return p->size <= left ? coder_ok(c, e) : bad_stream(e);
	}
	/* The last piece says 0: all that is left. */
	uint64_t n = coder_number(c, &m->raw_size, p->size == left ? 0 : p->size);
	if (n > left)
		return err_set(e, E_CORRUPT, "a piece is longer than its frame");
	p->size = n ? n : left;
	return coder_ok(c, e);
}

/* ---- commands ---- */

static inline uint32_t length_hash(uint64_t n, uint32_t with)
{
	return context_hash(context_hash((uint32_t)n, (uint32_t)(n >> 32)), with);
}

static inline unsigned length_log(uint64_t n)
{
	return 63 - (unsigned)__builtin_clzll(n | 1);
}

static uint64_t code_number(struct coder *c, struct models *m, const struct way *w,
			    unsigned num, const uint32_t contexts[NUMBER_CONTEXTS], uint64_t v)
{
	return coder_mixed(c, &m->commands, (w == &m->ways[1] ? NUMS : 0) + num, contexts, v);
}

static unsigned code_kind(struct coder *c, struct models *m, struct way *w, unsigned kind)
{
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		w->kinds & 0x3f,
		w->kinds & 0xffff,
		length_hash(w->n, w->kinds & 15),
		context_hash(w->jumps & 0xfff, w->kinds & 0x3f),
	};

	kind = (unsigned)code_number(c, m, w, NUM_KIND, contexts, kind) & 3;
	w->kinds = w->kinds << 2 | kind;
	return kind;
}

static uint64_t code_length(struct coder *c, struct models *m, struct way *w, unsigned kind,
			    uint64_t n)
{
	uint64_t *last = w->lengths[kind];
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		length_hash(last[0], w->kinds & 15),
		length_hash(last[0], length_hash(last[1], w->kinds & 0xff)),
		length_hash(w->n, w->kinds & 0xff),
		context_hash(length_log(w->n), w->kinds & 0xff),
	};

	return code_number(c, m, w, NUM_LENGTH + kind, contexts, n);
}

static void length_remember(struct way *w, unsigned kind, uint64_t n)
{
	w->lengths[kind][1] = w->lengths[kind][0];
	w->lengths[kind][0] = w->n = n;
}

enum jump { JUMP_SAME, JUMP_END, JUMP_NEAR, JUMP_RECENT, JUMPS = JUMP_RECENT + RECENT };

static unsigned jump_of(const struct way *w, uint64_t from, uint64_t pos)
{
	if (from == pos + w->distance)
		return JUMP_SAME;
	if (from == w->old_end)
		return JUMP_END;
	for (unsigned i = 1; i < RECENT; i++)
		if (from == pos + w->recent[i])
			return JUMP_RECENT + i;
	return JUMP_NEAR;
}

static unsigned code_jump(struct coder *c, struct models *m, struct way *w, uint64_t n,
			  unsigned jump)
{
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		w->kinds & 0xff,
		context_hash(w->jumps & 0xfff, w->kinds & 3),
		length_hash(n, length_hash(w->n, w->kinds & 15)),
		context_hash(length_log(n) << 6 | length_log(w->n),
			     (w->jumps & 63) << 4 | (w->kinds & 15)),
	};

	jump = (unsigned)code_number(c, m, w, NUM_JUMP, contexts, jump) & 7;
	w->jumps = w->jumps << 3 | jump;
	return jump;
}

/* How far the command's bytes lie from the end of those that were copied before. */
static uint64_t code_near(struct coder *c, struct models *m, struct way *w, uint64_t n,
			  uint64_t from)
{
	const uint32_t kinds = w->kinds & 15, logs = length_log(n) << 6 | length_log(w->n);
	const uint32_t sign[NUMBER_CONTEXTS] = { kinds, logs, w->jumps & 0xfff,
						 length_hash(w->n, kinds) };
	bool back = code_number(c, m, w, NUM_BACK, sign, from < w->old_end) & 1;
	const uint32_t contexts[NUMBER_CONTEXTS] = {
		length_hash(w->jumped[back], kinds),
		length_hash(n, length_hash(w->n, kinds)),
		length_hash(w->n, kinds),
		context_hash(logs, kinds),
	};
	uint64_t d = back ? w->old_end - from : from - w->old_end;

	d = code_number(c, m, w, NUM_DISTANCE + back, contexts, d);
	w->jumped[back] = d;
	return back ? w->old_end - d : w->old_end + d;
}

static void way_remember(struct way *w, uint64_t distance)
{
	unsigned i = 0;

	w->distance = distance;
	while (i < RECENT - 1 && w->recent[i] != distance)
		i++;
	for (; i > 0; i--)
		w->recent[i] = w->recent[i - 1];
	w->recent[0] = distance;
}

static uint64_t code_from(struct coder *c, struct models *m, struct way *w, uint64_t n,
			  uint64_t from, uint64_t pos)
{
	unsigned jump = code_jump(c, m, w, n, c->decoding ? 0 : jump_of(w, from, pos));

	if (jump == JUMP_SAME)
		return pos + w->distance;
	if (jump == JUMP_END)
		return w->old_end;
	if (jump >= JUMP_RECENT)
		return pos + w->recent[jump - JUMP_RECENT];
	return code_near(c, m, w, n, from);
}

bool code_op(struct coder *c, struct models *m, struct op *op, bool in_stream, uint64_t at,
	     uint64_t total, uint64_t piece_start, uint64_t space_end, struct err *e)
{
	struct way *w = &m->ways[in_stream];
	uint64_t left = total - at, pos = piece_start + at;

	c->kind = DELTA_OPS;
	unsigned kind = code_kind(c, m, w, op->kind);
	/* 0: all that is left of the piece. */
	uint64_t n = code_length(c, m, w, kind, op->n == left ? 0 : op->n);
	if (n > left)
		return err_set(e, E_CORRUPT, "a command is longer than its piece");
	op->kind = kind & 7;
	op->n = n ? n : left;
	if (kind == OP_COPY || kind == OP_ADD) {
		op->from = code_from(c, m, w, op->n, op->from, pos);
		if (op->from > space_end || op->n > space_end - op->from)
			return err_set(e, E_CORRUPT, "a command copies from outside");
		w->old_end = op->from + op->n;
		way_remember(w, op->from - pos);
	} else {
		op->from = 0;
	}
	length_remember(w, kind, op->n);
	return coder_ok(c, e);
}

bool code_body_start(struct models *m, const struct piece *pieces, size_t n_pieces,
		     const struct op *ops, size_t n_ops, struct err *e)
{
	return fields_map(&m->fields, pieces, n_pieces, ops, n_ops, e);
}

/* ---- bytes ---- */

bool code_recipe(struct coder *c, struct models *m, struct buf *recipe, struct err *e)
{
	uint64_t n;
	uint32_t before = 0;

	c->kind = DELTA_TABLES;
	n = coder_number(c, &m->recipe_size, recipe->n);
	if (n > LIMIT_DELTA_RECIPE)
		return err_set(e, E_CORRUPT, "a recipe of %llu bytes", (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		uint32_t place = i < 64 ? (uint32_t)i : 64;
		uint32_t contexts[4] = { place, context_hash(before & 255, place),
					 before & 0xffff, before & 0xffffff };
		uint8_t b = (uint8_t)coder_byte(c, &m->recipes, 0, (uint8_t)before, contexts, 0,
						0, c->decoding ? 0 : recipe->p[i]);

		before = before << 8 | b;
		if (c->decoding && !buf_add(recipe, &b, 1, e))
			return false;
		if (i % 4096 == 0 && !coder_ok(c, e))
			return false;
	}
	return coder_ok(c, e);
}

static inline void passed(struct models *m, uint8_t b)
{
	m->last8 = m->last8 << 8 | m->last4 >> 24;
	m->last4 = m->last4 << 8 | b;
}

void code_passed(struct models *m, const uint8_t *p, size_t n)
{
	for (size_t i = n > 8 ? n - 8 : 0; i < n; i++)
		passed(m, p[i]);
}

static inline uint32_t guess_slot(uint32_t last4, uint32_t last8)
{
	return context_hash(last4, last8 & 255) >> (32 - GUESS_LOG);
}

/* Looks for what followed the last time that five inserted bytes were as the last five. */
static void guess_update(struct models *m, uint8_t b)
{
	uint32_t slot = guess_slot(m->last4, m->last8);

	m->history[m->history_n++ & (HISTORY - 1)] = b;
	if (m->guess_length && m->history[m->guess_at & (HISTORY - 1)] == b) {
		m->guess_at++;
		if (m->guess_length < RUN_SURE)
			m->guess_length++;
	} else {
		m->guess_length = 0;
		m->guess_at = m->guesses[slot];
		if (m->guess_at)
			while (m->guess_length < 32 && m->guess_at > m->guess_length &&
			       m->history[(m->guess_at - 1 - m->guess_length) & (HISTORY - 1)] ==
				       m->history[(m->history_n - 1 - m->guess_length) &
						  (HISTORY - 1)])
				m->guess_length++;
	}
	m->guesses[slot] = m->history_n;
}

static unsigned guess_strength(const struct models *m)
{
	unsigned n = m->guess_length;

	return n < 4 ? 0 : n < 16 ? n / 2 : n < 32 ? 10 : n < RUN_SURE ? 12 : 15;
}

static inline bool is_letter(uint8_t b)
{
	return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b >= 128 || b == '_';
}

static void insert_passed(struct models *m, uint8_t b)
{
	passed(m, b);
	m->word = is_letter(b) ? context_hash(m->word, b) : 0;
	guess_update(m, b);
}

/* Whether RUN bytes are as guessed; they may be guessed from each other. */
static bool is_run(const struct models *m, const uint8_t *p)
{
	uint32_t distance = ((m->history_n - m->guess_at - 1) & (HISTORY - 1)) + 1;

	for (uint32_t i = 0; i < RUN; i++)
		if (p[i] != (i < distance ? m->history[(m->guess_at + i) & (HISTORY - 1)]
					  : p[i - distance]))
			return false;
	return true;
}

static bool code_run(struct coder *c, struct models *m, uint8_t *p)
{
	unsigned n = m->guess_length, sure = n < 2 * RUN_AFTER ? 0 : n < RUN_SURE ? 1 : 2;

	if (!coder_bit(c, &m->is_run[sure], !c->decoding && is_run(m, p)))
		return false;
	for (unsigned i = 0; i < RUN; i++) {
		p[i] = m->history[m->guess_at & (HISTORY - 1)];
		insert_passed(m, p[i]);
	}
	return true;
}

/* Whether bytes, or how much each is more than the one `back` before it, are spread as if by chance: the sum of
 * the squares of their numbers is n + n (n - 1) / 256 then, give or take sqrt(2 n (n - 1) / 256). */
static bool is_even(const uint8_t *p, size_t n, size_t back)
{
	uint16_t counts[256] = { 0 };
	uint64_t sum = 0;

	for (size_t i = back; i < n; i++)
		counts[(uint8_t)(p[i] - (back ? p[i - back] : 0))]++;
	for (unsigned i = 0; i < 256; i++)
		sum += (uint64_t)counts[i] * counts[i];
	n -= back;
	uint64_t most = n * (n - 1) / 256, over = sum > n + most ? sum - n - most : 0;
	return over * over <= 9 * 2 * most; /* three times that */
}

/* Whether any of the bytes were inserted before. */
static bool is_seen(const struct models *m, const uint8_t *p, size_t n)
{
	uint32_t last4 = 0, last8 = 0;

	for (size_t i = 0; i + SEEN <= n; i++) {
		uint32_t at = m->guesses[guess_slot(last4, last8)], k = 0;

		while (i >= 5 && at && k < SEEN &&
		       m->history[(at + k) & (HISTORY - 1)] == p[i + k])
			k++;
		if (k == SEEN)
			return true;
		last8 = last8 << 8 | last4 >> 24;
		last4 = last4 << 8 | p[i];
	}
	return false;
}

/* Packed and encrypted bytes only grow by mixing. */
static bool is_plain(const struct models *m, const uint8_t *p, size_t n)
{
	static const uint8_t back[] = { 0, 1, 2, 4 };

	for (unsigned i = 0; i < ARRAY_SIZE(back); i++)
		if (!is_even(p, n, back[i]))
			return false;
	return !is_seen(m, p, n);
}

static bool code_plain(struct coder *c, struct models *m, uint8_t *p, size_t n)
{
	bool plain = coder_bit(c, &m->is_plain[m->last_plain & 3],
			       !c->decoding && is_plain(m, p, n));

	m->last_plain = m->last_plain << 1 | plain;
	for (size_t i = 0; plain && i < n; i++) {
		p[i] = coder_plain(c, p[i]);
		insert_passed(m, p[i]);
	}
	return plain;
}

static uint8_t code_mixed(struct coder *c, struct models *m, uint8_t b)
{
	uint32_t h = m->last4;
	unsigned strength = guess_strength(m);
	unsigned guess = strength ? m->history[m->guess_at & (HISTORY - 1)] : 0;
	uint32_t contexts[LITERAL_INPUTS] = {
		0,
		h & 0xff,
		h & 0xffff,
		h & 0xffffff,
		h,
		context_hash(h, m->last8 & 0xffff),
		context_hash(h & 0xff00ff00, m->last8 & 0xff00), /* records, wide text */
		h & 0xffff00,                                    /* operands between */
		context_hash(h & 0xf0f8ff, 1),                   /* kinds of instructions */
		context_hash(guess | strength << 8, h & 0xff),
		m->word,
	};

	b = (uint8_t)coder_byte(c, &m->literals,
				strength == 0   ? 0
				: strength < 10 ? 1
						: 2,
				(uint8_t)h, contexts, guess, strength, b);
	insert_passed(m, b);
	return b;
}

void code_insert(struct coder *c, struct models *m, uint8_t *p, size_t n)
{
	bool asked = false; /* and it was no run: one of its bytes is guessed wrong */

	c->kind = DELTA_INSERTS;
	if (n >= PLAIN_MIN && code_plain(c, m, p, n))
		return;
	for (size_t i = 0; i < n;) {
		bool may = m->guess_length >= RUN_AFTER && n - i >= RUN;

		if (may && !asked && code_run(c, m, p + i)) {
			i += RUN;
			continue;
		}
		asked = may;
		p[i] = code_mixed(c, m, p[i]);
		i++;
	}
}

/* ---- inserts in bulk ---- */

bool code_is_bulk(struct coder *c, struct models *m, const struct op *op, bool bulk)
{
	c->kind = DELTA_INSERTS;
	return op->kind == OP_INSERT && op->n >= CODE_BULK_MIN &&
	       coder_bit(c, &m->is_bulk, bulk);
}

static bool bulk_encode(struct coder *c, struct models *m, const uint8_t *p, size_t n,
			struct err *e)
{
	enum { LEVEL = 13 };

	if (!m->bulk_enc && !zst_enc_new(&m->bulk_enc, LEVEL, e))
		return false;
	buf_reset(&m->bulk);
	if (!zst_frame_encode(m->bulk_enc, &m->bulk, p, n, e))
		return false;
	coder_number(c, &m->bulk_size, m->bulk.n);
	for (size_t i = 0; i < m->bulk.n; i++)
		coder_plain(c, m->bulk.p[i]);
	return coder_ok(c, e);
}

static bool bulk_decode(struct coder *c, struct models *m, uint8_t *p, size_t n, struct err *e)
{
	uint64_t packed = coder_number(c, &m->bulk_size, 0);
	uint8_t *to;

	if (!m->bulk_dec && !zst_dec_new(&m->bulk_dec, e))
		return false;
	if (packed > m->bulk.max)
		return err_set(e, E_CORRUPT, "an insert packs to more than it is");
	buf_reset(&m->bulk);
	if (!buf_reserve(&m->bulk, (size_t)packed, &to, e))
		return false;
	for (size_t i = 0; i < packed; i++)
		to[i] = coder_plain(c, 0);
	return coder_ok(c, e) && zst_frame_decode(m->bulk_dec, p, n, to, (size_t)packed, e);
}

bool code_bulk(struct coder *c, struct models *m, uint8_t *p, size_t n, struct err *e)
{
	c->kind = DELTA_INSERTS;
	if (!(c->decoding ? bulk_decode(c, m, p, n, e) : bulk_encode(c, m, p, n, e)))
		return false;
	code_passed(m, p, n);
	return true;
}

/* ---- ADD ---- */

void code_add_start(struct models *m, const struct op *op, uint64_t new_address)
{
	m->since_diff = 255;
	m->flag_history = 0;
	m->diffs_recent = 0;
	m->granule_history = 0;
	fields_start(&m->fields, op->from - new_address);
}

static bool any_differs(const uint8_t *p, const uint8_t *expected, size_t n)
{
	return memcmp(p, expected, n) != 0;
}

static bool code_page(struct coder *c, struct models *m, bool differs)
{
	differs = coder_bit(c, &m->page_bits[m->pages & 63], differs);
	m->pages = m->pages << 1 | differs;
	return differs;
}

static bool code_granule(struct coder *c, struct models *m, const uint8_t *kinds, size_t n,
			 bool differs)
{
	unsigned fields = 0, h = m->granule_history, last = 0;

	for (size_t i = 0; i < n; i++) {
		fields += (kinds[i] & FIELD_START) != 0;
		if (kinds[i] & FIELD_START)
			last = kinds[i] & FIELD_DOUBT;
	}
	fields = fields > 7 ? 7 : fields;
	bitmodel *models[GRANULE_INPUTS] = {
		&m->granule_bits[0][h & 4095],
		&m->granule_bits[1][(h & 15) << 4 | fields << 1 | (last != 0)],
		&m->granule_bits[2][(m->since_diff > 63 ? 63 : m->since_diff) << 3 | fields],
		&m->granule_bits[3][(unsigned)__builtin_popcount(h & 0xffff) << 5 |
				    (h & 3) << 3 | fields],
	};

	differs = coder_flag(c, &m->granules, fields << 1 | (h & 1), models, GRANULE_INPUTS,
			     differs);
	m->granule_history = h << 1 | differs;
	return differs;
}

static inline uint32_t flag_slot(uint32_t a, uint32_t b)
{
	return context_hash(a, b) >> (32 - FLAG_LOG);
}

/* Whether byte i differs.  o: the old byte, with neighbours. */
static bool code_flag(struct coder *c, struct models *m, const uint8_t *o, uint8_t expected,
		      unsigned kind, unsigned lane, bool none_yet, bool differs)
{
	uint32_t h = (uint32_t)m->flag_history;
	uint32_t o4 = (uint32_t)o[0] | (uint32_t)o[-1] << 8 | (uint32_t)o[-2] << 16 |
		      (uint32_t)o[-3] << 24;
	uint32_t since = m->since_diff > 31 ? 31 : m->since_diff;
	bitmodel *models[FLAG_INPUTS] = {
		&m->flag_bits[0][flag_slot(h & 0xff, kind | (uint32_t)none_yet << 8)],
		&m->flag_bits[1][flag_slot(o4 & 0xffff, (h & 3) | kind << 2)],
		&m->flag_bits[2][flag_slot(o4 & 0xffffff, h & 7)],
		&m->flag_bits[3][flag_slot(o4, h & 1)],
		&m->flag_bits[4][flag_slot((uint32_t)o[0] | (uint32_t)o[1] << 8 |
						   (uint32_t)o[2] << 16,
					   (h & 1) | kind << 1)],
		&m->flag_bits[5][flag_slot(lane | since << 3, h & 0xfff)],
		&m->flag_bits[6][flag_slot((uint32_t)(m->flag_history >> 1 & 0x7f) |
						   (uint32_t)(m->flag_history >> 8 & 0x7f) << 8,
					   (m->last_diffs & 0xff) | (uint32_t)expected << 8)],
		&m->flag_bits[7][flag_slot(context_hash(o4 & 0xffff,
							(uint32_t)o[1] | (uint32_t)o[2] << 8 |
								(uint32_t)o[3] << 16 |
								(uint32_t)o[4] << 24),
					   h & 1)],
	};
	size_t set = (h & 7) | (kind & 15) << 3 | (size_t)none_yet << 7;

	differs = coder_flag(c, &m->flags, set, models, FLAG_INPUTS, differs);
	m->flag_history = m->flag_history << 1 | differs;
	m->since_diff = differs ? 0 : m->since_diff < 255 ? m->since_diff + 1 : 255;
	return differs;
}

/* The difference of a byte that differs, 1 to 255. */
static uint8_t code_diff(struct coder *c, struct models *m, const uint8_t *o, unsigned kind,
			 unsigned lane, uint8_t diff)
{
	uint32_t h = (uint32_t)m->flag_history & 15, r = m->diffs_recent;
	uint32_t contexts[DIFF_INPUTS] = {
		context_hash(r & 0xffff, h & 7),
		context_hash(o[0], h | kind << 8),
		context_hash((uint32_t)o[0] | (uint32_t)o[-1] << 8 | (uint32_t)o[-2] << 16,
			     kind),
		context_hash(m->last_diffs & 0xffff, h),
		context_hash(r & 0xffffff, lane | h << 3),
		context_hash((uint32_t)o[0] | (m->last4 & 0xffff) << 8, kind),
		context_hash(m->last_diffs & 0xffffff, lane),
		context_hash(context_hash(o[0], (uint32_t)o[1] | (uint32_t)o[2] << 8 |
							(uint32_t)o[3] << 16),
			     (uint32_t)o[-1] | (r & 0xff) << 8),
	};

	return (uint8_t)coder_byte(c, &m->diffs, (h & 3) | (kind & 3) << 2, o[0], contexts, 0,
				   0, diff);
}

static void code_granule_bytes(struct coder *c, struct models *m, const uint8_t *o,
			       const uint8_t *expected, const uint8_t *kinds, uint8_t *p,
			       uint64_t address, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		uint8_t diff = 0;
		unsigned lane = (unsigned)(address + i) & 7, kind = kinds[i];

		c->kind = DELTA_MARKS;
		bool differs = code_flag(c, m, o + i, expected[i], kind, lane, !any,
					 p[i] != expected[i]);
		if (differs) {
			c->kind = kind & FIELD_MASK ? DELTA_FIELDS : DELTA_DIFFS;
			diff = code_diff(c, m, o + i, kind, lane,
					 (uint8_t)(p[i] - expected[i]));
			m->last_diffs = m->last_diffs << 8 | diff;
		}
		m->diffs_recent = m->diffs_recent << 8 | diff;
		p[i] = (uint8_t)(expected[i] + diff);
		any |= differs;
		passed(m, p[i]);
	}
}

void code_add(struct coder *c, struct models *m, const uint8_t *old, uint64_t old_address,
	      uint8_t *p, uint64_t new_address, size_t n)
{
	uint8_t expected[CODE_BLOCK + FIELD_SPILL], kinds[CODE_BLOCK + FIELD_SPILL];

	fields_expect(&m->fields, expected, kinds, old, old_address, n);
	c->kind = DELTA_MARKS;
	if (!code_page(c, m, !c->decoding && any_differs(p, expected, n))) {
		memcpy(p, expected, n);
		code_passed(m, p, n);
		m->flag_history = 0;
		m->since_diff = 255;
		m->diffs_recent = 0;
		fields_learn(&m->fields, p, n);
		return;
	}
	for (size_t at = 0; at < n; at += CODE_GRANULE) {
		size_t part = n - at < CODE_GRANULE ? n - at : CODE_GRANULE;

		c->kind = DELTA_MARKS;
		if (code_granule(c, m, kinds + at, part,
				 !c->decoding && any_differs(p + at, expected + at, part))) {
			code_granule_bytes(c, m, old + at, expected + at, kinds + at, p + at,
					   new_address + at, part);
		} else {
			memcpy(p + at, expected + at, part);
			code_passed(m, p + at, part);
			m->flag_history <<= 32;
			m->diffs_recent = 0;
			m->since_diff = m->since_diff > 223 ? 255 : m->since_diff + 32;
		}
	}
	fields_learn(&m->fields, p, n);
}
