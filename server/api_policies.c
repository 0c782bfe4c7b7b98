/* server/api_policies.c - bundles: publishing, listing, whom they reach. */
#include "server/api.h"
#include "server/api_json.h"
#include "server/repo.h"

#include <inttypes.h>

static void write_info(struct jw *w, const struct policy_info *p)
{
	jw_str(w, "name", p->name);
	jw_u64(w, "version", p->version);
	jw_hex(w, "sha256", p->sha256, SHA256_SIZE);
	jw_u64(w, "size", p->size);
	if (p->assigned)
		api_target_write(w, "target", &p->target);
	else
		jw_null(w, "target");
	api_time(w, "assigned_at", p->assigned_at);
	jw_u64(w, "wanted", p->wanted);
	jw_u64(w, "delivered", p->delivered);
	jw_u64(w, "applied", p->applied);
	jw_time(w, "published_at", p->published_at);
	jw_str(w, "published_by", p->published_by);
}

static bool send_policy(struct req *r, unsigned status, const char *name, uint64_t version,
			struct err *e)
{
	struct policy_info info;
	char *text = NULL;
	struct jw w;

	if (!policies_get(r->web->store, name, version, &info, &text, e))
		return false;
	reply_json(r, status, &w);
	jw_obj(&w, NULL);
	write_info(&w, &info);
	jw_str(&w, "bundle", text);
	jw_end(&w);
	free(text);
	return reply_json_end(&w, e);
}

bool api_policy_new(struct req *r, struct err *e)
{
	static const char *const keys[] = { "bundle", "targets", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(policy_freep) struct policy *p = NULL;
	const char *bundle, *role;
	size_t bundle_n, role_n;
	enum policy_put put;

	if (!api_body(r, keys, false, &d, e) ||
	    !jobj_text(&bundle, &bundle_n, jdoc_root(d), "bundle", LIMIT_POLICY_JSON, e) ||
	    !jobj_text(&role, &role_n, jdoc_root(d), "targets", LIMIT_TUF_TARGETS, e))
		return false;
	if (!policy_parse(&p, bundle, bundle_n, e))
		return err_wrap(e, "bundle");
	if (!repo_publish_policy(r->web, p, bundle, bundle_n, role, role_n, r->actor, &put,
				 e)) {
		err_wrap(e, "policy %s version %" PRIu64, p->name, p->version);
		log_warn("policy.refused", "id=%s actor=%s %s", r->id, r->actor, log_err(e).s);
		return false;
	}
	if (put == POLICY_CREATED)
		log_info("policy.published", "id=%s policy=%s version=%" PRIu64 " actor=%s",
			 r->id, p->name, p->version, r->actor);
	return send_policy(r, put == POLICY_CREATED ? 201 : 200, p->name, p->version, e);
}

bool api_policy_list(struct req *r, struct err *e)
{
	CLEANUP(policy_page_done) struct policy_page page = { 0 };
	char after[80];
	size_t limit;
	struct jw w;

	if (!req_page(r, after, &limit, e) ||
	    !policies_list(r->web->store, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		jw_obj(&w, NULL);
		write_info(&w, &page.items[i]);
		jw_end(&w);
	}
	return reply_list_end(&w, page.more ? page.items[page.n - 1].name : "", e);
}

bool api_policy_get(struct req *r, struct err *e)
{
	return send_policy(r, 200, r->params[0], 0, e);
}

bool api_policy_assign(struct req *r, struct err *e)
{
	static const char *const keys[] = { "target", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *name = r->params[0];
	const struct jval *target;
	struct target t;

	if (!api_body(r, keys, false, &d, e) || !jobj_get(&target, jdoc_root(d), "target", e))
		return false;
	/* null: reaches nobody any more. */
	if (jval_type(target) == J_NULL) {
		if (!policies_unassign(r->web->store, name, r->actor, e))
			return false;
	} else if (!api_target_read(&t, jdoc_root(d), "target", e) ||
		   !policies_assign(r->web->store, name, &t, r->actor, e)) {
		return false;
	}
	log_info("policy.assigned", "id=%s policy=%s actor=%s", r->id, name, r->actor);
	return send_policy(r, 200, name, 0, e);
}
