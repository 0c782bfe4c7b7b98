#include "admin-cli/bundle.h"

#include "admin-cli/out.h"
#include "base/text.h"
#include "proto/cjson.h"
#include "proto/jwrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool write_filled(struct buf *out, const struct jval *in, uint64_t version,
			 int64_t now_s, struct err *e)
{
	CLEANUP(buf_done) struct buf settings = BUF_INIT(LIMIT_POLICY_JSON);
	static const char *const keys[] = { "_type",     "format",     "name",     "version",
					    "issued_at", "not_before", "settings", NULL };
	int64_t at_s;
	uint64_t format = 1;
	const struct jval *s;
	const char *name;
	struct jw w;

	if (!jval_is_obj(in, e) || !jobj_only(in, keys, e) ||
	    !jobj_name(&name, in, "name", e) || !jobj_get(&s, in, "settings", e) ||
	    !cjson_encode_json(&settings, s, e) ||
	    (jobj_has(in, "format") && !jobj_u64(&format, in, "format", 1, 1, e)) ||
	    (jobj_has(in, "version") &&
	     !jobj_u64(&version, in, "version", 1, (uint64_t)J_INT_MAX, e)) ||
	    (jobj_has(in, "issued_at") && !jobj_time(&now_s, in, "issued_at", e)))
		return false;
	at_s = now_s;
	if (jobj_has(in, "not_before") && !jobj_time(&at_s, in, "not_before", e))
		return false;
	jw_init(&w, out); /* members sorted: canonical */
	jw_obj(&w, NULL);
	jw_str(&w, "_type", "policy");
	jw_u64(&w, "format", format);
	jw_time(&w, "issued_at", now_s);
	jw_str(&w, "name", name);
	jw_time(&w, "not_before", at_s);
	jw_raw(&w, "settings", buf_str(&settings), settings.n);
	jw_u64(&w, "version", version);
	jw_end(&w);
	return jw_finish(&w, e);
}

bool bundle_fill_in(struct buf *out, struct policy **ret, const struct jval *in,
		    uint64_t next_version, int64_t now_s, struct err *e)
{
	return write_filled(out, in, next_version, now_s, e) &&
	       policy_parse(ret, out->p, out->n, e);
}

bool bundle_next_version(uint64_t *ret, const struct tuf_meta *role, const char *name,
			 struct err *e)
{
	char prefix[LIMIT_NAME + 16];
	size_t n = (size_t)snprintf(prefix, sizeof(prefix), "policies/%s/", name);

	*ret = 1;
	if (!role)
		return true;
	for (struct jiter it = jobj_first(role->targets); it.val;
	     it = jobj_next(role->targets, it)) {
		size_t len = strlen(it.key);
		uint64_t v;

		if (len <= n + 5 || strncmp(it.key, prefix, n) != 0 ||
		    !u64_parse(&v, it.key + n, len - n - 5))
			continue;
		if (v >= (uint64_t)J_INT_MAX)
			return err_set(e, E_TOO_BIG, "version %" PRIu64 " is the last one", v);
		if (v >= *ret)
			*ret = v + 1;
	}
	return true;
}

bool bundle_settings(struct buf *out, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const struct jval *settings;

	if (!jdoc_parse(&d, p, n, e) || !jobj_obj(&settings, jdoc_root(d), "settings", e))
		return false;
	for (struct jiter it = jobj_first(settings); it.val; it = jobj_next(settings, it)) {
		size_t from = out->n;

		if (!buf_printf(out, e, "  %s = ", it.key))
			return false;
		text_clean((char *)out->p + from, out->n - from, "");
		if (!out_json_text(out, it.val, e) || !buf_add_str(out, "\n", e))
			return false;
	}
	return true;
}
