#include "admin-cli/cmd_ceremony.h"

#include "admin-cli/ask.h"
#include "admin-cli/opts.h"
#include "base/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct cli_list cmd_sign_keys;

const struct cli_opt sign_opts[] = {
	{ "key", 'k', "KEY", "sign with this key: name or file; may be repeated", CLI_LIST,
	  &cmd_sign_keys },
	{ 0 },
};

static void refs_freep(struct key_ref **refs)
{
	free(*refs);
}

/* ---- showing ----------------------------------------------------------------------------- */

static const char *name_of(const struct key_ref *refs, size_t n, const char *id)
{
	char one[TUF_KEYID_SIZE];
	struct err ignored;

	for (size_t i = 0; i < n; i++) {
		if (refs[i].info.type == KEYFILE_ED25519 &&
		    tuf_keyid_ed25519(one, refs[i].info.public, &ignored) &&
		    strcmp(one, id) == 0)
			return refs[i].name;
	}
	return NULL;
}

static void write_need(struct jw *w, const struct ceremony_need *n, const struct key_ref *refs,
		       size_t n_refs)
{
	jw_obj(w, NULL);
	jw_str(w, "what", n->what);
	jw_u64(w, "threshold", n->role->threshold);
	jw_u64(w, "have", n->have);
	jw_arr(w, "keys");
	for (size_t i = 0; i < n->role->n_keys; i++) {
		const char *id = n->role->keys[i]->id;
		const char *name = name_of(refs, n_refs, id);

		jw_obj(w, NULL);
		jw_str(w, "keyid", id);
		jw_bool(w, "signed", n->good[i]);
		if (name)
			jw_str(w, "name", name);
		jw_end(w);
	}
	jw_end(w);
	jw_end(w);
}

static bool show_json(const struct ceremony *c, const struct key_ref *refs, size_t n,
		      const char *changes, struct err *e)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(CEREMONY_FILE_MAX);
	struct jw w;

	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_str(&w, "changes", changes);
	jw_u64(&w, "missing", ceremony_missing(c));
	jw_str(&w, "repository", ceremony_repos[c->repo]);
	jw_str(&w, "role", c->role);
	jw_str(&w, "root_sha256", c->root_sha256);
	jw_arr(&w, "signatures");
	for (size_t i = 0; i < c->n_needs; i++)
		write_need(&w, &c->needs[i], refs, n);
	jw_end(&w);
	jw_u64(&w, "version", c->meta->version);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&out, "\n", e) && out_write(&out, e);
}

static bool describe(const struct ceremony *c, const struct key_ref *refs, size_t n,
		     const char *changes, struct buf *out, struct err *e)
{
	if (!buf_printf(out, e, "%s %s, version %" PRIu64 "\nSHA-256 of root 1: %s%s\n%s",
			ceremony_repos[c->repo], c->role, c->meta->version, c->root_sha256,
			c->first_sight ? " (compare it: this home has not seen it before)" : "",
			changes))
		return false;
	for (size_t i = 0; i < c->n_needs; i++) {
		const struct ceremony_need *need = &c->needs[i];

		if (!buf_printf(out, e, "%s: %" PRIu64 " of %" PRIu64 " have signed\n",
				need->what, need->have, need->role->threshold))
			return false;
		for (size_t k = 0; k < need->role->n_keys; k++) {
			const char *id = need->role->keys[k]->id;
			const char *name = name_of(refs, n, id);

			if (!buf_printf(out, e, "  %s %.12s %s\n",
					need->good[k] ? "signed" : "  -   ", id,
					name ? name : ""))
				return false;
		}
	}
	return true;
}

bool cmd_ceremony_show(const struct ceremony *c, const struct home *h, struct err *e)
{
	CLEANUP(buf_done) struct buf changes = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(buf_done) struct buf text = BUF_INIT(2 * LIMIT_TUF_TARGETS);
	CLEANUP(refs_freep) struct key_ref *refs = NULL;
	size_t n = 0;

	if (!keys_list(h, &refs, &n, e) || !ceremony_changes(c, &changes, e))
		return false;
	if (opts_json())
		return show_json(c, refs, n, buf_str(&changes), e);
	return describe(c, refs, n, buf_str(&changes), &text, e) && out_write(&text, e);
}

/* ---- signing ----------------------------------------------------------------------------- */

/* What is signed, before it is signed. */
static bool ask(const struct ceremony *c, struct err *e)
{
	CLEANUP(buf_done) struct buf changes = BUF_INIT(LIMIT_TUF_TARGETS);
	char question[160];

	if (!ceremony_changes(c, &changes, e))
		return false;
	cmd_review("%s %s:\n%s", ceremony_repos[c->repo], c->role, buf_str(&changes));
	if (c->first_sight)
		cmd_review(
			"This home has not seen the repository before.  SHA-256 of its first root, as "
			"tickets have it:\n%s",
			c->root_sha256);
	snprintf(question, sizeof(question), "Sign this %s of the %s repository?", c->role,
		 ceremony_repos[c->repo]);
	return ask_confirm(question, e);
}

static bool sign_one(struct ceremony *c, const struct home *h, const char *name, struct err *e)
{
	CLEANUP(key_done) struct key key = { 0 };

	return keys_open(h, name, NULL, &key, e) &&
	       (ceremony_sign(c, &key, h, e) || err_wrap(e, "key %s", name));
}

static bool sign_by_all(struct ceremony *c, const struct home *h, unsigned *ret_n,
			struct err *e)
{
	CLEANUP(refs_freep) struct key_ref *refs = NULL;
	size_t n = 0;
	bool wanted;

	*ret_n = 0;
	if (!keys_list(h, &refs, &n, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (refs[i].info.type != KEYFILE_ED25519)
			continue;
		if (!ceremony_wants(c, refs[i].info.public, &wanted, e))
			return false;
		if (!wanted)
			continue;
		if (*ret_n == 0 && !ask(c, e))
			return false;
		if (!sign_one(c, h, refs[i].name, e))
			return false;
		++*ret_n;
	}
	return true;
}

bool cmd_ceremony_sign(struct ceremony *c, const struct home *h, bool may_be_none,
		       struct err *e)
{
	unsigned n;

	if (cmd_sign_keys.n > 0) {
		if (!ask(c, e))
			return false;
		for (size_t i = 0; i < cmd_sign_keys.n; i++) {
			if (!sign_one(c, h, cmd_sign_keys.v[i], e))
				return false;
		}
		return true;
	}
	if (!sign_by_all(c, h, &n, e))
		return false;
	if (n > 0 || may_be_none)
		return true;
	err_set(e, E_NOT_FOUND, "no key in %s/keys may sign this, or all have signed", h->path);
	return err_hint(e, "--key names a key file");
}

bool cmd_ceremony_told(const char *name, uint64_t version, uint64_t missing, struct err *e)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw w;

	if (!opts_json())
		return true;
	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_u64(&w, "missing", missing);
	jw_str(&w, "name", name);
	jw_str(&w, "result", missing > 0 ? "waits" : "published");
	if (version > 0)
		jw_u64(&w, "version", version);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&out, "\n", e) && out_write(&out, e);
}

bool cmd_ceremony_finish(struct ceremony *c, struct remote *r, const char *path, struct err *e)
{
	uint64_t missing = ceremony_missing(c);
	char name[LIMIT_NAME + 32];

	snprintf(name, sizeof(name), "%s/%s", ceremony_repos[c->repo], c->role);
	if (missing == 0) {
		if (!ceremony_publish(c, r, e))
			return false;
		cmd_note("published %s %s version %" PRIu64, ceremony_repos[c->repo], c->role,
			 c->meta->version);
		return cmd_ceremony_told(name, c->meta->version, 0, e);
	}
	if (!path) {
		err_set(e, E_UNTRUSTED, "%" PRIu64 " signatures are missing", missing);
		return err_hint(e, "give --out FILE, and take the file to the others");
	}
	if (!ceremony_store(c, path, e))
		return false;
	cmd_note("%s: %" PRIu64 " signatures are missing; take it to the others", path,
		 missing);
	return cmd_ceremony_told(name, c->meta->version, missing, e);
}

/* ---- public keys ------------------------------------------------------------------------- */

bool cmd_public_key(struct tuf_pubkey *ret, const struct home *h, const char *what,
		    struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SECRET_FILE);
	struct keyfile_info info;

	if (!strchr(what, '/') && keys_inspect(h, what, &info, e))
		return tuf_pubkey_ed25519(ret, info.public, e);
	if (strcmp(what, "-") == 0 ? !read_fd(0, &text, e)
				   : !read_file_at(AT_FDCWD, what, &text, e))
		return false;
	return tuf_pubkey_parse(ret, text.p, text.n, e) || err_wrap(e, "%s", what);
}
