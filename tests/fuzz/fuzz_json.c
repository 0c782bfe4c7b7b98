/* Any document: both canonical and plain writing of it read as the same again. */
#include "proto/cjson.h"
#include "proto/jread.h"
#include "proto/jwrite.h"
#include "tests/fuzz/fuzz.h"

static void write_value(struct jw *w, const char *key, const struct jval *v)
{
	const char *s;
	size_t n;

	switch (jval_type(v)) {
	case J_NULL:
		jw_null(w, key);
		break;
	case J_BOOL:
		jw_bool(w, key, jval_bool(v));
		break;
	case J_INT:
		jw_i64(w, key, jval_int(v));
		break;
	case J_STR:
		s = jval_str(v, &n);
		jw_strn(w, key, s, n);
		break;
	case J_ARR:
		jw_arr(w, key);
		for (size_t i = 0; i < jarr_n(v); i++)
			write_value(w, NULL, jarr_at(v, i));
		jw_end(w);
		break;
	case J_OBJ:
		jw_obj(w, key);
		for (struct jiter it = jobj_first(v); it.val; it = jobj_next(v, it))
			write_value(w, it.key, it.val);
		jw_end(w);
		break;
	}
}

static void write_document(struct buf *out, const struct jdoc *d)
{
	struct jw w;
	struct err e;

	jw_init(&w, out);
	write_value(&w, NULL, jdoc_root(d));
	fuzz_must(jw_finish(&w, &e), "cannot be written");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(jdoc_freep) struct jdoc *again = NULL;
	CLEANUP(buf_done) struct buf out = BUF_INIT(8 * FUZZ_MAX);
	CLEANUP(buf_done) struct buf out2 = BUF_INIT(8 * FUZZ_MAX);
	struct err e;
	bool equal;

	if (n > FUZZ_MAX || !jdoc_parse(&d, p, n, &e))
		return 0;
	write_document(&out, d);
	fuzz_must(jdoc_parse(&again, out.p, out.n, &e), "cannot be read again");
	fuzz_must(cjson_equal(&equal, jdoc_root(d), jdoc_root(again), &e) && equal,
		  "reads as something else");
	write_document(&out2, again);
	fuzz_same(&out, &out2);
	return 0;
}
