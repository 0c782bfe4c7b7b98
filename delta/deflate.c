#include "delta/deflate.h"

static void deflate_start(void *state, const struct packed *from)
{
	inflate_init(state, from);
}

static bool deflate_next(void *state, uint8_t *to, size_t n, bool is_last, struct err *e)
{
	struct inflate *z = state;
	uint64_t rest;
	size_t got = 0;

	if (!inflate_next(z, to, n, &got, e))
		return false;
	rest = z->from->size - inflate_used(z);
	if (got != n ||
	    (is_last &&
	     (!z->ended || (rest != wrap_size(WRAP_NONE) && rest != wrap_size(WRAP_GZIP) &&
			    rest != wrap_size(WRAP_ZLIB) && rest != wrap_size(WRAP_ZIP)))))
		return err_set(e, E_CORRUPT, "deflate: a stream has another size");
	return true;
}

static void deflate_copy(void *to, const void *state, const struct packed *from)
{
	inflate_copy(to, state, from);
}

const struct transform transform_deflate = {
	.name = "deflate",
	.find = deflate_find,
	.explain = deflate_explain,
	.state_bytes = sizeof(struct inflate),
	.start = deflate_start,
	.next = deflate_next,
	.copy = deflate_copy,
	.pack = deflate_pack,
};
