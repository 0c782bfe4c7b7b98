#include "admin-cli/ceremony_priv.h"

#include "admin-cli/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "client/backoff.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUSY_MS = 3600 * 1000 };

const char *const ceremony_repos[] = { "image", "director", NULL };

/* ---- memory ------------------------------------------------------------------------------ */

void ceremony_init(struct ceremony *c, enum ceremony_repo repo, const char *role)
{
	*c = (struct ceremony){ .repo = repo };
	snprintf(c->role, sizeof(c->role), "%s", role);
	buf_init(&c->targets, LIMIT_TUF_TARGETS);
	buf_init(&c->previous, LIMIT_TUF_TARGETS);
	buf_init(&c->file, LIMIT_TUF_TARGETS);
	buf_init(&c->payload, LIMIT_RELEASE_JSON);
}

static void forget(struct ceremony *c)
{
	tuf_free(TAKE(c->root));
	tuf_free(TAKE(c->giver));
	tuf_free(TAKE(c->before));
	tuf_free(TAKE(c->meta));
	for (size_t i = 0; i < c->n_needs; i++)
		free(c->needs[i].good);
	c->n_needs = 0;
}

void ceremony_done(struct ceremony *c)
{
	forget(c);
	for (size_t i = 0; i < c->n_roots; i++)
		buf_done(&c->roots[i]);
	free(c->roots);
	c->roots = NULL;
	c->n_roots = 0;
	buf_done(&c->targets);
	buf_done(&c->previous);
	buf_done(&c->file);
	buf_done(&c->payload);
}

static bool is_root(const struct ceremony *c)
{
	return strcmp(c->role, "root") == 0;
}

static bool is_delegated(const struct ceremony *c)
{
	return !is_root(c) && strcmp(c->role, "targets") != 0;
}

static bool add_root(struct ceremony *c, const void *p, size_t n, struct err *e)
{
	struct buf *longer;

	if (c->n_roots >= LIMIT_TUF_ROTATIONS)
		return err_set(e, E_TOO_BIG, "more than %d roots", LIMIT_TUF_ROTATIONS);
	longer = reallocarray(c->roots, c->n_roots + 1, sizeof(*longer));
	if (!longer)
		return err_nomem(e);
	c->roots = longer;
	buf_init(&longer[c->n_roots], LIMIT_TUF_ROOT);
	return buf_add(&longer[c->n_roots++], p, n, e);
}

/* ---- from the server --------------------------------------------------------------------- */

static bool fetch_roots(struct ceremony *c, struct remote *r, struct err *e)
{
	char name[40];
	const char *const params[] = { name, NULL };
	struct remote_call call = {
		.route = c->repo == CEREMONY_IMAGE ? ROUTE_TUF_IMAGE : ROUTE_TUF_DIRECTOR,
		.params = params,
	};

	for (;;) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT);

		snprintf(name, sizeof(name), "%zu.root.json", c->n_roots + 1);
		if (!remote_text(r, &call, &text, e))
			break;
		if (!add_root(c, text.p, text.n, e))
			return false;
	}
	if (e->code != E_NOT_FOUND)
		return err_wrap(e, "%s", name);
	if (c->n_roots > 0)
		return true;
	err_set(e, E_NOT_FOUND, "the server has no %s root yet", ceremony_repos[c->repo]);
	return err_hint(e, "run `valise init` first");
}

static bool fetch_role(struct buf *ret, struct remote *r, const char *role, bool may_miss,
		       struct err *e)
{
	const char *const params[] = { role, NULL };
	struct remote_call c = { .route = ROUTE_IMAGE_ROLE_GET, .params = params };

	buf_reset(ret);
	return remote_text(r, &c, ret, e) || (may_miss && e->code == E_NOT_FOUND) ||
	       err_wrap(e, "role %s", role);
}

bool ceremony_fetch(struct ceremony *c, struct remote *r, struct err *e)
{
	if (!fetch_roots(c, r, e))
		return false;
	if (is_root(c))
		return true;
	return (!is_delegated(c) || fetch_role(&c->targets, r, "targets", false, e)) &&
	       fetch_role(&c->previous, r, c->role, true, e);
}

/* ---- the file ---------------------------------------------------------------------------- */

static bool read_text(struct buf *ret, const struct jval *o, const char *key, struct err *e)
{
	const char *text;
	size_t n;

	if (!jobj_has(o, key))
		return true;
	return jobj_text(&text, &n, o, key, ret->max, e) && buf_add(ret, text, n, e);
}

static bool read_roots(struct ceremony *c, const struct jval *o, struct err *e)
{
	const struct jval *list;
	const char *text;
	size_t n;

	if (!jobj_arr(&list, o, "roots", LIMIT_TUF_ROTATIONS, e))
		return false;
	for (size_t i = 0; i < jarr_n(list); i++) {
		if (!jval_get_text(&text, &n, jarr_at(list, i), LIMIT_TUF_ROOT, e) ||
		    !add_root(c, text, n, e))
			return err_wrap(e, "roots");
	}
	return true;
}

static bool role_is_known(const struct ceremony *c, struct err *e)
{
	if (is_root(c))
		return true;
	if (c->repo == CEREMONY_IMAGE &&
	    (strcmp(c->role, "targets") == 0 || strcmp(c->role, "policies") == 0 ||
	     (strncmp(c->role, "releases.", 9) == 0 && name_is_valid(c->role + 9, LIMIT_NAME))))
		return true;
	return err_set(e, E_FORMAT, "role: \"%.80s\" is not signed by people", c->role);
}

static bool read_all(struct ceremony *c, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "_type",   "format",  "repository", "role",
					    "roots",   "targets", "previous",   "file",
					    "payload", NULL };
	const char *type, *role;
	unsigned repo;

	if (!jval_is_obj(o, e) || !jobj_only(o, keys, e) ||
	    !jobj_str(&type, o, "_type", 32, e) || !jobj_version(o, "format", 1, e) ||
	    !jobj_choice(&repo, o, "repository", ceremony_repos, e) ||
	    !jobj_str(&role, o, "role", LIMIT_TUF_ROLE_NAME, e))
		return false;
	if (strcmp(type, "valise-ceremony") != 0)
		return err_set(e, E_FORMAT, "_type: is not valise-ceremony");
	ceremony_init(c, (enum ceremony_repo)repo, role);
	return role_is_known(c, e) && read_roots(c, o, e) &&
	       read_text(&c->targets, o, "targets", e) &&
	       read_text(&c->previous, o, "previous", e) && read_text(&c->file, o, "file", e) &&
	       read_text(&c->payload, o, "payload", e);
}

bool ceremony_parse(struct ceremony *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	if (n > CEREMONY_FILE_MAX)
		return err_set(e, E_TOO_BIG, "a ceremony's file of %zu bytes", n);
	if (!jdoc_parse(&d, p, n, e) || !read_all(&c, jdoc_root(d), e))
		return err_wrap(e, "ceremony");
	if (c.file.n == 0)
		return err_set(e, E_FORMAT, "ceremony: file: missing");
	*ret = c;
	c = (struct ceremony){ .n_roots = 0 };
	return true;
}

static void write_text(struct jw *w, const char *key, const struct buf *text)
{
	if (text->n > 0)
		jw_strn(w, key, buf_str(text), text->n);
}

bool ceremony_encode(struct buf *out, const struct ceremony *c, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "_type", "valise-ceremony");
	write_text(&w, "file", &c->file);
	jw_u64(&w, "format", 1);
	write_text(&w, "payload", &c->payload);
	write_text(&w, "previous", &c->previous);
	jw_str(&w, "repository", ceremony_repos[c->repo]);
	jw_str(&w, "role", c->role);
	jw_arr(&w, "roots");
	for (size_t i = 0; i < c->n_roots; i++)
		write_text(&w, NULL, &c->roots[i]);
	jw_end(&w);
	write_text(&w, "targets", &c->targets);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(out, "\n", e);
}

bool ceremony_load(struct ceremony *ret, const char *path, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CEREMONY_FILE_MAX);

	return read_file_at(AT_FDCWD, path, &text, e) &&
	       (ceremony_parse(ret, text.p, text.n, e) || err_wrap(e, "%s", path));
}

bool ceremony_store(const struct ceremony *c, const char *path, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(CEREMONY_FILE_MAX);

	return ceremony_encode(&text, c, e) && file_put(path, 0644, buf_str(&text), text.n, e);
}

/* ---- checking ---------------------------------------------------------------------------- */

static bool follows(const struct tuf_meta *m, const struct tuf_meta *before, struct err *e)
{
	if (m->version != before->version + 1)
		return err_set(e, m->version <= before->version ? E_ROLLBACK : E_UNTRUSTED,
			       "version %" PRIu64 " does not follow %" PRIu64, m->version,
			       before->version);
	return true;
}

/* The newest root that this home has verified; *ret stays NULL if there is none. */
static bool known_root(struct tuf_meta **ret, struct buf *text, const struct home *h,
		       enum ceremony_repo repo, struct err *e)
{
	char name[40];

	snprintf(name, sizeof(name), "%s.root.json", ceremony_repos[repo]);
	if (!home_read(h, "roots", name, text, e)) {
		if (e->code != E_NOT_FOUND)
			return false;
		/* What `valise init` made. */
		snprintf(name, sizeof(name), "%s-1.root.json", ceremony_repos[repo]);
		if (!home_read(h, "roots", name, text, e))
			return e->code == E_NOT_FOUND;
	}
	return tuf_parse(ret, TUF_ROOT, text->p, text->n, e) ||
	       err_wrap(e, "%s/roots/%s", h->path, name);
}

static bool agrees(const struct ceremony *c, const struct home *h, bool *ret_first,
		   struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *known = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_ROOT);
	const struct buf *same;

	if (!known_root(&known, &text, h, c->repo, e))
		return false;
	*ret_first = !known;
	if (!known)
		return true;
	if (known->version > c->n_roots) {
		err_set(e, E_ROLLBACK,
			"it knows roots up to version %zu, this home has seen version %" PRIu64,
			c->n_roots, known->version);
		return err_hint(e, "it is older than what is in force; begin anew");
	}
	same = &c->roots[known->version - 1];
	if (same->n != text.n || memcmp(same->p, text.p, text.n) != 0) {
		err_set(e, E_UNTRUSTED,
			"root version %" PRIu64 " is another one than this home has seen",
			known->version);
		return err_hint(e, "the file comes from another organisation, or was altered");
	}
	return true;
}

/* From version 1 on, each signed by the one before and by itself. */
static bool walk_roots(struct ceremony *c, struct err *e)
{
	CLEANUP(tuf_freep) struct tuf_meta *last = NULL;

	for (size_t i = 0; i < c->n_roots; i++) {
		CLEANUP(tuf_freep) struct tuf_meta *m = NULL;

		if (!tuf_parse(&m, TUF_ROOT, c->roots[i].p, c->roots[i].n, e) ||
		    !tuf_verify(m, tuf_role_get(m, "root"), e) ||
		    (last &&
		     (!follows(m, last, e) || !tuf_verify(m, tuf_role_get(last, "root"), e))))
			return err_wrap(e, "root %zu of the chain", i + 1);
		if (!last && m->version != 1)
			return err_set(e, E_UNTRUSTED,
				       "the chain of roots begins with version %" PRIu64,
				       m->version);
		tuf_free(last);
		last = TAKE(m);
	}
	if (!last)
		return err_set(e, E_FORMAT, "roots: there is none");
	c->root = TAKE(last);
	return true;
}

bool ceremony_trust(const struct ceremony *c, const struct home *h, struct err *e)
{
	const struct buf *newest = &c->roots[c->n_roots - 1];
	char name[40];

	snprintf(name, sizeof(name), "%s.root.json", ceremony_repos[c->repo]);
	return home_write(h, "roots", name, 0644, newest->p, newest->n, e);
}

static bool check_roots(struct ceremony *c, const struct home *h, struct err *e)
{
	uint8_t sum[SHA256_SIZE];

	if (!walk_roots(c, e) || !agrees(c, h, &c->first_sight, e))
		return false;
	sha256(sum, c->roots[0].p, c->roots[0].n);
	hex_encode(c->root_sha256, sum, sizeof(sum));
	return true;
}

/* Who must sign the role, by what is in force. */
static const struct tuf_role *given(const struct ceremony *c)
{
	return tuf_role_get(c->giver ? c->giver : c->root, c->role);
}

static bool check_before(struct ceremony *c, struct err *e)
{
	struct err ignored;

	c->before_signed = false;
	if (is_delegated(c)) {
		if (!tuf_parse(&c->giver, TUF_TARGETS, c->targets.p, c->targets.n, e) ||
		    !tuf_verify(c->giver, tuf_role_get(c->root, "targets"), e))
			return err_wrap(e, "targets");
	}
	if (!is_root(c) && !given(c)) {
		err_set(e, E_UNTRUSTED, "role %s is given to nobody", c->role);
		return err_hint(e, "`valise publisher add` makes a publisher");
	}
	if (is_root(c) || c->previous.n == 0)
		return true;
	if (!tuf_parse(&c->before, TUF_TARGETS, c->previous.p, c->previous.n, e))
		return err_wrap(e, "previous version");
	/* After a change of keys it has the signatures of the old ones, which prove nothing now. */
	c->before_signed = tuf_verify(c->before, given(c), &ignored);
	return true;
}

static bool add_need(struct ceremony *c, const char *what, const struct tuf_role *role,
		     struct err *e)
{
	struct ceremony_need *n = &c->needs[c->n_needs];

	*n = (struct ceremony_need){ .what = what, .role = role };
	n->good = calloc(role->n_keys + 1, sizeof(*n->good));
	if (!n->good)
		return err_nomem(e);
	c->n_needs++;
	return tuf_count(c->meta, role, &n->have, n->good, e);
}

/* Whether a key that is wanted made this signature. */
static bool is_good(const struct ceremony *c, const char *keyid)
{
	for (size_t i = 0; i < c->n_needs; i++) {
		const struct ceremony_need *n = &c->needs[i];

		for (size_t k = 0; k < n->role->n_keys; k++) {
			if (n->good[k] && strcmp(n->role->keys[k]->id, keyid) == 0)
				return true;
		}
	}
	return false;
}

static bool no_strangers(const struct ceremony *c, struct err *e)
{
	const struct jval *list = c->meta->signatures;
	const char *id;

	for (size_t i = 0; i < jarr_n(list); i++) {
		if (!jobj_str(&id, jarr_at(list, i), "keyid", 2048, e))
			return err_wrap(e, "signatures");
		if (is_good(c, id))
			continue;
		err_set(e, E_UNTRUSTED,
			"the signature by key %.12s does not fit, or its key may not sign this",
			id);
		return err_hint(e, "the file was altered or signed by a stranger; ask for it "
				   "again");
	}
	return true;
}

static bool check_payload(const struct ceremony *c, struct err *e)
{
	if (is_delegated(c))
		return ceremony_payload_check(c, e);
	return c->payload.n == 0 || err_set(e, E_FORMAT, "payload: is for no role");
}

static bool check_file(struct ceremony *c, struct err *e)
{
	const struct tuf_meta *before = is_root(c) ? c->root : c->before;

	if (!tuf_parse(&c->meta, is_root(c) ? TUF_ROOT : TUF_TARGETS, c->file.p, c->file.n, e))
		return false;
	if (before ? !follows(c->meta, before, e)
		   : c->meta->version != 1 && !err_set(e, E_UNTRUSTED, "its version is not 1"))
		return false;
	if (!add_need(c, is_root(c) ? "keys of the old root" : "keys of the role", given(c),
		      e) ||
	    (is_root(c) &&
	     !add_need(c, "keys of the new root", tuf_role_get(c->meta, "root"), e)))
		return false;
	return no_strangers(c, e) && check_payload(c, e);
}

bool ceremony_check(struct ceremony *c, const struct home *h, struct err *e)
{
	forget(c);
	if (!check_roots(c, h, e) || !check_before(c, e))
		return err_wrap(e, "%s %s", ceremony_repos[c->repo], c->role);
	if (c->file.n > 0 && !check_file(c, e))
		return err_wrap(e, "%s %s", ceremony_repos[c->repo], c->role);
	return c->first_sight || ceremony_trust(c, h, e);
}

uint64_t ceremony_missing(const struct ceremony *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->n_needs; i++) {
		const struct ceremony_need *need = &c->needs[i];

		/* One person may fill both: the greater gap is what is missing at least. */
		if (need->have < need->role->threshold &&
		    need->role->threshold - need->have > n)
			n = need->role->threshold - need->have;
	}
	return n;
}

/* ---- signing ----------------------------------------------------------------------------- */

bool ceremony_wants(const struct ceremony *c, const uint8_t public[static KEYFILE_PUBLIC_SIZE],
		    bool *ret, struct err *e)
{
	char id[TUF_KEYID_SIZE];

	*ret = false;
	if (!tuf_keyid_ed25519(id, public, e))
		return false;
	for (size_t i = 0; i < c->n_needs; i++) {
		const struct ceremony_need *n = &c->needs[i];

		for (size_t k = 0; k < n->role->n_keys; k++)
			*ret |= !n->good[k] && strcmp(n->role->keys[k]->id, id) == 0;
	}
	return true;
}

bool ceremony_sign(struct ceremony *c, const struct key *key, const struct home *h,
		   struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TUF_TARGETS);
	char id[TUF_KEYID_SIZE];
	bool wanted;

	if (!tuf_keyid_ed25519(id, key->public, e) ||
	    !ceremony_wants(c, key->public, &wanted, e))
		return false;
	if (!wanted && is_good(c, id))
		return err_set(e, E_EXISTS, "key %.12s has signed this already", id);
	if (!wanted)
		return err_set(e, E_UNTRUSTED, "key %.12s may not sign %s %s", id,
			       ceremony_repos[c->repo], c->role);
	if (!tuf_sign_with(&text, c->file.p, c->file.n, key->secret, e))
		return false;
	buf_reset(&c->file);
	return buf_add(&c->file, text.p, text.n, e) && ceremony_check(c, h, e) &&
	       ceremony_trust(c, h, e);
}

/* ---- publishing -------------------------------------------------------------------------- */

static bool release_body(struct buf *out, const struct ceremony *c, const char *field,
			 struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_strn(&w, field, buf_str(&c->payload), c->payload.n);
	jw_strn(&w, "targets", buf_str(&c->file), c->file.n);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool wait_while_busy(struct remote *r, struct backoff *b, int64_t since_ms,
			    struct err *e)
{
	const struct clock *clock = clock_system();
	uint64_t ms;

	if ((e->code != E_BUSY && e->code != E_RATE) ||
	    clock_boot_ms(clock) - since_ms > BUSY_MS)
		return false;
	backoff_fail(b, clock, rng_system(), r->retry_after_s);
	ms = backoff_wait_ms(b, clock);
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ms / 1000),
				      .tv_nsec = (long)(ms % 1000) * 1000000 },
		  NULL);
	return true;
}

bool ceremony_publish(const struct ceremony *c, struct remote *r, struct err *e)
{
	if (ceremony_missing(c) > 0)
		return err_set(e, E_UNTRUSTED, "%" PRIu64 " signatures are missing",
			       ceremony_missing(c));
	return ceremony_send(c, r, e);
}

bool ceremony_send(const struct ceremony *c, struct remote *r, struct err *e)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_PUBLISH_BODY);
	struct backoff b = BACKOFF_INIT(1000, 30000);
	const char *const params[] = { c->role, NULL };
	struct remote_call call = { .body = &c->file };
	int64_t since_ms = clock_boot_ms(clock_system());

	if (is_root(c)) {
		call.route = c->repo == CEREMONY_IMAGE ? ROUTE_IMAGE_ROOT_PUT
						       : ROUTE_DIRECTOR_ROOT_PUT;
	} else if (!is_delegated(c)) {
		call.route = ROUTE_IMAGE_TARGETS_PUT;
	} else {
		bool policy = strcmp(c->role, "policies") == 0;

		call.route = c->payload.n == 0 ? ROUTE_IMAGE_ROLE_PUT
			     : policy          ? ROUTE_POLICY_NEW
					       : ROUTE_RELEASE_NEW;
		call.params = c->payload.n == 0 ? params : NULL;
		call.body = c->payload.n == 0 ? &c->file : &body;
		if (c->payload.n > 0 &&
		    !release_body(&body, c, policy ? "bundle" : "release", e))
			return false;
	}
	while (!remote_do(r, &call, NULL, NULL, e)) {
		if (!wait_while_busy(r, &b, since_ms, e))
			return false;
	}
	return true;
}
