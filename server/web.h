/* server/web.h - the web process: what all its handlers share.
 *
 *	file            knows
 *	web.c           set-up of the process, control messages from mgr, timers, draining
 *	web_http.c      libmicrohttpd: connections, bodies, parking, answers
 *	web_guard.c     which requests are refused before anybody interprets them
 *	web_tls.c       certificates, session tickets
 *	web_tls_io.c    the bytes below TLS: read ahead, heads that wait for their bodies
 *	slow.c          ends connections on which next to nothing moves
 *	late.c          lets clients that were refused early read why
 *	web_route.c     path to handler, limits, who may
 *	web_auth.c      bearer tokens, device signatures
 *	web_reply.c     answers and errors
 *	api_*.c         one noun each: decode, call storage, encode; nothing of HTTP but server/req.h
 *
 * Threads: those of libmicrohttpd (never block), the pool (handlers that write or wait), one for
 * timers, one that hears the work processes, one per delta process (deltas.c), one for ended connections (late.c), and the main one, which listens to mgr. */
#ifndef VALISE_SERVER_WEB_H
#define VALISE_SERVER_WEB_H

#include "server/deltas.h"
#include "server/duty.h"
#include "server/idle.h"
#include "server/jobs.h"
#include "server/late.h"
#include "server/metrics.h"
#include "server/nonces.h"
#include "server/pool.h"
#include "server/rate.h"
#include "server/second.h"
#include "server/settings.h"
#include "server/signer.h"
#include "server/slow.h"
#include "storage/store.h"

#include <pthread.h>

struct web {
	const struct settings *settings;
	const struct clock *clock;
	const struct rng *rng;
	struct store *store;
	struct signer *signer;
	struct jobs *jobs;
	struct deltas *deltas;
	struct pool *pool;
	struct nonces *nonces;
	struct rates *clients, *devices;
	struct idle *idle;
	struct slow *slow;
	struct late *late;
	struct secret *session_secret;
	struct metrics metrics;
	pthread_mutex_t repo_lock; /* server/repo.h */
	struct second second;
	int64_t started_s;         /* this process */
	int64_t server_started_ms; /* by the clock of the boot; lasts over reloads */
	/* Requests signed before it are refused: another process may have seen them.  The second
	 * after our start, as times of signing are whole seconds. */
	int64_t accept_from_s;
	bool draining; /* atomic: answers end their connections */
	uint64_t next_request;
	bool has_pin; /* TLS is on: SHA-256 of the SubjectPublicKeyInfo */
	uint8_t pin[SHA256_SIZE];
};

/* Open, migrated and started but for the listening; freed in reverse. */
bool web_services_start(struct web *w, const struct duty *d, struct secret **session_secret,
			const char *state_dir, struct err *e) MUST_USE;
void web_services_stop(struct web *w);

#endif
