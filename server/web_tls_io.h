/* server/web_tls_io.h - records of one connection, in and out with one system call each.
 *
 * GnuTLS reads a record with two calls, its header and the rest; here as much as there is comes at once,
 * and what is more than was asked for waits.  libmicrohttpd writes the head and the body of an answer as
 * a record each; here the first can wait for the second. */
#ifndef VALISE_SERVER_WEB_TLS_IO_H
#define VALISE_SERVER_WEB_TLS_IO_H

#include "server/web_tls.h"

struct web_tls_io;

/* For a new connection, with session tickets, which libmicrohttpd does not enable.  NULL without memory:
 * then all is as the libraries do it.  Lives as long as the session moves bytes. */
struct web_tls_io *web_tls_io_new(const struct web_tls *t, void *gnutls_session, int fd);
void web_tls_io_free(struct web_tls_io *o); /* NULL is fine */

/* The next record waits and leaves together with the one after it.  Only when another is sure to
 * follow: a response's head before a body of at most WEB_TLS_HELD_BODY bytes. */
enum { WEB_TLS_HELD_BODY = 8192 };
void web_tls_io_hold(struct web_tls_io *o);

#endif
