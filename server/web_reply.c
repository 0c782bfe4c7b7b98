#include "server/req.h"
#include "base/io.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>

enum { ANSWER_MAX = 16 << 20 }; /* the largest: metadata of the largest role */

void reply_init(struct reply *p)
{
	memset(p, 0, offsetof(struct reply, headers));
	p->headers_n = 0;
	p->wait_s = 0;
	p->close = false;
	p->fd = -1;
	buf_init(&p->body, ANSWER_MAX);
}

void reply_close_file(struct reply *p)
{
	fd_closep(&p->fd);
}

void reply_done(struct reply *p)
{
	buf_done(&p->body);
	reply_close_file(p);
}

void reply_header(struct reply *p, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (p->headers_n == ARRAY_SIZE(p->headers))
		return; /* our own mistake, and none worth an abort */
	va_start(ap, fmt);
	vsnprintf(p->headers[p->headers_n].value, sizeof(p->headers[0].value), fmt, ap);
	va_end(ap);
	p->headers[p->headers_n++].name = name;
}

void reply_json(struct req *r, unsigned status, struct jw *w)
{
	r->reply.status = status;
	r->reply.type = "application/json";
	buf_reset(&r->reply.body);
	jw_init(w, &r->reply.body);
}

bool reply_json_end(struct jw *w, struct err *e)
{
	return jw_finish(w, e) || err_wrap(e, "answer");
}

bool reply_empty(struct req *r, unsigned status)
{
	r->reply.status = status;
	buf_reset(&r->reply.body);
	return true;
}

bool reply_text(struct req *r, const char *type, const char *text, size_t n, struct err *e)
{
	r->reply.status = 200;
	r->reply.type = type;
	buf_reset(&r->reply.body);
	return buf_add(&r->reply.body, text, n, e);
}

static unsigned status_of(const struct err *e)
{
	/* The path is there, but not for this method (proto/api.h). */
	return e->code == E_UNSUPPORTED ? 405 : (unsigned)err_http(e->code);
}

static void fill_error(struct req *r, const struct err *why, int64_t server_time_s,
		       const char *nonce)
{
	struct reply *p = &r->reply;
	struct err e;

	reply_close_file(p);
	p->n = 0;
	if (p->status < 400)
		p->status = status_of(why);
	p->type = "application/json";
	buf_reset(&p->body);
	if (!api_error_encode(&p->body, why, server_time_s, nonce, &e))
		buf_reset(&p->body);
	if (p->status == 401)
		reply_header(p, "WWW-Authenticate", "Bearer realm=\"valise\"");
	if (why->code == E_BUSY || why->code == E_NO_SPACE || why->code == E_NOMEM)
		p->wait_s = 5;
}

void reply_error(struct req *r, const struct err *e)
{
	fill_error(r, e, -1, NULL);
	/* The client's mistakes are the client's to read; ours are for the operator too. */
	if (r->reply.status >= 500 && r->reply.status != 501)
		log_warn("http.failed", "id=%s route=%s status=%u %s", r->id,
			 r->route ? r->route->id : "none", r->reply.status, log_err(e).s);
}

void reply_clock_error(struct req *r, const struct err *e)
{
	uint8_t nonce[16];
	char text[BASE64_SIZE(16)];
	int64_t now_s = clock_wall_s(r->web->clock);

	rng_fill(r->web->rng, nonce, sizeof(nonce));
	base64_encode(text, nonce, sizeof(nonce));
	r->reply.status = 401;
	/* A time that will do, also in the second of our start. */
	fill_error(r, e, now_s < r->web->accept_from_s ? r->web->accept_from_s : now_s, text);
}

void reply_list(struct req *r, struct jw *w)
{
	reply_json(r, 200, w);
	jw_obj(w, NULL);
	jw_arr(w, "items");
}

bool reply_list_end(struct jw *w, const char *next, struct err *e)
{
	jw_end(w);
	if (next[0])
		jw_str(w, "next", next);
	else
		jw_null(w, "next");
	jw_end(w);
	return reply_json_end(w, e);
}

bool reply_list_end_at(struct jw *w, bool more, char prefix, int64_t last, struct err *e)
{
	char next[24] = "";

	if (more)
		snprintf(next, sizeof(next), "%c%" PRId64, prefix, last);
	return reply_list_end(w, next, e);
}
