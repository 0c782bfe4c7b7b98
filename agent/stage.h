/* agent/stage.h - bring a release into the idle slot: by ranges, verified group by group, resumable.
 *
 * For each component that the handset's model boots:
 *
 *	1. upper tree    from the slot's .hash file if that is already right, else its object;
 *	                 checked from the root down before anything else counts
 *	2. what is there every group of the slot's file is verified where it lies.  Good groups are kept,
 *	                 whatever wrote them: an earlier attempt, the release that was in the slot, a
 *	                 copy of the active slot's file (made first, by reference where the file
 *	                 system can, when that has the same content)
 *	   a delta       where the active slot holds what an offer goes out from (agent/stage_delta.h):
 *	                 what it makes is verified like a download
 *	3. what is not   runs of missing groups are fetched as runs of frames, decoded, verified, and written
 *	                 to their place.  A group that is not right is never written
 *	4. the end       zeros behind the plain bytes, files synced
 *
 * and at last release.json.  There is no progress file: after a cut at any instruction, step 2 finds out
 * what is good, so no byte is trusted because something says that it was verified.  There is
 * no second copy of the image, and memory does not grow with its size but for the upper tree (64
 * bytes per MiB).
 *
 * Decoding, hashing and writing run in a few threads beside the download. */
#ifndef VALISE_AGENT_STAGE_H
#define VALISE_AGENT_STAGE_H

#include "agent/slots.h"
#include "proto/checkin.h"

#include <stdatomic.h>

typedef bool stage_sink(void *arg, const void *p, size_t n, struct err *e);

/* Where objects come from.  Delivers bytes [from, to) of the object in order to the sink. */
struct stage_source {
	bool (*get)(void *ctx, const uint8_t sha256[static SHA256_SIZE], uint64_t object_size,
		    uint64_t from, uint64_t to, stage_sink *sink, void *arg, struct err *e);
	void *ctx;
};

/* Read by other threads while it runs. */
struct stage_progress {
	atomic_uint_least64_t total_bytes;   /* plain bytes of the release's components */
	atomic_uint_least64_t done_bytes;    /* of them verified and in the slot */
	atomic_uint_least64_t fetched_bytes; /* received from the source */
	atomic_uint_least64_t delta_bytes;   /* of these, deltas */
	atomic_uint_least64_t reused_bytes; /* plain bytes that needed no download of their own */
};

struct stage {
	int slot_dirfd; /* borrowed, as all here */
	const struct release *release;
	const struct model *model;
	const void *manifest; /* release.json as signed */
	size_t manifest_n;

	int seed_dirfd; /* the active slot, or -1 */
	const struct release *seed;

	/* Hints from the server; borrowed.  What they name is verified. */
	const struct offer *offers;
	size_t n_offers;
	/* A delta that did not give all: fetch the rest?  E_NONE does; another code is the error then:
	 * final, or one that is tried again when the network is another. */
	enum err_code no_fallback;
	struct err *delta_why; /* what went wrong with the last delta; may be NULL */
	unsigned stall_ms; /* a child that makes nothing for so long is ended; 0: ten minutes */

	struct stage_source source;
	uint64_t reserve_bytes;
	unsigned threads;          /* 0: one per processor, at most 4 */
	const atomic_bool *cancel; /* may be NULL */
	struct stage_progress *progress;
};

/* True: the slot holds the whole release, verified and durable.
 *
 * E_NO_SPACE, before the first byte is asked for, if the release does not fit beside the reserve (what
 * the slot holds already counts), and later if the disk fills up all the same; E_CORRUPT: an object
 * that is not what the manifest says (the text names component and place); E_CANCELLED; and whatever
 * the source gives.  After a failure call it again: it goes on from what is good. */
bool stage_run(const struct stage *s, struct err *e) MUST_USE;

#endif
