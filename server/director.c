#include "server/director.h"
#include "server/ipc.h"
#include "server/repo.h"
#include "base/text.h"
#include "proto/policy.h"
#include "proto/release.h"

enum { TRIES = 4 };

void director_set_done(struct director_set *d)
{
	director_done(&d->stored);
	release_full_done(&d->release);
}

static void fill_policies(struct sign_director *req, const struct device_plan *plan)
{
	static const enum policy_level levels[] = { [TARGET_ALL] = POLICY_FOR_ALL,
						    [TARGET_GROUP] = POLICY_FOR_GROUP,
						    [TARGET_DEVICE] = POLICY_FOR_DEVICE };

	for (size_t i = 0; i < plan->policies_n && i < SIGN_POLICIES; i++) {
		const struct device_plan_policy *from = &plan->policies[i];
		struct sign_target *to = &req->policies[req->policies_n++];

		snprintf(to->name, sizeof(to->name), "%s", from->name);
		to->number = from->version;
		to->size = from->size;
		memcpy(to->sha256, from->sha256, SHA256_SIZE);
		to->level = levels[from->level];
	}
}

static bool fill_release(struct sign_director *req, struct web *w,
			 const struct device_plan *plan, struct release_full *ret,
			 struct err *e)
{
	struct sign_target *to = &req->release;

	if (!plan->product[0])
		return true;
	if (!releases_get(w->store, plan->product, plan->version, ret, e))
		return err_wrap(e, "release %s/%s", plan->product, plan->version);
	req->has_release = true;
	snprintf(to->name, sizeof(to->name), "%s", plan->product);
	snprintf(to->version, sizeof(to->version), "%s", plan->version);
	to->number = ret->row.security_version;
	to->size = ret->row.manifest_size;
	memcpy(to->sha256, ret->row.manifest_sha256, SHA256_SIZE);
	return true;
}

/* The newest versions stored, which the new ones must pass; 0 if there are none. */
static bool stored_version(uint64_t *ret, struct web *w, const char *device, struct err *e)
{
	struct director d = { 0 };

	*ret = 0;
	if (!tuf_director_get(w->store, device, &d, e))
		return e->code == E_NOT_FOUND;
	*ret = d.timestamp_version;
	if (d.snapshot_version > *ret)
		*ret = d.snapshot_version;
	if (d.targets_version > *ret)
		*ret = d.targets_version;
	director_done(&d);
	return true;
}

static char *copy_text(const uint8_t *p, size_t n)
{
	char *s = malloc(n + 1);

	if (s) {
		memcpy(s, p, n);
		s[n] = 0;
	}
	return s;
}

static bool fill_stored(struct director *to, const struct sign_answer *a, uint64_t plan,
			int64_t now_s, struct err *e)
{
	*to = (struct director){
		.plan = plan,
		.timestamp_version = a->version,
		.snapshot_version = a->version,
		.targets_version = a->version,
		.refresh_at = now_s + (a->timestamp_expires_s - now_s) / 2,
		.expires_at = a->timestamp_expires_s,
		.timestamp = copy_text(a->timestamp, a->timestamp_n),
		.snapshot = copy_text(a->snapshot, a->snapshot_n),
		.targets = copy_text(a->targets, a->targets_n),
	};
	return to->timestamp && to->snapshot && to->targets ? true : err_nomem(e);
}

static bool make_once(struct web *w, const char *device,
		      const uint8_t nonce[static CHECKIN_NONCE], struct director_set *set,
		      struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(IPC_MAX);
	struct sign_director req = { .above = 0 };
	struct device_plan plan;
	struct sign_answer a;

	if (!devices_plan(w->store, device, &plan, e))
		return false;
	snprintf(req.device, sizeof(req.device), "%s", device);
	hex_encode(req.nonce, nonce, CHECKIN_NONCE);
	req.security_floor = plan.security_floor;
	req.rollout = plan.product[0] ? plan.rollout : 0;
	fill_policies(&req, &plan);
	return repo_keys_next(w, TUF_DIRECTOR, &req.next, e) &&
	       fill_release(&req, w, &plan, &set->release, e) &&
	       stored_version(&req.above, w, device, e) &&
	       signer_director(w->signer, &req, &text, &a, e) &&
	       fill_stored(&set->stored, &a, plan.plan, clock_wall_s(w->clock), e) &&
	       tuf_director_put(w->store, device, &set->stored, e);
}

bool director_make(struct web *w, const char *device, const uint8_t nonce[static CHECKIN_NONCE],
		   struct director_set *ret, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		struct director_set set = { .stored = { 0 } };

		if (make_once(w, device, nonce, &set, e)) {
			*ret = set;
			return true;
		}
		director_set_done(&set);
		if (e->code != E_CONFLICT)
			break;
	}
	return err_wrap(e, "director");
}

static void fill_offer(struct offer *o, const struct release_component *c)
{
	*o = (struct offer){ .n_deltas = 0 };
	snprintf(o->component, sizeof(o->component), "%s", c->name);
	o->full.size = c->object_size;
	memcpy(o->full.sha256, c->object_sha256, SHA256_SIZE);
}

bool director_offers(struct offer **ret, size_t *ret_n, const struct release_full *r,
		     const char *model, struct err *e)
{
	CLEANUP(release_freep) struct release *manifest = NULL;
	const struct model *m;
	struct offer *offers;
	size_t n = 0;

	if (!release_parse(&manifest, r->manifest, r->row.manifest_size, e))
		return err_wrap(e, "stored manifest");
	m = release_model(manifest, model);
	offers = calloc(r->components_n ? r->components_n : 1, sizeof(*offers));
	if (!offers)
		return err_nomem(e);
	for (size_t i = 0; m && i < r->components_n; i++) {
		const struct component *c = release_component(manifest, r->components[i].name);

		if (c && model_uses(m, (int)(c - manifest->components)))
			fill_offer(&offers[n++], &r->components[i]);
	}
	*ret = offers;
	*ret_n = n;
	return true;
}
