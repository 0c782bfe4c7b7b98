/* server/req.h - one request, as handlers see it: no type of the HTTP library appears here.
 *
 * A handler is `bool run(struct req *r, struct err *e)`: it reads r, fills r->reply and returns true,
 * or returns false with e set, which becomes the JSON error.  It runs in the pool and may block,
 * unless its row in web_route.c says `fast`: then it runs in an event thread, must not wait, and
 * may hand itself over by `return req_again_in_pool(r)`; it is then called once more with
 * r->in_pool set. */
#ifndef VALISE_SERVER_REQ_H
#define VALISE_SERVER_REQ_H

#include "base/buf.h"
#include "proto/api.h"
#include "proto/jwrite.h"
#include "server/web.h"
#include "storage/devices.h"
#include "storage/tokens.h"

enum { REQ_PARAM = 512, REQ_ACTOR = 48 };

/* What is sent back.  Texts for headers are copied by reply_header. */
struct reply {
	unsigned status;
	const char *type; /* content type; NULL: application/json if there is a body */
	struct buf body;
	int fd; /* or bytes of a file: from offset, n of them; closed with the request; -1: none */
	uint64_t offset, n;
	struct {
		const char *name; /* static */
		char value[128];
	} headers[8];
	size_t headers_n;
	uint32_t wait_s; /* Retry-After; 0: none */
	bool close;      /* end the connection */
};

/* Who is at the other end. */
struct peer {
	char text[64];   /* address, for people */
	uint8_t key[17]; /* family and address, for limits */
	bool local;      /* a program on this machine, not through a proxy */
};

/* The fields that sign a request, as sent; NULL: not there. */
struct req_signature {
	const char *input, *signature, *digest;
};

struct req {
	struct web *web;
	char id[17]; /* hex; in the log and in X-Request-Id */
	uint64_t started_us;
	int64_t now_s, now_ms; /* the clock's times when its handler was called */
	enum api_method method;
	bool known_method;
	bool is_head; /* of a GET route, too: the same without a body */
	char *uri;    /* as sent, heap */
	const char *path,
		*query;   /* in uri, cut apart; query without '?', NULL if there is none */
	const char *host; /* as sent; NULL if there was none */
	struct req_signature signature;
	struct peer peer;

	const struct api_route *route; /* NULL: none */
	unsigned route_id;
	char params[API_PARAMS][REQ_PARAM]; /* decoded */
	struct buf body;
	void *stream; /* of handlers that take the body in pieces */

	char actor[REQ_ACTOR]; /* for audit: "token:k3", "device:<id>"; "" when nobody asked who it is */
	struct token token;
	struct device_checkin device; /* of signed requests; only its id in enrolment */
	struct device_stamp stamp;    /* under which `device` was read */
	bool by_own_key;              /* signed with the device's own key, not a session key */

	bool in_pool, again;
	struct reply reply;
	void *conn; /* web_http.c's */
};

/* A header's value or NULL; of several equal ones the first (web_guard.c refuses the ones that matter). */
const char *req_header(const struct req *r, const char *name);

/* A query parameter, decoded into out ("" when it is missing).  E_FORMAT: malformed, or too long. */
bool req_query(const struct req *r, const char *key, char *out, size_t size,
	       struct err *e) MUST_USE;
/* ?after=N&limit=N of lists; `after` texts are passed through. */
bool req_page(const struct req *r, char after[static 80], size_t *ret_limit,
	      struct err *e) MUST_USE;
bool req_page_number(const struct req *r, char prefix, int64_t *ret_after, size_t *ret_limit,
		     struct err *e) MUST_USE;

/* "r17" with the prefix 'r'.  E_NOT_FOUND when it is not one. */
bool req_number(const char *text, char prefix, int64_t *ret, struct err *e) MUST_USE;

static inline bool req_again_in_pool(struct req *r)
{
	r->again = true;
	return true;
}

/* ---- answers (web_reply.c) ---------------------------------------------------------------- */

void reply_init(struct reply *p);
void reply_done(struct reply *p);
void reply_close_file(struct reply *p);
void reply_header(struct reply *p, const char *name, const char *fmt, ...) PRINTF(3, 4);

/* Starts a JSON answer in r->reply.body; reply_json_end finishes it.
 *	struct jw w;
 *	reply_json(r, 200, &w);
 *	jw_obj(&w, NULL); ...
 *	return reply_json_end(&w, e); */
void reply_json(struct req *r, unsigned status, struct jw *w);
bool reply_json_end(struct jw *w, struct err *e) MUST_USE;
bool reply_empty(struct req *r, unsigned status);
bool reply_text(struct req *r, const char *type, const char *text, size_t n,
		struct err *e) MUST_USE;

/* The JSON error; 401 and 429 get their header fields.  Cannot fail: without memory it is empty. */
void reply_error(struct req *r, const struct err *e);
/* 401 for a wrong clock, with our time and a nonce. */
void reply_clock_error(struct req *r, const struct err *e);

/* One page of a list: {"items": [...], "next": what ?after takes for the rest, or null}.  The items
 * are written between the two calls.  next: "" when this was all. */
void reply_list(struct req *r, struct jw *w);
bool reply_list_end(struct jw *w, const char *next, struct err *e) MUST_USE;
/* The same for rows in the order of their numbers ("r7"). */
bool reply_list_end_at(struct jw *w, bool more, char prefix, int64_t last,
		       struct err *e) MUST_USE;

#endif
