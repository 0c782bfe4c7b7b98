/* The seeds of the fuzzer of deltas (tests/corpus/delta) are what their names say: replaying seeds that are refused for being
 * old, or for another reason than theirs, would test nothing and tell nobody. */
#include "tests/support/unit.h"
#include "tests/support/delta_seeds.h"

#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#define REMEDY "; after a change of the coding, `make seeds` makes them anew"

static int corpus = -1;

static int setup(void **state UNUSED)
{
	const char *top = getenv("TOP");
	char path[1024];

	snprintf(path, sizeof(path), "%s/tests/corpus/delta", top ? top : ".");
	corpus = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return corpus < 0;
}

static int teardown(void **state UNUSED)
{
	return close(corpus);
}

struct sink {
	const struct buf *image;
	uint64_t next;
};

static bool emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e)
{
	struct sink *s = ctx;

	if (offset != s->next || n > s->image->n - offset ||
	    memcmp(p, s->image->p + offset, n) != 0)
		return err_set(e, E_INTERNAL, "makes another image");
	s->next += n;
	return true;
}

/* As the harness does it. */
static bool apply(const struct buf *delta, const struct buf *image, struct err *e)
{
	CLEANUP(fd_closep) int fd = forge_memfile(delta->p, delta->n);
	CLEANUP(delta_freep) struct delta *d = NULL;
	struct sink s = { .image = image };
	struct delta_info info;

	if (!delta_look(&info, fd, e))
		return false;
	CLEANUP(fd_closep) int old = delta_old_file(info.old_size);
	if (!delta_open(&d, fd, old, e) || !delta_apply(d, 0, emit, &s, e))
		return false;
	return (s.next == image->n && s.next <= DRAFT_IMAGE) ||
	       err_set(e, E_INTERNAL, "makes another image, or one too large for the harness");
}

static void judge(const struct delta_seed *s, const struct buf *delta, const struct buf *image,
		  const char *where)
{
	struct err e = { 0 };
	bool ok = apply(delta, image, &e);

	if (s->code == E_NONE && !ok)
		fail_msg("%s%s: %s" REMEDY, where, s->name, e.text);
	if (s->code == E_NONE)
		return;
	if (ok)
		fail_msg("%s%s is taken, though it lies" REMEDY, where, s->name);
	if (e.code != s->code || !strstr(e.text, s->words))
		fail_msg("%s%s is refused with \"%s\", and should with \"%s\"" REMEDY, where,
			 s->name, e.text, s->words);
}

static bool is_of_this_version(const struct buf *delta)
{
	return delta->n > 4 && memcmp(delta->p, "VDL", 3) == 0 && delta->p[3] == FORMAT_VERSION;
}

/* What the recipe makes now, and what it made when the file was written. */
static void check(const struct delta_seed *s)
{
	CLEANUP(buf_done) struct buf file = BUF_INIT(LIMIT_DELTA_FRAME);
	struct draft *d = draft_new();
	CLEANUP(buf_done) struct buf made = s->make(d, s->which);
	struct err e;

	judge(s, &made, &d->image, "made now, ");
	if (!read_file_at(corpus, s->name, &file, &e))
		fail_msg("tests/corpus/delta: %s" REMEDY, e.text);
	if (is_of_this_version(&made) && !is_of_this_version(&file))
		fail_msg("tests/corpus/delta/%s is of version %u, the coding of %u" REMEDY,
			 s->name, file.n > 3 ? file.p[3] : 0, FORMAT_VERSION);
	judge(s, &file, &d->image, "tests/corpus/delta/");
	draft_free(d);
}

static void honest_seeds_make_their_images(void **state UNUSED)
{
	for (size_t i = 0; i < n_delta_seeds_honest; i++)
		check(&delta_seeds_honest[i]);
}

static void hostile_seeds_are_refused_for_what_they_lie_about(void **state UNUSED)
{
	for (size_t i = 0; i < n_delta_seeds_hostile; i++)
		check(&delta_seeds_hostile[i]);
}

static bool is_in(const struct delta_seed *v, size_t n, const char *name)
{
	while (n > 0 && strcmp(v[n - 1].name, name) != 0)
		n--;
	return n > 0;
}

/* Nothing is there that nobody can make again, but for what fuzzing found, as long as it is decoded. */
static void other_files_are_finds_of_this_version(void **state UNUSED)
{
	DIR *list = fdopendir(openat(corpus, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;

	assert_non_null(list);
	while ((entry = readdir(list))) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_DELTA_FRAME);
		const char *name = entry->d_name;
		struct err e;

		if (name[0] == '.' || is_in(delta_seeds_honest, n_delta_seeds_honest, name) ||
		    is_in(delta_seeds_hostile, n_delta_seeds_hostile, name))
			continue;
		assert_ok(read_file_at(corpus, name, &b, &e), &e);
		if (!delta_seed_is_find(name) || !is_of_this_version(&b))
			fail_msg("tests/corpus/delta/%s is no seed, and no find of version "
				 "%u" REMEDY " and removes it",
				 name, FORMAT_VERSION);
	}
	closedir(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_seeds_make_their_images),
		cmocka_unit_test(hostile_seeds_are_refused_for_what_they_lie_about),
		cmocka_unit_test(other_files_are_finds_of_this_version),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
