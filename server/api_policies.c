/* server/api_policies.c - bundles: publishing, listing, whom they reach. */
#include "server/api.h"
#include "server/api_json.h"
#include "server/api_proposals.h"
#include "server/publication.h"
#include "base/text.h"

#include <inttypes.h>

static void write_info(struct jw *w, const struct policy_info *p)
{
	jw_str(w, "name", p->name);
	jw_u64(w, "version", p->version);
	jw_str(w, "state", "published");
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

/* Version 0: the newest. */
static bool send_policy(struct req *r, unsigned status, const char *name, uint64_t version,
			struct err *e)
{
	struct policy_info info;
	char *text = NULL;
	struct jw w;
	bool ok;

	if (!policies_get(r->web->store, name, version, &info, &text, e))
		return false;
	reply_json(r, status, &w);
	jw_obj(&w, NULL);
	write_info(&w, &info);
	ok = publication_signatures(&w, r->web, "policies", NULL, 0, e);
	jw_str(&w, "bundle", text);
	jw_end(&w);
	free(text);
	return ok && reply_json_end(&w, e);
}

static bool send_proposal(struct req *r, struct err *e)
{
	CLEANUP(proposal_done) struct proposal p = { .number = 0 };
	uint8_t sha[SHA256_SIZE];
	struct jw w;

	if (!proposals_get(r->web->store, PROPOSAL_POLICY, r->params[0], r->params[1], &p, e))
		return false;
	sha256(sha, p.text, p.text_n);
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	jw_str(&w, "name", p.name);
	jw_raw(&w, "version", p.version, strlen(p.version)); /* a number */
	jw_hex(&w, "sha256", sha, sizeof(sha));
	jw_u64(&w, "size", p.text_n);
	api_proposal_write(&w, &p);
	if (!publication_signatures(&w, r->web, "policies", p.role, p.role_n, e))
		return false;
	jw_strn(&w, "bundle", p.text, p.text_n);
	jw_end(&w);
	return reply_json_end(&w, e);
}

/* ---- publishing ----------------------------------------------------------------------------- */

/* A version is published once and for ever: *ret_same when this is it again. */
static bool look_for_same(struct req *r, const struct publication *p, bool *ret_same,
			  struct err *e)
{
	struct policy_info info;
	uint8_t sha[SHA256_SIZE];

	*ret_same = false;
	if (!policies_get(r->web->store, p->policy->name, p->policy->version, &info, NULL, e))
		return e->code == E_NOT_FOUND;
	sha256(sha, p->text, p->text_n);
	*ret_same = memcmp(sha, info.sha256, SHA256_SIZE) == 0;
	return *ret_same ||
	       err_set(e, E_EXISTS, "this version was published with another content");
}

static bool publish(struct req *r, const struct publication *p, bool *ret_created,
		    struct err *e)
{
	uint64_t missing;
	bool same;

	*ret_created = false;
	if (!look_for_same(r, p, &same, e) || same)
		return same;
	return publication_check(r->web, p, &missing, e) &&
	       publication_put(r->web, p, missing, r->actor, ret_created, e);
}

bool api_policy_new(struct req *r, struct err *e)
{
	static const char *const keys[] = { "bundle", "targets", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(policy_freep) struct policy *p = NULL;
	struct publication put = { NULL };
	bool created;

	if (!api_body(r, keys, false, &d, e) ||
	    !jobj_text(&put.text, &put.text_n, jdoc_root(d), "bundle", LIMIT_POLICY_JSON, e) ||
	    !jobj_text(&put.role, &put.role_n, jdoc_root(d), "targets", LIMIT_TUF_TARGETS, e))
		return false;
	if (!policy_parse(&p, put.text, put.text_n, e))
		return err_wrap(e, "bundle");
	put.policy = p;
	if (!publish(r, &put, &created, e)) {
		err_wrap(e, "policy %s version %" PRIu64, p->name, p->version);
		if (e->code == E_PENDING)
			log_info("policy.waits", "id=%s actor=%s policy=%s version=%" PRIu64,
				 r->id, r->actor, p->name, p->version);
		else
			log_warn("policy.refused", "id=%s actor=%s %s", r->id, r->actor,
				 log_err(e).s);
		return false;
	}
	if (created)
		log_info("policy.published", "id=%s policy=%s version=%" PRIu64 " actor=%s",
			 r->id, p->name, p->version, r->actor);
	return send_policy(r, created ? 201 : 200, p->name, p->version, e);
}

/* ---- reading, assigning ---------------------------------------------------------------------- */

bool api_policy_list(struct req *r, struct err *e)
{
	CLEANUP(policy_page_done) struct policy_page page = { 0 };
	char after[80], state[16];
	size_t limit;
	struct jw w;

	if (!req_query(r, "state", state, sizeof(state), e))
		return false;
	if (strcmp(state, "pending") == 0)
		return api_proposal_list(r, PROPOSAL_POLICY, "", e);
	if (state[0])
		return err_set(e, E_FORMAT, "state: is pending, or not given");
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

bool api_policy_version(struct req *r, struct err *e)
{
	const char *text = r->params[1];
	uint64_t version;

	if (!u64_parse(&version, text, strlen(text)) || version == 0)
		return err_set(e, E_NOT_FOUND, "no such policy, or not in that version");
	return send_policy(r, 200, r->params[0], version, e) ||
	       api_proposal_instead(r, send_proposal, e);
}

bool api_policy_proposal(struct req *r, struct err *e)
{
	return api_proposal_send(r, PROPOSAL_POLICY, e);
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
