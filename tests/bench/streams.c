/* streams   which deflate streams in files are seen through, and what their recipes cost
 *           (tests/bench/delta/streams.sh)
 *
 *	streams FILE...
 *
 * One line: streams found, those with a recipe, those whose recipe is as short as can be (no
 * corrections), packed bytes of all, of those with a recipe, the recipes' bytes, and what these become
 * in a delta, as the coder that all of them share codes them. */
#include "base/io.h"
#include "delta/code.h"
#include "delta/deflate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct sums {
	uint64_t found, explained, exact, packed, packed_explained, recipes;
	struct coder coder;
	struct models *models;
	struct buf coded;
};

static void must(bool ok, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "streams: %s\n", e->text);
	exit(1);
}

static bool image_copy(void *ctx, uint64_t offset, uint8_t *p, size_t n, struct err *e UNUSED)
{
	memcpy(p, (const uint8_t *)ctx + offset, n);
	return true;
}

static void look_at_stream(struct sums *s, uint8_t *image, const struct streams *found,
			   size_t i)
{
	const struct transform *t = &transform_deflate;
	const struct stream *v = &found->v[i];
	struct buf recipe = BUF_INIT(LIMIT_DELTA_RECIPE);
	uint8_t *plain = malloc(v->plain_size), *packed = malloc(v->size);
	struct packed_memory m;
	uint64_t work;
	struct err e;
	bool ok;

	must((plain && packed) || err_nomem(&e), &e);
	must(stream_gather(found, v, 0, packed, v->size, image_copy, image, &e), &e);
	must(stream_unpack(t, plain, v->plain_size, packed_of(&m, packed, v->size), &e), &e);
	must(t->explain(&recipe, &ok, &work, packed, v->size, plain, v->plain_size, &e), &e);
	s->found++;
	s->packed += v->size;
	if (ok) {
		s->explained++;
		s->exact += recipe.n <= 4;
		s->packed_explained += v->size;
		s->recipes += recipe.n;
		must(code_recipe(&s->coder, s->models, &recipe, NULL, &e), &e);
	}
	buf_done(&recipe);
	free(packed);
	free(plain);
}

static void look_at_file(struct sums *s, const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct streams found = { 0 };
	uint64_t size, end = 0;
	struct err e;
	uint8_t *p;

	must(fd >= 0 || err_set(&e, E_NOT_FOUND, "%s", name), &e);
	must(fd_size(fd, &size, &e), &e);
	if (size) {
		p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
		must(p != MAP_FAILED || err_set(&e, E_NOT_FOUND, "%s", name), &e);
		const struct image in = { .p = p, .size = size };
		must(transform_deflate.find(&found, &in, 0, size, &e), &e);
		for (size_t i = 0; i < found.n; i++) {
			if (found.v[i].offset < end)
				continue;
			end = found.v[i].offset + found.v[i].size;
			look_at_stream(s, p, &found, i);
		}
		munmap(p, size);
	}
	streams_done(&found);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sums s = { .coded = BUF_INIT(SIZE_MAX) };
	struct err e;

	must(models_new(&s.models, &e), &e);
	coder_encode_start(&s.coder, &s.coded, &e);
	for (int i = 1; i < argc; i++)
		look_at_file(&s, argv[i]);
	coder_encode_end(&s.coder);
	must(coder_ok(&s.coder, &e), &e);
	printf("%llu %llu %llu %llu %llu %llu %zu\n", (unsigned long long)s.found,
	       (unsigned long long)s.explained, (unsigned long long)s.exact,
	       (unsigned long long)s.packed, (unsigned long long)s.packed_explained,
	       (unsigned long long)s.recipes, s.coded.n);
	models_free(s.models);
	buf_done(&s.coded);
	return 0;
}
