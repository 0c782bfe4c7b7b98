#include "proto/tuf.h"
#include "base/text.h"
#include "proto/cjson.h"

#include <stdlib.h>
#include <string.h>

static const char *const type_names[TUF_TYPES + 1] = { "root", "timestamp", "snapshot",
						       "targets", NULL };

const char *tuf_type_name(enum tuf_type t)
{
	return type_names[t];
}

size_t tuf_max_bytes(enum tuf_type t)
{
	static const size_t max[TUF_TYPES] = { LIMIT_TUF_ROOT, LIMIT_TUF_TIMESTAMP,
					       LIMIT_TUF_SNAPSHOT, LIMIT_TUF_TARGETS };
	return max[t];
}

void tuf_free(struct tuf_meta *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_keys; i++)
		sig_key_done(&m->keys[i].key);
	free(m->keys);
	for (size_t i = 0; i < m->n_roles; i++)
		free(m->roles[i].keys);
	free(m->roles);
	buf_done(&m->canon);
	jdoc_free(m->doc);
	free(m);
}

/* ---- keys --------------------------------------------------------------------------------- */

/* The id must be the hash of the key, so that an id means the same key wherever it is used. */
static bool is_right_id(bool *ret, const char *id, const struct jval *key, struct err *e)
{
	CLEANUP(buf_done) struct buf canon = BUF_INIT(LIMIT_TUF_TARGETS);
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];

	if (!cjson_encode(&canon, key, e))
		return false;
	sha256(hash, canon.p, canon.n);
	hex_encode(hex, hash, sizeof(hash));
	*ret = strcmp(hex, id) == 0;
	return true;
}

static const char *text_of(const struct jval *obj, const char *key)
{
	const struct jval *v = jobj_opt(obj, key);

	return v && jval_type(v) == J_STR ? jval_str(v, NULL) : NULL;
}

/* Key types that are unknown here may look like anything; such a key only never counts. */
static bool parse_key(struct tuf_key *ret, const char *id, const struct jval *v, struct err *e)
{
	const char *keytype = text_of(v, "keytype"), *scheme = text_of(v, "scheme");
	const char *public = text_of(jobj_opt(v, "keyval"), "public");
	struct err why;
	bool right;

	if (!jval_is_obj(v, e) || !is_right_id(&right, id, v, e))
		return err_wrap(e, "key %.64s", id);
	*ret = (struct tuf_key){ .id = id, .json = v };
	if (!right)
		ret->why_not = "its id is not its hash";
	else if (!keytype || !scheme || !public)
		ret->why_not = "it lacks keytype, scheme or public value";
	else if (!sig_key_parse(&ret->key, keytype, scheme, public, &why))
		ret->why_not = why.code == E_UNSUPPORTED ? "its type is not supported"
							 : "its public value is refused";
	else
		ret->usable = true;
	return true;
}

static bool parse_keys(struct tuf_meta *m, const struct jval *obj, struct err *e)
{
	const struct jval *keys;

	if (!jobj_obj(&keys, obj, "keys", e))
		return false;
	if (jobj_n(keys) > LIMIT_TUF_KEYS)
		return err_set(e, E_TOO_BIG, "keys: more than %d", LIMIT_TUF_KEYS);
	m->keys = calloc(jobj_n(keys) + 1, sizeof(*m->keys));
	if (!m->keys)
		return err_nomem(e);
	for (struct jiter it = jobj_first(keys); it.val; it = jobj_next(keys, it)) {
		if (!parse_key(&m->keys[m->n_keys], it.key, it.val, e))
			return false;
		m->n_keys++;
	}
	return true;
}

static const struct tuf_key *find_key(const struct tuf_meta *m, const char *id)
{
	for (size_t i = 0; i < m->n_keys; i++)
		if (strcmp(m->keys[i].id, id) == 0)
			return &m->keys[i];
	return NULL;
}

/* ---- roles -------------------------------------------------------------------------------- */

static bool stands_before(const struct jval *arr, size_t i, const char *text)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(jval_str(jarr_at(arr, j), NULL), text) == 0)
			return true;
	return false;
}

/* Key ids and threshold, common to all roles. */
static bool parse_role_keys(struct tuf_role *r, const struct tuf_meta *m,
			    const struct jval *obj, struct err *e)
{
	const struct jval *ids;

	if (!jobj_u64(&r->threshold, obj, "threshold", 1, J_INT_MAX, e) ||
	    !jobj_arr(&ids, obj, "keyids", LIMIT_TUF_KEYS, e))
		return false;
	r->keys = calloc(jarr_n(ids) + 1, sizeof(*r->keys));
	if (!r->keys)
		return err_nomem(e);
	for (size_t i = 0; i < jarr_n(ids); i++) {
		const struct tuf_key *key;
		const char *id;

		if (!jval_get_str(&id, jarr_at(ids, i), SIG_PEM_MAX, e))
			return err_wrap(e, "keyids");
		/* Specification, section 4.3: "KEYIDS ... MUST be unique". */
		if (stands_before(ids, i, id))
			return err_set(e, E_FORMAT, "keyids: %.64s stands there twice", id);
		key = find_key(m, id);
		if (key)
			r->keys[r->n_keys++] = key;
	}
	return true;
}

static bool alloc_roles(struct tuf_meta *m, size_t n, struct err *e)
{
	m->roles = calloc(n + 1, sizeof(*m->roles));
	if (!m->roles)
		return err_nomem(e);
	return true;
}

static bool parse_root(struct tuf_meta *m, struct err *e)
{
	const struct jval *roles, *role;

	if (jobj_has(m->signed_part, "consistent_snapshot") &&
	    !jobj_bool(&m->consistent_snapshot, m->signed_part, "consistent_snapshot", e))
		return false;
	if (!parse_keys(m, m->signed_part, e) ||
	    !jobj_obj(&roles, m->signed_part, "roles", e) || !alloc_roles(m, TUF_TYPES, e))
		return false;
	for (; m->n_roles < TUF_TYPES; m->n_roles++) {
		struct tuf_role *r = &m->roles[m->n_roles];

		r->name = type_names[m->n_roles];
		if (!jobj_obj(&role, roles, r->name, e) || !parse_role_keys(r, m, role, e)) {
			free(r->keys);
			return err_wrap(e, "roles: %s", r->name);
		}
	}
	return true;
}

static bool is_top_level(const char *name)
{
	for (int i = 0; i < TUF_TYPES; i++)
		if (strcmp(name, type_names[i]) == 0)
			return true;
	return false;
}

static bool parse_texts(const struct jval **ret, const struct jval *obj, const char *key,
			struct err *e)
{
	const struct jval *arr;
	const char *text;

	if (!jobj_has(obj, key))
		return true;
	if (!jobj_arr(&arr, obj, key, LIMIT_JSON_VALUES, e))
		return false;
	for (size_t i = 0; i < jarr_n(arr); i++)
		if (!jval_get_str(&text, jarr_at(arr, i), LIMIT_TUF_PATH, e))
			return err_wrap(e, "%s", key);
	*ret = arr;
	return true;
}

static bool parse_role_name(const char **ret, const struct tuf_meta *m, const struct jval *obj,
			    struct err *e)
{
	const char *name;

	if (!jobj_str(&name, obj, "name", LIMIT_TUF_ROLE_NAME, e))
		return false;
	if (name[0] == '\0' || is_top_level(name))
		return err_set(e, E_FORMAT, "name: \"%s\" cannot be delegated to", name);
	for (size_t i = 0; i < m->n_roles; i++)
		if (strcmp(m->roles[i].name, name) == 0)
			return err_set(e, E_FORMAT, "name: \"%s\" stands there twice", name);
	*ret = name;
	return true;
}

static bool parse_delegation(struct tuf_role *r, const struct tuf_meta *m,
			     const struct jval *obj, struct err *e)
{
	if (!jval_is_obj(obj, e) || !parse_role_name(&r->name, m, obj, e) ||
	    !jobj_bool(&r->terminating, obj, "terminating", e) ||
	    !parse_texts(&r->paths, obj, "paths", e) ||
	    !parse_texts(&r->path_hash_prefixes, obj, "path_hash_prefixes", e))
		return false;
	if (!r->paths == !r->path_hash_prefixes)
		return err_set(e, E_FORMAT, "either paths or path_hash_prefixes must be there");
	return parse_role_keys(r, m, obj, e);
}

static bool parse_delegation_list(struct tuf_meta *m, const struct jval *roles, struct err *e)
{
	if (!alloc_roles(m, jarr_n(roles), e))
		return false;
	for (size_t i = 0; i < jarr_n(roles); i++) {
		struct tuf_role *r = &m->roles[i];

		if (!parse_delegation(r, m, jarr_at(roles, i), e)) {
			free(r->keys);
			return err_wrap(e, "delegation %zu", i + 1);
		}
		m->n_roles++;
	}
	return true;
}

/* TAP 15: one entry stands for all roles. */
static bool parse_succinct(struct tuf_meta *m, const struct jval *obj, struct err *e)
{
	uint64_t bits;

	if (!jobj_u64(&bits, obj, "bit_length", 1, 32, e) ||
	    !jobj_str(&m->succinct_prefix, obj, "name_prefix", LIMIT_TUF_ROLE_NAME - 9, e) ||
	    !alloc_roles(m, 1, e))
		return false;
	m->n_roles = 1;
	m->roles[0].terminating = true;
	m->succinct_bits = (unsigned)bits;
	return parse_role_keys(&m->roles[0], m, obj, e);
}

static bool parse_delegations(struct tuf_meta *m, struct err *e)
{
	const struct jval *d, *roles;

	if (!jobj_has(m->signed_part, "delegations"))
		return true;
	if (!jobj_obj(&d, m->signed_part, "delegations", e))
		return false;
	if (jobj_has(d, "roles") == jobj_has(d, "succinct_roles"))
		return err_set(e, E_FORMAT, "delegations: either roles or succinct_roles");
	if (!parse_keys(m, d, e))
		return err_wrap(e, "delegations");
	if (jobj_has(d, "roles")
		    ? (jobj_arr(&roles, d, "roles", LIMIT_TUF_ROLES, e) &&
		       parse_delegation_list(m, roles, e))
		    : (jobj_obj(&roles, d, "succinct_roles", e) && parse_succinct(m, roles, e)))
		return true;
	return err_wrap(e, "delegations");
}

/* ---- lengths, hashes, lists of files ------------------------------------------------------ */

/* Algorithms that are not known here are left alone: somebody else may check them. */
static bool parse_hashes(struct tuf_hashes *h, const struct jval *obj, struct err *e)
{
	if (jobj_n(obj) == 0)
		return err_set(e, E_FORMAT, "hashes: empty");
	h->has_sha256 = jobj_has(obj, "sha256");
	h->has_sha512 = jobj_has(obj, "sha512");
	if ((h->has_sha256 && !jobj_hex(h->sha256, sizeof(h->sha256), obj, "sha256", e)) ||
	    (h->has_sha512 && !jobj_hex(h->sha512, sizeof(h->sha512), obj, "sha512", e)))
		return err_wrap(e, "hashes");
	return true;
}

static bool parse_file(uint64_t *ret_version, struct tuf_hashes *ret, const struct jval *v,
		       struct err *e)
{
	struct tuf_hashes h = { .has_length = jobj_has(v, "length") };
	const struct jval *hashes;
	uint64_t version;

	if (!jval_is_obj(v, e) || !jobj_u64(&version, v, "version", 1, J_INT_MAX, e) ||
	    (h.has_length && !jobj_u64(&h.length, v, "length", 1, LIMIT_TUF_TARGETS, e)))
		return false;
	if (jobj_has(v, "hashes") &&
	    (!jobj_obj(&hashes, v, "hashes", e) || !parse_hashes(&h, hashes, e)))
		return false;
	*ret_version = version;
	*ret = h;
	return true;
}

static bool parse_meta(struct tuf_meta *m, struct err *e)
{
	struct tuf_hashes hashes;
	uint64_t version;

	if (!jobj_obj(&m->meta, m->signed_part, "meta", e))
		return false;
	for (struct jiter it = jobj_first(m->meta); it.val; it = jobj_next(m->meta, it)) {
		if (!parse_file(&version, &hashes, it.val, e))
			return err_wrap(e, "meta: %.100s", it.key);
		if (strcmp(it.key, "snapshot.json") == 0) {
			m->snapshot_version = version;
			m->snapshot_hashes = hashes;
		}
	}
	if (m->type == TUF_TIMESTAMP && m->snapshot_version == 0)
		return err_set(e, E_FORMAT, "meta: snapshot.json: missing");
	return true;
}

bool tuf_target_parse(struct tuf_target *ret, const char *path, const struct jval *v,
		      struct err *e)
{
	struct tuf_target t = { .path = path, .hashes = { .has_length = true } };
	const struct jval *hashes;

	if (!jval_is_obj(v, e) || !jobj_u64(&t.hashes.length, v, "length", 0, J_INT_MAX, e) ||
	    !jobj_obj(&hashes, v, "hashes", e) || !parse_hashes(&t.hashes, hashes, e) ||
	    (jobj_has(v, "custom") && !jobj_obj(&t.custom, v, "custom", e)))
		return err_wrap(e, "target %.100s", path);
	*ret = t;
	return true;
}

static bool parse_targets(struct tuf_meta *m, struct err *e)
{
	struct tuf_target t;

	if (!jobj_obj(&m->targets, m->signed_part, "targets", e))
		return false;
	for (struct jiter it = jobj_first(m->targets); it.val; it = jobj_next(m->targets, it))
		if (!tuf_target_parse(&t, it.key, it.val, e))
			return false;
	return parse_delegations(m, e);
}

/* ---- what all roles have in common -------------------------------------------------------- */

/* Section 4.3: clients refuse another major version; "1.0" and "1.0.34" are both in use. */
static bool check_spec_version(const struct jval *obj, struct err *e)
{
	const char *text;

	if (!jobj_str(&text, obj, "spec_version", 32, e))
		return false;
	if (strncmp(text, "1.", 2) != 0 || text[2 + strspn(text + 2, "0123456789.")] != '\0')
		return err_set(e, E_UNSUPPORTED, "spec_version: \"%s\" is not 1.x", text);
	return true;
}

static bool check_type(const struct jval *obj, enum tuf_type type, struct err *e)
{
	const char *text;

	if (!jobj_str(&text, obj, "_type", 32, e))
		return false;
	if (strcmp(text, type_names[type]) != 0)
		return err_set(e, E_FORMAT, "_type: \"%s\" where \"%s\" belongs", text,
			       type_names[type]);
	return true;
}

static bool parse_signatures(struct tuf_meta *m, const struct jval *root, struct err *e)
{
	const char *id, *sig;

	if (!jobj_arr(&m->signatures, root, "signatures", LIMIT_TUF_SIGNATURES, e))
		return false;
	for (size_t i = 0; i < jarr_n(m->signatures); i++) {
		const struct jval *s = jarr_at(m->signatures, i);

		if (!jval_is_obj(s, e) || !jobj_str(&id, s, "keyid", SIG_PEM_MAX, e) ||
		    !jobj_str(&sig, s, "sig", 2 * SIG_MAX, e))
			return err_wrap(e, "signature %zu", i + 1);
		for (size_t j = 0; j < i; j++)
			if (strcmp(text_of(jarr_at(m->signatures, j), "keyid"), id) == 0)
				return err_set(e, E_FORMAT, "two signatures by key %.64s", id);
	}
	return true;
}

static bool parse_common(struct tuf_meta *m, const struct jval *root, struct err *e)
{
	return jval_is_obj(root, e) && parse_signatures(m, root, e) &&
	       jobj_obj(&m->signed_part, root, "signed", e) &&
	       check_type(m->signed_part, m->type, e) &&
	       check_spec_version(m->signed_part, e) &&
	       jobj_u64(&m->version, m->signed_part, "version", 1, J_INT_MAX, e) &&
	       jobj_time(&m->expires_s, m->signed_part, "expires", e) &&
	       cjson_encode(&m->canon, m->signed_part, e);
}

static bool parse_body(struct tuf_meta *m, struct err *e)
{
	switch (m->type) {
	case TUF_ROOT:
		return parse_root(m, e);
	case TUF_TARGETS:
		return parse_targets(m, e);
	default:
		return parse_meta(m, e);
	}
}

bool tuf_parse(struct tuf_meta **ret, enum tuf_type type, const void *p, size_t n,
	       struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

	if (n > tuf_max_bytes(type))
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %zu", n, tuf_max_bytes(type));
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_nomem(e);
	m->type = type;
	buf_init(&m->canon, tuf_max_bytes(type));
	if (!jdoc_parse(&m->doc, p, n, e) || !parse_common(m, jdoc_root(m->doc), e) ||
	    !parse_body(m, e))
		return false;
	*ret = TAKE(m);
	return true;
}

/* ---- look-ups ----------------------------------------------------------------------------- */

/* Who has to sign it anew, in Valise's repositories (docs/OPERATING.md, section 7). */
static const char *expired_hint(const char *role)
{
	static const struct {
		const char *role, *hint;
	} hints[] = {
		{ "root",
		  "who holds root keys signs the next one: valise root rotate, sign, publish" },
		{ "targets",
		  "who holds the targets key signs it anew: valise publisher renew --targets" },
		{ "snapshot", TUF_HINT_ONLINE },
		{ "timestamp", TUF_HINT_ONLINE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (strcmp(role, hints[i].role) == 0)
			return hints[i].hint;
	return "its publisher publishes something, or signs it anew: valise publisher renew";
}

bool tuf_check_expiry(const struct tuf_meta *m, const char *role, int64_t now_s, struct err *e)
{
	char at[TIME_TEXT_SIZE], now[TIME_TEXT_SIZE];

	if (m->expires_s > now_s)
		return true;
	time_format(at, m->expires_s);
	time_format(now, now_s);
	err_set(e, E_EXPIRED, "version %llu expired at %s, it is %s now",
		(unsigned long long)m->version, at, now);
	return err_hint(e, expired_hint(role));
}

bool tuf_meta_get(uint64_t *ret_version, struct tuf_hashes *ret, const struct tuf_meta *m,
		  const char *role, struct err *e)
{
	char name[LIMIT_TUF_ROLE_NAME + sizeof(".json")];
	const struct jval *v;

	snprintf(name, sizeof(name), "%s.json", role);
	v = jobj_opt(m->meta, name);
	if (!v)
		return err_set(e, E_NOT_FOUND, "%s does not list %s", type_names[m->type],
			       name);
	return parse_file(ret_version, ret, v, e);
}

bool tuf_target_get(struct tuf_target *ret, const struct tuf_meta *targets, const char *path,
		    struct err *e)
{
	const struct jval *v = jobj_opt(targets->targets, path);

	if (!v)
		return err_set(e, E_NOT_FOUND, "no target %.200s", path);
	/* The text that was asked for may not live as long as the metadata. */
	for (struct jiter it = jobj_first(targets->targets); it.val;
	     it = jobj_next(targets->targets, it))
		if (it.val == v)
			path = it.key;
	return tuf_target_parse(ret, path, v, e);
}
