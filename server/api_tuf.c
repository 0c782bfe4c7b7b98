/* server/api_tuf.c - metadata of the image repository and the director's roots, in and out. */
#include "server/api.h"
#include "server/online.h"
#include "server/publication.h"
#include "server/repo.h"
#include "base/log.h"
#include "base/text.h"
#include "proto/tuf.h"

#include <inttypes.h>

/* "timestamp.json" or "<version>.<role>.json"; nothing else is a file here. */
static bool parse_file_name(const char *name, char *ret_role, size_t size,
			    uint64_t *ret_version)
{
	size_t n = strlen(name), digits = strspn(name, "0123456789");
	const char *role = name;

	*ret_version = 0;
	if (n < 6 || strcmp(name + n - 5, ".json") != 0)
		return false;
	if (strcmp(name, "timestamp.json") != 0) {
		if (digits == 0 || name[digits] != '.' ||
		    !u64_parse(ret_version, name, digits) || *ret_version == 0)
			return false;
		role = name + digits + 1;
	}
	n = strlen(role) - 5;
	if (n == 0 || n >= size)
		return false;
	memcpy(ret_role, role, n);
	ret_role[n] = 0;
	return true;
}

static bool send_file(struct req *r, enum tuf_repo repo, const char *role, uint64_t version,
		      struct err *e)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };

	if (!tuf_get(r->web->store, repo, role, version, &t, e))
		return false;
	/* Versioned files never change; the timestamp is what clients come for. */
	if (version > 0)
		reply_header(&r->reply, "Cache-Control", "public, max-age=86400, immutable");
	else
		reply_header(&r->reply, "Cache-Control", "no-cache");
	return reply_text(r, "application/json", t.text, t.n, e);
}

bool api_image_file(struct req *r, struct err *e)
{
	char role[TUF_ROLE_MAX + 1];
	uint64_t version;

	if (!parse_file_name(r->params[0], role, sizeof(role), &version))
		return err_set(e, E_NOT_FOUND, "no such file");
	return send_file(r, TUF_IMAGE, role, version, e);
}

bool api_director_file(struct req *r, struct err *e)
{
	char role[TUF_ROLE_MAX + 1];
	uint64_t version;

	if (!parse_file_name(r->params[0], role, sizeof(role), &version) ||
	    strcmp(role, "root") != 0)
		return err_set(e, E_NOT_FOUND, "no such file");
	return send_file(r, TUF_DIRECTOR, role, version, e);
}

/* {"image": {"snapshot": "<hex>", ...}, "director": {...}}; of those that follow: only what there is. */
static void write_keys(struct jw *w, const uint8_t keys[][SIG_PUBLIC_SIZE], const uint8_t *has)
{
	static const char *const repos[] = { "image", "director" };

	for (size_t r = 0; r < ARRAY_SIZE(repos); r++) {
		jw_obj(w, repos[r]);
		for (int i = 0; i < ONLINE_N; i++) {
			if (strcmp(online_roles[i].repo, repos[r]) == 0 && (!has || has[i]))
				jw_hex(w, online_roles[i].role, keys[i], SIG_PUBLIC_SIZE);
		}
		jw_end(w);
	}
}

bool api_keys_online(struct req *r, struct err *e)
{
	const struct online_public *keys = signer_keys(r->web->signer);
	struct jw w;

	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	write_keys(&w, keys->key, NULL);
	jw_obj(&w, "next");
	write_keys(&w, keys->next, keys->has_next);
	jw_end(&w);
	jw_end(&w);
	return reply_json_end(&w, e);
}

static bool put_done(struct req *r, const char *role, uint64_t version, struct err *e)
{
	struct jw w;

	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	jw_str(&w, "role", role);
	jw_u64(&w, "version", version);
	jw_end(&w);
	return reply_json_end(&w, e);
}

/* Who sent it is told as well; who keeps the server must see it too. */
static bool refused(const struct req *r, const char *repo, struct err *e)
{
	err_wrap(e, "%s", repo);
	log_warn("tuf.refused", "id=%s actor=%s %s", r->id, r->actor, log_err(e).s);
	return false;
}

static bool put_root(struct req *r, enum tuf_repo repo, struct err *e)
{
	uint64_t version;

	if (!repo_put_root(r->web, repo, r->body.p, r->body.n, r->actor, &version, e))
		return refused(r, repo == TUF_IMAGE ? "image repository" : "director", e);
	return put_done(r, "root", version, e);
}

bool api_image_root_put(struct req *r, struct err *e)
{
	return put_root(r, TUF_IMAGE, e);
}

bool api_director_root_put(struct req *r, struct err *e)
{
	return put_root(r, TUF_DIRECTOR, e);
}

bool api_image_targets_put(struct req *r, struct err *e)
{
	uint64_t version;

	if (!repo_put_targets(r->web, r->body.p, r->body.n, r->actor, &version, e))
		return refused(r, "image repository", e);
	return put_done(r, "targets", version, e);
}

/* A role of publishers with the same targets: a new date, or new signatures. */
bool api_image_role_put(struct req *r, struct err *e)
{
	const char *role = r->params[0];
	uint64_t version;

	if (!publication_renew(r->web, role, r->body.p, r->body.n, r->actor, &version, e))
		return refused(r, "image repository", e);
	return put_done(r, role, version, e);
}

/* The newest metadata of a role, byte by byte, for whoever extends it. */
bool api_image_role_get(struct req *r, struct err *e)
{
	CLEANUP(tuf_text_done) struct tuf_text t = { 0 };

	if (!tuf_get(r->web->store, TUF_IMAGE, r->params[0], 0, &t, e))
		return false;
	return reply_text(r, "application/json", t.text, t.n, e);
}
