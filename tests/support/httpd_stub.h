/* tests/support/httpd_stub.h - an HTTP server in this process that misbehaves to order.
 *
 * Plain HTTP/1.1 on 127.0.0.1 with a port of the system's choice; connections are served side by side, so tests
 * need no server beside them.  A handler, called with a lock held, sees each request and fills the answer:
 *
 *	static void cut_once(void *arg, const struct stub_request *q, struct stub_answer *a)
 *	{
 *		stub_serve(a, q, object, sizeof(object)); // 200 or 206, as a good server would
 *		if (q->nr == 0)
 *			a->cut_at = 1000;                 // the connection ends there
 *	}
 *	...
 *	struct stub *s = stub_start(cut_once, NULL);
 *	... stub_url(s) ...
 *	stub_stop(s);
 *
 * Whatever goes wrong inside ends the test. */
#ifndef VALISE_TESTS_HTTPD_STUB_H
#define VALISE_TESTS_HTTPD_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stub_request {
	unsigned nr; /* 0 for the first request of this server */
	char method[16], path[512];
	char headers[8192]; /* as received, without the request line */
	const uint8_t *body;
	size_t body_n;
};

struct stub_answer {
	int status;
	char headers[1024]; /* more lines, each with "\r\n" */
	const void *body;   /* has to live until stub_stop */
	size_t n;
	int64_t length; /* Content-Length to claim; -1: none at all, the body ends with the connection */
	int64_t cut_at; /* the connection ends after this many bytes of the body; -1: it does not */
	bool drop;      /* ends without any answer */
	bool hang;      /* no answer, until the client gives up */
	bool endless;    /* the body goes on and on with zeros */
	const char *raw; /* sent instead of all that, then the connection ends */
};

struct stub;
typedef void stub_handler(void *arg, const struct stub_request *q, struct stub_answer *a);

struct stub *stub_start(stub_handler *handler, void *arg);
void stub_stop(struct stub *s);             /* waits for its threads */
const char *stub_url(const struct stub *s); /* http://127.0.0.1:PORT */
unsigned stub_count(struct stub *s);        /* requests so far */
unsigned stub_connections(struct stub *s);  /* connections so far */

/* Answers like a good file server: the whole, or the range asked for with 206 and Content-Range. */
void stub_serve(struct stub_answer *a, const struct stub_request *q, const void *p, size_t n);
/* An answer with a text as its body (borrowed until stub_stop). */
void stub_text(struct stub_answer *a, int status, const char *text);
/* Adds a header line. */
void stub_header(struct stub_answer *a, const char *name, const char *value);
/* The value of a request header, "" if absent; valid until the handler's next call of it. */
const char *stub_value(const struct stub_request *q, const char *name);

#endif
