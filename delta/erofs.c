/* erofs, as the kernel's fs/erofs/erofs_fs.h lays it out. */
#include "delta/walk.h"
#include "base/bytes.h"

#include <string.h>

enum {
	SUPER = 1024, /* of the file system; 128 bytes */
	SUPER_SIZE = 128,
	SLOT = 32, /* inodes begin at multiples of it */
	COMPACT = 32,
	EXTENDED = 64,
	FLAT_INLINE = 2,
	DIRENT = 12,
	IS_FILE = 1,
	IS_FOLDER = 2,
	NAME_MAX_BYTES = 255,
	IS_LINK = 7,
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
	struct walk *walk;
};

/* An inode: n bytes in blocks at `at`, then `tail` bytes behind the inode. */
struct node {
	uint64_t inode_at, at, n, tail_at, tail;
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
	*ret = (struct node){ .inode_at = at,
			      .at = (uint64_t)get_le32(p + 16) << f->block_log,
			      .n = size,
			      .tail_at = at + head };
	if ((format >> 1 & 7) == FLAT_INLINE) {
		ret->tail = size & (block - 1);
		ret->n -= ret->tail;
	}
	return (ret->n == 0 || inside(f, ret->at, ret->n)) &&
	       inside(f, ret->tail_at, ret->tail);
}

static bool part_tell(struct erofs *f, enum walk_kind kind, uint64_t at, uint64_t n,
		      uint64_t in_file, struct err *e)
{
	const struct walk_part part = {
		.kind = kind, .at = f->base + at, .n = n, .in_file = in_file
	};

	return n == 0 || f->walk->part(f->walk->ctx, &part, e);
}

static bool node_tell(struct erofs *f, const struct node *node, enum walk_kind kind,
		      struct err *e)
{
	return part_tell(f, WALK_INODES, node->inode_at, node->tail_at - node->inode_at, 0,
			 e) &&
	       part_tell(f, kind, node->at, node->n, 0, e) &&
	       part_tell(f, kind, node->tail_at, node->tail, node->n, e);
}

static bool entry_take(struct erofs *f, const struct walk_name *name, uint64_t nid,
		       unsigned kind, struct err *e)
{
	struct node node;

	if (kind == IS_FOLDER)
		return walk_later(f->walk, name, nid, e);
	if (!node_read(f, nid, &node))
		return true;
	if (kind == IS_FILE)
		return f->walk->name(f->walk->ctx, name, e) &&
		       node_tell(f, &node, WALK_FILE, e);
	if (kind != IS_LINK)
		node.n = node.tail = 0;
	return node_tell(f, &node, WALK_NAMES, e);
}

/* One block of a folder: entries, then their names. */
static bool block_walk(struct erofs *f, uint32_t folder, const uint8_t *p, size_t n,
		       struct err *e)
{
	size_t entries = n < DIRENT ? 0 : get_le16(p + 8) / DIRENT;

	if (entries * DIRENT > n)
		return true;
	for (size_t i = 0; i < entries && f->walk->entries; i++) {
		const uint8_t *d = p + i * DIRENT;
		size_t from = get_le16(d + 8);
		size_t end = i + 1 < entries ? get_le16(d + DIRENT + 8) : n;

		f->walk->entries--;
		if (from > end || end > n || walk_is_dots(p + from, end - from))
			continue;
		const struct walk_name name = {
			.p = p + from,
			.n = strnlen((const char *)p + from,
				     end - from < NAME_MAX_BYTES ? end - from : NAME_MAX_BYTES),
			.folder = folder,
			.is_folder = d[10] == IS_FOLDER
		};
		if (!entry_take(f, &name, get_le64(d), d[10], e))
			return false;
	}
	return true;
}

static bool folder_walk(struct erofs *f, const struct walk_folder *folder, struct err *e)
{
	size_t block = (size_t)1 << f->block_log;
	struct node node;

	if (!node_read(f, folder->inode, &node))
		return true;
	if (!node_tell(f, &node, WALK_NAMES, e))
		return false;
	for (uint64_t at = 0; at < node.n && f->walk->entries; at += block) {
		uint64_t left = node.n - at;

		f->walk->entries--; /* a block counts as well */
		if (!block_walk(f, folder->number, f->p + node.at + at,
				left < block ? (size_t)left : block, e))
			return false;
	}
	return block_walk(f, folder->number, f->p + node.tail_at, (size_t)node.tail, e);
}

bool walk_erofs(struct walk *w, const uint8_t *image, uint64_t size, uint64_t at, struct err *e)
{
	const struct walk_name root = { .p = image,
					.folder = WALK_NO_FOLDER,
					.is_folder = true };
	const uint8_t *sb = image + at + SUPER;
	struct walk_folder folder;

	if (size < at || size - at < SUPER + SUPER_SIZE || get_le32(sb) != EROFS_MAGIC ||
	    sb[12] < BLOCK_LOG_MIN || sb[12] > BLOCK_LOG_MAX)
		return true;
	struct erofs f = { .p = image + at,
			   .n = size - at,
			   .base = at,
			   .block_log = sb[12],
			   .meta = (uint64_t)get_le32(sb + 40) << sb[12],
			   .walk = w };
	if (!part_tell(&f, WALK_SUPER, SUPER, SUPER_SIZE, 0, e) ||
	    !walk_later(w, &root, get_le16(sb + 14), e))
		return false;
	while (walk_next(w, &folder))
		if (!folder_walk(&f, &folder, e))
			return false;
	return true;
}
