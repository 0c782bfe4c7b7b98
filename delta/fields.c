#include "delta/fields.h"
#include "base/bytes.h"
#include "delta/code.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEEN_LOG = 16,
	NEAR_SHIFT = 10,
	TOO_FAR = 1 << 27,
	MAP_BACK = 8,
	PAGE_USED = 256,     /* bytes behind an ADRP where its register is that page */
	TABLE_TRUST = 57000, /* of 65536: how often who tells of a change must be right */
};

/* What knows where a target went, best first at the beginning. */
enum field_source { SOURCE_SEEN, SOURCE_MAP, SOURCE_NEAR, SOURCE_STAYS };

bool fields_init(struct fields *f, struct err *e)
{
	static const uint16_t first[FIELD_SOURCES] = { 60000, 50000, 40000, 20000 };

	*f = (struct fields){ 0 };
	f->seen = calloc(1 << SEEN_LOG, sizeof(*f->seen));
	f->near = calloc(1 << SEEN_LOG, sizeof(*f->near));
	f->index = calloc(FIELD_INDEX + 1, sizeof(*f->index));
	for (unsigned c = 0; c < FIELD_CLASSES; c++)
		memcpy(f->score[c], first, sizeof(first));
	f->score[CLASS_SELF][SOURCE_STAYS] = TABLE_TRUST;
	if (!f->seen || !f->near || !f->index)
		return err_nomem(e);
	return true;
}

void fields_done(struct fields *f)
{
	free(f->map);
	free(f->seen);
	free(f->near);
	free(f->index);
	*f = (struct fields){ 0 };
}

uint64_t fields_address(const struct piece *p, uint64_t streams_before)
{
	return p->transform ? (UINT64_C(1) << 50) + streams_before : p->offset;
}

static int by_from(const struct field_range *x, const struct field_range *y)
{
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->shift < y->shift ? -1 : x->shift > y->shift;
}

/* In place: qsort(3) takes as much memory again, just when the commands take most. */
static void sift(struct field_range *v, size_t at, size_t n)
{
	struct field_range moved = v[at];

	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && by_from(&v[child], &v[child + 1]) < 0)
			child++;
		if (by_from(&moved, &v[child]) >= 0)
			break;
		v[at] = v[child];
	}
	v[at] = moved;
}

static void heap_sort(struct field_range *v, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift(v, i, n);
	while (n-- > 1) {
		struct field_range last = v[n];

		v[n] = v[0];
		v[0] = last;
		sift(v, 0, n);
	}
}

static void index_map(struct fields *f)
{
	uint64_t most = f->n_map ? f->map[f->n_map - 1].from : 0;
	size_t k = 0;

	f->index_log = 0;
	while (most >> f->index_log >= FIELD_INDEX)
		f->index_log++;
	for (uint64_t i = 0; i <= FIELD_INDEX; i++) {
		while (k < f->n_map && f->map[k].from >> f->index_log < i)
			k++;
		f->index[i] = (uint32_t)k;
	}
}

bool fields_map(struct fields *f, const struct piece *pieces, size_t n_pieces,
		const struct op *ops, size_t n_ops, struct err *e)
{
	uint64_t streams = 0;
	size_t n = 0;

	for (size_t i = 0; i < n_ops; i++)
		n += ops[i].kind == OP_COPY || ops[i].kind == OP_ADD;
	free(f->map);
	f->n_map = 0;
	f->map = reallocarray(NULL, n + 1, sizeof(*f->map));
	if (!f->map)
		return err_nomem(e);
	for (size_t i = 0; i < n_pieces; i++) {
		uint64_t at = fields_address(&pieces[i], streams);

		for (uint32_t k = 0; k < pieces[i].ops; k++) {
			const struct op *op = &ops[pieces[i].first_op + k];

			if (op->kind == OP_COPY || op->kind == OP_ADD)
				f->map[f->n_map++] =
					(struct field_range){ op->from, op->n, at - op->from };
			at += op->n;
		}
		streams += pieces[i].plain_size;
	}
	heap_sort(f->map, f->n_map);
	index_map(f);
	return true;
}

void fields_start(struct fields *f, uint64_t distance)
{
	f->shift = 0 - distance;
	memset(f->spill_kinds, 0, sizeof(f->spill_kinds));
	for (unsigned r = 0; r < FIELD_REGISTERS; r++)
		f->pages[r].at = 0 - (uint64_t)PAGE_USED;
}

/* The last range that begins at or before `at`; n_map when there is none. */
static size_t map_find(const struct fields *f, uint64_t at)
{
	uint64_t i = at >> f->index_log;
	size_t lo = f->index[i < FIELD_INDEX ? i : FIELD_INDEX];
	size_t hi = f->index[i < FIELD_INDEX ? i + 1 : FIELD_INDEX];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->map[mid].from <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? lo - 1 : f->n_map;
}

static uint64_t magnitude(uint64_t d)
{
	return d >> 63 ? 0 - d : d;
}

/* How far the old byte at `at` moved: the range that holds it and moved most as we did. */
static bool map_shift(struct fields *f, uint64_t at, uint64_t *ret)
{
	size_t i = map_find(f, at);
	bool found = false;

	if (i == f->n_map)
		return false;
	for (unsigned k = 0; k < MAP_BACK; k++) {
		const struct field_range *r = &f->map[i];

		if (at - r->from < r->n &&
		    (!found || magnitude(r->shift - f->shift) < magnitude(*ret - f->shift))) {
			*ret = r->shift;
			found = true;
		}
		if (i-- == 0)
			break;
	}
	return found;
}

static struct field_seen *seen_slot(struct field_seen *t, uint64_t key, uint32_t *ret_check)
{
	uint32_t h = context_hash((uint32_t)key, (uint32_t)(key >> 32));

	*ret_check = (uint32_t)key | 1U << 31;
	return &t[h >> (32 - SEEN_LOG)];
}

static bool seen_shift(struct field_seen *t, uint64_t key, uint32_t *ret)
{
	uint32_t check;
	const struct field_seen *s = seen_slot(t, key, &check);

	*ret = s->shift;
	return s->check == check;
}

static void seen_set(struct field_seen *t, uint64_t key, uint32_t shift)
{
	uint32_t check;
	struct field_seen *s = seen_slot(t, key, &check);

	*s = (struct field_seen){ check, shift };
}

/* Opcodes with a ModRM byte and no immediate that often have an address relative to RIP. */
static bool plain_modrm(uint8_t op)
{
	return (op & 0xc4) == 0 || (op >= 0x84 && op <= 0x8d) || op == 0x63 || op == 0xff ||
	       (op >= 0xd0 && op <= 0xd3);
}

enum field_class fields_x86(uint32_t before, unsigned *ret_behind)
{
	uint8_t a = (uint8_t)before, b = (uint8_t)(before >> 8);

	*ret_behind = 0;
	if (a == 0xe8)
		return CLASS_CALL;
	if (a == 0xe9)
		return CLASS_JUMP;
	if (b == 0x0f && (a & 0xf0) == 0x80)
		return CLASS_BRANCH;
	if ((a & 0xc7) == 0x05) {
		if (plain_modrm(b) || (uint8_t)(before >> 16) == 0x0f)
			return CLASS_DATA;
		if (b == 0x80 || b == 0x83 || b == 0xc6 || b == 0xc0 || b == 0xc1 ||
		    b == 0xf6) {
			*ret_behind = 1;
			return CLASS_DATA;
		}
		if (b == 0x81 || b == 0xc7 || b == 0xf7) {
			*ret_behind = 4;
			return CLASS_DATA;
		}
	}
	return CLASS_NONE;
}

/* What kind of field begins at p (3 bytes before it are readable). */
static enum field_class field_at(const uint8_t *p, uint64_t address, unsigned *ret_behind)
{
	enum field_class class =
		fields_x86((uint32_t)p[-3] << 16 | (uint32_t)p[-2] << 8 | p[-1], ret_behind);

	return class == CLASS_NONE && address % 4 == 0 ? CLASS_SELF : class;
}

static void score_update(uint16_t *score, bool right, unsigned rate)
{
	if (right)
		*score = (uint16_t)(*score + ((65535 - *score) >> rate));
	else
		*score = (uint16_t)(*score - (*score >> rate));
}

/* ---- arm64 (Arm ARM, C4.1) ---- */

static enum field_class arm_class(uint32_t w)
{
	if ((w & 0x7c000000) == 0x14000000)
		return CLASS_ARM_JUMP;
	if ((w & 0xff000010) == 0x54000000 || (w & 0x7e000000) == 0x34000000)
		return CLASS_ARM_BRANCH;
	if ((w & 0x9f000000) == 0x90000000)
		return CLASS_ARM_PAGE;
	/* ADD of 64 bits, not shifted; loads and stores with an unsigned offset */
	if ((w & 0xffc00000) == 0x91000000 || (w & 0x3b000000) == 0x39000000)
		return CLASS_ARM_LOW;
	return CLASS_NONE;
}

/* The bits of the word that hold the address. */
static uint32_t arm_mask(enum field_class class)
{
	return class == CLASS_ARM_JUMP     ? 0x03ffffff
	       : class == CLASS_ARM_BRANCH ? 0x00ffffe0
	       : class == CLASS_ARM_PAGE   ? 0x60ffffe0
					   : 0x003ffc00;
}

static int64_t sign_extend(uint32_t v, unsigned bits)
{
	return (int64_t)((uint64_t)v << (64 - bits)) >> (64 - bits);
}

/* Bytes, or for ADRP pages. */
static int64_t arm_distance(enum field_class class, uint32_t w)
{
	if (class == CLASS_ARM_JUMP)
		return sign_extend(w & 0x03ffffff, 26) * 4;
	if (class == CLASS_ARM_BRANCH)
		return sign_extend(w >> 5 & 0x7ffff, 19) * 4;
	return sign_extend((w >> 5 & 0x7ffff) << 2 | (w >> 29 & 3), 21);
}

/* log2 of what the offset of a load or store counts. */
static unsigned arm_scale(uint32_t w)
{
	if ((w & 0x3b000000) != 0x39000000)
		return 0;
	return (w & 0xc4800000) == 0x04800000 ? 4 : w >> 30;
}

static uint32_t arm_low(uint32_t w)
{
	return (w >> 10 & 0xfff) << arm_scale(w);
}

static unsigned arm_base(uint32_t w)
{
	return w >> 5 & 31;
}

static uint64_t page_of(uint64_t address)
{
	return address & ~UINT64_C(0xfff);
}

/* The old word for a target that moved by `shift`; at: where it was. */
static uint32_t arm_moved(const struct fields *f, const struct field_guess *g, uint64_t at,
			  uint64_t shift)
{
	uint64_t to = g->target + shift, here = at + f->shift;
	uint32_t bits;

	if (g->class == CLASS_ARM_JUMP) {
		bits = (uint32_t)((to - here) >> 2);
	} else if (g->class == CLASS_ARM_BRANCH) {
		bits = (uint32_t)((to - here) >> 2) << 5;
	} else if (g->class == CLASS_ARM_PAGE) {
		uint32_t pages =
			(uint32_t)((int32_t)(uint32_t)(page_of(to) - page_of(here)) >> 12);

		bits = (pages >> 2 & 0x7ffff) << 5 | (pages & 3) << 29;
	} else {
		bits = ((uint32_t)to & 0xfff) >> arm_scale(g->was) << 10;
	}
	return (g->was & ~arm_mask(g->class)) | (bits & arm_mask(g->class));
}

/* Where the page's register is used first, in the next three instructions (CODE_AFTER bytes): the low
 * bits. */
static uint32_t arm_low_behind(const uint8_t *p, uint32_t adrp)
{
	for (unsigned i = 1; i <= 3; i++) {
		uint32_t w = get_le32(p + 4 * i);

		if (arm_class(w) == CLASS_ARM_LOW && arm_base(w) == (adrp & 31))
			return arm_low(w);
	}
	return 0;
}

/* What an instruction refers to; CLASS_NONE when to nothing. */
static enum field_class arm_field(struct fields *f, struct field_guess *g, const uint8_t *p,
				  uint64_t address)
{
	uint32_t w = get_le32(p);
	enum field_class class = arm_class(w);
	struct field_page *result = &f->pages[w & 31];

	if (class == CLASS_ARM_JUMP || class == CLASS_ARM_BRANCH) {
		g->target = address + (uint64_t)arm_distance(class, w);
		return class;
	}
	if (class == CLASS_ARM_PAGE) {
		uint64_t page = page_of(address) + ((uint64_t)arm_distance(class, w) << 12);

		*result = (struct field_page){ page, address };
		g->target = page + arm_low_behind(p, w);
		return class;
	}
	if (class == CLASS_ARM_LOW && address - f->pages[arm_base(w)].at >= PAGE_USED)
		class = CLASS_NONE;
	g->target = f->pages[arm_base(w)].page + arm_low(w);
	result->at = address - PAGE_USED; /* it holds something else now */
	return class;
}

/* How far the target moved, when the new instruction is the same but for the address. */
static bool arm_shift(struct fields *f, const struct field_guess *g, uint32_t now,
		      uint64_t *ret)
{
	uint64_t here = f->block + g->at + f->shift;

	if ((now ^ g->was) & ~arm_mask(g->class))
		return false;
	if (g->class == CLASS_ARM_PAGE) {
		f->new_pages[now & 31] =
			page_of(here) + ((uint64_t)arm_distance(g->class, now) << 12);
		return false; /* only together with the low bits */
	}
	if (g->class == CLASS_ARM_LOW)
		*ret = f->new_pages[arm_base(now)] + arm_low(now) - g->target;
	else
		*ret = here + (uint64_t)arm_distance(g->class, now) - g->target;
	return true;
}

/* The first bytes of most of its instructions: a third of all others' words begin with one at most. */
static bool looks_like_arm64(uint32_t w)
{
	static const uint32_t often[8] = { 0x04960800, 0x03f00400, 0x001e0800, 0x04060800,
					   0x04970800, 0x03310700, 0x006f0800, 0x07030800 };

	return often[w >> 29] >> (w >> 24 & 31) & 1;
}

static bool block_is_arm64(struct fields *f, const uint8_t *old, uint64_t address, size_t n)
{
	for (size_t i = (0 - address) & 3; i + 4 <= n; i += 4)
		score_update(&f->arm64, looks_like_arm64(get_le32(old + i)), 6);
	return f->arm64 > 1 << 15;
}

/* ---- guesses ---- */

/* The field for a target that moved by `shift`. */
static uint32_t field_moved(const struct fields *f, const struct field_guess *g, uint64_t at,
			    uint64_t shift)
{
	if (g->class >= CLASS_ARM_JUMP)
		return arm_moved(f, g, at, shift);
	return g->was + (uint32_t)shift - (uint32_t)f->shift;
}

static void guess_add(struct field_guess *g, enum field_source source, uint32_t value)
{
	g->known |= (uint8_t)(1U << source);
	g->value[source] = value;
}

/* What each source says that becomes of a field whose class and target are known. */
static void field_ask(struct fields *f, struct field_guess *g, uint64_t at)
{
	uint64_t shift = 0;
	uint32_t seen = 0;

	if (map_shift(f, g->target, &shift))
		guess_add(g, SOURCE_MAP, field_moved(f, g, at, shift));
	if (seen_shift(f->seen, g->target, &seen))
		guess_add(g, SOURCE_SEEN, field_moved(f, g, at, seen));
	if (seen_shift(f->near, g->target >> NEAR_SHIFT, &seen))
		guess_add(g, SOURCE_NEAR, field_moved(f, g, at, seen));
}

/* The field at p, if there is one, and what becomes of it. */
static bool field_guess(struct fields *f, struct field_guess *g, const uint8_t *p,
			uint64_t address, bool is_arm64)
{
	unsigned behind = 0;
	uint32_t was = get_le32(p);
	enum field_class class;

	*g = (struct field_guess){ .was = was };
	if (is_arm64) {
		class = address % 4 ? CLASS_NONE : arm_field(f, g, p, address);
	} else {
		class = field_at(p, address, &behind);
		g->target = address + (uint64_t)(int64_t)(int32_t)was;
		if (class != CLASS_SELF)
			g->target += 4 + behind;
		if (was == 0 || was + TOO_FAR >= 2 * (uint32_t)TOO_FAR)
			return false;
	}
	if (class == CLASS_NONE)
		return false;
	g->class = (uint8_t) class;
	guess_add(g, SOURCE_STAYS, was);
	field_ask(f, g, address);
	return class != CLASS_SELF || g->known >> SOURCE_MAP & 1;
}

static uint32_t field_choose(const struct fields *f, const struct field_guess *g,
			     bool *ret_doubt)
{
	const uint16_t *score = f->score[g->class];
	unsigned best = SOURCE_STAYS;

	for (unsigned s = 0; s < SOURCE_STAYS; s++)
		if (g->known >> s & 1 && score[s] > score[best])
			best = s;
	*ret_doubt = false;
	for (unsigned s = 0; s < SOURCE_STAYS; s++)
		*ret_doubt |= g->known >> s & 1 && g->value[s] != g->value[best];
	return g->value[best];
}

/* Bytes of the last block's last field come first, at most three. */
static size_t take_spill(struct fields *f, uint8_t *expected, uint8_t *kinds)
{
	size_t n = 0;

	while (f->spill_kinds[n])
		n++;
	memcpy(expected, f->spill, n);
	memcpy(kinds, f->spill_kinds, n);
	return n;
}

void fields_expect(struct fields *f, uint8_t *expected, uint8_t *kinds, const uint8_t *old,
		   uint64_t old_address, size_t n)
{
	memcpy(expected, old, n + FIELD_SPILL);
	memset(kinds, 0, n + FIELD_SPILL);
	f->n_guesses = 0;
	f->block = old_address;
	bool is_arm64 = block_is_arm64(f, old, old_address, n);
	for (size_t i = take_spill(f, expected, kinds); i < n; i++) {
		struct field_guess *g = &f->guesses[f->n_guesses];
		bool doubt;

		if (!field_guess(f, g, old + i, old_address + i, is_arm64))
			continue;
		uint32_t value = field_choose(f, g, &doubt);
		g->at = (uint16_t)i;
		f->n_guesses++;
		if (g->class == CLASS_SELF && value == g->was)
			continue;
		put_le32(expected + i, value);
		for (unsigned k = 0; k < 4; k++)
			kinds[i + k] = (uint8_t)((k + 1) | (doubt ? FIELD_DOUBT : 0));
		kinds[i] |= FIELD_START;
		i += 3;
	}
	memcpy(f->spill, expected + n, FIELD_SPILL);
	memcpy(f->spill_kinds, kinds + n, FIELD_SPILL);
}

/* An instruction is compared with all that is known of it.  What looks like an entry of a table is most
 * often none, so there only those who expect it to change are judged, and quickly. */
static void score_all(struct fields *f, const struct field_guess *g, uint32_t value)
{
	uint16_t *score = f->score[g->class];
	bool differ = false;

	for (unsigned s = 0; s < SOURCE_STAYS; s++)
		differ |= g->known >> s & 1 && g->value[s] != g->was;
	for (unsigned s = 0; s < FIELD_SOURCES && differ; s++) {
		if (!(g->known >> s & 1))
			continue;
		if (g->class != CLASS_SELF)
			score_update(&score[s], g->value[s] == value, 5);
		else if (g->value[s] != g->was)
			score_update(&score[s], g->value[s] == value, 4);
	}
}

static void field_learn(struct fields *f, const struct field_guess *g, uint32_t value)
{
	score_all(f, g, value);
	uint64_t shift = value - g->was + f->shift;
	if (g->class >= CLASS_ARM_JUMP && !arm_shift(f, g, value, &shift))
		return;
	seen_set(f->seen, g->target, (uint32_t)shift);
	seen_set(f->near, g->target >> NEAR_SHIFT, (uint32_t)shift);
}

void fields_learn(struct fields *f, const uint8_t *now, size_t n)
{
	for (unsigned i = 0; i < f->n_guesses; i++)
		if (f->guesses[i].at + 4U <= n)
			field_learn(f, &f->guesses[i], get_le32(now + f->guesses[i].at));
}
