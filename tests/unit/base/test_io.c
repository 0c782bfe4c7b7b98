#include "tests/support/unit.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_new(void **state, const char *name)
{
	int fd = openat(tmpdir_fd(state), name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void short_reads_say_how_much(void **state)
{
	CLEANUP(fd_closep) int fd = open_new(state, "a");
	char got[8];
	size_t n;
	struct err e;

	assert_ok(write_all(fd, "hello", 5, &e), &e);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(read_up_to(fd, got, sizeof(got), &n, &e), &e);
	assert_int_equal(n, 5);
	assert_ok(read_up_to(fd, got, sizeof(got), &n, &e), &e);
	assert_int_equal(n, 0);
	assert_fails(read_up_to(-1, got, 1, &n, &e), &e, E_SYSTEM);
}

static void a_file_that_ends_early_is_corrupt(void **state)
{
	CLEANUP(fd_closep) int fd = open_new(state, "a");
	char got[8];
	struct err e;

	assert_ok(pwrite_all(fd, "hello", 5, 0, &e), &e);
	assert_ok(pread_all(fd, got, 4, 1, &e), &e);
	assert_memory_equal(got, "ello", 4);
	assert_fails(pread_all(fd, got, 5, 1, &e), &e, E_CORRUPT);
	assert_fails(pread_all(fd, got, 1, UINT64_MAX, &e), &e, E_CORRUPT);
	assert_fails(pread_all(fd, got, 1, INT64_MAX, &e), &e, E_CORRUPT);
	assert_fails(pwrite_all(fd, got, 1, INT64_MAX, &e), &e, E_SYSTEM);
}

static void offsets_reach_beyond_4_gib(void **state)
{
	CLEANUP(fd_closep) int fd = open_new(state, "sparse");
	const uint64_t far = (UINT64_C(5) << 30) + 17;
	char got[4];
	uint64_t size;
	struct err e;

	assert_ok(pwrite_all(fd, "far", 3, far, &e), &e);
	assert_ok(pread_all(fd, got, 3, far, &e), &e);
	assert_memory_equal(got, "far", 3);
	assert_ok(fd_size(fd, &size, &e), &e);
	assert_true(size == far + 3);
}

static void a_full_disk_is_told(void **state)
{
	CLEANUP(fd_closep) int fd = open_new(state, "a");
	struct err e;

	fault_arm(FAULT_WRITE, 1);
	assert_fails(write_all(fd, "hello", 5, &e), &e, E_NO_SPACE);
	assert_true(fault_disarm());
	assert_int_equal(e.sys, ENOSPC);
	fault_arm(FAULT_WRITE, 1);
	assert_fails(pwrite_all(fd, "hello", 5, 0, &e), &e, E_NO_SPACE);
	assert_true(fault_disarm());
	fault_arm(FAULT_SYNC, 1);
	assert_fails(fd_sync(fd, &e), &e, E_SYSTEM);
	assert_true(fault_disarm());
}

static void whole_files_are_read_up_to_the_limit(void **state)
{
	int dir = tmpdir_fd(state);
	char *big = malloc(200000);
	struct err e;

	memset(big, 'x', 200000);
	write_file_at(dir, "big", big, 200000);
	for (size_t max = 199999; max <= 200001; max++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(max);

		if (max < 200000) {
			assert_fails(read_file_at(dir, "big", &b, &e), &e, E_TOO_BIG);
			assert_string_equal(e.text, "big: more than 199999 bytes");
			assert_int_equal(b.n, 0);
		} else {
			assert_ok(read_file_at(dir, "big", &b, &e), &e);
			assert_int_equal(b.n, 200000);
			assert_memory_equal(b.p, big, 200000);
		}
	}
	free(big);
}

static void reading_appends_and_a_failure_takes_it_back(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(8);
	int dir = tmpdir_fd(state);
	struct err e;

	write_file_at(dir, "a", "hello", 5);
	assert_ok(read_file_at(dir, "a", &b, &e), &e);
	assert_fails(read_file_at(dir, "a", &b, &e), &e, E_TOO_BIG);
	assert_string_equal(buf_str(&b), "hello");
	assert_fails(read_file_at(dir, "none", &b, &e), &e, E_NOT_FOUND);
	assert_string_equal(e.text, "none: No such file or directory");
}

static void what_lies_in_place_of_a_file_holds_nobody(void **state)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(16);
	int dir = tmpdir_fd(state), fd = -1;
	struct err e;

	assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
	assert_fails(read_file_at(dir, "pipe", &got, &e), &e, E_CORRUPT);
	assert_string_equal(e.text, "pipe is a pipe or socket, not a file");
	assert_fails(file_open_at(&fd, dir, "pipe", O_WRONLY, 0, &e), &e, E_CORRUPT);
	assert_fails(file_open_at(&fd, dir, "pipe", O_RDWR | O_CREAT, 0600, &e), &e, E_CORRUPT);
	assert_int_equal(fd, -1);
	assert_fails(file_open_at(&fd, dir, "none", O_RDONLY, 0, &e), &e, E_NOT_FOUND);

	int sock = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/socket", dir);
	assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	close(sock);
	assert_fails(file_open_at(&fd, dir, "socket", O_RDONLY, 0, &e), &e, E_CORRUPT);
}

static void a_pipe_of_a_shell_is_read_to_its_end(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(16);
	char path[32];
	struct err e;
	int p[2];

	assert_int_equal(pipe(p), 0);
	snprintf(path, sizeof(path), "/dev/fd/%d", p[0]);
	pid_t writer = fork();
	if (writer == 0) {
		/* The reader has to wait for both. */
		bool ok = write_all(p[1], "one ", 4, &e) && poll(NULL, 0, 20) == 0 &&
			  write_all(p[1], "two", 3, &e);
		child_exit(ok ? 0 : 1);
	}
	close(p[1]);
	assert_ok(read_file_at(AT_FDCWD, path, &got, &e), &e);
	assert_string_equal(buf_str(&got), "one two");
	close(p[0]);
	assert_int_equal(waitpid(writer, NULL, 0), writer);
}

static void what_is_opened_waits_as_files_do(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	struct err e;

	assert_ok(file_open_at(&fd, tmpdir_fd(state), "a", O_RDWR | O_CREAT, 0600, &e), &e);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void directories_are_made_with_their_parents(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	char path[4200];
	struct stat st;
	struct err e;

	snprintf(path, sizeof(path), "%s/a//b/c/", tmpdir_path(state));
	assert_ok(dir_open(&fd, path, 0700, &e), &e);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0700);
	fd_closep(&fd);
	assert_ok(dir_open_at(&fd, tmpdir_fd(state), "a/b", 0700, &e), &e);
	assert_true(file_exists_at(fd, "c"));
	fd_closep(&fd);
	fd_closep(&fd);
	write_file_at(tmpdir_fd(state), "file", "", 0);
	assert_fails(dir_open_at(&fd, tmpdir_fd(state), "file/x", 0700, &e), &e, E_SYSTEM);
	assert_int_equal(fd, -1);
}

static void a_name_too_long_is_an_error(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	char name[300];
	struct err e;

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_fails(dir_open_at(&fd, tmpdir_fd(state), name, 0700, &e), &e, E_SYSTEM);
	name[256] = 0;
	assert_fails(dir_open_at(&fd, tmpdir_fd(state), name, 0700, &e), &e, E_SYSTEM);
}

static void a_directory_where_others_write_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		bool fine, secret;
	} rows[] = {
		{ 0700, true, true },   { 0755, true, false },   { 0750, true, false },
		{ 0701, true, false },  { 0770, false, false },  { 0702, false, false },
		{ 01770, true, false }, { 01777, false, false }, { 01702, false, false },
		{ 0777, false, false },
	};
	CLEANUP(fd_closep) int fd = -1;
	struct err e;

	assert_ok(dir_open_at(&fd, tmpdir_fd(state), "d", 0700, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(fchmod(fd, rows[i].mode), 0);
		assert_int_equal(dir_check(fd, "d", &e), rows[i].fine);
		assert_int_equal(dir_check_secret(fd, "d", &e), rows[i].secret);
		if (!rows[i].secret)
			assert_int_equal(e.code, E_DENIED);
	}
	assert_fails(dir_check(-1, "d", &e), &e, E_SYSTEM);
	assert_fails(dir_check_secret(-1, "d", &e), &e, E_SYSTEM);
}

static void a_directory_of_another_user_is_refused(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	struct err e;

	if (geteuid() != 0)
		skip();
	assert_ok(dir_open_at(&fd, tmpdir_fd(state), "d", 0700, &e), &e);
	assert_int_equal(fchown(fd, 65534, 0), 0);
	assert_fails(dir_check(fd, "d", &e), &e, E_DENIED);
	assert_string_equal(e.text, "d: belongs to another user (65534)");
}

static void free_space_is_known(void **state)
{
	uint64_t n = 0;
	struct err e;

	assert_ok(fs_free_bytes(tmpdir_fd(state), &n, &e), &e);
	assert_true(n > 0);
	assert_fails(fs_free_bytes(-1, &n, &e), &e, E_SYSTEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(short_reads_say_how_much),
		TMPDIR_TEST(a_file_that_ends_early_is_corrupt),
		TMPDIR_TEST(offsets_reach_beyond_4_gib),
		TMPDIR_TEST(a_full_disk_is_told),
		TMPDIR_TEST(whole_files_are_read_up_to_the_limit),
		TMPDIR_TEST(reading_appends_and_a_failure_takes_it_back),
		TMPDIR_TEST(what_lies_in_place_of_a_file_holds_nobody),
		cmocka_unit_test(a_pipe_of_a_shell_is_read_to_its_end),
		TMPDIR_TEST(what_is_opened_waits_as_files_do),
		TMPDIR_TEST(directories_are_made_with_their_parents),
		TMPDIR_TEST(a_name_too_long_is_an_error),
		TMPDIR_TEST(a_directory_where_others_write_is_refused),
		TMPDIR_TEST(a_directory_of_another_user_is_refused),
		TMPDIR_TEST(free_space_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
