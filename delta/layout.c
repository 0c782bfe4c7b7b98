#include "delta/layout.h"
#include "base/bytes.h"

#include <stdlib.h>

enum {
	ALIGNED = 4096,
	SUPER = 1024, /* of the file system; 128 bytes */
	SUPER_SIZE = 128,
	SLOT = 32, /* inodes begin at multiples of it */
	COMPACT = 32,
	EXTENDED = 64,
	FLAT_INLINE = 2,
	DIRENT = 12,
	IS_FILE = 1,
	IS_FOLDER = 2,
	BLOCK_LOG_MIN = 9,
	BLOCK_LOG_MAX = 16,
};

#define EROFS_MAGIC UINT32_C(0xe0f5e1e2)

/* One file system; places count from its first byte, and it reaches at most to the image's end. */
struct erofs {
	const uint8_t *p;
	uint64_t n, base; /* base: where it lies in the image */
	unsigned block_log;
	uint64_t meta; /* where inode 0 is */
	struct layout *layout;
	uint64_t *folders; /* inodes to be read; heap */
	size_t n_folders, cap_folders;
};

/* An inode: n bytes in blocks at `at`, then `tail` bytes behind the inode. */
struct node {
	uint64_t at, n, tail_at, tail;
};

static bool inside(const struct erofs *f, uint64_t at, uint64_t n)
{
	return at <= f->n && n <= f->n - at;
}

/* False for inodes that are nonsense, or laid out in any other way than plain blocks with an end. */
static bool node_read(const struct erofs *f, uint64_t nid, struct node *ret)
{
	uint64_t at = f->meta + nid * SLOT, block = UINT64_C(1) << f->block_log, size;
	const uint8_t *p;
	unsigned format, head;

	if (nid > f->n / SLOT || !inside(f, at, COMPACT))
		return false;
	p = f->p + at;
	format = get_le16(p);
	head = format & 1 ? EXTENDED : COMPACT;
	if (get_le16(p + 2))
		head += 12 + 4 * (get_le16(p + 2) - 1u);
	size = format & 1 ? get_le64(p + 8) : get_le32(p + 8);
	if ((format >> 1 & 7) > FLAT_INLINE || (format >> 1 & 1) || size > f->n)
		return false;
	*ret = (struct node){ .at = (uint64_t)get_le32(p + 16) << f->block_log,
			      .n = size,
			      .tail_at = at + head };
	if ((format >> 1 & 7) == FLAT_INLINE) {
		ret->tail = size & (block - 1);
		ret->n -= ret->tail;
	}
	return (ret->n == 0 || inside(f, ret->at, ret->n)) &&
	       inside(f, ret->tail_at, ret->tail);
}

static bool cut_add(struct layout *l, const struct layout_cut *cut, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		struct layout_cut *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *cut;
	return true;
}

static bool folder_add(struct erofs *f, uint64_t nid, struct err *e)
{
	if (f->n_folders == f->cap_folders) {
		size_t cap = f->cap_folders ? 2 * f->cap_folders : 256;
		uint64_t *v = reallocarray(f->folders, cap, sizeof(*v));

		if (!v)
			return err_nomem(e);
		f->folders = v;
		f->cap_folders = cap;
	}
	f->folders[f->n_folders++] = nid;
	return true;
}

/* "." and "..", with zeros behind them at the end of a block. */
static bool is_dots(const uint8_t *name, size_t n)
{
	size_t dots = 0;

	while (dots < n && name[dots] == '.')
		dots++;
	return (dots == 1 || dots == 2) && (dots == n || name[dots] == 0);
}

static bool entry_take(struct erofs *f, uint64_t nid, unsigned kind, struct err *e)
{
	struct node node;

	if (kind == IS_FOLDER)
		return folder_add(f, nid, e);
	if (kind != IS_FILE || !node_read(f, nid, &node) || !node.n || !node.tail)
		return true;
	struct layout_cut cut = { .from = f->base + node.at,
				  .end = f->base + node.at + node.n,
				  .to = f->base + node.tail_at,
				  .size = (uint32_t)node.tail };
	return cut_add(f->layout, &cut, e);
}

/* One block of a folder: entries, then their names. */
static bool block_walk(struct erofs *f, const uint8_t *p, size_t n, struct err *e)
{
	size_t entries = n < DIRENT ? 0 : get_le16(p + 8) / DIRENT;

	if (entries * DIRENT > n)
		return true;
	for (size_t i = 0; i < entries && f->layout->entries; i++) {
		const uint8_t *d = p + i * DIRENT;
		size_t name = get_le16(d + 8);
		size_t end = i + 1 < entries ? get_le16(d + DIRENT + 8) : n;

		f->layout->entries--;
		if (name > end || end > n || is_dots(p + name, end - name))
			continue;
		if (!entry_take(f, get_le64(d), d[10], e))
			return false;
	}
	return true;
}

static bool folder_walk(struct erofs *f, uint64_t nid, struct err *e)
{
	size_t block = (size_t)1 << f->block_log;
	struct node node;

	if (!node_read(f, nid, &node))
		return true;
	for (uint64_t at = 0; at < node.n && f->layout->entries; at += block) {
		uint64_t left = node.n - at;

		f->layout->entries--; /* a block counts as well */
		if (!block_walk(f, f->p + node.at + at, left < block ? (size_t)left : block, e))
			return false;
	}
	return block_walk(f, f->p + node.tail_at, (size_t)node.tail, e);
}

/* A folder that leads to itself ends with the entries that may be read. */
static bool erofs_walk(struct erofs *f, uint64_t root, struct err *e)
{
	bool ok = folder_add(f, root, e);

	while (ok && f->n_folders && f->layout->entries)
		ok = folder_walk(f, f->folders[--f->n_folders], e);
	free(f->folders);
	return ok;
}

static bool erofs_at(struct layout *l, const uint8_t *image, uint64_t size, uint64_t at,
		     struct err *e)
{
	const uint8_t *sb = image + at + SUPER;
	struct erofs f = {
		.p = image + at, .n = size - at, .base = at, .block_log = sb[12], .layout = l
	};

	if (get_le32(sb) != EROFS_MAGIC || f.block_log < BLOCK_LOG_MIN ||
	    f.block_log > BLOCK_LOG_MAX)
		return true;
	f.meta = (uint64_t)get_le32(sb + 40) << f.block_log;
	return erofs_walk(&f, get_le16(sb + 14), e);
}

bool layout_read(struct layout *l, const uint8_t *image, uint64_t size, uint64_t from,
		 uint64_t to, struct err *e)
{
	for (uint64_t at = (from + ALIGNED - 1) / ALIGNED * ALIGNED; at < to; at += ALIGNED)
		if (size - at >= SUPER + SUPER_SIZE && !erofs_at(l, image, size, at, e))
			return false;
	return true;
}

static int by_from(const void *a, const void *b)
{
	const struct layout_cut *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Hard links say the same twice, and lies may overlap: the first stays. */
void layout_sort(struct layout *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_from);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || l->v[i].from >= l->v[n - 1].end)
			l->v[n++] = l->v[i];
	l->n = n;
}

void layout_done(struct layout *l)
{
	free(l->v);
	*l = (struct layout){ .entries = 0 };
}

const struct layout_cut *layout_at(const struct layout *l, uint64_t at)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].from <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && at < l->v[lo - 1].end ? &l->v[lo - 1] : NULL;
}
