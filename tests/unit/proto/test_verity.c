#include "tests/support/unit.h"

#include "base/limits.h"
#include "proto/verity.h"

#include <fcntl.h>
#include <unistd.h>

static const uint8_t salt[VERITY_SALT] = "0123456789abcdef0123456789abcde";

/* Bytes that differ from block to block, with a block of zeros now and then. */
static uint8_t *sample(size_t n)
{
	uint8_t *p = malloc(n + 1);
	uint64_t x = n;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		if (i % 8 == 0)
			x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		p[i] = i / VERITY_BLOCK % 5 == 3 ? 0 : (uint8_t)(x >> (i % 8 * 8));
	}
	return p;
}

/* The definition, word for word: digest of each block, padded to blocks, again, until one. */
static void plain_root(uint8_t root[SHA256_SIZE], const uint8_t *data, size_t n)
{
	size_t blocks = n ? (n + VERITY_BLOCK - 1) / VERITY_BLOCK : 1;
	uint8_t *level = calloc(blocks, VERITY_BLOCK);

	assert_non_null(level);
	memcpy(level, data, n);
	for (;;) {
		size_t above = (blocks + VERITY_GROUP_BLOCKS - 1) / VERITY_GROUP_BLOCKS;
		uint8_t *next = calloc(above, VERITY_BLOCK);

		assert_non_null(next);
		for (size_t i = 0; i < blocks; i++)
			sha256_two(next + i * SHA256_SIZE, salt, sizeof(salt),
				   level + i * VERITY_BLOCK, VERITY_BLOCK);
		free(level);
		level = next;
		if (blocks == 1)
			break;
		blocks = above;
	}
	memcpy(root, level, SHA256_SIZE);
	free(level);
}

struct built {
	uint8_t root[SHA256_SIZE];
	struct buf upper, area;
};

/* Fed in pieces of `step` bytes. */
static struct built build(const uint8_t *data, size_t n, size_t step)
{
	CLEANUP(verity_build_freep) struct verity_build *b = NULL;
	struct built out = { .upper = BUF_INIT(1 << 26), .area = BUF_INIT(1 << 26) };
	struct err e;

	assert_ok(verity_build_new(&b, salt, true, &e), &e);
	for (size_t i = 0; i < n; i += step)
		assert_ok(verity_build_add(b, data + i, n - i < step ? n - i : step, &e), &e);
	assert_ok(verity_build_finish(b, out.root, &e), &e);
	assert_ok(verity_build_upper(b, &out.upper, &e), &e);
	assert_ok(verity_build_area(b, &out.area, &e), &e);
	return out;
}

static void built_done(struct built *b)
{
	buf_done(&b->upper);
	buf_done(&b->area);
}

static const size_t sizes[] = {
	0,
	1,
	4095,
	4096,
	4097,
	8192,
	8193,
	100000,
	VERITY_GROUP - 1,
	VERITY_GROUP,
	VERITY_GROUP + 1,
	2 * VERITY_GROUP,
	5 * VERITY_GROUP + 12345,
	128 * VERITY_GROUP,
	128 * VERITY_GROUP + 1,
};

static void every_way_to_build_gives_the_defined_root(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];
		uint8_t *data = sample(n), root[SHA256_SIZE];
		struct built a = build(data, n, 1 << 20), b = build(data, n, 4097);
		struct verity_geo geo;
		struct err e;

		plain_root(root, data, n);
		assert_memory_equal(a.root, root, sizeof(root));
		assert_memory_equal(b.root, root, sizeof(root));
		assert_ok(verity_geo_init(&geo, n, &e), &e);
		assert_int_equal(a.upper.n, geo.upper_size);
		assert_int_equal(a.area.n, geo.area_size);
		assert_int_equal(b.area.n, geo.area_size);
		if (a.area.n > 0)
			assert_memory_equal(a.area.p, b.area.p, a.area.n);
		if (a.upper.n > 0)
			assert_memory_equal(a.area.p, a.upper.p, a.upper.n);
		built_done(&a);
		built_done(&b);
		free(data);
	}
}

static bool count_bytes(void *arg, uint64_t bytes)
{
	*(uint64_t *)arg += bytes;
	return true;
}

static void files_give_the_same_with_any_number_of_threads(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];
		uint8_t *data = sample(n), root[SHA256_SIZE], *area = malloc(1 << 24);
		struct built want = build(data, n, 1 << 20);

		assert_non_null(area);
		write_file_at(tmpdir_fd(state), "data", data, n);
		for (unsigned threads = 0; threads < 4; threads++) {
			CLEANUP(buf_done) struct buf upper = BUF_INIT(1 << 20);
			int fd = openat(tmpdir_fd(state), "data", O_RDONLY | O_CLOEXEC);
			int out = openat(tmpdir_fd(state), "area", O_RDWR | O_CREAT | O_TRUNC,
					 0600);
			uint64_t seen = 0;
			struct verity_run run = { threads, count_bytes, &seen };
			struct err e;

			assert_ok(verity_fd_root(root, &upper, out, fd, n, salt, &run, &e), &e);
			assert_memory_equal(root, want.root, sizeof(root));
			assert_int_equal(seen, n);
			assert_int_equal(upper.n, want.upper.n);
			assert_int_equal(read_back_at(tmpdir_fd(state), "area", area, 1 << 24),
					 want.area.n);
			if (want.area.n > 0)
				assert_memory_equal(area, want.area.p, want.area.n);
			assert_ok(verity_fd_check_root(fd, n, salt, root, &run, &e), &e);
			close(fd);
			close(out);
		}
		built_done(&want);
		free(area);
		free(data);
	}
}

/* Verifies all groups and returns the hash area that this makes. */
static struct verity_tree *tree_of(const struct built *b, uint64_t size)
{
	struct verity_tree *t = NULL;
	struct err e;

	assert_ok(verity_tree_new(&t, size, salt, b->root, b->upper.p, b->upper.n, &e), &e);
	return t;
}

static void verified_groups_make_the_lowest_level_again(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];
		uint8_t *data = sample(n), leaf[VERITY_BLOCK];
		struct built b = build(data, n, 1 << 20);
		struct verity_tree *t = tree_of(&b, n);
		struct err e;

		for (uint64_t g = 0; g < t->geo.groups; g++) {
			size_t g_n = verity_group_size(&t->geo, g);

			assert_ok(verity_group_check(t, g, data + g * VERITY_GROUP, g_n, leaf,
						     &e),
				  &e);
			if (t->geo.levels == 0)
				continue;
			assert_memory_equal(leaf, b.area.p + verity_leaf_offset(&t->geo, g),
					    sizeof(leaf));
			assert_ok(verity_leaf_check(t, g, leaf, &e), &e);
		}
		verity_tree_free(t);
		built_done(&b);
		free(data);
	}
}

static void a_changed_byte_fails_its_group_and_its_block_only(void **state)
{
	const size_t n = 2 * VERITY_GROUP + 5000;
	uint8_t *data = sample(n), leaf[VERITY_BLOCK], block[VERITY_BLOCK] = { 0 };
	struct built b = build(data, n, 1 << 20);
	struct verity_tree *t = tree_of(&b, n);
	const uint8_t *leaf1 = b.area.p + verity_leaf_offset(&t->geo, 1);
	struct err e;

	data[VERITY_GROUP + 4096] ^= 1;
	memset(leaf, 7, sizeof(leaf));
	assert_fails(verity_group_check(t, 1, data + VERITY_GROUP, VERITY_GROUP, leaf, &e), &e,
		     E_CORRUPT);
	assert_string_equal(e.text,
			    "group 1 (bytes from 524288) differs from the signed hash tree");
	assert_int_equal(leaf[0], 7);
	assert_ok(verity_group_check(t, 0, data, VERITY_GROUP, leaf, &e), &e);
	assert_ok(verity_block_check(t, 128, leaf1, data + VERITY_GROUP, &e), &e);
	assert_fails(verity_block_check(t, 129, leaf1, data + VERITY_GROUP + 4096, &e), &e,
		     E_CORRUPT);
	assert_fails(verity_block_check(t, 258, leaf1, data, &e), &e, E_CORRUPT);
	/* The last block holds 904 bytes and zeros. */
	memcpy(block, data + 2 * VERITY_GROUP + 4096, 904);
	assert_ok(verity_block_check(t, 257, b.area.p + verity_leaf_offset(&t->geo, 2), block,
				     &e),
		  &e);
	block[4095] = 1;
	assert_fails(verity_block_check(t, 257, b.area.p + verity_leaf_offset(&t->geo, 2),
					block, &e),
		     &e, E_CORRUPT);
	/* Lengths and numbers that do not fit. */
	assert_fails(verity_group_check(t, 0, data, VERITY_GROUP - 1, leaf, &e), &e, E_CORRUPT);
	assert_fails(verity_group_check(t, 2, data, VERITY_GROUP, leaf, &e), &e, E_CORRUPT);
	assert_fails(verity_group_check(t, 3, data, 0, leaf, &e), &e, E_CORRUPT);
	verity_tree_free(t);
	built_done(&b);
	free(data);
}

static void every_flipped_bit_of_an_upper_tree_is_refused(void **state)
{
	const size_t n = 3 * VERITY_GROUP;
	uint8_t *data = sample(n);
	struct built b = build(data, n, 1 << 20);
	struct verity_tree *t = NULL;
	struct err e;

	assert_int_equal(b.upper.n, VERITY_BLOCK);
	for (size_t bit = 0; bit < b.upper.n * 8; bit++) {
		flip_bit(b.upper.p, bit);
		assert_fails(verity_tree_new(&t, n, salt, b.root, b.upper.p, b.upper.n, &e), &e,
			     E_CORRUPT);
		flip_bit(b.upper.p, bit);
	}
	for (size_t bit = 0; bit < SHA256_SIZE * 8; bit++) {
		flip_bit(b.root, bit);
		assert_fails(verity_tree_new(&t, n, salt, b.root, b.upper.p, b.upper.n, &e), &e,
			     E_CORRUPT);
		flip_bit(b.root, bit);
	}
	assert_fails(verity_tree_new(&t, n, salt, b.root, b.upper.p, b.upper.n - 1, &e), &e,
		     E_CORRUPT);
	assert_fails(verity_tree_new(&t, n, salt, b.root, NULL, 0, &e), &e, E_CORRUPT);
	assert_fails(verity_tree_new(&t, VERITY_GROUP, salt, b.root, b.upper.p, b.upper.n, &e),
		     &e, E_CORRUPT);
	assert_null(t);
	built_done(&b);
	free(data);
}

static void a_damaged_middle_level_is_named(void **state)
{
	const size_t n = 128 * VERITY_GROUP + 1;
	uint8_t *data = sample(n);
	struct built b = build(data, n, 1 << 20);
	struct verity_tree *t = NULL;
	struct err e;

	/* Two levels above the lowest: one block, then two. */
	assert_int_equal(b.upper.n, 3 * VERITY_BLOCK);
	b.upper.p[2 * VERITY_BLOCK + 5] ^= 1;
	assert_fails(verity_tree_new(&t, n, salt, b.root, b.upper.p, b.upper.n, &e), &e,
		     E_CORRUPT);
	assert_string_equal(e.text, "hash tree: level 1, block 1 differs");
	built_done(&b);
	free(data);
}

static void the_first_bad_group_of_a_file_is_named(void **state)
{
	const size_t n = 100 * VERITY_GROUP + 77;
	uint8_t *data = sample(n);
	struct built b = build(data, n, 1 << 20);
	struct verity_tree *t = tree_of(&b, n);
	int fd;
	struct err e;

	for (size_t g = 17; g <= 100; g++)
		data[g * VERITY_GROUP + 3] ^= 1;
	write_file_at(tmpdir_fd(state), "data", data, n);
	fd = openat(tmpdir_fd(state), "data", O_RDWR | O_CLOEXEC);
	for (unsigned threads = 0; threads < 6; threads++) {
		struct verity_run run = { .threads = threads };

		assert_fails(verity_fd_check(t, fd, &run, &e), &e, E_CORRUPT);
		assert_string_equal(
			e.text,
			"group 17 (bytes from 8912896) differs from the signed hash tree");
	}
	close(fd);
	verity_tree_free(t);
	built_done(&b);
	free(data);
}

static void a_slot_files_padding_counts_and_a_short_file_does_not(void **state)
{
	const size_t n = VERITY_GROUP + 100;
	uint8_t *data = sample(n);
	struct built b = build(data, n, 1 << 20);
	struct verity_tree *t = tree_of(&b, n);
	int fd;
	struct err e;

	write_file_at(tmpdir_fd(state), "data", data, n);
	fd = openat(tmpdir_fd(state), "data", O_RDWR | O_CLOEXEC);
	assert_ok(verity_fd_check(t, fd, NULL, &e), &e);
	assert_int_equal(ftruncate(fd, (off_t)t->geo.padded_size), 0);
	assert_ok(verity_fd_check(t, fd, NULL, &e), &e);
	assert_int_equal(pwrite(fd, "x", 1, (off_t)n), 1);
	assert_fails(verity_fd_check(t, fd, NULL, &e), &e, E_CORRUPT);
	assert_int_equal(ftruncate(fd, (off_t)n - 1), 0);
	assert_fails(verity_fd_check(t, fd, NULL, &e), &e, E_CORRUPT);
	assert_string_equal(e.text, "the file has 524387 of 524388 bytes");
	close(fd);
	verity_tree_free(t);
	built_done(&b);
	free(data);
}

static bool stop_at_once(void *arg, uint64_t bytes)
{
	(*(unsigned *)arg)++;
	return false;
}

static void a_run_can_be_stopped(void **state)
{
	const size_t n = 40 * VERITY_GROUP;
	uint8_t *data = sample(n), root[SHA256_SIZE] = "untouched";
	unsigned calls = 0;
	struct verity_run run = { 2, stop_at_once, &calls };
	int fd;
	struct err e;

	write_file_at(tmpdir_fd(state), "data", data, n);
	fd = openat(tmpdir_fd(state), "data", O_RDONLY | O_CLOEXEC);
	assert_fails(verity_fd_root(root, NULL, -1, fd, n, salt, &run, &e), &e, E_CANCELLED);
	assert_in_range(calls, 1, 2);
	assert_string_equal(root, "untouched");
	close(fd);
	free(data);
}

static void sizes_beyond_the_limit_are_refused(void **state)
{
	struct verity_geo geo = { .levels = 99 };
	struct err e;

	assert_fails(verity_geo_init(&geo, LIMIT_COMPONENT_SIZE + 1, &e), &e, E_TOO_BIG);
	assert_fails(verity_geo_init(&geo, UINT64_MAX, &e), &e, E_TOO_BIG);
	assert_int_equal(geo.levels, 99);
	assert_ok(verity_geo_init(&geo, LIMIT_COMPONENT_SIZE, &e), &e);
	assert_int_equal(geo.levels, 4);
	assert_int_equal(geo.blocks, UINT64_C(1) << 28);
	assert_int_equal(geo.level_start[3], 0);
	assert_int_equal(geo.level_start[2], 1);
	assert_int_equal(geo.level_start[0], 1 + 128 + 16384);
}

static void a_failing_allocation_is_reported(void **state)
{
	const size_t n = 3 * VERITY_GROUP;
	uint8_t *data = sample(n);
	struct built want = build(data, n, 1 << 20);

	write_file_at(tmpdir_fd(state), "data", data, n);
	FAULT_EACH(i, FAULT_ALLOC) {
		CLEANUP(verity_build_freep) struct verity_build *b = NULL;
		CLEANUP(verity_tree_freep) struct verity_tree *t = NULL;
		CLEANUP(buf_done) struct buf upper = BUF_INIT(1 << 20);
		uint8_t root[SHA256_SIZE];
		int fd = openat(tmpdir_fd(state), "data", O_RDONLY | O_CLOEXEC);
		struct err e;
		bool ok = verity_build_new(&b, salt, true, &e) &&
			  verity_build_add(b, data, n, &e) &&
			  verity_build_finish(b, root, &e) &&
			  verity_fd_root(root, &upper, -1, fd, n, salt, NULL, &e) &&
			  verity_tree_new(&t, n, salt, root, upper.p, upper.n, &e) &&
			  verity_fd_check(t, fd, NULL, &e);

		assert_true(ok || e.code == E_NOMEM);
		if (ok)
			assert_memory_equal(root, want.root, sizeof(root));
		close(fd);
	}
	built_done(&want);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_to_build_gives_the_defined_root),
		TMPDIR_TEST(files_give_the_same_with_any_number_of_threads),
		cmocka_unit_test(verified_groups_make_the_lowest_level_again),
		cmocka_unit_test(a_changed_byte_fails_its_group_and_its_block_only),
		cmocka_unit_test(every_flipped_bit_of_an_upper_tree_is_refused),
		cmocka_unit_test(a_damaged_middle_level_is_named),
		TMPDIR_TEST(the_first_bad_group_of_a_file_is_named),
		TMPDIR_TEST(a_slot_files_padding_counts_and_a_short_file_does_not),
		TMPDIR_TEST(a_run_can_be_stopped),
		cmocka_unit_test(sizes_beyond_the_limit_are_refused),
		TMPDIR_TEST(a_failing_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
