#include "tests/support/unit.h"
#include "base/file.h"

#include <sys/stat.h>
#include <unistd.h>

static void replace_creates_and_overwrites(void **state)
{
	int dir = tmpdir_fd(state);
	char got[16];
	struct err e;

	assert_ok(file_replace(dir, "a", 0644, "old", 3, &e), &e);
	assert_ok(file_replace(dir, "a", 0644, "newer", 5, &e), &e);
	assert_int_equal(read_back_at(dir, "a", got, sizeof(got)), 5);
	assert_memory_equal(got, "newer", 5);
	assert_int_equal(count_files_at(dir), 1);
}

static void abort_leaves_the_old_file_and_no_temporary(void **state)
{
	int dir = tmpdir_fd(state);
	struct file f;
	char got[16];
	struct err e;

	write_file_at(dir, "a", "old", 3);
	assert_ok(file_begin(&f, dir, "a", 0644, &e), &e);
	assert_ok(write_all(f.fd, "new", 3, &e), &e);
	assert_int_equal(count_files_at(dir), 2);
	file_abort(&f);
	file_abort(&f); /* again is fine */
	assert_int_equal(count_files_at(dir), 1);
	assert_int_equal(read_back_at(dir, "a", got, sizeof(got)), 3);
	assert_memory_equal(got, "old", 3);
}

static void names_with_folders_are_refused(void **state)
{
	CLEANUP(file_abort) struct file f = FILE_INIT;
	struct err e;

	assert_fails(file_begin(&f, tmpdir_fd(state), "a/b", 0644, &e), &e, E_INTERNAL);
	assert_fails(file_begin(&f, tmpdir_fd(state), "", 0644, &e), &e, E_INTERNAL);
}

static void fails_without_harm(void **state, enum fault_kind kind, enum err_code wanted)
{
	int dir = tmpdir_fd(state);
	char got[16];
	struct err e;

	write_file_at(dir, "a", "old", 3);
	FAULT_EACH(n, kind) {
		bool ok = file_replace(dir, "a", 0644, "new", 3, &e);

		if (!fault_disarm()) {
			assert_true(ok);
			break;
		}
		assert_false(ok);
		assert_int_equal(e.code, wanted);
		assert_int_equal(count_files_at(dir), 1);
		assert_int_equal(read_back_at(dir, "a", got, sizeof(got)), 3);
	}
}

static void a_full_disk_leaves_the_old_file(void **state)
{
	fails_without_harm(state, FAULT_WRITE, E_NO_SPACE);
}

static void a_failed_fsync_is_an_error(void **state)
{
	fails_without_harm(state, FAULT_SYNC, E_SYSTEM);
}

static void a_failed_rename_is_an_error(void **state)
{
	int dir = tmpdir_fd(state);
	char got[16];
	struct err e;

	write_file_at(dir, "a", "old", 3);
	fault_arm(FAULT_RENAME, 1);
	assert_fails(file_replace(dir, "a", 0644, "new", 3, &e), &e, E_SYSTEM);
	assert_true(fault_disarm());
	assert_string_equal(e.text, "a: rename: Input/output error");
	assert_int_equal(count_files_at(dir), 1);
	assert_int_equal(read_back_at(dir, "a", got, sizeof(got)), 3);
	assert_memory_equal(got, "old", 3);
}

static void what_cannot_be_written_to_is_an_error(void **state)
{
	int dir = tmpdir_fd(state);
	struct err e;

	assert_fails(file_replace(-1, "a", 0644, "x", 1, &e), &e, E_SYSTEM);
	assert_fails(file_sweep(-1, &e), &e, E_SYSTEM);
	assert_fails(file_remove(-1, "a", &e), &e, E_SYSTEM);
	assert_int_equal(mkdirat(dir, "a", 0700), 0);
	assert_fails(file_replace(dir, "a", 0644, "x", 1, &e), &e, E_SYSTEM);
	assert_fails(file_remove(dir, "a", &e), &e, E_SYSTEM);
	assert_int_equal(mkdirat(dir, ".tmp-dir", 0700), 0);
	assert_fails(file_sweep(dir, &e), &e, E_SYSTEM);
	assert_int_equal(count_files_at(dir), 2);
}

static void the_mode_is_exact_whatever_the_umask(void **state)
{
	struct stat st;
	struct err e;
	mode_t before = umask(077);

	assert_ok(file_replace(tmpdir_fd(state), "a", 0664, "x", 1, &e), &e);
	umask(before);
	assert_int_equal(fstatat(tmpdir_fd(state), "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
}

static void a_failing_directory_fsync_is_told_although_the_name_is_there(void **state)
{
	int dir = tmpdir_fd(state);
	struct err e;

	fault_arm(FAULT_SYNC, 2);
	assert_fails(file_replace(dir, "a", 0644, "new", 3, &e), &e, E_SYSTEM);
	assert_true(fault_disarm());
	assert_string_equal(e.text, "a: directory: fsync: Input/output error");
	assert_true(file_exists_at(dir, "a"));
	assert_int_equal(count_files_at(dir), 1);
	fault_arm(FAULT_SYNC, 1);
	assert_fails(file_remove(dir, "a", &e), &e, E_SYSTEM);
	assert_true(fault_disarm());
	assert_ok(file_remove(dir, "a", &e), &e); /* again, as the header says */
}

static void replace_in_child(void *ctx)
{
	struct err e;

	if (!file_replace(*(int *)ctx, "a", 0644, "new and longer", 14, &e))
		child_exit(1);
}

static void a_power_cut_anywhere_leaves_old_or_new(void **state)
{
	int dir = tmpdir_fd(state);
	unsigned n;

	write_file_at(dir, "a", "old", 3);
	for (n = 1; fault_power_cut(n, replace_in_child, &dir); n++) {
		char got[32];
		size_t got_n = read_back_at(dir, "a", got, sizeof(got));
		struct err e;

		assert_true((got_n == 3 && memcmp(got, "old", 3) == 0) ||
			    (got_n == 14 && memcmp(got, "new and longer", 14) == 0));
		assert_ok(file_sweep(dir, &e), &e);
		assert_int_equal(count_files_at(dir), 1);
	}
	assert_int_equal(n, 5); /* write, fsync, rename, fsync */
}

static void sweep_removes_only_temporaries(void **state)
{
	int dir = tmpdir_fd(state);
	struct err e;

	write_file_at(dir, ".tmp-0011223344556677", "x", 1);
	write_file_at(dir, ".tmp-x", "x", 1);
	write_file_at(dir, ".tmpfile", "x", 1);
	write_file_at(dir, "tmp-x", "x", 1);
	assert_ok(file_sweep(dir, &e), &e);
	assert_int_equal(count_files_at(dir), 2);
}

static void remove_is_fine_with_a_missing_file(void **state)
{
	int dir = tmpdir_fd(state);
	struct err e;

	write_file_at(dir, "a", "x", 1);
	assert_ok(file_remove(dir, "a", &e), &e);
	assert_ok(file_remove(dir, "a", &e), &e);
	assert_int_equal(count_files_at(dir), 0);
}

static void put_replaces_files_and_writes_into_what_is_none(void **state)
{
	int dir = tmpdir_fd(state), p[2];
	char path[4096], got[16] = "", link[64];
	struct stat st;
	struct err e;

	snprintf(path, sizeof(path), "%s/new", tmpdir_path(state));
	assert_ok(file_put(path, 0600, "one", 3, &e), &e);
	assert_ok(file_put(path, 0600, "two", 3, &e), &e);
	assert_int_equal(read_back_at(dir, "new", got, sizeof(got)), 3);
	assert_memory_equal(got, "two", 3);
	assert_int_equal(count_files_at(dir), 1);

	/* As /dev/stdout is. */
	assert_int_equal(pipe(p), 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", p[1]);
	assert_int_equal(symlinkat(link, dir, "out"), 0);
	snprintf(path, sizeof(path), "%s/out", tmpdir_path(state));
	assert_ok(file_put(path, 0600, "piped", 5, &e), &e);
	assert_int_equal(read(p[0], got, sizeof(got)), 5);
	assert_memory_equal(got, "piped", 5);
	assert_int_equal(fstatat(dir, "out", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	close(p[0]);
	close(p[1]);
}

static void put_through_a_link_leaves_the_link_and_a_secret_is_one(void **state)
{
	int dir = tmpdir_fd(state);
	char path[4096], got[16] = "";
	struct stat st;
	struct err e;

	write_file_at(dir, "old", "much longer", 11);
	assert_int_equal(fchmodat(dir, "old", 0644, 0), 0);
	assert_int_equal(symlinkat("old", dir, "link"), 0);
	snprintf(path, sizeof(path), "%s/link", tmpdir_path(state));
	assert_ok(file_put(path, 0600, "new", 3, &e), &e);
	assert_int_equal(read_back_at(dir, "old", got, sizeof(got)), 3);
	assert_int_equal(fstatat(dir, "old", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(dir, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
}

static void put_refuses_what_cannot_be_a_file(void **state)
{
	char path[8192];
	struct stat st;
	struct err e;

	snprintf(path, sizeof(path), "%s/pipe", tmpdir_path(state));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fails(file_put(path, 0600, "x", 1, &e), &e, E_CORRUPT);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_fails(file_put(tmpdir_path(state), 0600, "x", 1, &e), &e, E_SYSTEM);
	assert_fails(file_put("folder/", 0600, "x", 1, &e), &e, E_USAGE);
	snprintf(path, sizeof(path), "%s/none/file", tmpdir_path(state));
	assert_fails(file_put(path, 0600, "x", 1, &e), &e, E_NOT_FOUND);
	memset(path, 'a', sizeof(path));
	memcpy(path + sizeof(path) - 3, "/b", 3);
	assert_fails(file_put(path, 0600, "x", 1, &e), &e, E_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(replace_creates_and_overwrites),
		TMPDIR_TEST(abort_leaves_the_old_file_and_no_temporary),
		TMPDIR_TEST(names_with_folders_are_refused),
		TMPDIR_TEST(a_full_disk_leaves_the_old_file),
		TMPDIR_TEST(a_failed_fsync_is_an_error),
		TMPDIR_TEST(a_failed_rename_is_an_error),
		TMPDIR_TEST(a_power_cut_anywhere_leaves_old_or_new),
		TMPDIR_TEST(what_cannot_be_written_to_is_an_error),
		TMPDIR_TEST(the_mode_is_exact_whatever_the_umask),
		TMPDIR_TEST(a_failing_directory_fsync_is_told_although_the_name_is_there),
		TMPDIR_TEST(sweep_removes_only_temporaries),
		TMPDIR_TEST(remove_is_fine_with_a_missing_file),
		TMPDIR_TEST(put_replaces_files_and_writes_into_what_is_none),
		TMPDIR_TEST(put_through_a_link_leaves_the_link_and_a_secret_is_one),
		TMPDIR_TEST(put_refuses_what_cannot_be_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
