/* Hash trees: 8 bytes size, 32 bytes root, then the upper tree and data.  And the other way: data builds a
 * tree that accepts it, and refuses it with any one bit flipped (which one is the size's business). */
#include "base/bytes.h"
#include "base/limits.h"
#include "proto/verity.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t salt[VERITY_SALT] = "salt";

static void check_hostile(const uint8_t *p, size_t n)
{
	CLEANUP(verity_tree_freep) struct verity_tree *t = NULL;
	uint8_t leaf[VERITY_BLOCK];
	struct verity_geo g;
	uint64_t size;
	struct err e;

	if (n < 40)
		return;
	size = get_le64(p) % (UINT64_C(1) << 32);
	if (!verity_geo_init(&g, size, &e) || g.upper_size > n - 40 ||
	    !verity_tree_new(&t, size, salt, p + 8, p + 40, g.upper_size, &e))
		return;
	p += 40 + g.upper_size;
	n -= 40 + g.upper_size;
	for (uint64_t i = 0; i < g.groups && i < 4 && n >= verity_group_size(&g, i); i++) {
		(void)!verity_group_check(t, i, p, verity_group_size(&g, i), leaf, &e);
		p += verity_group_size(&g, i);
		n -= verity_group_size(&g, i);
	}
}

static void check_own(uint8_t *data, size_t n)
{
	CLEANUP(verity_build_freep) struct verity_build *b = NULL;
	CLEANUP(verity_tree_freep) struct verity_tree *t = NULL;
	CLEANUP(buf_done) struct buf upper = BUF_INIT(FUZZ_MAX);
	uint8_t root[SHA256_SIZE], leaf[VERITY_BLOCK];
	size_t first;
	struct err e;

	fuzz_must(verity_build_new(&b, salt, false, &e) && verity_build_add(b, data, n, &e) &&
			  verity_build_finish(b, root, &e) && verity_build_upper(b, &upper, &e),
		  "cannot be built");
	fuzz_must(verity_tree_new(&t, n, salt, root, upper.p, upper.n, &e), "own tree refused");
	first = verity_group_size(&t->geo, 0);
	fuzz_must(verity_group_check(t, 0, data, first, leaf, &e), "own data refused");
	if (first == 0)
		return;
	data[n % first] ^= (uint8_t)(1 << n % 8);
	fuzz_must(!verity_group_check(t, 0, data, first, leaf, &e), "altered data accepted");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t *copy;

	if (n > FUZZ_MAX)
		return 0;
	check_hostile(p, n);
	copy = malloc(n + 1);
	fuzz_must(copy != NULL, "memory");
	memcpy(copy, p, n);
	check_own(copy, n);
	free(copy);
	return 0;
}
