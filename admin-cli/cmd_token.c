#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"
#include "base/text.h"

static struct cli_list opt_scopes;
static const char *opt_ttl;

const struct cli_opt token_new_opts[] = {
	{ "scope", 0, "SCOPE",
	  "publish, policy, rollout, device:read, device:command or admin; may be repeated",
	  CLI_LIST, &opt_scopes },
	{ "ttl", 0, "DURATION", "how long it is good: 90d, 12h; for ever if not given",
	  CLI_STRING, &opt_ttl },
	{ 0 },
};

static const struct out_col list_cols[] = {
	{ "ID", "id", OUT_TEXT },
	{ "NAME", "name", OUT_TEXT },
	{ "SCOPES", "scopes", OUT_LIST },
	{ "CREATED", "created_at", OUT_WHOLE },
	{ "EXPIRES", "expires_at", OUT_WHOLE },
	{ "LAST USED", "last_used_at", OUT_WHOLE },
	{ "REVOKED", "revoked_at", OUT_WHOLE },
};
static const struct out_col item_cols[] = {
	{ "id", "id", OUT_TEXT },
	{ "name", "name", OUT_TEXT },
	{ "scopes", "scopes", OUT_LIST },
	{ "expires", "expires_at", OUT_WHOLE },
	{ "revoked", "revoked_at", OUT_WHOLE },
	{ "token", "token", OUT_TEXT },
};

bool cmd_token_new(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	struct remote_call c = { .route = ROUTE_TOKEN_NEW, .body = &body };
	enum api_scope scope;
	uint64_t ttl_s = 0;
	struct jw w;

	if (opt_scopes.n == 0)
		return err_set(e, E_USAGE, "say what it may do: --scope");
	if (opt_ttl && !duration_parse(&ttl_s, opt_ttl))
		return err_set(e, E_USAGE, "--ttl=%.40s: wants a duration such as 90d",
			       opt_ttl);
	jw_init(&w, &body);
	jw_obj(&w, NULL);
	jw_str(&w, "name", argv[0]);
	jw_arr(&w, "scopes");
	for (size_t i = 0; i < opt_scopes.n; i++) {
		if (!api_scope_parse(&scope, opt_scopes.v[i])) {
			err_set(e, E_USAGE, "--scope=%.40s: no such scope", opt_scopes.v[i]);
			return err_hint(
				e,
				"`valise help token new` names them; for several repeat --scope");
		}
		jw_str(&w, NULL, opt_scopes.v[i]);
	}
	jw_end(&w);
	jw_u64(&w, "ttl_s", ttl_s);
	jw_end(&w);
	if (!jw_finish(&w, e) || !remote_open(&r, REMOTE_TOKEN, e) ||
	    !cmd_call_and_print(&r, &c, item_cols, ARRAY_SIZE(item_cols), e))
		return false;
	cmd_note("The token is shown this once.");
	return true;
}

bool cmd_token_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };

	return remote_open(&r, REMOTE_TOKEN, e) &&
	       cmd_print_list(&r, ROUTE_TOKEN_LIST, NULL, list_cols, ARRAY_SIZE(list_cols),
			      "no tokens", e);
}

bool cmd_token_revoke(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	const char *const params[] = { argv[0], NULL };
	struct remote_call c = { .route = ROUTE_TOKEN_DELETE, .params = params };

	if (!remote_open(&r, REMOTE_TOKEN, e))
		return false;
	if (cmd_call_and_print(&r, &c, item_cols, ARRAY_SIZE(item_cols), e))
		return true;
	return e->code == E_NOT_FOUND ? err_hint(e, "name it by its id: valise token list")
				      : false;
}
