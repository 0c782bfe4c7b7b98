/* What lies where in images, as mkfs.erofs and mke2fs make them and as nobody should. */
#include "tests/support/unit.h"
#include "tests/support/erofs.h"

#include "base/bytes.h"
#include "base/io.h"
#include "delta/atlas.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IMAGE_MAX = 1 << 25, FILE_MAX_BYTES = 300000, MANY = 700 };

static uint32_t seed;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void noise(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(1 + dice(255));
}

/* ---- a tree of files ---- */

static const struct sample {
	const char *path;
	size_t size;
	bool has_holes; /* every other 4096 bytes are not there */
} samples[] = {
	{ "/small", 100, false },
	{ "/usr/lib/large one", FILE_MAX_BYTES, false },
	{ "/usr/lib/even", 8192, false },
	{ "/usr/lib/deep/er/file", 5000, false },
	{ "/usr/lib/deep/er/still", 4097, false },
	{ "/var/holes", 200000, true },
	{ "/var/\"quoted\"\n", 3000, false },
};

static void sample_bytes(uint8_t *p, size_t i)
{
	seed = 100 + (uint32_t)i;
	noise(p, samples[i].size);
	for (size_t at = 0; samples[i].has_holes && at < samples[i].size; at += 8192)
		memset(p + at, 0, samples[i].size - at < 4096 ? samples[i].size - at : 4096);
}

static void sample_write(int dir, size_t i, const uint8_t *p)
{
	CLEANUP(fd_closep)
	int fd = openat(dir, samples[i].path + 1, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	struct err e;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)samples[i].size), 0);
	for (size_t at = 0; at < samples[i].size; at += 4096) {
		size_t n = samples[i].size - at < 4096 ? samples[i].size - at : 4096;

		if (!samples[i].has_holes || at / 4096 % 2)
			assert_ok(pwrite_all(fd, p + at, n, at, &e), &e);
	}
}

/* Makes the folder `files`, with a folder of many files that needs an index. */
static void tree_make(void **state)
{
	static const char *const folders[] = { "files",         "files/usr",
					       "files/usr/lib", "files/usr/lib/deep",
					       "files/many",    "files/usr/lib/deep/er",
					       "files/var",     "files/empty" };
	static uint8_t bytes[FILE_MAX_BYTES];
	char long_link[200] = { 0 }, name[40];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_int_equal(mkdirat(tmpdir_fd(state), folders[i], 0755), 0);
	CLEANUP(fd_closep)
	int dir = openat(tmpdir_fd(state), "files", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		sample_bytes(bytes, i);
		sample_write(dir, i, bytes);
	}
	memset(long_link, 'x', sizeof(long_link) - 1);
	assert_int_equal(symlinkat(long_link, dir, "link"), 0);
	assert_int_equal(symlinkat("small", dir, "short link"), 0);
	assert_int_equal(mkfifoat(dir, "fifo", 0644), 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%0*u", 30, i);
		write_file_at(dir, name, &i, sizeof(i));
	}
}

/* Runs a maker of images; the test is skipped where there is none. */
static struct buf image_of(void **state, const char *const argv[])
{
	struct buf b = BUF_INIT(IMAGE_MAX);
	uint64_t n = 0;
	struct err e;
	uint8_t *p;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 1);
		dup2(null, 2);
		if (fchdir(tmpdir_fd(state)) == 0)
			execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		print_message("%s is not here\n", argv[0]);
		skip();
	}
	assert_int_equal(status, 0);
	CLEANUP(fd_closep) int fd = openat(tmpdir_fd(state), "image", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_ok(fd_size(fd, &n, &e), &e);
	assert_ok(buf_reserve(&b, (size_t)n, &p, &e), &e);
	assert_ok(pread_all(fd, p, (size_t)n, 0, &e), &e);
	buf_commit(&b, (size_t)n);
	assert_int_equal(unlinkat(tmpdir_fd(state), "image", 0), 0);
	return b;
}

/* ---- what must hold ---- */

static void paths_are(const struct atlas *a, uint32_t file, const char *want)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(ATLAS_PATH_MAX);
	struct err e;

	assert_ok(atlas_path(a, file, &b, &e), &e);
	assert_int_equal(b.n, strlen(want));
	assert_memory_equal(b.p, want, b.n);
}

static uint32_t find(const struct atlas *a, const char *path)
{
	for (uint32_t i = 0; i < a->n_files; i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(ATLAS_PATH_MAX);
		struct err e;

		assert_ok(atlas_path(a, i, &b, &e), &e);
		if (b.n == strlen(path) && memcmp(b.p, path, b.n) == 0)
			return i;
	}
	fail_msg("no %s", path);
	return 0;
}

/* Any atlas: inside, in order, found again; paths end. */
static void is_sound(const struct atlas *a)
{
	uint64_t end = 0;

	for (size_t i = 0; i < a->n_places; i++) {
		const struct atlas_place *p = &a->places[i];
		struct atlas_spot spot = atlas_at(a, p->from);

		assert_true(p->from >= end && p->from < p->end && p->end <= a->size);
		assert_ptr_equal(spot.range, &a->ranges[p->range]);
		assert_int_equal(spot.end, p->end);
		if (p->from > end) {
			spot = atlas_at(a, end);
			assert_null(spot.range);
			assert_int_equal(spot.end, p->from);
		}
		end = p->end;
	}
	assert_null(atlas_at(a, end).range);
	assert_int_equal(atlas_at(a, end).end, a->size);
	for (uint32_t i = 0; i < a->n_files; i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(ATLAS_PATH_MAX);
		uint8_t some[64];
		struct err e;

		assert_ok(atlas_path(a, i, &b, &e), &e);
		atlas_copy(a, i, dice(10000), some, sizeof(some));
	}
}

static uint64_t bytes_of(const struct atlas *a, enum walk_kind kind)
{
	uint64_t n = 0;

	for (size_t i = 0; i < a->n_places; i++)
		if (a->ranges[a->places[i].range].kind == kind)
			n += a->places[i].end - a->places[i].from;
	return n;
}

/* Each file is where the atlas says, and each of its bytes is known to be its own. */
static void has_tree(const struct atlas *a)
{
	static uint8_t want[FILE_MAX_BYTES], have[FILE_MAX_BYTES];

	is_sound(a);
	assert_int_equal(a->n_files, MANY + ARRAY_SIZE(samples));
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint32_t file = find(a, samples[i].path);
		size_t n = 0, step;

		sample_bytes(want, i);
		for (size_t at = 0; at < samples[i].size; at += step) {
			bool hole = samples[i].has_holes && at / 4096 % 2 == 0;

			step = samples[i].size - at < 4096 ? samples[i].size - at : 4096;
			if (atlas_copy(a, file, at, have, step))
				assert_memory_equal(have, want + at, step);
			else
				assert_true(hole);
		}
		if (!samples[i].has_holes)
			assert_true(atlas_copy(a, file, 0, have, samples[i].size));
		assert_false(atlas_copy(a, file, samples[i].size + 8192, have, 1));
		for (size_t k = 0; k < a->n_places; k++)
			if (a->ranges[a->places[k].range].file == file)
				n += a->places[k].end - a->places[k].from;
		assert_true(n >= samples[i].size / (samples[i].has_holes ? 3 : 1));
		assert_true(n <= samples[i].size + 8192);
	}
	assert_true(bytes_of(a, WALK_INODES) >= MANY * 32);
	assert_true(bytes_of(a, WALK_NAMES) >= MANY * 30 + 200);
	assert_true(bytes_of(a, WALK_SUPER) >= 128);
}

static void files_are_found_in(void **state, const char *const argv[])
{
	CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
	CLEANUP(buf_done) struct buf b = image_of(state, argv);
	struct err e;

	assert_ok(atlas_read(&a, b.p, b.n, &e), &e);
	has_tree(&a);
	if (strcmp(argv[0], "mke2fs") == 0)
		assert_true(bytes_of(&a, WALK_BITMAPS) >= 2048);
	/* In a partition, with another file system behind it. */
	CLEANUP(buf_done) struct buf disk = BUF_INIT(3 * IMAGE_MAX);
	uint8_t *p;
	assert_ok(buf_reserve(&disk, 2 * b.n + 20480, &p, &e), &e);
	memset(p, 0, 2 * b.n + 20480);
	memcpy(p + 12288, b.p, b.n);
	memcpy(p + 12288 + (b.n + 4095) / 4096 * 4096, b.p, b.n);
	atlas_done(&a);
	assert_ok(atlas_read(&a, p, 2 * b.n + 20480, &e), &e);
	is_sound(&a);
	assert_int_equal(a.n_files, 2 * (MANY + ARRAY_SIZE(samples)));
}

#define EROFS_WITH(...) \
	((const char *const[]){ "mkfs.erofs", __VA_ARGS__, "image", "files", NULL })
#define EXT4_WITH(...)                                                             \
	((const char *const[]){ "mke2fs", "-q", "-F", "-t", "ext4", "-d", "files", \
				__VA_ARGS__, "image", "16M", NULL })

static void files_are_found_in_what_mkfs_erofs_makes(void **state)
{
	tree_make(state);
	files_are_found_in(state, EROFS_WITH("-T1700000000"));
	files_are_found_in(state, EROFS_WITH("-Enoinline_data", "-x-1"));
	files_are_found_in(state, EROFS_WITH("-Eforce-inode-extended"));
}

static void files_are_found_in_what_mke2fs_makes(void **state)
{
	tree_make(state);
	files_are_found_in(state, EXT4_WITH("-b", "4096"));
	files_are_found_in(state, EXT4_WITH("-b", "1024"));
	files_are_found_in(state,
			   EXT4_WITH("-O", "^64bit,^sparse_super,^resize_inode", "-I", "128"));
	files_are_found_in(state, EXT4_WITH("-O", "^has_journal,^metadata_csum", "-g", "1024",
					    "-b", "1024"));
}

/* Of files that are compressed, or whose blocks are listed one by one, names and tables are known. */
static void files_laid_out_otherwise_have_no_bytes(void **state)
{
	static const uint8_t zeros[FILE_MAX_BYTES];
	const char *const *const makers[] = {
		EROFS_WITH("-zlz4"),
		(const char *const[]){ "mke2fs", "-q", "-F", "-t", "ext2", "-d", "files",
				       "image", "16M", NULL },
	};

	assert_int_equal(mkdirat(tmpdir_fd(state), "files", 0755), 0);
	write_file_at(tmpdir_fd(state), "files/zeros", zeros, sizeof(zeros));
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
		CLEANUP(buf_done) struct buf b = image_of(state, makers[i]);
		struct err e;

		assert_ok(atlas_read(&a, b.p, b.n, &e), &e);
		is_sound(&a);
		assert_true(bytes_of(&a, WALK_SUPER) >= 128);
		assert_int_equal(bytes_of(&a, WALK_FILE), 0);
	}
}

static void damage(void **state, const char *const argv[], uint64_t upto)
{
	CLEANUP(buf_done) struct buf b = image_of(state, argv);

	for (unsigned i = 0; i < 120; i++) {
		CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
		uint8_t was[3];
		uint64_t at[3];
		struct err e;

		seed = i;
		for (unsigned k = 0; k < 3; k++) {
			at[k] = i % 3 ? 1024 + dice(i % 3 == 1 ? 400 : (uint32_t)upto) : 0;
			if (i % 3 == 0) /* where there is something */
				do
					at[k] = dice((uint32_t)upto);
				while (b.p[at[k]] == 0);
			was[k] = b.p[at[k]];
			b.p[at[k]] = (uint8_t)(dice(3) ? dice(256) : 255);
		}
		assert_ok(atlas_read(&a, b.p, i % 5 ? b.n : dice((uint32_t)b.n), &e), &e);
		is_sound(&a);
		for (unsigned k = 3; k-- > 0;)
			b.p[at[k]] = was[k];
	}
}

static void damaged_file_systems_give_places_inside(void **state)
{
	tree_make(state);
	damage(state, EROFS_WITH("-T1700000000"), 100000);
	damage(state, EXT4_WITH("-b", "1024", "-O", "^has_journal"), 800000);
}

static void an_image_without_a_file_system_is_one_file(void **state UNUSED)
{
	static uint8_t p[10000];
	CLEANUP(atlas_done) struct atlas a = ATLAS_INIT, none = ATLAS_INIT;
	uint8_t have[5000];
	struct err e;

	seed = 9;
	noise(p, sizeof(p));
	assert_ok(atlas_read(&a, p, sizeof(p), &e), &e);
	is_sound(&a);
	assert_int_equal(a.n_files, 1);
	assert_int_equal(atlas_at(&a, 9999).range->file, 0);
	assert_int_equal(atlas_at(&a, 9999).end, 10000);
	assert_true(atlas_copy(&a, 0, 5000, have, sizeof(have)));
	assert_memory_equal(have, p + 5000, sizeof(have));
	assert_false(atlas_copy(&a, 0, 5001, have, sizeof(have)));
	paths_are(&a, 0, "");
	assert_ok(atlas_read(&none, p, 0, &e), &e);
	assert_null(atlas_at(&none, 0).range);
}

/* A folder that has itself, under a long name: reading ends, and so do paths. */
static void a_folder_that_leads_to_itself_ends(void **state UNUSED)
{
	static uint8_t text[9000];
	CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
	struct erofs_maker m;
	size_t longest = 0;
	struct err e;

	erofs_begin(&m);
	for (unsigned i = 0; i < 3; i++)
		erofs_add(&m, text, sizeof(text), EROFS_END_NOWHERE);
	CLEANUP(buf_done) struct buf b = erofs_end(&m);
	uint8_t *root = b.p + b.n - EROFS_BLOCK;
	put_le64(root + 3 * 12, get_le64(root)); /* the second file is the root */
	root[3 * 12 + 10] = 2;
	assert_ok(atlas_read(&a, b.p, b.n, &e), &e);
	assert_true(a.n_folders > 1000 && a.n_files < b.n / 8);
	for (uint32_t i = 0; i < a.n_files; i += 97) {
		CLEANUP(buf_done) struct buf path = BUF_INIT(ATLAS_PATH_MAX);

		assert_ok(atlas_path(&a, i, &path, &e), &e);
		longest = path.n > longest ? path.n : longest;
		if (path.n > 4000)
			assert_memory_equal(path.p, "...", 3);
	}
	assert_true(longest > 4000);
}

static void memory_that_runs_out_is_told(void **state)
{
	const char *const *const makers[] = { EROFS_WITH("-T1700000000"),
					      EXT4_WITH("-b", "4096") };

	tree_make(state);
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		CLEANUP(buf_done) struct buf b = image_of(state, makers[i]);

		FAULT_EACH(n, FAULT_ALLOC) {
			CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
			struct err e;

			if (!atlas_read(&a, b.p, b.n, &e))
				assert_int_equal(e.code, E_NOMEM);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(files_are_found_in_what_mkfs_erofs_makes),
		TMPDIR_TEST(files_are_found_in_what_mke2fs_makes),
		TMPDIR_TEST(files_laid_out_otherwise_have_no_bytes),
		TMPDIR_TEST(damaged_file_systems_give_places_inside),
		cmocka_unit_test(an_image_without_a_file_system_is_one_file),
		cmocka_unit_test(a_folder_that_leads_to_itself_ends),
		TMPDIR_TEST(memory_that_runs_out_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
