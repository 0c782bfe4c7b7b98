#include "client/signed.h"

#include "base/text.h"
#include "proto/api.h"
#include "proto/enrol.h"
#include "proto/httpsig.h"

#include <stdio.h>
#include <string.h>

void signed_init(struct signed_https *s, struct https *https, const char *device,
		 const struct secret *identity, const struct clock *clock,
		 const struct rng *rng)
{
	*s = (struct signed_https){
		.https = https, .clock = clock, .rng = rng, .identity = identity
	};
	snprintf(s->device, sizeof(s->device), "%s", device);
}

static void forget_session(struct signed_https *s)
{
	secret_free(TAKE(s->session_key));
	s->session[0] = '\0';
}

void signed_done(struct signed_https *s)
{
	forget_session(s);
}

void signed_rekey(struct signed_https *s, const struct secret *identity)
{
	forget_session(s);
	s->identity = identity;
}

int64_t signed_server_time_s(const struct signed_https *s)
{
	return clock_wall_s(s->clock) + s->clock_offset_s;
}

/* ---- one signed request ------------------------------------------------------------------ */

struct post {
	const char *path;
	const void *body;
	size_t n;
	enum signed_by by;
	uint64_t max_bytes;
	uint8_t nonce[HTTPSIG_NONCE_BYTES];
};

static bool make_signature(struct signed_https *s, const struct post *p,
			   struct httpsig_headers *ret, struct err *e)
{
	bool by_session = p->by == SIGNED_BY_SESSION;
	const char *query = strchr(p->path, '?');
	size_t path_n = query ? (size_t)(query - p->path) : strlen(p->path);
	char path[2 * LIMIT_URL];
	struct httpsig_msg m = { .method = "POST",
				 .authority = https_authority(s->https),
				 .path = path,
				 .query = query ? query : "?" };
	struct httpsig_key key = { .alg = by_session ? HTTPSIG_HMAC_SHA256 : HTTPSIG_ED25519,
				   .secret = by_session ? s->session_key : s->identity };

	if (path_n + strlen(https_prefix(s->https)) >= sizeof(path))
		return err_set(e, E_TOO_BIG, "request path");
	snprintf(path, sizeof(path), "%s%.*s", https_prefix(s->https), (int)path_n, p->path);
	return httpsig_sign(ret, &m, p->body, p->n, by_session ? s->session : s->device,
			    signed_server_time_s(s), p->nonce, &key, e);
}

static bool send_signed(struct signed_https *s, const struct post *p, struct https_answer *a,
			struct err *e)
{
	struct httpsig_headers h;
	char digest[sizeof(h.digest) + 24], input[sizeof(h.input) + 24],
		signature[sizeof(h.signature) + 24];
	const char *headers[] = { "Content-Type: application/json", digest, input, signature };
	struct https_request r = { .method = "POST",
				   .path = p->path,
				   .headers = headers,
				   .n_headers = ARRAY_SIZE(headers),
				   .body = p->body,
				   .body_n = p->n,
				   .max_bytes = p->max_bytes,
				   .total_timeout_ms = 60000 };

	a->status = 0;
	if (!make_signature(s, p, &h, e))
		return false;
	snprintf(digest, sizeof(digest), "Content-Digest: %s", h.digest);
	snprintf(input, sizeof(input), "Signature-Input: %s", h.input);
	snprintf(signature, sizeof(signature), "Signature: %s", h.signature);
	return https_do(s->https, &r, a, e);
}

/* Whether the refusal was about our clock; then takes over the server's time and nonce. */
static bool learn_clock(struct signed_https *s, const struct https_answer *a,
			uint8_t nonce[static HTTPSIG_NONCE_BYTES])
{
	struct api_error refusal;
	struct err ignored;
	size_t n;

	if (a->status != 401 || !api_error_parse(&refusal, a->body.p, a->body.n, &ignored) ||
	    refusal.server_time_s < 0)
		return false;
	if (!base64_decode(nonce, HTTPSIG_NONCE_BYTES, &n, refusal.nonce,
			   strlen(refusal.nonce)) ||
	    n != HTTPSIG_NONCE_BYTES)
		return false;
	s->clock_offset_s = refusal.server_time_s - clock_wall_s(s->clock);
	return true;
}

static bool post_with_clock(struct signed_https *s, struct post *p, struct https_answer *a,
			    struct err *e)
{
	rng_fill(s->rng, p->nonce, sizeof(p->nonce));
	if (send_signed(s, p, a, e))
		return true;
	return learn_clock(s, a, p->nonce) && send_signed(s, p, a, e);
}

/* ---- sessions ---------------------------------------------------------------------------- */

static bool take_session(struct signed_https *s, const struct https_answer *a, struct err *e)
{
	struct session_answer got;

	if (!session_answer_parse(&got, a->body.p, a->body.n, e))
		return false;
	forget_session(s);
	if (secret_copy(&s->session_key, got.key, sizeof(got.key), e)) {
		snprintf(s->session, sizeof(s->session), "%s", got.session);
		s->session_renew_ms =
			clock_boot_ms(s->clock) + (int64_t)got.expires_s * 1000 / 5 * 4;
	}
	wipe(&got, sizeof(got));
	return s->session_key != NULL;
}

static bool start_session(struct signed_https *s, struct https_answer *a, struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SESSION_BODY);
	struct post p = { .path = "/v1/session",
			  .by = SIGNED_BY_IDENTITY,
			  .max_bytes = 4 * LIMIT_SESSION_BODY };
	bool ok;

	if (!session_request_encode(&body, e))
		return false;
	p.body = body.p;
	p.n = body.n;
	ok = post_with_clock(s, &p, a, e) && take_session(s, a, e);
	if (a->body.p) /* the key was in there */
		wipe(a->body.p, a->body.n);
	return ok || err_wrap(e, "session");
}

static bool has_session(const struct signed_https *s)
{
	return s->session_key && clock_boot_ms(s->clock) < s->session_renew_ms;
}

bool signed_post(struct signed_https *s, const char *path, const void *body, size_t n,
		 enum signed_by by, uint64_t max_bytes, struct https_answer *a, struct err *e)
{
	struct post p = { .path = path, .body = body, .n = n, .by = by, .max_bytes = max_bytes };
	bool fresh = !has_session(s);

	if (by == SIGNED_BY_IDENTITY)
		return post_with_clock(s, &p, a, e);
	if (fresh && !start_session(s, a, e))
		return false;
	if (post_with_clock(s, &p, a, e))
		return true;
	if (fresh || a->status != 401)
		return false;
	/* A server that was restarted with another secret no longer knows the session. */
	forget_session(s);
	return start_session(s, a, e) && post_with_clock(s, &p, a, e);
}
