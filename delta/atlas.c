#include "delta/atlas.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNED = 4096, NAME_MAX_BYTES = 255 };

/* Makes room for one more of `size` bytes; NULL when there is none. */
static void *grown(void *v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 256;

	if (n < *cap)
		return v;
	v = reallocarray(v, more, size);
	if (v)
		*cap = more;
	return v;
}

/* ---- what the file systems tell ---- */

static bool take_name(void *ctx, const struct walk_name *name, struct err *e)
{
	struct atlas *a = ctx;
	const struct atlas_name n = { .p = name->p,
				      .n = name->n < NAME_MAX_BYTES ? (uint16_t)name->n
								    : NAME_MAX_BYTES,
				      .folder = name->folder };

	if (name->is_folder) {
		struct atlas_name *v =
			grown(a->folders, a->n_folders, &a->cap_folders, sizeof(*v));

		if (!v)
			return err_nomem(e);
		a->folders = v;
		v[a->n_folders++] = n;
		return true;
	}
	struct atlas_file *v = grown(a->files, a->n_files, &a->cap_files, sizeof(*v));

	if (!v)
		return err_nomem(e);
	a->files = v;
	v[a->n_files++] = (struct atlas_file){ .name = n, .first = (uint32_t)a->n_ranges };
	return true;
}

/* Metadata right behind the same kind: one range.  Most inodes lie so. */
static bool is_joined(struct atlas *a, const struct walk_part *part)
{
	struct atlas_range *last = a->n_ranges ? &a->ranges[a->n_ranges - 1] : NULL;

	if (!last || part->kind == WALK_FILE || last->kind != part->kind ||
	    last->end != part->at)
		return false;
	last->end += part->n;
	return true;
}

static bool take_part(void *ctx, const struct walk_part *part, struct err *e)
{
	struct atlas *a = ctx;
	struct atlas_range r = { .from = part->at,
				 .end = part->at + part->n,
				 .in_file = part->in_file,
				 .file = ATLAS_NO_FILE,
				 .kind = part->kind };

	if (is_joined(a, part))
		return true;
	struct atlas_range *v = grown(a->ranges, a->n_ranges, &a->cap_ranges, sizeof(*v));

	if (!v)
		return err_nomem(e);
	a->ranges = v;
	if (part->kind == WALK_FILE) {
		struct atlas_file *f = &a->files[a->n_files - 1];

		r.file = (uint32_t)(a->n_files - 1);
		f->n = (uint32_t)a->n_ranges + 1 - f->first;
	}
	v[a->n_ranges++] = r;
	return true;
}

/* ---- reading ---- */

static bool walk_all(struct atlas *a, struct err *e)
{
	struct walk w = {
		.name = take_name, .part = take_part, .ctx = a, .entries = walk_entries(a->size)
	};
	bool ok = true;

	for (uint64_t at = 0; ok && at < a->size; at += ALIGNED)
		ok = walk_erofs(&w, a->image, a->size, at, e) &&
		     walk_ext4(&w, a->image, a->size, at, e);
	walk_done(&w);
	return ok;
}

static bool take_whole(struct atlas *a, struct err *e)
{
	const struct walk_name name = { .p = a->image, .folder = WALK_NO_FOLDER };
	const struct walk_part part = { .kind = WALK_FILE, .n = a->size };

	return take_name(a, &name, e) && take_part(a, &part, e);
}

static int by_place(const void *x, const void *y)
{
	const struct atlas_place *a = x, *b = y;

	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->range < b->range ? -1 : a->range > b->range;
}

static bool places_make(struct atlas *a, struct err *e)
{
	size_t n = 0;

	a->places = reallocarray(NULL, a->n_ranges + 1, sizeof(*a->places));
	if (!a->places)
		return err_nomem(e);
	for (size_t i = 0; i < a->n_ranges; i++)
		a->places[i] = (struct atlas_place){ .from = a->ranges[i].from,
						     .end = a->ranges[i].end,
						     .range = (uint32_t)i };
	qsort(a->places, a->n_ranges, sizeof(*a->places), by_place);
	for (size_t i = 0; i < a->n_ranges; i++) {
		struct atlas_place p = a->places[i];

		if (n && p.from < a->places[n - 1].end)
			p.from = a->places[n - 1].end;
		if (p.from < p.end)
			a->places[n++] = p;
	}
	a->n_places = n;
	return true;
}

bool atlas_read(struct atlas *a, const uint8_t *image, uint64_t size, struct err *e)
{
	a->image = image;
	a->size = size;
	return walk_all(a, e) && (a->n_ranges || size == 0 || take_whole(a, e)) &&
	       places_make(a, e);
}

void atlas_done(struct atlas *a)
{
	free(a->folders);
	free(a->files);
	free(a->ranges);
	free(a->places);
	*a = ATLAS_INIT;
}

/* ---- asking ---- */

struct atlas_spot atlas_at(const struct atlas *a, uint64_t at)
{
	size_t lo = 0, hi = a->n_places;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (a->places[mid].from <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && at < a->places[lo - 1].end)
		return (struct atlas_spot){ .range = &a->ranges[a->places[lo - 1].range],
					    .end = a->places[lo - 1].end };
	return (struct atlas_spot){ .end = lo < a->n_places ? a->places[lo].from : a->size };
}

bool atlas_copy(const struct atlas *a, uint32_t file, uint64_t in_file, uint8_t *p, size_t n)
{
	const struct atlas_file *f = &a->files[file];

	for (uint32_t i = 0; i < f->n && i < ATLAS_PARTS_MAX && n; i++) {
		const struct atlas_range *r = &a->ranges[f->first + i];
		uint64_t skip = in_file - r->in_file, here = r->end - r->from;

		if (r->file != file || in_file < r->in_file || skip >= here)
			continue;
		size_t part = n < here - skip ? n : (size_t)(here - skip);

		memcpy(p, a->image + r->from + skip, part);
		p += part;
		n -= part;
		in_file += part;
	}
	return n == 0;
}

bool atlas_path(const struct atlas *a, uint32_t file, struct buf *ret, struct err *e)
{
	static const char cut[] = "...";
	char path[ATLAS_PATH_MAX];
	const struct atlas_name *name = &a->files[file].name;
	size_t at = sizeof(path);

	while (name->folder != WALK_NO_FOLDER) {
		if (at < name->n + sizeof(cut)) {
			at -= sizeof(cut) - 1;
			memcpy(path + at, cut, sizeof(cut) - 1);
			break;
		}
		at -= name->n;
		memcpy(path + at, name->p, name->n);
		path[--at] = '/';
		name = &a->folders[name->folder];
	}
	return buf_add(ret, path + at, sizeof(path) - at, e);
}
