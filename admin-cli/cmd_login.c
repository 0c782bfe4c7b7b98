#include "admin-cli/ask.h"
#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *opt_proxy;

const struct cli_opt login_opts[] = {
	{ "proxy", 0, "URL", "proxy to use, instead of the environment's", CLI_STRING,
	  &opt_proxy },
	{ 0 },
};

static bool find_token(struct secret **ret, struct err *e)
{
	const char *env = getenv("VALISE_TOKEN");

	if (opts.token_file)
		return ask_secret_file(ret, opts.token_file, e);
	if (env && *env)
		return secret_copy(ret, env, strlen(env), e);
	if (isatty(STDIN_FILENO))
		return secret_ask(ret, "API token: ", e);
	err_set(e, E_USAGE, "no token and no terminal to ask for one");
	return err_hint(e, "give --token-file (- is standard input) or set VALISE_TOKEN");
}

/* Only what works is kept. */
bool cmd_login(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(secret_freep) struct secret *token = NULL;
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct remote_call c = { .route = ROUTE_STATUS };
	char text[160];
	const char *pin = opts.pin ? opts.pin : getenv("VALISE_PIN");
	bool ok;

	opts.server = argv[0];
	if (!remote_open(&r, REMOTE_NO_TOKEN, e) || !find_token(&token, e) ||
	    !remote_set_token(&r, token, e) || !remote_do(&r, &c, NULL, &d, e))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)token->n, (const char *)token->p);
	ok = home_save(&r.home, r.url, r.has_pin ? pin : "", opts.ca_file, opt_proxy, e) &&
	     home_save_token(&r.home, text, e);
	wipe(text, sizeof(text));
	if (!ok)
		return false;
	cmd_note("Logged in to %s; settings are in %s.", r.url, r.home.path);
	return !opts_json() || !d || out_json(jdoc_root(d), e);
}
