/* Three lines: Signature-Input, Signature, Content-Digest.  What is read is written again by the
 * signer, and no key of ours has made it. */
#include "proto/httpsig.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_SIZE = 4096 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

static const uint8_t *take_line(char out[static LINE_MAX_SIZE], const uint8_t *p,
				const uint8_t *end)
{
	size_t n = 0;

	for (; p < end && *p != '\n'; p++)
		if (n < LINE_MAX_SIZE - 1 && *p)
			out[n++] = (char)*p;
	out[n] = '\0';
	return p < end ? p + 1 : p;
}

/* The parameters may stand in another order than ours; their values may not differ. */
static void write_again(const struct httpsig *s, const struct httpsig_msg *m)
{
	char input[HTTPSIG_INPUT_SIZE + HTTPSIG_NAME_SIZE], signature[HTTPSIG_SIGNATURE_SIZE];
	uint8_t raw[HTTPSIG_HMAC_KEY_MIN] = { 1 };
	struct secret secret = { .p = raw, .n = sizeof(raw) };
	struct httpsig_key key = { .alg = HTTPSIG_HMAC_SHA256, .secret = &secret };
	struct httpsig again = *s, back;
	struct err e;

	again.alg = HTTPSIG_HMAC_SHA256;
	if (!httpsig_sign_any(&again, m, &key, input, signature, &e))
		return;
	must(httpsig_parse(&back, input, signature, &e) && httpsig_verify(&back, m, &key, &e));
	must(back.created == s->created && back.has_expires == s->has_expires &&
	     strcmp(back.keyid, s->keyid) == 0 && strcmp(back.nonce, s->nonce) == 0 &&
	     back.n_components == s->n_components);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static char input[LINE_MAX_SIZE], signature[LINE_MAX_SIZE], digest[LINE_MAX_SIZE];
	static const struct httpsig_field fields[] = { { "content-digest", "x" },
						       { "a", "b" } };
	static const struct httpsig_msg m = { "POST", "a.example", "/", "?", fields, 2 };
	uint8_t raw[HTTPSIG_HMAC_KEY_MIN] = { 2 };
	struct secret secret = { .p = raw, .n = sizeof(raw) };
	struct httpsig_key key = { .alg = HTTPSIG_HMAC_SHA256, .secret = &secret };
	const uint8_t *end = p + n;
	struct httpsig s;
	struct err e;

	p = take_line(input, p, end);
	p = take_line(signature, p, end);
	take_line(digest, p, end);
	if (httpsig_check_digest(digest, "body", 4, &e))
		must(strstr(digest, "sha-256=:Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=:") !=
		     NULL);
	if (!httpsig_parse(&s, input, signature, &e))
		return 0;
	must(s.n_components <= HTTPSIG_COMPONENTS && s.sig_n <= sizeof(s.sig));
	/* What was read is what is signed. */
	must(strncmp(input, s.label, strlen(s.label)) == 0 &&
	     strcmp(input + strlen(s.label) + 1, s.params) == 0);
	must(!httpsig_verify(&s, &m, &key, &e));
	if (httpsig_check_profile(&s, &e))
		must(s.has_created && s.keyid[0] && s.n_components == 5);
	write_again(&s, &m);
	return 0;
}
