/* server/api_releases.c - publishing, listing, withdrawing. */
#include "server/api.h"
#include "server/api_json.h"
#include "server/api_proposals.h"
#include "server/publication.h"
#include "base/io.h"
#include "base/text.h"
#include "storage/objects.h"

#include <inttypes.h>

/* ---- JSON ---------------------------------------------------------------------------------- */

static void write_row(struct jw *w, const struct release_row *row)
{
	jw_str(w, "product", row->product);
	jw_str(w, "version", row->version);
	jw_u64(w, "security_version", row->security_version);
	jw_u64(w, "data_schema", row->data_schema);
	jw_str(w, "state", row->withdrawn_at ? "withdrawn" : "published");
	jw_hex(w, "sha256", row->manifest_sha256, SHA256_SIZE);
	jw_u64(w, "download_size", row->download_size);
	jw_time(w, "published_at", row->published_at);
	jw_str(w, "published_by", row->published_by);
	api_time(w, "withdrawn_at", row->withdrawn_at);
}

static void write_delta(struct jw *w, struct req *r, const struct release_row *row,
			const struct delta_row *d)
{
	uint64_t done, total;

	jw_obj(w, NULL);
	jw_str(w, "component", d->component);
	jw_str(w, "from", d->from_version);
	jw_str(w, "state", delta_state_names[d->state]);
	jw_u64(w, "devices", d->devices);
	jw_u64(w, "full_size", d->full_size);
	if (d->state == DELTA_MADE) {
		jw_u64(w, "size", d->size);
		jw_hex(w, "sha256", d->sha256, SHA256_SIZE);
	}
	if (d->reason[0])
		jw_str(w, "reason", d->reason);
	if (deltas_progress(r->web->deltas, row->product, row->version, d->component,
			    d->from_version, &done, &total) &&
	    total > 0 && done <= total)
		jw_u64(w, "percent", (uint64_t)(100.0 * (double)done / (double)total));
	jw_end(w);
}

/* "1.0.0/system made 1.8 of 90 MB" is the client's to say; here are the numbers. */
static bool write_deltas(struct jw *w, struct req *r, const struct release_row *row,
			 struct err *e)
{
	CLEANUP(delta_list_done) struct delta_list list = { 0 };

	if (!deltas_list(r->web->store, row->product, row->version, &list, e))
		return false;
	jw_arr(w, "deltas");
	for (size_t i = 0; i < list.n; i++)
		write_delta(w, r, row, &list.items[i]);
	jw_end(w);
	return true;
}

/* Who signed the product's role; NULL: the newest one. */
static bool write_signatures(struct jw *w, struct req *r, const char *product, const char *text,
			     size_t n, struct err *e)
{
	char role[LIMIT_NAME + 16];

	snprintf(role, sizeof(role), "releases.%s", product);
	return publication_signatures(w, r->web, role, text, n, e);
}

static bool send_release(struct req *r, unsigned status, const char *product,
			 const char *version, struct err *e)
{
	CLEANUP(release_full_done) struct release_full full = { 0 };
	struct jw w;

	if (!releases_get(r->web->store, product, version, &full, e))
		return false;
	reply_json(r, status, &w);
	jw_obj(&w, NULL);
	write_row(&w, &full.row);
	if (!write_deltas(&w, r, &full.row, e) || !write_signatures(&w, r, product, NULL, 0, e))
		return false;
	jw_raw(&w, "release", full.manifest, full.row.manifest_size);
	jw_end(&w);
	return reply_json_end(&w, e);
}

/* ---- what waits for signatures ------------------------------------------------------------- */

static bool send_proposal(struct req *r, struct err *e)
{
	CLEANUP(proposal_done) struct proposal p = { .number = 0 };
	CLEANUP(release_freep) struct release *rel = NULL;
	uint8_t sha[SHA256_SIZE];
	struct jw w;

	if (!proposals_get(r->web->store, PROPOSAL_RELEASE, r->params[0], r->params[1], &p,
			   e) ||
	    !release_parse(&rel, p.text, p.text_n, e))
		return false;
	sha256(sha, p.text, p.text_n);
	reply_json(r, 200, &w);
	jw_obj(&w, NULL);
	jw_str(&w, "product", p.name);
	jw_str(&w, "version", p.version);
	api_proposal_write(&w, &p);
	jw_u64(&w, "security_version", rel->security_version);
	jw_u64(&w, "data_schema", rel->data_schema);
	jw_hex(&w, "sha256", sha, sizeof(sha));
	if (!write_signatures(&w, r, p.name, p.role, p.role_n, e))
		return false;
	jw_raw(&w, "release", p.text, p.text_n);
	jw_end(&w);
	return reply_json_end(&w, e);
}

bool api_release_proposal(struct req *r, struct err *e)
{
	return api_proposal_send(r, PROPOSAL_RELEASE, e);
}

/* ---- lists --------------------------------------------------------------------------------- */

bool api_release_list(struct req *r, struct err *e)
{
	CLEANUP(release_page_done) struct release_page page = { 0 };
	char product[LIMIT_NAME + 1], state[16];
	int64_t after;
	size_t limit;
	struct jw w;

	if (!req_query(r, "product", product, sizeof(product), e) ||
	    !req_query(r, "state", state, sizeof(state), e))
		return false;
	if (strcmp(state, "pending") == 0)
		return api_proposal_list(r, PROPOSAL_RELEASE, product, e);
	if (state[0])
		return err_set(e, E_FORMAT, "state: is pending, or not given");
	if (!req_page_number(r, 'n', &after, &limit, e) ||
	    !releases_list(r->web->store, product, after, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		jw_obj(&w, NULL);
		write_row(&w, &page.items[i]);
		jw_end(&w);
	}
	return reply_list_end_at(&w, page.more, 'n',
				 page.n > 0 ? page.items[page.n - 1].number : 0, e);
}

bool api_release_get(struct req *r, struct err *e)
{
	return send_release(r, 200, r->params[0], r->params[1], e) ||
	       api_proposal_instead(r, send_proposal, e);
}

bool api_release_withdraw(struct req *r, struct err *e)
{
	char reason[LIMIT_TEXT + 1];

	if (!api_reason(r, reason, e) ||
	    !releases_withdraw(r->web->store, r->params[0], r->params[1], reason, r->actor, e))
		return false;
	log_info("release.withdrawn", "id=%s release=%s/%s actor=%s", r->id, r->params[0],
		 r->params[1], r->actor);
	return send_release(r, 200, r->params[0], r->params[1], e);
}

/* ---- publishing ----------------------------------------------------------------------------- */

struct publish {
	struct jdoc *doc;
	struct release *release;
	struct publication p; /* borrows from both */
};

static void publish_done(struct publish *p)
{
	release_free(p->release);
	jdoc_free(p->doc);
}

static bool read_body(struct publish *p, struct req *r, struct err *e)
{
	static const char *const keys[] = { "release", "targets", NULL };
	struct publication *to = &p->p;

	if (!api_body(r, keys, false, &p->doc, e) ||
	    !jobj_text(&to->text, &to->text_n, jdoc_root(p->doc), "release", LIMIT_RELEASE_JSON,
		       e) ||
	    !jobj_text(&to->role, &to->role_n, jdoc_root(p->doc), "targets", LIMIT_TUF_TARGETS,
		       e))
		return false;
	if (!release_parse(&p->release, to->text, to->text_n, e))
		return err_wrap(e, "release");
	to->release = p->release;
	return true;
}

/* A version is published once and for ever: *ret_same when this is it again. */
static bool look_for_same(struct req *r, const struct publish *p, bool *ret_same, struct err *e)
{
	CLEANUP(release_full_done) struct release_full full = { 0 };
	uint8_t sha[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];

	*ret_same = false;
	if (!releases_get(r->web->store, p->release->product, p->release->version, &full, e))
		return e->code == E_NOT_FOUND;
	sha256(sha, p->p.text, p->p.text_n);
	if (memcmp(sha, full.row.manifest_sha256, SHA256_SIZE) != 0) {
		hex_encode(hex, full.row.manifest_sha256, SHA256_SIZE);
		return err_set(
			e, E_EXISTS,
			"%s/%s was published with another content (release.json %.16s...)",
			p->release->product, p->release->version, hex);
	}
	if (full.row.withdrawn_at) {
		err_set(e, E_GONE, "%s/%s was withdrawn", p->release->product,
			p->release->version);
		return err_hint(e, "publish it under a new version");
	}
	*ret_same = true;
	return true;
}

/* A copy that the server's own disk damaged goes, and the publisher is told to send it again. */
static bool check_copy(struct req *r, const uint8_t sha256[static SHA256_SIZE], struct err *e)
{
	char hex[HEX_SIZE(SHA256_SIZE)];
	bool dropped;

	if (!objects_drop_damaged(r->web->store, sha256, &dropped, e))
		return false;
	if (!dropped)
		return true;
	hex_encode(hex, sha256, SHA256_SIZE);
	log_error("object.damaged", "id=%s object=%s dropped=true", r->id, hex);
	err_set(e, E_CORRUPT, "the server's copy was damaged on its disk; it was removed");
	return err_hint(e,
			"publish again, the file is sent once more; and have the server's disk "
			"looked at (valised check --store)");
}

static bool need_object(struct req *r, const char *what,
			const uint8_t sha256[static SHA256_SIZE], uint64_t size,
			struct buf *missing, struct err *e)
{
	char hex[HEX_SIZE(SHA256_SIZE)];
	CLEANUP(fd_closep) int fd = -1;
	uint64_t have;

	if (objects_open(r->web->store, sha256, &fd, &have, e)) {
		if (have == size)
			return true;
		if (!check_copy(r, sha256, e))
			return err_wrap(e, "%s", what);
		return err_set(e, E_CORRUPT, "%s: %" PRIu64 " bytes are stored, not %" PRIu64,
			       what, have, size);
	}
	if (e->code != E_NOT_FOUND)
		return false;
	hex_encode(hex, sha256, SHA256_SIZE);
	return buf_printf(missing, e, "%s%s", missing->n ? ", " : "", hex);
}

static bool have_objects(struct req *r, const struct release *rel, struct err *e)
{
	CLEANUP(buf_done) struct buf missing = BUF_INIT(2 * LIMIT_COMPONENTS * 70);

	for (size_t i = 0; i < rel->n_components; i++) {
		const struct component *c = &rel->components[i];

		if (!need_object(r, c->name, c->object_sha256, c->object_size, &missing, e) ||
		    (c->tree_size > 0 &&
		     !need_object(r, c->name, c->tree_sha256, c->tree_size, &missing, e)))
			return false;
	}
	if (missing.n == 0)
		return true;
	err_set(e, E_CONFLICT, "objects are missing: %s", buf_str(&missing));
	return err_hint(e,
			"upload them, then publish again; POST /v1/objects/missing lists all");
}

struct open_arg {
	struct store *store;
	const uint8_t *sha256;
};

static bool open_object(void *arg, int *ret_fd, struct err *e)
{
	struct open_arg *a = arg;
	uint64_t size;

	return objects_open(a->store, a->sha256, ret_fd, &size, e);
}

/* The decoded object answers for the tree as well, but not for the bytes of the tree that lie
 * here. */
static bool verify_component(struct req *r, const struct component *c, int64_t wait_ms,
			     struct err *e)
{
	struct open_arg arg = { r->web->store, c->object_sha256 };
	struct job job;
	struct err why;

	job_of(&job, c);
	if (jobs_verify(r->web->jobs, &job, c->object_sha256, open_object, &arg, wait_ms, &why))
		return c->tree_size == 0 || check_copy(r, c->tree_sha256, e);
	if (why.code == E_CORRUPT && !check_copy(r, c->object_sha256, e))
		return false;
	*e = why;
	return false;
}

/* Every component is decoded and measured by a work process before anybody can see the release. */
static bool verify_objects(struct req *r, const struct release *rel, struct err *e)
{
	int64_t until =
		clock_boot_ms(r->web->clock) + (int64_t)r->web->settings->publish_wait_s * 1000;

	for (size_t i = 0; i < rel->n_components; i++) {
		int64_t left = until - clock_boot_ms(r->web->clock);

		if (!verify_component(r, &rel->components[i], left > 0 ? left : 0, e))
			return err_wrap(e, "%s", rel->components[i].name);
	}
	return true;
}

static bool publish(struct req *r, struct publish *p, bool *ret_created, struct err *e)
{
	uint64_t missing;
	bool same;

	*ret_created = false;
	if (!look_for_same(r, p, &same, e) || same)
		return same;
	return publication_check(r->web, &p->p, &missing, e) &&
	       have_objects(r, p->release, e) && verify_objects(r, p->release, e) &&
	       publication_put(r->web, &p->p, missing, r->actor, ret_created, e);
}

bool api_release_new(struct req *r, struct err *e)
{
	CLEANUP(publish_done) struct publish p = { .doc = NULL };
	bool created;

	if (!read_body(&p, r, e))
		return false;
	if (!publish(r, &p, &created, e)) {
		err_wrap(e, "%s/%s", p.release->product, p.release->version);
		if (e->code == E_PENDING)
			log_info("release.waits", "id=%s actor=%s release=%s/%s", r->id,
				 r->actor, p.release->product, p.release->version);
		else
			log_warn("release.refused", "id=%s actor=%s %s", r->id, r->actor,
				 log_err(e).s);
		return false;
	}
	deltas_wake(r->web->deltas);
	if (created)
		log_info("release.published", "id=%s release=%s/%s actor=%s", r->id,
			 p.release->product, p.release->version, r->actor);
	return send_release(r, created ? 201 : 200, p.release->product, p.release->version, e);
}
