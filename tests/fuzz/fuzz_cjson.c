/* Canonical JSON: the form for files means the same as the text, and is a fixed point. */
#include "proto/cjson.h"

#include <stdlib.h>
#include <string.h>

enum { OUTPUT_MAX = 1 << 20 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(buf_done) struct buf canon = BUF_INIT(OUTPUT_MAX);
	CLEANUP(buf_done) struct buf json = BUF_INIT(OUTPUT_MAX);
	CLEANUP(buf_done) struct buf again = BUF_INIT(OUTPUT_MAX);
	CLEANUP(buf_done) struct buf json_again = BUF_INIT(OUTPUT_MAX);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(jdoc_freep) struct jdoc *d2 = NULL;
	struct err e;
	bool same = false;

	if (n > OUTPUT_MAX / 8 || !jdoc_parse(&d, p, n, &e))
		return 0;
	must(cjson_encode(&canon, jdoc_root(d), &e) &&
	     cjson_encode_json(&json, jdoc_root(d), &e));
	must(jdoc_parse(&d2, json.p, json.n, &e));
	must(cjson_encode(&again, jdoc_root(d2), &e) &&
	     cjson_encode_json(&json_again, jdoc_root(d2), &e));
	must(canon.n == again.n && memcmp(canon.p, again.p, canon.n) == 0);
	must(json.n == json_again.n && memcmp(json.p, json_again.p, json.n) == 0);
	must(cjson_equal(&same, jdoc_root(d), jdoc_root(d2), &e) && same);
	return 0;
}
