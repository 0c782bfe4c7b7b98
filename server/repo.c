#include "server/repo_priv.h"
#include "server/ipc.h"
#include "base/text.h"
#include "proto/tuf_make.h"

#include <inttypes.h>

void repo_unlock(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

/* ---- what is stored ------------------------------------------------------------------------ */

bool repo_newest(struct tuf_meta **ret, struct web *w, enum tuf_repo repo, const char *role,
		 enum tuf_type type, struct err *e)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };

	return tuf_get(w->store, repo, role, 0, &t, e) && tuf_parse(ret, type, t.text, t.n, e);
}

static bool root_of(struct tuf_meta **ret, struct web *w, enum tuf_repo repo, struct err *e)
{
	if (repo_newest(ret, w, repo, "root", TUF_ROOT, e))
		return true;
	if (e->code == E_NOT_FOUND) {
		err_set(e, E_UNAVAILABLE, "there is no root yet");
		return err_hint(e, "make one and install it with: valise init");
	}
	return false;
}

bool repo_verified_by(const struct tuf_meta *m, const struct tuf_meta *delegator,
		      const char *role, struct err *e)
{
	const struct tuf_role *r = tuf_role_get(delegator, role);

	if (!r)
		return err_set(e, E_UNTRUSTED, "%s: nobody was given this role", role);
	return tuf_verify(m, r, e) || err_wrap(e, "%s", role);
}

/* ---- signing --------------------------------------------------------------------------------- */

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
			  const struct repo_next *next, struct err *e)
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

void repo_fresh_done(struct repo_fresh *f)
{
	buf_done(&f->text);
}

static void add_file(struct repo_fresh *f, const char *role, uint64_t after, int64_t expires_at,
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

bool repo_make_fresh(struct repo_fresh *f, struct web *w, const struct repo_next *next,
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
	CLEANUP(repo_fresh_done) struct repo_fresh f = { .n = 0 };
	const struct repo_next none = { NULL, 0 };

	if (!repo_make_fresh(&f, w, &none, timestamp_only, e) ||
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

	return repo_newest(&m, w, TUF_IMAGE, role, type, &e) &&
	       repo_verified_by(m, root, role, &e);
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
	CLEANUP(repo_unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
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

bool repo_is_stored(struct web *w, enum tuf_repo repo, const char *role, uint64_t version,
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

	if (!repo_verified_by(m, m, "root", e) || !names_online_keys(w, repo, m, e) ||
	    !tuf_check_expiry(m, "root", clock_wall_s(w->clock), e))
		return false;
	if (repo_newest(&before, w, repo, "root", TUF_ROOT, e)) {
		if (m->version != before->version + 1)
			return err_set(e,
				       m->version <= before->version ? E_ROLLBACK : E_CONFLICT,
				       "version %" PRIu64 ": the newest is %" PRIu64,
				       m->version, before->version);
		return repo_verified_by(m, before, "root", e) ||
		       err_wrap(e, "by the previous root");
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
	CLEANUP(repo_unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	*ret_version = m->version;
	if (repo_is_stored(w, repo, "root", m->version, p, n))
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

	if (!root_of(&root, w, TUF_IMAGE, e) || !repo_verified_by(m, root, "targets", e) ||
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
	CLEANUP(repo_fresh_done) struct repo_fresh f = { .n = 0 };

	if (!tuf_parse(&m, TUF_TARGETS, p, n, e))
		return err_wrap(e, "targets");
	pthread_mutex_lock(&w->repo_lock);
	CLEANUP(repo_unlock) pthread_mutex_t *locked UNUSED = &w->repo_lock;
	*ret_version = m->version;
	if (repo_is_stored(w, TUF_IMAGE, "targets", m->version, p, n))
		return true;
	const struct repo_next next = { "targets", m->version };
	if (!check_targets(w, m, e) || !repo_make_fresh(&f, w, &next, false, e))
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
