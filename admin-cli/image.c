#include "admin-cli/image_priv.h"

#include "base/bytes.h"
#include "base/io.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	SECTOR = 512,
	BLOCK = 4096,
	CHUNK = 256 * 1024,
	HEAD = 4096, /* all superblocks and the beginning of GPT lie in it */
	GPT_ENTRY_MAX = 4096,
	GPT_ENTRIES_MAX = 128,
	MBR_ENTRIES = 4,
	MBR_PROTECTIVE = 0xee,
};

const char *image_kind_text(enum image_kind k)
{
	static const char *const texts[] = {
#define XX(name, text) text,
		IMAGE_KIND_MAP(XX)
#undef XX
	};
	return texts[k];
}

static const struct {
	const char *word, *advice;
} finding_texts[] = {
#define XX(name, word, advice) { word, advice },
	IMAGE_FINDING_MAP(XX)
#undef XX
};

const char *image_finding_word(enum image_finding_id id)
{
	return finding_texts[id].word;
}

const char *image_finding_advice(enum image_finding_id id)
{
	return finding_texts[id].advice;
}

/* ---- what the readers of formats use ---- */

struct image_part *image_part_of(const struct image_in *in)
{
	return &in->report->parts[in->part];
}

static void found(struct image_report *r, unsigned part, enum image_finding_id id,
		  uint64_t bytes, const char *text)
{
	if (r->n_findings == IMAGE_FINDINGS_MAX)
		return;
	struct image_finding *f = &r->findings[r->n_findings++];
	*f = (struct image_finding){ .id = id, .part = part, .bytes = bytes };
	snprintf(f->text, sizeof(f->text), "%s", text);
}

void image_found(const struct image_in *in, enum image_finding_id id, uint64_t bytes,
		 const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	found(in->report, in->part, id, bytes, text);
}

bool image_read(const struct image_in *in, uint64_t at, void *p, size_t n, bool *ret_there,
		struct err *e)
{
	*ret_there = at <= in->size && n <= in->size - at;
	return !*ret_there || pread_all(in->fd, p, n, in->offset + at, e);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

bool image_dirty_bytes(const struct image_in *in, uint64_t at, uint64_t n, uint32_t block_bytes,
		       uint64_t *ret, struct err *e)
{
	uint8_t chunk[CHUNK];
	uint64_t dirty = 0;

	for (uint64_t done = 0; done < n;) {
		size_t part = n - done < CHUNK ? (size_t)(n - done) : CHUNK;
		bool there = false;

		if (!image_read(in, at + done, chunk, part, &there, e))
			return false;
		if (!there)
			break;
		for (size_t i = 0; i < part; i += block_bytes)
			dirty += is_zero(chunk + i, block_bytes) ? 0 : block_bytes;
		done += part;
	}
	*ret = dirty;
	return true;
}

/* ---- packed files, by their first bytes ---- */

static const struct {
	enum image_kind kind;
	uint8_t n, magic[6];
} magics[] = {
	{ IMAGE_GZIP, 3, { 0x1f, 0x8b, 8 } },
	{ IMAGE_XZ, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
	{ IMAGE_ZSTD, 4, { 0x28, 0xb5, 0x2f, 0xfd } },
	{ IMAGE_LZ4, 4, { 0x04, 0x22, 0x4d, 0x18 } },
	{ IMAGE_BZIP2, 3, { 'B', 'Z', 'h' } },
	{ IMAGE_QCOW2, 4, { 'Q', 'F', 'I', 0xfb } },
	{ IMAGE_SPARSE, 4, { 0x3a, 0xff, 0x26, 0xed } },
};

static enum image_kind kind_of(const uint8_t *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (memcmp(p, magics[i].magic, magics[i].n) == 0)
			return magics[i].kind;
	return IMAGE_RAW;
}

/* What deltas do not see through; gzip they do. */
static bool is_opaque(enum image_kind k)
{
	return k == IMAGE_XZ || k == IMAGE_ZSTD || k == IMAGE_LZ4 || k == IMAGE_BZIP2;
}

/* One pass over the part: zeros, and files that begin at a block. */
static bool blocks_look(const struct image_in *in, struct err *e)
{
	uint64_t files[IMAGE_KINDS] = { 0 };
	uint8_t chunk[CHUNK];

	for (uint64_t at = 0; at < in->size; at += CHUNK) {
		uint64_t left = in->size - at;
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (!pread_all(in->fd, chunk, n, in->offset + at, e))
			return false;
		for (size_t i = 0; i < n; i += BLOCK) {
			size_t part = n - i < BLOCK ? n - i : BLOCK;

			if (is_zero(chunk + i, part))
				in->report->zero_bytes += part;
			else if (part >= sizeof(magics[0].magic) && at + i > 0)
				files[kind_of(chunk + i)]++;
		}
	}
	for (unsigned k = 0; k < IMAGE_KINDS; k++)
		if (is_opaque(k) && files[k])
			image_found(in, IMAGE_F_PACKED_FILES, 0, "%" PRIu64 " files in %s",
				    files[k], image_kind_text(k));
	return true;
}

/* ---- one part ---- */

static bool is_kernel(const uint8_t *head)
{
	return memcmp(head + 0x202, "HdrS", 4) == 0;
}

static void file_look(const struct image_in *in, enum image_kind kind)
{
	image_part_of(in)->kind = kind;
	if (kind == IMAGE_QCOW2 || kind == IMAGE_SPARSE)
		image_found(in, IMAGE_F_CONTAINER, in->size,
			    "a container, not the disk itself");
	else if (kind == IMAGE_KERNEL)
		image_found(in, IMAGE_F_KERNEL, in->size, "a kernel that unpacks itself");
	else
		image_found(in, IMAGE_F_PACKED, in->size, "packed as a whole");
}

/* *ret_known: it is something with its own structure, in which files may begin anywhere. */
static bool part_look(const struct image_in *in, const uint8_t head[static HEAD], struct err *e)
{
	enum image_kind kind = kind_of(head);

	if (get_le16(head + 1024 + 0x38) == 0xef53)
		return image_ext4(in, head + 1024, e);
	if (get_le32(head + 1024) == 0xe0f5e1e2)
		image_erofs(in, head + 1024);
	else if (memcmp(head, "hsqs", 4) == 0)
		image_squashfs(in, head);
	else if (kind != IMAGE_RAW || is_kernel(head))
		file_look(in, kind != IMAGE_RAW ? kind : IMAGE_KERNEL);
	return true;
}

/* A short image reads as if zeros followed. */
static bool head_read(const struct image_in *in, uint8_t head[static HEAD], struct err *e)
{
	size_t n = in->size < HEAD ? (size_t)in->size : HEAD;

	memset(head, 0, HEAD);
	return pread_all(in->fd, head, n, in->offset, e);
}

/* ---- partitions ---- */

static bool part_add(const struct image_in *in, unsigned number, uint64_t first, uint64_t n,
		     struct err *e)
{
	struct image_report *r = in->report;
	uint64_t sectors = in->size / SECTOR;
	uint8_t head[HEAD];

	if (r->n_parts == IMAGE_PARTS_MAX)
		return true;
	if (n == 0 || first > sectors || n > sectors - first) {
		image_found(in, IMAGE_F_DAMAGED, 0, "partition %u lies outside", number);
		return true;
	}
	struct image_in part = { .fd = in->fd,
				 .report = r,
				 .part = r->n_parts++,
				 .offset = first * SECTOR,
				 .size = n * SECTOR };
	*image_part_of(&part) = (struct image_part){ .number = number,
						     .offset = part.offset,
						     .size = part.size };
	return head_read(&part, head, e) && part_look(&part, head, e);
}

static bool gpt_look(const struct image_in *in, const uint8_t *gpt, struct err *e)
{
	static const uint8_t unused[16];
	uint64_t table = get_le64(gpt + 72);
	uint32_t n = get_le32(gpt + 80), entry_bytes = get_le32(gpt + 84);

	image_part_of(in)->kind = IMAGE_GPT;
	if (table > in->size / SECTOR || entry_bytes < 128 || entry_bytes > GPT_ENTRY_MAX) {
		image_found(in, IMAGE_F_DAMAGED, 0, "the partition table lies outside");
		return true;
	}
	for (uint32_t i = 0; i < n && i < GPT_ENTRIES_MAX; i++) {
		uint8_t p[128];
		bool there = false;

		if (!image_read(in, table * SECTOR + (uint64_t)i * entry_bytes, p, sizeof(p),
				&there, e))
			return false;
		if (!there || memcmp(p, unused, 16) == 0)
			continue;
		uint64_t first = get_le64(p + 32), last = get_le64(p + 40);
		if (!part_add(in, i + 1, first, last < first ? 0 : last - first + 1, e))
			return false;
	}
	return true;
}

static bool mbr_look(const struct image_in *in, const uint8_t *head, struct err *e)
{
	image_part_of(in)->kind = IMAGE_MBR;
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		const uint8_t *p = head + 446 + 16 * (size_t)i;

		if (p[4] && !part_add(in, i + 1, get_le32(p + 8), get_le32(p + 12), e))
			return false;
	}
	return true;
}

/* A boot sector whose entries are plausible: the signature alone stands in boot loaders too. */
static bool is_mbr(const uint8_t *head)
{
	unsigned used = 0;

	if (get_le16(head + 510) != 0xaa55 || is_kernel(head))
		return false;
	for (unsigned i = 0; i < MBR_ENTRIES; i++) {
		const uint8_t *p = head + 446 + 16 * (size_t)i;

		if ((p[0] & 0x7f) || p[4] == MBR_PROTECTIVE)
			return false;
		used += p[4] && get_le32(p + 12);
	}
	return used > 0;
}

bool image_check(struct image_report *ret, int fd, struct err *e)
{
	uint8_t head[HEAD];
	struct image_in in = { .fd = fd, .report = ret };

	*ret = (struct image_report){ .n_parts = 1 };
	if (!fd_size(fd, &ret->size, e))
		return false;
	in.size = ret->parts[0].size = ret->size;
	if (!head_read(&in, head, e) || !blocks_look(&in, e))
		return false;
	if (memcmp(head + SECTOR, "EFI PART", 8) == 0)
		return gpt_look(&in, head + SECTOR, e);
	if (is_mbr(head))
		return mbr_look(&in, head, e);
	return part_look(&in, head, e);
}

/* ---- two builds ---- */

void image_compare(struct image_report *now, const struct image_report *before)
{
	for (unsigned i = 0; i < now->n_parts && i < before->n_parts; i++) {
		const struct image_part *a = &before->parts[i], *b = &now->parts[i];

		if (a->kind != b->kind || a->block_bytes != b->block_bytes) {
			found(now, i, IMAGE_F_CHANGING_KIND, 0,
			      "the previous image has another format or block size");
			continue;
		}
		if (a->has_uuid && memcmp(a->uuid, b->uuid, 16) != 0)
			found(now, i, IMAGE_F_CHANGING_UUID, 0,
			      "its UUID is not that of the previous image");
		if (a->has_seed && memcmp(a->seed, b->seed, 16) != 0)
			found(now, i, IMAGE_F_CHANGING_SEED, 0,
			      "its directories are hashed with another seed");
		if (a->made_s != b->made_s)
			found(now, i, IMAGE_F_CHANGING_TIME, 0,
			      "it carries the time when it was made");
	}
}
