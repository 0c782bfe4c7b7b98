/* Whose signatures metadata has: the part of tuf.h that decides about trust. */
#include "base/text.h"
#include "proto/tuf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The signature with that key id, as bytes; false if there is none or it is no hex. */
static bool find_signature(uint8_t out[static SIG_MAX], size_t *ret_n, const struct tuf_meta *m,
			   const char *keyid)
{
	for (size_t i = 0; i < jarr_n(m->signatures); i++) {
		const struct jval *s = jarr_at(m->signatures, i);
		const char *sig;
		size_t n;

		if (strcmp(jval_str(jobj_opt(s, "keyid"), NULL), keyid) != 0)
			continue;
		sig = jval_str(jobj_opt(s, "sig"), &n);
		*ret_n = n / 2;
		return hex_decode(out, n / 2, sig, n);
	}
	return false;
}

static bool is_good(const struct tuf_meta *m, const struct tuf_key *key)
{
	uint8_t sig[SIG_MAX];
	size_t n;

	return key->usable && find_signature(sig, &n, m, key->id) &&
	       sig_verify(&key->key, m->canon.p, m->canon.n, sig, n);
}

/* Two ids may stand for one key: an unknown field in the key object changes the id. */
static bool is_counted(const struct tuf_role *role, const bool *good, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (good[j] && memcmp(role->keys[j]->key.material, role->keys[i]->key.material,
				      SIG_MATERIAL_SIZE) == 0)
			return true;
	return false;
}

bool tuf_count(const struct tuf_meta *m, const struct tuf_role *role, uint64_t *ret_n,
	       bool *ret_good, struct err *e)
{
	bool *good = calloc(role->n_keys + 1, sizeof(*good));
	uint64_t n = 0;

	if (!good)
		return err_nomem(e);
	for (size_t i = 0; i < role->n_keys; i++) {
		good[i] = is_good(m, role->keys[i]) && !is_counted(role, good, i);
		n += good[i];
	}
	if (ret_good)
		memcpy(ret_good, good, role->n_keys * sizeof(*good));
	free(good);
	*ret_n = n;
	return true;
}

bool tuf_verify(const struct tuf_meta *m, const struct tuf_role *role, struct err *e)
{
	char wanted[100] = "";
	bool good[LIMIT_TUF_KEYS];
	size_t at = 0;
	uint64_t n;

	if (!tuf_count(m, role, &n, good, e))
		return false;
	if (n >= role->threshold)
		return true;
	for (size_t i = 0; i < role->n_keys && at < sizeof(wanted) - 12; i++)
		if (!good[i])
			at += (size_t)snprintf(wanted + at, sizeof(wanted) - at, " %.8s",
					       role->keys[i]->id);
	return err_set(e, E_UNTRUSTED,
		       "version %" PRIu64 " is signed by %" PRIu64 " of the %" PRIu64
		       " keys that are needed; missing is one of:%s",
		       m->version, n, role->threshold, at > 0 ? wanted : " (no key is known)");
}

bool tuf_hashes_check(const struct tuf_hashes *h, const void *p, size_t n, struct err *e)
{
	uint8_t sum[SHA512_SIZE];

	if (h->has_length && n != h->length)
		return err_set(e, E_CORRUPT, "%zu bytes, announced were %" PRIu64, n,
			       h->length);
	if (h->has_sha256) {
		sha256(sum, p, n);
		if (memcmp(sum, h->sha256, SHA256_SIZE) != 0)
			return err_set(e, E_CORRUPT, "its SHA-256 is not the announced one");
	}
	if (h->has_sha512) {
		sha512(sum, p, n);
		if (memcmp(sum, h->sha512, SHA512_SIZE) != 0)
			return err_set(e, E_CORRUPT, "its SHA-512 is not the announced one");
	}
	return true;
}
