/* tests/support/delta_draft.h - a delta put together command by command, and the image that it makes, for the old image
 * of delta_old.h.
 *
 *	struct draft *d = draft_new();
 *	draft_copy(d, OLD_TEXT, 5000);
 *	draft_stream(d);                         // plain bytes from here on
 *	draft_insert(d, text, sizeof(text));
 *	draft_stream_end(d, &recipe, NULL, 1);
 *	struct buf delta = draft_finish(d);      // heap, like d->image
 *	draft_free(d);
 *
 * Who wants to lie changes d's rows before the end, or takes draft_forge and changes what the head says.  Who fails
 * here ends the program. */
#ifndef VALISE_TESTS_DELTA_DRAFT_H
#define VALISE_TESTS_DELTA_DRAFT_H

#include "tests/support/delta_old.h"
#include "tests/support/forge.h"

enum {
	DRAFT_IMAGE = 1 << 22, /* an image, and what the harness takes of one */
	DRAFT_OPS = 4096,
	DRAFT_PIECES = 64,
	DRAFT_RUNS = 16,
	DRAFT_WHOLE =
		22, /* segment_log: all in one segment, so hashes stop nothing before the end */
};

struct draft_piece {
	struct forge_piece is; /* its pointers are set at the end, but for `packed` and `runs` */
	size_t first_op, bytes_at, recipe_at;
	bool begins_frame;
};

struct draft {
	struct buf image;          /* what comes out */
	struct buf plain, recipes; /* of all streams */
	struct op ops[DRAFT_OPS];
	size_t n_ops;
	struct draft_piece pieces[DRAFT_PIECES];
	size_t n_pieces;
	bool in_stream, new_piece, new_frame;
	uint32_t runs[DRAFT_RUNS];
	/* what may be said otherwise */
	unsigned segment_log;
	bool is_summed; /* the hashes of segments as one */
	struct stream streams[OLD_STREAMS];
	struct extent more[1];
	size_t n_streams; /* of the table; none at first */
	bool bulk;        /* inserts of CODE_BULK_MIN bytes and more */
	enum lzma2_filter filter;
};

struct draft *draft_new(void);
void draft_free(struct draft *d);

/* Commands, in the piece at hand. */
void draft_copy(struct draft *d, uint64_t from, size_t n);
void draft_add(struct draft *d, uint64_t from, size_t n,
	       size_t every); /* one byte of so many differs */
void draft_add_bytes(struct draft *d, uint64_t from, const uint8_t *now, size_t n);
void draft_insert(struct draft *d, const void *p, size_t n);
void draft_zero(struct draft *d, size_t n);

/* The next command begins another raw piece; another frame. */
void draft_piece(struct draft *d);
void draft_frame(struct draft *d);

/* A stream, whose plain bytes the commands between make; cut in n parts of one size, which come in this order (NULL:
 * the stream's). */
void draft_stream(struct draft *d);
void draft_stream_end(struct draft *d, const struct recipe *r, const uint32_t *order,
		      uint32_t n);

/* All frames, coded; then forge_finish. */
void draft_forge(struct draft *d, struct forge *ret);
struct buf draft_finish(struct draft *d);

/* What the encoder makes of d->image instead, which may as well have been filled by hand. */
struct buf draft_encode(struct draft *d, uint64_t old_size, uint64_t mixed_max);

#endif
