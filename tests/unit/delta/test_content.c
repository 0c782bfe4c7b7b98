/* What kind of content bytes are: by looks, by ELF's sections, by what packed them, by their file system. */
#include "tests/support/unit.h"
#include "tests/support/erofs.h"

#include "base/bytes.h"
#include "delta/content.h"

#include <unistd.h>

static uint32_t seed = 3;

static uint8_t noise(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint8_t)(seed >> 24);
}

static void make(uint8_t *p, enum delta_content kind, size_t n)
{
	static const uint8_t code[] = { 0x48, 0x8b, 0x45, 0xf8, 0x48, 0x89, 0xc7, 0xe8,
					0x10, 0x20, 0x00, 0x00, 0x85, 0xc0, 0x74, 0x0a };

	for (size_t i = 0; i < n; i++)
		p[i] = kind == DELTA_TEXT      ? (uint8_t)("a line of text\n"[i % 15])
		       : kind == DELTA_CODE    ? code[i % sizeof(code)]
		       : kind == DELTA_RECORDS ? (uint8_t)(i % 4 ? 0 : noise())
		       : kind == DELTA_PACKED  ? noise()
					       : (uint8_t)(128 + noise() % 64);
}

static void blocks_are_told_by_their_bytes(void **state UNUSED)
{
	static const enum delta_content kinds[] = { DELTA_TEXT, DELTA_CODE, DELTA_RECORDS,
						    DELTA_PACKED, DELTA_OTHER };
	static const size_t sizes[] = { 256, 700, 1024, 5000 };
	uint8_t p[5000];

	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			make(p, kinds[k], sizes[i]);
			assert_int_equal(content_of(p, sizes[i]), kinds[k]);
		}
	/* Too few bytes to tell noise or code. */
	make(p, DELTA_PACKED, 100);
	assert_int_equal(content_of(p, 100), DELTA_OTHER);
	assert_int_equal(content_of(p, 0), DELTA_TEXT);
}

/* ---- streams ---- */

static void streams_are_told_by_the_header_before_them(void **state UNUSED)
{
	static const struct {
		const char *head;
		size_t n;
		enum delta_content kind;
	} rows[] = {
		{ "\x1f\x8b\x08\0\1\2\3\4\2\3", 10, DELTA_GZIP },
		{ "\x1f\x8b\x08\x08\1\2\3\4\2\3name of it.txt", 25, DELTA_GZIP },
		{ "\x1f\x8b\x08\x08\1\2\3\4\2\3name of it.txt+", 25,
		  DELTA_DEFLATE }, /* no end */
		{ "\x1f\x8b\x08\0\1\2\3\4\2\3name of it.txt", 25, DELTA_DEFLATE },
		{ "\x1f\x8b\x09\0\1\2\3\4\2\3", 10, DELTA_DEFLATE },
		{ "\0\0\x20\0IDAT\x78\xda", 10, DELTA_PNG },
		{ "\0\0\x20\0IDAX\x78\xda", 10, DELTA_DEFLATE },
		{ "PK\3\4\24\0\0\0\10\0\0\0\0\0\1\2\3\4\5\6\7\0\5\6\7\0\4\0\2\0a.txEX", 36,
		  DELTA_ZIP },
		{ "PK\3\4\24\0\0\0\10\0\0\0\0\0\1\2\3\4\5\6\7\0\5\6\7\0\5\0\2\0a.txEX", 36,
		  DELTA_DEFLATE },
		{ "PK\1\2\24\0\0\0\10\0\0\0\0\0\1\2\3\4\5\6\7\0\5\6\7\0\4\0\2\0a.txEX", 36,
		  DELTA_DEFLATE },
		{ "\x78\xda", 2, DELTA_DEFLATE },
		{ "", 0, DELTA_DEFLATE },
	};
	static uint8_t image[5000];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t before = 0; before <= 3000; before += 1500) {
			make(image, DELTA_OTHER, sizeof(image));
			memcpy(image + before, rows[i].head, rows[i].n);
			if (content_of_stream(image, before + rows[i].n) != rows[i].kind)
				fail_msg("row %zu", i);
		}
}

/* ---- ELF ---- */

struct section {
	uint32_t type;
	uint64_t flags, from, n;
};

static const struct section sections[] = {
	{ 0, 0, 0, 0 },       /* none */
	{ 1, 6, 1000, 500 },  /* .text */
	{ 1, 2, 1500, 300 },  /* .rodata */
	{ 14, 3, 1800, 16 },  /* .init_array */
	{ 4, 2, 2000, 100 },  /* .rela */
	{ 8, 3, 2100, 1000 }, /* .bss: no bytes */
	{ 1, 0, 2200, 300 },  /* .debug_info */
	{ 2, 0, UINT64_MAX, 300 },
	{ 3, 0, 2500, UINT64_MAX },
};

enum { ELF_N = 6000, TABLE = 5000 };

static void elf_make(uint8_t *p, bool is_64, unsigned n)
{
	memset(p, 0, ELF_N);
	memcpy(p, "\177ELF", 4);
	p[4] = is_64 ? 2 : 1;
	p[5] = 1;
	if (is_64) {
		put_le64(p + 40, TABLE);
		put_le16(p + 60, (uint16_t)n);
	} else {
		put_le32(p + 32, TABLE);
		put_le16(p + 48, (uint16_t)n);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct section *s = &sections[i];
		uint8_t *h = p + TABLE + i * (is_64 ? 64 : 40);

		put_le32(h + 4, s->type);
		if (is_64) {
			put_le64(h + 8, s->flags);
			put_le64(h + 24, s->from);
			put_le64(h + 32, s->n);
		} else {
			put_le32(h + 8, (uint32_t)s->flags);
			put_le32(h + 16, (uint32_t)s->from);
			put_le32(h + 20, (uint32_t)s->n);
		}
	}
}

struct asking {
	struct atlas atlas;
	struct contents contents;
};

static struct asking *ask(const uint8_t *image, size_t n)
{
	struct asking *a = calloc(1, sizeof(*a));
	struct err e;

	assert_ok(atlas_read(&a->atlas, image, n, &e), &e);
	contents_init(&a->contents, &a->atlas);
	return a;
}

static void asked(struct asking *a)
{
	atlas_done(&a->atlas);
	free(a);
}

/* Every byte is asked about, and what holds for several holds for each. */
static enum delta_content kind_at(struct asking *a, uint64_t at, uint64_t *ret_end)
{
	enum delta_content kind;
	uint32_t file;

	kind = content_at(&a->contents, at, a->atlas.size, ret_end, &file);
	assert_true(*ret_end > at && *ret_end <= a->atlas.size);
	return kind;
}

static void elf_files_are_told_by_their_sections(void **state UNUSED)
{
	static const struct {
		uint64_t at, end;
		enum delta_content kind;
	} rows[] = {
		{ 0, 1000, DELTA_SYMBOLS },    { 1000, 1500, DELTA_CODE },
		{ 1499, 1500, DELTA_CODE },    { 1500, 1800, DELTA_DATA },
		{ 1800, 1816, DELTA_DATA },    { 1900, 2000, DELTA_SYMBOLS },
		{ 2000, 2100, DELTA_SYMBOLS }, { 2250, 2500, DELTA_SYMBOLS },
		{ 5999, 6000, DELTA_SYMBOLS },
	};
	static uint8_t p[ELF_N];

	for (unsigned is_64 = 0; is_64 < 2; is_64++) {
		elf_make(p, is_64, ARRAY_SIZE(sections));
		struct asking *a = ask(p, sizeof(p));
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			uint64_t end;

			assert_int_equal(kind_at(a, rows[i].at, &end), rows[i].kind);
			assert_int_equal(end, rows[i].end);
		}
		asked(a);
	}
}

static void elf_files_that_lie_are_labelled_all_the_same(void **state UNUSED)
{
	static uint8_t p[ELF_N];
	uint64_t end;

	/* More sections than there are, and a table that is not there: tables, all of it. */
	elf_make(p, true, 65535);
	struct asking *a = ask(p, sizeof(p));
	assert_int_equal(kind_at(a, 1000, &end), DELTA_SYMBOLS);
	assert_int_equal(end, ELF_N);
	asked(a);
	elf_make(p, true, ARRAY_SIZE(sections));
	put_le64(p + 40, UINT64_MAX - 10);
	a = ask(p, sizeof(p));
	assert_int_equal(kind_at(a, 1000, &end), DELTA_SYMBOLS);
	asked(a);
	/* Too short for a header, and of the other byte order: by looks. */
	elf_make(p, true, ARRAY_SIZE(sections));
	p[5] = 2;
	a = ask(p, sizeof(p));
	assert_int_equal(kind_at(a, 1000, &end), DELTA_RECORDS);
	assert_int_equal(end, 2024);
	asked(a);
	a = ask(p, 60);
	assert_int_equal(kind_at(a, 0, &end), DELTA_RECORDS);
	assert_int_equal(end, 60);
	asked(a);
	for (unsigned i = 0; i < 2000; i++) {
		elf_make(p, i % 2, ARRAY_SIZE(sections));
		for (unsigned k = 0; k < 4; k++)
			p[i % 3 ? TABLE + noise() * 2 : noise() % 64] = noise();
		a = ask(p, sizeof(p));
		for (uint64_t at = 0; at < sizeof(p); at = end)
			kind_at(a, at, &end);
		asked(a);
	}
}

/* ---- file systems ---- */

static void files_and_tables_of_an_erofs_are_told_apart(void **state UNUSED)
{
	static uint8_t text[9000], elf[ELF_N];
	uint64_t bytes[DELTA_CONTENTS] = { 0 }, of_file[3] = { 0 }, end;
	struct erofs_maker m;

	make(text, DELTA_TEXT, sizeof(text));
	elf_make(elf, true, ARRAY_SIZE(sections));
	erofs_begin(&m);
	erofs_add(&m, text, sizeof(text), EROFS_END_BEHIND);
	erofs_add(&m, elf, sizeof(elf), EROFS_END_BEHIND); /* its table is in two parts */
	erofs_fill(&m, text, 4096);
	CLEANUP(buf_done) struct buf b = erofs_end(&m);
	struct asking *a = ask(b.p, b.n);
	assert_int_equal(a->atlas.n_files, 2);
	for (uint64_t at = 0; at < b.n; at = end) {
		uint32_t file;
		enum delta_content kind = content_at(&a->contents, at, b.n, &end, &file);

		bytes[kind] += end - at;
		of_file[file == ATLAS_NO_FILE ? 2 : file] += end - at;
	}
	assert_int_equal(bytes[DELTA_SUPER], 128);
	assert_int_equal(bytes[DELTA_INODES], 3 * 32);
	assert_int_equal(bytes[DELTA_NAMES], 4096);
	assert_int_equal(bytes[DELTA_CODE], 500);
	assert_int_equal(bytes[DELTA_DATA], 316);
	assert_int_equal(bytes[DELTA_SYMBOLS], ELF_N - 816);
	assert_true(bytes[DELTA_TEXT] >= sizeof(text) + 3 * 1024);
	assert_int_equal(of_file[0], sizeof(text));
	assert_int_equal(of_file[1], ELF_N);
	asked(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_told_by_their_bytes),
		cmocka_unit_test(streams_are_told_by_the_header_before_them),
		cmocka_unit_test(elf_files_are_told_by_their_sections),
		cmocka_unit_test(elf_files_that_lie_are_labelled_all_the_same),
		cmocka_unit_test(files_and_tables_of_an_erofs_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
