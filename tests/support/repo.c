#include "tests/support/repo.h"
#include "proto/cjson.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool ok, const struct err *e)
{
	if (ok)
		return;
	fprintf(stderr, "test repository: %s\n", e->text);
	abort();
}

struct repo_file *repo_get(struct repo_dir *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->files[i].name, name) == 0)
			return &d->files[i];
	return NULL;
}

void repo_del(struct repo_dir *d, const char *name)
{
	struct repo_file *f = repo_get(d, name);

	if (!f)
		return;
	free(f->p);
	*f = d->files[--d->n];
}

static bool put(struct repo_dir *d, const char *name, const void *p, size_t n)
{
	struct repo_file *f;
	uint8_t *copy = malloc(n + 1);

	if (!copy || d->n == REPO_FILES) {
		free(copy);
		return false;
	}
	if (n > 0)
		memcpy(copy, p, n);
	repo_del(d, name);
	f = &d->files[d->n++];
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->p = copy;
	f->n = n;
	return true;
}

void repo_put(struct repo_dir *d, const char *name, const void *p, size_t n)
{
	if (!put(d, name, p, n))
		abort();
}

static struct repo_dir *dir_new(void)
{
	struct repo_dir *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	return d;
}

static void dir_free(struct repo_dir *d)
{
	for (size_t i = 0; d && i < d->n; i++)
		free(d->files[i].p);
	free(d);
}

/* ---- what the client calls ---------------------------------------------------------------- */

static bool give(struct repo_dir *d, struct buf *ret, const char *name, size_t max,
		 struct err *e)
{
	const struct repo_file *f = repo_get(d, name);

	if (!f)
		return err_set(e, E_NOT_FOUND, "%s", name);
	if (f->n > max)
		return err_set(e, E_TOO_BIG, "%s", name);
	return buf_add(ret, f->p, f->n, e);
}

static bool fails(const struct repo *r, enum err_code code, const char *name)
{
	return code != E_NONE && (!r->only || strcmp(r->only, name) == 0);
}

static bool io_fetch(void *ctx, struct buf *ret, const char *name, size_t max, struct err *e)
{
	struct repo *r = ctx;
	size_t n = strlen(r->log);

	snprintf(r->log + n, sizeof(r->log) - n, "%s%s", n > 0 ? " " : "", name);
	if (fails(r, r->fetch_fails, name))
		return err_set(e, r->fetch_fails, "%s", name);
	return give(r->served, ret, name, max, e);
}

static bool io_load(void *ctx, struct buf *ret, const char *name, size_t max, struct err *e)
{
	struct repo *r = ctx;

	if (fails(r, r->load_fails, name))
		return err_set(e, r->load_fails, "%s", name);
	return give(r->local, ret, name, max, e);
}

static bool io_store(void *ctx, const char *name, const void *p, size_t n, struct err *e)
{
	struct repo *r = ctx;

	if (fails(r, r->store_fails, name))
		return err_set(e, r->store_fails, "%s", name);
	return put(r->local, name, p, n) || err_nomem(e);
}

static bool io_remove(void *ctx, const char *name, struct err *e)
{
	struct repo *r = ctx;

	if (fails(r, r->remove_fails, name))
		return err_set(e, r->remove_fails, "%s", name);
	repo_del(r->local, name);
	return true;
}

/* ---- making ------------------------------------------------------------------------------- */

struct repo_role *repo_role(struct repo *r, const char *name)
{
	for (size_t i = 0; i < r->n_roles; i++)
		if (strcmp(r->roles[i].name, name) == 0)
			return &r->roles[i];
	fprintf(stderr, "test repository: no role %s\n", name);
	abort();
}

static struct repo_role *add_role(struct repo *r, const char *name, const char *parent,
				  unsigned key)
{
	struct repo_role *role = &r->roles[r->n_roles++];

	if (r->n_roles == REPO_ROLES)
		abort();
	*role = (struct repo_role){
		.name = name,
		.parent = parent,
		.keys = KEY(key),
		.sign = KEY(key),
		.threshold = 1,
		.expires_s = r->now_s + 30 * REPO_DAY,
	};
	return role;
}

struct repo_role *repo_delegate(struct repo *r, const char *parent, const char *name,
				unsigned key, const char *pattern)
{
	struct repo_role *role = add_role(r, name, parent, key);

	role->paths[0] = pattern;
	return role;
}

void repo_target(struct repo *r, const char *role, const char *path, const char *content,
		 const char *custom)
{
	if (r->n_targets == REPO_TARGETS)
		abort();
	r->targets[r->n_targets++] =
		(struct repo_target){ role, path, custom, content, strlen(content) };
}

static size_t keys_of(const struct repo *r, unsigned mask, struct tuf_pubkey *out)
{
	size_t n = 0;

	for (unsigned k = 0; k < REPO_KEYS; k++)
		if (mask & KEY(k))
			out[n++] = r->pubs[k];
	return n;
}

static struct tuf_make_role make_role(const struct repo *r, const struct repo_role *role,
				      struct tuf_pubkey *keys)
{
	struct tuf_make_role m = { .name = role->name,
				   .keys = keys,
				   .n_keys = keys_of(r, role->keys, keys),
				   .threshold = role->threshold,
				   .paths = role->paths,
				   .terminating = role->terminating };

	while (m.n_paths < ARRAY_SIZE(role->paths) && role->paths[m.n_paths])
		m.n_paths++;
	return m;
}

static void make_root(struct repo *r, const struct repo_role *role, struct buf *out)
{
	struct tuf_pubkey keys[TUF_TYPES][REPO_KEYS];
	struct tuf_make_role roles[TUF_TYPES];
	struct err e;

	for (int i = 0; i < TUF_TYPES; i++)
		roles[i] = make_role(r, repo_role(r, tuf_type_name((enum tuf_type)i)), keys[i]);
	must(tuf_make_root(out, role->version, role->expires_s, roles, &e), &e);
}

static const struct repo_file *served_file(struct repo *r, const struct repo_role *role)
{
	char name[TUF_FILE_NAME_SIZE];
	struct err e;

	must(tuf_file_name(name, role->name, role->version, &e), &e);
	return repo_get(r->served, name);
}

static struct tuf_make_file meta_of(struct repo *r, const struct repo_role *role)
{
	struct tuf_make_file f = { .role = role->name, .version = role->version };
	const struct repo_file *file = served_file(r, role);

	if (r->hashes && file) {
		f.p = file->p;
		f.n = file->n;
	}
	if (role->snapshot_version > 0)
		f.version = role->snapshot_version;
	return f;
}

static void make_timestamp(struct repo *r, const struct repo_role *role, struct buf *out)
{
	struct tuf_make_file f = meta_of(r, repo_role(r, "snapshot"));
	struct err e;

	must(tuf_make_timestamp(out, role->version, role->expires_s, &f, &e), &e);
}

static bool is_targets(const struct repo_role *role)
{
	return role->parent || strcmp(role->name, "targets") == 0;
}

/* A role may be delegated to twice; it is listed once. */
static bool is_first(const struct repo *r, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(r->roles[j].name, r->roles[i].name) == 0)
			return false;
	return true;
}

static void make_snapshot(struct repo *r, const struct repo_role *role, struct buf *out)
{
	struct tuf_make_file files[REPO_ROLES];
	struct err e;
	size_t n = 0;

	for (size_t i = 0; i < r->n_roles; i++)
		if (is_targets(&r->roles[i]) && is_first(r, i) && r->roles[i].published &&
		    !r->roles[i].unlisted)
			files[n++] = meta_of(r, &r->roles[i]);
	must(tuf_make_snapshot(out, role->version, role->expires_s, files, n, &e), &e);
}

static void make_targets(struct repo *r, const struct repo_role *role, struct buf *out)
{
	static struct tuf_pubkey keys[REPO_ROLES][REPO_KEYS];
	struct tuf_make_role roles[REPO_ROLES];
	struct tuf_make_target targets[REPO_TARGETS];
	struct tuf_make_targets in = { .version = role->version,
				       .expires_s = role->expires_s,
				       .valise = role->valise,
				       .roles = roles,
				       .add = targets };
	struct err e;

	for (size_t i = 0; i < r->n_roles; i++)
		if (r->roles[i].parent && strcmp(r->roles[i].parent, role->name) == 0) {
			roles[in.n_roles] = make_role(r, &r->roles[i], keys[in.n_roles]);
			in.n_roles++;
		}
	for (size_t i = 0; i < r->n_targets; i++) {
		const struct repo_target *t = &r->targets[i];

		if (strcmp(t->role, role->name) != 0)
			continue;
		targets[in.n_add] = (struct tuf_make_target){ .path = t->path,
							      .length = t->n,
							      .custom = t->custom };
		sha256(targets[in.n_add++].sha256, t->p, t->n);
	}
	must(tuf_make_targets(out, &in, &e), &e);
}

static void sign(struct repo *r, struct buf *file, unsigned mask)
{
	struct err e;

	for (unsigned k = 0; k < REPO_KEYS; k++) {
		struct buf more = BUF_INIT(file->max);

		if (!(mask & KEY(k)))
			continue;
		must(tuf_sign_with(&more, file->p, file->n, r->secrets[k], &e), &e);
		buf_done(file);
		*file = more;
	}
}

void repo_publish(struct repo *r, const char *name)
{
	CLEANUP(buf_done) struct buf file = BUF_INIT(LIMIT_TUF_TARGETS);
	struct repo_role *role = repo_role(r, name);
	char served[TUF_FILE_NAME_SIZE];
	struct err e;

	role->version++;
	role->published = true;
	if (strcmp(name, "root") == 0)
		make_root(r, role, &file);
	else if (strcmp(name, "timestamp") == 0)
		make_timestamp(r, role, &file);
	else if (strcmp(name, "snapshot") == 0)
		make_snapshot(r, role, &file);
	else
		make_targets(r, role, &file);
	sign(r, &file, role->sign);
	must(tuf_file_name(served, name, strcmp(name, "timestamp") == 0 ? 0 : role->version,
			   &e),
	     &e);
	repo_put(r->served, served, file.p, file.n);
}

void repo_publish_all(struct repo *r)
{
	for (size_t i = 0; i < r->n_roles; i++)
		if (is_targets(&r->roles[i]) && is_first(r, i))
			repo_publish(r, r->roles[i].name);
	repo_publish(r, "snapshot");
	repo_publish(r, "timestamp");
}

void repo_serve(struct repo *r, const char *name, const char *signed_text, unsigned mask)
{
	CLEANUP(buf_done) struct buf file = BUF_INIT(LIMIT_TUF_TARGETS);
	struct err e;

	must(buf_printf(&file, &e, "{\"signatures\": [], \"signed\": %s}", signed_text), &e);
	sign(r, &file, mask);
	repo_put(r->served, name, file.p, file.n);
}

void repo_init(struct repo *r)
{
	struct repo_file *root;
	struct err e;

	memset(r, 0, sizeof(*r));
	r->now_s = REPO_NOW;
	r->served = dir_new();
	r->local = dir_new();
	r->io = (struct tuf_client_io){ r, io_fetch, io_load, io_store, io_remove };
	for (uint8_t k = 0; k < REPO_KEYS; k++) {
		uint8_t seed[SIG_SEED_SIZE] = { k, 'r', 'e', 'p', 'o' }, pub[SIG_PUBLIC_SIZE];

		must(sig_from_seed(&r->secrets[k], pub, seed, &e), &e);
		must(tuf_pubkey_ed25519(&r->pubs[k], pub, &e), &e);
	}
	for (unsigned i = 0; i < TUF_TYPES; i++)
		add_role(r, tuf_type_name((enum tuf_type)i), NULL, i);
	repo_publish(r, "root");
	repo_publish_all(r);
	root = repo_get(r->served, "1.root.json");
	must(tuf_client_init(&r->io, root->p, root->n, NULL, &e), &e);
}

void repo_done(struct repo *r)
{
	for (unsigned k = 0; k < REPO_KEYS; k++) {
		secret_free(r->secrets[k]);
		tuf_pubkey_done(&r->pubs[k]);
	}
	tuf_client_free(r->client);
	dir_free(r->served);
	dir_free(r->local);
}

/* ---- a client ----------------------------------------------------------------------------- */

static bool restart(struct repo *r, struct err *e)
{
	tuf_client_free(TAKE(r->client));
	r->log[0] = '\0';
	return tuf_client_new(&r->client, &r->io, r->now_s, e);
}

bool repo_refresh(struct repo *r, struct err *e)
{
	return restart(r, e) && tuf_client_refresh(r->client, e);
}

bool repo_open_stored(struct repo *r, struct err *e)
{
	return restart(r, e) && tuf_client_open_stored(r->client, e);
}

bool repo_find(struct repo *r, struct tuf_found *ret, const char *path, struct err *e)
{
	r->log[0] = '\0';
	return tuf_client_find(ret, r->client, path, e);
}

uint64_t repo_local_version(struct repo *r, const char *role)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *signed_part;
	char name[TUF_FILE_NAME_SIZE];
	const struct repo_file *f;
	uint64_t version = 0;
	struct err e;

	must(tuf_file_name(name, role, 0, &e), &e);
	f = repo_get(r->local, name);
	if (!f)
		return 0;
	must(jdoc_parse(&d, f->p, f->n, &e) &&
		     jobj_obj(&signed_part, jdoc_root(d), "signed", &e) &&
		     jobj_u64(&version, signed_part, "version", 0, J_INT_MAX, &e),
	     &e);
	return version;
}
