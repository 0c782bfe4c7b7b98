#include "base/text.h"
#include "proto/policy.h"
#include "proto/policy_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const policy_level_names[] = {
	[POLICY_FOR_ALL] = "all",
	[POLICY_FOR_GROUP] = "group",
	[POLICY_FOR_DEVICE] = "device",
	NULL,
};

static const char *const rule_names[] = {
	[POLICY_LEAST] = "least",
	[POLICY_STRICTEST] = "strictest",
	[POLICY_INTERSECT] = "intersection",
	[POLICY_CLOSEST] = "closest",
};

/* Keys and values of a merged map are the bundles'; its array and the hosts are its own. */
void policy_merged_free(struct policy_merged *m)
{
	if (!m)
		return;
	for (unsigned k = 0; k < POLICY_N_KEYS; k++) {
		free(m->values[k].hosts);
		free(m->values[k].map);
	}
	free(m->map_winners);
	free(m->sources);
	free(m);
}

/* ---- sources ---- */

/* Closest to the device first, then by name. */
static int by_closeness(const void *a, const void *b)
{
	const struct policy_source *x = a, *y = b;

	if (x->level != y->level)
		return x->level > y->level ? -1 : 1;
	return strcmp(x->bundle->name, y->bundle->name);
}

/* Drops what is there already at a closer level. */
static bool sort_sources(struct policy_merged *m, struct err *e)
{
	size_t kept = 0;

	qsort(m->sources, m->n_sources, sizeof(*m->sources), by_closeness);
	for (size_t i = 0; i < m->n_sources; i++) {
		const struct policy *p = m->sources[i].bundle;
		bool known = false;

		for (size_t j = 0; j < kept; j++) {
			const struct policy *q = m->sources[j].bundle;

			if (strcmp(p->name, q->name) != 0)
				continue;
			if (p->version != q->version)
				return err_set(e, E_CONFLICT,
					       "policy %s: versions %" PRIu64 " and %" PRIu64
					       " at the same time",
					       p->name, q->version, p->version);
			known = true;
		}
		if (!known)
			m->sources[kept++] = m->sources[i];
	}
	m->n_sources = kept;
	if (kept > LIMIT_POLICIES)
		return err_set(e, E_TOO_BIG, "%zu policies, at most %d", kept, LIMIT_POLICIES);
	return true;
}

/* ---- rules ---- */

static const struct policy_value *value_of(const struct policy_merged *m, size_t i,
					   enum policy_key k)
{
	return &m->sources[i].bundle->values[k];
}

static void merge_number(struct policy_merged *m, enum policy_key k, bool least)
{
	struct policy_value *out = &m->values[k];

	for (size_t i = 0; i < m->n_sources; i++) {
		const struct policy_value *v = value_of(m, i, k);

		if (!v->set || (out->set && (least ? v->num >= out->num : v->num <= out->num)))
			continue;
		out->set = true;
		out->num = v->num;
		m->winners[k] = &m->sources[i];
	}
}

static bool has_host(const struct policy_value *v, const struct allow *host)
{
	for (size_t i = 0; i < v->n_hosts; i++)
		if (policy_host_compare(&v->hosts[i], host) == 0)
			return true;
	return false;
}

static void intersect_hosts(struct policy_value *out, const struct policy_value *v)
{
	size_t kept = 0;

	for (size_t i = 0; i < out->n_hosts; i++)
		if (has_host(v, &out->hosts[i]))
			out->hosts[kept++] = out->hosts[i];
	out->n_hosts = kept;
}

static void intersect_minutes(struct policy_value *out, const struct policy_value *v)
{
	for (size_t i = 0; i < sizeof(out->minutes.bits); i++)
		out->minutes.bits[i] &= v->minutes.bits[i];
}

static bool copy_value(struct policy_value *out, const struct policy_value *v, struct err *e)
{
	out->hosts = calloc(v->n_hosts + 1, sizeof(*out->hosts));
	if (!out->hosts)
		return err_nomem(e);
	if (v->n_hosts > 0)
		memcpy(out->hosts, v->hosts, v->n_hosts * sizeof(*out->hosts));
	out->n_hosts = v->n_hosts;
	out->minutes = v->minutes;
	out->set = true;
	return true;
}

static bool same_set(const struct policy_value *a, const struct policy_value *b)
{
	/* One is an intersection with the other, so equal numbers are equal sets. */
	return a->n_hosts == b->n_hosts &&
	       memcmp(&a->minutes, &b->minutes, sizeof(a->minutes)) == 0;
}

static bool merge_sets(struct policy_merged *m, enum policy_key k, struct err *e)
{
	struct policy_value *out = &m->values[k];

	for (size_t i = 0; i < m->n_sources; i++) {
		const struct policy_value *v = value_of(m, i, k);

		if (!v->set)
			continue;
		if (!out->set && !copy_value(out, v, e))
			return false;
		intersect_hosts(out, v);
		intersect_minutes(out, v);
	}
	for (size_t i = 0; i < m->n_sources && !m->winners[k]; i++)
		if (value_of(m, i, k)->set && same_set(out, value_of(m, i, k)))
			m->winners[k] = &m->sources[i];
	return true;
}

static bool has_entry(const struct policy_value *v, const char *key)
{
	for (size_t i = 0; i < v->n_map; i++)
		if (strcmp(v->map[i].key, key) == 0)
			return true;
	return false;
}

/* Keeps both arrays sorted by key. */
static void insert_entry(struct policy_merged *m, struct policy_value *out,
			 const struct policy_entry *entry, const struct policy_source *from)
{
	size_t at = out->n_map++;

	for (; at > 0 && strcmp(out->map[at - 1].key, entry->key) > 0; at--) {
		out->map[at] = out->map[at - 1];
		m->map_winners[at] = m->map_winners[at - 1];
	}
	out->map[at] = *entry;
	m->map_winners[at] = from;
}

static bool merge_map(struct policy_merged *m, enum policy_key k, struct err *e)
{
	struct policy_value *out = &m->values[k];
	size_t most = 0;

	for (size_t i = 0; i < m->n_sources; i++)
		most += value_of(m, i, k)->n_map;
	out->map = calloc(most + 1, sizeof(*out->map));
	m->map_winners = calloc(most + 1, sizeof(const struct policy_source *));
	if (!out->map || !m->map_winners)
		return err_nomem(e);
	for (size_t i = 0; i < m->n_sources; i++) {
		const struct policy_value *v = value_of(m, i, k);

		out->set = out->set || v->set;
		for (size_t j = 0; j < v->n_map; j++)
			if (!has_entry(out, v->map[j].key))
				insert_entry(m, out, &v->map[j], &m->sources[i]);
	}
	if (out->n_map > policy_rows[k].max)
		return err_set(e, E_TOO_BIG,
			       "%s: %zu entries of all policies, at most %" PRIu64,
			       policy_rows[k].key, out->n_map, policy_rows[k].max);
	return true;
}

static void set_default(struct policy_value *out, enum policy_key k)
{
	const char *dflt = policy_rows[k].dflt;
	const char *const *choices = policy_choices(k);

	if (out->set || !dflt)
		return;
	out->set = true;
	if (!choices) {
		bool ok = u64_parse(&out->num, dflt, strlen(dflt));

		assert(ok);
		(void)ok;
		return;
	}
	while (strcmp(choices[out->num], dflt) != 0)
		out->num++;
}

static bool merge_key(struct policy_merged *m, enum policy_key k, struct err *e)
{
	bool ok = true;

	switch (policy_rows[k].rule) {
	case POLICY_LEAST:
	case POLICY_STRICTEST:
		merge_number(m, k, policy_rows[k].rule == POLICY_LEAST);
		break;
	case POLICY_INTERSECT:
		ok = merge_sets(m, k, e);
		break;
	case POLICY_CLOSEST:
		ok = merge_map(m, k, e);
		break;
	}
	set_default(&m->values[k], k);
	return ok;
}

bool policy_merge(struct policy_merged **ret, const struct policy_source *sources, size_t n,
		  struct err *e)
{
	CLEANUP(policy_merged_freep) struct policy_merged *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(e);
	m->sources = calloc(n + 1, sizeof(*m->sources));
	if (!m->sources)
		return err_nomem(e);
	if (n > 0)
		memcpy(m->sources, sources, n * sizeof(*sources));
	m->n_sources = n;
	if (!sort_sources(m, e))
		return false;
	for (unsigned k = 0; k < POLICY_N_KEYS; k++)
		if (!merge_key(m, (enum policy_key)k, e))
			return false;
	*ret = TAKE(m);
	return true;
}

/* ---- what it means ---- */

static uint32_t at_most(uint32_t manifest, const struct policy_value *v)
{
	return v->set && v->num < manifest ? (uint32_t)v->num : manifest;
}

struct policy_limits policy_narrow(const struct policy_merged *m, const struct release *r,
				   const struct model *model)
{
	return (struct policy_limits){
		.memory_mib = at_most(model->memory_mib, &m->values[POLICY_VM_MEMORY_MAX_MIB]),
		.vcpus = at_most(model->vcpus, &m->values[POLICY_VM_VCPUS_MAX]),
		.health_deadline_s =
			at_most(r->health_deadline_s, &m->values[POLICY_HEALTH_DEADLINE_S]),
	};
}

bool policy_window_open(const struct policy_merged *m, unsigned minute_of_day)
{
	const struct policy_value *v = &m->values[POLICY_IMAGE_INSTALL_WINDOW];

	assert(minute_of_day < MINUTES_PER_DAY);
	return !v->set || minute_get(&v->minutes, minute_of_day);
}

int policy_window_wait_min(const struct policy_merged *m, unsigned minute_of_day)
{
	for (unsigned wait = 0; wait < MINUTES_PER_DAY; wait++)
		if (policy_window_open(m, (minute_of_day + wait) % MINUTES_PER_DAY))
			return (int)wait;
	return -1;
}

/* ---- explaining ---- */

static void write_source_members(struct jw *w, const struct policy_source *s)
{
	jw_str(w, "name", s->bundle->name);
	jw_u64(w, "version", s->bundle->version);
	jw_str(w, "level", policy_level_names[s->level]);
	if (s->group)
		jw_str(w, "group", s->group);
}

static void write_source(struct jw *w, const char *key, const struct policy_source *s)
{
	if (!s) {
		jw_null(w, key);
		return;
	}
	jw_obj(w, key);
	write_source_members(w, s);
	jw_end(w);
}

static void write_from(struct jw *w, const struct policy_merged *m, enum policy_key k)
{
	const struct policy_value *v = &m->values[k];

	if (policy_rows[k].rule != POLICY_CLOSEST) {
		write_source(w, "from", m->winners[k]);
		return;
	}
	jw_obj(w, "from");
	for (size_t i = 0; i < v->n_map; i++)
		write_source(w, v->map[i].key, m->map_winners[i]);
	jw_end(w);
}

static void write_candidates(struct jw *w, const struct policy_merged *m, enum policy_key k)
{
	jw_arr(w, "candidates");
	for (size_t i = 0; i < m->n_sources; i++) {
		if (!value_of(m, i, k)->set)
			continue;
		jw_obj(w, NULL);
		write_source_members(w, &m->sources[i]);
		policy_value_write(w, "value", k, value_of(m, i, k));
		jw_end(w);
	}
	jw_end(w);
}

void policy_explain_write(struct jw *w, const char *key, const struct policy_merged *m)
{
	jw_obj(w, key);
	for (unsigned i = 0; i < POLICY_N_KEYS; i++) {
		enum policy_key k = (enum policy_key)i;

		jw_obj(w, policy_rows[k].key);
		if (m->values[k].set)
			policy_value_write(w, "value", k, &m->values[k]);
		else
			jw_null(w, "value");
		jw_str(w, "rule", rule_names[policy_rows[k].rule]);
		write_from(w, m, k);
		write_candidates(w, m, k);
		jw_end(w);
	}
	jw_end(w);
}
