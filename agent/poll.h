/* agent/poll.h - one check-in: report, learn what is wanted, make policies hold.  Runs in a worker.
 *
 *	1. while pending, ask for enrolment again; finish a change of keys that was asked for
 *	2. POST /v1/checkin with what this handset is and did
 *	3. if the answer brings director metadata or names a newer image repository (or the last
 *	   evaluation failed): evaluate (agent/trustdb.h), fetch and apply policies (agent/policyd.h)
 *
 *	4. begin a change of keys that is due (agent/rekey.h)
 *
 * A server that refuses the key in step 2 is reminded of the last change of keys, once.
 * An answer that changes nothing costs one small request and writes nothing.  What was refused in
 * step 3 does not make the check-in fail: `why_not` says what, and the caller reports it. */
#ifndef VALISE_AGENT_POLL_H
#define VALISE_AGENT_POLL_H

#include "agent/enrol.h"
#include "agent/events.h"
#include "agent/policyd.h"
#include "client/signed.h"

struct poll_job {
	/* Given; borrowed, and nobody else's while it runs. */
	int state_dirfd, policies_dirfd;
	const struct identity *identity;
	struct signed_https *server;
	struct trustdb *trust;
	const struct clock *clock;
	const struct rng *rng;

	/* Given; the job's own. */
	struct enrolment enrolment; /* pending and poll_s may change */
	struct events_batch *events;
	struct checkin_request request; /* state, slot, release, policies, status */
	char policy_names[LIMIT_POLICIES][LIMIT_NAME + 1];
	int64_t now_s;
	uint8_t time_keys[SHA256_SIZE];
	uint64_t floor;
	uint64_t image_ts, director_ts, image_root,
		director_root; /* evaluated so far; 0: none */
	bool evaluate;         /* even if the answer brings nothing new */
	bool finish_rekey;     /* a change of keys was asked for */
	bool begin_rekey;      /* one is due */

	/* Results. */
	bool ok;
	struct err err; /* of the check-in itself */
	int64_t retry_after_s;
	uint32_t poll_s;
	uint64_t ack;
	int64_t server_s; /* what the server says the time is */
	bool fresh;       /* the director's metadata was signed for this check-in */

	bool evaluated; /* step 3 was done; then either wanted or why_not */
	struct wanted *wanted;
	struct err why_not;
	struct applied *policy; /* NULL if applying failed (why_not) or was not done */
	bool policy_changed, policy_waits;
	uint64_t bytes_up, bytes_down; /* bodies */

	bool tried_rekey,
		rekeyed; /* then `keys` are the handset's, and `server` signs with them */
	struct identity keys;
	struct err rekey_err;
};

/* What the last answer with offers offered (want/offers.json): so that a download goes on by delta
 * after a restart.  Only a hint; without it, or with a damaged one, nothing is offered. */
/* Free space as a check-in says it: the number said before (0: none) until it moved by an eighth of
 * that, and by 4 MiB.  Each other number is a report that the server stores, and a guest that writes
 * its log would make every poll one. */
uint64_t poll_free_bytes(uint64_t said_bytes, uint64_t now_bytes);

void poll_offers_load(struct checkin_answer *ret, int want_dirfd);

void poll_job_run(void *poll_job);
void poll_job_free(struct poll_job *j);
DEFINE_CLEANUP(struct poll_job, poll_job_free);

#endif
