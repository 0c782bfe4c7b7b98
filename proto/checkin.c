#include "proto/checkin.h"

#include "base/text.h"
#include "proto/jwrite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *const update_state_names[] = {
	[UPDATE_IDLE] = "idle",
	[UPDATE_OFFERED] = "offered",
	[UPDATE_FETCHING] = "fetching",
	[UPDATE_STAGED] = "staged",
	[UPDATE_TRIAL] = "trial",
	[UPDATE_CONFIRMED] = "confirmed",
	[UPDATE_ROLLED_BACK] = "rolled_back",
	[UPDATE_FAILED] = "failed",
	NULL,
};

static const char *const slot_names[] = { "a", "b", NULL };

static bool open_body(struct jdoc **ret, const void *p, size_t n, size_t max, struct err *e)
{
	if (n > max)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %zu", n, max);
	return jdoc_parse(ret, p, n, e) && jval_is_obj(jdoc_root(*ret), e) &&
	       jobj_version(jdoc_root(*ret), "v", 1, e);
}

/* ---- pieces of both ---- */

static bool read_optional_release(bool *ret_has, struct release_ref *ret, const struct jval *o,
				  struct err *e)
{
	const char *text;

	*ret_has = jobj_has(o, "release");
	if (!*ret_has)
		return true;
	if (!jobj_str(&text, o, "release", RELEASE_REF_SIZE - 1, e))
		return false;
	return release_ref_parse(ret, text, e) || err_wrap(e, "release");
}

static void write_release(struct jw *w, const struct release_ref *ref)
{
	char text[RELEASE_REF_SIZE];

	release_ref_format(text, ref);
	jw_str(w, "release", text);
}

static bool read_optional_u64(uint64_t *ret, const struct jval *o, const char *key,
			      struct err *e)
{
	*ret = 0;
	return !jobj_has(o, key) || jobj_u64(ret, o, key, 0, J_INT_MAX, e);
}

/* ---- request: events ---- */

/* {"base": 3}, as in `policies`. */
static bool read_policy_ref(struct policy_version *ret, const struct jval *o, struct err *e)
{
	const struct jval *policy;
	struct jiter it;

	if (!jobj_has(o, "policy"))
		return true;
	if (!jobj_obj(&policy, o, "policy", e))
		return false;
	it = jobj_first(policy);
	if (jobj_n(policy) != 1 || !name_is_valid(it.key, LIMIT_NAME))
		return err_set(e, E_FORMAT, "policy: not one name and version");
	ret->name = it.key;
	return jval_get_u64(&ret->version, it.val, 1, J_INT_MAX, e) || err_wrap(e, "policy");
}

/* Replacing bytes by U+FFFD may make a tail three times as long; the end of it matters. */
static bool read_log(struct checkin_event *ret, const struct jval *o, struct err *e)
{
	size_t from;

	if (!jobj_has(o, "log"))
		return true;
	if (!jobj_text(&ret->log, &ret->log_n, o, "log", 3 * LIMIT_LOG_TAIL, e))
		return false;
	from = text_tail(ret->log, ret->log_n, LIMIT_LOG_TAIL);
	ret->log += from;
	ret->log_n -= from;
	return true;
}

static bool read_event(struct checkin_event *ret, const struct jval *o, struct err *e)
{
	if (!jval_is_obj(o, e) || !jobj_u64(&ret->seq, o, "seq", 1, J_INT_MAX, e) ||
	    !jobj_time(&ret->at_s, o, "at", e) || !jobj_name(&ret->kind, o, "kind", e) ||
	    !jobj_name(&ret->state, o, "state", e) ||
	    !read_optional_release(&ret->has_release, &ret->release, o, e) ||
	    !read_policy_ref(&ret->policy, o, e))
		return false;
	if (jobj_has(o, "reason") && !jobj_str(&ret->reason, o, "reason", LIMIT_TEXT, e))
		return false;
	return read_log(ret, o, e);
}

static bool read_events(struct checkin_request *r, const struct jval *o, struct err *e)
{
	const struct jval *events;

	if (!jobj_has(o, "events"))
		return true;
	if (!jobj_arr(&events, o, "events", LIMIT_EVENTS, e))
		return false;
	r->events = calloc(jarr_n(events) + 1, sizeof(*r->events));
	if (!r->events)
		return err_nomem(e);
	for (size_t i = 0; i < jarr_n(events); i++) {
		if (!read_event(&r->events[i], jarr_at(events, i), e))
			return err_wrap(e, "events: %zu", i);
		if (i > 0 && r->events[i].seq <= r->events[i - 1].seq)
			return err_set(e, E_FORMAT, "events: %zu: numbers must rise", i);
		r->n_events = i + 1;
	}
	return true;
}

static void write_event(struct jw *w, const struct checkin_event *ev)
{
	jw_obj(w, NULL);
	jw_u64(w, "seq", ev->seq);
	jw_time(w, "at", ev->at_s);
	jw_str(w, "kind", ev->kind);
	jw_str(w, "state", ev->state);
	if (ev->has_release)
		write_release(w, &ev->release);
	if (ev->policy.name) {
		jw_obj(w, "policy");
		jw_u64(w, ev->policy.name, ev->policy.version);
		jw_end(w);
	}
	if (ev->reason)
		jw_str(w, "reason", ev->reason);
	if (ev->log)
		jw_lossy(w, "log", ev->log, ev->log_n);
	jw_end(w);
}

/* ---- request ---- */

static bool read_policies(struct checkin_request *r, const struct jval *o, struct err *e)
{
	const struct jval *policies;

	if (!jobj_has(o, "policies"))
		return true;
	if (!jobj_obj(&policies, o, "policies", e))
		return false;
	if (jobj_n(policies) > LIMIT_POLICIES)
		return err_set(e, E_TOO_BIG, "policies: more than %d", LIMIT_POLICIES);
	for (struct jiter it = jobj_first(policies); it.val; it = jobj_next(policies, it)) {
		struct policy_version *p = &r->policies[r->n_policies];

		if (!name_is_valid(it.key, LIMIT_NAME))
			return err_set(e, E_FORMAT, "policies: \"%.64s\" is no name", it.key);
		p->name = it.key;
		if (!jval_get_u64(&p->version, it.val, 1, J_INT_MAX, e))
			return err_wrap(e, "policies: %s", it.key);
		r->n_policies++;
	}
	return true;
}

static bool read_status(struct checkin_request *r, const struct jval *o, struct err *e)
{
	const struct jval *status;

	r->has_status = jobj_has(o, "status");
	if (!r->has_status)
		return true;
	if (!jobj_obj(&status, o, "status", e))
		return false;
	return (jobj_u64(&r->free_bytes, status, "free_bytes", 0, J_INT_MAX, e) &&
		jobj_name(&r->vm, status, "vm", e)) ||
	       err_wrap(e, "status");
}

static bool read_roots(struct checkin_request *r, const struct jval *o, struct err *e)
{
	const struct jval *roots;

	if (!jobj_arr(&roots, o, "root", 2, e))
		return false;
	if (jarr_n(roots) != 2)
		return err_set(e, E_FORMAT, "root: not two versions");
	return (jval_get_u64(&r->image_root, jarr_at(roots, 0), 0, J_INT_MAX, e) &&
		jval_get_u64(&r->director_root, jarr_at(roots, 1), 0, J_INT_MAX, e)) ||
	       err_wrap(e, "root");
}

static bool read_slot(struct checkin_request *r, const struct jval *o, struct err *e)
{
	unsigned slot;

	if (!jobj_has(o, "slot"))
		return true;
	if (!jobj_choice(&slot, o, "slot", slot_names, e))
		return false;
	r->slot = slot_names[slot][0];
	return true;
}

static bool read_request(struct checkin_request *r, const struct jval *o, struct err *e)
{
	unsigned state;

	if (!jobj_hex(r->nonce, sizeof(r->nonce), o, "nonce", e) ||
	    !jobj_str(&r->agent, o, "agent", LIMIT_VERSION, e) ||
	    !jobj_choice(&state, o, "state", update_state_names, e) || !read_slot(r, o, e) ||
	    !read_optional_release(&r->has_release, &r->release, o, e) ||
	    !jobj_u64(&r->image_ts, o, "image_ts", 0, J_INT_MAX, e) ||
	    !jobj_u64(&r->director_ts, o, "director_ts", 0, J_INT_MAX, e))
		return false;
	r->state = (enum update_state)state;
	return read_roots(r, o, e) && read_policies(r, o, e) && read_events(r, o, e) &&
	       read_status(r, o, e) &&
	       (!jobj_has(o, "empty_ok") || jobj_bool(&r->empty_ok, o, "empty_ok", e));
}

void checkin_request_done(struct checkin_request *r)
{
	if (!r)
		return;
	free(r->events);
	jdoc_free(r->doc);
	*r = (struct checkin_request){ .n_events = 0 };
}

bool checkin_request_parse(struct checkin_request *ret, const void *p, size_t n, struct err *e)
{
	struct checkin_request r = { .n_events = 0 };

	if (!open_body(&r.doc, p, n, LIMIT_CHECKIN_BODY, e) ||
	    !read_request(&r, jdoc_root(r.doc), e)) {
		checkin_request_done(&r);
		return false;
	}
	*ret = r;
	return true;
}

bool checkin_request_encode(const struct checkin_request *r, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_u64(&w, "v", 1);
	jw_hex(&w, "nonce", r->nonce, sizeof(r->nonce));
	jw_str(&w, "agent", r->agent);
	jw_str(&w, "state", update_state_names[r->state]);
	if (r->slot)
		jw_strn(&w, "slot", &r->slot, 1);
	if (r->has_release)
		write_release(&w, &r->release);
	jw_u64(&w, "image_ts", r->image_ts);
	jw_u64(&w, "director_ts", r->director_ts);
	jw_arr(&w, "root");
	jw_u64(&w, NULL, r->image_root);
	jw_u64(&w, NULL, r->director_root);
	jw_end(&w);
	if (r->n_policies > 0) {
		jw_obj(&w, "policies");
		for (size_t i = 0; i < r->n_policies; i++)
			jw_u64(&w, r->policies[i].name, r->policies[i].version);
		jw_end(&w);
	}
	if (r->n_events > 0) {
		jw_arr(&w, "events");
		for (size_t i = 0; i < r->n_events; i++)
			write_event(&w, &r->events[i]);
		jw_end(&w);
	}
	if (r->has_status) {
		jw_obj(&w, "status");
		jw_u64(&w, "free_bytes", r->free_bytes);
		jw_str(&w, "vm", r->vm);
		jw_end(&w);
	}
	if (r->empty_ok)
		jw_bool(&w, "empty_ok", true);
	jw_end(&w);
	return jw_finish(&w, e);
}

/* ---- answer ---- */

static bool read_object(struct offer_object *ret, const struct jval *o, struct err *e)
{
	return jobj_hex(ret->sha256, sizeof(ret->sha256), o, "sha256", e) &&
	       jobj_u64(&ret->size, o, "size", 1, 2 * LIMIT_COMPONENT_SIZE, e);
}

static bool read_coding(uint32_t *ret, const struct jval *o, struct err *e)
{
	uint64_t n = 0;

	if (jobj_has(o, "coding") && !jobj_u64(&n, o, "coding", 1, UINT8_MAX, e))
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool read_deltas(struct offer *ret, const struct jval *o, struct err *e)
{
	const struct jval *deltas;

	if (!jobj_has(o, "deltas"))
		return true;
	if (!jobj_arr(&deltas, o, "deltas", LIMIT_OFFER_DELTAS, e))
		return false;
	for (size_t i = 0; i < jarr_n(deltas); i++) {
		const struct jval *d = jarr_at(deltas, i);

		if (!jval_is_obj(d, e) ||
		    !jobj_hex(ret->deltas[i].from, sizeof(ret->deltas[i].from), d, "from", e) ||
		    !read_object(&ret->deltas[i].object, d, e) ||
		    !read_coding(&ret->deltas[i].coding, d, e))
			return err_wrap(e, "deltas: %zu", i);
		ret->n_deltas = i + 1;
	}
	return true;
}

static bool read_offer(struct offer *ret, const struct jiter *it, struct err *e)
{
	const struct jval *full;

	if (!name_is_valid(it->key, LIMIT_NAME))
		return err_set(e, E_FORMAT, "\"%.64s\" is no name", it->key);
	memcpy(ret->component, it->key, strlen(it->key) + 1);
	if (!jval_is_obj(it->val, e) || !jobj_obj(&full, it->val, "full", e))
		return false;
	return (read_object(&ret->full, full, e) || err_wrap(e, "full")) &&
	       read_deltas(ret, it->val, e);
}

static bool read_offers(struct checkin_answer *a, const struct jval *o, struct err *e)
{
	const struct jval *offers;

	if (!jobj_has(o, "offers"))
		return true;
	if (!jobj_obj(&offers, o, "offers", e))
		return false;
	if (jobj_n(offers) > LIMIT_COMPONENTS)
		return err_set(e, E_TOO_BIG, "offers: more than %d", LIMIT_COMPONENTS);
	a->offers = calloc(jobj_n(offers) + 1, sizeof(*a->offers));
	if (!a->offers)
		return err_nomem(e);
	for (struct jiter it = jobj_first(offers); it.val; it = jobj_next(offers, it)) {
		if (!read_offer(&a->offers[a->n_offers], &it, e))
			return err_wrap(e, "offers: %.64s", it.key);
		a->n_offers++;
	}
	return true;
}

static bool read_director(struct checkin_answer *a, const struct jval *o, struct err *e)
{
	const struct jval *d;

	if (!jobj_has(o, "director"))
		return true;
	if (!jobj_obj(&d, o, "director", e))
		return false;
	return (jobj_text(&a->timestamp.p, &a->timestamp.n, d, "timestamp", LIMIT_TUF_TIMESTAMP,
			  e) &&
		jobj_text(&a->snapshot.p, &a->snapshot.n, d, "snapshot", LIMIT_TUF_SNAPSHOT,
			  e) &&
		jobj_text(&a->targets.p, &a->targets.n, d, "targets", LIMIT_TUF_TARGETS, e)) ||
	       err_wrap(e, "director");
}

static bool read_answer(struct checkin_answer *a, const struct jval *o, struct err *e)
{
	uint64_t poll;

	if (!jobj_u64(&poll, o, "poll_s", 1, LIMIT_POLL_S, e) ||
	    !read_optional_u64(&a->ack, o, "ack", e) ||
	    !read_optional_u64(&a->image_ts, o, "image_ts", e))
		return false;
	a->poll_s = (uint32_t)poll;
	return read_director(a, o, e) && read_offers(a, o, e);
}

void checkin_answer_done(struct checkin_answer *a)
{
	if (!a)
		return;
	free(a->offers);
	jdoc_free(a->doc);
	*a = (struct checkin_answer){ .n_offers = 0 };
}

bool checkin_answer_parse(struct checkin_answer *ret, const void *p, size_t n, struct err *e)
{
	struct checkin_answer a = { .n_offers = 0 };

	if (!open_body(&a.doc, p, n, LIMIT_CHECKIN_ANSWER, e) ||
	    !read_answer(&a, jdoc_root(a.doc), e)) {
		checkin_answer_done(&a);
		return false;
	}
	*ret = a;
	return true;
}

bool checkin_answer_is_empty(const struct checkin_answer *a)
{
	return a->ack == 0 && a->image_ts == 0 && !a->timestamp.p && a->n_offers == 0;
}

bool checkin_answer_empty(struct checkin_answer *ret, int64_t retry_after_s, struct err *e)
{
	if (retry_after_s < 1 || retry_after_s > LIMIT_POLL_S)
		return err_set(e, E_FORMAT, "an empty answer whose Retry-After is not 1 to %d",
			       LIMIT_POLL_S);
	*ret = (struct checkin_answer){ .poll_s = (uint32_t)retry_after_s };
	return true;
}

static void write_object(struct jw *w, const struct offer_object *o)
{
	jw_hex(w, "sha256", o->sha256, sizeof(o->sha256));
	jw_u64(w, "size", o->size);
}

static void write_offer(struct jw *w, const struct offer *o)
{
	jw_obj(w, o->component);
	jw_obj(w, "full");
	write_object(w, &o->full);
	jw_end(w);
	if (o->n_deltas > 0) {
		jw_arr(w, "deltas");
		for (size_t i = 0; i < o->n_deltas; i++) {
			jw_obj(w, NULL);
			jw_hex(w, "from", o->deltas[i].from, sizeof(o->deltas[i].from));
			write_object(w, &o->deltas[i].object);
			if (o->deltas[i].coding)
				jw_u64(w, "coding", o->deltas[i].coding);
			jw_end(w);
		}
		jw_end(w);
	}
	jw_end(w);
}

bool checkin_answer_encode(const struct checkin_answer *a, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_u64(&w, "v", 1);
	jw_u64(&w, "poll_s", a->poll_s);
	if (a->ack > 0)
		jw_u64(&w, "ack", a->ack);
	if (a->image_ts > 0)
		jw_u64(&w, "image_ts", a->image_ts);
	if (a->timestamp.p) {
		assert(a->snapshot.p && a->targets.p);
		jw_obj(&w, "director");
		jw_strn(&w, "timestamp", a->timestamp.p, a->timestamp.n);
		jw_strn(&w, "snapshot", a->snapshot.p, a->snapshot.n);
		jw_strn(&w, "targets", a->targets.p, a->targets.n);
		jw_end(&w);
	}
	if (a->n_offers > 0) {
		jw_obj(&w, "offers");
		for (size_t i = 0; i < a->n_offers; i++)
			write_offer(&w, &a->offers[i]);
		jw_end(&w);
	}
	jw_end(&w);
	return jw_finish(&w, e);
}
