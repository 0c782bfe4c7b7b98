/* What a ceremony's file changes, in words: the last look before a signature. */
#include "admin-cli/ceremony_priv.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

static bool has_key(const struct tuf_role *r, const char *id)
{
	for (size_t i = 0; r && i < r->n_keys; i++) {
		if (strcmp(r->keys[i]->id, id) == 0)
			return true;
	}
	return false;
}

/* Either may be NULL: a role that comes or goes. */
static bool role_changes(const struct tuf_role *old, const struct tuf_role *new,
			 const char *name, struct buf *out, struct err *e)
{
	for (size_t i = 0; new &&i < new->n_keys; i++) {
		if (!has_key(old, new->keys[i]->id) &&
		    !buf_printf(out, e, "+ %s: key %.12s\n", name, new->keys[i]->id))
			return false;
	}
	for (size_t i = 0; old && i < old->n_keys; i++) {
		if (!has_key(new, old->keys[i]->id) &&
		    !buf_printf(out, e, "- %s: key %.12s\n", name, old->keys[i]->id))
			return false;
	}
	if (old && new && old->threshold == new->threshold)
		return true;
	if (!new)
		return buf_printf(out, e, "- %s: nobody signs it any more\n", name);
	return buf_printf(out, e, "! %s: %" PRIu64 " of %zu signatures are needed\n", name,
			  new->threshold, new->n_keys);
}

static bool expiry_changes(const struct tuf_meta *m, struct buf *out, struct err *e)
{
	char text[TIME_TEXT_SIZE];

	time_format(text, m->expires_s);
	return buf_printf(out, e, "! version %" PRIu64 ", good until %s\n", m->version, text);
}

/* What there is to compare with; NULL: nothing that could be believed. */
static const struct tuf_meta *base_of(const struct ceremony *c)
{
	return c->before_signed ? c->before : NULL;
}

static bool root_changes(const struct ceremony *c, struct buf *out, struct err *e)
{
	for (int i = 0; i < TUF_TYPES; i++) {
		const char *name = tuf_type_name((enum tuf_type)i);

		if (!role_changes(tuf_role_get(c->root, name), tuf_role_get(c->meta, name),
				  name, out, e))
			return false;
	}
	return true;
}

static bool delegation_changes(const struct ceremony *c, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < c->meta->n_roles; i++) {
		const char *name = c->meta->roles[i].name;

		if (!role_changes(base_of(c) ? tuf_role_get(base_of(c), name) : NULL,
				  &c->meta->roles[i], name, out, e))
			return false;
	}
	for (size_t i = 0; base_of(c) && i < base_of(c)->n_roles; i++) {
		const char *name = base_of(c)->roles[i].name;

		if (!tuf_role_get(c->meta, name) &&
		    !role_changes(&base_of(c)->roles[i], NULL, name, out, e))
			return false;
	}
	return true;
}

static bool same_target(const struct tuf_meta *before, const struct tuf_target *t,
			bool *ret_there)
{
	struct tuf_target old;
	struct err ignored;

	*ret_there = before && tuf_target_get(&old, before, t->path, &ignored);
	return *ret_there && old.hashes.length == t->hashes.length &&
	       memcmp(old.hashes.sha256, t->hashes.sha256, SHA256_SIZE) == 0;
}

/* What is new or another one; below its path the payload, which is the one thing that can be shown. */
static bool added_targets(const struct ceremony *c, const struct ceremony_payload *p,
			  struct buf *out, struct err *e)
{
	struct tuf_target t;
	bool there;

	for (struct jiter it = jobj_first(c->meta->targets); it.val;
	     it = jobj_next(c->meta->targets, it)) {
		if (!tuf_target_parse(&t, it.key, it.val, e))
			return false;
		if (same_target(base_of(c), &t, &there))
			continue;
		if (!buf_printf(out, e, "%c %s, %" PRIu64 " bytes\n", there ? '!' : '+', t.path,
				t.hashes.length) ||
		    (strcmp(t.path, p->path) == 0 && !ceremony_payload_show(p, c, out, e)))
			return false;
	}
	return true;
}

static bool target_changes(const struct ceremony *c, struct buf *out, struct err *e)
{
	CLEANUP(ceremony_payload_done) struct ceremony_payload p = { .path = "" };
	const struct jval *old = base_of(c) ? base_of(c)->targets : NULL;

	if ((c->payload.n > 0 && !ceremony_payload_parse(&p, c, e)) ||
	    !added_targets(c, &p, out, e))
		return false;
	if (!old)
		return true;
	for (struct jiter it = jobj_first(old); it.val; it = jobj_next(old, it)) {
		if (!jobj_has(c->meta->targets, it.key) &&
		    !buf_printf(out, e, "- %s\n", it.key))
			return false;
	}
	return true;
}

static bool all_changes(const struct ceremony *c, struct buf *out, struct err *e)
{
	if (!expiry_changes(c->meta, out, e))
		return false;
	if (c->meta->type == TUF_ROOT)
		return root_changes(c, out, e);
	if (c->before && !c->before_signed &&
	    !buf_add_str(
		    out,
		    "! the version before has no signatures of those who sign now: all is shown\n",
		    e))
		return false;
	return delegation_changes(c, out, e) && target_changes(c, out, e);
}

/* Whoever made the file chose names in it, and somebody decides by what is shown here. */
bool ceremony_changes(const struct ceremony *c, struct buf *out, struct err *e)
{
	size_t from = out->n;

	if (!all_changes(c, out, e))
		return false;
	text_clean((char *)out->p + from, out->n - from, "\n");
	return true;
}
