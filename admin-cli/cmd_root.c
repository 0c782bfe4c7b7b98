/* `valise root`: who may sign what, changed by several people together. */
#include "admin-cli/cmd_ceremony.h"
#include "admin-cli/opts.h"
#include "admin-cli/roles.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 32 };

static const char *opt_role = "root";
static uint64_t opt_threshold;

const struct cli_opt root_edit_opts[] = {
	{ "role", 0, "ROLE", "root (the default), or targets of the image repository",
	  CLI_STRING, &opt_role },
	{ "threshold", 't', "M", "how many signatures are needed from now on", CLI_UINT,
	  &opt_threshold },
	{ 0 },
};

static bool repo_of(const char *word, enum ceremony_repo *ret)
{
	for (unsigned i = 0; ceremony_repos[i]; i++) {
		if (strcmp(word, ceremony_repos[i]) == 0) {
			*ret = (enum ceremony_repo)i;
			return true;
		}
	}
	return false;
}

static bool load(struct ceremony *c, struct home *h, const char *path, struct err *e)
{
	if (!opts_check(e) || !home_open(h, opts.home, e) || !ceremony_load(c, path, e))
		return false;
	if (strcmp(c->role, "root") != 0)
		return err_set(e, E_USAGE, "%s: is about %s, not about a root", path, c->role);
	return ceremony_check(c, h, e) || err_wrap(e, "%s", path);
}

/* ---- making and changing ----------------------------------------------------------------- */

/* The next root while it is worked on: keys and thresholds of each role. */
struct draft {
	struct tuf_pubkey keys[TUF_TYPES][KEYS_MAX];
	struct tuf_make_role roles[TUF_TYPES];
};

static void draft_done(struct draft *d)
{
	for (int i = 0; i < TUF_TYPES; i++) {
		for (size_t k = 0; k < KEYS_MAX; k++)
			tuf_pubkey_done(&d->keys[i][k]);
	}
}

/* Takes the key over. */
static bool draft_add(struct draft *d, enum tuf_type t, struct tuf_pubkey *key, struct err *e)
{
	struct tuf_make_role *r = &d->roles[t];

	for (size_t i = 0; i < r->n_keys; i++) {
		if (strcmp(d->keys[t][i].id, key->id) == 0)
			return err_set(e, E_EXISTS, "key %.12s has the role already", key->id);
	}
	if (r->n_keys >= KEYS_MAX)
		return err_set(e, E_TOO_BIG, "more than %d keys", KEYS_MAX);
	d->keys[t][r->n_keys++] = *key;
	*key = (struct tuf_pubkey){ .json = NULL };
	r->keys = d->keys[t];
	return true;
}

static bool draft_from(struct draft *d, const struct tuf_meta *root, struct err *e)
{
	for (int t = 0; t < TUF_TYPES; t++) {
		const struct tuf_role *r = &root->roles[t];
		struct tuf_pubkey *keys;
		size_t n;
		bool ok = true;

		d->roles[t].threshold = r->threshold;
		if (!tuf_pubkeys_of(&keys, &n, r, e))
			return false;
		for (size_t i = 0; ok && i < n; i++)
			ok = draft_add(d, (enum tuf_type)t, &keys[i], e);
		tuf_pubkeys_free(keys, n);
		if (!ok)
			return false;
	}
	return true;
}

static void draft_clear(struct draft *d, enum tuf_type t)
{
	for (size_t i = 0; i < d->roles[t].n_keys; i++)
		tuf_pubkey_done(&d->keys[t][i]);
	d->roles[t].n_keys = 0;
}

static bool draft_make(const struct draft *d, struct ceremony *c, const struct home *h,
		       struct err *e)
{
	uint64_t version = c->root->version + 1;

	buf_reset(&c->file);
	return tuf_make_root(&c->file, version, clock_wall_s(clock_system()) + ROOT_LIFE_S,
			     d->roles, e) &&
	       ceremony_check(c, h, e);
}

/* ---- rotate ------------------------------------------------------------------------------ */

/* The server's key of a role: the one that shall follow if there is one. */
static bool online_key(struct tuf_pubkey *ret, const struct jval *online, const char *repo,
		       const char *role, struct err *e)
{
	const struct jval *keys, *next = jobj_opt(online, "next");
	uint8_t pub[SIG_PUBLIC_SIZE];

	if (next && jobj_has(jobj_opt(next, repo), role))
		keys = jobj_opt(next, repo);
	else if (!jobj_obj(&keys, online, repo, e))
		return err_wrap(e, "the server's online keys");
	return (jobj_hex(pub, sizeof(pub), keys, role, e) && tuf_pubkey_ed25519(ret, pub, e)) ||
	       err_wrap(e, "the server's online keys");
}

static bool take_online(struct draft *d, enum ceremony_repo repo, struct remote *r,
			struct err *e)
{
	static const enum tuf_type types[] = { TUF_SNAPSHOT, TUF_TIMESTAMP, TUF_TARGETS };
	CLEANUP(jdoc_freep) struct jdoc *online = NULL;
	struct remote_call c = { .route = ROUTE_KEYS_ONLINE };

	if (!remote_do(r, &c, NULL, &online, e))
		return false;
	if (!online || !jval_is_obj(jdoc_root(online), e))
		return err_set(e, E_FORMAT, "the server told no online keys");
	/* Targets of the image repository are signed by people. */
	for (size_t i = 0; i < (repo == CEREMONY_IMAGE ? 2 : 3); i++) {
		CLEANUP(tuf_pubkey_done) struct tuf_pubkey key = { .json = NULL };

		if (!online_key(&key, jdoc_root(online), ceremony_repos[repo],
				tuf_type_name(types[i]), e))
			return false;
		draft_clear(d, types[i]);
		d->roles[types[i]].threshold = 1;
		if (!draft_add(d, types[i], &key, e))
			return false;
	}
	return true;
}

bool cmd_root_rotate(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	CLEANUP(draft_done) struct draft d = { .roles = { { 0 } } };
	enum ceremony_repo repo;

	if (!repo_of(argv[0], &repo))
		return err_set(e, E_USAGE, "\"%.40s\": image or director?", argv[0]);
	ceremony_init(&c, repo, "root");
	if (!remote_open(&r, REMOTE_TOKEN, e) || !ceremony_fetch(&c, &r, e) ||
	    !ceremony_check(&c, &r.home, e) || !ceremony_trust(&c, &r.home, e) ||
	    !draft_from(&d, c.root, e) || !take_online(&d, repo, &r, e) ||
	    !draft_make(&d, &c, &r.home, e) || !ceremony_store(&c, argv[1], e))
		return false;
	return cmd_ceremony_show(&c, &r.home, e);
}

/* ---- add, remove ------------------------------------------------------------------------- */

static bool role_of(const struct ceremony *c, enum tuf_type *ret, struct err *e)
{
	if (strcmp(opt_role, "root") == 0) {
		*ret = TUF_ROOT;
		return true;
	}
	*ret = TUF_TARGETS;
	if (strcmp(opt_role, "targets") == 0 && c->repo == CEREMONY_IMAGE)
		return true;
	return err_set(e, E_USAGE,
		       "--role=%.40s: people hold root, and targets of the image "
		       "repository",
		       opt_role);
}

static bool remove_key(struct draft *d, enum tuf_type t, const struct home *h, const char *what,
		       struct err *e)
{
	struct tuf_make_role *r = &d->roles[t];
	struct keyfile_info info;
	struct err ignored;
	char id[TUF_KEYID_SIZE] = "";
	size_t at = 0, found = 0;

	if (keys_inspect(h, what, &info, &ignored) && !tuf_keyid_ed25519(id, info.public, e))
		return false;
	for (size_t i = 0; i < r->n_keys; i++) {
		if (id[0] ? strcmp(d->keys[t][i].id, id) != 0
			  : strncmp(d->keys[t][i].id, what, strlen(what)) != 0)
			continue;
		at = i;
		found++;
	}
	if (found != 1)
		return err_set(e, found ? E_USAGE : E_NOT_FOUND,
			       "\"%.70s\" fits %zu keys of %s", what, found, opt_role);
	tuf_pubkey_done(&d->keys[t][at]);
	r->n_keys--;
	d->keys[t][at] = d->keys[t][r->n_keys];
	d->keys[t][r->n_keys] = (struct tuf_pubkey){ .json = NULL };
	return true;
}

static bool edit(const char *path, const char *key, bool add, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	CLEANUP(draft_done) struct draft d = { .roles = { { 0 } } };
	CLEANUP(tuf_pubkey_done) struct tuf_pubkey pub = { .json = NULL };
	enum tuf_type t;
	size_t lost;

	if (!load(&c, &h, path, e) || !role_of(&c, &t, e) || !draft_from(&d, c.meta, e))
		return false;
	if (add ? !cmd_public_key(&pub, &h, key, e) || !draft_add(&d, t, &pub, e)
		: !remove_key(&d, t, &h, key, e))
		return false;
	if (opt_threshold > 0)
		d.roles[t].threshold = opt_threshold;
	lost = jarr_n(c.meta->signatures);
	if (!draft_make(&d, &c, &h, e) || !ceremony_store(&c, path, e))
		return false;
	if (lost > 0)
		cmd_note("%zu signatures are gone: it is another text now", lost);
	return cmd_ceremony_show(&c, &h, e);
}

bool cmd_root_add_key(int argc, char **argv, struct err *e)
{
	return edit(argv[0], argv[1], true, e);
}

bool cmd_root_remove_key(int argc, char **argv, struct err *e)
{
	return edit(argv[0], argv[1], false, e);
}

/* ---- show, sign, publish ----------------------------------------------------------------- */

static const struct out_col key_cols[] = {
	{ "ROLE", "role", OUT_TEXT },
	{ "NEEDED", "threshold", OUT_TEXT },
	{ "KEY ID", "keyid", OUT_ID },
};

static bool show_server(struct ceremony *c, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_TUF_ROOT * 2);
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT * 2);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(out_table_freep) struct out_table *table = NULL;
	const struct jval *items;
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_time(&w, "expires", c->root->expires_s);
	jw_arr(&w, "keys");
	for (int t = 0; t < TUF_TYPES; t++) {
		for (size_t k = 0; k < c->root->roles[t].n_keys; k++) {
			jw_obj(&w, NULL);
			jw_str(&w, "keyid", c->root->roles[t].keys[k]->id);
			jw_str(&w, "role", tuf_type_name((enum tuf_type)t));
			jw_u64(&w, "threshold", c->root->roles[t].threshold);
			jw_end(&w);
		}
	}
	jw_end(&w);
	jw_str(&w, "repository", ceremony_repos[c->repo]);
	jw_str(&w, "root_sha256", c->root_sha256);
	jw_u64(&w, "version", c->root->version);
	jw_end(&w);
	if (!jw_finish(&w, e) || !jdoc_parse(&d, b.p, b.n, e))
		return false;
	if (opts_json())
		return out_json(jdoc_root(d), e);
	cmd_note("%s root version %" PRIu64 ", SHA-256 of version 1 %s",
		 ceremony_repos[c->repo], c->root->version, c->root_sha256);
	if (!jobj_arr(&items, jdoc_root(d), "keys", SIZE_MAX, e) ||
	    !out_table_new(&table, key_cols, ARRAY_SIZE(key_cols), e))
		return false;
	for (size_t i = 0; i < jarr_n(items); i++) {
		if (!out_table_add(table, jarr_at(items, i), e))
			return false;
	}
	return out_table_draw(table, out_style(stdout), &text, e) && out_write(&text, e);
}

bool cmd_root_show(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	enum ceremony_repo repo;

	if (!repo_of(argv[0], &repo))
		return load(&c, &h, argv[0], e) && cmd_ceremony_show(&c, &h, e);
	ceremony_init(&c, repo, "root");
	return remote_open(&r, REMOTE_TOKEN, e) && ceremony_fetch(&c, &r, e) &&
	       ceremony_check(&c, &r.home, e) && ceremony_trust(&c, &r.home, e) &&
	       show_server(&c, e);
}

bool cmd_root_sign(int argc, char **argv, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };

	return load(&c, &h, argv[0], e) && cmd_ceremony_sign(&c, &h, false, e) &&
	       ceremony_store(&c, argv[0], e) && cmd_ceremony_show(&c, &h, e);
}

bool cmd_root_publish(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	CLEANUP(ceremony_done) struct ceremony after = { .n_roots = 0 };

	if (!load(&c, &h, argv[0], e))
		return false;
	if (ceremony_missing(&c) > 0) {
		err_set(e, E_UNTRUSTED, "%s: %" PRIu64 " signatures are missing", argv[0],
			ceremony_missing(&c));
		return err_hint(e, "`valise root show` says whose");
	}
	/* What is in force now is remembered, so that older files are refused from here on. */
	ceremony_init(&after, c.repo, "root");
	return remote_open(&r, REMOTE_TOKEN, e) && ceremony_publish(&c, &r, e) &&
	       ceremony_fetch(&after, &r, e) && ceremony_check(&after, &r.home, e) &&
	       ceremony_trust(&after, &r.home, e) && show_server(&after, e);
}
