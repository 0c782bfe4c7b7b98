/* stage OBJECT PLAIN_SIZE SALT ROOT AREA OUT THREADS   decodes, verifies, writes data and leaves
 *
 * What a handset has to do with a full download, without the network: for bench/images.sh. */
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "proto/seekable.h"
#include "proto/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stage {
	int object, area, out, out_area;
	struct seekable_table *table;
	struct verity_tree *tree;
	_Atomic uint32_t next; /* frame that no thread has taken */
	_Atomic bool failed;
};

static bool open_file(int *ret, const char *path, int flags, struct err *e)
{
	*ret = open(path, flags | O_CLOEXEC, 0644);
	return *ret >= 0 || err_sys(e, errno, "%s", path);
}

static bool load_table(struct stage *s, uint64_t size, struct err *e)
{
	uint64_t n = seekable_table_size(size, LIMIT_FRAME_SIZE), object;
	uint8_t *tail = malloc(n);
	bool ok;

	if (!tail)
		return err_nomem(e);
	ok = fd_size(s->object, &object, e) && pread_all(s->object, tail, n, object - n, e) &&
	     seekable_table_parse(&s->table, tail, n, object, size, LIMIT_FRAME_SIZE, e);
	free(tail);
	return ok;
}

static bool load_tree(struct stage *s, uint64_t size, const char *salt_hex,
		      const char *root_hex, struct err *e)
{
	CLEANUP(buf_done) struct buf upper = BUF_INIT(LIMIT_COMPONENT_SIZE);
	uint8_t salt[VERITY_SALT], root[SHA256_SIZE], *p;
	struct verity_geo g;

	if (!hex_decode(salt, sizeof(salt), salt_hex, strlen(salt_hex)) ||
	    !hex_decode(root, sizeof(root), root_hex, strlen(root_hex)))
		return err_set(e, E_USAGE, "salt or root");
	return verity_geo_init(&g, size, e) && buf_reserve(&upper, g.upper_size + 1, &p, e) &&
	       pread_all(s->area, p, g.upper_size, 0, e) &&
	       verity_tree_new(&s->tree, size, salt, root, p, g.upper_size, e);
}

static bool stage_group(struct stage *s, const uint8_t *p, uint64_t group, struct err *e)
{
	const struct verity_geo *g = &s->tree->geo;
	uint8_t leaf[VERITY_BLOCK];

	return verity_group_check(s->tree, group, p, verity_group_size(g, group), leaf, e) &&
	       pwrite_all(s->out, p, verity_group_size(g, group), group * VERITY_GROUP, e) &&
	       pwrite_all(s->out_area, leaf, sizeof(leaf), verity_leaf_offset(g, group), e);
}

static bool stage_frame(struct stage *s, uint32_t i, struct zst_dec *zst, uint8_t *packed,
			uint8_t *plain, struct err *e)
{
	struct seekable_frame f = seekable_frame_get(s->table, i);

	if (!pread_all(s->object, packed, f.object_bytes, f.object_offset, e) ||
	    !seekable_frame_decode(zst, &f, plain, packed, f.object_bytes, e))
		return false;
	for (uint32_t at = 0; at < f.plain_bytes; at += VERITY_GROUP)
		if (!stage_group(s, plain + at, (f.plain_offset + at) / VERITY_GROUP, e))
			return false;
	return true;
}

static void *thread_main(void *arg)
{
	struct stage *s = arg;
	CLEANUP(zst_dec_freep) struct zst_dec *zst = NULL;
	uint8_t *packed = malloc(zst_bound(LIMIT_FRAME_SIZE)),
		*plain = malloc(LIMIT_FRAME_SIZE);
	struct err e;
	bool ok = packed && plain ? zst_dec_new(&zst, &e) : err_nomem(&e);
	uint32_t i;

	while (ok && !s->failed && (i = atomic_fetch_add(&s->next, 1)) < s->table->frames)
		ok = stage_frame(s, i, zst, packed, plain, &e);
	if (!ok) {
		fprintf(stderr, "stage: %s\n", e.text);
		s->failed = true;
	}
	free(packed);
	free(plain);
	return NULL;
}

static bool run_threads(struct stage *s, uint64_t n, struct err *e)
{
	pthread_t threads[16];
	unsigned started = 0;

	while (started + 1 < n && started < ARRAY_SIZE(threads) &&
	       pthread_create(&threads[started], NULL, thread_main, s) == 0)
		started++;
	thread_main(s);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	return !s->failed || err_set(e, E_CORRUPT, "failed");
}

static bool run(struct stage *s, char **a, struct err *e)
{
	char area[4096];
	uint64_t size, threads;

	snprintf(area, sizeof(area), "%s.hash", a[5]);
	if (!u64_parse(&size, a[1], strlen(a[1])) || !u64_parse(&threads, a[6], strlen(a[6])))
		return err_set(e, E_USAGE, "size or threads");
	if (!open_file(&s->object, a[0], O_RDONLY, e) ||
	    !open_file(&s->area, a[4], O_RDONLY, e) ||
	    !open_file(&s->out, a[5], O_WRONLY | O_CREAT | O_TRUNC, e) ||
	    !open_file(&s->out_area, area, O_WRONLY | O_CREAT | O_TRUNC, e) ||
	    !load_table(s, size, e) || !load_tree(s, size, a[2], a[3], e))
		return false;
	return run_threads(s, threads, e);
}

int main(int argc, char **argv)
{
	struct stage s = { .object = -1, .area = -1, .out = -1, .out_area = -1 };
	struct err e;
	bool ok = argc == 8 ? run(&s, argv + 1, &e)
			    : err_set(&e, E_USAGE,
				      "stage OBJECT SIZE SALT ROOT AREA OUT THREADS");

	if (!ok)
		fprintf(stderr, "stage: %s\n", e.text);
	seekable_table_free(s.table);
	verity_tree_free(s.tree);
	fd_closep(&s.object);
	fd_closep(&s.area);
	fd_closep(&s.out);
	fd_closep(&s.out_area);
	return ok ? 0 : err_exit(e.code);
}
