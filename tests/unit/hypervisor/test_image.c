#include "tests/support/unit.h"

#include "base/io.h"
#include "hypervisor/image.h"
#include "proto/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 10000, PADDED = 12288 }; /* a slot's files are padded to whole blocks */

/* A slot file as staging leaves it, with what the signed manifest says of it. */
struct image {
	struct launch_file file;
	uint8_t bytes[PADDED];
};

static void image_make(struct image *i, void **state)
{
	CLEANUP(verity_build_freep) struct verity_build *b = NULL;
	struct err e;

	*i = (struct image){ .file = { .verified = true, .size = SIZE } };
	for (size_t at = 0; at < SIZE; at++)
		i->bytes[at] = (uint8_t)(at * 7 + at / 256);
	memset(i->file.salt, 5, sizeof(i->file.salt));
	i->file.fd = openat(tmpdir_fd(state), "slot", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(i->file.fd >= 0);
	assert_ok(pwrite_all(i->file.fd, i->bytes, PADDED, 0, &e), &e);
	assert_ok(verity_build_new(&b, i->file.salt, false, &e), &e);
	assert_ok(verity_build_add(b, i->bytes, SIZE, &e), &e);
	assert_ok(verity_build_finish(b, i->file.root, &e), &e);
}

static void image_done(struct image *i)
{
	close(i->file.fd);
}

static void flip(struct image *i, size_t at)
{
	uint8_t byte = i->bytes[at] ^ 1;
	struct err e;

	assert_ok(pwrite_all(i->file.fd, &byte, 1, at, &e), &e);
}

static bool check_as_disk(const struct image *i, struct err *e)
{
	struct launch_spec spec = { .n_disks = 1 };

	snprintf(spec.disks[0].name, sizeof(spec.disks[0].name), "system");
	spec.disks[0].file = i->file;
	return image_check_disks(&spec, e);
}

static void a_whole_file_is_copied_and_a_whole_disk_passes(void **state)
{
	CLEANUP(image_done) struct image i;
	uint8_t back[SIZE];
	struct err e;
	int fd;

	image_make(&i, state);
	assert_ok(check_as_disk(&i, &e), &e);
	assert_ok(image_copy(&fd, "kernel", &i.file, &e), &e);
	assert_ok(pread_all(fd, back, SIZE, 0, &e), &e);
	assert_memory_equal(back, i.bytes, SIZE);
	close(fd);
}

/* RAUC's CVE-2020-25860: what was verified was read a second time, when it could be another. */
static void cve_2020_25860_what_was_checked_is_what_runs(void **state)
{
	CLEANUP(image_done) struct image i;
	uint8_t back[SIZE];
	struct err e;
	int fd;

	image_make(&i, state);
	assert_ok(image_copy(&fd, "kernel", &i.file, &e), &e);
	flip(&i, 4321);
	assert_int_equal(ftruncate(i.file.fd, 100), 0);
	assert_ok(pread_all(fd, back, SIZE, 0, &e), &e);
	assert_memory_equal(back, i.bytes, SIZE);

	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, SIZE - 1), -1);
	assert_int_equal(ftruncate(fd, SIZE + 1), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	assert_ptr_equal(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
			 MAP_FAILED);
	close(fd);
}

static void one_flipped_bit_anywhere_is_found(void **state)
{
	CLEANUP(image_done) struct image i;
	struct err e;
	int fd;

	image_make(&i, state);
	for (size_t at = 0; at < SIZE; at += 409) {
		flip(&i, at);
		assert_fails(image_copy(&fd, "kernel", &i.file, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "kernel"));
		assert_fails(check_as_disk(&i, &e), &e, E_CORRUPT);
		assert_non_null(strstr(e.text, "disk system"));
		assert_ok(pwrite_all(i.file.fd, i.bytes, PADDED, 0, &e), &e);
	}
}

static void a_file_that_ends_early_is_found(void **state)
{
	CLEANUP(image_done) struct image i;
	struct err e;
	int fd;

	image_make(&i, state);
	assert_int_equal(ftruncate(i.file.fd, SIZE - 1), 0);
	assert_fails(image_copy(&fd, "kernel", &i.file, &e), &e, E_CORRUPT);
	assert_int_equal(ftruncate(i.file.fd, 4096), 0);
	assert_fails(check_as_disk(&i, &e), &e, E_CORRUPT);
}

/* RAUC's CVE-2026-34155: lengths that were kept in 32 bits. */
static void cve_2026_34155_a_length_is_not_taken_modulo_4_gib(void **state)
{
	CLEANUP(image_done) struct image i;
	struct err e;
	int fd;

	image_make(&i, state);
	i.file.size += UINT64_C(1) << 32;
	assert_fails(image_copy(&fd, "kernel", &i.file, &e), &e, E_CORRUPT);
	assert_fails(check_as_disk(&i, &e), &e, E_CORRUPT);
}

static void a_disk_without_a_root_is_the_users_own(void **state)
{
	CLEANUP(image_done) struct image i;
	struct err e;

	image_make(&i, state);
	flip(&i, 0);
	i.file.verified = false;
	assert_ok(check_as_disk(&i, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_whole_file_is_copied_and_a_whole_disk_passes),
		TMPDIR_TEST(cve_2020_25860_what_was_checked_is_what_runs),
		TMPDIR_TEST(one_flipped_bit_anywhere_is_found),
		TMPDIR_TEST(a_file_that_ends_early_is_found),
		TMPDIR_TEST(cve_2026_34155_a_length_is_not_taken_modulo_4_gib),
		TMPDIR_TEST(a_disk_without_a_root_is_the_users_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
