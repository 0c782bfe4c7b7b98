#include "admin-cli/ask.h"
#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"
#include "base/text.h"

#include <string.h>

static const char *opt_group, *opt_state, *opt_reason;

const struct cli_opt device_list_opts[] = {
	{ "group", 'g', "NAME", "only devices of this group", CLI_STRING, &opt_group },
	{ "state", 0, "STATE", "only pending, active or revoked ones", CLI_STRING, &opt_state },
	{ 0 },
};
const struct cli_opt device_revoke_opts[] = {
	{ "reason", 0, "TEXT", "why; goes into the audit log", CLI_STRING, &opt_reason },
	{ 0 },
};

static const struct out_col list_cols[] = {
	{ "ID", "id", OUT_ID },
	{ "NAME", "name", OUT_TEXT },
	{ "MODEL", "model", OUT_TEXT },
	{ "STATE", "state", OUT_WHOLE },
	{ "GROUPS", "groups", OUT_LIST },
	{ "UPDATE", "update", OUT_WHOLE },
	{ "RUNS", "release.applied", OUT_TEXT },
	{ "WANTED", "release.wanted", OUT_TEXT },
	{ "LAST SEEN", "last_seen_at", OUT_WHOLE },
};
static const struct out_col item_cols[] = {
	{ "id", "id", OUT_TEXT },
	{ "fingerprint", "fingerprint", OUT_TEXT },
	{ "keys since", "key_since", OUT_WHOLE },
	{ "keys changed", "key_changes", OUT_TEXT },
	{ "state", "state", OUT_TEXT },
	{ "name", "name", OUT_TEXT },
	{ "model", "model", OUT_TEXT },
	{ "serial", "serial", OUT_TEXT },
	{ "groups", "groups", OUT_LIST },
	{ "attributes", "attributes", OUT_PAIRS },
	{ "enrolled", "enrolled_at", OUT_WHOLE },
	{ "last seen", "last_seen_at", OUT_WHOLE },
	{ "agent", "agent", OUT_TEXT },
	{ "update", "update", OUT_TEXT },
	{ "slot", "slot", OUT_TEXT },
	{ "release wanted", "release.wanted", OUT_TEXT },
	{ "release delivered", "release.delivered", OUT_TEXT },
	{ "release applied", "release.applied", OUT_TEXT },
	{ "rollout", "rollout", OUT_TEXT },
	{ "security version floor", "security_version_floor", OUT_TEXT },
	{ "status", "status", OUT_PAIRS },
};
static const struct out_col policy_cols[] = {
	{ "POLICY", "name", OUT_TEXT },
	{ "WANTED", "wanted", OUT_TEXT },
	{ "DELIVERED", "delivered", OUT_TEXT },
	{ "APPLIED", "applied", OUT_TEXT },
};
static const struct out_col event_cols[] = {
	{ "AT", "at", OUT_WHOLE },          { "KIND", "kind", OUT_WHOLE },
	{ "RELEASE", "release", OUT_TEXT }, { "STATE", "state", OUT_WHOLE },
	{ "REASON", "reason", OUT_PROSE },
};

bool cmd_device_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	char query[256] = "";

	if (opt_group && !name_check(opt_group, LIMIT_NAME, "group", e))
		return false;
	if (opt_state && !name_is_valid(opt_state, 16))
		return err_set(e, E_USAGE, "--state=%.80s", opt_state);
	snprintf(query, sizeof(query), "%s%s%s%s%s", opt_group ? "group=" : "",
		 opt_group ? opt_group : "", opt_group && opt_state ? "&" : "",
		 opt_state ? "state=" : "", opt_state ? opt_state : "");
	return remote_open(&r, REMOTE_TOKEN, e) &&
	       cmd_print_list(&r, ROUTE_DEVICE_LIST, *query ? query : NULL, list_cols,
			      ARRAY_SIZE(list_cols),
			      "no devices; `valise enrol new` makes a ticket", e);
}

bool cmd_device_show(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char id[DEVICE_ID_SIZE];
	const char *const params[] = { id, NULL };
	struct remote_call c = { .route = ROUTE_DEVICE_GET, .params = params };

	if (!remote_open(&r, REMOTE_TOKEN, e) || !cmd_find_device(&r, argv[0], id, e) ||
	    !remote_do(&r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	if (!cmd_print_item(jdoc_root(d), item_cols, ARRAY_SIZE(item_cols), e))
		return false;
	return opts_json() ||
	       (cmd_print_part(jdoc_root(d), "policies", policy_cols, ARRAY_SIZE(policy_cols),
			       e) &&
		cmd_print_part(jdoc_root(d), "events", event_cols, ARRAY_SIZE(event_cols), e));
}

static bool change(struct remote *r, enum api_route_id route, const char *id,
		   const char *reason, struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	const char *const params[] = { id, NULL };
	struct remote_call c = { .route = route, .params = params, .body = &body };
	struct jw w;

	jw_init(&w, &body);
	jw_obj(&w, NULL);
	if (reason)
		jw_str(&w, "reason", reason);
	jw_end(&w);
	return jw_finish(&w, e) &&
	       cmd_call_and_print(r, &c, item_cols, ARRAY_SIZE(item_cols), e);
}

bool cmd_device_approve(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char id[DEVICE_ID_SIZE], question[160];
	const char *const params[] = { id, NULL };
	struct remote_call c = { .route = ROUTE_DEVICE_GET, .params = params };
	const char *print;

	if (!remote_open(&r, REMOTE_TOKEN, e) || !cmd_find_device(&r, argv[0], id, e) ||
	    !remote_do(&r, &c, NULL, &d, e))
		return false;
	/* The fingerprint is what tells the handset in hand from one that stole the ticket. */
	if (!d || !jobj_str(&print, jdoc_root(d), "fingerprint", 64, e))
		return err_wrap(e, "device %.12s", id);
	snprintf(question, sizeof(question), "The handset shows the fingerprint %s?", print);
	return ask_confirm(question, e) && change(&r, ROUTE_DEVICE_APPROVE, id, NULL, e);
}

bool cmd_device_revoke(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	char id[DEVICE_ID_SIZE], question[160];

	if (!remote_open(&r, REMOTE_TOKEN, e) || !cmd_find_device(&r, argv[0], id, e))
		return false;
	snprintf(question, sizeof(question), "Shut device %s out for good?", id);
	return ask_confirm(question, e) && change(&r, ROUTE_DEVICE_REVOKE, id, opt_reason, e);
}
