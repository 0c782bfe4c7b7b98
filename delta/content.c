#include "delta/content.h"
#include "base/bytes.h"

#include <string.h>

/* ---- by looks ---- */

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

/* ---- streams ---- */

enum {
	GZIP_HEAD = 10,
	ZIP_HEAD = 30,
	NAMES_MAX = 1024, /* in the header of a member */
};

static bool is_png(const uint8_t *image, uint64_t at)
{
	return at >= 6 && memcmp(image + at - 6, "IDAT", 4) == 0;
}

/* A header of gzip without extra fields is plain, or ends with a name. */
static bool is_gzip(const uint8_t *image, uint64_t at)
{
	for (uint64_t n = GZIP_HEAD; n <= at && n <= NAMES_MAX; n++) {
		const uint8_t *p = image + at - n;

		if (p[0] == 0x1f && p[1] == 0x8b && p[2] == 8 &&
		    (n == GZIP_HEAD || (p[3] & 0x1c && image[at - 1] == 0)))
			return true;
	}
	return false;
}

static bool is_zip(const uint8_t *image, uint64_t at)
{
	for (uint64_t n = ZIP_HEAD; n <= at && n <= NAMES_MAX; n++) {
		const uint8_t *p = image + at - n;

		if (memcmp(p, "PK\3\4", 4) == 0 &&
		    (uint64_t)ZIP_HEAD + get_le16(p + 26) + get_le16(p + 28) == n)
			return true;
	}
	return false;
}

enum delta_content content_of_stream(const uint8_t *image, uint64_t at)
{
	return is_png(image, at)    ? DELTA_PNG
	       : is_zip(image, at)  ? DELTA_ZIP
	       : is_gzip(image, at) ? DELTA_GZIP
				    : DELTA_DEFLATE;
}

/* ---- ELF (System V ABI, "Object Files") ---- */

enum {
	ELF_HEAD = 64,
	SHT_PROGBITS = 1,
	SHT_NOBITS = 8,
	SHT_INIT_ARRAY = 14,
	SHT_FINI_ARRAY = 15,
	SHF_ALLOC = 2,
	SHF_EXECINSTR = 4,
};

static enum delta_content section_kind(uint32_t type, uint64_t flags)
{
	if (flags & SHF_EXECINSTR)
		return DELTA_CODE;
	if (flags & SHF_ALLOC &&
	    (type == SHT_PROGBITS || type == SHT_INIT_ARRAY || type == SHT_FINI_ARRAY))
		return DELTA_DATA;
	return DELTA_SYMBOLS;
}

/* One section header, of 64 or 32 bits. */
static void section_take(struct contents *c, const uint8_t *p, bool is_64)
{
	uint64_t flags = is_64 ? get_le64(p + 8) : get_le32(p + 8);
	uint64_t from = is_64 ? get_le64(p + 24) : get_le32(p + 16);
	uint64_t n = is_64 ? get_le64(p + 32) : get_le32(p + 20);
	uint32_t type = get_le32(p + 4);

	if (type == 0 || type == SHT_NOBITS || n == 0 || n > c->atlas->size ||
	    from > c->atlas->size)
		return;
	c->sections[c->n++] = (struct content_section){ .from = from,
							.end = from + n,
							.kind = section_kind(type, flags) };
}

/* Little endian only; where the section headers are not all there, the file is all tables. */
static void elf_read(struct contents *c, uint32_t file)
{
	uint8_t head[ELF_HEAD];

	c->file = file;
	c->n = 0;
	c->is_elf = atlas_copy(c->atlas, file, 0, head, sizeof(head)) &&
		    memcmp(head, "\177ELF", 4) == 0 && head[5] == 1;
	if (!c->is_elf)
		return;
	bool is_64 = head[4] == 2;
	size_t n = get_le16(head + (is_64 ? 60 : 48)),
	       size = is_64 ? CONTENT_SECTION_BYTES : 40;

	if (n > CONTENT_SECTIONS)
		n = CONTENT_SECTIONS;
	if (!atlas_copy(c->atlas, file, is_64 ? get_le64(head + 40) : get_le32(head + 32),
			c->table, n * size))
		return;
	for (size_t i = 0; i < n; i++)
		section_take(c, c->table + i * size, is_64);
}

/* What lies between sections is headers. */
static enum delta_content elf_at(const struct contents *c, uint64_t in_file, uint64_t *ret_n)
{
	uint64_t n = UINT64_MAX;

	for (unsigned i = 0; i < c->n; i++) {
		const struct content_section *s = &c->sections[i];

		if (in_file >= s->from && in_file < s->end) {
			*ret_n = s->end - in_file;
			return s->kind;
		}
		if (s->from > in_file && s->from - in_file < n)
			n = s->from - in_file;
	}
	*ret_n = n;
	return DELTA_SYMBOLS;
}

/* ---- all together ---- */

void contents_init(struct contents *c, const struct atlas *atlas)
{
	*c = (struct contents){ .atlas = atlas, .file = ATLAS_NO_FILE };
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

enum delta_content content_at(struct contents *c, uint64_t at, uint64_t end, uint64_t *ret_end,
			      uint32_t *ret_file)
{
	static const enum delta_content tables[] = { [WALK_SUPER] = DELTA_SUPER,
						     [WALK_BITMAPS] = DELTA_BITMAPS,
						     [WALK_INODES] = DELTA_INODES,
						     [WALK_NAMES] = DELTA_NAMES };
	const struct atlas_spot spot = atlas_at(c->atlas, at);
	const struct atlas_range *r = spot.range;
	uint64_t n;

	end = least(end, spot.end);
	*ret_end = end;
	*ret_file = r ? r->file : ATLAS_NO_FILE;
	if (r && r->file == ATLAS_NO_FILE)
		return tables[r->kind];
	if (r && r->file != c->file)
		elf_read(c, r->file);
	if (r && c->is_elf) {
		enum delta_content kind = elf_at(c, r->in_file + (at - r->from), &n);

		*ret_end = at + least(n, end - at);
		return kind;
	}
	*ret_end = least(end, at + BLOCK);
	return content_of(c->atlas->image + at, (size_t)(*ret_end - at));
}
