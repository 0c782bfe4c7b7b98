#include "tests/support/capture.h"
#include "tests/support/unit.h"

#include <sys/mman.h>
#include <unistd.h>

static void read_whole(char *to, size_t size, int fd)
{
	ssize_t n = pread(fd, to, size - 1, 0);

	assert_true(n >= 0);
	to[n] = 0;
	close(fd);
}

/* No assertion may fail while the descriptors point elsewhere: nobody would see it. */
void capture(struct capture *ret, void (*fn)(void *ctx), void *ctx)
{
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	int saved_out, saved_err;

	assert_true(out >= 0 && err >= 0);
	fflush(NULL);
	saved_out = dup(STDOUT_FILENO);
	saved_err = dup(STDERR_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	fn(ctx);
	fflush(NULL);
	dup2(saved_out, STDOUT_FILENO);
	dup2(saved_err, STDERR_FILENO);
	close(saved_out);
	close(saved_err);
	read_whole(ret->out, sizeof(ret->out), out);
	read_whole(ret->err, sizeof(ret->err), err);
}
