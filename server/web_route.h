/* server/web_route.h - which handler answers a request, and what is required before it runs.
 *
 * The rows of proto/api.h say method, pattern, who may and how long the body may be; the table in
 * web_route.c adds the handler to each, and a test holds both and docs/openapi.yaml together.
 *
 *	web_route_head()   when the header fields are in: path, limits, body size, token
 *	web_route_begin()  streaming handlers only, in the pool: makes ready for the body
 *	web_route_data()   streaming handlers only: a piece of the body
 *	web_route_run()    when the body is in: signature, handler
 *	web_route_cut()    the connection broke before the body was complete
 *
 * Each leaves the answer in r->reply when it is done with the request. */
#ifndef VALISE_SERVER_WEB_ROUTE_H
#define VALISE_SERVER_WEB_ROUTE_H

#include "server/req.h"

struct handler {
	bool (*run)(struct req *r, struct err *e); /* NULL only while a route has no handler */
	bool fast;                                 /* see server/req.h */
	/* For bodies that are taken in pieces: */
	bool (*begin)(struct req *r, struct err *e);
	bool (*data)(struct req *r, const void *p, size_t n, struct err *e);
	void (*cut)(struct req *r);
};
extern const struct handler web_handlers[API_N_ROUTES];

enum route_step { ROUTE_REPLY, ROUTE_BODY, ROUTE_BEGIN };

/* ROUTE_REPLY: answered (refused); ROUTE_BODY: collect the body, then run; ROUTE_BEGIN: call begin in
 * the pool first.  body_announced is Content-Length, or UINT64_MAX when it is not known. */
enum route_step web_route_head(struct req *r, uint64_t body_announced);
bool web_route_begin(struct req *r);
bool web_route_data(struct req *r, const void *p, size_t n);
/* False: has to be run again in the pool. */
bool web_route_run(struct req *r);
void web_route_cut(struct req *r);
bool web_route_is_fast(const struct req *r);

#endif
