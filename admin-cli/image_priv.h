/* admin-cli/image_priv.h - what the readers of the formats share. */
#ifndef VALISE_ADMIN_CLI_IMAGE_PRIV_H
#define VALISE_ADMIN_CLI_IMAGE_PRIV_H

#include "admin-cli/image.h"

/* The part that is read now: all offsets are its own. */
struct image_in {
	int fd;
	struct image_report *report;
	unsigned part;
	uint64_t offset, size;
};

/* Exactly n bytes; *ret_there false, and no error, when they lie outside the part. */
bool image_read(const struct image_in *in, uint64_t at, void *p, size_t n, bool *ret_there,
		struct err *e) MUST_USE;
/* How many of the n bytes at `at`, in units of block_bytes, hold anything but zeros. */
bool image_dirty_bytes(const struct image_in *in, uint64_t at, uint64_t n, uint32_t block_bytes,
		       uint64_t *ret, struct err *e) MUST_USE;

struct image_part *image_part_of(const struct image_in *in);
void image_found(const struct image_in *in, enum image_finding_id id, uint64_t bytes,
		 const char *fmt, ...) PRINTF(4, 5);

/* These look at a superblock that has their magic number. */
bool image_ext4(const struct image_in *in, const uint8_t sb[static 1024],
		struct err *e) MUST_USE;
void image_erofs(const struct image_in *in, const uint8_t sb[static 128]);
void image_squashfs(const struct image_in *in, const uint8_t sb[static 96]);

#endif
