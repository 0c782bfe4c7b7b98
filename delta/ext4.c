/* ext4, as the kernel's documentation (filesystems/ext4) lays it out: struct ext4_super_block,
 * ext4_group_desc, ext4_inode, ext4_extent and ext4_dir_entry_2. */
#include "delta/walk.h"
#include "base/bytes.h"

enum {
	SUPER = 1024, /* of the file system, and its size */
	MAGIC = 0xef53,
	BLOCK_LOG_MAX = 16,
	DESC_MIN = 32,
	DESC_MAX = 1024,
	INODE_MIN = 128,
	INODE_MAX = 65536,
	ROOT = 2,
	JOURNAL = 8,
	INCOMPAT_64BIT = 0x80,
	RO_SPARSE_SUPER = 1,
	HAS_EXTENTS = 0x80000,
	EXTENT = 12, /* and its head */
	EXTENT_MAGIC = 0xf30a,
	EXTENT_BYTES = 60, /* in the inode */
	DEPTH_MAX = 5,
	UNWRITTEN = 32768,
	DIRENT = 8,
	IS_FILE = 1,
	IS_FOLDER = 2,
	TYPE_MASK = 0xf000,
	TYPE_LINK = 0xa000,
};

/* One file system; places count from its first byte, and it reaches at most to the image's end. */
struct ext4 {
	const uint8_t *p;
	uint64_t n, base; /* base: where it lies in the image */
	unsigned block_log;
	bool is_64, is_sparse;
	uint64_t blocks, gdt_at;
	uint32_t first, group_blocks, reserved_blocks, groups, inodes, group_inodes;
	uint32_t inode_bytes, desc_bytes;
	struct walk *walk;
};

static uint64_t pair(uint32_t low, uint32_t high)
{
	return low | (uint64_t)high << 32;
}

static bool inside(const struct ext4 *f, uint64_t at, uint64_t n)
{
	return at <= f->n && n <= f->n - at;
}

/* Blocks; where they reach over the end, there are fewer. */
static bool blocks_tell(struct ext4 *f, enum walk_kind kind, uint64_t block, uint64_t n,
			uint64_t in_file, struct err *e)
{
	uint64_t all = f->n >> f->block_log;

	if (block >= all || n == 0)
		return true;
	if (n > all - block)
		n = all - block;
	const struct walk_part part = { .kind = kind,
					.at = f->base + (block << f->block_log),
					.n = n << f->block_log,
					.in_file = in_file };
	return f->walk->part(f->walk->ctx, &part, e);
}

/* ---- groups ---- */

/* False when it contradicts itself, or is a copy in another group. */
static bool super_read(struct ext4 *f)
{
	const uint8_t *sb = f->p + SUPER;
	uint32_t log = get_le32(sb + 0x18);

	if (get_le16(sb + 0x38) != MAGIC || log > BLOCK_LOG_MAX - 10 || get_le16(sb + 0x5a))
		return false;
	f->block_log = 10 + log;
	f->is_64 = get_le32(sb + 0x60) & INCOMPAT_64BIT;
	f->is_sparse = get_le32(sb + 0x64) & RO_SPARSE_SUPER;
	f->blocks = pair(get_le32(sb + 4), f->is_64 ? get_le32(sb + 0x150) : 0);
	f->first = get_le32(sb + 0x14);
	f->group_blocks = get_le32(sb + 0x20);
	f->inodes = get_le32(sb);
	f->group_inodes = get_le32(sb + 0x28);
	f->inode_bytes = get_le32(sb + 0x4c) ? get_le16(sb + 0x58) : INODE_MIN;
	f->desc_bytes = f->is_64 ? get_le16(sb + 0xfe) : DESC_MIN;
	f->reserved_blocks = get_le16(sb + 0xce);
	if (f->first > 1 || f->blocks <= f->first || f->group_blocks < 256 ||
	    f->group_inodes == 0 || f->inode_bytes < INODE_MIN || f->inode_bytes > INODE_MAX ||
	    f->desc_bytes < DESC_MIN || f->desc_bytes > DESC_MAX ||
	    f->blocks > f->n >> f->block_log)
		return false;
	f->groups = (uint32_t)((f->blocks - f->first + f->group_blocks - 1) / f->group_blocks);
	f->gdt_at = (uint64_t)(f->first + 1) << f->block_log;
	return inside(f, f->gdt_at, (uint64_t)f->groups * f->desc_bytes);
}

static bool is_power_of(uint32_t n, unsigned base)
{
	while (n % base == 0)
		n /= base;
	return n == 1;
}

/* Whether a copy of the superblock and of the descriptors begins this group. */
static bool has_super(const struct ext4 *f, uint32_t group)
{
	return group <= 1 || !f->is_sparse || is_power_of(group, 3) || is_power_of(group, 5) ||
	       is_power_of(group, 7);
}

enum { GROUP_BITMAP = 0, GROUP_INODE_BITMAP = 4, GROUP_TABLE = 8 };

static uint64_t group_block(const struct ext4 *f, uint32_t group, unsigned field)
{
	const uint8_t *d = f->p + f->gdt_at + (uint64_t)group * f->desc_bytes + field;

	return pair(get_le32(d), f->desc_bytes >= 64 ? get_le32(d + 32) : 0);
}

static bool groups_tell(struct ext4 *f, struct err *e)
{
	uint64_t block = UINT64_C(1) << f->block_log;
	uint64_t gdt = ((uint64_t)f->groups * f->desc_bytes + block - 1) >> f->block_log;
	uint64_t table =
		((uint64_t)f->group_inodes * f->inode_bytes + block - 1) >> f->block_log;

	for (uint32_t i = 0; i < f->groups && f->walk->entries; i++) {
		uint64_t begin = f->first + (uint64_t)i * f->group_blocks;

		f->walk->entries--;
		if ((has_super(f, i) &&
		     !blocks_tell(f, WALK_SUPER, begin, 1 + gdt + f->reserved_blocks, 0, e)) ||
		    !blocks_tell(f, WALK_BITMAPS, group_block(f, i, GROUP_BITMAP), 1, 0, e) ||
		    !blocks_tell(f, WALK_BITMAPS, group_block(f, i, GROUP_INODE_BITMAP), 1, 0,
				 e) ||
		    !blocks_tell(f, WALK_INODES, group_block(f, i, GROUP_TABLE), table, 0, e))
			return false;
	}
	return true;
}

/* ---- inodes ---- */

/* NULL for one that is nonsense. */
static const uint8_t *inode_at(const struct ext4 *f, uint32_t number)
{
	uint32_t group = (number - 1) / f->group_inodes;
	uint64_t table, at;

	if (number == 0 || number > f->inodes || group >= f->groups)
		return NULL;
	table = group_block(f, group, GROUP_TABLE);
	if (table >= f->n >> f->block_log)
		return NULL;
	at = (table << f->block_log) +
	     (uint64_t)((number - 1) % f->group_inodes) * f->inode_bytes;
	return inside(f, at, f->inode_bytes) ? f->p + at : NULL;
}

/* Told of each run of a file's blocks, in rising order. */
typedef bool run_take(struct ext4 *f, const void *ctx, uint64_t block, uint64_t n,
		      uint64_t in_file, struct err *e);

struct extents {
	run_take *take;
	const void *ctx;
	uint64_t size; /* of the file; a power of two of a block behind it is no part of it */
};

static bool leaf_take(struct ext4 *f, const struct extents *x, const uint8_t *p, struct err *e)
{
	uint64_t in_file = (uint64_t)get_le32(p) << f->block_log, n = get_le16(p + 4);

	if (in_file >= x->size || n > UNWRITTEN) /* what was never written is zeros */
		return true;
	return x->take(f, x->ctx, pair(get_le32(p + 8), get_le16(p + 6)), n, in_file, e);
}

static bool extents_walk(struct ext4 *f, const struct extents *x, const uint8_t *p, size_t room,
			 unsigned depth, struct err *e)
{
	unsigned n = get_le16(p + 2), levels = get_le16(p + 6);

	if (get_le16(p) != EXTENT_MAGIC || levels > depth || (n + 1u) * EXTENT > room)
		return true;
	for (unsigned i = 1; i <= n && f->walk->entries; i++) {
		const uint8_t *x_at = p + i * EXTENT;
		uint64_t block = pair(get_le32(x_at + 4), get_le16(x_at + 8));

		f->walk->entries--;
		if (levels == 0) {
			if (!leaf_take(f, x, x_at, e))
				return false;
		} else if (block < f->n >> f->block_log) {
			if (!blocks_tell(f, WALK_INODES, block, 1, 0, e) ||
			    !extents_walk(f, x, f->p + (block << f->block_log),
					  (size_t)1 << f->block_log, levels - 1, e))
				return false;
		}
	}
	return true;
}

static bool runs_walk(struct ext4 *f, uint32_t number, run_take *take, const void *ctx,
		      struct err *e)
{
	const uint8_t *p = inode_at(f, number);

	if (!p || !(get_le32(p + 0x20) & HAS_EXTENTS))
		return true;
	const struct extents x = { .take = take,
				   .ctx = ctx,
				   .size = pair(get_le32(p + 4), get_le32(p + 0x6c)) };
	return extents_walk(f, &x, p + 0x28, EXTENT_BYTES, DEPTH_MAX, e);
}

static bool run_tell(struct ext4 *f, const void *ctx, uint64_t block, uint64_t n,
		     uint64_t in_file, struct err *e)
{
	const enum walk_kind *kind = ctx;

	return blocks_tell(f, *kind, block, n, in_file, e);
}

static bool inode_tell(struct ext4 *f, uint32_t number, enum walk_kind kind, struct err *e)
{
	return runs_walk(f, number, run_tell, &kind, e);
}

/* ---- folders ---- */

static bool entry_take(struct ext4 *f, const struct walk_name *name, uint32_t number,
		       unsigned type, struct err *e)
{
	const uint8_t *p = inode_at(f, number);

	if (!p || walk_is_dots(name->p, name->n))
		return true;
	if (type == IS_FOLDER)
		return walk_later(f->walk, name, number, e);
	if (type == IS_FILE)
		return f->walk->name(f->walk->ctx, name, e) &&
		       inode_tell(f, number, WALK_FILE, e);
	return (get_le16(p) & TYPE_MASK) != TYPE_LINK || inode_tell(f, number, WALK_NAMES, e);
}

/* One block of a folder.  The indexes of large ones look like entries without an inode. */
static bool block_walk(struct ext4 *f, uint32_t folder, const uint8_t *p, size_t n,
		       struct err *e)
{
	for (size_t at = 0, step; n - at >= DIRENT && f->walk->entries; at += step) {
		const uint8_t *d = p + at;
		const struct walk_name name = { .p = d + DIRENT,
						.n = d[6],
						.folder = folder,
						.is_folder = d[7] == IS_FOLDER };

		step = get_le16(d + 4);
		if (step < DIRENT + name.n || step > n - at)
			break;
		f->walk->entries--;
		if (!entry_take(f, &name, get_le32(d), d[7], e))
			return false;
	}
	return true;
}

static bool folder_run(struct ext4 *f, const void *ctx, uint64_t block, uint64_t n,
		       uint64_t in_file, struct err *e)
{
	const struct walk_folder *folder = ctx;
	uint64_t all = f->n >> f->block_log;

	if (!blocks_tell(f, WALK_NAMES, block, n, in_file, e))
		return false;
	for (uint64_t i = 0; i < n && block + i < all && f->walk->entries; i++) {
		f->walk->entries--;
		if (!block_walk(f, folder->number, f->p + ((block + i) << f->block_log),
				(size_t)1 << f->block_log, e))
			return false;
	}
	return true;
}

static bool root_tell(struct ext4 *f, struct err *e)
{
	const struct walk_name root = { .p = f->p,
					.folder = WALK_NO_FOLDER,
					.is_folder = true };

	return walk_later(f->walk, &root, ROOT, e);
}

bool walk_ext4(struct walk *w, const uint8_t *image, uint64_t size, uint64_t at, struct err *e)
{
	struct ext4 f = { .p = image + at, .n = size - at, .base = at, .walk = w };
	struct walk_folder folder;

	if (size < at || f.n < 2 * SUPER || !super_read(&f))
		return true;
	if (!groups_tell(&f, e) || !inode_tell(&f, JOURNAL, WALK_SUPER, e) || !root_tell(&f, e))
		return false;
	while (walk_next(w, &folder))
		if (!runs_walk(&f, (uint32_t)folder.inode, folder_run, &folder, e))
			return false;
	return true;
}
