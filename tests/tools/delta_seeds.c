/* delta_seeds FOLDER - makes the named seeds of tests/corpus/delta anew (tests/support/delta_seeds.h).  Of what else is
 * there only what fuzzing found in deltas of this version of the coding is kept: of others nothing is decoded. */
#include "base/file.h"
#include "tests/support/delta_seeds.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool write_seed(int dir, const struct delta_seed *s, struct err *e)
{
	struct draft *d = draft_new();
	CLEANUP(buf_done) struct buf delta = s->make(d, s->which);

	draft_free(d);
	return file_replace(dir, s->name, 0644, delta.p, delta.n, e);
}

static bool write_seeds(int dir, const struct delta_seed *v, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!write_seed(dir, &v[i], e))
			return false;
	return true;
}

static bool remove_if_stale(int dir, const char *name, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_DELTA_FRAME);

	if (!read_file_at(dir, name, &b, e))
		return false;
	return (delta_seed_is_find(name) && b.n > 3 && b.p[3] == FORMAT_VERSION) ||
	       file_remove(dir, name, e);
}

static bool remove_stale(int dir, struct err *e)
{
	DIR *list = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;
	bool ok = true;

	while (ok && list && (entry = readdir(list)))
		ok = entry->d_name[0] == '.' || remove_if_stale(dir, entry->d_name, e);
	if (list)
		closedir(list);
	return ok;
}

int main(int argc, char **argv)
{
	CLEANUP(fd_closep) int dir = -1;
	struct err e = { 0 };

	if (argc != 2) {
		fprintf(stderr, "delta_seeds FOLDER\n");
		return 64;
	}
	if (dir_open(&dir, argv[1], 0755, &e) && remove_stale(dir, &e) &&
	    write_seeds(dir, delta_seeds_honest, n_delta_seeds_honest, &e) &&
	    write_seeds(dir, delta_seeds_hostile, n_delta_seeds_hostile, &e))
		return 0;
	fprintf(stderr, "%s\n", e.text);
	return 1;
}
