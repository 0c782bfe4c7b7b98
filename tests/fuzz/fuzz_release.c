/* Descriptions and manifests.  What is written is canonical and reads as the same. */
#include "proto/cjson.h"
#include "proto/release.h"
#include "tests/fuzz/fuzz.h"

static void check_description(const uint8_t *p, size_t n)
{
	struct release *r = NULL;
	struct err e;

	if (release_parse_description(&r, p, n, &e))
		for (size_t i = 0; i < r->n_components; i++)
			fuzz_must(!strchr(r->components[i].file, '/'), "a path");
	release_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(release_freep) struct release *r = NULL;
	CLEANUP(release_freep) struct release *again = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(FUZZ_MAX);
	CLEANUP(buf_done) struct buf out2 = BUF_INIT(FUZZ_MAX);
	CLEANUP(buf_done) struct buf canonical = BUF_INIT(FUZZ_MAX);
	struct err e;

	check_description(p, n);
	if (!release_parse(&r, p, n, &e))
		return 0;
	fuzz_must(release_encode(r, &out, &e), "cannot be written");
	fuzz_must(cjson_from_text(&canonical, out.p, out.n, &e), "no JSON");
	fuzz_same(&out, &canonical);
	fuzz_must(release_parse(&again, out.p, out.n, &e), "cannot be read again");
	fuzz_must(release_encode(again, &out2, &e), "cannot be written again");
	fuzz_same(&out, &out2);
	return 0;
}
