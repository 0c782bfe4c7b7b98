/* delta/code.h - what is coded in a delta: the table of old streams, and frames.
 *
 * Everything goes through the one arithmetic coder (coder.h), which starts afresh for each of
 * them, and through the models below.  The functions are the same for making and applying: they
 * take what is to be coded and, when decoding, fill it in.
 *
 *   old stream table   for each stream: gap to the end of the first part of the one before (or 0),
 *                      packed size, plain size, transform, number of further parts; for each of
 *                      these: size of the part before it, whether it lies before that part's end,
 *                      how far from there
 *   frame, head        until the pieces fill the frame's bytes: is it a stream?; if not and runs are
 *                      kept: is it one of them?; raw: its length; kept: how many runs lie above it;
 *                      stream: packed size, plain size, transform, number of runs - 1; if there are
 *                      several: the sizes of all but the last, and which of them comes out here;
 *                      then commands until they fill the piece (a kept one has none)
 *   frame, body        for each piece: a stream's recipe; for each command what it needs:
 *                      INSERT its bytes, ADD its marks and differences; an INSERT of 2 KiB or more
 *                      in a raw piece begins with a flag: 1 says that its bytes come in bulk
 *
 *   command  INSERT n       n new bytes
 *            COPY n, from   n bytes of the old space as they are
 *            ADD n, from    the same, with differences: per 1024 bytes whether any differ from
 *                           what is expected, then per 32, then per byte, then the difference
 *            ZERO n         n zeros
 *
 * HABITS.  A command is first asked about as a whole where those that followed the same two before were alike twice
 * and more: whether it is that one again.  Otherwise it comes kind by length by place.
 *
 * RUNS.  Of a stream in parts one run comes out in its place; the others are put on a pile, the last one
 * first, so that the one that follows in the stream lies on top.  A kept piece takes one from the
 * pile.  Runs that no piece has taken when the frame ends are dropped: where another frame begins between
 * two parts, the stream is coded in both.  At most LIMIT_DELTA_KEPT bytes are kept at a time, counting only runs
 * that are taken.
 *
 * BULK.  Of a frame's inserts in bulk, one behind the other, one stream of raw LZMA2 is made, with a dictionary of
 * LZMA2_DICT bytes.  Before the first of them comes its filter (lzma2_filter).  Each is coded in parts of 1 MiB, the last
 * one shorter: how many bytes of the stream follow, and these.  They, and those that are left, suffice to make the part.
 *
 * "Expected" is the old byte, but where the old bytes look like an x86-64 or arm64 instruction with a relative
 * address (fields.h) it is the address corrected for how far instruction and target moved, as told by the
 * frame's commands, which is why they come first. */
#ifndef VALISE_DELTA_CODE_H
#define VALISE_DELTA_CODE_H

#include "base/lzma2.h"
#include "delta/coder.h"
#include "delta/space.h"

enum op_kind { OP_INSERT, OP_COPY, OP_ADD, OP_ZERO };

struct op {
	uint64_t from; /* in the old space; 0 for INSERT and ZERO */
	uint64_t n : 61;
	uint64_t kind : 3; /* op_kind */
};

struct piece {
	uint64_t offset, size; /* in the new image */
	uint32_t plain_size;   /* of a stream; else 0 */
	uint8_t transform;     /* of a stream; else 0 */
	bool is_kept;          /* neither raw nor a stream: the bytes of `run`, no commands */
	uint32_t run, n_runs; /* of a stream in parts: its runs, one of which is this piece's */
	uint32_t ops, first_op;
};

enum { RUN_DROPPED = UINT32_MAX };

/* A part of a new stream's packed bytes. */
struct run {
	uint32_t size;
	uint32_t piece; /* where it comes out: the stream's, a kept one, or RUN_DROPPED */
	uint8_t *bytes; /* while it is kept; the caller's */
};

/* All runs of a frame.  Making: v is filled in before coding; n counts those that are coded. */
struct runs {
	struct run *v;  /* heap, with room for cap, as open has */
	uint32_t *open; /* those that no piece has taken yet, the last one put there on top */
	size_t n, n_open, cap;
};
bool runs_room(struct runs *r, size_t n, struct err *e) MUST_USE; /* for n more */
void runs_reset(struct runs *r);                                  /* for the next frame */
void runs_done(struct runs *r);

static inline uint64_t piece_bytes(const struct piece *p)
{
	return p->transform ? p->plain_size : p->is_kept ? 0 : p->size;
}

enum { CODE_BULK_MIN = 2048, CODE_BULK_MAX = 1 << 20 };

enum { CODE_BLOCK = 1024, CODE_GRANULE = 32, CODE_BEFORE = 16, CODE_AFTER = 16 };

/* Inserted bytes that are remembered: more where old streams and commands leave the memory for it. */
enum { CODE_HISTORY = 1 << 21, CODE_HISTORY_WIDE = 1 << 23 };

struct models; /* all models of one coder; 16 MiB, 23 when much is remembered */

bool models_new(struct models **ret, struct err *e) MUST_USE;
void models_free(struct models *m);
DEFINE_CLEANUP(struct models, models_free);

/* Adds `want` streams to *t when decoding, each checked to lie in image_size behind the one before. */
bool code_table(struct coder *c, struct models *m, struct streams *t, uint32_t want,
		uint64_t image_size, struct err *e) MUST_USE;

/* The head of piece number `index` of its frame, without its commands.  Decoding: p->offset is set by
 * the caller; at most `left` bytes of the image are left. */
bool code_piece(struct coder *c, struct models *m, struct piece *p, uint32_t index,
		struct runs *runs, uint64_t left, struct err *e) MUST_USE;
/* One command; at: where it begins in its piece of `total` bytes.  Decoding: checked to lie in
 * both spaces. */
bool code_op(struct coder *c, struct models *m, struct op *op, bool in_stream, uint64_t at,
	     uint64_t total, uint64_t piece_start, uint64_t space_end, struct err *e) MUST_USE;
/* Forgets what ops were coded, before the body; the map tells where old bytes went. */
bool code_body_start(struct models *m, const struct piece *pieces, size_t n_pieces,
		     const struct op *ops, size_t n_ops, struct err *e) MUST_USE;
/* Before the body of each frame: CODE_HISTORY_WIDE from now on where the delta has no old streams, whose cache and
 * points (space.h) would take that memory, and the frame at most half of the commands that it may have.  The first
 * insert in bulk takes it back, and what was inserted before is forgotten. */
bool code_remember(struct models *m, size_t n_old_streams, size_t n_ops,
		   struct err *e) MUST_USE;
/* A recipe; decoding: at most LIMIT_DELTA_RECIPE bytes are added to it, each of which takes CODE_RECIPE_STEPS from *work
 * (LIMIT_DELTA_WORK; E_TOO_BIG), as the coded bytes of a long one may be few.  Making: work is NULL. */
enum { CODE_RECIPE_STEPS = 16 };
bool code_recipe(struct coder *c, struct models *m, struct buf *recipe, uint64_t *work,
		 struct err *e) MUST_USE;
/* n <= CODE_BLOCK inserted bytes, cut alike on both sides: blocks that look packed are stored, what was inserted
 * before costs a bit for 32 bytes once enough of it came again. */
void code_insert(struct coder *c, struct models *m, uint8_t *p, uint64_t address, size_t n);
/* Whether an INSERT of CODE_BULK_MIN bytes or more in a raw piece comes in bulk: where there is much that is new, mixing
 * predictions would take too long.  Smaller ones never do. */
bool code_is_bulk(struct coder *c, struct models *m, const struct op *op, bool bulk);
/* Making: the stream of all that code_bulk will get, before the first; takes *stream over. */
void code_bulk_stream(struct models *m, enum lzma2_filter filter, struct buf *stream);
/* n <= CODE_BULK_MAX bytes; all parts of an insert but the last one have as many. */
bool code_bulk(struct coder *c, struct models *m, uint8_t *p, size_t n, struct err *e) MUST_USE;
/* Begins an ADD. */
void code_add_start(struct models *m, const struct op *op, uint64_t new_address);
/* n <= CODE_BLOCK bytes of an ADD.  old points at the old bytes that go with p, with CODE_BEFORE
 * bytes before and CODE_AFTER behind them. */
void code_add(struct coder *c, struct models *m, const uint8_t *old, uint64_t old_address,
	      uint8_t *p, uint64_t new_address, size_t n);
/* The last bytes of a COPY or ZERO, as context for what follows. */
void code_passed(struct models *m, const uint8_t *p, size_t n);

#endif
