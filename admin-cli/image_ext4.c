/* ext4: where the free blocks are and what they hold.  Offsets as in the kernel's documentation of
 * struct ext4_super_block and struct ext4_group_desc. */
#include "admin-cli/image_priv.h"

#include "base/bytes.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

enum {
	COMPAT_JOURNAL = 0x4,
	COMPAT_SPARSE_SUPER2 = 0x200,
	INCOMPAT_RECOVER = 0x4,
	INCOMPAT_META_BG = 0x10,
	INCOMPAT_64BIT = 0x80,
	RO_SPARSE_SUPER = 0x1,
	RO_BIGALLOC = 0x200,
	STATE_CLEAN = 1,
	GROUP_BLOCK_UNINIT = 0x2,
	BLOCK_MAX = 65536,
	GROUP_MIN = 256, /* blocks; as mke2fs demands */
};

struct ext4 {
	const struct image_in *in;
	uint64_t blocks, free_blocks;
	uint32_t first, block_bytes, group_blocks, inodes_per_group, inode_bytes, desc_bytes;
	uint32_t reserved_gdt, compat, incompat, ro_compat;
	uint64_t groups, gdt_blocks;
	uint8_t bitmap[BLOCK_MAX]; /* of the group at hand */
	uint64_t dirty_bytes;
};

static uint64_t pair(uint32_t low, uint32_t high)
{
	return low | (uint64_t)high << 32;
}

/* False when it contradicts itself. */
static bool super_take(struct ext4 *x, const uint8_t *sb)
{
	bool is_64 = get_le32(sb + 0x60) & INCOMPAT_64BIT;
	uint32_t log = get_le32(sb + 0x18);

	if (log > 6)
		return false;
	x->block_bytes = 1024u << log;
	x->blocks = pair(get_le32(sb + 0x04), is_64 ? get_le32(sb + 0x150) : 0);
	x->free_blocks = pair(get_le32(sb + 0x0c), is_64 ? get_le32(sb + 0x158) : 0);
	x->first = get_le32(sb + 0x14);
	x->group_blocks = get_le32(sb + 0x20);
	x->inodes_per_group = get_le32(sb + 0x28);
	x->inode_bytes = get_le32(sb + 0x4c) ? get_le16(sb + 0x58) : 128;
	x->desc_bytes = is_64 ? get_le16(sb + 0xfe) : 32;
	x->reserved_gdt = get_le16(sb + 0xce);
	x->compat = get_le32(sb + 0x5c);
	x->incompat = get_le32(sb + 0x60);
	x->ro_compat = get_le32(sb + 0x64);
	if (x->first > 1 || x->blocks <= x->first || x->group_blocks < GROUP_MIN ||
	    x->group_blocks > 8 * x->block_bytes || x->desc_bytes < 32 ||
	    x->desc_bytes > 1024 || x->free_blocks > x->blocks)
		return false;
	x->groups = (x->blocks - x->first + x->group_blocks - 1) / x->group_blocks;
	x->gdt_blocks = (x->groups * x->desc_bytes + x->block_bytes - 1) / x->block_bytes;
	return x->blocks <= x->in->size / x->block_bytes;
}

static bool is_power_of(uint64_t n, unsigned base)
{
	while (n % base == 0)
		n /= base;
	return n == 1;
}

/* Whether a copy of the superblock and of the descriptors begins this group. */
static bool has_super(const struct ext4 *x, uint64_t group)
{
	if (group == 0 || !(x->ro_compat & RO_SPARSE_SUPER))
		return true;
	return group == 1 || is_power_of(group, 3) || is_power_of(group, 5) ||
	       is_power_of(group, 7);
}

static void mark(struct ext4 *x, uint64_t group, uint64_t block, uint64_t n)
{
	uint64_t start = x->first + group * x->group_blocks;

	for (uint64_t i = 0; i < n && i < x->group_blocks; i++)
		if (block + i >= start && block + i - start < x->group_blocks)
			x->bitmap[(block + i - start) / 8] |=
				(uint8_t)(1u << (block + i - start) % 8);
}

/* A group without a bitmap: only its own metadata is in use. */
static void bitmap_make(struct ext4 *x, uint64_t group, uint64_t bitmap, uint64_t inode_bitmap,
			uint64_t inode_table)
{
	memset(x->bitmap, 0, sizeof(x->bitmap));
	if (has_super(x, group))
		mark(x, group, x->first + group * x->group_blocks,
		     1 + x->gdt_blocks + x->reserved_gdt);
	mark(x, group, bitmap, 1);
	mark(x, group, inode_bitmap, 1);
	mark(x, group, inode_table,
	     ((uint64_t)x->inodes_per_group * x->inode_bytes + x->block_bytes - 1) /
		     x->block_bytes);
}

/* Counts what is not zero in the group's free blocks, run by run. */
static bool group_scan(struct ext4 *x, uint64_t group, struct err *e)
{
	uint64_t start = x->first + group * x->group_blocks;
	uint64_t n = x->blocks - start < x->group_blocks ? x->blocks - start : x->group_blocks;

	for (uint64_t i = 0; i < n;) {
		uint64_t run = 0, dirty = 0;

		while (i + run < n && !(x->bitmap[(i + run) / 8] >> (i + run) % 8 & 1))
			run++;
		if (run && !image_dirty_bytes(x->in, (start + i) * x->block_bytes,
					      run * x->block_bytes, x->block_bytes, &dirty, e))
			return false;
		x->dirty_bytes += dirty;
		i += run + 1;
	}
	return true;
}

/* *ret_there: false when its descriptor or bitmap lie outside. */
static bool group_look(struct ext4 *x, uint64_t group, bool *ret_there, struct err *e)
{
	uint64_t gdt = (uint64_t)(x->first + 1) * x->block_bytes;
	uint8_t d[64] = { 0 };
	size_t n = x->desc_bytes < sizeof(d) ? x->desc_bytes : sizeof(d);

	if (!image_read(x->in, gdt + group * x->desc_bytes, d, n, ret_there, e))
		return false;
	if (!*ret_there)
		return true;
	uint64_t bitmap = pair(get_le32(d), get_le32(d + 0x20));
	if (get_le16(d + 0x12) & GROUP_BLOCK_UNINIT) {
		bitmap_make(x, group, bitmap, pair(get_le32(d + 4), get_le32(d + 0x24)),
			    pair(get_le32(d + 8), get_le32(d + 0x28)));
	} else {
		if (bitmap >= x->blocks) {
			*ret_there = false;
			return true;
		}
		if (!image_read(x->in, bitmap * x->block_bytes, x->bitmap, x->block_bytes,
				ret_there, e))
			return false;
	}
	return group_scan(x, group, e);
}

static bool free_blocks_look(struct ext4 *x, struct err *e)
{
	for (uint64_t g = 0; g < x->groups; g++) {
		bool there = false;

		if (!group_look(x, g, &there, e))
			return false;
		if (!there) {
			image_found(x->in, IMAGE_F_DAMAGED, 0,
				    "group %" PRIu64 " lies outside the file system", g);
			return true;
		}
	}
	if (x->dirty_bytes)
		image_found(x->in, IMAGE_F_FREE_BLOCKS, x->dirty_bytes,
			    "free blocks hold old bytes");
	return true;
}

static void history_look(const struct ext4 *x, const uint8_t *sb)
{
	if (x->compat & COMPAT_JOURNAL)
		image_found(x->in, IMAGE_F_JOURNAL, 0, "there is a journal");
	if ((x->incompat & INCOMPAT_RECOVER) || !(get_le16(sb + 0x3a) & STATE_CLEAN))
		image_found(x->in, IMAGE_F_UNCLEAN, 0, "it was not unmounted");
	if (get_le16(sb + 0x34) || get_le32(sb + 0x2c))
		image_found(x->in, IMAGE_F_MOUNTED, 0, "it was mounted to be written to");
}

bool image_ext4(const struct image_in *in, const uint8_t sb[static 1024], struct err *e)
{
	struct image_part *p = image_part_of(in);
	struct ext4 x = { .in = in };

	p->kind = IMAGE_EXT4;
	if (!super_take(&x, sb)) {
		image_found(in, IMAGE_F_DAMAGED, 0, "the superblock does not fit the image");
		return true;
	}
	p->block_bytes = x.block_bytes;
	p->free_bytes = x.free_blocks * x.block_bytes;
	p->made_s = get_le32(sb + 0x108);
	p->has_uuid = p->has_seed = true;
	memcpy(p->uuid, sb + 0x68, 16);
	memcpy(p->seed, sb + 0xec, 16);
	history_look(&x, sb);
	/* Other layouts of descriptors and bitmaps, which no image of ours has. */
	if ((x.incompat & INCOMPAT_META_BG) || (x.ro_compat & RO_BIGALLOC) ||
	    (x.compat & COMPAT_SPARSE_SUPER2))
		return true;
	return free_blocks_look(&x, e);
}
