/* Bundles: canonical when written; merging one with itself changes nothing that it sets. */
#include "proto/cjson.h"
#include "proto/policy.h"
#include "tests/fuzz/fuzz.h"

static void write_value(struct buf *out, enum policy_key k, const struct policy_value *v)
{
	struct jw w;
	struct err e;

	jw_init(&w, out);
	policy_value_write(&w, NULL, k, v);
	fuzz_must(jw_finish(&w, &e), "a value cannot be written");
}

static void check_merge(const struct policy *p, const struct policy *q)
{
	const struct policy_source sources[] = { { p, POLICY_FOR_ALL },
						 { q, POLICY_FOR_DEVICE } };
	CLEANUP(policy_merged_freep) struct policy_merged *m = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(8 * FUZZ_MAX);
	struct jw w;
	struct err e;

	fuzz_must(policy_merge(&m, sources, 2, &e), "cannot be merged");
	for (unsigned k = 0; k < POLICY_N_KEYS; k++) {
		CLEANUP(buf_done) struct buf a = BUF_INIT(FUZZ_MAX);
		CLEANUP(buf_done) struct buf b = BUF_INIT(FUZZ_MAX);

		if (!p->values[k].set)
			continue;
		write_value(&a, (enum policy_key)k, &p->values[k]);
		write_value(&b, (enum policy_key)k, &m->values[k]);
		fuzz_same(&a, &b);
	}
	jw_init(&w, &text);
	policy_explain_write(&w, NULL, m);
	fuzz_must(jw_finish(&w, &e), "cannot be explained");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(policy_freep) struct policy *a = NULL;
	CLEANUP(policy_freep) struct policy *b = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(FUZZ_MAX);
	CLEANUP(buf_done) struct buf canonical = BUF_INIT(FUZZ_MAX);
	struct err e;

	if (!policy_parse(&a, p, n, &e))
		return 0;
	fuzz_must(policy_encode(a, &out, &e), "cannot be written");
	fuzz_must(cjson_from_text(&canonical, out.p, out.n, &e), "no JSON");
	fuzz_same(&out, &canonical);
	fuzz_must(policy_parse(&b, out.p, out.n, &e), "cannot be read again");
	snprintf(b->name, sizeof(b->name), "%s", strcmp(a->name, "x") ? "x" : "y");
	check_merge(a, b);
	return 0;
}
