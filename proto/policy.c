#include "proto/policy.h"

#include "base/text.h"
#include "proto/jread.h"
#include "proto/policy_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct policy_row policy_rows[POLICY_N_KEYS] = {
#define XX(id, key_, type_, min_, max_, dflt_, rule_, help_) \
	[POLICY_##id] = { .key = key_,                       \
			  .type = POLICY_##type_,            \
			  .min = min_,                       \
			  .max = max_,                       \
			  .dflt = dflt_,                     \
			  .rule = POLICY_##rule_,            \
			  .help = help_ },
	POLICY_KEYS(XX)
#undef XX
};

/* Loosest first. */
static const char *const update_modes[] = {
	[UPDATE_MODE_SUGGEST] = "suggest",
	[UPDATE_MODE_AUTO] = "auto",
	[UPDATE_MODE_FORCED] = "forced",
	NULL,
};
static const char *const networks[] = {
	[NETWORK_ANY] = "any",
	[NETWORK_UNMETERED] = "unmetered",
	NULL,
};
static const char *const delta_fallbacks[] = {
	[FALLBACK_ALLOW] = "allow",
	[FALLBACK_UNMETERED] = "unmetered",
	[FALLBACK_NEVER] = "never",
	NULL,
};
static const char *const net_modes[] = {
	[NET_MODE_ALLOW] = "allow",
	[NET_MODE_NONE] = "none",
	NULL,
};

const char *const *policy_choices(enum policy_key k)
{
	switch (k) {
	case POLICY_IMAGE_UPDATE_MODE:
		return update_modes;
	case POLICY_IMAGE_NETWORK:
		return networks;
	case POLICY_IMAGE_DELTA_FALLBACK:
		return delta_fallbacks;
	case POLICY_NET_MODE:
		return net_modes;
	default:
		return NULL;
	}
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (unsigned k = 0; k < POLICY_N_KEYS; k++) {
		struct policy_value *v = &p->values[k];

		for (size_t i = 0; i < v->n_map; i++) {
			free(v->map[i].key);
			free(v->map[i].value);
		}
		free(v->map);
		free(v->hosts);
	}
	free(p);
}

/* ---- windows ---- */

static bool two_digits(unsigned *ret, const char *s)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*ret = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
	return true;
}

/* "HH:MM" from 00:00 to 24:00. */
static bool time_of_day(unsigned *ret, const char *s)
{
	unsigned h, m;

	if (!two_digits(&h, s) || s[2] != ':' || !two_digits(&m, s + 3) || m > 59)
		return false;
	*ret = h * 60 + m;
	return *ret <= MINUTES_PER_DAY;
}

/* Over midnight when the end is before the start; the end itself is outside. */
static bool read_window(struct minutes *ret, const struct jval *v, struct err *e)
{
	const char *s;
	unsigned from, to;

	if (!jval_get_str(&s, v, LIMIT_NAME, e))
		return false;
	if (strlen(s) != 11 || !time_of_day(&from, s) || s[5] != '-' ||
	    !time_of_day(&to, s + 6) || from == MINUTES_PER_DAY)
		return err_set(e, E_FORMAT, "\"%s\" is no window like 22:00-05:00", s);
	if (from == to)
		return err_set(e, E_FORMAT, "\"%s\" is empty; the whole day is 00:00-24:00", s);
	if (to < from)
		to += MINUTES_PER_DAY;
	for (unsigned m = from; m < to; m++)
		minute_set(ret, m % MINUTES_PER_DAY);
	return true;
}

static bool read_windows(struct policy_value *ret, const struct jval *arr, struct err *e)
{
	for (size_t i = 0; i < jarr_n(arr); i++)
		if (!read_window(&ret->minutes, jarr_at(arr, i), e))
			return err_wrap(e, "%zu", i);
	return true;
}

static void write_window(struct jw *w, unsigned from, unsigned to)
{
	char text[16];

	snprintf(text, sizeof(text), "%02u:%02u-%02u:%02u", from / 60, from % 60, to / 60,
		 to % 60);
	jw_str(w, NULL, text);
}

/* The fewest windows, by their start; one that goes over midnight comes last. */
static void write_windows(struct jw *w, const struct minutes *m)
{
	unsigned first_off = 0, at;

	while (first_off < MINUTES_PER_DAY && minute_get(m, first_off))
		first_off++;
	if (first_off == MINUTES_PER_DAY) {
		write_window(w, 0, MINUTES_PER_DAY);
		return;
	}
	/* What is open from midnight on is the end of a window that began the day before, if one did. */
	at = minute_get(m, MINUTES_PER_DAY - 1) ? first_off : 0;
	while (at < MINUTES_PER_DAY) {
		unsigned from, to;

		while (at < MINUTES_PER_DAY && !minute_get(m, at))
			at++;
		if (at == MINUTES_PER_DAY)
			break;
		for (from = at; at < MINUTES_PER_DAY && minute_get(m, at);)
			at++;
		to = at < MINUTES_PER_DAY || first_off == 0 ? at : first_off;
		write_window(w, from, to);
	}
}

/* ---- hosts and maps ---- */

int policy_host_compare(const struct allow *a, const struct allow *b)
{
	int c = strcmp(a->host, b->host);

	return c ? c : (a->port > b->port) - (a->port < b->port);
}

static int by_host(const void *a, const void *b)
{
	return policy_host_compare(a, b);
}

static bool read_hosts(struct policy_value *ret, const struct jval *arr, struct err *e)
{
	size_t n = jarr_n(arr);

	ret->hosts = calloc(n + 1, sizeof(*ret->hosts));
	if (!ret->hosts)
		return err_nomem(e);
	for (size_t i = 0; i < n; i++) {
		const char *s;

		if (!jval_get_str(&s, jarr_at(arr, i), ALLOW_TEXT_SIZE, e) ||
		    !allow_parse(&ret->hosts[i], s, e))
			return err_wrap(e, "%zu", i);
		ret->n_hosts = i + 1;
	}
	qsort(ret->hosts, n, sizeof(*ret->hosts), by_host);
	for (size_t i = 1; i < n; i++)
		if (policy_host_compare(&ret->hosts[i - 1], &ret->hosts[i]) == 0)
			return err_set(e, E_FORMAT, "%s:%u is there twice", ret->hosts[i].host,
				       ret->hosts[i].port);
	return true;
}

/* Names of files on the configuration drive (docs/GUEST.md). */
static bool entry_name_ok(const char *s)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t n = strlen(s);

	return n > 0 && n <= LIMIT_NAME && strspn(s, allowed) == n && s[0] != '.' &&
	       s[0] != '-';
}

static bool read_entry(struct policy_entry *ret, const struct jiter *it, struct err *e)
{
	const char *value;

	if (!entry_name_ok(it->key))
		return err_set(e, E_FORMAT, "\"%.64s\" is no name (A-Z a-z 0-9 . _ -)",
			       it->key);
	if (!jval_get_str(&value, it->val, LIMIT_APPS_VALUE, e))
		return err_wrap(e, "%s", it->key);
	ret->key = strdup(it->key);
	ret->value = strdup(value);
	return (ret->key && ret->value) || err_nomem(e);
}

static bool read_map(struct policy_value *ret, const struct jval *o, struct err *e)
{
	struct jiter *all;
	bool ok = true;
	size_t n;

	if (!jobj_sorted(o, &all, &n, e))
		return false;
	ret->map = calloc(n + 1, sizeof(*ret->map));
	if (!ret->map)
		ok = err_nomem(e);
	for (size_t i = 0; ok && i < n; i++) {
		ret->n_map = i + 1;
		ok = read_entry(&ret->map[i], &all[i], e);
	}
	free(all);
	return ok;
}

/* ---- values ---- */

static bool check_count(const struct policy_row *row, size_t n, struct err *e)
{
	if (n < row->min || n > row->max)
		return err_set(e, E_FORMAT,
			       "%s: %zu entries are not within %" PRIu64 " and %" PRIu64,
			       row->key, n, row->min, row->max);
	return true;
}

/* An array or object with as many entries as the row allows. */
static bool get_collection(const struct jval **ret, const struct policy_row *row,
			   const struct jval *settings, struct err *e)
{
	if (row->type == POLICY_MAP)
		return jobj_obj(ret, settings, row->key, e) &&
		       check_count(row, jobj_n(*ret), e);
	return jobj_arr(ret, settings, row->key, SIZE_MAX, e) &&
	       check_count(row, jarr_n(*ret), e);
}

static bool read_choice(struct policy_value *ret, enum policy_key k,
			const struct jval *settings, struct err *e)
{
	unsigned choice;

	if (!jobj_choice(&choice, settings, policy_rows[k].key, policy_choices(k), e))
		return false;
	ret->num = choice;
	return true;
}

static bool read_value(struct policy_value *ret, enum policy_key k, const struct jval *settings,
		       struct err *e)
{
	const struct policy_row *row = &policy_rows[k];
	const struct jval *v = NULL;

	if (row->type == POLICY_INT)
		return jobj_u64(&ret->num, settings, row->key, row->min, row->max, e);
	if (row->type == POLICY_CHOICE)
		return read_choice(ret, k, settings, e);
	if (!get_collection(&v, row, settings, e))
		return false;
	switch (row->type) {
	case POLICY_WINDOWS:
		return read_windows(ret, v, e) || err_wrap(e, "%s", row->key);
	case POLICY_HOSTS:
		return read_hosts(ret, v, e) || err_wrap(e, "%s", row->key);
	default:
		return read_map(ret, v, e) || err_wrap(e, "%s", row->key);
	}
}

/* The row of a key; for an unknown one names the row that shares the longest beginning. */
static bool find_row(enum policy_key *ret, const char *key, struct err *e)
{
	size_t best_n = 0;
	unsigned best = 0;

	for (unsigned k = 0; k < POLICY_N_KEYS; k++) {
		const char *has = policy_rows[k].key;
		size_t n = 0;

		while (has[n] && has[n] == key[n])
			n++;
		if (!has[n] && !key[n]) {
			*ret = (enum policy_key)k;
			return true;
		}
		if (n > best_n) {
			best_n = n;
			best = k;
		}
	}
	if (best_n > 3)
		return err_set(e, E_FORMAT, "unknown key \"%.64s\"; the nearest is %s", key,
			       policy_rows[best].key);
	return err_set(e, E_FORMAT, "unknown key \"%.64s\"", key);
}

static bool read_settings(struct policy *p, const struct jval *settings, struct err *e)
{
	for (struct jiter it = jobj_first(settings); it.val; it = jobj_next(settings, it)) {
		enum policy_key k;

		if (!find_row(&k, it.key, e))
			return false;
		p->values[k].set = true;
		if (!read_value(&p->values[k], k, settings, e))
			return false;
	}
	return true;
}

/* ---- bundles ---- */

static bool read_bundle(struct policy *p, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "_type",     "format",     "name",     "version",
					    "issued_at", "not_before", "settings", NULL };
	const struct jval *settings;
	const char *type;

	if (!jval_is_obj(o, e) || !jobj_str(&type, o, "_type", LIMIT_NAME, e))
		return false;
	if (strcmp(type, "policy") != 0)
		return err_set(e, E_FORMAT, "_type: \"%s\", not \"policy\"", type);
	if (!jobj_version(o, "format", 1, e) || !jobj_only(o, keys, e) ||
	    !jobj_copy_name(p->name, o, "name", e) ||
	    !jobj_u64(&p->version, o, "version", 1, J_INT_MAX, e) ||
	    !jobj_time(&p->issued_at_s, o, "issued_at", e) ||
	    !jobj_time(&p->not_before_s, o, "not_before", e) ||
	    !jobj_obj(&settings, o, "settings", e))
		return false;
	return read_settings(p, settings, e) || err_wrap(e, "settings");
}

bool policy_parse(struct policy **ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(policy_freep) struct policy *out = NULL;

	if (n > LIMIT_POLICY_JSON)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %d", n, LIMIT_POLICY_JSON);
	if (!jdoc_parse(&d, p, n, e))
		return false;
	out = calloc(1, sizeof(*out));
	if (!out)
		return err_nomem(e);
	if (!read_bundle(out, jdoc_root(d), e))
		return false;
	*ret = TAKE(out);
	return true;
}

void policy_value_write(struct jw *w, const char *key, enum policy_key k,
			const struct policy_value *v)
{
	char text[ALLOW_TEXT_SIZE];

	switch (policy_rows[k].type) {
	case POLICY_INT:
		jw_u64(w, key, v->num);
		return;
	case POLICY_CHOICE:
		jw_str(w, key, policy_choices(k)[v->num]);
		return;
	case POLICY_WINDOWS:
		jw_arr(w, key);
		write_windows(w, &v->minutes);
		break;
	case POLICY_HOSTS:
		jw_arr(w, key);
		for (size_t i = 0; i < v->n_hosts; i++) {
			allow_format(text, &v->hosts[i]);
			jw_str(w, NULL, text);
		}
		break;
	case POLICY_MAP:
		jw_obj(w, key);
		for (size_t i = 0; i < v->n_map; i++)
			jw_str(w, v->map[i].key, v->map[i].value);
		break;
	}
	jw_end(w);
}

/* Rows in the order of their keys, as canonical JSON wants it; the table's order is for people. */
static void write_settings(struct jw *w, const struct policy *p)
{
	const char *last = "";

	jw_obj(w, "settings");
	for (;;) {
		unsigned next = POLICY_N_KEYS;

		for (unsigned k = 0; k < POLICY_N_KEYS; k++)
			if (p->values[k].set && strcmp(policy_rows[k].key, last) > 0 &&
			    (next == POLICY_N_KEYS ||
			     strcmp(policy_rows[k].key, policy_rows[next].key) < 0))
				next = k;
		if (next == POLICY_N_KEYS)
			break;
		last = policy_rows[next].key;
		policy_value_write(w, last, (enum policy_key)next, &p->values[next]);
	}
	jw_end(w);
}

bool policy_encode(const struct policy *p, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "_type", "policy");
	jw_u64(&w, "format", 1);
	jw_time(&w, "issued_at", p->issued_at_s);
	jw_str(&w, "name", p->name);
	jw_time(&w, "not_before", p->not_before_s);
	write_settings(&w, p);
	jw_u64(&w, "version", p->version);
	jw_end(&w);
	return jw_finish(&w, e);
}

void policy_path(char out[static POLICY_PATH_SIZE], const char *name, uint64_t version)
{
	int n = snprintf(out, POLICY_PATH_SIZE, "policies/%s/%" PRIu64 ".json", name, version);

	assert(n > 0 && n < POLICY_PATH_SIZE);
}
