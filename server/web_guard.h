/* server/web_guard.h - requests that two readers could understand differently are refused at once.
 *
 * libmicrohttpd 0.9.75 takes Content-Length beside Transfer-Encoding, doubled lengths, blanks before
 * colons and two Hosts (measured): behind a proxy that reads them otherwise, that smuggles requests.
 * MHD_OPTION_STRICT_FOR_CLIENT refuses some; the rest is refused here, in the first call of the
 * access handler, before any byte of a body, with 400 and the end of the connection
 * (RFC 9112 sections 5.1, 6.1 to 6.3, 3.2). */
#ifndef VALISE_SERVER_WEB_GUARD_H
#define VALISE_SERVER_WEB_GUARD_H

#include "base/err.h"

struct guard {
	unsigned content_length, transfer_encoding, host, authorization, signature,
		signature_input, content_digest, real_ip, proxied;
	bool bad_name, bad_length, bad_encoding;
	uint64_t length; /* of the body, if announced */
};

/* Feed every header field in order, then ask. */
void guard_field(struct guard *g, const char *name, const char *value, size_t value_n);
bool guard_check(const struct guard *g, bool http_1_1, struct err *e) MUST_USE;

/* Whether a request target is one that we would write: "/..." of unreserved characters, '%' with two hex
 * digits, '/', and a query; no empty, "." or ".." segments, no fragment, no authority. */
bool guard_target(const char *uri, size_t n, struct err *e) MUST_USE;

#endif
