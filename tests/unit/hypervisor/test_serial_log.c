#include "tests/support/unit.h"

#include "base/io.h"
#include "hypervisor/serial_log.h"

#include <fcntl.h>
#include <unistd.h>

enum { MAX = 1024 };

static void the_newest_bytes_are_kept_and_the_file_stays_bounded(void **state)
{
	CLEANUP(fd_closep)
	int fd = openat(tmpdir_fd(state), "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct serial_log l;
	char line[16], back[MAX + 1];

	serial_log_init(&l, fd, MAX);
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %06d\n", i);
		serial_log_add(&l, line, strlen(line));
		assert_in_range(lseek(fd, 0, SEEK_END), 1, MAX);
	}
	size_t n = read_back_at(tmpdir_fd(state), "log", back, MAX);
	assert_true(n >= MAX / 2 - sizeof(line));
	assert_memory_equal(back + n - strlen(line), "line 000999\n", strlen(line));
}

static void what_was_there_before_is_gone(void **state)
{
	struct serial_log l;
	char back[MAX];

	write_file_at(tmpdir_fd(state), "log", "old", 3);
	CLEANUP(fd_closep) int fd = openat(tmpdir_fd(state), "log", O_RDWR | O_CLOEXEC);
	serial_log_init(&l, fd, MAX);
	serial_log_add(&l, "new!", 4);
	assert_int_equal(read_back_at(tmpdir_fd(state), "log", back, MAX), 4);
	assert_memory_equal(back, "new!", 4);
}

static void a_full_disk_loses_bytes_and_nothing_else(void **state UNUSED)
{
	CLEANUP(fd_closep) int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct serial_log l;

	serial_log_init(&l, fd, MAX);
	serial_log_add(&l, "lost", 4);
	serial_log_init(&l, -1, MAX);
	serial_log_add(&l, "nowhere", 7);
	assert_int_equal(l.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(the_newest_bytes_are_kept_and_the_file_stays_bounded),
		TMPDIR_TEST(what_was_there_before_is_gone),
		cmocka_unit_test(a_full_disk_loses_bytes_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
