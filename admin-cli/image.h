/* admin-cli/image.h - what an image is made of, and what in it makes deltas larger than they need be.
 *
 * Only the bytes are looked at: superblocks, bitmaps of free blocks, and the first bytes of each 4 KiB
 * block, where files begin.  So no file system is mounted, no directory is read, and a
 * hostile image costs at most two passes over its bytes.
 *
 *	struct image_report now, before;
 *	if (!image_check(&now, fd, e)) ...           // E_SYSTEM: cannot be read; nothing else
 *	if (has_previous && image_check(&before, previous_fd, e))
 *		image_compare(&now, &before);        // seeds that change with every build
 *
 * What does not make sense (a file system larger than its image, groups outside of it) is a
 * finding, no error.  Formats: ext4 as in the kernel's Documentation/filesystems/ext4, erofs and squashfs
 * as in their kernel headers, GPT as in UEFI 2.10, 5.3. */
#ifndef VALISE_ADMIN_CLI_IMAGE_H
#define VALISE_ADMIN_CLI_IMAGE_H

#include "base/err.h"

#define IMAGE_KIND_MAP(XX)                 \
	XX(RAW, "no format that we know")  \
	XX(EXT4, "ext4")                   \
	XX(EROFS, "erofs")                 \
	XX(SQUASHFS, "squashfs")           \
	XX(GPT, "GPT partitions")          \
	XX(MBR, "MBR partitions")          \
	XX(KERNEL, "compressed kernel")    \
	XX(QCOW2, "qcow2")                 \
	XX(SPARSE, "Android sparse image") \
	XX(GZIP, "gzip")                   \
	XX(XZ, "xz")                       \
	XX(ZSTD, "zstd")                   \
	XX(LZ4, "lz4")                     \
	XX(BZIP2, "bzip2")

enum image_kind {
#define XX(name, text) IMAGE_##name,
	IMAGE_KIND_MAP(XX)
#undef XX
		IMAGE_KINDS
};

/* What is found, its name for programs, and what to do about it. */
#define IMAGE_FINDING_MAP(XX)                                                                        \
	XX(PACKED, "packed",                                                                         \
	   "ship it unpacked: transport compresses by itself, and packed bytes all change")          \
	XX(CONTAINER, "container", "convert it: qemu-img convert -O raw, or simg2img")               \
	XX(KERNEL, "kernel", "ship the ELF file that is inside, as extract-vmlinux prints it")       \
	XX(FREE_BLOCKS, "free-blocks",                                                               \
	   "zero them: build afresh from a tree (mke2fs -d), or run zerofree")                       \
	XX(JOURNAL, "journal", "make it without: mke2fs -O ^has_journal; nothing is written")        \
	XX(UNCLEAN, "unclean", "unmount it, or run e2fsck -f, before it is published")               \
	XX(MOUNTED, "mounted",                                                                       \
	   "build afresh from a tree (mke2fs -d): updates in place leave blocks in disorder")        \
	XX(COMPRESSED_FS, "compressed-fs",                                                           \
	   "make it without compression (mkfs.erofs without -z): small changes stay small")          \
	XX(PACKED_FILES, "packed-files",                                                             \
	   "unpack them (modules, firmware, manual pages): deltas see through gzip only")            \
	XX(CHANGING_UUID, "changing-uuid", "give all builds one: mkfs -U UUID")                      \
	XX(CHANGING_SEED, "changing-seed", "give all builds one: mke2fs -E hash_seed=UUID")          \
	XX(CHANGING_TIME, "changing-time",                                                           \
	   "fix it: SOURCE_DATE_EPOCH or E2FSPROGS_FAKE_TIME, mkfs.erofs -T, mksquashfs -mkfs-time") \
	XX(CHANGING_KIND, "changing-kind",                                                           \
	   "keep one format and block size: files lie elsewhere")                                    \
	XX(DAMAGED, "damaged", "build it again: it is cut off or contradicts itself")

enum image_finding_id {
#define XX(name, word, advice) IMAGE_F_##name,
	IMAGE_FINDING_MAP(XX)
#undef XX
		IMAGE_FINDINGS
};

struct image_finding {
	enum image_finding_id id;
	unsigned part;  /* index in parts */
	uint64_t bytes; /* concerned; 0 when that says nothing */
	char text[128]; /* what was found */
};

/* The image itself, or a partition of it. */
struct image_part {
	enum image_kind kind;
	unsigned number; /* of the partition; 0: the image */
	uint64_t offset, size;
	uint32_t block_bytes; /* 0: has none */
	uint64_t free_bytes;  /* of a file system that is written to */
	int64_t made_s;       /* when, as the superblock says; 0: not said */
	bool has_uuid, has_seed;
	uint8_t uuid[16], seed[16];
};

enum { IMAGE_PARTS_MAX = 33, IMAGE_FINDINGS_MAX = 128 };

struct image_report {
	uint64_t size, zero_bytes; /* blocks of zeros */
	struct image_part parts[IMAGE_PARTS_MAX];
	unsigned n_parts;
	struct image_finding findings[IMAGE_FINDINGS_MAX]; /* more are dropped */
	unsigned n_findings;
};

const char *image_kind_text(enum image_kind k);
const char *image_finding_word(enum image_finding_id id);
const char *image_finding_advice(enum image_finding_id id);

bool image_check(struct image_report *ret, int fd, struct err *e) MUST_USE;

/* Adds what changed from one build to the next without need, part by part. */
void image_compare(struct image_report *now, const struct image_report *before);

#endif
