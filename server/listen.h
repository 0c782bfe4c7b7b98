/* server/listen.h - listening sockets, opened by mgr before anything drops rights. */
#ifndef VALISE_SERVER_LISTEN_H
#define VALISE_SERVER_LISTEN_H

#include "base/err.h"

/* address: numeric IPv4 or IPv6, or "*" for all (both families in one socket, IPv4 alone where
 * the machine has no IPv6).  Port 0: the system chooses.  *ret_port is the real one. */
bool listen_tcp(int *ret, uint16_t *ret_port, const char *address, uint16_t port,
		struct err *e) MUST_USE;

/* Replaces a socket that a dead server left; refuses to remove anything else.  Only the user who
 * starts the server may connect, and members of `group` if it is not "".  Who connects is believed
 * about the address of the client (X-Real-IP): the proxy in front.  E_CONFIG: no such group, or
 * a folder that everybody may write. */
bool listen_unix(int *ret, const char *path, const char *group, struct err *e) MUST_USE;

#endif
