/* delta/account.h - what a delta's bytes were spent on: noted while it is applied, sorted out when the new image is there.
 *
 *	CLEANUP(account_done) struct account a = account_begin(index_bytes);
 *	account_add(&a, SPENT_RAW, at, n, coded);   // for each block, as it is decoded
 *	...
 *	if (!account_end(&a, image_fd, size, &sums, e)) ...
 *
 * Coded bytes are noted by where in the new image they went, and only where there are any, so there are no more notes
 * than the delta has bytes.  What they are is told by content.h, when all of the image can be looked at. */
#ifndef VALISE_DELTA_ACCOUNT_H
#define VALISE_DELTA_ACCOUNT_H

#include "delta/delta.h"

enum spent_on {
	SPENT_RAW,    /* n new bytes at `at` */
	SPENT_PLAIN,  /* plain bytes of the stream that begins at `at` */
	SPENT_RECIPE, /* how that one is packed again */
};

struct account {
	/* Heap. */
	struct spending {
		uint64_t at;
		uint32_t n, bytes;
		enum spent_on on;
	} * v;
	size_t n, cap;
	bool is_short;   /* of memory: told at the end */
	uint64_t before; /* how far the delta was when this was told last */
	struct delta_account sums;
};

/* The delta's first bytes are its index, streams' places included. */
struct account account_begin(uint64_t index_bytes);
void account_done(struct account *a);

/* Up to byte `coded` of the delta, what was decoded since the last call. */
void account_commands(struct account *a, uint64_t coded);
void account_add(struct account *a, enum spent_on on, uint64_t at, size_t n, uint64_t coded);

/* A stream was made by this recipe, which was parsed before, for `spent` bytes in all, which are told by
 * account_add too. */
void account_stream(struct account *a, const uint8_t *recipe, size_t recipe_n, uint64_t packed,
		    uint64_t plain, uint64_t spent);

/* With the new image, which must not shrink meanwhile.  *ret: delta_account_done(). */
bool account_end(struct account *a, int image_fd, uint64_t size, struct delta_account *ret,
		 struct err *e) MUST_USE;

#endif
