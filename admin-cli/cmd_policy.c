#include "admin-cli/bundle.h"
#include "admin-cli/cmd_ceremony.h"
#include "admin-cli/keys.h"
#include "admin-cli/opts.h"
#include "admin-cli/roles.h"
#include "base/clock.h"
#include "base/io.h"
#include "proto/cjson.h"
#include "proto/policy.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

static const char *opt_key = "policy", *opt_partial;

const struct cli_opt policy_publish_opts[] = {
	{ "key", 'k', "KEY", "key of the security team: name or file; policy if not given",
	  CLI_STRING, &opt_key },
	{ "partial", 0, "FILE", "sign, but leave it at FILE for the others who have to sign",
	  CLI_STRING, &opt_partial },
	{ 0 },
};

static bool opt_pending;

const struct cli_opt policy_list_opts[] = {
	{ "pending", 0, NULL, "those that wait for signatures", CLI_FLAG, &opt_pending },
	{ 0 },
};

static const struct out_col pending_cols[] = {
	{ "NAME", "name", OUT_TEXT },      { "VERSION", "version", OUT_TEXT },
	{ "STATE", "state", OUT_WHOLE },   { "PROPOSED", "proposed_at", OUT_WHOLE },
	{ "BY", "proposed_by", OUT_TEXT }, { "UNTIL", "expires_at", OUT_WHOLE },
};
static const struct out_col list_cols[] = {
	{ "NAME", "name", OUT_TEXT },
	{ "VERSION", "version", OUT_TEXT },
	{ "TARGET", "target", OUT_TARGET },
	{ "WANTED", "wanted", OUT_TEXT },
	{ "DELIVERED", "delivered", OUT_TEXT },
	{ "APPLIED", "applied", OUT_TEXT },
	{ "PUBLISHED", "published_at", OUT_WHOLE },
};
static const struct out_col item_cols[] = {
	{ "policy", "name", OUT_TEXT },
	{ "version", "version", OUT_TEXT },
	{ "state", "state", OUT_TEXT },
	{ "target", "target", OUT_TARGET },
	{ "devices that want it", "wanted", OUT_TEXT },
	{ "delivered to", "delivered", OUT_TEXT },
	{ "applied by", "applied", OUT_TEXT },
	{ "published", "published_at", OUT_WHOLE },
	{ "by", "published_by", OUT_TEXT },
	{ "proposed", "proposed_at", OUT_WHOLE },
	{ "by", "proposed_by", OUT_TEXT },
	{ "until", "expires_at", OUT_WHOLE },
	{ "signatures needed", "signatures.threshold", OUT_TEXT },
	{ "signed by keys", "signatures.signed", OUT_LIST },
	{ "other keys", "signatures.missing", OUT_LIST },
};

static bool read_input(struct jdoc **ret, const char *path, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_POLICY_JSON);

	if (strcmp(path, "-") == 0 ? !read_fd(0, &text, e)
				   : !read_file_at(AT_FDCWD, path, &text, e))
		return false;
	return jdoc_parse(ret, text.p, text.n, e) || err_wrap(e, "%s", path);
}

static bool build(struct buf *out, struct policy **ret, const struct jval *in, const char *path,
		  uint64_t next_version, struct err *e)
{
	int64_t now_s = clock_wall_s(clock_system());

	return bundle_fill_in(out, ret, in, next_version, now_s, e) || err_wrap(e, "%s", path);
}

bool cmd_policy_check(int argc, char **argv, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_POLICY_JSON);
	CLEANUP(policy_freep) struct policy *p = NULL;

	if (!opts_check(e) || !read_input(&d, argv[0], e) ||
	    !build(&text, &p, jdoc_root(d), argv[0], 1, e))
		return false;
	if (opts_json())
		return buf_add_str(&text, "\n", e) && out_write(&text, e);
	printf("%s: policy %s is fine\n", argv[0], p->name);
	return true;
}

/* ---- publish ----------------------------------------------------------------------------- */

/* A file without version is the next version, unless its settings are those of the newest: then
 * nothing is to be done, so that the same publish repeated succeeds quietly. */
static bool choose_version(uint64_t *ret, struct remote *r, const char *name, struct err *e)
{
	CLEANUP(role_done) struct role role = ROLE_INIT;

	return role_load(&role, r, "policies", e) &&
	       bundle_next_version(ret, role.meta, name, e);
}

/* The bundle that the server has, published or waiting; `text` stays empty when there is none with these
 * settings. */
static bool find_same(struct buf *text, struct remote *r, const struct remote_call *c,
		      const struct jval *in, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(jdoc_freep) struct jdoc *theirs = NULL;
	const struct jval *a, *b;
	const char *bundle;
	bool same;
	size_t n;

	if (!remote_do(r, c, NULL, &d, e))
		return e->code == E_NOT_FOUND;
	if (!d || !jobj_text(&bundle, &n, jdoc_root(d), "bundle", LIMIT_POLICY_JSON, e) ||
	    !jdoc_parse(&theirs, bundle, n, e) ||
	    !jobj_obj(&a, jdoc_root(theirs), "settings", e) ||
	    !jobj_obj(&b, in, "settings", e) || !cjson_equal(&same, a, b, e))
		return err_wrap(e, "policy, as the server has it");
	return !same || buf_add(text, bundle, n, e);
}

static bool is_newest(bool *ret, struct remote *r, const char *name, const struct jval *in,
		      struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_POLICY_JSON);
	const char *const params[] = { name, NULL };
	struct remote_call c = { .route = ROUTE_POLICY_GET, .params = params };

	if (!find_same(&text, r, &c, in, e))
		return false;
	*ret = text.n > 0;
	return true;
}

/* One that waits with these settings is the one that is meant: it is signed as it is, with its dates. */
static bool find_waiting(struct buf *text, struct remote *r, const char *name, uint64_t version,
			 const struct jval *in, struct err *e)
{
	char number[24];
	const char *const params[] = { name, number, NULL };
	struct remote_call c = { .route = ROUTE_POLICY_PROPOSAL, .params = params };

	snprintf(number, sizeof(number), "%" PRIu64, version);
	return find_same(text, r, &c, in, e);
}

/* The bundle of a file that leaves the version to us, once the server is known.  *ret_same: there is nothing
 * to be done. */
static bool number_it(struct buf *text, struct policy **p, bool *ret_same, struct remote *r,
		      const struct jval *in, const char *path, struct err *e)
{
	uint64_t version;

	if (!is_newest(ret_same, r, (*p)->name, in, e))
		return false;
	if (*ret_same)
		return true;
	buf_reset(text);
	if (!choose_version(&version, r, (*p)->name, e) ||
	    !find_waiting(text, r, (*p)->name, version, in, e))
		return false;
	policy_free(TAKE(*p));
	return text->n > 0 ? policy_parse(p, text->p, text->n, e)
			   : build(text, p, in, path, version, e);
}

/* Everything but the last step: the others sign the file, the last of them publishes it. */
static bool leave_partial(struct remote *r, const struct buf *text,
			  const struct tuf_make_target *add, const struct key *key,
			  struct err *e)
{
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	const struct home *h = &r->home;

	ceremony_init(&c, CEREMONY_IMAGE, "policies");
	if (!ceremony_fetch(&c, r, e) || !ceremony_check(&c, h, e) || !ceremony_trust(&c, h, e))
		return false;
	struct tuf_make_targets in = {
		.old = c.before ? c.previous.p : NULL,
		.old_n = c.previous.n,
		.version = c.before ? c.before->version + 1 : 1,
		.expires_s = clock_wall_s(clock_system()) + ROLE_LIFE_S,
		.add = add,
		.n_add = 1,
	};
	return tuf_make_targets(&c.file, &in, e) && buf_add(&c.payload, text->p, text->n, e) &&
	       ceremony_check(&c, h, e) && ceremony_sign(&c, key, h, e) &&
	       ceremony_store(&c, opt_partial, e) && cmd_ceremony_show(&c, h, e);
}

static bool post_bundle(struct remote *r, const struct policy *p, const struct buf *text,
			enum role_result *ret, struct err *e)
{
	CLEANUP(key_done) struct key key = { 0 };
	char path[POLICY_PATH_SIZE], custom[LIMIT_NAME + 80], what[LIMIT_NAME + 40];
	struct tuf_make_target add = { .path = path, .length = text->n, .custom = custom };
	struct role_update u = { .role = "policies",
				 .add = &add,
				 .n_add = 1,
				 .field = "bundle",
				 .text = buf_str(text),
				 .route = ROUTE_POLICY_NEW,
				 .what = what,
				 .clock = clock_system(),
				 .rng = rng_system(),
				 .key = &key };

	policy_path(path, p->name, p->version);
	sha256(add.sha256, text->p, text->n);
	snprintf(custom, sizeof(custom),
		 "{\"valise\":{\"kind\":\"policy\",\"name\":\"%s\",\"version\":%" PRIu64 "}}",
		 p->name, p->version);
	snprintf(what, sizeof(what), "policy %s version %" PRIu64, p->name, p->version);
	if (!keys_open(&r->home, opt_key, NULL, &key, e))
		return false;
	if (opt_partial)
		return leave_partial(r, text, &add, &key, e);
	return role_update(r, &u, ret, e);
}

static bool print_published(const char *name, uint64_t version, const char *result,
			    struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw w;

	if (!opts_json()) {
		if (version == 0)
			printf("%s policy %s: the settings are those of the newest version\n",
			       result, name);
		else
			printf("%s policy %s version %" PRIu64 "\n", result, name, version);
		return true;
	}
	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_str(&w, "name", name);
	if (version > 0)
		jw_u64(&w, "version", version);
	jw_str(&w, "result", result);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}

bool cmd_policy_publish(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_POLICY_JSON);
	CLEANUP(policy_freep) struct policy *p = NULL;
	enum role_result result = ROLE_UPDATED;
	bool same = false;

	/* Wrong settings are told before the network is asked anything. */
	if (!read_input(&d, argv[0], e) || !build(&text, &p, jdoc_root(d), argv[0], 1, e) ||
	    !remote_open(&r, REMOTE_TOKEN, e) ||
	    (!jobj_has(jdoc_root(d), "version") &&
	     !number_it(&text, &p, &same, &r, jdoc_root(d), argv[0], e)))
		return false;
	if (same)
		return print_published(p->name, 0, "unchanged", e);
	if (!post_bundle(&r, p, &text, &result, e))
		return false;
	return opt_partial ||
	       print_published(p->name, p->version,
			       result == ROLE_WAS_THERE ? "unchanged" : "published", e);
}

/* ---- the others -------------------------------------------------------------------------- */

bool cmd_policy_assign(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	const char *const params[] = { argv[0], NULL };
	struct remote_call c = { .route = ROUTE_POLICY_ASSIGN,
				 .params = params,
				 .body = &body };
	struct jw w;

	if (!cmd_target_check(&cmd_target, e) || !remote_open(&r, REMOTE_TOKEN, e))
		return false;
	jw_init(&w, &body);
	jw_obj(&w, NULL);
	if (!cmd_target_write(&r, &w, "target", &cmd_target, e))
		return false;
	jw_end(&w);
	return jw_finish(&w, e) &&
	       cmd_call_and_print(&r, &c, item_cols, ARRAY_SIZE(item_cols), e);
}

bool cmd_policy_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };

	if (!remote_open(&r, REMOTE_TOKEN, e))
		return false;
	if (opt_pending)
		return cmd_print_list(&r, ROUTE_POLICY_LIST, "state=pending", pending_cols,
				      ARRAY_SIZE(pending_cols), "nothing waits for signatures",
				      e);
	return cmd_print_list(&r, ROUTE_POLICY_LIST, NULL, list_cols, ARRAY_SIZE(list_cols),
			      "no policies; `valise policy publish FILE` makes one", e);
}

static bool print_settings(const struct jval *item, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(4 * LIMIT_POLICY_JSON);
	const char *text;
	size_t n;

	return jobj_text(&text, &n, item, "bundle", LIMIT_POLICY_JSON, e) &&
	       bundle_settings(&b, text, n, e) && out_write(&b, e);
}

bool cmd_policy_show(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct release_ref ref;
	const char *const params[] = { argv[0], NULL };
	const char *const both[] = { ref.product, ref.version, NULL };
	struct remote_call c = { .route = ROUTE_POLICY_GET, .params = params };

	if (strchr(argv[0], '/')) {
		if (!release_ref_parse(&ref, argv[0], e))
			return false;
		c = (struct remote_call){ .route = ROUTE_POLICY_VERSION, .params = both };
	}
	if (!remote_open(&r, REMOTE_TOKEN, e) || !remote_do(&r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	return cmd_print_item(jdoc_root(d), item_cols, ARRAY_SIZE(item_cols), e) &&
	       (opts_json() || print_settings(jdoc_root(d), e));
}

/* Who decided: "base version 3, for group sales", or what stands in for that. */
static bool explain_from(struct buf *out, const struct jval *v, struct err *e)
{
	static const struct out_col parts[] = { { "", "from.name", OUT_TEXT },
						{ " version ", "from.version", OUT_TEXT },
						{ ", for ", "from.level", OUT_TEXT },
						{ " ", "from.group", OUT_TEXT } };
	const struct jval *value = jobj_opt(v, "value");
	const struct jval *winner = jobj_opt(v, "from");
	const struct jval *candidates = jobj_opt(v, "candidates");
	bool several = candidates && jval_type(candidates) == J_ARR && jarr_n(candidates) > 0;

	if (!value || jval_type(value) == J_NULL)
		return buf_add_str(out, "not set", e);
	if (!winner || jval_type(winner) != J_OBJ || !jobj_has(winner, "version"))
		return buf_add_str(out, several ? "several together" : "default", e);
	for (size_t i = 0; i < ARRAY_SIZE(parts) - !jobj_has(winner, "group"); i++) {
		if (!buf_add_str(out, parts[i].title, e) || !out_cell(out, v, &parts[i], e))
			return false;
	}
	return true;
}

/* One key of the explanation: {"value", "rule", "from", "candidates"} (proto/policy.h). */
static bool explain_row(struct jw *w, const char *key, const struct jval *v, struct err *e)
{
	CLEANUP(buf_done) struct buf value = BUF_INIT(LIMIT_POLICY_JSON);
	CLEANUP(buf_done) struct buf from = BUF_INIT(LIMIT_POLICY_JSON);
	static const struct out_col col = { "", "value", OUT_TEXT };

	if (!out_cell(&value, v, &col, e) || !explain_from(&from, v, e))
		return false;
	jw_obj(w, NULL);
	jw_str(w, "key", key);
	jw_str(w, "value", buf_str(&value));
	jw_str(w, "from", buf_str(&from));
	jw_end(w);
	return true;
}

static bool print_explained(const struct jval *keys, struct err *e)
{
	static const struct out_col cols[] = {
		{ "KEY", "key", OUT_TEXT },
		{ "VALUE", "value", OUT_TEXT },
		{ "FROM", "from", OUT_TEXT },
	};
	CLEANUP(out_table_freep) struct out_table *t = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(16 * LIMIT_POLICY_JSON);
	CLEANUP(buf_done) struct buf text = BUF_INIT(16 * LIMIT_POLICY_JSON);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct jw w;

	jw_init(&w, &b);
	jw_arr(&w, NULL);
	for (struct jiter it = jobj_first(keys); it.val; it = jobj_next(keys, it)) {
		if (jval_type(it.val) == J_OBJ && !explain_row(&w, it.key, it.val, e))
			return false;
	}
	jw_end(&w);
	if (!jw_finish(&w, e) || !jdoc_parse(&d, b.p, b.n, e) ||
	    !out_table_new(&t, cols, ARRAY_SIZE(cols), e))
		return false;
	for (size_t i = 0; i < jarr_n(jdoc_root(d)); i++) {
		if (!out_table_add(t, jarr_at(jdoc_root(d), i), e))
			return false;
	}
	return out_table_draw(t, out_style(stdout), &text, e) && out_write(&text, e);
}

bool cmd_policy_explain(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char id[DEVICE_ID_SIZE];
	const char *const params[] = { id, NULL };
	struct remote_call c = { .route = ROUTE_DEVICE_POLICY, .params = params };
	const struct jval *keys;

	if (!remote_open(&r, REMOTE_TOKEN, e) || !cmd_find_device(&r, argv[0], id, e) ||
	    !remote_do(&r, &c, NULL, &d, e))
		return false;
	if (!d || !jval_is_obj(jdoc_root(d), e))
		return err_set(e, E_FORMAT, "the server answered no policy");
	if (opts_json())
		return out_json(jdoc_root(d), e);
	keys = jobj_opt(jdoc_root(d), "settings");
	return print_explained(keys ? keys : jdoc_root(d), e);
}
