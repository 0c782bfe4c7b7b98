#include "admin-cli/remote.h"

#include "admin-cli/ask.h"
#include "admin-cli/opts.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A publish is answered after the server has read and verified every byte of the release. */
enum { TIMEOUT_MS = 1800000, SILENCE_S = 600, LIST_PAGE = 500 };

static const char *first_of(const char *a, const char *b, const char *c)
{
	return a && *a ? a : b && *b ? b : c;
}

static bool choose_server(struct remote *r, struct err *e)
{
	const char *url = first_of(opts.server, getenv("VALISE_SERVER"), r->home.set.server);

	if (!url || !*url) {
		if (!r->home.path[0])
			return home_none(e);
		err_set(e, E_CONFIG, "no server is known in %s", r->home.path);
		return err_hint(e, "run `valise login URL` first, or give --server");
	}
	if (!https_url_check(url, false, e))
		return false;
	snprintf(r->url, sizeof(r->url), "%s", url);
	return true;
}

/* A stored pin speaks of the stored server only. */
static bool choose_pin(struct remote *r, struct err *e)
{
	const char *stored = strcmp(r->url, r->home.set.server) == 0 ? r->home.set.pin : NULL;
	const char *pin = first_of(opts.pin, getenv("VALISE_PIN"), stored);

	if (!pin || !*pin || opts.ca_file)
		return true;
	if (!hex_decode(r->pin, sizeof(r->pin), pin, strlen(pin))) {
		err_set(e, E_USAGE, "the pin \"%.80s\" is not 64 lower-case hex digits", pin);
		return err_hint(e, "`valised pin` on the server prints it");
	}
	r->has_pin = true;
	return true;
}

static bool connect_to(struct remote *r, struct err *e)
{
	struct https_config c = HTTPS_CONFIG_INIT(r->url);

	c.low_speed_s = SILENCE_S;
	c.pin = r->has_pin ? r->pin : NULL;
	c.ca_file = first_of(opts.ca_file, r->home.set.ca_file, NULL);
	if (c.ca_file && !*c.ca_file)
		c.ca_file = NULL;
	c.proxy = *r->home.set.proxy ? r->home.set.proxy : NULL;
	return https_new(&r->https, &c, e);
}

#define BEARER "Authorization: Bearer "

bool remote_set_token(struct remote *r, const struct secret *token, struct err *e)
{
	int n;

	for (size_t i = 0; i < token->n; i++) {
		if (token->p[i] <= ' ' || token->p[i] >= 0x7f) {
			err_set(e, E_FORMAT, "the token holds characters no token has");
			return err_hint(
				e, "give the one word that begins with vt_, and nothing else");
		}
	}
	n = snprintf(r->auth, sizeof(r->auth), BEARER "%.*s", (int)token->n,
		     (const char *)token->p);
	if (n < 0 || (size_t)n >= sizeof(r->auth) || token->n == 0)
		return err_set(e, E_FORMAT, "a token of %zu bytes", token->n);
	return true;
}

const char *remote_token(const struct remote *r)
{
	return r->auth + strlen(BEARER);
}

static bool find_token(struct remote *r, enum remote_auth auth, struct err *e)
{
	CLEANUP(secret_freep) struct secret *token = NULL;
	const char *env = getenv("VALISE_TOKEN");
	bool ok;

	if (opts.token_file)
		ok = ask_secret_file(&token, opts.token_file, e);
	else if (env && *env)
		ok = secret_copy(&token, env, strlen(env), e);
	else
		ok = home_load_token(&r->home, &token, e);
	if (!ok && e->code == E_NOT_FOUND && !opts.token_file && auth == REMOTE_ASK &&
	    isatty(STDIN_FILENO))
		return secret_ask(&token, "API token: ", e) && remote_set_token(r, token, e);
	if (!ok && e->code == E_NOT_FOUND && !opts.token_file) {
		if (!r->home.path[0])
			return home_none(e);
		err_set(e, E_CONFIG, "no API token is known in %s", r->home.path);
		return err_hint(e, "run `valise login URL` first, or set VALISE_TOKEN");
	}
	return ok && remote_set_token(r, token, e);
}

bool remote_open(struct remote *ret, enum remote_auth auth, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	if (opts_check(e) && home_open(&ret->home, opts.home, e) && choose_server(ret, e) &&
	    choose_pin(ret, e) && connect_to(ret, e) &&
	    (auth == REMOTE_NO_TOKEN || find_token(ret, auth, e)))
		return true;
	remote_done(ret);
	return false;
}

void remote_done(struct remote *r)
{
	https_free(TAKE(r->https));
	home_done(&r->home);
	wipe(r->auth, sizeof(r->auth));
}

/* 202 is an error's text as well: it was understood, and somebody else has to do something first. */
static bool not_yet(const struct https_answer *a, struct err *e)
{
	static char hint[LIMIT_TEXT + 1]; /* err_hint does not copy */
	struct api_error why;

	if (!api_error_parse(&why, a->body.p, a->body.n, e))
		return err_wrap(e, "answer 202");
	snprintf(hint, sizeof(hint), "%s", why.hint);
	err_from_name(e, why.code, "%s", why.message);
	return err_hint(e, hint);
}

static bool send_call(struct remote *r, const struct remote_call *c, struct https_answer *a,
		      struct err *e)
{
	CLEANUP(buf_done) struct buf path = BUF_INIT(2 * LIMIT_PATH);
	const char *headers[2];
	struct https_request q = { .method = api_method_names[api_routes[c->route].method],
				   .headers = headers,
				   .total_timeout_ms = TIMEOUT_MS,
				   .max_bytes = 2 * LIMIT_ADMIN_BODY };
	static const char *const none[] = { NULL };

	if (!api_path(&path, c->route, c->params ? c->params : none, e) ||
	    !buf_add_str(&path, c->query ? c->query : "", e))
		return false;
	q.path = buf_str(&path);
	if (r->auth[0])
		headers[q.n_headers++] = r->auth;
	if (c->body) {
		headers[q.n_headers++] = "Content-Type: application/json";
		q.body = c->body->p;
		q.body_n = c->body->n;
		q.once = true; /* a second ticket or rollout is nothing to make by accident */
	}
	r->retry_after_s = -1;
	if (https_do(r->https, &q, a, e))
		return a->status != 202 || not_yet(a, e);
	r->retry_after_s = a->retry_after_s;
	return false;
}

bool remote_do(struct remote *r, const struct remote_call *c, int *ret_status,
	       struct jdoc **ret, struct err *e)
{
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;

	if (!send_call(r, c, &a, e))
		return false;
	if (ret) {
		*ret = NULL;
		if (a.body.n > 0 && !jdoc_parse(ret, a.body.p, a.body.n, e))
			return err_wrap(e, "answer of %s", r->url);
	}
	if (ret_status)
		*ret_status = a.status;
	return true;
}

bool remote_text(struct remote *r, const struct remote_call *c, struct buf *ret, struct err *e)
{
	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;

	return send_call(r, c, &a, e) && buf_add(ret, a.body.p, a.body.n, e);
}

/* ---- lists ------------------------------------------------------------------------------- */

/* "next" is an id that goes back as it came, so it must be one that needs no escapes. */
static bool take_next(char *out, size_t size, const struct jval *page, struct err *e)
{
	const struct jval *next = jobj_opt(page, "next");
	const char *s;

	out[0] = '\0';
	if (!next || jval_type(next) == J_NULL)
		return true;
	if (jval_type(next) == J_INT) {
		snprintf(out, size, "%lld", (long long)jval_int(next));
		return true;
	}
	if (!jval_get_str(&s, next, size - 1, e))
		return err_wrap(e, "next");
	for (size_t i = 0; s[i]; i++) {
		if (s[i] <= ' ' || strchr("&#?%+", s[i]) || (unsigned char)s[i] >= 0x7f)
			return err_set(e, E_FORMAT, "next: \"%s\"", s);
	}
	snprintf(out, size, "%s", s);
	return true;
}

static bool take_page(const struct jval *page,
		      bool (*each)(void *, const struct jval *, struct err *), void *arg,
		      struct err *e)
{
	const struct jval *items;

	if (!jval_is_obj(page, e) || !jobj_arr(&items, page, "items", LIST_PAGE * 10, e))
		return false;
	for (size_t i = 0; i < jarr_n(items); i++) {
		if (!each(arg, jarr_at(items, i), e))
			return false;
	}
	return true;
}

bool remote_list(struct remote *r, enum api_route_id route, const char *query,
		 bool (*each)(void *arg, const struct jval *item, struct err *e), void *arg,
		 struct err *e)
{
	char after[LIMIT_PATH / 2] = "", last[LIMIT_PATH / 2], text[LIMIT_PATH];

	do {
		CLEANUP(jdoc_freep) struct jdoc *d = NULL;
		struct remote_call c = { .route = route, .query = text };

		snprintf(text, sizeof(text), "?limit=%d%s%s%s%s", LIST_PAGE, query ? "&" : "",
			 query ? query : "", after[0] ? "&after=" : "", after);
		if (!remote_do(r, &c, NULL, &d, e))
			return false;
		if (!d)
			return err_set(e, E_FORMAT, "answer of %s: empty", r->url);
		memcpy(last, after, sizeof(last));
		if (!take_page(jdoc_root(d), each, arg, e) ||
		    !take_next(after, sizeof(after), jdoc_root(d), e))
			return err_wrap(e, "answer of %s", r->url);
		if (after[0] && strcmp(after, last) == 0)
			return err_set(e, E_FORMAT, "answer of %s: the list goes in circles",
				       r->url);
	} while (after[0]);
	return true;
}
