/* Inserted bytes: mixed, as guessed, as they are, or in bulk. */
#include "delta/models.h"
#include "base/bytes.h"

#include <string.h>

enum {
	RUN = 32,       /* inserted bytes that may all be as guessed */
	RUN_AFTER = 64, /* that were guessed right before it is asked */
	RUN_SURE = 400,
	PLAIN_MIN = 256, /* smaller parts are always mixed */
	AGREE_MAX = 32,  /* bytes in common that a guess begins with at most */
	FAR_MIN = 16,    /* and at least, of a far one */
	FAR_SHIFT = 14,  /* the highest bits of a hash know most */
	SEEN = 4,        /* bytes that are no chance when they were inserted before */
	STRAYS = 4,      /* standard deviations from what is expected that may be chance, and */
	STRAYS_AFTER = 6, /* right behind four blocks of noise */
	TARGET_BITS = 28,
	TARGET_TRUST =
		65536 / 11, /* how much more often targets must come again than distances */
	TARGET_GUESS = 16,  /* what a guess is still worth behind a target that was another */
};

static inline uint32_t guess_slot(uint32_t last4, uint32_t last8)
{
	return context_hash(last4, last8 & 255) >> (32 - GUESS_LOG);
}

static inline uint32_t far_hash(uint32_t hash, uint8_t b)
{
	enum { FACTOR = 0x0b06cdb4 }; /* a multiple of 4: a byte is gone after FAR_MIN more */

	return (hash + b + 1) * FACTOR;
}

static inline uint32_t *far_slot(const struct history *h, uint32_t hash)
{
	return &h->far[hash >> FAR_SHIFT & h->far_mask];
}

/* How many of the last bytes, at most AGREE_MAX, are as those before history's byte `at`. */
static uint32_t agreement(const struct history *h, uint32_t at)
{
	uint32_t n = 0;

	while (n < AGREE_MAX && at > n &&
	       history_at(h, at - 1 - n) == history_at(h, h->n - 1 - n))
		n++;
	return n;
}

/* What followed the last time that five inserted bytes were as the last five.  Places that are farther back have
 * mostly been replaced by others. */
static void guess_near(struct models *m, uint32_t slot)
{
	m->guess_at = m->guesses[slot];
	m->guess_length = m->guess_at ? agreement(&m->history, m->guess_at) : 0;
}

/* What followed the last FAR_MIN bytes before, wherever that is; found at one of FAR_STEP bytes that repeat. */
static void guess_far(struct models *m)
{
	uint32_t at = m->history.far_at, length;

	if (m->guess_length >= FAR_MIN || !at)
		return;
	length = agreement(&m->history, at);
	if (length < FAR_MIN)
		return;
	m->guess_at = at;
	m->guess_length = length;
}

static void history_add(struct history *h, uint8_t b)
{
	uint32_t *slot;

	h->bytes[h->n++ & h->mask] = b;
	h->far_hash = far_hash(h->far_hash, b);
	slot = far_slot(h, h->far_hash);
	h->far_at = *slot;
	if (h->n % FAR_STEP == 0)
		*slot = h->n;
}

static void guess_update(struct models *m, uint8_t b)
{
	uint32_t slot = guess_slot(m->last4, m->last8);

	history_add(&m->history, b);
	if (m->guess_length && history_at(&m->history, m->guess_at) == b) {
		m->guess_at++;
		if (m->guess_length < RUN_SURE)
			m->guess_length++;
	} else {
		guess_near(m, slot);
	}
	m->guesses[slot] = m->history.n;
	guess_far(m);
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
	models_passed(m, b);
	m->word = is_letter(b) ? context_hash(m->word, b) : 0;
	guess_update(m, b);
}

/* Whether RUN bytes are as guessed; they may be guessed from each other. */
static bool is_run(const struct models *m, const uint8_t *p)
{
	uint32_t distance = ((m->history.n - m->guess_at - 1) & m->history.mask) + 1;

	for (uint32_t i = 0; i < RUN; i++)
		if (p[i] !=
		    (i < distance ? history_at(&m->history, m->guess_at + i) : p[i - distance]))
			return false;
	return true;
}

static bool code_run(struct coder *c, struct models *m, uint8_t *p)
{
	unsigned n = m->guess_length, sure = n < 2 * RUN_AFTER ? 0 : n < RUN_SURE ? 1 : 2;

	if (!coder_bit(c, &m->is_run[sure], !c->decoding && is_run(m, p)))
		return false;
	for (unsigned i = 0; i < RUN; i++) {
		p[i] = history_at(&m->history, m->guess_at);
		insert_passed(m, p[i]);
	}
	return true;
}

/* Whether bytes, or how much each is more than the one `back` before it, are spread as if by chance: the sum of
 * the squares of their numbers is n + n (n - 1) / 256 then, give or take sqrt(2 n (n - 1) / 256). */
static bool is_even(const uint8_t *p, size_t n, size_t back, uint64_t strays)
{
	uint16_t counts[256] = { 0 };
	uint64_t sum = 0;

	for (size_t i = back; i < n; i++)
		counts[(uint8_t)(p[i] - (back ? p[i - back] : 0))]++;
	for (unsigned i = 0; i < 256; i++)
		sum += (uint64_t)counts[i] * counts[i];
	n -= back;
	uint64_t most = n * (n - 1) / 256, over = sum > n + most ? sum - n - most : 0;
	return over * over <= strays * strays * 2 * most;
}

static bool goes_on(const struct history *h, uint32_t at, const uint8_t *p)
{
	uint32_t k = 0;

	while (at && k < SEEN && history_at(h, at + k) == p[k])
		k++;
	return k == SEEN;
}

/* Whether any of the bytes were inserted before. */
static bool is_seen(const struct models *m, const uint8_t *p, size_t n)
{
	uint32_t last4 = 0, last8 = 0, hash = 0;

	for (size_t i = 0; i + SEEN <= n; i++) {
		if (i >= 5 && goes_on(&m->history, m->guesses[guess_slot(last4, last8)], p + i))
			return true;
		if (i >= FAR_MIN && goes_on(&m->history, *far_slot(&m->history, hash), p + i))
			return true;
		last8 = last8 << 8 | last4 >> 24;
		last4 = last4 << 8 | p[i];
		hash = far_hash(hash, p[i]);
	}
	return false;
}

/* Packed and encrypted bytes only grow by mixing.  One block of noise in some thousands looks uneven. */
static bool is_plain(const struct models *m, const uint8_t *p, size_t n)
{
	static const uint8_t back[] = { 0, 1, 2, 4 };
	unsigned strays = (m->last_plain & 15) == 15 ? STRAYS_AFTER : STRAYS;

	for (unsigned i = 0; i < ARRAY_SIZE(back); i++)
		if (!is_even(p, n, back[i], strays))
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

/* What a byte is predicted from besides the bytes before it. */
struct hint {
	unsigned guess, strength, set;
	uint32_t wide, word; /* contexts */
};

static uint8_t mix(struct coder *c, struct models *m, const struct hint *hint, uint8_t b)
{
	uint32_t h = m->last4;
	uint32_t contexts[LITERAL_INPUTS] = {
		0,
		h & 0xff,
		h & 0xffff,
		h & 0xffffff,
		h,
		context_hash(h, m->last8 & 0xffff),
		hint->wide,
		h & 0xffff00,                  /* operands between */
		context_hash(h & 0xf0f8ff, 1), /* kinds of instructions */
		context_hash(hint->guess | hint->strength << 8, h & 0xff),
		hint->word,
	};

	return (uint8_t)coder_byte(c, &m->literals, hint->set, (uint8_t)h, contexts,
				   hint->guess, hint->strength, b);
}

static uint8_t code_mixed(struct coder *c, struct models *m, uint8_t b)
{
	unsigned strength = guess_strength(m);
	const struct hint hint = {
		.guess = strength ? history_at(&m->history, m->guess_at) : 0,
		.strength = strength,
		.set = strength == 0   ? 0
		       : strength < 10 ? 1
				       : 2,
		.wide = context_hash(m->last4 & 0xff00ff00,
				     m->last8 & 0xff00), /* and records */
		.word = m->word,
	};

	b = mix(c, m, &hint, b);
	insert_passed(m, b);
	return b;
}

/* ---- relative addresses in x86-64 code: coded as what they refer to, as that comes again ---- */

/* The kind of address that four bytes are expected to be.  Opcodes below 80 are too often something else. */
static enum field_class target_class(const struct models *m, unsigned *ret_behind)
{
	enum field_class class;

	if (m->targets.is_behind)
		return CLASS_NONE;
	class = fields_x86(m->last4, ret_behind);
	if (class == CLASS_DATA && !(m->last4 & 0x8000) && (m->last4 >> 16 & 255) != 0x0f)
		return CLASS_NONE;
	return class;
}

/* Both ways: addresses that are far stay as they are.  base: what is added. */
static uint32_t target_moved(uint32_t v, uint32_t base)
{
	enum { UNUSED_BITS = 32 - TARGET_BITS };

	if ((uint32_t)((int32_t)(v << UNUSED_BITS) >> UNUSED_BITS) != v)
		return v;
	return (uint32_t)((int32_t)((v + base) << UNUSED_BITS) >> UNUSED_BITS);
}

static bool was_seen(uint32_t *seen, uint32_t v)
{
	uint32_t *slot = &seen[context_hash(v, 0) >> (32 - TARGET_LOG)];
	bool was = *slot == v;

	*slot = v;
	return was;
}

static void rate_update(uint16_t *rate, bool yes)
{
	enum { RATE = 5 };

	*rate = (uint16_t)(yes ? *rate + ((65535 - *rate) >> RATE) : *rate - (*rate >> RATE));
}

static uint32_t target_guess(const struct models *m, uint32_t base)
{
	uint8_t p[4];

	for (unsigned k = 0; k < 4; k++)
		p[k] = history_at(&m->history, m->guess_at + k);
	return target_moved(get_le32(p), base);
}

/* The highest byte first, which says most about the others. */
static uint32_t mix_target(struct coder *c, struct models *m, enum field_class class,
			   uint32_t base, uint32_t target)
{
	unsigned strength = guess_strength(m);
	uint64_t got = 1, guess = UINT64_C(1) << 32 | target_guess(m, base);

	for (unsigned k = 4; k-- > 0;) {
		bool is_guessed = strength && guess >> (8 * k + 8) == got;
		uint32_t so_far = context_hash((uint32_t)got, class * 4 + k);
		const struct hint hint = {
			.guess = is_guessed ? guess >> 8 * k & 255 : 0,
			.strength = is_guessed ? strength : 0,
			.set = LITERAL_SETS - 4 + k,
			.wide = context_hash(so_far, m->targets.last[class]),
			.word = so_far,
		};
		uint8_t b = mix(c, m, &hint, (uint8_t)(target >> 8 * k));

		got = got << 8 | b;
		models_passed(m, b);
	}
	m->word = 0;
	m->targets.last[class] = (uint32_t)got;
	return (uint32_t)got;
}

/* History has the bytes as they are; what was guessed goes on behind a target. */
static void guess_pass_target(struct models *m, const uint8_t *p)
{
	bool right = true;

	for (unsigned k = 0; k < 4; k++) {
		right = right && history_at(&m->history, m->guess_at + k) == p[k];
		history_add(&m->history, p[k]);
	}
	m->guess_at += 4;
	if (!right && m->guess_length > TARGET_GUESS)
		m->guess_length = TARGET_GUESS;
}

/* Four bytes that end `behind` bytes before their instruction does. */
static void code_target(struct coder *c, struct models *m, enum field_class class, uint8_t *p,
			uint64_t address, unsigned behind)
{
	struct targets *t = &m->targets;
	uint32_t base = (uint32_t)address + 4 + behind;

	if (t->absolute_again[class] > t->relative_again[class] + TARGET_TRUST) {
		uint32_t target = target_moved(get_le32(p), base);

		target = mix_target(c, m, class, base, target);
		put_le32(p, target_moved(target, 0 - base));
		guess_pass_target(m, p);
	} else {
		for (unsigned k = 0; k < 4; k++)
			p[k] = code_mixed(c, m, p[k]);
	}
	t->is_behind = true;
	rate_update(&t->absolute_again[class], was_seen(t->absolute, get_le32(p) + base));
	rate_update(&t->relative_again[class], was_seen(t->relative, get_le32(p)));
}

void code_insert(struct coder *c, struct models *m, uint8_t *p, uint64_t new_address, size_t n)
{
	bool asked = false; /* and it was no run: one of its bytes is guessed wrong */

	c->kind = DELTA_INSERTS;
	if (n >= PLAIN_MIN && code_plain(c, m, p, n))
		return;
	for (size_t i = 0; i < n;) {
		bool may = m->guess_length >= RUN_AFTER && n - i >= RUN;
		enum field_class class;
		unsigned behind;

		if (may && !asked && code_run(c, m, p + i)) {
			i += RUN;
			continue;
		}
		asked = may;
		class = n - i >= 4 ? target_class(m, &behind) : CLASS_NONE;
		if (class != CLASS_NONE) {
			code_target(c, m, class, p + i, new_address + i, behind);
			i += 4;
			continue;
		}
		m->targets.is_behind = false;
		p[i] = code_mixed(c, m, p[i]);
		i++;
	}
}

/* ---- inserts in bulk ---- */

/* Bytes of the stream.  An LZMA2 chunk has at most 64 KiB of them, and never more than it makes. */
enum {
	BULK_LEAST =
		64, /* beyond those that our decoder needs: others may look further ahead */
	BULK_AHEAD = 4096, /* that are sent when there are fewer */
	BULK_PART_MAX = CODE_BULK_MAX + (1 << 18),
};

bool code_is_bulk(struct coder *c, struct models *m, const struct op *op, bool bulk)
{
	c->kind = DELTA_INSERTS;
	return op->kind == OP_INSERT && op->n >= CODE_BULK_MIN &&
	       coder_bit(c, &m->is_bulk, bulk);
}

void code_bulk_stream(struct models *m, enum lzma2_filter filter, struct buf *stream)
{
	m->bulk.chosen = filter;
	buf_done(&m->bulk.stream);
	m->bulk.stream = *stream;
	*stream = (struct buf)BUF_INIT(0);
}

static bool bulk_start(struct coder *c, struct bulk *b, struct err *e)
{
	uint64_t filter = coder_number(c, &b->filter, b->chosen);

	if (filter >= LZMA2_FILTERS)
		return err_set(e, E_CORRUPT, "inserts in bulk with an unknown filter");
	return lzma2_dec_new(&b->dec, (enum lzma2_filter)filter, e);
}

/* How much of the stream has to be there for the next part, and whether it makes p indeed. */
static bool bulk_measure(struct bulk *b, const uint8_t *p, size_t n, struct err *e)
{
	uint8_t out[CODE_BLOCK];

	for (size_t at = 0; at < n;) {
		size_t part = n - at < sizeof(out) ? n - at : sizeof(out), used = 0;

		if (!lzma2_decode(b->dec, out, part, b->stream.p + b->used,
				  b->stream.n - b->used, &used, e))
			return false;
		if (memcmp(out, p + at, part) != 0)
			return err_set(e, E_INTERNAL, "inserts in bulk come out wrong");
		b->used += used;
		at += part;
	}
	return true;
}

static bool bulk_encode(struct coder *c, struct bulk *b, const uint8_t *p, size_t n,
			struct err *e)
{
	if (!bulk_measure(b, p, n, e))
		return false;
	size_t now = b->stream.n - b->sent;
	if (b->sent >= b->used + BULK_LEAST)
		now = 0;
	else if (now > b->used + BULK_AHEAD - b->sent)
		now = b->used + BULK_AHEAD - b->sent;

	coder_number(c, &b->size, now);
	for (size_t i = 0; i < now; i++)
		coder_plain(c, b->stream.p[b->sent + i]);
	b->sent += now;
	return coder_ok(c, e);
}

static bool bulk_decode(struct coder *c, struct bulk *b, uint8_t *p, size_t n, struct err *e)
{
	uint64_t now = coder_number(c, &b->size, 0);
	size_t used = 0;
	uint8_t *to;

	if (now > BULK_PART_MAX - b->stream.n)
		return err_set(e, E_CORRUPT, "an insert packs to more than it is");
	if (!buf_reserve(&b->stream, (size_t)now, &to, e))
		return false;
	for (size_t i = 0; i < now; i++)
		to[i] = coder_plain(c, 0);
	buf_commit(&b->stream, (size_t)now);
	if (!coder_ok(c, e) || !lzma2_decode(b->dec, p, n, b->stream.p, b->stream.n, &used, e))
		return false;
	b->stream.n -= used;
	memmove(b->stream.p, b->stream.p + used, b->stream.n);
	return true;
}

bool code_bulk(struct coder *c, struct models *m, uint8_t *p, size_t n, struct err *e)
{
	struct bulk *b = &m->bulk;

	c->kind = DELTA_INSERTS;
	if (m->history.mask >= CODE_HISTORY && !models_remember(m, CODE_HISTORY, e))
		return false;
	if ((!b->dec && !bulk_start(c, b, e)) ||
	    !(c->decoding ? bulk_decode(c, b, p, n, e) : bulk_encode(c, b, p, n, e)))
		return false;
	code_passed(m, p, n);
	return true;
}
