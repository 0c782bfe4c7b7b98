#include "base/zst.h"

#include <stdlib.h>

#include <zstd.h>

struct zst_enc {
	ZSTD_CCtx *ctx;
};

struct zst_dec {
	ZSTD_DCtx *ctx;
};

bool zst_enc_new(struct zst_enc **ret, int level, struct err *e)
{
	CLEANUP(zst_enc_freep) struct zst_enc *z = calloc(1, sizeof(*z));

	if (!z)
		return err_nomem(e);
	z->ctx = ZSTD_createCCtx();
	if (!z->ctx)
		return err_nomem(e);
	if (ZSTD_isError(ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_compressionLevel, level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(z->ctx, ZSTD_c_checksumFlag, 0)))
		return err_set(e, E_INTERNAL, "zstd: level %d", level);
	*ret = TAKE(z);
	return true;
}

void zst_enc_free(struct zst_enc *z)
{
	if (z)
		ZSTD_freeCCtx(z->ctx);
	free(z);
}

bool zst_dec_new(struct zst_dec **ret, struct err *e)
{
	CLEANUP(zst_dec_freep) struct zst_dec *z = calloc(1, sizeof(*z));

	if (!z)
		return err_nomem(e);
	z->ctx = ZSTD_createDCtx();
	if (!z->ctx)
		return err_nomem(e);
	*ret = TAKE(z);
	return true;
}

void zst_dec_free(struct zst_dec *z)
{
	if (z)
		ZSTD_freeDCtx(z->ctx);
	free(z);
}

size_t zst_bound(size_t n)
{
	return ZSTD_compressBound(n);
}

bool zst_frame_encode(struct zst_enc *z, struct buf *out, const void *p, size_t n,
		      struct err *e)
{
	size_t left = out->max - out->n, room = zst_bound(n), r;
	uint8_t *to;

	/* Where the limit is nearer than the bound, compressible data may still fit. */
	if (!buf_reserve(out, room < left ? room : left, &to, e))
		return false;
	r = ZSTD_compress2(z->ctx, to, room < left ? room : left, p, n);
	if (!ZSTD_isError(r)) {
		buf_commit(out, r);
		return true;
	}
	buf_commit(out, 0); /* the NUL may have been written over */
	if (room > left)
		return err_set(e, E_TOO_BIG, "more than %zu bytes", out->max);
	return err_set(e, E_NOMEM, "zstd: %s", ZSTD_getErrorName(r));
}

bool zst_frame_decode(struct zst_dec *z, void *out, size_t out_n, const void *p, size_t n,
		      struct err *e)
{
	size_t r = ZSTD_findFrameCompressedSize(p, n);

	if (ZSTD_isError(r) || r != n)
		return err_set(e, E_CORRUPT, "not one whole zstd frame");
	if (ZSTD_getFrameContentSize(p, n) != out_n)
		return err_set(e, E_CORRUPT, "a zstd frame of another size than %zu bytes",
			       out_n);
	r = ZSTD_decompressDCtx(z->ctx, out, out_n, p, n);
	if (ZSTD_isError(r))
		return err_set(e, E_CORRUPT, "zstd: %s", ZSTD_getErrorName(r));
	if (r != out_n)
		return err_set(e, E_CORRUPT, "a zstd frame of %zu bytes, not %zu", r, out_n);
	return true;
}
