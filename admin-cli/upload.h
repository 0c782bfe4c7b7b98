/* admin-cli/upload.h - one object to the server, resumably: tus 1.0 (proto/tus.h).
 *
 *	POST  /v1/uploads        once; where the upload lies is remembered (uploads/<sha256> of the home)
 *	PATCH /v1/uploads/<id>   chunk by chunk, each with its SHA-256
 *	HEAD  /v1/uploads/<id>   after a cut, a refused chunk or a restart: how far it is
 *
 * A chunk that was cut off is looked after with HEAD and continued from what the server has stored; what the
 * server has is never sent again.  A killed publish finds its uploads by their hash and goes
 * on.  An upload that the server no longer knows (expired) is started again, once.  Network errors, timeouts,
 * 429 and 5xx are tried again after a back-off (client/backoff.h); max_failures of them in a row without
 * a byte of progress end it.  The server verifies the hash of the whole at the end: E_CORRUPT, and
 * the upload is forgotten. */
#ifndef VALISE_ADMIN_CLI_UPLOAD_H
#define VALISE_ADMIN_CLI_UPLOAD_H

#include "admin-cli/home.h"
#include "client/backoff.h"
#include "client/https.h"

enum { UPLOAD_CHUNK = 8 * 1024 * 1024 };

struct upload {
	struct https *https; /* borrowed, as all pointers here */
	const char *auth;    /* "Authorization: Bearer ..." */
	const char *server;  /* its URL, for the memory of uploads */
	const struct home *home;
	const struct clock *clock;
	const struct rng *rng;
	/* Told the bytes that the server has, after each chunk and while one is under way. */
	void (*progress)(void *arg, uint64_t bytes);
	bool (*wait)(void *arg, uint64_t ms, struct err *e); /* NULL: sleeps */
	void *arg;

	size_t chunk_bytes; /* at most LIMIT_TUS_CHUNK */
	struct backoff backoff;
	unsigned max_failures;

	uint64_t sent; /* result: bytes that went over the network, all objects together */
};

#define UPLOAD_INIT(h, auth_line, url, home_, clk, random)     \
	((struct upload){ .https = (h),                        \
			  .auth = (auth_line),                 \
			  .server = (url),                     \
			  .home = (home_),                     \
			  .clock = (clk),                      \
			  .rng = (random),                     \
			  .chunk_bytes = UPLOAD_CHUNK,         \
			  .backoff = BACKOFF_INIT(500, 30000), \
			  .max_failures = 8 })

/* Uploads size bytes of fd (read with pread). */
bool upload_object(struct upload *u, int fd, uint64_t size,
		   const uint8_t sha256[static SHA256_SIZE], struct err *e) MUST_USE;

#endif
