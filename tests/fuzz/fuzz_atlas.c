/* Any bytes as an image of file systems: what an atlas says lies inside, in order and without overlaps, each
 * byte has one kind, paths end.  erofs_image and ext4_image in the corpus are what their makers make. */
#include "base/buf.h"
#include "delta/content.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { IMAGE_MAX = 1 << 18, FILES_MAX = 2000 };

static void must(bool it)
{
	if (!it)
		abort();
}

static void places_are_sound(const struct atlas *a)
{
	uint64_t end = 0;

	for (size_t i = 0; i < a->n_places; i++) {
		const struct atlas_place *p = &a->places[i];

		must(p->from >= end && p->from < p->end && p->end <= a->size);
		must(atlas_at(a, p->from).range == &a->ranges[p->range]);
		end = p->end;
	}
}

static void files_are_sound(const struct atlas *a)
{
	for (uint32_t i = 0; i < a->n_files && i < FILES_MAX; i++) {
		CLEANUP(buf_done) struct buf path = BUF_INIT(ATLAS_PATH_MAX);
		uint8_t some[100];
		struct err e;

		must(atlas_path(a, i, &path, &e));
		atlas_copy(a, i, i * 50, some, sizeof(some));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(atlas_done) struct atlas a = ATLAS_INIT;
	static struct contents c;
	struct err e;

	if (n > IMAGE_MAX)
		return 0;
	must(atlas_read(&a, p, n, &e));
	places_are_sound(&a);
	files_are_sound(&a);
	contents_init(&c, &a);
	for (uint64_t at = 0, end; at < n; at = end) {
		uint32_t file;

		must(content_at(&c, at, n, &end, &file) < DELTA_CONTENTS);
		must(end > at && end <= n && (file == ATLAS_NO_FILE || file < a.n_files));
		content_of_stream(p, at);
	}
	return 0;
}
