/* client/signed.h - a device's signed requests: RFC 9421 over client/https.h (FORMATS.md, section 5).
 *
 * Enrolment, session start and reports are signed with the device's Ed25519 key; idle polls with the
 * HMAC key of a session, which is started when first needed and renewed after 4/5 of its life or when the
 * server no longer knows it (once per request).
 *
 * Wrong clock: the server's 401 carries its time and a nonce; the request is signed once more with
 * these.  The difference is kept for the requests that follow (in memory only), so a handset whose battery
 * was empty pays one round trip more per start.  signed_server_time_s() hands that time out as
 * a hint for the user interface; trusted time comes from TUF metadata only. */
#ifndef VALISE_CLIENT_SIGNED_H
#define VALISE_CLIENT_SIGNED_H

#include "base/clock.h"
#include "base/rng.h"
#include "base/secret.h"
#include "client/https.h"
#include "proto/enrol.h"

enum signed_by { SIGNED_BY_IDENTITY, SIGNED_BY_SESSION };

struct signed_https {
	struct https *https; /* borrowed, as the next four */
	const struct clock *clock;
	const struct rng *rng;
	const struct secret *identity; /* Ed25519 secret key, as proto/sig.h keeps it */
	char device[DEVICE_ID_SIZE];

	char session[LIMIT_SESSION_ID + 1]; /* "" for none */
	struct secret *session_key;
	int64_t session_renew_ms; /* boot time */
	int64_t clock_offset_s;   /* server's time minus ours; 0 until told */
};

/* device: the id that the server knows the key by. */
void signed_init(struct signed_https *s, struct https *https, const char *device,
		 const struct secret *identity, const struct clock *clock,
		 const struct rng *rng);
void signed_done(struct signed_https *s);

/* From now on with another key of the same device; the session of the earlier one is over. */
void signed_rekey(struct signed_https *s, const struct secret *identity);

/* POSTs a body with Content-Type application/json.  As https_do: true for a 2xx; 401 for the clock
 * or for an unknown session has then already been tried again.  The answer is at most max_bytes. */
bool signed_post(struct signed_https *s, const char *path, const void *body, size_t n,
		 enum signed_by by, uint64_t max_bytes, struct https_answer *a,
		 struct err *e) MUST_USE;

/* Our wall clock corrected by what the server said. */
int64_t signed_server_time_s(const struct signed_https *s);

#endif
