#include "proto/uptane.h"
#include "base/text.h"
#include "proto/cjson.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LEASE_MAX_S = 366 * 86400, COMMANDS_MAX = 64 };

static bool is_policy(const struct jval *valise)
{
	const struct jval *kind = jobj_opt(valise, "kind");

	return kind && jval_type(kind) == J_STR && strcmp(jval_str(kind, NULL), "policy") == 0;
}

/* {"valise": {"kind": "policy", "name": "base", "version": 3}} */
static bool parse_policy(struct uptane_item *it, const struct jval *v, struct err *e)
{
	static const char *const keys[] = { "kind", "name", "version", NULL };

	if (!jobj_only(v, keys, e) || !jobj_copy_name(it->name, v, "name", e) ||
	    !jobj_u64(&it->number, v, "version", 1, J_INT_MAX, e))
		return false;
	snprintf(it->version, sizeof(it->version), "%" PRIu64, it->number);
	snprintf(it->path, sizeof(it->path), "policies/%s/%s.json", it->name, it->version);
	return true;
}

/* {"valise": {"kind": "release", "product": "...", "security_version": 1, "version": "..."}} */
static bool parse_release(struct uptane_item *it, const struct jval *v, struct err *e)
{
	static const char *const keys[] = { "kind", "product", "security_version", "version",
					    NULL };
	static const char *const kinds[] = { "release", NULL };
	unsigned kind;

	if (!jobj_only(v, keys, e) || !jobj_choice(&kind, v, "kind", kinds, e) ||
	    !jobj_copy_name(it->name, v, "product", e) ||
	    !jobj_copy_name(it->version, v, "version", e) ||
	    !jobj_u64(&it->number, v, "security_version", 0, J_INT_MAX, e))
		return false;
	snprintf(it->path, sizeof(it->path), "releases/%s/%s/release.json", it->name,
		 it->version);
	return true;
}

/* The path must be the one that the custom fields lead to: neither can speak for another thing. */
static bool parse_item(struct uptane_item *ret, bool *ret_policy, const struct tuf_target *t,
		       struct err *e)
{
	struct uptane_item it = { .hashes = t->hashes, .custom = t->custom };
	const struct jval *v = t->custom ? jobj_opt(t->custom, "valise") : NULL;

	if (!v || !jval_is_obj(v, e))
		return err_set(e, E_UNTRUSTED, "it has no custom field \"valise\"");
	*ret_policy = is_policy(v);
	if (!(*ret_policy ? parse_policy(&it, v, e) : parse_release(&it, v, e)))
		return err_wrap(e, "custom: valise");
	if (strcmp(it.path, t->path) != 0)
		return err_set(e, E_UNTRUSTED, "its custom fields belong to %s", it.path);
	if (!t->hashes.has_sha256)
		return err_set(e, E_UNTRUSTED, "it has no SHA-256");
	*ret = it;
	return true;
}

/* ---- what the director's targets say ------------------------------------------------------ */

static bool add_policy(struct uptane_want *w, const struct uptane_item *it, struct err *e)
{
	size_t at = w->n_policies;

	if (at == LIMIT_UPTANE_POLICIES)
		return err_set(e, E_TOO_BIG, "more than %d policies", LIMIT_UPTANE_POLICIES);
	for (; at > 0 && strcmp(w->policies[at - 1].name, it->name) >= 0; at--)
		if (strcmp(w->policies[at - 1].name, it->name) == 0)
			return err_set(e, E_UNTRUSTED, "a second version of this policy");
	memmove(w->policies + at + 1, w->policies + at,
		(w->n_policies - at) * sizeof(*w->policies));
	w->policies[at] = *it;
	w->n_policies++;
	return true;
}

static bool add_release(struct uptane_want *w, const struct uptane_item *it,
			const struct uptane_check *check, struct err *e)
{
	uint64_t floor = w->security_version_floor > check->stored_floor
				 ? w->security_version_floor
				 : check->stored_floor;

	if (w->has_release)
		return err_set(e, E_UNTRUSTED, "a second release");
	if (it->number < floor)
		return err_set(e, E_ROLLBACK, "security version %" PRIu64 " is below %" PRIu64,
			       it->number, floor);
	w->release = *it;
	w->has_release = true;
	return true;
}

static bool parse_valise(struct uptane_want *w, const struct jval *v,
			 const struct uptane_check *check, struct err *e)
{
	const char *device, *nonce, *rollout = "";

	if (!jobj_str(&device, v, "device", LIMIT_NAME, e) ||
	    !jobj_u64(&w->lease_s, v, "lease_s", 1, LEASE_MAX_S, e) ||
	    !jobj_u64(&w->security_version_floor, v, "security_version_floor", 0, J_INT_MAX,
		      e) ||
	    !jobj_arr(&w->commands, v, "commands", COMMANDS_MAX, e) ||
	    !jobj_str(&nonce, v, "nonce", LIMIT_NAME, e) ||
	    (jobj_has(v, "rollout") && !jobj_str(&rollout, v, "rollout", LIMIT_NAME, e)))
		return false;
	if (strcmp(device, check->device) != 0)
		return err_set(e, E_UNTRUSTED, "it is for device %s, this is %s", device,
			       check->device);
	if (check->nonce && strcmp(nonce, check->nonce) != 0)
		return err_set(e, E_UNTRUSTED, "it answers another check-in");
	snprintf(w->rollout, sizeof(w->rollout), "%s", rollout);
	return true;
}

static bool parse_items(struct uptane_want *w, const struct tuf_meta *targets,
			const struct uptane_check *check, struct err *e)
{
	for (struct jiter at = jobj_first(targets->targets); at.val;
	     at = jobj_next(targets->targets, at)) {
		struct uptane_item item;
		struct tuf_target t;
		bool policy;

		if (!tuf_target_parse(&t, at.key, at.val, e) ||
		    !parse_item(&item, &policy, &t, e) ||
		    !(policy ? add_policy(w, &item, e) : add_release(w, &item, check, e)))
			return err_wrap(e, "%.200s", at.key);
	}
	return true;
}

void uptane_want_done(struct uptane_want *w)
{
	if (!w)
		return;
	free(w->policies);
	*w = (struct uptane_want){ 0 };
}

bool uptane_director_parse(struct uptane_want *ret, const struct tuf_meta *targets,
			   const struct uptane_check *check, struct err *e)
{
	CLEANUP(uptane_want_done) struct uptane_want w = { 0 };
	const struct jval *v;

	/* Uptane Standard, section 5.4.4.3: the director's targets must not delegate. */
	if (jobj_has(targets->signed_part, "delegations"))
		return err_set(e, E_UNTRUSTED, "director: targets delegate");
	w.policies = calloc(LIMIT_UPTANE_POLICIES, sizeof(*w.policies));
	if (!w.policies)
		return err_nomem(e);
	if (!jobj_obj(&v, targets->signed_part, "valise", e))
		return err_wrap(e, "director");
	if (!parse_valise(&w, v, check, e))
		return err_wrap(e, "director: valise");
	if (!parse_items(&w, targets, check, e))
		return err_wrap(e, "director");
	*ret = w;
	w.policies = NULL;
	return true;
}

/* ---- whether the image repository agrees -------------------------------------------------- */

static bool hashes_agree(const struct tuf_hashes *a, const struct tuf_hashes *b)
{
	if (a->length != b->length || !b->has_sha256 ||
	    memcmp(a->sha256, b->sha256, SHA256_SIZE) != 0)
		return false;
	return !a->has_sha512 || !b->has_sha512 ||
	       memcmp(a->sha512, b->sha512, SHA512_SIZE) == 0;
}

static bool agrees(const struct uptane_item *director, const struct tuf_target *image,
		   struct err *e)
{
	bool same;

	if (!hashes_agree(&director->hashes, &image->hashes))
		return err_set(e, E_UNTRUSTED,
			       "length or hashes differ between director and image repository");
	if (!image->custom)
		return err_set(e, E_UNTRUSTED,
			       "the image repository has no custom fields for it");
	if (!cjson_equal(&same, director->custom, image->custom, e))
		return false;
	if (!same)
		return err_set(e, E_UNTRUSTED,
			       "custom fields differ between director and image repository");
	return true;
}

static bool check_image(const struct uptane_item *item, struct tuf_client *image, struct err *e)
{
	struct tuf_found found;

	if (tuf_client_find(&found, image, item->path, e)) {
		if (agrees(item, &found.target, e))
			return true;
	} else if (e->code == E_NOT_FOUND) {
		err_set(e, E_UNTRUSTED, "the image repository does not have it");
	} else {
		err_wrap(e, "image repository");
	}
	return err_wrap(e, "%s", item->path);
}

bool uptane_verify(struct uptane_want *ret, struct tuf_client *director,
		   struct tuf_client *image, const struct uptane_check *check, struct err *e)
{
	const struct tuf_meta *targets = tuf_client_meta(director, TUF_TARGETS);
	CLEANUP(uptane_want_done) struct uptane_want w = { 0 };

	if (!uptane_director_parse(&w, targets, check, e))
		return false;
	if (w.has_release && !check_image(&w.release, image, e))
		return false;
	for (size_t i = 0; i < w.n_policies; i++)
		if (!check_image(&w.policies[i], image, e))
			return false;
	*ret = w;
	w.policies = NULL;
	return true;
}
