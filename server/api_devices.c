/* server/api_devices.c - handsets, as administrators see them. */
#include "server/api.h"
#include "server/api_json.h"
#include "proto/enrol.h"
#include "proto/policy.h"
#include "storage/events.h"
#include "storage/policies.h"

#include <inttypes.h>

enum { EVENTS_SHOWN = 20 };

/* ---- JSON ----------------------------------------------------------------------------------- */

static void write_row(struct jw *w, const struct device_row *d)
{
	char fingerprint[FINGERPRINT_SIZE], slot[2] = { d->slot, 0 };

	fingerprint_of(fingerprint, d->identity, d->sealing);
	jw_str(w, "id", d->id);
	jw_str(w, "fingerprint", fingerprint);
	jw_time(w, "key_since", d->key_since);
	jw_u64(w, "key_changes", d->key_changes);
	jw_str(w, "state", device_state_names[d->state]);
	jw_str(w, "name", d->name);
	jw_str(w, "model", d->model);
	api_text(w, "serial", d->serial);
	jw_arr(w, "groups");
	for (size_t i = 0; i < d->groups_n; i++)
		jw_str(w, NULL, d->groups[i]);
	jw_end(w);
	jw_time(w, "enrolled_at", d->enrolled_at);
	api_time(w, "last_seen_at", d->last_seen_at);
	api_text(w, "agent", d->agent);
	api_text(w, "update", d->update);
	api_text(w, "slot", slot);
	jw_obj(w, "release");
	api_text(w, "wanted", d->wanted);
	api_text(w, "delivered", d->delivered);
	api_text(w, "applied", d->applied);
	jw_end(w);
	api_number(w, "rollout", 'r', d->rollout);
	jw_u64(w, "security_version_floor", d->security_floor);
}

static void write_version(struct jw *w, const char *key, uint64_t version)
{
	if (version > 0)
		jw_u64(w, key, version);
	else
		jw_null(w, key);
}

static void write_policies(struct jw *w, const struct device_full *d)
{
	jw_arr(w, "policies");
	for (size_t i = 0; i < d->policies_n; i++) {
		jw_obj(w, NULL);
		jw_str(w, "name", d->policies[i].name);
		write_version(w, "wanted", d->policies[i].wanted);
		write_version(w, "delivered", d->policies[i].delivered);
		write_version(w, "applied", d->policies[i].applied);
		jw_end(w);
	}
	jw_end(w);
}

static void write_event(struct jw *w, const struct event *v)
{
	char release[DEVICE_RELEASE_SIZE];

	snprintf(release, sizeof(release), "%s%s%s", v->product, v->product[0] ? "/" : "",
		 v->version);
	jw_obj(w, NULL);
	jw_u64(w, "seq", v->seq);
	jw_time(w, "at", v->at);
	jw_time(w, "received_at", v->received_at);
	jw_str(w, "kind", v->kind);
	api_text(w, "release", release);
	jw_str(w, "state", v->state);
	api_text(w, "reason", v->reason);
	if (v->log && v->log[0])
		jw_lossy(w, "log", v->log, strlen(v->log));
	jw_end(w);
}

static bool write_events(struct jw *w, struct req *r, const char *id, struct err *e)
{
	CLEANUP(event_page_done) struct event_page page = { 0 };

	if (!events_list(r->web->store, id, 0, EVENTS_SHOWN, &page, e))
		return false;
	jw_arr(w, "events");
	for (size_t i = 0; i < page.n; i++)
		write_event(w, &page.items[i]);
	jw_end(w);
	return true;
}

/* Texts of ours, but from a database: not trusted to be JSON when they are empty. */
static void write_object(struct jw *w, const char *key, const char *text)
{
	if (text && text[0] == '{')
		jw_raw(w, key, text, strlen(text));
	else
		jw_null(w, key);
}

static bool send_device(struct req *r, const char *id, struct err *e)
{
	CLEANUP(device_full_done) struct device_full d = { 0 };
	struct jw w;

	if (!devices_get(r->web->store, id, &d, e))
		return false;
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	write_row(&w, &d.row);
	write_object(&w, "attributes", d.attributes);
	write_object(&w, "status", d.status);
	write_policies(&w, &d);
	if (!write_events(&w, r, id, e))
		return false;
	jw_end(&w);
	return reply_json_end(&w, e);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static bool read_filter(const struct req *r, struct device_filter *f,
			char group[static LIMIT_NAME + 1], struct err *e)
{
	char state[16];

	if (!req_query(r, "group", group, LIMIT_NAME + 1, e) ||
	    !req_query(r, "state", state, sizeof(state), e))
		return false;
	f->group = group[0] ? group : NULL;
	f->by_state = state[0] != 0;
	for (unsigned i = 0; f->by_state && device_state_names[i]; i++) {
		if (strcmp(state, device_state_names[i]) == 0) {
			f->state = (enum device_state)i;
			return true;
		}
	}
	return f->by_state ? err_set(e, E_FORMAT, "?state: pending, active or revoked") : true;
}

bool api_device_list(struct req *r, struct err *e)
{
	CLEANUP(device_page_done) struct device_page page = { 0 };
	char group[LIMIT_NAME + 1];
	struct device_filter f;
	int64_t after;
	size_t limit;
	struct jw w;

	if (!req_page_number(r, 'd', &after, &limit, e) || !read_filter(r, &f, group, e) ||
	    !devices_list(r->web->store, &f, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		jw_obj(&w, NULL);
		write_row(&w, &page.items[i]);
		jw_end(&w);
	}
	return reply_list_end_at(&w, page.more, 'd',
				 page.n > 0 ? page.items[page.n - 1].number : 0, e);
}

bool api_device_get(struct req *r, struct err *e)
{
	return send_device(r, r->params[0], e);
}

static bool second_if_wanted(struct req *r, struct err *e)
{
	if (!r->web->settings->two_person_enrolment)
		return true;
	if (!device_id_is_valid(r->params[0]))
		return err_set(e, E_NOT_FOUND, "no such device");
	return second_person(r, "device.approve", r->params[0], e);
}

bool api_device_approve(struct req *r, struct err *e)
{
	char reason[LIMIT_TEXT + 1];

	if (!api_reason(r, reason, e) || !second_if_wanted(r, e) ||
	    !devices_approve(r->web->store, r->params[0], r->actor, e))
		return false;
	log_info("device.approved", "id=%s device=%s actor=%s", r->id, r->params[0], r->actor);
	return send_device(r, r->params[0], e);
}

bool api_device_revoke(struct req *r, struct err *e)
{
	char reason[LIMIT_TEXT + 1];

	if (!api_reason(r, reason, e) ||
	    !devices_revoke(r->web->store, r->params[0], reason, r->actor, e))
		return false;
	log_info("device.revoked", "id=%s device=%s actor=%s", r->id, r->params[0], r->actor);
	return send_device(r, r->params[0], e);
}

/* ---- effective policy -------------------------------------------------------------------------- */

struct bundles {
	struct policy_reaches reach;
	struct policy *parsed[DEVICES_POLICIES_MAX];
	struct policy_source sources[DEVICES_POLICIES_MAX];
	size_t n;
	struct policy_merged *merged;
};

static void bundles_done(struct bundles *b)
{
	policy_merged_free(b->merged);
	for (size_t i = 0; i < b->n; i++)
		policy_free(b->parsed[i]);
	policy_reaches_done(&b->reach);
}

static bool load_bundles(struct bundles *b, struct store *s, const char *device, struct err *e)
{
	static const enum policy_level levels[] = { [TARGET_ALL] = POLICY_FOR_ALL,
						    [TARGET_GROUP] = POLICY_FOR_GROUP,
						    [TARGET_DEVICE] = POLICY_FOR_DEVICE };

	if (!policies_reaching(s, device, &b->reach, e))
		return false;
	for (size_t i = 0; i < b->reach.n && i < DEVICES_POLICIES_MAX; i++) {
		const struct policy_reach *from = &b->reach.items[i];

		if (!policy_parse(&b->parsed[i], from->text, from->n, e))
			return err_wrap(e, "stored bundle %s", from->name);
		b->sources[i] = (struct policy_source){
			.bundle = b->parsed[i],
			.level = levels[from->target.kind],
			.group = from->target.kind == TARGET_GROUP ? from->target.name : NULL,
		};
		b->n++;
	}
	return policy_merge(&b->merged, b->sources, b->n, e);
}

bool api_device_policy(struct req *r, struct err *e)
{
	CLEANUP(bundles_done) struct bundles b = { .n = 0 };
	struct jw w;

	if (!load_bundles(&b, r->web->store, r->params[0], e))
		return false;
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	jw_str(&w, "device", r->params[0]);
	policy_explain_write(&w, "settings", b.merged);
	jw_end(&w);
	return reply_json_end(&w, e);
}
