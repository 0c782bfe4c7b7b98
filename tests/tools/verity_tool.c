/* verity_tool root FILE SALT [AREA [THREADS]]   prints the root, writes the hash area
 * verity_tool check FILE SIZE SALT ROOT AREA [THREADS]  checks area's upper levels and the file
 *
 * For scenarios that compare our hash trees with veritysetup's. */
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "proto/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool open_file(int *ret, const char *path, int flags, struct err *e)
{
	*ret = open(path, flags | O_CLOEXEC, 0644);
	return *ret >= 0 || err_sys(e, errno, "%s", path);
}

static struct verity_run run_of(const char *threads)
{
	return (struct verity_run){ .threads = threads ? (unsigned)strtoul(threads, NULL, 10)
						       : 1 };
}

static bool get_hex(uint8_t *out, const char *s, struct err *e)
{
	return hex_decode(out, 32, s, strlen(s)) ||
	       err_set(e, E_USAGE, "\"%s\" is not 64 hex", s);
}

static bool root(char **a, int n, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(fd_closep) int area = -1;
	struct verity_run run = run_of(n > 3 ? a[3] : NULL);
	uint8_t salt[VERITY_SALT], got[SHA256_SIZE];
	char text[HEX_SIZE(SHA256_SIZE)];
	uint64_t size;

	if (!open_file(&fd, a[0], O_RDONLY, e) || !fd_size(fd, &size, e) ||
	    !get_hex(salt, a[1], e))
		return false;
	if (n > 2 && !open_file(&area, a[2], O_WRONLY | O_CREAT | O_TRUNC, e))
		return false;
	if (!verity_fd_root(got, NULL, area, fd, size, salt, &run, e))
		return false;
	hex_encode(text, got, sizeof(got));
	puts(text);
	return true;
}

static bool check(char **a, int n, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(fd_closep) int area = -1;
	CLEANUP(verity_tree_freep) struct verity_tree *t = NULL;
	struct verity_run run = run_of(n > 5 ? a[5] : NULL);
	uint8_t salt[VERITY_SALT], want[SHA256_SIZE], *upper;
	struct verity_geo geo;
	uint64_t size;
	bool ok;

	if (!u64_parse(&size, a[1], strlen(a[1])))
		return err_set(e, E_USAGE, "\"%s\" is no size", a[1]);
	if (!open_file(&fd, a[0], O_RDONLY, e) || !open_file(&area, a[4], O_RDONLY, e) ||
	    !get_hex(salt, a[2], e) || !get_hex(want, a[3], e) ||
	    !verity_geo_init(&geo, size, e))
		return false;
	upper = malloc(geo.upper_size + 1);
	if (!upper)
		return err_nomem(e);
	ok = pread_all(area, upper, geo.upper_size, 0, e) &&
	     verity_tree_new(&t, size, salt, want, upper, geo.upper_size, e) &&
	     verity_fd_check(t, fd, &run, e) &&
	     verity_fd_check_root(fd, size, salt, want, &run, e);
	free(upper);
	return ok;
}

int main(int argc, char **argv)
{
	struct err e;
	bool ok;

	if (argc >= 4 && strcmp(argv[1], "root") == 0)
		ok = root(argv + 2, argc - 2, &e);
	else if (argc >= 7 && strcmp(argv[1], "check") == 0)
		ok = check(argv + 2, argc - 2, &e);
	else
		ok = err_set(&e, E_USAGE, "verity_tool root|check ...");
	if (!ok)
		fprintf(stderr, "verity_tool: %s\n", e.text);
	return ok ? 0 : err_exit(e.code);
}
