/* server/web_http.h - the door to libmicrohttpd: listeners, connections, bodies, parking, answers.
 *
 * A request goes through
 *
 *	uri ─> head ──┬─────────────────────────────> answer
 *	              ├─> (begin in the pool) ─> body ─> run ──┬──> answer
 *	              │                            │           └─> (again in the pool) ─> answer
 *	              └────────────────────────────┘
 *	at any point: cut (the connection broke)
 *
 * where what stands in parentheses happens while the connection is parked (suspended), so that no
 * event thread ever waits. */
#ifndef VALISE_SERVER_WEB_HTTP_H
#define VALISE_SERVER_WEB_HTTP_H

#include "server/web.h"
#include "server/web_tls.h"

struct web_http;

/* tls NULL: plain HTTP.  The listening socket stays the caller's (mgr's). */
bool web_http_start(struct web_http **ret, struct web *w, int listen_fd,
		    const struct web_tls *tls, bool is_unix, struct err *e) MUST_USE;
/* No new connections from here on. */
void web_http_quiesce(struct web_http *h);
/* Ends all connections.  No request may be parked: call pool_free first. */
void web_http_stop(struct web_http *h);

#endif
