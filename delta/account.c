#include "delta/account.h"
#include "delta/recipe.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 1024, BLOCK_MIN = 256 /* fewer bytes do not tell noise */ };

/* x86-64 code is full of REX prefixes, moves and calls; a twentieth of either is twice as much as in noise. */
static bool is_code(const uint16_t count[static 256], size_t n)
{
	static const uint8_t prefixes[] = { 0x41, 0x44, 0x45, 0x48, 0x49, 0x4c, 0x4d };
	static const uint8_t opcodes[] = { 0x0f, 0x83, 0x85, 0x89, 0x8b, 0x8d, 0xe8 };
	size_t a = 0, b = 0;

	for (unsigned i = 0; i < sizeof(prefixes); i++)
		a += count[prefixes[i]];
	for (unsigned i = 0; i < sizeof(opcodes); i++)
		b += count[opcodes[i]];
	return a >= n / 20 && b >= n / 20;
}

enum delta_content content_of(const uint8_t *p, size_t n)
{
	uint16_t count[256] = { 0 };
	size_t printed = 0, values = 0;

	n = n < BLOCK ? n : BLOCK;
	for (size_t i = 0; i < n; i++)
		count[p[i]]++;
	for (unsigned i = 0; i < 256; i++) {
		values += count[i] > 0;
		if ((i >= 32 && i < 127) || i == '\t' || i == '\n' || i == '\r')
			printed += count[i];
	}
	if (printed >= n - n / 20)
		return DELTA_TEXT;
	if (n >= BLOCK_MIN && is_code(count, n))
		return DELTA_CODE;
	if (count[0] >= n / 5)
		return DELTA_RECORDS;
	return n >= BLOCK_MIN && values >= (n < BLOCK ? 128 : 200) ? DELTA_PACKED : DELTA_OTHER;
}

void account_bytes(struct delta_account *a, const uint8_t *p, size_t n, uint64_t spent)
{
	struct delta_share *s = &a->content[content_of(p, n)];

	s->bytes += n;
	s->spent_bytes += spent;
}

static void encoder_name(char *ret, size_t room, const struct recipe *r)
{
	const struct guess_how *h = &r->how;
	bool usual = h->is_gzip ||
		     (h->window_bits == 15 && h->memory == 8 && h->strategy == GUESS_DEFAULT);
	bool corrected = r->blocks < r->blocks_end || r->tokens < r->tokens_end;

	snprintf(ret, room, "%s -%u%s%s", h->is_gzip ? "gzip" : "zlib", h->level,
		 usual ? "" : " with parameters", corrected ? ", corrected" : "");
}

void account_stream(struct delta_account *a, const uint8_t *recipe, size_t recipe_n,
		    uint64_t packed, uint64_t plain, uint64_t spent)
{
	char name[DELTA_ENCODER_NAME] = "unknown";
	struct recipe r;
	unsigned i = 0;
	struct err e;

	if (recipe_parse(&r, recipe, recipe_n, &e))
		encoder_name(name, sizeof(name), &r);
	while (i < a->n_encoders && strcmp(a->encoders[i].name, name) != 0)
		i++;
	if (i == DELTA_ENCODERS) /* more than there are of ours: the last one has the rest */
		i--;
	struct delta_encoder *x = &a->encoders[i];
	if (i == a->n_encoders) {
		memcpy(x->name, name, sizeof(name));
		a->n_encoders++;
	}
	x->streams++;
	x->packed_bytes += packed;
	x->plain_bytes += plain;
	x->spent_bytes += spent;
}
