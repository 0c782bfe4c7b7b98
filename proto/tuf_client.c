#include "proto/tuf_client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A targets role that was loaded, delegated or not. */
struct loaded {
	struct loaded *next;
	char name[LIMIT_TUF_ROLE_NAME + 1];
	struct tuf_meta *m;
};

struct tuf_client {
	const struct tuf_client_io *io;
	int64_t now_s;
	bool stored_only; /* no fetches, no expiry */
	bool at_newest_root;
	struct tuf_meta *root, *timestamp, *snapshot;
	struct loaded *roles;
};

void tuf_client_free(struct tuf_client *c)
{
	if (!c)
		return;
	tuf_free(c->root);
	tuf_free(c->timestamp);
	tuf_free(c->snapshot);
	while (c->roles) {
		struct loaded *l = c->roles;

		c->roles = l->next;
		tuf_free(l->m);
		free(l);
	}
	free(c);
}

static const struct loaded *find_loaded(const struct tuf_client *c, const char *name)
{
	const struct loaded *l = c->roles;

	while (l && strcmp(l->name, name) != 0)
		l = l->next;
	return l;
}

const struct tuf_meta *tuf_client_meta(const struct tuf_client *c, enum tuf_type type)
{
	const struct loaded *targets = find_loaded(c, "targets");

	switch (type) {
	case TUF_ROOT:
		return c->root;
	case TUF_TIMESTAMP:
		return c->timestamp;
	case TUF_SNAPSHOT:
		return c->snapshot;
	default:
		return targets ? targets->m : NULL;
	}
}

/* ---- one file ----------------------------------------------------------------------------- */

/* Bytes of a file and what they mean. */
struct file {
	struct buf raw;
	struct tuf_meta *m;
};

static void file_done(struct file *f)
{
	buf_done(&f->raw);
	tuf_free(f->m);
	f->m = NULL;
}

/* Whether a stored file is there at all.  Trouble with the disk is not the same as no file: going on
 * without it would be going on without the protection that it gives. */
static bool load_raw(const struct tuf_client *c, struct file *f, bool *ret_there,
		     enum tuf_type type, const char *role, struct err *e)
{
	char name[TUF_FILE_NAME_SIZE];

	*ret_there = false;
	if (!tuf_file_name(name, role, 0, e))
		return false;
	buf_init(&f->raw, tuf_max_bytes(type));
	if (c->io->load(c->io->ctx, &f->raw, name, f->raw.max, e)) {
		*ret_there = true;
		return true;
	}
	if (e->code != E_NOT_FOUND && e->code != E_TOO_BIG)
		return err_wrap(e, "stored %s", name);
	return true;
}

/* What the snapshot or timestamp says of a file (h, may be NULL) is checked before it is parsed. */
static bool fetch(const struct tuf_client *c, struct file *f, enum tuf_type type,
		  const char *role, uint64_t version, const struct tuf_hashes *h, struct err *e)
{
	char name[TUF_FILE_NAME_SIZE];

	if (!tuf_file_name(name, role, version, e))
		return false;
	buf_init(&f->raw, tuf_max_bytes(type));
	if (h && h->has_length && h->length < f->raw.max)
		f->raw.max = (size_t)h->length;
	if (!c->io->fetch(c->io->ctx, &f->raw, name, f->raw.max, e)) {
		if (e->code == E_NOT_FOUND) /* of the next root nobody reads it */
			err_hint(e, "the repository is not whole: look at the server, and at "
				    "what is between");
		return false;
	}
	return (!h || tuf_hashes_check(h, f->raw.p, f->raw.n, e)) &&
	       tuf_parse(&f->m, type, f->raw.p, f->raw.n, e);
}

static bool store(const struct tuf_client *c, const struct file *f, const char *role,
		  struct err *e)
{
	char name[TUF_FILE_NAME_SIZE];

	return tuf_file_name(name, role, 0, e) &&
	       c->io->store(c->io->ctx, name, f->raw.p, f->raw.n, e);
}

static bool check_expiry(const struct tuf_client *c, const struct tuf_meta *m, const char *role,
			 struct err *e)
{
	return c->stored_only || tuf_check_expiry(m, role, c->now_s, e);
}

static const struct tuf_role *role_of(const struct tuf_client *c, enum tuf_type type)
{
	return &c->root->roles[type];
}

/* What is announced of a file is announced in full: version, length, hashes. */
static bool check_announced(const struct file *f, uint64_t version, const struct tuf_hashes *h,
			    struct err *e)
{
	if (f->m->version != version)
		return err_set(e, E_CORRUPT, "version %" PRIu64 ", announced was %" PRIu64,
			       f->m->version, version);
	return tuf_hashes_check(h, f->raw.p, f->raw.n, e);
}

/* ---- root (section 5.3) ------------------------------------------------------------------- */

static bool parse_first_root(struct tuf_meta **ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

	if (!tuf_parse(&m, TUF_ROOT, p, n, e) || !tuf_verify(m, &m->roles[TUF_ROOT], e))
		return err_wrap(e, "trusted root");
	*ret = TAKE(m);
	return true;
}

bool tuf_client_init(const struct tuf_client_io *io, const void *root, size_t n,
		     const uint8_t *want_sha256, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	uint8_t sum[SHA256_SIZE];

	sha256(sum, root, n);
	if (want_sha256 && memcmp(sum, want_sha256, sizeof(sum)) != 0)
		return err_set(e, E_UNTRUSTED, "root: not the one that was announced");
	return parse_first_root(&m, root, n, e) && io->store(io->ctx, "root.json", root, n, e);
}

bool tuf_client_new(struct tuf_client **ret, const struct tuf_client_io *io, int64_t now_s,
		    struct err *e)
{
	CLEANUP(tuf_client_freep) struct tuf_client *c = calloc(1, sizeof(*c));
	CLEANUP(file_done) struct file f = { 0 };
	bool there;

	if (!c)
		return err_nomem(e);
	c->io = io;
	c->now_s = now_s;
	if (!load_raw(c, &f, &there, TUF_ROOT, "root", e))
		return false;
	if (!there)
		return err_set(e, E_NOT_FOUND, "no trusted root is stored");
	if (!parse_first_root(&c->root, f.raw.p, f.raw.n, e))
		return false;
	*ret = TAKE(c);
	return true;
}

/* Whether a key of the role was taken away. */
static bool is_rotated(const struct tuf_meta *old, const struct tuf_meta *new,
		       enum tuf_type type)
{
	const struct tuf_role *was = &old->roles[type], *is = &new->roles[type];

	for (size_t i = 0; i < was->n_keys; i++) {
		bool kept = false;

		for (size_t j = 0; j < is->n_keys && !kept; j++)
			kept = strcmp(was->keys[i]->id, is->keys[j]->id) == 0;
		if (!kept)
			return true;
	}
	return false;
}

/* Section 5.3.11, recovery from fast-forward attacks.  The new root is stored before: after a power
 * cut in between, files that only revoked keys signed still do not count (load_trusted). */
static bool forget_if_rotated(const struct tuf_client *c, const struct tuf_meta *new,
			      struct err *e)
{
	if (!is_rotated(c->root, new, TUF_TIMESTAMP) && !is_rotated(c->root, new, TUF_SNAPSHOT))
		return true;
	return c->io->remove(c->io->ctx, "snapshot.json", e) &&
	       c->io->remove(c->io->ctx, "timestamp.json", e);
}

static bool check_next_root(const struct tuf_client *c, const struct tuf_meta *new,
			    struct err *e)
{
	if (!tuf_verify(new, role_of(c, TUF_ROOT), e))
		return err_wrap(e, "by the keys of version %" PRIu64, c->root->version);
	if (!tuf_verify(new, &new->roles[TUF_ROOT], e))
		return err_wrap(e, "by its own keys");
	if (new->version != c->root->version + 1)
		return err_set(e, E_ROLLBACK, "version %" PRIu64 ", expected was %" PRIu64,
			       new->version, c->root->version + 1);
	return true;
}

/* *ret_last: there is no newer one. */
static bool next_root(struct tuf_client *c, bool *ret_last, struct err *e)
{
	CLEANUP(file_done) struct file f = { 0 };

	*ret_last = false;
	if (!fetch(c, &f, TUF_ROOT, "root", c->root->version + 1, NULL, e)) {
		*ret_last = e->code == E_NOT_FOUND;
		return *ret_last;
	}
	if (!check_next_root(c, f.m, e) || !store(c, &f, "root", e) ||
	    !forget_if_rotated(c, f.m, e))
		return false;
	tuf_free(c->root);
	c->root = TAKE(f.m);
	return true;
}

bool tuf_client_follow_roots(struct tuf_client *c, struct err *e)
{
	bool last = c->at_newest_root;

	for (int i = 0; i < LIMIT_TUF_ROTATIONS && !last; i++)
		if (!next_root(c, &last, e))
			return err_wrap(e, "root");
	c->at_newest_root = true;
	return true;
}

void tuf_client_set_time(struct tuf_client *c, int64_t now_s)
{
	c->now_s = now_s;
}

static bool refresh_root(struct tuf_client *c, struct err *e)
{
	if (!tuf_client_follow_roots(c, e))
		return false;
	if (!check_expiry(c, c->root, "root", e))
		return err_wrap(e, "root");
	return true;
}

/* ---- timestamp (section 5.4) -------------------------------------------------------------- */

/* The stored file, if the current root's keys signed it; else f->m stays NULL.  Want of memory must
 * not look like a file that does not count: it is what protects from rollback. */
static bool load_trusted(const struct tuf_client *c, struct file *f, enum tuf_type type,
			 struct err *e)
{
	bool there;

	if (!load_raw(c, f, &there, type, tuf_type_name(type), e))
		return false;
	if (!there || (tuf_parse(&f->m, type, f->raw.p, f->raw.n, e) &&
		       tuf_verify(f->m, role_of(c, type), e)))
		return true;
	tuf_free(f->m);
	f->m = NULL;
	if (e->code == E_NOMEM)
		return err_wrap(e, "stored %s", tuf_type_name(type));
	return true;
}

/* Section 5.4.3. */
static bool check_timestamp_rollback(const struct tuf_meta *old, const struct tuf_meta *new,
				     struct err *e)
{
	if (new->version < old->version)
		return err_set(e, E_ROLLBACK,
			       "version %" PRIu64 " after version %" PRIu64 " was accepted",
			       new->version, old->version);
	if (new->snapshot_version < old->snapshot_version)
		return err_set(e, E_ROLLBACK,
			       "names snapshot version %" PRIu64 " after version %" PRIu64
			       " was accepted",
			       new->snapshot_version, old->snapshot_version);
	return true;
}

static bool accept_timestamp(struct tuf_client *c, struct file *old, struct file *new,
			     struct err *e)
{
	if (!tuf_verify(new->m, role_of(c, TUF_TIMESTAMP), e))
		return false;
	/* An equal version is the normal case of nothing new: the stored one goes on counting,
	 * whatever the other one says. */
	if (old->m && new->m->version == old->m->version) {
		c->timestamp = TAKE(old->m);
		return check_expiry(c, c->timestamp, "timestamp", e);
	}
	if ((old->m && !check_timestamp_rollback(old->m, new->m, e)) ||
	    !check_expiry(c, new->m, "timestamp", e) || !store(c, new, "timestamp", e))
		return false;
	c->timestamp = TAKE(new->m);
	return true;
}

static bool refresh_timestamp(struct tuf_client *c, struct err *e)
{
	CLEANUP(file_done) struct file old = { 0 };
	CLEANUP(file_done) struct file new = { 0 };

	if (!load_trusted(c, &old, TUF_TIMESTAMP, e))
		return false;
	if (!fetch(c, &new, TUF_TIMESTAMP, "timestamp", 0, NULL, e) ||
	    !accept_timestamp(c, &old, &new, e))
		return err_wrap(e, "timestamp");
	return true;
}

/* ---- snapshot (section 5.5) --------------------------------------------------------------- */

/* Of an entry that tuf_parse has seen. */
static uint64_t version_of(const struct jval *file)
{
	return (uint64_t)jval_int(jobj_opt(file, "version"));
}

/* Section 5.5.5: what the old one listed is still listed, with a version that is not lower. */
static bool check_snapshot_rollback(const struct tuf_meta *old, const struct tuf_meta *new,
				    struct err *e)
{
	for (struct jiter it = jobj_first(old->meta); it.val; it = jobj_next(old->meta, it)) {
		const struct jval *now = jobj_opt(new->meta, it.key);

		if (!now)
			return err_set(e, E_ROLLBACK, "%.100s is not listed any more", it.key);
		if (version_of(now) < version_of(it.val))
			return err_set(e, E_ROLLBACK,
				       "%.100s: version %" PRIu64 " after version %" PRIu64
				       " was accepted",
				       it.key, version_of(now), version_of(it.val));
	}
	return true;
}

static uint64_t versioned(const struct tuf_client *c, uint64_t version)
{
	return c->root->consistent_snapshot ? version : 0;
}

static bool fetch_snapshot(struct tuf_client *c, const struct file *old, uint64_t version,
			   const struct tuf_hashes *h, struct err *e)
{
	CLEANUP(file_done) struct file new = { 0 };

	if (!fetch(c, &new, TUF_SNAPSHOT, "snapshot", versioned(c, version), h, e) ||
	    !tuf_verify(new.m, role_of(c, TUF_SNAPSHOT), e) ||
	    !check_announced(&new, version, h, e) ||
	    (old->m && !check_snapshot_rollback(old->m, new.m, e)) ||
	    !check_expiry(c, new.m, "snapshot", e) || !store(c, &new, "snapshot", e))
		return err_wrap(e, "snapshot");
	c->snapshot = TAKE(new.m);
	return true;
}

static bool refresh_snapshot(struct tuf_client *c, struct err *e)
{
	CLEANUP(file_done) struct file old = { 0 };
	const struct tuf_hashes *h = &c->timestamp->snapshot_hashes;
	uint64_t version = c->timestamp->snapshot_version;
	struct err why;

	if (!load_trusted(c, &old, TUF_SNAPSHOT, e))
		return false;
	if (old.m && check_announced(&old, version, h, &why) &&
	    check_expiry(c, old.m, "snapshot", &why)) {
		c->snapshot = TAKE(old.m);
		return true;
	}
	if (c->stored_only)
		return err_set(e, E_CORRUPT, "stored snapshot: not the one that is announced");
	return fetch_snapshot(c, &old, version, h, e);
}

/* ---- targets and delegated roles (section 5.6) -------------------------------------------- */

/* The checks of one targets role, from wherever it came. */
static bool check_targets(const struct tuf_client *c, const struct file *f, const char *name,
			  const struct tuf_role *role, uint64_t version,
			  const struct tuf_hashes *h, struct err *e)
{
	return tuf_verify(f->m, role, e) && check_announced(f, version, h, e) &&
	       check_expiry(c, f->m, name, e);
}

static bool keep_loaded(struct tuf_client *c, const char *name, struct tuf_meta **m,
			struct err *e)
{
	struct loaded *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem(e);
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->m = TAKE(*m);
	l->next = c->roles;
	c->roles = l;
	return true;
}

static bool load_targets(struct tuf_client *c, struct file *f, const char *name,
			 const struct tuf_role *role, struct err *e)
{
	struct tuf_hashes h;
	uint64_t version;
	bool there;

	/* A target that is not found is E_NOT_FOUND; this is a repository that is not whole. */
	if (!tuf_meta_get(&version, &h, c->snapshot, name, e))
		return err_set(e, E_CORRUPT, "delegated to, but not listed in the snapshot");
	if (!load_raw(c, f, &there, TUF_TARGETS, name, e))
		return false;
	if (there && tuf_parse(&f->m, TUF_TARGETS, f->raw.p, f->raw.n, e) &&
	    check_targets(c, f, name, role, version, &h, e))
		return true;
	if (there && e->code == E_NOMEM)
		return false;
	if (c->stored_only)
		return err_set(e, E_CORRUPT, "not stored, or not the one that is announced");
	file_done(f);
	return fetch(c, f, TUF_TARGETS, name, versioned(c, version), &h, e) &&
	       check_targets(c, f, name, role, version, &h, e) && store(c, f, name, e);
}

/* One file serves every delegator that names it, but each has to trust it by its own keys. */
static bool get_targets(struct tuf_client *c, const struct loaded **ret, const char *name,
			const struct tuf_role *role, struct err *e)
{
	CLEANUP(file_done) struct file f = { 0 };

	*ret = find_loaded(c, name);
	if (*ret ? !tuf_verify((*ret)->m, role, e)
		 : !load_targets(c, &f, name, role, e) || !keep_loaded(c, name, &f.m, e))
		return err_wrap(e, "%s", name);
	*ret = find_loaded(c, name);
	return true;
}

bool tuf_client_refresh(struct tuf_client *c, struct err *e)
{
	const struct loaded *targets;

	return refresh_root(c, e) && refresh_timestamp(c, e) && refresh_snapshot(c, e) &&
	       get_targets(c, &targets, "targets", role_of(c, TUF_TARGETS), e);
}

bool tuf_client_open_stored(struct tuf_client *c, struct err *e)
{
	CLEANUP(file_done) struct file f = { 0 };
	const struct loaded *targets;

	c->stored_only = true;
	if (!load_trusted(c, &f, TUF_TIMESTAMP, e))
		return false;
	if (!f.m)
		return err_set(e, E_NOT_FOUND, "no trusted timestamp is stored");
	c->timestamp = TAKE(f.m);
	return refresh_snapshot(c, e) &&
	       get_targets(c, &targets, "targets", role_of(c, TUF_TARGETS), e);
}

/* ---- searching (section 5.6.7) ------------------------------------------------------------ */

enum outcome { ELSEWHERE, FOUND, NOWHERE, FAILED };

struct search {
	struct tuf_client *c;
	const char *path;
	struct tuf_found found;
	char visited[LIMIT_TUF_DELEGATIONS][LIMIT_TUF_ROLE_NAME + 1];
	size_t n_visited;
	struct err *e;
};

static enum outcome visit(struct search *s, const char *name, const struct tuf_role *role);

static bool is_visited(const struct search *s, const char *name)
{
	for (size_t i = 0; i < s->n_visited; i++)
		if (strcmp(s->visited[i], name) == 0)
			return true;
	return false;
}

/* A terminating delegation ends the whole search when nothing is found below it. */
static enum outcome follow(struct search *s, const char *name, const struct tuf_role *role)
{
	enum outcome o = is_visited(s, name) ? ELSEWHERE : visit(s, name, role);

	return o == ELSEWHERE && role->terminating ? NOWHERE : o;
}

static enum outcome visit_children(struct search *s, const struct tuf_meta *m)
{
	char name[LIMIT_TUF_ROLE_NAME + 1];

	if (m->succinct_bits > 0) {
		tuf_succinct_name(name, sizeof(name), m, s->path);
		return follow(s, name, &m->roles[0]);
	}
	for (size_t i = 0; i < m->n_roles; i++) {
		if (!tuf_role_covers(&m->roles[i], s->path))
			continue;
		enum outcome o = follow(s, m->roles[i].name, &m->roles[i]);
		if (o != ELSEWHERE)
			return o;
	}
	return ELSEWHERE;
}

static enum outcome visit(struct search *s, const char *name, const struct tuf_role *role)
{
	const struct loaded *l;

	if (s->n_visited == LIMIT_TUF_DELEGATIONS) {
		err_set(s->e, E_TOO_BIG, "%s: more than %d roles may name it", s->path,
			LIMIT_TUF_DELEGATIONS);
		return FAILED;
	}
	snprintf(s->visited[s->n_visited++], sizeof(s->visited[0]), "%s", name);
	if (!get_targets(s->c, &l, name, role, s->e)) {
		/* A file that is missing is no target that nobody has. */
		if (s->e->code == E_NOT_FOUND)
			s->e->code = E_CORRUPT;
		return FAILED;
	}
	if (tuf_target_get(&s->found.target, l->m, s->path, s->e)) {
		s->found.role = l->name;
		return FOUND;
	}
	return visit_children(s, l->m);
}

bool tuf_client_find(struct tuf_found *ret, struct tuf_client *c, const char *path,
		     struct err *e)
{
	struct search s = { .c = c, .path = path, .e = e };

	if (!tuf_path_is_valid(path))
		return err_set(e, E_FORMAT, "not a target path: %.200s", path);
	switch (visit(&s, "targets", role_of(c, TUF_TARGETS))) {
	case FOUND:
		*ret = s.found;
		return true;
	case FAILED:
		return false;
	default:
		return err_set(e, E_NOT_FOUND, "no target %.200s", path);
	}
}

bool tuf_client_target_path(struct buf *out, const struct tuf_client *c,
			    const struct tuf_target *t, struct err *e)
{
	return c->root->consistent_snapshot ? tuf_consistent_path(out, t, e)
					    : buf_add_str(out, t->path, e);
}
