/* Files whose end lies elsewhere: where it is found, and deltas between images of such files. */
#include "tests/support/unit.h"
#include "tests/support/erofs.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/limits.h"
#include "delta/delta.h"
#include "delta/layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { FILES = 60, TEXT_MAX = 60000 };

static uint32_t seed;

static uint32_t dice(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void text_of(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t word = dice(2000) * 2654435761u;

		for (unsigned k = 2 + word % 7; k > 0 && i < n; k--, word >>= 4)
			p[i++] = (uint8_t)('a' + (word & 15));
		if (i < n)
			p[i++] = ' ';
	}
}

/* A .gz of n bytes of text in room for n + 1000; returns its size. */
static size_t gz(uint8_t *to, const uint8_t *text, size_t n, int level)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)text,
		       .avail_in = (uInt)n,
		       .next_out = to,
		       .avail_out = (uInt)n + 1000 };

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static struct layout layout_of(const void *p, size_t n)
{
	struct layout l = layout_start(n);
	struct err e;

	assert_ok(layout_read(&l, p, n, 0, n, &e), &e);
	layout_sort(&l);
	for (size_t i = 0; i < l.n; i++) {
		const struct layout_cut *c = &l.v[i];

		assert_true(c->from < c->end && c->end <= n);
		assert_true(c->size > 0 && c->to <= n && c->size <= n - c->to);
		assert_true(i == 0 || c->from >= l.v[i - 1].end);
	}
	return l;
}

/* ---- finding ---- */

static void ends_are_found_wherever_they_lie(void **state UNUSED)
{
	static uint8_t data[FILES][TEXT_MAX];
	static size_t sizes[FILES];
	struct erofs_maker m;
	unsigned cut = 0;

	seed = 1;
	erofs_begin(&m);
	for (unsigned i = 0; i < FILES; i++) {
		sizes[i] = dice(TEXT_MAX);
		text_of(data[i], sizes[i]);
		erofs_add(&m, data[i], sizes[i], i % EROFS_ORDERS);
		cut += i % EROFS_ORDERS != EROFS_END_NOWHERE && sizes[i] > 4096 &&
		       sizes[i] % 4096 && sizes[i] % 4096 <= 4096 - 32;
	}
	CLEANUP(buf_done) struct buf image = erofs_end(&m);
	CLEANUP(layout_done) struct layout l = layout_of(image.p, image.n);
	assert_int_equal(l.n, cut);
	for (size_t k = 0; k < l.n; k++) {
		const struct layout_cut *c = &l.v[k];
		size_t n = c->end - c->from;
		unsigned i = 0;

		while (i < FILES &&
		       (sizes[i] != n + c->size || memcmp(image.p + c->from, data[i], n) != 0))
			i++;
		assert_true(i < FILES);
		assert_memory_equal(image.p + c->to, data[i] + n, c->size);
		assert_ptr_equal(layout_at(&l, c->from), c);
		assert_ptr_equal(layout_at(&l, c->end - 1), c);
		assert_ptr_not_equal(layout_at(&l, c->end), c);
	}
	assert_null(layout_at(&l, 0));
}

static void file_systems_in_partitions_are_found(void **state UNUSED)
{
	static uint8_t text[10000];
	CLEANUP(buf_done) struct buf disk = BUF_INIT(1 << 24);
	struct erofs_maker m;
	struct err e;
	uint8_t *p;

	seed = 2;
	text_of(text, sizeof(text));
	erofs_begin(&m);
	erofs_add(&m, text, sizeof(text), EROFS_END_BEHIND);
	CLEANUP(buf_done) struct buf image = erofs_end(&m);
	assert_ok(buf_reserve(&disk, 12288 + 2 * image.n, &p, &e), &e);
	memset(p, 0, 12288);
	memcpy(p + 12288, image.p, image.n);
	memcpy(p + 12288 + image.n, image.p, image.n);
	buf_commit(&disk, 12288 + 2 * image.n);
	CLEANUP(layout_done) struct layout l = layout_of(disk.p, disk.n);
	assert_int_equal(l.n, 2);
	assert_memory_equal(disk.p + l.v[1].to, text + 8192, sizeof(text) - 8192);
}

/* What is damaged is of no use, but nothing lies outside, and it ends. */
static void damaged_file_systems_give_places_inside(void **state UNUSED)
{
	static uint8_t text[9000];
	struct erofs_maker m;

	seed = 3;
	text_of(text, sizeof(text));
	erofs_begin(&m);
	for (unsigned i = 0; i < 20; i++)
		erofs_add(&m, text + i, 5000 + 199 * i, i % EROFS_ORDERS);
	CLEANUP(buf_done) struct buf image = erofs_end(&m);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at = i % 3 == 0   ? 1024 + dice(128)
			      : i % 3 == 1 ? 4096 + dice(16 * 4096)
					   : image.n - 1 - dice(8192);
		uint8_t was = image.p[at];

		image.p[at] = (uint8_t)dice(256);
		struct layout l = layout_of(image.p, i % 7 ? image.n : dice((uint32_t)image.n));
		layout_done(&l);
		image.p[at] = was;
	}
}

static void a_folder_that_leads_to_itself_ends(void **state UNUSED)
{
	static uint8_t text[9000];
	struct erofs_maker m;

	seed = 4;
	text_of(text, sizeof(text));
	erofs_begin(&m);
	for (unsigned i = 0; i < 8; i++)
		erofs_add(&m, text + i, 8000, EROFS_END_BEHIND);
	CLEANUP(buf_done) struct buf image = erofs_end(&m);
	uint64_t root = get_le16(image.p + 1024 + 14);
	uint8_t *entries = image.p + get_le32(image.p + root * 32 + 16) * 4096;
	for (unsigned i = 3; i < 10; i += 2) { /* seven files: three are the root now */
		put_le64(entries + i * 12, root);
		entries[i * 12 + 10] = 2;
	}
	CLEANUP(layout_done) struct layout l = layout_of(image.p, image.n);
	assert_int_equal(l.n, 4);
	assert_int_equal(l.entries, 0);
}

/* A folder of one block of 64 KiB, its own and only entry, whose name is dots to the block's end, in an image that
 * may have millions of names. */
static void long_names_cost_no_time(void **state UNUSED)
{
	enum { BLOCK = 65536, INODE = 2048, N = WALK_ENTRIES * 8 };
	uint8_t *image = calloc(1, N), *block = image + BLOCK;
	clock_t began = clock();

	put_le32(image + 1024, 0xe0f5e1e2);
	image[1024 + 12] = 16;
	put_le16(image + 1024 + 14, INODE / 32);
	put_le32(image + INODE + 8, BLOCK);
	put_le32(image + INODE + 16, 1);
	memset(block, '.', BLOCK);
	for (unsigned i = 0; i < 2; i++) {
		put_le64(block + 12 * i, INODE / 32);
		put_le16(block + 12 * i + 8, 24);
		block[12 * i + 10] = 2;
	}
	CLEANUP(layout_done) struct layout l = layout_of(image, N);
	assert_int_equal(l.n, 0);
	assert_int_equal(l.entries, 0);
	assert_true(clock() - began < 10 * CLOCKS_PER_SEC);
	free(image);
}

static void memory_that_runs_out_is_told(void **state UNUSED)
{
	static uint8_t text[9000];
	struct erofs_maker m;

	text_of(text, sizeof(text));
	erofs_begin(&m);
	erofs_add(&m, text, 9000, EROFS_END_BEHIND);
	CLEANUP(buf_done) struct buf image = erofs_end(&m);
	FAULT_EACH(n, FAULT_ALLOC) {
		struct layout l = layout_start(image.n);
		struct err e = { 0 };

		if (!layout_read(&l, image.p, image.n, 0, image.n, &e))
			assert_int_equal(e.code, E_NOMEM);
		layout_done(&l);
	}
}

/* ---- deltas ---- */

static int memfile(const struct buf *b)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct err e;

	assert_true(fd >= 0);
	assert_ok(pwrite_all(fd, b->p, b->n, 0, &e), &e);
	return fd;
}

struct sink {
	const struct buf *want;
	uint64_t next;
};

static bool sink_emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n,
		      struct err *e UNUSED)
{
	struct sink *s = ctx;

	assert_int_equal(offset, s->next);
	assert_memory_equal(p, s->want->p + offset, n);
	s->next += n;
	return true;
}

/* Makes the delta and applies it from its beginning and from some other segments. */
static struct delta_info round_trip(const struct buf *old, const struct buf *new, unsigned more)
{
	CLEANUP(fd_closep) int old_fd = memfile(old);
	CLEANUP(fd_closep) int new_fd = memfile(new);
	CLEANUP(fd_closep) int out = memfd_create("delta", MFD_CLOEXEC);
	struct delta_job job = { .old_fd = old_fd,
				 .new_fd = new_fd,
				 .out_fd = out,
				 .scratch_fd = -1,
				 .threads = 2 };
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct delta_info info;
	struct err e;

	assert_ok(delta_create(&job, &info, &e), &e);
	assert_ok(delta_open(&d, out, old_fd, &e), &e);
	for (unsigned i = 0; i <= more; i++) {
		struct sink s = { .want = new,
				  .next = i ? (uint64_t)dice(info.segments) * info.segment_bytes
					    : 0 };

		assert_ok(delta_apply(d, s.next, sink_emit, &s, &e), &e);
		assert_int_equal(s.next, new->n);
	}
	return info;
}

/* Files of text, some of which are changed in the new image, in any order and with ends anywhere. */
struct files {
	uint8_t *text[FILES];
	size_t n[FILES];
};

static struct buf files_image(const struct files *f, bool in_order)
{
	uint8_t *packed = malloc(TEXT_MAX + 2000);
	struct erofs_maker m;

	erofs_begin(&m);
	for (unsigned i = 0; i < FILES; i++) {
		unsigned k = in_order ? i : i * 7 % FILES;
		size_t n = gz(packed, f->text[k], f->n[k], 1 + (int)(k % 9));

		erofs_add(&m, packed, n, dice(EROFS_ORDERS));
	}
	free(packed);
	return erofs_end(&m);
}

static void streams_in_two_parts_cost_what_changed(void **state UNUSED)
{
	for (unsigned round = 0; round < 6; round++) {
		struct files f;
		size_t all = 0;

		seed = 10 + round;
		for (unsigned i = 0; i < FILES; i++) {
			f.n[i] = 20 + dice(TEXT_MAX - 20);
			f.text[i] = malloc(f.n[i]);
			text_of(f.text[i], f.n[i]);
		}
		CLEANUP(buf_done) struct buf old = files_image(&f, true);
		unsigned changed = 0;
		for (unsigned i = 0; i < FILES; i++) {
			if (i % 2)
				continue;
			for (unsigned k = 0; k < 3; k++)
				f.text[i][dice((uint32_t)f.n[i])] = 'A';
			changed += f.n[i] > 100;
			all += f.n[i];
		}
		CLEANUP(buf_done) struct buf new = files_image(&f, false);
		struct delta_info info = round_trip(&old, &new, 3);
		assert_true(info.streams_new >= changed && info.streams_new <= FILES);
		assert_true(info.streams_old >= changed);
		/* Commands for each file's parts, its changes and its inode, in new places. */
		assert_true(info.delta_size < FILES * 120 + all / 100);
		for (unsigned i = 0; i < FILES; i++)
			free(f.text[i]);
	}
}

/* Text that is the same in both images, packed at other levels; noise of the old image, and a
 * jumble of its pieces, which needs more commands than a frame may have. */
enum { NOISE = 1 << 16, PIECE = 40, JUMBLE = (LIMIT_DELTA_OPS + 20000) * PIECE };

struct far {
	uint8_t *text, *packed, *noise, *jumble;
	size_t n;
};

static struct far far_of(size_t n)
{
	struct far f = { .text = malloc(n),
			 .packed = malloc(n + 1000),
			 .noise = malloc(NOISE),
			 .jumble = malloc(JUMBLE),
			 .n = n };

	text_of(f.text, n);
	for (size_t i = 0; i < NOISE; i++)
		f.noise[i] = (uint8_t)(dice(1 << 20) >> 12);
	for (size_t i = 0; i < JUMBLE; i += PIECE)
		memcpy(f.jumble + i, f.noise + dice(NOISE - PIECE), PIECE);
	return f;
}

static void far_done(struct far *f)
{
	free(f->text);
	free(f->packed);
	free(f->noise);
	free(f->jumble);
}

/* One file whose end comes before these bytes, and its blocks behind them. */
static struct buf far_image(struct far *f, int level, const uint8_t *between, size_t between_n)
{
	size_t n = gz(f->packed, f->text, f->n, level);
	struct erofs_maker m;

	assert_true(n % 4096 > 0 && n % 4096 <= 4064);
	erofs_begin(&m);
	erofs_fill(&m, between, between_n);
	erofs_add(&m, f->packed, n, EROFS_END_FAR);
	return erofs_end(&m);
}

static void parts_in_two_frames_are_coded_in_both(void **state UNUSED)
{
	seed = 30;
	struct far f = far_of(100000);
	CLEANUP(buf_done) struct buf old = far_image(&f, 1, f.noise, NOISE);
	CLEANUP(buf_done) struct buf new = far_image(&f, 6, f.jumble, JUMBLE);
	struct delta_info info = round_trip(&old, &new, 2);
	assert_int_equal(info.frames, 2);
	assert_int_equal(info.streams_new, 2);
	far_done(&f);
}

/* The same, but the old image has nothing of the text: the stream costs more than the bytes. */
static void parts_of_what_is_new_are_not_coded_twice(void **state UNUSED)
{
	struct erofs_maker m;

	seed = 31;
	struct far f = far_of(100000);
	erofs_begin(&m);
	erofs_fill(&m, f.noise, NOISE);
	CLEANUP(buf_done) struct buf old = erofs_end(&m);
	CLEANUP(buf_done) struct buf new = far_image(&f, 6, f.jumble, JUMBLE);
	struct delta_info info = round_trip(&old, &new, 1);
	assert_int_equal(info.frames, 2);
	assert_int_equal(info.streams_new, 1);
	far_done(&f);
}

static void parts_too_large_to_be_kept_are_coded_again(void **state UNUSED)
{
	seed = 32;
	struct far f = far_of(6 << 20);
	CLEANUP(buf_done) struct buf old = far_image(&f, 1, f.noise, NOISE);
	CLEANUP(buf_done) struct buf new = far_image(&f, 6, f.noise, NOISE);
	assert_true(new.n > LIMIT_DELTA_KEPT + NOISE + EROFS_FAR + 8192);
	struct delta_info info = round_trip(&old, &new, 1);
	assert_int_equal(info.frames, 1);
	assert_int_equal(info.streams_new, 2);
	assert_true(info.delta_size < 3000);
	far_done(&f);
}

/* Runs mkfs.erofs on the folder `files`. */
static bool mkfs(const char *folder, const char *image)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, 1);
		dup2(null, 2);
		execlp("mkfs.erofs", "mkfs.erofs", "-T1700000000",
		       "-U11111111-2222-3333-4444-555555555555", image, folder, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static struct buf load(const char *path)
{
	struct buf b = BUF_INIT(1 << 26);
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t n = 0;
	struct err e;
	uint8_t *p;

	assert_true(fd >= 0);
	assert_ok(fd_size(fd, &n, &e), &e);
	assert_ok(buf_reserve(&b, (size_t)n, &p, &e), &e);
	assert_ok(pread_all(fd, p, (size_t)n, 0, &e), &e);
	buf_commit(&b, (size_t)n);
	return b;
}

static void images_as_mkfs_erofs_makes_them(void **state)
{
	enum { N = 40 };
	struct buf images[2];
	char folder[512], image[512], name[600];
	uint8_t *text = malloc(TEXT_MAX), *packed = malloc(TEXT_MAX + 1000);
	unsigned cut = 0;

	snprintf(folder, sizeof(folder), "%s/files", tmpdir_path(state));
	assert_int_equal(mkdir(folder, 0755), 0);
	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < N; i++) {
			struct err e;

			seed = 100 + i;
			size_t n = 20000 + dice(TEXT_MAX - 20000);
			text_of(text, n);
			text[n / 2] = k ? 'X' : 'x';
			n = gz(packed, text, n, 9);
			cut += k && n % 4096 && n % 4096 <= 4064;
			snprintf(name, sizeof(name), "%s/%u.gz", folder, i);
			CLEANUP(fd_closep)
			int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
			assert_true(fd >= 0);
			assert_ok(pwrite_all(fd, packed, n, 0, &e), &e);
			assert_int_equal(ftruncate(fd, (off_t)n), 0);
		}
		snprintf(image, sizeof(image), "%s/%u.erofs", tmpdir_path(state), k);
		if (!mkfs(folder, image)) {
			print_message("mkfs.erofs is not here\n");
			skip();
		}
		images[k] = load(image);
	}
	CLEANUP(layout_done) struct layout l = layout_of(images[1].p, images[1].n);
	assert_int_equal(l.n, cut);
	struct delta_info info = round_trip(&images[0], &images[1], 2);
	assert_int_equal(info.streams_new, N);
	assert_true(info.delta_size < N * 60);
	for (unsigned k = 0; k < 2; k++)
		buf_done(&images[k]);
	free(text);
	free(packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_are_found_wherever_they_lie),
		cmocka_unit_test(file_systems_in_partitions_are_found),
		cmocka_unit_test(damaged_file_systems_give_places_inside),
		cmocka_unit_test(a_folder_that_leads_to_itself_ends),
		cmocka_unit_test(long_names_cost_no_time),
		cmocka_unit_test(memory_that_runs_out_is_told),
		cmocka_unit_test(streams_in_two_parts_cost_what_changed),
		cmocka_unit_test(parts_in_two_frames_are_coded_in_both),
		cmocka_unit_test(parts_of_what_is_new_are_not_coded_twice),
		cmocka_unit_test(parts_too_large_to_be_kept_are_coded_again),
		TMPDIR_TEST(images_as_mkfs_erofs_makes_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
