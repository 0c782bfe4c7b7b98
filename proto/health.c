#include "proto/health.h"

#include "base/text.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

#include <string.h>

const char *const health_state_names[] = {
	[HEALTH_STARTING] = "starting",
	[HEALTH_HEALTHY] = "healthy",
	[HEALTH_FAILING] = "failing",
	NULL,
};

/* At most max bytes, not ending within a UTF-8 sequence. */
static void copy_cut(char *out, size_t max, const char *s)
{
	size_t n = strlen(s);

	if (n > max) {
		n = max;
		while (n > 0 && ((uint8_t)s[n] & 0xc0) == 0x80)
			n--;
	}
	memcpy(out, s, n);
	out[n] = 0;
}

static bool read_checks(struct health *ret, const struct jval *o, struct err *e)
{
	for (struct jiter it = jobj_first(o); it.val; it = jobj_next(o, it)) {
		struct health_check *c = &ret->checks[ret->n_checks];
		const char *found;

		if (ret->n_checks == HEALTH_CHECKS)
			return err_set(e, E_TOO_BIG, "more than %d", HEALTH_CHECKS);
		if (!name_is_valid(it.key, LIMIT_NAME))
			return err_set(e, E_FORMAT, "\"%.64s\" is no name", it.key);
		if (!jval_get_str(&found, it.val, LIMIT_HEALTH_LINE, e))
			return err_wrap(e, "%s", it.key);
		memcpy(c->name, it.key, strlen(it.key) + 1);
		copy_cut(c->found, HEALTH_CHECK_TEXT, found);
		ret->n_checks++;
	}
	return true;
}

static bool read_optional(struct health *ret, const struct jval *o, struct err *e)
{
	const struct jval *checks;
	const char *detail;

	if (jobj_has(o, "detail")) {
		if (!jobj_str(&detail, o, "detail", LIMIT_HEALTH_LINE, e))
			return false;
		copy_cut(ret->detail, LIMIT_TEXT, detail);
	}
	if (!jobj_has(o, "checks"))
		return true;
	return jobj_obj(&checks, o, "checks", e) &&
	       (read_checks(ret, checks, e) || err_wrap(e, "checks"));
}

bool health_parse(struct health *ret, const void *p, size_t n, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct health h = { .n_checks = 0 };
	const struct jval *o;
	unsigned state;

	if (n > LIMIT_HEALTH_LINE)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %d", n, LIMIT_HEALTH_LINE);
	if (!jdoc_parse(&d, p, n, e))
		return false;
	o = jdoc_root(d);
	if (!jval_is_obj(o, e) || !jobj_version(o, "v", 1, e) ||
	    !jobj_hex(h.boot, sizeof(h.boot), o, "boot", e) ||
	    !jobj_choice(&state, o, "state", health_state_names, e) || !read_optional(&h, o, e))
		return false;
	h.state = (enum health_state)state;
	*ret = h;
	return true;
}

bool health_encode(const struct health *h, struct buf *out, struct err *e)
{
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_u64(&w, "v", 1);
	jw_hex(&w, "boot", h->boot, sizeof(h->boot));
	jw_str(&w, "state", health_state_names[h->state]);
	jw_obj(&w, "checks");
	for (size_t i = 0; i < h->n_checks; i++)
		jw_str(&w, h->checks[i].name, h->checks[i].found);
	jw_end(&w);
	jw_str(&w, "detail", h->detail);
	jw_end(&w);
	return jw_finish(&w, e);
}
