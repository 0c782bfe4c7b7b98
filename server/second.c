#include "server/second.h"
#include "server/req.h"
#include "storage/audit.h"

#include <inttypes.h>

void second_init(struct second *s)
{
	memset(s->asked, 0, sizeof(s->asked));
	pthread_mutex_init(&s->lock, NULL);
}

void second_done(struct second *s)
{
	pthread_mutex_destroy(&s->lock);
}

/* The request that is kept, or the place for a new one: free, run out, or the oldest. */
static struct second_asked *find(struct second *s, const char *what, int64_t now_s)
{
	struct second_asked *place = &s->asked[0];

	for (size_t i = 0; i < SECOND_MAX; i++) {
		struct second_asked *a = &s->asked[i];

		if (now_s - a->at > SECOND_TTL_S)
			a->what[0] = 0;
		if (strcmp(a->what, what) == 0)
			return a;
		if (place->what[0] && (!a->what[0] || a->at < place->at))
			place = a;
	}
	place->what[0] = 0;
	return place;
}

static bool ask(struct second *s, const char *what, int64_t token, int64_t token_created_at,
		int64_t now_s, int64_t *ret_first, bool *ret_new, struct err *e)
{
	struct second_asked *a = find(s, what, now_s);

	*ret_new = !a->what[0];
	if (!a->what[0]) {
		snprintf(a->what, sizeof(a->what), "%s", what);
		a->token = token;
		a->at = now_s;
	}
	if (a->token == token) {
		err_set(e, E_PENDING, "%s: wants a second person within a day", what);
		return err_hint(e, "somebody else does the same with a token of their own");
	}
	if (token_created_at >= a->at) {
		err_set(e, E_DENIED, "%s: this token was made after it was asked for", what);
		return err_hint(e, "the second person needs a token from before");
	}
	*ret_first = a->token;
	a->what[0] = 0;
	return true;
}

bool second_ask(struct second *s, const char *what, int64_t token, int64_t token_created_at,
		int64_t now_s, int64_t *ret_first, bool *ret_new, struct err *e)
{
	bool ok;

	if (strlen(what) >= SECOND_WHAT || !what[0])
		return err_set(e, E_FORMAT, "what is asked for has %zu bytes", strlen(what));
	pthread_mutex_lock(&s->lock);
	ok = ask(s, what, token, token_created_at, now_s, ret_first, ret_new, e);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

bool second_person(struct req *r, const char *verb, const char *subject, struct err *e)
{
	char what[SECOND_WHAT + LIMIT_NAME], detail[LIMIT_NAME];
	int64_t first = 0;
	bool is_new = false;
	struct err why;

	snprintf(what, sizeof(what), "%s %s", verb, subject);
	if (!second_ask(&r->web->second, what, r->token.number, r->token.created_at,
			clock_wall_s(r->web->clock), &first, &is_new, e)) {
		if (!is_new)
			return false;
		log_info("second.asked", "id=%s what=%s actor=%s", r->id, log_quote(what).s,
			 r->actor);
		if (!audit_add(r->web->store, r->actor, "second.ask", what, "", &why))
			*e = why;
		return false;
	}
	snprintf(detail, sizeof(detail), "asked by token:k%" PRId64, first);
	return audit_add(r->web->store, r->actor, "second.confirm", what, detail, e);
}
