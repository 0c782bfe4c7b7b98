#include "delta/deflate.h"

#include <stdlib.h>

static bool deflate_unpack(uint8_t *plain, size_t plain_n, const struct packed *from,
			   struct err *e)
{
	struct inflate *z = malloc(sizeof(*z));
	uint64_t used = 0, rest;
	size_t n = 0;
	bool ok;

	if (!z)
		return err_nomem(e);
	inflate_init(z, from);
	ok = inflate_all(z, plain, plain_n, &n, &used, e);
	free(z);
	if (!ok)
		return false;
	rest = from->size - used;
	if (n != plain_n || (rest != wrap_size(WRAP_NONE) && rest != wrap_size(WRAP_GZIP) &&
			     rest != wrap_size(WRAP_ZLIB) && rest != wrap_size(WRAP_ZIP)))
		return err_set(e, E_CORRUPT, "deflate: a stream has another size");
	return true;
}

const struct transform transform_deflate = {
	.name = "deflate",
	.find = deflate_find,
	.explain = deflate_explain,
	.unpack = deflate_unpack,
	.pack = deflate_pack,
};
