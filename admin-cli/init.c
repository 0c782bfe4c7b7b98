#include "admin-cli/init.h"

#include "admin-cli/roles.h"
#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const repos[] = { "image", "director" };
enum { IMAGE, DIRECTOR, N_REPOS };

/* Everything that is signed with, open for the time of the command. */
struct keyring {
	struct key root[N_REPOS][INIT_ROOTS_MAX];
	struct key targets, policy;
	struct key *publishers; /* one per product */
	size_t n_publishers;
};

static void keyring_done(struct keyring *k)
{
	for (size_t r = 0; r < N_REPOS; r++) {
		for (size_t i = 0; i < INIT_ROOTS_MAX; i++)
			key_done(&k->root[r][i]);
	}
	key_done(&k->targets);
	key_done(&k->policy);
	for (size_t i = 0; i < k->n_publishers; i++)
		key_done(&k->publishers[i]);
	free(k->publishers);
}

bool init_parse_threshold(const char *s, unsigned *ret_m, unsigned *ret_n, struct err *e)
{
	const char *of = strstr(s, "of");
	uint64_t m = 0, n = 0;
	bool ok =
		of ? u64_parse(&m, s, (size_t)(of - s)) && u64_parse(&n, of + 2, strlen(of + 2))
		   : u64_parse(&m, s, strlen(s));

	if (!of)
		n = m;
	if (!ok || m < 1 || m > n || n > INIT_ROOTS_MAX)
		return err_set(e, E_USAGE, "\"%s\": wants MofN, such as 2of3, at most %dof%d",
			       s, INIT_ROOTS_MAX, INIT_ROOTS_MAX);
	*ret_m = (unsigned)m;
	*ret_n = (unsigned)n;
	return true;
}

static void tell(const struct init *i, bool made, const char *kind, const char *name)
{
	char text[160];

	snprintf(text, sizeof(text), "%s%s", kind, name);
	if (i->step)
		i->step(i->arg, text, made);
}

/* ---- keys -------------------------------------------------------------------------------- */

static bool make_key(const struct init *i, const char *name, const char *role,
		     const char *comment, struct key *ret, struct err *e)
{
	struct keyfile_info info;
	bool there = keys_inspect(&i->remote->home, name, &info, e);

	if (!there && e->code != E_NOT_FOUND)
		return false;
	tell(i, !there, "key ", name);
	if (there)
		return keys_open(&i->remote->home, name, i->passphrase, ret, e);
	return keys_new(&i->remote->home, name, role, comment, i->passphrase, i->rng, ret, e);
}

static bool make_roots(const struct init *i, struct keyring *k, size_t repo, struct err *e)
{
	char name[KEYS_NAME_SIZE], role[32];

	snprintf(role, sizeof(role), "%s-root", repos[repo]);
	for (unsigned n = 0; n < i->root_n; n++) {
		snprintf(name, sizeof(name), "%s-%u", role, n + 1);
		if (!make_key(i, name, role, "", &k->root[repo][n], e))
			return false;
	}
	return true;
}

static bool make_publishers(const struct init *i, struct keyring *k, struct err *e)
{
	char name[KEYS_NAME_SIZE];

	k->publishers = calloc(i->n_products + 1, sizeof(*k->publishers));
	if (!k->publishers)
		return err_nomem(e);
	for (; k->n_publishers < i->n_products; k->n_publishers++) {
		const char *product = i->products[k->n_publishers];

		if (!name_check(product, LIMIT_NAME, "product", e))
			return false;
		snprintf(name, sizeof(name), "publisher-%s", product);
		if (!make_key(i, name, "publisher", product, &k->publishers[k->n_publishers],
			      e))
			return false;
	}
	return true;
}

static bool make_keys(const struct init *i, struct keyring *k, struct err *e)
{
	return make_roots(i, k, IMAGE, e) && make_roots(i, k, DIRECTOR, e) &&
	       make_key(i, "image-targets", "image-targets", "", &k->targets, e) &&
	       make_publishers(i, k, e) && make_key(i, "policy", "policy", "", &k->policy, e);
}

/* ---- roots ------------------------------------------------------------------------------- */

/* Public keys for one root, all of them freed at the end. */
struct pubkeys {
	struct tuf_pubkey root[INIT_ROOTS_MAX], other[TUF_TYPES];
	unsigned n_root;
};

static void pubkeys_done(struct pubkeys *p)
{
	for (unsigned i = 0; i < INIT_ROOTS_MAX; i++)
		tuf_pubkey_done(&p->root[i]);
	for (unsigned i = 0; i < TUF_TYPES; i++)
		tuf_pubkey_done(&p->other[i]);
}

/* The server's key for a role of a repository, from /v1/keys/online. */
static bool online_key(struct tuf_pubkey *ret, const struct jval *online, size_t repo,
		       enum tuf_type type, struct err *e)
{
	const struct jval *keys;
	uint8_t pub[SIG_PUBLIC_SIZE];

	return (jobj_obj(&keys, online, repos[repo], e) &&
		jobj_hex(pub, sizeof(pub), keys, tuf_type_name(type), e) &&
		tuf_pubkey_ed25519(ret, pub, e)) ||
	       err_wrap(e, "the server's online keys");
}

static bool collect(struct pubkeys *p, const struct init *i, const struct keyring *k,
		    size_t repo, const struct jval *online, struct err *e)
{
	for (p->n_root = 0; p->n_root < i->root_n; p->n_root++) {
		if (!tuf_pubkey_ed25519(&p->root[p->n_root], k->root[repo][p->n_root].public,
					e))
			return false;
	}
	if (repo == IMAGE ? !tuf_pubkey_ed25519(&p->other[TUF_TARGETS], k->targets.public, e)
			  : !online_key(&p->other[TUF_TARGETS], online, repo, TUF_TARGETS, e))
		return false;
	return online_key(&p->other[TUF_TIMESTAMP], online, repo, TUF_TIMESTAMP, e) &&
	       online_key(&p->other[TUF_SNAPSHOT], online, repo, TUF_SNAPSHOT, e);
}

static bool sign_by_all(struct buf *text, const struct key *keys, unsigned n, struct err *e)
{
	for (unsigned i = 0; i < n; i++) {
		CLEANUP(buf_done) struct buf next = BUF_INIT(text->max);

		if (!tuf_sign_with(&next, text->p, text->n, keys[i].secret, e))
			return false;
		buf_reset(text);
		if (!buf_add(text, next.p, next.n, e))
			return false;
	}
	return true;
}

static bool build_root(struct buf *out, const struct init *i, const struct keyring *k,
		       size_t repo, const struct jval *online, struct err *e)
{
	CLEANUP(pubkeys_done) struct pubkeys p = { 0 };
	struct tuf_make_role roles[TUF_TYPES] = { { 0 } };

	if (!collect(&p, i, k, repo, online, e))
		return false;
	for (unsigned t = 0; t < TUF_TYPES; t++)
		roles[t] = (struct tuf_make_role){ .keys = &p.other[t],
						   .n_keys = 1,
						   .threshold = 1 };
	roles[TUF_ROOT] = (struct tuf_make_role){ .keys = p.root,
						  .n_keys = p.n_root,
						  .threshold = i->root_m };
	return tuf_make_root(out, 1, clock_wall_s(i->clock) + ROOT_LIFE_S, roles, e) &&
	       sign_by_all(out, k->root[repo], i->root_n, e);
}

static bool build_targets(struct buf *out, const struct init *i, const struct keyring *k,
			  struct err *e);

/* ---- sending what was made --------------------------------------------------------------- */

static bool send_text(const struct init *i, enum api_route_id route, const struct buf *text,
		      struct err *e)
{
	struct remote_call c = { .route = route, .body = text };

	return remote_do(i->remote, &c, NULL, NULL, e);
}

/* Whether the server has exactly these bytes already: then this step of an earlier init was done. */
static bool server_has(const struct init *i, enum api_route_id get, const char *file,
		       const struct buf *text)
{
	CLEANUP(buf_done) struct buf theirs = BUF_INIT(LIMIT_TUF_TARGETS);
	const char *const params[] = { file, NULL };
	struct remote_call c = { .route = get, .params = params };
	struct err ignored;

	return remote_text(i->remote, &c, &theirs, &ignored) && theirs.n == text->n &&
	       memcmp(theirs.p, text->p, text->n) == 0;
}

struct piece {
	const char *file; /* in roots/ of the home */
	const char *what;
	enum api_route_id put, get;
	const char *served_as;
};
static const struct piece pieces[] = {
	{ "image-1.root.json", "root of the image repository", ROUTE_IMAGE_ROOT_PUT,
	  ROUTE_TUF_IMAGE, "1.root.json" },
	{ "director-1.root.json", "root of the director", ROUTE_DIRECTOR_ROOT_PUT,
	  ROUTE_TUF_DIRECTOR, "1.root.json" },
	{ "image-1.targets.json", "targets role with its delegations", ROUTE_IMAGE_TARGETS_PUT,
	  ROUTE_TUF_IMAGE, "1.targets.json" },
};

static bool build_piece(struct buf *out, const struct init *i, const struct keyring *k,
			size_t n, const struct jval *online, struct err *e)
{
	return n < N_REPOS ? build_root(out, i, k, n, online, e) : build_targets(out, i, k, e);
}

static bool do_piece(const struct init *i, const struct keyring *k, size_t n,
		     const struct jval *online, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	const struct piece *p = &pieces[n];
	bool kept = home_read(&i->remote->home, "roots", p->file, &text, e);

	if (!kept && e->code != E_NOT_FOUND)
		return false;
	if (!kept && (!build_piece(&text, i, k, n, online, e) ||
		      !home_write(&i->remote->home, "roots", p->file, 0644, text.p, text.n, e)))
		return err_wrap(e, "%s", p->what);
	if (kept && server_has(i, p->get, p->served_as, &text)) {
		tell(i, false, "", p->what);
		return true;
	}
	/* Its answer may have been lost: what counts is what the server has now. */
	if (!send_text(i, p->put, &text, e) && !server_has(i, p->get, p->served_as, &text))
		return err_wrap(e, "%s", p->what);
	tell(i, true, "", p->what);
	return true;
}

/* ---- delegations ------------------------------------------------------------------------- */

struct delegation {
	char name[LIMIT_NAME + 16], path[LIMIT_NAME + 32];
	const char *paths[1];
	struct tuf_pubkey key;
};

static bool fill(struct delegation *d, struct tuf_make_role *role, const struct key *key,
		 struct err *e)
{
	d->paths[0] = d->path;
	*role = (struct tuf_make_role){ .name = d->name,
					.keys = &d->key,
					.n_keys = 1,
					.threshold = 1,
					.paths = d->paths,
					.n_paths = 1,
					.terminating = true };
	return tuf_pubkey_ed25519(&d->key, key->public, e);
}

static bool fill_all(struct delegation *d, struct tuf_make_role *roles, const struct init *i,
		     const struct keyring *k, struct err *e)
{
	for (size_t n = 0; n < i->n_products; n++) {
		snprintf(d[n].name, sizeof(d[n].name), "releases.%s", i->products[n]);
		snprintf(d[n].path, sizeof(d[n].path), "releases/%s/*/*", i->products[n]);
		if (!fill(&d[n], &roles[n], &k->publishers[n], e))
			return false;
	}
	snprintf(d[i->n_products].name, sizeof(d->name), "policies");
	snprintf(d[i->n_products].path, sizeof(d->path), "policies/*/*");
	return fill(&d[i->n_products], &roles[i->n_products], &k->policy, e);
}

static bool build_targets(struct buf *out, const struct init *i, const struct keyring *k,
			  struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	size_t n = i->n_products + 1;
	struct delegation *d = calloc(n, sizeof(*d));
	struct tuf_make_role *roles = calloc(n, sizeof(*roles));
	struct tuf_make_targets in = { .version = 1,
				       .expires_s = clock_wall_s(i->clock) + ROOT_LIFE_S,
				       .roles = roles,
				       .n_roles = n };
	bool ok;

	if (d && roles)
		ok = fill_all(d, roles, i, k, e) && tuf_make_targets(&text, &in, e) &&
		     tuf_sign_with(out, text.p, text.n, k->targets.secret, e);
	else
		ok = err_nomem(e);
	for (size_t x = 0; d && x < n; x++)
		tuf_pubkey_done(&d[x].key);
	free(d);
	free(roles);
	return ok;
}

bool init_run(struct init *i, struct err *e)
{
	CLEANUP(keyring_done) struct keyring k = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *online = NULL;
	struct remote_call c = { .route = ROUTE_KEYS_ONLINE };

	if (!remote_do(i->remote, &c, NULL, &online, e) || !make_keys(i, &k, e))
		return false;
	if (!online)
		return err_set(e, E_FORMAT, "the server told no online keys");
	for (size_t n = 0; n < ARRAY_SIZE(pieces); n++) {
		if (!do_piece(i, &k, n, jdoc_root(online), e))
			return false;
	}
	return true;
}
