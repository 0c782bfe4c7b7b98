/* agent/enrol.h - becoming a device of one server, and what is remembered of it.
 *
 * Order, so that it can be cut anywhere and be done again:
 *	1. keys (agent/identity.h), durable
 *	2. both first roots, held against the ticket's hashes, stored as trust anchors
 *	3. POST /v1/enrol, signed; idempotent by key
 *	4. enrolment.json
 * A change of keys that this server was asked for (agent/rekey.h) is finished before the third step.
 * While the server waits for an administrator (state pending) the ticket's token is kept there, and the
 * request is made again at each poll until the answer is `active`. */
#ifndef VALISE_AGENT_ENROL_H
#define VALISE_AGENT_ENROL_H

#include "agent/identity.h"
#include "agent/settings.h"
#include "base/clock.h"
#include "client/https.h"

struct enrolment {
	char url[LIMIT_URL + 1];
	bool has_pin;
	uint8_t pin[HTTPS_PIN_SIZE];
	uint8_t image_root[SHA256_SIZE], director_root[SHA256_SIZE]; /* of the ticket */
	char device[DEVICE_ID_SIZE]; /* hash of the handset's first key with this server */
	char model[LIMIT_NAME + 1];
	char name[LIMIT_ATTRIBUTE + 1];
	bool pending;
	uint8_t token[TICKET_TOKEN]; /* while pending */
	uint32_t poll_s;
};

/* E_NOT_FOUND: not enrolled. */
bool enrolment_load(struct enrolment *ret, int state_dirfd, struct err *e) MUST_USE;

/* A client for the server; cancel as in client/https.h. */
bool enrolment_connect(struct https **ret, const struct enrolment *en,
		       const struct settings *set, const atomic_bool *cancel,
		       struct err *e) MUST_USE;

struct enrol_options {
	const char *ticket;
	const char *model, *name;
	bool again;    /* forget the present server */
	bool new_keys; /* with again: become another device */
};

/* The whole of it.  The answer's state may be pending.  E_EXISTS: enrolled with another server
 * and not `again`. */
bool enrol(struct enrolment *ret, int state_dirfd, const struct enrol_options *opt,
	   const struct settings *set, const struct clock *clock, const struct rng *rng,
	   struct err *e) MUST_USE;

/* Asks again while pending, and stores the answer.  E_PENDING: still is. */
bool enrolment_ask(struct enrolment *en, int state_dirfd, const struct identity *id,
		   struct https *https, const struct clock *clock, const struct rng *rng,
		   struct err *e) MUST_USE;

#endif
