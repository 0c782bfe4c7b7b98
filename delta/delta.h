/* delta/delta.h - makes one image out of an older one and the little that is new.
 *
 * Any bytes to any bytes; nothing is known about files or file systems.  What helps is seen anyway:
 * long and short matches anywhere in the old image, executables whose code moved (x86_64), and
 * streams that a transform can take apart and put together bit-exactly (transform.h).
 *
 * Making one, in the server's work process or the tool:
 *
 *	struct delta_job job = { .old_fd = a, .new_fd = b, .out_fd = c, .scratch_fd = -1,
 *				 .threads = 2, .progress = tell, .ctx = me };
 *	struct delta_info made;
 *	if (!delta_create(&job, &made, e)) ...   // out_fd holds nothing of use then
 *
 * Time is linear in the sizes.  Memory is at most 1 GiB whatever they are, mapped pages included: the two
 * images are mapped and must not shrink meanwhile, and what grows with them lies in the scratch file.  The same
 * input gives the same bytes for any number of threads.
 *
 * Applying, in the agent's sandboxed child or the tool:
 *
 *	CLEANUP(delta_freep) struct delta *d = NULL;
 *	if (!delta_open(&d, delta_fd, old_fd, e) ||
 *	    !delta_apply(d, first_offset, emit, me, e)) ...
 *
 * Output comes in order, in segments of delta_info.segment_bytes (a multiple of 4 KiB; the last one
 * is shorter), each verified against its hash in the delta before it is handed to emit.  So a
 * damaged delta or another old image gives an error, never wrong bytes: what was emitted is right.
 * Both descriptors are read by pread only and borrowed until delta_free.  Less than 32 MiB of
 * memory is used, the segment included, and limits hold for hostile deltas as well: time and
 * output are bounded by the sizes in the header, which LIMIT_DELTA_IMAGE bounds.
 *
 * Resuming: nothing has to be saved.  After a cut at any instruction open again and pass the
 * offset of the first segment that was not committed (any multiple of segment_bytes).  The delta
 * consists of independent frames of bounded coded size; the one that holds the offset is decoded
 * from its beginning, without output until the offset, which costs at most a few seconds and
 * usually milliseconds per MiB skipped.  What a cut costs:
 *
 *	fetched again   nothing: the delta is a file, and its download goes on where it ends
 *	written again   less than one segment, as no segment before the offset is emitted
 *	delta           index, tables, and this frame's coded bytes up to the place are read again
 *	old image       what this frame's ADDs before the offset are compared with, and old streams that are
 *	                coded there, are read again; of COPYs only the last 8 bytes
 *
 * The container is documented in format.h, what is coded in it in code.h. */
#ifndef VALISE_DELTA_DELTA_H
#define VALISE_DELTA_DELTA_H

#include "base/err.h"

enum { DELTA_HASH_SIZE = 16 };

/* What coded bytes are spent on; told by the encoder, kept in the header, shown by `info`. */
#define DELTA_KIND_MAP(XX)                                                      \
	XX(TABLES, "tables", "streams seen through and how to pack them again") \
	XX(OPS, "commands", "which old ranges go where")                        \
	XX(MARKS, "marks", "where copied bytes differ")                         \
	XX(DIFFS, "differences", "what they are instead")                       \
	XX(FIELDS, "addresses", "corrections of predicted addresses in code")   \
	XX(INSERTS, "inserts", "bytes that are not in the old image")

enum delta_kind {
#define XX(name, word, help) DELTA_##name,
	DELTA_KIND_MAP(XX)
#undef XX
		DELTA_KINDS
};

/* What the new bytes they make are (content.h): `info --old` tells. */
#define DELTA_CONTENT_MAP(XX)                                                            \
	XX(SUPER, "superblocks", "of file systems, with descriptors and journals")       \
	XX(BITMAPS, "bitmaps", "which blocks and inodes of ext4 are free")               \
	XX(INODES, "inodes", "sizes, owners, times and places of files")                 \
	XX(NAMES, "names", "in folders, and where symbolic links lead")                  \
	XX(CODE, "code", "of ELF files, and what looks like x86-64 elsewhere")           \
	XX(DATA, "data", "constants and variables of ELF files")                         \
	XX(SYMBOLS, "symbols", "of ELF files: symbols, strings, relocations, debugging") \
	XX(ZIP, "zip", "members of zip, jar, jmod: unpacked")                            \
	XX(GZIP, "gzip", "unpacked")                                                     \
	XX(PNG, "png", "unpacked")                                                       \
	XX(DEFLATE, "deflate", "other streams, unpacked")                                \
	XX(TEXT, "text", "printable ASCII")                                              \
	XX(RECORDS, "records", "many zeros: tables, headers")                            \
	XX(PACKED, "packed", "compressed, encrypted or random")                          \
	XX(OTHER, "other", "none of these")

enum delta_content {
#define XX(name, word, help) DELTA_##name,
	DELTA_CONTENT_MAP(XX)
#undef XX
		DELTA_CONTENTS
};

enum { DELTA_ENCODERS = 80, DELTA_ENCODER_NAME = 40, DELTA_PATHS = 1000 };

/* Where each byte of a delta went.  Index, commands, recipes and contents together are the delta's size. */
struct delta_account {
	uint64_t index_bytes;   /* header, hashes, table of old streams */
	uint64_t command_bytes; /* pieces and commands, and how frames end */
	uint64_t recipe_bytes;  /* how streams are packed again */
	uint64_t content_bytes[DELTA_CONTENTS];
	/* The files of the new image that cost most, the dearest first; recipes are among it.  None where the image
	 * has no file system that is known (walk.h). */
	struct delta_path {
		char *path; /* text; what is not printable ASCII is \xHH */
		uint64_t spent_bytes;
	} * paths;                 /* heap */
	size_t n_paths, paths_all; /* at most DELTA_PATHS of all those that cost something */
	/* Streams by who packed them, those of one name together; spent on recipe and plain bytes, which
	 * are among the above too. */
	struct delta_encoder {
		char name[DELTA_ENCODER_NAME]; /* "gzip -9", "zlib -6, corrected" */
		uint64_t streams, packed_bytes, plain_bytes, spent_bytes;
	} encoders[DELTA_ENCODERS];
	unsigned n_encoders;
};
void delta_account_done(struct delta_account *a);

struct delta_info {
	uint64_t old_size, new_size, delta_size;
	uint32_t segment_bytes, frames, segments;
	uint32_t streams_old, streams_new; /* seen through */
	uint64_t ops, copied_bytes, zero_bytes, inserted_bytes, differing_bytes;
	/* Rounded; their sum is about delta_size, or 0: of less than 4 KiB it is not told. */
	uint64_t spent_bytes[DELTA_KINDS];
};

struct delta_job {
	int old_fd, new_fd,
		out_fd; /* borrowed; out_fd is written from offset 0 and truncated */
	/* An unlinked file, emptied, for unpacked streams, commands and frames that wait for others: at most
	 * some GiB.  -1: in memory (memfd), for small images only. */
	int scratch_fd;
	unsigned threads;    /* 0 is 1; at most 8 are used: memory */
	uint64_t output_max; /* give up (E_TOO_BIG) when the delta would be larger; 0: never */
	/* Above this many inserted bytes (0: 32 MiB) long inserts are packed faster and worse. */
	uint64_t mixed_max;
	/* Give up old streams when unpacking them takes more steps (space.h; 0: half of what who
	 * applies the delta puts up with). */
	uint64_t unpack_max;
	/* Called from the calling thread now and then; false cancels: E_CANCELLED. */
	bool (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
};

bool delta_create(const struct delta_job *job, struct delta_info *ret, struct err *e) MUST_USE;

struct delta;

/* Reads and checks header, index and tables.  A delta that is small for its image has one hash for all of it
 * (format.h): the image is made here once, to learn those of its segments, and nothing is kept of it.
 * E_FORMAT: not a delta; E_UNSUPPORTED: another version; E_CORRUPT: damaged, or another old image. */
bool delta_open(struct delta **ret, int delta_fd, int old_fd, struct err *e) MUST_USE;

/* The same, with word of how many bytes of the image were made, now and then: here, which is none for most deltas,
 * and in delta_account. */
bool delta_open_told(struct delta **ret, int delta_fd, int old_fd,
		     void (*told)(void *ctx, uint64_t done, uint64_t total), void *ctx,
		     struct err *e) MUST_USE;

/* The same for who holds every byte against hashes of his own, as the agent does: of a delta with one hash the image
 * is not made first, and its segments come without having been verified, so a damaged place in the old image costs
 * only what comes from it. */
bool delta_open_unverified(struct delta **ret, int delta_fd, int old_fd,
			   struct err *e) MUST_USE;
void delta_free(struct delta *d);
DEFINE_CLEANUP(struct delta, delta_free);

/* Only header and index: what `info` shows; needs no old image. */
bool delta_look(struct delta_info *ret, int delta_fd, struct err *e) MUST_USE;
void delta_describe(const struct delta *d, struct delta_info *ret);

/* Whether these are the bytes of the new image's segment at offset (a multiple of segment_bytes);
 * n is the segment's size. */
bool delta_has(const struct delta *d, uint64_t offset, const uint8_t *p, size_t n);

/* A verified segment: bytes n at offset of the new image.  False, with *e set, ends the work. */
typedef bool delta_emit(void *ctx, uint64_t offset, const uint8_t *p, size_t n, struct err *e);

/* From first_offset (a multiple of segment_bytes, at most new_size) to the end.  E_TOO_BIG: unpacking the
 * old streams takes too many steps for an image of that size (space.h), which starting elsewhere does not change. */
bool delta_apply(struct delta *d, uint64_t first_offset, delta_emit *emit, void *ctx,
		 struct err *e) MUST_USE;

/* Makes all of the new image in an empty file of the caller's, and tells what each byte of the delta was spent on.
 * *ret: delta_account_done(). */
bool delta_account(struct delta *d, int image_fd, struct delta_account *ret,
		   struct err *e) MUST_USE;

#endif
