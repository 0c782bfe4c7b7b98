/* `valise publisher`: to whom releases and policies are delegated. */
#include "admin-cli/cmd_ceremony.h"
#include "admin-cli/opts.h"
#include "admin-cli/roles.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 32 };

static const char *opt_out;
static bool opt_policy, opt_targets;
static uint64_t opt_threshold = 1;

#define OUT_ROW                                                                               \
	{                                                                                     \
		"out", 0, "FILE", "where it waits for more signatures, if one is not enough", \
			CLI_STRING, &opt_out                                                  \
	}
const struct cli_opt publisher_add_opts[] = {
	{ "threshold", 't', "M", "how many of the keys must sign; 1 if not given", CLI_UINT,
	  &opt_threshold },
	{ "policy", 0, NULL, "the security team's role, in place of a product's", CLI_FLAG,
	  &opt_policy },
	OUT_ROW,
	{ 0 },
};
const struct cli_opt publisher_remove_opts[] = { OUT_ROW, { 0 } };
const struct cli_opt publisher_renew_opts[] = {
	{ "policy", 0, NULL, "the security team's role", CLI_FLAG, &opt_policy },
	{ "targets", 0, NULL, "the role that says which publishers there are", CLI_FLAG,
	  &opt_targets },
	OUT_ROW,
	{ 0 },
};

/* The targets role and its roots, as the server has them. */
static bool open_targets(struct ceremony *c, struct remote *r, struct err *e)
{
	ceremony_init(c, CEREMONY_IMAGE, "targets");
	return remote_open(r, REMOTE_TOKEN, e) && ceremony_fetch(c, r, e) &&
	       ceremony_check(c, &r->home, e) && ceremony_trust(c, &r->home, e);
}

/* ---- list -------------------------------------------------------------------------------- */

static const struct out_col cols[] = {
	{ "NAME", "name", OUT_TEXT },
	{ "NEEDED", "threshold", OUT_TEXT },
	{ "KEYS", "keys", OUT_LIST },
};

/* The whole id for programs, its beginning for people. */
static void write_role(struct jw *w, const struct tuf_role *role)
{
	char shown[TUF_KEYID_SIZE];

	jw_obj(w, NULL);
	jw_str(w, "name", role->name);
	jw_u64(w, "threshold", role->threshold);
	jw_arr(w, "keys");
	for (size_t i = 0; i < role->n_keys; i++) {
		snprintf(shown, sizeof(shown), opts_json() ? "%s" : "%.12s", role->keys[i]->id);
		jw_str(w, NULL, shown);
	}
	jw_end(w);
	jw_end(w);
}

static bool print_roles(const struct ceremony *c, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(out_table_freep) struct out_table *t = NULL;
	const struct jval *items;
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_arr(&w, "items");
	for (size_t i = 0; c->before && i < c->before->n_roles; i++)
		write_role(&w, &c->before->roles[i]);
	jw_end(&w);
	jw_end(&w);
	if (!jw_finish(&w, e) || !jdoc_parse(&d, b.p, b.n, e))
		return false;
	if (opts_json())
		return out_json(jdoc_root(d), e);
	if (!jobj_arr(&items, jdoc_root(d), "items", SIZE_MAX, e) ||
	    !out_table_new(&t, cols, ARRAY_SIZE(cols), e))
		return false;
	for (size_t i = 0; i < jarr_n(items); i++) {
		if (!out_table_add(t, jarr_at(items, i), e))
			return false;
	}
	return out_table_draw(t, out_style(stdout), &text, e) && out_write(&text, e);
}

bool cmd_publisher_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };

	if (!open_targets(&c, &r, e))
		return false;
	/* What the server shows must be what the holders of the targets key signed. */
	if (c.before && !tuf_verify(c.before, tuf_role_get(c.root, "targets"), e))
		return err_wrap(e, "targets, as the server has it");
	return print_roles(&c, e);
}

/* ---- add, remove ------------------------------------------------------------------------- */

static bool make_next(struct ceremony *c, const struct home *h, struct tuf_make_targets *in,
		      struct err *e)
{
	in->old = c->before ? c->previous.p : NULL;
	in->old_n = c->previous.n;
	in->version = c->before ? c->before->version + 1 : 1;
	in->expires_s = clock_wall_s(clock_system()) + ROOT_LIFE_S;
	return tuf_make_targets(&c->file, in, e) && ceremony_check(c, h, e);
}

/* Signs with what is here and sends it, or keeps it for the others. */
static bool sign_and_finish(struct ceremony *c, struct remote *r, struct err *e)
{
	return cmd_ceremony_sign(c, &r->home, opt_out != NULL, e) &&
	       cmd_ceremony_finish(c, r, opt_out, e);
}

/* A role and the one pattern of paths that goes with it (docs/FORMATS.md, section 3). */
struct place {
	char role[LIMIT_NAME + 16], path[LIMIT_NAME + 32];
	const char *paths[1];
};

static bool place_of(struct place *p, const char *product, bool policy, struct err *e)
{
	p->paths[0] = p->path;
	if (policy) {
		snprintf(p->role, sizeof(p->role), "policies");
		snprintf(p->path, sizeof(p->path), "policies/*/*");
		return true;
	}
	if (!name_check(product, LIMIT_NAME, "product", e))
		return false;
	snprintf(p->role, sizeof(p->role), "releases.%s", product);
	snprintf(p->path, sizeof(p->path), "releases/%s/*/*", product);
	return true;
}

static bool add(struct ceremony *c, struct remote *r, const struct place *place,
		const struct tuf_pubkey *keys, size_t n, struct err *e)
{
	struct tuf_make_role role = { .name = place->role,
				      .keys = keys,
				      .n_keys = n,
				      .threshold = opt_threshold,
				      .paths = place->paths,
				      .n_paths = 1,
				      .terminating = true };
	struct tuf_make_targets in = { .roles = &role, .n_roles = 1 };

	return make_next(c, &r->home, &in, e) && sign_and_finish(c, r, e);
}

bool cmd_publisher_add(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	struct tuf_pubkey keys[KEYS_MAX] = { { .json = NULL } };
	int first = opt_policy ? 0 : 1;
	size_t n = 0;
	struct place place;
	bool ok;

	if (argc <= first || argc - first > KEYS_MAX)
		return err_set(e, E_USAGE, "name one to %d keys", KEYS_MAX);
	if (!place_of(&place, argv[0], opt_policy, e) || !open_targets(&c, &r, e))
		return false;
	ok = true;
	for (int i = first; ok && i < argc; i++)
		ok = cmd_public_key(&keys[n++], &r.home, argv[i], e);
	ok = ok && add(&c, &r, &place, keys, n, e);
	for (size_t i = 0; i < n; i++)
		tuf_pubkey_done(&keys[i]);
	return ok;
}

bool cmd_publisher_remove(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	struct place place;
	const char *const names[] = { place.role };
	struct tuf_make_targets in = { .remove_roles = names, .n_remove_roles = 1 };

	return place_of(&place, argv[0], false, e) && open_targets(&c, &r, e) &&
	       make_next(&c, &r.home, &in, e) && sign_and_finish(&c, &r, e);
}

/* ---- renew ------------------------------------------------------------------------------- */

bool cmd_publisher_renew(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	struct tuf_make_targets in = { .old = NULL };
	char role[LIMIT_NAME + 16];

	if (opt_policy + opt_targets + (argc > 0) != 1)
		return err_set(e, E_USAGE, "name a PRODUCT, or give --policy or --targets");
	if (argc > 0 && !name_check(argv[0], LIMIT_NAME, "product", e))
		return false;
	snprintf(role, sizeof(role), "%s%s", argc > 0 ? "releases." : "",
		 argc > 0     ? argv[0]
		 : opt_policy ? "policies"
			      : "targets");
	ceremony_init(&c, CEREMONY_IMAGE, role);
	if (!remote_open(&r, REMOTE_TOKEN, e) || !ceremony_fetch(&c, &r, e) ||
	    !ceremony_check(&c, &r.home, e) || !ceremony_trust(&c, &r.home, e))
		return false;
	if (!c.before)
		return err_set(e, E_NOT_FOUND, "%s has signed nothing yet", role);
	in.old = c.previous.p;
	in.old_n = c.previous.n;
	in.version = c.before->version + 1;
	in.expires_s = clock_wall_s(clock_system()) + (opt_targets ? ROOT_LIFE_S : ROLE_LIFE_S);
	return tuf_make_targets(&c.file, &in, e) && ceremony_check(&c, &r.home, e) &&
	       sign_and_finish(&c, &r, e);
}
