/* tests/support/forge.h - deltas that no encoder of ours makes: lies about sizes, commands that read from
 * nowhere, streams that pack to something else.  Everything is coded with the real models, so that
 * the lie arrives where it is meant to.
 *
 *	struct forge f;
 *	forge_init(&f, old, old_n, old_n, new, new_n, 12);
 *	forge_frame(&f, pieces, n_pieces);        // as often as there are frames
 *	f.format.new_size = UINT64_MAX;           // any lie about the head
 *	struct buf delta = forge_finish(&f);      // heap; the head's hash is right
 *
 * What the coding functions refuse to code is coded all the same: they notice after the fact. */
#ifndef VALISE_TESTS_FORGE_H
#define VALISE_TESTS_FORGE_H

#include "delta/code.h"
#include "delta/format.h"

struct forge_piece {
	struct piece piece; /* size, plain_size, transform, n_runs; is_kept and run; no more */
	const struct op *ops;
	size_t n_ops;
	const uint8_t *bytes; /* what the commands make; NULL: what the new image has there */
	const void *recipe;   /* of a stream */
	size_t recipe_n;
	const uint32_t *runs;     /* of a stream in parts: piece.n_runs sizes */
	uint32_t out;             /* which one is this piece's */
	bool bulk;                /* long inserts in bulk */
	enum lzma2_filter filter; /* of the first piece: the frame's */
	/* Instead of what its first insert in bulk packs to: these bytes, of which it is said that there are so many,
	 * and then no more. */
	const void *packed;
	size_t packed_n;
	uint64_t packed_said;
	bool head_only; /* commands that need no bytes, and are too long to have them */
};

struct forge {
	const uint8_t *space; /* borrowed: old image, zeros, plain bytes of its streams */
	uint64_t space_n;
	const uint8_t *new; /* borrowed */
	uint64_t new_n;
	struct format format;
	struct buf table, coded;
};

void forge_init(struct forge *f, const void *space, uint64_t space_n, uint64_t old_size,
		const void *new, uint64_t new_n, unsigned segment_log);
/* more: the further parts of all of them, where the streams say. */
void forge_table(struct forge *f, const struct stream *v, size_t n, const struct extent *more,
		 size_t n_more);
void forge_frame(struct forge *f, const struct forge_piece *pieces, size_t n);
/* All of the delta; frees what f holds. */
struct buf forge_finish(struct forge *f);
/* Puts the right hash behind a head that was changed. */
void forge_rehash(struct buf *delta);

/* A delta that has one more old stream than the cache holds and takes a few bytes from each in turn, so
 * that every command unpacks a chunk, more often than may be; and the image that it is for, of old_n bytes, at
 * least FORGE_THRASH_OLD.  What comes behind FORGE_THRASH_BYTES are zeros; new has new_n bytes. */
enum { FORGE_THRASH_OLD = 5 << 20, FORGE_THRASH_BYTES = 64000 };
struct buf forge_thrash(struct buf *ret_old, uint64_t old_n, const uint8_t *new, uint64_t new_n,
			unsigned segment_log);

/* An unnamed file with these bytes. */
int forge_memfile(const void *p, size_t n);

#endif
