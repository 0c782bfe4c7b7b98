#include "server/api_proposals.h"

void api_proposal_write(struct jw *w, const struct proposal *p)
{
	jw_str(w, "state", "pending");
	jw_time(w, "proposed_at", p->proposed_at);
	jw_str(w, "proposed_by", p->proposed_by);
	jw_time(w, "expires_at", p->expires_at);
}

static void write_row(struct jw *w, const struct proposal *p)
{
	jw_obj(w, NULL);
	if (p->kind == PROPOSAL_RELEASE) {
		jw_str(w, "product", p->name);
		jw_str(w, "version", p->version);
	} else {
		jw_str(w, "name", p->name);
		jw_raw(w, "version", p->version, strlen(p->version)); /* a number */
	}
	api_proposal_write(w, p);
	jw_end(w);
}

bool api_proposal_list(struct req *r, enum proposal_kind kind, const char *name, struct err *e)
{
	CLEANUP(proposal_page_done) struct proposal_page page = { 0 };
	int64_t after;
	size_t limit;
	struct jw w;

	if (!req_page_number(r, 'n', &after, &limit, e) ||
	    !proposals_list(r->web->store, kind, name, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++)
		write_row(&w, &page.items[i]);
	return reply_list_end_at(&w, page.more, 'n',
				 page.n > 0 ? page.items[page.n - 1].number : 0, e);
}

bool api_proposal_instead(struct req *r, bool (*send)(struct req *r, struct err *e),
			  struct err *e)
{
	struct err why;

	if (e->code != E_NOT_FOUND)
		return false;
	if (send(r, &why))
		return true;
	if (why.code != E_NOT_FOUND)
		*e = why;
	return false;
}

bool api_proposal_send(struct req *r, enum proposal_kind kind, struct err *e)
{
	CLEANUP(proposal_done) struct proposal p = { .number = 0 };
	struct jw w;

	if (!proposals_get(r->web->store, kind, r->params[0], r->params[1], &p, e))
		return false;
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	jw_strn(&w, kind == PROPOSAL_RELEASE ? "release" : "bundle", p.text, p.text_n);
	jw_strn(&w, "targets", p.role, p.role_n);
	jw_end(&w);
	return reply_json_end(&w, e);
}
