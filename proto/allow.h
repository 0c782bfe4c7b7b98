/* proto/allow.h - one rule of a network allow-list: "host:port".
 *
 * host is a DNS name in lower case (RFC 1123 letters, digits, hyphens; no trailing dot), an IPv4
 * address, or an IPv6 address in brackets in the form inet_ntop writes; port is 1 to 65535 without
 * leading zeros.  So equal rules are equal texts. */
#ifndef VALISE_PROTO_ALLOW_H
#define VALISE_PROTO_ALLOW_H

#include "base/err.h"
#include "base/limits.h"

struct allow {
	char host[LIMIT_HOST + 1]; /* without brackets */
	uint16_t port;
};

enum { ALLOW_TEXT_SIZE = LIMIT_HOST + 2 + 1 + 5 + 1 };

bool allow_parse(struct allow *ret, const char *s, struct err *e) MUST_USE;
void allow_format(char out[static ALLOW_TEXT_SIZE], const struct allow *a);

#endif
