/* Read-only file systems: erofs (fs/erofs/erofs_fs.h) and squashfs 4.0 (fs/squashfs/squashfs_fs.h). */
#include "admin-cli/image_priv.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <string.h>

enum {
	EROFS_ZERO_PADDING = 0x1, /* set by whatever compresses */
	EROFS_COMPR_CFGS = 0x2,
	EROFS_ZTAILPACKING = 0x10,
	EROFS_FRAGMENTS = 0x20,
	SQUASHFS_INODES_PLAIN = 0x1,
	SQUASHFS_DATA_PLAIN = 0x2,
	SQUASHFS_FRAGMENTS_PLAIN = 0x8,
	SQUASHFS_NO_FRAGMENTS = 0x10,
};

void image_erofs(const struct image_in *in, const uint8_t sb[static 128])
{
	struct image_part *p = image_part_of(in);
	uint32_t incompat = get_le32(sb + 80);
	uint64_t blocks = get_le32(sb + 36);

	p->kind = IMAGE_EROFS;
	if (sb[12] < 9 || sb[12] > 16 || blocks > in->size >> sb[12]) {
		image_found(in, IMAGE_F_DAMAGED, 0, "the superblock does not fit the image");
		return;
	}
	p->block_bytes = 1u << sb[12];
	p->made_s = (int64_t)(get_le64(sb + 24) & INT64_MAX);
	p->has_uuid = true;
	memcpy(p->uuid, sb + 48, 16);
	if (incompat &
	    (EROFS_ZERO_PADDING | EROFS_COMPR_CFGS | EROFS_ZTAILPACKING | EROFS_FRAGMENTS))
		image_found(in, IMAGE_F_COMPRESSED_FS, blocks << sb[12],
			    "files in it are compressed");
}

void image_squashfs(const struct image_in *in, const uint8_t sb[static 96])
{
	static const char *const names[] = { "nothing", "gzip", "lzma", "lzo",
					     "xz",      "lz4",  "zstd" };
	struct image_part *p = image_part_of(in);
	unsigned by = get_le16(sb + 20), flags = get_le16(sb + 24);
	uint64_t used = get_le64(sb + 40);

	p->kind = IMAGE_SQUASHFS;
	if (used > in->size || get_le16(sb + 28) != 4) {
		image_found(in, IMAGE_F_DAMAGED, 0, "the superblock does not fit the image");
		return;
	}
	p->block_bytes = get_le32(sb + 12);
	p->made_s = get_le32(sb + 8);
	if (!(flags & SQUASHFS_INODES_PLAIN) || !(flags & SQUASHFS_DATA_PLAIN) ||
	    !(flags & (SQUASHFS_FRAGMENTS_PLAIN | SQUASHFS_NO_FRAGMENTS)))
		image_found(in, IMAGE_F_COMPRESSED_FS, used, "packed with %s",
			    by < ARRAY_SIZE(names) ? names[by] : "something unknown");
}
