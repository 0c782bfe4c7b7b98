/* server/web_guard.h - requests that two readers could understand differently are refused at once.
 *
 * libmicrohttpd 0.9.75 takes Content-Length beside Transfer-Encoding, doubled lengths, blanks before
 * colons, two Hosts, CR and NUL inside values, and puts a folded line behind the field's name
 * (measured): behind a proxy that reads them otherwise, that smuggles requests.  All of that is
 * refused here, in the first call of the access handler, before any byte of a body, with 400 and
 * the end of the connection (RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1 to 6.3).
 *
 *	struct guard g = { .length = 0 };
 *	guard_line(&g, method, target, strlen(target), version);
 *	guard_field(&g, name, value, value_n);           // every header field in order
 *	guard_end(&g, bytes_of_the_head);
 *	if (!guard_check(&g, http_1_1, e)) ...
 *
 * The texts have to be the library's own, which lie in the buffer where they were received: what is
 * not exactly a blank, a colon or a CR LF apart from its neighbour was ended or hidden by
 * something else. */
#ifndef VALISE_SERVER_WEB_GUARD_H
#define VALISE_SERVER_WEB_GUARD_H

#include "base/err.h"

/* A field of which there may be only one. */
struct guard_seen {
	unsigned count;
	const char *value; /* of the last; NULL: none */
};

struct guard {
	const char *begin, *at; /* of the head; where its last piece ended */
	struct guard_seen content_length, transfer_encoding, host, authorization, signature,
		signature_input, content_digest, real_ip, proxied;
	bool bad_line, bad_name, bad_value, bad_host, bad_length, bad_encoding;
	uint64_t length; /* of the body, if announced */
};

void guard_line(struct guard *g, const char *method, const char *target, size_t target_n,
		const char *version);
void guard_field(struct guard *g, const char *name, const char *value, size_t value_n);
void guard_end(struct guard *g, size_t head_n);
bool guard_check(const struct guard *g, bool http_1_1, struct err *e) MUST_USE;

/* Whether a request target is one that we would write: "/..." of unreserved characters, '%' with two hex
 * digits, '/', and a query; no empty, "." or ".." segments, no fragment, no authority. */
bool guard_target(const char *uri, size_t n, struct err *e) MUST_USE;

#endif
