#include "base/sha256.h"
#include "base/io.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Looking an algorithm up costs more than hashing a small input, so it is done once.  Measured on
 * 4 KiB blocks: within 4 % of OpenSSL's low-level functions, which are deprecated. */
static EVP_MD *md_sha256, *md_sha512;
static pthread_key_t ctx_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void ctx_free(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void fetch(void)
{
	md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	md_sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
	/* Without SHA-256 nothing can be verified, so nothing may run. */
	if (!md_sha256 || !md_sha512 || pthread_key_create(&ctx_key, ctx_free) != 0)
		abort();
}

/* The main thread's context outlives main() and is freed here for the leak checkers. */
__attribute__((destructor)) static void release(void)
{
	if (!md_sha256)
		return;
	EVP_MD_CTX_free(pthread_getspecific(ctx_key));
	EVP_MD_free(md_sha256);
	EVP_MD_free(md_sha512);
}

/* One context per thread, made at its first hash.  Callers cannot be told of a failure, and a hash
 * that is not computed must not look like one: abort, as a failing malloc of 200 bytes is the end
 * of the process anyhow. */
static EVP_MD_CTX *thread_ctx(void)
{
	EVP_MD_CTX *ctx;

	pthread_once(&once, fetch);
	ctx = pthread_getspecific(ctx_key);
	if (!ctx) {
		ctx = EVP_MD_CTX_new();
		if (!ctx || pthread_setspecific(ctx_key, ctx) != 0)
			abort();
	}
	return ctx;
}

static void must(int ok)
{
	if (ok != 1)
		abort();
}

bool sha256_init(struct sha256 *h, struct err *e)
{
	pthread_once(&once, fetch);
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx)
		return err_nomem(e);
	if (EVP_DigestInit_ex2(h->ctx, md_sha256, NULL) != 1) {
		sha256_done(h);
		return err_nomem(e);
	}
	return true;
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
	must(EVP_DigestUpdate(h->ctx, p, n));
}

void sha256_final(struct sha256 *h, uint8_t out[static SHA256_SIZE])
{
	must(EVP_DigestFinal_ex(h->ctx, out, NULL));
	must(EVP_DigestInit_ex2(h->ctx, md_sha256, NULL));
}

void sha256_done(struct sha256 *h)
{
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

void sha256_two(uint8_t out[static SHA256_SIZE], const void *a, size_t a_n, const void *b,
		size_t b_n)
{
	EVP_MD_CTX *ctx = thread_ctx();

	must(EVP_DigestInit_ex2(ctx, md_sha256, NULL));
	must(EVP_DigestUpdate(ctx, a, a_n));
	must(EVP_DigestUpdate(ctx, b, b_n));
	must(EVP_DigestFinal_ex(ctx, out, NULL));
}

void sha256(uint8_t out[static SHA256_SIZE], const void *p, size_t n)
{
	sha256_two(out, p, n, NULL, 0);
}

void sha512(uint8_t out[static SHA512_SIZE], const void *p, size_t n)
{
	EVP_MD_CTX *ctx = thread_ctx();

	must(EVP_DigestInit_ex2(ctx, md_sha512, NULL));
	must(EVP_DigestUpdate(ctx, p, n));
	must(EVP_DigestFinal_ex(ctx, out, NULL));
}

/* RFC 2104 by hand: OpenSSL's one-shot looks the algorithm up and allocates at each call. */
void hmac_sha256(uint8_t out[static SHA256_SIZE], const void *key, size_t key_n, const void *p,
		 size_t n)
{
	enum { BLOCK = 64 };
	uint8_t pad[BLOCK] = { 0 }, inner[SHA256_SIZE];

	if (key_n > BLOCK)
		sha256(pad, key, key_n);
	else if (key_n > 0)
		memcpy(pad, key, key_n);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	sha256_two(inner, pad, BLOCK, p, n);
	for (int i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_two(out, pad, BLOCK, inner, sizeof(inner));
	OPENSSL_cleanse(pad, sizeof(pad));
}

static void freep(uint8_t **p)
{
	free(*p);
}

bool sha256_fd(uint8_t out[static SHA256_SIZE], uint64_t *ret_size, int fd, struct err *e)
{
	enum { PIECE = 1 << 18 };
	CLEANUP(sha256_done) struct sha256 h = { .ctx = NULL };
	CLEANUP(freep) uint8_t *piece = malloc(PIECE);
	uint64_t size = 0;

	if (!piece)
		return err_nomem(e);
	if (!sha256_init(&h, e))
		return false;
	for (;;) {
		ssize_t n = pread(fd, piece, PIECE, (off_t)size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno, "read");
		if (n == 0)
			break;
		sha256_update(&h, piece, (size_t)n);
		size += (uint64_t)n;
	}
	sha256_final(&h, out);
	if (ret_size)
		*ret_size = size;
	return true;
}
