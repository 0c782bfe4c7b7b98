/* Copies with differences: what the old bytes are expected to have become, marks, differences. */
#include "delta/models.h"

#include <string.h>

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
		models_passed(m, p[i]);
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
