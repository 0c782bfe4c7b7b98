#include "admin-cli/ceremony_priv.h"

#include "admin-cli/bundle.h"

#include <inttypes.h>
#include <string.h>

static bool is_policies(const struct ceremony *c)
{
	return strcmp(c->role, "policies") == 0;
}

void ceremony_payload_done(struct ceremony_payload *p)
{
	release_free(TAKE(p->release));
	policy_free(TAKE(p->policy));
}

static bool parse_release(struct ceremony_payload *p, const struct ceremony *c, struct err *e)
{
	char role[LIMIT_NAME + 16];

	if (!release_parse(&p->release, c->payload.p, c->payload.n, e))
		return false;
	snprintf(role, sizeof(role), "releases.%s", p->release->product);
	if (strcmp(role, c->role) != 0)
		return err_set(e, E_UNTRUSTED, "it is a release of %s", p->release->product);
	release_path(p->path, p->release->product, p->release->version, "release.json");
	release_path(p->below, p->release->product, p->release->version, "");
	return true;
}

static bool parse_policy(struct ceremony_payload *p, const struct ceremony *c, struct err *e)
{
	if (!policy_parse(&p->policy, c->payload.p, c->payload.n, e))
		return false;
	_Static_assert((int)POLICY_PATH_SIZE <= (int)RELEASE_PATH_SIZE, "a path does not fit");
	policy_path(p->path, p->policy->name, p->policy->version);
	return true;
}

bool ceremony_payload_parse(struct ceremony_payload *ret, const struct ceremony *c,
			    struct err *e)
{
	CLEANUP(ceremony_payload_done) struct ceremony_payload p = { .release = NULL };

	if (!(is_policies(c) ? parse_policy(&p, c, e) : parse_release(&p, c, e)))
		return err_wrap(e, "payload");
	*ret = p;
	p = (struct ceremony_payload){ .release = NULL };
	return true;
}

static bool is_listed(const struct ceremony_payload *p, const struct ceremony *c, struct err *e)
{
	uint8_t sum[SHA256_SIZE];
	struct tuf_target t;
	struct err ignored;

	sha256(sum, c->payload.p, c->payload.n);
	if (tuf_target_get(&t, c->meta, p->path, &ignored) && t.hashes.has_sha256 &&
	    memcmp(t.hashes.sha256, sum, sizeof(sum)) == 0)
		return true;
	return err_set(e, E_UNTRUSTED, "payload: the signed list does not have it as %s",
		       p->path);
}

static bool is_of(const struct ceremony_payload *p, const char *path)
{
	return p && (strcmp(path, p->path) == 0 ||
		     (p->below[0] && strncmp(path, p->below, strlen(p->below)) == 0));
}

/* p NULL: there is no payload. */
static bool adds_nothing_else(const struct ceremony_payload *p, const struct ceremony *c,
			      struct err *e)
{
	struct tuf_target t, was;
	struct err ignored;

	for (struct jiter it = jobj_first(c->meta->targets); it.val;
	     it = jobj_next(c->meta->targets, it)) {
		if (!tuf_target_parse(&t, it.key, it.val, e))
			return false;
		if (is_of(p, it.key))
			continue;
		if (c->before && tuf_target_get(&was, c->before, it.key, &ignored) &&
		    t.hashes.length == was.hashes.length &&
		    memcmp(t.hashes.sha256, was.hashes.sha256, SHA256_SIZE) == 0)
			continue;
		return p ? err_set(e, E_UNTRUSTED, "%s is new as well: it is not what is shown",
				   it.key)
			 : err_set(e, E_UNTRUSTED,
				   "payload: missing, and %s is new: this is no renewal",
				   it.key);
	}
	return true;
}

bool ceremony_payload_check(const struct ceremony *c, struct err *e)
{
	CLEANUP(ceremony_payload_done) struct ceremony_payload p = { .release = NULL };

	if (c->payload.n == 0)
		return adds_nothing_else(NULL, c, e);
	return ceremony_payload_parse(&p, c, e) && is_listed(&p, c, e) &&
	       adds_nothing_else(&p, c, e);
}

bool ceremony_payload_show(const struct ceremony_payload *p, const struct ceremony *c,
			   struct buf *out, struct err *e)
{
	if (p->policy)
		return bundle_settings(out, c->payload.p, c->payload.n, e);
	return buf_printf(out, e, "  security version %" PRIu64 ", data schema %" PRIu64 "\n",
			  p->release->security_version, p->release->data_schema);
}
