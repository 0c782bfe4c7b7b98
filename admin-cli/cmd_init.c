#include "admin-cli/ask.h"
#include "admin-cli/cmd.h"
#include "admin-cli/init.h"
#include "admin-cli/opts.h"
#include "base/text.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cli_list opt_products;
static const char *opt_root = "1of1";
static const char *opt_name;
static bool opt_no_passphrase;

const struct cli_opt init_opts[] = {
	{ "product", 'p', "NAME", "product with a publisher key; may be repeated", CLI_LIST,
	  &opt_products },
	{ "root", 0, "MofN", "root keys and how many of them must sign; 1of1 if not given",
	  CLI_STRING, &opt_root },
	{ "name", 0, "NAME", "of the first API token; your user name if not given", CLI_STRING,
	  &opt_name },
	{ "no-passphrase", 0, NULL, "do not seal the key files; for trials only", CLI_FLAG,
	  &opt_no_passphrase },
	{ 0 },
};

static void show_step(void *arg, const char *what, bool made)
{
	cmd_note("  %s %s", made ? "made " : "is there:", what);
}

/* ---- the first named token --------------------------------------------------------------- */

/* A user name as a name of ours: letters in lower case, the rest dashes. */
static void default_name(char out[static LIMIT_NAME + 1])
{
	const struct passwd *pw = getpwuid(getuid());
	const char *s = pw ? pw->pw_name : "admin";
	size_t n = 0;

	for (; *s && n < LIMIT_NAME; s++) {
		char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;

		out[n++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
	}
	out[n] = '\0';
	if (!name_is_valid(out, LIMIT_NAME))
		snprintf(out, LIMIT_NAME + 1, "admin");
}

struct whoami {
	char id[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
};

static bool who_am_i(struct remote *r, struct whoami *ret, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct remote_call c = { .route = ROUTE_STATUS };
	const struct jval *token;

	if (!remote_do(r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	return jobj_obj(&token, jdoc_root(d), "token", e) &&
	       jobj_copy(ret->id, sizeof(ret->id), token, "id", e) &&
	       jobj_copy(ret->name, sizeof(ret->name), token, "name", e);
}

static bool new_token(struct remote *r, const char *name, struct secret **ret, struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct remote_call c = { .route = ROUTE_TOKEN_NEW, .body = &body };
	const char *text;
	struct jw w;

	jw_init(&w, &body);
	jw_obj(&w, NULL);
	jw_str(&w, "name", name);
	jw_arr(&w, "scopes");
	jw_str(&w, NULL, "admin");
	jw_end(&w);
	jw_u64(&w, "ttl_s", 0);
	jw_end(&w);
	if (!jw_finish(&w, e) || !remote_do(r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	return jobj_str(&text, jdoc_root(d), "token", 128, e) &&
	       secret_copy(ret, text, strlen(text), e);
}

/* A token that is not to be replaced is kept, like that of a login, where there is none yet. */
static bool keep_token(struct remote *r, struct err *e)
{
	CLEANUP(secret_freep) struct secret *kept = NULL;

	if (home_load_token(&r->home, &kept, e))
		return true;
	return e->code == E_NOT_FOUND && home_save_token(&r->home, remote_token(r), e);
}

/* The bootstrap token lies in a file of the server; it ends once the new one is kept and works. */
static bool replace_bootstrap(struct remote *r, struct err *e)
{
	CLEANUP(secret_freep) struct secret *token = NULL;
	struct whoami old, now;
	char name[LIMIT_NAME + 1], text[160];
	const char *const params[] = { old.id, NULL };
	struct remote_call revoke = { .route = ROUTE_TOKEN_DELETE, .params = params };
	bool ok;

	if (!who_am_i(r, &old, e))
		return false;
	if (strcmp(old.name, "bootstrap") != 0)
		return keep_token(r, e);
	default_name(name);
	if (!new_token(r, opt_name ? opt_name : name, &token, e))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)token->n, (const char *)token->p);
	ok = home_save_token(&r->home, text, e);
	wipe(text, sizeof(text));
	if (!ok || !remote_set_token(r, token, e) || !who_am_i(r, &now, e) ||
	    !remote_do(r, &revoke, NULL, NULL, e))
		return err_wrap(e, "replacing the bootstrap token");
	show_step(NULL, "API token of its own, the bootstrap token is revoked", true);
	return true;
}

/* ---- the command ------------------------------------------------------------------------- */

static bool save_settings(struct remote *r, struct err *e)
{
	const char *pin = opts.pin ? opts.pin : getenv("VALISE_PIN");

	if (strcmp(r->home.set.server, r->url) == 0 && !opts.pin && !opts.ca_file)
		return true;
	return home_save(&r->home, r->url, r->has_pin ? pin : "", opts.ca_file,
			 r->home.set.proxy, e);
}

/* After a broken-off init the bootstrap token may be gone already: then the kept one serves. */
static bool open_remote(struct remote *r, struct err *e)
{
	CLEANUP(secret_freep) struct secret *kept = NULL;
	struct whoami me;
	struct err second;

	if (!remote_open(r, REMOTE_ASK, e))
		return false;
	if (who_am_i(r, &me, e))
		return true;
	if (e->code != E_AUTH || !home_load_token(&r->home, &kept, &second) ||
	    !remote_set_token(r, kept, &second))
		return false;
	return who_am_i(r, &me, e);
}

static bool print_result(const struct remote *r, const struct init *i, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw w;

	if (!opts_json()) {
		cmd_note(
			"The server is ready.  Now: keep copies of %s/keys, take image-root-* and "
			"director-root-* off this machine, and give publisher keys to CI.",
			r->home.path);
		return true;
	}
	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_str(&w, "server", r->url);
	jw_str(&w, "home", r->home.path);
	jw_u64(&w, "root_threshold", i->root_m);
	jw_u64(&w, "root_keys", i->root_n);
	jw_arr(&w, "products");
	for (size_t n = 0; n < i->n_products; n++)
		jw_str(&w, NULL, i->products[n]);
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}

bool cmd_init(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(secret_freep) struct secret *passphrase = NULL;
	struct init i = { .remote = &r,
			  .products = opt_products.v,
			  .n_products = opt_products.n,
			  .clock = clock_system(),
			  .rng = rng_system(),
			  .step = show_step };

	if (opt_products.n == 0)
		return err_set(e, E_USAGE, "name at least one --product");
	if (opt_name && !name_is_valid(opt_name, LIMIT_NAME))
		return err_set(e, E_USAGE, "--name=%.80s is no name", opt_name);
	if (!init_parse_threshold(opt_root, &i.root_m, &i.root_n, e) || !open_remote(&r, e) ||
	    !save_settings(&r, e))
		return false;
	if (!opt_no_passphrase && !ask_passphrase(&passphrase, "the new keys", true, e))
		return false;
	i.passphrase = passphrase;
	return init_run(&i, e) && replace_bootstrap(&r, e) && print_result(&r, &i, e);
}
