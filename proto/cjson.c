#include "proto/cjson.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool add_value(struct buf *out, const struct jval *v, bool json, struct err *e);

static bool add_c(struct buf *out, char c, struct err *e)
{
	return buf_add(out, &c, 1, e);
}

/* Runs of characters that stand as they are go out in one piece. */
static bool add_text(struct buf *out, const char *s, size_t n, bool json, struct err *e)
{
	size_t from = 0;

	if (!add_c(out, '"', e))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool quoted = s[i] == '"' || s[i] == '\\';

		if (!quoted && !(json && (unsigned char)s[i] < 0x20))
			continue;
		if (!buf_add(out, s + from, i - from, e))
			return false;
		if (quoted ? !add_c(out, '\\', e) : !buf_printf(out, e, "\\u%04x", s[i]))
			return false;
		from = quoted ? i : i + 1;
	}
	return buf_add(out, s + from, n - from, e) && add_c(out, '"', e);
}

static bool add_array(struct buf *out, const struct jval *v, bool json, struct err *e)
{
	if (!add_c(out, '[', e))
		return false;
	for (size_t i = 0; i < jarr_n(v); i++)
		if ((i > 0 && !add_c(out, ',', e)) || !add_value(out, jarr_at(v, i), json, e))
			return false;
	return add_c(out, ']', e);
}

static bool add_members(struct buf *out, const struct jiter *members, size_t n, bool json,
			struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *key = members[i].key;

		if ((i > 0 && !add_c(out, ',', e)) ||
		    !add_text(out, key, strlen(key), json, e) || !add_c(out, ':', e) ||
		    !add_value(out, members[i].val, json, e))
			return false;
	}
	return true;
}

static bool add_object(struct buf *out, const struct jval *v, bool json, struct err *e)
{
	struct jiter *members;
	size_t n;

	if (!jobj_sorted(v, &members, &n, e))
		return false;
	bool ok = add_c(out, '{', e) && add_members(out, members, n, json, e) &&
		  add_c(out, '}', e);
	free(members);
	return ok;
}

static bool add_value(struct buf *out, const struct jval *v, bool json, struct err *e)
{
	const char *s;
	size_t n;

	switch (jval_type(v)) {
	case J_NULL:
		return buf_add_str(out, "null", e);
	case J_BOOL:
		return buf_add_str(out, jval_bool(v) ? "true" : "false", e);
	case J_INT:
		return buf_printf(out, e, "%" PRId64, jval_int(v));
	case J_STR:
		s = jval_str(v, &n);
		return add_text(out, s, n, json, e);
	case J_ARR:
		return add_array(out, v, json, e);
	default:
		return add_object(out, v, json, e);
	}
}

static bool encode(struct buf *out, const struct jval *v, bool json, struct err *e)
{
	size_t before = out->n;

	if (add_value(out, v, json, e))
		return true;
	out->n = before;
	if (out->p)
		out->p[before] = '\0';
	return false;
}

bool cjson_encode(struct buf *out, const struct jval *v, struct err *e)
{
	return encode(out, v, false, e);
}

bool cjson_encode_json(struct buf *out, const struct jval *v, struct err *e)
{
	return encode(out, v, true, e);
}

bool cjson_from_text(struct buf *out, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;

	return jdoc_parse(&d, p, n, e) && cjson_encode(out, jdoc_root(d), e);
}

bool cjson_equal(bool *ret, const struct jval *a, const struct jval *b, struct err *e)
{
	CLEANUP(buf_done) struct buf ca = BUF_INIT(LIMIT_TUF_TARGETS);
	CLEANUP(buf_done) struct buf cb = BUF_INIT(LIMIT_TUF_TARGETS);

	if (!cjson_encode(&ca, a, e) || !cjson_encode(&cb, b, e))
		return false;
	*ret = ca.n == cb.n && memcmp(ca.p, cb.p, ca.n) == 0;
	return true;
}
