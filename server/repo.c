#include "server/repo.h"
#include "server/ipc.h"
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/tuf_make.h"

#include <inttypes.h>

enum { TRIES = 3 };

static void unlock(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

/* ---- what is stored ------------------------------------------------------------------------ */

/* The newest metadata of a role, parsed.  E_NOT_FOUND. */
static bool newest(struct tuf_meta **ret, struct web *w, enum tuf_repo repo, const char *role,
		   enum tuf_type type, struct err *e)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };

	return tuf_get(w->store, repo, role, 0, &t, e) && tuf_parse(ret, type, t.text, t.n, e);
}

static bool root_of(struct tuf_meta **ret, struct web *w, enum tuf_repo repo, struct err *e)
{
	if (newest(ret, w, repo, "root", TUF_ROOT, e))
		return true;
	if (e->code == E_NOT_FOUND) {
		err_set(e, E_UNAVAILABLE, "there is no root yet");
		return err_hint(e, "make one and install it with: valise init");
	}
	return false;
}

static bool verified_by(const struct tuf_meta *m, const struct tuf_meta *delegator,
			const char *role, struct err *e)
{
	const struct tuf_role *r = tuf_role_get(delegator, role);

	if (!r)
		return err_set(e, E_UNTRUSTED, "%s: nobody was given this role", role);
	return tuf_verify(m, r, e) || err_wrap(e, "%s", role);
}

/* ---- signing --------------------------------------------------------------------------------- */

struct next {
	const char *role; /* goes live with the new snapshot; NULL: none */
	uint64_t version;
};

static bool role_has(const struct tuf_role *role, const uint8_t pub[static SIG_PUBLIC_SIZE],
		     bool *ret, struct err *e)
{
	char id[TUF_KEYID_SIZE];

	*ret = false;
	if (!tuf_keyid_ed25519(id, pub, e))
		return false;
	for (size_t i = 0; role && i < role->n_keys; i++)
		*ret |= strcmp(role->keys[i]->id, id) == 0;
	return true;
}

static bool next_of(const struct online_public *keys, enum tuf_repo repo,
		    const struct tuf_meta *root, uint32_t *ret, struct err *e)
{
	const char *name = repo == TUF_IMAGE ? "image" : "director";
	bool found;

	*ret = 0;
	for (int i = 0; i < ONLINE_N; i++) {
		if (strcmp(online_roles[i].repo, name) != 0 || !keys->has_next[i])
			continue;
		if (!role_has(tuf_role_get(root, online_roles[i].role), keys->next[i], &found,
			      e))
			return false;
		*ret |= found ? UINT32_C(1) << i : 0;
	}
	return true;
}

bool repo_keys_next(struct web *w, enum tuf_repo repo, uint32_t *ret, struct err *e)
{
	const struct online_public *keys = signer_keys(w->signer);
	CLEANUP(tuf_freep) struct tuf_meta *root = NULL;
	bool any = false;

	*ret = 0;
	for (int i = 0; i < ONLINE_N; i++)
		any |= keys->has_next[i];
	if (!any)
		return true; /* the usual case: no root is looked at */
	return root_of(&root, w, repo, e) && next_of(keys, repo, root, ret, e);
}

static bool collect_roles(struct sign_image *req, const struct tuf_roles *have,
			  const struct next *next, struct err *e)
{
	bool placed = !next->role;

	req->roles = calloc(have->n + 1, sizeof(*req->roles));
	if (!req->roles)
		return err_nomem(e);
	for (size_t i = 0; i < have->n; i++) {
		const struct tuf_role_row *row = &have->items[i];
		struct sign_role *to = &req->roles[req->roles_n];

		if (strcmp(row->role, "root") == 0 || strcmp(row->role, "snapshot") == 0 ||
		    strcmp(row->role, "timestamp") == 0)
			continue;
		snprintf(to->role, sizeof(to->role), "%s", row->role);
		to->version = row->version;
		if (next->role && strcmp(row->role, next->role) == 0) {
			to->version = next->version;
			placed = true;
		}
		req->roles_n++;
	}
	if (!placed) {
		struct sign_role *to = &req->roles[req->roles_n++];

		snprintf(to->role, sizeof(to->role), "%s", next->role);
		to->version = next->version;
	}
	return true;
}

static uint64_t version_of(const struct tuf_roles *have, const char *role)
{
	for (size_t i = 0; i < have->n; i++) {
		if (strcmp(have->items[i].role, role) == 0)
			return have->items[i].version;
	}
	return 0;
}

/* A new snapshot (or only timestamp) to be put: files[0..*n) borrow from text. */
struct fresh {
	struct buf text;
	struct sign_answer answer;
	struct tuf_file files[2];
	size_t n;
};

static void fresh_done(struct fresh *f)
{
	buf_done(&f->text);
}

static void add_file(struct fresh *f, const char *role, uint64_t after, int64_t expires_at,
		     const uint8_t *p, size_t n)
{
	f->files[f->n++] = (struct tuf_file){
		.repo = TUF_IMAGE,
		.role = role,
		.version = f->answer.version,
		.after = after,
		.expires_at = expires_at,
		.text = (const char *)p,
		.n = n,
	};
}

/* Under repo_lock.  timestamp_only: the newest snapshot stays. */
static bool make_fresh(struct fresh *f, struct web *w, const struct next *next,
		       bool timestamp_only, struct err *e)
{
	CLEANUP(tuf_roles_done) struct tuf_roles have = { 0 };
	CLEANUP(tuf_text_done) struct tuf_text snapshot = { 0 };
	CLEANUP(sign_image_done) struct sign_image req = { .timestamp_only = timestamp_only };
	uint64_t snapshot_v, timestamp_v;

	if (!tuf_newest(w->store, TUF_IMAGE, &have, e))
		return false;
	snapshot_v = version_of(&have, "snapshot");
	timestamp_v = version_of(&have, "timestamp");
	req.above = snapshot_v > timestamp_v ? snapshot_v : timestamp_v;
	if (snapshot_v > 0) {
		if (!tuf_get(w->store, TUF_IMAGE, "snapshot", snapshot_v, &snapshot, e))
			return false;
		req.snapshot = (const uint8_t *)snapshot.text;
		req.snapshot_n = snapshot.n;
	}
	if (!repo_keys_next(w, TUF_IMAGE, &req.next, e) ||
	    (!timestamp_only && !collect_roles(&req, &have, next, e)))
		return false;
	buf_init(&f->text, IPC_MAX);
	f->n = 0;
	if (!signer_image(w->signer, &req, &f->text, &f->answer, e))
		return err_wrap(e, "signing");
	if (!timestamp_only)
		add_file(f, "snapshot", snapshot_v, f->answer.snapshot_expires_s,
			 f->answer.snapshot, f->answer.snapshot_n);
	add_file(f, "timestamp", timestamp_v, f->answer.timestamp_expires_s,
		 f->answer.timestamp, f->answer.timestamp_n);
	return true;
}

static bool put_fresh(struct web *w, bool timestamp_only, struct err *e)
{
	CLEANUP(fresh_done) struct fresh f = { .n = 0 };
	const struct next none = { NULL, 0 };

	if (!make_fresh(&f, w, &none, timestamp_only, e) ||
	    !tuf_put(w->store, f.files, f.n, "server", e))
		return false;
	log_info("repo.signed", "version=%" PRIu64 " snapshot=%s", f.answer.version,
		 timestamp_only ? "kept" : "new");
	return true;
}

/* Whether what is stored was signed by the keys that the root names now. */
static bool still_trusted(struct web *w, const struct tuf_meta *root, const char *role,
			  enum tuf_type type)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct err e;

	return newest(&m, w, TUF_IMAGE, role, type, &e) && verified_by(m, root, role, &e);
}

static bool half_over(const struct tuf_roles *have, const char *role, uint64_t life_s,
		      int64_t now_s)
{
	for (size_t i = 0; i < have->n; i++) {
		if (strcmp(have->items[i].role, role) == 0)
			return have->items[i].expires_at - now_s < (int64_t)life_s / 2;
	}
	return true;
}

bool repo_refresh(struct web *w, struct err *e)
{
	CLEANUP(tuf_roles_done) struct tuf_roles have = { 0 };
	CLEANUP(tuf_freep) struct tuf_meta *root = NULL;
	int64_t now_s = clock_wall_s(w->clock);

	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	if (!tuf_newest(w->store, TUF_IMAGE, &have, e))
		return false;
	if (version_of(&have, "root") == 0 || version_of(&have, "targets") == 0)
		return true; /* not set up yet */
	if (!root_of(&root, w, TUF_IMAGE, e))
		return false;
	if (half_over(&have, "snapshot", w->settings->image_snapshot_s, now_s) ||
	    !still_trusted(w, root, "snapshot", TUF_SNAPSHOT))
		return put_fresh(w, false, e);
	if (half_over(&have, "timestamp", w->settings->image_timestamp_s, now_s) ||
	    !still_trusted(w, root, "timestamp", TUF_TIMESTAMP))
		return put_fresh(w, true, e);
	return true;
}

/* ---- offline metadata ------------------------------------------------------------------------ */

/* Whether these very bytes are stored as that version. */
static bool is_stored(struct web *w, enum tuf_repo repo, const char *role, uint64_t version,
		      const void *p, size_t n)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };
	struct err e;

	return tuf_get(w->store, repo, role, version, &t, &e) && t.n == n &&
	       memcmp(t.text, p, n) == 0;
}

static bool names_online_keys(struct web *w, enum tuf_repo repo, const struct tuf_meta *root,
			      struct err *e)
{
	const struct online_public *keys = signer_keys(w->signer);
	const char *name = repo == TUF_IMAGE ? "image" : "director";

	for (int i = 0; i < ONLINE_N; i++) {
		const struct tuf_role *role;
		bool now, next = false;

		if (strcmp(online_roles[i].repo, name) != 0)
			continue;
		role = tuf_role_get(root, online_roles[i].role);
		if (!role_has(role, keys->key[i], &now, e) ||
		    (keys->has_next[i] && !role_has(role, keys->next[i], &next, e)))
			return false;
		if ((!now && !next) || role->threshold != 1) {
			err_set(e, E_UNTRUSTED,
				"role %s: this server's key is not the one that signs it",
				online_roles[i].role);
			return err_hint(e,
					"take the keys from: GET /v1/keys/online; threshold 1");
		}
	}
	return true;
}

static bool check_root(struct web *w, enum tuf_repo repo, const struct tuf_meta *m,
		       struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;

	if (!verified_by(m, m, "root", e) || !names_online_keys(w, repo, m, e) ||
	    !tuf_check_expiry(m, "root", clock_wall_s(w->clock), e))
		return false;
	if (newest(&before, w, repo, "root", TUF_ROOT, e)) {
		if (m->version != before->version + 1)
			return err_set(e,
				       m->version <= before->version ? E_ROLLBACK : E_CONFLICT,
				       "version %" PRIu64 ": the newest is %" PRIu64,
				       m->version, before->version);
		return verified_by(m, before, "root", e) || err_wrap(e, "by the previous root");
	}
	if (e->code != E_NOT_FOUND)
		return false;
	return m->version == 1 ? true : err_set(e, E_CONFLICT, "the first root has version 1");
}

bool repo_put_root(struct web *w, enum tuf_repo repo, const void *p, size_t n,
		   const char *actor, uint64_t *ret_version, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct err ignored;

	if (!tuf_parse(&m, TUF_ROOT, p, n, e))
		return err_wrap(e, "root");
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	*ret_version = m->version;
	if (is_stored(w, repo, "root", m->version, p, n))
		return true;
	if (!check_root(w, repo, m, e))
		return err_wrap(e, "root");

	struct tuf_file file = { .repo = repo,
				 .role = "root",
				 .version = m->version,
				 .expires_at = m->expires_s,
				 .text = p,
				 .n = n };
	if (!tuf_put(w->store, &file, 1, actor, e))
		return false;
	log_info("repo.root", "repository=%s version=%" PRIu64 " actor=%s",
		 repo == TUF_IMAGE ? "image" : "director", m->version, actor);
	/* New keys may want new signatures at once; if that fails the timer tries again. */
	if (repo == TUF_IMAGE && m->version > 1 && !put_fresh(w, false, &ignored))
		log_warn("repo.sign", "%s next=\"the timer tries again\"", log_err(&ignored).s);
	/* Handsets that hold metadata of the old online keys get new ones at their next poll. */
	if (repo == TUF_DIRECTOR && m->version > 1 && !tuf_director_stale(w->store, &ignored))
		log_warn("repo.director",
			 "%s next=\"handsets follow when theirs is half over\"",
			 log_err(&ignored).s);
	return true;
}

/* docs/FORMATS.md section 3: who may be given what. */
static bool delegation_ok(const struct tuf_role *role, struct err *e)
{
	char want[LIMIT_NAME + 32];
	const char *product, *path;

	if (strcmp(role->name, "policies") == 0) {
		snprintf(want, sizeof(want), "policies/*/*");
	} else if (strncmp(role->name, "releases.", 9) == 0 &&
		   name_is_valid(role->name + 9, LIMIT_NAME)) {
		product = role->name + 9;
		snprintf(want, sizeof(want), "releases/%s/*/*", product);
	} else {
		return err_set(e, E_FORMAT, "role %s: neither releases.<product> nor policies",
			       role->name);
	}
	if (!role->terminating || !role->paths || jarr_n(role->paths) != 1)
		return err_set(e, E_FORMAT,
			       "role %s: must be terminating and have one path, %s", role->name,
			       want);
	path = jval_str(jarr_at(role->paths, 0), NULL);
	if (strcmp(path, want) != 0)
		return err_set(e, E_FORMAT, "role %s: its path must be %s", role->name, want);
	return true;
}

static bool check_targets(struct web *w, const struct tuf_meta *m, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *root = NULL;

	if (!root_of(&root, w, TUF_IMAGE, e) || !verified_by(m, root, "targets", e) ||
	    !tuf_check_expiry(m, "targets", clock_wall_s(w->clock), e))
		return false;
	if (jobj_n(m->targets) != 0)
		return err_set(e, E_FORMAT, "targets: this role delegates only");
	if (m->succinct_bits)
		return err_set(e, E_UNSUPPORTED, "targets: succinct delegations");
	for (size_t i = 0; i < m->n_roles; i++) {
		if (!delegation_ok(&m->roles[i], e))
			return false;
	}
	return true;
}

bool repo_put_targets(struct web *w, const void *p, size_t n, const char *actor,
		      uint64_t *ret_version, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(fresh_done) struct fresh f = { .n = 0 };

	if (!tuf_parse(&m, TUF_TARGETS, p, n, e))
		return err_wrap(e, "targets");
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	*ret_version = m->version;
	if (is_stored(w, TUF_IMAGE, "targets", m->version, p, n))
		return true;
	const struct next next = { "targets", m->version };
	if (!check_targets(w, m, e) || !make_fresh(&f, w, &next, false, e))
		return err_wrap(e, "targets");
	struct tuf_file files[3] = {
		{ .repo = TUF_IMAGE,
		  .role = "targets",
		  .version = m->version,
		  .expires_at = m->expires_s,
		  .text = p,
		  .n = n },
		f.files[0],
		f.files[1],
	};
	if (!tuf_put(w->store, files, 3, actor, e))
		return false;
	log_info("repo.targets", "version=%" PRIu64 " actor=%s", m->version, actor);
	return true;
}

/* ---- roles of publishers ---------------------------------------------------------------------- */

static bool newest_targets(struct tuf_meta **ret, struct web *w, const char *role,
			   struct err *e)
{
	if (newest(ret, w, TUF_IMAGE, "targets", TUF_TARGETS, e))
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
	return verified_by(m, targets, role, e) ||
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
 * gone, and what is new lies below `prefix` (this release or bundle). */
static bool only_adds(struct web *w, const char *role, const struct tuf_meta *m,
		      const char *prefix, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	struct tuf_target a, b;

	if (!newest(&before, w, TUF_IMAGE, role, TUF_TARGETS, e) && e->code != E_NOT_FOUND)
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
		if (strncmp(it.key, prefix, strlen(prefix)) == 0)
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

bool repo_check_release(struct web *w, const struct release *r, const void *manifest,
			size_t manifest_n, const void *role, size_t role_n,
			uint64_t *ret_missing, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	char name[TUF_ROLE_MAX + 1], prefix[RELEASE_PATH_SIZE];

	snprintf(name, sizeof(name), "releases.%s", r->product);
	release_path(prefix, r->product, r->version, "");
	return check_role(&m, w, name, role, role_n, ret_missing, e) &&
	       release_listed(m, r, manifest, manifest_n, e) &&
	       only_adds(w, name, m, prefix, e);
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

/* A release as the store takes it. */
struct stored_release {
	struct release_component components[LIMIT_COMPONENTS];
	const char *models[LIMIT_MODELS];
	struct release_new put;
};

static void fill_release(struct stored_release *s, const struct release *r,
			 const void *manifest, size_t manifest_n, const struct tuf_file *files,
			 size_t n)
{
	*s = (struct stored_release){ .put = {
					      .product = r->product,
					      .version = r->version,
					      .security_version = r->security_version,
					      .data_schema = r->data_schema,
					      .manifest = manifest,
					      .manifest_n = manifest_n,
					      .components = s->components,
					      .components_n = r->n_components,
					      .models = s->models,
					      .models_n = r->n_models,
					      .tuf = files,
					      .tuf_n = n,
				      } };
	fill_components(s->components, r);
	for (size_t i = 0; i < r->n_models; i++)
		s->models[i] = r->models[i].name;
}

/* Whether the role that comes is the one after what is stored, or what is stored.  After a publish
 * whose answer was lost it is the latter, and the store says SAME. */
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

bool repo_publish_release(struct web *w, const struct release *r, const void *manifest,
			  size_t manifest_n, const void *role, size_t role_n, const char *actor,
			  enum release_put *ret, struct err *e)
{
	char name[TUF_ROLE_MAX + 1], prefix[RELEASE_PATH_SIZE];

	snprintf(name, sizeof(name), "releases.%s", r->product);
	release_path(prefix, r->product, r->version, "");
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	for (int i = 0; i < TRIES; i++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		CLEANUP(fresh_done) struct fresh f = { .n = 0 };

		/* Again under the lock: what was checked may have been overtaken. */
		if (!check_role(&m, w, name, role, role_n, NULL, e) ||
		    !only_adds(w, name, m, prefix, e))
			return false;
		const struct next next = { name, m->version };
		if (!make_fresh(&f, w, &next, false, e))
			return false;
		struct tuf_file files[3] = { role_file(name, m, role, role_n), f.files[0],
					     f.files[1] };
		struct stored_release s;
		fill_release(&s, r, manifest, manifest_n, files, 3);
		if (releases_publish(w->store, &s.put, actor, ret, e))
			return true;
		if (e->code != E_CONFLICT)
			return false;
	}
	return false;
}

static bool is_publishers(const char *role, struct err *e)
{
	if (strcmp(role, "policies") == 0 ||
	    (strncmp(role, "releases.", 9) == 0 && name_is_valid(role + 9, LIMIT_NAME)))
		return true;
	return err_set(e, E_NOT_FOUND, "%s is no role of a publisher", role);
}

bool repo_put_role(struct web *w, const char *role, const void *p, size_t n, const char *actor,
		   uint64_t *ret_version, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(fresh_done) struct fresh f = { .n = 0 };

	if (!is_publishers(role, e))
		return false;
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	if (!newest(&before, w, TUF_IMAGE, role, TUF_TARGETS, e) ||
	    !check_role(&m, w, role, p, n, NULL, e))
		return false;
	*ret_version = m->version;
	if (is_stored(w, TUF_IMAGE, role, m->version, p, n))
		return true;
	const struct next next = { role, m->version };
	/* No target begins with this: whatever is new is refused. */
	if (!only_adds(w, role, m, "/", e) || !make_fresh(&f, w, &next, false, e))
		return false;
	struct tuf_file files[3] = { role_file(role, m, p, n), f.files[0], f.files[1] };
	if (!tuf_put(w->store, files, 3, actor, e))
		return false;
	log_info("repo.role", "role=%s version=%" PRIu64 " actor=%s", role, m->version, actor);
	return true;
}

/* ---- releases that wait ------------------------------------------------------------------------- */

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

static bool is_pending(const struct tuf_role *role, uint64_t missing, struct err *e)
{
	err_set(e, E_PENDING,
		"signed by %" PRIu64 " of the %" PRIu64 " keys that are needed; it waits",
		role->threshold - missing, role->threshold);
	return err_hint(
		e, "the holder of another key runs: valise release approve PRODUCT/VERSION");
}

/* What a release that is proposed meets here: nothing that counts, the same metadata, whose signatures are
 * put together with these, or other metadata for the same release, which stays (`out` is left empty).
 * *ret_other: signatures that are missing to what waits; 0 when nothing that counts does. */
static bool meet_proposal(struct web *w, const struct release *r, const void *manifest,
			  size_t manifest_n, const struct tuf_meta *m, const void *role,
			  size_t role_n, const struct tuf_role *by, struct buf *out,
			  uint64_t *ret_other, struct err *e)
{
	CLEANUP(proposal_done) struct proposal old = { .number = 0 };
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	char name[TUF_ROLE_MAX + 1], prefix[RELEASE_PATH_SIZE];
	struct err ignored;

	*ret_other = 0;
	snprintf(name, sizeof(name), "releases.%s", r->product);
	release_path(prefix, r->product, r->version, "");
	if (!proposals_get(w->store, r->product, r->version, &old, e))
		return e->code == E_NOT_FOUND && buf_add(out, role, role_n, e);
	/* What waited too long, or was signed by who may not sign any more, is replaced. */
	if (old.manifest_n != manifest_n || memcmp(old.manifest, manifest, manifest_n) != 0 ||
	    !check_role(&before, w, name, old.role, old.role_n, ret_other, &ignored) ||
	    !only_adds(w, name, before, prefix, &ignored)) {
		*ret_other = 0;
		return buf_add(out, role, role_n, e);
	}
	if (before->canon.n != m->canon.n ||
	    memcmp(before->canon.p, m->canon.p, m->canon.n) != 0)
		return true;
	return merge(out, role, role_n, before, by, e);
}

static bool propose(struct web *w, const struct release *r, const void *manifest,
		    size_t manifest_n, const char *role, const struct tuf_meta *m,
		    const struct buf *text, const struct tuf_role *by, const char *actor,
		    struct err *e)
{
	struct tuf_file file = role_file(role, m, text->p, text->n);
	struct stored_release s;
	struct proposal_new p = { .r = &s.put };
	CLEANUP(buf_done) struct buf detail = BUF_INIT(LIMIT_TEXT);
	bool *good = calloc(by->n_keys + 1, sizeof(*good));
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
	p.detail = buf_str(&detail);
	fill_release(&s, r, manifest, manifest_n, &file, 1);
	return proposals_put(w->store, &p, actor, e);
}

bool repo_propose_release(struct web *w, const struct release *r, const void *manifest,
			  size_t manifest_n, const void *role, size_t role_n, const char *actor,
			  struct buf *whole, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *merged = NULL;
	char name[TUF_ROLE_MAX + 1], prefix[RELEASE_PATH_SIZE];
	const struct tuf_role *by;
	uint64_t missing, other;

	snprintf(name, sizeof(name), "releases.%s", r->product);
	release_path(prefix, r->product, r->version, "");
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	/* Again under the lock, as when publishing. */
	if (!newest_targets(&targets, w, name, e) ||
	    !check_role(&m, w, name, role, role_n, &missing, e) ||
	    !only_adds(w, name, m, prefix, e))
		return false;
	by = tuf_role_get(targets, name);
	if (!meet_proposal(w, r, manifest, manifest_n, m, role, role_n, by, whole, &other, e))
		return false;
	if (whole->n == 0)
		return is_pending(by, other, e);
	if (!check_role(&merged, w, name, whole->p, whole->n, &missing, e))
		return false;
	if (missing == 0)
		return true;
	/* Nobody new has signed: it waits as it is, and the log has it already. */
	if (missing == other)
		return is_pending(by, missing, e);
	return propose(w, r, manifest, manifest_n, name, merged, whole, by, actor, e) &&
	       is_pending(by, missing, e);
}

bool repo_signatures(struct jw *jw, struct web *w, const char *product, const void *role,
		     size_t n, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	char name[TUF_ROLE_MAX + 1];
	const struct tuf_role *by;
	uint64_t have;
	bool *good;

	snprintf(name, sizeof(name), "releases.%s", product);
	if (!newest_targets(&targets, w, name, e) ||
	    !(role ? tuf_parse(&m, TUF_TARGETS, role, n, e)
		   : newest(&m, w, TUF_IMAGE, name, TUF_TARGETS, e)))
		return false;
	by = tuf_role_get(targets, name);
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

/* ---- policies ----------------------------------------------------------------------------------- */

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

bool repo_publish_policy(struct web *w, const struct policy *p, const void *bundle,
			 size_t bundle_n, const void *role, size_t role_n, const char *actor,
			 enum policy_put *ret, struct err *e)
{
	char path[POLICY_PATH_SIZE];

	policy_path(path, p->name, p->version);
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	for (int i = 0; i < TRIES; i++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
		CLEANUP(fresh_done) struct fresh f = { .n = 0 };

		if (!check_role(&m, w, "policies", role, role_n, NULL, e) ||
		    !policy_listed(m, p, bundle, bundle_n, e) ||
		    !only_adds(w, "policies", m, path, e))
			return false;
		const struct next next = { "policies", m->version };
		if (!make_fresh(&f, w, &next, false, e))
			return false;
		struct tuf_file files[3] = { role_file("policies", m, role, role_n), f.files[0],
					     f.files[1] };
		struct policy_new put = { .name = p->name,
					  .version = p->version,
					  .text = bundle,
					  .n = bundle_n,
					  .tuf = files,
					  .tuf_n = 3 };
		if (policies_publish(w->store, &put, actor, ret, e))
			return true;
		if (e->code != E_CONFLICT)
			return false;
	}
	return false;
}

bool repo_release_trusted(struct web *w, const char *product, const char *version,
			  struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *targets = NULL;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	char role[TUF_ROLE_MAX + 1], path[RELEASE_PATH_SIZE];
	struct tuf_target t;

	snprintf(role, sizeof(role), "releases.%s", product);
	release_path(path, product, version, "release.json");
	if (!newest(&targets, w, TUF_IMAGE, "targets", TUF_TARGETS, e) ||
	    !newest(&m, w, TUF_IMAGE, role, TUF_TARGETS, e))
		return false;
	if (!verified_by(m, targets, role, e)) {
		err_wrap(e, "release %s/%s", product, version);
		return err_hint(
			e, "its publisher was removed or has other keys now; publish again");
	}
	return tuf_target_get(&t, m, path, e) || err_wrap(e, "%s", role);
}

/* ---- ready --------------------------------------------------------------------------------------- */

static bool is_fresh(struct web *w, enum tuf_repo repo, const char *role, struct err *e)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };

	if (!tuf_get(w->store, repo, role, 0, &t, e))
		return e->code == E_NOT_FOUND;
	if (t.expires_at <= clock_wall_s(w->clock))
		return err_set(e, E_UNAVAILABLE, "%s: expired", role);
	return true;
}

bool repo_ready(struct web *w, struct err *e)
{
	return (is_fresh(w, TUF_IMAGE, "root", e) && is_fresh(w, TUF_IMAGE, "targets", e) &&
		is_fresh(w, TUF_IMAGE, "timestamp", e))
		       ? is_fresh(w, TUF_DIRECTOR, "root", e) || err_wrap(e, "director")
		       : err_wrap(e, "image repository");
}
