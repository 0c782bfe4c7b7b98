/* admin-cli/roles.h - extending a delegated role that others extend too: fetch the newest, add, sign, send.
 *
 *	role_load    the newest metadata of a role, or none yet
 *	role_look    whether it names a target already
 *	role_extend  the next version with targets added, signed by one key
 *
 * Two that extend the same version race: the server takes the one and answers E_CONFLICT to the other, which
 * loads again (role_update does all that). */
#ifndef VALISE_ADMIN_CLI_ROLES_H
#define VALISE_ADMIN_CLI_ROLES_H

#include "admin-cli/keys.h"
#include "admin-cli/remote.h"
#include "base/clock.h"
#include "proto/tuf_make.h"

#define ROLE_LIFE_S (90 * 86400)
#define ROOT_LIFE_S (365 * 86400)

struct role {
	struct buf text;       /* empty: there is none yet */
	struct tuf_meta *meta; /* NULL then */
	uint64_t version;      /* 0 then */
};
#define ROLE_INIT ((struct role){ .text = { .max = LIMIT_TUF_TARGETS } })

bool role_load(struct role *ret, struct remote *r, const char *name, struct err *e) MUST_USE;
void role_done(struct role *r);

enum role_target { ROLE_TARGET_ABSENT, ROLE_TARGET_SAME, ROLE_TARGET_OTHER };
/* *ret_sha256 (may be NULL) is what the role names, unless it is absent. */
bool role_look(const struct role *r, const char *path, const uint8_t sha256[static SHA256_SIZE],
	       enum role_target *ret, uint8_t *ret_sha256, struct err *e) MUST_USE;

bool role_extend(const struct role *r, const struct tuf_make_target *add, size_t n_add,
		 int64_t expires_s, const struct key *key, struct buf *out,
		 struct err *e) MUST_USE;

/* The whole: adds targets, the first of which decides whether it is there already, and posts
 * {"<field>": text, "targets": metadata} to the route.  Repeated while others come first, at most
 * ROLE_TRIES times; after network errors, as it may be repeated, at most ROLE_FAILURES times in a row; and while
 * the server is busy (it answers so while it still verifies what was uploaded), for an hour. */
enum { ROLE_TRIES = 8, ROLE_FAILURES = 6, ROLE_BUSY_MS = 3600 * 1000 };
struct role_update {
	const char *role;
	const struct tuf_make_target *add;
	size_t n_add;
	const char *field; /* "release" or "bundle" */
	const char *text;
	enum api_route_id route;
	const char *what; /* for messages: "release acme-phone/1.0.0" */
	const struct clock *clock;
	const struct rng *rng;
	const struct key *key;
	bool (*wait)(void *arg, uint64_t ms, struct err *e); /* NULL: sleeps */
	void *arg;
};
enum role_result { ROLE_UPDATED, ROLE_WAS_THERE };
bool role_update(struct remote *r, const struct role_update *u, enum role_result *ret,
		 struct err *e) MUST_USE;

#endif
