#include "tests/support/unit.h"

#include "agent/configdrive.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct configdrive sample = {
	.instance = "0f6f2b0c",
	.hostname = "work-phone",
	.boot = "5f1d7a0c3a8b4e6f9d2c1b0a99887766",
	.product = "acme-phone",
	.version = "1.0.0",
	.apps_config = "{\"mail.server\":\"imap.acme.example\",\"mail.port\":993}",
	.made_s = 1795362060,
};

static void save_image(void **state, int fd)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4 << 20);
	struct err e;

	assert_ok(read_fd(fd, &b, &e), &e);
	write_file_at(tmpdir_fd(state), "c.iso", b.p, b.n);
}

/* Runs xorriso in the scratch folder; false if it is not installed. */
static bool xorriso(void **state, const char *args)
{
	char command[512];

	if (system("command -v xorriso >/dev/null") != 0)
		return false;
	snprintf(command, sizeof(command),
		 "cd '%s' && xorriso -osirrox on -indev c.iso %s >out.txt 2>err.txt",
		 tmpdir_path(state), args);
	assert_int_equal(system(command), 0);
	return true;
}

static void other_programs_read_label_and_files(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	char text[4096];
	struct err e;

	assert_ok(configdrive_make(&fd, &sample, &e), &e);
	save_image(state, fd);
	if (!xorriso(state, "-toc -extract / files"))
		skip();
	size_t n = read_back_at(tmpdir_fd(state), "err.txt", text, sizeof(text) - 1);
	text[n] = '\0';
	assert_non_null(strstr(text, "Volume id    : 'cidata'"));
	n = read_back_at(tmpdir_fd(state), "files/meta-data", text, sizeof(text) - 1);
	text[n] = '\0';
	assert_string_equal(text, "instance-id: 0f6f2b0c\n"
				  "local-hostname: work-phone\n"
				  "valise-boot: 5f1d7a0c3a8b4e6f9d2c1b0a99887766\n"
				  "valise-product: acme-phone\n"
				  "valise-version: 1.0.0\n");
	n = read_back_at(tmpdir_fd(state), "files/user-data", text, sizeof(text) - 1);
	text[n] = '\0';
	assert_string_equal(text,
			    "#cloud-config\n"
			    "{\"hostname\":\"work-phone\",\"valise\":{\"apps\":{\"config\":"
			    "{\"mail.server\":\"imap.acme.example\",\"mail.port\":993}}}}\n");
}

static void the_label_is_where_the_standard_says(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	char volume[32];
	struct err e;

	assert_ok(configdrive_make(&fd, &sample, &e), &e);
	/* ECMA-119 8.4: the primary volume descriptor is sector 16, the identifier at byte 40. */
	assert_ok(pread_all(fd, volume, sizeof(volume), 16 * 2048 + 40, &e), &e);
	assert_memory_equal(volume, "cidata", 6);
}

static void nobody_can_write_to_it(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	char path[64];
	struct err e;

	assert_ok(configdrive_make(&fd, &sample, &e), &e);
	assert_int_equal(write(fd, "x", 1), -1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CLEANUP(fd_closep) int again = open(path, O_RDWR | O_CLOEXEC);
	/* Opening may succeed for the owner; the seal still refuses the write. */
	if (again >= 0)
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
	assert_int_equal(errno == EPERM || errno == EACCES, 1);
}

static void a_value_that_would_add_a_line_is_refused(void **state)
{
	struct configdrive c = sample;
	struct err e;
	int fd = -1;

	c.hostname = "a\nvalise-boot: 00";
	assert_fails(configdrive_make(&fd, &c, &e), &e, E_FORMAT);
	assert_int_equal(fd, -1);
}

static void settings_beyond_the_limit_are_refused(void **state)
{
	size_t n = CONFIGDRIVE_FILE_MAX;
	char *big = malloc(n + 1);
	struct configdrive c = sample;
	struct err e;
	int fd = -1;

	assert_non_null(big);
	memset(big, 'x', n);
	memcpy(big, "{\"a\":\"", 6);
	memcpy(big + n - 2, "\"}", 3);
	c.apps_config = big;
	assert_fails(configdrive_make(&fd, &c, &e), &e, E_TOO_BIG);
	free(big);
}

static void running_out_of_memory_or_disk_is_an_error(void **state)
{
	struct err e;

	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(fd_closep) int fd = -1;
		bool ok = configdrive_make(&fd, &sample, &e);

		assert_true(ok ? fd >= 0 : e.code == E_NOMEM && fd == -1);
	}
	FAULT_EACH(n, FAULT_WRITE) {
		CLEANUP(fd_closep) int fd = -1;

		assert_true(configdrive_make(&fd, &sample, &e) || e.code == E_NO_SPACE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(other_programs_read_label_and_files),
		cmocka_unit_test(the_label_is_where_the_standard_says),
		cmocka_unit_test(nobody_can_write_to_it),
		cmocka_unit_test(a_value_that_would_add_a_line_is_refused),
		cmocka_unit_test(settings_beyond_the_limit_are_refused),
		cmocka_unit_test(running_out_of_memory_or_disk_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
