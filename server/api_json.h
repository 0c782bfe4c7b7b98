/* server/api_json.h - pieces of JSON that several nouns have in common. */
#ifndef VALISE_SERVER_API_JSON_H
#define VALISE_SERVER_API_JSON_H

#include "proto/jread.h"
#include "server/req.h"
#include "storage/target.h"

/* The body as an object with no other members than keys (NULL-terminated).  An empty body is {} if
 * may_be_empty. */
bool api_body(struct req *r, const char *const *keys, bool may_be_empty, struct jdoc **ret,
	      struct err *e) MUST_USE;
/* {"reason": "..."} or nothing: for withdraw, revoke, approve. */
bool api_reason(struct req *r, char ret[static LIMIT_TEXT + 1], struct err *e) MUST_USE;

/* {"all": true} | {"group": "sales"} | {"device": "<id>"} */
bool api_target_read(struct target *ret, const struct jval *obj, const char *key,
		     struct err *e) MUST_USE;
void api_target_write(struct jw *w, const char *key, const struct target *t);

void api_time(struct jw *w, const char *key, int64_t unix_s);           /* null for 0: never */
void api_number(struct jw *w, const char *key, char prefix, int64_t n); /* "r7"; null for 0 */
void api_scopes(struct jw *w, const char *key, unsigned scopes);
/* "" becomes null. */
void api_text(struct jw *w, const char *key, const char *s);

#endif
