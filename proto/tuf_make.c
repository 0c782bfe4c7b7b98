#include "proto/tuf_make_priv.h"
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/jwrite.h"

#include <stdlib.h>
#include <string.h>

#define SPEC_VERSION "1.0.34"

/* Writers below put members in the order of their keys, and the result goes through
 * cjson_from_text once more: what is written here need not be canonical, only correct. */

/* ---- public keys -------------------------------------------------------------------------- */

/* The id is over the canonical form, which is no JSON when it holds the line ends of a PEM text. */
static bool pubkey_from(struct tuf_pubkey *ret, const struct jval *v, struct err *e)
{
	CLEANUP(buf_done) struct buf canon = BUF_INIT(LIMIT_TUF_ROOT);
	CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_TUF_ROOT);
	uint8_t hash[SHA256_SIZE];

	if (!cjson_encode(&canon, v, e) || !cjson_encode_json(&json, v, e))
		return false;
	sha256(hash, canon.p, canon.n);
	hex_encode(ret->id, hash, sizeof(hash));
	return buf_take(&json, &ret->json, NULL, e); /* never fails: it is not empty */
}

bool tuf_pubkey_ed25519(struct tuf_pubkey *ret, const uint8_t pub[static SIG_PUBLIC_SIZE],
			struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(SIG_PEM_MAX);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_str(&w, "keytype", "ed25519");
	jw_obj(&w, "keyval");
	jw_hex(&w, "public", pub, SIG_PUBLIC_SIZE);
	jw_end(&w);
	jw_str(&w, "scheme", "ed25519");
	jw_end(&w);
	return jw_finish(&w, e) && jdoc_parse(&d, b.p, b.n, e) &&
	       pubkey_from(ret, jdoc_root(d), e);
}

bool tuf_keyid_ed25519(char ret[static TUF_KEYID_SIZE],
		       const uint8_t pub[static SIG_PUBLIC_SIZE], struct err *e)
{
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey k = { 0 };

	if (!tuf_pubkey_ed25519(&k, pub, e))
		return false;
	memcpy(ret, k.id, TUF_KEYID_SIZE);
	return true;
}

bool tuf_key_open(struct sig_key *ret, const struct jval *v, struct err *e)
{
	const char *keytype, *scheme, *public;
	const struct jval *keyval;

	return jval_is_obj(v, e) && jobj_str(&keytype, v, "keytype", 64, e) &&
	       jobj_str(&scheme, v, "scheme", 64, e) && jobj_obj(&keyval, v, "keyval", e) &&
	       jobj_text(&public, NULL, keyval, "public", SIG_PEM_MAX, e) &&
	       sig_key_parse(ret, keytype, scheme, public, e);
}

bool tuf_pubkey_parse(struct tuf_pubkey *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(sig_key_done) struct sig_key key = { 0 };

	if (n > 2 * SIG_PEM_MAX)
		return err_set(e, E_TOO_BIG, "public key: %zu bytes", n);
	if (!jdoc_parse(&d, p, n, e) || !tuf_key_open(&key, jdoc_root(d), e) ||
	    !pubkey_from(ret, jdoc_root(d), e))
		return err_wrap(e, "public key");
	return true;
}

void tuf_pubkey_done(struct tuf_pubkey *k)
{
	if (!k)
		return;
	free(k->json);
	*k = (struct tuf_pubkey){ 0 };
}

void tuf_pubkeys_free(struct tuf_pubkey *keys, size_t n)
{
	for (size_t i = 0; keys && i < n; i++)
		tuf_pubkey_done(&keys[i]);
	free(keys);
}

bool tuf_pubkeys_of(struct tuf_pubkey **ret, size_t *ret_n, const struct tuf_role *role,
		    struct err *e)
{
	struct tuf_pubkey *keys = calloc(role->n_keys + 1, sizeof(*keys));

	if (!keys)
		return err_nomem(e);
	for (size_t i = 0; i < role->n_keys; i++)
		if (!pubkey_from(&keys[i], role->keys[i]->json, e)) {
			tuf_pubkeys_free(keys, i);
			return false;
		}
	*ret = keys;
	*ret_n = role->n_keys;
	return true;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void begin(struct jw *w, struct buf *out, enum tuf_type type, uint64_t version,
		  int64_t expires_s)
{
	jw_init(w, out);
	jw_obj(w, NULL);
	jw_arr(w, "signatures");
	jw_end(w);
	jw_obj(w, "signed");
	jw_str(w, "_type", tuf_type_name(type));
	jw_time(w, "expires", expires_s);
	jw_str(w, "spec_version", SPEC_VERSION);
	jw_u64(w, "version", version);
}

/* Sorts, and reads what was made as everyone else will. */
static bool finish(struct buf *out, enum tuf_type type, const struct buf *text, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	if (!tuf_parse(&m, type, text->p, text->n, e) || !jdoc_parse(&d, text->p, text->n, e))
		return err_wrap(e, "%s", tuf_type_name(type));
	return cjson_encode_json(out, jdoc_root(d), e);
}

static bool end(struct jw *w, struct buf *out, enum tuf_type type, const struct buf *text,
		struct err *e)
{
	jw_end(w);
	jw_end(w);
	return jw_finish(w, e) && finish(out, type, text, e);
}

static bool check_role(const struct tuf_make_role *r, const char *name, struct err *e)
{
	if (r->threshold >= 1 && r->threshold <= r->n_keys)
		return true;
	return err_set(e, E_USAGE, "%s: threshold %llu with %zu keys", name,
		       (unsigned long long)r->threshold, r->n_keys);
}

static void write_role_keys(struct jw *w, const struct tuf_make_role *r)
{
	jw_arr(w, "keyids");
	for (size_t i = 0; i < r->n_keys; i++)
		jw_str(w, NULL, r->keys[i].id);
	jw_end(w);
	jw_u64(w, "threshold", r->threshold);
}

static bool stands_in(const struct tuf_make_role *r, size_t n_keys, const char *id)
{
	for (size_t i = 0; i < n_keys; i++)
		if (strcmp(r->keys[i].id, id) == 0)
			return true;
	return false;
}

/* Each key once, though several roles may have it. */
static void write_keys(struct jw *w, const struct tuf_make_role *roles, size_t n)
{
	for (size_t r = 0; r < n; r++)
		for (size_t k = 0; k < roles[r].n_keys; k++) {
			const struct tuf_pubkey *key = &roles[r].keys[k];
			bool before = stands_in(&roles[r], k, key->id);

			for (size_t i = 0; i < r && !before; i++)
				before = stands_in(&roles[i], roles[i].n_keys, key->id);
			if (!before)
				jw_raw(w, key->id, key->json, strlen(key->json));
		}
}

bool tuf_make_root(struct buf *out, uint64_t version, int64_t expires_s,
		   const struct tuf_make_role roles[static TUF_TYPES], struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT);
	struct jw w;

	for (int i = 0; i < TUF_TYPES; i++)
		if (!check_role(&roles[i], tuf_type_name((enum tuf_type)i), e))
			return false;
	begin(&w, &text, TUF_ROOT, version, expires_s);
	jw_bool(&w, "consistent_snapshot", true);
	jw_obj(&w, "keys");
	write_keys(&w, roles, TUF_TYPES);
	jw_end(&w);
	jw_obj(&w, "roles");
	for (int i = 0; i < TUF_TYPES; i++) {
		jw_obj(&w, tuf_type_name((enum tuf_type)i));
		write_role_keys(&w, &roles[i]);
		jw_end(&w);
	}
	jw_end(&w);
	return end(&w, out, TUF_ROOT, &text, e);
}

static void write_hashes(struct jw *w, const uint8_t sha256_sum[static SHA256_SIZE],
			 uint64_t length)
{
	jw_obj(w, "hashes");
	jw_hex(w, "sha256", sha256_sum, SHA256_SIZE);
	jw_end(w);
	jw_u64(w, "length", length);
}

static bool write_file(struct jw *w, const struct tuf_make_file *f, struct err *e)
{
	char key[LIMIT_TUF_ROLE_NAME + sizeof(".json")];
	uint8_t sum[SHA256_SIZE];

	if (strlen(f->role) > LIMIT_TUF_ROLE_NAME)
		return err_set(e, E_FORMAT, "role name of more than %d bytes",
			       LIMIT_TUF_ROLE_NAME);
	snprintf(key, sizeof(key), "%s.json", f->role);
	jw_obj(w, key);
	if (f->p) {
		sha256(sum, f->p, f->n);
		write_hashes(w, sum, f->n);
	}
	jw_u64(w, "version", f->version);
	jw_end(w);
	return true;
}

static bool make_list(struct buf *out, enum tuf_type type, uint64_t version, int64_t expires_s,
		      const struct tuf_make_file *files, size_t n, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(tuf_max_bytes(type));
	struct jw w;

	begin(&w, &text, type, version, expires_s);
	jw_obj(&w, "meta");
	for (size_t i = 0; i < n; i++)
		if (!write_file(&w, &files[i], e))
			return false;
	jw_end(&w);
	return end(&w, out, type, &text, e);
}

bool tuf_make_snapshot(struct buf *out, uint64_t version, int64_t expires_s,
		       const struct tuf_make_file *files, size_t n, struct err *e)
{
	return make_list(out, TUF_SNAPSHOT, version, expires_s, files, n, e);
}

bool tuf_make_timestamp(struct buf *out, uint64_t version, int64_t expires_s,
			const struct tuf_make_file *file, struct err *e)
{
	return make_list(out, TUF_TIMESTAMP, version, expires_s, file, 1, e);
}

/* ---- targets: an older file and changes --------------------------------------------------- */

/* The older file's values, as texts, and which of them stay. */
struct edit {
	const struct tuf_make_targets *in;
	struct tuf_meta *old; /* NULL: none */
	struct jw w;
	struct buf scratch;
};

static void edit_done(struct edit *d)
{
	tuf_free(d->old);
	buf_done(&d->scratch);
}

static bool write_old(struct edit *d, const char *key, const struct jval *v, struct err *e)
{
	buf_reset(&d->scratch);
	if (!cjson_encode_json(&d->scratch, v, e))
		return false;
	jw_raw(&d->w, key, buf_str(&d->scratch), d->scratch.n);
	return true;
}

static bool is_in(const char *const *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static bool is_added(const struct tuf_make_targets *in, size_t upto, const char *path)
{
	for (size_t i = 0; i < upto; i++)
		if (strcmp(in->add[i].path, path) == 0)
			return true;
	return false;
}

static void write_target(struct jw *w, const struct tuf_make_target *t)
{
	jw_obj(w, t->path);
	if (t->custom)
		jw_raw(w, "custom", t->custom, strlen(t->custom));
	write_hashes(w, t->sha256, t->length);
	jw_end(w);
}

static bool check_added(const struct tuf_make_targets *in, struct err *e)
{
	for (size_t i = 0; i < in->n_add; i++) {
		if (!tuf_path_is_valid(in->add[i].path))
			return err_set(e, E_FORMAT, "not a target path: %.200s",
				       in->add[i].path);
		if (is_added(in, i, in->add[i].path))
			return err_set(e, E_EXISTS, "%.200s is added twice", in->add[i].path);
	}
	return true;
}

static bool check_removed(const struct edit *d, struct err *e)
{
	for (size_t i = 0; i < d->in->n_remove; i++)
		if (!d->old || !jobj_has(d->old->targets, d->in->remove[i]))
			return err_set(e, E_NOT_FOUND, "no target %.200s", d->in->remove[i]);
	for (size_t i = 0; i < d->in->n_remove_roles; i++)
		if (!d->old || !tuf_role_get(d->old, d->in->remove_roles[i]))
			return err_set(e, E_NOT_FOUND, "no delegation %.80s",
				       d->in->remove_roles[i]);
	return true;
}

static bool write_targets(struct edit *d, struct err *e)
{
	const struct tuf_make_targets *in = d->in;

	jw_obj(&d->w, "targets");
	if (d->old)
		for (struct jiter it = jobj_first(d->old->targets); it.val;
		     it = jobj_next(d->old->targets, it))
			if (!is_in(in->remove, in->n_remove, it.key) &&
			    !is_added(in, in->n_add, it.key) &&
			    !write_old(d, it.key, it.val, e))
				return false;
	for (size_t i = 0; i < in->n_add; i++)
		write_target(&d->w, &in->add[i]);
	jw_end(&d->w);
	return true;
}

/* ---- delegations -------------------------------------------------------------------------- */

/* All delegations as they will be, whether old or new, with their keys. */
struct delegations {
	struct tuf_make_role *roles;
	const struct tuf_role **olds; /* the old entry, for what only stays as it is; or NULL */
	struct tuf_pubkey **owned;    /* keys of old entries, to be freed */
	size_t n;
};

static void delegations_done(struct delegations *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->owned[i])
			tuf_pubkeys_free(d->owned[i], d->roles[i].n_keys);
	free(d->roles);
	free(d->olds);
	free(d->owned);
}

static const struct tuf_make_role *find_new(const struct tuf_make_targets *in, const char *name)
{
	for (size_t i = 0; i < in->n_roles; i++)
		if (strcmp(in->roles[i].name, name) == 0)
			return &in->roles[i];
	return NULL;
}

static bool take_old(struct delegations *d, const struct tuf_role *r, struct err *e)
{
	struct tuf_make_role *to = &d->roles[d->n];

	*to = (struct tuf_make_role){ .name = r->name, .threshold = r->threshold };
	if (!tuf_pubkeys_of(&d->owned[d->n], &to->n_keys, r, e))
		return false;
	to->keys = d->owned[d->n];
	d->olds[d->n++] = r;
	return true;
}

/* Old ones keep their place in the order of trust, also when they are replaced; new ones follow. */
static bool merge(struct delegations *d, const struct edit *ed, struct err *e)
{
	const struct tuf_make_targets *in = ed->in;
	size_t n_old = ed->old ? ed->old->n_roles : 0;

	d->roles = calloc(n_old + in->n_roles + 1, sizeof(*d->roles));
	d->olds = calloc(n_old + in->n_roles + 1, sizeof(*d->olds));
	d->owned = calloc(n_old + in->n_roles + 1, sizeof(*d->owned));
	if (!d->roles || !d->olds || !d->owned)
		return err_nomem(e);
	for (size_t i = 0; i < n_old; i++) {
		const struct tuf_role *r = &ed->old->roles[i];

		if (is_in(in->remove_roles, in->n_remove_roles, r->name))
			continue;
		if (find_new(in, r->name))
			d->roles[d->n++] = *find_new(in, r->name);
		else if (!take_old(d, r, e))
			return false;
	}
	for (size_t i = 0; i < in->n_roles; i++)
		if (!ed->old || !tuf_role_get(ed->old, in->roles[i].name))
			d->roles[d->n++] = in->roles[i];
	return true;
}

static bool write_delegation(struct edit *ed, const struct delegations *d, size_t i,
			     struct err *e)
{
	const struct tuf_make_role *r = &d->roles[i];
	const struct tuf_role *old = d->olds[i];

	jw_obj(&ed->w, NULL);
	jw_str(&ed->w, "name", r->name);
	write_role_keys(&ed->w, r);
	jw_bool(&ed->w, "terminating", old ? old->terminating : r->terminating);
	if (old && old->path_hash_prefixes) {
		if (!write_old(ed, "path_hash_prefixes", old->path_hash_prefixes, e))
			return false;
	} else if (old) {
		if (!write_old(ed, "paths", old->paths, e))
			return false;
	} else {
		jw_arr(&ed->w, "paths");
		for (size_t k = 0; k < r->n_paths; k++)
			jw_str(&ed->w, NULL, r->paths[k]);
		jw_end(&ed->w);
	}
	jw_end(&ed->w);
	return true;
}

static bool write_delegations(struct edit *ed, struct err *e)
{
	CLEANUP(delegations_done) struct delegations d = { 0 };

	for (size_t i = 0; i < ed->in->n_roles; i++)
		if (!check_role(&ed->in->roles[i], ed->in->roles[i].name, e))
			return false;
	if (!merge(&d, ed, e))
		return false;
	if (d.n == 0)
		return true;
	jw_obj(&ed->w, "delegations");
	jw_obj(&ed->w, "keys");
	write_keys(&ed->w, d.roles, d.n);
	jw_end(&ed->w);
	jw_arr(&ed->w, "roles");
	for (size_t i = 0; i < d.n; i++)
		if (!write_delegation(ed, &d, i, e))
			return false;
	jw_end(&ed->w);
	jw_end(&ed->w);
	return true;
}

/* Fields of the older file that nothing here knows. */
static bool write_unknown(struct edit *d, struct err *e)
{
	static const char *const known[] = { "_type",        "delegations", "expires",
					     "spec_version", "targets",     "version" };

	if (!d->old)
		return true;
	for (struct jiter it = jobj_first(d->old->signed_part); it.val;
	     it = jobj_next(d->old->signed_part, it)) {
		if (is_in(known, ARRAY_SIZE(known), it.key) ||
		    (d->in->valise && strcmp(it.key, "valise") == 0))
			continue;
		if (!write_old(d, it.key, it.val, e))
			return false;
	}
	return true;
}

bool tuf_make_targets(struct buf *out, const struct tuf_make_targets *in, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(edit_done) struct edit d = { .in = in, .scratch = BUF_INIT(LIMIT_TUF_TARGETS) };

	if (in->old && !tuf_parse(&d.old, TUF_TARGETS, in->old, in->old_n, e))
		return err_wrap(e, "older targets");
	if (d.old && d.old->succinct_bits > 0)
		return err_set(e, E_UNSUPPORTED, "older targets have succinct delegations");
	if (!check_added(in, e) || !check_removed(&d, e))
		return false;
	begin(&d.w, &text, TUF_TARGETS, in->version, in->expires_s);
	if (!write_targets(&d, e) || !write_delegations(&d, e) || !write_unknown(&d, e))
		return false;
	if (in->valise)
		jw_raw(&d.w, "valise", in->valise, strlen(in->valise));
	return end(&d.w, out, TUF_TARGETS, &text, e);
}
