#include "agent/poll.h"

#include "agent/rekey.h"
#include "base/cli.h"
#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>

enum { FREE_STEP_MIN = 4 << 20 };

static bool send_checkin(struct poll_job *j, struct checkin_answer *ret,
			 char nonce_hex[static HEX_SIZE(CHECKIN_NONCE)], struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHECKIN_BODY);
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	struct checkin_request *r = &j->request;

	rng_fill(j->rng, r->nonce, sizeof(r->nonce));
	hex_encode(nonce_hex, r->nonce, sizeof(r->nonce));
	r->agent = VALISE_VERSION;
	r->events = j->events->v;
	r->n_events = j->events->n;
	r->image_ts = j->image_ts;
	r->director_ts = j->director_ts;
	r->image_root = j->image_root;
	r->director_root = j->director_root;
	r->empty_ok = true;
	if (!checkin_request_encode(r, &body, e))
		return err_wrap(e, "check-in");
	j->bytes_up = body.n;
	bool ok = signed_post(j->server, "/v1/checkin", body.p, body.n,
			      r->n_events ? SIGNED_BY_IDENTITY : SIGNED_BY_SESSION,
			      LIMIT_CHECKIN_ANSWER, &a, e) &&
		  (a.status == 204 ? checkin_answer_empty(ret, a.retry_after_s, e)
				   : checkin_answer_parse(ret, a.body.p, a.body.n, e));
	j->retry_after_s = a.retry_after_s;
	j->bytes_down = a.body.n;
	return ok ? true : err_wrap(e, "check-in");
}

static bool evaluate(struct poll_job *j, const struct checkin_answer *a, const char *nonce,
		     struct err *e)
{
	struct trustdb_input in = {
		.https = j->server->https,
		.now_s = j->now_s,
		.server_s = j->server_s,
		.time_keys = j->time_keys,
		.device = j->enrolment.device,
		.nonce = nonce,
		.floor = j->floor,
		.timestamp = a->timestamp,
		.snapshot = a->snapshot,
		.targets = a->targets,
		.refresh_image = a->timestamp.p || a->image_ts != 0 || j->image_ts == 0,
	};

	if (!trustdb_evaluate(&j->wanted, j->trust, &in, e))
		return false;
	j->fresh = a->timestamp.p != NULL;
	return policyd_apply(&j->policy, &j->policy_changed, &j->policy_waits,
			     j->policies_dirfd, j->server->https, j->wanted, j->wanted->now_s,
			     e);
}

uint64_t poll_free_bytes(uint64_t said_bytes, uint64_t now_bytes)
{
	uint64_t moved =
		said_bytes > now_bytes ? said_bytes - now_bytes : now_bytes - said_bytes;

	if (said_bytes != 0 && (moved < said_bytes / 8 || moved < FREE_STEP_MIN))
		return said_bytes;
	return now_bytes;
}

#define OFFERS "offers.json"

/* Failing costs a larger download after a restart, no more. */
static void keep_offers(const struct poll_job *j, const struct checkin_answer *a)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CHECKIN_ANSWER);
	const struct checkin_answer only = {
		.poll_s = a->poll_s,
		.offers = a->offers,
		.n_offers = a->n_offers,
	};
	struct err ignored;

	if (a->n_offers > 0 && checkin_answer_encode(&only, &text, &ignored))
		(void)!file_replace(j->trust->want_dirfd, OFFERS, 0600, text.p, text.n,
				    &ignored);
}

void poll_offers_load(struct checkin_answer *ret, int want_dirfd)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CHECKIN_ANSWER);
	struct err ignored;

	*ret = (struct checkin_answer){ .n_offers = 0 };
	if (read_file_at(want_dirfd, OFFERS, &text, &ignored))
		(void)!checkin_answer_parse(ret, text.p, text.n, &ignored);
}

/* ---- the handset's own keys -------------------------------------------------------------- */

static const struct identity *keys_of(const struct poll_job *j)
{
	return j->rekeyed ? &j->keys : j->identity;
}

static void change_keys(struct poll_job *j)
{
	struct identity was = *j->identity;

	/* Only the public half of it is looked at; the secrets stay their owner's. */
	was.signing = was.sealing = NULL;
	j->keys = was;
	j->tried_rekey = true;
	j->rekeyed = rekey(&j->keys, j->state_dirfd, j->server, j->enrolment.director_root,
			   j->now_s, &j->rekey_err);
}

/* A server that was put back to before the last change knows the former key only. */
static bool remind(struct poll_job *j, struct err *e)
{
	struct err why;

	if (e->code != E_AUTH)
		return false;
	if (keys_of(j)->change == KEYS_DONE &&
	    rekey_is_with(keys_of(j), j->enrolment.director_root) &&
	    rekey_repeat(keys_of(j), j->server, &why))
		return true;
	err_hint(e, "the server does not know this handset's key; if it was put back to an"
		    " older state, enrol anew: valise-agent enrol --again --new-keys TICKET");
	return false;
}

void poll_job_run(void *poll_job)
{
	struct poll_job *j = poll_job;
	struct checkin_answer a = { 0 };
	char nonce[HEX_SIZE(CHECKIN_NONCE)];

	j->retry_after_s = -1;
	if (j->enrolment.pending && !enrolment_ask(&j->enrolment, j->state_dirfd, j->identity,
						   j->server->https, j->clock, j->rng, &j->err))
		return;
	if (j->finish_rekey)
		change_keys(j);
	if (!send_checkin(j, &a, nonce, &j->err) &&
	    (!remind(j, &j->err) || !send_checkin(j, &a, nonce, &j->err)))
		return;
	j->ok = true;
	j->poll_s = a.poll_s;
	j->ack = a.ack;
	keep_offers(j, &a);
	j->server_s = signed_server_time_s(j->server);
	/* A server that has nothing for us sends nothing, and then there is nothing to evaluate. */
	if (a.timestamp.p || (j->director_ts != 0 && (a.image_ts != 0 || j->evaluate))) {
		j->evaluated = true;
		if (!evaluate(j, &a, nonce, &j->why_not)) {
			wanted_free(TAKE(j->wanted));
			applied_free(TAKE(j->policy));
		}
	}
	checkin_answer_done(&a);
	/* Begun only now: the server has just taken the present key. */
	if (j->begin_rekey && !j->tried_rekey)
		change_keys(j);
}

void poll_job_free(struct poll_job *j)
{
	if (!j)
		return;
	events_batch_free(j->events);
	wanted_free(j->wanted);
	applied_free(j->policy);
	identity_done(&j->keys);
	free(j);
}
