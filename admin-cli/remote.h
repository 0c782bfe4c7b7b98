/* admin-cli/remote.h - calls of the admin API (FORMATS.md section 6) with the token of this home.
 *
 * Where things come from, first found counts:
 *	server   --server, VALISE_SERVER, config
 *	pin      --pin, VALISE_PIN, config (only for the server that config names)
 *	token    --token-file, VALISE_TOKEN, home/token */
#ifndef VALISE_ADMIN_CLI_REMOTE_H
#define VALISE_ADMIN_CLI_REMOTE_H

#include "admin-cli/home.h"
#include "client/https.h"
#include "proto/api.h"
#include "proto/jread.h"
#include "proto/jwrite.h"

struct remote {
	struct home home;
	struct https *https;
	char url[LIMIT_URL + 1];
	bool has_pin;
	uint8_t pin[SHA256_SIZE];
	char auth[160];        /* the Authorization line; wiped at the end */
	int64_t retry_after_s; /* of the last call's answer; -1 if it did not say */
};

enum remote_auth {
	REMOTE_TOKEN,
	REMOTE_ASK, /* the same, and who sits at a terminal is asked when there is none */
	REMOTE_NO_TOKEN,
};

/* E_CONFIG where server or token are not known; the hint says what to do. */
bool remote_open(struct remote *ret, enum remote_auth auth, struct err *e) MUST_USE;
void remote_done(struct remote *r);

/* Another token for what follows ("vt_..."). */
bool remote_set_token(struct remote *r, const struct secret *token, struct err *e) MUST_USE;
/* The one in use; part of r. */
const char *remote_token(const struct remote *r);

/* One call.  params: as api_path wants them, NULL for none; query: "?a=b" or NULL; body: JSON
 * or NULL.  *ret_status and ret may be NULL; ret is NULL when the answer has no body. */
struct remote_call {
	enum api_route_id route;
	const char *const *params;
	const char *query;
	const struct buf *body;
};
bool remote_do(struct remote *r, const struct remote_call *c, int *ret_status,
	       struct jdoc **ret, struct err *e) MUST_USE;

/* GET of a text that is stored as it came (metadata).  E_NOT_FOUND if there is none. */
bool remote_text(struct remote *r, const struct remote_call *c, struct buf *ret,
		 struct err *e) MUST_USE;

/* All pages of a list, item by item; false of `each` ends it.  query: "group=x" or NULL. */
bool remote_list(struct remote *r, enum api_route_id route, const char *query,
		 bool (*each)(void *arg, const struct jval *item, struct err *e), void *arg,
		 struct err *e) MUST_USE;

#endif
