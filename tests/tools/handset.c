/* handset - the requests of one handset without a handset, for scenarios and measurements.
 *
 *	handset STATE URL PIN enrol TOKEN [MODEL [SERIAL]]  prints the answer
 *	handset STATE URL PIN checkin [FIELD=VALUE...]      one check-in; prints the answer as sent
 *	handset STATE URL PIN sign N FILE [FIELD=VALUE...]  N signed check-ins as raw requests, all of
 *	                                                    one length (printed), each good once
 *	handset STATE URL PIN rekey NEW [OPTION=VALUE...]   changes its keys for those of the state folder NEW;
 *	                                                    device=ID, old=HEX (claimed, not signed with),
 *	                                                    by=old (signs the request), skew=SECONDS,
 *	                                                    raw=FILE (written instead of sent)
 *
 * An answer without a body is printed as the one that it stands for.
 * STATE is a folder with the identity key's seed and the last versions seen.  Fields: by=identity,
 * state=WORD, release=PRODUCT/VERSION, slot=a, policy=NAME:VERSION, event=SEQ:STATE:REASON,
 * free=BYTES, skew=SECONDS (of this handset's clock), body=always (as older agents), device=ID (whose key this
 * is; else the id of the key), path=PATH (of `sign`). */
#include "base/file.h"
#include "base/io.h"
#include "base/text.h"
#include "client/signed.h"
#include "proto/checkin.h"
#include "proto/httpsig.h"
#include "proto/jread.h"
#include "proto/rotation.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct skewed {
	struct clock base;
	int64_t skew_s;
};

static int64_t skewed_wall_s(const struct clock *c)
{
	return clock_wall_s(clock_system()) + ((const struct skewed *)(const void *)c)->skew_s;
}

static int64_t skewed_boot_ms(const struct clock *c)
{
	(void)c;
	return clock_boot_ms(clock_system());
}

struct handset {
	int dirfd;
	struct skewed clock;
	struct secret *key;
	uint8_t public[SIG_PUBLIC_SIZE], sealing[SEALING_KEY];
	struct https *https;
	struct signed_https sig;
	enum signed_by by;
	const char *path; /* of pre-signed requests */

	struct checkin_request req;
	struct checkin_event event;
	char reason[LIMIT_TEXT + 1], state[LIMIT_NAME + 1];
};

static int fail(const struct err *e, const struct https_answer *a)
{
	fprintf(stderr, "handset: %s: %s\n", err_name(e->code), e->text);
	if (a && a->status)
		fprintf(stderr, "status %d retry-after %" PRId64 "\n", a->status,
			a->retry_after_s);
	return 1;
}

static bool load_key(struct handset *h, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(64);
	uint8_t seed[64];

	if (!read_file_at(h->dirfd, "seed", &b, e)) {
		if (e->code != E_NOT_FOUND)
			return false;
		rng_fill(rng_system(), seed, sizeof(seed));
		if (!file_replace(h->dirfd, "seed", 0600, seed, sizeof(seed), e))
			return false;
	} else if (b.n != sizeof(seed)) {
		return err_set(e, E_CORRUPT, "seed: %zu bytes", b.n);
	} else {
		memcpy(seed, b.p, sizeof(seed));
	}
	memcpy(h->sealing, seed + 32, sizeof(h->sealing));
	return sig_from_seed(&h->key, h->public, seed, e);
}

/* The last director and image versions that an answer gave. */
static void load_versions(struct handset *h)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(256);
	struct err e;

	if (read_file_at(h->dirfd, "versions", &b, &e) &&
	    sscanf(buf_str(&b), "%" SCNu64 " %" SCNu64, &h->req.director_ts,
		   &h->req.image_ts) != 2)
		fprintf(stderr, "handset: versions: not two numbers\n");
}

static bool save_versions(struct handset *h, struct err *e)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n", h->req.director_ts,
			 h->req.image_ts);

	return file_replace(h->dirfd, "versions", 0600, text, (size_t)n, e);
}

static bool open_handset(struct handset *h, const char *state, const char *url, const char *pin,
			 struct err *e)
{
	struct https_config c = HTTPS_CONFIG_INIT(url);
	uint8_t want[HTTPS_PIN_SIZE];
	char id[DEVICE_ID_SIZE];

	c.allow_plain_loopback = true;
	if (hex_decode(want, sizeof(want), pin, strlen(pin)))
		c.pin = want;
	h->clock.base = (struct clock){ skewed_wall_s, skewed_boot_ms };
	if (!dir_open(&h->dirfd, state, 0700, e) || !load_key(h, e) ||
	    !https_new(&h->https, &c, e))
		return false;
	device_id_of(id, h->public);
	signed_init(&h->sig, h->https, id, h->key, &h->clock.base, rng_system());
	return true;
}

/* ---- enrolment ------------------------------------------------------------------------------ */

static int enrol(struct handset *h, int argc, char **argv)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_ENROL_BODY);
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	struct enrol_request *req = calloc(1, sizeof(*req));
	struct err e;
	bool ok;

	if (!req || argc < 1 ||
	    !hex_decode(req->token, sizeof(req->token), argv[0], strlen(argv[0]))) {
		fprintf(stderr, "handset: enrol TOKEN\n");
		free(req);
		return 64;
	}
	memcpy(req->identity, h->public, IDENTITY_KEY);
	memcpy(req->sealing, h->sealing, SEALING_KEY);
	snprintf(req->model, sizeof(req->model), "%s", argc > 1 ? argv[1] : "compact");
	snprintf(req->name, sizeof(req->name), "test");
	if (argc > 2) {
		req->n_attributes = 1;
		snprintf(req->attributes[0].key, sizeof(req->attributes[0].key), "serial");
		snprintf(req->attributes[0].value, sizeof(req->attributes[0].value), "%s",
			 argv[2]);
	}
	ok = enrol_request_encode(req, &body, &e) &&
	     signed_post(&h->sig, "/v1/enrol", body.p, body.n, SIGNED_BY_IDENTITY, 65536, &a,
			 &e);
	free(req);
	if (!ok)
		return fail(&e, &a);
	printf("%.*s\n", (int)a.body.n, buf_str(&a.body));
	return 0;
}

/* ---- check-ins ------------------------------------------------------------------------------- */

static bool set_event(struct handset *h, char *value)
{
	unsigned long long seq;
	char *state = strchr(value, ':'), *reason = state ? strchr(state + 1, ':') : NULL;

	if (!reason || sscanf(value, "%llu", &seq) != 1)
		return false;
	*state++ = 0;
	*reason++ = 0;
	snprintf(h->state, sizeof(h->state), "%s", state);
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
	h->event = (struct checkin_event){ .seq = seq,
					   .at_s = clock_wall_s(clock_system()),
					   .kind = "update",
					   .state = h->state,
					   .has_release = h->req.has_release,
					   .release = h->req.release,
					   .reason = h->reason };
	h->req.events = &h->event;
	h->req.n_events = 1;
	h->by = SIGNED_BY_IDENTITY;
	return true;
}

static bool set_field(struct handset *h, char *arg)
{
	char *value = strchr(arg, '=');
	unsigned long long n;
	struct err e;

	if (!value)
		return false;
	*value++ = 0;
	if (strcmp(arg, "by") == 0) {
		h->by = SIGNED_BY_IDENTITY;
	} else if (strcmp(arg, "path") == 0) {
		h->path = value;
	} else if (strcmp(arg, "body") == 0) {
		h->req.empty_ok = false;
	} else if (strcmp(arg, "skew") == 0 && sscanf(value, "%lld", (long long *)&n) == 1) {
		h->clock.skew_s = (int64_t)n;
	} else if (strcmp(arg, "device") == 0) {
		snprintf(h->sig.device, sizeof(h->sig.device), "%s", value);
	} else if (strcmp(arg, "slot") == 0) {
		h->req.slot = value[0];
	} else if (strcmp(arg, "release") == 0) {
		h->req.has_release = true;
		return release_ref_parse(&h->req.release, value, &e);
	} else if (strcmp(arg, "free") == 0 && sscanf(value, "%llu", &n) == 1) {
		h->req.has_status = true;
		h->req.free_bytes = n;
		h->req.vm = "running";
	} else if (strcmp(arg, "policy") == 0 && strchr(value, ':')) {
		char *version = strchr(value, ':');

		*version++ = 0;
		h->req.policies[h->req.n_policies].name = value;
		h->req.policies[h->req.n_policies++].version = strtoull(version, NULL, 10);
	} else if (strcmp(arg, "event") == 0) {
		return set_event(h, value);
	} else if (strcmp(arg, "state") == 0) {
		for (unsigned i = 0; update_state_names[i]; i++) {
			if (strcmp(update_state_names[i], value) == 0) {
				h->req.state = (enum update_state)i;
				return true;
			}
		}
		return false;
	} else {
		return false;
	}
	return true;
}

static bool set_fields(struct handset *h, int argc, char **argv)
{
	h->req.agent = "0.1.0";
	h->req.state = UPDATE_IDLE;
	h->req.image_root = h->req.director_root = 1;
	h->req.empty_ok = true;
	h->path = "/v1/checkin";
	load_versions(h);
	for (int i = 0; i < argc; i++) {
		if (!set_field(h, argv[i])) {
			fprintf(stderr, "handset: field %s\n", argv[i]);
			return false;
		}
	}
	return true;
}

static bool body_of(struct handset *h, struct buf *out, struct err *e)
{
	buf_reset(out);
	rng_fill(rng_system(), h->req.nonce, sizeof(h->req.nonce));
	return checkin_request_encode(&h->req, out, e);
}

static bool read_answer(struct handset *h, struct https_answer *a, struct err *e)
{
	CLEANUP(checkin_answer_done) struct checkin_answer answer = { .doc = NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *signed_part;

	if (a->status == 204 ? !checkin_answer_empty(&answer, a->retry_after_s, e) ||
				       !checkin_answer_encode(&answer, &a->body, e)
			     : !checkin_answer_parse(&answer, a->body.p, a->body.n, e))
		return false;
	if (answer.image_ts)
		h->req.image_ts = answer.image_ts;
	if (answer.timestamp.p &&
	    (!jdoc_parse(&d, answer.timestamp.p, answer.timestamp.n, e) ||
	     !jobj_obj(&signed_part, jdoc_root(d), "signed", e) ||
	     !jobj_u64(&h->req.director_ts, signed_part, "version", 1, (uint64_t)J_INT_MAX, e)))
		return false;
	return save_versions(h, e);
}

static int checkin(struct handset *h, int argc, char **argv)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHECKIN_BODY);
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	struct err e;

	h->by = SIGNED_BY_SESSION;
	if (!set_fields(h, argc, argv))
		return 64;
	if (!body_of(h, &body, &e) ||
	    !signed_post(&h->sig, "/v1/checkin", body.p, body.n, h->by, 1 << 20, &a, &e) ||
	    !read_answer(h, &a, &e))
		return fail(&e, &a);
	printf("%.*s\n", (int)a.body.n, buf_str(&a.body));
	return 0;
}

/* ---- pre-signed requests ---------------------------------------------------------------------- */

static bool raw_post(struct handset *h, const char *path, const struct buf *body,
		     const char *keyid, const struct httpsig_key *key, struct buf *out,
		     struct err *e)
{
	struct httpsig_msg m = { .method = "POST",
				 .authority = https_authority(h->https),
				 .path = path,
				 .query = "?" };
	uint8_t nonce[HTTPSIG_NONCE_BYTES];
	struct httpsig_headers sig;

	rng_fill(rng_system(), nonce, sizeof(nonce));
	buf_reset(out);
	return httpsig_sign(&sig, &m, body->p, body->n, keyid, signed_server_time_s(&h->sig),
			    nonce, key, e) &&
	       buf_printf(out, e,
			  "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
			  "Content-Length: %zu\r\nContent-Digest: %s\r\nSignature-Input: %s\r\n"
			  "Signature: %s\r\n\r\n",
			  path, https_authority(h->https), body->n, sig.digest, sig.input,
			  sig.signature) &&
	       buf_add(out, body->p, body->n, e);
}

static bool raw_request(struct handset *h, struct buf *out, struct buf *body, struct err *e)
{
	struct httpsig_key key = { .alg = HTTPSIG_HMAC_SHA256, .secret = h->sig.session_key };

	return body_of(h, body, e) && raw_post(h, h->path, body, h->sig.session, &key, out, e);
}

static bool write_requests(struct handset *h, uint64_t n, FILE *f, size_t *ret_length,
			   struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHECKIN_BODY);
	CLEANUP(buf_done) struct buf raw = BUF_INIT(2 * LIMIT_CHECKIN_BODY);

	*ret_length = 0;
	for (uint64_t i = 0; i < n; i++) {
		if (!raw_request(h, &raw, &body, e))
			return false;
		if (*ret_length && raw.n != *ret_length)
			return err_set(e, E_INTERNAL, "a request of %zu bytes after one of %zu",
				       raw.n, *ret_length);
		*ret_length = raw.n;
		if (fwrite(raw.p, 1, raw.n, f) != raw.n)
			return err_sys(e, errno, "write");
	}
	return fflush(f) == 0 ? true : err_sys(e, errno, "write");
}

static int sign_many(struct handset *h, int argc, char **argv)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_CHECKIN_BODY);
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	uint64_t n = 0;
	size_t length;
	struct err e;
	FILE *f;
	bool ok;

	if (argc < 2 || !u64_parse(&n, argv[0], strlen(argv[0])) ||
	    !set_fields(h, argc - 2, argv + 2))
		return 64;
	/* Until the server has nothing to say, so that all the others are idle ones. */
	for (int i = 0; i < 3; i++) {
		if (!body_of(h, &body, &e) ||
		    !signed_post(&h->sig, "/v1/checkin", body.p, body.n, SIGNED_BY_SESSION,
				 1 << 20, &a, &e) ||
		    !read_answer(h, &a, &e))
			return fail(&e, &a);
	}
	f = fopen(argv[1], "we");
	if (!f) {
		perror(argv[1]);
		return 1;
	}
	ok = write_requests(h, n, f, &length, &e);
	fclose(f);
	if (!ok)
		return fail(&e, NULL);
	printf("%zu\n", length);
	return 0;
}

/* ---- other keys ------------------------------------------------------------------------------- */

struct rekey {
	struct handset next; /* whose keys shall be this one's */
	struct rotation r;
	uint8_t claimed[IDENTITY_KEY]; /* as the old key */
	bool has_claimed, by_old;
	const char *raw;
};

static bool set_rekey(struct handset *h, struct rekey *k, char *arg)
{
	char *value = strchr(arg, '=');
	long long n;

	if (!value)
		return false;
	*value++ = 0;
	if (strcmp(arg, "device") == 0)
		snprintf(k->r.device, sizeof(k->r.device), "%s", value);
	else if (strcmp(arg, "old") == 0)
		return k->has_claimed =
			       hex_decode(k->claimed, sizeof(k->claimed), value, strlen(value));
	else if (strcmp(arg, "by") == 0)
		k->by_old = true;
	else if (strcmp(arg, "skew") == 0 && sscanf(value, "%lld", &n) == 1)
		h->clock.skew_s = (int64_t)n;
	else if (strcmp(arg, "raw") == 0)
		k->raw = value;
	else
		return false;
	return true;
}

static bool write_raw_rekey(struct handset *h, const struct rekey *k, const struct buf *body,
			    struct err *e)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(2 * LIMIT_CHECKIN_BODY);
	struct httpsig_key key = { .alg = HTTPSIG_ED25519, .secret = h->sig.identity };

	CLEANUP(fd_closep)
	int fd = open(k->raw, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(e, errno, "%s", k->raw);
	return raw_post(h, "/v1/device/key", body, k->r.device, &key, &out, e) &&
	       write_all(fd, out.p, out.n, e);
}

static int send_rekey(struct handset *h, struct rekey *k, int argc, char **argv)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_ROTATION_BODY);
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	struct err e;

	memcpy(k->r.device, h->sig.device, sizeof(k->r.device));
	memcpy(k->r.now.identity, k->next.public, IDENTITY_KEY);
	memcpy(k->r.now.sealing, k->next.sealing, SEALING_KEY);
	for (int i = 0; i < argc; i++)
		if (!set_rekey(h, k, argv[i]))
			return 64;
	if (!rotation_sign(&k->r, h->key, &e))
		return fail(&e, NULL);
	if (k->has_claimed)
		memcpy(k->r.now.old, k->claimed, sizeof(k->r.now.old));
	snprintf(h->sig.device, sizeof(h->sig.device), "%s", k->r.device);
	h->sig.identity = k->by_old ? h->key : k->next.key;
	if (!rotation_encode(&k->r, &body, &e))
		return fail(&e, NULL);
	if (k->raw)
		return write_raw_rekey(h, k, &body, &e) ? 0 : fail(&e, NULL);
	if (!signed_post(&h->sig, "/v1/device/key", body.p, body.n, SIGNED_BY_IDENTITY,
			 LIMIT_ROTATION_BODY, &a, &e))
		return fail(&e, &a);
	printf("%.*s\n", (int)a.body.n, buf_str(&a.body));
	return 0;
}

static int rekey(struct handset *h, int argc, char **argv)
{
	struct rekey k = { .next = { .dirfd = -1 } };
	struct err e;
	int rc;

	if (argc < 1)
		return 64;
	if (!dir_open(&k.next.dirfd, argv[0], 0700, &e) || !load_key(&k.next, &e))
		rc = fail(&e, NULL);
	else
		rc = send_rekey(h, &k, argc - 1, argv + 1);
	secret_free(k.next.key);
	fd_closep(&k.next.dirfd);
	return rc;
}

int main(int argc, char **argv)
{
	static struct handset h = { .dirfd = -1 };
	struct err e;
	int rc = 64;

	if (argc < 5) {
		fprintf(stderr, "usage: handset STATE URL PIN enrol|checkin|sign|rekey ...\n");
		return 64;
	}
	if (!open_handset(&h, argv[1], argv[2], argv[3], &e))
		return fail(&e, NULL);
	if (strcmp(argv[4], "enrol") == 0)
		rc = enrol(&h, argc - 5, argv + 5);
	else if (strcmp(argv[4], "checkin") == 0)
		rc = checkin(&h, argc - 5, argv + 5);
	else if (strcmp(argv[4], "sign") == 0)
		rc = sign_many(&h, argc - 5, argv + 5);
	else if (strcmp(argv[4], "rekey") == 0)
		rc = rekey(&h, argc - 5, argv + 5);
	signed_done(&h.sig);
	https_free(h.https);
	secret_free(h.key);
	fd_closep(&h.dirfd);
	return rc;
}
