#include "agent/policyd.h"

#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INDEX "index.json"
enum { KNOWN_MAX = 4 * LIMIT_POLICIES, INDEX_MAX = KNOWN_MAX * 320 };

/* One line of the index. */
struct known {
	char name[LIMIT_NAME + 1];
	uint64_t version;
	uint8_t digest[SHA256_SIZE];
	enum policy_level level;
	bool holds;
};

struct known_list {
	struct known v[KNOWN_MAX];
	size_t n;
};

struct policy_file {
	char s[LIMIT_NAME + 32];
};

/* Neither '=' nor '@' can be in a name: no bundle is ever called like another file. */
static struct policy_file file_of(const char *name, uint64_t version)
{
	struct policy_file f;

	snprintf(f.s, sizeof(f.s), "=%s@%" PRIu64 ".json", name, version);
	return f;
}

static bool read_bundle(struct policy **ret, int dirfd, const char *name, uint64_t version,
			const uint8_t digest[static SHA256_SIZE], struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_POLICY_JSON);
	uint8_t found[SHA256_SIZE];

	if (!read_file_at(dirfd, file_of(name, version).s, &raw, e)) {
		if (e->code == E_NOT_FOUND)
			e->code = E_CORRUPT;
		return false;
	}
	sha256(found, raw.p, raw.n);
	if (memcmp(found, digest, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "the file was changed");
	return policy_parse(ret, raw.p, raw.n, e);
}

static bool grow(struct applied *a, size_t n, struct err *e)
{
	a->bundles = calloc(n ? n : 1, sizeof(*a->bundles));
	a->levels = calloc(n ? n : 1, sizeof(*a->levels));
	a->digests = calloc(n ? n : 1, sizeof(*a->digests));
	return a->bundles && a->levels && a->digests ? true : err_nomem(e);
}

static bool merge(struct applied *a, struct err *e)
{
	struct policy_source sources[LIMIT_POLICIES];

	for (size_t i = 0; i < a->n; i++)
		sources[i] = (struct policy_source){ a->bundles[i], a->levels[i] };
	return policy_merge(&a->merged, sources, a->n, e);
}

void applied_free(struct applied *a)
{
	if (!a)
		return;
	policy_merged_free(a->merged);
	for (size_t i = 0; i < a->n; i++)
		policy_free(a->bundles[i]);
	free(a->bundles);
	free(a->levels);
	free(a->digests);
	free(a);
}

/* ---- the index --------------------------------------------------------------------------- */

static bool parse_known(struct known *ret, const struct jval *o, struct err *e)
{
	struct known k;
	unsigned level;

	if (!jval_is_obj(o, e) || !jobj_copy_name(k.name, o, "name", e) ||
	    !jobj_u64(&k.version, o, "version", 0, J_INT_MAX, e) ||
	    !jobj_choice(&level, o, "level", policy_level_names, e) ||
	    !jobj_hex(k.digest, SHA256_SIZE, o, "sha256", e) ||
	    !jobj_bool(&k.holds, o, "holds", e))
		return false;
	k.level = (enum policy_level)level;
	*ret = k;
	return true;
}

static bool load_index(struct known_list **ret, int dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf raw = BUF_INIT(INDEX_MAX);
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *list;
	struct known_list *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem(e);
	*ret = k;
	if (!read_file_at(dirfd, INDEX, &raw, e))
		return e->code == E_NOT_FOUND;
	if (!jdoc_parse(&d, raw.p, raw.n, e) || !jval_is_obj(jdoc_root(d), e) ||
	    !jobj_arr(&list, jdoc_root(d), "bundles", KNOWN_MAX, e))
		return err_wrap(e, INDEX);
	for (size_t i = 0; i < jarr_n(list); i++, k->n++)
		if (!parse_known(&k->v[k->n], jarr_at(list, i), e))
			return err_wrap(e, INDEX);
	return true;
}

static void known_freep(struct known_list **k)
{
	free(*k);
}

static const struct known *known_find(const struct known_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i].name, name) == 0)
			return &list->v[i];
	return NULL;
}

static bool load_bundles(struct applied *a, const struct known_list *k, int dirfd,
			 struct err *e)
{
	if (!grow(a, k->n, e))
		return false;
	for (size_t i = 0; i < k->n; i++) {
		const struct known *it = &k->v[i];

		if (!it->holds)
			continue;
		if (!read_bundle(&a->bundles[a->n], dirfd, it->name, it->version, it->digest,
				 e))
			return err_wrap(e, "policy %s", it->name);
		a->levels[a->n] = it->level;
		memcpy(a->digests[a->n], it->digest, SHA256_SIZE);
		a->n++;
	}
	return true;
}

bool applied_load(struct applied **ret, int policies_dirfd, struct err *e)
{
	CLEANUP(applied_freep) struct applied *a = calloc(1, sizeof(*a));
	CLEANUP(known_freep) struct known_list *k = NULL;

	if (!a)
		return err_nomem(e);
	if (!load_index(&k, policies_dirfd, e) || !load_bundles(a, k, policies_dirfd, e) ||
	    !merge(a, e))
		return false;
	*ret = TAKE(a);
	return true;
}

/* What holds now first, then what did, as far as there is room. */
static void make_index(struct known_list *out, const struct applied *a,
		       const struct known_list *before)
{
	for (size_t i = 0; i < a->n; i++) {
		struct known *k = &out->v[out->n++];

		*k = (struct known){ .version = a->bundles[i]->version,
				     .level = a->levels[i],
				     .holds = true };
		memcpy(k->name, a->bundles[i]->name, sizeof(k->name));
		memcpy(k->digest, a->digests[i], SHA256_SIZE);
	}
	for (size_t i = 0; i < before->n && out->n < KNOWN_MAX; i++)
		if (!known_find(out, before->v[i].name)) {
			out->v[out->n] = before->v[i];
			out->v[out->n++].holds = false;
		}
}

static bool store_index(const struct known_list *k, int dirfd, struct err *e)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(INDEX_MAX);
	struct jw w;

	jw_init(&w, &out);
	jw_obj(&w, NULL);
	jw_arr(&w, "bundles");
	for (size_t i = 0; i < k->n; i++) {
		jw_obj(&w, NULL);
		jw_str(&w, "name", k->v[i].name);
		jw_u64(&w, "version", k->v[i].version);
		jw_str(&w, "level", policy_level_names[k->v[i].level]);
		jw_hex(&w, "sha256", k->v[i].digest, SHA256_SIZE);
		jw_bool(&w, "holds", k->v[i].holds);
		jw_end(&w);
	}
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e) && file_replace(dirfd, INDEX, 0600, out.p, out.n, e);
}

/* Files of versions that no longer hold; failing to remove one does no harm. */
static void remove_old(const struct known_list *before, const struct known_list *now, int dirfd)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct known *k = known_find(now, before->v[i].name);
		struct err ignored;

		if (k && k->holds && k->version == before->v[i].version)
			continue;
		if (!file_remove(dirfd, file_of(before->v[i].name, before->v[i].version).s,
				 &ignored))
			return;
	}
}

/* ---- applying ---------------------------------------------------------------------------- */

static bool fetch_bundle(struct policy **ret, struct buf *raw, struct https *https,
			 const struct uptane_item *item, struct err *e)
{
	CLEANUP(policy_freep) struct policy *p = NULL;

	if (!object_get(raw, https, &item->hashes, e) || !policy_parse(&p, raw->p, raw->n, e))
		return false;
	if (strcmp(p->name, item->name) != 0 || p->version != item->number)
		return err_set(e, E_UNTRUSTED, "the bundle calls itself %s version %" PRIu64,
			       p->name, p->version);
	*ret = TAKE(p);
	return true;
}

/* One wanted bundle into a->bundles[a->n]; stays away (true, a->n as before) if there is none to
 * apply yet. */
static bool take_bundle(struct applied *a, bool *waits, int dirfd, struct https *https,
			const struct known_list *before, const struct wanted_policy *want,
			int64_t now_s, struct err *e)
{
	const struct known *known = known_find(before, want->item.name);
	CLEANUP(policy_freep) struct policy *p = NULL;
	CLEANUP(buf_done) struct buf raw = BUF_INIT(LIMIT_POLICY_JSON);
	const uint8_t *digest = want->item.hashes.sha256;
	struct err missing;

	if (known && known->version > want->item.number)
		return err_set(e, E_ROLLBACK,
			       "version %" PRIu64 " was applied, %" PRIu64 " came",
			       known->version, want->item.number);
	bool have =
		known && memcmp(known->digest, digest, SHA256_SIZE) == 0 &&
		read_bundle(&p, dirfd, known->name, known->version, known->digest, &missing);
	if (!have && !fetch_bundle(&p, &raw, https, &want->item, e))
		return false;
	if (!have && p->not_before_s > now_s) {
		*waits = true;
		policy_free(TAKE(p));
		/* Until then what held goes on holding. */
		if (!known || !known->holds)
			return true;
		if (!read_bundle(&p, dirfd, known->name, known->version, known->digest, e))
			return false;
		digest = known->digest;
	} else if (!have && !file_replace(dirfd, file_of(p->name, p->version).s, 0600, raw.p,
					  raw.n, e)) {
		return false;
	}
	a->bundles[a->n] = TAKE(p);
	a->levels[a->n] = want->level;
	memcpy(a->digests[a->n], digest, SHA256_SIZE);
	a->n++;
	return true;
}

static bool same_index(const struct known_list *a, const struct known_list *b)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct known *k = known_find(b, a->v[i].name);

		if (!k || k->version != a->v[i].version || k->level != a->v[i].level ||
		    k->holds != a->v[i].holds ||
		    memcmp(k->digest, a->v[i].digest, SHA256_SIZE) != 0)
			return false;
	}
	return a->n == b->n;
}

bool policyd_apply(struct applied **ret, bool *ret_changed, bool *ret_waits, int policies_dirfd,
		   struct https *https, const struct wanted *w, int64_t now_s, struct err *e)
{
	CLEANUP(applied_freep) struct applied *a = calloc(1, sizeof(*a));
	CLEANUP(known_freep) struct known_list *before = NULL;
	CLEANUP(known_freep) struct known_list *now = calloc(1, sizeof(*now));
	bool waits = false;

	if (!a || !now)
		return err_nomem(e);
	if (w->n_policies > LIMIT_POLICIES)
		return err_set(e, E_TOO_BIG, "%zu policies", w->n_policies);
	if (!load_index(&before, policies_dirfd, e)) {
		if (e->code != E_FORMAT)
			return false;
		/* A damaged index is made anew: against older bundles TUF's versions still stand. */
		before->n = 0;
	}
	if (!grow(a, w->n_policies, e))
		return false;
	for (size_t i = 0; i < w->n_policies; i++)
		if (!take_bundle(a, &waits, policies_dirfd, https, before, &w->policies[i],
				 now_s, e))
			return err_wrap(e, "policy %s", w->policies[i].item.name);
	/* Whether they fit together is found out before they hold. */
	if (!merge(a, e))
		return false;
	make_index(now, a, before);
	bool changed = !same_index(now, before);
	if (changed) {
		if (!store_index(now, policies_dirfd, e))
			return false;
		remove_old(before, now, policies_dirfd);
	}
	*ret_changed = changed;
	*ret_waits = waits;
	*ret = TAKE(a);
	return true;
}

bool applied_apps_config(struct buf *out, const struct applied *a, struct err *e)
{
	const struct policy_value *v = &a->merged->values[POLICY_APPS_CONFIG];
	struct jw w;

	jw_init(&w, out);
	if (v->set) {
		policy_value_write(&w, NULL, POLICY_APPS_CONFIG, v);
	} else {
		jw_obj(&w, NULL);
		jw_end(&w);
	}
	return jw_finish(&w, e);
}
