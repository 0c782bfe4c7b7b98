#include "proto/api.h"

#include "base/text.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const char *const api_method_names[] = {
	[API_GET] = "GET",
	[API_HEAD] = "HEAD",
	[API_POST] = "POST",
	[API_PUT] = "PUT",
	[API_PATCH] = "PATCH",
	[API_DELETE] = "DELETE",
	NULL,
};

const struct api_route api_routes[API_N_ROUTES] = {
#define XX(id_, method_, pattern_, scopes_, body_, help_) \
	[ROUTE_##id_] = { .id = #id_,                     \
			  .method = API_##method_,        \
			  .pattern = pattern_,            \
			  .scopes = scopes_,              \
			  .body_max = body_,              \
			  .help = help_ },
	API_ROUTES(XX)
#undef XX
};

static const char *const scope_names[API_N_SCOPES] = {
#define XX(id, name) [API_SCOPE_BIT_##id] = name,
	API_SCOPES(XX)
#undef XX
};

bool api_method_parse(enum api_method *ret, const char *s)
{
	for (unsigned i = 0; api_method_names[i]; i++)
		if (strcmp(api_method_names[i], s) == 0) {
			*ret = (enum api_method)i;
			return true;
		}
	return false;
}

const char *api_scope_name(enum api_scope s)
{
	for (unsigned i = 0; i < API_N_SCOPES; i++)
		if ((unsigned)s == 1u << i)
			return scope_names[i];
	return NULL;
}

bool api_scope_parse(enum api_scope *ret, const char *name)
{
	for (unsigned i = 0; i < API_N_SCOPES; i++)
		if (strcmp(scope_names[i], name) == 0) {
			*ret = (enum api_scope)(1u << i);
			return true;
		}
	return false;
}

/* ---- matching ---- */

/* The rest of a path below a `{x*}`: no segment that a file system would resolve. */
static bool rest_ok(const char *p, size_t n)
{
	const char *end = p + n;

	if (n == 0 || n > LIMIT_PATH)
		return false;
	while (p <= end) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t seg = (size_t)((slash ? slash : end) - p);

		if (seg == 0 || (seg == 1 && p[0] == '.') ||
		    (seg == 2 && memcmp(p, "..", 2) == 0))
			return false;
		p += seg + 1;
	}
	return true;
}

/* Whether the path fits the pattern; hands the parameters back. */
static bool fits(struct api_match *m, const char *pattern, const char *path, const char *end)
{
	unsigned params = 0;

	memset(m->params, 0, sizeof(m->params));
	while (*pattern) {
		const char *close, *stop;

		if (*pattern != '{') {
			if (path == end || *path != *pattern)
				return false;
			path++;
			pattern++;
			continue;
		}
		close = strchr(pattern, '}');
		assert(close && params < API_PARAMS);
		stop = close[-1] == '*' ? NULL : memchr(path, '/', (size_t)(end - path));
		stop = stop ? stop : end;
		m->params[params].p = path;
		m->params[params].n = (size_t)(stop - path);
		if (close[-1] == '*' ? !rest_ok(path, (size_t)(stop - path)) : stop == path)
			return false;
		params++;
		path = stop;
		pattern = close + 1;
	}
	return path == end;
}

bool api_match(struct api_match *ret, unsigned *ret_allowed, enum api_method method,
	       const char *path, size_t n, struct err *e)
{
	struct api_match m;

	*ret_allowed = 0;
	if (n > LIMIT_PATH)
		return err_set(e, E_NOT_FOUND, "no such path");
	for (unsigned i = 0; i < API_N_ROUTES; i++) {
		enum api_method has = api_routes[i].method;

		if (!fits(&m, api_routes[i].pattern, path, path + n))
			continue;
		if (has == method || (has == API_GET && method == API_HEAD)) {
			m.route = (enum api_route_id)i;
			*ret = m;
			return true;
		}
		*ret_allowed |= 1u << has;
		if (has == API_GET)
			*ret_allowed |= 1u << API_HEAD;
	}
	if (*ret_allowed)
		return err_set(e, E_UNSUPPORTED, "%s is not possible here",
			       api_method_names[method]);
	return err_set(e, E_NOT_FOUND, "no such path");
}

/* ---- making paths ---- */

static bool add_encoded(struct buf *out, const char *s, bool keep_slashes, struct err *e)
{
	for (; *s; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || strchr("-._~", *s) ||
			     (keep_slashes && *s == '/');

		if (!(plain ? buf_add(out, s, 1, e)
			    : buf_printf(out, e, "%%%02X", (uint8_t)*s)))
			return false;
	}
	return true;
}

bool api_path(struct buf *out, enum api_route_id route, const char *const *params,
	      struct err *e)
{
	const char *p = api_routes[route].pattern;

	while (*p) {
		size_t n = strcspn(p, "{");
		const char *close;

		if (!buf_add(out, p, n, e))
			return false;
		p += n;
		if (!*p)
			break;
		close = strchr(p, '}');
		assert(close && params && *params);
		if (!add_encoded(out, *params++, close[-1] == '*', e))
			return false;
		p = close + 1;
	}
	assert(!params || !*params);
	return true;
}

/* ---- error bodies ---- */

bool api_error_encode(struct buf *out, const struct err *what, int64_t server_time_s,
		      const char *nonce, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "code", err_name(what->code));
	jw_lossy(&w, "message", what->text, strlen(what->text));
	jw_str(&w, "hint", what->hint ? what->hint : "");
	if (server_time_s >= 0)
		jw_time(&w, "server_time", server_time_s);
	if (nonce)
		jw_str(&w, "nonce", nonce);
	jw_end(&w);
	return jw_finish(&w, e);
}

/* A text for people, cut to its array and without control characters. */
static bool copy_text(char *out, size_t size, const struct jval *o, const char *key,
		      struct err *e)
{
	const char *s;
	size_t n, i;

	if (!jobj_has(o, key))
		return true;
	if (!jobj_text(&s, &n, o, key, LIMIT_SMALL_BODY, e))
		return false;
	i = n < size ? n : size - 1;
	while (i < n && i > 0 && ((uint8_t)s[i] & 0xc0) == 0x80)
		i--;
	memcpy(out, s, i);
	out[i] = 0;
	text_clean(out, i, "");
	return true;
}

bool api_error_parse(struct api_error *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct api_error a = { .server_time_s = -1 };
	const struct jval *o;

	if (n > LIMIT_SMALL_BODY)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %d", n, LIMIT_SMALL_BODY);
	if (!jdoc_parse(&d, p, n, e))
		return false;
	o = jdoc_root(d);
	if (!jval_is_obj(o, e) || !jobj_copy_name(a.code, o, "code", e) ||
	    !copy_text(a.message, sizeof(a.message), o, "message", e) ||
	    !copy_text(a.hint, sizeof(a.hint), o, "hint", e))
		return false;
	if (jobj_has(o, "server_time") && !jobj_time(&a.server_time_s, o, "server_time", e))
		return false;
	if (jobj_has(o, "nonce") && !jobj_copy(a.nonce, sizeof(a.nonce), o, "nonce", e))
		return false;
	*ret = a;
	return true;
}
