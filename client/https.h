/* client/https.h - one HTTPS client for the command line tool and the handset agent, on libcurl.
 *
 * A `struct https` is one server: its base URL, how it is recognised (certificate authorities or
 * the pin of an enrolment ticket), proxy, limits, and a cache of open connections.  Requests on it
 * block; use one per thread.  TLS 1.2 or newer, HTTP/1.1, no redirects, no cookies, no content
 * coding, no credentials from files; the answer's Date is ignored.
 *
 *	CLEANUP(https_freep) struct https *h = NULL;
 *	CLEANUP(https_answer_done) struct https_answer a = HTTPS_ANSWER_INIT;
 *	struct https_config c = HTTPS_CONFIG_INIT(url);
 *
 *	if (!https_new(&h, &c, e))
 *		return false;
 *	struct https_request r = { .method = "GET", .path = "/v1/status" };
 *	if (!https_do(h, &r, &a, e))
 *		return false;            // a.status tells, if it was an answer
 *	... a.body ...
 *
 * Errors.  Anything between us and the server is E_NETWORK (no route, refused, cut), E_TIMEOUT
 * (connect, low speed, total) or E_UNTRUSTED (certificate or pin); a final status from 400 on is
 * the server's own error: `{"code", "message", "hint"}` becomes that code, text and hint
 * (err_from_name), other bodies are mapped by the status (404 is E_NOT_FOUND, 401 E_AUTH, 429
 * E_RATE, 5xx E_UNAVAILABLE, ...).  A 3xx is E_UNSUPPORTED: redirects are not followed, as a pin
 * or a token must not travel.  An answer longer than the request's limit is E_TOO_BIG and is cut
 * off at that byte.  Answers with a content coding we did not ask for are E_FORMAT. */
#ifndef VALISE_CLIENT_HTTPS_H
#define VALISE_CLIENT_HTTPS_H

#include "base/buf.h"
#include "base/limits.h"

#include <stdatomic.h>

struct https;

enum { HTTPS_PIN_SIZE = 32 };

struct https_config {
	const char *base_url; /* https://host[:port][/prefix], at most LIMIT_URL bytes */
	const char *ca_file;  /* PEM authorities instead of the system's; NULL for those */
	/* SHA-256 of the server's SubjectPublicKeyInfo, NULL for none.  It replaces the chain and
	 * the name check: the key is the identity, as the enrolment ticket carries it. */
	const uint8_t *pin;
	const char *proxy;      /* NULL: from https_proxy, no_proxy; "": none; else its URL */
	const char *user_agent; /* NULL: "valise/VERSION" */
	/* http:// to 127.0.0.1, [::1] and no other host; for tests and the conformance driver. */
	bool allow_plain_loopback;
	uint32_t connect_timeout_ms;
	/* Less than low_speed_bytes a second for low_speed_s is E_TIMEOUT; 0 for no limit. */
	uint32_t low_speed_bytes, low_speed_s;
	/* Becoming true ends the running request with E_CANCELLED within a second; may be NULL. */
	const atomic_bool *cancel;
};

/* Reasonable limits for everything but the URL. */
#define HTTPS_CONFIG_INIT(url)                               \
	((struct https_config){ .base_url = (url),           \
				.connect_timeout_ms = 15000, \
				.low_speed_bytes = 64,       \
				.low_speed_s = 30 })

/* Copies the configuration.  E_CONFIG for a URL that is not of the form above (also one with a
 * user, a query or a fragment), a proxy or a CA file that curl does not take. */
bool https_new(struct https **ret, const struct https_config *config, struct err *e) MUST_USE;
void https_free(struct https *h);
DEFINE_CLEANUP(struct https, https_free);

/* The host[:port] as it goes into the Host header, which request signatures cover: the port only
 * where it is not the scheme's own, letters in lower case.  Lives as long as h. */
const char *https_authority(const struct https *h);
/* The path prefix of the base URL, "" for none; never with a trailing slash. */
const char *https_prefix(const struct https *h);

/* Checks a base URL without making a client; also what `valise login` uses. */
bool https_url_check(const char *base_url, bool allow_plain_loopback, struct err *e) MUST_USE;

struct https_answer;

struct https_request {
	const char *method; /* "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" */
	const char *path;   /* "/v1/status?limit=3": put behind the base URL as it is */
	/* "Name: value", without line ends; E_USAGE otherwise. */
	const char *const *headers;
	size_t n_headers;

	/* Body: bytes at hand, or a part of a file (body_fd_n bytes from body_offset on, read with
	 * pread; the descriptor is borrowed).  A POST, PUT or PATCH without one sends 0 bytes. */
	const void *body;
	size_t body_n;
	bool body_from_fd;
	int body_fd;
	uint64_t body_offset, body_fd_n;
	/* Told how much of the body is on its way, and may be NULL. */
	void (*on_sent)(void *arg, uint64_t bytes);
	/* The body goes over at most once: a kept connection that breaks is then E_NETWORK, where curl
	 * would open another and begin again.  For callers that know better how to go on. */
	bool once;

	/* The answer's body goes to a.body, or, for a 2xx, piece by piece to on_data.  on_head is
	 * called once before the first byte of a 2xx; either returns false to stop, with *e set,
	 * and https_do fails with that error. */
	bool (*on_head)(void *arg, const struct https_answer *a, struct err *e);
	bool (*on_data)(void *arg, const void *p, size_t n, struct err *e);
	void *arg;

	uint64_t max_bytes;        /* longest body taken; 0 means LIMIT_ADMIN_BODY */
	uint32_t total_timeout_ms; /* 0: only connect and low speed are limited */
};

struct https_answer {
	int status;         /* 0: there was no answer */
	struct buf body;    /* of errors, and of a 2xx without on_data */
	struct buf headers; /* "name: value\n" lines, names in lower case */
	bool has_length;    /* Content-Length was there */
	uint64_t length;    /* of the body, as announced */
	int64_t retry_after_s; /* Retry-After in seconds (its date form is ignored); -1 if absent */
};

#define HTTPS_ANSWER_INIT                                                 \
	((struct https_answer){ .body = { .max = SIZE_MAX },              \
				.headers = { .max = LIMIT_HTTP_HEADERS }, \
				.retry_after_s = -1 })

/* One request.  *a must be initialised and may be used again; what it held is dropped.  Returns
 * true for a 2xx.  Nothing is retried, except that curl opens a new connection when a kept one
 * turns out to be closed before a byte of the request could be answered. */
bool https_do(struct https *h, const struct https_request *r, struct https_answer *a,
	      struct err *e) MUST_USE;
void https_answer_done(struct https_answer *a);

/* The value of a header (name in lower case), or NULL if it is absent or there twice.  Copied to
 * out (size bytes with the NUL; longer values count as absent). */
const char *https_answer_header(const struct https_answer *a, const char *name, char *out,
				size_t size);

#endif
