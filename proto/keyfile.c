#include "proto/keyfile.h"
#include "base/sha256.h"
#include "base/text.h"
#include "proto/jread.h"
#include "proto/jwrite.h"
#include "proto/seal.h"
#include "proto/sig.h"

#include <string.h>

#include <sodium.h>

/* The bounds of the cost keep a hostile file from taking all memory. */
enum {
	SALT_SIZE = crypto_pwhash_argon2id_SALTBYTES,
	SECRET_SIZE = 32, /* Ed25519 seed or X25519 secret: what lies in the file */
	SEALED_MAX = SECRET_SIZE + SEAL_TAG_SIZE,
	MEMORY_KIB_MIN = 8,
	MEMORY_KIB_MAX = 4194304,
	PASSES_MAX = 16
};

static const char *const types[] = { "ed25519", "x25519", NULL };
static const char *const ciphers[] = { "none", "xchacha20-poly1305", NULL };

struct keyfile {
	struct keyfile_info info;
	struct keyfile_cost cost;
	uint8_t salt[SALT_SIZE], nonce[SEAL_NONCE_SIZE];
	uint8_t sealed[SEALED_MAX]; /* plain if !info.sealed: wiped by keyfile_done */
	uint8_t sum[SHA256_SIZE];
};

static void keyfile_done(struct keyfile *k)
{
	wipe(k, sizeof(*k));
}

static size_t sealed_size(const struct keyfile *k)
{
	return k->info.sealed ? SEALED_MAX : SECRET_SIZE;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* The file up to and with a part of it, members sorted: the head is what the cipher
 * authenticates, head and sealed secret are what the sum is over. */
enum part { HEAD, SEALED, ALL };

static bool encode(struct buf *out, const struct keyfile *k, enum part upto, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "_type", "valise-key");
	jw_str(&w, "cipher", ciphers[k->info.sealed]);
	jw_str(&w, "comment", k->info.comment);
	jw_u64(&w, "format", 1);
	if (k->info.sealed) {
		jw_obj(&w, "kdf");
		jw_u64(&w, "memory_kib", k->cost.memory_kib);
		jw_str(&w, "name", "argon2id");
		jw_u64(&w, "passes", k->cost.passes);
		jw_hex(&w, "salt", k->salt, sizeof(k->salt));
		jw_end(&w);
	}
	jw_str(&w, "keytype", types[k->info.type]);
	if (k->info.sealed)
		jw_hex(&w, "nonce", k->nonce, sizeof(k->nonce));
	jw_hex(&w, "public", k->info.public, sizeof(k->info.public));
	jw_str(&w, "role", k->info.role);
	if (upto >= SEALED)
		jw_hex(&w, "sealed", k->sealed, sealed_size(k));
	if (upto >= ALL)
		jw_hex(&w, "sum", k->sum, sizeof(k->sum));
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool sum_up(uint8_t out[static SHA256_SIZE], const struct keyfile *k, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);

	if (!encode(&text, k, SEALED, e))
		return false;
	sha256(out, text.p, text.n);
	wipe(text.p, text.cap);
	return true;
}

static bool derive(struct secret **ret, const struct keyfile *k,
		   const struct secret *passphrase, struct err *e)
{
	CLEANUP(secret_freep) struct secret *key = NULL;

	if (!secret_new(&key, SEAL_KEY_SIZE, e))
		return false;
	if (crypto_pwhash(key->p, key->n, (const char *)passphrase->p, passphrase->n, k->salt,
			  k->cost.passes, k->cost.memory_kib * 1024,
			  crypto_pwhash_ALG_ARGON2ID13) != 0)
		return err_set(e, E_NOMEM, "Argon2id with %llu KiB of memory",
			       (unsigned long long)k->cost.memory_kib);
	*ret = TAKE(key);
	return true;
}

static bool seal_secret(struct keyfile *k, const struct secret *key,
			const struct secret *passphrase, struct err *e)
{
	CLEANUP(buf_done) struct buf head = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *cipher_key = NULL;

	if (!encode(&head, k, HEAD, e) || !derive(&cipher_key, k, passphrase, e))
		return false;
	seal_encrypt(k->sealed, cipher_key->p, k->nonce, head.p, head.n, key->p, SECRET_SIZE);
	return true;
}

static bool public_half(uint8_t out[static KEYFILE_PUBLIC_SIZE], enum keyfile_type type,
			const struct secret *key, struct err *e)
{
	return type == KEYFILE_ED25519 ? sig_public(out, key, e) : seal_public(out, key, e);
}

static bool is_good_cost(const struct keyfile_cost *c)
{
	return c->memory_kib >= MEMORY_KIB_MIN && c->memory_kib <= MEMORY_KIB_MAX &&
	       c->passes >= 1 && c->passes <= PASSES_MAX;
}

bool keyfile_encode(struct buf *out, const struct keyfile_info *info, const struct secret *key,
		    const struct secret *passphrase, const struct keyfile_cost *cost,
		    const struct rng *rng, struct err *e)
{
	CLEANUP(keyfile_done) struct keyfile k = { .info = *info };

	k.info.sealed = passphrase != NULL;
	if (!public_half(k.info.public, info->type, key, e))
		return err_wrap(e, "key file");
	if (passphrase) {
		if (!is_good_cost(cost))
			return err_set(e, E_USAGE, "the cost of a guess is out of range");
		k.cost = *cost;
		rng_fill(rng, k.salt, sizeof(k.salt));
		rng_fill(rng, k.nonce, sizeof(k.nonce));
		if (!seal_secret(&k, key, passphrase, e))
			return err_wrap(e, "key file");
	} else {
		memcpy(k.sealed, key->p, SECRET_SIZE);
	}
	if (!sum_up(k.sum, &k, e) || !encode(out, &k, ALL, e) || !buf_add(out, "\n", 1, e))
		return err_wrap(e, "key file");
	return true;
}

/* ---- reading ------------------------------------------------------------------------------ */

static bool parse_kdf(struct keyfile *k, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "memory_kib", "name", "passes", "salt", NULL };
	static const char *const names[] = { "argon2id", NULL };
	const struct jval *kdf;
	unsigned name;

	if (!jobj_obj(&kdf, o, "kdf", e))
		return false;
	if (!jobj_only(kdf, keys, e) || !jobj_choice(&name, kdf, "name", names, e) ||
	    !jobj_u64(&k->cost.memory_kib, kdf, "memory_kib", MEMORY_KIB_MIN, MEMORY_KIB_MAX,
		      e) ||
	    !jobj_u64(&k->cost.passes, kdf, "passes", 1, PASSES_MAX, e) ||
	    !jobj_hex(k->salt, sizeof(k->salt), kdf, "salt", e))
		return err_wrap(e, "kdf");
	return jobj_hex(k->nonce, sizeof(k->nonce), o, "nonce", e);
}

static bool parse_members(struct keyfile *k, const struct jval *o, struct err *e)
{
	static const char *const sealed_keys[] = { "_type", "cipher",  "comment", "format",
						   "kdf",   "keytype", "nonce",   "public",
						   "role",  "sealed",  "sum",     NULL };
	static const char *const plain_keys[] = { "_type",   "cipher", "comment", "format",
						  "keytype", "public", "role",    "sealed",
						  "sum",     NULL };
	static const char *const marks[] = { "valise-key", NULL };
	unsigned mark, cipher, type;

	if (!jval_is_obj(o, e) || !jobj_choice(&mark, o, "_type", marks, e) ||
	    !jobj_version(o, "format", 1, e) ||
	    !jobj_choice(&cipher, o, "cipher", ciphers, e) ||
	    !jobj_only(o, cipher ? sealed_keys : plain_keys, e) ||
	    !jobj_choice(&type, o, "keytype", types, e) ||
	    !jobj_hex(k->info.public, sizeof(k->info.public), o, "public", e) ||
	    !jobj_copy(k->info.role, sizeof(k->info.role), o, "role", e) ||
	    !jobj_copy(k->info.comment, sizeof(k->info.comment), o, "comment", e))
		return false;
	k->info.sealed = cipher != 0;
	k->info.type = type ? KEYFILE_X25519 : KEYFILE_ED25519;
	return (!k->info.sealed || parse_kdf(k, o, e)) &&
	       jobj_hex(k->sealed, sealed_size(k), o, "sealed", e) &&
	       jobj_hex(k->sum, sizeof(k->sum), o, "sum", e);
}

/* What begins like a key file was one: what is wrong with it is damage. */
static bool begins_like_one(const void *p, size_t n)
{
	static const char begin[] = "{\"_type\":\"valise-key\",";

	return n >= sizeof(begin) - 1 && memcmp(p, begin, sizeof(begin) - 1) == 0;
}

static bool parse(struct keyfile *k, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	uint8_t sum[SHA256_SIZE];
	bool was_one = begins_like_one(p, n);

	if (n > LIMIT_SECRET_FILE)
		return err_set(e, E_FORMAT, "a key file of %zu bytes", n);
	if (!jdoc_parse(&d, p, n, e) || !parse_members(k, jdoc_root(d), e)) {
		if (!was_one || e->code != E_FORMAT)
			return false;
		struct err why = *e;
		return err_set(e, E_CORRUPT, "damaged: %s", why.text);
	}
	if (!sum_up(sum, k, e))
		return false;
	if (memcmp(sum, k->sum, sizeof(sum)) != 0)
		return err_set(e, E_CORRUPT, "damaged: its checksum differs");
	return true;
}

bool keyfile_inspect(struct keyfile_info *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(keyfile_done) struct keyfile k = { 0 };

	if (!parse(&k, p, n, e))
		return err_wrap(e, "key file");
	*ret = k.info;
	return true;
}

/* The 32 bytes out of the file. */
static bool unseal(struct secret **ret, const struct keyfile *k,
		   const struct secret *passphrase, struct err *e)
{
	CLEANUP(buf_done) struct buf head = BUF_INIT(LIMIT_SECRET_FILE);
	CLEANUP(secret_freep) struct secret *cipher_key = NULL;
	CLEANUP(secret_freep) struct secret *plain = NULL;

	if (!k->info.sealed)
		return secret_copy(ret, k->sealed, SECRET_SIZE, e);
	if (!passphrase)
		return err_set(e, E_AUTH, "it is sealed with a passphrase");
	if (!encode(&head, k, HEAD, e) || !derive(&cipher_key, k, passphrase, e) ||
	    !secret_new(&plain, SECRET_SIZE, e))
		return false;
	if (!seal_decrypt(plain->p, cipher_key->p, k->nonce, head.p, head.n, k->sealed,
			  sizeof(k->sealed))) {
		err_set(e, E_AUTH, "wrong passphrase");
		return err_hint(e, "try again; without the passphrase the key cannot be had");
	}
	*ret = TAKE(plain);
	return true;
}

static bool to_key(struct secret **ret, uint8_t ret_pub[static KEYFILE_PUBLIC_SIZE],
		   enum keyfile_type type, struct secret **plain, struct err *e)
{
	if (type == KEYFILE_ED25519)
		return sig_from_seed(ret, ret_pub, (*plain)->p, e);
	*ret = TAKE(*plain);
	return public_half(ret_pub, type, *ret, e);
}

bool keyfile_open(struct secret **ret, struct keyfile_info *ret_info, const void *p, size_t n,
		  const struct secret *passphrase, struct err *e)
{
	CLEANUP(keyfile_done) struct keyfile k = { 0 };
	CLEANUP(secret_freep) struct secret *plain = NULL;
	CLEANUP(secret_freep) struct secret *key = NULL;
	uint8_t pub[KEYFILE_PUBLIC_SIZE];

	if (!parse(&k, p, n, e) || !unseal(&plain, &k, passphrase, e) ||
	    !to_key(&key, pub, k.info.type, &plain, e))
		return err_wrap(e, "key file");
	if (memcmp(pub, k.info.public, sizeof(pub)) != 0)
		return err_set(e, E_CORRUPT, "key file: the public key is not the secret's");
	*ret = TAKE(key);
	if (ret_info)
		*ret_info = k.info;
	return true;
}
