#include "server/publication.h"
#include "server/repo_priv.h"
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/tuf_make.h"

#include <inttypes.h>

enum { TRIES = 3 };

/* ---- where it belongs ------------------------------------------------------------------------- */

/* The role that lists it, and its paths: all below `path`, or this one alone. */
struct place {
	enum proposal_kind kind;
	const char *name, *version;
	char role[TUF_ROLE_MAX + 1];
	char path[RELEASE_PATH_SIZE + POLICY_PATH_SIZE];
	char number[24];
};

static void place_of(struct place *ret, const struct publication *p)
{
	if (p->release) {
		ret->kind = PROPOSAL_RELEASE;
		ret->name = p->release->product;
		ret->version = p->release->version;
		snprintf(ret->role, sizeof(ret->role), "releases.%s", ret->name);
		release_path(ret->path, ret->name, ret->version, "");
	} else {
		snprintf(ret->number, sizeof(ret->number), "%" PRIu64, p->policy->version);
		ret->kind = PROPOSAL_POLICY;
		ret->name = p->policy->name;
		ret->version = ret->number;
		snprintf(ret->role, sizeof(ret->role), "policies");
		policy_path(ret->path, ret->name, p->policy->version);
	}
}

static bool is_at(const struct place *at, const char *path)
{
	return at->kind == PROPOSAL_RELEASE ? strncmp(path, at->path, strlen(at->path)) == 0
					    : strcmp(path, at->path) == 0;
}

/* ---- roles of publishers ---------------------------------------------------------------------- */

static bool newest_targets(struct tuf_meta **ret, struct web *w, const char *role,
			   struct err *e)
{
	if (repo_newest(ret, w, TUF_IMAGE, "targets", TUF_TARGETS, e))
		return true;
	if (e->code == E_NOT_FOUND)
		err_set(e, E_UNAVAILABLE, "nobody was given role %s yet: there are no targets",
			role);
	return false;
}

/* How many signatures are missing, when there are some and each is good and by a key that counts. */
static bool partly_signed(const struct tuf_meta *m, const struct tuf_role *role,
			  uint64_t *ret_missing, struct err *e)
{
	uint64_t have;

	if (!tuf_count(m, role, &have, NULL, e))
		return false;
	if (have == 0) /* a stranger's, or altered: that says whose is missing */
		return tuf_verify(m, role, e);
	if (have != jarr_n(m->signatures)) {
		err_set(e, E_UNTRUSTED,
			"of %zu signatures %" PRIu64
			" are good and by keys that may sign; %" PRIu64 " are needed",
			jarr_n(m->signatures), have, role->threshold);
		return err_hint(e, "it was altered, or signed by a stranger: sign it anew");
	}
	*ret_missing = have < role->threshold ? role->threshold - have : 0;
	return true;
}

/* Whether the newest targets gave the role to whoever signed: to enough of them, or, where they may
 * still be missing (ret_missing), at least to all who did. */
static bool check_signers(const struct tuf_meta *m, const struct tuf_meta *targets,
			  const char *role, uint64_t *ret_missing, struct err *e)
{
	const struct tuf_role *r = tuf_role_get(targets, role);

	if (ret_missing)
		*ret_missing = 0;
	return repo_verified_by(m, targets, role, e) ||
	       (e->code == E_UNTRUSTED && ret_missing && r && jarr_n(m->signatures) > 0 &&
		partly_signed(m, r, ret_missing, e));
}

/* Parses the role's metadata and checks that the newest targets gave it to whoever signed.  ret_missing
 * NULL: nobody may be missing. */
static bool check_role(struct tuf_meta **ret, struct web *w, const char *role, const void *p,
		       size_t n, uint64_t *ret_missing, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

	if (!newest_targets(&targets, w, role, e))
		return false;
	if (!tuf_parse(&m, TUF_TARGETS, p, n, e) ||
	    !check_signers(m, targets, role, ret_missing, e) ||
	    !tuf_check_expiry(m, role, clock_wall_s(w->clock), e))
		return err_wrap(e, "role %s", role);
	if (m->n_roles != 0 || m->succinct_bits)
		return err_set(e, E_FORMAT, "role %s: it may not delegate further", role);
	*ret = TAKE(m);
	return true;
}

static bool same_target(const struct tuf_target *a, const struct tuf_target *b)
{
	struct err e;
	bool custom = !a->custom == !b->custom;

	if (a->custom && b->custom && !cjson_equal(&custom, a->custom, b->custom, &e))
		return false;
	return custom && a->hashes.length == b->hashes.length && a->hashes.has_sha256 &&
	       b->hashes.has_sha256 &&
	       memcmp(a->hashes.sha256, b->hashes.sha256, SHA256_SIZE) == 0;
}

/* Whether a target that was there may be left out now: only those of withdrawn releases. */
static bool may_go(struct web *w, const char *path)
{
	char product[LIMIT_NAME + 1], version[LIMIT_VERSION + 1];
	CLEANUP(release_full_done) struct release_full r = { 0 };
	struct err e;

	if (sscanf(path, "releases/%64[^/]/%64[^/]/", product, version) != 2)
		return false;
	return releases_get(w->store, product, version, &r, &e) ? r.row.withdrawn_at != 0
								: e.code == E_NOT_FOUND;
}

/* Against the version before, which must be the newest: nothing that was there has changed or is
 * gone, and what is new is this release or bundle (NULL: nothing is). */
static bool only_adds(struct web *w, const char *role, const struct tuf_meta *m,
		      const struct place *own, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	struct tuf_target a, b;

	if (!repo_newest(&before, w, TUF_IMAGE, role, TUF_TARGETS, e) && e->code != E_NOT_FOUND)
		return false;
	if (before && m->version != before->version + 1) {
		err_set(e, E_CONFLICT, "%s: version %" PRIu64 " does not follow %" PRIu64, role,
			m->version, before->version);
		return err_hint(e,
				"extend the newest metadata: somebody else may have published");
	}
	for (struct jiter it = jobj_first(m->targets); it.val; it = jobj_next(m->targets, it)) {
		if (!tuf_target_parse(&a, it.key, it.val, e))
			return false;
		if (own && is_at(own, it.key))
			continue;
		if (!before || !tuf_target_get(&b, before, it.key, e) || !same_target(&a, &b))
			return err_set(
				e, E_UNTRUSTED,
				"%s: is not part of this publication and was not published so",
				it.key);
	}
	if (!before)
		return true;
	for (struct jiter it = jobj_first(before->targets); it.val;
	     it = jobj_next(before->targets, it)) {
		if (!tuf_target_get(&a, m, it.key, e) && !may_go(w, it.key)) {
			err_set(e, E_CONFLICT, "%s: was published and is missing", it.key);
			return err_hint(
				e,
				"extend the newest metadata: somebody else may have published");
		}
	}
	return true;
}

/* One target must be listed exactly so. */
static bool lists(const struct tuf_meta *m, const char *path, uint64_t size,
		  const uint8_t sha256[static SHA256_SIZE], struct tuf_target *ret,
		  struct err *e)
{
	if (!tuf_target_get(ret, m, path, e))
		return err_set(e, E_UNTRUSTED, "%s: is not listed by the signed role", path);
	if (ret->hashes.length != size || !ret->hashes.has_sha256 ||
	    memcmp(ret->hashes.sha256, sha256, SHA256_SIZE) != 0)
		return err_set(e, E_UNTRUSTED,
			       "%s: the signed role lists another length or hash", path);
	return true;
}

static bool custom_is(const struct jval *custom, const char *want, const char *path,
		      struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	bool same = false;

	if (!jdoc_parse(&d, want, strlen(want), e))
		return false;
	if (!custom || !cjson_equal(&same, custom, jdoc_root(d), e) || !same)
		return err_set(e, E_UNTRUSTED, "%s: custom is not %s", path, want);
	return true;
}

static bool release_listed(const struct tuf_meta *m, const struct release *r,
			   const void *manifest, size_t manifest_n, struct err *e)
{
	char path[RELEASE_PATH_SIZE], custom[512];
	uint8_t sha[SHA256_SIZE];
	struct tuf_target t;
	size_t want = 1, have = 0;

	release_path(path, r->product, r->version, "release.json");
	sha256(sha, manifest, manifest_n);
	snprintf(
		custom, sizeof(custom),
		"{\"valise\":{\"kind\":\"release\",\"product\":\"%s\",\"security_version\":%" PRIu64
		",\"version\":\"%s\"}}",
		r->product, r->security_version, r->version);
	if (!lists(m, path, manifest_n, sha, &t, e) || !custom_is(t.custom, custom, path, e))
		return false;
	for (size_t i = 0; i < r->n_components; i++) {
		const struct component *c = &r->components[i];

		release_object_path(path, r, c);
		if (!lists(m, path, c->object_size, c->object_sha256, &t, e))
			return false;
		want++;
		release_tree_path(path, r, c);
		if (c->tree_size > 0 && !lists(m, path, c->tree_size, c->tree_sha256, &t, e))
			return false;
		want += c->tree_size > 0;
	}
	/* And nothing else below this version. */
	release_path(path, r->product, r->version, "");
	for (struct jiter it = jobj_first(m->targets); it.val; it = jobj_next(m->targets, it))
		have += strncmp(it.key, path, strlen(path)) == 0;
	return have == want ? true
			    : err_set(e, E_UNTRUSTED,
				      "%s: %zu targets are listed, the manifest has %zu", path,
				      have, want);
}

static bool policy_listed(const struct tuf_meta *m, const struct policy *p, const void *bundle,
			  size_t bundle_n, struct err *e)
{
	char path[POLICY_PATH_SIZE], custom[256];
	uint8_t sha[SHA256_SIZE];
	struct tuf_target t;

	policy_path(path, p->name, p->version);
	sha256(sha, bundle, bundle_n);
	snprintf(custom, sizeof(custom),
		 "{\"valise\":{\"kind\":\"policy\",\"name\":\"%s\",\"version\":%" PRIu64 "}}",
		 p->name, p->version);
	return lists(m, path, bundle_n, sha, &t, e) && custom_is(t.custom, custom, path, e);
}

bool publication_check(struct web *w, const struct publication *p, uint64_t *ret_missing,
		       struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct place at;

	place_of(&at, p);
	return check_role(&m, w, at.role, p->role, p->role_n, ret_missing, e) &&
	       (p->release ? release_listed(m, p->release, p->text, p->text_n, e)
			   : policy_listed(m, p->policy, p->text, p->text_n, e)) &&
	       only_adds(w, at.role, m, &at, e);
}

/* ---- publishing --------------------------------------------------------------------------------- */

static void fill_components(struct release_component *to, const struct release *r)
{
	for (size_t i = 0; i < r->n_components; i++) {
		const struct component *c = &r->components[i];

		snprintf(to[i].name, sizeof(to[i].name), "%s", c->name);
		snprintf(to[i].kind, sizeof(to[i].kind), "%s", component_kind_names[c->kind]);
		to[i].size = c->size;
		to[i].object_size = c->object_size;
		to[i].tree_size = c->tree_size;
		memcpy(to[i].sha256, c->sha256, SHA256_SIZE);
		memcpy(to[i].verity_root, c->root, SHA256_SIZE);
		memcpy(to[i].object_sha256, c->object_sha256, SHA256_SIZE);
		memcpy(to[i].tree_sha256, c->tree_sha256, SHA256_SIZE);
	}
}

/* A release or bundle as the store takes it. */
struct stored {
	struct release_component components[LIMIT_COMPONENTS];
	const char *models[LIMIT_MODELS];
	struct release_new release;
	struct policy_new policy;
};

static void fill_release(struct stored *s, const struct publication *p,
			 const struct tuf_file *files, size_t n)
{
	const struct release *r = p->release;

	s->release = (struct release_new){
		.product = r->product,
		.version = r->version,
		.security_version = r->security_version,
		.data_schema = r->data_schema,
		.manifest = p->text,
		.manifest_n = p->text_n,
		.components = s->components,
		.components_n = r->n_components,
		.models = s->models,
		.models_n = r->n_models,
		.tuf = files,
		.tuf_n = n,
	};
	fill_components(s->components, r);
	for (size_t i = 0; i < r->n_models; i++)
		s->models[i] = r->models[i].name;
}

static void fill_policy(struct stored *s, const struct publication *p,
			const struct tuf_file *files, size_t n)
{
	s->policy = (struct policy_new){
		.name = p->policy->name,
		.version = p->policy->version,
		.text = p->text,
		.n = p->text_n,
		.tuf = files,
		.tuf_n = n,
	};
}

static bool store_it(struct web *w, const struct publication *p, const struct tuf_file *files,
		     size_t n, const char *actor, bool *ret_created, struct err *e)
{
	enum release_put release;
	enum policy_put policy;
	struct stored s;

	if (p->release) {
		fill_release(&s, p, files, n);
		if (!releases_publish(w->store, &s.release, actor, &release, e))
			return false;
		*ret_created = release == RELEASE_CREATED;
		return true;
	}
	fill_policy(&s, p, files, n);
	if (!policies_publish(w->store, &s.policy, actor, &policy, e))
		return false;
	*ret_created = policy == POLICY_CREATED;
	return true;
}

static struct tuf_file role_file(const char *role, const struct tuf_meta *m, const void *p,
				 size_t n)
{
	return (struct tuf_file){ .repo = TUF_IMAGE,
				  .role = role,
				  .version = m->version,
				  .expires_at = m->expires_s,
				  .text = p,
				  .n = n };
}

/* Under repo_lock.  `role` has all signatures. */
static bool publish(struct web *w, const struct publication *p, const struct place *at,
		    const void *role, size_t role_n, const char *actor, bool *ret_created,
		    struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		CLEANUP(repo_fresh_done) struct repo_fresh f = { .n = 0 };
		struct repo_next next = { at->role, 0 };

		/* Again under the lock: what was checked may have been overtaken. */
		if (!check_role(&m, w, at->role, role, role_n, NULL, e) ||
		    !only_adds(w, at->role, m, at, e))
			return false;
		next.version = m->version;
		if (!repo_make_fresh(&f, w, &next, false, e))
			return false;
		struct tuf_file files[3] = { role_file(at->role, m, role, role_n), f.files[0],
					     f.files[1] };
		if (store_it(w, p, files, 3, actor, ret_created, e))
			return true;
		if (e->code != E_CONFLICT)
			return false;
	}
	return false;
}

/* ---- what waits for signatures ------------------------------------------------------------------ */

/* Hands the signature of a key over, if it is on the list. */
static bool find_signature(const struct jval *list, const char *keyid, uint8_t *ret,
			   size_t *ret_n)
{
	const char *id, *hex;
	struct err ignored;
	size_t n;

	for (size_t i = 0; i < jarr_n(list); i++) {
		const struct jval *s = jarr_at(list, i);

		if (!jobj_str(&id, s, "keyid", TUF_KEYID_SIZE, &ignored) ||
		    strcmp(id, keyid) != 0)
			continue;
		if (!jobj_text(&hex, &n, s, "sig", 2 * SIG_MAX, &ignored) ||
		    !hex_decode(ret, n / 2, hex, n))
			return false;
		*ret_n = n / 2;
		return true;
	}
	return false;
}

/* Appends `role` with the signatures besides that `other` has over the same bytes. */
static bool merge(struct buf *out, const void *role, size_t n, const struct tuf_meta *other,
		  const struct tuf_role *by, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	struct tuf_pubkey *keys;
	uint8_t sig[SIG_MAX];
	size_t n_keys, sig_n;
	bool ok;

	if (!buf_add(&text, role, n, e) || !tuf_pubkeys_of(&keys, &n_keys, by, e))
		return false;
	ok = true;
	for (size_t i = 0; ok && i < n_keys; i++) {
		CLEANUP(buf_done) struct buf more = BUF_INIT(LIMIT_TUF_TARGETS);

		if (!find_signature(other->signatures, keys[i].id, sig, &sig_n))
			continue;
		ok = tuf_add_signature(&more, text.p, text.n, &keys[i], sig, sig_n, e);
		buf_reset(&text);
		ok = ok && buf_add(&text, more.p, more.n, e);
	}
	tuf_pubkeys_free(keys, n_keys);
	return ok && buf_add(out, text.p, text.n, e);
}

static bool is_pending(const struct place *at, const struct tuf_role *role, uint64_t missing,
		       struct err *e)
{
	err_set(e, E_PENDING,
		"signed by %" PRIu64 " of the %" PRIu64 " keys that are needed; it waits",
		role->threshold - missing, role->threshold);
	return err_hint(
		e,
		at->kind == PROPOSAL_RELEASE
			? "the holder of another key runs: valise release approve PRODUCT/VERSION"
			: "the holder of another key runs: valise policy approve NAME/VERSION");
}

/* What a publication that lacks signatures meets here: nothing that counts, the same metadata, whose signatures
 * are put together with these, or other metadata for the same release or bundle, which stays (`out` is left
 * empty).  *ret_other: signatures that are missing to what waits; 0 when nothing that counts does. */
static bool meet_proposal(struct web *w, const struct publication *p, const struct place *at,
			  const struct tuf_meta *m, const struct tuf_role *by, struct buf *out,
			  uint64_t *ret_other, struct err *e)
{
	CLEANUP(proposal_done) struct proposal old = { .number = 0 };
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	struct err ignored;

	*ret_other = 0;
	if (!proposals_get(w->store, at->kind, at->name, at->version, &old, e))
		return e->code == E_NOT_FOUND && buf_add(out, p->role, p->role_n, e);
	/* What waited too long, or was signed by who may not sign any more, is replaced. */
	if (old.text_n != p->text_n || memcmp(old.text, p->text, p->text_n) != 0 ||
	    !check_role(&before, w, at->role, old.role, old.role_n, ret_other, &ignored) ||
	    !only_adds(w, at->role, before, at, &ignored)) {
		*ret_other = 0;
		return buf_add(out, p->role, p->role_n, e);
	}
	if (before->canon.n != m->canon.n ||
	    memcmp(before->canon.p, m->canon.p, m->canon.n) != 0)
		return true;
	return merge(out, p->role, p->role_n, before, by, e);
}

static bool put_proposal(struct web *w, const struct publication *p, const struct place *at,
			 const struct tuf_meta *m, const struct buf *text,
			 const struct tuf_role *by, const char *actor, struct err *e)
{
	struct tuf_file file = role_file(at->role, m, text->p, text->n);
	CLEANUP(buf_done) struct buf detail = BUF_INIT(LIMIT_TEXT);
	bool *good = calloc(by->n_keys + 1, sizeof(*good));
	struct proposal_new put = { NULL };
	struct stored s;
	uint64_t have;
	bool ok;

	if (!good)
		return err_nomem(e);
	ok = tuf_count(m, by, &have, good, e) &&
	     buf_printf(&detail, e, "%" PRIu64 " of %" PRIu64 ":", have, by->threshold);
	for (size_t i = 0; ok && i < by->n_keys; i++)
		ok = !good[i] || detail.n + 16 > detail.max ||
		     buf_printf(&detail, e, " %.12s", by->keys[i]->id);
	free(good);
	if (!ok)
		return false;
	put.detail = buf_str(&detail);
	if (p->release) {
		fill_release(&s, p, &file, 1);
		put.release = &s.release;
	} else {
		fill_policy(&s, p, &file, 1);
		put.policy = &s.policy;
	}
	return proposals_put(w->store, &put, actor, e);
}

/* Under repo_lock.  True when the signatures that wait here make it complete: `whole` is then the role to
 * publish.  Else it waits from now on, which is E_PENDING. */
static bool propose(struct web *w, const struct publication *p, const struct place *at,
		    const char *actor, struct buf *whole, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *merged = NULL;
	const struct tuf_role *by;
	uint64_t missing, other;

	/* Again under the lock, as when publishing. */
	if (!newest_targets(&targets, w, at->role, e) ||
	    !check_role(&m, w, at->role, p->role, p->role_n, &missing, e) ||
	    !only_adds(w, at->role, m, at, e))
		return false;
	by = tuf_role_get(targets, at->role);
	if (!meet_proposal(w, p, at, m, by, whole, &other, e))
		return false;
	if (whole->n == 0)
		return is_pending(at, by, other, e);
	if (!check_role(&merged, w, at->role, whole->p, whole->n, &missing, e))
		return false;
	if (missing == 0)
		return true;
	/* Nobody new has signed: it waits as it is, and the log has it already. */
	if (missing == other)
		return is_pending(at, by, missing, e);
	return put_proposal(w, p, at, merged, whole, by, actor, e) &&
	       is_pending(at, by, missing, e);
}

bool publication_put(struct web *w, const struct publication *p, uint64_t missing,
		     const char *actor, bool *ret_created, struct err *e)
{
	CLEANUP(buf_done) struct buf whole = BUF_INIT(LIMIT_TUF_TARGETS);
	struct place at;

	place_of(&at, p);
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(repo_unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	if (missing == 0)
		return publish(w, p, &at, p->role, p->role_n, actor, ret_created, e);
	return propose(w, p, &at, actor, &whole, e) &&
	       publish(w, p, &at, whole.p, whole.n, actor, ret_created, e);
}

bool publication_signatures(struct jw *jw, struct web *w, const char *role, const void *p,
			    size_t n, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	const struct tuf_role *by;
	uint64_t have;
	bool *good;

	if (!newest_targets(&targets, w, role, e) ||
	    !(p ? tuf_parse(&m, TUF_TARGETS, p, n, e)
		: repo_newest(&m, w, TUF_IMAGE, role, TUF_TARGETS, e)))
		return false;
	by = tuf_role_get(targets, role);
	good = calloc((by ? by->n_keys : 0) + 1, sizeof(*good));
	if (!good || (by && !tuf_count(m, by, &have, good, e))) {
		bool ok = good ? false : err_nomem(e);

		free(good);
		return ok;
	}
	jw_obj(jw, "signatures");
	jw_u64(jw, "threshold", by ? by->threshold : 0);
	for (int signed_by = 1; signed_by >= 0; signed_by--) {
		jw_arr(jw, signed_by ? "signed" : "missing");
		for (size_t i = 0; by && i < by->n_keys; i++) {
			if (good[i] == signed_by)
				jw_str(jw, NULL, by->keys[i]->id);
		}
		jw_end(jw);
	}
	jw_end(jw);
	free(good);
	return true;
}

/* ---- the others --------------------------------------------------------------------------------- */

static bool is_publishers(const char *role, struct err *e)
{
	if (strcmp(role, "policies") == 0 ||
	    (strncmp(role, "releases.", 9) == 0 && name_is_valid(role + 9, LIMIT_NAME)))
		return true;
	return err_set(e, E_NOT_FOUND, "%s is no role of a publisher", role);
}

bool publication_renew(struct web *w, const char *role, const void *p, size_t n,
		       const char *actor, uint64_t *ret_version, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(repo_fresh_done) struct repo_fresh f = { .n = 0 };

	if (!is_publishers(role, e))
		return false;
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(repo_unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	if (!repo_newest(&before, w, TUF_IMAGE, role, TUF_TARGETS, e) ||
	    !check_role(&m, w, role, p, n, NULL, e))
		return false;
	*ret_version = m->version;
	if (repo_is_stored(w, TUF_IMAGE, role, m->version, p, n))
		return true;
	const struct repo_next next = { role, m->version };
	if (!only_adds(w, role, m, NULL, e) || !repo_make_fresh(&f, w, &next, false, e))
		return false;
	struct tuf_file files[3] = { role_file(role, m, p, n), f.files[0], f.files[1] };
	if (!tuf_put(w->store, files, 3, actor, e))
		return false;
	log_info("repo.role", "role=%s version=%" PRIu64 " actor=%s", role, m->version, actor);
	return true;
}

bool publication_trusted(struct web *w, const char *product, const char *version, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	char role[TUF_ROLE_MAX + 1], path[RELEASE_PATH_SIZE];
	struct tuf_target t;

	snprintf(role, sizeof(role), "releases.%s", product);
	release_path(path, product, version, "release.json");
	if (!repo_newest(&targets, w, TUF_IMAGE, "targets", TUF_TARGETS, e) ||
	    !repo_newest(&m, w, TUF_IMAGE, role, TUF_TARGETS, e))
		return false;
	if (!repo_verified_by(m, targets, role, e)) {
		err_wrap(e, "release %s/%s", product, version);
		return err_hint(
			e, "its publisher was removed or has other keys now; publish again");
	}
	return tuf_target_get(&t, m, path, e) || err_wrap(e, "%s", role);
}
