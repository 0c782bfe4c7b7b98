#include "delta/coder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- the range coder ---- */

void coder_encode_start(struct coder *c, struct buf *out, struct err *e)
{
	*c = (struct coder){ .high = UINT32_MAX, .out = out, .e = e };
}

static void out_byte(struct coder *c)
{
	uint8_t b = (uint8_t)(c->high >> 24);

	if (!c->failed && !buf_add(c->out, &b, 1, c->e))
		c->failed = true;
}

/* The decoder sees zeros behind the end, so one byte names a value in the interval: its first that
 * is followed by zeros.  low's top byte is less than high's, so this does not overflow. */
void coder_encode_end(struct coder *c)
{
	if (c->low > 0) {
		c->high = c->low + UINT32_C(0xffffff);
		out_byte(c);
	}
}

static uint32_t in_byte(struct coder *c)
{
	size_t n = 0;

	if (c->in == c->in_end && !c->failed && !c->past_end) {
		if (!c->more(c->ctx, &c->in, &n, c->e)) {
			c->failed = true;
			n = 0;
		}
		c->in_end = n ? c->in + n : c->in;
	}
	if (c->in != c->in_end)
		return *c->in++;
	if (++c->past_end > 4)
		c->overrun = true;
	return 0;
}

bool coder_ended(const struct coder *c)
{
	return c->past_end >= 3;
}

void coder_decode_start(struct coder *c,
			bool (*more)(void *ctx, const uint8_t **ret, size_t *ret_n,
				     struct err *e),
			void *ctx, struct err *e)
{
	*c = (struct coder){
		.decoding = true, .high = UINT32_MAX, .more = more, .ctx = ctx, .e = e
	};
	for (unsigned i = 0; i < 4; i++)
		c->value = c->value << 8 | in_byte(c);
}

bool coder_ok(const struct coder *c, struct err *e)
{
	if (c->failed)
		return c->e == e ? false : (*e = *c->e, false);
	if (c->overrun)
		return err_set(e, E_CORRUPT, "coded bytes end early");
	return true;
}

/* log2 of 65536 / p in 1/65536 bit, well enough for statistics: with x = mantissa - 1 in [0, 1),
 * log2(1 + x) is about x + 0.344 x (1 - x). */
static uint32_t bit_cost(unsigned p)
{
	unsigned log = 31 - (unsigned)__builtin_clz(p), x = (p << (16 - log)) - 65536;
	uint32_t bend = (uint32_t)((uint64_t)x * (65536 - x) >> 16);

	return ((16 - log) << 16) - x - (uint32_t)((uint64_t)bend * 22545 >> 16);
}

/* Bytes that both ends agree on. */
static inline void shift_out(struct coder *c)
{
	while ((c->low ^ c->high) < UINT32_C(1) << 24) {
		if (c->decoding)
			c->value = c->value << 8 | in_byte(c);
		else
			out_byte(c);
		c->low <<= 8;
		c->high = c->high << 8 | 255;
	}
}

unsigned coder_code(struct coder *c, unsigned p, unsigned bit)
{
	uint32_t mid = c->low + (uint32_t)(((uint64_t)(c->high - c->low) * p) >> 16);

	if (c->decoding)
		bit = c->value <= mid;
	else
		c->cost[c->kind] += bit_cost(bit ? p : 65536 - p);
	if (bit)
		c->high = mid;
	else
		c->low = mid + 1;
	shift_out(c);
	return bit;
}

uint8_t coder_plain(struct coder *c, uint8_t byte)
{
	unsigned got = 0;

	for (unsigned i = 8; i-- > 0;)
		got = got << 1 | coder_code(c, 32768, byte >> i & 1);
	return (uint8_t)got;
}

/* ---- bits ---- */

enum { BIT_LIMIT = 60, GUESS_LIMIT = 255, RATE_FLAG = 6, RATE_BYTE = 20 };

static uint32_t reciprocals[1024]; /* 65536 / (count + 1.5) */
static int16_t stretch_table[4096];
static uint16_t squash_table[4096];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* 65536 / (1 + e^-x) for x = d / 256 between -8 and 8, by interpolation of exact values. */
static int squash_exact(int d)
{
	static const uint16_t t[33] = { 22,    36,    60,    98,    162,   267,   439,
					720,   1179,  1921,  3108,  4971,  7812,  11953,
					17626, 24762, 32768, 40774, 47910, 53583, 57724,
					60565, 62428, 63615, 64357, 64816, 65097, 65269,
					65374, 65438, 65476, 65500, 65514 };
	int i = d >> 7, f = d & 127;

	return t[i + 16] + (t[i + 17] - t[i + 16]) * f / 128;
}

static void tables_fill(void)
{
	int pi = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(reciprocals); i++)
		reciprocals[i] = 2 * 65536 / (2 * i + 3);
	for (int d = -2048; d < 2048; d++)
		squash_table[d + 2048] = (uint16_t)squash_exact(d);
	for (int d = -2047; d < 2048; d++) {
		int to = squash_table[d + 2048] >> 4;

		while (pi <= to)
			stretch_table[pi++] = (int16_t)d;
	}
	while (pi < 4096)
		stretch_table[pi++] = 2047;
}

void mix_init(void)
{
	pthread_once(&once, tables_fill);
}

static inline int squash(int d) /* -2048 to 2047 */
{
	return squash_table[d + 2048];
}

static inline unsigned clamp16(int p)
{
	return (unsigned)(p < 24 ? 24 : p > 65512 ? 65512 : p);
}

static inline void bit_update(bitmodel *m, unsigned bit, unsigned limit)
{
	uint32_t v = *m, n = v & 1023;
	int32_t p = (int32_t)(v >> 10), goal = bit ? (1 << 22) - 1 : 0;

	p += (int32_t)(((int64_t)(goal - p) * reciprocals[n]) >> 16);
	*m = (uint32_t)p << 10 | (n < limit ? n + 1 : n);
}

unsigned coder_bit(struct coder *c, bitmodel *m, unsigned bit)
{
	unsigned p = *m >> 16;

	bit = coder_code(c, p < 4 ? 4 : p > 65532 ? 65532 : p, bit);
	bit_update(m, bit, BIT_LIMIT);
	return bit;
}

/* ---- numbers: v + 1 as exponent in unary, then the mantissa from its top ---- */

void number_init(struct number *m)
{
	mix_init();
	for (unsigned i = 0; i < 64; i++) {
		m->exponent[i] = BITMODEL_INIT;
		for (unsigned k = 0; k < 8; k++)
			m->mantissa[i][k] = BITMODEL_INIT;
	}
}

uint64_t coder_number(struct coder *c, struct number *m, uint64_t v)
{
	unsigned log = 63 - (unsigned)__builtin_clzll((v + 1) | 1), n = 0;
	uint64_t got = 1, value = v + 1;

	while (n < 62 && coder_bit(c, &m->exponent[n], n < log))
		n++;
	for (unsigned i = n; i-- > 0;) {
		unsigned bit = value >> i & 1;

		bit = n - i <= 3 ? coder_bit(c, &m->mantissa[n][got & 7], bit)
				 : coder_code(c, 32768, bit);
		got = got << 1 | bit;
	}
	return got - 1;
}

/* ---- mixing ---- */

/* These two loops become a few vector instructions. */
static inline int dot(const int16_t *restrict w, const int16_t *restrict x)
{
	int sum = 0;

	for (unsigned i = 0; i < MIX_INPUTS; i++)
		sum += w[i] * x[i];
	sum >>= 14;
	return sum > 2047 ? 2047 : sum < -2047 ? -2047 : sum;
}

static inline void train(int16_t *restrict w, const int16_t *restrict x, int16_t error)
{
	for (unsigned i = 0; i < MIX_INPUTS; i++) {
		int16_t d = (int16_t)((2 * x[i] * error) >> 16);
		int sum = w[i] + (int16_t)((d + 1) >> 1);

		w[i] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
	}
}

static void mixers_init(struct mixer *m, size_t n, unsigned inputs)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < MIX_INPUTS; k++)
			m[i].w[k] = (int16_t)(k < inputs ? 16384 * 2 / (inputs + 1) : 0);
}

static void sse_init(bitmodel (*sse)[33], size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < 33; k++)
			sse[i][k] = (uint32_t)squash(k == 32 ? 2047 : (k - 16) * 128) << 16;
}

/* What the mixed prediction is worth, learnt: interpolates between two of 33 steps. */
static unsigned sse_refine(bitmodel *sse, int st, unsigned *ret_step)
{
	unsigned pos = (unsigned)(st + 2048), lo = pos >> 7, f = pos & 127;

	*ret_step = f < 64 ? lo : lo + 1;
	return ((sse[lo] >> 16) * (128 - f) + (sse[lo + 1] >> 16) * f) >> 7;
}

/* Codes one bit with the mixed inputs x and learns from it. */
static inline unsigned mixed_bit(struct coder *c, struct mixer *m, bitmodel *sse,
				 const int16_t *x, int rate, unsigned bit)
{
	int st = dot(m->w, x), p = squash(st);
	unsigned step, refined = sse_refine(sse, st, &step);

	bit = coder_code(c, clamp16((p + (int)refined) / 2), bit);
	train(m->w, x, (int16_t)((((int)bit << 16) - (int)bit - p) * rate / 64));
	bit_update(&sse[step], bit, BIT_LIMIT);
	return bit;
}

bool flagmix_init(struct flagmix *f, size_t n_sets, unsigned inputs, struct err *e)
{
	mix_init();
	f->n_sets = n_sets;
	f->sets = calloc(n_sets, sizeof(*f->sets));
	f->sse = calloc(n_sets, sizeof(*f->sse));
	if (!f->sets || !f->sse)
		return err_nomem(e);
	mixers_init(f->sets, n_sets, inputs);
	sse_init(f->sse, n_sets);
	return true;
}

void flagmix_done(struct flagmix *f)
{
	free(f->sets);
	free(f->sse);
	*f = (struct flagmix){ 0 };
}

/* Predictions seen once or twice say less. */
static inline int input_of(bitmodel m)
{
	unsigned n = m & 1023;
	int st = stretch_table[m >> 20];

	return n > 3 ? st : st * (int)n / 4;
}

unsigned coder_flag(struct coder *c, struct flagmix *f, size_t set, bitmodel *const *models,
		    unsigned inputs, unsigned flag)
{
	int16_t x[MIX_INPUTS] = { 0 };

	for (unsigned i = 0; i < inputs; i++)
		x[i] = (int16_t)input_of(*models[i]);
	x[MIX_INPUTS - 1] = 256;
	flag = mixed_bit(c, &f->sets[set], f->sse[set], x, RATE_FLAG, flag);
	for (unsigned i = 0; i < inputs; i++)
		bit_update(models[i], flag, BIT_LIMIT);
	return flag;
}

/* ---- numbers from contexts: as coder_number, each bit mixed ---- */

enum {
	NUMBER_LOG = 17,
	NUMBER_INPUTS = NUMBER_CONTEXTS + 2,
	NUMBER_PLACES = 32, /* mixers of a kind: half for the exponent, half for the mantissa */
};

bool nummix_init(struct nummix *m, unsigned n_kinds, struct err *e)
{
	m->n_kinds = n_kinds;
	m->bits = malloc(sizeof(*m->bits) << NUMBER_LOG);
	if (!m->bits)
		return err_nomem(e);
	for (size_t i = 0; i < (size_t)1 << NUMBER_LOG; i++)
		m->bits[i] = BITMODEL_INIT;
	return flagmix_init(&m->mix, (size_t)n_kinds * NUMBER_PLACES, NUMBER_INPUTS, e);
}

void nummix_done(struct nummix *m)
{
	free(m->bits);
	flagmix_done(&m->mix);
	*m = (struct nummix){ 0 };
}

/* place: the mixer's.  path: what of the number is known.  near: the same, coarser. */
static unsigned number_bit(struct coder *c, struct nummix *m, unsigned kind, unsigned place,
			   uint32_t path, uint32_t near, const uint32_t *contexts, unsigned bit)
{
	bitmodel *models[NUMBER_INPUTS];
	uint32_t known = context_hash(path, kind);

	for (unsigned i = 0; i < NUMBER_CONTEXTS; i++)
		models[i] = &m->bits[context_hash(known, contexts[i] + i) >> (32 - NUMBER_LOG)];
	models[NUMBER_CONTEXTS] =
		&m->bits[context_hash(known, NUMBER_CONTEXTS) >> (32 - NUMBER_LOG)];
	models[NUMBER_CONTEXTS + 1] =
		&m->bits[context_hash(context_hash(near, kind), NUMBER_CONTEXTS + 1) >>
			 (32 - NUMBER_LOG)];
	return coder_flag(c, &m->mix, kind * NUMBER_PLACES + place, models, NUMBER_INPUTS, bit);
}

uint64_t coder_mixed(struct coder *c, struct nummix *m, unsigned kind, const uint32_t *contexts,
		     uint64_t v)
{
	enum { HALF = NUMBER_PLACES / 2, LAST = HALF - 1 };
	unsigned log = 63 - (unsigned)__builtin_clzll((v + 1) | 1), n = 0;
	uint64_t got = 1, value = v + 1;

	while (n < 62 && number_bit(c, m, kind, n < LAST ? n : LAST, n, n, contexts, n < log))
		n++;
	for (unsigned i = n; i-- > 0;) {
		uint32_t path = context_hash((uint32_t)got, (uint32_t)(got >> 32) << 6 | n);
		uint32_t near = n - i <= 3 ? 64 + (n << 3 | (uint32_t)(got & 7))
					   : 1024 + (i << 2 | (uint32_t)(got & 3));

		got = got << 1 | number_bit(c, m, kind, HALF + (i < LAST ? i : LAST), path,
					    near, contexts, value >> i & 1);
	}
	return got - 1;
}

/* ---- bytes ---- */

bool tables_init(struct tables *t, unsigned log2_slots, struct err *e)
{
	mix_init();
	t->mask = (UINT32_C(1) << log2_slots) - 1;
	t->memory = calloc((size_t)t->mask + 3, sizeof(*t->slots));
	t->slots = (void *)(((uintptr_t)t->memory + 63) & ~(uintptr_t)63);
	if (!t->memory)
		return err_nomem(e);
	return true;
}

void tables_done(struct tables *t)
{
	free(t->memory);
	*t = (struct tables){ 0 };
}

bool bytemix_init(struct bytemix *b, struct tables *t, size_t n_sets, unsigned inputs,
		  uint32_t salt, struct err *e)
{
	*b = (struct bytemix){ .tables = t, .n_sets = n_sets, .inputs = inputs, .salt = salt };
	b->sets = calloc(n_sets * 256 + BYTE_NEAR, sizeof(*b->sets));
	b->sse = calloc(256, sizeof(*b->sse));
	if (!b->sets || !b->sse)
		return err_nomem(e);
	mixers_init(b->sets, n_sets * 256 + BYTE_NEAR, inputs + 1);
	sse_init(b->sse, 256);
	for (unsigned i = 0; i < GUESS_STRENGTHS; i++)
		b->guesses[i] = BITMODEL_INIT;
	return true;
}

void bytemix_done(struct bytemix *b)
{
	free(b->sets);
	free(b->sse);
	*b = (struct bytemix){ 0 };
}

/* A node: 12 bits of probability, 4 of how often it was seen (capped). */
enum { NODE_INIT = 2048 << 4 };

static inline uint32_t slot_of(const struct tables *t, uint32_t hash)
{
	return (hash * UINT32_C(0x9e3779b1)) >> 7 & t->mask;
}

static uint16_t *slot_find(struct tables *t, uint32_t hash)
{
	uint16_t check = (uint16_t)(hash >> 16 | 1);
	uint32_t at = slot_of(t, hash);
	uint16_t *a = t->slots[at], *b = t->slots[at ^ 1];

	if (a[0] == check)
		return a;
	if (b[0] == check)
		return b;
	if ((b[1] & 15) < (a[1] & 15))
		a = b;
	a[0] = check;
	for (unsigned i = 1; i < 16; i++)
		a[i] = NODE_INIT;
	return a;
}

/* A nibble's slots of all contexts; they are far from each other, so all are asked for at once. */
static void slots_find(struct bytemix *b, const uint32_t *contexts, unsigned so_far,
		       uint16_t **slots)
{
	uint32_t hashes[BYTE_INPUTS];

	for (unsigned k = 0; k < b->inputs; k++) {
		hashes[k] = context_hash(contexts[k] + b->salt + k, so_far * 64 + k);
		__builtin_prefetch(b->tables->slots[slot_of(b->tables, hashes[k])]);
	}
	for (unsigned k = 0; k < b->inputs; k++)
		slots[k] = slot_find(b->tables, hashes[k]);
}

static inline int node_input(uint16_t v)
{
	static const uint8_t quarters[16] = { 0, 1, 2, 3, 4, 4, 4 };

	return stretch_table[v >> 4] * quarters[v & 15] / 4;
}

static inline void node_update(uint16_t *v, unsigned bit)
{
	static const uint8_t limit = 6;
	unsigned n = *v & 15;
	int p = *v >> 4;

	/* Rounding leaves p between 3 and 4092, from where a step of 2/15 is less than 1/2. */
	p += (((bit ? 4095 : 0) - p) * (int)(reciprocals[n] >> 4) + 2048) >> 12;
	*v = (uint16_t)((unsigned)p << 4 | (n < limit ? n + 1 : n));
}

/* Codes one bit as two sets of weights mix it on the average; each learns by itself. */
static inline unsigned mixed_twice(struct coder *c, struct mixer *m, struct mixer *near,
				   bitmodel *sse, const int16_t *x, unsigned bit)
{
	int one = dot(m->w, x), two = dot(near->w, x), st = (one + two) >> 1;
	unsigned step, refined = sse_refine(sse, st, &step);
	int all;

	bit = coder_code(c, clamp16((squash(st) + (int)refined) / 2), bit);
	all = bit ? 65535 : 0;
	train(m->w, x, (int16_t)((all - squash(one)) * RATE_BYTE / 64));
	train(near->w, x, (int16_t)((all - squash(two)) * RATE_BYTE / 64));
	bit_update(&sse[step], bit, BIT_LIMIT);
	return bit;
}

unsigned coder_byte(struct coder *c, struct bytemix *b, size_t set, uint8_t near,
		    const uint32_t *contexts, unsigned guess, unsigned strength, unsigned byte)
{
	uint16_t *slots[MIX_INPUTS];
	unsigned so_far = 1, nibble = 1;
	int16_t x[MIX_INPUTS] = { 0 };
	struct mixer *nears = b->sets + b->n_sets * 256 + (size_t)near * 8;

	guess |= 256;
	for (unsigned i = 8; i-- > 0;) {
		unsigned bit = byte >> i & 1, expected = guess >> i & 1;
		bool is_guessed = strength && guess >> (i + 1) == so_far;

		if (i == 7 || i == 3) {
			slots_find(b, contexts, so_far, slots);
			nibble = 1;
		}
		for (unsigned k = 0; k < b->inputs; k++)
			x[k] = (int16_t)node_input(slots[k][nibble]);
		x[MIX_INPUTS - 2] = 256;
		x[MIX_INPUTS - 1] = 0;
		if (is_guessed) {
			int st = stretch_table[b->guesses[strength] >> 20];

			x[MIX_INPUTS - 1] = (int16_t)(expected ? st : -st);
		}
		bit = mixed_twice(c, &b->sets[set * 256 + so_far], &nears[i], b->sse[so_far], x,
				  bit);
		if (is_guessed)
			bit_update(&b->guesses[strength], bit == expected, GUESS_LIMIT);
		for (unsigned k = 0; k < b->inputs; k++)
			node_update(&slots[k][nibble], bit);
		so_far = so_far << 1 | bit;
		nibble = nibble << 1 | bit;
	}
	return so_far & 255;
}
