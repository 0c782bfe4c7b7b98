/* The main of a fuzzer outside libFuzzer: each file of the folders or files named is given to its
 * entry point once, so that the plain test run repeats what fuzzing found. */
#include "base/attr.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void replay_fd(int fd)
{
	struct stat st;
	uint8_t *p;
	size_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return;
	}
	n = (size_t)st.st_size;
	p = malloc(n); /* exactly, so that reading past the end shows */
	if (n > 0 && (!p || read(fd, p, n) != st.st_size))
		abort();
	LLVMFuzzerTestOneInput(p, n);
	free(p);
	close(fd);
}

int main(int argc, char **argv)
{
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		const struct dirent *entry;

		if (!d) {
			replay_fd(open(argv[i], O_RDONLY | O_CLOEXEC));
			continue;
		}
		while ((entry = readdir(d))) {
			fprintf(stderr, "%s\n", entry->d_name); /* shown when it crashes */
			replay_fd(openat(dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC));
		}
		closedir(d);
	}
	return 0;
}
