#include "server/api_json.h"
#include "base/text.h"
#include "proto/enrol.h"

#include <inttypes.h>

bool api_body(struct req *r, const char *const *keys, bool may_be_empty, struct jdoc **ret,
	      struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	bool empty = r->body.n == 0 && may_be_empty;

	if (!jdoc_parse(&d, empty ? (const void *)"{}" : r->body.p, empty ? 2 : r->body.n, e) ||
	    !jval_is_obj(jdoc_root(d), e) || !jobj_only(jdoc_root(d), keys, e))
		return err_wrap(e, "body");
	*ret = TAKE(d);
	return true;
}

bool api_reason(struct req *r, char ret[static LIMIT_TEXT + 1], struct err *e)
{
	static const char *const keys[] = { "reason", NULL };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	ret[0] = 0;
	if (!api_body(r, keys, true, &d, e))
		return false;
	return !jobj_has(jdoc_root(d), "reason") ||
	       jobj_copy(ret, LIMIT_TEXT + 1, jdoc_root(d), "reason", e);
}

bool api_target_read(struct target *ret, const struct jval *obj, const char *key, struct err *e)
{
	static const char *const keys[] = { "all", "group", "device", NULL };
	struct target t = { .kind = TARGET_ALL };
	const struct jval *v;
	bool all = false;

	if (!jobj_obj(&v, obj, key, e))
		return false;
	if (!jobj_only(v, keys, e))
		return err_wrap(e, "%s", key);
	if (jobj_n(v) != 1)
		return err_set(e, E_FORMAT, "%s: exactly one of all, group, device", key);
	if (jobj_has(v, "all")) {
		if (!jobj_bool(&all, v, "all", e) || !all)
			return err_set(e, E_FORMAT, "%s: all: only true", key);
	} else if (jobj_has(v, "group")) {
		t.kind = TARGET_GROUP;
		if (!jobj_copy_name(t.name, v, "group", e))
			return err_wrap(e, "%s", key);
	} else {
		t.kind = TARGET_DEVICE;
		if (!jobj_copy(t.name, sizeof(t.name), v, "device", e) ||
		    !device_id_is_valid(t.name))
			return err_set(e, E_FORMAT, "%s: device: not an id", key);
	}
	*ret = t;
	return true;
}

void api_target_write(struct jw *w, const char *key, const struct target *t)
{
	jw_obj(w, key);
	switch (t->kind) {
	case TARGET_ALL:
		jw_bool(w, "all", true);
		break;
	case TARGET_GROUP:
		jw_str(w, "group", t->name);
		break;
	case TARGET_DEVICE:
		jw_str(w, "device", t->name);
		break;
	}
	jw_end(w);
}

void api_time(struct jw *w, const char *key, int64_t unix_s)
{
	if (unix_s == 0)
		jw_null(w, key);
	else
		jw_time(w, key, unix_s);
}

void api_number(struct jw *w, const char *key, char prefix, int64_t n)
{
	char text[24];

	if (n == 0) {
		jw_null(w, key);
		return;
	}
	snprintf(text, sizeof(text), "%c%" PRId64, prefix, n);
	jw_str(w, key, text);
}

void api_scopes(struct jw *w, const char *key, unsigned scopes)
{
	jw_arr(w, key);
	for (unsigned bit = 0; bit < API_N_SCOPES; bit++) {
		if (scopes & 1u << bit)
			jw_str(w, NULL, api_scope_name((enum api_scope)(1u << bit)));
	}
	jw_end(w);
}

void api_text(struct jw *w, const char *key, const char *s)
{
	if (s && *s)
		jw_str(w, key, s);
	else
		jw_null(w, key);
}
