#include "proto/verity.h"

#include "base/limits.h"
#include "proto/verity_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(LIMIT_COMPONENT_SIZE / VERITY_BLOCK <= UINT64_C(1) << (7 * VERITY_MAX_LEVELS),
	       "128 digests in a block: 7 bits of a block's number for each level");

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* ---- geometry ---- */

bool verity_geo_init(struct verity_geo *ret, uint64_t size, struct err *e)
{
	struct verity_geo g = { .size = size };
	uint64_t below, at = 0;

	if (size > LIMIT_COMPONENT_SIZE)
		return err_set(e, E_TOO_BIG, "%" PRIu64 " bytes, at most %" PRIu64, size,
			       LIMIT_COMPONENT_SIZE);
	g.blocks = size ? div_up(size, VERITY_BLOCK) : 1;
	g.padded_size = g.blocks * VERITY_BLOCK;
	g.groups = div_up(g.blocks, VERITY_GROUP_BLOCKS);
	for (below = g.blocks; below > 1; below = g.level_blocks[g.levels++])
		g.level_blocks[g.levels] = div_up(below, VERITY_GROUP_BLOCKS);
	for (unsigned l = g.levels; l-- > 0; at += g.level_blocks[l])
		g.level_start[l] = at;
	g.area_size = at * VERITY_BLOCK;
	g.upper_size = g.levels ? g.level_start[0] * VERITY_BLOCK : 0;
	*ret = g;
	return true;
}

size_t verity_group_blocks(const struct verity_geo *g, uint64_t group)
{
	uint64_t left = g->blocks - group * VERITY_GROUP_BLOCKS;

	assert(group < g->groups);
	return left < VERITY_GROUP_BLOCKS ? (size_t)left : VERITY_GROUP_BLOCKS;
}

size_t verity_group_size(const struct verity_geo *g, uint64_t group)
{
	uint64_t left = g->size - group * VERITY_GROUP;

	assert(group < g->groups);
	return left < VERITY_GROUP ? (size_t)left : VERITY_GROUP;
}

uint64_t verity_leaf_offset(const struct verity_geo *g, uint64_t group)
{
	assert(g->levels > 0 && group < g->groups);
	return (g->level_start[0] + group) * VERITY_BLOCK;
}

/* ---- hashing ---- */

void verity_hash_block(uint8_t out[static SHA256_SIZE], const struct verity_hash *h,
		       const void *p)
{
	sha256_two(out, h->salt, sizeof(h->salt), p, VERITY_BLOCK);
}

void verity_hash_init(struct verity_hash *h, const uint8_t salt[static VERITY_SALT])
{
	static const uint8_t zeros[VERITY_BLOCK];

	memcpy(h->salt, salt, sizeof(h->salt));
	verity_hash_block(h->zero_digest, h, zeros);
}

static bool is_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, VERITY_BLOCK - 1) == 0;
}

/* Images are often sparse; looking for zeros costs a hundredth of hashing them. */
static void hash_data(uint8_t out[static SHA256_SIZE], const struct verity_hash *h,
		      const uint8_t *p)
{
	if (!p || is_zero(p))
		memcpy(out, h->zero_digest, SHA256_SIZE);
	else
		verity_hash_block(out, h, p);
}

void verity_leaf_make(uint8_t leaf[static VERITY_BLOCK], const struct verity_hash *h,
		      const uint8_t *p, size_t blocks)
{
	assert(blocks >= 1 && blocks <= VERITY_GROUP_BLOCKS);
	for (size_t i = 0; i < blocks; i++)
		hash_data(leaf + i * SHA256_SIZE, h, p ? p + i * VERITY_BLOCK : NULL);
	memset(leaf + blocks * SHA256_SIZE, 0, VERITY_BLOCK - blocks * SHA256_SIZE);
}

void verity_leaf_digest(uint8_t out[static SHA256_SIZE], const struct verity_geo *g,
			const struct verity_hash *h, const uint8_t leaf[static VERITY_BLOCK])
{
	if (g->levels == 0)
		memcpy(out, leaf, SHA256_SIZE);
	else
		verity_hash_block(out, h, leaf);
}

void verity_upper_make(uint8_t root[static SHA256_SIZE], uint8_t *upper,
		       const struct verity_geo *g, const struct verity_hash *h,
		       const uint8_t *group_digests)
{
	if (g->levels < 2) {
		memcpy(root, group_digests, SHA256_SIZE);
		return;
	}
	memcpy(upper + g->level_start[1] * VERITY_BLOCK, group_digests,
	       g->groups * SHA256_SIZE);
	for (unsigned l = 1; l < g->levels; l++) {
		const uint8_t *from = upper + g->level_start[l] * VERITY_BLOCK;
		uint8_t *to =
			l + 1 < g->levels ? upper + g->level_start[l + 1] * VERITY_BLOCK : root;

		for (uint64_t i = 0; i < g->level_blocks[l]; i++)
			verity_hash_block(to + i * SHA256_SIZE, h, from + i * VERITY_BLOCK);
	}
}

/* ---- streaming builder ---- */

/* Digests, one behind the other, padded to whole hash blocks when they are handed out. */
struct digests {
	uint8_t *p;
	size_t n, cap; /* in digests */
};

struct verity_build {
	struct verity_hash hash;
	bool keep_leaves, finished;
	uint64_t size;
	uint8_t block[VERITY_BLOCK]; /* the beginning of the next data block */
	size_t block_n;
	uint8_t leaf[VERITY_BLOCK];
	size_t leaf_n;         /* digests in leaf */
	struct digests data;   /* of all data blocks, with keep_leaves */
	struct digests groups; /* of all leaves */
	struct verity_geo geo; /* from here on: after finish */
	uint8_t *upper;
};

static bool digests_add(struct digests *d, const uint8_t *p, size_t n, struct err *e)
{
	if (d->cap - d->n < n) {
		size_t cap = d->cap * 2 + VERITY_GROUP_BLOCKS;
		uint8_t *grown = realloc(d->p, cap * SHA256_SIZE);

		if (!grown)
			return err_nomem(e);
		d->p = grown;
		d->cap = cap;
	}
	memcpy(d->p + d->n * SHA256_SIZE, p, n * SHA256_SIZE);
	d->n += n;
	return true;
}

bool verity_build_new(struct verity_build **ret, const uint8_t salt[static VERITY_SALT],
		      bool keep_leaves, struct err *e)
{
	struct verity_build *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(e);
	verity_hash_init(&b->hash, salt);
	b->keep_leaves = keep_leaves;
	*ret = b;
	return true;
}

void verity_build_free(struct verity_build *b)
{
	if (!b)
		return;
	free(b->data.p);
	free(b->groups.p);
	free(b->upper);
	free(b);
}

/* The leaf is full or the last one. */
static bool end_leaf(struct verity_build *b, struct err *e)
{
	uint8_t digest[SHA256_SIZE];

	memset(b->leaf + b->leaf_n * SHA256_SIZE, 0, VERITY_BLOCK - b->leaf_n * SHA256_SIZE);
	if (b->keep_leaves && !digests_add(&b->data, b->leaf, b->leaf_n, e))
		return false;
	verity_hash_block(digest, &b->hash, b->leaf);
	b->leaf_n = 0;
	return digests_add(&b->groups, digest, 1, e);
}

static bool add_block(struct verity_build *b, const uint8_t *p, struct err *e)
{
	hash_data(b->leaf + b->leaf_n++ * SHA256_SIZE, &b->hash, p);
	return b->leaf_n < VERITY_GROUP_BLOCKS || end_leaf(b, e);
}

bool verity_build_add(struct verity_build *b, const void *p, size_t n, struct err *e)
{
	const uint8_t *at = p;

	assert(!b->finished);
	if (n > LIMIT_COMPONENT_SIZE - b->size)
		return err_set(e, E_TOO_BIG, "more than %" PRIu64 " bytes",
			       LIMIT_COMPONENT_SIZE);
	b->size += n;
	while (n > 0) {
		size_t step = VERITY_BLOCK - b->block_n;

		if (b->block_n == 0 && n >= VERITY_BLOCK) {
			if (!add_block(b, at, e))
				return false;
		} else {
			step = step < n ? step : n;
			memcpy(b->block + b->block_n, at, step);
			b->block_n = (b->block_n + step) % VERITY_BLOCK;
			if (b->block_n == 0 && !add_block(b, b->block, e))
				return false;
		}
		at += step;
		n -= step;
	}
	return true;
}

/* The last, incomplete block; the one zero block of an empty file. */
static bool end_data(struct verity_build *b, struct err *e)
{
	if (b->block_n == 0 && b->size > 0)
		return true;
	memset(b->block + b->block_n, 0, VERITY_BLOCK - b->block_n);
	return add_block(b, b->block, e);
}

bool verity_build_finish(struct verity_build *b, uint8_t ret_root[static SHA256_SIZE],
			 struct err *e)
{
	uint8_t single[SHA256_SIZE];

	assert(!b->finished);
	b->finished = true;
	if (!verity_geo_init(&b->geo, b->size, e) || !end_data(b, e))
		return false;
	memcpy(single, b->leaf, sizeof(single));
	if (b->leaf_n > 0 && !end_leaf(b, e))
		return false;
	b->upper = calloc(1, b->geo.upper_size + 1);
	if (!b->upper)
		return err_nomem(e);
	assert(b->groups.n == b->geo.groups);
	verity_upper_make(ret_root, b->upper, &b->geo, &b->hash,
			  b->geo.levels ? b->groups.p : single);
	return true;
}

bool verity_build_upper(const struct verity_build *b, struct buf *out, struct err *e)
{
	assert(b->finished);
	return buf_add(out, b->upper, b->geo.upper_size, e);
}

bool verity_build_area(const struct verity_build *b, struct buf *out, struct err *e)
{
	static const uint8_t zeros[VERITY_BLOCK];
	size_t used = b->data.n * SHA256_SIZE;

	assert(b->finished && b->keep_leaves);
	if (b->geo.levels == 0)
		return true;
	return buf_add(out, b->upper, b->geo.upper_size, e) &&
	       buf_add(out, b->data.p, used, e) &&
	       buf_add(out, zeros, b->geo.area_size - b->geo.upper_size - used, e);
}

/* ---- tree ---- */

void verity_tree_free(struct verity_tree *t)
{
	if (!t)
		return;
	free(t->upper);
	free(t);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* The digests of level l's blocks stand one behind the other in the level above. */
static const uint8_t *wanted_digest(const struct verity_tree *t, unsigned l, uint64_t i)
{
	if (l + 1 >= t->geo.levels)
		return t->root;
	return t->upper + t->geo.level_start[l + 1] * VERITY_BLOCK + i * SHA256_SIZE;
}

static bool check_level(const struct verity_tree *t, unsigned l, struct err *e)
{
	const uint8_t *p = t->upper + t->geo.level_start[l] * VERITY_BLOCK;
	uint64_t n = t->geo.level_blocks[l];
	size_t used = t->geo.level_blocks[l - 1] * SHA256_SIZE;

	for (uint64_t i = 0; i < n; i++) {
		uint8_t digest[SHA256_SIZE];

		verity_hash_block(digest, &t->hash, p + i * VERITY_BLOCK);
		if (memcmp(digest, wanted_digest(t, l, i), SHA256_SIZE) != 0)
			return err_set(e, E_CORRUPT,
				       "hash tree: level %u, block %" PRIu64 " differs", l, i);
	}
	if (!all_zero(p + used, n * VERITY_BLOCK - used))
		return err_set(e, E_CORRUPT, "hash tree: level %u: padding is not zero", l);
	return true;
}

static bool check_upper(const struct verity_tree *t, struct err *e)
{
	for (unsigned l = t->geo.levels; l-- > 1;)
		if (!check_level(t, l, e))
			return false;
	return true;
}

bool verity_tree_new(struct verity_tree **ret, uint64_t size,
		     const uint8_t salt[static VERITY_SALT],
		     const uint8_t root[static SHA256_SIZE], const void *upper, size_t upper_n,
		     struct err *e)
{
	CLEANUP(verity_tree_freep) struct verity_tree *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem(e);
	if (!verity_geo_init(&t->geo, size, e))
		return false;
	if (upper_n != t->geo.upper_size)
		return err_set(e, E_CORRUPT, "hash tree: %zu bytes, not %" PRIu64, upper_n,
			       t->geo.upper_size);
	memcpy(t->root, root, SHA256_SIZE);
	verity_hash_init(&t->hash, salt);
	if (upper_n > 0) {
		t->upper = malloc(upper_n);
		if (!t->upper)
			return err_nomem(e);
		memcpy(t->upper, upper, upper_n);
	}
	if (!check_upper(t, e))
		return false;
	*ret = TAKE(t);
	return true;
}

/* ---- groups and blocks ---- */

bool verity_group_bad(uint64_t group, struct err *e)
{
	return err_set(e, E_CORRUPT,
		       "group %" PRIu64 " (bytes from %" PRIu64
		       ") differs from the signed hash tree",
		       group, group * VERITY_GROUP);
}

bool verity_leaf_matches(const struct verity_tree *t, uint64_t group,
			 const uint8_t leaf[static VERITY_BLOCK])
{
	uint8_t digest[SHA256_SIZE];

	verity_leaf_digest(digest, &t->geo, &t->hash, leaf);
	return memcmp(digest, wanted_digest(t, 0, group), SHA256_SIZE) == 0;
}

bool verity_group_check(const struct verity_tree *t, uint64_t group, const void *p, size_t n,
			uint8_t leaf[static VERITY_BLOCK], struct err *e)
{
	size_t blocks, whole = n / VERITY_BLOCK, rest = n % VERITY_BLOCK;
	uint8_t made[VERITY_BLOCK];

	if (group >= t->geo.groups || n != verity_group_size(&t->geo, group))
		return err_set(e, E_CORRUPT, "group %" PRIu64 ": %zu bytes do not fit", group,
			       n);
	blocks = verity_group_blocks(&t->geo, group);
	memset(made, 0, sizeof(made));
	if (whole > 0)
		verity_leaf_make(made, &t->hash, p, whole);
	if (whole < blocks) {
		uint8_t last[VERITY_BLOCK] = { 0 };

		memcpy(last, (const uint8_t *)p + whole * VERITY_BLOCK, rest);
		hash_data(made + whole * SHA256_SIZE, &t->hash, last);
	}
	if (!verity_leaf_matches(t, group, made))
		return verity_group_bad(group, e);
	if (t->geo.levels == 0)
		memset(made, 0, sizeof(made));
	memcpy(leaf, made, sizeof(made));
	return true;
}

bool verity_leaf_check(const struct verity_tree *t, uint64_t group,
		       const uint8_t leaf[static VERITY_BLOCK], struct err *e)
{
	assert(t->geo.levels > 0 && group < t->geo.groups);
	if (!verity_leaf_matches(t, group, leaf))
		return err_set(e, E_CORRUPT, "hash tree: level 0, block %" PRIu64 " differs",
			       group);
	return true;
}

bool verity_block_check(const struct verity_tree *t, uint64_t block,
			const uint8_t leaf[static VERITY_BLOCK], const void *p, struct err *e)
{
	const uint8_t *want = leaf + block % VERITY_GROUP_BLOCKS * SHA256_SIZE;
	uint8_t digest[SHA256_SIZE];

	if (block >= t->geo.blocks)
		return err_set(e, E_CORRUPT, "block %" PRIu64 " is behind the end", block);
	hash_data(digest, &t->hash, p);
	if (memcmp(digest, t->geo.levels ? want : t->root, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT,
			       "block %" PRIu64 " differs from the signed hash tree", block);
	return true;
}
