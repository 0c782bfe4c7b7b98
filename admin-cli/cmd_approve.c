/* `approve`: the signature of the next person on what waits for it, on the server or in a file that travels. */
#include "admin-cli/cmd_ceremony.h"
#include "admin-cli/opts.h"
#include "proto/release.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- in a file --------------------------------------------------------------------------- */

static bool check_kind(const struct ceremony *c, const char *path, const char *prefix,
		       struct err *e)
{
	size_t n = strlen(prefix);

	if (strncmp(c->role, prefix, n) == 0)
		return true;
	return err_set(e, E_USAGE, "%s: is about the role %s", path, c->role);
}

/* The signatures are kept before anything is sent: what comes after may be repeated. */
static bool approve_file(const char *path, const char *prefix, struct err *e)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };

	if (!opts_check(e) || !home_open(&h, opts.home, e) || !ceremony_load(&c, path, e) ||
	    !check_kind(&c, path, prefix, e))
		return false;
	if (!ceremony_check(&c, &h, e))
		return err_wrap(e, "%s", path);
	if (ceremony_missing(&c) > 0 &&
	    (!cmd_ceremony_sign(&c, &h, false, e) || !ceremony_store(&c, path, e)))
		return false;
	if (ceremony_missing(&c) == 0 && !remote_open(&r, REMOTE_TOKEN, e)) {
		err_wrap(e, "%s is signed by all, but not published", path);
		return err_hint(e, "run this again where the server is known");
	}
	return cmd_ceremony_finish(&c, &r, path, e);
}

/* ---- on the server ----------------------------------------------------------------------- */

/* What waits there under a name and a version. */
struct waiting {
	const char *role; /* with the product behind it where there is a dot */
	enum api_route_id route;
	const char *field;
	size_t max;
};
static const struct waiting releases = { "releases.", ROUTE_RELEASE_PROPOSAL, "release",
					 LIMIT_RELEASE_JSON };
static const struct waiting policies = { "policies", ROUTE_POLICY_PROPOSAL, "bundle",
					 LIMIT_POLICY_JSON };

static bool fetch_proposal(struct ceremony *c, struct remote *r, const struct waiting *w,
			   const struct release_ref *ref, struct err *e)
{
	const char *const params[] = { ref->product, ref->version, NULL };
	struct remote_call call = { .route = w->route, .params = params };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *payload, *targets;
	size_t payload_n, targets_n;
	char role[LIMIT_NAME + 16];

	snprintf(role, sizeof(role), "%s%s", w->role, w == &releases ? ref->product : "");
	ceremony_init(c, CEREMONY_IMAGE, role);
	if (!remote_do(r, &call, NULL, &d, e) || !ceremony_fetch(c, r, e))
		return false;
	if (!d)
		return err_set(e, E_FORMAT, "%s/%s: no answer", ref->product, ref->version);
	return jobj_text(&payload, &payload_n, jdoc_root(d), w->field, w->max, e) &&
	       jobj_text(&targets, &targets_n, jdoc_root(d), "targets", LIMIT_TUF_TARGETS, e) &&
	       buf_add(&c->payload, payload, payload_n, e) &&
	       buf_add(&c->file, targets, targets_n, e);
}

/* The signed file is sent as a whole: the server puts it together with what others sent meanwhile. */
static bool approve_on_server(const struct waiting *w, const struct release_ref *ref,
			      struct err *e)
{
	CLEANUP(remote_done) struct remote r = { 0 };
	CLEANUP(ceremony_done) struct ceremony c = { .n_roots = 0 };
	char name[RELEASE_REF_SIZE];

	snprintf(name, sizeof(name), "%s/%s", ref->product, ref->version);
	if (!remote_open(&r, REMOTE_TOKEN, e) || !fetch_proposal(&c, &r, w, ref, e) ||
	    !ceremony_check(&c, &r.home, e))
		return false;
	if (ceremony_missing(&c) > 0 && !cmd_ceremony_sign(&c, &r.home, false, e))
		return false;
	if (!ceremony_send(&c, &r, e)) {
		if (e->code != E_PENDING)
			return false;
		cmd_note("%s/%s: %" PRIu64 " signatures are missing", ref->product,
			 ref->version, ceremony_missing(&c));
		return cmd_ceremony_told(name, 0, ceremony_missing(&c), e);
	}
	cmd_note("published %s/%s", ref->product, ref->version);
	return cmd_ceremony_told(name, 0, 0, e);
}

/* A file that is there is meant; else a reference. */
static bool approve(const char *what, const struct waiting *w, struct err *e)
{
	struct release_ref ref;
	struct stat st;
	struct err ignored;

	if ((stat(what, &st) != 0 || !S_ISREG(st.st_mode)) &&
	    release_ref_parse(&ref, what, &ignored))
		return approve_on_server(w, &ref, e);
	return approve_file(what, w->role, e);
}

/* ---- commands ---------------------------------------------------------------------------- */

bool cmd_publisher_approve(int argc, char **argv, struct err *e)
{
	return approve_file(argv[0], "targets", e);
}

bool cmd_release_approve(int argc, char **argv, struct err *e)
{
	return approve(argv[0], &releases, e);
}

bool cmd_policy_approve(int argc, char **argv, struct err *e)
{
	return approve(argv[0], &policies, e);
}
