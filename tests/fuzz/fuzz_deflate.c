/* Deflate seen through: any bytes as a stream, which comes back if it is explained; and any bytes as
 * a recipe.  First byte: bit 0 says which; a recipe's length is in the second. */
#include "delta/deflate.h"
#include "tests/fuzz/fuzz.h"

enum { PLAIN_MAX = 1 << 16 };

struct expected {
	const uint8_t *p;
	size_t n, at;
};

static bool compare(void *ctx, const uint8_t *p, size_t n, struct err *e UNUSED)
{
	struct expected *x = ctx;

	fuzz_must(n <= x->n - x->at && memcmp(p, x->p + x->at, n) == 0, "packed differs");
	x->at += n;
	return true;
}

static void stream(const uint8_t *p, size_t n, uint8_t *plain)
{
	static struct inflate z;
	struct buf recipe = BUF_INIT(LIMIT_DELTA_RECIPE);
	struct packed_memory m;
	struct plain_memory in;
	struct expected x = { .p = p };
	struct packer to = { .put = compare, .ctx = &x };
	size_t plain_n = 0;
	size_t used;
	uint64_t work;
	bool ok = false;
	struct err e;

	inflate_init(&z, packed_of(&m, p, n));
	if (!inflate_next(&z, plain, PLAIN_MAX, &plain_n, &e) || !z.ended || plain_n == 0)
		return;
	x.n = used = (size_t)inflate_used(&z);
	fuzz_must(stream_unpack(&transform_deflate, plain, plain_n, packed_of(&m, p, used), &e),
		  "unpack");
	fuzz_must(transform_deflate.explain(&recipe, &ok, &work, p, used, plain, plain_n, &e),
		  "explain fails");
	if (ok)
		fuzz_must(transform_deflate.pack(&to, recipe.p, recipe.n,
						 plain_of(&in, plain, (uint32_t)plain_n), &e) &&
				  x.at == x.n,
			  "pack fails");
	buf_done(&recipe);
}

static bool ignore(void *ctx, const uint8_t *p UNUSED, size_t n, struct err *e)
{
	size_t *left = ctx;

	if (n > *left)
		return err_set(e, E_TOO_BIG, "enough");
	*left -= n;
	return true;
}

static void recipe(const uint8_t *p, size_t n)
{
	size_t left = 1 << 20;
	struct packer to = { .put = ignore, .ctx = &left };
	size_t recipe_n = n && p[0] < n ? p[0] : n / 2;
	struct plain_memory m;
	struct err e;

	if (n > 2 && transform_deflate.pack(
			     &to, p + 1, recipe_n,
			     plain_of(&m, p + 1 + recipe_n, (uint32_t)(n - 1 - recipe_n)), &e))
		return;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct image in = { .p = p, .size = n };
	struct streams found = { 0 };
	uint8_t *plain;
	struct err e;

	if (n < 2 || n > FUZZ_MAX || !(plain = malloc(PLAIN_MAX)))
		return 0;
	if (p[0] & 1)
		stream(p + 1, n - 1, plain);
	else
		recipe(p + 1, n - 1);
	fuzz_must(transform_deflate.find(&found, &in, 0, n, &e), "find fails");
	streams_done(&found);
	free(plain);
	return 0;
}
