#include "admin-cli/ask.h"
#include "admin-cli/cmd.h"
#include "admin-cli/opts.h"
#include "base/text.h"
#include "proto/release.h"

static const char *opt_reason;

const struct cli_opt withdraw_opts[] = {
	{ "reason", 0, "TEXT", "why; goes into the audit log", CLI_STRING, &opt_reason },
	{ 0 },
};

static bool opt_pending;

const struct cli_opt release_list_opts[] = {
	{ "pending", 0, NULL, "those that wait for signatures", CLI_FLAG, &opt_pending },
	{ 0 },
};

static const struct out_col pending_cols[] = {
	{ "PRODUCT", "product", OUT_TEXT }, { "VERSION", "version", OUT_TEXT },
	{ "STATE", "state", OUT_WHOLE },    { "PROPOSED", "proposed_at", OUT_WHOLE },
	{ "BY", "proposed_by", OUT_TEXT },  { "UNTIL", "expires_at", OUT_WHOLE },
};
static const struct out_col list_cols[] = {
	{ "PRODUCT", "product", OUT_TEXT },
	{ "VERSION", "version", OUT_TEXT },
	{ "SECURITY", "security_version", OUT_TEXT },
	{ "DOWNLOAD", "download_size", OUT_BYTES },
	{ "STATE", "state", OUT_WHOLE },
	{ "PUBLISHED", "published_at", OUT_WHOLE },
	{ "BY", "published_by", OUT_TEXT },
};
static const struct out_col item_cols[] = {
	{ "product", "product", OUT_TEXT },
	{ "version", "version", OUT_TEXT },
	{ "security version", "security_version", OUT_TEXT },
	{ "data schema", "data_schema", OUT_TEXT },
	{ "state", "state", OUT_TEXT },
	{ "download", "download_size", OUT_BYTES },
	{ "release.json", "sha256", OUT_TEXT },
	{ "components", "release.components", OUT_LIST },
	{ "models", "release.models", OUT_LIST },
	{ "health deadline, s", "release.health.deadline_s", OUT_TEXT },
	{ "published", "published_at", OUT_WHOLE },
	{ "by", "published_by", OUT_TEXT },
	{ "withdrawn", "withdrawn_at", OUT_WHOLE },
	{ "proposed", "proposed_at", OUT_WHOLE },
	{ "by", "proposed_by", OUT_TEXT },
	{ "until", "expires_at", OUT_WHOLE },
	{ "signatures needed", "signatures.threshold", OUT_TEXT },
	{ "signed by keys", "signatures.signed", OUT_LIST },
	{ "other keys", "signatures.missing", OUT_LIST },
};

static const struct out_col delta_cols[] = {
	{ "DELTA OF", "component", OUT_TEXT },
	{ "FROM", "from", OUT_TEXT },
	{ "DEVICES", "devices", OUT_TEXT },
	{ "STATE", "state", OUT_WHOLE },
	{ "%", "percent", OUT_TEXT },
	{ "SIZE", "size", OUT_BYTES },
	{ "INSTEAD OF", "full_size", OUT_BYTES },
	{ "REASON", "reason", OUT_PROSE },
};

bool cmd_release_list(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	char query[LIMIT_NAME + 40] = "";

	if (argc > 0 && !name_check(argv[0], LIMIT_NAME, "product", e))
		return false;
	if (argc > 0 || opt_pending)
		snprintf(query, sizeof(query), "%s%s%s", argc > 0 ? "product=" : "",
			 argc > 0 ? argv[0] : "",
			 !opt_pending ? ""
			 : argc > 0   ? "&state=pending"
				      : "state=pending");
	if (!remote_open(&r, REMOTE_TOKEN, e))
		return false;
	if (opt_pending)
		return cmd_print_list(&r, ROUTE_RELEASE_LIST, query, pending_cols,
				      ARRAY_SIZE(pending_cols), "nothing waits for signatures",
				      e);
	return cmd_print_list(&r, ROUTE_RELEASE_LIST, argc > 0 ? query : NULL, list_cols,
			      ARRAY_SIZE(list_cols),
			      "no releases; `valise publish DIR` makes one", e);
}

bool cmd_release_show(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	struct release_ref ref;
	const char *const params[] = { ref.product, ref.version, NULL };
	struct remote_call c = { .route = ROUTE_RELEASE_GET, .params = params };

	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	if (!release_ref_parse(&ref, argv[0], e) || !remote_open(&r, REMOTE_TOKEN, e) ||
	    !remote_do(&r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	return cmd_print_item(jdoc_root(d), item_cols, ARRAY_SIZE(item_cols), e) &&
	       (opts_json() ||
		cmd_print_part(jdoc_root(d), "deltas", delta_cols, ARRAY_SIZE(delta_cols), e));
}

bool cmd_release_withdraw(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	struct release_ref ref;
	const char *const params[] = { ref.product, ref.version, NULL };
	struct remote_call c = { .route = ROUTE_RELEASE_WITHDRAW,
				 .params = params,
				 .body = &body };
	struct jw w;
	char question[RELEASE_REF_SIZE + 80];

	if (!release_ref_parse(&ref, argv[0], e) || !remote_open(&r, REMOTE_TOKEN, e))
		return false;
	snprintf(question, sizeof(question),
		 "Withdraw %s?  Its version cannot be published again.", argv[0]);
	jw_init(&w, &body);
	jw_obj(&w, NULL);
	if (opt_reason)
		jw_str(&w, "reason", opt_reason);
	jw_end(&w);
	return jw_finish(&w, e) && ask_confirm(question, e) &&
	       cmd_call_and_print(&r, &c, item_cols, ARRAY_SIZE(item_cols), e);
}
