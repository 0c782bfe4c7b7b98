/* verify   how often a second of one processor is enough to verify (tests/bench/verify.sh)
 *
 * Signatures by each scheme, a device's request as the server checks it, and a whole refresh of a
 * repository as the handset does it, everything stored and in memory. */
#include "tests/support/repo.h"
#include "tests/support/sig_samples.h"

#include "base/text.h"
#include "proto/httpsig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BODY = 200 };
#define AT INT64_C(1800000000)
static const char message[] = "a message"; /* of the samples */

static void must(bool ok)
{
	if (ok)
		return;
	fputs("verify: something that is good was refused\n", stderr);
	exit(1);
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const char *what, void (*one)(void *), void *arg)
{
	double start = cpu_s(), took;
	unsigned long n = 0;

	do {
		one(arg);
		n++;
		took = cpu_s() - start;
	} while (took < 1);
	printf("%-44s %9.0f /s\n", what, (double)n / took);
}

struct signature {
	struct sig_key key;
	uint8_t sig[SIG_MAX];
	size_t n;
};

static void verify_one(void *arg)
{
	const struct signature *s = arg;

	must(sig_verify(&s->key, message, sizeof(message) - 1, s->sig, s->n));
}

static void measure_pem(const char *what, const char *type, const char *scheme, const char *pem,
			const char *sig)
{
	struct signature s = { .n = strlen(sig) / 2 };
	struct err e;

	must(sig_key_parse(&s.key, type, scheme, pem, &e) &&
	     hex_decode(s.sig, s.n, sig, 2 * s.n));
	measure(what, verify_one, &s);
	sig_key_done(&s.key);
}

struct request {
	struct httpsig_msg msg;
	struct httpsig_headers h;
	struct httpsig_field digest;
	struct httpsig_key sign, verify;
	uint8_t body[BODY];
};

/* As server/web_auth.c does, but for looking the device up. */
static void check_request(void *arg)
{
	const struct request *q = arg;
	struct httpsig s;
	struct err e;

	must(httpsig_parse(&s, q->h.input, q->h.signature, &e) &&
	     httpsig_check_profile(&s, &e) && httpsig_check_time(&s, AT, AT - 1000, &e) &&
	     httpsig_verify(&s, &q->msg, &q->verify, &e) &&
	     httpsig_check_digest(q->h.digest, q->body, sizeof(q->body), &e));
}

static void measure_request(const char *what, enum httpsig_alg alg, const struct secret *secret,
			    const uint8_t *public)
{
	static const uint8_t nonce[HTTPSIG_NONCE_BYTES] = { 1 };
	struct request q = { .msg = { .method = "POST",
				      .authority = "phones.acme.example:8443",
				      .path = "/v1/checkin",
				      .query = "?" },
			     .sign = { .alg = alg, .secret = secret },
			     .verify = { .alg = alg, .public = public, .secret = secret } };
	struct err e;

	must(httpsig_sign(&q.h, &q.msg, q.body, sizeof(q.body),
			  "0123456789abcdef0123456789abcdef", AT, nonce, &q.sign, &e));
	q.digest = (struct httpsig_field){ "content-digest", q.h.digest };
	q.msg.fields = &q.digest;
	q.msg.n_fields = 1;
	measure(what, check_request, &q);
}

static void refresh(void *arg)
{
	struct tuf_found found;
	struct err e;

	must(repo_refresh(arg, &e) &&
	     repo_find(arg, &found, "releases/acme/1.0/release.json", &e));
}

int main(void)
{
	uint8_t pub[SIG_PUBLIC_SIZE], seed[SIG_SEED_SIZE] = { 7 };
	CLEANUP(secret_freep) struct secret *secret = NULL;
	CLEANUP(secret_freep) struct secret *session = NULL;
	struct signature ed = { .n = SIG_SIZE };
	static struct repo r;
	struct err e;

	must(sig_from_seed(&secret, pub, seed, &e) && secret_copy(&session, seed, 32, &e) &&
	     sig_key_ed25519(&ed.key, pub, &e) &&
	     sig_sign(ed.sig, secret, message, sizeof(message) - 1, &e));
	measure("Ed25519 signatures", verify_one, &ed);
	measure_pem("ECDSA P-256 signatures", "ecdsa", "ecdsa-sha2-nistp256", PEM_P256,
		    SIG_P256);
	measure_pem("RSA-PSS signatures (2048 bits)", "rsa", "rsassa-pss-sha256", PEM_RSA,
		    SIG_RSA);
	measure_request("requests by a device's own key", HTTPSIG_ED25519, secret, pub);
	measure_request("requests by a session key", HTTPSIG_HMAC_SHA256, session, NULL);
	repo_init(&r);
	repo_delegate(&r, "targets", "releases.acme", 6, "releases/acme/*/*");
	repo_target(&r, "releases.acme", "releases/acme/1.0/release.json", "content", NULL);
	repo_publish_all(&r);
	refresh(&r);
	measure("refreshes with nothing new, and a search", refresh, &r);
	repo_done(&r);
	return 0;
}
