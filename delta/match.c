#include "delta/match.h"
#include "delta/sight.h"
#include "delta/refine.h"
#include "delta/tasks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	TABLE_MAX_LOG = 27, /* 512 MiB of samples */
	WAYS = 4,
	LOCAL_LOG = 15, /* buckets of LOCAL_WAYS old places near by */
	LOCAL_WAYS = 2,
	LOCAL_GRAM = 6,
	LOCAL_REACH = 16384, /* bytes around the current place */
	AHEAD = 16,          /* look-ups prepared */
	LOOK = 32,           /* bytes that say whether the current distance still fits */
	LOOK_GOOD = 27,
	GAIN_NEAR = 9, /* bytes that a candidate must explain more */
	GAIN_FAR = 13,
	GAIN_AGAIN = 16, /* equal bytes for which a distance that was left is taken up again */
	AGAIN_LOSS =
		64, /* and where it is left again: so many more bytes that differ than are equal */
	ZERO_MIN = 64,
	EXACT_MIN = 16384, /* bytes without difference that become a command of their own */
	INSERT_MAX = 1 << 20,
	FILL_PART = 4 << 20,  /* old bytes that a thread samples at a time; above any step */
	TABLE_HUGE = 4 << 20, /* from this size on a table has large pages */
	FAR_MAX =
		1024, /* far looks of all threads before they are given back; each may bring 64 KiB */
	FAR_SOME = 32, /* a thread tells the others of so many at a time */
};

struct matcher {
	const uint8_t *old;
	uint64_t n;
	uint32_t *table;
	uint64_t mask; /* groups of WAYS */
	unsigned step, gram, place_bits;
	bool mapped;
	unsigned far_looks; /* atomic */
};

struct match_local {
	uint32_t (*table)[LOCAL_WAYS];
	uint64_t lo, hi;    /* what of the old space is in it */
	unsigned far_looks; /* not told yet */
	struct refiner *refiner;
	struct ops found, refined; /* of one range */
};

/* ---- lists of commands ---- */

void ops_done(struct ops *o)
{
	free(o->v);
	*o = (struct ops){ 0 };
}

static bool goes_on(const struct op *a, const struct op *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == OP_INSERT)
		return a->n + b->n <= INSERT_MAX;
	return a->kind == OP_ZERO || a->from + a->n == b->from;
}

bool ops_append(struct ops *o, const struct op *add, struct err *e)
{
	if (o->n == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 256;
		struct op *v = reallocarray(o->v, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		o->v = v;
		o->cap = cap;
	}
	o->v[o->n++] = *add;
	return true;
}

bool ops_add(struct ops *o, const struct op *add, struct err *e)
{
	if (!add->n)
		return true;
	if (o->n && goes_on(&o->v[o->n - 1], add)) {
		o->v[o->n - 1].n += add->n;
		return true;
	}
	return ops_append(o, add, e);
}

void ops_coarsen(struct ops *o, size_t most)
{
	for (uint64_t least = 16; o->n > most && least <= 2 * INSERT_MAX; least *= 2) {
		size_t n = 0;

		for (size_t i = 0; i < o->n; i++) {
			struct op op = o->v[i];

			if (op.n < least)
				op = (struct op){ .n = op.n, .kind = OP_INSERT };
			if (n && goes_on(&o->v[n - 1], &op))
				o->v[n - 1].n += op.n;
			else
				o->v[n++] = op;
		}
		o->n = n;
	}
}

/* ---- the table of samples ---- */

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Sampled grams have 12, 16, 24 or 32 bytes. */
static inline uint64_t gram_hash(const uint8_t *p, unsigned gram)
{
	uint64_t h = load64(p) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29) + load64(p + gram - 8);
	h *= UINT64_C(0xbf58476d1ce4e5b9);
	if (gram > 16) {
		h = (h ^ h >> 31) + load64(p + 8);
		h *= UINT64_C(0x94d049bb133111eb);
		h = (h ^ h >> 31) + load64(p + gram - 16);
		h *= UINT64_C(0x9e3779b97f4a7c15);
	}
	return h ^ h >> 32;
}

enum { FLAT = 12 }; /* bytes that is_flat reads */

/* Equal bytes in a row say nothing of where they come from. */
static inline bool is_flat(const uint8_t *p)
{
	uint64_t v = load64(p);

	return v == (v & 255) * UINT64_C(0x0101010101010101) && load64(p + 4) == v;
}

static inline uint32_t *group_of(const struct matcher *m, uint64_t hash)
{
	return m->table + (hash & m->mask) * WAYS;
}

static inline uint32_t entry_of(const struct matcher *m, uint64_t hash, uint64_t place)
{
	uint32_t tag = (uint32_t)(hash >> 32) << m->place_bits;

	return tag | (uint32_t)place;
}

/* A group keeps the lowest WAYS of its places, in order: what comes out is the same for any number of
 * threads that add places in any order.  A place that is displaced moves on to the next entry. */
static void sample_add(struct matcher *m, uint64_t hash, uint64_t place)
{
	uint32_t *g = group_of(m, hash), entry = entry_of(m, hash, place + 1);
	uint32_t places = (UINT32_C(1) << m->place_bits) - 1;

	for (unsigned i = 0; i < WAYS; i++) {
		uint32_t there = __atomic_load_n(&g[i], __ATOMIC_RELAXED);

		while (!there || (there & places) > (entry & places)) {
			if (!__atomic_compare_exchange_n(&g[i], &there, entry, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
				continue;
			if (!there)
				return;
			entry = there;
			break;
		}
	}
}

static void fill(struct matcher *m, uint64_t from, uint64_t to)
{
	uint64_t hashes[AHEAD];
	bool use[AHEAD];

	for (uint64_t k = from; k < to; k += AHEAD) {
		unsigned n = to - k < AHEAD ? (unsigned)(to - k) : AHEAD;

		for (unsigned i = 0; i < n; i++) {
			const uint8_t *p = m->old + (k + i) * m->step;

			use[i] = !is_flat(p);
			if (!use[i])
				continue;
			hashes[i] = gram_hash(p, m->gram);
			__builtin_prefetch(group_of(m, hashes[i]), 1);
		}
		for (unsigned i = 0; i < n; i++)
			if (use[i])
				sample_add(m, hashes[i], k + i);
	}
}

static void size_table(struct matcher *m)
{
	static const struct {
		unsigned step, gram;
	} rows[] = { { 1, 12 }, { 2, 12 }, { 4, 16 }, { 8, 24 }, { 16, 24 }, { 32, 32 } };
	unsigned row = 0, log = 10;

	while (row + 1 < ARRAY_SIZE(rows) &&
	       m->n / rows[row].step > (UINT64_C(3) << (TABLE_MAX_LOG - 2)))
		row++;
	m->step = rows[row].step;
	m->gram = rows[row].gram;
	while (m->n / m->step > (UINT64_C(3) << (TABLE_MAX_LOG - 2)))
		m->step *= 2;
	while (log < TABLE_MAX_LOG && UINT64_C(3) << (log - 2) < m->n / m->step)
		log++;
	m->mask = (UINT64_C(1) << log) / WAYS - 1;
	m->place_bits = 1;
	while (UINT64_C(1) << m->place_bits <= m->n / m->step + 1)
		m->place_bits++;
}

static uint64_t sampled_places(const struct matcher *m)
{
	return m->n < m->gram ? 0 : (m->n - m->gram) / m->step + 1;
}

static bool fill_part(void *ctx, size_t part, unsigned thread UNUSED, struct err *e UNUSED)
{
	struct matcher *m = ctx;
	uint64_t per = FILL_PART / m->step, from = part * per, all = sampled_places(m);
	uint64_t to = all - from < per ? all : from + per;

	fill(m, from, to);
	if (m->mapped)
		sight_drop(m->old + from * m->step, (size_t)(to - from) * m->step);
	return true;
}

/* Entries are used in no order, so small pages are looked for again and again. */
static bool table_new(struct matcher *m, struct err *e)
{
	size_t n = (size_t)(m->mask + 1) * WAYS * sizeof(*m->table);

	m->table = calloc(1, n);
	if (!m->table)
		return err_nomem(e);
	uintptr_t from = ((uintptr_t)m->table + 4095) & ~(uintptr_t)4095;
	uintptr_t to = ((uintptr_t)m->table + n) & ~(uintptr_t)4095;
	if (n >= TABLE_HUGE)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
	return true;
}

bool matcher_new(struct matcher **ret, const uint8_t *old, uint64_t n, bool mapped,
		 unsigned threads, struct err *e)
{
	CLEANUP(matcher_freep) struct matcher *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(e);
	m->old = old;
	m->n = n;
	m->mapped = mapped;
	size_table(m);
	if (!table_new(m, e))
		return false;
	struct tasks t = { .threads = threads, .run = fill_part, .ctx = m };
	t.n = (size_t)(sampled_places(m) / (FILL_PART / m->step) + 1);
	if (!tasks_run(&t, e))
		return false;
	*ret = TAKE(m);
	return true;
}

void matcher_free(struct matcher *m)
{
	if (!m)
		return;
	free(m->table);
	free(m);
}

/* ---- places near by ---- */

bool match_local_new(struct match_local **ret, struct err *e)
{
	struct match_local *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem(e);
	l->table = calloc(1 << LOCAL_LOG, sizeof(*l->table));
	if (!l->table || !refiner_new(&l->refiner, e)) {
		match_local_free(l);
		return err_nomem(e);
	}
	*ret = l;
	return true;
}

void match_local_free(struct match_local *l)
{
	if (!l)
		return;
	free(l->table);
	refiner_free(l->refiner);
	ops_done(&l->found);
	ops_done(&l->refined);
	free(l);
}

static inline uint32_t local_hash(const uint8_t *p)
{
	uint64_t v = load64(p) << (64 - 8 * LOCAL_GRAM);

	return (uint32_t)(v * UINT64_C(0x9e3779b97f4a7c15) >> (64 - LOCAL_LOG));
}

static void local_fill(struct match_local *l, const uint8_t *old, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		uint32_t *b = l->table[local_hash(old + i)];

		b[1] = b[0];
		b[0] = (uint32_t)i;
	}
}

/* Brings the bytes around `at` into the table. */
static void local_move(const struct matcher *m, struct match_local *l, uint64_t at)
{
	uint64_t end = m->n < 8 ? 0 : m->n - 8;
	uint64_t lo = at > LOCAL_REACH ? at - LOCAL_REACH : 0;
	uint64_t hi = at + LOCAL_REACH < end ? at + LOCAL_REACH : end;

	if (at >= end)
		return;
	if (lo > l->hi || hi < l->lo) {
		l->lo = l->hi = lo;
	} else if (lo + LOCAL_REACH / 2 < l->lo) {
		local_fill(l, m->old, lo, l->lo);
		l->lo = lo;
	}
	if (hi > l->hi + LOCAL_REACH / 4 || l->hi == lo) {
		local_fill(l, m->old, l->hi, hi);
		l->hi = hi;
	}
	if (l->hi - l->lo > 16 * LOCAL_REACH)
		l->lo = l->hi - 4 * LOCAL_REACH;
}

/* ---- scanning ---- */

struct scan {
	struct matcher *m;
	struct match_local *l;
	const uint8_t *p;
	size_t n;
	struct ops *ops;
	size_t at;         /* scanned up to here */
	size_t done;       /* commands made up to here */
	uint64_t distance; /* old minus new of the current place, modulo 2^64 */
	bool have, zero;   /* whether there is one; whether it is zeros */
	size_t hashed;
	uint64_t hashes[2 * AHEAD];
	uint64_t looked; /* where in the old space, when the commands are made cheaper */
};

struct found {
	uint64_t distance;
	size_t back, n; /* bytes equal before and from the scan's place */
	bool zero;
};

static size_t equal_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t d = load64(a + i) ^ load64(b + i);

		if (d)
			return i + (unsigned)__builtin_ctzll(d) / 8;
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

static size_t zero_bytes(const uint8_t *p, size_t n)
{
	size_t i = 0;

	while (i + 8 <= n && load64(p + i) == 0)
		i += 8;
	while (i < n && p[i] == 0)
		i++;
	return i;
}

/* How many bytes from `at` on have a counterpart at the distance. */
static size_t reach(const struct scan *s, uint64_t distance, size_t at)
{
	uint64_t old = at + distance;

	if (old >= s->m->n)
		return 0;
	return s->m->n - old < s->n - at ? (size_t)(s->m->n - old) : s->n - at;
}

static size_t matches_at(const struct scan *s, size_t from, size_t n)
{
	size_t count = 0, r;

	if (!s->have)
		return 0;
	if (s->zero) {
		for (size_t i = 0; i < n; i++)
			count += s->p[from + i] == 0;
		return count;
	}
	r = reach(s, s->distance, from);
	if (r > n)
		r = n;
	const uint8_t *o = s->m->old + (from + s->distance);
	for (size_t i = 0; i < r; i++)
		count += s->p[from + i] == o[i];
	return count;
}

/* Bytes equal at the current distance, from `at` on and at most up to `until`. */
static size_t run_at(const struct scan *s, size_t at, size_t until)
{
	size_t n;

	if (!s->have)
		return 0;
	if (s->zero)
		return zero_bytes(s->p + at, until - at);
	n = reach(s, s->distance, at);
	return equal_bytes(s->p + at, s->m->old + (at + s->distance),
			   n < until - at ? n : until - at);
}

static void consider(const struct scan *s, struct found *best, uint64_t old)
{
	uint64_t distance = old - s->at;
	struct found f = { .distance = distance };

	if (s->have && !s->zero && distance == s->distance)
		return;
	f.n = equal_bytes(s->p + s->at, s->m->old + old, reach(s, distance, s->at));
	if (f.n < LOCAL_GRAM)
		return;
	while (f.back < s->at - s->done && f.back < old &&
	       s->p[s->at - f.back - 1] == s->m->old[old - f.back - 1])
		f.back++;
	if (f.n + f.back > best->n + best->back)
		*best = f;
}

static uint64_t scan_hash(struct scan *s)
{
	const struct matcher *m = s->m;

	if (s->hashed < s->at)
		s->hashed = s->at;
	while (s->hashed < s->at + AHEAD && s->hashed + m->gram <= s->n) {
		uint64_t h = gram_hash(s->p + s->hashed, m->gram);

		__builtin_prefetch(group_of(m, h));
		s->hashes[s->hashed++ % (2 * AHEAD)] = h;
	}
	return s->hashes[s->at % (2 * AHEAD)];
}

/* Comparing with far places brings their pages into memory, and what lies around them. */
static void far_looked(struct matcher *m, struct match_local *l)
{
	if (!m->mapped || ++l->far_looks < FAR_SOME)
		return;
	l->far_looks = 0;
	if (__atomic_add_fetch(&m->far_looks, FAR_SOME, __ATOMIC_RELAXED) % FAR_MAX == 0)
		sight_drop(m->old, (size_t)m->n);
}

static void look_far(struct scan *s, struct found *best)
{
	struct matcher *m = s->m;

	if (s->n - s->at < m->gram || is_flat(s->p + s->at))
		return;
	uint64_t hash = scan_hash(s);
	const uint32_t *g = group_of(m, hash);
	uint32_t places = (UINT32_C(1) << m->place_bits) - 1, tag = entry_of(m, hash, 0);

	for (unsigned i = 0; i < WAYS && g[i]; i++)
		if ((g[i] & ~places) == tag) {
			consider(s, best, (uint64_t)((g[i] & places) - 1) * m->step);
			far_looked(m, s->l);
		}
}

static void look_near(struct scan *s, struct found *best)
{
	const struct matcher *m = s->m;

	if (s->n - s->at < FLAT || !s->have || is_flat(s->p + s->at))
		return;
	uint64_t centre = s->at + s->distance;
	if (centre >= m->n)
		return;
	local_move(m, s->l, centre);
	const uint32_t *b = s->l->table[local_hash(s->p + s->at)];
	for (unsigned i = 0; i < LOCAL_WAYS; i++) {
		uint64_t old = centre + (uint64_t)(int64_t)(int32_t)(b[i] - (uint32_t)centre);

		if (b[i] && old < m->n)
			consider(s, best, old);
	}
}

/* ---- making commands ---- */

/* Old bytes for n at p, as one command or, where long runs are equal, several. */
static bool add_copy(const struct matcher *m, const uint8_t *p, const struct op *op,
		     struct ops *ret, struct err *e)
{
	const uint8_t *o = m->old + op->from;
	size_t n = op->n;
	size_t begun = 0, at = 0;
	bool differs = false;

	while (at < n) {
		size_t run = equal_bytes(p + at, o + at, n - at);

		if (run >= EXACT_MIN || (run == n && !differs)) {
			struct op add = { .from = op->from + begun,
					  .n = at - begun,
					  .kind = differs ? OP_ADD : OP_COPY };
			struct op copy = { .from = op->from + at, .n = run, .kind = OP_COPY };

			if (!ops_add(ret, &add, e) || !ops_add(ret, &copy, e))
				return false;
			begun = at += run;
			differs = false;
			continue;
		}
		at += run;
		if (at < n) {
			differs = true;
			ret->differing++;
			at++;
		}
	}
	struct op rest = { .from = op->from + begun,
			   .n = n - begun,
			   .kind = differs ? OP_ADD : OP_COPY };
	return ops_add(ret, &rest, e);
}

static bool emit_inserts(struct scan *s, size_t from, size_t until, struct err *e)
{
	while (from < until) {
		size_t n = until - from < INSERT_MAX ? until - from : INSERT_MAX;
		struct op insert = { .n = n, .kind = OP_INSERT };

		if (!ops_add(s->ops, &insert, e))
			return false;
		from += n;
	}
	return true;
}

static bool emit_same(struct scan *s, size_t from, size_t n, struct err *e)
{
	const struct op zero = { .n = n, .kind = OP_ZERO };
	const struct op copy = { .from = from + s->distance, .n = n, .kind = OP_COPY };

	return ops_add(s->ops, s->zero ? &zero : &copy, e);
}

/* How far equal bytes at `from` go on with few differences between. */
static size_t extend_again(const struct scan *s, size_t from, size_t until)
{
	size_t n = reach(s, s->distance, from), i = 0, best_n = 0;
	int64_t score = 0, best = 0;

	if (n > until - from)
		n = until - from;
	const uint8_t *o = s->m->old + (from + s->distance), *p = s->p + from;
	while (i < n && score > best - AGAIN_LOSS) {
		size_t run = equal_bytes(p + i, o + i, n - i);

		i += run;
		score += (int64_t)run;
		if (score > best) {
			best = score;
			best_n = i;
		}
		i++;
		score--;
	}
	return best_n;
}

/* What was found nowhere, between two commands: where the distance fits once more, as in blocks that stayed
 * among blocks that did not, it is used, and the rest is inserted. */
static bool emit_gap(struct scan *s, size_t from, size_t until, struct err *e)
{
	size_t least = s->zero ? ZERO_MIN : GAIN_AGAIN, inserted = from;

	for (size_t at = from; s->have && at < until;) {
		size_t n = run_at(s, at, until);

		if (n < least) {
			at += n + 1;
			continue;
		}
		if (!s->zero)
			n = extend_again(s, at, until);
		if (!emit_inserts(s, inserted, at, e) || !emit_same(s, at, n, e))
			return false;
		inserted = at += n;
	}
	return emit_inserts(s, inserted, until, e);
}

static bool emit(struct scan *s, size_t copied, size_t until, struct err *e)
{
	size_t from = s->done;

	s->done = until;
	return emit_same(s, from, copied, e) && emit_gap(s, from + copied, until, e);
}

/* How far the current distance is worth keeping, at most up to `until`. */
static size_t extend_forward(const struct scan *s, size_t until)
{
	size_t from = s->done, n, i = 0, best_n = 0;
	int64_t score = 0, best = 0;

	if (!s->have)
		return 0;
	if (s->zero) {
		n = zero_bytes(s->p + from, until - from);
		return n;
	}
	n = reach(s, s->distance, from);
	if (n > until - from)
		n = until - from;
	const uint8_t *o = s->m->old + (from + s->distance), *p = s->p + from;
	while (i < n) {
		size_t run = equal_bytes(p + i, o + i, n - i);

		i += run;
		score += (int64_t)run;
		if (score > best) {
			best = score;
			best_n = i;
		}
		if (i < n) {
			i++;
			score--;
		}
	}
	return best_n;
}

/* How far back from `at` the new distance is worth having. */
static size_t extend_back(const struct scan *s, const struct found *f)
{
	size_t most = s->at - s->done, best_n = f->back;
	uint64_t old = s->at + f->distance;
	int64_t score = (int64_t)f->back, best = score;

	if (f->zero)
		return f->back;
	if (old < most)
		most = (size_t)old;
	for (size_t i = f->back; i < most; i++) {
		score += s->p[s->at - i - 1] == s->m->old[old - i - 1] ? 1 : -1;
		if (score > best) {
			best = score;
			best_n = i + 1;
		} else if (score < best - 512) {
			break;
		}
	}
	return best_n;
}

/* Where both distances claim bytes: the point up to which the current one explains more. */
static size_t split(const struct scan *s, const struct found *f, size_t from, size_t to)
{
	const uint8_t *o = s->m->old;
	int64_t score = 0, best = 0;
	size_t at = from;

	if (s->zero || f->zero)
		return to;
	for (size_t i = from; i < to; i++) {
		score += s->p[i] == o[i + s->distance];
		score -= s->p[i] == o[i + f->distance];
		if (score > best) {
			best = score;
			at = i + 1;
		}
	}
	return at;
}

static bool take(struct scan *s, const struct found *f, struct err *e)
{
	size_t forward = extend_forward(s, s->at);
	size_t back = extend_back(s, f), begin = s->at - back;

	if (s->done + forward > begin) {
		begin = split(s, f, begin, s->done + forward);
		forward = begin - s->done;
	}
	if (!emit(s, forward, begin, e))
		return false;
	s->distance = f->zero ? s->distance : f->distance;
	s->have = true;
	s->zero = f->zero;
	s->at += f->n;
	return true;
}

static bool worth(const struct scan *s, const struct found *f)
{
	size_t n = f->n + f->back, now = matches_at(s, s->at - f->back, n);
	uint64_t jump = f->distance - s->distance;
	bool near = s->have && jump + 2 * LOCAL_REACH < 4 * LOCAL_REACH;

	return n >= now + (near ? GAIN_NEAR : GAIN_FAR);
}

/* Where nothing was found for long, not every place is tried: a match that begins between two is
 * found a little later and extended back. */
static size_t stride(const struct scan *s)
{
	size_t fruitless = (s->at - s->done) >> 17;

	return fruitless > 15 ? 16 : fruitless + 1;
}

static bool scan_step(struct scan *s, struct err *e)
{
	struct found best = { .n = 0 };
	size_t run = run_at(s, s->at, s->n);

	if (run >= LOOK || run == s->n - s->at) {
		s->at += run;
		return true;
	}
	if (s->have && s->n - s->at >= LOOK && matches_at(s, s->at, LOOK) >= LOOK_GOOD) {
		s->at += run + 1;
		return true;
	}
	size_t zeros = zero_bytes(s->p + s->at, s->n - s->at);
	if (zeros >= ZERO_MIN && !s->zero)
		best = (struct found){ .n = zeros, .zero = true };
	else {
		look_near(s, &best);
		if (best.n < 64)
			look_far(s, &best);
	}
	if (best.n && worth(s, &best))
		return take(s, &best, e);
	s->at += run > 8 ? run : stride(s);
	return true;
}

/* ---- the commands that were found, made cheaper ---- */

static void look(void *ctx, uint64_t from)
{
	struct scan *s = ctx;

	if (from - s->looked + LOCAL_REACH >= 2 * LOCAL_REACH)
		far_looked(s->m, s->l);
	s->looked = from;
}

/* Copies are told from those with differences. */
static bool finish(struct scan *s, const struct ops *ops, struct ops *ret, struct err *e)
{
	const uint8_t *p = s->p;

	for (size_t i = 0; i < ops->n; p += ops->v[i++].n) {
		const struct op *op = &ops->v[i];

		if (op->kind == OP_COPY)
			look(s, op->from);
		if (!(op->kind == OP_COPY ? add_copy(s->m, p, op, ret, e)
					  : ops_add(ret, op, e)))
			return false;
	}
	return true;
}

bool match_range(struct matcher *m, struct match_local *l, const uint8_t *p, size_t n,
		 uint64_t guess, struct ops *ret, struct err *e)
{
	struct scan s = { .m = m,
			  .l = l,
			  .p = p,
			  .n = n,
			  .ops = &l->found,
			  .distance = guess,
			  .have = guess < m->n };
	const struct refine_job job = {
		.old = m->old, .old_n = m->n, .p = p, .found = &l->found, .look = look, .ctx = &s
	};

	/* What the thread matched before must not matter. */
	if (l->hi)
		memset(l->table, 0, sizeof(*l->table) << LOCAL_LOG);
	l->lo = l->hi = 0;
	while (s.at < n)
		if (!scan_step(&s, e))
			return false;
	if (!emit(&s, extend_forward(&s, n), n, e) || !refine(l->refiner, &job, &l->refined, e))
		return false;
	ops_done(&l->found); /* not two lists more for each thread at a time */
	bool ok = finish(&s, &l->refined, ret, e);
	ops_done(&l->refined);
	return ok;
}
