/* admin-cli/cmd.h - the commands, one cmd_<noun>.c each, and what they share.  main.c has their table. */
#ifndef VALISE_ADMIN_CLI_CMD_H
#define VALISE_ADMIN_CLI_CMD_H

#include "admin-cli/out.h"
#include "admin-cli/remote.h"
#include "base/cli.h"
#include "proto/enrol.h"

typedef bool cmd_run(int argc, char **argv, struct err *e);

cmd_run cmd_init, cmd_login, cmd_status, cmd_publish;
cmd_run cmd_release_list, cmd_release_show, cmd_release_withdraw;
cmd_run cmd_enrol_new, cmd_enrol_list, cmd_enrol_revoke;
cmd_run cmd_device_list, cmd_device_show, cmd_device_approve, cmd_device_revoke;
cmd_run cmd_rollout_start, cmd_rollout_status;
cmd_run cmd_policy_check, cmd_policy_publish, cmd_policy_assign, cmd_policy_list,
	cmd_policy_show, cmd_policy_explain;
cmd_run cmd_token_new, cmd_token_list, cmd_token_revoke;
cmd_run cmd_key_list, cmd_key_new, cmd_key_export, cmd_key_import, cmd_key_passwd;

cmd_run cmd_root_show, cmd_root_rotate, cmd_root_add_key, cmd_root_remove_key, cmd_root_sign,
	cmd_root_publish;
cmd_run cmd_publisher_list, cmd_publisher_add, cmd_publisher_remove, cmd_publisher_renew,
	cmd_publisher_approve;
cmd_run cmd_release_approve, cmd_policy_approve;
cmd_run cmd_audit_list, cmd_audit_verify, cmd_audit_export;
cmd_run cmd_image_check;

extern const struct cli_opt sign_opts[], root_edit_opts[], publisher_add_opts[],
	publisher_remove_opts[], publisher_renew_opts[], release_list_opts[], audit_list_opts[],
	audit_verify_opts[], image_check_opts[];
extern const struct cli_opt init_opts[], login_opts[], publish_opts[], withdraw_opts[],
	enrol_new_opts[], device_list_opts[], device_revoke_opts[], target_opts[],
	policy_publish_opts[], policy_list_opts[], token_new_opts[], key_new_opts[],
	key_import_opts[];

/* All pages of a list as a table or JSON.  `empty` is what people read when there is nothing. */
bool cmd_print_list(struct remote *r, enum api_route_id route, const char *query,
		    const struct out_col *cols, size_t n_cols, const char *empty,
		    struct err *e) MUST_USE;
/* One item as "title: value" lines or JSON. */
bool cmd_print_item(const struct jval *item, const struct out_col *cols, size_t n_cols,
		    struct err *e) MUST_USE;
/* A table below the record, of an array in it; nothing for an empty one. */
bool cmd_print_part(const struct jval *item, const char *key, const struct out_col *cols,
		    size_t n_cols, struct err *e) MUST_USE;
/* A call whose answer is printed so; an answer without body prints nothing but {} with -o json. */
bool cmd_call_and_print(struct remote *r, const struct remote_call *c,
			const struct out_col *cols, size_t n_cols, struct err *e) MUST_USE;

/* A line for people on standard error, not with --quiet or -o json. */
void cmd_note(const char *fmt, ...) PRINTF(1, 2);
/* What somebody is asked about next: also with these, unless --yes answers for them. */
void cmd_review(const char *fmt, ...) PRINTF(1, 2);

/* --all, --group NAME, --device ID of target_opts; exactly one of them. */
struct cmd_target {
	bool all;
	const char *group, *device;
};
extern struct cmd_target cmd_target;
bool cmd_target_check(const struct cmd_target *t, struct err *e) MUST_USE;
/* Writes {"all": true}, ...; looks a device up by a part of its id or its name. */
bool cmd_target_write(struct remote *r, struct jw *w, const char *key,
		      const struct cmd_target *t, struct err *e) MUST_USE;

/* A device by its id, the beginning of its id, or its name.  A revoked one
 * gives its name up to its successor's.  E_NOT_FOUND; E_USAGE if several fit. */
bool cmd_find_device(struct remote *r, const char *what, char out[static DEVICE_ID_SIZE],
		     struct err *e) MUST_USE;

#endif
