/* client/https_priv.h - the base URL of a server, taken apart once and strictly.
 *
 *	https://host[:port][/prefix]
 *
 * host: a DNS name, an IPv4 address, or an IPv6 address in brackets.  No user, query or fragment, no
 * trailing slash; the prefix holds only unreserved characters, '/' and no "." or ".." part. */
#ifndef VALISE_CLIENT_HTTPS_PRIV_H
#define VALISE_CLIENT_HTTPS_PRIV_H

#include "base/err.h"
#include "base/limits.h"

struct url {
	bool plain;    /* http */
	bool loopback; /* 127.0.0.1, [::1] or localhost */
	char authority[LIMIT_URL +
		       1]; /* lower case; the port only where it is not the scheme's */
	char origin[LIMIT_URL + 16]; /* scheme://authority */
	char prefix[LIMIT_URL + 1];  /* "" or "/x/y" */
};

/* E_CONFIG, with a hint at what a good one looks like. */
bool url_parse(struct url *ret, const char *s, bool allow_plain_loopback,
	       struct err *e) MUST_USE;

#endif
