/* base/sha256.h - SHA-256 (FIPS 180-4) through OpenSSL: the one door for hashing.
 *
 * sha256() is made for many short inputs (a verity block is 4 KiB): no allocation and no
 * algorithm look-up per call. */
#ifndef VALISE_BASE_SHA256_H
#define VALISE_BASE_SHA256_H

#include "base/err.h"

enum { SHA256_SIZE = 32, SHA512_SIZE = 64 };

struct sha256 {
	void *ctx; /* EVP_MD_CTX; NULL before init and after done */
};

bool sha256_init(struct sha256 *h, struct err *e) MUST_USE;
void sha256_update(struct sha256 *h, const void *p, size_t n);
void sha256_final(struct sha256 *h, uint8_t out[static SHA256_SIZE]); /* ready for the next */
void sha256_done(struct sha256 *h);

void sha256(uint8_t out[static SHA256_SIZE], const void *p, size_t n);
/* SHA-256(a || b): a salted block without copying. */
void sha256_two(uint8_t out[static SHA256_SIZE], const void *a, size_t a_n, const void *b,
		size_t b_n);
void sha512(uint8_t out[static SHA512_SIZE], const void *p, size_t n);
void hmac_sha256(uint8_t out[static SHA256_SIZE], const void *key, size_t key_n, const void *p,
		 size_t n);

/* Whole descriptor from offset 0 to its end. */
bool sha256_fd(uint8_t out[static SHA256_SIZE], uint64_t *ret_size, int fd,
	       struct err *e) MUST_USE;

#endif
