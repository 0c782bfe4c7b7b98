/* Files that travel for signatures: what was read is written and read as the same. */
#include "admin-cli/ceremony.h"
#include "tests/fuzz/fuzz.h"

static void encode(struct buf *out, const struct ceremony *c)
{
	struct err e;

	fuzz_must(ceremony_encode(out, c, &e), "cannot be written");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(ceremony_done) struct ceremony a = { .n_roots = 0 };
	CLEANUP(ceremony_done) struct ceremony b = { .n_roots = 0 };
	CLEANUP(buf_done) struct buf one = BUF_INIT(2 * CEREMONY_FILE_MAX);
	CLEANUP(buf_done) struct buf two = BUF_INIT(2 * CEREMONY_FILE_MAX);
	struct err e;

	if (!ceremony_parse(&a, p, n, &e))
		return 0;
	encode(&one, &a);
	fuzz_must(ceremony_parse(&b, one.p, one.n, &e), "cannot be read again");
	encode(&two, &b);
	fuzz_same(&one, &two);
	return 0;
}
