#include "tests/support/erofs.h"
#include "base/bytes.h"

#include <stdlib.h>

enum {
	SUPER = 1024,
	INODE = 32,
	INLINE = 2,
	FILES_PER_BLOCK = 100,
	DIRENT = 12,
	MODE_FILE = 0100644,
	MODE_FOLDER = 0040755,
};

static uint8_t *grow(struct erofs_maker *m, size_t n)
{
	uint8_t *p;
	struct err e;

	if (!buf_reserve(&m->image, n, &p, &e))
		abort();
	memset(p, 0, n);
	buf_commit(&m->image, n);
	return p;
}

static void align(struct erofs_maker *m, size_t to)
{
	grow(m, (to - m->image.n % to) % to);
}

void erofs_begin(struct erofs_maker *m)
{
	memset(m, 0, sizeof(*m));
	m->image = BUF_INIT(1 << 28);
	grow(m, EROFS_BLOCK + EROFS_FAR);
	m->far = EROFS_BLOCK;
}

void erofs_fill(struct erofs_maker *m, const void *p, size_t n)
{
	align(m, EROFS_BLOCK);
	memcpy(grow(m, n), p, n);
	align(m, EROFS_BLOCK);
}

/* An inode and its end at `at`, which is there already. */
static uint64_t put_inode(struct erofs_maker *m, size_t at, unsigned mode, size_t size,
			  uint64_t blocks, const uint8_t *end, size_t end_n)
{
	uint8_t *p = m->image.p + at;

	put_le16(p, end ? INLINE << 1 : 0);
	put_le16(p + 4, (uint16_t)mode);
	put_le16(p + 6, 1);
	put_le32(p + 8, (uint32_t)size);
	put_le32(p + 16, (uint32_t)(blocks / EROFS_BLOCK));
	put_le32(p + 20, m->n + 1);
	if (end_n)
		memcpy(p + INODE, end, end_n);
	return at / INODE;
}

/* Room for an inode and its end at the image's end, within one block. */
static size_t inode_room(struct erofs_maker *m, size_t end_n)
{
	align(m, INODE);
	if (m->image.n % EROFS_BLOCK + INODE + end_n > EROFS_BLOCK)
		align(m, EROFS_BLOCK);
	size_t at = m->image.n;
	grow(m, INODE + end_n);
	return at;
}

static size_t far_room(struct erofs_maker *m, size_t end_n)
{
	m->far = (m->far + INODE - 1) / INODE * INODE;
	if (m->far % EROFS_BLOCK + INODE + end_n > EROFS_BLOCK)
		m->far = (m->far + EROFS_BLOCK - 1) / EROFS_BLOCK * EROFS_BLOCK;
	size_t at = m->far;
	m->far += INODE + end_n;
	if (m->far > EROFS_BLOCK + EROFS_FAR)
		abort();
	return at;
}

void erofs_add(struct erofs_maker *m, const void *bytes, size_t n, enum erofs_order order)
{
	const uint8_t *p = bytes;
	size_t end_n = order == EROFS_END_NOWHERE ? 0 : n % EROFS_BLOCK, at = 0;
	unsigned file = m->n;
	uint64_t blocks;

	if (end_n + INODE > EROFS_BLOCK) { /* as mkfs.erofs does */
		order = EROFS_END_NOWHERE;
		end_n = 0;
	}
	if (order == EROFS_END_FIRST)
		at = inode_room(m, end_n);
	else if (order == EROFS_END_FAR)
		at = far_room(m, end_n);
	align(m, EROFS_BLOCK);
	blocks = m->image.n;
	memcpy(grow(m, n - end_n), p, n - end_n);
	align(m, EROFS_BLOCK);
	if (order == EROFS_END_LAST) {
		m->late[m->n_late].blocks = blocks;
		m->late[m->n_late].size = n;
		m->late[m->n_late].file = file;
		memcpy(m->late[m->n_late++].end, p + n - end_n, end_n);
	} else {
		if (at == 0)
			at = inode_room(m, end_n);
		m->nids[file] =
			put_inode(m, at, MODE_FILE, n, blocks,
				  order == EROFS_END_NOWHERE ? NULL : p + n - end_n, end_n);
	}
	m->n++;
}

/* One block of the root folder: entries, then names. */
static void put_names(const struct erofs_maker *m, uint8_t *p, unsigned from, unsigned to,
		      uint64_t root)
{
	unsigned extra = from == 0 ? 2 : 0, n = to - from + extra;
	size_t name = n * DIRENT;

	for (unsigned i = 0; i < n; i++) {
		bool is_dots = i < extra;
		unsigned file = from + i - extra, n_name = is_dots ? i + 1 : 4;

		put_le64(p + i * DIRENT, is_dots ? root : m->nids[file]);
		put_le16(p + i * DIRENT + 8, (uint16_t)name);
		p[i * DIRENT + 10] = is_dots ? 2 : 1;
		for (unsigned k = 0; k < n_name; k++, file /= 10)
			p[name++] = is_dots ? '.' : (uint8_t)('0' + file % 10);
	}
}

struct buf erofs_end(struct erofs_maker *m)
{
	size_t root, at;
	unsigned blocks = m->n / FILES_PER_BLOCK + 1;

	for (unsigned i = 0; i < m->n_late; i++) {
		size_t end_n = m->late[i].size % EROFS_BLOCK;

		at = inode_room(m, end_n);
		m->nids[m->late[i].file] = put_inode(m, at, MODE_FILE, m->late[i].size,
						     m->late[i].blocks, m->late[i].end, end_n);
	}
	root = EROFS_BLOCK - INODE; /* its number has 16 bits only */
	align(m, EROFS_BLOCK);
	at = m->image.n;
	grow(m, (size_t)blocks * EROFS_BLOCK);
	for (unsigned i = 0; i < blocks; i++) {
		unsigned to = (i + 1) * FILES_PER_BLOCK;

		put_names(m, m->image.p + at + (size_t)i * EROFS_BLOCK, i * FILES_PER_BLOCK,
			  to < m->n ? to : m->n, root / INODE);
	}
	put_inode(m, root, MODE_FOLDER, (size_t)blocks * EROFS_BLOCK, at, NULL, 0);
	put_le32(m->image.p + SUPER, 0xe0f5e1e2);
	m->image.p[SUPER + 12] = 12;
	put_le16(m->image.p + SUPER + 14, (uint16_t)(root / INODE));
	put_le32(m->image.p + SUPER + 36, (uint32_t)(m->image.n / EROFS_BLOCK));
	return m->image;
}
