#include "admin-cli/roles.h"

#include "base/text.h"
#include "client/backoff.h"

#include <string.h>
#include <time.h>

void role_done(struct role *r)
{
	tuf_free(TAKE(r->meta));
	buf_done(&r->text);
}

bool role_load(struct role *ret, struct remote *r, const char *name, struct err *e)
{
	const char *const params[] = { name, NULL };
	struct remote_call c = { .route = ROUTE_IMAGE_ROLE_GET, .params = params };

	role_done(ret);
	*ret = ROLE_INIT;
	if (!remote_text(r, &c, &ret->text, e))
		return e->code == E_NOT_FOUND || err_wrap(e, "role %s", name);
	if (!tuf_parse(&ret->meta, TUF_TARGETS, ret->text.p, ret->text.n, e))
		return err_wrap(e, "role %s, as the server has it", name);
	ret->version = ret->meta->version;
	return true;
}

bool role_look(const struct role *r, const char *path, const uint8_t sha256[static SHA256_SIZE],
	       enum role_target *ret, uint8_t *ret_sha256, struct err *e)
{
	struct tuf_target t;

	*ret = ROLE_TARGET_ABSENT;
	if (!r->meta)
		return true;
	if (!tuf_target_get(&t, r->meta, path, e))
		return e->code == E_NOT_FOUND;
	*ret = t.hashes.has_sha256 && memcmp(t.hashes.sha256, sha256, SHA256_SIZE) == 0
		       ? ROLE_TARGET_SAME
		       : ROLE_TARGET_OTHER;
	if (ret_sha256)
		memcpy(ret_sha256, t.hashes.sha256, SHA256_SIZE);
	return true;
}

bool role_extend(const struct role *r, const struct tuf_make_target *add, size_t n_add,
		 int64_t expires_s, const struct key *key, struct buf *out, struct err *e)
{
	CLEANUP(buf_done) struct buf unsigned_text = BUF_INIT(LIMIT_TUF_TARGETS);
	struct tuf_make_targets in = {
		.old = r->meta ? r->text.p : NULL,
		.old_n = r->text.n,
		.version = r->version + 1,
		.expires_s = expires_s,
		.add = add,
		.n_add = n_add,
	};

	return tuf_make_targets(&unsigned_text, &in, e) &&
	       tuf_sign_with(out, unsigned_text.p, unsigned_text.n, key->secret, e);
}

static bool post(struct remote *r, const struct role_update *u, const struct buf *targets,
		 struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_PUBLISH_BODY);
	struct remote_call c = { .route = u->route, .body = &body };
	struct jw w;

	jw_init(&w, &body);
	jw_obj(&w, NULL);
	jw_str(&w, u->field, u->text);
	jw_strn(&w, "targets", buf_str(targets), targets->n);
	jw_end(&w);
	return jw_finish(&w, e) && remote_do(r, &c, NULL, NULL, e);
}

static bool differs(const struct role_update *u, const uint8_t *theirs, struct err *e)
{
	char ours_hex[HEX_SIZE(SHA256_SIZE)], theirs_hex[HEX_SIZE(SHA256_SIZE)];

	hex_encode(ours_hex, u->add[0].sha256, SHA256_SIZE);
	hex_encode(theirs_hex, theirs, SHA256_SIZE);
	err_set(e, E_EXISTS, "published with other contents: %.12s there, %.12s here",
		theirs_hex, ours_hex);
	return err_hint(e, "what is published never changes; choose a new version");
}

/* What the role names may have been withdrawn since: the server has the last word.  It knows what it
 * has by its contents, before it looks at the metadata that come along. */
static bool confirm(struct remote *r, const struct role_update *u, const struct role *role,
		    struct err *e)
{
	return post(r, u, &role->text, e) || e->code == E_CONFLICT;
}

static bool try_once(struct remote *r, const struct role_update *u, enum role_result *ret,
		     struct err *e)
{
	CLEANUP(role_done) struct role role = ROLE_INIT;
	CLEANUP(buf_done) struct buf targets = BUF_INIT(LIMIT_TUF_TARGETS);
	uint8_t theirs[SHA256_SIZE];
	enum role_target there;

	if (!role_load(&role, r, u->role, e) ||
	    !role_look(&role, u->add[0].path, u->add[0].sha256, &there, theirs, e))
		return false;
	if (there == ROLE_TARGET_OTHER)
		return differs(u, theirs, e);
	*ret = there == ROLE_TARGET_SAME ? ROLE_WAS_THERE : ROLE_UPDATED;
	if (there == ROLE_TARGET_SAME)
		return confirm(r, u, &role, e);
	return role_extend(&role, u->add, u->n_add, clock_wall_s(u->clock) + ROLE_LIFE_S,
			   u->key, &targets, e) &&
	       post(r, u, &targets, e);
}

/* How often and since when an update is tried. */
struct attempts {
	unsigned conflicts;
	int64_t started_ms;
	struct backoff network, busy;
};

static bool wait_for(const struct role_update *u, const struct backoff *b, struct err *e)
{
	uint64_t ms = backoff_wait_ms(b, u->clock);

	if (u->wait)
		return u->wait(u->arg, ms, e);
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ms / 1000),
				      .tv_nsec = (long)(ms % 1000) * 1000000 },
		  NULL);
	return true;
}

/* True if trying again may help and it is time for it. */
static bool again(struct attempts *a, const struct remote *r, const struct role_update *u,
		  struct err *e)
{
	switch (e->code) {
	case E_CONFLICT:
		return ++a->conflicts < ROLE_TRIES;
	case E_BUSY:
	case E_RATE:
		if (clock_boot_ms(u->clock) - a->started_ms > ROLE_BUSY_MS)
			return false;
		backoff_fail(&a->busy, u->clock, u->rng, r->retry_after_s);
		return wait_for(u, &a->busy, e);
	case E_NETWORK:
	case E_TIMEOUT:
	case E_UNAVAILABLE:
		backoff_fail(&a->network, u->clock, u->rng, r->retry_after_s);
		return a->network.failures < ROLE_FAILURES && wait_for(u, &a->network, e);
	default:
		return false;
	}
}

bool role_update(struct remote *r, const struct role_update *u, enum role_result *ret,
		 struct err *e)
{
	struct attempts a = { .started_ms = clock_boot_ms(u->clock),
			      .network = BACKOFF_INIT(1000, 30000),
			      .busy = BACKOFF_INIT(1000, 30000) };

	while (!try_once(r, u, ret, e)) {
		if (!again(&a, r, u, e))
			return err_wrap(e, "%s", u->what);
	}
	return true;
}
