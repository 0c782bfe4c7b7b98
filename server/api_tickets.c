/* server/api_tickets.c - enrolment tickets. */
#include "server/api.h"
#include "server/api_json.h"
#include "base/secret.h"
#include "storage/tickets.h"

#include <inttypes.h>

#define TTL_DEFAULT_S 86400

static void write_ticket(struct jw *w, const struct ticket_row *t)
{
	api_number(w, "id", 't', t->number);
	jw_str(w, "state", ticket_state_name(t->state));
	jw_arr(w, "groups");
	for (size_t i = 0; i < t->groups_n; i++)
		jw_str(w, NULL, t->groups[i]);
	jw_end(w);
	jw_str(w, "approval", t->manual ? "manual" : "auto");
	jw_str(w, "serial", t->serial);
	jw_u64(w, "tries", t->tries);
	jw_time(w, "created_at", t->created_at);
	jw_str(w, "created_by", t->created_by);
	jw_time(w, "expires_at", t->expires_at);
	api_time(w, "used_at", t->used_at);
	api_time(w, "revoked_at", t->revoked_at);
	api_text(w, "device", t->device);
}

static bool read_groups(const char **groups, size_t *ret_n, const struct jval *body,
			struct err *e)
{
	const struct jval *list;

	*ret_n = 0;
	if (!jobj_has(body, "groups"))
		return true;
	if (!jobj_arr(&list, body, "groups", DEVICES_GROUPS_MAX, e))
		return false;
	for (size_t i = 0; i < jarr_n(list); i++) {
		if (!jval_get_name(&groups[i], jarr_at(list, i), e))
			return err_wrap(e, "groups");
	}
	*ret_n = jarr_n(list);
	return true;
}

bool api_ticket_new(struct req *r, struct err *e)
{
	static const char *const keys[] = { "groups", "approval", "ttl_s", "serial", NULL };
	static const char *const approvals[] = { "auto", "manual", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *groups[DEVICES_GROUPS_MAX], *serial = "";
	uint64_t ttl_s = TTL_DEFAULT_S;
	unsigned approval = 0;
	uint8_t token[TICKET_TOKEN_SIZE];
	struct ticket_new in;
	struct ticket_row t;
	struct jw w;
	size_t n;

	if (!api_body(r, keys, true, &d, e) || !read_groups(groups, &n, jdoc_root(d), e) ||
	    (jobj_has(jdoc_root(d), "approval") &&
	     !jobj_choice(&approval, jdoc_root(d), "approval", approvals, e)) ||
	    (jobj_has(jdoc_root(d), "ttl_s") &&
	     !jobj_u64(&ttl_s, jdoc_root(d), "ttl_s", 1, TICKETS_TTL_MAX_S, e)) ||
	    (jobj_has(jdoc_root(d), "serial") &&
	     !jobj_str(&serial, jdoc_root(d), "serial", LIMIT_NAME, e)))
		return false;
	if (approval != 1 && r->web->settings->two_person_enrolment) {
		err_set(e, E_POLICY, "every handset has to be approved by two people here");
		return err_hint(e, "make the ticket with approval by hand: valise enrol new "
				   "--approve");
	}
	in = (struct ticket_new){ groups, n, approval == 1, (int64_t)ttl_s, serial };
	if (!tickets_create(r->web->store, &in, r->actor, &t, token, e))
		return false;
	log_info("ticket.created", "id=%s ticket=t%" PRId64 " actor=%s", r->id, t.number,
		 r->actor);
	reply_header(&r->reply, "Cache-Control", "no-store");
	reply_json(r, 201, &w);
	jw_obj(&w, NULL);
	write_ticket(&w, &t);
	jw_hex(&w, "token", token, sizeof(token));
	jw_end(&w);
	wipe(token, sizeof(token));
	return reply_json_end(&w, e);
}

bool api_ticket_list(struct req *r, struct err *e)
{
	CLEANUP(ticket_page_done) struct ticket_page page = { 0 };
	int64_t after;
	size_t limit;
	struct jw w;

	if (!req_page_number(r, 't', &after, &limit, e) ||
	    !tickets_list(r->web->store, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		jw_obj(&w, NULL);
		write_ticket(&w, &page.items[i]);
		jw_end(&w);
	}
	return reply_list_end_at(&w, page.more, 't',
				 page.n > 0 ? page.items[page.n - 1].number : 0, e);
}

bool api_ticket_delete(struct req *r, struct err *e)
{
	struct ticket_row t;
	int64_t number;
	struct jw w;

	if (!req_number(r->params[0], 't', &number, e) ||
	    !tickets_revoke(r->web->store, number, r->actor, e) ||
	    !tickets_get(r->web->store, number, &t, e))
		return false;
	log_info("ticket.revoked", "id=%s ticket=t%" PRId64 " actor=%s", r->id, number,
		 r->actor);
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	write_ticket(&w, &t);
	jw_end(&w);
	return reply_json_end(&w, e);
}
