/* Images that are what they seem, and superblocks that lie. */
#include "tests/support/unit.h"

#include "admin-cli/image.h"
#include "base/bytes.h"
#include "base/io.h"

#include <sys/mman.h>

enum {
	SIZE = 512 * 1024, /* 512 blocks of 1 KiB in two groups of 256 */
	SB = 1024,
	GDT = 2048,
	BITMAP_0 = 3,
	BITMAP_1 = 4,
	FIRST_FREE = 40, /* bit of group 0 */
};

static uint8_t image[SIZE];

static void check(struct image_report *r, const void *p, size_t n)
{
	CLEANUP(fd_closep) int fd = memfd_create("image", MFD_CLOEXEC);
	struct err e;

	assert_true(fd >= 0);
	assert_ok(pwrite_all(fd, p, n, 0, &e), &e);
	assert_ok(image_check(r, fd, &e), &e);
	assert_true(r->n_parts <= IMAGE_PARTS_MAX && r->n_findings <= IMAGE_FINDINGS_MAX);
}

static const struct image_finding *find(const struct image_report *r, enum image_finding_id id)
{
	for (unsigned i = 0; i < r->n_findings; i++)
		if (r->findings[i].id == id)
			return &r->findings[i];
	return NULL;
}

/* Group 0: 40 blocks in use; group 1 has no bitmap but is marked so. */
static void make_ext4(void)
{
	uint8_t *sb = image + SB, *d = image + GDT;

	memset(image, 0, SIZE);
	put_le32(sb + 0x04, 512);
	put_le32(sb + 0x0c, 400);
	put_le32(sb + 0x14, 1);
	put_le32(sb + 0x20, 256);
	put_le32(sb + 0x28, 16);
	put_le16(sb + 0x38, 0xef53);
	put_le16(sb + 0x3a, 1);
	put_le32(sb + 0x4c, 1);
	put_le16(sb + 0x58, 128);
	put_le32(sb + 0x64, 1);
	put_le32(d + 0, BITMAP_0);
	put_le32(d + 4, 5);
	put_le32(d + 8, 6);
	put_le32(d + 32, BITMAP_1);
	put_le32(d + 36, 5);
	put_le32(d + 40, 10);
	put_le16(d + 32 + 0x12, 2);
	memset(image + BITMAP_0 * 1024, 0xff, FIRST_FREE / 8);
}

static void an_ext4_with_zeroed_free_blocks_is_fine(void **state UNUSED)
{
	struct image_report r;

	make_ext4();
	memset(image + 20 * 1024, 7, 1024); /* in use */
	check(&r, image, SIZE);
	assert_int_equal(r.parts[0].kind, IMAGE_EXT4);
	assert_int_equal(r.parts[0].block_bytes, 1024);
	assert_int_equal(r.parts[0].free_bytes, 400 * 1024);
	assert_int_equal(r.n_findings, 0);
	assert_true(r.zero_bytes > SIZE - 7 * 4096);
}

static void old_bytes_in_free_blocks_are_counted(void **state UNUSED)
{
	struct image_report r;

	make_ext4();
	image[(1 + FIRST_FREE) * 1024 + 5] = 1; /* group 0 */
	image[(1 + FIRST_FREE + 3) * 1024 + 1023] = 1;
	image[(1 + FIRST_FREE - 1) * 1024] = 1; /* in use */
	image[(1 + 256) * 1024] = 1;            /* group 1: its superblock */
	image[(1 + 256 + 30) * 1024] = 1;       /* group 1, free without a bitmap */
	check(&r, image, SIZE);
	assert_int_equal(r.n_findings, 1);
	assert_int_equal(r.findings[0].id, IMAGE_F_FREE_BLOCKS);
	assert_int_equal(r.findings[0].bytes, 3 * 1024);
}

static void traces_of_use_are_told(void **state UNUSED)
{
	struct image_report r;

	make_ext4();
	put_le16(image + SB + 0x34, 2);
	put_le16(image + SB + 0x3a, 0);
	put_le32(image + SB + 0x5c, 4);
	check(&r, image, SIZE);
	assert_non_null(find(&r, IMAGE_F_MOUNTED));
	assert_non_null(find(&r, IMAGE_F_UNCLEAN));
	assert_non_null(find(&r, IMAGE_F_JOURNAL));
}

static void an_ext4_that_lies_is_damaged_and_nothing_more(void **state UNUSED)
{
	static const struct {
		size_t at;
		uint32_t value;
	} rows[] = {
		{ SB + 0x04, 513 }, /* blocks: more than there are */
		{ SB + 0x04, UINT32_MAX },
		{ SB + 0x04, 0 },
		{ SB + 0x0c, 513 }, /* free ones: more than all */
		{ SB + 0x14, 2 },
		{ SB + 0x14, UINT32_MAX },
		{ SB + 0x18, 7 },
		{ SB + 0x18, UINT32_MAX }, /* log of a block */
		{ SB + 0x20, 0 },
		{ SB + 0x20, 255 },
		{ SB + 0x20, 8193 }, /* more than a bitmap tells */
		{ SB + 0x60, 0x80 }, /* 64 bit, with descriptors of 0 bytes */
		{ GDT, 512 },
		{ GDT, UINT32_MAX }, /* bitmap outside */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image_report r;

		make_ext4();
		put_le32(image + rows[i].at, rows[i].value);
		check(&r, image, SIZE);
		if (!find(&r, IMAGE_F_DAMAGED))
			fail_msg("row %zu passes", i);
	}
}

static void metadata_outside_a_group_without_bitmap_does_no_harm(void **state UNUSED)
{
	struct image_report r;

	make_ext4();
	put_le32(image + SB + 0x28, UINT32_MAX); /* an inode table without end */
	put_le32(image + GDT + 40, UINT32_MAX - 3);
	put_le16(image + SB + 0xce, 0xffff);
	check(&r, image, SIZE);
	assert_null(find(&r, IMAGE_F_FREE_BLOCKS));
}

static void make_gpt(void)
{
	uint8_t *gpt = image + 512;

	memset(image, 0, SIZE);
	memcpy(gpt, "EFI PART", 8);
	put_le64(gpt + 72, 2);
	put_le32(gpt + 80, 8);
	put_le32(gpt + 84, 128);
	for (unsigned i = 0; i < 3; i += 2) {
		uint8_t *p = image + 1024 + 128 * (size_t)i;

		p[0] = 1;
		put_le64(p + 32, 100 + 100 * i);
		put_le64(p + 40, 199 + 100 * i);
	}
	memcpy(image + 300 * 512, "hsqs", 4);
	put_le16(image + 300 * 512 + 20, 4);
	put_le16(image + 300 * 512 + 28, 4);
}

static void partitions_are_looked_into(void **state UNUSED)
{
	struct image_report r;

	make_gpt();
	check(&r, image, SIZE);
	assert_int_equal(r.n_parts, 3);
	assert_int_equal(r.parts[0].kind, IMAGE_GPT);
	assert_int_equal(r.parts[1].number, 1);
	assert_int_equal(r.parts[1].size, 100 * 512);
	assert_int_equal(r.parts[2].number, 3);
	assert_int_equal(r.parts[2].kind, IMAGE_SQUASHFS);
	assert_int_equal(r.n_findings, 1);
	assert_int_equal(r.findings[0].part, 2);
	assert_string_equal(r.findings[0].text, "packed with xz");
}

static void partitions_outside_are_damage(void **state UNUSED)
{
	static const struct {
		size_t at;
		uint64_t value;
	} rows[] = {
		{ 1024 + 32, UINT64_MAX }, { 1024 + 40, UINT64_MAX }, { 1024 + 40, 0 },
		{ 1024 + 40, 1024 },       { 512 + 72, UINT64_MAX },  { 512 + 84, 127 },
		{ 512 + 84, UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image_report r;

		make_gpt();
		put_le64(image + rows[i].at, rows[i].value);
		check(&r, image, SIZE);
		if (!find(&r, IMAGE_F_DAMAGED))
			fail_msg("row %zu passes", i);
	}
}

static void a_table_of_very_many_partitions_is_bounded(void **state UNUSED)
{
	struct image_report r;

	make_gpt();
	put_le32(image + 512 + 80, UINT32_MAX);
	for (size_t at = 1024; at < 64 * 1024; at += 128) {
		image[at] = 1;
		put_le64(image + at + 32, 100);
		put_le64(image + at + 40, at % 256 ? 200 : UINT64_MAX);
	}
	check(&r, image, SIZE);
	assert_int_equal(r.n_parts, IMAGE_PARTS_MAX);
}

static void a_boot_sector_has_partitions_when_they_make_sense(void **state UNUSED)
{
	struct image_report r;

	memset(image, 0, SIZE);
	put_le16(image + 510, 0xaa55);
	check(&r, image, SIZE);
	assert_int_equal(r.parts[0].kind, IMAGE_RAW);
	image[446 + 4] = 0x83;
	put_le32(image + 446 + 8, 64);
	put_le32(image + 446 + 12, 256);
	check(&r, image, SIZE);
	assert_int_equal(r.parts[0].kind, IMAGE_MBR);
	assert_int_equal(r.n_parts, 2);
	put_le32(image + 446 + 12, UINT32_MAX);
	check(&r, image, SIZE);
	assert_non_null(find(&r, IMAGE_F_DAMAGED));
	memcpy(image + 0x202, "HdrS", 4);
	check(&r, image, SIZE);
	assert_int_equal(r.parts[0].kind, IMAGE_KERNEL);
}

static void read_only_file_systems_that_lie_are_damaged(void **state UNUSED)
{
	struct image_report r;

	memset(image, 0, SIZE);
	put_le32(image + 1024, 0xe0f5e1e2);
	for (unsigned log = 0; log < 256; log++) {
		image[1024 + 12] = (uint8_t)log;
		check(&r, image, SIZE);
		assert_int_equal(r.parts[0].kind, IMAGE_EROFS);
		assert_int_equal(find(&r, IMAGE_F_DAMAGED) != NULL, log < 9 || log > 16);
	}
	image[1024 + 12] = 12;
	put_le32(image + 1024 + 36, UINT32_MAX);
	check(&r, image, SIZE);
	assert_non_null(find(&r, IMAGE_F_DAMAGED));

	memset(image, 0, SIZE);
	memcpy(image, "hsqs", 4);
	put_le16(image + 20, 0xffff);
	put_le16(image + 28, 4);
	check(&r, image, SIZE);
	assert_string_equal(r.findings[0].text, "packed with something unknown");
	put_le64(image + 40, SIZE + 1);
	check(&r, image, SIZE);
	assert_non_null(find(&r, IMAGE_F_DAMAGED));
}

static void packed_files_are_counted_where_blocks_begin(void **state UNUSED)
{
	static const uint8_t xz[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };
	struct image_report r;

	make_ext4();
	memcpy(image + 4 * 4096, xz, sizeof(xz));
	memcpy(image + 5 * 4096, xz, sizeof(xz));
	memcpy(image + 6 * 4096 + 512, xz, sizeof(xz));
	check(&r, image, SIZE);
	assert_int_equal(r.n_findings, 1);
	assert_string_equal(r.findings[0].text, "2 files in xz");
}

static void files_that_are_no_disks_are_told(void **state UNUSED)
{
	static const struct {
		const char *magic;
		enum image_kind kind;
		enum image_finding_id id;
	} rows[] = {
		{ "\x1f\x8b\x08", IMAGE_GZIP, IMAGE_F_PACKED },
		{ "\x28\xb5\x2f\xfd", IMAGE_ZSTD, IMAGE_F_PACKED },
		{ "BZh9", IMAGE_BZIP2, IMAGE_F_PACKED },
		{ "\x04\x22\x4d\x18", IMAGE_LZ4, IMAGE_F_PACKED },
		{ "QFI\xfb", IMAGE_QCOW2, IMAGE_F_CONTAINER },
		{ "\x3a\xff\x26\xed", IMAGE_SPARSE, IMAGE_F_CONTAINER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image_report r;

		check(&r, rows[i].magic, 2);
		assert_int_equal(r.parts[0].kind, IMAGE_RAW);
		memset(image, 0, SIZE);
		memcpy(image, rows[i].magic, strlen(rows[i].magic));
		check(&r, image, SIZE);
		assert_int_equal(r.parts[0].kind, rows[i].kind);
		assert_int_equal(r.findings[0].id, rows[i].id);
		assert_true(strlen(image_finding_advice(rows[i].id)) > 20);
	}
	struct image_report r;
	check(&r, "", 0);
	assert_int_equal(r.n_findings, 0);
}

static void seeds_that_change_from_build_to_build_are_told(void **state UNUSED)
{
	struct image_report a, b;

	make_ext4();
	check(&a, image, SIZE);
	b = a;
	image_compare(&b, &a);
	assert_int_equal(b.n_findings, 0);
	image[SB + 0x68] = 1;
	image[SB + 0xec] = 1;
	image[SB + 0x108] = 1;
	check(&b, image, SIZE);
	image_compare(&b, &a);
	assert_int_equal(b.n_findings, 3);
	assert_string_equal(image_finding_word(b.findings[0].id), "changing-uuid");
	put_le32(image + SB + 0x18, 0);
	memset(image, 0, SIZE);
	check(&b, image, SIZE);
	image_compare(&b, &a);
	assert_int_equal(b.findings[0].id, IMAGE_F_CHANGING_KIND);
}

static void an_image_that_cannot_be_read_is_an_error(void **state UNUSED)
{
	struct image_report r;
	struct err e;

	assert_fails(image_check(&r, -1, &e), &e, E_SYSTEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ext4_with_zeroed_free_blocks_is_fine),
		cmocka_unit_test(old_bytes_in_free_blocks_are_counted),
		cmocka_unit_test(traces_of_use_are_told),
		cmocka_unit_test(an_ext4_that_lies_is_damaged_and_nothing_more),
		cmocka_unit_test(metadata_outside_a_group_without_bitmap_does_no_harm),
		cmocka_unit_test(partitions_are_looked_into),
		cmocka_unit_test(partitions_outside_are_damage),
		cmocka_unit_test(a_table_of_very_many_partitions_is_bounded),
		cmocka_unit_test(a_boot_sector_has_partitions_when_they_make_sense),
		cmocka_unit_test(read_only_file_systems_that_lie_are_damaged),
		cmocka_unit_test(packed_files_are_counted_where_blocks_begin),
		cmocka_unit_test(files_that_are_no_disks_are_told),
		cmocka_unit_test(seeds_that_change_from_build_to_build_are_told),
		cmocka_unit_test(an_image_that_cannot_be_read_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
