/* proto/checkin.h - the check-in: one request with what the handset is and did, one answer with
 * what it shall be.  Format: docs/FORMATS.md section 5.
 *
 * Texts in these structs are borrowed.  A parsed message owns them through `doc`, and
 * checkin_*_done frees that; one that is put together for encoding points to the caller's texts
 * and leaves doc NULL.  Unknown fields are ignored: both sides are updated at different times.
 *
 * An idle message is at most 1 KiB.  Nothing in an answer is trusted: the director's metadata is
 * verified (proto/tuf*.h), offers are hints whose bytes are checked against it. */
#ifndef VALISE_PROTO_CHECKIN_H
#define VALISE_PROTO_CHECKIN_H

#include "proto/jread.h"
#include "proto/release.h"

enum { CHECKIN_NONCE = 16 };

/* Of an update on the handset; agent/ draws the arrows. */
enum update_state {
	UPDATE_IDLE,
	UPDATE_OFFERED,
	UPDATE_FETCHING,
	UPDATE_STAGED,
	UPDATE_TRIAL,
	UPDATE_CONFIRMED,
	UPDATE_ROLLED_BACK,
	UPDATE_FAILED,
};
extern const char *const update_state_names[]; /* NULL-terminated */

struct policy_version {
	const char *name;
	uint64_t version;
};

/* Something that happened, numbered per device from 1 without gaps; sent again until acknowledged. */
struct checkin_event {
	uint64_t seq;
	int64_t at_s;
	const char *kind;  /* a name: update, policy, vm, agent */
	const char *state; /* a name; for kind update one of update_state_names */
	bool has_release;
	struct release_ref release;
	struct policy_version policy; /* for kind policy; name NULL if absent */
	const char *reason;           /* one line, at most LIMIT_TEXT; NULL if absent */
	const char *log; /* at most LIMIT_LOG_TAIL (of more, the end); NULL if absent */
	size_t log_n;    /* encode: bytes of any kind; what is not UTF-8 is replaced */
};

struct checkin_request {
	uint8_t nonce[CHECKIN_NONCE];
	const char *agent; /* its version */
	enum update_state state;
	char slot; /* 'a', 'b' or 0 if none is booted yet */
	bool has_release;
	struct release_ref release;                                /* that runs */
	uint64_t image_ts, director_ts, image_root, director_root; /* versions; 0: none yet */
	struct policy_version policies[LIMIT_POLICIES];            /* applied */
	size_t n_policies;
	struct checkin_event *events; /* heap if parsed, borrowed if encoded */
	size_t n_events;
	bool has_status;
	uint64_t free_bytes;
	const char *vm; /* a name: stopped, starting, running, failed, ... */
	bool empty_ok;  /* it understands checkin_answer_empty(); older agents do not */

	struct jdoc *doc;
};

bool checkin_request_parse(struct checkin_request *ret, const void *p, size_t n,
			   struct err *e) MUST_USE;
bool checkin_request_encode(const struct checkin_request *r, struct buf *out,
			    struct err *e) MUST_USE;
void checkin_request_done(struct checkin_request *r); /* only for parsed ones; NULL is fine */

struct offer_object {
	uint8_t sha256[SHA256_SIZE];
	uint64_t size;
};

struct offer_delta {
	uint8_t from[SHA256_SIZE]; /* verity root of what it applies to */
	struct offer_object object;
	uint32_t coding; /* version of the coding (delta/format.h); 0: not said */
};

struct offer {
	char component[LIMIT_NAME + 1];
	struct offer_object full;
	struct offer_delta deltas[LIMIT_OFFER_DELTAS]; /* smallest first */
	size_t n_deltas;
};

struct text_span {
	const char *p; /* NULL if absent */
	size_t n;
};

struct checkin_answer {
	uint32_t poll_s;
	uint64_t ack;      /* highest event number stored durably; 0 if absent */
	uint64_t image_ts; /* newest version; 0 if absent: yours is the newest */
	struct text_span timestamp, snapshot, targets; /* of the director: all or none */
	struct offer *offers;                          /* heap if parsed, borrowed if encoded */
	size_t n_offers;

	struct jdoc *doc;
};

bool checkin_answer_parse(struct checkin_answer *ret, const void *p, size_t n,
			  struct err *e) MUST_USE;
bool checkin_answer_encode(const struct checkin_answer *a, struct buf *out,
			   struct err *e) MUST_USE;
void checkin_answer_done(struct checkin_answer *a); /* only for parsed ones; NULL is fine */

/* An answer that says no more than when to poll again may come without a body, to who said empty_ok:
 * 204 with the seconds in Retry-After.  Whether this one may, and what such an answer says
 * (retry_after_s as the header field has it, -1 if it was absent). */
bool checkin_answer_is_empty(const struct checkin_answer *a);
bool checkin_answer_empty(struct checkin_answer *ret, int64_t retry_after_s,
			  struct err *e) MUST_USE;

#endif
