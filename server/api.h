/* server/api.h - the handlers of all routes, one file per noun (api_<noun>.c). */
#ifndef VALISE_SERVER_API_H
#define VALISE_SERVER_API_H

#include "server/req.h"

#define API_HANDLER(name) bool name(struct req *r, struct err *e)

/* api_status.c */
API_HANDLER(api_healthz);
API_HANDLER(api_readyz);
API_HANDLER(api_metrics);
API_HANDLER(api_status);
/* api_objects.c */
API_HANDLER(api_object);
API_HANDLER(api_objects_missing);
API_HANDLER(api_image_target);
/* api_tuf.c */
API_HANDLER(api_image_file);
API_HANDLER(api_director_file);
API_HANDLER(api_keys_online);
API_HANDLER(api_image_root_put);
API_HANDLER(api_director_root_put);
API_HANDLER(api_image_targets_put);
API_HANDLER(api_image_role_get);
API_HANDLER(api_image_role_put);
/* api_enrol.c */
API_HANDLER(api_enrol);
API_HANDLER(api_device_key);
API_HANDLER(api_session);
/* api_checkin.c */
API_HANDLER(api_checkin);
/* api_uploads.c */
API_HANDLER(api_upload_new);
API_HANDLER(api_upload_get);
API_HANDLER(api_upload_begin);
bool api_upload_data(struct req *r, const void *p, size_t n, struct err *e);
API_HANDLER(api_upload_end);
void api_upload_cut(struct req *r);
API_HANDLER(api_upload_delete);
/* api_releases.c */
API_HANDLER(api_release_new);
API_HANDLER(api_release_list);
API_HANDLER(api_release_get);
API_HANDLER(api_release_proposal);
API_HANDLER(api_release_withdraw);
/* api_policies.c */
API_HANDLER(api_policy_new);
API_HANDLER(api_policy_list);
API_HANDLER(api_policy_get);
API_HANDLER(api_policy_version);
API_HANDLER(api_policy_proposal);
API_HANDLER(api_policy_assign);
/* api_tickets.c */
API_HANDLER(api_ticket_new);
API_HANDLER(api_ticket_list);
API_HANDLER(api_ticket_delete);
/* api_devices.c */
API_HANDLER(api_device_list);
API_HANDLER(api_device_get);
API_HANDLER(api_device_policy);
API_HANDLER(api_device_approve);
API_HANDLER(api_device_revoke);
/* api_rollouts.c */
API_HANDLER(api_rollout_new);
API_HANDLER(api_rollout_list);
API_HANDLER(api_rollout_get);
/* api_audit.c */
API_HANDLER(api_audit_list);
/* api_tokens.c */
API_HANDLER(api_token_new);
API_HANDLER(api_token_list);
API_HANDLER(api_token_delete);

#endif
