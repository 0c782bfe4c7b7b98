/* delta/deflate.h - the transform of deflate: zlib's and GNU gzip's encoders are emulated (guess.h,
 * huffman.h), and what another encoder did differently is written down (recipe.h).
 *
 * A stream is the deflate data and, where they fit, the checksums right behind it (enum wrap), so
 * that they need not be coded; headers before it stay raw.  Nothing here calls zlib: packing gives the
 * same bytes for ever, whatever library the handset has. */
#ifndef VALISE_DELTA_DEFLATE_H
#define VALISE_DELTA_DEFLATE_H

#include "delta/recipe.h"

extern const struct transform transform_deflate;

/* transform_deflate.find, in scan.c. */
bool deflate_find(struct streams *ret, const struct image *in, uint64_t from, uint64_t to,
		  struct err *e) MUST_USE;

/* transform_deflate.pack, in pack.c. */
bool deflate_pack(const struct packer *to, const uint8_t *recipe, size_t recipe_n,
		  const struct plain *from, struct err *e) MUST_USE;

/* transform_deflate.explain, in explain.c. */
bool deflate_explain(struct buf *recipe, bool *ret_ok, uint64_t *ret_work,
		     const uint8_t *packed, size_t packed_n, const uint8_t *plain,
		     size_t plain_n, struct err *e) MUST_USE;

#endif
