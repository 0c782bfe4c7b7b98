/* server/api_rollouts.c - giving a release to everybody, a group or one device. */
#include "server/api.h"
#include "server/api_json.h"
#include "server/publication.h"
#include "storage/rollouts.h"

#include <inttypes.h>

static void write_rollout(struct jw *w, const struct rollout *o)
{
	api_number(w, "id", 'r', o->number);
	jw_str(w, "product", o->product);
	jw_str(w, "version", o->version);
	api_target_write(w, "target", &o->target);
	jw_str(w, "state", o->withdrawn ? "withdrawn" : "running");
	jw_u64(w, "reached", o->reached);
	jw_u64(w, "granted", o->granted);
	jw_u64(w, "delivered", o->delivered);
	jw_u64(w, "applied", o->applied);
	jw_u64(w, "failed", o->failed);
	jw_u64(w, "superseded", o->superseded);
	jw_time(w, "created_at", o->created_at);
	jw_str(w, "created_by", o->created_by);
}

static bool send_rollout(struct req *r, unsigned status, int64_t number, struct err *e)
{
	struct rollout o;
	struct jw w;

	if (!rollouts_get(r->web->store, number, &o, e))
		return false;
	reply_json(r, status, &w);
	jw_obj(&w, NULL);
	write_rollout(&w, &o);
	jw_end(&w);
	return reply_json_end(&w, e);
}

/* What is not there at all, rollouts_create tells better. */
static bool trusted_if_there(struct req *r, const char *product, const char *version,
			     struct err *e)
{
	return publication_trusted(r->web, product, version, e) || e->code == E_NOT_FOUND;
}

static bool second_if_all(struct req *r, const struct target *t, const char *product,
			  const char *version, struct err *e)
{
	char subject[LIMIT_NAME + LIMIT_VERSION + 2];

	if (t->kind != TARGET_ALL || !r->web->settings->two_person_rollout)
		return true;
	snprintf(subject, sizeof(subject), "%s/%s", product, version);
	return second_person(r, "rollout.all", subject, e);
}

bool api_rollout_new(struct req *r, struct err *e)
{
	static const char *const keys[] = { "product", "version", "target", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *product, *version;
	struct target t;
	int64_t number;

	if (!api_body(r, keys, false, &d, e) ||
	    !jobj_name(&product, jdoc_root(d), "product", e) ||
	    !jobj_name(&version, jdoc_root(d), "version", e) ||
	    !api_target_read(&t, jdoc_root(d), "target", e) ||
	    !trusted_if_there(r, product, version, e) ||
	    !second_if_all(r, &t, product, version, e) ||
	    !rollouts_create(r->web->store, product, version, &t, r->actor, &number, e))
		return false;
	log_info("rollout.created", "id=%s rollout=r%" PRId64 " release=%s/%s actor=%s", r->id,
		 number, product, version, r->actor);
	return send_rollout(r, 201, number, e);
}

bool api_rollout_list(struct req *r, struct err *e)
{
	CLEANUP(rollout_page_done) struct rollout_page page = { 0 };
	int64_t after;
	size_t limit;
	struct jw w;

	if (!req_page_number(r, 'r', &after, &limit, e) ||
	    !rollouts_list(r->web->store, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		jw_obj(&w, NULL);
		write_rollout(&w, &page.items[i]);
		jw_end(&w);
	}
	return reply_list_end_at(&w, page.more, 'r',
				 page.n > 0 ? page.items[page.n - 1].number : 0, e);
}

bool api_rollout_get(struct req *r, struct err *e)
{
	int64_t number;

	return req_number(r->params[0], 'r', &number, e) && send_rollout(r, 200, number, e);
}
