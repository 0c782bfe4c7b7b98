#include "admin-cli/publish.h"

#include "admin-cli/roles.h"
#include "admin-cli/upload.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 3 };

/* ---- objects ----------------------------------------------------------------------------- */

static bool write_question(struct buf *out, const struct prepared *p, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_arr(&w, "sha256");
	for (size_t i = 0; i < p->n_objects; i++)
		jw_hex(&w, NULL, p->objects[i].sha256, SHA256_SIZE);
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool read_missing(const struct jval *answer, const struct prepared *p, bool *missing,
			 size_t *ret_n, struct err *e)
{
	const struct jval *list;
	uint8_t hash[SHA256_SIZE];

	*ret_n = 0;
	memset(missing, 0, p->n_objects * sizeof(*missing));
	if (!jval_is_obj(answer, e) || !jobj_arr(&list, answer, "missing", 10000, e))
		return false;
	for (size_t i = 0; i < jarr_n(list); i++) {
		if (!jval_get_hex(hash, sizeof(hash), jarr_at(list, i), e))
			return err_wrap(e, "missing");
		for (size_t k = 0; k < p->n_objects; k++) {
			if (missing[k] || memcmp(hash, p->objects[k].sha256, sizeof(hash)) != 0)
				continue;
			missing[k] = true;
			++*ret_n;
			break; /* equal objects are uploaded once */
		}
	}
	return true;
}

static bool ask_missing(struct publish *p, bool *missing, size_t *ret_n, struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_MISSING_BODY);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct remote_call c = { .route = ROUTE_OBJECTS_MISSING, .body = &body };

	if (!write_question(&body, p->release, e) || !remote_do(p->remote, &c, NULL, &d, e))
		return err_wrap(e, "asking which objects are missing");
	if (!d)
		return err_set(e, E_FORMAT, "which objects are missing: no answer");
	return read_missing(jdoc_root(d), p->release, missing, ret_n, e) ||
	       err_wrap(e, "which objects are missing");
}

static void upload_progress(void *arg, uint64_t bytes)
{
	struct publish *p = arg;

	if (p->progress)
		p->progress(p->arg, bytes);
}

static bool send_one(struct publish *p, struct upload *u, const struct prepared_object *o,
		     struct err *e)
{
	bool ok;

	if (p->start)
		p->start(p->arg, o->path, o->size);
	ok = upload_object(u, o->fd, o->size, o->sha256, e);
	if (p->end)
		p->end(p->arg, ok);
	p->sent_objects += ok;
	return ok || err_wrap(e, "%s", o->path);
}

static bool send_missing(struct publish *p, struct upload *u, const bool *missing,
			 struct err *e)
{
	for (size_t i = 0; i < p->release->n_objects; i++) {
		if (missing[i] && !send_one(p, u, &p->release->objects[i], e))
			return false;
	}
	return true;
}

static bool send_objects(struct publish *p, struct upload *u, bool *missing, struct err *e)
{
	size_t n;

	for (unsigned round = 0; round < ROUNDS; round++) {
		if (!ask_missing(p, missing, &n, e))
			return false;
		if (n == 0)
			return true;
		if (!send_missing(p, u, missing, e))
			return false;
	}
	return ask_missing(p, missing, &n, e) &&
	       (n == 0 ||
		err_set(e, E_INTERNAL, "%zu objects are missing though they were sent", n));
}

static bool bring_objects(struct publish *p, struct err *e)
{
	struct upload u = UPLOAD_INIT(p->remote->https, p->remote->auth, p->remote->url,
				      &p->remote->home, p->clock, p->rng);
	bool *missing = calloc(p->release->n_objects + 1, sizeof(*missing));
	bool ok;

	if (!missing)
		return err_nomem(e);
	u.progress = upload_progress;
	u.arg = p;
	ok = send_objects(p, &u, missing, e);
	p->sent_bytes = u.sent;
	free(missing);
	return ok;
}

/* ---- metadata ---------------------------------------------------------------------------- */

static void release_custom(char *out, size_t size, const struct release *r)
{
	snprintf(out, size,
		 "{\"valise\":{\"kind\":\"release\",\"product\":\"%s\","
		 "\"security_version\":%llu,\"version\":\"%s\"}}",
		 r->product, (unsigned long long)r->security_version, r->version);
}

static void fill_target(struct tuf_make_target *t, const char *path, uint64_t length,
			const uint8_t *sha256)
{
	t->path = path;
	t->length = length;
	memcpy(t->sha256, sha256, SHA256_SIZE);
}

/* The targets of a release: release.json first, then its objects.  Borrows from p. */
struct listing {
	char custom[2 * LIMIT_NAME + 160], path[RELEASE_PATH_SIZE];
	struct tuf_make_target *add;
	size_t n;
};

static void listing_done(struct listing *l)
{
	free(l->add);
}

static bool listing_make(struct listing *l, const struct publish *p, struct err *e)
{
	const struct prepared *rel = p->release;
	const struct release *r = rel->release;

	l->add = calloc(rel->n_objects + 1, sizeof(*l->add));
	if (!l->add)
		return err_nomem(e);
	l->n = rel->n_objects + 1;
	release_custom(l->custom, sizeof(l->custom), r);
	release_path(l->path, r->product, r->version, "release.json");
	fill_target(&l->add[0], l->path, rel->manifest.n, rel->manifest_sha256);
	l->add[0].custom = l->custom;
	for (size_t i = 0; i < rel->n_objects; i++)
		fill_target(&l->add[i + 1], rel->objects[i].path, rel->objects[i].size,
			    rel->objects[i].sha256);
	return true;
}

static bool post_release(struct publish *p, struct err *e)
{
	const struct prepared *rel = p->release;
	const struct release *r = rel->release;
	CLEANUP(listing_done) struct listing l = { .n = 0 };
	char role[LIMIT_NAME + 16], what[2 * LIMIT_NAME + 16];
	struct role_update u = { .role = role,
				 .field = "release",
				 .text = buf_str(&rel->manifest),
				 .route = ROUTE_RELEASE_NEW,
				 .what = what,
				 .clock = p->clock,
				 .rng = p->rng,
				 .wait = p->wait,
				 .arg = p->arg,
				 .key = p->key };
	enum role_result result;

	snprintf(role, sizeof(role), "releases.%s", r->product);
	snprintf(what, sizeof(what), "release %s/%s", r->product, r->version);
	if (!listing_make(&l, p, e))
		return false;
	u.add = l.add;
	u.n_add = l.n;
	if (!role_update(p->remote, &u, &result, e))
		return false;
	p->was_there = result == ROLE_WAS_THERE;
	return true;
}

bool publish_role(const struct publish *p, const void *old, size_t old_n, uint64_t version,
		  struct buf *out, struct err *e)
{
	CLEANUP(listing_done) struct listing l = { .n = 0 };
	struct tuf_make_targets in = { .old = old_n > 0 ? old : NULL,
				       .old_n = old_n,
				       .version = version,
				       .expires_s = clock_wall_s(p->clock) + ROLE_LIFE_S };

	if (!listing_make(&l, p, e))
		return false;
	in.add = l.add;
	in.n_add = l.n;
	return tuf_make_targets(out, &in, e);
}

/* A version that is taken is told before gigabytes are sent for it. */
static bool look_first(struct publish *p, bool *ret_done, struct err *e)
{
	CLEANUP(role_done) struct role role = ROLE_INIT;
	const struct release *r = p->release->release;
	char name[LIMIT_NAME + 16], path[RELEASE_PATH_SIZE];
	enum role_target there;

	snprintf(name, sizeof(name), "releases.%s", r->product);
	release_path(path, r->product, r->version, "release.json");
	if (!role_load(&role, p->remote, name, e) ||
	    !role_look(&role, path, p->release->manifest_sha256, &there, NULL, e))
		return false;
	*ret_done =
		there != ROLE_TARGET_ABSENT; /* same or not: role_update knows what to say */
	return true;
}

bool publish_objects(struct publish *p, bool *ret_taken, struct err *e)
{
	return look_first(p, ret_taken, e) && (*ret_taken || bring_objects(p, e));
}

bool publish_release(struct publish *p, struct err *e)
{
	bool taken;

	return publish_objects(p, &taken, e) && post_release(p, e);
}
