#include "admin-cli/ask.h"
#include "admin-cli/cmd.h"
#include "proto/release.h"

static const struct out_col cols[] = {
	{ "ID", "id", OUT_TEXT },
	{ "PRODUCT", "product", OUT_TEXT },
	{ "VERSION", "version", OUT_TEXT },
	{ "TARGET", "target", OUT_TARGET },
	{ "STATE", "state", OUT_WHOLE },
	{ "REACHED", "reached", OUT_TEXT },
	{ "GRANTED", "granted", OUT_TEXT },
	{ "DELIVERED", "delivered", OUT_TEXT },
	{ "APPLIED", "applied", OUT_TEXT },
	{ "FAILED", "failed", OUT_TEXT },
	{ "STARTED", "created_at", OUT_WHOLE },
};
static const struct out_col item_cols[] = {
	{ "rollout", "id", OUT_TEXT },
	{ "product", "product", OUT_TEXT },
	{ "version", "version", OUT_TEXT },
	{ "target", "target", OUT_TARGET },
	{ "state", "state", OUT_TEXT },
	{ "devices reached", "reached", OUT_TEXT },
	{ "granted", "granted", OUT_TEXT },
	{ "delivered", "delivered", OUT_TEXT },
	{ "applied", "applied", OUT_TEXT },
	{ "failed", "failed", OUT_TEXT },
	{ "superseded", "superseded", OUT_TEXT },
	{ "started", "created_at", OUT_WHOLE },
	{ "by", "created_by", OUT_TEXT },
};

bool cmd_rollout_start(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_SMALL_BODY);
	struct release_ref ref;
	struct remote_call c = { .route = ROUTE_ROLLOUT_NEW, .body = &body };
	struct jw w;
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char question[RELEASE_REF_SIZE + 80];
	struct err ignored;
	uint64_t reached;

	if (!release_ref_parse(&ref, argv[0], e) || !cmd_target_check(&cmd_target, e) ||
	    !remote_open(&r, REMOTE_TOKEN, e))
		return false;
	snprintf(question, sizeof(question), "Give %s to every device?", argv[0]);
	if (cmd_target.all && !ask_confirm(question, e))
		return false;
	jw_init(&w, &body);
	jw_obj(&w, NULL);
	jw_str(&w, "product", ref.product);
	jw_str(&w, "version", ref.version);
	if (!cmd_target_write(&r, &w, "target", &cmd_target, e))
		return false;
	jw_end(&w);
	if (!jw_finish(&w, e) || !remote_do(&r, &c, NULL, &d, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "the server answered nothing");
	if (!cmd_print_item(jdoc_root(d), item_cols, ARRAY_SIZE(item_cols), e))
		return false;
	if (jobj_u64(&reached, jdoc_root(d), "reached", 0, UINT64_MAX, &ignored) &&
	    reached == 0)
		cmd_note("No handset is reached now; it is for those that come to it later.");
	return true;
}

bool cmd_rollout_status(int argc, char **argv, struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	const char *const params[] = { argc > 0 ? argv[0] : NULL, NULL };
	struct remote_call c = { .route = ROUTE_ROLLOUT_GET, .params = params };

	if (!remote_open(&r, REMOTE_TOKEN, e))
		return false;
	if (argc > 0)
		return cmd_call_and_print(&r, &c, item_cols, ARRAY_SIZE(item_cols), e);
	return cmd_print_list(&r, ROUTE_ROLLOUT_LIST, NULL, cols, ARRAY_SIZE(cols),
			      "no rollouts; `valise rollout start PRODUCT/VERSION` begins one",
			      e);
}
