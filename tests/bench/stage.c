/* stage OBJECT PLAIN_SIZE SALT ROOT AREA SLOT THREADS   stages one component as the agent does (agent/stage.h)
 *
 * From local files instead of the network, into the slot folder: for bench/images.sh. */
#include "agent/stage.h"
#include "base/io.h"
#include "base/text.h"
#include "proto/seekable.h"
#include "proto/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 16384 }; /* as a client receives them */

struct files {
	int object, area; /* the area begins with the upper tree */
	struct component component;
};

static bool open_file(int *ret, const char *path, int flags, struct err *e)
{
	*ret = open(path, flags | O_CLOEXEC);
	return *ret >= 0 || err_sys(e, errno, "%s", path);
}

static bool get(void *ctx, const uint8_t sha256[static SHA256_SIZE], uint64_t size UNUSED,
		uint64_t from, uint64_t to, stage_sink *sink, void *arg, struct err *e)
{
	const struct files *f = ctx;
	int fd = memcmp(sha256, f->component.tree_sha256, SHA256_SIZE) == 0 ? f->area
									    : f->object;
	uint8_t piece[PIECE];

	while (from < to) {
		size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE;

		if (!pread_all(fd, piece, n, from, e) || !sink(arg, piece, n, e))
			return false;
		from += n;
	}
	return true;
}

static bool hash_upper(struct files *f, struct err *e)
{
	CLEANUP(buf_done) struct buf upper = BUF_INIT(LIMIT_COMPONENT_SIZE);
	struct component *c = &f->component;
	struct verity_geo g;
	uint8_t *p;

	if (!verity_geo_init(&g, c->size, e) || !buf_reserve(&upper, g.upper_size + 1, &p, e) ||
	    !pread_all(f->area, p, g.upper_size, 0, e))
		return false;
	c->tree_size = g.upper_size;
	sha256(c->tree_sha256, p, g.upper_size);
	return true;
}

static bool describe(struct files *f, char **a, struct err *e)
{
	struct component *c = &f->component;

	*c = (struct component){ .name = "system",
				 .kind = COMPONENT_DISK,
				 .frame_size = LIMIT_FRAME_SIZE };
	memset(c->object_sha256, 0xff, SHA256_SIZE);
	if (!u64_parse(&c->size, a[1], strlen(a[1])) ||
	    !hex_decode(c->salt, sizeof(c->salt), a[2], strlen(a[2])) ||
	    !hex_decode(c->root, sizeof(c->root), a[3], strlen(a[3])))
		return err_set(e, E_USAGE, "size, salt or root");
	return open_file(&f->object, a[0], O_RDONLY, e) &&
	       open_file(&f->area, a[4], O_RDONLY, e) &&
	       fd_size(f->object, &c->object_size, e) && hash_upper(f, e);
}

static bool run(struct files *f, int slot, unsigned threads, struct err *e)
{
	struct stage_progress progress = { 0 };
	struct model model = { .name = "bench", .kernel = 0, .initrd = -1 };
	struct release release = { .product = "bench",
				   .version = "1",
				   .components = &f->component,
				   .n_components = 1,
				   .models = &model,
				   .n_models = 1 };
	const struct stage stage = { .slot_dirfd = slot,
				     .release = &release,
				     .model = &model,
				     .manifest = "{}",
				     .manifest_n = 2,
				     .seed_dirfd = -1,
				     .source = { get, f },
				     .threads = threads,
				     .progress = &progress };

	return stage_run(&stage, e);
}

int main(int argc, char **argv)
{
	struct files f = { .object = -1, .area = -1 };
	CLEANUP(fd_closep) int slot = -1;
	uint64_t threads;
	struct err e;
	bool ok;

	if (argc != 8 || !u64_parse(&threads, argv[7], strlen(argv[7])) || threads > 64)
		ok = err_set(&e, E_USAGE, "stage OBJECT SIZE SALT ROOT AREA SLOT THREADS");
	else
		ok = describe(&f, argv + 1, &e) &&
		     open_file(&slot, argv[6], O_RDONLY | O_DIRECTORY, &e) &&
		     run(&f, slot, (unsigned)threads, &e);
	if (!ok)
		fprintf(stderr, "stage: %s\n", e.text);
	fd_closep(&f.object);
	fd_closep(&f.area);
	return ok ? 0 : err_exit(e.code);
}
