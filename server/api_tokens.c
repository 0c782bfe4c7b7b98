/* server/api_tokens.c - tokens of administrators and CI. */
#include "server/api.h"
#include "server/api_json.h"
#include "base/secret.h"

#include <inttypes.h>

static void write_token(struct jw *w, const struct token *t)
{
	api_number(w, "id", 'k', t->number);
	jw_str(w, "name", t->name);
	api_scopes(w, "scopes", t->scopes);
	jw_time(w, "created_at", t->created_at);
	jw_str(w, "created_by", t->created_by);
	api_time(w, "expires_at", t->expires_at);
	api_time(w, "last_used_at", t->last_used_at);
	api_time(w, "revoked_at", t->revoked_at);
}

static bool read_scopes(unsigned *ret, const struct jval *body, struct err *e)
{
	const struct jval *list;
	unsigned scopes = 0;

	if (!jobj_arr(&list, body, "scopes", API_N_SCOPES, e))
		return false;
	for (size_t i = 0; i < jarr_n(list); i++) {
		enum api_scope one;
		const char *name;

		if (!jval_get_str(&name, jarr_at(list, i), LIMIT_NAME, e))
			return err_wrap(e, "scopes");
		if (!api_scope_parse(&one, name))
			return err_set(e, E_FORMAT, "scopes: there is no \"%s\"", name);
		scopes |= one;
	}
	if (scopes == 0)
		return err_set(e, E_FORMAT, "scopes: at least one is needed");
	*ret = scopes;
	return true;
}

bool api_token_new(struct req *r, struct err *e)
{
	static const char *const keys[] = { "name", "scopes", "ttl_s", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	char text[TOKEN_TEXT_SIZE];
	uint64_t ttl_s = 0;
	const char *name;
	unsigned scopes;
	struct token t;
	struct jw w;

	if (!api_body(r, keys, false, &d, e) || !jobj_name(&name, jdoc_root(d), "name", e) ||
	    !read_scopes(&scopes, jdoc_root(d), e) ||
	    (jobj_has(jdoc_root(d), "ttl_s") &&
	     !jobj_u64(&ttl_s, jdoc_root(d), "ttl_s", 0, TOKENS_TTL_MAX_S, e)) ||
	    !tokens_create(r->web->store, name, scopes, (int64_t)ttl_s, r->actor, &t, text, e))
		return false;
	log_info("token.created", "id=%s token=k%" PRId64 " actor=%s", r->id, t.number,
		 r->actor);
	reply_header(&r->reply, "Cache-Control", "no-store");
	reply_json(r, 201, &w);
	jw_obj(&w, NULL);
	write_token(&w, &t);
	jw_str(&w, "token", text);
	jw_end(&w);
	wipe(text, sizeof(text));
	return reply_json_end(&w, e);
}

bool api_token_list(struct req *r, struct err *e)
{
	CLEANUP(token_page_done) struct token_page page = { 0 };
	int64_t after;
	size_t limit;
	struct jw w;

	if (!req_page_number(r, 'k', &after, &limit, e) ||
	    !tokens_list(r->web->store, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		jw_obj(&w, NULL);
		write_token(&w, &page.items[i]);
		jw_end(&w);
	}
	return reply_list_end_at(&w, page.more, 'k',
				 page.n > 0 ? page.items[page.n - 1].number : 0, e);
}

/* One row, through the list: tokens are few and this is rare. */
static bool send_token(struct req *r, int64_t number, struct err *e)
{
	CLEANUP(token_page_done) struct token_page page = { 0 };
	struct jw w;

	if (!tokens_list(r->web->store, number - 1, 1, &page, e))
		return false;
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	if (page.n > 0 && page.items[0].number == number)
		write_token(&w, &page.items[0]);
	jw_end(&w);
	return reply_json_end(&w, e);
}

bool api_token_delete(struct req *r, struct err *e)
{
	int64_t number;

	if (!req_number(r->params[0], 'k', &number, e) ||
	    !tokens_revoke(r->web->store, number, r->actor, e))
		return false;
	log_info("token.revoked", "id=%s token=k%" PRId64 " actor=%s", r->id, number, r->actor);
	return send_token(r, number, e);
}
