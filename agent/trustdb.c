#include "agent/trustdb.h"

#include "agent/ttime.h"
#include "base/file.h"
#include "base/names.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MANIFEST "release.json"

bool trustdb_open(struct trustdb *ret, int state_dirfd, struct err *e)
{
	CLEANUP(trustdb_done) struct trustdb t = TRUSTDB_INIT;
	CLEANUP(fd_closep) int tuf = -1;

	if (!dir_open_at(&tuf, state_dirfd, "tuf", 0700, e) ||
	    !dir_open_at(&t.image_dirfd, tuf, "image", 0700, e) ||
	    !dir_open_at(&t.director_dirfd, tuf, "director", 0700, e) ||
	    !dir_open_at(&t.want_dirfd, state_dirfd, "want", 0700, e))
		return false;
	*ret = t;
	t = TRUSTDB_INIT;
	return file_sweep(ret->image_dirfd, e) && file_sweep(ret->director_dirfd, e) &&
	       file_sweep(ret->want_dirfd, e);
}

void trustdb_done(struct trustdb *t)
{
	fd_closep(&t->image_dirfd);
	fd_closep(&t->director_dirfd);
	fd_closep(&t->want_dirfd);
}

bool dir_empty_at(int dirfd, const char *name, struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *entry;

	if (!names_open(&n, dirfd, name, name, e))
		return e->code == E_NOT_FOUND;
	for (;;) {
		if (!names_next(&n, &entry, e))
			return false;
		if (!entry)
			return fd_sync(names_fd(&n), e);
		if (unlinkat(names_fd(&n), entry, 0) < 0 && errno != ENOENT)
			return err_sys(e, errno, "%s/%s", name, entry);
	}
}

/* ---- the io that the TUF client works on ------------------------------------------------- */

struct repo {
	int dirfd;
	const char *base;                  /* "/tuf/image/" */
	struct https *https;               /* NULL: nothing can be fetched */
	const struct trustdb_input *texts; /* the director's; NULL for the image repository */
};

static bool get_whole(struct buf *ret, struct https *https, const char *path, size_t max_bytes,
		      struct err *e)
{
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
	struct https_request r = { .method = "GET", .path = path, .max_bytes = max_bytes };

	if (!https)
		return err_set(e, E_NETWORK, "%s: not now", path);
	if (!https_do(https, &r, &a, e)) {
		/* As the specification has it: whoever may not see a file is told it is not there. */
		if (a.status == 404 || a.status == 403)
			err_set(e, E_NOT_FOUND, "%s is not there", path);
		return false;
	}
	return buf_add(ret, a.body.p, a.body.n, e);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static bool repo_fetch(void *ctx, struct buf *ret, const char *name, size_t max_bytes,
		       struct err *e)
{
	const struct repo *repo = ctx;
	const struct trustdb_input *in = repo->texts;
	const struct text_span *span;
	char path[LIMIT_PATH];

	/* Nobody asks when the answer brought no timestamp: what is stored is taken then. */
	if (in && !ends_with(name, ".root.json")) {
		span = strcmp(name, "timestamp.json") == 0 ? &in->timestamp
		       : ends_with(name, ".snapshot.json") ? &in->snapshot
		       : ends_with(name, ".targets.json")  ? &in->targets
							   : NULL;
		return span ? buf_add(ret, span->p, span->n, e)
			    : err_set(e, E_NOT_FOUND, "%s is not in the answer", name);
	}
	snprintf(path, sizeof(path), "%s%s", repo->base, name);
	return get_whole(ret, repo->https, path, max_bytes, e);
}

static bool repo_load(void *ctx, struct buf *ret, const char *name, size_t max_bytes,
		      struct err *e)
{
	const struct repo *repo = ctx;
	CLEANUP(buf_done) struct buf b = BUF_INIT(max_bytes);

	return read_file_at(repo->dirfd, name, &b, e) && buf_add(ret, b.p, b.n, e);
}

static bool repo_store(void *ctx, const char *name, const void *p, size_t n, struct err *e)
{
	return file_replace(((const struct repo *)ctx)->dirfd, name, 0600, p, n, e);
}

static bool repo_remove(void *ctx, const char *name, struct err *e)
{
	return file_remove(((const struct repo *)ctx)->dirfd, name, e);
}

static struct tuf_client_io io_of(struct repo *repo)
{
	return (struct tuf_client_io){ repo, repo_fetch, repo_load, repo_store, repo_remove };
}

/* ---- the anchor -------------------------------------------------------------------------- */

static bool anchor_one(struct repo *repo, const uint8_t want[static SHA256_SIZE], struct err *e)
{
	CLEANUP(buf_done) struct buf root = BUF_INIT(LIMIT_TUF_ROOT);
	CLEANUP(buf_done) struct buf have = BUF_INIT(SHA256_SIZE);
	struct tuf_client_io io = io_of(repo);
	struct err ignored;

	/* Which anchor it grew from stands beside the metadata, as root.json moves on. */
	if (read_file_at(repo->dirfd, "anchor", &have, &ignored) && have.n == SHA256_SIZE &&
	    memcmp(have.p, want, SHA256_SIZE) == 0)
		return true;
	return repo_fetch(repo, &root, "1.root.json", LIMIT_TUF_ROOT, e) &&
	       tuf_client_init(&io, root.p, root.n, want, e) &&
	       file_replace(repo->dirfd, "anchor", 0600, want, SHA256_SIZE, e);
}

bool trustdb_anchor(struct trustdb *t, struct https *https,
		    const uint8_t image_root[static SHA256_SIZE],
		    const uint8_t director_root[static SHA256_SIZE], struct err *e)
{
	struct repo image = { t->image_dirfd, "/tuf/image/", https, NULL };
	struct repo director = { t->director_dirfd, "/tuf/director/", https, NULL };

	if (!anchor_one(&image, image_root, e))
		return err_wrap(e, "image repository");
	return anchor_one(&director, director_root, e) ? true : err_wrap(e, "director");
}

/* ---- evaluation -------------------------------------------------------------------------- */

bool object_get(struct buf *ret, struct https *https, const struct tuf_hashes *h, struct err *e)
{
	char path[16 + HEX_SIZE(SHA256_SIZE)], hex[HEX_SIZE(SHA256_SIZE)];

	if (!h->has_sha256 || !h->has_length)
		return err_set(e, E_FORMAT, "metadata names no SHA-256 or no length");
	if (h->length > ret->max)
		return err_set(e, E_TOO_BIG, "%" PRIu64 " bytes, at most %zu", h->length,
			       ret->max);
	hex_encode(hex, h->sha256, SHA256_SIZE);
	snprintf(path, sizeof(path), "/objects/%s", hex);
	return get_whole(ret, https, path, h->length + 1, e) &&
	       tuf_hashes_check(h, ret->p, ret->n, e);
}

static bool load_manifest(struct buf *ret, const struct trustdb *t, const struct tuf_hashes *h)
{
	struct err ignored;

	if (read_file_at(t->want_dirfd, MANIFEST, ret, &ignored) &&
	    tuf_hashes_check(h, ret->p, ret->n, &ignored))
		return true;
	buf_reset(ret);
	return false;
}

static bool take_release(struct wanted *w, struct trustdb *t, const struct trustdb_input *in,
			 const struct uptane_item *item, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_RELEASE_JSON);

	if (!load_manifest(&raw, t, &item->hashes) &&
	    (!object_get(&raw, in->https, &item->hashes, e) ||
	     !file_replace(t->want_dirfd, MANIFEST, 0600, raw.p, raw.n, e)))
		return false;
	if (!release_parse(&w->manifest, raw.p, raw.n, e))
		return false;
	/* Signed as one thing and written as another is nobody's release. */
	if (strcmp(w->manifest->product, item->name) != 0 ||
	    strcmp(w->manifest->version, item->version) != 0 ||
	    w->manifest->security_version != item->number)
		return err_set(e, E_UNTRUSTED,
			       "the manifest is of %s/%s, security version %" PRIu64,
			       w->manifest->product, w->manifest->version,
			       w->manifest->security_version);
	memcpy(w->release.product, item->name, sizeof(w->release.product));
	memcpy(w->release.version, item->version, sizeof(w->release.version));
	memcpy(w->release.manifest, item->hashes.sha256, SHA256_SIZE);
	w->release.security_version = item->number;
	w->release.data_schema = w->manifest->data_schema;
	w->has_release = true;
	return buf_take(&raw, &w->manifest_text, &w->manifest_n, e);
}

/* "valise": {"levels": {"base": "group"}} in the director's targets says how close each bundle's
 * assignment is; absent is "all". */
static bool level_of(enum policy_level *ret, const struct tuf_meta *targets, const char *name,
		     struct err *e)
{
	const struct jval *valise = jobj_opt(targets->signed_part, "valise");
	const struct jval *levels = valise ? jobj_opt(valise, "levels") : NULL;
	unsigned level = POLICY_FOR_ALL;

	if (levels && jobj_has(levels, name) &&
	    !jobj_choice(&level, levels, name, policy_level_names, e))
		return err_wrap(e, "levels");
	*ret = (enum policy_level)level;
	return true;
}

static bool take_policies(struct wanted *w, const struct uptane_want *u,
			  const struct tuf_meta *targets, struct err *e)
{
	w->policies = calloc(u->n_policies ? u->n_policies : 1, sizeof(*w->policies));
	if (!w->policies)
		return err_nomem(e);
	for (size_t i = 0; i < u->n_policies; i++) {
		struct wanted_policy *p = &w->policies[w->n_policies++];

		p->item = u->policies[i];
		if (!level_of(&p->level, targets, p->item.name, e))
			return false;
	}
	return true;
}

static uint64_t version_of(const struct tuf_client *c, enum tuf_type type)
{
	const struct tuf_meta *m = tuf_client_meta(c, type);

	return m ? m->version : 0;
}

static bool digest_keys(uint8_t ret[static SHA256_SIZE], const struct tuf_role *role,
			struct err *e)
{
	struct sha256 h = { NULL };

	if (!sha256_init(&h, e))
		return false;
	for (size_t i = 0; i < role->n_keys; i++)
		sha256_update(&h, role->keys[i]->id, strlen(role->keys[i]->id));
	sha256_final(&h, ret);
	sha256_done(&h);
	return true;
}

/* The expiry of the director's own metadata is checked against what the server says alone when the keys
 * that trusted time is from are gone: its other bound comes with its timestamp. */
static bool refresh_director(struct tuf_client *c, struct wanted *w,
			     const struct trustdb_input *in, struct err *e)
{
	bool anew;

	if (!tuf_client_follow_roots(c, e) ||
	    !digest_keys(w->time_keys, &tuf_client_meta(c, TUF_ROOT)->roles[TUF_TIMESTAMP], e))
		return false;
	anew = in->time_keys && ttime_is_anew(in->time_keys, w->time_keys);
	if (anew) {
		w->now_s = in->server_s < TTIME_BUILT_S ? TTIME_BUILT_S : in->server_s;
		tuf_client_set_time(c, w->now_s);
	}
	if (!tuf_client_refresh(c, e)) {
		/* But for the root all of it is made by the server. */
		if (e->code == E_EXPIRED && tuf_client_meta(c, TUF_ROOT)->expires_s > w->now_s)
			err_hint(e, TUF_HINT_ONLINE);
		return false;
	}
	if (anew)
		w->now_s = ttime_anew_s(in->server_s,
					tuf_client_meta(c, TUF_TIMESTAMP)->expires_s);
	return true;
}

static bool open_director(struct tuf_client **ret, const struct tuf_client_io *io,
			  struct wanted *w, const struct trustdb_input *in, struct err *e)
{
	if (!tuf_client_new(ret, io, w->now_s, e) ||
	    !(in->timestamp.p ? refresh_director(*ret, w, in, e)
			      : tuf_client_open_stored(*ret, e)))
		return err_wrap(e, "director");
	return true;
}

static bool open_image(struct tuf_client **ret, const struct tuf_client_io *io, int64_t now_s,
		       bool refresh, struct err *e)
{
	if (!tuf_client_new(ret, io, now_s, e) ||
	    !(refresh ? tuf_client_refresh(*ret, e) : tuf_client_open_stored(*ret, e)))
		return err_wrap(e, "image repository");
	return true;
}

static bool take_want(struct wanted *w, struct trustdb *t, const struct trustdb_input *in,
		      struct tuf_client *director, struct tuf_client *image, struct err *e)
{
	struct uptane_check check = { in->device, in->timestamp.p ? in->nonce : NULL,
				      in->floor };
	CLEANUP(uptane_want_done) struct uptane_want u = { 0 };
	const struct tuf_meta *targets = tuf_client_meta(director, TUF_TARGETS);

	if (!uptane_verify(&u, director, image, &check, e))
		return false;
	w->image_ts = version_of(image, TUF_TIMESTAMP);
	w->director_ts = version_of(director, TUF_TIMESTAMP);
	w->image_root = version_of(image, TUF_ROOT);
	w->director_root = version_of(director, TUF_ROOT);
	w->director_expires_s = tuf_client_meta(director, TUF_TIMESTAMP)->expires_s;
	w->floor = u.security_version_floor;
	w->lease_s = u.lease_s;
	memcpy(w->rollout, u.rollout, sizeof(w->rollout));
	if (u.has_release && !take_release(w, t, in, &u.release, e))
		return err_wrap(e, "%s/%s", u.release.name, u.release.version);
	return take_policies(w, &u, targets, e);
}

bool trustdb_evaluate(struct wanted **ret, struct trustdb *t, const struct trustdb_input *in,
		      struct err *e)
{
	struct repo image_repo = { t->image_dirfd, "/tuf/image/", in->https, NULL };
	struct repo director_repo = { t->director_dirfd, "/tuf/director/", in->https, in };
	struct tuf_client_io image_io = io_of(&image_repo);
	struct tuf_client_io director_io = io_of(&director_repo);
	CLEANUP(tuf_client_freep) struct tuf_client *image = NULL;
	CLEANUP(tuf_client_freep) struct tuf_client *director = NULL;
	CLEANUP(wanted_freep) struct wanted *w = calloc(1, sizeof(*w));

	if (!w)
		return err_nomem(e);
	/* A lie of the server's can only make it refuse what is valid. */
	w->now_s = in->server_s > in->now_s ? in->server_s : in->now_s;
	/* The director first: what it names may be newer than our copy of the image repository. */
	if (!open_director(&director, &director_io, w, in, e) ||
	    !open_image(&image, &image_io, w->now_s, in->https && in->refresh_image, e) ||
	    !take_want(w, t, in, director, image, e))
		return false;
	*ret = TAKE(w);
	return true;
}

void wanted_free(struct wanted *w)
{
	if (!w)
		return;
	release_free(w->manifest);
	free(w->manifest_text);
	free(w->policies);
	free(w);
}
